"""Facts of the supply network as people have them: tables to fill in, and requests for facts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.capture import audience_of
from api.impact import template
from api.impact.answering import FACTS, REQUESTS
from api.impact.requests import Question, Side, Standing
from api.impact.table import Fact, Rules, Table, UnfitTable, read, to_say
from api.problems import NotThere, documented
from api.routes import examples
from api.routes.bodies import body, gives, json_body, json_object
from api.routes.statements import register_items
from api.service import Caller, Json, asks, hash_of
from api.visibility import Action, Subject
from ledger_service.errors import MalformedInput
from ledger_service.facts import check
from ledger_service.keys import from_hex, to_hex
from ledger_service.ledger import BacklogFull, CallRefused

router = APIRouter(prefix="/v1/risk", tags=["risk"])

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_TABLE_BYTES = 4 << 20
MAX_SIGNED = 1000
"""Facts of one table that the service signs in one call."""
Language = Literal["en", "de"]
_READ = (problems.Unauthenticated, problems.WrongMediaType, problems.BodyTooLarge, MalformedInput, UnfitTable,
         RequestValidationError)  # fmt: skip
_KIND = Query(None, max_length=64, description="Of a CSV file: which kind of fact its rows are.")
_ZONE = Query("UTC", max_length=64, description="The time zone of times without an offset, as Europe/Berlin.")
_DECIMAL = Query(None, description="The decimal sign of numbers that are text; without it those that could be two are "
                 "refused.")  # fmt: skip
_COLUMN = Query([], max_length=200, description="`theirs=ours` for each heading of your own; nothing after = leaves it "
                "out.")  # fmt: skip
_FIXED = Query([], max_length=50, description="`ours=value` for a column that the file lacks, as `uom=pcs`.")
_TO = Query("", max_length=20_000, description="Ids of the members who may see the statements, with commas between.")
_STOCK = {
    "asOf": "2026-10-12T06:00:00+02:00",
    "document": {"number": "2026-10-12", "type": "facts-table"},
    "part": "https://id.gs1.org/01/09521004100011",
    "quantity": "1920",
    "site": "https://id.gs1.org/414/9521002000016",
    "to": [],
    "uom": "H87",
}
_READ_TABLE = {
    "items": [{"content": _STOCK, "isNew": True, "kind": "stock", "row": 6, "sheet": "Stock"}],
    "leftOut": [{"row": 4, "sheet": "Stock", "what": "# Example"}],
}
_REQUEST = {
    "answers": [
        {"answer": examples.DIGEST, "at": examples.TIME + 3_600_000, "isLate": False, "outcome": "forwarded"},
    ],
    "asked": examples.PARTNER,
    "asker": examples.MEMBER,
    "at": examples.TIME,
    "document": {"number": "RQ-2026-31", "type": "fact-request"},
    "level": "tier",
    "purpose": "How long e-axles last if magnets stop coming",
    "request": examples.ROOT,
    "state": "forwarded",
    "until": "2026-10-30",
    "wanted": [{"kind": "stock", "part": "https://id.gs1.org/01/09521004100011"}],
}


@router.get(
    "/requests",
    responses=gives({"items": [_REQUEST], "next": None}, "Up to `limit` requests, the oldest first.")
    | documented(problems.Unauthenticated, RequestValidationError, problems.ForeignCursor),
)
def list_fact_requests(
    side: Side | None = Query(None, description="Only what you asked others, or only what others ask you."),
    state: Standing | None = Query(None, description="Only those that stand so."),
    after: str | None = Query(None, max_length=66, description="`next` of the page before."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_FACT_REQUESTS),
) -> Response:
    """Requests for facts: what you asked others, and what others ask you, with what became of each.

    Open until it is answered or declined, or its day is over; then it is closed unanswered. What is `forwarded` is
    open: whoever you asked has asked its own suppliers.
    """
    now = caller.service.now()
    found = caller.service.impact.requests.of(caller.member, side)
    if after is not None:
        ids = [to_hex(one.id) for one in found]
        if after not in ids:
            raise problems.ForeignCursor("this is no place in your list of requests: begin it anew")
        found = found[ids.index(after) + 1 :]
    found = [one for one in found if state is None or one.standing(now) is state]
    last = to_hex(found[limit - 1].id) if len(found) > limit else None
    passed_on = caller.service.fact_desk.passed_on(caller.member)
    items = [_shown(caller, one, now, passed_on.get(one.id)) for one in found[:limit]]
    return Json({"items": items, "next": last})


@router.post(
    "/requests",
    status_code=201,
    responses=gives({"request": examples.ROOT}, "The id of the request, which is registered.", status=201)
    | documented(
        problems.Unauthenticated, problems.NotCustodial, problems.WrongMediaType, problems.BodyTooLarge, MalformedInput,
        CallRefused, BacklogFull, problems.Busy,
    ),
    openapi_extra=json_body(
        {name: _REQUEST[name] for name in ("document", "level", "purpose", "until", "wanted")}
        | {"to": [examples.PARTNER]},
        "The content of a `fact-request`.",
    ),
)  # fmt: skip
async def ask_for_facts(request: Request, caller: Caller = asks(Action.CAPTURE)) -> Response:
    """Have the service sign a request for facts, with the key it keeps for you.

    For members with a custodial key only; all others sign at home, as `tallystick risk ask` does.
    """
    custodian, now = caller.service.custodian, caller.service.now()
    custodian.key_of(caller.member, caller.ledger)
    content = await json_object(
        request, "to", "document", "wanted", "purpose", "until", optional=("level", "corrects"), limit=64 << 10
    )
    check("fact-request", content, now)
    (asked,) = (from_hex(one, 32, "/to") for one in content["to"])
    if asked == caller.member:
        raise MalformedInput("ask somebody else: these are your own facts", "/to")
    async with custodian.lane:
        seal = custodian.seal_fact
        item = await run_in_threadpool(
            seal, caller.ledger, caller.member, (asked,), REQUESTS, "fact-request", content, now
        )
        registration = await caller.service.door.register([item], keep_good=False, vet=caller.vet)
    return Json({"request": to_hex(registration.accepted[0].digest)}, 201)


@router.post(
    "/requests/{request}/page",
    status_code=201,
    responses=gives(
        {"endsAt": examples.TIME, "url": "https://ledger.example.org/q/q0V1b5l0bXk1c2VjcmV0LQ"},
        "The link, told this once.",
        status=201,
    )
    | documented(problems.Unauthenticated, NotThere),
)
async def make_page(request: str, caller: Caller = asks(Action.LINK_FACT_REQUEST)) -> Response:
    """Make a link to the page of a request of yours, for a supplier that answers by hand.

    Each call makes another link. It shows the request to whoever has it, until a week after its day; to answer takes
    the PIN of the member that is asked.
    """
    service = caller.service
    question = await run_in_threadpool(service.impact.requests.find, hash_of(request))
    if question is None or not caller.sees(Subject(question.asker)):
        raise NotThere
    token, ends_at = await run_in_threadpool(service.fact_desk.make_page, question)
    return Json({"endsAt": ends_at, "url": f"{service.url}/q/{token}"}, 201)


@router.get(
    "/facts/template.xlsx",
    responses=gives("PK…", "The workbook to fill in.", XLSX)
    | documented(problems.Unauthenticated, RequestValidationError),
)
def get_template(lang: Language = "en", caller: Caller = asks(Action.FILL_FACTS)) -> Response:
    """The workbook in which people fill in facts: a sheet for each kind, with examples and lists to choose from."""
    del caller
    return Response(
        template.workbook(lang),
        media_type=XLSX,
        headers={"Content-Disposition": f'attachment; filename="facts-{lang}.xlsx"'},
    )


@router.post(
    "/facts/read",
    responses=gives(_READ_TABLE, "Contents of statements, ready to sign; what is not new was said before.")
    | documented(*_READ),
    openapi_extra=json_body("PK…", "The workbook, or a CSV file, at most 4 MiB."),
)
async def read_facts(
    request: Request,
    kind: str | None = _KIND,
    zone: str = _ZONE,
    decimal: Literal[".", ","] | None = _DECIMAL,
    column: list[str] = _COLUMN,
    fixed: list[str] = _FIXED,
    to: str = _TO,
    caller: Caller = asks(Action.FILL_FACTS),
) -> Response:
    """Read a filled-in workbook, or an export as CSV, into what you can sign. Nothing is kept.

    What cannot be read exactly is named by sheet, row and column, and then nothing is read at all.
    """
    audience = [to_hex(one) for one in audience_of(to)]
    table, said = await _table(request, caller, kind, _rules(caller, zone, decimal, column, fixed))
    new = {id(fact): content for fact, content in said}
    items = [
        {
            "content": {**new.get(id(one), one.content), "to": audience},
            "isNew": id(one) in new,
            "kind": one.kind,
            "row": one.row,
            "sheet": one.sheet,
        }
        for one in table.facts
    ]
    left_out = [{"row": row, "sheet": sheet, "what": what} for sheet, row, what in table.left_out]
    return Json({"items": items, "leftOut": left_out})


@router.post(
    "/facts",
    status_code=201,
    responses=gives(
        {
            "promise": examples.PROMISE,
            "registered": 1,
            "results": [{"digest": examples.DIGEST, "isNew": True, "item": 0, "registeredAt": examples.TIME}],
        },
        "As for a batch of statements; `item` counts the facts that are new.",
        status=201,
    )
    | documented(*_READ, problems.NotCustodial, problems.TooManyItems, CallRefused, BacklogFull, problems.Busy),
    openapi_extra=json_body("PK…", "The workbook, or a CSV file, at most 4 MiB."),
)
async def state_facts(
    request: Request,
    kind: str | None = _KIND,
    zone: str = _ZONE,
    decimal: Literal[".", ","] | None = _DECIMAL,
    column: list[str] = _COLUMN,
    fixed: list[str] = _FIXED,
    to: str = _TO,
    caller: Caller = asks(Action.CAPTURE),
) -> Response:
    """Have the service sign what is new in a filled-in workbook, with the key it keeps for you.

    For members with a custodial key only; all others sign at home what `facts/read` gives them. The same workbook again
    says nothing again; a changed row takes the place of what was said before.
    """
    custodian, now, audience = caller.service.custodian, caller.service.now(), audience_of(to)
    custodian.key_of(caller.member, caller.ledger)
    rules = _rules(caller, zone, decimal, column, fixed)
    async with custodian.lane:
        _, said = await _table(request, caller, kind, rules)
        if len(said) > MAX_SIGNED:
            raise problems.TooManyItems(f"{len(said)} facts are new; send at most {MAX_SIGNED} of them at a time")
        if not said:
            return Json({"promise": None, "registered": 0, "results": []}, 201)
        named = [to_hex(one) for one in audience]

        def seal() -> list[bytes]:
            return [
                custodian.seal_fact(
                    caller.ledger, caller.member, audience, FACTS, fact.kind, {**content, "to": named}, now,
                    after=number,
                )
                for number, (fact, content) in enumerate(said)
            ]  # fmt: skip

        items = await run_in_threadpool(seal)
        return await register_items(caller, items, keep_good=False)


async def _table(
    request: Request, caller: Caller, kind: str | None, rules: Rules
) -> tuple[Table, list[tuple[Fact, dict[str, Any]]]]:
    """What the body says, and what of it the caller has not said before."""
    service = caller.service
    limit = min(MAX_TABLE_BYTES, service.settings.max_body_bytes)
    data = await body(request, limit, XLSX, "text/csv")

    def work() -> tuple[Table, list[tuple[Fact, dict[str, Any]]]]:
        stated = service.impact.stated
        table = read(data, replace(rules, sites=stated.sites(caller.member)), kind)
        return table, to_say(table.facts, stated.of(caller.member))

    async with service.bundling:  # a large workbook takes a thread for seconds
        return await run_in_threadpool(work)


def _rules(caller: Caller, zone: str, decimal: str | None, column: Sequence[str], fixed: Sequence[str]) -> Rules:
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise MalformedInput(f"{zone[:64]!r} is no time zone; write it as Europe/Berlin", "/query/zone") from None
    return Rules(
        now=caller.service.now(),
        zone=place,
        decimal=decimal,
        member=caller.service.network.directory.find,
        columns=_pairs(column, "/query/column"),
        fixed=_pairs(fixed, "/query/fixed"),
    )


def _pairs(texts: Sequence[str], where: str) -> Mapping[str, str]:
    found = {}
    for one in texts:
        name, sign, value = one.rpartition("=") if where.endswith("column") else one.partition("=")
        if not sign or not name or len(one) > 300:
            raise MalformedInput(f"expected name=value, got {one[:40]!r}", where)
        found[name.strip()] = value.strip()
    return found


def _shown(caller: Caller, one: Question, now: int, passed_on: bytes | None) -> dict[str, Any]:
    value = one.as_json(now) | ({} if passed_on is None else {"passedOnAs": to_hex(passed_on)})
    return {name: one for name, one in value.items() if name in caller.fields}
