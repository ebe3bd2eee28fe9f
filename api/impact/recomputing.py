"""A report made again from its view, by whoever has both, and held to the one that was signed. Offline and pure."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from risk.assessment import assess
from risk.errors import MalformedFact
from risk.reading import parse
from risk.sharing import View, canonical

MAX_DAYS = 3650
_ABSENT = object()


def first_difference(view: bytes, report: bytes) -> str | None:
    """The first place where `report` is not what `view` gives, in words; None where they are the same to the byte.

    Both are JSON in any layout. Raises MalformedFact for what is no view or no report.
    """
    said = parse(report)
    if not isinstance(said, dict):
        raise MalformedFact("a report is an object", "report")
    mine = View.read(view)
    said = {name: value for name, value in said.items() if name != "to"}
    if said.get("view") != mine.digest:
        return f"/view: it was made of the view {str(said.get('view'))[:64]}, this one is {mine.digest}"
    days = said.get("days")
    if type(days) is not int or not 1 <= days <= MAX_DAYS:
        raise MalformedFact(f"a report says for how many days it looks ahead, 1 to {MAX_DAYS}", "report/days")
    made = assess(mine, days=days)
    return None if made.text == canonical(said) else _differs(dict(made.content), said, "")


def _differs(made: Any, said: Any, where: str) -> str:
    if isinstance(made, Mapping) and isinstance(said, Mapping):
        for name in sorted(made.keys() | said.keys()):
            one, other = made.get(name, _ABSENT), said.get(name, _ABSENT)
            if one is _ABSENT or other is _ABSENT or canonical(one) != canonical(other):
                return _differs(one, other, f"{where}/{name}")
    if isinstance(made, list) and isinstance(said, list):
        for at, (one, other) in enumerate(zip_longest(made, said, fillvalue=_ABSENT)):
            if one is _ABSENT or other is _ABSENT or canonical(one) != canonical(other):
                return _differs(one, other, f"{where}/{at}")
    return f"{where}: the view gives {_shown(made)}, the report says {_shown(said)}"


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else canonical(value).decode()[:80]
