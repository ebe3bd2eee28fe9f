"""Ingest in batches: signed events over HTTP, examined, stored durably and logged while the chain anchors them."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import perf_counter

import orjson

from benchmarks.events import bare_rate, bare_rate_of_two
from benchmarks.figures import Figure, Goal, busy_seconds, own_cpu_seconds
from benchmarks.service import Connection, ServerFailed, Service, service

SIZES = (100, 500, 2000)
CONNECTIONS = 4


def run(*, quick: bool) -> Iterator[Figure]:
    """Events per second, the client's own work included, for batches of each size."""
    events, rounds = (2_000, 1) if quick else (10_000, 4)
    with service() as server:
        author = server.author()
        sample = author.write(1_000 if quick else 3_000)
        yield Figure(
            "bare on two processes: parse + field tree + digest + recover",
            bare_rate_of_two(sample, server.domain),
            "events/s",
            note="all that two cores could give if a server and a client cost nothing",
        )
        stream(server, batches(sample, 100))  # the server has met its code once
        for size in SIZES:
            found, limit = min(
                (_round(server, author.write(events), size, sample) for _ in range(rounds)),
                key=lambda one: one[0].others_cpu / one[0].seconds,
            )
            yield Figure(
                f"ingest over HTTP, batches of {size:,}",
                found.rate,
                "events/s",
                (Goal(at_least=5_000), Goal(at_least=0.5, of_bare=True)),
                limit,
                "parse + field tree + digest + recover on one process",
                f"{events:,} events on {CONNECTIONS} connections in {found.seconds:.2f} s, "
                f"of {rounds} rounds the one that other processes disturbed least;\n"
                f"processor time per event: {found.shares};\n"
                f"the index of trails had {found.unindexed:,} of the events to read at the end",
            )
        server.settle()


def _round(server: Service, items: list[bytes], size: int, sample: list[bytes]) -> tuple["Streamed", float]:
    """How a stream of batches went, and the bare rate just before and just after it."""
    server.settle()
    before = bare_rate(sample, server.domain)
    found = stream(server, batches(items, size))
    return found, (before + bare_rate(sample, server.domain)) / 2


def batches(items: list[bytes], size: int) -> list[tuple[int, bytes]]:
    """The bodies of calls with `size` envelopes each, one a line."""
    chunks = [items[at : at + size] for at in range(0, len(items), size)]
    return [(len(chunk), b"\n".join(chunk)) for chunk in chunks]


@dataclass(frozen=True, slots=True)
class Streamed:
    """How a stream of batches went."""

    events: int
    seconds: float
    client_cpu: float
    server_cpu: dict[str, float]
    others_cpu: float
    unindexed: int

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def shares(self) -> str:
        """Whose processor time went into an event, and whose into something else meanwhile."""
        parts = {"client": self.client_cpu} | self.server_cpu
        each = ", ".join(f"{name} {seconds / self.events * 1e6:.0f} µs" for name, seconds in parts.items())
        cores = self.seconds * (os.cpu_count() or 1)
        shares = f"{sum(parts.values()) / cores:.0%} of the machine, other processes {self.others_cpu / cores:.0%}"
        return f"{each}: {shares}"


def stream(server: Service, bodies: list[tuple[int, bytes]], connections: int = CONNECTIONS) -> Streamed:
    """Send every body, as fast as they are answered, and read each answer."""
    todo: SimpleQueue[tuple[int, bytes]] = SimpleQueue()
    for body in bodies:
        todo.put(body)
    failures: list[str] = []

    def send(connection: Connection) -> None:
        while not failures:
            try:
                count, data = todo.get_nowait()
            except Empty:
                return
            status, answer = connection.post("/v1/statements/batch", data, "application/x-ndjson")
            if status == 503:
                todo.put((count, data))
                continue
            if status != 201 or orjson.loads(answer)["registered"] != count:
                failures.append(answer[:500].decode())

    token = server.sign_in()
    lines = [Connection(server, token) for _ in range(min(connections, len(bodies)))]
    threads = [threading.Thread(target=send, args=(line,)) for line in lines]
    own, before, busy, start = own_cpu_seconds(), server.cpu_seconds(), busy_seconds(), perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for line in lines:
        line.close()
    seconds = perf_counter() - start
    if failures:
        raise ServerFailed(f"a batch was not taken: {failures[0]}")
    busy = busy_seconds() - busy
    used = {pid: cpu - before.get(pid, 0) for pid, cpu in server.cpu_seconds().items()}
    client = own_cpu_seconds() - own
    others = max(busy - client - sum(used.values()), 0.0)
    main = used.pop(server.process.pid, 0.0)
    return Streamed(
        sum(count for count, _ in bodies),
        seconds,
        client,
        {"server": main, "examiners": sum(used.values())},
        others,
        server.unindexed,
    )
