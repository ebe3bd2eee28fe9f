import json
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.alternatives import (
    Alternative,
    BadWeights,
    Criterion,
    Qualification,
    Reason,
    RouteAlternative,
    pro_rata,
    promethee,
    rank_stability,
    route_run,
    topsis,
    usable,
)
from risk.errors import MalformedFact
from risk.network import Lead
from risk.routes import ShippingRoute

DAY, OVER = date(2026, 10, 12), date(2027, 1, 5)


def magnets(supplier: str, **details: object) -> Alternative:
    given = {"a_week": Fraction(69_120), "first_arrival": date(2026, 11, 16)} | details
    return Alternative(supplier, "magnet", "lariana", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("alternative", "reason"),
    [
        (magnets("echizen"), None),
        (magnets("nobody"), Reason.NOT_QUALIFIED),
        (magnets("lapsed"), Reason.EXPIRED),
        (magnets("echizen", first_arrival=date(2027, 1, 4)), None),
        (magnets("cimo"), Reason.HIT),
        (magnets("echizen", a_week=Fraction(0)), Reason.NO_CAPACITY),
        (magnets("echizen", first_arrival=OVER), Reason.TOO_LATE),
        (magnets("echizen", consents=False), Reason.NO_CONSENT),
    ],
)
def test_what_cannot_help_says_why(alternative: Alternative, reason: Reason | None) -> None:
    qualifications = [
        Qualification(one, "magnet", "lariana", "lariana", expires)
        for one, expires in [("echizen", date(2027, 6, 30)), ("cimo", date(2027, 6, 30)), ("lapsed", DAY)]
    ]
    good, refused = usable([alternative], qualifications, day=DAY, too_late=OVER, is_hit=lambda one, _: one == "cimo")
    assert (good, refused) == (([alternative], []) if reason is None else ([], [(alternative, reason)]))


def test_the_spare_magnets_are_shared_by_need() -> None:
    shares = pro_rata(
        {"echizen": Fraction(69_120), "peipsi": Fraction(92_160)},
        {"lariana": Fraction(230_400), "vltava": Fraction(46_080)},
        [(supplier, buyer) for supplier in ("echizen", "peipsi") for buyer in ("lariana", "vltava")],
    )
    assert shares == {
        ("echizen", "lariana"): 57_600,
        ("echizen", "vltava"): 11_520,
        ("peipsi", "lariana"): 76_800,
        ("peipsi", "vltava"): 15_360,
    }


amounts = st.fractions(min_value=0, max_value=1000, max_denominator=7)


@given(
    st.dictionaries(st.sampled_from("ABCD"), amounts),
    st.dictionaries(st.sampled_from("xyz"), amounts),
    st.sets(st.tuples(st.sampled_from("ABCD"), st.sampled_from("xyz"))),
)
def test_nothing_is_promised_twice_and_nothing_usable_is_kept_back(
    capacity: dict[str, Fraction], needs: dict[str, Fraction], can: set[tuple[str, str]]
) -> None:
    can = {(supplier, buyer) for supplier, buyer in can if supplier in capacity and buyer in needs}
    shares = pro_rata(capacity, needs, can)
    gives = {one: sum(v for (s, _), v in shares.items() if s == one) for one in capacity}
    gets = {one: sum(v for (_, b), v in shares.items() if b == one) for one in needs}
    assert all(gives[one] <= capacity[one] for one in capacity)
    assert all(gets[one] <= needs[one] for one in needs)
    assert shares.keys() <= can
    for supplier, buyer in can:
        assert gives[supplier] == capacity[supplier] or gets[buyer] == needs[buyer]


def test_a_need_is_not_negative() -> None:
    with pytest.raises(MalformedFact, match="negative"):
        pro_rata({"A": Fraction(1)}, {"x": Fraction(-1)}, [("A", "x")])


def test_rankings_equal_published_ones(shared: Path) -> None:
    case = json.loads((shared / "vectors/risk/known_answers.json").read_text())["mcdm_papathanasiou_ploskas_2018"]
    criteria = [Criterion(str(place), weight) for place, weight in enumerate(case["w"])]
    assert topsis(case["X"], criteria) == pytest.approx(case["TOPSIS_vector"], abs=5e-7)
    assert promethee(case["X"], criteria) == pytest.approx(case["PROMETHEE_II_usual"], abs=1e-12)
    assert rank_stability(case["X"], criteria) == 1


def test_less_is_better_where_the_criterion_says_so() -> None:
    cost, cover = Criterion("cost", 1, more_is_better=False), Criterion("cover", 1)
    close = topsis([[10, 5], [20, 5]], [cost, cover])
    assert close[0] == 1
    assert close[1] == 0
    assert topsis([[1, 1], [1, 1]], [cost, cover]) == [1, 1]


@pytest.mark.parametrize("weights", [[0, 0], [1, -1]])
def test_weights_that_weigh_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(BadWeights):
        topsis([[1, 2]], [Criterion(str(at), weight) for at, weight in enumerate(weights)])


def way(**details: Any) -> RouteAlternative:
    """By air on Mondays and Thursdays, one day, 100 a week."""
    given: dict[str, Any] = {"lead": Lead(1, sails=frozenset({0, 3})), "first_departure": DAY, "ramp": ()}
    terms: dict[str, Any] = {"a_week": Fraction(100), "expires": OVER, "by": "lariana"}
    return RouteAlternative("air", "sea", **(terms | given | details))


def day(number: int) -> date:
    return DAY + timedelta(days=number)


@pytest.mark.parametrize(
    ("name", "route", "start", "departures", "steps"),
    [
        ("from today on", way(), 0, [0, 3, 7, 10], [(0, 1), (11, 0)]),
        ("from a Friday on", way(), 4, [7, 10], [(4, 1), (11, 0)]),
        ("not before it is there", way(first_departure=day(5)), 0, [7, 10], [(4, 1), (11, 0)]),
        ("twice at most", way(loads=2), 0, [0, 3], [(0, 1), (4, 0)]),
        ("half in the first week", way(ramp=(Fraction(1, 2),)), 0, [0, 3, 7, 10], [(0, 0.5), (4, 1), (11, 0)]),
        ("nothing in the first week", way(ramp=(Fraction(0),)), 0, [7, 10], [(0, 0), (4, 1), (11, 0)]),
        ("every day, but not on to a weekend", way(lead=Lead(1)), 8, [8, 9, 10], [(8, 1), (11, 0)]),
        ("when the customer is open", way(lead=Lead(3, sails=frozenset({0, 3}))), 0, [0, 7],
         [(0, 1), (1, 0), (4, 1), (8, 0)]),
        ("sooner than the ship", way(lead=Lead(9, sails=frozenset({0, 3}))), 0, [], [(0, 0)]),
    ],
)  # fmt: skip
def test_a_route_departs_when_it_helps(
    name: str, route: RouteAlternative, start: int, departures: list[int], steps: list[tuple[int, float]]
) -> None:
    run = route_run(route, start=day(start), last=day(12), is_open=lambda one: one.weekday() < 5,
                    is_sooner=lambda sent, comes: (comes - sent).days < 8)  # fmt: skip
    assert [one for one, _, _ in run.departures] == [day(one) for one in departures], name
    assert [(when, float(share)) for when, share in run.steps] == [(day(when), share) for when, share in steps], name
    for departs, arrives, _ in run.departures:
        assert arrives == departs + timedelta(days=route.lead.days)


@pytest.mark.parametrize(
    ("details", "what"),
    [
        ({"a_week": Fraction(-1)}, "negative"),
        ({"extra_cents": -1}, "negative"),
        ({"ramp": (Fraction(3, 2),)}, "from 0 to 1"),
        ({"loads": 0}, "departs at least once"),
        ({"lead": Lead(-1)}, "arrives before it was sent"),
        ({"route": ShippingRoute(())}, "by what goods travel"),
    ],
)
def test_a_way_that_cannot_be_is_refused(details: dict[str, Any], what: str) -> None:
    with pytest.raises(MalformedFact, match=what):
        way(**details).check()
