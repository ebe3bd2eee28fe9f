"""From what members have stated, as of a checkpoint, to the network that all of them count in. Pure.

The shell brings records: who said which fact, and when it was registered. Of one issuer's facts about one thing the
newest holds; who may speak of a thing is its owner, for a link either of its ends, as long as the other end does not
say of others alone that they are its suppliers or customers. Two numbers are one part where those whom they belong to
say so. What does not fit is left out and told to whoever stated it, never to anybody else. Facts older than agreed are
used, and doubted in proportion.
"""

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from risk.alternatives import Alternative, Qualification, RouteAlternative
from risk.confidence import doubt
from risk.network import Calendar, Inconsistency, Lead, Line, Site, Stock, SupplyLink, SupplyNetwork, arrival
from risk.ordered import Ordered, Table
from risk.plans import ContinuityPlan, continuity_plans
from risk.routes import Mode, Passage, ShippingRoute
from risk.sharing import Level

AGREED_DAYS = {"stock": Fraction(1), "capacity": Fraction(30), "supply-link": Fraction(90)}
"""How old facts may be before they are doubted more, unless the consortium has agreed otherwise."""
_ABOUT = {
    "site": ("site",),
    "part": ("part",),
    "bill-of-material": ("site", "part"),
    "supply-link": ("supplier", "customer", "part"),
    "stock": ("site", "part"),
    "capacity": ("site", "part"),
    "qualification": ("supplier", "part", "customer"),
    "route-qualification": ("supplier", "part", "customer", "way"),
    "product-price": ("site", "part"),
}
_SPEAKS = {"bill-of-material": "site", "stock": "site", "capacity": "site", "product-price": "site",
           "qualification": "customer", "route-qualification": "customer"}  # fmt: skip
"""Whose site a fact must be about to count."""
_CHANGES = ("capacity", "product-price", "stock", "supply-link", "qualification", "route-qualification")
"""What changes from day to day: one of these has only what hangs on it read again."""
_LEVELS = {str(level): level for level in Level}
_COUNTS = ("capacity", "stock", "supply-link", "route-qualification")
"""Kinds that count one part in a unit; a bill of material counts several."""


@dataclass(frozen=True, slots=True)
class Record:
    """A fact as the log has it: the id of its statement, its kind, who said it, when it was registered.

    `fact` has the fields of its kind by name, `stated` among them with `as_of` (ms) and `corrects`.
    """

    statement: str
    kind: str
    issuer: str
    registered: datetime
    fact: Any


@dataclass(frozen=True, slots=True)
class Despatched:
    """What a member has handed over for another site of the network: `units` are (unit, part, amount, unit of measure).

    `statement` is its id, `corrects` that of the one that it takes the place of. It is on its way until a `Received`.
    It should be there on the day `arrives`; where that is not said, after the lead time of the link.
    """

    statement: str
    issuer: str
    registered: datetime
    leaves: date
    supplier: str
    customer: str
    units: tuple[tuple[str, str, Fraction, str], ...]
    corrects: str | None = None
    arrives: date | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """The units that a member says it has received, or refused: they are not on their way to it any more."""

    issuer: str
    registered: datetime
    units: tuple[str, ...]


Goods = Despatched | Received
OwnerOf = Callable[[str], str | None]
"""Whose a number of a part is by the number itself, as one below a member's own domain; None: that is not in it."""


def anybody(_: str) -> None:
    """No number says whose it is."""


@dataclass(frozen=True)
class Known:
    """What the records of a checkpoint come to. `aged` are statements older than agreed, with their age in days.

    `site_names` are what sites are called by their owners, `part_names` what parts are called: (part, member) → name.
    `part_numbers` are what members write for parts that go by several numbers: (part, member) → the first of its own;
    `own_numbers` are all of its own.
    """

    network: SupplyNetwork
    exceptions: Mapping[tuple[str, str], Level]
    doubts: Mapping[tuple[str, str], Fraction]
    recovery_days: Mapping[str, tuple[int, int, int]]
    alternatives: tuple[Alternative, ...]
    qualifications: tuple[Qualification, ...]
    aged: Mapping[str, Fraction]
    routes: tuple[RouteAlternative, ...] = ()
    plans: tuple[ContinuityPlan, ...] = ()
    site_names: Mapping[str, str] = field(default_factory=dict)
    part_names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    part_numbers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    own_numbers: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def inconsistencies_of(self, member: str) -> tuple[Inconsistency, ...]:
        """What `member` should put right; nobody else is told."""
        return tuple(one for one in self.network.inconsistencies if one.owner == member)


def known(
    records: Iterable[Record],
    at: datetime,
    day: date,
    agreed_days: Mapping[str, Fraction] | None = None,
    goods: Iterable[Goods] = (),
    owner_of: OwnerOf = anybody,
) -> Known:
    """The network on `day` by what was registered up to `at`, the time of the checkpoint.

    `agreed_days` is how old each kind may be; `goods` are what was handed over and received. Raises MalformedFact for a
    fact that is wrong in itself.
    """
    facts = Facts(agreed_days, owner_of)
    facts.take(records)
    facts.follow(goods)
    return facts.known(at, day)


class Facts:
    """The facts of a log as it grows: what they come to at one checkpoint after the other.

    ``facts.take(records)`` as the log has more, in any order and each once; ``facts.known(at, day)`` is then equal to
    ``known(all records, at, day)``. One changed link, stock, capacity, price or qualification costs milliseconds,
    whatever the size of the network; what is new in kind (a site, a part, a bill of material, another day, a
    checkpoint before the last one) has everything read again. What it gave before stays as it was. Not for several
    threads at once.
    """

    def __init__(self, agreed_days: Mapping[str, Fraction] | None = None, owner_of: OwnerOf = anybody) -> None:
        self._owner_of = owner_of
        self._agreed_days = {**AGREED_DAYS, **(agreed_days or {})}
        self._records: list[Record] = []
        self._plans: list[Record] = []
        self._waiting: list[Record] = []
        self._goods: list[Goods] = []
        self._goods_waiting: list[Goods] = []
        self._reading: _Reading | None = None

    def take(self, records: Iterable[Record]) -> None:
        """Add what the log has more."""
        records = list(records)
        self._plans += [one for one in records if one.kind == "continuity-plan"]
        some = [one for one in records if one.kind in _ABOUT]
        self._records += some
        self._waiting += some

    def follow(self, goods: Iterable[Goods]) -> None:
        """Add what was handed over and received since.

        What was handed over after the customer's stock was counted is on its way besides what that says; what was
        before is taken to be in it.
        """
        some = list(goods)
        self._goods += some
        self._goods_waiting += some

    def known(self, at: datetime, day: date) -> Known:
        """What was registered up to `at` comes to on `day`. Raises MalformedFact as `known` does."""
        # Where a fact is wrong in itself nothing half read may stay behind.
        reading, self._reading = self._reading, None
        waiting, goods = self._waiting, self._goods_waiting
        if reading is None or reading.day != day or at < reading.at:
            reading, waiting, goods = None, self._records, self._goods
        due = [one for one in waiting if one.registered <= at]
        if reading is None or not reading.goes_on(due, [one for one in goods if one.registered <= at], at):
            waiting, goods = self._records, self._goods
            moved = [one for one in goods if one.registered <= at]
            due = [one for one in waiting if one.registered <= at]
            reading = _Reading(due, moved, at, day, self._agreed_days, self._owner_of)
        found = reading.known()
        self._reading, self._waiting = reading, [one for one in waiting if one.registered > at]
        self._goods_waiting = [one for one in goods if one.registered > at]
        plans, wrong = continuity_plans(one for one in self._plans if one.registered <= at)
        if not wrong:
            return replace(found, plans=plans)
        told = [Inconsistency(one.issuer, f"continuity-plan {one.statement}", one.what) for one in wrong]
        network = found.network.telling(told)
        return replace(found, plans=plans, network=network)


Place = tuple[str, ...]


class _Reading:
    """Records of one day that have been read, thing by thing, and what they come to.

    `current` is what holds of each thing by each issuer, `there` what of it counts at each place: the last one.
    """

    def __init__(
        self,
        records: Iterable[Record],
        goods: Iterable[Goods],
        at: datetime,
        day: date,
        agreed_days: Mapping[str, Fraction],
        owner_of: OwnerOf,
    ) -> None:
        self.at = at
        self.day = day
        self.agreed_days = agreed_days
        self.told: dict[tuple[str, Place], tuple[Inconsistency, ...]] = {}
        self.by_id: dict[str, Record] = {}
        self.said: dict[Place, list[Record]] = {}
        self.corrections: dict[str, list[tuple[str, str]]] = {}
        for one in records:
            self._note(one)
        newest = {key: self._newest(key) for key in self.said}
        self.current = {key: record for key, record in newest.items() if record is not None}
        of: dict[str, list[Record]] = {kind: [] for kind in _ABOUT}
        for one in sorted(self.current.values(), key=_when):
            of[one.kind].append(one)
        # Whose a site is and what a part is counted in goes by who said so first, however often it is said again.
        self.sites = self._sites(sorted(of["site"], key=self._first_said))
        self.parts, self.units = self._parts(of["part"], owner_of)
        self.declared = frozenset(self.units)
        self.counted: dict[str, list[tuple[datetime, str, str]]] = defaultdict(list)
        self.there: dict[str, dict[Place, list[Record]]] = {kind: {} for kind in _SPEAKS | {"supply-link": ""}}
        self.said_by_end: dict[tuple[Place, Place], bool] = {}
        self.listed: Counter[Place] = Counter()
        self.claimed: Counter[Place] = Counter()
        self.is_overturned = False
        for kind in self.there:
            for one in of[kind]:
                self._put(one)
        self.units |= {name: some[0][2] for name, some in self.counted.items()}
        own_sites = [one for one in of["site"] if self.sites[one.fact.site].owner == one.issuer]
        self.site_names = {one.fact.site: one.fact.name for one in own_sites if one.fact.name is not None}
        self.recovery_days = {
            one.fact.site: one.fact.recovery_days for one in own_sites if one.fact.recovery_days is not None
        }
        self.part_names = {
            (self.name(one.fact.part), one.issuer): one.fact.name for one in of["part"] if one.fact.name is not None
        }
        self.several = {self.name(one) for one in self.parts}
        self.own_numbers: dict[tuple[str, str], frozenset[str]] = {}
        for one in self.current.values():
            for part in _numbers(one):
                here = (self.name(part), one.issuer)
                if here[0] in self.several:
                    self.own_numbers[here] = self.own_numbers.get(here, frozenset()) | {part}
        self.part_numbers = {here: min(numbers) for here, numbers in self.own_numbers.items()}
        self.by_age = {
            kind: Ordered(sorted(map(_as_of, of.get(kind, ()))), _itself) for kind in sorted(self.agreed_days)
        }
        self.moving: dict[Place, dict[str, Despatched]] = defaultdict(dict)
        self.despatched: dict[str, Despatched] = {}
        self.arrived: dict[str, set[str]] = defaultdict(set)
        self.units_moving: dict[str, set[Place]] = defaultdict(set)
        self._move(goods)
        made = self.there["capacity"].keys() | self.there["bill-of-material"].keys()
        lines = [self._line((site, part)) for site, part in made]
        stocks = {(site, part): self._stock((site, part)) for site, part in self.there["stock"]}
        links = {place: self._link(place) for place in self.there["supply-link"]}
        self.network = SupplyNetwork.of(
            day,
            self.sites.values(),
            [one for one in lines if one is not None],
            [one[0] for one in links.values() if one is not None],
            [one for one in stocks.values() if one is not None],
        )
        self.exceptions = Table({key: level for one in links.values() if one is not None for key, level in one[1]})
        self.counts = Table(
            {
                place: self.there["stock"][place][-1].fact.stated.as_of
                for place, one in stocks.items()
                if one is not None
            }
        )
        self._qualify()
        self.is_overturned = False

    def goes_on(self, records: Iterable[Record], goods: Iterable[Goods], at: datetime) -> bool:
        """Whether what is read can go on with `records` and `goods`, up to `at`; if not, all has to be read again."""
        self.at = at
        some = list(records)
        if any(one.kind not in _CHANGES for one in some):
            return False
        keys = {key for one in some for key in self._note(one)}
        if any(key[0] not in _CHANGES for key in keys):
            return False
        places: set[tuple[str, Place]] = {("supply-link", place) for place in self._move(goods)}
        names: set[str] = set()
        for key in keys:
            before, after = self.current.get(key), self._newest(key)
            if before is after:
                continue
            some = [one for one in (before, after) if one is not None]
            if len(some) == 1 and any(self._is_renamed(part, some[0].issuer, after) for part in _numbers(some[0])):
                return False
            for one in some:
                places.add((one.kind, self._place(one)))
                names |= {self.name(part) for part, _ in _counts(one)}
            if key[0] == "stock":
                some += [other for one in some[:1] for other in self.there["stock"].get(self._place(one), ())]
            # What is on the way over a link is said with the stock that it comes to.
            places |= {
                ("supply-link", (source, *self._place(one)))
                for one in some
                if one.kind == "stock"
                for source, _, _ in one.fact.on_the_way
            }
            if key[0] == "stock":
                counted = {self._place(one) for one in some}
                places |= {("supply-link", place) for place in self.moving if place[1:] in counted}
            self._replace(key, before, after)
        if self.is_overturned:
            return False
        for name in names:
            first = self.counted.get(name)
            if first is not None and self.units.get(name) != (first[0][2] if first else None):
                return False  # others count it differently now, or nobody does
        return self._change(places)

    def known(self) -> Known:
        """What it comes to."""
        return Known(
            network=self.network.telling(one for some in self.told.values() for one in some),
            exceptions=self.exceptions,
            doubts=_Doubts(self.counts, self.at, self.agreed_days["stock"]),
            recovery_days=self.recovery_days,
            alternatives=self.alternatives,
            qualifications=self.qualifications,
            routes=self.routes,
            aged=_Aged(self.by_age, self.at, self.agreed_days),
            site_names=self.site_names,
            part_names=self.part_names,
            part_numbers=self.part_numbers,
            own_numbers=self.own_numbers,
        )

    def _is_renamed(self, part: str, issuer: str, after: Record | None) -> bool:
        """Whether what `issuer` writes for a part may be another number, now that a fact with `part` comes or goes."""
        name = self.name(part)
        return name in self.several and (after is None or self.part_numbers.get((name, issuer)) != part)

    def name(self, part: str) -> str:
        """The one name of a part that goes by several numbers."""
        while part in self.parts:
            part = self.parts[part]
        return part

    # --- which records hold -----------------------------------------------------------------------------------

    def _note(self, record: Record) -> list[Place]:
        """Keep `record`; the things of which another one may hold now."""
        key = thing_of(record)
        self.by_id[record.statement] = record
        self.said.setdefault(key, []).append(record)
        if record.fact.stated.corrects is None:
            return [key]
        target = _hex(record.fact.stated.corrects)
        self.corrections.setdefault(target, []).append((record.kind, record.issuer))
        return [key, thing_of(self.by_id[target])] if target in self.by_id else [key]

    def _newest(self, key: Place) -> Record | None:
        return max(
            (
                one
                for one in self.said[key]
                if (one.kind, one.issuer) not in self.corrections.get(one.statement, ())
            ),
            key=lambda one: (one.fact.stated.as_of, *_when(one)),
            default=None,
        )  # fmt: skip

    def _first_said(self, record: Record, name: str = "", value: str = "") -> tuple[datetime, str]:
        """When its issuer first said something of the same thing, or first with `value` in the field `name`."""
        return min(
            _when(one)
            for one in self.said[thing_of(record)]
            if not name or getattr(one.fact, name) == value or (name == "same_as" and value in one.fact.same_as)
        )

    def _replace(self, key: Place, before: Record | None, after: Record | None) -> None:
        """`after` holds of the thing `key` from now on, in place of `before`."""
        if before is not None:
            self._take_away(before)
            del self.current[key]
        if after is not None:
            self.current[key] = after
            self._put(after)
        kind = key[0]
        if kind in self.by_age:
            changes: dict[tuple[int, str], list[tuple[int, str]]] = {}
            if before is not None:
                changes[_as_of(before)] = []
            if after is not None:
                changes[_as_of(after)] = [_as_of(after)]
            self.by_age[kind] = self.by_age[kind].changed(changes)

    def _place(self, record: Record) -> Place:
        """Where it counts: things that are one under several numbers have one place."""
        about = (self.name(getattr(record.fact, one)) if one == "part" else getattr(record.fact, one)
                 for one in _ABOUT[record.kind])  # fmt: skip
        return tuple(about)

    def _put(self, record: Record) -> None:
        """Let it count, if its issuer may speak of that."""
        wrong = self._wrong(record)
        if wrong is not None:
            self.told["speaks", thing_of(record)] = (_tell(record, wrong),)
            return
        insort(self.there[record.kind].setdefault(self._place(record), []), record, key=_when)
        if record.kind == "supply-link":
            self._list(self._place(record))
        for part, uom in _counts(record):
            if self.name(part) not in self.declared:
                insort(self.counted[self.name(part)], (*_when(record), uom))

    def _take_away(self, record: Record) -> None:
        if self.told.pop(("speaks", thing_of(record)), None) is not None:
            return
        place = self._place(record)
        here = self.there[record.kind][place]
        here.remove(record)
        if not here:
            del self.there[record.kind][place]
        if record.kind == "supply-link":
            self._list(place)
        for part, uom in _counts(record):
            if self.name(part) not in self.declared:
                self.counted[self.name(part)].remove((*_when(record), uom))

    def _list(self, place: Place) -> None:
        """Note which ends of a link say that there is one.

        Where an end has said so of any link with a part, what others claim of it beyond that does not count: else
        whoever names a site would be shown it as its partner.
        """
        issuers = {one.issuer for one in self.there["supply-link"].get(place, ())}
        for end in _ends(place):
            before = self.said_by_end.pop((end, place), None)
            after = self.sites[end[1]].owner in issuers if issuers else None
            if after is not None:
                self.said_by_end[end, place] = after
            if before == after:
                continue
            was, had = self.listed[end] > 0, self.claimed[end]
            self.listed[end] += (after is True) - (before is True)
            self.claimed[end] += (after is False) - (before is False)
            self.is_overturned |= was != (self.listed[end] > 0) and bool(had or self.claimed[end])

    def _wrong(self, record: Record) -> str | None:
        """Why the issuer may not speak of what the fact is about, if so."""
        sites = self.sites
        if record.kind == "supply-link":
            ends = [sites[one] for one in (record.fact.supplier, record.fact.customer) if one in sites]
            if len(ends) < 2:
                return "names a site that nobody has described"
            if record.issuer not in (ends[0].owner, ends[1].owner):
                return "is stated by somebody who is neither its supplier nor its customer"
            return None
        key = getattr(record.fact, _SPEAKS[record.kind])
        if key not in sites:
            return f"names the site {key}, which nobody has described"
        return None if sites[key].owner == record.issuer else "is stated by somebody whose site it is not"

    # --- what they come to ------------------------------------------------------------------------------------

    def _change(self, places: set[tuple[str, Place]]) -> bool:
        """Read what hangs on `places` (kind, place) again; False if a line comes or goes: then read everything."""
        network = self.network
        out = {_whose(one): one for one in network.left_out}
        stocks, links, unstocked, without = [], [], [], []
        lines: dict[tuple[str, str], Line] = {}
        exceptions: dict[tuple[str, str], Level] = {}
        unexcepted: set[tuple[str, str]] = set()
        counts: dict[tuple[str, str], int] = {}
        for kind, place in sorted(places):
            where = (place[0], place[-1])
            if kind in ("capacity", "product-price"):
                line, old_lines = self._line(where), network.lines.of(where)
                if (line is None) == bool(old_lines):
                    return False
                if line is not None and (line,) != old_lines:
                    lines[where] = line  # once, where what it makes and what that costs change together
            elif kind == "stock":
                stock = self._stock(where)
                if stock is None:
                    unstocked.append(where)
                    continue
                counts[where] = self.there["stock"][where][-1].fact.stated.as_of
                if stock not in (*network.stocks.of(where), out.get(("Stock", *where))):
                    stocks.append(stock)
            elif kind == "supply-link":
                key, found = _link_key(place), self._link(place)
                unexcepted |= set(self.exceptions.between((key, ""), (f"{key}\0", "")))
                before = [*network.links.of(key), out.get(("SupplyLink", key))]
                if found is None:
                    without += [key] if any(before) else []
                    continue
                exceptions |= dict(found[1])
                if found[0] not in before:
                    links.append(found[0])
        if lines or stocks or links or unstocked or without:
            self.network = network.with_changes(
                links=links, lines=lines.values(), stocks=stocks, without=without, unstocked=unstocked
            )
        if exceptions or unexcepted:
            self.exceptions = self.exceptions.changed(exceptions, unexcepted - exceptions.keys())
        if counts or unstocked:
            self.counts = self.counts.changed(counts, unstocked)
        if any(
            kind in ("qualification", "route-qualification")
            or (kind == "capacity" and place in self.qualified)
            or (kind == "supply-link" and place in self.routed)
            for kind, place in places
        ):
            self._qualify()
        return True

    def _say(self, about: str, place: Place, told: list[Inconsistency]) -> None:
        if told:
            self.told[about, place] = tuple(told)
        else:
            self.told.pop((about, place), None)

    def _last(self, kind: str, place: Place) -> Record | None:
        some = self.there[kind].get(place)
        return some[-1] if some else None

    def _misfit(self, record: Record, part: str | None = None, uom: str | None = None) -> list[Inconsistency]:
        """What is wrong with the unit in which the fact counts the part, if anything."""
        number = part or record.fact.part
        counted, stated = self.units[self.name(number)], uom or record.fact.uom
        if counted == stated:
            return []
        return [_tell(record, f"counts {number} in {stated}, which is counted in {counted}")]

    def _sites(self, records: Iterable[Record]) -> dict[str, Site]:
        sites: dict[str, Site] = {}
        kinds: dict[Calendar, Calendar] = {}
        for one in records:
            fact = one.fact
            if fact.site in sites:
                wrong = "another member has described this site before: settle whose it is"
                self.told["speaks", thing_of(one)] = (_tell(one, wrong),)
                continue
            calendar = Calendar(frozenset(day - 1 for day in fact.weekdays), frozenset(fact.holidays))
            sites[fact.site] = Site(
                fact.site,
                one.issuer,
                fact.region,
                None if fact.latitude is None else float(fact.latitude),
                None if fact.longitude is None else float(fact.longitude),
                fact.locode,
                kinds.setdefault(calendar, calendar),
            )
        return sites

    def _parts(self, records: Sequence[Record], owner_of: OwnerOf) -> tuple[dict[str, str], dict[str, str]]:
        """Other numbers → the number that they go by here, and the unit of each part.

        A number belongs to the member whose it is by itself, once that has described the part, else to whoever was the
        first to; it is counted as that member says. Two numbers are one part as soon as the members that they belong to
        say so; nobody else's word counts.
        """
        names: dict[str, str] = {}
        self.parts = names
        units: dict[str, str] = {}
        several = {part for part, count in Counter(one.fact.part for one in records).items() if count > 1}
        strangers = {
            one.statement: one.fact.part in several and one.issuer != owner_of(one.fact.part) for one in records
        }

        def by_unit(one: Record) -> tuple[bool, tuple[datetime, str]]:
            return strangers[one.statement], self._first_said(one, "uom", one.fact.uom)

        for one in sorted(records, key=by_unit):
            counted = units.setdefault(one.fact.part, one.fact.uom)
            if counted != one.fact.uom:
                wrong = f"others count this part in {counted}, not in {one.fact.uom}"
                self.told["speaks", thing_of(one)] = (_tell(one, wrong),)
        pairs: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for one in records:
            for other in one.fact.same_as:
                pairs[min(one.fact.part, other), max(one.fact.part, other)].append(one)
        owners: dict[str, str] = {}
        for one in (
            sorted(records, key=lambda each: (strangers[each.statement], self._first_said(each))) if pairs else ()
        ):
            owners.setdefault(one.fact.part, one.issuer)
        agreed = []
        for pair, said in pairs.items():
            told_by = [[one for one in said if one.issuer == owners.get(number)] for number in pair]
            if all(told_by):
                since = [min(self._first_said(one, "same_as", _other(pair, one)) for one in some) for some in told_by]
                agreed.append((max(since), pair))
            for one in said:
                # Whoever owns neither is told the same, whatever their owners say: that is not for others.
                if not all(told_by) or one.issuer not in {owners[number] for number in pair}:
                    self._tell_same(pair, one, "is {} as well only once those whom both numbers belong to say so: "
                                    "ask for the fact `part` of the other one")  # fmt: skip
        for _, pair in sorted(agreed):
            end, root = sorted(self.name(number) for number in pair)
            if units[end] == units[root] and end != root:
                names[root] = end
            elif end != root:
                # Joined, what is counted otherwise would count for nothing wherever it is used.
                for one in pairs[pair]:
                    if one.issuer in {owners[number] for number in pair}:
                        self._tell_same(pair, one, "is not {} as well, which is counted in another unit")
        return names, units

    def _tell_same(self, pair: tuple[str, str], record: Record, what: str) -> None:
        other = _other(pair, record)
        self.told["same", (*thing_of(record), other)] = (_tell(record, what.format(other)),)

    def _line(self, place: tuple[str, str]) -> Line | None:
        """What is made at `place`, if anybody says how much of it."""
        told: list[Inconsistency] = []
        bill, capacity = self._last("bill-of-material", place), self._last("capacity", place)
        line = None
        if capacity is not None:
            line = self._line_of(place, capacity, bill, told)
        elif bill is not None:
            told.append(_tell(bill, "says what goes into it, and nobody says how much of it is made"))
        self._say("line", place, told)
        return line

    def _line_of(
        self, place: tuple[str, str], capacity: Record, bill: Record | None, told: list[Inconsistency]
    ) -> Line | None:
        site, part = place
        told += self._misfit(capacity)
        if told:
            return None
        needs: dict[str, Fraction] = {}
        essential: dict[str, bool] = {}
        if bill is not None:
            told += [wrong for need, _, uom in bill.fact.needs for wrong in self._misfit(bill, need, uom)]
            if told:
                return None  # made of the rest alone it would look safe
            for need, amount, _ in bill.fact.needs:
                needs[self.name(need)] = needs.get(self.name(need), Fraction(0)) + amount
            if part in needs:
                told.append(_tell(bill, "is made of itself, under another number"))
                return None
            # What goes by several numbers can be done without where all of them can.
            said = dict(bill.fact.essential)
            for need, _, _ in bill.fact.needs:
                name = self.name(need)
                if need in said and essential.get(name) is not True:
                    essential[name] = said[need]
            for need, _, _ in bill.fact.needs:
                if need not in said:
                    essential.pop(self.name(need), None)
        price = self._last("product-price", place)
        cents, currency = (None, None) if price is None else (price.fact.minor_units, price.fact.currency)
        return Line(site, part, capacity.fact.planned, capacity.fact.most, needs, cents, currency, essential)

    def _stock(self, place: tuple[str, str]) -> Stock | None:
        one = self._last("stock", place)
        told = [] if one is None else self._misfit(one)
        self._say("stock", place, told)
        return None if one is None or told else Stock(*place, one.fact.amount)

    def _link(self, place: Place) -> tuple[SupplyLink, list[tuple[tuple[str, str], Level]]] | None:
        """The link, and who is shown how much of it; where both ends state one, the customer's figures hold and the
        lower of the two levels.
        """
        supplier, customer, part = place
        stated = self.there["supply-link"].get(place, [])
        told = [wrong for one in stated for wrong in self._misfit(one)]
        self._say("link", place, told)
        self._say("late", place, [])
        facts = [one for one in stated if not self._misfit(one)] if told else stated
        if not facts:
            return None
        for end in _ends(place):
            if self.listed[end] and not self.said_by_end[end, place]:
                wrong = f"is not among those that its {end[0]} states for this part: ask it to state this one too"
                self._say("link", place, [_tell(one, wrong) for one in stated])
                return None
        fact = next((one for one in facts if one.issuer == self.sites[customer].owner), facts[0]).fact
        key = _link_key(place)
        level = min((_LEVELS[one.fact.level] for one in facts), key=lambda one: one.rank)
        exceptions = []
        for member in {member for one in facts for member, _ in one.fact.levels}:
            each = [_LEVELS[dict(one.fact.levels).get(member, one.fact.level)] for one in facts]
            exceptions.append(((key, _hex(member)), min(each, key=lambda one: one.rank)))
        coming: dict[date, Fraction] = {}
        stock = self._last("stock", (customer, part))
        if stock is not None and not self._misfit(stock):
            for source, arrives, amount in stock.fact.on_the_way:
                if source == supplier:
                    due = max(arrives, self.day)
                    coming[due] = coming[due] + amount if due in coming else amount
        sails = None if fact.sails is None else frozenset(day - 1 for day in fact.sails)
        lead = Lead(fact.lead_days, fact.is_working_days, sails)
        late = []
        for one, amount in self._under_way(place, None if stock is None else stock.fact.stated.as_of):
            due = one.arrives or arrival(lead, self.sites[customer].calendar, one.leaves)
            if due < self.day:
                was, due = due, self.day + timedelta(days=1)
                wrong = f"should have come on {was}, and nobody has received it: it is taken to come on {due}"
                late.append(Inconsistency(one.issuer, f"despatch {one.statement}", wrong))
                wrong = f"goods from {supplier} should have come on {was}, and are taken to come on {due}: receive them"
                late.append(Inconsistency(self.sites[customer].owner, f"site {customer}", wrong))
            coming[due] = coming[due] + amount if due in coming else amount
        self._say("late", place, late)
        link = SupplyLink(key, supplier, customer, part, fact.share, lead, fact.most_per_day, coming, fact.since,
                          str(level), _route(fact.route))  # fmt: skip
        return link, exceptions

    def _move(self, goods: Iterable[Goods]) -> set[Place]:
        """Keep what was handed over and received; the links (supplier, customer, part) on which that is."""
        touched: set[Place] = set()
        for one in goods:
            if isinstance(one, Received):
                self.arrived[one.issuer].update(one.units)
                touched |= {place for unit in one.units for place in self.units_moving.get(unit, ())}
                continue
            before = self.despatched.get(one.corrects or "")
            if before is not None and before.issuer == one.issuer:
                for place in self._ways(before):
                    self.moving[place].pop(before.statement, None)
                    touched.add(place)
            self.despatched[one.statement] = one
            ends = [self.sites.get(site) for site in (one.supplier, one.customer)]
            # Whoever carries it on hands over again, between other sites: that adds nothing.
            if ends[0] is None or ends[1] is None or ends[0].owner != one.issuer:
                continue
            for place in self._ways(one):
                self.moving[place][one.statement] = one
                touched.add(place)
            for unit, part, _, _ in one.units:
                self.units_moving[unit].add((one.supplier, one.customer, self.name(part)))
        return touched

    def _ways(self, one: Despatched) -> set[Place]:
        return {(one.supplier, one.customer, self.name(part)) for _, part, _, _ in one.units}

    def _under_way(self, place: Place, counted: int | None) -> Iterator[tuple[Despatched, Fraction]]:
        """How much of it each despatch has that was handed over after the stock of it was `counted` (ms)."""
        arrived = self.arrived.get(self.sites[place[1]].owner, ())
        for one in self.moving.get(place, {}).values():
            if counted is not None and one.registered <= datetime.fromtimestamp(counted / 1000, UTC):
                continue
            for unit, part, amount, uom in one.units:
                if self.name(part) == place[2] and unit not in arrived and uom == self.units.get(place[2]):
                    yield one, amount

    def _qualify(self) -> None:
        """What qualified suppliers have to spare a week, by their own word; without that it is nothing."""
        records = sorted((one for some in self.there["qualification"].values() for one in some), key=_when)
        self.qualified = {(one.fact.supplier, self.name(one.fact.part)) for one in records}
        self.qualifications = tuple(
            Qualification(one.fact.supplier, self.name(one.fact.part), one.fact.customer, one.issuer, one.fact.expires)
            for one in records
        )
        found = []
        for one in records:
            fact, part = one.fact, self.name(one.fact.part)
            spare = self._last("capacity", (fact.supplier, part))
            week = len(self.sites[fact.supplier].calendar.weekdays) if fact.supplier in self.sites else 0
            found.append(
                Alternative(
                    fact.supplier,
                    part,
                    fact.customer,
                    Fraction(0) if spare is None else (spare.fact.most - spare.fact.planned) * week,
                    self.day + timedelta(days=fact.first_days),
                    fact.extra_cents,
                    consents=spare is not None and spare.fact.is_offered,
                )
            )
        self.alternatives = tuple(sorted(found, key=lambda one: (one.supplier, one.part, one.customer)))
        for about in [one for one in self.told if one[0] == "route"]:
            del self.told[about]
        ways = [some[-1] for some in self.there["route-qualification"].values()]
        self.routes = tuple(sorted((way for one in ways if (way := self._way(one)) is not None), key=_route_key))
        self.routed = {(one.fact.supplier, one.fact.customer, self.name(one.fact.part)) for one in ways}

    def _way(self, one: Record) -> RouteAlternative | None:
        """The other way for the goods of a link, if there is one."""
        fact, place = one.fact, (one.fact.supplier, one.fact.customer, self.name(one.fact.part))
        told = self._misfit(one)
        if place not in self.there["supply-link"]:
            told.append(_tell(one, "nobody has stated a link whose goods could come this way"))
        self._say("route", thing_of(one), told)
        if told:
            return None
        key = _link_key(place)
        sails = None if fact.sails is None else frozenset(day - 1 for day in fact.sails)
        return RouteAlternative(
            f"{key} by {fact.way}",
            key,
            fact.a_week,
            Lead(fact.lead_days, sails=sails),
            self.day + timedelta(days=fact.first_days),
            fact.expires,
            one.issuer,
            fact.ramp,
            fact.loads,
            fact.extra_cents,
            _route(fact.route),
        )


class _Doubts(Mapping[tuple[str, str], Fraction]):
    """By what share each stock (site, part) may be wrong at `at`, by when it was counted (ms)."""

    def __init__(self, counts: Table[tuple[str, str], int], at: datetime, agreed: Fraction) -> None:
        self._counts, self._at, self._agreed = counts, at, agreed
        self._by_count: dict[int, Fraction] = {}

    def __getitem__(self, place: tuple[str, str]) -> Fraction:
        count = self._counts[place]
        if count not in self._by_count:
            self._by_count[count] = doubt(_age(count, self._at), self._agreed)
        return self._by_count[count]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)


class _Aged(Mapping[str, Fraction]):
    """The statements that are older than agreed at `at`, with their age in days; found when somebody asks."""

    def __init__(
        self, by_age: Mapping[str, Ordered[tuple[int, str]]], at: datetime, agreed_days: Mapping[str, Fraction]
    ) -> None:
        self._by_age, self._at, self._agreed_days = dict(by_age), at, agreed_days

    @cached_property
    def _found(self) -> dict[str, Fraction]:
        found = {}
        for kind, statements in self._by_age.items():
            for as_of, statement in statements:
                age = _age(as_of, self._at)
                if age <= self._agreed_days[kind]:
                    break
                found[statement] = age
        return found

    def __getitem__(self, statement: str) -> Fraction:
        return self._found[statement]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _age(as_of: int, at: datetime) -> Fraction:
    """In days, to the second."""
    then = datetime.fromtimestamp(as_of // 1000, UTC)
    return Fraction(max((at - then) // timedelta(seconds=1), 0), 86_400)


def thing_of(record: Record) -> Place:
    """What the record is about, and who says it: the newest of each holds."""
    return (record.kind, record.issuer, *(getattr(record.fact, name) for name in _ABOUT[record.kind]))


def _other(pair: tuple[str, str], record: Record) -> str:
    """The number of the two that the record says its part has besides."""
    return pair[record.fact.part == pair[0]]


def _when(record: Record) -> tuple[datetime, str]:
    return record.registered, record.statement


def _as_of(record: Record) -> tuple[int, str]:
    return record.fact.stated.as_of, record.statement


def _itself(one: tuple[int, str]) -> tuple[int, str]:
    return one


def _ends(place: Place) -> tuple[Place, Place]:
    supplier, customer, part = place
    return ("supplier", supplier, part), ("customer", customer, part)


def _link_key(place: Place) -> str:
    supplier, customer, part = place
    return f"{supplier} > {customer}: {part}"


def _route_key(route: RouteAlternative) -> str:
    return route.key


def _route(stated: Any) -> ShippingRoute | None:
    """A route as it was stated: modes and passages in words, ports by their UN/LOCODE."""
    if stated is None:
        return None
    return ShippingRoute(
        tuple(map(Mode, stated.modes)),
        stated.origin,
        stated.destination,
        tuple(map(Passage, stated.passages)),
        stated.lane,
    )


def _whose(fact: Site | Line | SupplyLink | Stock) -> Place:
    if isinstance(fact, Line | Stock):
        return (type(fact).__name__, fact.site, fact.part)
    return (type(fact).__name__, fact.key)


def _counts(record: Record) -> list[tuple[str, str]]:
    """Which parts the fact counts in which units."""
    if record.kind == "bill-of-material":
        return [(part, uom) for part, _, uom in record.fact.needs]
    return [(record.fact.part, record.fact.uom)] if record.kind in _COUNTS else []


def _numbers(record: Record) -> list[str]:
    """The numbers by which the fact's issuer calls parts; those that others have are theirs."""
    if record.kind == "site":
        return []
    return [record.fact.part, *(part for part, _, _ in getattr(record.fact, "needs", ()))]


def _tell(record: Record, what: str) -> Inconsistency:
    about = " ".join(str(getattr(record.fact, name)) for name in _ABOUT[record.kind])
    return Inconsistency(record.issuer, f"{record.kind} {about}", what)


def _hex(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
