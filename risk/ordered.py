"""Many facts in the order of their keys, of which a few change: what was there before stays as it was. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

_SIZE = 512


class Ordered(Sequence[T], Generic[T]):
    """`items`, which are in the order of `key` already; those of one key lie next to each other.

    Immutable. They lie in blocks, and what comes out of a change shares all blocks but those that it touches.
    """

    __slots__ = ("_blocks", "_firsts", "_key", "_starts")

    def __init__(self, items: Iterable[T], key: Callable[[T], Any]) -> None:
        self._set(_blocks_of(tuple(items), key), key)

    def _set(self, blocks: list[tuple[T, ...]], key: Callable[[T], Any]) -> None:
        self._key = key
        self._blocks = blocks
        self._firsts = [key(one[0]) for one in blocks]
        self._starts = list(accumulate(map(len, blocks), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[T]:
        for block in self._blocks:
            yield from block

    def __repr__(self) -> str:
        return f"Ordered({list(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Whether `other`, a tuple maybe, has the same items."""
        if not isinstance(other, Ordered | tuple) or len(self) != len(other):
            return NotImplemented if not isinstance(other, Ordered | tuple) else False
        return all(one is two or one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...
    def __getitem__(self, at: int | slice) -> T | tuple[T, ...]:
        if isinstance(at, slice):
            places = range(*at.indices(len(self)))
            return tuple(self)[at] if len(places) == len(self) else tuple(self[one] for one in places)
        if at < 0:
            at += len(self)
        if not 0 <= at < len(self):
            raise IndexError(f"{at} is not among {len(self)}")
        number = bisect_right(self._starts, at) - 1
        return self._blocks[number][at - self._starts[number]]

    def place(self, key: Any) -> slice:
        """Where those of `key` are, or would be."""
        number = max(bisect_right(self._firsts, key) - 1, 0)
        if number == len(self._blocks):
            return slice(0, 0)
        block, start = self._blocks[number], self._starts[number]
        low = bisect_left(block, key, key=self._key)
        high = low
        while high < len(block) and self._key(block[high]) == key:
            high += 1
        return slice(start + low, start + high)

    def of(self, key: Any) -> tuple[T, ...]:
        """Those of `key`."""
        number = max(bisect_right(self._firsts, key) - 1, 0)
        if number == len(self._blocks):
            return ()
        block = self._blocks[number]
        low = bisect_left(block, key, key=self._key)
        high = low
        while high < len(block) and self._key(block[high]) == key:
            high += 1
        return block[low:high]

    def changed(self, changes: Mapping[Any, Sequence[T]]) -> "Ordered[T]":
        """With these instead of what each key had; none: the key is gone."""
        by_block: dict[int, list[Any]] = {}
        for key in sorted(changes):
            by_block.setdefault(max(bisect_right(self._firsts, key) - 1, 0), []).append(key)
        blocks = list(self._blocks)
        for number in sorted(by_block, reverse=True):
            block = list(blocks[number]) if blocks else []
            for key in by_block[number]:
                low = bisect_left(block, key, key=self._key)
                high = low
                while high < len(block) and self._key(block[high]) == key:
                    high += 1
                block[low:high] = changes[key]
            # A block that has grown is cut as at the beginning, one that is empty is none.
            blocks[number : number + 1] = (
                _blocks_of(tuple(block), self._key) if len(block) > 2 * _SIZE else [tuple(block)] if block else []
            )
        other: Ordered[T] = object.__new__(Ordered)
        other._set(blocks, self._key)
        return other

    def with_items(self, items: Mapping[int, T]) -> "Ordered[T]":
        """With other items of the same keys at some places."""
        blocks = list(self._blocks)
        for at, item in items.items():
            number = bisect_right(self._starts, at) - 1
            block = list(blocks[number])
            block[at - self._starts[number]] = item
            blocks[number] = tuple(block)
        other: Ordered[T] = object.__new__(Ordered)
        other._key, other._blocks, other._firsts, other._starts = self._key, blocks, self._firsts, self._starts
        return other


class Table(Mapping[K, V], Generic[K, V]):
    """A mapping in the order of its keys, of which a few change: what was there before stays as it was."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items: Ordered[tuple[K, V]] = Ordered(sorted(items.items(), key=_first), _first)

    def __getitem__(self, key: K) -> V:
        for _, value in self._items.of(key):
            return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[K]:
        return (key for key, _ in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def between(self, low: K, high: K) -> tuple[K, ...]:
        """The keys from `low` on, before `high`."""
        places = slice(self._items.place(low).start, self._items.place(high).start)
        return tuple(key for key, _ in self._items[places])

    def changed(self, items: Mapping[K, V], without: Iterable[K] = ()) -> "Table[K, V]":
        """With `items` instead or besides, and without some keys."""
        other: Table[K, V] = object.__new__(Table)
        changes: dict[K, list[tuple[K, V]]] = {key: [] for key in without}
        other._items = self._items.changed(changes | {key: [(key, value)] for key, value in items.items()})
        return other


def _first(item: tuple[Any, Any]) -> Any:
    return item[0]


def _blocks_of(items: tuple[T, ...], key: Callable[[T], Any]) -> list[tuple[T, ...]]:
    blocks = []
    start = 0
    while start < len(items):
        end = min(start + _SIZE, len(items))
        while end < len(items) and key(items[end]) == key(items[end - 1]):
            end += 1  # one key lies in one block
        blocks.append(items[start:end])
        start = end
    return blocks
