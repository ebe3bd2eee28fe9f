"""Trails of custody, lineages and recalls, as far as the caller may see."""

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.custody_json import finding_json, unit_json
from api.problems import documented
from api.routes import examples
from api.routes.bodies import gives, json_body, json_object, text
from api.service import Caller, Json, asks
from api.visibility import Action
from ledger_service.custody import Clock
from ledger_service.custody.kinds import read_unit
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex
from ledger_service.trails import Direction, Recall, TooMuchToFold, Trails, UnknownThing

router = APIRouter(prefix="/v1/custody", tags=["custody"])
MAX_TIME = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_UNIT = Query(min_length=1, max_length=1000, description="A unit or batch, in any spelling of its identifier.")
_ERRORS = (problems.Unauthenticated, MalformedInput, UnknownThing, RequestValidationError)
_KEY = "https://id.gs1.org/00/395210040009260175"


@router.get(
    "/trail",
    responses=gives(
        {
            "answer": "broken",
            "at": examples.TIME,
            "clock": "registered",
            "findings": [
                {
                    "evidence": [examples.DIGEST],
                    "explainedBy": [],
                    "finding": "one-sided-handoff",
                    "id": "9f" * 32,
                    "units": [_KEY],
                    "weight": "needs-explaining",
                    "what": "the taker never answered",
                }
            ],
            "hidden": 0,
            "indexed": 128,
            "records": [
                {"anchored": None, "kind": "despatch", "issuer": examples.MEMBER, "record": examples.DIGEST,
                 "registered": examples.TIME, "stated": examples.TIME}
            ],
            "registered": 128,
            "things": [_KEY],
            "unit": _KEY,
            "units": [],
            "unread": {},
        },
        "Findings, the answer over them, each unit with its legs, and each record with its three clocks.",
    )
    | documented(*_ERRORS, TooMuchToFold),
)  # fmt: skip
def read_trail(
    unit: str = _UNIT,
    at: int | None = Query(None, ge=0, le=MAX_TIME, description="As known at this time (ms UTC); now by default."),
    clock: Clock = Query(Clock.REGISTERED, description="By which clock something counts as known."),
    caller: Caller = asks(Action.READ_TRAIL),
) -> Response:
    """Who held a unit, when, and whether the record of it is whole, from the statements that you may see.

    `hidden` statements name it, or what it travelled in, and are not for you. Of what was registered from position
    `indexed` on nothing is known here yet.
    """
    service, key = caller.service, _key(unit)
    now = service.now()
    time = now if at is None else at
    trails = _current(caller)
    gathered = trails.gather([key], caller.ledger.sight(caller.member, now))
    policy = caller.ledger.custody_policy(time)
    custody = trails.custody_of(gathered, at=time, clock=clock, policy=policy)
    trail = custody.trail([key])
    cited = set(trail.records).union(*(one.evidence for one in trail.findings))
    told = {to_hex(one.digest): one for one in gathered.records}
    records = []
    for record in sorted(cited & custody.clocks.keys(), key=lambda one: (custody.clocks[one][1], one)):
        said = told.get(record)
        clocks = dict(zip(("stated", "registered", "anchored"), custody.clocks[record], strict=True))
        who: dict[str, Any] = {"issuer": None, "kind": "step"}
        if said is not None:
            who = {"issuer": to_hex(said.header.issuer), "kind": said.header.kind}
        records.append({**clocks, **who, "record": record})
    value = {
        "answer": str(trail.answer),
        "at": time,
        "clock": str(clock),
        "findings": [finding_json(one) for one in trail.findings],
        "hidden": gathered.hidden,
        "indexed": gathered.indexed,
        "records": records,
        "registered": caller.ledger.size,
        "things": list(trail.units),
        "unit": key,
        "units": [unit_json(custody.units[one]) for one in trail.legs],
        "unread": {record: what for record, what in custody.unread.items() if record in cited},
    }
    return _shown(caller, value)


@router.get(
    "/lineage",
    responses=gives(
        {
            "direction": "descendants",
            "hidden": 0,
            "indexed": 128,
            "items": [_KEY],
            "next": None,
            "registered": 128,
            "total": 1,
            "unit": "https://id.gs1.org/01/09521004100011/10/L2609",
        },
        "How many there are in all, and up to `limit` of them in the order in which they first became known.",
    )
    | documented(*_ERRORS, problems.ForeignCursor),
)
def read_lineage(
    unit: str = _UNIT,
    direction: Direction = Query(Direction.DESCENDANTS, description="What it went into, or what it came from."),
    after: str | None = Query(None, max_length=200, description="`next` of the page before."),
    limit: int = Query(100, ge=1, le=1000),
    caller: Caller = asks(Action.READ_TRAIL),
) -> Response:
    """What a unit or batch went into, or came from, across packing, splitting, merging and making."""
    service, key = caller.service, _key(unit)
    name = f"lineage {direction} {key}"
    start = None if after is None else service.cursors.open(caller.member, name, after, 1)[0]
    trails = _current(caller)
    page = trails.lineage(key, direction, caller.ledger.sight(caller.member, service.now()), start, limit)
    value = {
        "direction": str(direction),
        "hidden": page.hidden,
        "indexed": page.indexed,
        "items": list(page.items),
        "next": None if page.after is None else service.cursors.seal(caller.member, name, page.after),
        "registered": caller.ledger.size,
        "total": page.total,
        "unit": key,
    }
    return _shown(caller, value)


@router.get(
    "/recall",
    responses=gives(
        {
            "at": examples.TIME,
            "batches": ["https://id.gs1.org/01/09521004100011/10/L2609"],
            "custodians": {examples.PARTNER: 1},
            "gone": [],
            "hidden": 0,
            "indexed": 128,
            "registered": 128,
            "shipments": [
                {"despatch": examples.DIGEST, "despatchedAt": examples.TIME, "dueAt": examples.TIME,
                 "giver": examples.MEMBER, "overdue": False, "taker": examples.PARTNER, "units": [_KEY]}
            ],
            "things": ["https://id.gs1.org/01/09521004100011/10/L2609"],
            "total": 1,
            "units": [
                {"contested": False, "holders": [examples.PARTNER], "unit": _KEY, "within": None}
            ],
        },
        "Where it is now. `units` are cut at `limit`, `total` counts them all; `gone` had some of it once.",
    )
    | documented(*_ERRORS, TooMuchToFold),
)  # fmt: skip
def read_recall(
    unit: list[str] = Query(min_length=1, max_length=100, description="The bad units and batches; may be repeated."),
    limit: int = Query(10_000, ge=1, le=200_000, description="How many units are named."),
    caller: Caller = asks(Action.READ_TRAIL),
) -> Response:
    """Every unit, custodian and open shipment that holds a bad unit or batch now, or what was made of it.

    As far as you may see; `hidden` counts the units beyond.
    """
    now = caller.service.now()
    keys = [_key(one) for one in unit]
    trails = _current(caller)
    sight = caller.ledger.sight(caller.member, now)
    recall = trails.recall(keys, sight, at=now, policy=caller.ledger.custody_policy(now))
    return _shown(caller, _recall(recall, limit) | {"registered": caller.ledger.size})


@router.post(
    "/recall",
    responses=gives({"hidden": 0, "told": 2, "total": 14}, "How many members were told, about how many units.")
    | documented(*_ERRORS, TooMuchToFold, MalformedInput),
    openapi_extra=json_body({"units": ["https://id.gs1.org/01/09521004100011/10/L2609"]}, "The bad units and batches."),
)
async def raise_recall(request: Request, caller: Caller = asks(Action.RAISE_RECALL)) -> Response:
    """Tell everybody who has some of it now, as far as you may see, that you recall it: a notice, once each.

    A notice names no unit; it names the offers and receipts of them that its reader may see. `hidden` counts the units
    that you may not see: their custodians are not told.
    """
    value = await json_object(request, "units")
    units = value["units"]
    if not isinstance(units, list) or not 0 < len(units) <= 100:
        raise MalformedInput("units is a list of 1 to 100 units and batches", "/units")
    keys = [_key(text(one, f"/units/{place}", 300)) for place, one in enumerate(units)]
    return await run_in_threadpool(_raise, caller, keys)


def _raise(caller: Caller, keys: list[str]) -> Response:
    service, now = caller.service, caller.service.now()
    sight = caller.ledger.sight(caller.member, now)
    recall = _current(caller).recall(keys, sight, at=now, policy=caller.ledger.custody_policy(now))
    told = service.record_notices.raise_recall(caller.member, recall, now)
    return Json({"hidden": recall.hidden, "told": told, "total": len(recall.units)})


def _recall(recall: Recall, limit: int) -> dict[str, Any]:
    return {
        "at": recall.at,
        "batches": list(recall.batches),
        "custodians": {to_hex(member): count for member, count in recall.custodians.items()},
        "gone": list(recall.gone[:limit]),
        "hidden": recall.hidden,
        "indexed": recall.indexed,
        "shipments": [
            {
                "despatch": to_hex(one.despatch),
                "despatchedAt": one.despatched_at,
                "dueAt": one.due_at,
                "giver": to_hex(one.giver),
                "overdue": one.is_overdue,
                "taker": to_hex(one.taker),
                "units": list(units[:limit]),
            }
            for one, units in recall.shipments.items()
        ],
        "things": list(recall.things),
        "total": len(recall.units),
        "units": [
            {
                "contested": one.is_contested,
                "holders": [to_hex(holder) for holder in one.holders],
                "unit": one.thing,
                "within": one.within,
            }
            for one in recall.units[:limit]
        ],
    }


def _current(caller: Caller) -> Trails:
    """The trails, with what was registered last read into the index first, as far as that is little."""
    trails = caller.service.trails
    trails.catch_up()
    return trails


def _key(text: str) -> str:
    return read_unit(text, "/query/unit").key


def _shown(caller: Caller, value: dict[str, Any]) -> Response:
    return Json({name: one for name, one in value.items() if name in caller.fields})
