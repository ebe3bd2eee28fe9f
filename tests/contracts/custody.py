"""Custody on the consortium's chain: parties with one-time addresses, and what they sign to hand units on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode

from ledger_service.handoffs import Closing, CustodyDomain, CustodySeed, HandOff, Offer, Opening, next_head
from ledger_service.keys import LocalKey, keccak
from tests.contracts.network import DAY, Network, Refusal, address

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS = {
    "Opened": ("bytes32", "address", "bytes32", "uint64", "bytes32"),
    "HandedOff": ("bytes32", "uint64", "address", "address", "bytes32", "bytes32", "uint64", "bytes32"),
    "HandOffRefused": ("bytes32", "uint64", "uint256", "bytes"),
    "Closed": ("bytes32", "uint64", "address", "bytes32", "uint64", "bytes32"),
    "Certified": ("bytes32", "address", "uint64", "bool", "bytes32"),
}
TOPICS = {keccak(f"{name}({','.join(types)})".encode()): name for name, types in EVENTS.items()}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a unit stands: as the contract says it, or as a model expects it."""

    custodian: bytes = bytes(20)
    sequence: int = 0
    is_closed: bool = False
    head: bytes = bytes(32)


class Custody:
    """A custody ledger on `network`, whose relayer sends."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.ledger = network.deploy("CustodyLedger", network.registry.address)
        self.functions: Any = self.ledger.functions
        self.domain = CustodyDomain(network.w3.eth.chain_id, address(self.ledger.address))

    def key(self, member: str, counter: int = 0) -> LocalKey:
        """One-time key number `counter` of `member`."""
        return CustodySeed(keccak(member.encode())).key(self.domain, counter)

    def do(self, function: Any) -> list[tuple[str, tuple[Any, ...]]]:
        """Have the relayer send `function`; the events, by name and values."""
        return self.events(self.network.do(function, self.network.relayer))

    def events(self, receipt: Any) -> list[tuple[str, tuple[Any, ...]]]:
        """What a transaction told."""
        found = []
        for log in receipt["logs"]:
            name = TOPICS[bytes(log["topics"][0])]
            values = decode(EVENTS[name][1:], bytes(log["data"]))
            plain = (address(v) if t == "address" else v for t, v in zip(EVENTS[name][1:], values, strict=True))
            found.append((name, (bytes(log["topics"][1]), *plain)))
        return found

    def refusal(self, function: Any) -> Refusal:
        """How `function` would be refused to the relayer."""
        return self.network.refusal(function, self.network.relayer)

    def reason(self, data: bytes) -> Refusal:
        """The error in `data`, as an event or another error carries it."""
        name, types = self.network.selectors[data[:4]]
        values = decode(types, data[4:])
        return Refusal(name, tuple(address(v) if t == "address" else v for t, v in zip(types, values, strict=True)))

    def rehearse(self, *handoffs: HandOff) -> list[Refusal | None]:
        """What would come of each handoff of a batch."""
        call = self.many(*handoffs).call({"from": self.network.relayer, "gas": 20_000_000})
        return [self.reason(data) if data else None for data in call]

    def opening(self, custodian: LocalKey, what: str = "unit", lifetime: int = DAY) -> Opening:
        return Opening(custodian.address, keccak(what.encode()), self.network.time + lifetime)

    def open(self, custodian: LocalKey, what: str = "unit") -> bytes:
        """A unit that `custodian` has opened."""
        opening = self.opening(custodian, what)
        self.do(self.functions.open(*opening.sign(custodian, self.domain)))
        return opening.unit

    def handoff(
        self, unit: bytes, sequence: int, giver: LocalKey, taker: LocalKey, what: str = "", lifetime: int = DAY
    ) -> HandOff:
        """Step `sequence` of `unit` as both sign it."""
        offered, accepted = keccak(f"offer {what}".encode()), keccak(f"acceptance {what}".encode())
        offer = Offer(unit, sequence, giver.address, taker.address, offered, self.network.time + lifetime)
        return HandOff.complete(offer, offer.sign(giver, self.domain), accepted, taker, self.domain)

    def bent(
        self, handoff: HandOff, *, gives: LocalKey | None = None, takes: LocalKey | None = None, **changes: Any
    ) -> HandOff:
        """`handoff` with other values in its offer, signed anew as giver and as taker by those that are named."""
        offer = replace(handoff.offer, **changes)
        bent = replace(handoff, offer=offer)
        if gives is not None:
            bent = replace(bent, giver_signature=gives.sign(self.domain.digest(offer.struct_hash)))
        if takes is not None:
            bent = replace(bent, taker_signature=takes.sign(self.domain.digest(bent.struct_hash)))
        return bent

    def one(self, handoff: HandOff) -> Any:
        return self.functions.handOff(handoff.arguments)

    def many(self, *handoffs: HandOff, all_or_nothing: bool = False) -> Any:
        return self.functions.handOffMany([handoff.arguments for handoff in handoffs], all_or_nothing)

    def close(self, closing: Closing, key: LocalKey) -> Any:
        """The call that closes, signed by `key` whoever it is."""
        signature = key.sign(self.domain.digest(closing.struct_hash))
        return self.functions.close(closing.unit, closing.sequence, closing.statement, closing.deadline, signature)

    def standing(self, unit: bytes) -> Standing:
        custodian, sequence, is_closed, head = self.functions.standing(unit).call()
        return Standing(address(custodian), sequence, is_closed, head)

    def head_after(self, head: bytes, struct_hash: bytes) -> bytes:
        """The head after a step that the latest block took."""
        return next_head(head, struct_hash, self.network.block, self.network.time)


def many_units(custody: Custody, count: int) -> Sequence[HandOff]:
    """First handoffs of `count` units, all opened."""
    found = []
    for n in range(count):
        giver, taker = custody.key("foundry", n), custody.key("gearbox", n)
        found.append(custody.handoff(custody.open(giver, f"unit {n}"), 1, giver, taker, str(n)))
    return found
