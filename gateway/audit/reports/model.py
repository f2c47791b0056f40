"""What reports are made of."""

from typing import Literal

import msgspec

__all__ = ["Control", "Evidence", "Framework", "Log", "Report", "Row", "Shown", "Stage", "Status"]

Status = Literal["shown", "exceptions", "no-records", "outside"]
"""Records show it; records show exceptions; nothing was recorded about it; a gateway cannot see it."""


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """One duty, in our own short words."""

    id: str
    title: str
    gateway: str
    """What the gateway does about it."""
    shows: tuple[str, ...] = ()
    """Kinds of evidence (`gateway.audit.reports.evidence`) that speak for it."""
    against: tuple[str, ...] = ()
    """Kinds of evidence that are exceptions from it."""
    outside: str = ""
    """What of it no gateway can show."""


class Framework(msgspec.Struct, frozen=True, kw_only=True):
    """A regulation or standard."""

    name: str
    title: str
    scope: str
    """Whom it binds, as far as we know."""
    controls: tuple[Control, ...]


class Evidence(msgspec.Struct, kw_only=True):
    """Records of one kind in the period."""

    kind: str
    label: str
    count: int = 0
    charge_points: int = 0
    """How many different ones, counted up to a limit."""
    first: str = ""
    last: str = ""
    """RFC 3339."""
    places: list[str] = []
    """The first and the latest of them, ``SHARD/INDEX``."""


class Shown(msgspec.Struct, frozen=True):
    """A record that a report refers to."""

    place: str
    time: str
    kind: str
    severity: str
    charge_point_id: str
    address: str
    text: str
    leaf_hash: str
    """SHA-256 of the record as a leaf of the log (RFC 6962): ties what is shown to the log."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A control, and what there is about it."""

    id: str
    title: str
    gateway: str
    status: Status
    shows: tuple[Evidence, ...]
    against: tuple[Evidence, ...]
    outside: str


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """The log that it was made from."""

    origin: str
    size: int
    root: str
    verified: bool | None
    """None: it was not verified."""
    findings: tuple[str, ...]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One report that is due about an incident."""

    name: str
    due: str
    known: tuple[tuple[str, str], ...]
    """What the log says: question and answer."""
    open: tuple[str, ...]
    """What people have to add."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is rendered."""

    framework: str
    title: str
    scope: str
    since: str
    until: str
    made: str
    records: int
    logs: tuple[Log, ...]
    rows: tuple[Row, ...]
    stages: tuple[Stage, ...]
    timeline: tuple[Shown, ...]
    referred: tuple[Shown, ...]
    caveats: tuple[str, ...]
