"""What a batch went into and where it is now, out of histories of 100,000 and a million statements."""

import gc
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import networkx as nx
import orjson

from benchmarks.bulk import Said, load
from benchmarks.figures import Figure, Goal, own_cpu_seconds, percentile
from benchmarks.house import House, house
from ledger_service.custody import Fact, Policy, fold
from ledger_service.keys import keccak, to_hex
from ledger_service.trails import Direction, Recall, Trails

PER_PALLET = 50
PART = "https://id.gs1.org/01/09521004100011"
FRACTIONS = (1.0, 0.01)


def run(*, quick: bool) -> Iterator[Figure]:
    """Milliseconds and seconds of the questions; every figure beside a plain way to the same answer in this run."""
    yield from _genealogy(20_000 if quick else 100_000)
    for events in (20_000,) if quick else (100_000, 1_000_000):
        yield from _recall(events)


# A genealogy: one batch of steel, in batches of shafts, in pieces, on pallets.


def _genealogy(units: int) -> Iterator[Figure]:
    history = History()
    steel = f"{PART}/10/STEEL"
    lots = [f"{PART}/10/S{number}" for number in range(10)]
    history.transform("duero", [steel], lots)
    pieces = [f"{PART}/21/{number}" for number in range(units - units // PER_PALLET - len(lots))]
    for start in range(0, len(pieces), 500):
        history.transform("duero", [lots[start // 500 % len(lots)]], pieces[start : start + 500])
    for number, start in enumerate(range(0, len(pieces), PER_PALLET)):
        history.pack("duero", pallet(number), pieces[start : start + PER_PALLET])
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name, house(Path(name) / "network") as home:
        trails, seconds, count = _indexed(home, history)
        sight = home.ledger.sight(member("duero"), home.now())
        total = trails.lineage(steel, Direction.DESCENDANTS, sight).total
        times = []
        for _ in range(20):
            start_time = perf_counter()
            page = trails.lineage(steel, Direction.DESCENDANTS, sight)
            times.append(perf_counter() - start_time)
            assert (page.total, len(page.items)) == (total, 100)
    graph: nx.DiGraph = nx.DiGraph()
    for source, target in history.links:
        graph.add_edge(source, target)
    start_time = perf_counter()
    assert len(nx.descendants(graph, steel)) == total
    plain = perf_counter() - start_time
    yield Figure(
        f"genealogy of {total:,} units: count and first page, median",
        1000 * percentile(times, 0.5),
        "ms",
        (Goal(at_most=100),),
        1000 * plain,
        "networkx descendants of the same graph in memory, all of it to be seen",
        f"longest {1000 * max(times):,.0f} ms; {count:,} statements put into the store as rows, indexed at "
        f"{count / seconds:,.0f}/s",
    )


# A recall: a tier of makers, three of customers, each pallet handed on twice.


def _recall(events: int) -> Iterator[Figure]:
    history = History()
    pallets = events // 5
    lots = [f"{PART}/10/L{number}" for number in range(100)]
    history.transform("duero", [f"{PART}/10/ALL"], lots)
    for number in range(pallets):
        unit, lot = pallet(number), f"L{number % 100}"
        first = history.despatch("duero", "nordrand", unit, lot)
        history.receipt("nordrand", "duero", first, unit)
        second = history.despatch("nordrand", "havelmark", unit, lot)
        if number % 10:
            history.receipt("havelmark", "nordrand", second, unit)
        history.scan("havelmark" if number % 10 else "nordrand", unit)
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name, house(Path(name) / "network") as home:
        before = _memory()
        trails, seconds, count = _indexed(home, history)
        plain_seconds = _fold_rate(history.statements[:6_000])
        del history.statements[:]
        gc.collect()
        gc.freeze()  # a service has no such history in memory to look through
        grown = _memory() - before
        sight = home.ledger.sight(member("nordrand"), home.now())
        for start, share in ((f"{PART}/10/L7", "1 %"), (f"{PART}/10/ALL", "all")):
            rounds = 3 if events > 200_000 else 7
            times, cpu = [], own_cpu_seconds()
            recall: Recall | None = None
            for _ in range(rounds):
                begun = perf_counter()
                recall = trails.recall([start], sight, at=home.now())
                times.append(perf_counter() - begun)
            assert recall is not None
            assert len(recall.units) == (pallets if share == "all" else pallets // 100)
            assert len(recall.shipments) == pallets // 10 if share == "all" else True
            reached = len(recall.units) * 5
            yield Figure(
                f"recall over {events:,} custody events, {share} of them reached, median",
                percentile(times, 0.5),
                "s",
                (Goal(at_most=1),) if events <= 100_000 else (),
                plain_seconds * reached,
                "the fold of what is reached, at its rate in this run,",
                f"{len(recall.units):,} units, {len(recall.shipments):,} open shipments, {len(recall.custodians)} "
                f"custodians; {(own_cpu_seconds() - cpu) / rounds:.2f} s of processor each; index made at "
                f"{count / seconds:,.0f} statements/s; memory grew by {grown:,.0f} MiB, history included",
            )


def _fold_rate(statements: list[Said]) -> float:
    """Seconds a statement when they are folded."""
    facts = [
        Fact(
            one.digest, one.issuer, one.kind, one.stream, one.sequence, one.registered_at, one.registered_at, None,
            orjson.loads(one.content or b"null"),
        )
        for one in statements
    ]  # fmt: skip
    begun = perf_counter()
    fold(facts, (), Policy(), at=END)
    return (perf_counter() - begun) / len(facts)


def _indexed(home: House, history: "History") -> tuple[Trails, float, int]:
    load(home.ledger.store, history.statements)
    trails = Trails(home.ledger, lambda _units: {}, b"k" * 32)
    begun = perf_counter()
    while trails.catch_up(100_000) or trails.indexed < len(history.statements):
        pass
    return trails, perf_counter() - begun, len(history.statements)


def _memory() -> float:
    """Resident memory of this process, MiB; 0 where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    line = next(one for one in status.read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


START = 1_789_984_800_000
END = START + 400 * 86_400_000


def member(name: str) -> bytes:
    return keccak(f"did:web:{name}.example.org".encode())


def pallet(number: int) -> str:
    return f"licence-plate:UN049505160P{number:09d}"


@dataclass
class History:
    """A history that grows by a statement a second."""

    statements: list[Said] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    _numbers: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))

    def say(self, issuer: str, to: str, kind: str, content: dict[str, Any]) -> bytes:
        number = len(self.statements)
        stream = sha256(f"{issuer} {to}".encode()).digest()
        self._numbers[stream] += 1
        digest = sha256(number.to_bytes(8)).digest()
        data = orjson.dumps({"to": [], **content}, option=orjson.OPT_SORT_KEYS)
        audience = (member(to),) if to != issuer else ()
        said = Said(digest, member(issuer), kind, stream, self._numbers[stream], self.time, data, audience)
        self.statements.append(said)
        return digest

    @property
    def time(self) -> int:
        return START + 1000 * len(self.statements)

    @property
    def text(self) -> str:
        return datetime.fromtimestamp(self.time / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def event(self, issuer: str, to: str, **event: Any) -> None:
        body = {"eventTime": self.text, "eventTimeZoneOffset": "+00:00", **event}
        self.say(issuer, to, "epcis-event", {"event": body, "context": []})

    def transform(self, issuer: str, taken: list[str], made: list[str]) -> None:
        self.links += [(source, target) for source in taken for target in made]
        lists = {"inputEPCList": taken, "outputEPCList": made}
        self.event(issuer, "nordrand", type="TransformationEvent", **lists)

    def pack(self, issuer: str, parent: str, children: list[str]) -> None:
        self.links += [(child, parent) for child in children]
        self.event(issuer, "nordrand", type="AggregationEvent", action="ADD", parentID=parent, childEPCs=children)

    def scan(self, issuer: str, unit: str) -> None:
        to = "nordrand" if issuer != "nordrand" else "havelmark"
        self.event(issuer, to, type="ObjectEvent", action="OBSERVE", epcList=[unit])

    def despatch(self, giver: str, taker: str, unit: str, lot: str) -> bytes:
        line = {"part": "(01)09521004100011", "batch": lot, "quantity": "60", "uom": "H87"}
        content = {
            "document": {"type": "delivery-note", "number": str(len(self.statements))},
            "taker": to_hex(member(taker)),
            "despatchedAt": self.text,
            "deadline": "2030-01-01T00:00:00Z",
            "units": [{"id": unit, "contents": [line]}],
        }
        return self.say(giver, taker, "despatch", content)

    def receipt(self, taker: str, giver: str, despatch: bytes, unit: str) -> None:
        content = {
            "document": {"type": "goods-receipt", "number": str(len(self.statements))},
            "despatch": to_hex(despatch),
            "receivedAt": self.text,
            "outcome": "accepted",
            "basis": "scanned",
            "units": [unit],
        }
        self.say(taker, giver, "receipt", content)


if __name__ == "__main__":
    for one in run(quick="--quick" in sys.argv):
        print(one.text, flush=True)
