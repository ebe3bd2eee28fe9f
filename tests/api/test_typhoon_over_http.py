"""The risk manager's story over HTTP: facts, warning, alerts, and each member's own report, as the demo has them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from demo.consortium import consortium
from demo.typhoon import Saying, alert, facts, form, part, place, questions
from ledger_service.keys import to_hex
from risk.assessment import assess
from risk.messages import content_of, read_alert, read_form
from risk.sharing import View
from tests.api.house import House, still
from tests.consortium import member_id

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
    print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())


def test_the_view_alone_gives_the_report(story: House) -> None:
    for company in READERS:
        data = story.get(company, "/v1/risk/view", status="Exercise").content
        assert assess(View.read(data)).content == report(story, company)
