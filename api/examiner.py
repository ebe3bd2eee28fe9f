"""What an examining process does besides examining. Imports little: it is read anew in each of them."""

import gc
import os
import signal
import threading
from multiprocessing import parent_process


def settle() -> None:
    """Leave the end to the service: an interrupt at the terminal is its business, and its death is ours too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is loaded by now stays to the end: the collector need not walk over it again and again.
    gc.freeze()
    threading.Thread(target=_follow, name="follow", daemon=True).start()


def _follow() -> None:
    """Wait until the service has gone, however it went, and go."""
    service = parent_process()
    if service is not None:
        service.join()
    os._exit(0)
