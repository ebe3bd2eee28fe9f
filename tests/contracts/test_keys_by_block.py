"""A signing key's life: which blocks it counts in, and what may be done to it when."""

from __future__ import annotations

import pytest

from tests.contracts.network import (
    ADMITTED,
    DAY,
    EXPELLED,
    KEY_REVOKED,
    REINSTATED,
    RETIREMENT_BLOCKS,
    ROOT_ROTATED,
    SUSPENDED,
    Network,
    Refusal,
    key,
    party,
    root_hash,
)

NEW = key("new")


def valid_blocks(network: Network, signer: bytes, purpose: int = 1) -> list[int]:
    """The blocks up to a few ahead in which a signature by `signer` counts."""
    is_valid = network.registry.functions.isValidAt
    return [block for block in range(network.block + 20) if is_valid(signer, purpose, block).call()]


def test_a_key_counts_from_the_block_that_adds_it(network: Network) -> None:
    network.do(network.authorised("AddKey", network.members[0], NEW.address, 1, True))
    added = network.block
    assert valid_blocks(network, NEW.address) == list(range(added, added + 20))
    assert network.registry.functions.keyOf(NEW.address).call() == (network.members[0].id, 1, True, added, 0, 0, 0)


def test_a_retired_key_counts_until_the_block_before_its_retirement(network: Network) -> None:
    member = network.members[0]
    end = network.block + 1 + RETIREMENT_BLOCKS
    network.do(network.authorised("RetireKey", member, member.signing.address, end))
    assert valid_blocks(network, member.signing.address) == list(range(1, end))
    again = network.authorised("RetireKey", member, member.signing.address, end + 9)
    assert network.refusal(again) == Refusal("AlreadyRetired", (member.signing.address, end))


def test_a_retirement_is_announced_ahead(network: Network) -> None:
    member = network.members[0]
    # a call sees the latest block as its own
    soonest = network.block + RETIREMENT_BLOCKS
    too_soon = network.authorised("RetireKey", member, member.signing.address, soonest - 1)
    assert network.refusal(too_soon) == Refusal("RetirementTooSoon", (soonest, soonest - 1))


def test_a_revoked_key_counts_until_the_block_before(network: Network) -> None:
    member = network.members[0]
    network.mine(3)
    network.do(network.authorised("RevokeKey", member, member.signing.address, network.time))
    assert valid_blocks(network, member.signing.address) == list(range(1, network.block))
    retire = network.authorised("RetireKey", member, member.signing.address, network.block + 99)
    assert network.refusal(retire).name == "AlreadyRevoked"


def test_a_key_that_awaits_its_retirement_can_still_be_revoked(network: Network) -> None:
    member = network.members[0]
    network.do(network.authorised("RetireKey", member, member.signing.address, network.block + 99))
    network.do(network.authorised("RevokeKey", member, member.signing.address, network.time))
    assert valid_blocks(network, member.signing.address) == list(range(1, network.block))


def test_a_key_revoked_after_its_retirement_gains_no_blocks(network: Network) -> None:
    member = network.members[0]
    end = network.block + 1 + RETIREMENT_BLOCKS
    network.do(network.authorised("RetireKey", member, member.signing.address, end))
    network.mine(9)
    network.do(network.authorised("RevokeKey", member, member.signing.address, network.time))
    assert valid_blocks(network, member.signing.address) == list(range(1, end))


def test_a_root_dates_a_compromise_thirty_days_back_and_only_a_vote_further(network: Network) -> None:
    member = network.members[0]
    reach = 30 * DAY
    network.wait_until(network.time + 40 * DAY)
    now = network.time
    signer = member.signing.address
    for since in (now - reach - 1, now + 1):
        refused = network.authorised("RevokeKey", member, signer, since)
        assert network.refusal(refused) == Refusal("CompromiseOutOfRange", (now - reach, now, since))
    network.do(network.authorised("RevokeKey", member, signer, now - reach + DAY))
    revoked = network.block
    later = network.authorised("RevokeKey", member, signer, now)
    assert network.refusal(later) == Refusal("AlreadyRevoked", (signer, revoked, now - reach + DAY))
    network.decide(KEY_REVOKED, member.id, signer, now - reach - 1)
    assert network.registry.functions.keyOf(signer).call()[5:] == (revoked, now - reach - 1)
    assert valid_blocks(network, signer) == list(range(1, revoked))


def test_a_vote_cannot_date_a_compromise_into_the_future(network: Network) -> None:
    member = network.members[0]
    proposal = network.proposal(KEY_REVOKED, member.id, member.signing.address, network.time + 1000)
    assert network.refusal(network.vote(proposal, *network.members[:3])).name == "CompromiseOutOfRange"


def test_the_keys_of_a_suspended_member_rest_from_the_block_of_the_suspension(network: Network) -> None:
    member = network.members[3]
    network.mine(2)
    network.decide(SUSPENDED, member.id)
    suspended = network.block
    network.mine(2)
    network.decide(REINSTATED, member.id)
    reinstated = network.block
    counts = [*range(1, suspended), *range(reinstated, reinstated + 20)]
    assert valid_blocks(network, member.signing.address) == counts
    network.decide(EXPELLED, member.id)
    counts = [*range(1, suspended), *range(reinstated, network.block)]
    assert valid_blocks(network, member.signing.address) == counts
    standing = network.registry.functions.standingAt
    assert [standing(member.id, block).call() for block in (0, 1, suspended, reinstated, network.block)] == [
        0,
        1,
        2,
        1,
        3,
    ]


def test_a_key_counts_only_for_the_purposes_it_has(network: Network) -> None:
    network.do(network.authorised("AddKey", network.members[0], NEW.address, 1 | 4, False))
    is_valid = network.registry.functions.isValidAt
    allowed = [purpose for purpose in range(64) if is_valid(NEW.address, purpose, network.block).call()]
    assert allowed == [1, 4, 5]
    assert not is_valid(key("nobody").address, 1, network.block).call()


@pytest.mark.parametrize("purposes", [0, 64, 255])
def test_purposes_are_a_bit_set_between_1_and_63(network: Network, purposes: int) -> None:
    function = network.authorised("AddKey", network.members[0], NEW.address, purposes, False)
    assert network.refusal(function) == Refusal("PurposesOutOfRange", (purposes,))


def test_an_address_is_given_once_across_all_members_and_uses(network: Network) -> None:
    member, other = network.members[:2]
    network.do(network.authorised("RevokeKey", member, member.signing.address, network.time))
    network.do(network.authorised("RotateRoot", member, member.next_root.address, bytes(32)))
    for taken in (other.signing, other.root, member.signing, member.root, member.next_root):
        holder = network.registry.functions.holderOf(taken.address).call()
        for who, signer in ((member, member.next_root), (other, other.root)):
            function = network.authorised("AddKey", who, taken.address, 1, False, signer=signer)
            assert network.refusal(function) == Refusal("AddressTaken", (taken.address, holder))
    newcomer = party("newcomer")
    for root in (other.root, other.signing):
        proposal = network.proposal(ADMITTED, newcomer.id, root.address, bytes(32), True)
        assert network.refusal(network.vote(proposal, *network.members[1:])).name == "AddressTaken"
    function = network.authorised("AddKey", other, bytes(20), 1, False)
    assert network.refusal(function) == Refusal("ZeroValue", ())


def test_a_member_changes_its_own_keys_only(network: Network) -> None:
    member, other = network.members[:2]
    refused = Refusal("UnknownKey", (member.id, other.signing.address))
    retire = network.authorised("RetireKey", member, other.signing.address, network.block + 99)
    revoke = network.authorised("RevokeKey", member, other.signing.address, network.time)
    assert network.refusal(retire) == network.refusal(revoke) == refused
    nobody = network.authorised("RevokeKey", member, NEW.address, network.time)
    assert network.refusal(nobody) == Refusal("UnknownKey", (member.id, NEW.address))


def test_a_root_passes_to_the_key_it_committed_to_and_to_no_other(network: Network) -> None:
    member, thief = network.members[0], key("thief")
    committed = root_hash(member.next_root)
    stolen = network.authorised("RotateRoot", member, thief.address, bytes(32), signer=thief)
    assert network.refusal(stolen) == Refusal("NotNextRoot", (member.id, thief.address, committed))
    by_the_old = network.authorised("RotateRoot", member, member.next_root.address, bytes(32), signer=member.root)
    refused = Refusal("NotRootKey", (member.id, member.next_root.address, member.root.address))
    assert network.refusal(by_the_old) == refused

    after = key("after next")
    network.do(network.authorised("RotateRoot", member, member.next_root.address, root_hash(after)))
    add = network.authorised("AddKey", member, NEW.address, 1, False)
    assert network.refusal(add) == Refusal("NotRootKey", (member.id, member.next_root.address, member.root.address))
    network.do(network.authorised("AddKey", member, NEW.address, 1, False, signer=member.next_root))
    network.do(network.authorised("RotateRoot", member, after.address, bytes(32), signer=after))
    # a root that committed to none is replaced by vote alone
    last = network.authorised("RotateRoot", member, thief.address, bytes(32), signer=thief)
    assert network.refusal(last) == Refusal("NotNextRoot", (member.id, thief.address, bytes(32)))
    network.decide(ROOT_ROTATED, member.id, key("recovered").address, bytes(32), voters=network.members[1:])
    network.do(network.authorised("AddKey", member, key("later").address, 1, False, signer=key("recovered")))


def test_a_stolen_root_cannot_take_its_successors_address_first(network: Network) -> None:
    member, other = network.members[:2]
    for who in (member, other):
        squat = network.authorised("AddKey", who, member.next_root.address, 1, False)
        assert network.refusal(squat) == Refusal("ReservedForRoot", (member.next_root.address,))
    after = key("after next")
    network.do(network.authorised("RotateRoot", member, member.next_root.address, root_hash(after)))
    squat = network.authorised("AddKey", other, after.address, 1, False)
    assert network.refusal(squat) == Refusal("ReservedForRoot", (after.address,))
    # copying a commitment gives no root to the copyist
    network.do(network.authorised("RotateRoot", other, other.next_root.address, root_hash(after)))
    copied = network.authorised("RotateRoot", other, after.address, bytes(32), signer=other.next_root)
    assert network.refusal(copied).name == "NotRootKey"
    network.do(network.authorised("RotateRoot", member, after.address, bytes(32), signer=after))


def test_a_change_by_root_key_carries_the_next_nonce(network: Network) -> None:
    member = network.members[0]
    ahead = network.authorised("AddKey", member, NEW.address, 1, False, nonce=1)
    assert network.refusal(ahead) == Refusal("WrongNonce", (member.id, 0, 1))
    network.do(network.authorised("AddKey", member, NEW.address, 1, False, nonce=0))
    network.do(network.authorised("RetireKey", member, NEW.address, network.block + 99, nonce=1))
