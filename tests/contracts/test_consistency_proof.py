"""`ConsistencyProof` against the published vectors, the definitions, and every proof broken in a way we can name."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_service import merkle
from ledger_service.errors import ProofError
from tests.contracts.trees import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contracts.network import Network

TREE = Tree()
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33]


@dataclass(frozen=True, slots=True)
class Claim:
    """That the tree of `new` leaves under `new_root` begins with that of `old` under `old_root`."""

    old: int
    new: int
    old_root: bytes
    new_root: bytes
    path: tuple[bytes, ...]

    @classmethod
    def true(cls, old: int, new: int) -> Claim:
        return cls(old, new, TREE.root(old), TREE.root(new), tuple(TREE.consistency(old, new)))

    def holds_on(self, network: Network) -> bool:
        function = network.harness.functions.holds
        return bool(function(self.old, self.new, self.old_root, self.new_root, list(self.path)).call())

    def holds_in_python(self) -> bool:
        try:
            merkle.verify_consistency(self.old, self.new, self.old_root, self.new_root, self.path)
        except ProofError:
            return False
        return True


def word(hash_: bytes) -> bytes:
    """`hash_` as the contract's 32 bytes can carry it.

    31 of the 98 cases contain a hash that is not of 32 bytes. The ABI cannot express it, so its SHA-256 stands for it:
    what was equal stays equal, what was different stays different, and the case keeps its meaning.
    """
    return hash_ if len(hash_) == 32 else sha256(hash_).digest()


def test_the_verdict_is_that_of_all_98_published_cases(network: Network, shared: Path) -> None:
    folder = shared / "vectors" / "merkle-rfc6962" / "testdata" / "consistency"
    verdicts: dict[str, bool] = {}
    expected: dict[str, bool] = {}
    for path in sorted(folder.rglob("*.json")):
        case = json.loads(path.read_text())
        roots = [word(b64decode(case[name] or "")) for name in ("root1", "root2")]
        proof = tuple(word(b64decode(node)) for node in case["proof"] or [])
        name = str(path.relative_to(folder))
        verdicts[name] = Claim(case["size1"], case["size2"], roots[0], roots[1], proof).holds_on(network)
        expected[name] = not case["wantErr"]
    assert verdicts == expected
    assert len(verdicts) == 98
    assert not verdicts["additional/sizes-are-equal-zero-and-proof-is-empty.json"]


def test_every_true_proof_up_to_size_33_holds(network: Network) -> None:
    for new in SIZES:
        for old in range(1, new + 1):
            claim = Claim.true(old, new)
            assert claim.holds_on(network), claim
            assert claim.holds_in_python(), claim


def broken(claim: Claim) -> Iterator[tuple[str, Claim]]:
    path = claim.path
    flipped = bytes([claim.old_root[0] ^ 1]) + claim.old_root[1:]
    yield "old size one more", replace(claim, old=claim.old + 1)
    yield "old size one less", replace(claim, old=claim.old - 1)
    yield "new size twice", replace(claim, new=claim.new * 2)
    yield "sizes swapped", replace(claim, old=claim.new, new=claim.old)
    yield "sizes and roots swapped", Claim(claim.new, claim.old, claim.new_root, claim.old_root, path)
    yield "roots swapped", replace(claim, old_root=claim.new_root, new_root=claim.old_root)
    yield "old root one bit off", replace(claim, old_root=flipped)
    yield "new root one bit off", replace(claim, new_root=bytes([claim.new_root[0] ^ 1]) + claim.new_root[1:])
    yield "empty path", replace(claim, path=())
    yield "path too long at its end", replace(claim, path=(*path, bytes(32)))
    yield "path too long at its start", replace(claim, path=(claim.old_root, *path))
    yield "path ends in the new root", replace(claim, path=(*path, claim.new_root))
    yield "path without its last node", replace(claim, path=path[:-1])
    yield "path without its first node", replace(claim, path=path[1:])
    yield "path reversed", replace(claim, path=path[::-1])
    for place in range(len(path)):
        node = bytes([path[place][0] ^ 128]) + path[place][1:]
        yield f"node {place} one bit off", replace(claim, path=(*path[:place], node, *path[place + 1 :]))


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 4), (4, 7), (6, 8), (7, 8), (8, 13), (16, 17), (21, 33)])
def test_a_proof_broken_in_any_way_does_not_hold(network: Network, old: int, new: int) -> None:
    true = Claim.true(old, new)
    for how, claim in broken(true):
        if claim == true:
            continue  # a path of one node reads the same backwards
        assert not claim.holds_on(network), how


def test_sizes_up_to_the_last_of_64_bits_are_judged(network: Network) -> None:
    last = 2**64 - 1
    root = bytes(32)
    assert Claim(last, last, root, root, ()).holds_on(network)
    assert not Claim(last - 1, last, root, root, (root,) * 63).holds_on(network)
    assert not Claim(1, last, root, root, (root,) * 64).holds_on(network)


hashes = st.sampled_from([bytes([n]) * 32 for n in range(3)]) | st.sampled_from([TREE.root(n) for n in range(1, 9)])


@given(st.integers(0, 9), st.integers(0, 9), hashes, hashes, st.lists(hashes, max_size=5).map(tuple), st.booleans())
def test_contract_and_python_agree_on_any_claim(
    founded: Network, old: int, new: int, old_root: bytes, new_root: bytes, path: tuple[bytes, ...], honest: bool
) -> None:
    claim = Claim(old, new, old_root, new_root, path)
    if honest and 1 <= old <= new:
        claim = replace(Claim.true(old, new), path=(*Claim.true(old, new).path, *path[:1]))
    if old == 0:
        assert not claim.holds_on(founded)  # nothing is proven from the empty tree; Python may call that trivially true
    else:
        assert claim.holds_on(founded) == claim.holds_in_python()
