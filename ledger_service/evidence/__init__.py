"""Evidence: receipts, audit bundles and trust files, and the one judge of them. Pure, offline.

A bundle is judged against a trust file and nothing else. Its statements are all proven under one signed checkpoint, the
*head*; each anchor's checkpoint is proven to be a prefix of the head, so an entry below an anchor's size was in the
log when that anchor's block was made. Formats are in `docs/formats.md`; `trust` reads the trust file, `bundle_format`
and `custody_format` the bundle; `judge` and `custody_judge` judge it, and `verdict` is what they have to say.
"""

from ledger_service.evidence.bundle_format import (
    BUNDLE_FORMAT,
    RECEIPT_FORMAT,
    AnchorProof,
    Bundle,
    ProvenStatement,
    StreamSpan,
    changes_as_json,
    read_changes,
)
from ledger_service.evidence.custody_format import CertificateProof, CustodySection, UnitSteps
from ledger_service.evidence.judge import CLOCK_TOLERANCE_SECONDS, verify_bundle, void_reason
from ledger_service.evidence.trust import STRENGTH_MEANS, TRUST_FORMAT, Strength, Trust
from ledger_service.evidence.verdict import (
    DOES_NOT_PROVE,
    BundleRefused,
    ChainUnit,
    CustodyVerdict,
    Failure,
    Finding,
    Verdict,
)

__all__ = [
    "BUNDLE_FORMAT",
    "CLOCK_TOLERANCE_SECONDS",
    "DOES_NOT_PROVE",
    "RECEIPT_FORMAT",
    "STRENGTH_MEANS",
    "TRUST_FORMAT",
    "AnchorProof",
    "Bundle",
    "BundleRefused",
    "CertificateProof",
    "ChainUnit",
    "CustodySection",
    "CustodyVerdict",
    "Failure",
    "Finding",
    "ProvenStatement",
    "StreamSpan",
    "Strength",
    "Trust",
    "UnitSteps",
    "Verdict",
    "changes_as_json",
    "read_changes",
    "verify_bundle",
    "void_reason",
]
