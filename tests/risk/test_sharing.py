"""Sharing: what each level shows, figures that stay whole, and two worlds that one reader cannot tell apart."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from random import Random

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.alternatives import Alternative, Qualification, RouteAlternative
from risk.errors import MalformedFact
from risk.network import EVERY_DAY, Calendar, Lead, Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.propagation import propagate
from risk.reach import Outage
from risk.routes import Mode, Passage, ShippingRoute
from risk.sharing import Hit, Level, LinkHit, Source, View
from risk.sights import view
from tests.risk.networks import BACK, MONDAY, axle_circle

KEY = bytes(range(32))
STORM = Hit("yongjiang", MONDAY, (date(2026, 11, 10), BACK, date(2026, 12, 15)), "cyclone")


def shared_at(network: SupplyNetwork, level: str) -> SupplyNetwork:
    links = [replace(one, level=level) for one in network.links]
    return SupplyNetwork.of(network.day, network.sites.values(), network.lines, links, network.stocks)


def circle(reader: str, level: str = "tier", **details: object) -> View:
    network = shared_at(axle_circle(), level)
    return view(network, reader, key=KEY, checkpoint="c7", hits=[STORM], **details)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "hidden"),
    [
        ("impact-only", [(None, None), (None, None)]),
        ("region-and-cause", [(None, ""), (None, "East Asia")]),
        ("tier", [(2, ""), (3, "East Asia")]),
    ],
)
def test_each_level_shows_what_it_says(level: str, hidden: list[tuple[int | None, str | None]]) -> None:
    seen = circle("havelmark", level)
    upstream = [one for key, one in seen.seen.items() if key.startswith("site-")]
    told = {(one.tier, one.region) for one in upstream}
    assert set(hidden) <= told
    assert {key for key in seen.network.sites if not key.startswith("site-")} == {"magdeburg", "kielce", "nordrand"}
    assert (seen.hits[0].cause == "cyclone") == (level != "impact-only")
    for name in ("lariana", "yongjiang", "vltava", "magnet", "rotor" if level == "named" else "motor"):
        assert name not in seen.text.decode()


def test_named_links_name_what_is_behind_them_and_ends_know_each_other() -> None:
    assert {"lariana", "yongjiang"} <= circle("havelmark", "named").network.sites.keys()
    assert "yongjiang" in circle("lariana", "impact-only").network.sites
    assert "lariana" in circle("nordrand", "withheld").network.sites
    assert "yongjiang" not in circle("nordrand", "withheld").network.sites


def test_a_withheld_link_is_not_there_and_lowers_the_coverage() -> None:
    assert circle("havelmark").coverage.share == 1
    withheld = circle("havelmark", "withheld")
    assert (withheld.coverage.needs, withheld.coverage.share) == (3, Fraction(2, 3))
    assert withheld.hits == ()


def test_one_reader_may_be_shown_more_than_others() -> None:
    exceptions = {("sea", "nordrand"): Level.NAMED}
    assert "yongjiang" in circle("nordrand", exceptions=exceptions).network.sites
    assert "yongjiang" not in circle("havelmark", exceptions=exceptions).network.sites


def test_a_shorter_way_that_shows_no_tier_does_not_shorten_the_tier() -> None:
    network = shared_at(axle_circle(), "tier")
    lines = [
        replace(one, needs={**one.needs, "motor": Fraction(1)}) if one.part == "vehicle" else one
        for one in network.lines
    ]
    motors = [SupplyLink(f"motors {site}", "vltava", site, "motor") for site in ("magdeburg", "kielce")]
    links = [replace(one, level="impact-only") if one.key == "sea 2" else one for one in network.links]
    short = SupplyNetwork.of(network.day, network.sites.values(), lines, [*links, *motors], network.stocks)
    seen = view(short, "havelmark", key=KEY, checkpoint="c7", hits=[STORM])
    assert seen.seen[seen.hits[0].site].tier == 3


def test_ids_are_the_same_again_and_no_two_readers_share_one() -> None:
    assert circle("havelmark").text == circle("havelmark").text

    def ids(seen: View) -> set[str]:
        return {key for key in seen.network.sites if key.startswith("site-")}

    def other(**details: object) -> set[str]:
        given = {"key": KEY, "checkpoint": "c7"} | details
        return ids(view(shared_at(axle_circle(), "tier"), "havelmark", **given))  # type: ignore[arg-type]

    assert not ids(circle("havelmark")) & ids(circle("nordrand"))
    assert other() == other(checkpoint="c8")
    assert other() == other(hits=[STORM])
    assert not other() & other(key=bytes(32))


def test_a_level_that_is_none_and_a_hit_that_ends_before_it_begins_are_refused() -> None:
    with pytest.raises(MalformedFact, match="'secret' is none of withheld"):
        circle("havelmark", "secret")
    with pytest.raises(MalformedFact, match="back after it began"):
        view(axle_circle(), "havelmark", key=KEY, checkpoint="c", hits=[replace(STORM, start=BACK)])


# --- two worlds ---------------------------------------------------------------------------------------------------

ALWAYS = Calendar(EVERY_DAY)
DAY = date(2026, 10, 12)


def drawn(random: Random) -> SupplyNetwork:
    """Four tiers; the first is the reader's, or its and somebody else's."""
    tiers = [[f"s{tier}{number}" for number in range(random.randint(1, 3))] for tier in range(4)]
    sites = [
        Site(key, "reader" if key == "s00" else key, random.choice(["east", "west"]), calendar=ALWAYS)
        for tier in tiers
        for key in tier
    ]
    lines, links, stocks = [], [], []
    for tier, keys in enumerate(tiers):
        for key in keys:
            plan = Fraction(random.randint(4, 40))
            needs = {f"p{tier + 1}": Fraction(random.randint(1, 9), 3)} if tier < 3 else {}
            lines.append(Line(key, f"p{tier}", plan, plan * random.choice([1, 2]), needs, 100 if tier == 0 else None))
            if random.random() < 0.6:
                stocks.append(Stock(key, f"p{tier + random.randint(0, len(needs))}", Fraction(random.randint(1, 200))))
            if needs:
                some = random.sample(tiers[tier + 1], random.randint(1, len(tiers[tier + 1])))
                links += [
                    SupplyLink(f"{one}>{key}", one, key, f"p{tier + 1}", Fraction(1, len(some)),
                               Lead(random.randint(0, 4)), level=random.choice(list(Level)))
                    for one in some
                ]  # fmt: skip
    return SupplyNetwork.of(DAY, sites, lines, links, stocks)


def counted(network: SupplyNetwork) -> nx.MultiDiGraph:
    """What is not withheld from the reader, straight from the definition."""
    graph: nx.MultiDiGraph = nx.MultiDiGraph()
    graph.add_node("s00")
    for link in network.links:
        level = Level.NAMED if "s00" in (link.supplier, link.customer) else Level(link.level)
        if level is not Level.WITHHELD:
            graph.add_edge(link.supplier, link.customer, level=level.rank)
    return graph.subgraph(nx.node_connected_component(graph.to_undirected(), "s00"))


def sight(network: SupplyNetwork) -> dict[str, int]:
    """The rank at which each site is seen: the weakest link of the strongest path, over all paths."""
    graph = counted(network)
    found = {}
    for site in graph:
        ranks = [1]
        for direction in (graph, graph.reverse()):
            if site != "s00":
                paths = nx.all_simple_edge_paths(direction, site, "s00")
                ranks += [min(direction.edges[edge]["level"] for edge in path) for path in paths]
        found[site] = 4 if site == "s00" else max(ranks)
    return found


def other_world(network: SupplyNetwork, random: Random, known_parts: frozenset[str], known_links: set[str]) -> (
    tuple[SupplyNetwork, Callable[[str], str]]
):  # fmt: skip
    """A world that differs in everything that the reader may not see: names, owners, places, scales, what is withheld,
    and the order in which facts come.
    """
    ranks = sight(network)
    salt = random.randint(0, 10**9)

    def site(key: str) -> str:
        return key if ranks.get(key) == 4 else f"{salt % 7919 * (1 + hash(key) % 97)}-{key[::-1]}"

    scales = {f"p{tier}": Fraction(random.randint(1, 50), random.randint(1, 50)) for tier in range(4)}

    def scale(part: str) -> Fraction:
        return Fraction(1) if part in known_parts else scales[part]

    def part(key: str) -> str:
        return key if key in known_parts else f"{salt % 13}/{key}"

    sites = []
    for one in network.sites.values():
        if one.key in ranks:
            region = one.region if ranks[one.key] >= Level.REGION_AND_CAUSE.rank else "elsewhere"
            hidden = replace(one, key=site(one.key), owner=f"owner {salt}", region=region, latitude=1.0, longitude=2.0)
            sites.append(one if ranks[one.key] == 4 else hidden)
    lines = [
        Line(site(one.site), part(one.part), one.per_day * scale(one.part), one.capacity * scale(one.part),
             {part(need): amount * scale(need) / scale(one.part) for need, amount in one.needs.items()},
             one.revenue_cents if one.site == "s00" else random.randint(0, 99))
        for one in network.lines if one.site in ranks
    ]  # fmt: skip
    links = [
        replace(one, key=one.key if one.key in known_links else f"{salt}-{one.key}", supplier=site(one.supplier),
                customer=site(one.customer), part=part(one.part))
        for one in network.links
        if one.supplier in ranks and one.customer in ranks
        and (Level(one.level) is not Level.WITHHELD or "s00" in (one.supplier, one.customer))
    ]  # fmt: skip
    stocks = [
        Stock(site(one.site), part(one.part), one.amount * scale(one.part))
        for one in network.stocks
        if one.site in ranks
    ]
    for facts in (sites, lines, links, stocks):
        random.shuffle(facts)
    return SupplyNetwork.of(network.day, sites, lines, links, stocks), site


@settings(max_examples=50)
@given(st.integers(0, 10**6))
def test_two_worlds_that_differ_in_what_is_hidden_look_the_same(seed: int) -> None:
    random = Random(seed)
    network = drawn(random)
    reached = sorted(counted(network))
    hit = Hit(random.choice(reached), DAY, (DAY + timedelta(7), DAY + timedelta(9), DAY + timedelta(30)), "flood")
    if random.random() < 0.5:
        hit = replace(hit, part=random.choice([line.part for line in network.lines_at(hit.site)]))
    needed = next((one for one in network.links if one.supplier in reached and one.customer in reached), None)
    offers = [] if needed is None else [Alternative("spare", needed.part, needed.customer, Fraction(7), DAY)]
    terms = [Qualification(one.supplier, one.part, one.customer, "judge", BACK) for one in offers]
    one = view(network, "reader", key=KEY, checkpoint="c", hits=[hit], alternatives=offers, qualifications=terms)
    known = {link.key for link in one.network.links}
    other, rename = other_world(network, random, one.known_parts, known)
    parts = {line.part for line in other.lines} | {part for line in other.lines for part in line.needs}
    renamed = {part.rpartition("/")[2]: part for part in parts}
    scaled = {
        line.part: Fraction(other_line.per_day, line.per_day)
        for line in network.lines
        for other_line in other.lines
        if (other_line.site, other_line.part) == (rename(line.site), renamed.get(line.part))
    }
    own = {offer.customer for offer in offers} == {"s00"}
    supplier = "spare" if own else "another"
    offers = [
        replace(offer, supplier=supplier, customer=rename(offer.customer), part=renamed[offer.part],
                a_week=offer.a_week * scaled[offer.part])
        for offer in offers
    ]  # fmt: skip
    terms = [
        replace(term, supplier=supplier, customer=rename(term.customer), part=renamed[term.part],
                by="judge" if own else "another")
        for term in terms
    ]  # fmt: skip
    hit = replace(hit, site=rename(hit.site), part=None if hit.part is None else renamed[hit.part])
    two = view(other, "reader", key=KEY, checkpoint="c", hits=[hit], alternatives=offers, qualifications=terms)
    assert one.text.decode().split("},") == two.text.decode().split("},")
    assert one.text == two.text
    assert View.read(one.text).text == one.text


@pytest.mark.parametrize("level", ["impact-only", "region-and-cause", "tier", "named"])
def test_the_number_of_a_line_that_is_hit_is_told_to_those_who_know_it(level: str) -> None:
    network, hit = shared_at(axle_circle(), level), replace(STORM, part="magnet")

    def part(reader: str) -> str | None:
        seen = view(network, reader, key=KEY, checkpoint="c7", hits=[hit])
        assert ("magnet" in seen.text.decode()) == (seen.hits[0].part == "magnet")
        (one,) = seen.hits
        assert (one.site, one.part) in seen.network.arrays.line_index
        return one.part

    assert part("lariana") == "magnet"
    assert (part("havelmark") == "magnet") == (level == "named")


@settings(max_examples=50)
@given(st.integers(0, 10**6))
def test_what_is_not_withheld_counts_in_full(seed: int) -> None:
    random = Random(seed)
    network = drawn(random)
    links = [
        replace(one, level=random.choice([level for level in Level if level is not Level.WITHHELD]))
        for one in network.links
    ]
    network = SupplyNetwork.of(network.day, network.sites.values(), network.lines, links, network.stocks)
    site = random.choice(sorted(counted(network)))
    hit = Hit(site, DAY, (DAY + timedelta(20),) * 3, "flood")
    seen = view(network, "reader", key=KEY, checkpoint="c", hits=[hit])

    def own(of: SupplyNetwork, key: str) -> list[tuple[object, ...]]:
        impact = propagate(of, [Outage(key, ((DAY, 0.0), (hit.back[1], 1.0)))], days=60)
        return [
            (one.part, one.first, one.last, one.is_over, one.standstill_days, round(one.shortfall, 6))
            for one in impact.stops
            if one.site == "s00"
        ]

    assert own(seen.network, seen.hits[0].site) == own(network, site)


def test_a_reader_is_shown_the_numbers_that_it_has_for_its_parts_and_nobody_elses() -> None:
    numbers = {("magnet", "lariana"): "M-17", ("magnet", "yongjiang"): "magnet", ("rotor", "nordrand"): "R-5"}
    keyed = [replace(one, key=f"{one.supplier} > {one.customer}: {one.part}") for one in axle_circle().links]
    network = axle_circle()
    network = SupplyNetwork.of(network.day, network.sites.values(), network.lines, keyed, network.stocks)

    def text(reader: str) -> str:
        return view(network, reader, key=KEY, checkpoint="c7", hits=[STORM], part_numbers=numbers).text.decode()

    assert "yongjiang > lariana: M-17" in text("lariana")
    assert '"magnet"' not in text("lariana")
    # Vltava has no number of its own: it sees the one of its supplier.
    assert "yongjiang > vltava: magnet" in text("vltava")
    assert "M-17" not in text("vltava")


def test_who_else_deals_with_a_site_is_not_told_by_what_it_says_of_it() -> None:
    sources = (Source("vltava", ("site yongjiang",), is_public=False), Source("yongjiang", ("site yongjiang",), False))
    seen = view(axle_circle(), "lariana", key=KEY, checkpoint="c7", hits=[replace(STORM, sources=sources)])
    assert [[source.name for source in one.sources] for one in seen.hits] == [["yongjiang"]]


@pytest.mark.parametrize(
    ("level", "shared"),
    [
        ("withheld", {"port CNNGB"}),
        ("impact-only", {"port CNNGB", "supplier"}),
        ("tier", {"port CNNGB", "supplier in East Asia"}),
        ("named", {"port CNNGB", "supplier alloys"}),
    ],
)
def test_what_an_alternative_has_in_common_is_told_as_far_as_links_are_shared(level: str, shared: set[str]) -> None:
    network = axle_circle([("echizen", 1, MONDAY)])
    sites = [
        *(
            replace(one, locode="CNNGB") if one.key in ("yongjiang", "echizen") else one
            for one in network.sites.values()
        ),
        Site("alloys", "alloys", "East Asia"),
    ]
    lines = [replace(one, needs={"alloy": Fraction(1)}) if one.part == "magnet" else one for one in network.lines]
    lines.append(Line("alloys", "alloy", Fraction(9), Fraction(9)))
    links = [one for one in network.links if one.supplier != "echizen"]
    links += [SupplyLink(f"alloy {key}", "alloys", key, "alloy", level=level) for key in ("yongjiang", "echizen")]
    offer = Alternative("echizen", "magnet", "lariana", Fraction(1), MONDAY)
    seen = view(SupplyNetwork.of(MONDAY, sites, lines, links, network.stocks), "lariana", key=KEY, checkpoint="c",
                alternatives=[offer])  # fmt: skip
    assert seen.alternatives[0].shared == shared


CANAL = ShippingRoute((Mode.SEA,), "CNNGB", "ITGOA", (Passage.SUEZ,))
ELSEWHERE = ShippingRoute((Mode.SEA,), "USNYC", "USLAX", (Passage.PANAMA,))


@settings(max_examples=50)
@given(st.integers(0, 10**6))
def test_two_worlds_whose_hidden_links_go_other_ways_look_the_same(seed: int) -> None:
    """Which way a hidden link goes, where on it something is closed, and what may stand in for it is not told."""
    random = Random(seed)
    drawn_one = drawn(random)
    links = [replace(one, route=CANAL if random.random() < 0.7 else None) for one in drawn_one.links]
    network = SupplyNetwork.of(DAY, drawn_one.sites.values(), drawn_one.lines, links, drawn_one.stocks)
    reached = set(counted(network))
    there = [one for one in network.links if one.supplier in reached and one.customer in reached
             and (Level(one.level) is not Level.WITHHELD or "s00" in (one.supplier, one.customer))]  # fmt: skip
    if not there:
        return
    closed, stood_in = random.choice(there), random.choice(there)
    closing = LinkHit(closed.key, DAY, (DAY + timedelta(5),) * 3, "strike", after_days=2, closed=("suez",))
    way = RouteAlternative("way", stood_in.key, Fraction(7), Lead(2), DAY, BACK, "judge", (), 3, 12, CANAL)
    shut = LinkHit("way", DAY, (DAY + timedelta(3),) * 3, "storm") if random.random() < 0.5 else None
    hits = [closing] if shut is None else [closing, shut]
    one = view(network, "reader", key=KEY, checkpoint="c", hits=hits, routes=[way])
    known = {link.key for link in one.network.links}
    assert one.link_hits
    assert len(one.routes) == 1
    made, rename = other_world(network, random, one.known_parts, known)
    other = SupplyNetwork.of(
        DAY, made.sites.values(), made.lines,
        [link if link.key in known else replace(link, route=ELSEWHERE) for link in made.links], made.stocks,
    )  # fmt: skip

    def the_same(link: SupplyLink) -> SupplyLink:
        return next(two for two in other.links if two.key == link.key or two.key.endswith(f"-{link.key}"))

    scale = Fraction(1)
    if stood_in.part not in one.known_parts:
        before = {(line.site, line.part): line.per_day for line in network.lines}
        after = {(line.site, line.part): line.per_day for line in other.lines}
        scale = after[rename(stood_in.supplier), the_same(stood_in).part] / before[stood_in.supplier, stood_in.part]
    own = stood_in.customer == "s00"
    closing = replace(closing, link=the_same(closed).key, closed=("suez",) if closed.key in known else ("panama",))
    terms = {} if own else {"key": "another", "by": "somebody", "extra_cents": 99, "route": ELSEWHERE}
    way = replace(way, link=the_same(stood_in).key, a_week=way.a_week * scale, **terms)  # type: ignore[arg-type]
    hits = [closing] if shut is None else [closing, replace(shut, link=way.key)]
    two = view(other, "reader", key=KEY, checkpoint="c", hits=hits[::-1], routes=[way])
    assert one.text.decode().split("},") == two.text.decode().split("},")
    assert one.text == two.text
    assert View.read(one.text).text == one.text


def test_what_stands_in_and_what_is_closed_is_told_to_the_ends_alone() -> None:
    links = [replace(one, route=CANAL, level="tier") if one.key == "sea" else one for one in axle_circle().links]
    network = axle_circle()
    network = SupplyNetwork.of(network.day, network.sites.values(), network.lines, links, network.stocks)
    way = RouteAlternative("way", "sea", Fraction(7), Lead(7), MONDAY, BACK, "lariana", (), None, 12, ELSEWHERE)
    shut = LinkHit("sea", MONDAY, (BACK,) * 3, "strike", closed=("suez",))

    def text(reader: str) -> str:
        seen = view(network, reader, key=KEY, checkpoint="c7", hits=[shut], routes=[way])
        assert [one.cause for one in seen.link_hits] == ["strike"]
        return seen.text.decode()

    for name in ("CNNGB", "suez", "USNYC", '"way"', '"extra_cents":12'):
        assert name in text("lariana")
        assert name not in text("havelmark")
    assert "CNNGB" in text("yongjiang")
    assert "USNYC" not in text("yongjiang")


@pytest.mark.parametrize("level", ["impact-only", "region-and-cause", "tier", "named"])
def test_that_something_can_be_done_without_counts_at_every_level_and_that_it_was_stated_is_for_named_sites(
    level: str,
) -> None:
    """Whether lariana has said that magnets are essential, or nothing, is the same to whoever may not name it."""

    def text(essential: dict[str, bool]) -> bytes:
        made = shared_at(axle_circle(), level)
        lines = [replace(one, essential=essential) if one.site == "lariana" else one for one in made.lines]
        made = SupplyNetwork.of(made.day, made.sites.values(), lines, made.links, made.stocks)
        return view(made, "havelmark", key=KEY, checkpoint="c7").text

    assert (text({"magnet": True}) == text({})) == (level != "named")
    assert text({"magnet": False}) != text({})
