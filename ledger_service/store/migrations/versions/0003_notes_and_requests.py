"""printed notes, the PINs by which they are answered, and signing requests"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "note",
        sa.Column("token", sa.LargeBinary(length=32), nullable=False),
        sa.Column("despatch", sa.LargeBinary(length=32), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["despatch"], ["offer.despatch"], name=op.f("fk_note_despatch_offer")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_note")),
    )
    op.create_index(op.f("ix_note_despatch"), "note", ["despatch"], unique=False)
    op.create_table(
        "site_pin",
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member", "site", name=op.f("pk_site_pin")),
    )
    op.create_table(
        "signing_request",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column("about", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("statement", sa.LargeBinary(length=32), nullable=True),
        sa.Column("declined", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_signing_request")),
    )
    op.create_index(op.f("ix_signing_request_about"), "signing_request", ["about"], unique=False)
    op.create_index("ix_signing_request_member_number", "signing_request", ["member", "number"], unique=False)


def downgrade() -> None:
    op.drop_table("signing_request")
    op.drop_table("site_pin")
    op.drop_table("note")
