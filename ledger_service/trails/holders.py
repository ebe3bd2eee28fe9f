"""Who has a thing now, kept as a row as long as its record is plain: a recall need not read all that was said of it.

A row is what `Holdings` tells from everything that was read of the thing, as if nothing had ever carried it and silence
meant nothing. So it holds for whoever sees all the streams that it was told from, and for nobody else. Where there is
no row, and of whatever was packed into something, the statements' own rows are read: to have none is never wrong.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from struct import Struct

import sqlalchemy as sa

from ledger_service.custody.policy import Policy
from ledger_service.store import among, chunks, insert_rows, select_where
from ledger_service.store.trail_tables import holding, mention, saying, withdrawn
from ledger_service.trails.holding import Held, Holdings, Row, Shipment
from ledger_service.trails.reading import Role

MAX_ROWS = 200
"""A thing of which more is said than this has no row: it would be told anew from all of it each time."""
AT_HAND = (Role.OFFERED, Role.RECEIVED, Role.MISSED, Role.OPENED, Role.SEEN, Role.AT_GATE, Role.ENDED)
"""What is said of a thing by those who have it in hand."""
HANDED = frozenset({Role.OFFERED, Role.RECEIVED, Role.MISSED})
"""What gives a thing a row: of what is only seen, the last sighting is quickly found."""
POLICY = Policy()
"""By which rows are told; where another tolerance of clocks is agreed, none of them is used."""
_COLUMNS = ("thing", "holder", "ended_at", "streams", "open", "answered")
_STREAM = Struct("<I")
_OPEN = Struct("<32s32s32sqq")
_ANSWERED = Struct("<32s32s")


def rows_of(connection: sa.Connection, things: Collection[int]) -> Iterator[Row]:
    """What statements say of `things` in hand."""
    columns = (
        mention.c.thing,
        mention.c.role,
        mention.c.position,
        saying.c.sort,
        saying.c.issuer,
        saying.c.stated_at,
        saying.c.other,
        saying.c.due_at,
        saying.c.outcome,
        saying.c.digest,
        saying.c.stream,
    )
    wanted = sa.select(*columns).join(saying, saying.c.position == mention.c.position)
    wanted = wanted.where(mention.c.role.in_(AT_HAND))
    for chunk in chunks(sorted(things)):
        # As the driver gives them: SQLAlchemy's look at each row costs more than all that is done with it.
        yield from map(Row._make, connection.execute(wanted.where(among(mention.c.thing, chunk))).cursor.fetchall())


def keep(connection: sa.Connection, seen: Collection[int], handed: Collection[int]) -> None:
    """Tell anew who has the things that were just read of: those in `handed`, and those in `seen` that have a row."""
    things = set(handed)
    things.update(number for (number,) in select_where(connection, holding, ("thing",), "thing", list(seen)))
    if not things:
        return
    for chunk in chunks(sorted(things)):
        connection.execute(sa.delete(holding).where(among(holding.c.thing, chunk)))
    told = list(tell(connection, things))
    if told:
        insert_rows(connection, holding, _COLUMNS, told)


def tell(connection: sa.Connection, things: Collection[int]) -> Iterator[tuple[object, ...]]:
    """The rows of those of `things` whose record is plain."""
    few: list[int] = []
    for chunk in chunks(sorted(things)):
        count = sa.select(mention.c.thing).where(among(mention.c.thing, chunk)).group_by(mention.c.thing)
        few += connection.execute(count.having(sa.func.count() <= MAX_ROWS)).scalars()
    rows = list(rows_of(connection, few))
    streams: dict[int, set[int]] = defaultdict(set)
    for row in rows:
        streams[row.thing].add(row.stream)
    answers: dict[int, Mapping[bytes, bytes]] = {}

    def note(thing: int, answered: Mapping[bytes, bytes]) -> bool:
        answers[thing] = answered
        return True

    doubtful = _doubtful(connection, {row.position for row in rows})
    holdings = Holdings(rows, (), POLICY, 0, explains=note, doubtful=doubtful)
    for thing, numbers in streams.items():
        found = holdings.held(thing)
        if found is not None:
            yield (
                thing,
                found.holders[0] if found.holders else None,
                found.ended_at,
                b"".join(map(_STREAM.pack, sorted(numbers))),
                b"".join(
                    _OPEN.pack(one.despatch, one.giver, one.taker, one.despatched_at, one.due_at) for one in found.open
                ),
                b"".join(_ANSWERED.pack(*pair) for pair in sorted(answers[thing].items())),
            )


def held(
    connection: sa.Connection, things: Iterable[int], policy: Policy, at: int, *, counts: Callable[[int], bool]
) -> dict[int, Held]:
    """Who has those of `things` that have a row which counts: it was told from streams that all `counts`, and by a
    policy that tells the same here.
    """
    found: dict[int, Held] = {}
    if policy.clock_tolerance != POLICY.clock_tolerance:
        return found
    verdicts: dict[bytes, bool] = {}
    alike: dict[tuple[bytes | None, int | None], Held] = {}
    columns = (holding.c.thing, holding.c.holder, holding.c.ended_at, holding.c.streams, holding.c.open)
    for chunk in chunks(sorted(things)):
        rows = connection.execute(sa.select(*columns).where(among(holding.c.thing, chunk))).cursor.fetchall()
        for thing, holder, ended_at, streams, open_ in rows:
            verdict = verdicts.get(streams)
            if verdict is None:
                verdict = verdicts[streams] = all(counts(number) for (number,) in _STREAM.iter_unpack(streams))
            if not verdict or (open_ and policy.deem_after is not None):
                continue
            if open_:
                shipments = tuple(
                    Shipment(despatch, giver, taker, start, due, due < at)
                    for despatch, giver, taker, start, due in _OPEN.iter_unpack(open_)
                )
                found[thing] = Held(() if holder is None else (holder,), False, ended_at, shipments)
                continue
            same = alike.get((holder, ended_at))
            if same is None:
                same = alike[holder, ended_at] = Held(() if holder is None else (holder,), False, ended_at)
            found[thing] = same
    return found


def answered(connection: sa.Connection, things: Iterable[int]) -> dict[int, dict[bytes, bytes]]:
    """The answers that the rows of `things` were told from, by the offers that they answer."""
    return {
        thing: dict(_ANSWERED.iter_unpack(data))
        for thing, data in select_where(connection, holding, ("thing", "answered"), "thing", list(things))
    }


def _doubtful(connection: sa.Connection, positions: Collection[int]) -> frozenset[int]:
    """Those of `positions` that were corrected or correct."""
    wanted = list(positions)
    found = {one for (one,) in select_where(connection, withdrawn, ("position",), "position", wanted)}
    found |= {one for (one,) in select_where(connection, withdrawn, ("by",), "by", wanted)}
    return frozenset(found)
