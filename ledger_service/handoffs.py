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

from ledger_service.errors import LedgerError, MalformedInput, ProofError
from ledger_service.keys import (
    GROUP_ORDER,
    SIGNATURE_BYTES,
    BadSignature,
    LocalKey,
    Signer,
    from_hex,
    keccak,
    recover,
    to_hex,
)
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
class SignedOffer:
    """An offer with its giver's signature: what the taker needs to complete the handoff alone."""

    offer: Offer
    signature: bytes


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


@dataclass(frozen=True, slots=True)
class SignedStep:
    """A step of a unit with all its signatures, as a relayer is given it.

    `signature` is the custodian's under an opening or a closing, and empty under a handoff, which carries its two.
    """

    step: Opening | HandOff | Closing
    signature: bytes = b""

    @property
    def unit(self) -> bytes:
        return self.step.offer.unit if isinstance(self.step, HandOff) else self.step.unit

    @property
    def sequence(self) -> int:
        if isinstance(self.step, HandOff):
            return self.step.offer.sequence
        return self.step.sequence if isinstance(self.step, Closing) else 0

    @property
    def deadline(self) -> int:
        """The last second at which the chain takes it."""
        return self.step.offer.deadline if isinstance(self.step, HandOff) else self.step.deadline

    @property
    def struct_hash(self) -> bytes:
        return self.step.struct_hash

    def verify(self, domain: CustodyDomain) -> None:
        """Raise WrongSigner unless everybody signed who had to."""
        if isinstance(self.step, HandOff):
            self.step.verify(domain)
        else:
            domain.verify(self.step.struct_hash, self.signature, self.step.custodian)

    def as_json(self) -> dict[str, Any]:
        """This step as HTTP and bundles carry it."""
        step = self.step
        if isinstance(step, HandOff):
            return {
                "acceptance": to_hex(step.acceptance),
                "deadline": step.offer.deadline,
                "from": to_hex(step.offer.giver),
                "giverSignature": to_hex(step.giver_signature),
                "offer": to_hex(step.offer.statement),
                "sequence": step.offer.sequence,
                "takerSignature": to_hex(step.taker_signature),
                "to": to_hex(step.offer.taker),
                "type": "handoff",
                "unit": to_hex(step.offer.unit),
            }
        value = {
            "custodian": to_hex(step.custodian),
            "deadline": step.deadline,
            "signature": to_hex(self.signature),
        }
        if isinstance(step, Opening):
            return value | {"commitment": to_hex(step.commitment), "type": "opening"}
        reason = {"reason": to_hex(step.statement), "sequence": step.sequence, "unit": to_hex(step.unit)}
        return value | reason | {"type": "closing"}

    @classmethod
    def read(cls, value: Any, where: str = "") -> Self:
        """The step in a JSON value; raises MalformedInput with the place. Who signed is not looked at."""
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in _STEP_MEMBERS:
            raise MalformedInput("a step is of type opening, handoff or closing", where)
        if value.keys() != _STEP_MEMBERS[kind]:
            names = ", ".join(sorted(_STEP_MEMBERS[kind]))
            raise MalformedInput(f"a step of type {kind} has exactly {names}", where)
        read = _StepReader(value, where)
        deadline = read.number("deadline")
        if kind == "opening":
            opening = Opening(read.octets("custodian", 20), read.octets("commitment", 32), deadline)
            return cls(opening, read.octets("signature", SIGNATURE_BYTES))
        unit, sequence = read.octets("unit", 32), read.number("sequence")
        if not sequence:
            raise MalformedInput(f"a {kind} is step 1 or later of its unit", f"{where}/sequence")
        if kind == "closing":
            custodian, reason = read.octets("custodian", 20), read.octets("reason", 32)
            return cls(Closing(unit, sequence, custodian, reason, deadline), read.octets("signature", SIGNATURE_BYTES))
        giver, taker = read.octets("from", 20), read.octets("to", 20)
        offer = Offer(unit, sequence, giver, taker, read.octets("offer", 32), deadline)
        signatures = (read.octets(f"{side}Signature", SIGNATURE_BYTES) for side in ("giver", "taker"))
        return cls(HandOff(offer, read.octets("acceptance", 32), *signatures))


@dataclass(frozen=True, slots=True)
class TakenStep:
    """A step that the chain has taken: in which block, at which block time (seconds UTC), and the unit's head after it.

    `signature` is as in SignedStep.
    """

    step: Opening | HandOff | Closing
    signature: bytes
    block: int
    time: int
    head: bytes

    @property
    def signed(self) -> SignedStep:
        """The step as its parties signed it."""
        return SignedStep(self.step, self.signature)

    @property
    def unit(self) -> bytes:
        return self.signed.unit

    @property
    def sequence(self) -> int:
        return self.signed.sequence

    @property
    def struct_hash(self) -> bytes:
        return self.step.struct_hash

    def as_json(self) -> dict[str, Any]:
        """This step as HTTP and bundles carry it."""
        return self.signed.as_json() | {"block": self.block, "head": to_hex(self.head), "time": self.time}

    @classmethod
    def read(cls, value: Any, where: str = "") -> Self:
        """The step in a JSON value; raises MalformedInput with the place. Signatures and head are not looked at."""
        if not isinstance(value, dict) or not value.keys() >= _TAKEN_MEMBERS:
            raise MalformedInput("a step that was taken has block, head and time", where)
        signed = SignedStep.read({name: one for name, one in value.items() if name not in _TAKEN_MEMBERS}, where)
        read = _StepReader(value, where)
        return cls(signed.step, signed.signature, read.number("block"), read.number("time"), read.octets("head", 32))


class BrokenSequence(ProofError):
    """Steps of a unit that do not follow from each other; `sequence` is the number of the first that is wrong."""

    def __init__(self, unit: bytes, sequence: int, what: str) -> None:
        super().__init__(f"step {sequence} of unit {to_hex(unit)}: {what}")
        self.unit = unit
        self.sequence = sequence


def verify_sequence(steps: Sequence[TakenStep], before: TakenStep | None = None) -> None:
    """Raise BrokenSequence unless `steps` are those of one unit, none left out, and fold to the head of the last.

    They begin with the opening, or with the step after `before`. That the last head is the chain's has to be shown by
    an event of the contract; then block and time of every step are the chain's as well.
    """
    head = NO_HEAD if before is None else before.head
    due = 0 if before is None else before.sequence + 1
    unit = steps[0].unit if steps and before is None else before.unit if before is not None else b""
    for number, taken in enumerate(steps, due):
        if taken.unit != unit:
            raise BrokenSequence(unit, number, f"it is a step of unit {to_hex(taken.unit)}")
        if taken.sequence != number:
            raise BrokenSequence(unit, number, f"step {taken.sequence} stands in its place")
        head = next_head(head, taken.struct_hash, taken.block, taken.time)
        if head != taken.head:
            raise BrokenSequence(unit, number, f"the head after it is {to_hex(head)}, not {to_hex(taken.head)}")


_TAKEN_MEMBERS = {"block", "head", "time"}
_STEP_MEMBERS = {
    "opening": {"type", "custodian", "commitment", "deadline", "signature"},
    "handoff": {
        "type", "unit", "sequence", "from", "to", "offer", "acceptance", "deadline", "giverSignature", "takerSignature"
    },
    "closing": {"type", "unit", "sequence", "custodian", "reason", "deadline", "signature"},
}  # fmt: skip
_MAX_JSON_INTEGER = (1 << 53) - 1


@dataclass(frozen=True, slots=True)
class _StepReader:
    """The members of a step in JSON."""

    value: dict[str, Any]
    where: str

    def octets(self, name: str, size: int) -> bytes:
        return from_hex(self.value[name], size, f"{self.where}/{name}")

    def number(self, name: str) -> int:
        found = self.value[name]
        if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= _MAX_JSON_INTEGER:
            raise MalformedInput("expected a whole number from 0 to 2^53 - 1", f"{self.where}/{name}")
        return found


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
