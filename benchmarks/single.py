"""One event per call: many partners that each send one event at a time on a kept-alive connection."""

import asyncio
from collections.abc import Iterator, Sequence
from time import perf_counter

from benchmarks.figures import Figure, Goal, own_cpu_seconds, percentile
from benchmarks.service import ServerFailed, Service, service

CONNECTIONS = (16, 64)
PACE = 500
PACED_CONNECTIONS = 64


def run(*, quick: bool) -> Iterator[Figure]:
    """Calls per second with every connection busy, and the time of a call at the promised pace."""
    calls = 1_000 if quick else 6_000
    with service() as server:
        token = server.sign_in()
        author = server.author()
        asyncio.run(_closed(server, [_post(token, item) for item in author.write(500)], 16))
        for connections in CONNECTIONS:
            requests = [_post(token, item) for item in author.write(calls)]
            nothing = [_get(token, "/health/live")] * calls
            idle = asyncio.run(_closed(server, nothing, connections))
            own, others, start = own_cpu_seconds(), sum(server.cpu_seconds().values()), perf_counter()
            times = asyncio.run(_closed(server, requests, connections))
            seconds = perf_counter() - start
            client = (own_cpu_seconds() - own) / calls
            served = (sum(server.cpu_seconds().values()) - others) / calls
            yield Figure(
                f"one event a call, {connections} connections, each always busy",
                calls / seconds,
                "events/s",
                (Goal(at_least=PACE),),
                calls / sum(idle) * connections,
                "calls of /health/live over the same connections",
                f"p50 {percentile(times, 0.5) * 1e3:.0f} ms, p99 {percentile(times, 0.99) * 1e3:.0f} ms; "
                f"processor time a call: client (asyncio over bare sockets) {client * 1e6:.0f} µs, "
                f"server and examiners {served * 1e6:.0f} µs",
            )
        seconds_paced = 3 if quick else 15
        requests = [_post(token, item) for item in author.write(PACE * seconds_paced)]
        start = perf_counter()
        times = asyncio.run(_paced(server, requests))
        yield Figure(
            f"one event a call, {PACE} offered a second, p99 of a call",
            percentile(times, 0.99) * 1e3,
            "ms",
            (Goal(at_most=250),),
            note=f"p50 {percentile(times, 0.5) * 1e3:.1f} ms, longest {max(times) * 1e3:.0f} ms, "
            f"counted from when each call was due; {len(times) / (perf_counter() - start):,.0f} calls a second",
        )


def _post(token: str, data: bytes) -> bytes:
    head = (
        f"POST /v1/statements HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def _get(token: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


class _Line:
    """One connection, one call at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, server: Service) -> "_Line":
        return cls(*await asyncio.open_connection(server.host, server.port))

    async def call(self, request: bytes) -> None:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 20" not in head[:14]:
            raise ServerFailed(head.decode())
        length = head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]
        await self._reader.readexactly(int(length))

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def _closed(server: Service, requests: Sequence[bytes], connections: int) -> list[float]:
    """Seconds of each call, when every connection sends its next as soon as its last is answered."""
    todo = iter(requests)
    times: list[float] = []
    lines = [await _Line.open(server) for _ in range(connections)]

    async def send(line: _Line) -> None:
        for request in todo:
            start = perf_counter()
            await line.call(request)
            times.append(perf_counter() - start)

    await asyncio.gather(*(send(line) for line in lines))
    for line in lines:
        await line.close()
    return times


async def _paced(server: Service, requests: Sequence[bytes]) -> list[float]:
    """Seconds of each call from the moment it was due, at `PACE` calls a second whatever the server does."""
    free: asyncio.Queue[_Line] = asyncio.Queue()
    for _ in range(PACED_CONNECTIONS):
        free.put_nowait(await _Line.open(server))
    times: list[float] = []
    begin = perf_counter() + 0.1

    async def send(request: bytes, due: float) -> None:
        line = await free.get()
        await line.call(request)
        times.append(perf_counter() - due)
        free.put_nowait(line)

    async with asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            due = begin + number / PACE
            await asyncio.sleep(max(due - perf_counter(), 0))
            group.create_task(send(request, due))
    while not free.empty():
        await free.get_nowait().close()
    return times
