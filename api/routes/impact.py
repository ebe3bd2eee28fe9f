"""What disruptions do to the caller: its view of the shared network, and the reports that are made of it."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.impact.disruptions import UnknownDisruption
from api.impact.issuing import Reported
from api.impact.reports import NoSites
from api.impact.shared import Checkpointed, FactsBeingRead, short_as_planned
from api.problems import NotThere, documented
from api.routes import examples
from api.routes.bodies import gives, json_body, json_object, text
from api.service import Caller, Json, asks, hash_of
from api.visibility import Action
from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.bundle import NotYetAnchored
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex
from ledger_service.ledger import BacklogFull, UnknownStatement
from risk.disruption import Disruption, Status
from risk.errors import MalformedFact
from risk.sharing import plain

router = APIRouter(prefix="/v1/risk", tags=["risk"])
MAX_KEYS = 100
DAYS_AROUND = 366
"""How far from today a day may lie for which the network is asked about."""
AHEAD = 112
"""For how many days from then on own stock is looked at, as far as a report looks."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_KEYS = Query([], max_length=MAX_KEYS, description="Disruptions by their keys; all that may still matter by default.")
_STATUS = Query(None, description="Actual by default; exercises, tests and drafts are assessed apart from what is.")
SIZE = Query(None, ge=1, le=2**53 - 1, description="By what is known at this checkpoint; by default at the newest.")
ON = Query(None, alias="day", description="On which day, as 2026-10-12; today by default.")
_ERRORS = (
    problems.Unauthenticated, NoSites, UnknownDisruption, UnknownCheckpoint, NotYetAnchored, FactsBeingRead,
    MalformedFact, MalformedInput, RequestValidationError,
)  # fmt: skip


@router.post(
    "/assess",
    status_code=201,
    responses=gives(examples.REPORT, "The report, registered.", status=201) | documented(*_ERRORS, BacklogFull),
    openapi_extra=json_body(
        {"day": "2026-10-12", "disruptions": ["2026-10-CN-04"], "status": "Exercise"},
        "All may be left out: then all that is actual and may still matter is assessed, for today.",
    ),
)
async def assess(request: Request, caller: Caller = asks(Action.ASSESS)) -> Response:
    """What disruptions do to you, as a statement of the service that only you may read.

    It is made of your view alone. The same question, while nothing new is known, has the same report.
    """
    asked = await json_object(request, optional=("day", "disruptions", "size", "status"))
    keys = asked.get("disruptions", [])
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise MalformedInput(f"expected a list of at most {MAX_KEYS} keys", "/disruptions")
    keys = [text(one, f"/disruptions/{at}", 600) for at, one in enumerate(keys)]
    status, size = asked.get("status"), asked.get("size")
    if status is not None and status not in list(Status):
        raise MalformedInput(f"expected one of {', '.join(Status)}", "/status")
    if size is not None and (type(size) is not int or size < 1):
        raise MalformedInput("expected the size of a checkpoint", "/size")
    day = day_of(None if asked.get("day") is None else text(asked["day"], "/day", 10), caller)

    def issue() -> Reported:
        at, disruptions = _asked(caller, keys, None if status is None else Status(status), size, day)
        return caller.service.impact.reports.assess(
            caller.member, disruptions, at=at, now=caller.service.now()
        )  # fmt: skip

    async with caller.service.bundling:  # a large network takes a thread for a second
        made = await run_in_threadpool(issue)
    return _shown(caller, made, status=201)


@router.get(
    "/reports",
    responses=gives({"items": [examples.REPORT_LINE], "next": None}, "The oldest first.")
    | documented(problems.Unauthenticated, RequestValidationError),
)
def list_reports(
    after: int = Query(0, ge=0, le=2**53 - 1, description="Only those with higher numbers."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_REPORTS),
) -> Response:
    """Your reports, each with what it comes to. `next` is what to ask for `after`, null at the end."""
    found = caller.service.impact.reports.page(caller.member, after, limit)
    items = [_line(caller, one) for one in found]
    return Json({"items": items, "next": found[-1].number if len(found) == limit else None})


@router.get(
    "/reports/{digest}",
    responses=gives(examples.REPORT, "`content` is null once it was erased.")
    | documented(problems.Unauthenticated, problems.NotThere),
)
def read_report(digest: str, caller: Caller = asks(Action.READ_REPORTS)) -> Response:
    """One of your reports; those of others are not there for you."""
    try:
        found = caller.service.impact.reports.find(caller.member, hash_of(digest))
    except UnknownStatement:
        raise NotThere from None
    return _shown(caller, found)


@router.get("/view", responses=gives(examples.VIEW, "Canonical JSON: its SHA-256 is what reports call `view`.")
            | documented(*_ERRORS))  # fmt: skip
def read_view(
    disruptions: list[str] = _KEYS,
    status: Status | None = _STATUS,
    size: int | None = SIZE,
    day: str | None = ON,
    caller: Caller = asks(Action.READ_VIEW),
) -> Response:
    """All that you may see of the network and of what happens in it, with fresh ids for what you may not know by name.

    From it alone `tallystick risk recompute` makes your report again, to the byte.
    """
    at, asked = _asked(caller, disruptions, status, size, day_of(day, caller))
    view = caller.service.impact.reports.view(caller.member, asked, at=at)
    return Response(view.text, media_type="application/json")


@router.get(
    "/network",
    responses=gives(examples.NETWORK_STANDING, "`coverage` is null while no site is yours.")
    | documented(problems.Unauthenticated, UnknownCheckpoint, NotYetAnchored, FactsBeingRead, MalformedInput,
                 RequestValidationError),
)  # fmt: skip
def read_network(size: int | None = SIZE, day: str | None = ON, caller: Caller = asks(Action.READ_VIEW)) -> Response:
    """How your part of the network stands: what is known of it, and which of your facts do not fit or are old.

    Where your own stock, with what is on its way, does not last as planned until more can come, that is among the
    `inconsistencies`: each report would count what is lost by it.
    """
    impact, member = caller.service.impact, caller.member
    at = impact.shared.at(size, day_of(day, caller))
    name, requests = to_hex(member), impact.requests.open_requests(member, at.size)
    coverage, unfit = None, list(at.known.inconsistencies_of(name))
    if member in at.owners:
        view = impact.shared.view(member, at, requests=requests)
        coverage = plain(view.coverage)
        unfit += short_as_planned(view, AHEAD)
    value = {
        "aged": [
            {"days": math.floor(one.days), "kind": one.kind, "statement": one.statement}
            for one in impact.shared.aged(member, at)
        ],
        "checkpoint": at.checkpoint,
        "coverage": coverage,
        "day": at.day.isoformat(),
        "inconsistencies": [{"about": one.about, "what": one.what} for one in unfit],
        "openRequests": requests,
        "sites": sum(one.owner == name for one in at.known.network.sites.values()),
    }  # fmt: skip
    return Json({name: one for name, one in value.items() if name in caller.fields})


def _asked(
    caller: Caller, keys: Sequence[str], status: Status | None, size: int | None, day: date
) -> tuple[Checkpointed, list[Disruption]]:
    """The network at a checkpoint, and the disruptions that the caller asks about."""
    impact = caller.service.impact
    at = impact.shared.at(size, day)
    if not keys:
        return at, impact.disruptions.live(status or Status.ACTUAL, at)
    found = impact.disruptions.named(keys, caller.sight, at)
    fitting = [one for one in found if status is None or one.status is status]
    if not fitting:
        raise UnknownDisruption(keys[0])
    return at, fitting


def day_of(said: str | None, caller: Caller) -> date:
    """The day that is asked about; raises MalformedInput for one that is none or years away."""
    today = datetime.fromtimestamp(caller.service.now() / 1000, UTC).date()
    if said is None:
        return today
    try:
        day = date.fromisoformat(said) if _DAY.fullmatch(said) else None
    except ValueError:
        day = None
    if day is None or abs((day - today).days) > DAYS_AROUND:
        raise MalformedInput(f"expected a day within a year of {today.isoformat()}, as 2026-10-12", "/day")
    return day


def _shown(caller: Caller, one: Reported, status: int = 200) -> Response:
    content = None if one.content is None else one.said
    value = _of(caller, one) | {"content": content}
    return Json({name: said for name, said in value.items() if name in caller.fields}, status)


def _line(caller: Caller, one: Reported) -> dict[str, Any]:
    content, summary = one.content, None
    if content is not None:
        stops = content["effect"]["stops"]
        summary = {
            "checkpoint": content["checkpoint"],
            "day": content["day"],
            "first": min((stop["first"] for stop in stops), default=None),
            "revenueCents": content["effect"]["revenueCents"],
            "status": content["status"],
            "stops": len(stops) + content["omitted"].get("effect/stops", 0),
        }
    value = _of(caller, one) | {"summary": summary}
    return {name: said for name, said in value.items() if name in caller.fields}


def _of(caller: Caller, one: Reported) -> dict[str, Any]:
    return {
        "digest": to_hex(one.digest),
        "number": one.number,
        "registeredAt": one.registered_at,
        "state": str(caller.ledger.state(one.position)),
    }
