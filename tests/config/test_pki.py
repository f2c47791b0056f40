"""`[pki]`, and who gives charge points their certificates."""

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
