"""A sheet to draw on: shapes and texts in named roles, which remembers where its texts stand. SVG comes out of it.

Widths of texts are those of Noto Sans with something to spare, as the reader's machine may have another font; what
does not fit is cut, and said in full when pointed at.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from api.pages.markup import Child, e
from api.texts import plain

FONT = "Noto Sans, system-ui, -apple-system, Segoe UI, Noto Sans CJK SC, Noto Sans CJK JP, sans-serif"
ROLES: dict[str, dict[str, str]] = {
    "ink": {"fill": "#1b2430"},
    "quiet": {"fill": "#4d5866"},
    "bad": {"fill": "#94201a"},
    "act": {"fill": "#1d4f80"},
    "fair": {"fill": "#714a00"},
    "on-bad": {"fill": "#ffffff"},
    "bar-bad": {"fill": "#b3362f"},
    "bar-soft": {"fill": "#e9b7b3"},
    "bar-stock": {"fill": "#9fbcd6"},
    "bar-hit": {"fill": "#7c8794"},
    "track": {"fill": "#f0f2f5"},
    "hatch": {"fill": "none", "stroke": "#ffffff", "stroke-width": "1.5"},
    "card": {"fill": "#ffffff", "stroke": "#aab4c0", "stroke-width": "1"},
    "card-own": {"fill": "#eaf1f8", "stroke": "#1d4f80", "stroke-width": "2"},
    "card-hit": {"fill": "#fbeceb", "stroke": "#94201a", "stroke-width": "1.5"},
    "card-masked": {"fill": "#f7f8fa", "stroke": "#8a95a3", "stroke-width": "1", "stroke-dasharray": "4 3"},
    "card-masked-hit": {"fill": "#fbeceb", "stroke": "#94201a", "stroke-width": "1.5", "stroke-dasharray": "4 3"},
    "ribbon": {"fill": "#faf2e1", "stroke": "#c08a1e", "stroke-width": "1"},
    "edge": {"fill": "none", "stroke": "#8a95a3", "stroke-width": "1.5"},
    "edge-bad": {"fill": "none", "stroke": "#b3362f", "stroke-width": "2.5"},
    "edge-masked": {"fill": "none", "stroke": "#b3362f", "stroke-width": "2", "stroke-dasharray": "2 5",
                    "stroke-linecap": "round"},
    "tip": {"fill": "#b3362f"},
    "tick": {"fill": "none", "stroke": "#dde2e8", "stroke-width": "1"},
    "axis": {"fill": "none", "stroke": "#8a95a3", "stroke-width": "1"},
    "now": {"fill": "none", "stroke": "#1b2430", "stroke-width": "1.25"},
    "onset": {"fill": "none", "stroke": "#94201a", "stroke-width": "1.25", "stroke-dasharray": "4 3"},
    "whisker": {"fill": "none", "stroke": "#4d5866", "stroke-width": "1.5"},
    "sea": {"fill": "#eef3f7"},
    "land": {"fill": "#ccd4dc", "fill-rule": "evenodd"},
    "border": {"fill": "none", "stroke": "#ffffff", "stroke-width": "0.75", "stroke-linejoin": "round"},
    "area": {"fill": "#b3362f", "fill-opacity": "0.18", "stroke": "#b3362f", "stroke-width": "1.25"},
    "site": {"fill": "#4d5866", "stroke": "#ffffff", "stroke-width": "1.5"},
    "site-own": {"fill": "#1d4f80", "stroke": "#ffffff", "stroke-width": "1.5"},
    "site-hit": {"fill": "#b3362f", "stroke": "#ffffff", "stroke-width": "1.5"},
    "leader": {"fill": "none", "stroke": "#4d5866", "stroke-width": "0.75"},
    "halo": {"fill": "#ffffff", "fill-opacity": "0.82"},
}  # fmt: skip
"""What is drawn in which role, and how it looks on paper."""

_REGULAR = (
    260, 269, 408, 646, 572, 831, 732, 225, 300, 300, 551, 572, 268, 322, 268, 372, 572, 572, 572, 572, 572, 572, 572,
    572, 572, 572, 268, 268, 572, 572, 572, 434, 899, 639, 650, 632, 730, 556, 519, 728, 741, 339, 273, 619, 524, 907,
    760, 781, 605, 781, 622, 549, 556, 731, 600, 930, 586, 566, 572, 329, 372, 329, 572, 444, 281, 561, 615, 480, 615,
    564, 344, 615, 618, 258, 258, 534, 258, 935, 618, 605, 615, 615, 413, 479, 361, 618, 508, 786, 529, 510, 470, 380,
    551, 380, 572,
)  # fmt: skip
"""Advance widths of the ASCII letters of Noto Sans, in thousandths of the size."""
_BOLD = 1.14
_TO_SPARE = 1.12
_OTHER = 640
LINE = 1.3
"""From one line to the next, in sizes."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, its upper left corner first."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: "Box") -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def within(self, other: "Box") -> bool:
        return (
            self.x >= other.x
            and self.y >= other.y
            and self.x + self.width <= other.x + other.width
            and self.y + self.height <= other.y + other.height
        )


@dataclass(frozen=True, slots=True)
class Label:
    """A text as it stands on the sheet."""

    text: str
    box: Box


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide `text` is at most, give or take a font.

    >>> round(text_width("Lecco", 10))
    30
    """
    return sum(map(_advance, text)) * size / 1000 * _TO_SPARE * (_BOLD if bold else 1)


def _advance(letter: str) -> int:
    at = ord(letter) - 32
    if 0 <= at < len(_REGULAR):
        return _REGULAR[at]
    if unicodedata.combining(letter):
        return 0
    return 1000 if unicodedata.east_asian_width(letter) in "WF" or ord(letter) > 0xFFFF else _OTHER


def fitted(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """`text`, cut with … where it is wider than `width`.

    >>> fitted("Székesfehérvár", 50, 12)
    'Széke…'
    """
    if text_width(text, size, bold=bold) <= width:
        return text
    while text and text_width(text + "…", size, bold=bold) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, width: float, size: float, *, lines: int, bold: bool = False) -> list[str]:
    """`text` on `lines` lines at most, broken at spaces that may break, the last of them cut where it must be."""
    found: list[str] = []
    words = text.split(" ")
    while words:
        if len(found) == lines - 1:
            return [*found, fitted(" ".join(words), width, size, bold=bold)]
        line = words.pop(0)
        while words and text_width(f"{line} {words[0]}", size, bold=bold) <= width:
            line = f"{line} {words.pop(0)}"
        if text_width(line, size, bold=bold) > width:  # one word longer than a line
            part = fitted(line, width, size, bold=bold)[:-1]
            words.insert(0, line[len(part) :])
            line = part
            if not part:
                return [*found, "…"]
        found.append(line)
    return found


class Canvas:
    """A sheet `width` wide, as high as it turns out; `labels` are the texts on it."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.height = 0.0
        self.labels: list[Label] = []
        self._drawn: list[Child] = []

    def rectangle(self, box: Box, role: str, *, radius: float = 0) -> None:
        self._draw(
            "rect", role, x=box.x, y=box.y, width=box.width, height=box.height, **({"rx": radius} if radius else {})
        )

    def circle(self, x: float, y: float, radius: float, role: str) -> None:
        self._draw("circle", role, cx=x, cy=y, r=radius)

    def line(self, x1: float, y1: float, x2: float, y2: float, role: str) -> None:
        self._draw("line", role, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, steps: Iterable[str | float], role: str) -> None:
        """A path of SVG's commands and numbers."""
        self._drawn.append(
            e(
                "path",
                class_=role,
                d=" ".join(one if isinstance(one, str) else _number(one) for one in steps),
                **_looks(role),
            )
        )

    def polygon(self, points: Sequence[tuple[float, float]], role: str) -> None:
        """A closed shape."""
        steps: list[str | float] = []
        for at, (x, y) in enumerate(points):
            steps += ["L" if at else "M", x, y]
        self.path([*steps, "Z"], role)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        role: str = "ink",
        *,
        size: float = 12,
        anchor: str = "start",
        bold: bool = False,
        most: float | None = None,
    ) -> Box:
        """Write `text` with its base line at `y`, cut to the width `most`; where it stands."""
        said = plain(text)
        shown = said if most is None else fitted(said, most, size, bold=bold)
        box = text_box(x, y, shown, size, anchor=anchor, bold=bold)
        self.labels.append(Label(shown, box))
        looks = _looks(role)
        if anchor != "start":
            looks["text_anchor"] = anchor
        if bold:
            looks["font_weight"] = "700"
        full = e("title", said) if shown != said else None
        self._drawn.append(
            e("text", shown, full, class_=role, x=_number(x), y=_number(y), font_size=_number(size), **looks)
        )
        return box

    def svg(self, alt: str) -> str:
        """The drawing. `alt` says in words what it shows."""
        width, height = _number(self.width), _number(self.height)
        return str(
            e(
                "svg",
                e("title", plain(alt)),
                self._drawn,
                xmlns="http://www.w3.org/2000/svg",
                viewBox=f"0 0 {width} {height}",
                width=width,
                height=height,
                role="img",
                font_family=FONT,
            )
        )

    def _draw(self, name: str, role: str, **numbers: float) -> None:
        self._drawn.append(e(name, class_=role, **{key: _number(one) for key, one in numbers.items()}, **_looks(role)))


def text_box(x: float, y: float, text: str, size: float, *, anchor: str = "start", bold: bool = False) -> Box:
    """Where `text` would stand."""
    width = text_width(text, size, bold=bold)
    left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
    return Box(left, y - size * 0.95, width, size * 1.2)


def _looks(role: str) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in ROLES[role].items()}


def _number(value: float) -> str:
    """To the tenth of a point, in one text form.

    >>> _number(12.0), _number(0.25), _number(-0.04)
    ('12', '0.2', '0')
    """
    tenths = round(value * 10)
    whole, rest = divmod(abs(tenths), 10)
    return f"{'-' if tenths < 0 else ''}{whole}" + (f".{rest}" if rest else "")
