"""One-time addresses, what both sides of a handoff sign, and what a relay may tell by order and time."""

from __future__ import annotations

import hmac
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_service.errors import MalformedInput
from ledger_service.handoffs import (
    CLOSE_TYPE,
    DEADLINE_STEP,
    GIVE_TYPE,
    OPEN_TYPE,
    TAKE_TYPE,
    BrokenSequence,
    Closing,
    CustodyDomain,
    CustodySeed,
    HandOff,
    Offer,
    Opening,
    SignedStep,
    TakenStep,
    WrongSigner,
    commitment,
    common_deadline,
    first_scalar,
    mix,
    next_head,
    release_time,
    unit_id,
    verify_sequence,
)
from ledger_service.keys import GROUP_ORDER, LocalKey, keccak

HOUR, DAY, WEEK = 3_600, 86_400, 604_800
DOMAIN = CustodyDomain(52_952, bytes(range(20)))
SEED = CustodySeed(bytes(range(32)))
FOUNDRY, GEARBOX, CARRIER = (CustodySeed(keccak(name)).key(DOMAIN, 0) for name in (b"foundry", b"gearbox", b"carrier"))
UNIT = unit_id(FOUNDRY.address, bytes(32))
OFFER = Offer(UNIT, 1, FOUNDRY.address, GEARBOX.address, keccak(b"offer"), 4_102_444_800)

words = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20)
numbers = st.integers(0, 2**64 - 1)


# One-time addresses


def test_a_one_time_key_is_what_the_formats_page_says() -> None:
    """HKDF (RFC 5869), done by hand."""
    for counter in (0, 1, 2**64 - 1):
        extracted = hmac.digest(b"tallystick custody v1", SEED.secret, "sha256")
        info = (52_952).to_bytes(32) + DOMAIN.contract + counter.to_bytes(8) + b"\0"
        assert SEED.key(DOMAIN, counter).secret_bytes == hmac.digest(extracted, info + b"\1", "sha256")
    assert SEED.key(DOMAIN, 0).address.hex() == "6900de34417987b2c9fe3c800302745bd12cfaa6"
    assert SEED.key(DOMAIN, 1).address.hex() == "11a8141b7369c24459ea5e66f3629c6c0b6f908e"


@pytest.mark.parametrize(
    "other",
    [
        SEED.key(DOMAIN, 8),
        SEED.key(replace(DOMAIN, chain_id=1), 7),
        SEED.key(replace(DOMAIN, contract=bytes(20)), 7),
        CustodySeed(bytes(32)).key(DOMAIN, 7),
    ],
    ids=["counter", "chain", "contract", "seed"],
)
def test_another_counter_chain_contract_or_seed_gives_another_address(other: LocalKey) -> None:
    assert SEED.key(DOMAIN, 7).address != other.address
    assert SEED.key(DOMAIN, 7).address == CustodySeed(SEED.secret).key(DOMAIN, 7).address


def test_nothing_links_the_addresses_of_a_seed_to_each_other() -> None:
    """All differ, and each bit of them, and of the difference to the one before, is a coin."""
    found = [int.from_bytes(SEED.key(DOMAIN, counter).address) for counter in range(2_000)]
    assert len(set(found)) == len(found)
    differences = [one ^ other for one, other in pairwise(found)]
    for values in (found, differences):
        ones = [sum(value >> bit & 1 for value in values) / len(values) for bit in range(160)]
        assert all(0.44 < share < 0.56 for share in ones)  # five standard deviations


@pytest.mark.parametrize(
    ("drawn", "taken"),
    [
        (["zero", "one"], "one"),
        (["order", "last"], "last"),
        (["beyond", "order", "zero", "one"], "one"),
        (["last", "one"], "last"),
    ],
)
def test_a_draw_that_is_no_scalar_is_drawn_again(drawn: list[str], taken: str) -> None:
    draws = {"zero": 0, "one": 1, "last": GROUP_ORDER - 1, "order": GROUP_ORDER, "beyond": 2**256 - 1}
    assert first_scalar(draws[name].to_bytes(32) for name in drawn) == draws[taken].to_bytes(32)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_has_32_bytes(size: int) -> None:
    with pytest.raises(MalformedInput, match=f"this one has {size}"):
        CustodySeed(bytes(size))


@pytest.mark.parametrize("counter", [-1, 2**64])
def test_a_counter_has_64_bits(counter: int) -> None:
    with pytest.raises(MalformedInput):
        SEED.key(DOMAIN, counter)


def test_a_seed_is_not_shown() -> None:
    assert repr(SEED) == "CustodySeed()"


# Units


def test_a_commitment_binds_and_says_nothing_without_its_secret() -> None:
    thing, secret = "urn:epc:id:sscc:9521000.4000926017", bytes(range(32))
    assert commitment(thing, secret) == hmac.new(secret, thing.encode(), "sha256").digest()
    assert commitment(thing, secret) != commitment(thing, bytes(32))
    assert commitment(thing, secret) != commitment(thing[:-1] + "8", secret)
    for size in (0, 31, 33):
        with pytest.raises(MalformedInput):
            commitment(thing, bytes(size))


@given(addresses, words)
def test_a_unit_is_named_by_its_first_custodian_and_its_commitment(custodian: bytes, value: bytes) -> None:
    expected = keccak(abi_encode(["address", "bytes32"], [custodian, value]))
    assert unit_id(custodian, value) == Opening(custodian, value, 1).unit == expected


@given(words, words, numbers, numbers)
def test_the_head_runs_over_every_step_with_its_block(head: bytes, signed: bytes, number: int, time: int) -> None:
    expected = keccak(abi_encode(["bytes32", "bytes32", "uint256", "uint256"], [head, signed, number, time]))
    assert next_head(head, signed, number, time) == expected


# Signatures


def typed_digest(domain: CustodyDomain, type_: str, *values: Any) -> bytes:
    """The EIP-712 digest by eth-account."""
    name, _, rest = type_.partition("(")
    fields = [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in rest.rstrip(")").split(",")]
    place = {"chainId": domain.chain_id, "verifyingContract": "0x" + domain.contract.hex()}
    named = dict(zip((field["name"] for field in fields), values, strict=True))
    message = encode_typed_data({"name": "Tallystick", "version": "1", **place}, {name: fields}, named)
    return keccak(b"\x19" + message.version + message.header + message.body)


@settings(max_examples=30)
@given(st.integers(1, 2**64), addresses, words, numbers, addresses, addresses, words, words, numbers)
def test_digests_equal_those_of_eth_account(
    chain: int,
    contract: bytes,
    unit: bytes,
    number: int,
    giver: bytes,
    taker: bytes,
    one: bytes,
    other: bytes,
    end: int,
) -> None:
    domain = CustodyDomain(chain, contract)
    offer = Offer(unit, number, giver, taker, one, end)
    handoff = HandOff(offer, other, b"", b"")
    give = typed_digest(domain, GIVE_TYPE, unit, number, giver, taker, one, end)
    take = typed_digest(domain, TAKE_TYPE, unit, number, giver, taker, one, other, end)
    assert (domain.digest(offer.struct_hash), domain.digest(handoff.struct_hash)) == (give, take)
    opening, closing = Opening(giver, one, end), Closing(unit, number, giver, one, end)
    assert domain.digest(opening.struct_hash) == typed_digest(domain, OPEN_TYPE, giver, one, end)
    assert domain.digest(closing.struct_hash) == typed_digest(domain, CLOSE_TYPE, unit, number, giver, one, end)


def test_the_taker_alone_completes_what_the_giver_signed_when_it_shipped() -> None:
    signature = OFFER.sign(FOUNDRY, DOMAIN)
    handoff = HandOff.complete(OFFER, signature, keccak(b"acceptance"), GEARBOX, DOMAIN)
    handoff.verify(DOMAIN)
    assert handoff.giver_signature == signature
    assert handoff.arguments == (
        UNIT, 1, FOUNDRY.address, GEARBOX.address, OFFER.statement, keccak(b"acceptance"), OFFER.deadline,
        signature, handoff.taker_signature,
    )  # fmt: skip


def test_an_offer_is_signed_and_completed_by_those_it_names_alone() -> None:
    signature, accepted = OFFER.sign(FOUNDRY, DOMAIN), keccak(b"acceptance")
    with pytest.raises(WrongSigner) as refused:
        OFFER.sign(GEARBOX, DOMAIN)
    assert (refused.value.expected, refused.value.signer) == (FOUNDRY.address, GEARBOX.address)
    with pytest.raises(WrongSigner) as refused:
        HandOff.complete(OFFER, signature, accepted, CARRIER, DOMAIN)
    assert (refused.value.expected, refused.value.signer) == (GEARBOX.address, CARRIER.address)
    with pytest.raises(WrongSigner):
        HandOff.complete(replace(OFFER, deadline=OFFER.deadline + 1), signature, accepted, GEARBOX, DOMAIN)
    with pytest.raises(WrongSigner):
        HandOff.complete(OFFER, signature, accepted, GEARBOX, replace(DOMAIN, chain_id=1))
    with pytest.raises(WrongSigner, match="in no accepted form") as refused:
        HandOff.complete(OFFER, signature[:64], accepted, GEARBOX, DOMAIN)
    assert refused.value.signer is None


@pytest.mark.parametrize("change", ["unit", "sequence", "giver", "taker", "statement", "deadline", "acceptance"])
def test_both_signatures_cover_every_field(change: str) -> None:
    handoff = HandOff.complete(OFFER, OFFER.sign(FOUNDRY, DOMAIN), keccak(b"acceptance"), GEARBOX, DOMAIN)
    changes: dict[str, Any] = {
        "unit": bytes(32), "sequence": 2, "giver": CARRIER.address, "taker": CARRIER.address, "statement": bytes(32),
        "deadline": 1,
    }  # fmt: skip
    if change == "acceptance":
        bent = replace(handoff, acceptance=bytes(32))
    else:
        bent = replace(handoff, offer=replace(OFFER, **{change: changes[change]}))
        with pytest.raises(WrongSigner):
            DOMAIN.verify(bent.offer.struct_hash, bent.giver_signature, FOUNDRY.address)
    with pytest.raises(WrongSigner):
        DOMAIN.verify(bent.struct_hash, bent.taker_signature, GEARBOX.address)
    with pytest.raises(WrongSigner):
        bent.verify(DOMAIN)


def test_openings_and_closings_are_signed_by_the_custodian_alone() -> None:
    opening, closing = Opening(FOUNDRY.address, bytes(32), 1), Closing(UNIT, 1, FOUNDRY.address, bytes(32), 1)
    *arguments, signature = opening.sign(FOUNDRY, DOMAIN)
    assert arguments == [FOUNDRY.address, bytes(32), 1]
    DOMAIN.verify(opening.struct_hash, signature, FOUNDRY.address)
    *arguments, signature = closing.sign(FOUNDRY, DOMAIN)
    assert arguments == [UNIT, 1, bytes(32), 1]
    DOMAIN.verify(closing.struct_hash, signature, FOUNDRY.address)
    for step in (opening, closing):
        with pytest.raises(WrongSigner):
            step.sign(GEARBOX, DOMAIN)


@pytest.mark.parametrize(
    "changes",
    [{"unit": bytes(31)}, {"giver": bytes(21)}, {"statement": b""}, {"sequence": -1}, {"deadline": 2**64}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_the_chain_could_not_hold_is_not_signed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput):
        replace(OFFER, **changes).struct_hash  # noqa: B018 - it is a question


# Relaying


def unsigned(unit: int, sequence: int) -> HandOff:
    return HandOff(replace(OFFER, unit=unit.to_bytes(32), sequence=sequence), bytes(32), b"", b"")


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), unique=True, max_size=30), st.integers())
def test_a_mixed_batch_holds_the_same_handoffs_and_each_unit_in_its_order(
    steps: list[tuple[int, int]], seed: int
) -> None:
    batch = [unsigned(*step) for step in steps]
    mixed = mix(batch, Random(seed))
    assert sorted(mixed, key=repr) == sorted(batch, key=repr)
    for unit in range(5):
        found = [h.offer.sequence for h in mixed if h.offer.unit == unit.to_bytes(32)]
        assert found == sorted(found)


def test_every_handoff_comes_to_every_place_of_a_batch_equally_often() -> None:
    batch, random = [unsigned(unit, 1) for unit in range(6)], Random(4)
    places = Counter((place, h.offer.unit) for _ in range(6_000) for place, h in enumerate(mix(batch, random)))
    assert len(places) == 36
    assert all(850 < count < 1_150 for count in places.values())  # five standard deviations about 1,000


def test_a_batch_is_mixed_without_touching_the_one_given() -> None:
    batch = [unsigned(unit, 1) for unit in range(20)]
    assert mix(batch, Random(1)) != batch == [unsigned(unit, 1) for unit in range(20)]
    assert mix([], Random(1)) == []


@given(st.integers(0, 2**40), st.integers(0, 10 * WEEK))
def test_deadlines_fall_on_one_second_of_the_week(offered_at: int, lifetime: int) -> None:
    deadline = common_deadline(offered_at, lifetime)
    assert deadline % DEADLINE_STEP == 0
    assert lifetime <= deadline - offered_at < lifetime + DEADLINE_STEP


class Drawn(Random):
    """A draw that is known beforehand."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value

    def randrange(self, start: int, *_: Any, **__: Any) -> int:
        assert 0 <= self.value < start
        return self.value


@pytest.mark.parametrize(("interval", "spread"), [(HOUR, HOUR), (HOUR, DAY), (DAY, DAY), (DAY, WEEK), (6 * HOUR, WEEK)])
@given(completed_at=st.integers(0, 2**40))
def test_a_cut_drawn_over_a_day_or_a_week_is_the_same_draw_for_every_hour_and_weekday(
    interval: int, spread: int, completed_at: int
) -> None:
    """All draws together meet each cut of the day, or week, once, whenever the handoff was complete."""
    cuts = [release_time(completed_at, interval, spread, Drawn(n)) for n in range(spread // interval)]
    assert all(cut % interval == 0 and 0 < cut - completed_at <= spread for cut in cuts)
    assert sorted(cut % spread for cut in cuts) == list(range(0, spread, interval))


# Steps as HTTP and bundles carry them


def record_of_three() -> list[TakenStep]:
    """A unit that is opened, handed on and closed, with the heads that the chain would give."""
    opening = Opening(FOUNDRY.address, bytes(32), OFFER.deadline)
    handoff = HandOff.complete(OFFER, OFFER.sign(FOUNDRY, DOMAIN), keccak(b"acceptance"), GEARBOX, DOMAIN)
    closing = Closing(UNIT, 2, GEARBOX.address, keccak(b"consumed"), OFFER.deadline)
    signed = [
        SignedStep(opening, opening.sign(FOUNDRY, DOMAIN)[-1]),
        SignedStep(handoff),
        SignedStep(closing, closing.sign(GEARBOX, DOMAIN)[-1]),
    ]
    head, steps = bytes(32), []
    for block, one in enumerate(signed, 7):
        head = next_head(head, one.struct_hash, block, 1_790_000_000 + block)
        steps.append(TakenStep(one.step, one.signature, block, 1_790_000_000 + block, head))
    return steps


def test_a_step_comes_back_from_its_json_as_it_was() -> None:
    for taken in record_of_three():
        taken.signed.verify(DOMAIN)
        assert TakenStep.read(taken.as_json()) == taken
        assert SignedStep.read(taken.signed.as_json()) == taken.signed
        assert (taken.unit, taken.signed.deadline) == (UNIT, OFFER.deadline)
    assert [taken.sequence for taken in record_of_three()] == [0, 1, 2]


def test_each_member_of_a_step_is_needed_and_read_in_one_form() -> None:
    for taken in record_of_three():
        value = taken.as_json()
        for name in value:
            with pytest.raises(MalformedInput):
                TakenStep.read({key: one for key, one in value.items() if key != name})
            wrongs: tuple[Any, ...] = (None, -1, True, "0x", "0xzz", [], 1.5, 1 << 53, 12 if name == "type" else "12")
            for wrong in wrongs:
                with pytest.raises(MalformedInput):
                    TakenStep.read(value | {name: wrong})
        with pytest.raises(MalformedInput, match="exactly"):
            TakenStep.read(value | {"note": "more than there is to say"})


def test_a_step_signed_by_another_is_told_from_a_good_one() -> None:
    for taken in record_of_three():
        value = taken.signed.as_json()
        for name in {"signature", "giverSignature", "takerSignature"} & value.keys():
            other = CARRIER.sign(DOMAIN.digest(taken.struct_hash)).hex()
            with pytest.raises(WrongSigner):
                SignedStep.read(value | {name: f"0x{other}"}).verify(DOMAIN)


def test_steps_follow_from_each_other_or_are_refused() -> None:
    opened, handed, closed = record_of_three()
    handoff = handed.step
    assert isinstance(handoff, HandOff)
    verify_sequence([opened, handed, closed])
    verify_sequence([handed, closed], before=opened)
    verify_sequence([])
    cases = {
        "the first is missing": [handed, closed],
        "one in between is missing": [opened, closed],
        "two are swapped": [handed, opened, closed],
        "one stands twice": [opened, handed, handed],
        "another head": [opened, replace(handed, head=bytes(32)), closed],
        "another block": [opened, replace(handed, block=9), closed],
        "another time": [opened, handed, replace(closed, time=0)],
        "another acceptance": [
            opened, replace(handed, step=replace(handoff, acceptance=bytes(32))), closed
        ],
        "another unit": [
            opened, replace(handed, step=replace(handoff, offer=replace(OFFER, unit=bytes(32))))
        ],
    }  # fmt: skip
    for steps in cases.values():
        with pytest.raises(BrokenSequence):
            verify_sequence(steps)
