"""Links that are closed for a while: what is not sent, what is held up on its way, and what that costs."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tiers import MONDAY, tiers
from risk.errors import MalformedFact
from risk.network import Lead, SupplyNetwork
from risk.propagation import propagate, propagate_range, walk_everything
from risk.reach import Closure, Diversion, Outage
from risk.survival import plan
from tests.risk.test_survival import DAY, line, link, network, random_network


def day(number: int) -> date:
    return DAY + timedelta(days=number)


def closed(first: int, last: int, *, left: float = 0.0, after: int = 0, name: str = "S-P-x") -> Closure:
    return Closure(name, ((day(first), left), (day(last), 1.0)), after)


def chain(*, lead: Lead | None = None, stock: int = 0, most: int = 10) -> SupplyNetwork:
    """S sends P 10 a day; as much as comes in a lead is on its way."""
    lead = Lead(4) if lead is None else lead
    made = network(
        [line("S", "x", 10, most=most), line("P", "p", 10, {"x": 1}, cents=1)],
        [replace(link("S", "P", "x"), lead=lead)],
        {("P", "x"): stock},
    )
    coming = {day(number): Fraction(10) for number in range(lead.days)}
    return made.with_changes(links=[replace(made.links[0], in_transit=coming)])


def lost(made: SupplyNetwork, *closures: Closure, days: int = 40) -> float:
    impact = propagate(made, [], closures=closures, days=days)
    assert impact.stops == walk_everything(made, [], closures=closures, days=days).stops
    return sum(one.shortfall for one in impact.stops if one.site == "P")


@pytest.mark.parametrize(
    ("name", "made", "closures", "expected"),
    [
        ("open", chain(), [closed(3, 8, left=1.0)], 0),
        ("at the departure", chain(), [closed(3, 8)], 50),
        ("half of it", chain(), [closed(3, 8, left=0.5)], 25),
        ("with two days in stock", chain(stock=20), [closed(3, 8)], 30),
        ("at the arrival, what is on its way waits", chain(), [closed(3, 8, after=4)], 50),
        ("on the way, half of it waits", chain(), [closed(3, 8, left=0.5, after=2)], 25),
        ("on the way, what has passed comes", chain(), [closed(0, 3, after=1)], 30),
        ("for good", chain(), [Closure("S-P-x", ((day(3), 0.0),))], 330),
        ("for good on the way", chain(), [Closure("S-P-x", ((day(3), 0.0),), 2)], 350),
        ("before today", chain(), [Closure("S-P-x", ((day(-9), 0.0), (day(-2), 1.0)), 2)], 0),
        ("twice at once", chain(), [closed(3, 8), closed(5, 10)], 70),
        ("at both ends", chain(), [closed(3, 8), closed(3, 8, after=4)], 50),
    ],
)
def test_a_link_that_is_closed_costs_what_does_not_come(
    name: str, made: SupplyNetwork, closures: list[Closure], expected: float
) -> None:
    assert lost(made, *closures) == pytest.approx(expected), name


def test_what_waited_arrives_once_it_is_open() -> None:
    impact = propagate(chain(), [], closures=[closed(3, 8, after=4)], days=40)
    stop = impact.of("P", "p")
    assert stop is not None
    assert (stop.first, stop.last, stop.is_over, stop.because_of) == (day(3), day(7), True, "x")
    assert stop.path == ("S", "P")


def test_what_misses_its_ship_takes_the_next_one() -> None:
    """Mondays only, and a week at sea: one Monday without a ship is a week without goods, then two come."""
    made = chain(lead=Lead(7, sails=frozenset({0})), stock=70)
    assert propagate(made, [], days=60).stops == ()
    impact = propagate(made, [], closures=[closed(7, 8)], days=60)
    stop = impact.of("P", "p")
    assert stop is not None
    # What was sent today sailed at once, so there is a day more.
    assert (stop.first, stop.last, stop.is_over) == (day(15), day(20), True)


def test_others_stand_in_for_a_closed_link_as_far_as_they_can() -> None:
    made = network(
        [line("S", "x", 10), line("T", "x", 0, most=6), line("P", "p", 10, {"x": 1}, cents=1)],
        [link("S", "P", "x"), link("T", "P", "x", Fraction(0))],
    )
    assert lost(made, closed(3, 8)) == pytest.approx(20)


lengths = st.integers(0, 12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9), lengths, st.integers(0, 6), st.integers(0, 40), st.sampled_from([0.0, 0.3, 0.5]),
       st.booleans())  # fmt: skip
def test_a_longer_closure_never_loses_less(
    first: int, length: int, after: int, stock: int, left: float, sails: bool
) -> None:
    made = chain(lead=Lead(4, sails=frozenset({0, 3}) if sails else None), stock=stock, most=12)

    def missing(more: int, less_left: float) -> tuple[float, float]:
        closures = [closed(first, first + length + more, left=less_left, after=after)] if length + more else []
        return lost(made, *closures), plan(made, [], closures=closures, days=40).cents

    found = missing(0, left)
    for other in (missing(1, left), missing(0, left / 2)):
        assert other[0] >= found[0] - 1e-6
        assert other[1] >= found[1] - 1e-6
    assert found[1] <= found[0] + 1e-6


@pytest.mark.parametrize("seed", range(40))
def test_no_pass_over_closed_links_does_better_than_the_best_plan(seed: int) -> None:
    made, random = random_network(seed), Random(seed)
    closures = [
        closed(start := random.randint(0, 6), start + random.randint(1, 9), left=random.choice([0.0, 0.5]),
               after=random.randint(0, 3), name=one.key)
        for one in made.links if random.random() < 0.4
    ]  # fmt: skip
    outages = [Outage("M0", ((day(2), 0.0), (day(random.randint(3, 9)), 1.0)))]
    best = plan(made, outages, closures=closures, days=25)
    found = walk_everything(made, outages, closures=closures, days=25)
    assert best.cents <= found.revenue_cents + 1
    assert plan(made, outages, days=25).cents <= best.cents + 1e-6


def trying_everything(made: SupplyNetwork, closure: Closure, days: int, lead: int) -> int:
    """The least that P misses, by every whole amount that S can send on each day; S makes 2 a day, P uses 1."""

    def share(at: date) -> float:
        return next((left for start, left in reversed(closure.left) if start <= at), 1.0)

    least, after = 10**9, closure.after_days or 0
    opens = (closure.left[1][0] - DAY).days
    for sent in product(range(3), repeat=days):
        if not after and any(amount > 2 * share(day(at)) for at, amount in enumerate(sent)):
            continue
        coming = [0] * (days + 1)
        for at, amount in enumerate(sent):
            there = at + after
            held = after > 0 and share(day(there)) == 0
            coming[min((opens - after if held else at) + lead, days)] += amount
        stock, missed = int(made.stocks[0].amount) if made.stocks else 0, 0
        for at in range(days):
            stock += coming[at]
            missed += stock == 0
            stock -= stock > 0
        least = min(least, missed)
    return least


@pytest.mark.parametrize("seed", range(25))
def test_the_program_with_closures_finds_what_trying_everything_finds(seed: int) -> None:
    random = Random(seed)
    days, lead = 6, random.randint(1, 2)
    made = network(
        [line("S", "x", 1, most=2), line("P", "p", 1, {"x": 1}, most=1, cents=1)],
        [replace(link("S", "P", "x", lead=lead), most_per_day=Fraction(2))],
        {("P", "x"): random.randint(0, 2)},
    )
    start = random.randint(0, 3)
    closure = closed(start, start + random.randint(1, 3), after=random.randint(0, lead))
    assert plan(made, [], closures=[closure], days=days).cents == pytest.approx(
        trying_everything(made, closure, days, lead)
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000))
def test_what_is_left_out_runs_short_nowhere(seed: int) -> None:
    made, random = tiers(240, seed % 3), Random(seed)
    closures = [
        Closure(one.key, ((MONDAY, 0.0), (MONDAY + timedelta(days=random.randint(3, 50)), 1.0)), random.randint(0, 9))
        for one in random.sample(list(made.links), 4)
    ]
    short, full = (walk(made, [], closures=closures, days=100) for walk in (propagate, walk_everything))
    found, expected = ({(one.site, one.part): one.shortfall for one in impact.stops} for impact in (short, full))
    plans = made.arrays
    small = {place for place, amount in expected.items() if amount < 0.25 * plans.per_day[plans.line_index[place]]}
    # Who cannot send makes nothing either; that is no shortage, and only seen where it is walked anyway.
    waiting = {(one.supplier, one.part) for closure in closures for one in made.links.of(closure.link)}
    assert expected.keys() - small - waiting <= found.keys() <= expected.keys()
    for place in found.keys() - waiting:
        amount = found[place]
        near = 0.25 * plans.per_day[plans.line_index[place]]
        assert amount == pytest.approx(expected[place], rel=0.01, abs=near)


@pytest.mark.parametrize(
    ("closure", "what"),
    [
        (Closure("nobody", ((DAY, 0.0),)), "no such link"),
        (Closure("S-P-x", ()), "from when on"),
        (Closure("S-P-x", ((DAY, -0.1),)), "from 0 to 1"),
        (Closure("S-P-x", ((DAY, 0.0), (DAY, 1.0))), "opens before it closes"),
        (Closure("S-P-x", ((DAY, 0.0),), -1), "after they left"),
    ],
)
def test_what_is_no_closure_is_refused(closure: Closure, what: str) -> None:
    for run in (propagate, walk_everything, plan):
        with pytest.raises(MalformedFact, match=what):
            run(chain(), [], closures=[closure])


def test_a_range_keeps_the_closures() -> None:
    made = chain()
    found = propagate_range(made, ["S"], day(20), (1, 2, 3), closures=[closed(3, 8)], days=40)
    assert found.revenue_cents == (60, 70, 80)


def test_what_is_diverted_goes_the_other_way_as_far_as_that_can() -> None:
    made = chain(lead=Lead(4))
    made = made.with_changes(
        links=[replace(link("S", "P", "x", Fraction(0)), key="quick", lead=Lead(1), most_per_day=Fraction(6))]
    )
    whole = [Diversion("S-P-x", "quick", ((day(0), 1.0), (day(9), 0.0)))]
    for walk in (propagate, walk_everything):
        # Six a day come three days sooner; back on the slow way nothing more comes for as long.
        impact = walk(made, [Outage("S", ((day(0), 0.0), (day(2), 1.0)))], diversions=whole, days=40)
        usual = walk(made, [Outage("S", ((day(0), 0.0), (day(2), 1.0)))], days=40)
        stop, before = impact.of("P", "p"), usual.of("P", "p")
        assert stop is not None
        assert before is not None
        assert before.first == day(4)
        assert before.shortfall == pytest.approx(20)
        assert stop.shortfall == pytest.approx(20)
        assert stop.last > before.last


@pytest.mark.parametrize(
    ("diversion", "what"),
    [
        (Diversion("S-P-x", "nobody", ((DAY, 1.0),)), "no such link"),
        (Diversion("nobody", "S-P-x", ((DAY, 1.0),)), "no such link"),
        (Diversion("S-P-x", "M-Q-y", ((DAY, 1.0),)), "something else"),
        (Diversion("S-P-x", "S-P-x", ((DAY, 1.1),)), "from 0 to 1"),
    ],
)
def test_what_is_no_diversion_is_refused(diversion: Diversion, what: str) -> None:
    made = network(
        [line("S", "x", 10), line("P", "p", 10, {"x": 1}), line("M", "y", 1), line("Q", "q", 1, {"y": 1})],
        [link("S", "P", "x"), link("M", "Q", "y")],
    )
    with pytest.raises(MalformedFact, match=what):
        propagate(made, [], diversions=[diversion])
