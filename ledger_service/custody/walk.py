"""The way of one unit, leg by leg: who has it, and what cannot have been so. Pure.

`docs/formats.md`, 9.8.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from heapq import heappop, heappush

from ledger_service.custody.findings import Findings
from ledger_service.custody.kinds import BATCH_KINDS, Consignment, Deviation, Discrepancy
from ledger_service.custody.legs import Handling, Sighting
from ledger_service.custody.lineage import Event, Lineage
from ledger_service.custody.policy import Problem
from ledger_service.custody.trail import MOVED, Leg, LegState, Unit
from ledger_service.identifiers import identify

_AWAITED = frozenset({LegState.OFFERED, LegState.OVERDUE, LegState.REFUSED, LegState.MISSING})
"""States of a leg in which its taker may have the unit in hand, though it is not its custodian."""

Range = dict[tuple[str, str], tuple[Fraction, Fraction]]
"""How much of a part, at least and at most, by (part, unit of measure)."""


def walk(handling: Handling, lineage: Lineage, events: Iterable[Event], at: int, findings: Findings) -> dict[str, Unit]:
    """Where each unit stands at `at` (ms); contested ones are not known before findings have been explained."""
    return _Walking(handling, lineage, at, findings).walk(events)


@dataclass(slots=True)
class _Walking:
    handling: Handling
    lineage: Lineage
    at: int
    findings: Findings
    carried: dict[str, list[Leg]] = field(default_factory=dict)
    moving: set[str] = field(default_factory=set)
    """What has legs, and all that ever lay in such a thing."""

    def walk(self, events: Iterable[Event]) -> dict[str, Unit]:
        handling = self.handling
        touched: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            if event.sort != "ObjectEvent":
                for thing in event.things:
                    touched[thing].append(event)
        self.moving = _reached(handling.legs, self.lineage)
        units = {}
        for key in sorted(handling.legs.keys() | handling.sightings.keys() | handling.closed.keys()):
            legs = self.travelled(key)
            found = identify(key)
            if found is not None and found.kind in BATCH_KINDS:
                # A batch may be in many places: who has how much of it is told by the units that it lies in.
                units[key] = Unit(key, tuple(legs), None, (), False, None, None, ())
                continue
            units[key] = self.walk_one(key, legs)
            if handling.contents.get(key):
                self.weigh(key, sorted(touched.get(key, ()), key=lambda one: (one.time, one.record)))
            self.look_after_close(key)
        return units

    def travelled(self, key: str) -> Sequence[Leg]:
        """The legs of `key` and those that it made inside of something else, in order."""
        own = self.handling.legs.get(key, ())
        stays = self.lineage.stays.get(key) if key in self.moving else None
        if not stays:
            return own
        found = [(leg.order, 0, leg) for leg in own]
        waiting = [(stay.parent, stay.since, stay.until, 1) for stay in stays]
        while waiting:
            parent, since, until, depth = waiting.pop()
            legs = (
                leg for leg in self.carried_by(parent) if since <= leg.start and (until is None or leg.start < until)
            )
            found.extend((leg.order, depth, leg) for leg in legs)
            for stay in self.lineage.stays.get(parent, ()) if parent in self.moving else ():
                first, last = max(since, stay.since), stay.until
                if until is not None:
                    last = until if last is None else min(last, until)
                if last is None or first < last:
                    waiting.append((stay.parent, first, last, depth + 1))
        found.sort(key=lambda one: one[:2])
        return [leg for _, _, leg in found]

    def carried_by(self, parent: str) -> list[Leg]:
        if parent not in self.carried:
            legs = self.handling.legs.get(parent, ())
            self.carried[parent] = [replace(leg, carried_in=parent) for leg in legs]
        return self.carried[parent]

    def walk_one(self, key: str, legs: Sequence[Leg]) -> Unit:
        tolerance = self.findings.policy.clock_tolerance
        sightings = self.handling.sightings.get(key, ())
        moved = self.linked([one for one in legs if one.state in MOVED])
        holder: bytes | None = None
        gave: dict[bytes, Leg] = {}
        claims: set[bytes] = set()
        before: Leg | None = None
        on_chain: bytes | None = None
        is_decided = False
        forked: set[bytes | None] = set()
        for leg in moved:
            giver = leg.giver
            # After a fork each taker may hand on what it has: that was said once, and is not said again.
            if before is not None and holder is not None and self.brought_by(holder, leg):
                claims.discard(holder)
            elif before is not None and giver is not None and holder is not None and giver not in {holder, *claims}:
                first = gave.get(giver)
                if first is not None:
                    forked |= {first.taker, leg.taker}
                    self.own(Problem.FORK, "one custodian handed it to two", key, first, leg)
                else:
                    what = "it was handed on by somebody to whom nobody had handed it"
                    self.own(Problem.GAP, what, key, before, leg)
            elif before is not None and _is_reversed(before.received_at, leg.despatched_at, tolerance):
                self.own(Problem.TIME_REVERSAL, "handed on before it was received", key, before, leg)
            if giver is not None:
                gave[giver] = leg
                claims.discard(giver)
            if leg.taker is not None:
                gave.pop(leg.taker, None)
                claims.add(leg.taker)
            if leg.step is not None:
                on_chain = leg.taker
                is_decided = is_decided or leg.carried_in is None
            holder, before = leg.taker, leg
        if not moved:
            offered = next((one.giver for one in legs if one.giver is not None), None)
            holder = offered or (sightings[-1].issuer if sightings else None)
            if holder is not None:
                claims.add(holder)
        self.look_before(key, legs, moved, sightings)
        claims |= self.look_at_possession(key, legs, moved, sightings, forked)
        self.look_at_agreed_legs(key, moved)
        closed = self.handling.closed.get(key)
        return Unit(
            key=key,
            legs=tuple(legs),
            custodian=on_chain if is_decided else holder,
            claims=tuple(sorted(claims)),
            is_contested=False,
            closed_at=None if closed is None else closed[0],
            within=self.lineage.parent_at(key, self.at),
            records=(),
            is_decided_by_chain=is_decided,
        )

    def linked(self, legs: list[Leg]) -> list[Leg]:
        """The legs, with one that closes a gap taken before the leg that it was stated after."""
        rest = list(reversed(legs))
        result: list[Leg] = []
        holder: bytes | None = None
        while rest:
            place = len(rest) - 1
            leg = rest[place]
            if holder is not None and leg.giver not in (None, holder) and not self.brought_by(holder, leg):
                for behind in range(place - 1, max(place - 8, -1), -1):
                    other = rest[behind]
                    if other.giver == holder and other.taker == leg.giver and (other.step is None or leg.step is None):
                        place = behind
                        break
            leg = rest.pop(place)
            result.append(leg)
            holder = leg.taker
        return result

    def brought_by(self, holder: bytes, leg: Leg) -> bool:
        """Whether `holder` has the unit by an agreed part of the leg, which then completes what carriers signed for."""
        despatch = self.handling.despatches.get(leg.offer or "")
        return despatch is not None and any(one.taker == holder for one in despatch.legs)

    def own(self, problem: Problem, what: str, key: str, *legs: Leg) -> None:
        """A finding about legs, unless all of them are those of a carrier, which has the finding itself."""
        if any(leg.carried_in is None for leg in legs):
            self.findings.add(problem, what, [record for leg in legs for record in leg.evidence], [key])

    def look_before(self, key: str, legs: Sequence[Leg], moved: Sequence[Leg], sightings: Sequence[Sighting]) -> None:
        """Whether the unit was seen in one hand only until somebody handed it over."""
        start = moved[0].start - self.findings.policy.clock_tolerance if moved else None
        offered = set() if moved else {one.taker for one in legs}
        last: Sighting | None = None
        for sighting in sightings:
            if start is not None and sighting.time >= start:
                break
            if last is not None and last.issuer != sighting.issuer and sighting.issuer not in offered:
                what = "it went from one to another, and nobody handed it over"
                self.findings.add(Problem.GAP, what, [last.record, sighting.record], [key])
            last = sighting
        if last is not None and moved and moved[0].giver not in (None, last.issuer):
            what = "it was handed on by another than the one who had it"
            self.findings.add(Problem.GAP, what, [last.record, *moved[0].evidence], [key])

    def look_at_possession(
        self,
        key: str,
        legs: Sequence[Leg],
        moved: Sequence[Leg],
        sightings: Sequence[Sighting],
        forked: set[bytes | None],
    ) -> set[bytes]:
        """The members who had the unit in hand while it was another's."""
        claimants: set[bytes] = set()
        if not moved or not sightings:
            return claimants
        tolerance = self.findings.policy.clock_tolerance
        # Each leg opens a span in which both sides may have it in hand, and leaves it with the taker.
        spans: list[tuple[int, int]] = []
        for place, leg in enumerate(moved):
            # A step whose statements are not here has the block's time only, and goods move before blocks do.
            first = leg.start if leg.despatched_at is not None or place == 0 else moved[place - 1].start
            spans.append((first - tolerance, self.end_of(leg) + tolerance))
        by_start = sorted(range(len(moved)), key=lambda one: spans[one])
        awaited = sorted((one.start - tolerance, one.taker or b"") for one in legs if one.state in _AWAITED)
        under_way: list[tuple[int, int]] = []
        current = started = opened = 0
        takers: set[bytes | None] = set(forked)
        for sighting in sightings:
            if sighting.time < moved[0].start - tolerance:
                continue
            while current + 1 < len(moved) and spans[current + 1][0] <= sighting.time:
                current += 1
            while started < len(moved) and spans[by_start[started]][0] <= sighting.time:
                heappush(under_way, (spans[by_start[started]][1], by_start[started]))
                started += 1
            while under_way and under_way[0][0] < sighting.time:
                heappop(under_way)
            while opened < len(awaited) and awaited[opened][0] <= sighting.time:
                takers.add(awaited[opened][1])
                opened += 1
            missing_since = moved[current].missing_since
            if missing_since is not None and missing_since <= sighting.time:
                continue  # its taker has said that it is not there: whoever has it in hand contradicts nobody
            allowed = {*takers, moved[current].taker}
            for _, place in under_way:
                allowed |= {moved[place].giver, moved[place].taker, *self.carriers(moved[place])}
            if None in allowed or sighting.issuer in allowed:
                continue
            claimants.add(sighting.issuer)
            what = "a second member had it in hand while it was another's"
            evidence = [sighting.record, *moved[current].evidence]
            self.findings.add(Problem.DOUBLE_POSSESSION, what, evidence, [key])
        return claimants

    def end_of(self, leg: Leg) -> int:
        """Until when both sides may have it in hand."""
        if leg.received_at is not None:
            return leg.received_at
        return self.at if leg.state is LegState.DEEMED_ACCEPTED else leg.start

    def carriers(self, leg: Leg) -> set[bytes]:
        """The members who carry between giver and taker, as the giver said."""
        despatch = self.handling.despatches.get(leg.offer or "")
        if despatch is None:
            return set()
        sides = {side for one in despatch.legs for side in (one.giver, one.taker)}
        return sides if despatch.carrier_for is None else {*sides, despatch.carrier_for}

    def look_at_agreed_legs(self, key: str, moved: Sequence[Leg]) -> None:
        signed: set[tuple[bytes | None, bytes | None]] | None = None
        for leg in moved:
            despatch = self.handling.despatches.get(leg.offer or "") if leg.carried_in is None else None
            for agreed in () if despatch is None else despatch.legs:
                signed = signed or {(one.giver, one.taker) for one in moved}
                if (agreed.giver, agreed.taker) not in signed:
                    what = "an agreed leg has no handoff of its own"
                    self.findings.unsigned(what, leg.papers, key, agreed.giver, agreed.taker)

    def weigh(self, key: str, touched: Sequence[Event]) -> None:
        """Whether what is in the unit stays what it was from one despatch to the next."""
        expected: Range | None = None
        source: tuple[str, ...] = ()
        since = 0
        legs = {leg.offer: leg for leg in self.handling.legs.get(key, ())}
        contents: list[tuple[Leg, Consignment]] = [(legs[record], one) for record, one in self.handling.contents[key]]
        for leg, consignment in sorted(contents, key=lambda one: one[0].order):
            if not consignment.contents:
                expected = None
                continue
            amounts: dict[tuple[str, str], Fraction] = {}
            for line in consignment.contents:
                amounts[line.part, line.uom] = amounts.get((line.part, line.uom), Fraction(0)) + line.quantity
            expected = _adjusted(expected, key, [one for one in touched if since < one.time <= leg.start])
            if expected is not None and not self.fits(expected, amounts):
                what = "what was handed on is not what was received"
                self.findings.add(Problem.QUANTITY_NOT_CONSERVED, what, [*source, leg.offer], [key])
            if leg.state in MOVED:
                expected, source = _received(amounts, leg.discrepancies), leg.papers
            else:
                expected, source = {one: (value, value) for one, value in amounts.items()}, (leg.offer or "",)
            since = leg.start

    def fits(self, expected: Range, found: Mapping[tuple[str, str], Fraction]) -> bool:
        for key in expected.keys() | found.keys():
            least, most = expected.get(key, (Fraction(0), Fraction(0)))
            slack = most * self.findings.policy.quantity_tolerance.get(key[1], Fraction(0))
            if not least - slack <= found.get(key, Fraction(0)) <= most + slack:
                return False
        return True

    def look_after_close(self, key: str) -> None:
        if key not in self.handling.closed:
            return
        time, record = self.handling.closed[key]
        latest = time + self.findings.policy.clock_tolerance
        for sighting in self.handling.sightings.get(key, ()):
            if sighting.time > latest and sighting.record != record:
                what = "it was seen after it had ended"
                self.findings.add(Problem.EVENT_AFTER_CLOSE, what, [record, sighting.record], [key])
        for leg in self.handling.legs.get(key, ()):
            if leg.start > latest and leg.step is None:
                what = "it was handed on after it had ended"
                self.findings.add(Problem.EVENT_AFTER_CLOSE, what, [record, *leg.evidence], [key])


def _reached(start: Iterable[str], lineage: Lineage) -> set[str]:
    """`start` and all that ever lay in it, at any depth."""
    children: dict[str, list[str]] = defaultdict(list)
    for child, stays in lineage.stays.items():
        for stay in stays:
            children[stay.parent].append(child)
    reached = set(start)
    waiting = list(reached)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in reached:
                reached.add(child)
                waiting.append(child)
    return reached


def _is_reversed(earlier: int | None, later: int | None, tolerance: int) -> bool:
    return earlier is not None and later is not None and later < earlier - tolerance


def _received(amounts: Mapping[tuple[str, str], Fraction], discrepancies: Iterable[Discrepancy]) -> Range | None:
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


def _adjusted(expected: Range | None, key: str, events: Sequence[Event]) -> Range | None:
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
