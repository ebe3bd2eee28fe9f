"""A reader's outlook: its view of what might happen, and what of it counts for the reader. Pure.

The view carries how long each site would take to recover as hits of the status `WHAT_IF`: nothing happens in it. What
is told of a site goes as far as its level of sharing; those below `tier` are not told apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

from risk.errors import MalformedFact
from risk.network import SupplyNetwork
from risk.sharing import Coverage, Hit, Level, Seen, View

WHAT_IF = "What if"
"""The status of the hits of a view that say how long each site would take to recover, and that nothing happens."""


def what_if(network: SupplyNetwork, recovery_days: Mapping[str, tuple[int, int, int]]) -> tuple[Hit, ...]:
    """Hits by which a view carries how long each site would take to recover, where its owner has said so."""
    return tuple(
        Hit(
            site,
            network.day,
            (
                network.day + timedelta(days=max(least, 1)),
                network.day + timedelta(days=max(likely, 1)),
                network.day + timedelta(days=max(most, 1)),
            ),
            "",
            status=WHAT_IF,
        )
        for site, (least, likely, most) in sorted(recovery_days.items())
        if site in network.sites
    )


def whole(network: SupplyNetwork, checkpoint: str, recovery_days: Mapping[str, tuple[int, int, int]]) -> View:
    """The view of whoever sees everything, the operator at its machine; no member gets it, or what is made of it."""
    return View(
        reader="",
        checkpoint=checkpoint,
        network=network,
        seen={key: Seen(Level.NAMED, is_own=True) for key in network.sites},
        known_parts=frozenset(one.part for one in network.lines),
        hits=what_if(network, recovery_days),
        alternatives=(),
        qualifications=(),
        doubts={},
        coverage=Coverage(0, Fraction(0)),
    )


def own_sites(view: View) -> frozenset[str]:
    """The sites of the reader."""
    return frozenset(key for key, seen in view.seen.items() if seen.is_own)


def recovery_of(view: View) -> dict[str, tuple[int, int, int]]:
    """Days to recover of each site of which they are known. Raises MalformedFact where something really happens."""
    if any(one.status != WHAT_IF for one in view.hits):
        raise MalformedFact("this view shows what happens, and not what might: ask for one without disruptions")
    return {one.site: tuple((back - one.start).days for back in one.back) for one in view.hits}  # type: ignore[misc]


def outlets(network: SupplyNetwork, own: frozenset[str]) -> list[int]:
    """The lines of `own` sites that count, by their places in the arrays: what is sold, or leaves those sites."""
    arrays = network.arrays
    goes_out, stays = set[int](), set[int]()
    for link, line in zip(network.links, arrays.link_line.tolist(), strict=True):
        (stays if link.customer in own else goes_out).add(line)
    return [
        at
        for at, line in enumerate(arrays.lines)
        if line.site in own and (line.revenue_cents is not None or at in goes_out or at not in stays)
    ]


def upstream(network: SupplyNetwork, own: frozenset[str]) -> frozenset[str]:
    """The `own` sites and all before them."""
    found, wave = set(own), set(own)
    suppliers: dict[str, set[str]] = defaultdict(set)
    for link in network.links:
        suppliers[link.customer].add(link.supplier)
    while wave:
        wave = {one for site in wave for one in suppliers[site]} - found
        found |= wave
    return frozenset(found)


def before_them(network: SupplyNetwork, own: frozenset[str], products: Iterable[int]) -> SupplyNetwork:
    """The `own` sites and all before them: there `products` leave the network, and nothing else has a price.

    Where none of them has a price each is worth one cent, so that units are counted.
    """
    found = upstream(network, own)
    places = {(line.site, line.part) for line in (network.arrays.lines[at] for at in products)}
    priced = any(line.revenue_cents for line in network.lines if (line.site, line.part) in places)
    lines = [
        replace(
            line,
            revenue_cents=None if (line.site, line.part) not in places else line.revenue_cents if priced else 1,
        )
        for line in network.lines
        if line.site in found
    ]
    return SupplyNetwork.of(
        network.day,
        [site for key, site in network.sites.items() if key in found],
        lines,
        [one for one in network.links if one.supplier in found and one.customer in found],
        [one for one in network.stocks if one.site in found],
    )


def label(view: View, site: str) -> dict[str, Any]:
    """What the reader may know of a site. Those shared below the level `tier` are not told apart."""
    seen = view.seen.get(site, Seen(Level.NAMED))
    if seen.level is Level.NAMED:
        return {"site": site}
    if seen.level is Level.TIER:
        return {"id": site, "region": seen.region, "tier": seen.tier}
    return {} if seen.region is None else {"region": seen.region}


def names_in(view: View, content: Any) -> dict[str, dict[str, str]]:
    """What the parts and sites that `content` speaks of are called, as far as the view says so."""
    said, waiting = set[str](), [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            said.add(one)
        elif isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
    return {
        "parts": {key: name for key, name in sorted(view.part_names.items()) if key in said},
        "sites": {key: name for key, name in sorted(view.site_names.items()) if key in said},
    }
