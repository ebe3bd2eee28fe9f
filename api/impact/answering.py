"""An answer to a request for facts on its way: what is to be signed, from the page or the command to the key. Pure.

What is filled in names the facts by their contents, since their ids come into being with the signatures; `say` signs
them first and then the answer, which names them. A request that is passed on goes out beside the answer and shares no
word and no number with it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from api.impact.requests import ANSWER, REQUEST, Question
from ledger_service import facts
from ledger_service.custody.kinds import Reader
from ledger_service.errors import MalformedInput
from ledger_service.instants import clock_text
from ledger_service.keys import from_hex, to_hex
from ledger_service.risk_kinds import PARSERS, AnswerOutcome, Refusal, SharingLevel

FACTS, ANSWERS, REQUESTS = "facts", "answers about facts", "requests for facts"
"""The streams they go to."""
Seal = Callable[[str, Mapping[str, Any], Sequence[bytes], str], bytes]
"""Signs a content of a kind for some readers into a stream; the id of the statement."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What somebody answers: facts as (kind, content), the level, why not, and the request that is passed on.

    `known` are ids of facts that were stated before.
    """

    outcome: AnswerOutcome
    facts: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    level: SharingLevel | None = None
    reason: Refusal | None = None
    text: str | None = None
    upward: Mapping[str, Any] | None = None
    known: tuple[bytes, ...] = ()

    def as_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "outcome": str(self.outcome),
            "facts": [{"kind": kind, "content": dict(content)} for kind, content in self.facts],
        }
        if self.known:
            value["known"] = [to_hex(one) for one in self.known]
        value |= {
            name: str(one)
            for name, one in (("level", self.level), ("reason", self.reason), ("text", self.text))
            if one is not None
        }
        return value if self.upward is None else value | {"upward": dict(self.upward)}

    @classmethod
    def parse(cls, value: Any, where: str = "/content") -> Self:
        """What a signing request carries; raises MalformedInput. The contents are checked when they are signed."""
        reader = Reader(value, where, "outcome facts", "level reason text upward known")
        found = []
        for at, item in reader.items("facts"):
            one = Reader(item, at, "kind content")
            kind = one.text("kind", 64)
            if kind not in PARSERS:
                raise MalformedInput(f"{kind!r} is no kind of fact", one.at("kind"))
            found.append((kind, dict(item["content"])))
        return cls(
            reader.choice("outcome", AnswerOutcome),
            tuple(found),
            reader.choice("level", SharingLevel) if reader.has("level") else None,
            reader.choice("reason", Refusal) if reader.has("reason") else None,
            reader.text_or_none("text", 500),
            dict(value["upward"]) if reader.has("upward") else None,
            tuple(from_hex(item, 32, at) for at, item in reader.items("known")),
        )

    def check(self, question: Question, now: int) -> None:
        """Raise MalformedInput unless all of it can be said: what is wrong is found before anything is signed."""
        say(self, question, lambda kind, content, to, _: _checked(kind, content, to, now))


@dataclass(frozen=True, slots=True)
class Said:
    """The ids of what was signed."""

    answer: bytes
    facts: tuple[bytes, ...]
    upward: bytes | None


def say(filled: Filled, question: Question, seal: Seal) -> Said:
    """Sign `filled` as the answer to `question`."""
    digests = tuple(seal(kind, content, (), FACTS) for kind, content in filled.facts)
    upward = None
    if filled.upward is not None:
        asked = [from_hex(one, 32, "/upward/to") for one in filled.upward["to"]]
        upward = seal(REQUEST, {name: one for name, one in filled.upward.items() if name != "to"}, asked, REQUESTS)
    content: dict[str, Any] = {"request": to_hex(question.id), "outcome": str(filled.outcome)}
    if digests or filled.known:
        content["facts"] = [to_hex(one) for one in dict.fromkeys([*digests, *filled.known])]
    content |= {
        name: str(one)
        for name, one in (("level", filled.level), ("reason", filled.reason), ("text", filled.text))
        if one is not None
    }
    return Said(seal(ANSWER, content, (question.asker,), ANSWERS), digests, upward)


def passed_on(
    question: Question, to: bytes, purpose: str, number: str, *, part: str | None, until: date
) -> dict[str, Any]:
    """The request to a supplier for the same kinds of facts, as the content of a `fact-request`.

    It has words, a number and a part of its own. Of the first request it takes the kinds alone: whose sites and parts
    that was about would tell the supplier who asks.
    """
    kinds = list(dict.fromkeys(one.kind for one in question.said.wanted))
    return {
        "to": [to_hex(to)],
        "document": {"type": "fact-request", "number": number},
        "wanted": [{"kind": kind, **({"part": part} if part and kind not in _WITHOUT_PART else {})} for kind in kinds],
        "purpose": purpose,
        "until": until.isoformat(),
    }


def until_for(question: Question, now: int) -> date:
    """By when a supplier should answer what is passed on: two days before we have to, and not before tomorrow."""
    tomorrow = datetime.fromtimestamp(now / 1000, UTC).date() + timedelta(days=1)
    return max(question.said.until - timedelta(days=2), tomorrow)


def restated(
    links: Iterable[Mapping[str, Any]], question: Question, level: SharingLevel, ends: Iterable[str], now: int
) -> list[dict[str, Any]]:
    """Own supply links that concern `question`, with `level` for whoever asked; those that have it already stay out.

    `ends` are the sites of whoever asked: a link that ends there it knows anyway.
    """
    wanted, asker, known = question.said.wanted, to_hex(question.asker), set(ends)
    sites, parts = {one.site for one in wanted if one.site}, {one.part for one in wanted if one.part}
    found = []
    for content in links:
        places = {content["supplier"], content["customer"]}
        concerns = (not sites and not parts) or places & sites or content["part"] in parts
        levels = {one["member"]: one["level"] for one in content.get("levels", [])}
        if places & known or not concerns or levels.get(asker, content["level"]) == level:
            continue
        levels[asker] = str(level)
        kept = {name: one for name, one in content.items() if name not in ("to", "corrects", "replaces")}
        found.append(
            kept
            | {
                "asOf": clock_text(now),
                "levels": [{"level": one, "member": member} for member, one in sorted(levels.items())],
            }
        )
    return found


_WITHOUT_PART = frozenset({"site"})


def _checked(kind: str, content: Mapping[str, Any], to: Sequence[bytes], now: int) -> bytes:
    facts.check(kind, {**content, "to": [to_hex(one) for one in sorted(to)]}, now)
    return b"\x00" * 32
