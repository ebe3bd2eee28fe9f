"""The rounds: one thread that does what comes up beside publishing, one task after the other, each second."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ledger_service.errors import LedgerError

IDLE_SECONDS = 1.0
"""How often the rounds are made while nobody asks for one."""
LONGEST_PAUSE_SECONDS = 30.0
SHARE = 0.5
"""What the rounds take of the time at most, however much there is to do and whoever nudges: calls come first."""
_log = logging.getLogger(__name__)

Task = Callable[[int], bool]
"""Does a piece of what there is to do at a time (ms UTC), in well under a second; whether it did something."""


@dataclass(frozen=True, slots=True)
class TaskCondition:
    """How a task stands, in ms UTC by the clock of the rounds.

    `trouble` says what went wrong last and is None when all is well; `failures` counts rounds in a row since `since`.
    """

    trouble: str | None = None
    since: int | None = None
    failures: int = 0
    done_at: int | None = None


@dataclass(slots=True)
class _Entry:
    task: Task
    condition: TaskCondition
    resumes: float = 0.0  # on the monotonic clock


class Rounds:
    """Runs named tasks until it is closed. A task that fails is tried again after a pause, longer each time up to half
    a minute, and keeps nobody else waiting.
    """

    def __init__(
        self,
        now: Callable[[], int],
        *,
        idle_seconds: float = IDLE_SECONDS,
        on_trouble: Callable[[str, LedgerError], None] = lambda _name, _error: None,
    ) -> None:
        self._now = now
        self._idle = idle_seconds
        self._on_trouble = on_trouble
        self._entries: dict[str, _Entry] = {}
        self._wake = threading.Event()
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rounds", daemon=True)

    def add(self, name: str, task: Task) -> None:
        """Make `task` part of the rounds, after those that are part of them already. Before `start`."""
        assert name not in self._entries, f"there is a task {name!r} already"
        self._entries[name] = _Entry(task, TaskCondition())

    @property
    def conditions(self) -> dict[str, TaskCondition]:
        """How each task stands."""
        return {name: entry.condition for name, entry in self._entries.items()}

    def start(self) -> None:
        self._thread.start()

    def nudge(self) -> None:
        """There is something to do: do not sleep over it."""
        self._wake.set()

    def once(self) -> bool:
        """One round, in the calling thread: whether any task did something."""
        worked = [self._step(name, entry) for name, entry in self._entries.items() if not self._is_closing.is_set()]
        return any(worked)

    def _run(self) -> None:
        while not self._is_closing.is_set():
            self._wake.clear()
            started = time.monotonic()
            worked = self.once()
            took = time.monotonic() - started
            if not worked:
                self._wake.wait(self._idle)
            # Whoever nudges all the time gets no more than this either: to look for work costs something, too.
            rested = time.monotonic() - started - took
            self._is_closing.wait(max(min(took * (1 / SHARE - 1), self._idle) - rested, 0))

    def _step(self, name: str, entry: _Entry) -> bool:
        if time.monotonic() < entry.resumes:
            return False
        before = entry.condition
        try:
            worked = entry.task(self._now())
        except Exception as error:  # noqa: BLE001 - the rounds outlive whatever is wrong; the operator is told
            self._note(name, entry, error)
            return False
        if before.failures:
            _log.warning("%s goes on after %d failures", name, before.failures)
        entry.condition = TaskCondition(done_at=self._now() if worked else before.done_at)
        return worked

    def _note(self, name: str, entry: _Entry, error: Exception) -> None:
        before = entry.condition
        pause = min(self._idle * 2 ** min(before.failures, 16), LONGEST_PAUSE_SECONDS)
        entry.resumes = time.monotonic() + pause
        entry.condition = replace(
            before, trouble=str(error), since=before.since or self._now(), failures=before.failures + 1
        )
        if isinstance(error, LedgerError):
            self._on_trouble(name, error)
            _log.warning("%s: %s", name, error)
        else:
            _log.error("%s: %s", name, error, exc_info=error)

    def close(self) -> None:
        """Finish the task under way, and stop."""
        self._is_closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(60)
