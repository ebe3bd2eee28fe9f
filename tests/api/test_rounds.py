"""The rounds: every task has its turn, whatever becomes of the others."""

import threading
import time
from collections.abc import Callable

from api.rounds import News, Rounds
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
        return True

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
    assert rounds.conditions["first"].done_at == rounds.conditions["second"].done_at == 7


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


class Turns:
    """Tasks that have nothing to do, and how often each was asked."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self._changed = threading.Condition()

    def task(self, name: str, more: int = 0) -> Callable[[int], bool]:
        """One that says `more` times that there is more."""
        self.of[name] = 0

        def asked(_now: int) -> bool:
            with self._changed:
                self.of[name] += 1
                self._changed.notify_all()
                return self.of[name] <= more

        return asked

    def wait(self, **wanted: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: all(self.of[name] >= count for name, count in wanted.items()), 10)


def test_news_wake_those_whom_they_concern_and_nobody_else() -> None:
    turns = Turns()
    rounds = Rounds(lambda: 0, idle_seconds=60)
    rounds.add("steps", turns.task("steps"), on=[News.STEPS])
    rounds.add("despatches", turns.task("despatches"), on=["despatch", "receipt"])
    rounds.add("dates", turns.task("dates"))
    rounds.start()
    turns.wait(steps=1, despatches=1, dates=1)
    rounds.nudge(News.REGISTERED, "despatch")
    turns.wait(despatches=2)
    rounds.nudge(News.STEPS)
    turns.wait(steps=2)
    rounds.nudge("epcis-event")
    rounds.nudge()
    turns.wait(steps=3, despatches=3, dates=2)
    rounds.close()
    assert turns.of == {"steps": 3, "despatches": 3, "dates": 2}


def test_who_has_more_goes_on_and_who_has_not_waits_for_its_timer() -> None:
    turns = Turns()
    rounds = Rounds(lambda: 0, idle_seconds=60)
    rounds.add("much", turns.task("much", more=5))
    rounds.add("often", turns.task("often"), every=0.01)
    rounds.add("seldom", turns.task("seldom"))
    rounds.start()
    turns.wait(much=6, often=4, seldom=1)
    rounds.close()
    assert turns.of["much"] == 6
    assert turns.of["seldom"] == 1


def test_a_task_rests_as_long_as_it_says_whoever_wakes_it() -> None:
    turns = Turns()
    rounds = Rounds(lambda: 0, idle_seconds=60)
    ask = turns.task("tired", more=9)

    def tired(now: int) -> bool:
        rounds.rest("tired", 60)
        return ask(now)

    rounds.add("tired", tired)
    rounds.add("awake", turns.task("awake"))
    rounds.start()
    turns.wait(tired=1, awake=1)
    rounds.nudge()
    turns.wait(awake=2)
    rounds.close()
    assert turns.of["tired"] == 1


def test_a_round_by_hand_asks_everybody() -> None:
    turns = Turns()
    rounds = Rounds(lambda: 0)
    rounds.add("one", turns.task("one", more=1))
    rounds.add("other", turns.task("other"), every=60)
    assert rounds.once()
    assert not rounds.once()
    assert turns.of == {"one": 2, "other": 2}
