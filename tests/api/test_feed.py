"""The feed over a real socket: each thing is told once, in order, to those who may see it, resumed without a gap."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger_service.keys import to_hex
from tests.api.house import House, served
from tests.consortium import stream_id

REGISTERED = "org.example.tallystick.statement.registered"
ANCHORED = "org.example.tallystick.checkpoint.anchored"


@dataclass
class Told:
    """One event of the feed as its reader got it."""

    id: str
    kind: str
    data: Any


class Reader:
    """A reader of the feed in a thread of its own, until it is closed."""

    def __init__(self, url: str, token: str, headers: dict[str, str]) -> None:
        self.told: list[Told] = []
        self.last_id = ""
        self.is_over = threading.Event()
        place = httpx.URL(url)
        self._connection = HTTPConnection(place.host, place.port, timeout=30)
        self._connection.request("GET", "/v1/feed", headers={"Authorization": f"Bearer {token}"} | headers)
        self._socket = self._connection.sock
        self._answer = self._connection.getresponse()
        assert self._answer.getheader("content-type", "").startswith("text/event-stream")
        self._read_one()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while self._read_one():
                pass
        except (OSError, HTTPException):
            pass  # hung up from this side
        finally:
            self.is_over.set()

    def _read_one(self) -> bool:
        """Read up to the next empty line; False at the end."""
        fields: dict[str, str] = {}
        while True:
            line = self._answer.readline().decode().rstrip("\n")
            if not line:
                break
            if not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        self.last_id = fields.get("id", self.last_id)
        if "data" in fields:
            self.told.append(Told(fields["id"], fields["event"], json.loads(fields["data"])))
        return not self._answer.isclosed()

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._answer.close()
        self._connection.close()

    def digests(self) -> list[str]:
        return [one.data["data"]["digest"] for one in self.told if one.kind == REGISTERED]

    def wait(self, count: int, kind: str = REGISTERED) -> None:
        deadline = time.monotonic() + 10
        while sum(one.kind == kind for one in self.told) < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@contextmanager
def reading(running: House, name: str, **headers: str) -> Iterator[Reader]:
    """`name` reads the feed inside the block."""
    reader = Reader(str(running.anyone.base_url), running.token(name), headers)
    try:
        yield reader
    finally:
        reader.close()


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with served(tmp_path_factory.mktemp("street"), publish_interval_seconds=0.05) as running:
        yield running


def send(running: House, count: int, **changes: Any) -> list[str]:
    items = [running.envelope(**changes).data for _ in range(count)]
    return [one["digest"] for one in running.send_batch("duero", items).json()["results"]]


def test_each_reader_is_told_once_in_order_and_only_what_it_may_see(street: House) -> None:
    with (
        reading(street, "duero") as owner,
        reading(street, "nordrand") as partner,
        reading(street, "oderland") as other,
    ):
        assert street.app.state.service.feed.readers == 3
        sent = send(street, 450)
        for reader in (owner, partner):
            reader.wait(450)
            assert reader.digests() == sent
        for reader in (owner, partner, other):
            reader.wait(1, ANCHORED)
        assert other.digests() == []
    event = owner.told[0].data
    assert event.keys() == {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
    assert (event["specversion"], event["type"], event["subject"]) == ("1.0", REGISTERED, sent[0])
    assert event["data"].keys() == {"digest", "header", "registeredAt", "state"}
    assert len({one.data["id"] for one in owner.told}) == len(owner.told)
    last = [one.data["data"]["size"] for one in owner.told if one.kind == ANCHORED]
    assert last == sorted(set(last))


def test_a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice(street: House) -> None:
    with reading(street, "nordrand") as first:
        sent = send(street, 5)
        first.wait(5)
    sent += send(street, 7)
    with reading(street, "nordrand", **{"Last-Event-ID": first.told[2].id}) as second:
        second.wait(9)
        assert (first.digests()[:3] + second.digests())[:12] == sent
    with reading(street, "nordrand", **{"Last-Event-ID": second.last_id}) as third:
        new = send(street, 1)
        third.wait(1)
        assert third.digests() == new
    stranger = street.get("oderland", "/v1/feed", after=first.told[2].id)
    assert (stranger.status_code, stranger.json()["type"].rpartition("/")[2]) == (400, "foreign-cursor")


def test_a_reader_before_anything_happened_has_a_place_to_come_back_to(street: House) -> None:
    with reading(street, "nordrand") as reader:
        place = reader.last_id
    assert place
    sent = send(street, 2)
    with reading(street, "nordrand", **{"Last-Event-ID": place}) as reader:
        reader.wait(2)
        assert reader.digests() == sent


def test_the_feed_ends_with_its_token(street: House) -> None:
    with reading(street, "nordrand") as reader:
        street.clock.forward(3600)
        street.app.state.service.feed.ring()
        assert reader.is_over.wait(10)
    street.sign_out()


def test_a_slow_reader_holds_up_nobody(street: House) -> None:
    address = (street.anyone.base_url.host, street.anyone.base_url.port)
    with socket.create_connection(address) as sleeper:
        request = f"GET /v1/feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {street.token('duero')}\r\n\r\n"
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.sendall(request.encode())
        assert sleeper.recv(12) == b"HTTP/1.1 200"
        with reading(street, "nordrand") as reader:
            sent = [one for _ in range(3) for one in send(street, 500)]
            reader.wait(1500)
            assert reader.digests() == sent


def test_a_server_that_ends_lets_its_readers_go(tmp_path: Path) -> None:
    with served(tmp_path) as running:
        reader = Reader(str(running.anyone.base_url), running.token("nordrand"), {})
    assert reader.is_over.wait(10)
    reader.close()


def test_too_many_readers_are_told_to_come_again(street: House) -> None:
    feed = street.app.state.service.feed
    allowed = feed._max_readers
    feed._max_readers = 0
    try:
        answer = street.get("nordrand", "/v1/feed")
    finally:
        feed._max_readers = allowed
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_whoever_was_granted_a_stream_follows_its_headers_until_the_grant_ends(street: House) -> None:
    street.sign_out()
    content = {
        "fields": ["/event/action"],
        "from": "2026-01-01T00:00:00Z",
        "until": "2027-01-01T00:00:00Z",
        "purpose": "Audit",
        "streams": [to_hex(stream_id("duero to nordrand"))],
    }
    given = street.send("duero", street.envelope("duero", ("oderland",), content=content, kind="grant").data).json()
    with reading(street, "oderland") as auditor:
        sent = send(street, 2)
        auditor.wait(2)
        assert auditor.digests() == sent
        assert "content" not in str(auditor.told[0].data["data"].keys() - {"header"})
        ended = content | {"until": "2026-01-01T00:00:00Z", "corrects": given["digest"]}
        street.send("duero", street.envelope("duero", ("oderland",), content=ended, kind="grant").data)
        auditor.wait(3)  # the grant's own end is addressed to it
        send(street, 2)
        with reading(street, "nordrand") as partner:
            send(street, 1)
            partner.wait(1)
        assert len(auditor.digests()) == 3
