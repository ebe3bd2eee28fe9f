"""A member's own store: the streams it numbers, the envelopes it has signed, and what it has seen of the log.

Everything is on disk before it is used: an envelope before it is first sent, so that a lost answer is asked again
with the same bytes; a stream's number together with the envelope that takes it, so that no crash gives one number to
two statements; a witness's word before it leaves the house, so that it is never given twice. One SQLite file, one
writer at a time.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from ledger_service.checkpoint import Checkpoint
from ledger_service.envelope import MAX_ENVELOPE_BYTES, Envelope
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import Signer, to_hex
from ledger_service.statements import SECRET_BYTES, Domain, audience

DEFAULT_SOURCE = "default"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS stream (
    id BLOB PRIMARY KEY, network BLOB NOT NULL, issuer BLOB NOT NULL, source TEXT NOT NULL, audience BLOB NOT NULL,
    next INTEGER NOT NULL, UNIQUE (network, issuer, source, audience)
);
CREATE TABLE IF NOT EXISTS envelope (
    position INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, stream BLOB NOT NULL REFERENCES stream,
    sequence INTEGER NOT NULL, network BLOB NOT NULL, data BLOB NOT NULL,
    state TEXT NOT NULL, registered_at INTEGER, reason TEXT
);
CREATE INDEX IF NOT EXISTS envelope_by_state ON envelope (network, state, position);
CREATE INDEX IF NOT EXISTS envelope_by_number ON envelope (stream, sequence);
CREATE INDEX IF NOT EXISTS refused_number ON envelope (stream, sequence) WHERE state = 'refused';
CREATE TABLE IF NOT EXISTS promise (position INTEGER PRIMARY KEY, network BLOB NOT NULL, note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, checkpoint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cosigned (
    origin TEXT NOT NULL, witness TEXT NOT NULL, checkpoint TEXT NOT NULL, line TEXT NOT NULL,
    PRIMARY KEY (origin, witness)
);
"""


class UnreadableOutbox(LedgerError):
    """A file that is no outbox, or one that cannot be opened."""


class State(StrEnum):
    """What is known of an envelope's fate."""

    WAITING = "waiting"
    REGISTERED = "registered"
    REFUSED = "refused"
    TAKEN = "taken"
    """Its number holds another statement at the ledger: this one must be signed again under the next."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An envelope in the outbox. `data` are the bytes that are sent, the first time and every other time."""

    position: int
    digest: bytes
    stream: bytes
    sequence: int
    data: bytes
    state: State
    registered_at: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Draft:
    """What shall be signed: the content with its audience in `to`, its kind, and the text it was read from."""

    content: dict[str, Any]
    kind: str = "epcis-event"
    original: str | None = None


class Outbox:
    """The outbox in one file; `open` it in a with block."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """The outbox at `path`, made where there is none; raises UnreadableOutbox."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise UnreadableOutbox(f"{path} cannot be used as an outbox: {error}") from error
        return cls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    # -- signing -------------------------------------------------------------------------------------------------------

    def sign(
        self,
        drafts: Sequence[Draft],
        *,
        issuer: bytes,
        signer: Signer,
        domain: Domain,
        now: int,
        random: Callable[[int], bytes],
        source: str = DEFAULT_SOURCE,
    ) -> list[Envelope]:
        """Each draft as the next statement of its stream, signed, numbered and on disk when this returns; all or none.

        A stream is one issuer, one `source` and one audience; its id is drawn from `random` when it is first used. A
        number whose statement was refused is given out again. `now` is ms UTC.
        """
        sealed: list[Envelope] = []
        with self.transaction():
            for draft in drafts:
                members = audience(draft.content)
                stream = self._stream(domain, issuer, source, members, random)
                envelope = Envelope.seal(
                    draft.content,
                    issuer=issuer,
                    kind=draft.kind,
                    stream=stream,
                    sequence=self._take_number(stream),
                    issued_at=now,
                    secret=random(SECRET_BYTES),
                    signer=signer,
                    domain=domain,
                    original=draft.original,
                )
                self._keep(envelope, domain)
                sealed.append(envelope)
        return sealed

    def _stream(
        self, domain: Domain, issuer: bytes, source: str, members: list[bytes], random: Callable[[int], bytes]
    ) -> bytes:
        key = (domain.separator, issuer, source, b"".join(members))
        row = self._connection.execute(
            "SELECT id FROM stream WHERE (network, issuer, source, audience) = (?, ?, ?, ?)", key
        ).fetchone()
        if row is not None:
            return bytes(row["id"])
        fresh = random(32)
        self._connection.execute("INSERT INTO stream VALUES (?, ?, ?, ?, ?, 1)", (fresh, *key))
        return fresh

    def _take_number(self, stream: bytes) -> int:
        freed = self._connection.execute(
            "SELECT sequence FROM envelope AS one WHERE stream = ? AND state = 'refused'"
            " AND NOT EXISTS (SELECT 1 FROM envelope"
            " WHERE stream = one.stream AND sequence = one.sequence AND state <> 'refused')"
            " ORDER BY sequence LIMIT 1",
            (stream,),
        ).fetchone()
        if freed is not None:
            return int(freed["sequence"])
        row = self._connection.execute("SELECT next FROM stream WHERE id = ?", (stream,)).fetchone()
        self._connection.execute("UPDATE stream SET next = next + 1 WHERE id = ?", (stream,))
        return int(row["next"])

    def _keep(self, envelope: Envelope, domain: Domain) -> None:
        header, data = envelope.header, envelope.data
        if len(data) > MAX_ENVELOPE_BYTES:
            raise MalformedInput(f"an envelope has at most {MAX_ENVELOPE_BYTES} bytes, this one would have {len(data)}")
        self._connection.execute(
            "INSERT INTO envelope (digest, stream, sequence, network, data, state) VALUES (?, ?, ?, ?, ?, ?)",
            (
                header.digest(domain),
                header.stream,
                header.sequence,
                domain.separator,
                data,
                State.WAITING,
            ),
        )

    def adopt(self, envelopes: Iterable[Envelope], domain: Domain) -> None:
        """Take in envelopes that were signed elsewhere with this member's keys, to be sent, known ones once more."""
        with self.transaction():
            for envelope in envelopes:
                header = envelope.header
                digest = header.digest(domain)
                if self.find(digest) is not None:
                    self._connection.execute(
                        "UPDATE envelope SET state = ?, reason = NULL WHERE digest = ?", (State.WAITING, digest)
                    )
                    continue
                # Named after its id: no source of this outbox ever continues it.
                self._connection.execute(
                    "INSERT INTO stream VALUES (?, ?, ?, ?, x'', ?)"
                    " ON CONFLICT (id) DO UPDATE SET next = max(next, excluded.next)",
                    (header.stream, domain.separator, header.issuer, to_hex(header.stream), header.sequence + 1),
                )
                self._keep(envelope, domain)

    def streams(self, domain: Domain, source: str | None = None) -> list[tuple[bytes, str]]:
        """The id and source of each stream of this network."""
        rows = self._connection.execute(
            "SELECT id, source FROM stream WHERE network = ? ORDER BY source, id", (domain.separator,)
        )
        return [(bytes(row["id"]), row["source"]) for row in rows if source in (None, row["source"])]

    # -- sending -------------------------------------------------------------------------------------------------------

    def waiting(self, domain: Domain, limit: int, max_bytes: int) -> list[Kept]:
        """The oldest envelopes for this network whose fate is unknown, at most `limit` and `max_bytes` of them."""
        rows = self._connection.execute(
            "SELECT * FROM envelope WHERE network = ? AND state = ? ORDER BY position LIMIT ?",
            (domain.separator, State.WAITING, limit),
        )
        found: list[Kept] = []
        size = 0
        for row in rows:
            one = _kept(row)
            size += len(one.data) + 1
            if found and size > max_bytes:
                break
            found.append(one)
        return found

    def count(self, domain: Domain, state: State) -> int:
        """How many envelopes for this network are in `state`."""
        row = self._connection.execute(
            "SELECT count(*) AS number FROM envelope WHERE network = ? AND state = ?", (domain.separator, state)
        ).fetchone()
        return int(row["number"])

    def find(self, digest: bytes) -> Kept | None:
        """The envelope with this digest, or None."""
        row = self._connection.execute("SELECT * FROM envelope WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else _kept(row)

    def settle(
        self,
        registered: Iterable[tuple[bytes, int]],
        refused: Iterable[tuple[bytes, State, str]] = (),
        *,
        domain: Domain,
        promise: str | None = None,
    ) -> None:
        """Note what the ledger answered: (digest, registration time in ms) and (digest, state, reason), with its
        promise.
        """
        with self.transaction():
            self._connection.executemany(
                "UPDATE envelope SET state = ?, registered_at = ?, reason = NULL WHERE digest = ?",
                [(State.REGISTERED, time, digest) for digest, time in registered],
            )
            self._connection.executemany(
                "UPDATE envelope SET state = ?, reason = ? WHERE digest = ?",
                [(state, reason, digest) for digest, state, reason in refused],
            )
            if promise is not None:
                self._connection.execute(
                    "INSERT INTO promise (network, note) VALUES (?, ?)", (domain.separator, promise)
                )

    # -- the log -------------------------------------------------------------------------------------------------------

    def last_seen(self, origin: str) -> Checkpoint | None:
        """The largest checkpoint of `origin` that was ever seen and believed here."""
        row = self._connection.execute("SELECT * FROM seen WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Checkpoint.parse(row["checkpoint"])

    def see(self, checkpoint: Checkpoint) -> None:
        """Remember `checkpoint`, which must extend the last one; see LedgerClient.follow."""
        with self.transaction():
            self._connection.execute(
                "INSERT INTO seen VALUES (?, ?, ?)"
                " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, checkpoint = excluded.checkpoint"
                " WHERE excluded.size >= seen.size",
                (checkpoint.origin, checkpoint.size, checkpoint.text),
            )

    def last_cosigned(self, origin: str, witness: str) -> tuple[Checkpoint, str] | None:
        """The checkpoint of `origin` that `witness` cosigned last, and its signature line."""
        row = self._connection.execute(
            "SELECT * FROM cosigned WHERE origin = ? AND witness = ?", (origin, witness)
        ).fetchone()
        return None if row is None else (Checkpoint.parse(row["checkpoint"]), row["line"])

    def cosign(self, witness: str, before: Checkpoint | None, checkpoint: Checkpoint, line: str) -> bool:
        """Remember a cosignature; False, with nothing kept, where another process has cosigned since `before` was
        read.
        """
        with self.transaction():
            known = self.last_cosigned(checkpoint.origin, witness)
            if (known[0] if known else None) != before:
                return False
            self._connection.execute(
                "INSERT OR REPLACE INTO cosigned VALUES (?, ?, ?, ?)",
                (checkpoint.origin, witness, checkpoint.text, line),
            )
        return True

    @property
    def connection(self) -> sqlite3.Connection:
        """The file, for what a member keeps beside its envelopes and must be on disk together with them."""
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is done in the block is on disk when it ends, or none of it; one inside another is part of it."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _kept(row: sqlite3.Row) -> Kept:
    return Kept(
        row["position"],
        bytes(row["digest"]),
        bytes(row["stream"]),
        row["sequence"],
        bytes(row["data"]),
        State(row["state"]),
        row["registered_at"],
        row["reason"],
    )


def describe(kept: Kept) -> str:
    """One line about an envelope, for a person."""
    return f"number {kept.sequence} of stream {to_hex(kept.stream)[:10]}…: {kept.state}" + (
        f", {kept.reason}" if kept.reason else ""
    )
