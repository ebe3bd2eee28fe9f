"""What is committed is what the sources give, fits where it must, and costs what it cost."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from contracts import UnknownContract, artifact, names
from contracts.compile import differences
from tests.contracts.gas import SNAPSHOT, measure

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contracts.network import Network

LARGEST = 24_576  # EIP-170


@pytest.fixture(scope="module", params=names())
def committed(request: pytest.FixtureRequest, root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "contracts" / "artifacts" / f"{request.param}.json").read_text())
    return content


def test_the_artifacts_were_made_from_the_sources_as_they_stand(committed: dict[str, Any], root: Path) -> None:
    ours = {name: digest for name, digest in committed["sources"].items() if name.startswith("contracts/")}
    assert ours == {name: "0x" + sha256((root / name).read_bytes()).hexdigest() for name in ours}


def test_every_contract_of_ours_has_an_artifact(root: Path) -> None:
    sources = {path.stem for path in (root / "contracts").glob("*.sol")} | {
        path.stem for path in (root / "contracts" / "testing").glob("*.sol")
    }
    assert set(names()) == sources - {"ConsistencyProof"}  # an internal library is part of those that use it


def test_compiler_and_chain_are_pinned(committed: dict[str, Any]) -> None:
    assert committed["compiler"]["version"] == "0.8.37"
    assert committed["compiler"]["settings"]["evmVersion"] == "cancun"
    assert committed["compiler"]["settings"]["metadata"] == {"bytecodeHash": "none"}


def test_a_contract_fits_into_a_block_and_knows_its_own_code(network: Network) -> None:
    deployed = {
        "MemberRegistry": network.registry,
        "CheckpointRegistry": network.checkpoints,
        "ContractHarness": network.harness,
    }
    for name, contract in deployed.items():
        code = bytes(network.w3.eth.get_code(contract.address))
        assert len(code) <= LARGEST
        for other in deployed:
            assert artifact(other).is_code(code) == (other == name)
        assert not artifact(name).is_code(code[:-1])
        assert not artifact(name).is_code(bytes([code[0] ^ 1]) + code[1:])


def test_an_unknown_contract_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownContract, match=f"'Escrow'; known are {', '.join(names())}"):
        artifact("Escrow")


def test_storage_lies_where_the_layout_says(network: Network, root: Path) -> None:
    layout = json.loads((root / "contracts" / "artifacts" / "MemberRegistry.json").read_text())["storageLayout"]
    registry = network.registry.functions
    for variable in layout:
        if variable["type"].startswith(("mapping", "string")):
            continue
        word = bytes(network.w3.eth.get_storage_at(network.registry.address, variable["slot"]))
        end = 32 - variable["offset"]
        value = word[end - variable["bytes"] : end]
        told = registry[variable["name"]]().call()
        assert (value if isinstance(told, bytes) else int.from_bytes(value)) == told


def test_everything_external_is_documented(root: Path) -> None:
    for path in sorted((root / "contracts").glob("*.sol")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            text = line.strip()
            is_visible = text.startswith(("function ", "event ", "error ", "constructor(", "struct ", "enum ")) or (
                " public " in text and text.endswith(";")
            )
            if is_visible and not text.startswith("function _"):
                assert lines[number - 1].strip().startswith("///"), f"{path.name}:{number + 1} has no words for {text}"


def test_gas_is_what_it_was() -> None:
    """`python -m tests.contracts.gas` records a change that is meant."""
    assert measure() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


@pytest.mark.full
def test_the_compiler_makes_the_committed_artifacts(root: Path) -> None:
    command = [sys.executable, "-m", "contracts.compile", "--check"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_artifact_that_differs_is_named_with_what_differs(root: Path) -> None:
    made = {name: (root / "contracts" / "artifacts" / f"{name}.json").read_text() for name in names()}
    assert differences(made) == []
    made["ContractHarness"] = made["ContractHarness"].replace('"bytecode": "0x', '"bytecode": "0x00')
    made["Escrow"] = made.pop("MemberRegistry")
    assert differences(made) == [
        "ContractHarness: bytecode differs",
        "Escrow: no artifact is committed",
        "MemberRegistry: no source makes this artifact",
    ]
