"""What one call says of packing must fit together: nothing is in two places, in itself, or packed after its end. Pure.

Only what comes together is held to this. What was said before, and by others, may come late and out of order, and what
does not fit with it is a finding and no refusal (docs/decisions/0014).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ledger_service.custody.kinds import SINGLE_KINDS
from ledger_service.custody.lineage import Event, trace
from ledger_service.custody.policy import Policy, Problem
from ledger_service.errors import MalformedInput
from ledger_service.identifiers import identify

SORTS = frozenset({"AggregationEvent", "AssociationEvent", "TransformationEvent"})
_DEFAULTS = Policy()
_ADVICE = "if it was taken out in between, say so, or send what was before in a call of its own"


class ImpossiblePacking(MalformedInput):
    """A thing packed into two others at once, into itself, or after it was used up."""


def packing_of(content: Mapping[str, Any] | None, issuer: bytes) -> Event | None:
    """The event in the content of an `epcis-event`, if it says what went into what and takes nothing back."""
    event = None if content is None else content.get("event")
    if not isinstance(event, dict) or event.get("type") not in SORTS or "errorDeclaration" in event:
        return None
    return Event.read(event, "", issuer)


def impossible(events: Sequence[tuple[int, Event]], where: str = "") -> list[tuple[int, ImpossiblePacking]]:
    """The items of a call that do not fit the others, each with the reason; `events` are read, with their items.

    Of two that do not fit, the later one by its stated time is named; said at one time, the later item. The same event
    twice is one event.
    """
    known: dict[tuple[Any, ...], int] = {}
    numbered: list[Event] = []
    items: dict[str, int] = {}
    for item, event in events:
        same = (event.sort, event.action, event.time, event.parent, event.children, event.inputs, event.outputs)
        if (event.issuer, same) in known:
            continue
        known[event.issuer, same] = item
        record = f"{item:012d}"
        items[record] = item
        numbered.append(replace(event, record=record))
    found: dict[int, ImpossiblePacking] = {}
    order = {one.record: (one.time, one.record) for one in numbered}
    for oddity in trace(numbered, (), _DEFAULTS).oddities:
        if oddity.problem in (Problem.PACKED_TWICE, Problem.PACKING_CYCLE):
            last = items[max(oddity.evidence, key=lambda one: order[one])]
            others = sorted({items[one] for one in oddity.evidence} - {last})
            beside = f", as item {others[0]} of this call says" if others else ""
            things = ", ".join(oddity.units[:3])
            found.setdefault(last, ImpossiblePacking(f"{oddity.what}{beside}: {things}; {_ADVICE}", _place(where)))
    for item, why in _after_end(numbered, items):
        found.setdefault(item, ImpossiblePacking(why, _place(where)))
    return sorted(found.items())


def _after_end(events: Sequence[Event], items: Mapping[str, int]) -> list[tuple[int, str]]:
    """Single things that go into something after they were used up for something else."""
    ended: dict[str, Event] = {}
    for event in sorted(events, key=lambda one: (one.time, one.record)):
        if event.sort == "TransformationEvent":
            for thing in event.consumed:
                if _is_single(thing):
                    ended.setdefault(thing, event)
    found = []
    for event in events:
        # What is used up twice may be two accounts of one making, from two documents: that is for the fold to point at.
        for thing in (*event.children, *(() if event.parent is None else (event.parent,))):
            end = ended.get(thing)
            if end is None or end is event or event.time < end.time or event.action == "DELETE":
                continue
            found.append(
                (items[event.record], f"{thing} is packed after item {items[end.record]} of this call used it up")
            )
            break
    return found


def _place(where: str) -> str:
    return f"{where}/content/event"


def _is_single(thing: str) -> bool:
    found = identify(thing)
    return found is None or found.kind in SINGLE_KINDS
