"""A log that grows and is anchored, on whichever engine a test runs."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from eth_account.messages import encode_typed_data

from ledger_service import blocks, merkle
from ledger_service.chain.embedded import EmbeddedChain, Genesis
from ledger_service.chain.evm import EvmChain
from ledger_service.chain.port import AnchorEvidence, FirstKey, Founder, Founding, SignedTransaction
from ledger_service.keys import LocalKey, keccak

CHAIN_ID = 52_952
GENESIS_TIME = 1_790_000_000
GENESIS = Genesis(CHAIN_ID, GENESIS_TIME)
ORIGIN = keccak(b"ledger.example.org/chain-test")


def key(name: str) -> LocalKey:
    """The key that this name always has in these tests."""
    return LocalKey.from_bytes(sha256(f"chain test {name}".encode()).digest())


MEMBER = keccak(b"did:web:havelmark.example.org")
HASHES = [merkle.leaf_hash(b"entry %d" % index) for index in range(700)]
NODES = merkle.nodes_of(HASHES)


def founding(operator: LocalKey, *, origins: Iterable[bytes] = (ORIGIN,)) -> Founding:
    """One voting member with a signing key; `operator` relays, and anchors for the origins."""
    return Founding(
        founders=(Founder(MEMBER, key("root").address, bytes(32), True, (FirstKey(key("signer").address, 1),)),),
        relayers=(operator.address, key("second relayer").address),
        operators=tuple((origin, operator.address) for origin in origins),
    )


def create(path: Path, now: Callable[[], int] = lambda: GENESIS_TIME) -> EmbeddedChain:
    """A new embedded chain without a network."""
    return EmbeddedChain.create(path, GENESIS, attestor=key("attestor"), now=now)


def reopen(path: Path, now: Callable[[], int] = lambda: GENESIS_TIME) -> EmbeddedChain:
    return EmbeddedChain.open(path, attestor=key("attestor"), now=now)


@dataclass
class Lane:
    """The chain, the operator's key, and how large the log is that it anchors next."""

    chain: EvmChain
    operator: LocalKey = field(default_factory=lambda: key("operator"))
    size: int = 0
    last: SignedTransaction | None = None

    def found(self) -> "Lane":
        self.chain.deploy(founding(self.operator), self.operator)
        return self

    def sign(self, size: int, *, since: int | None = None, nonce: int | None = None) -> SignedTransaction:
        """The anchor of the first `size` entries, proven from the checkpoint of `since` entries."""
        old = self.size if since is None else since
        path = merkle.consistency_path(NODES, old, size) if 0 < old < size else []
        following = self.chain.next_nonce(self.operator.address) if nonce is None else nonce
        return self.chain.sign_anchor(ORIGIN, size, root(size), path, following, self.operator)

    def anchor(self, size: int) -> SignedTransaction:
        transaction = self.sign(size)
        self.chain.send(transaction.raw)
        wait_until_mined(self.chain, transaction)
        self.size, self.last = size, transaction
        return transaction

    def add_key(self, name: str, nonce: int, *, signer: str = "root") -> bytes:
        """Relay the member's wish for another signing key; the transaction's hash."""
        deadline = self.chain.head().timestamp + 86_400
        signature = self._signature(name, nonce, deadline, key(signer))
        return self.chain.relay(
            "addKey", [MEMBER, key(name).address, 1, False, (nonce, deadline, signature)], self.operator
        )

    def _signature(self, name: str, nonce: int, deadline: int, signer: LocalKey) -> bytes:
        identity = self.chain.identity()
        fields = {
            "member": "bytes32",
            "key": "address",
            "purposes": "uint8",
            "custodial": "bool",
            "nonce": "uint64",
            "deadline": "uint64",
        }
        message = encode_typed_data(
            domain_data={
                "name": "Tallystick",
                "version": "1",
                "chainId": identity.chain_id,
                "verifyingContract": "0x" + identity.registry.hex(),
            },
            message_types={"AddKey": [{"name": name, "type": type_} for name, type_ in fields.items()]},
            message_data={
                "member": MEMBER,
                "key": "0x" + key(name).address.hex(),
                "purposes": 1,
                "custodial": False,
                "nonce": nonce,
                "deadline": deadline,
            },
        )
        return signer.sign(keccak(b"\x19" + message.version + message.header + message.body))


def wait_until_mined(chain: EvmChain, transaction: SignedTransaction) -> None:
    """A node acknowledges first and mines then, even where it mines a block per transaction."""
    deadline = time.monotonic() + 10
    while chain._receipt(transaction.hash) is None:
        assert time.monotonic() < deadline, "the node does not mine"
        time.sleep(0.005)


def root(size: int) -> bytes:
    return merkle.range_hash(NODES, 0, size)


def evidence_of(chain: EvmChain, transaction: SignedTransaction) -> AnchorEvidence:
    """The evidence, held against the verifier that knows nothing of this package."""
    wait_until_mined(chain, transaction)
    evidence = chain.anchor_of(transaction.hash)
    assert evidence is not None
    header = blocks.Header.parse(evidence.header)
    assert (header.hash, header.number, header.timestamp) == (
        evidence.block_hash,
        evidence.block_number,
        evidence.block_time,
    )
    receipt = blocks.verify_receipt(header, evidence.receipt_index, evidence.receipt_proof)
    anchored = blocks.anchored_checkpoint(receipt, evidence.contract, ORIGIN)
    assert anchored.root == root(anchored.size)
    if evidence.attestation is not None:
        attestor = chain.identity().attestor
        assert attestor is not None
        blocks.verify_attestation(header.hash, evidence.chain_id, evidence.attestation, attestor)
    return evidence
