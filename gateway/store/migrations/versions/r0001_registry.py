"""The first schema. Frozen once released: it does not import `gateway.store.tables`."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    _meta()
    _charge_points()
    _certificates()
    _refusals()


def downgrade() -> None:
    """Drop everything."""
    for name in (
        "refusals",
        "revoked_certificates",
        "bound_keys",
        "lowered_floors",
        "charge_points",
        "changes",
        "meta",
    ):
        op.drop_table(name)


def _meta() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
    )
    op.bulk_insert(meta, [{"name": "change_counter", "number": 0}])
    op.create_table(
        "changes",
        sa.Column("charge_point_id", sa.String(255), primary_key=True),
        sa.Column("counter", sa.Integer(), nullable=False),
    )
    op.create_index("ix_changes_counter", "changes", ["counter"])


def _charge_points() -> None:
    op.create_table(
        "charge_points",
        sa.Column("charge_point_id", sa.String(255), primary_key=True),
        sa.Column("fold", sa.String(255), nullable=False),
        sa.Column("security_profile", sa.Integer(), nullable=False),
        sa.Column("floor", sa.Integer()),
        sa.Column("pending_security_profile", sa.Integer()),
        sa.Column("serial_number", sa.Text(), nullable=False),
        sa.Column("operator_names", sa.Text(), nullable=False),
        sa.Column("group", sa.String(255), nullable=False),
        sa.Column("csms", sa.Text(), nullable=False),
        sa.Column("ocpp_versions", sa.Text(), nullable=False),
        sa.Column("default_version", sa.String(8)),
        sa.Column("password", sa.Text()),
        sa.Column("password_created_at", sa.Float(), nullable=False),
        sa.Column("pending_password", sa.Text()),
        sa.Column("pending_password_created_at", sa.Float(), nullable=False),
        sa.Column("password_reading", sa.String(32), nullable=False),
        sa.Column("tolerances", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("answers_pings", sa.Boolean(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("firmware", sa.Text(), nullable=False),
        sa.Column("last_seen_at", sa.Float(), nullable=False),
        sa.Column("last_address", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.UniqueConstraint("fold", name="uq_charge_points_fold"),
        sa.CheckConstraint("security_profile IN (1, 2, 3)", name="ck_charge_points_security_profile"),
        sa.CheckConstraint("floor IN (1, 2, 3)", name="ck_charge_points_floor"),
        sa.CheckConstraint("pending_security_profile IN (1, 2, 3)", name="ck_charge_points_pending"),
    )
    op.create_index("ix_charge_points_group", "charge_points", ["group"])
    op.create_table(
        "lowered_floors",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("charge_point_id", sa.String(255), nullable=False),
        sa.Column("from_floor", sa.Integer(), nullable=False),
        sa.Column("to_floor", sa.Integer()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lowered_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_lowered_floors_charge_point_id", "lowered_floors", ["charge_point_id"])


def _certificates() -> None:
    owner = sa.ForeignKey("charge_points.charge_point_id", ondelete="CASCADE")
    op.create_table(
        "bound_keys",
        sa.Column("spki_sha256", sa.String(64), primary_key=True),
        sa.Column("charge_point_id", sa.String(255), owner, nullable=False),
        sa.Column("first_seen_at", sa.Float(), nullable=False),
        sa.Column("last_seen_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_bound_keys_charge_point_id", "bound_keys", ["charge_point_id"])
    op.create_table(
        "revoked_certificates",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=False),
        sa.UniqueConstraint("sha256", "issuer", "serial", name="uq_revoked_certificates"),
    )


def _refusals() -> None:
    op.create_table(
        "refusals",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("charge_point_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("listener", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_refusals_charge_point_id", "refusals", ["charge_point_id", "id"])
    op.create_index("ix_refusals_address", "refusals", ["address", "id"])
