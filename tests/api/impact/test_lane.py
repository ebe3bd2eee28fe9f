"""A lane: one thing after the other, once for all who ask, and nobody has to wait."""

from threading import Event

import pytest

from api.impact.lane import Lane


def test_who_asks_while_something_else_takes_long_can_go_on_and_come_again() -> None:
    lane, go, begun = Lane("test"), Event(), Event()

    def long() -> str:
        begun.set()
        assert go.wait(60)
        return "read"

    first = lane.ask("long", long)
    assert begun.wait(60)
    waiting = lane.ask("next", lambda: "later")
    assert lane.ask("next", lambda: "somebody else's") is waiting, "it has not begun: one for both"
    assert lane.ask("long", lambda: "fresh") is not first, "it has begun, and may have missed what came since"
    with pytest.raises(TimeoutError):
        waiting.result(0.01)
    go.set()
    assert (first.result(60), waiting.result(60), lane.ask("long", lambda: "once more").result(60)) == (
        "read", "later", "once more",
    )  # fmt: skip


def test_what_goes_wrong_is_told_to_who_asked_and_the_next_thing_is_done() -> None:
    lane = Lane("test")

    def wrong() -> None:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        lane.ask("wrong", wrong).result(60)
    assert lane.ask("right", lambda: 7).result(60) == 7
