"""The kinds of statement: what the content of each must be. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from ledger_service.errors import MalformedInput
from ledger_service.intake import epcis
from ledger_service.statements import purpose_of

Check = Callable[[Mapping[str, Any], int], None]


def _epcis_event(content: Mapping[str, Any], now: int) -> None:
    if content.keys() != {"to", "event", "context"}:
        raise MalformedInput("the content of an epcis-event has exactly to, event and context", "/content")
    epcis.check_event(content["event"], content["context"], now=now, where="/content/event")


def _void(content: Mapping[str, Any], _now: int) -> None:
    if content.keys() != {"to", "reason"}:
        raise MalformedInput("the content of a void has exactly to and reason", "/content")
    reason = content["reason"]
    if not isinstance(reason, str) or not 0 < len(reason) <= 500:
        raise MalformedInput("say in 1 to 500 characters why the number is left out", "/content/reason")


_CHECKS: dict[str, Check] = {"epcis-event": _epcis_event, "void": _void}


def check(kind: str, content: Mapping[str, Any] | None, now: int) -> None:
    """Raise MalformedInput unless `content` is what a statement of `kind` says; `now` (ms UTC) bounds event times.

    A header without content is only held to its kind: its content is withheld and cannot be looked at.
    """
    purpose_of(kind)
    if content is not None:
        _CHECKS[kind](content, now)
