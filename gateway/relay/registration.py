"""What BootNotification tells, read version-neutrally. The values are claims of the charge point."""

from gateway.ocpp.boot_notification import read_boot_claims
from gateway.ocpp.codec import Payload
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.ocpp.wrapped import Unreadable, inner_call
from gateway.relay.effects import FORWARD, CloseBoth, Effects, Forward, NoteRegistered, ReportEvent

__all__ = ["is_accepted", "judge_boot_notification", "read_boot_notification"]


def read_boot_notification(version: OCPPVersion, claims: Payload) -> NoteRegistered:
    """Serial number, vendor, model and firmware of a BootNotification request; empty where absent."""
    return NoteRegistered(*read_boot_claims(version, claims))


def is_accepted(payload: Payload) -> bool:
    """True if a BootNotification result says Accepted."""
    return payload.get("status") == "Accepted"


def judge_boot_notification(
    version: OCPPVersion, action: str, payload: Payload, expected_serial_number: str
) -> tuple[NoteRegistered, Effects]:
    """What the charge point claims to be, and whether it may (B01.FR.11/12).

    On security profile 3 the serial number, if given, must be the certificate's: `expected_serial_number`, else empty.
    """
    try:
        inner = inner_call(version, action, payload)
    except Unreadable:
        inner = None  # it claims nothing that could be read, and does not pass the gates
    boot = read_boot_notification(version, payload if inner is None else inner.payload)
    if not expected_serial_number or not boot.serial_number or boot.serial_number == expected_serial_number:
        return boot, FORWARD
    if version is OCPPVersion.V1_6:
        # 1.6 has no such requirement and does not say which of its two fields counts.
        return boot, (ReportEvent("identity.serial_differs", "low", "allow_alert"), Forward())
    detail = "BootNotification names another serial number"
    mismatch = ReportEvent("identity.serial_mismatch", "critical", "ws_close", detail)
    return boot, (mismatch, CloseBoth(1008, "serial number"))
