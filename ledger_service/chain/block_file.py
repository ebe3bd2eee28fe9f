"""The embedded chain's one file: what py-evm keeps, and our own indexes, in SQLite, a transaction a block.

Writes wait in memory until the block is whole and then go to disk together, so that kill -9 or a power cut at any
moment leaves the chain as it was after the last block that was reported as mined.
"""

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from eth.abc import AtomicWriteBatchAPI
from eth.db.atomic import AtomicDBWriteBatch
from eth.db.backends.base import BaseAtomicDB

from ledger_service.chain.errors import ChainFileDamaged, ChainFileInUse

APPLICATION_ID = 0x74616C79  # "taly"
FORMAT = 1

# `state` is py-evm's: trie nodes, headers by hash, the transaction index. The rest is ours.
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE block (
    number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, header BLOB NOT NULL, attestation BLOB NOT NULL
);
CREATE TABLE log (
    block INTEGER NOT NULL, position INTEGER NOT NULL, transaction_index INTEGER NOT NULL,
    transaction_hash BLOB NOT NULL, address BLOB NOT NULL,
    topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL,
    PRIMARY KEY (block, position)
) WITHOUT ROWID;
CREATE INDEX log_of_event ON log (address, topic0, block, position);
"""

_CACHED_VALUES = 20_000
_TOPICS = 4


@dataclass(frozen=True, slots=True)
class StoredLog:
    """An event as it stands in the file; `position` counts the events of its block."""

    block: int
    position: int
    transaction_index: int
    transaction_hash: bytes
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


class BlockFile(BaseAtomicDB):
    """The open file: py-evm's key-value store and the indexes beside it. Not for use from two threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _lock(path)
        try:
            self.connection = _connect(path)
        except BaseException:
            self._lock.close()
            raise
        self._open: dict[bytes, bytes | None] = {}
        self._cached: dict[bytes, bytes] = {}

    # -- py-evm's store ----------------------------------------------------------------------------------------------

    def __getitem__(self, key: bytes) -> bytes:
        if key in self._open:
            value = self._open[key]
        else:
            value = self._cached.get(key)
            if value is None:
                row = self.connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
                value = row[0] if row else None
                if value is not None:
                    self._remember(key, value)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._open[bytes(key)] = bytes(value)

    def __delitem__(self, key: bytes) -> None:
        if key not in self:
            raise KeyError(key)
        self._open[bytes(key)] = None

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    @contextmanager
    def atomic_batch(self) -> Iterator[AtomicWriteBatchAPI]:
        """What py-evm writes as one; it still waits for the block."""
        with AtomicDBWriteBatch._commit_unless_raises(self) as batch:  # noqa: SLF001 - made for these classes
            yield batch

    def _remember(self, key: bytes, value: bytes) -> None:
        if len(self._cached) >= _CACHED_VALUES:
            self._cached.clear()
        self._cached[key] = value

    # -- blocks ------------------------------------------------------------------------------------------------------

    def commit_block(
        self,
        number: int,
        block_hash: bytes,
        header: bytes,
        attestation: bytes,
        logs: Sequence[StoredLog] = (),
        facts: Mapping[str, bytes] | None = None,
    ) -> None:
        """Write the block and all that led to it, in one transaction, and return when it is on disk."""
        try:
            with self._writing():
                self._flush()
                self.connection.execute(
                    "INSERT INTO block VALUES (?, ?, ?, ?)", (number, block_hash, header, attestation)
                )
                self.connection.executemany(
                    "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [_row(log) for log in logs]
                )
                self.connection.executemany("INSERT INTO about VALUES (?, ?)", (facts or {}).items())
        except BaseException:
            self.discard()
            raise
        for key, value in self._open.items():
            if value is None:
                self._cached.pop(key, None)
            else:
                self._remember(key, value)
        self._open.clear()

    def _flush(self) -> None:
        self.connection.executemany(
            "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [(key, value) for key, value in self._open.items() if value is not None],
        )
        self.connection.executemany(
            "DELETE FROM state WHERE key = ?", [(key,) for key, value in self._open.items() if value is None]
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a failed COMMIT may have rolled back by itself
                self.connection.execute("ROLLBACK")
            raise

    def discard(self) -> None:
        """Forget what the block in the making has written."""
        self._open.clear()

    def attestation(self, block_hash: bytes) -> bytes | None:
        """The attestor's signature over a block, None if there is no such block."""
        row = self.connection.execute("SELECT attestation FROM block WHERE hash = ?", (block_hash,)).fetchone()
        return row[0] if row else None

    def last_block(self) -> tuple[int, bytes] | None:
        """Number and hash of the newest block on disk, None in a new file."""
        row: tuple[int, bytes] | None = self.connection.execute(
            "SELECT number, hash FROM block ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return row

    def headers(self, first: int, last: int) -> list[bytes]:
        """The RLP headers of blocks `first` to `last`, as far as there are any."""
        found = self.connection.execute(
            "SELECT header FROM block WHERE number BETWEEN ? AND ? ORDER BY number", (first, last)
        )
        return [row[0] for row in found]

    def logs(
        self, first: int, last: int, addresses: Collection[bytes], topics: Sequence[Collection[bytes]]
    ) -> list[StoredLog]:
        """The events of blocks `first` to `last` as `eth_getLogs` selects them; an empty collection takes all."""
        if len(topics) > _TOPICS:
            return []
        clauses = ["block BETWEEN ? AND ?"]
        values: list[int | bytes] = [first, last]
        columns = ["address", *(f"topic{place}" for place in range(_TOPICS))]
        for column, wanted in zip(columns, [addresses, *topics], strict=False):
            if wanted:
                clauses.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values.extend(wanted)
        if topics:  # a position that takes everything must still be there
            clauses.append(f"topic{len(topics) - 1} IS NOT NULL")
        found = self.connection.execute(
            f"SELECT * FROM log WHERE {' AND '.join(clauses)} ORDER BY block, position",  # noqa: S608 - our own columns
            values,
        )
        return [_log(row) for row in found]

    # -- facts about the file ----------------------------------------------------------------------------------------

    def about(self, name: str) -> bytes | None:
        """A fact about this chain, None if it was never noted."""
        row = self.connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def note(self, facts: Mapping[str, bytes]) -> None:
        """Note facts about this chain, for good."""
        with self._writing():
            self.connection.executemany("INSERT INTO about VALUES (?, ?)", facts.items())

    def snapshot(self, path: Path) -> None:
        """Copy the file, as it stands after its last block, to `path`, which must not exist yet."""
        if path.exists():
            raise FileExistsError(path)
        with closing(sqlite3.connect(path)) as copy:
            self.connection.backup(copy)

    def close(self) -> None:
        """Close the file and let others have it. Closing twice is closing once."""
        self.discard()
        self.connection.close()
        self._lock.close()


class _Lock:
    """An exclusive hold on a chain file, which ends with the process, however that ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def _lock(path: Path) -> _Lock:
    beside = path.with_name(path.name + ".lock")
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 20, 0).strip()
        os.close(descriptor)
        raise ChainFileInUse(path, int(owner) if owner.isdigit() else None) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return _Lock(descriptor)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ChainFileDamaged(path, str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise ChainFileDamaged(path, f"SQLite keeps its journal as {mode} here, not as a write-ahead log")
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT;"
        )
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if found != APPLICATION_ID:
        raise ChainFileDamaged(path, "it is some other database")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise ChainFileDamaged(path, f"it has format {version}, this program reads format {FORMAT}")


def _row(log: StoredLog) -> tuple[object, ...]:
    topics = (*log.topics, *[None] * (_TOPICS - len(log.topics)))
    return (log.block, log.position, log.transaction_index, log.transaction_hash, log.address, *topics, log.data)


def _log(row: tuple[object, ...]) -> StoredLog:
    block, position, index, transaction_hash, address, *topics, data = row
    kept = tuple(topic for topic in topics if isinstance(topic, bytes))
    return StoredLog(block, position, index, transaction_hash, address, kept, data)  # type: ignore[arg-type]
