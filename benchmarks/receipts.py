"""Receipts at growing heights of the embedded chain: what one costs must not grow with the history behind it."""

import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from benchmarks.events import Author
from benchmarks.figures import Figure, Goal, percentile
from benchmarks.house import house
from ledger_service.bundle import receipt
from ledger_service.ledger import Call, Ledger, examine

HEIGHTS = (10, 1_000, 3_000)
QUICK_HEIGHTS = (10, 60, 120)
ROUNDS = 200


def run(*, quick: bool) -> Iterator[Figure]:
    """Milliseconds for a receipt when the chain is low, and the same as it grows."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name, house(Path(name)) as home:
        author = home.author()
        digests: list[bytes] = []
        lowest = 0.0
        for height in QUICK_HEIGHTS if quick else HEIGHTS:
            start = perf_counter()
            before = len(digests)
            while home.ledger.anchoring.next_block - 1 < height:
                digests.append(_anchor_one(home.ledger, author, home.now()))
                home.forward()
            rate = (len(digests) - before) / (perf_counter() - start)
            times = _times(home.ledger, digests)
            median = percentile(times, 0.5) * 1e3
            lowest = lowest or median
            yield Figure(
                f"a receipt at block {height:,}, median",
                median,
                "ms",
                () if median is lowest else (Goal(at_most=1.5, of_bare=True),),
                None if median is lowest else lowest,
                f"the same at block {HEIGHTS[0]}",
                f"p99 {percentile(times, 0.99) * 1e3:.1f} ms, of statements from the first to the last block; "
                f"got here at {rate:.0f} anchors/s",
            )


def _anchor_one(ledger: Ledger, author: Author, now: int) -> bytes:
    (item,) = examine(author.write(1), ledger.domain, now)
    digest = ledger.register(Call([item]), now).accepted[0].digest
    ledger.publish(now)
    return digest


def _times(ledger: Ledger, digests: list[bytes]) -> list[float]:
    times = []
    for number in range(ROUNDS):
        digest = digests[int.from_bytes(sha256(b"%d" % number).digest()[:4]) % len(digests)]
        start = perf_counter()
        made = receipt(ledger, digest).data
        times.append(perf_counter() - start)
        assert made
    return times
