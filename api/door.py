"""The door: calls that arrive while another is being stored are stored together, in one durable transaction.

There is no waiting for company: a lone call is stored at once, and the busier it gets the more calls share one
fsync and one message to the examiners.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError

from api.examination import Examiners, Result
from api.problems import Busy, EmptyCall, StorageUnavailable
from ledger_service.ledger import Call, Ledger, Registration

_log = logging.getLogger(__name__)
MAX_TOGETHER = 4_096
"""Statements in one transaction, so that no call waits long for its company; a larger call goes alone."""
MAX_SINGLES = 64
"""Single statements that are examined as one chunk."""

Vetting = Callable[[Sequence[Result]], Sequence[Result]]


@dataclass(slots=True)
class _Waiting:
    call: Call
    done: asyncio.Future[Registration]


class Door:
    """Takes calls from the event loop, examines them and registers them in a thread of its own.

    `room` is how many statements may be in the house at once; beyond it calls are told to come again. `on_registered`
    is called in the writer's thread after each transaction that registered something.
    """

    def __init__(
        self,
        ledger: Ledger,
        examiners: Examiners,
        now: Callable[[], int],
        *,
        room: int,
        on_registered: Callable[[list[Registration]], None],
    ) -> None:
        self._ledger = ledger
        self._examiners = examiners
        self._now = now
        self._room = room
        self._on_registered = on_registered
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._singles: list[tuple[bytes, asyncio.Future[Result]]] = []
        self._flights = 0
        self._inside = 0
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer = threading.Thread(target=self._write, name="door", daemon=True)
        self._writer.start()

    @property
    def inside(self) -> int:
        """How many statements are being examined or wait to be stored."""
        return self._inside

    async def register(self, items: Sequence[bytes], *, keep_good: bool, vet: Vetting) -> Registration:
        """Examine and register the envelopes of one call; raises CallRefused, BacklogFull or Busy.

        `vet` replaces what this caller may not register by the reason why.
        """
        if not items:
            raise EmptyCall("the call holds no statement")
        if self._inside and self._inside + len(items) > self._room:
            raise Busy(f"{self._inside} statements are being taken in already: send again in a moment")
        self._inside += len(items)
        try:
            if len(items) == 1:
                results: Sequence[Result] = [await self._examine_single(items[0])]
            else:
                results = await self._examiners.examine(items, self._now())
            done: asyncio.Future[Registration] = self._loop.create_future()
            self._queue.put(_Waiting(Call(vet(results), keep_good), done))
            # Once handed over a call is registered whether or not its sender still waits for the answer.
            return await asyncio.shield(done)
        finally:
            self._inside -= len(items)

    async def _examine_single(self, item: bytes) -> Result:
        future: asyncio.Future[Result] = self._loop.create_future()
        self._singles.append((item, future))
        if self._flights < 2:
            self._flights += 1
            task = self._loop.create_task(self._examine_singles())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _examine_singles(self) -> None:
        try:
            while self._singles:
                flight, self._singles = self._singles[:MAX_SINGLES], self._singles[MAX_SINGLES:]
                try:
                    results = await self._examiners.examine([item for item, _ in flight], self._now())
                except Exception as error:  # noqa: BLE001 - it is raised again where the call waits
                    for _, future in flight:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future), result in zip(flight, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        finally:
            self._flights -= 1

    def _write(self) -> None:
        left_over: _Waiting | None = None
        while True:
            first = left_over or self._queue.get()
            left_over = None
            if first is None:
                return
            group, size, is_last = [first], len(first.call.items), False
            while size < MAX_TOGETHER:
                try:
                    other = self._queue.get_nowait()
                except queue.Empty:
                    break
                if other is None:
                    is_last = True
                    break
                if size + len(other.call.items) > MAX_TOGETHER:
                    left_over = other
                    break
                group.append(other)
                size += len(other.call.items)
            outcomes: Sequence[Registration | BaseException]
            try:
                outcomes = self._ledger.register_all([one.call for one in group], self._now())
            except OperationalError as error:
                _log.error("nothing was stored: %s", error)
                outcomes = [StorageUnavailable("nothing was stored; what was sent may be sent again")] * len(group)
            except Exception as error:  # noqa: BLE001 - it is raised again where the calls wait
                outcomes = [error] * len(group)
            self._loop.call_soon_threadsafe(_deliver, group, outcomes)
            registered = [one for one in outcomes if isinstance(one, Registration)]
            if registered:
                self._on_registered(registered)
            if is_last:
                return

    def close(self) -> None:
        """Store what was handed over, and stop."""
        self._queue.put(None)
        self._writer.join(60)


def _deliver(group: Sequence[_Waiting], outcomes: Sequence[Registration | BaseException]) -> None:
    for one, outcome in zip(group, outcomes, strict=True):
        if one.done.done():
            continue
        if isinstance(outcome, BaseException):
            one.done.set_exception(outcome)
        else:
            one.done.set_result(outcome)
