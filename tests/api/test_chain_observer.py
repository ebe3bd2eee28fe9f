"""Who reads nothing but the chain of a running service finds nothing of what its members' gateways said and did."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ledger_service.chain.embedded import EmbeddedChain
from ledger_service.handoffs import HandOff, Opening, common_deadline
from ledger_service.keys import keccak, to_hex
from ledger_service.store.tables import content
from tests.api.gateways import SHAFT, Yard, plate, yard
from tests.api.house import NAMES, served
from tests.consortium import key, member_id
from tests.contracts.test_custody_observer import spelled, swept

PALLETS = range(41_701, 41_705)
DUERO, NORDRAND, HAVELMARK = NAMES[2], NAMES[1], NAMES[0]


@dataclass(frozen=True)
class Observed:
    """A service whose members have traded, with its chain's file."""

    yard: Yard
    chain: EmbeddedChain
    file: Path

    def places(self) -> dict[str, bytes]:
        """All that the chain holds, by where: calldata and deploy arguments, logs, headers, and the file itself."""
        node = self.chain._node
        found: dict[str, bytes] = {}
        for number in range(self.chain.head().number + 1):
            block = node.ask("eth_getBlockByNumber", hex(number), True)
            found[f"header {number}"] = b"".join(self.chain.headers(number, number))
            for transaction in block["transactions"]:
                found[f"input of {transaction['hash']}"] = bytes.fromhex(transaction["input"][2:])
            for log in node.ask("eth_getLogs", {"fromBlock": hex(number), "toBlock": hex(number)}):
                words = "".join(word[2:] for word in [*log["topics"], log["data"]])
                found[f"log {number}.{log['logIndex']}"] = bytes.fromhex(words)
        for path in self.file.parent.glob(self.file.name + "*"):  # every slot of storage is in it
            found[f"file {path.suffix}"] = path.read_bytes()
        return found

    def said(self) -> list[dict[str, Any]]:
        """The contents of all statements that the service holds."""
        with self.yard.house.network.ledger.store.read() as connection:
            rows = connection.execute(sa.select(content.c.content)).scalars()
            return [json.loads(one) for one in rows if one is not None]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Pallets of Duero's: two accepted by Nordrand, one of them handed on and ended, one refused, one withdrawn."""
    folder = tmp_path_factory.mktemp("network")
    one, two, refused, back = PALLETS
    with (
        served(folder, custody_release_interval_seconds=0, custody_release_spread_seconds=0) as house,
        yard(house, tmp_path_factory.mktemp("yard")) as made,
    ):
        made.introduce(DUERO, NORDRAND, HAVELMARK, each=8)
        duero, nordrand, havelmark = (made.gateway(name) for name in (DUERO, NORDRAND, HAVELMARK))
        first = made.offer(DUERO, NORDRAND, "DN80417731", one, two, quantity="4179")
        damaged = [{"unit": plate(one), "what": "damaged", "part": SHAFT, "quantity": "3917", "uom": "H87"}]
        nordrand.accept(first, basis="counted", discrepancies=damaged)
        nordrand.push()
        nordrand.refuse(made.offer(DUERO, NORDRAND, "DN80417732", refused), "not ordered at all")
        nordrand.push()
        duero.follow()
        duero.withdraw(made.offer(DUERO, NORDRAND, "DN80417733", back))
        duero.push()
        havelmark.accept(made.offer(NORDRAND, HAVELMARK, "DN5000188213", two))
        havelmark.push()
        havelmark.close([plate(two)], [member_id(NORDRAND)])
        havelmark.push()
        relaying = house.network.relaying
        for _ in range(50):
            relaying.run(house.clock.now)
            waiting = [one for unit in units(made) for one in relaying.waiting(unit)]
            if not any(one.state in ("waiting", "sent") for one in waiting):
                break
        house.anchor()
        chain = house.network.ledger.anchoring.chain
        assert isinstance(chain, EmbeddedChain)
        yield Observed(made, chain, folder / "chain.sqlite")


def units(made: Yard) -> list[bytes]:
    """The pallets' units of the chain."""
    held = [made.gateway(name).book.unit_of(plate(one)) for name in (DUERO, NORDRAND) for one in PALLETS]
    return sorted({one.unit for one in held if one is not None})


def texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text and number in a content, with the name of its member."""
    if isinstance(value, dict):
        for inner, one in value.items():
            yield from texts(one, inner)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one, name)
    elif isinstance(value, (str, int)) and not isinstance(value, bool):
        yield name, str(value)


ON_CHAIN = frozenset({"chain", "custodian", "addresses", "to", "taker", "despatch", "corrects"})
"""Members that hold what the chain has to have: units, addresses, ids of members and statements; looked at apart."""


def canaries(contents: list[dict[str, Any]]) -> dict[str, bytes]:
    """What statements say, in every spelling: identifiers, parts, batches, quantities, documents, reasons."""
    found = {text for one in contents for name, text in texts(one) if name not in ON_CHAIN and len(text) >= 4}
    found |= {text.rsplit("/", 1)[-1] for text in found if "/" in text} | {plate(one)[14:] for one in PALLETS}
    wanted: dict[str, bytes] = {}
    for text in sorted(found):
        wanted |= {f"{text} as {how}": value for how, value in spelled(text).items()}
    return wanted


def test_the_chain_of_a_running_service_holds_nothing_that_was_said(observed: Observed) -> None:
    places, contents = observed.places(), observed.said()
    kinds = [name for one in contents for name in ("units", "addresses") if name in one]
    assert len(kinds) > 10
    assert len([where for where in places if where.startswith("log")]) > 15
    wanted = canaries(contents)
    for word in ("DN80417731", "L2609", "4179", "3917", plate(41_701), SHAFT):
        assert any(what.startswith(word) for what in wanted), word
    assert swept(places, wanted) == []
    secrets = [unit["secret"] for one in contents for unit in one.get("units", ()) if "secret" in unit]
    assert len(secrets) == len(PALLETS)
    assert swept(places, {one: bytes.fromhex(one[2:]) for one in secrets}) == []


def test_custody_on_the_chain_names_no_member_no_key_and_no_address_twice(observed: Observed) -> None:
    custody = observed.yard.house.network.trust().custody
    node = observed.chain._node
    logs = node.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": to_hex(custody)})
    words = ["".join(word[2:] for word in [*one["topics"], one["data"]]) for one in logs]
    assert len(words) == 10, "four openings, five handoffs, one of them a refusal taken back, and an end"
    places = {f"log {at}": bytes.fromhex(one) for at, one in enumerate(words)}
    for number in range(observed.chain.head().number + 1):
        for sent in node.ask("eth_getBlockByNumber", hex(number), True)["transactions"]:
            if sent["to"] == to_hex(custody):
                places[f"input of {sent['hash']}"] = bytes.fromhex(sent["input"][2:])
    assert len(places) > len(words)
    wanted: dict[str, bytes] = {}
    for name in NAMES:
        wanted[f"id of {name}"] = member_id(name)
        wanted[f"key of {name}"] = key(name).address
        wanted[f"root of {name}"] = key(f"{name} root").address
        wanted |= spelled_name(name)
    assert swept(places, wanted) == []
    everywhere = observed.places()
    assert swept(everywhere, {what: one for name in NAMES for what, one in spelled_name(name).items()}) == []
    taken = observed.yard.house.network.relaying.taken(units(observed.yard))
    offers = [one.step.offer for steps in taken.values() for one in steps if isinstance(one.step, HandOff)]
    assert len(offers) >= 5
    for side in ([one.giver for one in offers], [one.taker for one in offers]):
        assert len(set(side)) == len(side)


def spelled_name(name: str) -> dict[str, bytes]:
    """A member's public name, as such and hashed without the network's salt."""
    did = f"did:web:{name}.example.org"
    return {did: did.encode(), f"{did} hashed": keccak(did.encode()), f"{name}.example": f"{name}.example".encode()}


@pytest.mark.parametrize("leak", ["a plate in the open", "a plate hashed without salt", "a quantity beside a number"])
def test_the_same_sweep_finds_what_is_planted(observed: Observed, leak: str) -> None:
    signer = key(f"careless {leak}")
    slip = {
        "a plate in the open": plate(41_701)[14:].encode(),
        "a plate hashed without salt": keccak(plate(41_701).encode()),
        "a quantity beside a number": b"DN80417731 4179",
    }[leak]
    house = observed.yard.house
    step = Opening(signer.address, slip.ljust(32, b"\0"), common_deadline(house.clock.seconds(), 86_400))
    calldata = b"".join(one for one in step.sign(signer, house.network.relaying.domain) if isinstance(one, bytes))
    found = swept({**observed.places(), "calldata of a careless member": calldata}, canaries(observed.said()))
    assert found
    assert all("careless" in one for one in found)
