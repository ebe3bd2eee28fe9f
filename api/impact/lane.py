"""A thread for what takes long: whoever asks need not wait for it, and what two ask for is done once."""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from ledger_service.uncollected import UNCOLLECTED

IDLE_SECONDS = 10.0
"""How long the thread stays, should there be more to do."""
Done = TypeVar("Done")


class Lane:
    """A thread that does one thing after the other, while there is any to do."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._is_running = False
        self._asked: dict[Hashable, Future[Any]] = {}
        self._waiting: deque[tuple[Hashable, Callable[[], Any], Future[Any]]] = deque()

    def ask(self, key: Hashable, work: Callable[[], Done]) -> "Future[Done]":
        """What `work` will give; whoever asks for the same `key` before it is begun gets the same."""
        with self._changed:
            future = self._asked.get(key)
            if future is None:
                future = self._asked[key] = Future()
                self._waiting.append((key, work, future))
                self._changed.notify()
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            return future

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting and not self._changed.wait_for(lambda: bool(self._waiting), IDLE_SECONDS):
                    self._is_running = False
                    return
                key, work, future = self._waiting.popleft()
                del self._asked[key]
            try:
                with UNCOLLECTED:
                    found = work()
                future.set_result(found)
            except Exception as error:  # noqa: BLE001 - it is for whoever asked
                future.set_exception(error)
