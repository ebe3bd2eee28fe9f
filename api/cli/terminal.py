"""What every command uses to speak to a person or a program: results on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

# A file or a pipe has no width: lines are as long as they are.
out = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

OK, REFUSED, USAGE, FAULT, INTERRUPTED = 0, 1, 2, 70, 130


class WrongUsage(Exception):
    """The command was asked for something it cannot begin with; the message says what to do instead."""


def plain(text: str) -> str:
    """`text` from a file or from the network, without what could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


def say(text: str = "", style: str | None = None) -> None:
    """A line of the answer."""
    out.print(Text(plain(text), style or ""))


def note(text: str, style: str | None = None) -> None:
    """A line beside the answer: progress, hints."""
    err.print(Text(plain(text), style or ""))


def complain(text: str) -> None:
    """A line about what went wrong."""
    err.print(Text.assemble(("tallystick: ", "bold red"), plain(text)))


def say_json(value: Any) -> None:
    """The answer for a program: one JSON document."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def refuse(text: str) -> NoReturn:
    """End with the exit code of a refusal."""
    complain(text)
    raise typer.Exit(REFUSED)


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Any]:
    """A progress bar on stderr while somebody watches; `advance(n)` on what it yields."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        yield _Bar(progress, progress.add_task(what, total=total))


class _Bar:
    def __init__(self, progress: Any, task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def name(self, what: str) -> None:
        self._progress.update(self._task, description=what)

    def reach(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table without lines around it."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        grid.add_column(heading, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(plain(cell)) for cell in row))
    out.print(grid, soft_wrap=False)
