"""Kill the ledger at every durable step, and again at every step of each recovery; run as a program.

    python -m tests.faults.sweep --depth 2

The parent loads everything once and forks a child for each life, so a kill -9 costs milliseconds. It prints one JSON
object: how many lives were cut off, and every case in which something was wrong afterwards.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from ledger_service.invariants import check
from ledger_service.keys import to_hex
from ledger_service.store.tables import anchor, checkpoint, custody_batch, custody_request, statement
from tests.consortium import Consortium
from tests.faults.workload import acknowledged, live
from tests.relay import relaying


def main() -> int:
    """Sweep and print the outcome; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--depth", type=int, choices=(1, 2), default=1)
    parser.add_argument("--every", type=int, default=1, help="with depth 2: take every n-th first cut only")
    parser.add_argument("--stride", type=int, default=1, help="cut at every n-th step only")
    options = parser.parse_args()
    wrong: list[str] = []
    lives = 0
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        founded = room / "founded"
        founded.mkdir()
        Consortium(founded).close()
        for first, after in _cut_lives(founded, room / "one", options.stride):
            lives += 1
            if options.depth == 1 or first % options.every:
                wrong += _judge(after, room / "judged", f"killed at step {first}")
                continue
            for second, again in _cut_lives(after, room / "two", 1):
                lives += 1
                wrong += _judge(again, room / "judged", f"killed at step {first}, and at step {second} of the recovery")
    sys.stdout.write(json.dumps({"lives": lives, "wrong": wrong}) + "\n")
    return 1 if wrong else 0


def _cut_lives(before: Path, place: Path, stride: int) -> Iterator[tuple[int, Path]]:
    """The folder after lives that began as in `before` and were killed at every `stride`-th step, until one ended by
    itself.
    """
    step = 0
    while True:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(before, place)
        was_killed = _in_child(partial(live, place, _killer(step))) == -signal.SIGKILL
        yield step, place
        if not was_killed:
            return
        step += stride


def _killer(at: int) -> Callable[[str], None]:
    left = at

    def step(_name: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    return step


def _judge(folder: Path, place: Path, case: str) -> list[str]:
    """What is wrong after the life is told once more to its end."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)
    report = place / "wrong"
    if _in_child(lambda: report.write_text(json.dumps(_wrong(place)))) != 0:
        return [f"{case}: the recovery itself failed"]
    return [f"{case}: {line}" for line in json.loads(report.read_text())]


def _wrong(place: Path) -> list[str]:
    before = acknowledged(place)
    # As it stands after the kill, before anything is told again: opening it must be enough to make it whole.
    consortium = Consortium(place)
    found = [f"before recovery: {one}" for one in check(consortium.ledger, relaying=relaying(consortium))]
    found += _lost(consortium, before)
    consortium.close()
    live(place, lambda _name: None)
    consortium = Consortium(place)
    relay = relaying(consortium)
    found += [str(one) for one in check(consortium.ledger, relaying=relay)]
    found += _lost(consortium, before | acknowledged(place))
    if consortium.ledger.waiting:
        found.append(f"{consortium.ledger.waiting} statements were never anchored")
    with consortium.ledger.store.read() as connection:
        sizes = connection.execute(sa.select(checkpoint.c.size)).scalars().all()
        anchored = connection.execute(sa.select(anchor.c.size)).scalars().all()
        nonces = connection.execute(sa.select(custody_batch.c.nonce)).scalars().all()
        states = connection.execute(sa.select(custody_request.c.state)).scalars().all()
    if sorted(sizes) != sorted(anchored):
        found.append(f"checkpoints {sizes}, anchored {anchored}")
    sent = consortium.ledger.anchoring.chain.next_nonce(relay.relayer)
    if sorted(nonces) != list(range(sent)):
        found.append(f"the relay signed for the numbers {nonces}, and the chain has {sent} of them")
    if sorted(states) != ["refused", *["taken"] * 5]:
        found.append(f"the steps given to the relay ended as {states}")
    consortium.close()
    return found


def _lost(consortium: Consortium, digests: set[str]) -> list[str]:
    with consortium.ledger.store.read() as connection:
        there = {
            to_hex(one)
            for column in (statement.c.digest, custody_request.c.struct_hash)
            for one in connection.execute(sa.select(column)).scalars()
        }
    return [f"acknowledged and lost: {one}" for one in sorted(digests - there)]


def _in_child(work: Callable[[], object]) -> int:
    """The exit status of a forked child that does `work`; negative for the signal that ended it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 # a forked child must never return into the parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
