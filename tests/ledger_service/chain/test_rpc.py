"""A node across the network that fails in every way we can name: no answer of it is taken for what it is not."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger_service.chain.embedded import EmbeddedChain, Genesis
from ledger_service.chain.errors import (
    ChainError,
    ChainUnavailable,
    NonceTaken,
    TransactionRefused,
    TransactionUnderpriced,
    WrongChain,
)
from ledger_service.chain.evm import Patience
from ledger_service.chain.rpc import JsonRpcChain, Timeouts
from tests.ledger_service.chain.front import Front, Misbehaviour, Reply
from tests.ledger_service.chain.lane import CHAIN_ID, GENESIS, GENESIS_TIME, ORIGIN, Lane, evidence_of, key

IMPATIENT = Timeouts(connect=0.5, answer=0.4, largest_answer=1_000_000)


@pytest.fixture
def rpc(chain: EmbeddedChain, front: Front) -> Iterator[JsonRpcChain]:
    rpc = JsonRpcChain.connect(front.url, chain.contracts, timeouts=IMPATIENT)
    yield rpc
    rpc.close()


def says(body: bytes | str, status: int = 200, **more: Any) -> Misbehaviour:
    data = body.encode() if isinstance(body, str) else body
    return lambda _front, _question: Reply(data, status, **more)


def altered(change: Callable[[dict[str, Any]], Any]) -> Misbehaviour:
    """A good answer, changed by `change` before it is sent."""

    def fault(front: Front, question: dict[str, Any]) -> Reply:
        answer = front.well(question)
        changed = change(answer)
        return Reply(json.dumps(answer if changed is None else changed).encode())

    return fault


def result(value: object) -> Misbehaviour:
    return altered(lambda answer: {**answer, "result": value})


def error(code: object, message: object, data: object = None) -> Misbehaviour:
    def fault(_front: Front, question: dict[str, Any]) -> Reply:
        body = {"code": code, "message": message} | ({"data": data} if data is not None else {})
        return Reply(json.dumps({"jsonrpc": "2.0", "id": question["id"], "error": body}).encode())

    return fault


def field(name: str, value: object) -> Misbehaviour:
    """A good answer but for one field of its result."""
    return altered(lambda answer: answer["result"].__setitem__(name, value))


TRANSPORT: dict[str, Misbehaviour] = {
    "bad request": says("", 400),
    "unauthorised": says("", 401),
    "forbidden": says("<h1>Forbidden</h1>", 403),
    "not found": says("", 404),
    "too many requests": says('{"jsonrpc":"2.0","id":1,"error":{"code":429,"message":"slow down"}}', 429),
    "internal server error": says("", 500),
    "bad gateway": says("<html>502</html>", 502),
    "service unavailable": says("", 503),
    "redirect": says("", 302, location="http://127.0.0.1:9/"),
    "a page of HTML": says("<!doctype html><title>Welcome to nginx!</title>"),
    "nothing": says(b""),
    "bytes that are no text": says(b"\xff\xfe\x00\x01"),
    "half a JSON text": says('{"jsonrpc":"2.0","id":1,"res'),
    "the connection cut in mid-answer": says('{"jsonrpc":"2.0"', length=5000),
    "the connection closed at once": says("", drop=True),
    "a byte every tenth of a second": says('{"jsonrpc":"2.0","id":1,"result":"0x0"}', pause=0.1),
    "an answer without end": says(b" " * 1_200_000),
    "nested too deeply": says("[" * 100_000),
    "a list": says("[]"),
    "a number": says("17"),
    "null": says("null"),
    "an older protocol": altered(lambda answer: {**answer, "jsonrpc": "1.0"}),
    "no protocol": altered(lambda answer: {name: answer[name] for name in ("id", "result")}),
    "another request's answer": altered(lambda answer: {**answer, "id": answer["id"] + 1}),
    "an id as text": altered(lambda answer: {**answer, "id": str(answer["id"])}),
    "no id": altered(lambda answer: {**answer, "id": None}),
    "an id that is true": altered(lambda answer: {**answer, "id": True}),
    "neither result nor error": altered(lambda answer: {name: answer[name] for name in ("id", "jsonrpc")}),
    "both result and error": altered(lambda answer: {**answer, "error": {"code": 1, "message": "but"}}),
    "an error that is a text": altered(lambda answer: {"jsonrpc": "2.0", "id": answer["id"], "error": "no"}),
    "an error without a code": error(None, "no"),
    "an error whose code is a text": error("-32000", "no"),
    "an error without words": error(-32000, None),
    "an internal error": error(-32603, "Internal error"),
    "a rate limit": error(-32005, "daily request count exceeded, request rate limited"),
    "a node that is starting": error(-32000, "header not found"),
    "an unknown method": error(-32601, "the method does not exist"),
    "a result that is null": result(None),
    "a result that is a number": result(17),
    "a result that is a list": result([]),
    "a result that is no hexadecimal": result("0xzz"),
    "a result with half a byte": result("0x123"),
    "a result without its prefix": result("1234"),
}


@pytest.mark.parametrize("fault", TRANSPORT)
def test_what_is_no_answer_to_a_question_leaves_it_open(rpc: JsonRpcChain, front: Front, fault: str) -> None:
    expected = rpc.latest(ORIGIN)
    front.misbehave("eth_call", TRANSPORT[fault])
    with pytest.raises(ChainUnavailable):
        rpc.latest(ORIGIN)
    assert rpc.latest(ORIGIN) == expected


@pytest.mark.parametrize("fault", TRANSPORT)
def test_what_is_no_answer_to_a_transaction_leaves_it_open_and_the_same_bytes_go_through_later(
    rpc: JsonRpcChain, front: Front, chain: EmbeddedChain, fault: str
) -> None:
    transaction = Lane(rpc).sign(3)
    front.misbehave("eth_sendRawTransaction", TRANSPORT[fault])
    # Some faults spoil the answer to a transaction that did happen: then finding it is as good as being told.
    with suppress(ChainUnavailable) if chain_has_it_after(fault) else pytest.raises(ChainUnavailable):
        rpc.send(transaction.raw)
    rpc.send(transaction.raw)
    assert chain.next_nonce(key("operator").address) == transaction.nonce + 1
    evidence_of(rpc, transaction)


def chain_has_it_after(fault: str) -> bool:
    """Whether the front runs the transaction before it spoils the answer."""
    return "result" in fault or fault in {
        "an older protocol",
        "no protocol",
        "another request's answer",
        "an id as text",
        "no id",
        "an id that is true",
        "an error that is a text",
    }


def first_receipt(change: dict[str, object]) -> Misbehaviour:
    return altered(lambda answer: answer["result"][0].update(change))


def first_log(change: dict[str, object]) -> Misbehaviour:
    return altered(lambda answer: answer["result"][0].update(change))


Question = Callable[[Lane], object]
HEAD: Question = lambda lane: lane.chain.head()  # noqa: E731
EVIDENCE: Question = lambda lane: lane.chain.anchor_of(lane.last.hash) if lane.last else None  # noqa: E731
CHANGES: Question = lambda lane: lane.chain.changes(0)  # noqa: E731
NONCE: Question = lambda lane: lane.chain.next_nonce(lane.operator.address)  # noqa: E731

LIES: dict[str, tuple[Question, str, Misbehaviour]] = {
    "no block at all": (HEAD, "eth_getBlockByNumber", result(None)),
    "a block that is a text": (HEAD, "eth_getBlockByNumber", result("0x1")),
    "a block at another time": (HEAD, "eth_getBlockByNumber", field("timestamp", "0x1")),
    "a block with another state": (HEAD, "eth_getBlockByNumber", field("stateRoot", "0x" + "11" * 32)),
    "a block with another hash": (HEAD, "eth_getBlockByNumber", field("hash", "0x" + "11" * 32)),
    "a block without a parent": (HEAD, "eth_getBlockByNumber", field("parentHash", None)),
    "a block with a short root": (HEAD, "eth_getBlockByNumber", field("receiptsRoot", "0x11")),
    "a block whose number is a number": (HEAD, "eth_getBlockByNumber", field("number", 3)),
    "a block of another fork": (HEAD, "eth_getBlockByNumber", field("blobGasUsed", None)),
    "a receipt of another transaction": (
        EVIDENCE,
        "eth_getTransactionReceipt",
        field("transactionHash", "0x" + "11" * 32),
    ),
    "a receipt without a status": (EVIDENCE, "eth_getTransactionReceipt", field("status", None)),
    "a receipt that is a list": (EVIDENCE, "eth_getTransactionReceipt", result([])),
    "a receipt at an index that is none": (EVIDENCE, "eth_getTransactionReceipt", field("transactionIndex", "0x7")),
    "a block's receipts, altered": (EVIDENCE, "eth_getBlockReceipts", first_receipt({"cumulativeGasUsed": "0x1"})),
    "a block's receipts, without logs": (EVIDENCE, "eth_getBlockReceipts", first_receipt({"logs": []})),
    "a block's receipts, one missing": (EVIDENCE, "eth_getBlockReceipts", result([])),
    "a block's receipts that are null": (EVIDENCE, "eth_getBlockReceipts", result(None)),
    "changes, one left out": (CHANGES, "eth_getLogs", altered(lambda answer: answer["result"].pop(1))),
    "changes, the first left out": (CHANGES, "eth_getLogs", altered(lambda answer: answer["result"].pop(0))),
    "a change that says something else": (
        CHANGES,
        "eth_getLogs",
        altered(lambda a: a["result"][1].update(data=a["result"][0]["data"])),
    ),
    "a change of another contract": (CHANGES, "eth_getLogs", first_log({"address": "0x" + "11" * 20})),
    "a change in a block that was not asked about": (CHANGES, "eth_getLogs", first_log({"blockNumber": "0xffff"})),
    "a change without topics": (CHANGES, "eth_getLogs", first_log({"topics": []})),
    "a change without data": (CHANGES, "eth_getLogs", first_log({"data": "0x"})),
    "logs that are null": (CHANGES, "eth_getLogs", result(None)),
    "a nonce that is null": (NONCE, "eth_getTransactionCount", result(None)),
    "a nonce beyond all numbers": (NONCE, "eth_getTransactionCount", result("0x1" + "00" * 32)),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_does_not_hash_or_fit_is_refused(rpc: JsonRpcChain, front: Front, lie: str) -> None:
    question, method, fault = LIES[lie]
    lane = Lane(rpc)
    lane.anchor(3)
    expected = question(lane)
    front.misbehave(method, fault)
    with pytest.raises(ChainUnavailable):
        question(lane)
    assert question(lane) == expected


def test_evidence_waits_while_a_receipt_is_null_or_of_a_block_that_was_replaced(
    rpc: JsonRpcChain, front: Front
) -> None:
    lane = Lane(rpc)
    transaction = lane.anchor(3)
    for fault in (result(None), field("blockHash", "0x" + "11" * 32)):
        front.misbehave("eth_getTransactionReceipt", fault)
        assert rpc.anchor_of(transaction.hash) is None
    evidence_of(rpc, transaction)


def test_receipts_are_asked_for_one_by_one_where_a_node_does_not_have_them_by_block(
    rpc: JsonRpcChain, front: Front
) -> None:
    transaction = Lane(rpc).anchor(3)
    expected = rpc.anchor_of(transaction.hash)
    front.misbehave("eth_getBlockReceipts", error(-32601, "the method eth_getBlockReceipts does not exist"))
    assert rpc.anchor_of(transaction.hash) == expected


# What a node says to a transaction that it did not take, and what that means. None: it has it already.
REFUSALS: list[tuple[str, int, str, type[ChainError] | None]] = [
    ("geth: in the pool", -32000, "already known", None),
    ("Besu: in the pool", -32000, "Known transaction", None),
    ("Anvil: in the pool", -32003, "transaction already imported", None),
    ("geth: below the base fee", -32000, "max fee per gas less than block base fee", TransactionUnderpriced),
    ("geth: a tip too small", -32000, "transaction underpriced: tip needed 5, tip permitted 1", TransactionUnderpriced),
    ("geth: another waits", -32000, "replacement transaction underpriced", TransactionUnderpriced),
    ("Besu: below its minimum", -32009, "Gas price below configured minimum gas price", TransactionUnderpriced),
    ("geth: no funds", -32000, "insufficient funds for gas * price + value", TransactionRefused),
    ("Besu: no funds", -32004, "Upfront cost exceeds account balance", TransactionRefused),
    ("geth: gas", -32000, "intrinsic gas too low", TransactionRefused),
    ("Besu: gas", -32005, "Transaction gas limit exceeds block gas limit", TransactionRefused),
    ("geth: another chain's", -32000, "invalid chain id for signer", TransactionRefused),
    ("Besu: permissioning", -32007, "Sender account not authorized to send transactions", TransactionRefused),
    ("a revert", 3, "execution reverted", TransactionRefused),
    ("a stale replica's nonce", -32000, "nonce too low", ChainUnavailable),
    ("a gap", -32000, "nonce too high", ChainUnavailable),
    ("a full pool", -32000, "txpool is full", ChainUnavailable),
    ("anything else", -32000, "the moon is in the seventh house", ChainUnavailable),
]


@pytest.mark.parametrize(
    ("code", "message", "expected"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_a_refusal_means_what_the_node_says(
    rpc: JsonRpcChain, front: Front, code: int, message: str, expected: type[ChainError] | None
) -> None:
    transaction = Lane(rpc).sign(3)
    front.misbehave("eth_sendRawTransaction", error(code, message))
    if expected is None:
        rpc.send(transaction.raw)
    else:
        with pytest.raises(ChainError) as raised:
            rpc.send(transaction.raw)
        assert type(raised.value) is expected
    rpc.send(transaction.raw)
    evidence_of(rpc, transaction)


def test_what_was_underpriced_is_signed_again_under_its_nonce_with_a_better_offer(
    rpc: JsonRpcChain, front: Front
) -> None:
    front.misbehave("eth_gasPrice", result("0x3b9aca00"))
    lane = Lane(rpc)
    first = lane.sign(3, nonce=7)
    front.misbehave("eth_getTransactionReceipt", result(None), times=2)
    front.misbehave("eth_getTransactionCount", result("0x7"))
    front.misbehave("eth_sendRawTransaction", error(-32000, "replacement transaction underpriced"))
    with pytest.raises(TransactionUnderpriced):
        rpc.send(first.raw)
    second = lane.sign(3, nonce=7)
    assert second.nonce == first.nonce
    assert second.hash != first.hash


# -- lost answers, both ways -------------------------------------------------------------------------------------------


def test_a_transaction_that_happened_though_its_answer_was_lost_counts_as_sent(
    rpc: JsonRpcChain, front: Front, chain: EmbeddedChain
) -> None:
    def swallow(front: Front, question: dict[str, Any]) -> Reply:
        front.well(question)
        return Reply(b"", drop=True)

    transaction = Lane(rpc).sign(3)
    front.misbehave("eth_sendRawTransaction", swallow)
    rpc.send(transaction.raw)
    rpc.send(transaction.raw)
    assert front.asked.count("eth_sendRawTransaction") == 1
    assert chain.next_nonce(key("operator").address) == transaction.nonce + 1


def test_a_transaction_that_happened_while_the_node_went_silent_is_found_later(
    rpc: JsonRpcChain, front: Front, chain: EmbeddedChain
) -> None:
    def swallow(front: Front, question: dict[str, Any]) -> Reply:
        front.well(question)
        return Reply(b"", drop=True)

    transaction = Lane(rpc).sign(3)
    front.misbehave("eth_sendRawTransaction", swallow)
    front.misbehave("eth_getTransactionByHash", says("", 503))
    with pytest.raises(ChainUnavailable):
        rpc.send(transaction.raw)
    rpc.send(transaction.raw)
    assert front.asked.count("eth_sendRawTransaction") == 1
    assert chain.next_nonce(key("operator").address) == transaction.nonce + 1


def test_a_transaction_that_never_arrived_is_sent_by_the_next_attempt(rpc: JsonRpcChain, front: Front) -> None:
    transaction = Lane(rpc).sign(3)
    front.misbehave("eth_sendRawTransaction", says("", drop=True))
    with pytest.raises(ChainUnavailable):
        rpc.send(transaction.raw)
    assert rpc.anchor_of(transaction.hash) is None
    rpc.send(transaction.raw)
    evidence_of(rpc, transaction)


def test_an_acknowledgement_of_another_transaction_is_not_ours(rpc: JsonRpcChain, front: Front) -> None:
    transaction = Lane(rpc).sign(3)
    front.misbehave("eth_sendRawTransaction", result("0x" + "11" * 32))
    with pytest.raises(ChainUnavailable, match="another transaction"):
        rpc.send(transaction.raw)


def test_a_node_that_is_down_is_unavailable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ChainUnavailable):
        JsonRpcChain.connect(f"http://127.0.0.1:{port}", timeouts=IMPATIENT).head()


def test_threads_share_a_connection_without_mixing_answers(rpc: JsonRpcChain, front: Front) -> None:
    Lane(rpc).anchor(3)
    expected = (rpc.head(), rpc.latest(ORIGIN), rpc.changes(0), rpc.next_nonce(key("operator").address))

    def ask(_: int) -> object:
        return (rpc.head(), rpc.latest(ORIGIN), rpc.changes(0), rpc.next_nonce(key("operator").address))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(24))) == [expected] * 24


# -- finality ----------------------------------------------------------------------------------------------------------


def test_nothing_is_final_before_enough_blocks_stand_on_it(front: Front, chain: EmbeddedChain) -> None:
    rpc = JsonRpcChain.connect(front.url, chain.contracts, confirmations=2, timeouts=IMPATIENT)
    lane = Lane(rpc)
    known = len(chain.changes(0))
    transaction = lane.anchor(3)
    assert rpc.anchor_of(transaction.hash) is None
    lane.add_key("later", 0)
    assert rpc.anchor_of(transaction.hash) is None
    lane.anchor(4)
    evidence_of(rpc, transaction)
    assert len(rpc.changes(0)) == known
    lane.anchor(5)
    assert len(rpc.changes(0)) == known + 1
    rpc.close()


@pytest.mark.parametrize("span", [1, 2, 3, 100])
def test_logs_are_asked_for_in_spans_that_leave_nothing_out(front: Front, chain: EmbeddedChain, span: int) -> None:
    lane = Lane(chain)
    for number in range(3):
        lane.anchor(lane.size + 1)
        lane.add_key(f"key {number}", number)
    rpc = JsonRpcChain.connect(front.url, chain.contracts, patience=Patience(log_span=span), timeouts=IMPATIENT)
    assert rpc.changes(0) == chain.changes(0)
    rpc.close()


# -- another chain -----------------------------------------------------------------------------------------------------

OTHERS = {
    "another chain id": (replace(GENESIS, chain_id=CHAIN_ID + 1), True, "chain id"),
    "another genesis": (replace(GENESIS, timestamp=GENESIS_TIME - 1), True, "genesis hash"),
    "wiped, nothing deployed": (GENESIS, False, "contract"),
}


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[EmbeddedChain, str]]:
    """A chain that is not ours, and what tells it."""
    genesis: Genesis
    genesis, is_founded, what = OTHERS[request.param]
    other = EmbeddedChain.create(tmp_path / "other.sqlite", genesis, attestor=key("attestor"), now=lambda: GENESIS_TIME)
    if is_founded:
        Lane(other).found()
    yield other, what
    other.close()


def test_another_chain_is_named_when_connecting(
    front: Front, chain: EmbeddedChain, other: tuple[EmbeddedChain, str]
) -> None:
    ours = JsonRpcChain.connect(front.url, chain.contracts, timeouts=IMPATIENT).identity()
    front.provider = other[0].web3.provider
    with pytest.raises(WrongChain) as wrong:
        JsonRpcChain.connect(front.url, expected=ours, timeouts=IMPATIENT)
    assert wrong.value.what.startswith(other[1])


def test_another_chain_is_named_before_anything_is_sent_to_it(
    rpc: JsonRpcChain, front: Front, other: tuple[EmbeddedChain, str]
) -> None:
    transaction = Lane(rpc).sign(3)
    front.provider = other[0].web3.provider
    with pytest.raises(WrongChain) as wrong:
        rpc.send(transaction.raw)
    assert wrong.value.what.startswith(other[1])
    assert "eth_sendRawTransaction" not in front.asked


def test_another_chain_is_named_after_a_lost_connection(
    rpc: JsonRpcChain, front: Front, other: tuple[EmbeddedChain, str]
) -> None:
    front.misbehave("eth_call", says("", drop=True))
    with pytest.raises(ChainUnavailable):
        rpc.latest(ORIGIN)
    front.provider = other[0].web3.provider
    with pytest.raises(WrongChain):
        rpc.head()
    with pytest.raises(WrongChain):
        rpc.latest(ORIGIN)


def test_the_foreign_code_at_a_contract_s_address_is_named(front: Front, chain: EmbeddedChain) -> None:
    contracts = chain.contracts
    swapped = replace(contracts, registry=contracts.checkpoints, checkpoints=contracts.registry)
    with pytest.raises(WrongChain, match="MemberRegistry"):
        JsonRpcChain.connect(front.url, swapped, timeouts=IMPATIENT)


def test_a_foreign_transaction_under_our_nonce_is_named(rpc: JsonRpcChain, chain: EmbeddedChain) -> None:
    transaction = Lane(rpc).sign(3)
    Lane(chain).anchor(5)
    with pytest.raises(NonceTaken):
        rpc.send(transaction.raw)
