"""A batch: what one transaction is about to add to the ledger, judged statement by statement.

Calls that are stored together are judged together: each stream, number and offer that they touch is looked up once. A
call of which nothing shall be kept is taken back out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import orjson
import sqlalchemy as sa

from ledger_service.envelope import Envelope, Examined
from ledger_service.errors import LedgerError
from ledger_service.keys import to_hex
from ledger_service.membership import KeyNotValid, Membership
from ledger_service.offering import Answers
from ledger_service.sight import keep_grants
from ledger_service.statements import UnknownKind
from ledger_service.store import insert_rows
from ledger_service.store.tables import content, fork, reader, statement, stream


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


@dataclass(frozen=True, slots=True)
class Accepted:
    """One statement of a call as it stands in the ledger; `is_new` is false for one that was there before."""

    item: int
    digest: bytes
    registered_at: int
    is_new: bool


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
class Batch:
    """What a transaction is about to add. `taken` holds who has each number: digest, signature, registration time."""

    streams: dict[bytes, _Stream]
    taken: dict[tuple[bytes, int], tuple[bytes, bytes, int]]
    offers: Answers
    rows: list[Examined] = field(default_factory=list)
    forks: list[tuple[Examined, int]] = field(default_factory=list)

    @classmethod
    def load(cls, connection: sa.Connection, items: Sequence[Examined]) -> Self:
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
        return cls(streams, taken, Answers.load(connection, items))

    def has(self, item: Examined) -> bool:
        """Whether the statement is registered already, or about to be."""
        known = self.taken.get((item.stream, item.sequence))
        return known is not None and known[0] == item.digest

    def take(self, index: int, item: Examined, judge: "Judge", now: int, undo: "Undo") -> Accepted:
        """`item` as it will stand in the ledger; raises why it may not, and then nothing of it is kept."""
        known = self.taken.get((item.stream, item.sequence))
        if known is not None:
            digest, _signature, registered_at = known
            if digest == item.digest:
                return Accepted(index, digest, registered_at, is_new=False)
        judge.check(item)
        place = self.streams.get(item.stream)
        if place is not None and place.issuer != item.issuer:
            raise StreamMismatch(
                f"stream {to_hex(item.stream)} belongs to another issuer: choose a fresh random stream id"
            )
        if known is not None:
            # Judged first: only the issuer's own second word on a number is evidence of a fork.
            self.forks.append((item, now))
            raise StatementConflict(item.stream, item.sequence, known[0])
        self.offers.check(item, now, self.taken)
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
        self.streams[item.stream] = place
        self.rows.append(item)
        self.taken[item.stream, item.sequence] = (item.digest, item.signature, now)
        undo.remember_number(item.stream, item.sequence)
        return Accepted(index, item.digest, now, is_new=True)

    def write(self, connection: sa.Connection, position: int, now: int) -> None:
        """Add it all; its statements get the positions from `position` on, registered at `now`."""
        changed = {key: place for key, place in self.streams.items() if place.is_changed}
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
                .values(
                    highest=sa.bindparam("top"), registered=sa.bindparam("number"), audience=sa.bindparam("members")
                ),
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
        if self.rows:
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
                for place, item in enumerate(self.rows, position)
            ]
            insert_rows(connection, statement, _STATEMENT_COLUMNS, rows)
            held = [
                (place, item.content, item.secret, item.original)
                for place, item in enumerate(self.rows, position)
                if item.content is not None
            ]
            if held:
                insert_rows(connection, content, _CONTENT_COLUMNS, held)
            self.offers.keep(connection, self.rows, position, now, self.taken)
            keep_grants(connection, self.rows, position)
        for item, noted_at in self.forks:
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
                    sa.insert(fork).values(
                        digest=item.digest, position=holder, envelope=envelope.data, noted_at=noted_at
                    )
                )


class Judge:
    """Whether an examined statement may be registered now, each signer and audience asked about once."""

    def __init__(self, membership: Membership, origin: bytes, block: int, latest_issue: int) -> None:
        self._membership = membership
        self._origin = origin
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
            self._membership.check_statement(item.signer, item.issuer, item.kind, self._origin, self._block)
        except (KeyNotValid, UnknownKind) as error:
            return error
        return None


class Undo:
    """How to take a call back out of a batch."""

    def __init__(self, batch: Batch) -> None:
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


def _chunks(values: Sequence[Any], size: int = 500) -> Iterable[Sequence[Any]]:
    for at in range(0, len(values), size):
        yield values[at : at + size]
