"""What a block header proves, checked with nothing but the bytes: no node, no chain library, no trust in the sender.

A receipt is proven by the Merkle-Patricia nodes between it and the header's receipts root; the header by its hash,
which the trust file pins, the embedded engine's attestor signs, or a quorum of QBFT validators sealed. Formats:
Ethereum's yellow paper, appendices B (RLP), C (hex-prefix) and D (trie); EIP-2718 (typed receipts); Besu's
`QbftExtraDataCodec` and `BftBlockHashing` for the hash of a block that carries seals. Everything is read in its one
canonical encoding.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Self, TypeAlias

from ledger_service.errors import LedgerError
from ledger_service.keys import BadSignature, keccak, recover

Item: TypeAlias = "bytes | tuple[Item, ...]"
"""What RLP encodes: a byte string, or a list of items."""

MAX_DEPTH = 16
"""Lists within lists that RLP is read to; headers, receipts and trie nodes stay far below."""

EMPTY_TRIE_ROOT = keccak(b"\x80")
"""The root of a trie without entries: a block without transactions has it for its receipts root."""

CHECKPOINT_ANCHORED = keccak(b"CheckpointAnchored(bytes32,uint64,bytes32,uint64,uint64,bytes32,uint64)")
"""First topic of the event that `CheckpointRegistry` emits for every anchor."""

CERTIFIED = keccak(b"Certified(bytes32,address,uint64,bool,bytes32)")
"""First topic of the event in which `CustodyLedger` says where a unit stands."""

ATTESTATION_PREFIX = b"tallystick header v1"
"""What the embedded engine's attestor signs begins with this, so that it can be no other message."""


class ChainProofError(LedgerError):
    """Evidence from the chain that does not prove what it is offered for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MalformedRlp(ChainProofError):
    """Bytes that are not the canonical RLP encoding of anything."""


class MalformedHeader(ChainProofError):
    """Bytes that are no block header of any fork up to Prague, or seals that are no QBFT extra data."""


class MalformedReceipt(ChainProofError):
    """Bytes that are no transaction receipt since Byzantium."""


class BrokenTrieProof(ChainProofError):
    """Trie nodes that do not lead from the root to the entry: one is missing, altered, superfluous or out of order."""


class AnchorNotFound(ChainProofError):
    """A receipt in which the contract did not anchor this origin, exactly once, in a transaction that succeeded."""


class CertificateNotFound(ChainProofError):
    """A receipt in which the contract did not certify this unit, exactly once, in a transaction that succeeded."""


class BrokenHeaderChain(ChainProofError):
    """Headers that do not follow one another up to the pinned block."""


class NotAttested(ChainProofError):
    """A header hash that the attestor of the trust file did not sign."""


class NotSealed(ChainProofError):
    """A header without the commit seals of a quorum of the trust file's validators."""


def encode_rlp(item: Item) -> bytes:
    """The RLP encoding of `item`.

    >>> encode_rlp((b"cat", b"", ())).hex()
    'c68363617480c0'
    """
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _prefix(0x80, len(item)) + item
    body = b"".join(map(encode_rlp, item))
    return _prefix(0xC0, len(body)) + body


def decode_rlp(data: bytes) -> Item:
    """The item that `data` encodes; raises MalformedRlp unless `data` is its one canonical encoding, to the last byte.

    >>> decode_rlp(bytes.fromhex("c68363617480c0"))
    (b'cat', b'', ())
    """
    item, end = _read_item(data, 0, len(data), 0)
    if end != len(data):
        raise MalformedRlp(f"{len(data) - end} bytes follow the encoded item")
    return item


class Consensus(StrEnum):
    """How a chain agrees on blocks; it decides what the hash of a header leaves out."""

    PLAIN = "plain"
    """The hash is keccak256 of the header (embedded chain, Anvil, Geth)."""
    QBFT = "qbft"
    """The extra data hold the round and the validators' seals, which come after the hash and are left out of it."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block header: its RLP, its hash on its chain, and the fields the evidence needs.

    `timestamp` is in seconds since 1970 UTC.
    """

    raw: bytes
    consensus: Consensus
    hash: bytes
    parent_hash: bytes
    state_root: bytes
    receipts_root: bytes
    number: int
    timestamp: int
    extra_data: bytes

    @classmethod
    def parse(cls, raw: bytes, consensus: Consensus = Consensus.PLAIN) -> Self:
        """The header that `raw` encodes; raises MalformedRlp or MalformedHeader."""
        fields = _header_fields(raw)
        number, timestamp = int.from_bytes(fields[8]), int.from_bytes(fields[11])
        extra_data = fields[12]
        # Besu hashes the genesis block as it stands, whatever the consensus (BftBlockHashing.serializeHeader).
        is_sealed = consensus is Consensus.QBFT and number > 0
        hashed = _with_extra_data(fields, QbftExtraData.parse(extra_data).unsealed(0)) if is_sealed else raw
        return cls(raw, consensus, keccak(hashed), fields[0], fields[3], fields[5], number, timestamp, extra_data)


@dataclass(frozen=True, slots=True)
class QbftExtraData:
    """What a QBFT block carries in its extra data: RLP of [vanity, validators, vote, round, seals].

    `validators` is empty where a contract chooses them. `vote` is empty or (address, 0xff to add, empty to drop).
    """

    vanity: bytes
    validators: tuple[bytes, ...]
    vote: tuple[bytes, ...]
    round: int
    seals: tuple[bytes, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The extra data that `raw` encodes; raises MalformedRlp or MalformedHeader."""
        match decode_rlp(raw):
            case (bytes() as vanity, tuple() as validators, tuple() as vote, bytes() as round_, tuple() as seals):
                pass
            case _:
                raise MalformedHeader("QBFT extra data are [vanity, validators, vote, round, seals]")
        if len(vanity) != 32:
            raise MalformedHeader(f"the vanity of QBFT extra data has 32 bytes, here {len(vanity)}")
        if len(round_) > 4 or round_[:1] == b"\0":
            raise MalformedHeader(f"0x{round_.hex()} is not the round of a QBFT block")
        is_vote = not vote or (len(vote) == 2 and vote[1] in (b"", b"\xff"))
        if not is_vote:
            raise MalformedHeader("a QBFT vote is empty, or an address with 0xff to add it or nothing to drop it")
        return cls(
            vanity,
            _strings(validators, 20, "a validator's address"),
            _strings(vote[:1], 20, "the address voted on") + _strings(vote[1:], None, "a vote"),
            int.from_bytes(round_),
            _strings(seals, 65, "a commit seal"),
        )

    @property
    def raw(self) -> bytes:
        """The RLP encoding; the inverse of `parse`."""
        return self._encode(self.round, self.seals)

    def unsealed(self, round_: int) -> bytes:
        """The encoding without seals and with the round `round_`, as it is hashed."""
        return self._encode(round_, ())

    def _encode(self, round_: int, seals: tuple[bytes, ...]) -> bytes:
        return encode_rlp((self.vanity, self.validators, self.vote, encode_integer(round_), seals))


@dataclass(frozen=True, slots=True)
class Log:
    """An event: the contract that emitted it, its topics of 32 bytes each, and its data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did: whether it succeeded, and the events it emitted. `type` is 0 or the type of EIP-2718."""

    type: int
    succeeded: bool
    cumulative_gas: int
    logs: tuple[Log, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The receipt that `raw` encodes, typed (EIP-2718, types 1 to 4) or not.

        Raises MalformedRlp or MalformedReceipt. Receipts from before Byzantium,
        which name a state root in place of a status, are refused.
        """
        kind = raw[0] if raw and raw[0] < 0x80 else 0
        if kind > 4 or raw[:1] == b"\0":
            raise MalformedReceipt(f"0x{raw[:1].hex()} is not a type of receipt")
        match decode_rlp(raw[1:] if kind else raw):
            case (b"" | b"\1" as status, bytes() as gas, bytes() as bloom, tuple() as logs):
                pass
            case _:
                raise MalformedReceipt("a receipt is [status, cumulative gas, bloom, logs], its status 0 or 1")
        if len(bloom) != 256:
            raise MalformedReceipt(f"a bloom has 256 bytes, here {len(bloom)}")
        if gas[:1] == b"\0" or len(gas) > 32:
            raise MalformedReceipt(f"0x{gas.hex()} is not an amount of gas")
        return cls(kind, status == b"\1", int.from_bytes(gas), tuple(map(_log, logs)))


@dataclass(frozen=True, slots=True)
class AnchoredEvent:
    """What `CheckpointRegistry` recorded for an origin, and the state of the member registry in that moment.

    `previous_size` and `previous_anchored_at` (seconds, both 0 at the first anchor) are of the anchor before, so that
    none can lie between the two. `registry_head` covers the first `registry_changes` membership changes.
    """

    size: int
    root: bytes
    previous_size: int
    previous_anchored_at: int
    registry_head: bytes
    registry_changes: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a unit stands on the chain: who holds it, by which step, whether it is closed, and its running head.

    All zero for a unit that was never opened.
    """

    custodian: bytes
    sequence: int
    is_closed: bool
    head: bytes


def verify_receipt(header: Header, index: int, nodes: Sequence[bytes]) -> Receipt:
    """The receipt of transaction `index` of the block, proven by the trie `nodes` from the receipts root down.

    Raises a ChainProofError that says what is wrong. A node under 32 bytes is part of the one above it and is not sent
    by itself; what is sent must be used, all of it, in this order.
    """
    if index < 0:
        raise BrokenTrieProof(f"there is no transaction {index}")
    return Receipt.parse(trie_entry(header.receipts_root, encode_rlp(encode_integer(index)), nodes))


def trie_entry(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes:
    """What stands under `key` in the Merkle-Patricia trie with `root`, as `nodes` (root first) prove.

    Raises BrokenTrieProof, or MalformedRlp for a node that is none. Absence is not proven: it is an error.
    """
    path = _nibbles(key)
    unread = list(reversed(nodes))
    node = _resolve(root, unread)
    while True:
        match node:
            case (bytes() as packed, rest):
                prefix, is_leaf = _unpack_path(packed)
                if path[: len(prefix)] != prefix:
                    raise BrokenTrieProof("the nodes lead to another entry of the trie")
                path = path[len(prefix) :]
                if is_leaf:
                    return _entry(rest, path, unread)
                child = rest
            case tuple() if len(node) == 17:
                if not path:
                    return _entry(node[16], path, unread)
                child, path = node[path[0]], path[1:]
            case _:
                raise BrokenTrieProof("a trie node is a list of 2 or of 17")
        node = _resolve(child, unread)


def anchored_checkpoint(receipt: Receipt, contract: bytes, origin: bytes) -> AnchoredEvent:
    """What `receipt` shows that `contract` anchored for `origin` (keccak256 of the origin's text).

    Raises AnchorNotFound unless the transaction succeeded and has exactly one such event, encoded as Solidity does.
    """
    if not receipt.succeeded:
        raise AnchorNotFound("the transaction failed, so it anchored nothing")
    topics = (CHECKPOINT_ANCHORED, origin)
    found = [log.data for log in receipt.logs if log.address == contract and log.topics == topics]
    if len(found) != 1:
        raise AnchorNotFound(
            f"the receipt has {len(found)} anchors of the origin 0x{origin.hex()} by 0x{contract.hex()}, not one"
        )
    data = found[0]
    size, root, previous_size, previous_time, head, changes = (data[at : at + 32] for at in range(0, 192, 32))
    if len(data) != 192 or any(any(number[:24]) for number in (size, previous_size, previous_time, changes)):
        raise AnchorNotFound(
            "the anchor's data are not (uint64 size, bytes32 root, uint64 previous size, uint64 previous time, "
            "bytes32 head, uint64 changes)"
        )
    return AnchoredEvent(
        int.from_bytes(size),
        root,
        int.from_bytes(previous_size),
        int.from_bytes(previous_time),
        head,
        int.from_bytes(changes),
    )


def certified_standing(receipt: Receipt, contract: bytes, unit: bytes) -> Standing:
    """Where `receipt` shows that `contract` says `unit` stands.

    Raises CertificateNotFound unless the transaction succeeded and has exactly one such event, as Solidity encodes it.
    """
    if not receipt.succeeded:
        raise CertificateNotFound("the transaction failed, so it certified nothing")
    topics = (CERTIFIED, unit)
    found = [log.data for log in receipt.logs if log.address == contract and log.topics == topics]
    if len(found) != 1:
        raise CertificateNotFound(
            f"the receipt has {len(found)} certificates of the unit 0x{unit.hex()} by 0x{contract.hex()}, not one"
        )
    data = found[0]
    custodian, sequence, closed, head = (data[at : at + 32] for at in range(0, 128, 32))
    is_encoded = len(data) == 128 and not any(custodian[:12]) and not any(sequence[:24]) and not any(closed[:31])
    if not is_encoded or closed[31] > 1:
        raise CertificateNotFound(
            "the certificate's data are not (address custodian, uint64 sequence, bool closed, bytes32 head)"
        )
    return Standing(custodian[12:], int.from_bytes(sequence), closed[31] == 1, head)


def verify_header_chain(headers: Sequence[Header], pinned: bytes) -> None:
    """Raise BrokenHeaderChain unless `headers` lead, parent by parent, from the first up to the block `pinned`.

    The pinned block comes last: a hash commits to what came before it and to nothing after, so that a pin says nothing
    about later blocks. One header is enough where it is the pinned block itself.
    """
    if not headers:
        raise BrokenHeaderChain("there are no headers up to the pinned block")
    for parent, child in pairwise(headers):
        if child.parent_hash != parent.hash or child.number != parent.number + 1:
            raise BrokenHeaderChain(f"block {child.number} does not follow on block {parent.number} as given")
    last = headers[-1]
    if last.hash != pinned:
        raise BrokenHeaderChain(
            f"the headers end at block {last.number}, 0x{last.hash.hex()}, and not at the pinned block 0x{pinned.hex()}"
        )


def attestation_digest(block_hash: bytes, chain_id: int) -> bytes:
    """What the embedded engine's attestor signs for a block of the chain `chain_id`."""
    return keccak(ATTESTATION_PREFIX + chain_id.to_bytes(32) + block_hash)


def verify_attestation(block_hash: bytes, chain_id: int, signature: bytes, attestor: bytes) -> None:
    """Raise NotAttested unless the address `attestor` signed `block_hash` as a block of the chain `chain_id`."""
    try:
        signer = recover(attestation_digest(block_hash, chain_id), signature)
    except BadSignature as error:
        raise NotAttested(f"the attestation of block 0x{block_hash.hex()}: {error}") from error
    if signer != attestor:
        raise NotAttested(
            f"the attestation of block 0x{block_hash.hex()} leads to 0x{signer.hex()}, not to the attestor "
            f"0x{attestor.hex()}"
        )


def quorum(validators: int) -> int:
    """How many of `validators` must seal a QBFT block: two thirds, rounded up (Besu's BftHelpers)."""
    return -(-2 * validators // 3)


def commit_seal_digest(header: Header) -> bytes:
    """What a validator signs to commit to `header`: the header without seals, the round kept."""
    extra_data = QbftExtraData.parse(header.extra_data)
    return keccak(_with_extra_data(_header_fields(header.raw), extra_data.unsealed(extra_data.round)))


def verify_seals(header: Header, validators: Collection[bytes]) -> None:
    """Raise NotSealed unless a quorum of `validators`, the addresses in the trust file, sealed `header`.

    The validators that the header itself names are nobody's word but the sender's and are not looked at. As in Besu,
    one seal by a stranger or two by one validator make the block invalid, however many others there are.
    """
    known = set(validators)
    if header.consensus is not Consensus.QBFT or header.number == 0:
        raise NotSealed(f"block {header.number} of a {header.consensus} chain carries no seals")
    if not known:
        raise NotSealed("there are no validators to have sealed anything")
    digest = commit_seal_digest(header)
    sealed: set[bytes] = set()
    for seal in QbftExtraData.parse(header.extra_data).seals:
        validator = _sealer(digest, seal)
        if validator not in known:
            raise NotSealed(f"block {header.number} has a seal by 0x{validator.hex()}, who is not a validator")
        if validator in sealed:
            raise NotSealed(f"block {header.number} has two seals by 0x{validator.hex()}")
        sealed.add(validator)
    if len(sealed) < quorum(len(known)):
        raise NotSealed(
            f"block {header.number} has the seals of {len(sealed)} validators; {len(known)} validators need "
            f"{quorum(len(known))}"
        )


def encode_integer(value: int) -> bytes:
    """`value` as RLP writes integers: big-endian without leading zeros, zero as nothing."""
    return value.to_bytes((value.bit_length() + 7) // 8)


def _prefix(offset: int, length: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    size = encode_integer(length)
    return bytes([offset + 55 + len(size)]) + size


def _read_item(data: bytes, start: int, end: int, depth: int) -> tuple[Item, int]:
    """The item that begins at `start`, and where it ends, which is not after `end`."""
    if start >= end:
        raise MalformedRlp("an item is cut short")
    first = data[start]
    if first < 0x80:
        return data[start : start + 1], start + 1
    is_list = first >= 0xC0
    body, stop = _read_extent(data, start, end, 0xC0 if is_list else 0x80)
    if not is_list:
        if stop - body == 1 and data[body] < 0x80:
            raise MalformedRlp("a byte under 0x80 stands for itself and takes no prefix")
        return data[body:stop], stop
    if depth == MAX_DEPTH:
        raise MalformedRlp(f"lists are nested more than {MAX_DEPTH} deep")
    items: list[Item] = []
    while body < stop:
        item, body = _read_item(data, body, stop, depth + 1)
        items.append(item)
    return tuple(items), stop


def _read_extent(data: bytes, start: int, end: int, offset: int) -> tuple[int, int]:
    """Where the body of the item at `start` begins and ends."""
    length = data[start] - offset
    body = start + 1
    if length > 55:
        size = data[body : min(body + length - 55, end)]
        if len(size) < length - 55:
            raise MalformedRlp("a length is cut short")
        body += len(size)
        length = int.from_bytes(size)
        if size[0] == 0 or length < 56:
            raise MalformedRlp("a length is not written in its shortest form")
    if body + length > end:
        raise MalformedRlp("an item is cut short")
    return body, body + length


# Widths of the header's fields up to the newest fork; None stands for an integer. Since London (EIP-1559) a base fee
# follows, since Shanghai (EIP-4895) the withdrawals' root, since Cancun (EIP-4844, EIP-4788) blob gas used, excess blob
# gas and the beacon root, since Prague (EIP-7685) the requests' hash.
_HEADER_WIDTHS = (
    *(32, 32, 20, 32, 32, 32, 256, None, None, None, None, None, None, 32, 8),
    *(None, 32, None, None, 32, 32),
)
_EXTRA_DATA = 12
_HEADER_LENGTHS = (15, 16, 17, 20, 21)


def _header_fields(raw: bytes) -> tuple[bytes, ...]:
    items = decode_rlp(raw)
    if not isinstance(items, tuple) or len(items) not in _HEADER_LENGTHS:
        raise MalformedHeader("a header is a list of 15, 16, 17, 20 or 21 fields")
    fields = _strings(items, None, "a field of a header")
    for at, (field, width) in enumerate(zip(fields, _HEADER_WIDTHS, strict=False)):
        if at == _EXTRA_DATA:
            continue
        is_fitting = len(field) == width if width is not None else len(field) <= 32 and field[:1] != b"\0"
        if not is_fitting:
            raise MalformedHeader(f"field {at} of a header cannot be 0x{field.hex()}")
    return fields


def _with_extra_data(fields: tuple[bytes, ...], extra_data: bytes) -> bytes:
    return encode_rlp((*fields[:_EXTRA_DATA], extra_data, *fields[_EXTRA_DATA + 1 :]))


def _strings(items: Sequence[Item], width: int | None, what: str) -> tuple[bytes, ...]:
    strings = tuple(item for item in items if isinstance(item, bytes) and (width is None or len(item) == width))
    if len(strings) != len(items):
        raise MalformedHeader(f"{what} is a string of {width} bytes" if width else f"{what} is a string of bytes")
    return strings


def _log(item: Item) -> Log:
    match item:
        case (bytes() as address, tuple() as topics, bytes() as data) if len(address) == 20 and len(topics) <= 4:
            words = tuple(topic for topic in topics if isinstance(topic, bytes) and len(topic) == 32)
            if len(words) == len(topics):
                return Log(address, words, data)
    raise MalformedReceipt("a log is [address, up to 4 topics of 32 bytes, data]")


def _nibbles(key: bytes) -> bytes:
    return bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))


def _unpack_path(packed: bytes) -> tuple[bytes, bool]:
    """The nibbles of a hex-prefixed path, and whether it ends at a leaf (yellow paper, appendix C)."""
    nibbles = _nibbles(packed)
    flag = nibbles[0] if nibbles else 4
    is_odd = bool(flag & 1)
    if flag > 3 or (not is_odd and nibbles[1]):
        raise BrokenTrieProof(f"0x{packed.hex()} is not a path in a trie")
    path = nibbles[1:] if is_odd else nibbles[2:]
    is_leaf = flag >= 2
    if not path and not is_leaf:
        raise BrokenTrieProof("an extension node with an empty path")
    return path, is_leaf


def _resolve(reference: Item, unread: list[bytes]) -> Item:
    """The node that `reference` is, where it fits in under 32 bytes, or names by hash: then the next unread one."""
    if isinstance(reference, tuple):
        if len(encode_rlp(reference)) >= 32:
            raise BrokenTrieProof("a node of 32 bytes or more stands inside another")
        return reference
    if not reference:
        raise BrokenTrieProof("the trie has no such entry")
    if len(reference) != 32:
        raise BrokenTrieProof(f"0x{reference.hex()} does not refer to a trie node")
    if not unread:
        raise BrokenTrieProof(f"the node 0x{reference.hex()} is missing")
    raw = unread.pop()
    if keccak(raw) != reference:
        raise BrokenTrieProof(f"the next node hashes to 0x{keccak(raw).hex()}, not to 0x{reference.hex()}")
    return decode_rlp(raw)


def _entry(value: Item, path: bytes, unread: list[bytes]) -> bytes:
    if path:
        raise BrokenTrieProof("the nodes lead to another entry of the trie")
    if not isinstance(value, bytes) or not value:
        raise BrokenTrieProof("the trie has no such entry")
    if unread:
        raise BrokenTrieProof(f"{len(unread)} nodes more than the proof takes")
    return value


def _sealer(digest: bytes, seal: bytes) -> bytes:
    """Who made a commit seal. Besu writes its last byte as 0 or 1, where our signatures have 27 or 28."""
    if seal[64] > 1:
        raise NotSealed(f"the last byte of a seal is 0 or 1, here {seal[64]}")
    try:
        return recover(digest, seal[:64] + bytes([seal[64] + 27]))
    except BadSignature as error:
        raise NotSealed(f"a seal that nobody made: {error}") from error
