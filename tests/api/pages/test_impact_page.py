"""The page of an impact report: one file for everybody, that no name can break out of."""

import re
from base64 import b64encode
from functools import cached_property
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.drawing.blocks import Figure
from api.drawing.canvas import ROLES
from api.drawing.telling import Telling
from api.pages.impact import POLICY, page
from risk.disruption import Status
from tests.api.drawing.contents import CASES, EACH, HOSTILE, many, typhoon
from tests.api.drawing.test_telling import all_words

EMPTY = {"meta"}
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "a", "div", "b", "header", "span", "main", "h1", "h2", "p", "dl",
    "dt", "dd", "section", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure",
    "svg", "rect", "circle", "line", "path", "text", "data", "time", "ul", "li", "pre", "footer",
}  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of it: elements, their attributes and texts; fails where one is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @cached_property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def made(content: Any, **more: Any) -> Page:
    return Page(page(Telling(content, "Havelmark", "0x" + "ab" * 32, **more)))


@pytest.mark.parametrize("case", EACH)
def test_the_page_needs_nothing_and_can_do_nothing(case: str) -> None:
    found = made(CASES[case]())
    assert {tag for tag, _ in found.elements} <= ELEMENTS
    for tag, attributes in found.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "style", "srcdoc", "action")
        ]
        assert tag == "a" or "href" not in attributes
    assert [one["href"] for one in found.of("a")] == ["#report"]
    assert len(found.of("style")) == 1


@pytest.mark.parametrize("case", EACH)
def test_everybody_finds_their_way(case: str) -> None:
    found = made(CASES[case]())
    names = [tag for tag, _ in found.elements]
    assert [names.count(one) for one in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
    assert found.of("html") == [{"lang": "en"}]
    ids = [one["id"] for _, one in found.elements if "id" in one]
    assert len(ids) == len(set(ids))
    for one in found.of("section"):
        assert one["aria-labelledby"] in ids
    assert all(one.get("scope") == "col" for one in found.of("th"))
    assert {one.get("role") for one in found.of("table")} <= {"table"}
    for one in found.of("svg"):
        assert one["role"] == "img"
    assert names.count("svg") * 1 == sum(
        names[at + 1] == "title" for at, tag in enumerate(names[:-1]) if tag == "svg"
    ), "each drawing begins with what it shows"
    for one in found.of("time"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", one["datetime"] or "")


@pytest.mark.parametrize("case", EACH)
def test_all_that_is_told_is_on_the_page_and_money_has_its_cents_at_hand(case: str) -> None:
    telling = Telling(CASES[case]())
    found = Page(page(telling))
    hints = {one.get("title") for one in found.of("data")}
    for words in all_words(telling):
        for one in words:
            shown = one.shown if isinstance(one, Figure) else one
            assert " ".join(shown.split()) in found.text, shown
            assert not isinstance(one, Figure) or one.is_day or not one.hint or one.hint in hints


def test_names_are_texts_whatever_they_look_like() -> None:
    found = made(many(20, are_hostile=True))
    for name in HOSTILE[:4]:
        assert " ".join(name.split()) in found.text
    assert not re.search("[\u200b\u202e\u2066\ufffe\u0007]", found.text)
    assert "שלום مرحبا 宁波永江磁材" in found.text


def test_the_policy_lets_the_style_sheet_in_and_nothing_else() -> None:
    text = page(Telling(typhoon()))
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in POLICY
    assert POLICY.startswith("default-src 'none'; style-src 'sha256-")
    assert "url(" not in style
    assert "@import" not in style


def test_dark_pages_have_a_colour_for_each_role_of_the_drawings() -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", page(Telling(typhoon())), re.DOTALL)
    dark = style[style.index("prefers-color-scheme: dark") : style.index("@media print")]
    for role, looks in ROLES.items():
        assert role == "on-bad" or re.search(rf"svg [a-z]*\.{role}[ ,{{]", dark), f"{role} {looks}"


def test_demo_and_exercise_come_before_everything() -> None:
    text = made(typhoon(), is_demo=True).text
    assert text.index("DEMO") < text.index("EXERCISE") < text.index("In this exercise")
    plain = made(typhoon(status="Actual")).text
    assert "DEMO" not in plain
    assert "EXERCISE" not in plain


@pytest.mark.parametrize("status", [*Status, "Alarm"])
@pytest.mark.parametrize("is_demo", [True, False])
def test_every_printed_sheet_of_a_demo_or_an_exercise_says_so(status: str, is_demo: bool) -> None:
    found = page(Telling({**typhoon(), "status": str(status)}, is_demo=is_demo))
    body = Page(found).of("body")[0].get("class")
    if status == Status.ACTUAL and not is_demo:
        assert body is None
        return
    (rule,) = re.findall(rf"@page {body} {{(.*)}}\n", found)
    assert f"body.{body} {{ page: {body}; }}" in found
    assert ('"DEMO"' in rule) == is_demo
    assert ("@top-right" in rule) == (status != Status.ACTUAL)
    assert status not in ("Exercise", "Test", "Draft") or status.upper() in rule


def test_the_same_report_is_the_same_page() -> None:
    assert page(Telling(typhoon())) == page(Telling(typhoon()))


@settings(max_examples=15, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_any_name_is_a_text(name: str) -> None:
    content = many(3)
    for names in content["names"].values():
        names.update(dict.fromkeys(names, name))
    content["origins"][0] |= {"cause": name, "sources": [{"areas": [name], "name": name}]}
    content["alternatives"]["rule"] = content["checkpoint"] = name
    found = Page(page(Telling(content, name, name, members={content["reader"]: name})))
    assert {tag for tag, _ in found.elements} <= ELEMENTS
