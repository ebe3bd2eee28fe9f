"""How long a site can be missing before something is lost, and the least that must be lost then. Pure.

Two linear programs of Simchi-Levi et al. (Interfaces 45(5), 2015): TTR gives the least loss while a site is out for a
known time, TTS the longest time without any. They know one bucket of time, so they are exact where nothing takes time
and wrong where leads, sailings or ramps matter: there they call safe what stands still meanwhile. `plan` expands them
by days; it is the answer that counts, with what one more unit of stock or capacity is worth.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from risk.cumulatives import best, longest
from risk.errors import MalformedFact, RiskError
from risk.network import Arrays, SupplyNetwork, totals
from risk.reach import Closure, Outage, Shape, shape_of

Vector = NDArray[np.float64]

_SMALL = 1e-6
_SAME = 1e-9
"""Costs that differ by less than this share are the same: the solver knows no better."""


class NoSolution(RiskError):
    """The solver could not settle a program; `status` is what it said."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the linear program was not solved: {status}")
        self.status = status


class _Program:
    """Rows and columns of a linear program on their way to the solver; minimises."""

    def __init__(self) -> None:
        self.cost: list[Vector] = []
        self.upper: list[Vector] = []
        self.columns = 0
        self.rows = 0
        self.row_lower: list[Vector] = []
        self.row_upper: list[Vector] = []
        self.entries: list[tuple[NDArray[np.int64], NDArray[np.int64], Vector]] = []

    def variables(self, count: int, cost: float | Vector = 0.0, upper: float | Vector = np.inf) -> NDArray[np.int64]:
        """`count` new variables from 0 to `upper`; their columns."""
        self.cost.append(np.broadcast_to(np.asarray(cost, float), (count,)))
        self.upper.append(np.broadcast_to(np.asarray(upper, float), (count,)))
        self.columns += count
        return np.arange(self.columns - count, self.columns)

    def constraints(self, lower: Vector, upper: Vector) -> NDArray[np.int64]:
        """New rows between `lower` and `upper`; their numbers."""
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        self.rows += len(lower)
        return np.arange(self.rows - len(lower), self.rows)

    def add(self, rows: NDArray[np.int64], columns: NDArray[np.int64], values: float | Vector) -> None:
        """Terms `values` × column in each row."""
        self.entries.append((rows, columns, np.broadcast_to(np.asarray(values, float), rows.shape)))

    def solve(
        self, among_equals: Vector | None = None, is_settled_at_0: bool = False
    ) -> tuple[float, Vector, Vector, Vector]:
        """The optimum, the variables there, the dual of each row and the reduced cost of each variable; NoSolution.

        Of the solutions that cost the same, one that is cheapest by `among_equals` too; the duals are the first ones.
        With `is_settled_at_0` all that cost nothing are the same to the caller.
        """
        rows = np.concatenate([one[0] for one in self.entries])
        columns = np.concatenate([one[1] for one in self.entries])
        values = np.concatenate([one[2] for one in self.entries])
        matrix = sparse.csc_array((values, (rows, columns)), shape=(self.rows, self.columns))
        problem = highspy.HighsLp()
        problem.num_col_, problem.num_row_ = self.columns, self.rows
        problem.col_cost_ = np.concatenate(self.cost)
        problem.col_lower_, problem.col_upper_ = np.zeros(self.columns), np.concatenate(self.upper)
        problem.row_lower_, problem.row_upper_ = np.concatenate(self.row_lower), np.concatenate(self.row_upper)
        problem.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        problem.a_matrix_.start_ = matrix.indptr
        problem.a_matrix_.index_ = matrix.indices
        problem.a_matrix_.value_ = matrix.data
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.silent()
        solver.setOptionValue("threads", 1)
        solver.passModel(problem)
        _run(solver)
        best, solution = solver.getObjectiveValue(), solver.getSolution()
        values, duals, reduced = (np.array(one) for one in (solution.col_value, solution.row_dual, solution.col_dual))
        if among_equals is not None and not (is_settled_at_0 and best < _SMALL):
            cost = np.concatenate(self.cost)
            used = np.flatnonzero(cost).astype(np.int32)
            solver.addRow(-np.inf, best + abs(best) * _SAME, len(used), used, cost[used])
            solver.changeColsCost(self.columns, np.arange(self.columns, dtype=np.int32), among_equals)
            _run(solver)
            values = np.array(solver.getSolution().col_value)
        return best, values, duals, reduced


def _run(solver: highspy.Highs) -> None:
    solver.run()
    status = solver.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise NoSolution(solver.modelStatusToString(status))


def time_to_survive(
    network: SupplyNetwork,
    sites: Iterable[str],
    *,
    lines: Iterable[tuple[str, str]] = (),
    most_days: float = 3650,
) -> float:
    """Working days that `sites`, and `lines` (site, part) elsewhere, can be out, at zero lead times, before a product
    must be lost; at most `most_days`.
    """
    arrays, out, out_lines = network.arrays, set(sites), set(lines)
    _check_known(network, out)
    is_out = np.zeros(len(arrays.lines), bool)
    is_out[arrays.of_sites(out)] = True
    is_out[[arrays.line_index[one] for one in out_lines if one in arrays.line_index]] = True
    found = longest(arrays, np.array(_products(arrays), np.int64), is_out, most_days)
    return time_by_program(network, out, lines=out_lines, most_days=most_days) if found is None else found


def time_by_program(
    network: SupplyNetwork,
    sites: Iterable[str],
    *,
    lines: Iterable[tuple[str, str]] = (),
    most_days: float = 3650,
) -> float:
    """The same as `time_to_survive` by the linear program alone: slower, and what it is held to."""
    program, days, _, _ = _one_bucket(network, set(sites), None, most_days, set(lines))
    _, values, _, _ = program.solve()
    return float(values[days])


def _check_known(network: SupplyNetwork, sites: Collection[str]) -> None:
    unknown = set(sites) - network.sites.keys()
    if unknown:
        raise MalformedFact("nobody has described this site", min(unknown))


@dataclass(frozen=True, slots=True)
class Loss:
    """The least that is lost in one bucket of time: cents of revenue, and units of each (site, product)."""

    cents: float
    lost: dict[tuple[str, str], float]


def loss_while_out(network: SupplyNetwork, sites: Iterable[str], days: float) -> Loss:
    """The least revenue lost, at zero lead times, while `sites` are out for `days` working days (the TTR program)."""
    program, _, lost, products = _one_bucket(network, set(sites), days, days)
    cents, values, _, _ = program.solve()
    lines = network.arrays.lines
    return Loss(
        cents,
        {
            (lines[line].site, lines[line].part): float(values[column])
            for line, column in zip(products, lost, strict=True)
            if values[column] > _SMALL
        },
    )


def risk_exposure(network: SupplyNetwork, days_to_recover: dict[str, float]) -> dict[str, float]:
    """The REI of each site: its loss during its own time to recover, over the largest of all; 0 to 1."""
    losses = {site: loss_while_out(network, [site], days).cents for site, days in sorted(days_to_recover.items())}
    worst = max(losses.values(), default=0.0)
    return {site: cents / worst if worst > 0 else 0.0 for site, cents in losses.items()}


def _one_bucket(
    network: SupplyNetwork,
    out: set[str],
    days: float | None,
    most_days: float,
    out_lines: Collection[tuple[str, str]] = (),
) -> tuple[_Program, int, list[int], list[int]]:
    """The TTR program for `days`, or the TTS program (None), as the paper has them, with stock on either side."""
    _check_known(network, out)
    arrays = network.arrays
    program = _Program()
    count, links = len(arrays.lines), len(arrays.link_line)
    is_out = np.array([line.site in out or (line.site, line.part) in out_lines for line in arrays.lines])
    made = program.variables(count, upper=np.where(is_out, 0.0, np.inf))
    sent = program.variables(links)
    products = _products(arrays)
    prices = np.array([float(arrays.lines[one].revenue_cents or 0) for one in products])
    lost = program.variables(len(products), cost=prices, upper=np.inf if days is not None else 0.0)
    time = program.variables(1, cost=-1.0 if days is None else 0.0, upper=most_days)
    fixed = 0.0 if days is None else days
    # What a line uses of a part is what came, what lay there and what is on its way: in one bucket that is all one.
    bins = len(arrays.bins)
    inbound = arrays.inbound + arrays.on_the_way
    rows = program.constraints(np.full(bins, -np.inf), inbound)
    program.add(rows[arrays.need_bin], made[arrays.need_line], arrays.need_amount)
    program.add(rows[arrays.link_bin], sent, -1.0)
    unnamed = 1 - totals(arrays.link_bin, arrays.share, bins)
    unnamed[np.bincount(arrays.link_bin, minlength=bins) == 0] = 1
    usage = totals(arrays.need_bin, arrays.need_amount * arrays.per_day[arrays.need_line], bins)
    if days is None:
        program.add(rows, np.repeat(time, bins), -usage * np.clip(unnamed, 0, 1))
    else:
        program.row_upper[-1] = inbound + usage * np.clip(unnamed, 0, 1) * fixed
    # What leaves a line is what it makes, and what lay there finished; nobody makes more than he can.
    rows = program.constraints(np.full(count, -np.inf), arrays.finished)
    program.add(rows[arrays.link_line], sent, 1.0)
    program.add(rows, made, -1.0)
    capacity = np.where(is_out, 0.0, arrays.capacity)
    if days is None:
        rows = program.constraints(np.full(count, -np.inf), np.zeros(count))
        program.add(rows, np.repeat(time, count), -capacity)
    else:
        rows = program.constraints(np.full(count, -np.inf), capacity * fixed)
    program.add(rows, made, 1.0)
    # A product that is asked for is made, taken from stock, or lost.
    per_day = arrays.per_day[products]
    stock = arrays.finished[products]
    rows = program.constraints(per_day * fixed - stock, np.full(len(products), np.inf))
    program.add(rows, made[products], 1.0)
    program.add(rows, lost, 1.0)
    if days is None:
        program.add(rows, np.repeat(time, len(products)), -per_day)
    return program, int(time[0]), lost.tolist(), products


def _products(arrays: Arrays) -> list[int]:
    """The lines whose parts leave the network: nobody in it takes them."""
    taken = np.bincount(arrays.link_line, minlength=len(arrays.lines))
    return [index for index in range(len(arrays.lines)) if not taken[index]]


@dataclass(frozen=True, slots=True)
class Worth:
    """What one more unit of `part` at `site` would have saved, in cents: of stock on the first day, or of output a day
    while it was short.
    """

    site: str
    part: str
    cents_per_unit: float
    cents_per_day_of_use: float


@dataclass(frozen=True, slots=True)
class CapacityWorth:
    """What it would have saved, in cents, if `site` could make one more of `part` on each day that is left to it."""

    site: str
    part: str
    cents_per_unit_a_day: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The best that can be made of an outage, day by day: the least loss in cents, what is lost of each product by day,
    and what stock and capacity are worth where.
    """

    cents: float
    lost: dict[tuple[str, str], tuple[tuple[date, float], ...]]
    stock_worth: tuple[Worth, ...]
    capacity_worth: tuple[CapacityWorth, ...] = ()

    def lost_by_week(self) -> dict[date, float]:
        """Units lost of all products, by week (its Monday)."""
        weeks: dict[date, float] = {}
        for days in self.lost.values():
            for day, amount in days:
                monday = day - timedelta(days=day.weekday())
                weeks[monday] = weeks.get(monday, 0.0) + amount
        return dict(sorted(weeks.items()))


def plan(
    network: SupplyNetwork,
    outages: Sequence[Outage],
    *,
    closures: Sequence[Closure] = (),
    days: int = 120,
    of: Collection[str] | None = None,
) -> Plan:
    """The least loss within `days` days under leads, sailings, calendars, ramps and closures, over what they reach.

    Products without a price count for nothing, or one cent each where none has a price. With `of` only what these sites
    lose counts, and only what leads to them is looked at: who loses nothing by it may as well get nothing, so the
    optimum is that of the whole. Where nobody has to share `cumulatives` tell it, elsewhere a linear program.

    Raises NoSolution, MalformedFact.
    """
    expanded = _Expanded(network, shape_of(network, outages, days, closures, of=of), of)
    return expanded.told() or expanded.solve()


def plan_by_program(
    network: SupplyNetwork,
    outages: Sequence[Outage],
    *,
    closures: Sequence[Closure] = (),
    days: int = 120,
    of: Collection[str] | None = None,
) -> Plan:
    """The same as `plan` by the linear program alone: slower, and what it is held to.

    Where several things run short at once one more unit of one of them is worth anything between nothing and what one
    unit less would cost: `plan` says what it saves, the program any of that.
    """
    return _Expanded(network, shape_of(network, outages, days, closures, of=of), of).solve()


class _Expanded:
    """The program of a shape: for each day output, shipments and stocks."""

    def __init__(self, network: SupplyNetwork, shape: Shape, of: Collection[str] | None) -> None:
        self.network = network
        self.shape = shape
        lines = [shape.arrays.lines[one] for one in shape.lines.tolist()]
        self.counts = np.array([of is None or one.site in of for one in lines], bool)
        self.prices = np.array([float(one.revenue_cents or 0) for one in lines]) * self.counts
        if not self.prices.any():
            self.prices = self.counts.astype(float)

    def told(self) -> Plan | None:
        """The plan where cumulatives tell it; None where lines compete for what is scarce."""
        shape = self.shape
        if np.any(self.counts & (self.prices == 0) & (shape.elsewhere > 0)):
            return None  # of what costs nothing, too, as little and as late as can be is lost
        found = best(shape, self.prices)
        if found is None:
            return None
        lost = np.zeros(shape.open.shape)
        for line, amounts in found.lost.items():
            lost[line] = amounts
        saved: dict[str, Vector] = {
            "stock": np.zeros(len(shape.bins)),
            "finished": np.zeros(len(shape.lines)),
            "capacity": np.zeros(len(shape.lines)),
        }
        for (kind, place), cents in found.saved.items():
            saved[kind][place] = cents
        return Plan(
            float(self.prices @ lost.sum(axis=1)),
            self._lost(lost),
            self._worth(saved["finished"], saved["stock"], self._usage()),
            self._capacity_worth(saved["capacity"]),
        )

    def _usage(self) -> Vector:
        """What is used of each bin on each day, as planned."""
        shape = self.shape
        planned = shape.plan[:, None] * shape.open
        usage = np.zeros((len(shape.bins), len(shape.days)))
        np.add.at(usage, shape.need_bin, shape.need_amount[:, None] * planned[shape.need_line])
        return usage

    def solve(self) -> Plan:
        shape = self.shape
        lines, bins, links, days = len(shape.lines), len(shape.bins), len(shape.links), len(shape.days)
        if not lines:
            return Plan(0.0, {}, ())
        program = _Program()
        made = program.variables(lines * days, upper=shape.capacity.ravel()).reshape(lines, days)
        can_carry = np.where(
            (np.arange(days) >= shape.since[:, None]) & (shape.open[shape.link_line] > 0), shape.carry, 0.0
        )
        sent = program.variables(links * days, upper=can_carry.ravel()).reshape(links, days)
        finished = program.variables(lines * days).reshape(lines, days)
        inbound = program.variables(bins * days).reshape(bins, days)
        due = shape.elsewhere[:, None] * shape.open
        lost = program.variables(lines * days, cost=np.repeat(self.prices, days), upper=due.ravel())
        lost = lost.reshape(lines, days)
        # finished[t-1] + made[t] + lost[t] - sent[t] - finished[t] = due[t]
        opening = np.zeros((lines, days))
        opening[:, 0] = shape.finished
        level = (due - opening).ravel()
        rows = program.constraints(level, level).reshape(lines, days)
        program.add(rows.ravel(), made.ravel(), 1.0)
        program.add(rows.ravel(), lost.ravel(), 1.0)
        program.add(rows.ravel(), finished.ravel(), -1.0)
        program.add(rows[:, 1:].ravel(), finished[:, :-1].ravel(), 1.0)
        if links:
            program.add(rows[shape.link_line].ravel(), sent.ravel(), -1.0)
        # inbound[t-1] + arriving[t] + what the unnamed deliver - used[t] - inbound[t] = 0
        coming = shape.arriving[:days].T.copy()
        usage = self._usage()
        coming += usage * shape.outside[:, None]
        coming[:, 0] += shape.inbound
        balance = program.constraints(-coming.ravel(), -coming.ravel()).reshape(bins, days)
        program.add(balance.ravel(), inbound.ravel(), -1.0)
        program.add(balance[:, 1:].ravel(), inbound[:, :-1].ravel(), 1.0)
        if len(shape.need_line):
            program.add(
                balance[shape.need_bin].ravel(),
                made[shape.need_line].ravel(),
                np.repeat(-shape.need_amount, days),
            )
        arrives = shape.arrival
        link, day = np.nonzero(arrives < days)
        if shape.late is None:
            program.add(balance[shape.link_bin[link], arrives[link, day]], sent[link, day], 1.0)
        else:
            in_time = 1 - shape.late[link, day]
            program.add(balance[shape.link_bin[link], arrives[link, day]], sent[link, day], in_time)
            link, day = np.nonzero((shape.late > 0) & (shape.late_arrival < days))
            held = shape.late[link, day]
            program.add(balance[shape.link_bin[link], shape.late_arrival[link, day]], sent[link, day], held)
        # Of plans that lose the same, the one that loses latest: what can still be averted should not look lost.
        early = np.zeros(program.columns)
        early[lost] = np.arange(days, 0, -1)
        is_settled = bool(np.all(self.prices[self.counts] > 0))
        cents, values, duals, reduced = program.solve(early, is_settled)
        return Plan(
            cents,
            self._lost(values[lost]),
            self._worth(duals[rows[:, 0]], duals[balance[:, 0]] if bins else np.zeros(0), usage),
            self._capacity_worth(self._a_unit_more(-reduced[made])),
        )

    def _lost(self, amounts: Vector) -> dict[tuple[str, str], tuple[tuple[date, float], ...]]:
        found = {}
        for place, row in enumerate(amounts):
            short = [(self.shape.days[t], float(row[t])) for t in np.flatnonzero(row > _SMALL).tolist()]
            if short and self.counts[place]:
                line = self.network.arrays.lines[int(self.shape.lines[place])]
                found[line.site, line.part] = tuple(short)
        return found

    def _worth(self, of_lines: Vector, of_bins: Vector, usage: Vector) -> tuple[Worth, ...]:
        """The duals of the first day's stocks: how much cheaper the optimum gets with one more unit there."""
        found = []
        arrays = self.network.arrays
        for place, dual in enumerate(of_bins.tolist()):
            site, part = arrays.bins[int(self.shape.bins[place])]
            found.append((site, part, dual, float(usage[place].max(initial=0.0))))
        for place, dual in enumerate(of_lines.tolist()):
            line = arrays.lines[int(self.shape.lines[place])]
            found.append((line.site, line.part, dual, float(self.shape.plan[place])))
        worth = [Worth(site, part, dual, dual * a_day) for site, part, dual, a_day in found if dual > _SMALL]
        return tuple(sorted(worth, key=lambda one: (-one.cents_per_day_of_use, one.site, one.part)))

    def _a_unit_more(self, saved: Vector) -> Vector:
        """What one more unit of capacity saves, as far as it is left on each day, of what one more of output saves."""
        most = self.network.arrays.capacity[self.shape.lines]
        a_unit = np.divide(1, most, out=np.zeros(len(most)), where=most > 0)
        return np.asarray((saved * self.shape.capacity).sum(axis=1) * a_unit, float)

    def _capacity_worth(self, saved: Vector) -> tuple[CapacityWorth, ...]:
        found = []
        for place, cents in enumerate(saved.tolist()):
            if cents > _SMALL:
                line = self.network.arrays.lines[int(self.shape.lines[place])]
                found.append(CapacityWorth(line.site, line.part, cents))
        return tuple(sorted(found, key=lambda one: (-one.cents_per_unit_a_day, one.site, one.part)))
