"""What happens in a view, as walks over its network need it: outages, closed links, and either end of what is sure.

Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from risk.mitigation import decimal
from risk.network import SupplyNetwork
from risk.propagation import Case, Impact, Stop
from risk.reach import Closure, Diversion, Outage
from risk.sharing import View

EARLIEST, LIKELY, LATEST = range(3)


class Situation:
    """The hits of `view` that its network knows, for `days` days from its first on; `own` are the reader's sites.

    `link` are the links that are closed or have other routes, by their keys.
    """

    def __init__(self, view: View, days: int) -> None:
        self.view, self.days, self.network = view, days, view.network
        self.own = frozenset(key for key, seen in view.seen.items() if seen.is_own)
        lines = view.network.arrays.line_index
        self.hits = [
            one
            for one in view.hits
            if one.site in self.network.sites and (one.part is None or (one.site, one.part) in lines)
        ]
        wanted = {one.link for some in (view.link_hits, view.routes) for one in some}
        self.link = {key: one for key in wanted for one in self.network.links.of(key)}
        self.closings = [one for one in view.link_hits if one.link in self.link]
        self.currencies = self.network.currencies(self.own)
        self.has_price = len(self.currencies) == 1

    def outages(self, when: int) -> list[Outage]:
        """What was hit, until it is back at the earliest, as is likely, or at the latest."""
        return [
            Outage(
                one.site, ((one.start, float(one.left)), (max(one.back[when], one.start + timedelta(1)), 1.0)), one.part
            )
            for one in self.hits
        ]

    def closures(self, when: int) -> list[Closure]:
        """The links that are closed, until then."""
        return [
            Closure(
                one.link,
                ((one.start, float(one.left)), (max(one.back[when], one.start + timedelta(1)), 1.0)),
                one.after_days,
            )
            for one in self.closings
        ]

    def case(
        self,
        network: SupplyNetwork,
        when: int,
        closures: Sequence[Closure] = (),
        diversions: Sequence[Diversion] = (),
        *,
        of: Collection[str] | None = None,
    ) -> Case:
        """What happens then, to the sites `of` alone if they are named."""
        return Case(network, self.outages(when), [*self.closures(when), *closures], diversions, of)

    def with_doubts(self, side: int) -> SupplyNetwork:
        """The network in which all stocks are off by their doubt to one side: more (1), less (-1) or not at all."""
        if not side:
            return self.network
        return self.view.kept("more" if side > 0 else "less", lambda: self._doubted(side))

    def _doubted(self, side: int) -> SupplyNetwork:
        doubts = self.view.doubts
        places = {(one.site, one.part) for one in self.network.stocks} & doubts.keys()
        return self.network.with_changes(
            stocks=[
                replace(one, amount=one.amount * (1 + side * doubts[place]))
                for place in sorted(places)
                for one in self.network.stocks.of(place)
            ]
        )

    def own_stops(self, impact: Impact) -> list[Stop]:
        """The stops of the reader's own sites."""
        return [one for one in impact.stops if one.site in self.own]

    def lost(self, impact: Impact) -> dict[str, Any]:
        """What the reader loses, as a report says it."""
        stops = self.own_stops(impact)
        return {
            "lost": amounts_of(stops),
            "revenueCents": sum(one.revenue_cents or 0 for one in stops) if self.has_price else None,
        }


def amounts_of(stops: Iterable[Stop]) -> dict[str, str]:
    """What is missing of each part in all."""
    found: dict[str, float] = defaultdict(float)
    for one in stops:
        found[one.part] += one.shortfall
    return {part: decimal(amount) for part, amount in sorted(found.items()) if decimal(amount) != "0"}
