"""Every function that changes something, against everyone who might try, again and too late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from contracts import artifact
from tests.contracts.network import (
    APPROVED,
    DAY,
    RETIREMENT_BLOCKS,
    SUSPENDED,
    Network,
    Party,
    Refusal,
    key,
    party,
    root_hash,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ledger_service.keys import LocalKey

WHAT = bytes(range(32))
ROOT = bytes(reversed(range(32)))


@dataclass(frozen=True, slots=True)
class Change:
    """How `member` makes one change with the signature of `signer` (None: its own), good for `lifetime` seconds."""

    call: Callable[[Network, Party, LocalKey | None, int], Any]
    # The refusal each attempt meets; None where it passes.
    refusals: Mapping[str, str | None]


def by_root(kind: str, values: Callable[[Network, Party], tuple[Any, ...]]) -> Callable[..., Any]:
    def call(network: Network, member: Party, signer: LocalKey | None, lifetime: int) -> Any:
        deadline = network.time + lifetime
        return network.authorised(kind, member, *values(network, member), signer=signer, deadline=deadline)

    return call


def vote(network: Network, member: Party, signer: LocalKey | None, lifetime: int) -> Any:
    # The nonce of the proposal is the time at which it ends, so that each lifetime has a ballot of its own.
    proposal = network.proposal(APPROVED, WHAT, nonce=lifetime, expires_at=network.time + lifetime)
    return network.registry.functions.vote(proposal.arguments, [member.id], [network.ballot(proposal, member, signer)])


BY_ROOT = {
    "by its own root": None,
    "by another member": "NotRootKey",
    "by a stranger": "NotRootKey",
    "by a signing key of the member": "NotRootKey",
    "again": "WrongNonce",
    "too late": "Expired",
    "suspended": None,
    "expelled": "WrongStanding",
    "never admitted": "WrongStanding",
}

CHANGES: Mapping[str, Change] = {
    "addKey": Change(
        by_root("AddKey", lambda *_: (key("new").address, 1, False)), {**BY_ROOT, "suspended": "WrongStanding"}
    ),
    "retireKey": Change(
        by_root("RetireKey", lambda n, m: (m.signing.address, n.block + RETIREMENT_BLOCKS + 9)), BY_ROOT
    ),
    "revokeKey": Change(by_root("RevokeKey", lambda n, m: (m.signing.address, n.time)), BY_ROOT),
    "rotateRoot": Change(
        by_root("RotateRoot", lambda _, m: (m.next_root.address, root_hash(key("after next")))),
        {**BY_ROOT, "again": "NotNextRoot"},
    ),
    "vote": Change(
        vote,
        {
            **BY_ROOT,
            "again": "AlreadyVoted",
            "suspended": "NotAVoter",
            "expelled": "NotAVoter",
            "never admitted": "NotAVoter",
        },
    ),
}

ATTEMPTS = [(name, attempt) for name, change in CHANGES.items() for attempt in change.refusals]


@pytest.mark.parametrize(("name", "attempt"), ATTEMPTS, ids=[f"{name} {attempt}" for name, attempt in ATTEMPTS])
def test_what_a_root_key_signs_counts_for_its_member_once_and_in_time(
    network: Network, name: str, attempt: str
) -> None:
    change, member, signer, lifetime = CHANGES[name], network.members[0], None, DAY
    if attempt == "by another member":
        signer = network.members[1].root
    elif attempt == "by a stranger":
        signer = key("a stranger")
    elif attempt == "by a signing key of the member":
        signer = member.signing
    elif attempt == "never admitted":
        member = party("never admitted")
    elif attempt == "suspended":
        network.decide(SUSPENDED, member.id, voters=network.members[1:])
    elif attempt == "expelled":
        network.decide(SUSPENDED + 2, member.id, voters=network.members[1:])
    function = change.call(network, member, signer, lifetime)
    if attempt == "again":
        network.do(function)
    elif attempt == "too late":
        network.wait_until(network.time + lifetime + 1)

    refusal = change.refusals[attempt]
    if refusal is None:
        network.do(function)
    else:
        assert network.refusal(function).name == refusal


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_signed_for_another_network_counts_for_nothing(network: Network, name: str) -> None:
    member = network.members[0]
    for domain in ({"chain_id": 1}, {"registry": network.checkpoints.address}):
        if name == "vote":
            proposal = network.proposal(APPROVED, WHAT)
            ballot = network.ballot(proposal, member, **domain)
            function = network.registry.functions.vote(proposal.arguments, [member.id], [ballot])
        else:
            values = {
                "addKey": (key("new").address, 1, False),
                "retireKey": (member.signing.address, network.block + 99),
                "revokeKey": (member.signing.address, network.time),
                "rotateRoot": (member.next_root.address, bytes(32)),
            }[name]
            function = network.authorised(name[0].upper() + name[1:], member, *values, **domain)
        assert network.refusal(function).name == "NotRootKey"


def test_the_service_has_no_vote(network: Network) -> None:
    assert network.refusal(network.vote(network.proposal(APPROVED, WHAT), network.service)) == Refusal(
        "NotAVoter", (network.service.id,)
    )


@pytest.mark.parametrize("sender", ["stranger", "relayer"])
def test_only_the_operator_of_an_origin_anchors_for_it(network: Network, sender: str) -> None:
    anchor = network.checkpoints.functions.anchor(network.ORIGIN, 1, ROOT, [])
    who = getattr(network, sender)
    assert network.refusal(anchor, who) == Refusal("NotOperator", (network.ORIGIN, network.operator, who))
    network.do(anchor, network.operator)
    assert network.refusal(anchor, network.operator) == Refusal("StaleCheckpoint", (1, 1))
    elsewhere = network.checkpoints.functions.anchor(WHAT, 1, ROOT, [])
    assert network.refusal(elsewhere, network.operator) == Refusal("NotOperator", (WHAT, bytes(20), network.operator))


def test_a_tree_is_adopted_by_anyone_once_the_members_approved_it(network: Network) -> None:
    adopt = network.checkpoints.functions.adopt(network.ORIGIN, 7, ROOT)
    adoption = network.checkpoints.functions.adoptionOf(network.ORIGIN, 7, ROOT).call()
    assert network.refusal(adopt) == Refusal("NotApproved", (adoption,))
    assert network.refusal(adopt, network.operator) == Refusal("NotApproved", (adoption,))
    network.decide(APPROVED, adoption)
    other = network.checkpoints.functions.adopt(network.ORIGIN, 8, ROOT)
    assert network.refusal(other).name == "NotApproved"
    network.do(adopt)
    assert network.refusal(adopt) == Refusal("AlreadyStarted", (network.ORIGIN, 7))


def test_these_tables_name_every_function_that_changes_something() -> None:
    changing = {
        entry["name"]
        for contract in ("MemberRegistry", "CheckpointRegistry")
        for entry in artifact(contract).abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    assert changing == {*CHANGES, "anchor", "adopt"}


def test_the_contracts_take_no_money_and_have_no_fallback() -> None:
    for contract in ("MemberRegistry", "CheckpointRegistry"):
        entries = artifact(contract).abi
        assert not [entry for entry in entries if entry.get("stateMutability") == "payable"]
        assert not [entry for entry in entries if entry["type"] in ("fallback", "receive")]
