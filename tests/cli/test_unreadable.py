"""What others send may have parts that cannot be read: each reader has an answer for that, and no other exception."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.x509.ocsp import OCSPResponderEncoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.pki.certificate_files import certificates_in
from gateway.config.certificates import check_pem
from gateway.config.findings import Findings
from gateway.config.server_lint import server_findings
from gateway.identity.client_certificate import parse_leaf
from gateway.identity.refusal import Refusal
from gateway.policy.facts import Facts
from gateway.policy.firmware import FirmwareUnfit, firmware_certificate
from pki.backends.est import _certificates as certificates_of_est
from pki.backends.interface import BackendMisbehaved
from pki.backends.returned import verified_answer
from pki.csr import parse_csr, verify_subject
from pki.errors import Refused
from pki.foreign_ocsp import OCSPRejected, read_ocsp_response
from pki.key_policy import DEFAULT_KEY_POLICY
from pki.lint import lint
from pki.names import Subject
from pki.profiles import CHARGE_POINT
from tests.cli.conftest import Cli
from tests.pki import test_foreign_ocsp as foreign
from tests.pki.backends import test_returned as returned
from tests.pki.request_material import csr_der, csr_pem
from tests.support.odd_certificates import ODD_CERTIFICATES, ODD_REQUESTS, pem

NAMES = sorted(ODD_CERTIFICATES)


LOADED = [name for name in NAMES if not name.startswith("version")]
"""What is a certificate until somebody asks for the part."""


@pytest.mark.parametrize("name", NAMES)
def test_a_charge_point_that_shows_one_is_refused(name: str) -> None:
    with pytest.raises(Refusal):
        parse_leaf(ODD_CERTIFICATES[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_message_that_holds_one_holds_no_certificate(name: str) -> None:
    text = pem(ODD_CERTIFICATES[name])
    found = Facts("InstallCertificate", {"certificate": text}).certificates
    # The key of a root to be installed is nobody's business here.
    assert [each.ok for each in found] == [name.startswith("unknown")]
    with pytest.raises(FirmwareUnfit):
        firmware_certificate(text)


@pytest.mark.parametrize("name", NAMES)
def test_a_request_with_one_is_no_request(name: str) -> None:
    text = pem(ODD_REQUESTS[name], "CERTIFICATE REQUEST")
    assert [each.ok for each in Facts("SignCertificate", {"csr": text}).csrs] == [False]
    with pytest.raises(Refused):
        parse_csr(text, DEFAULT_KEY_POLICY)


@pytest.mark.parametrize("name", LOADED)
def test_another_ca_that_returns_one_misbehaves(name: str) -> None:
    good = serialize_certificates([returned.GOOD, returned.SUB], Encoding.DER)
    assert len(certificates_of_est(good)) == 2
    odd = good.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)
    with pytest.raises(BackendMisbehaved):
        certificates_of_est(odd)
    with pytest.raises(BackendMisbehaved):
        verified_answer(
            (returned.GOOD, x509.load_der_x509_certificate(ODD_CERTIFICATES[name])),
            returned.REQUEST,
            returned.CA.anchors,
            datetime.datetime.now(datetime.UTC),
        )


def test_a_certificate_that_openssl_alone_cannot_read_is_no_answer() -> None:
    """cryptography leaves the issuer's name alone, OpenSSL does not."""
    odd = returned.SUB.public_bytes(Encoding.DER)
    der = odd.replace(b"\x0c\x0aOther Root", b"\x04\x0aOther Root", 1)
    assert der != odd
    with pytest.raises(BackendMisbehaved):
        verified_answer(
            (returned.GOOD, x509.load_der_x509_certificate(der)),
            returned.REQUEST,
            returned.CA.anchors,
            datetime.datetime.now(datetime.UTC),
        )


def test_a_responder_with_such_a_name_says_nothing() -> None:
    data = foreign.answer(encoding=OCSPResponderEncoding.NAME)
    text = foreign.CA.root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    assert isinstance(text, str)
    odd = data.replace(
        b"\x0c" + bytes([len(text)]) + text.encode(), b"\x03" + bytes([len(text)]) + b"\0" + text[1:].encode(), 1
    )
    assert odd != data
    with pytest.raises(OCSPRejected):
        read_ocsp_response(odd, foreign.LEAF, foreign.CA.root, foreign.NOW)
    assert not read_ocsp_response(data, foreign.LEAF, foreign.CA.root, foreign.NOW).revoked


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", NAMES)
def test_commands_and_checks_say_so(name: str, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "odd.pem"
    file.write_text(pem(ODD_CERTIFICATES[name]))
    for profile in ("ChargePointCertificate", "CSMSCertificate"):
        result = cli("pki", "lint", file, "--profile", profile)
        assert (result.code, "defect" in result.err) == (NOT_OK, False)
    assert cli("charge-point", "revoke-certificate", "--file", file, "--reason", "x").code == NOT_OK
    findings = Findings("gateway.toml", {})
    check_pem(str(file), ("trust",), findings, allow_dev=True)
    assert bool(findings.errors) is not name.startswith("unknown")
    assert len(certificates_in("odd.pem", ODD_CERTIFICATES[name])) == 1


@pytest.mark.parametrize("name", LOADED)
def test_a_server_s_certificate_is_looked_at_as_far_as_it_goes(name: str) -> None:
    odd = x509.load_der_x509_certificate(ODD_CERTIFICATES[name])
    assert list(server_findings([odd]))
    assert lint(odd, CHARGE_POINT)


def test_garbage_behind_a_good_certificate(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "chain.pem"
    file.write_bytes(
        returned.GOOD.public_bytes(Encoding.PEM) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    result = cli("pki", "lint", file, "--profile", "CSMSCertificate")
    assert (result.code, "behind the first one" in result.err) == (NOT_OK, True)


DER = csr_der(csr_pem())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=4)
)
def test_a_request_that_was_changed_anywhere_is_refused_or_still_has_its_names(
    changes: list[tuple[int, int, bytes]],
) -> None:
    der = bytearray(DER)
    for place, cut, added in changes:
        der[place : place + cut] = added
    try:
        found = parse_csr(pem(bytes(der), "CERTIFICATE REQUEST"), DEFAULT_KEY_POLICY)
        verify_subject(found, Subject("SN-1", "CPO"))
    except Refused:
        return
    assert bytes(der) == DER  # its signature covers all of it
