"""The risk manager's story: every figure of it, by the day-by-day pass and by the program that expands time."""

from datetime import date
from fractions import Fraction

import pytest

from risk.propagation import Impact, propagate
from risk.survival import loss_while_out, plan, time_to_survive
from tests.risk.networks import TYPHOON, axle_circle

BY_WEEK = {date(2026, 12, 7): 3_840, date(2026, 12, 14): 4_800, date(2026, 12, 21): 2_880, date(2027, 1, 4): 3_840}
ECHIZEN, PEIPSI = date(2026, 11, 16), date(2026, 11, 30)


def vehicles(impact: Impact) -> float:
    return sum(one.shortfall for one in impact.stops if one.part == "vehicle")


def test_the_one_bucket_program_calls_it_safe() -> None:
    network = axle_circle()
    assert time_to_survive(network, ["yongjiang"]) == pytest.approx(41)
    assert loss_while_out(network, ["yongjiang"], 30).cents == 0


@pytest.mark.parametrize("days", [115, 180, 365])
def test_the_pass_names_the_days_and_the_vehicles_by_week(days: int) -> None:
    impact = propagate(axle_circle(), [TYPHOON], days=days)
    rotors = impact.of("lariana", "rotor")
    assert rotors is not None
    assert (rotors.first, rotors.because_of) == (date(2026, 11, 23), "magnet")
    for plant in ("magdeburg", "kielce"):
        stop = impact.of(plant, "vehicle")
        assert stop is not None
        assert (stop.first, stop.last, stop.is_over) == (date(2026, 12, 8), date(2027, 1, 7), True)
        assert stop.path == ("yongjiang", "lariana", "nordrand", plant)
        assert stop.standstill_days == 16
    by_week: dict[date, float] = {}
    for stop in impact.stops:
        if stop.part == "vehicle":
            for week, amount in stop.by_week:
                by_week[week] = by_week.get(week, 0) + amount
    assert {week: round(amount) for week, amount in by_week.items()} == BY_WEEK
    assert vehicles(impact) == pytest.approx(15_360)
    assert impact.revenue_cents == 15_360 * 3_200_000


def test_no_plan_does_better_and_a_day_of_magnets_is_worth_960_vehicles() -> None:
    best = plan(axle_circle(), [TYPHOON], days=115)
    assert {week: round(amount) for week, amount in best.lost_by_week().items()} == BY_WEEK
    assert best.cents == pytest.approx(15_360 * 3_200_000)
    magnets = next(one for one in best.stock_worth if (one.site, one.part) == ("lariana", "magnet"))
    assert magnets.cents_per_day_of_use == pytest.approx(960 * 3_200_000)
    with_a_day = propagate(axle_circle(magnet_days=6), [TYPHOON], days=115)
    assert vehicles(with_a_day) == pytest.approx(15_360 - 960)


@pytest.mark.parametrize(
    ("name", "alternatives", "lost"),
    [
        ("split pro rata with Vltava", [("echizen", 57_600, ECHIZEN), ("peipsi", 76_800, PEIPSI)], 800),
        ("the double promise", [("echizen", 69_120, ECHIZEN), ("peipsi", 92_160, PEIPSI)], 0),
    ],
)
def test_what_alternatives_save(name: str, alternatives: list[tuple[str, int, date]], lost: float) -> None:
    network = axle_circle(alternatives)
    for days in (115, 180):
        assert vehicles(propagate(network, [TYPHOON], days=days)) == pytest.approx(lost, abs=1e-6), (name, days)
    assert plan(network, [TYPHOON], days=115).cents == pytest.approx(lost * 3_200_000, abs=1), name


AIRLIFT = {
    date(2026, 12, 7): Fraction(115_200),
    date(2026, 12, 14): Fraction(172_800),
    date(2026, 12, 21): Fraction(230_400),
    date(2027, 1, 4): Fraction(230_400),
    date(2027, 1, 11): Fraction(230_400),
}


@pytest.mark.parametrize(
    ("name", "alternatives", "lost"),
    [
        ("the airlift alone", [], 5_520),
        ("and both alternatives", [("echizen", 57_600, ECHIZEN), ("peipsi", 76_800, PEIPSI)], 0),
    ],
)
def test_what_an_airlift_saves(name: str, alternatives: list[tuple[str, int, date]], lost: float) -> None:
    network = axle_circle(alternatives, airlift=AIRLIFT, sea_again=date(2026, 12, 8))
    assert vehicles(propagate(network, [TYPHOON], days=115)) == pytest.approx(lost, abs=1e-6), name
