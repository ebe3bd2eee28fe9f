"""The supply network: what fits, what does not, and changes that cost no rebuild."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tiers import MONDAY, site_key, tiers
from risk.errors import MalformedFact
from risk.network import Calendar, Lead, Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.propagation import propagate
from risk.reach import Outage
from risk.screen import Screen, every_site

SMALL = tiers(120)
MISFITS = SupplyNetwork.of(
    SMALL.day,
    SMALL.sites.values(),
    SMALL.lines,
    [*SMALL.links, replace(SMALL.links[3], key="too much"), replace(SMALL.links[9], key="nobody", supplier="nowhere")],
    [*SMALL.stocks, Stock("nowhere", "p0-0", Fraction(1))],
)
"""with facts that do not fit"""


def rebuilt(network: SupplyNetwork, **changes: Any) -> SupplyNetwork:
    """What `of` makes of the facts of `network` with `changes`, which are lists as `with_changes` takes them."""
    facts = [*network.sites.values(), *network.lines, *network.links, *network.stocks, *network.left_out]
    keys = {one.key for one in changes.get("links", ())} | set(changes.get("without", ()))
    lines = {(one.site, one.part) for one in changes.get("lines", ())}
    places = {(one.site, one.part) for one in changes.get("stocks", ())} | set(changes.get("unstocked", ()))
    return SupplyNetwork.of(
        network.day,
        [one for one in facts if isinstance(one, Site)] + changes.get("sites", []),
        [one for one in facts if isinstance(one, Line) and (one.site, one.part) not in lines]
        + changes.get("lines", []),
        [one for one in facts if isinstance(one, SupplyLink) and one.key not in keys] + changes.get("links", []),
        [one for one in facts if isinstance(one, Stock) and (one.site, one.part) not in places]
        + changes.get("stocks", []),
    )


def check_same(one: SupplyNetwork, other: SupplyNetwork) -> None:
    assert one == other
    assert one.digest == other.digest
    a, b = one.arrays, other.arrays
    assert (a.lines, a.bins) == (b.lines, b.bins)
    for name in ("need_line", "need_bin", "need_amount", "link_line", "link_bin", "share", "per_day", "capacity",
                 "finished", "inbound", "level", "most", "waits"):  # fmt: skip
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert [a.routes[at] for at in a.route] == [b.routes[at] for at in b.route]
    assert np.allclose(a.slack(60), b.slack(60))
    for line in range(0, len(a.lines), 7):
        assert np.array_equal(a.reach([line]), b.reach([line]))
    out = [Outage(site_key(1, 3), ((MONDAY, 0.0), (MONDAY + timedelta(days=30), 1.0)))]
    assert [(x.site, x.part, x.first, x.last) for x in propagate(one, out, days=60).stops] == [
        (x.site, x.part, x.first, x.last) for x in propagate(other, out, days=60).stops
    ]
    some = every_site(one)[::11]
    assert Screen(one).run(some) == Screen(other).run(some)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_changed_network_is_the_one_built_of_all_facts(seed: int, steps: int) -> None:
    random = Random(seed)
    network = MISFITS if seed % 2 else SMALL
    network.arrays.slack(60)
    network.arrays.reach([0])
    assert network.digest
    for step in range(steps):
        changes: dict[str, list[Any]] = {}
        kinds = random.sample(
            ["lead", "share", "transit", "end", "new", "line", "stock", "spare", "sold"], random.randint(1, 3)
        )
        link = random.choice(network.links)
        if "lead" in kinds:
            link = replace(link, lead=Lead(random.randint(0, 20), sails=frozenset({2})), most_per_day=Fraction(7))
        if "share" in kinds:
            link = replace(link, share=link.share / 2, since=MONDAY + timedelta(days=random.randint(-3, 30)))
        if "transit" in kinds:
            link = replace(link, in_transit={MONDAY + timedelta(days=9): Fraction(55)})
        changes["links"] = [link]
        if "end" in kinds:
            changes["without"] = [random.choice([one.key for one in network.links if one.key != link.key])]
        if "new" in kinds:
            like = random.choice(network.links)
            maker = random.choice([one for one in network.lines if one.part == like.part]).site
            changes["links"].append(replace(like, key=f"new {step}", supplier=maker, share=Fraction(0)))
        if "line" in kinds:
            line = random.choice(network.lines)
            changes["lines"] = [replace(line, per_day=line.per_day * 2, capacity=line.capacity * 3)]
        if "stock" in kinds:
            stock = random.choice(network.stocks)
            changes["stocks"] = [replace(stock, amount=stock.amount * random.randint(0, 3))]
        if "spare" in kinds:
            like = random.choice(network.links)
            maker = f"{random.choice('azs')}-spare {step}"
            changes["sites"] = [Site(maker, "somebody", calendar=Calendar(frozenset({1, 2})))]
            changes["lines"] = [*changes.get("lines", ()), Line(maker, like.part, Fraction(0), Fraction(30))]
            spare = SupplyLink(maker, maker, like.customer, like.part, Fraction(0), Lead(3))
            changes["links"] = [*changes["links"], spare]
        if "sold" in kinds:
            stock = random.choice(network.stocks)
            if stock.site not in {one.site for one in changes.get("stocks", ())}:
                changes["unstocked"] = [(stock.site, stock.part)]
        changed = network.with_changes(**changes)
        check_same(changed, rebuilt(network, **changes))
        network = changed


@pytest.mark.parametrize(
    "change",
    [
        {"links": [replace(SMALL.links[0], share=Fraction(1), key="one too many")]},
        {"links": [replace(SMALL.links[0], supplier="nowhere")]},
        {"links": [replace(SMALL.links[0], key="x", part="no such part", share=Fraction(0))]},
        {"lines": [Line("s0-0", "new", Fraction(1), Fraction(1))]},
        {"stocks": [Stock("nowhere", "p0-0", Fraction(1))]},
    ],
)
def test_facts_that_do_not_fit_are_told_as_if_all_had_come_at_once(change: dict[str, Any]) -> None:
    changed = SMALL.with_changes(**change)
    check_same(changed, rebuilt(SMALL, **change))
    assert bool(changed.inconsistencies) == bool(changed.left_out) == ("lines" not in change)
    # What was left out counts again as soon as it fits.
    mended = changed.with_changes(without=[one.key for one in changed.left_out if isinstance(one, SupplyLink)])
    assert "nowhere" in str(changed.left_out) or not mended.inconsistencies


def test_an_end_of_a_link_that_is_not_there_is_refused() -> None:
    with pytest.raises(MalformedFact, match="no such link"):
        SMALL.with_changes(without=["nothing"])
    with pytest.raises(MalformedFact, match="two of the changes"):
        SMALL.with_changes(links=[SMALL.links[0], SMALL.links[0]])


DAY = date(2026, 10, 12)
ONE = Fraction(1)
SITES = [Site(key, f"owner of {key}") for key in "ABC"]
LINES = [
    Line("A", "a", ONE, ONE),
    Line("B", "b", ONE, ONE, {"a": ONE}),
    Line("C", "c", ONE, ONE, {"b": ONE}, 5),
]
LINKS = [SupplyLink("ab", "A", "B", "a"), SupplyLink("bc", "B", "C", "b")]


@pytest.mark.parametrize(
    ("name", "fact", "says"),
    [
        ("a link to nobody", SupplyLink("x", "A", "Z", "a"), "which nobody has described"),
        ("a link from nobody", SupplyLink("x", "Z", "B", "a"), "which nobody has described"),
        ("a part that the supplier does not make", SupplyLink("x", "A", "C", "b"), "not said to make"),
        ("a part that nobody there needs", SupplyLink("x", "A", "C", "a"), "makes nothing of"),
        ("shares above one", SupplyLink("z", "A", "B", "a", Fraction(1, 2)), "more than 1"),
        ("two links of one key", SupplyLink("ab", "A", "B", "a", Fraction(0)), "have this key"),
        ("a line at an unknown site", Line("Z", "z", ONE, ONE), "which nobody has described"),
        ("a line told twice", Line("A", "a", ONE, ONE), "described twice"),
        ("stock at an unknown site", Stock("Z", "a", ONE), "which nobody has described"),
        ("a site told twice", Site("A", "another"), "keep one"),
    ],
)
def test_facts_that_do_not_fit_are_told_to_their_owner_and_count_for_nothing(
    name: str, fact: Site | Line | SupplyLink | Stock, says: str
) -> None:
    kinds: dict[type, list[Any]] = {Site: [*SITES], Line: [*LINES], SupplyLink: [*LINKS], Stock: []}
    kinds[type(fact)].append(fact)
    network = SupplyNetwork.of(DAY, kinds[Site], kinds[Line], kinds[SupplyLink], kinds[Stock])
    (found,) = network.inconsistencies
    assert says in found.what, name
    assert len(network.left_out) == 1
    assert network.arrays.per_day.sum() == 3, name


def test_a_circle_of_supply_is_left_out_and_told() -> None:
    ring = [Line("A", "a", ONE, ONE, {"b": ONE}), LINES[1]]
    links = [LINKS[0], SupplyLink("ba", "B", "A", "b")]
    network = SupplyNetwork.of(DAY, SITES, ring, links)
    assert {one.about for one in network.inconsistencies} == {"link ab", "link ba"}
    assert all("circle" in one.what for one in network.inconsistencies)
    assert network.links == ()
    straight = SupplyNetwork.of(DAY, SITES, ring, [LINKS[0]])
    circular = straight.with_changes(links=[links[1]])
    assert circular == network


@pytest.mark.parametrize(
    ("name", "fact", "says"),
    [
        ("a negative stock", Stock("A", "a", Fraction(-1)), "negative"),
        ("more planned than possible", Line("A", "a", Fraction(2), ONE), "more is planned"),
        ("a negative output", Line("A", "a", Fraction(-1), ONE), "negative"),
        ("a need of nothing", Line("B", "b", ONE, ONE, {"a": Fraction(0)}), "above 0"),
        ("made of itself", Line("B", "b", ONE, ONE, {"b": ONE}), "made of itself"),
        ("a negative price", Line("A", "a", ONE, ONE, revenue_cents=-1), "price"),
        ("a share above one", replace(LINKS[0], share=Fraction(3, 2)), "between 0 and 1"),
        ("a negative share", replace(LINKS[0], share=Fraction(-1, 2)), "between 0 and 1"),
        ("a negative lead", replace(LINKS[0], lead=Lead(-1)), "before it was sent"),
        ("an eighth weekday", replace(LINKS[0], lead=Lead(1, sails=frozenset({7}))), "0 .Monday. to 6"),
        ("it never sails", replace(LINKS[0], lead=Lead(1, sails=frozenset())), "never sails"),
        ("a site that supplies itself", replace(LINKS[0], customer="A"), "itself"),
        ("a negative most", replace(LINKS[0], most_per_day=Fraction(-1)), "less than nothing"),
        ("negative on the way", replace(LINKS[0], in_transit={DAY: Fraction(-1)}), "negative"),
        ("a day that never works", Site("A", "A", calendar=Calendar(frozenset())), "never works"),
        ("a place beyond the pole", Site("A", "A", latitude=91.0, longitude=0.0), "degrees"),
        ("half a position", Site("A", "A", latitude=1.0), "degrees"),
    ],
)
def test_facts_that_cannot_be_true_are_refused(name: str, fact: Site | Line | SupplyLink | Stock, says: str) -> None:
    kinds: dict[type, list[Any]] = {Site: [*SITES], Line: [*LINES], SupplyLink: [*LINKS], Stock: []}
    kinds[type(fact)].append(fact)
    with pytest.raises(MalformedFact, match=says):
        SupplyNetwork.of(DAY, kinds[Site], kinds[Line], kinds[SupplyLink], kinds[Stock])
    if not isinstance(fact, Site):
        network = SupplyNetwork.of(DAY, SITES, LINES, LINKS)
        name = {Line: "lines", SupplyLink: "links", Stock: "stocks"}[type(fact)]
        changes: dict[str, Any] = {name: [fact]}
        with pytest.raises(MalformedFact, match=says):
            network.with_changes(**changes)


@pytest.mark.parametrize(
    ("name", "outage", "says"),
    [
        ("an end before the start", Outage("A", ((DAY, 0.0), (DAY - timedelta(days=1), 1.0))), "before it begins"),
        ("less than nothing left", Outage("A", ((DAY, -0.1),)), "0 to 1"),
        ("more than all left", Outage("A", ((DAY, 1.1),)), "0 to 1"),
        ("no time", Outage("A", ()), "from when"),
        ("a site that nobody described", Outage("Z", ((DAY, 0.0),)), "nobody has described"),
        ("a part that it does not make", Outage("A", ((DAY, 0.0),), "b"), "does not make"),
    ],
)
def test_outages_that_are_none_are_refused(name: str, outage: Outage, says: str) -> None:
    with pytest.raises(MalformedFact, match=says):
        propagate(SupplyNetwork.of(DAY, SITES, LINES, LINKS), [outage], days=10)


def test_a_digest_does_not_hang_on_the_order_of_facts() -> None:
    one = SupplyNetwork.of(DAY, SITES, LINES, LINKS)
    other = SupplyNetwork.of(DAY, SITES[::-1], LINES[::-1], LINKS[::-1])
    assert one.digest == other.digest
    assert one.digest != SupplyNetwork.of(DAY + timedelta(days=1), SITES, LINES, LINKS).digest
    assert one.digest != SupplyNetwork.of(DAY, SITES, LINES, LINKS, [Stock("A", "a", ONE)]).digest
