"""Networks for tests, written in words."""

from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction

from risk.network import Calendar, Lead, Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.reach import Outage

MONDAY = date(2026, 10, 12)
LANDFALL = date(2026, 10, 13)
BACK = date(2026, 11, 24)
CLOSED = frozenset(date(2026, 12, 24) + timedelta(days=number) for number in range(9))
ASHORE = Lead(36, sails=frozenset({0}))
"""Mondays from Ningbo, 35 days to Genoa and one by road."""
A_WEEK = Lead(7, sails=frozenset({0}))
TYPHOON = Outage("yongjiang", ((MONDAY, 0.0), (BACK, 1.0)))
"""The yard floods with what was made on Monday, which would have sailed a week later."""


def weekly(first: date, *amounts: int) -> dict[date, Fraction]:
    return {first + timedelta(days=7 * number): Fraction(amount) for number, amount in enumerate(amounts)}


def axle_circle(
    alternatives: Iterable[tuple[str, int, date]] = (),
    *,
    magnet_days: int = 5,
    airlift: dict[date, Fraction] | None = None,
    sea_again: date | None = None,
) -> SupplyNetwork:
    """The demo's network on 12 October 2026.

    `alternatives` are (site, magnets a week, first arrival in Lecco); they arrive on Mondays.
    """
    european, chinese = Calendar(holidays=CLOSED), Calendar()
    sites = [Site("yongjiang", "yongjiang", "East Asia", calendar=chinese)]
    sites += [Site(key, key, calendar=european) for key in ("lariana", "vltava", "nordrand")]
    sites += [Site(key, "havelmark", calendar=european) for key in ("magdeburg", "kielce")]
    lines = [
        Line("yongjiang", "magnet", Fraction(55_296), Fraction(55_296)),
        Line("lariana", "rotor", Fraction(960), Fraction(960), {"magnet": Fraction(48)}),
        Line("vltava", "motor", Fraction(960), Fraction(960), {"magnet": Fraction(48, 5)}),
        Line("nordrand", "axle", Fraction(960), Fraction(960), {"rotor": Fraction(1)}),
        Line("magdeburg", "vehicle", Fraction(640), Fraction(640), {"axle": Fraction(1)}, 3_200_000, "EUR"),
        Line("kielce", "vehicle", Fraction(320), Fraction(320), {"axle": Fraction(1)}, 3_200_000, "EUR"),
    ]
    at_sea = weekly(LANDFALL, *(48 * sets for sets in (4_800, 4_800, 4_800, 9_600)))
    road = Lead(2, working=True)
    links = [
        SupplyLink("sea", "yongjiang", "lariana", "magnet", lead=ASHORE, in_transit=at_sea, since=sea_again),
        SupplyLink("sea 2", "yongjiang", "vltava", "magnet", lead=ASHORE, in_transit=weekly(LANDFALL, *[46_080] * 5)),
        SupplyLink("rotors", "lariana", "nordrand", "rotor", lead=road,
                   in_transit={MONDAY: Fraction(960), LANDFALL: Fraction(960)}),
        SupplyLink("axles north", "nordrand", "magdeburg", "axle", lead=Lead(1, working=True),
                   in_transit={MONDAY: Fraction(640)}),
        SupplyLink("axles east", "nordrand", "kielce", "axle", lead=Lead(1, working=True),
                   in_transit={MONDAY: Fraction(320)}),
    ]  # fmt: skip
    if airlift is not None:
        air = SupplyLink("air", "yongjiang", "lariana", "magnet", Fraction(0), in_transit=airlift, since=date.max)
        links.append(air)
    for key, a_week, first_arrival in alternatives:
        sites.append(Site(key, key))
        lines.append(Line(key, "magnet", Fraction(0), Fraction(a_week, 5)))
        since = first_arrival - timedelta(days=13)  # what leaves on Monday was made in the week before it
        links.append(
            SupplyLink(f"from {key}", key, "lariana", "magnet", Fraction(0), A_WEEK, Fraction(a_week, 5), since=since)
        )
    stocks = [
        Stock("lariana", "magnet", Fraction(48 * 960 * magnet_days)),
        Stock("vltava", "magnet", Fraction(9_216 * 30)),
        Stock("lariana", "rotor", Fraction(960 * 3)),
        Stock("nordrand", "rotor", Fraction(960 * 2)),
        Stock("nordrand", "axle", Fraction(960 * 2)),
        Stock("magdeburg", "axle", Fraction(640)),
        Stock("kielce", "axle", Fraction(320)),
    ]
    return SupplyNetwork.of(MONDAY, sites, lines, links, stocks)
