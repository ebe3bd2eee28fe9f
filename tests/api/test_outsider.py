"""An outsider walks through every route of the documentation with everybody's ids in hand, and finds nothing."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from api.routes import examples
from ledger_service.keys import to_hex
from tests.api.house import House, house
from tests.consortium import member_id, stream_id

UNIT = "(00)395210040009260175"
KEY = "https://id.gs1.org/00/395210040009260175"
NUMBER = "SECRET-80417731"
SEAL = "ES-448221-SECRET"
FIELDS = ("/document/number", "/seal", "/units")
METHODS = ("get", "post", "delete")
ENDLESS = {"/v1/feed"}
"""Answers that do not end; the feed has its own test of who is told what."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[str, str]]]:
    """A despatch of duero's to nordrand, anchored, and all ids that there are."""
    with house(tmp_path_factory.mktemp("outsider"), webhook_allowed_hosts=("127.0.0.1:9",)) as running:
        content = {
            "document": {"type": "delivery-note", "number": NUMBER},
            "taker": to_hex(member_id("nordrand")),
            "despatchedAt": "2026-09-21T13:00:00Z",
            "deadline": "2026-09-22T13:00:00Z",
            "units": [{"id": UNIT}],
            "seal": SEAL,
        }
        sent = running.send("duero", running.envelope(content=content, kind="despatch").data)
        assert sent.status_code == 201, sent.text
        running.anchor()
        hook = running.post("duero", "/v1/webhooks", json={"url": "http://127.0.0.1:9/hidden"}).json()["id"]
        while running.app.state.service.rounds.once():
            pass
        yield (
            running,
            {
                "digest": sent.json()["digest"],
                "stream": to_hex(stream_id("duero to nordrand")),
                "member": to_hex(member_id("duero")),
                "webhook": hook,
            },
        )


def walk(running: House, names: dict[str, str], who: str) -> dict[str, str]:
    """What each operation answers `who`, as text, by method and path."""
    stand_ins = {
        examples.DIGEST: names["digest"],
        examples.STREAM: names["stream"],
        examples.MEMBER: names["member"],
        examples.PARTNER: to_hex(member_id("nordrand")),
    }
    answers: dict[str, str] = {}
    schema = running.app.openapi()
    for path, operations in schema["paths"].items():
        for method in METHODS:
            operation = operations.get(method)
            if operation is None or path in ENDLESS:
                continue
            params: dict[str, Any] = {}
            where = path
            for one in operation.get("parameters", ()):
                value = _value(one["name"], names)
                if one["in"] == "path":
                    where = where.replace("{" + one["name"] + "}", value or "1")
                elif one["in"] == "query" and (value is not None or one.get("required")):
                    params[one["name"]] = value or "1"
            content, kind = b"", None
            for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
                text = orjson.dumps(body.get("example", {})).decode()
                for example, real in stand_ins.items():
                    text = text.replace(example, real)
                text = re.sub(r'"units":\s*\["[^"]*"', f'"units":["{KEY}"', text)
                content, kind = text.encode(), media_type
                break
            headers = running.headers(who) | ({} if kind is None else {"Content-Type": kind})
            answer = running.anyone.request(method, where, params=params, headers=headers, content=content)
            answers[f"{method} {path}"] = answer.text + str(dict(answer.headers))
    return answers


def _value(name: str, names: dict[str, str]) -> str | None:
    if name in names:
        return names[name]
    known = {"unit": KEY, "of": names["member"], "despatch": names["digest"], "offer": names["digest"],
             "statement": names["digest"], "place": "000.p/1", "level": "0"}  # fmt: skip
    return known.get(name)


def secrets(names: dict[str, str]) -> list[str]:
    return [names["digest"], names["stream"], names["webhook"], NUMBER, SEAL, "395210040009260175", "/hidden"]


def found(running: House, names: dict[str, str], who: str) -> dict[str, set[str]]:
    """Which secrets each operation tells `who`, those apart that were in the question."""
    told: dict[str, set[str]] = {}
    for place, text in walk(running, names, who).items():
        # A problem may say back what it was asked about.
        asked = (
            {names["digest"], names["stream"], names["webhook"], "395210040009260175"}
            if '"status":4' in text
            else set()
        )
        seen = {one for one in secrets(names) if one in text} - asked
        if seen:
            told[place] = seen
    return told


def test_who_has_no_part_in_it_finds_nothing_anywhere(scene: tuple[House, dict[str, str]]) -> None:
    running, names = scene
    assert found(running, names, "oderland") == {}
    assert found(running, names, "havelmark") == {}


def test_the_same_walk_shows_the_parties_their_own(scene: tuple[House, dict[str, str]]) -> None:
    running, names = scene
    told = found(running, names, "nordrand")
    expected = {"get /v1/statements", "get /v1/statements/{digest}", "get /v1/streams", "get /v1/notices"}
    assert expected | {"post /v1/bundles", "get /v1/statements/{digest}/receipt"} <= told.keys()
    assert NUMBER in told["get /v1/statements/{digest}"]
    assert "get /v1/webhooks" not in told, "a webhook is its owner's alone"


def test_a_grant_of_one_field_shows_that_field_everywhere_and_the_others_nowhere(
    scene: tuple[House, dict[str, str]],
) -> None:
    running, names = scene
    content = {
        "fields": ["/seal"], "from": "2026-09-01T00:00:00Z", "until": "2026-09-30T00:00:00Z", "purpose": "Audit",
        "streams": [names["stream"]],
    }  # fmt: skip
    sent = running.send("duero", running.envelope("duero", ("havelmark",), content=content, kind="grant").data)
    assert sent.status_code == 201, sent.text
    told = found(running, names, "havelmark")
    everything = set().union(*told.values())
    assert SEAL in everything
    assert names["digest"] in everything, "headers are seen"
    assert not everything & {NUMBER, "395210040009260175", names["webhook"], "/hidden"}
    assert found(running, names, "oderland") == {}
