"""JSON-RPC as both engines speak it, read strictly: what is not in the form Ethereum fixes is no answer at all.

A node behind a proxy, half started, overloaded or lying must never be mistaken for a chain that says no.
"""

import re
from collections.abc import Mapping
from typing import Any

from web3.providers import BaseProvider
from web3.types import RPCEndpoint

from ledger_service.chain.errors import ChainError, ChainUnavailable

_QUANTITY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,63})")
_DATA = re.compile(r"0x([0-9a-fA-F]{2})*")
_SHOWN = 200


class NodeRefusal(Exception):
    """A well-formed JSON-RPC error: the node understood and said no."""

    def __init__(self, code: int, message: str, data: bytes | None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


class Node:
    """One JSON-RPC node behind a web3 provider."""

    def __init__(self, provider: BaseProvider) -> None:
        self.provider = provider

    def ask(self, method: str, *params: Any) -> Any:
        """The result of one call, as JSON. Raises NodeRefusal for an error answer, ChainUnavailable for no answer."""
        try:
            response: Mapping[str, Any] = self.provider.make_request(RPCEndpoint(method), list(params))
        except ChainError:
            raise
        except Exception as error:  # whatever else the transport meets, the outcome is unknown
            raise ChainUnavailable(f"{method}: {shown(error) or type(error).__name__}") from error
        if response.get("error") is not None:
            raise _refusal(method, response["error"])
        if "result" not in response:
            raise ChainUnavailable(f"{method}: the reply has neither result nor error")
        return response["result"]

    def read(self, method: str, *params: Any) -> Any:
        """Like `ask`, where a refusal can only mean that the node is not able to answer now."""
        try:
            return self.ask(method, *params)
        except NodeRefusal as refusal:
            raise ChainUnavailable(f"{method}: {shown(refusal)}") from refusal


def _refusal(method: str, error: object) -> Exception:
    if not isinstance(error, Mapping):
        return ChainUnavailable(f"{method}: malformed error {shown(error)}")
    code, message, data = error.get("code"), error.get("message"), error.get("data")
    if not isinstance(code, int) or isinstance(code, bool) or not isinstance(message, str):
        return ChainUnavailable(f"{method}: malformed error {shown(error)}")
    if isinstance(data, Mapping):  # some nodes wrap the revert data once more
        data = data.get("data")
    revert = bytes.fromhex(data[2:]) if isinstance(data, str) and _DATA.fullmatch(data) else None
    return NodeRefusal(code, message, revert)


def quantity(value: object, what: str) -> int:
    """The integer a JSON-RPC quantity stands for: 0x, lower case, no leading zeros, at most 256 bits."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value.lower()):
        raise ChainUnavailable(f"{what} is not a quantity: {shown(value)}")
    return int(value, 16)


def octets(value: object, what: str, size: int | None = None) -> bytes:
    """The bytes a JSON-RPC data string stands for; `size` of them where it is given."""
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise ChainUnavailable(f"{what} is not hexadecimal data: {shown(value)}")
    data = bytes.fromhex(value[2:])
    if size is not None and len(data) != size:
        raise ChainUnavailable(f"{what} has {len(data)} bytes, not {size}")
    return data


def record(value: object, what: str) -> Mapping[str, Any]:
    """`value` if it is a JSON object."""
    if not isinstance(value, Mapping):
        raise ChainUnavailable(f"{what} is not an object: {shown(value)}")
    return value


def rows(value: object, what: str) -> list[Any]:
    """`value` if it is a JSON array."""
    if not isinstance(value, list):
        raise ChainUnavailable(f"{what} is not a list: {shown(value)}")
    return value


def shown(value: object) -> str:
    """`value` in one line, cut to a length that fits a log."""
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def hexed(data: bytes) -> str:
    """`data` as JSON-RPC writes bytes."""
    return "0x" + data.hex()
