"""The authority: what it issues, judged by the openssl command line as well."""

import datetime
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pki.authority import Authority, Issued, Subject
from pki.profiles import CHARGE_POINT, CSMS, ISSUING_CA

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


class Hierarchy:
    """A root, an issuing CA, and openssl as their judge."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = Authority.create_root(Subject("Root", "CPO"), "ec-p384", NOW)
        self.middle = self.root.issue(ISSUING_CA, Subject("Issuing", "CPO"), "ec-p256", NOW)
        self.issuing = Authority(self.middle)
        self.write("root", self.root.certificate)
        self.write("issuing", self.middle.certificate)

    def write(self, name: str, certificate: x509.Certificate) -> str:
        path = self.directory / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return str(path)

    def verify(self, issued: Issued, *options: str) -> str:
        """What `openssl verify` says; it starts with OK or is the error."""
        command = ["openssl", "verify", "-x509_strict", "-CAfile", str(self.directory / "root.pem")]
        command += ["-untrusted", str(self.directory / "issuing.pem"), *options, self.write("leaf", issued.certificate)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "OK" if done.returncode == 0 else done.stdout + done.stderr

    def text(self, issued: Issued) -> str:
        command = ["openssl", "x509", "-noout", "-text", "-in", self.write("leaf", issued.certificate)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Hierarchy:
    return Hierarchy(tmp_path_factory.mktemp("ca"))


def charge_point(ca: Hierarchy, **options) -> Issued:
    return ca.issuing.issue(CHARGE_POINT, Subject("SN-1", "CPO"), options.pop("kind", "ec-p256"), NOW, **options)


def csms(ca: Hierarchy, **options) -> Issued:
    return ca.issuing.issue(CSMS, Subject("gw.example.com", "CPO"), options.pop("kind", "ec-p256"), NOW, **options)


@pytest.mark.parametrize("kind", ["ec-p256", "rsa-2048"])
def test_openssl_accepts_the_chain_for_its_purpose_and_for_no_other(ca: Hierarchy, kind: str) -> None:
    client, server = charge_point(ca, kind=kind), csms(ca, kind=kind)
    assert ca.verify(client, "-purpose", "sslclient") == "OK"
    assert ca.verify(server, "-purpose", "sslserver") == "OK"
    assert ca.verify(server, "-purpose", "sslserver", "-verify_hostname", "gw.example.com") == "OK"
    for wrong in (ca.verify(client, "-purpose", "sslserver"), ca.verify(server, "-purpose", "sslclient")):
        assert "unsuitable certificate purpose" in wrong or "unsupported certificate purpose" in wrong
    assert "hostname mismatch" in ca.verify(server, "-verify_hostname", "gw.example.org")


@pytest.mark.requirement("A00.FR.318", "A00.FR.421")
def test_an_rsa_certificate_may_encipher_keys_and_an_ecdsa_one_may_not(ca: Hierarchy) -> None:
    assert "Digital Signature, Key Encipherment" in ca.text(csms(ca, kind="rsa-2048"))
    assert "Key Encipherment" not in ca.text(csms(ca))


def test_an_issuing_ca_cannot_make_a_ca_that_openssl_believes(ca: Hierarchy, tmp_path: Path) -> None:
    below = Authority(ca.issuing.issue(ISSUING_CA, Subject("Third", "CPO"), "ec-p256", NOW))
    leaf = below.issue(CHARGE_POINT, Subject("SN-1", "CPO"), "ec-p256", NOW)
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(x.certificate.public_bytes(Encoding.PEM) for x in (below, ca.issuing)))
    assert "path length constraint exceeded" in ca.verify(leaf, "-untrusted", str(both))


def test_a_charge_point_cannot_issue(ca: Hierarchy, tmp_path: Path) -> None:
    false_authority = Authority(charge_point(ca))
    leaf = false_authority.issue(CHARGE_POINT, Subject("SN-2", "CPO"), "ec-p256", NOW)
    middle = tmp_path / "middle.pem"
    middle.write_bytes(false_authority.certificate.public_bytes(Encoding.PEM))
    assert "invalid CA certificate" in ca.verify(leaf, "-untrusted", str(middle))


def test_a_certificate_of_another_root_is_not_accepted(ca: Hierarchy, tmp_path: Path) -> None:
    stranger = Hierarchy(tmp_path)
    assert "unable to get local issuer" in ca.verify(
        stranger.root.issue(CHARGE_POINT, Subject("SN-1", "CPO"), "ec-p256", NOW)
    ) or "signature failure" in ca.verify(charge_point(stranger))


class TestNames:
    def test_the_subject_says_what_the_caller_said_and_nothing_else(self, ca: Hierarchy) -> None:
        subject = charge_point(ca).certificate.subject
        assert [(part.oid, part.value) for part in subject] == [
            (NameOID.ORGANIZATION_NAME, "CPO"),
            (NameOID.COMMON_NAME, "SN-1"),
        ]
        assert Subject("SN-1", "CPO", "DEV ONLY").name().rfc4514_string() == "CN=SN-1,OU=DEV ONLY,O=CPO"

    def test_a_charge_point_has_no_alternative_name(self, ca: Hierarchy) -> None:
        assert "Subject Alternative Name" not in ca.text(charge_point(ca, names=("evil.example.com",)))

    def test_a_server_has_those_it_is_given_or_else_its_cn(self, ca: Hierarchy) -> None:
        assert "DNS:gw.example.com\n" in ca.text(csms(ca))
        text = ca.text(csms(ca, names=("a.example.com", "127.0.0.1", "::1")))
        assert "DNS:a.example.com, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1" in text
        assert "DNS:gw.example.com" not in text


class TestTime:
    def test_the_time_is_the_callers_and_begins_an_hour_before_it(self, ca: Hierarchy) -> None:
        certificate = charge_point(ca).certificate
        assert certificate.not_valid_before_utc == NOW - HOUR
        assert certificate.not_valid_after_utc == NOW + 90 * DAY
        assert charge_point(ca, lifetime=DAY).certificate.not_valid_after_utc == NOW + DAY

    @pytest.mark.requirement("A00.FR.407")
    def test_a_negative_lifetime_makes_an_expired_certificate(self, ca: Hierarchy) -> None:
        expired = charge_point(ca, lifetime=-DAY)
        assert expired.certificate.not_valid_after_utc == NOW - DAY
        assert expired.certificate.not_valid_before_utc == NOW - DAY - HOUR
        assert "certificate has expired" in ca.verify(expired)
        at = str(int((NOW - DAY - HOUR / 2).timestamp()))
        assert "certificate is not yet valid" in ca.verify(expired, "-attime", at)


class TestUnique:
    def test_serial_numbers_and_keys_are_never_used_twice(self, ca: Hierarchy) -> None:
        issued = [charge_point(ca) for _ in range(20)]
        assert len({each.certificate.serial_number for each in issued}) == 20
        assert len({each.certificate.public_bytes(Encoding.DER) for each in issued}) == 20

    def test_a_serial_number_is_positive_random_and_fits_forty_hex_digits(self, ca: Hierarchy) -> None:
        for each in (charge_point(ca), csms(ca), ca.middle):
            assert 2**64 < each.certificate.serial_number < 2**160

    def test_the_key_belongs_to_the_certificate(self, ca: Hierarchy) -> None:
        issued = charge_point(ca)
        assert issued.key.public_key() == issued.certificate.public_key()


@pytest.mark.requirement("A00.FR.504")
def test_signatures_use_sha256(ca: Hierarchy) -> None:
    for certificate in (ca.root.certificate, ca.middle.certificate, charge_point(ca).certificate):
        assert certificate.signature_hash_algorithm is not None
        assert certificate.signature_hash_algorithm.name == "sha256"
