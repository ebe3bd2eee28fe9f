"""Offers, answers and steps that are no good get a problem that says what and where, and leave nothing behind."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
import sqlalchemy as sa

from ledger_service.handoffs import Closing, CustodyDomain, HandOff, Offer, Opening, SignedOffer, SignedStep
from ledger_service.keys import from_hex, to_hex
from ledger_service.ledger import Ledger
from ledger_service.offering import check_offers
from ledger_service.store.tables import metadata, offer, offer_answer
from tests.api.house import House
from tests.consortium import SHAFTS, despatch, key, member_id, receipt

KEPT = [
    one
    for one in metadata.sorted_tables
    if one.name in {"statement", "content", "stream", "reader", "fork", "offer", "offer_answer", "offer_signature"}
    or one.name.startswith("custody_")
]
NOBODY = "0x" + "77" * 32
PALLET, OTHER = "licence-plate:UN049505160P00001", "licence-plate:UN049505160P00002"
UNIT = sha256(b"a unit of the chain").digest()
WEEK = 604_800
_streams = iter(range(1_000_000))


def rows(ledger: Ledger) -> dict[str, int]:
    with ledger.store.read() as connection:
        return {one.name: connection.execute(sa.select(sa.func.count()).select_from(one)).scalar_one() for one in KEPT}


@dataclass
class Scene:
    """Offers of duero to nordrand: one that is open, one that ran out, one that was taken back."""

    house: House
    open: bytes
    expired: bytes
    replaced: bytes
    answered: bytes
    refused: bytes
    answer: bytes
    refusal: bytes

    def say(self, issuer: str, kind: str, content: dict[str, Any], to: tuple[str, ...] = ("nordrand",)) -> Any:
        """A statement in a stream of its own, and what the service answers."""
        envelope = self.house.envelope(issuer, to, content=content, kind=kind, stream=f"scene {next(_streams)}")
        return self.house.send(issuer, envelope.data)


def said(scene: Scene, issuer: str, kind: str, content: dict[str, Any], to: tuple[str, ...]) -> bytes:
    answer = scene.say(issuer, kind, content, to)
    assert answer.status_code == 201, answer.text
    return from_hex(answer.json()["digest"], 32)


@pytest.fixture(scope="module")
def scene(service: House) -> Scene:
    made = Scene(service, *[b""] * 7)
    taker, giver = ("nordrand",), ("duero",)
    units = [{"id": PALLET, "chain": to_hex(UNIT), "contents": [SHAFTS]}]
    made.expired = said(made, "duero", "despatch", despatch("nordrand", "S1", hours=1), taker)
    service.clock.forward(2 * 3600)
    service.sign_out()
    made.open = said(made, "duero", "despatch", despatch("nordrand", "S2", units=units), (*taker, "oderland"))
    made.replaced = said(made, "duero", "despatch", despatch("nordrand", "S3"), taker)
    back = despatch("nordrand", "S3", units=[], corrects=to_hex(made.replaced))
    said(made, "duero", "despatch", back, taker)
    made.answered = said(made, "duero", "despatch", despatch("nordrand", "S4", units=units), taker)
    made.answer = said(made, "nordrand", "receipt", receipt(made.answered), giver)
    made.refused = said(made, "duero", "despatch", despatch("nordrand", "S5", units=units), taker)
    no = receipt(made.refused, outcome="refused", reason="not ordered")
    made.refusal = said(made, "nordrand", "receipt", no, giver)
    return made


def short(quantity: str, **changes: Any) -> dict[str, Any]:
    return {
        "outcome": "accepted-with-discrepancies",
        "discrepancies": [{"unit": PALLET, "what": "short", **SHAFTS, "quantity": quantity}],
        **changes,
    }


# By name: who says which receipt, then status, type, where and a word of the detail.
ANSWERS: dict[str, tuple[str, Callable[[Scene], dict[str, Any]], int, str, str, str]] = {
    "an offer that was never made": (
        "nordrand", lambda _: receipt(bytes.fromhex(NOBODY[2:])), 422, "unknown-offer", "", "no despatch",
    ),
    "an offer made to another": ("oderland", lambda s: receipt(s.open), 422, "offer-to-another", "", "was offered to"),
    "an offer that is not to be seen": ("havelmark", lambda s: receipt(s.open), 422, "unknown-offer", "", "ask the"),
    "an answer to an answer": ("nordrand", lambda s: receipt(s.answer), 422, "unknown-offer", "", "no despatch"),
    "an offer that ran out": ("nordrand", lambda s: receipt(s.expired), 422, "offer-expired", "", "ran out 60 minutes"),
    "an offer that ran out, by a correction of nothing": (
        "nordrand", lambda s: receipt(s.expired, corrects=NOBODY), 422, "offer-expired", "", "ran out",
    ),
    "an offer that was taken back": ("nordrand", lambda s: receipt(s.replaced), 422, "offer-replaced", "", "newest"),
    "a unit that is not on it": (
        "nordrand", lambda s: receipt(s.open, units=[PALLET, OTHER]), 422, "unit-not-offered", "", OTHER,
    ),
    "more than the tolerance": (
        "nordrand", lambda s: receipt(s.open, **short("3", automatic={"tolerance": "0.02"})), 422, "beyond-tolerance",
        "", "1/20",
    ),
    "pieces in halves": (
        "nordrand", lambda s: receipt(s.open, **short("1.5")), 400, "malformed-input",
        "/content/discrepancies/0/quantity", "no part of a piece",
    ),
    "a negative quantity": (
        "nordrand", lambda s: receipt(s.open, **short("-3")), 400, "malformed-input",
        "/content/discrepancies/0/quantity", "not negative",
    ),
    "a wrong check digit": (
        "nordrand", lambda s: receipt(s.open, units=["(00)395210040009260176"]), 400, "malformed-input",
        "/content/units/0", "check digit",
    ),
    "no identifier": (
        "nordrand", lambda s: receipt(s.open, units=["pallet 7"]), 400, "malformed-input", "/content/units/0",
        "names no unit",
    ),
    "a refusal without its reason": (
        "nordrand", lambda s: receipt(s.open, outcome="refused"), 400, "malformed-input", "/content/reason", "reason",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_answers_nothing_is_not_kept(scene: Scene, name: str) -> None:
    issuer, make, status, kind, where, word = ANSWERS[name]
    content = make(scene)
    before = rows(scene.house.network.ledger)
    answer = scene.say(issuer, "receipt", content, ("duero",))
    problem = answer.json()
    assert (answer.status_code, problem["type"].rsplit("/", 1)[1], problem.get("where", "")) == (status, kind, where)
    assert word in problem["detail"]
    assert rows(scene.house.network.ledger) == before


def test_a_refusal_and_a_correction_may_come_after_the_date(scene: Scene) -> None:
    refusal = receipt(scene.expired, outcome="refused", reason="too late")
    said(scene, "nordrand", "receipt", refusal, ("duero",))
    scene.house.clock.forward(72 * 3600)
    scene.house.sign_out()
    corrected = receipt(scene.answered, corrects=to_hex(scene.answer), **short("1"))
    said(scene, "nordrand", "receipt", corrected, ("duero",))
    view = scene.house.get("duero", f"/v1/custody/offers/{to_hex(scene.answered)}").json()
    assert [one["outcome"] for one in view["answers"]] == ["accepted-with-discrepancies"]


def test_a_despatch_and_its_answer_may_come_in_one_batch(service: House) -> None:
    offer = service.envelope(
        "duero", ("duero",), content=despatch("duero", "S9", at=service.clock.now), kind="despatch", stream="to itself"
    )
    digest = offer.header.digest(service.domain)
    answer = service.envelope(
        "duero", ("duero",), content=receipt(digest), kind="receipt", stream="to itself, answered"
    )
    refused = service.send_batch("duero", [answer.data, offer.data], on_error="keep_good").json()
    assert [one["problem"]["type"].rsplit("/", 1)[1] for one in refused["results"] if "problem" in one] == [
        "unknown-offer"
    ]
    assert service.send_batch("duero", [offer.data, answer.data]).status_code == 201


# -- signatures and steps ----------------------------------------------------------------------------------------------


def domain(house: House) -> CustodyDomain:
    return house.network.relaying.domain


def give(house: House, statement: bytes, unit: bytes = UNIT, weeks: int = 2, signer: str = "hand 1") -> SignedOffer:
    deadline = (house.clock.now // 1000 // WEEK + weeks) * WEEK
    made = Offer(unit, 1, key("hand 1").address, key("hand 2").address, statement, deadline)
    digest = domain(house).digest(made.struct_hash)
    return SignedOffer(made, key(signer).sign(digest))


def as_json(one: SignedOffer) -> dict[str, Any]:
    offer = one.offer
    return {
        "unit": to_hex(offer.unit), "sequence": offer.sequence, "from": to_hex(offer.giver), "to": to_hex(offer.taker),
        "deadline": offer.deadline, "signature": to_hex(one.signature),
    }  # fmt: skip


OFFERS: dict[str, tuple[str, Callable[[Scene], dict[str, Any]], int, str, str, str]] = {
    "of a despatch that was never made": (
        "duero", lambda s: {"despatch": NOBODY, "units": [as_json(give(s.house, s.open))]}, 422, "unfit-offer", "",
        "send the statement first",
    ),
    "of another's despatch": (
        "oderland", lambda s: {"despatch": to_hex(s.open), "units": [as_json(give(s.house, s.open))]}, 422,
        "unfit-offer", "", "send the statement first",
    ),
    "of a unit that is not on it": (
        "duero", lambda s: {"despatch": to_hex(s.open), "units": [as_json(give(s.house, s.open, b"\x05" * 32))]}, 422,
        "unfit-offer", "", "does not name the unit",
    ),
    "that the chain would not take until the answer is due": (
        "duero", lambda s: {"despatch": to_hex(s.open), "units": [as_json(give(s.house, s.open, weeks=-1))]}, 422,
        "unfit-offer", "", "no more before the answer is due",
    ),
    "with which its taker could not do anything": (
        "duero",
        lambda s: {
            "despatch": to_hex(s.open),
            "units": [(one := as_json(give(s.house, s.open))) | {"deadline": one["deadline"] + 1}],
        },
        422, "unfit-offer", "", "no multiple of 604800",
    ),
    "signed by another": (
        "duero", lambda s: {"despatch": to_hex(s.open), "units": [as_json(give(s.house, s.open, signer="hand 3"))]},
        422, "wrong-signer", "", "had to sign",
    ),
    "of no unit": (
        "duero", lambda s: {"despatch": to_hex(s.open), "units": []}, 400, "malformed-input", "/units", "1 to 1000",
    ),
    "without its number": (
        "duero",
        lambda s: {"despatch": to_hex(s.open), "units": [as_json(give(s.house, s.open)) | {"sequence": True}]}, 400,
        "malformed-input", "/units/0/sequence", "whole number",
    ),
    "with a member too many": (
        "duero", lambda s: {"despatch": to_hex(s.open), "units": [as_json(give(s.house, s.open)) | {"x": 1}]}, 400,
        "malformed-input", "/units/0", "signature",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OFFERS)
def test_signatures_that_do_not_go_with_the_despatch_are_not_kept(scene: Scene, name: str) -> None:
    caller, make, status, kind, where, word = OFFERS[name]
    before = rows(scene.house.network.ledger)
    answer = scene.house.post(caller, "/v1/custody/offers", json=make(scene))
    problem = answer.json()
    assert (answer.status_code, problem["type"].rsplit("/", 1)[1], problem.get("where", "")) == (status, kind, where)
    assert word in problem["detail"]
    assert rows(scene.house.network.ledger) == before


def handoff(house: House, offer: bytes, acceptance: bytes, unit: bytes = UNIT) -> SignedStep:
    signed = give(house, offer, unit)
    return SignedStep(HandOff.complete(signed.offer, signed.signature, acceptance, key("hand 2"), domain(house)))


def closing(house: House, statement: bytes) -> SignedStep:
    step = Closing(UNIT, 1, key("hand 1").address, statement, (house.clock.now // 1000 // WEEK + 2) * WEEK)
    return SignedStep(step, key("hand 1").sign(domain(house).digest(step.struct_hash)))


def opening(house: House, deadline: int, signer: str = "hand 1") -> SignedStep:
    step = Opening(key("hand 1").address, bytes(32), deadline)
    return SignedStep(step, key(signer).sign(domain(house).digest(step.struct_hash)))


STEPS: dict[str, tuple[str, Callable[[Scene], SignedStep], str, str]] = {
    "a handoff that nobody accepted": (
        "nordrand", lambda s: handoff(s.house, s.open, bytes.fromhex(NOBODY[2:])), "unfit-step", "by you is registered",
    ),
    "a handoff that another accepted": (
        "oderland", lambda s: handoff(s.house, s.answered, s.answer), "unfit-step", "by you is registered",
    ),
    "a handoff that was refused": (
        "nordrand", lambda s: handoff(s.house, s.refused, s.refusal), "unfit-step", "does not take over",
    ),
    "a handoff of another offer": (
        "nordrand", lambda s: handoff(s.house, s.open, s.answer), "unfit-step", "answers another despatch",
    ),
    "a handoff of a unit that was not offered": (
        "nordrand", lambda s: handoff(s.house, s.answered, s.answer, b"\x05" * 32), "unfit-step", "does not name",
    ),
    "a handoff to itself that names no address": (
        "nordrand", lambda s: handoff(s.house, s.answer, s.answer), "unfit-step", "both addresses",
    ),
    "a closing without a reason": (
        "duero", lambda s: closing(s.house, bytes.fromhex(NOBODY[2:])), "unfit-step", "send it first",
    ),
    "an opening whose deadline tells its time": (
        "duero", lambda s: opening(s.house, s.house.clock.now // 1000 // WEEK * WEEK + WEEK + 1), "uncommon-deadline",
        "multiple",
    ),
    "an opening that another signed": (
        "duero", lambda s: opening(s.house, (s.house.clock.now // 1000 // WEEK + 2) * WEEK, "hand 2"), "wrong-signer",
        "had to sign",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_no_statement_asks_for_is_not_relayed(scene: Scene, name: str) -> None:
    caller, make, kind, word = STEPS[name]
    before = rows(scene.house.network.ledger)
    answer = scene.house.post(caller, "/v1/custody/steps", json={"steps": [make(scene).as_json()]})
    assert answer.status_code == 202, answer.text
    (refused,) = answer.json()["refused"]
    assert refused["item"] == 0
    assert refused["problem"]["type"].rsplit("/", 1)[1] == kind
    assert word in refused["problem"]["detail"]
    assert answer.json()["steps"] == []
    assert rows(scene.house.network.ledger) == before


def test_a_malformed_step_refuses_the_call_with_its_place(scene: Scene) -> None:
    good = handoff(scene.house, scene.answered, scene.answer).as_json()
    for changes, where in (({"sequence": 0}, "/steps/1/sequence"), ({"type": "gift"}, "/steps/1")):
        answer = scene.house.post("nordrand", "/v1/custody/steps", json={"steps": [good, good | changes]})
        assert (answer.status_code, answer.json()["where"]) == (400, where)


def test_signatures_are_kept_once_and_shown_to_both_sides_alone(scene: Scene) -> None:
    house = scene.house
    body = {"despatch": to_hex(scene.open), "units": [as_json(give(house, scene.open))]}
    first = house.post("duero", "/v1/custody/offers", json=body)
    assert first.status_code == 201, first.text
    before = rows(house.network.ledger)
    assert house.post("duero", "/v1/custody/offers", json=body).json() == first.json()
    other = house.post(
        "duero", "/v1/custody/offers", json=body | {"units": [as_json(give(house, scene.open, weeks=3))]}
    )
    assert (other.status_code, other.json()["detail"].split(" ")[-2:]) == (422, ["another", "address"])
    assert rows(house.network.ledger) == before
    path = f"/v1/custody/offers/{to_hex(scene.open)}"
    assert house.get("nordrand", path).json() == house.get("duero", path).json() == first.json()
    # Oderland may read the despatch, and has no part in the offer.
    assert house.get("oderland", path).status_code == 404
    assert house.get("oderland", "/v1/custody/offers").json()["items"] == []
    open_ones = house.get("nordrand", "/v1/custody/offers", side="taker", limit=1).json()
    more = house.get("nordrand", "/v1/custody/offers", side="taker", limit=1, after=open_ones["next"]).json()
    assert open_ones["items"][0]["despatch"] != more["items"][0]["despatch"]
    assert house.get("duero", "/v1/custody/offers", after=open_ones["next"]).status_code == 400
    assert member_id("duero") != member_id("nordrand")


def test_the_list_of_offers_follows_from_the_statements_and_what_was_changed_in_it_is_seen(scene: Scene) -> None:
    store = scene.house.network.ledger.store
    with store.read() as connection:
        assert list(check_offers(connection)) == []
    bends = [
        (sa.update(offer).where(offer.c.despatch == scene.answered).values(unanswered=1), "its counters"),
        (sa.update(offer).where(offer.c.despatch == scene.open).values(replaced_by=scene.answered), "another despatch"),
        (sa.delete(offer_answer).where(offer_answer.c.despatch == scene.refused), "its answers"),
    ]
    for bend, words in bends:
        with store.write() as connection:
            connection.execute(bend)
            assert any(found.startswith(words) for _, found in check_offers(connection))
            connection.rollback()
