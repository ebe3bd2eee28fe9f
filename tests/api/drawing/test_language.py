"""Two languages, one report: every catalogue has every sentence, and whoever reads German reads no English."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import api.drawing
from api.drawing.blocks import Figure
from api.drawing.language import LANGUAGES, Language
from api.drawing.telling import Telling
from api.pages.impact import page
from api.paper.impact import ImpactPaper
from risk.alternatives import Reason
from risk.assessment import ASSUMPTIONS, CRITERIA, PRO_RATA
from risk.disruption import Cause, Place, Status
from risk.plans import TriggerKind
from risk.routes import Mode, Passage
from tests.api.drawing.contents import CASES, EACH, typhoon
from tests.api.drawing.test_telling import all_words
from tests.api.pages.test_impact_page import Page

ENGLISH, GERMAN = map(Language.of, LANGUAGES)
READERS = ("havelmark", "nordrand", "lariana", "vltava", "peipsi")
SAME = {
    "format.percent", "compass.n", "compass.s", "compass.w", "status.name", "status.Test.name", "status.System.name",
    "closed.day", "hit.at", "region", "area.region", "trigger.region", "cause.tsunami", "check.content",
    "passage.bosporus", "suggest.covers", "suggest.ranked.as", "bound",
}  # fmt: skip
"""Texts that are the same in both languages."""


def places(text: str) -> list[str]:
    return sorted(set(re.findall(r"{(\w+)}", text)))


def test_both_catalogues_have_the_same_sentences_with_the_same_places() -> None:
    assert list(GERMAN.texts) == list(ENGLISH.texts)
    for name, text in GERMAN.texts.items():
        assert places(text) == places(ENGLISH.texts[name]), name
        assert text, name
        assert (text == ENGLISH.texts[name]) <= (name in SAME), f"{name} is left in English"


def test_every_sentence_is_said_somewhere() -> None:
    """A name of a catalogue is in the source, or the family of names that it belongs to is made there."""
    folder = Path(api.drawing.__file__).parent
    source = "\n".join(
        one.read_text(encoding="utf-8") for one in [*folder.glob("*.py"), *folder.parent.glob("p*/impact.py")]
    )
    said = set(re.findall(r'"([\w.]+)"', source))
    families = {name.split("{")[0].rstrip(".") for name in re.findall(r'f"([\w.]+\.{[^"]*)"', source)}
    families |= {name.rstrip(".") for name in re.findall(r'(?:coded|known|form)\(\s*"([\w.]+)"', source)}
    families |= {"timeline.moreSuppliers", "timeline.moreYours", "compass"}
    unsaid = [
        name
        for name in ENGLISH.texts
        if name not in said
        and not any(name.startswith(f"{one}.") for one in families)
        and not name.startswith("headline.")
    ]
    assert unsaid == []


@pytest.mark.parametrize(
    ("kind", "sentences"),
    [("assumption", ASSUMPTIONS), ("reason", tuple(Reason)), ("criterion", tuple(one.name for one in CRITERIA)),
     ("area", tuple(f"{one} X" for one in Place))],
)  # fmt: skip
def test_what_a_report_says_word_for_word_is_in_the_catalogues(kind: str, sentences: tuple[str, ...]) -> None:
    for one in sentences:
        assert ENGLISH.known(kind, str(one)) == str(one)
        assert GERMAN.known(kind, str(one)) not in (str(one), ""), f"{one!r} has no German words"


def test_every_code_of_a_report_has_words() -> None:
    names = [f"cause.{one}" for one in Cause] + [f"mode.{one}" for one in Mode] + [f"passage.{one}" for one in Passage]
    names += [f"trigger.{one}" for one in TriggerKind] + [f"rule.{PRO_RATA}"]
    names += [f"{each}.{one}" for each in ("status", "meant") for one in Status if one is not Status.ACTUAL]
    assert [name for name in names if name not in ENGLISH.texts] == []


def fragments(language: Language) -> set[str]:
    """What stands between the places of all sentences, as far as it is long enough to be told from another."""
    found = set()
    for text in language.texts.values():
        found |= {part.strip(" .,:;()") for part in re.split(r"{\w+}", text)}
    return {one for one in found if len(one) >= 10 and " " in one}


def german(content: Any) -> str:
    telling = Telling(content, "Havelmark", "0x" + "ab" * 32, is_demo=True, language="de")
    alts = [words[0] for words in all_words(telling) if len(words) == 1 and isinstance(words[0], str)]
    paper = json.dumps(ImpactPaper(telling).data(), ensure_ascii=False).replace("\u00a0", " ")
    return "\n".join([Page(page(telling)).text, *alts, paper])


@pytest.mark.parametrize("case", [*READERS, *(pytest.param(one, marks=pytest.mark.full) for one in CASES)])
def test_no_english_sentence_is_left_in_a_german_report(case: str) -> None:
    text = german(typhoon(case) if case in READERS else CASES[case]())
    only_english = fragments(ENGLISH) - fragments(GERMAN)
    names = json.dumps(CASES[case]() if case in CASES else "", ensure_ascii=False)
    assert sorted(one for one in only_english if one in text and one not in names) == []


@pytest.mark.parametrize("case", EACH)
def test_both_languages_tell_the_same_figures_in_the_same_order(case: str) -> None:
    content = CASES[case]()
    english, other = (
        [one.value for words in all_words(Telling(content, language=code)) for one in words if isinstance(one, Figure)]
        for code in LANGUAGES
    )
    assert sorted(english) == sorted(other)
    assert len(english) > 3


def test_a_german_writes_days_numbers_and_money_so() -> None:
    text = Page(page(Telling(typhoon(), language="de"))).text
    headline = "Übung: Stillstand in den Werken Magdeburg und Kielce von Di 8. Dez. bis Do 7. Jan. 2027: 15.360 ×"
    for words in (headline, "vehicle, 491,5 Mio. EUR.", "KW 50", "Zum Bericht", "ÜBUNG · EXERCISE"):
        assert words in text
    assert '<html lang="de">' in page(Telling(typhoon(), language="de"))
    assert ".." not in text.replace("…", "")


def test_what_nobody_has_words_for_stays_as_it_stands() -> None:
    content = json.loads(json.dumps(typhoon("lariana")))
    content["assumptions"].append("Pigs {fly} on Tuesdays.")
    content["origins"][0]["cause"] = "locusts"
    text = german(content)
    assert "Pigs {fly} on Tuesdays." in text
    assert "Locusts" in text


def test_nothing_that_is_said_is_read_as_a_place() -> None:
    assert ENGLISH.say("network.stops", day="{day} {x}") == ("stops {day} {x}",)
    assert GERMAN.text("network.stops", day="{day}") == "steht ab {day}"
