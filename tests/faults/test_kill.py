"""Kill it anywhere, twice: afterwards nothing acknowledged is lost and nothing is anchored twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def sweep(root: Path, *arguments: str) -> dict[str, object]:
    """What the sweep found, run in a process of its own because it forks."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.faults.sweep", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.stdout, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_ledger_killed_at_any_durable_step_is_whole_again_when_it_is_opened(root: Path) -> None:
    # Every fourth step: those between are for `make test-all`.
    found = sweep(root, "--stride", "4")
    assert found["wrong"] == []
    assert isinstance(found["lives"], int)
    assert found["lives"] > 15


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_ledger_killed_again_during_each_recovery_is_whole_all_the_same(root: Path) -> None:
    found = sweep(root, "--depth", "2", "--every", "8")
    assert found["wrong"] == []
    assert isinstance(found["lives"], int)
    assert found["lives"] > 150
