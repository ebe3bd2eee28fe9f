"""The fold, the reading of contents and identifiers, and the policy in force, held to the files that others use."""

import pytest

from ledger_service.custody import PARSERS, resolution_in_force
from ledger_service.errors import MalformedInput
from ledger_service.identifiers import MalformedIdentifier, identify
from ledger_service.keys import from_hex, to_hex
from ledger_service.membership import Change
from tests.vectors.custody import cases, fact_of, judged


@pytest.mark.parametrize("name", ["findings", "honest", "policies", "random", "views"])
def test_the_fold_answers_as_the_files_say(name: str) -> None:
    for case in cases(name):
        assert judged(case) == case["expected"], case["name"]


def test_every_spelling_of_the_files_has_its_key() -> None:
    for case in cases("identifiers"):
        if case.get("refused"):
            with pytest.raises(MalformedIdentifier):
                identify(case["text"])
            continue
        found = identify(case["text"])
        assert (None if found is None else (found.kind, found.key)) == (case["key"] and (case["kind"], case["key"]))


def test_contents_are_read_or_refused_as_the_files_say() -> None:
    for case in cases("contents"):
        if case["read"]:
            PARSERS[case["kind"]](case["content"])
            continue
        with pytest.raises(MalformedInput):
            PARSERS[case["kind"]](case["content"])


def test_the_policy_in_force_is_that_of_the_files() -> None:
    for case in cases("approvals"):
        changes = [
            Change(one["index"], one["index"], one["blockTime"], one["kind"], from_hex(one["data"], 32))
            for one in case["changes"]
        ]
        held = resolution_in_force(changes, map(fact_of, case["statements"]), case["at"])
        assert (None if held is None else to_hex(held.statement)) == case["statement"]
