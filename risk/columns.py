"""The network in columns of numbers: what all readers' sights of one checkpoint are worked out from. Pure.

Sites, parts, links, lines and stocks are numbered in their order in the network, parts by name. What a part or a need
comes to over the whole network is summed once; a reader who sees less of it has the rest summed for itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from risk.network import Line, SupplyNetwork

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Columns:
    """`network`, in which `parts` come in besides those of its own facts; `ranks` is how much each link shows."""

    def __init__(self, network: SupplyNetwork, ranks: Sequence[int], parts: Iterable[str]) -> None:
        self.network = network
        self.sites = list(network.sites.values())
        self.lines, self.links, self.stocks = list(network.lines), list(network.links), list(network.stocks)
        self.site_at = {one.key: at for at, one in enumerate(self.sites)}
        here, sites = {*parts, *(one.part for one in self.stocks)}, self.site_at
        for line in self.lines:
            here.add(line.part)
            here.update(line.needs)
        self.parts = sorted(here)
        self.part_at = {part: at for at, part in enumerate(self.parts)}
        at = self.part_at
        self.rank = np.array(ranks, np.int8)
        self.supplier = np.array([sites[one.supplier] for one in self.links], np.int64)
        self.customer = np.array([sites[one.customer] for one in self.links], np.int64)
        self.link_part = np.array([at[one.part] for one in self.links], np.int64)
        self.line_site = np.array([sites[one.site] for one in self.lines], np.int64)
        self.line_part = np.array([at[one.part] for one in self.lines], np.int64)
        needs = [(number, part) for number, one in enumerate(self.lines) for part in one.needs]
        self.need_line = np.array([one for one, _ in needs], np.int64)
        self.need_part = np.array([at[part] for _, part in needs], np.int64)
        self.stock_site = np.array([sites[one.site] for one in self.stocks], np.int64)
        self.stock_part = np.array([at[one.part] for one in self.stocks], np.int64)
        self._whole: dict[int, Fraction] = {}

    @cached_property
    def link_at(self) -> Mapping[str, int]:
        """The number of each link, by its key."""
        return {one.key: at for at, one in enumerate(self.links)}

    @cached_property
    def owned(self) -> Mapping[str, Sequence[int]]:
        """The sites of each member."""
        found: dict[str, list[int]] = defaultdict(list)
        for at, one in enumerate(self.sites):
            found[one.owner].append(at)
        return found

    @cached_property
    def twins(self) -> Sequence[Sequence[int]]:
        """Links that bring the same part from the same site to the same site, where there are several."""
        found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for at, one in enumerate(self.links):
            found[one.supplier, one.customer, one.part].append(at)
        return [some for some in found.values() if len(some) > 1]

    # -- of parts ------------------------------------------------------------------------------------------------------

    def per_day(self, part: int, lines: Mask, needs: Mask) -> Fraction:
        """How much of `part` is made a day by `lines`; where nobody makes it: can be made, is needed. 0: no telling."""
        makers, users = self._of(self._makers, part), self._of(self._users, part)
        if lines[makers].all() and needs[users].all():
            if part not in self._whole:
                self._whole[part] = self._measure(makers, users)
            return self._whole[part]
        return self._measure(makers[lines[makers]], users[needs[users]])

    def stocked(self, part: int, stocks: Mask) -> Fraction:
        """How much of `part` lies in `stocks`."""
        there = np.flatnonzero(stocks & (self.stock_part == part)).tolist()
        return sum((self.stocks[one].amount for one in there), Fraction(0))

    def _measure(self, makers: Index, users: Index) -> Fraction:
        lines = [self.lines[one] for one in makers.tolist()]
        return (
            sum((one.per_day for one in lines), Fraction(0))
            or sum((one.capacity for one in lines), Fraction(0))
            or sum((self._used(one) for one in users.tolist()), Fraction(0))
        )

    def _used(self, need: int) -> Fraction:
        line: Line = self.lines[self.need_line[need]]
        return line.per_day * line.needs[self.parts[self.need_part[need]]]

    @cached_property
    def _makers(self) -> tuple[Index, Index]:
        return _sorted_by(self.line_part, len(self.parts))

    @cached_property
    def _users(self) -> tuple[Index, Index]:
        return _sorted_by(self.need_part, len(self.parts))

    @staticmethod
    def _of(rows: tuple[Index, Index], number: int) -> Index:
        order, first = rows
        return order[first[number] : first[number + 1]]

    # -- of needs ------------------------------------------------------------------------------------------------------

    def coverage(self, sites: Mask, links: Mask) -> tuple[int, Fraction]:
        """How many parts are needed at `sites`, and the sum of the shares in which `links` bring them."""
        places = np.flatnonzero(sites[self._need_places // len(self.parts)])
        lacking = np.unique(self._place_of_link[~links])
        is_whole = np.ones(len(self._need_places), bool)
        is_whole[lacking] = False
        values, which = self._covered
        count = np.bincount(which[places[is_whole[places]]], minlength=len(values))
        total = sum((value * number for value, number in zip(values, count.tolist(), strict=True)), Fraction(0))
        rest = places[~is_whole[places]]
        order, first = _sorted_by(self._place_of_link, len(self._need_places)) if len(rest) else (rest, rest)
        for place in rest.tolist():
            some = order[first[place] : first[place + 1]]
            total += self._share(some[links[some]])
        return len(places), total

    @cached_property
    def _need_places(self) -> Index:
        """Where which part is needed: the number of the site times that of all parts, and that of the part."""
        return np.unique(self.line_site[self.need_line] * len(self.parts) + self.need_part)

    @cached_property
    def _place_of_link(self) -> Index:
        return np.searchsorted(self._need_places, self.customer * len(self.parts) + self.link_part)

    @cached_property
    def _covered(self) -> tuple[list[Fraction], Index]:
        """The shares in which all links together bring what is needed, and which of them each place has."""
        order, first = _sorted_by(self._place_of_link, len(self._need_places))
        numbers: dict[Fraction, int] = {}
        which = [
            numbers.setdefault(self._share(order[first[at] : first[at + 1]]), len(numbers))
            for at in range(len(self._need_places))
        ]
        return list(numbers), np.array(which, np.int64)

    def _share(self, links: Index) -> Fraction:
        return min(sum((self.links[one].share for one in links.tolist()), Fraction(0)), Fraction(1))


def _sorted_by(column: Index, count: int) -> tuple[Index, Index]:
    """The rows of `column` by its numbers, and where each of `count` numbers begins."""
    order = np.argsort(column, kind="stable")
    return order, np.searchsorted(column[order], np.arange(count + 1))
