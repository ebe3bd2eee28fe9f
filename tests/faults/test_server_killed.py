"""The real server, killed without warning while members send to it: they send again, and nothing is lost or doubled."""

import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

from api.client import LedgerClient, ServiceUnreachable
from api.network import Network
from api.outbox import Outbox, State
from api.settings import Settings
from ledger_service.invariants import check
from ledger_service.ledger import State as LedgerState
from tests.api.house import PASSPHRASE, plan
from tests.consortium import event, key, member_id

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
ROUNDS = 6
EVENTS = 1200


class Server:
    """`tallystick serve` in a process of its own, which dies often."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.log = settings.data / "serve.log"
        self.environment = os.environ | {
            "TALLYSTICK_DATA": str(settings.data),
            "TALLYSTICK_PASSPHRASE": PASSPHRASE,
            "TALLYSTICK_WORKERS": "1",
            "PYTHONPATH": str(root),
        }
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "serve", "--port", str(self.port)],
                cwd=self.root,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + 60
        while not (found := ADDRESS.search(self.log.read_text())):
            assert time.monotonic() < end, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        self.port = int(found.group(1))

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_server_killed_again_and_again_loses_nothing_that_it_answered(root: Path, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "network", passphrase=SecretStr(PASSPHRASE))
    Network.found(settings, plan(), secret=bytes(range(32)), scrypt_cost=1 << 12)
    server = Server(root, settings)
    server.start()
    network_is_whole = threading.Event()
    chance = random.Random(20260922)

    def torment() -> None:
        for _ in range(ROUNDS):
            time.sleep(chance.uniform(0.05, 1.0))
            server.kill()
            server.start()
        network_is_whole.set()

    with Outbox.open(tmp_path / "outbox.sqlite") as outbox:
        client = LedgerClient.introduce(f"http://127.0.0.1:{server.port}", key("duero"), outbox)
        document = {
            "type": "EPCISDocument",
            "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
            "epcisBody": {"eventList": [event(number)["event"] for number in range(1, EVENTS + 1)]},
        }
        signed = client.sign_document(orjson.dumps(document), [member_id("nordrand")])
        digests = [one.header.digest(client.domain) for one in signed.envelopes]
        tormentor = threading.Thread(target=torment)
        tormentor.start()
        answered: set[bytes] = set()
        while outbox.count(client.domain, State.WAITING) or not network_is_whole.is_set():
            try:
                # Call by call: what `submit` was told before a call that failed stands in the outbox alone.
                if chunk := outbox.waiting(client.domain, 20, 1 << 20):
                    answered |= {one.digest for one in client.send(chunk)[0]}
            except ServiceUnreachable:
                continue
            time.sleep(0.01)
        tormentor.join()
        for digest in digests:
            client.await_anchor(digest)
        client.close()
    server.kill()

    assert answered == set(digests)
    network = Network.open(settings)
    try:
        assert network.ledger.size == EVENTS
        assert check(network.ledger) == []
        for digest in digests:
            assert network.ledger.state(network.ledger.record(digest).position) is LedgerState.ANCHORED
    finally:
        network.close()
