from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.confidence import Band, corroborated, discounted, doubt, happens, reliability
from risk.disruption import LIKELIHOOD, Action, Certainty, Report, Status, gather
from risk.errors import MalformedFact

NOON = datetime(2026, 10, 12, 12, tzinfo=UTC)
shares = st.fractions(min_value=0, max_value=1, max_denominator=50)


def report(
    sender: str, certainty: Certainty, hour: int = 0, action: Action = Action.ALERT, of: tuple[str, ...] = ()
) -> Report:
    """A report of `sender` that refers to those `of` others."""
    return Report("form", sender, f"{sender}-{hour}", NOON + timedelta(hours=hour), Status.ACTUAL, action, "typhoon",
                  key="typhoon-7", certainty=certainty, references=tuple((one, f"{one}-0") for one in of))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reports", "chance"),
    [
        ("one likely source", [report("a", Certainty.LIKELY)], "0.525"),
        ("two of them", [report("a", Certainty.LIKELY), report("b", Certainty.LIKELY)], "0.774375"),
        ("a source that says it twice", [report("a", Certainty.LIKELY), report("a", Certainty.LIKELY, 1)], "0.525"),
        ("a source with a record", [report("trusted", Certainty.OBSERVED)], "0.95"),
        (
            "one that took it back",
            [report("a", Certainty.LIKELY), report("a", Certainty.LIKELY, 1, Action.CANCEL)],
            "0",
        ),
    ],
)
def test_sources_back_each_other(name: str, reports: list[Report], chance: str) -> None:
    (disruption,) = gather(reports)
    assert happens(disruption, {"trusted": Fraction("0.95")}) == Fraction(chance), name


LIKELY, OBSERVED, POSSIBLE = Certainty.LIKELY, Certainty.OBSERVED, Certainty.POSSIBLE
ONE, TWO = "0.525", "0.774375"
"""How sure it is with one likely source, and with two."""


@pytest.mark.parametrize(
    ("name", "reports", "chance"),
    [
        ("one passes on another's", [report("a", LIKELY), report("b", LIKELY, 1, of=("a",))], ONE),
        ("two pass on the same", [report("b", LIKELY, 1, of=("x",)), report("c", LIKELY, 2, of=("x",))], ONE),
        (
            "one passes on what another passed on",
            [report("a", LIKELY), report("b", LIKELY, 1, of=("a",)), report("c", LIKELY, 2, of=("b",))],
            ONE,
        ),
        ("the surest of them counts", [report("a", POSSIBLE), report("b", LIKELY, 1, of=("a",))], ONE),
        ("one passes on and another saw it", [report("a", LIKELY), report("b", LIKELY, 1, of=("a",)),
                                              report("c", LIKELY, 2)], TWO),
        ("one that names two makes them not one", [report("a", LIKELY), report("b", LIKELY, 1),
                                                   report("c", LIKELY, 2, of=("a", "b"))], TWO),
        ("who spoke first passes nothing on", [report("a", LIKELY, of=("b",)), report("b", LIKELY, 1)], TWO),
        ("a source that refers to its own", [report("a", LIKELY), report("a", LIKELY, 1, of=("a",))], ONE),
        ("passed on once, and said again later", [report("a", LIKELY), report("b", LIKELY, 1, of=("a",)),
                                                  report("b", LIKELY, 2)], ONE),
        ("what was passed on is taken back", [report("a", LIKELY), report("b", LIKELY, 1, of=("a",)),
                                              report("a", LIKELY, 2, Action.CANCEL)], ONE),
    ],
)  # fmt: skip
def test_who_passes_an_alert_on_is_no_second_source(name: str, reports: list[Report], chance: str) -> None:
    (disruption,) = gather(reports)
    assert happens(disruption, {}) == Fraction(chance), name
    (again,) = gather([*reports, *reports])
    assert happens(again, {}) == Fraction(chance), "stated by two members it is one report all the same"


@given(st.integers(0, 10**6))
def test_whoever_refers_to_whom_a_report_more_never_makes_it_less_sure(seed: int) -> None:
    random = Random(seed)
    names = "abcde"
    reports = [
        report(random.choice(names), random.choice(list(LIKELIHOOD)), hour,
               of=tuple(random.sample(names + "xy", random.randint(0, 2))))
        for hour in range(random.randint(1, 6))
    ]  # fmt: skip
    more = replace(report("f", random.choice(list(LIKELIHOOD)), 9), references=reports[-1].references)
    (before,), (after,) = gather(reports), gather([*reports, more])
    alone = corroborated(Fraction(str(LIKELIHOOD[one.certainty])) * Fraction(7, 10) for one in after.latest)
    assert happens(before, {}) <= happens(after, {}) <= alone


@given(st.lists(shares, max_size=5), shares)
def test_another_source_never_makes_it_less_sure(chances: list[Fraction], more: Fraction) -> None:
    assert corroborated(chances) <= corroborated([*chances, more]) <= 1


@given(shares, shares, shares)
def test_less_coverage_is_a_wider_band_around_the_same(chance: Fraction, coverage: Fraction, less: Fraction) -> None:
    wide, narrow = discounted(chance, coverage * less), discounted(chance, coverage)
    assert wide.least <= narrow.least <= chance <= narrow.most <= wide.most
    assert discounted(chance, Fraction(1)) == Band(chance, chance)


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda: reliability(-1, 0),
        lambda: corroborated([Fraction(2)]),
        lambda: doubt(Fraction(-1), Fraction(1)),
        lambda: doubt(Fraction(1), Fraction(0)),
        lambda: discounted(Fraction(1), Fraction(3, 2)),
    ],
)
def test_what_is_no_share_is_refused(nonsense: Callable[[], Any]) -> None:
    with pytest.raises(MalformedFact):
        nonsense()
