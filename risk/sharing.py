"""What one reader may see of the network that all of them count in: masked sites, fresh ids, coverage. Pure.

Each supply link has a level that its owner chose, for everybody or for one reader. A withheld link is not there. From
*impact only* upward a link counts in full, so that the reader's figures are those of the full network; what the reader
learns of the sites behind it grows with the level. Whoever is an end of a link knows it anyway.

Fresh ids come from the shape of what the reader may see and never from a name: two networks that differ only in what
the reader may not see give the same bytes. They are keyed, so that two readers cannot compare theirs. Parts that the
reader does not know are counted in shares of what is made of them a day, which hides how much that is; a part that the
reader does know keeps its amounts. A view is what a report is computed from; the report (`assessment`) shows less.
"""

import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import cache, cached_property
from hashlib import sha256
from typing import Any, Self, get_type_hints

from risk.alternatives import Alternative, Qualification, RouteAlternative
from risk.errors import MalformedFact
from risk.network import Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.plans import ContinuityPlan
from risk.reading import parse, read
from risk.shapes import shape_of


class Level(StrEnum):
    """How much the owner of a link shows of it to those who are not its ends; each shows what those before it show."""

    WITHHELD = "withheld"
    IMPACT_ONLY = "impact-only"
    REGION_AND_CAUSE = "region-and-cause"
    TIER = "tier"
    NAMED = "named"

    @property
    def rank(self) -> int:
        """0 shows nothing."""
        return _RANKS[self]

    def shows(self, other: "Level") -> bool:
        """Whether what `other` shows can be seen at this level."""
        return self.rank >= other.rank


@dataclass(frozen=True, slots=True)
class Source:
    """Who says that a site is hit, and in which areas: "circle 29.9,121.6 120.5", "polygon 28,120 28,123 31,123 28,120"
    or the kind of a named place and its name. What is not `is_public` is for those who may see the site by its name.
    """

    name: str
    areas: tuple[str, ...]
    is_public: bool


_RANKS = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Hit:
    """A disruption at one site: from `start` on the share `left` of its capacity stays, until it is `back`: at the
    earliest, most likely, at the latest. `onset` is when the disruption itself begins, if not on `start`. `is_assumed`:
    nobody has said when it is back. With `part` only the line that makes it is hit.
    """

    site: str
    start: date
    back: tuple[date, date, date]
    cause: str
    left: Fraction = Fraction(0)
    onset: date | None = None
    status: str = "Actual"
    probability: Fraction = Fraction(1)
    sources: tuple[Source, ...] = ()
    is_assumed: bool = False
    part: str | None = None

    def check(self) -> None:
        """Raise MalformedFact unless it begins before it ends, and its shares are shares."""
        if not self.start <= self.back[0] <= self.back[1] <= self.back[2] or self.start == self.back[0]:
            raise MalformedFact("it is back after it began: at the earliest, most likely, at the latest", self.site)
        if not 0 <= self.left <= 1 or not 0 <= self.probability <= 1:
            raise MalformedFact("what is left, and how sure that is, are shares from 0 to 1", self.site)


@dataclass(frozen=True, slots=True)
class LinkHit:
    """A disruption of what brings goods over one link (or a route that stands in for it, by its key): a port, a lane,
    a passage. From `start` on it lets the share `left` through, until it is `back`: at the earliest, likely, latest.

    `after_days` is how many days after leaving goods come to where it is closed: 0 at the port of departure. `closed`
    names the ports, lanes and passages.
    """

    link: str
    start: date
    back: tuple[date, date, date]
    cause: str
    left: Fraction = Fraction(0)
    after_days: int = 0
    onset: date | None = None
    status: str = "Actual"
    probability: Fraction = Fraction(1)
    sources: tuple[Source, ...] = ()
    is_assumed: bool = False
    closed: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise MalformedFact unless it begins before it ends, and its shares are shares."""
        where = f"closing of {self.link}"
        if not self.start <= self.back[0] <= self.back[1] <= self.back[2] or self.start == self.back[0]:
            raise MalformedFact("it opens after it closed: at the earliest, most likely, at the latest", where)
        if not 0 <= self.left <= 1 or not 0 <= self.probability <= 1:
            raise MalformedFact("what is left, and how sure that is, are shares from 0 to 1", where)
        if self.after_days < 0:
            raise MalformedFact("goods come to where it is closed after they left", where)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the reader may know of a site: what `level` shows. In `tier` suppliers of suppliers count up from 1."""

    level: Level
    is_own: bool = False
    tier: int | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of how much of what the reader and those before it need it is known where it comes from: the mean over `needs`.

    Needs of sites that are shared below the level `tier` are not counted, or their number would tell how many there
    are. What is withheld and what nobody has stated look the same. `requests` are questions to
    suppliers not yet answered.
    """

    needs: int
    share: Fraction
    requests: int = 0


@dataclass(frozen=True)
class View:
    """The network of one reader at one checkpoint, with what happens in it; ids of others are of no use elsewhere."""

    reader: str
    checkpoint: str
    network: SupplyNetwork
    seen: Mapping[str, Seen]
    known_parts: frozenset[str]
    hits: tuple[Hit, ...]
    alternatives: tuple[Alternative, ...]
    qualifications: tuple[Qualification, ...]
    doubts: Mapping[tuple[str, str], Fraction]
    coverage: Coverage
    link_hits: tuple[LinkHit, ...] = ()
    routes: tuple[RouteAlternative, ...] = ()
    plans: tuple[ContinuityPlan, ...] = ()
    site_names: Mapping[str, str] = field(default_factory=dict)
    part_names: Mapping[str, str] = field(default_factory=dict)
    _still: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    """the text of what no hit changes, as far as it is written already"""
    _networks: dict[str, SupplyNetwork] = field(default_factory=dict, init=False, repr=False, compare=False)
    """networks that follow from this one alone, as far as they are made already"""

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The view whose text `data` is, in any layout; raises MalformedFact for anything that no view says."""
        said = parse(data)
        if not isinstance(said, dict):
            raise MalformedFact("a view is an object")
        types = get_type_hints(cls)
        names = {one.name: _camel(one.name) for one in fields(cls) if one.init and one.name not in _APART}
        wanted = {*names.values(), *_OF_NETWORK, "doubts"}
        if said.keys() != wanted:
            wrong = ", ".join(sorted(said.keys() ^ wanted))[:200]
            raise MalformedFact(f"a view has {', '.join(sorted(wanted))}; one of these is missing or too many: {wrong}")
        values = {name: read(types[name], said[shown], f"/{shown}") for name, shown in names.items()}
        parts = {name: read(kind, said[name], f"/{name}") for name, kind in _OF_NETWORK.items()}
        doubts = read(tuple[tuple[str, str, Fraction], ...], said["doubts"], "/doubts")
        network = SupplyNetwork.of(
            parts["day"], parts["sites"].values(), parts["lines"], parts["links"], parts["stocks"]
        )
        view = cls(network=network, doubts={(site, part): doubt for site, part, doubt in doubts}, **values)
        if view.text != canonical(said) or not network.sites.keys() <= view.seen.keys():
            raise MalformedFact("not as a view is written: something is missing, comes twice, or in another order")
        return view

    @property
    def text(self) -> bytes:
        """All of it in one text form: what two worlds are compared by, and what a report can be made of again."""
        return b"".join(self._pieces())

    def kept(self, name: str, make: Callable[[], SupplyNetwork]) -> SupplyNetwork:
        """What `make` makes of the network and the doubts alone, called `name`: once for all views of one sight."""
        if name not in self._networks:
            self._networks[name] = make()
        return self._networks[name]

    @cached_property
    def digest(self) -> str:
        digest = sha256()
        for piece in self._pieces():
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self) -> Iterator[bytes]:
        """The text, name by name in their order; what no hit changes is written once for all views."""
        names = {_camel(one.name): one.name for one in fields(self) if one.init and one.name not in _APART}
        for number, shown in enumerate(sorted({*names, *_OF_NETWORK, "doubts"})):
            yield b"%s%s:" % (b"," if number else b"{", canonical(shown))
            if names.get(shown) in _HAPPENING:
                yield canonical(plain(getattr(self, names[shown])))
                continue
            if shown not in self._still:
                said = [[*place, plain(doubt)] for place, doubt in sorted(self.doubts.items())]
                if shown != "doubts":
                    said = plain(getattr(self.network if shown in _OF_NETWORK else self, names.get(shown, shown)))
                self._still[shown] = canonical(said)
            yield self._still[shown]
        yield b"}"


_APART = ("network", "doubts")
_HAPPENING = frozenset({"hits", "link_hits", "coverage"})
"""What differs between views of one sight."""
_OF_NETWORK: Mapping[str, Any] = {
    "day": date,
    "lines": tuple[Line, ...],
    "links": tuple[SupplyLink, ...],
    "sites": Mapping[str, Site],
    "stocks": tuple[Stock, ...],
}
"""What a view says of its network."""


def view(
    network: SupplyNetwork,
    reader: str,
    *,
    key: bytes,
    checkpoint: str,
    exceptions: Mapping[tuple[str, str], Level] | None = None,
    hits: Iterable[Hit | LinkHit] = (),
    alternatives: Iterable[Alternative] = (),
    qualifications: Iterable[Qualification] = (),
    routes: Iterable[RouteAlternative] = (),
    doubts: Mapping[tuple[str, str], Fraction] | None = None,
    site_names: Mapping[str, str] | None = None,
    part_names: Mapping[tuple[str, str], str] | None = None,
    part_numbers: Mapping[tuple[str, str], str] | None = None,
    plans: Iterable[ContinuityPlan] = (),
    requests: int = 0,
) -> View:
    """What the member `reader` may see of `network` and of what happens in it.

    `exceptions` are levels for single readers: (key of the link, reader) → level. `doubts` say by what share each
    stock (site, part) may be wrong. `site_names`, `part_names` and `part_numbers` are as in `facts.Known`: the reader's
    parts go by the numbers that it has for them, not by one that somebody else may have. `key` (32 bytes) makes the
    ids of others; with it and the same facts they are the same again. Raises MalformedFact for a level or a hit that
    is none.
    """
    sight = Sight(network, reader, key=key, checkpoint=checkpoint, exceptions=exceptions, alternatives=alternatives,
                  qualifications=qualifications, routes=routes, doubts=doubts, site_names=site_names,
                  part_names=part_names, part_numbers=part_numbers, plans=plans)  # fmt: skip
    return sight.view(hits, requests)


class Sight:
    """What one reader may see at one checkpoint, whatever happens there: made once, then `view` for each disruption.

    The arguments are those of `view`, which is the same in one step.
    """

    def __init__(
        self,
        network: SupplyNetwork,
        reader: str,
        *,
        key: bytes,
        checkpoint: str,
        exceptions: Mapping[tuple[str, str], Level] | None = None,
        alternatives: Iterable[Alternative] = (),
        qualifications: Iterable[Qualification] = (),
        routes: Iterable[RouteAlternative] = (),
        doubts: Mapping[tuple[str, str], Fraction] | None = None,
        site_names: Mapping[str, str] | None = None,
        part_names: Mapping[tuple[str, str], str] | None = None,
        part_numbers: Mapping[tuple[str, str], str] | None = None,
        plans: Iterable[ContinuityPlan] = (),
    ) -> None:
        # Whom a plan names may see all of it, and nobody else anything.
        self._plans = tuple(sorted((one for one in plans if reader in one.members), key=lambda one: one.key))
        self._mask = _Mask(
            network, reader, exceptions or {}, part_numbers or {}, alternatives, qualifications, routes, doubts or {}
        )
        self._key, self._checkpoint = key, checkpoint
        self._drawn = self._mask.drawn(key)
        self._site_names = self._mask.site_names(site_names or {})
        self._part_names = self._mask.part_names(part_names or {})

    def view(self, hits: Iterable[Hit | LinkHit] = (), requests: int = 0) -> View:
        """The view with `hits` in it. Raises MalformedFact for one that is none.

        Ids do not depend on hits, save where one falls on what nothing but a choice tells from its like: which of them
        is hit would follow from that choice, so there the hits are part of the shape that ids come from.
        """
        mask, drawn = self._mask, self._drawn
        happening = mask.happening(list(hits))
        if drawn.alike & happening.about:
            drawn = mask.drawn(self._key, happening)
        view = View(
            reader=mask.reader,
            checkpoint=self._checkpoint,
            network=drawn.network,
            seen=drawn.seen,
            known_parts=frozenset(mask.numbers.values()),
            hits=tuple(sorted({mask.hit(node, one, drawn) for node, one in happening.sites}, key=_order)),
            alternatives=drawn.alternatives,
            qualifications=drawn.qualifications,
            doubts=drawn.doubts,
            coverage=replace(mask.coverage, requests=requests),
            link_hits=tuple(sorted({mask.closing(one, drawn) for one in happening.links}, key=_order)),
            routes=drawn.routes,
            plans=self._plans,
            site_names=self._site_names,
            part_names=self._part_names,
        )
        object.__setattr__(view, "_still", drawn.still)
        object.__setattr__(view, "_networks", drawn.networks)
        return view


def plain(value: Any) -> Any:
    """`value` as JSON without floats: fractions and dates as text, sets in order, dataclasses by their fields."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Fraction | date):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _fields(type(value))}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(plain, value))
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return value


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def canonical(value: Any) -> bytes:
    """The one text of `value` (RFC 8785, for content without floats and with ASCII keys)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


Node = tuple[str, str]
"""("site" | "part" | "offer", its real name); an offer is a supplier as an alternative names it."""


@dataclass(frozen=True, slots=True)
class _Happening:
    """Hits of what the reader may see, and the nodes, links and routes that they are `about`."""

    sites: tuple[tuple[Node, Hit], ...] = ()
    links: tuple[tuple[SupplyLink, LinkHit], ...] = ()
    about: frozenset[Node] = frozenset()


@dataclass(frozen=True, slots=True)
class _Drawn:
    """All of a view but what happens in it: under which names, and which of them (`alike`) only a choice told apart."""

    names: Mapping[Node, str]
    ways: Mapping[str, str]
    alike: frozenset[Node]
    network: SupplyNetwork
    seen: Mapping[str, Seen]
    alternatives: tuple[Alternative, ...]
    qualifications: tuple[Qualification, ...]
    routes: tuple[RouteAlternative, ...]
    doubts: Mapping[tuple[str, str], Fraction]
    still: dict[str, bytes]
    networks: dict[str, SupplyNetwork]


class _Mask:
    """One reader's sight of a network, worked out step by step."""

    def __init__(
        self,
        network: SupplyNetwork,
        reader: str,
        exceptions: Mapping[tuple[str, str], Level],
        numbers: Mapping[tuple[str, str], str],
        alternatives: Iterable[Alternative],
        qualifications: Iterable[Qualification],
        routes: Iterable[RouteAlternative],
        doubts: Mapping[tuple[str, str], Fraction],
    ) -> None:
        self.network = network
        self.reader = reader
        self.own = frozenset(site.key for site in network.sites.values() if site.owner == reader)
        self.levels: dict[str, Level] = {}
        own_levels = {link: level for (link, member), level in exceptions.items() if member == reader}
        for link in network.links:
            try:
                level = own_levels.get(link.key) or _level(link.level)
            except ValueError:
                raise MalformedFact(f"{link.level!r} is none of {', '.join(Level)}", f"link {link.key}") from None
            is_end = link.supplier in self.own or link.customer in self.own
            self.levels[link.key] = Level.NAMED if is_end else level
        there = [one for one in network.links if self.levels[one.key] is not Level.WITHHELD]
        self.seen = self._sight(there)
        self.links = [one for one in there if one.supplier in self.seen and one.customer in self.seen]
        self._link = {one.key: one for one in self.links}
        self.lines = [one for one in network.lines if one.site in self.seen]
        self.stocks = [one for one in network.stocks if one.site in self.seen]
        known = {part for line in self.lines if line.site in self.own for part in (line.part, *line.needs)}
        known |= {one.part for one in self.links if self._is_known(one)}
        self.known_parts = frozenset(known)
        self.numbers = {part: part for part in self.known_parts} | self._told(numbers)
        self.routes = [one for one in routes if one.link in self._link]
        for route in self.routes:
            route.check()
        self.ways = self._link | {one.key: self._link[one.link] for one in self.routes}
        # An alternative counts for everybody whose need it can cover; the reader is told of those of its own sites.
        self.alternatives = [self._offered(one) for one in alternatives if one.customer in self.seen]
        self.offers = {("offer", one.supplier) for one in self.alternatives}
        self.consenting: dict[str, set[str]] = defaultdict(set)
        for offered in self.alternatives:
            if offered.consents:
                self.consenting[offered.supplier].add(offered.part)
        self.named_offers = {("offer", one.supplier) for one in self.alternatives if one.customer in self.own}
        self.offering = {one.supplier for one in self.alternatives if one.customer in self.own and one.consents}
        self.qualifications = [
            one for one in qualifications if ("offer", one.supplier) in self.offers and one.customer in self.seen
        ]
        self.doubts = {(site, part): doubt for (site, part), doubt in doubts.items() if site in self.seen}
        self.scale = self._scales()
        self.coverage = self._coverage()
        self._scaled = {one.key: self._link_scaled(one) for one in self.links}

    def _offered(self, one: Alternative) -> Alternative:
        """An alternative as it may count: of a supplier that has not agreed to be suggested nothing but its name, or
        whoever qualified somebody's site would learn what it has to spare, where it lies, and when it is hit.
        """
        if not one.consents:
            return replace(one, a_week=Fraction(0))
        return replace(one, shared=one.shared | self._in_common(one)) if one.customer in self.own else one

    def site_names(self, names: Mapping[str, str]) -> dict[str, str]:
        """What the sites are called that the reader may see by their keys, and those that offer it what they have."""
        shown = {one for one, seen in self.seen.items() if seen.level is Level.NAMED}
        return {one: names[one] for one in sorted(shown | self.offering) if one in names}

    def part_names(self, names: Mapping[tuple[str, str], str]) -> dict[str, str]:
        """What the parts are called that the reader knows, by the numbers that it sees."""
        return dict(sorted((self.numbers[part], name) for part, name in self._told(names).items()))

    def _told(self, names: Mapping[tuple[str, str], str]) -> dict[str, str]:
        """What of `names` (part, member) holds for the parts that the reader knows: its own, else that of who supplies
        or uses them beside it.
        """
        owners: dict[str, set[str]] = defaultdict(set)
        for link in self.links:
            if self._is_known(link):
                owners[link.part] |= {self.network.sites[one].owner for one in (link.supplier, link.customer)}
        found: dict[str, str] = {}
        for part in sorted(self.known_parts):
            called = [names[part, one] for one in (self.reader, *sorted(owners[part])) if (part, one) in names]
            if called:
                found[part] = called[0]
        return found

    def _is_known(self, link: SupplyLink) -> bool:
        """Whether the reader may see the link itself, ends and all."""
        ends = (self.seen[link.supplier].level, self.seen[link.customer].level)
        return self.levels[link.key] is Level.NAMED and ends == (Level.NAMED, Level.NAMED)

    def _sight(self, links: Sequence[SupplyLink]) -> dict[str, Seen]:
        """What may be known of each site that hangs together with the reader's own ones, through `links`."""
        up: dict[str, list[tuple[str, Level]]] = defaultdict(list)
        down: dict[str, list[tuple[str, Level]]] = defaultdict(list)
        for link in links:
            up[link.customer].append((link.supplier, self.levels[link.key]))
            down[link.supplier].append((link.customer, self.levels[link.key]))
        self.up = up
        before, after = self._along(up), self._along(down)
        self.upstream = frozenset(before)
        found: set[str] = set(self.own)
        wave = sorted(self.own)
        while wave:
            wave = sorted({other for site in wave for other, _ in (*up[site], *down[site])} - found)
            found.update(wave)
        # Tiers are counted along links that show them: a shorter way that does not must not be given away.
        tiers: dict[str, int] = dict.fromkeys(self.own, 0)
        wave = sorted(self.own)
        while wave:
            tier = tiers[wave[0]] + 1
            wave = sorted({other for site in wave for other, of in up[site] if of.shows(Level.TIER)} - tiers.keys())
            tiers |= dict.fromkeys(wave, tier)
        sight = {}
        for key in sorted(found):
            level = max(before.get(key, Level.IMPACT_ONLY), after.get(key, Level.IMPACT_ONLY), key=lambda one: one.rank)
            sight[key] = Seen(
                level,
                key in self.own,
                tiers.get(key) if level.shows(Level.TIER) else None,
                self.network.sites[key].region if level.shows(Level.REGION_AND_CAUSE) else None,
            )
        return sight

    def _in_common(self, one: Alternative) -> frozenset[str]:
        """Regions, ports and suppliers that an alternative of the reader's has in common with those for whom it would
        stand in, each in the words that the reader may know it by.
        """
        its, sites = self.network.sites.get(one.supplier), self.network.sites
        present = {link.supplier for link in self.links if (link.customer, link.part) == (one.customer, one.part)}
        found: set[str] = set()
        if its is None:
            return frozenset()
        for other in (sites[key] for key in present - {one.supplier}):
            if its.region and its.region == other.region:
                found.add(f"region {its.region}")
            if its.locode is not None and its.locode == other.locode:
                found.add(f"port {its.locode}")
            above, besides = (self._along(self.up, [site.key]) for site in (other, its))
            for key in (above.keys() & besides.keys()) - {other.key, its.key}:
                level = min((above[key], besides[key]), key=lambda each: each.rank)
                if level is Level.NAMED:
                    found.add(f"supplier {key}")
                elif level.shows(Level.REGION_AND_CAUSE) and sites[key].region:
                    found.add(f"supplier in {sites[key].region}")
                else:
                    found.add("supplier")
        return frozenset(found)

    def _along(
        self, onward: Mapping[str, Sequence[tuple[str, Level]]], start: Iterable[str] | None = None
    ) -> dict[str, Level]:
        """The level at which each site is seen along one direction, from `start` or the reader's own sites on: the
        weakest link of the strongest path.
        """
        best = dict.fromkeys(self.own if start is None else start, Level.NAMED)
        for level in reversed(Level):
            wave = sorted(best)
            while wave:
                reached = {other for site in wave for other, of in onward.get(site, ()) if of.shows(level)}
                wave = sorted(reached - best.keys())
                best |= dict.fromkeys(wave, level)
        return best

    def happening(self, hits: Sequence[Hit | LinkHit]) -> _Happening:
        """What of `hits` the reader may know of, in whatever words."""
        for one in hits:
            one.check()
        sites: list[tuple[Node, Hit]] = []
        links: list[tuple[SupplyLink, LinkHit]] = []
        about: set[Node] = set()
        for one in hits:
            if isinstance(one, LinkHit):
                if one.link in self.ways:
                    links.append((self.ways[one.link], one))
                    about |= {*self._ends(self.ways[one.link]), ("link", one.link)}
                continue
            nodes: list[Node] = [("site", one.site)] if one.site in self.seen else []
            # Another line of an alternative is no concern of those to whom it offers this one.
            if one.site in self.consenting and (one.part is None or one.part in self.consenting[one.site]):
                nodes.append(("offer", one.site))
            sites += [(node, one) for node in nodes]
            about.update(nodes)
            if nodes and one.part is not None:
                about.add(("part", one.part))
        return _Happening(tuple(sites), tuple(links), frozenset(about))

    def drawn(self, key: bytes, happening: _Happening = _Happening()) -> _Drawn:
        """Everything under the names that it has in the view; with `happening` these follow from that as well."""
        nodes: list[Node] = [("site", one) for one in self.seen] + [("part", one) for one in self.scale]
        names, alike = self._names(key, nodes + sorted(self.offers), happening)
        links, ways, twins = self._links(names, happening)
        network = SupplyNetwork.of(
            self.network.day,
            [self._site(self.network.sites[one], names) for one in self.seen],
            [self._line(one, names) for one in self.lines],
            links,
            [Stock(names["site", one.site], names["part", one.part], one.amount * self.scale[one.part])
             for one in self.stocks],
        )  # fmt: skip
        return _Drawn(
            names=names,
            ways=ways,
            alike=alike | twins,
            network=network,
            seen=dict(sorted((names["site", one], seen) for one, seen in self.seen.items()))
            | {names[one]: Seen(Level.NAMED) for one in sorted(self.named_offers) if one[1] not in self.seen},
            alternatives=tuple(sorted((self._alternative(one, names) for one in self.alternatives), key=_order)),
            qualifications=tuple(sorted((self._qualification(one, names) for one in self.qualifications), key=_order)),
            routes=tuple(sorted((self._route(one, ways) for one in self.routes), key=_order)),
            doubts={
                (names["site", site], names["part", part]): doubt
                for (site, part), doubt in sorted(self.doubts.items())
                if ("part", part) in names
            },
            still={},
            networks={},
        )

    def _scales(self) -> dict[str, Fraction]:
        """What amounts of each part are multiplied by: parts that the reader does not know are counted by the day."""
        measures: tuple[dict[str, Fraction], ...] = tuple(defaultdict(Fraction) for _ in range(5))
        parts: set[str] = set()
        for line in self.lines:
            parts |= {line.part, *line.needs}
            if line.part not in self.known_parts:
                measures[0][line.part] += line.per_day
                measures[1][line.part] += line.capacity
            for part, amount in line.needs.items():
                if part not in self.known_parts:
                    measures[2][part] += line.per_day * amount
        for offer in self.alternatives:
            measures[3][offer.part] += offer.a_week
        for stock in self.stocks:
            measures[4][stock.part] += stock.amount
        parts |= {one.part for some in (self.alternatives, self.qualifications) for one in some}
        parts |= {one.part for one in self.stocks}
        return {
            part: Fraction(1)
            if part in self.known_parts
            else next((1 / one[part] for one in measures if one.get(part)), Fraction(1))
            for part in sorted(parts)
        }

    def _facts(self, happening: _Happening) -> Iterator[tuple[str, tuple[Node, ...]]]:
        """Everything visible, about nodes; what is known by its name says it. Ids follow from nothing else."""
        scale = self.scale
        for key, seen in self.seen.items():
            site = self.network.sites[key]
            named = site if seen.level is Level.NAMED else None
            yield f"site {seen} {_said(site.calendar)} {'' if named is None else _said(named)}", (("site", key),)
        for part, number in self.numbers.items():
            yield f"part {number}", (("part", part),)
        for offer in self.named_offers:
            yield f"offer {offer[1]}", (offer,)
        for line in self.lines:
            here = (("site", line.site), ("part", line.part))
            by = scale[line.part]
            yield f"line {line.per_day * by} {line.capacity * by} {self._price(line)}", here
            essential = self._essential(line)
            for part, amount in line.needs.items():
                yield f"need {amount * scale[part] / by}{_if_stated(essential.get(part))}", (*here, ("part", part))
        for link in self.links:
            key = f"link {self._key(link)}" if self._is_known(link) else "link"
            yield f"{key} {_carries(self._scaled[link.key])}", self._ends(link)
        for way in self.routes:
            yield f"route {_said(self._shown_route(way))}", self._ends(self._link[way.link])
        for stock in self.stocks:
            doubt = self.doubts.get((stock.site, stock.part))
            said = f"stock {stock.amount * scale[stock.part]} {doubt}"
            yield said, (("site", stock.site), ("part", stock.part))
        for one in self.alternatives:
            shown = replace(one, supplier="", customer="", part="", a_week=one.a_week * scale[one.part],
                            **self._hidden_terms(one))  # fmt: skip
            nodes = (("offer", one.supplier), ("site", one.customer), ("part", one.part))
            yield f"alternative {_said(shown)}", nodes
        for two in self.qualifications:
            by_whom = two.by if two.customer in self.own else ""
            nodes = (("offer", two.supplier), ("site", two.customer), ("part", two.part))
            yield f"qualification {two.expires} {by_whom}", nodes
        for link, closing in happening.links:
            is_route = closing.link != link.key
            yield f"closing {is_route} {_said(self._shown_closing(link, closing))}", self._ends(link)
        for node, hit in happening.sites:
            said = _said(replace(self._shown(node, hit), site="", part=None))
            if hit.part is None:
                yield f"hit {said}", (node,)
            else:
                yield f"hit of a line {said}", (node, ("part", hit.part))

    def _is_named(self, node: Node) -> bool:
        kind, name = node
        if kind == "part":
            return name in self.known_parts
        return node in self.named_offers if kind == "offer" else self.seen[name].level is Level.NAMED

    def _names(
        self, key: bytes, nodes: Sequence[Node], happening: _Happening
    ) -> tuple[dict[Node, str], frozenset[Node]]:
        """The key of each node in the view: its name where that is shown, else an id from its place among the facts.

        Ids are fresh whenever anything that is seen here is another, and the same while all of it is: a new root or
        size of the log follows from what the reader may not see, and would show in every id and in their order.
        Also the nodes that are alike but for a choice.
        """
        places = {node: at for at, node in enumerate(nodes)}
        names = {
            node: self.numbers[node[1]] if node[0] == "part" else node[1] for node in nodes if self._is_named(node)
        }
        shape = shape_of(
            key,
            [(f"{node[0]} {names.get(node, '')}", node in names) for node in nodes],
            ((what, tuple([places[one] for one in some])) for what, some in self._facts(happening)),
            lambda at: nodes[at],
        )
        hidden = [node for node in nodes if node not in names]
        ranked = sorted(hidden, key=lambda node: (node[0], shape.colours[places[node]]))
        for rank, node in enumerate(ranked):
            names[node] = _id(key, self.reader, shape.digest, node[0], rank)
        return names, frozenset(nodes[at] for at in shape.alike)

    def _price(self, line: Line) -> int | None:
        return line.revenue_cents if line.site in self.own else None

    def _site(self, site: Site, names: Mapping[Node, str]) -> Site:
        seen = self.seen[site.key]
        if seen.level is Level.NAMED:
            return site
        return Site(names["site", site.key], "", seen.region or "", calendar=site.calendar)

    def _line(self, line: Line, names: Mapping[Node, str]) -> Line:
        scale = self.scale
        needs = {names["part", part]: amount * scale[part] / scale[line.part] for part, amount in line.needs.items()}
        return Line(
            names["site", line.site],
            names["part", line.part],
            line.per_day * scale[line.part],
            line.capacity * scale[line.part],
            needs,
            self._price(line),
            line.currency if line.site in self.own else None,
            {names["part", part]: said for part, said in self._essential(line).items()},
        )

    def _essential(self, line: Line) -> Mapping[str, bool]:
        """What of that counts: that something can be done without. That it cannot is what is taken where nobody says
        so, and who said so is known of named sites alone.
        """
        is_named = self.seen[line.site].level is Level.NAMED
        return {part: said for part, said in line.essential.items() if is_named or not said}

    def _link_scaled(self, link: SupplyLink) -> SupplyLink:
        """The link without its key and its ends, as far as the reader may see it."""
        scale = self.scale[link.part]
        return SupplyLink(
            "",
            "",
            "",
            "",
            link.share,
            link.lead,
            None if link.most_per_day is None else link.most_per_day * scale,
            {day: amount * scale for day, amount in sorted(link.in_transit.items())},
            link.since,
            self.levels[link.key],
            link.route if self._is_known(link) else None,
        )

    def _key(self, link: SupplyLink) -> str:
        """The key of a link that the reader may see itself: of its part it has the number that the reader knows."""
        if not link.key.endswith(f": {link.part}"):
            return link.key
        return link.key.removesuffix(link.part) + self.numbers[link.part]

    def _ends(self, link: SupplyLink) -> tuple[Node, ...]:
        return ("site", link.supplier), ("site", link.customer), ("part", link.part)

    def _shown_closing(self, link: SupplyLink, hit: LinkHit) -> LinkHit:
        """The hit as the level of its link and of both ends shows it, without its link's key."""
        hit = replace(hit, link="")
        ends = (self.seen[link.supplier].level, self.seen[link.customer].level)
        level = min((self.levels[link.key], *ends), key=lambda one: one.rank)
        if level is Level.NAMED:
            return hit
        hit = replace(hit, closed=())
        if level.shows(Level.REGION_AND_CAUSE):
            return replace(hit, sources=tuple(one for one in hit.sources if one.is_public))
        return replace(hit, cause="", onset=None, sources=())

    def closing(self, one: tuple[SupplyLink, LinkHit], drawn: _Drawn) -> LinkHit:
        """The closing as the reader may see it."""
        return replace(self._shown_closing(*one), link=drawn.ways[one[1].link])

    def _route(self, one: RouteAlternative, keys: Mapping[str, str]) -> RouteAlternative:
        return replace(self._shown_route(one), key=keys[one.key], link=keys[one.link])

    def _shown_route(self, one: RouteAlternative) -> RouteAlternative:
        """The stand-in without keys; what it costs, who has qualified it and how it goes is for its customer."""
        link = self._link[one.link]
        amount = one.a_week * self.scale[link.part]
        if link.customer in self.own:
            return replace(one, key="", link="", a_week=amount)
        return replace(one, key="", link="", a_week=amount, by="", extra_cents=0, route=None)

    def _links(
        self, names: Mapping[Node, str], happening: _Happening
    ) -> tuple[list[SupplyLink], dict[str, str], frozenset[Node]]:
        """The links, under which key each of them, and each route that stands in for one, is in the view, and which of
        them are alike.
        """
        found: list[SupplyLink] = []
        keys: dict[str, str] = {}
        twins: set[Node] = set()
        ends_of: dict[str, tuple[str, str, str]] = {}
        hidden: dict[tuple[str, str, str], list[SupplyLink]] = defaultdict(list)
        ways: dict[str, list[RouteAlternative]] = defaultdict(list)
        for way in self.routes:
            ways[way.link].append(way)
        closings: dict[str, list[bytes]] = defaultdict(list)
        for link, closing in happening.links:
            closings[closing.link].append(_order(self._shown_closing(link, closing)))

        def order_of(link: SupplyLink) -> list[bytes]:
            # Links between the same ends are told apart by all that hangs on them, and by nothing else.
            there = (_order(self._shown_route(one)) + b"".join(sorted(closings[one.key])) for one in ways[link.key])
            return [_order(self._scaled[link.key]), *sorted(closings[link.key]), *sorted(there)]

        for link in self.links:
            ends = (names["site", link.supplier], names["site", link.customer], names["part", link.part])
            ends_of[link.key] = ends
            if self._is_known(link):
                keys[link.key] = self._key(link)
            else:
                hidden[ends].append(link)
        for ends, links in hidden.items():
            orders = {one.key: order_of(one) for one in links} if len(links) > 1 else {}
            for number, link in enumerate(sorted(links, key=lambda one: orders.get(one.key, []))):
                keys[link.key] = f"{'>'.join(ends)}#{number}"
            same = _several(orders)
            twins |= {("link", one) for one in same} | {("link", way.key) for one in same for way in ways[one]}
        for link in self.links:
            one, ends = self._scaled[link.key], ends_of[link.key]
            found.append(
                SupplyLink(keys[link.key], *ends, one.share, one.lead, one.most_per_day, one.in_transit, one.since,
                           one.level, one.route)
            )  # fmt: skip
        for key, some in ways.items():
            order = {one.key: [_order(self._shown_route(one)), *sorted(closings[one.key])] for one in some}
            is_own = self._link[key].customer in self.own
            for number, way in enumerate(sorted(some, key=lambda one: order[one.key])):
                keys[way.key] = way.key if is_own else f"{keys[key]}~{number}"
            if not is_own:
                twins |= {("link", one) for one in _several(order)}
        return found, keys, frozenset(twins)

    def _shown(self, node: Node, hit: Hit) -> Hit:
        level = Level.NAMED if node in self.named_offers else Level.IMPACT_ONLY
        if node[0] == "site":
            level = self.seen[node[1]].level
        if level is Level.NAMED:
            # A partner's own word would tell that it deals with the site.
            site = self.network.sites.get(hit.site)
            known = {self.reader} if site is None else {self.reader, site.owner}
            return replace(hit, sources=tuple(one for one in hit.sources if one.is_public or one.name in known))
        if level.shows(Level.REGION_AND_CAUSE):
            return replace(hit, sources=tuple(one for one in hit.sources if one.is_public))
        return replace(hit, cause="", onset=None, sources=())

    def hit(self, node: Node, hit: Hit, drawn: _Drawn) -> Hit:
        """The hit as the reader may see it."""
        part = None if hit.part is None else drawn.names["part", hit.part]
        return replace(self._shown(node, hit), site=drawn.names[node], part=part)

    def _hidden_terms(self, one: Alternative) -> dict[str, Any]:
        """What only the customer of an alternative may know of it."""
        return {} if one.customer in self.own else {"extra_cents": 0, "shared": frozenset()}

    def _alternative(self, one: Alternative, names: Mapping[Node, str]) -> Alternative:
        return replace(
            one,
            supplier=names["offer", one.supplier],
            customer=names["site", one.customer],
            part=names["part", one.part],
            a_week=one.a_week * self.scale[one.part],
            **self._hidden_terms(one),
        )

    def _qualification(self, one: Qualification, names: Mapping[Node, str]) -> Qualification:
        return replace(
            one,
            supplier=names["offer", one.supplier],
            customer=names["site", one.customer],
            part=names["part", one.part],
            by=one.by if one.customer in self.own else "",
        )

    def _coverage(self) -> Coverage:
        """Over the needs of the reader's own sites and of those before them that it may count."""
        named: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for link in self.links:
            named[link.customer, link.part] += link.share
        sites = {site for site in self.upstream if self.seen[site].level.shows(Level.TIER)}
        places = {(line.site, part) for line in self.lines if line.site in sites for part in line.needs}
        total = sum((min(named[place], Fraction(1)) for place in places), Fraction(0))
        return Coverage(len(places), total / len(places) if places else Fraction(0))


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _order(one: Any) -> bytes:
    return canonical(plain(one))


def _id(key: bytes, reader: str, shape: str, kind: str, rank: int) -> str:
    said = canonical([reader, shape, kind, rank])
    return f"{kind}-{hmac.digest(key, said, 'sha256')[:12].hex()}"


@cache
def _level(text: str) -> Level:
    return Level(text)


def _said(one: Any) -> str:
    return _order(one).decode()


def _if_stated(essential: bool | None) -> str:
    return "" if essential is None else f" essential {essential}"


def _carries(link: SupplyLink) -> str:
    """What a link without key and ends says."""
    lead = link.lead
    sails = None if lead.sails is None else sorted(lead.sails)
    coming = " ".join([f"{day}:{amount}" for day, amount in link.in_transit.items()])
    route = "" if link.route is None else _said(link.route)
    most = link.most_per_day
    return f"{link.share} {lead.days} {lead.working} {sails} {most} {link.since} {link.level} [{coming}] {route}"


def _several(orders: Mapping[str, list[bytes]]) -> list[str]:
    """The keys whose orders are not theirs alone."""
    count = Counter(map(tuple, orders.values()))
    return [key for key, order in orders.items() if count[tuple(order)] > 1]
