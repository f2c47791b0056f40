"""Issuing CAs: one that contradicts its own certificate does not start; a rogue key gains nothing by ignoring ours."""

import dataclasses
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pki.errors import Misconfigured, Reason, Refused
from pki.issuer import Issuer
from pki.keys import certificate_key
from pki.names import Subject
from pki.profiles import (
    CHARGE_POINT,
    CHARGE_POINT_ISSUING_CA,
    CSMS,
    ISSUING_CA,
    OCSP_RESPONDER,
    V2G_SECC,
    CertificateProfile,
)
from pki.template import Contents, Publication, certificate_builder
from tests.pki.hierarchy import DAY, HOUR, NOW, Hierarchy, openssl_verify, write_pem

CA = Hierarchy()
GOOD = Issuer(
    name="issuing",
    certificate=CA.issuing,
    chain=(CA.root,),
    profiles=(CHARGE_POINT, OCSP_RESPONDER),
    organizations=("CPO",),
)
SERVERS = Issuer(
    name="servers",
    certificate=CA.server_issuing,
    chain=(CA.root,),
    profiles=(CSMS,),
    organizations=("CPO",),
    domains=("example.com",),
)


def by_root(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """The issuing CA's certificate with another key."""
    old = CA.issuing
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, key.public_key(), old.serial_number, old.not_valid_before_utc, old.not_valid_after_utc
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(CA.keys["root"], hashes.SHA256())


class TestContradictions:
    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"certificate": CA.root, "chain": ()}, "it is a root"),
            (
                {"profiles": (CSMS,), "domains": ("example.com",)},
                "CSMSCertificate has a use that its own certificate does not have",
            ),
            ({"profiles": (CSMS,), "domains": ("example.com",)}, "needs host names, which it excludes"),
            ({"profiles": (V2G_SECC,)}, "V2GSECCCertificate has a use"),
            ({"profiles": (ISSUING_CA,)}, "is a CA"),
            ({"profiles": (CHARGE_POINT, CHARGE_POINT)}, "a profile twice"),
            ({"organizations": ()}, "serves no organisation"),
            ({"organizations": ("CPO", "Other")}, "name constraints do not permit O=Other"),
            ({"chain": (CA.server_issuing,)}, "chain is broken"),
        ],
    )
    def test_an_issuer_that_would_do_what_its_certificate_forbids_is_not_loaded(self, changes, problem: str) -> None:
        with pytest.raises(Misconfigured, match=problem):
            dataclasses.replace(GOOD, **changes)

    @pytest.mark.parametrize(
        ("domains", "problem"),
        [
            (("example.org",), "name constraints do not permit the domain example.org"),
            (("example.com", "notexample.com"), "do not permit the domain notexample.com"),
            (("com",), "do not permit the domain com"),
            (("*.example.com",), "is not one"),
            (("",), "is not one"),
        ],
    )
    def test_a_server_issuer_serves_only_domains_that_its_certificate_permits(self, domains, problem: str) -> None:
        with pytest.raises(Misconfigured, match=problem):
            dataclasses.replace(SERVERS, domains=domains)
        assert dataclasses.replace(SERVERS, domains=("example.com", "ev.Example.com")).domains

    def test_a_chain_that_has_only_the_right_names_is_broken(self) -> None:
        with pytest.raises(Misconfigured, match="chain is broken above"):
            dataclasses.replace(GOOD, chain=(Hierarchy().root,))
        assert dataclasses.replace(GOOD, chain=()).latest_end() == CA.issuing.not_valid_after_utc

    def test_a_key_of_a_kind_that_signs_nothing_here(self) -> None:
        key = ec.generate_private_key(ec.SECP256K1())
        with pytest.raises(Misconfigured, match="its key is not one of ec-p256"):
            dataclasses.replace(GOOD, certificate=by_root(key))
        other = by_root(ec.generate_private_key(ec.SECP521R1()))
        assert dataclasses.replace(GOOD, certificate=other).public_key == other.public_key()

    def test_a_leaf_is_no_issuer(self) -> None:
        with pytest.raises(Misconfigured, match="not that of a CA"):
            dataclasses.replace(GOOD, certificate=signed_by_rogue(CHARGE_POINT, Subject("SN-1", "CPO")), chain=())

    def test_a_server_issuer_needs_domains(self) -> None:
        with pytest.raises(Misconfigured, match="needs the domains"):
            dataclasses.replace(SERVERS, domains=())

    def test_a_retired_issuer_has_no_profile_and_is_loaded(self) -> None:
        assert dataclasses.replace(GOOD, profiles=(), organizations=()).profiles == ()


class TestNames:
    @pytest.mark.parametrize(
        ("issuer", "profile", "subject", "names", "reason"),
        [
            (GOOD, CHARGE_POINT, Subject("SN-1", "Other"), (), Reason.ORGANIZATION_NOT_SERVED),
            (GOOD, CHARGE_POINT, Subject("SN-1", "cpo"), (), Reason.ORGANIZATION_NOT_SERVED),
            (GOOD, CHARGE_POINT, Subject("10.0.0.1", "CPO"), (), Reason.NAME_IS_ADDRESS),
            (GOOD, CHARGE_POINT, Subject("AL.P1", "CPO"), (), Reason.NAME_IS_HOST_NAME),
            (SERVERS, CSMS, Subject("gw.example.org", "CPO"), (), Reason.NAME_OTHER_DOMAIN),
            (SERVERS, CSMS, Subject("gw.example.com", "CPO"), ("evilexample.com",), Reason.NAME_OTHER_DOMAIN),
            (SERVERS, CSMS, Subject("*.example.com", "CPO"), (), Reason.NAME_NOT_A_HOST_NAME),
            (GOOD, CHARGE_POINT, Subject("SN-1", "CPO", unit="x"), (), Reason.NAME_CHARACTER),
            (GOOD, CHARGE_POINT, Subject("SN-1", "CPO", country="DE"), (), Reason.NAME_CHARACTER),
            (
                GOOD,
                V2G_SECC,
                Subject("SN-1", "CPO", country="Germany", domain_component="CPO"),
                (),
                Reason.NAME_CHARACTER,
            ),
            (GOOD, CHARGE_POINT, Subject("SN-1", "CPO"), ("gw.example.com",), Reason.NAME_NOT_FOR_PROFILE),
            (GOOD, OCSP_RESPONDER, Subject("R", "CPO"), (), Reason.PROFILE_NOT_SERVED),
        ],
    )
    def test_names_that_are_not_the_issuers_are_refused(self, issuer, profile, subject, names, reason: Reason) -> None:
        with pytest.raises(Refused) as refused:
            issuer.verify_names(profile, subject, names)
        assert refused.value.reason is reason

    def test_its_own_pass(self) -> None:
        GOOD.verify_names(V2G_SECC, Subject("SN-1", "CPO", country="DE", domain_component="CPO"), ())
        asked = dataclasses.replace(GOOD, publication=Publication(ocsp_url="http://o.example/"))
        asked.verify_names(OCSP_RESPONDER, Subject("R", "CPO"), ())
        GOOD.verify_names(CHARGE_POINT, Subject("SN-1", "CPO"), ())
        SERVERS.verify_names(
            CSMS, Subject("gw.example.com", "CPO"), ("gw.example.com", "example.com", "a.b.EXAMPLE.com")
        )

    def test_profiles_are_found_by_name(self) -> None:
        assert GOOD.profile("ChargePointCertificate") is CHARGE_POINT
        with pytest.raises(Refused) as refused:
            GOOD.profile("CSMSCertificate")
        assert refused.value.reason is Reason.PROFILE_NOT_SERVED


def signed_by_rogue(
    profile: CertificateProfile,
    subject: Subject,
    names: tuple[str, ...] = (),
    *extensions,
    signer: str = "issuing",
    key=None,
) -> x509.Certificate:
    """What somebody makes who has stolen the key of an issuing CA."""
    issuer = {"issuing": CA.issuing, "server": CA.server_issuing}[signer]
    contents = Contents(
        profile=profile, subject=subject, serial=7, not_before=NOW - HOUR, not_after=NOW + 80 * DAY, names=names
    )
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = certificate_builder(contents, key.public_key(), issuer.subject, certificate_key(issuer))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(CA.keys[signer], hashes.SHA256())


class TestRogueIssuingKey:
    """The issuing CA's own certificate limits the damage, whatever its key signs."""

    def verify(
        self, tmp_path: Path, leaf: x509.Certificate, purpose: str = "sslclient", signer: str = "issuing"
    ) -> str:
        above = {"issuing": CA.issuing, "server": CA.server_issuing}[signer]
        return openssl_verify(tmp_path, leaf, [above], CA.root, purpose)

    def test_an_ordinary_certificate_passes(self, tmp_path: Path) -> None:
        assert self.verify(tmp_path, signed_by_rogue(CHARGE_POINT, Subject("SN-1", "CPO"))) == "OK"
        server = signed_by_rogue(CSMS, Subject("gw.example.com", "CPO"), signer="server")
        assert self.verify(tmp_path, server, "sslserver", "server") == "OK"

    def test_no_server_certificate(self, tmp_path: Path) -> None:
        server = signed_by_rogue(CSMS, Subject("gw", "CPO"), ("gw",))
        assert "unsuitable certificate purpose" in self.verify(tmp_path, server, "sslserver")

    def test_no_other_operators_certificate(self, tmp_path: Path) -> None:
        assert "permitted subtree violation" in self.verify(
            tmp_path, signed_by_rogue(CHARGE_POINT, Subject("SN-1", "Other"))
        )
        hidden = signed_by_rogue(CHARGE_POINT, Subject("SN-1", "CPO", country="DE"))
        assert "permitted subtree violation" in self.verify(tmp_path, hidden)

    def test_no_host_names_and_no_addresses(self, tmp_path: Path) -> None:
        for name in ("csms.example.com", "10.0.0.1", "::1"):
            leaf = signed_by_rogue(CHARGE_POINT, Subject("SN-1", "CPO"), (), _san(name))
            assert "excluded subtree violation" in self.verify(tmp_path, leaf), name

    def test_no_host_name_hidden_in_the_common_name(self, tmp_path: Path) -> None:
        leaf = signed_by_rogue(CHARGE_POINT, Subject("csms.example.com", "CPO"))
        assert "excluded subtree violation" in self.verify(tmp_path, leaf)

    def test_no_ca(self, tmp_path: Path) -> None:
        below_key = ec.generate_private_key(ec.SECP256R1())
        below = signed_by_rogue(CHARGE_POINT_ISSUING_CA, Subject("Below", "CPO"), key=below_key)
        contents = Contents(
            profile=CHARGE_POINT, subject=Subject("SN-1", "CPO"), serial=8, not_before=NOW - HOUR, not_after=NOW + DAY
        )
        builder = certificate_builder(contents, below_key.public_key(), below.subject, below_key.public_key())
        leaf = builder.sign(below_key, hashes.SHA256())
        assert "path length constraint exceeded" in openssl_verify(tmp_path, leaf, [below, CA.issuing], CA.root)

    def test_the_server_key_makes_no_client_and_no_other_domain(self, tmp_path: Path) -> None:
        client = signed_by_rogue(CHARGE_POINT, Subject("SN-1", "CPO"), signer="server")
        assert "unsuitable certificate purpose" in self.verify(tmp_path, client, "sslclient", "server")
        other = signed_by_rogue(CSMS, Subject("gw.example.org", "CPO"), signer="server")
        assert "permitted subtree violation" in self.verify(tmp_path, other, "sslserver", "server")

    def test_gnutls_agrees(self, tmp_path: Path, certtool: str) -> None:
        def verify(leaf: x509.Certificate) -> str:
            chain = write_pem(tmp_path / "chain.pem", leaf, CA.issuing)
            command = [certtool, "--verify", "--verify-purpose", "1.3.6.1.5.5.7.3.2", "--infile", chain]
            root = write_pem(tmp_path / "root.pem", CA.root)
            return subprocess.run(
                [*command, "--load-ca-certificate", root], capture_output=True, text=True, check=False
            ).stdout

        assert "The certificate is trusted" in verify(signed_by_rogue(CHARGE_POINT, Subject("SN-1", "CPO")))
        for leaf in (
            signed_by_rogue(CSMS, Subject("gw", "CPO"), ("gw",)),
            signed_by_rogue(CHARGE_POINT, Subject("SN-1", "CPO"), (), _san("csms.example.com")),
        ):
            assert "NOT trusted" in verify(leaf)


def _san(name: str) -> x509.SubjectAlternativeName:
    import ipaddress

    try:
        return x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
    except ValueError:
        return x509.SubjectAlternativeName([x509.DNSName(name)])
