"""The risk manager's story over HTTP: facts, warning, alerts, and each member's own report, as the demo has them."""

from collections.abc import Iterator
from typing import Any

import pytest

from demo.consortium import consortium
from demo.typhoon import Saying, alert, facts, form, part, place, questions
from ledger_service.keys import to_hex
from risk.assessment import assess
from risk.messages import content_of, read_alert, read_form
from risk.sharing import View
from tests.api.house import House, still
from tests.consortium import member_id
from tests.demo.test_typhoon import KNOWS, strangers

CAST = consortium()
IDS = {name: member_id(name) for name in CAST.companies}
READERS = ("havelmark", "nordrand", "lariana", "vltava")


def state(running: House, one: Saying, to: tuple[str, ...] = ()) -> str:
    content = {name: value for name, value in one.content.items() if name != "to"}
    sent = running.send(one.company, running.envelope(one.company, to, content=content, kind=one.kind).data)
    assert sent.status_code == 201, sent.text
    digest: str = sent.json()["digest"]
    return digest


def go_on(running: House) -> None:
    """Publish, and make rounds until nothing is left to do."""
    for _ in range(50):
        running.anchor()
        if not running.app.state.service.rounds.once() and not running.network.ledger.waiting:
            return
    raise AssertionError("the rounds never end")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The consortium on the morning of the exercise, with the warning in and everybody told."""
    with still(tmp_path_factory.mktemp("typhoon"), names=tuple(CAST.companies)) as running:
        running.clock.now = CAST.starts_at
        for one in facts():
            state(running, one)
        for reader in READERS:
            assert running.post(reader, "/v1/risk/threshold", json={"exercises": True}).status_code == 200
        question = questions(IDS)[1]
        state(running, question.saying, to=("nordrand",))
        go_on(running)
        warning = read_alert(alert())
        word = read_form(form(), to_hex(IDS["yongjiang"]), warning.sent)
        state(running, Saying("circle", "disruption", content_of(warning)), to=READERS)
        state(running, Saying("yongjiang", "disruption", content_of(word)))
        go_on(running)
        yield running


def report(running: House, company: str) -> Any:
    answer = running.post(company, "/v1/risk/assess", json={"status": "Exercise"})
    assert answer.status_code == 201, answer.text
    return answer.json()["content"]


def test_havelmark_reads_its_vehicles_by_week_and_its_revenue(story: House) -> None:
    told = report(story, "havelmark")
    assert told["effect"]["lost"] == {part("vehicle"): "15360"}
    assert told["effect"]["revenueCents"] == 49_152_000_000
    weeks: dict[str, int] = {}
    for stop in told["effect"]["stops"]:
        assert (stop["first"], stop["last"], stop["standstillDays"]) == ("2026-12-08", "2027-01-07", 16)
        for week in stop["byWeek"]:
            weeks[week["week"]] = weeks.get(week["week"], 0) + int(week["amount"])
    assert list(weeks.values()) == [3840, 4800, 2880, 3840]
    assert told["oneBucket"] == {"isSafe": True, "timeToRecoverDays": 30, "timeToSurviveDays": "41"}
    (origin,) = told["origins"]
    assert (origin["tier"], origin["region"], origin["cause"]) == (3, "East Asia", "tropical cyclone")
    lost = {name: told["alternatives"][name]["lost"] for name in ("afterSuppliers", "after")}
    assert lost == {"afterSuppliers": {part("vehicle"): "800"}, "after": {}}
    assert told["confidence"]["openRequests"] == 1


def test_nordrand_lariana_and_vltava_read_their_own(story: House) -> None:
    (stops,) = report(story, "nordrand")["suppliers"]
    assert (stops["site"], stops["first"]) == (place("lecco"), "2026-11-23")
    lariana = report(story, "lariana")
    assert [one["site"] for one in lariana["origins"]] == [place("ningbo")]
    assert [one["aWeek"] for one in lariana["alternatives"]["suggestions"]] == ["76800", "57600"]
    assert [one["supplier"] for one in lariana["alternatives"]["refused"]] == [place("zhoushan")]
    (more,) = lariana["oneMoreDay"]
    assert more["saves"] == {part("rotor"): "960"}
    assert report(story, "vltava")["effect"]["stops"] == []


def test_all_concerned_are_alerted_at_the_same_moment_and_vltava_is_left_in_peace(story: House) -> None:
    alerts = {name: story.get(name, "/v1/risk/alerts").json()["items"] for name in READERS}
    assert {len(alerts[name]) for name in ("havelmark", "nordrand", "lariana")} == {1}
    assert len({alerts[name][0]["toldAt"] for name in ("havelmark", "nordrand", "lariana")}) == 1
    assert alerts["vltava"] == []
    done = story.post("nordrand", "/v1/risk/alerts/1/acknowledge", json={"role": "risk manager"}).json()
    assert (done["role"], done["acknowledgedAt"]) == ("risk manager", story.clock.now)


@pytest.mark.parametrize("reader", KNOWS)
def test_nothing_that_a_member_can_fetch_names_whom_it_has_no_dealings_with(story: House, reader: str) -> None:
    paths = ["view?status=Exercise", "reports", "network", "exposure", "alerts", "requests", "threshold"]
    texts = [story.get(reader, f"/v1/risk/{path}").text for path in paths]
    made = story.post(reader, "/v1/risk/assess", json={"status": "Exercise"}).json()
    texts += [str(made), story.get(reader, f"/v1/risk/reports/{made['digest']}/html").text]
    texts.append(story.post(reader, "/v1/risk/stress", json={"every": ["site", "region", "port"]}).text)
    for text in texts:
        assert strangers(reader, text, IDS) == {}, text[:300]


def test_the_view_alone_gives_the_report(story: House) -> None:
    for company in READERS:
        data = story.get(company, "/v1/risk/view", status="Exercise").content
        assert assess(View.read(data)).content == report(story, company)
