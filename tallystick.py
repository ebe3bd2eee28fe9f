"""Start Tallystick on a bare machine: `python3 tallystick.py demo`, or `python3 -m tallystick demo`.

Needs Python 3.11 to 3.13 and nothing else. The first start builds `.venv` beside this file from the hashes in
`requirements.lock`; later starts find it ready and hand over at once. Once built, `.venv/bin/tallystick` is the same
program. Two options come before the command and are ours: `--dev` adds the development tools (`requirements-dev.lock`),
`--setup` stops once `.venv` is ready.

Why this file exists, and why it installs the project with a .pth file: docs/decisions/0005-start-without-make-or-uv.md.
This file imports the standard library alone, and its syntax is old enough for an old Python to read it and be told.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST, TOO_NEW = (3, 11), (3, 14)

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
# Says what `.venv` was built from. While a build is under way it says so, and a build that died is thrown away.
STAMP = VENV / "tallystick.json"
BUILDING = {"state": "building"}

LOCKS = {"runtime": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}


class CannotStart(Exception):
    """What stands in the way, in words that say what to do about it."""


def main(arguments: list[str]) -> NoReturn:
    """Prepare `.venv`, then become the program with the remaining `arguments`."""
    dev = setup_only = False
    while arguments and arguments[0] in ("--dev", "--setup"):
        dev |= arguments[0] == "--dev"
        setup_only |= arguments[0] == "--setup"
        arguments = arguments[1:]
    try:
        prepare("dev" if dev else "runtime")
    except CannotStart as problem:
        sys.exit(f"tallystick: {problem}")
    except KeyboardInterrupt:
        sys.exit("\ntallystick: interrupted; the next start begins the set-up again")
    if setup_only:
        sys.exit(0)
    sys.stdout.flush()
    # -P: a folder called `api` where the user happens to stand must not be taken for ours.
    os.execv(VENV_PYTHON, [str(VENV_PYTHON), "-P", "-m", "api.cli", *arguments])


def prepare(level: str) -> None:
    """Make `.venv` hold what the lock of `level` names, unless it does already.

    Safe to call from several processes at once and to kill at any point: one builds, the others wait, and a build
    that did not finish is begun again.
    """
    if is_ready(level):
        return
    check_python()
    with one_at_a_time() as lock:
        if is_ready(level):
            return  # another process built it while this one waited
        stamp = read_stamp()
        if VENV.exists() and (stamp == BUILDING or (stamp and not is_current(stamp, "runtime"))):
            shutil.rmtree(VENV)
        if not VENV_PYTHON.exists() or not stamp:
            create_environment(lock)
        # An environment that only lacks the development tools is added to where it stands: it may be in use.
        install(level, lock)
        link_project()
        write_stamp({"state": "ready", **fingerprint(level)})
    print("tallystick: .venv is ready", file=sys.stderr)


def is_ready(level: str) -> bool:
    """Whether `.venv` is finished and was built from today's lock of `level`, by this Python, in this place."""
    return VENV_PYTHON.exists() and is_current(read_stamp(), level)


def is_current(stamp: dict[str, str], level: str) -> bool:
    """Whether `stamp` was written for the locks, the Python and the place of now; `dev` contains `runtime`."""
    wanted = fingerprint(level)
    return stamp.get("state") == "ready" and all(stamp.get(name) == value for name, value in wanted.items())


def fingerprint(level: str) -> dict[str, str]:
    """What an environment of `level` depends on: lock contents, Python version and the folder of the project."""
    locks = ("runtime", "dev") if level == "dev" else ("runtime",)
    facts = {name: hashlib.sha256(LOCKS[name].read_bytes()).hexdigest() for name in locks}
    return {**facts, "python": "{}.{}".format(*sys.version_info[:2]), "root": str(ROOT)}


def read_stamp() -> dict[str, str]:
    """The stamp of `.venv`, or nothing where there is none that can be read."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp: dict[str, str]) -> None:
    """Replace the stamp in one step, so that a reader sees the old one or the new one."""
    fresh = STAMP.with_name(STAMP.name + ".new")
    fresh.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    fresh.replace(STAMP)


@contextmanager
def one_at_a_time() -> Iterator[int]:
    """The file descriptor of the set-up lock, held; the kernel gives it back when the last process that has it ends.

    It goes to child processes too: a `pip` that outlives its killed parent must not write into the next build.
    """
    try:
        import fcntl
    except ImportError:
        raise CannotStart("Linux or macOS is needed; on Windows use WSL") from None
    with open(ROOT / ".venv.lock", "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("tallystick: another start is building .venv; waiting for it", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


def check_python() -> None:
    """Raise CannotStart unless this Python can build a virtual environment with pip in it."""
    have = "{}.{}.{}".format(*sys.version_info[:3])
    try:
        import ensurepip  # noqa: F401  (asked only whether it is there)
        import venv  # noqa: F401
    except ImportError:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        raise CannotStart(
            f"this Python ({have}, {sys.executable}) cannot make virtual environments: "
            "its venv or ensurepip module is missing.\n"
            f"On Debian and Ubuntu: apt install {package}   (or python3-venv)"
        ) from None


def create_environment(lock: int) -> None:
    """A new virtual environment at `.venv`, marked as unfinished."""
    print("tallystick: making .venv with Python {}.{}.{}".format(*sys.version_info[:3]), file=sys.stderr)
    if not VENV.exists():
        VENV.mkdir()
        write_stamp(BUILDING)
    run([sys.executable, "-m", "venv", str(VENV)], "the virtual environment could not be made", lock)


def install(level: str, lock: int) -> None:
    """Install the lock of `level`: wheels alone, each held to its hash."""
    names = LOCKS[level]
    total = sum(1 for line in names.read_text(encoding="utf-8").splitlines() if "==" in line)
    print(f"tallystick: installing up to {total} packages from {names.name}", file=sys.stderr)
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:", "--no-deps"]
    run(
        [*command, "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "-r", str(names)],
        f"the packages of {names.name} could not be installed",
        lock,
        environment={**os.environ, "PIP_USER": "0", "PIP_TARGET": "", "PIP_PREFIX": "", "PYTHONPATH": ""},
        counted="Collecting ",
        total=total,
    )


def link_project() -> None:
    """Make the project's packages importable from `.venv` and put `tallystick` beside its Python.

    A .pth file and a two-line script do what an editable install does, without fetching a build system.
    """
    for site_packages in sorted(VENV.glob("lib/python3.*/site-packages")):
        (site_packages / "tallystick-source.pth").write_text(str(ROOT) + "\n", encoding="utf-8")
    script = VENV / "bin" / "tallystick"
    script.write_text(f'#!/bin/sh\nexec "{VENV_PYTHON}" -P -m api.cli "$@"\n', encoding="utf-8")
    script.chmod(0o755)


def run(
    command: list[str],
    what_failed: str,
    lock: int,
    environment: dict[str, str] | None = None,
    counted: str = "",
    total: int = 0,
) -> None:
    """Run `command`; where it fails, raise CannotStart with the likely reason and the end of what it said.

    The set-up lock is handed on. Lines that begin with `counted` are shown as progress towards `total` where a person
    is watching.
    """
    said: list[str] = []
    seen = 0
    watched = bool(counted) and sys.stderr.isatty()
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",  # what pip quotes need not be text
        pass_fds=(lock,),
    ) as process:
        for line in process.stdout or ():
            said.append(line.rstrip())
            if watched and line.startswith(counted):
                seen += 1
                name = line[len(counted) :].split("==")[0].strip()
                print(f"\r  {seen:3d} of {total}  {name:<40.40}", end="", file=sys.stderr, flush=True)
            elif watched and line.startswith("Installing collected"):
                print("\r  unpacking {:<50}".format(""), end="", file=sys.stderr, flush=True)
    if watched:
        print("\r{:<60}\r".format(""), end="", file=sys.stderr, flush=True)
    if process.returncode:
        raise CannotStart("{}: {}\n\n{}".format(what_failed, likely_reason("\n".join(said)), "\n".join(said[-15:])))


REASONS = (
    ("THESE PACKAGES DO NOT MATCH THE HASHES", "a downloaded package is not the one that was locked; nothing was kept"),
    ("Temporary failure in name resolution", "no network: the first start needs one, later starts do not"),
    ("Name or service not known", "no network: the first start needs one, later starts do not"),
    ("nodename nor servname", "no network: the first start needs one, later starts do not"),
    ("Network is unreachable", "no network: the first start needs one, later starts do not"),
    ("NewConnectionError", "the package index does not answer: is there a network, or a proxy to be set?"),
    ("ProxyError", "the proxy refuses: see HTTPS_PROXY and pip's configuration"),
    ("CERTIFICATE_VERIFY_FAILED", "the package index's certificate is not trusted here: see pip's `cert` setting"),
    ("No space left on device", "the disk is full: about 400 MB are needed"),
    ("(from versions: none)", "the package index does not answer, or it has no ready-made wheel for this machine"),
    ("ensurepip", "ensurepip failed; on Debian and Ubuntu: apt install python3-venv"),
)


def likely_reason(output: str) -> str:
    """The first known reason whose mark is in `output`."""
    return next((reason for mark, reason in REASONS if mark in output), "the last lines say why")


def suitable_python() -> str | None:
    """The path of another Python on this machine that Tallystick can run on, newest first; None where there is none."""
    for minor in range(TOO_NEW[1] - 1, OLDEST[1] - 1, -1):
        candidate = shutil.which(f"python3.{minor}")
        # A shim may stand on the path for a version that is not there: ask it.
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def hand_over_to_a_suitable_python() -> None:
    """Start again under a Python of our range where this one is outside it, or under the one that `.venv` came from."""
    if OLDEST <= sys.version_info[:2] < TOO_NEW:
        if Path(sys.prefix).resolve() != VENV or is_ready("runtime"):
            return
        # Running from `.venv` itself, which is out of date: its builder must stand outside it.
        other: str | None = getattr(sys, "_base_executable", None)
    else:
        other = suitable_python()
    if other is None or Path(other) == Path(sys.executable):
        sys.exit(
            "tallystick: Python 3.11, 3.12 or 3.13 is needed, and this is {}.{}.{} ({}).\n"
            "Start with one of those, for example: python3.12 tallystick.py demo".format(
                *sys.version_info[:3], sys.executable
            )
        )
    os.execv(other, [other, str(ROOT / "tallystick.py"), *sys.argv[1:]])


if __name__ == "__main__":
    hand_over_to_a_suitable_python()
    main(sys.argv[1:])
