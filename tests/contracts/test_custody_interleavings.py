"""Three parties hand off the same unit, in every order: one custodian in the end, and an answer to every claim."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from tests.contracts.custody import Custody

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger_service.handoffs import HandOff
    from tests.contracts.network import Network


@pytest.fixture(scope="module")
def custody(founded: Network) -> Iterator[Custody]:
    with founded.undone():
        yield Custody(founded)


def claims(custody: Custody, unit: bytes) -> dict[str, HandOff]:
    """What foundry, gearbox and carrier may sign about one unit, honest or not, complete with both signatures."""
    foundry, gearbox, carrier = custody.key("foundry"), custody.key("gearbox"), custody.key("carrier")
    again, back = custody.key("gearbox", 1), custody.key("foundry", 1)
    return {
        "foundry to gearbox": custody.handoff(unit, 1, foundry, gearbox, "one"),
        "foundry to carrier": custody.handoff(unit, 1, foundry, carrier, "two"),
        "gearbox to carrier": custody.handoff(unit, 2, gearbox, carrier, "three"),
        "carrier to gearbox": custody.handoff(unit, 2, carrier, again, "four"),
        "carrier to foundry": custody.handoff(unit, 2, carrier, back, "five"),
        "carrier to foundry, third": custody.handoff(unit, 3, carrier, back, "six"),
    }


def judged(custody: Custody, unit: bytes, told: Sequence[tuple[str, tuple[object, ...]]]) -> bytes:
    """The custodian in the end: one chain of handoffs, each from the taker before, the last of which has the unit."""
    done = [values for name, values in told if name == "HandedOff"]
    holder = custody.key("foundry").address
    for number, values in enumerate(done, 1):
        assert values[1:3] == (number, holder)
        assert isinstance(values[3], bytes)
        holder = values[3]
    standing = custody.standing(unit)
    assert (standing.custodian, standing.sequence) == (holder, len(done))
    return holder


def answered(told: Sequence[tuple[str, tuple[object, ...]]], sent: Sequence[HandOff]) -> None:
    """Every claim became a handoff or was refused on record, once; the record tells which."""
    taken = [values[4:6] for name, values in told if name == "HandedOff"]
    refused = [values[2] for name, values in told if name == "HandOffRefused"]
    assert len(told) == len(taken) + len(refused) == len(sent)
    kept = [(h.offer.statement, h.acceptance) for place, h in enumerate(sent) if place not in refused]
    assert taken == kept


def sent_at_once(custody: Custody, count: int) -> set[bytes]:
    """Send the first `count` claims in every order as one batch; the custodians that were left."""
    ends = set()
    with custody.network.undone():
        unit = custody.open(custody.key("foundry"))
        for order in permutations(list(claims(custody, unit).values())[:count]):
            with custody.network.undone():
                told = custody.do(custody.many(*order))
                ends.add(judged(custody, unit, told))
                answered(told, order)
    return ends


def sent_singly(custody: Custody, count: int) -> None:
    """Send the first `count` claims in every order, each in a block of its own."""
    with custody.network.undone():
        unit = custody.open(custody.key("foundry"))
        for order in permutations(list(claims(custody, unit).values())[:count]):
            with custody.network.undone():
                # One that is refused alone would revert; in a batch of one it leaves its record.
                told = [event for handoff in order for event in custody.do(custody.many(handoff))]
                judged(custody, unit, told)
                assert len(told) == len(order)


def test_in_every_order_within_a_batch_one_custodian_is_left_and_no_claim_is_lost(custody: Custody) -> None:
    assert len(sent_at_once(custody, 4)) == 3  # whoever wins, somebody else might have


def test_in_every_order_of_blocks_one_custodian_is_left_and_no_claim_is_lost(custody: Custody) -> None:
    sent_singly(custody, 3)


def test_a_claim_that_came_too_early_is_taken_when_its_turn_has_come(custody: Custody) -> None:
    """Sent again, in any order, every claim that can still win does: nothing depends on who sends first."""
    with custody.network.undone():
        unit = custody.open(custody.key("foundry"))
        honest = [claims(custody, unit)[name] for name in ("foundry to carrier", "carrier to gearbox")]
        for order in permutations(honest):
            with custody.network.undone():
                for _ in order:
                    custody.do(custody.many(*order))
                assert custody.standing(unit).custodian == custody.key("gearbox", 1).address


@pytest.mark.full
def test_in_every_order_of_six_claims_one_custodian_is_left_and_no_claim_is_lost(custody: Custody) -> None:
    assert len(sent_at_once(custody, 6)) == 4
    sent_singly(custody, 4)
