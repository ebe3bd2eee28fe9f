"""What every paper has in common: letters that no font has."""

import pytest

from api.drawing.canvas import Canvas
from api.paper import press
from api.paper.press import _shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Székesfehérvár, Plzeň, Łódź, Αθήνα, Київ, Đà Nẵng", None), ("宁波永江磁材 エチゼン 한국어", None),
        ("שלום مرحبا ქართული", None), ("ไทย", "□□□"), ("a 🏭 b", "a □ b"), ("EUR 5 – “x” → ≥ ₂", None),
        ("\U000f0000", "□"),
    ],
)  # fmt: skip
def test_a_letter_that_no_font_has_is_a_box(text: str, shown: str | None) -> None:
    assert _shown(text) == (text if shown is None else shown)


@pytest.mark.full
def test_boxes_do_not_take_for_ever() -> None:
    many = "".join(map(chr, range(0x20000, 0x20000 + 1000)))
    assert set(_shown(many)[press._MOST_RARE :]) == {"□"}


@pytest.mark.parametrize(
    "name", ["a\u200db", "e\u0301\u0301\u0301", "q\u0301\u0308", "a\ufe0fb", "नमस्ते", "שָׁלוֹם", "a\u034fb"]
)
def test_marks_in_drawings_are_left_out(name: str) -> None:
    canvas = Canvas(300)
    canvas.text(5, 20, name)
    canvas.height = 40
    assert press.pdf("glyph.typ", {"image": canvas.svg(name)}, at=0).startswith(b"%PDF-")
