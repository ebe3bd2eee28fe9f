"""The page behind a note in a real browser the size of a telephone: readable, reachable by touch and by keyboard."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ledger_service.keys import to_hex
from tests.api.house import House, served
from tests.api.pages.notes import PIN, note, offer, set_pin
from tests.browser.chromium import WIDTH, Browser, browser

pytestmark = [pytest.mark.full, pytest.mark.timeout(180)]

# Everything is asked of the page as it is laid out, not of its source.
TOO_SMALL = """
[...document.querySelectorAll('a, button, select, textarea, summary, input:not([type=hidden])')].map(one => {
  const target = one.closest('label.choice') || one, box = target.getBoundingClientRect();
  return [target.tagName, target.textContent.trim().slice(0, 30), box.width, box.height]
}).filter(([,, width, height]) => height > 0 && (height < 44 || width < 44))
"""
NAMELESS = """
[...document.querySelectorAll('select, textarea, input:not([type=hidden])')]
  .filter(one => !(one.labels && [...one.labels].some(label => label.textContent.trim())))
  .map(one => one.name)
"""
DANGLING = """
[...document.querySelectorAll('[aria-describedby], [for], a[href^="#"]')].flatMap(one =>
  (one.getAttribute('aria-describedby') || one.getAttribute('for') || one.getAttribute('href').slice(1)).split(' ')
).filter(id => !document.getElementById(id))
"""
DOUBLE_IDS = "[...document.querySelectorAll('[id]')].map(one => one.id).filter((id, at, all) => all.indexOf(id) !== at)"
PALE = """
(() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(one => one / 255)
    .map(one => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), pale = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), owner = walker.currentNode.parentElement;
    if (!text || !owner.getClientRects().length) continue;
    const [dark, bright] = [light(parts(getComputedStyle(owner).color)), light(behind(owner))].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) pale.push([text.slice(0, 40), contrast]);
  }
  return pale;
})()
"""
OPEN_ALL = "document.querySelectorAll('details').forEach(one => { one.open = true })"


@dataclass(frozen=True)
class Scene:
    service: House
    browser: Browser

    def address(self, despatch: bytes, language: str) -> str:
        return f"{str(self.service.anyone.base_url).rstrip('/')}/o/{note(self.service, despatch)}?lang={language}"

    def look(self, name: str) -> None:
        """Hold the page as it stands to what everybody needs of it."""
        self.browser.ask(OPEN_ALL)
        # Pictures are for whoever wants to look, in a folder that they name.
        folder = os.environ.get("TALLYSTICK_PICTURES")
        if folder:
            self.browser.picture(Path(folder) / f"{name}.png")
        assert self.browser.ask("document.documentElement.scrollWidth") <= WIDTH, f"{name} is wider than the telephone"
        assert self.browser.ask(TOO_SMALL) == [], f"{name}: too small to touch"
        assert self.browser.ask(NAMELESS) == [], f"{name}: fields without a label"
        assert self.browser.ask(DANGLING) == [], f"{name}: points nowhere"
        assert self.browser.ask(DOUBLE_IDS) == [], f"{name}: ids that come twice"
        assert self.browser.ask(PALE) == [], f"{name}: too little contrast"
        assert self.browser.ask("document.querySelectorAll('h1').length") == 1
        assert self.browser.ask("getComputedStyle(document.body).margin") == "0px", "the style sheet is not there"
        assert self.browser.complaints == []


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with served(tmp_path_factory.mktemp("browser")) as service, browser() as opened:
        for member in ("nordrand", "kleinwerk"):
            assert set_pin(service, member).status_code == 201
        opened.script(enabled=False)
        yield Scene(service, opened)


@pytest.mark.parametrize("language", ["de", "cs", "zh", "hu", "ja"])
def test_damage_is_noted_by_touch_and_handed_to_the_gateway(scene: Scene, language: str) -> None:
    page, despatch = scene.browser, offer(scene.service)
    page.open(scene.address(despatch, language))
    assert page.ask("document.documentElement.lang") == language
    scene.look(f"{language}-offer")
    page.click("#pin")
    page.write(PIN)
    page.click("form[action*='/pin'] button", loads=True)
    scene.look(f"{language}-answer")
    page.ask("document.getElementById('w0.0').value = 'damaged'")
    page.click("[id='q0.0']")
    page.write("99")
    page.click("label[for='basis-counted']")
    page.click("#answer > button", loads=True)
    scene.look(f"{language}-mistake")
    assert page.ask("document.getElementById('q0.0').getAttribute('aria-invalid')") == "true"
    page.ask("document.getElementById('q0.0').value = '3'")
    page.click("#answer > button", loads=True)
    scene.look(f"{language}-review")
    page.click("form:has([name=stage][value=sign]) button", loads=True)
    scene.look(f"{language}-waiting")
    asked = scene.service.get("nordrand", "/v1/custody/requests", state="waiting").json()["items"][-1]
    assert asked["despatch"] == to_hex(despatch)
    assert asked["content"]["discrepancies"][0]["quantity"] == "3"


def test_everything_can_be_done_with_the_keyboard_alone(scene: Scene) -> None:
    page, despatch = scene.browser, offer(scene.service, "kleinwerk")
    page.open(scene.address(despatch, "en"))

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.press("Tab")
            if page.ask(f"document.activeElement.matches({selector!r})"):
                assert page.ask("getComputedStyle(document.activeElement).outlineStyle") != "none", "focus is not seen"
                return
        raise AssertionError(f"{selector} is not reached by Tab")

    tab_to("#pin")
    page.write(PIN)
    page.press("Enter", loads=True)
    tab_to("[name=basis]")
    page.press("Space")
    tab_to("#answer > button")
    page.press("Enter", loads=True)
    tab_to("form:has([value=sign]) button")
    page.press("Enter", loads=True)
    assert page.ask("document.querySelector('.state').textContent").startswith("Accepted. Signed by kleinwerk")
    scene.look("signed")


def test_a_link_that_leads_nowhere_is_a_page_too(scene: Scene) -> None:
    base = str(scene.service.anyone.base_url).rstrip("/")
    scene.browser.open(f"{base}/o/AAAAAAAAAAAAAAAAAAAAAA?lang=pl")
    assert scene.browser.ask("document.querySelector('h1').textContent") == "Ten link donikąd nie prowadzi"
    scene.look("nowhere")
