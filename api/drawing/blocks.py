"""What a told report is made of: words with figures in them, paragraphs, tables, drawings. Pages lay them out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_ROWS = 400
"""Rows of a table that are shown; how many more there are is said."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, an amount of money or a day as it is shown, with its exact value; `hint` is the long form of it."""

    shown: str
    value: str
    hint: str = ""
    is_day: bool = False


Words = tuple[str | Figure, ...]


def ended(words: Words) -> Words:
    """The sentence with its full stop; an abbreviation at its end has one already."""
    return words if _ends_with_stop(words) else (*words, ".")


def _ends_with_stop(words: Words) -> bool:
    last = words[-1] if words else ""
    return (last if isinstance(last, str) else last.shown).endswith(".")


def joined(parts: Iterable[str | Figure | Words]) -> Words:
    """Words in a row as one, no full stop twice."""
    found: list[str | Figure] = []
    for part in parts:
        for one in part if isinstance(part, tuple) else (part,):
            word = one[1:] if isinstance(one, str) and one[:1] == "." and _ends_with_stop(tuple(found)) else one
            if isinstance(word, str) and found and isinstance(found[-1], str):
                found[-1] += word
            elif word:
                found.append(word)
    return tuple(found)


def sentences(*said: Words) -> Words:
    """One sentence after the other, without those that say nothing."""
    return tuple(word for at, one in enumerate(filter(None, said)) for word in ((" ",) if at else ()) + one)


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
    """Rows under a head; columns `numbers` are set to the right. A closed one is there for who opens it.

    On paper nothing can be opened: `on_paper` says whether it is there; if None it is if it is not closed.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    numbers: frozenset[int] = frozenset()
    is_closed: bool = False
    more: int = 0
    on_paper: bool | None = None

    @classmethod
    def of(
        cls,
        caption: str,
        head: Sequence[str],
        rows: Sequence[tuple[Words, ...]],
        numbers: Iterable[int] = (),
        *,
        is_closed: bool = False,
    ) -> "Table":
        """The table of as many of `rows` as are shown."""
        shown = tuple(rows[:MAX_ROWS])
        return cls(caption, tuple(head), shown, frozenset(numbers), is_closed, len(rows) - len(shown))


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
    """What must be known before anything else; `status` is how serious it is meant, in CAP's words, if it is that."""

    name: str
    text: str
    status: str = ""
