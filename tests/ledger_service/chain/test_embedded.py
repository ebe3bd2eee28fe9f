"""The embedded engine: what survives, what it costs, and what its file answers."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
from eth_tester import EthereumTester
from eth_typing import Address
from web3.types import RPCEndpoint

from ledger_service import blocks
from ledger_service.chain.block_file import BlockFile
from ledger_service.chain.embedded import EmbeddedChain, EmbeddedProvider
from ledger_service.chain.errors import (
    ChainError,
    ChainFileDamaged,
    ChainFileInUse,
    ChainUnavailable,
    NonceTaken,
    TransactionRefused,
    WrongChain,
)
from ledger_service.chain.port import Founder, Founding, SignedTransaction
from ledger_service.chain.transaction import Fees, Transaction
from ledger_service.keys import keccak
from tests.ledger_service.chain.lane import (
    CHAIN_ID,
    GENESIS,
    GENESIS_TIME,
    ORIGIN,
    Lane,
    create,
    evidence_of,
    founding,
    key,
    reopen,
    root,
)

HERE = Path(__file__).parent


def anchors(lane: Lane, count: int) -> list[SignedTransaction]:
    """The next `count` anchors, each of one entry more."""
    nonce = lane.chain.next_nonce(lane.operator.address)
    return [lane.sign(lane.size + at + 1, since=lane.size + at, nonce=nonce + at) for at in range(count)]


# -- what survives ---------------------------------------------------------------------------------------------------


def test_a_chain_reopens_where_it_stood(tmp_path: Path, chain: EmbeddedChain) -> None:
    lane = Lane(chain)
    transactions = [lane.anchor(size) for size in (3, 8, 20)]
    before = (chain.head(), chain.identity(), chain.latest(ORIGIN), chain.changes(0), chain.headers(0, 100))
    evidence = [evidence_of(chain, transaction) for transaction in transactions]
    chain.close()

    again = reopen(tmp_path / "chain.sqlite")
    assert (again.head(), again.identity(), again.latest(ORIGIN), again.changes(0), again.headers(0, 100)) == before
    assert [evidence_of(again, transaction) for transaction in transactions] == evidence
    again.send(transactions[0].raw)  # known still
    Lane(again, size=20).anchor(21)
    again.close()


@pytest.mark.parametrize("after", [1, 9])
def test_no_acknowledged_block_is_lost_to_kill_9(tmp_path: Path, founded: Path, after: int) -> None:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(founded.read_bytes())
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ledger_service.chain.hammer", path],
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE.parents[2],
    ) as hammer:
        assert hammer.stdout is not None
        acknowledged = [hammer.stdout.readline().split() for _ in range(after)]
        hammer.send_signal(signal.SIGKILL)
        acknowledged += [line.split() for line in hammer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]

    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()
    chain = reopen(path)
    assert len(acknowledged) >= after
    for number, block_hash, transaction_hash in acknowledged:
        (header,) = chain.headers(int(number), int(number))
        assert keccak(header).hex() == block_hash
        evidence = chain.anchor_of(bytes.fromhex(transaction_hash))
        assert evidence is not None
        assert evidence.block_hash.hex() == block_hash
    latest = chain.latest(ORIGIN)
    assert latest is not None
    assert latest.root == root(latest.size)
    Lane(chain, size=latest.size).anchor(latest.size + 1)
    chain.close()


def test_a_block_that_cannot_be_written_never_was(chain: EmbeddedChain) -> None:
    lane = Lane(chain)
    lane.anchor(3)
    before = chain.head()
    transaction = lane.sign(4)
    file = chain._embedded._file
    file.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(ChainUnavailable):
        chain.send(transaction.raw)
    file.connection.execute("PRAGMA query_only = OFF")
    assert chain.head() == before
    assert chain.anchor_of(transaction.hash) is None
    chain.send(transaction.raw)
    assert evidence_of(chain, transaction).block_number == before.number + 1


# -- one owner -------------------------------------------------------------------------------------------------------


def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path: Path, chain: EmbeddedChain) -> None:
    path = tmp_path / "chain.sqlite"
    program = (
        "import sys; from pathlib import Path; from tests.ledger_service.chain.lane import reopen\n"
        "from ledger_service.chain.errors import ChainFileInUse\n"
        "try: reopen(Path(sys.argv[1]))\n"
        "except ChainFileInUse as error: print(error.pid, error.path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True, cwd=HERE.parents[2]
    )
    assert done.stdout.split() == [str(os.getpid()), str(path)]
    with pytest.raises(ChainFileInUse) as in_use:
        reopen(path)
    assert in_use.value.pid == os.getpid()
    chain.close()
    reopen(path).close()


# -- what opens and what does not ------------------------------------------------------------------------------------


def test_the_same_genesis_gives_the_same_chain_and_another_gives_another(tmp_path: Path) -> None:
    def genesis_hash(name: str, **changes: Any) -> bytes:
        chain = EmbeddedChain.create(
            tmp_path / name, replace(GENESIS, **changes), attestor=key("attestor"), now=lambda: 0
        )
        (header,) = chain.headers(0, 0)
        chain.close()
        return keccak(header)

    first = genesis_hash("first")
    assert genesis_hash("second") == first
    others = {
        genesis_hash("chain id", chain_id=CHAIN_ID + 1),
        genesis_hash("time", timestamp=GENESIS_TIME + 1),
        genesis_hash("balances", balances={key("rich").address: 1}),
    }
    assert len(others | {first}) == 4


def test_a_chain_is_created_once(tmp_path: Path) -> None:
    create(tmp_path / "chain.sqlite").close()
    with pytest.raises(FileExistsError):
        create(tmp_path / "chain.sqlite")
    reopen(tmp_path / "chain.sqlite").close()


def test_a_chain_that_is_not_there_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reopen(tmp_path / "chain.sqlite")
    assert not list(tmp_path.iterdir())


def run(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as file:
            file.execute(statement)
        file.close()

    return change


def scribble(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for a page of one" * 40)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "no database": scribble,
    "another database": run("PRAGMA application_id = 7"),
    "a format to come": run("PRAGMA user_version = 99"),
    "no head": run("DELETE FROM state WHERE key = CAST('v1:canonical_head_hash' AS BLOB)"),
    "the last block gone": run("DELETE FROM block WHERE number = (SELECT max(number) FROM block)"),
    "all blocks gone": run("DELETE FROM block"),
    "no chain id": run("DELETE FROM about WHERE name = 'chain id'"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_with_the_reason(tmp_path: Path, founded: Path, damage: str) -> None:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(founded.read_bytes())
    DAMAGE[damage](path)
    with pytest.raises(ChainFileDamaged) as damaged:
        reopen(path)
    assert str(path) in str(damaged.value)
    with pytest.raises(ChainFileDamaged):  # and it has let go of the file
        reopen(path)


def test_a_creation_that_was_cut_short_is_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    BlockFile(path).close()  # the tables are there, the genesis block is not
    with pytest.raises(ChainFileDamaged, match="no chain"):
        reopen(path)
    create(path).close()
    reopen(path).close()


def test_another_attestor_is_another_chain(tmp_path: Path, chain: EmbeddedChain) -> None:
    chain.close()
    with pytest.raises(WrongChain, match="attestor"):
        EmbeddedChain.open(tmp_path / "chain.sqlite", attestor=key("stranger"), now=lambda: 0)


def test_a_chain_that_is_not_the_expected_one_is_named(tmp_path: Path, chain: EmbeddedChain) -> None:
    expected = replace(chain.identity(), genesis_hash=bytes(32))
    chain.close()
    with pytest.raises(WrongChain, match="genesis"):
        EmbeddedChain.open(tmp_path / "chain.sqlite", attestor=key("attestor"), now=lambda: 0, expected=expected)
    reopen(tmp_path / "chain.sqlite").close()


def test_before_a_network_is_founded_there_is_nothing_to_identify(tmp_path: Path) -> None:
    chain = create(tmp_path / "chain.sqlite")
    with pytest.raises(ChainError, match="founded"):
        chain.identity()
    contracts = chain.deploy(founding(key("operator")), key("operator"))
    chain.close()
    again = reopen(tmp_path / "chain.sqlite")
    assert again.contracts == contracts
    again.close()


def test_a_founding_that_no_transaction_carries_is_refused_with_its_reason(tmp_path: Path) -> None:
    chain = create(tmp_path / "chain.sqlite")
    crowd = tuple(Founder(keccak(b"%d" % number), keccak(b"%d" % number)[:20], bytes(32)) for number in range(400))
    with pytest.raises(TransactionRefused, match="initcode"):
        chain.deploy(Founding(crowd), key("operator"))
    chain.deploy(founding(key("operator")), key("operator"))
    chain.close()


def test_a_snapshot_is_a_chain_that_opens(tmp_path: Path, chain: EmbeddedChain) -> None:
    lane = Lane(chain)
    transaction = lane.anchor(3)
    copy = tmp_path / "copy.sqlite"
    chain.snapshot(copy)
    head = chain.head()
    lane.anchor(4)
    opened = reopen(copy)
    assert opened.head() == head
    assert opened.anchor_of(transaction.hash) == chain.anchor_of(transaction.hash)
    assert opened.identity() == chain.identity()
    opened.close()
    with pytest.raises(FileExistsError):
        chain.snapshot(copy)


# -- time ------------------------------------------------------------------------------------------------------------


def test_blocks_carry_the_clock_s_time_and_run_ahead_of_it_no_further_than_one_second_each(
    tmp_path: Path, founded: Path
) -> None:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(founded.read_bytes())
    clock = [GENESIS_TIME + 1000]
    lane = Lane(reopen(path, now=lambda: clock[0]))
    stamps = []
    for advance in (0, 0, 0, 1, 1, 5, 0, 100, -50, 0):
        clock[0] += advance
        lane.anchor(lane.size + 1)
        stamps.append(lane.chain.head().timestamp - GENESIS_TIME - 1000)
    assert stamps == [0, 1, 2, 3, 4, 7, 8, 107, 108, 109]
    lane.chain.close()


def test_many_transactions_in_one_block_take_one_second(chain: EmbeddedChain) -> None:
    lane = Lane(chain)
    before = chain.head()
    assert chain.send_many([transaction.raw for transaction in anchors(lane, 20)]) == [None] * 20
    after = chain.head()
    assert (after.number, after.timestamp) == (before.number + 1, before.timestamp + 1)


# -- blocks of many transactions -------------------------------------------------------------------------------------


def test_one_block_takes_what_it_can_and_each_transaction_learns_its_fate(chain: EmbeddedChain) -> None:
    lane = Lane(chain)
    first, second = anchors(lane, 2)
    nonce = first.nonce
    stale = lane.sign(1, since=0, nonce=nonce + 1)
    after_stale = lane.sign(2, since=1, nonce=nonce + 2)
    stranger = Lane(chain, key("stranger")).sign(5)
    garbage = b"\x02garbage"
    gap = lane.sign(9, nonce=nonce + 40)
    head = chain.head().number
    outcomes = chain.send_many(
        [garbage, first.raw, stale.raw, stranger.raw, gap.raw, after_stale.raw, second.raw, first.raw]
    )
    assert chain.head().number == head + 1
    assert isinstance(outcomes[4], ChainUnavailable)  # a gap, which may be filled
    assert [outcome.reason if isinstance(outcome, TransactionRefused) else None for outcome in outcomes] == [
        "Malformed",
        None,
        "StaleCheckpoint",
        "NotOperator",
        None,
        None,
        "NonceTaken",
        None,
    ]
    assert isinstance(outcomes[6], NonceTaken)
    for transaction in (first, after_stale):
        assert evidence_of(chain, transaction).block_number == head + 1
    for failed, reason in ((stale, "StaleCheckpoint"), (stranger, "NotOperator")):
        with pytest.raises(TransactionRefused) as refused:
            chain.anchor_of(failed.hash)
        assert refused.value.reason in {reason, "Reverted"}
        with pytest.raises(TransactionRefused):
            chain.send(failed.raw)
    assert chain.send_many([]) == []
    assert chain.head().number == head + 1


def test_every_transaction_of_a_block_has_its_own_proof(chain: EmbeddedChain) -> None:
    lane = Lane(chain)
    transactions = anchors(lane, 130)  # past 127, where the keys of the receipts trie change their shape
    assert chain.send_many([transaction.raw for transaction in transactions]) == [None] * 130
    for index in (0, 1, 15, 16, 126, 127, 128, 129):
        assert evidence_of(chain, transactions[index]).receipt_index == index


def test_threads_take_turns(chain: EmbeddedChain) -> None:
    def reads(failures: list[BaseException]) -> None:
        try:
            for _ in range(20):
                latest = chain.latest(ORIGIN)
                assert latest is None or latest.root == root(latest.size)
                chain.changes(0)
        except BaseException as failure:  # noqa: BLE001 - reported below
            failures.append(failure)

    failures: list[BaseException] = []
    readers = [threading.Thread(target=reads, args=(failures,)) for _ in range(3)]
    for reader in readers:
        reader.start()
    lane = Lane(chain)
    for size in range(1, 11):
        lane.anchor(size)
    for reader in readers:
        reader.join()
    assert not failures


# -- what a transaction may be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chain_id": CHAIN_ID + 1}, "chain id"),
        ({"gas": 1000}, "intrinsic gas"),
        ({"gas": 10**13}, "gas"),
        ({"fees": Fees(10**9, 0)}, "funds"),
        ({"to": b"", "data": bytes(50_000), "gas": 10**7}, "initcode"),
    ],
)
def test_a_transaction_the_evm_cannot_take_is_refused_for_good(
    chain: EmbeddedChain, change: dict[str, Any], words: str
) -> None:
    plain = Transaction(CHAIN_ID, 0, Fees(0, 0), 100_000, chain.contracts.registry, b"")
    signed = replace(plain, **change).sign(key("stranger"))
    head = chain.head()
    with pytest.raises(TransactionRefused, match=words):
        chain.send(signed.raw)
    assert chain.head() == head


def test_a_nonce_that_comes_too_soon_is_no_refusal(chain: EmbeddedChain) -> None:
    early = Lane(chain).sign(3, nonce=50)
    with pytest.raises(ChainUnavailable, match="nonce too high"):
        chain.send(early.raw)


def test_gas_is_free_and_stays_so(chain: EmbeddedChain) -> None:
    lane = Lane(chain)
    for size in (1, 2, 3):
        lane.anchor(size)
    assert chain.web3.eth.get_block("latest")["baseFeePerGas"] == 0
    assert chain.web3.eth.get_balance(Address(lane.operator.address)) == 0


# -- look-ups do not grow with the chain -----------------------------------------------------------------------------


class Counter:
    """How many statements the file runs."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self._file = chain._embedded._file

    def __enter__(self) -> Self:
        self.statements = 0
        self._file._cached.clear()
        self._file.connection.set_trace_callback(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.connection.set_trace_callback(None)

    def _count(self, _: str) -> None:
        self.statements += 1


def test_no_look_up_reads_more_on_a_longer_chain(tmp_path: Path, founded: Path) -> None:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(founded.read_bytes())
    lane = Lane(reopen(path))
    first = lane.anchor(1)
    unknown = keccak(b"never sent")
    look_ups: dict[str, Callable[[EmbeddedChain], object]] = {
        "evidence": lambda chain: chain.anchor_of(first.hash),
        "an unknown transaction": lambda chain: chain.anchor_of(unknown),
        "latest": lambda chain: chain.latest(ORIGIN),
        "a nonce": lambda chain: chain.next_nonce(lane.operator.address),
        "changes": lambda chain: chain.changes(0),
        "a header": lambda chain: chain.headers(2, 2),
        "logs": lambda chain: logs(chain, {"address": address(chain), "fromBlock": "0x0", "toBlock": "0x3"}),
    }

    def costs() -> dict[str, int]:
        lane.chain.close()
        lane.chain = chain = reopen(path)  # so that nothing is remembered
        chain.identity()
        found = {}
        for name, look_up in look_ups.items():
            with Counter(chain) as counter:
                look_up(chain)
            found[name] = counter.statements
        return found

    short = costs()
    for size in range(2, 120):
        lane.anchor(size)
    long = costs()
    # The state's trie may have grown by a level; nothing else may cost more.
    assert {name: count for name, count in long.items() if count > short[name] + 2} == {}
    assert max(long.values()) < 60
    lane.chain.close()


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_the_chain(chain: EmbeddedChain) -> None:
    lane = Lane(chain)
    sizes = []
    for size in range(1, 700):
        evidence_of(chain, lane.anchor(size))
        if size % 100 == 99:
            sizes.append(resident_megabytes())
    assert max(sizes[2:]) - sizes[1] < 12


# -- the index of events ---------------------------------------------------------------------------------------------


def ask(chain: EmbeddedChain, method: str, *params: object) -> Any:
    answer = chain.web3.provider.make_request(RPCEndpoint(method), list(params))
    assert "error" not in answer, answer
    return answer["result"]


def logs(chain: EmbeddedChain, query: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(chain, "eth_getLogs", query)
    return found


def address(chain: EmbeddedChain) -> str:
    return "0x" + chain.contracts.checkpoints.hex()


def scanned(chain: EmbeddedChain, query: dict[str, Any]) -> list[dict[str, Any]]:
    """The same by reading every receipt of every block: slow and obvious."""
    found = []
    addresses = query.get("address") or []
    wanted = [addresses] if isinstance(addresses, str) else addresses
    for number in range(int(query["fromBlock"], 16), int(query["toBlock"], 16) + 1):
        for receipt in ask(chain, "eth_getBlockReceipts", hex(number)):
            for log in receipt["logs"]:
                topics = query.get("topics") or []
                fits = len(topics) <= len(log["topics"]) and all(
                    topic is None or log["topics"][at] in ([topic] if isinstance(topic, str) else topic)
                    for at, topic in enumerate(topics)
                )
                if fits and (not wanted or log["address"] in wanted):
                    found.append(log)
    return found


def test_the_index_of_events_finds_what_reading_every_receipt_finds(chain: EmbeddedChain) -> None:
    lane = Lane(chain)
    chain.send_many([transaction.raw for transaction in anchors(lane, 6)])
    lane.size = 6
    for number in range(3):
        lane.add_key(f"key {number}", number)
        lane.anchor(lane.size + 1)
    head = hex(chain.head().number)
    registry = "0x" + chain.contracts.registry.hex()
    anchored, changed = ("0x" + topic.hex() for topic in _topics())
    kinds = ["0x" + number.to_bytes(32).hex() for number in (5, 11)]
    nobody = "0x" + "11" * 32
    queries: list[dict[str, Any]] = [
        {"fromBlock": first, "toBlock": last, "address": contract, "topics": topics}
        for first, last in (("0x0", head), ("0x1", "0x1"), ("0x3", "0x5"), (head, head))
        for contract in (None, registry, [registry, address(chain)], nobody[:42])
        for topics in (
            [],
            [changed],
            [None, None, kinds[0]],
            [[anchored, changed]],
            [changed, None, kinds],
            [nobody],
            [None] * 5,
        )
    ]
    found = [logs(chain, query) for query in queries]
    assert found == [scanned(chain, query) for query in queries]
    assert sum(map(len, found)) > 100
    everything = logs(chain, {"fromBlock": "earliest", "toBlock": "latest"})
    places = [(log["blockNumber"], log["logIndex"]) for log in everything]
    assert len(set(places)) == len(places)


def _topics() -> Iterator[bytes]:
    yield blocks.CHECKPOINT_ANCHORED
    yield keccak(b"MembershipChanged(uint64,uint8,bytes,bytes32)")


# -- what is refused outright ----------------------------------------------------------------------------------------


def test_eth_tester_s_own_ways_that_would_scan_or_forget_are_closed(chain: EmbeddedChain) -> None:
    tester = EthereumTester(chain._embedded._backend)
    assert tester.get_nonce("0x" + key("operator").address.hex()) == 3
    ways: list[Callable[[], object]] = [
        tester.mine_block,
        tester.take_snapshot,
        tester.reset_to_genesis,
        partial(tester.get_transaction_receipt, "0x" + "11" * 32),
        partial(tester.time_travel, GENESIS_TIME * 2),
    ]
    for way in ways:
        with pytest.raises(ChainError, match="ledger"):
            way()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_mine", []),
        ("evm_revert", []),
        ("eth_getBlockByNumber", []),
        ("eth_getBlockByNumber", [17]),
        ("eth_getCode", ["xyz"]),
        ("eth_getLogs", [{"fromBlock": "soon"}]),
        ("eth_call", [{"to": 7}]),
        ("eth_sendRawTransaction", ["0xzz"]),
    ],
)
def test_a_question_that_makes_no_sense_gets_an_error_for_an_answer(
    chain: EmbeddedChain, method: str, params: list[object]
) -> None:
    provider = chain.web3.provider
    assert isinstance(provider, EmbeddedProvider)
    answer = provider.make_request(RPCEndpoint(method), params)
    assert answer["error"]["code"] in {-32601, -32602}
