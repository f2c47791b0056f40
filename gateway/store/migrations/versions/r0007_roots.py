"""Roots of charge points, and their rollover."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three tables."""
    op.create_table(
        "root_stores",
        _charge_point(),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
    )
    op.create_table(
        "rollovers",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("group", sa.String(255), nullable=False),
        sa.Column("is_running", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("old", sa.Text(), nullable=False),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rollover_stations",
        sa.Column("rollover", sa.Integer(), sa.ForeignKey("rollovers.number", ondelete="CASCADE"), primary_key=True),
        _charge_point(),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for name in ("rollover_stations", "rollovers", "root_stores"):
        op.drop_table(name)


def _charge_point() -> "sa.Column[str]":
    return sa.Column(
        "charge_point_id",
        sa.String(255),
        sa.ForeignKey("charge_points.charge_point_id", ondelete="CASCADE"),
        primary_key=True,
    )
