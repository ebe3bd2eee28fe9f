"""The impact report: what a disruption does to one reader, by when, how sure that is, and what can be done. Pure.

Everything comes out of the reader's view, so whoever has the same view gets the same bytes: amounts are decimal
strings rounded to the thousandth, money is whole cents, times are dates, and nothing depends on the order of facts.
A report shows the reader's own lines in full, of sites that it may name when they stop, and of all others only what
their level shows; nobody else's need, price or share of an allocation is in it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
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
from risk.confidence import discounted
from risk.errors import MalformedFact
from risk.hits import ASSUMED_DAYS, CLOSED_DAYS
from risk.network import Calendar, Lead, Line, Site, Stock, SupplyLink, SupplyNetwork
from risk.plans import ContinuityPlan, TriggerKind
from risk.propagation import Closure, Diversion, Impact, Outage, Stop, comes, propagate
from risk.routes import DEFAULT_KNOTS, Mode, NoWay, Passage, UnknownPort, way_round
from risk.sharing import Hit, Level, LinkHit, View, canonical
from risk.survival import plan, time_to_survive

EARLIEST, LIKELY, LATEST = range(3)
PRO_RATA = "pro-rata-to-need"
"""The rule that shares what alternatives have to spare among all who are hit, in proportion to what they miss."""
CRITERIA = (
    Criterion("share of the need covered", 4),
    Criterion("days until the first arrival", 3, more_is_better=False),
    Criterion("extra cents for one", 2, more_is_better=False),
    Criterion("regions, ports and suppliers shared with what is hit", 1, more_is_better=False),
)
"""What alternatives are ranked by, unless the consortium has agreed otherwise; the weights are in every report."""
MAX_FIELDS = 4_000
"""Fields of a report at most, so that it fits a signed statement; a longer one lists the worst and counts the rest."""
ONE_MORE_DAY = 12
"""Places at most of which it is said what one more day of stock would save."""
ALONE = 12
"""Suggestions at most of which it is said what is lost with that one alone."""
ASSUMPTIONS = (
    "A share of a need that nobody has named comes as planned.",
    "What was hit makes nothing, or the stated share, until it is back, and everything from that day on.",
    "Customers order as planned, and are served in proportion when there is too little.",
    "What is lost is counted against the plan: what would run short anyway is in it, and told apart.",
    "An alternative delivers every week from its first arrival on, each time what it made in the week before.",
    "Another route makes nothing: what it takes does not go by the usual one, which takes all again when it ends.",
    "Where a link is closed on its way, goods wait there until it is open again in full.",
    "In the interval all stocks are off by their doubt to one side, and all are back at the earliest or the latest.",
)

_ASSUMED = (
    "Of some that is hit nobody has said when it is back: a site is taken to need {}, {} or {} days, a port, a lane or "
    "a passage {}, {} or {}.".format(*ASSUMED_DAYS, *CLOSED_DAYS),
)


@dataclass(frozen=True)
class Assessment:
    """A report as it is signed: `content` has no floats and one text form."""

    content: Mapping[str, Any]

    @property
    def text(self) -> bytes:
        """The canonical bytes of the content (RFC 8785)."""
        return canonical(self.content)


def assess(
    view: View,
    *,
    rule: str = PRO_RATA,
    criteria: Sequence[Criterion] = CRITERIA,
    days: int = 112,
) -> Assessment:
    """What the hits of `view` do to its reader within `days` days, and what its alternatives make of that.

    Linear programs run only where the reader loses something. Raises MalformedFact for a rule that is none, and where
    exercises and real disruptions come together; RiskError as `propagate` and `plan` do.
    """
    if rule != PRO_RATA:
        raise MalformedFact(f"there is no rule {rule!r}; the one there is is {PRO_RATA!r}")
    if len({one.status for one in view.hits} | {one.status for one in view.link_hits}) > 1:
        raise MalformedFact("what is an exercise and what is not are assessed apart")
    report = _Report(view, criteria, days)
    content = {**report.content(), "omitted": {}}
    most = MAX_FIELDS // 8
    while _fields(content | report.called(content)) > MAX_FIELDS and most:
        content = _cut(content, most)
        most //= 2
    return Assessment({**content, **report.called(content)})


class Urgency(StrEnum):
    """When a reader is told."""

    INTERRUPT = "interrupt"
    DAILY_SUMMARY = "daily-summary"


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which effect on a reader is interrupted: working days at a standstill, or cents of revenue; its own choice.

    Exercises, tests and drafts wait for the summary unless `exercises` says otherwise.
    """

    standstill_days: int = 1
    revenue_cents: int | None = None
    exercises: bool = False

    def urgency(self, assessment: Assessment) -> Urgency:
        """Whether the likely effect reaches the threshold."""
        content = assessment.content
        if content["status"] not in ("Actual", None) and not self.exercises:
            return Urgency.DAILY_SUMMARY
        effect, anyway = content["effect"], content["undisturbed"]
        if anyway is not None and all(
            Fraction(lost) <= Fraction(anyway["lost"].get(part, "0")) for part, lost in effect["lost"].items()
        ):
            return Urgency.DAILY_SUMMARY  # nothing of it is due to what happened
        standstill = max((one["standstillDays"] for one in effect["stops"]), default=0)
        is_costly = self.revenue_cents is not None and (effect["revenueCents"] or 0) >= self.revenue_cents
        is_long = standstill >= self.standstill_days
        return Urgency.INTERRUPT if effect["stops"] and (is_long or is_costly) else Urgency.DAILY_SUMMARY


class _Report:
    """One report on its way: the passes that it needs, and what of them the reader is shown."""

    def __init__(self, view: View, criteria: Sequence[Criterion], days: int) -> None:
        self.view = view
        self.criteria = criteria
        self.days = days
        self.network = view.network
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
        self.likely = self._pass(self.network, LIKELY, own=False)
        self.currencies = self.network.currencies(self.own)
        self.has_price = len(self.currencies) == 1

    def content(self) -> dict[str, Any]:
        view = self.view
        effect = self._effect(self.likely)
        is_hit = bool(effect["stops"])
        happening: list[Hit | LinkHit] = [*self.hits, *self.closings]
        chance = max((one.probability for one in happening), default=Fraction(0))
        band = discounted(chance, view.coverage.share)
        return {
            "alternatives": self._alternatives(),
            "assumptions": [*ASSUMPTIONS, *(_ASSUMED if self._is_assumed() else ()), *self._unsummed()],
            "bestPlan": self._best_plan() if is_hit and self.has_price else None,
            "checkpoint": view.checkpoint,
            "confidence": {
                "coverage": _decimal(view.coverage.share),
                "needs": view.coverage.needs,
                "openRequests": view.coverage.requests,
                "probability": {"least": _decimal(band.least), "most": _decimal(band.most)},
                "stockDoubt": _decimal(
                    max((doubt for (site, _), doubt in view.doubts.items() if site in self.own), default=Fraction(0))
                ),
            },
            "currency": (self.currencies[0] or None) if self.has_price else None,
            "day": self.network.day.isoformat(),
            "days": self.days,
            "effect": effect,
            "interval": {"least": self._bound(EARLIEST, 1), "most": self._bound(LATEST, -1)},
            "oneBucket": self._one_bucket() if is_hit and self.hits else None,
            "oneMoreDay": self._one_more_day(effect["lost"]),
            "plans": [told for one in self.view.plans if (told := self._plan(one)) is not None],
            "origins": self._origins(),
            "reader": view.reader,
            "status": happening[0].status if happening else None,
            "suppliers": self._suppliers(),
            "undisturbed": self._undisturbed() if is_hit else None,
            "view": view.digest,
        }

    def _undisturbed(self) -> dict[str, Any] | None:
        """What of the effect the reader would lose if nothing happened: its stock ends before more can come."""
        anyway = propagate(
            self.network,
            self._outages(LIKELY),
            closures=self._closures(LIKELY),
            days=self.days,
            of=self.own,
            happens=False,
        )
        stops = self._own_stops(anyway)
        if not _amounts(stops):
            return None
        return {
            "first": min(one.first for one in stops).isoformat(),
            "lost": _amounts(stops),
            "revenueCents": sum(one.revenue_cents or 0 for one in stops) if self.has_price else None,
        }

    def _unsummed(self) -> list[str]:
        """That revenue is not told, where the reader's prices have no sum."""
        if len(self.currencies) < 2:
            return []
        named = ", ".join(one or "none" for one in self.currencies)
        return [f"Your prices are in several currencies ({named}), so revenue is not told: state them in one."]

    def called(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What the sites and parts in `content` are called and where they lie, as far as the reader may know that."""
        said = set(_texts(content))
        view = self.view
        return {
            "names": {
                "parts": {one: view.part_names[one] for one in sorted(view.part_names.keys() & said)},
                "sites": {one: view.site_names[one] for one in sorted(view.site_names.keys() & said)},
            },
            "places": {
                one: _where(view.network.sites[one])
                for one in sorted(view.seen.keys() & said)
                if one in view.network.sites and view.seen[one].level is Level.NAMED
            },
        }

    def _is_assumed(self) -> bool:
        """Whether nobody has said of something that is hit when it is back."""
        hits: Iterable[Hit | LinkHit] = (*self.view.hits, *self.view.link_hits)
        return any(one.is_assumed for one in hits)

    def _outages(self, when: int) -> list[Outage]:
        return [
            Outage(
                one.site, ((one.start, float(one.left)), (max(one.back[when], one.start + timedelta(1)), 1.0)), one.part
            )
            for one in self.hits
        ]

    def _closures(self, when: int) -> list[Closure]:
        return [
            Closure(
                one.link,
                ((one.start, float(one.left)), (max(one.back[when], one.start + timedelta(1)), 1.0)),
                one.after_days,
            )
            for one in self.closings
        ]

    def _pass(
        self,
        network: SupplyNetwork,
        when: int,
        closures: Sequence[Closure] = (),
        diversions: Sequence[Diversion] = (),
        *,
        own: bool = True,
    ) -> Impact:
        """What happens then, to the reader's own sites alone unless `own` is said to be False."""
        return propagate(
            network,
            self._outages(when),
            closures=[*self._closures(when), *closures],
            diversions=diversions,
            days=self.days,
            of=self.own if own else None,
        )

    def _own_stops(self, impact: Impact) -> list[Stop]:
        return [one for one in impact.stops if one.site in self.own]

    def _effect(self, impact: Impact) -> dict[str, Any]:
        stops = self._own_stops(impact)
        return {
            "lost": _amounts(stops),
            "revenueCents": sum(one.revenue_cents or 0 for one in stops) if self.has_price else None,
            "stops": [
                {
                    "becauseOf": one.because_of,
                    "byWeek": [{"amount": _decimal(amount), "week": week.isoformat()} for week, amount in one.by_week],
                    "closed": _closed(self.network.sites[one.site].calendar, one.first, one.last),
                    "first": one.first.isoformat(),
                    "isOver": one.is_over,
                    "last": one.last.isoformat(),
                    "part": one.part,
                    "path": self._path(one.path),
                    "revenueCents": one.revenue_cents if self.has_price else None,
                    "shortfall": _decimal(one.shortfall),
                    "site": one.site,
                    "standstillDays": one.standstill_days,
                }
                for one in stops
            ],
        }

    def _label(self, site: str) -> dict[str, Any] | None:
        """What the reader may know of a step of a path; None for one that it must not even count."""
        seen = self.view.seen[site]
        if seen.level is Level.NAMED:
            return {"site": site}
        if seen.level is Level.TIER:
            return {"region": seen.region, "tier": seen.tier}
        return None

    def _path(self, path: Sequence[str]) -> list[dict[str, Any]]:
        """From what was hit to the reader. Steps that are shared below the level `tier` are not counted: only where it
        began is told, as far as it may be.
        """
        labels = [label for label in map(self._label, path) if label is not None]
        first = self._label(path[0])
        if first is None:
            seen = self.view.seen[path[0]]
            labels.insert(0, {"region": seen.region} if seen.level is Level.REGION_AND_CAUSE else {})
        return labels

    def _origins(self) -> list[dict[str, Any]]:
        """What was hit, of all that the reader's own stops lead back to, or that it may know otherwise."""
        begins = {one.path[0] for one in self._own_stops(self.likely)}
        found = []
        for hit in self.hits:
            seen = self.view.seen[hit.site]
            if hit.site not in begins and seen.level is not Level.NAMED:
                continue
            origin = self._label(hit.site) or ({"region": seen.region} if seen.region is not None else {})
            if seen.level.shows(Level.REGION_AND_CAUSE):
                origin |= {"cause": hit.cause, "onset": (hit.onset or hit.start).isoformat()}
                origin["sources"] = [{"areas": list(one.areas), "name": one.name} for one in hit.sources]
            if seen.level is Level.NAMED:
                origin |= {"back": [one.isoformat() for one in hit.back]}
                if hit.part is not None:  # that there are other lines is known, what they make need not be
                    origin["part"] = hit.part if hit.part in self.view.known_parts else None
            found.append(origin)
        found += [told for one in self.closings if (told := self._closing(one, begins)) is not None]
        return [one for _, one in sorted({canonical(one): one for one in found}.items())]

    def _closing(self, one: LinkHit, begins: set[str]) -> dict[str, Any] | None:
        """What the reader may know of a closed link, if its own stops lead back to it or it knows the link anyway."""
        link = self.link[one.link]
        ends = {self.view.seen[link.supplier].level, self.view.seen[link.customer].level}
        is_known = link.level == Level.NAMED and ends == {Level.NAMED}
        if not is_known and link.supplier not in begins:
            return None
        origin: dict[str, Any] = {}
        if one.cause:
            origin |= {"cause": one.cause, "onset": (one.onset or one.start).isoformat()}
            origin["sources"] = [{"areas": list(source.areas), "name": source.name} for source in one.sources]
        if is_known:
            between = {"customer": link.customer, "part": link.part, "supplier": link.supplier}
            origin |= {"back": [day.isoformat() for day in one.back], "closed": list(one.closed), "link": between}
            detour = _detour(link, one.closed)
            if detour is not None:
                origin["detour"] = detour
        return origin

    def _plan(self, plan: ContinuityPlan) -> dict[str, Any] | None:
        """What the plan says that the reader and the others in it do now; None if it is not in force, or not meant."""
        trigger = plan.triggered(self._happening())
        if trigger is None or not plan.is_in_force(self.network.day):
            return None
        last = plan.exercises[-1] if plan.exercises else None
        measures = [
            {"member": one.member, "what": one.what, "withinHours": one.within_hours} for one in plan.measures
        ]  # fmt: skip
        return {
            "exercises": len(plan.exercises),
            "key": plan.key,
            "lastExercise": None if last is None else {"at": last.at.isoformat(), "outcome": last.outcome},
            "name": plan.name,
            "others": [one for one in measures if one["member"] != self.view.reader],
            "trigger": {"kind": str(trigger[0]), "name": trigger[1]},
            "until": plan.until.isoformat(),
            "yours": [one for one in measures if one["member"] == self.view.reader],
        }

    def _happening(self) -> set[tuple[TriggerKind, str]]:
        """What the reader may know of what is hit, in the words of triggers."""
        found: set[tuple[TriggerKind, str]] = set()
        for hit in self.hits:
            site = self.network.sites[hit.site]
            found |= {(TriggerKind.SITE, hit.site), (TriggerKind.REGION, site.region)}
            if site.locode is not None:
                found.add((TriggerKind.PORT, site.locode))
            found |= {
                (TriggerKind.PART, one.part) for one in self.network.lines_at(hit.site) if hit.part in (None, one.part)
            }
        for closing in self.closings:
            found |= {(kind, name) for kind in (TriggerKind.PORT, TriggerKind.LANE) for name in closing.closed}
        return found

    def _suppliers(self) -> list[dict[str, Any]]:
        """When sites that the reader may name stop: days and no amounts."""
        return [
            {
                "first": one.first.isoformat(),
                "isOver": one.is_over,
                "last": one.last.isoformat(),
                "part": one.part,
                "site": one.site,
            }
            for one in self.likely.stops
            if one.site not in self.own
            and self.view.seen[one.site].level is Level.NAMED
            and one.part in self.view.known_parts
        ]

    def _bound(self, when: int, side: int) -> dict[str, Any]:
        """The effect at one end of the interval. Less stock and a longer outage never lose less."""
        network = self.view.kept("more" if side > 0 else "less", lambda: self._with_doubts(side))
        stops = self._own_stops(self._pass(network, when))
        return {
            "first": min((one.first.isoformat() for one in stops), default=None),
            "last": max((one.last.isoformat() for one in stops), default=None),
            "lost": _amounts(stops),
            "revenueCents": sum(one.revenue_cents or 0 for one in stops) if self.has_price else None,
        }

    def _with_doubts(self, side: int) -> SupplyNetwork:
        doubts = self.view.doubts
        places = {(one.site, one.part) for one in self.network.stocks} & doubts.keys()
        return self.network.with_changes(
            stocks=[
                replace(one, amount=one.amount * (1 + side * doubts[place]))
                for place in sorted(places)
                for one in self.network.stocks.of(place)
            ]
        )

    def _one_bucket(self) -> dict[str, Any]:
        """What the classic program says, which knows no lead times: shown beside the answer that does."""
        chain = self.view.kept("upstream", self._upstream)
        sites = [one.site for one in self.hits if one.site in chain.sites and one.part is None]
        lines = [(one.site, one.part) for one in self.hits if one.part is not None]
        survive = time_to_survive(chain, sites, lines=lines)
        recover = max(
            (self._working_days(one) for one in self.hits if one.site in chain.sites),
            default=0,
        )
        return {
            "isSafe": survive >= recover,
            "timeToRecoverDays": recover,
            "timeToSurviveDays": _decimal(survive),
        }

    def _working_days(self, hit: Hit) -> int:
        calendar = self.network.sites[hit.site].calendar
        start = hit.onset or hit.start
        return sum(calendar.is_open(start + timedelta(n)) for n in range((hit.back[LIKELY] - start).days))

    def _upstream(self) -> SupplyNetwork:
        """The reader's own sites and all before them: there its own parts are what leaves the network."""
        found, wave = set(self.own), set(self.own)
        while wave:
            wave = {one.supplier for one in self.network.links if one.customer in wave} - found
            found |= wave
        return SupplyNetwork.of(
            self.network.day,
            [one for one in self.network.sites.values() if one.key in found],
            [one for one in self.network.lines if one.site in found],
            [one for one in self.network.links if one.supplier in found and one.customer in found],
            [one for one in self.network.stocks if one.site in found],
        )

    def _best_plan(self) -> dict[str, Any]:
        """The least that anybody could make of it, and what a day's use of the reader's own stocks is worth there."""
        best = plan(self.network, self._outages(LIKELY), closures=self._closures(LIKELY), days=self.days, of=self.own)
        lost: dict[str, float] = defaultdict(float)
        for (site, part), short in best.lost.items():
            if site in self.own:
                lost[part] += sum(amount for _, amount in short)
        return {
            "lost": {part: _decimal(amount) for part, amount in sorted(lost.items())},
            "stockWorth": [
                {"centsForADay": round(one.cents_per_day_of_use), "part": one.part, "site": one.site}
                for one in best.stock_worth
                if one.site in self.own
            ],
        }

    def _one_more_day(self, lost: Mapping[str, str]) -> list[dict[str, Any]]:
        """What one more day's use of the scarcest part would have saved, at the own sites that it stops, the worst."""
        found = []
        stops = [one for one in self._own_stops(self.likely) if one.because_of]
        stops.sort(key=lambda one: (-(one.revenue_cents or 0), -one.standstill_days, one.site, one.part))
        # Each takes a pass over the network.
        places = list(dict.fromkeys((one.site, one.because_of or "") for one in stops))[:ONE_MORE_DAY]
        for site, part in sorted(places):
            amount = _use(self.network, site, part)
            more = self.network.with_changes(stocks=[*self.network.stocks.of((site, part)), Stock(site, part, amount)])
            with_it = _amounts(self._own_stops(self._pass(more, LIKELY)))
            saves = {made: Fraction(before) - Fraction(with_it.get(made, "0")) for made, before in lost.items()}
            found.append(
                {
                    "amount": _decimal(amount),
                    "part": part,
                    "saves": {made: _decimal(saved) for made, saved in sorted(saves.items()) if saved},
                    "site": site,
                }
            )
        return found

    def _alternatives(self) -> dict[str, Any]:
        """All that the consortium has to spare, shared out once over all who are hit; the reader sees its own part.

        Other routes besides. `after` is with all of them together, `alone` with that one and nothing else.
        """
        shown: dict[str, Any] = {
            "after": None, "afterRoutes": None, "afterSuppliers": None, "refused": [], "refusedRoutes": [],
            "routes": [], "rule": PRO_RATA, "suggestions": [],
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
        shown["weights"] = {one.name: _decimal(one.weight) for one in self.criteria}
        shown["routes"] = [self._route(one) for one in runs if self._is_own(one.route)]
        shown["refusedRoutes"] = [
            {"key": one.key, **self._ends(one), "reason": str(reason)} for one, reason in closed if self._is_own(one)
        ]
        if not given and not runs:
            return shown
        shown["after"] = self._after(given, runs)
        if given and runs:
            shown["afterSuppliers"], shown["afterRoutes"] = self._after(given, []), self._after([], runs)
        else:
            shown["afterSuppliers" if given else "afterRoutes"] = shown["after"]
        # Each takes a pass over the network.
        of_one = {_place(one): (one, amount) for one, amount in given}
        of_way = {one.route.key: one for one in runs}
        for entry in [*shown["routes"], *shown["suggestions"]][:ALONE]:
            if "key" in entry:
                entry["alone"] = self._after([], [of_way[entry["key"]]])
            else:
                entry["alone"] = self._after([of_one[entry["supplier"], entry["part"], entry["customer"]]], [])
        return shown

    def _after(self, given: Sequence[tuple[Alternative, Fraction]], runs: Sequence[RouteRun]) -> dict[str, Any]:
        """What the reader still loses with what these alternatives are allocated, and with these routes."""
        network = _with_alternatives(self.network, given) if given else self.network
        closures, diversions = self._elsewhere(given), list[Diversion]()
        if runs:
            network, caps, diversions = _with_routes(network, runs, self.link)
            closures += caps
        stops = self._own_stops(self._pass(network, LIKELY, closures, diversions))
        return {
            "lost": _amounts(stops),
            "revenueCents": sum(one.revenue_cents or 0 for one in stops) if self.has_price else None,
        }

    def _elsewhere(self, given: Sequence[tuple[Alternative, Fraction]]) -> list[Closure]:
        """What is not ordered over links that are closed on their way, because alternatives send it."""
        found = []
        for one in self.closings:
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
        return _use(self.network, link.customer, link.part) * link.share * days

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
        hit = next((one for one in self.hits if one.site == link.supplier and one.part in (None, link.part)), None)
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
        closures = [one for one in self._closures(LIKELY) if one.link == link.key]
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
            "aWeek": _decimal(route.a_week),
            "alone": None,
            "amount": _decimal(amount),
            "covers": _decimal(min(route.a_week / week, Fraction(1)) if week else Fraction(0)),
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
        for one in self.hits:
            hit[one.site, one.part] = min(one.left, hit.get((one.site, one.part), Fraction(1)))

        def left(link: SupplyLink) -> Fraction:
            places = ((link.supplier, None), (link.supplier, link.part))
            return min((hit[place] for place in places if place in hit), default=Fraction(1))

        through: dict[str, Fraction] = {}
        for closing in self.closings:
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
            needs[part, customer] = _use(self.network, customer, part) * week * missing
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
            stability = _decimal(rank_stability(values, self.criteria))
            ranked = sorted(
                zip(options, covers, closeness, strict=True), key=lambda one: (-round(one[2], 3), one[0].supplier)
            )
            for place, (one, cover, close) in enumerate(ranked, 1):
                amount = shares[_place(one)]
                found.append(
                    {
                        "aWeek": _decimal(amount),
                        "alone": None,
                        "closeness": _decimal(close),
                        "covers": _decimal(cover),
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


_LISTS = (
    ("alternatives", "refused"),
    ("alternatives", "refusedRoutes"),
    ("alternatives", "routes"),
    ("alternatives", "suggestions"),
    ("bestPlan", "stockWorth"),
    ("effect", "stops"),
    ("oneMoreDay",),
    ("origins",),
    ("plans",),
    ("suppliers",),
)
_SUMS = (
    ("alternatives", "after"),
    ("alternatives", "afterRoutes"),
    ("alternatives", "afterSuppliers"),
    ("bestPlan",),
    ("effect",),
    ("interval", "least"),
    ("interval", "most"),
)
"""Where it says of each part what is lost."""


def _cut(content: Mapping[str, Any], most: int) -> dict[str, Any]:
    """The report with at most `most` entries in each list: the stops that cost most, of all else the first.

    `omitted` counts what is left out; sums of money are of all.
    """
    found: dict[str, Any] = json.loads(canonical(content))
    for place in (*_LISTS, *((*one, "lost") for one in _SUMS)):
        holder = found
        for step in place[:-1]:
            holder = holder[step] or {}
        listed = holder.get(place[-1]) or []
        if len(listed) <= most:
            continue
        name = "/".join(place)
        found["omitted"][name] = found["omitted"].get(name, 0) + len(listed) - most
        if isinstance(listed, dict):
            holder[place[-1]] = dict(sorted(listed.items())[:most])
            continue
        kept = list(range(len(listed)))
        if place[-1] == "stops":
            kept.sort(key=lambda at: (-(listed[at]["revenueCents"] or 0), -listed[at]["standstillDays"], at))
        holder[place[-1]] = [listed[at] for at in sorted(kept[:most])]
    for one in found["oneMoreDay"]:
        if len(one["saves"]) > most:
            found["omitted"]["oneMoreDay/saves"] = (
                found["omitted"].get("oneMoreDay/saves", 0) + len(one["saves"]) - most
            )
            one["saves"] = dict(sorted(one["saves"].items())[:most])
    return found


def _fields(value: Any) -> int:
    """Scalars and empty containers, as a signed statement counts them."""
    if isinstance(value, Mapping) and value:
        return sum(map(_fields, value.values()))
    return sum(map(_fields, value)) if isinstance(value, list) and value else 1


def _texts(value: Any) -> Iterator[str]:
    """All texts in `value`, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _where(site: Site) -> dict[str, Any]:
    """Where a site lies, its position in degrees (WGS 84)."""
    degrees = [None if one is None else f"{one:.6f}".rstrip("0").rstrip(".") for one in (site.latitude, site.longitude)]
    return {"latitude": degrees[0], "locode": site.locode, "longitude": degrees[1], "region": site.region}


def _detour(link: SupplyLink, closed: Sequence[str]) -> dict[str, Any] | None:
    """How much longer a ship sails round the closed passages of a link by sea; None if not known, or not at all.

    It is no suggestion: whether anybody may send goods that way is for a qualification to say.
    """
    route = link.route
    if route is None or route.origin is None or route.destination is None or Mode.SEA not in route.modes:
        return None
    shut = [one for one in Passage if one in closed]
    try:
        found = way_round(route.origin, route.destination, shut)
    except UnknownPort:
        return None
    except NoWay:
        return {"extraDays": None, "extraKm": None, "knots": None, "passages": []}
    if found.left == found.usual:
        return None
    return {
        "extraDays": _decimal(round(Fraction(found.extra_days()), 1)),
        "extraKm": round(found.extra_km),
        "knots": _decimal(DEFAULT_KNOTS),
        "passages": [str(one) for one in found.left.passages],
    }


def _place(one: Alternative) -> tuple[str, str, str]:
    return one.supplier, one.part, one.customer


def _refusal(one: Alternative, reason: Reason) -> dict[str, Any]:
    return {"customer": one.customer, "part": one.part, "reason": str(reason), "supplier": one.supplier}


def _use(network: SupplyNetwork, site: str, part: str) -> Fraction:
    """What `site` uses of `part` on a working day, as planned."""
    return sum((one.per_day * one.needs[part] for one in network.lines_at(site) if part in one.needs), Fraction(0))


def _closed(calendar: Calendar, first: date, last: date) -> list[str]:
    """Stretches from `first` to `last` with holidays in them, in which the site would not have worked anyway.

    >>> christmas = Calendar(holidays=frozenset({date(2026, 12, 24), date(2026, 12, 25)}))
    >>> _closed(christmas, date(2026, 12, 8), date(2027, 1, 7))
    ['2026-12-24/2026-12-27']
    """
    found: list[str] = []
    start: date | None = None
    for number in range((last - first).days + 2):
        day = first + timedelta(days=number)
        if day <= last and not calendar.is_open(day):
            start = start or day
        elif start is not None:
            if any(start <= one < day for one in calendar.holidays):
                found.append(f"{start}/{day - timedelta(days=1)}")
            start = None
    return found


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
        planned = _use(network, link.customer, link.part) * link.share
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


def _amounts(stops: Iterable[Stop]) -> dict[str, str]:
    """What is missing of each part in all."""
    found: dict[str, float] = defaultdict(float)
    for one in stops:
        found[one.part] += one.shortfall
    return {part: _decimal(amount) for part, amount in sorted(found.items()) if _decimal(amount) != "0"}


def _decimal(value: Fraction | float) -> str:
    """`value` to the thousandth, half to even, without trailing zeros.

    >>> _decimal(15359.99999997), _decimal(Fraction(2, 3)), _decimal(Fraction(-1, 2))
    ('15360', '0.667', '-0.5')
    """
    thousandths = round(Fraction(value) * 1000)
    sign, (whole, rest) = "-" if thousandths < 0 else "", divmod(abs(thousandths), 1000)
    return f"{sign}{whole}.{rest:03}".rstrip("0").rstrip(".")
