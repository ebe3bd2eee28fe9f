"""The house stands as its plan says: layers, decisions, words, and no trace of the machine it was written on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import ledger_service


def tracked_texts(root: Path) -> dict[str, str]:
    """Every text file of the project by its path, locks and vendored texts apart."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    texts = {}
    for name in filter(None, listed.split("\0")):
        path = root / name
        if path.suffix in {".lock", ".json"} or not path.is_file():
            continue
        data = path.read_bytes()
        if b"\0" not in data:  # else a picture, a workbook, a page of paper
            texts[name] = data.decode()
    return texts


def test_the_import_contracts_hold(root: Path) -> None:
    lint_imports = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"]
    outcome = subprocess.run(
        [*lint_imports, "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(root)},
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_no_file_names_a_place_on_somebodys_machine(root: Path) -> None:
    somewhere = re.compile(r"(?<![\w.~$}/-])/(home|Users|work|mnt|srv|opt)/\w")
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in tracked_texts(root).items()
        for number, line in enumerate(text.splitlines(), 1)
        if somewhere.search(line)
    ]
    assert not found, "\n".join(found)


def test_decisions_are_numbered_without_gaps(root: Path) -> None:
    decisions = sorted((root / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    titles = {path.name: path.read_text(encoding="utf-8").split("\n")[0] for path in decisions}
    assert [name for name, title in titles.items() if not title.startswith(f"# {name[:4]} ")] == []


def glossary_words(root: Path) -> list[str]:
    text = (root / "docs" / "glossary.md").read_text(encoding="utf-8")
    return re.findall(r"^\*\*(.+?)\*\*", text, flags=re.MULTILINE)


def test_the_glossary_holds_each_word_once(root: Path) -> None:
    words = Counter(word.lower() for word in glossary_words(root))
    assert words
    assert [word for word, count in words.items() if count > 1] == []


def test_the_glossary_names_a_source_for_each_word(root: Path) -> None:
    text = (root / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = re.split(r"^(?=\*\*)", text, flags=re.MULTILINE)[1:]
    assert [entry.split("\n")[0] for entry in entries if not re.search(r"Source:\s\S", entry)] == []


def test_commands_of_the_readme_and_the_guides_are_targets_of_the_makefile(root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    pages = [path for name in ("README.md", "CONTRIBUTING.md") if (path := root / name).exists()]
    named = {
        target
        for page in pages
        for target in re.findall(r"(?:^|`|&& )make ([a-z-]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert named
    assert named <= targets


def test_links_between_pages_lead_somewhere(root: Path) -> None:
    pages = {name: text for name, text in tracked_texts(root).items() if name.endswith(".md")}
    links = [(name, link) for name, text in pages.items() for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)]
    inward = [(name, link) for name, link in links if "://" not in link]
    assert [(name, link) for name, link in inward if not (root / name).parent.joinpath(link).exists()] == []


def test_the_changelog_knows_the_version(root: Path) -> None:
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, flags=re.MULTILINE)
    assert "## [Unreleased]" in text
    assert not released or released[0] == ledger_service.__version__


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_each_lock_names_every_dependency_with_hashes_and_no_address(root: Path, lock: str) -> None:
    text = (root / lock).read_text(encoding="utf-8")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    if lock == "requirements-dev.lock":
        wanted += project["optional-dependencies"]["dev"]
    pinned = set(re.findall(r"^([a-z0-9-]+)==", text, flags=re.MULTILINE))
    assert {re.split(r"[<>=;\[ ]", line)[0] for line in wanted} <= pinned
    assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE) if entry)
    assert "://" not in text
    assert "--index" not in text


def imported(source: str) -> Iterator[str]:
    """The top-level names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_what_is_imported_is_declared(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime = {re.split(r"[<>=;\[ ]", line)[0] for line in project["dependencies"]}
    development = {re.split(r"[<>=;\[ ]", line)[0] for line in project["optional-dependencies"]["dev"]} | runtime
    providers = packages_distributions()
    undeclared = set()
    for name, text in tracked_texts(root).items():
        if not name.endswith(".py"):
            continue
        declared = runtime if name.startswith(("ledger_service/", "risk/", "api/")) else development
        for module in imported(text):
            distributions = {re.sub(r"[._]", "-", found).lower() for found in providers.get(module, ())}
            if distributions and not distributions & declared:
                undeclared.add(f"{name}: {module} of {', '.join(sorted(distributions))}")
    assert undeclared == set()


def test_the_development_lock_holds_the_runtime_lock_unchanged(root: Path) -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==\S+", (root / name).read_text(encoding="utf-8"), flags=re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
