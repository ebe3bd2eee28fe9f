"""Anchoring: from registered statements to a checkpoint that the chain has taken, exactly once, whatever fails.

One checkpoint is under way at a time. It is stored together with its tiles and with the signed transaction that will
anchor it, in one database transaction, before anything is sent; from then on only these bytes are sent, as often as it
takes. The contract takes nothing that does not extend its last checkpoint, so sending twice anchors once.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from ledger_service import blocks, merkle
from ledger_service.chain.errors import ChainUnavailable, NonceTaken, TransactionRefused, TransactionUnderpriced
from ledger_service.chain.port import AnchorEvidence, Chain, SignedTransaction
from ledger_service.checkpoint import Checkpoint, MalformedNote, Note, NoteKey, NoteSignature, VerifierKey
from ledger_service.errors import LedgerError
from ledger_service.keys import Signer, keccak, to_hex
from ledger_service.membership import Change, Membership, fold
from ledger_service.statements import log_entry
from ledger_service.store import Store
from ledger_service.store.tables import anchor, attempt, change, checkpoint, cosignature, network, statement, tile

_RUNBOOK = "docs/operating.md has the recovery"


class Divergence(LedgerError):
    """The ledger and the chain do not tell the same history; nothing is written until a person has decided."""


class ChainReplaced(Divergence):
    """This is not the chain that the ledger was founded on, or it was rewritten below the last anchor."""


class ChainBehind(Divergence):
    """The chain has lost anchors that the ledger knows of: it was restored from an older copy."""


class DatabaseBehind(Divergence):
    """The chain has anchors that the ledger does not know: the database was restored from an older copy."""


class HistoryForked(Divergence):
    """Chain and ledger have different trees of one size."""


class WrongNetwork(LedgerError):
    """The database belongs to another origin, log key or network than the settings say."""


class AnchorRefused(LedgerError):
    """The chain will not take the checkpoint under way; `reason` says why. It is tried again when asked."""

    def __init__(self, size: int, reason: str) -> None:
        super().__init__(f"the checkpoint of {size} statements was refused by the chain: {reason}")
        self.size = size
        self.reason = reason


class UnknownCheckpoint(LedgerError):
    """There is no checkpoint of that size here."""


class UnknownWitness(LedgerError):
    """A cosignature by nobody this ledger takes for a witness, or not on this checkpoint."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """A checkpoint that has become final: entries previous_size…size-1 are anchored in block `block_number`."""

    size: int
    previous_size: int
    block_number: int


@dataclass(frozen=True, slots=True)
class _Pending:
    """The checkpoint under way and the transaction that shall anchor it."""

    size: int
    root: bytes
    previous_size: int
    number: int
    transaction: SignedTransaction | None


class Anchoring:
    """The lane from the store to the chain, for one origin."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        origin: str,
        log_key: NoteKey,
        operator: Signer,
        max_entries: int,
        steps: Callable[[str], None],
    ) -> None:
        """Compare store and chain both ways and take up where they stand.

        Raises WrongNetwork or a Divergence before anything is written, ChainUnavailable when the chain cannot be asked.
        """
        self.origin = origin
        self.origin_id = keccak(origin.encode())
        self.chain = chain
        self.tree = merkle.TiledTree(self._read_tile)
        self._store = store
        self._log_key = log_key
        self._operator = operator
        self._max_entries = max_entries
        self._steps = steps
        self.lane = threading.Lock()
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._reading = threading.Lock()
        self.last_error: str | None = None
        self.identity = chain.identity()
        is_founded = self._compare_network()
        with store.read() as connection:
            self.anchored_size = connection.execute(sa.select(sa.func.max(anchor.c.size))).scalar() or 0
            self.checkpoint_size = connection.execute(sa.select(sa.func.max(checkpoint.c.size))).scalar() or 0
        self._compare_history()
        self.membership = self._stored_membership()
        self._compare_registry()
        if not is_founded:
            with store.write() as connection:
                connection.execute(sa.insert(network).values(id=1, **self._network()))
        self.refresh()

    # -- the registry --------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the chain's head and take over membership changes that the store does not have yet."""
        with self._reading:
            self._refresh()

    def _refresh(self) -> None:
        self._head_block = self.chain.head().number
        while True:
            last = self.membership.changes[-1].block_number if self.membership.changes else 0
            fresh = self.chain.changes(self.membership.count, from_block=last)
            if not fresh:
                return
            news = [one.change for one in fresh]
            grown = fold([*self.membership.changes, *news])
            grown.check_head(grown.count, fresh[-1].head)
            with self._store.write() as connection:
                connection.execute(
                    sa.insert(change),
                    [
                        {
                            "number": one.index,
                            "block_number": one.block_number,
                            "block_time_seconds": one.block_time,
                            "kind": one.kind,
                            "data": one.data,
                        }
                        for one in news
                    ],
                )
            self._steps("changes stored")
            self.membership = grown

    @property
    def next_block(self) -> int:
        """The first block that can anchor what is registered now, as far as is known."""
        return self._head_block + 1

    def _stored_membership(self) -> Membership:
        with self._store.read() as connection:
            rows = connection.execute(sa.select(change).order_by(change.c.number)).all()
        return fold(Change(row.number, row.block_number, row.block_time_seconds, row.kind, row.data) for row in rows)

    # -- publication ---------------------------------------------------------------------------------------------------

    def publish(self, now: int) -> Anchored | None:
        """See Ledger.publish."""
        with self.lane:
            try:
                self.refresh()
                pending = self._pending() or self._make_checkpoint(now)
                done = None if pending is None else self._bring_home(pending)
            except LedgerError as error:
                self.last_error = str(error)
                raise
            self.last_error = None
            return done

    def _make_checkpoint(self, now: int) -> _Pending | None:
        """Store the next checkpoint with its tiles and its transaction; None where nothing new is registered."""
        old = self.checkpoint_size
        with self._store.read() as connection:
            rows = connection.execute(
                sa.select(statement.c.digest, statement.c.signature, statement.c.registered_at)
                .where(statement.c.position >= old, statement.c.position < old + self._max_entries)
                .order_by(statement.c.position)
            ).all()
        if not rows:
            return None
        leaves = [
            merkle.leaf_hash(log_entry(digest, signature, registered_at)) for digest, signature, registered_at in rows
        ]
        size = old + len(leaves)
        changed = self.tree.extended(old, leaves)
        grown = merkle.TiledTree(lambda level, place: changed.get((level, place)) or self._read_tile(level, place))
        root = grown.root(size)
        text = Checkpoint(self.origin, size, root, (self.membership.count, self.membership.head)).text
        note = Note(text, (self._log_key.sign(text),))
        path = merkle.consistency_path(grown.node, old, size)
        transaction = self._sign(size, root, path)
        with self._store.write() as connection:
            keys = [{"key": level, "at": place} for level, place in changed]
            connection.execute(
                sa.delete(tile).where(tile.c.level == sa.bindparam("key"), tile.c.place == sa.bindparam("at")), keys
            )
            connection.execute(
                sa.insert(tile),
                [{"level": level, "place": place, "hashes": hashes} for (level, place), hashes in changed.items()],
            )
            connection.execute(sa.insert(checkpoint).values(size=size, root=root, note=str(note), made_at=now))
            connection.execute(sa.insert(attempt).values(size=size, number=1, **_row(transaction)))
            self._steps("checkpointing")
        self._tiles.clear()
        self.checkpoint_size = size
        self._steps("checkpoint stored")
        return _Pending(size, root, old, 1, transaction)

    def _bring_home(self, pending: _Pending) -> Anchored | None:
        """Send the transaction under way and store the proof that it was mined."""
        transaction = pending.transaction
        if transaction is None:
            # A transaction that was given up may have been mined all the same: nonces allow one of them at most.
            evidence = self._mined_after_all(pending)
            if evidence is not None:
                return self._finish(pending, evidence)
            transaction = self._try_again(pending)
        try:
            evidence = self.chain.anchor_of(transaction.hash)
            if evidence is None:
                self._steps("sending")
                self.chain.send(transaction.raw)
                self._steps("transaction sent")
                evidence = self.chain.anchor_of(transaction.hash)
        except TransactionUnderpriced as error:
            # The same nonce again, with today's fee: of two transactions with one nonce at most one is mined.
            self._refuse(
                pending, str(error), self._sign(pending.size, pending.root, self._path(pending), transaction.nonce)
            )
            raise ChainUnavailable(f"the fee had risen, {error}; the next try offers more") from error
        except (NonceTaken, TransactionRefused) as error:
            self._refuse(pending, str(error), None)
            raise AnchorRefused(pending.size, str(error)) from error
        if evidence is None:
            return None
        return self._finish(pending, evidence)

    def _mined_after_all(self, pending: _Pending) -> AnchorEvidence | None:
        with self._store.read() as connection:
            hashes = connection.execute(
                sa.select(attempt.c.transaction_hash).where(attempt.c.size == pending.size)
            ).scalars()
            for transaction_hash in hashes.all():
                try:
                    evidence = self.chain.anchor_of(transaction_hash)
                except TransactionRefused:
                    continue
                if evidence is not None:
                    return evidence
        return None

    def _try_again(self, pending: _Pending) -> SignedTransaction:
        """A new transaction for a checkpoint whose last one was refused for good."""
        latest = self.chain.latest(self.origin_id)
        if latest is not None and latest.size >= pending.size:
            raise HistoryForked(
                f"the chain stands at {latest.size} statements by a transaction this ledger did not send; {_RUNBOOK}"
            )
        transaction = self._sign(pending.size, pending.root, self._path(pending))
        with self._store.write() as connection:
            connection.execute(
                sa.insert(attempt).values(size=pending.size, number=pending.number + 1, **_row(transaction))
            )
        self._steps("attempt stored")
        return transaction

    def _refuse(self, pending: _Pending, reason: str, successor: SignedTransaction | None) -> None:
        with self._store.write() as connection:
            connection.execute(
                sa.update(attempt)
                .where(attempt.c.size == pending.size, attempt.c.number == pending.number)
                .values(refused=reason)
            )
            if successor is not None:
                connection.execute(
                    sa.insert(attempt).values(size=pending.size, number=pending.number + 1, **_row(successor))
                )
        self._steps("attempt refused")

    def _finish(self, pending: _Pending, evidence: AnchorEvidence) -> Anchored:
        event = self._verified(pending, evidence)
        # The registry may have changed in the very block; take that over before anyone judges a key by it.
        self.refresh()
        self.membership.check_head(event.registry_changes, event.registry_head)
        with self._store.write() as connection:
            connection.execute(
                sa.insert(anchor).values(
                    size=pending.size,
                    previous_size=event.previous_size,
                    transaction_hash=evidence.transaction_hash,
                    block_number=evidence.block_number,
                    block_hash=evidence.block_hash,
                    block_time_seconds=evidence.block_time,
                    header=evidence.header,
                    receipt_index=evidence.receipt_index,
                    receipt_proof=blocks.encode_rlp(evidence.receipt_proof),
                    attestation=evidence.attestation,
                    registry_changes=event.registry_changes,
                )
            )
            self._steps("anchoring")
        self.anchored_size = pending.size
        self._steps("anchored")
        return Anchored(pending.size, pending.previous_size, evidence.block_number)

    def _verified(self, pending: _Pending, evidence: AnchorEvidence) -> blocks.AnchoredEvent:
        """The event that the evidence proves, by the verifier that a stranger will use: nothing else is called
        anchored.
        """
        identity = self.identity
        consensus = blocks.Consensus.QBFT if identity.validators else blocks.Consensus.PLAIN
        header = blocks.Header.parse(evidence.header, consensus)
        if identity.attestor is not None:
            blocks.verify_attestation(header.hash, identity.chain_id, evidence.attestation or b"", identity.attestor)
        receipt = blocks.verify_receipt(header, evidence.receipt_index, evidence.receipt_proof)
        event = blocks.anchored_checkpoint(receipt, identity.checkpoints, self.origin_id)
        if (event.size, event.root, event.previous_size) != (pending.size, pending.root, pending.previous_size):
            raise HistoryForked(
                f"transaction {to_hex(evidence.transaction_hash)} anchored {event.size} statements under "
                f"{to_hex(event.root)}, the ledger meant {pending.size} under {to_hex(pending.root)}; {_RUNBOOK}"
            )
        return event

    def _sign(self, size: int, root: bytes, path: Iterable[bytes], nonce: int | None = None) -> SignedTransaction:
        if nonce is None:
            nonce = self.chain.next_nonce(self._operator.address)
        return self.chain.sign_anchor(self.origin_id, size, root, list(path), nonce, self._operator)

    def _path(self, pending: _Pending) -> list[bytes]:
        return merkle.consistency_path(self.tree.node, pending.previous_size, pending.size)

    def _pending(self) -> _Pending | None:
        """The checkpoint under way: the first that is not anchored."""
        with self._store.read() as connection:
            row = connection.execute(
                sa.select(checkpoint.c.size, checkpoint.c.root)
                .where(checkpoint.c.size > self.anchored_size)
                .order_by(checkpoint.c.size)
                .limit(1)
            ).first()
            if row is None:
                return None
            tried = connection.execute(
                sa.select(attempt).where(attempt.c.size == row.size).order_by(attempt.c.number.desc()).limit(1)
            ).one()
        transaction = None
        if tried.refused is None:
            transaction = SignedTransaction(tried.raw, tried.transaction_hash, tried.nonce, self._operator.address)
        return _Pending(row.size, row.root, self.anchored_size, tried.number, transaction)

    # -- witnesses -----------------------------------------------------------------------------------------------------

    def note(self, size: int | None = None) -> Note:
        """The checkpoint of `size`, by default the latest, with every cosignature there is; raises
        UnknownCheckpoint.
        """
        with self._store.read() as connection:
            query = sa.select(checkpoint.c.size, checkpoint.c.note)
            query = (
                query.where(checkpoint.c.size == size) if size is not None else query.order_by(checkpoint.c.size.desc())
            )
            row = connection.execute(query.limit(1)).first()
            if row is None:
                raise UnknownCheckpoint(
                    "there is no checkpoint yet" if size is None else f"no checkpoint has {size} statements"
                )
            lines = connection.execute(
                sa.select(cosignature.c.line).where(cosignature.c.size == row.size).order_by(cosignature.c.name)
            )
            return Note.parse(row.note).with_signatures(NoteSignature.parse(one.line) for one in lines)

    def cosign(self, size: int, line: str, witnesses: Iterable[VerifierKey], now: int) -> None:
        """See Ledger.cosign."""
        signature = NoteSignature.parse(line)
        text = self.note(size).text
        keys = [key for key in witnesses if (key.name, key.key_id) == (signature.name, signature.key_id)]
        if not keys:
            raise UnknownWitness(f"{signature.name} with key id {signature.key_id.hex()} is no witness of this ledger")
        time = keys[0].verify(Note(text, (signature,)))
        if time is None or time * 1000 > now + 300_000:
            raise MalformedNote("a cosignature states the time it was made, and that is not in the future")
        with self._store.write() as connection:
            connection.execute(
                sa.delete(cosignature).where(cosignature.c.size == size, cosignature.c.name == signature.name)
            )
            connection.execute(sa.insert(cosignature).values(size=size, name=signature.name, line=line))
        self._steps("cosigned")

    # -- the stored tree -----------------------------------------------------------------------------------------------

    def _read_tile(self, level: int, place: int) -> bytes:
        known = self._tiles.get((level, place))
        if known is not None:
            return known
        with self._store.read() as connection:
            hashes = connection.execute(
                sa.select(tile.c.hashes).where(tile.c.level == level, tile.c.place == place)
            ).scalar()
        if hashes is None:
            return b""
        if len(hashes) == merkle.TILE_WIDTH * merkle.HASH_BYTES:
            # Full tiles never change.
            if len(self._tiles) >= 1024:
                self._tiles.clear()
            self._tiles[level, place] = hashes
        found: bytes = hashes
        return found

    # -- at the start --------------------------------------------------------------------------------------------------

    def _network(self) -> dict[str, object]:
        return {
            "origin": self.origin,
            "log_key": self._log_key.verifier.text,
            "chain_id": self.identity.chain_id,
            "genesis_hash": self.identity.genesis_hash,
            "registry": self.identity.registry,
            "checkpoints": self.identity.checkpoints,
            "custody": self.identity.custody,
            "registry_code_hash": self.identity.registry_code_hash,
            "checkpoints_code_hash": self.identity.checkpoints_code_hash,
            "custody_code_hash": self.identity.custody_code_hash,
            "attestor": self.identity.attestor,
        }

    def _compare_network(self) -> bool:
        """Whether the ledger was founded; raises unless it was founded on this network."""
        with self._store.read() as connection:
            row = connection.execute(sa.select(network)).mappings().first()
        if row is None:
            return False
        for name, value in self._network().items():
            if row[name] != value:
                error = WrongNetwork if name in ("origin", "log_key") else ChainReplaced
                raise error(
                    f"the {name.replace('_', ' ')} is {_shown(value)}, this ledger was founded with "
                    f"{_shown(row[name])}; {_RUNBOOK}"
                )
        return True

    def _compare_history(self) -> None:
        latest = self.chain.latest(self.origin_id)
        size, root = (0, merkle.EMPTY_ROOT) if latest is None else (latest.size, latest.root)
        with self._store.read() as connection:
            mine = connection.execute(sa.select(checkpoint.c.root).where(checkpoint.c.size == size)).scalar()
            last = connection.execute(sa.select(anchor).order_by(anchor.c.size.desc()).limit(1)).first()
        if size < self.anchored_size:
            raise ChainBehind(
                f"the chain's last checkpoint has {size} statements, the ledger saw {self.anchored_size} anchored: "
                f"the chain was restored from an older copy; {_RUNBOOK}"
            )
        if size > self.checkpoint_size:
            raise DatabaseBehind(
                f"the chain's last checkpoint has {size} statements, the ledger's own {self.checkpoint_size}: "
                f"the database was restored from an older copy; {_RUNBOOK}"
            )
        if size and mine != root:
            raise HistoryForked(f"chain and ledger have different trees at {size} statements, or none here; {_RUNBOOK}")
        if last is not None:
            found = self.chain.headers(last.block_number, last.block_number)
            if found != [last.header]:
                raise ChainReplaced(
                    f"block {last.block_number}, which anchored {last.size} statements, is another block now; "
                    f"{_RUNBOOK}"
                )

    def _compare_registry(self) -> None:
        """Raise unless the chain knows the last membership change that the ledger knows."""
        known = self.membership
        if not known.count:
            return
        before = known.changes[-2].block_number if known.count > 1 else 0
        found = self.chain.changes(known.count - 1, limit=1, from_block=before)
        if not found:
            raise ChainBehind(
                f"the ledger knows {known.count} membership changes, the chain fewer: it was restored from an older"
                f" copy; {_RUNBOOK}"
            )
        if found[0].head != known.head:
            raise HistoryForked(f"membership change {known.count} is another on the chain; {_RUNBOOK}")

    def close(self) -> None:
        self.chain.close()


def _row(transaction: SignedTransaction) -> dict[str, object]:
    return {"transaction_hash": transaction.hash, "nonce": transaction.nonce, "raw": transaction.raw}


def _shown(value: object) -> str:
    return to_hex(value) if isinstance(value, bytes) else str(value)
