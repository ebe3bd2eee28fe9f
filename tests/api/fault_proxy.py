"""A proxy between a client and a real service that fails in the ways a network fails, when a test says so."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

NEVER_SENT = "the request never arrived"
ANSWER_LOST = "it happened, and the answer was lost"
BUSY = "the service is busy"

Bend = Callable[[bytes], bytes]


@dataclass
class FaultProxy:
    """Passes everything on, but for what `next_faults` say about calls whose path begins with `about`."""

    target: str
    url: str = ""
    about: str = "/v1/statements/batch"
    next_faults: list[str] = field(default_factory=list)
    bend: Bend | None = None
    bodies: list[bytes] = field(default_factory=list)

    def fault_of(self, path: str) -> str | None:
        return self.next_faults.pop(0) if self.next_faults and path.startswith(self.about) else None


@contextmanager
def fault_proxy(target: str) -> Iterator[FaultProxy]:
    """A proxy on this machine for the service at `target`."""
    proxy = FaultProxy(target)
    with httpx.Client(base_url=target, timeout=20) as http:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                watched = self.path.startswith(proxy.about)
                if watched:
                    proxy.bodies.append(body)
                fault = proxy.fault_of(self.path)
                if fault == BUSY:
                    self.give(503, b'{"title": "busy", "status": 503}', {"retry-after": "7"})
                    return
                if fault == NEVER_SENT:
                    self.hang_up()
                    return
                kept = ("authorization", "content-type")
                headers = {name: self.headers[name] for name in kept if name in self.headers}
                answer = http.request(self.command, self.path, content=body, headers=headers)
                if fault == ANSWER_LOST:
                    self.hang_up()
                    return
                content = answer.content
                if watched and proxy.bend is not None:
                    content = proxy.bend(content)
                passed = ("content-type", "retry-after")
                self.give(
                    answer.status_code,
                    content,
                    {name: answer.headers[name] for name in passed if name in answer.headers},
                )

            do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names are http.server's

            def give(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def hang_up(self) -> None:
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
