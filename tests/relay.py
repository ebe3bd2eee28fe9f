"""Steps of custody for tests: parties with one-time keys, what they sign, and a relay on a consortium's chain."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from ledger_service.handoffs import (
    Closing,
    CustodyDomain,
    CustodySeed,
    HandOff,
    Offer,
    Opening,
    SignedStep,
    common_deadline,
)
from ledger_service.keys import LocalKey, keccak
from ledger_service.ledger import no_step
from ledger_service.relaying import Relaying
from tests.consortium import Consortium, key

LIFETIME = 30 * 24 * 60 * 60


def relaying(
    consortium: Consortium,
    *,
    interval: int = 1,
    spread: int = 1,
    seed: int = 1,
    steps: Callable[[str], None] = no_step,
    max_waiting: int = 200_000,
    max_of_one: int = 20_000,
) -> Relaying:
    """A relay over the consortium's store and chain that sends at once, unless told otherwise."""
    ledger = consortium.ledger
    return Relaying(
        ledger.store,
        ledger.anchoring.chain,
        key("custody relay"),
        interval=interval,
        spread=spread,
        random=Random(seed),
        steps=steps,
        max_waiting=max_waiting,
        max_of_one=max_of_one,
    )


@dataclass
class Parties:
    """Members with custody seeds, and the steps that they sign for one deployment."""

    domain: CustodyDomain
    now: int
    """Seconds UTC: when they sign."""
    _counter: int = 0
    holders: dict[bytes, LocalKey] = field(default_factory=dict)
    """Who holds each unit after the last step that was made here, in whatever order it reaches the chain."""
    sequences: dict[bytes, int] = field(default_factory=dict)
    made: dict[tuple[bytes, int, bytes], LocalKey] = field(default_factory=dict)
    """The key of each taker, by unit, number of the step and address."""

    @property
    def deadline(self) -> int:
        return common_deadline(self.now, LIFETIME)

    def key(self, member: str) -> LocalKey:
        """A one-time key of `member` that was never used before."""
        self._counter += 1
        return CustodySeed(keccak(member.encode())).key(self.domain, self._counter)

    def open(self, member: str = "foundry") -> SignedStep:
        """A new unit of `member`."""
        holder = self.key(member)
        opening = Opening(holder.address, keccak(holder.address), self.deadline)
        self.holders[opening.unit], self.sequences[opening.unit] = holder, 0
        return SignedStep(opening, opening.sign(holder, self.domain)[-1])

    def hand(
        self,
        unit: bytes,
        member: str = "gearbox",
        *,
        giver: LocalKey | None = None,
        sequence: int | None = None,
        deadline: int | None = None,
        what: str = "",
    ) -> SignedStep:
        """The next handoff of `unit`, to `member`; another giver, number or deadline makes one that may be refused."""
        given, taker = giver or self.holders[unit], self.key(member)
        number = self.sequences[unit] + 1 if sequence is None else sequence
        self.made[unit, number, taker.address] = taker
        offer = Offer(
            unit, number, given.address, taker.address, keccak(f"offer {what}".encode()), deadline or self.deadline
        )
        made = HandOff.complete(
            offer, offer.sign(given, self.domain), keccak(f"acceptance {what}".encode()), taker, self.domain
        )
        if giver is None and sequence is None:
            self.holders[unit], self.sequences[unit] = taker, number
        return SignedStep(made)

    def close(self, unit: bytes) -> SignedStep:
        """The last step of `unit`, by who holds it."""
        holder = self.holders[unit]
        closing = Closing(unit, self.sequences[unit] + 1, holder.address, keccak(b"consumed"), self.deadline)
        self.sequences[unit] += 1
        return SignedStep(closing, closing.sign(holder, self.domain)[-1])
