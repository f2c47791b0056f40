"""Campaigns, and what is learnt about kinds of charge points."""

import sqlalchemy as sa
from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Four tables."""
    op.create_table(
        "campaigns",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        *(sa.Column(name, kind, nullable=False) for name, kind in _CAMPAIGN),
        sa.UniqueConstraint("name", name="uq_campaigns_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_campaigns_state", "campaigns", ["state"])
    op.create_table(
        "campaign_members",
        sa.Column("campaign", sa.Integer(), sa.ForeignKey("campaigns.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("charge_point_id", sa.String(255), primary_key=True),
        *(sa.Column(name, kind, nullable=False) for name, kind in _MEMBER),
    )
    op.create_index("ix_campaign_members_state", "campaign_members", ["campaign", "state"])
    op.create_table(
        "campaign_steps",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("campaign", sa.Integer(), sa.ForeignKey("campaigns.number", ondelete="CASCADE"), nullable=False),
        *(sa.Column(name, kind, nullable=False) for name, kind in _STEP),
    )
    op.create_index("ix_campaign_steps_member", "campaign_steps", ["campaign", "charge_point_id"])
    op.create_table(
        "capabilities",
        *(sa.Column(name, sa.String(chars), primary_key=True) for name, chars in _CAPABILITY),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.Float(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for name in ("capabilities", "campaign_steps", "campaign_members", "campaigns"):
        op.drop_table(name)


_CAMPAIGN = (
    ("name", sa.String(64)),
    ("kind", sa.String(32)),
    ("state", sa.String(32)),
    ("plan", sa.Text()),
    ("strata", sa.Text()),
    ("created_at", sa.Float()),
    ("changed_at", sa.Float()),
    ("planned_by", sa.String(255)),
    ("approved_by", sa.String(255)),
    ("approved_at", sa.Float()),
    ("started_at", sa.Float()),
    ("ordered", sa.Text()),
)
_MEMBER = (
    ("stratum", sa.Integer()),
    ("rank", sa.Integer()),
    ("state", sa.String(32)),
    ("changed_at", sa.Float()),
    ("wave", sa.Integer()),
    ("attempts", sa.Integer()),
    ("due_at", sa.Float()),
    ("switched_at", sa.Float()),
    ("verified_at", sa.Float()),
    ("mark", sa.Text()),
    ("detail", sa.Text()),
)
_STEP = (
    ("charge_point_id", sa.String(255)),
    ("at", sa.Float()),
    ("state", sa.String(32)),
    ("detail", sa.Text()),
)
_CAPABILITY = (("vendor", 80), ("model", 80), ("firmware", 80), ("fact", 80), ("value", 80), ("evidence", 16))
