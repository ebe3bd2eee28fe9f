"""The chain as the ledger sees it: what any engine must keep, whatever runs the EVM behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ledger_service.chain.errors import ChainError, TransactionRefused
from ledger_service.handoffs import TakenStep
from ledger_service.keys import Signer
from ledger_service.membership import Change


@dataclass(frozen=True, slots=True)
class Contracts:
    """Where a network's three contracts stand; the registry's address is the network's identity."""

    registry: bytes
    checkpoints: bytes
    custody: bytes


@dataclass(frozen=True, slots=True)
class ChainIdentity:
    """What tells this chain from every other one, as a trust file pins it.

    `attestor` is the address that signs block headers (embedded engine only); `validators` are the QBFT validators
    of the head, in the header's order, and empty on a chain that names none in its headers.
    """

    chain_id: int
    genesis_hash: bytes
    registry: bytes
    checkpoints: bytes
    custody: bytes
    registry_code_hash: bytes
    checkpoints_code_hash: bytes
    custody_code_hash: bytes
    attestor: bytes | None
    validators: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FirstKey:
    """A signing key that a founder brings along; `purposes` is the bit set of `keys.PURPOSES`."""

    key: bytes
    purposes: int
    custodial: bool = False


@dataclass(frozen=True, slots=True)
class Founder:
    """A member of the first hour.

    Its `root_key` (an address) only changes keys; `next_root_hash` is keccak256(abi.encode(the root key after it)),
    zero for none.
    """

    member: bytes
    root_key: bytes
    next_root_hash: bytes
    voting: bool = True
    keys: tuple[FirstKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Founding:
    """What a network begins with, written into its registry when that is deployed.

    `operators` says which address may anchor for which origin (keccak256 of its text). A key's retirement is
    announced at least `retirement_blocks` ahead.
    """

    founders: tuple[Founder, ...]
    relayers: tuple[bytes, ...] = ()
    operators: tuple[tuple[bytes, bytes], ...] = ()
    retirement_blocks: int = 100


@dataclass(frozen=True, slots=True)
class AnchoredCheckpoint:
    """The last checkpoint of an origin that the contract has taken. `anchored_at` is block time, seconds UTC."""

    size: int
    root: bytes
    block_number: int
    anchored_at: int


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction as it goes over the wire; `hash` names it whatever becomes of it."""

    raw: bytes
    hash: bytes
    nonce: int
    sender: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """A block by its header. `timestamp` is seconds UTC; `header` is RLP, and hashes to `hash`."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    header: bytes


@dataclass(frozen=True, slots=True)
class AnchorEvidence:
    """Everything a stranger needs to see that a transaction was mined: header, receipt and the path between.

    `contract` is whom it called. `receipt_proof` are the nodes of the receipts trie from the root down to
    `receipt_index` (RLP), whose last value is the receipt. `attestation` is the embedded engine's signature over the
    header hash.
    """

    chain_id: int
    contract: bytes
    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    block_time: int
    header: bytes
    receipt_index: int
    receipt_proof: tuple[bytes, ...]
    attestation: bytes | None


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """One membership or key change as the registry recorded it; `head` is the running head after it."""

    change: Change
    head: bytes


@dataclass(frozen=True, slots=True)
class RefusedHandOff:
    """An item of a batch that changed nothing; `reason` is the error that it would have met alone."""

    unit: bytes
    sequence: int
    item: int
    reason: TransactionRefused
    block: int
    transaction_hash: bytes


class Chain(Protocol):
    """The one chain we anchor to, as the ledger sees it.

    Every method may raise ChainUnavailable, which means that the outcome is unknown. All of them may be called
    from several threads.
    """

    def identity(self) -> ChainIdentity:
        """What pins this chain and its three contracts."""
        ...

    def head(self) -> Block:
        """The newest block. Behind `confirmations` blocks of it, nothing is final."""
        ...

    def final(self) -> Block:
        """The newest block that no other can take the place of any more."""
        ...

    def latest(self, origin: bytes) -> AnchoredCheckpoint | None:
        """The last anchored checkpoint of `origin` (32 bytes), None before the first."""
        ...

    def next_nonce(self, sender: bytes) -> int:
        """The nonce that follows every transaction of `sender` the chain knows of, mined or waiting."""
        ...

    def sign_anchor(
        self, origin: bytes, size: int, root: bytes, path: Sequence[bytes], nonce: int, key: Signer
    ) -> SignedTransaction:
        """The transaction that anchors a checkpoint, signed but not sent.

        Store it before sending it: the same bytes can be sent again after a crash or a lost answer.
        """
        ...

    def sign_call(
        self, function: str, arguments: Sequence[Any], nonce: int, gas: int, key: Signer
    ) -> SignedTransaction:
        """The transaction that calls a contract function with at most `gas`, signed but not sent."""
        ...

    def sign_again(self, raw: bytes, key: Signer) -> SignedTransaction:
        """The same call under the same nonce, with today's fee: the chain takes one of the two at most."""
        ...

    def send(self, raw: bytes) -> None:
        """Hand a signed transaction to the chain; sending it twice is sending it once.

        Returns when the chain holds it (the embedded engine: when it is mined and on disk). Raises ChainUnavailable
        if the outcome is unknown, in which case the same bytes should be sent again later, and TransactionRefused
        (NonceTaken, TransactionUnderpriced) if these bytes can never succeed as they are.
        """
        ...

    def send_many(self, raws: Sequence[bytes]) -> list[ChainError | None]:
        """Hand over many transactions, which one block takes far more cheaply than many; None where one was taken.

        One that fails does not stop the others. The embedded engine mines all in one block, where one that reverts
        has used its nonce.
        """
        ...

    def anchor_of(self, transaction_hash: bytes) -> AnchorEvidence | None:
        """The proof that a transaction was mined, None while it is not mined or not final.

        Raises TransactionRefused if it was mined and failed.
        """
        ...

    def changes(self, after_index: int, limit: int = 1000, *, from_block: int = 0) -> list[RecordedChange]:
        """Membership changes after `after_index` (0 for all), oldest first, without a gap, at most `limit`.

        Only final ones. `from_block` is the block of the change `after_index`, where the caller knows it: a node
        is then not asked about older blocks. That the changes fold to their heads has been checked.
        """
        ...

    def custody_steps(self, first_block: int, last_block: int) -> list[TakenStep]:
        """The steps of custody in blocks `first_block` to `last_block`, both included, in the order in which the chain
        took them.

        Only those of final blocks; the signatures are those that were sent. Asking for few blocks is cheap however
        long the chain is.
        """
        ...

    def custody_refusals(self, first_block: int, last_block: int) -> list[RefusedHandOff]:
        """The handoffs in batches of these final blocks that changed nothing, each with its reason."""
        ...

    def headers(self, first: int, last: int) -> list[bytes]:
        """The RLP headers of blocks `first` to `last`, both included; blocks beyond the head are left out."""
        ...

    def relay(self, function: str, arguments: Sequence[Any], key: Signer) -> bytes:
        """Call a contract function in a transaction and wait until it is mined; the transaction's hash.

        `function` is a name out of the contracts' ABIs (with its argument types, as `f(uint8)`, where a name has two
        meanings; as `CustodyLedger.registry` where two contracts have it). Raises TransactionRefused with the
        contract's own error.
        """
        ...

    def call(self, function: str, arguments: Sequence[Any] = ()) -> Any:
        """What a view of one of the contracts answers at the head: a value, or a tuple of them."""
        ...

    def deploy(self, founding: Founding, key: Signer) -> Contracts:
        """Found a network here: deploy its contracts in transactions of `key`, and belong to them from now on."""
        ...

    def close(self) -> None:
        """Let go of the connection or the file; the object is of no use afterwards."""
        ...
