"""The linter: each profile's own certificates pass, and each change to one is found by name."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from pki.errors import Reason, Refused
from pki.issuer import Issuer
from pki.keys import PrivateKey, certificate_key
from pki.lint import lint
from pki.names import Subject, verify_charge_point_name, verify_organization
from pki.profiles import (
    CHARGE_POINT,
    CHARGE_POINT_ISSUING_CA,
    CSMS,
    CSMS_ISSUING_CA,
    OCSP_RESPONDER,
    PROFILES,
    ROOT_CA,
    V2G20_SECC,
    V2G_SECC,
    CertificateProfile,
)
from pki.template import Constraints, Contents, Publication, certificate_builder
from tests.pki.hierarchy import DAY, HOUR, NOW, Hierarchy

CA = Hierarchy()
ISSUER = Issuer(
    name="issuing", certificate=CA.issuing, chain=(CA.root,), profiles=(CHARGE_POINT,), organizations=("CPO",)
)
KEYS: dict[str, PrivateKey] = {
    "ec-p256": ec.generate_private_key(ec.SECP256R1()),
    "ec-p521": ec.generate_private_key(ec.SECP521R1()),
    "rsa-2048": rsa.generate_private_key(65537, 2048),
}
SUBJECTS = {
    CSMS.name: Subject("gw.example.com", "CPO"),
    V2G_SECC.name: Subject("DECPOE0001", "CPO", domain_component="CPO"),
    V2G20_SECC.name: Subject("DECPOE0001", "CPO", domain_component="CSO"),
}


def contents(profile: CertificateProfile, **changes) -> Contents:
    given: dict[str, Any] = {
        "profile": profile,
        "subject": SUBJECTS.get(profile.name, Subject("SN-1", "CPO")),
        "serial": 1 << 150,
        "not_before": NOW - HOUR,
        "not_after": NOW + profile.lifetime,
    }
    return Contents(**(given | changes))


def made(given: Contents, kind: str = "", issuer: x509.Certificate = CA.issuing, algorithm=None) -> x509.Certificate:
    kind = kind or ("ec-p521" if given.profile is V2G20_SECC else "ec-p256")
    builder = certificate_builder(given, KEYS[kind].public_key(), issuer.subject, certificate_key(issuer))
    return builder.sign(CA.keys["issuing"], algorithm or hashes.SHA256())


def codes(certificate: x509.Certificate, profile: CertificateProfile, **more) -> set[str]:
    return {finding.code for finding in lint(certificate, profile, **more)}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_what_is_made_from_a_profile_is_what_the_profile_says(profile: CertificateProfile) -> None:
    certificate = made(contents(profile))
    assert lint(certificate, profile) == ()
    others = [other for other in PROFILES.values() if other is not profile and other.lifetime >= profile.lifetime]
    assert all(lint(certificate, other) for other in others)


def test_rsa_and_urls_pass_where_they_may() -> None:
    published = Publication(
        crl_url="http://p.example/{shard}.crl",
        crl_shards=8,
        ocsp_url="http://p.example/ocsp",
        issuer_url="http://p.example/i",
    )
    certificate = made(contents(CHARGE_POINT, publication=published, serial=(1 << 150) + 3), "rsa-2048")
    assert lint(certificate, CHARGE_POINT, issuer=CA.issuing) == ()
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name[0].value == "http://p.example/3.crl"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"serial": 4711}, "serial"),
        ({"not_after": NOW + 91 * DAY}, "validity"),
        ({"subject": Subject("10.0.0.1", "CPO")}, "common-name"),
        ({"subject": Subject("SN/1", "CPO")}, "common-name"),
        ({"subject": Subject("SN-1", "")}, "organization"),
        ({"subject": Subject("", "CPO")}, "common-name"),
        ({"subject": Subject("SN-1", "CPO", domain_component="CPO")}, "domain-component"),
        ({"constraints": Constraints(organizations=("CPO",)).extension()}, "extension"),
    ],
)
def test_contents_that_the_profile_does_not_have_are_found(changes, code: str) -> None:
    assert codes(made(contents(CHARGE_POINT, **changes)), CHARGE_POINT) == {code}


@pytest.mark.parametrize(
    "changes",
    [{"serial": (1 << 159) - 1}, {"serial": 1 << 63}, {"not_after": NOW + 90 * DAY}, {"not_after": NOW + DAY}],
)
def test_contents_at_the_limit_pass(changes) -> None:
    assert lint(made(contents(CHARGE_POINT, **changes)), CHARGE_POINT) == ()


def test_a_negative_serial_number_is_found() -> None:
    der = made(contents(CHARGE_POINT, serial=(1 << 159) - 1)).public_bytes(Encoding.DER)
    assert der.count(b"\x02\x14\x7f" + b"\xff" * 19) == 1
    changed_der = der.replace(b"\x02\x14\x7f" + b"\xff" * 19, b"\x02\x14\x80" + b"\xff" * 19)
    with pytest.warns(CryptographyDeprecationWarning):
        assert codes(x509.load_der_x509_certificate(changed_der), CHARGE_POINT) == {"serial"}


def changed(extension: x509.ExtensionType | None, *, drop=(), critical=False, name=None) -> x509.Certificate:
    """A good charge point certificate with one thing changed."""
    good = made(contents(CHARGE_POINT))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name or good.subject)
        .issuer_name(good.issuer)
        .public_key(good.public_key())
        .serial_number(good.serial_number)
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
    )
    for each in good.extensions:
        if not isinstance(each.value, (*drop, type(extension))):
            builder = builder.add_extension(each.value, each.critical)
    if extension is not None:
        builder = builder.add_extension(extension, critical)
    return builder.sign(CA.keys["issuing"], hashes.SHA256())


def test_an_unchanged_copy_passes() -> None:
    assert lint(changed(None), CHARGE_POINT) == ()


@pytest.mark.requirement("A00.FR.511", "A00.FR.512")
@pytest.mark.parametrize(
    ("certificate", "code"),
    [
        (lambda: changed(x509.BasicConstraints(ca=True, path_length=None), critical=True), "extension"),
        (lambda: changed(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])), "extension"),
        (
            lambda: changed(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])),
            "extension",
        ),
        (lambda: changed(CHARGE_POINT_ISSUING_CA.key_usage(rsa=False), critical=True), "extension"),
        (lambda: changed(x509.SubjectAlternativeName([x509.DNSName("a.example")])), "extension"),
        (lambda: changed(x509.OCSPNoCheck()), "extension"),
        (lambda: changed(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")), "extension"),
        (lambda: changed(None, drop=(x509.BasicConstraints,)), "extension"),
        (lambda: changed(None, drop=(x509.AuthorityKeyIdentifier,)), "extension"),
        (lambda: changed(x509.KeyUsage(True, False, False, False, False, False, False, False, False)), "critical"),
        (lambda: changed(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True), "critical"),
        (lambda: changed(x509.SubjectKeyIdentifier(b"x" * 20)), "key-identifier"),
    ],
)
def test_extensions_that_the_profile_does_not_have_are_found(
    certificate: Callable[[], x509.Certificate], code: str
) -> None:
    assert codes(certificate(), CHARGE_POINT) == {code}


def test_subjects_with_more_or_twice_the_same_are_found() -> None:
    def name(*parts) -> x509.Name:
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])

    cn, o, serial = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.SERIAL_NUMBER
    assert codes(changed(None, name=name((o, "CPO"), (cn, "SN-1"), (cn, "SN-2"))), CHARGE_POINT) == {"common-name"}
    assert codes(changed(None, name=name((o, "CPO"), (o, "B"), (cn, "SN-1"))), CHARGE_POINT) == {"organization"}
    assert codes(changed(None, name=name((o, "CPO"), (serial, "1"), (cn, "SN-1"))), CHARGE_POINT) == {"subject-part"}
    multi = x509.Name([x509.RelativeDistinguishedName([x509.NameAttribute(o, "CPO"), x509.NameAttribute(cn, "SN-1")])])
    assert codes(changed(None, name=multi), CHARGE_POINT) == {"subject-part"}


def test_keys_that_are_weak_or_not_for_the_profile_are_found() -> None:
    weak = rsa.generate_private_key(3, 2048).public_key()
    builder = certificate_builder(contents(CHARGE_POINT), weak, CA.issuing.subject, certificate_key(CA.issuing))
    assert codes(builder.sign(CA.keys["issuing"], hashes.SHA256()), CHARGE_POINT) == {"key-exponent"}
    assert codes(made(contents(V2G_SECC), "ec-p521"), V2G_SECC) == {"key-kind"}
    assert codes(made(contents(V2G_SECC), "rsa-2048"), V2G_SECC) >= {"key-kind"}


def test_a_v2g_certificate_of_more_than_800_bytes_is_found() -> None:
    long = Publication(ocsp_url="http://p.example/" + "x" * 400)
    assert codes(made(contents(V2G_SECC, publication=long)), V2G_SECC) == {"size"}


class TestBelowItsIssuer:
    def test_what_is_within_passes(self) -> None:
        assert lint(made(contents(CHARGE_POINT)), CHARGE_POINT, issuer=CA.issuing) == ()
        assert lint(made(contents(CSMS), issuer=CA.server_issuing), CSMS, issuer=CA.server_issuing) == ()
        assert lint(made(contents(OCSP_RESPONDER)), OCSP_RESPONDER, issuer=CA.issuing) == ()

    def test_another_operator_is_found(self) -> None:
        given = contents(CHARGE_POINT, subject=Subject("SN-1", "Other"))
        assert codes(made(given), CHARGE_POINT, issuer=CA.issuing) == {"name-constraints"}

    @pytest.mark.parametrize(
        ("names", "found"),
        [
            (("gw.example.com", "gw.example.org"), {"name-constraints"}),
            (("gw.example.com", "gw.notexample.com"), {"name-constraints"}),
            (("gw.example.com", "a.b.Example.com", "example.com"), set()),
        ],
    )
    def test_a_host_outside_of_the_issuers_domains_is_found(self, names: tuple[str, ...], found: set[str]) -> None:
        made_here = made(contents(CSMS, names=names), issuer=CA.server_issuing)
        assert codes(made_here, CSMS, issuer=CA.server_issuing) == found

    def test_a_serial_number_that_openssl_takes_for_a_host_name_is_found(self) -> None:
        given = contents(CHARGE_POINT, subject=Subject("AL.P123", "CPO"))
        assert codes(made(given), CHARGE_POINT, issuer=CA.issuing) == {"name-constraints"}
        assert lint(made(given, issuer=CA.root), CHARGE_POINT, issuer=CA.root) == ()

    def test_another_issuer_is_found(self) -> None:
        found = codes(made(contents(CHARGE_POINT)), CHARGE_POINT, issuer=CA.server_issuing)
        assert {"issuer", "authority-key-identifier"} <= found

    def test_one_that_outlives_its_issuer_is_found(self) -> None:
        long = CHARGE_POINT.with_lifetime(4000 * DAY)
        assert codes(made(contents(long, not_after=CA.issuing.not_valid_after_utc)), long, issuer=CA.issuing) == set()
        late = CA.issuing.not_valid_after_utc + datetime.timedelta(seconds=1)
        assert codes(made(contents(long, not_after=late)), long, issuer=CA.issuing) == {"validity"}

    def test_the_key_of_the_issuer_is_found(self) -> None:
        builder = certificate_builder(
            contents(CHARGE_POINT), certificate_key(CA.issuing), CA.issuing.subject, certificate_key(CA.issuing)
        )
        made_with = builder.sign(CA.keys["issuing"], hashes.SHA256())
        assert codes(made_with, CHARGE_POINT, issuer=CA.issuing) == {"key-of-authority"}

    def test_the_hierarchy_passes(self) -> None:
        assert lint(CA.root, ROOT_CA, issuer=CA.root) == ()
        assert lint(CA.issuing, CHARGE_POINT_ISSUING_CA, issuer=CA.root) == ()
        assert lint(CA.server_issuing, CSMS_ISSUING_CA, issuer=CA.root) == ()


@given(st.text(st.characters(codec="utf-8"), max_size=70), st.text(st.characters(codec="utf-8"), max_size=70))
def test_a_name_passes_the_linter_exactly_if_it_passes_the_rules_for_names(common_name: str, organization: str) -> None:
    """Whatever the text: what may be issued is what the linter lets through, and nothing else."""
    try:
        verify_charge_point_name(common_name)
        verify_organization(organization)
    except Refused:
        allowed = False
    else:
        allowed = True
    try:
        certificate = made(contents(CHARGE_POINT, subject=Subject(common_name, organization)))
    except (ValueError, OverflowError):
        assert not allowed
        return
    assert (lint(certificate, CHARGE_POINT) == ()) is allowed


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._:*|@+-]{0,40}[A-Za-z0-9]", fullmatch=True))
def test_every_serial_number_that_may_be_issued_below_an_issuer_is_accepted_by_its_linter(name: str) -> None:
    subject = Subject(name, "CPO")
    try:
        ISSUER.verify_names(CHARGE_POINT, subject, ())
    except Refused as refused:
        assert refused.reason in {Reason.NAME_IS_HOST_NAME, Reason.NAME_IS_ADDRESS}
        return
    assert lint(made(contents(CHARGE_POINT, subject=subject)), CHARGE_POINT, issuer=CA.issuing) == ()
