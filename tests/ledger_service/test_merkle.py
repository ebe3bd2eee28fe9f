"""The tree against published vectors, against its definition, and every proof of small trees bent in every way."""

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_service import merkle
from ledger_service.errors import ProofError
from tests.reference import merkle as reference

LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(70)]
SMALL = range(1, 18)


def published(shared: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    folder = shared / "vectors" / "merkle-rfc6962" / "testdata" / kind
    for path in sorted(folder.rglob("*.json")):
        yield str(path.relative_to(folder)), json.loads(path.read_text())


def hashes(values: Sequence[str] | None) -> list[bytes]:
    return [b64decode(value) for value in values or []]


def is_refused(verify: Any, *claim: Any) -> bool:
    try:
        verify(*claim)
    except ProofError:
        return True
    return False


def test_every_published_inclusion_proof_is_decided_right(shared: Path) -> None:
    wrong, count = [], 0
    for name, case in published(shared, "inclusion"):
        claim = (
            b64decode(case["leafHash"] or ""),
            case["leafIdx"],
            case["treeSize"],
            hashes(case["proof"]),
            b64decode(case["root"] or ""),
        )
        count += 1
        if is_refused(merkle.verify_inclusion, *claim) != case["wantErr"]:
            wrong.append(name)
    assert (count, wrong) == (98, [])


def test_every_published_consistency_proof_is_decided_right(shared: Path) -> None:
    wrong, count = [], 0
    for name, case in published(shared, "consistency"):
        claim = (
            case["size1"],
            case["size2"],
            b64decode(case["root1"] or ""),
            b64decode(case["root2"] or ""),
            hashes(case["proof"]),
        )
        count += 1
        if is_refused(merkle.verify_consistency, *claim) != case["wantErr"]:
            wrong.append(name)
    assert (count, wrong) == (98, [])


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle.root([]) == sha256(b"").digest() == merkle.EMPTY_ROOT


def test_roots_and_proofs_of_every_small_tree_are_those_of_the_definition() -> None:
    for size in range(1, len(LEAVES) + 1):
        leaves = LEAVES[:size]
        node, root = merkle.nodes_of(leaves), reference.root(leaves)
        assert merkle.root(leaves) == merkle.range_hash(node, 0, size) == root
        for index in range(size):
            path = merkle.inclusion_path(node, index, size)
            assert path == reference.path(index, leaves), (index, size)
            merkle.verify_inclusion(leaves[index], index, size, path, root)
        for old in range(1, size + 1):
            path = merkle.consistency_path(node, old, size)
            assert path == reference.proof(old, leaves), (old, size)
            merkle.verify_consistency(old, size, reference.root(leaves[:old]), root, path)


def bent(path: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """`path` with one hash dropped, doubled, added, exchanged, cut, lengthened or changed by a bit, at each place."""
    other = sha256(b"of no tree").digest()
    for at, one in enumerate(path):
        rest = path[:at], path[at + 1 :]
        yield f"without hash {at}", [*rest[0], *rest[1]]
        yield f"with hash {at} twice", [*rest[0], one, one, *rest[1]]
        yield f"with hash {at} cut", [*rest[0], one[:31], *rest[1]]
        yield f"with hash {at} longer", [*rest[0], one + b"\0", *rest[1]]
        for bit in (0, 7, 128, 255):
            changed = bytearray(one)
            changed[bit // 8] ^= 1 << bit % 8
            yield f"with bit {bit} of hash {at} changed", [*rest[0], bytes(changed), *rest[1]]
        if at:
            yield f"with hashes {at - 1} and {at} exchanged", [*path[: at - 1], one, path[at - 1], *rest[1]]
    for at in range(len(path) + 1):
        yield f"with a hash more at {at}", [*path[:at], other, *path[at:]]
    if path:
        yield "empty", []


def test_no_bent_inclusion_path_leads_to_the_root() -> None:
    for size in SMALL:
        leaves = LEAVES[:size]
        node, root = merkle.nodes_of(leaves), merkle.root(leaves)
        for index, leaf in enumerate(leaves):
            path = merkle.inclusion_path(node, index, size)
            for how, wrong in bent(path):
                assert is_refused(merkle.verify_inclusion, leaf, index, size, wrong, root), (index, size, how)
            for other in {*range(-1, size + 2)} - {index}:
                assert is_refused(merkle.verify_inclusion, leaf, other, size, path, root), (index, size, other)
            wrong_leaf = LEAVES[(index + 1) % size] if size > 1 else LEAVES[-1]
            assert is_refused(merkle.verify_inclusion, wrong_leaf, index, size, path, root)
            assert is_refused(merkle.verify_inclusion, leaf, index, size, path, merkle.root(LEAVES[: size + 1]))
            assert is_refused(merkle.verify_inclusion, leaf[:31], index, size, path, root)


def test_a_size_of_another_shape_is_refused_and_one_of_the_same_shape_changes_nothing() -> None:
    """An inclusion path says nothing of leaves to the right beyond their shape; the checkpoint's signature does."""
    for size in SMALL:
        leaves = LEAVES[:size]
        node, root = merkle.nodes_of(leaves), merkle.root(leaves)
        for index in range(size):
            path = merkle.inclusion_path(node, index, size)
            for other in {0, 1, size - 1, size + 1, 2 * size, size + 64} - {size}:
                if is_refused(merkle.verify_inclusion, leaves[index], index, other, path, root):
                    continue
                assert len(reference.path(index, LEAVES[:other])) == len(path)


def test_no_bent_consistency_path_leads_from_root_to_root() -> None:
    for new in SMALL:
        leaves = LEAVES[:new]
        node, root = merkle.nodes_of(leaves), merkle.root(leaves)
        for old in range(1, new + 1):
            before, path = merkle.root(leaves[:old]), merkle.consistency_path(node, old, new)
            for how, wrong in bent(path):
                assert is_refused(merkle.verify_consistency, old, new, before, root, wrong), (old, new, how)
            strange = merkle.leaf_hash(b"another history")
            assert is_refused(merkle.verify_consistency, old, new, strange, root, path), (old, new)
            assert is_refused(merkle.verify_consistency, old, new, before, strange, path), (old, new)
            if old != new:
                assert is_refused(merkle.verify_consistency, old, new, root, before, path), (old, new)
            for other in {*range(-1, new + 2)} - {old}:
                assert is_refused(merkle.verify_consistency, other, new, before, root, path), (old, new, other)


@pytest.mark.parametrize(
    ("index", "size"), [(-1, 3), (3, 3), (0, 0), (7, 3)], ids=["before it", "after it", "of nothing", "far after it"]
)
def test_there_is_no_path_to_an_index_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(ProofError, match="outside a tree"):
        merkle.inclusion_path(merkle.nodes_of(LEAVES[:3]), index, size)


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)])
def test_there_is_no_path_between_sizes_that_do_not_follow(old: int, new: int) -> None:
    with pytest.raises(ProofError, match="no proof leads"):
        merkle.consistency_path(merkle.nodes_of(LEAVES[:3]), old, new)


class Tiles:
    """A tree that grows in a dictionary of tiles, as the store keeps them."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.tree = merkle.TiledTree(lambda level, index: self.tiles.get((level, index), b""))
        self.size = 0

    def append(self, leaves: Sequence[bytes]) -> None:
        self.tiles.update(self.tree.extended(self.size, leaves))
        self.size += len(leaves)

    def leave_unfinished(self, leaves: Sequence[bytes]) -> None:
        """Write tiles as a publication does whose checkpoint was never committed."""
        self.tiles.update(self.tree.extended(self.size, leaves))


MANY = [sha256(number.to_bytes(4)).digest() for number in range(66_000)]
NODES = merkle.nodes_of(MANY)
BORDERS = [1, 255, 256, 257, 511, 512, 513, 1024, 65_535, 65_536, 65_537, 65_792, 65_793]


@pytest.mark.parametrize("size", BORDERS)
def test_a_tree_in_tiles_is_the_tree_of_the_list(size: int) -> None:
    tiles = Tiles()
    tiles.append(MANY[:size])
    root = merkle.root(MANY[:size])
    assert tiles.tree.root(size) == root
    near = {0, 1, 254, 255, 256, 257, 65_279, 65_280, 65_535, 65_536, size // 2, size - 257, size - 2, size - 1}
    for index in sorted(one for one in near if 0 <= one < size):
        path = merkle.inclusion_path(tiles.tree.node, index, size)
        assert path == merkle.inclusion_path(NODES, index, size)
        merkle.verify_inclusion(MANY[index], index, size, path, root)
    for old in sorted(one for one in {*BORDERS, size // 3, size - 1} if 0 < one <= size):
        assert merkle.consistency_path(tiles.tree.node, old, size) == merkle.consistency_path(NODES, old, size)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 600)), min_size=1, max_size=8))
def test_tiles_do_not_depend_on_how_the_leaves_came_nor_on_what_was_left_unfinished(
    chunks: list[tuple[int, int]],
) -> None:
    tiles = Tiles()
    for taken, unfinished in chunks:
        tiles.leave_unfinished([sha256(b"never committed %d" % n).digest() for n in range(unfinished)])
        tiles.append(MANY[tiles.size : tiles.size + taken])
        assert tiles.tree.root(tiles.size) == merkle.range_hash(NODES, 0, tiles.size)
    for old in (1, tiles.size // 2 or 1):
        assert merkle.consistency_path(tiles.tree.node, old, tiles.size) == merkle.consistency_path(
            NODES, old, tiles.size
        )


def test_a_node_that_was_never_written_is_missed_and_not_made_up() -> None:
    tiles = Tiles()
    tiles.append(MANY[:300])
    for level, index in [(0, 300), (8, 1), (9, 0), (16, 0), (3, 37)]:
        with pytest.raises(ProofError, match="not in the stored tree"):
            tiles.tree.node(level, index)
