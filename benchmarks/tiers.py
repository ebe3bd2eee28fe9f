"""A supply network of any size that goes on as planned until something happens: tiers of makers, random and repeatable.

Each line makes one part of one to three parts of the tier below, each from one to three of its makers, with leads of
one to ten days, stock for two to fifteen and a fifth of capacity to spare. What is made is what is asked for, and what
is on its way at the start is what would be. Sites work Monday to Friday; the first day must be a Monday.
"""

from collections import defaultdict
from datetime import date, timedelta
from fractions import Fraction
from random import Random

from risk.network import Lead, Line, Site, Stock, SupplyLink, SupplyNetwork

MONDAY = date(2026, 10, 12)
TIERS = 6
MAKERS = 4
"""How many sites make each part."""
SHARES = ((Fraction(1),), (Fraction(1, 2),) * 2, (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)))
"""How a need is split among one, two or three suppliers."""


def site_key(tier: int, number: int) -> str:
    return f"s{tier}-{number}"


def tiers(sites: int, seed: int = 1, *, first: date = MONDAY) -> SupplyNetwork:
    """A network of about `sites` sites; nothing is short in it until an outage makes it so."""
    random = Random(seed)
    per = max(sites // TIERS, MAKERS)
    parts = per // MAKERS
    ordered: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    lines: list[Line] = []
    links: list[SupplyLink] = []
    stocks: list[Stock] = []
    coming: dict[tuple[int, Fraction], dict[date, Fraction]] = {}
    for tier in reversed(range(TIERS)):
        for number in range(per):
            place = site_key(tier, number)
            is_sold = (tier, number) not in ordered
            a_day = ordered.get((tier, number), Fraction(100))
            needs: dict[str, Fraction] = {}
            for wanted in sorted({random.randrange(parts) for _ in range(random.randint(1, 3))}) if tier else ():
                part = f"p{tier - 1}-{wanted}"
                needs[part] = Fraction(1)
                makers = range(wanted, per, parts)
                chosen = random.sample(makers, min(len(makers), random.randint(1, 3)))
                for maker, share in zip(chosen, SHARES[len(chosen) - 1], strict=True):
                    days, amount = random.randint(1, 10), a_day * share
                    ordered[tier - 1, maker] += amount
                    if (days, amount) not in coming:
                        coming[days, amount] = _on_the_way(first, days, amount)
                    supplier = site_key(tier - 1, maker)
                    links.append(SupplyLink(f"{supplier}>{place}:{part}", supplier, place, part, share, Lead(days),
                                            in_transit=coming[days, amount]))  # fmt: skip
                stocks.append(Stock(place, part, a_day * random.randint(2, 15)))
            lines.append(
                Line(place, f"p{tier}-{number % parts}", a_day, a_day * Fraction(6, 5), needs, 100 if is_sold else None)
            )
    places = [
        Site(site_key(tier, number), f"o{number % 97}", region=f"r{number % 50}", locode=f"XX{number % 200:03}")
        for tier in range(TIERS)
        for number in range(per)
    ]
    return SupplyNetwork.of(first, places, lines, links, stocks)


def _on_the_way(first: date, days: int, amount: Fraction) -> dict[date, Fraction]:
    """What has left on each working day before `first` and is not there yet, with `amount` sent a day."""
    found: dict[date, Fraction] = defaultdict(Fraction)
    for number in range(1, days + 4):
        left = first - timedelta(days=number)
        arrives = left + timedelta(days=days)
        while arrives.weekday() > 4:
            arrives += timedelta(days=1)
        if left.weekday() < 5 and arrives >= first:
            found[arrives] += amount
    return dict(found)
