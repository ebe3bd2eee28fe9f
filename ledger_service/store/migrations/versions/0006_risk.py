"""risk: pages of requests for facts, what was passed on, and alerts"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fact_page",
        sa.Column("token", sa.LargeBinary(length=32), nullable=False),
        sa.Column("request", sa.LargeBinary(length=32), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["request"], ["statement.digest"], name=op.f("fk_fact_page_request_statement")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_fact_page")),
    )
    op.create_index(op.f("ix_fact_page_request"), "fact_page", ["request"], unique=False)
    op.create_table(
        "fact_passed_on",
        sa.Column("request", sa.LargeBinary(length=32), nullable=False),
        sa.Column("upward", sa.LargeBinary(length=32), nullable=False),
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("request", "upward", name=op.f("pk_fact_passed_on")),
    )
    op.create_table(
        "alert_threshold",
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column("standstill_days", sa.Integer(), nullable=False),
        sa.Column("revenue_cents", sa.BigInteger(), nullable=True),
        sa.Column("exercises", sa.Integer(), nullable=False),
        sa.Column("summary_at", sa.String(length=16), nullable=False),
        sa.Column("remind_after", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member", name=op.f("pk_alert_threshold")),
    )
    op.create_table(
        "alert",
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("urgency", sa.String(length=16), nullable=False),
        sa.Column("report", sa.LargeBinary(length=32), nullable=True),
        sa.Column("effect", sa.LargeBinary(length=32), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("remind_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("member", "number", name=op.f("pk_alert")),
    )
    waiting = sa.text("told_at IS NULL")
    op.create_index(
        "ix_alert_waiting", "alert", ["member"], unique=False, sqlite_where=waiting, postgresql_where=waiting
    )
    op.create_index("ix_alert_remind_at", "alert", ["remind_at"], unique=False)
    questions = sa.text("kind IN ('fact-request', 'fact-answer')")
    op.create_index(
        "ix_statement_fact_questions",
        "statement",
        ["kind", "position"],
        unique=False,
        sqlite_where=questions,
        postgresql_where=questions,
    )
    of_risk = sa.text(
        "kind IN ('site', 'part', 'bill-of-material', 'supply-link', 'stock', 'capacity', 'qualification', "
        "'route-qualification', 'product-price', 'continuity-plan', 'disruption', 'fact-request', 'fact-answer')"
    )
    op.create_index(
        "ix_statement_risk", "statement", ["position"], unique=False, sqlite_where=of_risk, postgresql_where=of_risk
    )
    of_goods = sa.text("kind IN ('despatch', 'receipt')")
    op.create_index(
        "ix_statement_goods", "statement", ["position"], unique=False, sqlite_where=of_goods, postgresql_where=of_goods
    )
    report = sa.text("kind IN ('impact-report', 'stress-report')")
    op.create_index(
        "ix_statement_report",
        "statement",
        ["stream", "content_root"],
        unique=False,
        sqlite_where=report,
        postgresql_where=report,
    )


def downgrade() -> None:
    op.drop_index("ix_statement_report", table_name="statement")
    op.drop_index("ix_statement_goods", table_name="statement")
    op.drop_index("ix_statement_risk", table_name="statement")
    op.drop_index("ix_statement_fact_questions", table_name="statement")
    op.drop_index("ix_alert_remind_at", table_name="alert")
    op.drop_index("ix_alert_waiting", table_name="alert")
    op.drop_table("alert")
    op.drop_table("alert_threshold")
    op.drop_table("fact_passed_on")
    op.drop_table("fact_page")
