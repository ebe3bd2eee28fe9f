"""What every test may ask for, and the rule on skipping: a developer is told, continuous integration fails."""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _pytest.terminal import TerminalReporter

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

# Two shared cores make single examples slow now and then: time is judged by the benchmarks, not by a deadline here.
settings.register_profile("developer", deadline=None)
settings.register_profile(
    "ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if IN_CI else "developer")

left_out = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the published vectors, beside the project or at TALLYSTICK_SHARED; skips where it is absent."""
    folder = Path(os.environ.get("TALLYSTICK_SHARED", ROOT.parent / "shared")).resolve()
    if not (folder / "vectors").is_dir():
        pytest.skip(f"no vectors in {folder}: set TALLYSTICK_SHARED to the folder that holds `vectors`")
    return folder


def pytest_configure(config: pytest.Config) -> None:
    config.stash[left_out] = Counter()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.config.option.markexpr == "not full" and item.get_closest_marker("full"):
            item.config.stash[left_out][item.nodeid.split("::")[0]] += 1


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every later search for garbage, and search less often: it was a
    sixth of the whole time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 10)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker left out; each of them was given the same tests to choose from."""
    told: dict[str, int] = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[left_out] = Counter(told)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a run green but for skips red, where CI is set: what CI skips, nobody has tested."""
    if hasattr(session.config, "workeroutput"):  # a worker of pytest-xdist: whoever started it reports
        absent = session.config.stash[left_out]
        session.config.workeroutput["left_out"] = dict(absent)
        return
    if IN_CI and skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Say at the end what was left out and why; each skip's own reason stands in pytest's summary (-ra)."""
    absent = config.stash[left_out]
    if absent:
        terminalreporter.section(f"left to `make test-all` ({absent.total()} tests need node, npm or time)")
        for path, count in sorted(absent.items()):
            terminalreporter.write_line(f"{count:5d}  {path}")
    count = skips(config)
    if IN_CI and count:
        terminalreporter.write_line(f"CI is set, so {count} skipped tests make this run fail.", red=True, bold=True)


def skips(config: pytest.Config) -> int:
    """How many tests or modules were skipped in this run."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", ())) if reporter else 0
