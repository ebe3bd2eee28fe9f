"""The live feed and the capture of events for members whose key is kept here."""

from fastapi import APIRouter, Header, Query
from starlette.responses import Response, StreamingResponse

from api import problems
from api.problems import documented
from api.routes import examples
from api.routes.bodies import gives
from api.service import Caller, asks, subject_in
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
    """What happens in your streams, and each anchor, as it happens.

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
