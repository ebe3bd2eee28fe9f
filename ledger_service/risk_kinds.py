"""Business facts of the supply network: one dataclass per kind of statement, read strictly from its content. Pure.

Each names its source document and the time as of which it is true; a newer one of the same issuer about the same thing
takes its place. The risk package makes a network of them and does not know this module: what it is given is their
plain fields. `docs/formats.md` section 11 has schema and example of each kind.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Self, TypeVar

from ledger_service.custody.kinds import MAX_DIGITS, PIECE_UNITS, Choice, Document
from ledger_service.custody.kinds import Reader as CustodyReader
from ledger_service.errors import MalformedInput
from ledger_service.identifiers import identify
from ledger_service.keys import from_hex

_LOCODE = re.compile(r"[A-Z]{2}[A-Z2-9]{3}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_DEGREES = re.compile(r"-?(?:0|[1-9]\d{0,2})(?:\.\d{0,6}[1-9])?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_COORDINATE = re.compile(r"-?(?:0|[1-9]\d{0,2})(?:\.\d*[1-9])?", re.ASCII)
MAX_DAYS = 3650
MAX_NAME = 300
MAX_TEXT = 4000
MAX_ORIGINAL = 300_000
"""Characters of a message as it came: as JSON, in which a quotation mark takes two, it still fits an envelope."""
HALF_WAY_ROUND_KM = 20_100
MAX_CENTS = 2**53 - 1
FIRST_YEAR, LAST_YEAR = 1900, 2999
Day = TypeVar("Day", bound=date)


class Reader(CustodyReader):
    """A JSON object of a fact. Sites and parts stand as keys in reports, and keys that are signed are ASCII."""

    def place(self, name: str) -> str:
        return self._ascii(super().place(name), name)

    def part(self, name: str) -> str:
        return self._ascii(super().part(name), name)

    def _ascii(self, key: str, name: str) -> str:
        if not key.isascii():
            raise MalformedInput("write what is not ASCII in percent, as %C3%B6 for ö", self.at(name))
        return key


class SharingLevel(Choice):
    """How much of a supply link its owner shows to those who are not its ends."""

    WITHHELD = "withheld"
    IMPACT_ONLY = "impact-only"
    REGION_AND_CAUSE = "region-and-cause"
    TIER = "tier"
    NAMED = "named"


class Mode(Choice):
    """By what goods travel."""

    SEA = "sea"
    RAIL = "rail"
    ROAD = "road"
    AIR = "air"
    INLAND_WATERWAY = "inland-waterway"


class Passage(Choice):
    """A canal, strait or cape that ships cannot well do without."""

    SUEZ = "suez"
    PANAMA = "panama"
    MALACCA = "malacca"
    SUNDA = "sunda"
    BAB_EL_MANDEB = "bab-el-mandeb"
    HORMUZ = "hormuz"
    GIBRALTAR = "gibraltar"
    BOSPORUS = "bosporus"
    DARDANELLES = "dardanelles"
    GOOD_HOPE = "good-hope"
    MAGELLAN = "magellan"
    BERING = "bering"
    NORTHWEST = "northwest"
    KIEL = "kiel"


class Trigger(Choice):
    """What sets a continuity plan going."""

    REGION = "region"
    SITE = "site"
    PORT = "port"
    LANE = "lane"
    PART = "part"


class AnswerOutcome(Choice):
    """What became of a request for facts with whoever was asked."""

    ANSWERED = "answered"
    FORWARDED = "forwarded"
    DECLINED = "declined"


class Refusal(Choice):
    """Why facts are not given."""

    CONFIDENTIAL = "confidential"
    NOT_KNOWN = "not-known"
    NOT_OURS = "not-ours"
    NO_LONGER = "no-longer"
    TOO_MUCH = "too-much"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Stated:
    """What every fact has: its source document, as of when it is true (ms), and the statement that it corrects."""

    document: Document
    as_of: int
    corrects: bytes | None

    @classmethod
    def read(cls, reader: Reader, latest: int | None) -> Self:
        return cls(Document.read(reader), reader.time("asOf", latest=latest), reader.hash_or_none("corrects"))


def _reader(content: Any, where: str, needed: str, allowed: str = "") -> Reader:
    return Reader(content, where, f"to document asOf {needed}", f"corrects replaces {allowed}")


def _member(reader: Reader, name: str) -> bytes:
    return reader.hash(name)


def _in_our_time(day: Day, where: str) -> Day:
    """`day`, from which days can be counted on: the calendar ends with the year 9999, and whoever came near it would
    stop the figures of all.
    """
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise MalformedInput(f"expected a year from {FIRST_YEAR} to {LAST_YEAR}", where)
    return day


def _day(reader: Reader, name: str) -> date:
    text = reader.text(name, 10)
    try:
        if _DAY.fullmatch(text):
            return _in_our_time(date.fromisoformat(text), reader.at(name))
    except ValueError:
        pass
    raise MalformedInput("expected a day, as 2026-10-12", reader.at(name))


def _amount(reader: Reader, name: str) -> Fraction:
    """A decimal, 0 among them; whole where its unit counts pieces."""
    amount = reader.decimal(name)
    if amount.denominator != 1 and reader.measure() in PIECE_UNITS:
        raise MalformedInput(f"{reader.measure()} counts pieces, and there is no part of a piece", reader.at(name))
    return amount


def _share(reader: Reader, name: str) -> Fraction:
    share = reader.decimal(name)
    if share > 1:
        raise MalformedInput("a share lies between 0 and 1", reader.at(name))
    return share


def _degrees(reader: Reader, name: str, most: int) -> Fraction | None:
    if not reader.has(name):
        return None
    text = reader.text(name, 12)
    if not _DEGREES.fullmatch(text) or abs(Fraction(text)) > most or text == "-0":
        raise MalformedInput(
            f'expected degrees from -{most} to {most} as a decimal string, as "29.87"', reader.at(name)
        )
    return Fraction(text)


def _weekdays(reader: Reader, name: str) -> tuple[int, ...]:
    """ISO 8601 weekdays, 1 (Monday) to 7, in order, once each."""
    days = [item for _, item in reader.items(name, least=1)]
    if any(type(one) is not int or not 1 <= one <= 7 for one in days) or days != sorted(set(days)):
        raise MalformedInput("weekdays are 1 (Monday) to 7, in order and once each", reader.at(name))
    return tuple(days)


@dataclass(frozen=True, slots=True)
class SiteFact:
    """A place of the issuer's where things are made, stored or moved, when it works and how soon it is back."""

    stated: Stated
    site: str
    region: str
    latitude: Fraction | None
    longitude: Fraction | None
    locode: str | None
    weekdays: tuple[int, ...]
    holidays: tuple[date, ...]
    recovery_days: tuple[int, int, int] | None
    name: str | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "site", "name region latitude longitude locode weekdays holidays recoveryDays")
        locode = reader.text_or_none("locode", 5)
        if locode is not None and not _LOCODE.fullmatch(locode):
            raise MalformedInput("expected a UN/LOCODE, as CNNGB", reader.at("locode"))
        latitude, longitude = _degrees(reader, "latitude", 90), _degrees(reader, "longitude", 180)
        if (latitude is None) != (longitude is None):
            raise MalformedInput("a position has latitude and longitude", where)
        holidays = []
        for at, item in reader.items("holidays"):
            if not isinstance(item, str):
                raise MalformedInput("expected a day, as 2026-12-24", at)
            holidays.append(_day(Reader({"day": item}, at, "day"), "day"))
        if holidays != sorted(set(holidays)):
            raise MalformedInput("holidays are in order and come once each", reader.at("holidays"))
        recovery = None
        if reader.has("recoveryDays"):
            days = reader.child("recoveryDays", "least likely most")
            recovery = (
                days.number("least", most=MAX_DAYS),
                days.number("likely", most=MAX_DAYS),
                days.number("most", most=MAX_DAYS),
            )
            if not recovery[0] <= recovery[1] <= recovery[2]:
                raise MalformedInput("the likely time lies between the least and the most", reader.at("recoveryDays"))
        return cls(
            stated=Stated.read(reader, latest),
            site=reader.place("site"),
            region=reader.text_or_none("region") or "",
            latitude=latitude,
            longitude=longitude,
            locode=locode,
            weekdays=_weekdays(reader, "weekdays") if reader.has("weekdays") else (1, 2, 3, 4, 5),
            holidays=tuple(holidays),
            recovery_days=recovery,
            name=reader.text_or_none("name"),
        )


@dataclass(frozen=True, slots=True)
class PartFact:
    """A part under its number, what it is counted in, and the numbers that others have for the same part."""

    stated: Stated
    part: str
    uom: str
    same_as: tuple[str, ...]
    name: str | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "part uom", "name sameAs")
        part, others = reader.part("part"), []
        for at, item in reader.items("sameAs"):
            others.append(Reader({"part": item}, at, "part").part("part"))
        if len({part, *others}) != len(others) + 1:
            raise MalformedInput("one number comes twice, maybe in another spelling", reader.at("sameAs"))
        name = reader.text_or_none("name")
        return cls(Stated.read(reader, latest), part, reader.measure(), tuple(sorted(others)), name)


@dataclass(frozen=True, slots=True)
class BillOfMaterialFact:
    """What a site needs to make one of a part: (part, amount, unit of measure).

    `essential` says of some of them whether nothing can be made without it, (part, yes or no); of the rest nobody has.
    """

    stated: Stated
    site: str
    part: str
    needs: tuple[tuple[str, Fraction, str], ...]
    essential: tuple[tuple[str, bool], ...] = ()

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "site part needs")
        part, needs, essential = reader.part("part"), [], []
        for at, item in reader.items("needs", least=1):
            need = Reader(item, at, "part quantity uom", "essential")
            # Unlike goods handed over, what goes into one may be a part of a piece: 9.6 magnets on the average.
            amount = need.decimal("quantity")
            if amount == 0:
                raise MalformedInput("expected a quantity above 0", need.at("quantity"))
            needs.append((need.part("part"), amount, need.measure()))
            if need.has("essential"):
                is_essential = need.value("essential")
                if type(is_essential) is not bool:
                    raise MalformedInput("expected true or false", need.at("essential"))
                essential.append((need.part("part"), is_essential))
        names = [name for name, _, _ in needs]
        if part in names:
            raise MalformedInput("a part is not made of itself", reader.at("needs"))
        if len(set(names)) != len(names):
            raise MalformedInput("one part comes twice, maybe in another spelling", reader.at("needs"))
        return cls(
            Stated.read(reader, latest), reader.place("site"), part, tuple(sorted(needs)), tuple(sorted(essential))
        )


def _locode(reader: Reader, name: str) -> str | None:
    code = reader.text_or_none(name, 5)
    if code is not None and not _LOCODE.fullmatch(code):
        raise MalformedInput("expected a UN/LOCODE, as CNNGB", reader.at(name))
    return code


@dataclass(frozen=True, slots=True)
class RouteStated:
    """By which modes goods travel, from which port to which (UN/LOCODE), through which passages; `lane`: its name."""

    modes: tuple[str, ...]
    origin: str | None
    destination: str | None
    passages: tuple[str, ...]
    lane: str | None

    @classmethod
    def read(cls, reader: Reader) -> Self:
        modes = [Reader({"mode": item}, at, "mode").choice("mode", Mode) for at, item in reader.items("modes", least=1)]
        passages = [
            Reader({"passage": item}, at, "passage").choice("passage", Passage) for at, item in reader.items("passages")
        ]
        if len(set(passages)) != len(passages):
            raise MalformedInput("a route goes through a passage once", reader.at("passages"))
        if passages and Mode.SEA not in modes:
            raise MalformedInput("passages are of the sea, and no leg of this route is by sea", reader.at("passages"))
        origin, destination = _locode(reader, "from"), _locode(reader, "to")
        if origin is not None and origin == destination:
            raise MalformedInput("a route does not end where it began", reader.at("to"))
        return cls(
            tuple(map(str, modes)), origin, destination, tuple(map(str, passages)), reader.text_or_none("lane", 100)
        )


ROUTE = "from to passages lane"


@dataclass(frozen=True, slots=True)
class SupplyLinkFact:
    """`supplier` sends `part` to `customer`: which share of the need, how long it takes, and who else may know.

    `levels` are for single members; `level` is for all others who are neither supplier nor customer.
    """

    stated: Stated
    supplier: str
    customer: str
    part: str
    uom: str
    share: Fraction
    lead_days: int
    is_working_days: bool
    sails: tuple[int, ...] | None
    most_per_day: Fraction | None
    since: date | None
    level: str
    levels: tuple[tuple[bytes, str], ...]
    route: RouteStated | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "supplier customer part uom share lead level",
                         "mostPerDay since levels route")  # fmt: skip
        lead = reader.child("lead", "days", "working sails")
        working = lead.has("working") and content["lead"]["working"]
        if type(working) is not bool:
            raise MalformedInput("expected true or false", lead.at("working"))
        levels = []
        for at, item in reader.items("levels"):
            one = Reader(item, at, "member level")
            levels.append((_member(one, "member"), str(one.choice("level", SharingLevel))))
        if len({member for member, _ in levels}) != len(levels):
            raise MalformedInput("a member comes twice", reader.at("levels"))
        supplier, customer = reader.place("supplier"), reader.place("customer")
        if supplier == customer:
            raise MalformedInput("a site does not supply itself", reader.at("customer"))
        return cls(
            stated=Stated.read(reader, latest),
            supplier=supplier,
            customer=customer,
            part=reader.part("part"),
            uom=reader.measure(),
            share=_share(reader, "share"),
            lead_days=lead.number("days", most=MAX_DAYS),
            is_working_days=working,
            sails=_weekdays(lead, "sails") if lead.has("sails") else None,
            most_per_day=_amount(reader, "mostPerDay") if reader.has("mostPerDay") else None,
            since=_day(reader, "since") if reader.has("since") else None,
            level=str(reader.choice("level", SharingLevel)),
            levels=tuple(sorted(levels)),
            route=RouteStated.read(reader.child("route", "modes", ROUTE)) if reader.has("route") else None,
        )


@dataclass(frozen=True, slots=True)
class StockFact:
    """So much of a part lies at a site and can be used, and so much is on its way: (from, day of arrival, amount)."""

    stated: Stated
    site: str
    part: str
    uom: str
    amount: Fraction
    on_the_way: tuple[tuple[str, date, Fraction], ...]

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "site part quantity uom", "onTheWay")
        uom, coming = reader.measure(), []
        for at, item in reader.items("onTheWay"):
            one = Reader(item, at, "from arrives quantity")
            amount = Reader({**item, "uom": uom}, at, "from arrives quantity uom").quantity()[0]
            coming.append((one.place("from"), _day(one, "arrives"), amount))
        return cls(
            Stated.read(reader, latest),
            reader.place("site"),
            reader.part("part"),
            uom,
            _amount(reader, "quantity"),
            tuple(sorted(coming)),
        )


@dataclass(frozen=True, slots=True)
class CapacityFact:
    """What a site makes of a part on a working day, as planned and at most; `is_offered`: the rest may be suggested."""

    stated: Stated
    site: str
    part: str
    uom: str
    planned: Fraction
    most: Fraction
    is_offered: bool

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "site part planned most uom", "offered")
        planned, most = reader.decimal("planned"), reader.decimal("most")
        if most < planned:
            raise MalformedInput("more is planned than it can make", reader.at("planned"))
        offered = content.get("offered", False)
        if type(offered) is not bool:
            raise MalformedInput("expected true or false", reader.at("offered"))
        return cls(
            Stated.read(reader, latest),
            reader.place("site"),
            reader.part("part"),
            reader.measure(),
            planned,
            most,
            offered,
        )


@dataclass(frozen=True, slots=True)
class QualificationFact:
    """The issuer has qualified `supplier` for `part` at its site `customer`: until when, and how soon it can come."""

    stated: Stated
    supplier: str
    part: str
    customer: str
    scope: str
    expires: date
    first_days: int
    extra_cents: int

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "supplier part customer scope expires firstArrivalDays", "extraMinorUnits")
        return cls(
            Stated.read(reader, latest),
            reader.place("supplier"),
            reader.part("part"),
            reader.place("customer"),
            reader.text("scope", 500),
            _day(reader, "expires"),
            reader.number("firstArrivalDays", most=MAX_DAYS),
            reader.number("extraMinorUnits", most=MAX_CENTS) if reader.has("extraMinorUnits") else 0,
        )


@dataclass(frozen=True, slots=True)
class RouteQualificationFact:
    """The issuer has qualified another way for what `supplier` sends to its site `customer`: how much that takes a
    week at most, and in its first weeks (`ramp`, shares of it), how soon it first departs, when it departs at all
    (`sails`, else daily), how long it takes, how often it departs at most, what one costs above the price today.
    """

    stated: Stated
    supplier: str
    part: str
    customer: str
    uom: str
    scope: str
    expires: date
    route: RouteStated
    a_week: Fraction
    ramp: tuple[Fraction, ...]
    first_days: int
    lead_days: int
    sails: tuple[int, ...] | None
    loads: int | None
    extra_cents: int

    @property
    def way(self) -> str:
        """The route in one line: two qualifications that differ in it are about two ways."""
        route = self.route
        ports = [one for one in (route.origin, route.destination) if one is not None]
        return " ".join([*route.modes, *ports, *route.passages, *([route.lane] if route.lane is not None else [])])

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(
            content,
            where,
            "supplier part customer uom scope expires route mostAWeek firstDepartureDays lead",
            "ramp loads extraMinorUnits",
        )
        lead = reader.child("lead", "days", "sails")
        ramp = []
        for at, item in reader.items("ramp"):
            ramp.append(_share(Reader({"share": item}, at, "share"), "share"))
        supplier, customer = reader.place("supplier"), reader.place("customer")
        if supplier == customer:
            raise MalformedInput("a site does not supply itself", reader.at("customer"))
        return cls(
            stated=Stated.read(reader, latest),
            supplier=supplier,
            part=reader.part("part"),
            customer=customer,
            uom=reader.measure(),
            scope=reader.text("scope", 500),
            expires=_day(reader, "expires"),
            route=RouteStated.read(reader.child("route", "modes", ROUTE)),
            a_week=_amount(reader, "mostAWeek"),
            ramp=tuple(ramp),
            first_days=reader.number("firstDepartureDays", most=MAX_DAYS),
            lead_days=lead.number("days", most=MAX_DAYS),
            sails=_weekdays(lead, "sails") if lead.has("sails") else None,
            loads=reader.number("loads", least=1) if reader.has("loads") else None,
            extra_cents=reader.number("extraMinorUnits", most=MAX_CENTS) if reader.has("extraMinorUnits") else 0,
        )


@dataclass(frozen=True, slots=True)
class ProductPriceFact:
    """What one of a product is sold for, in minor units of a currency."""

    stated: Stated
    site: str
    part: str
    minor_units: int
    currency: str

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "site part minorUnits currency")
        currency = reader.text("currency", 3)
        if not _CURRENCY.fullmatch(currency):
            raise MalformedInput("expected a currency of ISO 4217, as EUR", reader.at("currency"))
        return cls(
            Stated.read(reader, latest),
            reader.place("site"),
            reader.part("part"),
            reader.number("minorUnits", most=MAX_CENTS),
            currency,
        )


@dataclass(frozen=True, slots=True)
class Measure:
    """What one member does, within how many hours, when a continuity plan is set going."""

    member: bytes
    what: str
    within_hours: int


@dataclass(frozen=True, slots=True)
class ContinuityPlanFact:
    """Who does what when this happens. Every member named in it agrees by its own statement, whose `agrees_to` is the
    id of the first one. `exercises` says when it was tried (ms) and what came of it.
    """

    stated: Stated
    name: str
    triggers: tuple[tuple[str, str], ...]
    measures: tuple[Measure, ...]
    until: date
    agrees_to: bytes | None
    exercises: tuple[tuple[int, str], ...]

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "name triggers measures until", "agreesTo exercises")
        triggers, measures, exercises = [], [], []
        for at, item in reader.items("triggers", least=1):
            trigger = Reader(item, at, "kind name")
            kind = trigger.choice("kind", Trigger)
            # A site and a part are named as everywhere else, in any spelling; regions and lanes have names.
            named = {Trigger.SITE: trigger.place, Trigger.PART: trigger.part}
            name = named[kind]("name") if kind in named else trigger.text("name", 300)
            if kind is Trigger.PORT and not _LOCODE.fullmatch(name):
                raise MalformedInput("expected a UN/LOCODE, as CNNGB", trigger.at("name"))
            triggers.append((str(kind), name))
        for at, item in reader.items("measures", least=1):
            one = Reader(item, at, "member what withinHours")
            measures.append(
                Measure(_member(one, "member"), one.text("what", 500), one.number("withinHours", most=24 * MAX_DAYS))
            )
        for at, item in reader.items("exercises"):
            tried = Reader(item, at, "at outcome")
            exercises.append((tried.time("at", latest=latest), tried.text("outcome", 2000)))
        return cls(
            Stated.read(reader, latest),
            reader.text("name"),
            tuple(triggers),
            tuple(measures),
            _day(reader, "until"),
            reader.hash_or_none("agreesTo"),
            tuple(exercises),
        )


class AlertStatus(Choice):
    """How serious a report of a disruption is meant, in the words of CAP: only what is actual counts as actual."""

    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    SYSTEM = "System"
    TEST = "Test"
    DRAFT = "Draft"


class AlertAction(Choice):
    """What a report does to those before it."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"


class AlertSeverity(Choice):
    """How bad it is, in the words of CAP."""

    EXTREME = "Extreme"
    SEVERE = "Severe"
    MODERATE = "Moderate"
    MINOR = "Minor"
    UNKNOWN = "Unknown"


class AlertCertainty(Choice):
    """How sure the source is, in the words of CAP."""

    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"
    UNLIKELY = "Unlikely"
    UNKNOWN = "Unknown"


class RootCause(Choice):
    """The leading root cause, in the words of CX-0146."""

    STRIKE = "strike"
    NATURAL_DISASTER = "natural-disaster"
    PRODUCTION_INCIDENT = "production-incident"
    PANDEMIC = "pandemic-or-epidemic"
    LOGISTICS = "logistics-disruption"
    WAR = "war"
    INSOLVENCY = "insolvency"
    OTHER = "other"


class AlertFormat(Choice):
    """The form in which a report came in."""

    CAP = "cap-1.2"
    GDACS = "gdacs"
    CX = "cx-0146"
    FORM = "form"


class PlaceKind(Choice):
    """What a place known by its name is."""

    REGION = "region"
    SITE = "site"
    PORT = "port"
    LANE = "lane"


@dataclass(frozen=True, slots=True)
class CircleArea:
    """All within some kilometres of a point, as decimal strings."""

    latitude: str
    longitude: str
    radius_km: str


@dataclass(frozen=True, slots=True)
class PolygonArea:
    """The inside of a ring of (latitude, longitude), its first point last again."""

    points: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NamedArea:
    """A region, a site, a port or a lane by its name."""

    kind: PlaceKind
    name: str


@dataclass(frozen=True, slots=True)
class DisruptionFact:
    """A report that the issuer passes on or makes itself. Numbers are kept as written, times with their offset.

    `references` are (sender, identifier) of the reports that it updates or cancels; `original` is the message itself.
    """

    format: AlertFormat
    sender: str
    identifier: str
    sent: datetime
    status: AlertStatus
    action: AlertAction
    event: str
    key: str | None
    references: tuple[tuple[str, str], ...]
    onset: datetime | None
    ends: datetime | None
    severity: AlertSeverity
    certainty: AlertCertainty
    cause: RootCause
    areas: tuple[CircleArea | PolygonArea | NamedArea, ...]
    parts: tuple[str, ...]
    left: str | None
    is_over: bool
    text: str
    original: str

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = Reader(
            content,
            where,
            "to format sender identifier sent status action severity certainty cause",
            "replaces event key references onset ends areas parts left isOver text original",
        )
        action: AlertAction = reader.choice("action", AlertAction)
        sent = _moment(reader, "sent", latest)
        onset = _moment(reader, "onset") if reader.has("onset") else None
        ends = _moment(reader, "ends") if reader.has("ends") else None
        if onset is not None and ends is not None and ends < onset:
            raise MalformedInput("it ends before it begins", reader.at("ends"))
        references = []
        for at, item in reader.items("references"):
            one = Reader(item, at, "sender identifier")
            references.append((one.text("sender", MAX_NAME), one.text("identifier", MAX_NAME)))
        key = reader.text_or_none("key", MAX_NAME)
        if action is not AlertAction.ALERT and not references and key is None:
            raise MalformedInput(f"an {action} says by references or key which report it is about", where)
        if reader.has("isOver") and content["isOver"] is not True:
            raise MalformedInput("is true, or left out", reader.at("isOver"))
        parts = []
        for at, item in reader.items("parts"):
            part = Reader({"part": item}, at, "part").text("part", 300)
            found = identify(part, at)  # else what its sender calls it, as MG-1
            parts.append(part if found is None else found.key)
        return cls(
            format=reader.choice("format", AlertFormat),
            sender=reader.text("sender", MAX_NAME),
            identifier=reader.text("identifier", MAX_NAME),
            sent=sent,
            status=reader.choice("status", AlertStatus),
            action=action,
            event=reader.text_or_none("event", 500) or "",
            key=key,
            references=tuple(references),
            onset=onset,
            ends=ends,
            severity=reader.choice("severity", AlertSeverity),
            certainty=reader.choice("certainty", AlertCertainty),
            cause=reader.choice("cause", RootCause),
            areas=tuple(_area(item, at) for at, item in reader.items("areas")),
            parts=tuple(parts),
            left=_share_as_written(reader, "left") if reader.has("left") else None,
            is_over=reader.has("isOver"),
            text=_long_text(reader, "text", MAX_TEXT),
            original=_long_text(reader, "original", MAX_ORIGINAL),
        )


def _long_text(reader: Reader, name: str, longest: int) -> str:
    """Text that may span lines and begin or end as it likes; empty where it is left out."""
    if not reader.has(name):
        return ""
    value = reader.value(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise MalformedInput(f"expected text of 1 to {longest} characters", reader.at(name))
    return value


def _moment(reader: Reader, name: str, latest: int | None = None) -> datetime:
    """A time with the offset that it was written with."""
    reader.time(name, latest=latest)
    text = reader.text(name, 40)
    return _in_our_time(datetime.fromisoformat(text.replace("z", "Z")), reader.at(name))


def _share_as_written(reader: Reader, name: str) -> str:
    _share(reader, name)
    return reader.text(name, MAX_DIGITS)


MAX_OUTLINE = 1_000
"""Corners of one polygon."""


def _area(value: Any, where: str) -> CircleArea | PolygonArea | NamedArea:
    if not isinstance(value, dict) or len(value) != 1:
        raise MalformedInput("an area is one circle, polygon, region, site, port or lane", where)
    reader = Reader(value, where, "", "circle polygon region site port lane")
    (sort,) = value
    if sort == "circle":
        circle = reader.child("circle", "latitude longitude radiusKm")
        latitude, longitude = _coordinate(circle, "latitude", 90), _coordinate(circle, "longitude", 180)
        radius = circle.text("radiusKm", MAX_DIGITS)
        if circle.decimal("radiusKm") > HALF_WAY_ROUND_KM:
            raise MalformedInput("a radius is at most half way round the earth", circle.at("radiusKm"))
        return CircleArea(latitude, longitude, radius)
    if sort == "polygon":
        if isinstance(value[sort], list) and len(value[sort]) > MAX_OUTLINE:
            raise MalformedInput(
                f"an outline has at most {MAX_OUTLINE:,} corners, not {len(value[sort]):,}: give a simpler one",
                reader.at("polygon"),
            )
        points = []
        for at, item in reader.items("polygon", least=4):
            if not isinstance(item, list) or len(item) != 2:
                raise MalformedInput("a corner is a latitude and a longitude", at)
            corner = Reader({"latitude": item[0], "longitude": item[1]}, at, "latitude longitude")
            points.append((_coordinate(corner, "latitude", 90), _coordinate(corner, "longitude", 180)))
        if points[0] != points[-1]:
            raise MalformedInput("a polygon ends where it began", reader.at("polygon"))
        return PolygonArea(tuple(points))
    name = reader.text(sort, 300)
    if sort == "port" and not _LOCODE.fullmatch(name):
        raise MalformedInput("expected a UN/LOCODE, as CNNGB", reader.at("port"))
    if sort == "site":
        found = identify(name, reader.at("site"))
        name = name if found is None else found.key
    return NamedArea(PlaceKind(sort), name)


def _coordinate(reader: Reader, name: str, most: int) -> str:
    text = reader.text(name, MAX_DIGITS)
    if not _COORDINATE.fullmatch(text) or text == "-0" or abs(Fraction(text)) > most:
        raise MalformedInput(
            f'expected degrees from -{most} to {most} as a decimal string, as "29.87"', reader.at(name)
        )
    return text


@dataclass(frozen=True, slots=True)
class ScenarioFact:
    """What fails together: sites by name, all of some regions and ports (UN/LOCODE), and passages that nothing sails.

    From `after_days` days on only the share `left` is made, until all are back after (least, likely, most) `days`, or
    each site after its own time where that is None. `chance` is how likely it is within a year; None: nobody has said.
    """

    name: str
    sites: tuple[str, ...]
    regions: tuple[str, ...]
    ports: tuple[str, ...]
    passages: tuple[str, ...]
    after_days: int
    days: tuple[int, int, int] | None
    left: Fraction
    chance: Fraction | None

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        one = Reader(value, where, "name", "sites regions ports passages afterDays days left chanceAYear")
        sites = _once(one, "sites", lambda each: each.place("name"))
        ports = _once(one, "ports", lambda each: each.text("name", 5))
        for place, port in enumerate(ports):
            if not _LOCODE.fullmatch(port):
                raise MalformedInput("expected a UN/LOCODE, as CNNGB", f"{one.at('ports')}/{place}")
        regions = _once(one, "regions", lambda each: each.text("name"))
        passages = _once(one, "passages", lambda each: each.text("name"))
        if not (sites or ports or regions or passages):
            raise MalformedInput("nothing fails in it: name sites, regions, ports or passages", where)
        days = None
        if one.has("days"):
            days = _range(one.child("days", "least likely most"), one.at("days"))
        return cls(
            name=one.text("name"),
            sites=sites,
            regions=regions,
            ports=ports,
            passages=passages,
            after_days=one.number("afterDays", most=MAX_DAYS) if one.has("afterDays") else 0,
            days=days,
            left=_share(one, "left") if one.has("left") else Fraction(0),
            chance=_share(one, "chanceAYear") if one.has("chanceAYear") else None,
        )


def _once(reader: Reader, name: str, read: Callable[[Reader], str]) -> tuple[str, ...]:
    """Names, once each, in order of their text."""
    found = [read(Reader({"name": item}, at, "name")) for at, item in reader.items(name)]
    if len(set(found)) != len(found):
        raise MalformedInput("one name comes twice", reader.at(name))
    return tuple(sorted(found))


def _range(days: Reader, where: str) -> tuple[int, int, int]:
    least, likely, most = (days.number(name, least=1, most=MAX_DAYS) for name in ("least", "likely", "most"))
    if not least <= likely <= most:
        raise MalformedInput("the likely time lies between the least and the most", where)
    return least, likely, most


@dataclass(frozen=True, slots=True)
class ScenarioSetFact:
    """Scenarios under one name and version, so that all test the same. Members agree by a statement of their own with
    the same scenarios, whose `agrees_to` is the id of the first one.
    """

    stated: Stated
    name: str
    version: str
    scenarios: tuple[ScenarioFact, ...]
    agrees_to: bytes | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        reader = _reader(content, where, "name version scenarios", "agreesTo")
        return cls(
            Stated.read(reader, latest),
            reader.text("name"),
            reader.text("version"),
            read_scenarios(reader),
            reader.hash_or_none("agreesTo"),
        )


MAX_SCENARIOS = 200


def read_scenarios(reader: Reader) -> tuple[ScenarioFact, ...]:
    """The member `scenarios`: at least one, at most MAX_SCENARIOS, each name once."""
    items = reader.items("scenarios", least=1)
    if len(items) > MAX_SCENARIOS:
        raise MalformedInput(f"a set has at most {MAX_SCENARIOS} scenarios", reader.at("scenarios"))
    found = tuple(ScenarioFact.read(item, at) for at, item in items)
    if len({one.name for one in found}) != len(found):
        raise MalformedInput("two scenarios have one name", reader.at("scenarios"))
    return found


PARSERS: dict[str, Callable[..., Any]] = {
    "site": SiteFact.parse,
    "part": PartFact.parse,
    "bill-of-material": BillOfMaterialFact.parse,
    "supply-link": SupplyLinkFact.parse,
    "stock": StockFact.parse,
    "capacity": CapacityFact.parse,
    "qualification": QualificationFact.parse,
    "route-qualification": RouteQualificationFact.parse,
    "product-price": ProductPriceFact.parse,
    "continuity-plan": ContinuityPlanFact.parse,
}
"""How the content of each kind is read."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A kind of fact that is asked for, of a part or a site or of all of them."""

    kind: str
    part: str | None
    site: str | None


@dataclass(frozen=True, slots=True)
class FactRequest:
    """A member asks another one, `asked`, for facts, for a purpose and until a day (its last hour is that of UTC).

    `level` is the sharing level that would do. `corrects` is an earlier request that this one takes the place of; with
    nothing `wanted` it is taken back.
    """

    asked: bytes
    document: Document
    wanted: tuple[Wanted, ...]
    purpose: str
    until: date
    level: str | None
    corrects: bytes | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        _ = latest
        reader = Reader(content, where, "to document wanted purpose until", "level corrects replaces")
        asked = [from_hex(item, 32, at) for at, item in reader.items("to")]
        if len(asked) != 1:
            raise MalformedInput("one member is asked; ask others by requests of their own", reader.at("to"))
        corrects = reader.hash_or_none("corrects")
        wanted = []
        for at, item in reader.items("wanted", least=0 if corrects else 1):
            one = Reader(item, at, "kind", "part site")
            kind = one.text("kind", 64)
            if kind not in PARSERS:
                raise MalformedInput(f"{kind!r} is no kind of fact; known are {', '.join(PARSERS)}", one.at("kind"))
            wanted.append(Wanted(kind, one.part("part") if one.has("part") else None, one.place_or_none("site")))
        if len(set(wanted)) != len(wanted):
            raise MalformedInput("the same is wanted twice, maybe in another spelling", reader.at("wanted"))
        return cls(
            asked=asked[0],
            document=Document.read(reader),
            wanted=tuple(wanted),
            purpose=reader.text("purpose", 500),
            until=_day(reader, "until"),
            level=str(reader.choice("level", SharingLevel)) if reader.has("level") else None,
            corrects=corrects,
        )


@dataclass(frozen=True, slots=True)
class FactAnswer:
    """What whoever was asked says to a request: which facts it gave (ids of statements) and the level it shares them
    at, that it has asked its own suppliers, or why it gives none. The last answer holds.
    """

    asker: bytes
    request: bytes
    outcome: AnswerOutcome
    facts: tuple[bytes, ...]
    level: str | None
    reason: Refusal | None
    text: str | None

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        _ = latest
        reader = Reader(content, where, "to request outcome", "facts level reason text replaces")
        askers = [from_hex(item, 32, at) for at, item in reader.items("to")]
        if len(askers) != 1:
            raise MalformedInput("an answer goes to the member that asked, and to nobody else", reader.at("to"))
        outcome: AnswerOutcome = reader.choice("outcome", AnswerOutcome)
        facts = [from_hex(item, 32, at) for at, item in reader.items("facts")]
        if len(set(facts)) != len(facts):
            raise MalformedInput("a fact comes twice", reader.at("facts"))
        if bool(facts) != (outcome is AnswerOutcome.ANSWERED):
            raise MalformedInput(
                "name the facts that were given" if not facts else f"nothing is given where it is {outcome}",
                reader.at("facts"),
            )
        if reader.has("level") and outcome is not AnswerOutcome.ANSWERED:
            raise MalformedInput("a level goes with facts that are given", reader.at("level"))
        if reader.has("reason") != (outcome is AnswerOutcome.DECLINED):
            raise MalformedInput("a reason goes with declining, and only with that", reader.at("reason"))
        return cls(
            asker=askers[0],
            request=reader.hash("request"),
            outcome=outcome,
            facts=tuple(facts),
            level=str(reader.choice("level", SharingLevel)) if reader.has("level") else None,
            reason=reader.choice("reason", Refusal) if reader.has("reason") else None,
            text=reader.text_or_none("text", 500),
        )


DISRUPTIONS: dict[str, Callable[..., Any]] = {"disruption": DisruptionFact.parse}
"""How what is said to have happened is read."""
QUESTIONS: dict[str, Callable[..., Any]] = {
    "fact-request": FactRequest.parse,
    "fact-answer": FactAnswer.parse,
}
"""How what is said about facts is read: who asks for them, and what becomes of that."""
SCENARIOS: dict[str, Callable[..., Any]] = {"scenario-set": ScenarioSetFact.parse}
"""How what members want to test is read: nothing is known from it, and no report comes out differently."""
