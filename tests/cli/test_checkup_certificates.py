"""`doctor` on certificates: each fault with its near-miss, on certificates made for it."""

import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from gateway.cli.checkup.certificates import check_certificates
from gateway.cli.checkup.check import Check
from gateway.config.load import load_unchecked
from gateway.config.model import CSMS, CertificateFiles, Config, Listener, ListenerTLS
from gateway.config.own_certificates import ServerCertificates
from gateway.control.own_certificate_files import own_certificate_path, write_own
from pki.authority import Authority, Issued, Subject
from pki.keys import write_key
from pki.profiles import CHARGE_POINT, ISSUING_CA
from pki.profiles import CSMS as SERVER
from tests.cli.conftest import Place

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
HOST = "gateway.example.com"


def subject(common_name: str) -> Subject:
    return Subject(common_name, "Example CPO")


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority.create_root(subject("Root"), "ec-p256", NOW - DAY)


@pytest.fixture(scope="module")
def issuing(root: Authority) -> Authority:
    return Authority(root.issue(ISSUING_CA, subject("Issuing"), "ec-p256", NOW - DAY))


class Bench:
    """A listener with the certificates a test gives it."""

    def __init__(self, place: Place, root: Authority, issuing: Authority) -> None:
        self.directory = place.directory
        self.root = root
        self.issuing = issuing
        self.base = load_unchecked(place.config)

    def server(self, *, name: str = HOST, names: tuple[str, ...] = (), **more: Any) -> Issued:
        issuer = more.pop("issuer", self.issuing)
        profile = more.pop("profile", SERVER)
        kind = more.pop("kind", "ec-p256")
        made: Issued = issuer.issue(profile, subject(name), kind, more.pop("now", NOW - DAY), names=names, **more)
        return made

    def write(self, name: str, issued: Issued, *chain: x509.Certificate) -> CertificateFiles:
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        certificate.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in (issued.certificate, *chain)))
        write_key(issued.key, key)
        return CertificateFiles(certificate=str(certificate), key=str(key))

    def config(
        self, *files: CertificateFiles, trust: tuple[str, ...] = (), csms: dict[str, Any] | None = None
    ) -> Config:
        tls = ListenerTLS(certificates=files, client_trust=trust)
        listener = Listener(name="tls", address="127.0.0.1:0", security_profiles=(), csms="main", tls=tls)
        back_end = CSMS(name="main", urls=("wss://csms.example.com",), **(csms or {}))
        return msgspec.structs.replace(self.base, listeners=(listener,), csms=(back_end,))

    def check(self, *files: CertificateFiles, **more: Any) -> list[Check]:
        return list(check_certificates(self.config(*files, **more), NOW))

    def checked(self, issued: Issued, *chain: x509.Certificate, **more: Any) -> list[Check]:
        return self.check(self.write("server", issued, *chain), **more)


@pytest.fixture
def bench(place: Place, root: Authority, issuing: Authority) -> Bench:
    return Bench(place, root, issuing)


def levels(found: list[Check], check: str) -> list[str]:
    return [each.level for each in found if each.check == check]


def test_good_pair_has_nothing_but_ok(bench: Bench) -> None:
    ecdsa = bench.write("ecdsa", bench.server(), bench.issuing.certificate)
    rsa = bench.write("rsa", bench.server(kind="rsa-2048"), bench.issuing.certificate)
    found = bench.check(ecdsa, rsa)
    assert {each.level for each in found} == {"ok"}
    assert {each.check for each in found} == {"certificate", "certificate-chain"}
    assert len(found) == 4


class TestValidity:
    @pytest.mark.parametrize(
        ("lifetime", "level"),
        [(DAY, "error"), (2 * DAY, "warning"), (21 * DAY, "warning"), (22 * DAY, "ok")],
        ids=["ended-now", "tomorrow", "in-20-days", "in-21-days"],
    )
    def test_end(self, lifetime: datetime.timedelta, level: str, bench: Bench) -> None:
        issued = bench.server(lifetime=lifetime - datetime.timedelta(seconds=1 if lifetime == DAY else 0))
        assert levels(bench.checked(issued, bench.issuing.certificate), "certificate") == [level]

    def test_issuer_that_ends_first_counts(self, bench: Bench) -> None:
        short = Authority(bench.root.issue(ISSUING_CA, subject("Short"), "ec-p256", NOW - DAY, lifetime=3 * DAY))
        found = bench.checked(bench.server(issuer=short), short.certificate)
        assert levels(found, "certificate") == ["warning"]

    def test_not_yet(self, bench: Bench) -> None:
        (check,) = [x for x in bench.checked(bench.server(now=NOW + DAY)) if x.check == "certificate"]
        assert (check.level, "not valid before" in check.message) == ("error", True)


class TestFiles:
    def test_missing_certificate(self, bench: Bench) -> None:
        files = bench.write("server", bench.server())
        Path(files.certificate).unlink()
        assert bench.check(files) == [], "the configuration check has named it"

    @pytest.mark.parametrize("content", [None, b"", b"nonsense"])
    def test_key_that_cannot_be_read(self, content: bytes | None, bench: Bench) -> None:
        files = bench.write("server", bench.server(), bench.issuing.certificate)
        Path(files.key).unlink() if content is None else Path(files.key).write_bytes(content)
        assert levels(bench.check(files), "certificate-key") == ["error"]

    def test_key_of_another(self, bench: Bench) -> None:
        files = bench.write("server", bench.server(), bench.issuing.certificate)
        other = bench.write("other", bench.server())
        Path(files.key).write_bytes(Path(other.key).read_bytes())
        assert levels(bench.check(files), "certificate-key") == ["error"]


class TestKinds:
    @pytest.mark.parametrize(("kind", "missing"), [("ec-p256", "RSA"), ("rsa-2048", "ECDSA")])
    def test_one_alone_is_warned_about(self, kind: str, missing: str, bench: Bench) -> None:
        found = bench.checked(bench.server(kind=kind), bench.issuing.certificate)
        (check,) = [each for each in found if each.check == "certificate-kinds"]
        assert f"no {missing} certificate" in check.message


class TestChain:
    def test_out_of_order(self, bench: Bench) -> None:
        found = bench.checked(bench.server(), bench.root.certificate, bench.issuing.certificate)
        assert levels(found, "certificate-chain") == ["error"]

    def test_same_name_but_another_key_did_not_issue_it(self, bench: Bench) -> None:
        impostor = Authority(bench.root.issue(ISSUING_CA, subject("Issuing"), "ec-p256", NOW - DAY))
        found = bench.checked(bench.server(), impostor.certificate)
        assert levels(found, "certificate-chain") == ["error"]

    def test_root_in_the_file(self, bench: Bench) -> None:
        found = bench.checked(bench.server(), bench.issuing.certificate, bench.root.certificate)
        assert levels(found, "certificate-chain") == ["warning"]

    def test_known_intermediate_missing(self, bench: Bench) -> None:
        trust = bench.write("trust", Issued(bench.issuing.certificate, bench.server().key))
        found = bench.checked(bench.server(), trust=(trust.certificate,))
        (check,) = [each for each in found if each.check == "certificate-chain"]
        assert (check.level, "intermediate 'CN=Issuing" in check.message) == ("error", True)

    def test_leaf_issued_by_a_known_root_stands_alone(self, bench: Bench) -> None:
        trust = bench.write("trust", Issued(bench.root.certificate, bench.server().key))
        found = bench.checked(bench.server(issuer=bench.root), trust=(trust.certificate,))
        assert levels(found, "certificate-chain") == ["ok"]

    def test_self_signed(self, bench: Bench) -> None:
        own = Authority.create_root(subject(HOST), "ec-p256", NOW - DAY)
        found = bench.checked(Issued(own.certificate, bench.server().key))
        assert levels(found, "certificate-chain") == ["warning"]

    def test_alone_with_an_address_of_its_issuer_may_lack_an_intermediate(self, bench: Bench) -> None:
        issued = bench.server()
        assert levels(bench.checked(issued), "certificate-chain") == ["ok"]
        access = x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(
                    AuthorityInformationAccessOID.CA_ISSUERS,
                    x509.UniformResourceIdentifier("http://ca.example.com/issuing.crt"),
                )
            ]
        )
        found = bench.checked(with_extension(issued, access))
        assert levels(found, "certificate-chain") == ["warning"]
        intermediate = with_extension(Issued(bench.issuing.certificate, issued.key), access)
        assert levels(bench.checked(issued, intermediate.certificate), "certificate-chain") == ["ok"]


def with_extension(issued: Issued, *extensions: x509.ExtensionType, **names: Any) -> Issued:
    """The same certificate with more extensions and other CNs, signed by a key nobody knows."""
    old = issued.certificate
    name = old.subject
    if "common_names" in names:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in names["common_names"]])
    builder = x509.CertificateBuilder(
        old.issuer, name, old.public_key(), old.serial_number, old.not_valid_before_utc, old.not_valid_after_utc
    )
    replaced = {type(extension) for extension in extensions}
    for extension in old.extensions:
        if type(extension.value) not in replaced:
            builder = builder.add_extension(extension.value, critical=extension.critical)
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return Issued(builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()), issued.key)


class TestName:
    @pytest.mark.parametrize(
        ("name", "names", "said"),
        [
            ("*.example.com", ("*.example.com",), "wildcard"),
            ("gateway", ("gateway",), "not a fully qualified"),
            ("10.0.0.1", ("10.0.0.1",), "not a fully qualified"),
            (HOST, ("other.example.com",), "not among its subjectAltNames"),
            ("GATEWAY.example.com", (HOST,), ""),
            (HOST, ("other.example.com", HOST), ""),
        ],
    )
    def test_common_name(self, name: str, names: tuple[str, ...], said: str, bench: Bench) -> None:
        found = bench.checked(bench.server(name=name, names=names), bench.issuing.certificate)
        messages = [each.message for each in found if each.check == "certificate-name"]
        assert [said in message for message in messages] == ([True] if said else [])

    @pytest.mark.parametrize("names", [[], [HOST, HOST]])
    def test_one_common_name_and_no_other_number(self, names: list[str], bench: Bench) -> None:
        found = bench.checked(with_extension(bench.server(), common_names=names))
        assert [each.message for each in found if each.check == "certificate-name"] == [
            f"ECDSA certificate of listener tls has {len(names)} CNs"
        ]

    def test_certificate_for_clients_is_an_error(self, bench: Bench) -> None:
        found = bench.checked(bench.server(profile=CHARGE_POINT), bench.issuing.certificate)
        assert "error" in levels(found, "certificate-name")

    def test_short_rsa_key_is_an_error(self, bench: Bench) -> None:
        key = rsa.generate_private_key(65537, 1024)
        old = bench.server().certificate
        builder = x509.CertificateBuilder(
            old.issuer, old.subject, key.public_key(), 7, old.not_valid_before_utc, old.not_valid_after_utc
        )
        for extension in old.extensions:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        found = bench.checked(Issued(builder.sign(key, hashes.SHA256()), key))
        assert levels(found, "certificate-name") == ["error"]


class TestTrustAndCSMS:
    @pytest.mark.parametrize(("lifetime", "level"), [(DAY / 2, "error"), (80 * DAY, "warning"), (92 * DAY, "ok")])
    def test_trust_anchor_that_ends(self, lifetime: datetime.timedelta, level: str, bench: Bench) -> None:
        ending = bench.root.issue(ISSUING_CA, subject("Ending"), "ec-p256", NOW - DAY, lifetime=lifetime)
        path = bench.write("trust", ending).certificate
        found = bench.checked(bench.server(), bench.issuing.certificate, trust=(path,), csms={"ca": path})
        assert levels(found, "trust") == [level, level]

    def test_client_certificate_for_a_csms(self, bench: Bench) -> None:
        files = bench.write("client", bench.server(profile=CHARGE_POINT))
        other = bench.write("other", bench.server())
        good = {"certificate": files.certificate, "key": files.key}
        assert [each.level for each in bench.check(csms=good)] == ["ok"]
        assert levels(bench.check(csms={**good, "key": other.key}), "certificate-key") == ["error"]
        missing = bench.check(csms={**good, "certificate": "/nonexistent"})
        assert levels(missing, "certificate") == ["error"]


class TestOwn:
    """What the gateway has got for itself."""

    def look(self, bench: Bench, age: float | None, mode: int = 0o600) -> list[Check]:
        """`age`: how much of its life is over; None if there is none."""
        listener = Listener(
            name="tls",
            address="127.0.0.1:0",
            security_profiles=(),
            csms="main",
            tls=ListenerTLS(automatic_certificates=True),
        )
        own = ServerCertificates(names=(HOST,), keys=("ec-p256",))
        config = msgspec.structs.replace(bench.base, listeners=(listener,), csms=(), server_certificates=own)
        if age is not None:
            path = own_certificate_path(config, "ec-p256")
            path.parent.parent.mkdir(exist_ok=True)
            made = bench.server(now=NOW, lifetime=DAY)
            write_own(path, (made.certificate, bench.issuing.certificate), made.key)
            path.chmod(mode)
        return list(check_certificates(config, NOW + DAY * (age or 0.0)))

    @pytest.mark.parametrize(("age", "level"), [(0.0, "ok"), (0.7, "ok"), (0.8, "warning"), (1.1, "error")])
    def test_it_should_be_renewed_before_three_quarters_are_over(self, bench: Bench, age: float, level: str) -> None:
        found = self.look(bench, age)
        assert levels(found, "server-certificate") == [level]
        assert {each.level for each in found if each.check != "server-certificate"} == {"ok"}

    def test_one_that_is_not_there_yet(self, bench: Bench) -> None:
        (check,) = self.look(bench, None)
        assert (check.check, check.level) == ("server-certificate", "warning")

    def test_a_key_that_others_can_read(self, bench: Bench) -> None:
        assert "error" in levels(self.look(bench, 0.0, 0o644), "server-certificate")
