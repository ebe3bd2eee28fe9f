"""What a stranger, a member or a partner could do to the service on purpose, and that it comes to nothing."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from api.cli.serving import Serving
from api.feed import MAX_READERS_EACH
from api.heads import MAX_HEAD_BYTES
from api.service import operator_token
from ledger_service.keys import to_hex
from tests.api.house import House, opened
from tests.consortium import event, member_id

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A service on a socket as `serve` runs it."""
    with opened(tmp_path_factory.mktemp("served"), port=0) as (network, settings, clock):
        serving = Serving(network, settings, lambda: clock.now)
        with serving.running() as url:
            yield int(url.rpartition(":")[2])


def says(port: int, *pieces: bytes, patience: float = 5) -> bytes:
    """All that comes back for `pieces`, until the other side ends or `patience` seconds have passed."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while found := connection.recv(65536):
                answer += found
        except (ConnectionError, TimeoutError):
            pass
    return answer


def is_cut_off(port: int, *pieces: bytes) -> bool:
    """Whether the other side ends the connection without a word; False where it answers, or waits for more."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            return connection.recv(65536) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def test_a_head_without_end_is_cut_off(port: int) -> None:
    lines = b"X-A: b\r\n" * (MAX_HEAD_BYTES // 8)
    assert is_cut_off(port, b"GET /health/live HTTP/1.1\r\n", *[lines] * 64)
    last = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert says(port, last).startswith(b"HTTP/1.1 200")


def test_a_large_body_is_no_head(port: int) -> None:
    body = b"x" * 500_000
    head = b"POST /v1/auth/challenge HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert says(port, head + body, patience=1).startswith(b"HTTP/1.1 415")


def test_nobody_is_given_another_protocol(port: int) -> None:
    upgrade = (
        b"GET /v1/feed HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert says(port, upgrade, patience=1).startswith(b"HTTP/1.1 401")


def test_a_connection_that_breaks_off_is_no_fault_of_ours(port: int) -> None:
    head = (
        b"POST /v1/auth/challenge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(head + b"{")
    deadline = time.monotonic() + 5
    metrics = ""
    while "body-cut-short" not in metrics and time.monotonic() < deadline:
        metrics = says(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").decode()
    assert 'tallystick_refusals_total{problem="body-cut-short"}' in metrics
    assert "internal-error" not in metrics


# By name: path, headers, body, status and type: each would cost far more than it weighs if it were read on.
COSTLY = {
    "millions of empty lines": ("/v1/statements/batch", LINES, b"\n" * (4 << 20), 413, "too-many-items"),
    "millions of numbers": (
        "/v1/statements/batch", JSON, b'{"statements":[' + b"1," * (1 << 20) + b"1]}", 413, "too-many-items",
    ),
    "five million bytes of JSON": ("/v1/statements/batch", JSON, b" " * (5 << 20), 413, "body-too-large"),
    "a text without end": (
        "/v1/bundles", JSON, b"[" * 100 + b"{}," * 150 + b'"' + rb"\"" * 300_000, 400, "malformed-json",
    ),
    "a long challenge": ("/v1/auth/challenge", JSON, b" " * 20_000, 413, "body-too-large"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b""), (b'{"epcisBody":{"eventList":', b"}}"), (b'{"eventList":', b"}")]
)
def test_a_document_of_far_too_many_events_is_not_read(service: House, before: bytes, after: bytes) -> None:
    service.token("kleinwerk")
    body = before + b"[" + b"1," * (1 << 20) + b"1]" + after
    started = time.process_time()
    answer = service.post("kleinwerk", "/v1/epcis/capture", content=body, headers=JSON)
    assert time.process_time() - started < 3
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (413, "too-many-items")


@pytest.mark.parametrize("name", COSTLY)
def test_what_costs_more_than_it_weighs_is_refused_at_once(service: House, name: str) -> None:
    path, headers, body, status, kind = COSTLY[name]
    service.token("duero")
    started = time.process_time()
    answer = service.post("duero", path, content=body, headers=headers)
    assert time.process_time() - started < 3
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, kind)


def test_the_operators_token_does_not_come_through_a_proxy(service: House) -> None:
    token = {"Authorization": f"Bearer {operator_token(service.network)}"}
    assert service.anyone.get("/v1/operator/status", headers=token).status_code == 200
    for name in ("Forwarded", "X-Forwarded-For", "Via", "X-Real-IP"):
        answer = service.anyone.get("/v1/operator/status", headers=token | {name: "127.0.0.1"})
        assert answer.status_code == 401, name


# By name: the folder a backup is asked into, in the network's folder or beside it.
FOLDERS = {
    "no name": "a\0b",
    "inside": "{inside}/custodial/x",
    "a file": "{inside}/network.json",
    "not ours": "/proc/x",
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_backup_that_cannot_be_is_refused_in_words(service: House, name: str) -> None:
    folder = "/" + FOLDERS[name].format(inside=service.network.folder).lstrip("/")
    token = {"Authorization": f"Bearer {operator_token(service.network)}"}
    answer = service.anyone.post("/v1/operator/backup", headers=token, json={"folder": folder})
    assert answer.status_code in (400, 422), answer.text
    assert not (service.network.folder / "custodial" / "x").exists()


def test_no_member_keeps_the_others_from_the_feed(service: House) -> None:
    followed = service.app.state.service.feed._bells_of
    followed[member_id("nordrand")] = MAX_READERS_EACH
    try:
        answer = service.get("nordrand", "/v1/feed")
    finally:
        followed[member_id("nordrand")] = 0
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (503, "busy")


def test_a_fork_is_explained_with_the_time_of_the_first(service: House) -> None:
    service.send("duero", service.envelope(stream="told").data)
    second = service.envelope(stream="told", sequence=1, content=event(98))
    assert service.send("duero", second.data).status_code == 409
    digest = to_hex(second.header.digest(service.domain))
    why = service.get("nordrand", f"/v1/statements/{digest}/explain").json()["why"]
    assert "2026-" in why
    assert "{" not in why


def test_refused_events_of_a_capture_have_their_numbers_in_the_document(service: House) -> None:
    events: list[dict[str, Any]] = [dict(event(number)["event"]) for number in (201, 202)]
    events[0].pop("eventTime")
    document = {"@context": event()["context"], "type": "EPCISDocument", "schemaVersion": "2.0",
                "creationDate": "2026-09-18T15:00:00Z", "epcisBody": {"eventList": events}}  # fmt: skip
    answer = service.post(
        "kleinwerk", "/v1/epcis/capture", json=document, params={"to": "0x" + "77" * 32, "on_error": "keep_good"}
    )
    kinds = [(one["item"], one["problem"]["type"].rpartition("/")[2]) for one in answer.json()["results"]]
    assert kinds == [(0, "refused-event"), (1, "unknown-member")]
