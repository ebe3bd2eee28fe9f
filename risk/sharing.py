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
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from typing import Any, Self, get_type_hints

from risk.alternatives import Alternative, Qualification, RouteAlternative
from risk.errors import MalformedFact
from risk.network import Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.reading import parse, read


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
        return list(Level).index(self)

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


@dataclass(frozen=True, slots=True)
class Hit:
    """A disruption at one site: from `start` on the share `left` of its capacity stays, until it is `back`: at the
    earliest, most likely, at the latest. `onset` is when the disruption itself begins, if not on `start`. `is_assumed`:
    nobody has said when it is back.
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

    `after_days` is how many days after leaving goods come to where it is closed: 0 at the port of departure.
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
    site_names: Mapping[str, str] = field(default_factory=dict)
    part_names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The view whose text `data` is, in any layout; raises MalformedFact for anything that no view says."""
        said = parse(data)
        if not isinstance(said, dict):
            raise MalformedFact("a view is an object")
        types = get_type_hints(cls)
        names = {one.name: _camel(one.name) for one in fields(cls) if one.name not in ("network", "doubts")}
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
        names = [one.name for one in fields(self) if one.name not in ("network", "doubts")]
        said = {_camel(name): plain(getattr(self, name)) for name in names}
        said |= {name: plain(getattr(self.network, name)) for name in _OF_NETWORK}
        said["doubts"] = [[*place, plain(doubt)] for place, doubt in sorted(self.doubts.items())]
        return canonical(said)

    @cached_property
    def digest(self) -> str:
        return sha256(self.text).hexdigest()


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
                  part_names=part_names, part_numbers=part_numbers)  # fmt: skip
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
    ) -> None:
        self._mask: Callable[[], _Mask] = lambda: _Mask(network, reader, exceptions or {}, part_numbers or {})
        self._id = (key, checkpoint)
        self._alternatives, self._qualifications = list(alternatives), list(qualifications)
        self._routes, self._doubts = list(routes), doubts or {}
        self._site_names, self._part_names = site_names or {}, part_names or {}

    def view(self, hits: Iterable[Hit | LinkHit] = (), requests: int = 0) -> View:
        """The view with `hits` in it. Raises MalformedFact for one that is none."""
        mask = self._mask()
        view = mask.view(
            *self._id, list(hits), self._alternatives, self._qualifications, self._routes, self._doubts, requests
        )
        return replace(view, site_names=mask.site_names(self._site_names), part_names=mask.part_names(self._part_names))


def plain(value: Any) -> Any:
    """`value` as JSON without floats: fractions and dates as text, sets in order, dataclasses by their fields."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Fraction | date):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(plain, value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def canonical(value: Any) -> bytes:
    """The one text of `value` (RFC 8785, for content without floats and with ASCII keys)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


Node = tuple[str, str]
"""("site" | "part" | "offer", its real name); an offer is a supplier as an alternative names it."""


@dataclass(frozen=True, slots=True)
class _Fact:
    """Something visible about some nodes together; ids follow from these and nothing else."""

    what: str
    nodes: tuple[Node, ...]


class _Mask:
    """One reader's sight of a network, worked out step by step."""

    def __init__(
        self,
        network: SupplyNetwork,
        reader: str,
        exceptions: Mapping[tuple[str, str], Level],
        numbers: Mapping[tuple[str, str], str],
    ) -> None:
        self.network = network
        self.reader = reader
        self.own = frozenset(site.key for site in network.sites.values() if site.owner == reader)
        self.levels: dict[str, Level] = {}
        for link in network.links:
            try:
                level = exceptions.get((link.key, reader), Level(link.level))
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

    def _along(self, onward: Mapping[str, Sequence[tuple[str, Level]]]) -> dict[str, Level]:
        """The level at which each site is seen along one direction: the weakest link of the strongest path."""
        best = dict.fromkeys(self.own, Level.NAMED)
        for level in reversed(Level):
            wave = sorted(best)
            while wave:
                reached = {other for site in wave for other, of in onward.get(site, ()) if of.shows(level)}
                wave = sorted(reached - best.keys())
                best |= dict.fromkeys(wave, level)
        return best

    def view(
        self,
        key: bytes,
        checkpoint: str,
        hits: Sequence[Hit | LinkHit],
        alternatives: Sequence[Alternative],
        qualifications: Sequence[Qualification],
        routes: Sequence[RouteAlternative],
        doubts: Mapping[tuple[str, str], Fraction],
        requests: int,
    ) -> View:
        for one in (*hits, *routes):
            one.check()
        self.routes = [one for one in routes if one.link in self._link]
        ways = self._link | {one.key: self._link[one.link] for one in self.routes}
        self.link_hits = [(ways[one.link], one) for one in hits if isinstance(one, LinkHit) and one.link in ways]
        # An alternative counts for everybody whose need it can cover; the reader is told of those of its own sites.
        alternatives = [one for one in alternatives if one.customer in self.seen]
        offers = {("offer", one.supplier) for one in alternatives}
        self.named_offers = {("offer", one.supplier) for one in alternatives if one.customer in self.own}
        self.offering = {one.supplier for one in alternatives if one.customer in self.own and one.consents}
        qualifications = [
            one for one in qualifications if ("offer", one.supplier) in offers and one.customer in self.seen
        ]
        parts = {part for line in self.lines for part in (line.part, *line.needs)}
        parts |= {one.part for one in self.stocks} | {one.part for one in alternatives}
        parts |= {one.part for one in qualifications}
        self.scale = {part: self._scale(part, alternatives) for part in sorted(parts)}
        self.hits = [
            (node, hit)
            for hit in hits
            if isinstance(hit, Hit)
            for node in (("site", hit.site), ("offer", hit.site))
            if (hit.site in self.seen if node[0] == "site" else node in offers)
        ]
        names = self._names(
            self._facts(alternatives, qualifications, doubts),
            [("site", one) for one in self.seen] + [("part", one) for one in sorted(parts)] + sorted(offers),
            lambda shape, kind, rank: _id(key, self.reader, shape, kind, rank),
        )
        self.names = names
        links, ways_named = self._links()
        network = SupplyNetwork.of(
            self.network.day,
            [self._site(self.network.sites[one]) for one in self.seen],
            [self._line(one) for one in self.lines],
            links,
            [self._stock(one) for one in self.stocks],
        )
        return View(
            reader=self.reader,
            checkpoint=checkpoint,
            network=network,
            seen=dict(sorted((names["site", one], seen) for one, seen in self.seen.items()))
            | {names[one]: Seen(Level.NAMED) for one in sorted(self.named_offers) if one[1] not in self.seen},
            known_parts=frozenset(self.numbers.values()),
            hits=tuple(sorted({self._hit(node, one) for node, one in self.hits}, key=_order)),
            alternatives=tuple(sorted((self._alternative(one) for one in alternatives), key=_order)),
            qualifications=tuple(sorted((self._qualification(one) for one in qualifications), key=_order)),
            doubts={
                (names["site", site], names["part", part]): doubt
                for (site, part), doubt in sorted(doubts.items())
                if ("site", site) in names and ("part", part) in names
            },
            coverage=self._coverage(requests),
            link_hits=tuple(sorted({self._closing(one, ways_named) for one in self.link_hits}, key=_order)),
            routes=tuple(sorted((self._route(one, ways_named) for one in self.routes), key=_order)),
        )

    def _scale(self, part: str, alternatives: Sequence[Alternative]) -> Fraction:
        """What amounts of `part` are multiplied by: parts that the reader does not know are counted by the day."""
        if part in self.known_parts:
            return Fraction(1)
        made = [one for one in self.lines if one.part == part]
        measures = (
            (one.per_day for one in made),
            (one.capacity for one in made),
            (one.per_day * one.needs[part] for one in self.lines if part in one.needs),
            (one.a_week for one in alternatives if one.part == part),
            (one.amount for one in self.stocks if one.part == part),
        )
        return next((1 / total for total in (sum(one, Fraction(0)) for one in measures) if total), Fraction(1))

    def _facts(
        self,
        alternatives: Sequence[Alternative],
        qualifications: Sequence[Qualification],
        doubts: Mapping[tuple[str, str], Fraction],
    ) -> list[_Fact]:
        """Everything visible, about nodes; what is known by its name says it."""
        scale = self.scale

        def fact(what: str, nodes: tuple[Node, ...], *details: Any) -> _Fact:
            return _Fact(canonical([what, *plain(details)]).decode(), nodes)

        found = []
        for key, seen in self.seen.items():
            site = self.network.sites[key]
            named = site if seen.level is Level.NAMED else None
            found.append(fact("site", (("site", key),), seen, site.calendar, named))
        found += [fact("part", (("part", one),), number) for one, number in sorted(self.numbers.items())]
        found += [fact("offer", (one,), one[1]) for one in sorted(self.named_offers)]
        for line in self.lines:
            here = (("site", line.site), ("part", line.part))
            amounts = (line.per_day * scale[line.part], line.capacity * scale[line.part])
            found.append(fact("line", here, *amounts, self._price(line)))
            for part, amount in line.needs.items():
                found.append(fact("need", (*here, ("part", part)), amount * scale[part] / scale[line.part]))
        for link in self.links:
            ends = self._ends(link)
            shown = replace(self._scaled(link), key=self._key(link) if self._is_known(link) else "", supplier="",
                            customer="", part="")  # fmt: skip
            found.append(fact("link", ends, shown))
        for link, closing in self.link_hits:
            is_route = closing.link != link.key
            found.append(fact("closing", self._ends(link), is_route, self._shown_closing(link, closing)))
        for way in self.routes:
            found.append(fact("route", self._ends(self._link[way.link]), self._shown_route(way)))
        for stock in self.stocks:
            place = (("site", stock.site), ("part", stock.part))
            found.append(fact("stock", place, stock.amount * scale[stock.part], doubts.get((stock.site, stock.part))))
        for node, hit in self.hits:
            found.append(fact("hit", (node,), replace(self._shown(node, hit), site="")))
        for one in alternatives:
            nodes = (("offer", one.supplier), ("site", one.customer), ("part", one.part))
            shown_offer = replace(one, supplier="", customer="", part="", a_week=one.a_week * scale[one.part],
                                  **self._hidden_terms(one))  # fmt: skip
            found.append(fact("alternative", nodes, shown_offer))
        for two in qualifications:
            nodes = (("offer", two.supplier), ("site", two.customer), ("part", two.part))
            found.append(fact("qualification", nodes, two.expires, two.by if two.customer in self.own else ""))
        return found

    def _is_named(self, node: Node) -> bool:
        kind, name = node
        if kind == "part":
            return name in self.known_parts
        return node in self.named_offers if kind == "offer" else self.seen[name].level is Level.NAMED

    def _names(
        self, facts: Sequence[_Fact], nodes: Sequence[Node], fresh: Callable[[str, str, int], str]
    ) -> dict[Node, str]:
        """The key of each node in the view: its name where that is shown, else an id from its place among the facts.

        Colours are refined (Weisfeiler and Leman 1968) until every node has its own; of nodes that stay alike one is
        set apart and the rest refined again, which one does not matter where they are alike in truth. Ids are fresh
        whenever anything that is seen here is another, and the same while all of it is: a new root or size of the log
        follows from what the reader may not see, and would show in every id and in their order.
        """
        colours = {node: node[0] for node in nodes}
        about: dict[Node, list[tuple[str, int, tuple[Node, ...]]]] = defaultdict(list)
        for fact in facts:
            for place, node in enumerate(fact.nodes):
                about[node].append((fact.what, place, fact.nodes))
        hidden = [node for node in nodes if not self._is_named(node)]
        while True:
            colours = _refined(colours, about)
            classes: dict[str, list[Node]] = defaultdict(list)
            for node in hidden:
                classes[colours[node]].append(node)
            alike = min((colour for colour, members in classes.items() if len(members) > 1), default=None)
            if alike is None:
                break
            first = min(classes[alike])
            colours[first] = sha256(f"first of {alike}".encode()).hexdigest()
        ranked = sorted(hidden, key=lambda node: (node[0], colours[node]))
        shape = sha256("".join(sorted(colours.values())).encode()).hexdigest()
        names = {node: fresh(shape, node[0], rank) for rank, node in enumerate(ranked)}
        return names | {
            node: self.numbers[node[1]] if node[0] == "part" else node[1] for node in nodes if node not in names
        }

    def _price(self, line: Line) -> int | None:
        return line.revenue_cents if line.site in self.own else None

    def _site(self, site: Site) -> Site:
        seen = self.seen[site.key]
        if seen.level is Level.NAMED:
            return site
        return Site(self.names["site", site.key], "", seen.region or "", calendar=site.calendar)

    def _line(self, line: Line) -> Line:
        scale = self.scale
        needs = {
            self.names["part", part]: amount * scale[part] / scale[line.part] for part, amount in line.needs.items()
        }
        return Line(
            self.names["site", line.site],
            self.names["part", line.part],
            line.per_day * scale[line.part],
            line.capacity * scale[line.part],
            needs,
            self._price(line),
        )

    def _scaled(self, link: SupplyLink) -> SupplyLink:
        scale = self.scale[link.part]
        return replace(
            link,
            level=self.levels[link.key],
            most_per_day=None if link.most_per_day is None else link.most_per_day * scale,
            in_transit={day: amount * scale for day, amount in sorted(link.in_transit.items())},
            route=link.route if self._is_known(link) else None,
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
        if level.shows(Level.REGION_AND_CAUSE):
            return replace(hit, sources=tuple(one for one in hit.sources if one.is_public))
        return replace(hit, cause="", onset=None, sources=())

    def _closing(self, one: tuple[SupplyLink, LinkHit], keys: Mapping[str, str]) -> LinkHit:
        return replace(self._shown_closing(*one), link=keys[one[1].link])

    def _route(self, one: RouteAlternative, keys: Mapping[str, str]) -> RouteAlternative:
        return replace(self._shown_route(one), key=keys[one.key], link=keys[one.link])

    def _shown_route(self, one: RouteAlternative) -> RouteAlternative:
        """The stand-in without keys; what it costs, who has qualified it and how it goes is for its customer."""
        link = self._link[one.link]
        amount = one.a_week * self.scale[link.part]
        if link.customer in self.own:
            return replace(one, key="", link="", a_week=amount)
        return replace(one, key="", link="", a_week=amount, by="", extra_cents=0, route=None)

    def _links(self) -> tuple[list[SupplyLink], dict[str, str]]:
        """The links, and under which key each of them, and each route that stands in for one, is in the view."""
        found: list[SupplyLink] = []
        keys: dict[str, str] = {}
        hidden: dict[tuple[str, str, str], list[tuple[list[bytes], SupplyLink, SupplyLink]]] = defaultdict(list)
        ways: dict[str, list[RouteAlternative]] = defaultdict(list)
        for way in self.routes:
            ways[way.link].append(way)
        closings: dict[str, list[bytes]] = defaultdict(list)
        for link, closing in self.link_hits:
            closings[closing.link].append(_order(self._shown_closing(link, closing)))
        for link in self.links:
            ends = (
                self.names["site", link.supplier],
                self.names["site", link.customer],
                self.names["part", link.part],
            )
            shown = replace(self._scaled(link), supplier=ends[0], customer=ends[1], part=ends[2])
            if self._is_known(link):
                keys[link.key] = self._key(link)
                found.append(replace(shown, key=keys[link.key]))
            else:
                shown = replace(shown, key="")
                # Links between the same ends are told apart by all that hangs on them, and by nothing else.
                there = sorted(
                    _order(self._shown_route(one)) + b"".join(sorted(closings[one.key])) for one in ways[link.key]
                )
                hidden[ends].append(([_order(shown), *sorted(closings[link.key]), *there], link, shown))
        for ends, links in hidden.items():
            for number, (_, link, shown) in enumerate(sorted(links, key=lambda one: one[0])):
                keys[link.key] = f"{'>'.join(ends)}#{number}"
                found.append(replace(shown, key=keys[link.key]))
        for key, some in ways.items():
            some.sort(key=lambda one: (_order(self._shown_route(one)), sorted(closings[one.key])))
            is_own = self._link[key].customer in self.own
            for number, way in enumerate(some):
                keys[way.key] = way.key if is_own else f"{keys[key]}~{number}"
        return found, keys

    def _stock(self, stock: Stock) -> Stock:
        return Stock(
            self.names["site", stock.site], self.names["part", stock.part], stock.amount * self.scale[stock.part]
        )

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

    def _hit(self, node: Node, hit: Hit) -> Hit:
        return replace(self._shown(node, hit), site=self.names[node])

    def _hidden_terms(self, one: Alternative) -> dict[str, Any]:
        """What only the customer of an alternative may know of it."""
        return {} if one.customer in self.own else {"extra_cents": 0, "shared": frozenset()}

    def _alternative(self, one: Alternative) -> Alternative:
        return replace(
            one,
            supplier=self.names["offer", one.supplier],
            customer=self.names["site", one.customer],
            part=self.names["part", one.part],
            a_week=one.a_week * self.scale[one.part],
            **self._hidden_terms(one),
        )

    def _qualification(self, one: Qualification) -> Qualification:
        return replace(
            one,
            supplier=self.names["offer", one.supplier],
            customer=self.names["site", one.customer],
            part=self.names["part", one.part],
            by=one.by if one.customer in self.own else "",
        )

    def _coverage(self, requests: int) -> Coverage:
        """Over the needs of the reader's own sites and of those before them that it may count."""
        named: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for link in self.links:
            named[link.customer, link.part] += link.share
        sites = {site for site in self.upstream if self.seen[site].level.shows(Level.TIER)}
        places = {(line.site, part) for line in self.lines if line.site in sites for part in line.needs}
        total = sum((min(named[place], Fraction(1)) for place in places), Fraction(0))
        return Coverage(len(places), total / len(places) if places else Fraction(0), requests)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _order(one: Any) -> bytes:
    return canonical(plain(one))


def _id(key: bytes, reader: str, shape: str, kind: str, rank: int) -> str:
    said = canonical([reader, shape, kind, rank])
    return f"{kind}-{hmac.digest(key, said, 'sha256')[:12].hex()}"


def _refined(
    colours: dict[Node, str], about: Mapping[Node, Sequence[tuple[str, int, tuple[Node, ...]]]]
) -> dict[Node, str]:
    """The colours after as many rounds as set more nodes apart."""
    count = len(set(colours.values()))
    while True:
        finer = {}
        for node, colour in colours.items():
            told = sorted(
                "\x00".join([what, str(place), *(colours[one] for one in nodes)]) for what, place, nodes in about[node]
            )
            finer[node] = sha256("\x01".join([colour, *told]).encode()).hexdigest()
        found = len(set(finer.values()))
        if found == count:
            return finer
        colours, count = finer, found
