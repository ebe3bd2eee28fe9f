"""The page of a request for facts in a real browser the size of a telephone: readable, reachable by touch."""

from collections.abc import Iterator

import pytest

from tests.api.house import served
from tests.api.pages.notes import PIN, set_pin
from tests.api.pages.test_question_page import STOCK, asking, link, state
from tests.browser.chromium import browser
from tests.browser.test_note_page import Scene

pytestmark = [pytest.mark.full, pytest.mark.timeout(180)]
WANTED = [
    STOCK,
    {"kind": "site", "site": "(414)9521004000014"},
    {"kind": "supply-link", "site": "(414)9521004000014"},
    {"kind": "bill-of-material"},
    {"kind": "continuity-plan"},
]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with served(tmp_path_factory.mktemp("browser")) as service, browser() as opened:
        assert set_pin(service, "kleinwerk").status_code == 201
        opened.script(enabled=False)
        yield Scene(service, opened)


def address(scene: Scene, request: str, language: str) -> str:
    base = str(scene.service.anyone.base_url).rstrip("/")
    return f"{base}/q/{link(scene.service, request)}?lang={language}"


@pytest.mark.parametrize("language", ["de", "pl", "ja"])
def test_stock_is_answered_by_touch(scene: Scene, language: str) -> None:
    page, request = scene.browser, asking(scene.service, wanted=WANTED, level="tier")
    page.open(address(scene, request, language))
    scene.look(f"question-{language}")
    page.click("#pin")
    page.write(PIN)
    page.click("form[action*='/pin'] button", loads=True)
    scene.look(f"question-{language}-forms")
    page.click("[id='f0.0.quantity']")
    page.write("viel" if language == "de" else "dużo")
    page.click("label[for='level-tier']")
    page.click("#answer > button", loads=True)
    scene.look(f"question-{language}-mistake")
    assert page.ask("document.getElementById('f0.0.quantity').getAttribute('aria-invalid')") == "true"
    page.ask("document.getElementById('f0.0.quantity').value = '1920'")
    page.click("#answer > button", loads=True)
    scene.look(f"question-{language}-review")
    page.click("form:has([name=stage][value=sign]) button", loads=True)
    scene.look(f"question-{language}-signed")
    (answer,) = state(scene.service, request)["answers"]
    assert (answer["outcome"], answer["level"]) == ("answered", "tier")


def test_what_cannot_be_answered_is_a_page_too(scene: Scene) -> None:
    base = str(scene.service.anyone.base_url).rstrip("/")
    scene.browser.open(f"{base}/q/AAAAAAAAAAAAAAAAAAAAAA?lang=de")
    assert scene.browser.ask("document.querySelector('h1').textContent") == "Dieser Link führt nirgendwohin"
    scene.look("question-nowhere")
