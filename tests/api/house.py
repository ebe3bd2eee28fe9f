"""A whole service for tests: a founded network in a folder, its app, and clients that have signed in."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256, shake_256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.app import Server, create_app
from api.capture import Custodian
from api.keyfiles import write_file, write_key_file
from api.network import Member, Network, Plan
from api.service import Service
from api.settings import Settings
from ledger_service import keys
from ledger_service.chain.port import FirstKey, Founder
from ledger_service.envelope import Envelope
from ledger_service.keys import LocalKey, keccak, to_hex
from ledger_service.statements import Domain
from tests.consortium import Clock, empty_store, event, key, member_id, stream_id, witness

ORIGIN = "ledger.example.org/api"
NAMES = ("havelmark", "nordrand", "duero", "oderland", "kleinwerk")
"""`kleinwerk` has its key kept by the service."""
PASSPHRASE = "a passphrase for tests"


def plan(names: tuple[str, ...] = NAMES) -> Plan:
    everything = keys.EVENTS | keys.AGREEMENTS | keys.LOGIN
    founders = []
    for name in names:
        own: tuple[FirstKey, ...] = (FirstKey(key(name).address, everything),)
        if name == "kleinwerk":
            own = (FirstKey(key(name).address, keys.LOGIN), FirstKey(key("kept").address, keys.EVENTS, custodial=True))
        root = key(f"{name} root").address
        founder = Founder(member_id(name), root, keccak(key(f"{name} next root").address.rjust(32, b"\x00")), True, own)
        founders.append((Member(member_id(name), f"did:web:{name}.example.org", name), founder))
    return Plan(ORIGIN, sha256(b"api salt").digest(), tuple(founders), witnesses=(witness("havelmark").verifier,))


def login(client: httpx.Client, signer: LocalKey) -> str:
    """A token for the member that `signer` speaks for."""
    message = client.post("/v1/auth/challenge", json={"address": to_hex(signer.address)}).json()["message"]
    answer = client.post("/v1/auth/token", json={"message": message, "signature": sign_message(signer, message)})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["accessToken"]
    return token


def sign_message(signer: LocalKey, message: str) -> str:
    data = message.encode()
    return to_hex(signer.sign(keccak(b"\x19Ethereum Signed Message:\n%d" % len(data) + data)))


@dataclass
class House:
    """A running service; `client(name)` calls it as that member."""

    network: Network
    app: FastAPI
    clock: Clock
    anyone: httpx.Client
    _tokens: dict[str, str]
    _sequences: dict[bytes, int]

    def token(self, name: str) -> str:
        if name not in self._tokens:
            self._tokens[name] = login(self.anyone, key(name))
        return self._tokens[name]

    def sign_out(self) -> None:
        """Forget all tokens: the next call of each member signs in anew."""
        self._tokens.clear()

    def headers(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(name)}"}

    def get(self, name: str, path: str, **params: Any) -> Any:
        return self.anyone.get(path, headers=self.headers(name), params=params or None)

    def post(self, name: str, path: str, **kwargs: Any) -> Any:
        headers = self.headers(name) | kwargs.pop("headers", {})
        return self.anyone.post(path, headers=headers, **kwargs)

    def send(self, name: str, data: bytes) -> Any:
        return self.post(name, "/v1/statements", content=data, headers={"Content-Type": "application/json"})

    def send_batch(self, name: str, items: list[bytes], on_error: str = "refuse_all") -> Any:
        return self.post(
            name,
            "/v1/statements/batch",
            content=b"\n".join(items),
            headers={"Content-Type": "application/x-ndjson"},
            params={"on_error": on_error},
        )

    @property
    def domain(self) -> Domain:
        return self.network.ledger.domain

    def envelope(
        self,
        issuer: str = "duero",
        to: tuple[str, ...] = ("nordrand",),
        *,
        content: dict[str, Any] | None = None,
        stream: str | None = None,
        sequence: int | None = None,
        kind: str = "epcis-event",
        signer: LocalKey | None = None,
        issued_at: int | None = None,
    ) -> Envelope:
        """The next statement of a stream, signed by its issuer; any part of it can be another."""
        place = stream_id(stream or f"{issuer} to {' '.join(to)}")
        if sequence is None:
            sequence = self._sequences.get(place, 0) + 1
            self._sequences[place] = sequence
        members = sorted(to_hex(member_id(name)) for name in to)
        return Envelope.seal(
            {"to": members, **(content or event(sequence))},
            issuer=member_id(issuer),
            kind=kind,
            stream=place,
            sequence=sequence,
            issued_at=self.clock.now if issued_at is None else issued_at,
            secret=sha256(place + sequence.to_bytes(8) + repr(content).encode()).digest(),
            signer=signer or key(issuer),
            domain=self.domain,
        )

    def anchor(self) -> None:
        """Publish until nothing waits, whatever the publisher does meanwhile."""
        while self.network.ledger.waiting:
            self.clock.forward(1)
            self.network.ledger.publish(self.clock.now)


@cache
def founded(names: tuple[str, ...]) -> Mapping[str, bytes]:
    """The files of the test network of `names`, made once for all tests: its contracts take a while."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        settings = Settings(data=folder, passphrase=SecretStr(PASSPHRASE))
        now = Clock().now
        Network.found(
            settings, plan(names), secret=sha256(b"service").digest(), now=lambda: now, demo=True, scrypt_cost=2
        )
        if "kleinwerk" in names:
            kept = folder / "custodial" / f"{to_hex(member_id('kleinwerk'))}.json"
            write_key_file(kept, key("kept").secret_bytes, PASSPHRASE.encode(), 2)
        (folder / "ledger.sqlite").write_bytes(empty_store())
        return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


@contextmanager
def opened(
    folder: Path, *, names: tuple[str, ...] = NAMES, **changes: Any
) -> Iterator[tuple[Network, Settings, Clock]]:
    """The test network of `names` in `folder`, founded if it is empty; `changes` are settings."""
    values: dict[str, Any] = {"data": folder, "passphrase": SecretStr(PASSPHRASE), "workers": 0} | changes
    settings = Settings(**values)
    clock = Clock()
    if not (folder / "network.json").exists():
        for name, data in founded(names).items():
            write_file(folder / name, data)
    network = Network.open(settings, now=lambda: clock.now)
    try:
        yield network, settings, clock
    finally:
        network.close()


@contextmanager
def house(folder: Path, **changes: Any) -> Iterator[House]:
    """A service over the network in `folder`, called without a socket."""
    with opened(folder, **changes) as (network, settings, clock):
        app = create_app(network, settings, now=lambda: clock.now)
        with TestClient(app, base_url="http://127.0.0.1:8440", client=("127.0.0.1", 50000)) as client:
            yield House(network, app, clock, client, {}, {})


@contextmanager
def still(folder: Path, **changes: Any) -> Iterator[House]:
    """A service in which nothing goes on by itself, and whose randomness is the same each time.

    The test publishes (`anchor`) and makes its rounds (`app.state.service.rounds.once()`).
    """
    count = iter(range(2**32))

    def randomness(size: int) -> bytes:
        return shake_256(b"random %d" % next(count)).digest(size)

    with opened(folder, **changes) as (network, settings, clock):
        app = create_app(network, settings, now=lambda: clock.now, randomness=randomness)
        custodian = Custodian.unlock(folder / "custodial", network.service, PASSPHRASE.encode(), randomness)

        async def without_start(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await receive()
                app.state.service = Service(network, settings, lambda: clock.now, randomness, custodian)
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            else:
                await app(scope, receive, send)

        with TestClient(without_start, base_url="http://127.0.0.1:8440", client=("127.0.0.1", 50000)) as client:
            yield House(network, app, clock, client, {}, {})


@contextmanager
def served(folder: Path, **changes: Any) -> Iterator[House]:
    """A service over the network in `folder`, called over a socket of this machine."""
    with opened(folder, **changes) as (network, settings, clock):
        app = create_app(network, settings, now=lambda: clock.now)
        server = Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                yield House(network, app, clock, client, {}, {})
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server does not end"
