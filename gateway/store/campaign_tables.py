"""The tables of campaigns and of what is learnt; part of `gateway.store.tables.metadata`."""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from gateway.store.tables import metadata

__all__ = ["campaign_members", "campaign_steps", "campaigns", "capabilities"]

campaigns = Table(
    "campaigns",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(32), nullable=False),
    Column("plan", Text, nullable=False),
    Column("strata", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("planned_by", String(255), nullable=False),
    Column("approved_by", String(255), nullable=False),
    Column("approved_at", Float, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ordered", Text, nullable=False),
    UniqueConstraint("name", name="uq_campaigns_name"),
    Index("ix_campaigns_state", "state"),
    sqlite_autoincrement=True,
)
"""``ordered``: what an operator wants and the gateway has not done yet, as JSON; empty: nothing."""

campaign_members = Table(
    "campaign_members",
    metadata,
    Column("campaign", Integer, ForeignKey("campaigns.number", ondelete="CASCADE"), primary_key=True),
    Column("charge_point_id", String(255), primary_key=True),
    Column("stratum", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("state", String(32), nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("switched_at", Float, nullable=False),
    Column("verified_at", Float, nullable=False),
    Column("mark", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_campaign_members_state", "campaign", "state"),
)
"""No foreign key to the charge point: the report tells of one that was removed, too."""

campaign_steps = Table(
    "campaign_steps",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("campaign", Integer, ForeignKey("campaigns.number", ondelete="CASCADE"), nullable=False),
    Column("charge_point_id", String(255), nullable=False),
    Column("at", Float, nullable=False),
    Column("state", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_campaign_steps_member", "campaign", "charge_point_id"),
)

capabilities = Table(
    "capabilities",
    metadata,
    Column("vendor", String(80), primary_key=True),
    Column("model", String(80), primary_key=True),
    Column("firmware", String(80), primary_key=True),
    Column("fact", String(80), primary_key=True),
    Column("value", String(80), primary_key=True),
    Column("evidence", String(16), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
)
