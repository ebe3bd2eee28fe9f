"""The rounds: every task has its turn, whatever becomes of the others."""

import threading
import time

from api.rounds import Rounds
from ledger_service.errors import LedgerError


def until(happened: threading.Event) -> None:
    assert happened.wait(10), "it never happened"


def test_tasks_run_one_after_the_other_until_the_rounds_are_closed() -> None:
    seen: list[str] = []
    enough = threading.Event()
    rounds = Rounds(lambda: 7, idle_seconds=0.01)

    def second(now: int) -> bool:
        seen.append(f"second at {now}")
        if len(seen) >= 6:
            enough.set()
        return False

    def first(_now: int) -> bool:
        seen.append("first")
        return True

    rounds.add("first", first)
    rounds.add("second", second)
    rounds.start()
    until(enough)
    rounds.close()
    count = len(seen)
    assert seen[:4] == ["first", "second at 7"] * 2
    time.sleep(0.05)
    assert len(seen) == count
    assert rounds.conditions["first"].done_at == 7
    assert rounds.conditions["second"].done_at is None


def test_a_task_that_fails_is_told_and_keeps_nobody_waiting() -> None:
    told: list[str] = []
    healthy, well_again = threading.Event(), threading.Event()
    tries = 0

    def failing(_now: int) -> bool:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise LedgerError("the chain is silent")
        if tries == 2:
            raise ZeroDivisionError
        well_again.set()
        return False

    def other(_now: int) -> bool:
        healthy.set()
        return False

    rounds = Rounds(lambda: 9, idle_seconds=0.01, on_trouble=lambda name, error: told.append(f"{name}: {error}"))
    rounds.add("failing", failing)
    rounds.add("other", other)
    assert not rounds.once()
    condition = rounds.conditions["failing"]
    assert (condition.trouble, condition.since, condition.failures) == ("the chain is silent", 9, 1)
    until(healthy)
    rounds.start()
    until(well_again)
    rounds.close()
    assert told == ["failing: the chain is silent"]
    assert rounds.conditions["failing"].trouble is None


def test_a_nudge_ends_the_pause() -> None:
    ran = threading.Event()
    rounds = Rounds(lambda: 0, idle_seconds=60)

    def task(_now: int) -> bool:
        ran.set()
        return False

    rounds.add("task", task)
    rounds.start()
    until(ran)
    ran.clear()
    rounds.nudge()
    until(ran)
    rounds.close()
