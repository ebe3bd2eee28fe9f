"""Stress tests: many failures screened at once, the worst of them walked through day by day. Pure.

The screen asks one question of thousands of scenarios: what share of each product is at risk if these sites fail for
good and nobody reacts? Parts are AND, suppliers of one part are OR by their shares, stock and spare capacity are left
out. It can only say too much, never too little, so what it clears needs no second look. `propagate` and `plan` say
what stock, leads and spare capacity make of the rest.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from risk.errors import MalformedFact
from risk.network import Arrays, SupplyNetwork
from risk.propagation import Impact, Outage, propagate

BATCH = 64
"""Scenarios that go through the network together; more no longer fit the cache."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Sites that fail together."""

    name: str
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Screened:
    """What a scenario puts at risk each day at most: cents of revenue, and products of which anything is missing."""

    scenario: Scenario
    cents_a_day: int
    products: int


def every_site(network: SupplyNetwork) -> list[Scenario]:
    """Each site that makes anything, alone."""
    return [Scenario(site, (site,)) for site in sorted({line.site for line in network.lines})]


def every_region(network: SupplyNetwork) -> list[Scenario]:
    """All sites of each region that has a name."""
    return _grouped((site.region, site.key) for site in network.sites.values())


def every_port(network: SupplyNetwork) -> list[Scenario]:
    """All sites of each UN/LOCODE."""
    return _grouped((site.locode or "", site.key) for site in network.sites.values())


def _grouped(named: Iterable[tuple[str, str]]) -> list[Scenario]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, site in named:
        if name:
            groups[name].append(site)
    return [Scenario(name, tuple(sorted(sites))) for name, sites in sorted(groups.items())]


class Screen:
    """A network made ready for screening; it is of use as long as the network is."""

    def __init__(self, network: SupplyNetwork) -> None:
        self.network = network
        self.arrays = network.arrays
        self._levels = list(_levels(self.arrays))
        taken = np.bincount(self.arrays.link_line, minlength=len(self.arrays.lines))
        self._products = np.flatnonzero(taken == 0)
        self._cents = np.array(
            [float(line.per_day) * (line.revenue_cents or 0) for line in self.arrays.lines], np.float64
        )[self._products]

    def run(self, scenarios: Sequence[Scenario]) -> list[Screened]:
        """Every scenario, worst first. Raises MalformedFact for a site that nobody has described."""
        found: list[Screened] = []
        # Those that begin on one level share the levels that they cannot touch.
        depth = self.arrays.level
        order = sorted(
            scenarios, key=lambda one: min((int(depth[at]) for key in one.sites for at in self._lines(key)), default=0)
        )
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            lost = 1 - self._pass(batch)[self._products].astype(np.float64)
            cents = self._cents @ lost
            touched = (lost > 1e-6).sum(axis=0)
            found += [Screened(one, round(float(cents[at])), int(touched[at])) for at, one in enumerate(batch)]
        return sorted(found, key=lambda one: (-one.cents_a_day, -one.products, one.scenario.name))

    def _lines(self, site: str) -> tuple[int, ...]:
        if site not in self.network.sites:
            raise MalformedFact("nobody has described this site", site)
        return self.arrays.lines_of.get(site, ())

    def _pass(self, batch: Sequence[Scenario]) -> NDArray[np.float32]:
        """The share of its plan that each line (row) makes in each scenario (column)."""
        made = np.ones((len(self.arrays.lines), len(batch)), np.float32)
        hit_rows, hit_columns = [], []
        for column, scenario in enumerate(batch):
            for site in scenario.sites:
                for row in self._lines(site):
                    hit_rows.append(row)
                    hit_columns.append(column)
        rows, columns = np.array(hit_rows, np.int64), np.array(hit_columns, np.int64)
        made[rows, columns] = 0
        lowest = int(self.arrays.level[rows].min(initial=1 << 30)) if len(rows) else 0
        for level in self._levels:
            if level.depth <= lowest:
                continue
            filled = level.shares @ made[: level.start]
            filled += level.outside[:, None]
            made[level.start : level.end] = np.minimum.reduceat(filled, level.offsets, axis=0)
            inside = (rows >= level.start) & (rows < level.end)
            made[rows[inside], columns[inside]] = 0
        return np.clip(made, 0, 1)


@dataclass(frozen=True)
class _Level:
    """The lines `start` to `end`, one row of `shares` for each of their needs."""

    depth: int
    start: int
    end: int
    shares: sparse.csr_array[np.float32]
    outside: NDArray[np.float32]
    offsets: NDArray[np.int64]


def _levels(arrays: Arrays) -> Iterable[_Level]:
    bins = len(arrays.bins)
    count = len(arrays.lines)
    shares = sparse.csr_array((arrays.share, (arrays.link_bin, arrays.link_line)), shape=(bins, count))
    named = np.bincount(arrays.link_bin, arrays.share, bins)
    outside = np.clip(1 - named, 0, 1)
    outside[np.bincount(arrays.link_bin, minlength=bins) == 0] = 1
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
            outside[needs].astype(np.float32),
            offsets,
        )


@dataclass(frozen=True, slots=True)
class Tested:
    """A scenario walked through day by day, after the screen had flagged it."""

    screened: Screened
    impact: Impact


@dataclass(frozen=True, slots=True)
class StressTest:
    """What was tested, on what: enough to run it again. `network` is the digest of the facts it is made from."""

    network: str
    scenarios: int
    cleared: int
    worst: tuple[Tested, ...]


def stress_test(
    network: SupplyNetwork, scenarios: Sequence[Scenario], recovery_days: Mapping[str, int], *, worst: int = 10,
    days: int = 180,
) -> StressTest:  # fmt: skip
    """The `worst` of `scenarios` by the screen, each walked through until its sites recover, 42 days where unknown.

    They come by the revenue that is really lost, most first.
    """
    screened = Screen(network).run(scenarios)
    flagged = [one for one in screened if one.cents_a_day or one.products]
    tested = []
    for one in flagged[:worst]:
        outages = [
            Outage(site, ((network.day, 0.0), (network.day + timedelta(days=recovery_days.get(site, 42)), 1.0)))
            for site in one.scenario.sites
        ]
        tested.append(Tested(one, propagate(network, outages, days=days)))
    tested.sort(key=lambda one: (-one.impact.revenue_cents, one.screened.scenario.name))
    return StressTest(network.digest, len(scenarios), len(screened) - len(flagged), tuple(tested))
