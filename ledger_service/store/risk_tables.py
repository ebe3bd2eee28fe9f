"""The tables of risk: pages on which requests for facts are answered, and what was passed on. Times are ms UTC."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, text

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
"""Which request a custodial `member` made for which one that it was asked: its gateway here knows it, nobody else."""

IS_QUESTION = text("statement.kind IN ('fact-request', 'fact-answer')")
"""As the index has it, word for word, or SQLite would not see that it serves."""
_QUESTIONS = statement.c.kind.in_(("fact-request", "fact-answer"))
Index(
    "ix_statement_fact_questions",
    statement.c.kind,
    statement.c.position,
    sqlite_where=_QUESTIONS,
    postgresql_where=_QUESTIONS,
)

FACT_KINDS = (
    "site",
    "part",
    "bill-of-material",
    "supply-link",
    "stock",
    "capacity",
    "qualification",
    "route-qualification",
    "product-price",
    "continuity-plan",
)
"""The kinds of statement that networks are made of."""
RISK_KINDS = (*FACT_KINDS, "disruption", "fact-request", "fact-answer")
"""The kinds of statement that a report may come out differently for."""
IS_RISK = text("statement.kind IN ({})".format(", ".join(f"'{kind}'" for kind in RISK_KINDS)))
"""As the index has it, word for word, or SQLite would not see that it serves."""
_IS_RISK = statement.c.kind.in_(RISK_KINDS)
Index("ix_statement_risk", statement.c.position, sqlite_where=_IS_RISK, postgresql_where=_IS_RISK)
