"""The tables of risk: pages of requests for facts, what was passed on, thresholds and alerts. Times are ms UTC."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, text

from ledger_service.statements import REPORT_KINDS
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

alert_threshold = Table(
    "alert_threshold",
    metadata,
    Column("member", LargeBinary(32), primary_key=True),
    Column("standstill_days", Integer, nullable=False),
    Column("revenue_cents", BigInteger),
    Column("exercises", Integer, nullable=False),
    Column("summary_at", String(16), nullable=False),
    Column("remind_after", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
)
"""From which effect on a member wants to be interrupted, at what hour (as 06:00+00:00) it reads the rest, and after how
many ms it is reminded of an alert that nobody has acknowledged (NULL: never)."""

alert = Table(
    "alert",
    metadata,
    Column("member", LargeBinary(32), primary_key=True),
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("status", String(16), nullable=False),
    Column("what", String(16), nullable=False),
    Column("urgency", String(16), nullable=False),
    Column("report", LargeBinary(32)),
    Column("effect", LargeBinary(32)),
    Column("at", BigInteger, nullable=False),
    Column("told_at", BigInteger),
    Column("acknowledged_at", BigInteger),
    Column("role", Text),
    Column("remind_at", BigInteger),
)
"""What disruptions of one status came to for a member, each time that changed: `effect` is a hash of what counts in the
report, NULL once nothing is left of it. `told_at` is NULL while it waits for the summary, `remind_at` once nobody needs
reminding."""

Index("ix_alert_waiting", alert.c.member, sqlite_where=alert.c.told_at.is_(None),
      postgresql_where=alert.c.told_at.is_(None))  # fmt: skip
Index("ix_alert_remind_at", alert.c.remind_at)

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
"""The kinds of statement that a report may come out differently for, beside those that tell of goods on their way."""
IS_RISK = text("statement.kind IN ({})".format(", ".join(f"'{kind}'" for kind in RISK_KINDS)))
"""As the index has it, word for word, or SQLite would not see that it serves."""
_IS_RISK = statement.c.kind.in_(RISK_KINDS)
Index("ix_statement_risk", statement.c.position, sqlite_where=_IS_RISK, postgresql_where=_IS_RISK)

GOODS_KINDS = ("despatch", "receipt")
"""The kinds of statement that say which goods are on their way; there may be very many, and old ones say nothing."""
IS_GOODS = text("statement.kind IN ('despatch', 'receipt')")
_IS_GOODS = statement.c.kind.in_(GOODS_KINDS)
Index("ix_statement_goods", statement.c.position, sqlite_where=_IS_GOODS, postgresql_where=_IS_GOODS)

IS_REPORT = text("statement.kind IN ({})".format(", ".join(f"'{kind}'" for kind in REPORT_KINDS)))
_IS_REPORT = statement.c.kind.in_(REPORT_KINDS)
Index(
    "ix_statement_report",
    statement.c.stream,
    statement.c.content_root,
    sqlite_where=_IS_REPORT,
    postgresql_where=_IS_REPORT,
)
"""By what a report says it is found again."""
