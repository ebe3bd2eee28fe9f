"""Disruptions as reports come in: the same as all at once, whoever states them first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.disruption import MAX_REPORTS, MAX_SOURCES, Action, Cancelled, Gathering, Report, Status, gather
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


SOURCE = "weather.example.org"


def chained(count: int, *, backwards: bool = False, circle: bool = False) -> list[Report]:
    """Updates, each of the one before; in a circle the first one refers to the last."""
    found = [
        report(
            identifier=str(number),
            hours=number,
            action=Action.UPDATE if number else Action.ALERT,
            references=((SOURCE, str((number - 1) % count)),) if number or circle else (),
        )
        for number in range(count)
    ]
    return found[::-1] if backwards else found


@pytest.mark.parametrize("shape", [{}, {"backwards": True}, {"circle": True}])
def test_a_thousand_updates_of_each_other_are_one_disruption_with_one_last_word(shape: dict[str, bool]) -> None:
    gathering = Gathering()
    for one in chained(MAX_REPORTS, **shape):
        gathering.take(one, A)
    (found,) = gathering.disruptions
    assert [one.identifier for one in found.latest] == [str(MAX_REPORTS - 1)]
    with pytest.raises(MalformedFact, match="begin another one"):
        gathering.take(report(identifier="more", references=((SOURCE, "0"),)), A)
    gathering.take(report(identifier="more", references=((SOURCE, "0"),)), B)  # nobody fills it up for others


def test_nobody_owns_a_name_by_stating_it_first() -> None:
    gathering = Gathering()
    gathering.take(report(event="nothing at all"), B)
    gathering.take(report(), A)
    (found,) = gathering.disruptions
    assert {(one.event, *members) for one, members in found.words} == {("nothing at all", B), ("storm", A)}
    assert found.is_disputed
    gathering.take(CANCEL, B)
    (found,) = gathering.disruptions
    assert [(one.event, *members) for one, members in found.words] == [("storm", A)]
    gathering.take(UPDATE, A)  # what B has taken back A may go on with
    gathering.take(replace(CANCEL, identifier="9", sent=NOON + timedelta(hours=5)), A)
    assert gathering.disruptions[0].is_cancelled


def test_an_exercise_does_not_take_the_name_of_what_is_actual() -> None:
    gathering = Gathering()
    gathering.take(report(status=Status.EXERCISE), B)
    gathering.take(report(), A)
    assert [(one.status, one.is_disputed) for one in gathering.disruptions] == [
        (Status.ACTUAL, False), (Status.EXERCISE, False)
    ]  # fmt: skip


def test_a_member_passes_on_a_few_sources_of_one_disruption() -> None:
    gathering = Gathering()
    for number in range(MAX_SOURCES):
        gathering.take(report(sender=f"s{number}", key="k"), A)
    with pytest.raises(MalformedFact, match="that is enough"):
        gathering.take(report(sender="one more", key="k"), A)
    gathering.take(report(sender="s0", identifier="2", key="k"), A)
    gathering.take(report(sender="one more", key="k"), B)


STORMS = [report(identifier=name, hours=hour, key=name) for hour, name in enumerate("ab")]
OVER = report(identifier="c", hours=2, key="b", action=Action.CANCEL)


def tied() -> Gathering:
    """Two storms that A passes on, made one disruption by what B says of both; then the second one is over."""
    gathering = Gathering()
    for one in STORMS:
        gathering.take(one, A)
    gathering.take(report("elsewhere.example.org", hours=1, references=tuple(one.name for one in STORMS)), B)
    assert len(gathering.disruptions) == 1
    gathering.take(OVER, A)
    return gathering


def test_who_ties_what_another_says_of_two_things_silences_neither() -> None:
    (found,) = tied().disruptions
    assert [(one.identifier, *members) for one, members in found.words] == [("a", A), ("1", B)]
    assert not found.is_disputed, "that one is over says nothing of the other"


def test_what_others_tie_keeps_nobody_from_going_on_and_tells_of_nothing() -> None:
    gathering = tied()
    gathering.take(report(identifier="d", hours=3, key="a", action=Action.UPDATE), A)
    with pytest.raises(Cancelled):
        gathering.take(report(identifier="e", hours=3, key="b", action=Action.UPDATE), A)
    for number in range(MAX_SOURCES):  # of each thing a few sources, whatever others tie
        gathering.take(report(sender=f"s{number}", identifier="x", key=str(number // 10)), A)
    every = tuple((f"s{number}", "x") for number in range(MAX_SOURCES))
    gathering.take(report("elsewhere.example.org", "2", references=every), B)
    gathering.take(report(sender="one more", key="0"), A)
    # C, who sees nothing of this, refers to what was taken back and to what goes on.
    over, on = (
        report("far", "2", 1, action=Action.CANCEL, key="k"),
        report("far", "3", 2, action=Action.UPDATE, key="m"),
    )
    for one in (over, on):
        gathering.take(one, A)
    gathering.check(report("C", references=(over.name, on.name)), "0x" + "cc" * 32)
