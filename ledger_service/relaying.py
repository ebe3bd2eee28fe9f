"""Relaying: from steps of custody that their parties have signed to steps that the chain has taken, whatever fails.

A step is stored with a time drawn for it before anything is answered. When that has come, it is sent together with
whatever else is due, in one shuffled block, so that its place and time tell a reader of the chain nothing
(docs/decisions/0008). Each transaction is stored, signed, before it is first sent; until the chain has settled it the
same bytes are sent, as often as it takes. What the chain has taken is read from the chain alone, also what others sent.

One step of a unit is under way at a time: a step waits until the chain has taken the one before it. A step that the
chain can never take is set aside with the reason; it holds up nobody else.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from random import Random
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa

from ledger_service import blocks
from ledger_service.anchoring import ChainBehind, ChainReplaced
from ledger_service.chain.custody_log import reason_of
from ledger_service.chain.errors import (
    ChainError,
    ChainUnavailable,
    NonceTaken,
    TransactionRefused,
    TransactionUnderpriced,
)
from ledger_service.chain.port import AnchorEvidence, Chain, RefusedHandOff, SignedTransaction
from ledger_service.errors import LedgerError
from ledger_service.evidence import CertificateProof
from ledger_service.handoffs import (
    DEADLINE_STEP,
    BrokenSequence,
    Closing,
    CustodyDomain,
    HandOff,
    Opening,
    SignedStep,
    TakenStep,
    release_time,
    verify_sequence,
)
from ledger_service.keys import Signer, keccak, to_hex
from ledger_service.store import Store
from ledger_service.store.tables import (
    anchor,
    custody_batch,
    custody_block,
    custody_certificate,
    custody_request,
    custody_step,
)

STEPS_AT_ONCE = 200
"""How many steps are sent in one block at most."""
HANDOFFS_IN_ONE = 50
"""How many handoffs share a transaction at most: more would hardly cost less each, and fit fewer blocks."""
CERTIFIED_AT_ONCE = 500
MAX_TRIES = 3
MAX_LIFETIME_SECONDS = 400 * 24 * 60 * 60
EXPIRY_MARGIN_SECONDS = 300
_T = TypeVar("_T")
_IDLE_BLOCKS = 256
_SPAN = 2_000  # blocks read at once
_CHUNK = 500  # values in one query

# Measured: a handoff takes 30,000 with its share of a batch, an opening 75,000. What is not used is not paid for.
_GAS = {"open": 200_000, "close": 150_000}
_GAS_OF_A_BATCH, _GAS_OF_A_HANDOFF = 150_000, 70_000
_GAS_OF_A_CERTIFICATE, _GAS_OF_A_UNIT = 80_000, 20_000

WAITING, SENT, TAKEN, REFUSED = "waiting", "sent", "taken", "refused"

# The chain says these of a step that may yet be taken: another one has come first, or has still to come.
_NOT_YET = frozenset({"AlreadyOpened", "UnknownUnit", "WrongSequence"})
_ERRORS_OF_A_STEP = frozenset({"Expired", "NotCustodian", "SelfHandOff", "UnitClosed", "WrongSigner", "ZeroAddress"})


class StepRefused(LedgerError):
    """A step that the chain has not taken and never will; `reason` says why."""

    def __init__(self, unit: bytes, sequence: int, reason: str) -> None:
        super().__init__(f"step {sequence} of unit {to_hex(unit)} can never be taken: {reason}")
        self.unit = unit
        self.sequence = sequence
        self.reason = reason


class UncommonDeadline(LedgerError):
    """A deadline that would tell when an offer was made, is over, or lies too far ahead."""


class RelayFull(LedgerError):
    """Too many steps wait for the chain already, in all or of one sender; try again later."""

    def __init__(self, waiting: int, most: int, whose: str = "") -> None:
        super().__init__(f"{waiting} steps{whose} wait for the chain, more than {most} may not: try again later")
        self.waiting = waiting
        self.most = most


class RelayNotAllowed(LedgerError):
    """The members have not made, or no longer want, this service a relayer; a vote on RelayerAdded mends it."""

    def __init__(self, relayer: bytes) -> None:
        super().__init__(
            f"{to_hex(relayer)} is no relayer of this network: until the members vote it one again, steps wait"
        )
        self.relayer = relayer


class NotYetCertified(LedgerError):
    """The certificate was sent and is not final yet; ask again in a moment."""


class TooManyUnits(LedgerError):
    """More units than one certificate holds."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A step that was given to the relay, and what became of it: `state` is waiting, sent, taken or refused.

    `submitted_at` is ms UTC. It is sent no earlier than `release_at` (s UTC) and once the chain has the step before
    it. `reason` says why it was refused, or what it met when it was last tried.
    """

    step: SignedStep
    state: str
    submitted_at: int
    release_at: int
    reason: str | None = None

    @property
    def unit(self) -> bytes:
        return self.step.unit

    @property
    def sequence(self) -> int:
        return self.step.sequence

    def as_json(self) -> dict[str, Any]:
        """As HTTP tells it; times in ms."""
        value = {
            "releaseAt": self.release_at * 1000,
            "sequence": self.sequence,
            "state": self.state,
            "unit": to_hex(self.unit),
        }
        return value if self.reason is None else value | {"reason": self.reason}


@dataclass(frozen=True, slots=True)
class Queue:
    """How many steps wait for their time, for the step before them, or for the chain; and the oldest of these (ms)."""

    drawn: int
    blocked: int
    due: int
    sent: int
    refused: int
    taken: int
    oldest: int | None


@dataclass(frozen=True, slots=True)
class _Sent:
    """A stored transaction that is under way."""

    number: int
    purpose: str
    transaction: SignedTransaction


class Relaying:
    """The lane from members' completed steps to `CustodyLedger`, with a key and a nonce sequence of its own.

    `interval` and `spread` are seconds: with an `interval` of 1 or less everything is sent at once, with a `spread`
    below it at the next cut. `random` has to be a SystemRandom wherever drawing matters. `steps` is called with the
    name of each durable step as it is taken. All methods may be called from several threads; `now` is ms UTC.
    """

    def __init__(
        self,
        store: Store,
        chain: Chain,
        key: Signer,
        *,
        interval: int,
        spread: int,
        random: Random,
        steps: Callable[[str], None] = lambda _name: None,
        max_waiting: int = 200_000,
        max_of_one: int = 20_000,
    ) -> None:
        """Take up where the store stands; raises ChainBehind or ChainReplaced if the chain has not what it had."""
        identity = chain.identity()
        self.domain = CustodyDomain(identity.chain_id, identity.custody)
        self.interval = interval
        self.spread = spread
        self.last_error: str | None = None
        self._identity = identity
        self._store = store
        self._chain = chain
        self._key = key
        self._random = random
        self._steps = steps
        self._max_waiting = max_waiting
        self._max_of_one = max_of_one
        self._lane = threading.Lock()
        self._door = threading.Lock()
        with store.read() as connection:
            row = connection.execute(sa.select(custody_block)).first()
        # Blocks without steps are noted now and then only: to read them again is cheaper than a write for each.
        self._stored = self._followed = -1 if row is None else row.number
        if row is not None:
            self._require_same_chain(row.number, row.hash)

    @property
    def relayer(self) -> bytes:
        """The address that sends; the members vote it a relayer."""
        return self._key.address

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is sent and nothing is read from the chain inside the block."""
        with self._lane:
            yield

    @property
    def followed(self) -> int:
        """The last block whose steps have been read, -1 before the first."""
        return self._followed

    # -- in ------------------------------------------------------------------------------------------------------------

    def submit(self, steps: Sequence[SignedStep], now: int, sender: bytes | None = None) -> list[Waiting | LedgerError]:
        """Take steps of the member `sender` to the queue, each by itself: how it stands, or why it was not taken.

        Of one sender no more than its share may wait, so that nobody can fill the relay for all.

        Submitting is idempotent: a step that is there already is answered as it stands. Whether a step fits its unit is
        found out when its turn comes. When this returns, what is answered survives a power cut.
        """
        outcomes: dict[bytes, Waiting | LedgerError] = {}
        fresh: list[tuple[bytes, SignedStep]] = []
        hashes = [one.struct_hash for one in steps]
        for struct_hash, one in zip(hashes, steps, strict=True):
            if struct_hash in outcomes:
                continue
            try:
                self._check(one, now)
            except LedgerError as error:
                outcomes[struct_hash] = error
            else:
                fresh.append((struct_hash, one))
                outcomes[struct_hash] = Waiting(one, WAITING, now, self._draw(one, now))
        with self._door, self._store.write() as connection:
            known = _requests(connection, custody_request.c.struct_hash, hashes)
            tips = _tips(connection, {one.unit for _, one in fresh})
            under_way = sa.select(sa.func.count()).where(custody_request.c.state.in_((WAITING, SENT)))
            count = connection.execute(under_way).scalar_one()
            own = 0
            if sender is not None:
                own = connection.execute(under_way.where(custody_request.c.sender == sender)).scalar_one()
            taken = _steps_at(connection, [(one.unit, one.sequence) for _, one in fresh])
            rows: list[dict[str, Any]] = []
            for struct_hash, one in fresh:
                there = known.get(struct_hash)
                if there is not None:
                    outcomes[struct_hash] = _answer(there)
                    continue
                tip, same = tips.get(one.unit), taken.get((one.unit, one.sequence))
                if same is not None and same.struct_hash == struct_hash:
                    outcomes[struct_hash] = Waiting(same.signed, TAKEN, same.time * 1000, same.time)
                    continue
                reason = None if tip is None else _obstacle(one, tip, same)
                if reason is not None:
                    outcomes[struct_hash] = StepRefused(one.unit, one.sequence, reason)
                elif count + len(rows) >= self._max_waiting:
                    outcomes[struct_hash] = RelayFull(count + len(rows), self._max_waiting)
                elif sender is not None and own + len(rows) >= self._max_of_one:
                    outcomes[struct_hash] = RelayFull(own + len(rows), self._max_of_one, " of yours")
                else:
                    made = outcomes[struct_hash]
                    assert isinstance(made, Waiting)
                    rows.append(_request_row(struct_hash, made, sender))
            if rows:
                connection.execute(sa.insert(custody_request), rows)
                self._steps("taking steps")
        if rows:
            self._steps("steps taken")
        return [outcomes[struct_hash] for struct_hash in hashes]

    def _check(self, one: SignedStep, now: int) -> None:
        """Raise unless everybody signed who had to, and the deadline is one that tells nothing."""
        if one.deadline % DEADLINE_STEP:
            raise UncommonDeadline(
                f"deadline {one.deadline} is no multiple of {DEADLINE_STEP} s: only common deadlines hide when an "
                "offer was made"
            )
        if one.deadline * 1000 <= now:
            raise UncommonDeadline(f"its deadline, {one.deadline}, is over: sign it with a new one")
        if one.deadline > now // 1000 + MAX_LIFETIME_SECONDS:
            raise UncommonDeadline(
                f"its deadline, {one.deadline}, is more than {MAX_LIFETIME_SECONDS} s ahead: sign an earlier one"
            )
        if isinstance(one.step, HandOff) and one.step.offer.taker in (one.step.offer.giver, bytes(20)):
            raise StepRefused(one.unit, one.sequence, "it hands the unit to nobody else")
        one.verify(self.domain)

    def _draw(self, one: SignedStep, now: int) -> int:
        """When it is sent, in seconds: at one of the cuts before its deadline, or now where there is none."""
        seconds = now // 1000
        if self.interval <= 1:
            return seconds
        room = (one.deadline - seconds) // self.interval * self.interval
        spread = min(self.spread // self.interval * self.interval or self.interval, room - self.interval)
        if spread < self.interval:
            return seconds
        return release_time(seconds, self.interval, spread, self._random)

    # -- on ------------------------------------------------------------------------------------------------------------

    def run(self, now: int) -> list[TakenStep]:
        """Read what the chain has taken, finish what is under way, and send what is due; the steps newly taken.

        Raises ChainUnavailable where an outcome is unknown, and RelayNotAllowed; calling again is always right.
        """
        with self._lane:
            fresh: list[TakenStep] = []
            try:
                self._follow(fresh)
                self._expire(now)
                sent = self._under_way() or self._make_batch(now)
                if sent:
                    self._bring_home(sent, now, fresh)
            except LedgerError as error:
                self.last_error = str(error)
                if fresh and isinstance(error, ChainUnavailable):
                    return fresh  # they are news all the same; the next round meets the same trouble, or none
                raise
            self.last_error = None
            return fresh

    def _expire(self, now: int) -> None:
        """Set aside what still waited when its deadline passed."""
        late = custody_request.c.deadline_seconds < now // 1000 - EXPIRY_MARGIN_SECONDS
        with self._store.read() as connection:
            row = connection.execute(
                sa.select(custody_request.c.unit).where(custody_request.c.state == WAITING, late).limit(1)
            ).first()
        if row is None:
            return
        with self._store.write() as connection:
            connection.execute(
                sa.update(custody_request)
                .where(custody_request.c.state == WAITING, late)
                .values(state=REFUSED, reason="its deadline passed before the step before it was taken")
            )
            self._steps("setting aside")
        self._steps("set aside")

    def _make_batch(self, now: int) -> list[_Sent]:
        """Store the transactions that bring what is due, and mark it as sent."""
        before = custody_step.alias()
        is_ready = sa.or_(
            custody_request.c.sequence == 0,
            sa.exists().where(
                before.c.unit == custody_request.c.unit, before.c.sequence == custody_request.c.sequence - 1
            ),
        )
        with self._store.read() as connection:
            rows = connection.execute(
                sa.select(custody_request)
                .where(custody_request.c.state == WAITING, custody_request.c.release_seconds <= now // 1000, is_ready)
                .order_by(custody_request.c.release_seconds, custody_request.c.struct_hash)
                .limit(STEPS_AT_ONCE)
            ).all()
        if not rows:
            return []
        if not self._chain.call("isRelayer", [self._key.address]):
            raise RelayNotAllowed(self._key.address)
        calls = self._calls(rows)
        nonce = self._next_nonce()
        made: list[_Sent] = []
        with self._store.write() as connection:
            for offset, (function, arguments, gas, items) in enumerate(calls):
                transaction = self._chain.sign_call(function, arguments, nonce + offset, gas, self._key)
                sent = self._store_batch(connection, "steps", transaction, now)
                connection.execute(
                    sa.update(custody_request)
                    .where(custody_request.c.struct_hash == sa.bindparam("key"))
                    .values(state=SENT, batch=sent.number, item=sa.bindparam("at")),
                    [{"key": row.struct_hash, "at": at} for at, row in enumerate(items)],
                )
                made.append(sent)
            self._steps("batching")
        self._steps("batch stored")
        return made

    def _calls(self, rows: Sequence[Any]) -> list[tuple[str, Sequence[Any], int, Sequence[Any]]]:
        """The calls that bring the requests `rows`, shuffled: function, arguments, gas, and the requests in order."""
        mixed = list(rows)
        self._random.shuffle(mixed)
        calls: list[tuple[str, Sequence[Any], int, Sequence[Any]]] = []
        together: list[tuple[Any, HandOff]] = []
        for row in mixed:
            signed = _signed(row.step)
            step = signed.step
            if isinstance(step, Opening):
                arguments = (step.custodian, step.commitment, step.deadline, signed.signature)
                calls.append(("open", arguments, _GAS["open"], [row]))
            elif isinstance(step, Closing):
                closing = (step.unit, step.sequence, step.statement, step.deadline, signed.signature)
                calls.append(("close", closing, _GAS["close"], [row]))
            elif row.tries:  # it was in a batch that failed whole: perhaps because of it
                calls.append(_hand_off_many([(row, step)]))
            else:
                together.append((row, step))
        starts = range(0, len(together), HANDOFFS_IN_ONE)
        calls += [_hand_off_many(together[at : at + HANDOFFS_IN_ONE]) for at in starts]
        self._random.shuffle(calls)
        return calls

    def _next_nonce(self) -> int:
        with self._store.read() as connection:
            last = connection.execute(
                sa.select(sa.func.max(custody_batch.c.nonce)).where(custody_batch.c.outcome.is_(None))
            ).scalar()
        following = self._chain.next_nonce(self._key.address)
        return following if last is None else max(following, last + 1)

    def _store_batch(self, connection: sa.Connection, purpose: str, transaction: SignedTransaction, now: int) -> _Sent:
        number = (connection.execute(sa.select(sa.func.max(custody_batch.c.number))).scalar() or 0) + 1
        connection.execute(
            sa.insert(custody_batch).values(
                number=number,
                purpose=purpose,
                nonce=transaction.nonce,
                transaction_hash=transaction.hash,
                raw=transaction.raw,
                made_at=now,
            )
        )
        return _Sent(number, purpose, transaction)

    def _under_way(self) -> list[_Sent]:
        """The transactions that are not settled, in the order of their nonces."""
        with self._store.read() as connection:
            rows = connection.execute(
                sa.select(custody_batch)
                .where(custody_batch.c.outcome.is_(None))
                .order_by(custody_batch.c.nonce, custody_batch.c.number)
            ).all()
        return [
            _Sent(
                row.number,
                row.purpose,
                SignedTransaction(row.raw, row.transaction_hash, row.nonce, self._key.address),
            )
            for row in rows
        ]

    def _bring_home(self, sent: Sequence[_Sent], now: int, fresh: list[TakenStep]) -> None:
        """Send what is under way, all of it in order, and settle what can be settled; `fresh` gets the steps taken."""
        self._steps("sending steps")
        outcomes = self._chain.send_many([one.transaction.raw for one in sent])
        self._steps("steps sent")
        self._follow(fresh)
        trouble: LedgerError | None = None
        for one, outcome in zip(sent, outcomes, strict=True):
            try:
                self._settle(one, outcome, now)
            except (ChainUnavailable, RelayNotAllowed) as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble

    def _settle(self, one: _Sent, outcome: ChainError | None, now: int) -> None:
        if isinstance(outcome, ChainUnavailable):
            raise outcome
        if outcome is None:
            if one.purpose == "steps":
                if not self._has_requests(one):
                    self._close(one, "mined")
            else:
                try:
                    evidence = self._chain.anchor_of(one.transaction.hash)
                except TransactionRefused as error:
                    self._fail(one, error, now)
                    return
                if evidence is not None:
                    self._certified(one, evidence)
        elif isinstance(outcome, TransactionUnderpriced):
            self._offer_more(one, outcome, now)
        elif isinstance(outcome, NonceTaken):
            # By a sibling that was given up, or by another program with this key: what it was to bring is tried again
            # where the chain has not taken it.
            self._close(one, reason_of(outcome), release=True)
        elif isinstance(outcome, TransactionRefused):
            self._fail(one, outcome, now)
        else:
            raise outcome

    def _has_requests(self, one: _Sent) -> bool:
        with self._store.read() as connection:
            return (
                connection.execute(
                    sa.select(custody_request.c.item)
                    .where(custody_request.c.batch == one.number, custody_request.c.state == SENT)
                    .limit(1)
                ).first()
                is not None
            )

    def _close(self, one: _Sent, outcome: str, *, release: bool = False) -> None:
        """Note that the transaction is settled; with `release` what it has not brought waits again."""
        with self._store.write() as connection:
            connection.execute(
                sa.update(custody_batch).where(custody_batch.c.number == one.number).values(outcome=outcome)
            )
            if release:
                connection.execute(
                    sa.update(custody_request)
                    .where(custody_request.c.batch == one.number, custody_request.c.state == SENT)
                    .values(state=WAITING, reason=outcome)
                )
            self._steps("settling")
        self._steps("settled")

    def _offer_more(self, one: _Sent, error: TransactionUnderpriced, now: int) -> None:
        """The same call again under the same nonce, with today's fee: the chain takes at most one of the two."""
        again = self._chain.sign_again(one.transaction.raw, self._key)
        if again.hash == one.transaction.hash:
            raise ChainUnavailable(f"the chain refuses the fee that it asks for: {error}") from error
        with self._store.write() as connection:
            connection.execute(
                sa.update(custody_batch).where(custody_batch.c.number == one.number).values(outcome=reason_of(error))
            )
            sent = self._store_batch(connection, one.purpose, again, now)
            for table in (custody_request, custody_certificate):
                connection.execute(sa.update(table).where(table.c.batch == one.number).values(batch=sent.number))
            self._steps("offering more")
        self._steps("more offered")
        raise ChainUnavailable(f"the fee had risen, {error}; the next try offers more") from error

    def _fail(self, one: _Sent, error: TransactionRefused, now: int) -> None:
        """Settle a transaction that failed whole: judge what it was to bring, and see that its number is used."""
        error = self._full_reason(one, error)
        is_used = self._chain.next_nonce(self._key.address) > one.transaction.nonce
        if error.reason == "NotRelayer":
            if is_used:
                self._close(one, reason_of(error), release=True)
            raise RelayNotAllowed(self._key.address)
        if error.reason == "Rejected" and not is_used:
            # Not for what is in it: no funds, say. The same bytes may do once that is mended.
            raise ChainUnavailable(f"the relay's transactions are not taken: {error}") from error
        with self._store.write() as connection:
            rows = connection.execute(
                sa.select(custody_request).where(custody_request.c.batch == one.number, custody_request.c.state == SENT)
            ).all()
            for row in rows:
                tries = row.tries + 1
                is_final = len(rows) == 1 and (error.reason in _ERRORS_OF_A_STEP or tries >= MAX_TRIES)
                connection.execute(
                    sa.update(custody_request)
                    .where(custody_request.c.struct_hash == row.struct_hash)
                    .values(state=REFUSED if is_final else WAITING, tries=tries, reason=reason_of(error))
                )
            connection.execute(
                sa.update(custody_batch).where(custody_batch.c.number == one.number).values(outcome=reason_of(error))
            )
            if not is_used:
                # Those behind it have the numbers after this one: a call that does nothing takes its place.
                filler = self._chain.sign_call("certify", [[]], one.transaction.nonce, _GAS_OF_A_CERTIFICATE, self._key)
                self._store_batch(connection, "nothing", filler, now)
            self._steps("setting aside")
        self._steps("set aside")

    def _full_reason(self, one: _Sent, error: TransactionRefused) -> TransactionRefused:
        """The contract's own error, also of a transaction that was mined before a crash."""
        if error.reason != "Reverted":
            return error
        try:
            self._chain.anchor_of(one.transaction.hash)
        except TransactionRefused as told:
            return told
        return error

    # -- what the chain says -------------------------------------------------------------------------------------------

    def _follow(self, fresh: list[TakenStep]) -> None:
        """Take over the steps of the blocks that have become final, and settle the requests they settle."""
        final = self._chain.final()
        if final.number <= self._followed:
            return
        while self._followed < final.number:
            first = self._followed + 1
            last = min(self._followed + _SPAN, final.number)
            steps = self._chain.custody_steps(first, last)
            refusals = self._chain.custody_refusals(first, last)
            is_last = last == final.number
            block_hash = final.hash if is_last else keccak(self._chain.headers(last, last)[0])
            if steps or refusals or last - self._stored >= _IDLE_BLOCKS:
                self._take_over(steps, refusals, last, block_hash)
                self._stored = last
            self._followed = last
            fresh.extend(steps)

    def _take_over(
        self, steps: Sequence[TakenStep], refusals: Sequence[RefusedHandOff], last: int, block_hash: bytes
    ) -> None:
        by_unit: dict[bytes, list[TakenStep]] = defaultdict(list)
        for one in steps:
            by_unit[one.unit].append(one)
        with self._store.write() as connection:
            tips = _tips(connection, by_unit)
            for unit, of_unit in by_unit.items():
                try:
                    verify_sequence(of_unit, tips.get(unit))
                except BrokenSequence as error:
                    raise ChainUnavailable(f"the node left something out: {error}") from error
            self._insert_steps(connection, steps)
            self._settle_requests(connection, by_unit)
            self._refuse_items(connection, refusals)
            if self._stored < 0:
                connection.execute(sa.insert(custody_block).values(id=1, number=last, hash=block_hash))
            else:
                connection.execute(sa.update(custody_block).values(number=last, hash=block_hash))
            if steps or refusals:
                self._steps("following")
        if steps or refusals:
            self._steps("followed")

    def _insert_steps(self, connection: sa.Connection, steps: Sequence[TakenStep]) -> None:
        if not steps:
            return
        last = connection.execute(sa.select(sa.func.max(custody_step.c.place))).scalar()
        start = 0 if last is None else last + 1
        connection.execute(
            sa.insert(custody_step),
            [
                {
                    "place": place,
                    "unit": one.unit,
                    "sequence": one.sequence,
                    "block": one.block,
                    "struct_hash": one.struct_hash,
                    "step": orjson.dumps(one.as_json()),
                }
                for place, one in enumerate(steps, start)
            ],
        )

    def _settle_requests(self, connection: sa.Connection, by_unit: Mapping[bytes, Sequence[TakenStep]]) -> None:
        """What the steps just taken mean for the requests about their units."""
        changes = []
        for row in _requests(connection, custody_request.c.unit, by_unit).values():
            if row.state not in (WAITING, SENT):
                continue
            steps = by_unit[row.unit]
            same = next((one for one in steps if one.sequence == row.sequence), None)
            if same is not None and same.struct_hash == row.struct_hash:
                changes.append({"key": row.struct_hash, "now": TAKEN, "why": None})
                continue
            reason = _obstacle(_signed(row.step), steps[-1], same)
            if reason is not None:
                changes.append({"key": row.struct_hash, "now": REFUSED, "why": reason})
        if changes:
            connection.execute(
                sa.update(custody_request)
                .where(custody_request.c.struct_hash == sa.bindparam("key"))
                .values(state=sa.bindparam("now"), reason=sa.bindparam("why")),
                changes,
            )

    def _refuse_items(self, connection: sa.Connection, refusals: Sequence[RefusedHandOff]) -> None:
        """What the chain's refusals mean for the requests that were in its batches."""
        for one in refusals:
            row = connection.execute(
                sa.select(custody_request)
                .join(custody_batch, custody_batch.c.number == custody_request.c.batch)
                .where(
                    custody_batch.c.transaction_hash == one.transaction_hash,
                    custody_request.c.item == one.item,
                    custody_request.c.state == SENT,
                )
            ).first()
            if row is None:
                continue  # another relayer's, or settled by the step that was taken in its place
            is_final = one.reason.reason not in _NOT_YET or row.tries + 1 >= MAX_TRIES
            connection.execute(
                sa.update(custody_request)
                .where(custody_request.c.struct_hash == row.struct_hash)
                .values(state=REFUSED if is_final else WAITING, tries=row.tries + 1, reason=reason_of(one.reason))
            )

    def _require_same_chain(self, number: int, block_hash: bytes) -> None:
        found = self._chain.headers(number, number)
        if not found:
            raise ChainBehind(
                f"custody was read up to block {number}, and the chain has not come so far: it was restored from an "
                "older copy; docs/operating.md has the recovery"
            )
        if keccak(found[0]) != block_hash:
            raise ChainReplaced(
                f"block {number}, up to which custody was read, is another block now; docs/operating.md has the "
                "recovery"
            )

    # -- out -----------------------------------------------------------------------------------------------------------

    def taken(self, units: Iterable[bytes]) -> dict[bytes, list[TakenStep]]:
        """The steps that the chain has taken of each of `units`, as far as it was read; [] for one never opened."""
        return taken_steps(self._store, units)

    def taken_since(self, place: int, limit: int = 1000) -> list[tuple[int, TakenStep]]:
        """Steps from `place` on in the order of the chain, each with its place, which is dense from 0."""
        with self._store.read() as connection:
            rows = connection.execute(
                sa.select(custody_step.c.place, custody_step.c.step)
                .where(custody_step.c.place >= place)
                .order_by(custody_step.c.place)
                .limit(limit)
            ).all()
        return [(row.place, TakenStep.read(orjson.loads(row.step))) for row in rows]

    def waiting(self, unit: bytes) -> list[Waiting]:
        """What was given to the relay about `unit`, by number of the step, whatever became of it."""
        with self._store.read() as connection:
            rows = connection.execute(
                sa.select(custody_request)
                .where(custody_request.c.unit == unit)
                .order_by(custody_request.c.sequence, custody_request.c.submitted_at)
            ).all()
        return [_waiting(row) for row in rows]

    def explain(self, one: Waiting, now: int) -> str:
        """What a step waits for, or what became of it, in words."""
        if one.state == TAKEN:
            return "the chain has taken it"
        if one.state == REFUSED:
            return one.reason or "it can never be taken"
        if one.state == SENT:
            return self.last_error or "it was sent, and the chain has not settled it yet"
        if one.sequence:
            with self._store.read() as connection:
                if not _steps_at(connection, [(one.unit, one.sequence - 1)]):
                    return f"it waits until the chain has taken step {one.sequence - 1}"
        if one.release_at * 1000 > now:
            drawn = datetime.fromtimestamp(one.release_at, UTC)
            return f"it was drawn for {drawn:%Y-%m-%d %H:%M} UTC, so that its time tells nothing"
        return self.last_error or "it is due, and sent with the next batch"

    def queue(self, now: int) -> Queue:
        """How many steps stand how, for the operator."""
        before = custody_step.alias()
        with self._store.read() as connection:
            rows = connection.execute(
                sa.select(custody_request.c.state, sa.func.count().label("number")).group_by(custody_request.c.state)
            )
            counted: dict[str, int] = {row.state: row.number for row in rows}
            is_due = custody_request.c.release_seconds <= now // 1000
            ready = sa.or_(
                custody_request.c.sequence == 0,
                sa.exists().where(
                    before.c.unit == custody_request.c.unit, before.c.sequence == custody_request.c.sequence - 1
                ),
            )
            waits = custody_request.c.state == WAITING
            drawn = connection.execute(sa.select(sa.func.count()).where(waits, ~is_due)).scalar_one()
            due, oldest = connection.execute(
                sa.select(sa.func.count(), sa.func.min(custody_request.c.release_seconds)).where(waits, is_due, ready)
            ).one()
        return Queue(
            drawn=drawn,
            blocked=counted.get(WAITING, 0) - drawn - due,
            due=due,
            sent=counted.get(SENT, 0),
            refused=counted.get(REFUSED, 0),
            taken=counted.get(TAKEN, 0),
            oldest=None if oldest is None else oldest * 1000,
        )

    # -- certificates --------------------------------------------------------------------------------------------------

    def certify(self, units: Iterable[bytes], now: int) -> CertificateProof:
        """The proof of where `units` stand, in one transaction, no older than the newest anchor.

        One that was made before is given again while it is no older than that and the units have not moved. Raises
        TooManyUnits, NotYetCertified where the chain takes its time, ChainUnavailable, RelayNotAllowed.
        """
        wanted = tuple(sorted(set(units)))
        if not 0 < len(wanted) <= CERTIFIED_AT_ONCE:
            raise TooManyUnits(f"a certificate is about 1 to {CERTIFIED_AT_ONCE} units, not {len(wanted)}")
        with self._lane:
            fresh: list[TakenStep] = []
            self._follow(fresh)
            found = self._certificate(wanted)
            if found is None:
                if not self._is_certifying(wanted):
                    self._ask_for_certificate(wanted, now)
                self._bring_home(self._under_way(), now, fresh)
                found = self._certificate(wanted)
            if found is None:
                raise NotYetCertified("the certificate was sent and is not final yet: ask again in a moment")
            return found

    def certificates(self, units: Iterable[bytes], now: int) -> list[CertificateProof]:
        """The same for any number of units, in as many transactions as it takes."""
        wanted = sorted(set(units))
        starts = range(0, len(wanted), CERTIFIED_AT_ONCE)
        return [self.certify(wanted[at : at + CERTIFIED_AT_ONCE], now) for at in starts]

    def _certificate(self, units: tuple[bytes, ...]) -> CertificateProof | None:
        """A stored certificate of exactly these units that still holds."""
        with self._store.read() as connection:
            row = connection.execute(
                sa.select(custody_certificate)
                .where(
                    custody_certificate.c.digest == _digest(units),
                    custody_certificate.c.block >= _newest_anchor(connection),
                )
                .order_by(custody_certificate.c.block.desc())
                .limit(1)
            ).first()
            if row is None:
                return None
            tips = _tips(connection, units)
        proof = _proof(row)
        return proof if self._agrees(proof, tips) else None

    def _agrees(self, proof: CertificateProof, tips: Mapping[bytes, TakenStep]) -> bool:
        header = blocks.Header.parse(proof.header, self._consensus)
        receipt = blocks.verify_receipt(header, proof.receipt_index, proof.receipt_proof)
        for unit in proof.units:
            told = blocks.certified_standing(receipt, self._identity.custody, unit)
            tip = tips.get(unit)
            if told.head != (bytes(32) if tip is None else tip.head):
                return False
        return True

    @property
    def _consensus(self) -> blocks.Consensus:
        return blocks.Consensus.QBFT if self._identity.validators else blocks.Consensus.PLAIN

    def _is_certifying(self, units: tuple[bytes, ...]) -> bool:
        with self._store.read() as connection:
            return (
                connection.execute(
                    sa.select(custody_certificate.c.number)
                    .join(custody_batch, custody_batch.c.number == custody_certificate.c.batch)
                    .where(custody_certificate.c.digest == _digest(units), custody_batch.c.outcome.is_(None))
                    .limit(1)
                ).first()
                is not None
            )

    def _ask_for_certificate(self, units: tuple[bytes, ...], now: int) -> None:
        if not self._chain.call("isRelayer", [self._key.address]):
            raise RelayNotAllowed(self._key.address)
        gas = _GAS_OF_A_CERTIFICATE + _GAS_OF_A_UNIT * len(units)
        transaction = self._chain.sign_call("certify", [list(units)], self._next_nonce(), gas, self._key)
        with self._store.write() as connection:
            sent = self._store_batch(connection, "certify", transaction, now)
            number = (connection.execute(sa.select(sa.func.max(custody_certificate.c.number))).scalar() or 0) + 1
            connection.execute(
                sa.insert(custody_certificate).values(
                    number=number, batch=sent.number, digest=_digest(units), units=b"".join(units)
                )
            )
            self._steps("asking for a certificate")
        self._steps("certificate asked for")

    def _certified(self, one: _Sent, evidence: AnchorEvidence) -> None:
        """Store what proves the certificate, once the verifier that a stranger uses is content with it."""
        header = blocks.Header.parse(evidence.header, self._consensus)
        if self._identity.attestor is not None:
            blocks.verify_attestation(
                header.hash, self._identity.chain_id, evidence.attestation or b"", self._identity.attestor
            )
        receipt = blocks.verify_receipt(header, evidence.receipt_index, evidence.receipt_proof)
        with self._store.write() as connection:
            row = connection.execute(
                sa.select(custody_certificate).where(custody_certificate.c.batch == one.number)
            ).first()
            if row is not None:
                for unit in _units(row.units):
                    blocks.certified_standing(receipt, self._identity.custody, unit)
                connection.execute(
                    sa.update(custody_certificate)
                    .where(custody_certificate.c.number == row.number)
                    .values(
                        transaction_hash=evidence.transaction_hash,
                        block=evidence.block_number,
                        header=evidence.header,
                        receipt_index=evidence.receipt_index,
                        receipt_proof=blocks.encode_rlp(evidence.receipt_proof),
                        attestation=evidence.attestation,
                    )
                )
            connection.execute(
                sa.update(custody_batch).where(custody_batch.c.number == one.number).values(outcome="mined")
            )
            self._steps("certifying")
        self._steps("certified")


def _hand_off_many(
    handoffs: Sequence[tuple[Any, HandOff]],
) -> tuple[str, Sequence[Any], int, Sequence[Any]]:
    gas = _GAS_OF_A_BATCH + _GAS_OF_A_HANDOFF * len(handoffs)
    arguments = [[step.arguments for _, step in handoffs], False]
    return ("handOffMany", arguments, gas, [row for row, _ in handoffs])


def _obstacle(one: SignedStep, tip: TakenStep, same: TakenStep | None) -> str | None:
    """Why `one` can never be taken, after the unit came to `tip`; None where it may. `same` is the step that was taken
    under its number.
    """
    if one.sequence <= tip.sequence:
        told = "" if same is None or not isinstance(same.step, HandOff) else f", to {to_hex(same.step.offer.taker)}"
        return f"another step {one.sequence} was taken{'' if same is None else f' in block {same.block}'}{told}"
    if isinstance(tip.step, Closing):
        return f"the unit was closed by step {tip.sequence}"
    custodian = tip.step.offer.taker if isinstance(tip.step, HandOff) else tip.step.custodian
    giver = one.step.offer.giver if isinstance(one.step, HandOff) else one.step.custodian
    if one.sequence == tip.sequence + 1 and giver != custodian:
        return f"the unit is held by {to_hex(custodian)} after step {tip.sequence}, not by {to_hex(giver)}"
    return None


def _requests(connection: sa.Connection, column: sa.Column[Any], values: Iterable[bytes]) -> dict[bytes, Any]:
    """Requests whose `column` has one of `values`, by their struct hash."""
    found: dict[bytes, Any] = {}
    for chunk in _chunks(list(values)):
        for row in connection.execute(sa.select(custody_request).where(column.in_(chunk))):
            found[row.struct_hash] = row
    return found


def _tips(connection: sa.Connection, units: Iterable[bytes]) -> dict[bytes, TakenStep]:
    """The last step taken of each of `units`."""
    found: dict[bytes, TakenStep] = {}
    for chunk in _chunks(list(units)):
        last = (
            sa.select(custody_step.c.unit, sa.func.max(custody_step.c.sequence).label("sequence"))
            .where(custody_step.c.unit.in_(chunk))
            .group_by(custody_step.c.unit)
            .subquery()
        )
        rows = connection.execute(
            sa.select(custody_step.c.unit, custody_step.c.step).join(
                last, sa.and_(custody_step.c.unit == last.c.unit, custody_step.c.sequence == last.c.sequence)
            )
        )
        for row in rows:
            found[row.unit] = TakenStep.read(orjson.loads(row.step))
    return found


def _steps_at(connection: sa.Connection, places: Iterable[tuple[bytes, int]]) -> dict[tuple[bytes, int], TakenStep]:
    """The steps taken of these units under these numbers."""
    found: dict[tuple[bytes, int], TakenStep] = {}
    for chunk in _chunks(list(places)):
        rows = connection.execute(
            sa.select(custody_step.c.unit, custody_step.c.sequence, custody_step.c.step).where(
                sa.tuple_(custody_step.c.unit, custody_step.c.sequence).in_(chunk)
            )
        )
        for row in rows:
            found[row.unit, row.sequence] = TakenStep.read(orjson.loads(row.step))
    return found


def _request_row(struct_hash: bytes, made: Waiting, sender: bytes | None) -> dict[str, Any]:
    return {
        "struct_hash": struct_hash,
        "unit": made.unit,
        "sequence": made.sequence,
        "step": orjson.dumps(made.step.as_json()),
        "deadline_seconds": made.step.deadline,
        "submitted_at": made.submitted_at,
        "sender": sender,
        "release_seconds": made.release_at,
        "state": WAITING,
        "tries": 0,
    }


def _answer(row: Any) -> Waiting | LedgerError:
    """How a step stands that was submitted before."""
    if row.state == REFUSED:
        return StepRefused(row.unit, row.sequence, row.reason or "")
    return _waiting(row)


def _waiting(row: Any) -> Waiting:
    return Waiting(_signed(row.step), row.state, row.submitted_at, row.release_seconds, row.reason)


def _signed(step: bytes) -> SignedStep:
    return SignedStep.read(orjson.loads(step))


def _proof(row: Any) -> CertificateProof:
    nodes = blocks.decode_rlp(row.receipt_proof)
    return CertificateProof(
        units=_units(row.units),
        transaction_hash=row.transaction_hash,
        header=row.header,
        receipt_index=row.receipt_index,
        receipt_proof=tuple(one for one in nodes if isinstance(one, bytes)),
        attestation=row.attestation,
    )


def _newest_anchor(connection: sa.Connection) -> int:
    """The block of the newest anchor, 0 before the first."""
    return connection.execute(sa.select(sa.func.max(anchor.c.block_number))).scalar() or 0


def _digest(units: tuple[bytes, ...]) -> bytes:
    return sha256(b"".join(units)).digest()


def _units(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[at : at + 32] for at in range(0, len(joined), 32))


def taken_steps(store: Store, units: Iterable[bytes]) -> dict[bytes, list[TakenStep]]:
    """The steps that the chain has taken of each of `units`, as far as `store` has read it; [] for one never opened."""
    found: dict[bytes, list[TakenStep]] = {unit: [] for unit in units}
    with store.read() as connection:
        for chunk in _chunks(list(found)):
            rows = connection.execute(
                sa.select(custody_step.c.unit, custody_step.c.step)
                .where(custody_step.c.unit.in_(chunk))
                .order_by(custody_step.c.unit, custody_step.c.sequence)
            )
            for row in rows:
                found[row.unit].append(TakenStep.read(orjson.loads(row.step)))
    return found


def _chunks(values: Sequence[_T]) -> Iterable[Sequence[_T]]:
    return (values[at : at + _CHUNK] for at in range(0, len(values), _CHUNK))
