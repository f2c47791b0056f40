"""Who has changed what the change counter counts."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0015"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of what was changed before, nobody knows."""
    op.add_column("changes", sa.Column("actor", sa.String(200), nullable=False, server_default=""))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("changes", "actor")
