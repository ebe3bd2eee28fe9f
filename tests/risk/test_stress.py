"""Stress tests and exposure: known answers, what must hold of every network, and the same bytes again."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tiers import tiers
from risk.criticality import systemic_risk
from risk.errors import MalformedFact
from risk.exposure import exposure, firms
from risk.mitigation import (
    AnotherSupplier,
    Cost,
    Mitigation,
    MoreCapacity,
    MoreStock,
    SecondRoute,
    break_even,
    expected,
    mitigated,
)
from risk.network import Line, Site, SupplyLink, SupplyNetwork
from risk.outlook import outlets, own_sites, what_if, whole
from risk.propagation import walk_everything
from risk.reach import Outage
from risk.routes import Mode, Passage, ShippingRoute
from risk.screen import Scenario, Screen, every_site
from risk.sharing import Hit, View
from risk.sights import view
from risk.stress import MOST_SEED, Every, Question, ScenarioSet, TooMuchAsked, drawn, stress_test
from risk.survival import plan
from tests.risk.networks import MONDAY, axle_circle
from tests.risk.test_sharing import KEY, shared_at
from tests.risk.test_survival import DAY, line, link, network, random_network, serial

RECOVERY = {"yongjiang": (28, 43, 63)}
TYPHOON = Scenario("Typhoon", sites=("yongjiang",), chance=Fraction(1, 20))
EUROS = Cost(1_000_000, 2_000_000, "EUR", 5)


def seen(made: SupplyNetwork, reader: str, recovery: dict[str, tuple[int, int, int]] | None = None) -> View:
    return view(made, reader, key=KEY, checkpoint="log 7 aa", hits=what_if(made, recovery or {}))


def set_of(*scenarios: Scenario) -> ScenarioSet:
    return ScenarioSet("Circle", "1", scenarios)


def told_of(made: SupplyNetwork, reader: str = "", **asked: Any) -> dict[str, Any]:
    one = seen(made, reader, RECOVERY) if reader else whole(made, "log 7 aa", RECOVERY)
    return dict(stress_test(one, Question(**asked)).content)


# -- known answers -----------------------------------------------------------------------------------------------------


def test_the_typhoon_costs_what_the_story_says_and_a_day_of_magnets_saves_960_vehicles() -> None:
    told = told_of(
        axle_circle(),
        scenarios=set_of(TYPHOON),
        mitigations=(MoreStock("A day of magnets", "lariana", "magnet", 1, EUROS),),
    )
    (one,) = told["scenarios"]
    assert one["effect"]["lost"] == {"vehicle": "15360"}
    assert one["effect"]["first"] == "2026-12-08"
    assert one["effect"]["revenueCents"] == 15_360 * 3_200_000
    assert one["effect"]["least"]["lost"] == {"vehicle": "15360"}
    (after,) = one["mitigated"]
    assert after["saved"]["lost"] == {"vehicle": "960"}
    assert after["breakEven"]["exact"] == str(Fraction(2_200_000, 960 * 3_200_000))
    (summary,) = told["mitigations"]
    assert Fraction(summary["savedCentsAYear"]) == Fraction(960 * 3_200_000, 20)
    assert (summary["costCentsAYear"], summary["paysForItself"]) == ("2200000", True)


def test_both_alternatives_of_the_story_leave_800_vehicles() -> None:
    """As suppliers in place, they come as they did there: 57,600 and 76,800 a week, 5 and 7 weeks from now."""
    made = axle_circle([("echizen", 57_600, date(2026, 11, 16)), ("peipsi", 76_800, date(2026, 11, 30))])
    (one,) = told_of(made, scenarios=set_of(TYPHOON))["scenarios"]
    assert one["effect"]["lost"] == {"vehicle": "800"}


def test_a_test_that_would_keep_a_core_for_an_hour_is_refused_before_it_is_walked() -> None:
    large = whole(tiers(4_000), "log 7 aa", {})
    with pytest.raises(TooMuchAsked, match=r"320 walks .* at most 20\d go into one test"):
        stress_test(large, Question(every=(Every.SITE,), draws=30, days=730))


def test_who_says_that_it_recovers_in_ten_years_is_walked_for_two() -> None:
    told = exposure(seen(serial(), "C", {"A": (3_650, 3_650, 3_650)})).content
    (one,) = [each for each in told["sites"] if each["where"] == {"site": "A"}]
    assert (one["isCovered"], one["recoverDays"]["likely"]) == (False, 3_650)
    assert Fraction(next(iter(one["atRisk"]["lost"].values()))) < 730 * 30


def test_in_a_row_survival_and_exposure_are_those_of_the_programs() -> None:
    """T1 of the vectors: 9, 7 and 4 days; out for 12 days A costs 60, B 100 and C 160."""
    told = exposure(seen(serial(), "C", dict.fromkeys("ABC", (12, 12, 12)))).content
    by_site = {one["where"]["site"]: one for one in told["sites"]}
    bucket = {site: one["oneBucket"] for site, one in by_site.items()}
    assert {site: one["days"] for site, one in bucket.items()} == {"A": "9", "B": "7", "C": "4"}
    assert {site: one["exposureIndex"] for site, one in bucket.items()} == {"A": "0.375", "B": "0.625", "C": "1"}
    # The four days that C has made already keep its customers going, and not its line.
    assert {site: one["timeToSurvive"]["days"] for site, one in by_site.items()} == {"A": 5, "B": 3, "C": 0}
    assert {site: one["gapDays"] for site, one in by_site.items()} == {"A": 7, "B": 9, "C": 12}
    lost = {site: sum(map(Fraction, one["atRisk"]["lost"].values())) for site, one in by_site.items()}
    shares = {site: Fraction(one["exposureIndex"]) for site, one in by_site.items()}
    assert shares == {site: round(one / lost["C"], 4) for site, one in lost.items()}
    assert not any(one["isCovered"] for one in by_site.values())
    assert len(told["singleSources"]) == 2


def test_of_the_story_one_bucket_says_covered_and_the_days_say_what_is_lost() -> None:
    """41 working days of cover, 30 to recover; and yet 16 working days without magnets."""
    made = seen(axle_circle(), "havelmark", {"yongjiang": (43, 43, 43)})
    (one,) = [each for each in exposure(made).content["sites"] if each["where"] == {"site": "yongjiang"}]
    assert one["oneBucket"]["isCovered"]
    assert not one["isCovered"]
    assert one["atRisk"]["lost"] == {"vehicle": "15360"}
    assert one["atRisk"]["revenueCents"] == 15_360 * 3_200_000
    assert Fraction(one["exposureIndex"]) > 0


def test_what_is_covered_has_an_index_of_nothing_and_what_is_not_has_none_of_it() -> None:
    made = network(
        [line("S", "x", 10), line("T", "y", 10), line("P", "p", 10, {"x": 1, "y": 1}, cents=5)],
        [link("S", "P", "x"), link("T", "P", "y")],
        {("P", "x"): 2_000},
    )
    told = {one["where"]["site"]: one for one in exposure(seen(made, "P")).content["sites"]}
    assert (told["S"]["isCovered"], told["S"]["exposureIndex"], told["S"]["gapDays"]) == (True, "0", 0)
    assert told["S"]["atRisk"] == {"lost": {}, "revenueCents": 0}
    assert not told["T"]["isCovered"]
    assert Fraction(told["T"]["exposureIndex"]) > 0
    assert told["T"]["gapDays"] == 42
    free = network(
        [*made.lines[1:], line("P", "q", 10, {"x": 1}, cents=5), line("P", "p", 10, {"y": 1})], [*made.links]
    )
    told = {one["where"]["site"]: one for one in exposure(seen(free, "P")).content["sites"]}
    assert (told["T"]["isCovered"], told["T"]["exposureIndex"]) == (False, None), "what is lost has no price"


def test_a_view_as_firms_has_the_systemic_risk_of_its_bills_of_material() -> None:
    """S1 makes 60 % of a part and its buyer cannot do without: 0.6 of the part and 0.6 of the product are gone."""
    either = network(
        [line("S1", "x", 6), line("S2", "x", 4), line("P", "p", 10, {"x": 1}, cents=1)],
        [link("S1", "P", "x", Fraction(6, 10)), link("S2", "P", "x", Fraction(4, 10))],
    )
    made = firms(either)
    assert made is not None
    of, lines = made
    place = {one.site: at for at, one in enumerate(either.arrays.lines)}
    assert of.out[:lines] == pytest.approx([{"S1": 0.6, "S2": 0.4, "P": 1.0}[one.site] for one in either.arrays.lines])
    assert systemic_risk(of, [place["S1"]], precision=1e-9)[place["S1"]] == pytest.approx(0.6)
    told = {one["where"]["site"]: one["systemicRisk"] for one in exposure(seen(either, "P")).content["sites"]}
    assert told["S1"] == "0.6"


def test_what_a_buyer_can_do_without_costs_its_share_of_the_inputs() -> None:
    """Three parts of which as much is made count alike: x alone is a third of all, and half of p another sixth."""
    told = {}
    for essential in ({}, {"x": True}, {"x": False}, {"x": False, "y": False}):
        parts = [line("S", "x", 10), line("T", "y", 10)]
        product = replace(line("P", "p", 10, {"x": 1, "y": 1}, cents=1), essential=essential)
        made = network([*parts, product], [link("S", "P", "x"), link("T", "P", "y")])
        content = exposure(seen(made, "P")).content
        by_site = {one["where"]["site"]: one["systemicRisk"] for one in content["sites"]}
        told[tuple(sorted(essential.items()))] = by_site["S"], by_site["T"], content["essential"]
    all_of_it = {"needs": 2, "replaceable": 0, "stated": 0}
    assert told[()] == ("0.6667", "0.6667", all_of_it)
    assert told[("x", True),] == ("0.6667", "0.6667", all_of_it | {"stated": 1})
    assert told[("x", False),] == ("0.5", "0.6667", {"needs": 2, "replaceable": 1, "stated": 1})
    assert told[("x", False), ("y", False)] == ("0.5", "0.5", {"needs": 2, "replaceable": 2, "stated": 2})


def test_a_share_that_comes_from_nobody_in_particular_does_not_fail() -> None:
    half = network([line("S", "x", 5), line("P", "p", 10, {"x": 1}, cents=1)], [link("S", "P", "x", Fraction(1, 2))])
    told = {one["where"]["site"]: one["systemicRisk"] for one in exposure(seen(half, "P")).content["sites"]}
    assert told["S"] == "0.75", "all of x that is made here, and half of p"


# -- what two suppliers have in common ---------------------------------------------------------------------------------


def two_that_are_one(level: str) -> SupplyNetwork:
    """P has two suppliers, A and B; both get their steel from X, a tier further up."""
    made = network(
        [line("X", "steel", 10), line("A", "part", 5, {"steel": 1}), line("B", "part", 5, {"steel": 1}),
         line("P", "p", 10, {"part": 1}, cents=1)],
        [link("X", "A", "steel"), link("X", "B", "steel"),
         link("A", "P", "part", Fraction(1, 2)), link("B", "P", "part", Fraction(1, 2))],
    )  # fmt: skip
    sites = [replace(one, region="East Asia") for one in made.sites.values()]
    links = [replace(one, level=level) for one in made.links]
    return SupplyNetwork.of(DAY, sites, made.lines, links, made.stocks)


@pytest.mark.parametrize(
    ("level", "common"),
    [
        ("named", {"site": "X"}),
        ("tier", {"region": "East Asia", "tier": 2}),
        ("region-and-cause", {"region": "East Asia"}),
        ("impact-only", {}),
    ],
)
def test_who_stands_behind_two_suppliers_is_told_as_far_as_the_level_goes(level: str, common: dict[str, Any]) -> None:
    told = exposure(seen(two_that_are_one(level), "P")).content
    (one,) = told["commonUpstream"]
    assert {name: value for name, value in one["common"].items() if name != "id"} == common
    assert one["suppliers"] == [{"site": "A"}, {"site": "B"}]
    assert (one["customer"], one["shareAtRisk"]) == ({"site": "P"}, "1")
    assert [place["name"] for place in told["sharedPlaces"]] == ["East Asia"]
    if level in ("impact-only", "region-and-cause"):
        assert b"site-" not in exposure(seen(two_that_are_one(level), "P")).text


def test_a_withheld_link_leaves_no_trace_in_test_or_exposure() -> None:
    """Two worlds: whether X stands behind both or not, P cannot tell."""
    with_x, made = two_that_are_one("withheld"), two_that_are_one("withheld")
    without = SupplyNetwork.of(
        DAY,
        [one for one in made.sites.values() if one.key != "X"],
        [one for one in made.lines if one.site != "X"],
        [one for one in made.links if one.supplier != "X"],
        made.stocks,
    )
    asked = Question(set_of(Scenario("X", sites=("X",)), Scenario("Asia", regions=("East Asia",))), (Every.SITE,))
    assert stress_test(seen(with_x, "P"), asked).text == stress_test(seen(without, "P"), asked).text
    assert exposure(seen(with_x, "P")).text == exposure(seen(without, "P")).text


@pytest.mark.parametrize("level", ["impact-only", "region-and-cause", "tier", "named"])
def test_what_may_not_be_placed_is_told_for_all_regions_alike_and_locates_nobody(level: str) -> None:
    """Two worlds: X behind both suppliers lies in East Asia or at home. Who may not know where is told the same."""
    asked = Question(set_of(Scenario("Home", regions=("Home",))), (Every.REGION,))
    told = {}
    for region in ("East Asia", "Home"):
        made = two_that_are_one(level)
        sites = [replace(one, region=region) if one.key == "X" else one for one in made.sites.values()]
        sites = [replace(one, region="Home") if one.key == "P" else one for one in sites]
        made = SupplyNetwork.of(made.day, sites, made.lines, made.links, made.stocks)
        told[region] = stress_test(seen(made, "P"), asked)
    is_hidden = level == "impact-only"
    assert (told["Home"].text == told["East Asia"].text) == is_hidden
    content = told["East Asia"].content
    by_name = {one["name"]: one for one in content["scenarios"]}
    if is_hidden:
        unplaced = content["unplaced"]["region"]
        assert unplaced["shareOfOutput"] == "1"
        assert unplaced["lost"]["p"] != "0"
        assert all(one["ifUnplaced"]["lost"]["p"] == one["effect"]["lost"]["p"] for one in by_name.values())
    else:
        assert content["unplaced"] == {"region": None}
        assert all(one["ifUnplaced"] is None for one in by_name.values())


# -- what must hold of every network -----------------------------------------------------------------------------------


def with_a_stand_in(made: SupplyNetwork, random: Random) -> SupplyNetwork:
    """The network with links of share 0 besides: what such a one carries, the screen by shares does not see."""
    spare = [replace(one, key=f"{one.key} too", share=Fraction(0)) for one in made.links]
    suppliers = {one.part: one.supplier for one in made.links}
    moved = [replace(one, supplier=suppliers[one.part]) for one in random.sample(spare, min(3, len(spare)))]
    return SupplyNetwork.of(made.day, made.sites.values(), made.lines, [*made.links, *moved], made.stocks)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_what_the_screen_clears_loses_nothing_in_a_walk_over_everything(seed: int, length: int) -> None:
    random = Random(seed)
    made = with_a_stand_in(random_network(seed), random)
    site = random.choice(sorted(made.sites))
    (screened,) = Screen(made).run([Scenario(site, (site,))])
    out = [Outage(site, ((DAY, 0.0), (DAY + timedelta(days=length), 1.0)))]
    finals = {(made.arrays.lines[at].site, made.arrays.lines[at].part) for at in outlets(made, frozenset(made.sites))}
    lost = [one for one in walk_everything(made, out, days=40).stops if (one.site, one.part) in finals]
    if lost:
        assert screened.products, "what is lost was not cleared"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 15), st.sampled_from(["stock", "capacity", "supplier", "route"]))
def test_a_mitigation_never_makes_the_best_plan_worse(seed: int, length: int, kind: str) -> None:
    made, random = random_network(seed), Random(seed)
    one = random.choice(made.links)
    changes: dict[str, Mitigation] = {
        "stock": MoreStock("m", one.customer, one.part, random.randint(1, 5)),
        "capacity": MoreCapacity("m", one.supplier, one.part, Fraction(random.randint(1, 5))),
        "supplier": AnotherSupplier("m", "new", one.customer, one.part, Fraction(random.randint(1, 5)),
                                    random.randint(0, 4), random.randint(0, 4)),
        "route": SecondRoute("m", one.supplier, one.customer, one.part, random.randint(0, 4)),
    }  # fmt: skip
    out = [Outage("M0", ((DAY, 0.0), (DAY + timedelta(days=length), 1.0)))]
    before = plan(made, out, days=25).cents
    assert plan(mitigated(made, [changes[kind]]), out, days=25).cents <= before + 1e-6


@given(
    st.integers(0, MOST_SEED), st.text(max_size=20), st.integers(0, 500),
    st.tuples(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99)).map(lambda one: tuple(sorted(one))),
)  # fmt: skip
def test_recoveries_are_drawn_from_the_least_to_the_most(
    seed: int, name: str, number: int, days: tuple[int, int, int]
) -> None:
    assert days[0] <= drawn(seed, name, "site", number, days) <= days[2]


def test_draws_follow_the_triangle() -> None:
    many = [drawn(1, "storm", "site", number, (28, 42, 63)) for number in range(4_000)]
    assert np.mean(many) == pytest.approx((28 + 42 + 63) / 3, abs=0.5)
    assert np.std(many) == pytest.approx(7.2, abs=0.3)


def test_the_worst_are_those_that_lose_most_and_not_those_that_reach_furthest() -> None:
    made = tiers(120)
    told = told_of(made, every=(Every.SITE,), worst=3)
    lost = [one["effect"]["revenueCents"] for one in told["scenarios"]]
    assert lost == sorted(lost, reverse=True)
    furthest = Screen(made).run(every_site(made))[0].scenario.name
    (alone,) = told_of(made, scenarios=set_of(Scenario("x", (furthest,))))["scenarios"]
    assert min(lost) > alone["effect"]["revenueCents"]


# -- scenarios and what a reader sees of them --------------------------------------------------------------------------


def test_sites_that_may_not_be_told_apart_are_one_row_without_a_name() -> None:
    made = shared_at(axle_circle(), "impact-only")
    told = told_of(made, "havelmark", every=(Every.SITE,))
    hidden = [one for one in told["scenarios"] if "site" not in one["where"]]
    assert [one["where"] for one in hidden] == [{}]
    assert hidden[0]["recoverDays"] is None
    assert "site-" not in stress_test(seen(made, "havelmark"), Question(every=(Every.SITE,))).text.decode()


def test_what_a_reader_does_not_see_of_a_set_is_said_and_not_guessed() -> None:
    named = set_of(Scenario("Storm", ("kielce",), regions=("East Asia",)), Scenario("Elsewhere", ports=("JPTYO",)))
    told = told_of(shared_at(axle_circle(), "impact-only"), "havelmark", scenarios=named)
    assert [(one["name"], one["notSeen"]) for one in told["scenarios"]] == [("Storm", ["East Asia"])]
    assert told["notSeen"] == [{"name": "Elsewhere", "notSeen": ["JPTYO"]}]
    assert told["screened"] == 1


def test_a_region_hits_a_new_supplier_in_it_too() -> None:
    made = shared_at(axle_circle(), "region-and-cause")
    near, far = (
        AnotherSupplier(name, f"new {name}", "magdeburg", "axle", Fraction(640), 2, region=region)
        for name, region in (("near", "East Asia"), ("far", "Iberia"))
    )
    storm = Scenario("Storm", ("nordrand",), regions=("East Asia",), days=(43, 43, 43))
    (one,) = told_of(made, "havelmark", scenarios=set_of(storm), mitigations=(near, far))["scenarios"]
    saved = {after["mitigation"]: after["saved"]["lost"] for after in one["mitigated"]}
    assert saved["near"] == {}
    assert set(saved["far"]) == {"vehicle"}
    assert saved["all together"] == saved["far"]


def test_a_closed_passage_stops_what_goes_through_it_unless_there_is_a_second_route() -> None:
    made = axle_circle()
    by_sea = ShippingRoute((Mode.SEA,), "CNNGB", "ITGOA", (Passage.SUEZ,))
    links = [replace(one, route=by_sea) if one.key == "sea" else one for one in made.links]
    made = SupplyNetwork.of(made.day, made.sites.values(), made.lines, links, made.stocks)
    closed = Scenario("Canal", passages=("suez",), days=(60, 60, 60))
    air = SecondRoute("Air", "yongjiang", "lariana", "magnet", 5)
    (one,) = told_of(made, scenarios=set_of(closed), mitigations=(air,))["scenarios"]
    assert Fraction(one["effect"]["lost"]["vehicle"]) > 1_000
    assert one["mitigated"][0]["saved"]["lost"] == one["effect"]["lost"]


def test_every_port_is_each_through_which_goods_go() -> None:
    made = axle_circle()
    by_sea = ShippingRoute((Mode.SEA,), "CNNGB", "ITGOA")
    links = [replace(one, route=by_sea) if one.key == "sea" else one for one in made.links]
    made = SupplyNetwork.of(made.day, made.sites.values(), made.lines, links, made.stocks)
    told = told_of(made, every=(Every.PORT,))
    assert {one["where"]["port"]: one["recoverDays"]["likely"] for one in told["scenarios"]} == {
        "CNNGB": 13,
        "ITGOA": 13,
    }


def test_without_a_price_units_are_saved_and_nothing_is_said_of_their_value() -> None:
    made = shared_at(axle_circle(), "named")
    more = MoreStock("Rotors", "nordrand", "rotor", 5, EUROS)
    told = told_of(made, "nordrand", scenarios=set_of(TYPHOON), mitigations=(more,))
    (one,) = told["scenarios"]
    assert one["effect"]["lost"] == {"axle": one["effect"]["lost"]["axle"]}
    assert one["effect"]["revenueCents"] is None
    assert one["mitigated"][0]["breakEven"]["notKnown"].startswith("no price")
    assert told["mitigations"][0]["paysForItself"] is None


def test_a_chance_that_nobody_stated_is_asked_back_as_the_one_from_which_it_pays() -> None:
    unknown = replace(TYPHOON, chance=None)
    more = MoreStock("Magnets", "lariana", "magnet", 1, Cost(1_000_000, 0, "EUR"))
    told = told_of(axle_circle(), scenarios=set_of(unknown), mitigations=(more,))
    assert told["scenarios"][0]["expectedCentsAYear"] is None
    assert told["scenarios"][0]["mitigated"][0]["breakEven"]["notKnown"].startswith("nobody has said over how many")
    assert told["mitigations"][0] | {"paysForItself": None, "scenariosWithoutChance": 1} == told["mitigations"][0]


def test_break_even_is_exact() -> None:
    assert EUROS.a_year == 2_200_000
    assert break_even(Fraction(1), Fraction(3)).chance == Fraction(1, 3)
    assert break_even(Fraction(1), Fraction(0)).not_known == "it saves nothing here"
    assert break_even(Fraction(7), Fraction(2)).chance == Fraction(7, 2), "more than once a year: never"
    assert expected([(Fraction(1, 20), Fraction(100)), (Fraction(1, 3), Fraction(1))]) == 5 + Fraction(1, 3)


# -- the same again ----------------------------------------------------------------------------------------------------


def digests() -> list[str]:
    """Of a test and of an exposure, in this process."""
    more = MoreStock("m", "magdeburg", "axle", 5, EUROS)
    asked = Question(set_of(TYPHOON), (Every.SITE, Every.REGION), (more,), seed=7, draws=9)
    made = seen(shared_at(axle_circle(), "tier"), "havelmark", RECOVERY)
    return [sha256(one.text).hexdigest() for one in (stress_test(made, asked), exposure(made))]


def test_two_processes_say_the_same_bytes() -> None:
    other = subprocess.run(
        [sys.executable, "-c", "from tests.risk.test_stress import digests; print(*digests())"],
        env={"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1", "PYTHONPATH": "."},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.split() == digests()


def test_a_view_that_was_written_down_gives_the_same_bytes() -> None:
    asked = Question(set_of(TYPHOON), (Every.SITE,), draws=3, seed=1)
    made = seen(shared_at(axle_circle(), "named"), "havelmark", RECOVERY)
    assert stress_test(View.read(made.text), asked).text == stress_test(made, asked).text


def test_another_seed_draws_other_times() -> None:
    told = [
        told_of(axle_circle(), scenarios=set_of(TYPHOON), seed=seed, draws=20)["scenarios"][0]["effect"]["draws"]
        for seed in (1, 2)
    ]
    assert told[0] != told[1]


# -- bad input ---------------------------------------------------------------------------------------------------------

MORE = MoreStock("m", "lariana", "magnet", 1)
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "nothing asked": ({}, MalformedFact, "name scenarios"),
    "a set of nothing": ({"scenarios": set_of()}, MalformedFact, "one scenario"),
    "a billion scenarios": ({"scenarios": set_of(*[TYPHOON] * 201)}, TooMuchAsked, "at most 200"),
    "two of one name": ({"scenarios": set_of(TYPHOON, TYPHOON)}, MalformedFact, "one name"),
    "nothing fails": ({"scenarios": set_of(Scenario("x"))}, MalformedFact, "nothing fails"),
    "back before it begins": (
        {"scenarios": set_of(replace(TYPHOON, days=(5, 4, 9)))},
        MalformedFact,
        "days to recover",
    ),
    "before today": ({"scenarios": set_of(replace(TYPHOON, after_days=-1))}, MalformedFact, "or later"),
    "all of it left": ({"scenarios": set_of(replace(TYPHOON, left=Fraction(1)))}, MalformedFact, "share"),
    "surer than sure": ({"scenarios": set_of(replace(TYPHOON, chance=Fraction(2)))}, MalformedFact, "chance"),
    "a seed below 0": ({"every": (Every.SITE,), "seed": -1}, MalformedFact, "seed"),
    "a seed too large": ({"every": (Every.SITE,), "seed": 2**53}, MalformedFact, "seed"),
    "no worst": ({"every": (Every.SITE,), "worst": 0}, MalformedFact, "worst"),
    "too many worst": ({"every": (Every.SITE,), "worst": 51}, TooMuchAsked, "at most 50"),
    "too many draws": ({"every": (Every.SITE,), "draws": 10**9}, TooMuchAsked, "at most 500"),
    "too many walks": (
        {"every": (Every.SITE,), "draws": 500, "mitigations": (MORE,)},
        TooMuchAsked,
        "walks",
    ),
    "twice every site": ({"every": (Every.SITE, Every.SITE)}, MalformedFact, "once"),
    "two mitigations of one name": ({"every": (Every.SITE,), "mitigations": (MORE, MORE)}, MalformedFact, "one name"),
    "a cost below 0": (
        {"every": (Every.SITE,), "mitigations": (replace(MORE, cost=Cost(-1, 0, "EUR")),)},
        MalformedFact,
        "negative",
    ),
    "a cost of no currency": (
        {"every": (Every.SITE,), "mitigations": (replace(MORE, cost=Cost(1)),)},
        MalformedFact,
        "currency",
    ),
    "costs in another currency than prices": (
        {"every": (Every.SITE,), "mitigations": (replace(MORE, cost=Cost(1, 0, "USD", 1)),)},
        MalformedFact,
        "revenue in EUR",
    ),
    "two currencies": (
        {
            "every": (Every.SITE,),
            "mitigations": (replace(MORE, cost=EUROS), replace(MORE, name="n", cost=Cost(1, 0, "USD", 1))),
        },
        MalformedFact,
        "EUR and in USD",
    ),
    "a part that nobody uses there": (
        {"every": (Every.SITE,), "mitigations": (replace(MORE, part="axle"),)},
        MalformedFact,
        "neither uses nor makes axle",
    ),
    "stock at no site": (
        {"every": (Every.SITE,), "mitigations": (replace(MORE, site="atlantis"),)},
        MalformedFact,
        "neither uses nor makes",
    ),
    "capacity for what it does not make": (
        {"every": (Every.SITE,), "mitigations": (MoreCapacity("m", "lariana", "axle", Fraction(1)),)},
        MalformedFact,
        "makes no axle",
    ),
    "a supplier for nobody": (
        {"every": (Every.SITE,), "mitigations": (AnotherSupplier("m", "new", "atlantis", "axle", Fraction(1)),)},
        MalformedFact,
        "you see no site atlantis",
    ),
    "a supplier of what it buys itself": (
        {"every": (Every.SITE,), "mitigations": (AnotherSupplier("m", "nordrand", "lariana", "magnet", Fraction(1)),
                                                 AnotherSupplier("n", "lariana", "lariana", "magnet", Fraction(1)))},
        MalformedFact,
        "supply itself",
    ),
    "a route that is none": (
        {"every": (Every.SITE,), "mitigations": (SecondRoute("m", "vltava", "kielce", "axle", 1),)},
        MalformedFact,
        "sends kielce no axle",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WRONG))
def test_what_is_no_question_is_refused(name: str) -> None:
    asked, error, match = WRONG[name]
    with pytest.raises(error, match=match):
        told_of(axle_circle(), **asked)


def test_a_view_in_which_something_happens_is_no_view_of_what_might() -> None:
    storm = Hit("yongjiang", MONDAY, (date(2026, 11, 10),) * 3, "cyclone")
    made = shared_at(axle_circle(), "named")
    happening = view(made, "havelmark", key=KEY, checkpoint="c", hits=[storm])
    works: list[Callable[[], object]] = [
        lambda: stress_test(happening, Question(every=(Every.SITE,))),
        lambda: exposure(happening),
    ]
    for work in works:
        with pytest.raises(MalformedFact, match="what happens"):
            work()


def test_only_what_leaves_the_reader_counts() -> None:
    """What one site of the reader makes for another one is no product, unless it has a price."""
    lines = [Line("A", "a", Fraction(1), Fraction(1)), Line("B", "b", Fraction(1), Fraction(1), {"a": Fraction(1)})]
    sites = [Site("A", "me"), Site("B", "me")]
    made = SupplyNetwork.of(DAY, sites, lines, [SupplyLink("l", "A", "B", "a")])
    assert [made.arrays.lines[at].part for at in outlets(made, own_sites(seen(made, "me")))] == ["b"]
