"""Whether the index says what the statements say: rows read again from the contents, as many as there is time for."""

from collections.abc import Iterator

import orjson
import sqlalchemy as sa

from ledger_service.store import among, chunks
from ledger_service.store.tables import content, statement
from ledger_service.store.trail_tables import chain_unit, holding, link, mention, progress, saying, thing
from ledger_service.trails.holders import tell
from ledger_service.trails.reading import Reading, read

SAMPLE = 5_000
"""Statements that are read again, spread evenly over those that the index has read."""


def check_index(connection: sa.Connection, sample: int = SAMPLE) -> Iterator[tuple[int, str]]:
    """The positions at which the index differs from what is read anew, each with what is wrong.

    All statements are looked at where there are no more than `sample`; else every n-th one.
    """
    indexed = connection.execute(sa.select(progress.c.indexed)).scalar() or 0
    total = connection.execute(sa.select(sa.func.count()).select_from(statement)).scalar_one()
    if indexed > total:
        yield indexed, f"the index has read {indexed} statements, and there are {total}"
        return
    stray = sa.select(mention.c.position).where(mention.c.position >= indexed).limit(1)
    for position in connection.execute(stray).scalars():
        yield position, "the index has rows of a statement that it has not read"
    for position in range(0, indexed, max(indexed // sample, 1)):
        yield from _check_one(connection, position)
    yield from _check_holders(connection, sample)
    nameless = (
        sa.select(sa.func.count())
        .select_from(thing)
        .where(thing.c.name.is_not(None), ~sa.exists().where(mention.c.thing == thing.c.id))
        .where(~sa.exists().where(link.c.source == thing.c.id), ~sa.exists().where(link.c.target == thing.c.id))
    )
    left = connection.execute(nameless).scalar_one()
    if left:
        yield indexed, f"{left} things keep a name that no statement mentions"


def _check_holders(connection: sa.Connection, sample: int) -> Iterator[tuple[int, str]]:
    """What rows say of who has a thing, against what is told anew from all that was read of it."""
    total = connection.execute(sa.select(sa.func.count()).select_from(holding)).scalar_one()
    numbered = sa.select(holding.c.thing, sa.func.row_number().over(order_by=holding.c.thing).label("place")).subquery()
    chosen = sa.select(numbered.c.thing).where(numbered.c.place % max(total // sample, 1) == 0)
    things = list(connection.execute(chosen).scalars())
    for some in chunks(things):
        anew = {row[0]: row for row in tell(connection, some)}
        for row in connection.execute(sa.select(holding).where(among(holding.c.thing, some))):
            if tuple(row) != anew.get(row.thing):
                last = sa.select(sa.func.max(mention.c.position)).where(mention.c.thing == row.thing)
                yield connection.execute(last).scalar() or 0, "the index gives a thing to another holder, or otherwise"


def _check_one(connection: sa.Connection, position: int) -> Iterator[tuple[int, str]]:
    query = (
        sa.select(statement.c.digest, statement.c.issuer, statement.c.kind, content.c.content)
        .outerjoin(content, content.c.position == statement.c.position)
        .where(statement.c.position == position)
    )
    row = connection.execute(query).one()
    said: Reading | None = None
    if row.content is not None:
        said = read(row.kind, orjson.loads(row.content), row.digest, row.issuer)
    stored = connection.execute(sa.select(saying).where(saying.c.position == position)).first()
    if (stored is None) != (said is None):
        yield position, "the index has it, and its content says nothing" if said is None else "the index lacks it"
        return
    if stored is not None and said is not None:
        fields = (stored.sort, stored.issuer, stored.stated_at, stored.other, stored.due_at, stored.outcome)
        if fields != (int(said.sort), row.issuer, said.stated_at, said.other, said.due_at, said.outcome):
            yield position, "the index tells it otherwise"
    named = sa.select(thing.c.name, mention.c.role).join(thing, thing.c.id == mention.c.thing)
    mentions = {(name, role) for name, role in connection.execute(named.where(mention.c.position == position))}
    if mentions != {(name, int(role)) for name, role in (said.mentions if said else ())}:
        yield position, "the index names other things"
    source, target = thing.alias(), thing.alias()
    ways = (
        sa.select(source.c.name, target.c.name, link.c.how)
        .join(source, source.c.id == link.c.source)
        .join(target, target.c.id == link.c.target)
    )
    links = {tuple(one) for one in connection.execute(ways.where(link.c.position == position))}
    if links != {(one, other, int(how)) for one, other, how in (said.links if said else ())}:
        yield position, "the index has other ways from thing to thing"
    opened = sa.select(thing.c.name, chain_unit.c.unit).join(thing, thing.c.id == chain_unit.c.thing)
    units = {tuple(one) for one in connection.execute(opened.where(chain_unit.c.position == position))}
    if units != {(name, unit) for name, unit, _ in (said.chain if said else ())}:
        yield position, "the index has other units of the chain"
