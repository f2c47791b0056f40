"""The tables by which nodes that share a database know of each other; part of `gateway.store.tables.metadata`."""

from sqlalchemy import BigInteger, Column, Float, Index, String, Table

from gateway.store.tables import metadata

__all__ = ["counts", "leases", "places"]

leases = Table(
    "leases",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("lapses_at", Float, nullable=False),
)
"""One row for each thing that one node does for all, and one for each node, which says that it is alive."""

places = Table(
    "places",
    metadata,
    Column("charge_point_id", String(255), primary_key=True),
    Column("node", String(64), nullable=False),
    Column("moved", BigInteger, nullable=False),
    Column("touched", BigInteger, nullable=False),
    Index("ix_places_moved", "moved"),
    Index("ix_places_touched", "touched"),
    Index("ix_places_node", "node"),
)
"""To which node a charge point is connected (empty: to none), and the counts at which this, and its rows, changed last.

No foreign key: it is written in passing, and a charge point may have been removed meanwhile.
"""

counts = Table(
    "cluster_counts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""One row ``places``; its lock puts those in line who write places, or rows that nodes write in turn, on PostgreSQL."""
