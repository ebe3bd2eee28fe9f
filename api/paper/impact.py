"""A report on paper, of impact or a stress test: the sentences, tables and drawings of the page, in the same order."""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from api.drawing.blocks import Block, Commands, Facts, Listing, Picture, Sentence, Table, Tile, Words
from api.drawing.told import Told
from api.paper import press
from api.texts import shortened

TEMPLATE = "impact.typ"
_WIDE = 752.0
_HELD = "\u00a0"
_LONG = 24
"""Letters of a figure that may be broken over lines."""
_NARROW = 16
"""Letters: columns of more share the width that is left."""


@dataclass(frozen=True, slots=True)
class ImpactPaper:
    """A report to print."""

    telling: Told

    def pdf(self) -> bytes:
        """The report as PDF; the same report is the same bytes."""
        return press.pdf(TEMPLATE, self.data(), at=self._at())

    def pictures(self) -> list[bytes]:
        """The pages of the report as PNG."""
        return press.pictures(TEMPLATE, self.data(), at=self._at())

    def _at(self) -> int:
        return int(datetime.combine(self.telling.reading.day, time(), UTC).timestamp())

    def data(self) -> dict[str, Any]:
        """What the template is given. What a page keeps closed until it is opened is left to the page."""
        telling = self.telling
        status = next((one for one in telling.banners if one.name != "DEMO"), None)
        return {
            "language": telling.language,
            "demo": telling.is_demo,
            "demoText": telling.voice.text("demo"),
            "paging": telling.voice.text("paper.page", page="{page}", pages="{pages}"),
            "status": None if status is None else {"name": status.name, "text": status.text},
            "title": telling.title,
            "heading": telling.heading,
            "digest": "" if telling.digest is None else shortened(telling.digest),
            "headline": _text(telling.headline),
            "brief": [[name, _text(said)] for name, said in telling.brief],
            "asides": [_text(one) for one in telling.asides],
            "tiles": [_tile(one) for one in telling.tiles],
            "sections": [
                {"title": one.title, "blocks": [made for block in one.blocks for made in self._block(block)]}
                for one in telling.sections
            ],
        }

    def _block(self, block: Block) -> list[dict[str, Any]]:
        match block:
            case Sentence(words, tone):
                return [{"type": "sentence", "text": _text(words), "tone": tone}]
            case Facts(pairs):
                return [{"type": "facts", "pairs": [[name, _text(said)] for name, said in pairs]}]
            case Listing(items):
                return [{"type": "listing", "items": [_text(one) for one in items]}]
            case Commands(lines):
                return [{"type": "commands", "lines": list(lines)}]
            case Picture(name, alt):
                drawn = self.telling.drawing(name, _WIDE)
                return [] if drawn is None else [{"type": "picture", "svg": drawn.svg(alt), "alt": alt}]
            case Table():
                is_there = not block.is_closed if block.on_paper is None else block.on_paper
                return [_table(block, self.telling)] if is_there else []


def _table(table: Table, telling: Told) -> dict[str, Any]:
    longest = [max(len(_text(row[at])) for row in table.rows) for at in range(len(table.head))]
    return {
        "type": "table",
        "caption": table.caption,
        "head": list(table.head),
        "numbers": sorted(table.numbers),
        "wide": [at for at, letters in enumerate(longest) if letters > _NARROW and at not in table.numbers] or [0],
        # Paper cannot be pointed at, so tables have amounts of money to the cent.
        "rows": [[_text(cell, exact=True) for cell in row] for row in table.rows],
        "more": telling.voice.text("more", count=str(table.more)) if table.more else "",
    }


def _tile(tile: Tile) -> dict[str, Any]:
    return {"label": tile.label, "figure": _text(tile.figure), "note": _text(tile.note), "bad": tile.is_bad}


def _text(words: Words, *, exact: bool = False) -> str:
    """Words in a row; no line breaks within a figure."""
    shown = list[str]()
    for one in words:
        if isinstance(one, str):
            shown.append(one)
            continue
        text = one.hint if exact and one.hint and not one.is_day else one.shown
        shown.append(text.replace(" ", _HELD) if len(text) <= _LONG else text)
    return "".join(shown)
