"""Bundles before their judge: what holds is named for its worth, what was bent is refused by record and reason."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import coincurve
import pytest

from ledger_service import blocks, canonical
from ledger_service.bundle import audit_bundle, receipt, trust
from ledger_service.checkpoint import LOG_KEY, Checkpoint, Note, NoteKey, NoteSignature
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.evidence import Bundle, BundleRefused, Strength, Trust, Verdict, verify_bundle
from ledger_service.keys import GROUP_ORDER, keccak, recover, to_hex
from ledger_service.membership import fold
from ledger_service.statements import Domain, Header
from tests.consortium import NOON, ORIGIN, Consortium, event, key, stream_id, witness

STREAM = stream_id("duero to nordrand")
OTHER = stream_id("nordrand to duero")
VALIDATORS = [key(f"validator {number}") for number in range(4)]


@dataclass(frozen=True)
class World:
    """What one consortium left behind: bundles as their JSON, trust, and the blocks in between."""

    whole: bytes
    plain: bytes
    receipt: bytes
    disclosed: bytes
    pinned: bytes
    trust: Trust
    pin: Trust


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A stream of eight numbers with everything that can be odd about one, and a second of three plain ones.

    1 to 3 are plain, 2 is erased later; 4 is signed by a custodial key that is reported later; 5 is plain; 6 was
    overtaken by a revocation and 7 says it again; 8 is withheld.
    """
    consortium = Consortium(tmp_path_factory.mktemp("world"))
    ledger = consortium.ledger
    plain = [consortium.envelope("nordrand", ("duero",)) for _ in range(2)]
    numbers = [consortium.envelope() for _ in range(3)]
    consortium.register(*numbers, *plain)
    consortium.clock.forward(2)
    consortium.publish()
    custodial = consortium.add_key("duero", "duero custodial", custodial=True)
    third = consortium.add_key("duero", "duero third")
    consortium.clock.forward(60)
    consortium.register(consortium.envelope(signer=custodial), consortium.envelope())
    plain += [consortium.envelope("nordrand", ("duero",))]
    consortium.register(plain[2])
    consortium.publish()
    consortium.clock.forward(60)
    consortium.revoke_key("duero", "duero custodial", compromised_seconds_ago=90)
    ledger.anchoring.refresh()
    overtaken = consortium.envelope(signer=third)
    consortium.register(overtaken)
    consortium.revoke_key("duero", "duero third")
    consortium.publish()
    again = {**event(6), "replaces": to_hex(overtaken.header.digest(ledger.domain))}
    withheld = replace(consortium.envelope(sequence=8), content=None, secret=None)
    consortium.register(consortium.envelope(sequence=7, content=again), withheld)
    consortium.clock.forward(2)
    consortium.publish()
    ledger.erase(numbers[1].header.digest(ledger.domain), consortium.clock.now)
    note = ledger.anchoring.note()
    for name in ("havelmark", "duero"):
        cosigner = witness(name)
        line = cosigner.sign(note.text, consortium.clock.seconds()).line
        ledger.cosign(ledger.anchoring.checkpoint_size, line, [cosigner.verifier], consortium.clock.now)
    head = ledger.anchoring.chain.head().number
    yield World(
        whole=audit_bundle(ledger, {STREAM: (1, None), OTHER: (1, None)}).data,
        plain=audit_bundle(ledger, {OTHER: (1, None)}).data,
        receipt=receipt(ledger, plain[1].header.digest(ledger.domain)).data,
        disclosed=audit_bundle(ledger, {OTHER: (1, None)}, lambda _record: ["/event/epcList", "/to"]).data,
        pinned=audit_bundle(ledger, {OTHER: (1, None)}, pin_block=head).data,
        trust=consortium.trust,
        pin=trust(ledger, pin=True),
    )
    consortium.close()


def judged(data: bytes, trust: Trust, min_witnesses: int = 0) -> Verdict:
    return verify_bundle(Bundle.parse(data), trust, min_witnesses=min_witnesses)


def refusal(data: bytes, trust: Trust, min_witnesses: int = 0) -> list[tuple[str, str]]:
    with pytest.raises(BundleRefused) as caught:
        judged(data, trust, min_witnesses)
    return [(one.record, one.reason) for one in caught.value.failures]


def bent(data: bytes, change: Callable[[Any], object]) -> bytes:
    value = json.loads(data)
    change(value)
    return canonical.dump(value)


# -- what holds --


def test_a_whole_record_holds_and_every_oddity_in_it_is_a_finding(world: World) -> None:
    verdict = judged(world.whole, world.trust)
    said = [(one.record.split(" of ")[0], one.what.split(":")[0]) for one in verdict.findings]
    assert (verdict.statements, verdict.void, verdict.anchors, verdict.members) == (11, 1, 4, 5)
    assert said == [
        ("statement 2", "content erased, so the operator says"),
        ("statement 4", "disputed"),
        ("statement 4", "signed with a custodial key"),
        ("statement 6", "void"),
        ("statement 6", "disputed"),
        ("statement 8", "content withheld"),
    ]
    assert {(one.stream, one.first, one.last) for one in verdict.streams} == {(STREAM, 1, 8), (OTHER, 1, 3)}
    assert verdict.head.origin == ORIGIN
    assert "anything after the block it is known at" in verdict.does_not_prove


def test_a_bundle_and_a_trust_file_are_read_as_they_were_written(world: World) -> None:
    for data in (world.whole, world.plain, world.receipt, world.disclosed, world.pinned):
        assert Bundle.parse(data).data == data
    for one in (world.trust, world.pin, replace(world.trust, validators=(b"\1" * 20,), attestor=None)):
        assert Trust.parse(canonical.dump(one.as_json())) == one


def test_a_plain_record_holds_without_findings(world: World) -> None:
    assert judged(world.plain, world.trust).findings == ()
    assert judged(world.receipt, world.trust).findings == ()
    assert judged(world.disclosed, world.trust).findings == ()


def sealed(data: bytes, signers: int) -> bytes:
    """The bundle as a QBFT chain of our four validators would have it, with the seals of the first `signers`."""

    def change(value: Any) -> None:
        for anchor in value["anchors"]:
            fields: list[Any] = list(blocks.decode_rlp(bytes.fromhex(anchor["header"][2:])))
            extra = blocks.QbftExtraData(bytes(32), tuple(one.address for one in VALIDATORS), (), 0, ())
            fields[12] = extra.raw
            header = blocks.Header.parse(blocks.encode_rlp(tuple(fields)), blocks.Consensus.QBFT)
            digest = blocks.commit_seal_digest(header)
            seals = [one.sign(digest) for one in VALIDATORS[:signers]]
            extra = replace(extra, seals=tuple(one[:64] + bytes([one[64] - 27]) for one in seals))
            fields[12] = extra.raw
            anchor["header"] = to_hex(blocks.encode_rlp(tuple(fields)))
            anchor["attestation"] = None

    return bent(data, change)


def test_strength_is_named_for_what_keeps_the_operator_honest(world: World) -> None:
    qbft = replace(world.trust, attestor=None, validators=tuple(one.address for one in VALIDATORS))
    alone = replace(world.trust, witnesses=())
    pin = replace(world.pin, attestor=None)
    assert judged(sealed(world.plain, 3), qbft).strength is Strength.SEALED
    assert judged(world.plain, world.trust).strength is Strength.WITNESSED
    assert judged(world.pinned, pin).strength is Strength.PINNED
    assert judged(world.pinned, world.pin).strength is Strength.PINNED
    assert judged(world.plain, alone).strength is Strength.ATTESTED
    # The pinned block is later, and nothing here leads to it: the attestor alone vouches.
    assert judged(world.plain, world.pin).strength is Strength.ATTESTED


def test_two_seals_of_four_are_no_quorum(world: World) -> None:
    qbft = replace(world.trust, attestor=None, validators=tuple(one.address for one in VALIDATORS))
    assert all(
        "seals of 2 validators" in reason
        for record, reason in refusal(sealed(world.plain, 2), qbft)
        if "anchor of" in record
    )


def test_blocks_that_nobody_vouches_for_are_no_evidence(world: World) -> None:
    nobody = replace(world.trust, attestor=None)
    assert any("nothing vouches for block" in reason for _, reason in refusal(world.plain, nobody))
    pin = replace(world.pin, attestor=None)
    assert any("nothing vouches for block" in reason for _, reason in refusal(world.plain, pin))


def test_headers_that_do_not_lead_to_the_pinned_block_are_refused(world: World) -> None:
    def drop_one(value: Any) -> None:
        del value["headers"][1]

    number, _ = world.pin.pinned or (0, b"")
    (failure, *_) = refusal(bent(world.pinned, drop_one), world.pin)
    assert failure[0] == f"pinned block {number}"
    assert "does not follow" in failure[1]
    elsewhere = replace(world.pin, pinned=(number, bytes(32)))
    assert refusal(world.pinned, elsewhere)[0][0] == f"pinned block {number}"


def test_as_many_witnesses_are_asked_for_as_the_reader_wants(world: World) -> None:
    assert judged(world.plain, world.trust, 2).witnesses == (witness("havelmark").name, witness("duero").name)
    assert refusal(world.plain, world.trust, 3)[0][0] == "witnesses"
    assert refusal(world.receipt, world.trust, 2) == [
        ("witnesses", "0 of the 2 cosignatures you ask for are there (2 witnesses are in your trust file)")
    ]


# -- what does not --


def _statement(number: int, name: str, value: Any) -> Callable[[Any], None]:
    def change(bundle: Any) -> None:
        (one,) = [s for s in bundle["statements"] if s["header"]["sequence"] == number]
        one[name] = value

    return change


def _payload(bundle: Any) -> None:
    epcs = bundle["statements"][1]["content"]["event"]["epcList"]
    epcs[0] = epcs[0][:-1] + ("0" if epcs[0][-1] != "0" else "1")


def _swapped_signatures(bundle: Any) -> None:
    one, other = bundle["statements"][:2]
    one["signature"], other["signature"] = other["signature"], one["signature"]


def _high_s(bundle: Any) -> None:
    raw = bytes.fromhex(bundle["statements"][0]["signature"][2:])
    twin = raw[:32] + (GROUP_ORDER - int.from_bytes(raw[32:64])).to_bytes(32) + bytes([55 - raw[64]])
    bundle["statements"][0]["signature"] = to_hex(twin)


def _another_signature(bundle: Any) -> None:
    """A good signature of the same digest by the same key under another nonce, so made later."""
    one = bundle["statements"][0]
    digest = Header.parse(one["header"]).digest(Domain(131_277, bytes.fromhex(bundle.pop("registry"))))
    nonce, secret = 7, int.from_bytes(key("nordrand").secret_bytes)
    point = coincurve.PrivateKey(nonce.to_bytes(32)).public_key.format(compressed=False)
    r = int.from_bytes(point[1:33])
    s = pow(nonce, -1, GROUP_ORDER) * (int.from_bytes(digest) + r * secret) % GROUP_ORDER
    odd = point[64] & 1
    if s > GROUP_ORDER // 2:
        s, odd = GROUP_ORDER - s, odd ^ 1
    signature = r.to_bytes(32) + s.to_bytes(32) + bytes([27 + odd])
    assert recover(digest, signature) == key("nordrand").address
    assert to_hex(signature) != one["signature"]
    one["signature"] = to_hex(signature)


def _other_leaf(bundle: Any) -> None:
    one, other = bundle["statements"][:2]
    one["inclusion"], one["index"] = other["inclusion"], other["index"]


def _other_index(bundle: Any) -> None:
    bundle["statements"][0]["index"] += 1


def _later(bundle: Any) -> None:
    bundle["statements"][0]["registeredAt"] += 1


def _foreign_head(bundle: Any) -> None:
    checkpoint = Checkpoint.parse(Note.parse(bundle["head"]).text)
    text = replace(checkpoint, origin="ledger.example.org/other").text
    foreign = NoteKey("ledger.example.org/other", LOG_KEY, bytes(32))
    bundle["head"] = str(Note(text, (foreign.sign(text),)))


def _forged_head(bundle: Any) -> None:
    text = Note.parse(bundle["head"]).text
    bundle["head"] = str(Note(text, (NoteKey(ORIGIN, LOG_KEY, bytes(32)).sign(text),)))


def _smaller_head(bundle: Any) -> None:
    bundle["head"] = bundle["head"].replace("\n11\n", "\n10\n")


def _forged_witness(bundle: Any) -> None:
    note = Note.parse(bundle["head"])
    bad = [
        NoteSignature(one.name, one.key_id, bytes([one.signature[0] ^ 1]) + one.signature[1:])
        if "witness" in one.name
        else one
        for one in note.signatures
    ]
    bundle["head"] = str(Note(note.text, tuple(bad)))


def _moved_witness(bundle: Any) -> None:
    """A witness's good signature, of another checkpoint."""
    note = Note.parse(bundle["head"])
    other = Checkpoint(ORIGIN, 4, bytes(32)).text
    signatures = [one for one in note.signatures if "witness" not in one.name]
    bundle["head"] = str(Note(note.text, (*signatures, witness("duero").sign(other, 1_790_000_000))))


def _forged_anchor(bundle: Any) -> None:
    """Another receipt in a block of one's own, under the attestation of the true one."""
    anchor = bundle["anchors"][0]
    trie_node = blocks.decode_rlp(bytes.fromhex(anchor["receiptProof"][0][2:]))
    assert isinstance(trie_node, tuple)
    node = blocks.encode_rlp((trie_node[0], trie_node[1][:-1] + bytes([trie_node[1][-1] ^ 1])))  # type: ignore[operator]
    fields: list[Any] = list(blocks.decode_rlp(bytes.fromhex(anchor["header"][2:])))
    fields[5] = keccak(node)
    anchor["receiptProof"] = [to_hex(node)]
    anchor["header"] = to_hex(blocks.encode_rlp(tuple(fields)))


def _altered_block_time(bundle: Any) -> None:
    fields: list[Any] = list(blocks.decode_rlp(bytes.fromhex(bundle["anchors"][0]["header"][2:])))
    fields[11] = blocks.encode_integer(1_700_000_000)
    bundle["anchors"][0]["header"] = to_hex(blocks.encode_rlp(tuple(fields)))


def _attested_by_another(bundle: Any) -> None:
    anchor = bundle["anchors"][0]
    header = blocks.Header.parse(bytes.fromhex(anchor["header"][2:]))
    anchor["attestation"] = to_hex(key("mallory").sign(blocks.attestation_digest(header.hash, 131_277)))


def _attested_for_another_chain(bundle: Any) -> None:
    anchor = bundle["anchors"][0]
    header = blocks.Header.parse(bytes.fromhex(anchor["header"][2:]))
    anchor["attestation"] = to_hex(key("attestor").sign(blocks.attestation_digest(header.hash, 1)))


def _not_attested(bundle: Any) -> None:
    bundle["anchors"][0]["attestation"] = None


def _replayed_anchor(bundle: Any) -> None:
    first, last = bundle["anchors"][0], bundle["anchors"][-1]
    for name in ("header", "receiptIndex", "receiptProof", "attestation"):
        first[name] = last[name]


def _replayed_whole_anchor(bundle: Any) -> None:
    bundle["anchors"][0] = bundle["anchors"][-1]


def _reordered_anchors(bundle: Any) -> None:
    bundle["anchors"][0], bundle["anchors"][1] = bundle["anchors"][1], bundle["anchors"][0]


def _without_first_anchor(bundle: Any) -> None:
    del bundle["anchors"][0]


def _without_last_anchor(bundle: Any) -> None:
    del bundle["anchors"][-1]


def _without_anchors(bundle: Any) -> None:
    bundle["anchors"] = []


def _missing_number(bundle: Any) -> None:
    del bundle["statements"][1]


def _duplicate(bundle: Any) -> None:
    bundle["statements"].append(bundle["statements"][0])


def _without_span(bundle: Any) -> None:
    bundle["streams"] = []


def _short_span(bundle: Any) -> None:
    bundle["streams"][0]["last"] -= 1


def _long_span(bundle: Any) -> None:
    bundle["streams"][0]["last"] = 2**53 - 1


def _empty_span(bundle: Any) -> None:
    bundle["streams"][0]["first"] = 3
    bundle["streams"][0]["last"] = 2


def _span_twice(bundle: Any) -> None:
    bundle["streams"].append(bundle["streams"][0])


def _without_change(at: int) -> Callable[[Any], None]:
    def change(bundle: Any) -> None:
        del bundle["changes"][at]

    return change


def _renumbered_without_change(bundle: Any) -> None:
    del bundle["changes"][3]
    for number, one in enumerate(bundle["changes"], 1):
        one["index"] = number


def _change_more(bundle: Any) -> None:
    last = bundle["changes"][-1]
    data = "0x" + "42" * 32
    bundle["changes"].append({**last, "index": last["index"] + 1, "kind": 13, "data": data})


def _altered_change(bundle: Any) -> None:
    for one in bundle["changes"]:
        if one["kind"] == 5:
            one["data"] = one["data"].replace(key("duero").address.hex(), key("mallory").address.hex())


def _no_statements(bundle: Any) -> None:
    bundle["statements"], bundle["streams"] = [], []


def _declared_void(bundle: Any) -> None:
    bundle["statements"][0]["void"] = "key revoked before anchor"


def _as_receipt(bundle: Any) -> None:
    bundle["format"], bundle["streams"] = "tallystick-receipt/1", []
    del bundle["statements"][1]


def _other_consistency(bundle: Any) -> None:
    bundle["anchors"][0]["consistency"].append(b64encode(bytes(32)).decode())


def _other_size(bundle: Any) -> None:
    bundle["anchors"][0]["size"] += 1


FAILS: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "a changed payload byte": (_payload, "statement 2 of stream", "its content was changed"),
    "swapped signatures": (_swapped_signatures, "statement 1 of stream", "its signature is not the registered one"),
    "the high-s twin of a signature": (_high_s, "statement 1 of stream", "malleable twin"),
    "a proof of another leaf": (_other_leaf, "statement 1 of stream", "it is not entry"),
    "another index": (_other_index, "statement 1 of stream", "it is not entry"),
    "a registration time altered": (_later, "statement 1 of stream", "it is not entry"),
    "a checkpoint of another origin": (_foreign_head, "head checkpoint", "it is of the log 'ledger.example.org/other'"),
    "a checkpoint signed by another key": (_forged_head, "head checkpoint", "no signature by"),
    "a checkpoint of another size": (_smaller_head, "head checkpoint", "does not fit the text"),
    "a forged witness": (_forged_witness, "witness witness.havelmark.example.org", "does not fit the text"),
    "a witness of another checkpoint": (_moved_witness, "witness witness.duero.example.org", "does not fit the text"),
    "a forged anchor": (_forged_anchor, "anchor of 5 statements", "leads to"),
    "a block time altered": (_altered_block_time, "anchor of 5 statements", "attestation"),
    "a block attested by another key": (_attested_by_another, "anchor of 5 statements", "not to the attestor"),
    "a block attested for another chain": (
        _attested_for_another_chain,
        "anchor of 5 statements",
        "not to the attestor",
    ),
    "a block nobody attested": (_not_attested, "anchor of 5 statements", "no signature of the chain's attestor"),
    "the replayed block of another anchor": (_replayed_anchor, "anchor of 5 statements", "the bundle says otherwise"),
    "another anchor in its place": (
        _replayed_whole_anchor,
        "statement 1 of stream",
        "the anchor that first covered entry",
    ),
    "anchors in another order": (_reordered_anchors, "anchor of 5 statements", "not in the order"),
    "a statement moved to a later batch": (_without_first_anchor, "statement 1 of stream", "that first covered entry"),
    "a head without its anchor": (_without_last_anchor, "head checkpoint", "no anchor of its own"),
    "no anchor at all": (_without_anchors, "anchors", "nothing here is anchored"),
    "a consistency proof too long": (_other_consistency, "anchor of 5 statements", "too long"),
    "another size of an anchor": (_other_size, "anchor of 6 statements", "the bundle says otherwise"),
    "a missing stream number": (_missing_number, "stream 0x", "missing number 2"),
    "a duplicate statement": (_duplicate, "stream 0x", "number 1 comes twice"),
    "a stream not accounted for": (_without_span, "stream 0x", "does not say of all its numbers"),
    "a span that is too short": (_short_span, "stream 0x", "does not say of all its numbers"),
    "a span without end": (_long_span, "stream 0x", "missing number 4, 5, 6, 7, 8 …"),
    "a span that is none": (_empty_span, "stream 0x", "3 to 2 is no range"),
    "a span twice": (_span_twice, "stream 0x", "not in order"),
    "a dropped key change": (_without_change(3), "membership and key changes", "one is missing"),
    "the last change dropped": (_without_change(-1), "membership and key changes", "cut short"),
    "a change dropped and the others renumbered": (
        _renumbered_without_change,
        "membership and key changes",
        "cut short",
    ),
    "a change beyond the anchor": (_change_more, "membership and key changes", "the newest anchor covers"),
    "a change altered": (_altered_change, "membership and key changes", "altered"),
    "no statements": (_no_statements, "statements", "there is none"),
    "a good statement declared void": (_declared_void, "statement 1 of stream", "its key counted in block"),
    "a bundle that says it is a receipt": (_as_receipt, "receipt", "a receipt is of one statement"),
}


@pytest.mark.parametrize(("change", "record", "reason"), FAILS.values(), ids=FAILS.keys())
def test_what_was_bent_is_refused_by_record_and_reason(
    world: World, change: Callable[[Any], None], record: str, reason: str
) -> None:
    failures = refusal(bent(world.plain, change), world.trust)
    assert any(record in where and reason in why for where, why in failures), failures


def test_another_good_signature_of_the_same_words_is_not_the_registered_one(world: World) -> None:
    def change(bundle: Any) -> None:
        _another_signature({**bundle, "registry": world.trust.registry.hex()})

    ((record, reason),) = refusal(bent(world.plain, change), world.trust)
    assert record.startswith("statement 1 of stream")
    assert "its signature is not the registered one" in reason


def test_a_key_revoked_before_the_anchor_is_named_unless_the_bundle_says_so_itself(world: World) -> None:
    def hide(bundle: Any) -> None:
        for one in bundle["statements"]:
            one.pop("void", None)

    ((record, reason),) = refusal(bent(world.whole, hide), world.trust)
    assert record.startswith("statement 6 of stream")
    assert "revoked in block" in reason
    assert "before the anchor" in reason


def test_a_void_for_another_reason_than_the_true_one_is_refused(world: World) -> None:
    ((record, reason),) = refusal(bent(world.whole, _statement(6, "void", "member not active at anchor")), world.trust)
    assert record.startswith("statement 6 of stream")
    assert "the reason is key revoked before anchor" in reason


def test_disclosed_fields_are_of_one_tree_and_in_order(world: World) -> None:
    def turn(bundle: Any) -> None:
        bundle["statements"][0]["disclosed"].reverse()

    def twice(bundle: Any) -> None:
        fields = bundle["statements"][0]["disclosed"]
        fields.append(fields[-1])

    for change in (turn, twice):
        ((record, reason),) = refusal(bent(world.disclosed, change), world.trust)
        assert record.startswith("statement 1 of stream")
        assert "are not of one tree" in reason


def test_one_member_cannot_fill_the_hole_in_anothers_stream(tmp_path: Path) -> None:
    """A colluding operator would log it; the ledger's own door refuses it, so they are judged side by side."""
    consortium = Consortium(tmp_path)
    mine, theirs = consortium.envelope(), consortium.envelope("nordrand", ("duero",), sequence=2)
    consortium.register(mine, theirs)
    consortium.publish()
    ledger = consortium.ledger
    bundle = audit_bundle(ledger, {STREAM: (1, None), OTHER: (2, None)})
    moved = [replace(one, header=replace(one.header, stream=STREAM)) for one in bundle.statements]
    span = replace(bundle.streams[0], stream=STREAM, first=1, last=2)
    with pytest.raises(BundleRefused) as caught:
        verify_bundle(replace(bundle, statements=tuple(moved), streams=(span,)), consortium.trust)
    assert any("statements of two issuers" in one.reason for one in caught.value.failures)
    consortium.close()


def test_a_gap_that_the_bundle_admits_is_a_finding(world: World) -> None:
    def admit(bundle: Any) -> None:
        del bundle["statements"][1]
        (span,) = bundle["streams"]
        bundle["streams"] = [{**span, "last": 1}, {**span, "first": 3}]

    (finding,) = judged(bent(world.plain, admit), world.trust).findings
    assert "gap: number 2 is not in this bundle" in finding.what


def test_a_registration_time_outside_the_time_of_its_anchors_is_a_finding(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path)
    consortium.register(consortium.envelope())
    consortium.publish()
    consortium.clock.forward(3600)
    consortium.register(consortium.envelope())
    consortium.clock.now -= 3_000_000  # the chain's clock is an hour behind the ledger's
    consortium.publish()
    verdict = verify_bundle(audit_bundle(consortium.ledger, {STREAM: (1, None)}), consortium.trust)
    assert [(one.record[:11], one.what) for one in verdict.findings] == [
        ("statement 2", "its registration time is not between the anchor before and its own")
    ]
    consortium.close()


# -- bent at random --


def meaning(data: bytes, verdict: Verdict) -> Any:
    """Everything a reader learns.

    Left out is what the verdict does not rest on: where to look up the transaction, whether content that is not there
    was withheld or, as the operator says, erased, and how many fields lie beside a disclosed one. Witnesses are
    compared apart.
    """
    bundle = Bundle.parse(data)
    statements = {
        (one.header.stream, one.header.sequence): (
            one.header,
            one.signature,
            one.registered_at,
            one.index,
            one.content,
            [(field.path, field.value) for field in one.disclosed],
            one.showing.replace("erased", "withheld"),
            one.void,
        )
        for one in bundle.statements
    }
    streams = tuple(sorted(verdict.streams, key=repr))
    findings = tuple(one for one in verdict.findings if not one.what.startswith(("content erased", "content withheld")))
    rest = replace(verdict, streams=streams, findings=findings, witnesses=(), strength=Strength.ATTESTED)
    return rest, statements


def scalars(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from scalars(item, (*path, name))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from scalars(item, (*path, at))
    else:
        yield path


def others(value: Any, random: Random) -> list[Any]:
    """A few values of other meanings, some of the same type and some not."""
    found: list[Any] = [None, [], {}, "", 0, True]
    if isinstance(value, int) and not isinstance(value, bool):
        found += [value + 1, max(value - 1, 0), 2**53 - 1, -1, str(value)]
    elif isinstance(value, str) and value:
        at = random.randrange(len(value))
        found += [
            value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :],
            value[:-1],
            value + "0",
            value.upper(),
            value[:at],
        ]
    return [one for one in found if one != value or type(one) is not type(value)]


def with_value(data: bytes, path: tuple[Any, ...], new: Any) -> bytes:
    value = json.loads(data)
    at = value
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = new
    return json.dumps(value).encode()


def survey(data: bytes, trust: Trust, bendings: Iterator[bytes]) -> int:
    """Judge each bending; fail on one that is accepted with another meaning, or ends in anything but a refusal."""
    best = judged(data, trust)
    whole = meaning(data, best)
    accepted = 0
    for one in bendings:
        try:
            verdict = judged(one, trust)
        except LedgerError:
            continue
        accepted += 1
        assert meaning(one, verdict) == whole, one
        # A cosignature whose name is misspelt is a stranger's: it counts for nothing, and the verdict says one less.
        assert set(verdict.witnesses) <= set(best.witnesses)
        assert verdict.witnesses or verdict.strength is Strength.ATTESTED
    return accepted


def bendings_of(data: bytes, seed: int, count: int | None) -> Iterator[bytes]:
    random = Random(seed)
    cases = [(path, at) for path in scalars(json.loads(data)) for at in range(11)]
    for path, at in cases if count is None else random.sample(cases, min(count, len(cases))):
        value = json.loads(data)
        for step in path:
            value = value[step]
        choices = others(value, random)
        if at < len(choices):
            yield with_value(data, path, choices[at])


def flips_of(data: bytes, seed: int, count: int | None) -> Iterator[bytes]:
    random = Random(seed)
    for at in range(len(data)) if count is None else random.sample(range(len(data)), count):
        yield data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


@pytest.mark.parametrize("which", ["receipt", "disclosed", "whole"])
def test_no_value_changed_gives_a_bundle_of_another_meaning(world: World, which: str) -> None:
    data = getattr(world, which)
    survey(data, world.trust, bendings_of(data, seed=1, count=250))
    survey(data, world.trust, flips_of(data, seed=2, count=250))


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("which", ["receipt", "disclosed"])
def test_none_of_all_values_and_bytes_changed_gives_a_bundle_of_another_meaning(world: World, which: str) -> None:
    data = getattr(world, which)
    survey(data, world.trust, bendings_of(data, seed=3, count=None))
    survey(data, world.trust, flips_of(data, seed=4, count=None))


UNUSED_OFFLINE = {"genesisHash", "codeHash"}
"""What a trust file pins for those who ask a live chain: nothing in a bundle can be held against it."""


def test_no_value_of_a_trust_file_is_changed_unnoticed(world: World) -> None:
    data = canonical.dump(world.trust.as_json())
    random = Random(5)
    for path in scalars(json.loads(data)):
        value = json.loads(data)
        for step in path:
            value = value[step]
        for other in others(value, random):
            changed = with_value(data, path, other)
            try:
                trust = Trust.parse(changed)
            except MalformedInput:
                continue
            if path[-1] in UNUSED_OFFLINE or "CustodyLedger" in path:  # this bundle shows nothing of custody
                continue
            assert trust.fingerprint != world.trust.fingerprint, (path, other)
            try:
                verdict = judged(world.plain, trust, 2)
            except BundleRefused:
                continue
            # A trust file that pins a block as well asks for more, and finds nothing that leads there.
            assert path[0] in {"pinned", "validators"}, (path, other)
            assert verdict.strength is Strength.WITNESSED


def test_a_trust_file_says_everything_and_nothing_else(world: World) -> None:
    value = world.trust.as_json()
    for name in value:
        less = {key: item for key, item in value.items() if key != name}
        with pytest.raises(MalformedInput):
            Trust.parse(canonical.dump(less))
    junk: list[Any] = [
        {**value, "minWitnesses": 2},
        {**value, "chain": {}},
        {**value, "format": "tallystick-bundle/1"},
        [],
        {},
    ]
    for one in junk:
        with pytest.raises(MalformedInput):
            Trust.parse(canonical.dump(one))
    for raw in (b"", b"null", b"\xff\xfe", b"[" * 5000, b'{"format":"tallystick-trust/1"}'):
        with pytest.raises(MalformedInput):
            Trust.parse(raw)
        with pytest.raises(MalformedInput):
            Bundle.parse(raw)


def test_lists_of_trust_name_each_once_and_in_their_role(world: World) -> None:
    one = witness("duero").verifier
    for wrong in (
        replace(world.trust, witnesses=(one, one)),
        replace(world.trust, witnesses=(one, replace(one, name="another.example.org"))),
        replace(world.trust, witnesses=(world.trust.log_key,)),
        replace(world.trust, log_key=one),
        replace(world.trust, log_key=replace(world.trust.log_key, name="other")),
        replace(world.trust, validators=(b"\1" * 20, b"\1" * 20)),
    ):
        with pytest.raises(MalformedInput):
            Trust.parse(canonical.dump(wrong.as_json()))


def test_a_fingerprint_is_what_two_people_read_to_each_other(world: World) -> None:
    groups = world.trust.fingerprint.split(" ")
    assert [len(one) for one in groups] == [4] * 16
    assert replace(world.trust, attestor=b"\2" * 20).fingerprint != world.trust.fingerprint


def test_a_key_that_the_witnesses_were_not_shown_signs_nothing(tmp_path: Path) -> None:
    """The operator makes the embedded chain's blocks, and could make one more key; the registry line gives it away."""
    consortium = Consortium(tmp_path)
    shown = (consortium.ledger.anchoring.membership.count, consortium.ledger.anchoring.membership.head)
    slipped = consortium.add_key("duero", "never duero's")
    consortium.register(consortium.envelope(signer=slipped))
    consortium.publish()
    bundle = audit_bundle(consortium.ledger, {stream_id("duero to nordrand"): (1, None)})
    trust, log_key = consortium.trust, consortium.ledger.log_key
    consortium.close()

    def cosigned(registry: tuple[int, bytes] | None) -> Bundle:
        text = replace(Checkpoint.parse(bundle.head.text), registry=registry).text
        signatures = (log_key.sign(text), witness("havelmark").sign(text, NOON // 1000))
        return replace(bundle, head=Note(text, signatures))

    assert verify_bundle(cosigned((shown[0] + 1, bundle_head(bundle))), trust).strength is Strength.WITNESSED
    for registry, where, why in (
        (shown, "statement 1 of stream", "the registry that the head checkpoint states"),
        ((shown[0] + 1, shown[1]), "membership and key changes", "altered"),
        (None, "membership and key changes", "does not say which registry"),
    ):
        with pytest.raises(BundleRefused) as refused:
            verify_bundle(cosigned(registry), trust)
        assert any(where in one.record and why in one.reason for one in refused.value.failures), refused.value


def bundle_head(bundle: Bundle) -> bytes:
    """The registry's head after all changes of the bundle."""
    return fold(bundle.changes).head
