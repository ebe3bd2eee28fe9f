"""What the log says of the network, read as it grows, and no more of it kept than may still count.

Of one member's facts about one thing the last few are kept, so that one that is taken back leaves the one before; of
goods those of half a year, after which nothing is on its way any more. What an older checkpoint knew is read from the
store again. Void, withheld and erased statements say nothing.
"""

from bisect import insort
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service import risk_kinds
from ledger_service.custody.kinds import Despatch, Receipt
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger, record_of
from ledger_service.store.risk_tables import FACT_KINDS, GOODS_KINDS, IS_GOODS, IS_RISK
from ledger_service.store.tables import content, statement
from ledger_service.store.trail_tables import forgotten
from risk.facts import Despatched, Facts, Goods, Known, OwnerOf, Received, Record, anybody, known, thing_of

LAST_FEW = 8
"""Facts of a member about a thing that are kept: as many less one may be taken back before an older one is missed."""
GOODS_DAYS = 180
"""How long goods are taken to be on their way at most."""
_KINDS = {"risk": IS_RISK, "goods": IS_GOODS}
_INDEX = {kind: f"INDEXED BY ix_statement_{kind}" for kind in _KINDS}


class Records:
    """The facts and goods of a ledger below what is anchored. Not for several threads at once."""

    def __init__(self, ledger: Ledger, batch: int, owner_of: OwnerOf = anybody) -> None:
        self._ledger = ledger
        self._batch = batch
        self._owner_of = owner_of
        self._forgotten = 0
        self._begin()

    def _begin(self) -> None:
        self.read = 0
        """Everything below this position has been read."""
        self.last: int | None = None
        """The position of the last statement that the network or what happens in it is made of."""
        self._facts: Facts | None = None
        self._kept = _Kept()
        self._last_fact: int | None = None
        self._goods: dict[int, Goods] = {}
        self._goods_from = 0
        self._last_goods: int | None = None
        self._since: datetime | None = None

    def follow(self) -> bool:
        """Read what was anchored since; whether something that had counted was erased, and all was read again."""
        end, is_anew = self._ledger.anchoring.anchored_size, False
        with self._ledger.store.read() as connection:
            gone = connection.execute(
                sa.select(forgotten.c.number, forgotten.c.position)
                .where(forgotten.c.number > self._forgotten)
                .order_by(forgotten.c.number)
            ).all()
            if gone:
                self._forgotten = gone[-1].number
                is_anew = any(self._kept.holds(row.position) or row.position in self._goods for row in gone)
                if is_anew:
                    self._begin()
            if self.read == end:
                return is_anew
            fresh: list[Record] = []
            for row in self._rows(connection, "risk", self.read, end):
                self._last_fact = row.position
                one = self._record(row)
                if one is not None:
                    fresh.append(one)
                    self._kept.take(row.position, one)
                    if one.fact.stated.corrects is not None:
                        self._facts = None  # what was kept back may hold again
            newest = self._first(_goods_since(self._time(end)))
            if not self.read:
                self._goods_from = newest
            moved = self._goods_between(connection, max(self.read, newest), end)
            self._goods |= moved
            if self._facts is not None:
                self._facts.take(one for one in fresh if self._kept.has(one))
                self._facts.follow(moved.values())
            self._last_goods = max(moved, default=self._last_goods)
            if self._last_goods is not None and self._last_goods < newest:
                self._last_goods = None  # on their way no more: as if they had never been, also for who begins anew
            self.last = max((one for one in (self._last_fact, self._last_goods) if one is not None), default=None)
            self.read = end
        return is_anew

    def are_any(self) -> bool:
        """Whether the ledger has any statement that risk is made of, goods apart."""
        with self._ledger.store.read() as connection:
            some = sa.select(statement.c.position).where(IS_RISK).limit(1)
            return connection.execute(some.with_hint(statement, _INDEX["risk"], "sqlite")).first() is not None

    def are_past(self, size: int) -> bool:
        """Whether statements that risk is made of came after a checkpoint of `size`."""
        return self.last is not None and self.last >= size

    def known(self, registered: datetime, day: date) -> Known:
        """What all that was read comes to on `day`, by a checkpoint whose last statement was `registered` then; none
        that risk is made of may have come after it (`are_past`).
        """
        since, as_of = _goods_since(registered), _as_of(registered, day)
        if self._facts is None or since != self._since:
            first = self._first(since)
            with self._ledger.store.read() as connection:
                earlier = self._goods_between(connection, first, min(self._goods_from, self.read))
            self._goods = {position: one for position, one in (earlier | self._goods).items() if position >= first}
            self._goods_from, self._since, self._facts = first, since, Facts(owner_of=self._owner_of)
            self._facts.take(self._kept)
            self._facts.follow(self._goods.values())
        return self._facts.known(as_of, day)

    def of(self, member: str) -> list[Record]:
        """The facts of a member that are kept, those first that were registered first."""
        return sorted((one for one in self._kept if one.issuer == member), key=lambda one: one.registered)

    def known_then(self, size: int, registered: datetime, day: date) -> Known:
        """What the statements below a checkpoint's `size`, the last one `registered` then, come to on `day`, read from
        the store alone; in any thread.
        """
        kept, since = _Kept(), _goods_since(registered)
        with self._ledger.store.read() as connection:
            for row in self._rows(connection, "risk", 0, size):
                one = self._record(row)
                if one is not None:
                    kept.take(row.position, one)
            goods = self._goods_between(connection, self._first(since), size)
        return known(kept, _as_of(registered, day), day, goods=goods.values(), owner_of=self._owner_of)

    # -- the store -----------------------------------------------------------------------------------------------------

    def _rows(self, connection: sa.Connection, which: str, start: int, end: int) -> Iterator[Any]:
        while start < end:
            rows = connection.execute(
                sa.select(statement, content.c.content)
                .outerjoin(content, content.c.position == statement.c.position)
                .where(_KINDS[which], statement.c.position >= start, statement.c.position < end)
                .order_by(statement.c.position)
                .limit(self._batch)
                .with_hint(statement, _INDEX[which], "sqlite")
            ).all()
            yield from rows
            start = rows[-1].position + 1 if len(rows) == self._batch else end

    def _goods_between(self, connection: sa.Connection, start: int, end: int) -> dict[int, Goods]:
        """What was handed over and received at positions from `start` to before `end`."""
        rows = self._rows(connection, "goods", start, end)
        return {row.position: one for row in rows if (one := self._moved(row)) is not None}

    def _time(self, size: int) -> datetime:
        """When the last of the first `size` statements was registered."""
        registered = self._ledger.registered_at(size - 1)
        assert registered is not None, "what is anchored is registered"
        return datetime.fromtimestamp(registered / 1000, UTC)

    def _first(self, since: datetime) -> int:
        """The first position registered at `since` or later, by bisection: registration times never fall."""
        low, high = 0, self._ledger.size
        while low < high:
            middle = (low + high) // 2
            if self._time(middle + 1) < since:
                low = middle + 1
            else:
                high = middle
        return low

    def _record(self, row: Any) -> Record | None:
        """The fact in a row, None for one that does not count."""
        if row.kind not in FACT_KINDS or row.content is None or self._ledger.void(record_of(row)) is not None:
            return None
        try:
            fact = risk_kinds.PARSERS[row.kind](orjson.loads(row.content))
        except MalformedInput:
            return None  # an earlier version took it
        return Record(to_hex(row.digest), row.kind, to_hex(row.issuer), _registered(row), fact)

    def _moved(self, row: Any) -> Goods | None:
        """What was handed over between two places that are named, or received; None for anything else."""
        if row.kind not in GOODS_KINDS or row.content is None or self._ledger.void(record_of(row)) is not None:
            return None
        issuer, registered = to_hex(row.issuer), _registered(row)
        try:
            if row.kind == "receipt":
                units = tuple(one.key for one in Receipt.parse(orjson.loads(row.content)).units)
                return Received(issuer, registered, units)
            sent = Despatch.parse(orjson.loads(row.content))
            leaves = datetime.fromtimestamp(sent.despatched_at / 1000, UTC).date()
        except (MalformedInput, ValueError, OverflowError):
            return None  # an earlier version took it, or it left before our era
        if sent.ship_from is None or sent.ship_to is None:
            return None
        lines = tuple(
            (unit.id.key, line.part, line.quantity, line.uom) for unit in sent.units for line in unit.contents
        )
        corrects = None if sent.corrects is None else to_hex(sent.corrects)
        return Despatched(to_hex(row.digest), issuer, registered, leaves, sent.ship_from, sent.ship_to, lines, corrects,
                          sent.arrives)  # fmt: skip


class _Kept:
    """The last few facts of each member about each thing."""

    def __init__(self) -> None:
        self._things: dict[tuple[str, ...], list[tuple[int, datetime, str, int]]] = {}
        self._records: dict[int, Record] = {}
        self._positions: dict[str, int] = {}

    def take(self, position: int, record: Record) -> None:
        """Keep one more, the records coming in the order of the log."""
        self._records[position], self._positions[record.statement] = record, position
        if record.kind == "continuity-plan":
            return  # none takes the place of another
        some = self._things.setdefault(thing_of(record), [])
        insort(some, (record.fact.stated.as_of, record.registered, record.statement, position))
        if len(some) > LAST_FEW:
            *_, name, oldest = some.pop(0)
            del self._records[oldest], self._positions[name]

    def holds(self, position: int) -> bool:
        return position in self._records

    def has(self, record: Record) -> bool:
        return record.statement in self._positions

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())


def _registered(row: Any) -> datetime:
    return datetime.fromtimestamp(row.registered_at / 1000, UTC)


def _as_of(registered: datetime, day: date) -> datetime:
    """As of when facts count: the time of the checkpoint, or the beginning of `day` if that is later."""
    return max(registered, datetime.combine(day, time(), UTC))


def _goods_since(registered: datetime) -> datetime:
    """From when on goods may be on their way at a checkpoint: by the day, so that it does not move all the time."""
    return datetime.combine(registered.astimezone(UTC).date() - timedelta(days=GOODS_DAYS), time(), UTC)
