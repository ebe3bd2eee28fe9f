import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ledger_service.chain.embedded import EmbeddedChain
from ledger_service.chain.evm import Patience
from ledger_service.chain.rpc import JsonRpcChain, Timeouts
from ledger_service.keys import LocalKey
from tests.ledger_service.chain.front import Front
from tests.ledger_service.chain.lane import Lane, create, key, reopen

QUICK = Timeouts(connect=2, answer=5)
ANVIL = "@foundry-rs/anvil-linux-amd64@1.7.1"


class Anvil:
    """A running Anvil node, mining a block per transaction."""

    def __init__(self, executable: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [str(executable), "--host", "127.0.0.1", "--port", str(self.port), "--silent", *options]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.ask("eth_chainId")
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, method: str, *params: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["result"]

    def fund(self, account: LocalKey) -> LocalKey:
        self.ask("anvil_setBalance", "0x" + account.address.hex(), hex(10**20))
        return account


@pytest.fixture(scope="session")
def anvil_executable(root: Path) -> Path:
    """Anvil as `make node` installs it, or out of npm into a cache that git does not see."""
    found = sorted(root.glob("contracts/node_modules/@foundry-rs/anvil-*/bin/anvil"))
    if found:
        return found[0]
    cache = root / ".cache" / "anvil"
    executable = cache / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    if not executable.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("Anvil comes from npm, which is not on the PATH")
        cache.mkdir(parents=True, exist_ok=True)
        (cache.parent / ".gitignore").write_text("*\n")
        subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", cache, ANVIL], check=True)
    return executable


@pytest.fixture(scope="session")
def anvil(anvil_executable: Path) -> Iterator[Anvil]:
    node = Anvil(anvil_executable)
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an embedded chain on which a network is founded, to copy from."""
    path = tmp_path_factory.mktemp("founded") / "chain.sqlite"
    chain = create(path)
    Lane(chain).found()
    chain.close()
    return path


@pytest.fixture
def chain(tmp_path: Path, founded: Path) -> Iterator[EmbeddedChain]:
    """An embedded chain on which a network is founded, its clock standing still."""
    chain = reopen(Path(shutil.copy(founded, tmp_path / "chain.sqlite")))
    yield chain
    chain.close()


@pytest.fixture
def front(chain: EmbeddedChain) -> Iterator[Front]:
    """The same chain, served over HTTP by a node that can be told to misbehave."""
    with Front(chain.web3.provider) as front:
        yield front


_operators = count()


@pytest.fixture(params=["embedded", "served", pytest.param("anvil", marks=pytest.mark.full)])
def lane(request: pytest.FixtureRequest) -> Iterator[Lane]:
    """A founded network on the embedded engine, on that engine behind HTTP, and on a real node."""
    if request.param == "embedded":
        yield Lane(request.getfixturevalue("chain"))
        return
    if request.param == "served":
        embedded: EmbeddedChain = request.getfixturevalue("chain")
        rpc = JsonRpcChain.connect(request.getfixturevalue("front").url, embedded.contracts, timeouts=QUICK)
        yield Lane(rpc)
    else:
        node: Anvil = request.getfixturevalue("anvil")
        node.fund(key("stranger"))
        rpc = JsonRpcChain.connect(node.url, patience=Patience(poll_interval=0.02), timeouts=QUICK)
        yield Lane(rpc, node.fund(key(f"operator {next(_operators)}"))).found()
    rpc.close()
