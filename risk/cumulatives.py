"""How much can be there by each day at the most: the best plan without a program, where nobody has to share. Pure.

Whoever serves one customer alone does best by making and sending all that it can as early as it can: then as much as
possible is there by every day at once, and so it is with whatever is made of that. One pass from the raw ends on gives
these cumulatives, and a product loses by how much what is due is ahead of them at the worst. Where several want the
same, two passes bound the answer: in one each may have all of it, in the other each gets its planned part. Where both
say the same, it is the answer; elsewhere a linear program has to say who gets what.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from risk.network import Arrays, totals
from risk.reach import Shape

Vector = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

Thing = tuple[Literal["stock", "finished", "capacity"], int]
"""The stock of a bin, the finished stock or the capacity of a line, by their places in the shape."""

_NOTHING = 1e-9
"""Amounts below this share of all that comes are rounding."""
_STEPS = 200


@dataclass(frozen=True, slots=True)
class Best:
    """The least that lines lose of what they owe, by day and as late as can be, and what one more would save of it:
    one unit of a stock, or one of capacity on each day as far as any is left.
    """

    lost: Mapping[int, Vector]
    saved: Mapping[Thing, float]


def best(shape: Shape, prices: Vector) -> Best | None:
    """What is lost at best where each unit lost by a line costs its price; None where only a program can say it.

    Lines without a price are owed nothing. `saved` counts in money.
    """
    if not _is_in_order(shape):
        return None
    owed = np.flatnonzero((prices > 0) & (shape.elsewhere > 0) & shape.open.any(axis=1))
    claims = np.bincount(shape.link_line, minlength=len(shape.lines))
    claims[owed] += 1
    users = np.bincount(shape.need_bin, minlength=len(shape.bins))
    one = _Cumulatives(shape, np.ones(len(shape.links)), np.ones(len(shape.need_bin)), np.ones(len(shape.lines)))
    found = one.best(owed, prices)
    if claims.max(initial=0) < 2 and users.max(initial=0) < 2:
        return found
    other = _Cumulatives(shape, *_planned(shape, owed)).best(owed, prices)
    return found if _is_same(shape, found, other) else None


def _is_in_order(shape: Shape) -> bool:
    """Whether what is sent later never is there sooner, on any link."""
    if np.any(np.diff(shape.arrival, axis=1) < 0):
        return False
    if shape.late is None:
        return True
    return all(np.all(np.diff(_there(shape, link), axis=0) < _NOTHING) for link in _delayed(shape).tolist())


def _delayed(shape: Shape) -> Index:
    return np.flatnonzero(shape.late.any(axis=1)) if shape.late is not None else np.zeros(0, np.int64)


def _there(shape: Shape, link: int) -> Vector:
    """The share of what is sent on each day (row) that is there by each day (column)."""
    days = np.arange(len(shape.days))
    in_time: Vector = (shape.arrival[link][:, None] <= days).astype(np.float64)
    if shape.late is None:
        return in_time
    late: Vector = shape.late[link][:, None]
    is_there = (shape.late_arrival[link][:, None] <= days).astype(np.float64)
    return np.asarray(in_time * (1 - late) + is_there * late, np.float64)


def _planned(shape: Shape, owed: Index) -> tuple[Vector, Vector, Vector]:
    """Which part of what a line makes goes over each link, of what a bin holds into each need, and of what a line makes
    to whom it owes it elsewhere, as planned.
    """
    used = shape.need_amount * shape.plan[shape.need_line]
    usage = totals(shape.need_bin, used, len(shape.bins))
    asked = shape.share * usage[shape.link_bin] + _NOTHING
    due = np.zeros(len(shape.lines))
    due[owed] = shape.elsewhere[owed]
    total = totals(shape.link_line, asked, len(shape.lines)) + due
    of_bin = totals(shape.need_bin, used + _NOTHING, len(shape.bins))
    elsewhere = np.divide(due, total, out=np.ones(len(due)), where=total > 0)
    return asked / total[shape.link_line], (used + _NOTHING) / of_bin[shape.need_bin], elsewhere


def _is_same(shape: Shape, one: Best, other: Best) -> bool:
    for line, lost in one.lost.items():
        if np.abs(np.cumsum(lost - other.lost[line])).max() > _NOTHING * (1 + shape.elsewhere[line]) * len(lost):
            return False
    most = max((*one.saved.values(), *other.saved.values()), default=0.0)
    return all(
        abs(one.saved.get(thing, 0.0) - other.saved.get(thing, 0.0)) <= _NOTHING * most
        for thing in one.saved.keys() | other.saved.keys()
    )


def longest(arrays: Arrays, products: Index, is_out: Mask, most_days: float) -> float | None:
    """For how many days all `products` can be made as planned without the lines that are out, `most_days` at most, if
    nothing takes time; None where only a program can say it.
    """
    found = [_Bucket(arrays, is_planned=one).longest(products, is_out, most_days) for one in (False, True)]
    return found[0] if found[0] - found[1] <= _NOTHING * found[0] else None


class _Bucket:
    """What a network can make in one bucket of time, however long: of what several want each may have all of it, or
    with `is_planned` its planned part.
    """

    def __init__(self, arrays: Arrays, *, is_planned: bool) -> None:
        self.arrays = arrays
        count, bins = len(arrays.lines), len(arrays.bins)
        self.inbound = arrays.inbound + arrays.on_the_way
        self.unnamed = arrays.usage * arrays.outside
        """what comes a day of whom nobody has named"""
        of_link, of_need = np.ones(len(arrays.link_line)), np.ones(len(arrays.need_line))
        if is_planned:
            asked = arrays.share * arrays.usage[arrays.link_bin] + _NOTHING
            of_link = asked / totals(arrays.link_line, asked, count)[arrays.link_line]
            used = arrays.need_amount * arrays.per_day[arrays.need_line] + _NOTHING
            of_need = used / totals(arrays.need_bin, used, bins)[arrays.need_bin]
        level = arrays.level[arrays.need_line]
        first = np.full(bins, np.iinfo(np.int64).max)
        np.minimum.at(first, arrays.need_bin, level)
        of_links = first[arrays.link_bin]
        self.steps = []
        """by levels: links, their parts of what their lines have; needs, what one of their bins is enough for; where
        the needs of each line begin, and these lines"""
        for one in np.unique(level).tolist():
            links, needs = np.flatnonzero(of_links == one), np.flatnonzero(level == one)
            starts = np.flatnonzero(np.diff(arrays.need_line[needs], prepend=-1))
            lines = arrays.need_line[needs[starts]]
            self.steps.append((links, of_link[links], needs, of_need[needs] / arrays.need_amount[needs], starts, lines))

    def longest(self, products: Index, is_out: Mask, most_days: float) -> float:
        """Newton's way down: what can be made grows ever more slowly with time, so no step leads too far."""
        days = most_days
        per_day = self.arrays.per_day[products]
        for _ in range(_STEPS):
            made, grows = self._made(is_out, days)
            ahead, falls = (made + self.arrays.finished)[products] - per_day * days, per_day - grows[products]
            is_short = ahead < -_NOTHING * (1 + per_day * days)
            if not is_short.any():
                return days
            days = max(float(np.min(days + ahead[is_short] / falls[is_short])), 0.0)
        return float("nan")  # equal to nothing

    def _made(self, is_out: Mask, days: float) -> tuple[Vector, Vector]:
        """What each line can make in so many days, and how much more on one day more."""
        arrays, bins = self.arrays, len(self.inbound)
        grows = np.where(is_out, 0.0, arrays.capacity)
        made = grows * days
        there, comes = self.inbound + self.unnamed * days, self.unnamed.copy()
        for links, of_link, needs, of_need, starts, lines in self.steps:
            suppliers, into, uses = arrays.link_line[links], arrays.link_bin[links], arrays.need_bin[needs]
            there += totals(into, of_link * (made + arrays.finished)[suppliers], bins)
            comes += totals(into, of_link * grows[suppliers], bins)
            enough = of_need * there[uses]
            least = np.minimum.reduceat(enough, starts)
            is_least = enough <= np.repeat(least, np.diff(starts, append=len(needs)))
            slowest = np.minimum.reduceat(np.where(is_least, of_need * comes[uses], np.inf), starts)
            is_less = least < made[lines]
            made[lines] = np.where(is_less, least, made[lines])
            grows[lines] = np.where(is_less, slowest, grows[lines])
        return made, grows


class _Cumulatives:
    """What each line can have made, each link can have brought and each bin can have had in all, by each day.

    `of_line` is the part of what a line has that a link may take, `of_bin` what a need may take of its bin, `elsewhere`
    what a line may take of its own for whom it owes it outside.
    """

    def __init__(self, shape: Shape, of_line: Vector, of_bin: Vector, elsewhere: Vector) -> None:
        self.shape, self.of_line, self.of_bin, self.elsewhere = shape, of_line, of_bin, elsewhere
        days = len(shape.days)
        self.capacity = np.cumsum(shape.capacity, axis=1)
        self.made = np.zeros(self.capacity.shape)
        """of each line"""
        planned = shape.plan[:, None] * shape.open
        usage = np.zeros((len(shape.bins), days))
        np.add.at(usage, shape.need_bin, shape.need_amount[:, None] * planned[shape.need_line])
        self.inbound = np.cumsum(shape.arriving[:days].T + usage * shape.outside[:, None], axis=1)
        self.inbound += shape.inbound[:, None]
        """of each bin"""
        can_go = (np.arange(days) >= shape.since[:, None]) & (shape.open[shape.link_line] > 0)
        self.carry = np.where(can_go, shape.carry, 0.0)
        self.sent = np.zeros(self.carry.shape)
        """of each link"""
        self.room = np.zeros(self.carry.shape)
        self.enough = np.full(self.capacity.shape, np.inf)
        """what the parts of each line are enough for"""
        self._from_the_raw_ends_on()
        self._ways = {link: _there(shape, link) for link in _delayed(shape).tolist()}
        self._saves: dict[tuple[str, int, int], Mapping[Thing, float]] = {}

    def _from_the_raw_ends_on(self) -> None:
        shape = self.shape
        level = shape.arrays.level[shape.lines]
        of_need = level[shape.need_line]
        # What a bin of several lines is brought comes from below all of them.
        first = np.full(len(shape.bins), np.iinfo(np.int64).max)
        np.minimum.at(first, shape.need_bin, of_need)
        of_link = first[shape.link_bin]
        for one in np.unique(level).tolist():
            links = np.flatnonzero(of_link == one)
            if len(links):
                there = self.of_line[links, None] * self._there(shape.link_line[links])
                # No more than all that is there ever leaves.
                most = np.minimum(self.carry[links], 1 + 2 * there[:, -1:])
                self.room[links] = np.cumsum(most, axis=1)
                self.sent[links] = _within(there, self.room[links])
                self._bring(links)
            needs = np.flatnonzero(of_need == one)
            if len(needs):
                share = self.of_bin[needs] / shape.need_amount[needs]
                np.minimum.at(self.enough, shape.need_line[needs], share[:, None] * self.inbound[shape.need_bin[needs]])
            lines = np.flatnonzero(level == one)
            self.made[lines] = _within(self.enough[lines], self.capacity[lines])

    def _there(self, lines: Index) -> Vector:
        """What `lines` have had to give in all, by each day."""
        return self.made[lines] + self.shape.finished[lines][:, None]

    def _bring(self, links: Index) -> None:
        shape, days = self.shape, len(self.shape.days)
        sent = np.diff(self.sent[links], axis=1, prepend=0.0)
        comes = np.zeros((len(shape.bins), days + 1))
        bins = np.broadcast_to(shape.link_bin[links, None], sent.shape)
        if shape.late is None:
            np.add.at(comes, (bins, shape.arrival[links]), sent)
        else:
            late = shape.late[links]
            np.add.at(comes, (bins, shape.arrival[links]), sent * (1 - late))
            np.add.at(comes, (bins, shape.late_arrival[links]), sent * late)
        self.inbound += np.cumsum(comes[:, :days], axis=1)

    def best(self, owed: Index, prices: Vector) -> Best:
        """What the lines `owed` lose, and what one more of each thing saves of that in money."""
        lost: dict[int, Vector] = {}
        saved: dict[Thing, float] = {}
        for line in owed.tolist():
            due = np.cumsum(self.shape.elsewhere[line] * self.shape.open[line])
            behind = due - self.elsewhere[line] * self._there(np.array([line]))[0]
            short = np.maximum.accumulate(np.maximum(behind, 0.0))
            lost[line] = np.diff(short, prepend=0.0)
            small = _NOTHING * (1 + due[-1])
            if short[-1] > small:
                worst = np.flatnonzero(behind >= short[-1] - small).tolist()
                one = _least(_times(self._line(line, day), self.elsewhere[line]) for day in worst)
                for thing, units in one.items():
                    saved[thing] = saved.get(thing, 0.0) + units * float(prices[line])
        return Best(lost, saved)

    # How much more there is by a day with one more of a thing: exact, as all of it is sums and minima. Where several
    # keep it back at once the least counts, as only all of them together would give more.

    def _line(self, line: int, day: int) -> Mapping[Thing, float]:
        key = ("line", line, day)
        if key not in self._saves:
            steps = _tight(self.enough[line], self.capacity[line], day)
            a_unit = self._a_unit_of_capacity(line)
            options = []
            for step in steps:
                parts = {} if step < 0 else self._parts(line, step)
                more = float(a_unit[day] - (a_unit[step] if step >= 0 else 0.0))
                options.append({**parts, ("capacity", line): more})
            self._saves[key] = {**_least(options), ("finished", line): 1.0}
        return self._saves[key]

    def _a_unit_of_capacity(self, line: int) -> Vector:
        most = float(self.shape.arrays.capacity[self.shape.lines[line]])
        found: Vector = self.capacity[line] / most if most else np.zeros(len(self.capacity[line]))
        return found

    def _parts(self, line: int, day: int) -> Mapping[Thing, float]:
        shape, options = self.shape, []
        for need in np.flatnonzero(shape.need_line == line).tolist():
            share = float(self.of_bin[need] / shape.need_amount[need])
            bin_ = int(shape.need_bin[need])
            enough = self.enough[line, day]
            if share * self.inbound[bin_, day] <= enough + _NOTHING * (1 + enough):
                options.append(_times(self._bin(bin_, day), share))
        return _least(options)

    def _bin(self, bin_: int, day: int) -> Mapping[Thing, float]:
        key = ("bin", bin_, day)
        if key not in self._saves:
            found: dict[Thing, float] = {("stock", bin_): 1.0}
            for link in np.flatnonzero(self.shape.link_bin == bin_).tolist():
                for sent, share in self._sent_by(link, day):
                    for thing, units in self._link(link, sent).items():
                        found[thing] = found.get(thing, 0.0) + units * share
            self._saves[key] = found
        return self._saves[key]

    def _sent_by(self, link: int, day: int) -> list[tuple[int, float]]:
        """By which days what is sent in all counts for what is there by `day`, and with which share."""
        if link not in self._ways:
            last = int(np.searchsorted(self.shape.arrival[link], day, "right")) - 1
            return [(last, 1.0)] if last >= 0 else []
        there = self._ways[link][:, day]
        shares = there - np.append(there[1:], 0.0)
        return [(int(at), float(shares[at])) for at in np.flatnonzero(shares > _NOTHING)]

    def _link(self, link: int, day: int) -> Mapping[Thing, float]:
        key = ("link", link, day)
        if key not in self._saves:
            line, share = int(self.shape.link_line[link]), float(self.of_line[link])
            there = share * self._there(np.array([line]))[0]
            steps = _tight(there, self.room[link], day)
            self._saves[key] = _least({} if step < 0 else _times(self._line(line, step), share) for step in steps)
        return self._saves[key]


def _within(most: Vector, room: Vector) -> Vector:
    """The largest cumulatives below `most` that grow by no more than `room` does."""
    return np.minimum(np.minimum.accumulate(most - room, axis=-1), 0.0) + room


def _tight(most: Vector, room: Vector, day: int) -> list[int]:
    """The days up to `day` on which `most` keeps `_within` from being more on `day`; -1: only `room` does, from the
    first day on.
    """
    left = most[: day + 1] - room[: day + 1]
    least = min(float(left.min()), 0.0)
    small = _NOTHING * (1 + min(float(most[day]), float(room[day])))
    found = np.flatnonzero(left <= least + small).tolist()
    return [-1, *found] if least >= -small else found


def _times(saves: Mapping[Thing, float], share: float) -> Mapping[Thing, float]:
    return saves if share == 1 else {thing: units * share for thing, units in saves.items()}


def _least(options: Iterable[Mapping[Thing, float]]) -> dict[Thing, float]:
    """What every one of the options gives at the least."""
    found: dict[Thing, float] | None = None
    for one in options:
        if found is None:
            found = dict(one)
        elif found is not one:
            found = {thing: min(units, one[thing]) for thing, units in found.items() if thing in one}
    return found or {}
