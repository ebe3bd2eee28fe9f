"""What root keys sign: changes of their member's keys, and votes. `MemberRegistry` checks the same EIP-712 digests.

A mandate is signed at the member's side and relayed by anyone: the sender has no say in it.
"""

from dataclasses import dataclass
from typing import Any

from ledger_service.keys import Signer, keccak
from ledger_service.membership import Fact, KeyAdded, KeyRetired, KeyRevoked, RootRotated, encode_change
from ledger_service.statements import Domain

_KEY_CHANGES = {
    KeyAdded: ("addKey", "AddKey(bytes32 member,address key,uint8 purposes,bool custodial,"),
    KeyRetired: ("retireKey", "RetireKey(bytes32 member,address key,uint64 effectiveBlock,"),
    KeyRevoked: ("revokeKey", "RevokeKey(bytes32 member,address key,uint64 compromisedSince,"),
    RootRotated: ("rotateRoot", "RotateRoot(bytes32 member,address rootKey,bytes32 nextRootHash,"),
}
_AUTHORISED = "uint64 nonce,uint64 deadline)"
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


def _digest(domain: Domain, type_: str, values: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain.separator + keccak(keccak(type_.encode()) + values))


def _word(value: int) -> bytes:
    return value.to_bytes(32)
