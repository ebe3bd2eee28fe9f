"""The one judge of bundles: every record that fails, with the reason, or a verdict. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from ledger_service import blocks, merkle
from ledger_service.checkpoint import Checkpoint, UnverifiedNote
from ledger_service.envelope import ContentMismatch
from ledger_service.errors import LedgerError, MalformedInput, ProofError
from ledger_service.evidence.bundle_format import RECEIPT_FORMAT, AnchorProof, Bundle, ProvenStatement, StreamSpan
from ledger_service.evidence.custody_judge import CustodyJudge
from ledger_service.evidence.trust import Strength, Trust
from ledger_service.evidence.verdict import BundleRefused, CustodyVerdict, Failure, Finding, JudgedStatement, Verdict
from ledger_service.keys import keccak, recover, to_hex
from ledger_service.membership import KeyNotValid, MemberNotActive, Membership, RetiredKey, RevokedKey, fold
from ledger_service.statements import Header, content_root, log_entry, purpose_of

CLOCK_TOLERANCE_SECONDS = 300

_OVERTAKEN: dict[type[KeyNotValid], str] = {
    RevokedKey: "key revoked before anchor",
    RetiredKey: "key retired before anchor",
    MemberNotActive: "member not active at anchor",
}


def verify_bundle(bundle: Bundle, trust: Trust, *, min_witnesses: int = 0) -> Verdict:
    """What `bundle` proves under `trust`; raises BundleRefused with every record that fails and the reason.

    Nothing but the two arguments is consulted, no clock and no network: the verdict is "as known at" the newest anchor.
    """
    case = _Case(bundle, trust)
    head = case.judge_head()
    witnesses = case.judge_witnesses(min_witnesses)
    membership = case.judge_registry(head)
    if head is None or membership is None:
        raise BundleRefused(case.failures)
    anchors = case.judge_anchors(head, membership)
    case.judge_statements(head, membership, anchors)
    case.judge_streams()
    custody = case.judge_custody(anchors)
    if case.failures:
        raise BundleRefused(case.failures)
    newest = anchors[-1]
    return Verdict(
        strength=case.strength(witnesses),
        statements=len(bundle.statements),
        void=sum(one.void is not None for one in bundle.statements),
        anchors=len(anchors),
        members=len(membership.members),
        known_at=(newest.header.number, newest.header.timestamp),
        head=head,
        witnesses=witnesses,
        streams=bundle.streams,
        findings=tuple(case.findings),
        custody=custody,
    )


@dataclass(frozen=True, slots=True)
class _JudgedAnchor:
    event: blocks.AnchoredEvent
    header: blocks.Header


class _Case:
    """One bundle before its judge: collects every failure instead of stopping at the first."""

    def __init__(self, bundle: Bundle, trust: Trust) -> None:
        self.bundle = bundle
        self.trust = trust
        self.failures: list[Failure] = []
        self.findings: list[Finding] = []
        self.origin_id = keccak(trust.origin.encode())
        self.consensus = blocks.Consensus.QBFT if trust.validators else blocks.Consensus.PLAIN
        self.pinned_blocks: set[bytes] = set()
        self.all_pinned = True
        self.stated_keys: Collection[bytes] = ()
        self.held: list[JudgedStatement] = []

    def fail(self, record: str, reason: object) -> None:
        self.failures.append(Failure(record, str(reason)))

    def judge_head(self) -> Checkpoint | None:
        try:
            head = Checkpoint.parse(self.bundle.head.text)
            if head.origin != self.trust.origin:
                self.fail(
                    "head checkpoint", f"it is of the log {head.origin!r}, your trust file is for {self.trust.origin!r}"
                )
                return None
            self.trust.log_key.verify(self.bundle.head)
        except (UnverifiedNote, MalformedInput) as error:
            self.fail("head checkpoint", error)
            return None
        return head

    def judge_witnesses(self, minimum: int) -> tuple[str, ...]:
        names = []
        for key in self.trust.witnesses:
            try:
                key.verify(self.bundle.head)
            except UnverifiedNote as error:
                if any(one.name == key.name and one.key_id == key.key_id for one in self.bundle.head.signatures):
                    self.fail(f"witness {key.name}", error)
            else:
                names.append(key.name)
        if len(names) < minimum:
            self.fail(
                "witnesses",
                f"{len(names)} of the {minimum} cosignatures you ask for are there"
                f" ({len(self.trust.witnesses)} witnesses are in your trust file)",
            )
        return tuple(names)

    def judge_registry(self, head: Checkpoint | None) -> Membership | None:
        try:
            membership = fold(self.bundle.changes)
            if head is not None:
                if head.registry is None:
                    raise ProofError("the head checkpoint does not say which registry it goes with")
                membership.check_head(*head.registry)
                self.stated_keys = membership.at(head.registry[0]).keys.keys()
            return membership
        except LedgerError as error:
            self.fail("membership and key changes", error)
            return None

    def judge_anchors(self, head: Checkpoint, membership: Membership) -> list[_JudgedAnchor]:
        self._judge_pin()
        judged: list[_JudgedAnchor] = []
        for proof in self.bundle.anchors:
            record = f"anchor of {proof.size} statements"
            try:
                one = self._judge_anchor(proof, head, membership)
            except LedgerError as error:
                self.fail(record, error)
                continue
            if judged and (one.event.size <= judged[-1].event.size or one.header.number < judged[-1].header.number):
                self.fail(record, "anchors are not in the order in which the chain took them")
            judged.append(one)
        if not self.bundle.anchors:
            self.fail("anchors", "there is none: nothing here is anchored")
        elif judged and judged[-1].event.size != head.size:
            self.fail("head checkpoint", f"it has {head.size} statements and no anchor of its own")
        elif judged and judged[-1].event.registry_changes != membership.count:
            self.fail(
                "membership and key changes",
                f"{membership.count} are listed, the newest anchor covers {judged[-1].event.registry_changes}",
            )
        return judged

    def _judge_pin(self) -> None:
        if self.trust.pinned is None:
            return
        number, pinned = self.trust.pinned
        try:
            headers = [blocks.Header.parse(raw, self.consensus) for raw in self.bundle.headers]
            if any(one.number == number for one in headers):
                headers = headers[: next(i for i, one in enumerate(headers) if one.number == number) + 1]
                blocks.verify_header_chain(headers, pinned)
                self.pinned_blocks = {one.hash for one in headers}
        except LedgerError as error:
            self.fail(f"pinned block {number}", error)

    def _judge_anchor(self, proof: AnchorProof, head: Checkpoint, membership: Membership) -> _JudgedAnchor:
        header = blocks.Header.parse(proof.header, self.consensus)
        receipt = blocks.verify_receipt(header, proof.receipt_index, proof.receipt_proof)
        event = blocks.anchored_checkpoint(receipt, self.trust.checkpoints, self.origin_id)
        if (event.size, event.root) != (proof.size, proof.root):
            raise ProofError(
                f"the chain took {event.size} statements under {event.root.hex()}, the bundle says otherwise"
            )
        merkle.verify_consistency(event.size, head.size, event.root, head.root, proof.consistency)
        self.vouch(header, proof.attestation)
        membership.check_head(event.registry_changes, event.registry_head)
        return _JudgedAnchor(event, header)

    def vouch(self, header: blocks.Header, attestation: bytes | None) -> None:
        """Raise unless somebody whom the trust file names vouches for this block."""
        if self.trust.validators:
            blocks.verify_seals(header, self.trust.validators)
        elif self.trust.attestor is not None:
            if attestation is None:
                raise ProofError("the block carries no signature of the chain's attestor")
            blocks.verify_attestation(header.hash, self.trust.chain_id, attestation, self.trust.attestor)
        elif not self._is_pinned(header):
            raise ProofError(
                f"nothing vouches for block {header.number}: your trust file names no validators and no attestor, and"
                " pins no block that this one leads to"
            )
        if (
            self.trust.pinned is not None
            and header.number == self.trust.pinned[0]
            and header.hash != self.trust.pinned[1]
        ):
            raise ProofError(f"block {header.number} is not the one your trust file pins")
        self.all_pinned = self.all_pinned and self._is_pinned(header)

    def _is_pinned(self, header: blocks.Header) -> bool:
        """Whether the trust file pins this block, or one that the bundle's headers lead to from it."""
        if self.trust.pinned is None:
            return False
        return header.hash in self.pinned_blocks or header.hash == self.trust.pinned[1]

    def judge_statements(self, head: Checkpoint, membership: Membership, anchors: Sequence[_JudgedAnchor]) -> None:
        if not self.bundle.statements:
            self.fail("statements", "there is none")
        for one in self.bundle.statements:
            record = f"statement {one.header.sequence} of stream {to_hex(one.header.stream)[:10]}…"
            try:
                self._judge_statement(one, record, head, membership, anchors)
            except LedgerError as error:
                self.fail(record, error)

    def _judge_statement(
        self,
        one: ProvenStatement,
        record: str,
        head: Checkpoint,
        membership: Membership,
        anchors: Sequence[_JudgedAnchor],
    ) -> None:
        header = one.header
        if one.content is not None and one.secret is not None:
            computed = content_root(one.content, one.secret, "/content")
            if computed != header.content_root:
                raise ContentMismatch(
                    f"its content was changed: it gives the root {computed.hex()}, signed was "
                    f"{header.content_root.hex()}"
                )
        for shown in one.disclosed:
            shown.verify(header.content_root)
        for before, after in pairwise(one.disclosed):
            # A tree that is what it should be has each pointer once and in order; another was made to say two things.
            if before.path >= after.path or before.index >= after.index or before.fields != after.fields:
                raise ProofError(f"the disclosed fields {before.path} and {after.path} are not of one tree, in order")
        digest = header.digest(self.trust.domain)
        signer = recover(digest, one.signature)
        # Signature and registration time are part of the leaf: neither can be exchanged later.
        entry = log_entry(digest, one.signature, one.registered_at)
        try:
            merkle.verify_inclusion(merkle.leaf_hash(entry), one.index, head.size, one.inclusion, head.root)
        except ProofError as error:
            raise ProofError(
                f"it is not entry {one.index} of the log, or its signature is not the registered one: {error}"
            ) from error
        anchor = next((a for a in anchors if a.event.previous_size <= one.index < a.event.size), None)
        if anchor is None:
            raise ProofError(f"the anchor that first covered entry {one.index} of the log is missing")
        if signer in membership.keys and signer not in self.stated_keys:
            # Registration wants a known key, so one that came after the checkpoint was made signed nothing in it.
            raise ProofError("its key is not in the registry that the head checkpoint states, and witnesses have seen")
        block = anchor.header.number
        void = void_reason(membership, signer, header, block)
        if one.void is None:
            membership.check_statement(signer, header.issuer, header.kind, self.origin_id, block)
        elif one.void != void:
            raise ProofError(
                f"it is declared void ({one.void}), and that is not so: "
                + (f"the reason is {void}" if void else f"its key counted in block {block}, which anchored it")
            )
        disputed = membership.keys[signer].is_disputed(anchor.header.timestamp)
        self.held.append(JudgedStatement(one, digest, signer, anchor.header.timestamp * 1000, disputed))
        self._note_findings(one, record, signer, membership, anchor)

    def _note_findings(
        self, one: ProvenStatement, record: str, signer: bytes, membership: Membership, anchor: _JudgedAnchor
    ) -> None:
        if one.void is not None:
            self.findings.append(
                Finding(record, f"void: {one.void}: it keeps its number, counts for nothing and may be issued again")
            )
        key = membership.keys[signer]
        earliest = (anchor.event.previous_anchored_at - CLOCK_TOLERANCE_SECONDS) * 1000
        latest = (anchor.header.timestamp + CLOCK_TOLERANCE_SECONDS) * 1000
        if not earliest <= one.registered_at <= latest:
            self.findings.append(Finding(record, "its registration time is not between the anchor before and its own"))
        # By the block's time: whoever has the key also chooses the time of issue.
        if key.is_disputed(anchor.header.timestamp):
            self.findings.append(
                Finding(record, "disputed: its key is reported compromised since before it was anchored")
            )
        if key.custodial:
            self.findings.append(Finding(record, "signed with a custodial key: the operator keeps it for the member"))
        if one.showing == "withheld":
            self.findings.append(Finding(record, "content withheld: only its header was shown"))
        elif one.showing == "erased":
            self.findings.append(Finding(record, "content erased, so the operator says: its place and signature stand"))

    def judge_streams(self) -> None:
        held: dict[bytes, dict[int, bytes]] = {}
        for one in self.bundle.statements:
            numbers = held.setdefault(one.header.stream, {})
            if one.header.sequence in numbers:
                self.fail(_stream(one.header.stream), f"number {one.header.sequence} comes twice")
            numbers[one.header.sequence] = one.header.issuer
        for stream, numbers in held.items():
            if len(set(numbers.values())) != 1:
                # Otherwise one member could fill the hole that another's omission left.
                self.fail(_stream(stream), "it has statements of two issuers, and a stream has one")
        if self.bundle.format == RECEIPT_FORMAT:
            if len(self.bundle.statements) != 1 or self.bundle.streams:
                self.fail("receipt", "a receipt is of one statement and says nothing of its stream")
            return
        spans: dict[bytes, list[StreamSpan]] = {}
        for span in self.bundle.streams:
            spans.setdefault(span.stream, []).append(span)
        for stream in sorted(held.keys() | spans.keys()):
            self._judge_stream(stream, spans.get(stream, []), held.get(stream, {}))

    def _judge_stream(self, stream: bytes, spans: Sequence[StreamSpan], held: Collection[int]) -> None:
        """The numbers that the bundle claims are there, all of them and no other; what lies between is a finding."""
        record, before, claimed = _stream(stream), 0, 0
        numbers = sorted(held)
        for span in spans:
            if not before < span.first <= span.last:
                self.fail(record, f"{span.first} to {span.last} is no range of numbers, or not in order")
                return
            if before and span.first > before + 1:
                gap = f"number {before + 1}" + (f" to {span.first - 1}" if span.first > before + 2 else "")
                self.findings.append(Finding(record, f"gap: {gap} is not in this bundle"))
            before = span.last
            length = span.last - span.first + 1
            found = bisect_right(numbers, span.last) - bisect_left(numbers, span.first)
            claimed += found
            if found != length:
                missing = islice((number for number in range(span.first, span.last + 1) if number not in held), 6)
                shown = [str(number) for number in missing]
                self.fail(record, f"missing number {', '.join(shown[:5])}{' …' if len(shown) > 5 else ''}")
        if claimed != len(held):
            self.fail(record, "the bundle does not say of all its numbers that it holds them")

    def judge_custody(self, anchors: Sequence[_JudgedAnchor]) -> CustodyVerdict | None:
        """The record of custody, if the bundle is one and all of it holds, as known at the block of the newest
        anchor.
        """
        if self.bundle.custody is None or not anchors:
            return None
        if self.bundle.format == RECEIPT_FORMAT:
            self.fail("receipt", "a receipt says nothing of custody")
            return None
        judge = CustodyJudge(self.bundle, self.trust, anchors[-1].header, self.consensus, self.vouch)
        standings = judge.judge_chain()
        self.failures.extend(judge.failures)
        if self.failures:
            return None
        verdict = judge.judge_record(self.held, standings)
        self.failures.extend(judge.failures)
        self.findings.extend(judge.findings)
        return verdict

    def strength(self, witnesses: Sequence[str]) -> Strength:
        """The strongest that holds. That somebody vouches for every block is settled: `_judge_anchor` refuses
        others.
        """
        if self.trust.validators:
            return Strength.SEALED
        if witnesses:
            return Strength.WITNESSED
        return Strength.PINNED if self.all_pinned else Strength.ATTESTED


def void_reason(membership: Membership, signer: bytes, header: Header, block: int) -> str | None:
    """Why a statement that was registered in good order counts for nothing: what overtook it before block `block`.

    None for one that counts, and for one that never could: `Membership.check_signer` tells these two apart.
    """
    try:
        membership.check_signer(signer, header.issuer, purpose_of(header.kind), block)
    except KeyNotValid as error:
        return _OVERTAKEN.get(type(error))
    return None


def _stream(stream: bytes) -> str:
    return f"stream {to_hex(stream)[:10]}…"
