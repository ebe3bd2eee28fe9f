"""Thousands of failures screened at once: what share of each product is at risk if these sites fail for good. Pure.

Nobody reacts: parts are AND, suppliers of one part are OR by their shares, stock and spare capacity are left out. It
can only say too much, never too little: what it clears, nothing that the failure can reach loses. `left_over` bounds
nothing and puts failures in the order in which it is worth to walk them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from risk.disruption import Place
from risk.errors import MalformedFact
from risk.hits import ways_of
from risk.network import Arrays, SupplyNetwork

BATCH = 64
"""Scenarios that go through the network together; more no longer fit the cache."""
_EXACT = 10_000
"""Shares at risk are counted in parts of this, so that sums are exact in any order."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What fails together: sites, and all sites of some regions and ports (UN/LOCODE).

    From `after_days` days after the view's day on they keep the share `left`, until they are back after `days` (at
    the least, likely, at the most), or each after its own time. `chance`: how likely it is in a year; None: not known.
    """

    name: str
    sites: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    after_days: int = 0
    days: tuple[int, int, int] | None = None
    left: Fraction = Fraction(0)
    chance: Fraction | None = None

    def check(self) -> None:
        """Raise MalformedFact unless something fails in it, for a time and with a chance that can be."""
        if not (self.sites or self.regions or self.ports or self.passages):
            raise MalformedFact("nothing fails in it", self.name)
        if self.days is not None and not 0 < self.days[0] <= self.days[1] <= self.days[2]:
            raise MalformedFact("days to recover are above 0: at the least, likely, at the most", self.name)
        if self.after_days < 0:
            raise MalformedFact("it begins on the day of the view or later", self.name)
        if not 0 <= self.left < 1:
            raise MalformedFact("what is left is a share from 0 up to 1", self.name)
        if self.chance is not None and not 0 <= self.chance <= 1:
            raise MalformedFact("a chance is a share from 0 to 1", self.name)

    def failing(self, network: SupplyNetwork) -> "Failing":
        """What of it fails in `network`, and what of it nobody there answers to."""
        sites, missing = set[str](), []
        for key in self.sites:
            if key in network.sites:
                sites.add(key)
            else:
                missing.append(key)
        for name in self.regions:
            there = [key for key, site in network.sites.items() if site.region == name]
            sites.update(there)
            if not there:
                missing.append(name)
        links: dict[str, int] = {}
        ways: dict[tuple[Place, str], list[tuple[str, int]]] = defaultdict(list)
        if self.ports or self.passages:
            for link in network.links:
                for place, after in ways_of(link):
                    ways[place].append((link.key, after))
        for kind, names in ((Place.PORT, self.ports), (Place.LANE, self.passages)):
            for name in names:
                there = [key for key, site in network.sites.items() if kind is Place.PORT and site.locode == name]
                sites.update(there)
                for key, after in ways[kind, name]:
                    links[key] = min(after, links.get(key, after))
                if not there and not ways[kind, name]:
                    missing.append(name)
        return Failing(tuple(sorted(sites)), tuple(sorted(links.items())), tuple(missing))


@dataclass(frozen=True, slots=True)
class Failing:
    """Sites that fail, links that are closed so many days after goods leave, and names that nobody answers to."""

    sites: tuple[str, ...] = ()
    links: tuple[tuple[str, int], ...] = ()
    not_seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Screened:
    """What a scenario puts at risk each day at most: cents of revenue, and products of which anything is missing."""

    scenario: Scenario
    cents_a_day: int
    products: int
    share: Fraction = Fraction(0)
    """the sum over products of the share that is missing"""


def every_site(network: SupplyNetwork) -> list[Scenario]:
    """Each site that makes anything, alone."""
    return [Scenario(site, (site,)) for site in sorted({line.site for line in network.lines})]


def every_region(network: SupplyNetwork) -> list[Scenario]:
    """All sites of each region that has a name."""
    return _grouped((site.region, site.key) for site in network.sites.values())


def every_port(network: SupplyNetwork) -> list[Scenario]:
    """All sites of each UN/LOCODE, and for the screen those whom goods reach through it: at most, they stop."""
    there = [(site.locode or "", site.key) for site in network.sites.values()]
    passing = ((place, link.customer) for link in network.links for place, _ in ways_of(link))
    return _grouped([*there, *((name, customer) for (kind, name), customer in passing if kind is Place.PORT)])


def _grouped(named: Iterable[tuple[str, str]]) -> list[Scenario]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, site in named:
        if name:
            groups[name].append(site)
    return [Scenario(name, tuple(sorted(set(sites)))) for name, sites in sorted(groups.items())]


class Screen:
    """A network made ready for screening; it is of use as long as the network is.

    `products` are the lines that count, by their places in its arrays: by default those whose parts leave the network.
    """

    def __init__(self, network: SupplyNetwork, products: Sequence[int] | None = None) -> None:
        self.network = network
        self.arrays = network.arrays
        self._levels = list(_levels(self.arrays))
        taken = np.bincount(self.arrays.link_line, minlength=len(self.arrays.lines))
        self._products = np.flatnonzero(taken == 0) if products is None else np.array(sorted(products), np.int64)
        exact = [self.arrays.lines[at] for at in self._products.tolist()]
        self._cents = [round(one.per_day * (one.revenue_cents or 0)) for one in exact]
        # A share this small along a path is lost in the rounding of the pass: then who is reached is asked apart.
        least = float(self.arrays.share.min(initial=1.0))
        self._is_coarse = least ** max(len(self._levels), 1) < 1e-5

    def run(self, scenarios: Sequence[Scenario]) -> list[Screened]:
        """Every scenario, worst first. Raises MalformedFact for a site that nobody has described."""
        found: list[Screened] = []
        # Those that begin on one level share the levels that they cannot touch.
        depth = self.arrays.level
        order = sorted(
            scenarios, key=lambda one: min((int(depth[at]) for key in one.sites for at in self._lines(key)), default=0)
        )
        for start in range(0, len(order), BATCH):
            found += self._batch(order[start : start + BATCH])
        return sorted(found, key=_by_risk)

    def _batch(self, batch: Sequence[Scenario]) -> list[Screened]:
        reached = self._reached(batch)[self._products] if self._is_coarse else None
        return self._counted(batch, self.made(batch), reached)

    def _counted(
        self, batch: Sequence[Scenario], made: NDArray[np.float32], reached: NDArray[np.bool_] | None = None
    ) -> list[Screened]:
        lost = 1 - made[self._products].astype(np.float64)
        parts = np.rint(lost * _EXACT).astype(np.int64)
        touched = lost > 1e-6 if reached is None else (lost > 1e-6) | reached
        # Whole numbers below 2^53 add up exactly in any order; what could be more is added up without limit.
        if sum(self._cents) * _EXACT < 2**53:
            cents = [int(one) for one in np.array(self._cents, np.float64) @ parts]
        else:
            cents = [sum(map(int.__mul__, self._cents, column)) for column in parts.T.tolist()]
        shares = parts.sum(axis=0).tolist()
        counts = touched.sum(axis=0).tolist()
        return [
            Screened(one, -(-cents[at] // _EXACT), counts[at], Fraction(shares[at], _EXACT))
            for at, one in enumerate(batch)
        ]

    def _lines(self, site: str) -> tuple[int, ...]:
        if site not in self.network.sites:
            raise MalformedFact("nobody has described this site", site)
        return self.arrays.lines_at(site)

    def _hit(self, batch: Sequence[Scenario]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rows, columns = [], []
        for column, scenario in enumerate(batch):
            for site in scenario.sites:
                for row in self._lines(site):
                    rows.append(row)
                    columns.append(column)
        return np.array(rows, np.int64), np.array(columns, np.int64)

    def made(self, batch: Sequence[Scenario], *, with_spare: bool = False) -> NDArray[np.float32]:
        """The share of its plan that each line (row) makes in each scenario (column)."""
        made = np.ones((len(self.arrays.lines), len(batch)), np.float32)
        rows, columns = self._hit(batch)
        made[rows, columns] = 0
        lowest = int(self.arrays.level[rows].min(initial=1 << 30)) if len(rows) else 0
        for level in self._levels:
            if level.depth <= lowest:
                continue
            filled = level.shares @ made[: level.start]
            filled += level.outside[:, None]
            if with_spare:
                filled += level.spare @ made[: level.start]
                np.minimum(filled, 1, out=filled)
            made[level.start : level.end] = np.minimum.reduceat(filled, level.offsets, axis=0)
            inside = (rows >= level.start) & (rows < level.end)
            made[rows[inside], columns[inside]] = 0
        return np.clip(made, 0, 1)

    def left_over(self, scenarios: Sequence[Scenario]) -> list[Screened]:
        """The same, worst first, if what others have to spare is all sent where it is missing: no bound, a guess at
        who is really hit, by which thousands of failures can be put in order before any is walked.
        """
        found = []
        for start in range(0, len(scenarios), BATCH):
            batch = scenarios[start : start + BATCH]
            found += self._counted(batch, self.made(batch, with_spare=True))
        return sorted(found, key=_by_risk)

    def _reached(self, batch: Sequence[Scenario]) -> NDArray[np.bool_]:
        """Which lines (rows) each scenario (column) can reach at all, by links of whatever share."""
        found = np.zeros((len(self.arrays.lines), len(batch)), bool)
        for column, scenario in enumerate(batch):
            found[self.arrays.reach(at for site in scenario.sites for at in self._lines(site)), column] = True
        return found


@dataclass(frozen=True)
class _Level:
    """The lines `start` to `end`, one row of `shares` for each of their needs."""

    depth: int
    start: int
    end: int
    shares: sparse.csr_array[np.float32]
    spare: sparse.csr_array[np.float32]
    """what each supplier could send more, in shares of the need"""
    outside: NDArray[np.float32]
    offsets: NDArray[np.int64]


def _by_risk(one: Screened) -> tuple[Any, ...]:
    return -one.cents_a_day, -one.share, -one.products, one.scenario.name


def _levels(arrays: Arrays) -> Iterable[_Level]:
    bins = len(arrays.bins)
    count = len(arrays.lines)
    more = np.maximum(arrays.capacity - arrays.per_day, 0)[arrays.link_line]
    used = arrays.usage[arrays.link_bin]
    more = np.minimum(more, np.maximum(arrays.most - arrays.share * used, 0))
    part = np.divide(more, used, out=np.zeros(len(more)), where=used > 0)
    spare = sparse.csr_array((part, (arrays.link_bin, arrays.link_line)), shape=(bins, count))
    shares = sparse.csr_array((arrays.share, (arrays.link_bin, arrays.link_line)), shape=(bins, count))
    for level in range(1, int(arrays.level.max(initial=0)) + 1):
        start, end = np.searchsorted(arrays.level, [level, level + 1]).tolist()
        first, last = np.searchsorted(arrays.need_line, [start, end]).tolist()
        needs = arrays.need_bin[first:last]
        offsets = np.searchsorted(arrays.need_line[first:last], np.arange(start, end))
        yield _Level(
            level,
            start,
            end,
            shares[needs][:, :start].astype(np.float32),
            spare[needs][:, :start].astype(np.float32),
            arrays.outside[needs].astype(np.float32),
            offsets,
        )
