"""Joint continuity plans: who does what when something happens, who has agreed to it, when it was last tried. Pure.

A plan is the first statement of it. Who agrees states the same with the id of that; so does whoever logs an exercise:
of each member the newest statement counts. A plan is in force when all whom it names have agreed, until its day.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any


class TriggerKind(StrEnum):
    """What sets a plan going."""

    REGION = "region"
    SITE = "site"
    PORT = "port"
    LANE = "lane"
    PART = "part"


@dataclass(frozen=True, slots=True)
class PlannedMeasure:
    """What `member` does, within how many hours of the alert."""

    member: str
    what: str
    within_hours: int


@dataclass(frozen=True, slots=True)
class Exercise:
    """When (UTC) a plan was tried, and what came of it."""

    at: datetime
    outcome: str


@dataclass(frozen=True, slots=True)
class ContinuityPlan:
    """A plan by the id of its first statement; `triggers` are (kind, name). `agreed` are members, in order."""

    key: str
    issuer: str
    name: str
    triggers: tuple[tuple[TriggerKind, str], ...]
    measures: tuple[PlannedMeasure, ...]
    until: date
    agreed: tuple[str, ...]
    exercises: tuple[Exercise, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """Whom it names, in order."""
        return tuple(sorted({one.member for one in self.measures}))

    @property
    def missing(self) -> tuple[str, ...]:
        """Who is named and has not agreed."""
        return tuple(one for one in self.members if one not in self.agreed)

    def is_in_force(self, day: date) -> bool:
        return not self.missing and day <= self.until

    def triggered(self, happening: Iterable[tuple[TriggerKind, str]]) -> tuple[TriggerKind, str] | None:
        """The first of its triggers that is among what happens."""
        there = set(happening)
        return next((one for one in self.triggers if one in there), None)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A statement that says it agrees to a plan and says something else: it counts for nothing, told to its issuer."""

    statement: str
    issuer: str
    what: str


def continuity_plans(records: Iterable[Any]) -> tuple[tuple[ContinuityPlan, ...], tuple[Disagreement, ...]]:
    """The plans that these records of kind `continuity-plan` make, and what in them agrees to nothing.

    Records have `statement`, `issuer`, `registered` and `fact`, with the fields of the kind by name.
    """
    there = sorted(records, key=lambda one: (one.registered, one.statement))
    by_id = {one.statement: one for one in there}
    taken_back = {
        before
        for one in there
        if (before := _hex(one.fact.stated.corrects)) in by_id and by_id[before].issuer == one.issuer
    }
    said: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    wrong: list[Disagreement] = []
    for one in there:
        root = one.statement if one.fact.agrees_to is None else _hex(one.fact.agrees_to)
        first = by_id.get(root)
        if one.statement in taken_back:
            continue
        if first is None or first.fact.agrees_to is not None:
            wrong.append(Disagreement(one.statement, one.issuer, "agrees to a plan that is not there"))
            continue
        if _terms(one.fact) != _terms(first.fact):
            wrong.append(Disagreement(one.statement, one.issuer, "says something else than the plan it agrees to"))
            continue
        earlier = said[root].get(one.issuer)
        if earlier is None or earlier.fact.stated.as_of <= one.fact.stated.as_of:
            said[root][one.issuer] = one
    found = [_plan(by_id[root], some) for root, some in said.items() if root not in taken_back]
    return tuple(sorted(found, key=lambda one: (one.name, one.key))), tuple(wrong)


def _terms(fact: Any) -> tuple[Any, ...]:
    """What has to be the same for all who agree; exercises are added as they happen."""
    return (
        fact.name,
        sorted(fact.triggers),
        sorted((_hex(m.member), m.what, m.within_hours) for m in fact.measures),
        fact.until,
    )


def _plan(first: Any, said: Mapping[str, Any]) -> ContinuityPlan:
    fact = first.fact
    measures = [PlannedMeasure(_hex(one.member), one.what, one.within_hours) for one in fact.measures]
    exercises = {Exercise(datetime.fromtimestamp(at / 1000, UTC), outcome) for one in said.values() for at, outcome in
                 one.fact.exercises}  # fmt: skip
    return ContinuityPlan(
        key=first.statement,
        issuer=first.issuer,
        name=fact.name,
        triggers=tuple((TriggerKind(kind), name) for kind, name in fact.triggers),
        measures=tuple(sorted(measures, key=lambda one: (one.within_hours, one.member, one.what))),
        until=fact.until,
        agreed=tuple(sorted(said)),
        exercises=tuple(sorted(exercises, key=lambda one: (one.at, one.outcome))),
    )


def _hex(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
