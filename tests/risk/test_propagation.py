"""The day-by-day pass: what it leaves out, what the screen clears, and where more of something helps."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tiers import MONDAY, site_key, tiers
from risk.errors import MalformedFact
from risk.network import Calendar, Lead, Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.propagation import propagate, propagate_range, walk_everything
from risk.reach import Outage
from risk.screen import Scenario, Screen
from tests.risk.test_survival import ALWAYS, DAY, line, link, network, random_network

NETWORKS = [tiers(240, seed) for seed in range(3)]


def outages(seed: int, most_tier: int = 4) -> list[Outage]:
    random = Random(seed)
    sites = {site_key(random.randrange(most_tier), random.randrange(40)) for _ in range(random.randint(1, 3))}
    onset = MONDAY + timedelta(days=random.randint(0, 5))
    back = onset + timedelta(days=random.randint(5, 60))
    return [Outage(one, ((onset, random.choice([0.0, 0.4])), (back, 1.0))) for one in sorted(sites)]


def test_a_supplier_whose_customer_keeps_a_holiday_does_not_stop() -> None:
    """It makes less, as nobody orders; it lacks nothing."""
    holiday = Calendar(holidays=frozenset({MONDAY + timedelta(days=9), MONDAY + timedelta(days=10)}))
    chain = SupplyNetwork.of(
        MONDAY,
        [Site("mine", "mine"), Site("mill", "mill"), Site("plant", "plant", calendar=holiday)],
        [
            Line("mine", "ore", Fraction(10), Fraction(10)),
            Line("mill", "steel", Fraction(10), Fraction(10), {"ore": Fraction(1)}),
            Line("plant", "car", Fraction(10), Fraction(10), {"steel": Fraction(1)}, 100),
        ],
        [
            SupplyLink("ore", "mine", "mill", "ore", lead=Lead(1, working=True)),
            SupplyLink("steel", "mill", "plant", "steel", lead=Lead(1, working=True)),
        ],
        [Stock("mill", "ore", Fraction(10)), Stock("plant", "steel", Fraction(10))],
    )
    none = Outage("mine", ((MONDAY, 1.0),))
    assert walk_everything(chain, [none], days=30).stops == ()
    short = walk_everything(chain, [Outage("mine", ((MONDAY, 0.0), (MONDAY + timedelta(days=3), 1.0)))], days=30)
    assert {one.site for one in short.stops} == {"mine", "mill", "plant"}
    assert all(one.last < MONDAY + timedelta(days=9) for one in short.stops if one.site == "mill")


def test_nothing_is_short_where_nothing_happens() -> None:
    made = NETWORKS[0]
    idle = [Outage(site, ((MONDAY, 1.0),)) for site in made.sites]
    assert walk_everything(made, idle, days=90).stops == ()
    assert made.arrays.slack(90).min() >= 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), st.integers(0, 10_000))
def test_what_is_left_out_runs_short_nowhere(which: int, seed: int) -> None:
    """The same lines stop as if all that the outage can reach were walked, and miss the same to 1 %."""
    out = outages(seed)
    short, full = propagate(NETWORKS[which], out, days=100), walk_everything(NETWORKS[which], out, days=100)
    found, expected = ({(one.site, one.part): one for one in impact.stops} for impact in (short, full))
    # What stands in for others may be short of what nobody walked: a trifle, and less than a quarter of a day.
    small = {place for place, one in expected.items() if one.shortfall < 0.25 * plan_of(NETWORKS[which], place)}
    assert expected.keys() - small <= found.keys() <= expected.keys()
    for place, one in found.items():
        assert one.shortfall == pytest.approx(
            expected[place].shortfall, rel=0.01, abs=0.25 * plan_of(NETWORKS[which], place)
        )
    assert short.lines <= full.lines


def plan_of(made: SupplyNetwork, place: tuple[str, str]) -> float:
    return float(made.arrays.per_day[made.arrays.line_index[place]])


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2), st.integers(0, 10_000))
def test_the_screen_clears_nothing_that_the_pass_finds_a_loss_in(which: int, seed: int) -> None:
    made, random = NETWORKS[which], Random(seed)
    sites = tuple(sorted({site_key(random.randrange(6), random.randrange(40)) for _ in range(random.randint(1, 3))}))
    back = MONDAY + timedelta(days=random.randint(5, 90))
    impact = propagate(made, [Outage(one, ((MONDAY, 0.0), (back, 1.0))) for one in sites], days=100)
    (screened,) = Screen(made).run([Scenario("x", sites)])
    if impact.revenue_cents:
        assert screened.products
        assert screened.cents_a_day


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_small_networks_that_the_screen_clears_lose_nothing(seed: int, length: int) -> None:
    made = random_network(seed)
    out = Outage("M0", ((DAY, 0.0), (DAY + timedelta(days=length), 1.0)))
    impact = walk_everything(made, [out], days=25)
    before = walk_everything(made, [Outage("M0", ((DAY, 1.0),))], days=25)
    (screened,) = Screen(made).run([Scenario("x", ("M0",))])
    if impact.revenue_cents > before.revenue_cents:
        assert screened.products


def chain(stock: int, *, most: int = 10, second: int = 0, length: int = 10) -> float:
    """What one line misses that gets 10 a day from S, and from T what that can make, while S is out."""
    lines = [line("S", "x", 10), line("T", "x", 0, most=second), line("P", "p", 10, {"x": 1}, most=most, cents=1)]
    made = network(lines, [link("S", "P", "x"), link("T", "P", "x", Fraction(0))], {("P", "x"): stock})
    out = [Outage("S", ((DAY, 0.0), (DAY + timedelta(days=length), 1.0)))] if length else []
    return float(sum(one.shortfall for one in propagate(made, out, days=30).stops if one.site == "P"))


@given(st.integers(0, 120), st.integers(0, 12), st.integers(0, 25))
@settings(max_examples=40, deadline=None)
def test_along_a_chain_more_never_loses_more(stock: int, second: int, length: int) -> None:
    lost = chain(stock, second=second, length=length)
    assert chain(stock + 5, second=second, length=length) <= lost + 1e-6
    assert chain(stock, second=second + 1, length=length) <= lost + 1e-6
    assert chain(stock, second=second, length=length + 1) >= lost - 1e-6
    assert chain(stock, most=15, second=second, length=length) <= lost + 1e-6


def rivals(spare: int) -> dict[str, float]:
    """A cheap and a dear product use one part; M's maker `spare` decides how much of it goes to which."""
    lines = [
        line("S", "x", 10, most=12),
        line("M", "m", 5, {"x": 1}, most=5 + spare),
        line("N", "m", 5, {"y": 1}, most=5),
        line("Y", "y", 5),
        line("P", "cheap", 5, {"m": 1}, cents=1),
        line("Q", "cheap too", 5, {"m": 1}, cents=1),
        line("R", "dear", 5, {"x": 1}, cents=100),
    ]
    links = [
        link("S", "M", "x", lead=1), link("S", "R", "x", lead=1), link("Y", "N", "y", lead=1),
        link("M", "P", "m", lead=1), link("N", "Q", "m", lead=1), link("M", "Q", "m", Fraction(0), lead=1),
    ]  # fmt: skip
    made = network(lines, links, {("M", "x"): 40, ("R", "x"): 15, ("N", "y"): 5, ("P", "m"): 5, ("Q", "m"): 5})
    made = made.with_changes(links=[replace(one, in_transit={DAY: Fraction(5)}) for one in made.links if one.share])
    out = [
        Outage("N", ((DAY, 0.0), (DAY + timedelta(days=10), 1.0))),
        Outage(
            "S", tuple((DAY + timedelta(days=day), left) for day, left in [(2, 0.0), (4, 1.0), (9, 0.0), (14, 1.0)])
        ),
    ]
    return {one.part: one.shortfall for one in propagate(made, out, days=30).stops if one.revenue_cents}


def test_spare_capacity_that_is_shared_out_by_rule_can_cost_more_than_it_saves() -> None:
    """Why the pass is not monotone: M stands in for N and draws on what R, which earns more, is short of as well.

    `plan` is monotone: it gives what is scarce to what earns most. The pass gives it by the agreed shares.
    """
    few, more = rivals(0), rivals(5)
    assert more.get("dear", 0) > few.get("dear", 0) + 1
    assert more.get("cheap too", 0) < few.get("cheap too", 0)


def test_days_on_which_nobody_works_are_no_loss() -> None:
    lines = [line("S", "x", 10), line("P", "p", 10, {"x": 1}, cents=1)]
    weekdays = [Site("S", "S", calendar=Calendar()), Site("P", "P", calendar=ALWAYS)]
    made = SupplyNetwork.of(DAY, weekdays, lines, [link("S", "P", "x")])
    weekend = date(2026, 10, 17)
    impact = propagate(made, [Outage("S", ((weekend, 0.0), (weekend + timedelta(days=2), 1.0)))], days=14)
    assert impact.of("S", "x") is None


def test_a_time_to_recover_that_is_a_range_gives_ranges() -> None:
    lines = [line("S", "x", 10), line("P", "p", 10, {"x": 1}, cents=2)]
    made = network(lines, [link("S", "P", "x")], {("P", "x"): 50})
    found = propagate_range(made, ["S"], DAY, (3, 8, 12), days=30)
    assert found.revenue_cents == (0, 60, 140)
    assert found.starts_again("P", "p") == (None, DAY + timedelta(days=7), DAY + timedelta(days=11))
    with pytest.raises(MalformedFact, match="in order"):
        propagate_range(made, ["S"], DAY, (8, 3, 12))
