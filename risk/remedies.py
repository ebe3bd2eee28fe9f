"""What the consortium has to spare against what happens, and how the reader would fare with it. Pure.

Alternatives are shared out once over all who are hit, other routes take what they carry; the reader sees its own part.
What each of them saves takes a walk: `Remedies` says what to walk, and is told what came of it.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from risk.alternatives import (
    Alternative,
    Criterion,
    Reason,
    RouteAlternative,
    RouteRun,
    pro_rata,
    rank_stability,
    route_run,
    topsis,
    usable,
)
from risk.mitigation import decimal, used_a_day
from risk.network import Calendar, Lead, Line, Site, SupplyLink, SupplyNetwork
from risk.propagation import Case, Impact
from risk.reach import Closure, Diversion, comes
from risk.situation import LIKELY, Situation

ALONE = 12
"""Suggestions at most of which it is said what is lost with that one alone."""


class Remedies:
    """What could be done about a `situation` whose likely course is known; `cases` is what to walk for `content`."""

    def __init__(self, situation: Situation, likely: Impact, rule: str, criteria: Sequence[Criterion]) -> None:
        self.situation, self.likely, self.rule, self.criteria = situation, likely, rule, criteria
        self.view, self.network, self.own = situation.view, situation.network, situation.own
        self.link, self.days = situation.link, situation.days
        self.cases: list[Case] = []
        self._answers: list[tuple[dict[str, Any], str]] = []
        """where in the content it says what came of each case"""
        self._content = self._found()

    def content(self, impacts: Sequence[Impact]) -> dict[str, Any]:
        """What the report says, once the cases have been walked.

        `after` is with all of them together, `alone` with that one and nothing else.
        """
        for (where, name), impact in zip(self._answers, impacts, strict=True):
            where[name] = self.situation.lost(impact)
        shown = self._content
        if shown["afterSuppliers"] is None and shown["afterRoutes"] is None and shown["after"] is not None:
            shown["afterSuppliers" if self._has_suppliers else "afterRoutes"] = shown["after"]
        return shown

    def _found(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "after": None, "afterRoutes": None, "afterSuppliers": None, "refused": [], "refusedRoutes": [],
            "routes": [], "rule": self.rule, "suggestions": [],
        }  # fmt: skip
        if not self.likely.stops or not (self.view.alternatives or self.view.routes):
            return shown
        hit = {(one.site, one.part) for one in self.view.hits}
        over = max(one.last for one in self.likely.stops) + timedelta(days=1)
        good, refused = usable(
            self.view.alternatives,
            self.view.qualifications,
            day=self.network.day,
            too_late=over,
            is_hit=lambda supplier, part: not hit.isdisjoint({(supplier, None), (supplier, part)}),
        )
        shares, needs = self._allocation(good)
        given = [(one, shares[_place(one)]) for one in good if _place(one) in shares]
        runs, closed = self._runs(over)
        shown["refused"] = [_refusal(one, reason) for one, reason in refused if one.customer in self.own]
        shown["suggestions"] = self._suggestions([one for one, _ in given if one.customer in self.own], shares, needs)
        shown["weights"] = {one.name: decimal(one.weight) for one in self.criteria}
        shown["routes"] = [self._route(one) for one in runs if self._is_own(one.route)]
        shown["refusedRoutes"] = [
            {"key": one.key, **self._ends(one), "reason": str(reason)} for one, reason in closed if self._is_own(one)
        ]
        if not given and not runs:
            return shown
        self._has_suppliers = bool(given)
        self._ask(shown, "after", given, runs)
        if given and runs:
            self._ask(shown, "afterSuppliers", given, [])
            self._ask(shown, "afterRoutes", [], runs)
        of_one = {_place(one): (one, amount) for one, amount in given}
        of_way = {one.route.key: one for one in runs}
        for entry in [*shown["routes"], *shown["suggestions"]][:ALONE]:
            if "key" in entry:
                self._ask(entry, "alone", [], [of_way[entry["key"]]])
            else:
                self._ask(entry, "alone", [of_one[entry["supplier"], entry["part"], entry["customer"]]], [])
        return shown

    def _ask(
        self,
        where: dict[str, Any],
        name: str,
        given: Sequence[tuple[Alternative, Fraction]],
        runs: Sequence[RouteRun],
    ) -> None:
        """Have walked what the reader still loses with what these alternatives are allocated, and with these routes."""
        network = _with_alternatives(self.network, given) if given else self.network
        closures, diversions = self._elsewhere(given), list[Diversion]()
        if runs:
            network, caps, diversions = _with_routes(network, runs, self.link)
            closures += caps
        self.cases.append(self.situation.case(network, LIKELY, closures, diversions, of=self.own))
        self._answers.append((where, name))

    def _elsewhere(self, given: Sequence[tuple[Alternative, Fraction]]) -> list[Closure]:
        """What is not ordered over links that are closed on their way, because alternatives send it."""
        found = []
        for one in self.situation.closings:
            link = self.link[one.link]
            week = self._week(link)
            amount = sum((a_week for offer, a_week in given if _place(offer)[1:] == (link.part, link.customer)),
                         Fraction(0))  # fmt: skip
            if one.after_days and amount and week:
                back = max(one.back[LIKELY], one.start + timedelta(1))
                left = float(1 - min(amount / week, 1 - one.left))
                found.append(Closure(one.link, ((one.start, left), (back, 1.0)), None))
        return found

    def _week(self, link: SupplyLink) -> Fraction:
        """What `link` brings a week as planned."""
        days = len(self.network.sites[link.customer].calendar.weekdays)
        return used_a_day(self.network, link.customer, link.part) * link.share * days

    def _is_own(self, route: RouteAlternative) -> bool:
        return self.link[route.link].customer in self.own

    def _ends(self, route: RouteAlternative) -> dict[str, Any]:
        link = self.link[route.link]
        return {"customer": link.customer, "part": link.part, "supplier": link.supplier}

    def _runs(self, over: date) -> tuple[list[RouteRun], list[tuple[RouteAlternative, Reason]]]:
        """The departures of each route that helps, and why each other one does not whose customer is short.

        Of two routes for one link the one that departs first is taken.
        """
        short = {one.site for one in self.likely.stops}
        good: list[RouteRun] = []
        refused: list[tuple[RouteAlternative, Reason]] = []
        for route in sorted(self.view.routes, key=lambda one: (one.first_departure, one.lead.days, one.key)):
            if route.link not in self.link or self.link[route.link].customer not in short:
                continue
            found = self._run(route, over)
            if isinstance(found, Reason):
                refused.append((route, found))
            elif route.link not in {one.route.link for one in good}:
                good.append(found)
        return good, refused

    def _run(self, route: RouteAlternative, over: date) -> RouteRun | Reason:
        link, first = self.link[route.link], self.network.day
        last = first + timedelta(days=self.days - 1)
        start = first
        hit = next(
            (one for one in self.situation.hits if one.site == link.supplier and one.part in (None, link.part)), None
        )
        # What still makes something has something to send; else there is nothing to fetch before it is back.
        if hit is None or not hit.left:
            stop = self.likely.of(link.supplier, link.part)
            if stop is not None:
                start = stop.last + timedelta(1) if stop.is_over else date.max
        if route.expires < max(first, route.first_departure):
            return Reason.EXPIRED
        if route.a_week <= 0:
            return Reason.NO_CAPACITY
        if max(start, route.first_departure) > last:
            return Reason.TOO_LATE
        closures = [one for one in self.situation.closures(LIKELY) if one.link == link.key]
        usual = comes(self.network, link, closures, self.days).tolist()

        def is_sooner(sent: date, arrives: date) -> bool:
            return (arrives - first).days < int(usual[(sent - first).days])

        is_open = self.network.sites[link.customer].calendar.is_open
        run = route_run(route, start=start, last=last, is_open=is_open, is_sooner=is_sooner)
        if not run.departures:
            return Reason.NOT_SOONER
        departs, arrives, _ = run.departures[0]
        if any(one.link == route.key and one.start <= departs < one.back[LIKELY] for one in self.view.link_hits):
            return Reason.CLOSED
        if arrives >= over:
            return Reason.TOO_LATE
        return Reason.EXPIRED if route.expires < departs else run

    def _route(self, run: RouteRun) -> dict[str, Any]:
        """A route that the reader may take: how much comes by it when, and what that costs."""
        route, link = run.route, self.link[run.route.link]
        week = self._week(link)
        calendar = self.network.sites[link.supplier].calendar
        amount = sum((_taken(run, number, week, calendar) for number in range(len(run.departures))), Fraction(0))
        said = route.route
        return {
            **self._ends(route),
            "aWeek": decimal(route.a_week),
            "alone": None,
            "amount": decimal(amount),
            "covers": decimal(min(route.a_week / week, Fraction(1)) if week else Fraction(0)),
            "extraCents": round(amount * route.extra_cents),
            "firstArrival": run.departures[0][1].isoformat(),
            "firstDeparture": run.departures[0][0].isoformat(),
            "key": route.key,
            "lastArrival": run.departures[-1][1].isoformat(),
            "loads": len(run.departures),
            "route": None if said is None else {
                "from": said.origin, "lane": said.lane, "modes": [str(one) for one in said.modes],
                "passages": [str(one) for one in said.passages], "to": said.destination,
            },
        }  # fmt: skip

    def _allocation(
        self, good: Sequence[Alternative]
    ) -> tuple[dict[tuple[str, str, str], Fraction], dict[tuple[str, str], Fraction]]:
        """What each alternative gives each customer a week by the rule, and what each customer misses a week."""
        hit: dict[tuple[str, str | None], Fraction] = {}
        for one in self.situation.hits:
            hit[one.site, one.part] = min(one.left, hit.get((one.site, one.part), Fraction(1)))

        def left(link: SupplyLink) -> Fraction:
            places = ((link.supplier, None), (link.supplier, link.part))
            return min((hit[place] for place in places if place in hit), default=Fraction(1))

        through: dict[str, Fraction] = {}
        for closing in self.situation.closings:
            through[closing.link] = min(closing.left, through.get(closing.link, Fraction(1)))
        needs: dict[tuple[str, str], Fraction] = {}
        for part, customer in {(offer.part, offer.customer) for offer in good}:
            missing = sum(
                (
                    link.share * (1 - min(left(link), through.get(link.key, Fraction(1))))
                    for link in self.network.links
                    if (link.part, link.customer) == (part, customer)
                ),
                Fraction(0),
            )
            week = len(self.network.sites[customer].calendar.weekdays)
            needs[part, customer] = used_a_day(self.network, customer, part) * week * missing
        shares: dict[tuple[str, str, str], Fraction] = {}
        for part in sorted({offer.part for offer in good}):
            capacity: dict[str, Fraction] = {}
            for offer in good:
                if offer.part == part:
                    capacity[offer.supplier] = max(offer.a_week, capacity.get(offer.supplier, Fraction(0)))
            asked = {customer: need for (of, customer), need in sorted(needs.items()) if of == part}
            can = [(offer.supplier, offer.customer) for offer in good if offer.part == part]
            given = pro_rata(capacity, asked, can)
            shares |= {(supplier, part, customer): amount for (supplier, customer), amount in given.items()}
        return shares, needs

    def _suggestions(
        self,
        good: Sequence[Alternative],
        shares: Mapping[tuple[str, str, str], Fraction],
        needs: Mapping[tuple[str, str], Fraction],
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for part, customer in sorted({(one.part, one.customer) for one in good}):
            options = [one for one in good if (one.part, one.customer) == (part, customer)]
            covers = [shares[_place(one)] / needs[part, customer] for one in options]
            values = [
                [
                    float(cover),
                    float((one.first_arrival - self.network.day).days),
                    float(one.extra_cents),
                    float(len(one.shared)),
                ]
                for one, cover in zip(options, covers, strict=True)
            ]
            closeness = topsis(values, self.criteria)
            stability = decimal(rank_stability(values, self.criteria))
            ranked = sorted(
                zip(options, covers, closeness, strict=True), key=lambda one: (-round(one[2], 3), one[0].supplier)
            )
            for place, (one, cover, close) in enumerate(ranked, 1):
                amount = shares[_place(one)]
                found.append(
                    {
                        "aWeek": decimal(amount),
                        "alone": None,
                        "closeness": decimal(close),
                        "covers": decimal(cover),
                        "customer": customer,
                        "extraCentsAWeek": round(amount * one.extra_cents),
                        "firstArrival": one.first_arrival.isoformat(),
                        "part": part,
                        "rank": place,
                        "shared": sorted(one.shared),
                        "stability": stability,
                        "supplier": one.supplier,
                    }
                )
        return found


def _place(one: Alternative) -> tuple[str, str, str]:
    return one.supplier, one.part, one.customer


def _refusal(one: Alternative, reason: Reason) -> dict[str, Any]:
    return {"customer": one.customer, "part": one.part, "reason": str(reason), "supplier": one.supplier}


def _with_alternatives(network: SupplyNetwork, given: Sequence[tuple[Alternative, Fraction]]) -> SupplyNetwork:
    """The network in which each alternative sends its allocated amount a week, as a supplier to that customer alone."""
    sites, lines, links = [], [], []
    for one, a_week in given:
        key = f"alternative {one.supplier} for {one.customer}"
        a_day = a_week / 5
        sites.append(Site(key, key))
        lines.append(Line(key, one.part, Fraction(0), a_day))
        # What arrives left a week before, and was made in the week before that.
        lead = Lead(7, sails=frozenset({one.first_arrival.weekday()}))
        since = one.first_arrival - timedelta(days=13)
        links.append(
            SupplyLink(f"{key}: {one.part}", key, one.customer, one.part, Fraction(0), lead, a_day, since=since)
        )
    return network.with_changes(sites=sites, lines=lines, links=links)


def _taken(run: RouteRun, number: int, week: Fraction, calendar: Calendar) -> Fraction:
    """What the departure of that `number` takes of `week` a week: what was handed over since the one before."""
    day, _, share = run.departures[number]
    first = max(start for start, _ in run.steps if start <= day)
    sails, gap = run.route.lead.sails, 1
    while sails is not None and (day - timedelta(gap)).weekday() not in sails:
        gap += 1
    first = max(first, day - timedelta(gap - 1))
    worked = sum(calendar.is_open(first + timedelta(n)) for n in range((day - first).days + 1))
    return min(run.route.a_week * share, week) * worked / len(calendar.weekdays)


def _with_routes(
    network: SupplyNetwork, runs: Sequence[RouteRun], links: Mapping[str, SupplyLink]
) -> tuple[SupplyNetwork, list[Closure], list[Diversion]]:
    """The network in which each route brings what it takes, and what is asked of its link is less by that."""
    ways, caps, diversions = [], [], []
    for run in runs:
        link, route = links[run.route.link], run.route
        a_day = route.a_week / len(network.sites[link.supplier].calendar.weekdays)
        planned = used_a_day(network, link.customer, link.part) * link.share
        key = f"route {route.key}"
        since = run.steps[0][0]
        ways.append(
            SupplyLink(key, link.supplier, link.customer, link.part, Fraction(0), route.lead, a_day, since=since)
        )
        caps.append(Closure(key, tuple((day, float(share)) for day, share in run.steps), None))
        part = a_day / planned if planned else Fraction(0)
        moved = [(day, min(float(share * part), 1.0)) for day, share in run.steps]
        diversions.append(Diversion(link.key, key, tuple(moved)))
    return network.with_changes(links=ways), caps, diversions
