"""A proposal as a file: read as it was written, and only the votes of root keys count."""

from typing import Any

import pytest

from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex
from ledger_service.mandates import NotAVoter, Proposal
from ledger_service.membership import Approved, Change, Fact, MemberAdmitted, MemberSuspended, QuorumChanged, fold
from ledger_service.statements import Domain
from tests.consortium import key, member_id

DOMAIN = Domain(131_277, b"\x01" * 20)
FACTS: list[Fact] = [
    MemberAdmitted(member_id("duero"), key("duero root").address, bytes(32), True),
    MemberAdmitted(member_id("nordrand"), key("nordrand root").address, bytes(32), False),
    MemberAdmitted(member_id("vltava"), key("vltava root").address, bytes(32), True),
    MemberSuspended(member_id("vltava")),
]
MEMBERSHIP = fold(Change.of(fact, index, index, index) for index, fact in enumerate(FACTS, 1))
PROPOSAL = Proposal(DOMAIN, QuorumChanged(3, 4), 1_790_000_000, 7).signed(member_id("duero"), key("duero root"))


def test_a_proposal_is_read_as_it_was_written() -> None:
    assert Proposal.read(PROPOSAL.as_json()) == PROPOSAL
    PROPOSAL.check_vote(member_id("duero"), MEMBERSHIP)
    assert PROPOSAL.mandate(member_id("duero")).arguments[1] == [member_id("duero")]


@pytest.mark.parametrize(
    ("voter", "signer", "why"),
    [
        ("duero", "duero", "did not sign this"),
        ("nordrand", "nordrand root", "has no vote"),
        ("vltava", "vltava root", "is suspended"),
        ("stranger", "stranger root", "has no vote"),
    ],
)
def test_only_the_root_keys_of_voting_members_count(voter: str, signer: str, why: str) -> None:
    signed = PROPOSAL.signed(member_id(voter), key(signer))
    with pytest.raises(NotAVoter, match=why):
        signed.check_vote(member_id(voter), MEMBERSHIP)


def test_a_vote_for_one_proposal_is_none_for_another() -> None:
    other = Proposal(DOMAIN, Approved(b"\x02" * 32), PROPOSAL.expires_at, 7, PROPOSAL.signatures)
    with pytest.raises(NotAVoter):
        other.check_vote(member_id("duero"), MEMBERSHIP)


WRONG: dict[str, dict[str, Any]] = {
    "of another format": {"format": "tallystick-proposal/2"},
    "no kind there is": {"kind": 99},
    "too little data": {"data": "0x00"},
    "a number as text": {"nonce": "7"},
    "votes that are none": {"votes": [7]},
    "a vote cut short": {"votes": [{"member": to_hex(bytes(32)), "signature": "0x00"}]},
    "more than it takes": {"more": 1},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_proposal_is_refused(name: str) -> None:
    with pytest.raises(MalformedInput):
        Proposal.read({**PROPOSAL.as_json(), **WRONG[name]})
