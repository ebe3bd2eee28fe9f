"""Statements: in at the door, singly or many at once, and back out with their clocks and proofs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from api import problems
from api.feed import iso
from api.problems import documented
from api.routes import examples
from api.routes.bodies import body, gives, json_body
from api.service import Caller, Json, asks, hash_of
from api.visibility import Action, Fields
from ledger_service import canonical
from ledger_service.batch import FromTheFuture, StatementConflict, StreamMismatch, UnknownMember
from ledger_service.bundle import NotYetAnchored, receipt
from ledger_service.checkpoint import LogProof
from ledger_service.envelope import MAX_ENVELOPE_BYTES, ContentMismatch, Refusal
from ledger_service.errors import MalformedInput
from ledger_service.grants import present
from ledger_service.intake.epcis import RefusedEvent
from ledger_service.keys import BadSignature, to_hex
from ledger_service.ledger import (
    BacklogFull,
    CallRefused,
    Record,
    Registration,
    State,
)
from ledger_service.membership import MemberNotActive, RevokedKey, UnknownKey, WrongMember, WrongPurpose
from ledger_service.statements import UnknownKind, disclose

router = APIRouter(prefix="/v1/statements", tags=["statements"])
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
MAX_JSON_BYTES = 4 << 20
"""Of many statements in one JSON object, which is read as a whole and strictly; lines are read each by itself."""
JSON_ROOM = 2
"""A JSON call has more punctuation than its statements: this much more room is left around a single one."""

_REFUSALS = (
    problems.NotTheIssuer, problems.WrongMediaType, problems.BodyTooLarge, problems.Busy, problems.StorageUnavailable,
    BacklogFull,
    canonical.MalformedJson, MalformedInput, RefusedEvent, ContentMismatch, BadSignature, UnknownKey, WrongMember,
    WrongPurpose, RevokedKey, MemberNotActive, UnknownKind, UnknownMember, FromTheFuture, StatementConflict,
    StreamMismatch,
)  # fmt: skip


@router.post(
    "",
    status_code=201,
    responses=gives(examples.REGISTERED, "Registered, and promised to be logged.", status=201)
    | gives(examples.REGISTERED | {"isNew": False, "state": "anchored"}, "It was there already.")
    | documented(problems.Unauthenticated, *_REFUSALS),
    openapi_extra=json_body(examples.ENVELOPE, "One envelope."),
)
async def register(request: Request, caller: Caller = asks(Action.REGISTER)) -> Response:
    """Register one signed statement. Sending it again gives the first registration again, with status 200."""
    data = await body(request, JSON_ROOM * MAX_ENVELOPE_BYTES, "application/json")
    try:
        registration = await caller.service.door.register([data], keep_good=False, vet=caller.vet)
    except CallRefused as error:
        raise error.refusals[0].error from None
    (accepted,) = registration.accepted
    state = State.REGISTERED if accepted.is_new else await run_in_threadpool(_state, caller, accepted.digest)
    value = {
        "digest": to_hex(accepted.digest),
        "isNew": accepted.is_new,
        "promise": str(registration.promise),
        "registeredAt": accepted.registered_at,
        "state": state,
    }
    return Json(value, 201 if accepted.is_new else 200)


def _state(caller: Caller, digest: bytes) -> State:
    return caller.ledger.state(caller.ledger.record(digest).position)


@router.post(
    "/batch",
    status_code=201,
    responses=gives(
        {
            "promise": examples.PROMISE,
            "registered": 1,
            "results": [{"digest": examples.DIGEST, "isNew": True, "item": 0, "registeredAt": examples.TIME}],
        },
        "What was registered, one promise over all of it, and with `keep_good` the problem of each item that was not.",
        status=201,
    )
    | documented(
        problems.Unauthenticated, CallRefused, problems.EmptyCall, problems.TooManyItems, problems.WrongMediaType,
        problems.BodyTooLarge, problems.Busy, problems.StorageUnavailable, BacklogFull, canonical.MalformedJson,
        RequestValidationError,
    ),
    openapi_extra=json_body(
        {"statements": [examples.ENVELOPE]},
        "Envelopes, one a line (the fast way), or in a JSON object of at most 4 MiB.",
        application_x_ndjson=canonical.dump(examples.ENVELOPE).decode() + "\n",
    ),
)  # fmt: skip
async def register_batch(
    request: Request,
    on_error: Literal["refuse_all", "keep_good"] = Query(
        "refuse_all", description="What becomes of the others when an item is refused."
    ),
    caller: Caller = asks(Action.REGISTER),
) -> Response:
    """Register many signed statements in one durable step.

    With `refuse_all` (the default) one bad item refuses the call and nothing is kept; the answer lists every bad
    item. With `keep_good` the good ones are registered and each other item has its problem. Sending a call again is
    safe.
    """
    settings = caller.service.settings
    limit = settings.max_batch_items
    if request.headers.get("content-type", "").lower().startswith(NDJSON):
        items = _lines(await body(request, settings.max_body_bytes, *NDJSON), limit)
    else:
        data = await body(request, min(MAX_JSON_BYTES, settings.max_body_bytes), "application/json", *NDJSON)
        items = await run_in_threadpool(_elements, data, limit)
    return await register_items(caller, items, keep_good=on_error == "keep_good")


async def register_items(
    caller: Caller,
    items: list[bytes],
    *,
    keep_good: bool,
    places: Sequence[int] | None = None,
    refused: Sequence[Refusal] = (),
) -> Response:
    """The answer to a call of many envelopes.

    `places` are the items' numbers in what was sent, where some of it, `refused`, was put aside before.
    """
    try:
        registration = await caller.service.door.register(items, keep_good=keep_good, vet=caller.vet)
    except CallRefused as error:
        refusals = error.refusals
        if places is not None:
            refusals = sorted([*refused, *(one._replace(item=places[one.item]) for one in refusals)], key=_item)
            error = CallRefused(refusals)
        caller.service.count_refusals(refusals)
        return problems.answer(error, {"results": problems.refusals(refusals)})
    if places is not None:
        accepted = [replace(one, item=places[one.item]) for one in registration.accepted]
        registration = replace(registration, accepted=accepted, refused=[*refused, *registration.refused])
    caller.service.count_refusals(registration.refused)
    return Json(_answer(registration), 201)


def _item(refusal: Refusal) -> int:
    return refusal.item


def _answer(registration: Registration) -> dict[str, Any]:
    results: list[dict[str, Any]] = [
        {"digest": to_hex(one.digest), "isNew": one.is_new, "item": one.item, "registeredAt": one.registered_at}
        for one in registration.accepted
    ]
    if registration.refused:
        results += problems.refusals(registration.refused)
        results.sort(key=lambda one: int(one["item"]))
    return {
        "promise": None if registration.promise is None else str(registration.promise),
        "registered": sum(one.is_new for one in registration.accepted),
        "results": results,
    }


def _lines(data: bytes, limit: int) -> list[bytes]:
    # Counted before they are cut: millions of short lines take far more room than the body.
    if data.count(b"\n") > limit:
        raise _too_many(data.count(b"\n"), limit)
    lines = data.split(b"\n")
    if not lines[-1].strip():
        lines.pop()
    if len(lines) > limit:
        raise _too_many(len(lines), limit)
    return lines


def _elements(data: bytes, limit: int) -> list[bytes]:
    with suppress(orjson.JSONDecodeError):
        found = orjson.loads(data)  # a quick look, as strict reading of what is far too long would take long
        statements = found.get("statements") if isinstance(found, dict) else None
        if isinstance(statements, list) and len(statements) > limit:
            raise _too_many(len(statements), limit)
    value = canonical.parse(data)
    if not isinstance(value, dict) or value.keys() != {"statements"} or not isinstance(value["statements"], list):
        raise MalformedInput("expected an object with statements, a list of envelopes")
    return [canonical.dump(one) for one in value["statements"]]


def _too_many(count: int, limit: int) -> problems.TooManyItems:
    return problems.TooManyItems(f"{count} statements in one call, the limit is {limit}")


@router.get(
    "",
    responses=gives(
        {"items": [{k: v for k, v in examples.STATEMENT.items() if k not in ("content", "secret")}], "next": None},
        "Up to `limit` statements in the order of registration.",
    )
    | documented(problems.Unauthenticated, problems.ForeignCursor, problems.NotThere, RequestValidationError),
)
def list_statements(
    stream: str | None = Query(None, description="Only those of this stream."),
    after: str | None = Query(None, max_length=200, description="`next` of the page before."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_STATEMENT),
) -> Response:
    """The statements you issued, are in the audience of or were granted to see, without their contents."""
    ledger, cursors = caller.ledger, caller.service.cursors
    stream_id = None if stream is None else hash_of(stream)
    name = "statements" if stream is None else f"statements {stream}"
    (start,) = (0,) if after is None else cursors.open(caller.member, name, after, 1)
    records, following = ledger.page(caller.sight, start, limit, stream_id)
    if stream_id is not None and not records and after is None:
        raise problems.NotThere
    places = ledger.anchor_places(one.position for one in records)
    items = []
    for record in records:
        fields = caller.sees(caller.subject_of(record))
        place = places.get(record.position)
        value = _clocks(record, ledger.state(record.position), place.anchored_at if place else None)
        value |= {"header": record.header.as_json(), "signature": to_hex(record.signature)}
        items.append(_project(value, fields))
    following_cursor = cursors.seal(caller.member, name, following) if following < ledger.size else None
    return Json({"items": items, "next": following_cursor})


@router.get(
    "/{digest}",
    responses=gives(examples.STATEMENT, "The envelope as far as it is held here, its state and its three clocks.")
    | documented(problems.Unauthenticated, problems.NotThere),
)
def read_statement(digest: str, caller: Caller = asks(Action.READ_STATEMENT)) -> Response:
    """One statement: what was signed, how far it has come, and when it was issued, registered and anchored.

    Whom a grant shows some fields only gets these as `disclosed`, each with its proof, and no content.
    """
    record, _, fields = caller.record(digest)
    envelope, erased_at = caller.ledger.envelope(record)
    place = caller.ledger.anchor_places([record.position]).get(record.position)
    value = _clocks(record, caller.ledger.state(record.position), place.anchored_at if place else None)
    value |= envelope.as_json()
    if "disclosed" in fields and envelope.content is not None and envelope.secret is not None:
        pointers = present(envelope.content, caller.shows(record))
        value["disclosed"] = [one.as_json() for one in disclose(envelope.content, envelope.secret, pointers)]
    value |= {"block": place.block_number if place else None, "erasedAt": erased_at, "void": caller.ledger.void(record)}
    return Json(_project(value, fields))


def _clocks(record: Record, state: State, anchored_at: int | None) -> dict[str, Any]:
    times = {"issued": record.header.issued_at, "registered": record.registered_at, "anchored": anchored_at}
    return {
        "anchoredAt": anchored_at,
        "digest": to_hex(record.digest),
        "registeredAt": record.registered_at,
        "state": state,
        "times": {name: None if time is None else _iso(time) for name, time in times.items()},
    }


def _iso(time: int) -> str | None:
    # Whoever signs may state a time beyond the calendar.
    return iso(time) if time < 253_402_300_800_000 else None


def _project(value: dict[str, Any], fields: Fields) -> dict[str, Any]:
    return {name: one for name, one in value.items() if name in fields}


@router.delete(
    "/{digest}/content",
    status_code=204,
    responses=documented(problems.Unauthenticated, problems.NotThere, problems.NotTheIssuer),
)
def erase_content(digest: str, caller: Caller = asks(Action.ERASE)) -> Response:
    """Erase content and secret of your statement for good. Its place, its digest and every proof stand."""
    fork = caller.ledger.fork_of(hash_of(digest))
    if fork is not None:
        digest = to_hex(fork.record.digest)
    record, subject, _ = caller.record(digest)
    if not caller.sees(subject):
        raise problems.NotTheIssuer("only its issuer may erase it")
    caller.ledger.erase(fork.digest if fork else record.digest, caller.service.now())
    return Response(status_code=204)


@router.get(
    "/{digest}/receipt",
    responses=gives(examples.RECEIPT, "The receipt, to be verified offline.")
    | documented(problems.Unauthenticated, problems.NotThere, NotYetAnchored),
)
def read_receipt(digest: str, caller: Caller = asks(Action.READ_STATEMENT)) -> Response:
    """The receipt of an anchored statement: everything a stranger needs to check it offline."""
    record, _, _ = caller.record(digest)
    made = receipt(caller.ledger, record.digest, caller.shows)
    return Response(made.data, media_type="application/json")


@router.get(
    "/{digest}/proof",
    responses=gives(
        f"c2sp.org/tlog-proof@v1\nindex 5\nuZRqySSS0jR8YjW00mERhLGUaskkktI0fGI1tNJhEYQ=\n\n{examples.NOTE}",
        "A C2SP tlog-proof.",
        "text/plain",
    )
    | documented(problems.Unauthenticated, problems.NotThere, NotYetAnchored),
)
def read_proof(digest: str, caller: Caller = asks(Action.READ_STATEMENT)) -> Response:
    """The inclusion of a statement's log entry under an anchored checkpoint, as C2SP `.tlog-proof`."""
    record, _, _ = caller.record(digest)
    place = caller.ledger.anchor_places([record.position]).get(record.position)
    if place is None:
        raise NotYetAnchored(f"it is {caller.ledger.state(record.position)} and not anchored yet")
    path = caller.ledger.inclusion(record.position, place.size)
    proof = LogProof(record.position, tuple(path), caller.ledger.anchoring.note(place.size))
    return PlainTextResponse(proof.text)


@router.get(
    "/{digest}/explain",
    responses=gives(
        {
            "next": "nothing: its receipt is there",
            "since": examples.TIME,
            "state": "anchored",
            "why": "block 42 took it",
        },
        "In plain words.",
    )
    | documented(problems.Unauthenticated, problems.NotThere),
)
def explain_statement(digest: str, caller: Caller = asks(Action.READ_STATEMENT)) -> Response:
    """How far a statement has come, why it is no further, since when, and what happens next."""
    fork = caller.ledger.fork_of(hash_of(digest))
    if fork is not None:
        header = fork.record.header
        if not caller.sees(caller.subject(header.stream, header.issuer)):
            raise problems.NotThere
        return Json(explain_fork(fork.record, fork.noted_at))
    record, _, _ = caller.record(digest)
    return Json(explain(caller, record))


def explain_fork(holder: Record, noted_at: int) -> dict[str, Any]:
    """Why a second statement on a taken number was refused."""
    return {
        "next": "sign the content again under the next free number of the stream",
        "since": noted_at,
        "state": "refused",
        "why": f"number {holder.header.sequence} is held by {to_hex(holder.digest)}, registered at "
        f"{iso(holder.registered_at)}; "
        "both envelopes are kept as the finding stream fork",
    }


def explain(caller: Caller, record: Record) -> dict[str, Any]:
    """How far a registered statement has come, in plain words."""
    ledger, condition = caller.ledger, caller.service.publisher.condition
    state = ledger.state(record.position)
    place = ledger.anchor_places([record.position]).get(record.position)
    if place is not None:
        void = ledger.void(record)
        if void is not None:
            return {
                "next": "its issuer signs the content again with a valid key, under the next free number",
                "since": place.anchored_at,
                "state": "void",
                "why": f"{void}: block {place.block_number} took the checkpoint that covers it; it keeps its number",
            }
        return {
            "next": "nothing: its receipt is there",
            "since": place.anchored_at,
            "state": state,
            "why": f"block {place.block_number} took the checkpoint of {place.size} statements that covers it",
        }
    if condition.trouble is not None:
        after = "a person must decide; docs/operating.md has the recovery"
        if not condition.is_halted:
            after = f"the service tries again within {condition.retry_seconds:.0f} s, by itself"
        return {"next": after, "since": condition.since, "state": state, "why": condition.trouble}
    if state is State.CHECKPOINTED:
        why = "a checkpoint covers it, and its transaction is on the way to the chain"
    else:
        why = "it is stored and promised, and waits for the next checkpoint"
    return {"next": "it is anchored in a moment", "since": record.registered_at, "state": state, "why": why}
