"""Trust bundles and the publication listener in a configuration: contradictions, each with the place of its key."""

from pathlib import Path

import pytest

from tests.config.conftest import GOOD, Site
from tests.config.test_checks import errors, warnings
from tests.support.tls_material import Authority

BUNDLE = """
[[trust]]
name = "partner"
use = "other-operator"
roots = ["partner.pem"]
operator_names = ["Partner"]
"""
NAMING = GOOD.replace('client_trust = ["root.pem"]\n', 'client_trust = ["root.pem"]\ntrust = ["partner"]\n')


@pytest.fixture
def partner(site: Site) -> Path:
    path = site.directory / "partner.pem"
    path.write_bytes(Authority("Partner Root").pem)
    return path


def texts(found: list[str]) -> list[str]:
    return [message.partition(": ")[2] for message in found]


@pytest.mark.usefixtures("partner")
class TestBundle:
    def test_one_that_a_listener_names_is_fine(self, site: Site) -> None:
        assert errors(site.write(NAMING + BUNDLE)) == []
        assert not [text for text in warnings(site.write(NAMING + BUNDLE)) if "trust" in text]

    def test_your_own_name_is_for_your_own_roots(self, site: Site) -> None:
        own = BUNDLE.replace("other-operator", "own").replace('["Partner"]', '["Example CPO"]')
        assert errors(site.write(NAMING + own)) == []

    def test_it_may_stand_alone_where_client_trust_stood(self, site: Site) -> None:
        alone = NAMING.replace('client_trust = ["root.pem"]\n', "")
        assert errors(site.write(alone + BUNDLE)) == []

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (("operator_names", "crl"), "operator_names"),
            (('use = "other-operator"', 'use = "partner"'), "'partner' is not one of"),
            (('["Partner"]', '["Partner"]\nrevocation = "hard"'), "would refuse everybody"),
            (('["Partner"]', '["Partner"]\nocsp = "ldap://x/"'), "http:// or https://"),
            (('["Partner"]', '["Partner"]\nocsp = "http://me:secret@x/"'), "without user and password"),
            (('["Partner"]', '["Partner"]\ncrl = ["https:///no-host"]'), "http:// or https://"),
            (('["Partner"]', '["Partner"]\nrefresh_s = 0.0'), "greater than 0"),
            (('["partner.pem"]', "[]"), "it would vouch for nobody"),
            (('["partner.pem"]', '["absent.pem"]'), "No such file"),
            (('["partner.pem"]', '["root.pem"]'), "is also in client_trust of listener"),
            (('name = "partner"', 'name = "a b"'), "use 1 to 40 letters"),
            (('["Partner"]', '["Partner", "Example CPO"]'), "'Example CPO' is your own"),
        ],
    )
    def test_a_contradiction_is_told(self, site: Site, change: tuple[str, str], words: str) -> None:
        found = errors(site.write(NAMING + BUNDLE.replace(*change)))
        assert any(words in text for text in found), found
        assert "secret" not in " ".join(found)

    def test_the_near_misses_pass(self, site: Site) -> None:
        more = 'revocation = "hard"\nocsp = "http://ocsp.example/"\ncrl = ["http://pki.example/a.crl", "list.crl"]\n'
        (site.directory / "list.crl").write_bytes(b"")
        assert errors(site.write(NAMING + BUNDLE + more)) == []
        own = BUNDLE.replace("other-operator", "own").replace('operator_names = ["Partner"]\n', "")
        assert errors(site.write(NAMING + own)) == []

    def test_a_list_that_is_not_there_yet_is_only_warned_about(self, site: Site) -> None:
        path = site.write(NAMING + BUNDLE + 'crl = ["soon.crl"]\n')
        assert errors(path) == []
        assert any("soon.crl: No such file" in text for text in warnings(path))

    def test_one_root_belongs_to_one_bundle(self, site: Site) -> None:
        second = BUNDLE.replace('name = "partner"', 'name = "second"')
        found = errors(site.write(NAMING.replace('["partner"]', '["partner", "second"]') + BUNDLE + second))
        assert any("is also in trust bundle partner" in text for text in found)

    def test_a_name_that_is_there_twice_or_nowhere(self, site: Site) -> None:
        assert any("'partner' is there already" in text for text in errors(site.write(NAMING + BUNDLE + BUNDLE)))
        misspelt = NAMING.replace('trust = ["partner"]', 'trust = ["partnr"]')
        found = errors(site.write(misspelt + BUNDLE))
        assert any("no [[trust]] named 'partnr'" in text and "partner" in text for text in found)

    def test_one_that_nobody_names_is_warned_about(self, site: Site) -> None:
        assert any("named by no listener" in text for text in warnings(site.write(GOOD + BUNDLE)))

    def test_expired_certificates_need_client_certificates(self, site: Site) -> None:
        asked = GOOD.replace('"optional"', '"none"').replace("[2, 3]", "[2]")
        found = errors(
            site.write(asked.replace('client_trust = ["root.pem"]\n', 'expired_certificates = "by-registry"\n'))
        )
        assert any("there are no client certificates" in text for text in found)
        by_registry = GOOD.replace(
            'client_trust = ["root.pem"]\n', 'client_trust = ["root.pem"]\nexpired_certificates = "by-registry"\n'
        )
        assert errors(site.write(by_registry)) == []


class TestPublication:
    @pytest.mark.parametrize("address", ["127.0.0.1:9181", "[::]:80", "0.0.0.0:0"])
    def test_an_address_switches_it_on(self, site: Site, address: str) -> None:
        assert errors(site.write(f'{GOOD}\n[publication]\naddress = "{address}"\n')) == []

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('address = "localhost:80"', "is not an IP address with a port"),
            ('address = "127.0.0.1:9180"', "is used twice"),
            ("max_connections = 0", "greater than 0"),
            ("requests_per_address_per_minute = -1", "greater than 0"),
        ],
    )
    def test_what_cannot_be_served_is_told(self, site: Site, text: str, words: str) -> None:
        found = errors(site.write(f"{GOOD}\n[publication]\n{text}\n"))
        assert any(words in each for each in found), found
