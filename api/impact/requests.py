"""Requests for facts: who asked whom for what, until when, and what became of it.

A request is open until whoever was asked answers or declines, or its day is over; then it is closed unanswered, and an
answer that comes later still counts. Forwarding says no more than that the asked member has asked further up: of the
request that it made for that neither statement knows.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger, record_of
from ledger_service.risk_kinds import PARSERS, AnswerOutcome, FactAnswer, FactRequest
from ledger_service.store.risk_tables import IS_QUESTION
from ledger_service.store.tables import content, reader, statement

REQUEST, ANSWER = "fact-request", "fact-answer"


class Standing(StrEnum):
    """How a request stands at a time."""

    OPEN = "open"
    FORWARDED = "forwarded"
    ANSWERED = "answered"
    DECLINED = "declined"
    UNANSWERED = "unanswered"
    WITHDRAWN = "withdrawn"


OPEN = frozenset({Standing.OPEN, Standing.FORWARDED})
"""What somebody still waits for."""


class Side(StrEnum):
    """On which side of a request a member stands."""

    ASKED = "asked"
    TO_ANSWER = "to-answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer by its id, registered at `at` (ms)."""

    id: bytes
    at: int
    said: FactAnswer


@dataclass(frozen=True, slots=True)
class Question:
    """A request by its id, registered at `at` (ms) by `asker`, with the answers that count, the oldest first.

    `replaced_by` is the id of the request that took its place, or that took it back.
    """

    id: bytes
    asker: bytes
    at: int
    said: FactRequest
    answers: tuple[Answer, ...] = ()
    replaced_by: bytes | None = None

    @property
    def ends_at(self) -> int:
        """When it closes if nobody has answered, ms."""
        return end_of(self.said.until)

    def standing(self, now: int) -> Standing:
        """How it stands at `now` (ms)."""
        if self.replaced_by is not None:
            return Standing.WITHDRAWN
        last = self.answers[-1].said.outcome if self.answers else None
        if last is AnswerOutcome.ANSWERED:
            return Standing.ANSWERED
        if last is AnswerOutcome.DECLINED:
            return Standing.DECLINED
        if now >= self.ends_at:
            return Standing.UNANSWERED
        return Standing.FORWARDED if last is AnswerOutcome.FORWARDED else Standing.OPEN

    def as_json(self, now: int) -> dict[str, Any]:
        said = self.said
        value: dict[str, Any] = {
            "request": to_hex(self.id),
            "asker": to_hex(self.asker),
            "asked": to_hex(said.asked),
            "at": self.at,
            "state": str(self.standing(now)),
            "document": {"type": said.document.type, "number": said.document.number},
            "wanted": [
                {name: one for name, one in (("kind", each.kind), ("part", each.part), ("site", each.site)) if one}
                for each in said.wanted
            ],
            "purpose": said.purpose,
            "until": said.until.isoformat(),
            "answers": [_answer_json(one, self.ends_at) for one in self.answers],
        }
        if said.level is not None:
            value["level"] = said.level
        if self.replaced_by is not None:
            value["replacedBy"] = to_hex(self.replaced_by)
        return value


@dataclass(frozen=True, slots=True)
class Said:
    """A request or an answer as the log has it: id, position, issuer, when it was registered (ms), and its content."""

    id: bytes
    position: int
    issuer: bytes
    at: int
    value: FactRequest | FactAnswer = field(repr=False)


def questions(said: Iterable[Said]) -> tuple[Question, ...]:
    """The requests among `said` with what became of each, in the order of the log.

    An answer by another than who was asked, or to another than who asked, counts for nothing; so does a correction of
    somebody else's request. A request that only takes another one back is none.
    """
    ordered = sorted(said, key=lambda one: one.position)
    found: dict[bytes, Question] = {}
    answers: dict[bytes, list[Answer]] = defaultdict(list)
    for one in ordered:
        if isinstance(one.value, FactRequest):
            found[one.id] = Question(one.id, one.issuer, one.at, one.value)
        else:
            answers[one.value.request].append(Answer(one.id, one.at, one.value))
    issuers = {one.id: one.issuer for one in ordered}
    for later in list(found.values()):
        before = found.get(later.said.corrects or b"")
        if before is not None and before.asker == later.asker:
            found[before.id] = replace(before, replaced_by=later.id)
    told = []
    for question in found.values():
        sides = question.said.asked, question.asker
        counting = (each for each in answers[question.id] if (issuers[each.id], each.said.asker) == sides)
        if question.said.wanted:
            told.append(replace(question, answers=tuple(counting)))
    return tuple(told)


def end_of(until: date) -> int:
    """When a day is over, in ms: that of UTC, since the two sides may be in two time zones."""
    return int(datetime.combine(until + timedelta(days=1), datetime.min.time(), UTC).timestamp() * 1000)


class FactRequests:
    """The requests in a ledger, as each of their two sides sees them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, member: bytes, side: Side | None = None, *, size: int | None = None) -> list[Question]:
        """The requests by `member` or to it with the answers, the oldest first; `size`: in that much of the log."""
        found = questions(self._said(member, size))
        if side is not None:
            found = tuple(one for one in found if (one.asker == member) == (side is Side.ASKED))
        return list(found)

    def find(self, digest: bytes) -> Question | None:
        """The request with this id, None where there is none with its content here, or where it counts for nothing."""
        query = sa.select(statement.c.issuer).where(statement.c.digest == digest, statement.c.kind == REQUEST)
        with self._ledger.store.read() as connection:
            issuer = connection.execute(query).scalar()
        return None if issuer is None else next((one for one in self.of(issuer) if one.id == digest), None)

    def open_requests(self, member: bytes, size: int) -> int:
        """How many requests of `member` nobody has answered at the checkpoint of `size`, and might still."""
        time = self._ledger.registered_at(size - 1) if size else None
        if time is None:
            return 0
        return sum(one.standing(time) in OPEN for one in self.of(member, Side.ASKED, size=size))

    def closed(self, start: int, until: int) -> list[Question]:
        """The requests of all members that closed unanswered after `start` and up to `until` (ms)."""
        found = questions(self._said(None, None))
        return [
            one for one in found if start < one.ends_at <= until and one.standing(one.ends_at) is Standing.UNANSWERED
        ]

    def _said(self, member: bytes | None, size: int | None) -> Sequence[Said]:
        query = (
            sa.select(statement, content.c.content)
            .join(content, content.c.position == statement.c.position)
            .where(IS_QUESTION, content.c.content.is_not(None))
        )
        if member is not None:
            query = query.join(reader, reader.c.stream == statement.c.stream).where(reader.c.member == member)
        if size is not None:
            query = query.where(statement.c.position < size)
        with self._ledger.store.read() as connection:
            rows = connection.execute(query).all()
            said = [
                Said(
                    row.digest,
                    row.position,
                    row.issuer,
                    row.registered_at,
                    (FactRequest if row.kind == REQUEST else FactAnswer).parse(orjson.loads(row.content)),
                )
                for row in rows
                if self._ledger.void(record_of(row)) is None
            ]
            named = {fact for one in said if isinstance(one.value, FactAnswer) for fact in one.value.facts}
            issuers = _issuers(connection, named, size)
        # An answer with facts that are not there, or not its issuer's, would close a request with nothing.
        return [
            one
            for one in said
            if isinstance(one.value, FactRequest) or all(issuers.get(fact) == one.issuer for fact in one.value.facts)
        ]


def _issuers(connection: sa.Connection, digests: Iterable[bytes], size: int | None) -> dict[bytes, bytes]:
    """Who stated the facts with these ids, as far as they are in that much of the log."""
    found, wanted = {}, sorted(digests)
    for at in range(0, len(wanted), 500):
        query = sa.select(statement.c.digest, statement.c.issuer).where(
            statement.c.digest.in_(wanted[at : at + 500]), statement.c.kind.in_(PARSERS)
        )
        if size is not None:
            query = query.where(statement.c.position < size)
        found.update({row.digest: row.issuer for row in connection.execute(query)})
    return found


def _answer_json(one: Answer, ends_at: int) -> dict[str, Any]:
    said = one.said
    value: dict[str, Any] = {
        "answer": to_hex(one.id),
        "at": one.at,
        "outcome": str(said.outcome),
        "isLate": one.at >= ends_at,
    }
    if said.facts:
        value["facts"] = [to_hex(each) for each in said.facts]
    value |= {
        name: str(each)
        for name, each in (("level", said.level), ("reason", said.reason), ("text", said.text))
        if each is not None
    }
    return value
