"""`tallystick-verify` as an auditor runs it: one file, Python alone, no network, and an answer soon."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verify.conftest import Files
from tests.verify.second import FILE

OLDEST = (3, 9)
NEWER = {"match_statement": ast.Match}


def process(*arguments: str, cwd: Path, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The file under an interpreter without site-packages, environment or the user's folder."""
    command = [*prefix, sys.executable, "-I", "-S", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_it_imports_the_standard_library_alone() -> None:
    names = set()
    for node in ast.walk(ast.parse(FILE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(str(node.module).partition(".")[0])
    assert names <= sys.stdlib_module_names
    assert not names & {"socket", "ssl", "http", "subprocess", "ctypes", "importlib", "os", "asyncio"}


def test_its_words_are_those_of_an_old_python() -> None:
    ast.parse(FILE.read_text(encoding="utf-8"), feature_version=OLDEST)


def test_it_runs_alone_and_says_how_far_a_bundle_holds(logs: Files) -> None:
    done = process(str(FILE), "bundle.json", "--trust", logs.trust("bundle").name, cwd=logs.folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in ("It holds: 100 statements", "strength        witnessed", "none missing", "does not prove"):
        assert words in done.stdout


def test_it_tells_a_record_with_findings_first(custody: Files) -> None:
    done = process(str(FILE), "story unexplained.json", "--trust", "story.trust.json", cwd=custody.folder)
    assert done.returncode == 3, done.stderr
    places = [
        done.stdout.index(words)
        for words in ("4 findings", "double possession (needs explaining)", "The record is broken.", "It holds:")
    ]
    assert places == sorted(places)


def test_it_opens_no_socket_and_starts_no_process(logs: Files) -> None:
    """Held by Python's own audit events (PEP 578)."""
    watch = (
        "import runpy, sys\n"
        "asked = ('socket.', 'subprocess.', 'os.system', 'os.exec', 'os.fork', 'urllib.', 'ctypes.')\n"
        "sys.addaudithook(lambda event, _: sys.exit(f'asked for {event}') if event.startswith(asked) else None)\n"
        f"sys.argv = [{str(FILE)!r}, 'bundle.json', '--trust', {logs.trust('bundle').name!r}]\n"
        f"runpy.run_path({str(FILE)!r}, run_name='__main__')\n"
    )
    done = process("-c", watch, cwd=logs.folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.full
def test_it_works_with_the_network_cut(logs: Files) -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not here, so the network cannot be cut")
    prefix = (unshare, "--net", "--map-root-user")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody cut the network")
    arguments = (str(FILE), "bundle.json", "--trust", logs.trust("bundle").name)
    assert process(*arguments, cwd=logs.folder, prefix=prefix).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required"),
        (["absent.json", "--trust", "TRUST"], "No such file"),
        (["plain.json", "--trust", "absent.json"], "No such file"),
        (["plain.json", "--trust", "plain.json"], "is not a trust file"),
        (["plain.json", "--trust", "TRUST", "--min-witnesses", "-1"], "counts from 0"),
        (["plain.json", "--trust", "TRUST", "--min-witnesses", "x"], "invalid"),
    ],
)
def test_wrong_usage_exits_with_2(logs: Files, arguments: list[str], said: str) -> None:
    names = {"TRUST": logs.trust("plain").name}
    done = process(str(FILE), *(names.get(one, one) for one in arguments), cwd=logs.folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_it_reads_moves_no_cursor(logs: Files) -> None:
    path = logs.bent("plain", b'{"format": "tallystick-bundle/1\\u001b[2J"}')
    done = process(str(FILE), path.name, "--trust", logs.trust("plain").name, cwd=logs.folder)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr


def test_a_bundle_comes_through_standard_input(logs: Files) -> None:
    command = [sys.executable, "-I", "-S", str(FILE), "-", "--trust", str(logs.trust("plain")), "--json"]
    with logs.bundle("plain").open("rb") as bundle:
        done = subprocess.run(command, stdin=bundle, capture_output=True, check=False, timeout=60)
    assert json.loads(done.stdout)["verdict"] == "holds"
