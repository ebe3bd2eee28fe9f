"""the index of trails"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_position = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "progress",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("indexed", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_progress_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_progress")),
    )
    op.create_table(
        "thing",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thing")),
        sa.UniqueConstraint("mac", name=op.f("uq_thing_mac")),
    )
    op.create_table(
        "mention",
        sa.Column("thing", sa.Integer(), nullable=False),
        sa.Column("position", _position, nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["thing"], ["thing.id"], name=op.f("fk_mention_thing_thing")),
        sa.PrimaryKeyConstraint("thing", "position", "role", name=op.f("pk_mention")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "saying",
        sa.Column("position", _position, autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.Integer(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stated_at", sa.BigInteger(), nullable=True),
        sa.Column("other", sa.LargeBinary(length=32), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_saying")),
    )
    op.create_table(
        "indexed_stream",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_indexed_stream")),
        sa.UniqueConstraint("stream", name=op.f("uq_indexed_stream_stream")),
    )
    op.create_table(
        "citation",
        sa.Column("what", sa.LargeBinary(length=32), nullable=False),
        sa.Column("position", _position, nullable=False),
        sa.PrimaryKeyConstraint("what", "position", name=op.f("pk_citation")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "link",
        sa.Column("position", _position, autoincrement=False, nullable=False),
        sa.Column("source", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("target", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("how", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stream", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("position", "source", "target", "how", name=op.f("pk_link")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "chain_unit",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("unit", sa.LargeBinary(length=32), nullable=False),
        sa.Column("thing", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("opened", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["thing"], ["thing.id"], name=op.f("fk_chain_unit_thing_thing")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_chain_unit")),
    )
    op.create_table(
        "withdrawn",
        sa.Column("position", _position, autoincrement=False, nullable=False),
        sa.Column("by", _position, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("position", "by", name=op.f("pk_withdrawn")),
    )
    op.create_table(
        "holding",
        sa.Column("thing", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.LargeBinary(length=32), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("streams", sa.LargeBinary(), nullable=False),
        sa.Column("open", sa.LargeBinary(), nullable=False),
        sa.Column("answered", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["thing"], ["thing.id"], name=op.f("fk_holding_thing_thing")),
        sa.PrimaryKeyConstraint("thing", name=op.f("pk_holding")),
    )
    op.create_table(
        "forgotten",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_forgotten")),
    )
    for table, column in _INDEXES:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)


_INDEXES = (
    ("mention", "position"),
    ("citation", "position"),
    ("chain_unit", "unit"),
    ("chain_unit", "thing"),
    ("chain_unit", "position"),
    ("withdrawn", "by"),
)


def downgrade() -> None:
    for table, column in _INDEXES:
        op.drop_index(op.f(f"ix_{table}_{column}"), table)
    for table in (
        "forgotten",
        "holding",
        "withdrawn",
        "chain_unit",
        "link",
        "citation",
        "indexed_stream",
        "saying",
        "mention",
    ):
        op.drop_table(table)
    op.drop_table("thing")
    op.drop_table("progress")
