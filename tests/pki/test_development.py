"""The development hierarchy: complete, marked, made again when it must be."""

import datetime
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from pki.development import OTHER_OPERATOR, ChargePointCertificate, make_development_pki

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
WANTED = (
    ChargePointCertificate(name="cp", serial_number="SN-1"),
    ChargePointCertificate(name="cp-rsa", serial_number="SN-2", kind="rsa-2048"),
    ChargePointCertificate(name="expired", serial_number="SN-3", expired=True),
    ChargePointCertificate(name="stranger", serial_number="SN-4", other_operator=True),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dev") / "certificates"
    assert make_development_pki(directory, NOW, charge_points=WANTED)
    return directory


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The same files, to be damaged."""
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def verify(directory: Path, name: str, purpose: str) -> str:
    chain = str(directory / f"{name}.pem")
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(directory / "root.pem"), "-untrusted", chain]
    done = subprocess.run([*command, "-purpose", purpose, chain], capture_output=True, text=True, check=False)
    return "OK" if done.returncode == 0 else done.stderr


def test_openssl_accepts_servers_and_charge_points_and_refuses_the_bad_ones(made: Path) -> None:
    assert [verify(made, name, "sslserver") for name in ("server-rsa", "server-ecdsa")] == ["OK", "OK"]
    assert [verify(made, name, "sslclient") for name in ("cp", "cp-rsa")] == ["OK", "OK"]
    assert "certificate has expired" in verify(made, "expired", "sslclient")
    assert "unable to get local issuer" in verify(made, "stranger", "sslclient")


def test_every_certificate_says_that_it_is_for_development_only(made: Path) -> None:
    for path in made.glob("*.pem"):
        for certificate in x509.load_pem_x509_certificates(path.read_bytes()):
            assert "OU=DEV ONLY" in certificate.subject.rfc4514_string(), path


def test_chains_are_leaf_first_without_the_root(made: Path) -> None:
    leaf, issuer = x509.load_pem_x509_certificates((made / "cp.pem").read_bytes())
    assert leaf.subject.rfc4514_string() == "CN=SN-1,OU=DEV ONLY,O=Demo Operator"
    assert leaf.issuer == issuer.subject
    assert issuer.issuer != issuer.subject


def test_the_stranger_belongs_to_another_operator(made: Path) -> None:
    leaf = x509.load_pem_x509_certificates((made / "stranger.pem").read_bytes())[0]
    assert f"O={OTHER_OPERATOR}" in leaf.subject.rfc4514_string()


def test_keys_are_readable_by_their_owner_alone_and_no_ca_key_is_kept(made: Path) -> None:
    names = {path.stem for path in made.glob("*.key")}
    assert names == {"server-rsa", "server-ecdsa", "cp", "cp-rsa", "expired", "stranger"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.glob("*.key")} == {0o600}


@pytest.mark.parametrize(("host", "expected"), [("gw.example.com", "gw.example.com"), ("localhost", "localhost")])
def test_a_server_is_known_by_its_host_and_on_this_machine(tmp_path: Path, host: str, expected: str) -> None:
    make_development_pki(tmp_path, NOW, host=host)
    leaf = x509.load_pem_x509_certificates((tmp_path / "server-ecdsa.pem").read_bytes())[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == list(dict.fromkeys([expected, "localhost"]))
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


class TestAgain:
    def test_what_is_complete_is_left_alone(self, made: Path) -> None:
        before = (made / "cp.pem").read_bytes()
        assert not make_development_pki(made, NOW, charge_points=WANTED)
        assert not make_development_pki(made, NOW + 82 * DAY, charge_points=WANTED)
        assert (made / "cp.pem").read_bytes() == before

    @pytest.mark.parametrize(
        ("later", "wanted", "host"),
        [
            (84 * DAY, WANTED, "localhost"),
            (-DAY, WANTED, "localhost"),
            (0 * DAY, WANTED[:1], "localhost"),
            (0 * DAY, WANTED, "gw.example.com"),
        ],
    )
    def test_near_its_end_before_its_beginning_or_for_another_purpose_it_is_made_again(
        self, copy: Path, later: datetime.timedelta, wanted: tuple[ChargePointCertificate, ...], host: str
    ) -> None:
        assert make_development_pki(copy, NOW + later, host=host, charge_points=wanted)

    @pytest.mark.parametrize(
        "missing", ["root.pem", "cp.pem", "cp.key", "expired.key", "server-rsa.key", "complete.txt"]
    )
    def test_it_is_made_again_when_a_file_is_missing(self, copy: Path, missing: str) -> None:
        (copy / missing).unlink()
        assert make_development_pki(copy, NOW, charge_points=WANTED)
        assert (copy / missing).exists()

    def test_it_is_made_again_when_a_file_is_damaged(self, copy: Path) -> None:
        (copy / "cp.pem").write_text("nothing")
        assert make_development_pki(copy, NOW, charge_points=WANTED)
        assert verify(copy, "cp", "sslclient") == "OK"
