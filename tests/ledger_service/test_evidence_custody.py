"""Records of custody before their judge: the story of the auditor from a real chain, and all that can be bent in it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ledger_service.custody import Answer, Policy, Problem, Step, UnsignedAllowed, Weight, fold
from ledger_service.evidence import Bundle, Strength, Trust, Verdict, verify_bundle
from ledger_service.identifiers import check_digit, identify
from ledger_service.instants import instant
from ledger_service.keys import to_hex
from tests.consortium import member_id, witness
from tests.custody_chain import House

DUERO, ODERLAND, RHEINKNOTEN, NORDRAND, VLTAVA = "duero", "oderland", "rheinknoten", "nordrand", "vltava"
MEMBERS = ("havelmark", DUERO, ODERLAND, RHEINKNOTEN, NORDRAND, VLTAVA)
POLICY = {
    "registerWithinMinutes": 1440,
    "clockToleranceMinutes": 5,
    "streamGapAfterMinutes": 1440,
    "answerWithinMinutes": 10080,
    "unsignedAllowed": [{"taker": to_hex(member_id(ODERLAND))}],
    "quantityTolerance": [],
    "weights": [],
}


def at(text: str) -> int:
    """A time in Berlin in September 2026, in ms."""
    return instant(f"2026-09-{text}:00+02:00")


def sscc(number: int) -> str:
    body = f"39521004000926{number:03d}"
    found = identify(f"(00){body}{check_digit(body)}")
    assert found is not None
    return found.key


PALLETS = [sscc(number) for number in range(10, 26)]
STRAY = sscc(17)


@dataclass(frozen=True)
class Story:
    house: House
    bundle: bytes
    trust: Trust
    said: dict[str, bytes]


def tell(house: House) -> dict[str, bytes]:
    """The story up to 30 September; the ids of what was said."""
    said = {"policy": house.vote_policy("havelmark", POLICY, at("18T13:00"))}
    said["opening"] = house.open(DUERO, PALLETS, at("18T14:00"))
    house.hand_over(DUERO, ODERLAND, PALLETS, at("18T16:00"), at("18T16:10"))
    house.publish()
    house.hand_over(ODERLAND, RHEINKNOTEN, PALLETS, at("21T04:20"), at("21T04:35"))
    given = house.offer(RHEINKNOTEN, NORDRAND, PALLETS, at("21T19:05"), legs=[(RHEINKNOTEN, ODERLAND)])
    house.publish()
    taken = house.receipt(NORDRAND, given, PALLETS, at("22T06:21"), basis="listed")
    house.take(house.handoffs(NORDRAND, given, taken, PALLETS))
    said["late"] = house.scan(RHEINKNOTEN, PALLETS, at("21T05:00"), late_minutes=26 * 60)
    said["seen"] = house.scan(VLTAVA, [STRAY], at("22T13:40"))
    house.publish()
    short = {"unit": STRAY, "what": "short"}
    said["counted"] = house.receipt(
        NORDRAND,
        given,
        PALLETS,
        at("22T06:21"),
        said=at("24T10:00"),
        basis="counted",
        discrepancies=[short],
        corrects=to_hex(taken),
    )
    explain(house, said)
    house.scan(NORDRAND, [STRAY], at("28T09:15"), bizStep="arriving")
    house.until(at("30T12:00"))
    house.publish("havelmark", "duero")
    return said | {"given": given, "taken": taken}


def explain(house: House, said: dict[str, bytes]) -> None:
    """What Rheinknoten and Nordrand signed on 24 September."""
    policy = Policy(unsigned_allowed=(UnsignedAllowed(None, member_id(ODERLAND)),))
    steps = [Step.of(one) for taken in house.taken.values() for one in taken]
    found = {one.problem: one for one in fold(house.facts(), steps, policy, at=at("24T11:00")).findings}
    for problem, issuer, text in (
        (Problem.DOUBLE_POSSESSION, RHEINKNOTEN, "We printed one label twice; the second went to Plzeň."),
        (Problem.QUANTITY_NOT_CONSERVED, NORDRAND, "We accepted 16 from the list and counted 15."),
    ):
        said[problem] = house.explain(issuer, found[problem], text, at("24T15:00"))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    house = House(tmp_path_factory.mktemp("story"), at("18T12:00"), MEMBERS)
    said = tell(house)
    yield Story(house, house.bundle(PALLETS).data, house.consortium.trust, said)
    house.close()


def judged(data: bytes, trust: Trust, witnesses: int = 0) -> Verdict:
    return verify_bundle(Bundle.parse(data), trust, min_witnesses=witnesses)


def test_the_auditors_story_holds_and_is_whole_with_reservations(story: Story) -> None:
    verdict = judged(story.bundle, story.trust, 2)
    assert verdict.strength is Strength.WITNESSED
    assert verdict.witnesses == (witness("havelmark").name, witness("duero").name)
    custody = verdict.custody
    assert custody is not None
    assert custody.answer is Answer.WITH_RESERVATIONS
    found = {one.problem: (one.weight, one.is_explained, one.what) for one in custody.trail.findings}
    assert len(custody.trail.findings) == 4
    assert found == {
        Problem.DOUBLE_POSSESSION: (
            Weight.NEEDS_EXPLAINING,
            True,
            "a second member had it in hand while it was another's",
        ),
        Problem.QUANTITY_NOT_CONSERVED: (Weight.NEEDS_EXPLAINING, True, "what was received is not what was offered"),
        Problem.LATE_REGISTRATION: (Weight.INFORMATION, False, "registered 26 h after it happened"),
        Problem.UNSIGNED_LEG: (
            Weight.INFORMATION,
            False,
            "an agreed leg has no handoff of its own, as the policy allows here",
        ),
    }
    assert custody.policy == story.said["policy"]
    assert (custody.untold, custody.unseen) == ((), 0)
    assert {one.thing for one in custody.chain} == set(PALLETS)
    assert all(one.steps == 3 and not one.is_closed for one in custody.chain)
    assert custody.custody.holder(STRAY) == member_id(NORDRAND)
