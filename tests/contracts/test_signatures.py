"""Digests and signatures: Solidity, eth-account and our own Python say the same of every one."""

from __future__ import annotations

import json
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode

from ledger_service.keys import GROUP_ORDER, BadSignature, keccak, recover
from ledger_service.statements import Domain, Header
from tests.contracts.network import Network, Refusal, address, key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOBODY = bytes(20)
# Valid, yet r is the x of its point less the group order (case 346), which happens by chance once in 2^127. ecrecover
# cannot say so with v 27 or 28; Python, held to the same encoding, cannot either.
LARGE_X = bytes.fromhex("30160211014551231950b75fc4402da1722fc9baeb020103")
GAS = 28_000_000
BATCH = 250


def solidity_signers(network: Network, cases: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Who signed each (digest, signature), as `recover` says; NOBODY where it refuses."""
    found: list[bytes] = []
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        function = network.harness.functions.signers(
            network.registry.address, [digest for digest, _ in batch], [signature for _, signature in batch]
        )
        found += [address(signer) for signer in function.call({"gas": GAS})]
    return found


def python_signer(digest: bytes, signature: bytes) -> bytes:
    try:
        return recover(digest, signature)
    except BadSignature:
        return NOBODY


def der_numbers(signature: bytes) -> tuple[int, int] | None:
    """R and s of a DER signature in its one canonical spelling, else None."""

    def number(body: bytes) -> tuple[int, bytes]:
        tag, length = body[0], body[1]
        value, rest = body[2 : 2 + length], body[2 + length :]
        if tag != 2 or length > 127 or not length or len(value) != length:
            raise ValueError("not an integer")
        if value[0] & 0x80 or (length > 1 and value[0] == 0 and not value[1] & 0x80):
            raise ValueError("negative, or spelled too long")
        return int.from_bytes(value), rest

    try:
        if signature[0] != 0x30 or signature[1] != len(signature) - 2 or signature[1] > 127:
            return None
        r, rest = number(signature[2:])
        s, rest = number(rest)
    except (IndexError, ValueError):
        return None
    return None if rest else (r, s)


def published(shared: Path, name: str) -> list[tuple[bytes, bytes, bytes, bool]]:
    """Digest, signature, address of the public key, and whether the signature is valid."""
    path = shared / "vectors" / "wycheproof-secp256k1" / f"ecdsa_secp256k1_sha256_{name}_test.json"
    return [
        (
            sha256(bytes.fromhex(test["msg"])).digest(),
            bytes.fromhex(test["sig"]),
            keccak(bytes.fromhex(group["publicKey"]["uncompressed"])[1:])[12:],
            test["result"] == "valid",
        )
        for group in json.loads(path.read_text())["testGroups"]
        for test in group["tests"]
    ]


def both_spellings(signature: bytes) -> tuple[bytes, bytes]:
    """A published r ‖ s says nothing of v; one of the two must name the key."""
    return signature + b"\x1b", signature + b"\x1c"


def verdicts(network: Network, cases: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Whether a digest's r ‖ s, with either v, names its key; asserts that Python says the same of each spelling."""
    spelled = [(digest, spelling) for digest, rs, _ in cases for spelling in both_spellings(rs)]
    signers = solidity_signers(network, spelled)
    assert signers == [python_signer(digest, spelling) for digest, spelling in spelled]
    return [named in signers[2 * at : 2 * at + 2] for at, (_, _, named) in enumerate(cases)]


def test_the_bitcoin_vectors_get_the_published_verdict_but_for_one_that_65_bytes_cannot_say(
    network: Network, shared: Path
) -> None:
    cases = published(shared, "bitcoin")
    expressible = []
    for digest, signature, named, is_valid in cases:
        numbers = der_numbers(signature)
        if numbers is None or max(numbers) >= 1 << 256:
            assert not is_valid  # no 65 bytes say what these DER bytes say
            continue
        rs = numbers[0].to_bytes(32) + numbers[1].to_bytes(32)
        expressible.append((digest, rs, named, is_valid and signature != LARGE_X))
    assert len(cases) == 463
    assert verdicts(network, [case[:3] for case in expressible]) == [case[3] for case in expressible]
    # and DER itself is refused, whatever it says
    assert set(solidity_signers(network, [(digest, signature) for digest, signature, *_ in cases])) == {NOBODY}


def test_the_p1363_vectors_get_the_published_verdict_but_for_high_s(network: Network, shared: Path) -> None:
    cases = published(shared, "p1363")
    assert len(cases) == 252
    for is_valid, found, (_, signature, *_) in zip(
        [case[3] for case in cases], verdicts(network, [case[:3] for case in cases]), cases, strict=True
    ):
        is_low = len(signature) == 64 and int.from_bytes(signature[32:]) <= GROUP_ORDER // 2
        assert found == (is_valid and is_low)


@pytest.mark.parametrize(
    ("how", "refused"),
    [
        ("as signed", None),
        ("v 0 or 1", "ECDSAInvalidSignature"),
        ("v of EIP-155", "ECDSAInvalidSignature"),
        ("high s", "ECDSAInvalidSignatureS"),
        ("64 bytes of EIP-2098", "ECDSAInvalidSignatureLength"),
        ("66 bytes", "ECDSAInvalidSignatureLength"),
        ("empty", "ECDSAInvalidSignatureLength"),
        ("r zero", "ECDSAInvalidSignature"),
        ("s zero", "ECDSAInvalidSignature"),
        ("r the group order", "ECDSAInvalidSignature"),
    ],
)
def test_a_signature_has_one_spelling(network: Network, how: str, refused: str | None) -> None:
    digest, signer = keccak(b"anything"), key("signer")
    signature = signer.sign(digest)
    r, s, v = signature[:32], int.from_bytes(signature[32:64]), signature[64]
    spelling = {
        "as signed": signature,
        "v 0 or 1": signature[:64] + bytes([v - 27]),
        "v of EIP-155": signature[:64] + bytes([v + 10]),
        "high s": r + (GROUP_ORDER - s).to_bytes(32) + bytes([55 - v]),
        "64 bytes of EIP-2098": r + (s | (v - 27) << 255).to_bytes(32),
        "66 bytes": signature + b"\0",
        "empty": b"",
        "r zero": bytes(32) + signature[32:],
        "s zero": r + bytes(32) + bytes([v]),
        "r the group order": GROUP_ORDER.to_bytes(32) + signature[32:],
    }[how]
    function = network.registry.functions.recover(digest, spelling)
    if refused is None:
        assert address(function.call()) == signer.address == python_signer(digest, spelling)
    else:
        assert network.refusal(function).name == refused
        assert python_signer(digest, spelling) == NOBODY


def random_statement(random: Random) -> dict[str, Any]:
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=random.randint(1, 9))) for _ in range(3)]
    return {
        "issuer": random.randbytes(32),
        "kind": "-".join(words[: random.randint(1, 3)]),
        "stream": random.randbytes(32),
        "sequence": random.choice([0, 1, 2**53, 2**64 - 1, random.getrandbits(random.randint(1, 64))]),
        "issuedAt": random.choice([0, 2**64 - 1, random.getrandbits(random.randint(1, 64))]),
        "contentRoot": random.randbytes(32),
    }


def check_digests(network: Network, count: int, seed: int) -> None:
    random = Random(seed)
    statements = [random_statement(random) for _ in range(count)]
    on_chain: list[bytes] = []
    for start in range(0, count, BATCH):
        batch = [tuple(statement.values()) for statement in statements[start : start + BATCH]]
        function = network.harness.functions.statementDigests(network.registry.address, batch)
        on_chain += function.call({"gas": GAS})
    domain = Domain(network.w3.eth.chain_id, address(network.registry.address))
    assert on_chain == [network.digest("Statement", statement) for statement in statements]
    assert on_chain == [Header(*statement.values()).digest(domain) for statement in statements]
    assert len(set(on_chain)) == count


def test_digests_equal_those_of_eth_account_and_of_our_python_on_500_random_statements(network: Network) -> None:
    check_digests(network, 500, seed=1)


@pytest.mark.full
def test_digests_equal_those_of_eth_account_and_of_our_python_on_10000_random_statements(network: Network) -> None:
    check_digests(network, 10_000, seed=2)


@pytest.mark.parametrize("kind", ["", "ä ‖ 🪵", "x" * 1000, "\0", "Statement(bytes32 issuer)"])
def test_the_digest_takes_any_text_for_a_kind(network: Network, kind: str) -> None:
    statement = {**random_statement(Random(3)), "kind": kind}
    found = network.registry.functions.statementDigest(tuple(statement.values())).call()
    assert found == network.digest("Statement", statement)


def test_the_domain_is_told_as_erc_5267_has_it(network: Network) -> None:
    told = network.registry.functions.eip712Domain().call()
    assert told == [b"\x0f", "Tallystick", "1", network.w3.eth.chain_id, network.registry.address, bytes(32), []]


def test_a_proposal_has_the_id_of_its_content(network: Network) -> None:
    proposal = network.proposal(13, bytes(32), nonce=2**256 - 1)
    expected = keccak(encode(["uint8", "bytes", "uint64", "uint256"], proposal.arguments))
    assert network.registry.functions.proposalId(proposal.arguments).call() == expected == proposal.id


def test_a_refused_signature_says_what_is_wrong_with_it(network: Network) -> None:
    function = network.registry.functions.recover(bytes(32), bytes(64))
    assert network.refusal(function) == Refusal("ECDSAInvalidSignatureLength", (64,))
