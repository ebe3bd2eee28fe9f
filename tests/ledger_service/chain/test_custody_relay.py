"""The relay on every engine, and what only a node does: refuse before mining, mine later, ask for more."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from ledger_service import blocks
from ledger_service.chain.embedded import EmbeddedChain
from ledger_service.chain.errors import ChainError, ChainUnavailable, TransactionRefused, TransactionUnderpriced
from ledger_service.chain.port import Chain, SignedTransaction
from ledger_service.chain.rpc import JsonRpcChain
from ledger_service.chain.transaction import read_transaction
from ledger_service.handoffs import Opening, SignedStep, verify_sequence
from ledger_service.keys import LocalKey, Signer
from ledger_service.relaying import REFUSED, TAKEN, NotYetCertified, Relaying, Waiting
from ledger_service.store import Store
from tests.ledger_service.chain.front import Front
from tests.ledger_service.chain.lane import GENESIS_TIME, Lane, key
from tests.ledger_service.test_anchoring import FaultyChain
from tests.relay import Parties

NOW = GENESIS_TIME * 1000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "ledger.sqlite")
    yield made
    made.close()


def relay_on(chain: Chain, store: Store, relayer: LocalKey) -> Relaying:
    return Relaying(store, chain, relayer, interval=1, spread=1, random=Random(3))


def settle(relay: Relaying) -> None:
    for _ in range(30):
        relay.run(NOW)
        queue = relay.queue(NOW)
        if not queue.due and not queue.sent:
            return
    raise AssertionError("the relay does not come to an end")


def submit(relay: Relaying, *steps: SignedStep) -> None:
    for one in relay.submit(steps, NOW):
        assert isinstance(one, Waiting), one


def test_steps_go_the_whole_way_on_every_engine(lane: Lane, store: Store) -> None:
    relay = relay_on(lane.chain, store, lane.operator)
    parties = Parties(relay.domain, max(GENESIS_TIME, lane.chain.head().timestamp))
    opened = [parties.open() for _ in range(3)]
    steps = [*opened, *(parties.hand(one.unit) for one in opened), parties.close(opened[0].unit)]
    submit(relay, *steps)
    settle(relay)
    units = [one.unit for one in opened]
    found = relay.taken(units)
    assert [len(found[unit]) for unit in units] == [3, 2, 2]
    for of_unit in found.values():
        verify_sequence(of_unit)
    proof = relay.certify(units, NOW)
    receipt = blocks.verify_receipt(blocks.Header.parse(proof.header), proof.receipt_index, proof.receipt_proof)
    for unit in units:
        assert blocks.certified_standing(receipt, relay.domain.contract, unit).head == found[unit][-1].head


class Meddler(FaultyChain):
    """A chain on which another relayer is quicker, once."""

    def __init__(self, chain: Chain, opening: SignedStep) -> None:
        super().__init__(chain)
        self.opening: SignedStep | None = opening

    def send_many(self, raws: Sequence[bytes]) -> list[ChainError | None]:
        if self.opening is not None:
            step = self.opening.step
            assert isinstance(step, Opening)
            arguments = (step.custodian, step.commitment, step.deadline, self.opening.signature)
            self._chain.relay("open", arguments, key("second relayer"))
            self.opening = None
        return super().send_many(raws)


@pytest.mark.parametrize("engine", ["embedded", "served"])
def test_another_relayer_that_is_quicker_leaves_no_hole(
    chain: EmbeddedChain, front: Front, store: Store, engine: str
) -> None:
    """On a node the first transaction is refused before it is mined, and those behind it have later numbers."""
    port = chain if engine == "embedded" else JsonRpcChain.connect(front.url, chain.contracts)
    draft = relay_on(port, store, key("operator"))
    parties = Parties(draft.domain, GENESIS_TIME)
    opened = [parties.open() for _ in range(4)]
    # Which opening gets the first number is up to the shuffle; another relayer brings each of them once.
    for quick in range(4):
        there = opened[quick]
        relay = relay_on(Meddler(port, there), store, key("operator"))
        submit(relay, *opened, *(parties.open() for _ in range(3)))
        settle(relay)
        for one in opened:
            assert [each.state for each in relay.waiting(one.unit)] == [TAKEN]
        opened = [parties.open() for _ in range(4)]
    later = parties.open()
    relay = relay_on(port, store, key("operator"))
    submit(relay, later)
    settle(relay)
    assert len(relay.taken([later.unit])[later.unit]) == 1
    if engine == "served":
        port.close()


def test_a_step_is_taken_when_its_block_is_final_and_not_before(
    chain: EmbeddedChain, front: Front, store: Store
) -> None:
    rpc = JsonRpcChain.connect(front.url, chain.contracts, confirmations=2)
    relay = relay_on(rpc, store, key("operator"))
    opened = Parties(relay.domain, GENESIS_TIME).open()
    submit(relay, opened)
    for _ in range(2):
        assert relay.run(NOW) == []
        assert relay.queue(NOW).sent == 1
        chain.relay("certify", [[]], key("second relayer"))
    (taken,) = relay.run(NOW)
    assert taken.signed == opened
    with pytest.raises(NotYetCertified):
        relay.certify([opened.unit], NOW)
    with pytest.raises(NotYetCertified):
        relay.certify([opened.unit], NOW)
    for _ in range(2):
        chain.relay("certify", [[]], key("second relayer"))
    assert relay.certify([opened.unit], NOW).units == (opened.unit,)
    assert chain.next_nonce(relay.relayer) == 3 + 2, "founding, one step, one certificate"
    rpc.close()


class Dear(FaultyChain):
    """A chain whose fee has risen for the first call."""

    has_risen = False

    def send_many(self, raws: Sequence[bytes]) -> list[ChainError | None]:
        if not self.has_risen:
            self.has_risen = True
            return [TransactionUnderpriced("the base fee rose") for _ in raws]
        return super().send_many(raws)

    def sign_again(self, raw: bytes, key: Signer) -> SignedTransaction:
        """Other bytes for the same call: nobody has funds here, so that no fee can be offered."""
        asked, _ = read_transaction(raw)
        return replace(asked, gas=asked.gas + 1).sign(key)


class Poor(FaultyChain):
    """A chain that wants funds of the relay, at first."""

    is_poor = True

    def send_many(self, raws: Sequence[bytes]) -> list[ChainError | None]:
        if self.is_poor:
            return [TransactionRefused("Rejected", detail="insufficient funds") for _ in raws]
        return super().send_many(raws)


def test_a_relay_without_funds_waits_and_sets_nothing_aside(chain: EmbeddedChain, store: Store) -> None:
    poor = Poor(chain)
    relay = relay_on(poor, store, key("operator"))
    opened = Parties(relay.domain, GENESIS_TIME).open()
    submit(relay, opened)
    for _ in range(5):
        with pytest.raises(ChainUnavailable, match="insufficient funds"):
            relay.run(NOW)
    poor.is_poor = False
    settle(relay)
    assert [each.state for each in relay.waiting(opened.unit)] == [TAKEN]
    assert chain.next_nonce(relay.relayer) == 3 + 1


def test_a_fee_that_had_risen_is_offered_under_the_same_number(chain: EmbeddedChain, store: Store) -> None:
    relay = relay_on(Dear(chain), store, key("operator"))
    parties = Parties(relay.domain, GENESIS_TIME)
    opened = [parties.open(), parties.open()]
    submit(relay, *opened)
    with pytest.raises(ChainUnavailable, match="fee had risen"):
        relay.run(NOW)
    settle(relay)
    for one in opened:
        assert [each.state for each in relay.waiting(one.unit)] == [TAKEN]
    assert chain.next_nonce(relay.relayer) == 3 + 2


def test_a_call_that_the_contract_refuses_is_set_aside_with_the_contract_s_reason(
    chain: EmbeddedChain, front: Front, store: Store
) -> None:
    """Two openings of one unit under two deadlines are both good, until one of them is taken."""
    rpc = JsonRpcChain.connect(front.url, chain.contracts)
    relay = relay_on(rpc, store, key("operator"))
    parties = Parties(relay.domain, GENESIS_TIME)
    opened = parties.open()
    assert isinstance(opened.step, Opening)
    again = Opening(opened.step.custodian, opened.step.commitment, opened.step.deadline + 604_800)
    twin = SignedStep(again, again.sign(parties.holders[opened.unit], relay.domain)[-1])
    others = [parties.open() for _ in range(5)]
    submit(relay, opened, twin, *others)
    settle(relay)
    assert sorted(one.state for one in relay.waiting(opened.unit)) == [REFUSED, TAKEN]
    (loser,) = (one for one in relay.waiting(opened.unit) if one.state == REFUSED)
    assert "another step 0 was taken" in (loser.reason or "")
    assert all(len(steps) == 1 for steps in relay.taken([one.unit for one in others]).values())
    rpc.close()
