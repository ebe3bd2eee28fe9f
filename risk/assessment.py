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

from risk.alternatives import Criterion
from risk.confidence import discounted
from risk.errors import MalformedFact
from risk.hits import ASSUMED_DAYS, CLOSED_DAYS
from risk.mitigation import decimal, used_a_day
from risk.network import Calendar, Site, Stock, SupplyLink, SupplyNetwork
from risk.plans import ContinuityPlan, TriggerKind
from risk.propagation import Impact, propagate_all
from risk.remedies import Remedies
from risk.routes import DEFAULT_KNOTS, Mode, NoWay, Passage, UnknownPort, way_round
from risk.sharing import Hit, Level, LinkHit, View, canonical
from risk.situation import EARLIEST, LATEST, LIKELY, Situation, amounts_of
from risk.survival import plan, time_to_survive

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
    report = _Report(view, rule, criteria, days)
    content = {**report.content(), "omitted": {}}
    most = MAX_FIELDS // 8
    while fields(content | report.called(content)) > MAX_FIELDS and most:
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

    def __init__(self, view: View, rule: str, criteria: Sequence[Criterion], days: int) -> None:
        self.view = view
        self.days = days
        self.situation = Situation(view, days)
        self.network, self.own = self.situation.network, self.situation.own
        case, with_doubts = self.situation.case, self.situation.with_doubts
        everything = case(self.network, LIKELY)
        least = case(with_doubts(1), EARLIEST, of=self.own)
        most = case(with_doubts(-1), LATEST, of=self.own)
        nothing = replace(everything, of=self.own, happens=False)
        self.likely, self.least, self.most, self.anyway = propagate_all([everything, least, most, nothing], days=days)
        self.remedies = Remedies(self.situation, self.likely, rule, criteria)
        self.scarce = self._scarce()
        more = [case(self._with_a_day_more(*place), LIKELY, of=self.own) for place in self.scarce]
        impacts = propagate_all([*more, *self.remedies.cases], days=days)
        self.with_more, self.remedied = impacts[: len(more)], impacts[len(more) :]

    def content(self) -> dict[str, Any]:
        view = self.view
        effect = self._effect(self.likely)
        is_hit = bool(effect["stops"])
        happening: list[Hit | LinkHit] = [*self.situation.hits, *self.situation.closings]
        chance = max((one.probability for one in happening), default=Fraction(0))
        band = discounted(chance, view.coverage.share)
        return {
            "alternatives": self.remedies.content(self.remedied),
            "assumptions": [*ASSUMPTIONS, *(_ASSUMED if self._is_assumed() else ()), *self._unsummed()],
            "bestPlan": self._best_plan() if is_hit and self.situation.has_price else None,
            "checkpoint": view.checkpoint,
            "confidence": {
                "coverage": decimal(view.coverage.share),
                "needs": view.coverage.needs,
                "openRequests": view.coverage.requests,
                "probability": {"least": decimal(band.least), "most": decimal(band.most)},
                "stockDoubt": decimal(
                    max((doubt for (site, _), doubt in view.doubts.items() if site in self.own), default=Fraction(0))
                ),
            },
            "currency": (self.situation.currencies[0] or None) if self.situation.has_price else None,
            "day": self.network.day.isoformat(),
            "days": self.days,
            "effect": effect,
            "interval": {"least": self._bound(self.least), "most": self._bound(self.most)},
            "oneBucket": self._one_bucket() if is_hit and self.situation.hits else None,
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
        stops = self.situation.own_stops(self.anyway)
        if not amounts_of(stops):
            return None
        return {
            "first": min(one.first for one in stops).isoformat(),
            "lost": amounts_of(stops),
            "revenueCents": sum(one.revenue_cents or 0 for one in stops) if self.situation.has_price else None,
        }

    def _unsummed(self) -> list[str]:
        """That revenue is not told, where the reader's prices have no sum."""
        if len(self.situation.currencies) < 2:
            return []
        named = ", ".join(one or "none" for one in self.situation.currencies)
        return [f"Your prices are in several currencies ({named}), so revenue is not told: state them in one."]

    def called(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What the sites and parts in `content` are called and where they lie, as far as the reader may know that."""
        said = set(texts(content))
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

    def _effect(self, impact: Impact) -> dict[str, Any]:
        stops = self.situation.own_stops(impact)
        return {
            "lost": amounts_of(stops),
            "revenueCents": sum(one.revenue_cents or 0 for one in stops) if self.situation.has_price else None,
            "stops": [
                {
                    "becauseOf": one.because_of,
                    "byWeek": [{"amount": decimal(amount), "week": week.isoformat()} for week, amount in one.by_week],
                    "closed": _closed(self.network.sites[one.site].calendar, one.first, one.last),
                    "first": one.first.isoformat(),
                    "isOver": one.is_over,
                    "last": one.last.isoformat(),
                    "part": one.part,
                    "path": self._path(one.path),
                    "revenueCents": one.revenue_cents if self.situation.has_price else None,
                    "shortfall": decimal(one.shortfall),
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
        begins = {one.path[0] for one in self.situation.own_stops(self.likely)}
        found = []
        for hit in self.situation.hits:
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
        found += [told for one in self.situation.closings if (told := self._closing(one, begins)) is not None]
        return [one for _, one in sorted({canonical(one): one for one in found}.items())]

    def _closing(self, one: LinkHit, begins: set[str]) -> dict[str, Any] | None:
        """What the reader may know of a closed link, if its own stops lead back to it or it knows the link anyway."""
        link = self.situation.link[one.link]
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
        for hit in self.situation.hits:
            site = self.network.sites[hit.site]
            found |= {(TriggerKind.SITE, hit.site), (TriggerKind.REGION, site.region)}
            if site.locode is not None:
                found.add((TriggerKind.PORT, site.locode))
            found |= {
                (TriggerKind.PART, one.part) for one in self.network.lines_at(hit.site) if hit.part in (None, one.part)
            }
        for closing in self.situation.closings:
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

    def _bound(self, end: Impact) -> dict[str, Any]:
        """The effect at one end of the interval. Less stock and a longer outage never lose less."""
        stops = self.situation.own_stops(end)
        return {
            "first": min((one.first.isoformat() for one in stops), default=None),
            "last": max((one.last.isoformat() for one in stops), default=None),
            **self.situation.lost(end),
        }

    def _one_bucket(self) -> dict[str, Any]:
        """What the classic program says, which knows no lead times: shown beside the answer that does."""
        chain = self.view.kept("upstream", self._upstream)
        sites = [one.site for one in self.situation.hits if one.site in chain.sites and one.part is None]
        lines = [(one.site, one.part) for one in self.situation.hits if one.part is not None]
        survive = time_to_survive(chain, sites, lines=lines)
        recover = max(
            (self._working_days(one) for one in self.situation.hits if one.site in chain.sites),
            default=0,
        )
        return {
            "isSafe": survive >= recover,
            "timeToRecoverDays": recover,
            "timeToSurviveDays": decimal(survive),
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
        best = plan(
            self.network,
            self.situation.outages(LIKELY),
            closures=self.situation.closures(LIKELY),
            days=self.days,
            of=self.own,
        )
        lost: dict[str, float] = defaultdict(float)
        for (site, part), short in best.lost.items():
            if site in self.own:
                lost[part] += sum(amount for _, amount in short)
        return {
            "lost": {part: decimal(amount) for part, amount in sorted(lost.items())},
            "stockWorth": [
                {"centsForADay": round(one.cents_per_day_of_use), "part": one.part, "site": one.site}
                for one in best.stock_worth
                if one.site in self.own
            ],
        }

    def _scarce(self) -> list[tuple[str, str]]:
        """The parts that are scarcest at the own sites that stop, of the worst of these."""
        stops = [one for one in self.situation.own_stops(self.likely) if one.because_of]
        stops.sort(key=lambda one: (-(one.revenue_cents or 0), -one.standstill_days, one.site, one.part))
        return sorted(list(dict.fromkeys((one.site, one.because_of or "") for one in stops))[:ONE_MORE_DAY])

    def _with_a_day_more(self, site: str, part: str) -> SupplyNetwork:
        more = Stock(site, part, used_a_day(self.network, site, part))
        return self.network.with_changes(stocks=[*self.network.stocks.of((site, part)), more])

    def _one_more_day(self, lost: Mapping[str, str]) -> list[dict[str, Any]]:
        """What one more day's use of the scarcest part would have saved, at the own sites that it stops, the worst."""
        found = []
        for (site, part), impact in zip(self.scarce, self.with_more, strict=True):
            with_it = self.situation.lost(impact)["lost"]
            saves = {made: Fraction(before) - Fraction(with_it.get(made, "0")) for made, before in lost.items()}
            found.append(
                {
                    "amount": decimal(used_a_day(self.network, site, part)),
                    "part": part,
                    "saves": {made: decimal(saved) for made, saved in sorted(saves.items()) if saved},
                    "site": site,
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


def fields(value: Any) -> int:
    """Scalars and empty containers, as a signed statement counts them."""
    if isinstance(value, Mapping) and value:
        return sum(map(fields, value.values()))
    return sum(map(fields, value)) if isinstance(value, list) and value else 1


def texts(value: Any) -> Iterator[str]:
    """All texts in `value`, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


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
        "extraDays": decimal(round(Fraction(found.extra_days()), 1)),
        "extraKm": round(found.extra_km),
        "knots": decimal(DEFAULT_KNOTS),
        "passages": [str(one) for one in found.left.passages],
    }


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
