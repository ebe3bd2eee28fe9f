"""Answers on their way to the key: what is passed on knows nothing of what it was made for; levels change little."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from api.impact.answering import Filled, passed_on, restated, say, until_for
from api.impact.gateway import FactGateway
from api.impact.requests import Question, Said, questions
from api.outbox import Outbox
from ledger_service.envelope import Envelope
from ledger_service.errors import MalformedInput
from ledger_service.instants import instant
from ledger_service.keys import LocalKey, to_hex
from ledger_service.risk_kinds import AnswerOutcome, FactRequest, Refusal, SharingLevel
from ledger_service.statements import Domain
from tests.consortium import key, member_id

NOW = instant("2026-10-12T06:00:00Z")
SITE, OTHER = "https://id.gs1.org/414/9521004000014", "https://id.gs1.org/414/9521002000016"
PART = "https://id.gs1.org/01/09521004100011"
STOCK = {
    "asOf": "2026-10-12T05:00:00Z", "document": {"type": "t", "number": "1"}, "site": SITE, "part": PART,
    "quantity": "5", "uom": "H87",
}  # fmt: skip
LINK = {
    "asOf": "2026-10-01T05:00:00Z", "document": {"type": "t", "number": "1"}, "supplier": SITE, "customer": OTHER,
    "part": PART, "uom": "H87", "share": "1", "lead": {"days": 4}, "level": "impact-only",
}  # fmt: skip


def question(asker: str = "nordrand", **changes: Any) -> Question:
    content = {
        "to": [to_hex(member_id("duero"))],
        "document": {"type": "fact-request", "number": "RQ-1"},
        "wanted": [{"kind": "stock", "part": PART, "site": SITE}, {"kind": "site"}],
        "purpose": "e-axles",
        "until": "2026-10-30",
        **changes,
    }
    (found,) = questions([Said(b"\x01" * 32, 1, member_id(asker), NOW, FactRequest.parse(content))])
    return found


@pytest.mark.parametrize(
    "other",
    [
        question("havelmark"),
        question(purpose="a takeover"),
        question(document={"type": "x", "number": "SECRET"}),
        question(wanted=[{"kind": "stock"}, {"kind": "site", "site": OTHER}]),
        question(level="named"),
        replace(question(), id=b"\x09" * 32, at=7),
    ],
)
def test_what_is_passed_on_is_the_same_whoever_asked_what_for(other: Question) -> None:
    """Two worlds that differ in what the supplier may not learn: the request to it has the same bytes in both."""
    told = {
        "to": member_id("oderland"),
        "purpose": "planning",
        "number": "N-1",
        "part": None,
        "until": date(2026, 10, 20),
    }
    assert passed_on(question(), **told) == passed_on(other, **told)  # type: ignore[arg-type]


def test_a_supplier_has_until_two_days_before_and_never_until_yesterday() -> None:
    assert until_for(question(), NOW) == date(2026, 10, 28)
    assert until_for(question(until="2026-10-12"), NOW) == date(2026, 10, 13)


def test_the_answer_names_what_was_signed_before_it() -> None:
    signed: list[tuple[str, Mapping[str, Any], tuple[bytes, ...]]] = []

    def seal(kind: str, content: Mapping[str, Any], to: Sequence[bytes], _source: str) -> bytes:
        signed.append((kind, content, tuple(to)))
        return bytes([len(signed)]) * 32

    filled = Filled(AnswerOutcome.ANSWERED, (("stock", STOCK),), SharingLevel.TIER, known=(b"\x77" * 32,))
    said = say(filled, question(), seal)
    assert [one[0] for one in signed] == ["stock", "fact-answer"]
    assert signed[0][2] == (), "facts are for nobody by name: the levels of links say who sees what"
    assert signed[1][1]["facts"] == [to_hex(b"\x01" * 32), to_hex(b"\x77" * 32)]
    assert (said.answer, said.upward) == (b"\x02" * 32, None)
    assert Filled.parse(filled.as_json()) == filled


def test_a_level_is_an_exception_for_whoever_asks_in_the_links_that_it_concerns() -> None:
    (changed,) = restated([LINK], question(), SharingLevel.TIER, (), NOW)
    assert changed["levels"] == [{"level": "tier", "member": to_hex(member_id("nordrand"))}]
    assert changed["level"] == "impact-only", "for all others it stays as it was"
    assert restated([changed], question(), SharingLevel.TIER, (), NOW) == [], "it has that level already"
    assert restated([LINK], question(), SharingLevel.TIER, (OTHER,), NOW) == [], "an end of a link knows it anyway"
    elsewhere = {**LINK, "part": "did:web:x.example.org/part/1", "supplier": "https://id.gs1.org/414/9521001000017"}
    assert restated([elsewhere], question(), SharingLevel.TIER, (), NOW) == []


class Wire:
    """The outbox of duero, and one request that it was asked."""

    def __init__(self, outbox: Outbox, domain: Domain) -> None:
        self.outbox = outbox
        self.domain = domain
        self.signer: LocalKey = key("duero")
        self._drawn = 0

    def now(self) -> int:
        return NOW

    def random(self, size: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(size)

    def checked_statement(self, digest: bytes) -> Envelope:
        raise AssertionError(digest)


def test_facts_and_answer_are_signed_together_or_not_at_all_and_the_same_again_is_the_same(tmp_path: Path) -> None:
    with Outbox.open(tmp_path / "outbox.sqlite") as outbox:
        domain = Domain(131_277, bytes(20))
        gateway = FactGateway(Wire(outbox, domain), member_id("duero"))
        good = Filled(AnswerOutcome.ANSWERED, (("stock", STOCK),))
        bad = Filled(AnswerOutcome.ANSWERED, (("stock", STOCK), ("stock", {**STOCK, "quantity": "-1"})))
        with pytest.raises(MalformedInput):
            gateway.answer(question(), bad)
        assert outbox.waiting(domain, 10, 1 << 20) == []
        first = gateway.answer(question(), good)
        assert gateway.answer(question(), good).answer == first.answer
        assert len(outbox.waiting(domain, 10, 1 << 20)) == 2
        upward = passed_on(question(), member_id("oderland"), "p", "N-1", part=None, until=date(2026, 10, 20))
        forwarded = gateway.answer(question(), Filled(AnswerOutcome.FORWARDED, upward=upward))
        assert gateway.passed_on() == [(question().id, forwarded.upward)]
        declined = gateway.answer(question(), Filled(AnswerOutcome.DECLINED, reason=Refusal.NOT_OURS))
        assert declined.answer not in (first.answer, forwarded.answer)
        anew = gateway.answer(question(), good).answer
        assert anew not in (first.answer, declined.answer), "the last answer holds, so the first one is said again"
        assert gateway.answer(question(), good).answer == anew
        streams = {one.stream for one in outbox.waiting(domain, 10, 1 << 20)}
        assert len(streams) == 3, "facts, answers to nordrand, requests to oderland"
