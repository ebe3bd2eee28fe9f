"""Erasure in the index of trails: what a statement said of things goes with its content, in the same transaction."""

import sqlalchemy as sa
from sqlalchemy import Connection

from ledger_service.store.trail_tables import (
    chain_unit,
    citation,
    forgotten,
    holding,
    link,
    mention,
    saying,
    thing,
    withdrawn,
)


def forget(connection: Connection, position: int) -> None:
    """Take what the statement at `position` says out of the index, and the names that no other statement mentions.

    The HMACs of things stay, and with them which thing a unit of the chain is: neither tells a name.
    """
    things = list(connection.execute(sa.select(mention.c.thing).where(mention.c.position == position)).scalars())
    for table in (mention, saying, citation, link):
        connection.execute(sa.delete(table).where(table.c.position == position))
    connection.execute(sa.delete(withdrawn).where(withdrawn.c.by == position))
    connection.execute(sa.update(chain_unit).where(chain_unit.c.position == position).values(position=None))
    for at in range(0, len(things), 500):
        some = things[at : at + 500]
        connection.execute(sa.delete(holding).where(holding.c.thing.in_(some)))
        chosen = thing.c.id.in_(some)
        is_mentioned = sa.exists().where(mention.c.thing == thing.c.id)
        connection.execute(sa.update(thing).where(chosen, ~is_mentioned).values(name=None))
    connection.execute(sa.insert(forgotten).values(position=position))
