"""A report as a page, of impact or a stress test: one HTML file that needs nothing else, for screen and printer. Pure.

It has no scripts and loads nothing. All that others wrote is put in as text. Drawings come twice, for wide sheets and
for narrow ones; the style sheet shows one of them.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from api.drawing.blocks import (
    Banner,
    Block,
    Commands,
    Facts,
    Figure,
    Listing,
    Picture,
    Section,
    Sentence,
    Table,
    Tile,
    Words,
)
from api.drawing.told import Told
from api.pages.markup import Child, Element, e

_STYLE = (Path(__file__).parent / "impact.css").read_text(encoding="utf-8")
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy under which the page is served: nothing but its own style sheet."""
_WIDE, _NARROW = 752.0, 358.0
_LONG = 24
"""Letters of a figure that may be broken over lines."""
_STATUS = frozenset({"exercise", "test", "draft", "system"})
"""What is not actual, as the style sheet has words for it; all else that is not is `unreal`."""


def page(telling: Told) -> str:
    """The report as one HTML file; the same report is the same text."""
    title = f"{', '.join(one.name for one in telling.banners)}{' · ' if telling.banners else ''}{telling.title}"
    head = e(
        "head",
        e("meta", charset="utf-8"),
        e("meta", name="viewport", content="width=device-width, initial-scale=1"),
        e("meta", name="robots", content="noindex"),
        e("meta", name="color-scheme", content="light dark"),
        e("title", title),
        _Raw(f"<style>{_STYLE}</style>"),
    )
    body = e(
        "body",
        e("a", telling.voice.text("page.skip"), href="#report", class_="skip"),
        [
            e("div", e("b", one.name), one.text, class_="banner demo" if one.name == "DEMO" else "banner", role="note")
            for one in telling.banners
        ],
        e(
            "header",
            e(
                "div",
                e("span", "TALLYSTICK"),
                e("span", telling.heading),
                class_="mark",
            ),
        ),
        e(
            "main",
            e("h1", _words(telling.headline)),
            e("dl", [_tile(one) for one in telling.tiles], class_="tiles") if telling.tiles else None,
            e("dl", [part for name, said in telling.brief for part in _fact(name, said)], class_="brief"),
            [e("p", _words(one), class_="aside") for one in telling.asides],
            [_section(telling, one) for one in telling.sections],
            id="report",
        ),
        e(
            "footer",
            e("p", telling.voice.text("page.foot")),
        ),
        class_=_sheet(telling.banners) or False,
    )
    return f"<!doctype html>{e('html', head, body, lang=telling.language)}"


def _sheet(banners: Sequence[Banner]) -> str:
    """Which of the style sheet's printed pages it is: each sheet of it says what its banners say."""
    status = next((one.status.lower() for one in banners if one.status), "")
    named = status if status in _STATUS else "unreal" if status else ""
    return "-".join(filter(None, ["demo" if any(one.name == "DEMO" for one in banners) else "", named]))


class _Raw(Element):
    """Text of ours that goes in as it stands."""

    def __init__(self, text: str) -> None:
        super().__init__("", (), (text,))

    def __str__(self) -> str:
        return str(self.children[0])


def _section(telling: Told, section: Section) -> Element:
    return e(
        "section",
        e("h2", section.title, id=f"{section.id}-title"),
        [child for block in section.blocks for child in _block(telling, block, f"{section.id}-title")],
        id=section.id,
        aria_labelledby=f"{section.id}-title",
    )


def _block(telling: Told, block: Block, title: str) -> Iterable[Child]:
    match block:
        case Sentence(words, tone):
            style = tone if tone == "quiet" else f"tone-{tone}" if tone else False
            yield e("p", _words(words), class_=style)
        case Facts(pairs):
            yield e("dl", [part for name, said in pairs for part in _fact(name, said)], class_="facts")
        case Listing(items):
            yield e("ul", [e("li", _words(one)) for one in items], class_="plain")
        case Commands(lines):
            yield e("pre", "\n".join(lines))
        case Picture(name, alt):
            drawn = [(telling.drawing(name, width), kind) for width, kind in ((_WIDE, "wide"), (_NARROW, "narrow"))]
            shown = [e("div", _Raw(one.svg(alt)), class_=kind) for one, kind in drawn if one is not None]
            if shown:
                yield e("figure", shown)
        case Table():
            yield from _table(telling, block, title)


def _table(telling: Told, table: Table, title: str) -> Iterable[Child]:
    """`title` is the id of what names a table that has no caption of its own."""

    def style(column: int) -> str | bool:
        return "number" if column in table.numbers else False

    head = [e("th", name, scope="col", role="columnheader", class_=style(at)) for at, name in enumerate(table.head)]
    rows = [
        e(
            "tr",
            [
                e("td", e("span", _words(one)), class_=style(at), role="cell", data_head=table.head[at])
                for at, one in enumerate(row)
            ],
            role="row",
        )
        for row in table.rows
    ]
    is_closed_or_bare = table.is_closed or not table.caption
    # On a telephone rows are laid out as cards; the roles keep them a table for those who hear it.
    made = e(
        "table",
        None if is_closed_or_bare else e("caption", table.caption),
        e("thead", e("tr", head, role="row"), role="rowgroup"),
        e("tbody", rows, role="rowgroup"),
        class_="stack wide-table" if len(table.head) > 7 else "stack few" if len(table.head) < 5 else "stack",
        role="table",
        aria_labelledby=title if is_closed_or_bare else False,
    )
    more = e("p", telling.voice.text("more", count=str(table.more)), class_="quiet") if table.more else None
    if table.is_closed:
        yield e("details", e("summary", table.caption), made, more, class_="printed" if table.on_paper else False)
    else:
        yield e("div", made, more, class_="table" if table.on_paper is not False else "table shortened")


def _fact(name: str, said: Words) -> Iterable[Element]:
    is_hash = any(isinstance(one, str) and len(one) >= 64 and " " not in one for one in said) or any(
        isinstance(one, Figure) and len(one.shown) >= 64 for one in said
    )
    yield e("dt", name)
    yield e("dd", _words(said), class_="hash" if is_hash else False)


def _tile(tile: Tile) -> Element:
    return e(
        "div",
        e("dt", tile.label),
        e("dd", _words(tile.figure)),
        e("dd", _words(tile.note)) if tile.note else None,
        class_="tile bad" if tile.is_bad else "tile",
    )


def _words(words: Words) -> list[Child]:
    return [_figure(one) if isinstance(one, Figure) else one for one in words]


def _figure(one: Figure) -> Element:
    if one.is_day:
        return e("time", one.shown, datetime=one.value)
    return e(
        "data", one.shown, value=one.value, title=one.hint or False, class_="long" if len(one.shown) > _LONG else False
    )
