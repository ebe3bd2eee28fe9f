"""the relay of custody"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "custody_block",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_custody_block_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custody_block")),
    )
    op.create_table(
        "custody_step",
        sa.Column("place", _number, autoincrement=False, nullable=False),
        sa.Column("unit", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("struct_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("step", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_custody_step")),
        sa.UniqueConstraint("unit", "sequence", name=op.f("uq_custody_step_unit_sequence")),
    )
    op.create_table(
        "custody_batch",
        sa.Column("number", _number, autoincrement=False, nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_custody_batch")),
        sa.UniqueConstraint("transaction_hash", name=op.f("uq_custody_batch_transaction_hash")),
    )
    op.create_table(
        "custody_request",
        sa.Column("struct_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("unit", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.LargeBinary(), nullable=False),
        sa.Column("deadline_seconds", sa.BigInteger(), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.LargeBinary(length=32), nullable=True),
        sa.Column("release_seconds", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("batch", _number, nullable=True),
        sa.Column("item", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch"], ["custody_batch.number"], name=op.f("fk_custody_request_batch_custody_batch")
        ),
        sa.PrimaryKeyConstraint("struct_hash", name=op.f("pk_custody_request")),
    )
    op.create_index(op.f("ix_custody_request_batch"), "custody_request", ["batch"], unique=False)
    op.create_index(
        "ix_custody_request_state_release_seconds", "custody_request", ["state", "release_seconds"], unique=False
    )
    op.create_index("ix_custody_request_unit_sequence", "custody_request", ["unit", "sequence"], unique=False)
    op.create_table(
        "custody_certificate",
        sa.Column("number", _number, autoincrement=False, nullable=False),
        sa.Column("batch", _number, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("units", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("block", sa.BigInteger(), nullable=True),
        sa.Column("header", sa.LargeBinary(), nullable=True),
        sa.Column("receipt_index", sa.Integer(), nullable=True),
        sa.Column("receipt_proof", sa.LargeBinary(), nullable=True),
        sa.Column("attestation", sa.LargeBinary(length=65), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch"], ["custody_batch.number"], name=op.f("fk_custody_certificate_batch_custody_batch")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_custody_certificate")),
    )
    op.create_index(op.f("ix_custody_certificate_batch"), "custody_certificate", ["batch"], unique=False)
    op.create_index(op.f("ix_custody_certificate_digest"), "custody_certificate", ["digest"], unique=False)


def downgrade() -> None:
    op.drop_table("custody_certificate")
    op.drop_table("custody_request")
    op.drop_table("custody_batch")
    op.drop_table("custody_step")
    op.drop_table("custody_block")
