"""Who else could deliver, how much of it each buyer gets, and in which order to look at them. Pure.

Hard filters first: only what the consortium has pre-qualified, in time, and not hit itself. Then one allocation over
all buyers at once, so that no capacity is promised twice. Then a ranking by named criteria with visible weights.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from risk.errors import MalformedFact, RiskError
from risk.network import Lead
from risk.routes import ShippingRoute

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Qualification:
    """Who has qualified `supplier` for `part` at `customer`, and until when it counts; the consortium keeps these."""

    supplier: str
    part: str
    customer: str
    by: str
    expires: date


@dataclass(frozen=True, slots=True)
class Alternative:
    """`supplier` could send `part`: at most `a_week` of it in all, at `customer` from `first_arrival` on.

    `extra_cents` is what one costs above the price today. `shared` names what it has in common with what is hit:
    regions, ports, suppliers of its own.
    """

    supplier: str
    part: str
    customer: str
    a_week: Fraction
    first_arrival: date
    extra_cents: int = 0
    consents: bool = True
    shared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RouteAlternative:
    """Another way for what the link `link` brings, pre-qualified `by` its customer: at most `a_week`, from
    `first_departure` on, on at most `loads` departures. It makes nothing: what it takes does not go by the link.

    `ramp` are the shares of `a_week` that it can take in its first weeks, before it takes all. `extra_cents` is what
    one costs above the price today. `key` names it.
    """

    key: str
    link: str
    a_week: Fraction
    lead: Lead
    first_departure: date
    expires: date
    by: str
    ramp: tuple[Fraction, ...] = ()
    loads: int | None = None
    extra_cents: int = 0
    route: ShippingRoute | None = None

    def check(self) -> None:
        """Raise MalformedFact unless it can be."""
        where = f"route {self.key}"
        if self.a_week < 0 or self.extra_cents < 0:
            raise MalformedFact("neither what a route takes nor what it costs can be negative", where)
        if any(not 0 <= one <= 1 for one in self.ramp):
            raise MalformedFact("what it takes in its first weeks are shares from 0 to 1", where)
        if self.loads is not None and self.loads < 1:
            raise MalformedFact("it departs at least once", where)
        if self.lead.days < 0:
            raise MalformedFact("nothing arrives before it was sent", where)
        if self.route is not None:
            self.route.check(where)


class Reason(StrEnum):
    """Why an alternative is none."""

    NOT_QUALIFIED = "nobody in the consortium has qualified it"
    EXPIRED = "its qualification has run out"
    HIT = "it is hit itself"
    NO_CAPACITY = "it has nothing to spare"
    TOO_LATE = "it would come after the outage is over"
    NO_CONSENT = "it has not agreed to be suggested"
    CLOSED = "it is closed itself"
    NOT_SOONER = "nothing would come sooner by it"


def usable(
    alternatives: Iterable[Alternative],
    qualifications: Iterable[Qualification],
    *,
    day: date,
    too_late: date,
    is_hit: Callable[[str, str], bool],
) -> tuple[list[Alternative], list[tuple[Alternative, Reason]]]:
    """Those that can help, and for each other one the first reason why not.

    `is_hit` says of a supplier and a part whether what makes it is hit there.
    """
    expiries: dict[tuple[str, str, str], date] = {}
    for one in qualifications:
        key = (one.supplier, one.part, one.customer)
        expiries[key] = max(one.expires, expiries.get(key, one.expires))
    good: list[Alternative] = []
    refused: list[tuple[Alternative, Reason]] = []
    for alternative in sorted(alternatives, key=lambda one: (one.part, one.customer, one.supplier)):
        expires = expiries.get((alternative.supplier, alternative.part, alternative.customer))
        reason: Reason | None = None
        if expires is None:
            reason = Reason.NOT_QUALIFIED
        elif expires < max(day, alternative.first_arrival):
            reason = Reason.EXPIRED
        elif not alternative.consents:
            reason = Reason.NO_CONSENT
        elif is_hit(alternative.supplier, alternative.part):
            reason = Reason.HIT
        elif alternative.a_week <= 0:
            reason = Reason.NO_CAPACITY
        elif alternative.first_arrival >= too_late:
            reason = Reason.TOO_LATE
        if reason is None:
            good.append(alternative)
        else:
            refused.append((alternative, reason))
    return good, refused


@dataclass(frozen=True, slots=True)
class RouteRun:
    """The departures of a route that count: day, day of arrival, and the share of `a_week` that is there for each.

    `steps` says from when on it takes which share, by days on which goods are handed over; in the end nothing.
    """

    route: RouteAlternative
    departures: tuple[tuple[date, date, Fraction], ...]
    steps: tuple[tuple[date, Fraction], ...]


def route_run(
    route: RouteAlternative,
    *,
    start: date,
    last: date,
    is_open: Callable[[date], bool],
    is_sooner: Callable[[date, date], bool],
) -> RouteRun:
    """What leaves by `route` of what is handed over from `start` to `last`.

    A departure takes what was handed over since the one before. It does not leave where it would come on a day that is
    not `is_open` at the customer, nor where it would not come sooner than by the link: `is_sooner(handed over, comes)`.
    """
    sails = route.lead.sails
    found: list[tuple[date, date, Fraction]] = []
    steps: list[tuple[date, Fraction]] = []
    first, before = None, start - timedelta(days=7)
    day = start
    while day <= last and (route.loads is None or len(found) < route.loads):
        if sails is not None and day.weekday() not in sails:
            day += timedelta(days=1)
            continue
        if day >= route.first_departure:
            first = first or day
            week = (day - first).days // 7
            share = route.ramp[week] if week < len(route.ramp) else Fraction(1)
            arrives = day + timedelta(days=route.lead.days)
            since = max(before + timedelta(days=1), start)
            goes = share > 0 and is_open(arrives) and is_sooner(day, arrives)
            if goes:
                found.append((day, arrives, share))
            if not steps or steps[-1][1] != (share if goes else 0):
                steps.append((since, share if goes else Fraction(0)))
        before = day
        day += timedelta(days=1)
    if steps and steps[-1][1]:
        steps.append((before + timedelta(days=1), Fraction(0)))
    return RouteRun(route, tuple(found), tuple(steps))


def pro_rata(
    capacity: Mapping[str, Fraction], needs: Mapping[str, Fraction], can: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Fraction]:
    """How much of each supplier's `capacity` each buyer gets, in proportion to its need: exact, and nothing twice.

    `can` are the (supplier, buyer) pairs that are possible. A buyer never gets more than it needs; what it cannot use
    is shared out again among the others until nothing is left to give or to want.
    """
    if any(one < 0 for one in (*capacity.values(), *needs.values())):
        raise MalformedFact("neither a capacity nor a need can be negative")
    buyers: dict[str, list[str]] = defaultdict(list)
    for supplier, buyer in sorted(set(can)):
        buyers[supplier].append(buyer)
    given: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    left = dict(capacity)
    want = dict(needs)
    while True:
        asked = {
            supplier: [one for one in buyers[supplier] if want.get(one, Fraction(0)) > 0]
            for supplier in sorted(left)
            if left[supplier] > 0
        }
        asked = {supplier: found for supplier, found in asked.items() if found}
        if not asked:
            return {pair: amount for pair, amount in sorted(given.items()) if amount}
        offers: dict[tuple[str, str], Fraction] = {}
        for supplier, found in asked.items():
            total = sum((needs[one] for one in found), Fraction(0))
            offers |= {(supplier, one): left[supplier] * needs[one] / total for one in found}
        coming: dict[str, Fraction] = defaultdict(Fraction)
        for (_, buyer), amount in offers.items():
            coming[buyer] += amount
        for (supplier, buyer), amount in offers.items():
            taken = amount * min(Fraction(1), want[buyer] / coming[buyer])
            given[supplier, buyer] += taken
            left[supplier] -= taken
        for buyer, amount in coming.items():
            want[buyer] -= min(amount, want[buyer])


@dataclass(frozen=True, slots=True)
class Criterion:
    """What options are compared by, how much it counts, and whether more of it is better."""

    name: str
    weight: float
    more_is_better: bool = True


class BadWeights(RiskError):
    """Weights that are negative, or all zero."""


def topsis(options: Sequence[Sequence[float]], criteria: Sequence[Criterion]) -> list[float]:
    """Closeness of each option to the best imaginable one, 0 to 1 (Hwang and Yoon 1981, vector normalisation)."""
    values, weights = _weighed(options, criteria)
    norms = np.sqrt((values**2).sum(axis=0))
    weighed = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0) * weights
    better = np.array([one.more_is_better for one in criteria])
    best = np.where(better, weighed.max(axis=0), weighed.min(axis=0))
    worst = np.where(better, weighed.min(axis=0), weighed.max(axis=0))
    to_best = np.sqrt(((weighed - best) ** 2).sum(axis=1))
    to_worst = np.sqrt(((weighed - worst) ** 2).sum(axis=1))
    total = to_best + to_worst
    # Options that are all alike are all as good as it gets.
    return [float(one) for one in np.divide(to_worst, total, out=np.ones_like(total), where=total > 0)]


def promethee(options: Sequence[Sequence[float]], criteria: Sequence[Criterion]) -> list[float]:
    """Net flow of each option, -1 to 1: how much more often it beats the others (PROMETHEE II, usual criterion)."""
    values, weights = _weighed(options, criteria)
    signs = np.array([1.0 if one.more_is_better else -1.0 for one in criteria])
    values = values * signs
    ahead = (np.sign(values[:, None, :] - values[None, :, :]) * weights).sum(axis=2)
    return [float(one) for one in ahead.sum(axis=1) / max(len(values) - 1, 1)]


def rank_stability(options: Sequence[Sequence[float]], criteria: Sequence[Criterion], change: float = 0.2) -> float:
    """The share of single weight changes by `change`, up and down, that leave the first place as it is, 0 to 1."""
    first = int(np.argmax(topsis(options, criteria)))
    kept, tried = 0, 0
    for place, one in enumerate(criteria):
        for factor in (1 - change, 1 + change):
            changed = [*criteria]
            changed[place] = Criterion(one.name, one.weight * factor, one.more_is_better)
            kept += int(np.argmax(topsis(options, changed))) == first
            tried += 1
    return kept / tried if tried else 1.0


def _weighed(options: Sequence[Sequence[float]], criteria: Sequence[Criterion]) -> tuple[Matrix, Matrix]:
    values = np.array(options, float).reshape(len(options), len(criteria))
    weights = np.array([one.weight for one in criteria], float)
    if (weights < 0).any() or weights.sum() <= 0:
        raise BadWeights("weights are not negative, and not all zero")
    return values, weights / weights.sum()
