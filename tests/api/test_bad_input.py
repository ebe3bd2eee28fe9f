"""Whatever is wrong with what comes in gets a problem that says what and where, and leaves nothing behind."""

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_service.envelope import Envelope
from ledger_service.keys import GROUP_ORDER, to_hex
from ledger_service.store.tables import metadata
from tests.api.house import House
from tests.consortium import event, key

KEPT = [table for table in metadata.sorted_tables if table.name in {"statement", "content", "stream", "reader", "fork"}]


def rows(house: House) -> dict[str, int]:
    with house.network.ledger.store.read() as connection:
        return {one.name: connection.execute(sa.select(sa.func.count()).select_from(one)).scalar_one() for one in KEPT}


def envelope(house: House, **changes: Any) -> Envelope:
    return house.envelope(stream="never registered", sequence=1, **changes)


def edited(house: House, edit: Callable[[dict[str, Any]], None], **changes: Any) -> bytes:
    """An envelope changed after it was signed."""
    value = envelope(house, **changes).as_json()
    edit(value)
    return orjson.dumps(value)


def raw(house: House, old: str, new: str) -> bytes:
    """An envelope with a piece of its text replaced."""
    text = orjson.dumps(envelope(house).as_json()).decode()
    assert old in text
    return text.replace(old, new, 1).encode()


def high_s(signature: str) -> str:
    raw_signature = bytes.fromhex(signature[2:])
    s = GROUP_ORDER - int.from_bytes(raw_signature[32:64])
    return to_hex(raw_signature[:32] + s.to_bytes(32) + bytes([55 - raw_signature[64]]))


def set_signature(change: Callable[[str], str]) -> Callable[[dict[str, Any]], None]:
    def edit(value: dict[str, Any]) -> None:
        value["signature"] = change(value["signature"])

    return edit


ACTION = '"action":"OBSERVE"'
NOBODY = "0x" + "77" * 32

# By name: how to make the body, then status, type, where and a word of the detail.
BODIES: dict[str, tuple[Callable[[House], bytes], int, str, str, str]] = {
    "nothing": (lambda _: b"", 400, "malformed-json", "", "JSON"),
    "no JSON": (lambda _: b"hello", 400, "malformed-json", "", "line 1"),
    "not UTF-8": (lambda _: b'{"a": "\xff"}', 400, "malformed-json", "", "UTF-8"),
    "a list": (lambda _: b"[]", 400, "malformed-input", "", "header"),
    "a number": (lambda _: b"1", 400, "malformed-input", "", "header"),
    "a key twice": (lambda h: raw(h, ACTION, ACTION + "," + ACTION), 400, "malformed-json", "/content/event", "twice"),
    "NaN": (lambda h: raw(h, '"OBSERVE"', "NaN"), 400, "malformed-json", "/content/event/action", "NaN"),
    "a float": (lambda h: raw(h, '"OBSERVE"', "1.5"), 400, "malformed-json", "/content/event/action", "decimal string"),
    "1e400": (lambda h: raw(h, '"OBSERVE"', "1e400"), 400, "malformed-json", "/content/event/action", "1e400"),
    "an integer beyond 2^53": (
        lambda h: raw(h, '"OBSERVE"', "9007199254740993"), 400, "malformed-json", "/content/event/action", "2^53",
    ),
    "an integer of 5,000 digits": (
        lambda h: raw(h, '"OBSERVE"', "9" * 5000), 400, "malformed-json", "/content/event/action", "2^53",
    ),
    "half a surrogate pair": (
        lambda h: raw(h, '"OBSERVE"', '"\\ud800"'), 400, "malformed-json", "/content/event/action", "surrogate",
    ),
    "nested 40 deep": (
        lambda h: raw(h, '"OBSERVE"', "[" * 40 + "]" * 40), 400, "malformed-json", "/content/event/action", "deep",
    ),
    "nested 200,000 deep": (lambda _: b"[" * 200_000, 400, "malformed-json", "", "deep"),
    "a key that is not ASCII": (
        lambda h: raw(h, '"action"', '"aktión"'), 400, "malformed-json", "/content/event", "ASCII",
    ),
    "a member too many": (lambda h: edited(h, lambda v: v.update(x=1)), 400, "malformed-input", "", "header"),
    "a header without its kind": (
        lambda h: edited(h, lambda v: v["header"].pop("kind")), 400, "malformed-input", "/header", "kind",
    ),
    "a sequence of zero": (
        lambda h: edited(h, lambda v: v["header"].update(sequence=0)), 400, "malformed-input", "/header/sequence", "1",
    ),
    "an issuer in capitals": (
        lambda h: edited(h, lambda v: v["header"].update(issuer=v["header"]["issuer"].upper())),
        400, "malformed-input", "/header/issuer", "lower-case",
    ),
    "a secret without content": (
        lambda h: edited(h, lambda v: v.pop("content")), 400, "malformed-input", "", "together",
    ),
    "an audience out of order": (
        lambda h: edited(h, lambda v: v["content"]["to"].append(NOBODY[:-1] + "0")),
        422, "content-mismatch", "", "root",
    ),
    "a changed field": (
        lambda h: edited(h, lambda v: v["content"]["event"].update(action="ADD")), 422, "content-mismatch", "", "root",
    ),
    "a signature with high s": (
        lambda h: edited(h, set_signature(high_s)), 422, "bad-signature", "", "upper half",
    ),
    "a signature too long": (
        lambda h: edited(h, set_signature(lambda s: s + "00")), 400, "malformed-input", "/signature", "130",
    ),
    "a signature with v 0": (
        lambda h: edited(h, set_signature(lambda s: s[:-2] + "00")), 422, "bad-signature", "", "27 or 28",
    ),
    "a signature of zeros": (
        lambda h: edited(h, set_signature(lambda _: "0x" + "00" * 64 + "1b")), 422, "bad-signature", "", "no key",
    ),
    "a signature by nobody's key": (
        lambda h: envelope(h, signer=key("nobody")).data, 422, "unknown-key", "", "no member",
    ),
    "a signature by another member": (
        lambda h: envelope(h, signer=key("nordrand")).data, 422, "wrong-member", "", "speaks for",
    ),
    "a signature by a login key": (
        lambda h: envelope(h, issuer="kleinwerk").data, 422, "wrong-purpose", "", "login",
    ),
    "another member's statement": (
        lambda h: envelope(h, issuer="nordrand", to=("duero",)).data, 403, "not-the-issuer", "", "each member",
    ),
    "an unknown kind": (lambda h: envelope(h, kind="poem").data, 422, "unknown-kind", "", "epcis-event"),
    "an audience of nobody": (
        lambda h: envelope(h, content={"to": [NOBODY], **event()}).data, 422, "unknown-member", "", NOBODY,
    ),
    "an event with a wrong check digit": (
        lambda h: envelope(h, content=event(epcList=["https://id.gs1.org/00/095210000000000002"])).data,
        422, "refused-event", "/content/event/epcList/0", "check digit",
    ),
    "an event without an offset": (
        lambda h: envelope(h, content=event(eventTime="2026-09-18T14:10:00")).data,
        422, "refused-event", "/content/event/eventTime", "offset",
    ),
    "an event of tomorrow": (
        lambda h: envelope(h, content=event(eventTime="2030-09-18T14:10:00Z")).data,
        422, "refused-event", "/content/event/eventTime", "clock",
    ),
    "an event issued tomorrow": (
        lambda h: envelope(h, issued_at=h.clock.now + 86_400_000).data, 422, "from-the-future", "", "clock",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_statement_is_refused_with_what_and_where_and_leaves_nothing(service: House, name: str) -> None:
    make, status, kind, where, word = BODIES[name]
    body = make(service)
    before = rows(service)
    service.token("kleinwerk")
    answer = service.send("kleinwerk" if name == "a signature by a login key" else "duero", body)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"]) == (status, status), problem
    assert problem["type"] == f"https://tallystick.example.org/problems/{kind}", problem
    assert problem.get("where", "").startswith(where), problem
    assert bool(where) == ("where" in problem), problem
    assert word in problem["detail"], problem
    assert rows(service) == before


@pytest.mark.parametrize("name", [one for one in BODIES if one not in ("nothing", "a signature by a login key")])
@pytest.mark.parametrize("on_error", ["refuse_all", "keep_good"])
def test_a_bad_item_of_a_batch_gets_the_same_problem(service: House, name: str, on_error: str) -> None:
    make, status, kind, _, _ = BODIES[name]
    good = service.envelope(stream=f"beside {name} {on_error}")
    before = rows(service)
    answer = service.send_batch("duero", [good.data, make(service)], on_error)
    assert answer.status_code == (422 if on_error == "refuse_all" else 201), answer.text
    bad = answer.json()["results"][-1]
    assert bad["item"] == bad["problem"]["item"] == 1
    assert (bad["problem"]["status"], bad["problem"]["type"].rpartition("/")[2]) == (status, kind)
    after = rows(service)
    assert after["statement"] - before["statement"] == (0 if on_error == "refuse_all" else 1)
    if on_error == "refuse_all":
        assert after == before


def test_a_taken_number_is_a_conflict_and_both_envelopes_are_kept(service: House) -> None:
    first = service.envelope(stream="forked")
    second = service.envelope(stream="forked", sequence=1, content=event(99))
    assert service.send("duero", first.data).status_code == 201
    before = rows(service)
    answer = service.send("duero", second.data)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "number-taken")
    after = rows(service)
    assert after == before | {"fork": before["fork"] + 1}
    assert service.send("duero", second.data).status_code == 409
    assert rows(service) == after
    digest = to_hex(second.header.digest(service.domain))
    told = service.get("nordrand", f"/v1/statements/{digest}/explain").json()
    assert told["state"] == "refused"
    assert service.get("oderland", f"/v1/statements/{digest}/explain").status_code == 404
    findings = service.get("nordrand", "/v1/findings").json()["items"]
    assert [one["digest"] for one in findings if one["finding"] == "stream fork"] == [digest]
    assert service.get("oderland", "/v1/findings").json()["items"] == []


def test_a_stream_keeps_its_issuer_and_its_audience(service: House) -> None:
    assert service.send("duero", service.envelope(stream="kept").data).status_code == 201
    other = service.envelope(stream="kept", to=("oderland",))
    assert service.send("duero", other.data).json()["type"].endswith("/stream-mismatch")
    foreign = service.envelope("nordrand", ("duero",), stream="kept", sequence=9)
    assert service.send("nordrand", foreign.data).json()["type"].endswith("/stream-mismatch")


JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}

# By name: the path, headers, body, status and type of each.
REQUESTS: dict[str, tuple[str, dict[str, str], bytes, int, str]] = {
    "a compressed body": ("/v1/statements", JSON | {"Content-Encoding": "gzip"}, b"{}", 415, "wrong-media-type"),
    "a body of no type": ("/v1/statements", {"Content-Type": ""}, b"{}", 415, "wrong-media-type"),
    "a form": ("/v1/statements", {"Content-Type": "text/plain"}, b"{}", 415, "wrong-media-type"),
    "a single of 3 MiB": ("/v1/statements", JSON, b" " * (3 << 20), 413, "body-too-large"),
    "a batch beyond the limit": ("/v1/statements/batch", LINES, b" " * (33 << 20), 413, "body-too-large"),
    "a batch of 5,001": ("/v1/statements/batch", LINES, b"{}\n" * 5001, 413, "too-many-items"),
    "an empty batch": ("/v1/statements/batch", LINES, b"", 400, "empty-call"),
    "an empty list": ("/v1/statements/batch", JSON, b'{"statements":[]}', 400, "empty-call"),
    "a batch that is no list": ("/v1/statements/batch", JSON, b'{"statements":{}}', 400, "malformed-input"),
    "an unknown on_error": ("/v1/statements/batch?on_error=x", LINES, b"{}", 400, "malformed-request"),
    "a bundle of no stream": ("/v1/bundles", JSON, b'{"streams":[]}', 400, "malformed-input"),
    "a bundle of a stream unknown": (
        "/v1/bundles", JSON, b'{"streams":[{"stream":"%s"}]}' % NOBODY.encode(), 404, "not-found",
    ),
    "a bundle from number 0": (
        "/v1/bundles", JSON, b'{"streams":[{"stream":"%s","first":0}]}' % NOBODY.encode(), 400, "malformed-input",
    ),
    "a bundle with a key twice": ("/v1/bundles", JSON, b'{"streams":[],"streams":[]}', 400, "malformed-json"),
    "an unknown function": (
        "/v1/members/changes", JSON, b'{"function":"anchor","arguments":[]}', 400, "malformed-input",
    ),
    "arguments that do not fit": (
        "/v1/members/changes", JSON, b'{"function":"addKey","arguments":[1]}', 400, "malformed-input",
    ),
    "a cosignature that is none": (
        "/v1/log/cosignatures?size=1", {"Content-Type": "text/plain"}, b"x", 400, "malformed-note",
    ),
    "EPCIS by a member that signs": ("/v1/epcis/capture", JSON, b"{}", 403, "not-custodial"),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_is_refused_before_anything_is_done(service: House, name: str) -> None:
    path, headers, body, status, kind = REQUESTS[name]
    before = rows(service)
    answer = service.post("duero", path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, kind), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert rows(service) == before


# Paths that name nothing, or nothing that can be.
PATHS = (
    "/v1/statements?limit=0", "/v1/statements?limit=501", "/v1/statements?limit=x", "/v1/statements?after=zzz",
    "/v1/statements?after=%00", "/v1/streams?after=QUJD", "/v1/feed?after=nonsense", "/v1/statements?stream=0x00",
    "/v1/statements/0x", "/v1/statements/0x" + "zz" * 32, "/v1/statements/" + "0x" + "AB" * 32, "/v1/streams/none",
    "/v1/streams/" + NOBODY, f"/v1/streams/{NOBODY}/explain", f"/v1/streams/{NOBODY}/explain?sequence=0",
    "/v1/log/checkpoint?size=77777", "/v1/log/checkpoint?size=-1", "/v1/log/checkpoint?size=99999999999999999999",
    "/v1/log/tile/0/000.p/0", "/v1/log/tile/0/000.p/256", "/v1/log/tile/0/00", "/v1/log/tile/9/000",
    "/v1/log/tile/x/000",
    "/v1/log/tile/0/x999/999", "/v1/log/tile/0/..%2f..", "/v1/log/tile/entries/999", "/v1/log/tile/٣/000",
    "/v1/log/consistency?old=5&new=2", "/v1/log/consistency?old=1&new=999999", "/v1/log/inclusion?index=9&size=1",
    "/v1/members/0x00", "/v1/members/" + NOBODY, "/v1/nothing", "/v1/trust?pin=perhaps",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_names_nothing_is_a_4xx_problem(service: House, path: str) -> None:
    answer = service.anyone.get(path, headers=service.headers("duero"))
    assert answer.status_code in (400, 404), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= answer.json().keys()


def test_a_full_backlog_says_when_to_come_again(service: House) -> None:
    ledger = service.network.ledger
    with ledger.anchoring.lane:  # as while the chain is away
        ledger.register_all([], service.clock.now)
        one = service.envelope(stream="waits")
        assert service.send("duero", one.data).status_code == 201
        full = ledger.rules
        try:
            ledger.rules = type(full)(max_backlog=ledger.waiting)
            before = rows(service)
            answer = service.send("duero", service.envelope(stream="waits").data)
        finally:
            ledger.rules = full
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["type"].endswith("/backlog-full")
    assert rows(service) == before


PLACES = ("header", "content", "secret", "signature", "original", "issuer", "event", "to")
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), junk=JUNK)
def test_no_junk_in_an_envelope_is_a_fault_of_ours(service: House, place: str, junk: Any) -> None:
    value = service.envelope(stream="junk", sequence=1).as_json()
    holder = next((one for one in (value["header"], value["content"]) if place in one), value)
    holder[place] = junk
    answer = service.send("duero", json.dumps(value).encode("utf-8", "surrogatepass"))
    assert answer.status_code < 500, answer.text


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.integers(0, 200), body=st.binary(max_size=40), junk=JUNK, query=st.text(max_size=6))
def test_no_junk_in_a_request_is_a_fault_of_ours(
    service: House, route: int, body: bytes, junk: Any, query: str
) -> None:
    operations = [
        (method, path)
        for path, entry in service.app.openapi()["paths"].items()
        for method in entry
        if path not in ("/v1/feed", "/v1/operator/backup")
    ]
    method, path = operations[route % len(operations)]
    for name in ("digest", "stream", "member", "level", "place"):
        path = path.replace("{" + name + "}", "0x" + body.hex())
    content = body if route % 2 else json.dumps(junk).encode()
    headers = service.headers("duero") | (LINES if "batch" in path else JSON)
    names = ("size", "old", "new", "index", "after", "limit", "sequence", "to", "pin", "stream")
    params = dict.fromkeys(names, query)
    answer = service.anyone.request(method, path, content=content, headers=headers, params=params)
    assert answer.status_code < 500, (method, path, answer.text)
