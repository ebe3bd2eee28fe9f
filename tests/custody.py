"""Records of custody written in words, for tests: who says what about which pallet, and which steps the chain took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from ledger_service.custody import Clock, Custody, Fact, Policy, Step, fold
from ledger_service.handoffs import commitment, unit_id
from ledger_service.identifiers import identify
from ledger_service.keys import keccak, to_hex

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_789_984_800_000
"""2026-09-21 10:00 UTC."""
SHAFT = "https://id.gs1.org/01/09521004100011"


def member_id(name: str) -> bytes:
    return keccak(f"did:web:{name}.example.org".encode() + b"test salt")


def pallet(number: int) -> str:
    """The licence plate of a pallet: no check digits to work out."""
    return f"licence-plate:UN049505160P{number:05d}"


def address(name: str) -> bytes:
    return sha256(f"address {name}".encode()).digest()[:20]


def first_custodian(thing: str, generation: int = 0) -> bytes:
    return address(f"first of {thing} {generation}")


def unit_secret(thing: str, generation: int = 0) -> bytes:
    return sha256(f"secret of {thing} {generation}".encode()).digest()


def chain_unit(thing: str, generation: int = 0) -> bytes:
    found = identify(thing)
    assert found is not None
    return unit_id(first_custodian(thing, generation), commitment(found.key, unit_secret(thing, generation)))


def opened_unit(thing: str, generation: int = 0) -> dict[str, Any]:
    """A unit as an opening names it."""
    return {
        "id": thing,
        "chain": to_hex(chain_unit(thing, generation)),
        "custodian": to_hex(first_custodian(thing, generation)),
        "secret": to_hex(unit_secret(thing, generation)),
    }


def clock_text(time: int) -> str:
    """`time` in ms as partners write it."""
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Record:
    """A record that grows; `hour` counts from START. Everything is registered ten minutes after it happened."""

    facts: list[Fact] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    on_chain: bool = True
    numbers: dict[str, int] = field(default_factory=dict)
    custodians: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    def say(
        self,
        issuer: str,
        kind: str,
        content: Mapping[str, Any] | None,
        hour: float,
        *,
        late: float = 0,
        stream: str | None = None,
        number: int | None = None,
        **flags: bool,
    ) -> Fact:
        name = stream or f"stream of {issuer}"
        number = self.numbers.get(name, 0) + 1 if number is None else number
        self.numbers[name] = max(number, self.numbers.get(name, 0))
        time = START + int(hour * HOUR)
        registered = time + 10 * MINUTE + int(late * HOUR)
        said = None if content is None else {"to": [], **content}
        fact = Fact(
            id=sha256(f"{name} {number} {len(self.facts)}".encode()).digest(),
            issuer=member_id(issuer),
            kind=kind,
            stream=sha256(name.encode()).digest(),
            sequence=number,
            issued_at=time,
            registered_at=registered,
            anchored_at=registered + 2 * MINUTE,
            content=said,
            **flags,
        )
        self.facts.append(fact)
        return fact

    def open(self, owner: str, thing: str, hour: float, *, generation: int = 0, continues: int | None = None) -> Fact:
        """The unit of `thing` on the chain, and what its owner says of it."""
        entry = opened_unit(thing, generation)
        if continues is not None:
            entry["continues"] = to_hex(chain_unit(thing, continues))
        self.step(thing, hour, None, first_custodian(thing, generation), unit=chain_unit(thing, generation))
        content = {"openedAt": clock_text(START + int(hour * HOUR)), "units": [entry]}
        return self.say(owner, "opening", content, hour)

    def step(
        self,
        thing: str,
        hour: float,
        offer: bytes | None,
        taker: bytes | None,
        acceptance: bytes | None = None,
        *,
        unit: bytes | None = None,
        reason: bytes | None = None,
    ) -> Step:
        """The next step of the thing's unit, in a block half an hour after the fact."""
        if unit is not None:
            giver, sequence = None, 0
        else:
            unit = next(one.unit for one in reversed(self.steps) if one.unit in self._units_of(thing))
            known, last = self.custodians[unit.hex()]
            giver, sequence = known, last + 1
        step = Step(
            unit,
            sequence,
            giver,
            taker,
            offer,
            acceptance,
            reason,
            block=100 + len(self.steps),
            time=START + int(hour * HOUR) + 30 * MINUTE,
        )
        self.custodians[unit.hex()] = (taker or giver or b"", sequence)
        self.steps.append(step)
        return step

    def _units_of(self, thing: str) -> list[bytes]:
        return [chain_unit(thing, generation) for generation in range(3)]

    def offer(
        self,
        giver: str,
        taker: str,
        things: Sequence[str],
        hour: float,
        *,
        quantity: str | None = "60",
        deadline: float = 72,
        number: str | None = None,
        corrects: Fact | None = None,
        late: float = 0,
        stream: str | None = None,
        legs: Sequence[tuple[str, str]] = (),
        carrier_for: str | None = None,
        chain: int | None = None,
        is_shown: bool = True,
        **flags: bool,
    ) -> Fact:
        """A despatch that its taker sees, unless it is not shown."""
        contents = [] if quantity is None else [{"part": SHAFT, "quantity": quantity, "uom": "H87"}]
        units: list[dict[str, Any]] = [{"id": thing, "contents": contents} for thing in things]
        for unit in units if chain is not None else ():
            unit["chain"] = to_hex(chain_unit(unit["id"], chain or 0))
        time = START + int(hour * HOUR)
        content: dict[str, Any] = {
            "to": [to_hex(member_id(taker))] if is_shown else [],
            "document": {"type": "delivery-note", "number": number or f"{giver}-{len(self.facts)}"},
            "taker": to_hex(member_id(taker)),
            "despatchedAt": clock_text(time),
            "deadline": clock_text(time + int(deadline * HOUR)),
            "units": units,
        }
        if legs:
            content["legs"] = [
                {"giver": to_hex(member_id(a)), "taker": to_hex(member_id(b)), "from": "DEDUI", "to": "DEGOE"}
                for a, b in legs
            ]
        if carrier_for is not None:
            content["carrier"] = {"name": "Spedition Beispiel", "for": to_hex(member_id(carrier_for))}
        if corrects is not None:
            content["corrects"] = to_hex(corrects.id)
        return self.say(giver, "despatch", content, hour, late=late, stream=stream, **flags)

    def receipt(
        self,
        taker: str,
        offer: Fact | bytes,
        things: Sequence[str],
        hour: float,
        *,
        outcome: str = "accepted",
        discrepancies: Sequence[dict[str, Any]] = (),
        received: float | None = None,
        corrects: Fact | None = None,
        basis: str = "scanned",
        late: float = 0,
        automatic: str | None = None,
    ) -> Fact:
        content: dict[str, Any] = {
            "document": {"type": "goods-receipt", "number": f"{taker}-{len(self.facts)}"},
            "despatch": to_hex(offer if isinstance(offer, bytes) else offer.id),
            "receivedAt": clock_text(START + int((hour if received is None else received) * HOUR)),
            "outcome": "accepted-with-discrepancies" if discrepancies else outcome,
            "basis": basis,
            "units": list(things),
        }
        if discrepancies:
            content["discrepancies"] = list(discrepancies)
        if automatic is not None:
            content["automatic"] = {"tolerance": automatic}
        if outcome == "refused":
            content["reason"] = "not ordered"
        if corrects is not None:
            content["corrects"] = to_hex(corrects.id)
        return self.say(taker, "receipt", content, hour, late=late)

    def hand_over(
        self, giver: str, taker: str, things: Sequence[str], hour: float, hours: float = 5, **offer: Any
    ) -> tuple[Fact, Fact]:
        """Offer, receipt and, where the things are on the chain, its steps."""
        given = self.offer(giver, taker, things, hour, **offer)
        taken = self.receipt(taker, given, things, hour + hours)
        self.settle(given, taken, things, hour + hours)
        return given, taken

    def settle(self, given: Fact, taken: Fact, things: Sequence[str], hour: float) -> None:
        if self.on_chain:
            for thing in things:
                self.step(thing, hour, given.id, address(f"{taken.id.hex()} {thing}"), taken.id)

    def scan(
        self, issuer: str, things: Sequence[str], hour: float, *, late: float = 0, name: str | None = None, **more: Any
    ) -> Fact:
        event = {"type": "ObjectEvent", "action": "OBSERVE", "epcList": list(things), **more}
        return self.event(issuer, event, hour, late=late, name=name)

    def pack(
        self, issuer: str, parent: str, children: Sequence[str], hour: float, *, action: str = "ADD", **more: Any
    ) -> Fact:
        event = {"type": "AggregationEvent", "action": action, "parentID": parent, "childEPCs": list(children), **more}
        return self.event(issuer, event, hour)

    def transform(
        self, issuer: str, taken: Sequence[tuple[str, str]], made: Sequence[tuple[str, str]], hour: float
    ) -> Fact:
        """Batches with their quantities into others."""
        lists = [[{"epcClass": thing, "quantity": amount} for thing, amount in side] for side in (taken, made)]
        event = {"type": "TransformationEvent", "inputQuantityList": lists[0], "outputQuantityList": lists[1]}
        return self.event(issuer, event, hour)

    def event(
        self, issuer: str, event: dict[str, Any], hour: float, *, late: float = 0, name: str | None = None
    ) -> Fact:
        time = clock_text(START + int(hour * HOUR))
        body = {**event, "eventTime": time, "eventTimeZoneOffset": "+00:00"}
        if name is not None:
            body["eventID"] = name
        return self.say(issuer, "epcis-event", {"event": body, "context": []}, hour, late=late)

    def fold(self, policy: Policy | None = None, *, hour: float = 24 * 30, clock: Clock = Clock.REGISTERED) -> Custody:
        return fold(self.facts, self.steps, policy or Policy(), at=START + int(hour * HOUR), clock=clock)
