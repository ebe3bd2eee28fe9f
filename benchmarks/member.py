"""The member's side: signing, canonical JSON and proofs, each beside what it is made of. For information."""

import os
from collections.abc import Iterator
from hashlib import sha256

import orjson

from benchmarks.events import Author
from benchmarks.figures import Figure, rate
from benchmarks.service import FROM, TO
from ledger_service import canonical, keys, merkle
from ledger_service.keys import to_hex
from ledger_service.statements import Domain, content_root

HASHES_OF_A_TREE = 23 * 3 + 22
"""Of 23 fields: two for the salt, one for the leaf, and the nodes above."""


def run(*, quick: bool) -> Iterator[Figure]:
    """Rates of one process on one core."""
    count = 500 if quick else 3_000
    domain = Domain(131_277, sha256(b"registry").digest()[:20])
    author = Author(FROM.id, FROM.key, domain, (to_hex(TO.id),), 1_790_000_000_000)
    key, digest, secret = FROM.key, os.urandom(32), os.urandom(32)
    signatures = rate(lambda: [key.sign(digest) for _ in range(count)], count)
    sealed = rate(lambda: author.write(count), count)
    yield Figure(
        "an event sealed: field tree, signature, envelope", sealed, "per s", (), signatures, "the signature alone"
    )
    items = author.write(count)
    values = [orjson.loads(item) for item in items]
    contents = [value["content"] for value in values]

    hashed = rate(lambda: _hash(HASHES_OF_A_TREE * count), count)
    trees = rate(lambda: [content_root(one, secret) for one in contents], count)
    yield Figure(
        "field trees of 23 salted fields", trees, "per s", (), hashed, f"their {HASHES_OF_A_TREE} SHA-256 alone"
    )

    plain = rate(lambda: [orjson.dumps(one) for one in values], count)
    written = rate(lambda: [canonical.dump(one) for one in values], count)
    yield Figure("canonical JSON written", written, "per s", (), plain, "orjson with keys as they come")

    loose = rate(lambda: [orjson.loads(one) for one in items], count)
    read = rate(lambda: [canonical.parse(one) for one in items], count)
    yield Figure("canonical JSON read strictly", read, "per s", (), loose, "orjson, which takes what is not strict")

    signature = key.sign(digest)
    recovered = rate(lambda: [keys.recover(digest, signature) for _ in range(count)], count)
    yield Figure("signers recovered", recovered, "per s", (), signatures, "signatures made")

    leaves = [sha256(b"%d" % number).digest() for number in range(1 << 14)]
    node, root, size = merkle.nodes_of(leaves), merkle.root(leaves), len(leaves)
    made = rate(lambda: [merkle.inclusion_path(node, at, size) for at in range(count)], count)
    yield Figure("inclusion proofs made, 16,384 leaves", made, "per s")

    proofs = [merkle.inclusion_path(node, at, size) for at in range(count)]

    def verify() -> None:
        for at in range(count):
            merkle.verify_inclusion(leaves[at], at, size, proofs[at], root)

    hashed = rate(lambda: _hash(14 * count), count)
    yield Figure(
        "inclusion proofs verified, 16,384 leaves", rate(verify, count), "per s", (), hashed, "their 14 SHA-256 alone"
    )


def _hash(count: int) -> None:
    data = bytes(65)
    for _ in range(count):
        sha256(data).digest()
