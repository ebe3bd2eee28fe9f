"""Who was a member, which keys spoke for it, and from which block to which: the registry's changes, folded.

`MemberRegistry` keeps a running hash over every change it ever made, and each anchor carries the hash and the count.
So a list of changes either folds to what was anchored or something in it was dropped, added, moved or altered; and a
list that does fold proves what was *not* revoked. `Membership.check_signer` is the one place that says whether a
signature counts, for the server and for `tallystick verify` alike.

Blocks are block numbers. A rule that starts in a block holds for the whole of it: a key added in block 7 is valid at 7,
a key revoked in block 7 is not, whatever the order of the transactions inside the block.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Any, TypeAlias, TypeVar

from ledger_service.errors import LedgerError
from ledger_service.keys import keccak, purpose_names
from ledger_service.statements import REPORT_KINDS, purpose_of

Value = TypeVar("Value")

EMPTY_HEAD = bytes(32)
"""The head of a registry in which nothing has happened yet."""


class UnfitChange(LedgerError):
    """The first change of a list that cannot be what the registry recorded at that place."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"membership change {index}: {reason}")
        self.index = index
        self.reason = reason


class RegistryHeadMismatch(LedgerError):
    """A list of changes that is not the one whose head was anchored: one was dropped, added, moved or altered."""

    def __init__(self, count: int, anchored: bytes, folded: bytes | None, known: int) -> None:
        if folded is None:
            what = f"{count} membership changes are spoken of and only {known} are here: the list is cut short"
        else:
            what = (
                f"the first {count} membership changes fold to 0x{folded.hex()} and 0x{anchored.hex()} was anchored: "
                "a change was dropped, added, moved or altered"
            )
        super().__init__(what)
        self.count = count
        self.anchored = anchored
        self.folded = folded
        self.known = known


class KeyNotValid(LedgerError):
    """A signature that does not count: its key may not speak for this member, for this purpose, at this block."""

    def __init__(self, key: bytes, block: int, reason: str) -> None:
        super().__init__(f"key 0x{key.hex()} at block {block}: {reason}")
        self.key = key
        self.block = block
        self.reason = reason


class UnknownKey(KeyNotValid):
    """No member ever registered this key."""


class WrongMember(KeyNotValid):
    """The key speaks for another member than the one named."""


class WrongPurpose(KeyNotValid):
    """The key was not registered for this use."""


class WrongIssuer(KeyNotValid):
    """A report by somebody who is not the service of the log, or another kind of statement by the service."""


class NotYetValid(KeyNotValid):
    """The key was registered in a later block."""


class RetiredKey(KeyNotValid):
    """The key's retirement had taken effect."""


class RevokedKey(KeyNotValid):
    """The key was revoked before, or in, the block that anchored the signature."""

    def __init__(self, key: bytes, revoked_block: int, anchor_block: int) -> None:
        super().__init__(key, anchor_block, f"revoked in block {revoked_block}, before the anchor")
        self.revoked_block = revoked_block
        self.anchor_block = anchor_block


class MemberNotActive(KeyNotValid):
    """The key's member was suspended or expelled."""


class Kind(IntEnum):
    """What a change does, numbered as in the event `MembershipChanged`."""

    MEMBER_ADMITTED = 1
    MEMBER_SUSPENDED = 2
    MEMBER_REINSTATED = 3
    MEMBER_EXPELLED = 4
    KEY_ADDED = 5
    KEY_RETIRED = 6
    KEY_REVOKED = 7
    ROOT_ROTATED = 8
    RELAYER_ADDED = 9
    RELAYER_REMOVED = 10
    OPERATOR_SET = 11
    QUORUM_CHANGED = 12
    APPROVED = 13


@dataclass(frozen=True, slots=True)
class MemberAdmitted:
    """A new member; `next_root_hash` is keccak256(abi.encode(root key that may follow)), or zero for none."""

    member: bytes
    root_key: bytes
    next_root_hash: bytes
    voting: bool


@dataclass(frozen=True, slots=True)
class MemberSuspended:
    """A member that may not speak for now."""

    member: bytes


@dataclass(frozen=True, slots=True)
class MemberReinstated:
    """A suspended member that may speak again."""

    member: bytes


@dataclass(frozen=True, slots=True)
class MemberExpelled:
    """A member that will not speak again."""

    member: bytes


@dataclass(frozen=True, slots=True)
class KeyAdded:
    """A new signing key; `purposes` is the bit set of `ledger_service.keys.PURPOSES`."""

    member: bytes
    key: bytes
    purposes: int
    custodial: bool


@dataclass(frozen=True, slots=True)
class KeyRetired:
    """A signing key that ends at a block stated ahead: `effective_block` is the first without it."""

    member: bytes
    key: bytes
    effective_block: int


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """A signing key that ends in this very block, or, told again, whose compromise is dated further back.

    `compromised_since` is a time in seconds since 1970 UTC.
    """

    member: bytes
    key: bytes
    compromised_since: int


@dataclass(frozen=True, slots=True)
class RootRotated:
    """A member's new root key, the one that only changes keys."""

    member: bytes
    root_key: bytes
    next_root_hash: bytes


@dataclass(frozen=True, slots=True)
class RelayerAdded:
    """An address that may send other members' transactions."""

    relayer: bytes


@dataclass(frozen=True, slots=True)
class RelayerRemoved:
    """An address that no longer may."""

    relayer: bytes


@dataclass(frozen=True, slots=True)
class OperatorSet:
    """The address that from now on may anchor `origin`, the keccak256 of the origin's text."""

    origin: bytes
    operator: bytes


@dataclass(frozen=True, slots=True)
class QuorumChanged:
    """The share of voting members that a vote now takes."""

    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class Approved:
    """Something else the members voted for, by its hash."""

    what: bytes


Fact: TypeAlias = (
    MemberAdmitted
    | MemberSuspended
    | MemberReinstated
    | MemberExpelled
    | KeyAdded
    | KeyRetired
    | KeyRevoked
    | RootRotated
    | RelayerAdded
    | RelayerRemoved
    | OperatorSet
    | QuorumChanged
    | Approved
)
"""What a change says, decoded."""

_LAYOUTS: Mapping[Kind, tuple[type[Any], tuple[str, ...]]] = {
    Kind.MEMBER_ADMITTED: (MemberAdmitted, ("bytes32", "address", "bytes32", "bool")),
    Kind.MEMBER_SUSPENDED: (MemberSuspended, ("bytes32",)),
    Kind.MEMBER_REINSTATED: (MemberReinstated, ("bytes32",)),
    Kind.MEMBER_EXPELLED: (MemberExpelled, ("bytes32",)),
    Kind.KEY_ADDED: (KeyAdded, ("bytes32", "address", "uint8", "bool")),
    Kind.KEY_RETIRED: (KeyRetired, ("bytes32", "address", "uint64")),
    Kind.KEY_REVOKED: (KeyRevoked, ("bytes32", "address", "uint64")),
    Kind.ROOT_ROTATED: (RootRotated, ("bytes32", "address", "bytes32")),
    Kind.RELAYER_ADDED: (RelayerAdded, ("address",)),
    Kind.RELAYER_REMOVED: (RelayerRemoved, ("address",)),
    Kind.OPERATOR_SET: (OperatorSet, ("bytes32", "address")),
    Kind.QUORUM_CHANGED: (QuorumChanged, ("uint16", "uint16")),
    Kind.APPROVED: (Approved, ("bytes32",)),
}
_KINDS: Mapping[type[Any], Kind] = {fact: kind for kind, (fact, _) in _LAYOUTS.items()}
_WIDTHS = {"bytes32": 32, "address": 20, "bool": 1, "uint8": 1, "uint16": 2, "uint64": 8}


@dataclass(frozen=True, slots=True)
class Change:
    """One `MembershipChanged` event: the `index`-th change, counted from 1, and the block that made it.

    `block_time` is in seconds since 1970 UTC; `data` is the ABI encoding of what changed, by `kind`.
    """

    index: int
    block_number: int
    block_time: int
    kind: int
    data: bytes

    @classmethod
    def of(cls, fact: Fact, index: int, block_number: int, block_time: int) -> "Change":
        """The change that says `fact`, as the registry would record it."""
        kind, data = encode_change(fact)
        return cls(index, block_number, block_time, kind, data)


def encode_change(fact: Fact) -> tuple[Kind, bytes]:
    """The kind and the ABI encoding of `fact`; the inverse of `decode_change`."""
    kind = _KINDS[type(fact)]
    types = _LAYOUTS[kind][1]
    values = [getattr(fact, name) for name in fact.__dataclass_fields__]
    return kind, b"".join(_word(value, type_) for value, type_ in zip(values, types, strict=True))


def decode_change(kind: int, data: bytes) -> Fact:
    """What a change of `kind` says; raises ValueError unless `data` is the one encoding Solidity gives it."""
    try:
        fact, types = _LAYOUTS[Kind(kind)]
    except ValueError:
        raise ValueError(f"there is no kind of change {kind}") from None
    if len(data) != 32 * len(types):
        raise ValueError(f"{fact.__name__} takes {32 * len(types)} bytes of data, here {len(data)}")
    decoded: Fact = fact(*(_value(data[32 * at : 32 * at + 32], type_) for at, type_ in enumerate(types)))
    return decoded


def next_head(head: bytes, change: Change) -> bytes:
    """The registry's running head after `change`, as MemberRegistry computes it.

    keccak256(abi.encodePacked(head, abi.encode(index, blockNumber, blockTime, kind, data)))
    """
    numbers = (change.index, change.block_number, change.block_time, change.kind, 5 * 32, len(change.data))
    words = b"".join(number.to_bytes(32) for number in numbers)
    return keccak(head + words + change.data + bytes(-len(change.data) % 32))


class MemberState(StrEnum):
    """Whether a member may speak."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPELLED = "expelled"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the consortium, by its id of 32 bytes.

    `states` are the (block, state) at which its state changed, oldest first.
    """

    id: bytes
    root_key: bytes
    next_root_hash: bytes
    voting: bool
    states: tuple[tuple[int, MemberState], ...]

    @property
    def state(self) -> MemberState:
        """The state after the last change."""
        return self.states[-1][1]

    def state_at(self, block: int) -> MemberState | None:
        """The state at the end of `block`, or None before the member was admitted."""
        return _latest(self.states, block)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs for a member, and the blocks between which it does.

    `retired_block` is the first block in which a retirement holds, `revoked_block` the block of a revocation.
    `compromised_since` (seconds, UTC) is when the member says the key fell into other hands: what was anchored from
    then on still counts and is reported as disputed.
    """

    address: bytes
    member: bytes
    purposes: int
    custodial: bool
    added_block: int
    retired_block: int | None = None
    revoked_block: int | None = None
    compromised_since: int | None = None

    @property
    def end_block(self) -> int | None:
        """The first block in which the key no longer counts, or None while nobody has ended it."""
        ends = [block for block in (self.retired_block, self.revoked_block) if block is not None]
        return min(ends, default=None)

    def is_disputed(self, time: int) -> bool:
        """Whether the member has since said that the key was in other hands at `time` (seconds, UTC)."""
        return self.compromised_since is not None and time >= self.compromised_since


class Standing(StrEnum):
    """What a key was worth at a block."""

    VALID = "valid"
    NOT_YET = "not yet valid"
    RETIRED = "retired"
    REVOKED = "revoked"
    MEMBER_NOT_ACTIVE = "member not active"


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """A key as it stood at `block`: the key, its member, and whether a signature with it counts there."""

    key: SigningKey
    member: Member
    block: int
    standing: Standing

    @property
    def is_valid(self) -> bool:
        """Whether a signature with the key counts."""
        return self.standing is Standing.VALID


@dataclass(frozen=True, slots=True)
class Membership:
    """The registry after a list of changes: the only source of who may sign what, and when.

    `heads[n]` is the registry's head after the first n changes. `relayers` maps an address to the (block, is a relayer)
    at which that changed; `operators` maps an on-chain origin to its (block, operator); `quorums` are (block,
    (numerator, denominator)) and `approvals` (block, what). All oldest first.
    """

    changes: tuple[Change, ...]
    heads: tuple[bytes, ...]
    members: Mapping[bytes, Member]
    keys: Mapping[bytes, SigningKey]
    relayers: Mapping[bytes, tuple[tuple[int, bool], ...]]
    operators: Mapping[bytes, tuple[tuple[int, bytes], ...]]
    quorums: tuple[tuple[int, tuple[int, int]], ...]
    approvals: tuple[tuple[int, bytes], ...]

    @property
    def count(self) -> int:
        """How many changes were folded."""
        return len(self.changes)

    @property
    def head(self) -> bytes:
        """The running head after all of them."""
        return self.heads[-1]

    def head_at(self, count: int) -> bytes:
        """The head after the first `count` changes; raises IndexError for more than were folded."""
        if not 0 <= count <= self.count:
            raise IndexError(f"head {count} of a registry with {self.count} changes")
        return self.heads[count]

    def check_head(self, count: int, anchored: bytes) -> None:
        """Raise RegistryHeadMismatch unless the first `count` changes fold to the `anchored` head."""
        folded = self.heads[count] if 0 <= count <= self.count else None
        if folded != anchored:
            raise RegistryHeadMismatch(count, anchored, folded, self.count)

    def at(self, count: int) -> "Membership":
        """The registry as it was after the first `count` changes."""
        self.head_at(count)
        return fold(self.changes[:count])

    def key_at(self, address: bytes, block: int) -> KeyStanding:
        """How the key `address` stood at the end of `block`; raises UnknownKey if no member ever registered it."""
        key = self.keys.get(address)
        if key is None:
            raise UnknownKey(address, block, "no member has registered it")
        member = self.members[key.member]
        return KeyStanding(key, member, block, _standing(key, member, block))

    def check_signer(self, address: bytes, member: bytes, purpose: int, block: int) -> None:
        """Raise KeyNotValid unless a signature by `address` counts for `member` and `purpose` if anchored in `block`.

        `purpose` is one or more bits of `ledger_service.keys.PURPOSES`, all of which the key must have. This is the one
        rule for what a signature is worth; the reasons are told apart by the subclasses of KeyNotValid.
        """
        stood = self.key_at(address, block)
        key = stood.key
        if key.member != member:
            raise WrongMember(address, block, f"it speaks for member 0x{key.member.hex()}, not for 0x{member.hex()}")
        if purpose & ~key.purposes or purpose <= 0:
            has, wants = (", ".join(purpose_names(bits)) or "nothing" for bits in (key.purposes, purpose))
            raise WrongPurpose(address, block, f"it is registered for {has}, not for {wants}")
        match stood.standing:
            case Standing.NOT_YET:
                raise NotYetValid(address, block, f"it was registered only in block {key.added_block}")
            case Standing.REVOKED:
                assert key.revoked_block is not None
                raise RevokedKey(address, key.revoked_block, block)
            case Standing.RETIRED:
                raise RetiredKey(address, block, f"its retirement took effect at block {key.retired_block}")
            case Standing.MEMBER_NOT_ACTIVE:
                raise MemberNotActive(address, block, f"its member was {stood.member.state_at(block)}")

    def check_statement(self, address: bytes, issuer: bytes, kind: str, origin: bytes, block: int) -> None:
        """Raise KeyNotValid unless `address` may sign a statement of `kind` for `issuer` that block `block` anchors.

        `origin` is the keccak256 of the origin's text. Reports are of the member whose key may anchor it, the service;
        and the service states nothing else.
        """
        self.check_signer(address, issuer, purpose_of(kind), block)
        operator = self.keys.get(self.operator_at(origin, block) or b"")
        is_service = operator is not None and operator.member == issuer
        if kind in REPORT_KINDS and not is_service:
            raise WrongIssuer(address, block, f"a statement of kind {kind} is the service's own, nobody else issues it")
        if kind not in REPORT_KINDS and is_service:
            raise WrongIssuer(address, block, f"the service issues {', '.join(REPORT_KINDS)} and nothing else")

    def is_relayer(self, address: bytes, block: int) -> bool:
        """Whether `address` was a shared relayer at the end of `block`."""
        return bool(_latest(self.relayers.get(address, ()), block))

    def operator_at(self, origin: bytes, block: int) -> bytes | None:
        """The address that might anchor `origin` (keccak256 of its text) at the end of `block`, if there was one."""
        return _latest(self.operators.get(origin, ()), block)


def fold(changes: Iterable[Change]) -> Membership:
    """The registry that `changes`, all of them from the first one on, make.

    Raises UnfitChange at the first change that cannot stand where it stands: a number left out or repeated, a block or
    time that runs backwards, data that are not the encoding of their kind, a key of nobody. What was altered and still
    fits is caught by `check_head` against an anchored head.
    """
    registry = _Registry()
    for change in changes:
        try:
            registry.apply(change)
        except ValueError as error:
            raise UnfitChange(change.index, str(error)) from error
    return registry.membership()


class _Registry:
    """The registry while it is being folded; it refuses, with ValueError, what MemberRegistry would refuse."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.heads = [EMPTY_HEAD]
        self.members: dict[bytes, Member] = {}
        self.keys: dict[bytes, SigningKey] = {}
        self.taken: set[bytes] = set()
        self.relayers: dict[bytes, tuple[tuple[int, bool], ...]] = {}
        self.operators: dict[bytes, tuple[tuple[int, bytes], ...]] = {}
        self.quorums: list[tuple[int, tuple[int, int]]] = []
        self.approvals: list[tuple[int, bytes]] = []

    def membership(self) -> Membership:
        return Membership(
            tuple(self.changes),
            tuple(self.heads),
            self.members,
            self.keys,
            self.relayers,
            self.operators,
            tuple(self.quorums),
            tuple(self.approvals),
        )

    def apply(self, change: Change) -> None:
        self._check_place(change)
        self._take(decode_change(change.kind, change.data), change.block_number, change.block_time)
        self.changes.append(change)
        self.heads.append(next_head(self.heads[-1], change))

    def _check_place(self, change: Change) -> None:
        expected = len(self.changes) + 1
        if change.index != expected:
            raise ValueError(f"change {expected} comes next: one is missing, repeated or out of order")
        if not 0 <= change.block_number < 1 << 64 or not 0 <= change.block_time < 1 << 64:
            raise ValueError(f"block {change.block_number} at {change.block_time} is outside 64 bits")
        if not self.changes:
            return
        last = self.changes[-1]
        if change.block_number < last.block_number:
            raise ValueError(f"block {change.block_number} comes after block {last.block_number}")
        if change.block_time < last.block_time:
            raise ValueError(f"block time {change.block_time} comes after {last.block_time}")
        if change.block_number == last.block_number and change.block_time != last.block_time:
            raise ValueError(f"block {change.block_number} has two times, {last.block_time} and {change.block_time}")

    def _take(self, fact: Fact, block: int, time: int) -> None:
        match fact:
            case MemberAdmitted(member, root_key, next_root_hash, voting):
                if member in self.members or not any(member):
                    raise ValueError(f"the member id 0x{member.hex()} is taken or zero")
                self._take_address(root_key)
                states = ((block, MemberState.ACTIVE),)
                self.members[member] = Member(member, root_key, next_root_hash, voting, states)
            case MemberSuspended(member):
                self._set_state(member, block, MemberState.SUSPENDED, MemberState.ACTIVE)
            case MemberReinstated(member):
                self._set_state(member, block, MemberState.ACTIVE, MemberState.SUSPENDED)
            case MemberExpelled(member):
                self._set_state(member, block, MemberState.EXPELLED, MemberState.ACTIVE, MemberState.SUSPENDED)
            case KeyAdded(member, address, purposes, custodial):
                self._member(member, MemberState.ACTIVE)
                if not 0 < purposes < 64:
                    raise ValueError(f"the purposes {purposes} are outside 1 to 63")
                self._take_address(address)
                self.keys[address] = SigningKey(address, member, purposes, custodial, block)
            case KeyRetired(member, address, effective_block):
                self._member(member, MemberState.ACTIVE, MemberState.SUSPENDED)
                key = self._key(member, address)
                if key.end_block is not None:
                    raise ValueError(f"the end of key 0x{address.hex()} is block {key.end_block} already")
                if effective_block < block:
                    raise ValueError(f"a retirement at block {effective_block} is told in block {block}")
                self.keys[address] = replace(key, retired_block=effective_block)
            case KeyRevoked(member, address, compromised_since):
                self._revoke(self._key(member, address), compromised_since, block, time)
            case RootRotated(member, root_key, next_root_hash):
                known = self._member(member, MemberState.ACTIVE, MemberState.SUSPENDED)
                self._take_address(root_key)
                self.members[member] = replace(known, root_key=root_key, next_root_hash=next_root_hash)
            case RelayerAdded(relayer):
                self._set_relayer(relayer, block, is_one=True)
            case RelayerRemoved(relayer):
                self._set_relayer(relayer, block, is_one=False)
            case OperatorSet(origin, operator):
                self.operators[origin] = (*self.operators.get(origin, ()), (block, operator))
            case QuorumChanged(numerator, denominator):
                if not denominator < 2 * numerator <= 2 * denominator:
                    raise ValueError(f"a quorum of {numerator}/{denominator} is not more than half and at most all")
                self.quorums.append((block, (numerator, denominator)))
            case Approved(what):
                if any(approved == what for _, approved in self.approvals):
                    raise ValueError(f"0x{what.hex()} was approved before")
                self.approvals.append((block, what))

    def _take_address(self, address: bytes) -> None:
        """An address is given once, to one member, as root or as signing key."""
        if address in self.taken or not any(address):
            raise ValueError(f"the address 0x{address.hex()} is taken or zero")
        self.taken.add(address)

    def _member(self, member: bytes, *states: MemberState) -> Member:
        known = self.members.get(member)
        if known is None:
            raise ValueError(f"member 0x{member.hex()} was never admitted")
        if known.state not in states:
            raise ValueError(f"member 0x{member.hex()} is {known.state}, which does not allow this")
        return known

    def _key(self, member: bytes, address: bytes) -> SigningKey:
        key = self.keys.get(address)
        if key is None or key.member != member:
            raise ValueError(f"member 0x{member.hex()} never registered the key 0x{address.hex()}")
        return key

    def _set_state(self, member: bytes, block: int, state: MemberState, *before: MemberState) -> None:
        known = self._member(member, *before)
        self.members[member] = replace(known, states=(*known.states, (block, state)))

    def _revoke(self, key: SigningKey, compromised_since: int, block: int, time: int) -> None:
        if compromised_since > time:
            raise ValueError(f"a compromise since {compromised_since} is told at {time}")
        # A vote may date a compromise further back; the revocation itself stays in the block where it was made.
        if key.compromised_since is not None and compromised_since >= key.compromised_since:
            raise ValueError(f"key 0x{key.address.hex()} was revoked before, in block {key.revoked_block}")
        revoked = block if key.revoked_block is None else key.revoked_block
        self.keys[key.address] = replace(key, revoked_block=revoked, compromised_since=compromised_since)

    def _set_relayer(self, relayer: bytes, block: int, *, is_one: bool) -> None:
        history = self.relayers.get(relayer, ())
        if is_one == bool(history and history[-1][1]) or not any(relayer):
            raise ValueError(f"0x{relayer.hex()} is zero, or a relayer or none already")
        self.relayers[relayer] = (*history, (block, is_one))


def _standing(key: SigningKey, member: Member, block: int) -> Standing:
    if block < key.added_block:
        return Standing.NOT_YET
    if key.end_block is not None and block >= key.end_block:
        return Standing.REVOKED if key.revoked_block == key.end_block else Standing.RETIRED
    if member.state_at(block) is not MemberState.ACTIVE:
        return Standing.MEMBER_NOT_ACTIVE
    return Standing.VALID


def _latest(history: Sequence[tuple[int, Value]], block: int) -> Value | None:
    return next((value for since, value in reversed(history) if since <= block), None)


def _word(value: bytes | int, type_: str) -> bytes:
    """`value` as the 32-byte ABI word of `type_`: numbers and addresses stand at the right end."""
    width = _WIDTHS[type_]
    raw = value if isinstance(value, bytes) else int(value).to_bytes(width)
    if len(raw) != width or (type_ == "bool" and raw not in (b"\0", b"\1")):
        raise ValueError(f"{value!r} is not a {type_}")
    return raw.rjust(32, b"\0")


def _value(word: bytes, type_: str) -> bytes | int | bool:
    width = _WIDTHS[type_]
    padding, raw = word[: 32 - width], word[32 - width :]
    if any(padding) or (type_ == "bool" and raw not in (b"\0", b"\1")):
        raise ValueError(f"0x{word.hex()} is not a {type_}")
    if type_ in ("bytes32", "address"):
        return raw
    return raw == b"\1" if type_ == "bool" else int.from_bytes(raw)
