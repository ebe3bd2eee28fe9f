"""What an outage does, day by day: who stops when, starts again when, and what is lost meanwhile. Pure.

Every line makes what its customers order, as far as its capacity and the scarcest of its parts allow (AND); every need
is ordered from its links by their shares, and what one of them cannot deliver from the others as far as they have
capacity to spare (OR). Stock and goods on the way come first and delay; leads, sailings and calendars are kept. The
pass runs over the lines that the outage can starve, those whom they supply and their other suppliers; the rest goes on
as planned: by a first look at all that can fail to come, it has stock enough.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from risk.errors import MalformedFact
from risk.network import Lead, SupplyNetwork, days_from, totals
from risk.reach import (
    Closure,
    Diversion,
    Outage,
    Shape,
    beyond,
    closed_links,
    diverted_links,
    hit_lines,
    profile_of,
    shape_of,
)

Vector = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

_NO = np.zeros(0, np.int64)
_NOTHING = 1e-9
"""Amounts below this share of a day's plan are rounding."""

_ROUNDS = 3
"""How often what stands in for others is looked at again, for what that takes from those that it supplies."""


@dataclass(frozen=True, slots=True)
class Stop:
    """`site` makes less of `part` than planned: first and last such day, working days at a standstill and the
    shortfall, by week (Monday) too; `because_of` is the part that was missing most, None for the hit line itself.
    """

    site: str
    part: str
    first: date
    last: date
    is_over: bool
    standstill_days: int
    shortfall: float
    by_week: tuple[tuple[date, float], ...]
    because_of: str | None
    path: tuple[str, ...]
    revenue_cents: int | None


@dataclass(frozen=True, slots=True)
class Impact:
    """Everything that runs short within `days` of the outage, products that leave the network among it."""

    first: date
    days: int
    stops: tuple[Stop, ...]
    lines: int
    """how many lines the pass looked at"""

    def of(self, site: str, part: str) -> Stop | None:
        return next((one for one in self.stops if (one.site, one.part) == (site, part)), None)

    @property
    def revenue_cents(self) -> int:
        """The revenue of all products that are not made."""
        return sum(one.revenue_cents or 0 for one in self.stops)


def propagate(
    network: SupplyNetwork,
    outages: Sequence[Outage],
    *,
    closures: Sequence[Closure] = (),
    diversions: Sequence[Diversion] = (),
    days: int = 180,
    of: Collection[str] | None = None,
    happens: bool = True,
) -> Impact:
    """What `outages` and `closures` of links do within `days` days from the network's day on.

    With `happens` False the same lines are walked and nothing of it happens: what runs short then runs short anyway.

    Who asks only after the sites `of` gets the stops of these in full; where none of their lines is at risk nothing is
    walked at all.

    More stock, another supplier or a shorter outage lose less along a chain. Where lines compete for what is scarce
    that is not so: it goes by the agreed shares and not to what earns most, so a line that can make more may take from
    one that is worth more. `survival.plan` is monotone, and never loses more.

    Lines that have stock enough are not walked. What stands in for others may yet run short where refills hold up its
    own parts: in 2,600 trials no line missed more than a sixth of a day's plan by it. `walk_everything` leaves nothing
    out.

    Raises MalformedFact for outages of unknown sites and closures of unknown links, or that are none.
    """
    case = Case(network, outages, closures, diversions, of, happens)
    return propagate_all([case], days=days)[0]


@dataclass(frozen=True, slots=True)
class Case:
    """What `propagate` is asked: its arguments."""

    network: SupplyNetwork
    outages: Sequence[Outage]
    closures: Sequence[Closure] = ()
    diversions: Sequence[Diversion] = ()
    of: Collection[str] | None = None
    happens: bool = True

    def shape(self, days: int, like: "Shape | None" = None) -> "Shape | None":
        """What is walked of it; None where nothing is. What it has in common with `like` is taken from there."""
        network = self.network
        hit = hit_lines(network, network.arrays, self.outages)
        closed, diverted = closed_links(network, self.closures), diverted_links(network, self.diversions)
        inner = _at_risk(network, hit, closed, diverted, days)
        told = None if self.of is None else network.arrays.of_sites(self.of)
        if told is not None and not np.isin(told, inner).any():
            return None
        if not self.happens:
            hit, closed, diverted = {}, {}, {}
        return Shape(network, hit, days, inner, closed, diverted, told=told, like=like)


def propagate_all(cases: Sequence[Case], *, days: int = 180) -> list[Impact]:
    """What `propagate` says of each case, all walked side by side: a day costs little more for all than for one."""
    shapes: list[Shape | None] = []
    for one in cases:
        shapes.append(one.shape(days, shapes[0] if shapes else None))
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, shape in enumerate(shapes):
        if shape is not None:
            groups[shape.phases].append(number)
    found = [Impact(one.network.day, days, (), 0) for one in cases]
    for some in groups.values():
        walk = _Walk([shape for number in some if (shape := shapes[number]) is not None])
        for number, impact in zip(some, walk.run(), strict=True):
            found[number] = impact
    return found


@dataclass(frozen=True, slots=True)
class Range:
    """What an outage does if it ends as early, as likely, and as late as is said."""

    early: Impact
    likely: Impact
    late: Impact

    @property
    def revenue_cents(self) -> tuple[int, int, int]:
        """The least, the likely and the greatest revenue that is lost."""
        cents = [one.revenue_cents for one in (self.early, self.likely, self.late)]
        return min(cents), cents[1], max(cents)

    def starts_again(self, site: str, part: str) -> tuple[date | None, date | None, date | None]:
        """The last day on which it makes less than planned, in each case; None: it never does, or not any more."""
        stops = [impact.of(site, part) for impact in (self.early, self.likely, self.late)]
        early, likely, late = (None if one is None else one.last for one in stops)
        return early, likely, late


def propagate_range(
    network: SupplyNetwork,
    sites: Sequence[str],
    start: date,
    days_to_recover: tuple[int, int, int],
    *,
    closures: Sequence[Closure] = (),
    days: int = 180,
) -> Range:
    """What it does if `sites` are out from `start` on for the least, the likely and the most days.

    `closures` are the same in each case.

    Raises MalformedFact as `propagate` does, and for days that are not in order.
    """
    least, likely, most = days_to_recover
    if not 0 < least <= likely <= most:
        raise MalformedFact(f"days to recover are in order and above 0, not {least}, {likely}, {most}")
    impacts = [
        propagate(
            network,
            [Outage(site, ((start, 0.0), (start + timedelta(days=out), 1.0))) for site in sites],
            closures=closures,
            days=days,
        )
        for out in days_to_recover
    ]
    return Range(*impacts)


def walk_everything(
    network: SupplyNetwork,
    outages: Sequence[Outage],
    *,
    closures: Sequence[Closure] = (),
    diversions: Sequence[Diversion] = (),
    days: int = 180,
) -> Impact:
    """The same as `propagate` over every line that can be reached: slower, and what it is held to."""
    return _Walk([shape_of(network, outages, days, closures, diversions)]).run()[0]


def _at_risk(
    network: SupplyNetwork,
    hit: Mapping[int, list[tuple[tuple[date, float], ...]]],
    closed: Mapping[int, Sequence[Closure]],
    diverted: Mapping[int, Sequence[tuple[int, Diversion]]],
    days: int,
) -> Index:
    """The lines that can run short within `days` days, by what can fail to come in all against what lies there.

    A supplier that misses n days of its plan sends each customer n days less of its share at most; what a line has
    in stock of a part takes so many off. Lines that stand in for others are taken to give all they can spare.
    """
    arrays = network.arrays
    if not hit and not closed and not diverted:
        return np.zeros(0, np.int64)
    changed = [*closed, *diverted]
    cone = arrays.reach([*hit, *beyond(arrays, changed)])
    in_cone = np.zeros(len(arrays.lines), bool)
    in_cone[cone] = True
    in_way = in_cone[arrays.link_line]
    in_way[changed] = True
    link = np.flatnonzero(in_way)
    need = np.flatnonzero(in_cone[arrays.need_line])
    bins, need_at = np.unique(arrays.need_bin[need], return_inverse=True)
    place = np.full(len(arrays.bins), -1, np.int64)
    place[bins] = np.arange(len(bins))
    line_at = np.full(len(arrays.lines), -1, np.int64)
    line_at[cone] = np.arange(len(cone))
    need_line, link_line, link_bin = (
        line_at[arrays.need_line[need]],
        line_at[arrays.link_line[link]],
        place[arrays.link_bin[link]],
    )
    share, slack, usage = arrays.share[link], arrays.slack(days)[bins], arrays.usage[bins]
    # What makes the goods of a closed link need not be short itself.
    is_short = line_at[arrays.link_line[link]] >= 0
    held = np.zeros(len(bins))
    for at, some in closed.items():
        bin_ = place[arrays.link_bin[at]]
        held[bin_] += arrays.share[at] * min(_held_days(network.links[at].lead, some, days), days)
        if usage[bin_] > 0:  # and what is on its way may wait there too
            held[bin_] += sum(amount for _, amount in arrays.coming(at)) / usage[bin_]
    for at in diverted:  # who goes back to a slower way waits for it
        held[place[arrays.link_bin[at]]] += arrays.share[at] * days
    plan, capacity = arrays.per_day[cone], arrays.capacity[cone]
    dates = days_from(network.day, days)
    own = np.zeros(len(cone))
    for index, profiles in hit.items():
        left = np.ones(days)
        for profile in profiles:
            left *= profile_of(profile, dates)
        is_open = network.sites[arrays.lines[index].site].calendar.is_open
        own[line_at[index]] = sum(1 - left[at] for at, day in enumerate(dates) if left[at] < 1 and is_open(day))
    # What stands idle as planned may have to help out, from parts that nobody has ordered for it.
    is_spare = (plan <= 0) & (capacity > 0)
    most_extra = np.divide(capacity - plan, plan, out=np.zeros(len(cone)), where=plan > 0) * days
    missed, extra = own, np.zeros(len(bins))
    for _ in range(_ROUNDS):
        # Supply has no circles: this comes to rest after as many steps as the network has levels.
        while True:
            missing = totals(link_bin, np.where(is_short, share * missed[link_line], 0.0), len(bins)) + extra + held
            following = own.copy()
            np.maximum.at(following, need_line, np.minimum(missing - slack, days)[need_at])
            if np.array_equal(following, missed):
                break
            missed = following
        asked = totals(
            link_line[is_short],
            (missing * np.where(np.isfinite(slack), usage, 0))[link_bin[is_short]],
            len(cone),
        )
        more = np.minimum(np.divide(asked, plan, out=np.zeros(len(cone)), where=plan > 0), most_extra)
        before, extra = extra, np.zeros(len(bins))
        np.maximum.at(extra, need_at, more[need_line])
        extra = np.maximum(before, extra)
        if np.array_equal(before, extra):
            break
    risky = cone[(missed > _NOTHING) | is_spare]
    # Those whom they supply get their stocks filled up again, and so stand in each other's way.
    return np.union1d(risky, arrays.users(risky))


def _held_days(lead: Lead, closures: Iterable[Closure], days: int) -> int:
    """How many days' goods such closures can keep away at most: a sailing or a weekend may be missed besides."""
    span = 0
    for closure in closures:
        ends = [day for day, _ in closure.left[1:]]
        for (start, share), end in zip(closure.left, [*ends, None], strict=True):
            if share < 1:
                span += days if end is None else (end - start).days
    return span + (11 if lead.sails is not None else 4) if span else 0


@dataclass(frozen=True, slots=True)
class _Orders:
    """What is ordered on one kind of day: of whom, and how much of it at which phase of the day.

    `due` is how much of what bins need from their links falls to the suppliers of each phase, `asked` what each link is
    asked for, `wanted` what that makes for each line with what it owes elsewhere. `can_carry` bounds the links of a
    phase. `resting` is what each link would be asked for if its customer worked; None: all work.
    """

    named: Vector
    weights: Vector
    due: tuple[Vector, ...]
    asked: tuple[Vector, ...]
    wanted: tuple[Vector, ...]
    can_carry: tuple[Vector, ...]
    resting: Vector | None


class _Walk:
    """One walk through the days of several shapes side by side, which know nothing of each other; their stocks are used
    up on the way. What happens on a day costs little more for all of them than for one.
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes, self.days = shapes, len(shapes[0].days)
        self.first_line, self.first_bin, self.first_need, self.first_link = (
            np.cumsum([0, *counts]).tolist()
            for counts in zip(*((len(one.lines), len(one.bins), len(one.need_line), len(one.links)) for one in shapes),
                              strict=True)
        )  # fmt: skip
        self.lines, self.bins = self.first_line[-1], self.first_bin[-1]
        self.need_line = _joined([one.need_line for one in shapes], self.first_line)
        self.need_bin = _joined([one.need_bin for one in shapes], self.first_bin)
        self.need_amount = np.concatenate([one.need_amount for one in shapes])
        self.link_line = _joined([one.link_line for one in shapes], self.first_line)
        self.link_bin = _joined([one.link_bin for one in shapes], self.first_bin)
        # The needs of a line come one after the other.
        self.starts = np.flatnonzero(np.diff(self.need_line, prepend=-1))
        self.needing = self.need_line[self.starts]
        self.plan = np.concatenate([one.plan for one in shapes])
        self.elsewhere = np.concatenate([one.elsewhere for one in shapes])
        self.outside = np.concatenate([one.outside for one in shapes])
        self.since = np.concatenate([one.since for one in shapes])
        self.capacity = np.concatenate([one.capacity.T for one in shapes], axis=1)
        self.is_late = any(one.late is not None for one in shapes)
        self.finished = np.concatenate([one.finished for one in shapes])
        self.inbound = np.concatenate([one.inbound for one in shapes])
        self.arriving = np.concatenate([one.arriving for one in shapes], axis=1)
        self.on_the_way = self.arriving.sum(axis=0)
        self.target = self.inbound + self.on_the_way
        self.safety = self.finished.copy()
        self.tiny = _NOTHING * (1 + self.plan)
        self.usage = totals(self.need_bin, self.need_amount * self.plan[self.need_line], self.bins)
        levels = np.concatenate([one.arrays.level[one.lines] for one in shapes])
        self.phases = [levels == one for one in shapes[0].phases] or [np.ones(len(levels), bool)]
        self.kinds = [tuple(one) for one in np.stack([one.kinds for one in shapes], axis=1).tolist()]
        self._orders: dict[tuple[int, ...], _Orders] = {}

    def run(self) -> list[Impact]:
        """What happens in each of the shapes."""
        self.made = np.zeros((self.days, self.lines))
        self.scarce = np.full((self.days, self.lines), -1, np.int64)
        is_working = [any(day) for day in zip(*(one.open.any(axis=0).tolist() for one in self.shapes), strict=True)]
        tiny = _NOTHING * (1 + self.target)
        for t in range(self.days):
            self.inbound += self.arriving[t]
            self.on_the_way -= self.arriving[t]
            if not is_working[t]:
                continue
            orders = self._orders_of(t)
            self.inbound += orders.named
            # What a day uses comes before what fills stocks up again.
            gap = self.target - self.inbound - self.on_the_way + orders.named
            gap[gap < tiny] = 0.0
            owed = np.zeros(self.bins)
            for number, phase in enumerate(self.phases):
                owed += orders.due[number]
                self._day(t, number, phase, orders, owed, gap)
        return [self._told(number) for number in range(len(self.shapes))]

    def _orders_of(self, t: int) -> _Orders:
        key = self.kinds[t]
        if key not in self._orders:
            is_open, in_force, most = self._on(t, "open"), self.since <= t, self._on(t, "carry")
            plan = totals(self.need_bin, self.need_amount * (self.plan * is_open)[self.need_line], self.bins)
            named = plan * self.outside
            use = plan * (1 - self.outside)
            share = self._on(t, "shares") * in_force
            total = totals(self.link_bin, share, self.bins)
            weights = np.divide(share, total[self.link_bin], out=np.zeros(len(share)), where=total[self.link_bin] > 0)
            due, asked, wanted, can_carry = [], [], [], []
            left = use
            for number, phase in enumerate(self.phases):
                links = phase[self.link_line]
                falls = use * totals(self.link_bin, weights * links, self.bins)
                # What has no agreed share is asked for at once; the last phase is asked for all that is left.
                falls = left if number == len(self.phases) - 1 else np.where(total > 0, np.minimum(falls, left), left)
                left = left - falls
                carry = np.where(links & in_force & (is_open[self.link_line] > 0), most, 0.0)
                of_links = np.minimum(use[self.link_bin] * weights, carry)
                due.append(falls)
                asked.append(of_links)
                wanted.append(totals(self.link_line, of_links, self.lines) + self.elsewhere * is_open * phase)
                can_carry.append(carry)
            resting = np.maximum(self.usage * (1 - self.outside) - use, 0.0)[self.link_bin] * weights
            self._orders[key] = _Orders(
                named,
                weights,
                tuple(due),
                tuple(asked),
                tuple(wanted),
                tuple(can_carry),
                resting if resting.any() else None,
            )
        return self._orders[key]

    def _on(self, t: int, what: Literal["open", "carry", "shares"]) -> Vector:
        return np.concatenate([getattr(one, what)[:, t] for one in self.shapes])

    def _day(self, t: int, number: int, phase: Mask, orders: _Orders, owed: Vector, gap: Vector) -> None:
        """One phase of one day: the lines of `phase` make and ship; what arrives the same day the next phase can use.

        `owed` is what bins still need for the day, `gap` what is missing from their stocks; both get smaller.
        """
        is_all = len(self.phases) == 1
        potential, missing = self._potential(t)
        left = self.finished + potential
        if not is_all:
            potential *= phase
            left *= phase
        # First by the agreed shares.
        gone, shipped = orders.wanted[number], orders.asked[number].copy()
        is_short = gone > left
        if is_short.any():
            ratio = np.divide(left, gone, out=np.ones(len(left)), where=is_short)
            gone = gone * ratio
            shipped *= ratio[self.link_line]
        left -= gone
        np.maximum(left, 0.0, out=left)
        owed -= totals(self.link_bin, shipped, self.bins)
        owed[owed < _NOTHING * orders.due[number]] = 0.0
        room = orders.can_carry[number]
        shipping = _Shipping(self, shipped, gone.copy(), left, room)
        shipping.from_spare(owed)
        if orders.resting is not None:
            # What leaves while a customer is closed is for the days after that: a day's use comes first here too.
            shipping.by_share(gap, orders.weights, orders.resting)
        shipping.by_share(gap, orders.weights)
        shipping.from_spare(gap)
        gone = shipping.gone
        output = np.minimum(np.maximum(gone + self.safety - self.finished, 0.0), potential)
        finished = np.maximum(self.finished + output - gone, 0.0)
        self.inbound -= totals(self.need_bin, self.need_amount * output[self.need_line], self.bins)
        np.maximum(self.inbound, 0.0, out=self.inbound)
        if is_all:
            self.finished = finished
            self.made[t], self.scarce[t] = output, missing
        else:
            self.finished = np.where(phase, finished, self.finished)
            self.made[t, phase], self.scarce[t, phase] = output[phase], missing[phase]
        self._send(t, shipped)

    def _send(self, t: int, shipped: Vector) -> None:
        moving = np.flatnonzero(shipped > 0)
        amounts, bins = shipped[moving], self.link_bin[moving]
        if self.is_late and (late := self._late(t)[moving]).any():
            held = late > 0
            again = np.concatenate([one.late_arrival[:, t] for one in self.shapes])
            self._bring(again[moving[held]], bins[held], amounts[held] * late[held])
            amounts = amounts * (1 - late)
            is_left = amounts > 0
            moving, amounts, bins = moving[is_left], amounts[is_left], bins[is_left]
        arrives = np.concatenate([one.arrival[:, t] for one in self.shapes])[moving]
        if len(self.phases) > 1:  # else nothing arrives on the day it leaves
            now = arrives == t
            self.inbound += totals(bins[now], amounts[now], self.bins)
            later = arrives > t
            arrives, bins, amounts = arrives[later], bins[later], amounts[later]
        self._bring(arrives, bins, amounts)

    def _late(self, t: int) -> Vector:
        """The share of what leaves over each link that is held up on its way."""
        return np.concatenate([np.zeros(len(one.links)) if one.late is None else one.late[:, t] for one in self.shapes])

    def _bring(self, arrives: Index, bins: Index, amounts: Vector) -> None:
        np.add.at(self.arriving.reshape(-1), arrives * self.bins + bins, amounts)
        self.on_the_way += totals(bins, amounts, self.bins)

    def _potential(self, t: int) -> tuple[Vector, Index]:
        """The most each line can make today, and the need (its place) that keeps it from making more, or -1."""
        possible = self.capacity[t].copy()
        missing = np.full(self.lines, -1, np.int64)
        if len(self.starts):
            covered = self.inbound[self.need_bin] / self.need_amount
            best = np.full(self.lines, np.inf)
            best[self.needing] = np.minimum.reduceat(covered, self.starts)
            is_short = best < np.minimum(possible, self.plan) - self.tiny
            if is_short.any():
                at_best = np.flatnonzero((covered <= best[self.need_line]) & is_short[self.need_line])
                missing[self.need_line[at_best]] = at_best
            possible = np.minimum(possible, best)
        return possible, missing

    def _told(self, number: int) -> Impact:
        """What the walk has found in the shape of that number."""
        lines = slice(self.first_line[number], self.first_line[number + 1])
        scarce = self.scarce[:, lines].T
        scarce = np.where(scarce < 0, -1, scarce - self.first_need[number])
        return _Found(self.shapes[number], self.made[:, lines].T, scarce).impact()


def _joined(places: Sequence[Index], firsts: Sequence[int]) -> Index:
    return np.concatenate([one + first for one, first in zip(places, firsts, strict=False)])


class _Shipping:
    """What leaves in one phase of one day: `shipped` over each link, `gone` from each line, and what these have `left`.

    `room` is what each link can carry.
    """

    def __init__(self, walk: _Walk, shipped: Vector, gone: Vector, left: Vector, room: Vector) -> None:
        self.walk, self.shipped, self.gone, self.left, self.room = walk, shipped, gone, left, room

    def by_share(self, short: Vector, weights: Vector, most: Vector | None = None) -> None:
        """Ask for what bins are `short` of by the agreed shares, and over each link for `most` at most; `short` gets
        smaller by what comes.
        """
        links, bins = self._into(short)
        if len(links):
            asked = short[bins] * weights[links]
            if most is not None:
                asked = np.minimum(asked, most[links])
            self._ask(links, bins, np.minimum(asked, self.room[links] - self.shipped[links]), short)

    def from_spare(self, short: Vector) -> None:
        """Ask for what bins are `short` of whoever has something to spare and a link with room for it."""
        links, bins = self._into(short)
        if len(links):
            room = self.room[links] - self.shipped[links]
            spare = np.minimum(self.left[self.walk.link_line[links]], room)
            of_bin = totals(bins, spare, self.walk.bins)[bins]
            asked = np.divide(spare * short[bins], of_bin, out=np.zeros(len(spare)), where=of_bin > 0)
            self._ask(links, bins, np.minimum(asked, room), short)

    def _into(self, short: Vector) -> tuple[Index, Index]:
        """The links into bins that are short, and these bins."""
        links = np.flatnonzero(short[self.walk.link_bin] > 0) if short.any() else _NO
        return links, self.walk.link_bin[links]

    def _ask(self, links: Index, bins: Index, asked: Vector, short: Vector) -> None:
        """Ship what is `asked`, as far as there is something left."""
        lines = self.walk.link_line[links]
        wanted = totals(lines, asked, self.walk.lines)
        ratio = np.divide(self.left, wanted, out=np.ones(len(wanted)), where=wanted > self.left)
        given = asked * ratio[lines]
        taken = wanted * ratio
        before = short.copy()
        short -= totals(bins, given, self.walk.bins)
        short[short < _NOTHING * before] = 0.0
        self.shipped[links] += given
        self.gone += taken
        self.left -= taken
        np.maximum(self.left, 0.0, out=self.left)


class _Found:
    """What a walk over a shape has found: what each line (row) makes on each day, and which need was scarcest then."""

    def __init__(self, shape: Shape, made: Vector, scarce: Index) -> None:
        self.shape, self.made, self.scarce = shape, made, scarce
        self.arrays, self.lines, self.days = shape.arrays, shape.lines, shape.days
        self.due = shape.plan[:, None] * shape.open
        lost = self.due - made
        tiny = _NOTHING * (1 + shape.plan[:, None])
        lost[lost < tiny] = 0
        # Who lacks nothing, and makes less because a customer keeps a holiday or cannot be reached, does not stop.
        lost[(scarce < 0) & (shape.capacity >= self.due - tiny)] = 0
        self.lost = lost

    def impact(self) -> Impact:
        weeks = [day - timedelta(days=day.weekday()) for day in self.days]
        places = np.flatnonzero((self.lost.sum(axis=1) > 0) & self.shape.told).tolist()
        stops = sorted((self._stop(place, weeks) for place in places), key=lambda one: (one.first, one.site, one.part))
        return Impact(self.shape.network.day, len(self.days), tuple(stops), len(self.lines))

    def _stop(self, place: int, weeks: Sequence[date]) -> Stop:
        shape, row = self.shape, self.lost[place]
        line = self.arrays.lines[int(self.lines[place])]
        short = np.flatnonzero(row)
        by_week: dict[date, float] = defaultdict(float)
        for t in short.tolist():
            by_week[weeks[t]] += float(row[t])
        total = float(row.sum())
        reasons = self.scarce[place][short]
        reasons = reasons[reasons >= 0]
        need = int(np.bincount(reasons).argmax()) if len(reasons) else None
        is_standing = (self.made[place] <= _NOTHING * (1 + shape.plan[place])) & (self.due[place] > 0) & (row > 0)
        return Stop(
            site=line.site,
            part=line.part,
            first=self.days[short[0]],
            last=self.days[short[-1]],
            is_over=bool(shape.open[place, short[-1] + 1 :].any()),
            standstill_days=int(np.sum(is_standing)),
            shortfall=total,
            by_week=tuple(sorted(by_week.items())),
            because_of=None if need is None else self._part(need),
            path=self._path(place),
            revenue_cents=None if line.revenue_cents is None else round(total * line.revenue_cents),
        )

    def _part(self, need: int) -> str:
        return self.arrays.bins[int(self.shape.bins[self.shape.need_bin[need]])][1]

    def _path(self, place: int) -> tuple[str, ...]:
        """From what was hit to this line: at each step the scarcest part, and of its suppliers the one short most."""
        path = [self.arrays.lines[int(self.lines[place])].site]
        for _ in range(len(self.lines)):
            reasons = self.scarce[place][self.lost[place] > 0]
            reasons = reasons[reasons >= 0]
            if not len(reasons):
                break
            bin_ = self.shape.need_bin[int(np.bincount(reasons).argmax())]
            suppliers = self.shape.link_line[self.shape.link_bin == bin_]
            if not len(suppliers):
                break
            place = int(suppliers[self.lost[suppliers].sum(axis=1).argmax()])
            path.append(self.arrays.lines[int(self.lines[place])].site)
        return tuple(reversed(path))
