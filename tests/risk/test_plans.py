"""Joint continuity plans: who has agreed to what, and what was tried."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ledger_service.risk_kinds import PARSERS
from risk.facts import Record
from risk.plans import ContinuityPlan, TriggerKind, continuity_plans

NOON = datetime(2026, 10, 12, 12, tzinfo=UTC)
DAY = date(2026, 10, 12)
A, B, C = "0x" + "aa" * 32, "0x" + "bb" * 32, "0x" + "cc" * 32
FIRST, SECOND, NOTHING = "0x" + "11" * 32, "0x" + "02" * 32, "0x" + "77" * 32


def states(issuer: str, statement: str = FIRST, *, minutes: int = 0, **content: Any) -> Record:
    at = NOON + timedelta(minutes=minutes)
    given = {
        "asOf": at.isoformat(),
        "document": {"type": "continuity-plan", "number": "BCP-3"},
        "measures": [{"member": A, "what": "Books the airlift", "withinHours": 24},
                     {"member": B, "what": "Calls Tallinn", "withinHours": 4}],
        "name": "Magnets", "to": [], "triggers": [{"kind": "region", "name": "East Asia"}], "until": "2027-08-31",
    }  # fmt: skip
    return Record(statement, "continuity-plan", issuer, at, PARSERS["continuity-plan"](given | content))


def agrees(issuer: str, number: int, **content: Any) -> Record:
    given: dict[str, Any] = {"agreesTo": FIRST, "minutes": number}
    return states(issuer, "0x" + f"{number:02x}" * 32, **(given | content))


TRIED = {"at": "2026-09-10T08:00:00+00:00", "outcome": "Call list out of date."}


def one(*records: Record) -> ContinuityPlan:
    (plan,) = continuity_plans(records)[0]
    return plan


@pytest.mark.parametrize(
    ("name", "records", "missing"),
    [
        ("its issuer has agreed", [states(A)], (B,)),
        ("an issuer who does nothing in it", [states(C)], (A, B)),
        ("all", [states(A), agrees(B, 2)], ()),
        ("by the office, all", [states(C), agrees(B, 2), agrees(A, 3)], ()),
        ("to something else", [states(A), agrees(B, 2, until="2028-01-01")], (B,)),
        ("and takes it back", [states(A), agrees(B, 2), agrees(B, 3, corrects=SECOND, agreesTo=NOTHING)], (B,)),
        ("a stranger takes it back", [states(A), agrees(B, 2), agrees(C, 3, corrects=SECOND)], ()),
    ],
)  # fmt: skip
def test_a_plan_is_in_force_when_all_whom_it_names_have_agreed(
    name: str, records: list[Record], missing: tuple[str, ...]
) -> None:
    plan = one(*records)
    assert plan.missing == missing, name
    assert plan.is_in_force(DAY) == (not missing)
    assert not plan.is_in_force(date(2027, 9, 1))
    assert one(*reversed(records)) == plan


def test_what_agrees_to_nothing_is_told_to_its_issuer() -> None:
    _, wrong = continuity_plans([states(A), agrees(B, 2, name="Other"), agrees(C, 3, agreesTo=NOTHING)])
    assert [(one.issuer, one.what) for one in wrong] == [
        (B, "says something else than the plan it agrees to"),
        (C, "agrees to a plan that is not there"),
    ]


def test_whoever_logs_an_exercise_states_the_plan_again() -> None:
    again = TRIED | {"outcome": "Done in 3 hours.", "at": "2026-10-01T08:00:00+00:00"}
    plan = one(states(A), agrees(B, 2, exercises=[TRIED]), agrees(A, 3, exercises=[TRIED, again]))
    assert [(exercise.at.date(), exercise.outcome) for exercise in plan.exercises] == [
        (date(2026, 9, 10), "Call list out of date."), (date(2026, 10, 1), "Done in 3 hours."),
    ]  # fmt: skip
    assert plan.agreed == (A, B)
    assert one(states(A)).exercises == ()


def test_a_plan_taken_back_by_its_issuer_is_none() -> None:
    plans, _ = continuity_plans([states(A), agrees(B, 2), states(A, "0x" + "22" * 32, minutes=9, corrects=FIRST)])
    assert [(plan.key, plan.missing) for plan in plans] == [("0x" + "22" * 32, (B,))]


def test_what_sets_it_going() -> None:
    plan = one(states(A))
    assert plan.triggered([(TriggerKind.REGION, "East Asia"), (TriggerKind.SITE, "x")]) == plan.triggers[0]
    assert plan.triggered([(TriggerKind.REGION, "Europe"), (TriggerKind.SITE, "East Asia")]) is None
