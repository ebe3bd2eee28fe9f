"""How a stress test is told: the worst first, in two languages, with every figure that its report has."""

import json
import re
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from api.drawing.blocks import Commands, Facts, Figure, Listing, Sentence, Table, Words
from api.drawing.language import LANGUAGES, Language
from api.drawing.stressed import StressTelling, spoken
from api.pages.impact import page
from api.paper.impact import ImpactPaper
from risk.mitigation import AnotherSupplier, Cost, MoreStock
from risk.outlook import what_if
from risk.screen import Scenario
from risk.sights import view
from risk.stress import ASSUMPTIONS, Every, Question, ScenarioSet, stress_test
from risk.worst_list import worst_list
from tests.api.pages.test_impact_page import Page
from tests.risk.networks import axle_circle
from tests.risk.test_sharing import KEY, shared_at

ENGLISH, GERMAN = map(spoken, LANGUAGES)
OWN = {name for name in ENGLISH.texts if name.startswith("stress.")}


def content(level: str = "named", **asked: Any) -> dict[str, Any]:
    """A report for havelmark of the story, with every thing that one can ask."""
    made = shared_at(axle_circle(), level)
    seen = view(made, "havelmark", key=KEY, checkpoint=f"log.example.org/x 7 {'ab' * 32}",
                hits=what_if(made, {"yongjiang": (28, 43, 63)}),
                site_names={"magdeburg": "Magdeburg <b>", "yongjiang": "Ningbo yard"})  # fmt: skip
    storm = Scenario("Typhoon {x}", regions=("East Asia",), chance=Fraction(1, 10))
    cost = Cost(500_000, 100_000_00, "EUR", 5)
    mitigations = (
        MoreStock("Five days of axles", "magdeburg", "axle", 5, cost),
        AnotherSupplier("A second maker", "S2", "nordrand", "rotor", Fraction(500), 5, cost=cost),
    ) if level == "named" else (MoreStock("Five days of axles", "magdeburg", "axle", 5, cost),)  # fmt: skip
    question = Question(ScenarioSet("Circle", "1", (storm,)), (Every.SITE, Every.REGION), mitigations, **asked)
    return worst_list({"every": ["site", "region"]}, stress_test(seen, question).content)


def said(words: Words) -> str:
    return "".join(one if isinstance(one, str) else one.shown for one in words)


def figures(telling: StressTelling) -> list[str]:
    found: list[Words] = [telling.headline, *telling.asides, *(one for _, one in telling.brief)]
    found += [one.figure for one in telling.tiles]
    for section in telling.sections:
        for block in section.blocks:
            match block:
                case Sentence(words, _):
                    found.append(words)
                case Facts(pairs):
                    found += [one for _, one in pairs]
                case Table():
                    found += [cell for row in block.rows for cell in row]
                case Listing(items):
                    found += items
    return [one.value for words in found for one in words if isinstance(one, Figure)]


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return content(draws=4, seed=3)


def test_the_worst_stands_first_with_what_it_costs_before_and_after(whole: dict[str, Any]) -> None:
    telling = StressTelling(whole, "Havelmark", "0x" + "ab" * 32, is_demo=True)
    worst = whole["scenarios"][0]
    assert str(worst["effect"]["revenueCents"]) in figures(telling)
    (table,) = [one for one in telling.sections[0].blocks if isinstance(one, Table)]
    assert len(table.rows) == len(whole["scenarios"])
    assert [section.id for section in telling.sections] == [
        "worst", "mitigations", "saved", "draws", "unplaced", "assumptions", "check",
    ]  # fmt: skip
    for one in whole["scenarios"]:
        for after in one["mitigated"]:
            if after["breakEven"]["chanceAYear"] is not None:
                assert after["mitigation"] in page(telling)
    text = page(telling)
    assert "Typhoon {x}" in text, "what was said is never read as a place"
    assert "<b>" not in Page(text).text.replace("Magdeburg <b>", "")
    assert page(telling) == page(StressTelling(whole, "Havelmark", "0x" + "ab" * 32, is_demo=True))
    (commands,) = [one for one in telling.sections[-1].blocks if isinstance(one, Commands)]
    assert "0x" + "ab" * 32 in commands.lines[0]


def test_both_languages_tell_the_same_figures_and_no_english_is_left_in_german(whole: dict[str, Any]) -> None:
    for made in (whole, content("impact-only")):
        english, german = (StressTelling(made, "Havelmark", language=code) for code in LANGUAGES)
        assert sorted(figures(english)) == sorted(figures(german))
        text = Page(page(german)).text + json.dumps(ImpactPaper(german).data(), ensure_ascii=False)
        pieces = {
            piece.strip() for name in OWN for piece in re.split(r"{\w+}", ENGLISH.texts[name]) if " " in piece.strip()
        }
        other = "\n".join(GERMAN.texts[name] for name in OWN)
        assert [one for one in pieces if len(one) > 9 and one in text and one not in other] == []


def test_what_may_not_be_placed_is_told() -> None:
    telling = StressTelling(content("impact-only"))
    assert "of your output hangs on sites whose region you do not know" in said(telling.asides[0])


def test_both_catalogues_have_the_same_sentences_with_the_same_places() -> None:
    assert list(GERMAN.texts) == list(ENGLISH.texts)
    for name in OWN:
        places = [sorted(set(re.findall(r"{(\w+)}", one.texts[name]))) for one in (ENGLISH, GERMAN)]
        assert places[0] == places[1], name
        assert ENGLISH.texts[name] != GERMAN.texts[name], f"{name} is left in English"
    assert not OWN & Language.of("en").texts.keys()


def test_every_assumption_has_words_in_both() -> None:
    known = {one for name, one in ENGLISH.texts.items() if name.startswith("stress.assumption.")}
    assert known == set(ASSUMPTIONS)


def test_a_report_that_was_cut_says_so(whole: dict[str, Any]) -> None:
    cut = whole | {"omitted": {"scenarios": 40}, "scenarios": whole["scenarios"][:1]}
    assert "Not all has room" in page(StressTelling(cut))
    nothing = whole | {"scenarios": [], "mitigations": [], "flagged": 0}
    assert "none of those walked" in page(StressTelling(nothing))


def test_it_is_printed(whole: dict[str, Any]) -> None:
    printed = ImpactPaper(StressTelling(whole, "Havelmark", "0x" + "ab" * 32, language="de")).pdf()
    assert printed.startswith(b"%PDF")
    assert date.fromisoformat(whole["day"]).year == 2026
