"""Requests for facts: when one is open, what counts as an answer to it, and when it closes by itself."""

from datetime import date
from typing import Any

import pytest

from api.impact.requests import Said, Standing, end_of, questions
from ledger_service.keys import to_hex
from ledger_service.risk_kinds import FactAnswer, FactRequest
from tests.consortium import member_id

ASKER, ASKED, OTHER = member_id("nordrand"), member_id("duero"), member_id("oderland")
UNTIL = date(2026, 10, 30)
LAST = end_of(UNTIL) - 1
REQUEST = b"\x01" * 32


def request(number: int = 1, issuer: bytes = ASKER, **changes: Any) -> Said:
    content = {
        "to": [to_hex(ASKED)],
        "document": {"type": "fact-request", "number": "RQ-1"},
        "wanted": [{"kind": "stock"}],
        "purpose": "magnets",
        "until": UNTIL.isoformat(),
        **changes,
    }
    return Said(bytes([number]) * 32, number, issuer, number * 1000, FactRequest.parse(content))


def answer(number: int, outcome: str = "answered", issuer: bytes = ASKED, to: bytes = ASKER, **more: Any) -> Said:
    said: dict[str, dict[str, Any]] = {
        "answered": {"facts": ["0x" + "aa" * 32]},
        "declined": {"reason": "not-known"},
        "forwarded": {},
    }
    content = {"to": [to_hex(to)], "request": to_hex(REQUEST), "outcome": outcome, **said[outcome], **more}
    return Said(bytes([number]) * 32, number, issuer, number * 1000, FactAnswer.parse(content))


STANDINGS: dict[str, tuple[list[Said], int, Standing]] = {
    "nobody has said anything": ([request()], LAST, Standing.OPEN),
    "its day is over": ([request()], LAST + 1, Standing.UNANSWERED),
    "answered": ([request(), answer(2)], LAST, Standing.ANSWERED),
    "answered after its day": ([request(), answer(2)], LAST + 1, Standing.ANSWERED),
    "declined": ([request(), answer(2, "declined")], LAST, Standing.DECLINED),
    "forwarded is open": ([request(), answer(2, "forwarded")], LAST, Standing.FORWARDED),
    "forwarded, and its day is over": ([request(), answer(2, "forwarded")], LAST + 1, Standing.UNANSWERED),
    "forwarded, then answered": ([request(), answer(2, "forwarded"), answer(3)], LAST, Standing.ANSWERED),
    "declined, then answered after all": ([request(), answer(2, "declined"), answer(3)], LAST, Standing.ANSWERED),
    "somebody else answers": ([request(), answer(2, issuer=OTHER)], LAST, Standing.OPEN),
    "the asker answers itself": ([request(), answer(2, issuer=ASKER)], LAST, Standing.OPEN),
    "the answer goes to somebody else": ([request(), answer(2, to=OTHER)], LAST, Standing.OPEN),
    "taken back": ([request(), request(2, wanted=[], corrects=to_hex(REQUEST))], LAST, Standing.WITHDRAWN),
    "taken back by somebody else": (
        [request(), request(2, issuer=OTHER, wanted=[], corrects=to_hex(REQUEST))],
        LAST,
        Standing.OPEN,
    ),
}


@pytest.mark.parametrize("name", STANDINGS)
def test_how_a_request_stands(name: str) -> None:
    said, now, standing = STANDINGS[name]
    assert questions(said)[0].standing(now) is standing
    assert questions(reversed(said)) == questions(said), "in whatever order they are read"


def test_a_request_that_was_corrected_is_asked_anew() -> None:
    first, second = questions([request(), request(2, until="2026-11-30", corrects=to_hex(REQUEST)), answer(3)])
    assert (first.standing(LAST), second.standing(LAST)) == (Standing.WITHDRAWN, Standing.OPEN)
    assert first.as_json(LAST)["replacedBy"] == to_hex(second.id)


def test_taking_back_is_no_request() -> None:
    found = questions([request(), request(2, wanted=[], corrects=to_hex(REQUEST))])
    assert [one.id for one in found] == [REQUEST]


def test_an_answer_after_its_day_says_so() -> None:
    late = Said(b"\x07" * 32, 7, ASKED, LAST + 1, answer(7).value)
    (question,) = questions([request(), answer(2, "forwarded"), late])
    told = question.as_json(LAST + 1)
    assert [one["isLate"] for one in told["answers"]] == [False, True]
    assert told["state"] == "answered"
