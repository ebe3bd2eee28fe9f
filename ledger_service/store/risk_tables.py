"""The tables of risk: pages on which requests for facts are answered, and what was passed on. Times are ms UTC."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table

from ledger_service.store.tables import metadata, statement

fact_page = Table(
    "fact_page",
    metadata,
    Column("token", LargeBinary(32), primary_key=True),
    Column("request", ForeignKey("statement.digest"), nullable=False, index=True),
    Column("made_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
)
"""Links to the page of a request for facts, by the SHA-256 of the token in each; `tries` as in `note`."""

fact_passed_on = Table(
    "fact_passed_on",
    metadata,
    Column("request", LargeBinary(32), primary_key=True),
    Column("upward", LargeBinary(32), primary_key=True),
    Column("member", LargeBinary(32), nullable=False),
)
"""Which request a custodial `member` made for which one that it was asked: its gateway here knows it, and nobody else."""

_QUESTIONS = statement.c.kind.in_(("fact-request", "fact-answer"))
Index(
    "ix_statement_fact_questions",
    statement.c.kind,
    statement.c.position,
    sqlite_where=_QUESTIONS,
    postgresql_where=_QUESTIONS,
)
