"""Records of custody and what follows from them, as files: the conformance suite of `docs/formats.md`, section 9."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ledger_service import canonical
from ledger_service.custody import Clock, Custody, Fact, Leg, Policy, Step, Unit, fold
from ledger_service.keys import from_hex, to_hex

FOLDER = Path(__file__).parent


def cases(name: str) -> Iterator[dict[str, Any]]:
    """The cases of one file; each stands on a line of its own."""
    yield from json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def write(name: str, made: list[dict[str, Any]]) -> None:
    lines = ",\n".join(canonical.dump(one).decode() for one in made)
    (FOLDER / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def judged(case: dict[str, Any]) -> dict[str, Any]:
    """What our fold makes of a case."""
    policy = Policy() if case["policy"] is None else Policy.parse(case["policy"])
    facts, steps = map(fact_of, case["facts"]), map(step_of, case["steps"])
    return expected(fold(facts, steps, policy, at=case["at"], clock=Clock(case["clock"])))


def case_of(
    name: str, facts: list[Fact], steps: list[Step], policy: dict[str, Any] | None, at: int, clock: Clock
) -> dict[str, Any]:
    case = {
        "at": at,
        "clock": str(clock),
        "facts": [fact_json(one) for one in facts],
        "name": name,
        "policy": policy,
        "steps": [step_json(one) for one in steps],
    }
    return {**case, "expected": judged(case)}


def fact_json(fact: Fact) -> dict[str, Any]:
    return {
        "anchoredAt": fact.anchored_at,
        "content": fact.content,
        "id": to_hex(fact.id),
        "isDisputed": fact.is_disputed,
        "isVoid": fact.is_void,
        "issuer": to_hex(fact.issuer),
        "kind": fact.kind,
        "registeredAt": fact.registered_at,
        "sequence": fact.sequence,
        "stream": to_hex(fact.stream),
    }


def fact_of(value: dict[str, Any]) -> Fact:
    return Fact(
        id=from_hex(value["id"], 32),
        issuer=from_hex(value["issuer"], 32),
        kind=value["kind"],
        stream=from_hex(value["stream"], 32),
        sequence=value["sequence"],
        issued_at=0,
        registered_at=value["registeredAt"],
        anchored_at=value["anchoredAt"],
        content=value["content"],
        is_void=value["isVoid"],
        is_disputed=value["isDisputed"],
    )


_IDS = (("unit", 32), ("giver", 20), ("taker", 20), ("offer", 32), ("acceptance", 32), ("reason", 32))


def step_json(step: Step) -> dict[str, Any]:
    value = {name: _hex(getattr(step, name)) for name, _ in _IDS}
    return {**value, "block": step.block, "sequence": step.sequence, "time": step.time}


def step_of(value: dict[str, Any]) -> Step:
    ids = {name: None if value[name] is None else from_hex(value[name], size) for name, size in _IDS}
    return Step(sequence=value["sequence"], block=value["block"], time=value["time"], **ids)  # type: ignore[arg-type]


def expected(custody: Custody) -> dict[str, Any]:
    return {
        "corrected": dict(custody.corrected),
        "findings": [
            {
                "evidence": list(one.evidence),
                "explainedBy": list(one.explained_by),
                "kind": str(one.problem),
                "stream": _hex(one.stream),
                "units": list(one.units),
                "weight": str(one.weight),
            }
            for one in custody.findings
        ],
        "repeated": dict(custody.repeated),
        "trails": {key: _trail(custody, [key]) for key in custody.units},
        "units": {key: _unit(one) for key, one in custody.units.items()},
        "unread": sorted(custody.unread),
    }


def _trail(custody: Custody, things: list[str]) -> dict[str, Any]:
    trail = custody.trail(things)
    places = [custody.findings.index(one) for one in trail.findings]
    return {"answer": str(trail.answer), "findings": places, "units": list(trail.units)}


def _unit(unit: Unit) -> dict[str, Any]:
    return {
        "claims": [to_hex(one) for one in unit.claims],
        "closedAt": unit.closed_at,
        "contested": unit.is_contested,
        "custodian": _hex(unit.custodian),
        "legs": [_leg(one) for one in unit.legs],
        "records": list(unit.records),
        "within": unit.within,
    }


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "acceptance": leg.acceptance,
        "carriedIn": leg.carried_in,
        "despatchedAt": leg.despatched_at,
        "giver": _hex(leg.giver),
        "offer": leg.offer,
        "receivedAt": leg.received_at,
        "start": leg.start,
        "state": str(leg.state),
        "step": leg.step,
        "taker": _hex(leg.taker),
    }


def _hex(value: bytes | None) -> str | None:
    return None if value is None else to_hex(value)
