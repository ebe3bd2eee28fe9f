"""The rounds: one thread that does what comes up beside publishing, one task after the other.

A task is woken by the news that concern it, and by its timer: where it works by the clock, each second; where it is
told of all that it works on, now and then all the same, should it ever not have been told. At the start everything is
looked at once, so that a crash loses nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from ledger_service.errors import LedgerError

IDLE_SECONDS = 1.0
"""How often a task looks for work of which nobody tells it."""
SAFETY_SECONDS = 15.0
"""How often a task looks for work of which it is always told."""
LONGEST_PAUSE_SECONDS = 30.0
SHARE = 0.5
"""What the rounds take of the time at most, however much there is to do and whoever nudges: calls come first."""
_log = logging.getLogger(__name__)

Task = Callable[[int], bool]
"""Does a piece of what there is to do at a time (ms UTC), in well under a second; whether there may be more."""


class News(StrEnum):
    """What wakes tasks, beside the kinds of statements: each kind that was registered is news by its own name."""

    REGISTERED = "registered"
    """Statements, of whatever kind."""
    INDEXED = "indexed"
    """The index of trails has read statements of custody."""
    SUBMITTED = "submitted"
    """Steps of custody were given to the relay."""
    STEPS = "steps"
    """The chain took steps, or refused some."""
    ANCHORED = "anchored"


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
    """A task and when its next turn is, on the monotonic clock; `is_woken` where it need not wait for its timer."""

    task: Task
    on: frozenset[str]
    every: float
    condition: TaskCondition
    is_woken: bool = True
    ticks: float = 0.0
    resumes: float = 0.0

    @property
    def due(self) -> float:
        return self.resumes if self.is_woken else max(self.ticks, self.resumes)


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

    def add(self, name: str, task: Task, *, on: Collection[str] = (), every: float | None = None) -> None:
        """Make `task` part of the rounds, after those that are part of them already. Before `start`.

        It has its turn after news that are `on` its list, and `every` so many seconds, by default as often as the
        rounds look at all.
        """
        assert name not in self._entries, f"there is a task {name!r} already"
        self._entries[name] = _Entry(task, frozenset(on), self._idle if every is None else every, TaskCondition())

    @property
    def conditions(self) -> dict[str, TaskCondition]:
        """How each task stands."""
        return {name: entry.condition for name, entry in self._entries.items()}

    def start(self) -> None:
        self._thread.start()

    def nudge(self, *news: str) -> None:
        """Wake the tasks that any of `news` concern, or all of them where none are named. In any thread."""
        for entry in self._entries.values():
            if not entry.is_woken and (not news or not entry.on.isdisjoint(news)):
                entry.is_woken = True
                self._wake.set()

    def rest(self, name: str, seconds: float) -> None:
        """Leave out a task for so long, whoever wakes it: that is for the task itself to say, in its turn."""
        self._entries[name].resumes = time.monotonic() + seconds

    def once(self) -> bool:
        """One round in the calling thread, of every task, whether it is its turn or not; whether any did something."""
        worked = [self._step(name, entry) for name, entry in self._entries.items() if not self._is_closing.is_set()]
        return any(worked)

    def _run(self) -> None:
        while not self._is_closing.is_set():
            self._wake.clear()
            started = time.monotonic()
            for name, entry in self._entries.items():
                if entry.due <= time.monotonic() and not self._is_closing.is_set():
                    self._step(name, entry)
            ended = time.monotonic()
            if not self._is_closing.is_set():
                self._wake.wait(max(min(entry.due for entry in self._entries.values()) - ended, 0))
            # Whoever nudges all the time gets no more than this either: to look for work costs something, too.
            rested = time.monotonic() - ended
            self._is_closing.wait(max(min((ended - started) * (1 / SHARE - 1), self._idle) - rested, 0))

    def _step(self, name: str, entry: _Entry) -> bool:
        before = entry.condition
        if before.failures and time.monotonic() < entry.resumes:
            return False
        entry.is_woken = False  # before it looks: what comes up meanwhile wakes it again
        try:
            worked = entry.task(self._now())
        except Exception as error:  # noqa: BLE001 - the rounds outlive whatever is wrong; the operator is told
            self._note(name, entry, error)
            return False
        if before.failures:
            _log.warning("%s goes on after %d failures", name, before.failures)
        entry.condition = TaskCondition(done_at=self._now() if worked else before.done_at)
        entry.ticks = time.monotonic() + entry.every
        if worked:
            entry.is_woken = True
        return worked

    def _note(self, name: str, entry: _Entry, error: Exception) -> None:
        before = entry.condition
        pause = min(self._idle * 2 ** min(before.failures, 16), LONGEST_PAUSE_SECONDS)
        entry.resumes = time.monotonic() + pause
        entry.is_woken = True
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
