"""A member's risk: what disruptions do to it, and what it and others can do about that (`risk`)."""

import typer


def add_to(app: typer.Typer) -> typer.Typer:
    """Add the group `risk`, on which other modules hang their commands too."""
    group = typer.Typer(
        help="What disruptions do to you, by when, how sure that is, and what can be done.", no_args_is_help=True
    )
    group.callback()(_top)
    app.add_typer(group, name="risk")
    return group


def _top() -> None:
    pass  # a group without commands of its own needs one
