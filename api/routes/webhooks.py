"""Webhooks: where a member wants its notices sent."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.notices import Notice, Told
from api.outbound import UnfitAddress
from api.problems import TooManyWebhooks, UnknownWebhook, documented
from api.routes import examples
from api.routes.bodies import gives, json_body, json_object, text
from api.service import Caller, Json, asks
from api.visibility import Action
from api.webhooks import Message, Webhook
from ledger_service.errors import MalformedInput

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


def _with_secret(caller: Caller, one: Webhook) -> dict[str, Any]:
    return one.as_json() | {"secret": caller.service.webhooks.secret(one)}


@router.post(
    "",
    status_code=201,
    responses=gives(examples.WEBHOOK | {"secret": examples.WEBHOOK_SECRET}, "It is called from now on.", status=201)
    | documented(
        problems.Unauthenticated, MalformedInput, UnfitAddress, TooManyWebhooks, problems.WrongMediaType,
    ),
    openapi_extra=json_body(
        {"kinds": ["offer-made", "overdue"], "url": "https://erp.example.org/tallystick"},
        "Where to send notices, by https; `kinds` of notices, left out for all of them.",
    ),
)  # fmt: skip
async def add_webhook(request: Request, caller: Caller = asks(Action.KEEP_WEBHOOKS)) -> Response:
    """Have your notices sent to an address of yours, from now on.

    Each is a POST signed as Standard Webhooks has it, with `secret`; check it, and count each `webhook-id` once. A
    status of 2xx takes it; otherwise it comes again, later each time, for days. 410 disables the webhook.
    """
    value = await json_object(request, "url", optional=("kinds",), limit=16 << 10)
    kinds = value.get("kinds")
    if kinds is not None:
        if not isinstance(kinds, list) or not 0 < len(kinds) <= len(Told):
            raise MalformedInput("kinds is a list of kinds of notices, or left out for all", "/kinds")
        for place, one in enumerate(kinds):
            if one not in list(Told):
                raise MalformedInput(f"expected one of {', '.join(Told)}", f"/kinds/{place}")
    url = text(value["url"], "/url", 2000)
    service = caller.service
    made = await run_in_threadpool(service.webhooks.add, caller.member, url, kinds, service.now())
    return Json(_with_secret(caller, made), 201)


@router.get(
    "",
    responses=gives({"items": [examples.WEBHOOK]}, "Oldest first, without their secrets.")
    | documented(problems.Unauthenticated),
)
def list_webhooks(caller: Caller = asks(Action.KEEP_WEBHOOKS)) -> Response:
    """Your webhooks and how they stand."""
    return Json({"items": [one.as_json() for one in caller.service.webhooks.listed(caller.member)]})


@router.post(
    "/{webhook}/secret",
    responses=gives(examples.WEBHOOK | {"secret": examples.WEBHOOK_SECRET}, "The new secret.")
    | documented(problems.Unauthenticated, UnknownWebhook),
)
def rotate_secret(webhook: str, caller: Caller = asks(Action.KEEP_WEBHOOKS)) -> Response:
    """Give a webhook a new secret. For a day messages are signed with the one before as well."""
    service = caller.service
    return Json(_with_secret(caller, service.webhooks.rotate(caller.member, webhook, service.now())))


@router.post(
    "/{webhook}/enable",
    responses=gives(examples.WEBHOOK, "It is called again.") | documented(problems.Unauthenticated, UnknownWebhook),
)
def enable_webhook(webhook: str, caller: Caller = asks(Action.KEEP_WEBHOOKS)) -> Response:
    """Call a disabled webhook again, beginning with what it did not take."""
    service = caller.service
    enabled = service.webhooks.enable(caller.member, webhook, service.now())
    service.courier.nudge()
    return Json(enabled.as_json())


@router.post(
    "/{webhook}/test",
    responses=gives({"status": 204, "trouble": None}, "What the receiver answered, or what went wrong.")
    | documented(problems.Unauthenticated, UnknownWebhook),
)
async def try_webhook(webhook: str, caller: Caller = asks(Action.KEEP_WEBHOOKS)) -> Response:
    """Send a notice of the kind `test` now, once, and say what came of it."""
    service = caller.service
    one = await run_in_threadpool(service.webhooks.of, caller.member, webhook)
    message = Message(one, Notice(0, Told.TEST, service.now(), {"webhook": one.id}))
    status, trouble = await asyncio.wrap_future(service.courier.attempt(message))
    return Json({"status": status, "trouble": trouble})


@router.delete("/{webhook}", status_code=204, responses=documented(problems.Unauthenticated, UnknownWebhook))
def remove_webhook(webhook: str, caller: Caller = asks(Action.KEEP_WEBHOOKS)) -> Response:
    """Forget a webhook. Your notices stay; `GET /v1/notices` has them."""
    caller.service.webhooks.remove(caller.member, webhook)
    return Response(status_code=204)
