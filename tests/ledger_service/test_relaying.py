"""The relay: every completed step reaches the chain once, or its parties are told why it never will."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, permutations, product
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from ledger_service import blocks
from ledger_service.anchoring import ChainBehind, ChainReplaced
from ledger_service.chain.errors import ChainUnavailable
from ledger_service.errors import LedgerError
from ledger_service.handoffs import DEADLINE_STEP, HandOff, Opening, SignedStep, WrongSigner, verify_sequence
from ledger_service.invariants import check
from ledger_service.keys import keccak
from ledger_service.membership import RelayerRemoved
from ledger_service.relaying import (
    CERTIFIED_AT_ONCE,
    HANDOFFS_IN_ONE,
    REFUSED,
    SENT,
    TAKEN,
    WAITING,
    RelayFull,
    Relaying,
    RelayNotAllowed,
    StepRefused,
    TooManyUnits,
    UncommonDeadline,
    Waiting,
)
from ledger_service.store.tables import custody_batch
from tests.consortium import Consortium, key, member_id
from tests.ledger_service.test_anchoring import FaultyChain
from tests.relay import Parties, relaying

DAY, WEEK = 86_400, 604_800


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    made = Consortium(tmp_path / "network", wrap=FaultyChain)
    yield made
    made.close()


@pytest.fixture
def relay(consortium: Consortium) -> Relaying:
    return relaying(consortium)


@pytest.fixture
def parties(consortium: Consortium, relay: Relaying) -> Parties:
    return Parties(relay.domain, consortium.clock.seconds())


def faults(consortium: Consortium) -> FaultyChain:
    chain = consortium.ledger.anchoring.chain
    assert isinstance(chain, FaultyChain)
    return chain


def submit(relay: Relaying, consortium: Consortium, *steps: SignedStep) -> list[Waiting]:
    """Steps that the relay must take."""
    outcomes = relay.submit(steps, consortium.clock.now)
    for one in outcomes:
        assert isinstance(one, Waiting), one
    return [one for one in outcomes if isinstance(one, Waiting)]


def settle(relay: Relaying, consortium: Consortium, rounds: int = 20) -> None:
    """Rounds until nothing is under way that could be."""
    for _ in range(rounds):
        relay.run(consortium.clock.now)
        queue = relay.queue(consortium.clock.now)
        if not queue.due and not queue.sent:
            return
    raise AssertionError("the relay does not come to an end")


def states(relay: Relaying, unit: bytes) -> list[tuple[int, str]]:
    return [(one.sequence, one.state) for one in relay.waiting(unit)]


def transactions(relay: Relaying) -> list[Any]:
    with relay._store.read() as connection:
        return list(connection.execute(sa.select(custody_batch).order_by(custody_batch.c.number)))


# The way of a step


def test_steps_reach_the_chain_in_whatever_order_they_were_submitted(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = parties.open()
    unit = opened.unit
    steps = [opened, parties.hand(unit), parties.hand(unit, "assembly"), parties.close(unit)]
    submit(relay, consortium, *reversed(steps))
    settle(relay, consortium)
    found = relay.taken([unit])[unit]
    assert [one.signed for one in found] == steps
    verify_sequence(found)
    assert states(relay, unit) == [(number, TAKEN) for number in range(4)]
    assert [step for _, step in relay.taken_since(0)] == found
    assert consortium.ledger.anchoring.chain.call("standing", [unit])[3] == found[-1].head


def test_units_share_blocks_and_transactions(relay: Relaying, consortium: Consortium, parties: Parties) -> None:
    opened = [parties.open() for _ in range(HANDOFFS_IN_ONE + 10)]
    submit(relay, consortium, *opened)
    before = consortium.ledger.anchoring.chain.head().number
    assert len(relay.run(consortium.clock.now)) == len(opened)
    assert consortium.ledger.anchoring.chain.head().number == before + 1
    closing, handed = opened[0], opened[1:]
    submit(relay, consortium, parties.close(closing.unit), *(parties.hand(one.unit) for one in handed))
    fresh = relay.run(consortium.clock.now)
    assert consortium.ledger.anchoring.chain.head().number == before + 2
    assert len(fresh) == len(opened)
    assert len(transactions(relay)) == len(opened) + 3  # two of handoffs and a closing


def test_a_batch_tells_nothing_of_the_order_in_which_steps_came(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = [parties.open() for _ in range(40)]
    submit(relay, consortium, *opened)
    relay.run(consortium.clock.now)
    submit(relay, consortium, *(parties.hand(one.unit) for one in opened))
    relay.run(consortium.clock.now)
    units = [one.unit for one in opened]
    assert [step.unit for _, step in relay.taken_since(0)][:40] != units
    assert [step.unit for _, step in relay.taken_since(40)] not in (units, sorted(units))


def test_a_step_waits_for_its_drawn_time(consortium: Consortium) -> None:
    relay = relaying(consortium, interval=DAY, spread=WEEK)
    parties = Parties(relay.domain, consortium.clock.seconds())
    steps = [parties.open() for _ in range(60)]
    drawn = sorted({one.release_at for one in submit(relay, consortium, *steps)})
    assert len(drawn) == 7
    assert {at % DAY for at in drawn} == {0}
    assert [b - a for a, b in pairwise(drawn)] == [DAY] * 6
    assert 0 < drawn[0] - consortium.clock.seconds() <= DAY
    assert relay.run(consortium.clock.now) == []
    assert relay.queue(consortium.clock.now).drawn == 60
    assert "drawn for" in relay.explain(relay.waiting(steps[0].unit)[0], consortium.clock.now)
    consortium.clock.forward(drawn[0] - consortium.clock.seconds())
    first = len(relay.run(consortium.clock.now))
    assert 0 < first < 60
    consortium.clock.forward(WEEK)
    settle(relay, consortium)
    assert relay.queue(consortium.clock.now).taken == 60


def test_no_step_is_drawn_beyond_its_deadline(consortium: Consortium) -> None:
    relay = relaying(consortium, interval=DAY, spread=4 * WEEK)
    parties = Parties(relay.domain, consortium.clock.seconds())
    deadline = (parties.now // WEEK + 2) * WEEK
    holder = parties.holders[parties.open().unit]

    def opening(what: bytes) -> SignedStep:
        made = Opening(holder.address, keccak(what), deadline)
        return SignedStep(made, made.sign(holder, relay.domain)[-1])

    times = {one.release_at for one in submit(relay, consortium, *(opening(b"%d" % n) for n in range(60)))}
    assert len(times) > 1
    assert max(times) < deadline
    consortium.clock.now = (deadline - 3600) * 1000
    (waiting,) = submit(relay, consortium, opening(b"the last"))
    assert waiting.release_at == deadline - 3600


def test_submitting_again_is_submitting_once(relay: Relaying, consortium: Consortium, parties: Parties) -> None:
    opened = parties.open()
    first = submit(relay, consortium, opened, opened)
    assert first[0] == first[1]
    consortium.clock.forward(60)
    assert submit(relay, consortium, opened) == first[:1]
    settle(relay, consortium)
    (again,) = submit(relay, consortium, opened)
    assert again.state == TAKEN
    assert len(transactions(relay)) == 1


def test_a_step_that_another_relayer_brought_is_known_when_it_is_submitted(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = parties.open()
    step = opened.step
    consortium.ledger.anchoring.chain.relay(
        "open", (step.custodian, step.commitment, step.deadline, opened.signature), key("operator")  # type: ignore[union-attr]
    )  # fmt: skip
    assert [one.signed for one in relay.run(consortium.clock.now)] == [opened]
    (known,) = submit(relay, consortium, opened)
    assert known.state == TAKEN
    assert relay.run(consortium.clock.now) == []


# What is refused at the door


def test_the_door_refuses_what_could_never_be_taken(relay: Relaying, consortium: Consortium, parties: Parties) -> None:
    opened = parties.open()
    unit, holder = opened.unit, parties.holders[opened.unit]
    handed = parties.hand(unit)
    assert isinstance(handed.step, HandOff)
    good = parties.deadline
    cases: dict[str, tuple[SignedStep, type[LedgerError]]] = {
        "a signature by another": (SignedStep(opened.step, parties.key("stranger").sign(bytes(32))), WrongSigner),
        "no signature": (SignedStep(opened.step, bytes(65)), WrongSigner),
        "the taker did not sign": (
            SignedStep(replace(handed.step, taker_signature=handed.step.giver_signature)), WrongSigner
        ),
        "a deadline of its own": (
            parties.hand(unit, giver=holder, sequence=1, deadline=good + 1), UncommonDeadline
        ),
        "a deadline that is over": (
            parties.hand(unit, giver=holder, sequence=1, deadline=good - 10 * DEADLINE_STEP), UncommonDeadline
        ),
        "a deadline in two years": (
            parties.hand(unit, giver=holder, sequence=1, deadline=good + 104 * DEADLINE_STEP), UncommonDeadline
        ),
    }  # fmt: skip
    for name, (step, error) in cases.items():
        (outcome,) = relay.submit([step], consortium.clock.now)
        assert isinstance(outcome, error), name
    assert relay.queue(consortium.clock.now).due == 0
    mixed = relay.submit([opened, cases["the taker did not sign"][0], parties.open()], consortium.clock.now)
    assert [isinstance(one, Waiting) for one in mixed] == [True, False, True]


def test_the_queue_is_bounded(consortium: Consortium) -> None:
    relay = relaying(consortium, max_waiting=3)
    parties = Parties(relay.domain, consortium.clock.seconds())
    outcomes = relay.submit([parties.open() for _ in range(5)], consortium.clock.now)
    assert [isinstance(one, RelayFull) for one in outcomes] == [False] * 3 + [True] * 2
    settle(relay, consortium)
    submit(relay, consortium, parties.open())


def test_nobody_fills_the_queue_for_the_others(consortium: Consortium) -> None:
    relay = relaying(consortium, max_of_one=2)
    parties = Parties(relay.domain, consortium.clock.seconds())
    flood = relay.submit([parties.open() for _ in range(4)], consortium.clock.now, member_id("vltava"))
    assert [isinstance(one, RelayFull) for one in flood] == [False, False, True, True]
    assert "of yours" in str(flood[2])
    for sender in (member_id("nordrand"), None):
        assert isinstance(relay.submit([parties.open()], consortium.clock.now, sender)[0], Waiting)
    settle(relay, consortium)
    assert isinstance(relay.submit([parties.open()], consortium.clock.now, member_id("vltava"))[0], Waiting)


# What the chain refuses


def test_a_bad_item_is_set_aside_with_its_reason_and_the_others_go_on(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = [parties.open() for _ in range(4)]
    submit(relay, consortium, *opened)
    settle(relay, consortium)
    stranger = parties.key("stranger")
    wrong = parties.hand(opened[0].unit, giver=stranger, sequence=1)
    (outcome,) = relay.submit([wrong], consortium.clock.now)
    assert isinstance(outcome, StepRefused)  # known at once
    good = [parties.hand(one.unit) for one in opened[1:]]
    early = parties.hand(opened[0].unit, sequence=2, giver=stranger)
    submit(relay, consortium, early, *good)
    settle(relay, consortium)
    assert [relay.waiting(one.unit)[-1].state for one in opened] == [WAITING, TAKEN, TAKEN, TAKEN]
    waits = relay.waiting(opened[0].unit)[-1]
    assert relay.explain(waits, consortium.clock.now) == "it waits until the chain has taken step 1"
    submit(relay, consortium, parties.hand(opened[0].unit))
    settle(relay, consortium)
    (told,) = (one for one in relay.waiting(opened[0].unit) if one.sequence == 2)
    assert told.state == REFUSED
    assert "held by" in (told.reason or "")
    (again,) = relay.submit([early], consortium.clock.now)
    assert isinstance(again, StepRefused)


def test_of_two_handoffs_in_one_batch_one_wins_and_the_other_is_told(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = parties.open()
    giver = parties.holders[opened.unit]
    submit(relay, consortium, opened)
    settle(relay, consortium)
    rivals = [parties.hand(opened.unit, name, giver=giver, sequence=1) for name in ("gearbox", "assembly", "carrier")]
    submit(relay, consortium, *rivals)
    settle(relay, consortium)
    assert sorted(state for _, state in states(relay, opened.unit)) == [REFUSED, REFUSED, TAKEN, TAKEN]
    assert len(relay.taken([opened.unit])[opened.unit]) == 2
    for one in relay.waiting(opened.unit):
        if one.state == REFUSED:
            assert "another step 1 was taken" in (one.reason or "")


def test_what_waits_for_a_step_that_never_comes_ends_with_its_deadline(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = parties.open()
    submit(relay, consortium, opened)
    settle(relay, consortium)
    orphan = parties.hand(opened.unit, giver=parties.key("nobody"), sequence=5)
    submit(relay, consortium, orphan)
    settle(relay, consortium)
    assert states(relay, opened.unit)[-1] == (5, WAITING)
    assert relay.queue(consortium.clock.now).blocked == 1
    consortium.clock.now = (orphan.deadline + 600) * 1000
    relay.run(consortium.clock.now)
    assert states(relay, opened.unit)[-1] == (5, REFUSED)


def test_a_step_whose_deadline_passes_while_the_chain_is_silent_is_refused_by_the_chain(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = [parties.open() for _ in range(3)]
    submit(relay, consortium, *opened)
    settle(relay, consortium)
    steps = [parties.close(opened[0].unit), parties.hand(opened[1].unit), parties.open()]
    submit(relay, consortium, *steps)
    consortium.clock.now = (parties.deadline + 60) * 1000
    settle(relay, consortium)
    for one in steps:
        told = relay.waiting(one.unit)[-1]
        assert told.state == REFUSED
        assert "Expired" in (told.reason or "")
    parties.now = consortium.clock.seconds()
    later = parties.open()
    submit(relay, consortium, later)
    settle(relay, consortium)
    assert states(relay, later.unit) == [(0, TAKEN)]


def test_a_closed_unit_takes_nothing_and_who_waits_is_told(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = parties.open()
    closing = parties.close(opened.unit)
    after = parties.hand(opened.unit)
    submit(relay, consortium, after, closing, opened)
    settle(relay, consortium)
    assert states(relay, opened.unit) == [(0, TAKEN), (1, TAKEN), (2, REFUSED)]
    assert "closed by step 1" in (relay.waiting(opened.unit)[-1].reason or "")


# Three parties, one unit


def rivals(parties: Parties) -> tuple[SignedStep, list[SignedStep]]:
    """A unit of A, and completed handoffs of it that cannot all be: to B and to C, and on from either of them."""
    opened = parties.open("A")
    unit, a = opened.unit, parties.holders[opened.unit]
    first = [parties.hand(unit, name, giver=a, sequence=1, what=f"A to {name}") for name in "BC"]
    b, c = (parties.made[step.unit, 1, step.step.offer.taker] for step in first if isinstance(step.step, HandOff))
    second = [
        parties.hand(unit, "C", giver=b, sequence=2, what="B to C"),
        parties.hand(unit, "A", giver=b, sequence=2, what="B to A"),
        parties.hand(unit, "B", giver=c, sequence=2, what="C to B"),
    ]
    return opened, first + second


@pytest.mark.parametrize(
    "every", [pytest.param(False, id="one cut each"), pytest.param(True, id="every cut", marks=pytest.mark.full)]
)
def test_of_all_that_three_parties_sign_one_history_is_taken_and_every_other_claim_is_told(
    relay: Relaying, consortium: Consortium, parties: Parties, every: bool
) -> None:
    """All orders of five completed handoffs, each order cut into batches in one way, or in every way."""
    random = Random(11)
    # Whether a new batch begins before the 2nd, 3rd, 4th and 5th that is submitted.
    cuts = list(product((False, True), repeat=4))
    cases = [(order, cut) for order in permutations(range(5)) for cut in (cuts if every else [random.choice(cuts)])]
    worlds = [rivals(parties) for _ in cases]
    for at in range(0, len(worlds), 1000):
        submit(relay, consortium, *(opened for opened, _ in worlds[at : at + 1000]))
    settle(relay, consortium, rounds=200)
    waves: list[list[SignedStep]] = [[] for _ in range(5)]
    for (order, cut), (_, claims) in zip(cases, worlds, strict=True):
        wave = 0
        for number, place in enumerate(order):
            wave += number > 0 and cut[number - 1]
            waves[wave].append(claims[place])
    told: dict[bytes, str] = {}
    for claimed in waves:
        outcomes = relay.submit(claimed, consortium.clock.now)
        for step, outcome in zip(claimed, outcomes, strict=True):
            if isinstance(outcome, LedgerError):
                assert isinstance(outcome, StepRefused)
                told[step.struct_hash] = outcome.reason
        relay.run(consortium.clock.now)
    settle(relay, consortium, rounds=500)
    winners = set()
    for opened, claims in worlds:
        steps = relay.taken([opened.unit])[opened.unit]
        verify_sequence(steps)
        assert len(steps) == 3, "a step after the opening and one more"
        custodian, sequence, _, head = consortium.ledger.anchoring.chain.call("standing", [opened.unit])
        last = steps[-1].step
        assert isinstance(last, HandOff)
        assert (custodian, sequence, head) == (last.offer.taker, 2, steps[-1].head)
        taken = {step.struct_hash for step in steps}
        told |= {one.step.struct_hash: one.reason or "" for one in relay.waiting(opened.unit) if one.state == REFUSED}
        for number, claim in enumerate(claims):
            assert (claim.struct_hash in taken) != bool(told.get(claim.struct_hash)), "taken, or told why not"
            if claim.struct_hash in taken:
                winners.add(number)
    assert winners == {0, 1, 2, 3, 4}, "every claim wins somewhere"


# Lost answers and other trouble


CUTS: dict[str, tuple[str, str]] = {
    "the question is lost": ("send_many", "before"),
    "the answer is lost": ("send_many", "after"),
    "the head cannot be asked": ("final", "before"),
    "the steps cannot be asked": ("custody_steps", "before"),
    "the answer with the steps is lost": ("custody_steps", "after"),
    "the nonce cannot be asked": ("next_nonce", "before"),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_lost_answer_sends_nothing_twice(
    relay: Relaying, consortium: Consortium, parties: Parties, cut: tuple[str, str]
) -> None:
    opened = [parties.open() for _ in range(3)]
    submit(relay, consortium, *opened)
    chain = faults(consortium)
    nonce = chain.next_nonce(relay.relayer)
    chain.lose.append(cut)
    with pytest.raises(ChainUnavailable):
        relay.run(consortium.clock.now)
    told = relay.last_error
    settle(relay, consortium)
    assert not chain.lose
    assert told
    assert relay.last_error is None
    assert [len(one) for one in relay.taken([one.unit for one in opened]).values()] == [1, 1, 1]
    assert len(transactions(relay)) == 3
    assert chain.next_nonce(relay.relayer) == nonce + 3


def test_a_relay_that_starts_anew_finishes_what_was_under_way(consortium: Consortium) -> None:
    before = relaying(consortium)
    parties = Parties(before.domain, consortium.clock.seconds())
    opened = [parties.open() for _ in range(3)]
    submit(before, consortium, *opened)
    faults(consortium).lose.append(("send_many", "before"))
    with pytest.raises(ChainUnavailable):
        before.run(consortium.clock.now)
    assert states(before, opened[0].unit) == [(0, SENT)]
    consortium.restart()
    after = relaying(consortium, seed=2)
    settle(after, consortium)
    assert len(transactions(after)) == 3
    assert states(after, opened[0].unit) == [(0, TAKEN)]


def test_a_relayer_that_was_voted_out_keeps_its_queue_and_says_why(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = parties.open()
    submit(relay, consortium, opened)
    consortium.vote(RelayerRemoved(relay.relayer))
    with pytest.raises(RelayNotAllowed):
        relay.run(consortium.clock.now)
    assert states(relay, opened.unit) == [(0, WAITING)]
    assert "no relayer" in relay.explain(relay.waiting(opened.unit)[0], consortium.clock.now)
    assert transactions(relay) == []


def test_a_number_taken_by_another_program_with_the_key_is_no_loss(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = parties.open()
    submit(relay, consortium, opened)
    chain = faults(consortium)
    chain.lose.append(("send_many", "before"))
    with pytest.raises(ChainUnavailable):
        relay.run(consortium.clock.now)
    chain.relay("certify", [[]], key("custody relay"))
    settle(relay, consortium)
    assert states(relay, opened.unit) == [(0, TAKEN)]
    assert [bool("NonceTaken" in one.outcome) for one in transactions(relay)] == [True, False]


# Kill and copies


def copy(consortium: Consortium, folder: Path) -> None:
    """What a power cut would leave: the files as they are on disk."""
    shutil.copytree(consortium.folder, folder)


@pytest.mark.parametrize(
    "every", [pytest.param(False, id="of every other name"), pytest.param(True, id="of all", marks=pytest.mark.full)]
)
def test_a_power_cut_at_any_step_loses_nothing_and_sends_nothing_twice(tmp_path: Path, every: bool) -> None:
    """Cut at each durable step of a life that has everything in it."""
    names: list[str] = []

    class Cut(Exception):
        pass

    def life(folder: Path, cut_at: int | None) -> None:
        consortium = Consortium(folder)
        count = 0

        def step(name: str) -> None:
            nonlocal count
            if cut_at is None:
                names.append(name)
            elif count == cut_at:
                raise Cut(name)
            count += 1

        relay = relaying(consortium, steps=step)
        parties = Parties(relay.domain, consortium.clock.seconds())
        opened = [parties.open() for _ in range(3)]
        steps = [*opened, *(parties.hand(one.unit) for one in opened)]
        rival = parties.hand(opened[0].unit, "rival", giver=parties.holders[opened[1].unit], sequence=1)
        acknowledged: list[SignedStep] = []
        try:
            relay.submit(steps, consortium.clock.now)
            acknowledged += steps
            relay.run(consortium.clock.now)
            relay.submit([rival], consortium.clock.now)
            settle(relay, consortium)
            relay.certify([one.unit for one in opened], consortium.clock.now)
        except Cut:
            consortium.restart()
            relay = relaying(consortium)
            for one in acknowledged:
                assert relay.waiting(one.unit), "an acknowledged step was lost"
            relay.submit(steps, consortium.clock.now)
            settle(relay, consortium)
            relay.certify([one.unit for one in opened], consortium.clock.now)
        for unit, found in relay.taken([one.unit for one in opened]).items():
            assert len(found) == 2
            verify_sequence(found)
            assert consortium.ledger.anchoring.chain.call("standing", [unit])[3] == found[-1].head
        sent = [one.nonce for one in transactions(relay)]
        assert sent == sorted(set(sent)), "a number was signed for twice"
        assert consortium.ledger.anchoring.chain.next_nonce(relay.relayer) == len(sent)
        consortium.close()

    life(tmp_path / "whole", None)
    assert {"steps taken", "batch stored", "steps sent", "followed", "settled", "certified"} <= set(names)
    assert len(names) < 60
    for number in range(len(names)) if every else sorted({names.index(name) for name in names})[::2]:
        life(tmp_path / str(number), number)


def test_a_chain_restored_from_an_older_copy_is_named(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "network")
    relay = relaying(consortium)
    parties = Parties(relay.domain, consortium.clock.seconds())
    relay.run(consortium.clock.now)
    consortium.close()
    shutil.copy(tmp_path / "network/chain.sqlite", tmp_path / "older.sqlite")
    consortium.open()
    relay = relaying(consortium)
    submit(relay, consortium, parties.open())
    settle(relay, consortium)
    consortium.close()
    shutil.copy(tmp_path / "older.sqlite", tmp_path / "network/chain.sqlite")
    for name in ("chain.sqlite-wal", "chain.sqlite-shm"):
        (tmp_path / "network" / name).unlink(missing_ok=True)
    consortium.open()
    with pytest.raises(ChainBehind):
        relaying(consortium)
    consortium.ledger.anchoring.chain.relay("certify", [[]], key("operator"))
    with pytest.raises(ChainReplaced):
        relaying(consortium)
    consortium.close()


def test_a_database_restored_from_an_older_copy_reads_the_steps_anew(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "network")
    relay = relaying(consortium)
    parties = Parties(relay.domain, consortium.clock.seconds())
    opened = parties.open()
    submit(relay, consortium, opened)
    consortium.ledger.store.snapshot(tmp_path / "older.sqlite")
    settle(relay, consortium)
    handed = parties.hand(opened.unit)
    submit(relay, consortium, handed)
    settle(relay, consortium)
    consortium.close()
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (tmp_path / "network" / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "older.sqlite", tmp_path / "network/ledger.sqlite")
    consortium.open()
    relay = relaying(consortium)
    settle(relay, consortium)
    assert [one.signed for one in relay.taken([opened.unit])[opened.unit]] == [opened, handed]
    assert states(relay, opened.unit) == [(0, TAKEN)]
    assert transactions(relay) == []
    consortium.close()


# The check


def test_the_check_finds_nothing_wrong_with_an_honest_relay(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = [parties.open() for _ in range(4)]
    submit(relay, consortium, *opened, *(parties.hand(one.unit) for one in opened[1:]), parties.close(opened[0].unit))
    assert check(consortium.ledger, relaying=relay) == []
    settle(relay, consortium)
    early = parties.hand(opened[1].unit, giver=parties.key("nobody"), sequence=7)
    submit(relay, consortium, early)
    assert check(consortium.ledger, relaying=relay) == []


DAMAGE = {
    "a step's head": "UPDATE custody_step SET step = replace(step, '\"time\":1', '\"time\":2') WHERE place = 1",
    "a step's number": "UPDATE custody_step SET sequence = 5 WHERE place = 3",
    "a step is gone": "DELETE FROM custody_step WHERE place = 5",
    "a request forgotten": "UPDATE custody_request SET state = 'waiting' WHERE sequence = 1",
    "a request sent by nobody": "UPDATE custody_request SET state = 'sent' WHERE sequence = 0",
    "a refusal without reason": "UPDATE custody_request SET state = 'refused', reason = NULL WHERE sequence = 1",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_the_check_finds_what_was_damaged(tmp_path: Path, damage: str) -> None:
    consortium = Consortium(tmp_path)
    relay = relaying(consortium)
    parties = Parties(relay.domain, consortium.clock.seconds())
    opened = [parties.open() for _ in range(3)]
    submit(relay, consortium, *opened, *(parties.hand(one.unit) for one in opened))
    settle(relay, consortium)
    with consortium.ledger.store.write() as connection:
        connection.exec_driver_sql(damage)
    assert check(consortium.ledger, relaying=relay)
    consortium.close()


# Certificates


def test_a_certificate_proves_where_units_stand_and_is_given_again(
    relay: Relaying, consortium: Consortium, parties: Parties
) -> None:
    opened = [parties.open() for _ in range(3)]
    submit(relay, consortium, *opened)
    settle(relay, consortium)
    units = [*(one.unit for one in opened), keccak(b"never opened")]
    proof = relay.certify(units, consortium.clock.now)
    assert set(proof.units) == set(units)
    receipt = blocks.verify_receipt(blocks.Header.parse(proof.header), proof.receipt_index, proof.receipt_proof)
    for unit, steps in relay.taken(units).items():
        told = blocks.certified_standing(receipt, relay.domain.contract, unit)
        assert told.head == (steps[-1].head if steps else bytes(32))
    assert relay.certify(reversed(units), consortium.clock.now) == proof
    assert relay.certify(units[:2], consortium.clock.now) != proof
    consortium.register(consortium.envelope())
    consortium.publish()
    newer = relay.certify(units, consortium.clock.now)
    assert newer != proof, "it was older than the newest anchor"
    submit(relay, consortium, parties.hand(opened[0].unit))
    settle(relay, consortium)
    assert relay.certify(units, consortium.clock.now) != newer, "a unit had moved"


@pytest.mark.parametrize("cut", [("send_many", "before"), ("send_many", "after"), ("anchor_of", "after")], ids=str)
def test_a_certificate_whose_answer_was_lost_is_made_once(
    relay: Relaying, consortium: Consortium, parties: Parties, cut: tuple[str, str]
) -> None:
    opened = parties.open()
    submit(relay, consortium, opened)
    settle(relay, consortium)
    faults(consortium).lose.append(cut)
    with pytest.raises(ChainUnavailable):
        relay.certify([opened.unit], consortium.clock.now)
    proof = relay.certify([opened.unit], consortium.clock.now)
    assert proof.units == (opened.unit,)
    assert len(transactions(relay)) == 2


def test_a_certificate_is_about_some_units_and_not_about_too_many(relay: Relaying, consortium: Consortium) -> None:
    many = [keccak(b"%d" % number) for number in range(CERTIFIED_AT_ONCE + 1)]
    for units in ([], many):
        with pytest.raises(TooManyUnits):
            relay.certify(units, consortium.clock.now)
    assert len(relay.certify(many[1:], consortium.clock.now).units) == CERTIFIED_AT_ONCE
