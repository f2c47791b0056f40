"""M03 to M05: install, list, delete; one root signed by the one before."""

import datetime
import hashlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.simulator.core.effects import Connect
from gateway.simulator.core.model import Model
from tests.simulator.scenario import Error, Scenario, answers, authority, calls, connects, pem
from tests.simulator.test_enrolment import DAY
from tests.support.tls_material import Authority

VERSIONS = ["1.6", "2.0.1", "2.1"]
CSMS = {"1.6": "CentralSystemRootCertificate", "2.0.1": "CSMSRootCertificate", "2.1": "CSMSRootCertificate"}


def install(s: Scenario, certificate: x509.Certificate | str, status: str, kind: str = "") -> Scenario:
    text = certificate if isinstance(certificate, str) else pem(certificate)
    wanted = kind or CSMS[str(s.version)]
    return s >> s.csms("InstallCertificate", certificateType=wanted, certificate=text) << answers(status=status)


def installed(s: Scenario, kind: str = "") -> list[dict[str, Any]]:
    """Hash data of all of a type."""
    wanted = kind or CSMS[str(s.version)]
    if s.version == "1.6":
        s >> s.csms("GetInstalledCertificateIds", certificateType=wanted) << answers()
        return list(s.last.get("certificateHashData", []))
    s >> s.csms("GetInstalledCertificateIds", certificateType=[wanted]) << answers()
    return [each["certificateHashData"] for each in s.last.get("certificateHashDataChain", [])]


def delete(s: Scenario, data: dict[str, Any], status: str) -> Scenario:
    return s >> s.csms("DeleteCertificate", certificateHashData=data) << answers(status=status)


def hash_of(certificate: x509.Certificate, issuer: x509.Certificate, algorithm: str = "sha256") -> dict[str, str]:
    """By hand, as chapter 3.6 says."""
    key = issuer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {
        "hashAlgorithm": algorithm.upper(),
        "issuerNameHash": hashlib.new(algorithm, certificate.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": hashlib.new(algorithm, key).hexdigest(),
        "serialNumber": f"{certificate.serial_number:x}",
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_install_list_delete(version: str) -> None:
    s = Scenario(version).up()
    assert installed(s) == []
    assert s.last["status"] == "NotFound"
    root, other = authority().root, authority("Other Root").root
    install(s, root, "Accepted")
    install(s, other, "Accepted")
    install(s, root, "Accepted")
    assert installed(s) == [hash_of(root, root), hash_of(other, other)]
    for algorithm, certificate in (("sha384", root), ("sha512", other)):
        delete(s, hash_of(certificate, certificate, algorithm), "Accepted")
        delete(s, hash_of(certificate, certificate, algorithm), "NotFound")
    assert installed(s) == []


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_2_x_lists_all_or_some_types(version: str) -> None:
    s = Scenario(version).up()
    install(s, authority().root, "Accepted")
    install(s, authority("Other Root").root, "Accepted", "ManufacturerRootCertificate")
    s >> s.csms("GetInstalledCertificateIds") << answers()
    assert len(s.last["certificateHashDataChain"]) == 2
    assert len(installed(s, "ManufacturerRootCertificate")) == 1
    assert installed(s, "MORootCertificate") == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", ["leaf", "nonsense", "two", "expired"])
def test_what_is_no_root_is_rejected_with_an_event(version: str, case: str) -> None:
    s = Scenario(version).up()
    maker = authority()
    certificate: Any = {
        "leaf": lambda: maker.charge_point("SN-9").certificate,
        "nonsense": lambda: "nonsense",
        "two": lambda: pem(maker.root) * 2,
        "expired": lambda: maker._build(maker.name, maker.key, ca=True, start=-9 * DAY, end=-8 * DAY),
    }[case]()
    install(s, certificate, "Rejected")
    name = "InvalidCentralSystemCertificate" if version == "1.6" else "InvalidCsmsCertificate"
    s << calls("SecurityEventNotification", type=name)
    assert s.memory.roots == []


def test_manufacturer_root_rejected_without_an_event() -> None:
    s = Scenario().up()
    install(s, "nonsense", "Rejected", "ManufacturerRootCertificate")


def test_store_limit() -> None:
    s = Scenario("2.0.1", model=Model(max_roots=1)).up()
    install(s, authority().root, "Accepted")
    install(s, authority("Other Root").root, "Rejected") << calls("SecurityEventNotification")
    s >> s.answer()
    full = Scenario("2.0.1", 1, "store-full").up()
    install(full, authority().root, "Rejected") << calls("SecurityEventNotification")


def test_quirk_accepts_what_is_no_root() -> None:
    s = Scenario("1.6", 1, "accepts-non-root").up()
    install(s, authority().charge_point("SN-9").certificate, "Accepted")


def test_quirks_of_hash_data() -> None:
    root = authority().root
    s = Scenario("1.6", 1, "hash-upper-case", "serial-leading-zero").up()
    install(s, root, "Accepted")
    (found,) = installed(s)
    plain = hash_of(root, root)
    assert found["issuerNameHash"] == plain["issuerNameHash"].upper()
    assert found["serialNumber"] == f"00{plain['serialNumber'].upper()}"[-40:]
    delete(s, found, "Accepted")


@pytest.mark.parametrize("version", VERSIONS)
def test_own_certificate_and_last_root_stay(version: str) -> None:
    s = Scenario(version, 3).up()
    own = x509.load_pem_x509_certificate(s.memory.certificates[0].chain_pem.encode())
    root = authority().root
    delete(s, hash_of(own, root), "Failed")
    delete(s, hash_of(root, root), "Failed")
    install(s, authority("Other Root").root, "Accepted")
    delete(s, hash_of(root, root), "Accepted")
    plain = Scenario(version, 1, roots=(pem(root),)).up()
    delete(plain, hash_of(root, root), "Accepted")


def successor(old: Authority) -> tuple[Authority, x509.Certificate]:
    """A new root, and the same one signed by the old."""
    new = Authority("New Root")
    return new, old._build(new.name, new.key, ca=True, end=datetime.timedelta(days=30))


@pytest.mark.parametrize("version", VERSIONS)
def test_additional_root_check(version: str) -> None:
    old = authority()
    new, cross = successor(old)
    s = Scenario(version, 2, model=Model(additional_root_check=True)).up()
    install(s, new.root, "Rejected") << calls("SecurityEventNotification")
    s >> s.answer()
    install(s, cross, "Accepted")
    assert installed(s) == [hash_of(old.root, old.root), hash_of(cross, old.root)]
    s >> s.disconnected()
    # The server still has its old certificate: the new root fails, the old one is the fall-back.
    s >> s.due("connect") << connects(roots=(pem(cross),))
    s >> s.failed("tls")
    s >> s.due("connect") << connects(roots=(pem(old.root),))
    s >> s.connected()
    assert len(s.memory.roots) == 2
    s >> s.csms("Reset", type="Hard" if version == "1.6" else "Immediate") << answers(status="Accepted")
    s.wire.clear()
    s >> s.started() << connects(roots=(pem(cross),))
    s >> s.connected() << calls("BootNotification")
    assert [root.pem for root in s.memory.roots] == [pem(cross)]


def test_without_the_check_all_roots_are_trusted() -> None:
    s = Scenario("2.0.1", 2).up()
    install(s, authority("Other Root").root, "Accepted")
    s >> s.disconnected()
    s >> s.due("connect") << connects(roots=(pem(authority().root), pem(authority("Other Root").root)))


def test_root_is_trusted_after_a_reset_too() -> None:
    s = Scenario("1.6", 2).up()
    install(s, authority("Other Root").root, "Accepted")
    s >> s.csms("Reset", type="Hard") << answers(status="Accepted")
    s.wire.clear()
    s >> s.started() << Connect
    assert len(s.memory.roots) == 2


def test_quirk_no_security_actions() -> None:
    s = Scenario("2.0.1", 2, "no-security-actions").up()
    s >> s.csms("GetInstalledCertificateIds") << Error("NotSupported")
