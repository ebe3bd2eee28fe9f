"""Which custody policy is in force: the one that the members approved last."""

import random
from fractions import Fraction

import pytest

from ledger_service.custody import Policy, Step, policy_in_force, resolution_in_force
from ledger_service.custody.policy import MINUTE_MS
from ledger_service.handoffs import Closing, HandOff, Offer, Opening, TakenStep
from ledger_service.membership import Approved, Change, RelayerAdded
from tests.custody import START, Record
from tests.custody_histories import POLICY, any_policy

SECOND = START // 1000


def test_the_last_policy_voted_before_the_time_holds() -> None:
    record = Record()
    said = [record.say("office", "custody-policy", {**POLICY, "registerWithinMinutes": n}, 0) for n in (60, 120, 180)]
    changes = [
        Change.of(RelayerAdded(b"\x01" * 20), 1, 5, SECOND),
        Change.of(Approved(said[1].id), 2, 6, SECOND + 10),
        Change.of(Approved(said[0].id), 3, 7, SECOND + 20),
    ]
    held = [policy_in_force(changes, reversed(said), START + at).register_within for at in (0, 9_999, 10_000, 20_000)]
    assert held == [1440 * MINUTE_MS, 1440 * MINUTE_MS, 120 * MINUTE_MS, 60 * MINUTE_MS]
    resolution = resolution_in_force(changes, said, START + 10_000)
    assert resolution is not None
    assert (resolution.statement, resolution.block, resolution.time) == (said[1].id, 6, SECOND + 10)


@pytest.mark.parametrize("how", ["void", "withheld", "unreadable", "of another kind", "never voted"])
def test_what_nobody_can_read_or_voted_for_holds_nothing(how: str) -> None:
    record = Record()
    content = {**POLICY, "registerWithinMinutes": -1 if how == "unreadable" else 60}
    said = record.say(
        "office",
        "explanation" if how == "of another kind" else "custody-policy",
        None if how == "withheld" else content,
        0,
        is_void=how == "void",
    )
    what = b"\x07" * 32 if how == "never voted" else said.id
    assert policy_in_force([Change.of(Approved(what), 1, 5, SECOND)], [said], START) == Policy()


@pytest.mark.parametrize("seed", range(20))
def test_a_policy_is_written_as_it_is_read(seed: int) -> None:
    content = any_policy(random.Random(seed))
    assert Policy.parse(content).content([]) == content


def test_a_policy_that_nobody_voted_can_be_written() -> None:
    assert Policy.parse(Policy().content([])) == Policy()
    shares = {"KGM": Fraction("0.125"), "H87": Fraction("0.005"), "MTR": Fraction(0)}
    assert Policy.parse(Policy(quantity_tolerance=shares).content([])).quantity_tolerance == shares


def test_a_step_of_custody_is_the_step_that_the_chain_took() -> None:
    giver, taker, ids = b"\x01" * 20, b"\x02" * 20, [bytes([n]) * 32 for n in (3, 4, 5)]
    opening = Opening(giver, ids[0], 9)
    unit = opening.unit
    steps: list[Opening | HandOff | Closing] = [
        opening,
        HandOff(Offer(unit, 1, giver, taker, ids[0], 9), ids[1], b"", b""),
        Closing(unit, 2, taker, ids[2], 9),
    ]
    assert [Step.of(TakenStep(step, b"", 7, 1000, bytes(32))) for step in steps] == [
        Step(unit, 0, None, giver, None, None, None, 7, 1_000_000),
        Step(unit, 1, giver, taker, ids[0], ids[1], None, 7, 1_000_000),
        Step(unit, 2, taker, None, None, None, ids[2], 7, 1_000_000),
    ]
