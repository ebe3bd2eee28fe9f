"""What outages and closed links can reach: the part of a network that a walk passes through, day by day. Pure.

A shape holds what such a walk or a program needs of it: who is open when and can make how much, what is on its way, and
on which day what leaves over each link can be used. Leads, sailings, calendars, closures and ramps are all in it.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from risk.errors import MalformedFact
from risk.network import Arrays, Calendar, Lead, SupplyLink, SupplyNetwork, days_from, totals

Vector = NDArray[np.float64]
Index = NDArray[np.int64]

_NO = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Outage:
    """From `start` on, `site` keeps the share of its capacity that `left` names: (day, share 0 to 1) steps, in order.

    The first step is the onset, the last one holds for good: ``((13 Oct, 0), (24 Nov, 1))`` stops and comes back at
    once, more steps between are a ramp. With `part` only that one line is hit.
    """

    site: str
    left: tuple[tuple[date, float], ...]
    part: str | None = None

    @property
    def start(self) -> date:
        return self.left[0][0]

    def check(self) -> None:
        """Raise MalformedFact unless the steps are in order and shares."""
        if not self.left:
            raise MalformedFact("an outage says from when on how much is left", self.site)
        if any(not 0 <= share <= 1 for _, share in self.left):
            raise MalformedFact("what is left is a share from 0 to 1", self.site)
        if any(one[0] >= two[0] for one, two in zip(self.left, self.left[1:], strict=False)):
            raise MalformedFact("an outage ends before it begins", self.site)


@dataclass(frozen=True, slots=True)
class Closure:
    """From `left` on the link `link` lets the named share through: (day, share 0 to 1) steps, in order; the last holds.

    Goods come to where it is closed `after_days` days after they leave: 0 at the port of departure. There it takes so
    much less of what it can carry, or is planned to; what waits for a sailing on a closed day waits for the next one.
    Further on, of what comes there the share that is left goes on, and the rest waits until it is open in full: goods
    on their way when it closes too. None: it is closed nowhere, less is handed over to it.
    """

    link: str
    left: tuple[tuple[date, float], ...]
    after_days: int | None = 0

    def check(self) -> None:
        """Raise MalformedFact unless the steps are in order and shares, and goods leave before they come there."""
        where = f"link {self.link}"
        if not self.left:
            raise MalformedFact("a closure says from when on how much is let through", where)
        if any(not 0 <= share <= 1 for _, share in self.left):
            raise MalformedFact("what is let through is a share from 0 to 1", where)
        if any(one[0] >= two[0] for one, two in zip(self.left, self.left[1:], strict=False)):
            raise MalformedFact("it opens before it closes", where)
        if self.after_days is not None and self.after_days < 0:
            raise MalformedFact("goods come to where it is closed after they left", where)


@dataclass(frozen=True, slots=True)
class Diversion:
    """Of what is asked of the link `link` the share that `steps` names from each day on is asked of `to` instead.

    What `to` cannot take goes by `link` after all. `survival.plan` needs none: it asks where it is best.
    """

    link: str
    to: str
    steps: tuple[tuple[date, float], ...]


def hit_lines(
    network: SupplyNetwork, arrays: Arrays, outages: Iterable[Outage]
) -> dict[int, list[tuple[tuple[date, float], ...]]]:
    """What is left of each line that is hit, by its place. Raises MalformedFact for sites and lines that are none."""
    hit: dict[int, list[tuple[tuple[date, float], ...]]] = defaultdict(list)
    for outage in outages:
        outage.check()
        if outage.site not in network.sites:
            raise MalformedFact("nobody has described this site", outage.site)
        lines = arrays.lines_at(outage.site)
        if outage.part is not None and (outage.site, outage.part) not in arrays.line_index:
            raise MalformedFact(f"it does not make {outage.part}", outage.site)
        for index in lines:
            if outage.part in (None, arrays.lines[index].part):
                hit[index].append(outage.left)
    return hit


def closed_links(network: SupplyNetwork, closures: Iterable[Closure]) -> dict[int, list[Closure]]:
    """The closures of each link, by its place."""
    closed: dict[int, list[Closure]] = defaultdict(list)
    for closure in closures:
        closure.check()
        closed[_link_at(network, closure.link)].append(closure)
    for some in closed.values():
        some.sort(key=lambda one: (one.after_days or 0, one.left))
    return dict(closed)


def diverted_links(network: SupplyNetwork, diversions: Iterable[Diversion]) -> dict[int, list[tuple[int, Diversion]]]:
    """Where what each link is asked for goes instead: the places of both links."""
    diverted: dict[int, list[tuple[int, Diversion]]] = defaultdict(list)
    for one in diversions:
        Closure(one.link, one.steps).check()
        at, to = _link_at(network, one.link), _link_at(network, one.to)
        if network.arrays.link_bin[at] != network.arrays.link_bin[to]:
            raise MalformedFact(f"it brings something else, or elsewhere, than {one.to}", f"link {one.link}")
        diverted[at].append((to, one))
    return dict(diverted)


def _link_at(network: SupplyNetwork, key: str) -> int:
    at = bisect_left(network.links, key, key=lambda one: one.key)
    if at == len(network.links) or network.links[at].key != key:
        raise MalformedFact("there is no such link", f"link {key}")
    return at


def _extent(arrays: Arrays, cone: Index) -> tuple[Index, Index, Index, Index]:
    """The needs and bins of the lines `cone`, the links into these, and all lines at either end of them."""
    in_cone = np.zeros(len(arrays.lines), bool)
    in_cone[cone] = True
    need = np.flatnonzero(in_cone[arrays.need_line])
    is_bin = np.zeros(len(arrays.bins), bool)
    is_bin[arrays.need_bin[need]] = True
    link = np.flatnonzero(is_bin[arrays.link_bin])
    in_cone[arrays.link_line[link]] = True
    return need, np.flatnonzero(is_bin), link, np.flatnonzero(in_cone)


def beyond(arrays: Arrays, links: Iterable[int]) -> list[int]:
    """The lines that use what `links` bring."""
    bins = arrays.link_bin[list(links)]
    return sorted(set(arrays.need_line[np.isin(arrays.need_bin, bins)].tolist()))


class Shape:
    """The part of a network that an outage can reach, by days: what passes over it and programs about it work on.

    `lines` and `bins` are their places in the network's arrays; all else counts within them. `open`, `capacity`: a row
    for each line and a column for each day. `arrival[link, t]` is the day on which what leaves on day t can be used,
    the number of days where that is too late; the share `late[link, t]` of it comes on `late_arrival[link, t]`, where a
    closure holds it up (None: nothing does). `carry[link, t]` bounds what leaves. `arriving[t, bin]` is on its way.
    With `leading_to` (lines) it is the part of that which comes before these; the rest is left out, and owed as ever.
    """

    def __init__(
        self,
        network: SupplyNetwork,
        hit: Mapping[int, list[tuple[tuple[date, float], ...]]],
        days: int,
        inner: Index | None = None,
        closed: Mapping[int, Sequence[Closure]] | None = None,
        diverted: Mapping[int, Sequence[tuple[int, Diversion]]] | None = None,
        leading_to: Index | None = None,
        told: Index | None = None,
        like: "Shape | None" = None,
    ) -> None:
        arrays = network.arrays
        self.closed, self.diverted = closed or {}, diverted or {}
        self.network = network
        self.days = days_from(network.day, days)
        self.arrays = arrays
        if like is not None and inner is not None and like.is_ground_of(self, inner):
            self.__dict__.update({name: one for name, one in vars(like).items() if name not in vars(self)})
            self._fill(hit, told)
            return
        self.cone = cone = (
            arrays.reach([*hit, *beyond(arrays, [*self.closed, *self.diverted])]) if inner is None else inner
        )
        need, bins, link, lines = _extent(arrays, cone)
        usage = totals(arrays.need_bin[need], arrays.need_amount[need] * arrays.per_day[arrays.need_line[need]],
                       len(arrays.bins))  # fmt: skip
        # What a line owes to customers outside is taken from it first.
        taken = totals(arrays.link_line[link], arrays.share[link] * usage[arrays.link_bin[link]], len(arrays.lines))
        is_final = np.bincount(arrays.link_line[link], minlength=len(arrays.lines)) == 0
        elsewhere = np.where(is_final, arrays.per_day, np.maximum(arrays.per_day - taken, 0))
        if leading_to is not None:
            cone, asked = np.intersect1d(cone, arrays.before(leading_to)), np.intersect1d(lines, leading_to)
            need, bins, link, lines = _extent(arrays, cone)
            lines = np.union1d(lines, asked)
        in_cone = np.zeros(len(arrays.lines), bool)
        in_cone[cone] = True
        bin_at = np.full(len(arrays.bins), -1, np.int64)
        bin_at[bins] = np.arange(len(bins))
        line_at = np.full(len(arrays.lines), -1, np.int64)
        line_at[lines] = np.arange(len(lines))
        self.lines, self.bins, self.links = lines, bins, link
        self.is_inner = in_cone[lines]
        self.need_line, self.need_bin = line_at[arrays.need_line[need]], bin_at[arrays.need_bin[need]]
        self.need_amount = arrays.need_amount[need]
        self.link_line, self.link_bin = line_at[arrays.link_line[link]], bin_at[arrays.link_bin[link]]
        self.share = arrays.share[link]
        self.plan = arrays.per_day[lines]
        self.open = self._calendars()
        self.elsewhere = elsewhere[lines]
        self._prepare_links()
        levels = np.unique(arrays.level[lines]).tolist()
        is_same_day = np.any(self.arrival == np.arange(days))
        # Only what arrives on the day it leaves has to be there before others go on.
        self.phases = tuple(levels) if is_same_day else ()
        """the levels of lines that make and ship one after the other on each day; none: all do at once"""
        self.kinds = self._kinds_of_days()
        self._fill(hit, told)

    def is_ground_of(self, other: "Shape", cone: Index) -> bool:
        """Whether `other`, of these lines, differs in nothing but stocks and what is hit."""
        return (
            self.network.sites is other.network.sites
            and self.network.lines is other.network.lines
            and self.network.links is other.network.links
            and (self.closed, self.diverted) == (other.closed, other.diverted)
            and np.array_equal(self.cone, cone)
        )

    def _fill(self, hit: Mapping[int, list[tuple[tuple[date, float], ...]]], told: Index | None) -> None:
        """What lies where, and how much of what can be made is left."""
        arrays = self.arrays
        self.told = self.is_inner if told is None else self.is_inner & np.isin(self.lines, told)
        self.finished = arrays.finished[self.lines].copy()
        self.inbound = arrays.inbound[self.bins].copy()
        self.capacity = arrays.capacity[self.lines][:, None] * self.open
        for index, profiles in hit.items():
            at = int(np.searchsorted(self.lines, index))
            if at < len(self.lines) and self.lines[at] == index:  # else nothing is lost there
                for profile in profiles:
                    self.capacity[at] *= profile_of(profile, self.days)

    def _calendars(self) -> Vector:
        kinds: dict[Calendar, int] = {}
        seen: dict[int, int] = {}  # hashing a calendar takes longer than all else here
        rows = []
        for index in self.lines.tolist():
            calendar = self.network.sites[self.arrays.lines[index].site].calendar
            if id(calendar) not in seen:
                seen[id(calendar)] = kinds.setdefault(calendar, len(kinds))
            rows.append(seen[id(calendar)])
        tables = np.array([[float(one.is_open(day)) for day in self.days] for one in kinds])
        self._calendar_days = tables.reshape(len(kinds), len(self.days))
        return self._calendar_days[rows]

    def _kinds_of_days(self) -> Index:
        """Days with one number have the same orders."""
        said = [self._calendar_days.T, (np.unique(self.since)[:, None] <= np.arange(len(self.days))).T]
        if self.closed:
            said.append(self.carry[[place for place, at in enumerate(self.links.tolist()) if at in self.closed]].T)
        if self.diverted:
            said.append(self.shares.T)
        return np.unique(np.concatenate(said, axis=1), axis=0, return_inverse=True)[1].reshape(-1)

    def _prepare_links(self) -> None:
        days, arrays = len(self.days), self.arrays
        routes, route = np.unique(arrays.route[self.links], return_inverse=True)
        tables = [arrays.arrival(one.lead, one.customer, days) for one in (arrays.routes[at] for at in routes.tolist())]
        self.arrival = np.array(tables, np.int64).reshape(len(tables), days)[route]
        self.most = arrays.most[self.links]
        self.since = np.zeros(len(self.links), np.int64)
        for place in np.flatnonzero(arrays.waits[self.links]).tolist():
            since = self.network.links[int(self.links[place])].since
            self.since[place] = 0 if since is None else (since - self.network.day).days
        self.arriving = np.zeros((days + 1, len(self.bins)))
        coming: list[tuple[int, int, float]] = []
        for at, bin_ in zip(self.links.tolist(), self.link_bin.tolist(), strict=True):
            if at not in self.closed:
                coming += [(day, bin_, amount) for day, amount in arrays.coming(at) if day < days]
        when, where, amounts = (np.array(one) for one in zip(*coming, strict=True)) if coming else (_NO, _NO, _NO)
        np.add.at(self.arriving, (when, where), amounts)
        # A share that nobody has named is taken to come as planned: it is not known to be hit.
        self.outside = np.clip(1 - totals(self.link_bin, self.share, len(self.bins)), 0, 1)
        self.outside[np.bincount(self.link_bin, minlength=len(self.bins)) == 0] = 1
        self.carry = np.broadcast_to(self.most[:, None], (len(self.links), days))
        self.late: Vector | None = None
        self.late_arrival = self.arrival
        if self.closed:
            self._close()
        self.shares = np.broadcast_to(self.share[:, None], (len(self.links), days))
        if self.diverted:
            self._divert()

    def _divert(self) -> None:
        """What links are asked for on each day, by their shares and what is asked of others instead."""
        self.shares = self.shares.copy()
        place = {at: number for number, at in enumerate(self.links.tolist())}
        for at, some in self.diverted.items():
            for to, one in some:
                if at in place:
                    left = profile_of([(day, 1 - share) for day, share in one.steps], self.days)
                    moved = self.shares[place[at]] * (1 - left)
                    self.shares[place[to]] += moved
                    self.shares[place[at]] -= moved

    def _close(self) -> None:
        """What closures hold back, at the departure and on the way."""
        self.carry = self.carry.copy()
        self.late, self.late_arrival = np.zeros(self.arrival.shape), self.arrival.copy()
        usage = totals(self.need_bin, self.need_amount * self.plan[self.need_line], len(self.bins))
        ways: dict[tuple[Lead, Calendar, tuple[Closure, ...]], _Way] = {}
        for place, at in enumerate(self.links.tolist()):
            closures = self.closed.get(at)
            if closures is None:
                continue
            link = self.network.links[at]
            calendar = self.network.sites[link.customer].calendar
            key = (link.lead, calendar, tuple(replace(one, link="") for one in closures))
            if key not in ways:
                ways[key] = _Way(link.lead, calendar, closures, self.days)
            way = ways[key]
            most = self.most[place]
            if np.isinf(most):
                planned = self.share[place] * usage[self.link_bin[place]]
                most = planned or self.arrays.capacity[self.arrays.link_line[at]]
            self.carry[place] = np.where(way.left < 1, way.left * most, self.most[place])
            self.arrival[place], self.late[place], self.late_arrival[place] = way.arrival, way.late, way.late_arrival
            for day, amount in link.in_transit.items():
                for share, arrives in way.on_the_way(day):
                    if arrives < len(self.days):
                        self.arriving[arrives, self.link_bin[place]] += float(amount) * share


class _Way:
    """How goods go over a link that is closed somewhere, for each day on which they are sent.

    `left` is what the port of departure takes on it. What is sent arrives on `arrival`, but the share `late` of it on
    `late_arrival`; the number of days is too late.
    """

    def __init__(self, lead: Lead, calendar: Calendar, closures: Sequence[Closure], days: Sequence[date]) -> None:
        self.lead, self.calendar, self.days = lead, calendar, days
        self.port = [one for one in closures if one.after_days == 0]
        self.further = [(one, one.after_days) for one in closures if one.after_days]
        self.left = np.ones(len(days))
        for one in closures:
            if not one.after_days:
                self.left *= profile_of(one.left, days)
        self.arrival = np.full(len(days), len(days), np.int64)
        self.late, self.late_arrival = np.zeros(len(days)), np.full(len(days), len(days), np.int64)
        for at, day in enumerate(days):
            leaves = self._sails(day)
            if leaves is not None:
                share, waits = self._held(leaves)
                due = self._due(leaves)
                self.late[at] = 1 - share
                self.arrival[at] = self._comes(due)
                self.late_arrival[at] = len(days) if waits is None else self._comes(due + timedelta(days=waits))

    def on_the_way(self, due: date) -> list[tuple[float, int]]:
        """What was to arrive on the day `due`, as (share of it, day): what has passed already is not held up."""
        share, waits = self._held(due - timedelta(days=self.lead.days))
        late = len(self.days) if waits is None else self._comes(due + timedelta(days=waits))
        return [(share, self._comes(due)), (1 - share, late)]

    def _sails(self, day: date) -> date | None:
        """When that leaves which is sent on `day`: the port takes it then, but no ship sails from a closed one."""
        while self.lead.sails is not None and (
            day.weekday() not in self.lead.sails or any(_let_through(one, day) == 0 for one in self.port)
        ):
            if day > self.days[-1]:
                return None
            day += timedelta(days=1)
        return day

    def _held(self, leaves: date) -> tuple[float, int | None]:
        """Which share comes through in time, and how many days the rest waits on the way; None: for good."""
        share, waits = 1.0, 0
        for one, after_days in self.further:
            there = leaves + timedelta(days=min(after_days, self.lead.days))
            if there < self.days[0]:
                continue
            share *= _let_through(one, there)
            there += timedelta(days=waits)
            if _let_through(one, there) < 1:
                open_again = min((day for day, left in one.left if day > there and left == 1), default=None)
                if open_again is None:
                    return share, None
                waits += (open_again - there).days
        return share, waits

    def _due(self, leaves: date) -> date:
        if not self.lead.working:
            return leaves + timedelta(days=self.lead.days)
        left = self.lead.days
        while left and leaves <= self.days[-1]:
            leaves += timedelta(days=1)
            left -= self.calendar.is_open(leaves)
        return leaves

    def _comes(self, day: date) -> int:
        """The place of the first day from `day` on on which the customer works."""
        at = max((day - self.days[0]).days, 0)
        while at < len(self.days) and not self.calendar.is_open(self.days[at]):
            at += 1
        return min(at, len(self.days))


def comes(network: SupplyNetwork, link: SupplyLink, closures: Sequence[Closure], days: int) -> Index:
    """When (which day) all that is handed over to `link` on each day can be used; `days`: too late, or not at all."""
    way = _Way(link.lead, network.sites[link.customer].calendar, closures, days_from(network.day, days))
    since = 0 if link.since is None else (link.since - network.day).days
    is_open = (way.left > 0) & (np.arange(days) >= since)
    return np.where(is_open, np.where(way.late > 0, way.late_arrival, way.arrival), days)


def _let_through(closure: Closure, day: date) -> float:
    """The share that a closure lets through on `day`."""
    return next((share for start, share in reversed(closure.left) if start <= day), 1.0)


def shape_of(
    network: SupplyNetwork,
    outages: Sequence[Outage],
    days: int,
    closures: Sequence[Closure] = (),
    diversions: Sequence[Diversion] = (),
    of: Collection[str] | None = None,
) -> Shape:
    """What `outages` and `closures` can reach within `days` days, of that what leads to the lines of the sites `of` if
    they are named; raises MalformedFact as `propagate` does.
    """
    hit = hit_lines(network, network.arrays, outages)
    closed, diverted = closed_links(network, closures), diverted_links(network, diversions)
    lines = None if of is None else network.arrays.of_sites(of)
    return Shape(network, hit, days, closed=closed, diverted=diverted, leading_to=lines)


def profile_of(left: Sequence[tuple[date, float]], days: Sequence[date]) -> Vector:
    """The share of capacity that is left on each of `days`."""
    profile = np.ones(len(days))
    for start, share in left:
        profile[max((start - days[0]).days, 0) :] = share
    return profile
