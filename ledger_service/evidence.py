"""Evidence: receipts, audit bundles and trust files, and the one judge of them. Pure, offline.

A bundle is judged against a trust file and nothing else. Its statements are all proven under one signed checkpoint, the
*head*; each anchor's checkpoint is proven to be a prefix of the head, so an entry below an anchor's size was in the
log when that anchor's block was made. Formats are in `docs/formats.md`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import islice, pairwise
from typing import Any, Self

from ledger_service import blocks, canonical, merkle
from ledger_service.checkpoint import (
    LOG_KEY,
    WITNESS_KEY,
    Checkpoint,
    Note,
    UnverifiedNote,
    VerifierKey,
    check_name,
    from_base64,
    to_base64,
)
from ledger_service.envelope import ContentMismatch
from ledger_service.errors import LedgerError, MalformedInput, ProofError
from ledger_service.keys import SIGNATURE_BYTES, bytes_from_hex, from_hex, keccak, recover, to_hex
from ledger_service.membership import (
    Change,
    KeyNotValid,
    MemberNotActive,
    Membership,
    RetiredKey,
    RevokedKey,
    fold,
)
from ledger_service.statements import DisclosedField, Domain, Header, content_root, log_entry, purpose_of

BUNDLE_FORMAT = "tallystick-bundle/1"
RECEIPT_FORMAT = "tallystick-receipt/1"
TRUST_FORMAT = "tallystick-trust/1"
CLOCK_TOLERANCE_SECONDS = 300

DOES_NOT_PROVE = (
    "that the thing in the box was the thing on the label",
    "that nothing happened that nobody recorded",
    "anything after the block it is known at",
)


_OVERTAKEN: dict[type[KeyNotValid], str] = {
    RevokedKey: "key revoked before anchor",
    RetiredKey: "key retired before anchor",
    MemberNotActive: "member not active at anchor",
}


class BundleRefused(LedgerError):
    """A bundle that does not hold; `failures` names each record that fails, and why."""

    def __init__(self, failures: Sequence["Failure"]) -> None:
        super().__init__("; ".join(f"{one.record}: {one.reason}" for one in failures))
        self.failures = list(failures)


@dataclass(frozen=True, slots=True)
class Failure:
    """A record of a bundle that does not hold."""

    record: str
    reason: str


class Strength(StrEnum):
    """What keeps the operator from having anchored two histories, strongest first."""

    SEALED = "sealed"
    WITNESSED = "witnessed"
    PINNED = "pinned"
    ATTESTED = "attested"


STRENGTH_MEANS = {
    Strength.SEALED: "a quorum of the chain's validators sealed every block",
    Strength.WITNESSED: (
        "members who watch the log and the list of keys for rewriting have cosigned the checkpoint; "
        "that the chain took it, and when, rests on the operator"
    ),
    Strength.PINNED: "the blocks lead to the block that your trust file pins",
    Strength.ATTESTED: "only the operator vouches for the chain: compare checkpoints with other members",
}


@dataclass(frozen=True, slots=True)
class Trust:
    """What a verifier takes for granted about one ledger, from its trust file.

    `validators` are the QBFT validators; `attestor` signs the blocks of an embedded chain; `pinned` is a block's
    (number, hash) that was compared out of band; `witnesses` are members' cosigning keys.
    """

    origin: str
    log_key: VerifierKey
    chain_id: int
    genesis_hash: bytes
    registry: bytes
    registry_code_hash: bytes
    checkpoints: bytes
    checkpoints_code_hash: bytes
    validators: tuple[bytes, ...] = ()
    attestor: bytes | None = None
    pinned: tuple[int, bytes] | None = None
    witnesses: tuple[VerifierKey, ...] = ()

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, self.registry)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the trust file in groups of four digits, to be read out over the telephone."""
        digits = sha256(canonical.dump(self.as_json())).hexdigest()
        return " ".join(digits[at : at + 4] for at in range(0, 64, 4))

    def as_json(self) -> dict[str, Any]:
        return {
            "attestor": None if self.attestor is None else to_hex(self.attestor),
            "chain": {"chainId": self.chain_id, "genesisHash": to_hex(self.genesis_hash)},
            "contracts": {
                "CheckpointRegistry": {
                    "address": to_hex(self.checkpoints),
                    "codeHash": to_hex(self.checkpoints_code_hash),
                },
                "MemberRegistry": {"address": to_hex(self.registry), "codeHash": to_hex(self.registry_code_hash)},
            },
            "format": TRUST_FORMAT,
            "logKey": self.log_key.text,
            "origin": self.origin,
            "pinned": None if self.pinned is None else {"hash": to_hex(self.pinned[1]), "number": self.pinned[0]},
            "validators": [to_hex(one) for one in self.validators],
            "witnesses": [one.text for one in self.witnesses],
        }

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The trust file in `data`; raises MalformedInput with the place."""
        top = _Reader(canonical.parse(data), "", "trust file")
        top.format(TRUST_FORMAT)
        # A misspelt or forgotten member would quietly trust more than was meant, so each is asked for by name.
        top.only("attestor chain contracts format logKey origin pinned validators witnesses")
        chain, contracts = top.child("chain"), top.child("contracts")
        chain.only("chainId genesisHash")
        contracts.only("CheckpointRegistry MemberRegistry")
        registry, checkpoints = contracts.child("MemberRegistry"), contracts.child("CheckpointRegistry")
        registry.only("address codeHash")
        checkpoints.only("address codeHash")
        log_key = VerifierKey.parse(top.text("logKey"))
        origin = check_name(top.text("origin"))
        if log_key.kind != LOG_KEY or log_key.name != origin:
            raise MalformedInput("the log key is named after the origin and of type 1", "/logKey")
        witnesses = tuple(VerifierKey.parse(one) for one in top.texts("witnesses"))
        if any(one.kind != WITNESS_KEY for one in witnesses):
            raise MalformedInput("a witness key is of type 4 (cosignature/v1)", "/witnesses")
        if len({one.public for one in witnesses}) != len(witnesses) or len({one.name for one in witnesses}) != len(
            witnesses
        ):
            raise MalformedInput("a witness is listed twice", "/witnesses")
        pinned = top.optional("pinned")
        if pinned is not None:
            pinned.only("hash number")
        validators = tuple(from_hex(one, 20, f"/validators/{at}") for at, one in enumerate(top.texts("validators")))
        if len(set(validators)) != len(validators):
            raise MalformedInput("a validator is listed twice", "/validators")
        return cls(
            origin=origin,
            log_key=log_key,
            chain_id=chain.number("chainId"),
            genesis_hash=chain.bytes("genesisHash", 32),
            registry=registry.bytes("address", 20),
            registry_code_hash=registry.bytes("codeHash", 32),
            checkpoints=checkpoints.bytes("address", 20),
            checkpoints_code_hash=checkpoints.bytes("codeHash", 32),
            validators=validators,
            attestor=None if top.value.get("attestor") is None else top.bytes("attestor", 20),
            pinned=None if pinned is None else (pinned.number("number"), pinned.bytes("hash", 32)),
            witnesses=witnesses,
        )


@dataclass(frozen=True, slots=True)
class AnchorProof:
    """How a checkpoint of the log got onto the chain: the block that took it and the receipt in that block.

    `consistency` leads from this checkpoint to the head of the bundle it is part of. `transaction_hash` is where to
    look on the chain; it is no part of what a receipt proves, and nothing rests on it.
    """

    size: int
    root: bytes
    consistency: tuple[bytes, ...]
    transaction_hash: bytes
    header: bytes
    receipt_index: int
    receipt_proof: tuple[bytes, ...]
    attestation: bytes | None

    def as_json(self) -> dict[str, Any]:
        return {
            "attestation": None if self.attestation is None else to_hex(self.attestation),
            "consistency": [to_base64(one) for one in self.consistency],
            "header": to_hex(self.header),
            "receiptIndex": self.receipt_index,
            "receiptProof": [to_hex(one) for one in self.receipt_proof],
            "root": to_base64(self.root),
            "size": self.size,
            "transaction": to_hex(self.transaction_hash),
        }

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = _Reader(value, where, "anchor")
        reader.only("attestation consistency header receiptIndex receiptProof root size transaction")
        return cls(
            size=reader.number("size"),
            root=from_base64(reader.text("root"), 32),
            consistency=tuple(from_base64(one, 32) for one in reader.texts("consistency")),
            transaction_hash=reader.bytes("transaction", 32),
            header=reader.bytes("header"),
            receipt_index=reader.number("receiptIndex"),
            receipt_proof=tuple(
                bytes_from_hex(one, f"{where}/receiptProof/{at}") for at, one in enumerate(reader.texts("receiptProof"))
            ),
            attestation=None
            if reader.value.get("attestation") is None
            else reader.bytes("attestation", SIGNATURE_BYTES),
        )


@dataclass(frozen=True, slots=True)
class ProvenStatement:
    """A statement as a bundle shows it: always its header, its signature and its place; its content as far as granted.

    Without `content` and `disclosed` the content was withheld, or, as the operator says, erased at `erased_at` (ms).
    `void` says why it counts for nothing though its place is proven; `verify_bundle` works the same out by itself and
    refuses a bundle that says otherwise (docs/decisions/0006).
    """

    header: Header
    signature: bytes
    registered_at: int
    index: int
    inclusion: tuple[bytes, ...]
    content: dict[str, Any] | None = None
    secret: bytes | None = None
    disclosed: tuple[DisclosedField, ...] = ()
    erased_at: int | None = None
    void: str | None = None

    @property
    def showing(self) -> str:
        """How much of the content is shown, in one word."""
        if self.content is not None:
            return "shown"
        if self.disclosed:
            return "disclosed"
        return "erased" if self.erased_at is not None else "withheld"

    def as_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "header": self.header.as_json(),
            "inclusion": [to_base64(one) for one in self.inclusion],
            "index": self.index,
            "registeredAt": self.registered_at,
            "signature": to_hex(self.signature),
        }
        if self.content is not None and self.secret is not None:
            value |= {"content": self.content, "secret": to_hex(self.secret)}
        if self.disclosed:
            value["disclosed"] = [one.as_json() for one in self.disclosed]
        if self.erased_at is not None:
            value["erasedAt"] = self.erased_at
        if self.void is not None:
            value["void"] = self.void
        return value

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = _Reader(value, where, "statement")
        reader.only("header inclusion index registeredAt signature", "content secret disclosed erasedAt void")
        content, disclosed = reader.value.get("content"), reader.value.get("disclosed", [])
        if content is not None and not isinstance(content, dict):
            raise MalformedInput("content is an object", f"{where}/content")
        if not isinstance(disclosed, list):
            raise MalformedInput("disclosed is a list of fields", f"{where}/disclosed")
        if (content is None) != (reader.value.get("secret") is None):
            raise MalformedInput("content and secret come together or not at all", where)
        if sum(reader.value.get(one) is not None for one in ("content", "disclosed", "erasedAt")) > 1:
            raise MalformedInput("content is shown whole, or in fields, or was erased", where)
        return cls(
            header=Header.parse(reader.value.get("header"), f"{where}/header"),
            signature=reader.bytes("signature", SIGNATURE_BYTES),
            registered_at=reader.number("registeredAt"),
            index=reader.number("index"),
            inclusion=tuple(from_base64(one, 32) for one in reader.texts("inclusion")),
            content=content,
            secret=None if content is None else reader.bytes("secret", 32),
            disclosed=tuple(DisclosedField.parse(one, f"{where}/disclosed/{i}") for i, one in enumerate(disclosed)),
            erased_at=None if reader.value.get("erasedAt") is None else reader.number("erasedAt"),
            void=None if reader.value.get("void") is None else reader.text("void"),
        )


@dataclass(frozen=True, slots=True)
class StreamSpan:
    """The numbers of a stream that a bundle claims to hold without a gap, both ends included."""

    stream: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """Statements with everything a stranger needs to judge them; a receipt is a bundle of one statement.

    `changes` are all membership and key changes up to the newest anchor. `headers` are consecutive block headers up to
    a block that a trust file may pin, empty where none was asked for.
    """

    head: Note
    statements: tuple[ProvenStatement, ...]
    streams: tuple[StreamSpan, ...]
    anchors: tuple[AnchorProof, ...]
    changes: tuple[Change, ...]
    headers: tuple[bytes, ...] = ()
    format: str = BUNDLE_FORMAT

    def as_json(self) -> dict[str, Any]:
        return {
            "anchors": [one.as_json() for one in self.anchors],
            "changes": changes_as_json(self.changes),
            "format": self.format,
            "head": str(self.head),
            "headers": [to_hex(one) for one in self.headers],
            "statements": [one.as_json() for one in self.statements],
            "streams": [{"first": one.first, "last": one.last, "stream": to_hex(one.stream)} for one in self.streams],
        }

    @property
    def data(self) -> bytes:
        return canonical.dump(self.as_json())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The bundle or receipt in `data`; raises MalformedInput with the place."""
        top = _Reader(canonical.parse(data), "", "bundle")
        kind = top.format(BUNDLE_FORMAT, RECEIPT_FORMAT)
        top.only("anchors changes format head headers statements streams")
        changes = read_changes(top.value.get("changes"), "/changes")
        spans = []
        for where, value in top.items("streams"):
            one = _Reader(value, where, "stream")
            one.only("first last stream")
            spans.append(StreamSpan(one.bytes("stream", 32), one.number("first"), one.number("last")))
        return cls(
            head=Note.parse(top.text("head")),
            statements=tuple(ProvenStatement.read(value, where) for where, value in top.items("statements")),
            streams=tuple(spans),
            anchors=tuple(AnchorProof.read(value, where) for where, value in top.items("anchors")),
            changes=changes,
            headers=tuple(bytes_from_hex(one, f"/headers/{at}") for at, one in enumerate(top.texts("headers"))),
            format=kind,
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something true about the record that a reader should know and that breaks no proof."""

    record: str
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bundle proves. `known_at` is the (number, time in seconds) of the newest anchor's block.

    Of the `statements` in it, `void` count for nothing; the findings name them.
    """

    strength: Strength
    statements: int
    void: int
    anchors: int
    members: int
    known_at: tuple[int, int]
    head: Checkpoint
    witnesses: tuple[str, ...]
    streams: tuple[StreamSpan, ...]
    findings: tuple[Finding, ...]

    @property
    def does_not_prove(self) -> tuple[str, ...]:
        return DOES_NOT_PROVE


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
        if self.trust.validators:
            blocks.verify_seals(header, self.trust.validators)
        elif self.trust.attestor is not None:
            if proof.attestation is None:
                raise ProofError("the block carries no signature of the chain's attestor")
            blocks.verify_attestation(header.hash, self.trust.chain_id, proof.attestation, self.trust.attestor)
        elif not self._is_pinned(header):
            raise ProofError(
                f"nothing vouches for block {header.number}: your trust file names no validators and no attestor, and"
                " pins no block that this one leads to"
            )
        membership.check_head(event.registry_changes, event.registry_head)
        if (
            self.trust.pinned is not None
            and header.number == self.trust.pinned[0]
            and header.hash != self.trust.pinned[1]
        ):
            raise ProofError(f"block {header.number} is not the one your trust file pins")
        self.all_pinned = self.all_pinned and self._is_pinned(header)
        return _JudgedAnchor(event, header)

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
            membership.check_signer(signer, header.issuer, purpose_of(header.kind), block)
        elif one.void != void:
            raise ProofError(
                f"it is declared void ({one.void}), and that is not so: "
                + (f"the reason is {void}" if void else f"its key counted in block {block}, which anchored it")
            )
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


def changes_as_json(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Membership changes as bundles and the service write them."""
    return [
        {
            "blockNumber": one.block_number,
            "blockTime": one.block_time,
            "data": to_hex(one.data),
            "index": one.index,
            "kind": one.kind,
        }
        for one in changes
    ]


def read_changes(value: Any, where: str = "") -> tuple[Change, ...]:
    """The membership changes in a JSON list; raises MalformedInput with the place."""
    changes = []
    for place, item in _Reader({"changes": value}, where.removesuffix("/changes"), "list").items("changes"):
        one = _Reader(item, place, "change")
        one.only("blockNumber blockTime data index kind")
        changes.append(
            Change(
                one.number("index"),
                one.number("blockNumber"),
                one.number("blockTime"),
                one.number("kind"),
                one.bytes("data"),
            )
        )
    return tuple(changes)


class _Reader:
    """A JSON object from an untrusted file, read member by member with the place in every complaint."""

    def __init__(self, value: Any, where: str, what: str) -> None:
        if not isinstance(value, dict):
            raise MalformedInput(f"a {what} is an object", where)
        self.value: dict[str, Any] = value
        self._where = where

    def only(self, needed: str, allowed: str = "") -> None:
        """Raise MalformedInput unless these members are there, and no others but the `allowed` ones."""
        missing = set(needed.split()) - self.value.keys()
        if missing:
            raise MalformedInput(f"{', '.join(sorted(missing))} is missing", self._where)
        unknown = self.value.keys() - set(needed.split()) - set(allowed.split())
        if unknown:
            raise MalformedInput(f"{', '.join(sorted(unknown))[:80]} means nothing here", self._where)

    def format(self, *known: str) -> str:
        found = self.value.get("format")
        if found not in known:
            raise MalformedInput(
                f"expected a file of format {' or '.join(known)}, this says {str(found)[:60]!r}", "/format"
            )
        return str(found)

    def child(self, name: str) -> "_Reader":
        return _Reader(self.value.get(name), f"{self._where}/{name}", name)

    def optional(self, name: str) -> "_Reader | None":
        return None if self.value.get(name) is None else self.child(name)

    def text(self, name: str) -> str:
        value = self.value.get(name)
        if not isinstance(value, str):
            raise MalformedInput("expected text", f"{self._where}/{name}")
        return value

    def number(self, name: str) -> int:
        value = self.value.get(name)
        if type(value) is not int or not 0 <= value <= canonical.MAX_INTEGER:
            raise MalformedInput("expected a whole number from 0 to 2^53 - 1", f"{self._where}/{name}")
        return value

    def bytes(self, name: str, size: int | None = None) -> bytes:
        where = f"{self._where}/{name}"
        value = self.value.get(name)
        return bytes_from_hex(value, where) if size is None else from_hex(value, size, where)

    def items(self, name: str) -> list[tuple[str, Any]]:
        value = self.value.get(name)
        if not isinstance(value, list):
            raise MalformedInput("expected a list", f"{self._where}/{name}")
        return [(f"{self._where}/{name}/{index}", one) for index, one in enumerate(value)]

    def texts(self, name: str) -> list[str]:
        found = []
        for where, one in self.items(name):
            if not isinstance(one, str):
                raise MalformedInput("expected text", where)
            found.append(one)
        return found
