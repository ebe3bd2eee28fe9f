"""What the port promises, on every engine: embedded, behind HTTP, and (full) a real node."""

from dataclasses import replace

import pytest

from ledger_service.chain.abi import UnknownFunction
from ledger_service.chain.embedded import EmbeddedChain
from ledger_service.chain.errors import ChainError, MalformedTransaction, NonceTaken, TransactionRefused
from ledger_service.chain.port import Chain, RecordedChange
from ledger_service.chain.rpc import JsonRpcChain
from ledger_service.chain.transaction import read_transaction
from ledger_service.keys import BadSignature, keccak
from ledger_service.membership import KeyAdded, Kind, decode_change, fold, next_head
from tests.ledger_service.chain.lane import ORIGIN, Lane, evidence_of, founding, key, root, wait_until_mined

ENGINES: list[type[Chain]] = [EmbeddedChain, JsonRpcChain]  # mypy holds them to the port


def test_an_anchor_becomes_evidence_that_the_offline_verifier_accepts(lane: Lane) -> None:
    assert lane.chain.latest(ORIGIN) is None
    for size in (1, 2, 7, 8, 130, 699):
        transaction = lane.anchor(size)
        latest = lane.chain.latest(ORIGIN)
        evidence = evidence_of(lane.chain, transaction)
        assert latest is not None
        assert (latest.size, latest.root) == (size, root(size))
        assert (latest.block_number, latest.anchored_at) == (evidence.block_number, evidence.block_time)
        assert evidence.chain_id == lane.chain.identity().chain_id


def test_sending_twice_is_sending_once(lane: Lane) -> None:
    transaction = lane.sign(5)
    for _ in range(3):
        lane.chain.send(transaction.raw)
    wait_until_mined(lane.chain, transaction)
    assert lane.chain.next_nonce(lane.operator.address) == transaction.nonce + 1
    assert lane.chain.head().number == evidence_of(lane.chain, transaction).block_number


@pytest.mark.parametrize(
    ("size", "since", "reason", "arguments"),
    [
        (8, 0, "StaleCheckpoint", {"anchored": 8, "offered": 8}),
        (7, 0, "StaleCheckpoint", {"anchored": 8, "offered": 7}),
        (20, 0, "NotAnExtension", {"anchored": 8, "offered": 20}),
        (20, 7, "NotAnExtension", {"anchored": 8, "offered": 20}),
    ],
)
def test_a_checkpoint_that_does_not_extend_the_last_is_refused_by_name_and_takes_no_nonce(
    lane: Lane, size: int, since: int, reason: str, arguments: dict[str, int]
) -> None:
    lane.anchor(8)
    transaction = lane.sign(size, since=since)
    with pytest.raises(TransactionRefused) as refused:
        lane.chain.send(transaction.raw)
    assert refused.value.reason == reason
    assert {name: refused.value.arguments[name] for name in arguments} == arguments
    assert lane.chain.anchor_of(transaction.hash) is None
    lane.anchor(9)  # under the same nonce


def test_only_the_operator_of_an_origin_anchors(lane: Lane) -> None:
    stranger = replace(lane, operator=key("stranger"))
    with pytest.raises(TransactionRefused) as refused:
        lane.chain.send(stranger.sign(3).raw)
    assert refused.value.reason == "NotOperator"
    assert refused.value.arguments["operator"] == lane.operator.address
    assert refused.value.arguments["caller"] == stranger.operator.address


def test_a_nonce_that_another_transaction_took_is_named(lane: Lane) -> None:
    ours, foreign = lane.sign(4), lane.sign(5)
    lane.chain.send(foreign.raw)
    wait_until_mined(lane.chain, foreign)
    with pytest.raises(NonceTaken) as taken:
        lane.chain.send(ours.raw)
    assert (taken.value.nonce, taken.value.next_nonce) == (ours.nonce, ours.nonce + 1)
    assert lane.chain.anchor_of(ours.hash) is None


def test_an_unknown_transaction_has_no_evidence_yet(lane: Lane) -> None:
    assert lane.chain.anchor_of(keccak(b"never sent")) is None
    assert lane.chain.anchor_of(lane.sign(3).hash) is None


def test_membership_changes_come_in_order_and_fold_to_the_registry_s_head(lane: Lane) -> None:
    before = len(lane.chain.changes(0))
    for number in range(3):
        lane.add_key(f"key {number}", number)
    changes = lane.chain.changes(0)
    assert [recorded.change.index for recorded in changes] == list(range(1, before + 4))
    assert changes[-1].head == lane.chain.call("head")
    assert lane.chain.call("changeCount") == len(changes)
    assert fold(recorded.change for recorded in changes).count == len(changes)
    head = bytes(32)
    for recorded in changes:
        head = next_head(head, recorded.change)
        assert recorded.head == head
    last = changes[-1].change
    assert last.kind == Kind.KEY_ADDED
    fact = decode_change(last.kind, last.data)
    assert isinstance(fact, KeyAdded)
    assert fact.key == key("key 2").address


def test_changes_are_read_in_pages_and_from_a_known_block(lane: Lane) -> None:
    for number in range(4):
        lane.add_key(f"key {number}", number)
    everything = lane.chain.changes(0)
    paged: list[RecordedChange] = []
    while page := lane.chain.changes(len(paged), limit=2, from_block=paged[-1].change.block_number if paged else 0):
        assert len(page) <= 2
        paged += page
    assert paged == everything
    assert lane.chain.changes(len(everything)) == []
    assert lane.chain.changes(len(everything) - 1, from_block=lane.chain.head().number) == everything[-1:]


def test_a_relayed_call_that_the_contract_refuses_says_why(lane: Lane) -> None:
    nonce = lane.chain.next_nonce(lane.operator.address)
    with pytest.raises(TransactionRefused) as wrong_nonce:
        lane.add_key("late", 7)
    with pytest.raises(TransactionRefused) as wrong_signer:
        lane.add_key("forged", 0, signer="stranger")
    assert wrong_nonce.value.reason == "WrongNonce"
    assert (wrong_nonce.value.arguments["expected"], wrong_nonce.value.arguments["offered"]) == (0, 7)
    assert wrong_signer.value.reason == "NotRootKey"
    assert lane.chain.next_nonce(lane.operator.address) == nonce


def test_headers_link_back_to_one_another_and_end_at_the_head(lane: Lane) -> None:
    for size in (1, 2, 3):
        lane.anchor(size)
    head = lane.chain.head()
    headers = lane.chain.headers(head.number - 3, head.number + 100)
    assert len(headers) == 4
    assert headers[-1] == head.header
    assert [keccak(header) for header in headers[:-1]] == [_parent(header) for header in headers[1:]]


def test_the_identity_names_chain_contracts_and_code(lane: Lane) -> None:
    identity = lane.chain.identity()
    assert identity.chain_id == lane.chain.web3.eth.chain_id
    for address, code_hash in (
        (identity.registry, identity.registry_code_hash),
        (identity.checkpoints, identity.checkpoints_code_hash),
        (identity.custody, identity.custody_code_hash),
    ):
        assert keccak(lane.chain.web3.eth.get_code(address)) == code_hash  # type: ignore[arg-type]
    for contract in ("CheckpointRegistry", "CustodyLedger"):
        assert lane.chain.call(f"{contract}.registry") == identity.registry


def test_web3_itself_works_on_the_same_chain(lane: Lane) -> None:
    transaction = lane.anchor(6)
    web3 = lane.chain.web3
    head = lane.chain.head()
    assert web3.eth.get_block("latest")["hash"] == head.hash
    receipt = web3.eth.get_transaction_receipt(transaction.hash)  # type: ignore[arg-type]
    assert receipt["status"] == 1
    assert receipt["blockNumber"] == head.number
    assert web3.eth.get_transaction(transaction.hash)["nonce"] == transaction.nonce  # type: ignore[arg-type]
    (log,) = web3.eth.get_logs({"fromBlock": head.number, "toBlock": head.number})
    assert log["topics"][1] == ORIGIN


def test_many_transactions_go_over_together_and_one_that_fails_stops_no_other(lane: Lane) -> None:
    nonce = lane.chain.next_nonce(lane.operator.address)
    first, stale = lane.sign(3, nonce=nonce), lane.sign(3, nonce=nonce)
    second = lane.sign(5, since=3, nonce=nonce + 1)
    assert first == stale
    outcomes = lane.chain.send_many([first.raw, second.raw, stale.raw])
    assert outcomes == [None, None, None]
    for transaction in (first, second):
        evidence_of(lane.chain, transaction)
    taken = lane.sign(9, since=3, nonce=nonce)
    (outcome,) = lane.chain.send_many([taken.raw])
    assert isinstance(outcome, NonceTaken)


def test_a_network_is_founded_once(lane: Lane) -> None:
    with pytest.raises(ChainError, match="already"):
        lane.chain.deploy(founding(lane.operator), lane.operator)


def test_a_signer_that_signs_as_another_is_noticed(lane: Lane) -> None:
    class Confused:
        address = key("operator").address

        def sign(self, digest: bytes) -> bytes:
            return key("stranger").sign(digest)

    with pytest.raises(BadSignature):
        lane.chain.sign_anchor(ORIGIN, 3, root(3), [], 0, Confused())


def test_a_function_that_no_contract_has_is_named(lane: Lane) -> None:
    with pytest.raises(UnknownFunction, match="mint"):
        lane.chain.call("mint")


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x02", b"\x02\xc0", b"\x01\xc0", bytes(100), b"\x02\xf8\xff"],
    ids=lambda raw: raw[:3].hex() or "empty",
)
def test_bytes_that_are_no_transaction_of_ours_are_not_sent(lane: Lane, raw: bytes) -> None:
    with pytest.raises(MalformedTransaction):
        lane.chain.send(raw)
    (outcome,) = lane.chain.send_many([raw])
    assert isinstance(outcome, MalformedTransaction)


def test_a_transaction_reads_back_as_it_was_signed(lane: Lane) -> None:
    signed = lane.sign(17)
    transaction, again = read_transaction(signed.raw)
    assert again == signed
    assert transaction.sign(lane.operator) == signed


def _parent(header: bytes) -> bytes:
    return header[4:36]
