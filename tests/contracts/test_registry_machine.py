"""Any sequence of votes and key changes: the registry does what a small model does, and refuses what that refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ledger_service import membership
from tests.contracts.network import (
    ACTIVE,
    ADMITTED,
    APPROVED,
    EXPELLED,
    EXPELLED_STANDING,
    KEY_REVOKED,
    QUORUM_CHANGED,
    REINSTATED,
    RETIREMENT_BLOCKS,
    ROOT_ROTATED,
    SUSPENDED,
    SUSPENDED_STANDING,
    UNKNOWN,
    Network,
    Party,
    Proposal,
    WasAccepted,
    key,
    party,
    root_hash,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PARTIES = [party(name) for name in (*Network.FOUNDERS, "newcomer", "latecomer")]
KEYS = [key(f"pool {n}") for n in range(4)]
who = st.sampled_from(range(len(PARTIES)))
somebody = st.none() | who
which = st.sampled_from(range(len(KEYS)))


@dataclass
class ModelMember:
    standing: int = UNKNOWN
    roots: int = 0  # how often the root was replaced
    voting_since: int = 0
    # the (block, standing) from which on each standing held
    history: list[tuple[int, int]] = field(default_factory=list)

    def standing_at(self, block: int) -> int:
        return next((standing for since, standing in reversed(self.history) if since <= block), UNKNOWN)


@dataclass
class ModelKey:
    owner: int
    added: int
    end: int | None = None
    retired: bool = False
    revoked: bool = False
    compromised_since: int = 0


@dataclass
class ModelBallot:
    proposal: Proposal
    effect: Callable[[], bool]
    opened: int | None = None
    threshold: int = 0
    votes: dict[int, int] = field(default_factory=dict)
    done: bool = False


def root_of(member: int, replaced: int) -> Any:
    return PARTIES[member].root if replaced == 0 else key(f"{PARTIES[member].name} root {replaced}")


class RegistryMachine(RuleBasedStateMachine):
    """The model decides what must happen; the contract is then asked to do it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.snapshot = self.network.tester.take_snapshot()
        self.members = {n: ModelMember() for n in range(len(PARTIES))}
        for n in range(len(Network.FOUNDERS)):
            self.members[n] = ModelMember(ACTIVE, 0, 2 * n + 1, [(1, ACTIVE)])
        self.keys: dict[int, ModelKey] = {}
        self.ballots: list[ModelBallot] = []
        self.quorum = (2, 3)
        self.count = self.network.registry.functions.changeCount().call()

    def teardown(self) -> None:
        try:
            self.check_members()
            self.check_keys()
        finally:
            self.network.tester.revert_to_snapshot(self.snapshot)

    @property
    def voters(self) -> int:
        return sum(m.standing == ACTIVE for m in self.members.values())

    def attempt(self, function: Any, *, allowed: bool) -> None:
        """Hold the contract to the verdict of the model."""
        if allowed:
            self.network.do(function)
        else:
            try:
                refusal = self.network.refusal(function)
            except WasAccepted:
                raise AssertionError(f"{function.fn_name} should have been refused") from None
            assert refusal.name

    # Changes by root key

    def authorised(self, kind: str, member: int, *values: Any) -> Any:
        p: Party = PARTIES[member]
        replaced = self.members[member].roots + (kind == "RotateRoot")
        return self.network.authorised(kind, p, *values, signer=root_of(member, replaced))

    @rule(member=who, which=which)
    def add_key(self, member: int, which: int) -> None:
        allowed = self.members[member].standing == ACTIVE and which not in self.keys
        self.attempt(self.authorised("AddKey", member, KEYS[which].address, 1, False), allowed=allowed)
        if allowed:
            self.count += 1
            self.keys[which] = ModelKey(member, self.network.block)

    @rule(by=somebody, which=which, lead=st.integers(RETIREMENT_BLOCKS - 2, RETIREMENT_BLOCKS + 3))
    def retire_key(self, by: int | None, which: int, lead: int) -> None:
        known = self.keys.get(which)
        member = self.by_owner(by, known)
        # A refusal is judged in the latest block, a change made in the next one; so ask for one block more there.
        fits = lead >= RETIREMENT_BLOCKS
        allowed = self.speaks(member) and known is not None and known.owner == member and known.end is None and fits
        end = self.network.block + lead + allowed
        self.attempt(self.authorised("RetireKey", member, KEYS[which].address, end), allowed=allowed)
        if allowed and known:
            self.count += 1
            known.end, known.retired = end, True

    @rule(by=somebody, which=which, back=st.sampled_from([0, 100, 200, 31 * 24 * 3600]))
    def revoke_key(self, by: int | None, which: int, back: int) -> None:
        known, since = self.keys.get(which), self.network.time - back
        member = self.by_owner(by, known)
        allowed = (
            self.speaks(member)
            and known is not None
            and known.owner == member
            and back < 30 * 24 * 3600
            and (not known.revoked or since < known.compromised_since)
        )
        self.attempt(self.authorised("RevokeKey", member, KEYS[which].address, since), allowed=allowed)
        if allowed and known:
            self.revoked(known, since)

    def by_owner(self, by: int | None, known: ModelKey | None) -> int:
        """Who tries: `by`, or with None the member whose key it is."""
        return by if by is not None else known.owner if known else 0

    def revoked(self, known: ModelKey, since: int) -> None:
        self.count += 1
        if not known.revoked:
            known.end = min(known.end or self.network.block, self.network.block)
        known.revoked, known.compromised_since = True, since

    @rule(member=who)
    def rotate_root(self, member: int) -> None:
        # Founders and newcomers commit to a root that nobody here has, so only a root that a vote gave rotates.
        model = self.members[member]
        allowed = self.speaks(member) and model.roots > 0
        root, after = root_of(member, model.roots + 1), root_of(member, model.roots + 2)
        self.attempt(self.authorised("RotateRoot", member, root.address, root_hash(after)), allowed=allowed)
        if allowed:
            self.count += 1
            model.roots += 1

    def speaks(self, member: int) -> bool:
        return self.members[member].standing in (ACTIVE, SUSPENDED_STANDING)

    # Votes

    def put(self, effect: Callable[[], bool], kind: int, *values: Any, votes: bool) -> None:
        proposal = self.network.proposal(kind, *values, nonce=len(self.ballots))
        self.ballots.append(ModelBallot(proposal, effect))
        if votes:
            self.everybody_votes(len(self.ballots) - 1)

    @rule(member=st.sampled_from(range(3, len(PARTIES))), votes=st.booleans())
    def propose_admission(self, member: int, votes: bool) -> None:
        p = PARTIES[member]

        def effect() -> bool:
            model = self.members[member]
            if model.standing != UNKNOWN or model.roots:
                return False
            self.stand(member, ACTIVE)
            return True

        self.put(effect, ADMITTED, p.id, p.root.address, root_hash(p.next_root), True, votes=votes)

    @rule(member=who, kind=st.sampled_from([None, None, SUSPENDED, REINSTATED, EXPELLED]), votes=st.booleans())
    def propose_standing(self, member: int, kind: int | None, votes: bool) -> None:
        if kind is None:
            kind = REINSTATED if self.members[member].standing == SUSPENDED_STANDING else SUSPENDED
        change: int = kind

        def effect() -> bool:
            before = self.members[member].standing
            from_standing, to_standing = {
                SUSPENDED: ((ACTIVE,), SUSPENDED_STANDING),
                REINSTATED: ((SUSPENDED_STANDING,), ACTIVE),
                EXPELLED: ((ACTIVE, SUSPENDED_STANDING), EXPELLED_STANDING),
            }[change]
            if before not in from_standing or (before == ACTIVE and self.voters == 1):
                return False
            self.stand(member, to_standing)
            return True

        self.put(effect, change, PARTIES[member].id, votes=votes)

    @rule(member=who, votes=st.booleans())
    def propose_recovery(self, member: int, votes: bool) -> None:
        replaced = self.members[member].roots + 1
        root, after = root_of(member, replaced), root_of(member, replaced + 1)

        def effect() -> bool:
            model = self.members[member]
            if not self.speaks(member) or model.roots != replaced - 1:
                return False
            model.roots = replaced
            return True

        self.put(effect, ROOT_ROTATED, PARTIES[member].id, root.address, root_hash(after), votes=votes)

    @rule(which=which, back=st.sampled_from([50, 40 * 24 * 3600]), votes=st.booleans())
    def propose_revocation(self, which: int, back: int, votes: bool) -> None:
        known = self.keys.get(which)
        if known is None:
            return
        since = self.network.time - back

        def effect() -> bool:
            if known.revoked and since >= known.compromised_since:
                return False
            self.revoked(known, since)
            self.count -= 1
            return True

        self.put(effect, KEY_REVOKED, PARTIES[known.owner].id, KEYS[which].address, since, votes=votes)

    @rule(quorum=st.sampled_from([(1, 1), (2, 3), (3, 5), (1, 2)]), votes=st.booleans())
    def propose_quorum(self, quorum: tuple[int, int], votes: bool) -> None:
        def effect() -> bool:
            if quorum == (1, 2):
                return False
            self.quorum = quorum
            return True

        self.put(effect, QUORUM_CHANGED, *quorum, votes=votes)

    @rule(votes=st.booleans())
    def propose_approval(self, votes: bool) -> None:
        self.put(lambda: True, APPROVED, len(self.ballots).to_bytes(32), votes=votes)

    def stand(self, member: int, standing: int) -> None:
        model = self.members[member]
        model.standing = standing
        model.history.append((self.network.block, standing))
        if standing == ACTIVE:
            model.voting_since = self.count + 1

    @precondition(lambda self: self.ballots)
    @rule(member=who, back=st.integers(1, 3))
    def somebody_votes(self, member: int, back: int) -> None:
        self.cast(self.ballots[-min(back, len(self.ballots))], member)

    @precondition(lambda self: self.ballots)
    @rule(back=st.integers(1, 3))
    def everybody_votes_late(self, back: int) -> None:
        self.everybody_votes(-min(back, len(self.ballots)))

    def everybody_votes(self, index: int) -> None:
        for member in self.members:
            self.cast(self.ballots[index], member)

    def cast(self, ballot: ModelBallot, member: int) -> None:
        model = self.members[member]
        opened = self.count if ballot.opened is None else ballot.opened
        threshold = ballot.threshold or -(-self.voters * self.quorum[0] // self.quorum[1])
        may = (
            not ballot.done
            and model.standing == ACTIVE
            and model.voting_since <= opened
            and ballot.votes.get(member) != model.roots
        )
        signature = self.network.ballot(ballot.proposal, PARTIES[member], root_of(member, model.roots))
        function = self.network.registry.functions.vote(ballot.proposal.arguments, [PARTIES[member].id], [signature])
        votes = {**ballot.votes, member: model.roots}
        support = sum(
            self.members[m].standing == ACTIVE
            and self.members[m].voting_since <= opened
            and self.members[m].roots == roots
            for m, roots in votes.items()
        )
        if may and support >= threshold:
            # What the change itself asks is known only by trying it on the model, in the block that would make it.
            self.decide(ballot, function, opened, threshold, votes)
            return
        self.attempt(function, allowed=may)
        if may:
            ballot.opened, ballot.threshold, ballot.votes = opened, threshold, votes

    def decide(self, ballot: ModelBallot, function: Any, opened: int, threshold: int, votes: dict[int, int]) -> None:
        try:
            self.network.refusal(function)
            accepted = False
        except WasAccepted:
            accepted = True
            self.network.do(function)
        assert ballot.effect() == accepted
        if accepted:
            self.count += 1
            ballot.opened, ballot.threshold, ballot.votes, ballot.done = opened, threshold, votes, True

    @rule(blocks=st.integers(1, 4))
    def time_passes(self, blocks: int) -> None:
        self.network.mine(blocks)

    # What must hold

    @invariant()
    def as_many_changes_were_made_as_the_model_made(self) -> None:
        assert self.network.registry.functions.changeCount().call() == self.count

    def check_members(self) -> None:
        """Every member stands where the model says."""
        registry = self.network.registry.functions
        assert registry.votingMembers().call() == self.voters
        for n, model in self.members.items():
            assert registry.member(PARTIES[n].id).call()[1] == model.standing
            if model.standing != UNKNOWN:
                root = bytes.fromhex(registry.member(PARTIES[n].id).call()[0][2:])
                assert root == root_of(n, model.roots).address

    def check_keys(self) -> None:
        """Every key counts in the blocks in which the model says so, and the events fold to the same."""
        changes = self.network.changes()
        folded = membership.fold(membership.Change(*change[:5]) for change in changes)
        assert folded.head == self.network.registry.functions.head().call()
        is_valid = self.network.registry.functions.isValidAt
        for n, known in self.keys.items():
            ends = {known.end - 1, known.end} if known.end else set()
            changed = {since for since, _ in self.members[known.owner].history}
            for block in {known.added - 1, known.added, self.network.block + 9} | ends | changed:
                counts = known.added <= block and (known.end is None or block < known.end)
                counts = counts and self.members[known.owner].standing_at(block) == ACTIVE
                assert is_valid(KEYS[n].address, 1, block).call() == counts
                assert folded.key_at(KEYS[n].address, block).is_valid == counts


def check(network: Network, examples: int, steps: int) -> None:
    class Machine(RegistryMachine):
        def __init__(self) -> None:
            super().__init__(network)

    run_state_machine_as_test(
        Machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )


def test_the_registry_does_what_its_model_does(founded: Network) -> None:
    check(founded, examples=3, steps=25)


@pytest.mark.full
def test_the_registry_does_what_its_model_does_for_long(founded: Network) -> None:
    check(founded, examples=20, steps=40)
