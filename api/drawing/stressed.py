"""A report of a stress test told to a person: the worst first, before and after mitigations with their costs. Pure.

It reads the content of one `stress-report` and nothing else. Its own words are in `catalogues/stress`, beside those
that all reports have.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

from api.drawing.blocks import Banner, Block, Commands, Facts, Figure, Listing, Section, Sentence, Table, Tile, Words
from api.drawing.canvas import Canvas
from api.drawing.language import LANGUAGES, Language
from api.drawing.reading import Reading
from api.drawing.voice import Voice
from api.texts import plain
from risk.sharing import canonical

_CATALOGUES = Path(__file__).parent / "catalogues" / "stress"
_NUMBERS = (2, 3, 4, 5)


@dataclass(frozen=True)
class StressTelling:
    """A report of `content` for `reader` (a name). `digest` is the id of its statement, None for one that has none;
    `language` is one of LANGUAGES.
    """

    content: Mapping[str, Any]
    reader: str = ""
    digest: str | None = None
    is_demo: bool = False
    language: str = LANGUAGES[0]

    @cached_property
    def reading(self) -> Reading:
        return Reading(self.content, spoken(self.language))

    @cached_property
    def voice(self) -> Voice:
        return Voice(self.reading)

    def drawing(self, _name: str, _width: float) -> Canvas | None:
        return None

    @property
    def title(self) -> str:
        return self.voice.text("stress.title", day=self.reading.language.day(self.reading.day, 0))

    @property
    def heading(self) -> str:
        if not self.reader:
            return self.title
        return self.voice.text("title.for", title=self.title, reader=plain(self.reader, 120))

    @property
    def banners(self) -> tuple[Banner, ...]:
        return (Banner("DEMO", self.voice.text("demo")),) if self.is_demo else ()

    @property
    def headline(self) -> Words:
        """What was tried, and the worst of it."""
        voice, content = self.voice, self.content
        tried = {"screened": voice.number(content["screened"]), "flagged": voice.number(content["flagged"])}
        worst = next((one for one in content["scenarios"] if one["effect"]["lost"]), None)
        if worst is None:
            return voice.say("stress.headline.nothing", **tried)
        lost = self._losses(worst["effect"])
        return voice.say("stress.headline", worst=self._called(worst), lost=lost, **tried)

    @property
    def asides(self) -> tuple[Words, ...]:
        """What was not tried, and what could not be."""
        voice, content, found = self.voice, self.content, list[Words]()
        for kind, one in content["unplaced"].items():
            if one is not None:
                share, lost = voice.percent(one["shareOfOutput"]), self._losses(one)
                found.append(voice.say(f"stress.unplaced.{kind}", share=share, lost=lost))
        if content["already"] is not None:
            found.append(voice.say("stress.already", lost=self._losses(content["already"])))
        names = [plain(one["name"], 120) for one in content["notSeen"]]
        if names:
            found.append(voice.say("stress.notSeen", names=self.reading.listed(names, 5)))
        if content["omitted"]:
            shown = len(content["scenarios"])
            found.append(voice.say("stress.omitted", shown=voice.number(shown)))
        return tuple(found)

    @property
    def tiles(self) -> tuple[Tile, ...]:
        voice, content = self.voice, self.content
        worst = next((one["effect"] for one in content["scenarios"]), None)
        tiles = [
            Tile(
                voice.text("stress.tile.flagged"),
                (voice.number(content["flagged"]),),
                voice.say("stress.tile.screened", screened=voice.number(content["screened"])),
            )
        ]
        if worst is not None and worst["lost"]:
            tiles.append(Tile(voice.text("stress.tile.worst"), self._losses(worst), self._span(worst), is_bad=True))
        return tuple(tiles)

    @property
    def brief(self) -> tuple[tuple[str, Words], ...]:
        """How it was made, and what pays."""
        voice, content = self.voice, self.content
        made = voice.say(
            "stress.brief.drawn" if content["draws"] else "stress.brief.likely",
            days=str(content["days"]),
            draws=str(content["draws"]),
            seed=str(content["seed"]),
        )
        found = [(voice.text("stress.brief.made"), made)]
        pays = [self._mitigation(one) for one in content["mitigations"] if one["paysForItself"]]
        if content["mitigations"]:
            said = (
                voice.say("stress.pays", names=self.reading.listed(pays, 5)) if pays else voice.say("stress.paysNone")
            )
            found.append((voice.text("stress.brief.pays"), said))
        return tuple(found)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The report in the order in which it is read."""
        made: list[tuple[str, list[Block]]] = [
            ("worst", self._worst()),
            ("mitigations", self._costs()),
            ("saved", self._saved()),
            ("draws", self._drawn()),
            ("unplaced", self._unplaced()),
            ("assumptions", [Listing(tuple((self._known("assumption", one),) for one in self.content["assumptions"]))]),
            ("check", self._check()),
        ]
        return tuple(
            Section(name, self.voice.text(f"stress.section.{name}"), tuple(blocks)) for name, blocks in made if blocks
        )

    # -- sections ------------------------------------------------------------------------------------------------------

    def _worst(self) -> list[Block]:
        voice, rows = self.voice, []
        for one in self.content["scenarios"]:
            effect = one["effect"]
            rows.append(
                (
                    (self._called(one),),
                    self._span(effect) or (voice.text("nothing"),),
                    self._units(effect["lost"]),
                    self._money(effect["revenueCents"]),
                    self._money((effect["least"] or {}).get("revenueCents")),
                    self._expected(one["expectedCentsAYear"]),
                )
            )
        if not rows:
            return []
        head = ("scenario", "span", "units", "revenue", "least", "expected")
        return [
            Table.of(voice.text("stress.worst"), [voice.text(f"stress.head.{one}") for one in head], rows, _NUMBERS),
            Sentence(voice.say("stress.worst.means"), "quiet"),
        ]

    def _costs(self) -> list[Block]:
        voice, rows = self.voice, []
        for one in self.content["mitigations"]:
            pays = {True: "yes", False: "no", None: "unknown"}[one["paysForItself"]]
            rows.append(
                (
                    (self._mitigation(one),),
                    self._expected(one["costCentsAYear"]),
                    self._expected(one["savedCentsAYear"]),
                    (voice.text(f"stress.pays.{pays}"),),
                )
            )
        if not rows:
            return []
        head = ("mitigation", "cost", "saves", "pays")
        return [
            Table.of(voice.text("stress.costs"), [voice.text(f"stress.head.{one}") for one in head], rows, (1, 2)),
            Sentence(voice.say("stress.costs.means"), "quiet"),
        ]

    def _saved(self) -> list[Block]:
        """Each scenario before and after each mitigation, and the chance from which that pays."""
        voice, rows = self.voice, []
        for one in self.content["scenarios"]:
            for after in one["mitigated"]:
                even = after["breakEven"]
                chance: Words = (
                    (self._known("notKnown", even["notKnown"]),)
                    if even["chanceAYear"] is None
                    else (self._chance(even["chanceAYear"]),)
                    if Fraction(even["chanceAYear"]) <= 1
                    else (voice.text("stress.never"),)
                )
                rows.append(
                    (
                        (self._called(one),),
                        (self._named(after["mitigation"]),),
                        *(self._worth(each) for each in (one["effect"], after, after["saved"])),
                        chance,
                    )
                )
        if not rows:
            return []
        head = ("scenario", "mitigation", "before", "after", "saved", "even")
        return [
            Table.of(voice.text("stress.saved"), [voice.text(f"stress.head.{one}") for one in head], rows, _NUMBERS)
        ]

    def _drawn(self) -> list[Block]:
        voice, rows = self.voice, list[tuple[Words, ...]]()
        for one in self.content["scenarios"]:
            draws = one["effect"]["draws"]
            if draws is not None:
                cents = draws["revenueCents"] or {}
                rows.append(
                    (
                        (self._called(one),),
                        (voice.percent(draws["share"]),),
                        *(self._expected(cents.get(name)) for name in ("least", "mean", "of95In100", "most")),
                    )
                )
        if not rows:
            return []
        head = ("scenario", "share", "leastDraw", "mean", "of95In100", "mostDraw")
        return [
            Table.of(
                voice.text("stress.draws"), [voice.text(f"stress.head.{one}") for one in head], rows, (1, *_NUMBERS)
            )
        ]

    def _unplaced(self) -> list[Block]:
        voice, rows = self.voice, []
        for one in self.content["scenarios"]:
            if one["ifUnplaced"] is not None:
                known, more = self._losses(one["effect"]), self._losses(one["ifUnplaced"])
                nothing: Words = (voice.text("nothing"),)
                rows.append(((self._called(one),), known or nothing, more or nothing))
        if not rows:
            return []
        head = ("scenario", "placed", "ifUnplaced")
        return [
            Sentence(voice.say("stress.unplaced.means")),
            Table.of(voice.text("stress.unplaced"), [voice.text(f"stress.head.{one}") for one in head], rows, (1, 2)),
        ]

    def _check(self) -> list[Block]:
        """How whoever doubts it makes it again."""
        voice, content = self.voice, self.content
        text = voice.text
        origin, size, root = self.reading.checkpoint
        pairs: list[tuple[str, Words]] = []
        if self.digest is not None:
            pairs.append((text("check.statement"), (Figure(self.digest, self.digest),)))
        pairs += [
            (text("check.view"), (plain(str(content["view"]), 80),)),
            (text("stress.check.question"), (plain(content["digests"]["question"], 80),)),
            (text("stress.check.result"), (plain(content["digests"]["result"], 80),)),
            (text("check.content"), (sha256(canonical(content)).hexdigest(),)),
            (text("check.checkpoint"), (text("check.size", origin=origin, size=str(size)),)),
            (text("check.root"), (root,)),
        ]
        named = content["scenarioSet"]
        if named is not None:
            called = f"{plain(named['name'], 120)} {plain(named['version'], 40)}".strip()
            pairs.append((text("stress.check.set"), (called, Figure(f" {named['digest'][:10]}…", named["digest"]))))
        return [
            Sentence(voice.say("stress.check.same")),
            Facts(tuple(pairs)),
            Commands(
                (
                    f"tallystick risk stress-report {self.digest or 'DIGEST'} --out report.json",
                    "tallystick risk view --like report.json --out view.json",
                    "tallystick risk recompute view.json report.json",
                )
            ),
        ]

    # -- what they say again and again ---------------------------------------------------------------------------------

    def _called(self, one: Mapping[str, Any]) -> str:
        """A scenario by its name, or by the site that fails in it as far as that is known."""
        where = one["where"]
        if where is None:
            return plain(one["name"], 120)
        for kind in ("region", "port"):
            if kind == one["of"]:
                return self.voice.text(f"area.{kind}", name=plain(where[kind], 120))
        if "site" in where:
            return self.reading.name(where["site"])
        tier = [self.voice.text("stress.tier", tier=str(where["tier"]))] if where.get("tier") is not None else []
        return ", ".join([*tier, *([plain(where["region"], 120)] if where.get("region") else [])]) or self.voice.text(
            "stress.hidden"
        )

    def _mitigation(self, one: Mapping[str, Any]) -> str:
        return self.voice.text("stress.all") if one["kind"] == "all" else plain(one["name"], 120)

    def _named(self, name: str) -> str:
        found = (one for one in self.content["mitigations"] if one["name"] == name)
        return next((self._mitigation(one) for one in found), plain(name, 120))

    def _losses(self, effect: Mapping[str, Any]) -> Words:
        lost = {part: Fraction(amount) for part, amount in effect["lost"].items()}
        return self.voice.losses(lost, effect["revenueCents"], most=2)

    def _units(self, lost: Mapping[str, str]) -> Words:
        return self.voice.losses({part: Fraction(amount) for part, amount in lost.items()}, None, most=2) or (
            self.voice.text("nothing"),
        )

    def _chance(self, chance: str) -> Figure:
        """A chance from which on something pays: small ones count, rounded up to the thousandth of a per cent."""
        thousandths = Fraction(ceil(Fraction(chance) * 100_000), 1_000)
        return Figure(self.voice.text("format.percent", amount=self.reading.language.amount(thousandths)), chance)

    def _worth(self, effect: Mapping[str, Any]) -> Words:
        """What is lost or saved in money, in units where there is no price."""
        cents = effect["revenueCents"]
        return self._units(effect["lost"]) if cents is None else self._money(cents)

    def _money(self, cents: int | None) -> Words:
        return (self.voice.text("unknown"),) if cents is None else (self.voice.money(cents),)

    def _expected(self, cents: str | int | None) -> Words:
        return self._money(None if cents is None else round(Fraction(cents)))

    def _span(self, effect: Mapping[str, Any]) -> Words:
        if effect["first"] is None:
            return ()
        first, last = self.voice.day(effect["first"]), self.voice.day(effect["last"])
        return self.voice.say("span", least=first, most=last)

    def _known(self, kind: str, sentence: str) -> str:
        """A sentence of the report itself in its language; one that nobody has words for stays as it stands."""
        name = next((name for name, said in _words(LANGUAGES[0]).items() if said == sentence), None)
        is_known = name is not None and name.startswith(f"stress.{kind}.")
        return self.voice.text(str(name)) if is_known else plain(sentence, 400)


@cache
def spoken(code: str) -> Language:
    """The language `code` with the words of stress tests in it."""
    return Language(code, {**Language.of(code).texts, **_words(code)})


@cache
def _words(code: str) -> Mapping[str, str]:
    found: Mapping[str, str] = json.loads((_CATALOGUES / f"{code}.json").read_text(encoding="utf-8"))
    return found
