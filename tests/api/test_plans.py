"""Continuity plans over HTTP: who sees them, from when on they are in force, and what they make of a flood."""

from collections.abc import Iterator
from typing import Any

import pytest

from ledger_service.keys import to_hex
from tests.api.house import House, still
from tests.api.impact.flood import chain, flood, state
from tests.consortium import member_id

PLAN: dict[str, Any] = {
    "measures": [
        {"member": to_hex(member_id("nordrand")), "what": "Calls the second foundry", "withinHours": 4},
        {"member": to_hex(member_id("havelmark")), "what": "Moves shifts", "withinHours": 48},
    ],
    "name": "Castings",
    "triggers": [{"kind": "region", "name": "Iberia"}],
    "until": "2030-01-01",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with still(tmp_path_factory.mktemp("network")) as running:
        chain(running)
        running.anchor()
        yield running


def plans(service: House, who: str) -> list[dict[str, Any]]:
    answer = service.get(who, "/v1/risk/plans")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_a_plan_is_agreed_on_tried_and_told_to_whom_it_names_alone(service: House) -> None:
    first = state(service, "nordrand", "continuity-plan", to=("havelmark",), **PLAN)
    service.anchor()
    for who in ("nordrand", "havelmark"):
        (one,) = plans(service, who)
        assert (one["key"], one["inForce"], one["missing"]) == (first, False, [to_hex(member_id("havelmark"))])
    assert plans(service, "duero") == plans(service, "oderland") == []
    tried = {"at": "2026-09-10T08:00:00+00:00", "outcome": "Number out of date."}
    state(service, "havelmark", "continuity-plan", to=("nordrand",), agreesTo=first, exercises=[tried], **PLAN)
    flood(service, "1")
    service.anchor()
    (one,) = plans(service, "nordrand")
    assert (one["inForce"], one["missing"], one["exercises"]) == (True, [], [tried])
    told = service.post("nordrand", "/v1/risk/assess", json={}).json()["content"]["plans"]
    assert [(each["name"], each["trigger"]["name"]) for each in told] == [("Castings", "Iberia")]
    assert [each["what"] for each in told[0]["yours"]] == ["Calls the second foundry"]
    assert [each["what"] for each in told[0]["others"]] == ["Moves shifts"]
    assert told[0]["lastExercise"] == tried
    duero = service.post("duero", "/v1/risk/assess", json={}).text
    assert "second foundry" not in duero


def test_what_agrees_to_something_else_is_told_to_whoever_stated_it(service: House) -> None:
    state(service, "oderland", "site", site="https://oderland.example.org/site/9")
    state(service, "oderland", "continuity-plan", agreesTo="0x" + "77" * 32, **PLAN)
    service.anchor()
    told = service.get("oderland", "/v1/risk/network").json()["inconsistencies"]
    assert [one["what"] for one in told] == ["agrees to a plan that is not there"]
    assert "agrees to a plan" not in service.get("nordrand", "/v1/risk/network").text
