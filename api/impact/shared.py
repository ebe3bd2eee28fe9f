"""The network that all members share, as it stood at a checkpoint, and each member's view of it.

Facts are read from the ledger once, as checkpoints come to cover them (`records`): a newer checkpoint costs what is new
in it, a restart and a new day read all facts again. That may take minutes, so threads of their own do it; whoever asks
meanwhile waits a moment and is then asked to come again. What was void or withheld never counted; what was erased
counts no more.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import cached_property
from typing import Generic, TypeVar

import sqlalchemy as sa

from api.impact.lane import Lane
from api.impact.records import Records
from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.bundle import NotYetAnchored
from ledger_service.errors import LedgerError
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger
from ledger_service.store.tables import anchor, checkpoint
from ledger_service.uncollected import UNCOLLECTED
from risk.facts import Known, OwnerOf, anybody
from risk.network import Inconsistency
from risk.sharing import Hit, LinkHit, View
from risk.sights import Sight, Sights

BATCH = 5_000
"""Facts that are read at once."""
KEPT_SITES = 400_000
"""Sites in all the networks that are kept in memory, in all sights of members, and in all views."""
PATIENCE_SECONDS = 5.0
"""How long whoever asks waits for facts that are being read."""
Kept = TypeVar("Kept")


class FactsBeingRead(LedgerError):
    """The facts of all members are being read, after a start or for another day."""

    def __init__(self) -> None:
        super().__init__("the facts of all members are being read: ask again in some seconds")


@dataclass(frozen=True)
class Checkpointed:
    """What is known on a day by the facts below a checkpoint's size.

    `checkpoint` is "<origin> <size> <root hex>"; `time` is when the last entry of it was registered.
    """

    checkpoint: str
    size: int
    time: datetime
    day: date
    known: Known

    @cached_property
    def owners(self) -> frozenset[bytes]:
        """The members who have sites in the network."""
        return frozenset(bytes.fromhex(one.owner[2:]) for one in self.known.network.sites.values())


@dataclass(frozen=True, slots=True)
class Aged:
    """A fact that is older than agreed, by the id of its statement."""

    statement: str
    kind: str
    days: Fraction


def short_as_planned(view: View, days: int) -> list[Inconsistency]:
    """Where stock at the reader's own sites does not last within `days` days though nothing happens.

    Most often goods that are on their way were not stated. Told by the reader's view alone.
    """
    arrays, sites = view.network.arrays, view.network.sites
    found = []
    for (site, part), slack in zip(arrays.bins, arrays.slack(days).tolist(), strict=True):
        if sites[site].owner == view.reader and slack < -1:
            what = (
                f"what lies there and is on its way is {math.ceil(-slack)} working days short until more can come, and "
                "every report counts what is lost by that: state what is on its way with the stock"
            )
            found.append(Inconsistency(view.reader, f"stock {site} {part}", what))
    return found


class SharedNetwork:
    """Keeps what members have stated current, checkpoint by checkpoint; `view_key` (32 bytes) makes ids in views.

    `owner_of` tells whose a number of a part is by the number itself.
    """

    def __init__(self, ledger: Ledger, view_key: bytes, *, batch: int = BATCH, owner_of: OwnerOf = anybody) -> None:
        self._ledger = ledger
        self._view_key = view_key
        self._records = Records(ledger, batch, owner_of)
        self._now, self._then = Lane("facts"), Lane("facts of then")
        self._lane = threading.Lock()
        """for what is kept"""
        self._drawing = threading.Lock()
        self._erasures = self._drawn_at = 0
        self._drawn_from: tuple[Checkpointed, Sights] | None = None
        self._networks: _Shelf[Checkpointed] = _Shelf(KEPT_SITES)
        self._sights: _Shelf[Sight] = _Shelf(KEPT_SITES)
        self._views: _Shelf[View] = _Shelf(KEPT_SITES)

    def at(self, size: int | None, day: date, *, patience: float | None = PATIENCE_SECONDS) -> Checkpointed:
        """The network on `day` at the anchored checkpoint of `size`.

        By default the one that first covers the last statement that risk is made of, so that whatever else is
        registered changes nothing. Facts grow older until `day`, also where nothing new was stated. Raises
        UnknownCheckpoint, and NotYetAnchored: until then a statement in it may turn out void; FactsBeingRead where that
        takes longer than `patience` (s), None: however long it takes.
        """
        found = _answer(self._now, (size, day), lambda: self._current(size, day), patience)
        if isinstance(found, Checkpointed):
            return found
        return _answer(self._then, found, lambda: self._past(*found, day), patience)

    def read_ahead(self, day: date) -> None:
        """Begin to read the facts of `day`, if there are any, without waiting for them."""
        self._now.ask(("ahead", day), lambda: self._current(None, day) if self._records.are_any() else None)

    def view(self, reader: bytes, at: Checkpointed, hits: Iterable[Hit | LinkHit] = (), requests: int = 0) -> View:
        """What the member `reader` may see of it and of `hits`, while `requests` of its questions are open."""
        happening = tuple(hits)
        key = (reader, at.size, at.day, happening, requests)
        with self._drawing, UNCOLLECTED:
            is_held = self._holds(at)
            kept = self._views.find(key) if is_held else None
            if kept is not None:
                return kept
            view = self._sight(reader, at).view(happening, requests)
            if is_held:
                self._views.put(key, view, len(view.seen))
            return view

    def sees(self, reader: bytes, at: Checkpointed, hits: Iterable[Hit | LinkHit]) -> bool:
        """Whether the member `reader` can see anything of `hits`; that needs no view."""
        with self._drawing:
            return self._sight(reader, at).sees(hits)

    def aged(self, member: bytes, at: Checkpointed) -> list[Aged]:
        """Which facts of `member` are older than agreed, those first that were registered first.

        Raises FactsBeingRead.
        """
        name, days = to_hex(member), at.known.aged
        stated = _answer(self._now, ("of", name), lambda: self._records.of(name), PATIENCE_SECONDS)
        own = [one for one in stated if one.statement in days]
        return [Aged(one.statement, one.kind, days[one.statement]) for one in own]

    # -- reading, in the threads for that ------------------------------------------------------------------------------

    def _current(self, size: int | None, day: date) -> "Checkpointed | tuple[int, str, datetime, int]":
        """The network on `day`; of a checkpoint that facts came after, what it takes to read that one anew."""
        if self._records.follow():
            with self._lane:
                self._erasures += 1
                self._networks.clear()
        number = self._erasures
        size, root, registered = self._checkpoint(size)
        with self._lane:
            kept = self._networks.find((size, day))
        if kept is not None:
            return kept
        if self._records.are_past(size):
            return size, root, registered, number
        return self._kept(size, root, registered, day, self._records.known(registered, day), number)

    def _past(self, size: int, root: str, registered: datetime, number: int, day: date) -> Checkpointed:
        return self._kept(size, root, registered, day, self._records.known_then(size, registered, day), number)

    def _kept(self, size: int, root: str, registered: datetime, day: date, known: Known, number: int) -> Checkpointed:
        """The network of what is known, to be found again unless something was erased meanwhile."""
        made = Checkpointed(f"{self._ledger.origin} {size} {root}", size, registered, day, known)
        with self._lane:
            if self._erasures == number:
                self._networks.put((size, day), made, len(known.network.sites))
        return made

    # -- drawing, one at a time ----------------------------------------------------------------------------------------

    def _holds(self, at: Checkpointed) -> bool:
        """Whether it is kept: not overtaken by an erasure. What was drawn before one goes with it."""
        with self._lane:
            number, is_held = self._erasures, self._networks.find((at.size, at.day)) is at
        if number != self._drawn_at:
            self._drawn_at, self._drawn_from = number, None
            self._sights.clear()
            self._views.clear()
        return is_held

    def _sight(self, reader: bytes, at: Checkpointed) -> Sight:
        if not self._holds(at):
            return self._of_all(at).of(to_hex(reader))
        key = (reader, at.size, at.day)
        kept = self._sights.find(key)
        if kept is None:
            kept = self._of_all(at).of(to_hex(reader))
            self._sights.put(key, kept, kept.sites)
        return kept

    def _of_all(self, at: Checkpointed) -> Sights:
        """What the sights of all readers have in common; of the checkpoint before it what has not changed."""
        if self._drawn_from is not None and self._drawn_from[0] is at:
            return self._drawn_from[1]
        known = at.known
        sights = Sights(
            known.network,
            key=self._view_key,
            checkpoint=at.checkpoint,
            exceptions=known.exceptions,
            alternatives=known.alternatives,
            qualifications=known.qualifications,
            routes=known.routes,
            plans=known.plans,
            doubts=known.doubts,
            site_names=known.site_names,
            part_names=known.part_names,
            part_numbers=known.part_numbers,
            before=None if self._drawn_from is None else self._drawn_from[1],
        )
        self._drawn_from = at, sights
        return sights

    def _checkpoint(self, size: int | None) -> tuple[int, str, datetime]:
        """Size, root and time of the anchored checkpoint of `size`, or of the first that covers all of risk."""
        query = sa.select(checkpoint.c.size, checkpoint.c.root, anchor.c.size.label("anchored")).outerjoin(
            anchor, anchor.c.size == checkpoint.c.size
        )
        if size is not None:
            query = query.where(checkpoint.c.size == size)
        else:
            last = self._records.last if self._records.last is not None else self._records.read - 1
            query = query.where(checkpoint.c.size > last).order_by(checkpoint.c.size)
        with self._ledger.store.read() as connection:
            row = connection.execute(query.limit(1)).first()
        if row is None:
            raise UnknownCheckpoint(
                "there is no checkpoint yet: it comes soon after the first statement"
                if size is None
                else f"no checkpoint has {size} statements"
            )
        if row.anchored is None:
            raise NotYetAnchored(f"the chain has not taken the checkpoint of {row.size} statements yet")
        registered = self._ledger.registered_at(row.size - 1)
        assert registered is not None, "a checkpoint covers what is registered"
        return row.size, row.root.hex(), datetime.fromtimestamp(registered / 1000, UTC)


def _answer(lane: Lane, key: Hashable, work: Callable[[], Kept], patience: float | None) -> Kept:
    try:
        return lane.ask(key, work).result(patience)
    except TimeoutError:
        raise FactsBeingRead from None


class _Shelf(Generic[Kept]):
    """What was made last and may be asked for again, up to so many sites in all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._things: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()

    def find(self, key: Hashable) -> Kept | None:
        if key not in self._things:
            return None
        self._things.move_to_end(key)
        return self._things[key][0]

    def put(self, key: Hashable, thing: Kept, sites: int) -> None:
        """Keep `thing`, in which there are so many sites."""
        _, before = self._things.pop(key, (thing, 0))
        self._things[key] = thing, max(sites, 1)
        self._held += max(sites, 1) - before
        while self._held > self._most and len(self._things) > 1:
            self._held -= self._things.popitem(last=False)[1][1]

    def clear(self) -> None:
        self._things.clear()
        self._held = 0
