"""Headers and receipts out of JSON: rebuilt, hashed, and proven, against a library and against the verifier."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from ledger_service import blocks
from ledger_service.blocks import Consensus, Header, QbftExtraData, encode_integer, encode_rlp
from ledger_service.chain.errors import ChainUnavailable
from ledger_service.chain.proofs import read_block, receipt_proof, validators_of
from tests.ledger_service.chain.lane import key

VALIDATORS = tuple(key(f"validator {number}").address for number in range(4))


def header_fields(**changes: Any) -> dict[str, Any]:
    """A Cancun block as a node writes it, without its hash."""
    zero = "0x" + "00" * 32
    return {
        "parentHash": "0x" + "11" * 32,
        "sha3Uncles": "0x" + "22" * 32,
        "miner": "0x" + "33" * 20,
        "stateRoot": "0x" + "44" * 32,
        "transactionsRoot": "0x" + "55" * 32,
        "receiptsRoot": "0x" + "66" * 32,
        "logsBloom": "0x" + "00" * 256,
        "difficulty": "0x1",
        "number": "0x2a",
        "gasLimit": "0x1fffffffffffff",
        "gasUsed": "0x0",
        "timestamp": "0x6ab0f980",
        "extraData": "0x",
        "mixHash": zero,
        "nonce": "0x0000000000000000",
        "baseFeePerGas": "0x0",
        "withdrawalsRoot": zero,
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": zero,
        **changes,
    }


ORDER = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce"),
    *("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash"),
)
NUMBERS = {
    *("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas"),
}


def raw_header(fields: dict[str, Any]) -> bytes:
    values = [
        encode_integer(int(fields[name], 16)) if name in NUMBERS else bytes.fromhex(fields[name][2:])
        for name in ORDER
        if name in fields
    ]
    return encode_rlp(tuple(values))


def sealed(seals: int, round_: int = 3) -> str:
    extra = QbftExtraData(bytes(32), VALIDATORS, (), round_, tuple(bytes([n]) * 64 + b"\0" for n in range(seals)))
    return "0x" + extra.raw.hex()


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in header_fields().items() if name not in names}


CANCUN = ("blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot")
HEADERS: dict[str, tuple[dict[str, Any], Consensus]] = {
    "London": (without("withdrawalsRoot", *CANCUN), Consensus.PLAIN),
    "Shanghai": (without(*CANCUN), Consensus.PLAIN),
    "Cancun": (header_fields(), Consensus.PLAIN),
    "Prague": (header_fields(requestsHash="0x" + "77" * 32), Consensus.PLAIN),
    "QBFT": (header_fields(extraData=sealed(3)), Consensus.QBFT),
    "QBFT in round 0": (header_fields(extraData=sealed(4, 0)), Consensus.QBFT),
    "QBFT on London": ({**without("withdrawalsRoot", *CANCUN), "extraData": sealed(3)}, Consensus.QBFT),
    "a QBFT genesis": (header_fields(extraData=sealed(0, 0), number="0x0"), Consensus.PLAIN),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_rebuilt_to_the_bytes_that_were_hashed(name: str) -> None:
    fields, consensus = HEADERS[name]
    raw = raw_header(fields)
    expected = Header.parse(raw, consensus)
    block, _ = read_block({**fields, "hash": "0x" + expected.hash.hex(), "totalDifficulty": "0x0"})
    assert block.header == raw
    assert (block.hash, block.number) == (expected.hash, expected.number)
    assert (block.parent_hash, block.timestamp) == (expected.parent_hash, expected.timestamp)
    assert validators_of(block) == (VALIDATORS if "extraData" in name or "QBFT" in name else ())


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_with_anything_else_in_it_is_refused(name: str) -> None:
    fields, consensus = HEADERS[name]
    block_hash = "0x" + Header.parse(raw_header(fields), consensus).hash.hex()
    for altered in fields.keys() - {"extraData"}:
        value = "0x7" if altered in NUMBERS else "0x" + "99" * (len(fields[altered]) // 2 - 1)
        with pytest.raises(ChainUnavailable):
            read_block({**fields, "hash": block_hash, altered: value})
        with pytest.raises(ChainUnavailable):
            read_block({key: value for key, value in fields.items() if key != altered} | {"hash": block_hash})


def receipt(index: int, *, kind: int = 2, logs: int = 1, status: int = 1) -> dict[str, Any]:
    log = {"address": "0x" + "ab" * 20, "topics": ["0x" + "cd" * 32] * (index % 5), "data": "0x" + "ef" * index}
    return {
        "type": hex(kind),
        "status": hex(status),
        "cumulativeGasUsed": hex(21_000 * (index + 1)),
        "logsBloom": "0x" + "00" * 256,
        "logs": [log] * logs,
    }


def encoded(fields: dict[str, Any]) -> bytes:
    logs = tuple(
        (
            bytes.fromhex(log["address"][2:]),
            tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]),
            bytes.fromhex(log["data"][2:]),
        )
        for log in fields["logs"]
    )
    status, gas = (encode_integer(int(fields[name], 16)) for name in ("status", "cumulativeGasUsed"))
    body = encode_rlp((status, gas, bytes(256), logs))
    kind = int(fields["type"], 16)
    return bytes([kind]) + body if kind else body


def library_root(receipts: list[dict[str, Any]]) -> bytes:
    """The root by the trie library: slow, and not ours."""
    trie: Any = HexaryTrie({})
    for index, fields in enumerate(receipts):
        trie[encode_rlp(encode_integer(index))] = encoded(fields)
    root: bytes = trie.root_hash
    return root


def header_over(root: bytes) -> Header:
    return Header.parse(raw_header(header_fields(receiptsRoot="0x" + root.hex())))


# Keys change their length at 128 and 256; 16 and 17 fill and overflow a branch.
@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 17, 18, 127, 128, 129, 130, 255, 256, 257, 300])
def test_every_receipt_of_a_block_is_proven_to_the_verifier(count: int) -> None:
    receipts = [receipt(index) for index in range(count)]
    root = library_root(receipts)
    header = header_over(root)
    for index in {0, 1, 15, 16, 127, 128, 255, 256, count - 1} & set(range(count)):
        proven = blocks.verify_receipt(header, index, receipt_proof(receipts, index, root))
        assert proven == blocks.Receipt.parse(encoded(receipts[index]))


@given(
    kinds=st.lists(
        st.tuples(st.sampled_from([0, 1, 2, 3, 4]), st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=40
    ),
    data=st.data(),
)
def test_receipts_of_every_type_and_fate_are_proven(kinds: list[tuple[int, int, int]], data: st.DataObject) -> None:
    receipts = [receipt(at, kind=kind, logs=logs, status=status) for at, (kind, logs, status) in enumerate(kinds)]
    index = data.draw(st.integers(0, len(receipts) - 1))
    root = library_root(receipts)
    proven = blocks.verify_receipt(header_over(root), index, receipt_proof(receipts, index, root))
    assert (proven.type, len(proven.logs), proven.succeeded) == (kinds[index][0], kinds[index][1], kinds[index][2] == 1)


def test_receipts_that_are_not_those_of_the_block_prove_nothing() -> None:
    receipts = [receipt(index) for index in range(5)]
    root = library_root(receipts)
    for wrong in (receipts[:4], receipts[::-1], [*receipts[:4], receipt(4, status=0)], [*receipts, receipt(5)]):
        with pytest.raises(ChainUnavailable):
            receipt_proof(wrong, 2, root)
