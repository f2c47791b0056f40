"""The registry's side of a password change: what each outcome does to the two slots. Runs in the store's thread."""

import time

from gateway.identity.record import ChargePointRecord
from gateway.provisioning.password import PasswordChange
from gateway.store.password_changes import PasswordChangeTable
from gateway.store.registry import Registry

__all__ = ["drop", "drop_refuted", "phcs", "promote", "stage"]


def phcs(record: ChargePointRecord | None) -> tuple[str, str]:
    """The hashes in the current and the pending slot, empty where there is none."""
    if record is None:
        return "", ""
    current, pending = record.password, record.pending_password
    return current.phc if current is not None else "", pending.phc if pending is not None else ""


def stage(registry: Registry, charge_point_id: str, candidate: str) -> ChargePointRecord | None:
    """Accept the candidate beside the current password. None, and nothing changed, where another one is pending."""
    record = registry.get(charge_point_id)
    if record is not None and phcs(record)[1] not in {"", candidate}:
        return None
    registry.set_password(charge_point_id, candidate, "pending")
    return registry.get(charge_point_id)


def promote(registry: Registry, change: PasswordChange) -> ChargePointRecord | None:
    """The charge point has the candidate now, and the old password dies (A01.FR.03).

    Also where a handshake with the old one has refuted the candidate just before its answer was heard; not where an
    operator has set another password since.
    """
    identity, candidate = change.charge_point_id, change.candidate
    registry.promote_pending(identity, candidate)
    record = registry.get(identity)
    current = record.password if record is not None else None
    is_older = current is None or (current.phc != candidate and current.created_at < change.created_at)
    if record is None or not is_older:
        return record
    registry.set_password(identity, candidate, "current")
    return registry.get(identity)


def drop(registry: Registry, change: PasswordChange) -> ChargePointRecord | None:
    """The candidate is void (A01.FR.04)."""
    registry.drop_pending(change.charge_point_id, change.candidate)
    return registry.get(change.charge_point_id)


def drop_refuted(registry: Registry, charge_point_id: str, candidate: str) -> None:
    """A handshake with the password before it: void, unless it is for after a reboot, whichever node has heard that."""
    PasswordChangeTable(registry.database).drop_refuted(charge_point_id, candidate, time.time())
