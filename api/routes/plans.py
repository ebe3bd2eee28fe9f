"""Joint continuity plans over HTTP: who does what when this happens, who has agreed to it, when it was last tried."""

from typing import Any

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from api import problems
from api.impact.shared import FactsBeingRead
from api.problems import documented
from api.routes import examples
from api.routes.bodies import gives
from api.routes.impact import ON, SIZE, day_of
from api.service import Caller, Json, asks
from api.visibility import Action
from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.bundle import NotYetAnchored
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex
from risk.plans import ContinuityPlan

router = APIRouter(prefix="/v1/risk", tags=["risk"])


@router.get(
    "/plans",
    responses=gives({"items": [examples.PLAN]}, "In the order of their names.")
    | documented(
        problems.Unauthenticated,
        UnknownCheckpoint,
        NotYetAnchored,
        FactsBeingRead,
        MalformedInput,
        RequestValidationError,
    ),
)
def list_plans(size: int | None = SIZE, day: str | None = ON, caller: Caller = asks(Action.READ_PLANS)) -> Response:
    """The plans that name you, and those that you have stated: in force once all whom they name have agreed.

    To agree, state the plan again with `agreesTo`, its `key`; an exercise is logged the same way, with what is there
    and the new one in `exercises`.
    """
    at = caller.service.impact.shared.at(size, day_of(day, caller))
    member = to_hex(caller.member)
    found = [one for one in at.known.plans if member in (*one.members, one.issuer)]
    items = [
        {name: value for name, value in _shown(one, one.is_in_force(at.day)).items() if name in caller.fields}
        for one in found
    ]
    return Json({"items": items})


def _shown(plan: ContinuityPlan, is_in_force: bool) -> dict[str, Any]:
    return {
        "agreed": list(plan.agreed),
        "exercises": [{"at": one.at.isoformat(), "outcome": one.outcome} for one in plan.exercises],
        "inForce": is_in_force,
        "issuer": plan.issuer,
        "key": plan.key,
        "measures": [
            {"member": one.member, "what": one.what, "withinHours": one.within_hours} for one in plan.measures
        ],
        "missing": list(plan.missing),
        "name": plan.name,
        "triggers": [{"kind": str(kind), "name": name} for kind, name in plan.triggers],
        "until": plan.until.isoformat(),
    }  # fmt: skip
