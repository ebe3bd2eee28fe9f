"""What is written in plain form is read back as it was, and nothing else is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import pytest

from risk.errors import MalformedFact
from risk.network import Calendar, Lead, SupplyLink
from risk.reading import parse, read
from risk.sharing import Level, canonical, plain


@dataclass(frozen=True)
class Walk:
    """Something with a field of each sort."""

    level: Level
    share: Fraction
    days: frozenset[date]
    steps: tuple[tuple[str, int], ...]
    by_day: Mapping[date, Fraction]
    seen_at: datetime
    height: float | None
    is_done: bool
    lead: Lead | None


WALK = Walk(Level.TIER, Fraction(2, 3), frozenset({date(2026, 10, 12)}), (("a", 1),), {date(2026, 10, 13): Fraction(5)},
            datetime(2026, 10, 12, 8, tzinfo=UTC), 51.53, True, Lead(4, True, frozenset({4})))  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Walk, WALK),
        (Calendar, Calendar()),
        (
            tuple[SupplyLink, ...],
            (SupplyLink("k", "a", "b", "p", Fraction(1), Lead(3), None, {date(2026, 1, 2): Fraction(1, 7)}),),
        ),
        (Fraction | None, None),
    ],
)
def test_what_was_written_is_read_back_as_it_was(kind: Any, value: Any) -> None:
    assert read(kind, parse(canonical(plain(value)))) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Fraction, '"2/4"'),
        (Fraction, '"0.5"'),
        (Fraction, '"1e99999999"'),
        (Fraction, '"1/0"'),
        (Fraction, "1"),
        (date, '"2026-1-2"'),
        (date, '"20260102"'),
        (int, "true"),
        (int, "1.0"),
        (bool, "1"),
        (str, "null"),
        (float, "1"),
        (Level, '"Tier"'),
        (Level, "[]"),
        (tuple[int, ...], '{"0": 1}'),
        (tuple[int, int], "[1]"),
        (Mapping[str, int], "[]"),
        (frozenset[int], '"ab"'),
        (Lead, '{"days": 1}'),
        (Lead, "[]"),
        (Fraction | None, "0"),
    ],
)
def test_another_spelling_or_another_thing_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(MalformedFact):
        read(kind, parse(text.encode()))


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": 1, "a": 1}', "NaN", "-Infinity", "[" * 100_000, b"\xff".decode("latin1")]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(MalformedFact):
        parse(text.encode("latin1"))
