"""At the door of offers: of an acceptance and a withdrawal that cross, the one registered first stands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger_service.envelope import Envelope
from ledger_service.invariants import check
from ledger_service.keys import to_hex
from ledger_service.ledger import Call, CallRefused, Registration, examine
from ledger_service.offering import AlreadyAccepted, OfferReplaced
from tests.consortium import NOON, Consortium, member_id
from tests.custody import clock_text

FIRST, SECOND = (f"licence-plate:UN049505160P0000{number}" for number in (1, 2))


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    made = Consortium(tmp_path)
    yield made
    made.close()


def despatch(*things: str, corrects: bytes | None = None) -> dict[str, Any]:
    units = [
        {"id": one, "contents": [{"part": "(01)09521004100011", "quantity": "60", "uom": "H87"}]} for one in things
    ]
    said = {
        "document": {"type": "delivery-note", "number": "DN1"},
        "taker": to_hex(member_id("nordrand")),
        "despatchedAt": clock_text(NOON),
        "deadline": clock_text(NOON + 3_600_000),
        "units": units,
    }
    return said if corrects is None else {**said, "corrects": to_hex(corrects)}


def receipt(of: bytes, *things: str, outcome: str = "accepted") -> dict[str, Any]:
    said = {
        "document": {"type": "goods-receipt", "number": "GR1"},
        "despatch": to_hex(of),
        "receivedAt": clock_text(NOON),
        "outcome": outcome,
        "basis": "scanned",
        "units": list(things),
    }
    return {**said, "reason": "not ordered"} if outcome == "refused" else said


def offered(consortium: Consortium) -> bytes:
    envelope = consortium.envelope(content=despatch(FIRST, SECOND), kind="despatch")
    consortium.register(envelope)
    return envelope.header.digest(consortium.ledger.domain)


def told(consortium: Consortium, *calls: Envelope, at_once: bool) -> list[type[Exception] | None]:
    """The first reason why each call, of one statement, was refused."""
    examined = [Call(examine([one.data], consortium.ledger.domain, NOON)) for one in calls]
    outcomes: list[Any] = []
    for some in [examined] if at_once else [[one] for one in examined]:
        outcomes += consortium.ledger.register_all(some, NOON)
    reasons: list[type[Exception] | None] = []
    for one in outcomes:
        assert isinstance(one, Registration | CallRefused)
        reasons.append(type(one.refusals[0].error) if isinstance(one, CallRefused) else None)
    assert check(consortium.ledger) == []
    return reasons


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "in one batch"])
@pytest.mark.parametrize(
    ("name", "left", "outcome", "second"),
    [
        ("both are taken back", (), "accepted", AlreadyAccepted),
        ("what was accepted is taken back", (SECOND,), "accepted", AlreadyAccepted),
        ("what nobody answered is taken back", (FIRST,), "accepted", None),
        ("what was refused is taken back", (), "refused", None),
    ],
)
def test_an_acceptance_that_came_first_stands(
    consortium: Consortium, name: str, left: tuple[str, ...], outcome: str, second: type[Exception] | None,
    at_once: bool,
) -> None:  # fmt: skip
    offer = offered(consortium)
    answer = consortium.envelope("nordrand", ("duero",), content=receipt(offer, FIRST, outcome=outcome), kind="receipt")
    back = consortium.envelope(content=despatch(*left, corrects=offer), kind="despatch")
    assert told(consortium, answer, back, at_once=at_once) == [None, second], name


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "in one batch"])
def test_a_withdrawal_that_came_first_stands(consortium: Consortium, at_once: bool) -> None:
    offer = offered(consortium)
    back = consortium.envelope(content=despatch(corrects=offer), kind="despatch")
    answer = consortium.envelope("nordrand", ("duero",), content=receipt(offer, FIRST), kind="receipt")
    assert told(consortium, back, answer, at_once=at_once) == [None, OfferReplaced]


def test_nobody_takes_back_what_another_offered(consortium: Consortium) -> None:
    """The correction of a stranger is no correction: the acceptance is taken."""
    offer = offered(consortium)
    stranger = consortium.envelope("oderland", ("nordrand",), content=despatch(corrects=offer), kind="despatch")
    answer = consortium.envelope("nordrand", ("duero",), content=receipt(offer, FIRST), kind="receipt")
    assert told(consortium, stranger, answer, at_once=True) == [None, None]
