"""The ledger of a fresh network inside this process, for what needs no server, with a clock that benchmarks move."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from api.network import Network
from api.settings import Settings
from benchmarks.events import Author
from benchmarks.service import FROM, PASSPHRASE, TO, plan
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger


@dataclass
class House:
    """An open network and its time."""

    network: Network
    clock: list[int]

    @property
    def ledger(self) -> Ledger:
        return self.network.ledger

    def now(self) -> int:
        """The time, ms UTC."""
        return self.clock[0]

    def forward(self, seconds: int = 1) -> None:
        """Let time pass: blocks have whole seconds, and each is later than the one before."""
        self.clock[0] += 1000 * seconds

    def author(self) -> Author:
        return Author(FROM.id, FROM.key, self.ledger.domain, (to_hex(TO.id),), self.now())


@contextmanager
def house(folder: Path) -> Iterator[House]:
    """A network founded in `folder` and open while the block lasts."""
    clock = [time.time_ns() // 1_000_000 - 86_400_000]
    settings = Settings(data=folder, passphrase=SecretStr(PASSPHRASE))
    Network.found(settings, plan(), secret=os.urandom(32), now=lambda: clock[0], demo=True, scrypt_cost=2)
    network = Network.open(settings, now=lambda: clock[0])
    try:
        yield House(network, clock)
    finally:
        network.close()
