"""Records for people and programs. No hash ever leaves through here."""

from typing import TYPE_CHECKING, Any

import msgspec

from gateway.cli.refusals import stamp

if TYPE_CHECKING:
    from gateway.identity.record import ChargePointRecord

__all__ = ["changes", "public", "rows", "words"]

_PASSWORDS = ("password", "pending_password")


def public(record: "ChargePointRecord") -> dict[str, Any]:
    """The record as JSON, with the time a password was set instead of its hash (null: there is none)."""
    plain: dict[str, Any] = msgspec.to_builtins(record)
    for name in _PASSWORDS:
        stored = plain.pop(name)
        plain[f"{name}_set_at"] = stored["created_at"] if stored else None
    return plain


def changes(old: "ChargePointRecord", new: "ChargePointRecord") -> dict[str, tuple[Any, Any]]:
    """Fields that differ, as (before, after); the time stamp of the change itself is left out."""
    before, after = public(old), public(new)
    return {
        name: (before[name], value) for name, value in after.items() if before[name] != value and name != "updated_at"
    }


def words(name: str, value: Any) -> str:
    """One field of a record for people."""
    if value is None or value in ("", (), []):
        return "none"
    if name.endswith(("_at", "_until")):
        return stamp(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def rows(record: "ChargePointRecord") -> list[tuple[str, str]]:
    """Label and value of what is known, in the order of interest."""
    return [
        ("state", "enabled" if record.enabled else "DISABLED"),
        ("security profile", _profiles(record)),
        ("never below", f"{int(record.floor)} (already proven)" if record.floor else "-"),
        ("serial number", record.serial_number or "-"),
        ("operator names", ", ".join(record.operator_names) or "(those of the configuration)"),
        ("group", record.group),
        ("CSMS", record.csms or "(that of the listener)"),
        ("OCPP versions", ", ".join(record.ocpp_versions) or "none"),
        ("default version", record.default_version or "-"),
        ("tolerances", ", ".join(record.tolerances) or "none"),
        ("expired certificate", _expired(record)),
        ("password", _password(record)),
        ("answers pings", "yes" if record.answers_pings else "not seen yet"),
        ("claims to be", " ".join(filter(None, (record.vendor, record.model, record.firmware))) or "not known yet"),
        ("last seen", stamp(record.last_seen_at) + (f" from {record.last_address}" if record.last_address else "")),
        ("registered", stamp(record.created_at)),
        ("changed", stamp(record.updated_at)),
        ("notes", record.notes or "-"),
    ]


def _profiles(record: "ChargePointRecord") -> str:
    pending = record.pending_security_profile
    return str(int(record.security_profile)) + (f", upgrade to {int(pending)} under way" if pending else "")


def _expired(record: "ChargePointRecord") -> str:
    until = record.expired_certificate_until
    return f"let in until {stamp(until)}, to renew it" if until else "refused"


def _password(record: "ChargePointRecord") -> str:
    if record.password is None and record.pending_password is None:
        return "none"
    words = f"set {stamp(record.password.created_at)}" if record.password else "none in use"
    if record.password_reading:
        words += f", sent as {record.password_reading}"
    if record.pending_password is not None:
        words += f"; another one, set {stamp(record.pending_password.created_at)}, is accepted until one is used"
    return words
