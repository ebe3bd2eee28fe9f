"""The auditor's story as facts: sixteen pallets from Valladolid to Göttingen, of which one came by Plzeň."""

from dataclasses import dataclass

import pytest

from ledger_service.custody import Answer, Fact, LegState, Policy, Problem, UnsignedAllowed, Weight, fold
from ledger_service.identifiers import check_digit, identify
from ledger_service.instants import instant
from tests.custody import HOUR, SHAFT, START, Record, clock_text, member_id

DUERO, ODERLAND, RHEINKNOTEN, NORDRAND, VLTAVA = "duero", "oderland", "rheinknoten", "nordrand", "vltava"
POLICY = Policy(unsigned_allowed=(UnsignedAllowed(None, member_id(ODERLAND)),))


def sscc(number: int) -> str:
    body = f"39521004000926{number:03d}"
    found = identify(f"(00){body}{check_digit(body)}")
    assert found is not None
    return found.key


def hour(text: str) -> float:
    """Hours from the start of the record to a time in Berlin."""
    return (instant(f"2026-09-{text}:00+02:00") - START) / HOUR


PALLETS = [sscc(number) for number in range(10, 26)]
STRAY = sscc(17)
NOW = "30T12:00"


@dataclass
class Story:
    record: Record
    facts: dict[str, Fact]


def hand_over(record: Record, giver: str, taker: str, things: list[str], start: str, end: str) -> tuple[Fact, Fact]:
    given = record.offer(giver, taker, things, hour(start), chain=0)
    taken = record.receipt(taker, given, things, hour(end))
    record.settle(given, taken, things, hour(end))
    return given, taken


@pytest.fixture
def story() -> Story:
    record = Record()
    for thing in PALLETS:
        record.open(DUERO, thing, hour("18T14:00"))
    hand_over(record, DUERO, ODERLAND, PALLETS, "18T16:00", "18T16:10")
    hand_over(record, ODERLAND, RHEINKNOTEN, PALLETS, "21T04:20", "21T04:35")
    late = record.scan(RHEINKNOTEN, PALLETS, hour("21T05:00"), late=26 - 1 / 6)
    given = record.offer(
        RHEINKNOTEN, NORDRAND, PALLETS, hour("21T19:05"), chain=0, legs=[(RHEINKNOTEN, ODERLAND)], deadline=48
    )
    taken = record.receipt(NORDRAND, given, PALLETS, hour("22T06:21"), basis="listed")
    record.settle(given, taken, PALLETS, hour("22T06:21"))
    seen = record.scan(VLTAVA, [STRAY], hour("22T13:40"))
    counted = record.receipt(
        NORDRAND,
        given,
        PALLETS,
        hour("24T10:00"),
        received=hour("22T06:21"),
        basis="counted",
        discrepancies=[{"unit": STRAY, "what": "short"}],
        corrects=taken,
    )
    return Story(record, {"late": late, "given": given, "taken": taken, "seen": seen, "counted": counted})


def explain(story: Story) -> None:
    """What Rheinknoten and Nordrand signed on 24 September, and where the pallet came to light."""
    found = {one.problem: one for one in story.record.fold(POLICY, hour=hour("24T11:00")).findings}
    for problem, issuer, text in (
        (Problem.DOUBLE_POSSESSION, RHEINKNOTEN, "We printed one label twice; the second went to Plzeň."),
        (Problem.QUANTITY_NOT_CONSERVED, NORDRAND, "We accepted 16 from the list and counted 15."),
    ):
        story.facts[problem] = record_of(story, issuer, found[problem].explanation(text, []))
    story.record.scan(NORDRAND, [STRAY], hour("28T09:15"), bizStep="arriving")


def record_of(story: Story, issuer: str, content: dict[str, object]) -> Fact:
    return story.record.say(issuer, "explanation", content, hour("24T15:00"))


def test_the_trail_has_the_findings_of_the_story_and_no_others(story: Story) -> None:
    explain(story)
    trail = story.record.fold(POLICY, hour=hour(NOW)).trail(PALLETS)
    found = {one.problem: one for one in trail.findings}
    assert len(trail.findings) == 4
    assert {problem: (one.weight, one.is_explained) for problem, one in found.items()} == {
        Problem.DOUBLE_POSSESSION: (Weight.NEEDS_EXPLAINING, True),
        Problem.QUANTITY_NOT_CONSERVED: (Weight.NEEDS_EXPLAINING, True),
        Problem.LATE_REGISTRATION: (Weight.INFORMATION, False),
        Problem.UNSIGNED_LEG: (Weight.INFORMATION, False),
    }
    assert found[Problem.LATE_REGISTRATION].what == "registered 26 h after it happened"
    assert trail.answer is Answer.WITH_RESERVATIONS
    assert str(trail.answer) == "whole with reservations"


def test_each_finding_of_the_story_shows_its_evidence(story: Story) -> None:
    explain(story)
    facts = {name: fact.record for name, fact in story.facts.items()}
    custody = story.record.fold(POLICY, hour=hour(NOW))
    found = {one.problem: one for one in custody.trail([STRAY]).findings}
    step = next(leg.step for leg in custody.units[STRAY].legs if leg.taker == member_id(NORDRAND))
    assert step is not None
    assert set(found[Problem.DOUBLE_POSSESSION].evidence) == {facts["seen"], facts["given"], facts["counted"], step}
    assert found[Problem.DOUBLE_POSSESSION].units == (STRAY,)
    assert set(found[Problem.QUANTITY_NOT_CONSERVED].evidence) == {facts["given"], facts["counted"]}
    assert found[Problem.LATE_REGISTRATION].evidence == (facts["late"],)
    assert set(found[Problem.UNSIGNED_LEG].evidence) == {facts["given"], facts["counted"]}
    assert found[Problem.DOUBLE_POSSESSION].explained_by == (facts[Problem.DOUBLE_POSSESSION],)
    assert custody.corrected == {facts["taken"]: facts["counted"]}


def test_until_it_is_explained_the_unit_is_contested_and_the_record_broken(story: Story) -> None:
    custody = story.record.fold(POLICY, hour=hour("23T12:00"))
    unit = custody.units[STRAY]
    assert unit.is_contested
    assert set(unit.claims) == {member_id(NORDRAND), member_id(VLTAVA)}
    assert unit.custodian == member_id(NORDRAND)  # the chain refused a second handoff, and says who has it
    assert custody.trail([STRAY]).answer is Answer.BROKEN
    assert not custody.units[PALLETS[0]].is_contested
    explain(story)
    after = story.record.fold(POLICY, hour=hour(NOW))
    assert not after.units[STRAY].is_contested
    assert after.holder(STRAY) == member_id(NORDRAND)


def test_the_auditor_can_go_back_to_what_was_known_on_tuesday_morning(story: Story) -> None:
    explain(story)
    before = fold(story.record.facts, story.record.steps, POLICY, at=START + int(hour("22T06:55") * HOUR))
    assert [one.problem for one in before.trail(PALLETS).findings] == [Problem.UNSIGNED_LEG]
    assert before.units[STRAY].legs[-1].state is LegState.HANDED_OVER
    assert before.clocks[story.facts["taken"].record][0] == instant("2026-09-22T06:21:00+02:00")


def test_an_explanation_still_holds_when_what_it_explains_is_corrected(story: Story) -> None:
    early = {one.problem: one for one in story.record.fold(POLICY, hour=hour("23T09:00")).findings}
    found = early[Problem.DOUBLE_POSSESSION]
    assert story.facts["taken"].record in found.evidence
    content = found.explanation("A label was printed twice.", [])
    story.record.say(RHEINKNOTEN, "explanation", content, hour("23T10:00"))
    later = {one.problem: one for one in story.record.fold(POLICY, hour=hour(NOW)).findings}
    assert story.facts["counted"].record in later[Problem.DOUBLE_POSSESSION].evidence
    assert later[Problem.DOUBLE_POSSESSION].is_explained


def test_who_has_it_in_hand_after_its_taker_said_that_it_never_came_contradicts_nobody(story: Story) -> None:
    explain(story)
    story.record.scan(VLTAVA, [STRAY], hour("25T16:05"), bizStep="shipping")
    story.record.scan(ODERLAND, [STRAY], hour("25T16:12"), bizStep="accepting")
    trail = story.record.fold(POLICY, hour=hour(NOW)).trail([STRAY])
    assert [one.is_explained for one in trail.findings if one.problem is Problem.DOUBLE_POSSESSION] == [True]
    assert trail.answer is Answer.WITH_RESERVATIONS
    story.record.scan(VLTAVA, [STRAY], hour("23T08:00"))
    told_before = story.record.fold(POLICY, hour=hour(NOW)).trail([STRAY])
    assert [one.is_explained for one in told_before.findings if one.problem is Problem.DOUBLE_POSSESSION].count(
        False
    ) == 1


def test_the_other_fifteen_pallets_have_no_double_possession(story: Story) -> None:
    explain(story)
    findings = story.record.fold(POLICY, hour=hour(NOW)).trail([PALLETS[0]]).findings
    assert {one.problem for one in findings} == {Problem.LATE_REGISTRATION, Problem.UNSIGNED_LEG}


def test_twelve_damaged_shafts_on_four_pallets_are_a_discrepancy_and_no_finding() -> None:
    record = Record()
    pallets = [sscc(number) for number in range(40, 56)]
    for thing in pallets:
        record.open(DUERO, thing, hour("22T14:00"))
    hand_over(record, DUERO, ODERLAND, pallets, "22T16:00", "22T16:10")
    hand_over(record, ODERLAND, RHEINKNOTEN, pallets, "23T04:20", "23T04:35")
    given = record.offer(RHEINKNOTEN, NORDRAND, pallets, hour("23T19:05"), chain=0)
    damaged = [
        {"unit": thing, "what": "damaged", "part": SHAFT, "quantity": "3", "uom": "H87"} for thing in pallets[:4]
    ]
    taken = record.receipt(NORDRAND, given, pallets, hour("24T06:21"), discrepancies=damaged)
    record.settle(given, taken, pallets, hour("24T06:21"))
    content = {
        "document": {"type": "8d-report", "number": "Q-2026-0917"},
        "about": taken.record,
        "raisedAt": clock_text(START + int(hour("24T09:00") * HOUR)),
        "items": damaged,
    }
    complaint = record.say(NORDRAND, "complaint", content, hour("24T09:00"))
    custody = record.fold(POLICY, hour=hour(NOW))
    assert not custody.findings
    assert complaint.record in custody.trail([pallets[0]]).records
    assert sum(len(custody.units[thing].legs[-1].discrepancies) for thing in pallets) == 4
    assert custody.trail(pallets).answer is Answer.WHOLE
