"""The page of an impact report in a real browser: wide and narrow, light and dark, readable for everybody."""

import os
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        opened.script(enabled=False)
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("case", CASES)
def test_a_report_is_laid_out_for_everybody(
    window: Browser, tmp_path: Path, case: str, width: int, scheme: str
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(Telling(CASES[case](), "Havelmark Automobile", "0x" + "ab" * 32, is_demo=True)), "utf-8")
    window.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    window.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    window.open(path.as_uri())
    if os.environ.get("TALLYSTICK_PICTURES"):
        shot = Path(os.environ["TALLYSTICK_PICTURES"]) / f"impact-{case}-{width}-{scheme}.png"
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
