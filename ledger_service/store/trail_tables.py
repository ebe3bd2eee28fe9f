"""The tables of the index of trails: what statements say of things. All of it follows from the statements and can be
made again from them. Times are ms UTC.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from ledger_service.store.tables import metadata

progress = Table(
    "progress",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("indexed", BigInteger, nullable=False),
)
"""How far the index has come: every statement below position `indexed` has been read."""

thing = Table(
    "thing",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mac", LargeBinary(32), nullable=False),
    Column("name", Text),
    Column("sort", Integer, nullable=False),
    UniqueConstraint("mac"),
)
"""What statements are about, under the HMAC of its key; the name goes when the last statement with it is erased."""

mention = Table(
    "mention",
    metadata,
    Column("thing", ForeignKey("thing.id"), primary_key=True, autoincrement=False),
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, index=True),
    Column("role", Integer, primary_key=True),
    sqlite_with_rowid=False,
)
"""Which statement says what of which thing."""

saying = Table(
    "saying",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("stream", Integer, nullable=False),
    Column("sort", Integer, nullable=False),
    Column("issuer", LargeBinary(32), nullable=False),
    Column("stated_at", BigInteger),
    Column("other", LargeBinary(32)),
    Column("due_at", BigInteger),
    Column("outcome", Integer),
)
"""Statements of custody with what is asked of all at once: who offered to whom (`other` is the taker) until when, who
answered which offer (`other` is its id) and how. `stream` is a number of `indexed_stream`."""

indexed_stream = Table(
    "indexed_stream",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("stream", LargeBinary(32), nullable=False),
    UniqueConstraint("stream"),
)

citation = Table(
    "citation",
    metadata,
    Column("what", LargeBinary(32), primary_key=True),
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)
"""Which statements name a statement, a unit of the chain or a one-time address, or bear one event's name (its HMAC)."""

link = Table(
    "link",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("source", Integer, primary_key=True, autoincrement=False),
    Column("target", Integer, primary_key=True, autoincrement=False),
    Column("how", Integer, primary_key=True, autoincrement=False),
    Column("stream", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""What went into what, and which statement says so; a transformation stands between its inputs and outputs."""

chain_unit = Table(
    "chain_unit",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("unit", LargeBinary(32), nullable=False, index=True),
    Column("thing", ForeignKey("thing.id"), nullable=False, index=True),
    Column("position", BigInteger, index=True),
    Column("opened", Integer, nullable=False),
)
"""Which thing a unit of the chain is said to be. It outlives the statement, as its position does not: one thing has
one unit, and a second opening of it is found by the HMAC alone."""

withdrawn = Table(
    "withdrawn",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("by", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False, index=True),
)
"""Statements that another of the same issuer takes back or takes the place of."""

holding = Table(
    "holding",
    metadata,
    Column("thing", ForeignKey("thing.id"), primary_key=True, autoincrement=False),
    Column("holder", LargeBinary(32)),
    Column("ended_at", BigInteger),
    Column("streams", LargeBinary, nullable=False),
    Column("open", LargeBinary, nullable=False),
    Column("answered", LargeBinary, nullable=False),
)
"""Who has a thing whose record is plain, told from the statements of `streams` (numbers of `indexed_stream`); which of
its offers are open, and which were answered by what. A thing without a row is told from its statements."""

forgotten = Table(
    "forgotten",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""Positions whose content was erased, in that order: what keeps some of the index in memory asks what is new here."""
