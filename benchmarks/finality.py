"""From registered to final: how long after the answer a statement is anchored on the embedded chain."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import orjson

from benchmarks.events import Author
from benchmarks.figures import Figure, Goal, percentile
from benchmarks.ingest import batches, stream
from benchmarks.service import Connection, ServerFailed, Service, service

GOAL = (Goal(at_most=2),)
LOOK_SECONDS = 0.01
PATIENCE_SECONDS = 60


def run(*, quick: bool) -> Iterator[Figure]:
    """Seconds from the answer until the ledger says `anchored`, alone and while batches stream in."""
    count = 12 if quick else 60
    with service() as server:
        author = server.author()
        times = _watch(server, author, count)
        yield _figure("registered to final, nothing else going on, p99", times)
        load = replace(author, source="load", base=10_000_000, written=0).write(3_000 if quick else 24_000)
        done = threading.Event()
        rates: list[float] = []

        def pour() -> None:
            rates.append(stream(server, batches(load, 500), connections=2).rate)
            done.set()

        pouring = threading.Thread(target=pour)
        pouring.start()
        times = _watch(server, author, count, done)
        pouring.join()
        if not rates:
            raise ServerFailed("the batches were not taken")
        rate = rates[0]
        yield _figure(f"registered to final, {rate:,.0f} events/s streaming in, p99", times)


def _figure(what: str, times: list[float]) -> Figure:
    looks = f"looked at every {LOOK_SECONDS * 1e3:.0f} ms"
    note = f"p50 {percentile(times, 0.5):.2f} s, longest {max(times):.2f} s of {len(times)}; {looks}"
    return Figure(what, percentile(times, 0.99), "s", GOAL, note=note)


def _watch(server: Service, author: Author, count: int, until: threading.Event | None = None) -> list[float]:
    """Seconds to final of up to `count` statements, one after the other, at odd moments of the publisher's pace."""
    connection = server.connect()
    times: list[float] = []
    for number in range(count):
        if until is not None and until.is_set() and times:
            break
        (item,) = author.write(1)
        status, data = connection.post("/v1/statements", item)
        if status != 201:
            raise ServerFailed(data.decode())
        times.append(_seconds_to_final(connection, orjson.loads(data)["digest"]))
        time.sleep(0.05 + 0.037 * (number % 7))
    connection.close()
    return times


def _seconds_to_final(connection: Connection, digest: str) -> float:
    start = time.perf_counter()
    while time.perf_counter() - start < PATIENCE_SECONDS:
        _, data = connection.get(f"/v1/statements/{digest}")
        if orjson.loads(data)["state"] == "anchored":
            return time.perf_counter() - start
        time.sleep(LOOK_SECONDS)
    raise ServerFailed(f"{digest} was not anchored within {PATIENCE_SECONDS} s")
