"""EPCIS capture for members whose key is kept here."""

from typing import Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.capture import audience_of
from api.problems import documented
from api.routes import examples
from api.routes.bodies import body, gives, json_body
from api.routes.statements import MAX_JSON_BYTES, register_items
from api.service import Caller, asks
from api.visibility import Action
from ledger_service.canonical import MalformedJson
from ledger_service.envelope import Refusal
from ledger_service.intake import epcis
from ledger_service.intake.epcis import EpcisEvent, NotEpcis, RefusedEvent
from ledger_service.ledger import BacklogFull, CallRefused

router = APIRouter(prefix="/v1", tags=["capture"])


@router.post(
    "/epcis/capture",
    status_code=201,
    responses=gives(
        {
            "promise": examples.PROMISE,
            "registered": 1,
            "results": [{"digest": examples.DIGEST, "isNew": True, "item": 0, "registeredAt": examples.TIME}],
        },
        "As for a batch of statements; `item` counts the events of the document.",
        status=201,
    )
    | documented(
        problems.Unauthenticated, problems.NotCustodial, MalformedJson, NotEpcis, RefusedEvent, CallRefused,
        problems.TooManyItems, problems.BodyTooLarge, problems.WrongMediaType, BacklogFull, problems.Busy,
    ),
    openapi_extra=json_body(
        {"@context": examples.CONTEXT, "epcisBody": {"eventList": [examples.EVENT]}, "schemaVersion": "2.0",
         "type": "EPCISDocument"},
        "An EPCIS 2.0 document, an event, or a list of events, in JSON-LD, of at most 4 MiB.",
    ),
)  # fmt: skip
async def capture(
    request: Request,
    to: str = Query(
        "", max_length=20_000, description="Ids of the members who may see the events, with commas between."
    ),
    source: str = Query("capture", max_length=100, description="Which of your systems the events come from."),
    on_error: Literal["refuse_all", "keep_good"] = Query("refuse_all"),
    caller: Caller = asks(Action.CAPTURE),
) -> Response:
    """Have the service sign EPCIS events for you, one statement each, with the key it keeps for you.

    For members with a custodial key only; all others sign at home. Unlike a signed statement, a document sent again
    is signed again.
    """
    service, custodian = caller.service, caller.service.custodian
    custodian.key_of(caller.member, caller.ledger)
    limit = service.settings.max_batch_items
    data = await body(
        request, min(MAX_JSON_BYTES, service.settings.max_body_bytes), "application/json", "application/ld+json"
    )
    if _count(data) > limit:
        raise _too_many(_count(data), limit)
    audience, now = audience_of(to), service.now()
    read = await run_in_threadpool(epcis.read_each, data, now=now, tolerance=caller.ledger.rules.clock_tolerance)
    if len(read) > limit:
        raise _too_many(len(read), limit)
    refusals = [Refusal(index, one) for index, one in enumerate(read) if isinstance(one, RefusedEvent)]
    if refusals and (on_error == "refuse_all" or len(refusals) == len(read)):
        service.count_refusals(refusals)
        return problems.answer(CallRefused(refusals), {"results": problems.refusals(refusals)})
    events = {index: one for index, one in enumerate(read) if isinstance(one, EpcisEvent)}
    async with custodian.lane:
        items = await run_in_threadpool(
            custodian.seal, caller.ledger, caller.member, audience, source, list(events.values()), now
        )
        return await register_items(caller, items, keep_good=False, places=list(events), refused=refusals)


def _count(data: bytes) -> int:
    """About how many events a document holds, by a quick look: reading far too many strictly would take long."""
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return 0  # the strict reader says what is wrong
    for name in ("epcisBody", "queryResults", "resultsBody", "eventList"):
        value = value.get(name, value) if isinstance(value, dict) else value
    return len(value) if isinstance(value, list) else 1


def _too_many(count: int, limit: int) -> problems.TooManyItems:
    return problems.TooManyItems(f"{count} events in one call, the limit is {limit}")
