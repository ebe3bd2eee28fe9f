"""Handing a unit on: one-time addresses, and what giver and taker sign for `CustodyLedger`. Pure.

The giver signs an offer completely when it ships; the taker alone completes it, and only then does the chain hear of
it. Custodians are addresses that were never used before and that nobody can link to a member or to each other without
being told: each member derives its own from a 32-byte custody seed, kept in its gateway apart from its signing keys.
Lost seed, lost custody: no vote and no operator can bring it back. `docs/formats.md`, section 8, has all of this byte
for byte.
"""

import hmac
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import GROUP_ORDER, BadSignature, LocalKey, Signer, keccak, recover
from ledger_service.statements import Domain

OPEN_TYPE = "Open(address custodian,bytes32 commitment,uint64 deadline)"
GIVE_TYPE = "Give(bytes32 unit,uint64 sequence,address from,address to,bytes32 offerDigest,uint64 deadline)"
TAKE_TYPE = (
    "Take(bytes32 unit,uint64 sequence,address from,address to,bytes32 offerDigest,bytes32 acceptanceDigest,"
    "uint64 deadline)"
)
CLOSE_TYPE = "Close(bytes32 unit,uint64 sequence,address custodian,bytes32 reasonDigest,uint64 deadline)"

SEED_BYTES = 32
SECRET_BYTES = 32
DEADLINE_STEP = 7 * 24 * 60 * 60
NO_HEAD = bytes(32)
"""What the running head of a unit starts from, before its opening."""

_SEED_SALT = b"tallystick custody v1"
_OPEN, _GIVE, _TAKE, _CLOSE = (keccak(text.encode()) for text in (OPEN_TYPE, GIVE_TYPE, TAKE_TYPE, CLOSE_TYPE))


class WrongSigner(LedgerError):
    """A signature by `signer` (None: by nobody, it is in no accepted form) stands where `expected` had to sign."""

    def __init__(self, expected: bytes, signer: bytes | None) -> None:
        found = f"0x{signer.hex()} did" if signer else "the signature is in no accepted form"
        super().__init__(f"0x{expected.hex()} had to sign, and {found}")
        self.expected = expected
        self.signer = signer


@dataclass(frozen=True)
class CustodyDomain:
    """The one deployment of `CustodyLedger` that a handoff is signed for; no other one takes it."""

    chain_id: int
    contract: bytes

    @cached_property
    def separator(self) -> bytes:
        """The EIP-712 domain separator."""
        return Domain(self.chain_id, self.contract).separator

    def digest(self, struct_hash: bytes) -> bytes:
        """What is signed."""
        return keccak(b"\x19\x01" + self.separator + struct_hash)

    def sign(self, struct_hash: bytes, key: Signer, expected: bytes) -> bytes:
        """The signature of `expected`; raises WrongSigner if `key` belongs to another address."""
        if key.address != expected:
            raise WrongSigner(expected, key.address)
        return key.sign(self.digest(struct_hash))

    def verify(self, struct_hash: bytes, signature: bytes, expected: bytes) -> None:
        """Raise WrongSigner unless `signature` is by `expected`, in the one accepted form."""
        try:
            signer = recover(self.digest(struct_hash), signature)
        except BadSignature as error:
            raise WrongSigner(expected, None) from error
        if signer != expected:
            raise WrongSigner(expected, signer)


@dataclass(frozen=True, slots=True)
class CustodySeed:
    """The secret that all one-time addresses of a member come from."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SEED_BYTES:
            raise MalformedInput(f"a custody seed has {SEED_BYTES} bytes, this one has {len(self.secret)}")

    def key(self, domain: CustodyDomain, counter: int) -> LocalKey:
        """One-time key number `counter`, below 2^64, for one deployment; the same ones always give the same key.

        Its scalar is the first that `first_scalar` finds among HKDF-SHA-256(seed, info = chain id ‖ contract ‖ counter
        ‖ attempt) for attempt 0, 1, … 255.
        """
        if not 0 <= counter < 1 << 64:
            raise MalformedInput(f"{counter} is no number between 0 and 2^64 - 1")
        info = domain.chain_id.to_bytes(32) + domain.contract + counter.to_bytes(8)
        attempts = (
            HKDF(SHA256(), length=32, salt=_SEED_SALT, info=info + bytes([attempt])).derive(self.secret)
            for attempt in range(256)
        )
        return LocalKey.from_bytes(first_scalar(attempts))


def first_scalar(candidates: Iterable[bytes]) -> bytes:
    """The first of the 32-byte strings that is a secret key: between 1 and the group order less one.

    Rejection, unlike reduction, makes every key equally likely. It happens once in 2^128 draws.
    """
    return next(each for each in candidates if 0 < int.from_bytes(each) < GROUP_ORDER)


def commitment(thing: str, secret: bytes) -> bytes:
    """What a unit's id says of `thing`, its identifier in the one spelling of `facts`: nothing, without the `secret`.

    The 32-byte secret is random and used once. Who is told both can check them.
    """
    if len(secret) != SECRET_BYTES:
        raise MalformedInput(f"the secret of a commitment has {SECRET_BYTES} bytes, this one has {len(secret)}")
    return hmac.digest(secret, thing.encode(), "sha256")


def unit_id(first_custodian: bytes, commitment: bytes) -> bytes:
    """The id of the unit that `first_custodian` opens with `commitment`."""
    return keccak(_words(first_custodian, commitment))


def common_deadline(offered_at: int, lifetime: int) -> int:
    """The deadline of an offer made at `offered_at` that shall hold for `lifetime` at least, all in seconds UTC.

    Deadlines stand on the chain. They fall on the same second of the week for everybody, so that they say no more of an
    offer's time than its week.
    """
    return -(-(offered_at + lifetime) // DEADLINE_STEP) * DEADLINE_STEP


def next_head(head: bytes, struct_hash: bytes, block_number: int, block_time: int) -> bytes:
    """The running head of a unit after the step that `struct_hash` (of Open, Take or Close) names; time in seconds."""
    return keccak(_words(head, struct_hash, block_number, block_time))


@dataclass(frozen=True, slots=True)
class Opening:
    """Step 0 of a unit. `deadline`, here as in all steps, is the last second at which the chain takes it."""

    custodian: bytes
    commitment: bytes
    deadline: int

    @property
    def unit(self) -> bytes:
        return unit_id(self.custodian, self.commitment)

    @property
    def struct_hash(self) -> bytes:
        return keccak(_OPEN + _words(self.custodian, self.commitment, self.deadline))

    def sign(self, key: Signer, domain: CustodyDomain) -> tuple[Any, ...]:
        """The arguments of `open`, signed; raises WrongSigner if `key` is not the custodian's."""
        signature = domain.sign(self.struct_hash, key, self.custodian)
        return (self.custodian, self.commitment, self.deadline, signature)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the giver signs when it ships: step `sequence` of `unit` goes to `taker`, as the statement `statement` says.

    `giver` and `taker` are one-time addresses, the latter out of those that the taker has deposited with the giver.
    The giver withdraws an offer by handing the unit on, to an address of its own if to nobody else.
    """

    unit: bytes
    sequence: int
    giver: bytes
    taker: bytes
    statement: bytes
    deadline: int

    @property
    def struct_hash(self) -> bytes:
        words = _words(self.unit, self.sequence, self.giver, self.taker, self.statement, self.deadline)
        return keccak(_GIVE + words)

    def sign(self, key: Signer, domain: CustodyDomain) -> bytes:
        """The giver's signature; raises WrongSigner if `key` is not the giver's."""
        return domain.sign(self.struct_hash, key, self.giver)


@dataclass(frozen=True, slots=True)
class HandOff:
    """An offer that its taker completed; `acceptance` is the id of the statement by which it did."""

    offer: Offer
    acceptance: bytes
    giver_signature: bytes
    taker_signature: bytes

    @classmethod
    def complete(
        cls, offer: Offer, giver_signature: bytes, acceptance: bytes, key: Signer, domain: CustodyDomain
    ) -> Self:
        """The handoff, signed by the taker; WrongSigner if the giver did not sign or `key` is not the taker's."""
        domain.verify(offer.struct_hash, giver_signature, offer.giver)
        taker_signature = domain.sign(_take(offer, acceptance), key, offer.taker)
        return cls(offer, acceptance, giver_signature, taker_signature)

    @property
    def struct_hash(self) -> bytes:
        """Of what the taker signs, which is all there is to a handoff."""
        return _take(self.offer, self.acceptance)

    def verify(self, domain: CustodyDomain) -> None:
        """Raise WrongSigner unless both sides signed."""
        domain.verify(self.offer.struct_hash, self.giver_signature, self.offer.giver)
        domain.verify(self.struct_hash, self.taker_signature, self.offer.taker)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """This handoff as `handOff` and `handOffMany` take it."""
        offer = self.offer
        return (
            offer.unit,
            offer.sequence,
            offer.giver,
            offer.taker,
            offer.statement,
            self.acceptance,
            offer.deadline,
            self.giver_signature,
            self.taker_signature,
        )


@dataclass(frozen=True, slots=True)
class Closing:
    """The last step of a unit; `statement` is the id of the one that says why."""

    unit: bytes
    sequence: int
    custodian: bytes
    statement: bytes
    deadline: int

    @property
    def struct_hash(self) -> bytes:
        return keccak(_CLOSE + _words(self.unit, self.sequence, self.custodian, self.statement, self.deadline))

    def sign(self, key: Signer, domain: CustodyDomain) -> tuple[Any, ...]:
        """The arguments of `close`, signed; raises WrongSigner if `key` is not the custodian's."""
        signature = domain.sign(self.struct_hash, key, self.custodian)
        return (self.unit, self.sequence, self.statement, self.deadline, signature)


def mix(handoffs: Sequence[HandOff], random: Random) -> list[HandOff]:
    """The same handoffs in random order, but for steps of one unit, which keep theirs.

    A place in a batch then says nothing of when, or from whom, the relayer got a handoff. `random` has to be a
    SystemRandom wherever that matters.
    """
    mixed = list(handoffs)
    random.shuffle(mixed)
    places: dict[bytes, list[int]] = defaultdict(list)
    for place, handoff in enumerate(mixed):
        places[handoff.offer.unit].append(place)
    for of_unit in places.values():
        steps = sorted((mixed[place] for place in of_unit), key=_sequence)
        for place, step in zip(of_unit, steps, strict=True):
            mixed[place] = step
    return mixed


def release_time(completed_at: int, interval: int, spread: int, random: Random) -> int:
    """The cut at which the relayer sends a handoff that both sides had signed at `completed_at`; all in seconds.

    Cuts are the multiples of `interval`, the same for everybody; this one is drawn evenly from those of the next
    `spread` seconds, a multiple of `interval`. A draw over a day makes all hours alike, whatever a member's hours are,
    and a draw over a week all weekdays. What it costs is that wait: the statements are in the log at once, custody
    moves at the cut. A step waits for the one before it on the same unit, so its time is the later of the two draws.
    """
    return (completed_at // interval + 1 + random.randrange(spread // interval)) * interval


def _sequence(handoff: HandOff) -> int:
    return handoff.offer.sequence


def _take(offer: Offer, acceptance: bytes) -> bytes:
    words = _words(offer.unit, offer.sequence, offer.giver, offer.taker, offer.statement, acceptance, offer.deadline)
    return keccak(_TAKE + words)


def _words(*values: bytes | int) -> bytes:
    """Values as abi.encode writes them: 32 bytes, an address of 20, or a number below 2^64."""
    return b"".join(map(_word, values))


def _word(value: bytes | int) -> bytes:
    if isinstance(value, int):
        if not 0 <= value < 1 << 64:
            raise MalformedInput(f"{value} is no number between 0 and 2^64 - 1")
        return value.to_bytes(32)
    if len(value) not in (20, 32):
        raise MalformedInput(f"expected an address of 20 bytes or 32 bytes, got {len(value)}")
    return value.rjust(32, b"\x00")
