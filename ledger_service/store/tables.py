"""The tables of a ledger. Times are ms UTC unless a name says seconds; hashes and ids are raw bytes.

Nothing here is updated once written except the right edge of the tree (`tile`), a stream's counters, the refusal of an
anchor attempt, what becomes of a step that was given to the relay, and an erasure.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

network = Table(
    "network",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("origin", String, nullable=False),
    Column("log_key", String, nullable=False),
    Column("chain_id", BigInteger, nullable=False),
    Column("genesis_hash", LargeBinary(32), nullable=False),
    Column("registry", LargeBinary(20), nullable=False),
    Column("checkpoints", LargeBinary(20), nullable=False),
    Column("custody", LargeBinary(20), nullable=False),
    Column("registry_code_hash", LargeBinary(32), nullable=False),
    Column("checkpoints_code_hash", LargeBinary(32), nullable=False),
    Column("custody_code_hash", LargeBinary(32), nullable=False),
    Column("attestor", LargeBinary(20)),
)
"""The one network this ledger belongs to, written when it is founded and compared at every start."""

stream = Table(
    "stream",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("issuer", LargeBinary(32), nullable=False, index=True),
    Column("audience", LargeBinary),
    Column("highest", BigInteger, nullable=False),
    Column("registered", BigInteger, nullable=False),
)
"""One issuer × one source × one audience. `audience` joins the sorted member ids, NULL while only headers came."""

reader = Table(
    "reader",
    metadata,
    Column("member", LargeBinary(32), primary_key=True),
    Column("stream", LargeBinary(32), ForeignKey("stream.id"), primary_key=True),
)
"""Who may see a stream: its issuer and its audience, as rows to join with."""

statement = Table(
    "statement",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("issuer", LargeBinary(32), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("stream", LargeBinary(32), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("content_root", LargeBinary(32), nullable=False),
    Column("signature", LargeBinary(65), nullable=False),
    Column("signer", LargeBinary(20), nullable=False),
    Column("registered_at", BigInteger, nullable=False),
    UniqueConstraint("digest"),
    UniqueConstraint("stream", "sequence"),
)
"""Registered statements. `position` is dense from 0 and becomes the log index when a checkpoint covers it."""

content = Table(
    "content",
    metadata,
    Column("position", ForeignKey("statement.position"), primary_key=True, autoincrement=False),
    Column("content", LargeBinary),
    Column("secret", LargeBinary(32)),
    Column("original", Text),
    Column("erased_at", BigInteger),
)
"""What the operator was given of a statement beyond its header; an erasure empties the row and dates it."""

tile = Table(
    "tile",
    metadata,
    Column("level", Integer, primary_key=True),
    Column("place", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("hashes", LargeBinary, nullable=False),
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("size", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
)

attempt = Table(
    "attempt",
    metadata,
    Column("size", ForeignKey("checkpoint.size"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("transaction_hash", LargeBinary(32), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("refused", Text),
)
"""Signed transactions meant to anchor a checkpoint, each stored before it is first sent; one at most is not refused."""

anchor = Table(
    "anchor",
    metadata,
    Column("size", ForeignKey("checkpoint.size"), primary_key=True),
    Column("previous_size", BigInteger, nullable=False),
    Column("transaction_hash", LargeBinary(32), nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Column("block_hash", LargeBinary(32), nullable=False),
    Column("block_time_seconds", BigInteger, nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("receipt_index", Integer, nullable=False),
    Column("receipt_proof", LargeBinary, nullable=False),
    Column("attestation", LargeBinary(65)),
    Column("registry_changes", BigInteger, nullable=False),
)
"""Checkpoints that the chain has taken, with the evidence as it was when they became final."""

cosignature = Table(
    "cosignature",
    metadata,
    Column("size", ForeignKey("checkpoint.size"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("line", Text, nullable=False),
)

change = Table(
    "change",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("block_number", BigInteger, nullable=False),
    Column("block_time_seconds", BigInteger, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

fork = Table(
    "fork",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("position", ForeignKey("statement.position"), nullable=False, index=True),
    Column("envelope", LargeBinary, nullable=False),
    Column("noted_at", BigInteger, nullable=False),
)
"""A second statement that its issuer signed for a number already taken: kept as evidence, never registered."""

audit_grant = Table(
    "audit_grant",
    metadata,
    Column("position", ForeignKey("statement.position"), primary_key=True, autoincrement=False),
    Column("issuer", LargeBinary(32), nullable=False),
    Column("corrects", LargeBinary(32), index=True),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("fields", Text),
)
"""The grants among the statements. `fields` is a JSON list of pointers, NULL for all."""

audit_reader = Table(
    "audit_reader",
    metadata,
    Column("member", LargeBinary(32), primary_key=True),
    Column("position", ForeignKey("audit_grant.position"), primary_key=True, autoincrement=False),
)
"""Whom a grant lets read."""

audit_scope = Table(
    "audit_scope",
    metadata,
    Column("position", ForeignKey("audit_grant.position"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("stream", LargeBinary(32)),
    Column("unit", String),
)
"""What a grant is about, line by line: a stream, or a unit by the key of its identifier."""

offer = Table(
    "offer",
    metadata,
    Column("position", ForeignKey("statement.position"), primary_key=True, autoincrement=False),
    Column("despatch", LargeBinary(32), nullable=False),
    Column("giver", LargeBinary(32), nullable=False),
    Column("taker", LargeBinary(32), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False, index=True),
    Column("expires_at", BigInteger, index=True),
    Column("units", Integer, nullable=False),
    Column("unanswered", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("replaced_by", LargeBinary(32)),
    UniqueConstraint("despatch"),
)
"""Despatches with content, and how many of their units have no answer. The chain takes none after `expires_at`."""

offer_answer = Table(
    "offer_answer",
    metadata,
    Column("despatch", ForeignKey("offer.despatch"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("receipt", LargeBinary(32), nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("answered_at", BigInteger, nullable=False),
)
"""What the taker said of the unit at `place` of a despatch: its first receipt, or what it corrected that to."""

offer_signature = Table(
    "offer_signature",
    metadata,
    Column("despatch", ForeignKey("offer.despatch"), primary_key=True),
    Column("unit", LargeBinary(32), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("giver_address", LargeBinary(20), nullable=False),
    Column("taker_address", LargeBinary(20), nullable=False),
    Column("deadline_seconds", BigInteger, nullable=False),
    Column("signature", LargeBinary(65), nullable=False),
)
"""The givers' signatures for the chain, kept for the takers and shown to nobody else."""

note = Table(
    "note",
    metadata,
    Column("token", LargeBinary(32), primary_key=True),
    Column("despatch", ForeignKey("offer.despatch"), nullable=False, index=True),
    Column("made_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
)
"""Printed despatch notes by the SHA-256 of the token in their code. `tries` are wrong PINs since the last right one."""

site_pin = Table(
    "site_pin",
    metadata,
    Column("member", LargeBinary(32), primary_key=True),
    Column("site", String, primary_key=True),
    Column("salt", LargeBinary(16), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("set_at", BigInteger, nullable=False),
)
"""By what a site of a member may answer a printed note; the site "" stands for all that have none of their own."""

signing_request = Table(
    "signing_request",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("member", LargeBinary(32), nullable=False),
    Column("about", LargeBinary(32), nullable=False, index=True),
    Column("kind", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    Column("statement", LargeBinary(32)),
    Column("declined", Text),
)
"""What somebody at a site asked to be signed by the member's own gateway, and what became of it. `about` is the id of
the statement that it answers: a despatch, or a request for facts."""

# Custody on the chain: what is to be relayed, what was sent, what the chain has taken.

custody_block = Table(
    "custody_block",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)
"""The block up to which the steps of custody have been read."""

custody_step = Table(
    "custody_step",
    metadata,
    Column("place", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("unit", LargeBinary(32), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("block", BigInteger, nullable=False),
    Column("struct_hash", LargeBinary(32), nullable=False),
    Column("step", LargeBinary, nullable=False),
    UniqueConstraint("unit", "sequence"),
)
"""Steps that the chain has taken, in its order: `place` is dense from 0. `step` is JSON as bundles carry it."""

custody_batch = Table(
    "custody_batch",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("purpose", String(16), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("transaction_hash", LargeBinary(32), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("outcome", Text),
    UniqueConstraint("transaction_hash"),
)
"""Signed transactions of the relay, each stored before it is first sent; `outcome` is NULL while it is under way."""

custody_request = Table(
    "custody_request",
    metadata,
    Column("struct_hash", LargeBinary(32), primary_key=True),
    Column("unit", LargeBinary(32), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("step", LargeBinary, nullable=False),
    Column("deadline_seconds", BigInteger, nullable=False),
    Column("submitted_at", BigInteger, nullable=False),
    Column("sender", LargeBinary(32)),
    Column("release_seconds", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("batch", ForeignKey("custody_batch.number"), index=True),
    Column("item", Integer),
    Column("reason", Text),
)
"""Steps that members gave to the relay: waiting, sent (in `batch`, there at `item`), taken, or refused for `reason`."""

custody_certificate = Table(
    "custody_certificate",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("batch", ForeignKey("custody_batch.number"), nullable=False, index=True),
    Column("digest", LargeBinary(32), nullable=False, index=True),
    Column("units", LargeBinary, nullable=False),
    Column("transaction_hash", LargeBinary(32)),
    Column("block", BigInteger),
    Column("header", LargeBinary),
    Column("receipt_index", Integer),
    Column("receipt_proof", LargeBinary),
    Column("attestation", LargeBinary(65)),
)
"""Where units stood in a block, with the evidence once it is final; `digest` is the SHA-256 of the joined `units`."""

Index("ix_statement_stream_position", statement.c.stream, statement.c.position)
Index("ix_custody_request_state_release_seconds", custody_request.c.state, custody_request.c.release_seconds)
Index("ix_custody_request_unit_sequence", custody_request.c.unit, custody_request.c.sequence)
Index(
    "ix_statement_custody_addresses",
    statement.c.issuer,
    statement.c.position,
    sqlite_where=statement.c.kind == "custody-addresses",
    postgresql_where=statement.c.kind == "custody-addresses",
)
Index("ix_offer_giver_position", offer.c.giver, offer.c.position)
Index("ix_offer_taker_position", offer.c.taker, offer.c.position)
Index("ix_signing_request_member_number", signing_request.c.member, signing_request.c.number)
