"""Handoffs a second on the embedded chain, through the relay, beside bare calls of the contract."""

import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from time import perf_counter

from benchmarks.figures import Figure, Goal
from benchmarks.house import House, house
from ledger_service.handoffs import CustodySeed, HandOff, Offer, Opening, SignedStep, common_deadline
from ledger_service.keys import LocalKey
from ledger_service.relaying import HANDOFFS_IN_ONE, Relaying, Waiting

LIFETIME = 30 * 24 * 60 * 60
GAS = 5_000_000


class Units:
    """Units with one-time keys, handed from one to the next."""

    def __init__(self, home: House, relaying: Relaying, count: int) -> None:
        self.home, self.relaying = home, relaying
        self.domain = relaying.domain
        self.seed = CustodySeed(sha256(b"benchmark custody seed").digest())
        self.deadline = common_deadline(home.now() // 1000, LIFETIME)
        self.used = 0
        self.holders: dict[bytes, LocalKey] = {}
        self.sequence = 0
        self.relay([self._open() for _ in range(count)])

    def _key(self) -> LocalKey:
        self.used += 1
        return self.seed.key(self.domain, self.used)

    def _open(self) -> SignedStep:
        key = self._key()
        opening = Opening(key.address, sha256(key.address).digest(), self.deadline)
        self.holders[opening.unit] = key
        return SignedStep(opening, opening.sign(key, self.domain)[-1])

    def handoffs(self) -> list[HandOff]:
        """The next handoff of every unit, signed by both."""
        self.sequence += 1
        made = []
        for unit, giver in self.holders.items():
            taker = self._key()
            words = sha256(unit + bytes([self.sequence])).digest()
            offer = Offer(unit, self.sequence, giver.address, taker.address, words, self.deadline)
            made.append(HandOff.complete(offer, offer.sign(giver, self.domain), words, taker, self.domain))
            self.holders[unit] = taker
        return made

    def relay(self, steps: Sequence[SignedStep]) -> float:
        """Seconds from the first step's arrival until the chain has taken all and the ledger has read them back."""
        start = perf_counter()
        for at in range(0, len(steps), 1000):
            answers = self.relaying.submit(steps[at : at + 1000], self.home.now())
            assert all(isinstance(one, Waiting) for one in answers)
        taken = 0
        while taken < len(steps):
            taken += len(self.relaying.run(self.home.now()))
            self.home.forward()
        return perf_counter() - start

    def call(self, handoffs: Sequence[HandOff]) -> float:
        """Seconds to mine the same in the same blocks with nothing around: signed and encoded before the clock runs."""
        chain, key = self.home.ledger.anchoring.chain, self.home.network.service.relay
        nonce = chain.next_nonce(key.address)
        raws = [
            chain.sign_call(
                "handOffMany",
                [[one.arguments for one in handoffs[at : at + HANDOFFS_IN_ONE]], True],
                nonce + number,
                GAS,
                key,
            ).raw
            for number, at in enumerate(range(0, len(handoffs), HANDOFFS_IN_ONE))
        ]
        start = perf_counter()
        for first in range(0, len(raws), 4):
            assert not any(chain.send_many(raws[first : first + 4]))
            self.home.forward()
        return perf_counter() - start


def run(*, quick: bool) -> Iterator[Figure]:
    """Handoffs of many units, one each, in batches as the relay cuts them."""
    count = 200 if quick else 1_000
    rounds = 1 if quick else 3
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name, house(Path(name) / "network") as home:
        ledger = home.ledger
        relaying = Relaying(
            ledger.store,
            ledger.anchoring.chain,
            home.network.service.custody_relay,
            interval=0,
            spread=0,
            random=Random(1),
        )
        units = Units(home, relaying, count)
        bare, whole = [], []
        for _ in range(rounds):
            bare.append(units.call(units.handoffs()))
            relaying.run(home.now())
            whole.append(units.relay([SignedStep(one) for one in units.handoffs()]))
        yield Figure(
            "handoffs taken by the chain through the relay",
            count / min(whole),
            "per s",
            goals=(Goal(at_least=200),),
            bare=count / min(bare),
            bare_is="the same calls signed beforehand, mined and on disk",
            note="both signatures checked at the door, stored, batched, mined, read back from the chain, heads folded",
        )
        start = perf_counter()
        relaying.certify(list(units.holders)[:200], home.now())
        yield Figure(
            "certificate over 200 units",
            1e3 * (perf_counter() - start),
            "ms",
            note="one transaction, its block, the receipt and the proof of it",
        )
