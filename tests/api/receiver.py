"""A receiver of webhooks on this machine, which behaves as a test says."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson

from api.webhooks import sign


@dataclass
class Delivery:
    """One call as it arrived."""

    id: str
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return str(orjson.loads(self.body)["type"])

    def is_signed(self, secret: str) -> bool:
        """Whether one of its signatures was made with this secret."""
        expected = sign(secret, self.id, int(self.headers["webhook-timestamp"]), self.body)
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """Answers each call with what `answers` gives for it, 204 by default; None hangs up after having taken it."""

    url: str = ""
    host: str = ""
    heard: list[Delivery] = field(default_factory=list)
    answers: Callable[[Delivery], int | None] = lambda _: 204
    pause: float = 0

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.heard]

    def wait(self, count: int, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while len(self.heard) < count:
            assert time.monotonic() < deadline, f"{len(self.heard)} of {count} calls came"
            time.sleep(0.01)


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """A receiver while the block runs."""
    one = Receiver()
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            delivery = Delivery(headers["webhook-id"], headers, body)
            one.heard.append(delivery)
            if one.pause:
                is_over.wait(one.pause)
            answer = one.answers(delivery)
            if answer is not None:
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            del format, args

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            del request, client_address  # whoever called has left

    server = Server(("127.0.0.1", port), Handler)
    one.host = f"127.0.0.1:{server.server_address[1]}"
    one.url = f"http://{one.host}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield one
    finally:
        is_over.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
