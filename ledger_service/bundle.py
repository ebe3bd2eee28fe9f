"""Putting evidence together: receipts and audit bundles out of the store, for those who may see them."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service import merkle
from ledger_service.blocks import decode_rlp
from ledger_service.checkpoint import Checkpoint, VerifierKey
from ledger_service.errors import LedgerError
from ledger_service.evidence import (
    BUNDLE_FORMAT,
    RECEIPT_FORMAT,
    AnchorProof,
    Bundle,
    ProvenStatement,
    StreamSpan,
    Trust,
    void_reason,
)
from ledger_service.grants import present
from ledger_service.keys import to_hex
from ledger_service.ledger import Ledger, Record, UnknownStatement, record_of
from ledger_service.statements import disclose
from ledger_service.store.tables import anchor, checkpoint, content, cosignature, statement

MAX_STATEMENTS = 100_000
MAX_HEADERS = 10_000

Showing = Callable[[Record], bool | Sequence[str]]
"""How much of a statement's content goes in: all (True), nothing (False), or the fields at and below these pointers."""


class NotYetAnchored(LedgerError):
    """The chain has not taken it yet; ask again in a moment."""


class NumberMissing(LedgerError):
    """A span was asked for in which a number was never registered."""


class TooLarge(LedgerError):
    """More than one bundle holds; ask for fewer streams or a shorter span."""


def show_all(_record: Record) -> bool:
    """Show every content there is."""
    return True


def trust(ledger: Ledger, witnesses: Iterable[VerifierKey] = (), *, pin: bool = False) -> Trust:
    """The trust file of this ledger as its operator knows it; with `pin`, the chain's newest block is pinned.

    Whoever uses it compares its fingerprint with somebody else's first.
    """
    identity = ledger.anchoring.identity
    head = ledger.anchoring.chain.head() if pin else None
    return Trust(
        origin=ledger.origin,
        log_key=ledger.log_key.verifier,
        chain_id=identity.chain_id,
        genesis_hash=identity.genesis_hash,
        registry=identity.registry,
        registry_code_hash=identity.registry_code_hash,
        checkpoints=identity.checkpoints,
        checkpoints_code_hash=identity.checkpoints_code_hash,
        custody=identity.custody,
        custody_code_hash=identity.custody_code_hash,
        validators=identity.validators,
        attestor=identity.attestor,
        pinned=None if head is None else (head.number, head.hash),
        witnesses=tuple(witnesses),
    )


def receipt(ledger: Ledger, digest: bytes, showing: Showing = show_all) -> Bundle:
    """The receipt of one statement: a bundle of one, under the very checkpoint that anchored it.

    One that is void stands under the newest: what voided it may have come later in the very block of its anchor.
    Raises UnknownStatement, or NotYetAnchored. Its cost does not depend on the height of the chain or the size of the
    log.
    """
    record = ledger.record(digest)
    with ledger.store.read() as connection:
        size = connection.execute(sa.select(sa.func.min(anchor.c.size)).where(anchor.c.size > record.position)).scalar()
        if size is None:
            raise NotYetAnchored(f"statement {to_hex(digest)} is {ledger.state(record.position)} and not anchored yet")
        if ledger.void(record) is not None:
            size = connection.execute(sa.select(sa.func.max(anchor.c.size))).scalar_one()
        return assemble(ledger, connection, [record], (), size, showing, 0, RECEIPT_FORMAT)


def audit_bundle(
    ledger: Ledger,
    streams: Mapping[bytes, tuple[int, int | None]],
    showing: Showing = show_all,
    *,
    pin_block: int | None = None,
) -> Bundle:
    """All anchored statements of `streams`, each from a first to a last number (None for the newest anchored one).

    Where the last is left to us, a number that nobody registered, or that is not anchored yet, splits a stream into the
    spans around it, and the verifier finds the gap; where it was named, every number up to it must be there.
    The head is the newest checkpoint with the most cosignatures among those that cover all of them. With `pin_block`
    the bundle carries the block headers that lead from its first anchor to that block. Raises UnknownStatement for an
    unknown stream, NotYetAnchored for one without anchored statements, NumberMissing, TooLarge.
    """
    with ledger.store.read() as connection:
        anchored = connection.execute(sa.select(sa.func.max(anchor.c.size))).scalar() or 0
        records: list[Record] = []
        spans: list[StreamSpan] = []
        for stream_id in sorted(streams):
            first, last = streams[stream_id]
            query = sa.select(statement).where(statement.c.stream == stream_id, statement.c.sequence >= first)
            if last is not None:
                query = query.where(statement.c.sequence <= last)
            query = query.order_by(statement.c.sequence).limit(MAX_STATEMENTS + 1 - len(records))
            found = [record_of(row) for row in connection.execute(query)]
            if not found:
                raise UnknownStatement(f"stream {to_hex(stream_id)} has no such numbers here")
            waiting = [one.header.sequence for one in found if one.position >= anchored]
            held = [one for one in found if one.position < anchored]
            if waiting and (last is not None or not held):
                raise NotYetAnchored(f"number {min(waiting)} of stream {to_hex(stream_id)} is not anchored yet")
            numbers = [one.header.sequence for one in held]
            if last is not None and len(numbers) < last - first + 1 and len(records) + len(numbers) <= MAX_STATEMENTS:
                missing = next(
                    n for n in range(first, last + 1) if n - first >= len(numbers) or numbers[n - first] != n
                )
                raise NumberMissing(
                    f"number {missing} of stream {to_hex(stream_id)} was never registered: ask for what is before and"
                    " after it, or have its issuer close the gap with a void"
                )
            records.extend(held)
            spans.extend(StreamSpan(stream_id, start, end) for start, end in runs(numbers))
            if len(records) > MAX_STATEMENTS:
                raise TooLarge(f"a bundle holds at most {MAX_STATEMENTS} statements: ask for a shorter span")
        if not records:
            raise UnknownStatement("name at least one stream")
        newest = max(one.position for one in records)
        head = best_head(connection, newest)
        return assemble(ledger, connection, records, spans, head, showing, pin_block, BUNDLE_FORMAT)


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The (first, last) of each run of consecutive numbers in an ascending list.

    >>> runs([1, 2, 4])
    [(1, 2), (4, 4)]
    """
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def best_head(connection: sa.Connection, position: int) -> int:
    """The size of the newest anchored checkpoint with the most cosignatures that covers `position`."""
    vouched = sa.func.count(cosignature.c.name)
    size = connection.execute(
        sa.select(anchor.c.size)
        .outerjoin(cosignature, cosignature.c.size == anchor.c.size)
        .where(anchor.c.size > position)
        .group_by(anchor.c.size)
        .order_by(vouched.desc(), anchor.c.size.desc())
        .limit(1)
    ).scalar()
    if size is None:
        raise NotYetAnchored("not all of it is anchored yet")
    found: int = size
    return found


def assemble(
    ledger: Ledger,
    connection: sa.Connection,
    records: Sequence[Record],
    spans: Sequence[StreamSpan],
    head_size: int,
    showing: Showing,
    pin_block: int | None,
    form: str,
) -> Bundle:
    """The bundle of `records` under the checkpoint of `head_size`, each shown as far as `showing` says."""
    tree = ledger.anchoring.tree
    note = ledger.anchoring.note(head_size)
    head = Checkpoint.parse(note.text)
    rows = _anchors_of(connection, records, head_size)
    contents = _contents_of(connection, records)
    anchors = [
        AnchorProof(
            size=row.size,
            root=row.root,
            consistency=tuple(merkle.consistency_path(tree.node, row.size, head.size)),
            transaction_hash=row.transaction_hash,
            header=row.header,
            receipt_index=row.receipt_index,
            receipt_proof=_proof_nodes(row.receipt_proof),
            attestation=row.attestation,
        )
        for row in rows
    ]
    covered = rows[-1].registry_changes
    membership = ledger.anchoring.membership
    if covered != membership.count:
        membership = membership.at(covered)  # as the verifier will know it
    sizes = [row.size for row in rows]
    blocks = [rows[bisect_right(sizes, one.position)].block_number for one in records]
    statements = [
        replace(
            _proven(one, contents.get(one.position), showing, tree, head.size),
            void=void_reason(membership, one.signer, one.header, block),
        )
        for one, block in zip(records, blocks, strict=True)
    ]
    headers: list[bytes] = []
    if pin_block:
        first = rows[0].block_number
        if pin_block - first > MAX_HEADERS:
            raise TooLarge(f"block {pin_block} is over {MAX_HEADERS} blocks from the first anchor: pin an earlier one")
        headers = ledger.anchoring.chain.headers(first, pin_block)
    return Bundle(
        head=note,
        statements=tuple(statements),
        streams=tuple(spans),
        anchors=tuple(anchors),
        changes=membership.changes,
        headers=tuple(headers),
        format=form,
    )


def _anchors_of(connection: sa.Connection, records: Sequence[Record], head_size: int) -> list[Any]:
    """The anchors that first covered each record, and the head's own, oldest first."""
    low, high = min(one.position for one in records), head_size
    sizes = list(
        connection.execute(
            sa.select(anchor.c.size).where(anchor.c.size > low, anchor.c.size <= high).order_by(anchor.c.size)
        ).scalars()
    )
    wanted = sorted({sizes[bisect_right(sizes, one.position)] for one in records} | {head_size})
    rows: list[Any] = []
    for at in range(0, len(wanted), 500):
        rows += connection.execute(
            sa.select(anchor, checkpoint.c.root)
            .join(checkpoint, checkpoint.c.size == anchor.c.size)
            .where(anchor.c.size.in_(wanted[at : at + 500]))
            .order_by(anchor.c.size)
        ).all()
    return rows


def _contents_of(connection: sa.Connection, records: Sequence[Record]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    positions = [one.position for one in records]
    for at in range(0, len(positions), 500):
        chosen = content.c.position.in_(positions[at : at + 500])
        found |= {row.position: row for row in connection.execute(sa.select(content).where(chosen))}
    return found


def _proven(record: Record, held: Any, showing: Showing, tree: merkle.TiledTree, size: int) -> ProvenStatement:
    inclusion = tuple(merkle.inclusion_path(tree.node, record.position, size))
    proven = ProvenStatement(record.header, record.signature, record.registered_at, record.position, inclusion)
    if held is None:
        return proven
    common = (record.header, record.signature, record.registered_at, record.position, inclusion)
    if held.content is None:
        return ProvenStatement(*common, erased_at=held.erased_at)
    shown = showing(record)
    if shown is False:
        return proven
    value = orjson.loads(held.content)
    if shown is True:
        return ProvenStatement(*common, content=value, secret=held.secret)
    # A bundle holds statements of many kinds, and not each has every field that is shown.
    fields = present(value, tuple(shown))
    return ProvenStatement(*common, disclosed=tuple(disclose(value, held.secret, fields))) if fields else proven


def _proof_nodes(encoded: bytes) -> tuple[bytes, ...]:
    nodes = decode_rlp(encoded)
    return tuple(one for one in nodes if isinstance(one, bytes))
