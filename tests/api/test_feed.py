"""The feed over a real socket: what happens is told once, in order, to those who may see it, and resumed without a gap."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from api.app import Server, create_app
from api.network import Network
from api.settings import Settings
from ledger_service.keys import to_hex
from tests.api.house import PASSPHRASE, House, house
from tests.consortium import member_id

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
        self.lines: list[str] = []
        self.last_id = ""
        self.is_open = threading.Event()
        self.is_over = threading.Event()
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"} | headers, timeout=20)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        assert self.is_open.wait(10)

    def _read(self) -> None:
        try:
            with self._client.stream("GET", "/v1/feed") as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                fields: dict[str, str] = {}
                for line in answer.iter_lines():
                    self.lines.append(line)
                    if not line:
                        if "id" in fields:
                            self.last_id = fields["id"]
                        if "data" in fields:
                            self.told.append(Told(fields["id"], fields["event"], json.loads(fields["data"])))
                        self.is_open.set()
                        fields = {}
                    elif not line.startswith(":"):
                        name, _, value = line.partition(": ")
                        fields[name] = value
        except httpx.HTTPError:
            pass
        finally:
            self.is_open.set()
            self.is_over.set()

    def digests(self) -> list[str]:
        return [one.data["data"]["digest"] for one in self.told if one.kind == REGISTERED]

    def wait(self, count: int, kind: str = REGISTERED) -> None:
        deadline = time.monotonic() + 10
        while sum(one.kind == kind for one in self.told) < count:
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)


@dataclass
class Street:
    """A service on a socket, whose feed is read by several."""

    house: House
    url: str
    server: Server

    @contextmanager
    def reader(self, name: str, **headers: str) -> Iterator[Reader]:
        reader = Reader(self.url, self.house.token(name), headers)
        try:
            yield reader
        finally:
            reader._client.close()
            self.house.app.state.service.feed.ring()
            if not reader.is_over.wait(0.1):
                self.house.clock.forward(3600)  # its session ends, and with it its stream
                self.house.app.state.service.feed.ring()
                self.house.clock.forward(-3600)
            reader._thread.join(10)


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    with house(tmp_path) as running:
        config = uvicorn.Config(running.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
        server = Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield Street(running, f"http://127.0.0.1:{port}", server)
        finally:
            server.should_exit = True
            thread.join(20)
