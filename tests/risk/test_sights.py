"""Sights: what is kept between readers and checkpoints changes no byte, and what is written at once is what is read."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from random import Random

import pytest

from risk.network import Calendar, Lead, Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.sharing import Hit, Level, LinkHit, View
from risk.sights import Sights

DAY = date(2026, 10, 12)
KEY = bytes(range(32))
BACK = (DAY + timedelta(days=9), DAY + timedelta(days=12), DAY + timedelta(days=22))
MEMBERS = [f"m{number}" for number in range(4)]


def network(random: Random) -> SupplyNetwork:
    """Up to twelve sites in three tiers, with links side by side, of all levels, and some that are alike."""

    def amount() -> Fraction:
        return Fraction(random.randint(1, 6), random.randint(1, 3))

    calendars = [Calendar(), Calendar(holidays=frozenset({date(2026, 12, 25), date(2026, 12, 24)}))]
    sites = [
        Site(f's"{number}', random.choice(MEMBERS), random.choice(["", "R1", "Ré"]), calendar=random.choice(calendars))
        for number in range(random.randint(3, 12))
    ]
    lines: dict[tuple[str, str], Line] = {}
    for site in sites:
        tier = random.randint(0, 2)
        made, needed = f"p{tier}-{random.randrange(2)}", f"p{tier - 1}-{random.randrange(2)}"
        needs = {needed: amount()} if tier else {}
        essential = {needed: False} if tier and random.random() < 0.3 else {}
        a_day = amount() if random.random() < 0.8 else Fraction(0)
        lines[site.key, made] = Line(site.key, made, a_day, a_day + 1, needs, 100, "EUR", essential)
    links: list[SupplyLink] = []
    for line in lines.values():
        for part in line.needs:
            for maker in [one for one in lines.values() if one.part == part]:
                for _ in range(random.choice([1, 1, 3])):
                    coming = {
                        DAY + timedelta(days=random.randint(0, 20)): amount() for _ in range(random.randint(0, 2))
                    }
                    links.append(
                        SupplyLink(f"k{len(links)}", maker.site, line.site, part, Fraction(1, 20),
                                   Lead(random.choice([2, 9])), in_transit=coming, level=random.choice(list(Level)))
                    )  # fmt: skip
    stocks = [Stock(*place, amount()) for place in lines if random.random() < 0.6]
    return SupplyNetwork.of(DAY, sites, lines.values(), links, stocks)


def changed(random: Random, before: SupplyNetwork) -> SupplyNetwork:
    """Another stock, and another link, the rest as it was."""
    stocks = [replace(one, amount=one.amount + 1) for one in before.stocks[: random.randint(0, 1)]]
    links = [replace(one, lead=Lead(5)) for one in before.links[: random.randint(0, 1)]]
    return before.with_changes(stocks=stocks, links=links)


def happening(random: Random, there: SupplyNetwork) -> list[Hit | LinkHit]:
    hits: list[Hit | LinkHit] = [Hit(random.choice(list(there.sites)), DAY, BACK, "fire")]
    return hits + [LinkHit(one.key, DAY, BACK, "storm") for one in there.links[: random.randint(0, 1)]]


@pytest.mark.parametrize("seed", range(25))
def test_what_is_kept_changes_no_byte_and_what_is_written_is_what_is_read(seed: int) -> None:
    random = Random(seed)
    there = network(random)
    doubts = {(one.site, one.part): Fraction(1, 20) for one in there.stocks}
    sights = None
    for checkpoint in ("c1", "c2"):
        sights = Sights(there, key=KEY, checkpoint=checkpoint, doubts=doubts, before=sights)
        for reader in MEMBERS:
            hits = happening(random, there)
            seen = sights.of(reader).view(hits, 2)
            alone = Sights(there, key=KEY, checkpoint=checkpoint, doubts=doubts).of(reader).view(hits, 2)
            assert seen.text == alone.text
            assert View.read(seen.text).text == seen.text
            assert replace(seen).text == seen.text, "written from what it holds, and not at once"
            made, facts = seen.network, (seen.network.lines, seen.network.links, seen.network.stocks)
            again = SupplyNetwork.of(DAY, made.sites.values(), *facts)
            assert (again.sites, again.lines, again.links, again.stocks) == (made.sites, *facts)
            assert not again.inconsistencies
        there = changed(random, there)


@pytest.mark.parametrize("seed", range(10))
def test_whether_anything_is_seen_is_told_without_a_view(seed: int) -> None:
    random = Random(seed)
    there = network(random)
    hits = happening(random, there)
    for reader in MEMBERS:
        sight = Sights(there, key=KEY, checkpoint="c").of(reader)
        shown = sight.view(hits)
        assert sight.sees(hits) == bool(shown.hits or shown.link_hits)
