"""The offline check of a bundle of 100 events, and of a record of 100 handoffs: from the process's start to its end."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import orjson

from benchmarks.figures import Figure, Goal, percentile
from benchmarks.handoffs import Shuttle
from benchmarks.house import house
from benchmarks.service import FROM, TO
from ledger_service.bundle import audit_bundle
from ledger_service.ledger import Call, examine

EVENTS = 100
PALLETS, ROUNDS = 10, 10


def run(*, quick: bool) -> Iterator[Figure]:
    """Seconds of `tallystick verify` as a user runs it."""
    yield from _events(quick=quick)
    yield from _handoffs(quick=quick)


def _handoffs(*, quick: bool) -> Iterator[Figure]:
    rounds = 5 if quick else 15
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name:
        folder = Path(name)
        with house(folder / "network") as home:
            shuttle = Shuttle(home, PALLETS)
            shuttle.open()
            for number in range(ROUNDS):
                shuttle.hand_over(*((FROM, TO) if number % 2 == 0 else (TO, FROM)))
            made = shuttle.bundle()
            (folder / "bundle.json").write_bytes(made.data)
            (folder / "trust.json").write_bytes(orjson.dumps(home.network.trust().as_json()))
        command = ["-m", "api.cli", "verify", str(folder / "bundle.json"), "--trust", str(folder / "trust.json")]
        times = [_seconds(command) for _ in range(rounds)]
        bare = percentile([_seconds(["-c", "pass"]) for _ in range(rounds)], 0.5)
        steps = sum(len(one.steps) - 1 for one in made.custody.units) if made.custody is not None else 0
        yield Figure(
            f"verify a record of {steps} handoffs, process start to exit, median",
            percentile(times, 0.5),
            "s",
            (Goal(at_most=1),),
            bare,
            "a bare Python that does nothing",
            f"longest {max(times):.2f} s of {rounds}; {len(made.statements)} statements, {PALLETS} units, "
            f"{len(made.data) / 1024:,.0f} KiB",
        )


def _events(*, quick: bool) -> Iterator[Figure]:
    rounds = 5 if quick else 15
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name:
        folder = Path(name)
        with house(folder / "network") as home:
            author = home.author()
            for _ in range(10):
                examined = examine(author.write(EVENTS // 10), home.ledger.domain, home.now())
                home.ledger.register(Call(examined), home.now())
                home.ledger.publish(home.now())
                home.forward()
            streams = {sha256(FROM.id + f"{author.source} {place}".encode()).digest(): (1, None) for place in range(4)}
            made = audit_bundle(home.ledger, streams)
            (folder / "bundle.json").write_bytes(made.data)
            (folder / "trust.json").write_bytes(orjson.dumps(home.network.trust().as_json()))
        command = ["-m", "api.cli", "verify", str(folder / "bundle.json"), "--trust", str(folder / "trust.json")]
        times = [_seconds(command) for _ in range(rounds)]
        bare = percentile([_seconds(["-c", "pass"]) for _ in range(rounds)], 0.5)
        yield Figure(
            f"verify a bundle of {len(made.statements)} events, process start to exit, median",
            percentile(times, 0.5),
            "s",
            (Goal(at_most=1),),
            bare,
            "a bare Python that does nothing",
            f"longest {max(times):.2f} s of {rounds}; the bundle has {(len(made.data)) / 1024:,.0f} KiB",
        )


def _seconds(arguments: list[str]) -> float:
    environment = os.environ | {"NO_COLOR": "1"}
    start = perf_counter()
    done = subprocess.run([sys.executable, *arguments], check=False, capture_output=True, env=environment)
    seconds = perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"exit {done.returncode}: {done.stdout.decode()}{done.stderr.decode()}")
    return seconds
