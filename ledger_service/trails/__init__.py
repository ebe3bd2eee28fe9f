"""Trails: from a thing to all that is said of it, and on to what it went into, as far as a reader may see.

An index in the store follows the log at its own pace and says how far it has come; from it the statements of one trail
are gathered, and only these are folded. Everything in it follows from the statements: it can be made again at any time.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import nsmallest
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service.custody import Clock, Custody, Fact, Policy, Problem, Step, fold
from ledger_service.custody.facts import fact_of
from ledger_service.custody.trail import LegState
from ledger_service.envelope import Envelope
from ledger_service.errors import LedgerError
from ledger_service.handoffs import Closing, HandOff, TakenStep
from ledger_service.ledger import Ledger, Record, no_step, record_of
from ledger_service.sight import Sight
from ledger_service.store import among, chunks
from ledger_service.store.tables import anchor, content, fork, statement
from ledger_service.store.trail_tables import chain_unit, citation, mention, progress, saying, thing
from ledger_service.trails import holders
from ledger_service.trails.graph import Graph, Visible, is_substance
from ledger_service.trails.holding import Held, Holdings, Shipment
from ledger_service.trails.index import Index
from ledger_service.trails.reading import ThingSort
from ledger_service.uncollected import UNCOLLECTED

__all__ = [
    "Conflict",
    "Direction",
    "Gathered",
    "HeldThing",
    "Page",
    "Recall",
    "Shipment",
    "TooMuchToFold",
    "Trails",
    "UnknownThing",
]

BATCH = 500
"""How many statements one step of the index reads where nobody waits."""
READ_FIRST = 2_000
"""How many statements are read before a question is answered, if the index is behind."""
MAX_RECORDS = 50_000
MAX_HEADERS = 200_000
_ROUNDS = 4
_DEFAULTS = Policy()

Taken = Callable[[Sequence[bytes]], Mapping[bytes, Sequence[TakenStep]]]
"""The steps that the chain took of units."""


class UnknownThing(LedgerError):
    """No statement that this reader may see names the thing."""

    def __init__(self) -> None:
        super().__init__("no statement that you may see names it: compare the identifier with the label")


class TooMuchToFold(LedgerError):
    """More statements than one trail is folded from; ask for fewer things at a time."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} statements are about these things, at most {MAX_RECORDS} are folded: ask for fewer")


class Direction(StrEnum):
    """Which way a lineage is followed."""

    DESCENDANTS = "descendants"
    ANCESTORS = "ancestors"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the trails of some things are made from, as far as a reader sees it, by position.

    `things` are those asked for and what they travelled in; `streams` are the streams of `records`, `units` the units
    of the chain. `hidden` statements name one of the things and are not for this reader. Statements from position
    `indexed` on were not looked at.
    """

    things: tuple[str, ...]
    records: tuple[Record, ...]
    streams: tuple[bytes, ...]
    units: tuple[bytes, ...]
    hidden: int
    indexed: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a lineage: `items` in the order in which they first became known, `after` where the next page starts.

    `total` counts all that this reader sees, `hidden` those beyond.
    """

    thing: str
    direction: Direction
    total: int
    hidden: int
    items: tuple[str, ...]
    after: int | None
    indexed: int


@dataclass(frozen=True, slots=True)
class HeldThing:
    """A thing that a recall reaches: who has it, what it lies in, and what waits for an answer."""

    thing: str
    holders: tuple[bytes, ...]
    is_contested: bool
    within: str | None
    open: tuple[Shipment, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """Where some bad things are now, and all that they went into.

    `units` hold some of it now; `gone` did so once, and are used up, closed or emptied; `batches` are in many places
    at once, told by the units that they lie in. `hidden` single units are reached by statements that this reader may
    not see.
    """

    things: tuple[str, ...]
    units: tuple[HeldThing, ...]
    batches: tuple[str, ...]
    gone: tuple[str, ...]
    hidden: int
    at: int
    indexed: int

    @property
    def custodians(self) -> dict[bytes, int]:
        """How many of the units each member has, those with most first."""
        return dict(Counter(holder for unit in self.units for holder in unit.holders).most_common())

    @property
    def shipments(self) -> dict[Shipment, tuple[str, ...]]:
        """The offers that wait for an answer, each with those of the units that are on it."""
        found: dict[Shipment, list[str]] = defaultdict(list)
        for unit in self.units:
            for one in unit.open:
                found[one].append(unit.thing)
        ordered = sorted(found, key=lambda one: (one.despatched_at, one.despatch))
        return {one: tuple(found[one]) for one in ordered}


@dataclass(frozen=True, slots=True)
class Conflict:
    """One thing said to be several units of the chain, or one unit several things: all of it is contested.

    `sides` are the members whose statements say so; none of them need see the others'. `thing` is None where its name
    was erased.
    """

    thing: str | None
    units: tuple[bytes, ...]
    sides: tuple[bytes, ...]
    positions: tuple[int, ...]


class Trails:
    """What is known of things, over one ledger.

    `taken` gives the steps that the chain took of units; `key` makes the HMACs that the index finds things under.
    """

    def __init__(self, ledger: Ledger, taken: Taken, key: bytes, *, steps: Callable[[str], None] = no_step) -> None:
        self._ledger = ledger
        self._taken = taken
        self._index = Index(ledger.store, key, steps)
        self._counted: dict[tuple[Direction, int, int], int] = {}

    # The index

    @property
    def indexed(self) -> int:
        """How many statements, from the first on, have been read into the index."""
        return self._index.indexed

    def mac(self, thing: str) -> bytes:
        """The HMAC under which the index has a thing: it tells nobody without the key which thing it is."""
        return self._index.mac(thing)

    def follow(self, on_read: Callable[[frozenset[str]], None]) -> None:
        """Have `on_read` called, in whatever thread, with the kinds of the statements that were just read."""
        self._index.on_read = on_read

    def index(self, limit: int = BATCH) -> bool:
        """Read up to `limit` statements; whether there may be more."""
        return self._index.advance(limit) == limit

    def catch_up(self, limit: int = READ_FIRST) -> int:
        """Read what was registered last, up to `limit` statements; how many are still unread."""
        while limit > 0:
            read = self._index.advance(min(BATCH, limit))
            if not read:
                return 0
            limit -= read
        return max(self._ledger.size - self.indexed, 0)

    def rebuild(self) -> None:
        """Forget the index and make it again from the statements; it answers from what it has read so far."""
        self._index.rebuild()

    # What is said

    def gather(self, things: Iterable[str], sight: Sight | None, *, at: int | None = None) -> Gathered:
        """The statements that the trails of `things` (keys of identifiers) are made from, as far as `sight` shows them.

        None shows all. What is granted by single fields only is not seen here. With `at` (ms) only what was registered
        by then.
        Raises UnknownThing unless it may see a statement that names one of them.
        """
        with self._ledger.store.read() as connection, self._index.reading:
            graph = self._index.graph(connection)
            visible = self._index.visible(connection, sight)
            asked = self._numbers(connection, things)
            within = graph.carriers(asked, visible)
            named = self._named(connection, asked, visible)
            if not named[0]:
                raise UnknownThing
            seen, hidden = self._named(connection, within, visible)
            units = self._units(connection, within, visible)
            # What lies in a thing may have been packed into another: that is a finding about both.
            told = seen | graph.elsewhere(within, visible)
            positions = self._cited(connection, told, visible) | self._binding(connection, units, visible)
            if len(positions) > MAX_RECORDS:
                raise TooMuchToFold(len(positions))
            records = self._records(connection, positions)
            if at is not None:
                records = [one for one in records if one.registered_at <= at]
            names = self._index.names(connection, within)
            return Gathered(
                things=tuple(sorted(name for name, _ in names.values() if name is not None)),
                records=tuple(records),
                streams=tuple(sorted({one.header.stream for one in records})),
                units=tuple(sorted({unit for some in units.values() for unit in some})),
                hidden=len(hidden),
                indexed=_indexed_of(connection),
            )

    def custody(
        self,
        things: Iterable[str],
        sight: Sight | None,
        *,
        at: int,
        clock: Clock = Clock.REGISTERED,
        policy: Policy = _DEFAULTS,
    ) -> Custody:
        """Custody of `things` and of what they travelled in, as known at `at` (ms) by `clock`, in `sight`.

        Raises UnknownThing, TooMuchToFold.
        """
        return self.custody_of(self.gather(things, sight), at=at, clock=clock, policy=policy)

    def custody_of(
        self, gathered: Gathered, *, at: int, clock: Clock = Clock.REGISTERED, policy: Policy = _DEFAULTS
    ) -> Custody:
        """The fold of what was gathered."""
        known = {one.position for one in gathered.records}
        facts = self.facts(gathered.records)
        headers, dense = self._headers(gathered.streams, known, at, clock)
        steps = [Step.of(one) for some in self._taken(gathered.units).values() for one in some]
        custody = fold([*facts, *headers], steps, policy, at=at, clock=clock)
        # Of a stream without holes the numbers in between are there, and were not read.
        whole = (one.problem is Problem.STREAM_HOLE and one.stream in dense for one in custody.findings)
        findings = tuple(one for one, is_there in zip(custody.findings, whole, strict=True) if not is_there)
        return replace(custody, findings=findings)

    def facts(self, records: Sequence[Record], *, bare: bool = False) -> list[Fact]:
        """The facts that `records` are; with `bare` without their contents."""
        places = self._ledger.anchor_places(one.position for one in records)
        held: dict[int, Any] = {}
        with self._ledger.store.read() as connection:
            for chunk in () if bare else chunks([one.position for one in records]):
                query = sa.select(content.c.position, content.c.content).where(content.c.position.in_(chunk))
                held.update({row.position: row.content for row in connection.execute(query)})
        found = []
        for record in records:
            place = places.get(record.position)
            key = self._ledger.anchoring.membership.keys.get(record.signer)
            data = held.get(record.position)
            found.append(
                fact_of(
                    record.header,
                    record.digest,
                    record.registered_at,
                    None if place is None else place.anchored_at,
                    None if data is None else orjson.loads(data),
                    is_void=self._ledger.void(record) is not None,
                    is_disputed=place is not None and key is not None and key.is_disputed(place.anchored_at // 1000),
                )
            )
        return found

    # What went into what

    def lineage(
        self,
        thing: str,
        direction: Direction,
        sight: Sight | None,
        after: int | None = None,
        limit: int = 100,
    ) -> Page:
        """The things that `thing` went into, or that it came from, `limit` at a time; `after` is that of the page
        before.

        The order is that in which they first became known, so a page stays what it was. Raises UnknownThing.
        """
        with self._ledger.store.read() as connection, self._index.reading:
            graph = self._index.graph(connection)
            visible = self._index.visible(connection, sight)
            start = self._seen(connection, [thing], visible)
            found = _reach(graph, direction, start, visible)
            total = len(found) - 1
            hidden = self._reached(graph, direction, start[0]) - total if visible is not None else 0
            least = -1 if after is None else after
            rest = nsmallest(limit + 1, (one for one in found if one > least and one != start[0]))
            names = self._index.names(connection, rest[:limit])
            items = tuple(name for one in rest[:limit] if (name := names[one][0]) is not None)
            more = rest[limit - 1] if len(rest) > limit else None
            return Page(thing, direction, total, max(hidden, 0), items, more, _indexed_of(connection))

    def recall(
        self,
        things: Iterable[str],
        sight: Sight | None,
        *,
        at: int,
        policy: Policy = _DEFAULTS,
    ) -> Recall:
        """Every unit that holds `things`, or what was made of them, at `at` (ms, the present); who has it, and which
        shipments are open. Raises UnknownThing.

        A plain record is told from the index; every other one is folded.
        """
        with UNCOLLECTED:
            return self._recall(tuple(dict.fromkeys(things)), sight, at, policy)

    def _recall(self, asked: tuple[str, ...], sight: Sight | None, at: int, policy: Policy) -> Recall:
        with self._ledger.store.read() as connection, self._index.reading:
            graph = self._index.graph(connection)
            visible = self._index.visible(connection, sight)
            start = self._seen(connection, asked, visible)
            found, marks = graph.descend(start, visible)
            names = self._index.names(connection, found)
            singles = [one for one in found if names[one][1] == ThingSort.SINGLE]
            hidden = self._hidden(connection, graph, start, visible, found)
            answers, holdings = self._told(connection, graph, singles, visible, policy, at)
            holds = _hold_now(found, marks, answers, holdings, at)
            indexed = _indexed_of(connection)
        doubtful = [names[one][0] for one, held in answers.items() if held is None]
        folded: dict[str, Held] = {}
        if doubtful:
            known = [name for name in doubtful if name is not None]
            for some in chunks(known, 1_000):
                folded.update(self._folded(some, sight, at, policy))
        units, gone = [], []
        for one in sorted(singles):
            name = names[one][0]
            if name is None:
                continue
            held = answers[one] or folded.get(name, Held())
            ended = held.ended_at is not None and held.ended_at <= at
            if ended or one not in holds:
                gone.append(name)
                continue
            carrier = holdings.carrier(one)
            within = None if carrier is None else names.get(carrier, (None, 0))[0]
            units.append(HeldThing(name, held.holders, held.is_contested, within, held.open))
        batches = tuple(
            name for one in sorted(found) if names[one][1] == ThingSort.BATCH and (name := names[one][0]) is not None
        )
        return Recall(asked, tuple(units), batches, tuple(gone), hidden, at, indexed)

    def conflicts(self, start: int = 0, limit: int = 100) -> list[Conflict]:
        """Things opened twice on the chain, and units opened for two things, whoever said so.

        It looks across members who cannot see each other: tell each of the sides that its unit is contested, and
        nothing of the other's statement. Those told of since position `start`, oldest first.
        """
        with self._ledger.store.read() as connection:
            found: dict[tuple[str, bytes | int], list[Any]] = {}
            for column, other in ((chain_unit.c.thing, chain_unit.c.unit), (chain_unit.c.unit, chain_unit.c.thing)):
                twice = (
                    sa.select(column)
                    .where(chain_unit.c.opened == 1)
                    .group_by(column)
                    .having(sa.func.count(sa.distinct(other)) > 1)
                    .having(sa.func.max(sa.func.coalesce(chain_unit.c.position, 0)) >= start)
                    .order_by(sa.func.max(chain_unit.c.position))
                    .limit(limit)
                )
                rows = connection.execute(
                    sa.select(chain_unit, thing.c.name, statement.c.issuer)
                    .join(thing, thing.c.id == chain_unit.c.thing)
                    .outerjoin(statement, statement.c.position == chain_unit.c.position)
                    .where(column.in_(twice), chain_unit.c.opened == 1)
                    .order_by(chain_unit.c.number)
                )
                for row in rows:
                    found.setdefault((column.name, getattr(row, column.name)), []).append(row)
            conflicts = [
                Conflict(
                    rows[0].name,
                    tuple(sorted({row.unit for row in rows})),
                    tuple(sorted({row.issuer for row in rows if row.issuer is not None})),
                    tuple(sorted({row.position for row in rows if row.position is not None})),
                )
                for rows in found.values()
            ]
            continued = self._continued(connection, conflicts)
        return [one for one, is_explained in zip(conflicts, continued, strict=True) if not is_explained][:limit]

    # How

    def _reached(self, graph: Graph, direction: Direction, start: int) -> int:
        """How many things a lineage has for one who sees all of it; the last answers are remembered."""
        place = (direction, start, graph.version)
        count = self._counted.get(place)
        if count is None:
            if len(self._counted) >= 100:
                self._counted.clear()
            count = self._counted[place] = len(_reach(graph, direction, [start], None)) - 1
        return count

    def _continued(self, connection: sa.Connection, conflicts: Sequence[Conflict]) -> list[bool]:
        """Whether one side alone opened them all and its later openings name the units that they continue."""
        answers = []
        for one in conflicts:
            if len(one.sides) != 1 or len(one.units) < 2:
                answers.append(False)
                continue
            query = sa.select(citation.c.what, sa.func.count()).where(
                citation.c.what.in_(one.units), citation.c.position.in_(one.positions)
            )
            cited = sum(count - 1 for _, count in connection.execute(query.group_by(citation.c.what)))
            answers.append(cited >= len(one.units) - 1)
        return answers

    def _numbers(self, connection: sa.Connection, things: Iterable[str]) -> list[int]:
        numbers = (self._index.number(connection, one) for one in dict.fromkeys(things))
        return [one for one in numbers if one is not None]

    def _seen(self, connection: sa.Connection, things: Iterable[str], visible: Visible) -> list[int]:
        """The numbers of `things`; raises UnknownThing unless a statement that is visible names one of them."""
        numbers = self._numbers(connection, things)
        if visible is None and not numbers:
            raise UnknownThing
        known = [one for one in numbers if self._named(connection, [one], visible, enough=True)[0]]
        if not known:
            raise UnknownThing
        return known

    def _named(
        self, connection: sa.Connection, things: Sequence[int], visible: Visible, *, enough: bool = False
    ) -> tuple[set[int], set[int]]:
        """The positions of visible statements that name one of `things`, and those of the others; with `enough` one
        visible one will do.
        """
        seen: set[int] = set()
        hidden: set[int] = set()
        for chunk in chunks(things):
            query = sa.select(mention.c.position, saying.c.stream).join(saying, saying.c.position == mention.c.position)
            for position, stream in connection.execute(query.where(mention.c.thing.in_(chunk))):
                (seen if _sees(visible, stream, position) else hidden).add(position)
                if enough and seen:
                    return seen, hidden
        return seen, hidden

    def _cited(self, connection: sa.Connection, seen: Collection[int], visible: Visible) -> set[int]:
        """`seen`, and the visible statements that correct, explain, answer or complain of them, or bind addresses."""
        positions = set(seen)
        fresh = set(seen)
        for _ in range(_ROUNDS):
            names: set[bytes] = set()
            digests: set[bytes] = set()
            for chunk in chunks(sorted(fresh)):
                names.update(
                    connection.execute(sa.select(citation.c.what).where(citation.c.position.in_(chunk))).scalars()
                )
                query = sa.select(saying.c.digest).where(saying.c.position.in_(chunk))
                digests.update(connection.execute(query).scalars())
            found: set[int] = set()
            for chunk in chunks(sorted(digests | names)):
                query = sa.select(citation.c.position, saying.c.stream).join(
                    saying, saying.c.position == citation.c.position
                )
                rows = connection.execute(query.where(citation.c.what.in_(chunk)))
                found.update(position for position, stream in rows if _sees(visible, stream, position))
            for chunk in chunks(sorted(names)):
                query = sa.select(saying.c.position, saying.c.stream).join(
                    statement, statement.c.position == saying.c.position
                )
                rows = connection.execute(query.where(statement.c.digest.in_(chunk)))
                found.update(position for position, stream in rows if _sees(visible, stream, position))
            fresh = found - positions
            positions |= fresh
            if not fresh or len(positions) > MAX_RECORDS:
                break
        return positions

    def _records(self, connection: sa.Connection, positions: Collection[int]) -> list[Record]:
        records = []
        for chunk in chunks(sorted(positions)):
            query = sa.select(statement).where(statement.c.position.in_(chunk)).order_by(statement.c.position)
            records += [record_of(row) for row in connection.execute(query)]
        return records

    def _units(self, connection: sa.Connection, things: Sequence[int], visible: Visible) -> dict[int, list[bytes]]:
        """The units of the chain that visible statements say `things` are."""
        units: dict[int, list[bytes]] = defaultdict(list)
        for chunk in chunks(things):
            query = sa.select(chain_unit.c.thing, chain_unit.c.unit, saying.c.stream, saying.c.position).join(
                saying, saying.c.position == chain_unit.c.position
            )
            for number, unit, stream, position in connection.execute(query.where(among(chain_unit.c.thing, chunk))):
                if _sees(visible, stream, position) and unit not in units[number]:
                    units[number].append(unit)
        return dict(units)

    def _binding(self, connection: sa.Connection, units: Mapping[int, list[bytes]], visible: Visible) -> set[int]:
        """The visible statements by which members bind the one-time addresses that took over `units`."""
        taken = self._taken(sorted({unit for some in units.values() for unit in some}))
        steps = [one.step for some in taken.values() for one in some]
        addresses = sorted({one.offer.taker.rjust(32, b"\x00") for one in steps if isinstance(one, HandOff)})
        found: set[int] = set()
        for chunk in chunks(addresses):
            query = sa.select(citation.c.position, saying.c.stream).join(
                saying, saying.c.position == citation.c.position
            )
            rows = connection.execute(query.where(citation.c.what.in_(chunk)))
            found.update(position for position, stream in rows if _sees(visible, stream, position))
        return found

    def _headers(
        self, streams: Sequence[bytes], known: Collection[int], at: int, clock: Clock
    ) -> tuple[list[Fact], set[bytes]]:
        """The other statements of streams that miss a number at `at`, as headers; and the streams that miss none."""
        dense: set[bytes] = set()
        records: list[Record] = []
        forks: list[Fact] = []
        with self._ledger.store.read() as connection:
            bound = statement.c.registered_at <= at
            if clock is Clock.ANCHORED:
                query = sa.select(sa.func.max(anchor.c.size)).where(anchor.c.block_time_seconds * 1000 <= at)
                bound = statement.c.position < (connection.execute(query).scalar() or 0)
            disputed = [
                key.address
                for key in self._ledger.anchoring.membership.keys.values()
                if key.compromised_since is not None
            ]
            for stream in streams:
                here = statement.c.stream == stream
                numbers = sa.select(sa.func.count(), sa.func.max(statement.c.sequence)).where(here, bound)
                count, highest = connection.execute(numbers).one()
                query = sa.select(statement).where(here, bound).order_by(statement.c.sequence).limit(MAX_HEADERS)
                if count == (highest or 0):
                    dense.add(stream)
                    if not disputed:
                        continue
                    query = query.where(statement.c.signer.in_(disputed))
                records += [one for row in connection.execute(query) if (one := record_of(row)).position not in known]
            for chunk in chunks(streams):
                query = sa.select(fork.c.digest, fork.c.envelope, fork.c.noted_at).join(
                    statement, statement.c.position == fork.c.position
                )
                forks += [
                    fact_of(Envelope.parse(row.envelope).header, row.digest, row.noted_at, None, None)
                    for row in connection.execute(query.where(statement.c.stream.in_(chunk)))
                ]
            numbered = self._taken_numbers(connection, forks, known)
        return [*self.facts(records, bare=True), *forks, *self.facts(numbered, bare=True)], dense

    def _taken_numbers(self, connection: sa.Connection, forks: Sequence[Fact], known: Collection[int]) -> list[Record]:
        """The statements that hold the numbers of forks: without them a fork would have one side."""
        found = []
        for one in forks:
            query = sa.select(statement).where(statement.c.stream == one.stream, statement.c.sequence == one.sequence)
            row = connection.execute(query).first()
            if row is not None and row.position not in known:
                found.append(record_of(row))
        return found

    def _hidden(
        self, connection: sa.Connection, graph: Graph, start: Sequence[int], visible: Visible, found: Sequence[int]
    ) -> int:
        """How many single units are reached only by statements that are not visible."""
        if visible is None or all(visible.streams[1:]):
            return 0
        everything, _ = graph.descend(start, None)
        beyond = set(everything).difference(found)
        singles = 0
        for chunk in chunks(sorted(beyond)):
            query = sa.select(sa.func.count()).where(thing.c.id.in_(chunk), thing.c.sort == ThingSort.SINGLE)
            singles += connection.execute(query).scalar_one()
        return singles

    def _told(
        self,
        connection: sa.Connection,
        graph: Graph,
        things: Sequence[int],
        visible: Visible,
        policy: Policy,
        at: int,
    ) -> tuple[dict[int, Held | None], Holdings]:
        """Who has `things` at `at`, None for what only the fold can tell; and those whose rows were read for it."""
        packings = graph.packings(things, visible)
        packed = {one for _, child, carrier, _ in packings for one in (child, carrier)}
        issuers = self._once_ended()
        void = self._index.streams_of(connection, issuers)
        units = self._units(connection, things, visible)
        steps = self._taken([unit for some in units.values() for unit in some]) if units else {}

        def explains(number: int, answered: Mapping[bytes, bytes]) -> bool:
            own = units.get(number, ())
            if len(own) > 1:
                return False
            for unit in own:
                for one in steps.get(unit, ()):
                    step = one.step
                    if isinstance(step, Closing):
                        return False
                    if isinstance(step, HandOff) and answered.get(step.offer.statement) != step.acceptance:
                        return False
            return True

        def counts(stream: int) -> bool:
            return stream not in void and (visible is None or visible.shows(stream))

        own = holders.held(connection, (one for one in things if one not in packed), policy, at, counts=counts)
        on_chain = own.keys() & units.keys()
        for number, answered in holders.answered(connection, sorted(on_chain)).items():
            if not explains(number, answered):
                del own[number]
        others = [one for one in things if one not in own]
        rows = holders.rows_of(connection, others)
        seen = [one for one in rows if visible is None or visible.sees(one.stream, one.position)]
        doubtful = set(graph.withdrawn)
        doubtful |= {by for some in graph.withdrawn.values() for by in some}
        doubtful |= {row.position for row in seen if row.issuer in issuers}
        holdings = Holdings(seen, packings, policy, at, explains=explains, doubtful=frozenset(doubtful))
        return {one: own[one] if one in own else holdings.held(one) for one in things}, holdings

    def _once_ended(self) -> set[bytes]:
        """Members who were not active all the time, or whose keys were not: what they signed may be void, and the fold
        has to look.
        """
        membership = self._ledger.anchoring.membership
        issuers = {one.id for one in membership.members.values() if len(one.states) > 1}
        return issuers | {key.member for key in membership.keys.values() if key.end_block is not None}

    def _folded(self, names: Sequence[str], sight: Sight | None, at: int, policy: Policy) -> dict[str, Held]:
        gathered = self.gather(names, sight)
        facts = self.facts(gathered.records)
        steps = [Step.of(one) for some in self._taken(gathered.units).values() for one in some]
        custody = fold(facts, steps, policy, at=at)
        return {name: held_by_fold(custody, name) for name in names}


def held_by_fold(custody: Custody, name: str) -> Held:
    """Where a thing is, told by the fold: what the index has to say as well."""
    unit = custody.units.get(name)
    if unit is None:
        return Held()
    open_ = []
    for leg in unit.legs:
        if leg.state in (LegState.OFFERED, LegState.OVERDUE) and leg.carried_in is None and leg.offer is not None:
            assert leg.giver is not None
            assert leg.taker is not None
            open_.append((leg.start, leg.offer, leg.giver, leg.taker, leg.state is LegState.OVERDUE))
    shipments = tuple(
        Shipment(bytes.fromhex(offer[2:]), giver, taker, start, 0, overdue)
        for start, offer, giver, taker, overdue in sorted(open_)
    )
    return Held(unit.claims, unit.is_contested, unit.closed_at, shipments)


def _reach(graph: Graph, direction: Direction, start: Sequence[int], visible: Visible) -> list[int]:
    return graph.descend(start, visible)[0] if direction is Direction.DESCENDANTS else graph.ascend(start, visible)


def _hold_now(
    found: Sequence[int],
    marks: bytearray,
    answers: Mapping[int, Held | None],
    holdings: Holdings,
    at: int,
) -> set[int]:
    """Those that hold some of it themselves, and the carriers that something of it lies in now."""
    holds = {one for one in found if is_substance(marks[one])}
    waiting = list(holds)
    while waiting:
        one = waiting.pop()
        held = answers.get(one)
        if held is not None and held.ended_at is not None and held.ended_at <= at:
            continue
        carrier = holdings.carrier(one)
        if carrier is not None and carrier not in holds:
            holds.add(carrier)
            waiting.append(carrier)
    return holds


def _sees(visible: Visible, stream: int, position: int) -> bool:
    return visible is None or visible.sees(stream, position)


def _indexed_of(connection: sa.Connection) -> int:
    return connection.execute(sa.select(progress.c.indexed)).scalar() or 0
