"""The tables of notices and of the webhooks that carry them out. Times are ms UTC."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ledger_service.store.tables import metadata

notice = Table(
    "notice",
    metadata,
    Column("member", LargeBinary(32), primary_key=True),
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("kind", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("source", LargeBinary(32), nullable=False),
    UniqueConstraint("member", "source"),
)
"""What a member is told, numbered densely for each from 1. `source` names what it is told about, so once."""

notice_progress = Table(
    "notice_progress",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("place", BigInteger, nullable=False),
)
"""How far each source of notices has been read: a position, a number or a time."""

noticed_finding = Table(
    "noticed_finding",
    metadata,
    Column("member", LargeBinary(32), primary_key=True),
    Column("finding", LargeBinary(32), primary_key=True),
    Column("explained", Integer, nullable=False),
)
"""The findings that a member was told of, and whether it was told that they are explained."""

webhook = Table(
    "webhook",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("member", LargeBinary(32), nullable=False),
    Column("url", Text, nullable=False),
    Column("kinds", Text),
    Column("generation", Integer, nullable=False),
    Column("rotated_at", BigInteger, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failing_since", BigInteger),
    Column("due_at", BigInteger, nullable=False),
    Column("trouble", Text),
    Column("disabled_at", BigInteger),
)
"""Where a member wants its notices sent: `kinds` is a JSON list, NULL for all; `delivered` is the number up to which
each was delivered or set aside. Its secret is derived from its id and generation and stored nowhere."""

undelivered = Table(
    "undelivered",
    metadata,
    Column("webhook", ForeignKey("webhook.id"), primary_key=True),
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("failures", Integer, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("trouble", Text, nullable=False),
)
"""Notices that a receiver did not take while it took others: tried again by themselves until `due_at` is NULL."""

Index("ix_webhook_member", webhook.c.member)
