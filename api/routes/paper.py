"""Paper and what goes with it: despatch notes, PINs of sites, signing requests."""

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.pages.notes import ALL_SITES, Pin, UnfitPin
from api.pages.requests import RequestState, SigningRequest, UnfitStatement, UnknownRequest
from api.paper import CannotPrint, NoRecord, NothingToPrint
from api.paper.report import Report
from api.problems import documented
from api.routes import examples
from api.routes.bodies import body, gives, json_body, json_object, text
from api.service import Caller, Json, Service, asks
from api.visibility import Action
from ledger_service.custody.kinds import Reader
from ledger_service.errors import MalformedInput
from ledger_service.evidence import BUNDLE_FORMAT, BundleRefused
from ledger_service.keys import from_hex

router = APIRouter(prefix="/v1/custody", tags=["paper"])
PDF = "application/pdf"
_SITE = "https://id.gs1.org/414/9521002000016"
_PIN = {"setAt": examples.TIME, "site": _SITE}
_REQUEST = {
    "content": {
        "basis": "counted",
        "despatch": examples.DIGEST,
        "document": {"number": "80417731-2f7be0c1", "type": "goods-receipt"},
        "outcome": "accepted",
        "receivedAt": "2026-09-22T04:21:00.000Z",
        "to": [examples.PARTNER],
        "units": ["https://id.gs1.org/00/395210040009260175"],
    },
    "despatch": examples.DIGEST,
    "id": "17",
    "kind": "receipt",
    "madeAt": examples.TIME,
    "state": "waiting",
}
_FULFILLED = _REQUEST | {"settledAt": examples.TIME + 2000, "state": "fulfilled", "statement": examples.DIGEST}
_DECLINED = _REQUEST | {"declined": "not for this site", "settledAt": examples.TIME + 2000, "state": "declined"}


@router.post(
    "/notes",
    status_code=201,
    responses=gives("%PDF-1.7 …", "The note as PDF/A, with a code of its own.", PDF, 201)
    | documented(
        problems.Unauthenticated, problems.WrongMediaType, problems.BodyTooLarge, MalformedInput, NothingToPrint,
        CannotPrint,
    ),
    openapi_extra=json_body({"despatch": examples.DIGEST}, "The id of your despatch."),
)  # fmt: skip
async def print_note(request: Request, caller: Caller = asks(Action.PRINT_NOTE)) -> Response:
    """Print the note that travels with the goods. Its code leads to a page on which the taker answers your offer.

    Each call makes another code. It ends a week after the deadline of the despatch, and shows what the paper shows to
    whoever holds it; to answer takes the PIN of the taker's site.
    """
    value = await json_object(request, "despatch")
    despatch = from_hex(value["despatch"], 32, "/despatch")
    service = caller.service
    made = await run_in_threadpool(
        service.desk.print_note, caller.member, despatch, service.url, is_demo=service.network.is_demo
    )
    return Response(made, 201, media_type=PDF)


@router.post(
    "/report",
    responses=gives("%PDF-1.7 …", "The report as PDF/A. The same bundle gives the same bytes.", PDF)
    | documented(
        problems.Unauthenticated, problems.WrongMediaType, problems.BodyTooLarge, BundleRefused, MalformedInput,
        NoRecord, CannotPrint,
    ),
    openapi_extra=json_body(
        examples.RECEIPT | {"custody": {"certificates": [], "things": [], "units": []}, "format": BUNDLE_FORMAT},
        "A bundle as /v1/custody/bundle gives it, byte for byte: the report names it by its SHA-256.",
    ),
)  # fmt: skip
async def print_report(request: Request, caller: Caller = asks(Action.BUNDLE)) -> Response:
    """Print a bundle's record of custody for people: findings first, then the answer, the legs, and how to check it.

    It says no more than the bundle, which is judged first. The same is had offline by `tallystick report`.
    """
    service = caller.service
    data = await body(request, service.settings.max_body_bytes, "application/json")
    async with service.bundling:
        made = await run_in_threadpool(_report, service, data)
    return Response(made, media_type=PDF)


def _report(service: Service, data: bytes) -> bytes:
    network = service.network
    return Report.of(data, network.trust(), network.directory, is_demo=network.is_demo).pdf()


@router.get(
    "/pins",
    responses=gives({"items": [_PIN]}, "Your sites that have a PIN, and since when.")
    | documented(problems.Unauthenticated),
)
def list_pins(caller: Caller = asks(Action.KEEP_PINS)) -> Response:
    """Which of your sites may answer printed notes by a PIN. The one without a name is for all others."""
    return Json({"items": [_pin(caller, one) for one in caller.service.desk.notes.pins(caller.member)]})


@router.post(
    "/pins",
    status_code=201,
    responses=gives(_PIN, "It counts from now on; what another one had opened is shut.", status=201)
    | documented(problems.Unauthenticated, problems.WrongMediaType, problems.BodyTooLarge, MalformedInput, UnfitPin),
    openapi_extra=json_body(
        {"pin": "480913", "site": _SITE}, "6 to 12 digits, and the site: without one it is for all that have none."
    ),
)
async def set_pin(request: Request, caller: Caller = asks(Action.KEEP_PINS)) -> Response:
    """Set the PIN by which people at one of your sites answer printed notes in your name."""
    value = await json_object(request, "pin", optional=("site",))
    site = Reader(value, "", "pin", "site").place_or_none("site") or ALL_SITES
    pin = text(value["pin"], "/pin", 64)
    service = caller.service
    kept = await run_in_threadpool(service.desk.notes.set_pin, caller.member, site, pin, service.now())
    return Json(_pin(caller, kept), 201)


@router.get(
    "/requests",
    responses=gives({"items": [_REQUEST], "next": None}, "Up to `limit` requests, the oldest first.")
    | documented(problems.Unauthenticated, RequestValidationError),
)
def list_requests(
    state: RequestState | None = Query(None, description="Only those that stand so."),
    after: int = Query(0, ge=0, le=(1 << 53) - 1, description="`next` of the page before."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_REQUESTS),
) -> Response:
    """What people at your sites asked your gateway to sign. Nothing of it counts before the gateway has signed it."""
    found = caller.service.desk.requests.listed(caller.member, state=state, after=after, limit=limit + 1)
    more = found[limit - 1].number if len(found) > limit else None
    return Json({"items": [_shown(caller, one) for one in found[:limit]], "next": more})


@router.post(
    "/requests/{number}/fulfilled",
    responses=gives(_FULFILLED, "The request with the statement. Sent again it is the same.")
    | documented(
        problems.Unauthenticated, problems.WrongMediaType, problems.BodyTooLarge, MalformedInput,
        RequestValidationError, UnknownRequest, UnfitStatement,
    ),
    openapi_extra=json_body({"statement": examples.DIGEST}, "The id of the statement, which is registered."),
)  # fmt: skip
async def fulfil(number: int, request: Request, caller: Caller = asks(Action.SETTLE_REQUEST)) -> Response:
    """Say that your gateway has signed and registered what was asked for."""
    value = await json_object(request, "statement")
    statement = from_hex(value["statement"], 32, "/statement")
    return Json(_shown(caller, await run_in_threadpool(caller.service.desk.fulfil, caller.member, number, statement)))


@router.post(
    "/requests/{number}/declined",
    responses=gives(_DECLINED, "The request with your reason. The page shows it, and takes another answer.")
    | documented(
        problems.Unauthenticated, problems.WrongMediaType, problems.BodyTooLarge, MalformedInput,
        RequestValidationError, UnknownRequest, UnfitStatement,
    ),
    openapi_extra=json_body({"reason": "not for this site"}, "Why your gateway does not sign."),
)  # fmt: skip
async def decline(number: int, request: Request, caller: Caller = asks(Action.SETTLE_REQUEST)) -> Response:
    """Say why your gateway does not sign what was asked for."""
    value = await json_object(request, "reason")
    reason = text(value["reason"], "/reason", 500)
    service = caller.service
    return Json(
        _shown(
            caller,
            await run_in_threadpool(service.desk.requests.decline, caller.member, number, reason, service.now()),
        )
    )


def _pin(caller: Caller, one: Pin) -> dict[str, Any]:
    value = {"site": one.site or None, "setAt": one.set_at}
    return {name: each for name, each in value.items() if name in caller.fields}


def _shown(caller: Caller, one: SigningRequest) -> dict[str, Any]:
    return {name: value for name, value in one.as_json().items() if name in caller.fields}
