"""What went into what: packing, unpacking, splitting, merging and transformation, followed both ways. Pure.

Splitting and merging are EPCIS TransformationEvents whose inputs and outputs are of one part. A thing packed into
another travels with it and stays itself; a thing transformed is gone into its outputs.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Self

from ledger_service.custody.kinds import SINGLE_KINDS
from ledger_service.custody.policy import Policy, Problem
from ledger_service.errors import MalformedInput
from ledger_service.identifiers import identify
from ledger_service.instants import instant

Amounts = Mapping[tuple[str, str], Fraction]
"""How much of a part, by (part, unit of measure)."""

_PIECE = "H87"
_DECIMAL = re.compile(r"-?\d{1,40}(\.\d{1,40})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """An EPCIS event as custody sees it. `record` is the id of its statement, `time` is in ms UTC.

    `things` are all that it saw; amounts are those of children, inputs and outputs. `name` is its eventID;
    `is_declaration`: it takes back the one with its name.
    """

    record: str
    issuer: bytes
    time: int
    sort: str
    action: str
    things: tuple[str, ...]
    parent: str | None
    children: tuple[str, ...]
    amounts: Amounts
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_amounts: Amounts
    output_amounts: Amounts
    transformation: str | None
    name: str | None
    is_declaration: bool

    @classmethod
    def read(cls, event: Mapping[str, Any], record: str, issuer: bytes) -> Self:
        """The event, which has passed `intake.epcis.check_event`; raises MalformedInput where it cannot be read."""
        try:
            children, amounts = _listed(event, "childEPCs", "childQuantityList")
            inputs, taken = _listed(event, "inputEPCList", "inputQuantityList")
            outputs, made = _listed(event, "outputEPCList", "outputQuantityList")
            seen, _ = _listed(event, "epcList", "quantityList")
            parent = None if event.get("parentID") is None else _key(event["parentID"])[0]
            things = (*(() if parent is None else (parent,)), *children, *inputs, *outputs, *seen)
            return cls(
                record,
                issuer,
                instant(event["eventTime"]),
                _text(event["type"]),
                event.get("action", ""),
                tuple(dict.fromkeys(things)),
                parent,
                children,
                amounts,
                inputs,
                outputs,
                taken,
                made,
                None if event.get("transformationID") is None else _text(event["transformationID"]),
                name if isinstance(name := event.get("eventID"), str) else None,
                "errorDeclaration" in event,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedInput(f"an EPCIS event that cannot be read: {error!r}", "/content/event") from error

    @property
    def consumed(self) -> tuple[str, ...]:
        """What is no more after this event."""
        if self.sort == "TransformationEvent":
            return tuple(one for one in self.inputs if one not in self.outputs)
        return self.things if self.sort == "ObjectEvent" and self.action == "DELETE" else ()


@dataclass(frozen=True, slots=True)
class Link:
    """`source` went into `target`; `how` is packed, contained or transformed, `record` the statement that says so."""

    source: str
    target: str
    how: str
    record: str


@dataclass(frozen=True, slots=True)
class Stay:
    """The time that a thing spent in `parent`, in ms; until None: it is there still."""

    parent: str
    since: int
    until: int | None
    packed_by: str
    unpacked_by: str | None


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something that cannot have been so, with the records that show it."""

    problem: Problem
    what: str
    evidence: tuple[str, ...]
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where things went and what they came from."""

    forward: Mapping[str, tuple[Link, ...]]
    backward: Mapping[str, tuple[Link, ...]]
    stays: Mapping[str, tuple[Stay, ...]]
    oddities: tuple[Oddity, ...] = field(default=())

    def parent_at(self, thing: str, time: int) -> str | None:
        """What `thing` was packed in at `time`."""
        for stay in self.stays.get(thing, ()):
            if stay.since <= time and (stay.until is None or time < stay.until):
                return stay.parent
        return None

    def contents(self, thing: str) -> list[str]:
        """All that was ever packed or declared in `thing`, at any depth, itself first."""
        return list(_reach([thing], lambda one: self._sources(one, "packed", "contained")))

    def descendants(self, thing: str) -> list[str]:
        """What `thing` and its contents went into: what to recall if it is bad. Itself is left out.

        The carrier of a bad piece is found; what else lies on that carrier is not.
        """

        def onward(one: str) -> Iterator[str]:
            for link in self.forward.get(one, ()):
                yield link.target
                if link.how == "transformed":
                    yield from self.contents(link.target)

        return [one for one in _reach(self.contents(thing), onward) if one != thing]

    def ancestors(self, thing: str) -> list[str]:
        """What `thing` and its contents came from: where to look for the cause. Itself is left out."""

        def back(one: str) -> Iterator[str]:
            for source in self._sources(one, "transformed"):
                yield from self.contents(source)
            for link in self.forward.get(one, ()):
                if link.how == "packed" and any(self._sources(link.target, "transformed")):
                    for source in self._sources(link.target, "transformed"):
                        yield from self.contents(source)

        return [one for one in _reach(self.contents(thing), back) if one != thing]

    def _sources(self, thing: str, *how: str) -> Iterator[str]:
        return (link.source for link in self.backward.get(thing, ()) if link.how in how)


def trace(events: Iterable[Event], contained: Iterable[Link], policy: Policy) -> Lineage:
    """The lineage that `events` and the `contained` links (lots in units, from despatches) tell, in any order."""
    return _Tracer(policy).trace(events, contained)


class _Tracer:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.links: set[Link] = set()
        self.oddities: list[Oddity] = []
        self.open: dict[str, Stay] = {}
        self.stays: dict[str, list[Stay]] = defaultdict(list)
        self.inside: dict[str, dict[str, None]] = defaultdict(dict)
        self.packed: dict[str, list[Event]] = defaultdict(list)
        self.balance: dict[str, dict[tuple[str, str], Fraction]] = defaultdict(dict)

    def trace(self, events: Iterable[Event], contained: Iterable[Link]) -> Lineage:
        self.links.update(contained)
        transformations: dict[tuple[bytes, str], list[Event]] = defaultdict(list)
        packings = []
        for event in events:
            if event.sort == "TransformationEvent":
                transformations[event.issuer, event.transformation or event.record].append(event)
            elif event.sort in ("AggregationEvent", "AssociationEvent") and event.parent is not None:
                packings.append(event)
        # Out before in: what is repacked in one and the same moment is not in two places.
        for event in sorted(packings, key=lambda one: (one.time, one.action != "DELETE", one.record)):
            if event.action == "ADD":
                self.pack(event, event.parent or "")
            elif event.action == "DELETE":
                self.unpack(event, event.parent or "")
        for _, group in sorted(transformations.items()):
            self.transform(sorted(group, key=lambda one: (one.time, one.record)))
        for child, stay in self.open.items():
            self.stays[child].append(stay)
        forward: dict[str, list[Link]] = defaultdict(list)
        backward: dict[str, list[Link]] = defaultdict(list)
        for link in sorted(self.links, key=lambda one: (one.source, one.target, one.how, one.record)):
            forward[link.source].append(link)
            backward[link.target].append(link)
        return Lineage(
            {thing: tuple(links) for thing, links in forward.items()},
            {thing: tuple(links) for thing, links in backward.items()},
            {thing: tuple(sorted(stays, key=lambda one: one.since)) for thing, stays in self.stays.items()},
            tuple(sorted(self.oddities, key=lambda one: (one.problem, one.evidence, one.units))),
        )

    def odd(self, problem: Problem, what: str, evidence: Iterable[str], units: Iterable[str]) -> None:
        self.oddities.append(Oddity(problem, what, tuple(sorted(set(evidence))), tuple(sorted(set(units)))))

    def pack(self, event: Event, parent: str) -> None:
        self.packed[parent].append(event)
        for child in event.children:
            loop = self.path_up(parent, child)
            if loop is not None:
                self.odd(
                    Problem.PACKING_CYCLE,
                    "a thing was packed into something that lies in it",
                    [event.record, *loop],
                    [child, parent],
                )
                continue
            self.links.add(Link(child, parent, "packed", event.record))
            if not _is_single(child):
                continue
            stay = self.open.get(child)
            if stay is not None and stay.parent == parent:
                continue
            if stay is not None:
                self.odd(
                    Problem.PACKED_TWICE,
                    "a thing was packed into a second one and never taken out of the first",
                    [event.record, stay.packed_by],
                    [child, parent, stay.parent],
                )
                self.close(child, event)
            self.open[child] = Stay(parent, event.time, None, event.record, None)
            self.inside[parent][child] = None
        for key, amount in event.amounts.items():
            self.balance[parent][key] = self.balance[parent].get(key, Fraction(0)) + amount

    def unpack(self, event: Event, parent: str) -> None:
        children = event.children
        if not children and not event.amounts:  # EPCIS 2.0, 7.4.3: without children, all are taken out
            children = tuple(self.inside[parent])
            self.balance[parent].clear()
        for child in children:
            stay = self.open.get(child)
            if stay is not None and stay.parent == parent:
                self.close(child, event)
            elif self.packed[parent] and _is_single(child):
                self.odd(
                    Problem.QUANTITY_NOT_CONSERVED,
                    "something came out that never went in",
                    [event.record, self.packed[parent][-1].record],
                    [child, parent],
                )
        balance = self.balance[parent]
        for key, amount in event.amounts.items():
            if key not in balance:
                continue
            if amount > balance[key] * (1 + self.policy.quantity_tolerance.get(key[1], 0)):
                evidence = [one.record for one in self.packed[parent] if key in one.amounts]
                self.odd(
                    Problem.QUANTITY_NOT_CONSERVED,
                    "more came out than had gone in",
                    [event.record, *evidence],
                    [parent, *event.children],
                )
            balance[key] = max(Fraction(0), balance[key] - amount)

    def close(self, child: str, event: Event) -> None:
        stay = self.open.pop(child)
        self.inside[stay.parent].pop(child, None)
        self.stays[child].append(Stay(stay.parent, stay.since, event.time, stay.packed_by, event.record))

    def path_up(self, start: str, sought: str) -> list[str] | None:
        """The records by which `start` lies in `sought`, None if it does not."""
        records: list[str] = []
        here = start
        if here != sought and not self.inside.get(sought):
            return None  # nothing lies in it
        while here != sought:
            stay = self.open.get(here)
            if stay is None:
                return None
            records.append(stay.packed_by)
            here = stay.parent
        return records

    def transform(self, events: Sequence[Event]) -> None:
        sources = {source: event.record for event in reversed(events) for source in event.inputs}
        targets = {target: event.record for event in reversed(events) for target in event.outputs}
        for source in sources:
            for target, record in targets.items():
                if source != target:
                    self.links.add(Link(source, target, "transformed", record))
        taken = _sum(event.input_amounts for event in events)
        made = _sum(event.output_amounts for event in events)
        # Of a part that only goes in or only comes out nothing can be said: that is what transforming means.
        pure = taken.keys() == made.keys()
        for key in taken.keys() & made.keys():
            slack = taken[key] * self.policy.quantity_tolerance.get(key[1], Fraction(0))
            if made[key] > taken[key] + slack or (pure and made[key] < taken[key] - slack):
                self.odd(
                    Problem.QUANTITY_NOT_CONSERVED,
                    "what came out is not what went in",
                    [event.record for event in events],
                    [*sources, *targets],
                )
                return


def part_of(thing: str) -> str:
    """The part that a batch or a piece is of; itself where it tells none."""
    for mark in ("/10/", "/21/", "/235/", "/batch/", "/serial/"):
        if mark in thing:
            return thing.split(mark, 1)[0]
    return thing


def _is_single(thing: str) -> bool:
    found = identify(thing)
    return found is None or found.kind in SINGLE_KINDS


def _sum(amounts: Iterable[Amounts]) -> dict[tuple[str, str], Fraction]:
    total: dict[tuple[str, str], Fraction] = {}
    for one in amounts:
        for key, amount in one.items():
            total[key] = total.get(key, Fraction(0)) + amount
    return total


def _amount(value: Any) -> Fraction:
    """A quantity of an event; raises ValueError for what no event that was looked at has, such as `1e999999999`."""
    if not _DECIMAL.fullmatch(str(value)):
        raise ValueError("not a decimal number")
    return Fraction(str(value))


def _text(value: Any) -> str:
    """A text of an event; raises TypeError for what is none: whoever makes a bundle need not have asked our door."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {str(value)[:40]!r}")
    return value


def _items(event: Mapping[str, Any], name: str) -> list[Any]:
    """The items of a list that may be absent; raises TypeError for what is no list."""
    found = event.get(name, [])
    if not isinstance(found, list):
        raise TypeError(f"{name} is no list")
    return found


def _key(text: str) -> tuple[str, str]:
    found = identify(text)
    return (text, "") if found is None else (found.key, found.kind)


def _listed(
    event: Mapping[str, Any], pieces: str, quantities: str
) -> tuple[tuple[str, ...], dict[tuple[str, str], Fraction]]:
    """The things in two lists of an event, and how much of each part; a piece with a part number counts as one."""
    things: dict[str, None] = {}
    amounts: dict[tuple[str, str], Fraction] = {}
    for text in _items(event, pieces):
        key, kind = _key(_text(text))
        things[key] = None
        if kind in ("sgtin", "part-serial"):
            of = (part_of(key), _PIECE)
            amounts[of] = amounts.get(of, Fraction(0)) + 1
    for item in _items(event, quantities):
        key, _ = _key(_text(item["epcClass"]))
        things[key] = None
        if "quantity" in item:
            of = (part_of(key), _text(item.get("uom", _PIECE)))
            amounts[of] = amounts.get(of, Fraction(0)) + _amount(item["quantity"])
    return tuple(things), amounts


def _reach(start: Iterable[str], onward: Any) -> Iterator[str]:
    """`start` and all that `onward` leads to, each once."""
    seen: dict[str, None] = dict.fromkeys(start)
    waiting = list(seen)
    yield from seen
    while waiting:
        for one in onward(waiting.pop()):
            if one not in seen:
                seen[one] = None
                waiting.append(one)
                yield one
