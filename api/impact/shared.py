"""The network that all members share, as it stood at a checkpoint, and each member's view of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from ledger_service.ledger import Ledger
from risk.facts import Known
from risk.sharing import Hit, View


@dataclass(frozen=True)
class Checkpointed:
    """What is known on a day by the facts below a checkpoint's size.

    `checkpoint` is "<origin> <size> <root hex>"; `time` is when the last entry of it was registered.
    """

    checkpoint: str
    size: int
    time: datetime
    day: date
    known: Known


class SharedNetwork:
    """Keeps what members have stated current, checkpoint by checkpoint; `view_key` (32 bytes) makes ids in views."""

    def __init__(self, ledger: Ledger, view_key: bytes) -> None:
        self._ledger = ledger
        self._view_key = view_key

    def at(self, size: int | None, day: date) -> Checkpointed:
        """The network on `day` at the checkpoint of `size`, by default the newest; raises UnknownCheckpoint."""
        raise NotImplementedError

    def view(self, reader: bytes, at: Checkpointed, hits: Iterable[Hit] = (), requests: int = 0) -> View:
        """What the member `reader` may see of it and of `hits`, while `requests` of its questions are open."""
        raise NotImplementedError
