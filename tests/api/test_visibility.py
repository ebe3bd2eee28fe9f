"""Who may do what: every route asks, every cell of the matrix is what an independent table says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from api.app import ROUTERS
from api.service import Asks, operator_token
from api.visibility import ANYONE, NOTHING, Action, Actor, Subject, can, content_for
from ledger_service.grants import Shown
from ledger_service.keys import keccak, to_hex
from tests.api.house import House, house
from tests.consortium import despatch, key, member_id, stream_id

ROLES = ("owner", "partner", "stranger", "suspended", "nobody", "operator")
OPEN = {"owner", "partner", "stranger", "suspended", "nobody", "operator"}
ALL = {"owner", "partner", "stranger"}
PARTIES = {"owner", "partner"}
OWNER = {"owner"}
OPERATOR = {"operator"}

# The policy, written down a second time: which roles get through. A stranger is a member without a part in it.
POLICY: dict[tuple[str, str], set[str]] = {
    ("POST", "/v1/auth/challenge"): OPEN,
    ("POST", "/v1/auth/token"): OPEN,
    ("GET", "/v1/network"): OPEN,
    ("GET", "/v1/trust"): ALL,
    ("GET", "/v1/members"): ALL,
    ("GET", "/v1/members/{member}"): ALL,
    ("POST", "/v1/members/changes"): ALL,
    ("POST", "/v1/statements"): OWNER,
    ("POST", "/v1/statements/batch"): OWNER,
    ("GET", "/v1/statements"): ALL,
    ("GET", "/v1/statements/{digest}"): PARTIES,
    ("DELETE", "/v1/statements/{digest}/content"): OWNER,
    ("GET", "/v1/statements/{digest}/receipt"): PARTIES,
    ("GET", "/v1/statements/{digest}/proof"): PARTIES,
    ("GET", "/v1/statements/{digest}/explain"): PARTIES,
    ("GET", "/v1/streams"): ALL,
    ("GET", "/v1/streams/{stream}"): PARTIES,
    ("GET", "/v1/streams/{stream}/explain"): PARTIES,
    ("GET", "/v1/findings"): ALL,
    ("POST", "/v1/bundles"): PARTIES,
    ("POST", "/v1/custody/bundle"): ALL,
    ("GET", "/v1/log/checkpoint"): ALL,
    ("GET", "/v1/log/tile/entries/{place:path}"): ALL,
    ("GET", "/v1/log/tile/{level}/{place:path}"): ALL,
    ("GET", "/v1/log/consistency"): ALL,
    ("GET", "/v1/log/inclusion"): ALL,
    ("GET", "/v1/log/changes"): ALL,
    ("POST", "/v1/log/cosignatures"): ALL,
    ("GET", "/v1/feed"): ALL,
    ("GET", "/v1/notices"): ALL,
    ("POST", "/v1/webhooks"): ALL,
    ("GET", "/v1/webhooks"): ALL,
    ("POST", "/v1/webhooks/{webhook}/secret"): OWNER,
    ("POST", "/v1/webhooks/{webhook}/enable"): OWNER,
    ("POST", "/v1/webhooks/{webhook}/test"): OWNER,
    ("DELETE", "/v1/webhooks/{webhook}"): OWNER,
    ("POST", "/v1/epcis/capture"): set(),
    ("POST", "/v1/risk/assess"): ALL,
    ("GET", "/v1/risk/reports"): ALL,
    ("GET", "/v1/risk/reports/{digest}"): set(),
    ("GET", "/v1/risk/reports/{digest}/html"): set(),
    ("GET", "/v1/risk/reports/{digest}/pdf"): set(),
    ("GET", "/v1/risk/view"): ALL,
    ("GET", "/v1/risk/network"): ALL,
    ("GET", "/v1/risk/plans"): ALL,
    ("POST", "/v1/risk/stress"): ALL,
    ("POST", "/v1/risk/stress/reports"): ALL,
    ("GET", "/v1/risk/stress/reports"): ALL,
    ("GET", "/v1/risk/stress/reports/{digest}"): set(),
    ("GET", "/v1/risk/stress/reports/{digest}/html"): set(),
    ("GET", "/v1/risk/stress/reports/{digest}/pdf"): set(),
    ("GET", "/v1/risk/stress/view"): ALL,
    ("GET", "/v1/risk/exposure"): ALL,
    ("POST", "/v1/operator/stress"): OPERATOR,
    ("POST", "/v1/risk/disruptions/read"): ALL,
    ("POST", "/v1/risk/disruptions"): set(),
    ("GET", "/v1/risk/disruptions"): ALL,
    ("GET", "/v1/risk/disruptions/{key:path}"): PARTIES,
    ("GET", "/v1/risk/threshold"): ALL,
    ("POST", "/v1/risk/threshold"): ALL,
    ("GET", "/v1/risk/alerts"): ALL,
    ("POST", "/v1/risk/alerts/{number}/acknowledge"): ALL,
    ("POST", "/v1/custody/offers"): ALL,
    ("GET", "/v1/custody/offers"): ALL,
    ("GET", "/v1/custody/offers/{despatch}"): PARTIES,
    ("GET", "/v1/custody/addresses"): ALL,
    ("GET", "/v1/custody/policy"): ALL,
    ("POST", "/v1/custody/steps"): ALL,
    ("GET", "/v1/custody/steps"): ALL,
    ("POST", "/v1/custody/custodial/{deed}"): set(),
    ("POST", "/v1/custody/custodial/despatches"): set(),
    ("GET", "/v1/custody/trail"): ALL,
    ("GET", "/v1/custody/lineage"): ALL,
    ("GET", "/v1/custody/recall"): ALL,
    ("POST", "/v1/custody/recall"): ALL,
    ("POST", "/v1/custody/notes"): ALL,
    ("POST", "/v1/custody/report"): ALL,
    ("GET", "/v1/custody/pins"): ALL,
    ("POST", "/v1/custody/pins"): ALL,
    ("GET", "/v1/custody/requests"): ALL,
    ("POST", "/v1/custody/requests/{number}/fulfilled"): ALL,
    ("POST", "/v1/custody/requests/{number}/declined"): ALL,
    ("GET", "/v1/risk/requests"): ALL,
    ("POST", "/v1/risk/requests"): set(),
    ("POST", "/v1/risk/requests/{request}/page"): OWNER,
    ("GET", "/v1/risk/facts/template.xlsx"): ALL,
    ("POST", "/v1/risk/facts/read"): ALL,
    ("POST", "/v1/risk/facts"): set(),
    ("GET", "/q/{token}"): OPEN,
    ("POST", "/q/{token}/pin"): OPEN,
    ("POST", "/q/{token}/leave"): OPEN,
    ("POST", "/q/{token}/answer"): OPEN,
    ("GET", "/o/page.css"): OPEN,
    ("GET", "/o/{token}"): OPEN,
    ("POST", "/o/{token}/pin"): OPEN,
    ("POST", "/o/{token}/leave"): OPEN,
    ("POST", "/o/{token}/answer"): OPEN,
    ("GET", "/health/live"): OPEN,
    ("GET", "/health/ready"): OPEN,
    ("GET", "/metrics"): OPEN,
    ("POST", "/v1/operator/backup"): OPERATOR,
    ("GET", "/v1/operator/check"): OPERATOR,
    ("GET", "/v1/operator/status"): OPERATOR,
    ("GET", "/"): OPEN,
    ("GET", "/docs"): OPEN,
}
# What lets one through may still be told that what it sends is no good.
PASSED = {200, 201, 202, 204, 400, 409, 422}
NAMES = {"owner": "duero", "partner": "nordrand", "stranger": "oderland", "suspended": "havelmark"}


FLOOD = {
    "action": "Alert",
    "cause": "natural-disaster",
    "certainty": "Likely",
    "format": "cap-1.2",
    "identifier": "flood-7",
    "sender": "weather.example.org",
    "sent": "2026-01-01T00:00:00Z",
    "severity": "Severe",
    "status": "Actual",
}


def vote(service: House, kind: int, data: bytes, voters: tuple[str, ...]) -> Any:
    expires = service.clock.seconds() + 3600
    signatures = []
    for name in voters:
        kinds = ["bytes32", "bytes32", "uint8", "bytes32", "uint64", "uint256"]
        vote_type = keccak(b"Vote(bytes32 member,uint8 kind,bytes data,uint64 expiresAt,uint256 nonce)")
        struct = keccak(encode(kinds, [vote_type, member_id(name), kind, keccak(data), expires, 0]))
        signed = key(f"{name} root").sign(keccak(b"\x19\x01" + service.domain.separator + struct))
        signatures.append(to_hex(signed))
    members = [to_hex(member_id(name)) for name in voters]
    arguments = [[kind, to_hex(data), expires, 0], members, signatures]
    return service.post("nordrand", "/v1/members/changes", json={"function": "vote", "arguments": arguments})


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[House, dict[str, str], dict[str, dict[str, str]]]]:
    """One statement from duero to nordrand, havelmark suspended by vote after it signed in, and everyone's headers."""
    folder: Path = tmp_path_factory.mktemp("matrix")
    with house(folder, webhook_allowed_hosts=("127.0.0.1:9",)) as running:
        envelope = running.envelope()
        digest = running.send("duero", envelope.data).json()["digest"]
        offer = running.envelope(content=despatch("nordrand"), kind="despatch", stream="offers")
        despatch_id = running.send("duero", offer.data).json()["digest"]
        flood = running.envelope(content=FLOOD, kind="disruption", stream="disruptions")
        assert running.send("duero", flood.data).status_code == 201
        wanted = {
            "document": {"type": "fact-request", "number": "RQ-1"},
            "wanted": [{"kind": "stock"}],
            "purpose": "to see who may make a link",
            "until": "2026-12-31",
        }
        request = running.envelope(content=wanted, kind="fact-request", stream="requests")
        request_id = running.send("duero", request.data).json()["digest"]
        running.anchor()
        headers = {role: running.headers(name) for role, name in NAMES.items()}
        headers |= {"nobody": {}, "operator": {"Authorization": f"Bearer {operator_token(running.network)}"}}
        suspended = vote(running, 2, member_id("havelmark"), ("duero", "nordrand", "oderland", "kleinwerk"))
        assert suspended.status_code == 200, suspended.text
        names = {
            "deed": "refuse",
            "despatch": despatch_id,
            "digest": digest,
            "request": request_id,
            "key:path": "weather.example.org/flood-7",
            "stream": to_hex(stream_id("duero to nordrand")),
            "member": to_hex(member_id("duero")),
            "level": "0",
            "place:path": "000.p/1",
        }
        yield running, names, headers


def all_routes() -> dict[tuple[str, str], Any]:
    """Every operation of the app with its route, however FastAPI keeps included routers."""
    return {
        (method, route.path): route
        for module in ROUTERS
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }


def test_every_route_asks_what_it_may_show(scene: tuple[House, Any, Any]) -> None:
    found = all_routes()
    silent = [
        place
        for place, route in found.items()
        if not any(isinstance(one.call, Asks) for one in route.dependant.dependencies)
    ]
    assert silent == []
    assert set(found) == set(POLICY), "the policy lists every route, and no other"
    documented = {(method.upper(), path) for path, entry in scene[0].app.openapi()["paths"].items() for method in entry}
    assert {
        (method, path.replace(":path", ""))
        for method, path in found
        if path not in ("/", "/docs") and not path.startswith(("/o/", "/q/"))
    } == documented


def ask(running: House, names: dict[str, str], headers: dict[str, str], method: str, path: str) -> Any:
    where, hook = path, None
    if "{webhook}" in path:
        made = running.post("duero", "/v1/webhooks", json={"url": "http://127.0.0.1:9/"})
        hook = made.json()["id"]
        names = names | {"webhook": hook}
    for name, value in names.items():
        where = where.replace("{" + name + "}", value)
    content, kind, params = b"{}", "application/json", {}
    if path.startswith("/v1/statements"):
        content = running.envelope(sequence=1).data
        kind = "application/x-ndjson" if path.endswith("batch") else kind
    elif path == "/v1/bundles":
        content = b'{"streams":[{"stream":"%s"}]}' % names["stream"].encode()
    elif path.startswith("/v1/risk/disruptions") and method == "POST":
        params = {"format": "form"}
    elif path.startswith("/v1/risk/facts") and method == "POST":
        kind = "text/csv"
    elif path == "/v1/streams/{stream}/explain":
        params = {"sequence": "1"}
    elif path in ("/v1/log/consistency", "/v1/log/inclusion"):
        params = {"old": "1", "new": "1", "index": "0", "size": "1"}
    elif path == "/v1/log/cosignatures":
        params, kind = {"size": "1"}, "text/plain"
    elif path == "/v1/feed":
        params = {"after": "no cursor"}  # let through, it is told so at once, and the test need not read for ever
    elif path == "/v1/webhooks":
        content = b'{"url":"http://127.0.0.1:9/"}'
    answer = running.anyone.request(
        method, where, params=params, headers=headers | {"Content-Type": kind}, content=content
    )
    if hook is not None:
        running.anyone.delete(f"/v1/webhooks/{hook}", headers=running.headers("duero"))
    return answer


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "path"), [one for one in POLICY if not one[1].endswith("/content")])
def test_the_matrix_of_roles_and_routes_is_the_policy(
    scene: tuple[House, dict[str, str], dict[str, dict[str, str]]], method: str, path: str, role: str
) -> None:
    running, names, headers = scene
    answer = ask(running, names, headers[role], method, path)
    if path == "/v1/auth/token":
        assert answer.status_code == 400
    elif path.startswith(("/o/{token}", "/q/{token}")):
        assert answer.status_code in (404, 415)  # whoever knows a token gets on, and here nobody does
    elif role in POLICY[method, path]:
        assert answer.status_code in PASSED, answer.text
    elif role in ("nobody", "suspended"):
        assert answer.status_code == 401, answer.text
    elif role == "operator" or "/operator/" in path:
        assert answer.status_code == 403, answer.text
    elif path in ("/v1/epcis/capture", "/v1/custody/custodial/{deed}") or (
        method == "POST" and path != "/v1/bundles" and "{" not in path
    ):
        # A batch says it of its item.
        problem = answer.json().get("results", [{"problem": answer.json()}])[0]["problem"]
        assert problem["status"] == 403, answer.text
    else:
        assert answer.status_code == 404, answer.text


def test_not_yours_and_not_there_are_the_same_answer(
    scene: tuple[House, dict[str, str], dict[str, dict[str, str]]],
) -> None:
    running, names, headers = scene
    absent = names | {"despatch": "0x" + "77" * 32, "digest": "0x" + "77" * 32, "stream": "0x" + "77" * 32}
    for (method, path), roles in POLICY.items():
        if roles == PARTIES:
            theirs, none = (ask(running, one, headers["stranger"], method, path) for one in (names, absent))
            assert (theirs.status_code, theirs.content) == (none.status_code, none.content), path
            assert dict(theirs.headers) == dict(none.headers)


def test_lists_hold_only_what_the_reader_may_see(scene: tuple[House, Any, dict[str, dict[str, str]]]) -> None:
    running, _, headers = scene
    for path in ("/v1/statements", "/v1/streams", "/v1/findings"):
        assert running.anyone.get(path, headers=headers["stranger"]).json()["items"] == []
    assert len(running.anyone.get("/v1/statements", headers=headers["partner"]).json()["items"]) == 4


def test_the_operators_routes_are_for_the_machine_itself(scene: tuple[House, Any, dict[str, dict[str, str]]]) -> None:
    running, _, headers = scene
    afar = TestClient(running.app, client=("192.0.2.7", 50000))
    assert afar.get("/v1/operator/status", headers=headers["operator"]).status_code == 401


def test_what_no_rule_names_is_denied() -> None:
    me, you = b"\x01" * 32, b"\x02" * 32
    for action in Action:
        assert can(Actor(me), action, Subject(you)) == NOTHING or action in {
            Action.SIGN_IN, Action.READ_NETWORK, Action.READ_DOCUMENTATION, Action.WATCH_HEALTH, Action.READ_TRUST,
            Action.READ_MEMBERS,
            Action.READ_POLICY, Action.CHANGE_MEMBERS, Action.READ_LOG, Action.COSIGN,
            Action.READ_NOTICES, Action.KEEP_WEBHOOKS, Action.RAISE_RECALL,
            Action.READ_ADDRESSES, Action.HAND_OVER, Action.READ_STEPS,
            Action.READ_TRAIL,
            Action.ASSESS, Action.READ_REPORTS, Action.READ_VIEW, Action.STRESS, Action.READ_EXPOSURE,
            Action.READ_PLANS,
            Action.READ_DISRUPTIONS, Action.KEEP_THRESHOLD, Action.READ_ALERTS, Action.ACKNOWLEDGE,
            Action.READ_FACT_REQUESTS, Action.FILL_FACTS, Action.READ_FACT_PAGE, Action.ANSWER_FACT_PAGE,
            Action.READ_NOTE, Action.ANSWER_NOTE, Action.KEEP_PINS, Action.READ_REQUESTS, Action.SETTLE_REQUEST,
        }  # fmt: skip
        if action is not Action.OPERATE:
            assert can(Actor(is_operator=True), action) in (NOTHING, can(ANYONE, action))


GRANTED: dict[tuple[Action, str], set[str]] = {
    (Action.READ_STATEMENT, "nothing"): set(),
    (Action.READ_STATEMENT, "headers"): {"header", "signature", "digest", "state"},
    (Action.READ_STATEMENT, "fields"): {"header", "signature", "digest", "state", "disclosed"},
    (Action.READ_STATEMENT, "all"): {"header", "signature", "digest", "state", "content", "secret"},
    (Action.READ_STREAM, "nothing"): set(),
    (Action.READ_STREAM, "headers"): {"stream", "issuer", "highest", "registered", "holes"},
    (Action.READ_STREAM, "all"): {"stream", "issuer", "highest", "registered", "holes"},
    (Action.BUNDLE, "nothing"): set(),
    (Action.BUNDLE, "headers"): {"header", "signature"},
    (Action.BUNDLE, "fields"): {"header", "signature", "disclosed"},
    (Action.BUNDLE, "all"): {"header", "signature", "content", "secret"},
    (Action.REGISTER, "all"): set(),
    (Action.CAPTURE, "all"): set(),
    (Action.ERASE, "all"): set(),
    (Action.OPERATE, "all"): set(),
}
SHOWN: dict[str, Shown | None] = {"nothing": None, "headers": False, "fields": ("/seal",), "all": True}
NAMED = frozenset().union(*GRANTED.values()) | {"original", "audience", "done"}


@pytest.mark.parametrize(("action", "grant"), GRANTED)
def test_a_grant_gives_these_fields_and_no_others(action: Action, grant: str) -> None:
    me, you, third = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
    subject = Subject(you, frozenset({you, third}), SHOWN[grant])
    assert can(Actor(me), action, subject) & NAMED == GRANTED[action, grant]
    assert can(ANYONE, action, subject) == NOTHING, "a grant is for a member, and nobody is none"
    if action in (Action.READ_STATEMENT, Action.BUNDLE):
        assert content_for(Actor(me), subject) == (SHOWN[grant] or False)
        assert content_for(Actor(third), subject) is True, "a party is not kept to what others were granted"
