"""Certificates by themselves: issued, seen, imported; and how far the journal of a CA has been read."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables, and an index by which a certificate is found among those that are revoked."""
    op.create_table(
        "known_certificates",
        sa.Column("sha256", sa.String(64), primary_key=True),
        *(sa.Column(name, kind, nullable=False) for name, kind in _COLUMNS),
    )
    op.create_index("ix_known_certificates_serial", "known_certificates", ["serial"])
    op.create_index("ix_known_certificates_common_name", "known_certificates", ["common_name"])
    op.create_index("ix_known_certificates_not_after", "known_certificates", ["not_after"])
    op.create_table(
        "journal_positions",
        sa.Column("directory", sa.Text(), primary_key=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.create_index("ix_revoked_certificates_serial", "revoked_certificates", ["serial"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_revoked_certificates_serial", "revoked_certificates")
    op.drop_table("journal_positions")
    op.drop_table("known_certificates")


_COLUMNS = (
    ("issuer", sa.Text()),
    ("serial", sa.String(64)),
    ("common_name", sa.Text()),
    ("organization", sa.Text()),
    ("spki_sha256", sa.String(64)),
    ("profile", sa.String(64)),
    ("source", sa.String(16)),
    ("charge_point_id", sa.String(255)),
    ("not_before", sa.Float()),
    ("not_after", sa.Float()),
    ("recorded_at", sa.Float()),
    ("first_seen_at", sa.Float()),
    ("last_seen_at", sa.Float()),
    ("superseded_by", sa.String(64)),
)
