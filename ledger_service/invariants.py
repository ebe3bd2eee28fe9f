"""What must hold of every ledger, each promise re-derived from the stored bytes and from the chain.

Nothing here trusts a counter, a cached root or the code that wrote the rows: digests, signatures, leaves, tiles, roots,
proofs and anchors are computed again. An auditor of the operator runs it as `tallystick check`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from ledger_service import blocks, canonical, merkle
from ledger_service.checkpoint import Checkpoint, Note, NoteSignature
from ledger_service.errors import LedgerError
from ledger_service.handoffs import TakenStep, verify_sequence
from ledger_service.keys import recover, to_hex
from ledger_service.ledger import Ledger, Record, record_of
from ledger_service.membership import Change, fold
from ledger_service.offering import check_offers
from ledger_service.relaying import REFUSED, SENT, TAKEN, WAITING, Relaying
from ledger_service.statements import audience, content_root
from ledger_service.store.tables import (
    anchor,
    attempt,
    change,
    checkpoint,
    content,
    cosignature,
    custody_batch,
    custody_request,
    custody_step,
    fork,
    reader,
    statement,
    stream,
    tile,
)
from ledger_service.trails.checking import check_index

CHUNK = 5_000
LATE_SECONDS = 86_400

Progress = Callable[[int, int], None]
"""Called with how many statements have been looked at, and how many there are."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that does not hold: which one, of which record, and what was found instead."""

    promise: str
    record: str
    found: str

    def __str__(self) -> str:
        return f"{self.record}: {self.promise}; {self.found}"


def check(ledger: Ledger, progress: Progress | None = None, *, relaying: Relaying | None = None) -> list[Violation]:
    """Everything that is wrong with the ledger, its relay, its database and its chain; empty when all holds.

    Reads the whole ledger once, in one consistent view, and keeps 32 bytes of each statement. Registration goes on
    meanwhile, publication waits.
    """
    pause = nullcontext() if relaying is None else relaying.paused()
    with pause, ledger.anchoring.lane, ledger.store.read() as connection:
        walk = _Walk(ledger, connection)
        found = [Violation("the database file is sound", "database", line) for line in ledger.store.integrity()]
        for part in (
            walk.statements(progress or _silent),
            walk.streams(),
            walk.tree(),
            walk.checkpoints(),
            walk.anchors(),
            walk.registry(),
            walk.forks(),
            walk.offers(),
            walk.trails(),
            () if relaying is None else walk.custody(relaying),
        ):
            found.extend(part)
    return found


def _silent(_done: int, _all: int) -> None:
    """No progress bar."""


class _Walk:
    def __init__(self, ledger: Ledger, connection: sa.Connection) -> None:
        self.ledger = ledger
        self.connection = connection
        self.leaves: list[bytes] = []
        self.seen: dict[bytes, tuple[int, int]] = {}
        self.audiences: dict[bytes, bytes] = {}
        self.issuers: dict[bytes, bytes] = {}

    def statements(self, progress: Progress) -> Iterator[Violation]:
        """Each row says what its issuer signed, in the order in which it was registered, without a gap."""
        total = self.connection.execute(sa.select(sa.func.count()).select_from(statement)).scalar() or 0
        last_time, position = 0, 0
        while True:
            rows = self.connection.execute(
                sa.select(statement, content.c.content, content.c.secret, content.c.erased_at)
                .outerjoin(content, content.c.position == statement.c.position)
                .where(statement.c.position >= position)
                .order_by(statement.c.position)
                .limit(CHUNK)
            ).all()
            for row in rows:
                if row.position != len(self.leaves):
                    yield Violation("positions are dense", f"position {row.position}", f"{len(self.leaves)} was due")
                    return
                record = record_of(row)
                yield from self._statement(record, row)
                if record.registered_at < last_time:
                    yield Violation(
                        "time never runs backwards", _name(record), f"{record.registered_at} after {last_time}"
                    )
                last_time = record.registered_at
                self.leaves.append(merkle.leaf_hash(record.leaf))
            if not rows:
                break
            position = rows[-1].position + 1
            progress(position, total)

    def _statement(self, record: Record, row: Any) -> Iterator[Violation]:
        name, header = _name(record), record.header
        if header.digest(self.ledger.domain) != record.digest:
            yield Violation("the id is the digest of the header", name, "the header gives another digest")
        try:
            if recover(record.digest, record.signature) != record.signer:
                yield Violation("the signature is the stored signer's", name, "it leads to another address")
        except LedgerError as error:
            yield Violation("the signature is good", name, str(error))
        highest, count = self.seen.get(header.stream, (0, 0))
        self.seen[header.stream] = max(highest, header.sequence), count + 1
        if self.issuers.setdefault(header.stream, header.issuer) != header.issuer:
            yield Violation("a stream has one issuer", name, f"here it is {to_hex(header.issuer)}")
        if row.content is None:
            if row.secret is not None:
                yield Violation("what is erased is gone", name, "its secret is still there")
            return
        try:
            value = canonical.parse(row.content)
            members = b"".join(audience(value))
            if content_root(value, row.secret) != header.content_root:
                yield Violation("the content is what was signed", name, "it gives another content root")
            if self.audiences.setdefault(header.stream, members) != members:
                yield Violation("a stream has one audience", name, "this statement has another")
        except LedgerError as error:
            yield Violation("the content is in the strict profile", name, str(error))

    def streams(self) -> Iterator[Violation]:
        """Counters and readers of a stream follow from its statements."""
        rows = {row.id: row for row in self.connection.execute(sa.select(stream))}
        readers: dict[bytes, set[bytes]] = {}
        for row in self.connection.execute(sa.select(reader)):
            readers.setdefault(row.stream, set()).add(row.member)
        for key in sorted(rows.keys() | self.seen.keys()):
            name = f"stream {to_hex(key)}"
            if key not in rows or key not in self.seen:
                yield Violation("a stream has statements and a row", name, "one of the two is missing")
                continue
            row, seen = rows[key], self.seen[key]
            if (row.highest, row.registered) != seen:
                yield Violation(
                    "a stream's counters are true", name, f"stored {row.highest}, {row.registered}, found {seen}"
                )
            if row.issuer != self.issuers[key] or row.audience != self.audiences.get(key, row.audience):
                yield Violation("a stream's row names its issuer and audience", name, "the statements say otherwise")
            joined = row.audience or b""
            entitled = {row.issuer, *(joined[at : at + 32] for at in range(0, len(joined), 32))}
            if readers.get(key, set()) != entitled:
                yield Violation("exactly issuer and audience may read a stream", name, "the readers are others")

    def tree(self) -> Iterator[Violation]:
        """The tiles are the tree over the registered leaves, as far as a checkpoint covers them."""
        size = self.connection.execute(sa.select(sa.func.max(checkpoint.c.size))).scalar() or 0
        if size > len(self.leaves):
            yield Violation(
                "checkpoints cover registered statements", f"checkpoint {size}", f"{len(self.leaves)} are there"
            )
            return
        expected = merkle.TiledTree(lambda _level, _place: b"").extended(0, self.leaves[:size])
        for row in self.connection.execute(sa.select(tile)):
            due = expected.pop((row.level, row.place), None)
            if due != row.hashes:
                yield Violation("tiles hold the tree", f"tile {row.level}/{row.place}", "its hashes are others")
        for level, place in expected:
            yield Violation("tiles hold the tree", f"tile {level}/{place}", "it is missing")

    def checkpoints(self) -> Iterator[Violation]:
        """Each checkpoint is signed, covers the tree it names and extends the one before."""
        tree = merkle.TiledTree(_reader_of(merkle.TiledTree(lambda _l, _p: b"").extended(0, self.leaves)))
        previous = 0
        for row in self.connection.execute(sa.select(checkpoint).order_by(checkpoint.c.size)).all():
            name = f"checkpoint {row.size}"
            note = Note.parse(row.note)
            try:
                self.ledger.log_key.verifier.verify(note)
                stated = Checkpoint.parse(note.text)
                if (stated.origin, stated.size, stated.root) != (self.ledger.origin, row.size, row.root):
                    yield Violation("a checkpoint's note says what its row says", name, note.text)
                if stated.registry is None:
                    yield Violation("a checkpoint states the registry", name, "it has no registry line")
                else:
                    self.ledger.anchoring.membership.check_head(*stated.registry)
                if row.size > len(self.leaves):
                    continue
                computed = tree.root(row.size)
                if computed != row.root:
                    yield Violation("a checkpoint's root is the tree's", name, f"the statements give {computed.hex()}")
                elif previous:
                    path = merkle.consistency_path(tree.node, previous, row.size)
                    merkle.verify_consistency(previous, row.size, tree.root(previous), row.root, path)
            except LedgerError as error:
                yield Violation("a checkpoint is signed and extends the one before", name, str(error))
            previous = row.size
            tried = self.connection.execute(sa.select(attempt.c.refused).where(attempt.c.size == row.size)).all()
            open_attempts = sum(one.refused is None for one in tried)
            if not tried or open_attempts > 1:
                yield Violation("one transaction at most is under way", name, f"{open_attempts} of {len(tried)} are")
        witnesses = self.connection.execute(sa.select(cosignature)).all()
        for row in witnesses:
            if NoteSignature.parse(row.line).name != row.name:
                yield Violation("a cosignature is stored under its name", f"cosignature of {row.size}", row.name)

    def anchors(self) -> Iterator[Violation]:
        """Each checkpoint but the one under way was anchored once, and the chain has it still."""
        chain, identity = self.ledger.anchoring.chain, self.ledger.anchoring.identity
        consensus = blocks.Consensus.QBFT if identity.validators else blocks.Consensus.PLAIN
        sizes = list(self.connection.execute(sa.select(checkpoint.c.size).order_by(checkpoint.c.size)).scalars())
        rows = self.connection.execute(
            sa.select(anchor, checkpoint.c.root)
            .join(checkpoint, checkpoint.c.size == anchor.c.size)
            .order_by(anchor.c.size)
        ).all()
        if [row.size for row in rows] != sizes[: len(rows)] or len(sizes) - len(rows) > 1:
            yield Violation(
                "checkpoints are anchored in order, one at a time", "anchors", f"{len(rows)} of {len(sizes)}"
            )
        previous = 0
        for row in rows:
            name = f"anchor of {row.size}"
            try:
                header = blocks.Header.parse(row.header, consensus)
                nodes = blocks.decode_rlp(row.receipt_proof)
                receipt = blocks.verify_receipt(
                    header, row.receipt_index, [one for one in nodes if isinstance(one, bytes)]
                )
                event = blocks.anchored_checkpoint(receipt, identity.checkpoints, self.ledger.anchoring.origin_id)
                if identity.attestor is not None:
                    blocks.verify_attestation(header.hash, identity.chain_id, row.attestation or b"", identity.attestor)
                self.ledger.anchoring.membership.check_head(event.registry_changes, event.registry_head)
            except LedgerError as error:
                yield Violation("an anchor is proven by its receipt", name, str(error))
                continue
            stated = (row.size, row.root, row.previous_size, row.block_number, row.block_hash, row.registry_changes)
            proven = (event.size, event.root, event.previous_size, header.number, header.hash, event.registry_changes)
            if stated != proven:
                yield Violation("an anchor's row says what its receipt proves", name, "the two differ")
            if event.previous_size != previous:
                yield Violation(
                    "each checkpoint is anchored exactly once",
                    name,
                    f"the chain took {event.previous_size} before, not {previous}",
                )
            previous = event.size
            if chain.headers(row.block_number, row.block_number) != [row.header]:
                yield Violation(
                    "the chain still has the anchor's block", name, f"block {row.block_number} is another one"
                )
        latest = chain.latest(self.ledger.anchoring.origin_id)
        on_chain = 0 if latest is None else latest.size
        allowed = {previous, *sizes[len(rows) : len(rows) + 1]}
        if on_chain not in allowed:
            yield Violation(
                "chain and ledger stand at the same checkpoint", "chain", f"{on_chain} there, {previous} here"
            )

    def registry(self) -> Iterator[Violation]:
        """The stored membership changes are the registry's, all of them."""
        rows = self.connection.execute(sa.select(change).order_by(change.c.number)).all()
        try:
            membership = fold(
                Change(row.number, row.block_number, row.block_time_seconds, row.kind, row.data) for row in rows
            )
            for one in self.ledger.anchoring.chain.changes(membership.count - 1):
                if one.change.index == membership.count:
                    membership.check_head(membership.count, one.head)
        except LedgerError as error:
            yield Violation("membership changes fold to the registry's head", "registry", str(error))

    def forks(self) -> Iterator[Violation]:
        """Each kept fork is a second signed statement for a number that another holds."""
        rows = self.connection.execute(
            sa.select(fork, statement.c.stream, statement.c.sequence, statement.c.digest.label("holder")).join(
                statement, statement.c.position == fork.c.position
            )
        )
        for row in rows:
            header = orjson.loads(row.envelope)["header"]
            if (header["stream"], header["sequence"]) != (to_hex(row.stream), row.sequence) or row.digest == row.holder:
                yield Violation(
                    "a fork is kept beside the number's holder", f"fork {to_hex(row.digest)}", "it is not one"
                )

    def custody(self, relaying: Relaying) -> Iterator[Violation]:
        """The steps are the chain's, all of them; every step that was given to the relay is on its way or at an end."""
        chain, followed = self.ledger.anchoring.chain, relaying.followed
        head = chain.final()
        if followed > head.number:
            yield Violation("the chain has the blocks that were read", "custody", f"block {followed} is beyond its end")
            return
        place, first = 0, 0
        tips: dict[bytes, TakenStep] = {}
        while first <= followed:
            last = min(first + CHUNK - 1, followed)
            on_chain = chain.custody_steps(first, last)
            rows = self.connection.execute(
                sa.select(custody_step).where(custody_step.c.block.between(first, last)).order_by(custody_step.c.place)
            ).all()
            stored = [TakenStep.read(orjson.loads(row.step)) for row in rows]
            if stored != on_chain:
                at = next((n for n, pair in enumerate(zip(stored, on_chain, strict=False)) if pair[0] != pair[1]), -1)
                yield Violation(
                    "stored steps are those of the chain",
                    f"blocks {first} to {last}",
                    f"{len(stored)} here, {len(on_chain)} there, the first other one is number {at}",
                )
            for row, step in zip(rows, stored, strict=True):
                name = f"step {step.sequence} of unit {to_hex(step.unit)[:18]}…"
                shown = (step.unit, step.sequence, step.block, step.struct_hash, place)
                if shown != (row.unit, row.sequence, row.block, row.struct_hash, row.place):
                    yield Violation("a step's row says what the step says", name, "the two differ")
                place += 1
                try:
                    step.signed.verify(relaying.domain)
                    verify_sequence([step], tips.get(step.unit))
                except LedgerError as error:
                    yield Violation("a step is signed and follows on the one before", name, str(error))
                tips[step.unit] = step
            first = last + 1
        yield from self._requests(tips, chain.head().timestamp)

    def _requests(self, tips: Mapping[bytes, TakenStep], chain_time: int) -> Iterator[Violation]:
        open_batches = {
            row.number
            for row in self.connection.execute(sa.select(custody_batch).where(custody_batch.c.outcome.is_(None)))
        }
        taken = custody_step.alias()
        rows = self.connection.execute(
            sa.select(custody_request, taken.c.struct_hash.label("taken_hash")).outerjoin(
                taken,
                sa.and_(taken.c.unit == custody_request.c.unit, taken.c.sequence == custody_request.c.sequence),
            )
        )
        for row in rows:
            name = f"step {row.sequence} of unit {to_hex(row.unit)[:18]}… as it was given to the relay"
            tip = tips.get(row.unit)
            if row.state == TAKEN and row.taken_hash != row.struct_hash:
                yield Violation("what counts as taken was taken", name, "the chain has it not")
            elif row.state != TAKEN and row.taken_hash == row.struct_hash:
                yield Violation("what was taken counts as taken", name, f"it is {row.state}")
            elif row.state == REFUSED and not row.reason:
                yield Violation("what is refused has its reason", name, "none is told")
            elif row.state == SENT and row.batch not in open_batches:
                yield Violation("what was sent is under way or settled", name, f"batch {row.batch} is settled")
            elif row.state in (WAITING, SENT) and tip is not None and tip.sequence >= row.sequence:
                yield Violation("nothing waits for a number that is taken", name, f"the unit is at {tip.sequence}")
            elif row.state == WAITING and row.deadline_seconds + LATE_SECONDS < chain_time:
                yield Violation("nothing waits for ever", name, f"its deadline, {row.deadline_seconds}, is long over")
            elif row.state not in (WAITING, SENT, TAKEN, REFUSED):
                yield Violation("a step has one of four states", name, row.state)

    def offers(self) -> Iterator[Violation]:
        for despatch, found in check_offers(self.connection):
            yield Violation("the list of offers follows from the statements", f"despatch {to_hex(despatch)}", found)

    def trails(self) -> Iterator[Violation]:
        """The index of trails says what the statements say, as far as it has come; of a large one a sample."""
        for position, found in check_index(self.connection):
            yield Violation("the index of trails follows from the statements", f"statement {position}", found)


def _reader_of(tiles: dict[tuple[int, int], bytes]) -> merkle.ReadTile:
    return lambda level, place: tiles.get((level, place), b"")


def _name(record: Record) -> str:
    number = record.header.sequence
    return f"statement {record.position} ({to_hex(record.digest)[:18]}…, number {number} of its stream)"
