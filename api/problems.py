"""Problems: what every error becomes on the wire (RFC 9457), in one table.

An item of a batch that was refused carries the same object as a call that was refused whole.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import uuid4

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api import gateway, goods_in, outbound
from api.backup import CannotWrite, FolderNotEmpty
from api.impact.alerts import NothingToAcknowledge, UnknownAlert
from api.impact.disruptions import CountsForNothing, UnknownDisruption
from api.impact.reports import NoSites
from api.impact.shared import FactsBeingRead
from api.impact.stress import TestsRunning
from api.impact.table import UnfitTable
from api.pages.notes import UnfitPin
from api.pages.requests import AlreadyAsked, AnsweredMeanwhile, UnfitStatement, UnknownRequest
from api.paper import CannotPrint, NoRecord, NothingToPrint
from ledger_service import (
    anchoring,
    batch,
    bundle,
    checkpoint,
    envelope,
    handoffs,
    keys,
    ledger,
    membership,
    offering,
    relaying,
    statements,
    trails,
)
from ledger_service.canonical import MalformedJson
from ledger_service.chain.abi import MalformedCall
from ledger_service.chain.errors import ChainUnavailable, TransactionRefused
from ledger_service.custody import offers
from ledger_service.custody.packing import ImpossiblePacking
from ledger_service.errors import LedgerError, MalformedInput, ProofError
from ledger_service.evidence import BundleRefused
from ledger_service.intake.epcis import NotEpcis, RefusedEvent
from risk.disruption import Cancelled
from risk.errors import MalformedFact, RiskError
from risk.stress import TooMuchAsked

MEDIA_TYPE = "application/problem+json"
TYPES = "https://tallystick.example.org/problems/"
_log = logging.getLogger(__name__)


class ApiError(LedgerError):
    """What is wrong with a request before any statement in it is looked at. `headers` go with the answer."""

    headers: ClassVar[Mapping[str, str]] = {}


class Unauthenticated(ApiError):
    """No token, or one that does not count (any more)."""

    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="tallystick"'}


class LoginRefused(ApiError):
    """A challenge that was not answered as it must be."""


class Forbidden(ApiError):
    """Something that everybody may know of and the caller may not do."""


class NotTheIssuer(ApiError):
    """A statement of another member: everyone registers and erases his own."""


class NotCustodial(ApiError):
    """The service keeps no key for this member, so it cannot sign for it."""


class NotThere(ApiError):
    """Nothing there, or nothing the caller may know of: the answer is the same."""

    def __init__(self, what: str = "there is nothing here that you may see") -> None:
        super().__init__(what)


class BodyTooLarge(ApiError):
    """More bytes than the operator allows."""


class BodyCutShort(ApiError):
    """The connection ended before the body did."""


class TooManyItems(ApiError):
    """More statements in one call than the operator allows."""


class EmptyCall(ApiError):
    """A call without a statement."""


class WrongMediaType(ApiError):
    """A body in a form, or a compression, that is not read here."""


class ForeignCursor(ApiError):
    """A cursor that was not given to this caller for this list."""


class TooManyWebhooks(ApiError):
    """More webhooks than one member may have."""


class UnknownWebhook(ApiError):
    """No such webhook of this member."""


class Busy(ApiError):
    """More is in the house already than there is room for."""


class StorageUnavailable(ApiError):
    """The database takes nothing now: the disk is full, or it cannot be written."""


class ExaminationFailed(ApiError):
    """The processes that examine statements died over this call, again and again."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its name in the type URI, its HTTP status and its title."""

    name: str
    status: int
    title: str

    @property
    def type(self) -> str:
        return TYPES + self.name


KINDS: dict[type[Exception], Kind] = {
    # the request
    Unauthenticated: Kind("not-signed-in", 401, "Sign in first"),
    LoginRefused: Kind("login-refused", 401, "The challenge was not answered"),
    Forbidden: Kind("not-allowed", 403, "Not allowed to this caller"),
    NotTheIssuer: Kind("not-the-issuer", 403, "Only the issuer may do this"),
    NotCustodial: Kind("not-custodial", 403, "Sign at home"),
    NotThere: Kind("not-found", 404, "Nothing here"),
    BodyTooLarge: Kind("body-too-large", 413, "The body is too large"),
    BodyCutShort: Kind("body-cut-short", 400, "The body did not come to its end"),
    TooManyItems: Kind("too-many-items", 413, "Too many statements in one call"),
    EmptyCall: Kind("empty-call", 400, "No statement in the call"),
    WrongMediaType: Kind("wrong-media-type", 415, "The body is in another form"),
    ForeignCursor: Kind("foreign-cursor", 400, "Not a cursor of this list"),
    RequestValidationError: Kind("malformed-request", 400, "A parameter is not what it must be"),
    # the statement
    MalformedJson: Kind("malformed-json", 400, "Not JSON in the strict profile"),
    MalformedInput: Kind("malformed-input", 400, "Not in the form it must have"),
    checkpoint.MalformedNote: Kind("malformed-note", 400, "Not a signed note, checkpoint or key"),
    ImpossiblePacking: Kind("impossible-packing", 422, "What is packed into what does not fit together"),
    NotEpcis: Kind("not-epcis", 422, "Not an EPCIS document"),
    RefusedEvent: Kind("refused-event", 422, "The event breaks the standard"),
    statements.UnknownKind: Kind("unknown-kind", 422, "An unknown kind of statement"),
    envelope.ContentMismatch: Kind("content-mismatch", 422, "The content is not what was signed"),
    keys.BadSignature: Kind("bad-signature", 422, "The signature is no good"),
    membership.UnknownKey: Kind("unknown-key", 422, "No member has registered the key"),
    membership.WrongMember: Kind("wrong-member", 422, "The key speaks for another member"),
    membership.WrongPurpose: Kind("wrong-purpose", 422, "The key is not for this use"),
    membership.NotYetValid: Kind("key-not-yet-valid", 422, "The key is not valid yet"),
    membership.RetiredKey: Kind("key-retired", 422, "The key is retired"),
    membership.RevokedKey: Kind("key-revoked", 422, "The key is revoked"),
    membership.MemberNotActive: Kind("member-not-active", 422, "The member is suspended or expelled"),
    membership.KeyNotValid: Kind("key-not-valid", 422, "The key does not count"),
    batch.UnknownMember: Kind("unknown-member", 422, "Not a member of this network"),
    batch.FromTheFuture: Kind("from-the-future", 422, "Issued later than the clock allows"),
    offers.UnknownOffer: Kind("unknown-offer", 422, "No such offer"),
    offers.OfferToAnother: Kind("offer-to-another", 422, "Offered to another member"),
    offers.OfferExpired: Kind("offer-expired", 422, "The offer ran out"),
    offers.UnitNotOffered: Kind("unit-not-offered", 422, "A unit that was not offered"),
    offers.BeyondTolerance: Kind("beyond-tolerance", 422, "More than may be accepted without a person"),
    offering.OfferReplaced: Kind("offer-replaced", 422, "The giver has another offer"),
    offering.AlreadyAccepted: Kind("already-accepted", 422, "The taker has accepted it"),
    offering.UnfitOffer: Kind("unfit-offer", 422, "The signature does not go with the despatch"),
    offering.UnfitStep: Kind("unfit-step", 422, "No registered statement asks for this step"),
    handoffs.WrongSigner: Kind("wrong-signer", 422, "Another key had to sign"),
    batch.StatementConflict: Kind("number-taken", 409, "The number is taken in its stream"),
    batch.StreamMismatch: Kind("stream-mismatch", 409, "The stream belongs to another issuer or audience"),
    ledger.CallRefused: Kind("call-refused", 422, "Nothing was registered"),
    # a gateway within the service
    gateway.NotHeld: Kind("not-held", 409, "The unit is not there to hand on"),
    gateway.NoAddressLeft: Kind("no-address-left", 409, "The partner has no address left"),
    gateway.SaidOtherwise: Kind("said-otherwise", 409, "It was said already, and otherwise"),
    gateway.UnfitOffered: Kind("unfit-offered", 422, "The offer does not hold"),
    goods_in.UnfitRows: Kind("unfit-rows", 422, "Rows of the table cannot be used"),
    UnfitTable: Kind("unfit-table", 422, "The table of facts cannot be used as it is"),
    # the ledger
    ledger.UnknownStatement: Kind("not-found", 404, "Nothing here"),
    ledger.BacklogFull: Kind("backlog-full", 503, "Too much waits for the chain"),
    bundle.NotYetAnchored: Kind("not-yet-anchored", 409, "The chain has not taken it yet"),
    bundle.TooLarge: Kind("bundle-too-large", 422, "More than one bundle holds"),
    trails.UnknownThing: Kind("not-found", 404, "Nothing here"),
    trails.TooMuchToFold: Kind("too-much-to-fold", 422, "More than one trail is made from"),
    anchoring.UnknownCheckpoint: Kind("unknown-checkpoint", 404, "No such checkpoint"),
    anchoring.UnknownWitness: Kind("unknown-witness", 403, "Not a witness of this log"),
    checkpoint.UnverifiedNote: Kind("unverified-note", 422, "The cosignature does not fit"),
    relaying.StepRefused: Kind("step-refused", 409, "The chain can never take this step"),
    relaying.UncommonDeadline: Kind("uncommon-deadline", 422, "A deadline that nobody else has"),
    relaying.RelayFull: Kind("relay-full", 503, "Too many steps wait for the chain"),
    relaying.RelayNotAllowed: Kind("relay-not-allowed", 503, "The members want another relayer"),
    relaying.NotYetCertified: Kind("not-yet-certified", 503, "The certificate is under way"),
    relaying.TooManyUnits: Kind("too-many-units", 422, "More units than one certificate holds"),
    ProofError: Kind("no-such-proof", 400, "No such proof"),
    # paper
    UnfitPin: Kind("unfit-pin", 422, "Not a PIN that may be set"),
    AlreadyAsked: Kind("already-asked", 409, "An answer waits for its signature"),
    UnknownRequest: Kind("not-found", 404, "Nothing here"),
    UnfitStatement: Kind("unfit-statement", 422, "Not the statement that was asked for"),
    NothingToPrint: Kind("nothing-to-print", 422, "Of this no note can be printed"),
    AnsweredMeanwhile: Kind("answered-meanwhile", 409, "Somebody else has answered"),
    CannotPrint: Kind("cannot-print", 500, "The page could not be set"),
    BundleRefused: Kind("bundle-refused", 422, "The bundle does not hold"),
    NoRecord: Kind("no-record-of-custody", 422, "The bundle says nothing of custody"),
    # the chain
    MalformedCall: Kind("malformed-call", 400, "Arguments that do not fit the function"),
    TransactionRefused: Kind("chain-refuses", 409, "The contract refuses it"),
    ChainUnavailable: Kind("chain-unavailable", 503, "The chain does not answer"),
    anchoring.Divergence: Kind("divergence", 503, "Ledger and chain tell different histories"),
    # risk
    CountsForNothing: Kind("counts-for-nothing", 409, "Some of it would count for nothing"),
    Cancelled: Kind("cancelled-before", 409, "It was cancelled before"),
    MalformedFact: Kind("malformed-fact", 422, "Not a fact that can count"),
    RiskError: Kind("risk-refused", 422, "This cannot be assessed"),
    TooMuchAsked: Kind("too-much-asked", 422, "More than goes into one test"),
    TestsRunning: Kind("tests-running", 503, "As many tests run as may"),
    FactsBeingRead: Kind("facts-being-read", 503, "The facts are being read"),
    NoSites: Kind("no-sites", 409, "No site of the network is yours"),
    UnknownDisruption: Kind("not-found", 404, "Nothing here"),
    UnknownAlert: Kind("not-found", 404, "Nothing here"),
    NothingToAcknowledge: Kind("nothing-to-acknowledge", 409, "It asks for no acknowledgement"),
    # webhooks
    outbound.UnfitAddress: Kind("unfit-address", 422, "This address is not called from here"),
    TooManyWebhooks: Kind("too-many-webhooks", 409, "As many webhooks as there may be"),
    UnknownWebhook: Kind("not-found", 404, "Nothing here"),
    # the service
    FolderNotEmpty: Kind("folder-not-empty", 409, "The folder is not empty"),
    CannotWrite: Kind("cannot-write", 422, "The folder cannot be written"),
    Busy: Kind("busy", 503, "Too much at once"),
    StorageUnavailable: Kind("storage-unavailable", 503, "Nothing can be stored now"),
    ExaminationFailed: Kind("examination-failed", 500, "The statements could not be examined"),
    LedgerError: Kind("refused", 422, "Refused"),
    Exception: Kind("internal-error", 500, "Something went wrong here"),
}
"""Every error there is, most of them with a kind of their own; the others are of their base's kind."""

_RETRY_SECONDS = {
    TestsRunning: 10,
    FactsBeingRead: 5,
    Busy: 1,
    StorageUnavailable: 30,
    bundle.NotYetAnchored: 1,
    relaying.NotYetCertified: 1,
    relaying.RelayFull: 60,
    relaying.RelayNotAllowed: 60,
    ChainUnavailable: 5,
    anchoring.Divergence: 60,
}


def kind_of(error: BaseException) -> Kind:
    """The kind of problem `error` is, by its nearest class in the table."""
    return next(KINDS[one] for one in type(error).__mro__ if one in KINDS)


def as_json(error: LedgerError | RiskError) -> dict[str, Any]:
    """The problem object of `error`: type, title, status, detail, and where it helps where, item, problems,
    retryAfter.
    """
    kind = kind_of(error)
    value: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": getattr(error, "what", None) or str(error),
    }
    where = getattr(error, "where", "")
    if where:
        value["where"] = where
    if isinstance(error, RefusedEvent):
        value["problems"] = [{"code": one.code, "where": one.where, "what": one.what} for one in error.problems]
    if isinstance(error, goods_in.UnfitRows):
        value["problems"] = [{"what": one} for one in error.problems]
    if isinstance(error, CountsForNothing):
        value["problems"] = [{"what": one} for one in error.reasons]
    if isinstance(error, UnfitTable):
        value["problems"] = [one.as_json() for one in error.problems]
    if isinstance(error, TransactionRefused):
        value["reason"] = error.reason
    retry = retry_after(error)
    if retry is not None:
        value["retryAfter"] = retry
    return value


def retry_after(error: LedgerError | RiskError) -> int | None:
    """After how many seconds it makes sense to try again, None where it makes none."""
    if isinstance(error, ledger.BacklogFull):
        return error.retry_after_seconds
    return next((seconds for kind, seconds in _RETRY_SECONDS.items() if isinstance(error, kind)), None)


def answer(error: LedgerError | RiskError, extra: Mapping[str, Any] | None = None) -> Response:
    """The response that says `error`."""
    value = as_json(error) | dict(extra or {})
    headers = dict(error.headers) if isinstance(error, ApiError) else {}
    retry = retry_after(error)
    if retry is not None:
        headers["Retry-After"] = str(retry)
    if value["status"] >= 500 and value["status"] != 503:
        _log.error("%s", error, exc_info=error)
    return Response(orjson.dumps(value), value["status"], headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make `app` answer every error as a problem."""
    app.add_exception_handler(LedgerError, _of_ledger)
    app.add_exception_handler(RiskError, _of_ledger)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _of_bug)


async def _of_ledger(request: Request, error: Exception) -> Response:
    assert isinstance(error, LedgerError | RiskError)
    request.state.problem = kind_of(error).name
    return answer(error)


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: Mapping[str, Any] = error.errors()[0]
    place = "".join(f"/{step}" for step in first["loc"])
    kind = KINDS[RequestValidationError]
    request.state.problem = kind.name
    value = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": f"{first['msg']} (at {place})",
        "where": place,
    }
    return Response(orjson.dumps(value), kind.status, media_type=MEDIA_TYPE)


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    name = "not-found" if status is HTTPStatus.NOT_FOUND else status.phrase.lower().replace(" ", "-")
    request.state.problem = name
    value = {"type": TYPES + name, "title": status.phrase, "status": int(status), "detail": str(error.detail)}
    if status is HTTPStatus.NOT_FOUND:
        value = as_json(NotThere())
    return Response(orjson.dumps(value), status, dict(error.headers or {}), MEDIA_TYPE)


async def _of_bug(request: Request, error: Exception) -> Response:
    """A problem with an id that the operator finds in the log, and nothing else of what happened."""
    number = str(uuid4())
    _log.error("%s %s failed (%s)", request.method, request.url.path, number, exc_info=error)
    kind = KINDS[Exception]
    request.state.problem = kind.name
    value = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": f"the service has a fault; tell its operator this number: {number}",
        "instance": f"urn:uuid:{number}",
    }
    return Response(orjson.dumps(value), kind.status, media_type=MEDIA_TYPE)


def documented(*errors: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the problems that a route may answer with."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        kind = KINDS[error]
        entry = by_status.setdefault(
            kind.status, {"description": "", "content": {MEDIA_TYPE: {"schema": SCHEMA_REF, "examples": {}}}}
        )
        entry["description"] = "; ".join(filter(None, [entry["description"], f"`{kind.name}`: {kind.title}"]))
        entry["content"][MEDIA_TYPE]["examples"][kind.name] = {
            "value": {
                "type": kind.type,
                "title": kind.title,
                "status": kind.status,
                "detail": (error.__doc__ or "").split("\n")[0],
            }
        }
    return by_status


SCHEMA_REF = {"$ref": "#/components/schemas/Problem"}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "What is wrong, where, and what to do (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Which kind of problem; stable."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What exactly is wrong here, for a person."},
        "where": {"type": "string", "description": "RFC 6901 pointer to the place in what was sent."},
        "item": {"type": "integer", "description": "Which statement of a batch, counted from 0."},
        "retryAfter": {"type": "integer", "description": "Seconds after which to try again."},
        "instance": {"type": "string", "description": "The number of an internal error, for the operator."},
        "reason": {"type": "string", "description": "The contract's own error."},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "code": {"type": "string"},
                    "where": {"type": "string"},
                    "what": {"type": "string"},
                    "sheet": {"type": "string"},
                    "row": {"type": "integer"},
                    "column": {"type": "string"},
                },
            },
        },
    },
}


def refusals(errors: Sequence[envelope.Refusal]) -> list[dict[str, Any]]:
    """The items of a call that were refused, each with its problem."""
    return [{"item": one.item, "problem": as_json(one.error) | {"item": one.item}} for one in errors]
