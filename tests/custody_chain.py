"""Records of custody on the consortium's own chain: what members with custody seeds say, and the steps it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger_service import handoffs
from ledger_service.bundle import Showing, show_all
from ledger_service.bundle_custody import record_bundle
from ledger_service.custody import Fact, Finding
from ledger_service.custody.facts import fact_of
from ledger_service.evidence import Bundle, CertificateProof
from ledger_service.handoffs import NO_HEAD, Closing, CustodyDomain, CustodySeed, HandOff, Opening, TakenStep, next_head
from ledger_service.keys import LocalKey, to_hex
from ledger_service.ledger import Record
from ledger_service.membership import Approved
from tests.consortium import Clock, Consortium, key, member_id, stream_id, witness
from tests.custody import SHAFT, clock_text, unit_secret

WEEK = 7 * 24 * 3600


@dataclass
class Custodian:
    """A member's custody seed, and how many of its one-time addresses are used."""

    seed: CustodySeed
    domain: CustodyDomain
    used: int = 0

    def draw(self) -> LocalKey:
        self.used += 1
        return self.seed.key(self.domain, self.used - 1)


@dataclass
class House:
    """A consortium at work. Times are ms UTC; what is said is registered ten minutes after it happened."""

    folder: Path
    start: int
    founders: tuple[str, ...]
    audience: tuple[str, ...] = ()
    consortium: Consortium = field(init=False)
    domain: CustodyDomain = field(init=False)
    units: dict[str, bytes] = field(default_factory=dict)
    keys: dict[bytes, LocalKey] = field(default_factory=dict)
    taken: dict[bytes, list[TakenStep]] = field(default_factory=dict)
    custodians: dict[str, Custodian] = field(default_factory=dict)
    records: dict[bytes, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.consortium = Consortium(self.folder, Clock(self.start), founders=self.founders)
        identity = self.consortium.ledger.anchoring.identity
        self.domain = CustodyDomain(identity.chain_id, identity.custody)
        for name in self.founders:
            self.custodians[name] = Custodian(CustodySeed(sha256(f"seed {name}".encode()).digest()), self.domain)

    def close(self) -> None:
        self.consortium.close()

    def until(self, time: int) -> None:
        """Let time pass, never back."""
        self.consortium.clock.now = max(self.consortium.clock.now, time)

    # -- statements ----------------------------------------------------------------------------------------------------

    def say(self, issuer: str, kind: str, content: Mapping[str, Any], time: int, *, late_minutes: int = 10) -> bytes:
        """The id of the statement, which is for all the others, or for `audience`."""
        self.until(time + late_minutes * 60_000)
        to = tuple(sorted(set(self.audience or self.founders) - {issuer}))
        stream = f"stream of {issuer}" + (f" for {' '.join(to)}" if self.audience else "")
        envelope = self.consortium.envelope(issuer, to, content=dict(content), kind=kind, stream=stream)
        (accepted,) = self.consortium.register(envelope).accepted
        self.records[accepted.digest] = self.consortium.ledger.record(accepted.digest)
        return accepted.digest

    def event(self, issuer: str, event: Mapping[str, Any], time: int, *, late_minutes: int = 10) -> bytes:
        """An EPCIS event at `time`."""
        body = {"eventTime": clock_text(time), "eventTimeZoneOffset": "+00:00", **event}
        context = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"]
        return self.say(issuer, "epcis-event", {"event": body, "context": context}, time, late_minutes=late_minutes)

    def scan(self, issuer: str, things: Sequence[str], time: int, *, late_minutes: int = 10, **more: Any) -> bytes:
        event = {"type": "ObjectEvent", "action": "OBSERVE", "epcList": list(things), **more}
        return self.event(issuer, event, time, late_minutes=late_minutes)

    def offer(
        self, giver: str, taker: str, things: Sequence[str], time: int, legs: Sequence[tuple[str, str]] = ()
    ) -> bytes:
        contents = [{"part": SHAFT, "quantity": "60", "uom": "H87"}]
        content: dict[str, Any] = {
            "document": {"type": "delivery-note", "number": f"{giver}-{len(self.records)}"},
            "taker": to_hex(member_id(taker)),
            "despatchedAt": clock_text(time),
            "deadline": clock_text(time + 48 * 3_600_000),
            "units": [{"id": one, "chain": to_hex(self.units[one]), "contents": contents} for one in things],
        }
        if legs:
            content["legs"] = [
                {"giver": to_hex(member_id(a)), "taker": to_hex(member_id(b)), "from": "DEDUI", "to": "DEGOE"}
                for a, b in legs
            ]
        return self.say(giver, "despatch", content, time)

    def receipt(
        self, taker: str, offer: bytes, things: Sequence[str], received: int, *, said: int | None = None, **more: Any
    ) -> bytes:
        content = {
            "document": {"type": "goods-receipt", "number": f"{taker}-{len(self.records)}"},
            "despatch": to_hex(offer),
            "receivedAt": clock_text(received),
            "outcome": "accepted-with-discrepancies" if "discrepancies" in more else "accepted",
            "basis": "scanned",
            "units": list(things),
            **more,
        }
        return self.say(taker, "receipt", content, received if said is None else said)

    def explain(self, issuer: str, finding: Finding, text: str, time: int) -> bytes:
        content = finding.explanation(text, [])
        del content["to"]  # which `say` gives
        return self.say(issuer, "explanation", content, time)

    def vote_policy(self, issuer: str, content: Mapping[str, Any], time: int) -> bytes:
        """A policy that the members have voted in force."""
        policy = self.say(issuer, "custody-policy", content, time)
        self.consortium.vote(Approved(policy))
        self.consortium.ledger.anchoring.refresh()
        return policy

    # -- the chain -----------------------------------------------------------------------------------------------------

    def relay(self, function: str, arguments: Sequence[Any]) -> bytes:
        return self.consortium.ledger.anchoring.chain.relay(function, arguments, key("operator"))

    def deadline(self) -> int:
        return handoffs.common_deadline(self.consortium.clock.seconds(), WEEK)

    def keep(self, *steps: Opening | HandOff | Closing, signatures: Sequence[bytes] = ()) -> None:
        """Write down what the newest block took."""
        block = self.consortium.ledger.anchoring.chain.head()
        for place, step in enumerate(steps):
            signature = signatures[place] if signatures else b""
            unit = step.offer.unit if isinstance(step, HandOff) else step.unit
            known = self.taken.setdefault(unit, [])
            head = next_head(known[-1].head if known else NO_HEAD, step.struct_hash, block.number, block.timestamp)
            known.append(TakenStep(step, signature, block.number, block.timestamp, head))

    def open(self, owner: str, things: Sequence[str], time: int) -> bytes:
        """Units of `things` on the chain, and what their owner says of them."""
        self.until(time)
        entries = []
        for thing in things:
            custodian = self.custodians[owner].draw()
            opening = Opening(custodian.address, handoffs.commitment(thing, unit_secret(thing)), self.deadline())
            arguments = opening.sign(custodian, self.domain)
            self.relay("open", arguments)
            self.keep(opening, signatures=[arguments[3]])
            self.units[thing] = opening.unit
            self.keys[opening.unit] = custodian
            entries.append(
                {
                    "id": thing,
                    "chain": to_hex(opening.unit),
                    "custodian": to_hex(custodian.address),
                    "secret": to_hex(unit_secret(thing)),
                }
            )
        return self.say(owner, "opening", {"openedAt": clock_text(time), "units": entries}, time)

    def handoffs(self, taker: str, offer: bytes, acceptance: bytes, things: Sequence[str]) -> list[HandOff]:
        """The next step of each unit, signed by both sides, its taker's addresses bound by a statement."""
        made = []
        for thing in things:
            unit = self.units[thing]
            giver, receiver = self.keys[unit], self.custodians[taker].draw()
            offered = handoffs.Offer(
                unit, len(self.taken[unit]), giver.address, receiver.address, offer, self.deadline()
            )
            signature = offered.sign(giver, self.domain)
            made.append(HandOff.complete(offered, signature, acceptance, receiver, self.domain))
            self.keys[unit] = receiver
        bound = {"addresses": [to_hex(one.offer.taker) for one in made]}
        self.say(taker, "custody-addresses", bound, self.consortium.clock.now, late_minutes=0)
        return made

    def take(self, steps: Sequence[HandOff]) -> None:
        """The chain takes these steps in one block."""
        self.relay("handOffMany", [[one.arguments for one in steps], True])
        self.keep(*steps)

    def hand_over(
        self, giver: str, taker: str, things: Sequence[str], despatched: int, received: int
    ) -> tuple[bytes, bytes]:
        offer = self.offer(giver, taker, things, despatched)
        acceptance = self.receipt(taker, offer, things, received)
        self.take(self.handoffs(taker, offer, acceptance, things))
        return offer, acceptance

    def end(self, owner: str, thing: str, reason: bytes) -> None:
        """The unit of `thing` is closed."""
        unit = self.units[thing]
        closing = Closing(unit, len(self.taken[unit]), self.keys[unit].address, reason, self.deadline())
        arguments = closing.sign(self.keys[unit], self.domain)
        self.relay("close", arguments)
        self.keep(closing, signatures=[arguments[4]])

    def certify(self, *units: bytes) -> CertificateProof:
        """Where the units stand now, as the newest block says."""
        evidence = self.consortium.ledger.anchoring.chain.anchor_of(self.relay("certify", [list(units)]))
        assert evidence is not None
        return CertificateProof(
            tuple(units),
            evidence.transaction_hash,
            evidence.header,
            evidence.receipt_index,
            evidence.receipt_proof,
            evidence.attestation,
        )

    # -- evidence ------------------------------------------------------------------------------------------------------

    def publish(self, *witnesses: str) -> None:
        """Anchor all that is registered; the witnesses cosign."""
        self.consortium.clock.forward(2)
        self.consortium.publish()
        ledger = self.consortium.ledger
        text = ledger.anchoring.note().text
        for name in witnesses:
            cosigner = witness(name)
            line = cosigner.sign(text, self.consortium.clock.seconds()).line
            ledger.cosign(ledger.anchoring.checkpoint_size, line, [cosigner.verifier], self.consortium.clock.now)

    def steps(self, units: Sequence[bytes]) -> dict[bytes, list[TakenStep]]:
        return {unit: self.taken.get(unit, []) for unit in units}

    def bundle(
        self,
        things: Sequence[str],
        showing: Showing = show_all,
        *,
        certificates: Sequence[CertificateProof] | None = None,
        pin_block: int | None = None,
    ) -> Bundle:
        """The record of `things` out of all that was said here."""
        if certificates is None:
            certificates = [self.certify(*sorted(self.units[one] for one in things))]
        return record_bundle(
            self.consortium.ledger,
            things,
            self.records.values(),
            certificates,
            self.steps,
            showing,
            pin_block=pin_block,
        )

    def facts(self) -> list[Fact]:
        """What the ledger holds, as custody reads it."""
        found = []
        for record in self.records.values():
            envelope, _ = self.consortium.ledger.envelope(record)
            found.append(fact_of(record.header, record.digest, record.registered_at, None, envelope.content))
        return found

    def stream(self, issuer: str, *to: str) -> bytes:
        return stream_id(f"stream of {issuer}" + (f" for {' '.join(sorted(to))}" if to else ""))
