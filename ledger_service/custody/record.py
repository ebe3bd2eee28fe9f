"""What custody is folded from: statements with their three clocks, and the steps that the chain took. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from ledger_service.errors import LedgerError
from ledger_service.handoffs import Closing, HandOff, Opening, TakenStep
from ledger_service.keys import to_hex


class Clock(StrEnum):
    """By which clock something counts as known: when we registered it, or when the chain took its anchor."""

    REGISTERED = "registered"
    ANCHORED = "anchored"


@dataclass(frozen=True, slots=True)
class Fact:
    """A statement, with when it was issued, registered and anchored (ms UTC; None: not yet).

    Without `content` only its header is known: it was withheld or erased. `void` statements keep their number and
    count for nothing. `is_disputed`: its key is reported compromised since before it was anchored.
    """

    id: bytes
    issuer: bytes
    kind: str
    stream: bytes
    sequence: int
    issued_at: int
    registered_at: int
    anchored_at: int | None
    content: Mapping[str, Any] | None
    is_void: bool = False
    is_disputed: bool = False

    @property
    def record(self) -> str:
        """How findings name it."""
        return to_hex(self.id)

    @property
    def rank(self) -> tuple[int, bytes]:
        """What came first comes first."""
        return (self.registered_at, self.id)

    def known_at(self, clock: Clock) -> int | None:
        return self.registered_at if clock is Clock.REGISTERED else self.anchored_at


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a unit that `CustodyLedger` took, in a block of `time` (ms UTC).

    Step 0 opens the unit for `taker` and has no giver. A closing has no taker. `giver` and `taker` are one-time
    addresses; `offer` and `acceptance` are ids of statements, and so is `reason`, the one that says why it was closed.
    """

    unit: bytes
    sequence: int
    giver: bytes | None
    taker: bytes | None
    offer: bytes | None
    acceptance: bytes | None
    reason: bytes | None
    block: int
    time: int

    @classmethod
    def of(cls, taken: TakenStep) -> Self:
        """What custody makes of a step as the chain took it; its signatures have been checked where it was proven."""
        step, block, time = taken.step, taken.block, taken.time * 1000
        match step:
            case Opening():
                return cls(step.unit, 0, None, step.custodian, None, None, None, block, time)
            case HandOff(offer, acceptance):
                parties = (offer.giver, offer.taker)
                return cls(offer.unit, offer.sequence, *parties, offer.statement, acceptance, None, block, time)
            case Closing():
                return cls(step.unit, step.sequence, step.custodian, None, None, None, step.statement, block, time)

    @property
    def record(self) -> str:
        """How findings name it."""
        return f"{to_hex(self.unit)}#{self.sequence}"


class ConflictingSteps(LedgerError):
    """Two different steps with one number of one unit, which no chain can have taken: one of them was not proven."""

    def __init__(self, first: Step, second: Step) -> None:
        super().__init__(f"step {first.record} comes in two versions, of block {first.block} and of {second.block}")
        self.steps = (first, second)
