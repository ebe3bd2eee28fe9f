"""What the service states itself: signed as the member that it is, registered through the one door, once for each text.

The secret of such a statement is derived from its text, so the content root follows from the text too, and a statement
is looked up by it before another one is signed. Nothing has to be repaired after a crash.
"""

import hmac
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service import facts
from ledger_service.envelope import Envelope, Examined, examine
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import Signer, to_hex
from ledger_service.ledger import Call, Ledger, Registration, UnknownStatement, record_of
from ledger_service.statements import content_root
from ledger_service.store.risk_tables import IS_REPORT
from ledger_service.store.tables import content, statement


@dataclass(frozen=True)
class Reported:
    """A registered report: the id of its statement, its number in its reader's stream and its content.

    `is_new` is false for one that was there before; the content of an erased one is None.
    """

    digest: bytes
    number: int
    content: Mapping[str, Any] | None
    registered_at: int
    position: int
    is_new: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """The report as `risk` made it, without the list of those who may see it; raises AssertionError if erased."""
        assert self.content is not None
        return {name: value for name, value in self.content.items() if name != "to"}


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be said to `reader`, with its secret and the content root that follows from it."""

    reader: bytes
    said: dict[str, Any]
    secret: bytes
    root: bytes


class Issuing:
    """Statements of `kind` by the service's own member `issuer`, each to one reader in a stream of that reader's own.

    `key` (32 bytes) makes stream ids and secrets: without it nobody can tell whose a stream is. `on_registered` is told
    of what was registered.
    """

    def __init__(
        self,
        ledger: Ledger,
        kind: str,
        *,
        issuer: bytes,
        signer: Signer,
        key: bytes,
        on_registered: Callable[[Sequence[Registration]], None],
    ) -> None:
        self._ledger = ledger
        self._kind = kind
        self._issuer = issuer
        self._signer = signer
        self._key = key
        self._on_registered = on_registered
        self._lane = threading.Lock()

    def draft(self, reader: bytes, said: Mapping[str, Any]) -> Draft:
        """What is to be said; raises MalformedInput where it cannot be signed, with sums above 2^53 for example."""
        content = {"to": [to_hex(reader)], **said}
        try:
            text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        except TypeError as error:
            raise MalformedInput(f"what comes of your facts is no number that can be signed: {error}") from error
        secret = hmac.digest(self._key, b"secret" + text, "sha256")
        return Draft(reader, content, secret, content_root(content, secret))

    def issue(self, drafts: Sequence[Draft], now: int) -> list[Reported]:
        """The statement of each draft, those that are new registered together at `now` (ms)."""
        with self._lane:
            there = {one.root: self._registered(one) for one in drafts}
            items: list[Examined | LedgerError] = [
                self._sealed(one, now) for one in drafts if there[one.root] is None
            ]  # fmt: skip
            if items:
                self._on_registered([self._ledger.register(Call(items), now)])
                fresh = {one.content_root for one in items if isinstance(one, Examined)}
                there |= {one.root: self._registered(one, is_new=True) for one in drafts if one.root in fresh}
        found = [there[one.root] for one in drafts]
        return [one for one in found if one is not None]

    def page(self, reader: bytes, after: int, limit: int) -> list[Reported]:
        """Up to `limit` of those to `reader` with numbers above `after`, the oldest first."""
        return self._held(
            sa.and_(statement.c.stream == self._stream(reader), statement.c.sequence > after), limit=limit
        )

    def find(self, reader: bytes, digest: bytes) -> Reported:
        """The one to `reader` with this id; raises UnknownStatement, alike for those of others."""
        found = self._held(sa.and_(statement.c.stream == self._stream(reader), statement.c.digest == digest))
        if not found:
            raise UnknownStatement(f"there is no {self._kind} {to_hex(digest)} for you")
        return found[0]

    def _sealed(self, draft: Draft, now: int) -> Examined:
        stream = self._stream(draft.reader)
        envelope = Envelope.seal(
            draft.said,
            issuer=self._issuer,
            kind=self._kind,
            stream=stream,
            sequence=self._next_number(stream),
            issued_at=now,
            secret=draft.secret,
            signer=self._signer,
            domain=self._ledger.domain,
        )
        return examine(envelope.data, self._ledger.domain, lambda kind, value: facts.check(kind, value, now))

    def _stream(self, reader: bytes) -> bytes:
        return hmac.digest(self._key, b"stream" + reader, "sha256")

    def _next_number(self, stream: bytes) -> int:
        with self._ledger.store.read() as connection:
            query = sa.select(sa.func.max(statement.c.sequence)).where(statement.c.stream == stream)
            return (connection.execute(query).scalar() or 0) + 1

    def _registered(self, draft: Draft, *, is_new: bool = False) -> Reported | None:
        """The statement that says this and counts."""
        of = sa.and_(
            IS_REPORT, statement.c.stream == self._stream(draft.reader), statement.c.content_root == draft.root
        )
        held = self._held(of, index="ix_statement_report", is_new=is_new)
        return next((one for one in held if one.content is not None), None)

    def _held(
        self,
        which: sa.ColumnElement[bool],
        *,
        limit: int | None = None,
        index: str | None = None,
        is_new: bool = False,
    ) -> list[Reported]:
        query = (
            sa.select(statement, content.c.content)
            .outerjoin(content, content.c.position == statement.c.position)
            .where(which)
            .order_by(statement.c.sequence)
            .limit(limit)
        )
        if index is not None:
            query = query.with_hint(statement, f"INDEXED BY {index}", "sqlite")
        with self._ledger.store.read() as connection:
            rows = connection.execute(query).all()
        return [
            Reported(
                row.digest,
                row.sequence,
                None if row.content is None else orjson.loads(row.content),
                row.registered_at,
                row.position,
                is_new,
            )
            for row in rows
            if self._ledger.void(record_of(row)) is None
        ]
