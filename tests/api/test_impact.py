"""Impact reports over HTTP: facts that members signed, a disruption, what it does to each of them, and the proof."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.envelope import Envelope
from ledger_service.keys import to_hex
from ledger_service.ledger import Call, CallRefused, examine
from risk.assessment import assess
from risk.sharing import View, canonical
from tests.api.house import House, still
from tests.api.impact.flood import AXLE, AXLES, CAR, CASTINGS, PLANT, chain, flood, state, today
from tests.consortium import member_id

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with still(tmp_path_factory.mktemp("network")) as running:
        chain(running)
        flood(running, "1")
        flood(running, "2", "Exercise", left="0.5")
        yield running


def assessed(service: House, who: str, **asked: Any) -> Any:
    answer = service.post(who, "/v1/risk/assess", json=asked)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_disruption_becomes_a_report_of_what_it_does_to_each_member(service: House) -> None:
    ours = assessed(service, "havelmark")["content"]
    (stop,) = ours["effect"]["stops"]
    first = date.fromisoformat(stop["first"])
    assert (stop["site"], stop["part"], stop["becauseOf"]) == (PLANT, CAR, AXLE)
    assert today(service) + timedelta(days=10) < first < today(service) + timedelta(days=25), "after its two weeks"
    assert ours["effect"]["revenueCents"] == int(stop["shortfall"]) * 3_000_000
    assert ours["names"] == {"parts": {CAR: "Car", AXLE: "Axle"}, "sites": {PLANT: "Magdeburg", AXLES: "Göttingen"}}
    assert ours["places"][PLANT] == {"latitude": "52.13", "locode": "DEMAG", "longitude": "11.62",
                                     "region": "Central Europe"}  # fmt: skip
    assert CASTINGS not in json.dumps(ours), "whom our supplier buys from is not ours to know"
    assert [one.get("region") for one in ours["origins"]] == ["Iberia"]
    assert ours["reader"] == to_hex(member_id("havelmark"))
    theirs = assessed(service, "nordrand")["content"]
    assert theirs["effect"]["revenueCents"] is None, "what the cars sell for is not theirs to know"
    assert [one["site"] for one in theirs["effect"]["stops"]] == [AXLES]


def test_the_same_question_has_the_same_report_and_another_one_another(service: House) -> None:
    one, again = assessed(service, "havelmark"), assessed(service, "havelmark")
    assert (one["digest"], one["number"]) == (again["digest"], again["number"])
    service.send("oderland", service.envelope("oderland", ("duero",)).data)
    service.anchor()
    assert assessed(service, "havelmark")["digest"] == one["digest"], "what has nothing to do with risk changes nothing"
    exercise = assessed(service, "havelmark", status="Exercise")
    assert exercise["digest"] != one["digest"]
    assert exercise["content"]["status"] == "Exercise"
    tomorrow = assessed(service, "havelmark", day=(today(service) + timedelta(days=1)).isoformat())
    assert tomorrow["content"]["day"] != one["content"]["day"]


def test_a_report_is_anchored_like_any_statement_and_both_verifiers_take_its_bundle(
    service: House, tmp_path: Path
) -> None:
    report = assessed(service, "havelmark")
    service.anchor()
    assert service.get("havelmark", f"/v1/risk/reports/{report['digest']}").json()["state"] == "anchored"
    stated = service.get("havelmark", f"/v1/statements/{report['digest']}").json()
    assert stated["header"]["kind"] == "impact-report"
    assert stated["header"]["issuer"] == to_hex(service.network.service_member)
    assert service.get("havelmark", f"/v1/statements/{report['digest']}/receipt").status_code == 200
    bundle = service.post("havelmark", "/v1/bundles", json={"streams": [{"stream": stated["header"]["stream"]}]})
    assert bundle.status_code == 200, bundle.text
    (tmp_path / "bundle.json").write_bytes(bundle.content)
    (tmp_path / "trust.json").write_text(service.anyone.get("/v1/trust", headers=service.headers("havelmark")).text)
    for program in (["-m", "api.cli", "verify"], [str(ROOT / "verify" / "tallystick-verify.py")]):
        done = subprocess.run(
            [sys.executable, *program, str(tmp_path / "bundle.json"), "--trust", str(tmp_path / "trust.json")],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_from_the_view_alone_comes_the_report_again_to_the_byte(service: House) -> None:
    report = assessed(service, "havelmark")["content"]
    answer = service.get("havelmark", "/v1/risk/view")
    digests = {name: sha256(canonical(value)).hexdigest() for name, value in json.loads(answer.content).items()}
    assert sha256(canonical(digests)).hexdigest() == report["view"]
    assert assess(View.read(answer.content)).text == canonical(report)
    assert CASTINGS.encode() not in answer.content


def test_reports_are_listed_for_their_reader_and_are_not_there_for_others(service: House) -> None:
    report = assessed(service, "nordrand")
    listed = service.get("nordrand", "/v1/risk/reports").json()["items"]
    assert [one["number"] for one in listed] == list(range(1, len(listed) + 1))
    assert report["digest"] in [one["digest"] for one in listed]
    assert listed[0]["summary"]["stops"] == 1
    assert service.get("nordrand", "/v1/risk/reports", after=len(listed)).json() == {"items": [], "next": None}
    theirs, none = (service.get("havelmark", f"/v1/risk/reports/{one}") for one in (report["digest"], "0x" + "77" * 32))
    assert (theirs.status_code, theirs.content) == (none.status_code, none.content)
    assert theirs.status_code == 404
    assert service.get("havelmark", f"/v1/statements/{report['digest']}").status_code == 404


def test_how_the_own_part_of_the_network_stands(service: House) -> None:
    standing = service.get("havelmark", "/v1/risk/network").json()
    assert standing["sites"] == 1
    assert standing["coverage"]["share"] == "1"
    assert standing["inconsistencies"] == []
    later = (today(service) + timedelta(days=200)).isoformat()
    aged = service.get("havelmark", "/v1/risk/network", day=later).json()["aged"]
    assert {one["kind"] for one in aged} == {"stock", "capacity", "supply-link"}
    stranger = service.get("oderland", "/v1/risk/network").json()
    assert (stranger["sites"], stranger["coverage"]) == (0, None)


BAD: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "a key that nobody has given": ("havelmark", {"disruptions": ["storm-77"]}, 404, "not-found"),
    "a disruption whose report is for others": ("havelmark", {"disruptions": ["{key}"]}, 404, "not-found"),
    "a status that is none": ("havelmark", {"status": "actual"}, 400, "malformed-input"),
    "a status of another kind": ("havelmark", {"status": {"a": 1}}, 400, "malformed-input"),
    "a day that is none": ("havelmark", {"day": "2026-02-30"}, 400, "malformed-input"),
    "a day in another form": ("havelmark", {"day": "20261012"}, 400, "malformed-input"),
    "a day years away": ("havelmark", {"day": "2031-10-12"}, 400, "malformed-input"),
    "a day as a number": ("havelmark", {"day": 20261012}, 400, "malformed-input"),
    "a size beyond the log": ("havelmark", {"size": 10**9}, 404, "unknown-checkpoint"),
    "a size between two checkpoints": ("havelmark", {"size": "{between}"}, 404, "unknown-checkpoint"),
    "a size that is none": ("havelmark", {"size": True}, 400, "malformed-input"),
    "keys that are none": ("havelmark", {"disruptions": [7]}, 400, "malformed-input"),
    "keys in no list": ("havelmark", {"disruptions": "flood"}, 400, "malformed-input"),
    "something more": ("havelmark", {"reader": "0x00"}, 400, "malformed-input"),
    "a member without sites": ("oderland", {}, 409, "no-sites"),
}


def between(service: House) -> int:
    """A size that no checkpoint has, though the log is longer."""
    for size in range(1, service.network.ledger.size):
        try:
            service.network.ledger.anchoring.note(size)
        except UnknownCheckpoint:
            return size
    raise AssertionError("each statement has a checkpoint of its own")


@pytest.mark.parametrize("name", BAD)
def test_a_question_that_makes_no_sense_is_refused_and_nothing_is_registered(service: House, name: str) -> None:
    who, asked, status, problem = BAD[name]
    if asked.get("disruptions") == ["{key}"]:
        asked = {"disruptions": [service.get("duero", "/v1/risk/disruptions").json()["items"][0]["key"]]}
    if asked.get("size") == "{between}":
        asked = {"size": between(service)}
    before = service.network.ledger.size
    answer = service.post(who, "/v1/risk/assess", json=asked)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, problem), answer.text
    assert service.network.ledger.size == before


@pytest.mark.parametrize(
    ("params", "status"),
    [({"day": "tomorrow"}, 400), ({"size": "1000000"}, 404), ({"size": "0"}, 400), ({"status": "Maybe"}, 400),
     ({"disruptions": "none"}, 404)],
)  # fmt: skip
def test_a_view_of_what_is_not_there_is_refused(service: House, params: dict[str, str], status: int) -> None:
    assert service.get("havelmark", "/v1/risk/view", **params).status_code == status


def test_actual_and_exercise_are_never_assessed_together(service: House) -> None:
    keys = [one["key"] for one in service.get("duero", "/v1/risk/disruptions").json()["items"]]
    assert len(keys) == 2
    answer = service.post("duero", "/v1/risk/assess", json={"disruptions": keys})
    assert answer.status_code == 422
    assert "assessed apart" in answer.json()["detail"]


def test_nobody_but_the_service_issues_a_report_and_it_issues_nothing_else(service: House) -> None:
    said = {"checkpoint": "x 1 00", "view": "9f" * 32, "reader": to_hex(member_id("nordrand"))}
    forged = service.envelope("duero", ("nordrand",), content=said, kind="impact-report", stream="forged")
    answer = service.send("duero", forged.data)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("wrong-purpose")
    as_service = Envelope.seal(
        {"to": [], "reason": "none"}, issuer=service.network.service_member, kind="void", stream=b"7" * 32, sequence=1,
        issued_at=service.clock.now, secret=b"8" * 32, signer=service.network.service.operator, domain=service.domain,
    )  # fmt: skip
    ledger = service.network.ledger
    with pytest.raises(CallRefused):
        ledger.register(Call(examine([as_service.data], ledger.domain, service.clock.now)), service.clock.now)


def test_an_erased_report_is_made_anew_and_an_erased_fact_is_gone_from_the_network(tmp_path: Path) -> None:
    with still(tmp_path) as running:
        chain(running)
        price = state(running, "havelmark", "product-price", site=PLANT, part=CAR, currency="EUR", minorUnits=1)
        flood(running, "1")
        first = assessed(running, "havelmark")
        assert 0 < first["content"]["effect"]["revenueCents"] < 3_000_000
        running.network.ledger.erase(bytes.fromhex(first["digest"][2:]), running.clock.now)
        assert running.get("havelmark", f"/v1/risk/reports/{first['digest']}").json()["content"] is None
        second = assessed(running, "havelmark")
        assert (second["number"], second["content"]) == (2, first["content"])
        running.network.ledger.erase(bytes.fromhex(price[2:]), running.clock.now)
        assert assessed(running, "havelmark")["content"]["effect"]["revenueCents"] > 3_000_000, "the price before"


def test_a_service_that_begins_anew_knows_the_network_and_gives_the_same_report(tmp_path: Path) -> None:
    with still(tmp_path) as running:
        chain(running)
        flood(running, "1")
        first, view = assessed(running, "havelmark"), running.get("havelmark", "/v1/risk/view").content
    with still(tmp_path) as running:
        assert running.get("havelmark", "/v1/risk/view").content == view
        assert assessed(running, "havelmark") | {"state": "registered"} == first | {"state": "registered"}


def test_an_older_checkpoint_gives_what_was_known_then(service: House) -> None:
    size = int(assessed(service, "havelmark")["content"]["checkpoint"].split()[1])
    before = service.get("havelmark", "/v1/risk/view").content
    state(service, "havelmark", "stock", site=PLANT, part=AXLE, quantity="100000", uom="H87")
    service.anchor()
    assert assessed(service, "havelmark")["content"]["effect"]["stops"] == []
    assert service.get("havelmark", "/v1/risk/view", size=size).content == before
