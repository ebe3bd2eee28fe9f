"""What a disruption does to which sites and links, by the reports that count and what owners have stated. Pure.

An area (circle, polygon, region) hits all sites in it, a port, a lane or a passage the links that go through it, for
everybody. A site by its name counts only where who says so owns it, or stands at an end of a supply link with it; a
partner's word on somebody else's site is left out, and told to whoever gave it. Where such a word names parts, it is
about the lines that make them there and no other: of a partner, about what it gets from there. One disruption that is
reported on several paths hits a site, or a line, once, and the hit names all its sources.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np

from risk.alternatives import RouteAlternative
from risk.confidence import happens
from risk.disruption import EARTH_KM, Area, Circle, Disruption, Named, Place, Polygon, Report, distance_km
from risk.facts import Known
from risk.messages import CAP, CX, GDACS, decimal_text
from risk.network import Index, Mask, Site, SupplyLink, Vector
from risk.routes import port_position
from risk.sharing import Hit, LinkHit, Source

ASSUMED_DAYS = (28, 42, 63)
"""Days until a site is back of which nobody has said how many it takes: at the earliest, most likely, at the latest."""
CLOSED_DAYS = (6, 13, 20)
"""The same for a port, a lane or a passage: ports take from 6 to 20 days (Rice and Trepte, International Journal of
Shipping and Transport Logistics 6(3), 2014)."""
WIDE_KM = 100
"""An area that measures less than this across would say where a site is that may not be named."""
AREAS_AT_ONCE, NAMES_AT_ONCE = 3, 20
"""How many disruptions of one member bear on one site (or port, lane, passage) at once by their areas, and how many by
its name: those sent last. Nobody can make the figures of others grow without end."""
KEPT_COVERED = 2_000_000
"""Sites in areas that are remembered, in all."""
MAX_CORNERS = 24
"""Corners of an area as a hit shows it, for a map."""
_KM_A_DEGREE = 111.0
_DOMAIN = re.compile(r"did:web:([^/:]+)[/:]")
"""Of latitude, a little less than the least there is."""

Name = tuple[str, str]
"""A report by its sender and identifier."""


@dataclass(frozen=True, slots=True)
class Told:
    """What of the report `report` (sender, identifier) counts for nothing, and why: for `member`, who stated it."""

    member: str
    report: Name
    what: str


class Places:
    """Where the sites of a network are and what its links pass, to find those in an area quickly. Made once for each
    network.
    """

    def __init__(self, known: Known) -> None:
        self.known = known
        self.sites = known.network.sites
        sites = self.sites.values()
        self._placed = [one for one in sites if one.latitude is not None and one.longitude is not None]
        degrees = [(one.latitude, one.longitude) for one in self._placed]
        positions: Vector = np.array(degrees, np.float64).reshape(len(degrees), 2)
        self._order = np.argsort(positions[:, 0], kind="stable")
        self._latitudes, self._longitudes = positions[self._order].T
        self.keys = list(self.sites)
        self.place_of = {key: at for at, key in enumerate(self.keys)}
        self._placed_at = np.array([self.place_of[one.key] for one in self._placed], np.int64)[self._order]
        self._covered: dict[Area, Index] = {}
        self._held = 0

    @cached_property
    def _regions(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for at, site in enumerate(self.sites.values()):
            found[site.region].append(at)
        return found

    @cached_property
    def _by_number(self) -> dict[str, str]:
        """A notification of Catena-X has the bare number of a site, whose key is a URI that ends with it."""
        return {key.replace("/", ":").rpartition(":")[2]: key for key in self.sites}

    @cached_property
    def _partners(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for link in self.known.network.links:
            found[link.supplier].add(self.sites[link.customer].owner)
            found[link.customer].add(self.sites[link.supplier].owner)
        return found

    @cached_property
    def _gets(self) -> dict[tuple[str, str], set[str]]:
        """The parts that a member gets from a site."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for link in self.known.network.links:
            found[link.supplier, self.sites[link.customer].owner].add(link.part)
        return found

    @cached_property
    def _sites_of(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for site in self.sites.values():
            found[site.owner].append(site.key)
        return found

    @cached_property
    def _ways(self) -> dict[tuple[Place, str], list[tuple[SupplyLink | RouteAlternative, int]]]:
        found: dict[tuple[Place, str], list[tuple[SupplyLink | RouteAlternative, int]]] = defaultdict(list)
        links: Iterable[SupplyLink | RouteAlternative] = (
            one for one in self.known.network.links if one.route is not None
        )
        for way in (*self.known.routes, *links):
            for place, after in ways_of(way):
                found[place].append((way, after))
        return found

    @cached_property
    def _ports(self) -> dict[str, tuple[float, float]]:
        names = sorted(name for kind, name in self._ways if kind is Place.PORT)
        return {name: at for name in names if (at := port_position(name)) is not None}

    def named(self, name: str) -> str | None:
        """The key of the site that goes by `name`."""
        return name if name in self.sites else self._by_number.get(name)

    def may_speak(self, member: str, site: str) -> bool:
        """Whether `member` owns the site, or has a supply link with it."""
        return self.sites[site].owner == member or member in self._partners[site]

    def lines_named(self, name: str, site: str, member: str) -> set[str]:
        """The parts made at a site that `member` calls `name`, of those that it may speak of: all of its own site, else
        what it gets from there. It calls them by its own number, or by the end of it, as MG-1, with the domain or
        without: MG-1 (yongjiang.example.org).
        """
        if self.sites[site].owner == member:
            parts = {line.part for line in self.known.network.lines_at(site)}
        else:
            parts = self._gets.get((site, member), set())
        return {one for one in parts if name in self._numbers(one, member, site)}

    def _numbers(self, part: str, member: str, site: str) -> set[str]:
        """What `member` calls a part; what only others call it is no number of its own."""
        numbers = self.known.own_numbers
        goes_by_several = (part, self.sites[site].owner) in numbers
        own = numbers.get((part, member), frozenset()) if goes_by_several else frozenset({part})
        ends = {one: one.replace("/", ":").rpartition(":")[2] for one in own}
        domains = {one: _DOMAIN.match(one) for one in own}
        return {*own, *ends.values(), *(f"{ends[one]} ({found[1]})" for one, found in domains.items() if found)}

    def sites_of(self, member: str) -> list[str]:
        """The sites that a member owns, in no order."""
        return self._sites_of.get(member, [])

    def covered(self, area: Area) -> Index:
        """The places (in `keys`) of the sites in an area, in no order; those that it names are not in it."""
        found = self._covered.get(area)
        if found is None:
            found = self._in(area)
            if self._held > KEPT_COVERED:
                self._covered, self._held = {}, 0
            self._covered[area] = found
            self._held += len(found) + 1
        return found

    def _in(self, area: Area) -> Index:
        if isinstance(area, Named):
            return np.array(self._regions.get(area.name, ()) if area.kind is Place.REGION else (), np.int64)
        if isinstance(area, Circle):
            reach = area.radius_km / _KM_A_DEGREE
            south, north = area.latitude - reach, area.latitude + reach
        elif _winds(area):
            south, north = -90.0, 90.0  # round a pole, all that lies beyond the ring is inside
        else:
            south, north = (bound(lat for lat, _ in area.points) for bound in (min, max))
        first, last = np.searchsorted(self._latitudes, [south - 1e-9, north + 1e-9])
        latitudes, longitudes = self._latitudes[first:last], self._longitudes[first:last]
        if isinstance(area, Circle):
            is_in = _in_circle(area, latitudes, longitudes)
        else:
            is_in = _in_polygon(area, latitudes, longitudes)
        found: Index = self._placed_at[first:last][is_in]
        return found

    def passed(self, area: Area) -> list[tuple[Place, str]]:
        """The port, lane or passage that an area is, or the ports in it: those that links go through."""
        if isinstance(area, Named):
            return [(area.kind, area.name)] if (area.kind, area.name) in self._ways else []
        return [(Place.PORT, name) for name, position in self._ports.items() if area.covers(*position)]

    def ways(self, place: tuple[Place, str]) -> Sequence[tuple[SupplyLink | RouteAlternative, int]]:
        """The links, and ways that stand in for one, that go through a port, a lane or a passage, with how many days
        after leaving they come there.
        """
        return self._ways.get(place, ())


def _in_circle(area: Circle, latitudes: Vector, longitudes: Vector) -> Mask:
    """As `Circle.covers` for many points: by the same formula, and one by one where rounding could decide."""
    a, b = np.radians(area.latitude), np.radians(latitudes)
    half = np.sin((b - a) / 2) ** 2
    half += np.cos(a) * np.cos(b) * np.sin(np.radians(longitudes - area.longitude) / 2) ** 2
    away = 2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    is_in: Mask = away <= area.radius_km
    for one in np.flatnonzero(np.abs(away - area.radius_km) < 1e-3).tolist():
        is_in[one] = area.covers(float(latitudes[one]), float(longitudes[one]))
    return is_in


def _in_polygon(area: Polygon, latitudes: Vector, longitudes: Vector) -> Mask:
    """As `Polygon.covers` for many points, in the same steps."""
    is_in: Mask = np.zeros(len(latitudes), bool)
    order = np.argsort(longitudes, kind="stable")
    for shift in (-360.0, 0.0, 360.0):
        x, north = longitudes[order] + shift, latitudes[order]
        for (lat1, lon1), (lat2, lon2) in pairwise(area.unwrapped):
            # Only those between the ends of a side can have it north of them.
            first, last = np.searchsorted(x, [min(lon1, lon2), max(lon1, lon2)])
            if first < last:
                at = slice(first, last)
                is_in[order[at]] ^= north[at] < (lat2 - lat1) * (x[at] - lon1) / (lon2 - lon1) + lat1
    return is_in


def _winds(ring: Polygon) -> bool:
    """Whether a ring goes once round the earth, each side the shorter way."""
    turn = sum((after - before + 180) % 360 - 180 for (_, before), (_, after) in pairwise(ring.points))
    return abs(turn) > 180


def ways_of(link: SupplyLink | RouteAlternative) -> Iterable[tuple[tuple[Place, str], int]]:
    """Each port, lane and passage that a link goes through, with how many days after leaving goods come there."""
    route = link.route
    if route is None:
        return
    if route.origin is not None:
        yield (Place.PORT, route.origin), 0
    if route.destination is not None:
        yield (Place.PORT, route.destination), link.lead.days
    if route.lane is not None:
        yield (Place.LANE, route.lane), 0
    for number, passage in enumerate(route.passages, 1):
        # In even steps, as long as nobody says when a ship comes there.
        yield (Place.LANE, str(passage)), link.lead.days * number // (len(route.passages) + 1)


@dataclass(frozen=True, slots=True)
class _Word:
    """One report as it bears on one site or link: in which area, and whether that was by its own name; `parts` are the
    only ones that it is about, None where it is about all of the site.
    """

    report: Report
    area: Area
    by_name: bool
    is_owner: bool
    parts: frozenset[str] | None = None

    def bears_on(self, part: str) -> bool:
        return self.parts is None or part in self.parts


@dataclass(frozen=True, slots=True)
class _Bearing:
    """What some words come to at each of the sites or links that they bear on."""

    probability: Fraction
    cause: str
    sources: tuple[Source, ...]


def hits(
    disruption: Disruption,
    known: Known,
    *,
    reliabilities: Mapping[str, Fraction] | None = None,
    places: Places | None = None,
) -> tuple[Hit | LinkHit, ...]:
    """What `disruption` does to sites and links of the network, in order of their keys; nothing once it is cancelled.

    A site stops on the day that its owner names, else with the
    onset, and is back on the owner's day, else after the days that its owner takes to recover, else after
    `ASSUMED_DAYS`; that a feed no longer lists an event ends the event and not the recovery. What its owner calls over
    hits its site no more, and what is over for certain before the day of the network is left out. `reliabilities` is
    how often a source is right.
    """
    return _Reading(disruption, places or Places(known)).hits(reliabilities or {})


def told(disruption: Disruption, known: Known, *, places: Places | None = None) -> tuple[Told, ...]:
    """What of the reports of `disruption` counts for nothing, and which are disputed: told to those who stated them."""
    found = list(_Reading(disruption, places or Places(known)).told)
    for report, members, what in disruption.disputes:
        found += [Told(member, report.name, what) for member in sorted(members)]
    return tuple(found)


def strike(disruptions: Sequence[Disruption], places: Places) -> list[Hit | LinkHit]:
    """What several disruptions do, one after the other as `hits` has each, as far as their members are not already
    heard often enough at a place.
    """
    crowd = _Crowd(places)
    found = {
        at: _Reading(disruptions[at], places, crowd).hits({})
        for at in sorted(range(len(disruptions)), key=lambda one: disruptions[one].sent, reverse=True)
    }
    return [hit for at in sorted(found) for hit in found[at]]


class _Crowd:
    """How often each member was heard at each site, port, lane and passage, by areas and by names."""

    def __init__(self, places: Places) -> None:
        self._count = len(places.keys)
        self._by_area: dict[str, Index] = {}
        self._others: Counter[tuple[str, Hashable]] = Counter()

    def room(self, sites: Index, members: frozenset[str]) -> Index:
        """Those of `sites` at which an area of `members` still counts: at least one of them was not heard there so
        often.
        """
        free = np.zeros(len(sites), bool)
        for member in members:
            free |= self._of(member)[sites] < AREAS_AT_ONCE
        return sites if free.all() else sites[free]

    def has_room(self, place: Hashable, members: frozenset[str], most: int) -> bool:
        return any(self._others[member, place] < most for member in members)

    def note(self, members: frozenset[str], sites: Iterable[int], others: Iterable[Hashable]) -> None:
        """A disruption of `members` counts at these `sites` by its areas, and at these `others`."""
        at = np.fromiter(sites, np.int64)
        for member in members:
            self._of(member)[at] += 1
            self._others.update((member, place) for place in others)

    def _of(self, member: str) -> Index:
        if member not in self._by_area:
            self._by_area[member] = np.zeros(self._count, np.int64)
        return self._by_area[member]


class _Reading:
    """A disruption held against a network: which word bears on what."""

    def __init__(self, disruption: Disruption, places: Places, crowd: _Crowd | None = None) -> None:
        self.places = places
        self.crowd = crowd
        self.told: list[Told] = []
        self.sites: dict[str, list[_Word]] = defaultdict(list)
        self.links: dict[tuple[str, int], list[_Word]] = defaultdict(list)
        self.back: dict[str, set[str | None]] = defaultdict(set)
        """What their owners call back at which sites: lines by their parts, all of it by None."""
        self.disruption = disruption
        self._noted: dict[frozenset[str], set[Hashable]] = defaultdict(set)
        """By whom it counts where: sites in areas by their place, sites by name and ways by theirs."""
        self.everywhere: set[str] = set()
        """Senders who say that it happens and not where."""
        self._bearings: dict[tuple[int, ...], _Bearing] = {}
        for strand in disruption.strands:
            # What others tie counts at a place no more often than what they do not.
            self.everywhere |= {report.sender for report, members in strand if self._take(report, members)}
            if crowd is not None:
                for members, noted in self._noted.items():
                    crowd.note(members, (at for at in noted if isinstance(at, int)),
                               [one for one in noted if not isinstance(one, int)])  # fmt: skip
            self._noted.clear()

    def _tell(self, report: Report, what: str, members: Iterable[str]) -> None:
        self.told += [Told(member, report.name, what) for member in sorted(members)]

    def _take(self, report: Report, members: frozenset[str]) -> bool:
        """Note what a report bears on, by the word of `members`; whether it counts everywhere, as it names no place.

        Whether an area covers anything is told to nobody: whoever asked in small circles would find others' sites.
        """
        if report.format == CX and report.event != "capacity-reduction":
            self._tell(report, f"tells of a {report.event.replace('-', ' ')}, which stops no site", members)
            return False
        if report.parts and not report.areas:
            self._take_parts(report, members)
            return False
        if report.parts and not all(isinstance(one, Named) and one.kind is Place.SITE for one in report.areas):
            # Else whoever names areas and parts could find out who makes them there.
            what = "its parts count for the sites that it names and for no area: that stops all in it"
            self._tell(report, what, members)
        for area in report.areas:
            if isinstance(area, Named) and area.kind is Place.SITE:
                self._take_site(report, area, members)
                continue
            if report.is_over and report.format != GDACS:
                continue
            word = _Word(report, area, by_name=False, is_owner=False)
            sites, ways = self.places.covered(area), self.places.passed(area)
            if self.crowd is not None:
                sites = self.crowd.room(sites, members)
                ways = [one for one in ways if self.crowd.has_room(one, members, AREAS_AT_ONCE)]
                self._noted[members].update(sites.tolist(), ways)
            for at in sites.tolist():
                self.sites[self.places.keys[at]].append(word)
            for way in ways:
                for link, after in self.places.ways(way):
                    self.links[link.key, after].append(word)
        return not report.areas

    def _take_site(self, report: Report, area: Named, members: frozenset[str]) -> None:
        """Of a site that nobody has described the issuer is told the same as of a stranger's."""
        key = self.places.named(area.name)
        speak = frozenset(member for member in members if key is not None and self.places.may_speak(member, key))
        self._tell(report, f"names the site {area.name}, which its issuer neither owns nor deals with", members - speak)
        if key is None or not speak:
            return
        owner = self.places.sites[key].owner
        if not report.parts:
            self._note(report, area, key, None, speak, is_owner=owner in speak)
            return
        for member in sorted(speak):
            parts = frozenset[str]()
            for name in report.parts:
                found = self.places.lines_named(name, key, member)
                if not found:
                    what = "makes there" if member == owner else "gets from there"
                    self._tell(report, f"names the part {name} of the site {area.name}, none that its issuer {what}",
                               [member])  # fmt: skip
                parts |= found
            if parts:
                self._note(report, area, key, parts, frozenset({member}), is_owner=member == owner)

    def _take_parts(self, report: Report, members: frozenset[str]) -> None:
        """What names parts and no place is about all the issuer's own sites that make them."""
        for member in sorted(members):
            unknown = set(report.parts)
            for site in self.places.sites_of(member):
                found = {name: self.places.lines_named(name, site, member) for name in report.parts}
                parts = frozenset().union(*found.values())
                unknown -= {name for name, some in found.items() if some}
                if parts:
                    self._note(report, Named(Place.SITE, site), site, parts, frozenset({member}), is_owner=True)
            for name in sorted(unknown):
                self._tell(report, f"names the part {name}, which none of its issuer's sites makes", [member])

    def _note(
        self,
        report: Report,
        area: Area,
        site: str,
        parts: frozenset[str] | None,
        speak: frozenset[str],
        *,
        is_owner: bool,
    ) -> None:
        """What a report says of a site by its name, or of the lines there that make `parts`, by the word of `speak`."""
        if not report.is_over:
            if self.crowd is not None:
                of = frozenset({None}) if parts is None else parts
                free = {one for one in of if self.crowd.has_room((site, one), speak, NAMES_AT_ONCE)}
                if not free:
                    return
                self._noted[speak].update((site, one) for one in free)
                parts = None if parts is None else parts & free
            self.sites[site].append(_Word(report, area, by_name=True, is_owner=is_owner, parts=parts))
        elif is_owner:
            self.back[site] |= {None} if parts is None else parts

    def hits(self, reliabilities: Mapping[str, Fraction]) -> tuple[Hit | LinkHit, ...]:
        day = self.places.known.network.day
        found: list[Hit | LinkHit] = []
        for key in sorted(self.sites):
            for part, words in self._by_line(key):
                hit = self._site_hit(self.places.sites[key], words, self._bearing(words, reliabilities))
                if hit.back[-1] > day and hit.left < 1:
                    found.append(replace(hit, part=part))
        for key, after in sorted(self.links):
            ways = self.links[key, after]
            closing = self._link_hit(key, after, ways, self._bearing(ways, reliabilities))
            if closing.back[-1] > day and closing.left < 1:
                found.append(closing)
        return tuple(found)

    def _by_line(self, site: str) -> Iterable[tuple[str | None, Sequence[_Word]]]:
        """What bears on a site as a whole (None), or on each of its lines once somebody names parts: the owner knows
        best, so where it names parts the others go on.
        """
        words, back = self.sites[site], self.back.get(site, set())
        if None in back:
            return
        if not back and all(one.parts is None for one in words):
            yield None, words
            return
        own = [one for one in words if one.is_owner]
        for part in sorted(line.part for line in self.places.known.network.lines_at(site)):
            if part not in back and (not own or any(one.bears_on(part) for one in own)):
                some = [one for one in words if one.bears_on(part)]
                if some:
                    yield part, some

    def _bearing(self, words: Sequence[_Word], reliabilities: Mapping[str, Fraction]) -> _Bearing:
        """What `words` come to wherever they bear: the same for all sites of an area."""
        key = tuple(map(id, words))
        if key not in self._bearings:
            # A report that covers other sites alone makes nothing surer here, or it would tell that they are there.
            senders = self.everywhere | {one.report.sender for one in words}
            sure = happens(self.disruption.of_senders(senders), reliabilities)
            self._bearings[key] = _Bearing(sure, _cause(words), _sources(words))
        return self._bearings[key]

    def _site_hit(self, site: Site, words: Sequence[_Word], bearing: _Bearing) -> Hit:
        own = [one.report for one in words if one.is_owner]
        others = [one.report for one in words if not one.is_owner] or own
        onset = min(_begins(one) for one in others)
        start = min((_begins(one) for one in own), default=onset)
        lefts = [one.left for one in own if one.left is not None] or [
            one.left for one in others if one.left is not None
        ]
        stated = max((one.ends.date() for one in own if one.ends is not None), default=None)
        takes = self.places.known.recovery_days.get(site.key)
        stops = max(start, onset)
        if stated is not None:
            least, _, most = takes or (0, 0, 0)
            bounds = (stops + timedelta(least), stated, stops + timedelta(most))
            back = (min(bounds[0], stated) if takes else stated, stated, max(bounds[2], stated))
        else:
            least, likely, most = takes or ASSUMED_DAYS
            back = (stops + timedelta(least), stops + timedelta(likely), stops + timedelta(most))
        return Hit(
            site=site.key,
            start=start,
            back=_after(start, back),
            cause=bearing.cause,
            left=Fraction(decimal_text(min(lefts))) if lefts else Fraction(0),
            onset=None if onset == start else onset,
            status=str(self.disruption.status),
            probability=bearing.probability,
            sources=bearing.sources,
            is_assumed=stated is None and takes is None,
        )

    def _link_hit(self, key: str, after: int, words: Sequence[_Word], bearing: _Bearing) -> LinkHit:
        """A port or a lane opens again when its disruption ends; where nobody says when, after `CLOSED_DAYS`."""
        reports = [one.report for one in words]
        start = min(_begins(one) for one in reports)
        ends = max((one.ends.date() for one in reports if one.ends is not None), default=None)
        lefts = [one.left for one in reports if one.left is not None]
        least, likely, most = CLOSED_DAYS
        back = (start + timedelta(least), start + timedelta(likely), start + timedelta(most))
        return LinkHit(
            link=key,
            start=start,
            back=_after(start, back if ends is None else (ends, ends, ends)),
            cause=bearing.cause,
            left=Fraction(decimal_text(min(lefts))) if lefts else Fraction(0),
            after_days=after,
            status=str(self.disruption.status),
            probability=bearing.probability,
            sources=bearing.sources,
            is_assumed=ends is None,
            closed=tuple(sorted({one.area.name for one in words if isinstance(one.area, Named)})),
        )


def _begins(report: Report) -> date:
    """The day on which it begins, by the clock of whoever wrote it."""
    return (report.onset or report.sent).date()


def _after(start: date, back: tuple[date, date, date]) -> tuple[date, date, date]:
    """Back a day after it stopped at least."""
    least, likely, most = (max(one, start + timedelta(1)) for one in back)
    return least, max(least, likely), max(least, likely, most)


def _cause(words: Sequence[_Word]) -> str:
    """What happened: in the words of a public warning if there is one, else one of the causes of CX-0146 and never what
    a partner wrote, which may name somebody.
    """
    public = [one.report for one in words if _is_public(one)]
    if public:
        return min(public, key=lambda one: (one.sent, one.sender, one.identifier)).event
    return str(min((one.report for one in words), key=lambda one: (one.sent, one.sender, one.identifier)).cause)


def _is_public(word: _Word) -> bool:
    is_feed = word.report.format in (CAP, GDACS) and not word.report.sender.startswith("0x")
    return is_feed and not word.by_name and _is_wide(word.area)


def _is_wide(area: Area) -> bool:
    if isinstance(area, Circle):
        return 2 * area.radius_km >= WIDE_KM
    if isinstance(area, Polygon):
        first = area.points[0]
        return any(distance_km(*first, *one) >= WIDE_KM for one in area.points)
    return area.kind is Place.REGION


def _sources(words: Sequence[_Word]) -> tuple[Source, ...]:
    """Each sender once with what it may be shown to say, and again with the rest."""
    areas: dict[tuple[str, bool], dict[str, None]] = defaultdict(dict)
    for one in words:
        areas[one.report.sender, _is_public(one)][_written(one.area)] = None
    return tuple(
        Source(sender, tuple(sorted(written)), is_public) for (sender, is_public), written in sorted(areas.items())
    )


def _written(area: Area) -> str:
    """An area as text, with as many corners as a map needs."""
    if isinstance(area, Circle):
        numbers = (area.latitude, area.longitude, area.radius_km)
        return "circle {},{} {}".format(*map(decimal_text, numbers))
    if isinstance(area, Polygon):
        corners = area.points[:-1]
        step = -(-len(corners) // MAX_CORNERS)
        ring = [*corners[::step], corners[0]]
        return "polygon " + " ".join(f"{decimal_text(lat)},{decimal_text(lon)}" for lat, lon in ring)
    return f"{area.kind} {area.name}"
