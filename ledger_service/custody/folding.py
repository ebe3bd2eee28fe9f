"""The fold: all that is known of custody, in whatever order it came, made into trails and findings. Pure.

Facts are sorted by their own clocks and ids before anything is concluded. A view as known at a time is the same fold
over what was known by then.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from ledger_service import canonical
from ledger_service.custody.kinds import (
    PARSERS,
    Consignment,
    Despatch,
    Deviation,
    Discrepancy,
    Explanation,
    GateArrival,
    Opening,
    Outcome,
    Receipt,
)
from ledger_service.custody.lineage import Event, Lineage, Link, trace
from ledger_service.custody.policy import Policy, Problem, Weight
from ledger_service.custody.record import Clock, ConflictingSteps, Fact, Step
from ledger_service.custody.trail import Custody, Finding, Leg, LegState, Unit, finding_id
from ledger_service.errors import MalformedInput
from ledger_service.identifiers import identify
from ledger_service.keys import from_hex, to_hex

_MOVED = frozenset(
    {LegState.DEEMED_ACCEPTED, LegState.PENDING, LegState.UNEXPLAINED, LegState.WITHHELD, LegState.HANDED_OVER}
)


def fold(
    facts: Iterable[Fact], steps: Iterable[Step], policy: Policy, *, at: int, clock: Clock = Clock.REGISTERED
) -> Custody:
    """Custody as known at `at` (ms) by `clock`.

    Facts whose key never counted do not belong in here; those of a stream come all, the unseen ones as headers, or the
    numbers between them are findings. Raises ConflictingSteps.
    """
    return _Fold(policy, at, clock).run(facts, steps)


@dataclass(frozen=True, slots=True)
class _Paper:
    """A fact that counts, read; `ids` are all statements that say it: its copies, and those that it corrects."""

    fact: Fact
    read: Any
    ids: tuple[bytes, ...]

    @property
    def record(self) -> str:
        return self.fact.record

    @property
    def rank(self) -> tuple[int, bytes]:
        return (self.fact.registered_at, self.fact.id)


@dataclass(slots=True)
class _Sighting:
    """Somebody had a unit in hand."""

    time: int
    issuer: bytes
    record: str


class _Fold:
    """The work on one view: each method is one chapter, and none looks at the order of arrival."""

    def __init__(self, policy: Policy, at: int, clock: Clock) -> None:
        self.policy = policy
        self.at = at
        self.clock = clock
        self.facts: dict[bytes, Fact] = {}
        self.steps: dict[tuple[bytes, int], Step] = {}
        self.raised: dict[tuple[Problem, tuple[str, ...]], Finding] = {}
        self.corrected: dict[str, str] = {}
        self.repeated: dict[str, str] = {}
        self.unread: dict[str, str] = {}
        self.stated: dict[bytes, int] = {}
        self.papers: dict[str, list[_Paper]] = defaultdict(list)
        self.events: list[Event] = []
        self.records: dict[str, set[str]] = defaultdict(set)
        self.sightings: dict[str, list[_Sighting]] = defaultdict(list)
        self.things_on_chain: dict[bytes, str] = {}
        self.chains: dict[str, list[bytes]] = defaultdict(list)
        self.legs: dict[str, list[Leg]] = defaultdict(list)
        self.closed: dict[str, tuple[int, str]] = {}
        self.contents: dict[str, list[tuple[tuple[int, int, int, str], str, Consignment]]] = defaultdict(list)
        self.owners: dict[bytes, set[bytes]] = defaultdict(set)
        self.bindings: dict[bytes, str] = {}
        self.despatches: dict[str, Despatch] = {}
        self.decided_by_chain: set[str] = set()

    def run(self, facts: Iterable[Fact], steps: Iterable[Step]) -> Custody:
        self.take(facts, steps)
        self.look_at_streams()
        self.read_papers()
        self.bind_chain()
        self.make_legs()
        lineage = self.trace_lineage()
        units = self.walk(lineage)
        self.explain()
        findings = tuple(sorted(self.raised.values(), key=lambda one: (one.problem, one.evidence)))
        return Custody(
            at=self.at,
            clock=self.clock,
            units=self.contest(units, findings),
            findings=findings,
            lineage=lineage,
            corrected=dict(sorted(self.corrected.items())),
            repeated=dict(sorted(self.repeated.items())),
            unread=dict(sorted(self.unread.items())),
            clocks={
                **{
                    one.record: (self.stated.get(one.id), one.registered_at, one.anchored_at)
                    for one in self.facts.values()
                },
                **{one.record: (None, one.time, one.time) for one in self.steps.values()},
            },
            streams={one.record: one.stream for one in self.facts.values()},
        )

    def find(
        self,
        problem: Problem,
        what: str,
        evidence: Iterable[str | None],
        units: Iterable[str],
        *,
        stream: bytes | None = None,
        weight: Weight | None = None,
    ) -> None:
        """Note a finding; the same one about several units becomes one."""
        shown = tuple(sorted({one for one in evidence if one is not None}))
        weight = weight or self.policy.weight(problem)
        known = self.raised.get((problem, shown))
        named = set(units)
        if known is not None:
            named.update(known.units)
            weight = min(weight, known.weight, key=_HEAVIEST.index)
            what = min(what, known.what)
        self.raised[problem, shown] = Finding(problem, what, shown, tuple(sorted(named)), weight, stream)

    # What is known

    def take(self, facts: Iterable[Fact], steps: Iterable[Step]) -> None:
        for fact in facts:
            known_at = fact.known_at(self.clock)
            if known_at is not None and known_at <= self.at:
                self.facts[fact.id] = fact
        for step in steps:
            if step.time > self.at:
                continue
            known = self.steps.setdefault((step.unit, step.sequence), step)
            if known != step:
                raise ConflictingSteps(*sorted((known, step), key=lambda one: (one.block, one.record)))
        self.facts = dict(sorted(self.facts.items()))
        self.steps = dict(sorted(self.steps.items()))

    def look_at_streams(self) -> None:
        streams: dict[bytes, dict[int, list[Fact]]] = defaultdict(dict)
        for fact in self.facts.values():
            streams[fact.stream].setdefault(fact.sequence, []).append(fact)
            if fact.is_disputed and fact.content is None:
                self.dispute(fact, ())
        for stream, numbers in streams.items():
            before = 0
            below: list[Fact] = []
            # A hole is as old as the first number known above it.
            first_above: dict[int, int] = {}
            oldest: int | None = None
            for number in sorted(numbers, reverse=True):
                registered = min(one.registered_at for one in numbers[number])
                oldest = registered if oldest is None else min(oldest, registered)
                first_above[number] = oldest
            for number in sorted(numbers):
                here = numbers[number]
                if number > before + 1 and first_above[number] + self.policy.stream_gap_after < self.at:
                    missing = f"number {before + 1}" + (f" to {number - 1}" if number > before + 2 else "")
                    self.find(
                        Problem.STREAM_HOLE,
                        f"{missing} of a stream never came, and no void stands in its place",
                        [one.record for one in (*below, *here)],
                        (),
                        stream=stream,
                    )
                if len(here) > 1:
                    self.find(
                        Problem.STREAM_FORK,
                        f"number {number} of a stream was given to {len(here)} statements",
                        [one.record for one in here],
                        (),
                        stream=stream,
                    )
                before, below = number, here

    def read_papers(self) -> None:
        """One paper for each thing said: copies counted once, corrections followed, contradictions named."""
        copies: dict[tuple[bytes, str, bytes], list[Fact]] = defaultdict(list)
        for fact in self.facts.values():
            if fact.is_void or fact.content is None or (fact.kind not in PARSERS and fact.kind != "epcis-event"):
                continue
            said = {name: value for name, value in fact.content.items() if name not in ("to", "replaces")}
            copies[fact.issuer, fact.kind, hashlib.sha256(canonical.dump(said)).digest()].append(fact)
        papers: dict[bytes, _Paper] = {}
        counts: dict[bytes, bytes] = {}
        for group in copies.values():
            group.sort(key=lambda one: (one.registered_at, one.id))
            fact = group[0]
            try:
                paper = _Paper(fact, _read(fact), tuple(one.id for one in group))
            except MalformedInput as error:
                for one in group:
                    self.unread[one.record] = str(error)
                continue
            papers[fact.id] = paper
            for one in group:
                counts[one.id] = fact.id
                if one is not fact:
                    self.repeated[one.record] = fact.record
        events = [one for one in papers.values() if isinstance(one.read, Event)]
        others = [one for one in papers.values() if not isinstance(one.read, Event)]
        self.take_events(events)
        self.take_facts(others, papers, counts)
        for kind in self.papers:
            self.papers[kind].sort(key=lambda one: one.rank)
        for group_of_kind in self.papers.values():
            for paper in group_of_kind:
                self.look_at_registration(paper)

    def take_events(self, papers: list[_Paper]) -> None:
        """EPCIS: an event with an error declaration takes back the one with its eventID, and is no event itself."""
        by_name: dict[tuple[bytes, str], list[_Paper]] = defaultdict(list)
        unnamed = []
        for paper in papers:
            event = _event_of(paper.fact)
            name = event.get("eventID")
            if isinstance(name, str):
                by_name[paper.fact.issuer, name].append(paper)
            elif "errorDeclaration" not in event:
                unnamed.append(paper)
        kept = unnamed
        for group in by_name.values():
            group.sort(key=lambda one: one.rank)
            declarations = [one for one in group if "errorDeclaration" in _event_of(one.fact)]
            events = [one for one in group if one not in declarations]
            for one in events:
                if declarations:
                    self.corrected[one.record] = declarations[0].record
            if len(events) > 1 and not declarations:
                self.conflict(events)
            if events and not declarations:
                kept.append(events[0])
        self.papers["epcis-event"] = kept
        for paper in kept:
            self.events.append(paper.read)

    def take_facts(self, others: list[_Paper], papers: Mapping[bytes, _Paper], counts: Mapping[bytes, bytes]) -> None:
        answers: dict[bytes, list[_Paper]] = defaultdict(list)
        for paper in sorted(others, key=lambda one: one.rank):
            corrects = getattr(paper.read, "corrects", None)
            if corrects is None:
                continue
            target = papers.get(counts.get(corrects, b""))
            if target is None:
                continue
            if (target.fact.issuer, target.fact.kind) != (paper.fact.issuer, paper.fact.kind):
                self.conflict([target, paper], "one member cannot correct what another said")
                continue
            answers[target.fact.id].append(paper)
        standing: list[_Paper] = []
        for paper in others:
            corrects = getattr(paper.read, "corrects", None)
            is_correction = corrects is not None and counts.get(corrects, b"") in papers
            if is_correction:
                continue  # it is reached from what it corrects
            here, ids = paper, list(paper.ids)
            while here.fact.id in answers:
                group = answers[here.fact.id]
                if len(group) > 1:
                    self.conflict(group)
                self.corrected[here.record] = group[0].record
                here = group[0]
                ids.extend(here.ids)
            standing.append(replace(here, ids=tuple(dict.fromkeys((*here.ids, *ids)))))
        named: dict[tuple[Any, ...], list[_Paper]] = defaultdict(list)
        for paper in standing:
            named[_name_of(paper)].append(paper)
        acted_on = {one.offer for one in self.steps.values()} | {one.acceptance for one in self.steps.values()}
        acted_on |= {paper.read.despatch for paper in standing if isinstance(paper.read, Receipt)}
        for group in named.values():
            # The one that the chain or a receipt names is the one both sides acted on; else the first that was known.
            group.sort(key=lambda one: (acted_on.isdisjoint(one.ids), one.rank))
            if len(group) > 1:
                self.conflict(group)
            self.papers[group[0].fact.kind].append(group[0])

    def dispute(self, fact: Fact, units: Iterable[str]) -> None:
        what = "the key that signed this is reported compromised since before it was anchored"
        # What a header alone is about nobody can tell: it touches every trail that its stream is part of.
        self.find(Problem.KEY_COMPROMISED, what, [fact.record], units, stream=None if fact.content else fact.stream)

    def conflict(self, papers: Sequence[_Paper], what: str = "one thing was said in two ways") -> None:
        units = {unit for paper in papers for unit in _units_of(paper)}
        self.find(Problem.CONFLICTING_EVENT, what, [one.record for one in papers], units)
        for unit in units:
            self.records[unit].update(one.record for one in papers)

    def look_at_registration(self, paper: _Paper) -> None:
        fact = paper.fact
        units = _units_of(paper)
        for unit in units:
            self.records[unit].add(fact.record)
            self.records[unit].update(to_hex(one) for one in paper.ids)
        if fact.is_disputed:
            self.dispute(fact, units)
        time = _stated_time(paper.read)
        if time is None:
            return
        self.stated[fact.id] = time
        is_correction = getattr(paper.read, "corrects", None) is not None
        late = fact.registered_at - time
        if late > self.policy.register_within and not is_correction:
            self.find(
                Problem.LATE_REGISTRATION,
                f"registered {late // 3_600_000} h after it happened",
                [fact.record],
                units,
            )

    # The chain

    def bind_chain(self) -> None:
        """Which thing each unit of the chain is: an opening proves it, a despatch only says so."""
        for paper in self.papers["custody-addresses"]:
            for address in paper.read.addresses:
                self.owners[address].add(paper.fact.issuer)
                self.bindings.setdefault(address, paper.record)
        claims: dict[bytes, tuple[str, str]] = {}
        for paper in (*self.papers["opening"], *self.papers["despatch"]):
            for consignment in paper.read.units:
                if consignment.chain is None:
                    continue
                thing, record = claims.setdefault(consignment.chain, (consignment.id.key, paper.record))
                if thing != consignment.id.key:
                    self.find(
                        Problem.CONFLICTING_EVENT,
                        "one unit of the chain was said to be two things",
                        [record, paper.record, to_hex(consignment.chain) + "#0"],
                        [thing, consignment.id.key],
                    )
        offered: dict[bytes, list[_Paper]] = defaultdict(list)
        for paper in self.papers["despatch"]:
            for one in paper.ids:
                offered[one].append(paper)
        by_unit: dict[bytes, list[Step]] = defaultdict(list)
        for step in self.steps.values():
            by_unit[step.unit].append(step)
            if step.unit in claims or step.offer is None:
                continue
            for paper in offered.get(step.offer, ()):
                if len(paper.read.units) == 1:
                    claims[step.unit] = (paper.read.units[0].id.key, paper.record)
        self.things_on_chain = {unit: thing for unit, (thing, _) in claims.items()}
        for unit, steps in by_unit.items():
            known = self.things_on_chain.get(unit)
            if known is None:
                continue
            self.chains[known].append(unit)
            self.records[known].update(one.record for one in steps)
            for before, after in pairwise(steps):
                if after.sequence != before.sequence + 1:
                    self.find(
                        Problem.GAP,
                        "steps that the chain must have taken are not here",
                        [before.record, after.record],
                        [known],
                    )
        continued = {
            consignment.chain: (consignment.continues, paper.record)
            for paper in reversed(self.papers["opening"])
            for consignment in paper.read.units
            if consignment.continues is not None
        }
        for thing, units in self.chains.items():
            units.sort(key=lambda one: (by_unit[one][0].time, one))
            self.look_at_openings(thing, units, by_unit, continued)

    def look_at_openings(
        self,
        thing: str,
        units: list[bytes],
        by_unit: Mapping[bytes, list[Step]],
        continued: Mapping[bytes, tuple[bytes, str]],
    ) -> None:
        """Whether a thing that has several units on the chain says why."""
        for before, unit in pairwise(units):
            last, first = by_unit[before][-1], by_unit[unit][0]
            older, record = continued.get(unit, (None, ""))
            if older == before:
                self.find(
                    Problem.REOPENED_AFTER_KEY_LOSS,
                    "custody of it goes on under a new unit, because the seed of the old one was lost",
                    [record, last.record, first.record],
                    [thing],
                )
            elif last.taker is None:
                self.find(
                    Problem.EVENT_AFTER_CLOSE,
                    "it was opened again after it was closed",
                    [last.record, first.record],
                    [thing],
                )
            else:
                self.find(Problem.FORK, "one thing was opened twice on the chain", [last.record, first.record], [thing])
        final = by_unit[units[-1]][-1]
        if final.taker is None:
            reason = final.reason
            time = self.stated.get(reason, final.time) if reason is not None else final.time
            self.closed[thing] = (time, final.record)

    # Handoffs

    def make_legs(self) -> None:
        receipts: dict[bytes, list[_Paper]] = defaultdict(list)
        for paper in self.papers["receipt"]:
            receipts[paper.read.despatch].append(paper)
        by_offer: dict[bytes, list[Step]] = defaultdict(list)
        for step in self.steps.values():
            if step.offer is not None and step.sequence > 0 and step.taker is not None:
                by_offer[step.offer].append(step)
        used: set[tuple[bytes, int]] = set()
        answered: set[bytes] = set()
        for paper in self.papers["despatch"]:
            despatch: Despatch = paper.read
            self.despatches[paper.record] = despatch
            answers = [one for id_ in paper.ids for one in receipts.get(id_, ())]
            answered.update(one.fact.id for one in answers)
            steps = [one for id_ in paper.ids for one in by_offer.get(id_, ())]
            by_thing = {self.things_on_chain.get(one.unit): one for one in steps}
            by_unit: dict[str, list[_Paper]] = defaultdict(list)
            for answer in answers:
                for identifier in answer.read.units:
                    by_unit[identifier.key].append(answer)
            for consignment in despatch.units:
                key = consignment.id.key
                taken = by_thing.get(key)
                if taken is not None:
                    used.add((taken.unit, taken.sequence))
                leg = self.leg(paper, consignment, by_unit.pop(key, []), taken)
                self.legs[key].append(leg)
                self.contents[key].append((leg.order, paper.record, consignment))
            for key, extra in by_unit.items():  # came with it, and was not on it
                for answer in extra:
                    self.see(key, answer)
                    self.find(
                        Problem.QUANTITY_NOT_CONSERVED,
                        "a unit came that was not offered",
                        [paper.record, answer.record],
                        [key],
                    )
        for paper in self.papers["receipt"]:
            if paper.fact.id in answered:
                continue
            receipt: Receipt = paper.read
            withheld = self.facts.get(receipt.despatch)
            for identifier in receipt.units:
                self.legs[identifier.key].append(self.orphan(paper, withheld, identifier.key, by_offer, used))
        for place, step in self.steps.items():
            if place in used or step.sequence == 0 or step.taker is None:
                continue
            thing = self.things_on_chain.get(step.unit)
            giver = self.owner(step.giver)
            if thing is None or (giver is not None and giver == self.owner(step.taker)):
                continue  # to an address of its own: so an offer is withdrawn
            self.legs[thing].append(self.bare_leg(step, thing))
        for paper in self.papers["gate-arrival"]:
            for identifier in paper.read.units:
                self.see(identifier.key, paper)
        for paper in self.papers["opening"]:
            for consignment in paper.read.units:
                self.see(consignment.id.key, paper)
        for event in self.events:
            for thing in event.things:
                self.sightings[thing].append(_Sighting(event.time, event.issuer, event.record))
            for thing in event.consumed:
                if thing not in self.closed or event.time < self.closed[thing][0]:
                    self.closed[thing] = (event.time, event.record)

        for key, legs in self.legs.items():
            self.legs[key] = self.withdraw(legs)
            for leg in self.legs[key]:
                self.look_at_silence(key, leg)

    def look_at_silence(self, key: str, leg: Leg) -> None:
        if leg.state is LegState.OVERDUE:
            self.find(Problem.ONE_SIDED_HANDOFF, "the taker never answered", leg.evidence, [key])
        if leg.state is LegState.DEEMED_ACCEPTED:
            what = "the taker never answered; the policy deems it accepted, and nobody signed that"
            self.find(Problem.ONE_SIDED_HANDOFF, what, leg.evidence, [key], weight=Weight.INFORMATION)

    def see(self, key: str, paper: _Paper) -> None:
        time = _stated_time(paper.read)
        if time is not None:
            self.sightings[key].append(_Sighting(time, paper.fact.issuer, paper.record))
            self.records[key].add(paper.record)

    def leg(self, paper: _Paper, consignment: Consignment, answers: list[_Paper], step: Step | None) -> Leg:
        despatch: Despatch = paper.read
        key = consignment.id.key
        own = sorted((one for one in answers if one.fact.issuer == despatch.taker), key=lambda one: one.rank)
        for other in answers:
            if other.fact.issuer != despatch.taker:
                self.see(key, other)
        accepted_by = None if step is None else step.acceptance
        own.sort(key=lambda one: (accepted_by not in one.ids, one.rank))
        if len(own) > 1:
            self.conflict(own, "the taker answered one offer in two ways")
        answer = own[0] if own else None
        receipt: Receipt | None = None if answer is None else answer.read
        discrepancies = () if receipt is None else tuple(one for one in receipt.discrepancies if one.unit.key == key)
        evidence = [paper.record, *([] if answer is None else [answer.record])]
        if any(one.what is not Deviation.DAMAGED for one in discrepancies):
            self.find(Problem.QUANTITY_NOT_CONSERVED, "what was received is not what was offered", evidence, [key])
        state = self.state(despatch, receipt, key, step)
        if step is not None and state is LegState.HANDED_OVER:
            known = answer is not None and accepted_by in answer.ids
            if not known or not self.is_between(step, paper.fact.issuer, despatch.taker):
                hidden = self.facts.get(accepted_by or b"")
                if hidden is not None and hidden.content is None and answer is None:
                    state = LegState.WITHHELD
                else:
                    state = LegState.UNEXPLAINED
                    self.unsigned(
                        "the chain took a handoff that these statements do not explain",
                        [
                            *evidence,
                            step.record,
                            self.bindings.get(step.giver or b""),
                            self.bindings.get(step.taker or b""),
                        ],
                        key,
                        paper.fact.issuer,
                        despatch.taker,
                    )
        received = None if receipt is None else receipt.received_at
        if state in _MOVED and received is not None and received < despatch.despatched_at - self.policy.clock_tolerance:
            self.find(Problem.TIME_REVERSAL, "received before it was despatched", evidence, [key])
        return Leg(
            giver=paper.fact.issuer,
            taker=despatch.taker,
            state=state,
            offer=paper.record,
            acceptance=None if answer is None else answer.record,
            step=None if step is None else step.record,
            despatched_at=despatch.despatched_at,
            received_at=received,
            order=self.order(despatch.despatched_at, step, paper.record),
            discrepancies=discrepancies,
        )

    def state(self, despatch: Despatch, receipt: Receipt | None, key: str, step: Step | None) -> LegState:
        if step is not None:
            return LegState.HANDED_OVER
        if receipt is None:
            if despatch.deadline >= self.at:
                return LegState.OFFERED
            if self.policy.deem_after is not None and despatch.deadline + self.policy.deem_after < self.at:
                return LegState.DEEMED_ACCEPTED
            return LegState.OVERDUE
        if receipt.outcome is Outcome.REFUSED:
            return LegState.REFUSED
        if any(
            one.unit.key == key and one.what is Deviation.SHORT and one.quantity is None
            for one in receipt.discrepancies
        ):
            return LegState.MISSING
        return LegState.PENDING

    def is_between(self, step: Step, giver: bytes, taker: bytes) -> bool:
        """Whether no address of the step is somebody else's; naming an address takes it from nobody."""
        for address, member in ((step.giver, giver), (step.taker, taker)):
            owners = self.owners.get(address or b"")
            if owners and member not in owners:
                return False
        return True

    def unsigned(
        self, what: str, evidence: Iterable[str | None], key: str, giver: bytes | None, taker: bytes | None
    ) -> None:
        weight = Weight.INFORMATION if self.policy.may_go_unsigned(giver, taker) else None
        if weight is not None:
            what += ", as the policy allows here"
        self.find(Problem.UNSIGNED_LEG, what, evidence, [key], weight=weight)

    def orphan(
        self,
        paper: _Paper,
        withheld: Fact | None,
        key: str,
        by_offer: Mapping[bytes, list[Step]],
        used: set[tuple[bytes, int]],
    ) -> Leg:
        """The leg of a receipt whose offer is not to be seen: withheld, or never made."""
        receipt: Receipt = paper.read
        step = next(
            (
                one
                for one in by_offer.get(receipt.despatch, ())
                if one.acceptance in paper.ids and self.things_on_chain.get(one.unit) in (key, None)
            ),
            None,
        )
        if step is not None:
            used.add((step.unit, step.sequence))
        if withheld is not None and withheld.kind == "despatch" and withheld.content is None:
            if receipt.outcome is Outcome.REFUSED:
                state = LegState.REFUSED
            else:
                state = LegState.WITHHELD if step is not None else LegState.PENDING
        elif step is not None:
            state = LegState.UNEXPLAINED
            giver = None if withheld is None else withheld.issuer
            what = "the chain took a handoff of an offer that is not there"
            self.unsigned(what, [paper.record, step.record], key, giver, paper.fact.issuer)
        else:
            state = LegState.REFUSED if receipt.outcome is Outcome.REFUSED else LegState.UNOFFERED
            if state is LegState.UNOFFERED and receipt.received_at + self.policy.answer_within < self.at:
                self.find(
                    Problem.ONE_SIDED_HANDOFF,
                    "something was accepted that nobody is known to have offered",
                    [paper.record],
                    [key],
                )
        return Leg(
            giver=None if withheld is None else withheld.issuer,
            taker=paper.fact.issuer,
            state=state,
            offer=None if withheld is None else withheld.record,
            acceptance=paper.record,
            step=None if step is None else step.record,
            despatched_at=None,
            received_at=receipt.received_at,
            order=self.order(receipt.received_at, step, paper.record),
        )

    def bare_leg(self, step: Step, thing: str) -> Leg:
        """The leg of a step of the chain that no statement here offers."""
        offer, acceptance = self.facts.get(step.offer or b""), self.facts.get(step.acceptance or b"")
        known = [one for one in (offer, acceptance) if one is not None]
        giver = offer.issuer if offer is not None else self.owner(step.giver)
        taker = acceptance.issuer if acceptance is not None else self.owner(step.taker)
        state = LegState.UNEXPLAINED
        if [one.kind for one in known] == ["despatch", "receipt"] and any(one.content is None for one in known):
            state = LegState.WITHHELD
        else:
            self.unsigned(
                "the chain took a handoff, and the statements of both sides are not there",
                [step.record, *(one.record for one in known)],
                thing,
                giver,
                taker,
            )
        return Leg(
            giver=giver,
            taker=taker,
            state=state,
            offer=None if offer is None else offer.record,
            acceptance=None if acceptance is None else acceptance.record,
            step=step.record,
            despatched_at=None,
            received_at=None,
            order=self.order(step.time, step, step.record),
        )

    def owner(self, address: bytes | None) -> bytes | None:
        owners = self.owners.get(address or b"", set())
        return next(iter(owners)) if len(owners) == 1 else None

    def order(self, time: int, step: Step | None, record: str) -> tuple[int, int, int, str]:
        """By stated time; `walk` then lets the chain's own order prevail among the steps of the chain."""
        if step is None:
            return (time, -1, -1, record)
        thing = self.things_on_chain.get(step.unit)
        generation = self.chains[thing].index(step.unit) if thing is not None else 0
        return (time, generation, step.sequence, record)

    # Lineage

    def trace_lineage(self) -> Lineage:
        contained = []
        for paper in (*self.papers["despatch"], *self.papers["opening"]):
            for consignment in paper.read.units:
                for line in consignment.contents:
                    lot = line.lot
                    if lot is not None:
                        contained.append(Link(lot, consignment.id.key, "contained", paper.record))
        lineage = trace(self.events, contained, self.policy)
        for oddity in lineage.oddities:
            self.find(oddity.problem, oddity.what, oddity.evidence, oddity.units)
        return lineage

    # Trails

    def walk(self, lineage: Lineage) -> dict[str, Unit]:
        done: dict[str, list[Leg]] = {}
        touched: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            if event.sort != "ObjectEvent":
                for thing in event.things:
                    touched[thing].append(event)
        units = {}
        keys = set(self.legs) | set(self.sightings) | set(self.closed)
        for key in sorted(keys):
            found = identify(key)
            legs = self.travelled(key, lineage, done, set())
            if found is not None and found.kind in ("lgtin", "gtin", "part-batch"):
                # A batch may be in many places: who has how much of it is told by the units that it lies in.
                units[key] = Unit(key, tuple(legs), None, (), False, None, None, tuple(sorted(self.records[key])))
                continue
            units[key] = self.walk_one(key, legs, lineage)
            self.weigh(key, touched.get(key, []))
            self.look_after_close(key, legs)
        return units

    def travelled(self, key: str, lineage: Lineage, done: dict[str, list[Leg]], above: set[str]) -> list[Leg]:
        """The legs of `key` and those that it made inside of something else, in order."""
        if key in done:
            return done[key]
        legs = _in_order(self.legs.get(key, []))
        if key not in above:
            carried: list[Leg] = []
            for stay in lineage.stays.get(key, ()):
                carried.extend(
                    replace(leg, carried_in=leg.carried_in or stay.parent)
                    for leg in self.travelled(stay.parent, lineage, done, above | {key})
                    if leg.start >= stay.since and (stay.until is None or leg.start < stay.until)
                )
            if carried:
                legs = _in_order([*legs, *carried])
        if not above or key not in lineage.stays:
            done[key] = legs
        return legs

    def withdraw(self, legs: list[Leg]) -> list[Leg]:
        """An offer that nobody took is withdrawn by the next handoff of its giver."""
        last: dict[bytes | None, int] = {}
        for leg in legs:
            if leg.state in _MOVED and leg.state is not LegState.DEEMED_ACCEPTED:
                last[leg.giver] = max(last.get(leg.giver, leg.start), leg.start)
        result = []
        for leg in legs:
            open_ = leg.state in (LegState.OFFERED, LegState.OVERDUE, LegState.DEEMED_ACCEPTED)
            if open_ and leg.giver in last and leg.start < last[leg.giver]:
                leg = replace(leg, state=LegState.WITHDRAWN)
            result.append(leg)
        return result

    def walk_one(self, key: str, legs: list[Leg], lineage: Lineage) -> Unit:
        tolerance = self.policy.clock_tolerance
        sightings = sorted(self.sightings.get(key, []), key=lambda one: (one.time, one.record))
        moved = _linked([one for one in legs if one.state in _MOVED])
        holder: bytes | None = None
        gave: dict[bytes, Leg] = {}
        claims: set[bytes] = set()
        before: Leg | None = None
        on_chain: bytes | None = None
        forked: set[bytes | None] = set()
        for leg in moved:
            # After a fork each taker may hand on what it has: that was said once, and is not said again.
            if (
                before is not None
                and leg.giver is not None
                and holder is not None
                and leg.giver not in {holder, *claims}
            ):
                evidence = [*before.evidence, *leg.evidence]
                if leg.giver in gave:
                    first = gave[leg.giver]
                    forked |= {first.taker, leg.taker}
                    evidence = [*first.evidence, *leg.evidence]
                    self.own(Problem.FORK, "one custodian handed it to two", evidence, key, leg, first)
                else:
                    what = "it was handed on by somebody to whom nobody had handed it"
                    self.own(Problem.GAP, what, evidence, key, leg, before)
            elif before is not None and _is_reversed(before.received_at, leg.despatched_at, tolerance):
                evidence = [*before.evidence, *leg.evidence]
                self.own(Problem.TIME_REVERSAL, "handed on before it was received", evidence, key, leg, before)
            if leg.giver is not None:
                gave[leg.giver] = leg
                claims.discard(leg.giver)
            if leg.taker is not None:
                gave.pop(leg.taker, None)
                claims.add(leg.taker)
            if leg.step is not None:
                on_chain = leg.taker
                if leg.carried_in is None:
                    self.decided_by_chain.add(key)
            holder, before = leg.taker, leg
        if not moved:
            offered = next((one.giver for one in legs if one.giver is not None), None)
            holder = offered or (sightings[-1].issuer if sightings else None)
            if holder is not None:
                claims.add(holder)
        claims |= self.look_at_possession(key, legs, moved, sightings, forked)
        self.look_at_agreed_legs(key, moved)
        return Unit(
            key=key,
            legs=tuple(legs),
            custodian=on_chain if key in self.decided_by_chain else holder,
            claims=tuple(sorted(claims)),
            is_contested=False,  # until `contest`, when explanations are known
            closed_at=self.closed[key][0] if key in self.closed else None,
            within=lineage.parent_at(key, self.at),
            records=tuple(sorted(self.records[key] | {one.record for one in sightings})),
        )

    def own(self, problem: Problem, what: str, evidence: Iterable[str], key: str, *legs: Leg) -> None:
        """A finding about legs, unless all of them are those of a carrier, which has the finding itself."""
        if any(leg.carried_in is None for leg in legs):
            self.find(problem, what, evidence, [key])

    def look_at_possession(
        self, key: str, legs: list[Leg], moved: list[Leg], sightings: list[_Sighting], forked: set[bytes | None]
    ) -> set[bytes]:
        """The members who had the unit in hand while it was another's."""
        tolerance = self.policy.clock_tolerance
        claimants: set[bytes] = set()
        start = moved[0].start if moved else None
        last: _Sighting | None = None
        offered = {one.taker for one in legs if one.taker is not None}
        for sighting in sightings:
            self.records[key].add(sighting.record)
            if start is None or sighting.time < start - tolerance:
                if (
                    last is not None
                    and last.issuer != sighting.issuer
                    and not (start is None and sighting.issuer in offered)
                ):
                    self.find(
                        Problem.GAP,
                        "it went from one to another, and nobody handed it over",
                        [last.record, sighting.record],
                        [key],
                    )
                last = sighting
        if last is not None and moved and moved[0].giver is not None and last.issuer != moved[0].giver:
            self.find(
                Problem.GAP,
                "it was handed on by another than the one who had it",
                [last.record, *moved[0].evidence],
                [key],
            )
        if not moved or start is None:
            return claimants
        # Each leg opens a span in which both sides may have it in hand, and leaves it with the taker.
        place = 0
        spans: list[tuple[int, int, Leg]] = []
        for at, leg in enumerate(moved):
            # A step whose statements are not here has the block's time only, and goods move before blocks do.
            first = leg.start if leg.despatched_at is not None or at == 0 else moved[at - 1].start
            spans.append((first - tolerance, (leg.received_at or _latest(leg, self.at)) + tolerance, leg))
        for sighting in sightings:
            if sighting.time < start - tolerance:
                continue
            while place + 1 < len(spans) and spans[place + 1][0] <= sighting.time:
                place += 1
            allowed: set[bytes | None] = {spans[place][2].taker}
            for first, end, leg in spans[max(0, place - 2) : place + 2]:
                if first <= sighting.time <= end:
                    allowed |= {leg.giver, leg.taker, *self.carriers(leg)}
            for leg in legs:
                if leg.state in (LegState.OFFERED, LegState.OVERDUE, LegState.REFUSED, LegState.MISSING) and (
                    leg.start - tolerance <= sighting.time
                ):
                    allowed.add(leg.taker)
            allowed |= forked
            if None in allowed or sighting.issuer in allowed:
                continue
            claimants.add(sighting.issuer)
            self.find(
                Problem.DOUBLE_POSSESSION,
                "a second member had it in hand while it was another's",
                [sighting.record, *spans[place][2].evidence],
                [key],
            )
        return claimants

    def carriers(self, leg: Leg) -> set[bytes | None]:
        """The members who carry between giver and taker, as the giver said."""
        despatch = self.despatches.get(leg.offer or "")
        if despatch is None:
            return set()
        return {despatch.carrier_for, *(side for one in despatch.legs for side in (one.giver, one.taker))} - {None}

    def look_at_agreed_legs(self, key: str, moved: list[Leg]) -> None:
        signed = {(one.giver, one.taker) for one in moved}
        for leg in moved:
            despatch = self.despatches.get(leg.offer or "") if leg.carried_in is None else None
            for agreed in () if despatch is None else despatch.legs:
                if (agreed.giver, agreed.taker) not in signed:
                    self.unsigned(
                        "an agreed leg has no handoff of its own", leg.evidence[:2], key, agreed.giver, agreed.taker
                    )

    def weigh(self, key: str, touched: list[Event]) -> None:
        """Whether what is in the unit stays what it was from one despatch to the next."""
        expected: dict[tuple[str, str], tuple[Fraction, Fraction]] | None = None
        source: list[str] = []
        since = 0
        legs = {leg.offer: leg for leg in self.legs.get(key, [])}
        for order, record, consignment in sorted(self.contents.get(key, []), key=lambda one: one[0]):
            leg = legs.get(record)
            if not consignment.contents or leg is None:
                expected = None
                continue
            amounts: dict[tuple[str, str], Fraction] = {}
            for line in consignment.contents:
                amounts[line.part, line.uom] = amounts.get((line.part, line.uom), Fraction(0)) + line.quantity
            between = [one for one in touched if since < one.time <= order[0]]
            expected = _adjusted(expected, key, sorted(between, key=lambda one: (one.time, one.record)))
            if expected is not None and not self.fits(expected, amounts):
                self.find(
                    Problem.QUANTITY_NOT_CONSERVED,
                    "what was handed on is not what was received",
                    [*source, record],
                    [key],
                )
            if leg.state in _MOVED:
                expected = _received(amounts, leg.discrepancies)
                source = list(leg.evidence[:2])
                since = order[0]
            else:
                expected, source, since = {one: (value, value) for one, value in amounts.items()}, [record], order[0]

    def fits(
        self, expected: Mapping[tuple[str, str], tuple[Fraction, Fraction]], found: Mapping[tuple[str, str], Fraction]
    ) -> bool:
        for key in expected.keys() | found.keys():
            least, most = expected.get(key, (Fraction(0), Fraction(0)))
            slack = most * self.policy.quantity_tolerance.get(key[1], Fraction(0))
            if not least - slack <= found.get(key, Fraction(0)) <= most + slack:
                return False
        return True

    def look_after_close(self, key: str, legs: list[Leg]) -> None:
        if key not in self.closed:
            return
        time, record = self.closed[key]
        latest = time + self.policy.clock_tolerance
        for sighting in self.sightings.get(key, []):
            if sighting.time > latest and sighting.record != record:
                self.find(Problem.EVENT_AFTER_CLOSE, "it was seen after it had ended", [record, sighting.record], [key])
        for leg in legs:
            if leg.start > latest and leg.carried_in is None and leg.step is None:
                self.find(
                    Problem.EVENT_AFTER_CLOSE, "it was handed on after it had ended", [record, *leg.evidence], [key]
                )

    # Explanations

    def explain(self) -> None:
        by_id = {finding_id(problem, evidence): (problem, evidence) for problem, evidence in self.raised}
        for paper in self.papers["explanation"]:
            explanation: Explanation = paper.read
            # What was corrected since is the same evidence, said better.
            evidence = tuple(sorted({self.standing(one) for one in explanation.evidence}))
            place = by_id.get(finding_id(explanation.problem, explanation.evidence)) or by_id.get(
                finding_id(explanation.problem, evidence)
            )
            if place is None:
                continue
            finding = self.raised[place]
            legs = (leg for unit in finding.units for leg in self.legs.get(unit, ()))
            heard = {side for leg in legs for side in (leg.giver, leg.taker)}
            heard |= {self.facts[from_hex(one, 32)].issuer for one in finding.evidence if len(one) == 66}
            if paper.fact.issuer in heard:
                said = tuple(sorted({*finding.explained_by, paper.record}))
                self.raised[place] = replace(finding, explained_by=said)
                for unit in finding.units:
                    self.records[unit].add(paper.record)

    def standing(self, record: str) -> str:
        """The record that holds in place of `record`: itself, the one that corrects it, or the first copy of it."""
        while record in self.corrected or record in self.repeated:
            record = self.corrected.get(record) or self.repeated[record]
        return record

    def contest(self, units: Mapping[str, Unit], findings: Sequence[Finding]) -> dict[str, Unit]:
        contested = {
            unit
            for one in findings
            if one.problem in (Problem.FORK, Problem.DOUBLE_POSSESSION) and not one.is_explained
            for unit in one.units
        }
        result = {}
        for key, unit in units.items():
            is_contested = key in contested
            result[key] = replace(
                unit,
                is_contested=is_contested,
                custodian=unit.custodian if key in self.decided_by_chain or not is_contested else None,
                records=tuple(sorted({*unit.records, *self.records[key]})),
            )
        return result


_HEAVIEST = [Weight.BREAKS, Weight.NEEDS_EXPLAINING, Weight.INFORMATION]


def _event_of(fact: Fact) -> Mapping[str, Any]:
    event = (fact.content or {}).get("event")
    return event if isinstance(event, dict) else {}


def _read(fact: Fact) -> Any:
    if fact.kind == "epcis-event":
        return Event.read(_event_of(fact), fact.record, fact.issuer)
    return PARSERS[fact.kind](fact.content)


def _name_of(paper: _Paper) -> tuple[Any, ...]:
    """What makes two papers of one issuer the same thing said twice."""
    fact, read = paper.fact, paper.read
    # A receipt is held against other receipts of the same offer, unit by unit, when the legs are made.
    if isinstance(read, Receipt | Explanation | Opening) or not hasattr(read, "document"):
        return (fact.id,)
    return (fact.issuer, fact.kind, read.document)


def _units_of(paper: _Paper) -> list[str]:
    read = paper.read
    if isinstance(read, Event):
        return list(read.things)
    if isinstance(read, Despatch | Opening):
        return [one.id.key for one in read.units]
    if isinstance(read, Receipt | GateArrival):
        return [one.key for one in read.units]
    return [one.unit.key for one in getattr(read, "items", ()) if one.unit is not None]


def _stated_time(read: Any) -> int | None:
    for name in ("time", "despatched_at", "received_at", "arrived_at", "opened_at", "raised_at"):
        time = getattr(read, name, None)
        if time is not None:
            return int(time)
    return None


def _is_reversed(earlier: int | None, later: int | None, tolerance: int) -> bool:
    return earlier is not None and later is not None and later < earlier - tolerance


def _latest(leg: Leg, at: int) -> int:
    """Until when both sides may have it in hand if nobody stated when it was received."""
    return at if leg.state is LegState.DEEMED_ACCEPTED else leg.start


def _in_order(legs: Iterable[Leg]) -> list[Leg]:
    """By stated time, but steps of the chain in the chain's order: it is the one thing here that nobody states."""
    ordered = sorted(legs, key=lambda one: one.order)
    chained = sorted(
        (one for one in ordered if one.step is not None and one.carried_in is None), key=lambda one: one.order[1:3]
    )
    latest = 0
    times = {}
    for leg in chained:
        latest = max(latest, leg.order[0])
        times[leg.step] = latest
    return sorted(
        ordered,
        key=lambda one: (
            times.get(one.step, one.order[0]) if one.carried_in is None else one.order[0],
            one.order[1:],
        ),
    )


def _linked(legs: list[Leg]) -> list[Leg]:
    """The legs, with one that closes a gap taken before the leg that it was stated after."""
    rest = list(legs)
    result: list[Leg] = []
    holder: bytes | None = None
    while rest:
        leg = rest[0]
        if holder is not None and leg.giver is not None and leg.giver != holder:
            for other in rest[1:8]:
                if other.giver == holder and other.taker == leg.giver and (other.step is None or leg.step is None):
                    leg = other
                    break
        rest.remove(leg)
        result.append(leg)
        holder = leg.taker
    return result


def _received(
    amounts: Mapping[tuple[str, str], Fraction], discrepancies: Iterable[Discrepancy]
) -> dict[tuple[str, str], tuple[Fraction, Fraction]] | None:
    """What the taker has after a receipt, at least and at most; None where it does not say."""
    result = {key: (value, value) for key, value in amounts.items()}
    for one in discrepancies:
        if one.quantity is None or one.part is None or one.uom is None or one.what is Deviation.WRONG_PART:
            return None
        key = (one.part, one.uom)
        least, most = result.get(key, (Fraction(0), Fraction(0)))
        if one.what is Deviation.SHORT:
            least, most = least - one.quantity, most - one.quantity
        elif one.what is Deviation.OVER:
            least, most = least + one.quantity, most + one.quantity
        else:  # damaged goods may go on or may not
            least -= one.quantity
        result[key] = (least, most)
    return result


def _adjusted(
    expected: dict[tuple[str, str], tuple[Fraction, Fraction]] | None, key: str, events: Sequence[Event]
) -> dict[tuple[str, str], tuple[Fraction, Fraction]] | None:
    """`expected` after things were packed into the unit or taken out; None where an event does not say how much."""
    if expected is None or not events:
        return expected
    result = dict(expected)
    for event in events:
        if event.parent != key and event.sort != "TransformationEvent":
            continue  # it was itself packed
        if event.sort == "TransformationEvent" or not event.amounts:
            return None
        sign = 1 if event.action == "ADD" else -1 if event.action == "DELETE" else 0
        for part, amount in event.amounts.items():
            least, most = result.get(part, (Fraction(0), Fraction(0)))
            result[part] = (least + sign * amount, most + sign * amount)
    return result
