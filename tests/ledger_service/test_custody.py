"""The fold: order of arrival, views, claims of several parties, and records in which nothing is wrong."""

import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_service.custody import (
    Answer,
    Clock,
    Custody,
    Fact,
    LegState,
    Policy,
    Problem,
    Step,
    UnsignedAllowed,
    Weight,
    fold,
)
from tests.custody import DAY, HOUR, SHAFT, START, Record, clock_text, member_id, pallet
from tests.custody_histories import A, B, C, D, P, honest, soup, untidy

AT = START + 60 * DAY


def mixed(record: Record, random_: random.Random) -> Custody:
    facts, steps = list(record.facts), list(record.steps)
    random_.shuffle(facts)
    random_.shuffle(steps)
    return fold(iter(facts), iter(steps), Policy(), at=AT)


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(random_: random.Random) -> None:
    record = untidy()
    expected = fold(record.facts, record.steps, Policy(), at=AT)
    assert len({one.problem for one in expected.findings}) >= 5
    assert mixed(record, random_) == expected


def test_every_permutation_of_one_record_folds_to_the_same_state() -> None:
    record = Record()
    record.open(A, P, 0)
    record.hand_over(A, B, [P], 1, chain=0)
    record.on_chain = False
    record.hand_over(A, C, [P], 3, chain=0)
    expected = fold(record.facts, record.steps, Policy(), at=AT)
    for facts in itertools.permutations(record.facts):
        for steps in itertools.permutations(record.steps):
            assert fold(facts, steps, Policy(), at=AT) == expected


@settings(max_examples=150)
@given(st.randoms(use_true_random=False))
def test_whatever_is_said_there_is_one_state_and_one_custodian(random_: random.Random) -> None:
    record = soup(random_)
    expected = fold(record.facts, record.steps, Policy(deem_after=DAY), at=AT)
    facts, steps = list(record.facts), list(record.steps)
    random_.shuffle(facts)
    random_.shuffle(steps)
    assert fold(facts, steps, Policy(deem_after=DAY), at=AT) == expected
    known = {fact.record for fact in facts} | {step.record for step in steps}
    for found in expected.findings:
        assert found.evidence
        assert known.issuperset(one for one in found.evidence if not one.endswith("#0"))
        assert known.issuperset(found.explained_by)
    for key, unit in expected.units.items():
        assert expected.trail([key]).answer in Answer
        claimed = [one for one in (unit.custodian,) if one is not None]
        assert unit.is_contested or not claimed or set(claimed) <= {*unit.claims, *(leg.taker for leg in unit.legs)}


def test_what_comes_twice_counts_once() -> None:
    record = untidy()
    expected = fold(record.facts, record.steps, Policy(), at=AT)
    assert fold(record.facts * 2, record.steps * 2, Policy(), at=AT) == expected


def test_a_copy_with_new_salts_counts_once_and_is_told() -> None:
    record = Record()
    first = record.scan(A, [P], 0, name="urn:uuid:1")
    copy = record.say(A, "epcis-event", {**(first.content or {}), "to": ["0x" + "11" * 32]}, 5)
    custody = record.fold()
    assert custody.repeated == {copy.record: first.record}
    assert not custody.findings


def test_a_correction_holds_and_the_original_stays_in_the_record() -> None:
    record = Record()
    record.open(A, P, 0)
    given_, taken = record.hand_over(A, B, [P], 1, chain=0)
    again = record.receipt(B, given_, [P], 60, received=6, corrects=taken, basis="counted")
    custody = record.fold()
    assert custody.corrected == {taken.record: again.record}
    assert [leg.state for leg in custody.units[P].legs] == [LegState.HANDED_OVER]
    assert custody.units[P].legs[0].acceptance == again.record
    assert {taken.record, again.record} <= set(custody.trail([P]).records)
    assert not custody.findings


def test_an_error_declaration_takes_an_event_back() -> None:
    record = Record()
    record.on_chain = False
    record.hand_over(A, B, [P], 0)
    wrong = record.scan("vltava", [P], 20, name="urn:uuid:1")
    assert [one.problem for one in record.fold().findings] == [Problem.DOUBLE_POSSESSION]
    event = {**(wrong.content or {})["event"], "errorDeclaration": {"declarationTime": "2026-09-23T10:00:00Z"}}
    declared = record.say("vltava", "epcis-event", {"event": event, "context": []}, 48)
    custody = record.fold()
    assert not custody.findings
    assert custody.corrected == {wrong.record: declared.record}


def test_a_view_knows_what_was_registered_or_anchored_by_then() -> None:
    record = Record()
    given_ = record.offer(A, B, [P], 0)
    record.receipt(B, given_, [P], 5, late=20)
    registered = record.facts[-1].registered_at
    anchored = record.facts[-1].anchored_at
    assert anchored is not None

    def state(at: int, clock: Clock) -> LegState:
        return fold(record.facts, [], Policy(), at=at, clock=clock).units[P].legs[0].state

    assert state(registered - 1, Clock.REGISTERED) is LegState.OFFERED
    assert state(registered, Clock.REGISTERED) is LegState.PENDING
    assert state(registered, Clock.ANCHORED) is LegState.OFFERED
    assert state(anchored, Clock.ANCHORED) is LegState.PENDING


def test_the_three_clocks_stand_side_by_side() -> None:
    record = Record()
    fact = record.scan(A, [P], 0, late=2)
    assert record.fold().clocks[fact.record] == (START, fact.registered_at, fact.anchored_at)


def test_what_this_version_cannot_read_is_named_and_left_out() -> None:
    record = Record()
    record.scan(A, [P], 0)
    odd = record.say(A, "despatch", {"units": "many"}, 1)
    custody = record.fold()
    assert list(custody.unread) == [odd.record]
    assert not custody.findings


def test_a_long_way_has_no_findings_and_one_custodian() -> None:
    record = Record()
    record.open(A, P, 0)
    for hour, (giver, taker) in zip((1, 60, 75, 90), ((A, B), (B, C), (C, B), (B, D)), strict=True):
        record.scan(giver, [P], hour - 0.5)
        record.hand_over(giver, taker, [P], hour, chain=0)
        record.scan(taker, [P], hour + 5.5)
    trail = record.fold().trail([P])
    assert trail.answer is Answer.WHOLE
    assert not trail.findings
    assert record.fold().holder(P) == member_id(D)


def test_arrivals_and_complaints_are_part_of_the_trail() -> None:
    record = Record()
    record.open(A, P, 0)
    document = {"type": "gate-log", "number": "7"}
    arrived = {"document": document, "arrivedAt": clock_text(START + 4 * HOUR), "place": "DEGOE", "units": [P]}
    given_ = record.offer(A, B, [P], 1, chain=0)
    gate = record.say(B, "gate-arrival", arrived, 4)
    taken = record.receipt(B, given_, [P], 5)
    record.settle(given_, taken, [P], 5)
    wrong = [{"unit": P, "what": "quality"}]
    content = {"document": document, "about": taken.record, "raisedAt": clock_text(START + 6 * HOUR), "items": wrong}
    complaint = record.say(B, "complaint", content, 6)
    trail = record.fold().trail([P])
    assert not trail.findings
    assert {gate.record, complaint.record} < set(trail.records)
    record.say("vltava", "gate-arrival", {**arrived, "arrivedAt": clock_text(START + 9 * HOUR)}, 9)
    assert [one.problem for one in record.fold().findings] == [Problem.DOUBLE_POSSESSION]


# All interleavings of three parties


def interleavings() -> list[tuple[tuple[str, str], ...]]:
    moves = [("offer", name) for name in (B, C, D)] + [("accept", name) for name in (B, C, D)]
    return [
        order
        for order in itertools.permutations(moves)
        if all(order.index(("offer", name)) < order.index(("accept", name)) for name in (B, C, D))
    ]


@pytest.mark.parametrize("on_chain", [True, False])
def test_three_claims_in_every_order_leave_one_custodian_at_most_and_lose_none(on_chain: bool) -> None:
    orders = interleavings()
    assert len(orders) == 90
    for order in orders:
        record = Record(on_chain=on_chain)
        if on_chain:
            record.open(A, P, 0)
        offers: dict[str, Fact] = {}
        first: str | None = None
        for hour, (move, name) in enumerate(order, start=1):
            if move == "offer":
                offers[name] = record.offer(A, name, [P], hour, chain=0 if on_chain else None)
                continue
            taken = record.receipt(name, offers[name], [P], hour)
            if first is None:  # the chain takes the first and refuses the others
                first = name
                record.settle(offers[name], taken, [P], hour)
        custody = record.fold()
        unit = custody.units[P]
        assert unit.is_contested
        assert unit.custodian == (member_id(first or "") if on_chain else None)
        assert set(unit.claims) == {member_id(name) for name in (B, C, D)}
        assert {one.problem for one in custody.findings} == {Problem.FORK}
        assert custody.trail([P]).answer is Answer.BROKEN


# Carriers


@pytest.mark.parametrize("signed", [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("on_chain", [True, False])
def test_parts_that_carriers_sign_for_are_completed_by_the_taker(signed: tuple[bool, bool], on_chain: bool) -> None:
    record = Record(on_chain=on_chain and all(signed))
    if record.on_chain:
        record.open(A, P, 0)
    whole = record.offer(A, D, [P], 1, legs=[(A, B), (B, D)])
    for part, (giver, taker, hour) in zip(signed, ((A, B, 2), (B, D, 10)), strict=True):
        if part:
            record.hand_over(giver, taker, [P], hour, 1)
    assert record.fold(hour=20).units[P].legs[0].state is LegState.OFFERED
    assert record.fold(hour=4).units[P].custodian == member_id(B if signed[0] else A)
    record.receipt(D, whole, [P], 20)
    allowed = [
        UnsignedAllowed(*map(member_id, side)) for side, part in zip(((A, B), (B, D)), signed, strict=True) if not part
    ]
    custody = record.fold(Policy(unsigned_allowed=tuple(allowed)))
    assert {one.weight for one in custody.findings} <= {Weight.INFORMATION}
    assert len(custody.findings) == bool(allowed)
    assert custody.units[P].custodian == member_id(D)
    assert custody.units[P].claims == (member_id(D),)


# Lineage


def test_lineage_is_followed_both_ways_through_packing_splitting_and_making() -> None:
    record = Record()
    lot, left, right, axle = (SHAFT + "/10/" + name for name in ("L1", "L2", "L3", "AXLES"))
    record.transform(A, [(lot, "100")], [(left, "60"), (right, "40")], 0)
    record.pack(A, P, [], 1, childQuantityList=[{"epcClass": left, "quantity": "60"}])
    record.pack(A, pallet(2), [P, pallet(3)], 2)
    record.pack(D, pallet(2), [], 20, action="DELETE")
    record.transform(D, [(left, "60")], [(axle, "60")], 30)
    lineage = record.fold().lineage
    assert set(lineage.descendants(lot)) == {left, right, axle, P, pallet(2)}
    assert set(lineage.ancestors(axle)) == {left, lot}
    assert set(lineage.ancestors(P)) == {left, lot}
    assert pallet(3) in lineage.descendants(pallet(2))
    assert lineage.parent_at(P, START + 10 * HOUR) == pallet(2)
    assert lineage.parent_at(P, START + 21 * HOUR) is None


def test_what_lies_in_a_pallet_travels_with_it() -> None:
    record = Record()
    record.on_chain = False
    box = pallet(5)
    record.hand_over(A, B, [box], 0, quantity=None)
    record.pack(B, P, [box], 8)
    record.hand_over(B, C, [P], 10, quantity=None)
    custody = record.fold()
    assert custody.holder(box) == member_id(C)
    assert [leg.carried_in for leg in custody.units[box].legs] == [None, P]
    record.pack(C, P, [box], 20, action="DELETE")
    record.hand_over(C, D, [box], 22, quantity=None)
    assert not record.fold().findings
    assert record.fold().holder(box) == member_id(D)
    assert P in record.fold().trail([box]).units


# No false alarm


def no_false_alarm(seeds: range) -> None:
    for seed in seeds:
        way = honest(seed)
        facts, steps = list(way.record.facts), list(way.record.steps)
        random.Random(seed).shuffle(facts)
        random.Random(seed).shuffle(steps)
        policy = Policy() if way.policy is None else Policy.parse(way.policy)
        custody = fold(facts, steps, policy, at=AT)
        found = {one.problem for one in custody.findings}
        assert found <= way.told, (seed, [(one.problem, one.what) for one in custody.findings])
        assert all(one.is_explained or one.weight is Weight.INFORMATION for one in custody.findings)
        assert not custody.unread
        answers = {custody.trail([key]).answer for key in custody.units}
        assert answers <= {
            Answer.WHOLE,
            *([Answer.WITH_RESERVATIONS] if Problem.REOPENED_AFTER_KEY_LOSS in found else []),
        }


def test_an_honest_record_raises_no_alarm() -> None:
    no_false_alarm(range(100))


@pytest.mark.full
def test_a_thousand_honest_records_raise_no_alarm() -> None:
    no_false_alarm(range(100, 1100))


def test_no_statement_of_an_honest_record_can_be_left_out_unnoticed() -> None:
    for seed in range(30):
        record = honest(seed).record
        last = {fact.stream: fact.sequence for fact in record.facts}
        for left_out in random.Random(seed).sample(record.facts, min(5, len(record.facts))):
            kept = [fact for fact in record.facts if fact is not left_out]
            findings = fold(kept, record.steps, Policy(), at=AT).findings
            if left_out.sequence != last[left_out.stream]:
                assert any(one.problem is Problem.STREAM_HOLE and one.stream == left_out.stream for one in findings)
            elif left_out.id in {one for step in record.steps for one in (step.offer, step.acceptance)}:
                assert findings, (seed, left_out.kind)


def test_no_step_between_two_others_can_be_left_out_unnoticed() -> None:
    for seed in range(60):
        record = honest(seed).record
        for step in record.steps:
            later = [one for one in record.steps if one.unit == step.unit and one.sequence > step.sequence]
            if later and step.sequence > 0:
                kept = [one for one in record.steps if one is not step]
                findings = fold(record.facts, kept, Policy(), at=AT).findings
                assert Problem.GAP in {one.problem for one in findings}


# Growth


def seconds_to_fold(ways: int) -> float:
    facts: list[Fact] = []
    steps: list[Step] = []
    for number in range(ways):
        record = Record(numbers=dict.fromkeys((f"stream of {A}", f"stream of {B}"), number * 2))
        thing = pallet(number % 100_000)
        record.open(A, thing, 0)
        record.hand_over(A, B, [thing], 1, number=str(number), chain=0)
        record.scan(B, [thing], 8)
        facts.extend(record.facts)
        steps.extend(record.steps)
    assert len({one.id for one in facts}) == len(facts) == 4 * ways
    began = time.process_time()
    custody = fold(facts, steps, Policy(), at=AT)
    taken = time.process_time() - began
    assert len(custody.units) == ways
    assert not custody.findings
    return taken


@pytest.mark.full
def test_the_fold_of_a_hundred_thousand_facts_grows_no_faster_than_they_do() -> None:
    small, big = min(seconds_to_fold(2_500) for _ in range(2)), seconds_to_fold(25_000)
    # Twice the tenfold: Python's collector looks at all that is alive, again and again.
    assert big < 20 * small, (small, big)


def test_weights_that_nobody_sets_have_a_meaning_for_every_problem() -> None:
    assert {Policy().weight(one) for one in Problem} == set(Weight)
