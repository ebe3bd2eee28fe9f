"""What the second verifier computes for itself, held to published vectors and to the libraries of the first."""

import hashlib
import json
from pathlib import Path
from random import Random

import coincurve
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_hash.auto import keccak

from ledger_service import canonical
from tests.reference import merkle
from tests.verify.second import second

GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def address_of(key: bytes) -> bytes:
    return keccak(key[1:])[12:]


def test_keccak_at_every_length_around_its_block() -> None:
    random = Random(1)
    for length in (*range(20), *range(130, 142), 271, 272, 273, 1000):
        data = random.randbytes(length)
        assert second().keccak(data) == keccak(data)


def test_signers_are_recovered() -> None:
    random = Random(2)
    for _ in range(30):
        key = coincurve.PrivateKey(random.randbytes(32))
        digest = random.randbytes(32)
        made = key.sign_recoverable(digest, hasher=None)
        found = second().recover(digest, made[:64] + bytes([made[64] + 27]))
        assert found == address_of(key.public_key.format(compressed=False))


@pytest.mark.parametrize("file", ["ecdsa_secp256k1_sha256_p1363_test.json"])
def test_signatures_of_wycheproof(shared: Path, file: str) -> None:
    """Valid ones recover to their key under one v, after s was brought into the lower half; invalid ones never do."""
    suite = json.loads((shared / "vectors" / "wycheproof-secp256k1" / file).read_text())
    counted = 0
    for group in suite["testGroups"]:
        expected = address_of(bytes.fromhex(group["publicKey"]["uncompressed"]))
        for test in group["tests"]:
            raw, digest = bytes.fromhex(test["sig"]), hashlib.sha256(bytes.fromhex(test["msg"])).digest()
            s = int.from_bytes(raw[32:64])
            if test["result"] == "valid" and s > GROUP_ORDER // 2:
                assert not recovered(digest, raw)
                raw = raw[:32] + (GROUP_ORDER - s).to_bytes(32)
            if test["comment"] == "k*G has a large x-coordinate" or "x = n + " in test["comment"]:
                continue  # r is its x less the group order, which v 29 or 30 would say and nobody accepts
            assert (expected in recovered(digest, raw)) == (test["result"] == "valid"), test
            counted += 1
    assert counted > 200


def recovered(digest: bytes, signature: bytes) -> set[bytes]:
    found = set()
    for v in (27, 28):
        try:
            found.add(second().recover(digest, signature + bytes([v])))
        except second().Refused:
            continue
    return found


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_no_other_v_is_accepted(v: int) -> None:
    key = coincurve.PrivateKey(b"\1" * 32)
    with pytest.raises(second().Refused):
        second().recover(b"\2" * 32, key.sign_recoverable(b"\2" * 32, hasher=None)[:64] + bytes([v]))


# RFC 8032, 7.1: tests 1 to 3
RFC_8032 = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_ed25519_by_its_rfc(key: str, message: str, signature: str) -> None:
    public, text, made = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert second().ed25519_holds(public, text, made)
    for at in range(0, 64, 7):
        assert not second().ed25519_holds(public, text, made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :])
    twin = made[:32] + (int.from_bytes(made[32:], "little") + second().L).to_bytes(32, "little")
    assert not second().ed25519_holds(public, text, twin)
    assert not second().ed25519_holds(public, text, made[:63])


def test_ed25519_as_the_library_has_it() -> None:
    random = Random(3)
    for _ in range(10):
        key, text = Ed25519PrivateKey.from_private_bytes(random.randbytes(32)), random.randbytes(50)
        public = key.public_key().public_bytes_raw()
        assert second().ed25519_holds(public, text, key.sign(text))
        assert not second().ed25519_holds(public, text + b"x", key.sign(text))


def test_proofs_of_the_reference_tree() -> None:
    verifier = second()
    for size in (*range(1, 18), 33):
        leaves = [verifier.leaf_hash(bytes([number])) for number in range(size)]
        root = merkle.root(leaves)
        assert verifier.tree_root(leaves) == root
        for index in range(size):
            path = merkle.path(index, leaves)
            verifier.verify_inclusion(leaves[index], index, size, path, root)
            for wrong in (path[:-1], [*path, bytes(32)], path[::-1]):
                if wrong != path:
                    with pytest.raises(verifier.Refused):
                        verifier.verify_inclusion(leaves[index], index, size, wrong, root)


def test_canonical_bytes_are_those_of_the_first_verifier() -> None:
    random = Random(4)
    letters = ["a", "é", "😀", '"', "\\", "\n", "\x01", "\x7f", "/", "\u2028"]

    def made(depth: int) -> object:
        match random.randrange(7 if depth else 5):
            case 0:
                return random.choice([None, True, False])
            case 1:
                return random.randint(-(2**53) + 1, 2**53 - 1)
            case 2 | 3 | 4:
                return "".join(random.choices(letters, k=random.randrange(5)))
            case 5:
                return [made(depth - 1) for _ in range(random.randrange(4))]
            case _:
                return {random.choice('abAB0"~/'): made(depth - 1) for _ in range(random.randrange(4))}

    for _ in range(300):
        value = made(4)
        data = canonical.dump(value)
        assert second().canonical(value) == data
        assert second().read_json(data) == value
