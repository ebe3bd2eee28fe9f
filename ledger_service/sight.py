"""What a member may see of the log at a time: whatever reads for a member asks here, and nowhere else.

A party to a stream, its issuer or one of its audience, sees all of it. To whom the issuer has given a grant that is in
force, it shows the headers of the streams in scope, so that nothing can be missing unnoticed, and of their contents
what the grant names. To everybody else there is nothing.
"""

from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service.envelope import Examined
from ledger_service.grants import Grant, Shown, united
from ledger_service.store import Store
from ledger_service.store.tables import audit_grant, audit_reader, audit_scope, reader, stream


class Sight:
    """What `member` may see, by the `grants` (their positions) that are in force; member None sees all there is.

    Made by `Ledger.sight` for one time, used for one answer, and then forgotten.
    """

    def __init__(self, store: Store, member: bytes | None, grants: tuple[int, ...]) -> None:
        self.member = member
        self._store = store
        self._grants = grants
        self._parties: dict[bytes, bool] = {}
        self._streams: dict[bytes, Shown | None] = {}

    def may_see(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """The condition that the stream whose id is in `column` may be seen, its headers at least."""
        if self.member is None:
            return sa.true()
        is_party = sa.exists().where(reader.c.member == self.member, reader.c.stream == column)
        if not self._grants:
            return is_party
        return sa.or_(is_party, column.in_(self._granted_streams()))

    def streams(self, after: bytes = b"") -> sa.Subquery:
        """The ids of the streams that may be seen, those after `after`, in the column `stream`."""
        if self.member is None:
            return sa.select(stream.c.id.label("stream")).where(stream.c.id > after).subquery()
        own = sa.select(reader.c.stream).where(reader.c.member == self.member, reader.c.stream > after)
        if not self._grants:
            return own.subquery()
        return own.union(self._granted_streams().where(stream.c.id > after)).subquery()

    def _granted_streams(self) -> sa.Select[Any]:
        return (
            sa.select(stream.c.id)
            .join(audit_scope, audit_scope.c.stream == stream.c.id)
            .join(audit_grant, audit_grant.c.position == audit_scope.c.position)
            .where(audit_grant.c.position.in_(self._grants), audit_grant.c.issuer == stream.c.issuer)
        )

    def is_party(self, stream_id: bytes) -> bool:
        """Whether the member issues the stream or is in its audience."""
        if self.member is None:
            return True
        known = self._parties.get(stream_id)
        if known is None:
            query = sa.select(reader.c.stream).where(reader.c.member == self.member, reader.c.stream == stream_id)
            with self._store.read() as connection:
                known = connection.execute(query).first() is not None
            self._parties[stream_id] = known
        return known

    def granted(self, stream_id: bytes, position: int | None = None) -> Shown | None:
        """What grants show of the content of the statement at `position` of a stream, None where they show nothing.

        Without a position: whether they show the stream's headers (False or more) or not even these (None).
        """
        _ = position
        if not self._grants:
            return None
        if stream_id not in self._streams:
            query = (
                sa.select(audit_grant.c.fields)
                .join(audit_scope, audit_scope.c.position == audit_grant.c.position)
                .join(stream, stream.c.id == audit_scope.c.stream)
                .where(
                    stream.c.id == stream_id,
                    audit_grant.c.position.in_(self._grants),
                    audit_grant.c.issuer == stream.c.issuer,
                )
            )
            with self._store.read() as connection:
                rows = connection.execute(query).all()
            self._streams[stream_id] = united(_fields(row.fields) for row in rows) if rows else None
        return self._streams[stream_id]

    def shown(self, stream_id: bytes, position: int) -> Shown | None:
        """How much of the content of the statement at `position` may be seen; None: not even its header."""
        return True if self.is_party(stream_id) else self.granted(stream_id, position)


def keep_grants(connection: sa.Connection, items: Sequence[Examined], position: int) -> None:
    """Note the grants among `items`, which get the positions from `position` on; without content they grant nothing."""
    for place, item in enumerate(items, position):
        if item.kind != "grant" or item.content is None:
            continue
        grant = Grant.parse(orjson.loads(item.content))
        connection.execute(
            sa.insert(audit_grant).values(
                position=place,
                issuer=item.issuer,
                corrects=grant.corrects,
                starts_at=grant.start,
                ends_at=grant.until,
                fields=None if grant.fields is None else orjson.dumps(grant.fields).decode(),
            )
        )
        readers = [{"member": member, "position": place} for member in item.audience or ()]
        connection.execute(sa.insert(audit_reader), readers)
        scope: list[dict[str, Any]] = [{"stream": one, "unit": None} for one in grant.streams]
        scope += [{"stream": None, "unit": one} for one in grant.units]
        lines = [{"position": place, "number": number} | one for number, one in enumerate(scope)]
        connection.execute(sa.insert(audit_scope), lines)


def _fields(stored: str | None) -> Shown:
    return True if stored is None else tuple(orjson.loads(stored))
