"""`[server_certificates]` and the listeners that live by it."""

import pytest

from tests.config.conftest import GOOD, Site
from tests.config.test_checks import errors, warnings

FILES = GOOD[GOOD.index("[[listener.tls.certificates]]") :]
AUTOMATIC = GOOD.replace(FILES, "").replace("[listener.tls]\n", "[listener.tls]\nautomatic_certificates = true\n")
NAMES = 'names = ["cp.example.com"]\n'
CA = 'ca = "ca"\n'


def found(site: Site, table: str, *, text: str = AUTOMATIC) -> list[str]:
    signer = site.directory / "ca" / "signer"
    if not signer.exists():
        signer.mkdir(parents=True)
        (signer / "servers.toml").write_text('profiles = ["CSMSCertificate"]\ndomains = ["example.com"]\n')
    site.write(f"{text}[server_certificates]\n{table}")
    return [each.split(": ", 1)[1] for each in errors(site.file)]


@pytest.mark.parametrize(
    "table",
    [
        NAMES + CA,
        NAMES + CA + 'keys = ["rsa-3072", "ec-p384"]\n',
        CA + 'names = ["a.example.com", "b-1.example.com"]\n',
    ],
)
def test_good_ones(site: Site, table: str) -> None:
    assert found(site, table) == []
    assert warnings(site.file) == []


def test_the_ca_may_be_that_of_pki(site: Site) -> None:
    assert found(site, NAMES + '[pki]\nca = "ca"\n') == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (CA, "names: missing"),
        (NAMES, "ca: missing"),
        (NAMES + 'ca = "elsewhere"\n', "not the directory of an embedded CA"),
        (CA + 'names = ["*.example.com"]\n', "charge points refuse wildcards"),
        (CA + 'names = ["gateway"]\n', "not a fully qualified host name"),
        (CA + 'names = ["10.0.0.1"]\n', "not a fully qualified host name"),
        (CA + f'names = ["{"x" * 60}.example.com"]\n', "64 characters"),
        (NAMES + CA + "keys = []\n", "keys: empty"),
        (NAMES + CA + 'keys = ["ec-p256", "ec-p256"]\n', "there twice"),
        (NAMES + CA + 'keys = ["rsa-1024"]\n', "rsa-1024"),
    ],
)
def test_bad_ones(site: Site, table: str, words: str) -> None:
    assert any(words in each for each in found(site, table)), errors(site.file)


def test_one_kind_of_key_alone_is_warned_about(site: Site) -> None:
    assert found(site, NAMES + CA + 'keys = ["ec-p256"]\n') == []
    assert any("no RSA key" in each for each in warnings(site.file))


def test_there_has_to_be_an_o(site: Site) -> None:
    text = AUTOMATIC.replace('operator_names = ["Example CPO"]\n', "")
    assert any("organization: missing" in each for each in found(site, NAMES + CA, text=text))
    assert found(site, NAMES + CA + 'organization = "CPO"\n', text=text) == []


def test_files_or_automatic_but_not_both_and_not_neither(site: Site) -> None:
    assert any("either files" in each for each in found(site, NAMES + CA, text=AUTOMATIC + FILES))
    neither = AUTOMATIC.replace("automatic_certificates = true", "")
    assert any("and no automatic_certificates" in each for each in found(site, NAMES + CA, text=neither))


def test_a_table_that_no_listener_uses_is_warned_about(site: Site) -> None:
    assert found(site, NAMES + CA, text=GOOD) == []
    assert any("nothing is asked for" in each for each in warnings(site.file))


class TestIssuingCA:
    """Said before the first start, and no reason not to start: the ceremony may be next."""

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ('profiles = ["ChargePointCertificate"]\n', "has no issuing CA for servers"),
            ("", "has no issuing CA for servers"),
            ('profiles = ["CSMSCertificate"]\ndomains = ["example.org"]\n', "none of the CA's domains: example.org"),
            ('profiles = ["CSMSCertificate"]\ndomains = ["p.example.com"]\n', "none of the CA's domains"),
            ('profiles = "x"\ndomains = 3\n', "has no issuing CA for servers"),
        ],
    )
    def test_none_that_serves_the_names(self, site: Site, settings: str, words: str) -> None:
        found(site, NAMES + CA)
        (site.directory / "ca" / "signer" / "servers.toml").write_text(settings)
        assert errors(site.file) == []
        (said,) = warnings(site.file)
        assert words in said

    @pytest.mark.parametrize("domain", ["Example.com", "cp.example.com"])
    def test_one_of_several_is_enough(self, site: Site, domain: str) -> None:
        found(site, NAMES + CA)
        signer = site.directory / "ca" / "signer"
        (signer / "servers.toml").write_text('profiles = ["CSMSCertificate"]\ndomains = ["example.org"]\n')
        (signer / "more.toml").write_text(f'profiles = ["CSMSCertificate"]\ndomains = ["{domain}"]\n')
        assert warnings(site.file) == []

    @pytest.mark.parametrize("content", [b"not toml", b"\xff"])
    def test_what_cannot_be_read_is_the_signers_business(self, site: Site, content: bytes) -> None:
        found(site, NAMES + CA)
        (site.directory / "ca" / "signer" / "servers.toml").write_bytes(content)
        assert warnings(site.file) == []


class TestACME:
    """An ACME CA in place of the embedded one."""

    TABLE = '[server_certificates.acme]\ndirectory = "https://acme.example.com/dir"\nagree_to_terms = true\n'

    @pytest.mark.parametrize(
        "more",
        [
            "",
            'http_address = "[::]:80"\ncontact = ["mailto:a@example.com"]\n',
            'roots = "root.pem"\n',
            'eab_key_id = "k"\neab_key_file = "secret"\n',
        ],
    )
    def test_good_ones(self, site: Site, more: str) -> None:
        site.private("secret", b"c2VjcmV0\n")
        assert found(site, NAMES + self.TABLE + more) == []

    def test_it_needs_no_o(self, site: Site) -> None:
        text = AUTOMATIC.replace('operator_names = ["Example CPO"]\n', "")
        assert found(site, NAMES + self.TABLE, text=text) == []

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (("agree_to_terms = true", ""), "agree_to_terms: must be true"),
            (("https://", "http://"), "is not an address"),
            (("https://", "https://u:pw@"), "a user or password in the URL"),
            (("agree", 'http_address = "host:80"\nagree'), "not an IP address with a port"),
            (("agree", 'contact = ["a@example.com"]\nagree'), "does not begin with mailto:"),
            (("agree", 'roots = "none.pem"\nagree'), "No such file"),
            (("agree", 'eab_key_id = "k"\nagree'), "go together"),
            (("agree", 'eab_key_id = "k"\neab_key_file = "none"\nagree'), "No such file"),
        ],
    )
    def test_bad_ones(self, site: Site, change: tuple[str, str], words: str) -> None:
        assert self.TABLE.count(change[0]) >= 1
        said = found(site, NAMES + self.TABLE.replace(*change))
        assert any(words in each for each in said), said
        assert "pw" not in "".join(said)

    def test_not_both(self, site: Site) -> None:
        assert any("either an embedded CA or an ACME one" in each for each in found(site, NAMES + CA + self.TABLE))
