"""What a BootNotification tells of a charge point, read version-neutrally. The values are its own claims."""

from typing import Any, NamedTuple

from gateway.ocpp.codec import Payload
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["BootClaims", "read_boot_claims"]


class BootClaims(NamedTuple):
    """Empty where absent."""

    serial_number: str = ""
    vendor: str = ""
    model: str = ""
    firmware: str = ""


def read_boot_claims(version: OCPPVersion, claims: Payload) -> BootClaims:
    """Serial number, vendor, model and firmware of a BootNotification request. Raises nothing, whatever it holds."""
    if version is OCPPVersion.V1_6:
        # Two fields exist in 1.6 and the standard does not say which is "the" serial number.
        fields = claims.get("chargePointSerialNumber"), claims.get("chargeBoxSerialNumber")
        serial = _serial_number(fields[0]) or _serial_number(fields[1])
        vendor, model = claims.get("chargePointVendor"), claims.get("chargePointModel")
        return BootClaims(serial, _text(vendor), _text(model), _text(claims.get("firmwareVersion")))
    station = claims.get("chargingStation")
    if not isinstance(station, dict):
        return BootClaims()
    return BootClaims(
        _serial_number(station.get("serialNumber")),
        _text(station.get("vendorName")),
        _text(station.get("model")),
        _text(station.get("firmwareVersion")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _serial_number(value: Any) -> str:
    """A value of the wrong type is no way around the comparison with the certificate."""
    return "" if value is None else str(value)
