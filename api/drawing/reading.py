"""What an impact report says, as values that drawings and sentences are made of. It reads the content and nothing else.

What the content leaves out stays unknown: it is None here, never zero.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from api.drawing.language import ENGLISH, Language, recognised
from api.texts import identifier, plain
from risk.disruption import Circle, Polygon
from risk.errors import RiskError

MAX_NAME = 120


@dataclass(frozen=True, slots=True)
class Step:
    """A site on a path as far as the reader may know it: by name, by tier and region, by region, or not at all.

    `title` is what to call it, `note` what is not known of it.
    """

    site: str | None = None
    title: str = ""
    tier: int | None = None
    region: str | None = None
    is_own: bool = False
    note: str = ""

    @property
    def is_named(self) -> bool:
        return self.site is not None


@dataclass(frozen=True, slots=True)
class Standstill:
    """`site` makes less of `part` than planned from `first` to `last`; what is not the reader's own has no amounts."""

    site: str
    part: str
    first: date
    last: date
    is_over: bool
    because_of: str | None = None
    days: int | None = None
    shortfall: Fraction | None = None
    revenue_cents: int | None = None
    by_week: tuple[tuple[date, Fraction], ...] = ()
    path: tuple[Step, ...] = ()
    closed: tuple[tuple[date, date], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the site stands still on some day, rather than making less."""
        return self.days != 0


@dataclass(frozen=True, slots=True)
class Source:
    """Who says that it was hit, and where: shapes, and places by their names."""

    name: str
    shapes: tuple[Circle | Polygon, ...]
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """What was hit, as far as the reader may know it; `back`: at the earliest, most likely, at the latest. Of a way
    that is closed `way` says what goes from where to where, `step` is its supplier, `closed` are ports, lanes and
    passages, and `detour` is how much further it is round them. Where not the whole site was hit, `line` is what the
    one that was makes.
    """

    step: Step
    cause: str | None
    onset: date | None
    back: tuple[date, date, date] | None
    sources: tuple[Source, ...]
    way: str | None = None
    closed: tuple[str, ...] = ()
    detour: Mapping[str, Any] | None = None
    line: str | None = None

    @property
    def title(self) -> str:
        """What to call it in a row of its own."""
        return self.way or (f"{self.step.title}: {self.line}" if self.line else self.step.title)


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of the interval; without `first` nothing of the reader's stops."""

    first: date | None
    last: date | None
    lost: Mapping[str, Fraction]
    revenue_cents: int | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a site is, in degrees (WGS 84)."""

    site: str
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Reading:
    """The content of one report, read; what has no name in it is called something in `language`."""

    content: Mapping[str, Any]
    language: Language = field(default=ENGLISH)

    @cached_property
    def day(self) -> date:
        """The day from which it looks ahead."""
        return date.fromisoformat(self.content["day"])

    @property
    def horizon(self) -> date:
        """The last day it looks at."""
        return self.day + timedelta(days=int(self.content["days"]) - 1)

    @property
    def checkpoint(self) -> tuple[str, int, str]:
        """Origin, size and root; a checkpoint that is not written so is its own origin."""
        parts = plain(self.content["checkpoint"], 400).split(" ")
        if len(parts) == 3 and parts[1].isdigit():
            return parts[0], int(parts[1]), parts[2]
        return " ".join(parts), 0, ""

    @property
    def status(self) -> str | None:
        """How serious what happened is meant, in CAP's words; None where nothing is known to have happened."""
        found = self.content["status"]
        return None if found is None else plain(found, 20)

    def day_text(self, day: date) -> str:
        """A day as people write it; its year where it is not that of the report."""
        return self.language.day(day, self.day.year)

    def listed(self, names: Iterable[str], most: int = 3) -> str:
        """Names in a sentence."""
        return self.language.listed(names, most)

    def name(self, key: str) -> str:
        """What people call a site or a part."""
        names = self.content["names"]
        for kind in ("sites", "parts"):
            found = plain(names[kind].get(key, ""), MAX_NAME)
            if found:
                return found
        return plain(identifier(key), MAX_NAME)

    @cached_property
    def own_sites(self) -> frozenset[str]:
        """The reader's own sites, of those that the report names."""
        content = self.content
        found = {one["site"] for one in (*content["effect"]["stops"], *content["oneMoreDay"])}
        said = content["alternatives"]
        return frozenset(found | {one["customer"] for one in (*said["suggestions"], *said["refused"])})

    @cached_property
    def stops(self) -> tuple[Standstill, ...]:
        """The reader's own stops, the first first."""
        found = [
            Standstill(
                site=one["site"],
                part=one["part"],
                first=date.fromisoformat(one["first"]),
                last=date.fromisoformat(one["last"]),
                is_over=one["isOver"],
                because_of=one["becauseOf"],
                days=one["standstillDays"],
                shortfall=Fraction(one["shortfall"]),
                revenue_cents=one["revenueCents"],
                by_week=tuple((date.fromisoformat(each["week"]), Fraction(each["amount"])) for each in one["byWeek"]),
                path=tuple(self._step(each) for each in one["path"]),
                closed=tuple(map(_stretch, one["closed"])),
            )
            for one in self.content["effect"]["stops"]
        ]
        return tuple(sorted(found, key=lambda one: (one.first, -(one.shortfall or 0), one.site, one.part)))

    @cached_property
    def suppliers(self) -> tuple[Standstill, ...]:
        """When sites of others that the reader may name stop, the first first."""
        found = [
            Standstill(
                one["site"],
                one["part"],
                date.fromisoformat(one["first"]),
                date.fromisoformat(one["last"]),
                one["isOver"],
            )
            for one in self.content["suppliers"]
        ]
        return tuple(sorted(found, key=lambda one: (one.first, one.site, one.part)))

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        found = []
        for one in self.content["origins"]:
            back = [date.fromisoformat(each) for each in one.get("back", ())]
            onset, link = one.get("onset"), one.get("link")
            found.append(
                Origin(
                    self._step(one) if link is None else self.step(link["supplier"]),
                    self.language.coded("cause", one["cause"]) if one.get("cause") else None,
                    date.fromisoformat(onset) if onset else None,
                    (back[0], back[1], back[2]) if len(back) == 3 else None,
                    tuple(map(_source, one.get("sources", ()))),
                    None if link is None else self._way(link),
                    tuple(self.language.coded("passage", each) for each in one.get("closed", ())),
                    one.get("detour"),
                    self._line(one),
                )
            )
        return tuple(found)

    def _line(self, origin: Mapping[str, Any]) -> str | None:
        if "part" not in origin:
            return None
        return self.language.text("hit.hiddenLine") if origin["part"] is None else self.name(origin["part"])

    def _way(self, link: Mapping[str, str]) -> str:
        part, supplier, customer = (self.name(link[end]) for end in ("part", "supplier", "customer"))
        return self.language.text("way.of", part=part, supplier=supplier, customer=customer)

    @cached_property
    def least(self) -> Bound:
        return self._bound("least")

    @cached_property
    def most(self) -> Bound:
        return self._bound("most")

    def _bound(self, end: str) -> Bound:
        found = self.content["interval"][end]
        return Bound(
            date.fromisoformat(found["first"]) if found["first"] else None,
            date.fromisoformat(found["last"]) if found["last"] else None,
            {part: Fraction(amount) for part, amount in found["lost"].items()},
            found["revenueCents"],
        )

    @cached_property
    def lost(self) -> dict[str, Fraction]:
        """What is missing of each part in all."""
        return {part: Fraction(amount) for part, amount in self.content["effect"]["lost"].items()}

    @property
    def revenue_cents(self) -> int | None:
        """What of it is revenue; None where no price is known."""
        found: int | None = self.content["effect"]["revenueCents"]
        return found

    @cached_property
    def currencies(self) -> str | None:
        """That the reader's prices are in several currencies, so that they have no sum; None if they are not."""
        for one in self.content["assumptions"]:
            found = recognised("assumption", one)
            if found is not None and found[0] == "assumption.currencies":
                return self.language.known("assumption", one)
        return None

    @cached_property
    def weeks(self) -> dict[str, list[tuple[date, Fraction]]]:
        """What is missing of each part in each week (its Monday), from the first week with a loss to the last."""
        of_part: dict[str, dict[date, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        for stop in self.stops:
            for week, amount in stop.by_week:
                of_part[stop.part][week] += amount
        found = {}
        for part, amounts in sorted(of_part.items(), key=lambda one: (-sum(one[1].values()), one[0])):
            week, end = min(amounts), max(amounts)
            series = []
            while week <= end:
                series.append((week, amounts.get(week, Fraction(0))))
                week += timedelta(days=7)
            found[part] = series
        return found

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """Sites that may be named and whose position is known."""
        return tuple(
            Position(site, float(place["latitude"]), float(place["longitude"]))
            for site, place in sorted(self.content["places"].items())
            if place["latitude"] is not None and place["longitude"] is not None
        )

    @cached_property
    def areas(self) -> tuple[Circle | Polygon, ...]:
        """The shapes that what happened is said to cover."""
        return tuple(dict.fromkeys(shape for one in self.origins for source in one.sources for shape in source.shapes))

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """Where things are that may not be shown by position, in words."""
        steps = [step for stop in self.stops for step in stop.path] + [one.step for one in self.origins]
        return tuple(dict.fromkeys(one.title for one in steps if not one.is_named and one.region))

    def step(self, site: str) -> Step:
        """A site that may be named."""
        return Step(site, self.name(site), is_own=site in self.own_sites)

    def _step(self, label: Mapping[str, Any]) -> Step:
        if label.get("site") is not None:
            return self.step(label["site"])
        region, tier, text = plain(label.get("region") or "", 60), label.get("tier"), self.language.text
        if tier is None:
            note = text("step.tierHidden" if region else "step.further")
            return Step(None, region or text("step.hidden"), region=region or None, note=note)
        if region:
            return Step(None, text("step.tierIn", tier=str(tier), region=region), tier, region)
        return Step(None, text("step.tier", tier=str(tier)), tier, note=text("step.regionUnknown"))


def _stretch(text: str) -> tuple[date, date]:
    first, last = text.split("/")
    return date.fromisoformat(first), date.fromisoformat(last)


def _source(said: Mapping[str, Any]) -> Source:
    shapes, places = [], []
    for one in said["areas"]:
        shape = shape_of(one)
        if shape is None:
            places.append(plain(one, MAX_NAME))
        else:
            shapes.append(shape)
    return Source(plain(said["name"], MAX_NAME), tuple(shapes), tuple(places))


def shape_of(area: str) -> Circle | Polygon | None:
    """A circle (degrees, kilometres) or a polygon as the report writes it; None for anything else.

    >>> shape_of("circle 29.9,121.6 120.5")
    Circle(latitude=29.9, longitude=121.6, radius_km=120.5)
    >>> shape_of("region East Asia")
    """
    kind, *rest = area.split() or [""]
    try:
        points = tuple((float(lat), float(lon)) for lat, lon in (one.split(",") for one in rest if "," in one))
        if kind == "circle" and len(rest) == 2 and len(points) == 1:
            shape: Circle | Polygon = Circle(*points[0], float(rest[1]))
        elif kind == "polygon" and len(points) == len(rest):
            shape = Polygon(points)
        else:
            return None
        shape.check()
    except (ValueError, RiskError):
        return None
    return shape
