"""The publisher: a loop that brings what is registered onto the chain, and says what keeps it from doing so."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ledger_service.anchoring import Anchored, AnchorRefused, Divergence
from ledger_service.chain.errors import ChainUnavailable
from ledger_service.errors import LedgerError
from ledger_service.ledger import Ledger

IDLE_SECONDS = 1.0
"""How often the registry is looked at while there is nothing to anchor."""
LONGEST_PAUSE_SECONDS = 30.0
SHARE = 4
"""Between two checkpoints pauses at least this many times what the last one took, so that publishing never takes
over.
"""
MAX_LEAD_SECONDS = 30
"""On the embedded chain each block has a second of its own. Once so many blocks have run ahead of the clock, there is
one a second: a verifier allows the two clocks five minutes.
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """How publication stands. Times in ms UTC, by the ledger's clock.

    `trouble` says what went wrong last and is None when all is well; `failures` counts attempts in a row since `since`.
    `is_halted` means that a person must decide: ledger and chain tell different histories.
    """

    trouble: str | None = None
    since: int | None = None
    failures: int = 0
    retry_seconds: float = 0
    is_halted: bool = False
    anchored_at: int | None = None


class Publisher:
    """Publishes in a thread of its own until it is closed.

    After ChainUnavailable or AnchorRefused it waits, longer each time up to half a minute, and tries again.
    """

    def __init__(
        self,
        ledger: Ledger,
        now: Callable[[], int],
        *,
        interval_seconds: float,
        on_anchored: Callable[[Anchored], None],
        on_trouble: Callable[[LedgerError], None],
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._interval = interval_seconds
        self._on_anchored = on_anchored
        self._on_trouble = on_trouble
        self._wake = threading.Event()
        self._is_closing = threading.Event()
        self.condition = Condition()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def nudge(self) -> None:
        """There is something to publish: do not sleep over it."""
        self._wake.set()

    def _run(self) -> None:
        while not self._is_closing.is_set():
            if self.is_chain_ahead():
                self._is_closing.wait(1)
            self._wake.clear()
            started = time.monotonic()
            is_well = self._step()
            took = time.monotonic() - started
            if not is_well:
                self._is_closing.wait(self.condition.retry_seconds)
            elif self._ledger.waiting:
                self._is_closing.wait(max(self._interval, min(SHARE * took, IDLE_SECONDS)))
            elif not self._wake.wait(IDLE_SECONDS):
                continue

    def is_chain_ahead(self) -> bool:
        """Whether the blocks of the chain have run ahead of the clock, so that more of them should wait."""
        try:
            return self._ledger.anchoring.chain.head().timestamp * 1000 > self._now() + MAX_LEAD_SECONDS * 1000
        except ChainUnavailable:
            return False  # publishing finds that out and says it

    def _step(self) -> bool:
        try:
            anchored = self._ledger.publish(self._now())
        except Exception as error:  # noqa: BLE001 - the loop must outlive whatever is wrong; the operator is told
            self._note(error)
            return False
        if self.condition.failures:
            _log.warning("publication goes on after %d failures", self.condition.failures)
        at = self.condition.anchored_at if anchored is None else self._now()
        self.condition = Condition(anchored_at=at)
        if anchored is not None:
            self._on_anchored(anchored)
        return True

    def _note(self, error: Exception) -> None:
        before = self.condition
        pause = min(self._interval * 2 ** min(before.failures, 16), LONGEST_PAUSE_SECONDS)
        self.condition = replace(
            before,
            trouble=str(error),
            since=before.since or self._now(),
            failures=before.failures + 1,
            retry_seconds=pause,
            is_halted=isinstance(error, Divergence),
        )
        if isinstance(error, LedgerError):
            self._on_trouble(error)
        if isinstance(error, ChainUnavailable | AnchorRefused):
            _log.warning("not published: %s", error)
        else:
            _log.error("not published: %s", error, exc_info=error)

    def close(self) -> None:
        """Finish the step under way, and stop."""
        self._is_closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(60)
