"""Any sequence of steps, good and bad, alone and in batches: the custody ledger does what a small model does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from ledger_service.handoffs import NO_HEAD, Closing, HandOff
from tests.contracts.custody import Custody, Standing
from tests.contracts.network import DAY

if TYPE_CHECKING:
    from tests.contracts.network import Network

KEYS = 6
who = st.integers(0, KEYS - 1)
which = st.integers(0, 3)


@dataclass(frozen=True, slots=True)
class Wish:
    """A handoff somebody may try: how far its number lies from the next one, who gives, who takes, who really signs."""

    unit: int
    ahead: int
    gives: int | None  # None: whoever holds it
    takes: int
    giver_signs: bool
    taker_signs: bool
    is_late: bool


wishes = st.builds(
    Wish,
    unit=which,
    ahead=st.sampled_from([0, 0, 0, 0, 0, 1, -1]),
    gives=st.sampled_from([None, None, None, None, 0, 3]),
    takes=who,
    giver_signs=st.sampled_from([True, True, True, True, False]),
    taker_signs=st.sampled_from([True, True, True, True, False]),
    is_late=st.sampled_from([False, False, False, False, True]),
)


class CustodyMachine(RuleBasedStateMachine):
    """The model decides what must happen; the contract is then asked to do it."""

    def __init__(self, custody: Custody) -> None:
        super().__init__()
        self.custody = custody
        self.snapshot = custody.network.tester.take_snapshot()
        self.keys = [custody.key("pool", n) for n in range(KEYS)]
        self.units: dict[int, bytes] = {}
        self.model: dict[bytes, Standing] = {}
        self.past: list[HandOff] = []

    def teardown(self) -> None:
        """Every unit stands where the model says; its head tells of every step on the way."""
        try:
            for unit, stands in self.model.items():
                assert self.custody.standing(unit) == stands
        finally:
            self.custody.network.tester.revert_to_snapshot(self.snapshot)

    def stands(self, unit: bytes) -> Standing:
        return self.model.get(unit, Standing())

    def expected(self, handoff: HandOff, model: dict[bytes, Standing], wish: Wish | None) -> str | None:
        """The error that the next block will meet `handoff` with, None where it is taken."""
        offer, stands = handoff.offer, model.get(handoff.offer.unit, Standing())
        if stands.custodian == bytes(20):
            return "UnknownUnit"
        if stands.is_closed:
            return "UnitClosed"
        if offer.sequence != stands.sequence + 1:
            return "WrongSequence"
        if self.custody.network.time >= offer.deadline:  # the next block carries a later second
            return "Expired"
        if offer.giver != stands.custodian:
            return "NotCustodian"
        if offer.taker == offer.giver:
            return "SelfHandOff"
        if wish and not (wish.giver_signs and wish.taker_signs):
            return "WrongSigner"
        return None

    def made(self, wish: Wish, model: dict[bytes, Standing]) -> HandOff:
        unit = self.units.get(wish.unit, bytes([wish.unit]) * 32)
        stands = model.get(unit, Standing())
        holder = next((key for key in self.keys if key.address == stands.custodian), self.keys[0])
        giver = holder if wish.gives is None else self.keys[wish.gives]
        lifetime = -1 if wish.is_late else DAY
        sequence = max(stands.sequence + 1 + wish.ahead, 0)
        good = self.custody.handoff(unit, sequence, giver, self.keys[wish.takes], str(len(self.past)), lifetime)
        if not wish.giver_signs:
            good = self.custody.bent(good, gives=self.custody.key("stranger"))
        if not wish.taker_signs:
            good = replace(good, taker_signature=good.taker_signature[:64] + bytes([55 - good.taker_signature[64]]))
        return good

    def after(self, handoff: HandOff, model: dict[bytes, Standing]) -> None:
        """Take the step in the model; the head follows when the block is known."""
        offer = handoff.offer
        model[offer.unit] = Standing(offer.taker, offer.sequence, False, model[offer.unit].head)

    @rule(which=which, by=who, reopens=st.booleans())
    def open(self, which: int, by: int, reopens: bool) -> None:
        opening = self.custody.opening(self.keys[by], f"unit {which}")
        function = self.custody.functions.open(*opening.sign(self.keys[by], self.custody.domain))
        if opening.unit in self.model:
            assert self.custody.refusal(function).name == "AlreadyOpened"
            return
        if which in self.units and not reopens:
            return
        self.custody.do(function)
        head = self.custody.head_after(NO_HEAD, opening.struct_hash)
        self.units[which] = opening.unit
        self.model[opening.unit] = Standing(opening.custodian, 0, False, head)

    @rule(wish=wishes)
    def hand_off(self, wish: Wish) -> None:
        handoff = self.made(wish, self.model)
        self.attempt(handoff, self.expected(handoff, self.model, wish))

    @precondition(lambda self: self.past)
    @rule(back=st.integers(1, 5))
    def replay(self, back: int) -> None:
        handoff = self.past[-min(back, len(self.past))]
        expected = self.expected(handoff, self.model, None)
        assert expected is not None
        self.attempt(handoff, expected)

    def attempt(self, handoff: HandOff, expected: str | None) -> None:
        function = self.custody.one(handoff)
        if expected == "Expired" and self.custody.network.time <= handoff.offer.deadline:
            return  # a refusal is judged in the latest block, which is not yet too late
        if expected is not None:
            assert self.custody.refusal(function).name == expected
            return
        before = self.stands(handoff.offer.unit).head
        self.custody.do(function)
        self.past.append(handoff)
        self.after(handoff, self.model)
        self.moved(handoff, before)

    def moved(self, handoff: HandOff, before: bytes) -> None:
        unit = handoff.offer.unit
        self.model[unit] = replace(self.model[unit], head=self.custody.head_after(before, handoff.struct_hash))

    @rule(wanted=st.lists(wishes, max_size=5), all_or_nothing=st.booleans())
    def hand_off_many(self, wanted: list[Wish], all_or_nothing: bool) -> None:
        after, batch, expected = dict(self.model), [], []
        for wish in wanted:
            handoff = self.made(wish, after)
            batch.append(handoff)
            expected.append(self.expected(handoff, after, wish))
            if expected[-1] is None:
                self.after(handoff, after)
        function = self.custody.many(*batch, all_or_nothing=all_or_nothing)
        if all_or_nothing and any(expected):
            refusal = self.custody.refusal(function)
            first = next(place for place, name in enumerate(expected) if name)
            assert (refusal.name, refusal.values[0]) == ("ItemRefused", first)
            assert self.custody.reason(refusal.values[1]).name == expected[first]
            return
        events = self.custody.do(function)
        assert [self.told(*event) for event in events] == expected
        for handoff, refused in zip(batch, expected, strict=True):
            if refused is None:
                before = self.stands(handoff.offer.unit).head
                self.past.append(handoff)
                self.after(handoff, self.model)
                self.moved(handoff, before)

    def told(self, name: str, values: tuple[Any, ...]) -> str | None:
        return self.custody.reason(values[3]).name if name == "HandOffRefused" else None

    @rule(which=which, by=st.none() | who, ahead=st.sampled_from([0, 0, 0, 1]))
    def close(self, which: int, by: int | None, ahead: int) -> None:
        unit = self.units.get(which)
        if unit is None:
            return
        stands = self.stands(unit)
        holder = next(key for key in self.keys if key.address == stands.custodian)
        signer = holder if by is None else self.keys[by]
        deadline = self.custody.network.time + DAY
        closing = Closing(unit, stands.sequence + 1 + ahead, stands.custodian, bytes(32), deadline)
        function = self.custody.close(closing, signer)
        if stands.is_closed:
            assert self.custody.refusal(function).name == "UnitClosed"
        elif ahead:
            assert self.custody.refusal(function).name == "WrongSequence"
        elif signer != holder:
            assert self.custody.refusal(function).name == "WrongSigner"
        else:
            self.custody.do(function)
            head = self.custody.head_after(stands.head, closing.struct_hash)
            self.model[unit] = Standing(stands.custodian, stands.sequence + 1, True, head)

    @rule(days=st.sampled_from([0, 0, 0, 2]))
    def time_passes(self, days: int) -> None:
        network = self.custody.network
        if days:
            network.wait_until(network.time + days * DAY)
        else:
            network.mine()


def check(network: Network, examples: int, steps: int) -> None:
    with network.undone():
        custody = Custody(network)

        class Machine(CustodyMachine):
            def __init__(self) -> None:
                super().__init__(custody)

        run_state_machine_as_test(
            Machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
        )


def test_the_custody_ledger_does_what_its_model_does(founded: Network) -> None:
    check(founded, examples=6, steps=16)


@pytest.mark.full
def test_the_custody_ledger_does_what_its_model_does_for_long(founded: Network) -> None:
    check(founded, examples=50, steps=40)
