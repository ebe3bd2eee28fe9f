"""One small record for each thing that can be wrong with one, and the records that show it."""

from collections.abc import Callable

from ledger_service.custody import Fact, Problem, Step
from ledger_service.keys import to_hex
from tests.custody import HOUR, SHAFT, Record, pallet

A, B, C = "duero", "oderland", "nordrand"
P = pallet(1)

Evidence = list[Fact | Step]
Scenario = Callable[[Record], Evidence]

SCENARIOS: dict[str, tuple[Problem, Scenario]] = {}


def scenario(problem: Problem) -> Callable[[Scenario], Scenario]:
    def keep(build: Scenario) -> Scenario:
        SCENARIOS[build.__name__.replace("_", " ")] = (problem, build)
        return build

    return keep


@scenario(Problem.GAP)
def handed_on_by_somebody_to_whom_nobody_handed_it(record: Record) -> Evidence:
    record.on_chain = False
    first = record.hand_over(A, B, [P], 0)
    second = record.hand_over("vltava", C, [P], 20)
    return [*first, *second]


@scenario(Problem.GAP)
def seen_by_two_members_and_never_handed_over(record: Record) -> Evidence:
    return [record.scan(A, [P], 0), record.scan(C, [P], 5)]


@scenario(Problem.GAP)
def despatched_by_another_than_the_one_who_packed_it(record: Record) -> Evidence:
    record.on_chain = False
    seen = record.scan("vltava", [P], 0)
    return [seen, *record.hand_over(A, B, [P], 3)]


@scenario(Problem.GAP)
def a_step_of_the_chain_that_was_left_out(record: Record) -> Evidence:
    record.open(A, P, 0)
    record.hand_over(A, B, [P], 1, chain=0)
    first = record.steps[0]
    dropped = record.steps.pop()
    after = Step(dropped.unit, 2, dropped.taker, dropped.giver, None, None, None, 140, dropped.time + HOUR)
    offer = record.offer(B, A, [P], 7, chain=0)
    answer = record.receipt(A, offer, [P], 7.4)
    record.steps.append(
        Step(after.unit, 2, after.giver, after.taker, offer.id, answer.id, None, after.block, after.time)
    )
    return [first, record.steps[-1]]


@scenario(Problem.FORK)
def handed_to_two_takers(record: Record) -> Evidence:
    record.on_chain = False
    return [*record.hand_over(A, B, [P], 0), *record.hand_over(A, C, [P], 8)]


@scenario(Problem.FORK)
def handed_to_two_takers_who_hand_it_on(record: Record) -> Evidence:
    record.on_chain = False
    evidence: Evidence = [*record.hand_over(A, B, [P], 0), *record.hand_over(A, C, [P], 8)]
    record.hand_over(B, "vltava", [P], 20)
    record.hand_over(C, "havelmark", [P], 30)
    return evidence


@scenario(Problem.FORK)
def handed_to_two_of_whom_the_chain_took_one(record: Record) -> Evidence:
    record.open(A, P, 0)
    first = record.hand_over(A, B, [P], 1, chain=0)
    record.on_chain = False
    return [*first, record.steps[-1], *record.hand_over(A, C, [P], 8, chain=0)]


@scenario(Problem.FORK)
def opened_twice_on_the_chain(record: Record) -> Evidence:
    record.open(A, P, 0)
    return [record.open(A, P, 2, generation=1), *record.steps]


@scenario(Problem.FORK)
def opened_anew_in_place_of_something_else(record: Record) -> Evidence:
    record.open(A, P, 0)
    return [record.open(A, P, 2, generation=1, continues=2), *record.steps]


@scenario(Problem.DOUBLE_POSSESSION)
def scanned_by_a_second_member(record: Record) -> Evidence:
    record.open(A, P, 0)
    given, taken = record.hand_over(A, B, [P], 1, chain=0)
    seen = record.scan("vltava", [P], 20)
    return [given, taken, record.steps[-1], seen]


@scenario(Problem.DOUBLE_POSSESSION)
def accepted_by_another_than_it_was_offered_to(record: Record) -> Evidence:
    record.on_chain = False
    given, taken = record.hand_over(A, B, [P], 0)
    other = record.receipt("vltava", given, [P], 20)
    return [given, taken, other]


@scenario(Problem.TIME_REVERSAL)
def received_before_it_was_despatched(record: Record) -> Evidence:
    record.on_chain = False
    given = record.offer(A, B, [P], 5)
    return [given, record.receipt(B, given, [P], 6, received=4)]


@scenario(Problem.TIME_REVERSAL)
def handed_on_before_it_was_received(record: Record) -> Evidence:
    record.open(A, P, 0)
    first = record.hand_over(A, B, [P], 1, hours=9, chain=0)
    step = record.steps[-1]
    return [*first, step, *record.hand_over(B, C, [P], 5, hours=10, chain=0), record.steps[-1]]


@scenario(Problem.QUANTITY_NOT_CONSERVED)
def short_of_three_shafts(record: Record) -> Evidence:
    record.on_chain = False
    given = record.offer(A, B, [P], 0)
    short = {"unit": P, "what": "short", "part": SHAFT, "quantity": "3", "uom": "H87"}
    return [given, record.receipt(B, given, [P], 5, discrepancies=[short])]


@scenario(Problem.QUANTITY_NOT_CONSERVED)
def a_pallet_that_was_not_there(record: Record) -> Evidence:
    record.on_chain = False
    given = record.offer(A, B, [P, pallet(2)], 0)
    return [given, record.receipt(B, given, [P, pallet(2)], 5, discrepancies=[{"unit": P, "what": "short"}])]


@scenario(Problem.QUANTITY_NOT_CONSERVED)
def handed_on_with_less_than_was_received(record: Record) -> Evidence:
    record.on_chain = False
    first = record.hand_over(A, B, [P], 0)
    second = record.offer(B, C, [P], 9, quantity="57")
    record.receipt(C, second, [P], 12)
    return [*first, second]


@scenario(Problem.QUANTITY_NOT_CONSERVED)
def more_taken_out_than_was_packed(record: Record) -> Evidence:
    of = [{"epcClass": SHAFT, "quantity": "10"}]
    packed = record.pack(A, P, [], 0, childQuantityList=of)
    more = [{"epcClass": SHAFT, "quantity": "11"}]
    return [packed, record.pack(A, P, [], 1, action="DELETE", childQuantityList=more)]


@scenario(Problem.QUANTITY_NOT_CONSERVED)
def split_into_less_than_there_was(record: Record) -> Evidence:
    lot = SHAFT + "/10/"
    return [record.transform(A, [(lot + "L1", "100")], [(lot + "L2", "60"), (lot + "L3", "39")], 0)]


@scenario(Problem.UNSIGNED_LEG)
def a_handoff_on_the_chain_without_statements(record: Record) -> Evidence:
    record.open(A, P, 0)
    return [record.step(P, 2, bytes(32), b"\x07" * 20, bytes(32))]


@scenario(Problem.UNSIGNED_LEG)
def a_handoff_accepted_by_a_statement_that_is_not_there(record: Record) -> Evidence:
    record.open(A, P, 0)
    given = record.offer(A, B, [P], 1, chain=0)
    return [given, record.step(P, 3, given.id, b"\x07" * 20, bytes(32))]


@scenario(Problem.UNSIGNED_LEG)
def a_handoff_of_an_offer_that_is_not_there(record: Record) -> Evidence:
    record.open(A, P, 0)
    taken = record.receipt(B, b"\x09" * 32, [P], 5)
    return [taken, record.step(P, 5, b"\x09" * 32, b"\x07" * 20, taken.id)]


@scenario(Problem.UNSIGNED_LEG)
def a_handoff_to_an_address_of_somebody_else(record: Record) -> Evidence:
    record.open(A, P, 0)
    given = record.offer(A, B, [P], 1, chain=0)
    taken = record.receipt(B, given, [P], 3)
    bound = record.say("vltava", "custody-addresses", {"addresses": [to_hex(b"\x07" * 20)]}, 0)
    return [given, taken, bound, record.step(P, 3, given.id, b"\x07" * 20, taken.id)]


@scenario(Problem.UNSIGNED_LEG)
def an_agreed_leg_without_a_handoff(record: Record) -> Evidence:
    record.on_chain = False
    return [*record.hand_over(A, C, [P], 0, legs=[(A, B)])]


@scenario(Problem.ONE_SIDED_HANDOFF)
def an_offer_that_nobody_answered(record: Record) -> Evidence:
    return [record.offer(A, B, [P], 0)]


@scenario(Problem.ONE_SIDED_HANDOFF)
def a_receipt_of_what_nobody_offered(record: Record) -> Evidence:
    return [record.receipt(B, b"\x09" * 32, [P], 0)]


@scenario(Problem.KEY_COMPROMISED)
def signed_by_a_key_reported_compromised(record: Record) -> Evidence:
    return [record.say(A, "epcis-event", Record().scan(A, [P], 0).content, 0, is_disputed=True)]


@scenario(Problem.KEY_COMPROMISED)
def a_withheld_statement_signed_by_a_key_reported_compromised(record: Record) -> Evidence:
    record.scan(A, [P], 0)
    return [record.say(A, "epcis-event", None, 1, is_disputed=True)]


@scenario(Problem.EVENT_AFTER_CLOSE)
def seen_after_it_was_closed(record: Record) -> Evidence:
    record.open(A, P, 0)
    closing = record.step(P, 2, None, None, reason=bytes(32))
    return [closing, record.scan(A, [P], 9)]


@scenario(Problem.EVENT_AFTER_CLOSE)
def handed_on_after_it_was_taken_apart(record: Record) -> Evidence:
    record.on_chain = False
    gone = record.scan(A, [P], 0, action="DELETE", bizStep="decommissioning")
    return [gone, *record.hand_over(A, B, [P], 3)]


@scenario(Problem.EVENT_AFTER_CLOSE)
def opened_again_after_it_was_closed(record: Record) -> Evidence:
    record.open(A, P, 0)
    closing = record.step(P, 2, None, None, reason=bytes(32))
    return [record.open(A, P, 9, generation=1), closing, record.steps[-1]]


@scenario(Problem.REOPENED_AFTER_KEY_LOSS)
def goes_on_under_a_new_unit(record: Record) -> Evidence:
    record.open(A, P, 0)
    record.hand_over(A, B, [P], 1, chain=0)
    lost = record.steps[-1]
    opening = record.open(B, P, 9, generation=1, continues=0)
    first = record.steps[-1]
    record.hand_over(B, C, [P], 12, chain=1)
    return [lost, opening, first]


@scenario(Problem.CONFLICTING_EVENT)
def one_event_told_in_two_ways(record: Record) -> Evidence:
    return [record.scan(A, [P], 0, name="urn:uuid:1"), record.scan(A, [P], 1, name="urn:uuid:1")]


@scenario(Problem.CONFLICTING_EVENT)
def one_delivery_note_with_two_contents(record: Record) -> Evidence:
    record.on_chain = False
    first = record.hand_over(A, B, [P], 0, number="80417731")[0]
    return [first, record.offer(A, B, [P], 0, quantity="57", number="80417731")]


@scenario(Problem.CONFLICTING_EVENT)
def one_offer_answered_twice(record: Record) -> Evidence:
    given = record.offer(A, B, [P], 0)
    return [record.receipt(B, given, [P], 5), record.receipt(B, given, [P], 6)]


@scenario(Problem.CONFLICTING_EVENT)
def corrected_by_another_member(record: Record) -> Evidence:
    record.on_chain = False
    first = record.hand_over(A, B, [P], 0)[0]
    return [first, record.offer("vltava", B, [P], 1, corrects=first)]


@scenario(Problem.STREAM_HOLE)
def a_number_that_never_came(record: Record) -> Evidence:
    return [record.scan(A, [P], 0), record.say(A, "epcis-event", None, 1, number=3)]


@scenario(Problem.STREAM_FORK)
def a_number_given_twice(record: Record) -> Evidence:
    return [record.scan(A, [P], 0), record.say(A, "epcis-event", None, 1, number=1)]


@scenario(Problem.LATE_REGISTRATION)
def registered_two_days_late(record: Record) -> Evidence:
    return [record.scan(A, [P], 0, late=48)]


@scenario(Problem.PACKED_TWICE)
def packed_into_two_pallets(record: Record) -> Evidence:
    return [record.pack(A, pallet(2), [P], 0), record.pack(A, pallet(3), [P], 1)]


@scenario(Problem.PACKING_CYCLE)
def packed_into_what_lies_in_it(record: Record) -> Evidence:
    inner = record.pack(A, pallet(2), [P], 0)
    outer = record.pack(A, pallet(3), [pallet(2)], 1)
    return [inner, outer, record.pack(A, P, [pallet(3)], 2)]
