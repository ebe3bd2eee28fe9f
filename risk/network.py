"""The supply network: who makes what of what, who supplies it to whom, and what lies in between. Pure.

Sites make parts of other parts; supply links carry one part from one site to another. All parts that a line needs are
wanted together (AND), the links that bring one of them stand in for each other (OR). In public the network is a
`networkx.MultiDiGraph` of sites; the arrays that heavy passes work on are made from it once and kept.

Times are calendar dates; amounts per day are per working day of the site they belong to. Amounts are exact where they
come in and floating in the arrays: what is computed here is an estimate, and is rounded where it is reported.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from risk.digest import FactDigests
from risk.errors import MalformedFact
from risk.ordered import Ordered
from risk.routes import ShippingRoute

MONDAY_TO_FRIDAY = frozenset(range(5))
EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Calendar:
    """On which days a site works: weekdays (Monday is 0), without its holidays."""

    weekdays: frozenset[int] = MONDAY_TO_FRIDAY
    holidays: frozenset[date] = frozenset()

    def is_open(self, day: date) -> bool:
        return day.weekday() in self.weekdays and day not in self.holidays


@dataclass(frozen=True, slots=True)
class Site:
    """A place where somebody makes, stores or moves things; `owner` answers for its facts.

    `latitude` and `longitude` are degrees (WGS 84), `locode` its UN/LOCODE.
    """

    key: str
    owner: str
    region: str = ""
    latitude: float | None = None
    longitude: float | None = None
    locode: str | None = None
    calendar: Calendar = Calendar()


@dataclass(frozen=True, slots=True)
class Line:
    """`site` makes `part`, `per_day` of it as planned and `capacity` at most, from `needs` (part → amount for one).

    `revenue_cents` is what one of it is sold for, for parts that leave the network, in `currency` (ISO 4217).
    `essential` says of some of the parts whether nothing can be made without it; walks and programs want all of them,
    the systemic risk index tells them apart.
    """

    site: str
    part: str
    per_day: Fraction
    capacity: Fraction
    needs: Mapping[str, Fraction] = field(default_factory=dict)
    revenue_cents: int | None = None
    currency: str | None = None
    essential: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stock:
    """So much of `part` lies at `site` and can be used or shipped."""

    site: str
    part: str
    amount: Fraction


@dataclass(frozen=True, slots=True)
class Lead:
    """How long a link takes: `days` of the calendar or, where `working`, working days of the customer.

    What `sails` on certain weekdays waits for the next of them first. What arrives on a day when the customer is closed
    waits for the next one.
    """

    days: int
    working: bool = False
    sails: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class SupplyLink:
    """`supplier` sends `part` to `customer`, who gets the share `share` of its need from it as long as it can.

    `most_per_day` bounds what it carries on a working day of the supplier, None: what the supplier makes.
    `in_transit` is what is on the way: day of arrival → amount. It carries from `since` on.
    """

    key: str
    supplier: str
    customer: str
    part: str
    share: Fraction = Fraction(1)
    lead: Lead = Lead(0)
    most_per_day: Fraction | None = None
    in_transit: Mapping[date, Fraction] = field(default_factory=dict)
    since: date | None = None
    level: str = "named"
    route: ShippingRoute | None = None


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """Facts that cannot all be true, told to `owner`; what they are about is left out of every computation."""

    owner: str
    about: str
    what: str


@dataclass(frozen=True)
class SupplyNetwork:
    """The network of one day. What `inconsistencies` name is not in `lines`, `links` and `stocks` any more."""

    day: date
    sites: Mapping[str, Site]
    lines: Ordered[Line]
    """by site and part"""
    links: Ordered[SupplyLink]
    """by key"""
    stocks: Ordered[Stock]
    """by site and part"""
    inconsistencies: tuple[Inconsistency, ...] = ()
    left_out: "tuple[Site | Line | SupplyLink | Stock, ...]" = ()
    """the facts that `inconsistencies` are about"""
    _same: "SupplyNetwork | None" = field(default=None, init=False, repr=False, compare=False)
    """a network of the same facts, which keeps for both what is made of them"""

    @classmethod
    def of(
        cls,
        day: date,
        sites: Iterable[Site],
        lines: Iterable[Line],
        links: Iterable[SupplyLink],
        stocks: Iterable[Stock] = (),
    ) -> "SupplyNetwork":
        """The network that these facts make, in an order that does not depend on theirs.

        Raises MalformedFact for one that is wrong in itself; facts that do not fit each other become inconsistencies.
        """
        return _Assembly(day, sites, lines, links, stocks).network()

    @classmethod
    def fitting(
        cls,
        day: date,
        sites: Mapping[str, Site],
        lines: Iterable[Line],
        links: Iterable[SupplyLink],
        stocks: Iterable[Stock],
    ) -> "SupplyNetwork":
        """The network of facts that are known to fit, in the order of their keys: `of` would leave none of them out."""
        return cls(day, sites, Ordered(lines, place_of), Ordered(links, key_of), Ordered(stocks, place_of))

    @cached_property
    def graph(self) -> nx.MultiDiGraph:
        """Sites as nodes, supply links as edges from supplier to customer; the keys are the links' own."""
        if self._same is not None:
            return self._same.graph
        graph: nx.MultiDiGraph = nx.MultiDiGraph(day=self.day.isoformat())
        for site in self.sites.values():
            graph.add_node(site.key, site=site, lines=[])
        for line in self.lines:
            graph.nodes[line.site]["lines"].append(line)
        for link in self.links:
            graph.add_edge(link.supplier, link.customer, key=link.key, part=link.part, share=link.share, link=link)
        return graph

    @cached_property
    def arrays(self) -> "Arrays":
        """The same as arrays, for passes over many sites."""
        return Arrays.of(self) if self._same is None else self._same.arrays

    def currencies(self, sites: Iterable[str]) -> list[str]:
        """In which currencies that is priced which `sites` make, "" for one that was not named; two have no sum."""
        made = (line for site in sites for line in self.lines_at(site))
        return sorted({one.currency or "" for one in made if one.revenue_cents is not None})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the day and all facts that count, in hex: networks with one digest give the same figures."""
        return self.fact_digests.of(self.day)

    @cached_property
    def fact_digests(self) -> FactDigests:
        if self._same is not None:
            return self._same.fact_digests
        return FactDigests([*self.sites.values(), *self.lines, *self.links, *self.stocks])

    def with_changes(
        self,
        *,
        links: Iterable[SupplyLink] = (),
        lines: Iterable[Line] = (),
        stocks: Iterable[Stock] = (),
        without: Iterable[str] = (),
        sites: Iterable[Site] = (),
        unstocked: Iterable[tuple[str, str]] = (),
    ) -> "SupplyNetwork":
        """The network with these facts in place of those of the same key, or besides.

        `without` are the keys of links that end, `unstocked` places (site, part) of which no stock is known any more,
        `sites` are new ones. It equals what `of` makes of all facts together. A change of links, of stocks and of what
        lines make costs milliseconds and shares the arrays with this network, where it fits the other facts before and
        after; new sites and lines that need nothing cost tens. A line that needs other parts, links that change who
        comes before whom, and whatever may make facts fit that were left out, make it anew.
        Raises MalformedFact as `of` does, and for an end of a link that is not there.
        """
        changes = _Changes(
            self, tuple(links), tuple(lines), tuple(stocks), frozenset(without), tuple(sites), tuple(unstocked)
        )
        return changes.patched() or changes.made_anew()

    def lines_at(self, site: str) -> tuple[Line, ...]:
        """The lines of `site`, found without going through those of all."""
        start = end = self.lines.place((site, "")).start
        while end < len(self.lines) and self.lines[end].site == site:
            end += 1
        return self.lines[start:end]

    def telling(self, found: Iterable[Inconsistency]) -> "SupplyNetwork":
        """The same network, which tells of `found` too."""
        told = tuple(sorted({*self.inconsistencies, *found}, key=lambda one: (one.owner, one.about, one.what)))
        if len(told) == len(self.inconsistencies):
            return self
        other = replace(self, inconsistencies=told)
        object.__setattr__(other, "_same", self)
        return other

    @cached_property
    def left_out_places(self) -> frozenset[tuple[str, ...]]:
        """The links, lines and needs that may fit once something else about them changes."""
        found: set[tuple[str, ...]] = set()
        for one in self.left_out:
            if isinstance(one, SupplyLink):
                found |= {(one.key,), (one.supplier, one.part), (one.customer, one.part)}
                found |= {(one.supplier, "", ""), (one.customer, "", "")}
            elif isinstance(one, Site):
                found.add((one.key, "", ""))
            else:
                found |= {(one.site, one.part), (one.site, "", "")}
        return frozenset(found)


CIRCLE = "is part of a circle of supply"


def key_of(link: SupplyLink) -> str:
    """What links are ordered by."""
    return link.key


def place_of(fact: Line | Stock) -> tuple[str, str]:
    """What lines and stocks are ordered by."""
    return fact.site, fact.part


class _Assembly:
    """Facts on their way to a network: each is looked at alone, then with the others."""

    def __init__(
        self,
        day: date,
        sites: Iterable[Site],
        lines: Iterable[Line],
        links: Iterable[SupplyLink],
        stocks: Iterable[Stock],
    ) -> None:
        self.day = day
        self.sites: dict[str, Site] = {}
        self.found: list[Inconsistency] = []
        self.left_out: list[Site | Line | SupplyLink | Stock] = []
        for site in sorted(sites, key=lambda one: one.key):
            _check_site(site)
            if site.key in self.sites:
                self.tell(site.owner, site.key, "two facts describe this site: keep one")
                self.left_out.append(site)
                continue
            self.sites[site.key] = site
        self.lines = sorted(lines, key=lambda one: (one.site, one.part))
        self.links = sorted(links, key=lambda one: one.key)
        self.stocks = sorted(stocks, key=lambda one: (one.site, one.part))

    def tell(self, owner: str, about: str, what: str) -> None:
        self.found.append(Inconsistency(owner, about, what))

    def network(self) -> SupplyNetwork:
        for line in self.lines:
            _check_line(line)
        for link in self.links:
            _check_link(link)
        for stock in self.stocks:
            _check_stock(stock)
        lines = self.known_lines()
        links = self.known_links(lines)
        links = self.without_cycles(lines, links)
        stocks = self.known_stocks(lines)
        kept = {id(one) for some in (lines.values(), links, stocks) for one in some}
        self.left_out += [one for some in (self.lines, self.links, self.stocks) for one in some if id(one) not in kept]
        return SupplyNetwork(
            self.day,
            self.sites,
            Ordered(lines.values(), place_of),
            Ordered(links, key_of),
            Ordered(stocks, place_of),
            tuple(sorted(set(self.found), key=lambda one: (one.owner, one.about, one.what))),
            tuple(self.left_out),
        )

    def is_known(self, site: str, about: str, owner: str) -> bool:
        if site in self.sites:
            return True
        self.tell(owner, about, f"names the site {site}, which nobody has described")
        return False

    def known_lines(self) -> dict[tuple[str, str], Line]:
        lines: dict[tuple[str, str], Line] = {}
        for line in self.lines:
            if not self.is_known(line.site, f"making {line.part}", line.site):
                continue
            if (line.site, line.part) in lines:
                self.tell(self.sites[line.site].owner, f"{line.site} making {line.part}", "is described twice")
                continue
            lines[line.site, line.part] = line
        return lines

    def known_links(self, lines: Mapping[tuple[str, str], Line]) -> list[SupplyLink]:
        wanted = {(line.site, part) for line in lines.values() for part in line.needs}
        links: list[SupplyLink] = []
        keys: set[str] = set()
        shares: dict[tuple[str, str], Fraction] = {}
        for link in self.links:
            about = f"link {link.key}"
            share = link.share
            if (link.customer, link.part) in shares:
                share += shares[link.customer, link.part]
            if not self.is_known(link.supplier, about, link.customer):
                continue
            if not self.is_known(link.customer, about, link.supplier):
                continue
            owner = self.sites[link.customer].owner
            if link.key in keys:
                self.tell(owner, about, "two links have this key")
            elif (link.supplier, link.part) not in lines:
                self.tell(self.sites[link.supplier].owner, about, f"{link.supplier} is not said to make {link.part}")
            elif (link.customer, link.part) not in wanted:
                self.tell(owner, about, f"{link.customer} makes nothing of {link.part}")
            elif share > 1:
                self.tell(owner, about, f"the shares of {link.part} at {link.customer} come to more than 1")
            else:
                keys.add(link.key)
                shares[link.customer, link.part] = share
                links.append(link)
        return links

    def known_stocks(self, lines: Mapping[tuple[str, str], Line]) -> list[Stock]:
        useful = {(line.site, part) for line in lines.values() for part in (line.part, *line.needs)}
        stocks = []
        for stock in self.stocks:
            if not self.is_known(stock.site, f"stock of {stock.part}", stock.site):
                continue
            if (stock.site, stock.part) in useful:
                stocks.append(stock)
            else:
                self.found.append(_useless(stock.site, stock.part, self.sites[stock.site].owner))
        return stocks

    def without_cycles(self, lines: Mapping[tuple[str, str], Line], links: list[SupplyLink]) -> list[SupplyLink]:
        """Leave out the links by which a part would be made of itself."""
        number = {place: at for at, place in enumerate(lines)}
        users: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, line in lines.items():
            for part in line.needs:
                users[line.site, part].append(number[place])
        edges = [
            (at, number[link.supplier, link.part], user)
            for at, link in enumerate(links)
            for user in users[link.customer, link.part]
        ]
        if not edges:
            return links
        which, makers, takers = np.array(edges, np.int64).T
        goes_to = sparse.csr_array((np.ones(len(makers), np.int8), (makers, takers)), shape=(len(lines), len(lines)))
        # Nobody supplies itself, so a link within one of these lies on a circle.
        _, ring = csgraph.connected_components(goes_to, connection="strong")
        circular = {links[at].key for at in which[ring[makers] == ring[takers]].tolist()}
        for link in links:
            if link.key in circular:
                self.tell(self.sites[link.customer].owner, f"link {link.key}", CIRCLE)
        return [link for link in links if link.key not in circular]


def _useless(site: str, part: str, owner: str) -> Inconsistency:
    return Inconsistency(owner, f"stock of {part} at {site}", "nobody there makes or needs it: it counts for nothing")


def _check_site(site: Site) -> None:
    if not site.calendar.weekdays:
        raise MalformedFact("it never works: a calendar has weekdays", site.key)
    if not site.calendar.weekdays <= EVERY_DAY:
        raise MalformedFact("weekdays are 0 (Monday) to 6", site.key)
    if (site.latitude is None) != (site.longitude is None):
        raise MalformedFact("a position is a latitude and a longitude in degrees", site.key)
    if site.latitude is not None and not (-90 <= site.latitude <= 90 and -180 <= (site.longitude or 0) <= 180):
        raise MalformedFact(f"({site.latitude}, {site.longitude}) is no position in degrees", site.key)


def _check_line(line: Line) -> None:
    where = f"{line.site} making {line.part}"
    if line.per_day < 0 or line.capacity < 0:
        raise MalformedFact("an output cannot be negative", where)
    if line.capacity < line.per_day:
        raise MalformedFact(f"more is planned ({line.per_day}) than it can make ({line.capacity})", where)
    if any(amount <= 0 for amount in line.needs.values()):
        raise MalformedFact("what is needed for one is an amount above 0", where)
    if line.part in line.needs:
        raise MalformedFact("it is made of itself", where)
    if line.revenue_cents is not None and line.revenue_cents < 0:
        raise MalformedFact("a price cannot be negative", where)


def _check_stock(stock: Stock) -> None:
    if stock.amount < 0:
        raise MalformedFact("a stock cannot be negative", f"stock of {stock.part} at {stock.site}")


def _check_link(link: SupplyLink) -> None:
    where = f"link {link.key}"
    if link.supplier == link.customer:
        raise MalformedFact("a site does not supply itself", where)
    if not 0 <= link.share <= 1:
        raise MalformedFact(f"a share lies between 0 and 1, this one is {link.share}", where)
    if link.lead.days < 0:
        raise MalformedFact("nothing arrives before it was sent", where)
    if link.lead.sails is not None and not link.lead.sails <= EVERY_DAY:
        raise MalformedFact("weekdays are 0 (Monday) to 6", where)
    if link.lead.sails is not None and not link.lead.sails:
        raise MalformedFact("it never sails", where)
    if link.most_per_day is not None and link.most_per_day < 0:
        raise MalformedFact("it cannot carry less than nothing", where)
    if any(amount < 0 for amount in link.in_transit.values()):
        raise MalformedFact("what is on the way cannot be negative", where)
    if link.route is not None:
        link.route.check(where)


Vector = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Arrays:
    """The network as arrays. A *bin* is one part that one site needs; lines draw on bins, links fill them.

    Lines are in an order in which every supplier comes before its customers.
    """

    network: SupplyNetwork
    lines: Ordered[Line]
    line_index: Mapping[tuple[str, str], int]
    bins: tuple[tuple[str, str], ...]
    bin_index: Mapping[tuple[str, str], int]
    need_line: Index
    need_bin: Index
    need_amount: Vector
    link_line: Index
    link_bin: Index
    share: Vector
    per_day: Vector
    capacity: Vector
    finished: Vector
    inbound: Vector
    level: Index
    route: Index
    """which of `routes` each link is"""
    routes: tuple["Route", ...]
    most: Vector
    waits: Mask
    """whether a link carries nothing yet on the first day"""
    arrival_by_lead: dict[tuple[Lead, Calendar, int], Index] = field(default_factory=dict, repr=False, compare=False)
    received_by_route: "dict[tuple[Route, int], Vector]" = field(default_factory=dict, repr=False, compare=False)
    slack_by_days: dict[int, Vector] = field(default_factory=dict, repr=False, compare=False)
    coming_by_link: dict[int, list[tuple[int, float]]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, network: SupplyNetwork) -> "Arrays":
        makers = {(line.site, line.part): line for line in network.lines}
        users: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for place, line in makers.items():
            for part in line.needs:
                users[line.site, part].append(place)
        depth = _levels(makers, users, network.links)
        lines = sorted(makers.values(), key=lambda one: (depth[one.site, one.part], one.site, one.part))
        line_index = {(line.site, line.part): at for at, line in enumerate(lines)}
        bins = sorted({(line.site, part) for line in lines for part in line.needs})
        bin_index = {place: at for at, place in enumerate(bins)}
        needs = [(at, bin_index[line.site, part], float(n)) for at, line in enumerate(lines) for part, n in
                 sorted(line.needs.items())]  # fmt: skip
        finished, inbound = np.zeros(len(lines)), np.zeros(len(bins))
        for stock in network.stocks:
            place = (stock.site, stock.part)
            # A part that a site both makes and needs is kept as what it makes.
            if place in line_index:
                finished[line_index[place]] += float(stock.amount)
            elif place in bin_index:
                inbound[bin_index[place]] += float(stock.amount)
        link_bin = np.array([bin_index[one.customer, one.part] for one in network.links], np.int64)
        route, routes = _routes(network)
        return cls(
            network=network,
            lines=Ordered(lines, place_of),
            line_index=line_index,
            bins=tuple(bins),
            bin_index=bin_index,
            need_line=np.array([one[0] for one in needs], np.int64),
            need_bin=np.array([one[1] for one in needs], np.int64),
            need_amount=np.array([one[2] for one in needs], np.float64),
            link_line=np.array([line_index[one.supplier, one.part] for one in network.links], np.int64),
            link_bin=link_bin,
            share=np.array([float(one.share) for one in network.links], np.float64),
            per_day=np.array([float(one.per_day) for one in lines], np.float64),
            capacity=np.array([float(one.capacity) for one in lines], np.float64),
            finished=finished,
            inbound=inbound,
            level=np.array([depth[one.site, one.part] for one in lines], np.int64),
            route=route,
            routes=routes,
            most=np.array([_most(one) for one in network.links], np.float64),
            waits=np.array([_waits(one, network.day) for one in network.links], np.bool_),
        )

    @cached_property
    def usage(self) -> Vector:
        """What each bin loses a working day, as planned."""
        return totals(self.need_bin, self.need_amount * self.per_day[self.need_line], len(self.bins))

    @cached_property
    def outside(self) -> Vector:
        """The share of each bin that comes from nobody in particular: it is taken to come as planned."""
        outside = np.clip(1 - totals(self.link_bin, self.share, len(self.bins)), 0, 1)
        outside[np.bincount(self.link_bin, minlength=len(self.bins)) == 0] = 1
        return outside

    def arrival(self, lead: Lead, calendar: Calendar, days: int) -> Index:
        """On which of the first `days` days that which leaves on each of them can be used; their count: too late."""
        key = (lead, calendar, days)
        if key not in self.arrival_by_lead:
            self.arrival_by_lead[key] = arrivals(lead, calendar, days_from(self.network.day, days))
        return self.arrival_by_lead[key]

    def received(self, route: "Route", days: int) -> Vector:
        """How much has come by the end of each day, of one unit sent on every day on which both ends work."""
        key = (route, days)
        if key not in self.received_by_route:
            dates = days_from(self.network.day, days)
            sent = [route.supplier.is_open(day) and route.customer.is_open(day) for day in dates]
            arrives = self.arrival(route.lead, route.customer, days)[np.flatnonzero(sent)]
            count = np.bincount(arrives, minlength=days + 1)[:days]
            self.received_by_route[key] = np.cumsum(count).astype(np.float64)
        return self.received_by_route[key]

    def coming(self, link: int) -> list[tuple[int, float]]:
        """What is on the way over a link: how many days from the first one it arrives, and how much."""
        if link not in self.coming_by_link:
            first = self.network.day
            self.coming_by_link[link] = [
                (max((day - first).days, 0), float(amount))
                for day, amount in self.network.links[link].in_transit.items()
            ]
        return self.coming_by_link[link]

    @cached_property
    def on_the_way(self) -> Vector:
        """What is on the way to each bin in all."""
        sums = [float(sum(link.in_transit.values())) for link in self.network.links]
        return totals(self.link_bin, np.array(sums, np.float64), len(self.bins))

    def slack(self, days: int) -> Vector:
        """For each bin how many working days of use can fail to come within `days` days before it runs short.

        Below 0: so much is missing even if nothing happens. It counts no spare capacity and no finished stock of
        suppliers, so it is never too much.
        """
        if days not in self.slack_by_days:
            self.slack_by_days[days] = _slack(self, np.arange(len(self.bins)), days)
        return self.slack_by_days[days]

    def lines_at(self, site: str) -> tuple[int, ...]:
        """The lines of `site`, without going through those of all sites."""
        return tuple(sorted(self.line_index[place_of(one)] for one in self.network.lines_at(site)))

    def of_sites(self, sites: Iterable[str]) -> Index:
        """The lines of `sites`, in order."""
        return np.array(sorted(at for site in sites for at in self.lines_at(site)), np.int64)

    @cached_property
    def lines_of(self) -> Mapping[str, tuple[int, ...]]:
        """The lines of each site."""
        found: dict[str, list[int]] = defaultdict(list)
        for at, line in enumerate(self.lines):
            found[line.site].append(at)
        return {site: tuple(lines) for site, lines in found.items()}

    @cached_property
    def user_rows(self) -> tuple[Index, Index]:
        """The lines that use what each line makes, as rows of a sparse matrix: where each begins, and their numbers."""
        count, bins = len(self.lines), len(self.bins)
        goes_to = sparse.csr_array((np.ones(len(self.link_line)), (self.link_line, self.link_bin)), shape=(count, bins))
        used_by = sparse.csr_array((np.ones(len(self.need_bin)), (self.need_bin, self.need_line)), shape=(bins, count))
        users = sparse.csr_array(goes_to @ used_by)
        return users.indptr.astype(np.int64), users.indices.astype(np.int64)

    def reach(self, start: Iterable[int]) -> Index:
        """The lines `start` and all that is made of what they make, at any remove, in order."""
        seen = np.zeros(len(self.lines), bool)
        wave = np.unique(np.fromiter(start, np.int64))
        while len(wave):
            seen[wave] = True
            found = self.users(wave)
            wave = np.unique(found[~seen[found]])
        return np.flatnonzero(seen)

    def before(self, lines: Index) -> Index:
        """The `lines` and all whose goods go into what they make, at any remove, in order."""
        seen, is_bin = np.zeros(len(self.lines), bool), np.zeros(len(self.bins), bool)
        seen[lines] = True
        before = -1
        while (count := int(np.count_nonzero(seen))) > before:
            is_bin[self.need_bin[seen[self.need_line]]] = True
            seen[self.link_line[is_bin[self.link_bin]]] = True
            before = count
        return np.flatnonzero(seen)

    def users(self, lines: Index) -> Index:
        """The lines that use what `lines` make, one after the other."""
        first, users = self.user_rows
        counts = first[lines + 1] - first[lines]
        ends = np.cumsum(counts)
        return np.asarray(users[np.arange(counts.sum()) + np.repeat(first[lines] - ends + counts, counts)], np.int64)


class _Changes:
    """Changed facts on their way into a network."""

    def __init__(
        self,
        network: SupplyNetwork,
        links: tuple[SupplyLink, ...],
        lines: tuple[Line, ...],
        stocks: tuple[Stock, ...],
        without: frozenset[str],
        sites: tuple[Site, ...] = (),
        unstocked: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.network, self.without = network, without
        for site in sites:
            _check_site(site)
        for link in links:
            _check_link(link)
        for line in lines:
            _check_line(line)
        for stock in stocks:
            _check_stock(stock)
        self.sites = {one.key: one for one in sites}
        self.links = {one.key: one for one in links}
        self.lines = {(one.site, one.part): one for one in lines}
        self.stocks: dict[tuple[str, str], list[Stock]] = {place: [] for place in unstocked}
        for stock in stocks:
            self.stocks.setdefault((stock.site, stock.part), []).append(stock)
        if (len(self.links), len(self.lines), len(self.sites)) != (len(links), len(lines), len(sites)):
            raise MalformedFact("two of the changes are about the same link, line or site: send one")
        left_out = {one.key for one in network.left_out if isinstance(one, SupplyLink)}
        for key in sorted(without):
            if key in self.links or (not network.links.of(key) and key not in left_out):
                raise MalformedFact("there is no such link to end", f"link {key}")

    def made_anew(self) -> SupplyNetwork:
        network = self.network
        facts = [*network.sites.values(), *network.lines, *network.links, *network.stocks, *network.left_out]
        return SupplyNetwork.of(
            network.day,
            [one for one in facts if isinstance(one, Site)] + list(self.sites.values()),
            [one for one in facts if isinstance(one, Line) and (one.site, one.part) not in self.lines]
            + list(self.lines.values()),
            [one for one in facts if isinstance(one, SupplyLink) and one.key not in self.without | self.links.keys()]
            + list(self.links.values()),
            [one for one in facts if isinstance(one, Stock) and (one.site, one.part) not in self.stocks]
            + [one for some in self.stocks.values() for one in some],
        )

    def patched(self) -> SupplyNetwork | None:
        """The network with its arrays patched; None if that is not possible."""
        if self.may_mend():
            return None
        network = self.network
        new_lines = [one for place, one in self.lines.items() if place not in network.arrays.line_index]
        if self.sites or new_lines:
            if any(one.key in network.sites for one in self.sites.values()):
                return None
            if any(
                one.needs
                or not (one.site in network.sites or one.site in self.sites)
                or (one.site, one.part) in network.arrays.bin_index
                for one in new_lines
            ):
                return None
            network = _with_more(network, self.sites, new_lines)
        if not self.is_fitting(network):
            return None
        gone_links = [one for key in (*self.links, *self.without) for one in network.links.of(key)]
        gone_lines = [one for place in self.lines for one in network.lines.of(place)]
        useful = {place: some for place, some in self.stocks.items() if place not in self.useless}
        gone_stocks = [one for place in useful for one in network.stocks.of(place)]
        links, lines, stocks = network.links, network.lines, network.stocks
        if self.links or self.without:
            links = links.changed({key: [one] for key, one in self.links.items()} | {key: [] for key in self.without})
        if self.lines:
            lines = lines.changed({place: [one] for place, one in self.lines.items()})
        if self.stocks:
            stocks = stocks.changed(useful)
        changed = SupplyNetwork(network.day, network.sites, lines, links, stocks, *self.left_out(network))
        new = _Patch(network.arrays, changed, gone_links, list(self.links.values()), self.lines, useful).arrays()
        if new is None:
            return None
        # Where others would compute once and keep, what is known already is put there.
        changed.__dict__["arrays"] = new
        if network.left_out and not self.useless:
            changed.__dict__["left_out_places"] = network.left_out_places
        if "fact_digests" in network.__dict__:
            changed.__dict__["fact_digests"] = network.fact_digests.changed(
                [*gone_links, *gone_lines, *gone_stocks],
                [*self.links.values(), *self.lines.values(), *(one for some in useful.values() for one in some)],
            )
        return changed

    @cached_property
    def useless(self) -> frozenset[tuple[str, str]]:
        """The places of stocks that are of no use, before and after."""
        network = self.network
        return frozenset(
            place
            for place in self.stocks
            if place[0] in network.sites
            and place not in self.lines
            and place not in network.arrays.line_index
            and place not in network.arrays.bin_index
        )

    def left_out(
        self, network: SupplyNetwork
    ) -> tuple[tuple[Inconsistency, ...], "tuple[Site | Line | SupplyLink | Stock, ...]"]:
        """What is told and left out afterwards: of what is not patched anew only stocks that are of no use change."""
        if not self.useless:
            return network.inconsistencies, network.left_out
        stocks = [one for one in network.left_out if isinstance(one, Stock) and place_of(one) not in self.useless]
        stocks += [one for place in self.useless for one in self.stocks[place]]
        told = {place: _useless(*place, network.sites[place[0]].owner) for place in self.useless}
        found = {*network.inconsistencies} - {*told.values()} | {told[place] for place in told if self.stocks[place]}
        return (
            tuple(sorted(found, key=lambda one: (one.owner, one.about, one.what))),
            (*(one for one in network.left_out if not isinstance(one, Stock)), *sorted(stocks, key=place_of)),
        )

    def may_mend(self) -> bool:
        """Whether facts that were left out may fit after this, or others than before be left out."""
        network = self.network
        if not network.left_out:
            return False
        links = [*self.links.values(), *(one for key in self.without for one in network.links.of(key))]
        before = [one for key in self.links for one in network.links.of(key)]
        touched: set[tuple[str, ...]] = {*self.lines, *(self.stocks.keys() - self.useless)}
        touched |= {(key, "", "") for key in self.sites}
        touched |= {(key,) for key in self.without | self.links.keys()}
        touched |= {(one.customer, one.part) for one in (*links, *before)}
        if touched & network.left_out_places:
            return True
        ends = {(one.supplier, one.customer, one.part) for one in before}
        is_rewired = any((one.supplier, one.customer, one.part) not in ends for one in self.links.values())
        # A new link may close a circle through those that were left out because they are part of one.
        return is_rewired and any(one.what == CIRCLE for one in network.inconsistencies)

    def is_fitting(self, network: SupplyNetwork) -> bool:
        """Whether the changed facts fit the others, by the rules of `_Assembly`; of levels the patch makes sure."""
        arrays = network.arrays
        for place, line in self.lines.items():
            if arrays.lines[arrays.line_index[place]].needs.keys() != line.needs.keys():
                return False
        if any(some and place[0] not in network.sites for place, some in self.stocks.items()):
            return False
        added: dict[tuple[str, str], list[SupplyLink]] = defaultdict(list)
        for link in self.links.values():
            if link.supplier not in network.sites or (link.supplier, link.part) not in arrays.line_index:
                return False
            if (link.customer, link.part) not in arrays.bin_index:
                return False
            added[link.customer, link.part].append(link)
        for place, some in added.items():
            there = np.flatnonzero(arrays.link_bin == arrays.bin_index[place]).tolist()
            others = [
                network.links[at] for at in there if network.links[at].key not in self.links.keys() | self.without
            ]
            if sum((one.share for one in (*others, *some)), Fraction(0)) > 1:
                return False
        return True


def _with_more(network: SupplyNetwork, sites: Mapping[str, Site], lines: Iterable[Line]) -> SupplyNetwork:
    """The network with more sites, and lines that need nothing and whose parts nobody takes yet."""
    more = sorted(lines, key=place_of)
    other = SupplyNetwork(
        network.day,
        dict(sorted({**network.sites, **sites}.items())) if sites else network.sites,
        network.lines.changed({place_of(one): [one] for one in more}),
        network.links,
        network.stocks,
        network.inconsistencies,
        network.left_out,
    )
    old = network.arrays
    first = [place_of(one) for one in old.lines[: int(np.searchsorted(old.level, 1))]]
    before = np.array([bisect_left(first, place_of(one)) for one in more], np.int64)
    moved = np.arange(len(old.lines)) + np.searchsorted(before, np.arange(len(old.lines)), "right")
    all_lines = list(old.lines)
    for at, one in zip(before[::-1].tolist(), more[::-1], strict=True):
        all_lines.insert(at, one)
    made = replace(
        old,
        network=other,
        lines=Ordered(all_lines, place_of),
        line_index={place_of(one): at for at, one in enumerate(all_lines)},
        need_line=moved[old.need_line],
        link_line=moved[old.link_line],
        per_day=np.insert(old.per_day, before, [float(one.per_day) for one in more]),
        capacity=np.insert(old.capacity, before, [float(one.capacity) for one in more]),
        finished=np.insert(old.finished, before, 0.0),
        level=np.insert(old.level, before, 0),
        slack_by_days=dict(old.slack_by_days),
    )
    if "user_rows" in old.__dict__:
        first_user, users = old.user_rows
        made.__dict__["user_rows"] = (np.insert(first_user, before, first_user[before]), moved[users])
    other.__dict__["arrays"] = made
    if "fact_digests" in network.__dict__:
        other.__dict__["fact_digests"] = network.fact_digests.changed([], [*sites.values(), *more])
    return other


@dataclass(frozen=True, slots=True)
class _Patch:
    """The arrays of `network`, made from those of the one before it."""

    old: Arrays
    network: SupplyNetwork
    gone: list[SupplyLink]
    come: list[SupplyLink]
    lines: Mapping[tuple[str, str], Line]
    stocks: Mapping[tuple[str, str], list[Stock]]

    def arrays(self) -> Arrays | None:
        """None if a line would come before another one than now."""
        old = self.old
        values: dict[str, Any] = {}
        bins = {old.bin_index[one.customer, one.part] for one in (*self.gone, *self.come)}
        suppliers = {old.line_index[one.supplier, one.part] for one in (*self.gone, *self.come)}
        is_rewired = False
        if self.gone or self.come:
            values = self._changed_links() | {"coming_by_link": {}}
            is_rewired = "link_line" in values or "link_bin" in values
            if is_rewired:
                ends = (values.get("link_line", old.link_line), values.get("link_bin", old.link_bin))
                if not self._levels_hold(*ends, bins):
                    return None
        if self.lines:
            values |= self._changed_lines()
        if self.stocks:
            values |= self._changed_stocks()
        made = replace(old, network=self.network, slack_by_days={}, **values)
        self._keep(made, bins, suppliers, is_rewired)
        return made

    def _changed_links(self) -> dict[str, Any]:
        """The columns of links that are not what they were; where no link moves, only what differs is copied."""
        old, network = self.old, self.network
        come = sorted(self.come, key=key_of)
        new = {one.key for one in come}
        before = {one.key for one in self.gone}
        ends = [old.network.links.place(one.key).start for one in self.gone if one.key not in new]
        begins = [network.links.place(one.key).start for one in come if one.key not in before]
        # Where they come among those that stay: each one that came before it takes a place.
        begins = [at - number for number, at in enumerate(begins)]
        places = [network.links.place(one.key).start for one in come]
        routes = {one: at for at, one in enumerate(old.routes)}
        columns: dict[str, list[Any]] = {
            "link_line": [old.line_index[one.supplier, one.part] for one in come],
            "link_bin": [old.bin_index[one.customer, one.part] for one in come],
            "share": [float(one.share) for one in come],
            "most": [_most(one) for one in come],
            "waits": [_waits(one, network.day) for one in come],
            "route": [routes.setdefault(_route(one, network.sites), len(routes)) for one in come],
        }
        values: dict[str, Any] = {"routes": tuple(routes)} if len(routes) > len(old.routes) else {}
        for name, some in columns.items():
            column = getattr(old, name)
            if not ends and not begins:
                if np.array_equal(column[places], some):
                    continue
                column = column.copy()
            if ends:
                column = np.delete(column, ends)
            if begins:
                column = np.insert(column, begins, 0)
            column[places] = some
            values[name] = column
        return values

    def _levels_hold(self, link_line: Index, link_bin: Index, bins: set[int]) -> bool:
        old = self.old
        for user in np.unique(old.need_line[_among(old.need_bin, bins, len(old.bins))]).tolist():
            first, last = np.searchsorted(old.need_line, [user, user + 1])
            links = _among(link_bin, old.need_bin[first:last], len(old.bins))
            deepest = old.level[link_line[links]].max(initial=-1)
            if deepest + 1 != old.level[user]:
                return False
        return True

    def _changed_lines(self) -> dict[str, Any]:
        old = self.old
        per_day, capacity, amounts = old.per_day.copy(), old.capacity.copy(), old.need_amount.copy()
        lines = {}
        for place, line in self.lines.items():
            at = old.line_index[place]
            lines[at], per_day[at], capacity[at] = line, float(line.per_day), float(line.capacity)
            first, last = np.searchsorted(old.need_line, [at, at + 1])
            amounts[first:last] = [float(amount) for _, amount in sorted(line.needs.items())]
        return {
            "lines": old.lines.with_items(lines), "per_day": per_day, "capacity": capacity, "need_amount": amounts
        }  # fmt: skip

    def _changed_stocks(self) -> dict[str, Any]:
        old = self.old
        finished, inbound = old.finished.copy(), old.inbound.copy()
        for place, some in self.stocks.items():
            amount = sum(float(one.amount) for one in some)
            if place in old.line_index:
                finished[old.line_index[place]] = amount
            elif place in old.bin_index:
                inbound[old.bin_index[place]] = amount
        return {"finished": finished, "inbound": inbound}

    def _keep(self, made: Arrays, bins: set[int], suppliers: set[int], is_rewired: bool) -> None:
        """Give the new arrays what the old ones had worked out, as far as it still holds."""
        old = self.old
        if "lines_of" in old.__dict__:
            made.__dict__["lines_of"] = old.lines_of
        if "user_rows" in old.__dict__:
            made.__dict__["user_rows"] = _rewired(made, old.user_rows, suppliers) if is_rewired else old.user_rows
        touched = bins | {old.bin_index[place] for place in self.stocks if place in old.bin_index}
        changed_lines = {old.line_index[place] for place in self.lines}
        for at in changed_lines:
            first, last = np.searchsorted(old.need_line, [at, at + 1])
            touched |= set(old.need_bin[first:last].tolist())
        count, bin_count = len(old.lines), len(old.bins)
        if "usage" in old.__dict__ and not changed_lines:
            made.__dict__["usage"] = old.usage
        if "outside" in old.__dict__:
            made.__dict__["outside"] = old.outside.copy()
            for at in bins:
                shares = made.share[made.link_bin == at]
                made.outside[at] = min(max(1 - shares.sum(), 0), 1) if len(shares) else 1
        if not old.slack_by_days:
            return
        # What a supplier owes to others changes with what one of them asks for.
        lines = suppliers | changed_lines
        lines |= set(made.link_line[_among(made.link_bin, touched, bin_count)].tolist())
        affected = np.union1d(made.link_bin[_among(made.link_line, lines, count)], np.array(sorted(touched), np.int64))
        for days, slack in old.slack_by_days.items():
            made.slack_by_days[days] = slack.copy()
            made.slack_by_days[days][affected] = _slack(made, affected, days)


def _among(column: Index, numbers: Iterable[int], count: int) -> Index:
    """Where `column`, whose numbers lie below `count`, has one of `numbers`."""
    some = np.fromiter(numbers, np.int64)
    if len(some) == 1:
        return np.flatnonzero(column == some[0])
    wanted = np.zeros(count, bool)
    wanted[some] = True
    return np.flatnonzero(wanted[column])


def _rewired(arrays: Arrays, users: tuple[Index, Index], lines: set[int]) -> tuple[Index, Index]:
    """`users` with the rows of `lines` as they are now."""
    first, found = users
    for line in sorted(lines):
        bins = arrays.link_bin[arrays.link_line == line]
        row = np.unique(arrays.need_line[_among(arrays.need_bin, bins, len(arrays.bins))])
        found = np.concatenate([found[: first[line]], row, found[first[line + 1] :]])
        moved = len(row) - (first[line + 1] - first[line])
        first = np.concatenate([first[: line + 1], first[line + 1 :] + moved])
    return first, found


def _levels(
    makers: Mapping[tuple[str, str], Line],
    users: Mapping[tuple[str, str], Sequence[tuple[str, str]]],
    links: Iterable[SupplyLink],
) -> dict[tuple[str, str], int]:
    """How many links lie at most between each line and the raw ends of the network."""
    onward: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    waiting_for: dict[tuple[str, str], int] = dict.fromkeys(makers, 0)
    for link in links:
        for user in users[link.customer, link.part]:
            if user not in onward[link.supplier, link.part]:
                onward[link.supplier, link.part].add(user)
                waiting_for[user] += 1
    levels = dict.fromkeys(makers, 0)
    ready = [place for place, count in waiting_for.items() if count == 0]
    while ready:
        place = ready.pop()
        for user in onward[place]:
            levels[user] = max(levels[user], levels[place] + 1)
            waiting_for[user] -= 1
            if waiting_for[user] == 0:
                ready.append(user)
    return levels


@dataclass(frozen=True, slots=True)
class Route:
    """What the days of a shipment depend on: how long it takes, and when its supplier and its customer work."""

    lead: Lead
    supplier: Calendar
    customer: Calendar


def _route(link: SupplyLink, sites: Mapping[str, Site]) -> Route:
    return Route(link.lead, sites[link.supplier].calendar, sites[link.customer].calendar)


def _routes(network: SupplyNetwork) -> tuple[Index, tuple[Route, ...]]:
    """The route of each link, by number, and the routes."""
    places: dict[Route, int] = {}
    seen: dict[tuple[int, bool, frozenset[int] | None, int, int], int] = {}
    kinds: dict[Calendar, int] = {}
    calendars = {key: kinds.setdefault(site.calendar, len(kinds)) for key, site in network.sites.items()}
    found = np.empty(len(network.links), np.int64)
    for at, link in enumerate(network.links):
        lead = link.lead
        key = (lead.days, lead.working, lead.sails, calendars[link.supplier], calendars[link.customer])
        if key not in seen:
            seen[key] = places.setdefault(_route(link, network.sites), len(places))
        found[at] = seen[key]
    return found, tuple(places)


def _most(link: SupplyLink) -> float:
    return np.inf if link.most_per_day is None else float(link.most_per_day)


def _waits(link: SupplyLink, day: date) -> bool:
    return link.since is not None and link.since > day


_BLOCK = 8192
"""Bins that are looked at together: their days fit the cache better, and the memory."""


def _slack(arrays: Arrays, bins: Index, days: int) -> Vector:
    """`Arrays.slack` of `bins`: the least that lies there on any day if all goes on as planned, in days of use."""
    first, network = arrays.network.day, arrays.network
    received = np.array([arrays.received(one, days) for one in arrays.routes]).reshape(len(arrays.routes), days)
    sites = network.sites.keys() if len(bins) == len(arrays.bins) else {arrays.bins[one][0] for one in bins.tolist()}
    calendars: dict[Calendar, Vector] = {}
    for site in sites:
        calendar = network.sites[site].calendar
        if calendar not in calendars:
            calendars[calendar] = np.cumsum([float(calendar.is_open(day)) for day in days_from(first, days)])
    kinds = {calendar: at for at, calendar in enumerate(calendars)}
    worked = np.array(list(calendars.values())).reshape(len(kinds), days)
    # Their links, and the other links of the same suppliers, who owe to all of them.
    is_whole = len(bins) == len(arrays.bins)
    into = np.arange(len(arrays.link_bin)) if is_whole else _among(arrays.link_bin, bins, len(arrays.bins))
    owed = into if is_whole else _among(arrays.link_line, arrays.link_line[into], len(arrays.lines))
    lines, line_at = np.unique(arrays.link_line[owed], return_inverse=True)
    asked = arrays.share[owed] * arrays.usage[arrays.link_bin[owed]]
    wanted = np.maximum(arrays.per_day[lines], totals(line_at, asked, len(lines)))
    able = np.divide(arrays.capacity[lines], wanted, out=np.ones(len(wanted)), where=wanted > arrays.capacity[lines])
    most = arrays.most[owed]
    carried = np.divide(most, asked, out=np.ones(len(asked)), where=asked > most)
    comes = arrays.share[owed] * carried * able[line_at] * ~arrays.waits[owed]
    comes = comes[np.searchsorted(owed, into)]
    found = np.empty(len(bins))
    place = np.full(len(arrays.bins), -1, np.int64)
    into_bin, into_route = arrays.link_bin[into], arrays.route[into]
    for start in range(0, len(bins), _BLOCK):
        block = bins[start : start + _BLOCK]
        place[block] = np.arange(len(block))
        links = np.flatnonzero(place[into_bin] >= 0)
        spots = place[into_bin[links]]
        parts = sparse.csr_array((comes[links], (spots, into_route[links])), shape=(len(block), len(received)))
        usage = arrays.usage[block]
        used = usage > 0
        arrived = np.zeros((len(block), days))
        for at, link in zip(spots.tolist(), into[links].tolist(), strict=True):
            for day, amount in network.links[link].in_transit.items():
                number = max((day - first).days, 0)
                if number < days:
                    arrived[at, number] += float(amount)
        stock = arrays.inbound[block][:, None] + np.cumsum(arrived, axis=1)
        hand = np.divide(stock, usage[:, None], out=np.full(stock.shape, np.inf), where=used[:, None])
        kind = np.array([kinds[network.sites[arrays.bins[one][0]].calendar] for one in block.tolist()], np.int64)
        hand += parts @ received - worked[kind] * (1 - arrays.outside[block])[:, None]
        found[start : start + _BLOCK] = hand.min(axis=1, initial=np.inf)
        place[block] = -1
    return found


def totals(places: Index, amounts: Vector, count: int) -> Vector:
    """The sum of `amounts` at each of `count` places."""
    return np.bincount(places, amounts, count).astype(np.float64, copy=False)


def days_from(first: date, count: int) -> list[date]:
    """`count` days from `first` on."""
    return [first + timedelta(days=number) for number in range(count)]


def arrival(lead: Lead, calendar: Calendar, day: date) -> date:
    """The day on which that which leaves on `day` can be used by a customer who works by `calendar`."""
    while lead.sails is not None and day.weekday() not in lead.sails:
        day += timedelta(days=1)
    left = lead.days if lead.working else 0
    while left:
        day += timedelta(days=1)
        left -= calendar.is_open(day)
    day += timedelta(days=0 if lead.working else lead.days)
    last = day + timedelta(days=366)
    while day < last and not calendar.is_open(day):
        day += timedelta(days=1)
    return day


def arrivals(lead: Lead, calendar: Calendar, days: Sequence[date]) -> Index:
    """On which day (its number) that which leaves on each of `days` can be used; beyond the last day: their count."""
    last = len(days)
    reaches: list[int] = []
    for number, day in enumerate(days):
        gone = number
        while lead.sails is not None and day.weekday() not in lead.sails:
            day += timedelta(days=1)
            gone += 1
        if lead.working:
            left = lead.days
            while left:
                day += timedelta(days=1)
                gone += 1
                left -= calendar.is_open(day)
        else:
            day += timedelta(days=lead.days)
            gone += lead.days
        while gone < last and not calendar.is_open(day):
            day += timedelta(days=1)
            gone += 1
        reaches.append(min(gone, last))
    return np.array(reaches, np.int64)
