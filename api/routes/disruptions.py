"""Disruptions: what members report of them, read from the formats of others and given back in them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.capture import audience_of
from api.feed import iso
from api.impact.disruptions import CountsForNothing, Stated, UnknownDisruption
from api.impact.shared import Checkpointed
from api.problems import documented
from api.routes import examples
from api.routes.bodies import body, gives, json_body
from api.routes.statements import register_items
from api.service import Caller, Json, asks
from api.visibility import Action
from ledger_service.anchoring import UnknownCheckpoint
from ledger_service.bundle import NotYetAnchored
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex
from ledger_service.ledger import BacklogFull, CallRefused
from risk.disruption import Cancelled, Disruption, Report, Status
from risk.errors import MalformedFact
from risk.hits import Told
from risk.messages import CAP, CX, FORM, GDACS, MAX_BYTES, Feed, content_of, write_alert, write_notification

router = APIRouter(prefix="/v1/risk", tags=["risk"])

MEDIA_TYPES = ("application/json", "application/xml", "text/xml", "application/cap+xml", "application/rss+xml")
_WRITTEN_AS = {CAP: "application/cap+xml", CX: "application/json", GDACS: "application/rss+xml",
               FORM: "application/json"}  # fmt: skip
SOURCE = "disruptions"
"""The stream of a custodial member that its reports go to."""
Format = Literal["cap", "cx-0146", "gdacs", "form"]
_FORMAT = Query(
    alias="format",
    description="What the body is: a CAP 1.2 alert, a CX-0146 notification, a GDACS feed, the plain form.",
)
_TO = Query("", max_length=20_000, description="Ids of the members who may see the statements, with commas between.")


async def _read(request: Request, caller: Caller, form: str, to: str) -> tuple[list[dict[str, Any]], Feed, list[Told]]:
    """The contents of the reports in a body, ready to be signed, the feed that they are, and what of it would count for
    nothing.
    """
    service = caller.service
    data = await body(request, min(MAX_BYTES, service.settings.max_body_bytes), *MEDIA_TYPES)
    audience = [to_hex(one) for one in audience_of(to)]
    disruptions = service.impact.disruptions

    def read() -> tuple[Feed, list[Told]]:
        feed = disruptions.read(form, data, caller.member, service.now())
        return feed, disruptions.unheard(feed.reports, caller.member, _newest(caller))

    feed, told = await run_in_threadpool(read)
    return [content_of(one) | {"to": audience} for one in feed.reports], feed, told


@router.post(
    "/disruptions/read",
    responses=gives(
        {
            "contents": [examples.DISRUPTION],
            "told": [{"identifier": "7", "sender": examples.MEMBER, "what": "names the site urn:x, which …"}],
            "unread": [{"name": "FL1100327", "what": "eventid is missing"}],
        },
        "Contents of statements of the kind `disruption`, ready to sign; in `told` what of them would count for"
        " nothing, and why; of a feed, what could not be read.",
    )
    | documented(
        problems.Unauthenticated, problems.BodyTooLarge, problems.WrongMediaType, MalformedFact, MalformedInput,
        Cancelled, RequestValidationError,
    ),
    openapi_extra=json_body(examples.DISRUPTION_FORM, "The message, at most 4 MiB.", application_xml="<alert …>"),
)  # fmt: skip
async def read_disruption(
    request: Request, form: Format = _FORMAT, to: str = _TO, caller: Caller = asks(Action.READ_DISRUPTIONS)
) -> Response:
    """Read a message about a disruption into what you can sign. Nothing is kept.

    What would count for nothing altogether is refused here: an update of what its source had cancelled, another wording
    of a report that you stated before, a report in the name of another member; of a feed it is among the `unread`. What
    you have stated already is left out, so that a feed may be sent as often as one likes. `told` says which sites and
    parts you may not speak for; what you sign of them all the same is passed on, and stops nothing.
    """
    contents, feed, told = await _read(request, caller, form, to)
    unread = [{"name": name, "what": what} for name, what in feed.unread]
    return Json({"contents": contents, "told": _told(told), "unread": unread})


@router.post(
    "/disruptions",
    status_code=201,
    responses=gives(
        {
            "promise": examples.PROMISE,
            "registered": 1,
            "results": [{"digest": examples.DIGEST, "isNew": True, "item": 0, "registeredAt": examples.TIME}],
        },
        "As for a batch of statements; `item` counts the reports of the message.",
        status=201,
    )
    | documented(
        problems.Unauthenticated, problems.NotCustodial, problems.BodyTooLarge, problems.WrongMediaType, MalformedFact,
        MalformedInput, Cancelled, CountsForNothing, CallRefused, BacklogFull, problems.Busy, RequestValidationError,
    ),
    openapi_extra=json_body(examples.DISRUPTION_FORM, "The message, at most 4 MiB.", application_xml="<alert …>"),
)  # fmt: skip
async def state_disruption(
    request: Request,
    form: Format = _FORMAT,
    to: str = _TO,
    anyway: bool = Query(False, description="State it though some of it will count for nothing."),
    caller: Caller = asks(Action.CAPTURE),
) -> Response:
    """Have the service sign the reports in a message, with the key it keeps for you.

    For members with a custodial key only; all others sign at home what `disruptions/read` gives them.
    """
    custodian, now = caller.service.custodian, caller.service.now()
    custodian.key_of(caller.member, caller.ledger)
    contents, _, told = await _read(request, caller, form, to)
    if told and not anyway:
        raise CountsForNothing(told)
    if not contents:
        return Json({"promise": None, "registered": 0, "results": []}, 201)
    audience = audience_of(to)

    def seal() -> list[bytes]:
        return [
            custodian.seal_fact(
                caller.ledger, caller.member, audience, SOURCE, "disruption", content, now, after=number
            )
            for number, content in enumerate(contents)
        ]

    async with custodian.lane:
        items = await run_in_threadpool(seal)
        return await register_items(caller, items, keep_good=False)


@router.get(
    "/disruptions",
    responses=gives({"items": [examples.DISRUPTION_VIEW], "more": False, "told": []}, "The newest first.")
    | documented(problems.Unauthenticated, RequestValidationError),
)
def list_disruptions(
    status: Status | None = Query(None, description="Only those of one status."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_DISRUPTIONS),
) -> Response:
    """The disruptions that you may see reports of, each made of these and of no other, with who passed each of them on.

    Where `isDisputed` members pass on one source's reports otherwise than each other: what each of them says counts,
    and nobody takes back what another one passes on. `told` says which of your own reports, or what of them, are
    disputed or count for nothing, and why.
    """
    disruptions, sight = caller.service.impact.disruptions, caller.sight
    gathered = disruptions.at()
    found: list[dict[str, Any]] = []
    for whole in reversed(gathered.disruptions):
        if status is None or whole.status is status:
            found += [_view(*one) for one in gathered.shown(whole, sight)]
        if len(found) > limit:
            break
    told = _told(disruptions.told(caller.member, _newest(caller)))
    items = [{name: one[name] for name in one if name in caller.fields} for one in found[:limit]]
    return Json({"items": items, "more": len(found) > limit, "told": told})


@router.get(
    "/disruptions/{key:path}",
    responses=gives(examples.DISRUPTION_VIEW, "With `original` in each report; or the message in its own format.")
    | documented(problems.Unauthenticated, UnknownDisruption, MalformedFact, RequestValidationError),
)
def read_one(
    key: str,
    form: Literal["json", "cap", "cx-0146", "gdacs", "form"] = Query("json", alias="format"),
    status: Status | None = Query(None, description="Where an exercise has the same key as something actual."),
    caller: Caller = asks(Action.READ_DISRUPTIONS),
) -> Response:
    """One disruption with its reports; or its newest report in a format, as it came where it came in that one."""
    found = caller.service.impact.disruptions.at().find(key, caller.sight)
    fitting = [one for one in found if status is None or one[0].status is status]
    if not fitting:
        raise UnknownDisruption(key)
    disruption, stated = fitting[-1]
    if form == "json":
        view = _view(disruption, stated, originals=True)
        return Json({name: view[name] for name in view if name in caller.fields})
    name = CAP if form == "cap" else form
    return Response(_written(disruption.reports, name), media_type=_WRITTEN_AS[name])


def _told(told: Sequence[Told]) -> list[dict[str, str]]:
    return [{"identifier": one.report[1], "sender": one.report[0], "what": one.what} for one in told]


def _newest(caller: Caller) -> Checkpointed | None:
    """The network as it stands today; None before anything is anchored."""
    today = datetime.fromtimestamp(caller.service.now() / 1000, UTC).date()
    try:
        return caller.service.impact.shared.at(None, today)
    except (UnknownCheckpoint, NotYetAnchored):
        return None


def _written(reports: Sequence[Report], name: str) -> bytes:
    """The newest report that came in a format, as it came; else the newest of all, written anew."""
    came = [one for one in reports if one.format == name and one.original]
    if came:
        return came[-1].original.encode()
    if name == CAP:
        return write_alert(reports[-1])
    if name == CX:
        return write_notification(reports[-1])
    raise MalformedFact(f"none of its reports came as {name}, and others are not written so: ask for cap or cx-0146")


def _view(disruption: Disruption, stated: Sequence[Stated], *, originals: bool = False) -> dict[str, Any]:
    hidden = set() if originals else {"original"}
    return {
        "certainty": str(disruption.certainty),
        "ends": None if disruption.ends is None else disruption.ends.isoformat(),
        "event": disruption.reports[0].event,
        "isCancelled": disruption.is_cancelled,
        "isDisputed": disruption.is_disputed,
        "isOver": disruption.is_over,
        "key": disruption.key,
        "onset": None if disruption.onset is None else disruption.onset.isoformat(),
        "reports": [
            {
                "issuer": to_hex(one.issuer),
                "registered": iso(one.registered_at),
                "report": {name: value for name, value in content_of(one.report).items() if name not in hidden},
                "statement": to_hex(one.digest),
            }
            for one in stated
        ],
        "severity": str(disruption.severity),
        "sources": list(disruption.sources),
        "status": str(disruption.status),
    }
