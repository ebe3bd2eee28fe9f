"""The second verifier, loaded from its file, and what both verifiers answer to one question."""

import importlib.util
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from api.cli.program import run

FILE = Path(__file__).resolve().parent.parent.parent / "verify" / "tallystick-verify.py"
WORDS = {"what", "reason", "meaning"}
"""What a verifier may say in words of its own (formats.md, section 6)."""


@cache
def second() -> ModuleType:
    """The file as a module: its name has a hyphen, since it is a program."""
    spec = importlib.util.spec_from_file_location("tallystick_verify", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


def answers(
    bundle: Path, trust: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[tuple[int, Any], tuple[int, Any]]:
    """Exit code and answer of the first verifier, and of the second."""
    arguments = [str(bundle), "--trust", str(trust), *options, "--json"]
    capsys.readouterr()
    first = run(["verify", *arguments]), json.loads(capsys.readouterr().out)
    other = second().main(arguments), json.loads(capsys.readouterr().out)
    return first, other


def essence(answer: Any) -> Any:
    """An answer without words, as far as two verifiers have to agree: records that fail are compared as a set, and of a
    unit's steps the first that fails counts, since what follows it follows from it.
    """
    if answer["verdict"] == "refused":
        return "refused", _records([one["record"] for one in answer["failures"]])
    said = _without_words(answer)
    said["findings"] = sorted(said["findings"], key=json.dumps)
    return said


def _records(records: Sequence[str]) -> list[str]:
    first: dict[str, int] = {}
    others = set()
    for record in records:
        step, _, unit = record.partition(" of unit ")
        if unit and step.startswith("step "):
            number = int(step.removeprefix("step "))
            first[unit] = min(number, first.get(unit, number))
        else:
            others.add(record)
    return sorted({*others, *(f"step {number} of unit {unit}" for unit, number in first.items())})


def _without_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_words(item) for name, item in value.items() if name not in WORDS}
    if isinstance(value, list):
        return [_without_words(item) for item in value]
    return value
