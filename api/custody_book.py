"""What a member's gateway holds of custody, in the member's own outbox file: nothing here is known to any service.

Counters of one-time keys only ever go up. An address is on disk before anybody is shown it, a partner's address is
marked as used before anything is signed for it, and every signed step is kept before it is first sent.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson

from api.outbox import Outbox, State
from ledger_service.handoffs import CustodyDomain, Offer, SignedOffer, SignedStep

_SCHEMA = """
CREATE TABLE IF NOT EXISTS custody_counter (
    network BLOB NOT NULL, seed BLOB NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (network, seed)
);
CREATE TABLE IF NOT EXISTS custody_address (
    network BLOB NOT NULL, address BLOB NOT NULL, seed BLOB NOT NULL, counter INTEGER NOT NULL, partner BLOB,
    statement BLOB, used_by BLOB, is_done INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (network, address)
);
CREATE INDEX IF NOT EXISTS custody_address_by_partner ON custody_address (network, partner, used_by);
CREATE TABLE IF NOT EXISTS partner_address (
    network BLOB NOT NULL, address BLOB NOT NULL, partner BLOB NOT NULL, used_by BLOB, PRIMARY KEY (network, address)
);
CREATE INDEX IF NOT EXISTS partner_address_by_partner ON partner_address (network, partner, used_by);
CREATE TABLE IF NOT EXISTS custody_mark (
    network BLOB NOT NULL, partner BLOB NOT NULL, mark TEXT NOT NULL, PRIMARY KEY (network, partner)
);
CREATE TABLE IF NOT EXISTS custody_unit (
    network BLOB NOT NULL, unit BLOB NOT NULL, thing TEXT NOT NULL, sequence INTEGER NOT NULL, custodian BLOB NOT NULL,
    state TEXT NOT NULL, statement BLOB NOT NULL, offered_in BLOB, PRIMARY KEY (network, unit)
);
CREATE INDEX IF NOT EXISTS custody_unit_by_thing ON custody_unit (network, thing);
CREATE TABLE IF NOT EXISTS custody_deed (
    network BLOB NOT NULL, name TEXT NOT NULL, statement BLOB NOT NULL, said BLOB NOT NULL, PRIMARY KEY (network, name)
);
CREATE TABLE IF NOT EXISTS custody_offer (
    network BLOB NOT NULL, despatch BLOB NOT NULL, taker BLOB NOT NULL, deadline INTEGER NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (network, despatch)
);
CREATE TABLE IF NOT EXISTS custody_offer_unit (
    network BLOB NOT NULL, despatch BLOB NOT NULL, unit BLOB NOT NULL, sequence INTEGER NOT NULL,
    giver BLOB NOT NULL, taker BLOB NOT NULL, deadline INTEGER NOT NULL, signature BLOB NOT NULL,
    PRIMARY KEY (network, despatch, unit)
);
CREATE TABLE IF NOT EXISTS custody_step (
    position INTEGER PRIMARY KEY, network BLOB NOT NULL, unit BLOB NOT NULL, sequence INTEGER NOT NULL,
    statement BLOB NOT NULL, data BLOB NOT NULL, state TEXT NOT NULL, reason TEXT
);
CREATE INDEX IF NOT EXISTS custody_step_by_state ON custody_step (network, state, position);
CREATE TABLE IF NOT EXISTS custody_scan (
    position INTEGER PRIMARY KEY, network BLOB NOT NULL, source BLOB NOT NULL, row INTEGER NOT NULL,
    thing TEXT NOT NULL, part TEXT, quantity TEXT, uom TEXT, scanned_at INTEGER NOT NULL, UNIQUE (network, source, row)
);
CREATE INDEX IF NOT EXISTS custody_scan_by_thing ON custody_scan (network, thing);
CREATE TABLE IF NOT EXISTS custody_task (
    network BLOB NOT NULL, despatch BLOB NOT NULL, reasons TEXT NOT NULL, noted_at INTEGER NOT NULL,
    PRIMARY KEY (network, despatch)
);
"""


class UnitState(StrEnum):
    """Where a unit of ours stands."""

    HELD = "held"
    OFFERED = "offered"
    GIVEN = "given"
    CLOSED = "closed"


class StepState(StrEnum):
    """What is known of a signed step's fate."""

    WAITING = "waiting"
    SENT = "sent"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """One of our one-time addresses: which key of which seed it is, whom it was deposited with, what used it."""

    address: bytes
    seed: bytes
    counter: int
    partner: bytes | None
    used_by: bytes | None


@dataclass(frozen=True, slots=True)
class HeldUnit:
    """A unit of the chain that we hold or held: `custodian` is our address, `sequence` the number of our step."""

    unit: bytes
    thing: str
    sequence: int
    custodian: bytes
    state: UnitState
    statement: bytes
    offered_in: bytes | None


@dataclass(frozen=True, slots=True)
class MadeOffer:
    """An offer of ours; `is_posted`: the service has its signatures."""

    despatch: bytes
    taker: bytes
    deadline: int
    state: str


@dataclass(frozen=True, slots=True)
class KeptStep:
    """A signed step in the book."""

    position: int
    step: SignedStep
    statement: bytes
    state: StepState
    reason: str | None


@dataclass(frozen=True, slots=True)
class Scan:
    """A unit that was scanned at goods in, or so much of a part counted in it."""

    thing: str
    part: str | None
    quantity: str | None
    uom: str | None
    scanned_at: int


@dataclass(frozen=True, slots=True)
class Task:
    """A despatch whose answer waits for a person, and why."""

    despatch: bytes
    reasons: tuple[str, ...]
    noted_at: int


class Book:
    """The custody tables of one deployment of the contract, in an outbox; its transactions are the outbox's."""

    def __init__(self, outbox: Outbox, domain: CustodyDomain) -> None:
        self.outbox = outbox
        self._network = domain.separator
        self._connection = outbox.connection
        self._connection.executescript(_SCHEMA)

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        return self._connection.execute(query, (self._network, *values)).fetchall()

    def _row(self, query: str, *values: object) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._connection.execute(query, (self._network, *values)).fetchone()
        return row

    # Deeds: what was done under which name, so that doing it twice does it once

    def deed(self, name: str) -> tuple[bytes, bytes] | None:
        """The statement by which `name` was done, and what was said then; None if it was not, or was refused."""
        row = self._row("SELECT * FROM custody_deed WHERE network = ? AND name = ?", name)
        if row is None:
            return None
        kept = self.outbox.find(bytes(row["statement"]))
        if kept is not None and kept.state in (State.REFUSED, State.TAKEN):
            return None
        return bytes(row["statement"]), bytes(row["said"])

    def note_deed(self, name: str, statement: bytes, said: bytes) -> None:
        values = (self._network, name, statement, said)
        self._connection.execute("INSERT OR REPLACE INTO custody_deed VALUES (?, ?, ?, ?)", values)

    # Addresses

    def take_counters(self, seed: bytes, number: int) -> range:
        """The next counters of a seed; none of them is ever given again."""
        row = self._row("SELECT next FROM custody_counter WHERE network = ? AND seed = ?", seed)
        first = 0 if row is None else int(row["next"])
        self._connection.execute(
            "INSERT INTO custody_counter VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = excluded.next",
            (self._network, seed, first + number),
        )
        return range(first, first + number)

    def add_address(self, one: OwnAddress) -> None:
        self._connection.execute(
            "INSERT INTO custody_address VALUES (?, ?, ?, ?, ?, NULL, ?, 0)",
            (self._network, one.address, one.seed, one.counter, one.partner, one.used_by),
        )

    def own_address(self, address: bytes) -> OwnAddress | None:
        row = self._row("SELECT * FROM custody_address WHERE network = ? AND address = ?", address)
        return (
            None
            if row is None
            else OwnAddress(row["address"], row["seed"], row["counter"], row["partner"], row["used_by"])
        )

    def bind(self, addresses: Iterable[bytes], statement: bytes) -> None:
        """Note the statement that deposits these addresses."""
        self._connection.executemany(
            "UPDATE custody_address SET statement = ? WHERE network = ? AND address = ?",
            [(statement, self._network, one) for one in addresses],
        )

    def use_own(self, address: bytes, used_by: bytes | None) -> None:
        self._connection.execute(
            "UPDATE custody_address SET used_by = ? WHERE network = ? AND address = ?",
            (used_by, self._network, address),
        )

    def offers_under_way(self) -> list[bytes]:
        """The despatches that use addresses of ours and are not done with yet."""
        rows = self._rows(
            "SELECT DISTINCT used_by FROM custody_address"
            " WHERE network = ? AND partner IS NOT NULL AND used_by IS NOT NULL AND is_done = 0 ORDER BY used_by"
        )
        return [bytes(row["used_by"]) for row in rows]

    def finish(self, despatch: bytes) -> None:
        """Nothing more will come of the addresses that `despatch` used."""
        values = (self._network, despatch)
        self._connection.execute("UPDATE custody_address SET is_done = 1 WHERE network = ? AND used_by = ?", values)

    def count_deposited(self, partner: bytes) -> int:
        """How many addresses that `partner` was given are not used yet, as far as we know."""
        row = self._row(
            "SELECT count(*) AS number FROM custody_address WHERE network = ? AND partner = ? AND used_by IS NULL",
            partner,
        )
        return 0 if row is None else int(row["number"])

    def learn(self, partner: bytes, addresses: Iterable[bytes]) -> None:
        """Addresses that `partner` has deposited with us; known ones keep their use."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO partner_address VALUES (?, ?, ?, NULL)",
            [(self._network, address, partner) for address in addresses],
        )

    def take_partner_address(self, partner: bytes, used_by: bytes) -> bytes | None:
        """The oldest address of `partner` that was never used, now used; None where there is none."""
        row = self._row(
            "SELECT address FROM partner_address WHERE network = ? AND partner = ? AND used_by IS NULL"
            " ORDER BY rowid LIMIT 1",
            partner,
        )
        if row is None:
            return None
        self._connection.execute(
            "UPDATE partner_address SET used_by = ? WHERE network = ? AND address = ?",
            (used_by, self._network, row["address"]),
        )
        return bytes(row["address"])

    def count_partner_addresses(self, partner: bytes) -> int:
        """How many addresses of `partner` are left to offer to."""
        row = self._row(
            "SELECT count(*) AS number FROM partner_address WHERE network = ? AND partner = ? AND used_by IS NULL",
            partner,
        )
        return 0 if row is None else int(row["number"])

    def mark(self, partner: bytes) -> str:
        """How far the deposits of `partner` have been read, in the service's own words; empty at first."""
        row = self._row("SELECT mark FROM custody_mark WHERE network = ? AND partner = ?", partner)
        return "" if row is None else str(row["mark"])

    def set_mark(self, partner: bytes, mark: str) -> None:
        values = (self._network, partner, mark)
        self._connection.execute("INSERT OR REPLACE INTO custody_mark VALUES (?, ?, ?)", values)

    # Units

    def unit_of(self, thing: str) -> HeldUnit | None:
        """The newest unit of the chain that we hold or held for a thing."""
        row = self._row("SELECT * FROM custody_unit WHERE network = ? AND thing = ? ORDER BY rowid DESC LIMIT 1", thing)
        return None if row is None else _unit(row)

    def unit(self, unit: bytes) -> HeldUnit | None:
        row = self._row("SELECT * FROM custody_unit WHERE network = ? AND unit = ?", unit)
        return None if row is None else _unit(row)

    def units(self, state: UnitState | None = None) -> list[HeldUnit]:
        rows = self._rows("SELECT * FROM custody_unit WHERE network = ? ORDER BY thing")
        return [one for one in map(_unit, rows) if state in (None, one.state)]

    def put_unit(self, one: HeldUnit) -> None:
        self._connection.execute(
            "INSERT INTO custody_unit VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (network, unit) DO UPDATE SET"
            " sequence = excluded.sequence, custodian = excluded.custodian, state = excluded.state,"
            " statement = excluded.statement, offered_in = excluded.offered_in",
            (
                self._network,
                one.unit,
                one.thing,
                one.sequence,
                one.custodian,
                one.state,
                one.statement,
                one.offered_in,
            ),
        )

    def forget_unit(self, unit: bytes) -> None:
        """Take a unit out of the book whose only step nobody has seen."""
        self._connection.execute("DELETE FROM custody_unit WHERE network = ? AND unit = ?", (self._network, unit))

    # Offers

    def put_offer(self, one: MadeOffer, signatures: Sequence[SignedOffer]) -> None:
        values = (self._network, one.despatch, one.taker, one.deadline, one.state)
        self._connection.execute("INSERT INTO custody_offer VALUES (?, ?, ?, ?, ?)", values)
        self._connection.executemany(
            "INSERT INTO custody_offer_unit VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    self._network,
                    one.despatch,
                    each.offer.unit,
                    each.offer.sequence,
                    each.offer.giver,
                    each.offer.taker,
                    each.offer.deadline,
                    each.signature,
                )
                for each in signatures
            ],
        )

    def offers(self, *states: str) -> list[MadeOffer]:
        rows = self._rows("SELECT * FROM custody_offer WHERE network = ? ORDER BY rowid")
        found = [MadeOffer(row["despatch"], row["taker"], row["deadline"], row["state"]) for row in rows]
        return [one for one in found if not states or one.state in states]

    def offer(self, despatch: bytes) -> MadeOffer | None:
        row = self._row("SELECT * FROM custody_offer WHERE network = ? AND despatch = ?", despatch)
        return None if row is None else MadeOffer(row["despatch"], row["taker"], row["deadline"], row["state"])

    def signatures(self, despatch: bytes) -> list[SignedOffer]:
        rows = self._rows("SELECT * FROM custody_offer_unit WHERE network = ? AND despatch = ? ORDER BY unit", despatch)
        return [
            SignedOffer(
                Offer(row["unit"], row["sequence"], row["giver"], row["taker"], row["despatch"], row["deadline"]),
                row["signature"],
            )
            for row in rows
        ]

    def mark_offer(self, despatch: bytes, state: str) -> None:
        self._connection.execute(
            "UPDATE custody_offer SET state = ? WHERE network = ? AND despatch = ?", (state, self._network, despatch)
        )

    # Steps

    def add_step(self, step: SignedStep, statement: bytes) -> None:
        """Keep a signed step; it goes out once `statement`, which says the same in the log, is registered."""
        self._connection.execute(
            "INSERT INTO custody_step (network, unit, sequence, statement, data, state) VALUES (?, ?, ?, ?, ?, ?)",
            (self._network, step.unit, step.sequence, statement, orjson.dumps(step.as_json()), StepState.WAITING),
        )

    def steps(self, state: StepState) -> list[KeptStep]:
        rows = self._rows("SELECT * FROM custody_step WHERE network = ? AND state = ? ORDER BY position", state)
        return [
            KeptStep(
                row["position"],
                SignedStep.read(orjson.loads(row["data"])),
                row["statement"],
                StepState(row["state"]),
                row["reason"],
            )
            for row in rows
        ]

    def mark_step(self, position: int, state: StepState, reason: str | None = None) -> None:
        self._connection.execute(
            "UPDATE custody_step SET state = ?, reason = ? WHERE position = ?", (state, reason, position)
        )

    # Goods in

    def import_scans(self, source: bytes, scans: Sequence[Scan]) -> bool:
        """Keep the rows of a file of scans, whose SHA-256 is `source`; False if they were there."""
        if self._row("SELECT 1 FROM custody_scan WHERE network = ? AND source = ? LIMIT 1", source) is not None:
            return False
        self._connection.executemany(
            "INSERT INTO custody_scan (network, source, row, thing, part, quantity, uom, scanned_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (self._network, source, row, one.thing, one.part, one.quantity, one.uom, one.scanned_at)
                for row, one in enumerate(scans)
            ],
        )
        return True

    def scans(self, things: Iterable[str]) -> list[Scan]:
        """All that was scanned of these things."""
        found = []
        for thing in things:
            rows = self._rows("SELECT * FROM custody_scan WHERE network = ? AND thing = ? ORDER BY position", thing)
            found += [Scan(row["thing"], row["part"], row["quantity"], row["uom"], row["scanned_at"]) for row in rows]
        return found

    def put_task(self, one: Task) -> None:
        self._connection.execute(
            "INSERT INTO custody_task VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET reasons = excluded.reasons",
            (self._network, one.despatch, orjson.dumps(one.reasons).decode(), one.noted_at),
        )

    def drop_task(self, despatch: bytes) -> None:
        self._connection.execute(
            "DELETE FROM custody_task WHERE network = ? AND despatch = ?", (self._network, despatch)
        )

    def tasks(self) -> list[Task]:
        rows = self._rows("SELECT * FROM custody_task WHERE network = ? ORDER BY noted_at, despatch")
        return [Task(row["despatch"], tuple(orjson.loads(row["reasons"])), row["noted_at"]) for row in rows]


def _unit(row: sqlite3.Row) -> HeldUnit:
    return HeldUnit(
        row["unit"],
        row["thing"],
        row["sequence"],
        row["custodian"],
        UnitState(row["state"]),
        row["statement"],
        row["offered_in"],
    )
