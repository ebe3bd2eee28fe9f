"""Disruptions as reports come in: the same as all at once, whoever states them first."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.disruption import Action, Cancelled, Gathering, Report, Status, gather
from risk.errors import MalformedFact

A, B = "0x" + "aa" * 32, "0x" + "bb" * 32
NOON = datetime(2026, 10, 12, 12, tzinfo=UTC)


def report(sender: str = "weather.example.org", identifier: str = "1", hours: int = 0, **details: Any) -> Report:
    given: dict[str, Any] = {"format": "cap-1.2", "status": Status.ACTUAL, "action": Action.ALERT, "event": "storm"}
    return Report(sender=sender, identifier=identifier, sent=NOON + timedelta(hours=hours), **(given | details))


@given(st.integers(0, 10**6))
def test_one_after_the_other_they_are_gathered_as_all_at_once(seed: int) -> None:
    random = Random(seed)
    names = [(f"s{random.randrange(3)}", str(number)) for number in range(8)]
    reports = [
        report(
            *name,
            hours=random.randrange(9),
            status=random.choice([Status.ACTUAL, Status.EXERCISE]),
            key=random.choice([None, None, "k1", "k2"]),
            references=tuple(random.sample(names, random.randrange(3))),
        )
        for name in random.sample(names, 6)
    ]
    gathering = Gathering()
    for one in reports:
        gathering.take(one, A)
    assert list(gathering.disruptions) == gather(reports, [A] * len(reports))


UPDATE = report(identifier="3", hours=2, action=Action.UPDATE, references=(("weather.example.org", "1"),))
CANCEL = report(identifier="2", hours=1, action=Action.CANCEL, references=(("weather.example.org", "1"),))


def test_an_update_of_a_cancelled_alert_counts_for_nothing() -> None:
    gathering = Gathering()
    gathering.take(report(), A)
    gathering.take(CANCEL, A)
    before = gathering.disruptions
    for attempt in (gathering.check, gathering.take):
        with pytest.raises(Cancelled, match="send a new alert"):
            attempt(UPDATE, A)
        assert gathering.disruptions == before
    assert gathering.disruptions[0].is_cancelled


def test_one_message_passed_on_by_two_counts_once_and_is_of_both() -> None:
    gathering = Gathering()
    for member in (A, B, A):
        gathering.take(report(original="<alert/>" if member == A else "<alert />"), member)
    (found,) = gathering.disruptions
    assert len(found.reports) == 1
    assert found.passed_on == (frozenset({A, B}),)
    assert not found.is_disputed


@pytest.mark.parametrize(
    ("name", "one", "reason"),
    [
        ("otherwise than before", report(event="flood"), "the first one holds"),
        ("in the name of another member", report(sender=A), "in its own name"),
        ("a form in a feed's name", report(identifier="9", format="form"), "in its own name"),
        ("a notification in a feed's name", report(identifier="9", format="cx-0146"), "in its own name"),
        ("an end before the start", report(identifier="9", onset=NOON, ends=NOON - timedelta(1)), "before it begins"),
    ],
)
def test_what_counts_for_nothing_says_why(name: str, one: Report, reason: str) -> None:
    gathering = Gathering()
    gathering.take(report(), A)
    before = gathering.disruptions
    with pytest.raises(MalformedFact, match=reason):
        gathering.take(one, B if "name" in name else A)
    assert gathering.disruptions == before, name
