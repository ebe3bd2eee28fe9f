"""What a judge of bundles has to say: each record that fails, or what the bundle proves. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_service.checkpoint import Checkpoint
from ledger_service.errors import LedgerError
from ledger_service.evidence.bundle_format import ProvenStatement, StreamSpan
from ledger_service.evidence.trust import Strength

if TYPE_CHECKING:
    from ledger_service.custody import Answer, Custody, Trail

DOES_NOT_PROVE = (
    "that the thing in the box was the thing on the label",
    "that nothing happened that nobody recorded",
    "anything after the block it is known at",
)


CUSTODY_DOES_NOT_PROVE = (
    "that a stream ends where it ends here: a later number may have come since",
    "what was said in statements of which only the header is shown",
)


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
    custody: "CustodyVerdict | None" = None

    @property
    def remarks(self) -> tuple[tuple[str, str], ...]:
        """What the findings say, each thing once, and the first three records that it is true of, in words."""
        found: dict[str, list[str]] = {}
        for one in self.findings:
            found.setdefault(one.what, []).append(one.record)
        return tuple(
            (what, ", ".join(records[:3]) + (f" and {len(records) - 3} more" if len(records) > 3 else ""))
            for what, records in found.items()
        )

    @property
    def does_not_prove(self) -> tuple[str, ...]:
        return DOES_NOT_PROVE if self.custody is None else (*DOES_NOT_PROVE, *CUSTODY_DOES_NOT_PROVE)


@dataclass(frozen=True, slots=True)
class JudgedStatement:
    """A statement that holds: its id, the key that signed it and the time of the block that anchored it (ms)."""

    proven: ProvenStatement
    digest: bytes
    signer: bytes
    anchored_at: int
    is_disputed: bool


@dataclass(frozen=True, slots=True)
class ChainUnit:
    """A unit of the chain as a certificate shows it: `steps` without its opening, the last custodian's address.

    `thing` is None where no statement shown says what it is; `custodian` is None for one that was never opened.
    """

    unit: bytes
    thing: str | None
    steps: int
    custodian: bytes | None
    is_closed: bool
    certified_at: tuple[int, int]


@dataclass(frozen=True, slots=True)
class CustodyVerdict:
    """What the record of some things comes to, as known at `at` (ms), the block time of the newest anchor.

    `answer` is None where nobody can say: nothing shown tells of the things in `untold`. `policy` is the statement of
    the policy in force, None for the one that holds where none was voted. `unseen` statements were shown by their
    headers alone. `custody` is the whole fold; `signers` has the member and the key behind each statement.
    """

    things: tuple[str, ...]
    at: int
    answer: "Answer | None"
    trail: "Trail"
    custody: "Custody"
    policy: bytes | None
    chain: tuple[ChainUnit, ...]
    untold: tuple[str, ...]
    unseen: int
    signers: Mapping[str, tuple[bytes, bytes]]
