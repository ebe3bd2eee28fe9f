"""The index of trails in the store: kept up in the background, and made again from the statements at any time."""

import hmac
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service.sight import Sight
from ledger_service.store import Store, among, chunks, insert_rows, select_where, tables
from ledger_service.store.tables import content, reader, statement
from ledger_service.store.trail_tables import (
    chain_unit,
    citation,
    forgotten,
    holding,
    indexed_stream,
    link,
    mention,
    progress,
    saying,
    thing,
    withdrawn,
)
from ledger_service.trails.graph import Graph, View
from ledger_service.trails.holders import AT_HAND, HANDED, keep
from ledger_service.trails.reading import Reading, Sort, read, sort_of

_EVENTS = (Sort.EVENT, Sort.DECLARATION)


@dataclass(frozen=True, slots=True)
class _Things:
    """Things by name with their numbers: rows of those that are new, and of those that get back an erased name."""

    ids: dict[str, int]
    fresh: list[tuple[int, bytes, str, int]]
    named: list[dict[str, Any]]


class Index:
    """The index over the statements of one store. `key` makes the HMACs under which things are found.

    `steps` is called with the name of each durable step. All methods may be called from several threads.
    """

    def __init__(self, store: Store, key: bytes, steps: Callable[[str], None]) -> None:
        self._store = store
        self._key = key
        self._steps = steps
        self.on_read: Callable[[frozenset[str]], None] = lambda _kinds: None
        """Called with the kinds of the statements that a step has read, in whatever thread took it."""
        self._lane = threading.Lock()
        self._reading = threading.RLock()
        self._streams: dict[bytes, int] = {}
        self._start()

    def _start(self) -> None:
        self._graph = Graph()
        self._synced = 0
        self._forgotten = 0

    @property
    def indexed(self) -> int:
        """How many statements, from the first on, the index has read."""
        with self._store.read() as connection:
            return _indexed(connection)

    def mac(self, name: str) -> bytes:
        """Under what a thing is found."""
        return hmac.digest(self._key, b"thing " + name.encode(), "sha256")

    # Writing

    def advance(self, limit: int) -> int:
        """Read up to `limit` statements more, in one durable step; how many were read, 0 when all have been."""
        with self._lane:
            while True:
                read = self._advance(limit)
                if read is not None:
                    return read

    def _advance(self, limit: int) -> int | None:
        """One attempt; None where something was erased meanwhile, which must not come back."""
        with self._store.read() as connection:
            start, erased = _indexed(connection), _last_forgotten(connection)
            query = (
                sa.select(
                    statement.c.position,
                    statement.c.digest,
                    statement.c.issuer,
                    statement.c.kind,
                    statement.c.stream,
                    content.c.content,
                )
                .outerjoin(content, content.c.position == statement.c.position)
                .where(statement.c.position >= start)
                .order_by(statement.c.position)
                .limit(limit)
            )
            rows = connection.execute(query).all()
            if not rows:
                return 0
            readings = [
                (row, said)
                for row in rows
                if row.content is not None
                and (said := read(row.kind, orjson.loads(row.content), row.digest, row.issuer)) is not None
            ]
            # Calls wait while something is written: whatever can be found out before is.
            things = self._known(connection, readings)
        self._streams.clear()  # what a transaction gave out that then failed was never given
        with self._store.write() as connection:
            if _last_forgotten(connection) != erased:
                return None
            self._write(connection, readings, things)
            end = rows[-1].position + 1
            connection.execute(sa.delete(progress))
            connection.execute(sa.insert(progress).values(id=1, indexed=end))
            self._steps("indexing")
        self._steps("indexed")
        self.on_read(frozenset(row.kind for row in rows))
        return len(rows)

    def rebuild(self) -> None:
        """Forget all that was read and begin anew; which thing a unit of the chain was once said to be is kept."""
        with self._lane, self._reading:
            with self._store.write() as connection:
                for table in (link, citation, saying, mention, withdrawn, holding, progress):
                    connection.execute(sa.delete(table))
                connection.execute(sa.delete(chain_unit).where(chain_unit.c.position.is_not(None)))
                kept = sa.select(chain_unit.c.thing)
                connection.execute(sa.update(thing).where(thing.c.id.in_(kept)).values(name=None))
                connection.execute(sa.delete(thing).where(thing.c.id.not_in(kept)))
                self._steps("index cleared")
            self._start()

    def _write(self, connection: sa.Connection, readings: Sequence[tuple[Any, Reading]], things: _Things) -> None:
        ids = things.ids
        if things.fresh:
            insert_rows(connection, thing, ("id", "mac", "name", "sort"), things.fresh)
        if things.named:
            again = sa.update(thing).where(thing.c.id == sa.bindparam("key")).values(name=sa.bindparam("text"))
            connection.execute(again, things.named)
        mentions, sayings, links, citations, units = [], [], [], [], []
        events: set[bytes] = set()
        for row, said in readings:
            position, stream = row.position, self._stream(connection, row.stream)
            mentions += [(ids[name], position, int(role)) for name, role in said.mentions]
            links += [(position, ids[source], ids[target], int(how), stream) for source, target, how in said.links]
            sayings.append(
                (
                    position,
                    row.digest,
                    stream,
                    int(said.sort),
                    row.issuer,
                    said.stated_at,
                    said.other,
                    said.due_at,
                    said.outcome,
                )
            )
            cites = set(said.cites)
            if said.event_name is not None:
                name = hmac.digest(self._key, b"event " + row.issuer + said.event_name.encode(), "sha256")
                cites.add(name)
                events.add(name)
            citations += [(what, position) for what in cites]
            units += [(unit, ids[name], position, int(opened)) for name, unit, opened in said.chain]
        for table, columns, found in (
            (mention, ("thing", "position", "role"), mentions),
            (saying, _SAYING, sayings),
            (link, ("position", "source", "target", "how", "stream"), links),
            (citation, ("what", "position"), citations),
            (chain_unit, ("unit", "thing", "position", "opened"), units),
        ):
            if found:
                insert_rows(connection, table, columns, found)
        told = {(ids[name], role) for _, said in readings for name, role in said.mentions}
        seen = {number for number, role in told if role in AT_HAND} | self._take_back(connection, readings, events)
        keep(connection, seen, {number for number, role in told if role in HANDED})

    def _known(self, connection: sa.Connection, readings: Sequence[tuple[Any, Reading]]) -> _Things:
        """The things that some statements name; those not known yet are given a number. Nobody else gives any."""
        names = {name for _, said in readings for name, _ in said.mentions}
        names |= {name for _, said in readings for source, target, _ in said.links for name in (source, target)}
        macs = {self.mac(name): name for name in names}
        ids: dict[str, int] = {}
        named = []
        for number, mac, name in select_where(connection, thing, ("id", "mac", "name"), "mac", list(macs)):
            ids[macs[mac]] = number
            if name is None:
                named.append({"key": number, "text": macs[mac]})
        highest = connection.execute(sa.select(sa.func.max(thing.c.id))).scalar() or 0
        unknown = sorted((name, mac) for mac, name in macs.items() if name not in ids)
        ids.update({name: number for number, (name, _) in enumerate(unknown, highest + 1)})
        return _Things(ids, [(ids[name], mac, name, int(sort_of(name))) for name, mac in unknown], named)

    def _stream(self, connection: sa.Connection, stream: bytes) -> int:
        number = self._streams.get(stream)
        if number is None:
            query = sa.select(indexed_stream.c.number).where(indexed_stream.c.stream == stream)
            number = connection.execute(query).scalar()
            if number is None:
                made = connection.execute(sa.insert(indexed_stream).values(stream=stream)).inserted_primary_key
                assert made is not None
                number = int(made[0])
            self._streams[stream] = number
        return number

    def _take_back(
        self, connection: sa.Connection, readings: Sequence[tuple[Any, Reading]], events: Collection[bytes]
    ) -> set[int]:
        """Note which statements are corrected or declared wrong, whichever of the two came first; the things that they
        were about.
        """
        pairs: set[tuple[int, int]] = set()
        by_digest = {
            row.digest: (row.position, row.issuer, said.sort) for row, said in readings if said.sort not in _EVENTS
        }
        for chunk in chunks(list(by_digest)):
            query = sa.select(citation.c.what, saying.c.position, saying.c.issuer, saying.c.sort).join(
                saying, saying.c.position == citation.c.position
            )
            for row in connection.execute(query.where(citation.c.what.in_(chunk))):
                position, issuer, sort = by_digest[row.what]
                if (row.issuer, row.sort) == (issuer, sort) and row.position != position:
                    pairs.add((position, row.position))
        corrections: dict[bytes, list[tuple[Any, Reading]]] = defaultdict(list)
        for row, said in readings:
            if said.corrects is not None:
                corrections[said.corrects].append((row, said))
        for chunk in chunks(list(corrections)):
            targets = sa.select(saying.c.digest, saying.c.position, saying.c.issuer, saying.c.sort)
            targets = targets.join(statement, statement.c.position == saying.c.position)
            for row in connection.execute(targets.where(statement.c.digest.in_(chunk))):
                for by, said in corrections[row.digest]:
                    if (row.issuer, row.sort) == (by.issuer, said.sort):
                        pairs.add((row.position, by.position))
        for chunk in chunks(list(events)):
            named = sa.select(citation.c.what, citation.c.position, saying.c.sort).join(
                saying, saying.c.position == citation.c.position
            )
            groups: dict[bytes, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
            for what, position, sort in connection.execute(named.where(citation.c.what.in_(chunk))):
                groups[what][sort == Sort.DECLARATION].append(position)
            pairs.update((one, by) for said, declared in groups.values() for by in declared for one in said)
        if pairs:
            known: set[tuple[int, int]] = set()
            for chunk in chunks(sorted({position for position, _ in pairs})):
                rows = connection.execute(sa.select(withdrawn).where(withdrawn.c.position.in_(chunk)))
                known.update((row.position, row.by) for row in rows)
            fresh = sorted(pairs - known)
            if fresh:
                connection.execute(sa.insert(withdrawn), [{"position": position, "by": by} for position, by in fresh])
        positions = sorted({one for pair in pairs for one in pair})
        return {number for (number,) in select_where(connection, mention, ("thing",), "position", positions)}

    # Reading

    def number(self, connection: sa.Connection, name: str) -> int | None:
        """The number of the thing with this key, None where no statement was ever read that names it."""
        found: int | None = connection.execute(sa.select(thing.c.id).where(thing.c.mac == self.mac(name))).scalar()
        return found

    def names(self, connection: sa.Connection, numbers: Iterable[int]) -> dict[int, tuple[str | None, int]]:
        """Key and sort of things by their numbers."""
        found = {}
        for chunk in chunks(list(numbers)):
            query = sa.select(thing.c.id, thing.c.name, thing.c.sort).where(among(thing.c.id, chunk))
            # As the driver gives them: SQLAlchemy's look at each row would cost more than the rest.
            found.update({number: (name, sort) for number, name, sort in connection.execute(query).cursor.fetchall()})
        return found

    def streams_of(self, connection: sa.Connection, issuers: Collection[bytes]) -> set[int]:
        """The numbers of the streams of some members."""
        if not issuers:
            return set()
        all_streams = tables.stream
        query = sa.select(indexed_stream.c.number).join(all_streams, all_streams.c.id == indexed_stream.c.stream)
        return set(connection.execute(query.where(all_streams.c.issuer.in_(sorted(issuers)))).scalars())

    def visible(self, connection: sa.Connection, sight: Sight | None) -> View | None:
        """The statements that are shown whole by `sight`; None for all."""
        if sight is None or sight.member is None:
            return None
        highest = connection.execute(sa.select(sa.func.max(indexed_stream.c.number))).scalar() or 0
        marks = bytearray(highest + 1)
        query = sa.select(indexed_stream.c.number).join(reader, reader.c.stream == indexed_stream.c.stream)
        for number in connection.execute(query.where(reader.c.member == sight.member)).scalars():
            marks[number] = 1
        if not sight.has_grants:
            return View(marks)
        seen = sight.streams()
        query_granted = sa.select(indexed_stream).join(seen, seen.c.stream == indexed_stream.c.stream)
        for number, stream in connection.execute(query_granted).all():
            if not marks[number] and sight.granted(stream) is True:
                marks[number] = 1
        return View(marks, sight.named)

    def graph(self, connection: sa.Connection) -> Graph:
        """The links as this view of the store has them. Hold `reading` while it is used."""
        last = _last_forgotten(connection)
        if last > self._forgotten:
            query = sa.select(forgotten.c.position).where(forgotten.c.number > self._forgotten)
            for position in connection.execute(query).scalars():
                self._graph.drop(position)
            self._forgotten = last
        end = _indexed(connection)
        if end > self._synced:
            add = self._graph.add
            columns = (link.c.position, link.c.source, link.c.target, link.c.how, link.c.stream)
            query = sa.select(*columns).where(link.c.position >= self._synced).order_by(link.c.position)
            for row in connection.execute(query).yield_per(10_000):
                add(*row)
            fresh = (withdrawn.c.by >= self._synced) | (withdrawn.c.position >= self._synced)
            query = sa.select(withdrawn.c.position, withdrawn.c.by, saying.c.stream)
            query = query.join(saying, saying.c.position == withdrawn.c.by)
            for position, by, stream in connection.execute(query.where(fresh)):
                self._graph.withdraw(position, by, stream)
            self._synced = end
        return self._graph

    @property
    def reading(self) -> threading.RLock:
        """What keeps the graph still while somebody walks it."""
        return self._reading


_SAYING = ("position", "digest", "stream", "sort", "issuer", "stated_at", "other", "due_at", "outcome")


def _indexed(connection: sa.Connection) -> int:
    return connection.execute(sa.select(progress.c.indexed)).scalar() or 0


def _last_forgotten(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.max(forgotten.c.number))).scalar() or 0
