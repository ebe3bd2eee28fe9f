"""The fold: all that is known of custody, in whatever order it came, made into trails and findings. Pure.

Facts are sorted by their own clocks and ids before anything is concluded. A view as known at a time is the same fold
over what was known by then. The chapters of the work are modules of their own, each on top of the one before: `papers`
(which statements count), `binding` (which thing a unit of the chain is), `legs` (handoffs), `lineage` (packing and
making), `walk` (the way of each unit).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ledger_service.custody.binding import Binding, bind
from ledger_service.custody.findings import Findings
from ledger_service.custody.legs import Handling, make_legs
from ledger_service.custody.lineage import Lineage, Link, trace
from ledger_service.custody.papers import Papers, look_at_streams, read_papers
from ledger_service.custody.policy import Policy, Problem
from ledger_service.custody.record import Clock, ConflictingSteps, Fact, Step
from ledger_service.custody.trail import MOVED, Custody, Finding, Unit, finding_id
from ledger_service.custody.walk import walk
from ledger_service.keys import from_hex


def fold(
    facts: Iterable[Fact], steps: Iterable[Step], policy: Policy, *, at: int, clock: Clock = Clock.REGISTERED
) -> Custody:
    """Custody as known at `at` (ms) by `clock`.

    Facts whose key never counted do not belong in here; those of a stream come all, the unseen ones as headers, or the
    numbers between them are findings. Raises ConflictingSteps.
    """
    known = _known_facts(facts, at, clock)
    taken = _taken_steps(steps, at)
    findings = Findings(policy)
    look_at_streams(known.values(), at, findings)
    papers = read_papers(known, [named for step in taken for named in (step.offer, step.acceptance)], findings)
    chain = bind(papers, taken, findings)
    handling = make_legs(papers, chain, at, findings)
    lineage = _trace(papers, findings)
    units = walk(handling, lineage, papers.events, at, findings)
    explained = _explain(papers, units, findings)
    judged = findings.all()
    return Custody(
        at=at,
        clock=clock,
        units=_settled(units, judged, papers, chain, handling, explained),
        findings=judged,
        lineage=lineage,
        corrected=dict(sorted(papers.corrected.items())),
        repeated=dict(sorted(papers.repeated.items())),
        unread=dict(sorted(papers.unread.items())),
        clocks={
            **{one.record: (papers.stated.get(one.id), one.registered_at, one.anchored_at) for one in known.values()},
            **{one.record: (None, one.time, one.time) for one in taken},
        },
        streams={one.record: one.stream for one in known.values()},
    )


def _known_facts(facts: Iterable[Fact], at: int, clock: Clock) -> dict[bytes, Fact]:
    known = {}
    for fact in facts:
        known_at = fact.known_at(clock)
        if known_at is not None and known_at <= at:
            known[fact.id] = fact
    return dict(sorted(known.items()))


def _taken_steps(steps: Iterable[Step], at: int) -> list[Step]:
    taken: dict[tuple[bytes, int], Step] = {}
    for step in steps:
        if step.time <= at:
            known = taken.setdefault((step.unit, step.sequence), step)
            if known != step:
                raise ConflictingSteps(*sorted((known, step), key=lambda one: (one.block, one.record)))
    return [step for _, step in sorted(taken.items())]


def _trace(papers: Papers, findings: Findings) -> Lineage:
    contained = [
        Link(line.lot, unit.id.key, "contained", paper.record)
        for paper in (*papers.of("despatch"), *papers.of("opening"))
        for unit in paper.read.units
        for line in unit.contents
        if line.lot is not None
    ]
    lineage = trace(papers.events, contained, findings.policy)
    for oddity in lineage.oddities:
        findings.add(oddity.problem, oddity.what, oddity.evidence, oddity.units)
    return lineage


def _explain(papers: Papers, units: Mapping[str, Unit], findings: Findings) -> dict[str, set[str]]:
    """Note which explanations count; the records of those that do, by the units that they are about."""
    by_id = findings.by_id()
    records: dict[str, set[str]] = {}
    for paper in papers.of("explanation"):
        explanation = paper.read
        # What was corrected since is the same evidence, said better.
        evidence = tuple(sorted({papers.holding(one) for one in explanation.evidence}))
        finding = by_id.get(finding_id(explanation.problem, explanation.evidence)) or by_id.get(
            finding_id(explanation.problem, evidence)
        )
        if finding is not None and paper.fact.issuer in _part_of(finding, papers, units):
            findings.explain(finding, paper.record)
            for unit in finding.units:
                records.setdefault(unit, set()).add(paper.record)
    return records


def _part_of(finding: Finding, papers: Papers, units: Mapping[str, Unit]) -> set[bytes | None]:
    """Who may explain a finding: who signed its evidence, and who gave or took one of its units.

    An offer alone makes nobody part of it, unless it is what the finding is about: whoever likes may offer anything.
    """
    shown = set(finding.evidence)
    heard: set[bytes | None] = {papers.facts[from_hex(one, 32)].issuer for one in shown if "#" not in one}
    for key in finding.units:
        for leg in units[key].legs if key in units else ():
            if leg.state in MOVED or not shown.isdisjoint(leg.papers):
                heard |= {leg.giver, leg.taker}
    return heard


def _settled(
    units: Mapping[str, Unit],
    findings: Iterable[Finding],
    papers: Papers,
    chain: Binding,
    handling: Handling,
    explained: Mapping[str, set[str]],
) -> dict[str, Unit]:
    """`units`, with what can only be said when everything else is: who is contested, and what their records are."""
    contested = {
        unit
        for one in findings
        if one.problem in (Problem.FORK, Problem.DOUBLE_POSSESSION) and not one.is_explained
        for unit in one.units
    }
    settled = {}
    for key, unit in units.items():
        records: set[str] = set()
        for part in (papers.records, chain.records, handling.records, explained):
            records |= part.get(key, set())
        is_contested = key in contested
        settled[key] = replace(
            unit,
            is_contested=is_contested,
            custodian=None if is_contested and not unit.is_decided_by_chain else unit.custodian,
            records=tuple(sorted(records)),
        )
    return settled
