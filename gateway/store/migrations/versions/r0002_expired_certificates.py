"""Until when a charge point may come with an expired certificate (A00.FR.429)."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody may, to begin with."""
    column = sa.Column("expired_certificate_until", sa.Float(), nullable=False, server_default="0")
    op.add_column("charge_points", column)


def downgrade() -> None:
    """Forget it."""
    op.drop_column("charge_points", "expired_certificate_until")
