"""the first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "change",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_time_seconds", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_change")),
    )
    op.create_table(
        "checkpoint",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoint")),
    )
    op.create_table(
        "network",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("log_key", sa.String(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("genesis_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("registry", sa.LargeBinary(length=20), nullable=False),
        sa.Column("checkpoints", sa.LargeBinary(length=20), nullable=False),
        sa.Column("custody", sa.LargeBinary(length=20), nullable=False),
        sa.Column("registry_code_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("checkpoints_code_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("custody_code_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("attestor", sa.LargeBinary(length=20), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_network_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network")),
    )
    op.create_table(
        "statement",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("issuer", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("content_root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=65), nullable=False),
        sa.Column("signer", sa.LargeBinary(length=20), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_statement")),
        sa.UniqueConstraint("digest", name=op.f("uq_statement_digest")),
        sa.UniqueConstraint("stream", "sequence", name=op.f("uq_statement_stream_sequence")),
    )
    with op.batch_alter_table("statement", schema=None) as batch_op:
        batch_op.create_index("ix_statement_stream_position", ["stream", "position"], unique=False)
        batch_op.create_index(
            "ix_statement_custody_addresses",
            ["issuer", "position"],
            unique=False,
            sqlite_where=sa.text("kind = 'custody-addresses'"),
            postgresql_where=sa.text("kind = 'custody-addresses'"),
        )

    op.create_table(
        "stream",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("issuer", sa.LargeBinary(length=32), nullable=False),
        sa.Column("audience", sa.LargeBinary(), nullable=True),
        sa.Column("highest", sa.BigInteger(), nullable=False),
        sa.Column("registered", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stream")),
    )
    with op.batch_alter_table("stream", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stream_issuer"), ["issuer"], unique=False)

    op.create_table(
        "tile",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name=op.f("pk_tile")),
    )
    op.create_table(
        "anchor",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("previous_size", sa.BigInteger(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("block_time_seconds", sa.BigInteger(), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("receipt_index", sa.Integer(), nullable=False),
        sa.Column("receipt_proof", sa.LargeBinary(), nullable=False),
        sa.Column("attestation", sa.LargeBinary(length=65), nullable=True),
        sa.Column("registry_changes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["size"], ["checkpoint.size"], name=op.f("fk_anchor_size_checkpoint")),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_anchor")),
    )
    op.create_table(
        "attempt",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["size"], ["checkpoint.size"], name=op.f("fk_attempt_size_checkpoint")),
        sa.PrimaryKeyConstraint("size", "number", name=op.f("pk_attempt")),
    )
    op.create_table(
        "content",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("secret", sa.LargeBinary(length=32), nullable=True),
        sa.Column("original", sa.Text(), nullable=True),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["position"], ["statement.position"], name=op.f("fk_content_position_statement")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_content")),
    )
    op.create_table(
        "cosignature",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["size"], ["checkpoint.size"], name=op.f("fk_cosignature_size_checkpoint")),
        sa.PrimaryKeyConstraint("size", "name", name=op.f("pk_cosignature")),
    )
    op.create_table(
        "fork",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["position"], ["statement.position"], name=op.f("fk_fork_position_statement")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_fork")),
    )
    with op.batch_alter_table("fork", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fork_position"), ["position"], unique=False)

    op.create_table(
        "reader",
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["stream"], ["stream.id"], name=op.f("fk_reader_stream_stream")),
        sa.PrimaryKeyConstraint("member", "stream", name=op.f("pk_reader")),
    )
    op.create_table(
        "audit_grant",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("issuer", sa.LargeBinary(length=32), nullable=False),
        sa.Column("corrects", sa.LargeBinary(length=32), nullable=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["position"], ["statement.position"], name=op.f("fk_audit_grant_position_statement")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit_grant")),
    )
    with op.batch_alter_table("audit_grant", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_grant_corrects"), ["corrects"], unique=False)

    op.create_table(
        "audit_reader",
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["position"], ["audit_grant.position"], name=op.f("fk_audit_reader_position_audit_grant")
        ),
        sa.PrimaryKeyConstraint("member", "position", name=op.f("pk_audit_reader")),
    )
    op.create_table(
        "audit_scope",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stream", sa.LargeBinary(length=32), nullable=True),
        sa.Column("unit", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["position"], ["audit_grant.position"], name=op.f("fk_audit_scope_position_audit_grant")
        ),
        sa.PrimaryKeyConstraint("position", "number", name=op.f("pk_audit_scope")),
    )
    op.create_table(
        "offer",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("despatch", sa.LargeBinary(length=32), nullable=False),
        sa.Column("giver", sa.LargeBinary(length=32), nullable=False),
        sa.Column("taker", sa.LargeBinary(length=32), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("unanswered", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("replaced_by", sa.LargeBinary(length=32), nullable=True),
        sa.ForeignKeyConstraint(["position"], ["statement.position"], name=op.f("fk_offer_position_statement")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_offer")),
        sa.UniqueConstraint("despatch", name=op.f("uq_offer_despatch")),
    )
    with op.batch_alter_table("offer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_offer_deadline"), ["deadline"], unique=False)
        batch_op.create_index(batch_op.f("ix_offer_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index("ix_offer_giver_position", ["giver", "position"], unique=False)
        batch_op.create_index("ix_offer_taker_position", ["taker", "position"], unique=False)

    op.create_table(
        "offer_answer",
        sa.Column("despatch", sa.LargeBinary(length=32), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("receipt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["despatch"], ["offer.despatch"], name=op.f("fk_offer_answer_despatch_offer")),
        sa.PrimaryKeyConstraint("despatch", "place", name=op.f("pk_offer_answer")),
    )
    op.create_table(
        "offer_signature",
        sa.Column("despatch", sa.LargeBinary(length=32), nullable=False),
        sa.Column("unit", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("giver_address", sa.LargeBinary(length=20), nullable=False),
        sa.Column("taker_address", sa.LargeBinary(length=20), nullable=False),
        sa.Column("deadline_seconds", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=65), nullable=False),
        sa.ForeignKeyConstraint(["despatch"], ["offer.despatch"], name=op.f("fk_offer_signature_despatch_offer")),
        sa.PrimaryKeyConstraint("despatch", "unit", name=op.f("pk_offer_signature")),
    )


def downgrade() -> None:
    op.drop_table("offer_signature")
    op.drop_table("offer_answer")
    with op.batch_alter_table("offer", schema=None) as batch_op:
        batch_op.drop_index("ix_offer_taker_position")
        batch_op.drop_index("ix_offer_giver_position")
        batch_op.drop_index(batch_op.f("ix_offer_expires_at"))
        batch_op.drop_index(batch_op.f("ix_offer_deadline"))

    op.drop_table("offer")
    op.drop_table("audit_scope")
    op.drop_table("audit_reader")
    with op.batch_alter_table("audit_grant", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_grant_corrects"))

    op.drop_table("audit_grant")
    op.drop_table("reader")
    with op.batch_alter_table("fork", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fork_position"))

    op.drop_table("fork")
    op.drop_table("cosignature")
    op.drop_table("content")
    op.drop_table("attempt")
    op.drop_table("anchor")
    op.drop_table("tile")
    with op.batch_alter_table("stream", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_stream_issuer"))

    op.drop_table("stream")
    with op.batch_alter_table("statement", schema=None) as batch_op:
        batch_op.drop_index("ix_statement_custody_addresses")
        batch_op.drop_index("ix_statement_stream_position")

    op.drop_table("statement")
    op.drop_table("network")
    op.drop_table("checkpoint")
    op.drop_table("change")
