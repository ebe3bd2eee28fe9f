"""The registry's changes: what folds, what does not, and which signatures count at which block."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from ledger_service.keys import AGREEMENTS, CHECKPOINT, EVENTS, LOGIN, keccak
from ledger_service.membership import (
    EMPTY_HEAD,
    Approved,
    Change,
    Fact,
    KeyAdded,
    KeyNotValid,
    KeyRetired,
    KeyRevoked,
    Kind,
    MemberAdmitted,
    MemberExpelled,
    MemberNotActive,
    MemberReinstated,
    Membership,
    MemberState,
    MemberSuspended,
    NotYetValid,
    OperatorSet,
    QuorumChanged,
    RegistryHeadMismatch,
    RelayerAdded,
    RelayerRemoved,
    RetiredKey,
    RevokedKey,
    RootRotated,
    Standing,
    UnfitChange,
    UnknownKey,
    WrongMember,
    WrongPurpose,
    decode_change,
    encode_change,
    fold,
    next_head,
)
from tests.contracts.network import Network, key, root_hash

if TYPE_CHECKING:
    from collections.abc import Sequence


def member_id(name: str) -> bytes:
    return keccak(f"did:web:{name}.example.org".encode())


def address(name: str) -> bytes:
    return keccak(name.encode())[12:]


FOUNDRY, GEARBOX = member_id("foundry"), member_id("gearbox")
ORIGIN = keccak(b"hub.example.org/log")
GENESIS_TIME = 1_790_000_000


def at_blocks(*facts: tuple[int, Fact]) -> list[Change]:
    """The changes that record `facts`, each at its block, blocks two seconds apart."""
    return [
        Change.of(fact, index, block, GENESIS_TIME + 2 * block) for index, (block, fact) in enumerate(facts, start=1)
    ]


def admitted(member: bytes, name: str) -> MemberAdmitted:
    return MemberAdmitted(member, address(f"{name} root"), keccak(name.encode()), voting=True)


STORY: list[tuple[int, Fact]] = [
    (1, admitted(FOUNDRY, "foundry")),
    (1, KeyAdded(FOUNDRY, address("foundry events"), EVENTS | AGREEMENTS, custodial=False)),
    (1, admitted(GEARBOX, "gearbox")),
    (1, KeyAdded(GEARBOX, address("gearbox events"), EVENTS, custodial=True)),
    (1, QuorumChanged(2, 3)),
    (1, RelayerAdded(address("relayer"))),
    (1, OperatorSet(ORIGIN, address("operator"))),
    (10, KeyAdded(FOUNDRY, address("foundry new"), EVENTS, custodial=False)),
    (12, KeyRetired(FOUNDRY, address("foundry events"), 20)),
    (14, Approved(keccak(b"adoption"))),
    (30, KeyRevoked(FOUNDRY, address("foundry new"), GENESIS_TIME + 50)),
    (32, RootRotated(FOUNDRY, address("foundry root 2"), keccak(b"foundry 3"))),
    (40, MemberSuspended(GEARBOX)),
    (45, OperatorSet(ORIGIN, address("operator 2"))),
    (50, MemberReinstated(GEARBOX)),
    (50, RelayerRemoved(address("relayer"))),
    (60, MemberExpelled(GEARBOX)),
]
CHANGES = at_blocks(*STORY)


# Encoding


@pytest.mark.parametrize(
    ("fact", "kind", "types", "values"),
    [
        (
            MemberAdmitted(FOUNDRY, address("root"), keccak(b"next"), voting=True),
            1,
            ["bytes32", "address", "bytes32", "bool"],
            [FOUNDRY, address("root"), keccak(b"next"), True],
        ),
        (MemberSuspended(FOUNDRY), 2, ["bytes32"], [FOUNDRY]),
        (MemberReinstated(FOUNDRY), 3, ["bytes32"], [FOUNDRY]),
        (MemberExpelled(FOUNDRY), 4, ["bytes32"], [FOUNDRY]),
        (
            KeyAdded(FOUNDRY, address("key"), 63, custodial=True),
            5,
            ["bytes32", "address", "uint8", "bool"],
            [FOUNDRY, address("key"), 63, True],
        ),
        (
            KeyRetired(FOUNDRY, address("key"), 1 << 63),
            6,
            ["bytes32", "address", "uint64"],
            [FOUNDRY, address("key"), 1 << 63],
        ),
        (KeyRevoked(FOUNDRY, address("key"), 0), 7, ["bytes32", "address", "uint64"], [FOUNDRY, address("key"), 0]),
        (
            RootRotated(FOUNDRY, address("root"), bytes(32)),
            8,
            ["bytes32", "address", "bytes32"],
            [FOUNDRY, address("root"), bytes(32)],
        ),
        (RelayerAdded(address("relayer")), 9, ["address"], [address("relayer")]),
        (RelayerRemoved(address("relayer")), 10, ["address"], [address("relayer")]),
        (OperatorSet(ORIGIN, address("operator")), 11, ["bytes32", "address"], [ORIGIN, address("operator")]),
        (QuorumChanged(2, 65535), 12, ["uint16", "uint16"], [2, 65535]),
        (Approved(ORIGIN), 13, ["bytes32"], [ORIGIN]),
    ],
    ids=[kind.name.lower().replace("_", " ") for kind in Kind],
)
def test_changes_are_written_as_solidity_encodes_them_and_read_back(
    fact: Fact, kind: int, types: list[str], values: list[Any]
) -> None:
    data = abi_encode(types, values)
    assert encode_change(fact) == (kind, data)
    assert decode_change(kind, data) == fact


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=70))
def test_the_head_is_the_keccak_that_the_registry_computes(index: int, block: int, time: int, data: bytes) -> None:
    change = Change(index, block, time, 5, data)
    encoded = abi_encode(["uint64", "uint64", "uint64", "uint8", "bytes"], [index, block, time, 5, data])
    assert next_head(keccak(b"before"), change) == keccak(keccak(b"before") + encoded)


ADDED = encode_change(KeyAdded(FOUNDRY, address("key"), EVENTS, custodial=True))[1]
QUORUM = encode_change(QuorumChanged(2, 3))[1]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        pytest.param(0, bytes(32), id="kind 0"),
        pytest.param(14, bytes(32), id="kind 14"),
        pytest.param(255, b"", id="kind 255"),
        pytest.param(Kind.KEY_ADDED, b"", id="no data"),
        pytest.param(Kind.KEY_ADDED, ADDED[:-1], id="a byte short"),
        pytest.param(Kind.KEY_ADDED, ADDED + b"\0", id="a byte long"),
        pytest.param(Kind.KEY_ADDED, ADDED + bytes(32), id="a word long"),
        pytest.param(Kind.KEY_ADDED, ADDED[:32] + b"\1" + ADDED[33:], id="an address of 21 bytes"),
        pytest.param(Kind.KEY_ADDED, ADDED[:94] + b"\1" + ADDED[95:], id="purposes over 8 bits"),
        pytest.param(Kind.KEY_ADDED, ADDED[:-1] + b"\2", id="a truth of 2"),
        pytest.param(Kind.KEY_ADDED, ADDED[:96] + b"\1" + ADDED[97:], id="a truth with a high bit"),
        pytest.param(Kind.QUORUM_CHANGED, QUORUM[:29] + b"\1" + QUORUM[30:], id="a numerator over 16 bits"),
        pytest.param(Kind.KEY_ADDED, QUORUM, id="the data of another kind"),
    ],
)
def test_data_in_no_encoding_or_another_are_refused(kind: int, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"change|takes|is not a"):
        decode_change(kind, data)
    with pytest.raises(UnfitChange):
        fold([Change(1, 1, GENESIS_TIME, kind, data)])


# Folding


def test_the_story_folds() -> None:
    registry = fold(CHANGES)
    assert registry.count == len(STORY)
    assert registry.members[FOUNDRY].root_key == address("foundry root 2")
    assert registry.members[FOUNDRY].state is MemberState.ACTIVE
    assert registry.members[GEARBOX].state is MemberState.EXPELLED
    assert registry.keys[address("gearbox events")].custodial
    assert registry.keys[address("foundry new")].compromised_since == GENESIS_TIME + 50
    assert registry.quorums == ((1, (2, 3)),)
    assert registry.approvals == ((14, keccak(b"adoption")),)
    assert [registry.is_relayer(address("relayer"), block) for block in (0, 1, 49, 50)] == [False, True, True, False]
    assert not registry.is_relayer(address("stranger"), 40)
    operators = [registry.operator_at(ORIGIN, block) for block in (0, 1, 44, 45)]
    assert operators == [None, address("operator"), address("operator"), address("operator 2")]
    assert registry.operator_at(keccak(b"other"), 40) is None


def test_every_prefix_has_the_head_it_had_when_it_was_all_there_was() -> None:
    registry = fold(CHANGES)
    assert registry.head_at(0) == EMPTY_HEAD == fold([]).head
    for count in range(len(CHANGES) + 1):
        then = fold(CHANGES[:count])
        assert then.head == registry.head_at(count)
        assert registry.at(count) == then
        registry.check_head(count, then.head)
    assert registry.head == registry.head_at(len(CHANGES))
    for count in (-1, len(CHANGES) + 1):
        with pytest.raises(IndexError):
            registry.head_at(count)


def _renumbered(changes: Sequence[Change]) -> list[Change]:
    return [replace(change, index=index) for index, change in enumerate(changes, start=1)]


def _without(at: int) -> list[Change]:
    return CHANGES[:at] + CHANGES[at + 1 :]


def _swapped(at: int) -> list[Change]:
    return [*CHANGES[:at], CHANGES[at + 1], CHANGES[at], *CHANGES[at + 2 :]]


def _altered(at: int, **fields: Any) -> list[Change]:
    return [*CHANGES[:at], replace(CHANGES[at], **fields), *CHANGES[at + 1 :]]


@pytest.mark.parametrize(
    ("changes", "index"),
    [
        pytest.param(_without(0), 2, id="the first dropped"),
        pytest.param(_without(10), 12, id="a revocation dropped"),
        pytest.param(CHANGES[:3] + CHANGES[2:], 3, id="a change twice"),
        pytest.param(_swapped(7), 9, id="two changes changed about"),
        pytest.param(_altered(4, index=0), 0, id="a number 0"),
        pytest.param(_renumbered(_swapped(9)), 11, id="two changes changed about and renumbered: blocks run back"),
        pytest.param(_altered(8, block_number=9), 9, id="a block before the one before"),
        pytest.param(_altered(8, block_time=GENESIS_TIME), 9, id="a time before the one before"),
        pytest.param(_altered(2, block_time=GENESIS_TIME + 3), 3, id="two times in one block"),
        pytest.param(_altered(16, block_number=1 << 64), 17, id="a block over 64 bits"),
        pytest.param(_altered(16, block_time=1 << 64), 17, id="a time over 64 bits"),
        pytest.param(_renumbered(_without(1)), 8, id="a key that was never added retires"),
        pytest.param(_renumbered(_without(12)), 14, id="a member reinstated that was not suspended"),
    ],
)
def test_a_list_that_cannot_be_the_registrys_is_refused_at_the_first_wrong_change(
    changes: list[Change], index: int
) -> None:
    with pytest.raises(UnfitChange, match=f"membership change {index}: ") as caught:
        fold(changes)
    assert caught.value.index == index


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param([admitted(FOUNDRY, "foundry"), admitted(FOUNDRY, "other")], id="a member admitted twice"),
        pytest.param([admitted(bytes(32), "nobody")], id="the member zero"),
        pytest.param([MemberAdmitted(FOUNDRY, bytes(20), bytes(32), voting=True)], id="the root key zero"),
        pytest.param([admitted(FOUNDRY, "same"), admitted(GEARBOX, "same")], id="one root key for two members"),
        pytest.param([KeyAdded(FOUNDRY, address("key"), EVENTS, custodial=False)], id="a key of nobody"),
        pytest.param([MemberSuspended(FOUNDRY)], id="nobody suspended"),
        pytest.param([RootRotated(FOUNDRY, address("root"), bytes(32))], id="the root of nobody"),
        pytest.param([RelayerRemoved(address("relayer"))], id="a relayer removed that was none"),
        pytest.param([RelayerAdded(address("relayer"))] * 2, id="a relayer added twice"),
        pytest.param([RelayerAdded(bytes(20))], id="the relayer zero"),
        pytest.param([QuorumChanged(1, 2)], id="a quorum of half"),
        pytest.param([QuorumChanged(4, 3)], id="a quorum over all"),
        pytest.param([QuorumChanged(0, 0)], id="a quorum of nothing"),
        pytest.param([Approved(ORIGIN), Approved(ORIGIN)], id="a thing approved twice"),
        *(
            pytest.param(
                [
                    admitted(FOUNDRY, "foundry"),
                    KeyAdded(FOUNDRY, address("key"), EVENTS, custodial=False),
                    admitted(GEARBOX, "gearbox"),
                    *facts,
                ],
                id=name,
            )
            for name, facts in cast(
                "list[tuple[str, list[Fact]]]",
                [
                    ("a key twice", [KeyAdded(FOUNDRY, address("key"), EVENTS, custodial=False)]),
                    ("a key of two members", [KeyAdded(GEARBOX, address("key"), EVENTS, custodial=False)]),
                    ("a root that is a signing key", [RootRotated(GEARBOX, address("key"), bytes(32))]),
                    ("a signing key that is a root", [KeyAdded(FOUNDRY, address("gearbox root"), 1, custodial=False)]),
                    ("a key for nothing", [KeyAdded(FOUNDRY, address("other"), 0, custodial=False)]),
                    ("a key for purposes unknown", [KeyAdded(FOUNDRY, address("other"), 64, custodial=False)]),
                    ("another member retires the key", [KeyRetired(GEARBOX, address("key"), 9)]),
                    ("another member revokes the key", [KeyRevoked(GEARBOX, address("key"), GENESIS_TIME)]),
                    ("a retirement in the past", [KeyRetired(FOUNDRY, address("key"), 0)]),
                    ("a key retired twice", [KeyRetired(FOUNDRY, address("key"), 9)] * 2),
                    ("a compromise to come", [KeyRevoked(FOUNDRY, address("key"), GENESIS_TIME + 10**9)]),
                    ("a key revoked twice", [KeyRevoked(FOUNDRY, address("key"), GENESIS_TIME)] * 2),
                    (
                        "a compromise dated later",
                        [KeyRevoked(FOUNDRY, address("key"), 5), KeyRevoked(FOUNDRY, address("key"), 6)],
                    ),
                    (
                        "a revoked key retired",
                        [KeyRevoked(FOUNDRY, address("key"), 5), KeyRetired(FOUNDRY, address("key"), 9)],
                    ),
                    (
                        "a suspended member adds a key",
                        [MemberSuspended(GEARBOX), KeyAdded(GEARBOX, address("other"), 1, custodial=False)],
                    ),
                    ("an expelled member comes back", [MemberExpelled(GEARBOX), MemberReinstated(GEARBOX)]),
                    ("a member suspended twice", [MemberSuspended(GEARBOX)] * 2),
                    ("a member expelled twice", [MemberExpelled(GEARBOX)] * 2),
                ],
            )
        ),
    ],
)
def test_a_change_that_the_registry_would_refuse_is_refused(facts: list[Fact]) -> None:
    fold(at_blocks(*((1, fact) for fact in facts[:-1])))
    with pytest.raises(UnfitChange) as caught:
        fold(at_blocks(*((1, fact) for fact in facts)))
    assert caught.value.index == len(facts)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(_renumbered(_without(10)), id="a revocation dropped and the rest renumbered"),
        pytest.param(_renumbered(_without(8)), id="a retirement dropped and the rest renumbered"),
        pytest.param(_renumbered(_without(16)), id="the last change dropped"),
        pytest.param(_renumbered(_swapped(4)), id="two changes of one block changed about and renumbered"),
        pytest.param(_altered(10, block_number=31, block_time=CHANGES[10].block_time), id="a revocation a block later"),
        pytest.param(_altered(10, block_time=CHANGES[10].block_time + 1), id="a revocation a second later"),
        pytest.param(
            _altered(12, kind=Kind.MEMBER_EXPELLED)[:13] + CHANGES[13:14], id="a suspension made an expulsion"
        ),
    ],
)
def test_a_list_that_folds_and_is_not_the_registrys_misses_the_anchored_head(changes: list[Change]) -> None:
    anchored = fold(CHANGES)
    registry = fold(changes)
    with pytest.raises(RegistryHeadMismatch, match=r"dropped, added, moved or altered|cut short") as caught:
        registry.check_head(anchored.count, anchored.head)
    assert (caught.value.count, caught.value.known) == (anchored.count, len(changes))


def test_an_anchor_of_an_earlier_moment_is_met_by_a_later_list_and_by_no_other_count() -> None:
    registry = fold(CHANGES)
    registry.check_head(10, fold(CHANGES[:10]).head)
    for count in (-1, 9, 11, len(CHANGES) + 1):
        with pytest.raises(RegistryHeadMismatch):
            registry.check_head(count, fold(CHANGES[:10]).head)


@given(st.integers(0, len(CHANGES) - 1), st.data())
def test_a_bit_flipped_anywhere_is_noticed(at: int, data: st.DataObject) -> None:
    change = CHANGES[at]
    anchored = fold(CHANGES)
    field = data.draw(st.sampled_from(["index", "block_number", "block_time", "kind", "data"]))
    if field == "data":
        bit = data.draw(st.integers(0, 8 * len(change.data) - 1))
        flipped: bytes | int = (int.from_bytes(change.data) ^ 1 << bit).to_bytes(len(change.data))
    else:
        flipped = getattr(change, field) ^ 1 << data.draw(st.integers(0, 7 if field == "kind" else 63))
    with pytest.raises((UnfitChange, RegistryHeadMismatch)):
        fold(_altered(at, **{field: flipped})).check_head(anchored.count, anchored.head)


# Which signatures count


@pytest.mark.parametrize(
    ("key", "member", "purpose", "block", "error"),
    [
        pytest.param("foundry new", FOUNDRY, EVENTS, 9, NotYetValid, id="the block before it was added"),
        pytest.param("foundry new", FOUNDRY, EVENTS, 10, None, id="the block that added it"),
        pytest.param("foundry new", FOUNDRY, EVENTS, 29, None, id="the block before its revocation"),
        pytest.param("foundry new", FOUNDRY, EVENTS, 30, RevokedKey, id="the block of its revocation"),
        pytest.param("foundry new", FOUNDRY, EVENTS, 31, RevokedKey, id="the block after its revocation"),
        pytest.param("foundry events", FOUNDRY, EVENTS, 12, None, id="the block that announced its retirement"),
        pytest.param("foundry events", FOUNDRY, EVENTS, 19, None, id="the last block before its retirement"),
        pytest.param("foundry events", FOUNDRY, EVENTS, 20, RetiredKey, id="the block of its retirement"),
        pytest.param("foundry events", FOUNDRY, EVENTS, 1 << 60, RetiredKey, id="long after its retirement"),
        pytest.param("foundry events", FOUNDRY, AGREEMENTS, 5, None, id="its other purpose"),
        pytest.param("foundry events", FOUNDRY, EVENTS | AGREEMENTS, 5, None, id="both its purposes"),
        pytest.param("foundry events", FOUNDRY, LOGIN, 5, WrongPurpose, id="a purpose it has not"),
        pytest.param("foundry events", FOUNDRY, EVENTS | LOGIN, 5, WrongPurpose, id="one purpose of two"),
        pytest.param("foundry events", FOUNDRY, 0, 5, WrongPurpose, id="no purpose"),
        pytest.param("foundry events", GEARBOX, EVENTS, 5, WrongMember, id="another member"),
        pytest.param("foundry events", member_id("nobody"), EVENTS, 5, WrongMember, id="a member nobody knows"),
        pytest.param("stranger", FOUNDRY, EVENTS, 5, UnknownKey, id="a key nobody knows"),
        pytest.param("foundry root", FOUNDRY, EVENTS, 5, UnknownKey, id="a root key, which signs no statements"),
        pytest.param("gearbox events", GEARBOX, EVENTS, 0, NotYetValid, id="before the member was admitted"),
        pytest.param("gearbox events", GEARBOX, EVENTS, 39, None, id="the block before the suspension"),
        pytest.param("gearbox events", GEARBOX, EVENTS, 40, MemberNotActive, id="the block of the suspension"),
        pytest.param("gearbox events", GEARBOX, EVENTS, 49, MemberNotActive, id="the last block of the suspension"),
        pytest.param("gearbox events", GEARBOX, EVENTS, 50, None, id="the block of the reinstatement"),
        pytest.param("gearbox events", GEARBOX, EVENTS, 60, MemberNotActive, id="the block of the expulsion"),
        pytest.param("gearbox events", GEARBOX, CHECKPOINT, 60, WrongPurpose, id="a wrong purpose and a wrong time"),
    ],
)
def test_a_signature_counts_from_block_to_block(
    key: str, member: bytes, purpose: int, block: int, error: type[KeyNotValid] | None
) -> None:
    registry = fold(CHANGES)
    if error is None:
        registry.check_signer(address(key), member, purpose, block)
        assert registry.key_at(address(key), block).is_valid
    else:
        with pytest.raises(KeyNotValid) as caught:
            registry.check_signer(address(key), member, purpose, block)
        assert type(caught.value) is error
        assert (caught.value.key, caught.value.block) == (address(key), block)


def test_a_refusal_for_a_revoked_key_names_both_blocks() -> None:
    with pytest.raises(RevokedKey, match="at block 33: revoked in block 30") as caught:
        fold(CHANGES).check_signer(address("foundry new"), FOUNDRY, EVENTS, 33)
    assert (caught.value.revoked_block, caught.value.anchor_block) == (30, 33)


def with_key(*facts: tuple[int, Fact]) -> Membership:
    founding = (0, admitted(FOUNDRY, "foundry")), (0, KeyAdded(FOUNDRY, address("key"), EVENTS, custodial=False))
    return fold(at_blocks(*founding, *facts))


RETIREMENT = KeyRetired(FOUNDRY, address("key"), 20)
REVOCATION = KeyRevoked(FOUNDRY, address("key"), GENESIS_TIME + 4)


@pytest.mark.parametrize(
    ("registry", "standings"),
    [
        pytest.param(with_key(), {0: Standing.VALID, 10**9: Standing.VALID}, id="never ended"),
        pytest.param(
            with_key((5, RETIREMENT), (10, REVOCATION)),
            {9: Standing.VALID, 10: Standing.REVOKED, 20: Standing.REVOKED},
            id="revoked before its retirement",
        ),
        pytest.param(
            with_key((5, RETIREMENT), (25, REVOCATION)),
            {19: Standing.VALID, 20: Standing.RETIRED, 25: Standing.RETIRED},
            id="revoked after its retirement, which came first and stands",
        ),
        pytest.param(
            with_key((5, RETIREMENT), (20, REVOCATION)),
            {19: Standing.VALID, 20: Standing.REVOKED},
            id="revoked in the block of its retirement",
        ),
        pytest.param(
            with_key((10, REVOCATION), (15, KeyRevoked(FOUNDRY, address("key"), 7))),
            {9: Standing.VALID, 10: Standing.REVOKED},
            id="its compromise dated further back, the revocation where it was",
        ),
        pytest.param(
            with_key((0, KeyRevoked(FOUNDRY, address("key"), 0))),
            {0: Standing.REVOKED},
            id="added and revoked in one block",
        ),
        pytest.param(
            with_key((7, MemberSuspended(FOUNDRY)), (7, MemberReinstated(FOUNDRY))),
            {7: Standing.VALID},
            id="its member suspended and reinstated in one block",
        ),
        pytest.param(
            with_key((7, MemberSuspended(FOUNDRY)), (8, REVOCATION)),
            {6: Standing.VALID, 7: Standing.MEMBER_NOT_ACTIVE, 8: Standing.REVOKED},
            id="revoked while its member was suspended",
        ),
    ],
)
def test_a_key_stands_as_its_first_end_says(registry: Membership, standings: dict[int, Standing]) -> None:
    for block, standing in standings.items():
        assert registry.key_at(address("key"), block).standing is standing


def test_what_was_anchored_since_a_compromise_is_disputed_and_still_counts() -> None:
    registry = with_key((10, REVOCATION), (15, KeyRevoked(FOUNDRY, address("key"), GENESIS_TIME + 2)))
    registry.check_signer(address("key"), FOUNDRY, EVENTS, 5)
    key = registry.key_at(address("key"), 5).key
    assert [key.is_disputed(GENESIS_TIME + second) for second in (1, 2, 3)] == [False, True, True]
    unharmed = with_key().key_at(address("key"), 5).key
    assert not unharmed.is_disputed(GENESIS_TIME + 10**6)


# Against the contract


def test_the_contracts_own_history_folds_to_its_head_and_both_say_the_same_of_every_key_at_every_block() -> None:
    network = Network()
    foundry, gearbox, carrier, assembly = network.members
    second, third = key("foundry signs next"), key("gearbox signs next")
    network.do(network.authorised("AddKey", foundry, second.address, EVENTS | LOGIN, True))
    network.do(network.authorised("AddKey", gearbox, third.address, EVENTS, False))
    network.do(network.authorised("RetireKey", foundry, foundry.signing.address, network.block + 8))
    network.do(network.authorised("RevokeKey", foundry, second.address, network.time - 100))
    network.decide(Kind.KEY_REVOKED, foundry.id, second.address, 5)
    network.do(network.authorised("RotateRoot", foundry, foundry.next_root.address, root_hash(key("last"))))
    network.decide(Kind.MEMBER_SUSPENDED, gearbox.id, voters=[carrier, assembly, gearbox])
    network.do(network.authorised("RetireKey", gearbox, third.address, network.block + 7))
    network.decide(Kind.MEMBER_REINSTATED, gearbox.id, voters=[carrier, assembly])
    network.decide(Kind.RELAYER_REMOVED, network.relayer, voters=[carrier, assembly, gearbox])
    network.decide(Kind.OPERATOR_SET, network.ORIGIN, network.stranger, voters=[carrier, assembly, gearbox])
    network.decide(Kind.QUORUM_CHANGED, 3, 4, voters=[carrier, assembly, gearbox])
    network.decide(Kind.APPROVED, keccak(b"adoption"), voters=[carrier, assembly, gearbox])
    network.decide(Kind.MEMBER_EXPELLED, assembly.id, voters=[carrier, assembly, gearbox])

    recorded = network.changes()
    registry = fold(Change(*change[:5]) for change in recorded)
    assert {change.kind for change in registry.changes} == {*Kind}
    assert registry.heads[1:] == tuple(head for *_, head in recorded)
    contract = network.registry.functions
    assert (registry.head, registry.count) == (contract.head().call(), contract.changeCount().call())
    assert registry.members[foundry.id].root_key == foundry.next_root.address
    assert registry.operator_at(network.ORIGIN, network.block) == network.stranger
    assert not registry.is_relayer(network.relayer, network.block)

    standings = set()
    for block in range(network.block + 10):
        for address_, signing_key in registry.keys.items():
            standings.add(registry.key_at(address_, block).standing)
            try:
                registry.check_signer(address_, signing_key.member, EVENTS, block)
            except KeyNotValid:
                counts = False
            else:
                counts = True
            assert counts == contract.isValidAt(address_, EVENTS, block).call()
    assert standings == {*Standing}


def test_the_outermost_values_that_the_registry_takes_are_taken() -> None:
    retired_at_once = KeyRetired(FOUNDRY, address("key"), 9)
    registry = with_key((9, retired_at_once), (9, QuorumChanged(3, 3)))
    assert registry.key_at(address("key"), 8).is_valid
    assert registry.key_at(address("key"), 9).standing is Standing.RETIRED
    assert registry.quorums == ((9, (3, 3)),)


def test_a_refusal_for_the_purpose_names_what_the_key_has_and_what_was_wanted() -> None:
    with pytest.raises(WrongPurpose, match="registered for events, agreements, not for login"):
        fold(CHANGES).check_signer(address("foundry events"), FOUNDRY, LOGIN, 5)
