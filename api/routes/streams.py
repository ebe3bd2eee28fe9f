"""Streams, what is amiss in them, and audit bundles over them."""

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.problems import documented
from api.routes import examples
from api.routes.bodies import gives, json_body, json_object
from api.routes.statements import explain, explain_fork
from api.service import Caller, Json, asks, hash_of
from api.visibility import Action, Fields, Subject
from ledger_service import bundle
from ledger_service.errors import MalformedInput
from ledger_service.evidence import BUNDLE_FORMAT
from ledger_service.grants import Shown, common, is_within
from ledger_service.keys import from_hex, to_hex
from ledger_service.ledger import Record, StreamView, UnknownStatement

router = APIRouter(prefix="/v1", tags=["streams and bundles"])
MAX_FINDINGS = 500


def _stream(caller: Caller, text: str) -> tuple[StreamView, Fields]:
    """The stream with this id; raises NotThere, alike for none and for another member's."""
    try:
        view = caller.ledger.stream(hash_of(text))
    except UnknownStatement:
        raise problems.NotThere from None
    fields = caller.sees(caller.subject(view.id, view.issuer))
    if not fields:
        raise problems.NotThere
    return view, fields


def _shown(caller: Caller, view: StreamView, fields: Fields) -> dict[str, Any]:
    holes = caller.ledger.holes(view.id) if view.registered < view.highest else []
    value = {
        "audience": None if view.audience is None else [to_hex(one) for one in view.audience],
        "highest": view.highest,
        "holes": [{"first": one.first, "last": one.last, "since": one.since} for one in holes],
        "issuer": to_hex(view.issuer),
        "registered": view.registered,
        "stream": to_hex(view.id),
    }
    return {name: one for name, one in value.items() if name in fields}


@router.get(
    "/streams",
    responses=gives({"items": [examples.STREAM_VIEW], "next": None}, "Up to `limit` streams, by id.")
    | documented(problems.Unauthenticated, problems.ForeignCursor, RequestValidationError),
)
def list_streams(
    after: str | None = Query(None, max_length=200, description="`next` of the page before."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_STREAM),
) -> Response:
    """The streams you issue, are in the audience of or were granted to see."""
    cursors = caller.service.cursors
    start = b"" if after is None else cursors.open_bytes(caller.member, "streams", after)
    views = caller.ledger.streams_of(caller.sight, start, limit + 1)
    shown = [_shown(caller, one, caller.sees(caller.subject(one.id, one.issuer))) for one in views[:limit]]
    more = cursors.seal_bytes(caller.member, "streams", views[limit - 1].id) if len(views) > limit else None
    return Json({"items": shown, "next": more})


@router.get(
    "/streams/{stream}",
    responses=gives(examples.STREAM_VIEW, "Its issuer, its audience, its numbers and those it misses.")
    | documented(problems.Unauthenticated, problems.NotThere),
)
def read_stream(stream: str, caller: Caller = asks(Action.READ_STREAM)) -> Response:
    """One stream. `audience` is null while only headers came."""
    view, fields = _stream(caller, stream)
    return Json(_shown(caller, view, fields))


@router.get(
    "/streams/{stream}/explain",
    responses=gives(
        {
            "next": "its issuer sends it, or a signed void",
            "since": examples.TIME,
            "state": "missing",
            "why": "number 3 is missing",
        },
        "In plain words.",
    )
    | documented(problems.Unauthenticated, problems.NotThere, RequestValidationError),
)
def explain_number(
    stream: str, sequence: int = Query(ge=1, le=2**53 - 1), caller: Caller = asks(Action.READ_STREAM)
) -> Response:
    """What became of a number of a stream: registered, missing, refused or not reached yet."""
    view, _ = _stream(caller, stream)
    record = caller.ledger.find(view.id, sequence)
    if record is not None:
        value = explain(caller, record) | {"digest": to_hex(record.digest)}
        forks = caller.ledger.forks(caller.sight, stream_id=view.id, sequence=sequence)
        if forks:
            value["forks"] = [explain_fork(one.record, one.noted_at) | {"digest": to_hex(one.digest)} for one in forks]
        return Json(value)
    if sequence > view.highest:
        why, since = f"the highest number registered is {view.highest}", None
        return Json(
            {"next": "nothing to wait for: it was not sent yet", "since": since, "state": "unknown", "why": why}
        )
    hole = next((one for one in caller.ledger.holes(view.id, 10_000) if one.first <= sequence <= one.last), None)
    return Json(
        {
            "next": "its issuer sends it, or a signed void in its place",
            "since": hole.since if hole else None,
            "state": "missing",
            "why": f"number {sequence} was left out: a later number is registered and this one was not sent, or was "
            "refused",
        }
    )


@router.get(
    "/findings",
    responses=gives(
        {
            "items": [
                {"finding": "stream hole", "first": 3, "last": 4, "since": examples.TIME, "stream": examples.STREAM,
                 "what": "numbers 3 to 4 are missing"}
            ]
        },
        "What a reader should know: stream holes, stream forks, and statements overtaken by the end of their key.",
    )
    | documented(problems.Unauthenticated),
)  # fmt: skip
def read_findings(caller: Caller = asks(Action.READ_FINDINGS)) -> Response:
    """What is amiss in the streams you may see."""
    ledger = caller.ledger
    oldest = caller.service.now() - ledger.rules.stream_gap_after
    found: list[tuple[Subject, dict[str, Any]]] = []
    after = b""
    while len(found) < MAX_FINDINGS:
        views = ledger.streams_of(caller.sight, after, 100, broken=True)
        for view in views:
            subject = caller.subject(view.id, view.issuer)
            for hole in ledger.holes(view.id):
                if hole.since <= oldest:
                    what = f"number {hole.first}" if hole.first == hole.last else f"numbers {hole.first} to {hole.last}"
                    value = {"first": hole.first, "last": hole.last, "stream": to_hex(view.id)}
                    found.append((subject, _finding("stream hole", hole.since, f"missing: {what}", value)))
        if len(views) < 100:
            break
        after = views[-1].id
    for fork in ledger.forks(caller.sight):
        what = f"its issuer signed two statements under number {fork.record.header.sequence}"
        value = _place(fork.record) | {"digest": to_hex(fork.digest)}
        found.append((caller.subject_of(fork.record), _finding("stream fork", fork.noted_at, what, value)))
    for record, reason in ledger.overtaken(caller.sight):
        value = _place(record) | {"digest": to_hex(record.digest)}
        what = "it keeps its number and counts for nothing; its issuer signs the content again"
        found.append((caller.subject_of(record), _finding(f"void: {reason}", record.registered_at, what, value)))
    items = []
    for subject, value in found[:MAX_FINDINGS]:
        fields = caller.sees(subject)
        if fields:
            items.append({name: one for name, one in value.items() if name in fields})
    return Json({"items": items})


def _finding(name: str, since: int, what: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"finding": name, "since": since, "what": what} | value


def _place(record: Record) -> dict[str, Any]:
    return {"sequence": record.header.sequence, "stream": to_hex(record.header.stream)}


@router.post(
    "/bundles",
    responses=gives(examples.RECEIPT | {"format": BUNDLE_FORMAT}, "The audit bundle, to be verified offline.")
    | documented(
        problems.Unauthenticated, problems.NotThere, bundle.NotYetAnchored, bundle.TooLarge, MalformedInput,
        problems.WrongMediaType,
    ),
    openapi_extra=json_body(
        {"fields": None, "pin": False, "streams": [{"first": 1, "last": None, "stream": examples.STREAM}]},
        "Streams with their first and last number (`last` null: the newest anchored one); `pin` leads the block "
        "headers up to the "
        "newest block; `fields` discloses only these pointers instead of the whole content.",
    ),
)  # fmt: skip
async def make_bundle(request: Request, caller: Caller = asks(Action.BUNDLE)) -> Response:
    """All anchored statements of some streams, with everything a stranger needs to check them offline."""
    value = await json_object(request, "streams", optional=("pin", "fields"))
    spans = _spans(value["streams"])
    pin, pointers = value.get("pin", False), value.get("fields")
    if not isinstance(pin, bool):
        raise MalformedInput("pin is true or false", "/pin")
    if pointers is not None and (
        not isinstance(pointers, list) or not all(isinstance(one, str) and len(one) <= 1000 for one in pointers)
    ):
        raise MalformedInput("fields is null or a list of pointers", "/fields")
    async with caller.service.bundling:
        return await run_in_threadpool(_bundle, caller, spans, pin, pointers)


def _bundle(
    caller: Caller, spans: dict[bytes, tuple[int, int | None]], pin: bool, pointers: list[str] | None
) -> Response:
    for stream in spans:
        _stream(caller, to_hex(stream))
    wanted: Shown = True if pointers is None else tuple(pointers)

    def showing(record: Record) -> Shown:
        return common(caller.shows(record), wanted)

    pin_block = caller.ledger.anchoring.chain.head().number if pin else None
    made = bundle.audit_bundle(caller.ledger, spans, showing, pin_block=pin_block)
    shown = [field.path for one in made.statements for field in one.disclosed or ()]
    for pointer in pointers or ():
        if not any(is_within(path, pointer) for path in shown):
            raise MalformedInput(f"no statement here has a field {pointer!r} that you may see", "/fields")
    return Response(made.data, media_type="application/json")


def _spans(value: Any) -> dict[bytes, tuple[int, int | None]]:
    if not isinstance(value, list) or not 0 < len(value) <= 1000:
        raise MalformedInput("streams is a list of 1 to 1,000 streams", "/streams")
    spans: dict[bytes, tuple[int, int | None]] = {}
    for index, one in enumerate(value):
        where = f"/streams/{index}"
        if not isinstance(one, dict) or not {"stream"} <= one.keys() <= {"stream", "first", "last"}:
            raise MalformedInput("name the stream, and perhaps its first and last number", where)
        first, last = one.get("first", 1), one.get("last")
        if type(first) is not int or first < 1:
            raise MalformedInput("numbers count from 1", f"{where}/first")
        if last is not None and (type(last) is not int or last < first):
            raise MalformedInput("the last number is null or not below the first", f"{where}/last")
        spans[from_hex(one["stream"], 32, f"{where}/stream")] = (first, last)
    return spans
