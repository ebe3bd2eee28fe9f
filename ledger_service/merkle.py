"""The RFC 9162 (RFC 6962) Merkle tree over SHA-256: roots, proofs, their verification, and its tiles. No I/O.

Hashes are 32 bytes. "Leaf hashes" are already hashed entries; `size` counts leaves. The complete subtree of 2^level
leaves that starts at leaf index·2^level is node (level, index). Proofs are made from any source of such nodes.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256

from ledger_service.errors import ProofError

EMPTY_ROOT = sha256(b"").digest()
_begun_node = sha256(b"\x01").copy
HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

Node = Callable[[int, int], bytes]
"""The hash of the complete subtree (level, index)."""

ReadTile = Callable[[int, int], bytes]
"""The hashes of tile (level, index), left to right, as many as exist; empty where there is none."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes (RFC 9162 2.1.1)."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        paired: list[bytes] = []
        lefts = iter(level)
        for left, right in zip(lefts, lefts, strict=False):
            # Part of the inner loop of ingest: a copy of a begun hash costs less than a new one.
            node = _begun_node()
            node.update(left + right)
            paired.append(node.digest())
        if len(level) & 1:
            # A last node without a sibling rises unchanged: the same tree as splitting at the largest power of two.
            paired.append(level[-1])
        level = paired
    return level[0]


def nodes_of(hashes: Sequence[bytes]) -> Node:
    """The nodes of the tree over these leaf hashes, each computed once."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]


def range_hash(node: Node, start: int, end: int) -> bytes:
    """The root over leaves start…end-1, where `start` is a multiple of the smallest power of two ≥ end - start."""
    if start == end:
        return EMPTY_ROOT
    parts: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(node(level, start >> level))
        start += 1 << level
    result = parts.pop()
    while parts:
        result = node_hash(parts.pop(), result)
    return result


def inclusion_path(node: Node, index: int, size: int) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the first `size` leaves, leaf first (RFC 9162 2.1.3.1)."""
    if not 0 <= index < size:
        raise ProofError(f"index {index} is outside a tree of {size} leaves")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(node, middle, end))
            end = middle
        else:
            path.append(range_hash(node, start, middle))
            start = middle
    path.reverse()
    return path


def consistency_path(node: Node, old: int, new: int) -> list[bytes]:
    """The hashes that show the first `old` leaves to be a prefix of the first `new` (RFC 9162 2.1.4.1)."""
    if not 0 <= old <= new:
        raise ProofError(f"no proof leads from size {old} to {new}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_hash(node, middle, end))
            end = middle
        else:
            path.append(range_hash(node, start, middle))
            start, whole = middle, False
    if not whole:
        path.append(range_hash(node, start, end))
    path.reverse()
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected: bytes) -> None:
    """Raise ProofError unless the leaf hash `leaf` sits at `index` of the tree of `size` leaves under `expected`."""
    if not 0 <= index < size:
        raise ProofError(f"index {index} is outside a tree of {size} leaves")
    _require_hashes([leaf, expected, *path])
    computed, position, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            raise ProofError(f"the path of {len(path)} hashes is too long for index {index} of {size}")
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            # RFC 9162 2.1.3.2 step 4.2.2: rise past the levels at which this node had no sibling.
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofError(f"the path of {len(path)} hashes is too short for index {index} of {size}")
    if computed != expected:
        raise ProofError(f"the path leads to root {computed.hex()}, the checkpoint says {expected.hex()}")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raise ProofError unless the tree of `new` leaves extends the tree of `old` leaves (RFC 9162 2.1.4.2)."""
    if not 0 < old <= new:
        raise ProofError(f"no proof leads from size {old} to {new}")
    if old == new:
        if path:
            raise ProofError("trees of the same size need no path")
        if old_root != new_root:
            raise ProofError(f"two roots of one size: {old_root.hex()} and {new_root.hex()}")
        return
    _require_hashes([old_root, new_root, *path])
    if not path:
        raise ProofError(f"the path from {old} to {new} is empty")
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    from_old = from_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofError(f"the path of {len(path)} hashes is too long from {old} to {new}")
        if position & 1 or position == last:
            from_old, from_new = node_hash(sibling, from_old), node_hash(sibling, from_new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            from_new = node_hash(from_new, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofError(f"the path of {len(path)} hashes is too short from {old} to {new}")
    if from_old != old_root:
        raise ProofError(f"the path leads to old root {from_old.hex()}, not {old_root.hex()}")
    if from_new != new_root:
        raise ProofError(f"the path leads to new root {from_new.hex()}, not {new_root.hex()}")


class TiledTree:
    """A tree whose nodes lie in C2SP tiles: rows of 256 hashes, kept at every eighth level only.

    Tile (level, index) holds the nodes of tree level 8·level from 256·index on. A proof reads at most one tile per
    eight levels and side, so its cost grows with the logarithm of the log and not with its history.
    """

    def __init__(self, read: ReadTile) -> None:
        self._read = read

    def node(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree (level, index), whose tile must have been written."""
        row, rise = divmod(level, TILE_HEIGHT)
        if rise == 0:
            tile, place = divmod(index, TILE_WIDTH)
            hashes = self._read(row, tile)
        else:
            tile, place = divmod(index, TILE_WIDTH >> rise)
            hashes = _rows_of(self._read(row, tile))[rise]
        found = hashes[place * HASH_BYTES : (place + 1) * HASH_BYTES]
        if len(found) != HASH_BYTES:
            raise ProofError(f"node {index} of level {level} is not in the stored tree")
        return found

    def root(self, size: int) -> bytes:
        """The root over the first `size` leaves."""
        return range_hash(self.node, 0, size)

    def extended(self, size: int, leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
        """The tiles, by (level, index), that change when these leaf hashes follow the first `size`."""
        changed: dict[tuple[int, int], bytes] = {}
        level, start, hashes = 0, size, list(leaves)
        while hashes:
            first = start // TILE_WIDTH
            held = start % TILE_WIDTH
            # Hashes beyond `held` may be left from a publication that was never committed to a checkpoint.
            row = (self._read(level, first)[: held * HASH_BYTES] if held else b"") + b"".join(hashes)
            tiles = [row[at : at + TILE_WIDTH * HASH_BYTES] for at in range(0, len(row), TILE_WIDTH * HASH_BYTES)]
            changed.update({(level, first + i): tile for i, tile in enumerate(tiles)})
            hashes = [_rows_of(tile)[TILE_HEIGHT] for tile in tiles if len(tile) == TILE_WIDTH * HASH_BYTES]
            level, start = level + 1, first
        return changed


@lru_cache(maxsize=128)
def _rows_of(tile: bytes) -> tuple[bytes, ...]:
    """All rows of complete nodes above the hashes of one tile, each joined; at most 256, 128, … 1 hashes."""
    rows = [tile]
    while len(rows[-1]) >= 2 * HASH_BYTES:
        below = rows[-1]
        pairs = len(below) // (2 * HASH_BYTES)
        rows.append(b"".join(sha256(b"\x01" + below[64 * i : 64 * i + 64]).digest() for i in range(pairs)))
    rows.extend([b""] * (TILE_HEIGHT + 1 - len(rows)))
    return tuple(rows)


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _require_hashes(hashes: Sequence[bytes]) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise ProofError(f"a hash has {HASH_BYTES} bytes, this one has {len(value)}")
