"""The page behind a printed note: who holds the paper sees, who knows the PIN answers, the taker's key signs."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.pages.languages import LANGUAGES
from ledger_service.keys import to_hex
from tests.api.house import House, house
from tests.api.pages.notes import PALLETS, PIN, SITE, Telephone, note, offer, set_pin
from tests.consortium import member_id
from tests.custody import DAY, HOUR, MINUTE, clock_text


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("notes")) as running:
        assert set_pin(running).status_code == 201
        assert set_pin(running, "kleinwerk").status_code == 201
        yield running


@pytest.fixture
def telephone(service: House) -> Telephone:
    return Telephone(service, note(service, offer(service)))


def receipts(service: House, despatch: bytes) -> int:
    view = service.app.state.service.offers.find(despatch, service.clock.now, service.network.ledger.custody_policy(0))
    return len({one.receipt for one in view.answers})


def test_the_paper_shows_what_is_on_it_and_answers_nothing(telephone: Telephone) -> None:
    page = telephone.get()
    assert page.status_code == 200
    for text in ("80417731", "SSCC 395210040009260113", "60 pcs of GTIN 09521004100011, batch L2609", "ES-448221"):
        assert text in page.text
    assert "Waiting for the answer of nordrand." in telephone.states()
    assert 'id="answer"' not in page.text
    assert telephone.post("answer", answer="accept", basis="counted", stage="sign").status_code == 403
    assert "Nothing was sent" in telephone.last.text


def test_the_paper_says_when_the_goods_arrive_where_the_giver_says_so(service: House) -> None:
    arrives = clock_text(service.clock.now + DAY)
    telephone = Telephone(service, note(service, offer(service, arrives=arrives)))
    assert f"<dt>Arrives</dt><dd>{arrives[:10]}</dd>" in telephone.get().text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_says_demo_in_every_language_and_needs_nothing_from_elsewhere(
    telephone: Telephone, language: str
) -> None:
    telephone.lang = language
    for page in (telephone.get(), telephone.sign_in(), telephone.post("answer", answer="accept", basis="scanned")):
        assert page.status_code == 200
        assert f'<html lang="{language}">' in page.text
        assert "DEMO" in page.text
        assert re.findall(r'(?:src|href)="(?!/o/|#)', page.text) == []
        assert not re.search(r"<script|<style| style=| on\w+=", page.text)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
    assert service_style(telephone).status_code == 200


def service_style(telephone: Telephone) -> Any:
    found = re.search(r'href="(/o/page\.css[^"]*)"', telephone.last.text)
    assert found is not None
    return telephone.service.anyone.get(found.group(1))


def test_ids_are_short_and_closed_away_and_no_key_or_number_of_the_chain_is_shown(telephone: Telephone) -> None:
    telephone.sign_in()
    shown = re.sub(r'name="form" value="\w+"', "", telephone.last.text)
    assert not re.search(r"[0-9a-f]{40}", shown)
    before, details = shown.split("<details><summary>Details", 1)
    assert "…" in details
    assert "hash" not in before


def test_what_others_wrote_is_text_and_nothing_else(service: House) -> None:
    evil = "<img src=x onerror=alert(1)> \"' {taker} &lt;\u202e"
    carrier = {"name": evil.strip(), "for": to_hex(member_id("duero"))}
    telephone = Telephone(service, note(service, offer(service, carrier=carrier)))
    page = telephone.get()
    assert "<img" not in page.text
    assert "\u202e" not in page.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.text
    assert "{taker} &amp;lt;" in page.text


# -- who may answer ----------------------------------------------------------------------------------------------------


def test_a_wrong_pin_is_told_how_many_tries_are_left_and_the_fifth_has_to_wait(telephone: Telephone) -> None:
    for left in (4, 3, 2, 1):
        assert telephone.sign_in("111222").status_code == 403
        assert f"Tries left: {left}." in telephone.last.text
        assert 'aria-invalid="true"' in telephone.last.text
    assert telephone.sign_in("111222").status_code == 429
    assert "Too many wrong tries. Try again after" in telephone.last.text
    telephone.get()
    assert telephone.service.anyone.post(f"/o/{telephone.token}/pin", data={"pin": PIN}).status_code == 403
    telephone.service.clock.forward(16 * 60)
    assert "What has arrived?" in telephone.sign_in().text


def test_a_paper_has_twenty_wrong_tries_in_all(telephone: Telephone) -> None:
    for _ in range(4):
        for _ in range(5):
            telephone.sign_in("111222")
        telephone.service.clock.forward(16 * 60)
    telephone.get()
    assert "this paper cannot be answered any more" in telephone.last.text
    assert 'id="pin"' not in telephone.last.text


def test_tries_at_once_are_not_more_than_tries_one_by_one(service: House) -> None:
    token = note(service, offer(service))
    notes = service.app.state.service.desk.notes
    one = notes.find(token)
    now, member = service.clock.now, member_id("nordrand")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: notes.try_pin(one, member, SITE, "111222", now), range(24)))
    assert found == [None] * 24
    after = notes.find(token)
    assert (after.tries, after.blocked_until) == (5, now + 15 * MINUTE)
    assert notes.try_pin(one, member, SITE, PIN, now) is None


@pytest.mark.parametrize("pin", ["", "12345", "1234567890123", "48091a", "٤٨٠٩١٣", "111111", "123456", "987654"])
def test_a_pin_that_would_be_tried_first_is_not_set(service: House, pin: str) -> None:
    answer = set_pin(service, "oderland", pin)
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (422, "unfit-pin")


def test_a_site_may_have_a_pin_of_its_own(service: House) -> None:
    other = "https://id.gs1.org/414/9521004000014"
    assert set_pin(service, pin="750286", site="(414)9521004000014").json()["site"] == other
    telephone = Telephone(service, note(service, offer(service, shipTo=other)))
    assert telephone.sign_in(PIN).status_code == 403
    assert "What has arrived?" in telephone.sign_in("750286").text
    listed = service.get("nordrand", "/v1/custody/pins").json()["items"]
    assert [one["site"] for one in listed] == [None, other]
    assert "hash" not in str(listed)


def test_whose_site_has_no_pin_is_sent_to_its_gateway(service: House) -> None:
    telephone = Telephone(service, note(service, offer(service, "oderland")))
    telephone.get()
    assert any("has set no PIN" in one for one in telephone.states())


def test_a_new_pin_ends_what_the_old_one_opened(service: House) -> None:
    telephone = Telephone(service, note(service, offer(service, "kleinwerk")))
    assert "What has arrived?" in telephone.sign_in().text
    service.clock.forward(1)
    set_pin(service, "kleinwerk", "660318")
    assert "What has arrived?" not in telephone.get().text
    set_pin(service, "kleinwerk", PIN)


def test_a_session_is_for_one_note_lasts_half_an_hour_and_can_be_left(telephone: Telephone, service: House) -> None:
    telephone.sign_in()
    cookie = service.anyone.cookies.get("tallystick_note", path=f"/o/{telephone.token}")
    other = note(service, offer(service))
    page = service.anyone.get(f"/o/{other}", headers={"Cookie": f"tallystick_note={cookie}"})
    assert "What has arrived?" not in page.text
    telephone.post("leave")
    assert "What has arrived?" not in telephone.get().text
    telephone.sign_in()
    service.clock.forward(31 * 60)
    assert telephone.post("answer", answer="accept", basis="counted").status_code == 403
    assert "What has arrived?" not in telephone.get().text


def test_a_form_that_is_not_from_this_session_is_not_taken(telephone: Telephone) -> None:
    telephone.sign_in()
    answer = telephone.service.anyone.post(
        f"/o/{telephone.token}/answer", data={"form": "0" * 64, "answer": "accept", "basis": "counted", "stage": "sign"}
    )
    assert answer.status_code == 403
    assert telephone.get().text.count("Waiting for the answer") == 1


def test_the_cookie_is_for_this_page_alone_and_no_script(telephone: Telephone) -> None:
    header = telephone.get().headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", f"Path=/o/{telephone.token}"):
        assert part in header


# -- answers -----------------------------------------------------------------------------------------------------------


def test_without_the_takers_key_an_answer_waits_for_its_gateway_and_is_called_nothing_else(service: House) -> None:
    despatch = offer(service)
    telephone = Telephone(service, note(service, despatch))
    telephone.sign_in()
    page = telephone.accept(u1="missing", w0__0="damaged", q0__0="3", document="5000188213")
    assert page.status_code == 200
    (state,) = telephone.states()
    assert state.startswith("Your answer is with the gateway of nordrand, which has not signed it yet.")
    assert "Signed by" not in page.text
    assert "SSCC 395210040009260106: damaged: 3 pcs of GTIN 09521004100011" in page.text
    assert receipts(service, despatch) == 0
    (request,) = [
        one
        for one in service.get("nordrand", "/v1/custody/requests", state="waiting").json()["items"]
        if one["despatch"] == to_hex(despatch)
    ]
    assert request["content"]["outcome"] == "accepted-with-discrepancies"
    assert request["content"]["document"]["number"] == "5000188213"
    assert request["content"]["to"] == [to_hex(member_id("duero"))]
    # Nobody else sees it, and one answer at a time is enough.
    assert service.get("duero", "/v1/custody/requests").json()["items"] == []
    assert (
        service.post("duero", f"/v1/custody/requests/{request['id']}/declined", json={"reason": "x"}).status_code == 404
    )
    assert telephone.post("answer", answer="accept", basis="counted", stage="sign").status_code in (403, 409)

    content = {name: value for name, value in request["content"].items() if name != "to"}
    signed = service.envelope("nordrand", ("duero",), kind="receipt", content=content)
    digest = service.send("nordrand", signed.data).json()["digest"]
    done = service.post("nordrand", f"/v1/custody/requests/{request['id']}/fulfilled", json={"statement": digest})
    assert (done.status_code, done.json()["state"], done.json()["statement"]) == (200, "fulfilled", digest)
    telephone.get()
    (state,) = telephone.states()
    assert state.startswith("Accepted with remarks. Signed by nordrand on 20")
    assert "SSCC 395210040009260113: is missing" in telephone.last.text


def test_a_request_is_fulfilled_by_what_was_asked_for_and_by_nothing_else(service: House) -> None:
    despatch = offer(service)
    telephone = Telephone(service, note(service, despatch))
    telephone.sign_in()
    telephone.accept()
    number = service.get("nordrand", "/v1/custody/requests", state="waiting").json()["items"][-1]["id"]
    for statement in ("0x" + "77" * 32, to_hex(despatch)):
        answer = service.post("nordrand", f"/v1/custody/requests/{number}/fulfilled", json={"statement": statement})
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (422, "unfit-statement")
    refused = service.post("nordrand", f"/v1/custody/requests/{number}/declined", json={"reason": "Call the office."})
    assert refused.json()["state"] == "declined"
    telephone.get()
    assert telephone.states() == ["Waiting for the answer of nordrand.", "Your gateway did not sign: Call the office."]
    assert "What has arrived?" in telephone.last.text


def test_for_a_member_whose_key_is_kept_here_the_answer_is_signed_at_once_and_only_once(service: House) -> None:
    despatch = offer(service, "kleinwerk")
    telephone = Telephone(service, note(service, despatch))
    telephone.sign_in()
    review = telephone.post("answer", answer="accept", basis="scanned")
    assert "Accepted as announced." in review.text
    assert ">Sign<" in review.text
    form = re.search(r'name="form" value="(\w+)"', review.text)
    assert form is not None
    fields = {"form": form.group(1), "answer": "accept", "basis": "scanned", "stage": "sign"}
    telephone.post("answer", **fields)
    (state,) = telephone.states()
    assert state.startswith("Accepted. Signed by kleinwerk on 20")
    again = service.anyone.post(f"/o/{telephone.token}/answer", data=fields)
    assert again.status_code == 409
    assert "Answered already" in again.text
    assert receipts(service, despatch) == 1


def test_a_refusal_is_signed_with_its_reason(service: House) -> None:
    telephone = Telephone(service, note(service, offer(service, "kleinwerk")))
    telephone.sign_in()
    assert telephone.post("answer", answer="refuse", reason=" ").status_code == 422
    assert "Say why" in telephone.last.text
    telephone.refuse("All boxes are wet.")
    (state,) = telephone.states()
    assert state.startswith("Refused. Signed by kleinwerk on 20")


def test_a_mistake_leaves_the_form_as_it_was_filled_in(telephone: Telephone) -> None:
    telephone.sign_in()
    page = telephone.post("answer", answer="accept", basis="counted", w0__0="damaged", q0__0="99", extra="nonsense")
    assert page.status_code == 422
    assert 'href="#q0.0"' in page.text
    assert 'value="99"' in page.text
    assert "nonsense</textarea>" in page.text
    assert "This is no number of a unit: nonsense" in page.text


# -- ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["A" * 22, "x", "%2e%2e", "page", "A" * 500])
def test_a_link_that_leads_nowhere_says_so(service: House, token: str) -> None:
    answer = service.anyone.get(f"/o/{token}")
    assert answer.status_code == 404


def test_silence_past_the_date_is_no_answer_and_can_still_be_refused(service: House) -> None:
    telephone = Telephone(service, note(service, offer(service, "kleinwerk")))
    service.clock.forward(49 * HOUR // 1000)
    telephone.sign_in()
    assert telephone.states()[0].startswith("The date has passed and nobody has answered.")
    assert 'id="answer"' not in telephone.last.text
    telephone.refuse("It never came.")
    assert telephone.states()[0].startswith("Refused. Signed by kleinwerk")


def test_a_note_ends_a_week_after_its_offer(telephone: Telephone) -> None:
    telephone.service.clock.forward(9 * DAY // 1000 + 60)
    assert telephone.get().status_code == 410
    assert "This link has ended" in telephone.last.text
    assert "80417731" not in telephone.last.text


def test_an_offer_taken_back_cannot_be_answered(service: House) -> None:
    despatch = offer(service)
    telephone = Telephone(service, note(service, despatch))
    telephone.sign_in()
    offer(service, corrects=to_hex(despatch), units=[])
    assert telephone.post("answer", answer="accept", basis="counted", stage="sign").status_code == 409
    assert telephone.states()[0].startswith("duero has taken this offer back or replaced it.")


def test_what_is_deemed_accepted_is_not_called_signed(tmp_path: Path) -> None:
    from tests.api.test_visibility import vote

    with house(tmp_path) as service:
        set_pin(service)
        policy = {
            "registerWithinMinutes": 1440, "clockToleranceMinutes": 5, "streamGapAfterMinutes": 1440,
            "answerWithinMinutes": 10080, "deemAcceptedAfterMinutes": 60, "unsignedAllowed": [],
            "quantityTolerance": [], "weights": [],
        }  # fmt: skip
        everybody = ("duero", "havelmark", "kleinwerk", "nordrand", "oderland")
        said = service.envelope("duero", everybody[1:], kind="custody-policy", content=policy)
        digest = service.send("duero", said.data).json()["digest"]
        service.anchor()
        assert vote(service, 13, bytes.fromhex(digest[2:]), ("duero", "nordrand", "oderland", "kleinwerk")).is_success
        service.network.ledger.anchoring.refresh()
        now = service.clock.now
        telephone = Telephone(service, note(service, offer(service, deadline=clock_text(now + HOUR))))
        service.clock.forward(3 * HOUR // 1000)
        telephone.get()
        (state, *_) = telephone.states()
        assert state == ("Nobody answered by the date, so the goods count as accepted. nordrand has signed nothing.")
        assert "Signed by" not in telephone.last.text


def test_the_note_that_is_printed_leads_to_its_page(service: House) -> None:
    despatch = offer(service)
    answer = service.post("duero", "/v1/custody/notes", json={"despatch": to_hex(despatch)})
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/pdf")
    assert answer.content.startswith(b"%PDF-")
    for member, named in (("nordrand", to_hex(despatch)), ("duero", "0x" + "77" * 32)):
        refused = service.post(member, "/v1/custody/notes", json={"despatch": named})
        assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[1]) == (422, "nothing-to-print")
    offer(service, corrects=to_hex(despatch), units=[])
    assert service.post("duero", "/v1/custody/notes", json={"despatch": to_hex(despatch)}).status_code == 422


def test_the_address_on_the_paper_has_128_random_bits_and_is_not_stored(service: House) -> None:
    tokens = {note(service, offer(service)) for _ in range(3)}
    assert len(tokens) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", one) for one in tokens)
    assert PALLETS[0] not in str(tokens)
    data = b"".join(one.read_bytes() for one in service.network.folder.glob("ledger.sqlite*"))
    assert not any(one.encode() in data for one in tokens)
    assert PIN.encode() not in data
