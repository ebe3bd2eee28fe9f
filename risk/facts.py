"""From what members have stated, as of a checkpoint, to the network that all of them count in. Pure.

The shell brings records: who said which fact, and when it was registered. Of one issuer's facts about one thing the
newest holds; who may speak of a thing is its owner, for a link either of its ends. What does not fit is left out and
told to whoever stated it, never to anybody else. Facts older than agreed are used, and doubted in proportion.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from risk.alternatives import Alternative, Qualification
from risk.confidence import doubt
from risk.network import Calendar, Inconsistency, Lead, Line, Site, Stock, SupplyLink, SupplyNetwork
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
    "product-price": ("site", "part"),
}
_SPEAKS = {"bill-of-material": "site", "stock": "site", "capacity": "site", "product-price": "site",
           "qualification": "customer"}  # fmt: skip
"""Whose site a fact must be about to count."""


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


@dataclass(frozen=True)
class Known:
    """What the records of a checkpoint come to. `aged` are statements older than agreed, with their age in days.

    `site_names` are what sites are called by their owners, `part_names` what parts are called: (part, member) → name.
    """

    network: SupplyNetwork
    exceptions: Mapping[tuple[str, str], Level]
    doubts: Mapping[tuple[str, str], Fraction]
    recovery_days: Mapping[str, tuple[int, int, int]]
    alternatives: tuple[Alternative, ...]
    qualifications: tuple[Qualification, ...]
    aged: Mapping[str, Fraction]
    site_names: Mapping[str, str] = field(default_factory=dict)
    part_names: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def inconsistencies_of(self, member: str) -> tuple[Inconsistency, ...]:
        """What `member` should put right; nobody else is told."""
        return tuple(one for one in self.network.inconsistencies if one.owner == member)


def known(
    records: Iterable[Record], at: datetime, day: date, agreed_days: Mapping[str, Fraction] | None = None
) -> Known:
    """The network on `day` by what was registered up to `at`, the time of the checkpoint.

    `agreed_days` is how old each kind may be. Raises MalformedFact for a fact that is wrong in itself.
    """
    return _Reading(records, at, day, {**AGREED_DAYS, **(agreed_days or {})}).known()


class Facts:
    """The facts of a log as it grows: what they come to at one checkpoint after the other.

    ``facts.take(records)`` as the log has more, in any order and each once; ``facts.known(at, day)`` is then equal to
    ``known(all records, at, day)``. One changed link, stock, capacity or price costs milliseconds, whatever the size
    of the network; what is new in kind (a site, a part, a bill of material, the next day, a checkpoint before the
    last one) has everything read again. What it gave before stays as it was. Not for several threads at once.
    """

    def __init__(self, agreed_days: Mapping[str, Fraction] | None = None) -> None:
        self._agreed_days = agreed_days
        self._records: list[Record] = []

    def take(self, records: Iterable[Record]) -> None:
        """Add what the log has more."""
        self._records.extend(records)

    def known(self, at: datetime, day: date) -> Known:
        """What was registered up to `at` comes to on `day`. Raises MalformedFact as `known` does."""
        return known(self._records, at, day, self._agreed_days)


class _Reading:
    """Records on their way to a network, thing by thing."""

    def __init__(self, records: Iterable[Record], at: datetime, day: date, agreed_days: Mapping[str, Fraction]) -> None:
        self.at = at
        self.day = day
        self.agreed_days = agreed_days
        self.found: list[Inconsistency] = []
        there = [one for one in records if one.registered <= at and one.kind in _ABOUT]
        by_id = {one.statement: one for one in there}
        corrected = set()
        for one in there:
            before = by_id.get(_hex(one.fact.stated.corrects))
            if before is not None and (before.kind, before.issuer) == (one.kind, one.issuer):
                corrected.add(before.statement)
        newest: dict[tuple[str, ...], Record] = {}
        for one in sorted(there, key=lambda one: (one.fact.stated.as_of, one.registered, one.statement)):
            if one.statement not in corrected:
                newest[one.kind, one.issuer, *(getattr(one.fact, name) for name in _ABOUT[one.kind])] = one
        self.of: dict[str, list[Record]] = defaultdict(list)
        for one in sorted(newest.values(), key=lambda one: (one.registered, one.statement)):
            self.of[one.kind].append(one)

    def tell(self, record: Record, what: str) -> None:
        about = " ".join(str(getattr(record.fact, name)) for name in _ABOUT[record.kind])
        self.found.append(Inconsistency(record.issuer, f"{record.kind} {about}", what))

    def known(self) -> Known:
        sites = self._sites()
        self.parts, self.units = self._parts()
        records = {kind: [one for one in self.of[kind] if self._may_speak(one, sites)] for kind in _ABOUT}
        capacities = self._by_place(records["capacity"])
        lines = self._lines(records, capacities)
        stocks = {place: one for place, one in self._by_place(records["stock"]).items() if self._fits(one)}
        links, exceptions = self._links(records["supply-link"], sites, stocks)
        network = SupplyNetwork.of(
            self.day,
            sites.values(),
            lines,
            links,
            [Stock(site, part, one.fact.amount) for (site, part), one in stocks.items()],
        )
        told = {*network.inconsistencies, *self.found}
        network = replace(
            network, inconsistencies=tuple(sorted(told, key=lambda one: (one.owner, one.about, one.what)))
        )
        return Known(
            network=network,
            exceptions=exceptions,
            doubts={place: doubt(self._age(one), self.agreed_days["stock"]) for place, one in sorted(stocks.items())},
            recovery_days={
                one.fact.site: one.fact.recovery_days
                for one in self.of["site"]
                if one.fact.recovery_days is not None and sites[one.fact.site].owner == one.issuer
            },
            alternatives=self._alternatives(records["qualification"], capacities, sites),
            qualifications=tuple(
                Qualification(
                    one.fact.supplier, self.name(one.fact.part), one.fact.customer, one.issuer, one.fact.expires
                )
                for one in records["qualification"]
            ),
            aged={
                one.statement: self._age(one)
                for kind in sorted(self.agreed_days)
                for one in self.of[kind]
                if self._age(one) > self.agreed_days[kind]
            },
            site_names={
                one.fact.site: one.fact.name
                for one in self.of["site"]
                if one.fact.name is not None and sites[one.fact.site].owner == one.issuer
            },
            part_names={
                (self.name(one.fact.part), one.issuer): one.fact.name
                for one in self.of["part"]
                if one.fact.name is not None
            },
        )

    def name(self, part: str) -> str:
        """The one name of a part that goes by several numbers."""
        while part in self.parts:
            part = self.parts[part]
        return part

    def _age(self, record: Record) -> Fraction:
        then = datetime.fromtimestamp(record.fact.stated.as_of // 1000, UTC)
        return Fraction(max((self.at - then) // timedelta(seconds=1), 0), 86_400)

    def _sites(self) -> dict[str, Site]:
        sites: dict[str, Site] = {}
        for one in self.of["site"]:
            fact = one.fact
            if fact.site in sites:
                self.tell(one, "another member has described this site before: settle whose it is")
                continue
            sites[fact.site] = Site(
                fact.site,
                one.issuer,
                fact.region,
                None if fact.latitude is None else float(fact.latitude),
                None if fact.longitude is None else float(fact.longitude),
                fact.locode,
                Calendar(frozenset(day - 1 for day in fact.weekdays), frozenset(fact.holidays)),
            )
        return sites

    def _parts(self) -> tuple[dict[str, str], dict[str, str]]:
        """Other numbers → the number that they go by here, and the unit of each part."""
        names: dict[str, str] = {}
        self.parts = names
        units: dict[str, str] = {}
        for one in self.of["part"]:
            root = self.name(one.fact.part)
            for other in one.fact.same_as:
                end = self.name(other)
                if end != root:
                    names[max(end, root)] = min(end, root)
                    root = min(end, root)
        for one in self.of["part"]:
            root = self.name(one.fact.part)
            if units.setdefault(root, one.fact.uom) != one.fact.uom:
                self.tell(one, f"others count this part in {units[root]}, not in {one.fact.uom}")
        return names, units

    def _may_speak(self, record: Record, sites: Mapping[str, Site]) -> bool:
        """Whether the issuer owns what the fact is about; sites that nobody has described are told later."""
        if record.kind == "supply-link":
            ends = [sites[one] for one in (record.fact.supplier, record.fact.customer) if one in sites]
            if len(ends) == 2 and record.issuer not in (ends[0].owner, ends[1].owner):
                self.tell(record, "is stated by somebody who is neither its supplier nor its customer")
                return False
            if len(ends) < 2:
                self.tell(record, "names a site that nobody has described")
                return False
            return True
        if record.kind not in _SPEAKS:
            return True
        key = getattr(record.fact, _SPEAKS[record.kind])
        if key not in sites:
            self.tell(record, f"names the site {key}, which nobody has described")
            return False
        if sites[key].owner != record.issuer:
            self.tell(record, "is stated by somebody whose site it is not")
            return False
        return True

    def _fits(self, record: Record, part: str | None = None, uom: str | None = None) -> bool:
        """Whether the fact counts the part in the unit that the part is counted in."""
        name = self.name(part or record.fact.part)
        counted, stated = self.units.get(name), uom or record.fact.uom
        if counted is None:
            self.units[name] = stated  # the first to count it says how
        elif counted != stated:
            self.tell(record, f"counts {name} in {stated}, which is counted in {counted}")
            return False
        return True

    def _by_place(self, records: Iterable[Record]) -> dict[tuple[str, str], Record]:
        return {(one.fact.site, self.name(one.fact.part)): one for one in records}

    def _lines(self, records: Mapping[str, list[Record]], capacities: Mapping[tuple[str, str], Record]) -> list[Line]:
        bills = self._by_place(records["bill-of-material"])
        prices = self._by_place(records["product-price"])
        for place, bill in bills.items():
            if place not in capacities:
                self.tell(bill, "says what goes into it, and nobody says how much of it is made")
        lines = []
        for (site, part), one in capacities.items():
            if not self._fits(one):
                continue
            needs: dict[str, Fraction] = {}
            one_bill = bills.get((site, part))
            if one_bill is not None:
                fitting = [self._fits(one_bill, need, uom) for need, _, uom in one_bill.fact.needs]
                if not all(fitting):
                    continue  # made of the rest alone it would look safe
                for need, amount, _ in one_bill.fact.needs:
                    needs[self.name(need)] = needs.get(self.name(need), Fraction(0)) + amount
                if part in needs:
                    self.tell(one_bill, "is made of itself, under another number")
                    continue
            price = prices.get((site, part))
            lines.append(
                Line(
                    site,
                    part,
                    one.fact.planned,
                    one.fact.most,
                    needs,
                    None if price is None else price.fact.minor_units,
                )
            )
        return lines

    def _links(
        self, records: Iterable[Record], sites: Mapping[str, Site], stocks: Mapping[tuple[str, str], Record]
    ) -> tuple[list[SupplyLink], dict[tuple[str, str], Level]]:
        """The links; where both ends state one, the customer's figures hold and the lower of the two levels."""
        stated: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        for one in records:
            if self._fits(one):
                stated[one.fact.supplier, one.fact.customer, self.name(one.fact.part)].append(one)
        links = []
        exceptions: dict[tuple[str, str], Level] = {}
        for (supplier, customer, part), facts in sorted(stated.items()):
            fact = next((one for one in facts if one.issuer == sites[customer].owner), facts[0]).fact
            key = f"{supplier} > {customer}: {part}"
            level = min((Level(one.fact.level) for one in facts), key=lambda one: one.rank)
            members = {member for one in facts for member, _ in one.fact.levels}
            for member in members:
                each = [Level(dict(one.fact.levels).get(member, one.fact.level)) for one in facts]
                exceptions[key, _hex(member)] = min(each, key=lambda one: one.rank)
            coming: dict[date, Fraction] = defaultdict(Fraction)
            if (customer, part) in stocks:
                for source, arrives, amount in stocks[customer, part].fact.on_the_way:
                    if source == supplier:
                        coming[max(arrives, self.day)] += amount
            sails = None if fact.sails is None else frozenset(day - 1 for day in fact.sails)
            lead = Lead(fact.lead_days, fact.is_working_days, sails)
            links.append(
                SupplyLink(key, supplier, customer, part, fact.share, lead, fact.most_per_day, dict(coming), fact.since,
                           str(level))
            )  # fmt: skip
        return links, exceptions

    def _alternatives(
        self, records: Iterable[Record], capacities: Mapping[tuple[str, str], Record], sites: Mapping[str, Site]
    ) -> tuple[Alternative, ...]:
        """What qualified suppliers have to spare a week, by their own word; without that it is nothing."""
        found = []
        for one in records:
            fact, part = one.fact, self.name(one.fact.part)
            spare = capacities.get((fact.supplier, part))
            week = len(sites[fact.supplier].calendar.weekdays) if fact.supplier in sites else 0
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
        return tuple(sorted(found, key=lambda one: (one.supplier, one.part, one.customer)))


def _hex(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
