"""What an impact report says, as values that drawings and sentences are made of. It reads the content and nothing else.

What the content leaves out stays unknown: it is None here, never zero.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from api.texts import identifier, plain
from risk.disruption import Circle, Polygon
from risk.errors import RiskError

MAX_NAME = 120


@dataclass(frozen=True, slots=True)
class Step:
    """A site on a path as far as the reader may know it: by name, by tier and region, by region, or not at all."""

    site: str | None = None
    name: str = ""
    tier: int | None = None
    region: str | None = None
    is_own: bool = False

    @property
    def is_named(self) -> bool:
        return self.site is not None

    @property
    def title(self) -> str:
        """What to call it."""
        if self.is_named:
            return self.name
        if self.tier is not None:
            return f"tier {self.tier}, {self.region}" if self.region else f"tier {self.tier}"
        return self.region or "not shown"

    @property
    def note(self) -> str:
        """What is not known of it."""
        if self.is_named:
            return ""
        if self.tier is not None:
            return "" if self.region else "region not stated"
        return "tier not shown" if self.region else "further up the chain"


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
    passages, and `detour` is how much further it is round them.
    """

    step: Step
    cause: str | None
    onset: date | None
    back: tuple[date, date, date] | None
    sources: tuple[Source, ...]
    way: str | None = None
    closed: tuple[str, ...] = ()
    detour: Mapping[str, Any] | None = None


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
    """The content of one report, read."""

    content: Mapping[str, Any]

    @cached_property
    def day(self) -> date:
        """The day from which it looks ahead."""
        return date.fromisoformat(self.content["day"])

    @property
    def horizon(self) -> date:
        """The last day it looks at."""
        return self.day + timedelta(days=int(self.content["days"]) - 1)

    @property
    def status(self) -> str | None:
        """How serious what happened is meant, in CAP's words; None where nothing is known to have happened."""
        found = self.content["status"]
        return None if found is None else plain(found, 20)

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
                    plain(one["cause"], MAX_NAME) if one.get("cause") else None,
                    date.fromisoformat(onset) if onset else None,
                    (back[0], back[1], back[2]) if len(back) == 3 else None,
                    tuple(map(_source, one.get("sources", ()))),
                    None if link is None else self._way(link),
                    tuple(plain(each, MAX_NAME) for each in one.get("closed", ())),
                    one.get("detour"),
                )
            )
        return tuple(found)

    def _way(self, link: Mapping[str, str]) -> str:
        part, supplier, customer = (self.name(link[end]) for end in ("part", "supplier", "customer"))
        return f"{part} from {supplier} to {customer}"

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
        region = label.get("region")
        return Step(tier=label.get("tier"), region=plain(region, 60) if region else None)


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


def listed(names: Iterable[str], most: int = 3) -> str:
    """Names in a sentence.

    >>> listed(["Magdeburg", "Kielce"]), listed(["A", "B", "C", "D", "E"])
    ('Magdeburg and Kielce', 'A, B, C and 2 more')
    """
    found = list(dict.fromkeys(names))
    if len(found) > most:
        return f"{', '.join(found[:most])} and {len(found) - most} more"
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def day_text(day: date, year: int) -> str:
    """A day as people write it; its year where it is not `year`.

    >>> day_text(date(2026, 12, 8), 2026), day_text(date(2027, 1, 7), 2026)
    ('Tue 8 Dec', 'Thu 7 Jan 2027')
    """
    text = f"{_DAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]}"
    return text if day.year == year else f"{text} {day.year}"


def week_text(monday: date) -> str:
    """A week by its ISO number.

    >>> week_text(date(2026, 12, 28))
    'W53'
    """
    return f"W{monday.isocalendar().week}"


def amount_text(amount: Fraction) -> str:
    """An amount with its thousands apart, to the thousandth.

    >>> amount_text(Fraction(15360)), amount_text(Fraction(1, 3)), amount_text(Fraction(-5, 2))
    ('15,360', '0.333', '-2.5')
    """
    thousandths = round(amount * 1000)
    whole, rest = divmod(abs(thousandths), 1000)
    return f"{'-' if thousandths < 0 else ''}{whole:,}" + (f".{rest:03}".rstrip("0") if rest else "")


def rough_amount(amount: Fraction) -> str:
    """An amount as it is said: large ones to the whole.

    >>> rough_amount(Fraction("17829.609")), rough_amount(Fraction("9.6"))
    ('17,830', '9.6')
    """
    return amount_text(Fraction(round(amount)) if abs(amount) >= 100 else amount)


def money_text(cents: int, currency: str = "EUR") -> str:
    """An amount of money as it is said; `exact_money` has the rest.

    >>> [money_text(one) for one in (49_152_000_000, 204_800_000_000, 12_345_600, 99_900, 5)]
    ['EUR 491.5 M', 'EUR 2.05 bn', 'EUR 123,456', 'EUR 999', 'EUR 0.05']
    """
    size, sign = abs(cents), "-" if cents < 0 else ""
    if size >= 100_000_000_000:
        return f"{currency} {sign}{_rounded(size, 1_000_000_000)} bn"
    if size >= 100_000_000:
        return f"{currency} {sign}{_rounded(size, 10_000_000)} M"
    if size >= 10_000 or size % 100 == 0:
        return f"{currency} {sign}{round(Fraction(size, 100)):,}"
    return exact_money(cents, currency)


def exact_money(cents: int, currency: str = "EUR") -> str:
    """All of it.

    >>> exact_money(49_152_000_000)
    'EUR 491,520,000.00'
    """
    whole, rest = divmod(abs(cents), 100)
    return f"{currency} {'-' if cents < 0 else ''}{whole:,}.{rest:02}"


def _rounded(cents: int, unit: int) -> str:
    """`cents` in `unit`s, which are tenths or hundredths of what is said: one decimal of millions, two of billions."""
    whole = round(Fraction(cents, unit))
    places = 2 if unit == 1_000_000_000 else 1
    return f"{whole // 10**places:,}.{whole % 10**places:0{places}}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
