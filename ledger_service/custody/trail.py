"""Where units stand and how their records are judged: legs, findings, trails and the verdict over them. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledger_service import canonical
from ledger_service.custody.kinds import (
    Discrepancy,
)
from ledger_service.custody.lineage import Lineage
from ledger_service.custody.policy import Answer, Problem, Weight
from ledger_service.custody.record import Clock


class LegState(StrEnum):
    """How far a handoff has come."""

    OFFERED = "offered"
    WITHDRAWN = "withdrawn"
    OVERDUE = "overdue"
    DEEMED_ACCEPTED = "deemed accepted"
    REFUSED = "refused"
    MISSING = "missing"
    UNOFFERED = "accepted, never offered"
    PENDING = "pending"
    UNEXPLAINED = "unexplained"
    WITHHELD = "content withheld"
    HANDED_OVER = "handed over"


MOVED = frozenset(
    {LegState.DEEMED_ACCEPTED, LegState.PENDING, LegState.UNEXPLAINED, LegState.WITHHELD, LegState.HANDED_OVER}
)
"""States of a leg after which its taker has the unit."""
_SIGNED_BY_TAKER = frozenset({LegState.PENDING, LegState.HANDED_OVER})


@dataclass(frozen=True, slots=True)
class Leg:
    """One handoff of one unit, from giver to taker, as far as it is known.

    `offer`, `acceptance` and `step` are records; `despatched_at` and `received_at` are the stated times (ms). What was
    deemed accepted has no acceptance. `order` begins with the start (ms). `carried_in` is the unit whose handoff this
    was, where the unit lay in another. `missing_since` is when the taker's word was registered (ms) that the unit never
    came, though the chain had taken the handoff.
    """

    giver: bytes | None
    taker: bytes | None
    state: LegState
    offer: str | None
    acceptance: str | None
    step: str | None
    despatched_at: int | None
    received_at: int | None
    order: tuple[int, int, int, str]
    discrepancies: tuple[Discrepancy, ...] = ()
    carried_in: str | None = None
    missing_since: int | None = None

    @property
    def papers(self) -> tuple[str, ...]:
        """The statements of both sides, as far as they are there."""
        return tuple(one for one in (self.offer, self.acceptance) if one is not None)

    @property
    def evidence(self) -> tuple[str, ...]:
        return tuple(one for one in (self.offer, self.acceptance, self.step) if one is not None)

    @property
    def is_signed_by_taker(self) -> bool:
        """Whether the taker itself said that it has the unit."""
        return self.state in _SIGNED_BY_TAKER

    @property
    def start(self) -> int:
        return self.order[0]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a record of custody that a reader has to know, with the records that show it.

    Its id follows from kind and evidence, so an explanation of it does not cover what turns up later.
    """

    problem: Problem
    what: str
    evidence: tuple[str, ...]
    units: tuple[str, ...]
    weight: Weight
    stream: bytes | None = None
    explained_by: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return finding_id(self.problem, self.evidence)

    @property
    def is_explained(self) -> bool:
        return bool(self.explained_by)

    def explanation(self, text: str, to: Sequence[str]) -> dict[str, Any]:
        """The content of the statement of kind `explanation` that explains this finding."""
        return {"to": list(to), "finding": {"kind": str(self.problem), "evidence": list(self.evidence)}, "text": text}


def finding_id(problem: str, evidence: Sequence[str]) -> str:
    """SHA-256 of the RFC 8785 bytes of [kind, evidence], in hexadecimal."""
    return hashlib.sha256(canonical.dump([str(problem), list(evidence)])).hexdigest()


@dataclass(frozen=True, slots=True)
class Unit:
    """Where one unit stands. `claims` are all members who say that they have it; `custodian` is never more than one.

    A unit that is contested has no custodian unless it `is_decided_by_chain`.
    """

    key: str
    legs: tuple[Leg, ...]
    custodian: bytes | None
    claims: tuple[bytes, ...]
    is_contested: bool
    closed_at: int | None
    within: str | None
    records: tuple[str, ...]
    is_decided_by_chain: bool = False


@dataclass(frozen=True, slots=True)
class Trail:
    """The record of some units, judged. `units` comprises what they travelled in."""

    units: tuple[str, ...]
    legs: Mapping[str, tuple[Leg, ...]]
    findings: tuple[Finding, ...]
    answer: Answer
    records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Custody:
    """All that is known of custody at `at` (ms).

    `corrected` leads from a record that was taken back to the one that holds instead (or that took it back);
    `repeated` from a second copy to the one that counts; `unread` has the records that this version cannot read.
    """

    at: int
    clock: Clock
    units: Mapping[str, Unit]
    findings: tuple[Finding, ...]
    lineage: Lineage
    corrected: Mapping[str, str]
    repeated: Mapping[str, str]
    unread: Mapping[str, str]
    clocks: Mapping[str, tuple[int | None, int, int | None]]
    """Of each record: the stated, registered and anchored times in ms; a step has its block's time twice."""
    streams: Mapping[str, bytes]

    def holder(self, thing: str) -> bytes | None:
        """Who has `thing` now, by its own handoffs or by those of what it lies in.

        None: nobody is known to, or more than one says so and the chain does not decide.
        """
        seen = set()
        here: str | None = thing
        while here is not None and here not in seen:
            seen.add(here)
            unit = self.units.get(here)
            if unit is not None and (unit.custodian is not None or unit.is_contested):
                return unit.custodian
            here = self.lineage.parent_at(here, self.at)
        return None

    def trail(self, things: Iterable[str]) -> Trail:
        """The record of `things` (keys of identifiers), and of all that they travelled in, judged."""
        waiting = list(things)
        wanted: set[str] = set()
        while waiting:
            unit_key = waiting.pop()
            if unit_key not in wanted:
                wanted.add(unit_key)
                waiting.extend(stay.parent for stay in self.lineage.stays.get(unit_key, ()))
        known = {key: self.units[key] for key in sorted(wanted) if key in self.units}
        records = sorted({record for unit in known.values() for record in unit.records})
        streams = {self.streams[record] for record in records if record in self.streams}
        findings = tuple(
            one for one in self.findings if not wanted.isdisjoint(one.units) or (one.stream and one.stream in streams)
        )
        return Trail(
            tuple(sorted(wanted)),
            {key: unit.legs for key, unit in known.items()},
            findings,
            judge(findings),
            tuple(records),
        )


def judge(findings: Iterable[Finding]) -> Answer:
    """The verdict: broken by what breaks the record, explained or not, and by what needs explaining and has none.

    What was explained leaves reservations. What is for information alone leaves the record whole.
    """
    answer = Answer.WHOLE
    for one in findings:
        if one.weight is Weight.BREAKS or (one.weight is Weight.NEEDS_EXPLAINING and not one.is_explained):
            return Answer.BROKEN
        if one.weight is Weight.NEEDS_EXPLAINING:
            answer = Answer.WITH_RESERVATIONS
    return answer
