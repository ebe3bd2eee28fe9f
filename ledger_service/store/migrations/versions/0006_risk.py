"""risk: pages of requests for facts, and what was passed on"""

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


def downgrade() -> None:
    op.drop_index("ix_statement_risk", table_name="statement")
    op.drop_index("ix_statement_fact_questions", table_name="statement")
    op.drop_table("fact_passed_on")
    op.drop_table("fact_page")
