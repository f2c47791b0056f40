"""Several nodes on one database: leases, places of charge points, and revisions of the rows that nodes write in turn."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_WRITTEN_IN_TURN = ("enrolments", "password_changes", "upgrades")


def upgrade() -> None:
    """Three tables, three columns."""
    op.create_table(
        "leases",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("lapses_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "places",
        sa.Column("charge_point_id", sa.String(255), primary_key=True),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.Column("touched", sa.BigInteger(), nullable=False),
    )
    for name in ("moved", "touched", "node"):
        op.create_index(f"ix_places_{name}", "places", [name])
    for table in _WRITTEN_IN_TURN:
        op.add_column(table, sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    counts = op.create_table(
        "cluster_counts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
    op.bulk_insert(counts, [{"name": "places", "number": 0}])


def downgrade() -> None:
    """Forget them."""
    op.drop_table("cluster_counts")
    for table in _WRITTEN_IN_TURN:
        op.drop_column(table, "revision")
    op.drop_table("places")
    op.drop_table("leases")
