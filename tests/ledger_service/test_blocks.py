"""Headers, receipts, attestations and seals: what real nodes published, and every way of bending each proof."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import pytest
import rlp
from eth.rlp.headers import BlockHeader
from eth.vm.forks.cancun.blocks import CancunBlockHeader
from eth.vm.forks.london.blocks import LondonBlockHeader
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader
from eth_tester import EthereumTester, PyEVMBackend
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from ledger_service.blocks import (
    CHECKPOINT_ANCHORED,
    AnchoredEvent,
    AnchorNotFound,
    BrokenHeaderChain,
    BrokenTrieProof,
    ChainProofError,
    Consensus,
    Header,
    Log,
    MalformedHeader,
    MalformedReceipt,
    MalformedRlp,
    NotAttested,
    NotSealed,
    QbftExtraData,
    Receipt,
    anchored_checkpoint,
    attestation_digest,
    commit_seal_digest,
    decode_rlp,
    encode_integer,
    encode_rlp,
    quorum,
    trie_entry,
    verify_attestation,
    verify_header_chain,
    verify_receipt,
    verify_seals,
)
from ledger_service.keys import GROUP_ORDER, LocalKey, keccak
from tests.contracts.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger_service.blocks import Item

CONTRACT = bytes.fromhex("c0" * 20)
ORIGIN = keccak(b"hub.example.org/log")
EMPTY_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
NO_UNCLES = bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347")
BFT_MIX_HASH = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
VALIDATORS = [LocalKey.from_bytes(bytes([seed]) * 32) for seed in (1, 2, 3, 4)]
STRANGER = LocalKey.from_bytes(b"\x09" * 32)


def header_fields(
    *,
    parent_hash: bytes = bytes(32),
    coinbase: bytes = bytes(20),
    state_root: bytes = EMPTY_ROOT,
    transactions_root: bytes = EMPTY_ROOT,
    receipts_root: bytes = EMPTY_ROOT,
    bloom: bytes = bytes(256),
    difficulty: int = 1,
    number: int = 7,
    gas_limit: int = 30_000_000,
    gas_used: int = 0,
    timestamp: int = 1_790_000_000,
    extra_data: bytes = b"",
    mix_hash: bytes = BFT_MIX_HASH,
    nonce: bytes = bytes(8),
) -> tuple[bytes, ...]:
    numbers = map(encode_integer, (difficulty, number, gas_limit, gas_used, timestamp))
    roots = (parent_hash, NO_UNCLES, coinbase, state_root, transactions_root, receipts_root, bloom)
    return (*roots, *numbers, extra_data, mix_hash, nonce)


def encoded_receipt(status: bytes = b"\1", gas: int = 21_000, logs: Sequence[Log] = ()) -> bytes:
    entries = tuple((log.address, log.topics, log.data) for log in logs)
    return encode_rlp((status, encode_integer(gas), bytes(256), entries))


# RLP


@pytest.mark.parametrize(
    ("item", "encoded"),
    [
        # the examples of ethereum.org's page on RLP
        pytest.param(b"dog", "83646f67", id="a string"),
        pytest.param((b"cat", b"dog"), "c88363617483646f67", id="a list of strings"),
        pytest.param(b"", "80", id="the empty string"),
        pytest.param((), "c0", id="the empty list"),
        pytest.param(b"\x00", "00", id="a zero byte stands for itself"),
        pytest.param(b"\x7f", "7f", id="the last byte that stands for itself"),
        pytest.param(b"\x80", "8180", id="the first byte that does not"),
        pytest.param(b"\x04\x00", "820400", id="two bytes"),
        pytest.param(((), ((),), ((), ((),))), "c7c0c1c0c3c0c1c0", id="the number three of set theory"),
        pytest.param(
            b"Lorem ipsum dolor sit amet, consectetur adipisicing elit",
            "b838" + b"Lorem ipsum dolor sit amet, consectetur adipisicing elit".hex(),
            id="56 bytes, the first with a length of its own",
        ),
        pytest.param(b"\xaa" * 55, "b7" + "aa" * 55, id="55 bytes, the last without"),
        pytest.param((b"\xaa",) * 28, "f838" + "81aa" * 28, id="a list of 56 bytes"),
        pytest.param(b"\xbb" * 1024, "b90400" + "bb" * 1024, id="a length of two bytes"),
    ],
)
def test_rlp_writes_and_reads_the_published_examples(item: Item, encoded: str) -> None:
    assert encode_rlp(item).hex() == encoded
    assert decode_rlp(bytes.fromhex(encoded)) == item


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        pytest.param("", "cut short", id="nothing at all"),
        pytest.param("8100", "stands for itself", id="a small byte with a prefix"),
        pytest.param("817f", "stands for itself", id="the largest small byte with a prefix"),
        pytest.param("8080", "1 bytes follow", id="something after the item"),
        pytest.param("c000", "1 bytes follow", id="something after the list"),
        pytest.param("83646f", "cut short", id="a string without its end"),
        pytest.param("c883636174", "cut short", id="a list without its end"),
        pytest.param("c28363", "cut short", id="an item longer than its list"),
        pytest.param("b8", "length is cut short", id="a length that is not there"),
        pytest.param("b90100"[:4], "length is cut short", id="half a length"),
        pytest.param("b837" + "aa" * 55, "shortest form", id="a long form for 55 bytes"),
        pytest.param("b90038" + "aa" * 56, "shortest form", id="a length with a leading zero"),
        pytest.param("b800", "shortest form", id="a long form for nothing"),
        pytest.param("f800", "shortest form", id="a long form for the empty list"),
        pytest.param("f837" + "c0" * 55, "shortest form", id="a long form for a list of 55 bytes"),
        pytest.param("bfffffffffffffffff", "cut short", id="a length of 2^64 - 1"),
        pytest.param("ff" + "ff" * 8, "cut short", id="a list of 2^64 - 1 bytes"),
        pytest.param("d1d0cfcecdcccbcac9c8c7c6c5c4c3c2c1c0"[:36], "nested more than 16", id="lists nested too deep"),
    ],
)
def test_rlp_takes_one_encoding_only(encoded: str, reason: str) -> None:
    with pytest.raises(MalformedRlp, match=reason):
        decode_rlp(bytes.fromhex(encoded))


items = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=6).map(tuple), max_leaves=12)


@given(items)
def test_what_rlp_writes_it_reads_again_and_the_rlp_library_writes_the_same(item: Item) -> None:
    encoded = encode_rlp(item)
    assert decode_rlp(encoded) == item
    assert encoded == rlp.encode(item)


@given(items, st.data())
def test_bent_rlp_is_refused_or_is_the_one_encoding_of_something_else(item: Item, data: st.DataObject) -> None:
    encoded = bytearray(encode_rlp(item))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    bent = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])
    try:
        read = decode_rlp(bent)
    except MalformedRlp:
        with pytest.raises(rlp.DecodingError):
            rlp.decode(bent)
    else:
        assert encode_rlp(read) == bent


# Headers


def test_the_header_of_mainnets_genesis_has_its_known_hash() -> None:
    raw = encode_rlp(
        header_fields(
            state_root=bytes.fromhex("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544"),
            difficulty=0x400000000,
            number=0,
            gas_limit=0x1388,
            timestamp=0,
            extra_data=bytes.fromhex("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa"),
            mix_hash=bytes(32),
            nonce=bytes.fromhex("0000000000000042"),
        )
    )
    header = Header.parse(raw)
    assert header.hash.hex() == "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
    assert (header.number, header.timestamp, header.receipts_root) == (0, 0, EMPTY_ROOT)


@pytest.mark.parametrize(
    "kind",
    [BlockHeader, LondonBlockHeader, ShanghaiBlockHeader, CancunBlockHeader, PragueBlockHeader],
    ids=["Frontier to Berlin", "London and Paris", "Shanghai", "Cancun", "Prague"],
)
def test_headers_of_every_fork_are_read_as_py_evm_wrote_them(kind: Callable[..., Any]) -> None:
    written = kind(
        difficulty=0,
        block_number=1_000_000,
        gas_limit=30_000_000,
        timestamp=1_790_000_000,
        parent_hash=keccak(b"parent"),
        state_root=keccak(b"state"),
        receipt_root=keccak(b"receipts"),
        extra_data=b"ours",
    )
    header = Header.parse(rlp.encode(written))
    assert header.hash == written.hash
    assert (header.number, header.timestamp, header.extra_data) == (1_000_000, 1_790_000_000, b"ours")
    assert (header.parent_hash, header.state_root) == (keccak(b"parent"), keccak(b"state"))
    assert header.receipts_root == keccak(b"receipts")


def _with(at: int, value: Item) -> tuple[Item, ...]:
    fields: list[Item] = list(header_fields())
    fields[at] = value
    return tuple(fields)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(b"header", id="a string"),
        pytest.param(header_fields()[:14], id="a field too few"),
        pytest.param((*header_fields(), b"", bytes(32), b""), id="18 fields, which no fork has"),
        pytest.param((*header_fields(), b"", bytes(32), b"", b"", bytes(32), bytes(32), b""), id="22 fields"),
        pytest.param(_with(0, bytes(31)), id="a short parent hash"),
        pytest.param(_with(5, bytes(33)), id="a long receipts root"),
        pytest.param(_with(6, bytes(255)), id="a short bloom"),
        pytest.param(_with(8, b"\0\7"), id="a number with a leading zero"),
        pytest.param(_with(11, b"\0"), id="a time written as a zero byte"),
        pytest.param(_with(11, b"\1" * 33), id="a time of 33 bytes"),
        pytest.param(_with(12, (b"extra",)), id="extra data that are a list"),
        pytest.param(_with(14, bytes(7)), id="a short nonce"),
        pytest.param((*header_fields(), b"\0"), id="a base fee with a leading zero"),
        pytest.param((*header_fields(), b"", bytes(31)), id="a short withdrawals root"),
    ],
)
def test_what_is_no_header_is_refused(item: Item) -> None:
    with pytest.raises(MalformedHeader):
        Header.parse(encode_rlp(item))


# Receipts under the receipts root


def receipt_trie(count: int) -> tuple[HexaryTrie, list[bytes]]:
    """A trie of `count` receipts as a block makes it, all types mixed, and the receipts."""
    receipts = [
        bytes([index % 5] if index % 5 else []) + encoded_receipt(gas=21_000 * (index + 1)) for index in range(count)
    ]
    trie = HexaryTrie({})
    for index, receipt in enumerate(receipts):
        trie[rlp.encode(index)] = receipt
    return trie, receipts


def proof(trie: HexaryTrie, key: bytes) -> list[bytes]:
    """The nodes on the way to `key`, root first; those that stand inside the one above are not sent by themselves."""
    nodes = [rlp.encode(node) for node in cast("Any", trie).get_proof(key)]
    return nodes[:1] + [node for node in nodes[1:] if len(node) >= 32]


def under(receipts_root: bytes) -> Header:
    return Header.parse(encode_rlp(header_fields(receipts_root=receipts_root)))


@pytest.mark.parametrize("count", [1, 2, 17, 130, 300])
def test_every_receipt_of_a_block_is_proven(count: int) -> None:
    trie, receipts = receipt_trie(count)
    header = under(trie.root_hash)
    for index, raw in enumerate(receipts):
        receipt = verify_receipt(header, index, proof(trie, rlp.encode(index)))
        assert receipt == Receipt.parse(raw)
        assert receipt.cumulative_gas == 21_000 * (index + 1)
        assert receipt.type == index % 5


TRIE, RECEIPTS = receipt_trie(130)
INDEX = 42
NODES = proof(TRIE, rlp.encode(INDEX))


def _flipped(at: int, bit: int = 0) -> list[bytes]:
    bent = bytearray(NODES[at])
    bent[-1] ^= 1 << bit
    return [*NODES[:at], bytes(bent), *NODES[at + 1 :]]


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([], id="no nodes"),
        pytest.param(NODES[1:], id="the root missing"),
        pytest.param([NODES[0], *NODES[2:]], id="a node in the middle missing"),
        pytest.param(NODES[:-1], id="the leaf missing"),
        pytest.param([*NODES, NODES[-1]], id="the leaf twice"),
        pytest.param([NODES[0], *NODES], id="the root twice"),
        pytest.param([*NODES, b"\xc0"], id="a node too many"),
        pytest.param([*NODES, b""], id="an empty node too many"),
        pytest.param(NODES[::-1], id="the leaf first"),
        pytest.param([NODES[1], NODES[0], *NODES[2:]], id="two nodes changed about"),
        pytest.param(_flipped(0), id="a bit of the root flipped"),
        pytest.param(_flipped(1, 7), id="a bit of a branch flipped"),
        pytest.param(_flipped(-1 % len(NODES), 3), id="a bit of the leaf flipped"),
        pytest.param([*NODES[:-1], NODES[-1][:-1]], id="the leaf cut short"),
        pytest.param([*NODES[:-1], NODES[-1] + b"\0"], id="a byte after the leaf"),
        pytest.param([*NODES[:-1], RECEIPTS[INDEX]], id="the bare receipt for the leaf"),
        pytest.param([encode_rlp((b"\x20", RECEIPTS[INDEX]))], id="a trie of its own"),
        pytest.param(proof(TRIE, rlp.encode(43)), id="the proof of the neighbour"),
        pytest.param(proof(TRIE, rlp.encode(0)), id="the proof of the first receipt"),
        pytest.param(proof(TRIE, rlp.encode(129)), id="the proof of the last receipt"),
    ],
)
def test_a_bent_proof_of_a_receipt_is_refused(nodes: list[bytes]) -> None:
    verify_receipt(under(TRIE.root_hash), INDEX, NODES)
    with pytest.raises(ChainProofError):
        verify_receipt(under(TRIE.root_hash), INDEX, nodes)


@pytest.mark.parametrize("index", [-1, 0, 41, 43, 130, 42 << 8, 1 << 64])
def test_a_proof_serves_no_other_transaction(index: int) -> None:
    with pytest.raises(BrokenTrieProof):
        verify_receipt(under(TRIE.root_hash), index, NODES)


def test_a_proof_serves_no_other_block() -> None:
    with pytest.raises(BrokenTrieProof, match="hashes to"):
        verify_receipt(under(keccak(b"another block")), INDEX, NODES)
    with pytest.raises(BrokenTrieProof, match="hashes to"):
        verify_receipt(under(EMPTY_ROOT), INDEX, NODES)


def test_a_block_without_transactions_proves_nothing() -> None:
    with pytest.raises(BrokenTrieProof):
        verify_receipt(under(EMPTY_ROOT), 0, [b"\x80"])


@given(st.dictionaries(st.binary(min_size=1, max_size=3), st.binary(min_size=1, max_size=40), min_size=1, max_size=30))
def test_tries_with_small_nodes_and_values_in_branches_are_read(entries: dict[bytes, bytes]) -> None:
    trie = HexaryTrie({})
    for key, value in entries.items():
        trie[key] = value
    for key, value in entries.items():
        assert trie_entry(trie.root_hash, key, proof(trie, key)) == value
    absent = b"\xff\xff\xff\xff"
    with pytest.raises(BrokenTrieProof):
        trie_entry(trie.root_hash, absent, proof(trie, absent))


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        pytest.param((b"\x40\x00", b"value"), "not a path", id="a hex-prefix flag of 4"),
        pytest.param((b"\x21", b"value"), "not a path", id="an even leaf whose padding is not zero"),
        pytest.param((b"", b"value"), "not a path", id="a path without its prefix"),
        pytest.param((b"\x00", bytes(32)), "empty path", id="an extension that extends nothing"),
        pytest.param((b"\x20\x80", b""), "no such entry", id="a leaf without a value"),
        pytest.param((b"\x20\x80", (b"v",)), "no such entry", id="a leaf that holds a list"),
        pytest.param((b"\x20\x81", b"value"), "another entry", id="a leaf elsewhere"),
        pytest.param((b"\x20", b"value"), "another entry", id="a leaf too early"),
        pytest.param((b"\x20\x80\x80", b"value"), "another entry", id="a leaf too late"),
        pytest.param((b"\x00\x80", b"short"), "does not refer", id="a reference of 5 bytes"),
        pytest.param((b"\x00\x80", (b"\x20", b"v" * 40)), "inside another", id="a large node inside another"),
        pytest.param((b"\x20\x80", b"value", b""), "2 or of 17", id="a node of three"),
        pytest.param(b"node", "2 or of 17", id="a node that is a string"),
        pytest.param(((), b"value"), "2 or of 17", id="a path that is a list"),
        pytest.param((b"",) * 17, "no such entry", id="an empty branch"),
    ],
)
def test_what_is_no_trie_node_is_refused(root: Item, reason: str) -> None:
    raw = encode_rlp(root)
    with pytest.raises(BrokenTrieProof, match=reason):
        trie_entry(keccak(raw), b"\x80", [raw])


LOG = Log(CONTRACT, (keccak(b"topic"),), b"data")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\0" + encoded_receipt(), id="type 0, which has no prefix"),
        pytest.param(b"\5" + encoded_receipt(), id="type 5, which is not known"),
        pytest.param(b"\x7f" + encoded_receipt(), id="the last type there can be"),
        pytest.param(b"\2\2" + encoded_receipt(), id="a type twice"),
        pytest.param(encoded_receipt(status=b"\2"), id="status 2"),
        pytest.param(encoded_receipt(status=b"\0"), id="status 0 written as a byte"),
        pytest.param(encoded_receipt(status=bytes(32)), id="a state root from before Byzantium"),
        pytest.param(encode_rlp((b"\1", b"\0\1", bytes(256), ())), id="gas with a leading zero"),
        pytest.param(encode_rlp((b"\1", b"\1", bytes(255), ())), id="a short bloom"),
        pytest.param(encode_rlp((b"\1", b"\1", bytes(256))), id="no logs"),
        pytest.param(encode_rlp((b"\1", b"\1", bytes(256), (), b"")), id="a field too many"),
        pytest.param(encode_rlp((b"\1", b"\1", bytes(256), b"")), id="logs that are a string"),
        pytest.param(encoded_receipt(logs=[replace(LOG, address=bytes(19))]), id="a log of a short address"),
        pytest.param(encoded_receipt(logs=[replace(LOG, topics=(bytes(31),))]), id="a log with a short topic"),
        pytest.param(encoded_receipt(logs=[replace(LOG, topics=(bytes(32),) * 5)]), id="a log with five topics"),
        pytest.param(encode_rlp((b"\1", b"\1", bytes(256), ((CONTRACT, (), ()),))), id="a log whose data are a list"),
        pytest.param(encode_rlp((b"\1", b"\1", bytes(256), ((CONTRACT, ()),))), id="a log without data"),
        pytest.param(encode_rlp((b"\1", b"\1", bytes(256), ((CONTRACT, ((),), b""),))), id="a topic that is a list"),
        pytest.param(b"\xb8\x40" + bytes(64), id="a string"),
    ],
)
def test_what_is_no_receipt_is_refused(raw: bytes) -> None:
    with pytest.raises((MalformedReceipt, MalformedRlp)):
        Receipt.parse(raw)


# Anchors in receipts


EVENT = AnchoredEvent(130, keccak(b"root"), 129, 1_790_000_000, keccak(b"head"), 17)


def anchor_log(event: AnchoredEvent = EVENT, origin: bytes = ORIGIN) -> Log:
    tree = event.size.to_bytes(32) + event.root
    previous = event.previous_size.to_bytes(32) + event.previous_anchored_at.to_bytes(32)
    data = tree + previous + event.registry_head + event.registry_changes.to_bytes(32)
    return Log(CONTRACT, (CHECKPOINT_ANCHORED, origin), data)


def receipt_with(*logs: Log, succeeded: bool = True) -> Receipt:
    return Receipt(2, succeeded, 50_000, logs)


@pytest.mark.parametrize(
    "logs",
    [
        pytest.param((anchor_log(),), id="alone"),
        pytest.param((LOG, anchor_log(), LOG), id="among other events"),
        pytest.param((anchor_log(origin=keccak(b"other")), anchor_log()), id="beside an anchor of another origin"),
        pytest.param((replace(anchor_log(), address=bytes(20)), anchor_log()), id="beside another contract's"),
    ],
)
def test_the_anchor_of_an_origin_is_found(logs: tuple[Log, ...]) -> None:
    assert anchored_checkpoint(receipt_with(*logs), CONTRACT, ORIGIN) == EVENT


@pytest.mark.parametrize(
    "receipt",
    [
        pytest.param(receipt_with(), id="no event"),
        pytest.param(receipt_with(anchor_log(), succeeded=False), id="a failed transaction"),
        pytest.param(receipt_with(anchor_log(), anchor_log()), id="the same anchor twice"),
        pytest.param(receipt_with(anchor_log(), anchor_log(replace(EVENT, size=131))), id="two anchors"),
        pytest.param(receipt_with(replace(anchor_log(), address=bytes(20))), id="another contract"),
        pytest.param(receipt_with(anchor_log(origin=keccak(b"other"))), id="another origin"),
        pytest.param(receipt_with(replace(anchor_log(), topics=(ORIGIN, CHECKPOINT_ANCHORED))), id="topics swapped"),
        pytest.param(receipt_with(replace(anchor_log(), topics=(CHECKPOINT_ANCHORED,))), id="the origin not indexed"),
        pytest.param(
            receipt_with(replace(anchor_log(), topics=(CHECKPOINT_ANCHORED, ORIGIN, ORIGIN))), id="a topic too many"
        ),
        pytest.param(receipt_with(replace(anchor_log(), topics=(keccak(b"Other()"), ORIGIN))), id="another event"),
        pytest.param(receipt_with(replace(anchor_log(), data=anchor_log().data[:-1])), id="data a byte short"),
        pytest.param(receipt_with(replace(anchor_log(), data=anchor_log().data + bytes(32))), id="data a word long"),
        pytest.param(receipt_with(anchor_log(replace(EVENT, size=1 << 64))), id="a size over 64 bits"),
        pytest.param(receipt_with(anchor_log(replace(EVENT, registry_changes=1 << 64))), id="a count over 64 bits"),
        pytest.param(
            receipt_with(anchor_log(replace(EVENT, previous_size=1 << 64))), id="an earlier size over 64 bits"
        ),
        pytest.param(receipt_with(anchor_log(replace(EVENT, previous_anchored_at=1 << 64))), id="a time over 64 bits"),
    ],
)
def test_what_does_not_anchor_the_origin_exactly_once_is_refused(receipt: Receipt) -> None:
    with pytest.raises(AnchorNotFound):
        anchored_checkpoint(receipt, CONTRACT, ORIGIN)


# A contract that emits its call data as an event of two topics and the rest as data.
EMITTER = bytes.fromhex("366000600037602035600035604036036040a200")
DEPLOY_EMITTER = bytes.fromhex(f"60{len(EMITTER):02x}80600b6000396000f3") + EMITTER


def test_receipts_of_blocks_that_py_evm_made_are_proven_with_their_anchors() -> None:
    tester = EthereumTester(PyEVMBackend())
    chain = cast("Any", tester.backend).chain
    accounts = tester.get_accounts()
    deployed = tester.send_transaction({"from": accounts[0], "gas": 500_000, "data": "0x" + DEPLOY_EMITTER.hex()})
    contract = tester.get_transaction_receipt(deployed)["contract_address"]
    fees: list[dict[str, Any]] = [
        {"gas_price": 10**10},
        {"gas_price": 10**10, "access_list": []},
        {"max_fee_per_gas": 10**10, "max_priority_fee_per_gas": 1},
    ]
    tester.disable_auto_mine_transactions()
    for position, sender in enumerate(accounts):
        anchor = anchor_log(replace(EVENT, size=position))
        # Without call data the contract runs out of gas.
        data = b"" if position == 7 else b"".join(anchor.topics) + anchor.data
        call = {"from": sender, "to": contract, "gas": 100_000, "data": "0x" + data.hex()}
        tester.send_transaction(call | fees[position % 3])
    tester.mine_block()

    block = chain.get_canonical_block_by_number(2)
    header = Header.parse(rlp.encode(block.header))
    assert header.hash == block.hash
    trie = HexaryTrie({})
    for position, receipt in enumerate(block.get_receipts(chain.chaindb)):
        trie[rlp.encode(position)] = receipt.encode()
    anchored: set[int] = set()
    for position, transaction in enumerate(block.transactions):
        shown = verify_receipt(header, position, proof(trie, rlp.encode(position)))
        assert shown.type == (transaction.type_id or 0)
        if transaction.data:
            event = anchored_checkpoint(shown, bytes.fromhex(contract[2:]), ORIGIN)
            assert event == replace(EVENT, size=event.size)
            anchored.add(event.size)
        else:
            with pytest.raises(AnchorNotFound, match="failed"):
                anchored_checkpoint(shown, bytes.fromhex(contract[2:]), ORIGIN)
    assert anchored == {*range(10)} - {7}

    parents = [Header.parse(rlp.encode(chain.get_canonical_block_header_by_number(number))) for number in range(3)]
    verify_header_chain(parents, header.hash)


def test_what_the_contract_anchored_is_proven_from_its_block() -> None:
    network = Network()
    network.do(network.checkpoints.functions.anchor(network.ORIGIN, 1, keccak(b"first"), []), network.operator)
    first_time = network.time
    registry = network.registry.functions
    # A tree of one leaf extends to the tree of that leaf and another.
    leaf = keccak(b"second")
    root = sha256(b"\1" + keccak(b"first") + leaf).digest()
    anchor = network.checkpoints.functions.anchor(network.ORIGIN, 2, root, [leaf])
    mined = network.do(anchor, network.operator)
    chain = cast("Any", network.tester.backend).chain
    block = chain.get_canonical_block_by_number(mined["blockNumber"])
    header = Header.parse(rlp.encode(block.header))
    trie = HexaryTrie({})
    for position, receipt in enumerate(block.get_receipts(chain.chaindb)):
        trie[rlp.encode(position)] = receipt.encode()
    shown = verify_receipt(header, mined["transactionIndex"], proof(trie, rlp.encode(mined["transactionIndex"])))
    contract = bytes.fromhex(network.checkpoints.address[2:])
    assert anchored_checkpoint(shown, contract, network.ORIGIN) == AnchoredEvent(
        size=2,
        root=root,
        previous_size=1,
        previous_anchored_at=first_time,
        registry_head=registry.head().call(),
        registry_changes=registry.changeCount().call(),
    )


# Chains of headers


def header_chain(count: int, consensus: Consensus = Consensus.PLAIN) -> list[Header]:
    headers: list[Header] = []
    for number in range(count):
        parent = headers[-1].hash if headers else bytes(32)
        extra_data = qbft_extra_data(round_=number).raw if consensus is Consensus.QBFT else b""
        raw = encode_rlp(header_fields(parent_hash=parent, number=number, extra_data=extra_data))
        headers.append(Header.parse(raw, consensus))
    return headers


def qbft_extra_data(*, round_: int = 0, seals: Sequence[bytes] = ()) -> QbftExtraData:
    return QbftExtraData(bytes(32), tuple(key.address for key in VALIDATORS), (), round_, tuple(seals))


@pytest.mark.parametrize("consensus", Consensus)
def test_headers_lead_up_to_the_pinned_block(consensus: Consensus) -> None:
    headers = header_chain(6, consensus)
    for first in range(6):
        for last in range(first, 6):
            verify_header_chain(headers[first : last + 1], headers[last].hash)


CHAIN = header_chain(6)


@pytest.mark.parametrize(
    ("headers", "pinned"),
    [
        pytest.param([], CHAIN[5].hash, id="no headers"),
        pytest.param(CHAIN[:5], CHAIN[5].hash, id="the pinned block missing"),
        pytest.param(CHAIN, CHAIN[4].hash, id="a block after the pinned one"),
        pytest.param(CHAIN, CHAIN[0].hash, id="a pin at the wrong end, which proves nothing"),
        pytest.param([*CHAIN[:2], *CHAIN[3:]], CHAIN[5].hash, id="a block missing"),
        pytest.param([*CHAIN[:3], *CHAIN[2:]], CHAIN[5].hash, id="a block twice"),
        pytest.param([CHAIN[0], CHAIN[2], CHAIN[1], *CHAIN[3:]], CHAIN[5].hash, id="two blocks changed about"),
        pytest.param(CHAIN[::-1], CHAIN[0].hash, id="backwards"),
        pytest.param([replace(CHAIN[4], number=3), CHAIN[5]], CHAIN[5].hash, id="a number that does not follow"),
    ],
)
def test_headers_that_do_not_lead_to_the_pinned_block_are_refused(headers: list[Header], pinned: bytes) -> None:
    with pytest.raises(BrokenHeaderChain):
        verify_header_chain(headers, pinned)


# Attestations of the embedded engine


ATTESTOR = VALIDATORS[0]
BLOCK_HASH = keccak(b"block")
ATTESTATION = ATTESTOR.sign(attestation_digest(BLOCK_HASH, 31337))


def test_an_attested_header_is_accepted() -> None:
    assert attestation_digest(BLOCK_HASH, 31337) == keccak(
        b"tallystick header v1" + (31337).to_bytes(32, "big") + BLOCK_HASH
    )
    verify_attestation(BLOCK_HASH, 31337, ATTESTATION, ATTESTOR.address)


def _malleable(signature: bytes) -> bytes:
    """The other signature of the same words, with s in the upper half of the order."""
    s = GROUP_ORDER - int.from_bytes(signature[32:64])
    return signature[:32] + s.to_bytes(32) + bytes([55 - signature[64]])


@pytest.mark.parametrize(
    ("block_hash", "chain_id", "signature", "attestor"),
    [
        pytest.param(keccak(b"other"), 31337, ATTESTATION, ATTESTOR.address, id="another block"),
        pytest.param(BLOCK_HASH, 1, ATTESTATION, ATTESTOR.address, id="another chain"),
        pytest.param(BLOCK_HASH, 31337, ATTESTATION, STRANGER.address, id="another attestor"),
        pytest.param(BLOCK_HASH, 31337, ATTESTOR.sign(BLOCK_HASH), ATTESTOR.address, id="the bare hash signed"),
        pytest.param(BLOCK_HASH, 31337, ATTESTATION[:64], ATTESTOR.address, id="a byte short"),
        pytest.param(BLOCK_HASH, 31337, ATTESTATION + b"\0", ATTESTOR.address, id="a byte long"),
        pytest.param(BLOCK_HASH, 31337, _malleable(ATTESTATION), ATTESTOR.address, id="the malleable twin"),
        pytest.param(BLOCK_HASH, 31337, bytes(65), ATTESTOR.address, id="no signature"),
    ],
)
def test_an_attestation_of_anything_else_is_refused(
    block_hash: bytes, chain_id: int, signature: bytes, attestor: bytes
) -> None:
    with pytest.raises(NotAttested):
        verify_attestation(block_hash, chain_id, signature, attestor)


# QBFT


# hyperledger/besu, consensus/qbft/src/test/java/org/hyperledger/besu/consensus/qbft/QbftExtraDataCodecTest.java
BESU_EXTRA_DATA = bytes.fromhex(
    "f8f0a00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
    "ea940000000000000000000000000000000000000001940000000000000000000000000000000000000002"
    "d794000000000000000000000000000000000000000181ff83fedcba"
    "f886b841" + f"{1:064x}{10:064x}00" + "b841" + f"{10:064x}{1:064x}00"
)


def test_besus_example_of_extra_data_is_read_and_written() -> None:
    addresses = (bytes(19) + b"\1", bytes(19) + b"\2")
    seals = tuple(r.to_bytes(32) + s.to_bytes(32) + b"\0" for r, s in ((1, 10), (10, 1)))
    vanity = bytes(range(1, 33))
    expected = QbftExtraData(vanity, addresses, (addresses[0], b"\xff"), 0xFEDCBA, seals)
    extra_data = QbftExtraData.parse(BESU_EXTRA_DATA)
    assert extra_data == expected
    assert extra_data.raw == BESU_EXTRA_DATA
    body = [vanity, list(addresses), [addresses[0], b"\xff"]]
    assert extra_data.unsealed(extra_data.round) == rlp.encode([*body, b"\xfe\xdc\xba", []])
    assert extra_data.unsealed(0) == rlp.encode([*body, b"", []])


ADDRESS = bytes(19) + b"\1"


@pytest.mark.parametrize(
    "item",
    [
        # the cases of Besu's QbftExtraDataCodecTest that throw, and ours
        pytest.param((bytes(32), (), (ADDRESS, b"\xaa"), b"\1", ()), id="a vote that neither adds nor drops"),
        pytest.param((bytes(32), (), (ADDRESS, b"\0"), b"\1", ()), id="a drop written as a zero byte"),
        pytest.param((bytes(32), (), ADDRESS, b"\xff", b"\1", ()), id="a vote that is no list"),
        pytest.param((bytes(32), (), (), b"\0\xdc\xba", ()), id="a round with a leading zero"),
        pytest.param((bytes(32), (), (), b"\1" * 5, ()), id="a round of five bytes"),
        pytest.param((bytes(32), (), (), b"\1", (), b"\1"), id="an item too many"),
        pytest.param((bytes(32), (), (), b"\1"), id="no seals"),
        pytest.param((bytes(31), (), (), b"\1", ()), id="a short vanity"),
        pytest.param((bytes(32), (bytes(19),), (), b"\1", ()), id="a validator of 19 bytes"),
        pytest.param((bytes(32), (), (bytes(19), b""), b"\1", ()), id="a vote on 19 bytes"),
        pytest.param((bytes(32), (), (ADDRESS,), b"\1", ()), id="half a vote"),
        pytest.param((bytes(32), (), (), b"\1", (bytes(64),)), id="a seal of 64 bytes"),
        pytest.param((bytes(32), (), (), b"\1", ((),)), id="a seal that is a list"),
        pytest.param((bytes(32), (), b"", b"\0\0\0\1", ()), id="extra data of IBFT 2.0"),
        pytest.param(bytes(32), id="bare vanity"),
    ],
)
def test_what_is_no_qbft_extra_data_is_refused(item: Item) -> None:
    with pytest.raises(MalformedHeader):
        QbftExtraData.parse(encode_rlp(item))
    with pytest.raises(MalformedHeader):
        Header.parse(encode_rlp(header_fields(extra_data=encode_rlp(item))), Consensus.QBFT)


def test_empty_extra_data_are_refused_as_besu_does() -> None:
    with pytest.raises(MalformedRlp):
        QbftExtraData.parse(b"")


def test_a_block_of_a_besu_network_has_the_hash_it_published_and_its_validators_seal() -> None:
    # hyperledger/firefly-evmconnect, pkg/ethrpc/jsonformatoptions_test.go: what Besu gave for a block of one validator
    validator = bytes.fromhex("ef5880ec6b859b6949d88ddbd6ec18e96d0f14aa")
    bloom_nibbles = {54: 8, 59: 1, 64: 2, 151: 8, 195: 2, 246: 1, 250: 8, 342: 2, 344: 2, 359: 2, 361: 4}
    bloom_nibbles |= {391: 2, 405: 4, 494: 4, 496: 4}
    fields = header_fields(
        parent_hash=bytes.fromhex("78ec31452f053f75665033d4957b8b33283c55e1c7239dc5facbb684a866492e"),
        coinbase=validator,
        state_root=bytes.fromhex("aebe1ab7b242b261b1aced1a1ed729c3d6436634ff656efecad4609b38ee63a3"),
        transactions_root=bytes.fromhex("77c428651debcc42d181d9067386d807b204235ebb3e45dfa5f1e6e71c0b67de"),
        receipts_root=bytes.fromhex("0946e4baf57a46888aa1a78dc974a01a56bb221ae8d6ee381942695596f976ec"),
        bloom=bytes.fromhex("".join(f"{bloom_nibbles.get(at, 0):x}" for at in range(512))),
        number=0xE5F2,
        gas_limit=0x2FEFD800,
        gas_used=0x197B8,
        timestamp=0x6849F937,
        extra_data=bytes.fromhex(
            "f87ea00000000000000000000000000000000000000000000000000000000000000000"
            "d594ef5880ec6b859b6949d88ddbd6ec18e96d0f14aac080f843b841"
            "0469b43f8d873e7b3c54c0d2a606a37af533994653f077b234a563f00723641a"
            "7ad56e6ba07d56fb38ec68bc9b6234d54fe62730f41118658a12c886fb783c3100"
        ),
    )
    header = Header.parse(encode_rlp((*fields, b"")), Consensus.QBFT)
    assert header.hash.hex() == "d33367228e0a0e3667c910c7d92d3f6e724e2b6e2f671b28823a22f82597d023"
    verify_seals(header, [validator])
    with pytest.raises(NotSealed, match="not a validator"):
        verify_seals(header, [STRANGER.address])


def besu_block_of_round_1() -> tuple[Header, tuple[bytes, ...]]:
    """A block that four Besu validators agreed on in their second round, sealed by three, and the validators."""
    # datachainlab/besu-qbft-elc, elc/src/header.rs, test_parse_header
    extra_data = bytes.fromhex(
        "f90144a00000000000000000000000000000000000000000000000000000000000000000f854"
        "94647bfdd19655e51e69d35454ff3a92f8828e630294a5c8416b9d13417b45b45ada76408f39d1e504ef"
        "94b92e91f4dcc9d28503be521afa2a8fbf3c1acf6094ee3353e587cfa91625a1adaef308a726de3803d3c001f8c9"
        "b841bc7633fd65570f610a595086e9a34e5bf6aacfb67b8f8cd01852e6b285147f04"
        "6a50577b49378b86723ac9b456ef59ef7ab57cda7139d807f10f58e8cb10c67600"
        "b841ad1defc2b0b4a48158cff24778bb5ba4d9f373c171022ab0a42e37bdb0d40257"
        "18434d303a8d94df56ef9ad5219be9f27b2f67179a7fb82d3323dde29546f9f701"
        "b841e233d3670dd97c715f72b440eeb1ccb1e22c8c23f6ab470c46c99c2d0ee6509f"
        "0341a42e0e4569782557e93c3815e8ca4294043595f69a90f73f135de8ecf41e00"
    )
    fields = header_fields(
        parent_hash=bytes.fromhex("0af93e70b1c6d3974a88a42eb70bb61adbd523bfac0c83027ba4637c52746a0f"),
        coinbase=bytes.fromhex("ee3353e587cfa91625a1adaef308a726de3803d3"),
        state_root=bytes.fromhex("166ed98eea93ab2b6f6b1a425526994adc2d675bf9a0d77d600ed1e02d8f77df"),
        number=7528,
        gas_limit=0x47B760,
        timestamp=1_715_495_307,
        extra_data=extra_data,
    )
    return Header.parse(encode_rlp(fields), Consensus.QBFT), QbftExtraData.parse(extra_data).validators


def test_a_block_that_besu_validators_sealed_in_a_later_round_verifies() -> None:
    header, validators = besu_block_of_round_1()
    expected = "75ea184f58cd3f0ef89032a069df01f07ec524ef3a85cf6d3e424d62130c0a32"
    assert commit_seal_digest(header).hex() == expected
    assert len(validators) == 4
    verify_seals(header, validators)
    with pytest.raises(NotSealed, match="not a validator"):
        verify_seals(header, validators[1:])


@pytest.mark.parametrize(
    ("validators", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (9, 6), (10, 7), (100, 67)]
)
def test_a_quorum_is_two_thirds_rounded_up(validators: int, needed: int) -> None:
    assert quorum(validators) == needed


def seal(key: LocalKey, digest: bytes) -> bytes:
    signature = key.sign(digest)
    return signature[:64] + bytes([signature[64] - 27])


def sealed_header(signers: Sequence[LocalKey], *, round_: int = 2, signed_round: int = 2, number: int = 7) -> Header:
    """A block of round `round_` under the seals of `signers`, made for `signed_round`."""

    def block(extra_data: QbftExtraData) -> Header:
        return Header.parse(encode_rlp(header_fields(number=number, extra_data=extra_data.raw)), Consensus.QBFT)

    digest = commit_seal_digest(block(qbft_extra_data(round_=signed_round)))
    return block(qbft_extra_data(round_=round_, seals=[seal(key, digest) for key in signers]))


ADDRESSES = [key.address for key in VALIDATORS]


@pytest.mark.parametrize("count", [3, 4])
def test_a_block_with_the_seals_of_a_quorum_is_accepted(count: int) -> None:
    verify_seals(sealed_header(VALIDATORS[:count]), ADDRESSES)
    verify_seals(sealed_header(VALIDATORS[-count:][::-1]), ADDRESSES)


def test_the_hash_of_a_qbft_block_depends_on_neither_round_nor_seals() -> None:
    blocks = [sealed_header(VALIDATORS[:3]), sealed_header(VALIDATORS), sealed_header([], round_=0)]
    assert len({block.hash for block in blocks}) == 1
    assert keccak(blocks[2].raw) == blocks[2].hash
    assert len({commit_seal_digest(block) for block in blocks}) == 2


def test_the_genesis_block_of_a_qbft_chain_is_hashed_as_it_stands() -> None:
    header = sealed_header(VALIDATORS, number=0)
    assert header.hash == keccak(header.raw)
    with pytest.raises(NotSealed, match="carries no seals"):
        verify_seals(header, ADDRESSES)


def _resealed(header: Header, bend: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Header:
    extra_data = QbftExtraData.parse(header.extra_data)
    bent = replace(extra_data, seals=bend(extra_data.seals))
    return Header.parse(encode_rlp(header_fields(extra_data=bent.raw)), Consensus.QBFT)


FULL = sealed_header(VALIDATORS)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        pytest.param(sealed_header([]), "seals of 0", id="no seals"),
        pytest.param(sealed_header(VALIDATORS[:2]), "seals of 2 validators", id="one seal too few"),
        pytest.param(sealed_header(VALIDATORS[:1]), "seals of 1 validators", id="two seals too few"),
        pytest.param(sealed_header([*VALIDATORS[:2], VALIDATORS[1]]), "two seals", id="a seal twice to make three"),
        pytest.param(sealed_header([*VALIDATORS, VALIDATORS[0]]), "two seals", id="a seal twice above the quorum"),
        pytest.param(sealed_header([*VALIDATORS[:2], STRANGER]), "not a validator", id="a stranger to make three"),
        pytest.param(sealed_header([*VALIDATORS, STRANGER]), "not a validator", id="a stranger above the quorum"),
        pytest.param(sealed_header(VALIDATORS, signed_round=1), "not a validator", id="seals of another round"),
        pytest.param(_resealed(FULL, lambda seals: (*seals[:3], bytes(65))), "nobody made", id="a seal of zeros"),
        pytest.param(
            _resealed(FULL, lambda seals: tuple(one[:64] + bytes([one[64] + 27]) for one in seals)),
            "0 or 1",
            id="seals that end in 27 or 28",
        ),
        pytest.param(
            _resealed(FULL, lambda seals: tuple(one[:64] + bytes([1 - one[64]]) for one in seals)),
            "not a validator",
            id="the recovery bit flipped",
        ),
        pytest.param(
            _resealed(
                FULL,
                lambda seals: tuple(
                    (twin := _malleable(one[:64] + bytes([one[64] + 27])))[:64] + bytes([twin[64] - 27])
                    for one in seals
                ),
            ),
            "nobody made",
            id="the malleable twins",
        ),
        pytest.param(Header.parse(FULL.raw), "carries no seals", id="a header of a chain without seals"),
    ],
)
def test_a_block_without_a_clean_quorum_of_seals_is_refused(header: Header, reason: str) -> None:
    with pytest.raises(NotSealed, match=reason):
        verify_seals(header, ADDRESSES)


def test_seals_are_counted_against_the_trust_file_and_not_against_the_header() -> None:
    strangers = [LocalKey.from_bytes(bytes([seed]) * 32) for seed in (21, 22, 23, 24)]
    named = replace(qbft_extra_data(), validators=tuple(key.address for key in strangers))

    def block(extra_data: QbftExtraData) -> Header:
        return Header.parse(encode_rlp(header_fields(extra_data=extra_data.raw)), Consensus.QBFT)

    digest = commit_seal_digest(block(named))
    header = block(replace(named, seals=tuple(seal(key, digest) for key in strangers)))
    verify_seals(header, [key.address for key in strangers])
    with pytest.raises(NotSealed, match="not a validator"):
        verify_seals(header, ADDRESSES)
    with pytest.raises(NotSealed, match="no validators"):
        verify_seals(header, [])


@pytest.mark.parametrize("at", [0, 2, 3, 5, 6, 8, 11, 13, 14], ids=lambda at: f"field {at}")
def test_a_sealed_header_with_any_field_altered_loses_its_seals(at: int) -> None:
    fields = list(header_fields(extra_data=FULL.extra_data))
    fields[at] = fields[at][:-1] + bytes([fields[at][-1] ^ 1])
    header = Header.parse(encode_rlp(tuple(fields)), Consensus.QBFT)
    assert header.hash != FULL.hash
    with pytest.raises(NotSealed):
        verify_seals(header, ADDRESSES)


def test_the_verifier_loads_no_chain_library() -> None:
    program = (
        "import sys, ledger_service.blocks, ledger_service.membership;"
        "print(sorted({name.split('.')[0] for name in sys.modules}"
        " & {'rlp', 'trie', 'eth', 'eth_abi', 'eth_utils', 'web3', 'sqlite3', 'pydantic'}))"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"


def test_the_largest_round_is_read() -> None:
    extra_data = qbft_extra_data(round_=(1 << 32) - 1)
    assert QbftExtraData.parse(extra_data.raw) == extra_data
