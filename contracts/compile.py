"""Compile the contracts and write, or with --check compare, `contracts/artifacts/*.json`.

The compiler runs natively where py-solc-x has it or can fetch it; elsewhere the same version comes from npm and
answers behind `solc-front.js`. Either gives the same bytes: the input carries every source under a name that does not
depend on where the repository lies, and the metadata hash, which depends on comments, is left out.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import solcx
from solcx.exceptions import SolcError, SolcInstallationError
from solcx.install import get_executable

HERE = Path(__file__).resolve().parent
ARTIFACTS = HERE / "artifacts"
NODE_MODULES = HERE / "node_modules"
FRONT = HERE / "solc-front.js"

SOLC_VERSION = "0.8.37"
EVM_VERSION = "cancun"  # what py-evm, Anvil and Besu all run; OpenZeppelin 5.7 wants no less

# The contracts that are deployed, and the one that only tests deploy.
CONTRACTS = {
    "MemberRegistry": "contracts/MemberRegistry.sol",
    "CheckpointRegistry": "contracts/CheckpointRegistry.sol",
    "CustodyLedger": "contracts/CustodyLedger.sol",
    "ContractHarness": "contracts/testing/ContractHarness.sol",
}

SETTINGS: dict[str, Any] = {
    "evmVersion": EVM_VERSION,
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 200},
    "metadata": {"bytecodeHash": "none"},
    "outputSelection": {
        source: {
            name: [
                "abi",
                "evm.bytecode.object",
                "evm.deployedBytecode.object",
                "evm.deployedBytecode.immutableReferences",
                "storageLayout",
            ]
        }
        for name, source in CONTRACTS.items()
    },
}

_IMPORT = re.compile(r"""^\s*import\b[^"';]*["']([^"']+)["']\s*;""", re.MULTILINE)


class CannotCompile(Exception):
    """The sources or the compiler are not what they should be; the text says which."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """A `solc` executable and where it came from."""

    executable: Path
    origin: str


def install_packages() -> None:
    """Have the npm packages of `package-lock.json`, OpenZeppelin's sources and the compiler, in `node_modules`.

    Raises CannotCompile where npm is missing or fails.
    """
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    if all(_installed_version(name) == version for name, version in wanted.items()):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise CannotCompile(f"npm is needed to fetch {', '.join(wanted)} and was not found")
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotCompile(f"npm ci failed:\n{done.stderr}")


def find_compiler() -> Compiler:
    """The compiler of SOLC_VERSION: native if py-solc-x has it or can fetch it, else the npm package."""
    try:
        if SOLC_VERSION not in {str(version) for version in solcx.get_installed_solc_versions()}:
            solcx.install_solc(SOLC_VERSION)
        return Compiler(Path(get_executable(SOLC_VERSION)), "native")
    except (OSError, SolcInstallationError):  # no network, or nothing to be had for this machine
        return Compiler(FRONT, "npm")


def read_sources() -> dict[str, str]:
    """Every source that the contracts import, by its import name, text as it stands in the file.

    Raises CannotCompile for an import that leads nowhere.
    """
    sources: dict[str, str] = {}
    waiting = list(CONTRACTS.values())
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        text = _read_source(name)
        sources[name] = text
        waiting.extend(_resolve(imported, name) for imported in _IMPORT.findall(text))
    return dict(sorted(sources.items()))


def compile_contracts(compiler: Compiler) -> dict[str, str]:
    """The text of each artifact, by contract name.

    Raises CannotCompile for errors and for warnings alike.
    """
    sources = read_sources()
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": SETTINGS,
    }
    try:
        output = solcx.compile_standard(request, solc_binary=compiler.executable)
    except SolcError as error:
        raise CannotCompile(_complaints(error.error_dict) or error.message) from error
    if complaints := _complaints(output.get("errors")):
        raise CannotCompile(complaints)
    return {
        name: json.dumps(_artifact(name, source, output["contracts"][source][name], sources), indent=1) + "\n"
        for name, source in CONTRACTS.items()
    }


def differences(artifacts: dict[str, str]) -> list[str]:
    """What the committed artifacts say otherwise than `artifacts`, one line each."""
    found = []
    for name, text in artifacts.items():
        path = ARTIFACTS / f"{name}.json"
        if not path.exists():
            found.append(f"{name}: no artifact is committed")
            continue
        committed, fresh = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
        found += [
            f"{name}: {key} differs"
            for key in sorted(committed.keys() | fresh.keys())
            if committed.get(key) != fresh.get(key)
        ]
    left_over = sorted({path.stem for path in ARTIFACTS.glob("*.json")} - artifacts.keys())
    return found + [f"{name}: no source makes this artifact" for name in left_over]


def main(arguments: list[str] | None = None) -> int:
    """Write the artifacts, or say with --check whether they are what the sources give."""
    parser = argparse.ArgumentParser(prog="python -m contracts.compile", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 naming what differs")
    options = parser.parse_args(arguments)
    try:
        install_packages()
        compiler = find_compiler()
        artifacts = compile_contracts(compiler)
    except CannotCompile as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.check:
        found = differences(artifacts)
        verdict = f"{len(artifacts)} artifacts are what solc {SOLC_VERSION} ({compiler.origin}) makes of the sources"
        sys.stdout.writelines(f"{line}\n" for line in found or [verdict])
        return 1 if found else 0
    ARTIFACTS.mkdir(exist_ok=True)
    for name, text in artifacts.items():
        (ARTIFACTS / f"{name}.json").write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {', '.join(artifacts)} with solc {SOLC_VERSION} ({compiler.origin})\n")
    return 0


def _complaints(errors: Any) -> str:
    return "\n".join(error["formattedMessage"] for error in errors or [])


def _artifact(name: str, source: str, compiled: dict[str, Any], sources: dict[str, str]) -> dict[str, Any]:
    deployed = compiled["evm"]["deployedBytecode"]
    spans = [span for spans in deployed["immutableReferences"].values() for span in spans]
    return {
        "contractName": name,
        "sourceName": source,
        "compiler": {
            "name": "solc",
            "version": SOLC_VERSION,
            "settings": {key: value for key, value in SETTINGS.items() if key != "outputSelection"},
        },
        "sources": {
            imported: "0x" + sha256(sources[imported].encode()).hexdigest() for imported in _closure(source, sources)
        },
        "abi": compiled["abi"],
        "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
        "runtimeBytecode": "0x" + deployed["object"],
        "immutableReferences": sorted(spans, key=lambda span: (span["start"], span["length"])),
        "storageLayout": _storage_layout(compiled["storageLayout"]),
    }


def _storage_layout(layout: dict[str, Any]) -> list[dict[str, Any]]:
    """Variables by slot and offset, with the members of the structs they hold; without the compiler's node numbers."""
    types = layout["types"] or {}

    def described(type_name: str) -> dict[str, Any]:
        kind = types[type_name]
        found: dict[str, Any] = {"type": kind["label"], "bytes": int(kind["numberOfBytes"])}
        if "members" in kind:
            found["members"] = [variable(member) for member in kind["members"]]
        for part in ("key", "value", "base"):
            if part in kind:
                found[part] = described(kind[part])
        return found

    def variable(entry: dict[str, Any]) -> dict[str, Any]:
        place = {"slot": int(entry["slot"]), "offset": entry["offset"]}
        return {"name": entry["label"], **place, **described(entry["type"])}

    return [variable(entry) for entry in layout["storage"]]


def _closure(source: str, sources: dict[str, str]) -> list[str]:
    reached: set[str] = set()
    waiting = [source]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(_resolve(imported, name) for imported in _IMPORT.findall(sources[name]))
    return sorted(reached)


def _read_source(name: str) -> str:
    path = HERE.parent / name if name.startswith("contracts/") else NODE_MODULES / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CannotCompile(f"no source for {name!r}: {error.strerror}") from error


def _resolve(imported: str, importer: str) -> str:
    """The name of the source that `importer` imports as `imported`."""
    if not imported.startswith("."):
        return imported
    parts: list[str] = []
    for part in (PurePosixPath(importer).parent / imported).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _installed_version(package: str) -> str | None:
    try:
        content = json.loads((NODE_MODULES / package / "package.json").read_text(encoding="utf-8"))
    except OSError:
        return None
    version = content.get("version")
    return version if isinstance(version, str) else None


if __name__ == "__main__":
    sys.exit(main())
