"""Members with gateways of their own against a running service, for tests: who ships what to whom."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from api.client import LedgerClient
from api.custody_book import Book
from api.gateway import CustodyGateway
from api.outbox import Outbox
from ledger_service.handoffs import CustodySeed
from ledger_service.instants import clock_text
from ledger_service.keys import to_hex
from tests.api.house import House
from tests.consortium import key, member_id

SHAFT = "https://id.gs1.org/01/09521004100011"
HOUR, DAY = 3_600_000, 86_400_000


def plate(number: int) -> str:
    """The licence plate of a pallet."""
    return f"licence-plate:UN049505160P{number:05d}"


def quiet(_name: str) -> None:
    """The observer that watches nothing."""


@dataclass
class Yard:
    """A running service and the gateways of its members, each with a file of its own."""

    house: House
    url: str
    folder: Path
    stack: ExitStack
    gateways: dict[str, CustodyGateway] = field(default_factory=dict)

    def gateway(
        self, name: str, *, steps: Callable[[str], None] = quiet, seed: str = "", url: str = ""
    ) -> CustodyGateway:
        """The gateway of `name`; opened anew over the same file where it is asked for with `steps`, `seed` or `url`."""
        if name in self.gateways and steps is quiet and not seed and not url:
            return self.gateways[name]
        outbox = self.stack.enter_context(Outbox.open(self.folder / f"{name}.sqlite"))
        trust = self.house.network.trust()
        client = self.stack.enter_context(
            LedgerClient(
                url or self.url,
                key(name),
                trust,
                outbox,
                now=lambda: self.house.clock.now,
                sleep=lambda _seconds: None,
                patience_seconds=2.0,
            )
        )
        made = CustodyGateway(
            client,
            Book(outbox, trust.custody_domain),
            CustodySeed(sha256(f"custody seed of {name} {seed} {self.folder}".encode()).digest()),
            member_id(name),
            trust.custody_domain,
            steps=steps,
        )
        self.gateways[name] = made
        return made

    def introduce(self, *names: str, each: int = 8) -> None:
        """Have each of these deposit addresses with each other one."""
        for owner in names:
            for partner in names:
                if partner != owner:
                    self.gateway(owner).deposit(member_id(partner), each)
            self.gateway(owner).push()

    def despatch(
        self, taker: str, number: str, *plates: int, hours: float = 48, quantity: str = "60"
    ) -> dict[str, Any]:
        """What a giver's system says when it ships these pallets."""
        now = self.house.clock.now
        contents = [{"part": SHAFT, "quantity": quantity, "uom": "H87", "batch": "L2609"}]
        return {
            "document": {"type": "delivery-note", "number": number},
            "taker": to_hex(member_id(taker)),
            "despatchedAt": clock_text(now),
            "deadline": clock_text(now + int(hours * HOUR)),
            "units": [{"id": plate(one), "contents": contents} for one in plates],
        }

    def offer(self, giver: str, taker: str, number: str, *plates: int, **more: Any) -> bytes:
        """An offer of these pallets, opened where they never were, with the service when this returns."""
        gateway = self.gateway(giver)
        digest = gateway.offer(self.despatch(taker, number, *plates, **more), open_missing=True)
        assert gateway.push().refused == []
        return digest


@contextmanager
def yard(house: House, folder: Path) -> Iterator[Yard]:
    """Gateways against a service on a socket."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        yield Yard(house, str(house.anyone.base_url), folder, stack)
