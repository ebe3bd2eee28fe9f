"""The live feed, and notices page by page for those who would rather ask."""

from fastapi import APIRouter, Header, Query
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response, StreamingResponse

from api import problems
from api.problems import documented
from api.routes import examples
from api.routes.bodies import gives
from api.service import Caller, Json, asks, subject_in
from api.visibility import Action

router = APIRouter(prefix="/v1", tags=["feed"])


@router.get(
    "/feed",
    responses=gives(
        f"id: {examples.CURSOR}\nevent: org.example.tallystick.checkpoint.anchored\n"
        'data: {"specversion":"1.0","id":"checkpoint/128","source":"urn:tallystick:ledger.example.org/demo",'
        '"type":"org.example.tallystick.checkpoint.anchored","subject":"checkpoint/128",'
        '"time":"2026-09-21T14:13:21.000Z","datacontenttype":"application/json",'
        '"data":{"anchoredAt":1790000001000,"block":42,"size":128}}\n\n',
        "Server-sent events; each one's data is a CloudEvent 1.0 in JSON.",
        "text/event-stream",
    )
    | documented(problems.Unauthenticated, problems.ForeignCursor, problems.Busy),
)
def follow(
    after: str | None = Query(None, max_length=200, description="The id of the last event seen."),
    last_event_id: str | None = Header(None, max_length=200, description="The same, as browsers send it."),
    caller: Caller = asks(Action.FOLLOW),
) -> Response:
    """What happens in your streams, each anchor, and each notice to you, as it happens.

    A notice is an event of the type `org.example.tallystick.notice.` and its kind, as `GET /v1/notices` has it.

    An event's id is your place in the feed: give the last one back as `Last-Event-ID` or `after` and nothing is
    missed. Without it the feed begins now. It ends when the token does; come back with a new one.
    """
    assert caller.session is not None
    feed = caller.service.feed
    place = feed.place(caller.member, last_event_id or after)
    events = feed.read(
        caller.session,
        place,
        lambda sight, record: caller.sees(
            subject_in(sight, record.header.stream, record.header.issuer, record.position)
        ),
    )
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


@router.get(
    "/notices",
    responses=gives(
        {"items": [examples.NOTICE], "more": False, "next": examples.CURSOR}, "Up to `limit` notices, oldest first."
    )
    | documented(problems.Unauthenticated, problems.ForeignCursor, RequestValidationError),
)
def list_notices(
    after: str | None = Query(None, max_length=200, description="`next` of the answer before."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_NOTICES),
) -> Response:
    """What you should know of the custody you have a part in: each step once, in order.

    A notice names statements, units of the chain, members and findings by their ids. `next` is your place after the
    last one: come back with it. Without `after` the list begins with your first notice.
    """
    cursors = caller.service.cursors
    (start,) = (0,) if after is None else cursors.open(caller.member, "notices", after, 1)
    notices = caller.service.notices.page(caller.member, start, limit + 1)
    end = notices[:limit][-1].number if notices else start
    items = [{name: one for name, one in notice.as_json().items() if name in caller.fields} for notice in notices]
    following = cursors.seal(caller.member, "notices", end)
    return Json({"items": items[:limit], "more": len(notices) > limit, "next": following})
