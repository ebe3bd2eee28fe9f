"""Receipts and audit bundles out of the store: what they hold, what they leave out, and what they cannot give yet."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from ledger_service import bundle as bundles
from ledger_service.bundle import NotYetAnchored, NumberMissing, TooLarge, audit_bundle, receipt, trust
from ledger_service.evidence import Bundle, Strength, Trust, verify_bundle
from ledger_service.ledger import Record, Rules, UnknownStatement
from tests.consortium import Consortium, stream_id, witness

STREAM = stream_id("duero to nordrand")
OTHER = stream_id("nordrand to duero")


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    made = Consortium(tmp_path)
    yield made
    made.close()


def numbers(bundle: Bundle) -> list[int]:
    return [one.header.sequence for one in bundle.statements]


def test_a_receipt_stands_under_the_very_checkpoint_that_anchored_it(consortium: Consortium) -> None:
    (first,) = consortium.register(consortium.envelope()).accepted
    with pytest.raises(NotYetAnchored, match="registered and not anchored yet"):
        receipt(consortium.ledger, first.digest)
    consortium.publish()
    before = receipt(consortium.ledger, first.digest)
    for _ in range(3):
        consortium.register(consortium.envelope())
        consortium.publish()
    after = receipt(consortium.ledger, first.digest)
    assert after == before
    assert len(after.anchors) == 1
    verdict = verify_bundle(Bundle.parse(after.data), consortium.trust)
    assert (verdict.statements, verdict.head.size, verdict.streams) == (1, 1, ())


def test_a_bundle_holds_the_anchors_of_its_statements_and_of_its_head_and_no_other(consortium: Consortium) -> None:
    for _ in range(5):
        consortium.register(consortium.envelope())
        consortium.publish()
    bundle = audit_bundle(consortium.ledger, {STREAM: (2, 3)})
    assert numbers(bundle) == [2, 3]
    assert [one.size for one in bundle.anchors] == [2, 3, 5]
    assert verify_bundle(bundle, consortium.trust).streams == bundle.streams


def test_the_head_is_the_newest_checkpoint_with_the_most_cosignatures(consortium: Consortium) -> None:
    for _ in range(3):
        consortium.register(consortium.envelope())
        consortium.publish()
    ledger, cosigner = consortium.ledger, witness("duero")
    ledger.cosign(2, cosigner.sign(ledger.anchoring.note(2).text, 1).line, [cosigner.verifier], consortium.clock.now)
    verdict = verify_bundle(audit_bundle(ledger, {STREAM: (1, 2)}), consortium.trust, min_witnesses=1)
    assert (verdict.head.size, verdict.strength) == (2, Strength.WITNESSED)
    assert verify_bundle(audit_bundle(ledger, {STREAM: (1, 3)}), consortium.trust).head.size == 3


def test_what_is_not_anchored_yet_is_left_out_unless_it_was_asked_for(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    with pytest.raises(NotYetAnchored):
        audit_bundle(consortium.ledger, {STREAM: (1, None)})
    consortium.publish()
    consortium.register(consortium.envelope())
    assert numbers(audit_bundle(consortium.ledger, {STREAM: (1, None)})) == [1]
    with pytest.raises(NotYetAnchored, match="number 2"):
        audit_bundle(consortium.ledger, {STREAM: (1, 2)})
    with pytest.raises(NotYetAnchored, match="number 2"):
        audit_bundle(consortium.ledger, {STREAM: (2, None)})


def test_a_number_anchored_before_a_lower_one_is_shown_with_the_gap(consortium: Consortium) -> None:
    consortium.register(consortium.envelope(sequence=2))
    consortium.publish()
    consortium.register(consortium.envelope(sequence=1))
    bundle = audit_bundle(consortium.ledger, {STREAM: (1, None)})
    assert [(one.first, one.last) for one in bundle.streams] == [(2, 2)]
    consortium.publish()
    assert [(one.first, one.last) for one in audit_bundle(consortium.ledger, {STREAM: (1, None)}).streams] == [(1, 2)]


@pytest.mark.parametrize(("first", "last", "missing"), [(1, 5, 3), (3, 3, 3), (4, 6, 6), (3, 5, 3)])
def test_a_span_with_a_number_that_nobody_registered_cannot_be_had(
    consortium: Consortium, first: int, last: int, missing: int
) -> None:
    for number in (1, 2, 4, 5):
        consortium.register(consortium.envelope(sequence=number))
    consortium.publish()
    error = UnknownStatement if first == last else NumberMissing
    with pytest.raises(error, match=f"number {missing} of" if error is NumberMissing else "no such numbers"):
        audit_bundle(consortium.ledger, {STREAM: (first, last)})
    assert numbers(audit_bundle(consortium.ledger, {STREAM: (4, 5)})) == [4, 5]


def test_only_what_the_reader_may_see_is_shown_and_all_of_it_is_proven(consortium: Consortium) -> None:
    envelopes = [consortium.envelope(), consortium.envelope(), consortium.envelope()]
    consortium.register(*envelopes)
    consortium.publish()

    def showing(record: Record) -> bool | list[str]:
        return ["/event/epcList", "/to"] if record.header.sequence == 3 else record.header.sequence == 1

    bundle = Bundle.parse(audit_bundle(consortium.ledger, {STREAM: (1, None)}, showing).data)
    assert [one.showing for one in bundle.statements] == ["shown", "withheld", "disclosed"]
    assert [one.path for one in bundle.statements[2].disclosed] == ["/event/epcList/0", "/to/0"]
    secrets = [one.secret for one in envelopes if one.secret]
    assert [secret.hex().encode() in bundle.data for secret in secrets] == [True, False, False]
    verdict = verify_bundle(bundle, consortium.trust)
    assert [one.what for one in verdict.findings] == ["content withheld: only its header was shown"]


def test_every_bundle_is_whole_whatever_happened_to_the_registry_later(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    consortium.publish()
    consortium.add_key("duero", "duero second")
    consortium.set_operator("operator")
    consortium.ledger.anchoring.refresh()
    bundle = audit_bundle(consortium.ledger, {STREAM: (1, None)})
    assert len(bundle.changes) < consortium.ledger.anchoring.membership.count
    verify_bundle(bundle, consortium.trust)


def test_a_bundle_leads_to_the_block_that_was_pinned(consortium: Consortium) -> None:
    consortium.register(consortium.envelope())
    consortium.publish()
    consortium.register(consortium.envelope())
    consortium.publish()
    pinned = trust(consortium.ledger, pin=True)
    assert pinned.pinned is not None
    bundle = audit_bundle(consortium.ledger, {STREAM: (1, None)}, pin_block=pinned.pinned[0])
    assert verify_bundle(bundle, pinned).strength is Strength.PINNED
    assert verify_bundle(replace(bundle, headers=()), pinned).strength is Strength.ATTESTED
    with pytest.raises(TooLarge, match="pin an earlier one"):
        audit_bundle(consortium.ledger, {STREAM: (1, None)}, pin_block=bundles.MAX_HEADERS + 100)


def test_a_hundred_statements_of_many_batches_verify_together(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path, rules=Rules(max_checkpoint_entries=30))
    consortium.register(
        *[consortium.envelope() for _ in range(60)], *[consortium.envelope("nordrand", ("duero",)) for _ in range(60)]
    )
    consortium.publish()
    bundle = Bundle.parse(audit_bundle(consortium.ledger, {STREAM: (1, None), OTHER: (1, None)}).data)
    verdict = verify_bundle(bundle, consortium.trust)
    assert (verdict.statements, verdict.anchors, verdict.findings) == (120, 4, ())
    consortium.close()


def test_a_trust_file_names_this_ledger_and_nobody_elses(consortium: Consortium) -> None:
    mine = consortium.trust
    assert Trust.parse(orjson.dumps(mine.as_json())) == mine
    identity = consortium.ledger.anchoring.identity
    assert (mine.chain_id, mine.registry, mine.attestor) == (131_277, identity.registry, identity.attestor)
    assert [one.name for one in mine.witnesses] == [witness("havelmark").name, witness("duero").name]
