"""The tables. `migrations/versions` leads to exactly these; tests/store/test_migrations.py compares.

Lists are JSON text and times are seconds since the epoch, so that SQLite and PostgreSQL hold the same values.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "bound_keys",
    "changes",
    "charge_points",
    "enrolment_steps",
    "enrolments",
    "journal_positions",
    "known_certificates",
    "lowered_floors",
    "meta",
    "metadata",
    "password_changes",
    "refusals",
    "revoked_certificates",
    "rollover_stations",
    "rollovers",
    "root_stores",
]

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", Integer, nullable=False),
)
"""One row ``change_counter``; its lock puts the writers of the registry in line on PostgreSQL."""

changes = Table(
    "changes",
    metadata,
    Column("charge_point_id", String(255), primary_key=True),
    Column("counter", Integer, nullable=False, index=True),
    Column("actor", String(200), nullable=False, server_default=""),
)
"""When each identity last changed, removed ones included, and who has changed it. No foreign key: it outlives its charge
point. The empty identity stands for what concerns all."""

charge_points = Table(
    "charge_points",
    metadata,
    Column("charge_point_id", String(255), primary_key=True),
    Column("fold", String(255), nullable=False),
    Column("security_profile", Integer, nullable=False),
    Column("floor", Integer),
    Column("pending_security_profile", Integer),
    Column("serial_number", Text, nullable=False),
    Column("operator_names", Text, nullable=False),
    Column("group", String(255), nullable=False, index=True),
    Column("csms", Text, nullable=False),
    Column("ocpp_versions", Text, nullable=False),
    Column("default_version", String(8)),
    Column("password", Text),
    Column("password_created_at", Float, nullable=False),
    Column("pending_password", Text),
    Column("pending_password_created_at", Float, nullable=False),
    Column("password_reading", String(32), nullable=False),
    Column("tolerances", Text, nullable=False),
    Column("expired_certificate_until", Float, nullable=False, server_default="0"),
    Column("enabled", Boolean, nullable=False),
    Column("answers_pings", Boolean, nullable=False),
    Column("notes", Text, nullable=False),
    Column("vendor", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("firmware", Text, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Column("last_address", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("fold", name="uq_charge_points_fold"),
    # There is no profile 0: a row that nobody can read as one of the three must not come into being.
    CheckConstraint("security_profile IN (1, 2, 3)", name="ck_charge_points_security_profile"),
    CheckConstraint("floor IN (1, 2, 3)", name="ck_charge_points_floor"),
    CheckConstraint("pending_security_profile IN (1, 2, 3)", name="ck_charge_points_pending"),
)

lowered_floors = Table(
    "lowered_floors",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("charge_point_id", String(255), nullable=False, index=True),
    Column("from_floor", Integer, nullable=False),
    Column("to_floor", Integer),
    Column("reason", Text, nullable=False),
    Column("lowered_at", Float, nullable=False),
)
"""Why a floor was lowered, kept for ever: the one act that undoes a protection."""

bound_keys = Table(
    "bound_keys",
    metadata,
    Column("spki_sha256", String(64), primary_key=True),
    Column(
        "charge_point_id",
        String(255),
        ForeignKey("charge_points.charge_point_id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("first_seen_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
)

revoked_certificates = Table(
    "revoked_certificates",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("sha256", String(64), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("serial", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("revoked_at", Float, nullable=False),
    UniqueConstraint("sha256", "issuer", "serial", name="uq_revoked_certificates"),
    Index("ix_revoked_certificates_serial", "serial"),
)

known_certificates = Table(
    "known_certificates",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("serial", String(64), nullable=False),
    Column("common_name", Text, nullable=False),
    Column("organization", Text, nullable=False),
    Column("spki_sha256", String(64), nullable=False),
    Column("profile", String(64), nullable=False),
    Column("source", String(16), nullable=False),
    Column("charge_point_id", String(255), nullable=False),
    Column("not_before", Float, nullable=False),
    Column("not_after", Float, nullable=False),
    Column("recorded_at", Float, nullable=False),
    Column("first_seen_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Column("superseded_by", String(64), nullable=False),
    Index("ix_known_certificates_serial", "serial"),
    Index("ix_known_certificates_common_name", "common_name"),
    Index("ix_known_certificates_not_after", "not_after"),
)
"""Certificates that were issued here, seen in an admission, or imported. No foreign keys: they outlive charge points."""

journal_positions = Table(
    "journal_positions",
    metadata,
    Column("directory", Text, primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
)
"""Up to where in the journal of each CA's directory certificates have been taken over."""

enrolments = Table(
    "enrolments",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column(
        "charge_point_id",
        String(255),
        ForeignKey("charge_points.charge_point_id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("state", String(32), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("csr", Text, nullable=False),
    Column("csr_sha256", String(64), nullable=False),
    Column("csr_at", Float, nullable=False),
    Column("certificate_type", String(50), nullable=False),
    Column("request_id", BigInteger),
    Column("presented_sha256", String(64), nullable=False),
    Column("presented_serial", String(64), nullable=False),
    Column("method", Text, nullable=False),
    Column("ca_request", String(64), nullable=False),
    Column("serial", String(64), nullable=False),
    Column("certificate_sha256", String(64), nullable=False),
    Column("spki_sha256", String(64), nullable=False),
    Column("not_after", Float, nullable=False),
    Column("chain", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("released_by", Text, nullable=False),
    Column("released_until", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("detail", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),
    Index("ix_enrolments_charge_point_id", "charge_point_id", "number"),
    Index("ix_enrolments_state", "state"),
    sqlite_autoincrement=True,
)
"""The way to each certificate; the highest number of a charge point is the one that counts."""

enrolment_steps = Table(
    "enrolment_steps",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("enrolment", Integer, ForeignKey("enrolments.number", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("state", String(32), nullable=False),
    Column("detail", Text, nullable=False),
)
"""When an enrolment came into each of its states."""

password_changes = Table(
    "password_changes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column(
        "charge_point_id",
        String(255),
        ForeignKey("charge_points.charge_point_id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("state", String(32), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("candidate", Text, nullable=False),
    Column("session", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("detail", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),
    Index("ix_password_changes_charge_point_id", "charge_point_id", "number"),
    Index("ix_password_changes_state", "state"),
    sqlite_autoincrement=True,
)
"""What became of each change of a password; the highest number of a charge point is the one that counts."""

root_stores = Table(
    "root_stores",
    metadata,
    Column(
        "charge_point_id",
        String(255),
        ForeignKey("charge_points.charge_point_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("asked_at", Float, nullable=False),
    Column("store", Text, nullable=False),
)
"""What each charge point has said last about the roots it has."""

rollovers = Table(
    "rollovers",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("group", String(255), nullable=False),
    Column("is_running", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("old", Text, nullable=False),
    Column("new", Text, nullable=False),
    Column("link", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Replacements of the root by which charge points know their CSMS; certificates as PEM."""

rollover_stations = Table(
    "rollover_stations",
    metadata,
    Column("rollover", Integer, ForeignKey("rollovers.number", ondelete="CASCADE"), primary_key=True),
    Column(
        "charge_point_id",
        String(255),
        ForeignKey("charge_points.charge_point_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("state", String(32), nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("detail", Text, nullable=False),
)

refusals = Table(
    "refusals",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("time", Float, nullable=False),
    Column("charge_point_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("listener", Text, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Index("ix_refusals_charge_point_id", "charge_point_id", "id"),
    Index("ix_refusals_address", "address", "id"),
    # Ids are never used twice, so that "the newest" stays the highest id after a deletion.
    sqlite_autoincrement=True,
)
