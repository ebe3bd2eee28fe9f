"""A report made again from its view, by whoever has both, and held to the one that was signed. Offline and pure.

Of a stress test the question is wanted too: most reports have it in them, of the others the reader has kept it.
"""

from collections.abc import Mapping
from hashlib import sha256
from itertools import zip_longest
from typing import Any

from api.impact.stress import read_question
from ledger_service.errors import LedgerError
from risk.assessment import assess
from risk.errors import MalformedFact
from risk.reading import parse
from risk.sharing import View, canonical
from risk.stress import stress_test
from risk.worst_list import FORMAT, worst_list

MAX_DAYS = 3650
_ABSENT = object()


def first_difference(view: bytes, report: bytes, question: Mapping[str, Any] | None = None) -> str | None:
    """The first place where `report` is not what `view` gives, in words; None where they are the same to the byte.

    Both are JSON in any layout; `question` is what a stress test was asked, where its report has it not.
    Raises MalformedFact for what is no view or no report.
    """
    said = parse(report)
    if not isinstance(said, dict):
        raise MalformedFact("a report is an object", "report")
    mine = View.read(view)
    said = {name: value for name, value in said.items() if name != "to"}
    if said.get("view") != mine.digest:
        return f"/view: it was made of the view {str(said.get('view'))[:64]}, this one is {mine.digest}"
    made = _tested_again(mine, said, question) if said.get("format") == FORMAT else _assessed_again(mine, said)
    return None if canonical(made) == canonical(said) else _differs(made, said, "")


def _assessed_again(view: View, said: Mapping[str, Any]) -> dict[str, Any]:
    days = said.get("days")
    if type(days) is not int or not 1 <= days <= MAX_DAYS:
        raise MalformedFact(f"a report says for how many days it looks ahead, 1 to {MAX_DAYS}", "report/days")
    return dict(assess(view, days=days).content)


def _tested_again(view: View, said: Mapping[str, Any], kept: Mapping[str, Any] | None) -> dict[str, Any]:
    question = said.get("question") or kept
    if not isinstance(question, Mapping):
        raise MalformedFact("what was asked was too long for the report: name the file with the question", "question")
    digests = said.get("digests")
    asked = sha256(canonical(question)).hexdigest()
    if not isinstance(digests, Mapping) or digests.get("question") != asked:
        raise MalformedFact(f"this is not the question that was asked: its SHA-256 is {asked}", "question")
    try:
        return worst_list(question, stress_test(view, read_question(question, "/question")).content)
    except LedgerError as error:
        raise MalformedFact(f"{error}", "question") from error


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
