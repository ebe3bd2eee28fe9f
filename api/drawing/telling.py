"""An impact report told to a person: what page and paper say, in the order in which they say it. Pure.

It reads one report's content and nothing else. Figures keep their exact value beside the form in which they are shown;
what the content leaves unknown is said to be unknown. Keys of the content that nobody has words for are listed as they
stand, so that nothing of a report is silently left out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from typing import Any

from api.drawing import network, timeline, weeks, world
from api.drawing.canvas import Canvas
from api.drawing.reading import (
    Bound,
    Origin,
    Reading,
    Standstill,
    Step,
    amount_text,
    day_text,
    exact_money,
    listed,
    money_text,
    rough_amount,
    week_text,
)
from api.texts import identifier, plain
from risk.disruption import Circle, Polygon
from risk.sharing import canonical

MAX_ROWS = 400
"""Rows of a table that are shown; how many more there are is said."""
_LONG, _SHORT = 14, 10
_DRAWINGS = {"weeks": weeks.draw, "timeline": timeline.draw, "network": network.draw, "map": world.draw}
_NOT_ACTUAL = {
    "Exercise": "Nothing of this has happened: it was reported for practice.",
    "Test": "Nothing of this has happened: it was sent to test the way of messages.",
    "Draft": "Nobody has issued this yet.",
    "System": "This concerns the way of messages itself, nothing in the world.",
}
_MEANT = {"Exercise": "In this exercise, ", "Test": "In this test, ", "Draft": "In this draft, ", "System": "Here, "}
_OMITTED = {
    "alternatives/refused": "alternatives left out",
    "alternatives/refusedRoutes": "ways left out",
    "alternatives/routes": "other ways",
    "alternatives/suggestions": "suggestions",
    "bestPlan/stockWorth": "values of stocks",
    "effect/stops": "stops of yours",
    "effect/lost": "parts that are lost",
    "oneMoreDay": "values of one more day",
    "origins": "places that were hit",
    "plans": "plans",
    "suppliers": "stops of suppliers",
}
_RULES = {
    "pro-rata-to-need": (
        "What alternatives have to spare is promised once: all who are hit share it in proportion to what they miss"
    )
}
_ALONE = (("other suppliers", "afterSuppliers"), ("other ways", "afterRoutes"))
_SCORES = (
    "Shared risks: regions, ports and suppliers that it shares with what is hit. Score: how close it comes to the best "
    "in all criteria, from 0 to 1 (TOPSIS)."
)
_WEIGHTINGS = " of the slightly different weightings that were tried."
_SAME_BYTES = (
    "Whoever has your view of the network at this checkpoint gets the same bytes. The report is a statement like any "
    "other: signed by the service, in the log, anchored."
)
_TOLD = frozenset(
    {"alternatives", "assumptions", "bestPlan", "checkpoint", "confidence", "currency", "day", "days", "effect",
     "interval", "names", "omitted", "oneBucket", "oneMoreDay", "origins", "places", "plans", "reader", "status",
     "suppliers", "to", "undisturbed", "view"}
)  # fmt: skip
_TOLD_OF = {
    "alternatives": frozenset(
        {
            "after",
            "afterRoutes",
            "afterSuppliers",
            "refused",
            "refusedRoutes",
            "routes",
            "rule",
            "suggestions",
            "weights",
        }
    ),
    "confidence": frozenset({"coverage", "needs", "openRequests", "probability", "stockDoubt"}),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, an amount of money or a day as it is shown, with its exact value; `hint` is the long form of it."""

    shown: str
    value: str
    hint: str = ""
    is_day: bool = False


Words = tuple[str | Figure, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A paragraph; `tone` is good, fair, bad, quiet or nothing."""

    words: Words
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Terms and what is said of them."""

    pairs: tuple[tuple[str, Words], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; columns `numbers` are set to the right. A closed one is there for who opens it."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    numbers: frozenset[int] = frozenset()
    is_closed: bool = False
    more: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """One thing after the other."""

    items: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing, and in words what it shows."""

    name: str
    alt: str


@dataclass(frozen=True, slots=True)
class Commands:
    """What to type."""

    lines: tuple[str, ...]


Block = Sentence | Facts | Table | Listing | Picture | Commands


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under its title."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the few numbers that matter most."""

    label: str
    figure: Words
    note: Words = ()
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Banner:
    """What must be known before anything else."""

    name: str
    text: str


@dataclass(frozen=True)
class Telling:
    """A report of `content` for `reader` (a name). `digest` is the id of its statement, None for one that has none.
    `members` are names of members by their ids, as all members may read them.
    """

    content: Mapping[str, Any]
    reader: str = ""
    digest: str | None = None
    is_demo: bool = False
    members: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def reading(self) -> Reading:
        return Reading(self.content)

    def drawing(self, name: str, width: float) -> Canvas | None:
        """The drawing that a `Picture` names, `width` wide; None where there is nothing to draw."""
        return _DRAWINGS[name](self.reading, width)

    @property
    def title(self) -> str:
        """What the report is called."""
        return f"Impact report, {self._day(self.reading.day).shown} {self.reading.day.year}"

    @property
    def banners(self) -> tuple[Banner, ...]:
        """Exercises and the like say so first; a demo too."""
        found = []
        if self.is_demo:
            found.append(Banner("DEMO", "fictional members and goods; nothing here is evidence of anything"))
        status = self.reading.status
        if status not in (None, "Actual"):
            found.append(Banner(str(status).upper(), _NOT_ACTUAL.get(str(status), "This is not meant as actual.")))
        return tuple(found)

    @property
    def headline(self) -> Words:
        """All of it in one sentence."""
        reading = self.reading
        meant = _MEANT.get(reading.status or "Actual", "")
        if not reading.stops:
            if reading.status is None:
                return ("Nothing that is known to have happened touches you.",)
            nothing = f"{meant}nothing of yours runs short within the {self.content['days']} days looked at."
            return (nothing[0].upper() + nothing[1:],)
        sites = list(dict.fromkeys(one.site for one in reading.stops))
        names = listed([reading.name(one) for one in sites])
        are_many = len(sites) > 1
        said = f"{meant}your plant{'s' if are_many else ''} {names} "
        verb = "stop" if any(one.is_whole for one in reading.stops) else "make less"
        said += verb if are_many else verb.replace("stop", "stops").replace("make", "makes")
        first, last = min(one.first for one in reading.stops), max(one.last for one in reading.stops)
        words: list[str | Figure] = [said[0].upper() + said[1:]]
        begins = {one.first for one in reading.stops}
        words += [" on " if len(begins) == 1 else ", the first of them on ", self._day(first)]
        if all(one.is_over for one in reading.stops):
            words += [" until " if len(begins) == 1 else ", the last until ", self._day(last)]
        else:
            words += [
                f", and are not all back within {self.content['days']} days"
                if are_many
                else f", and is not back within {self.content['days']} days"
            ]
        lost = self._losses(reading.lost, reading.revenue_cents, most=2)
        return (*words, *((": ", *lost) if lost else ()), ".")

    @property
    def asides(self) -> tuple[Words, ...]:
        """What the headline needs beside it."""
        reading = self.reading
        found: list[Words] = []
        bucket = self.content["oneBucket"]
        if reading.stops and bucket is not None and bucket["isSafe"]:
            found.append(("The one-bucket calculation, which knows no lead times, would call this safe.",))
        anyway = self.content.get("undisturbed")
        if anyway is not None:
            said = self._left(anyway, " would be lost from ")
            first = self._day(date.fromisoformat(anyway["first"]))
            why = " on if nothing happened: stock ends before more can come. State what is on its way."
            found.append(("Of this ", *said, first, why))
        if reading.stops and reading.revenue_cents is None:
            found.append(("No price of what you make is known here, so what it costs is not known either.",))
        omitted = {name: count for name, count in self.content["omitted"].items() if count}
        if omitted:
            told = [f"{count} {_OMITTED.get(name, plain(name, 80))}" for name, count in omitted.items()]
            found.append((f"The report lists what is worst. Not listed: {listed(told, 9)}. Sums of money are of all.",))
        if not reading.stops and Fraction(self.content["confidence"]["coverage"]) < 1:
            found.append(("That holds for what is known: parts of your supply are not known or not shown to you.",))
        return tuple(found)

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """First day, length, loss, revenue."""
        reading = self.reading
        if not reading.stops:
            return ()
        first = min(one.first for one in reading.stops)
        days = max(one.days or 0 for one in reading.stops)
        bounds = [one.first for one in (reading.least, reading.most) if one.first is not None]
        span: Words = (self._day(min(bounds)), " to ", self._day(max(bounds))) if len(set(bounds)) > 1 else ()
        lost = list(reading.lost.items())
        tiles = [
            Tile("First day", (self._day(first),), span, is_bad=True),
            Tile("At a standstill", (self._number(Fraction(days)),), ("working days at most",)),
        ]
        if lost:
            part, amount = max(lost, key=lambda one: (one[1], one[0]))
            less, more = (one.lost.get(part, Fraction(0)) for one in (reading.least, reading.most))
            note: Words = (self._number(less), " to ", self._number(more))
            others = f", and of {len(lost) - 1} more" if len(lost) > 1 else ""
            name = _several(reading.name(part), Fraction(2)).removeprefix("× ")
            tiles.append(Tile(f"Lost: {name}{others}", (self._number(amount),), note))
        if reading.revenue_cents is None:
            tiles.append(Tile("Revenue lost", ("not known",), ("no price is known here",)))
        else:
            ends = [one.revenue_cents for one in (reading.least, reading.most) if one.revenue_cents is not None]
            between: Words = (self._money(ends[0]), " to ", self._money(ends[1])) if len(ends) == 2 else ()
            tiles.append(Tile("Revenue lost", (self._money(reading.revenue_cents),), between))
        return tuple(tiles)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The report in the order in which it is read."""
        made = [
            ("confidence", "How sure this is", self._confidence()),
            ("weeks", "What is lost, week by week", self._weeks()),
            ("timeline", "When what stops", self._timeline()),
            ("network", "How it reaches you", self._network()),
            ("map", "Where", self._map()),
            ("alternatives", "What could stand in", self._alternatives()),
            ("agreed", "What was agreed for this", self._plans()),
            ("day", "What one more day of stock is worth", self._one_more_day()),
            ("plan", "The best that could be made of it", self._best_plan()),
            ("bucket", "One bucket and over time, side by side", self._one_bucket()),
            ("more", "Also in this report", self._leftover()),
            ("assumptions", "Assumptions", self._assumptions()),
            ("sources", "Sources", self._sources()),
            ("check", "Recompute and verify", self._check()),
        ]
        return tuple(Section(name, title, tuple(blocks)) for name, title, blocks in made if blocks)

    # Parts, in the order of the sections.

    def _confidence(self) -> list[Block]:
        said, reading = self.content["confidence"], self.reading
        least, most = (Fraction(said["probability"][end]) for end in ("least", "most"))
        chance: Words = (_percent(least),) if least == most else ("between ", _percent(least), " and ", _percent(most))
        pairs: list[tuple[str, Words]] = []
        if reading.status is not None:
            pairs.append(("That it happens", (*chance, ", by its sources and by how much of your supply is known")))
        elif most:
            pairs.append(("That something does all the same", (*chance, ", as not all of your supply is known")))
        if reading.stops or reading.most.first is not None:
            pairs.append(("At best", self._bound(reading.least)))
            pairs.append(("At worst", self._bound(reading.most)))
        needs = int(said["needs"])
        if needs:
            counted: Words = (self._number(Fraction(needs)), " needs" if needs > 1 else " need")
            what: list[str | Figure] = [" of what you and those before you need is known by its source ("]
            what += [*counted, " that may be counted)"]
            if Fraction(said["coverage"]) < 1:
                what.append(". The rest, withheld or never stated, is not in these figures.")
            pairs.append(("How much is known", (_percent(Fraction(said["coverage"])), *what)))
        else:
            pairs.append(
                ("How much is known", ("No need of yours is known, so nothing can be said of where it comes from.",))
            )
        open_requests = int(said["openRequests"])
        asked: Words = ("none of your questions to suppliers is open",)
        if open_requests:
            asked = (
                self._number(Fraction(open_requests)),
                " of your questions to suppliers are not yet answered"
                if open_requests > 1
                else " of your questions to a supplier is not yet answered",
            )
        pairs.append(("Open requests", asked))
        doubt = Fraction(said["stockDoubt"])
        aged: Words = ("your stock figures are as fresh as agreed",)
        if doubt:
            aged = (
                "your stock figures may be off by ",
                _percent(doubt),
                ", as some are older than agreed; the range allows for that",
            )
        pairs.append(("Age of facts", aged))
        pairs += self._rest("confidence", said)
        return [Facts(tuple(pairs)), *self._by_part()]

    def _by_part(self) -> list[Block]:
        """What is lost of each part by every way of counting, where sentences would not name them all."""
        reading = self.reading
        plan, after = self.content["bestPlan"], self.content["alternatives"]["after"]
        ways: list[tuple[str, Mapping[str, Fraction]]] = [
            ("Likely", reading.lost),
            ("At best", reading.least.lost),
            ("At worst", reading.most.lost),
        ]
        for name, said in (
            ("With what could stand in", after),
            ("With other suppliers", self.content["alternatives"]["afterSuppliers"]),
            ("By other ways", self.content["alternatives"]["afterRoutes"]),
            ("Best plan", plan),
        ):
            if said is not None:
                ways.append((name, {part: Fraction(amount) for part, amount in said["lost"].items()}))
        parts = sorted({part for _, lost in ways for part in lost})
        if len(parts) < 2:
            return []
        rows: list[tuple[Words, ...]] = [
            ((reading.name(part),), *((self._number(lost.get(part, Fraction(0))),) for _, lost in ways))
            for part in parts
        ]
        head = ("Part", *(name for name, _ in ways))
        return [_table("What is lost of each part", head, rows, range(1, len(head)), is_closed=True)]

    def _bound(self, bound: Bound) -> Words:
        if bound.first is None or bound.last is None:
            return ("nothing of yours stops",)
        return (
            self._day(bound.first),
            " to ",
            self._day(bound.last),
            ": ",
            *(self._losses(bound.lost, bound.revenue_cents) or ("nothing that counts is lost",)),
        )

    def _weeks(self) -> list[Block]:
        reading = self.reading
        if not reading.weeks:
            return []
        parts = list(reading.weeks)
        mondays = sorted({week for series in reading.weeks.values() for week, _ in series})
        amounts = {(part, week): amount for part, series in reading.weeks.items() for week, amount in series}
        alt = "; ".join(
            f"{reading.name(part)}: " + ", ".join(f"{week_text(week)} {amount_text(amount)}" for week, amount in series)
            for part, series in list(reading.weeks.items())[: weeks.MAX_PARTS]
        )
        rows: list[tuple[Words, ...]] = [
            (
                (week_text(week),),
                (self._day(week),),
                *((self._number(amounts.get((part, week), Fraction(0))),) for part in parts),
            )
            for week in mondays
        ]
        rows.append((("in all",), ("",), *((self._number(reading.lost.get(part, Fraction(0))),) for part in parts)))
        names = [reading.name(part) for part in parts]
        blocks: list[Block] = [Picture("weeks", f"Bars of what is lost by week. {alt}")]
        if len(parts) > weeks.MAX_PARTS:
            blocks.append(
                Sentence((f"Drawn are the {weeks.MAX_PARTS} of {len(parts)} parts of which most is lost.",), "quiet")
            )
        if len(names) <= 6:
            blocks.append(
                _table("By week, in numbers", ("Week", "From", *names), rows, range(2, 2 + len(parts)), is_closed=True)
            )
        else:
            rows = [
                ((week_text(week),), (self._day(week),), (reading.name(part),), (self._number(amounts[part, week]),))
                for part in parts
                for week in mondays
                if amounts.get((part, week))
            ]
            blocks.append(_table("By week, in numbers", ("Week", "From", "Part", "Lost"), rows, [3], is_closed=True))
        if len(reading.stops) > 1:
            rows = [
                ((reading.name(one.site),), (reading.name(one.part),), (week_text(week),), (self._number(amount),))
                for one in reading.stops
                for week, amount in one.by_week
            ]
            blocks.append(_table("By plant and week", ("Plant", "Part", "Week", "Lost"), rows, [3], is_closed=True))
        return blocks

    def _timeline(self) -> list[Block]:
        reading = self.reading
        if not reading.stops and not reading.suppliers:
            return [Sentence(("Nothing of yours stops, and nothing that you may know of by name does.",))]
        first = [f"{reading.name(one.site)} from {self._day(one.first).shown}" for one in reading.stops[:12]]
        blocks: list[Block] = [Picture("timeline", f"A calendar of stops: {listed(first, 12) or 'suppliers only'}.")]
        if reading.stops:
            has_money = any(one.revenue_cents is not None for one in reading.stops)
            head = (
                "Plant",
                "Makes",
                "Stops",
                "Until",
                "Working days",
                "Lost",
                *(["Revenue"] if has_money else []),
                "Waits for",
            )
            numbers = [4, 5, 6] if has_money else [4, 5]
            rows = [self._stop(one, has_money=has_money) for one in reading.stops]
            blocks.append(_table("Yours", head, rows, numbers))
            blocks += self._closed()
        if reading.suppliers:
            rows = [
                ((reading.name(one.site),), (reading.name(one.part),), (self._day(one.first),), self._until(one))
                for one in reading.suppliers
            ]
            blocks.append(_table("Suppliers that you may name", ("Site", "Makes", "Stops", "Until"), rows))
        return blocks

    def _stop(self, one: Standstill, *, has_money: bool) -> tuple[Words, ...]:
        reading = self.reading
        row: list[Words] = [
            (reading.name(one.site),),
            (reading.name(one.part),),
            (self._day(one.first),),
            self._until(one),
            (self._number(Fraction(one.days or 0)),),
            (self._number(one.shortfall or Fraction(0)),),
        ]
        if has_money:
            row.append(("not known",) if one.revenue_cents is None else (self._money(one.revenue_cents),))
        row.append((reading.name(one.because_of),) if one.because_of is not None else ("hit itself",))
        return tuple(row)

    def _closed(self) -> list[Block]:
        """Days on which plants would not have worked anyway."""
        plants: dict[tuple[date, date], list[str]] = {}
        for one in self.reading.stops:
            for stretch in one.closed:
                plants.setdefault(stretch, []).append(self.reading.name(one.site))
        words: list[str | Figure] = []
        for (first, last), names in plants.items():
            words += ["; " if words else "", f"{listed(names, 4)} ", self._day(first)]
            words += [" to ", self._day(last)] if first != last else []
        return [Sentence(("Closed anyway, and not counted: ", *words, "."), "quiet")] if words else []

    def _until(self, one: Standstill) -> Words:
        if one.is_over:
            return (self._day(one.last),)
        return (self._day(one.last), ", the last day looked at: not back by then")

    def _network(self) -> list[Block]:
        reading = self.reading
        blocks: list[Block] = []
        paths: dict[tuple[Step, ...], None] = dict.fromkeys(one.path for one in reading.stops)
        if paths:
            told = [" → ".join(step.title for step in path) for path in paths]
            blocks.append(Picture("network", f"The network from what was hit to you: {listed(told, 4)}."))
        blocks += [Sentence(self._origin(one)) for one in reading.origins]
        masked = [step for path in paths for step in path if not step.is_named]
        if any(step.tier is None for step in masked):
            blocks.append(
                Sentence(("A dotted line may stand for several steps, which are not shown to you.",), "quiet")
            )
        scarce = list(
            dict.fromkeys(reading.name(one.because_of) for one in reading.stops if one.because_of is not None)
        )
        if scarce:
            blocks.append(Sentence((f"The bottleneck: {listed(scarce, 6)}, which runs out first.",)))
        if paths:
            rows = []
            for path in paths:
                stops = [one for one in reading.stops if one.path == path]
                rows.append(
                    (
                        (" → ".join(step.title + (f" ({step.note})" if step.note else "") for step in path),),
                        (listed([reading.name(one.part) for one in stops], 6),),
                    )
                )
            blocks.append(_table("Paths", ("From what was hit to you", "Stops"), rows, is_closed=True))
        return blocks

    def _origin(self, one: Origin) -> Words:
        what = one.cause[0].upper() + one.cause[1:] if one.cause else "What was hit"
        where = one.step.title if one.step.is_named or one.step.region or one.step.tier is not None else ""
        words: list[str | Figure] = [f"{what}: {where}" if where else f"{what}: where is not shown to you"]
        if one.way is not None:
            words = [f"{what}: the way of {one.way}"]
        if one.onset is not None:
            words += [", from ", self._day(one.onset)]
        if one.back is None:
            words.append("; when it is back is not shown to you")
        else:
            early, likely, late = one.back
            words += [", back ", self._day(likely), " (between ", self._day(early), " and ", self._day(late), ")"]
        if one.closed:
            words.append(f"; closed: {listed(one.closed, 9)}")
        words.append(".")
        return (*words, *self._detour(one.detour))

    def _detour(self, said: Mapping[str, Any] | None) -> Words:
        """How much further a ship sails round what is closed."""
        if said is None:
            return ()
        if said["extraKm"] is None:
            return (" There is no way round it by sea.",)
        through = f" through {listed([plain(each, 40) for each in said['passages']], 9)}" if said["passages"] else ""
        return (
            " Round it by sea it is ",
            self._number(Fraction(said["extraKm"])),
            f" km further{through}: ",
            self._number(Fraction(said["extraDays"])),
            " days at ",
            self._number(Fraction(said["knots"])),
            " knots. That is no suggestion: nobody has qualified it.",
        )

    def _map(self) -> list[Block]:
        reading = self.reading
        blocks: list[Block] = []
        names = [reading.name(one.site) for one in reading.positions]
        if names or reading.areas:
            shapes = " and what the disruption covers" if reading.areas else ""
            what = listed(names, 12) or "the area"
            blocks.append(Picture("map", f"A map of {what}{shapes}."))
        else:
            blocks.append(Sentence(("No position that you may know is known, so there is no map.",), "quiet"))
        without = sorted(
            {reading.name(site) for site in self._sites()} - {reading.name(one.site) for one in reading.positions}
        )
        pairs: list[tuple[str, Words]] = []
        if reading.regions:
            pairs.append(("By region only", ("; ".join(reading.regions),)))
        if without and names:
            pairs.append(("Position not known", (listed(without, 8),)))
        places = list(dict.fromkeys(place for one in reading.origins for each in one.sources for place in each.places))
        if places:
            pairs.append(("Named by the sources", (listed(places, 8),)))
        if not reading.stops and not reading.origins and not names:
            return []
        if pairs:
            blocks.append(Facts(tuple(pairs)))
        rows = [
            (
                (reading.name(site),),
                (plain(place["region"] or "", 120) or "not stated",),
                (plain(place["locode"] or "", 20) or "not stated",),
                ("not stated",) if place["latitude"] is None else (f"{place['latitude']}, {place['longitude']}",),
            )
            for site, place in self.content["places"].items()
        ]
        if rows:
            blocks.append(
                _table(
                    "Places, in numbers", ("Site", "Region", "UN/LOCODE", "Latitude, longitude"), rows, is_closed=True
                )
            )
        return blocks

    def _sites(self) -> set[str]:
        """All that the report names."""
        reading = self.reading
        sites = {one.site for one in (*reading.stops, *reading.suppliers)}
        sites |= {step.site for one in reading.stops for step in one.path if step.site is not None}
        return sites | {one.step.site for one in reading.origins if one.step.site is not None}

    def _alternatives(self) -> list[Block]:
        said, reading = self.content["alternatives"], self.reading
        blocks: list[Block] = []
        if said["after"] is not None and reading.stops:
            now = self._losses(reading.lost, reading.revenue_cents)
            left = self._left(said["after"])
            blocks.append(
                Sentence(("With all that the consortium has to offer: ", *left, ", instead of ", *now, "."), "good")
            )
            if said["afterSuppliers"] is not None and said["afterRoutes"] is not None:
                alone = [(name, said[key]) for name, key in _ALONE]
                words = [one for name, after in alone for one in (f"With {name} alone: ", *self._left(after), ". ")]
                blocks.append(Sentence(tuple(words)))
        rule = plain(said["rule"], 60)
        if said["suggestions"] or reading.stops:
            blocks.append(
                Sentence((f"{_RULES.get(rule, 'Shared by the rule that the consortium signed')} (rule {rule}).",))
            )
        blocks += self._suggestions(said)
        blocks += self._routes(said["routes"])
        refused: list[tuple[Words, ...]] = [
            ((reading.name(one["supplier"]),), (self._for(one),), (plain(one["reason"], 200),))
            for one in said["refused"]
        ]
        refused += [
            ((Figure(f"another way from {reading.name(one['supplier'])}", plain(one["key"], 400)),), (self._for(one),),
             (plain(one["reason"], 200),))
            for one in said["refusedRoutes"]
        ]  # fmt: skip
        if refused:
            blocks.append(_table("Looked at and left out", ("What", "For", "Because"), refused))
        rest = self._rest("alternatives", said)
        return [*blocks, Facts(tuple(rest))] if rest else blocks

    def _suggestions(self, said: Mapping[str, Any]) -> list[Block]:
        weights: Words = ()
        for name, weight in sorted((said.get("weights") or {}).items(), key=lambda one: (-Fraction(one[1]), one[0])):
            weights += (
                "; " if weights else "Ranked by: ",
                f"{plain(name, 200)} (",
                self._number(Fraction(weight)),
                ")",
            )
        if not said["suggestions"]:
            nothing = "No pre-qualified supplier for parts of yours has anything to spare."
            if said["after"] is not None and not said["routes"]:
                nothing = "What stands in does so further up: nothing of it comes to your own plants."
            told = Sentence((nothing if self.reading.stops else "None is needed or known for parts of yours.",))
            return [told, Sentence(weights, "quiet")] if weights else [told]
        targets = list(dict.fromkeys(self._for(one) for one in said["suggestions"]))
        is_one = len(targets) == 1
        head: tuple[str, ...] = (
            "Rank",
            "Supplier",
            "For",
            "Covers",
            "From",
            "Costs more a week",
            "Shared risks",
            "Alone still lost",
            "Score",
        )
        rows = [self._suggestion(one) for one in said["suggestions"]]
        if is_one:
            head, rows = (*head[:2], *head[3:]), [(*row[:2], *row[3:]) for row in rows]
        words: list[str | Figure] = []
        for one in said["suggestions"]:
            if one["rank"] == 1:
                stays = _percent(Fraction(one["stability"]))
                words += [f" For {self._for(one)} the first stays the first in ", stays, _WEIGHTINGS]
        title = f"Suggestions for {targets[0]}" if is_one else "Suggestions for your plants"
        table = _table(
            title, head, rows, [at for at, name in enumerate(head) if name in ("Costs more a week", "Score")]
        )
        return [table, Sentence((*weights, ". ", _SCORES, *words), "quiet")]

    def _suggestion(self, one: Mapping[str, Any]) -> tuple[Words, ...]:
        return (
            (str(one["rank"]),),
            (self.reading.name(one["supplier"]),),
            (self._for(one),),
            (_percent(Fraction(one["covers"])), ": ", self._number(Fraction(one["aWeek"])), " a week"),
            (self._day(date.fromisoformat(one["firstArrival"])),),
            (self._money(one["extraCentsAWeek"]),),
            ("; ".join(plain(each, 120) for each in one["shared"]) or "nothing",),
            self._left(one["alone"], ""),
            (self._number(Fraction(one["closeness"])),),
        )

    def _routes(self, routes: Sequence[Mapping[str, Any]]) -> list[Block]:
        """Other ways for what usually comes by another."""
        rows = [
            (
                (f"{self._for(one)}: ", _way(one)),
                (
                    "leaves ", self._day(date.fromisoformat(one["firstDeparture"])),
                    ", there ", self._day(date.fromisoformat(one["firstArrival"])),
                    ", last there ", self._day(date.fromisoformat(one["lastArrival"])),
                ),
                (
                    self._number(Fraction(one["amount"])), " in all, in ", self._number(Fraction(one["loads"])),
                    " loads; at most ", self._number(Fraction(one["aWeek"])), " a week, ",
                    _percent(Fraction(one["covers"])), " of the need",
                ),
                (self._money(one["extraCents"]),),
                self._left(one["alone"], ""),
            )
            for one in routes
        ]  # fmt: skip
        head = ("Way", "When", "Brings", "Costs more in all", "Alone still lost")
        return [_table("Other ways to you", head, rows, [3])] if rows else []

    def _left(self, after: Mapping[str, Any] | None, verb: str = " are still lost") -> Words:
        """What is lost all the same."""
        if after is None:
            return ("not worked out",)
        lost = {part: Fraction(amount) for part, amount in after["lost"].items()}
        return (*self._losses(lost, after["revenueCents"]), verb) if any(lost.values()) else ("nothing is lost",)

    def _for(self, one: Mapping[str, Any]) -> str:
        return f"{self.reading.name(one['part'])} at {self.reading.name(one['customer'])}"

    def _plans(self) -> list[Block]:
        """What has been agreed to do when this happens."""
        blocks: list[Block] = []
        for one in self.content.get("plans") or ():
            trigger = one["trigger"]
            name = self.reading.name(trigger["name"])
            words: list[str | Figure] = [
                f"{plain(one['name'], 200)}, for the {plain(trigger['kind'], 40)} {name}, until "
            ]
            words += [self._day(date.fromisoformat(one["until"])), ". "]
            last = one["lastExercise"]
            if last is None:
                words.append("It has never been tried.")
            else:
                at = self._day(date.fromisoformat(last["at"][:10]))
                tried = f"{one['exercises']} times, the last time" if one["exercises"] > 1 else "once,"
                words += [f"Tried {tried} on ", at, f": {plain(last['outcome'], 400)}"]
            rows: list[tuple[Words, ...]] = [
                (
                    ("you",) if whose == "yours" else (self._member(each["member"]),),
                    (plain(each["what"], 400),),
                    (self._number(Fraction(each["withinHours"])), " hours"),
                )
                for whose in ("yours", "others")
                for each in one[whose]
            ]
            blocks += [Sentence(tuple(words)), _table("", ("Who", "Does", "Within"), rows)]
            blocks.append(Sentence((f"Plan {_member(one['key'])}",), "quiet"))
        return blocks

    def _member(self, member: str) -> str:
        """A member by its name, where the directory has one."""
        return plain(self.members.get(member, ""), 120) or _member(member)

    def _one_more_day(self) -> list[Block]:
        rows = []
        for one in self.content["oneMoreDay"]:
            saves = {part: Fraction(amount) for part, amount in one["saves"].items()}
            what = self._losses(saves, None) or ("nothing",)
            rows.append(
                (
                    (self.reading.name(one["site"]),),
                    self._losses({one["part"]: Fraction(one["amount"])}, None),
                    what,
                )
            )
        if not rows:
            return []
        return _opened("", ("At", "One more day's use", "Would have saved"), rows)

    def _best_plan(self) -> list[Block]:
        plan, reading = self.content["bestPlan"], self.reading
        if plan is None:
            if reading.stops:
                return [
                    Sentence(
                        ("Not computed: what is worth saving first goes by prices, and none of yours is known.",),
                        "quiet",
                    )
                ]
            return []
        lost = {part: Fraction(amount) for part, amount in plan["lost"].items()}
        if any(lost.values()):
            words: Words = (
                "With everything known ahead, and nothing from outside, nobody could lose less than ",
                *self._losses(lost, None),
                ".",
            )
        else:
            words = ("With everything known ahead, stocks could be used so that nothing is lost.",)
        blocks: list[Block] = [Sentence(words)]
        rows = [
            ((reading.name(one["site"]),), (reading.name(one["part"]),), (self._money(one["centsForADay"]),))
            for one in plan["stockWorth"]
        ]
        if rows:
            blocks += _opened(
                "What a day's use of your own stocks is worth in that plan", ("At", "Of", "Worth"), rows, [2]
            )
        return blocks

    def _one_bucket(self) -> list[Block]:
        said, reading = self.content["oneBucket"], self.reading
        if said is None or not reading.stops:
            return []
        first, last = min(one.first for one in reading.stops), max(one.last for one in reading.stops)
        survive, recover = Fraction(said["timeToSurviveDays"]), Fraction(said["timeToRecoverDays"])
        rows: list[tuple[Words, ...]] = [
            (
                ("Looks at",),
                ("all stock and what is under way, in one sum",),
                ("every delivery on its day, with lead times and calendars",),
            ),
            (("Holds out",), (self._number(survive), " working days"), ("until the day before ", self._day(first))),
            (("Outage",), (self._number(recover), " working days"), ("felt until ", self._day(last))),
            (("Says",), ("safe" if said["isSafe"] else "not safe",), self._losses(reading.lost, reading.revenue_cents)),
        ]
        return [_table("", ("", "One bucket", "Over time"), rows)]

    def _assumptions(self) -> list[Block]:
        return [Listing(tuple((plain(one, 400),) for one in self.content["assumptions"]))]

    def _sources(self) -> list[Block]:
        rows = [
            (
                (each.name,),
                (one.way or one.step.title,),
                ("; ".join([*map(_shape_text, each.shapes), *each.places]) or "not stated",),
            )
            for one in self.reading.origins
            for each in one.sources
        ]
        blocks: list[Block] = []
        if rows:
            blocks.append(_table("What happened", ("Who says so", "Of", "Where"), list(dict.fromkeys(rows))))
        elif self.reading.origins:
            blocks.append(Sentence(("Who reported what happened is not shown to you.",), "quiet"))
        origin, size, _ = self._checkpoint
        blocks.append(
            Sentence(
                (
                    f"The network: what members have signed into the log {origin}",
                    *((" up to entry ", self._number(Fraction(size))) if size else ()),
                    ", as far as it is shared with you. Looked ahead from ",
                    self._day(self.reading.day),
                    " for ",
                    self._number(Fraction(self.content["days"])),
                    " days.",
                )
            )
        )
        return blocks

    def _check(self) -> list[Block]:
        origin, size, root = self._checkpoint
        pairs: list[tuple[str, Words]] = []
        if self.digest is not None:
            pairs.append(("Statement", (Figure(self.digest, self.digest),)))
        if self.content.get("view"):
            pairs.append(("Your view", (plain(str(self.content["view"]), 80),)))
        pairs.append(("SHA-256 of the content", (sha256(canonical(self.content)).hexdigest(),)))
        pairs.append(("Checkpoint", (f"{origin}, size {size}" if size else origin,)))
        if size:
            pairs.append(("Its root", (root,)))
        pairs.append(
            (
                "Reader",
                (
                    self.reader or _member(self.content["reader"]),
                    *(
                        (Figure(f" {_member(self.content['reader'])}", str(self.content["reader"])),)
                        if self.reader
                        else ()
                    ),
                ),
            )
        )
        digest = self.digest or "DIGEST"
        return [
            Sentence((_SAME_BYTES,)),
            Facts(tuple(pairs)),
            Commands(
                (
                    f"tallystick risk report {digest} --out report.json",
                    "tallystick risk view --like report.json --out view.json",
                    "tallystick risk recompute view.json report.json",
                    "tallystick bundle --out bundle.json",
                    "tallystick verify bundle.json --trust trust.json",
                )
            ),
        ]

    def _leftover(self) -> list[Block]:
        pairs = [
            (key, (text,)) for key, text in _flat({key: one for key, one in self.content.items() if key not in _TOLD})
        ]
        return [Facts(tuple(pairs[:MAX_ROWS]))] if pairs else []

    def _rest(self, name: str, said: Mapping[str, Any]) -> list[tuple[str, Words]]:
        return [
            (key, (text,)) for key, text in _flat({key: one for key, one in said.items() if key not in _TOLD_OF[name]})
        ]

    @property
    def _checkpoint(self) -> tuple[str, int, str]:
        """Origin, size and root; a checkpoint that is not written so is its own origin."""
        parts = plain(self.content["checkpoint"], 400).split(" ")
        if len(parts) == 3 and parts[1].isdigit():
            return parts[0], int(parts[1]), parts[2]
        return " ".join(parts), 0, ""

    # Figures.

    def _day(self, day: date) -> Figure:
        return Figure(day_text(day, self.reading.day.year), day.isoformat(), day.isoformat(), is_day=True)

    @staticmethod
    def _number(amount: Fraction) -> Figure:
        shown, exact = rough_amount(amount), amount_text(amount)
        return Figure(shown, exact.replace(",", ""), "" if shown == exact else exact)

    def _money(self, cents: int) -> Figure:
        currency = plain(self.content.get("currency") or "EUR", 3)
        return Figure(money_text(cents, currency), str(cents), exact_money(cents, currency))

    def _losses(self, lost: Mapping[str, Fraction], revenue_cents: int | None, most: int = 3) -> Words:
        """Amounts of parts, the most first, and money: `15,360 vehicles, EUR 491.5 M`."""
        found = sorted(((part, amount) for part, amount in lost.items() if amount), key=lambda one: (-one[1], one[0]))
        words: list[str | Figure] = []
        shown = found if len(found) <= most else found[: most - 1]
        for part, amount in shown:
            words += [", "] if words else []
            words += [self._number(amount), f" {_several(self.reading.name(part), amount)}"]
        if len(found) > len(shown):
            words.append(f" and {len(found) - len(shown)} more parts")
        if revenue_cents:
            words += [*([", "] if words else []), self._money(revenue_cents)]
        return tuple(words)


def _table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[tuple[Words, ...]],
    numbers: Iterable[int] = (),
    *,
    is_closed: bool = False,
) -> Table:
    shown = tuple(rows[:MAX_ROWS])
    return Table(caption, tuple(head), shown, frozenset(numbers), is_closed, len(rows) - len(shown))


def _opened(
    caption: str, head: Sequence[str], rows: Sequence[tuple[Words, ...]], numbers: Iterable[int] = ()
) -> list[Block]:
    """A table of which, when it is long, only the first rows are open to the eye."""
    table = _table(caption, head, rows, numbers)
    if len(rows) <= _LONG:
        return [table]
    first = replace(table, rows=table.rows[:_SHORT], more=len(rows) - _SHORT)
    return [first, replace(table, caption=f"All {len(rows)}", is_closed=True)]


def _several(name: str, amount: Fraction) -> str:
    """A part's name after an amount of it.

    >>> _several("vehicle", Fraction(800)), _several("e-axle", Fraction(1)), _several("Pinion shaft HX-12", Fraction(9))
    ('vehicles', 'e-axle', '× Pinion shaft HX-12')
    """
    if not re.fullmatch(r"[a-z]+([ -][a-z]+)*", name):
        return f"× {name}"
    return name if amount == 1 or name.endswith("s") else f"{name}s"


def _percent(share: Fraction) -> Figure:
    """A share in percent; what is almost nothing or almost all is not rounded to it.

    >>> _percent(Fraction(2, 3)).shown, _percent(Fraction(999, 1000)).shown, _percent(Fraction(1, 1000)).shown
    ('67 %', '99.9 %', '0.1 %')
    """
    whole = round(share * 100)
    rough = whole in (0, 100) and share not in (0, 1)
    shown = amount_text(round(share * 1000) / Fraction(10)) if rough else str(whole)
    return Figure(f"{shown} %", amount_text(share).replace(",", ""))


def _way(one: Mapping[str, Any]) -> Figure:
    """A route by what is stated of it: how, from where to where, through what; by its key where nothing is."""
    key, said = plain(one["key"], 400), one["route"] or {}
    ends = [plain(said.get(end) or "", 60) for end in ("from", "to")]
    steps = [" and ".join(plain(mode, 40) for mode in said.get("modes", ()))]
    steps += [" to ".join(filter(None, ends))] if any(ends) else []
    steps += [f"lane {plain(said['lane'], 60)}"] if said.get("lane") else []
    steps += [f"through {listed([plain(each, 40) for each in said['passages']], 9)}"] if said.get("passages") else []
    return Figure(", ".join(filter(None, steps)) or key, key)


def _shape_text(shape: Circle | Polygon) -> str:
    """A shape in words.

    >>> _shape_text(Polygon(((30, 175), (30, -175), (40, -175), (30, 175))))
    'an area of 3 corners from 30° N to 40° N, 175° E to 175° W'
    """
    if isinstance(shape, Circle):
        centre = f"{_degrees(shape.latitude, 'N', 'S')}, {_degrees(shape.longitude, 'E', 'W')}"
        return f"{shape.radius_km:g} km around {centre}"
    latitudes = [lat for lat, _ in shape.points]
    longitudes = [shape.points[0][1]]
    for _, lon in shape.points[1:]:
        longitudes.append(longitudes[-1] + (lon - longitudes[-1] + 180) % 360 - 180)
    north, south = (_degrees(end, "N", "S") for end in (max(latitudes), min(latitudes)))
    west, east = (_degrees((end + 180) % 360 - 180, "E", "W") for end in (min(longitudes), max(longitudes)))
    return f"an area of {len(shape.points) - 1} corners from {south} to {north}, {west} to {east}"


def _degrees(value: float, plus: str, minus: str) -> str:
    return f"{round(abs(value), 1):g}° {plus if value >= 0 else minus}"


def _member(reader: str) -> str:
    digits = identifier(reader)
    return digits if len(digits) <= 20 else f"{digits[:10]}…{digits[-4:]}"


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """What nobody has words for, as it stands: path → text."""
    if isinstance(value, Mapping):
        return [one for key, item in value.items() for one in _flat(item, f"{path} {plain(str(key), 80)}".strip())]
    if isinstance(value, list | tuple):
        if all(isinstance(one, str | int) for one in value):
            return [(path, "; ".join(plain(str(one), 400) for one in value))] if value else []
        return [one for at, item in enumerate(value, 1) for one in _flat(item, f"{path} {at}")]
    return [(path, "not known" if value is None else plain(str(value), 400))]
