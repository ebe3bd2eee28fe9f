"""What is said to have happened: reports from many sources, and the disruptions that they are about. Pure.

A report comes in as a Catena-X demand and capacity notification (CX-0146, aspect model 3.0.0), as an alert of the
OASIS Common Alerting Protocol (CAP 1.2), as an item of a GDACS feed, or by hand; `messages` reads and writes these
formats. Reports of one disruption are gathered: it counts once and shows all its sources. Times are aware.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from risk.errors import MalformedFact, RiskError
from risk.network import Site

EARTH_KM = 6371.0088
"""Mean radius (IUGG)."""
FIRST_YEAR, LAST_YEAR = 1900, 2999
"""Years that a report may name: days are counted on from there, and the calendar ends with the year 9999."""


class Status(StrEnum):
    """How serious a report is meant, in CAP's words: only what is actual may count as actual."""

    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    SYSTEM = "System"
    TEST = "Test"
    DRAFT = "Draft"


class Action(StrEnum):
    """What a report does to those before it (CAP's msgType)."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"


class Severity(StrEnum):
    """How bad it is, in CAP's words."""

    EXTREME = "Extreme"
    SEVERE = "Severe"
    MODERATE = "Moderate"
    MINOR = "Minor"
    UNKNOWN = "Unknown"


class Certainty(StrEnum):
    """How sure the source is, in CAP's words."""

    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"
    UNLIKELY = "Unlikely"
    UNKNOWN = "Unknown"


LIKELIHOOD: dict[Certainty, float] = {
    Certainty.OBSERVED: 1.0,
    Certainty.LIKELY: 0.75,
    Certainty.POSSIBLE: 0.35,
    Certainty.UNLIKELY: 0.05,
    Certainty.UNKNOWN: 0.35,
}
"""CAP bounds these and gives no numbers: Likely is above one half, Possible at or below it, Unlikely near nothing."""


class Cause(StrEnum):
    """The leading root cause, in the words of CX-0146."""

    STRIKE = "strike"
    NATURAL_DISASTER = "natural-disaster"
    PRODUCTION_INCIDENT = "production-incident"
    PANDEMIC = "pandemic-or-epidemic"
    LOGISTICS = "logistics-disruption"
    WAR = "war"
    INSOLVENCY = "insolvency"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Circle:
    """All within `radius_km` of a point; degrees (WGS 84)."""

    latitude: float
    longitude: float
    radius_km: float

    def check(self) -> None:
        _check_point(self.latitude, self.longitude)
        if not 0 <= self.radius_km <= 20_100:
            raise MalformedFact(f"a radius lies between 0 km and half way round the earth, not {self.radius_km:g}")

    def covers(self, latitude: float, longitude: float) -> bool:
        return distance_km(self.latitude, self.longitude, latitude, longitude) <= self.radius_km


@dataclass(frozen=True, slots=True)
class Polygon:
    """The inside of a ring of (latitude, longitude), its first point last again; no side is longer than half way
    round, so a ring may cross the date line.
    """

    points: tuple[tuple[float, float], ...]

    def check(self) -> None:
        if len(self.points) < 4 or self.points[0] != self.points[-1]:
            raise MalformedFact("a polygon has three corners at least, and ends where it began")
        for latitude, longitude in self.points:
            _check_point(latitude, longitude)

    @property
    def unwrapped(self) -> tuple[tuple[float, float], ...]:
        """The corners with longitudes that go on beyond 180 degrees: a step over the date line is a small one."""
        found = [self.points[0]]
        for lat, lon in self.points[1:]:
            found.append((lat, _near(lon, found[-1][1])))
        return tuple(found)

    def covers(self, latitude: float, longitude: float) -> bool:
        """Whether the point lies inside, counting the crossings of the sides north of it; sides are straight on a map
        of degrees.
        """
        inside = False
        for shift in (-360.0, 0.0, 360.0):
            x = longitude + shift
            for (lat1, lon1), (lat2, lon2) in pairwise(self.unwrapped):
                if (lon1 > x) != (lon2 > x) and latitude < (lat2 - lat1) * (x - lon1) / (lon2 - lon1) + lat1:
                    inside = not inside
        return inside


class Place(StrEnum):
    """What kind of thing a named place is."""

    REGION = "region"
    SITE = "site"
    PORT = "port"
    LANE = "lane"


@dataclass(frozen=True, slots=True)
class Named:
    """A place by its name: a region, a site, a port (UN/LOCODE) or a lane."""

    kind: Place
    name: str

    def check(self) -> None:
        if not self.name:
            raise MalformedFact(f"a {self.kind} has a name")


Area = Circle | Polygon | Named


@dataclass(frozen=True, slots=True)
class Report:
    """One message of one source about a disruption. `sender` and `identifier` name it; `key` names what it is about,
    where the source has a name for that (CX-0146's sourceDisruptionId, GDACS's event).

    `left` is the share of capacity that stays, as far as the source says. `references` are (sender, identifier) of
    the reports that this one updates or cancels.
    """

    format: str
    sender: str
    identifier: str
    sent: datetime
    status: Status
    action: Action
    event: str
    key: str | None = None
    references: tuple[tuple[str, str], ...] = ()
    onset: datetime | None = None
    ends: datetime | None = None
    severity: Severity = Severity.UNKNOWN
    certainty: Certainty = Certainty.UNKNOWN
    cause: Cause = Cause.OTHER
    areas: tuple[Area, ...] = ()
    parts: tuple[str, ...] = ()
    left: float | None = None
    is_over: bool = False
    text: str = ""
    original: str = field(default="", repr=False)

    @property
    def name(self) -> tuple[str, str]:
        return (self.sender, self.identifier)

    def check(self) -> None:
        """Raise MalformedFact unless it can be true: aware times in order, places on this earth, shares."""
        where = f"report {self.identifier} of {self.sender}"
        if not self.sender or not self.identifier:
            raise MalformedFact("a report has a sender and an identifier", where)
        for what, time in (("sent", self.sent), ("onset", self.onset), ("end", self.ends)):
            if time is not None and time.utcoffset() is None:
                raise MalformedFact(f"the time of its {what} has no offset", where)
            if time is not None and not FIRST_YEAR <= time.year <= LAST_YEAR:
                raise MalformedFact(f"the year of its {what} lies between {FIRST_YEAR} and {LAST_YEAR}", where)
        if self.onset is not None and self.ends is not None and self.ends < self.onset:
            raise MalformedFact("it ends before it begins", where)
        if self.left is not None and not 0 <= self.left <= 1:
            raise MalformedFact("what is left of a capacity is a share from 0 to 1", where)
        if self.action is not Action.ALERT and not self.references and self.key is None:
            raise MalformedFact(f"an {self.action} says which report it is about", where)
        for area in self.areas:
            try:
                area.check()
            except MalformedFact as error:
                raise MalformedFact(error.what, where) from error


class Cancelled(RiskError):
    """An update of a disruption that was cancelled before: a new one needs a new alert."""

    def __init__(self, report: Report, by: Report) -> None:
        super().__init__(
            f"report {report.identifier} of {report.sender} updates what report {by.identifier} cancelled at"
            f" {by.sent.isoformat()}: send a new alert"
        )
        self.report = report
        self.by = by


@dataclass(frozen=True, slots=True)
class Disruption:
    """One disruption with all its reports, oldest first. Exercises, tests and drafts are never mixed with actual ones.

    Of several sources the latest word of each counts: the onset is the earliest, the end the latest, the certainty
    that of the surest; `confidence.happens` joins them as far as they do not repeat each other.
    """

    key: str
    status: Status
    reports: tuple[Report, ...]

    @property
    def latest(self) -> tuple[Report, ...]:
        """The last report of each source that is not cancelled."""
        last: dict[str, Report] = {}
        for report in self.reports:
            last[report.sender] = report
        return tuple(one for one in last.values() if one.action is not Action.CANCEL)

    @property
    def is_cancelled(self) -> bool:
        return not self.latest

    @property
    def is_over(self) -> bool:
        return bool(self.latest) and all(one.is_over for one in self.latest)

    @property
    def onset(self) -> datetime | None:
        return min((one.onset for one in self.latest if one.onset is not None), default=None)

    @property
    def ends(self) -> datetime | None:
        return max((one.ends for one in self.latest if one.ends is not None), default=None)

    @property
    def severity(self) -> Severity:
        return min((one.severity for one in self.latest), key=list(Severity).index, default=Severity.UNKNOWN)

    @property
    def certainty(self) -> Certainty:
        return min((one.certainty for one in self.latest), key=list(Certainty).index, default=Certainty.UNKNOWN)

    @property
    def areas(self) -> tuple[Area, ...]:
        return tuple(dict.fromkeys(area for one in self.latest for area in one.areas))

    @property
    def left(self) -> float | None:
        """The least share of capacity that any source leaves."""
        return min((one.left for one in self.latest if one.left is not None), default=None)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(sorted({one.sender for one in self.reports}))

    def touches(self, site: Site) -> bool:
        """Whether `site` lies in one of the areas, or is named by one."""
        return any(_touches(area, site) for area in self.areas)


def gather(reports: Iterable[Report]) -> list[Disruption]:
    """The disruptions that `reports` are about, each once, whatever the order in which they came.

    Two reports are of one disruption if they name the same key or one refers to the other, and have the same status.
    Raises MalformedFact, and Cancelled for an update of what its own source had cancelled.
    """
    known: dict[tuple[Status, str, str], Report] = {}
    for report in sorted(reports, key=lambda one: (one.sent, one.sender, one.identifier)):
        report.check()
        known.setdefault((report.status, *report.name), report)
    group = _Groups()
    for (status, *name), report in known.items():
        here = (status, "report", *name)
        group.join(here, here)
        if report.key is not None:
            group.join(here, (status, "key", report.key))
        for reference in report.references:
            group.join(here, (status, "report", *reference))
    members: dict[tuple[str, ...], list[Report]] = defaultdict(list)
    for (status, *name), report in known.items():
        members[group.find((status, "report", *name))].append(report)
    disruptions = []
    for found in members.values():
        _check_cancelled(found)
        key = min((one.key for one in found if one.key is not None), default=None)
        first = found[0]
        disruptions.append(Disruption(key or f"{first.sender}/{first.identifier}", first.status, tuple(found)))
    return sorted(disruptions, key=lambda one: (one.reports[0].sent, one.key, one.status))


class Gathering:
    """The disruptions of reports as members state them, one after the other: `gather` of those that count.

    Of two that differ under one name the first one stated holds. What a member reports itself (by the form or as a
    notification) it says in its own name, and in a member's name nobody else says anything.
    """

    def __init__(self) -> None:
        self.issuers: dict[tuple[str, str], frozenset[str]] = {}
        self._reports: dict[tuple[str, str], Report] = {}
        self._group_of: dict[tuple[str, ...], int] = {}
        self._groups: dict[int, Disruption] = {}
        self._tokens: dict[int, set[tuple[str, ...]]] = {}
        self._count = 0

    @property
    def disruptions(self) -> tuple[Disruption, ...]:
        """In the order of `gather`."""
        return tuple(sorted(self._groups.values(), key=lambda one: (one.reports[0].sent, one.key, one.status)))

    def check(self, report: Report, member: str) -> None:
        """Raise MalformedFact, or Cancelled, if `report` would count for nothing, coming from `member` now."""
        self._joined(report, member)

    def take(self, report: Report, member: str) -> None:
        """Count `report`, stated by `member`. Raises as `check` does, and then it counts for nothing."""
        joined, tokens, groups = self._joined(report, member)
        self.issuers[report.name] = self.issuers.get(report.name, frozenset()) | {member}
        if report.name in self._reports:
            return
        self._reports[report.name] = report
        self._count += 1
        for group in groups:
            tokens |= self._tokens.pop(group)
            del self._groups[group]
        self._groups[self._count], self._tokens[self._count] = joined, tokens
        self._group_of |= dict.fromkeys(tokens, self._count)

    def _joined(self, report: Report, member: str) -> tuple[Disruption, set[tuple[str, ...]], set[int]]:
        """What `report` makes of the disruptions that it is about, by what it names and which groups these are."""
        report.check()
        if (report.format in _OWN_FORMATS or report.sender.startswith("0x")) and report.sender != member:
            raise MalformedFact("a member reports in its own name alone", f"report {report.identifier}")
        known = self._reports.get(report.name)
        if known is not None and replace(known, original="", format="") != replace(report, original="", format=""):
            raise MalformedFact(
                f"another statement has report {report.identifier} of {report.sender} otherwise; the first one holds",
                f"report {report.identifier}",
            )
        tokens: set[tuple[str, ...]] = {(report.status, "report", *report.name)}
        tokens |= {(report.status, "report", *one) for one in report.references}
        tokens |= set() if report.key is None else {(report.status, "key", report.key)}
        groups = {self._group_of[one] for one in tokens if one in self._group_of}
        reports = [one for group in groups for one in self._groups[group].reports]
        (joined,) = gather([*reports, report])
        return joined, tokens, groups


_OWN_FORMATS = ("form", "cx-0146")


class _Groups:
    """What belongs together (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[tuple[str, ...], tuple[str, ...]] = {}

    def find(self, one: tuple[str, ...]) -> tuple[str, ...]:
        self._parent.setdefault(one, one)
        while self._parent[one] != one:
            self._parent[one] = self._parent[self._parent[one]]
            one = self._parent[one]
        return one

    def join(self, one: tuple[str, ...], other: tuple[str, ...]) -> None:
        self._parent[self.find(one)] = self.find(other)


def _check_cancelled(reports: Sequence[Report]) -> None:
    ended: dict[str, Report] = {}
    for report in reports:
        if report.action is Action.CANCEL:
            ended[report.sender] = report
        elif report.action is Action.UPDATE and report.sender in ended:
            raise Cancelled(report, ended[report.sender])
        elif report.action is Action.ALERT:
            ended.pop(report.sender, None)


def _touches(area: Area, site: Site) -> bool:
    if isinstance(area, Named):
        if area.kind is Place.REGION:
            return area.name == site.region
        if area.kind is Place.PORT:
            return area.name == site.locode
        return area.kind is Place.SITE and area.name == site.key
    if site.latitude is None or site.longitude is None:
        return False
    return area.covers(site.latitude, site.longitude)


def distance_km(latitude1: float, longitude1: float, latitude2: float, longitude2: float) -> float:
    """Great-circle distance between two points in degrees (haversine)."""
    a, b = math.radians(latitude1), math.radians(latitude2)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(longitude2 - longitude1) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(half, 1.0)))


def _near(longitude: float, other: float) -> float:
    """The same longitude, within half a turn of `other`."""
    return other + (longitude - other + 180) % 360 - 180


def _check_point(latitude: float, longitude: float) -> None:
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise MalformedFact(f"({latitude:g}, {longitude:g}) is no latitude and longitude in degrees")
