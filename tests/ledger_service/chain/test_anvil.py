"""A real node, and what real nodes do: forget what waits, turn the chain, come back as another one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger_service import blocks
from ledger_service.chain.errors import ChainUnavailable, TransactionRefused, TransactionUnderpriced, WrongChain
from ledger_service.chain.evm import Patience
from ledger_service.chain.rpc import JsonRpcChain
from ledger_service.chain.transaction import Fees, Transaction
from tests.ledger_service.chain.conftest import QUICK, Anvil
from tests.ledger_service.chain.lane import ORIGIN, Lane, evidence_of, key, wait_until_mined

pytestmark = pytest.mark.full


@pytest.fixture
def node(anvil_executable: Path, tmp_path: Path) -> Iterator[Anvil]:
    """A node of the test's own, which keeps its state when it stops."""
    node = Anvil(anvil_executable)
    yield node
    node.stop()


@contextmanager
def lane_on(node: Anvil, confirmations: int = 0, relay_timeout: float = 10) -> Iterator[Lane]:
    """A network founded on the node, and a lane to it."""
    patience = Patience(relay_timeout=relay_timeout, poll_interval=0.02)
    rpc = JsonRpcChain.connect(node.url, confirmations=confirmations, patience=patience, timeouts=QUICK)
    yield Lane(rpc, node.fund(key("operator"))).found()
    rpc.close()


def stop_mining(node: Anvil) -> None:
    node.ask("evm_setAutomine", False)


def mine(node: Anvil, blocks_: int = 1) -> None:
    node.ask("anvil_mine", hex(blocks_))


def test_a_waiting_transaction_is_sent_again_without_harm_and_has_no_evidence_until_it_is_mined(node: Anvil) -> None:
    with lane_on(node) as lane:
        stop_mining(node)
        transaction = lane.sign(3)
        for _ in range(3):
            lane.chain.send(transaction.raw)
        assert lane.chain.anchor_of(transaction.hash) is None
        assert lane.chain.next_nonce(lane.operator.address) == transaction.nonce + 1
        mine(node)
        evidence_of(lane.chain, transaction)
        lane.chain.send(transaction.raw)


def test_a_transaction_that_the_node_forgot_goes_in_with_the_same_bytes(node: Anvil) -> None:
    with lane_on(node) as lane:
        stop_mining(node)
        transaction = lane.sign(3)
        lane.chain.send(transaction.raw)
        node.ask("anvil_dropAllTransactions")
        mine(node)
        assert lane.chain.anchor_of(transaction.hash) is None
        assert lane.chain.next_nonce(lane.operator.address) == transaction.nonce
        lane.chain.send(transaction.raw)
        mine(node)
        evidence_of(lane.chain, transaction)


@pytest.mark.parametrize("depth", [1, 2])
def test_what_a_turn_of_the_chain_takes_away_was_never_called_final(node: Anvil, depth: int) -> None:
    with lane_on(node, confirmations=3) as lane:
        mine(node, 5)
        transaction = lane.anchor(3)
        mine(node, depth - 1) if depth > 1 else None
        assert lane.chain.anchor_of(transaction.hash) is None
        node.ask("anvil_reorg", depth, [])
        assert lane.chain.latest(ORIGIN) is None
        assert lane.chain.anchor_of(transaction.hash) is None
        lane.chain.send(transaction.raw)
        mine(node, 3)
        assert evidence_of(lane.chain, transaction).block_number > 0
        latest = lane.chain.latest(ORIGIN)
        assert latest is not None
        assert latest.size == 3


def wiped(node: Anvil) -> None:
    node.stop()
    node.start()


def reset(node: Anvil) -> None:
    node.ask("anvil_reset")


@pytest.mark.parametrize("replace", [wiped, reset])
def test_a_node_that_comes_back_as_another_chain_is_named_and_gets_nothing(
    node: Anvil, replace: Callable[[Anvil], None]
) -> None:
    with lane_on(node) as lane:
        lane.anchor(3)
        identity = lane.chain.identity()
        transaction = lane.sign(5)
        replace(node)
        node.fund(lane.operator)
        with pytest.raises(WrongChain):
            lane.chain.send(transaction.raw)
        with pytest.raises(WrongChain):
            JsonRpcChain.connect(node.url, expected=identity, timeouts=QUICK)
        assert node.ask("eth_getTransactionByHash", "0x" + transaction.hash.hex()) is None


def test_a_node_that_is_down_is_unavailable_and_what_was_signed_waits(node: Anvil) -> None:
    with lane_on(node) as lane:
        transaction = lane.sign(3)
        node.stop()
        questions: list[Callable[[], object]] = [
            lane.chain.head,
            lambda: lane.chain.latest(ORIGIN),
            lambda: lane.chain.anchor_of(transaction.hash),
            lambda: lane.chain.send(transaction.raw),
            lambda: lane.chain.changes(0),
        ]
        for question in questions:
            with pytest.raises(ChainUnavailable):
                question()


def test_a_mined_failure_is_told_from_success(node: Anvil) -> None:
    with lane_on(node) as lane:
        lane.anchor(3)
        failing = lane.sign(3, since=0)
        node.ask("eth_sendRawTransaction", "0x" + failing.raw.hex())  # past the rehearsal
        wait_until_mined(lane.chain, failing)
        tellers: list[Callable[[], object]] = [
            lambda: lane.chain.anchor_of(failing.hash),
            lambda: lane.chain.send(failing.raw),
        ]
        for tell in tellers:
            with pytest.raises(TransactionRefused) as refused:
                tell()
            assert refused.value.reason == "StaleCheckpoint"


def test_an_offer_below_the_base_fee_is_signed_again_under_the_same_nonce(node: Anvil) -> None:
    with lane_on(node) as lane:
        first = lane.sign(3)
        node.ask("anvil_setNextBlockBaseFeePerGas", hex(10**12))
        mine(node)
        with pytest.raises(TransactionUnderpriced):
            lane.chain.send(first.raw)
        second = lane.sign(3, nonce=first.nonce)
        lane.chain.send(second.raw)
        evidence_of(lane.chain, second)


def test_without_funds_the_refusal_says_so(node: Anvil) -> None:
    with lane_on(node) as lane:
        poor = Transaction(
            lane.chain.identity().chain_id, 0, Fees(10**10, 0), 100_000, lane.chain.contracts.registry, b""
        )
        with pytest.raises(TransactionRefused, match=r"(?i)funds"):
            lane.chain.send(poor.sign(key("poor")).raw)


def test_many_anchors_in_one_block_each_have_their_proof(node: Anvil) -> None:
    with lane_on(node) as lane:
        stop_mining(node)
        nonce = lane.chain.next_nonce(lane.operator.address)
        transactions = [lane.sign(size, since=size - 1, nonce=nonce + size - 1) for size in range(1, 21)]
        assert lane.chain.send_many([transaction.raw for transaction in transactions]) == [None] * 20
        mine(node)
        found = [evidence_of(lane.chain, transaction) for transaction in transactions]
        assert [evidence.receipt_index for evidence in found] == list(range(20))
        assert len({evidence.block_hash for evidence in found}) == 1


# Anvil's genesis carries blob fields on every fork, also on those that have none: no header of those forks.
@pytest.mark.parametrize(
    ("fork", "first"), [("london", 1), ("shanghai", 1), ("cancun", 0), ("prague", 0), ("osaka", 0)]
)
def test_the_headers_of_every_fork_hash_to_their_blocks(anvil_executable: Path, fork: str, first: int) -> None:
    node = Anvil(anvil_executable, "--hardfork", fork)
    try:
        rpc = JsonRpcChain.connect(node.url, timeouts=QUICK)
        mine(node, 3)
        head = rpc.head()
        headers = [blocks.Header.parse(raw) for raw in rpc.headers(first, 10)]
        assert [header.number for header in headers] == list(range(first, 4))
        blocks.verify_header_chain(headers, head.hash)
        rpc.close()
    finally:
        node.stop()


def test_a_relayed_call_that_is_never_mined_ends_in_an_open_question(node: Anvil) -> None:
    with lane_on(node, relay_timeout=0.5) as lane:
        stop_mining(node)
        with pytest.raises(ChainUnavailable, match="not mined"):
            lane.add_key("slow", 0)
        mine(node)
        assert lane.chain.call("keyOf", [key("slow").address])[0] != bytes(32)
