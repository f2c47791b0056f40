"""What BootNotification tells, read version-neutrally. The values are claims of the charge point."""

from typing import Any

from gateway.ocpp.codec import Payload
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import NoteRegistered

__all__ = ["is_accepted", "read_boot_notification"]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _serial_number(value: Any) -> str:
    """A value of the wrong type is no way around the comparison with the certificate."""
    return "" if value is None else str(value)


def read_boot_notification(version: OCPPVersion, claims: Payload) -> NoteRegistered:
    """Serial number, vendor, model and firmware of a BootNotification request; empty where absent."""
    if version is OCPPVersion.V1_6:
        # Two fields exist in 1.6 and the standard does not say which is "the" serial number.
        fields = claims.get("chargePointSerialNumber"), claims.get("chargeBoxSerialNumber")
        serial = _serial_number(fields[0]) or _serial_number(fields[1])
        vendor, model = claims.get("chargePointVendor"), claims.get("chargePointModel")
        return NoteRegistered(serial, _text(vendor), _text(model), _text(claims.get("firmwareVersion")))
    station = claims.get("chargingStation")
    if not isinstance(station, dict):
        return NoteRegistered()
    return NoteRegistered(
        _serial_number(station.get("serialNumber")),
        _text(station.get("vendorName")),
        _text(station.get("model")),
        _text(station.get("firmwareVersion")),
    )


def is_accepted(payload: Payload) -> bool:
    """True if a BootNotification result says Accepted."""
    return payload.get("status") == "Accepted"
