"""`charge-point revoke-certificate`: what is stored is what the gateway compares with."""

import contextlib
import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from gateway.cli.pki.ca import operator_name
from gateway.control.certificate_facts import known_certificate
from gateway.identity.client_certificate import LeafCertificate, parse_leaf
from gateway.ocpp.vocabulary import ChargePointId
from gateway.store.registry import Registry
from pki.approval import Operator
from pki.inventory import Revocation
from pki.issuance import Application
from pki.journal import Journal
from pki.names import Subject
from pki.opened import issuance_in
from pki.profiles import CHARGE_POINT
from tests.cli.conftest import Cli, Place
from tests.pki.hierarchy import Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import make_signer_directory
from tests.support.records import make_record

REVOKE = ("charge-point", "revoke-certificate", "--reason", "lost")


@pytest.fixture
def der(certificates: Path) -> bytes:
    pem = (certificates / "client.pem").read_bytes()
    return x509.load_pem_x509_certificates(pem)[0].public_bytes(Encoding.DER)


@pytest.fixture
def leaf(der: bytes) -> LeafCertificate:
    return parse_leaf(der)


def is_revoked(registry: Registry, leaf: LeafCertificate) -> bool:
    """As control asks after each handshake."""
    return registry.revocations().covers(sha256=leaf.sha256, issuer=leaf.issuer, serial=leaf.serial_number)


def test_by_file(cli: Cli, registry: Registry, certificates: Path, leaf: LeafCertificate) -> None:
    registry.add(make_record("CP-1"))
    registry.bind_key(leaf.spki_sha256, ChargePointId("CP-1"), 1.0)
    before = registry.change_counter()
    found = cli(*REVOKE, "--file", certificates / "client.pem", "--json").json()
    assert is_revoked(registry, leaf)
    assert registry.change_counter() > before, "or a running gateway would not notice"
    assert (found["charge_point_id"], found["revoked"]["sha256"]) == ("CP-1", leaf.sha256)


def test_of_a_root_it_is_said_that_this_does_not_revoke_what_it_has_issued(
    cli: Cli, registry: Registry, certificates: Path, leaf: LeafCertificate
) -> None:
    result = cli(*REVOKE, "--file", certificates / "root.pem")

    assert result.code == OK
    assert "is a root, which nobody can revoke" in result.err
    assert not is_revoked(registry, leaf)


@pytest.mark.usefixtures("registry")
def test_of_an_issuing_ca_it_is_said_whom_it_takes_with_it(cli: Cli, certificates: Path, tmp_path: Path) -> None:
    issuing = x509.load_pem_x509_certificates((certificates / "client.pem").read_bytes())[1]
    (tmp_path / "issuing.der").write_bytes(issuing.public_bytes(Encoding.DER))
    result = cli(*REVOKE, "--file", tmp_path / "issuing.der")

    assert result.code == OK
    assert "every charge point certificate that it has issued is refused" in result.err


def test_by_der_file(cli: Cli, registry: Registry, tmp_path: Path, der: bytes, leaf: LeafCertificate) -> None:
    (tmp_path / "client.der").write_bytes(der)
    assert cli(*REVOKE, "--file", tmp_path / "client.der").code == OK
    assert is_revoked(registry, leaf)


def test_by_fingerprint_as_other_tools_write_it(cli: Cli, registry: Registry, leaf: LeafCertificate) -> None:
    text = leaf.sha256.upper()
    result = cli(*REVOKE, "--sha256", ":".join(text[i : i + 2] for i in range(0, 64, 2)))
    assert (result.code, result.err) == (OK, "")
    assert is_revoked(registry, leaf)


class TestIssuerAndSerial:
    @pytest.mark.parametrize("comma", [",", ", "])
    def test_revoke(self, comma: str, cli: Cli, registry: Registry, leaf: LeafCertificate) -> None:
        issuer = leaf.issuer.replace(",", comma)
        result = cli(*REVOKE, "--issuer", issuer, "--serial", "0x00" + leaf.serial_number.upper())
        assert result.code == OK
        assert is_revoked(registry, leaf)

    def test_unknown_issuer_is_warned_about(self, cli: Cli, registry: Registry, leaf: LeafCertificate) -> None:
        del registry
        assert "may match nothing" in cli(*REVOKE, "--issuer", leaf.issuer, "--serial", "1").err

    def test_known_issuer_is_not(self, cli: Cli, registry: Registry, certificates: Path) -> None:
        del registry
        root = x509.load_pem_x509_certificate((certificates / "root.pem").read_bytes()).subject.rfc4514_string()
        assert cli(*REVOKE, "--issuer", root, "--serial", "1").err == ""
        backwards = ",".join(reversed(root.split(",")))
        assert f"did you mean '{root}'" in cli(*REVOKE, "--issuer", backwards, "--serial", "2").err

    def test_name_in_another_form_is_refused(self, cli: Cli, registry: Registry) -> None:
        result = cli(*REVOKE, "--issuer", "/C=DE/CN=Issuing CA", "--serial", "1")
        assert (result.code, "RFC 4514" in result.err) == (NOT_OK, True)
        assert registry.revocations().issuer_serials == frozenset()


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--issuer", "CN=a"],
        ["--serial", "1"],
        ["--sha256", "00" * 32, "--issuer", "CN=a", "--serial", "1"],
        ["--sha256", "00" * 32, "--file", "x"],
    ],
)
def test_certificate_is_named_in_exactly_one_way(options: list[str], cli: Cli, registry: Registry) -> None:
    assert cli(*REVOKE, *options).code == USAGE
    assert registry.revocations().sha256 == frozenset()


@pytest.mark.parametrize(
    "options", [["--sha256", "00" * 31], ["--sha256", "zz" * 32], ["--issuer", "CN=a", "--serial", "xyz"]]
)
def test_value_that_is_none_is_refused(options: list[str], cli: Cli, registry: Registry) -> None:
    assert cli(*REVOKE, *options).code == NOT_OK
    assert registry.revocations().sha256 == frozenset()


def test_reason_is_needed(cli: Cli, registry: Registry) -> None:
    words = ("charge-point", "revoke-certificate", "--sha256", "00" * 32)
    assert cli(*words).code == USAGE
    assert cli(*words, "--reason", " ").code == USAGE
    assert registry.revocations().sha256 == frozenset()


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_file_without_a_certificate_is_told(content: bytes, cli: Cli, registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_bytes(content)
    result = cli(*REVOKE, "--file", tmp_path / "x.pem")
    assert (result.code, "holds no certificate" in result.err) == (NOT_OK, True)
    assert registry.revocations().sha256 == frozenset()


def test_a_serial_number_that_our_own_ca_never_issued_is_warned_about(
    cli: Cli, place: Place, registry: Registry
) -> None:
    hierarchy = Hierarchy()
    make_signer_directory(place.directory / "ca" / "signer", hierarchy)
    place.replace("[pki]\n", '[pki]\nca = "ca"\n')
    ours = hierarchy.issuing.subject.rfc4514_string()
    warnings = cli(*REVOKE, "--issuer", ours, "--serial", "1a", "--json").json()["warnings"]
    assert any("its journal knows no certificate 1a" in each for each in warnings)
    other = cli(*REVOKE, "--issuer", "CN=Other", "--serial", "1a", "--json").json()["warnings"]
    assert not any("journal" in each for each in other)
    assert len(registry.revocations().issuer_serials) == 2


class OurCA:
    """The CA in `[pki]`, with one certificate."""

    def __init__(self, place: Place) -> None:
        hierarchy, self.directory = Hierarchy(), place.directory / "ca"
        make_signer_directory(self.directory / "signer", hierarchy)
        place.replace("[pki]\n", '[pki]\nca = "ca"\n')
        with issuance_in(self.directory, self.now(), lambda: "r1") as ca:
            wanted = Application(profile=CHARGE_POINT.name, subject=Subject("SN-1", "CPO"), applicant=Operator("alice"))
            made = ca.issue(ca.request(csr_pem(common_name="SN-1"), wanted, self.now()).id, self.now()).certificate
        self.leaf = parse_leaf(made.public_bytes(Encoding.DER))
        self.file = place.directory / "leaf.pem"
        self.file.write_bytes(made.public_bytes(Encoding.PEM))
        self.known = known_certificate(made, "issued", 1.0, CHARGE_POINT.name)

    @staticmethod
    def now() -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    def revocation(self) -> Revocation | None:
        """As its journal has it."""
        with contextlib.closing(Journal(self.directory / "journal", read_only=True)) as journal:
            return journal.inventory.certificates[int(self.leaf.serial_number, 16)].revocation


class TestWhatOurOwnCAHasIssued:
    """One revocation, whichever command makes it."""

    def test_it_is_in_the_journal_with_its_reason(self, cli: Cli, place: Place, registry: Registry) -> None:
        ours = OurCA(place)
        result = cli(*REVOKE, "--file", ours.file, "--code", "keycompromise")
        assert (result.code, result.err) == (OK, "")
        assert "in the journal of the CA, too" in result.out
        assert is_revoked(registry, ours.leaf)
        found = ours.revocation()
        assert found is not None
        assert (found.reason.value, found.by) == ("keyCompromise", operator_name())
        assert cli(*REVOKE, "--file", ours.file, "--json").json()["in_ca"] == "revoked-before"

    def test_by_its_fingerprint(self, cli: Cli, place: Place, registry: Registry) -> None:
        ours = OurCA(place)
        registry.inventory.record([ours.known])
        assert cli(*REVOKE, "--sha256", ours.leaf.sha256, "--json").json()["in_ca"] == "revoked"
        assert ours.revocation() is not None

    def test_the_same_number_of_another_issuer_is_not_ours(self, cli: Cli, place: Place, registry: Registry) -> None:
        ours = OurCA(place)
        words = ("--issuer", "CN=Other", "--serial", ours.leaf.serial_number, "--json")
        assert cli(*REVOKE, *words).json()["in_ca"] == ""
        assert (ours.revocation(), is_revoked(registry, ours.leaf)) == (None, False)

    def test_here_it_is_revoked_whatever_the_ca_does(
        self, cli: Cli, place: Place, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.cli.charge_points.revoke_in_ca._PATIENCE_S", 0.0)
        ours = OurCA(place)
        with issuance_in(ours.directory, ours.now(), lambda: "r2"):
            result = cli(*REVOKE, "--file", ours.file)
        assert result.code == NOT_OK
        assert f"pki revoke {ours.leaf.serial_number} --reason unspecified" in result.err
        assert is_revoked(registry, ours.leaf)
        assert ours.revocation() is None
