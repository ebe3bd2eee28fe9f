"""Pallets that two members hand to and fro: what they sign of it, and the steps that the chain takes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from benchmarks.house import House
from benchmarks.service import FROM, TO, Company
from ledger_service.bundle import show_all
from ledger_service.bundle_custody import record_bundle
from ledger_service.envelope import Envelope
from ledger_service.evidence import Bundle, CertificateProof
from ledger_service.handoffs import (
    NO_HEAD,
    CustodyDomain,
    CustodySeed,
    HandOff,
    Offer,
    Opening,
    TakenStep,
    commitment,
    common_deadline,
    next_head,
)
from ledger_service.keys import LocalKey, to_hex
from ledger_service.ledger import Call, Record, examine

PART = "https://id.gs1.org/01/09521004100011"
DAY_MS = 86_400_000


@dataclass
class Shuttle:
    """Pallets between FROM and TO, each handoff with an offer and a receipt of its own."""

    house: House
    pallets: int
    keys: list[LocalKey] = field(default_factory=list)
    units: list[bytes] = field(default_factory=list)
    taken: dict[bytes, list[TakenStep]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)
    drawn: int = 0

    @property
    def things(self) -> list[str]:
        return [f"licence-plate:UN049505160P{number:05d}" for number in range(self.pallets)]

    @property
    def domain(self) -> CustodyDomain:
        return self.house.network.trust().custody_domain

    def draw(self) -> LocalKey:
        """The next one-time key; whose it is makes no difference here."""
        self.drawn += 1
        return CustodySeed(sha256(b"benchmark custody").digest()).key(self.domain, self.drawn)

    def say(self, issuer: Company, kind: str, content: dict[str, Any]) -> bytes:
        """The id of the statement, which the other member may see."""
        other = TO if issuer is FROM else FROM
        stream = sha256(issuer.id + b"handoffs").digest()
        self.numbers[stream] = self.numbers.get(stream, 0) + 1
        envelope = Envelope.seal(
            {"to": [to_hex(other.id)], **content},
            issuer=issuer.id,
            kind=kind,
            stream=stream,
            sequence=self.numbers[stream],
            issued_at=self.house.now(),
            secret=sha256(stream + self.numbers[stream].to_bytes(8)).digest(),
            signer=issuer.key,
            domain=self.house.ledger.domain,
        )
        call = Call(examine([envelope.data], self.house.ledger.domain, self.house.now()))
        (accepted,) = self.house.ledger.register(call, self.house.now()).accepted
        self.records.append(self.house.ledger.record(accepted.digest))
        return accepted.digest

    def open(self) -> None:
        """Every pallet has a unit on the chain, held by FROM."""
        entries = []
        for thing in self.things:
            custodian, secret = self.draw(), sha256(thing.encode()).digest()
            opening = Opening(custodian.address, commitment(thing, secret), self._deadline())
            arguments = opening.sign(custodian, self.domain)
            self._relay("open", arguments)
            self._keep([opening], arguments[3])
            self.units.append(opening.unit)
            self.keys.append(custodian)
            entries.append(
                {
                    "id": thing,
                    "chain": to_hex(opening.unit),
                    "custodian": to_hex(custodian.address),
                    "secret": to_hex(secret),
                }
            )
        self.say(FROM, "opening", {"openedAt": self._clock(), "units": entries})

    def hand_over(self, giver: Company, taker: Company) -> None:
        """Every pallet changes hands once."""
        steps = []
        for place, thing in enumerate(self.things):
            self.house.forward(60)
            unit = {"id": thing, "chain": to_hex(self.units[place])}
            contents = [{"part": PART, "quantity": "60", "uom": "H87"}]
            number = str(len(self.records))
            offer = self.say(
                giver,
                "despatch",
                {
                    "document": {"type": "delivery-note", "number": number},
                    "taker": to_hex(taker.id),
                    "despatchedAt": self._clock(),
                    "deadline": self._clock(self.house.now() + DAY_MS),
                    "units": [{**unit, "contents": contents}],
                },
            )
            self.house.forward(60)
            acceptance = self.say(
                taker,
                "receipt",
                {
                    "document": {"type": "goods-receipt", "number": number},
                    "despatch": to_hex(offer),
                    "receivedAt": self._clock(),
                    "outcome": "accepted",
                    "basis": "scanned",
                    "units": [thing],
                },
            )
            receiver = self.draw()
            sequence = len(self.taken[self.units[place]])
            words = (self.units[place], sequence, self.keys[place].address, receiver.address, offer, self._deadline())
            made = Offer(*words)
            signature = made.sign(self.keys[place], self.domain)
            steps.append(HandOff.complete(made, signature, acceptance, receiver, self.domain))
            self.keys[place] = receiver
        self.say(taker, "custody-addresses", {"addresses": [to_hex(one.offer.taker) for one in steps]})
        self._relay("handOffMany", [[one.arguments for one in steps], True])
        self._keep(steps)

    def bundle(self) -> Bundle:
        """The record of all pallets, anchored and certified."""
        self.house.forward()
        while self.house.ledger.publish(self.house.now()):
            pass
        chain = self.house.ledger.anchoring.chain
        evidence = chain.anchor_of(self._relay("certify", [self.units]))
        assert evidence is not None
        certificate = CertificateProof(
            tuple(self.units),
            evidence.transaction_hash,
            evidence.header,
            evidence.receipt_index,
            evidence.receipt_proof,
            evidence.attestation,
        )
        return record_bundle(self.house.ledger, self.things, self.records, [certificate], self._steps, show_all)

    def _steps(self, units: Sequence[bytes]) -> dict[bytes, list[TakenStep]]:
        return {unit: self.taken[unit] for unit in units}

    def _relay(self, function: str, arguments: Sequence[Any]) -> bytes:
        return self.house.ledger.anchoring.chain.relay(function, arguments, self.house.network.service.relay)

    def _keep(self, steps: Sequence[Opening | HandOff], signature: bytes = b"") -> None:
        block = self.house.ledger.anchoring.chain.head()
        for step in steps:
            unit = step.offer.unit if isinstance(step, HandOff) else step.unit
            known = self.taken.setdefault(unit, [])
            head = next_head(known[-1].head if known else NO_HEAD, step.struct_hash, block.number, block.timestamp)
            known.append(TakenStep(step, signature, block.number, block.timestamp, head))

    def _deadline(self) -> int:
        return common_deadline(self.house.now() // 1000, 7 * 86_400)

    def _clock(self, time: int | None = None) -> str:
        seconds = (self.house.now() if time is None else time) // 1000
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
