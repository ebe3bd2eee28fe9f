"""Memory over a long run: does the service grow with what it has taken in?"""

from collections.abc import Iterator

from benchmarks.figures import Figure, Goal
from benchmarks.ingest import batches, stream
from benchmarks.service import service


def run(*, quick: bool) -> Iterator[Figure]:
    """Growth of all the server's processes over the second half of the run, beside what came in meanwhile."""
    total = 10_000 if quick else 200_000
    step = total // 20
    with service() as server:
        author = server.author()
        samples = []
        taken = 0
        size = 0
        for _ in range(total // step):
            items = author.write(step)
            stream(server, batches(items, 500))
            taken += step
            size += sum(map(len, items))
            samples.append((taken, *server.memory_kib()))
        server.settle()
        later = [(count, own + below) for count, own, below in samples if count > total // 2]
        slope = _slope(later)
        came_in = size / taken * 1000 / 1024
        yield Figure(
            f"growth of memory from {total // 2:,} to {total:,} events",
            max(slope * 1000, 0.0),
            "KiB per 1,000 events",
            (Goal(at_most=0.02, of_bare=True),),
            came_in,
            "what came in over HTTP",
            "MiB of server + examiners (PSS) by thousand events: "
            + ", ".join(f"{n // 1000}: {own / 1024:.0f} + {below / 1024:.0f}" for n, own, below in samples[1::2]),
        )


def _slope(samples: list[tuple[int, int]]) -> float:
    """KiB per event of the least-squares line."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    over = sum((x - mean_x) * (y - mean_y) for x, y in samples)
    return over / sum((x - mean_x) ** 2 for x, _ in samples)
