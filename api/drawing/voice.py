"""What the sections of a report have in common: its figures as they are shown, and what they say again and again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from typing import Any

from api.drawing.blocks import Figure, Table, Words
from api.drawing.language import Language
from api.drawing.reading import Reading
from api.texts import identifier, plain

_LONG, _SHORT = 14, 10


@dataclass(frozen=True, slots=True)
class Voice:
    """Tells of the report `reading` in its language; `members` are names of members by their ids."""

    reading: Reading
    members: Mapping[str, str] = field(default_factory=dict)

    @property
    def language(self) -> Language:
        return self.reading.language

    @property
    def content(self) -> Mapping[str, Any]:
        return self.reading.content

    def say(self, name: str, /, **said: str | Figure | Words) -> Words:
        return self.language.say(name, **said)

    def text(self, name: str, /, **said: str) -> str:
        return self.language.text(name, **said)

    def day(self, day: date | str) -> Figure:
        """A day; as the content writes it, or as a value."""
        found = date.fromisoformat(day) if isinstance(day, str) else day
        return Figure(self.reading.day_text(found), found.isoformat(), found.isoformat(), is_day=True)

    def number(self, amount: Fraction | int | str) -> Figure:
        exact = Fraction(amount)
        shown, whole = self.language.rough(exact), self.language.amount(exact)
        return Figure(shown, decimal_text(exact), "" if shown == whole else whole)

    def percent(self, share: Fraction | str) -> Figure:
        exact = Fraction(share)
        return Figure(self.language.percent(exact), decimal_text(exact))

    def money(self, cents: int) -> Figure:
        currency = plain(self.content.get("currency") or "EUR", 3)
        return Figure(self.language.money(cents, currency), str(cents), self.language.exact_money(cents, currency))

    def losses(self, lost: Mapping[str, Fraction], revenue_cents: int | None, most: int = 3) -> Words:
        """Amounts of parts, the most first, and money: `15,360 vehicles, EUR 491.5 M`."""
        found = sorted(((part, amount) for part, amount in lost.items() if amount), key=lambda one: (-one[1], one[0]))
        words: list[str | Figure] = []
        shown = found if len(found) <= most else found[: most - 1]
        for part, amount in shown:
            words += [", "] if words else []
            name = self.language.several(self.reading.name(part), amount)
            words += [self.number(amount), ("\u00a0" if name.startswith("×") else " ") + name]
        rest = len(found) - len(shown)
        if rest:
            words.append(self.text("losses.more", count=str(rest)))
        if revenue_cents:
            words += [*([", "] if words else []), self.money(revenue_cents)]
        return tuple(words)

    def left(self, after: Mapping[str, Any] | None) -> Words:
        """What is lost all the same, as a phrase; nothing is a phrase too."""
        if after is None:
            return self.say("left.unknown")
        lost = {part: Fraction(amount) for part, amount in after["lost"].items()}
        return self.losses(lost, after["revenueCents"]) if any(lost.values()) else self.say("left.nothing")

    def what_for(self, one: Mapping[str, Any]) -> str:
        """A part where it is needed."""
        name = self.reading.name
        return self.text("for", part=name(one["part"]), site=name(one["customer"]))

    def place(self, area: str) -> str:
        """A place as the report names it, `port CNNBG` or `supplier in East Asia`; sites by their names."""
        kind, _, name = area.partition(" ")
        if kind in ("site", "supplier") and name and not name.startswith("in "):
            return self.language.known("area", f"{kind} {self.reading.name(name)}", 120)
        return self.language.known("area", area, 120)

    def opened(self, table: Table, *, on_paper: bool = False) -> list[Table]:
        """A table of which, if it is long, only the first rows are open to the eye; `on_paper`: paper has them all."""
        count = len(table.rows) + table.more
        if count <= _LONG:
            return [table]
        first = replace(table, rows=table.rows[:_SHORT], more=count - _SHORT, on_paper=not on_paper)
        return [first, replace(table, caption=self.text("all", count=str(count)), is_closed=True, on_paper=on_paper)]

    def member(self, member: str) -> str:
        """A member by its name, where the directory has one."""
        return plain(self.members.get(member, ""), 120) or short_member(member)


def decimal_text(amount: Fraction) -> str:
    """A number in decimal digits, to the thousandth, as the content of reports writes it."""
    thousandths = round(amount * 1000)
    whole, rest = divmod(abs(thousandths), 1000)
    return f"{'-' if thousandths < 0 else ''}{whole}" + (f".{rest:03}".rstrip("0") if rest else "")


def short_member(member: str) -> str:
    digits = identifier(member)
    return digits if len(digits) <= 20 else f"{digits[:10]}…{digits[-4:]}"


def flat(value: Any, unknown: str, path: str = "") -> list[tuple[str, Words]]:
    """What nobody has words for, as it stands: path → text."""
    if isinstance(value, Mapping):
        return [
            one for key, item in value.items() for one in flat(item, unknown, f"{path} {plain(str(key), 80)}".strip())
        ]
    if isinstance(value, list | tuple):
        if all(isinstance(one, str | int) for one in value):
            return [(path, ("; ".join(plain(str(one), 400) for one in value),))] if value else []
        return [one for at, item in enumerate(value, 1) for one in flat(item, unknown, f"{path} {at}")]
    return [(path, (unknown if value is None else plain(str(value), 400),))]
