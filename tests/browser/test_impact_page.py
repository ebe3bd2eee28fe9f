"""The page of an impact report in a real browser: wide and narrow, light and dark, readable for everybody."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.drawing.telling import Telling
from api.pages.impact import page
from tests.api.drawing.contents import CASES
from tests.browser.chromium import Browser, browser
from tests.browser.test_note_page import DANGLING, DOUBLE_IDS, OPEN_ALL, PALE, TOO_SMALL

pytestmark = [pytest.mark.full, pytest.mark.timeout(180)]

# Texts of drawings as the browser sets them, with the fonts it has: none on another, none cut off.
TOUCHING = """
[...document.querySelectorAll('svg')].filter(one => one.getClientRects().length).flatMap(svg => {
  const sheet = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")]
    .map(one => [one.firstChild.textContent, one.getBoundingClientRect()]);
  const leaves = box => box.right > sheet.right + 1 || box.left < sheet.left - 1;
  const found = texts.filter(([, box]) => leaves(box)).map(([text]) => text);
  texts.forEach(([one, a], at) => texts.slice(at + 1).forEach(([other, b]) => {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && high > Math.min(a.height, b.height) * 0.4) found.push(one + ' | ' + other);
  }));
  return found;
})
"""
# Letters of drawings as they come out on the glass, in pixels.
SMALL = """
[...document.querySelectorAll('svg text')].filter(one => one.getClientRects().length).map(one => {
  const scale = one.getScreenCTM().a;
  return [one.firstChild.textContent, parseFloat(getComputedStyle(one).fontSize) * scale];
}).filter(([, size]) => size < 9.5)
"""
PALE_DRAWN = PALE.replace("getComputedStyle(owner).color", "(owner.closest('svg') ? getComputedStyle(owner).fill : "
                          "getComputedStyle(owner).color)")  # fmt: skip


# What of the page is seen before anybody scrolls: whether all of it lies above that line.
FIRST = """
(high => ['h1', 'dl.tiles', 'dl.brief dt', 'dl.brief dd'].map(one =>
  [one, Math.round(document.querySelector(one).getBoundingClientRect().bottom)]).filter(([, end]) => end > high))"""


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        opened.script(enabled=False)
        yield opened


@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [(1280, "light", "en"), (1280, "dark", "de"), (390, "light", "de"), (390, "dark", "en")],
)
@pytest.mark.parametrize("case", CASES)
def test_a_report_is_laid_out_for_everybody(
    window: Browser, tmp_path: Path, case: str, width: int, scheme: str, language: str
) -> None:
    path = tmp_path / "report.html"
    telling = Telling(CASES[case](), "Havelmark Automobile", "0x" + "ab" * 32, is_demo=True, language=language)
    path.write_text(page(telling), "utf-8")
    window.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    window.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    window.open(path.as_uri())
    if os.environ.get("TALLYSTICK_PICTURES"):
        shot = Path(os.environ["TALLYSTICK_PICTURES"]) / f"impact-{case}-{width}-{scheme}-{language}.png"
        window.picture(shot, width)
    window.ask(OPEN_ALL)
    assert window.ask("document.documentElement.scrollWidth") <= width
    assert window.ask("document.querySelectorAll('h1').length") == 1
    assert window.ask(DOUBLE_IDS) == []
    assert window.ask(DANGLING) == []
    assert [one for one in window.ask(TOO_SMALL) if one[0] != "A"] == []
    assert window.ask(PALE_DRAWN) == [], "too little contrast"
    assert window.ask(SMALL) == [], "letters too small to read"
    # Names that are made to be wide may run into a neighbour where the browser has none of the fonts.
    assert case == "hostile" or window.ask(TOUCHING) == []
    assert window.complaints == []


def opened(window: Browser, tmp_path: Path, content: Any, width: int, language: str, **media: Any) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(Telling(content, "Havelmark Automobile", is_demo=True, language=language)), "utf-8")
    window.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    window.call("Emulation.setEmulatedMedia", **media)
    window.open(path.as_uri())


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(("width", "high"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("case", ["a maker of cars", "first in line", "two currencies", "a plan was agreed"])
def test_the_first_screen_says_what_happens_by_when_how_sure_and_what_helps(
    window: Browser, tmp_path: Path, case: str, width: int, high: int, language: str
) -> None:
    opened(window, tmp_path, CASES[case](), width, language)
    assert window.ask(f"{FIRST}({high})") == []


def test_whoever_has_a_keyboard_alone_reads_everything(window: Browser, tmp_path: Path) -> None:
    opened(window, tmp_path, CASES["forty stops"](), 1280, "en")
    window.press("Tab")
    assert window.ask("document.activeElement.className") == "skip"
    assert window.ask("document.activeElement.getBoundingClientRect().left") >= 0, "it is seen when it has the focus"
    window.press("Enter")
    assert window.ask("location.hash") == "#report"
    closed = window.ask("document.querySelectorAll('details').length")
    for _ in range(closed):
        window.press("Tab")
        assert window.ask("document.activeElement.tagName") == "SUMMARY"
        window.press("Enter")
    assert window.ask("document.querySelectorAll('details[open]').length") == closed


def test_a_printer_gets_all_stops_once(window: Browser, tmp_path: Path) -> None:
    opened(window, tmp_path, CASES["forty stops"](), 1280, "de", media="print")
    seen = "[...document.querySelectorAll('#timeline td:first-child')].filter(one => one.checkVisibility("
    seen += "{contentVisibilityAuto: true, visibilityProperty: true})).map(one => one.textContent)"
    plants = [one for one in window.ask(seen) if one.startswith("Plant ")]
    assert sorted(plants) == [f"Plant {number:02}" for number in range(40)]
