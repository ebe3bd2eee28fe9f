"""Signing in, what is needed to sign, and who is a member with which keys."""

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import problems
from api.problems import documented
from api.routes import examples
from api.routes.bodies import SMALL_BYTES, gives, json_body, json_object, text
from api.service import Caller, Json, asks, hash_of
from api.visibility import Action
from ledger_service import __version__
from ledger_service.chain import abi
from ledger_service.chain.abi import MalformedCall
from ledger_service.chain.errors import ChainUnavailable, TransactionRefused
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.handoffs import DEADLINE_STEP
from ledger_service.keys import SIGNATURE_BYTES, bytes_from_hex, from_hex, purpose_names, to_hex
from ledger_service.ledger import Ledger
from ledger_service.membership import SigningKey

router = APIRouter(prefix="/v1", tags=["members"])
RELAYED = ("addKey", "retireKey", "revokeKey", "rotateRoot", "vote")


@router.post(
    "/auth/challenge",
    tags=["signing in"],
    responses=gives(
        {"expiresAt": examples.TIME + 300_000, "message": "ledger.example.org wants you to sign in …"},
        "An EIP-4361 message.",
    )
    | documented(MalformedInput, problems.WrongMediaType),
    openapi_extra=json_body({"address": examples.KEY}, "The address of a key with the purpose login."),
)  # fmt: skip
async def challenge(request: Request, caller: Caller = asks(Action.SIGN_IN)) -> Response:
    """A message to sign with a login key, to show that it is yours. It is good for five minutes and one use."""
    value = await json_object(request, "address", limit=SMALL_BYTES)
    address = from_hex(text(value["address"], "/address").lower(), 20, "/address")
    message, expires_at = caller.service.identity.challenge(address)
    return Json({"expiresAt": expires_at, "message": message})


@router.post(
    "/auth/token",
    tags=["signing in"],
    responses=gives(
        {"accessToken": "eyJhbGciOiJIUzI1NiIs…", "expiresIn": 900, "member": examples.MEMBER, "tokenType": "Bearer"},
        "A token for the header `Authorization: Bearer …`.",
    )
    | documented(problems.LoginRefused, MalformedInput, problems.WrongMediaType),
    openapi_extra=json_body(
        {"message": "ledger.example.org wants you to sign in …", "signature": examples.SIGNATURE},
        "The challenge unchanged, and the signature of it (EIP-191 personal_sign).",
    ),
)
async def token(request: Request, caller: Caller = asks(Action.SIGN_IN)) -> Response:
    """A token for the member whose key signed the challenge. It ends early when the key or the member does."""
    value = await json_object(request, "message", "signature", limit=SMALL_BYTES)
    signature = from_hex(value["signature"], SIGNATURE_BYTES, "/signature")
    made, seconds, member = caller.service.identity.token(text(value["message"], "/message"), signature)
    return Json({"accessToken": made, "expiresIn": seconds, "member": to_hex(member), "tokenType": "Bearer"})


@router.get(
    "/network",
    responses=gives(
        {
            "chainId": 131277,
            "checkpoints": "0x" + "2b" * 20,
            "custody": {
                "contract": "0x" + "3c" * 20,
                "deadlineStep": DEADLINE_STEP,
                "release": {"interval": 86_400, "spread": 604_800},
            },
            "demo": True,
            "limits": {"batchItems": 5000, "bodyBytes": 33554432, "clockToleranceMs": 300000},
            "logKey": f"{examples.ORIGIN}+1a2b3c4d+AQ…",
            "members": 11,
            "now": examples.TIME,
            "origin": examples.ORIGIN,
            "registry": "0x" + "1a" * 20,
            "versions": {"api": "1", "tallystick": __version__},
        },
        "Origin, EIP-712 domain, log key and limits.",
    ),
)
def read_network(caller: Caller = asks(Action.READ_NETWORK)) -> Response:
    """What a member needs to sign for this network."""
    service, ledger = caller.service, caller.ledger
    identity, settings = ledger.anchoring.identity, service.settings
    value = {
        "chainId": identity.chain_id,
        "checkpoints": to_hex(identity.checkpoints),
        "custody": {
            "contract": to_hex(identity.custody),
            "deadlineStep": DEADLINE_STEP,
            "release": {
                "interval": settings.custody_release_interval_seconds,
                "spread": settings.custody_release_spread_seconds,
            },
        },
        "demo": service.network.is_demo,
        "limits": {
            "batchItems": settings.max_batch_items,
            "bodyBytes": settings.max_body_bytes,
            "clockToleranceMs": ledger.rules.clock_tolerance,
        },
        "logKey": ledger.log_key.verifier.text,
        "members": len(ledger.anchoring.membership.members),
        "now": service.now(),
        "origin": ledger.origin,
        "registry": to_hex(identity.registry),
        "versions": {"api": "1", "tallystick": __version__},
    }
    return Json({name: one for name, one in value.items() if name in caller.fields})


@router.get(
    "/trust",
    responses=gives({"format": "tallystick-trust/1", "origin": examples.ORIGIN}, "The trust file.")
    | documented(problems.Unauthenticated, ChainUnavailable, RequestValidationError),
)
def read_trust(
    pin: bool = Query(False, description="Pin the chain's newest block."), caller: Caller = asks(Action.READ_TRUST)
) -> Response:
    """The trust file as the operator gives it. Compare its fingerprint with another member's before you rely on it."""
    return Json(caller.service.network.trust(pin=pin).as_json())


@router.get(
    "/members",
    responses=gives({"items": [examples.MEMBER_VIEW], "next": None}, "All members, by name.")
    | documented(problems.Unauthenticated),
)
def list_members(caller: Caller = asks(Action.READ_MEMBERS)) -> Response:
    """The members of the network, what they are called, their keys and whether they may speak."""
    views = [_member(caller, one) for one in caller.ledger.anchoring.membership.members]
    return Json({"items": sorted(views, key=lambda one: (str(one["name"]), one["id"])), "next": None})


@router.get(
    "/members/{member}",
    responses=gives(examples.MEMBER_VIEW, "The member.") | documented(problems.Unauthenticated, problems.NotThere),
)
def read_member(member: str, caller: Caller = asks(Action.READ_MEMBERS)) -> Response:
    """One member. Keys are valid `from` a block `until` another one, or without end."""
    found = hash_of(member)
    if found not in caller.ledger.anchoring.membership.members:
        raise problems.NotThere
    chain = caller.ledger.anchoring.chain
    head = chain.head()
    more = {
        "head": {"number": head.number, "time": head.timestamp},
        "nonce": chain.call("member", (found,))[3],
        "retirementBlocks": chain.call("RETIREMENT_BLOCKS"),
    }
    return Json(_member(caller, found) | {name: one for name, one in more.items() if name in caller.fields})


def _member(caller: Caller, member: bytes) -> dict[str, Any]:
    membership = caller.ledger.anchoring.membership
    standing, entry = membership.members[member], caller.service.network.directory.by_id.get(member)
    value: dict[str, Any] = {
        "did": entry.did if entry else None,
        "id": to_hex(member),
        "identifiers": list(entry.identifiers) if entry else [],
        "keys": [_key(one) for one in membership.keys.values() if one.member == member],
        "name": entry.name if entry else None,
        "rootKey": to_hex(standing.root_key),
        "state": standing.state,
        "voting": standing.voting,
    }
    return {name: one for name, one in value.items() if name in caller.fields}


def _key(key: SigningKey) -> dict[str, Any]:
    return {
        "address": to_hex(key.address),
        "compromisedSince": key.compromised_since,
        "custodial": key.custodial,
        "from": key.added_block,
        "purposes": purpose_names(key.purposes),
        "until": key.end_block,
    }


@router.post(
    "/members/changes",
    responses=gives({"membershipChanges": 17, "transaction": "0x" + "7d" * 32}, "The chain has taken it.")
    | documented(
        problems.Unauthenticated, MalformedInput, MalformedCall, TransactionRefused, ChainUnavailable,
        problems.WrongMediaType,
    ),
    openapi_extra=json_body(
        {
            "arguments": [examples.MEMBER, examples.KEY, 5, False, [0, 1_790_003_600, examples.SIGNATURE]],
            "function": "addKey",
        },
        "A function of MemberRegistry with its arguments: addKey, retireKey, revokeKey, rotateRoot (signed by the "
        "member's root key) "
        "or vote. Bytes as 0x text, structs as lists.",
    ),
)  # fmt: skip
async def relay_change(request: Request, caller: Caller = asks(Action.CHANGE_MEMBERS)) -> Response:
    """Relay a key change signed by a root key, or a signed vote.

    What counts is the signature inside, not who sends it: a member that cannot sign in any more has another one send
    it.
    """
    value = await json_object(request, "function", "arguments")
    name = text(value["function"], "/function")
    if name not in RELAYED:
        raise MalformedInput(f"expected one of {', '.join(RELAYED)}", "/function")
    return await run_in_threadpool(_relay, caller, name, value["arguments"])


def _relay(caller: Caller, name: str, given: Any) -> Response:
    inputs = abi.function(name).inputs
    arguments = _typed(f"({','.join(inputs)})", given, "/arguments")
    service, ledger = caller.service, caller.ledger
    transaction = ledger.anchoring.chain.relay(name, arguments, service.network.service.relay)
    _take_over(ledger, service.now())
    changes = ledger.anchoring.membership.count
    return Json({"membershipChanges": changes, "transaction": to_hex(transaction)})


def _take_over(ledger: Ledger, now: int) -> None:
    """Have the ledger see what has just changed; what keeps publication from it is the publisher's business."""
    try:
        ledger.publish(now)
    except LedgerError:
        return


def _typed(kind: str, value: Any, where: str) -> Any:
    """`value` out of JSON as the ABI type `kind` wants it; raises MalformedInput with the place."""
    if kind.endswith("[]"):
        if not isinstance(value, list) or len(value) > 256:
            raise MalformedInput(f"expected a list ({kind})", where)
        return [_typed(kind[:-2], one, f"{where}/{index}") for index, one in enumerate(value)]
    if kind.startswith("("):
        parts = _parts(kind)
        if not isinstance(value, list) or len(value) != len(parts):
            raise MalformedInput(f"expected a list of {len(parts)} values {kind}", where)
        return tuple(
            _typed(part, one, f"{where}/{index}") for index, (part, one) in enumerate(zip(parts, value, strict=True))
        )
    if kind == "bool":
        if not isinstance(value, bool):
            raise MalformedInput("expected true or false", where)
        return value
    if kind.startswith("uint"):
        bits = int(kind[4:])
        # Integers beyond JSON's safe range come as decimal text.
        number = (
            int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 80 else value
        )
        if type(number) is not int or not 0 <= number < 1 << bits:
            raise MalformedInput(f"expected a whole number of {bits} bits", where)
        return number
    if kind == "bytes":
        if isinstance(value, str) and len(value) > 1 << 16:
            raise MalformedInput("too many bytes", where)
        return bytes_from_hex(value, where)
    return from_hex(value, 20 if kind == "address" else 32, where)


def _parts(kind: str) -> list[str]:
    """The types inside a tuple type."""
    parts, depth, start = [], 0, 1
    for at, letter in enumerate(kind):
        depth += (letter == "(") - (letter == ")")
        if (letter == "," and depth == 1) or (letter == ")" and depth == 0):
            parts.append(kind[start:at])
            start = at + 1
    return parts
