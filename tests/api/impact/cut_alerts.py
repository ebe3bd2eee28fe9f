"""Kill a service at every commit while it raises alerts, and see what members were told in the end; run as a program.

    python -m tests.api.impact.cut_alerts FOLDER

FOLDER is a network with a flood that nobody was told of. A child is forked for each life; it prints one JSON object:
how many lives were cut off, and what was wrong after any of them.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from api.notices import Told
from api.service import Service
from ledger_service.store.tables import statement
from tests.api.house import House, still
from tests.consortium import member_id

CONCERNED = ("havelmark", "nordrand", "duero")


def main(folder: Path) -> int:
    """Cut at the first commit, the second and so on until a life ends by itself; 0 if nothing was wrong."""
    wrong: list[str] = []
    cut = 0
    with tempfile.TemporaryDirectory() as room:
        while True:
            place = Path(room) / f"life-{cut}"
            shutil.copytree(folder, place)
            is_whole = _in_child(partial(_live, place, cut + 1)) == 0
            if _in_child(partial(_judge, place)) != 0:
                wrong.append(f"killed at commit {cut + 1}")
            shutil.rmtree(place)
            if is_whole:
                break
            cut += 1
    sys.stdout.write(json.dumps({"lives": cut, "wrong": wrong}) + "\n")
    return 1 if wrong else 0


def _in_child(task: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        try:
            task()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the parent is told by the exit code
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(child, 0)[1]


def _live(place: Path, cut: int) -> None:
    """A life in which the alerts are raised, killed just before its commit number `cut`, of those that write."""
    with still(place) as running:
        left = cut

        def commit(connection: sa.Connection) -> None:
            nonlocal left
            if connection.engine.pool.size() == 1:  # type: ignore[attr-defined] # the writer has one connection
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        event.listen(sa.Engine, "commit", commit)
        _settle(running)


def _settle(running: House) -> None:
    inside: Service = running.app.state.service
    running.anchor()
    while inside.alerts.raise_new(running.clock.now):
        running.anchor()


def _judge(place: Path) -> None:
    """Raise unless all who are concerned were told once, and there is one report for each."""
    with still(place) as running:
        _settle(running)
        inside: Service = running.app.state.service
        for name in CONCERNED:
            kinds = [one.kind for one in inside.notices.page(member_id(name), 0, 500)]
            assert kinds.count(Told.IMPACT_ALERT) == 1, (name, kinds)
            assert [one.number for one in inside.alerts.page(member_id(name), 0, 9)] == [1], name
        with running.network.ledger.store.read() as connection:
            query = sa.select(sa.func.count()).where(statement.c.kind == "impact-report")
            assert connection.execute(query).scalar_one() == len(CONCERNED)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
