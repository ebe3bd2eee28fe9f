"""Alerts: from which effect on a member is interrupted, what it was told, and who acknowledged it."""

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.impact.alerts import Alert, NothingToAcknowledge, UnknownAlert, Wishes
from api.problems import documented
from api.routes import examples
from api.routes.bodies import gives, json_body, json_object, text
from api.service import Caller, Json, asks
from api.visibility import Action
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex
from risk.assessment import Threshold

router = APIRouter(prefix="/v1/risk", tags=["risk"])
MINUTE_MS = 60_000


@router.get(
    "/threshold",
    responses=gives(examples.THRESHOLD, "What holds now; the defaults before you said anything.")
    | documented(problems.Unauthenticated),
)
def read_threshold(caller: Caller = asks(Action.KEEP_THRESHOLD)) -> Response:
    """From which effect on you are interrupted, when the rest is told, and when you are reminded."""
    return Json(_wishes(caller.service.alerts.wishes(caller.member)))


@router.post(
    "/threshold",
    responses=gives(examples.THRESHOLD, "What holds from now on.")
    | documented(problems.Unauthenticated, MalformedInput, problems.WrongMediaType),
    openapi_extra=json_body(examples.THRESHOLD, "What is left out stays as it is; null means never."),
)
async def set_threshold(request: Request, caller: Caller = asks(Action.KEEP_THRESHOLD)) -> Response:
    """Say from which effect on you want to be interrupted: days at a standstill, or revenue; the rest comes once a day.

    Exercises, tests and drafts wait for the summary unless `exercises` is true.
    """
    names = ("standstillDays", "revenueMinorUnits", "exercises", "summaryAt", "remindAfterMinutes")
    asked = await json_object(request, optional=names, limit=16 << 10)
    alerts, service = caller.service.alerts, caller.service

    def change() -> Wishes:
        value = _wishes(alerts.wishes(caller.member)) | asked
        if type(value["exercises"]) is not bool:
            raise MalformedInput("expected true or false", "/exercises")
        threshold = Threshold(
            _whole(value, "standstillDays") or 0, _whole(value, "revenueMinorUnits"), value["exercises"]
        )
        minutes = _whole(value, "remindAfterMinutes")
        remind_after = None if minutes is None else minutes * MINUTE_MS
        wishes = Wishes(threshold, text(value["summaryAt"], "/summaryAt", 16), remind_after)
        alerts.wish(caller.member, wishes, service.now())
        return wishes

    return Json(_wishes(await run_in_threadpool(change)))


@router.get(
    "/alerts",
    responses=gives({"items": [examples.ALERT], "next": None}, "The oldest first.")
    | documented(problems.Unauthenticated, RequestValidationError),
)
def list_alerts(
    after: int = Query(0, ge=0, le=2**53 - 1, description="Only those with higher numbers."),
    limit: int = Query(100, ge=1, le=500),
    is_open: bool = Query(False, alias="open", description="Only those that wait to be acknowledged."),
    caller: Caller = asks(Action.READ_ALERTS),
) -> Response:
    """What you were told, or will be with the next summary, each with the id of its report."""
    found = caller.service.alerts.page(caller.member, after, limit, is_open=is_open)
    return Json({"items": [_shown(one) for one in found], "next": found[-1].number if len(found) == limit else None})


@router.post(
    "/alerts/{number}/acknowledge",
    responses=gives(examples.ALERT | {"acknowledgedAt": examples.TIME + 60_000, "role": "risk manager"}, "Noted.")
    | documented(
        problems.Unauthenticated, UnknownAlert, NothingToAcknowledge, MalformedInput, problems.WrongMediaType,
        RequestValidationError,
    ),
    openapi_extra=json_body({"role": "risk manager"}, "In which role, never by whom."),
)  # fmt: skip
async def acknowledge(number: int, request: Request, caller: Caller = asks(Action.ACKNOWLEDGE)) -> Response:
    """Say that somebody in a role has seen an alert. The first acknowledgement stands."""
    value = await json_object(request, "role", limit=16 << 10)
    role = text(value["role"], "/role", 100).strip()
    if not role:
        raise MalformedInput("say in which role, as risk manager", "/role")
    if not 0 < number < 2**53:
        raise UnknownAlert(number)
    service = caller.service
    found = await run_in_threadpool(service.alerts.acknowledge, caller.member, number, role, service.now())
    return Json(_shown(found))


def _whole(value: dict[str, Any], name: str) -> int | None:
    one = value[name]
    if one is not None and (type(one) is not int or abs(one) >= 2**53):
        raise MalformedInput("expected a whole number", f"/{name}")
    return None if one is None else int(one)


def _wishes(wishes: Wishes) -> dict[str, Any]:
    after = wishes.remind_after
    return {
        "exercises": wishes.threshold.exercises,
        "remindAfterMinutes": None if after is None else after // MINUTE_MS,
        "revenueMinorUnits": wishes.threshold.revenue_cents,
        "standstillDays": wishes.threshold.standstill_days,
        "summaryAt": wishes.summary_at,
    }


def _shown(one: Alert) -> dict[str, Any]:
    return {
        "acknowledgedAt": one.acknowledged_at,
        "asks": one.asks,
        "at": one.at,
        "number": one.number,
        "report": None if one.report is None else to_hex(one.report),
        "role": one.role,
        "status": str(one.status),
        "toldAt": one.told_at,
        "urgency": str(one.urgency),
        "what": str(one.what),
    }
