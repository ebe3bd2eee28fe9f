"""The log as C2SP has it: checkpoints, tiles, proofs and cosignatures, for every member."""

import re

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from api import problems
from api.problems import documented
from api.routes import examples
from api.routes.bodies import body, gives
from api.service import Caller, Json, asks
from api.visibility import Action
from ledger_service.anchoring import UnknownCheckpoint, UnknownWitness
from ledger_service.checkpoint import MalformedNote, UnverifiedNote, to_base64
from ledger_service.errors import ProofError
from ledger_service.evidence import changes_as_json
from ledger_service.merkle import HASH_BYTES, TILE_WIDTH

router = APIRouter(prefix="/v1/log", tags=["log"])
_PLACE = re.compile(r"((?:x\d{3}/)*\d{3})(?:\.p/(\d{1,3}))?", re.ASCII)
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
SIZE = Query(None, ge=0, le=2**53 - 1, description="Of this many statements; the last one by default.")


@router.get(
    "/checkpoint",
    responses=gives(examples.NOTE, "A C2SP signed note with every cosignature there is.", "text/plain")
    | documented(problems.Unauthenticated, UnknownCheckpoint, RequestValidationError),
)
def read_checkpoint(size: int | None = SIZE, caller: Caller = asks(Action.READ_LOG)) -> Response:
    """A checkpoint of the log (C2SP tlog-checkpoint)."""
    return PlainTextResponse(str(caller.ledger.anchoring.note(size)))


@router.get(
    "/tile/entries/{place:path}",
    responses=gives("", "Entries of 72 bytes, each behind its length of two bytes.", "application/octet-stream")
    | documented(problems.Unauthenticated, problems.NotThere),
)
def read_entries(place: str, caller: Caller = asks(Action.READ_LOG)) -> Response:
    """An entry bundle (C2SP tlog-tiles): 256 log entries, or the first W of a partial one (`.p/W`)."""
    index, width = _index_of(place)
    covered = caller.ledger.anchoring.checkpoint_size - TILE_WIDTH * index
    if covered < width:
        raise problems.NotThere
    entries = caller.ledger.leaves(TILE_WIDTH * index, width)
    return _tile(b"".join(len(one).to_bytes(2) + one for one in entries), width)


@router.get(
    "/tile/{level}/{place:path}",
    responses=gives("", "Hashes of 32 bytes, left to right.", "application/octet-stream")
    | documented(problems.Unauthenticated, problems.NotThere),
)
def read_tile(level: str, place: str, caller: Caller = asks(Action.READ_LOG)) -> Response:
    """A tile of the tree (C2SP tlog-tiles): 256 hashes, or the first W of a partial one (`.p/W`)."""
    index, width = _index_of(place)
    if not level.isascii() or not level.isdigit() or len(level) > 2 or int(level) > 7 or str(int(level)) != level:
        raise problems.NotThere
    hashes = caller.ledger.tile(int(level), index, width)
    if len(hashes) != width * HASH_BYTES:
        raise problems.NotThere
    return _tile(hashes, width)


def _index_of(place: str) -> tuple[int, int]:
    """The index and the width in a tile's path, `x001/x234/067` or `x001/067.p/8`."""
    match = _PLACE.fullmatch(place)
    if match is None or len(match[1]) > 24 or match[1].startswith("x000/"):
        raise problems.NotThere
    width = TILE_WIDTH if match[2] is None else int(match[2])
    if match[2] is not None and (not 0 < width < TILE_WIDTH or str(width) != match[2]):
        raise problems.NotThere
    return int(match[1].replace("x", "").replace("/", "")), width


def _tile(data: bytes, width: int) -> Response:
    headers = FOREVER if width == TILE_WIDTH else None
    return Response(data, headers=headers, media_type="application/octet-stream")


@router.get(
    "/consistency",
    responses=gives({"path": ["uZRqySSS0jR8YjW00mERhLGUaskkktI0fGI1tNJhEYQ="]}, "Hashes in base64.")
    | documented(problems.Unauthenticated, ProofError, RequestValidationError),
)
def read_consistency(
    old: int = Query(ge=0, le=2**53 - 1), new: int = Query(ge=0, le=2**53 - 1), caller: Caller = asks(Action.READ_LOG)
) -> Response:
    """The proof that the log of `new` entries extends that of `old` (RFC 9162)."""
    return Json({"path": [to_base64(one) for one in caller.ledger.consistency(old, new)]})


@router.get(
    "/inclusion",
    responses=gives({"path": ["uZRqySSS0jR8YjW00mERhLGUaskkktI0fGI1tNJhEYQ="]}, "Hashes in base64.")
    | documented(problems.Unauthenticated, ProofError, RequestValidationError),
)
def read_inclusion(
    index: int = Query(ge=0, le=2**53 - 1),
    size: int = Query(ge=0, le=2**53 - 1),
    caller: Caller = asks(Action.READ_LOG),
) -> Response:
    """The proof that entry `index` is in the log of `size` entries (RFC 9162)."""
    return Json({"path": [to_base64(one) for one in caller.ledger.inclusion(index, size)]})


@router.get(
    "/changes",
    responses=gives(
        {"changes": [{"blockNumber": 1, "blockTime": 1790000000, "data": "0x", "index": 1, "kind": 1}]},
        "Every membership and key change, oldest first.",
    )
    | documented(problems.Unauthenticated),
)
def read_registry(caller: Caller = asks(Action.READ_LOG)) -> Response:
    """The list that the registry line of each checkpoint stands for: fold it and compare."""
    return Json({"changes": changes_as_json(caller.ledger.anchoring.membership.changes)})


@router.post(
    "/cosignatures",
    status_code=204,
    responses=documented(
        problems.Unauthenticated, UnknownWitness, UnknownCheckpoint, UnverifiedNote, MalformedNote,
        problems.WrongMediaType, RequestValidationError,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "One signature line of C2SP cosignature/v1, with its newline.",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "example": "— witness.havelmark.example.org Zm9yIHRoZSBleGFtcGxlIG9ubHkgLi4u\n",
                }
            },
        }
    },
)  # fmt: skip
async def cosign(
    request: Request, size: int = Query(ge=1, le=2**53 - 1), caller: Caller = asks(Action.COSIGN)
) -> Response:
    """Add a witness's cosignature to the checkpoint of `size`."""
    data = await body(request, 4096, "text/plain")
    try:
        line = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedNote("not UTF-8") from error
    service = caller.service
    await run_in_threadpool(caller.ledger.cosign, size, line, service.network.witnesses, service.now())
    return Response(status_code=204)
