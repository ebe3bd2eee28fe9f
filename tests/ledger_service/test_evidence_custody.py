"""Records of custody before their judge: the story of the auditor from a real chain, and all that can be bent in it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ledger_service.custody import Answer, Problem, Weight
from ledger_service.evidence import Bundle, Strength, Trust, Verdict, verify_bundle
from tests.consortium import member_id, witness
from tests.custody_chain import House
from tests.story import BEFORE, MEMBERS, NORDRAND, PALLETS, STRAY, tell


@dataclass(frozen=True)
class Story:
    house: House
    bundle: bytes
    trust: Trust
    said: dict[str, bytes]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    house = House(tmp_path_factory.mktemp("story"), BEFORE, MEMBERS)
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
