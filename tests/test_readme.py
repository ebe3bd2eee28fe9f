"""What the README tells a newcomer to type is typed here."""

import os
import re
import subprocess
from pathlib import Path

import pytest


def commands(root: Path) -> list[str]:
    """The README's commands, in order."""
    return re.findall(r"^    (\S.*)$", (root / "README.md").read_text(), re.MULTILINE)


def test_the_readme_names_the_commands_that_are_run_here(root: Path) -> None:
    assert commands(root) == [
        "make demo",
        "make test",
        'make demo ARGS="--once --out out"',
        ".venv/bin/tallystick verify out/bundle.json --trust out/trust.json --min-witnesses 2",
        "python3 verify/tallystick-verify.py out/bundle.json --trust out/trust.json",
    ]


@pytest.mark.full
@pytest.mark.timeout(600)
def test_the_demo_and_what_it_left_are_as_the_readme_says(root: Path, tmp_path: Path) -> None:
    """`make test` is what runs this; `make demo` without --once differs by staying up, which tests/demo holds."""
    said = []
    for command in commands(root)[2:]:
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace(" out", f" {tmp_path}/out")],
            cwd=root,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        said.append(done.stdout)
    for verdict in said[1:]:
        assert "It holds" in verdict
        assert "The record is whole with reservations." in verdict
        assert "witness.havelmark.example.org, witness.duero.example.org" in verdict
