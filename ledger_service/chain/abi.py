"""The contracts as Python calls them: functions, events and errors of the committed artifacts, encoded and decoded.

Addresses are 20 bytes everywhere, as in the rest of the package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.decoding import AddressDecoder
from eth_abi.encoding import AddressEncoder
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import BaseEquals, registry
from eth_utils.abi import (
    abi_to_signature,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)

from contracts import Artifact, artifact
from ledger_service.chain.errors import ChainError, ChainUnavailable, TransactionRefused

MEMBER_REGISTRY = "MemberRegistry"
CHECKPOINT_REGISTRY = "CheckpointRegistry"
CUSTODY_LEDGER = "CustodyLedger"
CONTRACTS = (MEMBER_REGISTRY, CHECKPOINT_REGISTRY, CUSTODY_LEDGER)

_ERROR_STRING = bytes.fromhex("08c379a0")  # Error(string)
_PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)


class UnknownFunction(ChainError):
    """No contract of ours has a function of this name, or several have."""


class MalformedCall(ChainError):
    """Arguments that do not fit the function."""


class _BytesAddress(AddressDecoder):
    decoder_fn = staticmethod(bytes)  # type: ignore[assignment] # the base class makes it text


def _codec() -> ABICodec:
    ours: Any = registry.copy()  # type: ignore[no-untyped-call]
    ours.unregister("address")
    is_address = BaseEquals("address", with_sub=False)  # type: ignore[no-untyped-call]
    ours.register(is_address, AddressEncoder, _BytesAddress, label="address")
    return ABICodec(ours)


codec = _codec()


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one of the contracts."""

    contract: str
    name: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def encode(self, arguments: Sequence[Any]) -> bytes:
        """Calldata; raises MalformedCall if the arguments do not fit."""
        try:
            return self.selector + codec.encode(self.inputs, arguments)
        except (EncodingError, TypeError, ValueError) as error:
            raise MalformedCall(f"{self.name}({','.join(self.inputs)}): {error}") from error

    def decode(self, output: bytes) -> Any:
        """What the function returned: one value, or a tuple. Raises ChainUnavailable if it cannot be that."""
        try:
            values = codec.decode(self.outputs, output)
        except (DecodingError, OverflowError, ValueError) as error:
            raise ChainUnavailable(f"{self.name} answered what it cannot answer: {error}") from error
        return values[0] if len(values) == 1 else values


@cache
def function(name: str) -> Function:
    """The function `name`: with its argument types (`f(uint8)`) where a name has two meanings in a contract, after the
    contract's name and a dot (`CustodyLedger.registry`) where two contracts have it.
    """
    contract_named, dot, of_contract = name.partition(".")
    found = [
        Function(
            contract,
            entry["name"],
            function_abi_to_4byte_selector(entry),
            tuple(get_abi_input_types(entry)),
            tuple(get_abi_output_types(entry)),
        )
        for contract, entry in _entries("function")
        if (contract == contract_named or not dot)
        and (of_contract if dot else name) in {entry["name"], abi_to_signature(entry)}
    ]
    if len(found) != 1:
        raise UnknownFunction(f"{'no' if not found else 'more than one'} function of the contracts is called {name!r}")
    return found[0]


@cache
def topic(event: str) -> bytes:
    """The first topic of an event."""
    return event_abi_to_log_topic(_event(event))


def read_event(event: str, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
    """The values of an event by name, its indexed ones included, which have 32 bytes or are numbers.

    Raises ChainUnavailable for what this event cannot say.
    """
    inputs = _event(event)["inputs"]
    indexed = [one for one in inputs if one["indexed"]]
    stated = [one for one in inputs if not one["indexed"]]
    try:
        values = codec.decode([one["type"] for one in stated], data)
        found = dict(zip((one["name"] for one in stated), values, strict=True))
        for one, value in zip(indexed, topics[1:], strict=True):
            (found[one["name"]],) = codec.decode([one["type"]], value)
    except (DecodingError, OverflowError, ValueError) as error:
        raise ChainUnavailable(f"{event} says what it cannot say: {error}") from error
    return found


def _event(name: str) -> Any:
    (entry,) = (entry for _, entry in _entries("event") if entry["name"] == name)
    return entry


def creation(made: Artifact, *arguments: Any) -> bytes:
    """What a transaction carries that creates the contract."""
    (constructor,) = (entry for contract, entry in _entries("constructor") if contract == made.name)
    return made.bytecode + codec.encode(get_abi_input_types(constructor), arguments)


def refusal(data: bytes | None, otherwise: str) -> TransactionRefused:
    """The contract's own error in revert data, by name and with its numbers."""
    if not data:
        return TransactionRefused("Reverted", detail=otherwise)
    selector, body = data[:4], data[4:]
    try:
        if selector == _ERROR_STRING:
            return TransactionRefused("Reverted", detail=codec.decode(("string",), body)[0])
        if selector == _PANIC:
            return TransactionRefused("Panic", {"code": codec.decode(("uint256",), body)[0]})
        if selector in _errors():
            name, names, types = _errors()[selector]
            return TransactionRefused(name, dict(zip(names, codec.decode(types, body), strict=True)))
    except (DecodingError, OverflowError, ValueError):
        pass
    return TransactionRefused("Reverted", {"data": data}, otherwise)


@cache
def _errors() -> dict[bytes, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return {
        function_abi_to_4byte_selector(entry): (
            entry["name"],
            tuple(part["name"] for part in entry["inputs"]),
            tuple(get_abi_input_types(entry)),
        )
        for _, entry in _entries("error")
    }


def _entries(kind: str) -> list[tuple[str, Any]]:
    return [(contract, entry) for contract in CONTRACTS for entry in artifact(contract).abi if entry["type"] == kind]
