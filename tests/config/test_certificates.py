"""The certificate and key files that a configuration names."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from pki.authority import Authority, Issued, Subject
from pki.profiles import CHARGE_POINT, CSMS, ISSUING_CA, CertificateProfile, SubjectKind
from tests.config.conftest import GOOD, Site
from tests.config.test_checks import errors, warnings

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority.create_root(Subject("Root", "Example CPO"), "ec-p256", NOW)


@pytest.fixture(scope="module")
def issuing(root: Authority) -> Authority:
    return Authority(root.issue(ISSUING_CA, Subject("Issuing", "Example CPO"), "ec-p256", NOW))


def install(site: Site, name: str, issued: Issued, *issuers: x509.Certificate) -> None:
    """As NAME.pem and NAME.key."""
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in (issued.certificate, *issuers))
    (site.directory / f"{name}.pem").write_bytes(chain)
    site.private(f"{name}.key", issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def server(issuer: Authority, common_name: str = "gw.example.com", **options) -> Issued:
    return issuer.issue(CSMS, Subject(common_name, "Example CPO"), "ec-p256", NOW, **options)


class TestFiles:
    @pytest.mark.parametrize("name", ["ec.pem", "rsa.key", "root.pem"])
    def test_a_file_that_is_missing_is_told_at_its_key(self, site: Site, name: str) -> None:
        (site.directory / name).unlink()
        found = errors(site.file)
        assert len(found) == 1
        assert found[0].endswith(f"{site.directory}/{name}: No such file or directory")

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o644])
    def test_a_key_that_others_can_read_is_refused(self, site: Site, mode: int) -> None:
        key = site.directory / "ec.key"
        key.chmod(mode)
        assert errors(site.file) == [
            f"22:1: listener.tls.certificates.key: {key} can be read by others: chmod 600 {key}"
        ]

    @pytest.mark.parametrize("mode", [0o600, 0o400])
    def test_a_key_of_its_owner_alone_is_fine(self, site: Site, mode: int) -> None:
        (site.directory / "ec.key").chmod(mode)
        assert errors(site.file) == []

    @pytest.mark.parametrize(
        "content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    )
    def test_what_holds_no_certificate_is_refused(self, site: Site, content: bytes) -> None:
        (site.directory / "ec.pem").write_bytes(content)
        path = site.directory / "ec.pem"
        assert errors(site.file) == [f"21:1: listener.tls.certificates.certificate: {path} holds no PEM certificates"]

    @pytest.mark.parametrize(
        "content", [b"", b"hello", b"-----BEGIN " + b"PRIVATE KEY-----\nAAAA\n-----END " + b"PRIVATE KEY-----\n"]
    )
    def test_what_holds_no_key_is_refused_without_showing_it(self, site: Site, content: bytes) -> None:
        key = site.private("ec.key", content)
        found = errors(site.file)
        assert len(found) == 1
        assert found[0].startswith(f"22:1: listener.tls.certificates.key: {key} is not an unencrypted PEM private key")

    def test_an_encrypted_key_is_refused(self, site: Site, issuing: Authority) -> None:
        issued = server(issuing)
        install(site, "ec", issued)
        encrypted = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
        site.private("ec.key", encrypted)
        assert "is not an unencrypted PEM private key" in errors(site.file)[0]

    def test_the_key_of_another_certificate_is_refused(self, site: Site) -> None:
        site.private("ec.key", (site.directory / "rsa.key").read_bytes())
        key, certificate = site.directory / "ec.key", site.directory / "ec.pem"
        assert errors(site.file) == [f"22:1: listener.tls.certificates.key: {key} is not the key of {certificate}"]


class TestDevelopment:
    def test_development_certificates_need_a_word_that_says_so(self, site: Site, issuing: Authority) -> None:
        issued = issuing.issue(CSMS, Subject("localhost", "Demo", "DEV ONLY"), "ec-p256", NOW)
        install(site, "ec", issued)
        found = errors(site.file)
        assert len(found) == 1
        assert found[0].startswith("21:1: listener.tls.certificates.certificate: ")
        assert "gateway.unsafe_dev_certificates = true" in found[0]
        assert errors(site.change("[gateway]\n", "[gateway]\nunsafe_dev_certificates = true\n")) == []

    def test_a_development_root_among_the_trusted_ones_does_too(self, site: Site) -> None:
        development = Authority.create_root(Subject("Root", "Demo", "DEV ONLY"), "ec-p256", NOW)
        (site.directory / "root.pem").write_bytes(development.certificate.public_bytes(Encoding.PEM))
        assert errors(site.file)[0].startswith("18:1: listener.tls.client_trust: ")


class TestTrust:
    def test_an_anchor_that_is_no_ca_or_has_expired_is_warned_about(self, site: Site, root: Authority) -> None:
        leaf = root.issue(CHARGE_POINT, Subject("SN-1", "Example CPO"), "ec-p256", NOW, lifetime=-DAY)
        (site.directory / "root.pem").write_bytes(leaf.certificate.public_bytes(Encoding.PEM))
        found = warnings(site.file)
        assert len(found) == 2
        assert found[0].endswith("CN=SN-1,O=Example CPO is not a CA certificate")
        assert f"CN=SN-1,O=Example CPO expired on {NOW - DAY:%Y-%m-%d}" in found[1]

    def test_a_certificate_without_extensions_is_no_ca(self, site: Site) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
        (site.directory / "root.pem").write_bytes(builder.sign(key, None).public_bytes(Encoding.PEM))
        assert warnings(site.file)[0].endswith("CN=old is not a CA certificate")


class TestLeaf:
    @pytest.mark.requirement("A00.FR.309", "A00.FR.412")
    def test_a_wildcard_is_warned_about(self, site: Site, issuing: Authority) -> None:
        install(site, "ec", server(issuing, "*.example.com"), issuing.certificate)
        assert warnings(site.file) == [
            "20:1: listener.tls.certificates: a wildcard certificate is refused by charge points without AllowCSMSTLSWildcards"
        ]

    @pytest.mark.requirement("A00.FR.309", "A00.FR.412")
    def test_a_certificate_without_exactly_one_cn_is_warned_about(self, site: Site, issuing: Authority) -> None:
        class NoName(Subject, frozen=True):
            def name(self) -> x509.Name:
                return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization)])

        install(
            site,
            "ec",
            issuing.issue(CSMS, NoName("gw.example.com", "Example CPO"), "ec-p256", NOW),
            issuing.certificate,
        )
        assert warnings(site.file) == [
            "20:1: listener.tls.certificates: the certificate should have exactly one CN, the FQDN charge points use"
        ]

    @pytest.mark.parametrize(
        ("lifetime", "expected"),
        [(-DAY, "expired on"), (13 * DAY, "expires on"), (15 * DAY, "")],
    )
    def test_its_end_is_told_when_it_is_near_or_past(self, site, issuing, lifetime, expected) -> None:
        install(site, "ec", server(issuing, lifetime=lifetime), issuing.certificate)
        found = warnings(site.file)
        assert [expected in message for message in found] == ([True] if expected else [])

    @pytest.mark.requirement("A00.FR.318", "A00.FR.421")
    def test_an_rsa_certificate_that_may_not_encipher_keys_is_warned_about(
        self, site: Site, issuing: Authority
    ) -> None:
        class SignsOnly(CertificateProfile):
            def key_usage(self, *, rsa: bool, agrees: bool = True) -> x509.KeyUsage:
                del rsa, agrees
                return super().key_usage(rsa=False)

        issued = issuing.issue(
            SignsOnly(name="x", lifetime=90 * DAY, subject=SubjectKind.CHARGE_POINT),
            Subject("gw", "CPO"),
            "rsa-2048",
            NOW,
        )
        install(site, "rsa", issued, issuing.certificate)
        assert warnings(site.file)[0] == (
            "24:1: listener.tls.certificates: an RSA certificate without keyEncipherment cannot serve the static-RSA suites"
        )

    @pytest.mark.requirement("A00.FR.502", "A00.FR.503")
    def test_a_key_that_is_too_weak_is_refused(self, site: Site) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw")])
        for file, key, bits, least in (
            ("rsa", rsa.generate_private_key(65537, 1024), 1024, 2048),
            ("ec", ec.generate_private_key(ec.SECP192R1()), 192, 224),
        ):
            builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            builder = builder.serial_number(1).not_valid_before(NOW - DAY).not_valid_after(NOW + 90 * DAY)
            before = [(site.directory / f"{file}.{end}").read_bytes() for end in ("pem", "key")]
            pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
            (site.directory / f"{file}.pem").write_bytes(pem)
            site.private(f"{file}.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            (found,) = errors(site.file)
            assert f"a key of {bits} bits is too weak, {least} is the least" in found
            (site.directory / f"{file}.pem").write_bytes(before[0])
            site.private(f"{file}.key", before[1])
        assert errors(site.file) == []


@pytest.mark.requirement("A00.FR.308", "A00.FR.411")
class TestChain:
    def test_leaf_and_issuers_in_order_without_the_root_is_right(self, site, issuing) -> None:
        install(site, "ec", server(issuing), issuing.certificate)
        assert warnings(site.file) == []

    def test_another_order_is_warned_about(self, site, issuing, root) -> None:
        install(site, "ec", server(issuing), root.certificate, issuing.certificate)
        assert warnings(site.file) == [
            "21:1: listener.tls.certificates.certificate: the chain is out of order: after each certificate its issuer "
            "must follow"
        ]

    def test_a_root_in_the_chain_is_warned_about(self, site, issuing, root) -> None:
        install(site, "ec", server(issuing), issuing.certificate, root.certificate)
        assert warnings(site.file)[0].startswith(
            "21:1: listener.tls.certificates.certificate: the chain includes the root"
        )


@pytest.mark.requirement("A00.FR.318", "A00.FR.421")
class TestBothKinds:
    def test_rsa_and_ecdsa_together_are_right(self, site: Site) -> None:
        assert warnings(site.file) == []

    @pytest.mark.parametrize(("kept", "missing"), [("ec", "RSA"), ("rsa", "ECDSA")])
    def test_one_kind_alone_is_warned_about(self, site: Site, kept: str, missing: str) -> None:
        other = "rsa" if kept == "ec" else "ec"
        table = f'\n[[listener.tls.certificates]]\ncertificate = "{other}.pem"\nkey = "{other}.key"\n'
        assert warnings(site.write(GOOD.replace(table, ""))) == [
            f"20:1: listener.tls.certificates: no {missing} certificate: charge points that support only that cannot connect"
        ]

    def test_a_key_of_neither_kind_counts_as_none(self, site: Site) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        certificate = (
            builder.serial_number(1).not_valid_before(NOW - DAY).not_valid_after(NOW + 90 * DAY).sign(key, None)
        )
        (site.directory / "rsa.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        site.private("rsa.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        found = [message.partition(": ")[2][:45] for message in warnings(site.file)]
        assert found[-1] == "listener.tls.certificates: no RSA certificate"
