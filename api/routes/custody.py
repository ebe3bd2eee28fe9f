"""Custody: offers with their givers' signatures, addresses to offer to, and steps for the chain."""

from typing import Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.capture import audience_of
from api.gateway import KEPT_ADDRESSES, CustodyGateway, NoAddressLeft, NotHeld, SaidOtherwise, UnfitOffered
from api.goods_in import UnfitRows
from api.problems import documented
from api.rounds import News
from api.routes import examples
from api.routes.bodies import body, gives, json_body, json_object, text
from api.service import Caller, Json, asks, hash_of
from api.visibility import Action, Subject, can
from ledger_service.custody.policy import Policy
from ledger_service.envelope import Refusal
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.handoffs import Offer, Opening, SignedOffer, SignedStep, WrongSigner
from ledger_service.keys import SIGNATURE_BYTES, from_hex, to_hex
from ledger_service.offering import OfferState, OfferView, UnfitOffer, UnfitStep
from ledger_service.relaying import Waiting

router = APIRouter(prefix="/v1/custody", tags=["custody"])
MAX_ITEMS = 1000
MAX_TABLE_BYTES = 1 << 20
CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_TABLE = (
    "document;taker;unit;part;batch;quantity;uom;ship_to\n"
    "80417731;Nordrand;395210040009260175;9521004100011;L2609;60;H87;9521002000016\n"
)
_MAX_NUMBER = (1 << 53) - 1


@router.post(
    "/offers",
    status_code=201,
    responses=gives(examples.OFFER, "The offer as it stands. Sent again it is the same.", status=201)
    | documented(
        problems.Unauthenticated, problems.WrongMediaType, problems.BodyTooLarge, MalformedInput, UnfitOffer,
        WrongSigner,
    ),
    openapi_extra=json_body(
        {"despatch": examples.DIGEST, "units": [examples.UNIT_OFFER]},
        "The id of your despatch, and of each of its units on the chain the Give that its custodian signed.",
    ),
)  # fmt: skip
async def make_offer(request: Request, caller: Caller = asks(Action.OFFER)) -> Response:
    """Leave the signatures that go with your despatch, so that its taker can complete the handoffs alone.

    They lie beside the log, and nobody but the two sides gets them.
    """
    value = await json_object(request, "despatch", "units")
    despatch = from_hex(value["despatch"], 32, "/despatch")
    signatures = [_unit_offer(one, despatch, where) for where, one in _items(value, "units")]
    return await run_in_threadpool(_keep, caller, despatch, signatures)


def _keep(caller: Caller, despatch: bytes, signatures: list[SignedOffer]) -> Response:
    service = caller.service
    service.offers.keep_signatures(caller.member, despatch, signatures)
    now = service.now()
    view = service.offers.find(despatch, now, caller.ledger.custody_policy(now))
    assert view is not None, "it has just been found"
    return Json(_shown(caller, view, Action.READ_OFFER), 201)


@router.get(
    "/offers",
    responses=gives({"items": [examples.OFFER], "next": None}, "Up to `limit` offers, the oldest first.")
    | documented(problems.Unauthenticated, problems.ForeignCursor, RequestValidationError),
)
def list_offers(
    side: Literal["giver", "taker"] | None = Query(None, description="Those that you made, or those made to you."),
    state: OfferState | None = Query(None, description="Only those that stand so now."),
    after: str | None = Query(None, max_length=200, description="`next` of the page before."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_OFFER),
) -> Response:
    """The offers that you made or got, and how each stands.

    `answered` and `refused` are the taker's own signed word, and nothing else is. `deemed accepted` is the word of the
    consortium's policy about a silence.
    """
    service = caller.service
    start = -1 if after is None else service.cursors.open(caller.member, "offers", after, 1)[0]
    now = service.now()
    policy = caller.ledger.custody_policy(now)
    views = service.offers.listed(caller.member, now, policy, side=side, state=state, after=start, limit=limit + 1)
    more = service.cursors.seal(caller.member, "offers", views[limit - 1].position) if len(views) > limit else None
    return Json({"items": [_shown(caller, one) for one in views[:limit]], "next": more})


@router.get(
    "/offers/{despatch}",
    responses=gives(examples.OFFER, "The offer as it stands.")
    | documented(problems.Unauthenticated, problems.NotThere),
)
def read_offer(despatch: str, caller: Caller = asks(Action.READ_OFFER)) -> Response:
    """One offer, by the id of its despatch, with the giver's signatures as far as they have come."""
    now = caller.service.now()
    view = caller.service.offers.find(hash_of(despatch), now, caller.ledger.custody_policy(now))
    shown = {} if view is None else _shown(caller, view)
    if not shown:
        raise problems.NotThere
    return Json(shown)


@router.get(
    "/policy",
    responses=gives(
        {
            "block": 171,
            "policy": Policy().content([]),
            "since": 1_790_003_600,
            "statement": examples.DIGEST,
        },
        "The policy, as the content of a statement says it. Without a vote the defaults hold, and `statement`, `block` "
        "and `since` (seconds UTC, of the block) are null.",
    )
    | documented(problems.Unauthenticated),
)
def read_policy(caller: Caller = asks(Action.READ_POLICY)) -> Response:
    """By what records of custody are judged now: the policy that the members voted in force last."""
    # Blocks have a second each, so that the newest may be a little ahead of our clock.
    newest = caller.ledger.anchoring.membership.changes[-1].block_time * 1000
    held = caller.ledger.custody_resolution(max(newest, caller.service.now()))
    policy = Policy() if held is None else held.policy
    return Json(
        {
            "block": None if held is None else held.block,
            "policy": policy.content([]),
            "since": None if held is None else held.time,
            "statement": None if held is None else to_hex(held.statement),
        }
    )


@router.get(
    "/addresses",
    responses=gives(
        {"items": [{"digest": examples.DIGEST}], "next": examples.CURSOR},
        "Statements of kind `custody-addresses`, the oldest first; `next` is null where there is none.",
    )
    | documented(problems.Unauthenticated, problems.NotThere, problems.ForeignCursor, RequestValidationError),
)
def list_addresses(
    of: str = Query(max_length=80, description="The member whose addresses you want to offer to."),
    after: str | None = Query(None, max_length=200, description="The last `next` that you were given."),
    limit: int = Query(100, ge=1, le=500),
    caller: Caller = asks(Action.READ_ADDRESSES),
) -> Response:
    """The statements by which a member has deposited one-time addresses that you may see.

    Read each by its id and check its signature before you hand anything to an address. Which of them you have used is
    for you to know: each is good once.
    """
    cursors = caller.service.cursors
    name = f"addresses of {of}"
    start = -1 if after is None else cursors.open(caller.member, name, after, 1)[0]
    found = caller.service.offers.deposits(hash_of(of), caller.member, start, limit)
    mark = cursors.seal(caller.member, name, found[-1][0]) if found else None
    return Json({"items": [{"digest": to_hex(digest)} for _, digest in found], "next": mark})


@router.post(
    "/steps",
    status_code=202,
    responses=gives(
        {"refused": [], "steps": [examples.WAITING_STEP]},
        "How each step stands, and the problem of each that was not taken; `item` is its place in what was sent.",
        status=202,
    )
    | documented(
        problems.Unauthenticated, problems.WrongMediaType, problems.BodyTooLarge, MalformedInput, UnfitStep, WrongSigner
    ),
    openapi_extra=json_body(
        {"steps": [examples.STEP]},
        "Openings, handoffs and closings with all their signatures: `opening` has custodian, commitment, deadline and "
        "signature; `closing` unit, sequence, custodian, reason, deadline and signature.",
    ),
)  # fmt: skip
async def hand_over(request: Request, caller: Caller = asks(Action.HAND_OVER)) -> Response:
    """Have steps sent to the chain, at a time drawn for each. Sending them twice sends them once.

    A handoff follows from a receipt of yours that is no refusal, and from the despatch it answers, which names the
    unit; both are registered first. A step on which another one has been quicker is refused by the chain, not here.
    """
    value = await json_object(request, "steps")
    steps = [SignedStep.read(one, where) for where, one in _items(value, "steps")]
    return await run_in_threadpool(_relay, caller, steps)


def _relay(caller: Caller, steps: list[SignedStep]) -> Response:
    service = caller.service
    outcomes: dict[int, Waiting | LedgerError] = {}
    for place, one in enumerate(steps):
        try:
            service.offers.check_step(one, caller.member)
        except LedgerError as error:
            outcomes[place] = error
    good = [place for place in range(len(steps)) if place not in outcomes]
    answers = service.network.relaying.submit([steps[place] for place in good], service.now(), caller.member)
    outcomes |= dict(zip(good, answers, strict=True))
    service.rounds.nudge(News.SUBMITTED)
    refusals = [Refusal(place, one) for place, one in sorted(outcomes.items()) if isinstance(one, LedgerError)]
    service.count_refusals(refusals)
    waiting = [
        one.as_json() | {"item": place} for place, one in sorted(outcomes.items()) if not isinstance(one, LedgerError)
    ]
    return Json({"refused": problems.refusals(refusals), "steps": waiting}, 202)


@router.get(
    "/steps",
    responses=gives(
        {"steps": [examples.TAKEN_STEP], "waiting": [examples.EXPLAINED_STEP]},
        "The steps that the chain has taken, in order, and how those stand that you handed over.",
    )
    | documented(problems.Unauthenticated, problems.NotThere, RequestValidationError),
)
def read_steps(
    unit: str = Query(max_length=80, description="The unit on the chain: 0x and 64 digits."),
    caller: Caller = asks(Action.READ_STEPS),
) -> Response:
    """The steps of a unit. What it is, the chain does not say: that is in the statements that name it."""
    wanted, relaying = hash_of(unit), caller.service.network.relaying
    taken = relaying.taken([wanted]).get(wanted, [])
    now = caller.service.now()
    waiting = [
        one.as_json() | {"why": relaying.explain(one, now)}
        for one in relaying.waiting(wanted)
        if _is_mine(caller, one.step)
    ]
    return Json({"steps": [one.as_json() for one in taken], "waiting": waiting})


def _is_mine(caller: Caller, step: SignedStep) -> bool:
    """Whether the caller could have handed over this step: what others have under way is theirs to know."""
    try:
        caller.service.offers.check_step(step, caller.member)
    except UnfitStep:
        return False
    return not isinstance(step.step, Opening)


@router.post(
    "/custodial/despatches",
    responses=gives(
        {
            "offers": [
                {"despatch": examples.DIGEST, "document": {"number": "80417731", "type": "delivery-note"}, "units": 2}
            ],
            "refused": [],
            "registered": 2,
            "steps": 2,
        },
        "An offer for each document in the table. Sent again they are the same.",
    )
    | documented(
        problems.Unauthenticated, problems.NotCustodial, problems.WrongMediaType, problems.BodyTooLarge,
        problems.TooManyItems, UnfitRows, MalformedInput, NotHeld, NoAddressLeft, SaidOtherwise,
        RequestValidationError,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "One row for each line in each unit, with the columns document, taker and unit, and where "
            "they are known line, part, batch, quantity, uom, ship_from, ship_to, carrier, carrier_for, seal, "
            "despatched_at, arrives (a day, or a time with its offset), deadline, document_type and version. The first "
            "sheet of a workbook is read.",
            "content": {
                CSV: {"schema": {"type": "string"}, "example": _TABLE},
                XLSX: {"schema": {"type": "string", "format": "binary"}, "example": "PK…"},
            },
        }
    },
)  # fmt: skip
async def offer_table(
    request: Request,
    to: str = Query("", max_length=20_000, description="Ids of others who may see it, with commas between."),
    hours: int = Query(72, ge=1, le=8760, description="How long takers have, where a row names no deadline."),
    caller: Caller = asks(Action.HAVE_HANDED_OVER),
) -> Response:
    """Have the service offer what your system or spreadsheet says that you shipped, all of it or nothing.

    For members with a custodial key only. Units that were never opened are opened. A row that cannot be used is named
    with its column, and then nothing is offered.
    """
    caller.service.custodian.key_of(caller.member, caller.ledger)
    data = await body(request, MAX_TABLE_BYTES, CSV, XLSX)
    return await run_in_threadpool(_offer_table, caller, data, audience_of(to), hours * 3_600_000)


def _offer_table(caller: Caller, data: bytes, to: list[bytes], lifetime: int) -> Response:
    hosted = caller.service.hosted
    with hosted.lane:
        despatches, made, done = hosted.offer_table(caller.member, data, to, lifetime=lifetime)
    offers = [
        {"despatch": to_hex(digest), "document": one["document"], "units": len(one["units"])}
        for one, digest in zip(despatches, made, strict=True)
    ]
    return Json({"offers": offers, "refused": done.refused, "registered": done.registered, "steps": done.steps})


@router.post(
    "/custodial/{deed}",
    responses=gives(
        {"offers": 1, "refused": [], "registered": 2, "statement": examples.DIGEST, "steps": 1},
        "The statement that says it, and what went on its way. Asked for again it is the same.",
    )
    | documented(
        problems.Unauthenticated, problems.NotCustodial, problems.NotThere, problems.WrongMediaType, MalformedInput,
        NotHeld, NoAddressLeft, SaidOtherwise, UnfitOffered, RequestValidationError,
    ),
    openapi_extra=json_body(
        {"despatch": examples.DIGEST, "reason": "not ordered"},
        "`deposit`: partner, count; `offer`: despatch (the content of one, without `to` and chain units), to; "
        "`accept`: despatch (its id), basis, units, discrepancies; `refuse`: despatch, reason; `withdraw`: despatch; "
        "`close`: units, to.",
    ),
)  # fmt: skip
async def hosted(
    deed: Literal["deposit", "offer", "accept", "refuse", "withdraw", "close"],
    request: Request,
    caller: Caller = asks(Action.HAVE_HANDED_OVER),
) -> Response:
    """Have the service open, offer, take over or end units for you, with the keys that it keeps for you.

    For members with a custodial key only; all others have a gateway at home (`tallystick custody`).
    """
    caller.service.custodian.key_of(caller.member, caller.ledger)
    needed, optional = _DEEDS[deed]
    value = await json_object(request, *needed, optional=optional)
    return await run_in_threadpool(_hosted, caller, deed, value)


_DEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "deposit": (("partner",), ("count",)),
    "offer": (("despatch",), ("to",)),
    "accept": (("despatch",), ("basis", "units", "discrepancies")),
    "refuse": (("despatch", "reason"), ()),
    "withdraw": (("despatch",), ()),
    "close": (("units",), ("to",)),
}


def _hosted(caller: Caller, deed: str, value: dict[str, Any]) -> Response:
    hosted = caller.service.hosted
    with hosted.lane:
        statement: bytes | None
        if deed == "offer":
            (statement,), done = hosted.offer(caller.member, [_an_object(value["despatch"], "/despatch")], _to(value))
        else:
            gateway = hosted.gateway(caller.member)
            statement = _do(gateway, deed, value)
            done = gateway.push()
    return Json(
        {
            "offers": done.offers,
            "refused": done.refused,
            "registered": done.registered,
            "statement": None if statement is None else to_hex(statement),
            "steps": done.steps,
        }
    )


def _do(gateway: CustodyGateway, deed: str, value: dict[str, Any]) -> bytes | None:
    if deed == "deposit":
        count = value.get("count", KEPT_ADDRESSES)
        if type(count) is not int or not 0 < count <= MAX_ITEMS:
            raise MalformedInput(f"expected a whole number from 1 to {MAX_ITEMS}", "/count")
        gateway.notice_offers()
        gateway.deposit(from_hex(value["partner"], 32, "/partner"), count)
        return None
    if deed == "close":
        gateway.close([text(one, where, 300) for where, one in _items(value, "units")], _to(value))
        return None
    despatch = from_hex(value["despatch"], 32, "/despatch")
    if deed == "withdraw":
        gateway.withdraw(despatch)
        return None
    # Somebody may have answered at the page of the note.
    gateway.notice_offers()
    gateway.complete()
    if deed == "refuse":
        return gateway.refuse(despatch, text(value["reason"], "/reason", 500))
    units = [text(one, where, 300) for where, one in _items(value, "units")] if "units" in value else None
    basis = text(value.get("basis", "listed"), "/basis", 20)
    discrepancies = [_an_object(one, where) for where, one in _some(value, "discrepancies")]
    return gateway.accept(despatch, basis=basis, units=units, discrepancies=discrepancies)


def _to(value: dict[str, Any]) -> list[bytes]:
    return [from_hex(one, 32, where) for where, one in _some(value, "to")]


def _an_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedInput("expected an object", where)
    return value


def _some(value: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    return _items(value, name) if value.get(name) else []


def _shown(caller: Caller, view: OfferView, action: Action = Action.READ_OFFER) -> dict[str, Any]:
    fields = _sees(caller, action, view)
    value = {
        "answers": [
            {"answeredAt": one.at, "outcome": one.outcome, "place": one.place, "receipt": to_hex(one.receipt)}
            for one in view.answers
        ],
        "deadline": view.deadline,
        "despatch": to_hex(view.despatch),
        "giver": to_hex(view.giver),
        "madeAt": view.made_at,
        "replacedBy": None if view.replaced_by is None else to_hex(view.replaced_by),
        "state": view.state,
        "taker": to_hex(view.taker),
        "unanswered": view.unanswered,
        "units": [
            {
                "deadline": one.offer.deadline,
                "from": to_hex(one.offer.giver),
                "sequence": one.offer.sequence,
                "signature": to_hex(one.signature),
                "to": to_hex(one.offer.taker),
                "unit": to_hex(one.offer.unit),
            }
            for one in view.signatures
        ],
    }
    return {name: one for name, one in value.items() if name in fields}


def _sees(caller: Caller, action: Action, view: OfferView) -> frozenset[str]:
    return can(caller.actor, action, Subject(view.giver, frozenset({view.taker})))


def _items(value: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    found = value[name]
    if not isinstance(found, list) or not 0 < len(found) <= MAX_ITEMS:
        raise MalformedInput(f"expected a list of 1 to {MAX_ITEMS}", f"/{name}")
    return [(f"/{name}/{place}", one) for place, one in enumerate(found)]


def _unit_offer(value: Any, despatch: bytes, where: str) -> SignedOffer:
    if not isinstance(value, dict) or value.keys() != set(examples.UNIT_OFFER):
        raise MalformedInput(f"expected an object with {', '.join(sorted(examples.UNIT_OFFER))}", where)
    numbers = {}
    for name in ("sequence", "deadline"):
        number = value[name]
        if type(number) is not int or not 0 < number <= _MAX_NUMBER:
            raise MalformedInput("expected a whole number from 1 to 2^53 - 1", f"{where}/{name}")
        numbers[name] = number
    offer = Offer(
        from_hex(value["unit"], 32, f"{where}/unit"),
        numbers["sequence"],
        from_hex(value["from"], 20, f"{where}/from"),
        from_hex(value["to"], 20, f"{where}/to"),
        despatch,
        numbers["deadline"],
    )
    return SignedOffer(offer, from_hex(value["signature"], SIGNATURE_BYTES, f"{where}/signature"))
