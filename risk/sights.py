"""Each reader's sight of the network that all of them count in: masked sites, fresh ids, amounts in shares. Pure.

Fresh ids come from the shape of what the reader may see and never from a name: two networks that differ only in what
the reader may not see give the same bytes. They are keyed, so that two readers cannot compare theirs.

What is the same for all readers of a checkpoint is worked out once (`columns`, `blanks`); what is left for each is who
sees whom (`masks`), the shape, the names, and to write them down.
"""

import hmac
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from risk.alternatives import Alternative, Qualification, RouteAlternative
from risk.blanks import Blanks, calendar_text, quoted
from risk.columns import Index
from risk.masks import LEVELS, Ground, Happening, Mask, Node
from risk.network import Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.plans import ContinuityPlan
from risk.shapes import Colours, numbering, shape_of
from risk.sharing import Hit, Level, LinkHit, Seen, View, canonical, plain

_SCALES = 100_000
"""Scales that are taken over from one checkpoint to the next at most."""


def view(
    network: SupplyNetwork,
    reader: str,
    *,
    key: bytes,
    checkpoint: str,
    hits: Iterable[Hit | LinkHit] = (),
    requests: int = 0,
    **known: Any,
) -> View:
    """What the member `reader` may see of `network` and of what happens in it; the rest is as for `Sights`."""
    return Sights(network, key=key, checkpoint=checkpoint, **known).of(reader).view(hits, requests)


class Sights:
    """All readers' sights of `network` at one checkpoint.

    `exceptions` are levels for single readers: (key of the link, reader) → level. `doubts` say by what share each
    stock (site, part) may be wrong. `site_names`, `part_names` and `part_numbers` are as in `facts.Known`: the reader's
    parts go by the numbers that it has for them, not by one that somebody else may have. `key` (32 bytes) makes the
    ids of others; with it and the same facts they are the same again. `before` are the sights of another checkpoint,
    under the same key: what was worked out for facts that are the same objects is taken over. Raises MalformedFact for
    a level that is none.
    """

    def __init__(
        self,
        network: SupplyNetwork,
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
        before: "Sights | None" = None,
    ) -> None:
        self.key, self.checkpoint, self.plans = key, checkpoint, tuple(plans)
        self.site_names, self.part_names = site_names or {}, part_names or {}
        scales = {} if before is None or len(before.ground.scales) > _SCALES else before.ground.scales
        self.ground: Ground = Ground(
            network, exceptions or {}, alternatives, qualifications, routes, part_numbers or {}, scales
        )
        self.number = numbering(key)
        columns = self.ground.columns
        facts = (columns.links, columns.lines, columns.stocks)
        self.blanks: Blanks = Blanks(facts, self.number, None if before is None else before.blanks)
        self.doubts = tuple(sorted((doubts or {}).items()))
        there = dict(self.doubts)
        self.stock_doubts = [there.get((one.site, one.part)) for one in columns.stocks]
        self._site_texts: dict[int, str] = {}

    def of(self, reader: str) -> "Sight":
        """What the member `reader` may see, whatever happens. Raises MalformedFact for a route that cannot be."""
        return Sight(self, reader)

    def site_text(self, site: int) -> str:
        """All that is said of a site, as JSON."""
        if site not in self._site_texts:
            self._site_texts[site] = canonical(plain(self.ground.columns.sites[site])).decode()
        return self._site_texts[site]


class Sight:
    """What one reader may see at one checkpoint, whatever happens there; drawn when it is first asked for."""

    def __init__(self, sights: Sights, reader: str) -> None:
        self._sights = sights
        self._mask = mask = Mask(sights.ground, reader)
        # Whom a plan names may see all of it, and nobody else anything.
        self._plans = tuple(sorted((one for one in sights.plans if reader in one.members), key=lambda one: one.key))
        names = sights.site_names
        self._site_names = {one: names[one] for one in sorted(mask.named_sites()) if one in names}
        told = mask.told(sights.part_names)
        self._part_names = dict(sorted((mask.numbers[part], name) for part, name in told.items()))

    @property
    def sites(self) -> int:
        """How many sites are seen."""
        return len(self._mask.site_list)

    def sees(self, hits: Iterable[Hit | LinkHit]) -> bool:
        """Whether anything of `hits` can be seen. Raises MalformedFact for one that is none."""
        happening = self._mask.happening(list(hits))
        return bool(happening.sites or happening.links)

    def view(self, hits: Iterable[Hit | LinkHit] = (), requests: int = 0) -> View:
        """The view with `hits` in it. Raises MalformedFact for one that is none.

        Ids do not depend on hits, save where one falls on what nothing but a choice tells from its like: which of them
        is hit would follow from that choice, so there the hits are part of the shape that ids come from.
        """
        mask, drawn = self._mask, self._drawn
        happening = mask.happening(list(hits))
        if drawn.alike & happening.about:
            drawn = _Drawing(self._sights, mask, happening).drawn()
        view = View(
            reader=mask.reader,
            checkpoint=self._sights.checkpoint,
            network=drawn.network,
            seen=drawn.seen,
            known_parts=frozenset(mask.numbers.values()),
            hits=tuple(sorted({drawn.hit(mask, node, one) for node, one in happening.sites}, key=_order)),
            alternatives=drawn.alternatives,
            qualifications=drawn.qualifications,
            doubts=drawn.doubts,
            coverage=replace(mask.coverage, requests=requests),
            link_hits=tuple(sorted({drawn.closing(mask, *one) for one in happening.links}, key=_order)),
            routes=drawn.routes,
            plans=self._plans,
            site_names=self._site_names,
            part_names=self._part_names,
        )
        object.__setattr__(view, "_still", drawn.still)
        object.__setattr__(view, "_digests", drawn.digests)
        object.__setattr__(view, "_networks", drawn.networks)
        return view

    @cached_property
    def _drawn(self) -> "_Drawn":
        return _Drawing(self._sights, self._mask, Happening()).drawn()


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
    digests: dict[str, str]
    networks: dict[str, SupplyNetwork]

    def hit(self, mask: Mask, node: Node, hit: Hit) -> Hit:
        """The hit as the reader may see it."""
        part = None if hit.part is None else self.names["part", hit.part]
        return replace(mask.shown(node, hit), site=self.names[node], part=part)

    def closing(self, mask: Mask, link: SupplyLink, hit: LinkHit) -> LinkHit:
        """The closing as the reader may see it."""
        return replace(mask.shown_closing(link, hit), link=self.ways[hit.link])


class _Drawing:
    """Everything that a mask lets through on its way into a view; with `happening` the names follow from that too."""

    def __init__(self, sights: Sights, mask: Mask, happening: Happening) -> None:
        self.sights, self.mask, self.happening = sights, mask, happening
        columns, scale = mask.columns, mask.scale
        self.sites = mask.site_list.tolist()
        self.links = [columns.links[one] for one in mask.link_list.tolist()]
        self.lines = [columns.lines[one] for one in mask.line_list.tolist()]
        self.stocks = [columns.stocks[one] for one in mask.stock_list.tolist()]
        line_sites = columns.line_site[mask.line_list]
        own, named = mask.own[line_sites].tolist(), (mask.site_rank[line_sites] == Level.NAMED.rank).tolist()
        self.is_known = mask.known_links[mask.link_list].tolist()
        levels = [LEVELS[one] for one in mask.rank[mask.link_list].tolist()]
        blanks = sights.blanks
        self.link_blanks = blanks.links(self.links, [scale[one.part] for one in self.links], levels, self.is_known)
        scales = [(scale[one.part], *[scale[part] for part in one.needs]) for one in self.lines]
        self.line_blanks = blanks.lines(self.lines, scales, own, named)
        doubts = [sights.stock_doubts[one] for one in mask.stock_list.tolist()]
        self.stock_blanks = blanks.stocks(self.stocks, [scale[one.part] for one in self.stocks], doubts)
        self.nodes: list[Node] = [("site", columns.sites[one].key) for one in self.sites]
        self.nodes += [("part", one) for one in scale]
        self.nodes += sorted(mask.offers)
        self.places = {node: at for at, node in enumerate(self.nodes)}

    def drawn(self) -> _Drawn:
        mask = self.mask
        names, alike = self._names()
        self.names = names
        self.site_name = {key: name for (kind, key), name in names.items() if kind == "site"}
        self.part_name = {key: name for (kind, key), name in names.items() if kind == "part"}
        keys, ways, twins = self._keys()
        network, still = self._network(keys)
        seen = sorted(zip(self.site_name.values(), mask.seen, strict=True), key=lambda one: one[0])
        doubts = {
            (self.site_name[site], self.part_name[part]): doubt
            for (site, part), doubt in self.sights.doubts
            if part in self.part_name and mask.is_seen(site)
        }
        return _Drawn(
            names=names,
            ways=ways,
            alike=alike | twins,
            network=network,
            seen=dict(seen)
            | {names[one]: Seen(Level.NAMED) for one in sorted(mask.named_offers) if not mask.is_seen(one[1])},
            alternatives=tuple(sorted(map(self._alternative, mask.alternatives), key=_order)),
            qualifications=tuple(sorted(map(self._qualification, mask.qualifications), key=_order)),
            routes=tuple(
                sorted(
                    (replace(mask.shown_route(one), key=ways[one.key], link=ways[one.link]) for one in mask.routes),
                    key=_order,
                )
            ),
            doubts=doubts,
            still=still,
            digests={},
            networks={},
        )

    # -- names ---------------------------------------------------------------------------------------------------------

    def _names(self) -> tuple[dict[Node, str], frozenset[Node]]:
        """The key of each node in the view: its name where that is shown, else an id from its place among the facts.

        Ids are fresh whenever anything that is seen here is another, and the same while all of it is: a new root or
        size of the log follows from what the reader may not see, and would show in every id and in their order.
        Also the nodes that are alike but for a choice.
        """
        mask, nodes, number = self.mask, self.nodes, self.sights.number
        shown = [self._shown_name(node) for node in nodes]
        unnamed = {kind: number(f"{kind} ") for kind in ("site", "part", "offer")}
        colours = [
            unnamed[node[0]] if name is None else number(f"{node[0]} {name}")
            for node, name in zip(nodes, shown, strict=True)
        ]
        hidden = np.array([at for at, name in enumerate(shown) if name is None], np.int64)
        shape = shape_of(np.array(colours, np.uint64), hidden, *self._facts(), lambda at: nodes[at])
        ranked = sorted(hidden.tolist(), key=lambda at: (nodes[at][0], shape.colours[at]))
        before = f"[{quoted(mask.reader)},{quoted(shape.digest)},"
        for rank, at in enumerate(ranked):
            kind = nodes[at][0]
            said = f'{before}"{kind}",{rank}]'.encode()
            shown[at] = f"{kind}-{hmac.digest(self.sights.key, said, 'sha256')[:12].hex()}"
        names = {node: name for node, name in zip(nodes, shown, strict=True) if name is not None}
        return names, frozenset(nodes[at] for at in shape.alike)

    def _shown_name(self, node: Node) -> str | None:
        """The name of a node that the reader knows by it."""
        kind, name = node
        if kind == "part":
            return self.mask.numbers.get(name)
        is_named = node in self.mask.named_offers if kind == "offer" else self.mask.level(name) is Level.NAMED
        return name if is_named else None

    def _facts(self) -> tuple[Colours, Index]:
        """Everything visible, about nodes; what is known by its name says it. Ids follow from nothing else."""
        mask, columns, count = self.mask, self.mask.columns, len(self.sites)
        site_node = np.full(len(columns.sites), -1, np.int64)
        site_node[mask.site_list] = np.arange(count)
        part_node = np.full(len(columns.parts), -1, np.int64)
        part_node[[columns.part_at[one] for one in mask.scale]] = count + np.arange(len(mask.scale))
        lines, needs, links, stocks = mask.line_list, mask.need_list, mask.link_list, mask.stock_list
        made = part_node[columns.line_part]
        parts: list[tuple[Sequence[int], tuple[Index, ...]]] = [
            (self._site_whats(), (np.arange(count),)),
            ([one.what for one in self.line_blanks], (site_node[columns.line_site[lines]], made[lines])),
            (
                [what for one in self.line_blanks for what in one.need_whats],
                (
                    site_node[columns.line_site[columns.need_line[needs]]],
                    made[columns.need_line[needs]],
                    part_node[columns.need_part[needs]],
                ),
            ),
            (
                self._link_whats(),
                (
                    site_node[columns.supplier[links]],
                    site_node[columns.customer[links]],
                    part_node[columns.link_part[links]],
                ),
            ),
            (
                [one.what for one in self.stock_blanks],
                (site_node[columns.stock_site[stocks]], part_node[columns.stock_part[stocks]]),
            ),
        ]
        others = list(self._others())
        whats = [np.array([self.sights.number(what) for what, _ in others], np.uint64)]
        rows = np.full((len(others), 3), -1, np.int64)
        for at, (_, some) in enumerate(others):
            rows[at, : len(some)] = [self.places[one] for one in some]
        tables = [rows]
        for what, nodes in parts:
            whats.append(np.array(what, np.uint64))
            table = np.full((len(what), 3), -1, np.int64)
            for at, column in enumerate(nodes):
                table[:, at] = column
            tables.append(table)
        return np.concatenate(whats), np.concatenate(tables)

    def _site_whats(self) -> list[int]:
        columns, number = self.mask.columns, self.sights.number
        numbers: dict[tuple[int, int], int] = {}
        found = []
        for at, seen in zip(self.sites, self.mask.seen, strict=True):
            site = columns.sites[at]
            if seen.level is Level.NAMED:
                found.append(number(f"site {seen} {calendar_text(site.calendar)} {self.sights.site_text(at)}"))
                continue
            key = (id(seen), id(site.calendar))
            if key not in numbers:
                numbers[key] = number(f"site {seen} {calendar_text(site.calendar)} ")
            found.append(numbers[key])
        return found

    def _link_whats(self) -> list[int]:
        mask, number = self.mask, self.sights.number
        return [
            number(f"link {mask.key_of(link)} {one.said}") if one.is_known else one.what
            for link, one in zip(self.links, self.link_blanks, strict=True)
        ]

    def _others(self) -> Iterator[tuple[str, tuple[Node, ...]]]:
        """What is visible besides sites, lines, links and stocks."""
        mask = self.mask
        for part, number in mask.numbers.items():
            yield f"part {number}", (("part", part),)
        for offer in mask.named_offers:
            yield f"offer {offer[1]}", (offer,)
        for way in mask.routes:
            yield f"route {_said(mask.shown_route(way))}", mask.ends(mask.link(way.link))
        for one in mask.alternatives:
            shown = replace(one, supplier="", customer="", part="", a_week=one.a_week * mask.scale[one.part],
                            **mask.hidden_terms(one))  # fmt: skip
            nodes = (("offer", one.supplier), ("site", one.customer), ("part", one.part))
            yield f"alternative {_said(shown)}", nodes
        for two in mask.qualifications:
            by_whom = two.by if mask.is_own(two.customer) else ""
            nodes = (("offer", two.supplier), ("site", two.customer), ("part", two.part))
            yield f"qualification {two.expires} {by_whom}", nodes
        for link, closing in self.happening.links:
            is_route = closing.link != link.key
            yield f"closing {is_route} {_said(mask.shown_closing(link, closing))}", mask.ends(link)
        for node, hit in self.happening.sites:
            said = _said(replace(mask.shown(node, hit), site="", part=None))
            if hit.part is None:
                yield f"hit {said}", (node,)
            else:
                yield f"hit of a line {said}", (node, ("part", hit.part))

    def _keys(self) -> tuple[list[str], dict[str, str], frozenset[Node]]:
        """Under which key each link is in the view, those of links and routes by their real ones, and which of them are
        alike.
        """
        mask, sites, parts = self.mask, self.site_name, self.part_name
        twins: set[Node] = set()
        ways: dict[str, list[RouteAlternative]] = defaultdict(list)
        for way in mask.routes:
            ways[way.link].append(way)
        closings: dict[str, list[bytes]] = defaultdict(list)
        for link, closing in self.happening.links:
            closings[closing.link].append(_order(mask.shown_closing(link, closing)))
        numbers = self._numbers(ways, closings, twins)
        keys = [
            mask.key_of(one)
            if is_known
            else f"{sites[one.supplier]}>{sites[one.customer]}>{parts[one.part]}#{numbers.get(one.key, 0)}"
            for one, is_known in zip(self.links, self.is_known, strict=True)
        ]
        found = {one.key: key for one, key in zip(self.links, keys, strict=True)}
        for key, some in ways.items():
            order = {one.key: [_order(mask.shown_route(one)), *sorted(closings[one.key])] for one in some}
            is_own = mask.is_own(mask.link(key).customer)
            for number, way in enumerate(sorted(some, key=lambda one: order[one.key])):
                found[way.key] = way.key if is_own else f"{found[key]}~{number}"
            if not is_own:
                twins |= {("link", one) for one in _several(order)}
        return keys, found, frozenset(twins)

    def _numbers(
        self,
        ways: Mapping[str, Sequence[RouteAlternative]],
        closings: Mapping[str, Sequence[bytes]],
        twins: set[Node],
    ) -> dict[str, int]:
        """The numbers of hidden links between the same ends, and into `twins` those that are alike.

        They are told apart by all that hangs on them, and by nothing else.
        """
        mask, columns = self.mask, self.mask.columns
        is_hidden = mask.links_seen & ~mask.known_links
        place = {one: at for at, one in enumerate(mask.link_list.tolist())} if columns.twins else {}
        numbers: dict[str, int] = {}
        for some in columns.twins:
            orders: dict[str, list[bytes]] = {}
            for at in some:
                if is_hidden[at]:
                    link, blank = columns.links[at], self.link_blanks[place[at]]
                    orders[link.key] = [
                        _order(blank.filled(link, "", "", "", "")),
                        *sorted(closings.get(link.key, ())),
                        *sorted(
                            _order(mask.shown_route(one)) + b"".join(sorted(closings.get(one.key, ())))
                            for one in ways.get(link.key, ())
                        ),
                    ]
            if len(orders) > 1:
                numbers |= {key: number for number, key in enumerate(sorted(orders, key=lambda one: orders[one]))}
                same = _several(orders)
                twins |= {("link", one) for one in same}
                twins |= {("link", way.key) for one in same for way in ways.get(one, ())}
        return numbers

    # -- under these names ---------------------------------------------------------------------------------------------

    def _network(self, keys: Sequence[str]) -> tuple[SupplyNetwork, dict[str, bytes]]:
        """The network as it is shown, and its text as far as that is written here.

        What hangs together in a network of facts that fit does so in what is seen of it. Should two things come out
        under one name, as numbers of parts may that no facts gave, then all is looked at again.
        """
        sites, site_text = self._shown_sites()
        lines, line_text = self._shown_lines()
        links, link_text = self._shown_links(keys)
        stocks, stock_text = self._shown_stocks()
        day = self.mask.network.day
        names = (self.site_name, self.part_name, dict(enumerate(keys)))
        if any(len(set(some.values())) < len(some) for some in names):
            return SupplyNetwork.of(day, sites.values(), lines, links, stocks), {}
        still = {"sites": site_text, "lines": line_text, "links": link_text, "stocks": stock_text}
        return SupplyNetwork.fitting(day, sites, lines, links, stocks), {
            name: text.encode() for name, text in still.items()
        }

    @cached_property
    def _quoted(self) -> dict[str, str]:
        """All names as they stand in JSON."""
        return {one: quoted(one) for one in (*self.site_name.values(), *self.part_name.values())}

    def _shown_sites(self) -> tuple[dict[str, Site], str]:
        columns, name = self.mask.columns, self._quoted
        found: dict[str, Site] = {}
        texts: list[str] = []
        shown = zip(self.site_name.values(), self.sites, self.mask.seen, strict=True)
        for key, at, seen in sorted(shown, key=lambda one: one[0]):
            site, region = columns.sites[at], seen.region or ""
            if seen.level is Level.NAMED:
                found[key] = site
                texts.append(f"{name[key]}:{self.sights.site_text(at)}")
                continue
            found[key] = Site(key, "", region, calendar=site.calendar)
            texts.append(
                f'{name[key]}:{{"calendar":{calendar_text(site.calendar)},"key":{name[key]},"latitude":null,'
                f'"locode":null,"longitude":null,"owner":"","region":{quoted(region)}}}'
            )
        return found, f"{{{','.join(texts)}}}"

    def _shown_lines(self) -> tuple[list[Line], str]:
        sites, parts, name = self.site_name, self.part_name, self._quoted
        found: list[Line] = []
        texts: list[str] = []
        places = [(sites[one.site], parts[one.part]) for one in self.lines]
        for at in sorted(range(len(places)), key=places.__getitem__):
            line, blank, (site, part) = self.lines[at], self.line_blanks[at], places[at]
            needs = sorted(zip([parts[one] for one in line.needs], blank.needs, blank.need_texts, strict=True))
            price, currency = (line.revenue_cents, line.currency) if blank.is_priced else (None, None)
            amounts = {need: amount for need, amount, _ in needs}
            essential = {parts[one]: is_so for one, is_so in blank.essential}
            found.append(Line(site, part, blank.per_day, blank.capacity, amounts, price, currency, essential))
            stated = ",".join(
                [f"{name[one]}:{'true' if is_so else 'false'}" for one, is_so in sorted(essential.items())]
            )
            needed = ",".join([f"{name[need]}:{text}" for need, _, text in needs])
            texts.append(
                f'{blank.before_essential}{stated}}},"needs":{{{needed}}},"part":{name[part]}{blank.after_part}'
                f"{name[site]}}}"
            )
        return found, f"[{','.join(texts)}]"

    def _shown_links(self, keys: Sequence[str]) -> tuple[list[SupplyLink], str]:
        sites, parts, name = self.site_name, self.part_name, self._quoted
        found: list[SupplyLink] = []
        texts: list[str] = []
        for at in sorted(range(len(keys)), key=keys.__getitem__):
            link, blank, key = self.links[at], self.link_blanks[at], keys[at]
            supplier, customer, part = sites[link.supplier], sites[link.customer], parts[link.part]
            found.append(blank.filled(link, key, supplier, customer, part))
            texts.append(
                f'{{"customer":{name[customer]}{blank.after_customer}{quoted(key)}{blank.after_key}{name[part]}'
                f"{blank.after_part}{name[supplier]}}}"
            )
        return found, f"[{','.join(texts)}]"

    def _shown_stocks(self) -> tuple[list[Stock], str]:
        name = self._quoted
        found: list[Stock] = []
        texts: list[str] = []
        places = [(self.site_name[one.site], self.part_name[one.part]) for one in self.stocks]
        for at in sorted(range(len(places)), key=places.__getitem__):
            blank, (site, part) = self.stock_blanks[at], places[at]
            found.append(Stock(site, part, blank.amount))
            texts.append(f'{blank.before_part}{name[part]},"site":{name[site]}}}')
        return found, f"[{','.join(texts)}]"

    def _alternative(self, one: Alternative) -> Alternative:
        return replace(
            one,
            supplier=self.names["offer", one.supplier],
            customer=self.site_name[one.customer],
            part=self.part_name[one.part],
            a_week=one.a_week * self.mask.scale[one.part],
            **self.mask.hidden_terms(one),
        )

    def _qualification(self, one: Qualification) -> Qualification:
        return replace(
            one,
            supplier=self.names["offer", one.supplier],
            customer=self.site_name[one.customer],
            part=self.part_name[one.part],
            by=one.by if self.mask.is_own(one.customer) else "",
        )


def _order(one: Any) -> bytes:
    return canonical(plain(one))


def _said(one: Any) -> str:
    return _order(one).decode()


def _several(orders: Mapping[str, list[bytes]]) -> list[str]:
    """The keys whose orders are not theirs alone."""
    count = Counter(map(tuple, orders.values()))
    return [key for key, order in orders.items() if count[tuple(order)] > 1]
