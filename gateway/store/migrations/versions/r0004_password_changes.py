"""Changes of passwords over OCPP."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table."""
    op.create_table(
        "password_changes",
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
    op.create_index("ix_password_changes_charge_point_id", "password_changes", ["charge_point_id", "number"])
    op.create_index("ix_password_changes_state", "password_changes", ["state"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("password_changes")


_COLUMNS = (
    ("state", sa.String(32)),
    ("created_at", sa.Float()),
    ("changed_at", sa.Float()),
    ("origin", sa.String(16)),
    ("candidate", sa.Text()),
    ("session", sa.String(64)),
    ("attempts", sa.Integer()),
    ("due_at", sa.Float()),
    ("detail", sa.Text()),
)
