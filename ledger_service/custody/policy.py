"""The consortium's signed policy: which legs must be signed, what is late, how much a finding weighs. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, Self

from ledger_service.custody.kinds import Choice, Reader
from ledger_service.custody.record import Fact
from ledger_service.errors import MalformedInput
from ledger_service.keys import to_hex
from ledger_service.membership import Change, Kind

MINUTE_MS = 60_000


class Problem(Choice):
    """What can be wrong with a record of custody."""

    GAP = "gap"
    FORK = "fork"
    DOUBLE_POSSESSION = "double-possession"
    TIME_REVERSAL = "time-reversal"
    QUANTITY_NOT_CONSERVED = "quantity-not-conserved"
    UNSIGNED_LEG = "unsigned-leg"
    ONE_SIDED_HANDOFF = "one-sided-handoff"
    KEY_COMPROMISED = "key-compromised"
    EVENT_AFTER_CLOSE = "event-after-close"
    REOPENED_AFTER_KEY_LOSS = "reopened-after-key-loss"
    CONFLICTING_EVENT = "conflicting-event"
    STREAM_HOLE = "stream-hole"
    STREAM_FORK = "stream-fork"
    LATE_REGISTRATION = "late-registration"
    PACKED_TWICE = "packed-twice"
    PACKING_CYCLE = "packing-cycle"


class Weight(Choice):
    """What a finding does to the record that it is about."""

    BREAKS = "breaks-the-record"
    NEEDS_EXPLAINING = "needs-explaining"
    INFORMATION = "for-information"


class Answer(StrEnum):
    """Whether a record of custody is whole."""

    WHOLE = "whole"
    WITH_RESERVATIONS = "whole with reservations"
    BROKEN = "broken"


_WEIGHTS: dict[Problem, Weight] = {
    Problem.GAP: Weight.BREAKS,
    Problem.FORK: Weight.BREAKS,
    Problem.UNSIGNED_LEG: Weight.BREAKS,
    Problem.EVENT_AFTER_CLOSE: Weight.BREAKS,
    Problem.STREAM_FORK: Weight.BREAKS,
    Problem.PACKING_CYCLE: Weight.BREAKS,
    Problem.LATE_REGISTRATION: Weight.INFORMATION,
}
"""All others need explaining, unless the consortium says otherwise."""


@dataclass(frozen=True, slots=True)
class UnsignedAllowed:
    """Legs that may go unsigned: from `giver`, to `taker`; None stands for anybody."""

    giver: bytes | None
    taker: bytes | None


@dataclass(frozen=True, slots=True)
class Policy:
    """By what a record is judged; times are in ms.

    `register_within` of the stated time a fact is due here. An offer whose deadline is `deem_after` ago counts as
    accepted; None: silence is never acceptance. `quantity_tolerance` is a share for each unit of measure.
    """

    register_within: int = 24 * 60 * MINUTE_MS
    clock_tolerance: int = 5 * MINUTE_MS
    stream_gap_after: int = 24 * 60 * MINUTE_MS
    answer_within: int = 7 * 24 * 60 * MINUTE_MS
    deem_after: int | None = None
    unsigned_allowed: tuple[UnsignedAllowed, ...] = ()
    quantity_tolerance: Mapping[str, Fraction] = field(default_factory=dict)
    weights: Mapping[Problem, Weight] = field(default_factory=dict)

    @classmethod
    def parse(cls, content: Any, where: str = "/content", *, latest: int | None = None) -> Self:
        """The policy in the content of a statement of kind `custody-policy`; raises MalformedInput with the place."""
        _ = latest
        reader = Reader(
            content,
            where,
            "to registerWithinMinutes clockToleranceMinutes streamGapAfterMinutes answerWithinMinutes unsignedAllowed "
            "quantityTolerance weights",
            "deemAcceptedAfterMinutes replaces",
        )
        allowed = []
        for at, item in reader.items("unsignedAllowed"):
            one = Reader(item, at, "", "giver taker")
            giver, taker = one.hash_or_none("giver"), one.hash_or_none("taker")
            if giver is None and taker is None:
                raise MalformedInput("name the giver or the taker: not every leg may go unsigned", at)
            allowed.append(UnsignedAllowed(giver, taker))
        tolerances = {}
        for at, item in reader.items("quantityTolerance"):
            one = Reader(item, at, "uom share")
            share = one.decimal("share")
            if share >= 1:
                raise MalformedInput("a tolerance is a share below 1", one.at("share"))
            tolerances[one.measure()] = share
        weights = {}
        for at, item in reader.items("weights"):
            one = Reader(item, at, "finding weight")
            problem: Problem = one.choice("finding", Problem)
            if problem in weights:
                raise MalformedInput(f"{problem} comes twice", at)
            weights[problem] = one.choice("weight", Weight)
        deem = reader.number("deemAcceptedAfterMinutes") if reader.has("deemAcceptedAfterMinutes") else None
        return cls(
            register_within=reader.number("registerWithinMinutes") * MINUTE_MS,
            clock_tolerance=reader.number("clockToleranceMinutes") * MINUTE_MS,
            stream_gap_after=reader.number("streamGapAfterMinutes") * MINUTE_MS,
            answer_within=reader.number("answerWithinMinutes") * MINUTE_MS,
            deem_after=None if deem is None else deem * MINUTE_MS,
            unsigned_allowed=tuple(allowed),
            quantity_tolerance=tolerances,
            weights=weights,
        )

    def content(self, to: Sequence[str]) -> dict[str, Any]:
        """The content of the statement of kind `custody-policy` that says this to the members `to` (their ids)."""
        said = {
            "answerWithinMinutes": self.answer_within // MINUTE_MS,
            "clockToleranceMinutes": self.clock_tolerance // MINUTE_MS,
            "quantityTolerance": [
                {"share": _decimal(share), "uom": uom} for uom, share in sorted(self.quantity_tolerance.items())
            ],
            "registerWithinMinutes": self.register_within // MINUTE_MS,
            "streamGapAfterMinutes": self.stream_gap_after // MINUTE_MS,
            "to": sorted(to),
            "unsignedAllowed": [
                {name: to_hex(one) for name, one in (("giver", leg.giver), ("taker", leg.taker)) if one is not None}
                for leg in self.unsigned_allowed
            ],
            "weights": [
                {"finding": str(problem), "weight": str(weight)} for problem, weight in sorted(self.weights.items())
            ],
        }
        if self.deem_after is not None:
            said["deemAcceptedAfterMinutes"] = self.deem_after // MINUTE_MS
        return said

    def weight(self, problem: Problem) -> Weight:
        return self.weights.get(problem) or _WEIGHTS.get(problem, Weight.NEEDS_EXPLAINING)

    def may_go_unsigned(self, giver: bytes | None, taker: bytes | None) -> bool:
        return any(
            (one.giver is None or one.giver == giver) and (one.taker is None or one.taker == taker)
            for one in self.unsigned_allowed
        )


def _decimal(value: Fraction) -> str:
    """A decimal below 1 as it was read: its denominator has no prime factors but 2 and 5."""
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    return f"0.{int(value * 10**digits):0{digits}d}" if digits else "0"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A custody policy that the members voted in force: its statement, and the block that recorded the vote (s UTC)."""

    statement: bytes
    policy: Policy
    block: int
    time: int


def resolution_in_force(changes: Iterable[Change], policies: Iterable[Fact], at: int) -> Resolution | None:
    """The last policy among `policies` that the members had approved by `at` (ms UTC), or None.

    `changes` are those of the registry from the first one on, `policies` statements of kind `custody-policy`; who said
    one does not matter, and one that is void or cannot be read counts for nothing.
    """
    readable: dict[bytes, Policy] = {}
    for one in policies:
        if one.kind == "custody-policy" and one.content is not None and not one.is_void:
            with suppress(MalformedInput):
                readable[one.id] = Policy.parse(one.content)
    last = None
    for change in changes:
        if change.kind != Kind.APPROVED or change.block_time * 1000 > at:
            continue
        policy = readable.get(change.data)  # of one word: the id of what was approved
        if policy is not None:
            last = Resolution(change.data, policy, change.block_number, change.block_time)
    return last


def policy_in_force(changes: Iterable[Change], policies: Iterable[Fact], at: int) -> Policy:
    """By what a record is judged at `at` (ms UTC): `resolution_in_force`, else the policy with nothing said in it."""
    resolution = resolution_in_force(changes, policies, at)
    return Policy() if resolution is None else resolution.policy
