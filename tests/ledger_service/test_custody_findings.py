"""One scenario for each finding: exactly that finding, with the records that show it."""

from collections.abc import Callable
from fractions import Fraction

import pytest

from ledger_service.custody import Answer, LegState, Policy, Problem, Step, UnsignedAllowed, Weight
from ledger_service.custody.record import ConflictingSteps
from ledger_service.keys import to_hex
from tests.custody import DAY, Record, chain_unit, first_custodian, member_id, pallet
from tests.custody_scenarios import SCENARIOS, A, B, C, P


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_has_its_finding_and_no_other(name: str) -> None:
    problem, build = SCENARIOS[name]
    record = Record()
    evidence = tuple(sorted(one.record for one in build(record)))
    custody = record.fold()
    assert [(one.problem, one.evidence) for one in custody.findings] == [(problem, evidence)]
    (found,) = custody.trail(custody.findings[0].units or [P]).findings
    assert found.what


def test_there_is_a_scenario_for_every_problem() -> None:
    assert {problem for problem, _ in SCENARIOS.values()} == set(Problem)


def test_an_explanation_by_somebody_who_was_part_of_it_is_shown_and_removes_nothing() -> None:
    record = Record()
    SCENARIOS["scanned by a second member"][1](record)
    found = record.fold().findings[0]
    record.say("stranger", "explanation", found.explanation("I heard of it.", []), 30)
    assert not record.fold().findings[0].is_explained
    said = record.say("vltava", "explanation", found.explanation("A label was printed twice.", []), 40)
    trail = record.fold().trail([P])
    assert [one.explained_by for one in trail.findings] == [(said.record,)]
    assert said.record in trail.records
    assert trail.answer is Answer.WITH_RESERVATIONS


def test_to_offer_a_unit_makes_nobody_part_of_what_happened_to_it() -> None:
    record = Record()
    SCENARIOS["scanned by a second member"][1](record)
    record.offer("stranger", "havelmark", [P], 25)
    found = next(one for one in record.fold().findings if one.problem is Problem.DOUBLE_POSSESSION)
    for name in ("stranger", "havelmark"):
        record.say(name, "explanation", found.explanation("It was nothing.", []), 30)
    found = next(one for one in record.fold().findings if one.problem is Problem.DOUBLE_POSSESSION)
    assert not found.is_explained


def test_the_taker_whom_a_finding_names_may_explain_it() -> None:
    record = Record()
    record.offer(A, B, [P], 0)
    record.say(B, "explanation", record.fold().findings[0].explanation("It never came.", []), 100)
    assert record.fold().findings[0].is_explained


def test_who_names_an_address_after_it_was_used_takes_it_from_nobody() -> None:
    record = Record()
    record.open(A, P, 0)
    record.hand_over(A, B, [P], 1, chain=0)
    used = record.steps[-1].taker
    assert used is not None
    record.say("vltava", "custody-addresses", {"addresses": [to_hex(used)]}, 20)
    assert not record.fold().findings
    record.say("vltava", "custody-addresses", {"addresses": [to_hex(used)]}, 2)
    assert [one.problem for one in record.fold().findings] == [Problem.UNSIGNED_LEG]
    record.say(B, "custody-addresses", {"addresses": [to_hex(used)]}, 30)
    assert not record.fold().findings


def test_an_explanation_of_what_was_corrected_since_still_counts() -> None:
    record = Record()
    record.on_chain = False
    given, taken = record.hand_over(A, B, [P], 0)
    record.scan("vltava", [P], 20)
    record.say(A, "explanation", record.fold().findings[0].explanation("A reprint.", []), 30)
    again = record.receipt(B, given, [P], 80, received=5, corrects=taken, basis="counted")
    (found,) = record.fold().findings
    assert again.record in found.evidence
    assert found.is_explained


def test_an_explanation_does_not_cover_what_turns_up_later() -> None:
    record = Record()
    SCENARIOS["scanned by a second member"][1](record)
    record.say("vltava", "explanation", record.fold().findings[0].explanation("Once.", []), 30)
    record.scan("vltava", [P], 50)
    assert sorted(one.is_explained for one in record.fold().findings) == [False, True]
    assert record.fold().trail([P]).answer is Answer.BROKEN


WEIGHTS: dict[str, tuple[Policy, bool, Answer]] = {
    "needs explaining, and is not": (Policy(), False, Answer.BROKEN),
    "needs explaining, and is": (Policy(), True, Answer.WITH_RESERVATIONS),
    "breaks the record": (Policy(weights={Problem.DOUBLE_POSSESSION: Weight.BREAKS}), False, Answer.BROKEN),
    "breaks the record, explained": (Policy(weights={Problem.DOUBLE_POSSESSION: Weight.BREAKS}), True, Answer.BROKEN),
    "for information": (Policy(weights={Problem.DOUBLE_POSSESSION: Weight.INFORMATION}), False, Answer.WHOLE),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_policy_says_what_a_finding_does_to_the_record(name: str) -> None:
    policy, explained, answer = WEIGHTS[name]
    record = Record()
    SCENARIOS["scanned by a second member"][1](record)
    if explained:
        record.say("vltava", "explanation", record.fold().findings[0].explanation("A reprint.", []), 30)
    assert record.fold(policy).trail([P]).answer is answer


def test_a_leg_that_the_policy_lets_go_unsigned_is_for_information() -> None:
    record = Record()
    SCENARIOS["an agreed leg without a handoff"][1](record)
    trail = record.fold(Policy(unsigned_allowed=(UnsignedAllowed(None, member_id(B)),))).trail([P])
    assert [one.weight for one in trail.findings] == [Weight.INFORMATION]
    assert trail.answer is Answer.WHOLE


def test_silence_is_deemed_acceptance_by_policy_and_never_a_signature() -> None:
    record = Record()
    record.offer(A, B, [P], 0)
    unit = record.fold(Policy(deem_after=DAY)).units[P]
    (leg,) = unit.legs
    assert (leg.state, leg.acceptance, leg.is_signed_by_taker) == (LegState.DEEMED_ACCEPTED, None, False)
    assert unit.custodian == member_id(B)
    assert record.fold().units[P].legs[0].state is LegState.OVERDUE
    assert record.fold().units[P].custodian == member_id(A)


STATES: dict[str, tuple[float, LegState]] = {
    "offered": (10, LegState.OFFERED),
    "both statements and no step": (60, LegState.PENDING),
    "settled": (80, LegState.HANDED_OVER),
}


@pytest.mark.parametrize("name", STATES)
def test_a_handoff_goes_from_offered_to_pending_to_handed_over(name: str) -> None:
    hour, state = STATES[name]
    record = Record()
    record.open(A, P, 0)
    given = record.offer(A, B, [P], 1, chain=0)
    taken = record.receipt(B, given, [P], 50)
    record.settle(given, taken, [P], 70)
    unit = record.fold(hour=hour).units[P]
    assert unit.legs[0].state is state
    assert unit.custodian == member_id(B if state is not LegState.OFFERED else A)


def test_a_refused_offer_moves_nothing() -> None:
    record = Record()
    given = record.offer(A, B, [P], 0)
    record.receipt(B, given, [P], 3, outcome="refused")
    unit = record.fold().units[P]
    assert (unit.legs[0].state, unit.custodian) == (LegState.REFUSED, member_id(A))
    assert not record.fold().findings


def test_an_offer_is_withdrawn_by_the_next_handoff_of_its_giver() -> None:
    record = Record()
    record.on_chain = False
    record.offer(A, B, [P], 0)
    record.hand_over(A, C, [P], 100)
    custody = record.fold()
    assert [leg.state for leg in custody.units[P].legs] == [LegState.WITHDRAWN, LegState.PENDING]
    assert not custody.findings


def test_a_step_to_an_address_of_ones_own_withdraws_an_offer_and_is_no_handoff() -> None:
    record = Record()
    record.open(A, P, 0)
    own = [first_custodian(P), b"\x05" * 20]
    record.say(A, "custody-addresses", {"addresses": [to_hex(one) for one in own]}, 0)
    record.offer(A, B, [P], 1, chain=0)
    record.step(P, 3, bytes(32), own[1], bytes(32))
    record.hand_over(A, C, [P], 4, chain=0)
    custody = record.fold()
    assert [leg.state for leg in custody.units[P].legs] == [LegState.WITHDRAWN, LegState.HANDED_OVER]
    assert not custody.findings


def test_withheld_statements_explain_a_handoff_without_being_read() -> None:
    record = Record()
    record.open(A, P, 0)
    given = record.say(A, "despatch", None, 1)
    taken = record.say(B, "receipt", None, 5)
    record.settle(given, taken, [P], 5)
    custody = record.fold()
    assert [leg.state for leg in custody.units[P].legs] == [LegState.WITHHELD]
    assert custody.units[P].custodian == member_id(B)
    assert not custody.findings


# By name: what the giver's own step names as acceptance, and what anybody would be led to believe by it.
BORROWED: dict[str, Callable[[Record], tuple[bytes, bytes]]] = {
    "a hidden statement of the giver's own": lambda r: (
        r.offer(A, B, [P], 1, chain=0).id,
        r.say(A, "receipt", None, 2).id,
    ),
    "a hidden statement of the taker's that is no receipt": lambda r: (
        r.offer(A, B, [P], 1, chain=0).id,
        r.say(B, "epcis-event", None, 2).id,
    ),
    "a receipt of something else, for a hidden offer": lambda r: (
        r.say(A, "despatch", None, 1).id,
        r.receipt(B, r.offer(C, B, [pallet(9)], 1), [pallet(9)], 2).id,
    ),
    "a hidden receipt, for an offer of something else": lambda r: (
        r.offer(A, B, [pallet(9)], 1, deadline=2000).id,
        r.say(B, "receipt", None, 2).id,
    ),
}


@pytest.mark.parametrize("name", BORROWED)
def test_a_giver_who_takes_a_unit_itself_makes_nobody_its_custodian_by_what_is_hidden(name: str) -> None:
    record = Record()
    record.open(A, P, 0)
    offer, acceptance = BORROWED[name](record)
    record.step(P, 3, offer, b"\x05" * 20, acceptance)
    trail = record.fold().trail([P])
    assert [leg.state for leg in record.fold().units[P].legs] == [LegState.UNEXPLAINED]
    assert Problem.UNSIGNED_LEG in {one.problem for one in trail.findings}
    assert trail.answer is Answer.BROKEN


def test_silence_about_an_offer_that_its_taker_was_never_shown_is_no_acceptance() -> None:
    policy = Policy(deem_after=DAY)
    for is_shown, state, custodian in ((True, LegState.DEEMED_ACCEPTED, B), (False, LegState.OVERDUE, A)):
        record = Record()
        record.scan(A, [P], 0)
        record.offer(A, B, [P], 1, is_shown=is_shown)
        custody = record.fold(policy)
        assert [leg.state for leg in custody.units[P].legs] == [state]
        assert custody.units[P].custodian == member_id(custodian)


def test_a_void_statement_keeps_its_number_and_counts_for_nothing() -> None:
    record = Record()
    record.scan(A, [P], 0)
    record.say("vltava", "epcis-event", record.facts[0].content, 1, is_void=True)
    assert not record.fold().findings


def test_two_versions_of_one_step_are_refused() -> None:
    record = Record()
    record.open(A, P, 0)
    step = record.steps[0]
    record.steps.append(Step(step.unit, 0, None, b"\x01" * 20, None, None, None, 7, step.time))
    with pytest.raises(ConflictingSteps, match="two versions"):
        record.fold()


def test_a_tolerance_of_the_policy_lets_small_differences_pass() -> None:
    record = Record()
    record.on_chain = False
    record.hand_over(A, B, [P], 0)
    record.hand_over(B, C, [P], 9, quantity="59")
    assert len(record.fold().findings) == 1
    assert not record.fold(Policy(quantity_tolerance={"H87": Fraction(2, 100)})).findings


def test_an_opening_says_what_a_unit_of_the_chain_is_whatever_a_despatch_said_before_it() -> None:
    record = Record()
    claim = record.offer(B, C, [pallet(2)], -9)
    assert claim.content is not None
    claim.content["units"][0]["chain"] = to_hex(chain_unit(P))
    opening = record.open(A, P, 0)
    record.hand_over(A, B, [P], 1, chain=0)
    custody = record.fold()
    (found,) = [one for one in custody.findings if one.problem is Problem.CONFLICTING_EVENT]
    assert {opening.record, claim.record} < set(found.evidence)
    assert custody.units[P].custodian == member_id(B)
