"""The main job on input that nobody here wrote, done as its users do it: by the command line and over HTTP.

Signed at the member's side, submitted, anchored, witnessed, bundled, verified by a stranger.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


class House:
    """A folder with a network, two members and a stranger, and the commands they give."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.environment = os.environ | {
            "TALLYSTICK_PASSPHRASE": "the service's",
            "TALLYSTICK_KEY_PASSPHRASE": "the members'",
            "TALLYSTICK_DATA": "network",
            "TALLYSTICK_PORT": "0",
            "PYTHONPATH": str(root),
        }

    def run(self, *command: str | Path, expect: int = 0) -> str:
        """What a command printed; it must end with the status `expect`."""
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", *map(str, command)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == expect, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The address of the service, for as long as the block lasts."""
        log = self.folder / "serve.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "serve"],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            end = time.monotonic() + 60
            while not (found := ADDRESS.search(log.read_text())):
                assert time.monotonic() < end, log.read_text()
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
            yield found.group()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)

    def verify(self, bundle: Path, *, expect: int) -> str:
        """The verdict of a stranger who has the two files and no network."""
        return self.run("verify", bundle, "--trust", "trust.json", "--min-witnesses", "2", expect=expect)


@pytest.fixture(scope="module")
def house(root: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(root, tmp_path_factory.mktemp("house"))
    for name in ("duero", "nordrand"):
        house.run("keys", "new", name, "--did", f"did:web:{name}.example.org", "--home", name)
    members = ["--member", "duero/member.json", "--member", "nordrand/member.json"]
    house.run("init", "--origin", "ledger.example.org/whole", *members)
    return house


def test_published_documents_go_the_whole_way_and_a_stranger_verifies_them(house: House, shared: Path) -> None:
    documents = sorted((shared / "vectors/epcis-event-hash/tests/examples").glob("*.jsonld"))
    assert len(documents) == 22
    events = 43
    with house.serving() as address:
        for name in ("duero", "nordrand"):
            house.run("trust", "fetch", address, "--home", name)
        signed = house.run("sign", *documents, "--to", "nordrand", "--home", "duero")
        assert f"{events} signed, 0 refused" in signed
        assert f"{events} registered" in house.run("submit", "--home", "duero")
        digest = re.search(r"^0x[0-9a-f]{64}", signed, re.MULTILINE)
        assert digest is not None
        # The receipt is asked for until it is anchored; only then is there a checkpoint to witness.
        house.run("receipt", digest.group(), "--home", "duero", "--out", "receipt.json")
        for name in ("duero", "nordrand"):
            assert "cosigned" in house.run("witness", "--home", name)
        house.run("bundle", "--home", "nordrand", "--out", "bundle.json")
        house.run("check")
    (house.folder / "trust.json").write_bytes((house.folder / "nordrand/trust.json").read_bytes())

    said = house.verify(house.folder / "bundle.json", expect=0)
    assert f"{events} statements" in said
    assert "witnessed" in said
    bundle = orjson.loads((house.folder / "bundle.json").read_bytes())
    assert len(bundle["statements"]) == events

    bundle["statements"][7]["content"]["event"]["eventTime"] = "2026-01-01T00:00:00Z"
    forged = house.folder / "forged.json"
    forged.write_bytes(orjson.dumps(bundle))
    assert "statement 8 of stream" in house.verify(forged, expect=1)


def test_what_is_refused_is_refused_with_its_reason_and_nothing_is_signed(house: House) -> None:
    wrong = house.folder / "wrong.jsonld"
    event = {
        "type": "ObjectEvent",
        "eventTime": "2026-09-18T16:10:00+02:00",
        "eventTimeZoneOffset": "+02:00",
        "epcList": ["https://id.gs1.org/00/395210040009260176"],
        "action": "OBSERVE",
    }
    wrong.write_bytes(orjson.dumps({"type": "EPCISDocument", "epcisBody": {"eventList": [event]}}))
    said = house.run("sign", wrong, "--to", "nordrand", "--home", "duero", expect=1)
    assert "/epcisBody/eventList/0/epcList/0" in said
    assert "check digit" in said
    assert "nothing was signed" in said
