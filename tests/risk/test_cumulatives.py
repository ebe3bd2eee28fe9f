"""Best plans without a program: what cumulatives tell is what the program finds, and they know when they cannot."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.tiers import MONDAY, site_key, tiers
from risk.cumulatives import best
from risk.network import SupplyNetwork
from risk.reach import Closure, Outage, shape_of
from risk.survival import Plan, plan, plan_by_program, time_by_program, time_to_survive
from tests.risk.test_survival import DAY, line, link, network, random_network

NETWORKS = [tiers(240, seed) for seed in range(2)]


def is_told(made: SupplyNetwork, outages: Sequence[Outage], closures: Sequence[Closure], days: int, of: str) -> bool:
    shape = shape_of(made, outages, days, closures, of={of})
    lines = [made.arrays.lines[one] for one in shape.lines.tolist()]
    return best(shape, np.array([float(one.revenue_cents or 0) * (one.site == of) for one in lines])) is not None


def units(found: Plan) -> dict[tuple[str, str], float]:
    return {place: sum(amount for _, amount in days) for place, days in found.lost.items()}


def shut(made: SupplyNetwork, seed: int, length: int) -> list[Closure]:
    """A link that is closed at its port of departure or further on, on every third seed."""
    if seed % 3:
        return []
    random = Random(seed)
    left = ((made.day + timedelta(days=2), random.choice([0.0, 0.5])), (made.day + timedelta(days=2 + length), 1.0))
    return [Closure(random.choice(list(made.links)).key, left, random.choice([0, 1, 2]))]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from(["R0", "M0"]), st.sampled_from(["P0", "P1", "M0"]))
def test_small_networks_lose_what_the_program_loses(seed: int, length: int, hit: str, reader: str) -> None:
    made, hits = random_network(seed), [Outage("R0", ((DAY, 0.0), (DAY + timedelta(days=length), 1.0)))]
    assume(any(one.site == reader for one in made.lines))
    hits = [replace(hits[0], site=hit)]
    closures = shut(made, seed, length)
    found, expected = (how(made, hits, closures=closures, days=25, of={reader}) for how in (plan, plan_by_program))
    assert found.cents == pytest.approx(expected.cents, abs=1e-6)
    assert units(found) == pytest.approx(units(expected), abs=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 6])
def test_of_what_is_not_shared_everything_is_what_the_program_says(seed: int) -> None:
    made, random = NETWORKS[seed % 2], Random(seed)
    reader = site_key(5, random.randrange(40))
    before = {made.arrays.lines[at].site for at in made.arrays.before(made.arrays.of_sites([reader])).tolist()}
    hit = random.sample(sorted(before - {reader}), 3)
    outages = [Outage(one, ((MONDAY + timedelta(days=1), 0.0), (MONDAY + timedelta(days=43), 1.0))) for one in hit]
    closures = shut(made, seed, 20)
    assert is_told(made, outages, closures, 60, reader)
    found, expected = (how(made, outages, closures=closures, days=60, of={reader}) for how in (plan, plan_by_program))
    assert found.cents == pytest.approx(expected.cents, abs=1e-4)
    assert units(found) == pytest.approx(units(expected), abs=1e-5)
    worth = [{(one.site, one.part): one.cents_per_unit for one in each.stock_worth} for each in (found, expected)]
    assert worth[0] == pytest.approx(worth[1], rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_what_one_more_is_worth_is_what_it_saves_also_where_several_things_run_short_at_once(
    seed: int, length: int
) -> None:
    made, step = random_network(seed), Fraction(1, 1000)
    hits = [Outage("R0", ((DAY, 0.0), (DAY + timedelta(days=length), 1.0)))]
    assume(is_told(made, hits, (), 25, "P0"))
    before = plan(made, hits, days=25, of={"P0"})
    stock = {(one.site, one.part): one.cents_per_unit for one in before.stock_worth}
    for one in made.stocks:
        more = plan(made.with_changes(stocks=[replace(one, amount=one.amount + step)]), hits, days=25, of={"P0"})
        saved = (before.cents - more.cents) / float(step)
        assert stock.get((one.site, one.part), 0.0) == pytest.approx(saved, abs=1e-4)
    capacity = {(one.site, one.part): one.cents_per_unit_a_day for one in before.capacity_worth}
    for two in made.lines:
        more = plan(made.with_changes(lines=[replace(two, capacity=two.capacity + step)]), hits, days=25, of={"P0"})
        saved = (before.cents - more.cents) / float(step)
        assert capacity.get((two.site, two.part), 0.0) == pytest.approx(saved, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["R0", "M0", "P0"]))
def test_time_to_survive_is_what_the_program_says(seed: int, hit: str) -> None:
    made = random_network(seed)
    for sites in ([hit], [], [hit, "R0"]):
        assert time_to_survive(made, sites) == pytest.approx(time_by_program(made, sites), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_time_to_survive_is_what_the_program_says_in_a_chain_of_many(seed: int) -> None:
    made, random = NETWORKS[seed], Random(seed)
    for _ in range(8):
        hit = [site_key(random.randrange(5), random.randrange(40)) for _ in range(3)]
        assert time_to_survive(made, hit) == pytest.approx(time_by_program(made, hit), rel=1e-6)


def test_what_two_want_of_what_is_scarce_is_left_to_the_program() -> None:
    """Dear and cheap products of one maker: who gets what no cumulative says."""
    lines = [line("S", "x", 10), line("P", "dear", 5, {"x": 1}, cents=9), line("P", "cheap", 5, {"x": 1}, cents=1)]
    made = network(lines, [link("S", "P", "x")], {("P", "x"): 20})
    hits = [Outage("S", ((DAY, 0.5), (DAY + timedelta(days=10), 1.0)))]
    assert not is_told(made, hits, (), 25, "P")
    found = plan(made, hits, days=25)
    assert found.cents == pytest.approx(30)
    assert units(found) == pytest.approx({("P", "cheap"): 30})


def test_where_there_is_enough_for_both_no_program_is_asked() -> None:
    lines = [line("S", "x", 10), line("P", "dear", 5, {"x": 1}, cents=9), line("P", "cheap", 5, {"x": 1}, cents=1)]
    made = network(lines, [link("S", "P", "x")], {("P", "x"): 100})
    hits = [Outage("S", ((DAY, 0.0), (DAY + timedelta(days=10), 1.0)))]
    assert is_told(made, hits, (), 25, "P")
    assert plan(made, hits, days=25) == Plan(0.0, {}, ())
