"""The store: durable settings, one migration, views that do not wait, and copies that are whole."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ledger_service.store import NewerStore, Store
from ledger_service.store.tables import metadata, tile


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "ledger.sqlite")
    yield made
    made.close()


def add_tile(store: Store, place: int) -> None:
    with store.write() as connection:
        connection.execute(sa.insert(tile).values(level=0, place=place, hashes=b"x"))


def count(connection: sa.Connection) -> int:
    found: int = connection.execute(sa.select(sa.func.count()).select_from(tile)).scalar_one()
    return found


def test_what_is_acknowledged_would_survive_a_power_cut(store: Store) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    for access in (store.write, store.read):
        with access() as connection:
            assert {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted} == wanted


def test_migrating_gives_the_tables_that_the_program_knows(store: Store) -> None:
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    for place in range(3):
        store = Store.open(tmp_path / "deep" / "ledger.sqlite")
        add_tile(store, place)
        with store.read() as connection:
            assert count(connection) == place + 1
        store.close()


def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    Store.open(tmp_path / "ledger.sqlite").close()
    connection = sqlite3.connect(tmp_path / "ledger.sqlite")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(NewerStore, match="revision 9999"):
        Store.open(tmp_path / "ledger.sqlite")


def test_a_write_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        connection.execute(sa.insert(tile), [{"level": 0, "place": place, "hashes": b"x"} for place in (1, 2, 1)])
    with store.read() as connection:
        assert count(connection) == 0


def test_a_view_does_not_change_and_waits_for_nobody(store: Store) -> None:
    add_tile(store, 1)
    with store.read() as view:
        assert count(view) == 1
        writer = threading.Thread(target=add_tile, args=(store, 2))
        writer.start()
        writer.join(timeout=10)
        assert not writer.is_alive()
        assert count(view) == 1
    with store.read() as view:
        assert count(view) == 2


def test_a_view_inside_a_view_is_the_same_one(store: Store) -> None:
    """Else as many readers as there are connections could each wait for one more."""
    with store.read() as outer:
        with store.read() as inner:
            assert inner is outer
        assert count(outer) == 0
    with store.read() as later:
        assert count(later) == 0


def test_more_readers_than_connections_get_their_turn(store: Store) -> None:
    barrier, done = threading.Barrier(16), []

    def read() -> None:
        with store.read():
            barrier.wait(timeout=20)
            with store.read() as connection:
                done.append(count(connection))

    readers = [threading.Thread(target=read) for _ in range(16)]
    for one in readers:
        one.start()
    for one in readers:
        one.join(timeout=30)
    assert done == [0] * 16


def test_a_view_cannot_write(store: Store) -> None:
    with pytest.raises(sa.exc.OperationalError, match="readonly"), store.read() as connection:
        connection.execute(sa.insert(tile).values(level=0, place=1, hashes=b"x"))


def test_a_snapshot_is_a_whole_database_of_its_own(store: Store, tmp_path: Path) -> None:
    add_tile(store, 1)
    with store.read():  # somebody is looking meanwhile
        store.snapshot(tmp_path / "copy.sqlite")
    add_tile(store, 2)
    copy = Store.open(tmp_path / "copy.sqlite")
    with copy.read() as connection:
        assert count(connection) == 1
    assert copy.integrity() == []
    copy.close()


def test_damage_is_found(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "ledger.sqlite")
    assert store.integrity() == []
    store.close()
    connection = sqlite3.connect(tmp_path / "ledger.sqlite")
    connection.execute("INSERT INTO content (position) VALUES (7)")
    connection.commit()
    connection.close()
    store = Store.open(tmp_path / "ledger.sqlite")
    assert store.integrity() == ["a row of content points at no statement"]
    store.close()


def test_a_ledger_is_for_its_owner_alone(tmp_path: Path) -> None:
    Store.open(tmp_path / "new" / "ledger.sqlite").close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "ledger.sqlite").stat().st_mode & 0o777 == 0o600
