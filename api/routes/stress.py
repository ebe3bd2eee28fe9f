"""What might happen to the caller: stress tests of its view, and how exposed it is; of all, to the operator alone."""

from datetime import date
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.impact.issuing import Reported
from api.impact.reports import NoSites
from api.impact.shared import FactsBeingRead
from api.impact.stress import NAMES, TestsRunning, as_file, read_question, set_in
from api.problems import documented
from api.routes import examples
from api.routes.bodies import gives, json_body, json_object, text
from api.routes.impact import ON, SIZE, day_of
from api.service import Caller, Json, asks, hash_of
from api.visibility import Action
from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.bundle import NotYetAnchored
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex
from ledger_service.ledger import BacklogFull, UnknownStatement
from risk.errors import MalformedFact
from risk.stress import StressTest, TooMuchAsked

router = APIRouter(prefix="/v1", tags=["risk"])
_ASKED = (*NAMES, "day", "scenarioSet", "size", "withView")
_ERRORS = (
    NoSites, UnknownCheckpoint, NotYetAnchored, FactsBeingRead, MalformedFact, MalformedInput, TooMuchAsked,
    TestsRunning,
)  # fmt: skip


@router.post(
    "/risk/stress",
    responses=gives(examples.STRESS, "The question with all of its scenarios, what came of it, and the view if wanted.")
    | documented(problems.Unauthenticated, problems.NotThere, *_ERRORS),
    openapi_extra=json_body(
        examples.STRESS["question"],
        "Scenarios here or, by its id, a `scenarioSet`; what fails one at a time (`every`); mitigations with their "
        "costs. `withView` has the view come with the answer, so that the result can be made again offline.",
    ),
)
async def stress(request: Request, caller: Caller = asks(Action.STRESS)) -> Response:
    """What scenarios do to you, the worst first, before and after mitigations; made of your view and of nothing else.

    Nothing is kept here. The same question by the same checkpoint has the same bytes.
    """
    value = await json_object(request, optional=_ASKED)
    return await run_in_threadpool(lambda: Json(_tested(caller, value)[0]))


@router.post(
    "/risk/stress/reports",
    status_code=201,
    responses=gives(examples.STRESS_REPORTED, "The report, registered, and what it is made of, for you to keep.",
                    status=201)
    | documented(problems.Unauthenticated, problems.NotThere, *_ERRORS, BacklogFull),
    openapi_extra=json_body(examples.STRESS["question"], "A question as for `/v1/risk/stress`."),
)  # fmt: skip
async def report(request: Request, caller: Caller = asks(Action.STRESS)) -> Response:
    """The same as a statement of the service that only you may read: it stands in the log, and is made again from your
    view. What does not go into a statement is in it by its digest: keep the answer. Asked for twice there is one.
    """
    value = await json_object(request, optional=_ASKED)

    def issue() -> Response:
        kept, test = _tested(caller, value)
        stress, now = caller.service.impact.stress, caller.service.now()
        return Json(kept | _shown(caller, stress.report(caller.member, kept["question"], test, now=now)), 201)

    return await run_in_threadpool(issue)


@router.get(
    "/risk/stress/reports",
    responses=gives({"items": [examples.STRESS_REPORT_LINE], "next": None}, "The oldest first.")
    | documented(problems.Unauthenticated, RequestValidationError),
)
def list_reports(
    after: int = Query(0, ge=0, le=2**53 - 1, description="Only those with higher numbers."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_REPORTS),
) -> Response:
    """Your reports of stress tests, each with the worst of it. `next` is what to ask for `after`, null at the end."""
    found = caller.service.impact.stress.page(caller.member, after, limit)
    return Json({"items": [_line(caller, one) for one in found], "next": found[-1].number if len(found) == limit
                 else None})  # fmt: skip


@router.get(
    "/risk/stress/reports/{digest}",
    responses=gives(examples.STRESS_REPORT, "`content` is null once it was erased.")
    | documented(problems.Unauthenticated, problems.NotThere),
)
def read_report(digest: str, caller: Caller = asks(Action.READ_REPORTS)) -> Response:
    """One of your reports of stress tests; those of others are not there for you."""
    return Json(_shown(caller, _found(caller, digest)))


@router.get(
    "/risk/stress/view",
    responses=gives(examples.VIEW, "Canonical JSON: its SHA-256 is what reports of stress tests call `view`.")
    | documented(problems.Unauthenticated, RequestValidationError, *_ERRORS),
)
def read_view(size: int | None = SIZE, day: str | None = ON, caller: Caller = asks(Action.READ_VIEW)) -> Response:
    """Your view of the network while nothing happens, with how long sites take to recover: what tests are made of."""
    impact = caller.service.impact
    view = impact.stress.view(caller.member, impact.shared.at(size, day_of(day, caller)))
    return Response(view.text, media_type="application/json")


def _found(caller: Caller, digest: str) -> Reported:
    try:
        return caller.service.impact.stress.find(caller.member, hash_of(digest))
    except UnknownStatement:
        raise problems.NotThere from None


def _shown(caller: Caller, one: Reported) -> dict[str, Any]:
    value = _of(caller, one) | {"content": None if one.content is None else one.said}
    return {name: said for name, said in value.items() if name in caller.fields}


def _line(caller: Caller, one: Reported) -> dict[str, Any]:
    content, summary = one.content, None
    if content is not None:
        worst = next(iter(content["scenarios"]), None)
        summary = {
            "checkpoint": content["checkpoint"],
            "day": content["day"],
            "flagged": content["flagged"],
            "mitigations": [each["name"] for each in content["mitigations"]],
            "screened": content["screened"],
            "worst": None
            if worst is None
            else {"name": worst["name"], "revenueCents": worst["effect"]["revenueCents"], "where": worst["where"]},
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


def _tested(caller: Caller, value: dict[str, Any]) -> tuple[dict[str, Any], StressTest]:
    impact = caller.service.impact
    size, day, asked = _asked(value, caller)
    with_view = value.get("withView", False)
    if type(with_view) is not bool:
        raise MalformedInput("expected true or false", "/withView")
    named = value.get("scenarioSet")
    if named is not None:
        if asked.keys() & {"scenarios", "name", "version"}:
            raise MalformedInput("either a set by its id or scenarios, and not both", "/scenarioSet")
        record, _, fields = caller.record(text(named, "/scenarioSet", 66))
        content = caller.ledger.envelope(record)[0].content if "content" in fields else None
        if record.header.kind != "scenario-set" or content is None:
            raise problems.NotThere
        asked |= set_in(content)
    question = read_question(asked)
    view, test = impact.stress.test(caller.member, question, at=impact.shared.at(size, day), is_strict=named is None)
    return as_file(asked, test.content, view if with_view else None), test


def _asked(value: dict[str, Any], caller: Caller) -> tuple[int | None, date, dict[str, Any]]:
    size = value.get("size")
    if size is not None and (type(size) is not int or size < 1):
        raise MalformedInput("expected the size of a checkpoint", "/size")
    day = day_of(None if value.get("day") is None else text(value["day"], "/day", 10), caller)
    return size, day, {name: value[name] for name in NAMES if name in value}


@router.get(
    "/risk/exposure",
    responses=gives(examples.EXPOSURE, "Canonical JSON; `restsOn` says what each figure is made from.")
    | documented(problems.Unauthenticated, RequestValidationError, *_ERRORS),
)
def read_exposure(
    size: int | None = SIZE, day: str | None = ON, caller: Caller = asks(Action.READ_EXPOSURE)
) -> Response:
    """How exposed you are to each site that you may see, and where all hangs by one.

    How long you survive without it against how long it takes to recover, the risk exposure index, the systemic risk
    of your view, single sources, and what suppliers that look independent have in common further up.
    """
    impact = caller.service.impact
    found = impact.stress.exposure(caller.member, at=impact.shared.at(size, day_of(day, caller)))
    return Response(found.text, media_type="application/json")


@router.post(
    "/operator/stress",
    responses=gives(examples.STRESS, "As of `/v1/risk/stress`, of the network that all share.")
    | documented(problems.Unauthenticated, problems.Forbidden, *_ERRORS),
    openapi_extra=json_body(
        {"every": ["site"], "worst": 10}, "A question as for `/v1/risk/stress`, with its scenarios in it."
    ),
)
async def stress_whole(request: Request, caller: Caller = asks(Action.OPERATE)) -> Response:
    """What scenarios do to the consortium as a whole: for the operator at the machine, who reads all facts anyway."""
    value = await json_object(request, optional=(*NAMES, "day", "size"))
    return await run_in_threadpool(_tested_whole, caller, value)


def _tested_whole(caller: Caller, value: dict[str, Any]) -> Response:
    impact = caller.service.impact
    size, day, asked = _asked(value, caller)
    test = impact.stress.test_whole(read_question(asked), at=impact.shared.at(size, day))
    return Json(as_file(asked, test.content))
