"""Facts in order: any change gives what sorting all of them gives, and leaves what was there before."""

from hypothesis import given, settings
from hypothesis import strategies as st

from risk.ordered import Ordered

ITEM = st.tuples(st.integers(0, 1500), st.integers(0, 3))


def first(item: tuple[int, int]) -> int:
    return item[0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(ITEM, max_size=30),
    st.integers(0, 3000),
    st.lists(st.dictionaries(st.integers(0, 1500), st.lists(st.integers(0, 3), max_size=900), max_size=4), max_size=4),
)
def test_changes_give_what_sorting_gives(
    items: list[tuple[int, int]], many: int, steps: list[dict[int, list[int]]]
) -> None:
    expected = sorted([*items, *((number // 2, 9) for number in range(many))], key=first)
    ordered = Ordered(expected, first)
    for step in steps:
        before, was = ordered, tuple(expected)
        ordered = ordered.changed({key: [(key, one) for one in some] for key, some in step.items()})
        come = [(key, one) for key, some in step.items() for one in some]
        expected = sorted([*(one for one in expected if one[0] not in step), *come], key=first)
        assert before == was
    assert list(ordered) == expected
    assert len(ordered) == len(expected)
    assert ordered == tuple(expected)
    assert ordered != (*expected, (0, 0))
    assert [ordered[at] for at in range(len(expected))] == expected
    for key in {*map(first, expected[::97]), 1501}:
        some = tuple(one for one in expected if one[0] == key)
        assert ordered.of(key) == some == ordered[ordered.place(key)]
    if expected:
        assert ordered[-1] == expected[-1]
        assert ordered.with_items({0: (expected[0][0], 77)})[0] == (expected[0][0], 77)
        assert ordered[0] == expected[0]
