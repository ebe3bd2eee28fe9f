"""The ledger: one door for every statement, and what can be had back from it.

A statement is *registered* when it is on disk and its call was answered with a signed promise, *checkpointed* when a
checkpoint covers it, *anchored* when the chain has taken that checkpoint and the proof of it is on disk. Nothing is
ever reported further along than that.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service import envelope as envelopes
from ledger_service import facts, merkle
from ledger_service.anchoring import Anchored, Anchoring
from ledger_service.batch import Accepted, Batch, Judge, Undo
from ledger_service.chain.port import Chain
from ledger_service.checkpoint import Note, NoteKey, VerifierKey, promise_text
from ledger_service.custody.facts import fact_of
from ledger_service.custody.packing import impossible, packing_of
from ledger_service.custody.policy import Policy, Resolution, resolution_in_force
from ledger_service.envelope import Envelope, Examined, Refusal
from ledger_service.errors import LedgerError, ProofError
from ledger_service.evidence import void_reason
from ledger_service.keys import Signer, to_hex
from ledger_service.membership import Kind, MemberState
from ledger_service.sight import Sight
from ledger_service.statements import Domain, Header, log_entry
from ledger_service.store import Store
from ledger_service.store.forgetting import forget
from ledger_service.store.tables import (
    anchor,
    audit_grant,
    audit_reader,
    audit_scope,
    content,
    fork,
    reader,
    statement,
    stream,
    tile,
)

SCAN = 50_000
"""How many log entries one query looks through for those that a member may see."""


MAX_GRANTS = 1000
"""Grants in force for one reader that are looked at, the newest."""


class UnknownStatement(LedgerError):
    """No such statement is registered here, or the reader may not know of it."""


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
class Registration:
    """The answer to a call. `promise` is a signed note over the leaves of `accepted`, in order (docs/formats.md).

    `kinds` are those of the statements that are new.
    """

    accepted: list[Accepted]
    refused: list[Refusal]
    promise: Note | None
    kinds: frozenset[str] = frozenset()


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


def examine(items: Sequence[bytes], domain: Domain, now: int) -> list[Examined | LedgerError]:
    """What each envelope is or why it is refused: all of registration that needs no ledger.

    Takes and gives plain values, so that a pool of processes can do it.
    """
    results: list[Examined | LedgerError] = []
    for data in items:
        try:
            read: list[Mapping[str, Any] | None] = [None]

            def check(kind: str, value: Mapping[str, Any] | None, read: list[Any] = read) -> None:
                facts.check(kind, value, now)
                read[0] = value if kind == "epcis-event" else None

            one = envelopes.examine(data, domain, check)
            packing = packing_of(read[0], one.issuer)
            results.append(one if packing is None else one._replace(packing=packing))
        except LedgerError as error:
            results.append(error)
    return results


def _says_packing(item: Examined | LedgerError) -> bool:
    return isinstance(item, Examined) and item.packing is not None


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
        self.thing_mac: Callable[[str], bytes] | None = None
        """The name under which the index of trails has a thing; set by whoever keeps that index."""
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
            judge = Judge(membership, self.anchoring.origin_id, block, now + self.rules.clock_tolerance)
            with self.store.write() as connection:
                examined = [one for call in calls for one in call.items if isinstance(one, Examined)]
                batch = Batch.load(connection, examined)
                accepted = [self._take(call, batch, judge, registered_at) for call in calls]
                batch.write(connection, self._size, registered_at)
                self._steps("registering")
            self._size += len(batch.rows)
            self._last_time = registered_at
            self._steps("registered")
            return [self._promised(call, outcome, batch) for call, outcome in zip(calls, accepted, strict=True)]

    def _take(
        self, call: Call, batch: Batch, judge: Judge, now: int
    ) -> tuple[list[Accepted], list[Refusal]] | LedgerError:
        accepted: list[Accepted] = []
        refused: list[Refusal] = []
        undo = Undo(batch)
        packings = [
            (index, one.packing)
            for index, one in enumerate(call.items)
            if isinstance(one, Examined) and one.packing is not None
        ]
        unfit = dict(impossible(packings)) if packings else {}
        for index, item in enumerate(call.items):
            try:
                if isinstance(item, LedgerError):
                    raise item
                if index in unfit and not batch.has(item):
                    raise unfit[index]
                accepted.append(batch.take(index, item, judge, now, undo))
            except LedgerError as error:
                refused.append(Refusal(index, error))
        if refused and not call.keep_good:
            undo.run()
            return CallRefused(refused)
        return accepted, refused

    def _promised(
        self, call: Call, outcome: tuple[list[Accepted], list[Refusal]] | LedgerError, batch: Batch
    ) -> Registration | LedgerError:
        if isinstance(outcome, LedgerError):
            return outcome
        accepted, refused = outcome
        if not accepted:
            return Registration([], refused, None)
        leaves = []
        kinds: set[str] = set()
        for one in accepted:
            item = call.items[one.item]
            assert isinstance(item, Examined)
            if one.is_new:
                kinds.add(item.kind)
            signature = batch.taken[item.stream, item.sequence][1]
            leaves.append(merkle.leaf_hash(log_entry(one.digest, signature, one.registered_at)))
        latest = max(one.registered_at for one in accepted)
        text = promise_text(self.origin, latest, len(leaves), merkle.root(leaves))
        return Registration(accepted, refused, Note(text, (self.log_key.sign(text),)), frozenset(kinds))

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

    def custody_policy(self, at: int) -> Policy:
        """By what custody is judged at `at` (ms UTC): the policy that the members voted last, or the defaults."""
        resolution = self.custody_resolution(at)
        return Policy() if resolution is None else resolution.policy

    def custody_resolution(self, at: int) -> Resolution | None:
        """The vote that put the policy in force at `at` (ms UTC), None where the defaults hold."""
        changes = self.anchoring.membership.changes
        approved = {one.data for one in changes if one.kind == Kind.APPROVED and one.block_time * 1000 <= at}
        if not approved:
            return None
        query = (
            sa.select(statement, content.c.content)
            .join(content, content.c.position == statement.c.position)
            .where(statement.c.digest.in_(approved), statement.c.kind == "custody-policy")
        )
        with self.store.read() as connection:
            rows = [row for row in connection.execute(query) if row.content is not None]
        told = [
            fact_of(
                record_of(row).header,
                row.digest,
                row.registered_at,
                None,
                orjson.loads(row.content),
                is_void=self.void(record_of(row)) is not None,
            )
            for row in rows
        ]
        return resolution_in_force(changes, told, at)

    def readers(self, stream_id: bytes) -> frozenset[bytes]:
        """The members who may see a stream: its issuer and its audience; empty for an unknown stream."""
        with self.store.read() as connection:
            rows = connection.execute(sa.select(reader.c.member).where(reader.c.stream == stream_id))
            return frozenset(row.member for row in rows)

    def sight(self, member: bytes | None, at: int) -> Sight:
        """What `member` may see at `at` (ms UTC); None stands for the service itself, which sees all it holds.

        A grant that another one of its issuer corrects, or that is void or erased, shows nothing.
        """
        if member is None:
            return Sight(self.store, None, ())
        query = (
            sa.select(statement)
            .join(audit_reader, audit_reader.c.position == statement.c.position)
            .join(audit_grant, audit_grant.c.position == statement.c.position)
            .where(audit_reader.c.member == member, audit_grant.c.starts_at <= at, audit_grant.c.ends_at > at)
            .order_by(statement.c.position.desc())
            .limit(MAX_GRANTS)
        )
        with self.store.read() as connection:
            found = [record_of(row) for row in connection.execute(query)]
            corrections = (
                sa.select(statement, audit_grant.c.corrects)
                .join(audit_grant, audit_grant.c.position == statement.c.position)
                .where(audit_grant.c.corrects.in_([one.digest for one in found]))
            )
            ended = {
                (row.issuer, row.corrects)
                for row in connection.execute(corrections)
                if self.void(record_of(row)) is None
            }
            standing = [one for one in found if (one.header.issuer, one.digest) not in ended and self.void(one) is None]
        return Sight(self.store, member, tuple(one.position for one in standing), self.thing_mac)

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

    def page(self, sight: Sight, start: int, limit: int, stream_id: bytes | None = None) -> tuple[list[Record], int]:
        """Up to `limit` statements whose headers may be seen, from position `start` on in the order of registration.

        The second value is where the next page starts: everything before it has been looked through.
        """
        end = self._size
        may_see = sight.may_see(statement.c.stream)
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

    def streams_of(self, sight: Sight, after: bytes, limit: int, *, broken: bool = False) -> list[StreamView]:
        """The streams that may be seen, by id, those after `after`; with `broken` only those that miss a number."""
        seen = sight.streams(after)
        query = sa.select(stream).join(seen, seen.c.stream == stream.c.id).order_by(seen.c.stream).limit(limit)
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

    def forks(self, sight: Sight, *, stream_id: bytes | None = None, sequence: int | None = None) -> list[Fork]:
        """The stream forks that may be seen, at most 500, oldest first."""
        query = (
            sa.select(statement, fork.c.digest.label("second"), fork.c.envelope, fork.c.noted_at)
            .join(fork, fork.c.position == statement.c.position)
            .where(sight.may_see(statement.c.stream))
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

    def overtaken(self, sight: Sight) -> list[tuple[Record, str]]:
        """Statements that may be seen whose key had ended by the block that anchored them, or will have, and why.

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
        may_see = sight.may_see(statement.c.stream)
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
            connection.execute(sa.delete(audit_scope).where(audit_scope.c.position == record.position))
            forget(connection, record.position)
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


def record_of(row: Any) -> Record:
    """The record in a row of the statement table."""
    header = Header(row.issuer, row.kind, row.stream, row.sequence, row.issued_at, row.content_root)
    return Record(row.position, row.digest, header, row.signature, row.signer, row.registered_at)


def _view(row: Any) -> StreamView:
    audience = row.audience
    members = None if audience is None else tuple(audience[at : at + 32] for at in range(0, len(audience), 32))
    return StreamView(row.id, row.issuer, members, row.highest, row.registered)
