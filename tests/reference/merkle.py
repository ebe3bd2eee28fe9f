"""The Merkle tree of RFC 9162 section 2.1, word for word: every hash computed anew, nothing remembered."""

from collections.abc import Sequence
from hashlib import sha256


def split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH over hashed leaves (2.1.1)."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = split(len(leaves))
    return sha256(b"\x01" + root(leaves[:middle]) + root(leaves[middle:])).digest()


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D_n) (2.1.3.1)."""
    if len(leaves) == 1:
        return []
    middle = split(len(leaves))
    if index < middle:
        return [*path(index, leaves[:middle]), root(leaves[middle:])]
    return [*path(index - middle, leaves[middle:]), root(leaves[:middle])]


def proof(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D_n) (2.1.4.1)."""
    return _subproof(old, leaves, is_whole=True)


def _subproof(old: int, leaves: Sequence[bytes], *, is_whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if is_whole else [root(leaves)]
    middle = split(len(leaves))
    if old <= middle:
        return [*_subproof(old, leaves[:middle], is_whole=is_whole), root(leaves[middle:])]
    return [*_subproof(old - middle, leaves[middle:], is_whole=False), root(leaves[:middle])]
