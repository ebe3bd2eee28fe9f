"""What a member may see of the log at a time: whatever reads for a member asks here, and nowhere else.

A party to a stream, its issuer or one of its audience, sees all of it. To whom the issuer has given a grant that is in
force, it shows the headers of the streams in scope, so that nothing can be missing unnoticed, and of their contents
what the grant names. To everybody else there is nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service.envelope import Examined
from ledger_service.grants import Grant, Shown, united
from ledger_service.store import Store
from ledger_service.store.tables import audit_grant, audit_reader, audit_scope, reader, statement, stream
from ledger_service.store.trail_tables import mention, thing

MAX_UNITS = 5_000
"""Units in the grants in force for one reader that are looked at, those of the newest grants."""
MAX_NAMING = 20_000
"""Statements naming them, for each issuer and kind of grant, the newest."""


class Sight:
    """What `member` may see, by the `grants` (their positions) that are in force; member None sees all there is.

    `mac` is the name under which the index of trails has a thing; without it grants of units show nothing. Made by
    `Ledger.sight` for one time, used for one answer, and then forgotten.
    """

    def __init__(
        self,
        store: Store,
        member: bytes | None,
        grants: tuple[int, ...],
        mac: Callable[[str], bytes] | None = None,
    ) -> None:
        self.member = member
        self._store = store
        self._grants = grants
        self._parties: dict[bytes, bool] = {}
        self._streams: dict[bytes, Shown | None] = {}
        self._naming: dict[int, tuple[bytes, Shown]] = {}
        if grants and mac is not None:
            self._naming = self._find_units(mac)

    def may_see(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """The condition that the stream whose id is in `column` may be seen, its headers at least."""
        if self.member is None:
            return sa.true()
        is_party = sa.exists().where(reader.c.member == self.member, reader.c.stream == column)
        if not self._grants:
            return is_party
        named = sorted({one for one, _ in self._naming.values()})
        return sa.or_(is_party, column.in_(self._granted_streams()), column.in_(named))

    def streams(self, after: bytes = b"") -> sa.Subquery:
        """The ids of the streams that may be seen, those after `after`, in the column `stream`."""
        if self.member is None:
            return sa.select(stream.c.id.label("stream")).where(stream.c.id > after).subquery()
        own = sa.select(reader.c.stream).where(reader.c.member == self.member, reader.c.stream > after)
        if not self._grants:
            return own.subquery()
        named = sa.select(stream.c.id).where(stream.c.id.in_({one for one, _ in self._naming.values()}))
        granted = (one.where(stream.c.id > after) for one in (self._granted_streams(), named))
        return own.union(*granted).subquery()

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
        if not self._grants:
            return None
        parts = [self._granted_whole(stream_id)]
        if position is not None and position in self._naming:
            parts.append(self._naming[position][1])
        elif any(one == stream_id for one, _ in self._naming.values()):
            parts.append(False)
        known = [one for one in parts if one is not None]
        return united(known) if known else None

    def _granted_whole(self, stream_id: bytes) -> Shown | None:
        """What grants of the whole stream show."""
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

    def _find_units(self, mac: Callable[[str], bytes]) -> dict[int, tuple[bytes, Shown]]:
        """The positions of statements that name a granted unit, each with its stream and what may be seen of it."""
        query = (
            sa.select(audit_scope.c.unit, audit_grant.c.issuer, audit_grant.c.fields)
            .join(audit_grant, audit_grant.c.position == audit_scope.c.position)
            .where(audit_grant.c.position.in_(self._grants), audit_scope.c.unit.is_not(None))
            .order_by(audit_scope.c.position.desc(), audit_scope.c.number)
            .limit(MAX_UNITS)
        )
        shown: dict[int, tuple[bytes, Shown]] = {}
        with self._store.read() as connection:
            by_issuer: dict[tuple[bytes, str | None], list[bytes]] = {}
            for row in connection.execute(query):
                by_issuer.setdefault((row.issuer, row.fields), []).append(mac(row.unit))
            for (issuer, fields), macs in by_issuer.items():
                naming = (
                    sa.select(statement.c.position, statement.c.stream)
                    .join(mention, mention.c.position == statement.c.position)
                    .join(thing, thing.c.id == mention.c.thing)
                    .where(thing.c.mac.in_(macs), statement.c.issuer == issuer)
                    .order_by(statement.c.position.desc())
                    .limit(MAX_NAMING)
                )
                for one in connection.execute(naming):
                    before = shown.get(one.position, (one.stream, False))[1]
                    shown[one.position] = (one.stream, united([before, _fields(fields)]))
        return shown

    @property
    def has_grants(self) -> bool:
        """Whether more than the member's own streams may be seen."""
        return bool(self._grants)

    @property
    def named(self) -> frozenset[int]:
        """The positions of the statements that grants of units show whole."""
        return frozenset(position for position, (_, shown) in self._naming.items() if shown is True)

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
