"""The ledger: one door for every statement, and what can be had back from it.

A statement is *registered* when it is on disk and its call was answered with a signed promise, *checkpointed* when a
checkpoint covers it, *anchored* when the chain has taken that checkpoint and the proof of it is on disk. Nothing is
ever reported further along than that.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service import envelope as envelopes
from ledger_service import facts, merkle
from ledger_service.anchoring import Anchored, Anchoring
from ledger_service.chain.port import Chain
from ledger_service.checkpoint import Note, NoteKey, VerifierKey, promise_text
from ledger_service.envelope import Envelope, Examined, Refusal
from ledger_service.errors import LedgerError, ProofError
from ledger_service.evidence import void_reason
from ledger_service.keys import Signer, to_hex
from ledger_service.membership import KeyNotValid, Membership, MemberState
from ledger_service.statements import Domain, Header, UnknownKind, log_entry, purpose_of
from ledger_service.store import Store, insert_rows
from ledger_service.store.tables import anchor, content, fork, reader, statement, stream, tile

SCAN = 50_000
"""How many log entries one query looks through for those that a member may see."""


class UnknownStatement(LedgerError):
    """No such statement is registered here, or the reader may not know of it."""


class StatementConflict(LedgerError):
    """The number is taken in its stream by another statement. Both envelopes are kept as a stream fork."""

    def __init__(self, stream_id: bytes, sequence: int, taken_by: bytes) -> None:
        super().__init__(
            f"number {sequence} of stream {to_hex(stream_id)} is taken by statement {to_hex(taken_by)}: "
            "sign this content under the next free number"
        )
        self.sequence = sequence
        self.taken_by = taken_by


class StreamMismatch(LedgerError):
    """A stream has one issuer and one audience for ever; this statement has another."""


class UnknownMember(LedgerError):
    """An id that is no member's of this network."""


class FromTheFuture(LedgerError):
    """A statement that says it was issued later than the clock here allows."""


class BacklogFull(LedgerError):
    """More statements wait for the chain than the operator allows; try again after `retry_after_seconds`."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(
            f"{waiting} statements wait to be anchored, the limit is {limit}: nothing was taken, send again later"
        )
        self.retry_after_seconds = 5


class CallRefused(LedgerError):
    """An all-or-nothing call of which nothing was kept; `refusals` says why, item by item."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        first = refusals[0]
        super().__init__(f"nothing was registered: item {first.item}: {first.error}")
        self.refusals = list(refusals)


class State(StrEnum):
    """How far a statement has come."""

    REGISTERED = "registered"
    CHECKPOINTED = "checkpointed"
    ANCHORED = "anchored"


@dataclass(frozen=True, slots=True)
class Rules:
    """What this operator allows. Times in ms."""

    clock_tolerance: int = 300_000
    max_backlog: int = 200_000
    max_checkpoint_entries: int = 50_000
    stream_gap_after: int = 86_400_000


@dataclass(frozen=True, slots=True)
class Call:
    """Statements that arrived together, examined or already refused, in the order they came.

    With `keep_good` the good ones are registered and each other one has its reason; otherwise all are or none is.
    """

    items: Sequence[Examined | LedgerError]
    keep_good: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """One statement of a call as it stands in the ledger; `is_new` is false for one that was there before."""

    item: int
    digest: bytes
    registered_at: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class Registration:
    """The answer to a call. `promise` is a signed note over the leaves of `accepted`, in order (docs/formats.md)."""

    accepted: list[Accepted]
    refused: list[Refusal]
    promise: Note | None


@dataclass(frozen=True, slots=True)
class Record:
    """A registered statement as it is stored, without its content."""

    position: int
    digest: bytes
    header: Header
    signature: bytes
    signer: bytes
    registered_at: int

    @property
    def leaf(self) -> bytes:
        return log_entry(self.digest, self.signature, self.registered_at)


@dataclass(frozen=True, slots=True)
class StreamView:
    """A stream as it stands: whose it is, for whom, its highest number and how many of its numbers are registered.

    `audience` is None while only headers came.
    """

    id: bytes
    issuer: bytes
    audience: tuple[bytes, ...] | None
    highest: int
    registered: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers first…last of a stream that are missing though a later one is there, which came at `since` (ms)."""

    first: int
    last: int
    since: int


@dataclass(frozen=True, slots=True)
class Fork:
    """A second statement signed for a number already taken, noted at `noted_at` (ms); `envelope` is its JSON."""

    digest: bytes
    record: Record
    envelope: bytes
    noted_at: int


@dataclass(frozen=True, slots=True)
class AnchorPlace:
    """Where a statement was anchored: the size of the checkpoint, and the block with its time (ms)."""

    size: int
    block_number: int
    anchored_at: int


@dataclass
class _Stream:
    """A stream while a transaction changes it."""

    issuer: bytes
    audience: bytes | None
    highest: int
    registered: int
    is_new: bool = False
    is_changed: bool = False
    gained_audience: bool = False


@dataclass
class _Batch:
    """What a transaction is about to add."""

    streams: dict[bytes, _Stream]
    taken: dict[tuple[bytes, int], tuple[bytes, bytes, int]]
    rows: list[Examined] = field(default_factory=list)
    forks: list[tuple[Examined, int]] = field(default_factory=list)


def examine(items: Sequence[bytes], domain: Domain, now: int) -> list[Examined | LedgerError]:
    """What each envelope is or why it is refused: all of registration that needs no ledger.

    Takes and gives plain values, so that a pool of processes can do it.
    """
    results: list[Examined | LedgerError] = []
    for data in items:
        try:
            results.append(envelopes.examine(data, domain, lambda kind, value: facts.check(kind, value, now)))
        except LedgerError as error:
            results.append(error)
    return results


def no_step(_name: str) -> None:
    """The observer that watches nothing."""


class Ledger:
    """One origin's ledger over a store and a chain.

    All methods may be called from several threads; registration and publication each have one lane. `steps` is called
    with the name of each durable step as it is taken, for metrics and for those who want to see the power fail there.
    """

    def __init__(
        self,
        store: Store,
        chain: Chain,
        *,
        origin: str,
        log_key: NoteKey,
        operator: Signer,
        rules: Rules = Rules(),
        steps: Callable[[str], None] = no_step,
    ) -> None:
        self.origin = origin
        self.rules = rules
        self.log_key = log_key
        self.store = store
        self._steps = steps
        self._door = threading.Lock()
        self.anchoring = Anchoring(store, chain, origin, log_key, operator, rules.max_checkpoint_entries, steps)
        identity = self.anchoring.identity
        self.domain = Domain(identity.chain_id, identity.registry)
        with store.read() as connection:
            last = connection.execute(
                sa.select(statement.c.position, statement.c.registered_at)
                .order_by(statement.c.position.desc())
                .limit(1)
            ).first()
        self._size = last.position + 1 if last else 0
        self._last_time = last.registered_at if last else 0

    # -- in ------------------------------------------------------------------------------------------------------------

    def register(self, call: Call, now: int) -> Registration:
        """Register one call; see `register_all`. Raises what became of it if nothing was kept."""
        outcome = self.register_all([call], now)[0]
        if isinstance(outcome, LedgerError):
            raise outcome
        return outcome

    def register_all(self, calls: Sequence[Call], now: int) -> list[Registration | LedgerError]:
        """Register several calls in one durable transaction at `now` (ms UTC); a call that fails does not touch the
        others.

        Registering is idempotent by digest: what is already there is answered as the first time. Each outcome is a
        Registration, or CallRefused, or BacklogFull. When this returns, what is answered survives a power cut.
        """
        with self._door:
            waiting = self._size - self.anchoring.anchored_size
            if waiting >= self.rules.max_backlog:
                return [BacklogFull(waiting, self.rules.max_backlog)] * len(calls)
            registered_at = max(now, self._last_time)
            membership, block = self.anchoring.membership, self.anchoring.next_block
            judge = _Judge(membership, block, now + self.rules.clock_tolerance)
            with self.store.write() as connection:
                batch = _load(connection, [one for call in calls for one in call.items if isinstance(one, Examined)])
                accepted = [self._take(call, batch, judge, registered_at) for call in calls]
                _insert(connection, batch, self._size, registered_at)
                self._steps("registering")
            self._size += len(batch.rows)
            self._last_time = registered_at
            self._steps("registered")
            return [self._promised(call, outcome, batch) for call, outcome in zip(calls, accepted, strict=True)]

    def _take(
        self, call: Call, batch: _Batch, judge: "_Judge", now: int
    ) -> tuple[list[Accepted], list[Refusal]] | LedgerError:
        accepted: list[Accepted] = []
        refused: list[Refusal] = []
        undo = _Undo(batch)
        for index, item in enumerate(call.items):
            try:
                if isinstance(item, LedgerError):
                    raise item
                accepted.append(_take_one(index, item, batch, judge, now, undo))
            except LedgerError as error:
                refused.append(Refusal(index, error))
        if refused and not call.keep_good:
            undo.run()
            return CallRefused(refused)
        return accepted, refused

    def _promised(
        self, call: Call, outcome: tuple[list[Accepted], list[Refusal]] | LedgerError, batch: _Batch
    ) -> Registration | LedgerError:
        if isinstance(outcome, LedgerError):
            return outcome
        accepted, refused = outcome
        if not accepted:
            return Registration([], refused, None)
        leaves = []
        for one in accepted:
            item = call.items[one.item]
            assert isinstance(item, Examined)
            signature = batch.taken[item.stream, item.sequence][1]
            leaves.append(merkle.leaf_hash(log_entry(one.digest, signature, one.registered_at)))
        latest = max(one.registered_at for one in accepted)
        text = promise_text(self.origin, latest, len(leaves), merkle.root(leaves))
        return Registration(accepted, refused, Note(text, (self.log_key.sign(text),)))

    # -- on ------------------------------------------------------------------------------------------------------------

    def publish(self, now: int) -> Anchored | None:
        """Bring what is registered one checkpoint further, or finish the one under way; None when all is anchored.

        Raises ChainUnavailable when the outcome is unknown, and AnchorRefused when the chain will not have it; calling
        again is always right.
        """
        return self.anchoring.publish(now)

    def cosign(self, size: int, line: str, witnesses: Iterable[VerifierKey], now: int) -> None:
        """Keep a witness's cosignature of the checkpoint of `size`; raises unless one of `witnesses` made it."""
        self.anchoring.cosign(size, line, witnesses, now)

    # -- out -----------------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many statements are registered."""
        return self._size

    @property
    def waiting(self) -> int:
        """How many statements are registered and not anchored."""
        return self._size - self.anchoring.anchored_size

    def state(self, position: int) -> State:
        """How far the statement at `position` has come."""
        if position < self.anchoring.anchored_size:
            return State.ANCHORED
        return State.CHECKPOINTED if position < self.anchoring.checkpoint_size else State.REGISTERED

    def void(self, record: Record) -> str | None:
        """Why an anchored statement counts for nothing, as "key revoked before anchor"; None for one that counts.

        It keeps its number; its issuer says it again under the next free one, with `replaces` in the content.
        """
        if not self._may_be_void(record):
            return None
        place = self.anchor_places([record.position]).get(record.position)
        if place is None:
            return None
        return void_reason(self.anchoring.membership, record.signer, record.header, place.block_number)

    def _may_be_void(self, record: Record) -> bool:
        """Whether anything ever happened to the key or to its member; for nearly all, nothing did."""
        membership = self.anchoring.membership
        key, member = membership.keys.get(record.signer), membership.members.get(record.header.issuer)
        return key is None or member is None or key.end_block is not None or len(member.states) > 1

    def record(self, digest: bytes) -> Record:
        """The registered statement with this digest; raises UnknownStatement."""
        with self.store.read() as connection:
            row = connection.execute(sa.select(statement).where(statement.c.digest == digest)).first()
        if row is None:
            raise UnknownStatement(f"no statement {to_hex(digest)} is registered here")
        return record_of(row)

    def envelope(self, record: Record) -> tuple[Envelope, int | None]:
        """The envelope of a statement as far as it is held here, and when it was erased (ms), if it was."""
        with self.store.read() as connection:
            row = connection.execute(sa.select(content).where(content.c.position == record.position)).first()
        if row is None or row.content is None:
            return Envelope(record.header, record.signature), row.erased_at if row else None
        return Envelope(record.header, record.signature, orjson.loads(row.content), row.secret, row.original), None

    def readers(self, stream_id: bytes) -> frozenset[bytes]:
        """The members who may see a stream: its issuer and its audience; empty for an unknown stream."""
        with self.store.read() as connection:
            rows = connection.execute(sa.select(reader.c.member).where(reader.c.stream == stream_id))
            return frozenset(row.member for row in rows)

    def find(self, stream_id: bytes, sequence: int) -> Record | None:
        """The statement that holds a number of a stream, if one does."""
        with self.store.read() as connection:
            row = connection.execute(
                sa.select(statement).where(statement.c.stream == stream_id, statement.c.sequence == sequence)
            ).first()
        return None if row is None else record_of(row)

    def registered_at(self, position: int) -> int | None:
        """When the statement at `position` was registered (ms), None where there is none."""
        with self.store.read() as connection:
            time: int | None = connection.execute(
                sa.select(statement.c.registered_at).where(statement.c.position == position)
            ).scalar()
        return time

    def page(self, member: bytes, start: int, limit: int, stream_id: bytes | None = None) -> tuple[list[Record], int]:
        """Up to `limit` statements that `member` may see, from position `start` on in the order of registration.

        The second value is where the next page starts: everything before it has been looked through.
        """
        end = self._size
        may_see = sa.exists().where(reader.c.member == member, reader.c.stream == statement.c.stream)
        found: list[Record] = []
        with self.store.read() as connection:
            while start < end and len(found) < limit:
                query = sa.select(statement).where(may_see, statement.c.position >= start)
                if stream_id is not None:
                    query, stop = query.where(statement.c.stream == stream_id, statement.c.position < end), end
                else:
                    # A look through a part of the log at a time: no query takes long, whoever sees how little.
                    stop = min(start + SCAN, end)
                    query = query.where(statement.c.position < stop)
                query = query.order_by(statement.c.position).limit(limit - len(found))
                found += [record_of(row) for row in connection.execute(query)]
                start = stop if len(found) < limit else found[-1].position + 1
        return found, start

    def anchor_places(self, positions: Iterable[int]) -> dict[int, AnchorPlace]:
        """Where each of these positions was first anchored; those that wait are left out."""
        places: dict[int, AnchorPlace] = {}
        last: tuple[int, AnchorPlace] | None = None
        with self.store.read() as connection:
            for position in sorted(set(positions)):
                if last is None or not last[0] <= position < last[1].size:
                    row = connection.execute(
                        sa.select(anchor).where(anchor.c.size > position).order_by(anchor.c.size).limit(1)
                    ).first()
                    if row is None:
                        break
                    place = AnchorPlace(row.size, row.block_number, row.block_time_seconds * 1000)
                    last = (row.previous_size, place)
                places[position] = last[1]
        return places

    def anchors(self, after_size: int, limit: int) -> list[AnchorPlace]:
        """The anchors of checkpoints larger than `after_size`, oldest first."""
        query = sa.select(anchor).where(anchor.c.size > after_size).order_by(anchor.c.size).limit(limit)
        with self.store.read() as connection:
            rows = connection.execute(query).all()
        return [AnchorPlace(row.size, row.block_number, row.block_time_seconds * 1000) for row in rows]

    def stream(self, stream_id: bytes) -> StreamView:
        """The stream with this id; raises UnknownStatement."""
        with self.store.read() as connection:
            row = connection.execute(sa.select(stream).where(stream.c.id == stream_id)).first()
        if row is None:
            raise UnknownStatement(f"no stream {to_hex(stream_id)} is known here")
        return _view(row)

    def streams_of(self, member: bytes, after: bytes, limit: int, *, broken: bool = False) -> list[StreamView]:
        """The streams that `member` may see, by id, those after `after`; with `broken` only those that miss a
        number.
        """
        query = (
            sa.select(stream)
            .join(reader, reader.c.stream == stream.c.id)
            .where(reader.c.member == member, reader.c.stream > after)
            .order_by(reader.c.stream)
            .limit(limit)
        )
        if broken:
            query = query.where(stream.c.registered < stream.c.highest)
        with self.store.read() as connection:
            return [_view(row) for row in connection.execute(query)]

    def holes(self, stream_id: bytes, limit: int = 100) -> list[Hole]:
        """The first `limit` runs of numbers that a stream misses."""
        before = sa.func.lag(statement.c.sequence, 1, 0).over(order_by=statement.c.sequence).label("before")
        numbers = (
            sa.select(statement.c.sequence, statement.c.registered_at, before)
            .where(statement.c.stream == stream_id)
            .subquery()
        )
        query = (
            sa.select(numbers)
            .where(numbers.c.sequence > numbers.c.before + 1)
            .order_by(numbers.c.sequence)
            .limit(limit)
        )
        with self.store.read() as connection:
            return [Hole(row.before + 1, row.sequence - 1, row.registered_at) for row in connection.execute(query)]

    def forks(self, member: bytes, *, stream_id: bytes | None = None, sequence: int | None = None) -> list[Fork]:
        """The stream forks that `member` may see, at most 500, oldest first."""
        query = (
            sa.select(statement, fork.c.digest.label("second"), fork.c.envelope, fork.c.noted_at)
            .join(fork, fork.c.position == statement.c.position)
            .join(reader, reader.c.stream == statement.c.stream)
            .where(reader.c.member == member)
            .order_by(fork.c.noted_at)
            .limit(500)
        )
        if stream_id is not None:
            query = query.where(statement.c.stream == stream_id)
        if sequence is not None:
            query = query.where(statement.c.sequence == sequence)
        with self.store.read() as connection:
            rows = connection.execute(query).all()
        return [Fork(row.second, record_of(row), row.envelope, row.noted_at) for row in rows]

    def fork_of(self, digest: bytes) -> Fork | None:
        """The refused second statement with this digest, if it was kept as evidence."""
        query = sa.select(statement, fork.c.envelope, fork.c.noted_at).join(
            fork, fork.c.position == statement.c.position
        )
        with self.store.read() as connection:
            row = connection.execute(query.where(fork.c.digest == digest)).first()
        return None if row is None else Fork(digest, record_of(row), row.envelope, row.noted_at)

    def overtaken(self, member: bytes) -> list[tuple[Record, str]]:
        """Statements `member` may see whose key had ended by the block that anchored them, or will have, and why.

        They were registered before the end was known here; they keep their numbers and are issued again. Only the
        checkpoints under way when a key ended can hold any, so only those are looked at.
        """
        membership, next_block = self.anchoring.membership, self.anchoring.next_block
        ends: list[tuple[int, sa.ColumnElement[bool]]] = [
            (key.end_block, statement.c.signer == key.address)
            for key in membership.keys.values()
            if key.end_block is not None and key.end_block <= next_block
        ]
        ends += [
            (block, statement.c.issuer == one.id)
            for one in membership.members.values()
            for block, state in one.states
            if state is not MemberState.ACTIVE
        ]
        found: dict[int, Record] = {}
        may_see = sa.exists().where(reader.c.member == member, reader.c.stream == statement.c.stream)
        with self.store.read() as connection:
            for block, whose in ends:
                start = connection.execute(
                    sa.select(sa.func.min(anchor.c.previous_size)).where(anchor.c.block_number >= block)
                ).scalar()
                start = self.anchoring.anchored_size if start is None else start
                stop = start + 2 * self.rules.max_checkpoint_entries
                query = sa.select(statement).where(statement.c.position >= start, statement.c.position < stop)
                rows = connection.execute(query.where(whose, may_see).order_by(statement.c.position).limit(500))
                found |= {row.position: record_of(row) for row in rows}
        places = self.anchor_places(found)
        verdicts: list[tuple[Record, str]] = []
        for position, record in sorted(found.items()):
            at = places[position].block_number if position in places else next_block
            reason = void_reason(membership, record.signer, record.header, at)
            if reason is not None:
                verdicts.append((record, reason))
        return verdicts

    def inclusion(self, position: int, size: int) -> list[bytes]:
        """The path of an entry under the checkpoint of `size`; raises ProofError beyond the last checkpoint."""
        self._require_covered(size)
        return merkle.inclusion_path(self.anchoring.tree.node, position, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The path from the tree of `old` to that of `new` entries; raises ProofError beyond the last checkpoint."""
        self._require_covered(new)
        return merkle.consistency_path(self.anchoring.tree.node, old, new)

    def _require_covered(self, size: int) -> None:
        if size > self.anchoring.checkpoint_size:
            raise ProofError(f"the last checkpoint has {self.anchoring.checkpoint_size} statements, asked was {size}")

    def tile(self, level: int, place: int, width: int) -> bytes:
        """The first `width` hashes of a tile of the log as the last checkpoint has it, fewer where it has fewer."""
        held = min(max((self.anchoring.checkpoint_size >> (8 * level)) - 256 * place, 0), width)
        if not held:
            return b""
        query = sa.select(tile.c.hashes).where(tile.c.level == level, tile.c.place == place)
        with self.store.read() as connection:
            hashes: bytes = connection.execute(query).scalar() or b""
        return hashes[: held * merkle.HASH_BYTES]

    def leaves(self, start: int, count: int) -> list[bytes]:
        """The log entries from `start` on, at most `count`."""
        query = (
            sa.select(statement.c.digest, statement.c.signature, statement.c.registered_at)
            .where(statement.c.position >= start, statement.c.position < start + count)
            .order_by(statement.c.position)
        )
        with self.store.read() as connection:
            return [log_entry(row.digest, row.signature, row.registered_at) for row in connection.execute(query)]

    def erase(self, digest: bytes, now: int) -> None:
        """Delete the content and secret of a statement for good; its place and every proof stand.

        Of a statement that is kept as evidence of a fork, header and signature stay, which show the fork.
        """
        with self.store.write() as connection:
            kept = connection.execute(sa.select(fork.c.envelope).where(fork.c.digest == digest)).scalar()
            if kept is not None:
                bare = replace(Envelope.parse(kept), content=None, secret=None, original=None)
                connection.execute(sa.update(fork).where(fork.c.digest == digest).values(envelope=bare.data))
        if kept is not None:
            self._steps("fork erased")
            return
        record = self.record(digest)
        with self.store.write() as connection:
            connection.execute(
                sa.update(content)
                .where(content.c.position == record.position, content.c.erased_at.is_(None))
                .values(content=None, secret=None, original=None, erased_at=now)
            )
            self._steps("erasing")
        self._steps("erased")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is registered and nothing published inside the block: for a backup of ledger and chain as one
        pair.
        """
        with self._door, self.anchoring.lane:
            yield

    def close(self) -> None:
        self.store.close()
        self.anchoring.close()


class _Judge:
    """Whether an examined statement may be registered now, each signer and audience asked about once."""

    def __init__(self, membership: Membership, block: int, latest_issue: int) -> None:
        self._membership = membership
        self._block = block
        self._latest_issue = latest_issue
        self._verdicts: dict[tuple[bytes, bytes, str], LedgerError | None] = {}

    def check(self, item: Examined) -> None:
        key = item.signer, item.issuer, item.kind
        if key not in self._verdicts:
            self._verdicts[key] = self._verdict(item)
        verdict = self._verdicts[key]
        if verdict is not None:
            raise verdict
        if item.issued_at > self._latest_issue:
            raise FromTheFuture(
                f"issued at {item.issued_at} ms, which is later than the ledger's clock and its tolerance allow: "
                "set the clock right"
            )

    def check_audience(self, audience: Iterable[bytes]) -> None:
        for member in audience:
            if member not in self._membership.members:
                raise UnknownMember(f"{to_hex(member)} in /content/to is no member of this network")

    def _verdict(self, item: Examined) -> LedgerError | None:
        try:
            self._membership.check_signer(item.signer, item.issuer, purpose_of(item.kind), self._block)
        except (KeyNotValid, UnknownKind) as error:
            return error
        return None


class _Undo:
    """How to take a call back out of a batch."""

    def __init__(self, batch: _Batch) -> None:
        self._batch = batch
        self._rows = len(batch.rows)
        self._streams: dict[bytes, _Stream | None] = {}
        self._taken: list[tuple[bytes, int]] = []

    def remember_stream(self, stream_id: bytes) -> None:
        if stream_id not in self._streams:
            known = self._batch.streams.get(stream_id)
            self._streams[stream_id] = replace(known) if known else None

    def remember_number(self, stream_id: bytes, sequence: int) -> None:
        self._taken.append((stream_id, sequence))

    def run(self) -> None:
        del self._batch.rows[self._rows :]
        for key in self._taken:
            del self._batch.taken[key]
        for stream_id, before in self._streams.items():
            if before is None:
                self._batch.streams.pop(stream_id, None)
            else:
                self._batch.streams[stream_id] = before


def _take_one(index: int, item: Examined, batch: _Batch, judge: _Judge, now: int, undo: _Undo) -> Accepted:
    known = batch.taken.get((item.stream, item.sequence))
    if known is not None:
        digest, _signature, registered_at = known
        if digest == item.digest:
            return Accepted(index, digest, registered_at, is_new=False)
    judge.check(item)
    place = batch.streams.get(item.stream)
    if place is not None and place.issuer != item.issuer:
        raise StreamMismatch(f"stream {to_hex(item.stream)} belongs to another issuer: choose a fresh random stream id")
    if known is not None:
        # Judged first: only the issuer's own second word on a number is evidence of a fork.
        batch.forks.append((item, now))
        raise StatementConflict(item.stream, item.sequence, known[0])
    joined = None if item.audience is None else b"".join(item.audience)
    undo.remember_stream(item.stream)
    if place is None:
        place = _Stream(item.issuer, None, 0, 0, is_new=True)
    if joined is not None and place.audience is None:
        judge.check_audience(item.audience or ())
        place.audience, place.gained_audience = joined, True
    elif joined is not None and place.audience != joined:
        raise StreamMismatch(
            f"stream {to_hex(item.stream)} has another audience in /content/to: a stream has one, "
            "open another stream for this one"
        )
    place.highest = max(place.highest, item.sequence)
    place.registered += 1
    place.is_changed = True
    batch.streams[item.stream] = place
    batch.rows.append(item)
    batch.taken[item.stream, item.sequence] = (item.digest, item.signature, now)
    undo.remember_number(item.stream, item.sequence)
    return Accepted(index, item.digest, now, is_new=True)


def _load(connection: sa.Connection, items: Sequence[Examined]) -> _Batch:
    """The streams these statements name, and who holds those of their numbers that could be taken."""
    wanted: dict[bytes, list[int]] = {}
    for item in items:
        wanted.setdefault(item.stream, []).append(item.sequence)
    streams: dict[bytes, _Stream] = {}
    for ids in _chunks(list(wanted)):
        for row in connection.execute(sa.select(stream).where(stream.c.id.in_(ids))):
            streams[row.id] = _Stream(row.issuer, row.audience, row.highest, row.registered)
    taken: dict[tuple[bytes, int], tuple[bytes, bytes, int]] = {}
    for stream_id, place in streams.items():
        # Numbers beyond the highest are free: a stream that only grows costs no look-up here.
        for numbers in _chunks([number for number in wanted[stream_id] if number <= place.highest]):
            for row in connection.execute(
                sa.select(
                    statement.c.sequence, statement.c.digest, statement.c.signature, statement.c.registered_at
                ).where(statement.c.stream == stream_id, statement.c.sequence.in_(numbers))
            ):
                taken[stream_id, row.sequence] = (row.digest, row.signature, row.registered_at)
    return _Batch(streams, taken)


_STATEMENT_COLUMNS = (
    "position",
    "digest",
    "issuer",
    "kind",
    "stream",
    "sequence",
    "issued_at",
    "content_root",
    "signature",
    "signer",
    "registered_at",
)
_CONTENT_COLUMNS = ("position", "content", "secret", "original")


def _insert(connection: sa.Connection, batch: _Batch, position: int, now: int) -> None:
    changed = {key: place for key, place in batch.streams.items() if place.is_changed}
    fresh = [key for key, place in changed.items() if place.is_new]
    if fresh:
        connection.execute(
            sa.insert(stream),
            [
                {"id": key, "issuer": changed[key].issuer, "audience": changed[key].audience, "highest":
                changed[key].highest,
                 "registered": changed[key].registered}
                for key in fresh
            ],
        )  # fmt: skip
    grown = [key for key, place in changed.items() if not place.is_new]
    if grown:
        connection.execute(
            sa.update(stream)
            .where(stream.c.id == sa.bindparam("key"))
            .values(highest=sa.bindparam("top"), registered=sa.bindparam("number"), audience=sa.bindparam("members")),
            [
                {
                    "key": key,
                    "top": changed[key].highest,
                    "number": changed[key].registered,
                    "members": changed[key].audience,
                }
                for key in grown
            ],
        )
    members = [{"member": changed[key].issuer, "stream": key} for key in fresh]
    for key, place in changed.items():
        if place.gained_audience and place.audience:
            others = {place.audience[at : at + 32] for at in range(0, len(place.audience), 32)} - {place.issuer}
            members.extend({"member": member, "stream": key} for member in sorted(others))
    if members:
        connection.execute(sa.insert(reader), members)
    if batch.rows:
        rows = [
            (
                place,
                item.digest,
                item.issuer,
                item.kind,
                item.stream,
                item.sequence,
                item.issued_at,
                item.content_root,
                item.signature,
                item.signer,
                now,
            )
            for place, item in enumerate(batch.rows, position)
        ]
        insert_rows(connection, statement, _STATEMENT_COLUMNS, rows)
        held = [
            (place, item.content, item.secret, item.original)
            for place, item in enumerate(batch.rows, position)
            if item.content is not None
        ]
        if held:
            insert_rows(connection, content, _CONTENT_COLUMNS, held)
    for item, noted_at in batch.forks:
        # Not itself: where a call was refused whole, a later one of the same transaction may have brought it.
        holder = connection.execute(
            sa.select(statement.c.position).where(
                statement.c.stream == item.stream,
                statement.c.sequence == item.sequence,
                statement.c.digest != item.digest,
            )
        ).scalar()
        is_kept = connection.execute(sa.select(fork.c.digest).where(fork.c.digest == item.digest)).first()
        if holder is not None and is_kept is None:
            value = None if item.content is None else orjson.loads(item.content)
            envelope = Envelope(item.header, item.signature, value, item.secret, item.original)
            connection.execute(
                sa.insert(fork).values(digest=item.digest, position=holder, envelope=envelope.data, noted_at=noted_at)
            )


def record_of(row: Any) -> Record:
    """The record in a row of the statement table."""
    header = Header(row.issuer, row.kind, row.stream, row.sequence, row.issued_at, row.content_root)
    return Record(row.position, row.digest, header, row.signature, row.signer, row.registered_at)


def _view(row: Any) -> StreamView:
    audience = row.audience
    members = None if audience is None else tuple(audience[at : at + 32] for at in range(0, len(audience), 32))
    return StreamView(row.id, row.issuer, members, row.highest, row.registered)


def _chunks(values: Sequence[Any], size: int = 500) -> Iterable[Sequence[Any]]:
    for at in range(0, len(values), size):
        yield values[at : at + size]
