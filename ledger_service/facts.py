"""The kinds of statement: what the content of each must be. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from ledger_service import risk_kinds
from ledger_service.custody.kinds import CLOCK_TOLERANCE_MS, PARSERS, Parse, Reader
from ledger_service.custody.policy import Policy
from ledger_service.errors import MalformedInput
from ledger_service.grants import Grant
from ledger_service.intake import epcis
from ledger_service.keys import from_hex
from ledger_service.statements import REPORT_KINDS, purpose_of

Check = Callable[[Mapping[str, Any], int], None]


def _epcis_event(content: Mapping[str, Any], now: int) -> None:
    if content.keys() - {"replaces"} != {"to", "event", "context"}:
        raise MalformedInput(
            "the content of an epcis-event has to, event and context, and may have replaces", "/content"
        )
    epcis.check_event(content["event"], content["context"], now=now, where="/content/event")


def _void(content: Mapping[str, Any], _now: int) -> None:
    if content.keys() - {"replaces"} != {"to", "reason"}:
        raise MalformedInput("the content of a void has to and reason, and may have replaces", "/content")
    reason = content["reason"]
    if not isinstance(reason, str) or not 0 < len(reason) <= 500:
        raise MalformedInput("say in 1 to 500 characters why the number is left out", "/content/reason")


def _custody(parse: Parse) -> Check:
    def check(content: Mapping[str, Any], now: int) -> None:
        parse(content, "/content", latest=now + CLOCK_TOLERANCE_MS)

    return check


def _report(content: Mapping[str, Any], _now: int) -> None:
    """The service makes it and the risk package knows what is in it; here it is held to whose it is and from what."""
    report = Reader(content, "/content", "to checkpoint reader view", " ".join(content))
    report.hash("reader")
    if content["to"] != [content["reader"]]:
        raise MalformedInput("a report is for its reader and for nobody else", "/content/to")
    view = report.text("view")
    if not re.fullmatch("[0-9a-f]{64}", view):
        raise MalformedInput("expected the SHA-256 of the view, 64 hexadecimal digits", "/content/view")
    report.text("checkpoint", 500)


_CHECKS: dict[str, Check] = {
    "epcis-event": _epcis_event,
    "void": _void,
    **{kind: _custody(parse) for kind, parse in PARSERS.items()},
    "custody-policy": _custody(Policy.parse),
    "grant": _custody(Grant.parse),
    **{kind: _custody(parse) for kind, parse in risk_kinds.PARSERS.items()},
    **dict.fromkeys(REPORT_KINDS, _report),
    **{kind: _custody(parse) for kind, parse in risk_kinds.QUESTIONS.items()},
    **{kind: _custody(parse) for kind, parse in risk_kinds.DISRUPTIONS.items()},
    **{kind: _custody(parse) for kind, parse in risk_kinds.SCENARIOS.items()},
}


def check(kind: str, content: Mapping[str, Any] | None, now: int) -> None:
    """Raise MalformedInput unless `content` is what a statement of `kind` says; `now` (ms UTC) bounds event times.

    A header without content is only held to its kind: its content is withheld and cannot be looked at.
    """
    purpose_of(kind)
    if content is not None:
        if "replaces" in content:  # the id of a void statement that this one says again (docs/decisions/0006)
            from_hex(content["replaces"], 32, "/content/replaces")
        _CHECKS[kind](content, now)
