"""Headers and receipt proofs, built from what a node says and checked against the hashes it also says.

A node may be wrong about a field and cannot be wrong about a hash: whatever does not hash to the block is refused.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ledger_service.blocks import ChainProofError, Consensus, Header, Item, QbftExtraData, encode_integer, encode_rlp
from ledger_service.chain.errors import ChainUnavailable
from ledger_service.chain.port import Block
from ledger_service.chain.wire import octets, quantity, record, rows
from ledger_service.keys import keccak

_FIXED = (
    ("parentHash", 32),
    ("sha3Uncles", 32),
    ("miner", 20),
    ("stateRoot", 32),
    ("transactionsRoot", 32),
    ("receiptsRoot", 32),
    ("logsBloom", 256),
)
_NUMBERS = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")
# Each fork appended fields and none ever removed one: London, Shanghai, Cancun (three), Prague.
_LATER = (
    ("baseFeePerGas", None),
    ("withdrawalsRoot", 32),
    ("blobGasUsed", None),
    ("excessBlobGas", None),
    ("parentBeaconBlockRoot", 32),
    ("requestsHash", 32),
)


def read_block(value: object) -> tuple[Block, Mapping[str, Any]]:
    """The block in a JSON-RPC reply, its header rebuilt and held against its hash, and the reply's fields."""
    fields = record(value, "a block")
    raw = _header_rlp(fields)
    claimed = octets(fields.get("hash"), "a block's hash", 32)
    header = _header(raw, claimed)
    return Block(header.number, claimed, header.parent_hash, header.timestamp, raw), fields


def validators_of(block: Block) -> tuple[bytes, ...]:
    """The validators that a QBFT block names, in its order; empty on any other chain."""
    try:
        return QbftExtraData.parse(Header.parse(block.header).extra_data).validators
    except ChainProofError:
        return ()


def _header(raw: bytes, claimed: bytes) -> Header:
    # Whether a chain runs QBFT is seen from what its hashes leave out.
    for consensus in Consensus:
        try:
            header = Header.parse(raw, consensus)
        except ChainProofError:
            continue
        if header.hash == claimed:
            return header
    raise ChainUnavailable(f"a block's header does not hash to 0x{claimed.hex()}")


def _header_rlp(fields: Mapping[str, Any]) -> bytes:
    values: list[bytes] = [octets(fields.get(name), name, size) for name, size in _FIXED]
    values += [encode_integer(quantity(fields.get(name), name)) for name in _NUMBERS]
    values += [
        octets(fields.get("extraData"), "extraData"),
        octets(fields.get("mixHash"), "mixHash", 32),
        octets(fields.get("nonce"), "nonce", 8),
    ]
    for name, size in _LATER:
        if fields.get(name) is None:
            break
        value = fields[name]
        values.append(encode_integer(quantity(value, name)) if size is None else octets(value, name, size))
    return encode_rlp(tuple(values))


def receipt_proof(receipts: Sequence[Mapping[str, Any]], index: int, receipts_root: bytes) -> tuple[bytes, ...]:
    """The trie nodes from `receipts_root` to receipt `index`, built from all JSON receipts of the block, in order.

    Raises ChainUnavailable if the receipts do not hash to the root: then some of them are not what was mined.
    """
    entries = sorted(
        (_nibbles(encode_rlp(encode_integer(position))), _encoded_receipt(receipt))
        for position, receipt in enumerate(receipts)
    )
    proof: list[bytes] = []
    root = encode_rlp(_subtrie(entries, 0, _nibbles(encode_rlp(encode_integer(index))), proof))
    if keccak(root) != receipts_root:
        raise ChainUnavailable("the block's receipts do not hash to its receipts root")
    return (root, *reversed(proof))


def _subtrie(entries: Sequence[tuple[bytes, bytes]], depth: int, path: bytes, proof: list[bytes]) -> Item:
    """The trie node over `entries`, sorted by their nibbles, which agree in the first `depth`.

    The nodes that lead further down along `path` are added to `proof`, the deepest first. RLP is free of prefixes, so
    no entry ends inside a branch (yellow paper, appendix D).
    """
    first, value = entries[0]
    if len(entries) == 1:
        return (_packed(first[depth:], is_leaf=True), value)
    last = entries[-1][0]
    end = next(at for at in range(depth, len(first)) if first[at] != last[at])
    if end > depth:
        return (
            _packed(first[depth:end], is_leaf=False),
            _reference(_subtrie(entries, end, path, proof), path, first[:end], proof),
        )
    children: list[Item] = [b""] * 17
    for nibble, group in groupby(entries, key=lambda entry: entry[0][depth]):
        below = list(group)
        child = _subtrie(below, depth + 1, path, proof)
        children[nibble] = _reference(child, path, below[0][0][: depth + 1], proof)
    return tuple(children)


def _reference(node: Item, path: bytes, place: bytes, proof: list[bytes]) -> Item:
    """How the node above names `node`: by its hash, or by itself where it is shorter than one."""
    encoded = encode_rlp(node)
    if len(encoded) < 32:
        return node
    if path.startswith(place):
        proof.append(encoded)
    return keccak(encoded)


def _nibbles(key: bytes) -> bytes:
    return bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))


def _packed(nibbles: bytes, *, is_leaf: bool) -> bytes:
    """Nibbles as a node carries them (yellow paper, appendix C)."""
    flag = 2 * is_leaf + len(nibbles) % 2
    whole = bytes([flag]) + nibbles if len(nibbles) % 2 else bytes([flag, 0]) + nibbles
    return bytes(whole[at] << 4 | whole[at + 1] for at in range(0, len(whole), 2))


def _encoded_receipt(receipt: Mapping[str, Any]) -> bytes:
    kind = quantity(receipt.get("type", "0x0"), "a receipt's type")
    body = encode_rlp(
        (
            encode_integer(quantity(receipt.get("status"), "a receipt's status")),
            encode_integer(quantity(receipt.get("cumulativeGasUsed"), "cumulativeGasUsed")),
            octets(receipt.get("logsBloom"), "a receipt's logsBloom", 256),
            tuple(_log(log) for log in rows(receipt.get("logs"), "a receipt's logs")),
        )
    )
    return bytes([kind]) + body if kind else body


def _log(value: object) -> Item:
    log = record(value, "a log")
    topics = tuple(octets(topic, "a topic", 32) for topic in rows(log.get("topics"), "a log's topics"))
    return (octets(log.get("address"), "a log's address", 20), topics, octets(log.get("data"), "a log's data"))
