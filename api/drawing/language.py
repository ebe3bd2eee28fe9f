"""The language of a report: its sentences, with places for what they say, and how it writes numbers, money and days.

A catalogue is one JSON file a language, name → sentence; all have the same names and places. Sentences that a report
itself holds (assumptions, reasons, criteria) are in the English catalogue word for word, and are found by their text,
so that what is signed needs no codes.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Self

from api.drawing.blocks import Figure, Words, joined
from api.texts import plain

LANGUAGES = ("en", "de")
"""The first is for readers of none of them."""
_CATALOGUES = Path(__file__).parent / "catalogues"
_PLACE = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Language:
    """The words of one of LANGUAGES."""

    code: str
    texts: Mapping[str, str]

    @classmethod
    def of(cls, code: str) -> Self:
        """The language with that code, one of LANGUAGES."""
        return cls(code, _catalogue(code))

    def __hash__(self) -> int:
        return hash(self.code)

    def say(self, name: str, /, **said: str | Figure | Words) -> Words:
        """The sentence `name` with what is said in its places; nothing that is said is read as a place itself."""
        return joined(said[part] if at % 2 else part for at, part in enumerate(_PLACE.split(self.texts[name])))

    def text(self, name: str, /, **said: str) -> str:
        """The same, of texts alone."""
        return "".join(one for one in self.say(name, **said) if isinstance(one, str))

    def form(self, name: str, count: int | Fraction) -> str:
        """Which of the two forms of `name` goes with so many."""
        return f"{name}.{'one' if count == 1 else 'other'}"

    def coded(self, kind: str, code: str, longest: int = 120) -> str:
        """What a code word of reports is called; one that nobody has words for stays as it stands."""
        return self.texts.get(f"{kind}.{code}") or plain(code, longest)

    def known(self, kind: str, sentence: str, longest: int = 400) -> str:
        """A sentence of the report itself in this language; one that nobody has words for stays as it stands."""
        found = recognised(kind, sentence)
        if found is None:
            return plain(sentence, longest)
        name, places = found
        return self.text(name, **{place: plain(said, 200) for place, said in places.items()})

    def listed(self, names: Iterable[str], most: int = 3) -> str:
        """Names in a sentence.

        >>> [Language.of(one).listed(["Magdeburg", "Kielce"]) for one in LANGUAGES]
        ['Magdeburg and Kielce', 'Magdeburg und Kielce']
        >>> Language.of("en").listed(["A", "B", "C", "D", "E"])
        'A, B, C and 2 more'
        """
        found = list(dict.fromkeys(names))
        if len(found) > most:
            rest = len(found) - most
            return self.text(self.form("list.more", rest), first=", ".join(found[:most]), count=str(rest))
        if len(found) < 2:
            return "".join(found)
        return self.text("list.two", first=", ".join(found[:-1]), last=found[-1])

    def several(self, name: str, amount: Fraction) -> str:
        """A part's name after an amount of it. Names are as their owners wrote them; only English ones get their `s`.

        >>> english, german = map(Language.of, LANGUAGES)
        >>> english.several("vehicle", Fraction(800)), english.several("Pinion shaft HX-12", Fraction(9))
        ('vehicles', '× Pinion shaft HX-12')
        >>> german.several("vehicle", Fraction(800))
        '× vehicle'
        """
        if self.code != "en" or not re.fullmatch(r"[a-z]+([ -][a-z]+)*", name):
            return f"× {name}"
        return name if amount == 1 or name.endswith("s") else f"{name}s"

    # How days and numbers are written.

    def day(self, day: date, year: int) -> str:
        """A day as people write it; its year where it is not `year`.

        >>> [Language.of(one).day(date(2026, 12, 8), 2026) for one in LANGUAGES]
        ['Tue 8 Dec', 'Di 8. Dez.']
        >>> [Language.of(one).day(date(2027, 1, 7), 2026) for one in LANGUAGES]
        ['Thu 7 Jan 2027', 'Do 7. Jan. 2027']
        """
        name = "format.day" if day.year == year else "format.dayOfYear"
        weekday = self.texts["format.weekdays"].split()[day.weekday()]
        said = {"weekday": weekday, "day": str(day.day), "month": self.month(day), "year": str(day.year)}
        return self.text(name, **said)

    def month(self, day: date) -> str:
        """The month of `day`, short."""
        return self.texts["format.months"].split()[day.month - 1]

    def week(self, monday: date) -> str:
        """A week by its ISO number.

        >>> [Language.of(one).week(date(2026, 12, 28)) for one in LANGUAGES]
        ['W53', 'KW 53']
        """
        return self.text("format.week", number=str(monday.isocalendar().week))

    def amount(self, amount: Fraction) -> str:
        """An amount with its thousands apart, to the thousandth.

        >>> [[Language.of(one).amount(Fraction(at)) for at in ("15360", "1/3", "-2.5")] for one in LANGUAGES]
        [['15,360', '0.333', '-2.5'], ['15.360', '0,333', '-2,5']]
        """
        thousandths = round(amount * 1000)
        whole, rest = divmod(abs(thousandths), 1000)
        digits = f"{rest:03}".rstrip("0") if rest else ""
        return self._written(whole, digits, "-" if thousandths < 0 else "")

    def rough(self, amount: Fraction) -> str:
        """An amount as it is said: large ones to the whole.

        >>> [Language.of("en").rough(Fraction(one)) for one in ("17829.609", "9.6")]
        ['17,830', '9.6']
        """
        return self.amount(Fraction(round(amount)) if abs(amount) >= 100 else amount)

    def percent(self, share: Fraction) -> str:
        """A share in percent; what is almost nothing or almost all is not rounded to it.

        >>> [[Language.of(one).percent(Fraction(at, 1000)) for at in (667, 999, 1)] for one in LANGUAGES]
        [['67 %', '99.9 %', '0.1 %'], ['67 %', '99,9 %', '0,1 %']]
        """
        whole = Fraction(round(share * 100))
        is_rough = whole in (0, 100) and share not in (0, 1)
        return self.text(
            "format.percent", amount=self.amount(round(share * 1000) / Fraction(10) if is_rough else whole)
        )

    def money(self, cents: int, currency: str) -> str:
        """An amount of money as it is said; `exact_money` has the rest.

        >>> [Language.of("en").money(one, "EUR") for one in (49_152_000_000, 204_800_000_000, 12_345_600, 99_900, 5)]
        ['EUR 491.5 M', 'EUR 2.05 bn', 'EUR 123,456', 'EUR 999', 'EUR 0.05']
        >>> [Language.of("de").money(one, "EUR") for one in (49_152_000_000, 204_800_000_000, 12_345_600, -5)]
        ['491,5 Mio. EUR', '2,05 Mrd. EUR', '123.456 EUR', '-0,05 EUR']
        """
        size, sign = abs(cents), "-" if cents < 0 else ""
        for least, unit, places, name in (
            (100_000_000_000, 1_000_000_000, 2, "format.billions"),
            (100_000_000, 10_000_000, 1, "format.millions"),
        ):
            if size >= least:
                whole, rest = divmod(round(Fraction(size, unit)), 10**places)
                return self._of_money(self.text(name, amount=self._written(whole, f"{rest:0{places}}", sign)), currency)
        if size >= 10_000 or size % 100 == 0:
            return self._of_money(self._written(round(Fraction(size, 100)), "", sign), currency)
        return self.exact_money(cents, currency)

    def exact_money(self, cents: int, currency: str) -> str:
        """All of it.

        >>> [Language.of(one).exact_money(49_152_000_000, "EUR") for one in LANGUAGES]
        ['EUR 491,520,000.00', '491.520.000,00 EUR']
        """
        whole, rest = divmod(abs(cents), 100)
        return self._of_money(self._written(whole, f"{rest:02}", "-" if cents < 0 else ""), currency)

    def _of_money(self, amount: str, currency: str) -> str:
        return self.text("format.money", amount=amount, currency=currency)

    def _written(self, whole: int, digits: str, sign: str) -> str:
        point, apart = self.texts["format.decimal"], self.texts["format.thousands"]
        return f"{sign}{whole:,}".replace(",", apart) + (f"{point}{digits}" if digits else "")


def recognised(kind: str, sentence: str) -> tuple[str, Mapping[str, str]] | None:
    """Which sentence of the English catalogue that is, and what stands in its places; None for one of no kind."""
    for name, pattern in _sentences(kind):
        found = pattern.fullmatch(sentence)
        if found is not None:
            return name, found.groupdict()
    return None


@cache
def _catalogue(code: str) -> Mapping[str, str]:
    found: Mapping[str, str] = json.loads((_CATALOGUES / f"{code}.json").read_text(encoding="utf-8"))
    return found


@cache
def _sentences(kind: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The English sentences of a kind by their names, as patterns with their places as groups."""
    return tuple(
        (
            name,
            re.compile(_PLACE.sub(r"(?P<\1>.*)", re.escape(text).replace(r"\{", "{").replace(r"\}", "}")), re.DOTALL),
        )
        for name, text in _catalogue(LANGUAGES[0]).items()
        if name.startswith(f"{kind}.")
    )


ENGLISH = Language.of(LANGUAGES[0])
