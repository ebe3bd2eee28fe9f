"""What root keys sign: changes of their member's keys, and votes. `MemberRegistry` checks the same EIP-712 digests.

A mandate is signed at the member's side and relayed by anyone: the sender has no say in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import (
    SIGNATURE_BYTES,
    BadSignature,
    Signer,
    bytes_from_hex,
    from_hex,
    keccak,
    recover,
    to_hex,
)
from ledger_service.membership import (
    Fact,
    KeyAdded,
    KeyRetired,
    KeyRevoked,
    Membership,
    MemberState,
    RootRotated,
    decode_change,
    encode_change,
)
from ledger_service.statements import Domain

_KEY_CHANGES = {
    KeyAdded: ("addKey", "AddKey(bytes32 member,address key,uint8 purposes,bool custodial,"),
    KeyRetired: ("retireKey", "RetireKey(bytes32 member,address key,uint64 effectiveBlock,"),
    KeyRevoked: ("revokeKey", "RevokeKey(bytes32 member,address key,uint64 compromisedSince,"),
    RootRotated: ("rotateRoot", "RotateRoot(bytes32 member,address rootKey,bytes32 nextRootHash,"),
}
_AUTHORISED = "uint64 nonce,uint64 deadline)"
PROPOSAL_FORMAT = "tallystick-proposal/1"
_VOTE_TYPE = "Vote(bytes32 member,uint8 kind,bytes data,uint64 expiresAt,uint256 nonce)"

KeyChange = KeyAdded | KeyRetired | KeyRevoked | RootRotated
"""What a member's root key may change by itself. A rotation is signed by the new root."""


@dataclass(frozen=True, slots=True)
class Mandate:
    """A call of `MemberRegistry` with everything that authorises it, ready to be relayed."""

    function: str
    arguments: tuple[Any, ...]


def key_change(change: KeyChange, *, nonce: int, deadline: int, root: Signer, domain: Domain) -> Mandate:
    """`change` authorised by `root`; `nonce` is the member's in the registry, `deadline` in seconds UTC."""
    function, type_ = _KEY_CHANGES[type(change)]
    _, data = encode_change(change)
    digest = _digest(domain, type_ + _AUTHORISED, data + _word(nonce) + _word(deadline))
    values = tuple(getattr(change, name) for name in change.__dataclass_fields__)
    return Mandate(function, (*values, (nonce, deadline, root.sign(digest))))


def vote_digest(change: Fact, member: bytes, *, expires_at: int, nonce: int, domain: Domain) -> bytes:
    """What the root key of `member` signs to vote for `change`; `expires_at` in seconds UTC, `nonce` a fresh number."""
    kind, data = encode_change(change)
    return _digest(domain, _VOTE_TYPE, member + _word(kind) + keccak(data) + _word(expires_at) + _word(nonce))


def votes(change: Fact, signatures: dict[bytes, bytes], *, expires_at: int, nonce: int) -> Mandate:
    """The votes of some members, by their ids, for one proposal; more may follow under the same expiry and nonce."""
    kind, data = encode_change(change)
    members = sorted(signatures)
    proposal = (int(kind), data, expires_at, nonce)
    return Mandate("vote", (proposal, members, [signatures[one] for one in members]))


class NotAVoter(LedgerError):
    """A vote by somebody who has none: no member, one without a vote or not active, or not its root key."""

    def __init__(self, member: bytes, why: str) -> None:
        super().__init__(f"member {to_hex(member)} {why}")
        self.member = member


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change put to the vote and the votes for it so far, by member; `expires_at` in seconds UTC.

    As JSON it goes from hand to hand until enough have signed; what is voted are the very bytes that the registry's
    change will record.
    """

    domain: Domain
    change: Fact
    expires_at: int
    nonce: int
    signatures: Mapping[bytes, bytes] = field(default_factory=dict)

    def digest(self, member: bytes) -> bytes:
        """What the root key of `member` signs."""
        return vote_digest(self.change, member, expires_at=self.expires_at, nonce=self.nonce, domain=self.domain)

    def signed(self, member: bytes, root: Signer) -> "Proposal":
        """This proposal with the vote of `member`."""
        return replace(self, signatures={**self.signatures, member: root.sign(self.digest(member))})

    def check_vote(self, member: bytes, membership: Membership) -> None:
        """Raise NotAVoter unless the vote of `member` counts by what is known of the registry."""
        known = membership.members.get(member)
        if known is None or not known.voting or known.state is not MemberState.ACTIVE:
            raise NotAVoter(member, "has no vote" if known is None or not known.voting else f"is {known.state}")
        try:
            signer = recover(self.digest(member), self.signatures[member])
        except BadSignature:
            signer = None
        if signer != known.root_key:
            raise NotAVoter(member, f"did not sign this: its root key is {to_hex(known.root_key)}")

    def mandate(self, *members: bytes) -> Mandate:
        """The votes of `members`, ready to be relayed."""
        signatures = {one: self.signatures[one] for one in members}
        return votes(self.change, signatures, expires_at=self.expires_at, nonce=self.nonce)

    def as_json(self) -> dict[str, Any]:
        kind, data = encode_change(self.change)
        return {
            "chainId": self.domain.chain_id,
            "data": to_hex(data),
            "expiresAt": self.expires_at,
            "format": PROPOSAL_FORMAT,
            "kind": int(kind),
            "nonce": self.nonce,
            "registry": to_hex(self.domain.registry),
            "votes": [
                {"member": to_hex(member), "signature": to_hex(signature)}
                for member, signature in sorted(self.signatures.items())
            ],
        }

    @classmethod
    def read(cls, value: Any) -> Self:
        """The proposal in a JSON value; raises MalformedInput. Whose votes count is not looked at."""
        members = {"chainId", "data", "expiresAt", "format", "kind", "nonce", "registry", "votes"}
        if not isinstance(value, dict) or value.keys() != members or value["format"] != PROPOSAL_FORMAT:
            raise MalformedInput(f"not a proposal of format {PROPOSAL_FORMAT}")
        numbers = {name: value[name] for name in ("chainId", "expiresAt", "kind", "nonce")}
        for name, number in numbers.items():
            if type(number) is not int or not 0 <= number < 1 << 53:
                raise MalformedInput("expected a whole number below 2^53", f"/{name}")
        try:
            change = decode_change(numbers["kind"], bytes_from_hex(value["data"], "/data"))
        except ValueError as error:
            raise MalformedInput(str(error), "/data") from error
        if not isinstance(value["votes"], list):
            raise MalformedInput("expected a list", "/votes")
        signatures = {}
        for place, one in enumerate(value["votes"]):
            if not isinstance(one, dict) or one.keys() != {"member", "signature"}:
                raise MalformedInput("a vote has member and signature", f"/votes/{place}")
            member = from_hex(one["member"], 32, f"/votes/{place}/member")
            signatures[member] = from_hex(one["signature"], SIGNATURE_BYTES, f"/votes/{place}/signature")
        domain = Domain(numbers["chainId"], from_hex(value["registry"], 20, "/registry"))
        return cls(domain, change, numbers["expiresAt"], numbers["nonce"], signatures)


def _digest(domain: Domain, type_: str, values: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain.separator + keccak(keccak(type_.encode()) + values))


def _word(value: int) -> bytes:
    return value.to_bytes(32)
