"""The store: one relational database behind the ledger, written by one process at a time.

SQLite runs in WAL mode with `synchronous=FULL`, so what was answered survives a power cut. One transaction per call of
the ledger; a reader never waits for the writer.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import sqlite_version_info
from typing import Any, Self

import alembic.command
import alembic.config
import alembic.script
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, event

from ledger_service.errors import LedgerError
from ledger_service.store import notice_tables, risk_tables, tables, trail_tables

__all__ = [
    "NewerStore",
    "Store",
    "UnsafeStore",
    "among",
    "chunks",
    "insert_rows",
    "notice_tables",
    "risk_tables",
    "select_where",
    "tables",
    "trail_tables",
]


class NewerStore(LedgerError):
    """The database was written by a later version of this program."""


class UnsafeStore(LedgerError):
    """The database would lose acknowledged statements in a power cut."""


class Store:
    """A database that is migrated to this version's tables and opened for one writer and many readers."""

    def __init__(self, writer: Engine, readers: Engine) -> None:
        self._writer = writer
        self._readers = readers
        self._view: ContextVar[Connection | None] = ContextVar("view", default=None)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The SQLite ledger at `path`, made where there is none, migrated where it is older.

        Raises NewerStore for one that a later version wrote. Migration runs in one transaction: killed half-way, it
        starts anew.
        """
        if sqlite_version_info < (3, 35):
            raise UnsafeStore("SQLite 3.35 or newer is needed; this Python brings an older one")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)  # SQLite's side files take their permissions from this one
        url = sa.URL.create("sqlite", database=str(path))
        # The writer keeps one connection; readers never block it (WAL), so a pool of them is safe.
        writer = sa.create_engine(url, pool_size=1, max_overflow=0, connect_args={"check_same_thread": False})
        readers = sa.create_engine(url, pool_size=4, max_overflow=12, connect_args={"check_same_thread": False})
        event.listen(writer, "connect", _configure)
        event.listen(readers, "connect", _configure)
        event.listen(readers, "connect", _forbid_writing)
        event.listen(writer, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        event.listen(readers, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        store = cls(writer, readers)
        try:
            store._migrate()
        except BaseException:
            store.close()
            raise
        return store

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction of the writer: all of it is durable when the block ends, or none of it."""
        with self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of what has been committed; inside another one's block it is the same view."""
        view = self._view.get()
        if view is not None:
            # A second connection for the same work could wait for ever for others that do likewise.
            yield view
            return
        with self._readers.begin() as connection:
            token = self._view.set(connection)
            try:
                yield connection
            finally:
                self._view.reset(token)

    def snapshot(self, path: Path) -> None:
        """Write a consistent copy of the database to the new file `path`, while it may be in use."""
        with self._writer.connect() as connection, SqliteFile(path) as copy:
            source = connection.connection.driver_connection
            assert isinstance(source, SqliteConnection)
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")

    def integrity(self) -> list[str]:
        """What SQLite's own check of pages, indexes and foreign keys finds wrong; empty when all is well."""
        with self.read() as connection:
            pages = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
            keys = [
                f"a row of {row[0]} points at no {row[2]}"
                for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
            ]
        return [line for line in pages if line != "ok"] + keys

    def close(self) -> None:
        self._writer.dispose()
        self._readers.dispose()

    def _migrate(self) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        scripts = alembic.script.ScriptDirectory.from_config(config)
        with self.write() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
            if found == scripts.get_current_head():
                return
            if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
                raise NewerStore(
                    f"the database is at revision {found}, which this version does not know: "
                    "start it with the program that wrote it, or with a later one"
                )
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")


def insert_rows(
    connection: Connection, table: sa.Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert many rows whose values stand in the order of `columns`: the inner loop of ingest.

    The values go to the driver as they are; SQLAlchemy's look at each of them costs three times what SQLite does.
    """
    connection.exec_driver_sql(_insert_text(table, columns, connection.dialect), list(rows))


@lru_cache(maxsize=64)
def _insert_text(table: sa.Table, columns: tuple[str, ...], dialect: sa.Dialect) -> str:
    compiled = sa.insert(table).compile(dialect=dialect, column_keys=list(columns))
    assert tuple(compiled.positiontup or ()) == columns, "columns stand in the order of their table"
    return str(compiled)


def select_where(
    connection: Connection, table: sa.Table, columns: tuple[str, ...], key: str, values: Sequence[object]
) -> Iterator[tuple[Any, ...]]:
    """The rows whose `key` is one of `values`, in no order, as the driver gives them.

    As with `insert_rows`: to bind a thousand values anew takes SQLAlchemy longer than SQLite to find the rows.
    """
    for some in chunks(values, _SIZES[-1]):
        chunk = list(some)
        # The last value once more, and again, finds nothing new; so there are few texts, which stay prepared.
        size = next(size for size in _SIZES if size >= len(chunk))
        text = _select_text(table, columns, key, size, connection.dialect)
        yield from connection.exec_driver_sql(text, (*chunk, *chunk[-1:] * (size - len(chunk)))).cursor.fetchall()


def among(column: sa.Column[int], numbers: Sequence[int]) -> sa.ColumnElement[bool]:
    """The condition that `column` is one of `numbers`, many of them written out: to bind thousands takes longer than to
    look them up, and to prepare a text for a few as well.
    """
    if len(numbers) <= _FEW:
        return column.in_(list(numbers))
    listed = ",".join(str(int(one)) for one in numbers)
    return sa.literal_column(f"{column.table.name}.{column.name} IN ({listed})", sa.Boolean)


_FEW = 200


def chunks(values: Sequence[Any], size: int = 2_000) -> Iterator[Sequence[Any]]:
    """`values` in pieces that one query takes."""
    for at in range(0, len(values), size):
        yield values[at : at + size]


_SIZES = (1, 8, 64, 500, 2_000)


@lru_cache(maxsize=64)
def _select_text(table: sa.Table, columns: tuple[str, ...], key: str, size: int, dialect: sa.Dialect) -> str:
    places: list[sa.BindParameter[Any]] = [sa.bindparam(f"value_{number}") for number in range(size)]
    query = sa.select(*(table.c[name] for name in columns)).where(table.c[key].in_(places))
    return str(query.compile(dialect=dialect))


class SqliteFile:
    """A plain SQLite connection that is closed at the end of a with block (sqlite3's own only commits)."""

    def __init__(self, path: Path) -> None:
        self._connection = SqliteConnection(str(path))

    def __enter__(self) -> SqliteConnection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _forbid_writing(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")


def _configure(connection: Any, _record: object) -> None:
    # SQLAlchemy's begin event, not the driver, decides where a transaction starts.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=10000",
        "temp_store=MEMORY",
        # Small calls change the same pages over and over: moving them out of the WAL at 32 MiB and not at 4 saves a
        # quarter of what they cost.
        "wal_autocheckpoint=8000",
        "secure_delete=ON",  # what was erased is overwritten, and not only forgotten
    ):
        cursor.execute(f"PRAGMA {pragma}")
    if cursor.execute("PRAGMA synchronous").fetchone()[0] != 2:
        raise UnsafeStore("SQLite does not run with synchronous=FULL")
    cursor.close()
