from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.confidence import Band, corroborated, discounted, doubt, happens, reliability
from risk.disruption import Action, Certainty, Report, Status, gather
from risk.errors import MalformedFact

NOON = datetime(2026, 10, 12, 12, tzinfo=UTC)
shares = st.fractions(min_value=0, max_value=1, max_denominator=50)


def report(sender: str, certainty: Certainty, hour: int = 0, action: Action = Action.ALERT) -> Report:
    return Report("form", sender, f"{sender}-{hour}", NOON + timedelta(hours=hour), Status.ACTUAL, action, "typhoon",
                  key="typhoon-7", certainty=certainty)  # fmt: skip


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
