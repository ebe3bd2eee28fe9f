"""What is said to have happened: reports from many sources, and the disruptions that they are about. Pure.

A report comes in as a Catena-X demand and capacity notification (CX-0146, aspect model 3.0.0), as an alert of the
OASIS Common Alerting Protocol (CAP 1.2), as an item of a GDACS feed, or by hand; `messages` reads and writes these
formats. Reports of one disruption are gathered: it counts once and shows all its sources. Times are aware.
"""

import math
from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
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

    def says_the_same(self, other: "Report") -> bool:
        """Whether both say the same, in whatever format and bytes they came."""
        return self is other or replace(self, original="", format="") == replace(other, original="", format="")

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


_Token = tuple[str, ...]
"""What reports have in common that are of one disruption, by their status: a report's name, or a key."""


class Cancelled(RiskError):
    """An update of a disruption that was cancelled before: a new one needs a new alert."""

    def __init__(self, report: Report, by: Report) -> None:
        super().__init__(
            f"report {report.identifier} of {report.sender} updates what report {by.identifier} cancelled at"
            f" {by.sent.isoformat()}: send a new alert"
        )
        self.report = report
        self.by = by


@dataclass
class _Thread:
    """Reports of one member that hang together by themselves: all that they name, and who said what in them."""

    tokens: set[_Token] = field(default_factory=set)
    count: int = 0
    of_sender: dict[str, list[Report]] = field(default_factory=lambda: defaultdict(list))


class _Threads:
    """What hangs together of what each member passes on, by its own reports alone: nobody ties or cuts what another
    one says.
    """

    def __init__(self) -> None:
        self._of: dict[tuple[str, _Token], _Thread] = {}

    def of(self, report: Report, member: str) -> _Thread:
        """The thread of a report that was added."""
        return self._of[member, _name_token(report)]

    def touched(self, report: Report, member: str) -> list[_Thread]:
        """Those that `report` would be of, or tie."""
        found = (self._of.get((member, token)) for token in sorted(_tokens(report)))
        return list({id(one): one for one in found if one is not None}.values())

    def add(self, report: Report, member: str) -> None:
        """Add what `member` passes on, once."""
        thread, *others = sorted(self.touched(report, member), key=lambda one: -len(one.tokens)) or [_Thread()]
        fresh = _tokens(report)
        for other in others:
            fresh |= other.tokens
            thread.count += other.count
            for sender, reports in other.of_sender.items():
                thread.of_sender[sender] += reports
        thread.tokens |= fresh
        thread.count += 1
        thread.of_sender[report.sender].append(report)
        for token in fresh:
            self._of[member, token] = thread


def _name_token(report: Report) -> _Token:
    return (report.status, "report", *report.name)


def _tokens(report: Report) -> set[_Token]:
    found = {_name_token(report)} | {(report.status, "report", *one) for one in report.references}
    return found if report.key is None else found | {(report.status, "key", report.key)}


@dataclass(frozen=True)
class Disruption:
    """One disruption with all its reports, oldest first. Exercises, tests and drafts are never mixed with actual ones.

    A source is heard through those who pass its reports on (`passed_on`, for each report who did): each of them hands
    on the source's words as it has them, and takes back or replaces no words that somebody else handed on. What one of
    them says of two things it says of both, also where another one's report makes them one disruption. Of several
    sources the latest word of each counts: the onset is the earliest, the end the latest, the certainty that of the
    surest; `confidence` joins them as independent sources.
    """

    key: str
    status: Status
    reports: tuple[Report, ...]
    passed_on: tuple[frozenset[str], ...] = ()

    @cached_property
    def words(self) -> tuple[tuple[Report, frozenset[str]], ...]:
        """The last report of each source that is not cancelled, as each of those has it who pass it on, and who."""
        last: dict[tuple[str, str, int], int] = {}
        for at, report in enumerate(self.reports):
            for member in self._members(at):
                last[report.sender, member, id(self._threads.of(report, member))] = at
        stand: dict[int, set[str]] = defaultdict(set)
        for (_, member, _), at in last.items():
            stand[at].add(member)
        return tuple(
            (self.reports[at], frozenset(stand[at]))
            for at in sorted(stand)
            if self.reports[at].action is not Action.CANCEL
        )

    @cached_property
    def strands(self) -> tuple[tuple[tuple[Report, frozenset[str]], ...], ...]:
        """The words by what hangs together by the reports of one member alone, what was sent last first."""
        strands: dict[int, list[int]] = {}
        of_thread: dict[int, int] = {}
        for at, (report, members) in enumerate(self.words):
            threads = {id(self._threads.of(report, one)) for one in members}
            mine = strands[at] = [at]
            for number in sorted({of_thread[one] for one in threads if one in of_thread}):
                mine += strands.pop(number)
            of_thread |= dict.fromkeys((id(self._threads.of(self.words[one][0], member)) for one in mine for member in
                                        self.words[one][1]), at)  # fmt: skip
        return tuple(tuple(self.words[one] for one in sorted(strands[at])) for at in sorted(strands, reverse=True))

    @cached_property
    def _threads(self) -> "_Threads":
        threads = _Threads()
        for at, report in enumerate(self.reports):
            for member in self._members(at):
                threads.add(report, member)
        return threads

    def _members(self, at: int) -> frozenset[str]:
        """Who passed a report on; where nobody is named its source did."""
        return self.passed_on[at] if self.passed_on else frozenset({self.reports[at].sender})

    @property
    def sent(self) -> datetime:
        """When the last of its reports was sent."""
        return self.reports[-1].sent

    @property
    def latest(self) -> tuple[Report, ...]:
        return tuple(report for report, _ in self.words)

    def of_senders(self, senders: Collection[str]) -> "Disruption":
        """The same with the reports of these senders alone."""
        kept = [at for at, one in enumerate(self.reports) if one.sender in senders]
        passed_on = tuple(self.passed_on[at] for at in kept) if self.passed_on else ()
        return replace(self, reports=tuple(self.reports[at] for at in kept), passed_on=passed_on)

    @cached_property
    def disputes(self) -> tuple[tuple[Report, frozenset[str], str], ...]:
        """Reports that members pass on otherwise than others do: each with those who stand by it, and what differs."""
        found = []
        of_name: dict[tuple[str, str], list[int]] = defaultdict(list)
        for at, report in enumerate(self.reports):
            of_name[report.name].append(at)
        for some in of_name.values():
            if len(some) > 1:
                found += [(self.reports[at], self._members(at), OTHERWISE) for at in some]
        places = {id(report): at for at, report in enumerate(self.reports)}
        taken_back = self._taken_back()
        for report, members in self.words if taken_back else ():
            tokens = (token for one in members for token in self._threads.of(report, one).tokens)
            if places[id(report)] < max(taken_back.get((report.sender, one), -1) for one in tokens):
                found.append((report, members, TAKEN_BACK))
        return tuple(found)

    def _taken_back(self) -> dict[tuple[str, _Token], int]:
        """The place of the last cancellation by each source of what hangs together with a token."""
        last: dict[tuple[str, int], tuple[int, _Thread]] = {}
        for at, report in enumerate(self.reports):
            if report.action is Action.CANCEL:
                for member in self._members(at):
                    thread = self._threads.of(report, member)
                    last[report.sender, id(thread)] = at, thread
        found: dict[tuple[str, _Token], int] = {}
        for (sender, _), (at, thread) in last.items():
            for token in thread.tokens:
                found[sender, token] = max(at, found.get((sender, token), -1))
        return found

    @property
    def is_disputed(self) -> bool:
        """Whether members pass on reports of one source that contradict each other."""
        return bool(self.disputes)

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

    @property
    def likelihoods(self) -> dict[str, Certainty]:
        """How sure each source is; passed on by several it is one source, and the surest of its words counts."""
        found: dict[str, Certainty] = {}
        for one in self.latest:
            found[one.sender] = min(one.certainty, found.get(one.sender, one.certainty), key=list(Certainty).index)
        return found

    def touches(self, site: Site) -> bool:
        """Whether `site` lies in one of the areas, or is named by one."""
        return any(_touches(area, site) for area in self.areas)


OTHERWISE = "another member passes it on in other words: it is disputed, and both count"
TAKEN_BACK = (
    "another member passes on that its source took it back: it is disputed, and stands until you pass that on too"
)


def gather(reports: Iterable[Report], members: Iterable[str] | None = None) -> list[Disruption]:
    """The disruptions that `reports` are about, each once, whatever the order in which they came.

    Two reports are of one disruption if they name the same key or one refers to the other, and have the same status.
    `members` says of each report who passed it on; without that each is of its own sender.
    Raises MalformedFact, and Cancelled for an update of what its own source had cancelled, as that member has it.
    """
    gathering = Gathering(is_checked=True)
    found = list(reports)
    by = [one.sender for one in found] if members is None else list(members)
    for report, member in sorted(zip(found, by, strict=True), key=lambda one: (_place(one[0]), one[1])):
        gathering.take(report, member)
    if members is None:
        return [replace(one, passed_on=()) for one in gathering.disruptions]
    return list(gathering.disruptions)


MAX_SOURCES = 20
"""Sources that one member may pass on in one disruption."""
MAX_REPORTS = 1_000
"""Reports of one disruption that one member may pass on: further ones are another disruption."""


class Gathering:
    """The disruptions of reports as members state them, one after the other: `gather` of those that count.

    A report is the same as another of its sender and identifier if it says the same; then it is passed on by both
    members. If not, both are there, each as its member has it: who states a name first does not own it. Of two that
    differ and that one member states the first one holds. What a member reports itself (by the form or as a
    notification) it says in its own name, and in a member's name nobody else says anything.
    """

    def __init__(self, *, is_checked: bool = False) -> None:
        self._is_checked = is_checked
        """whether the reports to come have counted before, where all of them were gathered"""
        self._group_of: dict[_Token, int] = {}
        self._groups: dict[int, _Group] = {}
        self._threads = _Threads()
        self._count = 0

    @property
    def disruptions(self) -> tuple[Disruption, ...]:
        """In the order of `gather`."""
        found = (one.disruption for one in self._groups.values())
        return tuple(sorted(found, key=lambda one: (one.reports[0].sent, one.key, one.status)))

    def has(self, report: Report, member: str) -> bool:
        """Whether `member` has stated a report of this name and status."""
        group = self._group_of.get((report.status, "report", *report.name))
        return group is not None and (report.name, member) in self._groups[group].own

    def check(self, report: Report, member: str) -> None:
        """Raise MalformedFact, or Cancelled, if `report` would count for nothing, coming from `member` now."""
        self._fit(report, member)

    def take(self, report: Report, member: str) -> None:
        """Count `report`, stated by `member`. Raises as `check` does, and then it counts for nothing."""
        tokens, numbers = self._fit(report, member)
        groups = sorted(((number, self._groups[number]) for number in numbers), key=lambda one: -len(one[1].entries))
        if groups:
            number, group = groups[0]
        else:
            self._count += 1
            number, group = self._count, _Group()
            self._groups[number] = group
        for other, lesser in groups[1:]:
            group.join(lesser)
            del self._groups[other]
            self._group_of |= dict.fromkeys(lesser.tokens, number)
        group.tokens |= tokens
        self._group_of |= dict.fromkeys(tokens, number)
        if (report.name, member) not in group.own:
            self._threads.add(report, member)
            group.add(report, member)

    def _fit(self, report: Report, member: str) -> tuple[set[_Token], set[int]]:
        """What `report` names, and which groups these are, if it fits them."""
        report.check()
        where = f"report {report.identifier}"
        is_own = report.format in _OWN_FORMATS or report.sender.startswith("0x")
        if not self._is_checked and is_own and report.sender != member:
            raise MalformedFact("a member reports in its own name alone", where)
        tokens = _tokens(report)
        numbers = {self._group_of[one] for one in tokens if one in self._group_of}
        groups = [self._groups[one] for one in numbers]
        known = next((group.own[report.name, member] for group in groups if (report.name, member) in group.own), None)
        if known is not None:
            if not known.says_the_same(report):
                raise MalformedFact(
                    f"you have stated report {report.identifier} of {report.sender} otherwise; the first one holds",
                    where,
                )
            return tokens, numbers
        # By what this member has stated alone: what others say keeps nobody from going on.
        threads = self._threads.touched(report, member)
        if not self._is_checked and sum(one.count for one in threads) >= MAX_REPORTS:
            raise MalformedFact(
                f"you have passed on {MAX_REPORTS} reports of this disruption: begin another one", where
            )
        sources = {report.sender}.union(*(one.of_sender for one in threads))
        if not self._is_checked and len(sources) > MAX_SOURCES:
            raise MalformedFact(f"you have passed on {MAX_SOURCES} sources of this disruption: that is enough", where)
        # Nothing goes on that was taken back; where threads are tied, their sources are looked at too.
        for sender in sources if len(threads) > 1 else {report.sender}:
            said = [one for thread in threads for one in thread.of_sender.get(sender, ())]
            _check_cancelled(sorted([*said, report] if sender == report.sender else said, key=_place))
        return tokens, numbers


_OWN_FORMATS = ("form", "cx-0146")


@dataclass
class _Entry:
    """A report and those who pass it on, in these words."""

    report: Report
    members: set[str]


class _Group:
    """The reports of one disruption: in order, by name, and as each member has them."""

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.of_name: dict[tuple[str, str], list[_Entry]] = defaultdict(list)
        self.own: dict[tuple[tuple[str, str], str], Report] = {}
        self.tokens: set[_Token] = set()
        self._made: Disruption | None = None

    def add(self, report: Report, member: str) -> None:
        """Add what `member` passes on; what it has passed on before changes nothing."""
        if (report.name, member) in self.own:
            return
        self._made = None
        entry = next((one for one in self.of_name[report.name] if one.report.says_the_same(report)), None)
        if entry is None:
            entry = _Entry(report, set())
            insort(self.entries, entry, key=lambda one: _place(one.report))
            self.of_name[report.name].append(entry)
        entry.members.add(member)
        self.own[report.name, member] = entry.report

    def join(self, other: "_Group") -> None:
        """Add all that `other` has."""
        for entry in other.entries:
            for member in sorted(entry.members):
                self.add(entry.report, member)
        self.tokens |= other.tokens
        self._made = None

    @property
    def disruption(self) -> Disruption:
        if self._made is None:
            reports = tuple(one.report for one in self.entries)
            key = min((one.key for one in reports if one.key is not None), default=None)
            first = reports[0]
            self._made = Disruption(
                key or f"{first.sender}/{first.identifier}",
                first.status,
                reports,
                tuple(frozenset(one.members) for one in self.entries),
            )
        return self._made


def _place(report: Report) -> tuple[datetime, str, str]:
    """Reports come in the order in which they were sent."""
    return report.sent, report.sender, report.identifier


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
