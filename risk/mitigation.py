"""What could be done before anything happens, what it costs, and from which chance on it pays. Pure.

A mitigation changes a network: another qualified supplier of a part, more stock of it, more capacity, a second route.
Whoever asks states the cost; nothing here guesses a price. Money is whole cents of one currency, chances and what
follows from them are exact fractions: they are rounded once, where they are shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from math import ceil
from typing import Any

from risk.errors import MalformedFact
from risk.network import Lead, Line, Site, Stock, SupplyLink, SupplyNetwork


@dataclass(frozen=True, slots=True)
class Cost:
    """What a mitigation costs, by the word of whoever asks: once, and each year, in whole cents of `currency`.

    `years`: over how many years the cost that comes once is spread; None where nobody has said so.
    """

    once_cents: int = 0
    cents_a_year: int = 0
    currency: str = ""
    years: int | None = None

    def check(self) -> None:
        """Raise MalformedFact for a cost below 0 or without a currency, and for less than one year."""
        if self.once_cents < 0 or self.cents_a_year < 0:
            raise MalformedFact("a cost cannot be negative")
        if (self.once_cents or self.cents_a_year) and not self.currency:
            raise MalformedFact("a cost has a currency")
        if self.years is not None and self.years < 1:
            raise MalformedFact("a cost is spread over one year at least")

    @property
    def a_year(self) -> Fraction | None:
        """Cents a year in all; None where a cost comes once and nobody has said over how many years it counts."""
        if not self.once_cents:
            return Fraction(self.cents_a_year)
        return None if self.years is None else self.cents_a_year + Fraction(self.once_cents, self.years)


@dataclass(frozen=True, slots=True)
class MoreStock:
    """So many working days' use more of `part` at `site`, or of its output where `site` makes it, before anything
    happens.
    """

    name: str
    site: str
    part: str
    days: int
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class MoreCapacity:
    """`site` can make `per_day` more of `part` a working day."""

    name: str
    site: str
    part: str
    per_day: Fraction
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class AnotherSupplier:
    """`supplier` is qualified for `part` at `customer` and can send `per_day` of it, from `after_days` days on.

    It may be a site of the network, or a new one; where a new one stands (`region`, UN/LOCODE `port`) decides which
    scenarios hit it too.
    """

    name: str
    supplier: str
    customer: str
    part: str
    per_day: Fraction
    lead_days: int = 0
    after_days: int = 0
    region: str = ""
    port: str | None = None
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class SecondRoute:
    """What `supplier` sends `customer` of `part` can go another way too, in `lead_days` days, `per_day` at most."""

    name: str
    supplier: str
    customer: str
    part: str
    lead_days: int
    per_day: Fraction | None = None
    cost: Cost = Cost()


Mitigation = MoreStock | MoreCapacity | AnotherSupplier | SecondRoute
_LINK = "mitigation "
"""What the keys of links begin with that are not there yet."""
MOST_DAYS = 3650


def mitigated(network: SupplyNetwork, mitigations: Sequence[Mitigation]) -> SupplyNetwork:
    """The network with all of them in place.

    Raises MalformedFact for one that cannot be: of a part that nobody there uses or makes, between sites that nobody
    has described, of nothing at all.
    """
    for one in mitigations:
        one.cost.check()
        changed = _changed(network, one)
        left_out = set(changed.inconsistencies) - set(network.inconsistencies)
        if left_out:
            raise MalformedFact(f"it does not fit the network: {min(one.what for one in left_out)}", one.name)
        network = changed
    return network


def _changed(network: SupplyNetwork, one: Mitigation) -> SupplyNetwork:
    match one:
        case MoreStock():
            return _with_stock(network, one)
        case MoreCapacity():
            line = _line(network, one.site, one.part, one.name)
            if one.per_day <= 0:
                raise MalformedFact("more capacity is an amount above 0", one.name)
            return network.with_changes(lines=[replace(line, capacity=line.capacity + one.per_day)])
        case AnotherSupplier():
            return _with_supplier(network, one)
        case SecondRoute():
            return _with_route(network, one)


def _with_stock(network: SupplyNetwork, one: MoreStock) -> SupplyNetwork:
    if not 0 < one.days <= MOST_DAYS:
        raise MalformedFact(f"more stock lasts 1 to {MOST_DAYS} days more", one.name)
    a_day = used_a_day(network, one.site, one.part)
    if not a_day:
        a_day = sum((line.per_day for line in network.lines if (line.site, line.part) == (one.site, one.part)), a_day)
    if not a_day:
        raise MalformedFact(f"{one.site} neither uses nor makes {one.part}", one.name)
    held = [two for two in network.stocks if (two.site, two.part) == (one.site, one.part)]
    return network.with_changes(stocks=[*held, Stock(one.site, one.part, a_day * one.days)])


def _with_supplier(network: SupplyNetwork, one: AnotherSupplier) -> SupplyNetwork:
    if one.per_day <= 0:
        raise MalformedFact("another supplier sends an amount above 0", one.name)
    if not (0 <= one.lead_days <= MOST_DAYS and 0 <= one.after_days <= MOST_DAYS):
        raise MalformedFact(f"days are 0 to {MOST_DAYS}", one.name)
    _user(network, one.customer, one.part, one.name)
    link = SupplyLink(
        f"{_LINK}{one.name}",
        one.supplier,
        one.customer,
        one.part,
        Fraction(0),
        Lead(one.lead_days),
        one.per_day,
        since=network.day + timedelta(days=one.after_days) if one.after_days else None,
    )
    sites, lines = list(network.sites.values()), list(network.lines)
    if one.supplier not in network.sites:
        sites.append(Site(one.supplier, "", one.region, locode=one.port))
    if not any((line.site, line.part) == (one.supplier, one.part) for line in network.lines):
        lines.append(Line(one.supplier, one.part, Fraction(0), one.per_day))
    return SupplyNetwork.of(network.day, sites, lines, [*network.links, link], network.stocks)


def _with_route(network: SupplyNetwork, one: SecondRoute) -> SupplyNetwork:
    if not 0 <= one.lead_days <= MOST_DAYS:
        raise MalformedFact(f"days are 0 to {MOST_DAYS}", one.name)
    if one.per_day is not None and one.per_day <= 0:
        raise MalformedFact("a second route carries an amount above 0", one.name)
    ends = (one.supplier, one.customer, one.part)
    if not any((link.supplier, link.customer, link.part) == ends for link in network.links):
        raise MalformedFact(f"{one.supplier} sends {one.customer} no {one.part}", one.name)
    link = SupplyLink(f"{_LINK}{one.name}", *ends, Fraction(0), Lead(one.lead_days), one.per_day)
    return network.with_changes(links=[link])


def is_mitigation(link: SupplyLink) -> bool:
    """Whether it is the link of a mitigation."""
    return link.key.startswith(_LINK)


def used_a_day(network: SupplyNetwork, site: str, part: str) -> Fraction:
    """What `site` uses of `part` on a working day, as planned."""
    return sum((one.per_day * one.needs[part] for one in network.lines_at(site) if part in one.needs), Fraction(0))


def _user(network: SupplyNetwork, site: str, part: str, name: str) -> None:
    if site not in network.sites:
        raise MalformedFact(f"you see no site {site}", name)
    if not any(one.site == site and part in one.needs for one in network.lines):
        raise MalformedFact(f"{site} uses no {part}", name)


def _line(network: SupplyNetwork, site: str, part: str, name: str) -> Line:
    if site not in network.sites:
        raise MalformedFact(f"you see no site {site}", name)
    for one in network.lines:
        if (one.site, one.part) == (site, part):
            return one
    raise MalformedFact(f"{site} makes no {part}", name)


@dataclass(frozen=True, slots=True)
class Pays:
    """From which chance a year on a mitigation costs no more than it saves: exact, None where it cannot be said and
    then `not_known` says why. Above 1 it never pays, however often the scenario comes once a year.
    """

    chance: Fraction | None
    not_known: str = ""


def currency_of(mitigations: Iterable[Mitigation]) -> str | None:
    """The one currency of what they cost; None where nothing does. Raises MalformedFact for two."""
    found = sorted({one.cost.currency for one in mitigations if one.cost.currency})
    if len(found) > 1:
        raise MalformedFact(f"costs in {' and in '.join(found)} cannot be compared: state them in one currency")
    return found[0] if found else None


def break_even(a_year: Fraction | None, saved_cents: Fraction | None) -> Pays:
    """The chance a year at which what a mitigation costs `a_year` equals what it saves each time, both in cents.

    >>> break_even(Fraction(1_000), Fraction(50_000))
    Pays(chance=Fraction(1, 50), not_known='')
    """
    if saved_cents is None:
        return Pays(None, "no price of your products is stated, so what is saved has no value")
    if a_year is None:
        return Pays(None, "nobody has said over how many years the cost that comes once is spread")
    if saved_cents <= 0:
        return Pays(None, "it saves nothing here")
    return Pays(a_year / saved_cents)


def expected(chances: Iterable[tuple[Fraction, Fraction]]) -> Fraction:
    """Cents a year, of (chance a year, cents each time): each happens once a year at most and apart from the others."""
    return sum((chance * cents for chance, cents in chances), Fraction(0))


def described(one: Mitigation) -> dict[str, Any]:
    """What it is, as a report says it: no floats."""
    kinds = {MoreStock: "stock", MoreCapacity: "capacity", AnotherSupplier: "supplier", SecondRoute: "route"}
    said: dict[str, Any] = {"kind": kinds[type(one)], "name": one.name, "cost": cost_json(one.cost), "part": one.part}
    match one:
        case MoreStock():
            said |= {"days": one.days, "site": one.site}
        case MoreCapacity():
            said |= {"perDay": decimal(one.per_day), "site": one.site}
        case AnotherSupplier():
            said |= {"afterDays": one.after_days, "customer": one.customer, "leadDays": one.lead_days,
                     "perDay": decimal(one.per_day), "port": one.port, "region": one.region or None,
                     "supplier": one.supplier}  # fmt: skip
        case SecondRoute():
            said |= {"customer": one.customer, "leadDays": one.lead_days, "supplier": one.supplier,
                     "perDay": None if one.per_day is None else decimal(one.per_day)}  # fmt: skip
    return said


def cost_json(cost: Cost) -> dict[str, Any]:
    """A cost as a report says it."""
    return {
        "centsAYear": cost.cents_a_year,
        "currency": cost.currency or None,
        "onceCents": cost.once_cents,
        "years": cost.years,
    }


def pays_json(pays: Pays) -> Mapping[str, Any]:
    """A break-even chance: the exact fraction, and a decimal rounded up, so that at it the thing does pay."""
    if pays.chance is None:
        return {"chanceAYear": None, "exact": None, "notKnown": pays.not_known}
    millionths = Fraction(ceil(pays.chance * 1_000_000), 1_000_000)
    return {"chanceAYear": decimal(millionths, 6), "exact": str(pays.chance), "notKnown": None}


def decimal(value: Fraction | float, places: int = 3) -> str:
    """`value` rounded to so many places, half to even, without trailing zeros.

    >>> decimal(15359.99999997), decimal(Fraction(2, 3), 6), decimal(Fraction(-1, 2))
    ('15360', '0.666667', '-0.5')
    """
    scale: int = 10**places
    scaled = round(Fraction(value) * scale)
    sign, (whole, rest) = "-" if scaled < 0 else "", divmod(abs(scaled), scale)
    return f"{sign}{whole}.{rest:0{places}}".rstrip("0").rstrip(".")
