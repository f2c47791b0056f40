"""Upgrades of security profiles."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables."""
    op.create_table(
        "upgrades",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column(
            "charge_point_id",
            sa.String(255),
            sa.ForeignKey("charge_points.charge_point_id", ondelete="CASCADE"),
            nullable=False,
        ),
        *(sa.Column(name, kind, nullable=False) for name, kind in _COLUMNS),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_upgrades_charge_point_id", "upgrades", ["charge_point_id", "number"])
    op.create_index("ix_upgrades_state", "upgrades", ["state"])
    op.create_table(
        "upgrade_steps",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("upgrade", sa.Integer(), sa.ForeignKey("upgrades.number", ondelete="CASCADE"), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_index("ix_upgrade_steps_upgrade", "upgrade_steps", ["upgrade"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("upgrade_steps")
    op.drop_table("upgrades")


_COLUMNS = (
    ("state", sa.String(32)),
    ("from_profile", sa.Integer()),
    ("to_profile", sa.Integer()),
    ("created_at", sa.Float()),
    ("changed_at", sa.Float()),
    ("url", sa.Text()),
    ("url_key", sa.String(50)),
    ("interface", sa.String(20)),
    ("priority_before", sa.Text()),
    ("attempts", sa.Integer()),
    ("due_at", sa.Float()),
    ("reset_at", sa.Float()),
    ("ends_as", sa.String(32)),
    ("certificate_serial", sa.String(64)),
    ("detail", sa.Text()),
)
