"""Examination of statements in processes of their own: parsing, the field tree and the signature are most of the work.

What comes back from a worker are plain tuples. A worker that dies takes nothing with it: its chunk is examined again.
"""

import asyncio
import multiprocessing
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from api.examiner import settle
from api.problems import ExaminationFailed
from ledger_service.envelope import Examined
from ledger_service.errors import LedgerError
from ledger_service.ledger import examine
from ledger_service.statements import Domain

Result = Examined | LedgerError
CHUNK = 125
ATTEMPTS = 3


class Examiners:
    """A pool of `workers` processes that examine statements for one network; with 0 it is done in this process."""

    def __init__(self, domain: Domain, workers: int) -> None:
        self._domain = domain
        self._workers = workers
        self._lock = threading.Lock()
        self._pool = self._start()
        self.replaced = 0

    def _start(self) -> Executor:
        if self._workers == 0:
            return ThreadPoolExecutor(1, "examiner")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["ledger_service.ledger"])
        return ProcessPoolExecutor(self._workers, context, initializer=settle)

    def warm_up(self) -> None:
        """Start all workers now rather than with the first call."""
        for done in [self._pool.submit(examine, [], self._domain, 0) for _ in range(2 * self._workers)]:
            done.result()

    async def examine(self, items: Sequence[bytes], now: int) -> list[Result]:
        """What each envelope is, or why it is refused, in order; chunks of it at the same time."""
        chunks = [items[at : at + CHUNK] for at in range(0, len(items), CHUNK)]
        if len(chunks) == 1:
            return await self._chunk(chunks[0], now)
        results: list[Result] = []
        for part in await asyncio.gather(*(self._chunk(one, now) for one in chunks)):
            results += part
        return results

    async def _chunk(self, items: Sequence[bytes], now: int) -> list[Result]:
        for _attempt in range(ATTEMPTS):
            pool = self._pool
            try:
                return await asyncio.wrap_future(pool.submit(examine, items, self._domain, now))
            except BrokenProcessPool:
                self._replace(pool)
        raise ExaminationFailed(f"the examining process died {ATTEMPTS} times over these {len(items)} statements")

    def _replace(self, broken: Executor) -> None:
        with self._lock:
            if self._pool is broken:
                broken.shutdown(wait=False, cancel_futures=True)
                self._pool = self._start()
                self.replaced += 1

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
