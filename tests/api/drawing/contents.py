"""Contents of impact reports as `risk` makes them, for whoever draws and tells them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from fractions import Fraction
from functools import cache
from typing import Any

import pytest

from risk.assessment import assess
from risk.network import Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.sharing import LinkHit, Source
from risk.sights import view
from tests.risk.networks import LANDFALL, MONDAY, axle_circle
from tests.risk.test_assessment import AIRLIFT, KEY, OFFERS, QUALIFIED, storm

CHECKPOINT = f"log.example.org/circle 4711 {'5e' * 32}"
PLACES = {
    "magdeburg": (52.13, 11.62), "kielce": (50.87, 20.63), "nordrand": (51.53, 9.93), "lariana": (45.86, 9.39),
    "vltava": (49.75, 13.38), "yongjiang": (29.87, 121.55),
}  # fmt: skip
SITE_NAMES = {
    "magdeburg": "Magdeburg", "kielce": "Kielce", "nordrand": "Nordrand Göttingen", "lariana": "Lariana Lecco",
    "vltava": "Vltava Plzeň", "yongjiang": "Yongjiang Ningbo", "echizen": "Echizen Fukui", "peipsi": "Peipsi Narva",
    "cimo": "Cimo Zhoushan",
}  # fmt: skip
PART_NAMES = {("axle", "nordrand"): "e-axle"}
ALERT = Source("CAP alert of weather.example.org", ("circle 29.9,121.6 180", "region East China Sea"), True)
FORM = Source("Yongjiang Magnetics", ("site Yongjiang Ningbo",), False)
HOSTILE = (
    '<script>alert("1")</script>',
    "</style><style>*{display:none}</style>",
    "</svg></title><img src=x onerror=alert(1)>",
    '#panic("run") #read("/etc/passwd") ] ) } \\ $ @x <y> *b* _i_ `c` // /* */ "quoted" \' & &amp; ]]> <!--',
    "\u202eRTL \u2066שלום مرحبا 宁波永江磁材 \ufffe\u0007",
    "W" * 180,
    "永" * 90,
    "javascript:alert(1) 🏭👩‍👩‍👧 e\u0301" + "\u0301" * 20,
)
"""Names that somebody might choose."""


@cache
def _typhoon(reader: str, level: str, status: str, priced: bool, names: tuple[tuple[str, str], ...]) -> str:
    network = axle_circle()
    sites = [replace(one, latitude=PLACES[one.key][0], longitude=PLACES[one.key][1]) for one in network.sites.values()]
    lines = [one if priced else replace(one, revenue_cents=None) for one in network.lines]
    links = [replace(one, level=level) for one in network.links]
    network = SupplyNetwork.of(network.day, sites, lines, links, network.stocks)
    hits = [replace(storm(site), status=status, sources=(ALERT, FORM)) for site in ("yongjiang", "cimo")]
    seen = view(
        network, reader, key=KEY, checkpoint=CHECKPOINT, hits=hits, alternatives=OFFERS, qualifications=QUALIFIED,
        doubts={("lariana", "magnet"): Fraction(1, 20)}, site_names=dict(names), part_names=PART_NAMES, requests=2,
    )  # fmt: skip
    return assess(seen).text.decode()


def typhoon(
    reader: str = "havelmark",
    level: str = "tier",
    *,
    status: str = "Exercise",
    priced: bool = True,
    names: Mapping[str, str] = SITE_NAMES,
) -> Any:
    """The demo's storm as `reader` is told of it."""
    return json.loads(_typhoon(reader, level, status, priced, tuple(sorted(names.items()))))


@cache
def _many(plants: int, are_hostile: bool) -> str:
    keys = [f"plant {number:02}" for number in range(plants)]
    sites = [Site("source", "supplier", "East Asia", 35.0, 179.5), Site("hub", "supplier", "Pacific", -17.5, -179.0)]
    sites += [
        Site(key, "reader", "Pacific", -40 + number, 150.0 + number * 1.7 if number < 18 else -180 + number)
        for number, key in enumerate(keys)
    ]
    each = Fraction(10)
    lines = [Line("source", "ore", plants * each, plants * each)]
    lines += [Line("hub", "ingot", plants * each, plants * each, {"ore": Fraction(1)})]
    lines += [
        Line(key, f"part {number % 7}", each, each, {"ingot": Fraction(1)}, 1_250 + number)
        for number, key in enumerate(keys)
    ]
    links = [SupplyLink("to hub", "source", "hub", "ore")]
    links += [SupplyLink(f"to {key}", "hub", key, "ingot") for key in keys]
    stocks = [Stock(key, "ingot", Fraction(5 * number)) for number, key in enumerate(keys)]
    hit = replace(
        storm("source"), status="Actual",
        sources=(Source("GDACS", ("polygon 30,175 30,-175 40,-175 40,175 30,175",), True),),
    )  # fmt: skip
    names = {key: f"Plant {key[6:]}" for key in keys} | {"hub": "Suva hub", "source": "Source"}
    if are_hostile:
        names = {key: f"{HOSTILE[at % len(HOSTILE)]} {at}" for at, key in enumerate([*keys, "hub", "source"])}
        hit = replace(hit, cause=HOSTILE[0], sources=tuple(Source(one, (one,), True) for one in HOSTILE))
    network = SupplyNetwork.of(MONDAY, sites, lines, links, stocks)
    seen = view(network, "reader", key=KEY, checkpoint=CHECKPOINT, hits=[hit], site_names=names)
    return assess(seen).text.decode()


def many(plants: int = 40, *, are_hostile: bool = False) -> Any:
    """A report in which that many plants on both sides of the date line stop; `are_hostile`: all names are."""
    content = json.loads(_many(plants, are_hostile))
    if are_hostile:
        content["names"]["parts"] = {f"part {at}": one for at, one in enumerate(HOSTILE[:7])}
    return content


def unending() -> Any:
    """A report in which what stops is not back in time, and one plant makes less rather than nothing."""
    content = many(3)
    first, second, _ = content["effect"]["stops"]
    first["isOver"] = False
    second["standstillDays"] = 0
    return content


@cache
def _closed(reader: str) -> str:
    network = axle_circle()
    links = [replace(one, level="tier") for one in network.links]
    network = SupplyNetwork.of(network.day, network.sites.values(), network.lines, links, network.stocks)
    strike = LinkHit("sea", LANDFALL, (date(2026, 12, 1), date(2026, 12, 15), date(2026, 12, 29)), "strike",
                     status="Actual", sources=(Source("Port of Ningbo", ("port CNNBG",), True),))  # fmt: skip
    seen = view(network, reader, key=KEY, checkpoint=CHECKPOINT, hits=[strike], routes=[AIRLIFT], site_names=SITE_NAMES)
    return assess(seen).text.decode()


def closed(reader: str) -> Any:
    """A report of a port that is closed, with an airlift that may stand in for the way through it."""
    return json.loads(_closed(reader))


def cut(content: Any) -> Any:
    """The report as if it had been too long for a statement."""
    content["omitted"] = {"effect/stops": 12, "suppliers": 3}
    return content


def agreed() -> Any:
    """A report with a plan that several have agreed to, and a way round a passage that is closed."""
    content = closed("lariana")
    content["plans"] = [
        {
            "exercises": 2,
            "key": "0x" + "7a" * 32,
            "lastExercise": {
                "at": "2026-09-10T08:00:00+00:00",
                "outcome": "Call list out of date; corrected the same day.",
            },
            "name": "Magnets from East Asia",
            "others": [{"member": "0x" + "aa" * 32, "what": "Frees 24 t of air freight", "withinHours": 36}],
            "trigger": {"kind": "region", "name": "East Asia"},
            "until": "2027-08-31",
            "yours": [{"member": "lariana", "what": "Books the airlift", "withinHours": 24}],
        }
    ]
    content["origins"][0] |= {
        "closed": ["suez"],
        "detour": {"extraDays": "9.5", "extraKm": 6480, "knots": "14", "passages": ["cape"]},
    }
    return content  # fmt: skip


@cache
def _turned(reader: str, name: str) -> str:
    """The storm where one thing is otherwise."""
    network = axle_circle()
    lines, links = list(network.lines), [replace(one, level="named") for one in network.links]
    hits = [replace(storm("yongjiang"), status="Actual", sources=(ALERT, FORM))]
    if name == "currencies":
        lines = [replace(one, currency="PLN") if one.site == "kielce" else one for one in lines]
    elif name == "unknown needs":
        more = {"seat": Fraction(1), "tyre": Fraction(4), "glass": Fraction(6), "lamp": Fraction(2)}
        lines = [replace(one, needs={**one.needs, **more}) if one.part == "vehicle" else one for one in lines]
    elif name == "undisturbed":
        links = [replace(one, in_transit={}) if one.key == "sea" else one for one in links]
    elif name == "assumed":
        hits = [replace(hits[0], is_assumed=True)]
    else:
        lines.append(Line("yongjiang", "alloy", Fraction(10), Fraction(10)))
        hits = [replace(hits[0], part="magnet"), replace(hits[0], part="alloy", back=(LANDFALL,) * 3)]
    network = SupplyNetwork.of(network.day, network.sites.values(), lines, links, network.stocks)
    seen = view(network, reader, key=KEY, checkpoint=CHECKPOINT, hits=hits, site_names=SITE_NAMES)
    return assess(seen).text.decode()


def turned(name: str, reader: str = "havelmark") -> Any:
    return json.loads(_turned(reader, name))


CASES: dict[str, Any] = {
    "a maker of cars": typhoon,
    "named": lambda: typhoon(level="named"),
    "impact only": lambda: typhoon(level="impact-only"),
    "region and cause": lambda: typhoon(level="region-and-cause"),
    "withheld": lambda: typhoon(level="withheld"),
    "without prices": lambda: typhoon("nordrand"),
    "first in line": lambda: typhoon("lariana"),
    "hit itself": lambda: typhoon("yongjiang"),
    "no effect": lambda: typhoon("vltava"),
    "actual": lambda: typhoon(status="Actual"),
    "not priced": lambda: typhoon(priced=False),
    "forty stops": many,
    "one stop": lambda: many(1),
    "not over": unending,
    "cut": lambda: cut(many(5)),
    "a way is closed": lambda: closed("lariana"),
    "a way is closed to others": lambda: closed("havelmark"),
    "a plan was agreed": agreed,
    "two currencies": lambda: turned("currencies"),
    "a third is known": lambda: turned("unknown needs"),
    "lost anyway": lambda: turned("undisturbed"),
    "nobody says when": lambda: turned("assumed"),
    "one line is hit": lambda: turned("line", "lariana"),
    "hostile": lambda: many(20, are_hostile=True),
}
"""Reports that must all look right, by what is special about them."""
QUICK = {
    "a maker of cars",
    "impact only",
    "withheld",
    "first in line",
    "not over",
    "a way is closed",
    "one line is hit",
    "hostile",
}
EACH = [pytest.param(case, marks=() if case in QUICK else pytest.mark.full) for case in CASES]
"""The names of all cases; the quick suite takes those that differ most."""
