"""notices, and the webhooks that carry them out"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _number(name: str) -> "sa.Column[int]":
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        _number("number"),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("source", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("member", "number", name=op.f("pk_notice")),
        sa.UniqueConstraint("member", "source", name=op.f("uq_notice_member_source")),
    )
    op.create_table(
        "notice_progress",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notice_progress")),
    )
    op.create_table(
        "noticed_finding",
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column("finding", sa.LargeBinary(length=32), nullable=False),
        sa.Column("explained", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("member", "finding", name=op.f("pk_noticed_finding")),
    )
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("rotated_at", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_index("ix_webhook_member", "webhook", ["member"], unique=False)
    op.create_table(
        "undelivered",
        sa.Column("webhook", sa.String(length=32), nullable=False),
        _number("number"),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["webhook"], ["webhook.id"], name=op.f("fk_undelivered_webhook_webhook")),
        sa.PrimaryKeyConstraint("webhook", "number", name=op.f("pk_undelivered")),
    )


def downgrade() -> None:
    op.drop_table("undelivered")
    op.drop_table("webhook")
    op.drop_table("noticed_finding")
    op.drop_table("notice_progress")
    op.drop_table("notice")
