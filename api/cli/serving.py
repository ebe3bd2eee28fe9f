"""The service on a socket: in the foreground for `serve`, in a thread for the demo."""

import gc
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from api.app import Server, create_app
from api.cli.terminal import WrongUsage
from api.heads import BoundedHeads
from api.network import Network, now_ms
from api.settings import Settings
from ledger_service.errors import LedgerError

PLACE = "serving.json"
START_SECONDS = 60.0


class CannotServe(LedgerError):
    """The service did not come up; its log says why."""


class Serving:
    """A service bound to its address. `url` is where members reach it; port 0 has become a real one."""

    def __init__(self, network: Network, settings: Settings, now: Callable[[], int] = now_ms) -> None:
        self._socket = listen(settings.host, settings.port)
        settings = settings.model_copy(update={"port": self._socket.getsockname()[1]})
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = (settings.public_url or f"http://{host}:{settings.port}").rstrip("/")
        self.network = network
        config = uvicorn.Config(
            create_app(network, settings, now=now),
            loop="auto",
            http=BoundedHeads,
            ws="none",
            # Whoever is let through a proxy is not at the machine itself, whatever its headers say (see `Asks`).
            proxy_headers=False,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=10,
            server_header=False,
        )
        self._server = Server(config)

    def run(self) -> None:
        """Serve until the process is told to stop (SIGINT, SIGTERM)."""
        # What is loaded by now stays to the end: the collector need not walk over it again and again.
        gc.collect()
        gc.freeze()
        with placed(self.network.folder, self.url):
            self._server.run(sockets=[self._socket])
        if not self._server.started:
            raise CannotServe("the service did not start; the lines above say why")

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve in a thread of its own while the block lasts; the address."""
        failure: list[BaseException] = []

        def serve() -> None:
            try:
                self._server.run(sockets=[self._socket])
            except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
                failure.append(error)

        thread = threading.Thread(target=serve, name="service")
        with placed(self.network.folder, self.url):
            thread.start()
            try:
                self._await_start(thread, failure)
                yield self.url
            finally:
                self._server.should_exit = True
                thread.join()

    def _await_start(self, thread: threading.Thread, failure: list[BaseException]) -> None:
        pause = threading.Event()
        for _ in range(int(START_SECONDS * 100)):
            if self._server.started:
                return
            if not thread.is_alive():
                break
            pause.wait(0.01)
        raise CannotServe("the service did not start") from (failure[0] if failure else None)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises WrongUsage where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise WrongUsage(f"cannot listen on {host}:{port} ({error.strerror}): name another with --port") from error
    return found


@contextmanager
def placed(folder: Path, url: str) -> Iterator[None]:
    """Say in the network's folder where its service runs, so that `check` and `backup` find it."""
    path = folder / PLACE
    path.write_text(json.dumps({"pid": os.getpid(), "url": url}) + "\n", encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
