"""The network that all members share, as it stood at a checkpoint, and each member's view of it.

Facts are read from the ledger once, as checkpoints come to cover them (`records`): a newer checkpoint costs what is new
in it, a restart reads all facts again. What was void or withheld never counted; what was erased counts no more.
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

from api.impact.records import Records
from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.bundle import NotYetAnchored
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger
from ledger_service.store.tables import anchor, checkpoint
from risk.facts import Known, OwnerOf, anybody
from risk.network import Inconsistency
from risk.sharing import Hit, LinkHit, View
from risk.sights import Sight, Sights

BATCH = 5_000
"""Facts that are read at once."""
KEPT_SITES = 400_000
"""Sites in all the networks that are kept in memory, in all sights of members, and in all views."""
Kept = TypeVar("Kept")


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
        self._lane = threading.RLock()
        self._records = Records(ledger, batch, owner_of)
        self._networks: _Shelf[Checkpointed] = _Shelf(KEPT_SITES)
        self._drawn_from: tuple[Checkpointed, Sights] | None = None
        self._sights: _Shelf[Sight] = _Shelf(KEPT_SITES)
        self._views: _Shelf[View] = _Shelf(KEPT_SITES)

    def at(self, size: int | None, day: date) -> Checkpointed:
        """The network on `day` at the anchored checkpoint of `size`.

        By default the one that first covers the last statement that risk is made of, so that whatever else is
        registered changes nothing. Facts grow older until `day`, also where nothing new was stated. Raises
        UnknownCheckpoint, and NotYetAnchored: until then a statement in it may turn out void.
        """
        with self._lane:
            if self._records.follow():
                self._drawn_from = None
                for kept in (self._networks, self._sights, self._views):
                    kept.clear()
            size, root, registered = self._checkpoint(size)
            return self._networks.get(
                (size, day), lambda: self._known(size, root, registered, day), lambda one: len(one.known.network.sites)
            )

    def view(self, reader: bytes, at: Checkpointed, hits: Iterable[Hit | LinkHit] = (), requests: int = 0) -> View:
        """What the member `reader` may see of it and of `hits`, while `requests` of its questions are open."""
        happening, whose = tuple(hits), (reader, at.size, at.day)
        with self._lane:
            if not self._networks.holds((at.size, at.day), at):
                return self._sight(reader, at).view(happening, requests)  # overtaken by an erasure: not to be kept
            sight = self._sights.get(whose, lambda: self._sight(reader, at), lambda one: one.sites)
            return self._views.get(
                (*whose, happening, requests), lambda: sight.view(happening, requests), lambda one: len(one.seen)
            )

    def aged(self, member: bytes, at: Checkpointed) -> list[Aged]:
        """Which facts of `member` are older than agreed, those first that were registered first."""
        name, days = to_hex(member), at.known.aged
        with self._lane:
            own = [one for one in self._records.of(name) if one.statement in days]
        return [Aged(one.statement, one.kind, days[one.statement]) for one in own]

    def _sight(self, reader: bytes, at: Checkpointed) -> Sight:
        return self._of_all(at).of(to_hex(reader))

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

    def _known(self, size: int, root: str, registered: datetime, day: date) -> Checkpointed:
        found = self._records.known(size, registered, day)
        return Checkpointed(f"{self._ledger.origin} {size} {root}", size, registered, day, found)


class _Shelf(Generic[Kept]):
    """What was made last and may be asked for again, up to so many sites in all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._things: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()

    def holds(self, key: Hashable, thing: Kept) -> bool:
        return key in self._things and self._things[key][0] is thing

    def get(self, key: Hashable, make: Callable[[], Kept], weigh: Callable[[Kept], int]) -> Kept:
        """What `make` gives, or gave for the same key; `weigh` says how many sites are in it."""
        if key not in self._things:
            made = make()
            weight = max(weigh(made), 1)
            self._things[key] = made, weight
            self._held += weight
            while self._held > self._most and len(self._things) > 1:
                self._held -= self._things.popitem(last=False)[1][1]
        self._things.move_to_end(key)
        return self._things[key][0]

    def clear(self) -> None:
        self._things.clear()
        self._held = 0
