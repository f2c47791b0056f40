"""L01 without an image: the states that a CSMS gets to see."""

import pytest

from tests.simulator.scenario import Error, Scenario, answers, authority, calls, pem
from tests.simulator.test_roots import install

WHEN = "2026-01-01T00:00:00Z"


def update(s: Scenario, status: str, *, signer: str = "") -> Scenario:
    firmware = {"location": "https://x.test/f", "retrieveDateTime": WHEN}
    if signer:
        firmware |= {"signingCertificate": signer, "signature": "c2ln"}
    action = "SignedUpdateFirmware" if s.version == "1.6" else "UpdateFirmware"
    return s >> s.csms(action, requestId=8, firmware=firmware) << answers(status=status)


def states(s: Scenario) -> list[str]:
    """In the order in which they are sent: a critical event goes before what can be lost."""
    action = "SignedFirmwareStatusNotification" if s.version == "1.6" else "FirmwareStatusNotification"
    found = []
    while "firmware" in s.timers:
        s >> s.due("firmware")
        while s.wire:
            if b"SecurityEvent" in s.wire[0].text:  # type: ignore[union-attr]
                s << calls("SecurityEventNotification")
            else:
                s << calls(action, requestId=8)
            found.append(s.last.get("status") or s.last["type"])
            s >> s.answer()
    return found


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_signed_by_the_manufacturer(version: str) -> None:
    s = Scenario(version, 2).up()
    install(s, authority("Maker").root, "Accepted", "ManufacturerRootCertificate")
    update(s, "Accepted", signer=authority("Maker").charge_point("Firmware").pem.decode())
    assert states(s) == ["Downloading", "Downloaded", "SignatureVerified", "Installing", "FirmwareUpdated", "Installed"]


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_signed_by_somebody_else(version: str) -> None:
    s = Scenario(version, 2).up()
    install(s, authority("Maker").root, "Accepted", "ManufacturerRootCertificate")
    update(s, "InvalidCertificate", signer=pem(authority().charge_point("Firmware")))
    if version != "1.6":
        s << calls("SecurityEventNotification", type="InvalidFirmwareSigningCertificate")


def test_quirk_signature_invalid() -> None:
    s = Scenario("2.0.1", 2, "firmware-signature-invalid").up()
    install(s, authority("Maker").root, "Accepted", "ManufacturerRootCertificate")
    update(s, "Accepted", signer=authority("Maker").charge_point("Firmware").pem.decode())
    assert states(s) == ["Downloading", "Downloaded", "InvalidFirmwareSignature", "InvalidSignature"]


def test_unsigned_only_without_security() -> None:
    s = Scenario("1.6", 2).up()
    s >> s.csms("UpdateFirmware", location="https://x.test/f", retrieveDate=WHEN) << Error("NotSupported")
    plain = Scenario("1.6", 1).up()
    plain >> plain.csms("UpdateFirmware", location="https://x.test/f", retrieveDate=WHEN) << answers()
    plain >> plain.due("firmware") << calls("FirmwareStatusNotification", status="Downloading")
    update(Scenario("2.0.1", 2).up(), "InvalidCertificate") << calls("SecurityEventNotification")
    update(Scenario("2.0.1", 1).up(), "Accepted")


def test_second_update_cancels_the_first() -> None:
    s = Scenario("2.0.1", 1).up()
    update(s, "Accepted")
    update(s, "AcceptedCanceled")


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_log(version: str) -> None:
    s = Scenario(version, 2).up()
    log = {"remoteLocation": "https://x.test/l"}
    s >> s.csms("GetLog", logType="SecurityLog", requestId=3, log=log) << answers(status="Accepted")
    s << calls("LogStatusNotification", status="Uploading", requestId=3)
    s >> s.answer() << calls("LogStatusNotification", status="Uploaded", requestId=3)
    s >> s.answer()
    wanted = "ExtendedTriggerMessage" if version == "1.6" else "TriggerMessage"
    s >> s.csms(wanted, requestedMessage="FirmwareStatusNotification") << answers(status="Accepted")
    s << calls("FirmwareStatusNotification", status="Idle")
