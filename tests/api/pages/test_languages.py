"""Ten languages, one page: every catalogue has every text, with the same places in it."""

import re

import pytest

from api.pages.languages import LANGUAGES, chosen, words


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_every_text_with_its_places(language: str) -> None:
    english, other = words("en").texts, words(language).texts
    assert list(other) == list(english)
    for name, text in other.items():
        assert text.strip() == text, name
        assert text, name
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", english[name])), name
    assert "DEMO" in other["demo"]


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_hardly_a_text_is_left_in_english(language: str) -> None:
    english, other = words("en").texts, words(language).texts
    same = [name for name, text in other.items() if text == english[name]]
    assert set(same) <= {"carrier_for", "line_of", "pieces"}


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "tlh, zh-Hant-TW;q=0.5, en;q=0.4", "zh"),
        (None, "en;q=0.1, hu;q=0.2", "hu"),
        ("ja", "de", "ja"),
        ("xx", "pl", "pl"),
        (None, "", "en"),
        (None, "*", "en"),
        (None, "de;q=0", "en"),
        (None, ";;;q=,,\x00", "en"),
        (None, "de;q=9" + "," * 9000, "en"),
    ],
)
def test_a_reader_gets_the_language_asked_for_or_the_best_the_browser_takes(
    asked: str | None, accepted: str, language: str
) -> None:
    assert chosen(asked, accepted) == language


def test_a_value_is_never_read_as_a_place() -> None:
    assert words("en")("declined", reason="{taker} {0} {reason}").endswith("{taker} {0} {reason}")
