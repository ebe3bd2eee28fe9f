from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.errors import MalformedFact
from risk.reliability import availability, ways_to_make
from tests.risk.test_survival import line, link, network

BRIDGE = [["a", "d"], ["b", "e"], ["a", "c", "e"], ["b", "c", "d"]]


def test_the_bridge_has_its_known_reliability() -> None:
    assert availability(BRIDGE, dict.fromkeys("abcde", 0.9)) == pytest.approx(0.97848, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.sampled_from("abcdef")), max_size=6),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
)
def test_it_equals_the_sum_over_all_that_can_be(ways: list[set[str]], found: list[float]) -> None:
    chances = dict(zip("abcdef", found, strict=True))
    expected = 0.0
    for up in product([True, False], repeat=6):
        works = {name for name, one in zip("abcdef", up, strict=True) if one}
        if any(way <= works for way in ways):
            chance = 1.0
            for name, one in zip("abcdef", up, strict=True):
                chance *= chances[name] if one else 1 - chances[name]
            expected += chance
    assert availability(ways, chances) == pytest.approx(expected, abs=1e-9)


def test_a_second_supplier_with_the_same_supplier_is_worth_little() -> None:
    lines = [line("R", "raw", 4), line("A", "x", 2, {"raw": 1}), line("B", "x", 2, {"raw": 1}),
             line("P", "p", 4, {"x": 1})]  # fmt: skip
    half = Fraction(1, 2)
    links = [link("R", "A", "raw"), link("R", "B", "raw"), link("A", "P", "x", half), link("B", "P", "x", half)]
    ways = ways_to_make(network(lines, links), "P", "p")
    assert ways == {frozenset("RAP"), frozenset("RBP")}
    chances = {"R": 0.9, "A": 0.9, "B": 0.9, "P": 1.0}
    assert availability(ways, chances) == pytest.approx(0.9 * 0.99)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(MalformedFact, match="how likely"):
        availability([["a"]], {})
    with pytest.raises(MalformedFact, match="between 0 and 1"):
        availability([["a"]], {"a": 1.5})
