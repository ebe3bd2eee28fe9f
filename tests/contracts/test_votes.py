"""How the members decide: threshold, expiry, who counts, and what each kind of change needs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.network import (
    ADMITTED,
    APPROVED,
    DATA,
    DAY,
    EXPELLED,
    KEY_ADDED,
    KEY_RETIRED,
    KEY_REVOKED,
    OPERATOR_SET,
    QUORUM_CHANGED,
    REINSTATED,
    RELAYER_ADDED,
    RELAYER_REMOVED,
    RETIREMENT_BLOCKS,
    ROOT_ROTATED,
    SUSPENDED,
    Network,
    Party,
    Proposal,
    Refusal,
    WasAccepted,
    key,
    party,
    root_hash,
)

WHAT = bytes(range(32))


def ballot_of(network: Network, proposal: Proposal) -> list[Any]:
    """Threshold, support, executed."""
    return list(network.registry.functions.ballotOf(proposal.id).call())


def is_approved(network: Network, what: bytes = WHAT) -> bool:
    return bool(network.registry.functions.isApproved(what).call())


def test_a_proposal_passes_with_two_thirds_rounded_up_whoever_sends_and_in_any_order(network: Network) -> None:
    proposal = network.proposal(APPROVED, WHAT)
    for count, voter in enumerate([network.members[2], network.members[0], network.members[3]], start=1):
        assert not is_approved(network)
        network.do(network.vote(proposal, voter), network.accounts[count])
        assert ballot_of(network, proposal) == [3, count, count == 3]
    assert is_approved(network)
    late = network.vote(proposal, network.members[1])
    assert network.refusal(late) == Refusal("AlreadyExecuted", (proposal.id,))


@pytest.mark.parametrize(
    ("voting", "threshold"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (8, 6), (9, 6), (10, 7)]
)
def test_two_thirds_are_rounded_up(network: Network, voting: int, threshold: int) -> None:
    founders: list[Any] = [(party(f"m{n}").id, key(f"m{n}").address, bytes(32), True, []) for n in range(voting)]
    registry = network.deploy("MemberRegistry", founders, [], [], 1)
    assert registry.functions.votingMembers().call() == voting
    proposal = network.proposal(APPROVED, WHAT)
    vote = network.ballot(proposal, party("m0"), key("m0"), registry=registry.address)
    network.do(registry.functions.vote(proposal.arguments, [party("m0").id], [vote]))
    assert registry.functions.ballotOf(proposal.id).call()[0] == threshold


def test_votes_beyond_the_threshold_change_nothing(network: Network) -> None:
    proposal = network.proposal(APPROVED, WHAT)
    network.do(network.vote(proposal, *network.members))
    assert ballot_of(network, proposal) == [3, 3, True]


def test_the_same_change_can_be_proposed_again_under_another_nonce(network: Network) -> None:
    network.decide(RELAYER_ADDED, WHAT[:20], nonce=1)
    network.decide(RELAYER_REMOVED, WHAT[:20], nonce=1)
    network.decide(RELAYER_ADDED, WHAT[:20], nonce=2)
    assert network.registry.functions.isRelayer(WHAT[:20]).call()


def test_a_proposal_is_opened_by_a_vote_and_not_by_a_call(network: Network) -> None:
    proposal = network.proposal(APPROVED, WHAT)
    empty = network.registry.functions.vote(proposal.arguments, [], [])
    assert network.refusal(empty) == Refusal("NoVotes", ())
    uneven = network.registry.functions.vote(proposal.arguments, [network.members[0].id], [])
    assert network.refusal(uneven) == Refusal("LengthMismatch", (1, 0))


def test_a_proposal_expires(network: Network) -> None:
    proposal = network.proposal(APPROVED, WHAT)
    network.do(network.vote(proposal, *network.members[:2]))
    network.wait_until(proposal.expires_at + 1)
    late = network.vote(proposal, network.members[2])
    assert network.refusal(late) == Refusal("Expired", (proposal.expires_at, proposal.expires_at + 1))


def test_a_proposal_stays_open_for_thirty_days_at_most(network: Network) -> None:
    latest = network.time + 30 * DAY
    too_long = network.proposal(APPROVED, WHAT, expires_at=latest + 1)
    refusal = network.refusal(network.vote(too_long, network.members[0]))
    assert refusal == Refusal("ExpiryTooFar", (latest, latest + 1))
    network.do(network.vote(network.proposal(APPROVED, WHAT, expires_at=latest), network.members[0]))


def test_the_threshold_stays_as_it_was_when_the_proposal_was_opened(network: Network) -> None:
    proposal = network.proposal(APPROVED, WHAT)
    network.do(network.vote(proposal, network.members[0]))
    network.decide(EXPELLED, network.members[3].id)
    network.do(network.vote(proposal, network.members[1]))
    assert ballot_of(network, proposal) == [3, 2, False]
    network.do(network.vote(proposal, network.members[2]))
    assert is_approved(network)


def admit(network: Network, member: Party) -> None:
    network.decide(ADMITTED, member.id, member.root.address, root_hash(member.next_root), member.votes)


def test_who_was_admitted_or_reinstated_after_the_opening_has_no_vote_on_it(network: Network) -> None:
    proposal = network.proposal(APPROVED, WHAT)
    network.do(network.vote(proposal, network.members[0]))
    opened = network.registry.functions.changeCount().call()
    newcomer, back = party("newcomer"), network.members[3]
    admit(network, newcomer)
    network.decide(SUSPENDED, back.id)
    network.decide(REINSTATED, back.id)
    for voter, since in ((newcomer, opened + 1), (back, opened + 3)):
        refusal = network.refusal(network.vote(proposal, voter))
        assert refusal == Refusal("TooLateToVote", (voter.id, since, opened))
        network.do(network.vote(network.proposal(APPROVED, WHAT, nonce=9), voter))


def test_the_vote_of_a_member_that_was_suspended_since_counts_no_more(network: Network) -> None:
    proposal = network.proposal(APPROVED, WHAT)
    network.do(network.vote(proposal, *network.members[2:]))
    network.decide(SUSPENDED, network.members[3].id)
    assert ballot_of(network, proposal) == [3, 1, False]
    network.do(network.vote(proposal, network.members[0]))
    assert not is_approved(network)
    network.do(network.vote(proposal, network.members[1]))
    assert is_approved(network)


def test_the_vote_of_a_root_that_was_replaced_since_counts_no_more_and_its_successor_votes(network: Network) -> None:
    proposal, member = network.proposal(APPROVED, WHAT), network.members[0]
    network.do(network.vote(proposal, member))
    network.do(network.authorised("RotateRoot", member, member.next_root.address, bytes(32)))
    assert ballot_of(network, proposal) == [3, 0, False]
    ballots = [network.ballot(proposal, member, member.next_root)]
    network.do(network.registry.functions.vote(proposal.arguments, [member.id], ballots))
    assert ballot_of(network, proposal) == [3, 1, False]


def test_a_vote_is_for_one_proposal_and_no_other(network: Network) -> None:
    member, proposal = network.members[0], network.proposal(APPROVED, WHAT)
    ballot = network.ballot(proposal, member)
    for other in (
        network.proposal(APPROVED, bytes(32)),
        network.proposal(APPROVED, WHAT, nonce=1),
        network.proposal(APPROVED, WHAT, expires_at=proposal.expires_at + 1),
        network.proposal(EXPELLED, WHAT),
    ):
        function = network.registry.functions.vote(other.arguments, [member.id], [ballot])
        assert network.refusal(function).name == "NotRootKey"


@pytest.mark.parametrize("kind", [0, KEY_ADDED, KEY_RETIRED, 14, 255])
def test_nobody_votes_on_what_a_root_key_decides(network: Network, kind: int) -> None:
    proposal = Proposal(kind, WHAT, network.time + DAY, 0)
    assert network.refusal(network.vote(proposal, network.members[0])) == Refusal("NotVotable", (kind,))


@pytest.mark.parametrize("kind", sorted(DATA.keys() - {KEY_ADDED, KEY_RETIRED}))
def test_the_data_of_a_proposal_have_the_length_of_their_kind(network: Network, kind: int) -> None:
    length = 32 * len(DATA[kind])
    for wrong in (0, length - 1, length + 1, length + 32):
        proposal = Proposal(kind, bytes(wrong), network.time + DAY, 0)
        refusal = network.refusal(network.vote(proposal, network.members[0]))
        assert refusal == Refusal("MalformedChange", (kind, length, wrong))


@pytest.mark.parametrize("kind", [ADMITTED, KEY_REVOKED, ROOT_ROTATED, RELAYER_ADDED, OPERATOR_SET, QUORUM_CHANGED])
def test_words_too_wide_for_their_type_are_refused(network: Network, kind: int) -> None:
    proposal = Proposal(kind, b"\xff" * 32 * len(DATA[kind]), network.time + DAY, 0)
    assert network.refusal(network.vote(proposal, *network.members[:3])) == Refusal("malformed", ())


def test_a_member_is_admitted_once_and_speaks_through_the_keys_its_root_adds(network: Network) -> None:
    newcomer = party("newcomer")
    admit(network, newcomer)
    assert network.registry.functions.votingMembers().call() == 5
    network.do(network.authorised("AddKey", newcomer, newcomer.signing.address, 1, False))
    proposal = network.proposal(ADMITTED, newcomer.id, key("other root").address, bytes(32), True)
    refusal = network.refusal(network.vote(proposal, newcomer, *network.members[:3]))
    assert refusal == Refusal("MemberExists", (newcomer.id,))


def attempt(network: Network, kind: int, *values: Any, nonce: int = 7) -> str | None:
    """The refusal of a change that all members want, or None if it passes."""
    try:
        return network.refusal(network.vote(network.proposal(kind, *values, nonce=nonce), *network.active)).name
    except WasAccepted:
        return None


def test_each_standing_leads_where_it_may(network: Network) -> None:
    member = network.members[3].id
    wrong = "WrongStanding"
    table = {
        "active": (None, wrong, None),
        "suspended": (wrong, None, None),
        "expelled": (wrong, wrong, wrong),
        "unknown": (wrong, wrong, wrong),
    }

    def attempts(who: bytes) -> tuple[str | None, ...]:
        return tuple(attempt(network, kind, who) for kind in (SUSPENDED, REINSTATED, EXPELLED))

    assert attempts(member) == table["active"]
    network.decide(SUSPENDED, member)
    assert attempts(member) == table["suspended"]
    network.decide(EXPELLED, member)
    assert attempts(member) == table["expelled"]
    assert attempts(WHAT) == table["unknown"]


def test_the_last_voter_stays(network: Network) -> None:
    for count in (3, 2, 1):
        voters = network.members[: count + 1]
        network.decide(EXPELLED, network.members[count].id, voters=voters)
    last = network.members[0]
    for kind in (SUSPENDED, EXPELLED):
        refusal = network.refusal(network.vote(network.proposal(kind, last.id), last))
        assert refusal == Refusal("LastVoter", (last.id,))


def test_a_member_without_a_vote_comes_and_goes_without_moving_the_threshold(network: Network) -> None:
    network.decide(SUSPENDED, network.service.id)
    network.decide(REINSTATED, network.service.id)
    network.decide(EXPELLED, network.service.id)
    assert network.registry.functions.votingMembers().call() == 4


@pytest.mark.parametrize(
    ("numerator", "denominator", "refused"),
    [(2, 3, False), (1, 1, False), (51, 100, False), (1, 2, True), (4, 3, True), (0, 0, True), (0, 1, True)],
)
def test_a_quorum_is_more_than_half_and_at_most_all(
    network: Network, numerator: int, denominator: int, refused: bool
) -> None:
    assert attempt(network, QUORUM_CHANGED, numerator, denominator) == ("QuorumOutOfRange" if refused else None)


def test_a_changed_quorum_holds_for_the_proposals_after_it(network: Network) -> None:
    before = network.proposal(APPROVED, WHAT)
    network.do(network.vote(before, network.members[0]))
    network.decide(QUORUM_CHANGED, 1, 1)
    after = network.proposal(APPROVED, bytes(32))
    network.do(network.vote(after, network.members[0]))
    assert (ballot_of(network, before)[0], ballot_of(network, after)[0]) == (3, 4)


def test_relayers_operators_and_approvals_change_by_vote(network: Network) -> None:
    registry, someone = network.registry.functions, WHAT[:20]
    network.decide(RELAYER_ADDED, someone)
    assert attempt(network, RELAYER_ADDED, someone) == "RelayerUnchanged"
    network.decide(RELAYER_REMOVED, someone)
    assert attempt(network, RELAYER_REMOVED, someone) == "RelayerUnchanged"
    assert attempt(network, RELAYER_ADDED, bytes(20)) == "ZeroValue"
    assert [registry.isRelayer(who).call() for who in (someone, network.relayer)] == [False, True]

    network.decide(OPERATOR_SET, network.ORIGIN, someone)
    assert bytes.fromhex(registry.operatorOf(network.ORIGIN).call()[2:]) == someone
    network.decide(OPERATOR_SET, network.ORIGIN, bytes(20))
    anchor = network.checkpoints.functions.anchor(network.ORIGIN, 1, WHAT, [])
    assert network.refusal(anchor, network.operator).name == "NotOperator"

    network.decide(APPROVED, WHAT)
    assert attempt(network, APPROVED, WHAT) == "AlreadyApproved"


@pytest.mark.parametrize(
    ("founders", "refused"),
    [
        ([], "LastVoter"),
        ([("a", "a", False)], "LastVoter"),
        ([("a", "a", True), ("a", "b", True)], "MemberExists"),
        ([("a", "a", True), ("b", "a", True)], "AddressTaken"),
    ],
    ids=["nobody", "nobody votes", "a member twice", "a root twice"],
)
def test_no_consortium_is_founded_on(network: Network, founders: list[tuple[str, str, bool]], refused: str) -> None:
    arguments: list[Any] = [(party(name).id, key(root).address, bytes(32), votes, []) for name, root, votes in founders]
    assert network.refused_deployment("MemberRegistry", arguments, [], [], 1).name == refused


def test_the_rules_that_hold_for_ever_are_told(network: Network) -> None:
    registry = network.registry.functions
    assert registry.RETIREMENT_BLOCKS().call() == RETIREMENT_BLOCKS
    assert registry.COMPROMISE_REACH().call() == registry.MAX_PROPOSAL_AGE().call() == 30 * DAY
    assert (registry.quorumNumerator().call(), registry.quorumDenominator().call()) == (2, 3)
    assert network.checkpoints.functions.registry().call() == network.registry.address
