"""A member's gateway for facts: what it stated of each thing, what it was asked, and what it passed on.

All of that is in the outbox file, on disk in one transaction with what was signed: done again, the same thing is not
said twice. Which request was made for which one that came from below is known here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from api.impact import answering
from api.impact.answering import FACTS, REQUESTS, Filled, Said
from api.impact.requests import REQUEST, Question
from api.impact.table import Fact, Known, about, to_say
from api.impact.template import BY_KIND
from api.outbox import Draft, Outbox, State
from ledger_service import canonical, facts
from ledger_service.envelope import Envelope
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import Signer, from_hex, to_hex
from ledger_service.risk_kinds import FactRequest
from ledger_service.statements import Domain

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact_said (
    network BLOB NOT NULL, thing TEXT NOT NULL, statement BLOB NOT NULL, PRIMARY KEY (network, thing)
);
CREATE TABLE IF NOT EXISTS fact_answer (
    network BLOB NOT NULL, name TEXT NOT NULL, statement BLOB NOT NULL, PRIMARY KEY (network, name)
);
CREATE TABLE IF NOT EXISTS fact_passed_on (
    network BLOB NOT NULL, request BLOB NOT NULL, upward BLOB NOT NULL, PRIMARY KEY (network, request, upward)
);
"""


class NotAskedOfUs(LedgerError):
    """No request for facts that this member was asked: nothing was signed."""


class Wire(Protocol):
    """The service as a gateway for facts sees it: a client over HTTP, or what a custody gateway has."""

    @property
    def outbox(self) -> Outbox: ...

    @property
    def signer(self) -> Signer: ...

    @property
    def now(self) -> Any:
        """The clock, ms UTC."""
        ...

    @property
    def random(self) -> Any: ...

    @property
    def domain(self) -> Domain: ...

    def checked_statement(self, digest: bytes) -> Envelope:
        """A statement that we may see, held to its signature."""
        ...


@dataclass(frozen=True, slots=True)
class OwnFact:
    """The newest thing said here of something: its kind and what it is about, its statement, and how that fared."""

    thing: tuple[str, ...]
    statement: bytes
    content: Mapping[str, Any]
    state: State
    reason: str | None


class FactGateway:
    """The facts of `member`. Nothing is sent: what is signed waits in the outbox."""

    def __init__(self, wire: Wire, member: bytes) -> None:
        self._wire = wire
        self._member = member
        self._network = wire.domain.separator
        wire.outbox.connection.executescript(_SCHEMA)

    # -- facts ---------------------------------------------------------------------------------------------------------

    def own(self) -> list[OwnFact]:
        """What was said here last of each thing, in the order of what it is about."""
        rows = self._wire.outbox.connection.execute(
            "SELECT thing, statement FROM fact_said WHERE network = ? ORDER BY thing", (self._network,)
        ).fetchall()
        found = []
        for row in rows:
            kept = self._wire.outbox.find(bytes(row["statement"]))
            if kept is not None:
                content = Envelope.parse(kept.data).content or {}
                found.append(OwnFact(tuple(row["thing"].split("\n")), kept.digest, content, kept.state, kept.reason))
        return found

    def known(self) -> dict[tuple[str, ...], Known]:
        """What counts as said; what the ledger refused does not."""
        return {
            one.thing: Known(one.statement, one.content)
            for one in self.own()
            if one.state not in (State.REFUSED, State.TAKEN)
        }

    def sites(self) -> frozenset[str]:
        """The sites that were described here."""
        return frozenset(thing[1] for thing in self.known() if thing[0] == "site")

    def new(self, said: Sequence[Fact]) -> list[tuple[Fact, dict[str, Any]]]:
        """Those of `said` that say something new, with the contents to sign."""
        return to_say(said, self.known())

    def state(self, kind: str, content: Mapping[str, Any], to: Sequence[bytes] = ()) -> bytes:
        """Sign a fact for the members `to`; its id. Raises MalformedInput."""
        with self._wire.outbox.transaction():
            digest = self._sign(kind, content, to, FACTS)
            if kind in BY_KIND:
                thing = "\n".join(about(kind, content))
                self._wire.outbox.connection.execute(
                    "INSERT OR REPLACE INTO fact_said VALUES (?, ?, ?)", (self._network, thing, digest)
                )
        return digest

    # -- requests ------------------------------------------------------------------------------------------------------

    def ask(self, content: Mapping[str, Any]) -> bytes:
        """Sign a request; its id. Raises MalformedInput. One with the number of an earlier one must say the same."""
        name = f"request {content['document']['number']} to {' '.join(content['to'])}"
        known = self._done(name)
        if known is not None:
            before = self._content(known)
            if before is not None and canonical.dump(before) != canonical.dump(dict(content)):
                raise MalformedInput(f"a request with this number says otherwise ({to_hex(known)}): use another number")
            return known
        with self._wire.outbox.transaction():
            asked = [from_hex(one, 32, "/to") for one in content["to"]]
            digest = self._sign(REQUEST, {key: one for key, one in content.items() if key != "to"}, asked, REQUESTS)
            self._note(name, digest)
        return digest

    def question(self, request: bytes) -> Question:
        """A request that we were asked, held to its signature; raises NotAskedOfUs."""
        envelope = self._wire.checked_statement(request)
        if envelope.header.kind != REQUEST or envelope.content is None:
            raise NotAskedOfUs(f"{to_hex(request)} is no request for facts with its content")
        said = FactRequest.parse(envelope.content)
        if said.asked != self._member:
            raise NotAskedOfUs(f"{to_hex(request)} asks {to_hex(said.asked)}, not us")
        return Question(request, envelope.header.issuer, envelope.header.issued_at, said)

    def answer(self, question: Question, filled: Filled) -> Said:
        """Sign facts, a request that is passed on, and the answer, all or none. The last answer again is the same."""
        filled.check(question, self._wire.now())
        last = f"answer to {to_hex(question.id)}"
        name = f"{last}: {canonical.dump(_without_times(filled)).decode()}"
        known = self._done(name)
        if known is not None and known == self._done(last):
            return Said(known, (), None)
        with self._wire.outbox.transaction():
            said = answering.say(filled, question, self._seal)
            for one in (name, last):
                self._note(one, said.answer)
            if said.upward is not None:
                self._wire.outbox.connection.execute(
                    "INSERT INTO fact_passed_on VALUES (?, ?, ?)", (self._network, question.id, said.upward)
                )
        return said

    def passed_on(self) -> list[tuple[bytes, bytes]]:
        """Which of our requests was made for which one that we were asked: (asked of us, asked by us)."""
        rows = self._wire.outbox.connection.execute(
            "SELECT request, upward FROM fact_passed_on WHERE network = ? ORDER BY request, upward", (self._network,)
        )
        return [(bytes(row["request"]), bytes(row["upward"])) for row in rows]

    def _seal(self, kind: str, content: Mapping[str, Any], to: Sequence[bytes], source: str) -> bytes:
        return self.state(kind, content, to) if source == FACTS else self._sign(kind, content, to, source)

    def _sign(self, kind: str, content: Mapping[str, Any], to: Sequence[bytes], source: str) -> bytes:
        whole = {**content, "to": [to_hex(one) for one in sorted({*to} - {self._member})]}
        now = self._wire.now()
        facts.check(kind, whole, now)
        (envelope,) = self._wire.outbox.sign(
            [Draft(whole, kind)],
            issuer=self._member,
            signer=self._wire.signer,
            domain=self._wire.domain,
            now=now,
            random=self._wire.random,
            source=source,
        )
        return envelope.header.digest(self._wire.domain)

    def _done(self, name: str) -> bytes | None:
        """What was signed under a name; None where it was not, or the ledger refused it."""
        row = self._wire.outbox.connection.execute(
            "SELECT statement FROM fact_answer WHERE network = ? AND name = ?", (self._network, name)
        ).fetchone()
        kept = None if row is None else self._wire.outbox.find(bytes(row["statement"]))
        return None if kept is None or kept.state in (State.REFUSED, State.TAKEN) else kept.digest

    def _note(self, name: str, statement: bytes) -> None:
        self._wire.outbox.connection.execute(
            "INSERT OR REPLACE INTO fact_answer VALUES (?, ?, ?)", (self._network, name, statement)
        )

    def _content(self, statement: bytes) -> dict[str, Any] | None:
        kept = self._wire.outbox.find(statement)
        return None if kept is None else Envelope.parse(kept.data).content


def _without_times(filled: Filled) -> dict[str, Any]:
    """What is answered, without when: the same said again a minute later is the same."""
    value = filled.as_json()
    value["facts"] = [
        {"kind": one["kind"], "content": {name: each for name, each in one["content"].items() if name != "asOf"}}
        for one in value["facts"]
    ]
    if "upward" in value:
        value["upward"] = {name: one for name, one in value["upward"].items() if name != "document"}
    return value
