"""The start on a bare machine: `.venv` is whole or begun again, whoever is killed and however many start at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tallystick


@pytest.fixture
def bare(tmp_path: Path, root: Path) -> Path:
    """A folder like a fresh clone, whose locks name nothing to fetch, with a command line that says it was reached."""
    shutil.copy(root / "tallystick.py", tmp_path)
    for name in ("requirements.lock", "requirements-dev.lock"):
        (tmp_path / name).write_text("# nothing to install\n", encoding="utf-8")
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "__init__.py").touch()
    (tmp_path / "api" / "cli.py").write_text("import sys; print('reached with', *sys.argv[1:])\n", encoding="utf-8")
    return tmp_path


def start(bare: Path, *arguments: str, python: str = sys.executable) -> subprocess.Popen[str]:
    command = [python, str(bare / "tallystick.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=bare.parent)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.full
def test_the_first_start_builds_and_the_second_hands_over_at_once(bare: Path) -> None:
    code, out, err = finish(start(bare, "demo", "--once"))
    assert (code, out) == (0, "reached with demo --once\n"), err
    assert "making .venv" in err
    assert finish(start(bare, "verify")) == (0, "reached with verify\n", "")
    script = subprocess.run([bare / ".venv/bin/tallystick", "check"], capture_output=True, text=True, check=True)
    assert script.stdout == "reached with check\n"


@pytest.mark.full
def test_several_starts_at_once_build_one_environment(bare: Path) -> None:
    outcomes = [finish(process) for process in [start(bare, "check") for _ in range(3)]]
    assert [code for code, _, _ in outcomes] == [0, 0, 0], outcomes
    assert sum("making .venv" in err for _, _, err in outcomes) == 1


@pytest.mark.full
def test_a_build_that_was_killed_is_begun_again(bare: Path) -> None:
    process = start(bare, "--setup")
    stamp = bare / ".venv" / "tallystick.json"
    for _ in range(500):
        if stamp.exists():
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    finish(process)
    assert json.loads(stamp.read_text(encoding="utf-8")) == {"state": "building"}
    (bare / ".venv" / "half-written").touch()

    assert finish(start(bare, "check"))[:2] == (0, "reached with check\n")
    assert not (bare / ".venv" / "half-written").exists()


@pytest.mark.full
def test_a_changed_lock_builds_anew_and_the_development_tools_are_added_in_place(bare: Path) -> None:
    assert finish(start(bare, "--setup"))[0] == 0
    mark = bare / ".venv" / "mark"
    mark.touch()
    assert finish(start(bare, "--setup", "--dev"))[0] == 0
    assert mark.exists()
    (bare / "requirements.lock").write_text("# still nothing\n", encoding="utf-8")
    assert finish(start(bare, "--setup"))[0] == 0
    assert not mark.exists()


@pytest.mark.full
def test_an_environment_that_somebody_else_made_is_used_and_not_deleted(bare: Path) -> None:
    (bare / ".venv").mkdir()
    (bare / ".venv" / "theirs").touch()
    assert finish(start(bare, "check"))[0] == 0
    assert (bare / ".venv" / "theirs").exists()


@pytest.mark.full
def test_a_package_that_is_not_the_locked_one_is_refused(bare: Path) -> None:
    wheel = bare / "thing-1.0-py3-none-any.whl"
    wheel.write_bytes(b"not what was locked")
    (bare / "requirements.lock").write_text(f"thing @ {wheel.as_uri()} --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    code, _, err = finish(start(bare, "check"))
    assert code == 1
    assert "is not the one that was locked" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("NewConnectionError: [Errno -3] Temporary failure in name resolution", "no network"),
        ("Could not find a version that satisfies the requirement rlp==5.0.0 (from versions: none)", "does not answer"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ProxyError('Cannot connect to proxy.')", "proxy"),
        ("something nobody has seen", "the last lines say why"),
    ],
)
def test_the_likely_reason_is_named(output: str, reason: str) -> None:
    assert reason in tallystick.likely_reason(output)
