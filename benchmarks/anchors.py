"""The embedded chain: checkpoints anchored a second. For information."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.figures import Figure, percentile
from benchmarks.house import house
from ledger_service.ledger import Call, examine


def run(*, quick: bool) -> Iterator[Figure]:
    """Anchors a second, each of one new statement, beside what the disk alone can do."""
    count = 30 if quick else 200
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name:
        folder = Path(name)
        with house(folder / "network") as home:
            author, ledger = home.author(), home.ledger
            whole: list[float] = []
            for _ in range(count):
                examined = examine(author.write(1), ledger.domain, home.now())
                ledger.register(Call(examined), home.now())
                start = perf_counter()
                ledger.publish(home.now())
                whole.append(perf_counter() - start)
                home.forward()
        syncs = _syncs(folder / "file", count)
        yield Figure(
            "checkpoints anchored by the ledger, one at a time",
            count / sum(whole),
            "per s",
            bare=syncs,
            bare_is="4 KiB written and synced to the same disk",
            note=f"p50 {percentile(whole, 0.5) * 1e3:.0f} ms, p99 {percentile(whole, 0.99) * 1e3:.0f} ms: "
            "checkpoint, tiles, signature, block, proof",
        )


def _syncs(path: Path, count: int) -> float:
    start = perf_counter()
    with path.open("wb") as file:
        for _ in range(count):
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
    return count / (perf_counter() - start)
