"""The tables of security-profile upgrades; part of `gateway.store.tables.metadata`."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from gateway.store.tables import metadata

__all__ = ["upgrade_steps", "upgrades"]

upgrades = Table(
    "upgrades",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column(
        "charge_point_id",
        String(255),
        ForeignKey("charge_points.charge_point_id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("state", String(32), nullable=False),
    Column("from_profile", Integer, nullable=False),
    Column("to_profile", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("url", Text, nullable=False),
    Column("url_key", String(50), nullable=False),
    Column("interface", String(20), nullable=False),
    Column("install_root", Boolean, nullable=False),
    Column("unsafe_any_firmware", Boolean, nullable=False),
    Column("priority_before", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("reset_at", Float, nullable=False),
    Column("ends_as", String(32), nullable=False),
    Column("certificate_serial", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),
    Index("ix_upgrades_charge_point_id", "charge_point_id", "number"),
    Index("ix_upgrades_state", "state"),
    sqlite_autoincrement=True,
)
"""Each attempt to move a charge point to a higher security profile; the highest number of a charge point counts."""

upgrade_steps = Table(
    "upgrade_steps",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("upgrade", Integer, ForeignKey("upgrades.number", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("state", String(32), nullable=False),
    Column("detail", Text, nullable=False),
)
"""When an upgrade came into each of its states."""
