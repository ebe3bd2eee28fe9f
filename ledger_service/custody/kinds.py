"""What partners say when goods change hands: one dataclass per kind of statement, read strictly from its content. Pure.

Reading is checking: `parse` raises MalformedInput with a pointer to the first thing that is wrong. What happens to
units between handoffs (packing, unpacking, splitting, merging, making one thing of others) comes as EPCIS
AggregationEvent and TransformationEvent, in statements of kind `epcis-event`: partners' systems write these already,
and a second way of saying the same would be a second truth. `docs/formats.md` section 3 has a schema and an example
of each kind.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any, Self

from ledger_service.errors import MalformedInput
from ledger_service.handoffs import commitment, unit_id
from ledger_service.identifiers import Identifier, MalformedIdentifier, identify
from ledger_service.instants import instant
from ledger_service.keys import from_hex

SINGLE_KINDS = frozenset({"sscc", "sgtin", "licence-plate", "part-serial", "grai", "giai", "itip", "cpi"})
"""Identifiers of one thing, which is in one place; a batch may be in many."""
BATCH_KINDS = frozenset({"lgtin", "gtin", "part-batch"})
UNIT_KINDS = SINGLE_KINDS | {"lgtin", "part-batch"}
PIECE_UNITS = frozenset({"C62", "EA", "H87", "NAR", "PCE", "SET"})
"""Units of measure (UN/ECE Recommendation 20) in which nobody has half of one."""
CLOCK_TOLERANCE_MS = 5 * 60 * 1000
"""How far a stated time may run ahead of our clock."""
MAX_ITEMS = 1000
MAX_DIGITS = 40
DAY_MS = 86_400_000
MAX_DAYS_UNDER_WAY = 366
"""How long after its despatch anything is said to arrive at most."""

_DECIMAL = re.compile(r"(?:0|[1-9]\d*)(?:\.\d*[1-9])?", re.ASCII)
_UOM = re.compile(r"[A-Z0-9]{2,3}", re.ASCII)
_LOCODE = re.compile(r"[A-Z]{2}[A-Z2-9]{3}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\"<>\\^`{|}\x7f]+")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_PART = re.compile(r"did:[a-z0-9]+:[A-Za-z0-9._:%-]+/part/[^/?#\s]+")


class Reader:
    """A JSON object from a partner, read member by member with the place in every complaint."""

    def __init__(self, value: Any, where: str, needed: str, allowed: str = "") -> None:
        if not isinstance(value, dict):
            raise MalformedInput("expected an object", where)
        self._value: Mapping[str, Any] = value
        self._where = where
        missing = [name for name in needed.split() if name not in value]
        if missing:
            raise MalformedInput(f"{', '.join(missing)} is missing", where)
        unknown = sorted(value.keys() - set(needed.split()) - set(allowed.split()))
        if unknown:
            raise MalformedInput(f"{', '.join(unknown)[:80]} means nothing here", where)

    def has(self, name: str) -> bool:
        return name in self._value

    def value(self, name: str) -> Any:
        """What stands there, unchecked."""
        return self._value[name]

    def at(self, name: str) -> str:
        return f"{self._where}/{name}"

    def text(self, name: str, longest: int = 70) -> str:
        value = self._value[name]
        if not isinstance(value, str) or not 0 < len(value) <= longest or value != value.strip():
            raise MalformedInput(f"expected text of 1 to {longest} characters", self.at(name))
        return value

    def text_or_none(self, name: str, longest: int = 70) -> str | None:
        return self.text(name, longest) if self.has(name) else None

    def choice(self, name: str, among: type["Choice"]) -> Any:
        value = self._value[name]
        try:
            return among(value)
        except ValueError:
            known = ", ".join(among)
            raise MalformedInput(f"{str(value)[:40]!r} is none of {known}", self.at(name)) from None

    def hash(self, name: str, size: int = 32) -> bytes:
        return from_hex(self._value[name], size, self.at(name))

    def hash_or_none(self, name: str) -> bytes | None:
        return self.hash(name) if self.has(name) else None

    def time(self, name: str, *, latest: int | None = None) -> int:
        """Milliseconds UTC; raises MalformedInput without an offset, or later than `latest`."""
        value = self._value[name]
        try:
            time = instant(value) if isinstance(value, str) else None
        except (ValueError, OverflowError):
            time = None
        if time is None:
            raise MalformedInput(
                "expected a date and time with its offset, as 2026-09-18T16:10:00+02:00", self.at(name)
            )
        if latest is not None and time > latest:
            raise MalformedInput("lies in the future; correct the clock or the time", self.at(name))
        return time

    def number(self, name: str, *, least: int = 0, most: int = 10_000_000) -> int:
        value = self._value[name]
        if type(value) is not int or not least <= value <= most:
            raise MalformedInput(f"expected a whole number from {least} to {most}", self.at(name))
        return value

    def decimal(self, name: str) -> Fraction:
        value = self._value[name]
        if isinstance(value, int | float):
            raise MalformedInput('a quantity is a decimal string, as "1.5"', self.at(name))
        if not isinstance(value, str) or len(value) > MAX_DIGITS or not _DECIMAL.fullmatch(value):
            raise MalformedInput(
                'expected a decimal string that is not negative, without trailing zeros, as "1.5"', self.at(name)
            )
        return Fraction(value)

    def quantity(self, name: str = "quantity", uom: str = "uom") -> tuple[Fraction, str]:
        """How much, and its unit of measure; pieces are whole."""
        if not self.has(name):
            raise MalformedInput(f"{name} is missing", self.at(name))
        amount, unit = self.decimal(name), self.measure(uom)
        if amount == 0:
            raise MalformedInput("expected a quantity above 0", self.at(name))
        if unit in PIECE_UNITS and amount.denominator != 1:
            raise MalformedInput(f"{unit} counts pieces, and there is no part of a piece", self.at(name))
        return amount, unit

    def measure(self, name: str = "uom") -> str:
        """A unit of measure."""
        unit = self._value.get(name)
        if not isinstance(unit, str) or not _UOM.fullmatch(unit):
            raise MalformedInput("expected a code of UN/ECE Recommendation 20, as H87 or KGM", self.at(name))
        return unit

    def unit(self, name: str = "id") -> Identifier:
        """The unit named, in any spelling of an SSCC, a serial or batch, or a licence plate."""
        return read_unit(self._value[name], self.at(name))

    def place(self, name: str) -> str:
        text = self.text(name, 300)
        found = identify(text, self.at(name))
        if found is not None:
            if found.kind not in {"gln", "sgln", "pgln"}:
                raise MalformedInput(f"a place is named by a GLN, this is a {found.kind}", self.at(name))
            return found.key
        if not _LOCODE.fullmatch(text) and not _URI.fullmatch(text):
            raise MalformedInput("expected a place: a GLN, a UN/LOCODE such as DEDUI, or a URI", self.at(name))
        return text

    def place_or_none(self, name: str) -> str | None:
        return self.place(name) if self.has(name) else None

    def part(self, name: str) -> str:
        text = self.text(name, 300)
        found = identify(text, self.at(name))
        if found is not None and found.kind == "gtin":
            return found.key
        if found is None and _PART.fullmatch(text):
            return text
        raise MalformedInput(
            "expected a part: a GTIN, or its owner's number as did:web:owner.example.org/part/HX-12", self.at(name)
        )

    def child(self, name: str, needed: str, allowed: str = "") -> Self:
        return type(self)(self._value[name], self.at(name), needed, allowed)

    def items(self, name: str, *, least: int = 0) -> list[tuple[str, Any]]:
        value = self._value.get(name, [])
        if not isinstance(value, list) or not least <= len(value) <= MAX_ITEMS:
            raise MalformedInput(f"expected a list of {least} to {MAX_ITEMS}", self.at(name))
        return [(f"{self.at(name)}/{place}", item) for place, item in enumerate(value)]


def read_unit(value: Any, where: str) -> Identifier:
    """The unit that `value` names; raises MalformedIdentifier (wrong check digits among them) or MalformedInput."""
    if not isinstance(value, str):
        raise MalformedInput("expected the identifier of a unit", where)
    found = identify(value, where)
    if found is None:
        advice = f"; write (00){value}" if re.fullmatch(r"\d{18}", value) else ""
        raise MalformedIdentifier(
            f"{value[:60]!r} names no unit: expected an SSCC, a licence plate or a part with serial or batch{advice}",
            where,
        )
    if found.kind not in UNIT_KINDS:
        raise MalformedIdentifier(f"{value[:60]!r} is a {found.kind}, which is no unit that can be handed over", where)
    return found


class Choice(StrEnum):
    """A word out of a fixed list."""


class Outcome(Choice):
    """What a taker says to an offer."""

    ACCEPTED = "accepted"
    WITH_DISCREPANCIES = "accepted-with-discrepancies"
    REFUSED = "refused"


class Basis(Choice):
    """How the taker knows what it received."""

    SCANNED = "scanned"
    COUNTED = "counted"
    LISTED = "listed"


class Deviation(Choice):
    """How what came differs from what was offered."""

    SHORT = "short"
    OVER = "over"
    DAMAGED = "damaged"
    WRONG_PART = "wrong-part"


class Grievance(Choice):
    """What a complaint is about."""

    SHORT = "short"
    OVER = "over"
    DAMAGED = "damaged"
    WRONG_PART = "wrong-part"
    LATE = "late"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class Document:
    """The source document of a fact, in the words of whoever wrote it."""

    type: str
    number: str
    line: str | None
    version: str | None

    @classmethod
    def read(cls, owner: Reader) -> Self:
        reader = owner.child("document", "type number", "line version")
        return cls(
            reader.text("type", 35),
            reader.text("number", 35),
            reader.text_or_none("line", 10),
            reader.text_or_none("version", 10),
        )


@dataclass(frozen=True, slots=True)
class Line:
    """So much of one part, of one batch, in a unit."""

    part: str
    batch: str | None
    quantity: Fraction
    uom: str
    line: str | None

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = Reader(value, where, "part quantity uom", "batch line")
        quantity, uom = reader.quantity()
        batch = reader.text_or_none("batch", 20)
        return cls(reader.part("part"), batch, quantity, uom, reader.text_or_none("line", 10))

    @property
    def lot(self) -> str | None:
        """The key of the batch, the same that an EPCIS event has for it."""
        if self.batch is None:
            return None
        sort = "/10/" if self.part.startswith("https://id.gs1.org/01/") else "/batch/"
        found = identify(f"{self.part}{sort}{self.batch}")
        return None if found is None else found.key


@dataclass(frozen=True, slots=True)
class Consignment:
    """One unit of a despatch: what is in it, and its unit on the chain where it has one."""

    id: Identifier
    contents: tuple[Line, ...]
    chain: bytes | None

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = Reader(value, where, "id", "contents chain")
        contents = tuple(Line.read(item, at) for at, item in reader.items("contents"))
        return cls(reader.unit(), contents, reader.hash_or_none("chain"))


@dataclass(frozen=True, slots=True)
class OpenedUnit:
    """A unit opened on the chain, with the secret that proves which thing it is to whoever sees the identifier."""

    id: Identifier
    contents: tuple[Line, ...]
    chain: bytes
    custodian: bytes
    secret: bytes
    continues: bytes | None

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = Reader(value, where, "id chain custodian secret", "contents continues")
        unit, chain = reader.unit(), reader.hash("chain")
        custodian, secret = reader.hash("custodian", 20), reader.hash("secret")
        if unit_id(custodian, commitment(unit.key, secret)) != chain:
            raise MalformedInput(
                f"not the unit that this custodian opened with this secret for {unit.key}", reader.at("chain")
            )
        contents = tuple(Line.read(item, at) for at, item in reader.items("contents"))
        return cls(unit, contents, chain, custodian, secret, reader.hash_or_none("continues"))


@dataclass(frozen=True, slots=True)
class AgreedLeg:
    """A leg between giver and taker of a despatch on which a member carries the goods on, with a handoff of its own."""

    giver: bytes
    taker: bytes
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Despatch:
    """The giver's offer: these units go to `taker`, who has until `deadline` (ms) to say what it received.

    `arrives` is the day on which they should be there, by the calendar of that place. An empty list of units, in a
    correction, takes the despatch back.
    """

    document: Document
    corrects: bytes | None
    taker: bytes
    despatched_at: int
    deadline: int
    units: tuple[Consignment, ...]
    legs: tuple[AgreedLeg, ...]
    carrier: str | None
    carrier_for: bytes | None
    seal: str | None
    ship_from: str | None
    ship_to: str | None
    arrives: date | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = Reader(
            content,
            where,
            "to document taker despatchedAt deadline units",
            "corrects replaces legs carrier seal shipFrom shipTo arrives",
        )
        corrects = reader.hash_or_none("corrects")
        units = tuple(
            Consignment.read(item, at) for at, item in reader.items("units", least=0 if corrects is not None else 1)
        )
        _once([one.id.key for one in units], reader.at("units"))
        legs = []
        for at, item in reader.items("legs"):
            leg = Reader(item, at, "giver taker from to")
            legs.append(AgreedLeg(leg.hash("giver"), leg.hash("taker"), leg.place("from"), leg.place("to")))
        carrier = reader.child("carrier", "name for") if reader.has("carrier") else None
        despatched_at = reader.time("despatchedAt", latest=latest)
        deadline = reader.time("deadline")
        if deadline < despatched_at:
            raise MalformedInput("the deadline lies before the despatch", reader.at("deadline"))
        return cls(
            document=Document.read(reader),
            corrects=corrects,
            taker=reader.hash("taker"),
            despatched_at=despatched_at,
            deadline=deadline,
            units=units,
            legs=tuple(legs),
            carrier=None if carrier is None else carrier.text("name"),
            carrier_for=None if carrier is None else carrier.hash("for"),
            seal=reader.text_or_none("seal", 35),
            ship_from=reader.place_or_none("shipFrom"),
            ship_to=reader.place_or_none("shipTo"),
            arrives=_arrival(reader, despatched_at) if reader.has("arrives") else None,
        )


@dataclass(frozen=True, slots=True)
class GateArrival:
    """A vehicle came to a gate, with these units as far as somebody looked; it takes nothing over yet."""

    document: Document
    corrects: bytes | None
    arrived_at: int
    place: str
    slot: tuple[int, int] | None
    despatch: bytes | None
    units: tuple[Identifier, ...]
    vehicle: str | None
    seal: str | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = Reader(
            content, where, "to document arrivedAt place", "corrects replaces slot despatch units vehicle seal"
        )
        slot = None
        if reader.has("slot"):
            span = reader.child("slot", "from to")
            slot = (span.time("from"), span.time("to"))
            if slot[0] > slot[1]:
                raise MalformedInput("the slot ends before it begins", reader.at("slot"))
        return cls(
            document=Document.read(reader),
            corrects=reader.hash_or_none("corrects"),
            arrived_at=reader.time("arrivedAt", latest=latest),
            place=reader.place("place"),
            slot=slot,
            despatch=reader.hash_or_none("despatch"),
            units=_units(reader),
            vehicle=reader.text_or_none("vehicle", 35),
            seal=reader.text_or_none("seal", 35),
        )


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """How one unit, or one line of it, differs from the offer; short without a quantity: the unit was not there."""

    unit: Identifier
    what: Deviation
    quantity: Fraction | None
    uom: str | None
    part: str | None
    found: str | None
    line: str | None

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = Reader(value, where, "unit what", "line part found quantity uom")
        what: Deviation = reader.choice("what", Deviation)
        whole = what in (Deviation.SHORT, Deviation.OVER) and not reader.has("quantity") and not reader.has("uom")
        quantity: Fraction | None = None
        uom: str | None = None
        if not whole:
            if not reader.has("quantity"):
                raise MalformedInput("quantity is missing: say how much of it", where)
            if not reader.has("part"):
                raise MalformedInput("part is missing: say of what", where)
            quantity, uom = reader.quantity()
        if what is Deviation.WRONG_PART and not reader.has("found"):
            raise MalformedInput("found is missing: say which part came instead", where)
        return cls(
            unit=reader.unit("unit"),
            what=what,
            quantity=quantity,
            uom=uom,
            part=reader.part("part") if reader.has("part") else None,
            found=reader.part("found") if reader.has("found") else None,
            line=reader.text_or_none("line", 10),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """The taker's answer to the despatch with the id `despatch`, for `units`; `tolerance` if no person gave it."""

    document: Document
    corrects: bytes | None
    despatch: bytes
    received_at: int
    outcome: Outcome
    basis: Basis
    units: tuple[Identifier, ...]
    discrepancies: tuple[Discrepancy, ...]
    tolerance: Fraction | None
    place: str | None
    reason: str | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = Reader(
            content,
            where,
            "to document despatch receivedAt outcome basis units",
            "corrects replaces discrepancies automatic place reason",
        )
        outcome: Outcome = reader.choice("outcome", Outcome)
        discrepancies = tuple(Discrepancy.read(item, at) for at, item in reader.items("discrepancies"))
        if (outcome is Outcome.WITH_DISCREPANCIES) != bool(discrepancies):
            raise MalformedInput(
                "discrepancies come with the outcome accepted-with-discrepancies, and only with it",
                reader.at("discrepancies"),
            )
        if (outcome is Outcome.REFUSED) != reader.has("reason"):
            raise MalformedInput("a refusal, and only a refusal, says its reason", reader.at("reason"))
        units = _units(reader, least=1)
        named = {one.key for one in units}
        for place, one in enumerate(discrepancies):
            if one.unit.key not in named:
                raise MalformedInput(
                    "this unit is not among the units of the receipt", f"{reader.at('discrepancies')}/{place}/unit"
                )
        tolerance = None
        if reader.has("automatic"):
            automatic = reader.child("automatic", "tolerance")
            tolerance = automatic.decimal("tolerance")
            if tolerance >= 1:
                raise MalformedInput("a tolerance is a share below 1", automatic.at("tolerance"))
            measured = all(one.what in (Deviation.SHORT, Deviation.OVER) and one.quantity for one in discrepancies)
            if outcome is Outcome.REFUSED or not measured or (discrepancies and tolerance == 0):
                raise MalformedInput(
                    "only what is within the tolerance is accepted without a person", reader.at("automatic")
                )
        return cls(
            document=Document.read(reader),
            corrects=reader.hash_or_none("corrects"),
            despatch=reader.hash("despatch"),
            received_at=reader.time("receivedAt", latest=latest),
            outcome=outcome,
            basis=reader.choice("basis", Basis),
            units=units,
            discrepancies=discrepancies,
            tolerance=tolerance,
            place=reader.place_or_none("place"),
            reason=reader.text_or_none("reason", 500),
        )


@dataclass(frozen=True, slots=True)
class ComplaintItem:
    """One thing a complaint is about."""

    what: Grievance
    unit: Identifier | None
    part: str | None
    quantity: Fraction | None
    uom: str | None


@dataclass(frozen=True, slots=True)
class Complaint:
    """What was wrong with goods received, said after the receipt; `about` is the id of the despatch or receipt."""

    document: Document
    corrects: bytes | None
    about: bytes
    raised_at: int
    items: tuple[ComplaintItem, ...]
    text: str | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = Reader(content, where, "to document about raisedAt items", "corrects replaces text")
        items = []
        for at, item in reader.items("items", least=1):
            one = Reader(item, at, "what", "unit part quantity uom")
            what: Grievance = one.choice("what", Grievance)
            quantity, uom = one.quantity() if one.has("quantity") or one.has("uom") else (None, None)
            items.append(
                ComplaintItem(
                    what,
                    one.unit("unit") if one.has("unit") else None,
                    one.part("part") if one.has("part") else None,
                    quantity,
                    uom,
                )
            )
        return cls(
            document=Document.read(reader),
            corrects=reader.hash_or_none("corrects"),
            about=reader.hash("about"),
            raised_at=reader.time("raisedAt", latest=latest),
            items=tuple(items),
            text=reader.text_or_none("text", 2000),
        )


@dataclass(frozen=True, slots=True)
class Opening:
    """Units that the issuer holds and has opened on the chain; what `continues` an older one follows a lost seed."""

    corrects: bytes | None
    opened_at: int
    units: tuple[OpenedUnit, ...]

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = Reader(content, where, "to openedAt units", "corrects replaces")
        units = tuple(OpenedUnit.read(item, at) for at, item in reader.items("units", least=1))
        _once([one.id.key for one in units], reader.at("units"))
        for place, one in enumerate(units):
            if one.continues == one.chain:
                raise MalformedInput("a unit cannot continue itself", f"{reader.at('units')}/{place}/continues")
        return cls(reader.hash_or_none("corrects"), reader.time("openedAt", latest=latest), units)


@dataclass(frozen=True, slots=True)
class CustodyAddresses:
    """One-time addresses by which the issuer takes units over from those who see this; each is used once."""

    addresses: tuple[bytes, ...]

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        _ = latest
        reader = Reader(content, where, "to addresses", "replaces")
        addresses = tuple(from_hex(item, 20, at) for at, item in reader.items("addresses", least=1))
        _once([one.hex() for one in addresses], reader.at("addresses"))
        return cls(addresses)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a finding is as it is, said by somebody who was part of it. The finding stays, and is shown as explained."""

    problem: str
    evidence: tuple[str, ...]
    text: str

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        _ = latest
        reader = Reader(content, where, "to finding text", "replaces")
        finding = reader.child("finding", "kind evidence")
        evidence = []
        for at, item in finding.items("evidence", least=1):
            if not isinstance(item, str) or not _EVIDENCE.fullmatch(item):
                raise MalformedInput("expected the id of a statement, or of a step as unit#sequence", at)
            evidence.append(item)
        if evidence != sorted(set(evidence)):
            raise MalformedInput("evidence is sorted and comes once each", finding.at("evidence"))
        return cls(finding.text("kind", 64), tuple(evidence), reader.text("text", 2000))


_EVIDENCE = re.compile(r"0x[0-9a-f]{64}(#(0|[1-9][0-9]{0,15}))?")


def _units(reader: Reader, *, least: int = 0) -> tuple[Identifier, ...]:
    units = tuple(read_unit(item, at) for at, item in reader.items("units", least=least))
    _once([one.key for one in units], reader.at("units"))
    return units


def _arrival(reader: Reader, despatched_at: int) -> date:
    """A day, or a time with offset of which the day counts as it was written; not before the despatch."""
    text = reader.text("arrives", 40)
    if not _DAY.fullmatch(text):
        arrives_at = reader.time("arrives")
        text = text[:10]
        if arrives_at < despatched_at:
            raise MalformedInput("it arrives before it leaves", reader.at("arrives"))
    try:
        arrives = date.fromisoformat(text)
    except ValueError:
        raise MalformedInput("expected a day, as 2026-10-12, or a time with its offset", reader.at("arrives")) from None
    days = (arrives - date(1970, 1, 1)).days - despatched_at // DAY_MS
    # Whoever flies east over the Pacific arrives on the day before.
    if days < -1:
        raise MalformedInput("it arrives before it leaves", reader.at("arrives"))
    if days > MAX_DAYS_UNDER_WAY:
        raise MalformedInput(f"it arrives at most {MAX_DAYS_UNDER_WAY} days after it leaves", reader.at("arrives"))
    return arrives


def _once(keys: list[str], where: str) -> None:
    """Raise MalformedInput if one of `keys` comes twice."""
    if len(set(keys)) == len(keys):
        return
    place = next(place for place, key in enumerate(keys) if key in keys[:place])
    raise MalformedInput("comes twice, maybe in another spelling", f"{where}/{place}")


Parse = Callable[..., Any]

PARSERS: dict[str, Parse] = {
    "despatch": Despatch.parse,
    "gate-arrival": GateArrival.parse,
    "receipt": Receipt.parse,
    "complaint": Complaint.parse,
    "explanation": Explanation.parse,
    "opening": Opening.parse,
    "custody-addresses": CustodyAddresses.parse,
}
"""How the content of each kind is read."""
