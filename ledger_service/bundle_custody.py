"""Putting a record of custody together: the bundle by which a stranger judges who held what, and whether all is there.

Every number of each stream that is touched goes in, its header at least, so that nothing can be left out unseen; of
the contents only those of the trail, as far as the reader may see them. The steps of each unit go in as the chain took
them, with a certificate that there is no other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from ledger_service import blocks
from ledger_service.bundle import (
    MAX_STATEMENTS,
    NotYetAnchored,
    Showing,
    TooLarge,
    assemble,
    best_head,
    runs,
)
from ledger_service.evidence import BUNDLE_FORMAT, Bundle, CertificateProof, CustodySection, StreamSpan, UnitSteps
from ledger_service.evidence.custody_judge import chain_units
from ledger_service.handoffs import NO_HEAD, Closing, HandOff, TakenStep
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger, Record, UnknownStatement, record_of
from ledger_service.membership import Kind
from ledger_service.sight import Sight
from ledger_service.store.tables import anchor, statement
from ledger_service.trails import Direction, Trails

MAX_THINGS = 1_000
"""How many things a genealogy may comprise: their streams come whole."""

Taken = Callable[[Sequence[bytes]], Mapping[bytes, Sequence[TakenStep]]]
"""The steps of some units as the chain took them, in order."""
Certify = Callable[[Sequence[bytes]], Sequence[CertificateProof]]
"""Has the chain say where some units stand, in the newest anchor's block or a later one."""


@dataclass(frozen=True, slots=True)
class Made:
    """A record as it was put together; `hidden` statements about it are not for its reader."""

    bundle: Bundle
    hidden: int


def custody_bundle(
    ledger: Ledger,
    trails: Trails,
    things: Iterable[str],
    sight: Sight | None,
    showing: Showing,
    certify: Certify,
    taken: Taken,
    *,
    genealogy: bool = False,
    pin_block: Callable[[], int] | None = None,
) -> Made:
    """The record of `things` (keys of identifiers) for a reader who has `sight` (None: all) and is shown what `showing`
    says; with `genealogy` that of all that they came from and went into as well.

    `pin_block` is asked, when all has been certified, for the block up to which the headers are to lead.
    Raises UnknownThing, NotYetAnchored, TooLarge, ChainUnavailable.
    """
    unread = trails.catch_up()
    if unread:
        raise NotYetAnchored(f"{unread} statements have not been looked through yet: ask again in a moment")
    asked = _genealogy(trails, things, sight) if genealogy else sorted(set(things))
    gathered = trails.gather(asked, sight)
    named = chain_units(trails.facts(gathered.records))
    units = sorted({*gathered.units, *(unit for unit, thing in named.items() if thing in gathered.things)})
    # First where they stand and then by which steps: what the chain takes in between is left out again.
    certificates = certify(units) if units else ()
    pinned = None if pin_block is None else pin_block()
    streams = _streams_of_steps(ledger, taken(units), {one.digest for one in gathered.records}, sight)
    made = record_bundle(
        ledger, asked, gathered.records, certificates, taken, showing, streams=streams, pin_block=pinned
    )
    return Made(made, gathered.hidden)


def _genealogy(trails: Trails, things: Iterable[str], sight: Sight | None) -> list[str]:
    """`things`, and all that they went into and came from."""
    found = set(things)
    for thing in sorted(found):
        for direction in Direction:
            after = None
            while True:
                page = trails.lineage(thing, direction, sight, after, 500)
                found.update(page.items)
                if len(found) > MAX_THINGS:
                    raise TooLarge(f"its genealogy has more than {MAX_THINGS} things: ask for single units")
                after = page.after
                if after is None:
                    break
    return sorted(found)


def record_bundle(
    ledger: Ledger,
    things: Iterable[str],
    trail: Iterable[Record],
    certificates: Sequence[CertificateProof],
    taken: Taken,
    showing: Showing,
    *,
    streams: Iterable[bytes] = (),
    pin_block: int | None = None,
) -> Bundle:
    """The record of `things` (keys of identifiers): the statements of their `trail`, and the steps of their units.

    `certificates` were made in or after the newest anchor's block, and before this is called; of the units in them the
    steps are `taken` up to there. `streams` go in as well, by their headers. The head is the newest checkpoint with the
    most cosignatures among those that cover the trail. Raises UnknownStatement, NotYetAnchored, TooLarge.
    """
    told = {one.position: one for one in trail}
    if not told:
        raise UnknownStatement("nothing is registered here that you may see and that tells of it")
    with ledger.store.read() as connection:
        anchored = connection.execute(sa.select(sa.func.max(anchor.c.size))).scalar() or 0
        waiting = [one for position, one in told.items() if position >= anchored]
        if waiting:
            raise NotYetAnchored(f"{len(waiting)} statements of this trail are not anchored yet: ask again in a moment")
        told |= {one.position: one for one in _policies(ledger, connection, anchored)}
        head = best_head(connection, max(told))
        records: list[Record] = []
        spans: list[StreamSpan] = []
        for stream in sorted({one.header.stream for one in told.values()} | set(streams)):
            found = _all_numbers(connection, stream, head, MAX_STATEMENTS - len(records))
            records += found
            spans += [StreamSpan(stream, *span) for span in runs([one.header.sequence for one in found])]
        made = assemble(
            ledger,
            connection,
            records,
            spans,
            head,
            lambda record: showing(record) if record.position in told else _single_fields(showing(record)),
            pin_block,
            BUNDLE_FORMAT,
        )
    section = CustodySection(tuple(sorted(set(things))), _steps_of(ledger, certificates, taken), tuple(certificates))
    return replace(made, custody=section)


def _single_fields(shown: bool | Sequence[str]) -> bool | Sequence[str]:
    """What is shown of a statement that its reader does not see whole: the fields that were granted one by one."""
    return False if shown is True else shown


def _streams_of_steps(
    ledger: Ledger, taken: Mapping[bytes, Sequence[TakenStep]], known: set[bytes], sight: Sight | None
) -> list[bytes]:
    """The streams of statements that the chain's steps name and that the reader sees by their headers only.

    With their headers here, such a step is one whose content was withheld; without, nobody can tell it from one that
    was never explained.
    """
    named: set[bytes] = set()
    for step in (one.step for steps in taken.values() for one in steps):
        if isinstance(step, HandOff):
            named |= {step.offer.statement, step.acceptance}
        elif isinstance(step, Closing):
            named.add(step.statement)
    wanted = sorted(named - known)
    streams: set[bytes] = set()
    with ledger.store.read() as connection:
        for at in range(0, len(wanted), 500):
            query = sa.select(statement).where(statement.c.digest.in_(wanted[at : at + 500]))
            found = [record_of(row) for row in connection.execute(query)]
            streams |= {
                one.header.stream
                for one in found
                if sight is None or sight.shown(one.header.stream, one.position) is not None
            }
    return sorted(streams)


def _policies(ledger: Ledger, connection: sa.Connection, anchored: int) -> list[Record]:
    """The policies of custody that were voted in force: whoever is judged by one may read it."""
    changes = ledger.anchoring.membership.changes
    approved = [one.data for one in changes if one.kind == Kind.APPROVED]
    found: list[Record] = []
    for at in range(0, len(approved), 500):
        query = sa.select(statement).where(
            statement.c.digest.in_(approved[at : at + 500]),
            statement.c.kind == "custody-policy",
            statement.c.position < anchored,
        )
        found += [record_of(row) for row in connection.execute(query)]
    return found


def _all_numbers(connection: sa.Connection, stream: bytes, head: int, room: int) -> list[Record]:
    """The statements of a stream below the checkpoint of `head`, by number."""
    query = (
        sa.select(statement)
        .where(statement.c.stream == stream, statement.c.position < head)
        .order_by(statement.c.sequence)
        .limit(room + 1)
    )
    found = [record_of(row) for row in connection.execute(query)]
    if len(found) > room:
        raise TooLarge(
            f"a bundle holds at most {MAX_STATEMENTS} statements, and the streams of this record have more: ask for"
            " fewer units"
        )
    return found


def _steps_of(ledger: Ledger, certificates: Sequence[CertificateProof], taken: Taken) -> tuple[UnitSteps, ...]:
    """The steps up to what each certificate says: the chain may have taken more since."""
    identity = ledger.anchoring.identity
    consensus = blocks.Consensus.QBFT if identity.validators else blocks.Consensus.PLAIN
    found: dict[bytes, UnitSteps] = {}
    for proof in certificates:
        receipt = blocks.verify_receipt(
            blocks.Header.parse(proof.header, consensus), proof.receipt_index, proof.receipt_proof
        )
        steps = taken(proof.units)
        for unit in proof.units:
            standing = blocks.certified_standing(receipt, identity.custody, unit)
            until = standing.sequence if standing.head != NO_HEAD else -1
            known = tuple(one for one in steps.get(unit, ()) if one.sequence <= until)
            if (known[-1].head if known else NO_HEAD) != standing.head:
                raise NotYetAnchored(f"the last steps of unit {to_hex(unit)} have not been read from the chain yet")
            found[unit] = UnitSteps(unit, known)
    return tuple(found[unit] for unit in sorted(found))
