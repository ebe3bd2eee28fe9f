"""Grants as they are written, and what several of them show together."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_service import facts
from ledger_service.grants import Grant, Shown, common, is_within, present, united

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


def test_the_example_of_the_formats_page_is_a_grant() -> None:
    found = re.search(r"\n#### grant\n.*?```json\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found is not None
    content = json.loads(found[1])
    facts.check("grant", content, 0)
    grant = Grant.parse(content)
    assert grant.fields == ("/despatchedAt", "/document", "/units")
    assert grant.is_in_force(grant.start)
    assert grant.is_in_force(grant.until - 1)
    assert not grant.is_in_force(grant.start - 1)
    assert not grant.is_in_force(grant.until)


POINTERS = ("/a", "/a/b", "/a/b/0", "/ab", "/c", "/c/d")
some_pointers = st.lists(st.sampled_from(POINTERS), min_size=1).map(lambda some: tuple(sorted(set(some))))
shown = st.one_of(st.booleans(), some_pointers)


def sees(one: Shown, pointer: str) -> bool:
    """The slow and obvious meaning."""
    return one if isinstance(one, bool) else any(is_within(pointer, of) for of in one)


@given(shown, shown)
def test_together_and_in_common_mean_what_they_say(one: Shown, other: Shown) -> None:
    for pointer in POINTERS:
        assert sees(united([one, other]), pointer) == (sees(one, pointer) or sees(other, pointer))
        assert sees(common(one, other), pointer) == (sees(one, pointer) and sees(other, pointer))
    assert common(one, other) == common(other, one)
    assert united([one, one]) == united([one])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("/seal",), ("/seal",)),
        (("/se",), ()),
        (("/units",), ("/units",)),
        (("/units/1",), ()),
        (("/nothing", "/to"), ("/to",)),
        (True, ("/seal", "/to", "/units/0/id")),
        (False, ()),
    ],
)
def test_only_what_is_there_is_shown(fields: Shown, expected: tuple[str, ...]) -> None:
    assert present({"seal": "ES-1", "to": [], "units": [{"id": "x"}]}, fields) == expected
