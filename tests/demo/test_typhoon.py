"""The risk manager's story from the demo's own files: each figure of it, and what each member may and may not see."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import cache
from hashlib import sha256

import pytest

from demo.consortium import consortium
from demo.typhoon import alert, facts, form, part, place, questions, scenarios, story
from demo.typhoon import plan as plan_of
from ledger_service.facts import check
from ledger_service.keys import to_hex
from ledger_service.risk_kinds import PARSERS
from risk.alternatives import Alternative
from risk.assessment import Assessment, assess
from risk.disruption import gather
from risk.facts import Known, Record, known
from risk.messages import read_alert, read_form
from risk.network import Stock
from risk.propagation import Impact, propagate
from risk.reach import Outage
from risk.sharing import Hit, View
from risk.sights import view
from risk.survival import loss_while_out, plan, time_to_survive

CAST = consortium()
IDS = {key: sha256(f"demo {key}".encode()).digest() for key in CAST.companies}
NOW = datetime.fromtimestamp(CAST.starts_at // 1000, UTC)
DAY = date(2026, 10, 12)
BACK = (date(2026, 11, 10), date(2026, 11, 24), date(2026, 12, 15))
KEY = bytes(range(32))
NINGBO, LECCO, MAGNET = place("ningbo"), place("lecco"), part("magnet")
OUT = (Outage(NINGBO, ((DAY, 0.0), (BACK[1], 1.0))),)
BY_WEEK = {date(2026, 12, 7): 3_840, date(2026, 12, 14): 4_800, date(2026, 12, 21): 2_880, date(2027, 1, 4): 3_840}
REVENUE = 49_152_000_000


def records() -> list[Record]:
    return [
        Record(
            to_hex(sha256(b"%d" % number).digest()),
            one.kind,
            to_hex(IDS[one.company]),
            NOW,
            PARSERS[one.kind](one.content, latest=CAST.starts_at),
        )
        for number, one in enumerate(facts())
    ]


@cache
def story_known() -> Known:
    return known(records(), NOW, DAY)


def storm() -> list[Hit]:
    """The sites that the alert's circle covers, back as their owners have said."""
    (disruption,) = gather([read_alert(alert())])
    return [
        Hit(one.key, DAY, BACK, "cyclone", onset=date(2026, 10, 13), status="Exercise", probability=Fraction(3, 4))
        for one in story_known().network.sites.values()
        if disruption.touches(one)
    ]


def seen(company: str, found: Known | None = None) -> View:
    found = found or story_known()
    return view(found.network, to_hex(IDS[company]), key=KEY, checkpoint="c", exceptions=found.exceptions, hits=storm(),
                alternatives=found.alternatives, qualifications=found.qualifications, routes=found.routes,
                doubts=found.doubts)  # fmt: skip


@cache
def told(company: str) -> Assessment:
    return assess(seen(company))


def vehicles(impact: Impact) -> float:
    return sum(one.shortfall for one in impact.stops if one.part == part("vehicle"))


def test_every_fact_is_read_and_nothing_in_them_contradicts_anything() -> None:
    assert story_known().network.inconsistencies == ()
    assert story_known().aged == {}
    assert propagate(story_known().network, [], days=112).stops == ()
    assert {one.kind for one in facts()} >= {"site", "part", "supply-link", "stock", "capacity", "qualification"}


def test_plan_set_and_questions_are_good_statements() -> None:
    (first,) = plan_of(IDS)
    agreed = plan_of(IDS, agrees_to=bytes(32))
    assert [one.company for one in agreed] == ["yongjiang"]
    asked = questions(IDS)
    answer = asked[0].reply(IDS["nordrand"], bytes(32), [bytes(32)])
    for one in (first, *agreed, scenarios(IDS), *(each.saying for each in asked), answer):
        check(one.kind, one.content, CAST.starts_at)


def test_the_storm_covers_ningbo_and_zhoushan_and_not_ganzhou() -> None:
    report = read_alert(alert())
    assert (report.status, report.sender) == ("Exercise", "warnings@weather.example.org")
    assert {one.site for one in storm()} == {NINGBO, place("zhoushan")}


def test_alert_and_form_are_one_disruption_of_two_sources() -> None:
    form_of_yongjiang = read_form(form(), to_hex(IDS["yongjiang"]), NOW)
    (disruption,) = gather([read_alert(alert()), form_of_yongjiang])
    assert disruption.sources == tuple(sorted(["warnings@weather.example.org", to_hex(IDS["yongjiang"])]))
    assert (disruption.status, disruption.onset) == ("Exercise", datetime(2026, 10, 12, 0, tzinfo=UTC))


def test_the_one_bucket_program_calls_it_safe() -> None:
    network = story_known().network
    assert time_to_survive(network, [NINGBO]) == pytest.approx(41)
    assert loss_while_out(network, [NINGBO], 30).cents == 0
    assert told("havelmark").content["oneBucket"] == {
        "isSafe": True, "timeToRecoverDays": 30, "timeToSurviveDays": "41",
    }  # fmt: skip


def test_the_days_and_the_vehicles_by_week() -> None:
    impact = propagate(story_known().network, OUT, days=115)
    rotors = impact.of(LECCO, part("rotor"))
    assert rotors is not None
    assert (rotors.first, rotors.because_of) == (date(2026, 11, 23), MAGNET)
    by_week: dict[date, float] = {}
    for plant in ("magdeburg", "kielce"):
        stop = impact.of(place(plant), part("vehicle"))
        assert stop is not None
        assert (stop.first, stop.last, stop.is_over) == (date(2026, 12, 8), date(2027, 1, 7), True)
        assert stop.standstill_days == 16
        for week, amount in stop.by_week:
            by_week[week] = by_week.get(week, 0) + amount
    assert {week: round(amount) for week, amount in by_week.items()} == BY_WEEK
    assert vehicles(impact) == pytest.approx(15_360)
    assert impact.revenue_cents == REVENUE


def test_no_plan_does_better() -> None:
    best = plan(story_known().network, OUT, days=115)
    assert {week: round(amount) for week, amount in best.lost_by_week().items()} == BY_WEEK
    assert best.cents == pytest.approx(REVENUE)


def test_one_more_day_of_magnets_in_lecco_saves_960_vehicles() -> None:
    network = story_known().network
    more = network.with_changes(stocks=[Stock(LECCO, MAGNET, Fraction(48 * 960 * 6))])
    assert vehicles(propagate(more, OUT, days=115)) == pytest.approx(15_360 - 960)


def test_both_alternatives_leave_800_and_promised_twice_it_would_look_like_none() -> None:
    given = {
        (one["supplier"], one["customer"]): one["aWeek"]
        for company in ("lariana", "vltava")
        for one in told(company).content["alternatives"]["suggestions"]
    }
    assert given == {
        (place("fukui"), LECCO): "57600",
        (place("narva"), LECCO): "76800",
        (place("fukui"), place("plzen")): "11520",
        (place("narva"), place("plzen")): "15360",
    }
    after = told("havelmark").content["alternatives"]["afterSuppliers"]
    assert after == {"lost": {part("vehicle"): "800"}, "revenueCents": 800 * 3_200_000}
    alone = replace(story_known(), alternatives=tuple(map(_for_lecco_alone, story_known().alternatives)))
    assert assess(seen("havelmark", alone)).content["alternatives"]["afterSuppliers"]["lost"] == {}


def test_the_airlift_saves_the_rest_and_alone_it_only_puts_the_loss_off() -> None:
    (route,) = told("lariana").content["alternatives"]["routes"]
    arrivals = (route["firstArrival"], route["lastArrival"], route["loads"])
    assert arrivals == ("2026-12-07", "2027-01-11", 5)
    # 979,200 magnets of 25 g are 24.48 t.
    assert (route["amount"], route["extraCents"]) == ("979200", 11_750_400)
    assert told("havelmark").content["alternatives"]["after"] == {"lost": {}, "revenueCents": 0}
    # What is flown is not shipped as well. With five loads alone the story's 5,520 holds until the last of them is
    # used up; then Lecco waits for the first ship again, five weeks after the airlift ends.
    alone = {days: _alone(days) for days in (91, 112)}
    assert alone == {91: "5520", 112: "5760"}


def _alone(days: int) -> str:
    found = assess(seen("havelmark"), days=days).content["alternatives"]["afterRoutes"]["lost"]
    return str(found[part("vehicle")])


def _for_lecco_alone(one: Alternative) -> Alternative:
    """Nothing of it for anybody else: what each buyer on its own would be promised."""
    return one if one.customer == LECCO else replace(one, consents=False)


def test_havelmark_sees_a_cyclone_at_tier_3_its_revenue_and_no_name() -> None:
    content = told("havelmark").content
    (origin,) = content["origins"]
    assert (origin["cause"], origin["onset"], origin["region"], origin["tier"]) == (
        "cyclone", "2026-10-13", "East Asia", 3,
    )  # fmt: skip
    assert content["effect"]["lost"] == {part("vehicle"): "15360"}
    assert content["effect"]["revenueCents"] == REVENUE
    for stop in content["effect"]["stops"]:
        assert stop["path"] == [
            {"region": "East Asia", "tier": 3},
            {"region": "Southern Europe", "tier": 2},
            {"site": place("goettingen")},
            {"site": stop["site"]},
        ]
    assert content["status"] == "Exercise"
    assert content["suppliers"] == [
        {"first": "2026-12-02", "isOver": True, "last": "2027-01-06", "part": part("axle"), "site": place("goettingen")}
    ]


def test_nordrand_sees_the_stop_of_lariana_and_no_money() -> None:
    content = told("nordrand").content
    assert content["suppliers"] == [
        {"first": "2026-11-23", "isOver": True, "last": "2027-01-04", "part": part("rotor"), "site": LECCO}
    ]
    (origin,) = content["origins"]
    assert (origin["region"], origin["tier"], origin.keys() & {"site", "back"}) == ("East Asia", 2, set())
    assert content["effect"]["revenueCents"] is None


def test_lariana_sees_yongjiang_and_why_cimo_is_no_way_out() -> None:
    content = told("lariana").content
    (origin,) = content["origins"]
    assert (origin["site"], origin["back"]) == (NINGBO, [day.isoformat() for day in BACK])
    refused = [(one["supplier"], one["reason"]) for one in content["alternatives"]["refused"]]
    assert refused == [(place("zhoushan"), "it is hit itself")]
    (more,) = content["oneMoreDay"]
    assert (more["amount"], more["saves"]) == ("46080", {part("rotor"): "960"})


def test_what_echizen_shares_with_yongjiang_counts_against_it_and_names_nobody() -> None:
    ranked = told("lariana").content["alternatives"]["suggestions"]
    assert [(one["supplier"], one["shared"]) for one in ranked] == [
        (place("narva"), []),
        (place("fukui"), ["region East Asia", "supplier in East Asia"]),
    ]


def test_vltava_sees_its_own_part_and_goes_on() -> None:
    content = told("vltava").content
    assert content["effect"]["stops"] == []
    assert [one["customer"] for one in content["alternatives"]["suggestions"]] == [place("plzen")] * 2


KNOWS = {
    "havelmark": {"havelmark", "nordrand", "vltava"},
    "nordrand": {"nordrand", "havelmark", "lariana", "duero", "pannon"},
    "lariana": {"lariana", "nordrand", "yongjiang", "echizen", "peipsi", "cimo", "circle"},
    "vltava": {"vltava", "havelmark", "yongjiang", "echizen", "peipsi", "cimo", "circle"},
    "yongjiang": {"yongjiang", "lariana", "vltava", "gannan", "circle"},
    "gannan": {"gannan", "yongjiang", "echizen"},
    "duero": {"duero", "nordrand"},
}
"""Whom each member deals with, the Circle where a part has its number; of nobody else it may read a name."""


@pytest.mark.parametrize("reader", KNOWS)
def test_nobody_reads_of_whom_it_has_no_dealings_with(reader: str) -> None:
    for text in (told(reader).text.decode(), seen(reader).text.decode()):
        assert strangers(reader, text, IDS) == {}


@pytest.mark.parametrize("reader", [name for name in KNOWS if name != "havelmark"])
def test_revenue_is_shown_to_havelmark_only(reader: str) -> None:
    text = told(reader).text.decode() + seen(reader).text.decode()
    assert "3200000" not in text
    assert str(REVENUE) not in text


@pytest.mark.parametrize(("reader", "other"), [("lariana", ("11520", "15360")), ("vltava", ("57600", "76800"))])
def test_nobody_reads_what_another_gets_of_the_alternatives(reader: str, other: tuple[str, ...]) -> None:
    for amount in other:
        assert f'"{amount}"' not in told(reader).text.decode()


def strangers(reader: str, text: str, ids: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Of whom a text tells that `reader` has no dealings with, and by what: name, domain, id, numbers, towns, parts."""
    found = {}
    for key, company in CAST.companies.items():
        marks = [company.name, company.did, ids[key].hex(), f"{key}.example", company.gs1_prefix]
        for site in company.sites:
            marks += [site.town, site.latitude.rstrip("0"), site.un_locode]
        marks += [one["part"] for one in story()["parts"].values() if one["by"] == key]
        told_by = [mark for mark in marks if mark and mark.lower() in text.lower()]
        if told_by and key not in KNOWS[reader]:
            found[key] = told_by
    return found
