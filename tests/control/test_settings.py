"""What edges get: contents of files, and numbers that tell when trust has changed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config.load import load_config
from gateway.config.model import Config
from gateway.control.settings import SettingsBuilder
from gateway.store.certificates import Revocations
from tests.config.conftest import GOOD, Site

NONE = Revocations()


@pytest.fixture
def files(tmp_path: Path) -> Site:
    return Site(tmp_path)


def config(files: Site, text: str = GOOD) -> Config:
    return load_config(files.write(text))


class TestContent:
    def test_edges_get_the_contents_of_files_and_not_their_names(self, files: Site) -> None:
        settings = SettingsBuilder(100).build(config(files), NONE)
        listener = settings.listeners[0]
        assert [pem.key for pem in listener.certificates] == [
            (files.directory / name).read_bytes() for name in ("ec.key", "rsa.key")
        ]
        assert listener.client_trust_pem == (files.directory / "root.pem").read_bytes()
        assert settings.csms[0].password == b""
        assert settings.csms[0].client_certificate is None

    def test_a_plain_listener_has_no_certificates(self, files: Site) -> None:
        text = GOOD + '[[listener]]\nname="p"\naddress="127.0.0.1:1"\nsecurity_profiles=[1]\ncsms="main"\n'
        settings = SettingsBuilder(100).build(config(files, text + 'allowed_networks=["127.0.0.0/8"]\n'), NONE)
        assert (settings.listeners[1].certificates, settings.listeners[1].client_trust_pem) == ((), b"")

    @pytest.mark.parametrize(
        ("content", "password"), [(b"s3cr3t\n", b"s3cr3t"), (b"s3 cr3t \r\n", b"s3 cr3t "), (b"x", b"x")]
    )
    def test_the_password_for_the_csms_is_the_line_of_its_file(
        self, files: Site, content: bytes, password: bytes
    ) -> None:
        files.private("secret", content)
        text = GOOD.replace('name = "main"\n', 'name = "main"\nauthentication = "basic"\npassword_file = "secret"\n', 1)
        settings = SettingsBuilder(100).build(config(files, text), NONE)
        assert settings.csms[0].password == password

    def test_the_gateways_own_certificate_for_the_csms(self, files: Site) -> None:
        mtls = 'name = "main"\nauthentication = "mtls"\ncertificate = "ec.pem"\nkey = "ec.key"\nca = "root.pem"\n'
        settings = SettingsBuilder(100).build(config(files, GOOD.replace('name = "main"\n', mtls, 1)), NONE)
        own = settings.csms[0].client_certificate
        assert own is not None
        assert (own.key, settings.csms[0].ca_pem) == (
            (files.directory / "ec.key").read_bytes(),
            (files.directory / "root.pem").read_bytes(),
        )

    def test_no_secret_is_in_a_repr(self, files: Site) -> None:
        files.private("secret", b"s3cr3t")
        text = GOOD.replace('name = "main"\n', 'name = "main"\nauthentication = "basic"\npassword_file = "secret"\n', 1)
        shown = repr(SettingsBuilder(100).build(config(files, text), NONE))
        assert "s3cr3t" not in shown
        assert "PRIVATE KEY" not in shown

    def test_a_file_that_has_gone_is_an_error_and_the_numbers_go_on(self, files: Site) -> None:
        builder, good = SettingsBuilder(100), config(files)
        first = builder.build(good, NONE)
        (files.directory / "ec.key").rename(files.directory / "away")
        with pytest.raises(OSError, match=r"ec\.key"):
            builder.build(good, NONE)
        (files.directory / "away").rename(files.directory / "ec.key")
        again = builder.build(good, NONE)
        assert (again.generation > first.generation, again.trust_generation) == (True, first.trust_generation)


@pytest.mark.requirement("A00.FR.702")
class TestGenerations:
    def test_every_build_has_a_number_of_its_own_and_the_same_trust_keeps_its_number(self, files: Site) -> None:
        builder = SettingsBuilder(100)
        built = [builder.build(config(files), NONE) for _ in range(3)]
        assert [each.generation for each in built] == [101, 102, 103]
        assert [each.trust_generation for each in built] == [101, 101, 101]

    @pytest.mark.parametrize(
        "change",
        [
            lambda files: files.private("ec.key", (files.directory / "rsa.key").read_bytes()),
            lambda files: (files.directory / "ec.pem").write_bytes((files.directory / "rsa.pem").read_bytes()),
            lambda files: (files.directory / "root.pem").write_bytes((files.directory / "ec.pem").read_bytes()),
        ],
    )
    def test_another_certificate_key_or_anchor_is_another_trust(self, files: Site, change: Any) -> None:
        builder, same = SettingsBuilder(100), config(files)
        first = builder.build(same, NONE)
        change(files)
        assert builder.build(same, NONE).trust_generation > first.trust_generation

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('client_certificate = "optional"', 'client_certificate = "optional"\nstrict_x509 = false'),
            ('client_certificate = "optional"', 'client_certificate = "optional"\ncipher_policy = "modern"'),
            ('name = "tls"', 'name = "other"'),
        ],
    )
    def test_other_tls_settings_are_another_trust(self, files: Site, old: str, new: str) -> None:
        builder = SettingsBuilder(100)
        first = builder.build(config(files), NONE)
        assert builder.build(config(files, GOOD.replace(old, new)), NONE).trust_generation > first.trust_generation

    def test_what_has_nothing_to_do_with_trust_is_not(self, files: Site) -> None:
        builder = SettingsBuilder(100)
        first = builder.build(config(files), NONE)
        again = builder.build(config(files, GOOD + "[limits]\nmax_headers = 50\n"), NONE)
        assert (again.trust_generation, again.limits.max_headers) == (first.trust_generation, 50)

    @pytest.mark.parametrize(
        "revoked", [Revocations(sha256=frozenset({"ab"})), Revocations(issuer_serials=frozenset({("CN=CA", "a")}))]
    )
    def test_every_kind_of_revocation_is_another_trust(self, files: Site, revoked: Revocations) -> None:
        builder = SettingsBuilder(100)
        first = builder.build(config(files), NONE)
        second = builder.renewed(first, revoked)
        assert second.trust_generation == second.generation > first.trust_generation
        assert builder.renewed(second, revoked).trust_generation == second.trust_generation
        assert builder.renewed(second, NONE).trust_generation > second.trust_generation

    def test_renewed_settings_differ_in_their_numbers_alone_and_read_no_file(self, files: Site) -> None:
        builder = SettingsBuilder(100)
        first = builder.build(config(files), NONE)
        (files.directory / "ec.pem").write_text("half written")
        second = builder.renewed(first, Revocations(sha256=frozenset({"ab"})))
        numbers = {"generation": 0, "trust_generation": 0}
        assert msgspec.structs.replace(second, **numbers) == msgspec.structs.replace(first, **numbers)
