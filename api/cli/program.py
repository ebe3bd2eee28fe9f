"""All commands under one name, and what becomes of their errors."""

import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Annotated

import typer
from typer.main import get_command

from api.cli import (
    custody,
    disruptions,
    dock,
    evidence,
    facts,
    gateway,
    grants,
    impact,
    notices,
    operation,
    paper,
    plans,
    registry,
    stress,
    trails,
    votes,
)
from api.cli.terminal import FAULT, INTERRUPTED, OK, REFUSED, USAGE, WrongUsage, complain
from ledger_service import __version__
from ledger_service.errors import LedgerError

app = typer.Typer(
    name="tallystick",
    help="A supply-chain ledger whose every handoff anyone can check offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tallystick {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Exit codes: 0 all is well; 1 refused, not proven or not whole; 2 the command was used wrongly; 3 proven, and
    the record of custody is broken.
    """
    del version


evidence.add_to(app)
registry.add_to(gateway.add_to(app))
of_custody = custody.add_to(app)
evidence.add_to_custody(of_custody)
trails.add_to(of_custody)
dock.add_to(of_custody)
votes.add_to(app)
notices.add_to(app)
grants.add_to(app)
operation.add_to(app)
paper.add_to(app)
of_risk = impact.add_to(app)
disruptions.add_to(of_risk)
plans.add_to(of_risk)
stress.add_to(of_risk)
facts.add_to(of_risk)


# The tree of a hundred commands takes longer to make than most of them to run.
_command = cache(get_command)


def run(arguments: Sequence[str]) -> int:
    """The exit code of the command in `arguments`; whatever is wrong is said in a sentence, never in a stack trace."""
    try:
        _command(app)(list(arguments), prog_name="tallystick", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else REFUSED if end.code else 0
    except WrongUsage as problem:
        complain(str(problem))
        return USAGE
    except LedgerError as problem:
        complain(str(problem))
        return REFUSED
    except BrokenPipeError:
        # The reader of our output has left; so do we, without Python's own complaint at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except OSError as problem:
        name = f"{problem.filename}: " if problem.filename else ""
        complain(f"{name}{problem.strerror or problem}")
        return USAGE
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except Exception as problem:
        if os.environ.get("TALLYSTICK_TRACE"):
            raise
        complain(f"this is a fault of the program: {type(problem).__name__}: {problem}")
        complain("please report it with what TALLYSTICK_TRACE=1 prints")
        return FAULT
    return OK
