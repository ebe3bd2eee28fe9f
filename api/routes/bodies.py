"""Bodies: read whole, and refused before they are read where they are too large or in a form nobody reads here."""

from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api.problems import BodyCutShort, BodyTooLarge, WrongMediaType
from ledger_service import canonical
from ledger_service.errors import MalformedInput

SMALL_BYTES = 16 << 10
"""What anybody may send: more than enough to sign in."""


async def body(request: Request, limit: int, *media_types: str) -> bytes:
    """The request's body of at most `limit` bytes; raises BodyTooLarge, or WrongMediaType unless it is one of these."""
    headers = request.headers
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise WrongMediaType("bodies are taken uncompressed: a small one can unpack into a large one")
    found = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_types and found not in media_types:
        raise WrongMediaType(f"the body is {found or 'of no stated type'}, expected {' or '.join(media_types)}")
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise BodyTooLarge(f"the body has {length} bytes, the limit is {limit}")
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise BodyTooLarge(f"the body has more than {limit} bytes")
            parts.append(part)
    except ClientDisconnect as error:
        # Nobody reads the answer; without it every broken connection would be a fault of ours in the log.
        raise BodyCutShort(f"the connection ended after {size} bytes of the body") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def json_object(
    request: Request, *required: str, optional: tuple[str, ...] = (), limit: int = 1 << 20
) -> dict[str, Any]:
    """The JSON object in a small body, with exactly these members."""
    data = await body(request, limit, "application/json")
    # Strict reading of a megabyte can take a second, in which nobody else would be answered.
    value = canonical.parse(data) if len(data) <= SMALL_BYTES else await run_in_threadpool(canonical.parse, data)
    if not isinstance(value, dict) or not set(required) <= value.keys() <= {*required, *optional}:
        names = ", ".join(required)
        more = f" and may have {', '.join(optional)}" if optional else ""
        raise MalformedInput(f"expected an object with {names}{more}")
    return value


def text(value: Any, where: str, limit: int = 4096) -> str:
    """`value` if it is a text of at most `limit` characters."""
    if not isinstance(value, str) or len(value) > limit:
        raise MalformedInput(f"expected a text of at most {limit} characters", where)
    return value


def json_body(example: Any, description: str = "", **others: Any) -> dict[str, Any]:
    """What OpenAPI says of a body that the route reads itself; `others` are examples of other media types."""
    content = {"application/json": {"schema": {}, "example": example}} | {
        name.replace("_", "/", 1).replace("_", "-"): {"schema": {"type": "string"}, "example": one}
        for name, one in others.items()
    }
    return {"requestBody": {"required": True, "description": description, "content": content}}


def gives(example: Any, description: str, media_type: str = "application/json", status: int = 200) -> dict[Any, Any]:
    """What OpenAPI says of a good answer."""
    return {status: {"description": description, "content": {media_type: {"schema": {}, "example": example}}}}
