"""What one statement says of things, in the form in which it is indexed. Pure.

It is the reading of the fold itself (`custody.kinds`, `custody.lineage.Event`), so that index and fold cannot differ in
what a statement means.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ledger_service.custody.kinds import (
    PARSERS,
    SINGLE_KINDS,
    Complaint,
    CustodyAddresses,
    Despatch,
    Deviation,
    Explanation,
    GateArrival,
    Opening,
    Outcome,
    Receipt,
)
from ledger_service.custody.lineage import Event
from ledger_service.errors import MalformedInput
from ledger_service.identifiers import identify
from ledger_service.keys import from_hex, to_hex


class Role(IntEnum):
    """What a statement says of a thing."""

    OFFERED = 1
    RECEIVED = 2
    MISSED = 3
    OPENED = 4
    SEEN = 5
    AT_GATE = 6
    COMPLAINED = 7
    DECLARED = 8
    """A batch in the contents of a unit."""
    ENDED = 9
    UNPACKED = 10
    EMPTIED = 11


class How(IntEnum):
    """How one thing went into another; a transformation takes `INPUT` and gives `OUTPUT`."""

    PACKED = 1
    CONTAINED = 2
    INPUT = 3
    OUTPUT = 4
    UNPACKED = 5
    """Not a way in: the thing came out of the other again. From the other to itself: all came out."""


class Sort(IntEnum):
    """What kind of statement; a declaration takes an event back."""

    DESPATCH = 1
    RECEIPT = 2
    OPENING = 3
    EVENT = 4
    GATE_ARRIVAL = 5
    COMPLAINT = 6
    EXPLANATION = 7
    ADDRESSES = 8
    DECLARATION = 9


class ThingSort(IntEnum):
    """A single thing is in one place, a batch may be in many; a process is a transformation."""

    SINGLE = 0
    BATCH = 1
    PROCESS = 2


OUTCOMES = {Outcome.ACCEPTED: 1, Outcome.WITH_DISCREPANCIES: 2, Outcome.REFUSED: 3}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is indexed of one statement. Things are keys of identifiers; times are ms UTC.

    `other` is the taker of a despatch, the despatch of a receipt. `cites` are ids of statements, units of the chain and
    one-time addresses (left-padded with zeros); `event_name` is the eventID. `chain` has (thing, unit, is an opening).
    """

    sort: Sort
    mentions: frozenset[tuple[str, Role]] = frozenset()
    links: frozenset[tuple[str, str, How]] = frozenset()
    stated_at: int | None = None
    other: bytes | None = None
    due_at: int | None = None
    outcome: int | None = None
    corrects: bytes | None = None
    cites: frozenset[bytes] = frozenset()
    event_name: str | None = None
    chain: tuple[tuple[str, bytes, bool], ...] = ()


def read(kind: str, content: Mapping[str, Any], digest: bytes, issuer: bytes) -> Reading | None:
    """What a statement says of things; None for one that says nothing of any, or that cannot be read here."""
    try:
        if kind == "epcis-event":
            return _event(content, digest, issuer)
        parse = PARSERS.get(kind)
        return None if parse is None else _fact(parse(content))
    except MalformedInput:
        return None  # the fold lists it as unread


def sort_of(thing: str) -> ThingSort:
    """Whether `thing`, the key of an identifier, is one thing or a batch."""
    if _SINGLE.fullmatch(thing):
        return ThingSort.SINGLE
    if thing.startswith(_PROCESS):
        return ThingSort.PROCESS
    found = identify(thing)
    return ThingSort.SINGLE if found is None or found.kind in SINGLE_KINDS else ThingSort.BATCH


_PROCESS = "process "
# The keys of pallets and pieces, which most things are: the long way says the same of them.
_SINGLE = re.compile(r"https://id\.gs1\.org/(?:00/\d{18}|01/\d{14}/21/[^/?#]+)", re.ASCII)


def _event(content: Mapping[str, Any], digest: bytes, issuer: bytes) -> Reading | None:
    event = content.get("event")
    if not isinstance(event, dict):
        return None
    name = event.get("eventID")
    name = name if isinstance(name, str) else None
    if "errorDeclaration" in event:
        return Reading(Sort.DECLARATION, event_name=name)
    read = Event.read(event, to_hex(digest), issuer)
    mentions = {(thing, Role.SEEN) for thing in read.things}
    mentions.update((thing, Role.ENDED) for thing in read.consumed)
    links: set[tuple[str, str, How]] = set()
    if read.sort == "TransformationEvent":
        process = f"{_PROCESS}{read.transformation or read.record}"
        links.update((one, process, How.INPUT) for one in read.inputs)
        links.update((process, one, How.OUTPUT) for one in read.outputs)
    elif read.sort in ("AggregationEvent", "AssociationEvent") and read.parent is not None:
        if read.action == "ADD":
            links.update((one, read.parent, How.PACKED) for one in read.children)
        elif read.action == "DELETE":
            links.update((one, read.parent, How.UNPACKED) for one in read.children)
            if not read.children and not read.amounts:  # EPCIS 2.0, 7.4.3: without children, all are taken out
                links.add((read.parent, read.parent, How.UNPACKED))
    return Reading(Sort.EVENT, frozenset(mentions), frozenset(links), read.time, event_name=name)


def _fact(said: Any) -> Reading | None:
    corrects: bytes | None = getattr(said, "corrects", None)
    cites = frozenset() if corrects is None else frozenset({corrects})
    match said:
        case Despatch() | Opening():
            role = Role.OFFERED if isinstance(said, Despatch) else Role.OPENED
            mentions = {(one.id.key, role) for one in said.units}
            links: set[tuple[str, str, How]] = set()
            for unit in said.units:
                lots = {line.lot for line in unit.contents} - {None}
                mentions.update((lot, Role.DECLARED) for lot in lots if lot is not None)
                links.update((lot, unit.id.key, How.CONTAINED) for lot in lots if lot is not None)
            is_opening = isinstance(said, Opening)
            chain = tuple((one.id.key, one.chain, is_opening) for one in said.units if one.chain is not None)
            cites |= {unit for _, unit, _ in chain}
            common = (frozenset(mentions), frozenset(links))
            if isinstance(said, Opening):
                cites |= {one.continues for one in said.units if one.continues is not None}
                return Reading(Sort.OPENING, *common, said.opened_at, corrects=corrects, cites=cites, chain=chain)
            return Reading(
                Sort.DESPATCH,
                *common,
                said.despatched_at,
                said.taker,
                said.deadline,
                None,
                corrects,
                cites,
                None,
                chain,
            )
        case Receipt():
            missing = {
                one.unit.key for one in said.discrepancies if one.what is Deviation.SHORT and one.quantity is None
            }
            received = frozenset((one.key, Role.MISSED if one.key in missing else Role.RECEIVED) for one in said.units)
            return Reading(
                Sort.RECEIPT,
                received,
                stated_at=said.received_at,
                other=said.despatch,
                outcome=OUTCOMES[said.outcome],
                corrects=corrects,
                cites=cites | {said.despatch},
            )
        case GateArrival():
            arrived = frozenset((one.key, Role.AT_GATE) for one in said.units)
            if said.despatch is not None:
                cites |= {said.despatch}
            return Reading(Sort.GATE_ARRIVAL, arrived, stated_at=said.arrived_at, corrects=corrects, cites=cites)
        case Complaint():
            about = frozenset((one.unit.key, Role.COMPLAINED) for one in said.items if one.unit is not None)
            return Reading(
                Sort.COMPLAINT, about, stated_at=said.raised_at, corrects=corrects, cites=cites | {said.about}
            )
        case Explanation():
            shown = frozenset(from_hex(one.partition("#")[0], 32) for one in said.evidence)
            return Reading(Sort.EXPLANATION, cites=shown)
        case CustodyAddresses():
            return Reading(Sort.ADDRESSES, cites=frozenset(one.rjust(32, b"\x00") for one in said.addresses))
    return None
