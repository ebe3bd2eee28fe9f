"""Signatures against published vectors, addresses and hashes against others' code, and one spelling of everything."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from ledger_service import keys
from ledger_service.errors import MalformedInput
from ledger_service.keys import GROUP_ORDER, BadSignature, LocalKey, bytes_from_hex, from_hex, keccak, recover, to_hex

DIGEST = sha256(b"what is signed").digest()
KEY = LocalKey.from_bytes(sha256(b"a key").digest())


def der_numbers(signature: bytes) -> tuple[int, int] | None:
    """R and s of a signature in strict DER, else None: whoever sends DER converts it, and only this form converts."""

    def integer(at: int) -> tuple[int, int]:
        tag, length = signature[at], signature[at + 1]
        body = signature[at + 2 : at + 2 + length]
        if tag != 2 or not 0 < length < 128 or len(body) != length or body[0] & 0x80:
            raise ValueError("not a positive integer")
        if length > 1 and body[0] == 0 and not body[1] & 0x80:
            raise ValueError("not in the shortest form")
        return int.from_bytes(body), at + 2 + length

    try:
        if signature[0] != 0x30 or signature[1] != len(signature) - 2 or signature[1] >= 128:
            return None
        r, at = integer(2)
        s, at = integer(at)
    except (IndexError, ValueError):
        return None
    return (r, s) if at == len(signature) else None


def raw_numbers(signature: bytes) -> tuple[int, int] | None:
    """R and s of a signature of twice 32 bytes, else None."""
    return (int.from_bytes(signature[:32]), int.from_bytes(signature[32:])) if len(signature) == 64 else None


def ours(numbers: tuple[int, int] | None) -> list[bytes]:
    """The two 65-byte strings that can carry these numbers, one for each v; none where they do not fit."""
    if numbers is None or max(numbers) >= 1 << 256:
        return []
    return [numbers[0].to_bytes(32) + numbers[1].to_bytes(32) + bytes([v]) for v in (27, 28)]


def is_by(address: bytes, digest: bytes, signature: bytes) -> bool:
    try:
        return recover(digest, signature) == address
    except BadSignature:
        return False


def published(shared: Path, name: str) -> Iterator[tuple[int, bytes, bytes, bytes, bool]]:
    path = shared / "vectors" / "wycheproof-secp256k1" / f"ecdsa_secp256k1_sha256_{name}_test.json"
    for group in json.loads(path.read_text())["testGroups"]:
        address = keccak(bytes.fromhex(group["publicKey"]["uncompressed"])[1:])[12:]
        for case in group["tests"]:
            digest = sha256(bytes.fromhex(case["msg"])).digest()
            yield case["tcId"], digest, bytes.fromhex(case["sig"]), address, case["result"] == "valid"


def large_x(numbers: tuple[int, int] | None) -> bool:
    """Whether r can be the x of its point less the group order: so small that both would fit in the field."""
    return numbers is not None and 0 < numbers[0] < 2**256 - 2**32 - 977 - GROUP_ORDER


def test_bitcoin_signatures_have_the_published_verdict(shared: Path) -> None:
    """How a verdict is carried over: strict DER becomes r ‖ s ‖ v, and it counts if either v leads to the key.

    One valid case has an x beyond the group order, which v 27 and 28 cannot say, nor ecrecover; by chance it happens
    once in 2^127 signatures.
    """
    wrong, count = [], 0
    for number, digest, signature, address, is_valid in published(shared, "bitcoin"):
        count += 1
        numbers = der_numbers(signature)
        found = any(is_by(address, digest, one) for one in ours(numbers))
        if found != is_valid and not (is_valid and large_x(numbers)):
            wrong.append(number)
    assert (count, wrong) == (463, [])


def test_raw_signatures_have_the_published_verdict_but_for_high_s(shared: Path) -> None:
    """These vectors call s in the upper half valid; our one encoding does not have it, so the twin must be refused."""
    wrong, count, high = [], 0, 0
    for number, digest, signature, address, is_valid in published(shared, "p1363"):
        count += 1
        numbers = raw_numbers(signature)
        found = any(is_by(address, digest, one) for one in ours(numbers))
        if numbers is not None and numbers[1] > GROUP_ORDER // 2:
            high += is_valid
            is_valid = False
        if found != is_valid and not (is_valid and large_x(numbers)):
            wrong.append(number)
    assert (count, wrong) == (252, [])
    assert high > 0


BENT = {
    "empty": (lambda one: one[:0], "has 65 bytes"),
    "without v": (lambda one: one[:64], "has 65 bytes"),
    "a byte longer": (lambda one: one + b"\0", "has 65 bytes"),
    "v of 0 or 1": (lambda one: one[:64] + bytes([one[64] - 27]), "27 or 28"),
    "v of 29": (lambda one: one[:64] + b"\x1d", "27 or 28"),
    "v of EIP-155": (lambda one: one[:64] + bytes([one[64] + 10]), "27 or 28"),
    "the high-s twin": (
        lambda one: one[:32] + (GROUP_ORDER - int.from_bytes(one[32:64])).to_bytes(32) + bytes([55 - one[64]]),
        "upper half",
    ),
    "s of zero": (lambda one: one[:32] + bytes(32) + one[64:], "no key can have made"),
    "r of zero": (lambda one: bytes(32) + one[32:], "no key can have made"),
    "r of the group order": (lambda one: GROUP_ORDER.to_bytes(32) + one[32:], "no key can have made"),
    "r of all ones": (lambda one: b"\xff" * 32 + one[32:], "no key can have made"),
    "s of the group order": (lambda one: one[:32] + GROUP_ORDER.to_bytes(32) + one[64:], "upper half"),
    "s just above the middle": (
        lambda one: one[:32] + (GROUP_ORDER // 2 + 1).to_bytes(32) + one[64:],
        "upper half",
    ),
}


@pytest.mark.parametrize(("bend", "reason"), BENT.values(), ids=BENT.keys())
def test_a_signature_has_one_encoding(bend: Callable[[bytes], bytes], reason: str) -> None:
    signature = KEY.sign(DIGEST)
    assert recover(DIGEST, signature) == KEY.address
    with pytest.raises(BadSignature, match=reason):
        recover(DIGEST, bend(signature))


def test_an_x_that_is_on_no_point_was_made_by_nobody() -> None:
    # 5 is the x of no point of secp256k1: 5^3 + 7 is no square in its field.
    with pytest.raises(BadSignature, match="no key can have made"):
        recover(DIGEST, (5).to_bytes(32) + bytes(31) + b"\x01\x1b")


@given(st.integers(1, GROUP_ORDER - 1), st.binary(min_size=32, max_size=32))
def test_keys_sign_and_are_named_as_eth_account_has_it(secret: int, digest: bytes) -> None:
    key = LocalKey.from_bytes(secret.to_bytes(32))
    theirs = Account.from_key(secret.to_bytes(32))
    assert key.address == bytes.fromhex(theirs.address[2:])
    assert key.secret_bytes == secret.to_bytes(32)
    signature = key.sign(digest)
    assert signature == bytes(theirs.unsafe_sign_hash(digest).signature)
    assert recover(digest, signature) == key.address


@pytest.mark.parametrize("secret", [b"", bytes(32), GROUP_ORDER.to_bytes(32), b"\xff" * 32, b"\1" * 31, b"\1" * 33])
def test_a_secret_outside_the_group_is_no_key(secret: bytes) -> None:
    with pytest.raises(MalformedInput, match="a secret key is 32 bytes"):
        LocalKey.from_bytes(secret)


def test_a_key_does_not_show_its_secret() -> None:
    assert KEY.secret_bytes.hex() not in repr(KEY)


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        # The empty string, the empty RLP list and the classic pangram: known from every Ethereum client.
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"\xc0", "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"),
        (
            b"The quick brown fox jumps over the lazy dog",
            "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15",
        ),
        (b"transfer(address,uint256)", "a9059cbb2ab09eb219583f4a59a5d0623ade346d962bcd4e46b11da047c9049b"),
    ],
)
def test_keccak_is_ethereums_and_not_sha3(data: bytes, digest: str) -> None:
    assert keccak(data).hex() == digest


def test_purposes_are_named_in_a_fixed_order() -> None:
    assert keys.purpose_names(0) == []
    assert keys.purpose_names(keys.RELAY | keys.EVENTS) == ["events", "relay"]
    assert sum(keys.PURPOSES.values()) == 63


@given(st.binary(max_size=80))
def test_hexadecimal_is_read_as_it_was_written(value: bytes) -> None:
    assert from_hex(to_hex(value), len(value)) == bytes_from_hex(to_hex(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "ab",
        "abcd",
        "0xAB",
        "0Xab",
        "0xab ",
        " 0xab",
        "0xa",
        "0xabc",
        "0xgg",
        "0x a",
        "0x٠٠",
        "0xab\n",
        None,
        171,
        ["0xab"],
    ],
    ids=repr,
)
def test_hexadecimal_has_one_spelling(text: object) -> None:
    with pytest.raises(MalformedInput, match="lower-case hexadecimal") as caught:
        from_hex(text, 1, "/there")
    assert caught.value.where == "/there"
