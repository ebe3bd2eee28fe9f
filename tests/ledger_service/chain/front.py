"""A JSON-RPC node over HTTP on loopback, which answers for an engine in this process and misbehaves on request."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from web3.providers import BaseProvider
from web3.types import RPCEndpoint


@dataclass
class Reply:
    """What goes over the wire: `length` is what the header claims, `pause` seconds lie between two bytes, and `drop`
    closes the connection without a word.
    """

    body: bytes
    status: int = 200
    length: int | None = None
    pause: float = 0
    drop: bool = False
    location: str | None = None


Misbehaviour = Callable[["Front", dict[str, Any]], Reply]


class Front:
    """Serves `provider`; a method listed in `faults` gets that fault, `left` times, and good answers afterwards."""

    def __init__(self, provider: BaseProvider) -> None:
        self.provider = provider
        self.faults: dict[str, tuple[Misbehaviour, int]] = {}
        self.asked: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def misbehave(self, method: str, fault: Misbehaviour, times: int = 1) -> None:
        self.faults[method] = (fault, times)

    def well(self, question: dict[str, Any]) -> dict[str, Any]:
        """What a good node answers."""
        answer = self.provider.make_request(RPCEndpoint(question["method"]), question["params"])
        copied: dict[str, Any] = json.loads(json.dumps(answer))  # a fault may change it
        return {**copied, "id": question["id"]}

    def reply(self, question: dict[str, Any]) -> Reply:
        with self._lock:
            method = question["method"]
            self.asked.append(method)
            fault, left = self.faults.get(method, (None, 0))
            if fault is not None and left:
                self.faults[method] = (fault, left - 1)
                return fault(self, question)
            return Reply(json.dumps(self.well(question)).encode())


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        wbufsize = 65_536  # headers and body in one packet
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = front.reply(question)
            if reply.drop:
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
            if reply.location is not None:
                self.send_header("Location", reply.location)
            self.end_headers()
            try:
                self._write(reply)
            except OSError:  # the client has had enough
                self.close_connection = True

        def _write(self, reply: Reply) -> None:
            if reply.pause:
                for at in range(len(reply.body)):
                    self.wfile.write(reply.body[at : at + 1])
                    self.wfile.flush()
                    time.sleep(reply.pause)
            else:
                self.wfile.write(reply.body)
            self.wfile.flush()
            if reply.length is not None:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Nothing: tests read `asked`."""

    return Handler
