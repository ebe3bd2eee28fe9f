"""Changed facts while a disruption runs: told at fixed points of the clock, where they matter, to all at once."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.feed import iso
from api.impact.reviews import Reviews, is_material
from api.notices import Told
from api.service import Service
from tests.api.house import House, still
from tests.api.impact.flood import AXLE, AXLES, CAR, CASTINGS, DAY, HOUSING, OTHER, PLANT, chain, flood

HOUR = 3_600
ALL = ("havelmark", "nordrand", "duero")
KINDS = {Told.IMPACT_ALERT, Told.IMPACT_CLEARED, Told.RISK_SUMMARY}


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in which a flood was told to all concerned, as it lies on disk."""
    folder = tmp_path_factory.mktemp("network")
    with still(folder) as running:
        chain(running)
        flood(running, "1")
        while inside(running).alerts.raise_new(running.clock.now):
            running.anchor()
        assert [len(told(running, who)) for who in ALL] == [1, 1, 1]
    return folder


@pytest.fixture
def service(flooded: Path, tmp_path: Path) -> Iterator[House]:
    shutil.copytree(flooded, tmp_path / "network")
    with still(tmp_path / "network") as running:
        yield running


def inside(running: House) -> Service:
    service: Service = running.app.state.service
    return service


def reviews_of(running: House) -> Reviews:
    """Reviews by the hour, of which the first one is to come."""
    of = inside(running)
    made = Reviews(
        of.ledger,
        of.notices,
        of.impact.shared,
        of.impact.disruptions,
        of.impact.reports,
        bool,
        lambda: of.alerts.is_under_way,
        every_seconds=HOUR,
    )
    assert not made.review(running.clock.now)
    return made


@pytest.fixture
def reviews(service: House) -> Reviews:
    return reviews_of(service)


def state(running: House, who: str, kind: str, **content: Any) -> None:
    """Register a fact in a stream of its own: what went before is in numbers that are taken."""
    running.clock.forward(1)
    now = iso(running.clock.now)
    said = {"asOf": now, "document": {"number": kind, "type": "list"}, **content} if kind != "disruption" else content
    one = running.envelope(who, (), content=said, kind=kind, stream=f"{who} {kind} {content} {now}")
    answer = running.send(who, one.data)
    assert answer.status_code == 201, answer.text


def report_flood(running: House, **form: Any) -> None:
    """Duero says more of the flood, and all are told that it concerns."""
    said = {"status": "Actual", "what": "flood", **form}
    answer = running.post("duero", "/v1/risk/disruptions/read", json=said, params={"format": "form"})
    assert answer.status_code == 200, answer.text
    (content,) = answer.json()["contents"]
    state(running, "duero", "disruption", **{name: value for name, value in content.items() if name != "to"})
    running.anchor()
    while inside(running).alerts.raise_new(running.clock.now):
        running.anchor()


def told(running: House, who: str) -> list[dict[str, Any]]:
    items = running.get(who, "/v1/notices").json()["items"]
    return [{"kind": one["kind"], **one["body"]} for one in items if one["kind"] in KINDS]


def news(running: House, who: str) -> list[str]:
    """What a member was told beyond the first alert."""
    return [one["what"] for one in told(running, who)[1:]]


def reports(running: House, who: str) -> int:
    return len(running.get(who, "/v1/risk/reports").json()["items"])


def until_the_next_point(running: House, reviews: Reviews) -> None:
    """Let time go on to the next point, and all be done that is due then."""
    running.anchor()
    running.clock.forward(HOUR - running.clock.now // 1000 % HOUR)
    running.sign_out()
    while reviews.review(running.clock.now):
        running.anchor()


def stock(running: House, quantity: str, who: str = "nordrand", site: str = AXLES, part: str = HOUSING) -> None:
    state(running, who, "stock", site=site, part=part, quantity=quantity, uom="H87")


def test_less_stock_than_was_told_is_told_at_the_next_point_and_to_all_at_once(
    service: House, reviews: Reviews
) -> None:
    stock(service, "100")
    service.anchor()
    assert not reviews.review(service.clock.now), "not by the fact"
    until_the_next_point(service, reviews)
    assert [news(service, who) for who in ALL] == [["update"], ["update"], []], "duero stops as it did"
    moments = {service.get(who, "/v1/risk/alerts").json()["items"][-1]["toldAt"] for who in ("havelmark", "nordrand")}
    assert len(moments) == 1
    for who in ("havelmark", "nordrand"):
        content = service.get(who, f"/v1/risk/reports/{told(service, who)[-1]['report']}").json()["content"]
        assert content["effect"]["stops"]
    until_the_next_point(service, reviews)
    assert [len(news(service, who)) for who in ALL] == [1, 1, 0], "once"


@pytest.mark.parametrize(
    ("name", "who", "quantity", "site", "part"),
    [
        ("a little more than was told", "nordrand", "505", AXLES, HOUSING),
        ("of a part that is nobody's concern", "havelmark", "1", PLANT, CAR),
    ],
)
def test_what_changes_little_is_told_to_nobody(
    name: str, who: str, quantity: str, site: str, part: str, service: House, reviews: Reviews
) -> None:
    before = [reports(service, one) for one in ALL]
    stock(service, quantity, who, site, part)
    until_the_next_point(service, reviews)
    assert [news(service, one) for one in ALL] == [[], [], []], name
    assert [reports(service, one) for one in ALL] == before, "and no report is made of it"


def test_stock_enough_for_the_whole_outage_is_the_end_of_it_for_those_behind(service: House, reviews: Reviews) -> None:
    stock(service, "100000")
    until_the_next_point(service, reviews)
    assert [news(service, who) for who in ALL] == [["cleared"], ["cleared"], []]
    stock(service, "100")
    until_the_next_point(service, reviews)
    assert [news(service, who) for who in ALL] == [["cleared", "alert"], ["cleared", "alert"], []]


def test_the_mere_passing_of_days_raises_nothing_and_clears_nothing(service: House, reviews: Reviews) -> None:
    """A stock that nobody states anew seems to last until the end; that some other fact was stated changes nothing."""
    for days in (1, 24, 3, 8):
        service.clock.forward(days * DAY // 1000)
        service.sign_out()
        state(service, "oderland", "site", site=OTHER, region="Elsewhere")
        until_the_next_point(service, reviews)
    assert [news(service, who) for who in ALL] == [[], [], []]


def test_who_comes_to_depend_on_it_later_is_alerted(service: House, reviews: Reviews) -> None:
    made = "did:web:oderland.example.org/part/1"
    state(service, "oderland", "site", site=OTHER, region="Elsewhere")
    state(service, "oderland", "capacity", site=OTHER, part=made, planned="1", most="1", uom="H87")
    needs = [{"part": AXLE, "quantity": "1", "uom": "H87"}]
    state(service, "oderland", "bill-of-material", site=OTHER, part=made, needs=needs)
    state(service, "oderland", "supply-link", supplier=AXLES, customer=OTHER, part=AXLE, uom="H87", share="1",
          lead={"days": 1}, level="named")  # fmt: skip
    until_the_next_point(service, reviews)
    assert [one["what"] for one in told(service, "oderland")] == ["alert"]


def test_an_effect_that_comes_above_the_threshold_interrupts(service: House, reviews: Reviews) -> None:
    held = service.post("havelmark", "/v1/risk/threshold", json={"standstillDays": 19})
    assert held.status_code == 200, held.text
    start = iso(service.clock.now + DAY)
    report_flood(service, number="2", updates="1", until=iso(service.clock.now + 24 * DAY), sure="Observed",
                 where={"sites": [CASTINGS]}, **{"from": start})  # fmt: skip
    (waits,) = service.get("havelmark", "/v1/risk/alerts").json()["items"][1:]
    days = service.get("havelmark", f"/v1/risk/reports/{waits['report']}").json()["content"]["effect"]["stops"][0]
    assert (waits["urgency"], waits["toldAt"]) == ("daily-summary", None), days
    stock(service, "0")
    until_the_next_point(service, reviews)
    assert told(service, "havelmark")[-1]["kind"] == Told.IMPACT_ALERT


def test_a_disruption_that_was_taken_back_is_reviewed_no_more(service: House, reviews: Reviews) -> None:
    report_flood(service, number="2", cancels="1")
    stock(service, "100")
    until_the_next_point(service, reviews)
    assert [news(service, who) for who in ALL] == [["cleared"]] * 3


def test_killed_before_it_tells_it_looks_again_and_tells_once(flooded: Path, tmp_path: Path) -> None:
    shutil.copytree(flooded, tmp_path, dirs_exist_ok=True)
    with still(tmp_path) as running:
        reviews = reviews_of(running)
        stock(running, "100")
        running.anchor()
        running.clock.forward(HOUR)
        assert reviews.review(running.clock.now), "begun, and nobody told yet"
    with still(tmp_path) as running:
        assert [news(running, who) for who in ALL] == [[], [], []]
        until_the_next_point(running, reviews_of(running))
        assert [news(running, who) for who in ALL] == [["update"], ["update"], []]
        until_the_next_point(running, reviews_of(running))
        assert [news(running, who) for who in ALL] == [["update"], ["update"], []]


def test_a_review_that_reports_have_overtaken_begins_anew(service: House, reviews: Reviews) -> None:
    stock(service, "100")
    service.anchor()
    service.clock.forward(HOUR)
    service.sign_out()
    assert reviews.review(service.clock.now), "begun"
    assert reviews.review(service.clock.now), "some were looked at"
    start, end = iso(service.clock.now), iso(service.clock.now + 40 * DAY)
    report_flood(service, number="2", updates="1", until=end, sure="Observed", where={"sites": [CASTINGS]},
                 **{"from": start})  # fmt: skip
    by_flood = {who: told(service, who)[-1] for who in ALL}
    while reviews.review(service.clock.now):
        service.anchor()
    assert {who: told(service, who)[-1] for who in ALL} == by_flood, "by the newest facts, and nothing after it"
    stock(service, "0")
    until_the_next_point(service, reviews)
    assert told(service, "nordrand")[-1] != by_flood["nordrand"], "it goes on"


def report(first: str, day: str = "2026-10-12", cents: int | None = None, **weeks: str) -> dict[str, Any]:
    by_week = [{"week": week.replace("_", "-")[1:], "amount": amount} for week, amount in weeks.items()]
    stop = {"first": first, "part": "axle", "byWeek": by_week, "revenueCents": cents}
    return {"day": day, "days": 28, "effect": {"stops": [stop]}}


TOLD = report("2026-10-20", w2026_10_19="50", w2026_10_26="50", cents=1_000)


@pytest.mark.parametrize(
    ("name", "now", "is_news"),
    [
        ("the same", TOLD, False),
        ("a day sooner", report("2026-10-19", w2026_10_19="50", w2026_10_26="50"), True),
        ("a day later", report("2026-10-21", w2026_10_19="50", w2026_10_26="50"), False),
        ("a tenth more", report("2026-10-20", w2026_10_19="50", w2026_10_26="60"), False),
        ("more than a tenth", report("2026-10-20", w2026_10_19="50", w2026_10_26="61"), True),
        ("a tenth less", report("2026-10-20", w2026_10_19="50", w2026_10_26="40"), False),
        ("more revenue for as much", report("2026-10-20", cents=1_200, w2026_10_19="50", w2026_10_26="50"), True),
        ("weeks that the one told did not look at",
         report("2026-10-20", "2026-10-19", w2026_10_19="50", w2026_10_26="50", w2026_11_09="500"), False),
        ("less of the weeks that are over, more of those to come",
         report("2026-10-27", "2026-10-26", w2026_10_26="60"), True),
    ],
)  # fmt: skip
def test_what_is_material(name: str, now: dict[str, Any], is_news: bool) -> None:
    assert is_material(TOLD, now) == is_news, name
