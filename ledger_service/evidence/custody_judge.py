"""The judge of the custody section: the chain's steps one by one, that none is missing, and what the record says. Pure.

What the chain took is proven first: signatures, numbers, and heads that fold to a certificate in a block that somebody
vouches for. Only then is custody folded, from the bundle's own statements and steps and nothing else, as known at the
block of the newest anchor.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from ledger_service import blocks, custody
from ledger_service.custody import Answer, Clock, Fact, Step
from ledger_service.custody.facts import fact_of
from ledger_service.custody.kinds import PARSERS, Despatch
from ledger_service.custody.kinds import Opening as OpeningStatement
from ledger_service.errors import LedgerError, MalformedInput, ProofError
from ledger_service.evidence.bundle_format import Bundle
from ledger_service.evidence.custody_format import CertificateProof, UnitSteps
from ledger_service.evidence.trust import Trust
from ledger_service.evidence.verdict import ChainUnit, CustodyVerdict, Failure, Finding, JudgedStatement
from ledger_service.handoffs import NO_HEAD, Closing, HandOff, Opening, TakenStep, WrongSigner, next_head
from ledger_service.keys import to_hex
from ledger_service.membership import Kind

Vouch = Callable[[blocks.Header, bytes | None], None]
"""Raises unless somebody whom the trust file names vouches for a block; takes its attestation where it has one."""

Standings = dict[bytes, tuple[blocks.Standing, blocks.Header] | None]
"""Where each unit stands, and the block that says so; None where that does not hold."""

_NEVER_OPENED = blocks.Standing(bytes(20), 0, is_closed=False, head=NO_HEAD)


class CustodyJudge:
    """The custody section of one bundle whose statements hold; collects every failure."""

    def __init__(
        self, bundle: Bundle, trust: Trust, newest: blocks.Header, consensus: blocks.Consensus, vouch: Vouch
    ) -> None:
        assert bundle.custody is not None
        self.bundle = bundle
        self.section = bundle.custody
        self.trust = trust
        self.newest = newest
        self.consensus = consensus
        self.vouch = vouch
        self.failures: list[Failure] = []
        self.findings: list[Finding] = []

    def fail(self, record: str, reason: object) -> None:
        self.failures.append(Failure(record, str(reason)))

    def judge_chain(self) -> Standings:
        """Where the chain says that each unit stands, with `failures` for whatever does not hold."""
        self.look_at_streams()
        standings = self.judge_certificates()
        self.judge_units(standings)
        return standings

    def look_at_streams(self) -> None:
        """A record needs its streams from the beginning: what was left out before would be nobody's to miss."""
        first: dict[bytes, int] = {}
        for span in self.bundle.streams:
            first.setdefault(span.stream, span.first)
        for stream, number in first.items():
            if number > 1:
                gap = "number 1" if number == 2 else f"number 1 to {number - 1}"
                self.findings.append(Finding(f"stream {_short(stream)}", f"gap: {gap} is not in this bundle"))

    # -- the chain -----------------------------------------------------------------------------------------------------

    def judge_certificates(self) -> Standings:
        """Where each unit stands, by the certificates."""
        found: Standings = {}
        for number, proof in enumerate(self.section.certificates, 1):
            record = f"certificate {number}"
            for unit in proof.units:
                if unit in found:
                    self.fail(record, f"unit {_short(unit)} has been certified before it")
                found[unit] = None
            if not proof.units:
                self.fail(record, "it is of no unit")
            try:
                header, receipt = self._judge_certificate(proof)
                for unit in proof.units:
                    found[unit] = blocks.certified_standing(receipt, self.trust.custody, unit), header
            except LedgerError as error:
                self.fail(record, error)
        return found

    def _judge_certificate(self, proof: CertificateProof) -> tuple[blocks.Header, blocks.Receipt]:
        header = blocks.Header.parse(proof.header, self.consensus)
        receipt = blocks.verify_receipt(header, proof.receipt_index, proof.receipt_proof)
        self.vouch(header, proof.attestation)
        if header.number < self.newest.number:
            raise ProofError(
                f"it is of block {header.number}, and the newest anchor of block {self.newest.number}: steps that the"
                " chain took in between could be missing"
            )
        return header, receipt

    def judge_units(self, standings: Standings) -> None:
        """All steps of each unit, and that they lead to where the chain says that it stands."""
        seen: set[bytes] = set()
        for one in self.section.units:
            record = f"unit {_short(one.unit)}"
            if one.unit in seen:
                self.fail(record, "it comes twice")
                continue
            seen.add(one.unit)
            reached = self._judge_steps(one)
            if one.unit not in standings:
                self.fail(record, "no certificate says where it stands, so steps could be missing")
                continue
            certified = standings[one.unit]
            if certified is not None and reached is not None and certified[0] != reached:
                self.fail(record, _difference(certified[0], reached))
        for unit in standings:
            if unit not in seen:
                self.fail(f"unit {_short(unit)}", "it is certified, and its steps are not here")

    def _judge_steps(self, of_unit: UnitSteps) -> blocks.Standing | None:
        """Where the steps lead; None where one of them cannot be what it says."""
        before = _NEVER_OPENED
        block, time = 0, 0
        good = True
        for number, taken in enumerate(of_unit.steps):
            record = f"step {number} of unit {_short(of_unit.unit)}"
            if taken.unit != of_unit.unit or taken.sequence != number:
                what = f"step {taken.sequence}" + ("" if taken.unit == of_unit.unit else f" of {_short(taken.unit)}")
                self.fail(record, f"{what} stands in its place: steps are missing, or not in order")
                return None
            reasons = [*self._wrong_in(taken, before)]
            if taken.block < block or taken.time < time:
                reasons.append("the chain took it before the step before it")
            if taken.time > taken.signed.deadline:
                reasons.append(f"the chain took it at {taken.time} and its deadline was {taken.signed.deadline}")
            head = next_head(before.head, taken.struct_hash, taken.block, taken.time)
            if head != taken.head:
                reasons.append(
                    f"the head after it would be {to_hex(head)} and not {to_hex(taken.head)}: its words, its block or"
                    " its block time were changed"
                )
            for reason in reasons:
                self.fail(record, reason)
            good = good and not reasons
            before = _after(taken)
            block, time = taken.block, taken.time
        return before if good else None

    def _wrong_in(self, taken: TakenStep, before: blocks.Standing) -> Iterator[str]:
        """What is wrong with who gave, took and signed a step."""
        step, domain = taken.step, self.trust.custody_domain
        if before.is_closed:
            yield "the step before it closed the unit"
        match step:
            case Opening():
                yield from _unless_signed(domain.verify, step.struct_hash, taken.signature, step.custodian, "custodian")
            case HandOff(offer=offer):
                if offer.giver != before.custodian:
                    yield f"{to_hex(before.custodian)} had the unit, and {to_hex(offer.giver)} hands it on"
                yield from _unless_signed(domain.verify, offer.struct_hash, step.giver_signature, offer.giver, "giver")
                yield from _unless_signed(domain.verify, step.struct_hash, step.taker_signature, offer.taker, "taker")
            case Closing():
                if step.custodian != before.custodian:
                    yield f"{to_hex(before.custodian)} had the unit, and {to_hex(step.custodian)} closes it"
                yield from _unless_signed(domain.verify, step.struct_hash, taken.signature, step.custodian, "custodian")

    # -- the record ----------------------------------------------------------------------------------------------------

    def judge_record(
        self,
        statements: Sequence[JudgedStatement],
        standings: Standings,
    ) -> CustodyVerdict | None:
        """Custody folded from what has been proven, by the policy in force."""
        at = self.newest.timestamp * 1000
        facts = [_fact(one) for one in statements]
        resolution = custody.resolution_in_force(self.bundle.changes, facts, at)
        policy = custody.Policy() if resolution is None else resolution.policy
        self._look_at_approvals(facts, 0 if resolution is None else resolution.block)
        steps = [Step.of(taken) for unit in self.section.units for taken in unit.steps]
        folded = custody.fold(facts, steps, policy, at=at, clock=Clock.ANCHORED)
        trail = folded.trail(self.section.things)
        named = chain_units(facts)
        for unit, thing in named.items():
            if thing in trail.units and unit not in standings:
                self.fail(f"unit {_short(unit)}", f"{thing} is this unit of the chain, and its steps are not here")
        if self.failures:
            return None
        for unit in standings:
            if unit not in named:
                self.findings.append(Finding(f"unit {_short(unit)}", "no statement shown here says what it is"))
        untold = tuple(one for one in self.section.things if one not in folded.units)
        return CustodyVerdict(
            things=self.section.things,
            at=at,
            answer=None if untold and trail.answer is not Answer.BROKEN else trail.answer,
            trail=trail,
            custody=folded,
            policy=None if resolution is None else resolution.statement,
            chain=tuple(_chain_unit(unit, named.get(unit), found) for unit, found in standings.items() if found),
            untold=untold,
            unseen=sum(one.content is None and not one.is_void for one in facts),
            signers={to_hex(one.digest): (one.proven.header.issuer, one.signer) for one in statements},
        )

    def _look_at_approvals(self, facts: Iterable[Fact], block: int) -> None:
        """A policy that was voted in force and left out of the bundle would be judged by in silence."""
        shown = {one.id for one in facts if one.kind == "custody-policy" and one.content is not None}
        for change in self.bundle.changes:
            if change.kind == Kind.APPROVED and change.block_number >= block and change.data not in shown:
                self.findings.append(
                    Finding(
                        f"membership change {change.index}",
                        f"the members approved {to_hex(change.data)}, which is not shown here: if it is a policy of"
                        " custody, the record was to be judged by it",
                    )
                )


def _fact(one: JudgedStatement) -> Fact:
    """A proven statement as custody reads it.

    One that is shown in part counts as withheld: what is left out could turn the sense of what is shown.
    """
    proven = one.proven
    return fact_of(
        proven.header,
        one.digest,
        proven.registered_at,
        one.anchored_at,
        proven.content,
        is_void=proven.void is not None,
        is_disputed=one.is_disputed,
    )


def chain_units(facts: Iterable[Fact]) -> dict[bytes, str]:
    """Which thing each unit of the chain is, as openings prove and despatches say; older units that one continues
    included.
    """
    named: dict[bytes, str] = {}
    said: dict[bytes, str] = {}
    for fact in facts:
        if fact.kind not in ("opening", "despatch") or fact.content is None or fact.is_void:
            continue
        try:
            read = PARSERS[fact.kind](fact.content)
        except MalformedInput:
            continue
        if isinstance(read, OpeningStatement):
            for opened in read.units:
                named[opened.chain] = opened.id.key
                if opened.continues is not None:
                    said.setdefault(opened.continues, opened.id.key)
        elif isinstance(read, Despatch):
            for sent in read.units:
                if sent.chain is not None:
                    said.setdefault(sent.chain, sent.id.key)
    return said | named


def _after(taken: TakenStep) -> blocks.Standing:
    """Where the unit stands after a step, by its own words."""
    match taken.step:
        case Opening(custodian=custodian):
            return blocks.Standing(custodian, 0, is_closed=False, head=taken.head)
        case HandOff(offer=offer):
            return blocks.Standing(offer.taker, offer.sequence, is_closed=False, head=taken.head)
        case Closing(custodian=custodian, sequence=sequence):
            return blocks.Standing(custodian, sequence, is_closed=True, head=taken.head)


def _difference(certified: blocks.Standing, reached: blocks.Standing) -> str:
    """In which way the steps do not lead to where the chain says that the unit stands."""
    if reached.head == NO_HEAD:
        return f"the chain certifies {certified.sequence} steps after its opening, and there is none here"
    if certified.head == NO_HEAD:
        return "the chain certifies that it was never opened, and there are steps here"
    if certified.sequence != reached.sequence:
        return f"the chain certifies step {certified.sequence} as its last, the steps here end with {reached.sequence}"
    if certified.is_closed != reached.is_closed:
        return f"the chain certifies that it is {'closed' if certified.is_closed else 'open'}, the steps say otherwise"
    if certified.custodian != reached.custodian:
        return f"the chain certifies {to_hex(certified.custodian)} as its custodian, not {to_hex(reached.custodian)}"
    return f"its steps fold to {to_hex(reached.head)}, and the chain certifies {to_hex(certified.head)}"


def _unless_signed(
    verify: Callable[[bytes, bytes, bytes], None], struct_hash: bytes, signature: bytes, expected: bytes, side: str
) -> Iterator[str]:
    try:
        verify(struct_hash, signature, expected)
    except WrongSigner as error:
        by = "in no accepted form" if error.signer is None else f"by {to_hex(error.signer)}"
        yield f"the {side}'s signature is not by {to_hex(expected)}: it is {by}"


def _chain_unit(unit: bytes, thing: str | None, found: tuple[blocks.Standing, blocks.Header]) -> ChainUnit:
    standing, header = found
    custodian = None if standing == _NEVER_OPENED else standing.custodian
    place = (header.number, header.timestamp)
    return ChainUnit(unit, thing, standing.sequence, custodian, standing.is_closed, place)


def _short(hash_: bytes) -> str:
    return f"{to_hex(hash_)[:10]}…"
