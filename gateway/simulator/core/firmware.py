"""Firmware updates and logs without an image and without a file: the states that a CSMS gets to see (L01, N01)."""

from typing import Final

from gateway.simulator.core import certificates, security_events
from gateway.simulator.core.certificates import CertificateUnfit
from gateway.simulator.core.station import CallRefused, Payload, Station

__all__ = ["get_log", "proceed", "send_log_status", "send_status", "update", "update_unsigned_1_6"]

_UNSIGNED: Final = ("Downloading", "Downloaded", "Installing", "Installed")
_SIGNED: Final = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed")
_FORGED: Final = ("Downloading", "Downloaded", "InvalidSignature")
_TLS: Final = 2


def update(station: Station, payload: Payload) -> Payload:
    """SignedUpdateFirmware of 1.6, UpdateFirmware of 2.x: the signing certificate is checked first (L01.FR.02)."""
    firmware = payload["firmware"]
    signing = firmware.get("signingCertificate")
    if signing is None and station.memory.security_profile < _TLS:
        return _begin(station, _UNSIGNED, payload["requestId"])
    try:
        _check_signer(station, signing or "")
    except CertificateUnfit as unfit:
        security_events.report(station, "InvalidFirmwareSigningCertificate", str(unfit))
        return {"status": "InvalidCertificate"}
    return _begin(station, _FORGED if "firmware-signature-invalid" in station.quirks else _SIGNED, payload["requestId"])


def _check_signer(station: Station, pem: str) -> None:
    """Directly under a manufacturer's root, no intermediates (L01 remark)."""
    certificate = certificates.read(pem)
    roots = [root for root in station.memory.roots if root.certificate_type == "ManufacturerRootCertificate"]
    if not any(certificates.is_signed_by(certificate, certificates.read(root.pem)) for root in roots):
        raise CertificateUnfit("under no manufacturer's root")


def update_unsigned_1_6(station: Station, payload: Payload) -> Payload:
    """UpdateFirmware of 1.6: a secure charge point does not know it (L01.FR.20)."""
    del payload
    if station.memory.security_profile >= _TLS:
        raise CallRefused("NotSupported", "use SignedUpdateFirmware")
    _begin(station, _UNSIGNED, None)
    return {}


def _begin(station: Station, states: tuple[str, ...], request_id: int | None) -> Payload:
    live = station.live
    cancelled = bool(live.firmware)
    live.firmware = list(states)
    live.firmware_request = {} if request_id is None else {"requestId": request_id}
    station.timer("firmware", station.model.firmware_step_s)
    return {"status": "AcceptedCanceled" if cancelled else "Accepted"}


def proceed(station: Station) -> None:
    """The next state."""
    live = station.live
    if not live.firmware:
        return
    state = live.firmware.pop(0)
    send_status(station, state)
    if state == "InvalidSignature":
        security_events.report(station, "InvalidFirmwareSignature")
    if state == "Installed":
        security_events.report(station, "FirmwareUpdated")
    if live.firmware:
        station.timer("firmware", station.model.firmware_step_s)


def send_status(station: Station, state: str = "Idle", *, triggered: bool = False) -> None:
    """A status notification, in the words of the version and of the request."""
    request = station.live.firmware_request if state != "Idle" else {}
    is_signed = not station.is_1_6 or bool(request) or state == "SignatureVerified"
    action = "SignedFirmwareStatusNotification" if station.is_1_6 and is_signed else "FirmwareStatusNotification"
    station.call(action, {"status": state, **request}, triggered=triggered)


def get_log(station: Station, payload: Payload) -> Payload:
    """GetLog: nothing is really uploaded."""
    for state in ("Uploading", "Uploaded"):
        station.call("LogStatusNotification", {"status": state, "requestId": payload["requestId"]}, triggered=True)
    return {"status": "Accepted", "filename": "simulated.log"}


def send_log_status(station: Station) -> None:
    """Nothing is being uploaded."""
    station.call("LogStatusNotification", {"status": "Idle"}, triggered=True)
