"""Audit grants: who × what × grant × time → fields, on both sides of every line."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ledger_service.evidence import Bundle, verify_bundle
from ledger_service.keys import to_hex
from tests.api.house import House, house
from tests.consortium import NOON, stream_id

HOUR = 3_600_000
STREAM = "duero to nordrand"
OTHER = "duero to kleinwerk"


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def grant(
    fields: Any = "all",
    *,
    streams: tuple[str, ...] = (STREAM,),
    start: int = NOON,
    until: int = NOON + HOUR,
    **more: Any,
) -> dict[str, Any]:
    """The content of a grant, without its readers."""
    content = {"fields": fields, "from": iso(start), "until": iso(until), "purpose": "Audit of September"}
    if streams:
        content["streams"] = sorted(to_hex(stream_id(one)) for one in streams)
    return content | more


def give(running: House, content: dict[str, Any], *, by: str = "duero", to: str = "oderland", **more: Any) -> str:
    """Register a grant; its id."""
    envelope = running.envelope(by, (to,), content=content, kind="grant", stream=f"{by} grants to {to}", **more)
    answer = running.send(by, envelope.data)
    assert answer.status_code == 201, answer.text
    digest: str = answer.json()["digest"]
    return digest


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[House]:
    """Two statements of duero to nordrand and one to kleinwerk, all anchored."""
    with house(tmp_path) as running:
        for to, stream in (("nordrand", STREAM), ("nordrand", STREAM), ("kleinwerk", OTHER)):
            assert running.send("duero", running.envelope("duero", (to,), stream=stream).data).status_code == 201
        running.anchor()
        yield running


def read(running: House, who: str, stream: str = STREAM) -> dict[str, Any] | int:
    """What `who` gets of the first statement of a stream: its members, or the status of a refusal."""
    digest = running.envelope("duero", (stream.rpartition(" ")[2],), stream=stream, sequence=1, issued_at=NOON)
    answer = running.get(who, f"/v1/statements/{to_hex(digest.header.digest(running.domain))}")
    return dict(answer.json()) if answer.status_code == 200 else int(answer.status_code)


CASES: dict[str, tuple[dict[str, Any] | None, int, str, str, set[str] | None]] = {
    "without a grant there is nothing": (None, 0, "oderland", STREAM, None),
    "a grant of all shows content and secret, and not the source text": (
        grant(), 0, "oderland", STREAM, {"content", "secret"}),
    "a grant of fields shows these fields": (grant(["/event/action"]), 0, "oderland", STREAM, {"disclosed"}),
    "a grant of fields that are not there shows the header": (grant(["/seal"]), 0, "oderland", STREAM, set()),
    "a grant is for its readers alone": (grant(), 0, "havelmark", STREAM, None),
    "a grant is of its streams alone": (grant(), 0, "oderland", OTHER, None),
    "before it begins it shows nothing": (grant(start=NOON + 10), 0, "oderland", STREAM, None),
    "the moment it begins it shows": (grant(start=NOON + 1000), 1000, "oderland", STREAM, {"content", "secret"}),
    "a moment before its end it shows": (grant(), HOUR - 1, "oderland", STREAM, {"content", "secret"}),
    "at its end it shows nothing": (grant(), HOUR, "oderland", STREAM, None),
    "parties lose nothing by it": (grant(["/event/action"]), 0, "nordrand", STREAM, {"content", "secret"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_reader_gets_what_a_grant_in_force_names_and_nothing_else(service: House, name: str) -> None:
    content, later, who, stream, expected = CASES[name]
    service.clock.now = NOON
    service.sign_out()
    # Streams of its own for each case: what one case grants shows nothing of another's.
    own = {one: f"{name}: {one}" for one in (STREAM, OTHER)}
    for one in own.values():
        sent = service.send("duero", service.envelope("duero", (one.rpartition(" ")[2],), stream=one).data)
        assert sent.status_code == 201, sent.text
    stream = own[stream]
    if content is not None:
        give(service, content | {"streams": [to_hex(stream_id(own[STREAM]))]})
    service.clock.now = NOON + later
    service.sign_out()
    found = read(service, who, stream)
    streams = {one["stream"] for one in service.get(who, "/v1/streams").json()["items"]}
    listed = {one["header"]["stream"] for one in service.get(who, "/v1/statements").json()["items"]}
    wanted = to_hex(stream_id(stream))
    if expected is None:
        assert found == 404
        assert wanted not in streams | listed
        return
    assert isinstance(found, dict)
    assert found.keys() & {"content", "secret", "original", "disclosed"} - {"disclosed"} == expected - {"disclosed"}
    assert [one["path"] for one in found.get("disclosed", ())] == ["/event/action"] * ("disclosed" in expected)
    assert wanted in streams
    assert wanted in listed


def test_who_is_granted_some_streams_reads_all_their_headers_and_not_who_else_reads(scene: House) -> None:
    give(scene, grant(["/event/action"]))
    page = scene.get("oderland", "/v1/statements", stream=to_hex(stream_id(STREAM))).json()["items"]
    assert [one["header"]["sequence"] for one in page] == [1, 2]
    view = scene.get("oderland", f"/v1/streams/{to_hex(stream_id(STREAM))}").json()
    assert view.keys() == {"stream", "issuer", "highest", "registered", "holes"}


def test_a_bundle_that_shows_only_granted_fields_verifies(scene: House) -> None:
    give(scene, grant(["/event/action", "/event/epcList", "/nothing"]))
    scene.anchor()
    body = {"streams": [{"stream": to_hex(stream_id(STREAM))}]}
    answer = scene.post("oderland", "/v1/bundles", json=body)
    assert answer.status_code == 200, answer.text
    bundle = Bundle.parse(answer.content)
    verify_bundle(bundle, scene.network.trust())
    assert [[field.path for field in one.disclosed] for one in bundle.statements] == [
        ["/event/action", "/event/epcList/0"]
    ] * 2
    assert all(one.content is None and one.secret is None for one in bundle.statements)
    narrower = Bundle.parse(scene.post("oderland", "/v1/bundles", json=body | {"fields": ["/event"]}).content)
    assert narrower.statements[0].disclosed == bundle.statements[0].disclosed
    asked = scene.post("oderland", "/v1/bundles", json=body | {"fields": ["/event/bizStep"]})
    assert asked.status_code == 400, "a field that exists and was not granted is told apart from none by nobody"
    assert asked.json()["detail"] == scene.post(
        "oderland", "/v1/bundles", json=body | {"fields": ["/event/nothing"]}
    ).json()["detail"].replace("/event/nothing", "/event/bizStep")


def test_a_receipt_shows_what_was_granted(scene: House) -> None:
    give(scene, grant(["/event/action"]))
    (first, *_) = scene.get("oderland", "/v1/statements", stream=to_hex(stream_id(STREAM))).json()["items"]
    receipt = Bundle.parse(scene.get("oderland", f"/v1/statements/{first['digest']}/receipt").content)
    assert [field.path for field in receipt.statements[0].disclosed] == ["/event/action"]


def test_a_grant_is_ended_by_one_that_corrects_it(scene: House) -> None:
    first = give(scene, grant())
    assert isinstance(read(scene, "oderland"), dict)
    give(scene, grant(until=NOON, corrects=first))
    assert read(scene, "oderland") == 404


def test_a_grant_is_narrowed_by_one_that_corrects_it(scene: House) -> None:
    first = give(scene, grant())
    give(scene, grant(["/event/action"], corrects=first))
    found = read(scene, "oderland")
    assert isinstance(found, dict)
    assert "content" not in found
    assert "disclosed" in found


def test_nobody_ends_the_grant_of_another(scene: House) -> None:
    first = give(scene, grant())
    give(scene, grant(until=NOON, corrects=first, streams=("any",)), by="havelmark")
    assert isinstance(read(scene, "oderland"), dict)


def test_nobody_grants_the_streams_of_another(scene: House) -> None:
    give(scene, grant(), by="havelmark")
    give(scene, grant(), by="nordrand")
    assert read(scene, "oderland") == 404


def test_two_grants_show_together_what_they_show_apart(scene: House) -> None:
    give(scene, grant(["/event/action"]))
    give(scene, grant(["/event/bizStep"]))
    found = read(scene, "oderland")
    assert isinstance(found, dict)
    assert [one["path"] for one in found["disclosed"]] == ["/event/action", "/event/bizStep"]


def test_an_erased_grant_shows_nothing_and_still_ends_what_it_corrected(scene: House) -> None:
    first = give(scene, grant())
    second = give(scene, grant(["/event/action"], corrects=first))
    scene.anyone.delete(f"/v1/statements/{second}/content", headers=scene.headers("duero"))
    assert read(scene, "oderland") == 404


def test_a_grant_whose_content_is_kept_at_home_shows_nothing(scene: House) -> None:
    envelope = scene.envelope("duero", ("oderland",), content=grant(), kind="grant", stream="kept")
    bare = type(envelope)(envelope.header, envelope.signature)
    assert scene.send("duero", bare.data).status_code == 201
    assert read(scene, "oderland") == 404


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no scope": (grant(streams=()), "name at least one stream or unit"),
    "an end before the start": (
        grant(start=NOON + HOUR, until=NOON), "ends before it begins"),
    "no pointer": (grant([]), "list of 1 to"),
    "the whole by the empty pointer": (grant([""]), "expected a pointer"),
    "a pointer without a slash": (grant(["seal"]), "expected a pointer"),
    "a bad escape": (grant(["/a~2"]), "expected a pointer"),
    "pointers out of order": (grant(["/b", "/a"]), "sorted"),
    "another word than all": (grant("everything"), "expected a list of pointers"),
    "a stream twice": (grant(streams=(STREAM, STREAM)), "twice"),
    "an unknown unit": (grant(units=["pallet 7"]), "names no unit"),
    "a member that means nothing": (grant(fieldz=[]), "means nothing here"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_grant_is_refused_and_says_why(service: House, name: str) -> None:
    content, why = BAD[name]
    envelope = service.envelope("duero", ("oderland",), content=content, kind="grant", stream="bad", sequence=1)
    answer = service.send("duero", envelope.data)
    assert answer.status_code == 400, answer.text
    assert why in answer.json()["detail"]


def test_a_grant_to_nobody_is_refused(service: House) -> None:
    envelope = service.envelope("duero", (), content=grant(), kind="grant", stream="bad", sequence=1)
    assert "at least one member" in service.send("duero", envelope.data).json()["detail"]


def test_findings_of_granted_streams_are_told_to_the_auditor(scene: House) -> None:
    assert scene.send("duero", scene.envelope(stream=STREAM, sequence=5).data).status_code == 201
    scene.clock.forward(90_000)
    scene.sign_out()
    assert scene.get("oderland", "/v1/findings").json()["items"] == []
    give(scene, grant(until=NOON + 1000 * HOUR))
    (hole,) = scene.get("oderland", "/v1/findings").json()["items"]
    assert (hole["first"], hole["last"]) == (3, 4)


def test_a_grant_of_units_shows_the_headers_of_their_streams_and_what_names_them(scene: House) -> None:
    """Statement 1 of a stream names pallet 1, statement 2 pallet 2."""
    scene.app.state.service.trails.catch_up()
    give(scene, grant(streams=(), units=["urn:epc:id:sscc:9521000.4000000001"]))
    assert isinstance(read(scene, "oderland"), dict)
    assert {one["stream"] for one in scene.get("oderland", "/v1/streams").json()["items"]} >= {
        to_hex(stream_id(STREAM)), to_hex(stream_id(OTHER))
    }  # fmt: skip
    page = scene.get("oderland", "/v1/statements", stream=to_hex(stream_id(STREAM))).json()["items"]
    shown = [scene.get("oderland", f"/v1/statements/{one['digest']}").json() for one in page]
    assert ["content" in one for one in shown] == [True, False]
    assert read(scene, "havelmark") == 404
