"""Enrolment and renewal of certificates over OCPP."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables."""
    op.create_table(
        "enrolments",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column(
            "charge_point_id",
            sa.String(255),
            sa.ForeignKey("charge_points.charge_point_id", ondelete="CASCADE"),
            nullable=False,
        ),
        *(sa.Column(name, kind, nullable=name == "request_id") for name, kind in _COLUMNS),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_enrolments_charge_point_id", "enrolments", ["charge_point_id", "number"])
    op.create_index("ix_enrolments_state", "enrolments", ["state"])
    op.create_table(
        "enrolment_steps",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("enrolment", sa.Integer(), sa.ForeignKey("enrolments.number", ondelete="CASCADE"), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_index("ix_enrolment_steps_enrolment", "enrolment_steps", ["enrolment"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("enrolment_steps")
    op.drop_table("enrolments")


_COLUMNS = (
    ("state", sa.String(32)),
    ("created_at", sa.Float()),
    ("changed_at", sa.Float()),
    ("csr", sa.Text()),
    ("csr_sha256", sa.String(64)),
    ("csr_at", sa.Float()),
    ("certificate_type", sa.String(50)),
    ("request_id", sa.BigInteger()),
    ("presented_sha256", sa.String(64)),
    ("presented_serial", sa.String(64)),
    ("method", sa.Text()),
    ("ca_request", sa.String(64)),
    ("serial", sa.String(64)),
    ("certificate_sha256", sa.String(64)),
    ("spki_sha256", sa.String(64)),
    ("not_after", sa.Float()),
    ("chain", sa.Text()),
    ("attempts", sa.Integer()),
    ("due_at", sa.Float()),
    ("released_by", sa.Text()),
    ("released_until", sa.Float()),
    ("seen_at", sa.Float()),
    ("detail", sa.Text()),
)
