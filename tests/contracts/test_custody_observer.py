"""Who reads nothing but the chain learns neither what is handed on, nor how much of it, nor who does it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import md5, sha1, sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import decode
from web3 import Web3

from contracts import artifact
from ledger_service.chain.embedded import EmbeddedChain, Genesis
from ledger_service.chain.port import FirstKey, Founder, Founding
from ledger_service.chain.transaction import Fees, Transaction, created_address
from ledger_service.handoffs import (
    CustodyDomain,
    CustodySeed,
    HandOff,
    Offer,
    Opening,
    commitment,
    common_deadline,
    mix,
)
from ledger_service.keys import LocalKey, keccak
from ledger_service.statements import Domain, Header, content_root
from tests.contracts.network import Party, party, root_hash
from tests.contracts.observer import (
    DAY,
    HOUR,
    START,
    WEEK,
    Relay,
    diverse,
    gain_of_an_insider,
    gains,
    in_shifts,
    simulate,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CHAIN_ID = 52_952
GAS = 10**9
HAND_OFF = "(bytes32,uint64,address,address,bytes32,bytes32,uint64,bytes,bytes)"
DIDS = [f"did:web:{name}.example.org" for name in ("foundry", "gearbox", "carrier", "assembly")]


@dataclass(frozen=True, slots=True)
class Shipment:
    """What a despatch says, and nobody but its two sides may read."""

    sscc: str
    part: str
    lot: str
    quantity: int

    @property
    def content(self) -> dict[str, Any]:
        return {
            "event": {
                "epcList": [f"urn:epc:id:sscc:{self.sscc}"],
                "extension": {
                    "lot": self.lot,
                    "part": self.part,
                    "quantity": self.quantity,
                    "text": str(self.quantity),
                },
            },
            "to": ["0x" + keccak(did.encode()).hex() for did in DIDS],
        }


class Trading:
    """Four members who hand shipments on, on an embedded chain, by all the rules."""

    def __init__(self, path: Path) -> None:
        self.path, self.random, self.now = path, Random(7), START
        self.relayer = LocalKey.from_bytes(keccak(b"relayer"))
        self.chain = EmbeddedChain.create(path, Genesis(CHAIN_ID, START), attestor=self.relayer, now=lambda: self.now)
        self.members: list[Party] = [party(name) for name in ("foundry", "gearbox", "carrier", "assembly")]
        founders = tuple(
            Founder(p.id, p.root.address, root_hash(p.next_root), True, (FirstKey(p.signing.address, 63),))
            for p in self.members
        )
        self.registry = self.chain.deploy(Founding(founders, (self.relayer.address,)), self.relayer).registry
        made = artifact("CustodyLedger")
        nonce = self.chain.next_nonce(self.relayer.address)
        self.custody = created_address(self.relayer.address, nonce)
        self.send(made.bytecode + self.registry.rjust(32, b"\0"), to=b"")
        self.abi = Web3().eth.contract(abi=made.abi)
        self.domain = CustodyDomain(CHAIN_ID, self.custody)
        self.seeds = [CustodySeed(self.random.randbytes(32)) for _ in self.members]
        self.counters = [0 for _ in self.members]
        self.secrets: list[bytes] = [seed.secret for seed in self.seeds]
        self.units: list[bytes] = []

    def send(self, *calls: bytes, to: bytes | None = None) -> None:
        """Mine all calls in one block."""
        first = self.chain.next_nonce(self.relayer.address)
        target = self.custody if to is None else to
        raws = [
            Transaction(CHAIN_ID, first + n, Fees(0, 0), GAS, target, data).sign(self.relayer).raw
            for n, data in enumerate(calls)
        ]
        assert self.chain.send_many(raws) == [None] * len(raws)

    def call(self, function: str, *arguments: Any) -> bytes:
        return bytes.fromhex(self.abi.encode_abi(function, list(arguments))[2:])

    def address(self, member: int) -> LocalKey:
        """A one-time key that was never used."""
        self.counters[member] += 1
        key = self.seeds[member].key(self.domain, self.counters[member])
        self.secrets.append(key.secret_bytes)
        return key

    def statement(self, member: int, shipment: Shipment) -> bytes:
        """The id of a statement about a shipment."""
        secret, stream = self.random.randbytes(32), self.random.randbytes(32)
        self.secrets += [secret, stream]
        root = content_root(shipment.content, secret)
        header = Header(self.members[member].id, "epcis-event", stream, 1, START * 1000, root)
        return header.digest(Domain(CHAIN_ID, self.registry))

    def opened(self, member: int, shipment: Shipment) -> tuple[bytes, bytes, LocalKey]:
        """The call that opens a unit, its id, and the key that holds it."""
        key, secret = self.address(member), self.random.randbytes(32)
        self.secrets.append(secret)
        opening = Opening(key.address, commitment(shipment.sscc, secret), common_deadline(self.now, 28 * DAY))
        self.units.append(opening.unit)
        return self.call("open", *opening.sign(key, self.domain)), opening.unit, key

    def handed(
        self, unit: bytes, step: int, giver: int, key: LocalKey, taker: int, shipment: Shipment
    ) -> tuple[HandOff, LocalKey]:
        """A handoff, and the key that holds the unit after it."""
        to = self.address(taker)
        offered, accepted = self.statement(giver, shipment), self.statement(taker, shipment)
        offer = Offer(unit, step, key.address, to.address, offered, common_deadline(self.now, 28 * DAY))
        return HandOff.complete(offer, offer.sign(key, self.domain), accepted, to, self.domain), to


def shipments(count: int) -> list[Shipment]:
    return [
        Shipment(f"9521000.40009260{n:02d}", f"A2C-7781-BRKT-{n:02d}", f"LOT-ZETA-552{n:02d}", 482_113_370 + 7 * n)
        for n in range(count)
    ]


@pytest.fixture
def trading(tmp_path: Path) -> Trading:
    return Trading(tmp_path / "chain.db")


def trade(trading: Trading, goods: list[Shipment]) -> list[HandOff]:
    """Each shipment through three pairs of hands; every handoff that was sent, as it was sent."""
    held = [trading.opened(n % 4, goods[n]) for n in range(len(goods))]
    trading.send(*(call for call, _, _ in held))
    keys, sent = [key for _, _, key in held], []
    for step in (1, 2):
        trading.now += DAY
        batch = []
        for n, (_, unit, _) in enumerate(held):
            handoff, keys[n] = trading.handed(unit, step, (n + step - 1) % 4, keys[n], (n + step) % 4, goods[n])
            batch.append(handoff)
        batch = mix(batch, trading.random)
        trading.send(trading.call("handOffMany", [h.arguments for h in batch], True))
        sent += batch
    trading.send(trading.call("certify", trading.units))
    return sent


# The sweep


def everything(trading: Trading) -> dict[str, bytes]:
    """All that the chain holds, by where: calldata and deploy arguments, logs, storage, headers, the file itself."""
    node = trading.chain._node
    found: dict[str, bytes] = {}
    for number in range(trading.chain.head().number + 1):
        block = node.ask("eth_getBlockByNumber", hex(number), True)
        found[f"header {number}"] = b"".join(trading.chain.headers(number, number))
        for transaction in block["transactions"]:
            found[f"input of {transaction['hash']} to {transaction['to']}"] = bytes.fromhex(transaction["input"][2:])
        for log in node.ask("eth_getLogs", {"fromBlock": hex(number), "toBlock": hex(number)}):
            words = "".join(word[2:] for word in [*log["topics"], log["data"]])
            found[f"log {number}.{log['logIndex']} of {log['address']}"] = bytes.fromhex(words)
    layout = {entry["name"]: entry["slot"] for entry in artifact_layout()}
    for unit in trading.units:
        slot = int.from_bytes(keccak(unit + layout["_units"].to_bytes(32)))
        for at in (slot, slot + 1):
            word = node.ask("eth_getStorageAt", "0x" + trading.custody.hex(), hex(at), "latest")
            found[f"slot {at:x} of custody"] = bytes.fromhex(word[2:])
            assert any(found[f"slot {at:x} of custody"])
    # Every node of the state, storage and receipt tries lies in the file, so that no slot is left out.
    for path in trading.path.parent.glob(trading.path.name + "*"):
        found[f"file {path.suffix}"] = path.read_bytes()
    return found


def artifact_layout() -> list[dict[str, Any]]:
    import json

    path = Path(__file__).resolve().parents[2] / "contracts" / "artifacts" / "CustodyLedger.json"
    layout: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["storageLayout"]
    return layout


def spelled(text: str) -> dict[str, bytes]:
    """A text in every spelling in which it might stand on a chain, unsalted hashes among them."""
    raw = text.encode()
    digits = "".join(filter(str.isdigit, text))
    number = int(digits or "0")
    size = (number.bit_length() + 7) // 8
    spellings = {
        "text": raw,
        "lower case": text.lower().encode(),
        "UTF-16": text.encode("utf-16-le"),
        "reversed": raw[::-1],
        "hexadecimal": raw.hex().encode(),
        "Base64": b64encode(raw)[: 4 * (len(raw) // 3)],
        "digits": digits.encode(),
        "packed decimals": bytes.fromhex(digits + "0" * (len(digits) % 2)),
        "number": number.to_bytes(size),
        "number, low byte first": number.to_bytes(size, "little"),
        "end of Keccak": keccak(raw)[12:],
        "start of Keccak": keccak(raw)[:20],
        "SHA-256": sha256(raw).digest(),
        "SHA-256 twice": sha256(sha256(raw).digest()).digest(),
        "SHA-1": sha1(raw).digest(),
        "MD5": md5(raw).digest(),
    }
    # Less than four bytes stand everywhere by chance.
    return {how: value for how, value in spellings.items() if len(value) >= 4}


def canaries(goods: Iterable[Shipment]) -> dict[str, bytes]:
    texts = [text for one in goods for text in (one.sscc, f"urn:epc:id:sscc:{one.sscc}", one.part, one.lot)]
    texts += [one.sscc.replace(".", "") for one in goods] + [str(one.quantity) for one in goods]
    return {f"{text} as {how}": value for text in texts for how, value in spelled(text).items()}


def swept(places: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[str]:
    return [f"{what} in {where}" for where, data in places.items() for what, value in wanted.items() if value in data]


def test_the_chain_holds_no_identifier_no_part_number_and_no_quantity(trading: Trading) -> None:
    goods = shipments(12)
    trade(trading, goods)
    places = everything(trading)
    assert len([where for where in places if where.startswith("log")]) >= 12 + 24 + 12
    assert swept(places, canaries(goods)) == []
    names = {text: text.encode() for did in DIDS for text in (did, did.removeprefix("did:web:"))}
    assert swept(places, names) == []
    secrets = {f"secret {n}": secret for n, secret in enumerate(trading.secrets)}
    assert len(secrets) > 100
    assert swept(places, secrets) == []


def test_custody_never_names_a_member_or_one_of_its_keys(trading: Trading) -> None:
    sent = trade(trading, shipments(8))
    places = {where: data for where, data in everything(trading).items() if trading.custody.hex() in where}
    assert len(places) > 20
    members = {
        f"{what} of {p.name}": value
        for p in trading.members
        for what, value in {
            "id": p.id,
            "root": p.root.address,
            "next": p.next_root.address,
            "key": p.signing.address,
        }.items()
    }
    assert swept(places, members) == []
    # and an address takes one unit once, and gives it away once
    for used in ([h.offer.giver for h in sent], [h.offer.taker for h in sent]):
        assert len(set(used)) == len(used)


@pytest.mark.parametrize("leak", ["in the open", "hashed without salt"])
def test_the_sweep_finds_what_a_careless_member_lets_slip(trading: Trading, leak: str) -> None:
    (shipment,) = shipments(1)
    key, plain = trading.address(0), shipment.sscc.encode()
    slip = plain.ljust(32, b"\0") if leak == "in the open" else sha256(plain).digest()
    opening = Opening(key.address, slip, common_deadline(trading.now, DAY))
    trading.send(trading.call("open", *opening.sign(key, trading.domain)))
    found = swept(everything(trading), canaries([shipment]))
    assert any("in input" in place for place in found)
    assert any("in log" in place for place in found)
    assert any("in file" in place for place in found)


def test_calldata_of_handoffs_holds_what_the_attacker_is_given_and_no_more(trading: Trading) -> None:
    sent = trade(trading, shipments(6))
    batches = []
    for where, data in everything(trading).items():
        if where.startswith("input") and data[:4] == trading.call("handOffMany", [], True)[:4]:
            decoded, _ = decode([f"{HAND_OFF}[]", "bool"], data[4:])
            handoffs = [(*a[:2], bytes.fromhex(a[2][2:]), bytes.fromhex(a[3][2:]), *a[4:]) for a in decoded]
            assert data == trading.call("handOffMany", handoffs, True)  # nothing hides between the values
            batches += handoffs
    assert batches == [handoff.arguments for handoff in sent]


# The guess


def worst(found: Mapping[str, float]) -> tuple[float, str]:
    return max((gain, how) for how, gain in found.items())


def test_the_attacker_finds_out_a_relay_that_sends_at_once_or_lets_addresses_be_used_twice() -> None:
    random = Random(1)
    hourly = simulate(1_500, in_shifts(12, random), Relay(HOUR, HOUR), random)
    assert gains(hourly, random, {"hour"})["taker: groups of one hour"] > 0.5
    reused = simulate(1_500, diverse(12, random), Relay(DAY, WEEK, one_time=False), random)
    assert gains(reused, random, {"address"})["giver: groups of one address"] > 0.5


def test_who_knows_every_share_of_volume_gains_nothing_from_the_chain() -> None:
    random = Random(1)
    trade = simulate(1_500, diverse(12, random), Relay(DAY, WEEK), random)
    gain, how = worst(gains(trade, random, {"address", "hour", "weekday", "place", "wait"}))
    assert gain <= 0.01, how


@pytest.mark.full
@pytest.mark.parametrize("schedules", [diverse, in_shifts])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_knows_every_share_of_volume_gains_at_most_a_hundredth_in_10000_handoffs(seed: int, schedules: Any) -> None:
    random = Random(seed)
    trade = simulate(10_000, schedules(12, random), Relay(DAY, WEEK), random)
    gain, how = worst(gains(trade, random))
    assert gain <= 0.01, how
    # Nor does knowing every schedule help: the draw over a week has no hours and no weekdays.
    assert gain_of_an_insider(trade, random) <= 0.015
