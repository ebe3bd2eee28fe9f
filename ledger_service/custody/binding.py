"""What the chain's units are: which thing, in which order one thing's units follow, whose the addresses are. Pure.

`docs/formats.md`, 9.5.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ledger_service.custody.findings import Findings
from ledger_service.custody.papers import Paper, Papers
from ledger_service.custody.policy import Problem
from ledger_service.custody.record import Step
from ledger_service.keys import to_hex


@dataclass(frozen=True, slots=True)
class Binding:
    """The chain, tied to what statements say of it.

    `things` has the thing of each unit of the chain, `generations` the units of each thing, oldest first; `closed` when
    (ms) and by which step a thing came to its end, `owners` who says that an address is theirs, and since when (ms).
    """

    steps: Sequence[Step]
    things: Mapping[bytes, str]
    generations: Mapping[str, Sequence[bytes]]
    closed: Mapping[str, tuple[int, str]]
    owners: Mapping[bytes, Mapping[bytes, int]]
    bound_by: Mapping[bytes, str]
    records: Mapping[str, set[str]]

    def owner(self, address: bytes | None) -> bytes | None:
        """The member whose one-time address this is, if exactly one says so."""
        owners = self.owners.get(address or b"", {})
        return next(iter(owners)) if len(owners) == 1 else None

    def is_anothers(self, address: bytes | None, member: bytes, time: int) -> bool:
        """Whether somebody named it as theirs before a step at `time` (ms) used it, and `member` never did.

        From the step on all can read it on the chain: who names it only then has nothing to show for it.
        """
        owners = self.owners.get(address or b"", {})
        return member not in owners and any(since <= time for since in owners.values())

    def order(self, time: int, step: Step | None, record: str) -> tuple[int, int, int, str]:
        """The place of a leg among those of its unit."""
        if step is None:
            return (time, -1, -1, record)
        thing = self.things.get(step.unit)
        generation = self.generations[thing].index(step.unit) if thing is not None else 0
        return (time, generation, step.sequence, record)


def bind(papers: Papers, steps: Iterable[Step], findings: Findings) -> Binding:
    """Tie `steps`, sorted by unit and number, to the things that `papers` are about."""
    ordered = list(steps)
    by_unit: dict[bytes, list[Step]] = defaultdict(list)
    for step in ordered:
        by_unit[step.unit].append(step)
    owners, bound_by = _owners(papers)
    named = _named(papers, by_unit, findings)
    things = {unit: thing for unit, (thing, _) in named.items()}
    generations: dict[str, list[bytes]] = defaultdict(list)
    records: dict[str, set[str]] = defaultdict(set)
    for unit, of_unit in by_unit.items():
        thing = things.get(unit)
        if thing is None:
            continue
        generations[thing].append(unit)
        for step in of_unit:
            records[thing].add(step.record)
            for id_ in (step.offer, step.acceptance, step.reason):
                if id_ is not None and id_ in papers.facts:
                    records[thing].add(papers.facts[id_].record)
        for before, after in pairwise(of_unit):
            if after.sequence != before.sequence + 1:
                what = "steps that the chain must have taken are not here"
                findings.add(Problem.GAP, what, [before.record, after.record], [thing])
    closed = {}
    continued = _continued(papers)
    for thing, units in generations.items():
        if len(units) > 1:
            units.sort(key=lambda one: (by_unit[one][0].time, one))
            for before_, unit in pairwise(units):
                _look_at_opening(named[unit], by_unit[before_][-1], by_unit[unit][0], continued.get(unit), findings)
        final = by_unit[units[-1]][-1]
        if final.taker is None:
            closed[thing] = (papers.stated.get(final.reason or b"", final.time), final.record)
    return Binding(ordered, things, generations, closed, owners, bound_by, records)


def _owners(papers: Papers) -> tuple[dict[bytes, dict[bytes, int]], dict[bytes, str]]:
    owners: dict[bytes, dict[bytes, int]] = defaultdict(dict)
    bound_by: dict[bytes, str] = {}

    def name(address: bytes, paper: Paper) -> None:
        known = owners[address].get(paper.fact.issuer, paper.fact.registered_at)
        owners[address][paper.fact.issuer] = min(known, paper.fact.registered_at)
        bound_by.setdefault(address, paper.record)

    for paper in papers.of("custody-addresses"):
        for address in paper.read.addresses:
            name(address, paper)
    for paper in papers.of("opening"):
        for opened in paper.read.units:
            name(opened.custodian, paper)
    return owners, bound_by


def _named(papers: Papers, by_unit: Mapping[bytes, Sequence[Step]], findings: Findings) -> dict[bytes, tuple[str, str]]:
    """Which thing each unit of the chain is, and who says so: an opening proves it, a despatch only says it."""
    named: dict[bytes, tuple[str, str]] = {}
    for paper in (*papers.of("opening"), *papers.of("despatch")):
        for one in paper.read.units:
            if one.chain is None:
                continue
            thing, record = named.setdefault(one.chain, (one.id.key, paper.record))
            if thing != one.id.key:
                what = "one unit of the chain was said to be two things"
                evidence = [record, paper.record, to_hex(one.chain) + "#0"]
                findings.add(Problem.CONFLICTING_EVENT, what, evidence, [thing, one.id.key])
    unbound = by_unit.keys() - named.keys()
    if unbound:
        single = {
            id_: (paper.read.units[0].id.key, paper.record)
            for paper in papers.of("despatch")
            if len(paper.read.units) == 1
            for id_ in paper.ids
        }
        for unit in unbound:
            told = next((single[step.offer] for step in by_unit[unit] if step.offer in single), None)
            if told is not None:
                named[unit] = told
    return named


def _continued(papers: Papers) -> dict[bytes, tuple[bytes, str]]:
    """Of each unit that follows another: which, and the first opening that says so."""
    continued: dict[bytes, tuple[bytes, str]] = {}
    for paper in papers.of("opening"):
        for opened in paper.read.units:
            if opened.continues is not None:
                continued.setdefault(opened.chain, (opened.continues, paper.record))
    return continued


def _look_at_opening(
    named: tuple[str, str], last: Step, first: Step, continues: tuple[bytes, str] | None, findings: Findings
) -> None:
    """Whether a thing that has several units on the chain says why; `named` is the thing, and who names the later."""
    thing, record = named
    evidence = [record, last.record, first.record]
    if continues is not None and continues[0] == last.unit:
        what = "custody of it goes on under a new unit, because the seed of the old one was lost"
        findings.add(Problem.REOPENED_AFTER_KEY_LOSS, what, [continues[1], last.record, first.record], [thing])
    elif last.taker is None:
        findings.add(Problem.EVENT_AFTER_CLOSE, "it was opened again after it was closed", evidence, [thing])
    else:
        findings.add(Problem.FORK, "one thing was opened twice on the chain", evidence, [thing])
