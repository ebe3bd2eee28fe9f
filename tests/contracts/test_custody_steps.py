"""Every function of the custody ledger, against everything that may be wrong with what it is given."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes

from ledger_service.handoffs import (
    CLOSE_TYPE,
    GIVE_TYPE,
    NO_HEAD,
    OPEN_TYPE,
    TAKE_TYPE,
    Closing,
    CustodyDomain,
    HandOff,
    Offer,
    Opening,
    WrongSigner,
    next_head,
)
from ledger_service.keys import GROUP_ORDER, keccak
from tests.contracts.custody import Custody, Standing, many_units
from tests.contracts.network import DAY, RELAYER_REMOVED, Network, Refusal, address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger_service.keys import LocalKey

NOBODY = bytes(20)
UNIT = keccak(b"a unit that nobody opened")


@pytest.fixture(scope="module")
def deployed(founded: Network) -> Iterator[Custody]:
    with founded.undone():
        yield Custody(founded)


@pytest.fixture
def custody(deployed: Custody) -> Iterator[Custody]:
    with deployed.network.undone():
        yield deployed


@pytest.fixture
def giver(custody: Custody) -> LocalKey:
    return custody.key("foundry")


@pytest.fixture
def taker(custody: Custody) -> LocalKey:
    return custody.key("gearbox")


# Senders


def every_function(custody: Custody) -> dict[str, Any]:
    """A call of each function that changes something or tells something, as it would pass."""
    giver, taker = custody.key("foundry"), custody.key("gearbox")
    unit = custody.open(giver)
    handoff = custody.handoff(unit, 1, giver, taker)
    closing = Closing(unit, 1, giver.address, keccak(b"used up"), custody.network.time + DAY)
    return {
        "open": custody.functions.open(*custody.opening(taker, "another").sign(taker, custody.domain)),
        "handOff": custody.one(handoff),
        "handOffMany": custody.many(handoff),
        "close": custody.close(closing, giver),
        "certify": custody.functions.certify([unit]),
    }


def test_only_relayers_may_send(custody: Custody) -> None:
    network = custody.network
    others = [network.stranger, network.operator, *network.accounts[3:5]]
    for name, function in every_function(custody).items():
        for sender in others:
            assert network.refusal(function, sender) == Refusal("NotRelayer", (sender,)), name
        function.call({"from": network.relayer})
    network.decide(RELAYER_REMOVED, network.relayer)
    for name, function in every_function_again(custody).items():
        assert custody.refusal(function) == Refusal("NotRelayer", (network.relayer,)), name


def every_function_again(custody: Custody) -> dict[str, Any]:
    giver, taker = custody.key("carrier"), custody.key("assembly")
    return {
        "open": custody.functions.open(*custody.opening(giver, "third").sign(giver, custody.domain)),
        "handOff": custody.one(custody.handoff(UNIT, 1, giver, taker)),
        "handOffMany": custody.many(),
        "certify": custody.functions.certify([]),
    }


def test_every_function_that_is_not_a_view_is_in_these_tables(custody: Custody) -> None:
    changing = {
        entry["name"]
        for entry in custody.ledger.abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    assert changing == set(every_function(custody))


# Opening


def test_an_opening_makes_its_signer_the_custodian(custody: Custody, giver: LocalKey) -> None:
    opening = custody.opening(giver)
    events = custody.do(custody.functions.open(*opening.sign(giver, custody.domain)))
    head = custody.head_after(NO_HEAD, opening.struct_hash)
    assert events == [("Opened", (opening.unit, giver.address, opening.commitment, opening.deadline, head))]
    assert custody.standing(opening.unit) == Standing(giver.address, 0, False, head)
    assert custody.functions.unitOf(giver.address, opening.commitment).call() == opening.unit


def open_as(
    custody: Custody,
    opening: Opening,
    signer: LocalKey,
    signed: Opening | None = None,
    domain: CustodyDomain | None = None,
) -> Any:
    """The call that opens as `opening` says, with a signature of `signed` in `domain`."""
    digest = (domain or custody.domain).digest((signed or opening).struct_hash)
    return custody.functions.open(opening.custodian, opening.commitment, opening.deadline, signer.sign(digest))


@pytest.mark.parametrize(
    "wrong",
    ["custodian zero", "open already", "too late", "signed by another", "another commitment", "another deadline",
     "another chain", "another contract"],
)  # fmt: skip
def test_an_opening_is_refused(custody: Custody, giver: LocalKey, taker: LocalKey, wrong: str) -> None:
    opening, network = custody.opening(giver), custody.network
    unit = opening.unit
    domain: CustodyDomain | None = None
    signer, signed, name = giver, opening, "WrongSigner"
    values: tuple[Any, ...] | None = None
    match wrong:
        case "custodian zero":
            opening, name, values = replace(opening, custodian=NOBODY), "ZeroAddress", ()
        case "open already":
            custody.do(open_as(custody, opening, giver))
            custody.do(custody.one(custody.handoff(unit, 1, giver, taker)))
            name, values = "AlreadyOpened", (unit, 1)
        case "too late":
            network.wait_until(opening.deadline + 1)
            name, values = "Expired", (unit, opening.deadline, opening.deadline + 1)
        case "signed by another":
            signer, values = taker, (unit, giver.address, taker.address)
        case "another commitment":
            signed = replace(opening, commitment=bytes(32))
        case "another deadline":
            signed = replace(opening, deadline=opening.deadline + 1)
        case "another chain":
            domain = replace(custody.domain, chain_id=1)
        case "another contract":
            domain = replace(custody.domain, contract=address(network.registry.address))
    found = custody.refusal(open_as(custody, opening, signer, signed, domain))
    assert found.name == name
    if values is not None:
        assert found.values == values
    elif name == "WrongSigner":
        assert found.values[:2] == (unit, giver.address)
        assert found.values[2] not in (giver.address, NOBODY)


def test_an_opening_counts_up_to_its_deadline(custody: Custody, giver: LocalKey) -> None:
    opening = custody.opening(giver)
    custody.network.wait_until(opening.deadline)
    open_as(custody, opening, giver).call({"from": custody.network.relayer})


# Handing off


def test_a_handoff_moves_custody_and_the_head(custody: Custody, giver: LocalKey, taker: LocalKey) -> None:
    unit = custody.open(giver)
    opened = custody.standing(unit).head
    handoff = custody.handoff(unit, 1, giver, taker)
    offer = handoff.offer
    events = custody.do(custody.one(handoff))
    head = custody.head_after(opened, handoff.struct_hash)
    told = (unit, 1, giver.address, taker.address, offer.statement, handoff.acceptance, offer.deadline, head)
    assert events == [("HandedOff", told)]
    assert custody.standing(unit) == Standing(taker.address, 1, False, head)


def prepared(custody: Custody, wrong: str) -> tuple[HandOff, Refusal]:
    """A handoff with one thing wrong, and what must be said of it."""
    network = custody.network
    giver, taker, other = custody.key("foundry"), custody.key("gearbox"), custody.key("carrier")
    unit = custody.open(giver)
    good = custody.handoff(unit, 1, giver, taker)
    time = network.time

    def unsigned(expected: LocalKey, signer: bytes) -> Refusal:
        return Refusal("WrongSigner", (unit, expected.address, signer))

    def signer_of(handoff: HandOff, side: str) -> bytes:
        with pytest.raises(WrongSigner) as refused:
            handoff.verify(custody.domain)
        assert refused.value.expected == {"giver": giver, "taker": taker}[side].address
        return refused.value.signer or NOBODY

    def offered(**changes: Any) -> HandOff:
        """The offer changed after the giver had signed it; the taker signs what it says now."""
        return custody.bent(good, takes=taker, **changes)

    match wrong:
        case "unit never opened":
            return custody.handoff(UNIT, 1, giver, taker), Refusal("UnknownUnit", (UNIT,))
        case "unit closed":
            closing = Closing(unit, 1, giver.address, bytes(32), time + DAY)
            custody.do(custody.close(closing, giver))
            return custody.handoff(unit, 2, giver, taker), Refusal("UnitClosed", (unit, 1))
        case "sent twice":
            custody.do(custody.one(good))
            return good, Refusal("WrongSequence", (unit, 2, 1))
        case "second handoff of the same step":
            custody.do(custody.one(good))
            return custody.handoff(unit, 1, giver, other), Refusal("WrongSequence", (unit, 2, 1))
        case "step 0":
            return custody.handoff(unit, 0, giver, taker), Refusal("WrongSequence", (unit, 1, 0))
        case "step after next":
            return custody.handoff(unit, 2, giver, taker), Refusal("WrongSequence", (unit, 1, 2))
        case "last step there can be":
            return custody.handoff(unit, 2**64 - 1, giver, taker), Refusal("WrongSequence", (unit, 1, 2**64 - 1))
        case "from somebody else":
            return custody.handoff(unit, 1, other, taker), Refusal("NotCustodian", (unit, giver.address, other.address))
        case "from a former custodian":
            custody.do(custody.one(good))
            return custody.handoff(unit, 2, giver, other), Refusal("NotCustodian", (unit, taker.address, giver.address))
        case "from nobody":
            return custody.bent(good, gives=giver, takes=taker, giver=NOBODY), Refusal(
                "NotCustodian", (unit, giver.address, NOBODY)
            )
        case "to nobody":
            return custody.bent(good, gives=giver, takes=taker, taker=NOBODY), Refusal("ZeroAddress", ())
        case "to itself":
            return custody.handoff(unit, 1, giver, giver), Refusal("SelfHandOff", (unit, giver.address))
        case "too late":
            network.wait_until(good.offer.deadline + 1)
            return good, Refusal("Expired", (unit, good.offer.deadline, good.offer.deadline + 1))
        case "without the giver":
            return custody.bent(good, gives=other), unsigned(giver, other.address)
        case "without the taker":
            return custody.bent(good, takes=other), unsigned(taker, other.address)
        case "both signed by the giver":
            return custody.bent(good, takes=giver), unsigned(taker, giver.address)
        case "both signed by the taker":
            return custody.bent(good, gives=taker), unsigned(giver, taker.address)
        case "the giver offered to another taker":
            bent = custody.bent(good, takes=other, taker=other.address)
        case "the giver offered with another statement":
            bent = offered(statement=bytes(32))
        case "the giver offered with another deadline":
            bent = offered(deadline=good.offer.deadline + 1)
        case "the taker accepted with another statement":
            bent = replace(good, acceptance=bytes(32))
            return bent, unsigned(taker, signer_of(bent, "taker"))
        case "signatures exchanged":
            bent = replace(good, giver_signature=good.taker_signature, taker_signature=good.giver_signature)
        case _:
            changed = {
                "signed for another chain": replace(custody.domain, chain_id=1),
                "signed for another custody ledger": replace(custody.domain, contract=bytes(20)),
                "signed for the registry": replace(custody.domain, contract=address(network.registry.address)),
            }[wrong]
            offer = good.offer
            bent = HandOff.complete(offer, offer.sign(giver, changed), good.acceptance, taker, changed)
    return bent, unsigned(giver, signer_of(bent, "giver"))


WRONG = [
    "unit never opened", "unit closed", "sent twice", "second handoff of the same step", "step 0", "step after next",
    "last step there can be", "from somebody else", "from a former custodian", "from nobody", "to nobody", "to itself",
    "too late", "without the giver", "without the taker", "both signed by the giver", "both signed by the taker",
    "the giver offered to another taker", "the giver offered with another statement",
    "the giver offered with another deadline", "the taker accepted with another statement", "signatures exchanged",
    "signed for another chain", "signed for another custody ledger", "signed for the registry",
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_handoff_is_refused_alone_and_in_a_batch_for_the_same_reason(custody: Custody, wrong: str) -> None:
    handoff, expected = prepared(custody, wrong)
    before = custody.standing(handoff.offer.unit)
    assert custody.refusal(custody.one(handoff)) == expected
    assert custody.rehearse(handoff) == [expected]
    in_batch = custody.refusal(custody.many(handoff, all_or_nothing=True))
    assert in_batch.name == "ItemRefused"
    assert in_batch.values[0] == 0
    # A rehearsal sees the time of the latest block, the batch that is sent that of the next one.
    ((event, (unit, sequence, item, reason)),) = custody.do(custody.many(handoff))
    assert (event, unit, sequence, item) == ("HandOffRefused", handoff.offer.unit, handoff.offer.sequence, 0)
    for data in (in_batch.values[1], reason):
        told = custody.reason(data)
        known = 2 if wrong == "too late" else None
        assert (told.name, told.values[:known]) == (expected.name, expected.values[:known])
    assert custody.standing(handoff.offer.unit) == before


def test_a_handoff_counts_up_to_its_deadline(custody: Custody, giver: LocalKey, taker: LocalKey) -> None:
    handoff = custody.handoff(custody.open(giver), 1, giver, taker)
    custody.network.wait_until(handoff.offer.deadline)
    assert custody.rehearse(handoff) == [None]


def test_an_offer_is_withdrawn_by_a_handoff_to_an_address_of_ones_own(
    custody: Custody, giver: LocalKey, taker: LocalKey
) -> None:
    unit, own = custody.open(giver), custody.key("foundry", 1)
    withdrawn = custody.handoff(unit, 1, giver, taker)
    custody.do(custody.one(custody.handoff(unit, 1, giver, own)))
    assert custody.refusal(custody.one(withdrawn)) == Refusal("WrongSequence", (unit, 2, 1))


# Signatures


def spellings(signature: bytes) -> dict[str, bytes]:
    """A good signature, bent in every way we can name."""
    r, s, v = signature[:32], int.from_bytes(signature[32:64]), signature[64]
    last = bytes([v])
    low, high = s.to_bytes(32), (GROUP_ORDER - s).to_bytes(32)
    whole, field = GROUP_ORDER.to_bytes(32), (2**256 - 2**32 - 977).to_bytes(32)

    def der(number: bytes) -> bytes:
        body = number.lstrip(b"\0")
        body = b"\0" + body if body[0] & 0x80 else body
        return bytes([2, len(body)]) + body

    return {
        "high s": r + high + last,
        "high s, other v": r + high + bytes([55 - v]),
        "other v": signature[:64] + bytes([55 - v]),
        "v 0 or 1": signature[:64] + bytes([v - 27]),
        "v 29": signature[:64] + bytes([29]),
        "v 255": signature[:64] + b"\xff",
        "v of EIP-155": signature[:64] + bytes([v + 10]),
        "64 bytes of EIP-2098": r + (s | (v - 27) << 255).to_bytes(32),
        "64 bytes": signature[:64],
        "66 bytes": signature + b"\0",
        "twice": signature + signature,
        "empty": b"",
        "nothing but zeros": bytes(65),
        "nothing but ones": b"\xff" * 65,
        "r and s exchanged": low + r + last,
        "r zero": bytes(32) + low + last,
        "s zero": r + bytes(32) + last,
        "r the group order": whole + low + last,
        "s the group order": r + whole + last,
        "s beyond the group order": r + (2**256 - 1).to_bytes(32) + last,
        "r the field's order": field + low + last,
        "r negated": (GROUP_ORDER - int.from_bytes(r)).to_bytes(32) + low + last,
        "one bit of r": bytes([r[0] ^ 1]) + r[1:] + low + last,
        "one bit of s": r + low[:31] + bytes([low[31] ^ 1]) + last,
        "DER": b"\x30" + bytes([len(der(r) + der(low))]) + der(r) + der(low),
        "in hexadecimal": signature.hex().encode(),
    }


@pytest.mark.parametrize("side", ["giver", "taker"])
def test_a_bent_signature_is_refused_here_and_in_python(
    custody: Custody, giver: LocalKey, taker: LocalKey, side: str
) -> None:
    good = custody.handoff(custody.open(giver), 1, giver, taker)
    expected = {"giver": giver, "taker": taker}[side].address
    if side == "giver":
        bent = {how: replace(good, giver_signature=s) for how, s in spellings(good.giver_signature).items()}
    else:
        bent = {how: replace(good, taker_signature=s) for how, s in spellings(good.taker_signature).items()}
    for how, handoff in bent.items():
        with pytest.raises(WrongSigner) as refused:
            handoff.verify(custody.domain)
        reason = Refusal("WrongSigner", (good.offer.unit, expected, refused.value.signer or NOBODY))
        assert custody.rehearse(handoff, good) == [reason, None], how
    good.verify(custody.domain)


def test_a_bent_signature_opens_and_closes_nothing(custody: Custody, giver: LocalKey, taker: LocalKey) -> None:
    *opens, signature = custody.opening(taker, "other").sign(taker, custody.domain)
    for how, bent in spellings(signature).items():
        assert custody.refusal(custody.functions.open(*opens, bent)).name == "WrongSigner", how
    closing = Closing(custody.open(giver), 1, giver.address, bytes(32), custody.network.time + DAY)
    *closes, signature = closing.sign(giver, custody.domain)
    for how, bent in spellings(signature).items():
        assert custody.refusal(custody.functions.close(*closes, bent)).name == "WrongSigner", how


# Batches


def test_a_bad_item_changes_nothing_for_the_others(custody: Custody) -> None:
    good = many_units(custody, 4)
    bad = custody.handoff(UNIT, 7, custody.key("x"), custody.key("y"))
    batch = [good[0], bad, good[1], good[0], good[2]]
    events = custody.do(custody.many(*batch))
    assert [name for name, _ in events] == ["HandedOff", "HandOffRefused", "HandedOff", "HandOffRefused", "HandedOff"]
    refused = [(*values[:3], custody.reason(values[3]).name) for name, values in events if name == "HandOffRefused"]
    assert refused == [(UNIT, 7, 1, "UnknownUnit"), (good[0].offer.unit, 1, 3, "WrongSequence")]
    assert [custody.standing(h.offer.unit).custodian for h in good[:3]] == [h.offer.taker for h in good[:3]]
    assert custody.standing(good[3].offer.unit).custodian == good[3].offer.giver


def test_a_batch_may_ask_for_all_or_nothing(custody: Custody) -> None:
    good = many_units(custody, 3)
    batch = [*good, good[0]]
    refusal = custody.refusal(custody.many(*batch, all_or_nothing=True))
    assert (refusal.name, refusal.values[0]) == ("ItemRefused", 3)
    assert custody.reason(refusal.values[1]) == Refusal("WrongSequence", (good[0].offer.unit, 2, 1))
    events = custody.do(custody.many(*good, all_or_nothing=True))
    assert [name for name, _ in events] == ["HandedOff"] * 3


def test_steps_of_one_unit_may_share_a_batch_in_their_order(custody: Custody) -> None:
    keys = [custody.key("wanderer", n) for n in range(4)]
    unit = custody.open(keys[0])
    steps = [custody.handoff(unit, n, keys[n - 1], keys[n]) for n in (1, 2, 3)]
    assert [found is None for found in custody.rehearse(*reversed(steps))] == [False, False, True]
    custody.do(custody.many(*steps, all_or_nothing=True))
    assert custody.standing(unit).custodian == keys[3].address


def test_an_empty_batch_does_nothing(custody: Custody) -> None:
    assert custody.do(custody.many()) == custody.do(custody.many(all_or_nothing=True)) == []


def test_a_batch_whose_encoding_is_broken_is_refused_whole(custody: Custody) -> None:
    network = custody.network
    (good,) = many_units(custody, 1)
    data = bytes.fromhex(custody.many(good)._encode_transaction_data()[2:])

    def call(data: bytes) -> None:
        relayer, ledger = to_checksum_address(network.relayer), custody.ledger.address
        network.w3.eth.call({"from": relayer, "to": ledger, "gas": 2_000_000, "data": HexBytes(data)})

    place = data.index(good.offer.giver) - 12
    broken = {
        "cut short": data[:-40],
        "an address that is too wide": data[:place] + b"\1" + data[place + 1 :],
        "a sequence that is too wide": data[: place - 32] + b"\1" + data[place - 31 :],
        "an offset into nowhere": data[:68] + b"\xff" * 32 + data[100:],
    }
    call(data)
    for how, damaged in broken.items():
        assert network._refusal(partial(call, damaged)) == Refusal("malformed", ()), how


# Closing


def test_a_closed_unit_takes_no_more_steps(custody: Custody, giver: LocalKey, taker: LocalKey) -> None:
    unit = custody.open(giver)
    opened = custody.standing(unit).head
    closing = Closing(unit, 1, giver.address, keccak(b"used up"), custody.network.time + DAY)
    events = custody.do(custody.functions.close(*closing.sign(giver, custody.domain)))
    head = custody.head_after(opened, closing.struct_hash)
    assert events == [("Closed", (unit, 1, giver.address, closing.statement, closing.deadline, head))]
    assert custody.standing(unit) == Standing(giver.address, 1, True, head)
    assert custody.refusal(custody.one(custody.handoff(unit, 2, giver, taker))) == Refusal("UnitClosed", (unit, 1))


CLOSINGS: dict[str, Callable[[Closing], Closing]] = {
    "unit never opened": lambda closing: replace(closing, unit=UNIT),
    "step 0": lambda closing: replace(closing, sequence=0),
    "step after next": lambda closing: replace(closing, sequence=2),
    "too late": lambda closing: replace(closing, deadline=1),
    "signed by another": lambda closing: closing,
    "closed already": lambda closing: replace(closing, sequence=2),
}


@pytest.mark.parametrize("wrong", CLOSINGS)
def test_a_closing_is_refused(custody: Custody, giver: LocalKey, taker: LocalKey, wrong: str) -> None:
    unit = custody.open(giver)
    good = Closing(unit, 1, giver.address, keccak(b"used up"), custody.network.time + DAY)
    if wrong == "closed already":
        custody.do(custody.close(good, giver))
    expected = {
        "unit never opened": Refusal("UnknownUnit", (UNIT,)),
        "step 0": Refusal("WrongSequence", (unit, 1, 0)),
        "step after next": Refusal("WrongSequence", (unit, 1, 2)),
        "too late": Refusal("Expired", (unit, 1, custody.network.time)),
        "signed by another": Refusal("WrongSigner", (unit, giver.address, taker.address)),
        "closed already": Refusal("UnitClosed", (unit, 1)),
    }
    signer = taker if wrong == "signed by another" else giver
    assert custody.refusal(custody.close(CLOSINGS[wrong](good), signer)) == expected[wrong]


# Heads and certificates


def test_a_certificate_tells_where_units_stand(custody: Custody, giver: LocalKey, taker: LocalKey) -> None:
    unit = custody.open(giver)
    custody.do(custody.one(custody.handoff(unit, 1, giver, taker)))
    standing = custody.standing(unit)
    events = custody.do(custody.functions.certify([unit, UNIT]))
    assert events == [
        ("Certified", (unit, taker.address, 1, False, standing.head)),
        ("Certified", (UNIT, NOBODY, 0, False, bytes(32))),
    ]


def test_the_head_of_a_certificate_leaves_no_step_out(custody: Custody) -> None:
    keys = [custody.key("wanderer", n) for n in range(5)]
    opening = custody.opening(keys[0])
    steps: list[tuple[bytes, int, int]] = []

    def done(function: Any, struct_hash: bytes) -> None:
        custody.do(function)
        steps.append((struct_hash, custody.network.block, custody.network.time))

    done(custody.functions.open(*opening.sign(keys[0], custody.domain)), opening.struct_hash)
    for n in (1, 2, 3, 4):
        handoff = custody.handoff(opening.unit, n, keys[n - 1], keys[n], str(n))
        done(custody.one(handoff), handoff.struct_hash)
    closing = Closing(opening.unit, 5, keys[4].address, bytes(32), custody.network.time + DAY)
    done(custody.close(closing, keys[4]), closing.struct_hash)

    def fold(steps: list[tuple[bytes, int, int]]) -> bytes:
        head = NO_HEAD
        for step in steps:
            head = next_head(head, *step)
        return head

    ((_, (*_, head)),) = custody.do(custody.functions.certify([opening.unit]))
    assert fold(steps) == head
    assert all(fold(steps[:n] + steps[n + 1 :]) != head for n in range(len(steps)))
    assert fold([steps[0], steps[2], steps[1], *steps[3:]]) != head
    for n, (struct_hash, block, time) in enumerate(steps):
        for moved in ((struct_hash, block + 1, time), (struct_hash, block, time + 1)):
            assert fold([*steps[:n], moved, *steps[n + 1 :]]) != head


# Digests


def typed_digest(domain: CustodyDomain, type_: str, values: tuple[Any, ...]) -> bytes:
    """The EIP-712 digest by eth-account."""
    name, _, rest = type_.partition("(")
    fields = [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in rest.rstrip(")").split(",")]
    place = {"chainId": domain.chain_id, "verifyingContract": "0x" + domain.contract.hex()}
    named = dict(zip((field["name"] for field in fields), values, strict=True))
    message = encode_typed_data({"name": "Tallystick", "version": "1", **place}, {name: fields}, named)
    return keccak(b"\x19" + message.version + message.header + message.body)


def test_digests_equal_those_of_eth_account_on_random_steps(custody: Custody) -> None:
    random, functions, domain = Random(5), custody.functions, custody.domain
    for _ in range(40):
        number = random.choice([0, 1, 2**64 - 1, random.getrandbits(random.randint(1, 64))])
        deadline = random.choice([0, 2**64 - 1, random.getrandbits(63)])
        unit, one, other = (random.randbytes(32) for _ in range(3))
        giver, taker = random.randbytes(20), random.randbytes(20)

        opening = Opening(giver, one, deadline)
        expected = typed_digest(domain, OPEN_TYPE, (giver, one, deadline))
        assert functions.openDigest(giver, one, deadline).call() == domain.digest(opening.struct_hash) == expected
        assert functions.unitOf(giver, one).call() == opening.unit

        handoff = HandOff(Offer(unit, number, giver, taker, one, deadline), other, b"", b"")
        give = typed_digest(domain, GIVE_TYPE, (unit, number, giver, taker, one, deadline))
        take = typed_digest(domain, TAKE_TYPE, (unit, number, giver, taker, one, other, deadline))
        assert functions.handOffDigests(handoff.arguments).call() == [give, take]
        assert domain.digest(handoff.offer.struct_hash) == give
        assert domain.digest(handoff.struct_hash) == take

        closing = Closing(unit, number, giver, one, deadline)
        expected = typed_digest(domain, CLOSE_TYPE, (unit, number, giver, one, deadline))
        found = functions.closeDigest(unit, number, giver, one, deadline).call()
        assert found == domain.digest(closing.struct_hash) == expected


def test_the_domain_is_the_contract_s_own_as_erc_5267_has_it(custody: Custody) -> None:
    told = custody.functions.eip712Domain().call()
    assert told == [b"\x0f", "Tallystick", "1", custody.domain.chain_id, custody.ledger.address, bytes(32), []]
    assert custody.functions.registry().call() == custody.network.registry.address
