"""The Solidity contracts as they are deployed: ABI and bytecode, compiled once and committed.

Running them needs no compiler. `python -m contracts.compile` makes the artifacts from the sources.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


class UnknownContract(LookupError):
    """No artifact of that name is committed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no contract {name!r}; known are {', '.join(names())}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract.

    `bytecode` makes it when the ABI-encoded constructor arguments follow; `runtime_bytecode` is what then stands on the
    chain, with zeros where the constructor writes its immutables, which `immutables` lists as (start, length).
    """

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    runtime_bytecode: bytes
    immutables: tuple[tuple[int, int], ...]
    compiler: str

    def is_code(self, code: bytes) -> bool:
        """Whether `code`, read from a chain, is this contract, whatever its constructor was given."""
        if len(code) != len(self.runtime_bytecode):
            return False
        blank = bytearray(code)
        for start, length in self.immutables:
            blank[start : start + length] = bytes(length)
        return bytes(blank) == self.runtime_bytecode


def names() -> tuple[str, ...]:
    """The contracts that have an artifact, in alphabetical order."""
    entries = (entry.name for entry in (files(__name__) / "artifacts").iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in entries if name.endswith(".json")))


@cache
def artifact(name: str) -> Artifact:
    """The contract `name` as it is deployed.

    Raises UnknownContract if no such artifact is committed.

    >>> artifact("CheckpointRegistry").abi[0]["type"]
    'constructor'
    """
    path = files(__name__) / "artifacts" / f"{name}.json"
    if not path.is_file():
        raise UnknownContract(name)
    content = json.loads(path.read_text(encoding="utf-8"))
    return Artifact(
        name=name,
        abi=content["abi"],
        bytecode=bytes.fromhex(content["bytecode"].removeprefix("0x")),
        runtime_bytecode=bytes.fromhex(content["runtimeBytecode"].removeprefix("0x")),
        immutables=tuple((span["start"], span["length"]) for span in content["immutableReferences"]),
        compiler=content["compiler"]["version"],
    )
