"""Merkle trees straight from the definitions of RFC 9162 2.1: slow, and obvious."""

from __future__ import annotations

from functools import cache
from hashlib import sha256


class Tree:
    """The tree whose leaf n holds the text of n."""

    def __init__(self, salt: str = "") -> None:
        self.salt = salt
        self._range = cache(self._compute)

    def root(self, size: int) -> bytes:
        """MTH(D[0:size])."""
        return self._range(0, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """PROOF(old, D[0:new])."""
        return self._subproof(old, 0, new, is_whole=True)

    def _compute(self, start: int, end: int) -> bytes:
        size = end - start
        if size == 0:
            return sha256().digest()
        if size == 1:
            return sha256(b"\0" + f"{self.salt}{start}".encode()).digest()
        middle = start + _largest_power_below(size)
        return sha256(b"\1" + self._range(start, middle) + self._range(middle, end)).digest()

    def _subproof(self, old: int, start: int, end: int, *, is_whole: bool) -> list[bytes]:
        size = end - start
        if old == size:
            return [] if is_whole else [self._range(start, end)]
        split = _largest_power_below(size)
        if old <= split:
            return [*self._subproof(old, start, start + split, is_whole=is_whole), self._range(start + split, end)]
        return [*self._subproof(old - split, start + split, end, is_whole=False), self._range(start, start + split)]


def _largest_power_below(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power
