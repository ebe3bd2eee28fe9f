"""An impact report told to a person: what page and paper say, in the order in which they say it. Pure.

It reads one report's content and nothing else. Figures keep their exact value beside the form in which they are shown;
what the content leaves unknown is said to be unknown. Keys of the content that nobody has words for are listed as they
stand, so that nothing of a report is silently left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from api.drawing import confidence, grounds, network, reach, remedies, stops, timeline, weeks, world, worth
from api.drawing.blocks import Banner, Block, Figure, Section, Tile, Words, ended
from api.drawing.canvas import Canvas
from api.drawing.language import LANGUAGES, Language
from api.drawing.reading import Reading
from api.drawing.voice import Voice
from api.texts import plain

_DRAWINGS = {"weeks": weeks.draw, "timeline": timeline.draw, "network": network.draw, "map": world.draw}


@dataclass(frozen=True)
class Telling:
    """A report of `content` for `reader` (a name). `digest` is the id of its statement, None for one that has none.
    `members` are names of members by their ids, as all members may read them; `language` is one of LANGUAGES.
    """

    content: Mapping[str, Any]
    reader: str = ""
    digest: str | None = None
    is_demo: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    language: str = LANGUAGES[0]

    @cached_property
    def reading(self) -> Reading:
        return Reading(self.content, Language.of(self.language))

    @cached_property
    def voice(self) -> Voice:
        return Voice(self.reading, self.members)

    def drawing(self, name: str, width: float) -> Canvas | None:
        """The drawing that a `Picture` names, `width` wide; None where there is nothing to draw."""
        return _DRAWINGS[name](self.reading, width)

    @property
    def title(self) -> str:
        """What the report is called."""
        return self.voice.text("title", day=self.reading.language.day(self.reading.day, 0))

    @property
    def heading(self) -> str:
        """What it is called, and for whom it is."""
        if not self.reader:
            return self.title
        return self.voice.text("title.for", title=self.title, reader=plain(self.reader, 120))

    @property
    def banners(self) -> tuple[Banner, ...]:
        """Exercises and the like say so first; a demo too."""
        found, text = [], self.voice.text
        if self.is_demo:
            found.append(Banner("DEMO", text("demo")))
        status = self.reading.status
        if status not in (None, "Actual"):
            known = f"status.{status}" if f"status.{status}" in self.reading.language.texts else "status"
            found.append(Banner(text(f"{known}.name", status=str(status).upper()), text(known), str(status)))
        return tuple(found)

    @property
    def headline(self) -> Words:
        """All of it in one sentence."""
        reading, voice = self.reading, self.voice
        if not reading.stops and reading.status is None:
            return voice.say("headline.nothingKnown")
        meant = reading.language.texts.get(f"meant.{reading.status}", "")
        if not reading.stops:
            return _capital((meant, *voice.say("headline.nothingStops", days=str(self.content["days"]))))
        sites = [reading.name(one) for one in dict.fromkeys(one.site for one in reading.stops)]
        many = "one" if len(sites) == 1 else "other"
        what = "stop" if any(one.is_whole for one in reading.stops) else "less"
        begin = "same" if len({one.first for one in reading.stops}) == 1 else "spread"
        end = "over" if all(one.is_over for one in reading.stops) else "open"
        when = voice.say(
            f"headline.{begin}.{end}.{many}",
            first=voice.day(min(one.first for one in reading.stops)),
            last=voice.day(max(one.last for one in reading.stops)),
            days=str(self.content["days"]),
        )
        said = (meant, *voice.say(f"headline.{what}.{many}", plants=reading.listed(sites)), *when)
        lost = voice.losses(reading.lost, reading.revenue_cents, most=2)
        return _capital(ended((*said, ": ", *lost) if lost else said))

    @property
    def asides(self) -> tuple[Words, ...]:
        """What the headline needs beside it."""
        reading, voice, found = self.reading, self.voice, list[Words]()
        bucket, anyway = self.content["oneBucket"], self.content.get("undisturbed")
        if reading.stops and bucket is not None and bucket["isSafe"]:
            found.append(voice.say("aside.bucket"))
        if anyway is not None:
            found.append(voice.say("aside.anyway", lost=voice.left(anyway), first=voice.day(anyway["first"])))
        if reading.stops and reading.revenue_cents is None:
            found.append((reading.currencies,) if reading.currencies else voice.say("aside.noPrice"))
        omitted = [
            reading.language.text(f"omitted.{name}", count=str(count))
            if f"omitted.{name}" in reading.language.texts
            else f"{count} {plain(name, 80)}"
            for name, count in self.content["omitted"].items()
            if count
        ]
        if omitted:
            found.append(voice.say("aside.omitted", omitted=reading.listed(omitted, 9)))
        worst = reading.most
        if not reading.stops and worst.first is not None and worst.last is not None:
            lost = voice.losses(worst.lost, worst.revenue_cents)
            found.append(
                voice.say("aside.atWorst", lost=lost, first=voice.day(worst.first), last=voice.day(worst.last))
            )
        if not reading.stops and Fraction(self.content["confidence"]["coverage"]) < 1:
            found.append(voice.say("aside.coverage"))
        return tuple(found)

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """First day, length, loss, revenue."""
        reading, voice = self.reading, self.voice
        if not reading.stops:
            return ()
        days = max(one.days or 0 for one in reading.stops)
        bounds = [one.first for one in (reading.least, reading.most) if one.first is not None]
        span = _span(voice, voice.day(min(bounds)), voice.day(max(bounds))) if len(set(bounds)) > 1 else ()
        tiles = [
            Tile(voice.text("tile.first"), (voice.day(min(one.first for one in reading.stops)),), span, is_bad=True),
            Tile(voice.text("tile.days"), (voice.number(days),), voice.say("tile.atMost")),
        ]
        lost = list(reading.lost.items())
        if lost:
            part, amount = max(lost, key=lambda one: (one[1], one[0]))
            name = reading.language.several(reading.name(part), Fraction(2)).removeprefix("× ")
            label = voice.text("tile.lostOf" if len(lost) > 1 else "tile.lost", part=name, others=str(len(lost) - 1))
            less, more = (voice.number(one.lost.get(part, Fraction(0))) for one in (reading.least, reading.most))
            tiles.append(Tile(label, (voice.number(amount),), _span(voice, less, more)))
        revenue = voice.text("tile.revenue")
        if reading.revenue_cents is None:
            tiles.append(
                Tile(
                    revenue,
                    (voice.text("unknown"),),
                    voice.say("tile.currencies" if reading.currencies else "tile.noPrice"),
                )
            )
        else:
            ends = [one.revenue_cents for one in (reading.least, reading.most) if one.revenue_cents is not None]
            between = _span(voice, voice.money(ends[0]), voice.money(ends[1])) if len(ends) == 2 else ()
            tiles.append(Tile(revenue, (voice.money(reading.revenue_cents),), between))
        return tuple(tiles)

    @property
    def brief(self) -> tuple[tuple[str, Words], ...]:
        """How sure it is and what could be done, in a sentence or two each."""
        voice = self.voice
        found = [(voice.text("brief.sure"), confidence.brief(voice))]
        helps = remedies.brief(voice)
        return (*found, (voice.text("brief.helps"), helps)) if helps else tuple(found)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The report in the order in which it is read."""
        voice = self.voice
        made: list[tuple[str, list[Block]]] = [
            ("confidence", confidence.told(voice)),
            ("weeks", stops.by_week(voice)),
            ("timeline", stops.by_day(voice)),
            ("network", reach.paths(voice)),
            ("map", reach.places(voice)),
            ("alternatives", remedies.told(voice)),
            ("agreed", remedies.agreed(voice)),
            ("day", worth.one_more_day(voice)),
            ("plan", worth.best_plan(voice)),
            ("bucket", worth.one_bucket(voice)),
            ("more", grounds.leftover(voice)),
            ("assumptions", grounds.assumptions(voice)),
            ("sources", reach.sources(voice)),
            ("check", grounds.check(voice, self.digest, self.reader)),
        ]
        return tuple(Section(name, voice.text(f"section.{name}"), tuple(blocks)) for name, blocks in made if blocks)


def _capital(words: Words) -> Words:
    """The sentence with a capital letter in front."""
    first, *rest = (one for one in words if one)
    return (first[:1].upper() + first[1:] if isinstance(first, str) else first, *rest)


def _span(voice: Voice, least: Figure, most: Figure) -> Words:
    return voice.say("span", least=least, most=most)
