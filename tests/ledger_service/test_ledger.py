"""The door: what is registered, what is refused and leaves nothing, and what a small model says must come of it all."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger_service import merkle
from ledger_service.batch import FromTheFuture, StatementConflict, StreamMismatch, UnknownMember
from ledger_service.bundle import NotYetAnchored, audit_bundle, receipt
from ledger_service.checkpoint import promise_text
from ledger_service.envelope import ContentMismatch, Envelope
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.evidence import verify_bundle
from ledger_service.invariants import check
from ledger_service.keys import to_hex
from ledger_service.ledger import (
    BacklogFull,
    Call,
    CallRefused,
    Registration,
    Rules,
    State,
    UnknownStatement,
    examine,
)
from ledger_service.membership import RevokedKey, UnknownKey, WrongMember, WrongPurpose
from ledger_service.statements import UnknownKind, log_entry
from tests.consortium import NOON, Consortium, event, key, member_id, stream_id

STREAM = stream_id("duero to nordrand")


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    made = Consortium(tmp_path)
    yield made
    made.close()


def rows(consortium: Consortium) -> dict[str, int]:
    """How many rows each table has."""
    with sqlite3.connect(consortium.folder / "ledger.sqlite") as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
    connection.close()
    return counts


def digest(consortium: Consortium, envelope: Envelope) -> bytes:
    return envelope.header.digest(consortium.ledger.domain)


def reasons(consortium: Consortium, *envelopes: Envelope) -> list[LedgerError]:
    with pytest.raises(CallRefused) as caught:
        consortium.register(*envelopes)
    return [one.error for one in caught.value.refusals]


def test_a_statement_is_registered_then_checkpointed_and_anchored(consortium: Consortium) -> None:
    envelope = consortium.envelope()
    (accepted,) = consortium.register(envelope).accepted
    ledger = consortium.ledger
    assert (accepted.digest, accepted.registered_at, accepted.is_new) == (digest(consortium, envelope), NOON, True)
    assert ledger.state(0) is State.REGISTERED
    assert (ledger.size, ledger.waiting) == (1, 1)
    consortium.publish()
    assert ledger.state(0) is State.ANCHORED
    assert ledger.waiting == 0
    assert ledger.envelope(ledger.record(accepted.digest)) == (envelope, None)


def test_registering_again_gives_the_first_answer_and_changes_nothing(consortium: Consortium) -> None:
    envelope = consortium.envelope()
    first = consortium.register(envelope)
    before = rows(consortium)
    consortium.clock.forward(60)
    again = consortium.register(envelope)
    assert [replace(one, is_new=True) for one in again.accepted] == first.accepted
    assert str(again.promise) == str(first.promise)
    consortium.publish()
    consortium.restart()
    assert str(consortium.register(envelope).promise) == str(first.promise)
    assert rows(consortium)["statement"] == before["statement"] == 1


def test_a_statement_twice_in_one_call_is_registered_once(consortium: Consortium) -> None:
    envelope = consortium.envelope()
    accepted = consortium.register(envelope, envelope).accepted
    assert [one.is_new for one in accepted] == [True, False]
    assert consortium.ledger.size == 1


def test_another_signature_of_the_same_words_is_answered_with_the_first(consortium: Consortium) -> None:
    consortium.add_key("duero", "duero second")
    envelope = consortium.envelope()
    first = consortium.register(envelope)
    header = envelope.header
    resigned = replace(envelope, signature=key("duero second").sign(digest(consortium, envelope)))
    again = consortium.register(resigned)
    assert str(again.promise) == str(first.promise)
    assert consortium.ledger.record(header.digest(consortium.ledger.domain)).signature == envelope.signature


def test_a_promise_is_signed_over_the_leaves_of_the_call(consortium: Consortium) -> None:
    envelopes = [consortium.envelope() for _ in range(3)]
    promise = consortium.register(*envelopes).promise
    assert promise is not None
    consortium.ledger.log_key.verifier.verify(promise)
    leaves = [merkle.leaf_hash(log_entry(digest(consortium, one), one.signature, NOON)) for one in envelopes]
    *_, at, count, _root, end = promise.text.split("\n")
    assert (at, count, end) == (str(NOON), "3", "")
    assert promise.text == promise_text(consortium.ledger.origin, NOON, 3, merkle.root(leaves))


def stranger(c: Consortium) -> Envelope:
    return c.envelope(signer=key("nobody"))


def another(c: Consortium) -> Envelope:
    return c.envelope(signer=key("nordrand"))


REFUSED: dict[str, tuple[Callable[[Consortium], Envelope], type[LedgerError], str]] = {
    "a key of nobody": (stranger, UnknownKey, "no member has registered it"),
    "a key of another member": (another, WrongMember, "it speaks for member"),
    "a key for other purposes": (
        lambda c: c.envelope("service", signer=key("operator")),
        WrongPurpose,
        "not for events",
    ),
    "an issuer who is no member": (
        lambda c: c.envelope("elsewhere", signer=key("duero")),
        WrongMember,
        "it speaks for member",
    ),
    "an audience of strangers": (lambda c: c.envelope(to=("elsewhere",)), UnknownMember, "is no member"),
    "a time to come": (lambda c: c.envelope(issued_at=NOON + 300_001), FromTheFuture, "set the clock right"),
    "a kind nobody knows": (lambda c: c.envelope(kind="gossip"), UnknownKind, "knows epcis-event"),
    "content that says nothing": (lambda c: c.envelope(content={"event": 1, "context": []}), MalformedInput, ""),
    "changed content": (
        lambda c: replace(c.envelope(), content={"to": [], **event(7)}),
        ContentMismatch,
        "belongs to another statement",
    ),
}


@pytest.mark.parametrize(("make", "error", "what"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_leaves_nothing_behind(
    consortium: Consortium, make: Callable[[Consortium], Envelope], error: type[LedgerError], what: str
) -> None:
    before = rows(consortium)
    (reason,) = reasons(consortium, make(consortium))
    assert isinstance(reason, error)
    assert what in str(reason)
    assert rows(consortium) == before
    assert consortium.ledger.size == 0


def test_a_call_is_taken_whole_or_not_at_all(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    before = rows(consortium)
    bad = stranger(consortium)
    fresh = consortium.envelope("nordrand", ("duero",))
    more = consortium.envelope(sequence=3)
    with pytest.raises(CallRefused) as caught:
        consortium.register(more, fresh, bad)
    assert [one.item for one in caught.value.refusals] == [2]
    assert rows(consortium) == before
    # What was undone can be registered by the next call.
    assert [one.is_new for one in consortium.register(more, fresh).accepted] == [True, True]


def test_the_good_are_kept_on_demand_and_the_others_have_their_reasons(consortium: Consortium) -> None:
    good, bad, last = consortium.envelope(), stranger(consortium), consortium.envelope("nordrand", ("duero",))
    items = [good.data, b"{", bad.data, last.data]
    registration = consortium.register_bytes(items, keep_good=True)
    assert [one.item for one in registration.accepted] == [0, 3]
    assert [(one.item, type(one.error).__name__) for one in registration.refused] == [
        (1, "MalformedJson"),
        (2, "UnknownKey"),
    ]
    assert consortium.ledger.size == 2


def test_a_call_of_which_nothing_is_good_promises_nothing(consortium: Consortium) -> None:
    registration = consortium.register_bytes([b"{"], keep_good=True)
    assert (registration.accepted, registration.promise) == ([], None)


def test_a_second_word_on_a_number_is_refused_and_kept_as_evidence(consortium: Consortium) -> None:
    first = consortium.envelope()
    consortium.register(first)
    second = consortium.envelope(sequence=1, content=event(99))
    for _ in range(2):
        (reason,) = reasons(consortium, second)
        assert isinstance(reason, StatementConflict)
        assert (reason.sequence, reason.taken_by) == (1, digest(consortium, first))
    kept = consortium.ledger.fork_of(digest(consortium, second))
    assert kept is not None
    assert Envelope.parse(kept.envelope) == second
    assert kept.record.digest == digest(consortium, first)
    assert consortium.ledger.size == 1
    assert rows(consortium)["fork"] == 1


def test_two_words_on_a_number_in_one_refused_call_leave_nothing(consortium: Consortium) -> None:
    first, second = consortium.envelope(), consortium.envelope(sequence=1, content=event(99))
    before = rows(consortium)
    (reason,) = reasons(consortium, first, second)
    assert isinstance(reason, StatementConflict)
    assert rows(consortium) == before


def test_what_was_refused_beside_another_and_then_registered_is_no_fork_of_itself(consortium: Consortium) -> None:
    first, second = consortium.envelope(sequence=1), consortium.envelope(sequence=1, content=event(99))
    examined = examine([first.data, second.data], consortium.ledger.domain, NOON)
    outcomes = consortium.ledger.register_all([Call(examined), Call(examined[1:])], NOON)
    assert isinstance(outcomes[0], CallRefused)
    assert isinstance(outcomes[1], Registration)
    assert consortium.ledger.fork_of(digest(consortium, second)) is None
    assert check(consortium.ledger) == []


def test_nobody_makes_a_fork_of_anothers_stream(consortium: Consortium) -> None:
    """Else any member could put evidence of a fork on record against another."""
    consortium.register(consortium.envelope())
    intruder = consortium.envelope("nordrand", ("nordrand",), stream="duero to nordrand", sequence=1)
    (reason,) = reasons(consortium, intruder)
    assert isinstance(reason, StreamMismatch)
    assert rows(consortium)["fork"] == 0


def test_a_stream_has_one_issuer_and_one_audience(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    (reason,) = reasons(consortium, consortium.envelope("nordrand", ("duero",), stream="duero to nordrand", sequence=2))
    assert isinstance(reason, StreamMismatch)
    assert "belongs to another issuer" in str(reason)
    (reason,) = reasons(consortium, consortium.envelope("duero", ("oderland",), stream="duero to nordrand", sequence=2))
    assert isinstance(reason, StreamMismatch)
    assert "another audience" in str(reason)
    assert consortium.ledger.readers(STREAM) == {member_id("duero"), member_id("nordrand")}


def test_a_header_alone_takes_its_number_and_its_stream_learns_its_audience_later(consortium: Consortium) -> None:
    bare = replace(consortium.envelope(), content=None, secret=None)
    consortium.register(bare)
    assert consortium.ledger.readers(STREAM) == {member_id("duero")}
    consortium.register(consortium.envelope())
    assert consortium.ledger.readers(STREAM) == {member_id("duero"), member_id("nordrand")}
    assert consortium.ledger.envelope(consortium.ledger.record(digest(consortium, bare))) == (bare, None)


def test_numbers_may_come_out_of_order_and_a_void_fills_one(consortium: Consortium) -> None:
    for number in (3, 1):
        consortium.register(consortium.envelope(sequence=number))
    consortium.publish()
    spans = audit_bundle(consortium.ledger, {STREAM: (1, None)}).streams
    assert [(one.first, one.last) for one in spans] == [(1, 1), (3, 3)]
    verdict = verify_bundle(audit_bundle(consortium.ledger, {STREAM: (1, None)}), consortium.trust)
    assert [one.what for one in verdict.findings] == ["gap: number 2 is not in this bundle"]
    consortium.register(consortium.envelope(sequence=2, kind="void", content={"reason": "label printed twice"}))
    consortium.publish()
    verdict = verify_bundle(audit_bundle(consortium.ledger, {STREAM: (1, None)}), consortium.trust)
    assert (verdict.statements, verdict.findings) == (3, ())


def test_time_in_the_log_never_runs_backwards(consortium: Consortium) -> None:
    first = consortium.envelope()
    (one,) = consortium.register(first).accepted
    consortium.clock.forward(-3600)
    (two,) = consortium.register(consortium.envelope()).accepted
    assert one.registered_at == two.registered_at == NOON
    consortium.clock.forward(7200)
    consortium.restart()
    (three,) = consortium.register(consortium.envelope()).accepted
    assert three.registered_at == NOON + 3_600_000


def test_a_full_backlog_takes_nothing_until_the_chain_has_caught_up(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path, rules=Rules(max_backlog=3))
    consortium.register(*[consortium.envelope() for _ in range(3)])
    before = rows(consortium)
    refused = consortium.envelope()
    with pytest.raises(BacklogFull) as caught:
        consortium.register(refused)
    assert caught.value.retry_after_seconds > 0
    assert rows(consortium) == before
    consortium.publish()
    consortium.register(refused)
    consortium.close()


def test_what_was_erased_is_gone_and_every_proof_stands(consortium: Consortium) -> None:
    marked = consortium.envelope(content=event(1, readPoint={"id": "urn:example:erase-me-please"}))
    other = consortium.envelope()
    consortium.register(marked, other)
    consortium.publish()
    ledger = consortium.ledger
    consortium.clock.forward(60)
    for _ in range(2):
        ledger.erase(digest(consortium, marked), consortium.clock.now)
        consortium.clock.forward(60)
    assert ledger.envelope(ledger.record(digest(consortium, marked))) == (
        Envelope(marked.header, marked.signature),
        NOON + 60_000,
    )
    verdict = verify_bundle(receipt(ledger, digest(consortium, marked)), consortium.trust)
    assert [one.what.split(":")[0] for one in verdict.findings] == ["content erased, so the operator says"]
    assert verify_bundle(receipt(ledger, digest(consortium, other)), consortium.trust).findings == ()
    consortium.close()
    assert marked.secret is not None
    stored = b"".join(path.read_bytes() for path in consortium.folder.glob("ledger.sqlite*"))
    assert other.secret is not None
    assert other.secret in stored
    assert marked.secret not in stored
    assert b"erase-me-please" not in stored
    consortium.open()


def test_a_statement_kept_as_evidence_of_a_fork_can_be_erased_too(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    second = consortium.envelope(sequence=1, content=event(99))
    reasons(consortium, second)
    consortium.ledger.erase(digest(consortium, second), consortium.clock.now)
    kept = consortium.ledger.fork_of(digest(consortium, second))
    assert kept is not None
    assert Envelope.parse(kept.envelope) == Envelope(second.header, second.signature)


def test_what_is_not_there_cannot_be_had(consortium: Consortium) -> None:
    for ask in (
        lambda: consortium.ledger.record(bytes(32)),
        lambda: consortium.ledger.erase(bytes(32), NOON),
        lambda: receipt(consortium.ledger, bytes(32)),
        lambda: audit_bundle(consortium.ledger, {bytes(32): (1, None)}),
        lambda: audit_bundle(consortium.ledger, {}),
    ):
        with pytest.raises(UnknownStatement):
            ask()
    assert consortium.ledger.readers(bytes(32)) == frozenset()


# -- overtaken by a revocation --


def test_what_a_revocation_overtakes_is_void_keeps_its_number_and_is_said_again(consortium: Consortium) -> None:
    ledger = consortium.ledger
    second = consortium.add_key("duero", "duero second")
    overtaken = consortium.envelope(signer=second)
    consortium.register(consortium.envelope(sequence=2), overtaken)
    record = ledger.record(digest(consortium, overtaken))
    assert ledger.void(record) is None
    consortium.revoke_key("duero", "duero second")
    consortium.publish()
    assert ledger.void(record) == "key revoked before anchor"
    assert ledger.state(record.position) is State.ANCHORED
    # Its number stays taken, and whoever asks again is answered as the first time.
    assert not consortium.register(overtaken).accepted[0].is_new
    (reason,) = reasons(consortium, consortium.envelope(sequence=1, content=event(9)))
    assert isinstance(reason, StatementConflict)
    # The key itself is of no use any more.
    (late,) = reasons(consortium, consortium.envelope(sequence=3, signer=second))
    assert isinstance(late, RevokedKey)
    again = {**event(1), "replaces": to_hex(record.digest)}
    consortium.register(consortium.envelope(sequence=3, content=again))
    consortium.publish()
    consortium.restart()
    verdict = verify_bundle(audit_bundle(consortium.ledger, {STREAM: (1, None)}), consortium.trust)
    assert (verdict.statements, verdict.void) == (3, 1)
    assert [one.what.split(":")[:2] for one in verdict.findings if "void" in one.what] == [
        ["void", " key revoked before anchor"]
    ]
    assert verify_bundle(receipt(consortium.ledger, record.digest), consortium.trust).void == 1
    assert check(consortium.ledger) == []


def test_a_revocation_after_the_anchor_voids_nothing(consortium: Consortium) -> None:
    second = consortium.add_key("duero", "duero second")
    envelope = consortium.envelope(signer=second)
    consortium.register(envelope)
    consortium.publish()
    consortium.clock.forward(3600)
    consortium.register(consortium.envelope())
    consortium.publish()
    consortium.revoke_key("duero", "duero second")
    consortium.register(consortium.envelope())
    consortium.publish()
    assert consortium.ledger.void(consortium.ledger.record(digest(consortium, envelope))) is None
    verdict = verify_bundle(audit_bundle(consortium.ledger, {STREAM: (1, None)}), consortium.trust)
    assert (verdict.void, verdict.findings) == (0, ())


def test_many_register_while_others_publish_and_read(consortium: Consortium) -> None:
    ledger = consortium.ledger
    calls = [
        [consortium.envelope("duero", ("nordrand",), stream=f"lane {lane}") for _ in range(5)]
        for lane in range(4)
        for _ in range(6)
    ]

    def register(envelopes: list[Envelope]) -> int:
        return len(consortium.register(*envelopes).accepted)

    def publish_and_read(_: int) -> int:
        ledger.publish(consortium.clock.now)
        ledger.anchoring.refresh()
        with suppress(NotYetAnchored, UnknownStatement):
            return len(audit_bundle(ledger, {stream_id("lane 1"): (1, None)}).statements)
        return 0

    with ThreadPoolExecutor(8) as pool:
        registered = pool.map(register, calls)
        assert max(pool.map(publish_and_read, range(12))) <= 30
        assert sum(registered) == 120
    consortium.publish()
    assert check(ledger) == []
    assert len(audit_bundle(ledger, {stream_id("lane 1"): (1, None)}).statements) == 30


# -- against a model --


class Life(RuleBasedStateMachine):
    """Any order of calls, publications and restarts, against what a dictionary would remember."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.consortium = Consortium(Path(self.folder.name))
        self.taken: dict[tuple[str, int], tuple[Envelope, int]] = {}
        self.forks: set[bytes] = set()

    def teardown(self) -> None:
        if hasattr(self, "consortium"):
            assert check(self.consortium.ledger) == []
            self.consortium.close()
            self.folder.cleanup()

    def make(self, issuer: str, number: int, version: int) -> Envelope:
        to = ("nordrand",) if issuer == "duero" else ("duero",)
        return self.consortium.envelope(issuer, to, sequence=number, issued_at=NOON, content=event(version))

    issuers = st.sampled_from(["duero", "nordrand"])

    @rule(
        items=st.lists(st.tuples(issuers, st.integers(1, 6), st.integers(1, 2)), min_size=1, max_size=4),
        keep_good=st.booleans(),
        with_stranger=st.booleans(),
    )
    def register(self, items: list[tuple[str, int, int]], keep_good: bool, with_stranger: bool) -> None:
        envelopes = [self.make(*one) for one in items]
        taken, forks, expected = dict(self.taken), set(self.forks), []
        for (issuer, number, _), envelope in zip(items, envelopes, strict=True):
            holder = taken.get((issuer, number))
            if holder is None:
                taken[issuer, number] = envelope, self.consortium.clock.now
            elif holder[0].header != envelope.header:
                forks.add(digest(self.consortium, envelope))
            expected.append(holder is None or holder[0].header == envelope.header)
        if with_stranger:
            envelopes.append(self.consortium.envelope("duero", ("nordrand",), sequence=7, signer=key("nobody")))
            expected.append(False)
        try:
            registration = self.consortium.register(*envelopes, keep_good=keep_good)
        except CallRefused:
            assert not keep_good
            assert not all(expected)
            # Of a fork that hangs on this very call nothing remains; one against an earlier number is evidence.
            self.forks |= {
                digest(self.consortium, envelope)
                for (issuer, number, _), envelope in zip(items, envelopes, strict=False)
                if (issuer, number) in self.taken and self.taken[issuer, number][0].header != envelope.header
            }
            return
        assert [one.item for one in registration.accepted] == [at for at, good in enumerate(expected) if good]
        self.taken, self.forks = taken, forks

    @rule()
    def publish(self) -> None:
        self.consortium.publish()
        assert self.consortium.ledger.waiting == 0

    @rule(seconds=st.integers(1, 600))
    def wait(self, seconds: int) -> None:
        self.consortium.clock.forward(seconds)

    @rule()
    def restart(self) -> None:
        self.consortium.restart()

    @precondition(lambda self: self.consortium.ledger.anchoring.anchored_size > 0)
    @rule()
    def audit(self) -> None:
        anchored = self.consortium.ledger.anchoring.anchored_size
        for (issuer, _), (envelope, _) in self.taken.items():
            record = self.consortium.ledger.record(digest(self.consortium, envelope))
            if record.position < anchored:
                bundle = audit_bundle(self.consortium.ledger, {stream_of(issuer): (1, None)})
                verdict = verify_bundle(bundle, self.consortium.trust)
                assert all(one.what.startswith("gap") for one in verdict.findings)

    @invariant()
    def what_was_taken_is_there_and_nothing_else(self) -> None:
        ledger = self.consortium.ledger
        assert ledger.size == len(self.taken)
        for envelope, at in self.taken.values():
            record = ledger.record(digest(self.consortium, envelope))
            assert (record.header, record.signature, record.registered_at) == (envelope.header, envelope.signature, at)
        assert rows(self.consortium)["fork"] == len(self.forks)


def stream_of(issuer: str) -> bytes:
    return stream_id("duero to nordrand" if issuer == "duero" else "nordrand to duero")


Life.TestCase.settings = settings(
    max_examples=8, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLife: Any = Life.TestCase
