"""The lane to the chain: lost answers both ways, refusals that heal, and every way in which two histories part."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ledger_service.anchoring import (
    AnchorRefused,
    ChainBehind,
    ChainReplaced,
    DatabaseBehind,
    Divergence,
    HistoryForked,
    UnknownCheckpoint,
    UnknownWitness,
    WrongNetwork,
)
from ledger_service.blocks import CHECKPOINT_ANCHORED
from ledger_service.bundle import audit_bundle, receipt
from ledger_service.chain.embedded import EmbeddedChain, Genesis
from ledger_service.chain.errors import ChainError, ChainUnavailable, TransactionUnderpriced
from ledger_service.chain.port import (
    AnchoredCheckpoint,
    AnchorEvidence,
    Block,
    Chain,
    ChainIdentity,
    Contracts,
    Founding,
    RecordedChange,
    RefusedHandOff,
    SignedTransaction,
)
from ledger_service.checkpoint import MalformedNote, UnverifiedNote
from ledger_service.errors import LedgerError
from ledger_service.evidence import verify_bundle
from ledger_service.handoffs import TakenStep
from ledger_service.keys import Signer, keccak
from ledger_service.ledger import Rules
from ledger_service.mandates import key_change
from ledger_service.membership import KeyAdded, KeyRevoked
from tests.consortium import Consortium, founding, key, member_id, stream_id, witness

STREAM = stream_id("duero to nordrand")


class FaultyChain:
    """The real chain behind a line that fails when told to: the next call of that name, before or after it happened."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.lose: list[tuple[str, str]] = []
        self.sent: list[bytes] = []

    def _call(self, name: str, act: Callable[[], Any]) -> Any:
        when = self.lose.pop(0)[1] if self.lose and self.lose[0][0] == name else None
        if when == "before":
            raise ChainUnavailable(f"{name}: nobody there")
        if when == "underpriced":
            raise TransactionUnderpriced("the base fee rose")
        answer = act()
        if when == "after":
            raise ChainUnavailable(f"{name}: the answer was lost")
        return answer

    def identity(self) -> ChainIdentity:
        return self._chain.identity()

    def head(self) -> Block:
        found: Block = self._call("head", self._chain.head)
        return found

    def final(self) -> Block:
        found: Block = self._call("final", self._chain.final)
        return found

    def latest(self, origin: bytes) -> AnchoredCheckpoint | None:
        found: AnchoredCheckpoint | None = self._call("latest", lambda: self._chain.latest(origin))
        return found

    def next_nonce(self, sender: bytes) -> int:
        found: int = self._call("next_nonce", lambda: self._chain.next_nonce(sender))
        return found

    def sign_anchor(
        self, origin: bytes, size: int, root: bytes, path: Sequence[bytes], nonce: int, key: Signer
    ) -> SignedTransaction:
        return self._chain.sign_anchor(origin, size, root, path, nonce, key)

    def sign_call(
        self, function: str, arguments: Sequence[Any], nonce: int, gas: int, key: Signer
    ) -> SignedTransaction:
        return self._chain.sign_call(function, arguments, nonce, gas, key)

    def sign_again(self, raw: bytes, key: Signer) -> SignedTransaction:
        return self._chain.sign_again(raw, key)

    def deploy(self, founding: Founding, key: Signer) -> Contracts:
        return self._chain.deploy(founding, key)

    def send(self, raw: bytes) -> None:
        self.sent.append(raw)
        self._call("send", lambda: self._chain.send(raw))

    def send_many(self, raws: Sequence[bytes]) -> list[ChainError | None]:
        self.sent.extend(raws)
        found: list[ChainError | None] = self._call("send_many", lambda: self._chain.send_many(raws))
        return found

    def anchor_of(self, transaction_hash: bytes) -> AnchorEvidence | None:
        found: AnchorEvidence | None = self._call("anchor_of", lambda: self._chain.anchor_of(transaction_hash))
        return found

    def changes(self, after_index: int, limit: int = 1000, *, from_block: int = 0) -> list[RecordedChange]:
        found: list[RecordedChange] = self._call(
            "changes", lambda: self._chain.changes(after_index, limit, from_block=from_block)
        )
        return found

    def custody_steps(self, first_block: int, last_block: int) -> list[TakenStep]:
        found: list[TakenStep] = self._call("custody_steps", lambda: self._chain.custody_steps(first_block, last_block))
        return found

    def custody_refusals(self, first_block: int, last_block: int) -> list[RefusedHandOff]:
        return self._chain.custody_refusals(first_block, last_block)

    def headers(self, first: int, last: int) -> list[bytes]:
        return self._chain.headers(first, last)

    def relay(self, function: str, arguments: Sequence[Any], key: Signer) -> bytes:
        return self._chain.relay(function, arguments, key)

    def call(self, function: str, arguments: Sequence[Any] = ()) -> Any:
        return self._chain.call(function, arguments)

    def close(self) -> None:
        self._chain.close()


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    made = Consortium(tmp_path, wrap=FaultyChain)
    yield made
    made.close()


def line(consortium: Consortium) -> FaultyChain:
    chain = consortium.ledger.anchoring.chain
    assert isinstance(chain, FaultyChain)
    return chain


def anchored_on_chain(consortium: Consortium) -> list[int]:
    """The sizes that the chain has taken, in order, as its own file has them."""
    consortium.close()
    with sqlite3.connect(consortium.folder / "chain.sqlite") as connection:
        found = connection.execute(
            "SELECT data FROM log WHERE topic0 = ? ORDER BY block, position", (CHECKPOINT_ANCHORED,)
        ).fetchall()
    connection.close()
    consortium.open()
    return [int.from_bytes(data[:32]) for (data,) in found]


def published_after(consortium: Consortium, error: type[LedgerError], *, times: int = 1) -> None:
    """Publish, see it fail that many times, and publish again."""
    for _ in range(times):
        with pytest.raises(error):
            consortium.publish()
        assert consortium.ledger.anchoring.last_error is not None
        assert consortium.ledger.waiting > 0
    consortium.publish()
    assert consortium.ledger.anchoring.last_error is None
    assert consortium.ledger.waiting == 0


def proves_everything(consortium: Consortium) -> bool:
    verdict = verify_bundle(audit_bundle(consortium.ledger, {STREAM: (1, None)}), consortium.trust)
    return verdict.statements == consortium.ledger.size


LOST = {
    "sending, and it did not happen": [("send", "before")],
    "sending, and it happened": [("send", "after")],
    "sending twice": [("send", "before"), ("send", "before")],
    "sending, then asking what became of it": [("send", "after"), ("anchor_of", "before")],
    "asking before sending": [("anchor_of", "before")],
    "asking before sending, and again": [("anchor_of", "after"), ("anchor_of", "before")],
    "asking for the nonce": [("next_nonce", "before")],
    "asking for the head": [("head", "before")],
    "asking for the registry's changes": [("changes", "before")],
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
def test_whatever_answer_is_lost_a_checkpoint_is_anchored_once(
    consortium: Consortium, lost: list[tuple[str, str]]
) -> None:
    consortium.register(consortium.envelope())
    line(consortium).lose = list(lost)
    published_after(consortium, ChainUnavailable, times=len(lost))
    consortium.register(consortium.envelope())
    consortium.publish()
    assert anchored_on_chain(consortium) == [1, 2]
    assert proves_everything(consortium)


def test_after_a_lost_answer_the_same_bytes_are_sent_again_even_after_a_restart(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    line(consortium).lose = [("send", "before")]
    with pytest.raises(ChainUnavailable):
        consortium.publish()
    (first,) = line(consortium).sent
    consortium.register(consortium.envelope())
    consortium.restart()
    consortium.publish()
    assert line(consortium).sent[0] == first
    assert anchored_on_chain(consortium) == [1, 2]


def test_what_was_mined_while_the_answer_was_lost_is_not_sent_again(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    line(consortium).lose = [("send", "after")]
    with pytest.raises(ChainUnavailable):
        consortium.publish()
    consortium.restart()
    consortium.publish()
    assert line(consortium).sent == []
    assert anchored_on_chain(consortium) == [1]
    assert proves_everything(consortium)


def test_a_nonce_taken_by_a_transaction_of_somebody_else_is_replaced(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    line(consortium).lose = [("send", "before")]
    with pytest.raises(ChainUnavailable):
        consortium.publish()
    # The operator's key is used elsewhere, and takes the nonce of the transaction that waits.
    change = KeyAdded(member_id("duero"), key("duero second").address, 1, custodial=False)
    mandate_by(consortium, change, "operator")
    published_after(consortium, AnchorRefused)
    assert anchored_on_chain(consortium) == [1]


def test_a_fee_that_rose_is_paid_under_the_same_nonce(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    line(consortium).lose = [("send", "underpriced"), ("send", "underpriced")]
    published_after(consortium, ChainUnavailable, times=2)
    assert anchored_on_chain(consortium) == [1]
    with sqlite3.connect(consortium.folder / "ledger.sqlite") as connection:
        tried = connection.execute("SELECT number, nonce, refused IS NULL FROM attempt ORDER BY number").fetchall()
    connection.close()
    assert [number for number, _, _ in tried] == [1, 2, 3]
    assert len({nonce for _, nonce, _ in tried}) == 1
    assert [stands for _, _, stands in tried] == [0, 0, 1]


def test_a_transaction_that_was_mined_and_failed_is_followed_by_another(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    faulty = line(consortium)
    faulty.lose = [("send", "before")]
    with pytest.raises(ChainUnavailable):
        consortium.publish()
    consortium.set_operator("somebody else")
    faulty.send_many(faulty.sent)  # it arrives after all, when it is not allowed any more
    with pytest.raises(AnchorRefused, match="NotOperator"):
        consortium.publish()
    consortium.set_operator("operator")
    consortium.publish()
    assert anchored_on_chain(consortium) == [1]
    assert proves_everything(consortium)


def test_a_key_revoked_later_in_the_very_block_of_the_anchor_voids_once_an_anchor_covers_it(
    consortium: Consortium,
) -> None:
    second = consortium.add_key("duero", "duero second")
    (accepted,) = consortium.register(consortium.envelope(signer=second)).accepted
    faulty, ledger = line(consortium), consortium.ledger
    faulty.lose = [("send", "before")]
    with pytest.raises(ChainUnavailable):
        consortium.publish()
    revoked = KeyRevoked(member_id("duero"), second.address, consortium.clock.seconds() - 60)
    mandate = key_change(
        revoked, nonce=1, deadline=consortium.clock.seconds() + 60, root=key("duero root"), domain=ledger.domain
    )
    relayer = key("relayer")
    call = faulty.sign_call(mandate.function, mandate.arguments, faulty.next_nonce(relayer.address), 1_000_000, relayer)
    assert faulty.send_many([*faulty.sent, call.raw]) == [None, None]
    consortium.publish()
    record = ledger.record(accepted.digest)
    assert ledger.void(record) == "key revoked before anchor"
    # As known at its own anchor nothing had happened yet; the next anchor knows better.
    assert verify_bundle(receipt(ledger, record.digest), consortium.trust).void == 0
    consortium.register(consortium.envelope())
    consortium.publish()
    assert verify_bundle(receipt(ledger, record.digest), consortium.trust).void == 1
    assert verify_bundle(audit_bundle(ledger, {STREAM: (1, None)}), consortium.trust).void == 1


def mandate_by(consortium: Consortium, change: KeyAdded, sender: str) -> None:
    mandate = key_change(
        change,
        nonce=0,
        deadline=consortium.clock.seconds() + 3600,
        root=key("duero root"),
        domain=consortium.ledger.domain,
    )
    consortium.ledger.anchoring.chain.relay(mandate.function, mandate.arguments, key(sender))


def test_who_may_not_anchor_is_told_so_until_the_members_let_it(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    consortium.set_operator("somebody else")
    for _ in range(3):
        with pytest.raises(AnchorRefused, match="NotOperator"):
            consortium.publish()
    assert "NotOperator" in (consortium.ledger.anchoring.last_error or "")
    consortium.set_operator("operator")
    consortium.restart()
    consortium.publish()
    assert anchored_on_chain(consortium) == [1]
    assert proves_everything(consortium)


def test_a_checkpoint_anchored_behind_our_back_is_named_and_nothing_goes_on(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    faulty = line(consortium)
    faulty.lose = [("send", "before")]
    with pytest.raises(ChainUnavailable):
        consortium.publish()
    # The operator's key takes that nonce for something else, and anchors the very same checkpoint under the next one.
    mandate_by(consortium, KeyAdded(member_id("duero"), key("duero second").address, 1, custodial=False), "operator")
    root, nonce = consortium.ledger.anchoring.tree.root(1), faulty.next_nonce(key("operator").address)
    foreign = faulty.sign_anchor(keccak(consortium.origin.encode()), 1, root, [], nonce, key("operator"))
    assert faulty.send_many([foreign.raw]) == [None]
    with pytest.raises(AnchorRefused, match="NonceTaken"):
        consortium.publish()
    for _ in range(2):
        with pytest.raises(HistoryForked, match="a transaction this ledger did not send"):
            consortium.publish()
    assert anchored_on_chain(consortium) == [1]


def test_only_as_many_entries_go_into_a_checkpoint_as_the_rules_allow(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path, rules=Rules(max_checkpoint_entries=2))
    consortium.register(*[consortium.envelope() for _ in range(5)])
    consortium.publish()
    assert anchored_on_chain(consortium) == [2, 4, 5]
    assert proves_everything(consortium)
    consortium.close()


# -- at the start --


def copy(folder: Path, name: str, to: Path) -> None:
    """Copy a closed database, whole, into the place of another."""
    to.mkdir(exist_ok=True)
    for old in to.glob(f"{name}.sqlite*"):
        old.unlink()
    for path in folder.glob(f"{name}.sqlite*"):
        shutil.copy(path, to / path.name)


def lived(folder: Path) -> Consortium:
    """Closed, with copies of both files after each of two anchors, in `one` and `two`."""
    consortium = Consortium(folder)
    for step in ("one", "two"):
        consortium.register(consortium.envelope())
        consortium.publish()
        consortium.close()
        for name in ("chain", "ledger"):
            copy(folder, name, folder / step)
        consortium.open()
    consortium.close()
    return consortium


def chain_behind(c: Consortium) -> None:
    copy(c.folder / "one", "chain", c.folder)


def chain_without_a_member_change(c: Consortium) -> None:
    c.open()
    c.add_key("duero", "duero second")
    c.close()
    copy(c.folder / "two", "chain", c.folder)


def chain_with_another_member_change(c: Consortium) -> None:
    chain_without_a_member_change(c)
    chain = EmbeddedChain.open(c.folder / "chain.sqlite", attestor=key("attestor"), now=c.clock.seconds)
    mandate = key_of_another(c)
    chain.relay(mandate.function, mandate.arguments, key("relayer"))
    chain.close()


def key_of_another(c: Consortium) -> Any:
    change = KeyAdded(member_id("duero"), key("duero third").address, 1, custodial=False)
    deadline = c.clock.seconds() + 3600
    return key_change(change, nonce=0, deadline=deadline, root=key("duero root"), domain=c.ledger.domain)


def database_behind(c: Consortium) -> None:
    copy(c.folder / "one", "ledger", c.folder)


def database_lost(c: Consortium) -> None:
    (c.folder / "ledger.sqlite").unlink()


def chain_replaced(c: Consortium) -> None:
    (c.folder / "chain.sqlite").unlink()
    genesis = Genesis(131_277, c.clock.seconds() - 7200)
    chain = EmbeddedChain.create(c.folder / "chain.sqlite", genesis, attestor=key("attestor"), now=c.clock.seconds)
    chain.deploy(founding(), key("operator"))
    chain.close()


def another_tree_of_the_same_size(c: Consortium) -> None:
    other = Consortium(c.folder / "other")
    other.register(other.envelope(issued_at=other.clock.now - 1))
    other.register(other.envelope())
    other.publish()
    other.close()
    copy(c.folder / "other", "chain", c.folder)


def the_same_tree_in_another_block(c: Consortium) -> None:
    """The chain was rewritten: the same checkpoints were anchored again, an hour later."""
    copy(c.folder / "one", "chain", c.folder)
    with sqlite3.connect(c.folder / "ledger.sqlite") as connection:
        (raw,) = connection.execute("SELECT raw FROM attempt WHERE size = 2").fetchone()
    connection.close()
    later = c.clock.seconds() + 3600
    chain = EmbeddedChain.open(c.folder / "chain.sqlite", attestor=key("attestor"), now=lambda: later)
    chain.send(raw)
    chain.close()


def another_origin(c: Consortium) -> None:
    c.origin = "ledger.example.org/other"


PARTED: dict[str, tuple[Callable[[Consortium], None], type[LedgerError], str]] = {
    "the chain is behind": (chain_behind, ChainBehind, "the ledger saw 2 anchored"),
    "the chain lost a key": (chain_without_a_member_change, ChainBehind, "membership changes, the chain fewer"),
    "the chain has another key": (chain_with_another_member_change, HistoryForked, "is another on the chain"),
    "the database is behind": (database_behind, DatabaseBehind, "the ledger's own 1"),
    "the database is gone": (database_lost, DatabaseBehind, "the ledger's own 0"),
    "another chain altogether": (chain_replaced, ChainReplaced, "genesis hash"),
    "another tree of the same size": (another_tree_of_the_same_size, HistoryForked, "different trees at 2"),
    "the same tree in another block": (the_same_tree_in_another_block, ChainReplaced, "is another block now"),
    "another origin": (another_origin, WrongNetwork, "the origin is ledger.example.org/other"),
}


@pytest.mark.parametrize(("part", "error", "what"), PARTED.values(), ids=PARTED.keys())
def test_two_histories_that_part_are_named_and_nothing_is_written(
    tmp_path: Path, part: Callable[[Consortium], None], error: type[LedgerError], what: str
) -> None:
    consortium = lived(tmp_path)
    part(consortium)
    for _ in range(2):  # not even asking again makes it good
        with pytest.raises(error, match=what) as caught:
            consortium.open()
        assert isinstance(caught.value, Divergence) or error is WrongNetwork
        assert "docs/operating.md" in str(caught.value)


def test_a_chain_that_went_on_by_itself_is_caught_up_with(tmp_path: Path) -> None:
    """Killed after sending: the chain has an anchor whose checkpoint the ledger knows and whose proof it does not."""
    consortium = Consortium(tmp_path, wrap=FaultyChain)
    consortium.register(consortium.envelope())
    line(consortium).lose = [("send", "after")]
    with pytest.raises(ChainUnavailable):
        consortium.publish()
    consortium.restart()
    assert consortium.ledger.waiting == 1
    consortium.publish()
    assert consortium.ledger.waiting == 0
    consortium.close()


# -- witnesses --


def test_a_cosignature_is_kept_with_its_checkpoint_over_a_restart(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    consortium.publish()
    ledger, cosigner = consortium.ledger, witness("duero")
    signature = cosigner.sign(ledger.anchoring.note().text, consortium.clock.seconds())
    for _ in range(2):
        ledger.cosign(1, signature.line, [cosigner.verifier], consortium.clock.now)
    consortium.restart()
    assert consortium.ledger.anchoring.note(1).signatures[1:] == (signature,)


def test_a_cosignature_of_anything_else_is_refused(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    consortium.publish()
    ledger, cosigner, now = consortium.ledger, witness("duero"), consortium.clock.seconds()
    text = ledger.anchoring.note().text
    known = [cosigner.verifier]
    refused: list[tuple[type[LedgerError], int, str]] = [
        (UnknownWitness, 1, witness("nobody").sign(text, now).line),
        (UnverifiedNote, 1, cosigner.sign("another\n", now).line),
        (MalformedNote, 1, cosigner.sign(text, now + 3600).line),
        (MalformedNote, 1, "no signature"),
        (UnknownCheckpoint, 2, cosigner.sign(text, now).line),
    ]
    for error, size, line_ in refused:
        with pytest.raises(error):
            ledger.cosign(size, line_, known, consortium.clock.now)
    assert len(ledger.anchoring.note().signatures) == 1


def test_there_is_no_checkpoint_before_the_first(consortium: Consortium) -> None:
    with pytest.raises(UnknownCheckpoint, match="no checkpoint yet"):
        consortium.ledger.anchoring.note()
    assert consortium.ledger.publish(consortium.clock.now) is None
