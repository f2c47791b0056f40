"""`[pki]`, and who gives charge points their certificates."""

import pytest

from tests.config.conftest import GOOD, Site
from tests.config.test_checks import errors, warnings

OWNED = 'urls = ["wss://csms.example.com/ocpp"]\ncertificates = "gateway"\n'
URLS = 'urls = ["wss://csms.example.com/ocpp"]\n'
CA = '[pki]\nca = "ca"\n'


def owned(site: Site, more: str = "", after: str = CA) -> None:
    assert GOOD.count(URLS) == 1
    site.write(GOOD.replace(URLS, OWNED + more) + after)


def test_the_gateway_can_only_own_certificates_with_a_ca(site: Site) -> None:
    owned(site, after="")
    assert errors(site.file) == [
        '8:1: csms.certificates: certificates "gateway" needs the directory of a CA: ca in [pki]'
    ]


def test_the_ca_is_a_directory_with_a_signer(site: Site) -> None:
    owned(site)
    (found,) = errors(site.file)
    assert "is not the directory of a CA" in found
    (site.directory / "ca" / "signer").mkdir(parents=True)
    assert errors(site.file) == []


def test_a_ca_without_a_csms_that_uses_it_is_good(site: Site) -> None:
    (site.directory / "ca" / "signer").mkdir(parents=True)
    site.append(CA)
    assert errors(site.file) == []


def test_enrolment_without_tls_is_warned_about_and_needs_the_gateway_as_owner(site: Site) -> None:
    (site.directory / "ca" / "signer").mkdir(parents=True)
    owned(site, "unsafe_enrolment_without_tls = true\n")
    assert any("can ask for its certificate" in each for each in warnings(site.file))
    site.write(GOOD.replace(URLS, URLS + "unsafe_enrolment_without_tls = true\n"))
    assert errors(site.file) == [
        '8:1: csms.unsafe_enrolment_without_tls: has no meaning without certificates = "gateway"'
    ]


def test_times_are_positive(site: Site) -> None:
    site.append("[pki]\nkey_patience_s = 0.0\nretire_old_after_s = -1.0\n")
    found = errors(site.file)
    assert [each.endswith(": must be a number greater than 0") for each in found] == [True, True]


def test_what_is_published_is_good_for_long_enough_and_not_for_too_long(site: Site) -> None:
    site.append("[pki]\ncrl_lifetime_s = 59.0\nocsp_lifetime_s = 864001.0\n")
    assert [each.partition(": ")[2] for each in errors(site.file)] == [
        "pki.crl_lifetime_s: must be between 60 s and 100 days",
        "pki.ocsp_lifetime_s: must be between 60 s and 10 days",
    ]
    site.write(GOOD + "[pki]\ncrl_lifetime_s = 60.0\nocsp_lifetime_s = 864000.0\n")
    assert errors(site.file) == []


class TestAnotherCA:
    """`[pki] backend`: what each needs, and nothing that it does not."""

    EST = 'url = "https://est.example.com/e"\nserver_roots = "root.pem"\nusername = "u"\npassword_file = "secret"\n'
    VAULT = 'address = "https://vault.example.com:8200"\nrole = "r"\ntoken_file = "secret"\nserver_roots = "root.pem"\n'
    COMMAND = 'command = ["/bin/true"]\n'
    CMP = 'server = "http://cmp.example.com"\nreference = "r"\nsecret_file = "secret"\n'
    GOOD = (("est", EST), ("vault", VAULT), ("command", COMMAND), ("cmp", CMP))

    def found(self, site: Site, backend: str, table: str, pki: str = 'ca = "ca"\nroots = ["root.pem"]\n') -> list[str]:
        if not (site.directory / "secret").exists():
            site.private("secret", b"one line\n")
        site.write(f'{GOOD}[pki]\nbackend = "{backend}"\n{pki}[pki.{backend}]\n{table}')
        return [each.split(": ", 1)[1] for each in errors(site.file)]

    @pytest.mark.parametrize(("backend", "table"), GOOD)
    def test_each_is_good_as_documented(self, site: Site, backend: str, table: str) -> None:
        assert self.found(site, backend, table) == []

    @pytest.mark.parametrize(
        ("pki", "words"),
        [
            ('roots = ["root.pem"]\n', "pki.ca: missing"),
            ('ca = "ca"\n', "pki.roots: missing"),
            ('ca = "ca"\nroots = ["none.pem"]\n', "No such file"),
            ('ca = "no/where/ca"\nroots = ["root.pem"]\n', "does not exist"),
            ('ca = "ca"\nroots = ["root.pem"]\nmin_validity_days = 900.0\n', "more than max_validity_days"),
            ('ca = "ca"\nroots = ["root.pem"]\nmax_validity_days = 0.0\n', "greater than 0"),
        ],
    )
    def test_what_all_of_them_need(self, site: Site, pki: str, words: str) -> None:
        assert any(words in each for each in self.found(site, "est", self.EST, pki))

    @pytest.mark.parametrize(
        ("backend", "table", "change", "words"),
        [
            ("est", EST, ("https://est", "http://est"), "est.url: 'http://est.example.com/e' is not an address"),
            ("est", EST, ("https://est", "https://u:pw@est"), "a user or password in the URL"),
            ("est", EST, ('username = "u"\n', ""), "username: username and password_file go together"),
            ("est", EST, ("secret", "none"), "No such file"),
            ("est", EST, ('"u"', '"u:v"'), "colon"),
            ("est", EST, ("username", 'client_id = "c"\nusername'), "token_url and client_id and client_secret_file"),
            ("est", EST, ("root.pem", "secret"), "holds no PEM certificates"),
            ("vault", VAULT, ("https", "http"), "server_roots: has no meaning without https"),
            ("vault", VAULT, ('server_roots = "root.pem"\n', ""), "server_roots: missing"),
            ("command", COMMAND, ("/bin/true", "true"), "absolute path"),
            ("command", COMMAND, ("/bin/true", "/etc/passwd"), "not a program that can be run"),
            ("command", COMMAND, ('["/bin/true"]', "[]"), "absolute path"),
            ("cmp", CMP, ('reference = "r"\nsecret_file = "secret"\n', ""), "either reference and secret_file"),
            ("cmp", CMP, ('reference = "r"\n', ""), "go together"),
            ("cmp", CMP, ("http://", "ftp://"), "is not an address"),
        ],
    )
    def test_what_is_wrong_with_one(
        self, site: Site, backend: str, table: str, change: tuple[str, str], words: str
    ) -> None:
        assert table.count(change[0]) >= 1
        found = self.found(site, backend, table.replace(*change))
        assert any(words in each for each in found), found
        assert not any("pw" in each for each in found)

    def test_a_token_over_clear_text_goes_to_loopback_alone(self, site: Site) -> None:
        table = self.VAULT.replace('server_roots = "root.pem"\n', "").replace("https://", "http://")
        assert any("only to an agent on loopback" in each for each in self.found(site, "vault", table))
        assert self.found(site, "vault", table.replace("vault.example.com", "127.0.0.1")) == []

    def test_a_secret_is_one_line_that_nobody_else_can_read(self, site: Site) -> None:
        secret = site.private("secret", b"one\ntwo\n")
        assert any("must hold one line" in each for each in self.found(site, "est", self.EST))
        secret.write_bytes(b"one\n")
        secret.chmod(0o640)
        assert any("chmod 600" in each for each in self.found(site, "est", self.EST))

    def test_a_directory_is_the_embedded_cas_or_anothers(self, site: Site) -> None:
        (site.directory / "ca" / "signer").mkdir(parents=True)
        assert any("directory of an embedded CA" in each for each in self.found(site, "est", self.EST))
        (site.directory / "ca" / "signer").rmdir()
        (site.directory / "ca" / "backend").write_text("est\n")
        assert self.found(site, "est", self.EST) == []
        site.write(GOOD + CA)
        assert any("belongs to another CA" in each for each in errors(site.file))

    def test_a_table_without_its_backend_and_a_backend_without_its_table(self, site: Site) -> None:
        site.write(f'{GOOD}[pki]\nca = "ca"\nroots = ["root.pem"]\nbackend = "vault"\n[pki.command]\n{self.COMMAND}')
        found = "\n".join(errors(site.file))
        assert "[pki.vault] is missing" in found
        assert 'no meaning without backend = "command"' in found
        site.write(f'{GOOD}[pki]\nroots = ["root.pem"]\n')
        assert any("roots are for another backend" in each for each in errors(site.file))
