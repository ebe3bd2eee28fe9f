"""Handoffs, one unit at a time, as far as both sides and the chain tell of them; and who had what in hand. Pure.

`docs/formats.md`, 9.6.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ledger_service.custody.binding import Binding
from ledger_service.custody.findings import Findings
from ledger_service.custody.kinds import Consignment, Despatch, Deviation, Outcome, Receipt
from ledger_service.custody.papers import Paper, Papers, conflict, stated_time
from ledger_service.custody.policy import Problem, Weight
from ledger_service.custody.record import Fact, Step
from ledger_service.custody.trail import MOVED, Leg, LegState
from ledger_service.keys import to_hex

_OPEN = frozenset({LegState.OFFERED, LegState.OVERDUE, LegState.DEEMED_ACCEPTED})


@dataclass(frozen=True, slots=True, order=True)
class Sighting:
    """Somebody had a unit in hand at a stated time (ms)."""

    time: int
    record: str
    issuer: bytes


@dataclass(frozen=True, slots=True)
class Handling:
    """What happened to each unit: its legs in order, who saw it, what despatches said was in it, and its end.

    `despatches` are the standing ones by their records; `records` are those of offers that receipts name.
    """

    legs: Mapping[str, Sequence[Leg]]
    sightings: Mapping[str, Sequence[Sighting]]
    contents: Mapping[str, Sequence[tuple[str, Consignment]]]
    closed: Mapping[str, tuple[int, str]]
    despatches: Mapping[str, Despatch]
    records: Mapping[str, set[str]]


def make_legs(papers: Papers, chain: Binding, at: int, findings: Findings) -> Handling:
    """The legs of all units as known at `at` (ms)."""
    return _Making(papers, chain, at, findings).handling()


@dataclass(slots=True)
class _Making:
    papers: Papers
    chain: Binding
    at: int
    findings: Findings
    legs: dict[str, list[Leg]] = field(default_factory=lambda: defaultdict(list))
    sightings: dict[str, list[Sighting]] = field(default_factory=lambda: defaultdict(list))
    contents: dict[str, list[tuple[str, Consignment]]] = field(default_factory=lambda: defaultdict(list))
    records: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    by_offer: dict[bytes, list[Step]] = field(default_factory=lambda: defaultdict(list))
    used: set[tuple[bytes, int]] = field(default_factory=set)
    agreed: dict[str, set[tuple[bytes, bytes]]] = field(default_factory=dict)
    """Of each despatch with legs of carriers between giver and taker: these."""

    def handling(self) -> Handling:
        for step in self.chain.steps:
            if step.offer is not None and _is_handoff(step):
                self.by_offer[step.offer].append(step)
        answered = self.answer_despatches()
        for paper in self.papers.of("receipt"):
            if paper.fact.id not in answered:
                for identifier in paper.read.units:
                    self.legs[identifier.key].append(self.unoffered_leg(paper, identifier.key))
        self.take_bare_steps()
        closed = self.see_all()
        despatches = {one.record: one.read for one in self.papers.of("despatch")}
        self.agreed = {
            record: {(leg.giver, leg.taker) for leg in one.legs} for record, one in despatches.items() if one.legs
        }
        for key, legs in self.legs.items():
            self.legs[key] = self.withdrawn(self.after_agreed_legs(_in_order(legs)))
            for leg in self.legs[key]:
                self.look_at_silence(key, leg)
        for seen in self.sightings.values():
            seen.sort()
        return Handling(self.legs, self.sightings, self.contents, closed, despatches, self.records)

    def answer_despatches(self) -> set[bytes]:
        """The legs of what was offered; the ids of the receipts that answer something offered here."""
        receipts: dict[bytes, list[Paper]] = defaultdict(list)
        for paper in self.papers.of("receipt"):
            receipts[paper.read.despatch].append(paper)
            named = self.papers.facts.get(paper.read.despatch)
            if named is not None:
                for unit in paper.units:
                    self.records[unit].add(named.record)
        answered: set[bytes] = set()
        for paper in self.papers.of("despatch"):
            by_unit: dict[str, list[Paper]] = defaultdict(list)
            for id_ in paper.ids:
                for answer in receipts.get(id_, ()):
                    answered.add(answer.fact.id)
                    for unit in answer.units:
                        by_unit[unit].append(answer)
            steps: dict[str | None, Step] = {}
            for step in sorted((one for id_ in paper.ids for one in self.by_offer.get(id_, ())), key=_place):
                steps.setdefault(self.chain.things.get(step.unit), step)
            for consignment in paper.read.units:
                key = consignment.id.key
                taken = steps.get(key)
                if taken is not None:
                    self.used.add(_place(taken))
                self.legs[key].append(self.offered_leg(paper, key, by_unit.pop(key, []), taken))
                self.contents[key].append((paper.record, consignment))
            for key, extra in by_unit.items():  # came with it, and was not on it
                for answer in extra:
                    self.see(key, answer)
                    what = "a unit came that was not offered"
                    self.findings.add(Problem.QUANTITY_NOT_CONSERVED, what, [paper.record, answer.record], [key])
        return answered

    def offered_leg(self, paper: Paper, key: str, answers: Sequence[Paper], step: Step | None) -> Leg:
        despatch: Despatch = paper.read
        giver, taker = paper.fact.issuer, despatch.taker
        accepted_by = None if step is None else step.acceptance
        own = []
        for answer in answers:
            if answer.fact.issuer == taker:
                own.append(answer)
            else:
                self.see(key, answer)
        if len(own) > 1:
            own.sort(key=lambda one: (accepted_by not in one.ids, one.rank))
            conflict(own, "the taker answered one offer in two ways", self.findings)
        accepted = own[0] if own else None
        receipt: Receipt | None = None if accepted is None else accepted.read
        discrepancies = () if receipt is None else tuple(one for one in receipt.discrepancies if one.unit.key == key)
        evidence = [paper.record, *([] if accepted is None else [accepted.record])]
        if any(one.what is not Deviation.DAMAGED for one in discrepancies):
            what = "what was received is not what was offered"
            self.findings.add(Problem.QUANTITY_NOT_CONSERVED, what, evidence, [key])
        if step is not None:
            state = self.state_on_chain(step, accepted, giver, taker)
        else:
            state = self.state_off_chain(despatch, receipt, key, is_seen=_is_shown_to(paper.fact, taker))
        if step is not None and state is LegState.UNEXPLAINED:
            sides = ((step.giver, giver), (step.taker, taker))
            strange = [one for one, side in sides if self.chain.is_anothers(one, side, step.time)]
            bound = [self.chain.bound_by[one or b""] for one in strange]
            what = "the chain took a handoff that these statements do not explain"
            self.findings.unsigned(what, [*evidence, step.record, *bound], key, giver, taker)
        is_missing = any(one.what is Deviation.SHORT and one.quantity is None for one in discrepancies)
        received = None if receipt is None else receipt.received_at
        tolerance = self.findings.policy.clock_tolerance
        if state in MOVED and received is not None and received < despatch.despatched_at - tolerance:
            self.findings.add(Problem.TIME_REVERSAL, "received before it was despatched", evidence, [key])
        return Leg(
            giver=giver,
            taker=taker,
            state=state,
            offer=paper.record,
            acceptance=None if accepted is None else accepted.record,
            step=None if step is None else step.record,
            despatched_at=despatch.despatched_at,
            received_at=received,
            order=self.chain.order(despatch.despatched_at, step, paper.record),
            discrepancies=discrepancies,
            missing_since=accepted.fact.registered_at if is_missing and accepted is not None else None,
        )

    def state_on_chain(self, step: Step, accepted: Paper | None, giver: bytes, taker: bytes) -> LegState:
        sides = ((step.giver, giver), (step.taker, taker))
        strange = any(self.chain.is_anothers(one, side, step.time) for one, side in sides)
        if accepted is not None and step.acceptance in accepted.ids and not strange:
            return LegState.HANDED_OVER
        hidden = self.papers.facts.get(step.acceptance or b"")
        if accepted is not None or hidden is None or hidden.content is not None or strange:
            return LegState.UNEXPLAINED
        # Anything of which only the header is known would do otherwise, and its taker need not have said a word.
        is_answer = (hidden.issuer, hidden.kind) == (taker, "receipt")
        return LegState.WITHHELD if is_answer else LegState.UNEXPLAINED

    def state_off_chain(self, despatch: Despatch, receipt: Receipt | None, key: str, *, is_seen: bool) -> LegState:
        if receipt is None:
            deem_after = self.findings.policy.deem_after
            if despatch.deadline >= self.at:
                return LegState.OFFERED
            # Nobody is held to silence about what was not shown to them.
            if is_seen and deem_after is not None and despatch.deadline + deem_after < self.at:
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

    def unoffered_leg(self, paper: Paper, key: str) -> Leg:
        """The leg of a receipt whose offer is not to be seen: withheld, or never made."""
        receipt: Receipt = paper.read
        offer = self.papers.facts.get(receipt.despatch)
        fitting = (
            one
            for one in self.by_offer.get(receipt.despatch, ())
            if one.acceptance in paper.ids and self.chain.things.get(one.unit) in (key, None)
        )
        step = min(fitting, key=_place, default=None)
        if step is not None:
            self.used.add(_place(step))
        is_refused = receipt.outcome is Outcome.REFUSED
        if offer is not None and offer.kind == "despatch" and offer.content is None:
            state = LegState.PENDING if step is None else LegState.WITHHELD
            state = LegState.REFUSED if is_refused else state
        elif step is not None:
            state = LegState.UNEXPLAINED
            giver = None if offer is None else offer.issuer
            what = "the chain took a handoff of an offer that is not there"
            self.findings.unsigned(what, [paper.record, step.record], key, giver, paper.fact.issuer)
        else:
            state = LegState.REFUSED if is_refused else LegState.UNOFFERED
            if not is_refused and receipt.received_at + self.findings.policy.answer_within < self.at:
                what = "something was accepted that nobody is known to have offered"
                self.findings.add(Problem.ONE_SIDED_HANDOFF, what, [paper.record], [key])
        return Leg(
            giver=None if offer is None else offer.issuer,
            taker=paper.fact.issuer,
            state=state,
            offer=None if offer is None else offer.record,
            acceptance=paper.record,
            step=None if step is None else step.record,
            despatched_at=None,
            received_at=receipt.received_at,
            order=self.chain.order(receipt.received_at, step, paper.record),
        )

    def take_bare_steps(self) -> None:
        """The legs of steps that no statement here offers; one to an address of one's own only withdraws an offer."""
        for step in self.chain.steps:
            thing = self.chain.things.get(step.unit)
            if thing is None or not _is_handoff(step) or _place(step) in self.used:
                continue
            giver = self.chain.owner(step.giver)
            if giver is None or giver != self.chain.owner(step.taker):
                self.legs[thing].append(self.bare_leg(step, thing))

    def bare_leg(self, step: Step, thing: str) -> Leg:
        facts = self.papers.facts
        offer, acceptance = facts.get(step.offer or b""), facts.get(step.acceptance or b"")
        giver = offer.issuer if offer is not None else self.chain.owner(step.giver)
        taker = acceptance.issuer if acceptance is not None else self.chain.owner(step.taker)
        state = LegState.WITHHELD if _are_withheld(offer, acceptance) else LegState.UNEXPLAINED
        known = [one.record for one in (offer, acceptance) if one is not None]
        if state is LegState.UNEXPLAINED and known:
            what = "the chain took a handoff, and the statements of both sides are not there"
            self.findings.unsigned(what, [step.record, *known], thing, giver, taker)
        elif state is LegState.UNEXPLAINED:
            # Partners further on do not show theirs to those behind: that alone breaks nobody's record.
            what = "the chain took a handoff, and no statement of either side is shown here"
            self.findings.add(Problem.UNSIGNED_LEG, what, [step.record], [thing], weight=Weight.INFORMATION)
        return Leg(
            giver=giver,
            taker=taker,
            state=state,
            offer=None if offer is None else offer.record,
            acceptance=None if acceptance is None else acceptance.record,
            step=step.record,
            despatched_at=None,
            received_at=None,
            order=self.chain.order(step.time, step, step.record),
        )

    def see_all(self) -> dict[str, tuple[int, str]]:
        """Note who had what in hand; the end of each thing that came to one, and the record that tells it."""
        for paper in (*self.papers.of("gate-arrival"), *self.papers.of("opening")):
            for key in paper.units:
                self.see(key, paper)
        closed = dict(self.chain.closed)
        for event in self.papers.events:
            for thing in event.things:
                self.sightings[thing].append(Sighting(event.time, event.record, event.issuer))
            for thing in event.consumed:
                end = (event.time, event.record)
                closed[thing] = min(closed.get(thing, end), end)
        return closed

    def see(self, key: str, paper: Paper) -> None:
        time = stated_time(paper)
        if time is not None:
            self.sightings[key].append(Sighting(time, paper.record, paper.fact.issuer))

    def after_agreed_legs(self, legs: list[Leg]) -> list[Leg]:
        """The legs, but what carriers were to bring in parts comes after the parts they signed for: it ends them."""
        if not self.agreed or self.agreed.keys().isdisjoint(leg.offer for leg in legs):
            return legs
        result = []
        for leg in legs:
            agreed = self.agreed.get(leg.offer or "", set())
            if agreed and leg.step is None and leg.state in MOVED:
                tolerance = self.findings.policy.clock_tolerance
                end = self.at if leg.received_at is None else leg.received_at + tolerance
                parts = [
                    one.start
                    for one in legs
                    if one.state in MOVED and (one.giver, one.taker) in agreed and one.start <= end
                ]
                if parts and max(parts) >= leg.start:
                    leg = replace(leg, order=(max(parts) + 1, *leg.order[1:]))
            result.append(leg)
        return sorted(result, key=lambda one: one.order)

    def withdrawn(self, legs: list[Leg]) -> list[Leg]:
        """An offer that nobody took is withdrawn by the next handoff of its giver, unless that is a part of it."""
        if not any(leg.state in _OPEN for leg in legs):
            return legs
        moved = [leg for leg in legs if leg.state in MOVED and leg.state is not LegState.DEEMED_ACCEPTED]
        result = []
        for leg in legs:
            agreed = self.agreed.get(leg.offer or "", set())
            if leg.state in _OPEN and any(
                one.giver == leg.giver and one.start > leg.start and (one.giver, one.taker) not in agreed
                for one in moved
            ):
                leg = replace(leg, state=LegState.WITHDRAWN)
            result.append(leg)
        return result

    def look_at_silence(self, key: str, leg: Leg) -> None:
        if leg.state is LegState.OVERDUE:
            self.findings.add(Problem.ONE_SIDED_HANDOFF, "the taker never answered", leg.evidence, [key])
        if leg.state is LegState.DEEMED_ACCEPTED:
            what = "the taker never answered; the policy deems it accepted, and nobody signed that"
            self.findings.add(Problem.ONE_SIDED_HANDOFF, what, leg.evidence, [key], weight=Weight.INFORMATION)


def _is_handoff(step: Step) -> bool:
    return step.sequence > 0 and step.taker is not None


def _place(step: Step) -> tuple[bytes, int]:
    return (step.unit, step.sequence)


def _are_withheld(offer: Fact | None, acceptance: Fact | None) -> bool:
    """Whether both sides' statements are known to be there, and neither can be read.

    One that can be read and did not lead to this leg speaks of something else, whatever the hidden one says.
    """
    if offer is None or acceptance is None or (offer.kind, acceptance.kind) != ("despatch", "receipt"):
        return False
    return offer.content is None and acceptance.content is None


def _is_shown_to(fact: Fact, member: bytes) -> bool:
    """Whether `member` is in the audience of a statement whose content is known."""
    readers = None if fact.content is None else fact.content.get("to")
    return isinstance(readers, list) and to_hex(member) in readers


def _in_order(legs: Iterable[Leg]) -> list[Leg]:
    """By start, but steps of the chain in the chain's order: it is the one thing here that nobody states."""
    result = []
    latest: int | None = None
    for leg in sorted(legs, key=lambda one: one.order[1:]):
        if leg.step is not None:
            if latest is not None and leg.start < latest:
                leg = replace(leg, order=(latest, *leg.order[1:]))
            latest = leg.start
        result.append(leg)
    result.sort(key=lambda one: one.order)
    return result
