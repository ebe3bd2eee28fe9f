"""Which statements count, and as what: copies once, corrections followed, contradictions named. Pure.

`docs/formats.md`, 9.3 and 9.4.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ledger_service import canonical
from ledger_service.custody.findings import Findings
from ledger_service.custody.kinds import PARSERS, Complaint, Despatch, GateArrival, Opening, Receipt
from ledger_service.custody.lineage import Event
from ledger_service.custody.policy import Problem
from ledger_service.custody.record import Fact
from ledger_service.errors import MalformedInput

_STATED = ("time", "despatched_at", "received_at", "arrived_at", "opened_at", "raised_at")


@dataclass(frozen=True, slots=True)
class Paper:
    """A fact that counts, read; `ids` are all statements that say it: its copies, and those that it corrects."""

    fact: Fact
    read: Any
    ids: tuple[bytes, ...]
    units: tuple[str, ...]

    @property
    def record(self) -> str:
        return self.fact.record

    @property
    def rank(self) -> tuple[int, bytes]:
        return self.fact.rank


@dataclass(frozen=True, slots=True)
class Papers:
    """What the statements say, each thing once.

    `corrected`, `repeated` and `unread` are as in Custody; `stated` has the stated times of standing papers by their
    ids, `records` the records of all statements that name a unit.
    """

    facts: Mapping[bytes, Fact]
    standing: Mapping[str, Sequence[Paper]]
    corrected: Mapping[str, str]
    repeated: Mapping[str, str]
    unread: Mapping[str, str]
    stated: Mapping[bytes, int]
    records: Mapping[str, set[str]]

    def of(self, kind: str) -> Sequence[Paper]:
        """The standing papers of one kind, by rank."""
        return self.standing.get(kind, ())

    @property
    def events(self) -> list[Event]:
        return [one.read for one in self.of("epcis-event")]

    def holding(self, record: str) -> str:
        """The record that holds in place of `record`: itself, the one that corrects it, or the first copy of it."""
        while record in self.corrected or record in self.repeated:
            record = self.corrected.get(record) or self.repeated[record]
        return record


def read_papers(facts: Mapping[bytes, Fact], acted_on: Iterable[bytes | None], findings: Findings) -> Papers:
    """The papers among `facts`; `acted_on` are the ids that steps of the chain name."""
    return _Reading(facts, findings).papers(set(acted_on))


def look_at_streams(facts: Iterable[Fact], at: int, findings: Findings) -> None:
    """Whether the numbers of each stream are there, once each."""
    streams: dict[bytes, dict[int, list[Fact]]] = defaultdict(dict)
    for fact in facts:
        streams[fact.stream].setdefault(fact.sequence, []).append(fact)
    for stream, numbers in streams.items():
        ascending = sorted(numbers)
        # A hole is as old as the first number known above it.
        first_above: dict[int, int] = {}
        oldest: int | None = None
        for number in reversed(ascending):
            registered = min(one.registered_at for one in numbers[number])
            oldest = registered if oldest is None else min(oldest, registered)
            first_above[number] = oldest
        before = 0
        for number in ascending:
            here = numbers[number]
            if number > before + 1 and first_above[number] + findings.policy.stream_gap_after < at:
                missing = f"number {before + 1}" + (f" to {number - 1}" if number > before + 2 else "")
                what = f"{missing} of a stream never came, and no void stands in its place"
                evidence = [one.record for one in (*numbers.get(before, ()), *here)]
                findings.add(Problem.STREAM_HOLE, what, evidence, (), stream=stream)
            if len(here) > 1:
                what = f"number {number} of a stream was given to {len(here)} statements"
                findings.add(Problem.STREAM_FORK, what, [one.record for one in here], (), stream=stream)
            before = number


@dataclass(slots=True)
class _Reading:
    facts: Mapping[bytes, Fact]
    findings: Findings
    read: dict[bytes, Paper] = field(default_factory=dict)
    """By id: of each readable statement, copies included, the paper that stands for it before any correction."""
    standing: dict[str, list[Paper]] = field(default_factory=lambda: defaultdict(list))
    corrected: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def papers(self, acted_on: set[bytes | None]) -> Papers:
        originals = self.take_copies_once()
        records: dict[str, set[str]] = defaultdict(set)
        for paper in originals:
            names = [self.facts[one].record for one in paper.ids]
            for unit in paper.units:
                records[unit].update(names)
        self.take_events([one for one in originals if isinstance(one.read, Event)])
        self.take_documents(
            self.follow_corrections([one for one in originals if not isinstance(one.read, Event)]), acted_on
        )
        stated: dict[bytes, int] = {}
        for papers in self.standing.values():
            papers.sort(key=lambda one: one.rank)
            for paper in papers:
                self.look_at_registration(paper, stated)
        self.look_at_keys()
        return Papers(self.facts, self.standing, self.corrected, self.repeated, self.unread, stated, records)

    def take_copies_once(self) -> list[Paper]:
        copies: dict[tuple[bytes, str, bytes], list[Fact]] = defaultdict(list)
        for fact in self.facts.values():
            if fact.is_void or fact.content is None or (fact.kind not in PARSERS and fact.kind != "epcis-event"):
                continue
            said = {name: value for name, value in fact.content.items() if name not in ("to", "replaces")}
            copies[fact.issuer, fact.kind, hashlib.sha256(canonical.dump(said)).digest()].append(fact)
        originals = []
        for group in copies.values():
            group.sort(key=lambda one: one.rank)
            first = group[0]
            try:
                read = _read(first)
            except MalformedInput as error:
                self.unread.update((one.record, str(error)) for one in group)
                continue
            paper = Paper(first, read, tuple(one.id for one in group), _units_of(read))
            originals.append(paper)
            self.read.update((one.id, paper) for one in group)
            self.repeated.update((one.record, first.record) for one in group[1:])
        return originals

    def take_events(self, papers: Iterable[Paper]) -> None:
        """EPCIS: an event with an error declaration takes back those with its eventID, and is no event itself."""
        named: dict[tuple[bytes, str], list[Paper]] = defaultdict(list)
        for paper in papers:
            name = paper.read.name
            if name is not None:
                named[paper.fact.issuer, name].append(paper)
            elif not paper.read.is_declaration:
                self.standing["epcis-event"].append(paper)
        for group in named.values():
            group.sort(key=lambda one: one.rank)
            declarations = [one for one in group if one.read.is_declaration]
            if declarations:
                said = declarations[0].record
                self.corrected.update((one.record, said) for one in group if not one.read.is_declaration)
                continue
            if len(group) > 1:
                self.conflict(group)
            self.standing["epcis-event"].append(group[0])

    def follow_corrections(self, papers: Sequence[Paper]) -> list[Paper]:
        """Each paper that nothing corrects, with the ids of all that it corrects in turn."""
        originals: list[Paper] = []
        corrections: dict[bytes, list[Paper]] = defaultdict(list)
        for paper in sorted(papers, key=lambda one: one.rank):
            corrects = getattr(paper.read, "corrects", None)
            target = None if corrects is None else self.read.get(corrects)
            if target is None or isinstance(target.read, Event):
                originals.append(paper)
            elif (target.fact.issuer, target.fact.kind) != (paper.fact.issuer, paper.fact.kind):
                self.conflict([target, paper], "one member cannot correct what another said")
            else:
                corrections[target.fact.id].append(paper)
        standing = []
        for paper in originals:
            here, ids = paper, list(paper.ids)
            while here.fact.id in corrections:
                group = corrections[here.fact.id]
                if len(group) > 1:
                    self.conflict(group)
                self.corrected[here.record] = group[0].record
                here = group[0]
                ids.extend(here.ids)
            standing.append(here if here is paper else replace(here, ids=tuple(ids)))
        return standing

    def take_documents(self, papers: Iterable[Paper], acted_on: set[bytes | None]) -> None:
        named: dict[tuple[Any, ...], list[Paper]] = defaultdict(list)
        for paper in papers:
            fact, read = paper.fact, paper.read
            if isinstance(read, Receipt):
                acted_on.add(read.despatch)
            if isinstance(read, Despatch | GateArrival | Complaint):
                named[fact.issuer, fact.kind, read.document].append(paper)
            else:
                self.standing[fact.kind].append(paper)
        for group in named.values():
            if len(group) > 1:
                # The one that the chain or a receipt names is the one both sides acted on; else the first known.
                group.sort(key=lambda one: (acted_on.isdisjoint(one.ids), one.rank))
                self.conflict(group)
            self.standing[group[0].fact.kind].append(group[0])

    def conflict(self, papers: Sequence[Paper], what: str = "one thing was said in two ways") -> None:
        conflict(papers, what, self.findings)

    def look_at_registration(self, paper: Paper, stated: dict[bytes, int]) -> None:
        time = stated_time(paper)
        if time is None:
            return
        stated[paper.fact.id] = time
        late = paper.fact.registered_at - time
        if late > self.findings.policy.register_within and getattr(paper.read, "corrects", None) is None:
            what = f"registered {late // 3_600_000} h after it happened"
            self.findings.add(Problem.LATE_REGISTRATION, what, [paper.record], paper.units)

    def look_at_keys(self) -> None:
        what = "the key that signed this is reported compromised since before it was anchored"
        for fact in self.facts.values():
            if fact.is_disputed and not fact.is_void:
                paper = self.read.get(fact.id)
                units = () if paper is None else paper.units
                # What a header alone is about nobody can tell: it touches every trail that its stream is part of.
                stream = None if units else fact.stream
                self.findings.add(Problem.KEY_COMPROMISED, what, [fact.record], units, stream=stream)


def conflict(papers: Sequence[Paper], what: str, findings: Findings) -> None:
    """Note that `papers` cannot all be so."""
    units = {unit for paper in papers for unit in paper.units}
    findings.add(Problem.CONFLICTING_EVENT, what, [one.record for one in papers], units)


def stated_time(paper: Paper) -> int | None:
    """When it happened, as its issuer says (ms); None for what tells no time."""
    return next((int(getattr(paper.read, name)) for name in _STATED if hasattr(paper.read, name)), None)


def _read(fact: Fact) -> Any:
    assert fact.content is not None
    if fact.kind == "epcis-event":
        event = fact.content.get("event")
        return Event.read(event if isinstance(event, dict) else {}, fact.record, fact.issuer)
    return PARSERS[fact.kind](fact.content)


def _units_of(read: Any) -> tuple[str, ...]:
    match read:
        case Event():
            return read.things
        case Despatch() | Opening():
            return tuple(one.id.key for one in read.units)
        case Receipt() | GateArrival():
            return tuple(one.key for one in read.units)
        case Complaint():
            return tuple(one.unit.key for one in read.items if one.unit is not None)
    return ()
