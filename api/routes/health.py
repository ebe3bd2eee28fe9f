"""Health, readiness and metrics, for whoever runs the service. Nothing here names a member or a statement."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from api.routes.bodies import gives
from api.service import Caller, Json, asks
from api.visibility import Action
from ledger_service.errors import LedgerError

router = APIRouter(tags=["health"])


@router.get("/health/live", responses=gives({"status": "alive"}, "The process answers."))
def live(caller: Caller = asks(Action.WATCH_HEALTH)) -> Response:  # noqa: ARG001 - every route asks
    """Whether the process answers at all."""
    return Json({"status": "alive"})


@router.get(
    "/health/ready",
    responses=gives({"anchoredAt": None, "backlog": 0, "reasons": [], "status": "ready"}, "Ready.")
    | gives({"backlog": 12, "reasons": ["the chain does not answer"], "status": "not ready"}, "Not ready.", status=503),
)
def ready(caller: Caller = asks(Action.WATCH_HEALTH)) -> Response:
    """Whether the service can do all of its work now, and if not, why."""
    service, ledger = caller.service, caller.ledger
    condition = service.publisher.condition
    reasons = []
    if condition.trouble is not None:
        reasons.append(condition.trouble)
    else:
        try:
            ledger.anchoring.chain.head()
        except LedgerError as error:
            reasons.append(str(error))
    if ledger.waiting >= ledger.rules.max_backlog:
        reasons.append(f"{ledger.waiting} statements wait for the chain")
    value = {
        "anchoredAt": condition.anchored_at,
        "backlog": ledger.waiting,
        "reasons": reasons,
        "status": "not ready" if reasons else "ready",
    }
    return Json(value, 503 if reasons else 200)


@router.get("/metrics", responses=gives("tallystick_backlog 0.0\n", "Prometheus text.", "text/plain"))
def metrics(caller: Caller = asks(Action.WATCH_HEALTH)) -> Response:
    """Metrics for Prometheus."""
    text = generate_latest(caller.service.metrics.registry)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
