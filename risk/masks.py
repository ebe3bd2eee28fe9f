"""Who and what one reader may see of the network that all of them count in, under real names still. Pure.

What a reader sees of a site is the weakest link of the strongest path to it. Of amounts it sees those of the parts that
it knows, by what its own sites make and use and the links that it may see themselves; other parts are counted in shares
of what is made of them a day, which hides how much that is.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from risk.alternatives import Alternative, Qualification, RouteAlternative
from risk.columns import Columns, Index
from risk.errors import MalformedFact
from risk.network import SupplyLink, SupplyNetwork
from risk.sharing import Coverage, Hit, Level, LinkHit, Seen

Node = tuple[str, str]
"""("site" | "part" | "offer", its real name); an offer is a supplier as an alternative names it."""
LEVELS = tuple(Level)
"""The levels by their rank."""
_ONE = Fraction(1)


class Ground:
    """What the masks of all readers are cut from; the arguments are as for `sights.Sights`.

    `scales` are those of another state of the network, so that what is the same stays one value.
    """

    def __init__(
        self,
        network: SupplyNetwork,
        exceptions: Mapping[tuple[str, str], Level],
        alternatives: Iterable[Alternative],
        qualifications: Iterable[Qualification],
        routes: Iterable[RouteAlternative],
        part_numbers: Mapping[tuple[str, str], str],
        scales: dict[tuple[int, int], Fraction],
    ) -> None:
        self.network = network
        self.alternatives, self.qualifications = tuple(alternatives), tuple(qualifications)
        self.routes, self.part_numbers, self.scales = tuple(routes), part_numbers, scales
        offered = {one.part for some in (self.alternatives, self.qualifications) for one in some}
        self.columns = Columns(network, [_rank(one) for one in network.links], offered)
        self.exceptions: dict[str, list[tuple[str, Level]]] = defaultdict(list)
        for (link, member), level in exceptions.items():
            self.exceptions[member].append((link, level))

    def scale(self, amount: Fraction) -> Fraction:
        """What amounts are multiplied by where `amount` of them counts as 1: one value for all that have the same."""
        return self.scales.setdefault((amount.numerator, amount.denominator), 1 / amount)


@dataclass(frozen=True, slots=True)
class Happening:
    """Hits of what the reader may see, and the nodes, links and routes that they are `about`."""

    sites: tuple[tuple[Node, Hit], ...] = ()
    links: tuple[tuple[SupplyLink, LinkHit], ...] = ()
    about: frozenset[Node] = frozenset()


class Mask:
    """Who and what one reader may see, by numbers of `Columns`; nothing has a name yet."""

    def __init__(self, ground: Ground, reader: str) -> None:
        self.reader, self._ground = reader, ground
        self.columns = columns = ground.columns
        self.network = ground.network
        self.own = np.zeros(len(columns.sites), bool)
        self.own[list(columns.owned.get(reader, ()))] = True
        self.rank = columns.rank.copy()
        for key, level in ground.exceptions.get(reader, ()):
            at = columns.link_at.get(key)
            if at is not None:
                self.rank[at] = level.rank
        self.rank[self.own[columns.supplier] | self.own[columns.customer]] = Level.NAMED.rank
        there = self.rank > Level.WITHHELD.rank
        self._up = (columns.customer[there], columns.supplier[there], self.rank[there])
        self._sight()
        self.links_seen = there & self.seen_sites[columns.supplier]
        self.link_list = np.flatnonzero(self.links_seen)
        self.lines_seen = self.seen_sites[columns.line_site]
        self.line_list = np.flatnonzero(self.lines_seen)
        self.needs_seen = self.lines_seen[columns.need_line]
        self.need_list = np.flatnonzero(self.needs_seen)
        self.stocks_seen = self.seen_sites[columns.stock_site]
        self.stock_list = np.flatnonzero(self.stocks_seen)
        named = Level.NAMED.rank
        ends = np.minimum(self.site_rank[columns.supplier], self.site_rank[columns.customer])
        self.known_links = self.links_seen & (self.rank == named) & (ends == named)
        """the links that the reader may see themselves, ends and all"""
        known = np.zeros(len(columns.parts), bool)
        known[columns.line_part[self.own[columns.line_site]]] = True
        known[columns.need_part[self.own[columns.line_site[columns.need_line]]]] = True
        known[columns.link_part[self.known_links]] = True
        self.known_parts = {columns.parts[one] for one in np.flatnonzero(known).tolist()}
        self.numbers = {part: part for part in sorted(self.known_parts)} | self.told(ground.part_numbers)
        self.routes = [one for one in ground.routes if self._sees(one.link)]
        for route in self.routes:
            route.check()
        self._ways = {one.key: one.link for one in self.routes}
        # An alternative counts for everybody whose need it can cover; the reader is told of those of its own sites.
        self.alternatives = [self._offered(one) for one in ground.alternatives if self.is_seen(one.customer)]
        self.offers = {("offer", one.supplier) for one in self.alternatives}
        self.consenting: dict[str, set[str]] = defaultdict(set)
        for offered in self.alternatives:
            if offered.consents:
                self.consenting[offered.supplier].add(offered.part)
        self.named_offers = {("offer", one.supplier) for one in self.alternatives if self.is_own(one.customer)}
        self.offering = {one.supplier for one in self.alternatives if self.is_own(one.customer) and one.consents}
        self.qualifications = [
            one
            for one in ground.qualifications
            if ("offer", one.supplier) in self.offers and self.is_seen(one.customer)
        ]
        self.scale = self._scales()

    # -- who sees whom -------------------------------------------------------------------------------------------------

    def _sight(self) -> None:
        """What may be known of each site that hangs together with the reader's own ones, through links that show."""
        columns, count = self.columns, len(self.columns.sites)
        customer, supplier, rank = self._up
        start = np.flatnonzero(self.own)
        before, after = _along(customer, supplier, rank, start, count), _along(supplier, customer, rank, start, count)
        self.upstream = before >= 0
        joined = sparse.csr_array((np.ones(len(customer), np.int8), (customer, supplier)), shape=(count, count))
        _, group = csgraph.connected_components(joined, directed=False)
        self.seen_sites = np.isin(group, group[start])
        self.site_list = np.flatnonzero(self.seen_sites)
        self.site_rank = np.maximum(np.maximum(before, after), Level.IMPACT_ONLY.rank)
        # Tiers are counted along links that show them: a shorter way that does not must not be given away.
        tiers = np.full(count, -1, np.int64)
        tiers[start] = 0
        is_shown = rank >= Level.TIER.rank
        ends, starts, tier = customer[is_shown], supplier[is_shown], 0
        while (wave := starts[(tiers[ends] == tier) & (tiers[starts] < 0)]).size:
            tier += 1
            tiers[wave] = tier
        kinds: dict[tuple[int, bool, int, str], Seen] = {}
        self.seen: list[Seen] = []
        ranks, own, tiers_of = self.site_rank.tolist(), self.own.tolist(), tiers.tolist()
        for at in self.site_list.tolist():
            level, region = LEVELS[ranks[at]], columns.sites[at].region
            key = (ranks[at], own[at], tiers_of[at], region)
            if key not in kinds:
                kinds[key] = Seen(
                    level,
                    own[at],
                    tiers_of[at] if level.shows(Level.TIER) and tiers_of[at] >= 0 else None,
                    region if level.shows(Level.REGION_AND_CAUSE) else None,
                )
            self.seen.append(kinds[key])

    def is_seen(self, site: str) -> bool:
        at = self.columns.site_at.get(site)
        return at is not None and bool(self.seen_sites[at])

    def is_own(self, site: str) -> bool:
        at = self.columns.site_at.get(site)
        return at is not None and bool(self.own[at])

    def level(self, site: str) -> Level:
        """At which level a site is seen that is seen at all."""
        return LEVELS[int(self.site_rank[self.columns.site_at[site]])]

    def link_level(self, link: SupplyLink) -> Level:
        """At which level the link itself is."""
        return LEVELS[int(self.rank[self.columns.link_at[link.key]])]

    def is_known(self, link: SupplyLink) -> bool:
        """Whether the reader may see the link itself, ends and all."""
        return bool(self.known_links[self.columns.link_at[link.key]])

    def _sees(self, link: str) -> bool:
        at = self.columns.link_at.get(link)
        return at is not None and bool(self.links_seen[at])

    def link(self, key: str) -> SupplyLink:
        """The link with this key, which is seen."""
        return self.columns.links[self.columns.link_at[key]]

    # -- what is known of it -------------------------------------------------------------------------------------------

    def _offered(self, one: Alternative) -> Alternative:
        """An alternative as it may count: of a supplier that has not agreed to be suggested nothing but its name, or
        whoever qualified somebody's site would learn what it has to spare, where it lies, and when it is hit.
        """
        if not one.consents:
            return replace(one, a_week=Fraction(0))
        return replace(one, shared=one.shared | self._in_common(one)) if self.is_own(one.customer) else one

    def _in_common(self, one: Alternative) -> frozenset[str]:
        """Regions, ports and suppliers that an alternative of the reader's has in common with those for whom it would
        stand in, each in the words that the reader may know it by.
        """
        columns, found = self.columns, set[str]()
        its, part = columns.site_at.get(one.supplier), columns.part_at.get(one.part, -1)
        if its is None:
            return frozenset()
        customer = columns.site_at[one.customer]
        present = columns.supplier[self.links_seen & (columns.customer == customer) & (columns.link_part == part)]
        besides = self._before(its)
        for number in (np.unique(present[present != its])).tolist():
            here, other = columns.sites[its], columns.sites[number]
            if here.region and here.region == other.region:
                found.add(f"region {here.region}")
            if here.locode is not None and here.locode == other.locode:
                found.add(f"port {here.locode}")
            rank = np.minimum(self._before(number), besides)
            rank[[number, its]] = -1
            for at in np.flatnonzero(rank >= 0).tolist():
                site, level = columns.sites[at], LEVELS[int(rank[at])]
                if level is Level.NAMED:
                    found.add(f"supplier {site.key}")
                elif level.shows(Level.REGION_AND_CAUSE) and site.region:
                    found.add(f"supplier in {site.region}")
                else:
                    found.add("supplier")
        return frozenset(found)

    def _before(self, site: int) -> Index:
        """The level at which each site is seen upstream of `site`; -1: it is not there."""
        return _along(*self._up, np.array([site]), len(self.columns.sites))

    def named_sites(self) -> set[str]:
        """The sites that the reader may see by their keys, and those that offer it what they have."""
        named = self.site_list[self.site_rank[self.site_list] == Level.NAMED.rank].tolist()
        return {self.columns.sites[at].key for at in named} | self.offering

    def told(self, names: Mapping[tuple[str, str], str]) -> dict[str, str]:
        """What of `names` (part, member) holds for the parts that the reader knows: its own, else that of who supplies
        or uses them beside it.
        """
        if not names:
            return {}
        found: dict[str, str] = {}
        for part in sorted(self.known_parts):
            called = [names[part, one] for one in (self.reader, *sorted(self._owners[part])) if (part, one) in names]
            if called:
                found[part] = called[0]
        return found

    @cached_property
    def _owners(self) -> Mapping[str, set[str]]:
        """The members at the ends of the links that the reader may see themselves, by their part."""
        columns, owners = self.columns, defaultdict[str, set[str]](set)
        for at in np.flatnonzero(self.known_links).tolist():
            ends = (columns.supplier[at], columns.customer[at])
            owners[columns.links[at].part] |= {columns.sites[one].owner for one in ends}
        return owners

    @cached_property
    def coverage(self) -> Coverage:
        """Over the needs of the reader's own sites and of those before them that it may count."""
        sites = self.upstream & (self.site_rank >= Level.TIER.rank)
        count, total = self.columns.coverage(sites, self.links_seen)
        return Coverage(count, total / count if count else Fraction(0))

    def _scales(self) -> dict[str, Fraction]:
        """What amounts of each part are multiplied by: parts that the reader does not know are counted by the day."""
        columns = self.columns
        there = np.zeros(len(columns.parts), bool)
        there[columns.line_part[self.line_list]] = True
        there[columns.need_part[self.need_list]] = True
        there[columns.stock_part[self.stock_list]] = True
        offered: dict[str, Fraction] = defaultdict(Fraction)
        for one in self.alternatives:
            offered[one.part] += one.a_week
        for some in (self.alternatives, self.qualifications):
            there[[columns.part_at[one.part] for one in some]] = True
        scales: dict[str, Fraction] = {}
        for at in np.flatnonzero(there).tolist():
            part = columns.parts[at]
            if part in self.known_parts:
                scales[part] = _ONE
                continue
            amount = columns.per_day(at, self.lines_seen, self.needs_seen)
            amount = amount or offered.get(part) or columns.stocked(at, self.stocks_seen)
            scales[part] = self._ground.scale(amount) if amount else _ONE
        return scales

    # -- what happens --------------------------------------------------------------------------------------------------

    def happening(self, hits: Sequence[Hit | LinkHit]) -> Happening:
        """What of `hits` the reader may know of, in whatever words."""
        for one in hits:
            one.check()
        sites: list[tuple[Node, Hit]] = []
        links: list[tuple[SupplyLink, LinkHit]] = []
        about: set[Node] = set()
        for one in hits:
            if isinstance(one, LinkHit):
                way = self._ways.get(one.link, one.link)
                if self._sees(way):
                    links.append((self.link(way), one))
                    about |= {*self.ends(self.link(way)), ("link", one.link)}
                continue
            nodes: list[Node] = [("site", one.site)] if self.is_seen(one.site) else []
            # Another line of an alternative is no concern of those to whom it offers this one.
            if one.site in self.consenting and (one.part is None or one.part in self.consenting[one.site]):
                nodes.append(("offer", one.site))
            sites += [(node, one) for node in nodes]
            about.update(nodes)
            if nodes and one.part is not None:
                about.add(("part", one.part))
        return Happening(tuple(sites), tuple(links), frozenset(about))

    def ends(self, link: SupplyLink) -> tuple[Node, ...]:
        """What a link is about."""
        return ("site", link.supplier), ("site", link.customer), ("part", link.part)

    def key_of(self, link: SupplyLink) -> str:
        """The key of a link that the reader may see itself: of its part it has the number that the reader knows."""
        if not link.key.endswith(f": {link.part}"):
            return link.key
        return link.key.removesuffix(link.part) + self.numbers[link.part]

    def shown_closing(self, link: SupplyLink, hit: LinkHit) -> LinkHit:
        """The hit as the level of its link and of both ends shows it, without its link's key."""
        hit = replace(hit, link="")
        levels = (self.link_level(link), self.level(link.supplier), self.level(link.customer))
        level = min(levels, key=lambda one: one.rank)
        if level is Level.NAMED:
            return hit
        hit = replace(hit, closed=())
        if level.shows(Level.REGION_AND_CAUSE):
            return replace(hit, sources=tuple(one for one in hit.sources if one.is_public))
        return replace(hit, cause="", onset=None, sources=())

    def shown_route(self, one: RouteAlternative) -> RouteAlternative:
        """The stand-in without keys; what it costs, who has qualified it and how it goes is for its customer."""
        link = self.link(one.link)
        amount = one.a_week * self.scale[link.part]
        if self.is_own(link.customer):
            return replace(one, key="", link="", a_week=amount)
        return replace(one, key="", link="", a_week=amount, by="", extra_cents=0, route=None)

    def shown(self, node: Node, hit: Hit) -> Hit:
        """The hit as the level of the node shows it, still under its real name."""
        level = Level.NAMED if node in self.named_offers else Level.IMPACT_ONLY
        if node[0] == "site":
            level = self.level(node[1])
        if level is Level.NAMED:
            # A partner's own word would tell that it deals with the site.
            site = self.network.sites.get(hit.site)
            known = {self.reader} if site is None else {self.reader, site.owner}
            return replace(hit, sources=tuple(one for one in hit.sources if one.is_public or one.name in known))
        if level.shows(Level.REGION_AND_CAUSE):
            return replace(hit, sources=tuple(one for one in hit.sources if one.is_public))
        return replace(hit, cause="", onset=None, sources=())

    def hidden_terms(self, one: Alternative) -> dict[str, Any]:
        """What only the customer of an alternative may know of it."""
        return {} if self.is_own(one.customer) else {"extra_cents": 0, "shared": frozenset()}


def _along(ends: Index, starts: Index, rank: NDArray[np.int8], own: Index, count: int) -> Index:
    """The rank at which each of `count` sites is seen from those in `own` on, going from `ends` to `starts`; -1: it is
    not reached. It is the weakest link of the strongest path.
    """
    best = np.full(count, -1, np.int64)
    best[own] = Level.NAMED.rank
    for level in range(Level.NAMED.rank, Level.WITHHELD.rank, -1):
        shows = rank >= level
        here, there = ends[shows], starts[shows]
        while (wave := there[(best[here] >= 0) & (best[there] < 0)]).size:
            best[wave] = level
    return best


def _rank(link: SupplyLink) -> int:
    try:
        return Level(link.level).rank
    except ValueError:
        raise MalformedFact(f"{link.level!r} is none of {', '.join(Level)}", f"link {link.key}") from None
