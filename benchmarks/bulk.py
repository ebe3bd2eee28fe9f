"""Statements written into a store directly, as rows: a history of a million would take hours to sign and to send.

The rows are as the ledger writes them, but content roots and signatures are made up: what is measured on such a store
looks at neither.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa

from ledger_service.store import Store, insert_rows
from ledger_service.store.tables import content, reader, statement, stream

CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Said:
    """A statement as it will stand in the store; `content` are canonical bytes, None where only the header came."""

    digest: bytes
    issuer: bytes
    kind: str
    stream: bytes
    sequence: int
    registered_at: int
    content: bytes | None
    audience: tuple[bytes, ...] = ()


def load(store: Store, statements: Iterable[Said]) -> int:
    """Append `statements` to the store; how many there are in it now."""
    with store.read() as connection:
        position = (connection.execute(sa.select(sa.func.max(statement.c.position))).scalar() or -1) + 1
        position = position if connection.execute(sa.select(sa.func.count()).select_from(statement)).scalar() else 0
        highest = {row.id: row.highest for row in connection.execute(sa.select(stream))}
    fresh = set(highest)
    said = iter(statements)
    while batch := list(islice(said, CHUNK)):
        with store.write() as connection:
            for one in batch:
                if one.stream not in fresh:
                    fresh.add(one.stream)
                    members = b"".join(sorted(one.audience))
                    values = {"issuer": one.issuer, "audience": members, "highest": 0, "registered": 0}
                    connection.execute(sa.insert(stream).values(id=one.stream, **values))
                    rows = [{"member": member, "stream": one.stream} for member in {one.issuer, *one.audience}]
                    connection.execute(sa.insert(reader), rows)
            rows_of_statements: list[tuple[object, ...]] = [
                (
                    place,
                    one.digest,
                    one.issuer,
                    one.kind,
                    one.stream,
                    one.sequence,
                    one.registered_at,
                    bytes(32),
                    bytes(65),
                    bytes(20),
                    one.registered_at,
                )
                for place, one in enumerate(batch, position)
            ]
            insert_rows(connection, statement, _COLUMNS, rows_of_statements)
            held: list[tuple[object, ...]] = [
                (place, one.content, bytes(32), None)
                for place, one in enumerate(batch, position)
                if one.content is not None
            ]
            insert_rows(connection, content, ("position", "content", "secret", "original"), held)
        position += len(batch)
    numbers = sa.select(statement.c.stream, sa.func.max(statement.c.sequence), sa.func.count())
    with store.write() as connection:
        for stream_id, last, count in connection.execute(numbers.group_by(statement.c.stream)).all():
            values = {"highest": last, "registered": count}
            connection.execute(sa.update(stream).where(stream.c.id == stream_id).values(**values))
    return position


_COLUMNS = (
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
