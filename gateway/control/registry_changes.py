"""What somebody else has changed in the registry, for the record: the command line, another node."""

from typing import Any, Final

from gateway.audit.actor import named_in_registry
from gateway.audit.event import Actor, printable
from gateway.identity.record import ChargePointRecord

__all__ = ["Change", "change_of"]

Change = tuple[str, str, str, Actor]
"""Event, identity, what was changed in words (of secrets only that they were), and who did it."""

_LEARNT: Final = frozenset(
    {
        "password_reading", "answers_pings", "vendor", "model", "firmware", "last_seen_at", "last_address", "created_at",
        "updated_at",
    }
)  # fmt: skip
_SHOWN: Final = frozenset(
    {"security_profile", "floor", "pending_security_profile", "group", "csms", "enabled", "default_version"}
)
"""Fields whose values are on record; of all others it is said that they are different."""
_MAX_CHARS: Final = 64


def change_of(before: ChargePointRecord | None, after: ChargePointRecord | None, actor: str = "") -> Change | None:
    """None where nothing is different that somebody has set. `actor`: who did it, in his own words."""
    record = after or before
    if record is None:
        return None
    identity, who = printable(record.charge_point_id), named_in_registry(actor)
    if before is None:
        return "admin.charge_point_added", identity, _described(record), who
    if after is None:
        return "admin.charge_point_removed", identity, _described(record), who
    names = [name for name in ChargePointRecord.__struct_fields__ if name not in _LEARNT]
    different = [name for name in names if getattr(before, name) != getattr(after, name)]
    if not different:
        return None
    what = ", ".join(_said(name, before, after) for name in different)
    return "admin.charge_point_changed", identity, what, who


def _described(record: ChargePointRecord) -> str:
    return ", ".join(f"{name} {_value(getattr(record, name))}" for name in sorted(_SHOWN))


def _said(name: str, before: ChargePointRecord, after: ChargePointRecord) -> str:
    if name not in _SHOWN:
        return name
    return f"{name} {_value(getattr(before, name))} -> {_value(getattr(after, name))}"


def _value(value: Any) -> str:
    return printable(str(getattr(value, "value", value)), _MAX_CHARS) or "-"
