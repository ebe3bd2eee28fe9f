"""A real server process over a fresh network in a temporary folder, and two members that know it."""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr

from api.network import Member, Network, Plan, member_id
from api.settings import Settings
from benchmarks.events import Author
from ledger_service import keys
from ledger_service.chain.port import FirstKey, Founder
from ledger_service.keys import LocalKey, from_hex, keccak, to_hex
from ledger_service.statements import Domain

ORIGIN = "ledger.example.org/benchmark"
PASSPHRASE = "measured on loopback"
START_SECONDS = 60
SALT = sha256(b"benchmark salt").digest()


class ServerFailed(RuntimeError):
    """The server process ended, or did not answer in time; its last words are in the message."""


@dataclass(frozen=True, slots=True)
class Company:
    """A member for the length of a benchmark."""

    name: str

    @property
    def key(self) -> LocalKey:
        return LocalKey.from_bytes(sha256(f"benchmark key {self.name}".encode()).digest())

    @property
    def id(self) -> bytes:
        return member_id(f"did:web:{self.name}.example.org", SALT)


FROM, TO = Company("alder"), Company("birch")


def plan() -> Plan:
    """A network of two members, each with one key for everything."""
    founders = []
    for one in (FROM, TO):
        first = FirstKey(one.key.address, keys.EVENTS | keys.AGREEMENTS | keys.LOGIN)
        root = LocalKey.from_bytes(sha256(f"benchmark root {one.name}".encode()).digest()).address
        founder = Founder(one.id, root, keccak(root), True, (first,))
        founders.append((Member(one.id, f"did:web:{one.name}.example.org", f"{one.name} (benchmark)"), founder))
    return Plan(ORIGIN, SALT, tuple(founders))


class Connection:
    """One kept-alive connection of a member that has signed in."""

    def __init__(self, service: "Service", token: str) -> None:
        self._http = http.client.HTTPConnection(service.host, service.port, timeout=120)
        self._headers = {"Authorization": f"Bearer {token}"}

    def post(self, path: str, data: bytes, media_type: str = "application/json") -> tuple[int, bytes]:
        self._http.request("POST", path, data, self._headers | {"Content-Type": media_type})
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def get(self, path: str) -> tuple[int, bytes]:
        self._http.request("GET", path, headers=self._headers)
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self._http.close()


@dataclass
class Service:
    """The running server: its address, its processes, and tokens for its members."""

    folder: Path
    process: subprocess.Popen[bytes]
    host: str
    port: int
    domain: Domain

    def sign_in(self, company: Company = FROM) -> str:
        """A token for `company`, by challenge as any member gets one."""
        connection = Connection(self, "")
        _, data = connection.post("/v1/auth/challenge", orjson.dumps({"address": to_hex(company.key.address)}))
        message = orjson.loads(data)["message"].encode()
        signature = company.key.sign(keccak(b"\x19Ethereum Signed Message:\n%d" % len(message) + message))
        body = {"message": message.decode(), "signature": to_hex(signature)}
        status, data = connection.post("/v1/auth/token", orjson.dumps(body))
        connection.close()
        if status != 200:
            raise ServerFailed(f"no token: {data.decode()}")
        token: str = orjson.loads(data)["accessToken"]
        return token

    def connect(self, company: Company = FROM) -> Connection:
        return Connection(self, self.sign_in(company))

    def author(self, streams: int = 4) -> Author:
        """`alder`, which writes events for `birch`."""
        now = time.time_ns() // 1_000_000
        return Author(FROM.id, FROM.key, self.domain, (to_hex(TO.id),), now, streams)

    @property
    def backlog(self) -> int:
        """Statements that are registered and not anchored."""
        connection = Connection(self, "")
        _, data = connection.get("/health/ready")
        connection.close()
        return int(orjson.loads(data)["backlog"])

    @property
    def unindexed(self) -> int:
        """Statements that the index of trails has still to read."""
        connection = Connection(self, "")
        _, data = connection.get("/metrics")
        connection.close()
        values = (line.split() for line in data.decode().splitlines() if line.startswith("tallystick_unindexed "))
        return int(float(next(values)[1]))

    def settle(self, seconds: float = 300) -> None:
        """Wait until everything registered is anchored and read by the index of trails."""
        end = time.monotonic() + seconds
        while (waiting := self.backlog) or (unread := self.unindexed):
            if time.monotonic() > end:
                raise ServerFailed(
                    f"{waiting or unread} statements were still not anchored or read after {seconds:.0f} s"
                )
            time.sleep(0.05)

    def cpu_seconds(self) -> dict[int, float]:
        """Processor time used so far by each process of the server; empty where there is no /proc."""
        tick = os.sysconf("SC_CLK_TCK")
        table = _process_table()
        return {pid: (int(table[pid][11]) + int(table[pid][12])) / tick for pid in self._processes(table)}

    def memory_kib(self) -> tuple[int, int]:
        """Memory of the server itself and of the processes below it, pages they share counted once (PSS)."""
        shares = {}
        for pid in self._processes(_process_table()):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            shares[pid] = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        own = shares.pop(self.process.pid)
        return own, sum(shares.values())

    def _processes(self, table: dict[int, list[str]]) -> list[int]:
        """The server and all processes below it."""
        found: list[int] = []
        todo = {self.process.pid} & table.keys()
        while todo:
            found += todo
            todo = {pid for pid, fields in table.items() if int(fields[1]) in todo}
        return found


def _process_table() -> dict[int, list[str]]:
    """Of every process what /proc/PID/stat says behind its name: state, parent, …"""
    table = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            table[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
    return table


@contextmanager
def service(**environment: Any) -> Iterator[Service]:
    """A server on a free loopback port, started as `tallystick serve` starts it, and gone at the end.

    `environment` are settings by name (`workers=1`). Raises ServerFailed.
    """
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name:
        folder = Path(name)
        settings = Settings(data=folder, passphrase=SecretStr(PASSPHRASE))
        Network.found(settings, plan(), secret=os.urandom(32), scrypt_cost=2)
        log = folder / "server.log"
        variables = {f"TALLYSTICK_{key.upper()}": str(value) for key, value in environment.items()}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "serve", "--data", str(folder), "--host", "127.0.0.1", "--port", "0"],
                stdout=output,
                stderr=output,
                env=os.environ | variables | {"TALLYSTICK_PASSPHRASE": PASSPHRASE},
            )
        try:
            yield _started(folder, process, log)
        except (OSError, http.client.HTTPException) as error:
            raise ServerFailed(f"{error}; the server said:\n{log.read_text()[-2000:]}") from error
        finally:
            _stop(process)


def _started(folder: Path, process: subprocess.Popen[bytes], log: Path) -> Service:
    place, end = folder / "serving.json", time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
        if not place.exists():
            continue
        try:
            url = urlsplit(orjson.loads(place.read_bytes())["url"])
            found = Service(folder, process, url.hostname or "", url.port or 0, Domain(0, b""))
            connection = Connection(found, "")
            status, data = connection.get("/v1/network")
            connection.close()
        except (OSError, orjson.JSONDecodeError):
            continue  # it has its address and does not listen yet
        if status == 200:
            value = orjson.loads(data)
            found.domain = Domain(value["chainId"], from_hex(value["registry"], 20))
            return found
    raise ServerFailed(f"the server did not start:\n{log.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
