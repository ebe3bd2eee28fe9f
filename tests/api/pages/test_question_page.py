"""The page of a request for facts, as a supplier without software uses it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from api.impact.requests import end_of
from api.impact.template import SHEETS
from api.pages.languages import LANGUAGES, question_words
from api.pages.questions import BY_HAND
from ledger_service.keys import to_hex
from tests.api.house import House, house
from tests.api.pages.notes import Telephone, set_pin
from tests.consortium import member_id

SITE = "https://id.gs1.org/414/9521004000014"
PART = "https://id.gs1.org/01/09521004100011"
_numbers = iter(range(1, 10_000))
STOCK = {"kind": "stock", "part": "(01)09521004100011", "site": "(414)9521004000014"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("questions")) as running:
        for member in ("duero", "kleinwerk"):
            assert set_pin(running, member).status_code == 201
        yield running


def asking(service: House, asked: str = "kleinwerk", **changes: Any) -> str:
    """The id of a request that nordrand has registered."""
    content = {
        "document": {"type": "fact-request", "number": f"RQ-of-nordrand-{next(_numbers)}"},
        "wanted": [STOCK],
        "purpose": "How long e-axles last if magnets stop coming",
        "until": "2026-10-30",
        **changes,
    }
    envelope = service.envelope("nordrand", (asked,), kind="fact-request", content=content, stream=f"asking {asked}")
    answer = service.send("nordrand", envelope.data)
    assert answer.status_code == 201, answer.text
    digest: str = answer.json()["digest"]
    return digest


def link(service: House, request: str) -> str:
    """The token of a fresh link to the page of a request."""
    answer = service.post("nordrand", f"/v1/risk/requests/{request}/page")
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["url"].rpartition("/")[2]
    return token


@dataclass
class Reader(Telephone):
    """A browser at the page of a request."""

    place: str = "q"

    def form(self) -> str:
        """The token of the form that is open."""
        found = re.search(r'name="form" value="(\w+)"', self.last.text)
        assert found is not None
        return found.group(1)


def reader(service: House, request: str, lang: str = "en") -> Reader:
    return Reader(service, link(service, request), lang)


def state(service: House, request: str, name: str = "nordrand") -> dict[str, Any]:
    (one,) = (one for one in service.get(name, "/v1/risk/requests").json()["items"] if one["request"] == request)
    found: dict[str, Any] = one
    return found


def content(service: House, name: str, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = service.get(name, f"/v1/statements/{digest}").json()
    return found


@pytest.mark.parametrize(("lang", "title"), [("en", "nordrand asks you for facts"), ("de", "nordrand bittet Sie um")])
def test_the_link_shows_who_asks_what_for_what_and_until_when(service: House, lang: str, title: str) -> None:
    page = reader(service, asking(service), lang)
    text = page.get().text
    assert title in text
    for word in ("kleinwerk", "How long e-axles last", "GTIN 09521004100011", "GLN 9521004000014"):
        assert word in text
    assert ("30 Oct 2026" if lang == "en" else "30.10.2026") in text
    assert 'name="pin"' in text
    assert "<script" not in text
    assert page.last.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_facts_of_a_custodial_member_are_signed_here_and_told_to_the_asker(service: House) -> None:
    request = asking(service)
    page = reader(service, request)
    page.sign_in()
    fields = {"answer": "answer", "f0__0__quantity": "1.920,5", "f0__0__uom": "kg", "f0__0__coming_from": ""}
    review = page.post("answer", **fields)
    assert "1.920,5" in review.text
    assert "Said along with it" in review.text
    assert "<strong>Sites</strong>: GLN 9521004000014" in review.text
    assert state(service, request)["state"] == "open", "nothing is signed before it is said once more"
    form = page.form()
    signed = page.post("answer", stage="sign", **fields)
    assert "Answered. Signed by kleinwerk" in signed.text
    told = state(service, request)
    (answer,) = told["answers"]
    assert (told["state"], answer["outcome"]) == ("answered", "answered")
    fact = content(service, "kleinwerk", answer["facts"][0])
    assert fact["header"]["kind"] == "stock"
    assert (fact["content"]["quantity"], fact["content"]["uom"]) == ("1920.5", "KGM")
    assert (fact["content"]["site"], fact["content"]["part"], fact["content"]["to"]) == (SITE, PART, [])
    claimed = content(service, "kleinwerk", answer["facts"][1])
    assert (claimed["header"]["kind"], claimed["content"]["site"]) == ("site", SITE), "or its stock would not count"
    assert service.get("nordrand", f"/v1/statements/{answer['facts'][0]}").status_code == 404, (
        "views show it, by levels"
    )
    again = page.post("answer", stage="sign", form=form, **fields)
    assert again.status_code == 409
    assert "Yours was not sent" in again.text


def test_a_member_with_its_own_key_is_asked_to_sign_by_its_gateway(service: House) -> None:
    request = asking(service, "duero")
    page = reader(service, request)
    page.sign_in()
    page.post("answer", answer="answer", stage="sign", f0__0__quantity="7", f0__0__uom="pcs")
    assert page.states() == [
        "Your answer is with the gateway of duero, which has not signed it yet. Until it does, nothing is answered."
    ]
    (asked,) = service.get("duero", "/v1/custody/requests", state="waiting").json()["items"]
    assert (asked["kind"], asked["asked"]) == ("fact-answer", request)
    assert asked["content"]["facts"][0]["content"]["quantity"] == "7"
    assert state(service, request)["state"] == "open"
    declined = service.post("duero", f"/v1/custody/requests/{asked['id']}/declined", json={"reason": "not for you"})
    assert declined.status_code == 200
    assert "Your gateway did not sign: not for you" in page.get().text


def test_declining_says_why(service: House) -> None:
    request = asking(service)
    page = reader(service, request)
    page.sign_in()
    assert page.post("answer", answer="decline").status_code == 422
    page.post("answer", answer="decline", reason="confidential", text="Ask our sales.", stage="sign")
    (answer,) = state(service, request)["answers"]
    assert (answer["outcome"], answer["reason"], answer["text"]) == ("declined", "confidential", "Ask our sales.")


def test_passing_on_asks_the_supplier_and_neither_side_learns_of_the_other(service: House) -> None:
    request = asking(service)
    page = reader(service, request)
    page.sign_in()
    supplier = to_hex(member_id("oderland"))
    fields = {
        "answer": "forward", "supplier": supplier, "purpose": "We look at our supplies.", "until": "2026-10-20",
        "part": "MG-1 (oderland.example.org)",
    }  # fmt: skip
    assert "has passed" in page.post("answer", **fields).text or "passed its request on" in page.last.text
    page.post("answer", stage="sign", **fields)
    told = state(service, request)
    assert (told["state"], [one["outcome"] for one in told["answers"]]) == ("forwarded", ["forwarded"])
    (upward,) = service.get("oderland", "/v1/risk/requests").json()["items"]
    assert (upward["asker"], upward["asked"]) == (to_hex(member_id("kleinwerk")), supplier)
    assert upward["wanted"] == [{"kind": "stock", "part": "did:web:oderland.example.org/part/MG-1"}]
    seen_above, seen_below = str(upward), str(told)
    for secret in (request, to_hex(member_id("nordrand")), "e-axles", PART, SITE, told["document"]["number"]):
        assert secret not in seen_above
    for secret in (upward["request"], supplier, "oderland", upward["document"]["number"]):
        assert secret not in seen_below
    assert state(service, request, "kleinwerk")["passedOnAs"] == upward["request"]
    above = content(service, "oderland", upward["request"])
    answered = content(service, "nordrand", told["answers"][0]["answer"])
    assert above["header"]["stream"] != answered["header"]["stream"]
    assert supplier not in str(answered["content"])


def needed() -> set[str]:
    """The names of all texts that a page may show."""
    english = question_words("en").texts
    found = {one for one in english if one.startswith(("ask_", "kind_", "unit_", "level_"))}
    for sheet in SHEETS:
        if sheet.kind in BY_HAND:
            asked = [one for one in sheet.columns if one.asks]
            found |= {f"column_{sheet.kind}_{one.name}" for one in asked} | {f"about_{sheet.kind}"}
            found |= {f"hint_{one.sort}" for one in asked} & english.keys() - {"hint_degrees"}
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_all_that_the_page_may_show(language: str) -> None:
    english, here = question_words("en").texts, question_words(language).texts
    assert needed() <= here.keys()
    for name in needed() - {"ask_day"}:
        assert set(re.findall(r"{\w+}", english[name])) == set(re.findall(r"{\w+}", here[name])), name
        if name.startswith("ask_") and name != "ask_no":
            assert language == "en" or here[name] != english[name], name
    assert {"{day}", "{year}"} <= set(re.findall(r"{\w+}", here["ask_day"]))


@pytest.mark.parametrize("language", LANGUAGES)
def test_stock_is_answered_in_every_language(service: House, language: str) -> None:
    page = reader(service, asking(service, wanted=[STOCK, {"kind": "capacity"}]), language)
    page.sign_in()
    say = question_words(language)
    shown = page.last.text
    assert f'lang="{language}"' in shown
    for text in (say("kind_stock"), say("column_stock_coming_on"), say("about_capacity"), say("unit_KGM")):
        assert text in shown
    fields = {"answer": "answer", "f0__0__quantity": "12,5", "f0__0__uom": "kg"}
    review = page.post("answer", **fields).text
    assert say("unit_KGM") in review
    assert say("ask_review_answered") in review
    page.post("answer", stage="sign", **fields)
    assert page.states()[0].startswith(say("ask_state_answered", asked="Kleinwerk", time="")[:5])


POSITIONS = {
    "two fields": ({"latitude": "51,53", "longitude": "9.93"}, ("51.53", "9.93")),
    "as a map has it": ({"latitude": "51.533124, 9.93"}, ("51.533124", "9.93")),
    "with a semicolon": ({"latitude": "-33,9; 18,42"}, ("-33.9", "18.42")),
    "with signs of degrees": ({"latitude": "51.53° -9.93°"}, ("51.53", "-9.93")),
    "one number": ({"latitude": "51,53"}, None),
    "beyond the pole": ({"latitude": "91, 9.93"}, None),
    "in words": ({"latitude": "Göttingen"}, None),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_a_site_says_where_it_is(service: House, name: str) -> None:
    typed, expected = POSITIONS[name]
    request = asking(service, wanted=[{"kind": "site", "site": SITE}])
    page = reader(service, request)
    page.sign_in()
    fields = {"answer": "answer", "f0__0__name": "Ebro", "f0__0__locode": "esbio"}
    fields |= {f"f0__0__{field}": text for field, text in typed.items()}
    answered = page.post("answer", **fields)
    if expected is None:
        assert answered.status_code == 422
        assert "f0.0.latitude" in answered.text
        return
    assert page.post("answer", stage="sign", **fields).status_code == 200
    (said,) = state(service, request)["answers"]
    fact = content(service, "kleinwerk", said["facts"][0])["content"]
    assert (fact["latitude"], fact["longitude"], fact["locode"]) == (*expected, "ESBIO")


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({"answer": "answer"}, "Fill in at least one of the facts"),
    "a number that is none": ({"answer": "answer", "f0__0__quantity": "many"}, "In stock: this cannot be read: many"),
    "a number that could be two": ({"answer": "answer", "f0__0__quantity": "1.200"}, "this cannot be read: 1.200"),
    "a stock below 0": ({"answer": "answer", "f0__0__quantity": "-5"}, "this cannot be read: -5"),
    "half a delivery": (
        {"answer": "answer", "f0__0__quantity": "5", "f0__0__coming_quantity": "7"},
        "On its way from (GLN): something is missing here",
    ),
    "markup": ({"answer": "answer", "f0__0__quantity": "<b>1</b>"}, "&lt;b&gt;1&lt;/b&gt;"),
    "an unknown supplier": (
        {"answer": "forward", "supplier": "0x00", "purpose": "x", "until": "2026-10-20"},
        "Choose your supplier.",
    ),
    "the asker as supplier": (
        {"answer": "forward", "supplier": to_hex(member_id("nordrand")), "purpose": "x", "until": "2026-10-20"},
        "Choose your supplier.",
    ),
    "a day that is over": (
        {"answer": "forward", "supplier": to_hex(member_id("oderland")), "purpose": "x", "until": "2020-01-01"},
        "Name a day that is not over.",
    ),
    "no purpose": (
        {"answer": "forward", "supplier": to_hex(member_id("oderland")), "purpose": " ", "until": "2026-10-20"},
        "Say what for",
    ),
    "a part in words": (
        {"answer": "forward", "supplier": to_hex(member_id("oderland")), "purpose": "x", "until": "2026-10-20",
         "part": "the round ones"},
        "This is no part",
    ),
    "an unknown reason": ({"answer": "decline", "reason": "mood"}, "Say why."),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_at_its_field_and_nothing_is_signed(service: House, name: str) -> None:
    fields, what = WRONG[name]
    request = asking(service)
    page = reader(service, request)
    page.sign_in()
    assert page.post("answer", stage="sign", **fields).status_code == 422
    assert what in page.last.text
    assert state(service, request)["answers"] == []


def test_without_the_pin_nothing_is_answered(service: House) -> None:
    request = asking(service)
    page = reader(service, request)
    page.get()
    assert page.post("answer", answer="decline", reason="other", stage="sign").status_code == 403
    page.get()
    for _ in range(5):
        page.post("pin", pin="111222")
    assert page.last.status_code == 429
    assert "Too many wrong tries" in page.get().text
    assert state(service, request)["answers"] == []


def test_the_session_of_one_request_opens_no_other(service: House) -> None:
    first, second = asking(service), asking(service)
    page = reader(service, first)
    page.sign_in()
    other = link(service, second)
    service.anyone.cookies.set("tallystick_request", service.anyone.cookies.get("tallystick_request") or "", path="/q")
    forged = service.anyone.post(
        f"/q/{other}/answer",
        data={"form": page.form(), "answer": "decline", "reason": "other", "stage": "sign"},
    )
    assert forged.status_code == 403
    assert state(service, second)["answers"] == []


def test_links_are_made_by_the_asker_alone_and_end_a_week_after_its_day(fresh: House) -> None:
    assert set_pin(fresh, "kleinwerk").status_code == 201
    request = asking(fresh)
    for name in ("kleinwerk", "oderland"):
        assert fresh.post(name, f"/v1/risk/requests/{request}/page").status_code == 404
    page = reader(fresh, request)
    assert page.get().status_code == 200
    fresh.clock.now = end_of_october()
    assert "The day has passed without an answer" in page.get().text
    page.sign_in()
    page.post("answer", answer="decline", reason="no-longer", stage="sign")
    fresh.sign_out()
    (answer,) = state(fresh, request)["answers"]
    assert answer["isLate"]
    fresh.clock.now += 7 * 86_400_000
    assert page.get().status_code == 410
    assert Reader(fresh, "A" * 22).get().status_code == 404


def end_of_october() -> int:
    from datetime import date

    return end_of(date(2026, 10, 30))


def test_a_level_for_a_supply_link_goes_into_the_link(service: House) -> None:
    wanted = {"kind": "supply-link", "part": "(01)09521004100011"}
    request = asking(service, wanted=[{"kind": "site"}, wanted], level="tier")
    page = reader(service, request, "de")
    page.sign_in()
    assert "nordrand schlägt vor: Stufe" in page.last.text
    fields = {
        "answer": "answer", "level": "impact-only",
        "f0__0__site": "9521004000014", "f0__0__region": "East Asia",
        "f1__0__supplier": "9521004000014", "f1__0__customer": "9521002000016", "f1__0__share": "1",
        "f1__0__lead_days": "4", "f1__0__uom": "Stk", "f1__0__lead_working": "nein",
    }  # fmt: skip
    without = {name: value for name, value in fields.items() if name != "level"}
    assert "Sagen Sie, wer wie viel sehen darf." in page.post("answer", **without).text
    page.post("answer", stage="sign", **fields)
    (answer,) = state(service, request)["answers"]
    said = [content(service, "kleinwerk", one)["content"] for one in answer["facts"]]
    assert [one.get("level") for one in said] == [None, "impact-only"]
    assert said[1]["share"] == "0.01", "the sign stands beside the field"
    assert answer["level"] == "impact-only"

    later = asking(service, wanted=[STOCK])
    page = reader(service, later)
    page.sign_in()
    assert "Who may see how much" in page.last.text, "the link of before concerns the same part"
    page.post("answer", stage="sign", answer="answer", level="named", f0__0__quantity="5", f0__0__uom="pcs")
    (answer,) = state(service, later)["answers"]
    stock, restated = (content(service, "kleinwerk", one)["content"] for one in answer["facts"])
    assert (stock["quantity"], restated["level"]) == ("5", "impact-only")
    assert restated["levels"] == [{"level": "named", "member": to_hex(member_id("nordrand"))}]
