"""A while without the search for reference cycles, where much is made that stays."""

import gc
from threading import Lock


class Uncollected:
    """No search for reference cycles within: of rows by the hundred thousand, all of which stay and hold none, it
    takes as long as the answer itself. Threads may be within at the same time.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._within = 0
        self._was_on = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self._was_on = gc.isenabled()
                gc.disable()
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within and self._was_on:
                gc.enable()


UNCOLLECTED = Uncollected()
"""One for all threads."""
