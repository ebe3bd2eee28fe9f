"""Custody on every engine: what the chain took comes back as it was signed, and what it refused with its reason."""

from dataclasses import replace
from itertools import count

import pytest

from ledger_service import blocks
from ledger_service.chain import abi
from ledger_service.chain.embedded import EmbeddedChain
from ledger_service.chain.errors import TransactionRefused
from ledger_service.handoffs import (
    Closing,
    CustodyDomain,
    HandOff,
    Offer,
    Opening,
    SignedStep,
    TakenStep,
    verify_sequence,
)
from ledger_service.keys import LocalKey, keccak
from tests.ledger_service.chain.front import Front
from tests.ledger_service.chain.lane import Lane, key

DEADLINE = 4_102_444_800
GAS = 2_000_000
_numbers = count()


class Custody:
    """Units on the chain of a lane, whose operator relays."""

    def __init__(self, lane: Lane) -> None:
        self.lane, self.chain = lane, lane.chain
        identity = lane.chain.identity()
        self.domain = CustodyDomain(identity.chain_id, identity.custody)
        self.first = lane.chain.head().number + 1

    def open(self) -> SignedStep:
        giver = key(f"giver {next(_numbers)}")
        opening = Opening(giver.address, keccak(giver.address), DEADLINE)
        arguments = opening.sign(giver, self.domain)
        self.chain.relay("CustodyLedger.open", arguments, self.lane.operator)
        self.giver = giver
        return SignedStep(opening, arguments[-1])

    def handoff(self, unit: bytes, sequence: int, giver: LocalKey, taker: LocalKey) -> HandOff:
        offer = Offer(unit, sequence, giver.address, taker.address, keccak(b"offer"), DEADLINE)
        return HandOff.complete(offer, offer.sign(giver, self.domain), keccak(b"accepted"), taker, self.domain)

    def many(self, *handoffs: HandOff) -> None:
        arguments = [[one.arguments for one in handoffs], False]
        self.chain.relay("handOffMany", arguments, self.lane.operator)

    def steps(self) -> list[TakenStep]:
        return self.chain.custody_steps(self.first, self.chain.head().number)


def test_steps_come_back_as_they_were_signed(lane: Lane) -> None:
    custody = Custody(lane)
    opened = custody.open()
    giver, carrier, taker = custody.giver, key("carrier"), key("taker")
    unit = opened.unit
    first = custody.handoff(unit, 1, giver, carrier)
    second, third = custody.handoff(unit, 2, carrier, taker), custody.handoff(unit, 3, taker, carrier)
    lane.chain.relay("handOff", [first.arguments], lane.operator)
    custody.many(second, third)
    closing = Closing(unit, 4, carrier.address, keccak(b"consumed"), DEADLINE)
    signature = closing.sign(carrier, custody.domain)[-1]
    lane.chain.relay("CustodyLedger.close", closing.sign(carrier, custody.domain), lane.operator)

    found = custody.steps()
    assert [one.signed for one in found] == [
        opened,
        SignedStep(first),
        SignedStep(second),
        SignedStep(third),
        SignedStep(closing, signature),
    ]
    verify_sequence(found)
    assert found[-1].head == lane.chain.call("standing", [unit])[3]
    for one in found:
        one.signed.verify(custody.domain)
        assert one.time == blocks.Header.parse(lane.chain.headers(one.block, one.block)[0]).timestamp
    assert lane.chain.custody_steps(found[1].block, found[2].block) == found[1:4]


def test_a_refused_item_is_told_with_its_reason_and_the_others_are_taken(lane: Lane) -> None:
    custody = Custody(lane)
    opened = [custody.open() for _ in range(3)]
    good = custody.handoff(opened[2].unit, 1, custody.giver, key("taker"))
    early = custody.handoff(opened[2].unit, 3, key("taker"), key("carrier"))
    twice = replace(good, acceptance=keccak(b"another"))
    unknown = custody.handoff(keccak(b"never opened"), 1, key("taker"), key("carrier"))
    custody.many(early, good, twice, unknown)

    assert [one.signed for one in custody.steps()] == [*opened, SignedStep(good)]
    refused = lane.chain.custody_refusals(custody.first, lane.chain.head().number)
    assert [(one.unit, one.sequence, one.item, one.reason.reason) for one in refused] == [
        (early.offer.unit, 3, 0, "WrongSequence"),
        (twice.offer.unit, 1, 2, "WrongSequence"),
        (unknown.offer.unit, 1, 3, "UnknownUnit"),
    ]
    assert refused[0].reason.arguments == {"unit": early.offer.unit, "expected": 1, "offered": 3}


def test_a_call_that_reverts_names_the_error_of_the_contract(lane: Lane) -> None:
    custody = Custody(lane)
    opening = custody.open().step
    assert isinstance(opening, Opening)
    with pytest.raises(TransactionRefused, match="AlreadyOpened"):
        lane.chain.relay("CustodyLedger.open", opening.sign(custody.giver, custody.domain), lane.operator)


def test_a_certificate_is_proven_by_its_receipt(lane: Lane) -> None:
    custody = Custody(lane)
    unit = custody.open().unit
    transaction = lane.chain.relay("certify", [[unit, keccak(b"never opened")]], lane.operator)
    evidence = lane.chain.anchor_of(transaction)
    assert evidence is not None
    assert evidence.contract == lane.chain.identity().custody
    receipt = blocks.verify_receipt(
        blocks.Header.parse(evidence.header), evidence.receipt_index, evidence.receipt_proof
    )
    topic = abi.topic("Certified")
    told = [
        abi.read_event("Certified", log.topics, log.data)
        for log in receipt.logs
        if log.address == evidence.contract and log.topics[0] == topic
    ]
    (taken,) = custody.steps()
    assert told[0] == {
        "unit": unit,
        "custodian": custody.giver.address,
        "sequence": 0,
        "isClosed": False,
        "head": taken.head,
    }
    assert (told[1]["custodian"], told[1]["head"]) == (bytes(20), bytes(32))


def test_steps_of_blocks_that_are_not_final_are_not_told(front: Front, chain: EmbeddedChain) -> None:
    from ledger_service.chain.rpc import JsonRpcChain

    custody = Custody(Lane(chain))
    opened = custody.open()
    rpc = JsonRpcChain.connect(front.url, chain.contracts, confirmations=2)
    for _ in range(2):
        assert rpc.custody_steps(0, chain.head().number) == []
        assert rpc.custody_refusals(0, chain.head().number) == []
        custody.open()
    assert [one.signed for one in rpc.custody_steps(0, chain.head().number)] == [opened]
    rpc.close()


def test_the_calls_of_two_contracts_are_told_apart_by_the_contract_s_name() -> None:
    assert {abi.function(f"{name}.registry").contract for name in ("CheckpointRegistry", "CustodyLedger")} == {
        "CheckpointRegistry",
        "CustodyLedger",
    }
    for name in ("registry", "MemberRegistry.registry", "Other.registry", "CustodyLedger."):
        with pytest.raises(abi.UnknownFunction):
            abi.function(name)
