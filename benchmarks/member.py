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


def run(*, quick: bool) -> Iterator[Figure]:
    """Rates of one process on one core."""
    count = 500 if quick else 3_000
    domain = Domain(131_277, sha256(b"registry").digest()[:20])
    author = Author(FROM.id, FROM.key, domain, (to_hex(TO.id),), 1_790_000_000_000)
    digest, secret = os.urandom(32), os.urandom(32)
    signing = rate(lambda: [FROM_KEY.sign(digest) for _ in range(count)], count)
    yield Figure("an event sealed: field tree, signature, envelope", rate(lambda: author.write(count), count), "events/s",
                 bare=signing, bare_is="the signature alone")  # fmt: skip
    items = author.write(count)
    values = [orjson.loads(item) for item in items]
    contents = [value["content"] for value in values]
    yield Figure("field tree of 23 salted fields", rate(lambda: [content_root(one, secret) for one in contents], count),
                 "events/s", bare=rate(lambda: _hashes(90 * count), count), bare_is="its 90 SHA-256 alone")  # fmt: skip
    yield Figure("canonical JSON written", rate(lambda: [canonical.dump(one) for one in values], count), "events/s",
                 bare=rate(lambda: [orjson.dumps(one) for one in values], count), bare_is="orjson with keys as they come")  # fmt: skip
    yield Figure("canonical JSON read strictly", rate(lambda: [canonical.parse(one) for one in items], count), "events/s",
                 bare=rate(lambda: [orjson.loads(one) for one in items], count), bare_is="orjson, which takes what is not strict")  # fmt: skip
    signature = FROM_KEY.sign(digest)
    yield Figure("signer recovered", rate(lambda: [keys.recover(digest, signature) for _ in range(count)], count), "per s",
                 bare=signing, bare_is="signatures made")  # fmt: skip
    leaves = [sha256(b"%d" % number).digest() for number in range(1 << 14)]
    node, root, size = merkle.nodes_of(leaves), merkle.root(leaves), len(leaves)
    proofs = [merkle.inclusion_path(node, number, size) for number in range(count)]
    yield Figure("inclusion proofs made, 16,384 leaves",
                 rate(lambda: [merkle.inclusion_path(node, number, size) for number in range(count)], count), "per s")  # fmt: skip
    yield Figure("inclusion proofs verified, 16,384 leaves", rate(
        lambda: [merkle.verify_inclusion(leaves[at], at, size, proofs[at], root) for at in range(count)], count),
        "per s", bare=rate(lambda: _hashes(14 * count), count), bare_is="their 14 SHA-256 alone")  # fmt: skip


FROM_KEY = FROM.key


def _hashes(count: int) -> None:
    data = bytes(65)
    for _ in range(count):
        sha256(data).digest()
