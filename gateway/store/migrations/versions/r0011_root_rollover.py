"""Upgrades that install a root first, or in spite of the firmware; switches of the gateway's server chain."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None

_FLAGS = ("install_root", "unsafe_any_firmware")


def upgrade() -> None:
    """What is under way goes on as it began."""
    for name in _FLAGS:
        op.add_column("upgrades", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drop them."""
    for name in _FLAGS:
        op.drop_column("upgrades", name)
