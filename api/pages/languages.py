"""The words of the page in ten languages, and which of them a reader gets. Catalogues are plain JSON, all alike."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from api.impact import template

LANGUAGES = ("en", "de", "es", "cs", "pl", "it", "hu", "fr", "zh", "ja")
"""The first is for readers of none of them."""
_CATALOGUES = Path(__file__).parent / "catalogues"
_RANGE = re.compile(r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?))?\s*")
_MAX_RANGES = 50


@dataclass(frozen=True, slots=True)
class Words:
    """One language's catalogue: every text of the page by its name."""

    language: str
    texts: Mapping[str, str]

    def __call__(self, name: str, /, **values: str) -> str:
        """The text `name` with `values` in their places; values are never read as places themselves."""
        text = self.texts[name]
        return re.sub(r"{(\w+)}", lambda place: values[place.group(1)], text) if values else text


@lru_cache(maxsize=len(LANGUAGES))
def words(language: str) -> Words:
    """The catalogue of one of LANGUAGES."""
    return Words(language, json.loads((_CATALOGUES / f"{language}.json").read_text(encoding="utf-8")))


@lru_cache(maxsize=len(LANGUAGES))
def question_words(language: str) -> Words:
    """The catalogue of one of LANGUAGES, with what the page of a request for facts says besides.

    What the fields are called comes out of the template where there is one in that language.
    """
    fields = template.texts(language) if language in template.LANGUAGES else {}
    more = json.loads((_CATALOGUES / "questions" / f"{language}.json").read_text(encoding="utf-8"))
    return Words(language, {**words(language).texts, **fields, **more})


def chosen(asked: str | None, accepted: str, among: Collection[str] = LANGUAGES) -> str:
    """The language of a reader who `asked` for one or whose browser accepts those of an Accept-Language header.

    >>> chosen(None, "fr-CH, fr;q=0.9, en;q=0.8"), chosen(None, "tlh"), chosen("cs", "fr")
    ('fr', 'en', 'cs')
    """
    if asked is not None and asked in among:
        return asked
    best, weight = LANGUAGES[0], 0.0
    for one in accepted.split(",")[:_MAX_RANGES]:
        match = _RANGE.fullmatch(one)
        if match is None:
            continue
        name, quality = match.group(1).lower(), float(match.group(2) or 1)
        if name in among and quality > weight:
            best, weight = name, quality
    return best
