"""Revocation lists, OCSP answers and hash data, judged by openssl, GnuTLS, strongSwan and pkilint."""

import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.crl import CRLStamp, build_crl, distribution_points, next_stamp
from pki.hash_data import certificate_hash_data
from pki.ocsp import OCSPResponses, OCSPSigner, OCSPWindow
from pki.revocation import RevokedCertificate
from tests.support.hierarchy import certificate
from tests.support.judges import (
    STRONGSWAN_PKI,
    judge,
    needs_certtool,
    needs_openssl,
    needs_pkilint,
    needs_strongswan,
    pkilint,
)
from tests.support.revocation_material import HOUR, authority, moment, responder
from tests.support.tls_material import Issued

NOW = moment()
STAMP = next_stamp(CRLStamp(41, NOW - 2 * HOUR, NOW - HOUR), NOW - HOUR, 25 * HOUR)
URL = "http://pki.example.test/crl/issuing/0.crl"
REVOKED = authority().charge_point("SN-1")
GOOD = authority().charge_point("SN-2")


class Files:
    """What the tools read."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.root = self.write("root.pem", authority().pem)
        self.revoked = self.write("revoked.pem", REVOKED.pem)
        self.good = self.write("good.pem", GOOD.pem)

    def write(self, name: str, content: bytes) -> Path:
        path = self.work / name
        path.write_bytes(content)
        return path

    def crl(self, **options: str) -> tuple[Path, Path]:
        """A list with one entry, as DER and as PEM."""
        entry = RevokedCertificate(REVOKED.certificate.serial_number, NOW - HOUR, x509.ReasonFlags.key_compromise)
        der = build_crl(authority().root, authority().key, [entry], STAMP, **options)  # type: ignore[arg-type]
        pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
        return self.write("list.crl", der), self.write("list.pem", pem)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


SHAPES = [{}, {"url": URL, "scope": "user"}]
"""A whole list, and a shard."""


@needs_openssl
@pytest.mark.parametrize("options", SHAPES)
def test_openssl_verifies_the_list(files: Files, options: dict[str, str]) -> None:
    der, _ = files.crl(**options)
    done = judge("openssl", "crl", "-inform", "DER", "-in", der, "-verify", "-CAfile", files.root, "-noout", "-text")
    assert b"verify OK" in done.stderr
    assert b"Key Compromise" in done.stdout


@needs_openssl
def test_openssl_refuses_the_revoked_certificate_and_no_other(files: Files) -> None:
    _, crl = files.crl()
    verify = "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-crl_check"
    anchors = "-CAfile", files.root, "-CRLfile", crl
    assert judge(*verify, *anchors, files.good).returncode == 0
    refused = judge(*verify, *anchors, files.revoked)
    assert refused.returncode != 0
    assert b"certificate revoked" in refused.stderr


@needs_openssl
def test_openssl_looks_a_certificate_up_in_the_shard_that_it_names_and_in_no_other(files: Files) -> None:
    issuer = Issued(authority().root, authority().key)
    leaves = [
        certificate(f"SN-{number}", issuer=issuer, extensions=((distribution_points(_url(number)), False),))
        for number in (0, 1)
    ]
    for listed, leaf in ((0, leaves[0]), (1, leaves[1])):
        entry = RevokedCertificate(leaf.certificate.serial_number, NOW - HOUR)
        der = build_crl(authority().root, authority().key, [entry], STAMP, url=_url(listed), scope="user")
        files.write(f"{listed}.pem", x509.load_der_x509_crl(der).public_bytes(Encoding.PEM))
    verify = "openssl", "verify", "-x509_strict", "-crl_check", "-extended_crl", "-CAfile", files.root
    own = judge(*verify, "-CRLfile", files.work / "0.pem", files.write("leaf.pem", leaves[0].pem))
    assert b"certificate revoked" in own.stderr
    other = judge(*verify, "-CRLfile", files.work / "1.pem", files.work / "leaf.pem")
    assert b"scope" in other.stderr or b"unable to get certificate CRL" in other.stderr, other


def _url(shard: int) -> str:
    return f"http://pki.example.test/crl/issuing/{shard}.crl"


@needs_certtool
@pytest.mark.parametrize("options", SHAPES)
def test_gnutls_verifies_the_list(files: Files, options: dict[str, str]) -> None:
    _, crl = files.crl(**options)
    done = judge("certtool", "--verify-crl", "--load-ca-certificate", files.root, "--infile", crl)
    assert done.returncode == 0, done
    assert b"Verified" in done.stdout + done.stderr
    assert b"Not verified" not in done.stdout + done.stderr


@needs_strongswan
def test_strongswan_refuses_the_revoked_certificate_and_no_other(files: Files) -> None:
    der, _ = files.crl()
    assert STRONGSWAN_PKI is not None
    verify = STRONGSWAN_PKI, "--verify", "--cacert", files.root, "--crl", der, "--in"
    good, revoked = judge(*verify, files.good), judge(*verify, files.revoked)
    assert (good.returncode, b"certificate trusted" in good.stdout) == (0, True), good
    assert revoked.returncode != 0
    assert b"revoked" in revoked.stdout + revoked.stderr


@needs_pkilint
@pytest.mark.parametrize("options", SHAPES)
def test_pkilint_finds_nothing_in_the_list(files: Files, options: dict[str, str]) -> None:
    der, _ = files.crl(**options)
    assert pkilint("lint_crl", "-t", "CRL", "-p", "PKIX", der) == []


# -- OCSP


def answers(signed_by: Issued) -> OCSPResponses:
    signer = OCSPSigner(authority().root, signed_by.certificate, signed_by.key)
    window = OCSPWindow(NOW - HOUR, NOW + 24 * HOUR)
    revoked, good = REVOKED.certificate.serial_number, GOOD.certificate.serial_number
    because = RevokedCertificate(revoked, NOW - HOUR, x509.ReasonFlags.superseded)
    presigned = {revoked: signer.presign(revoked, because, window), good: signer.presign(good, None, window)}
    return OCSPResponses(authority().root, presigned)


@needs_openssl
@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
@pytest.mark.parametrize("nonce", ["-nonce", "-no_nonce"])
def test_openssl_asks_and_believes_the_answer(files: Files, kind: str, digest: str, nonce: str) -> None:
    prepared = answers(responder(authority(), kind=kind))
    for subject, status in ((files.revoked, "revoked"), (files.good, "good")):
        request, response = files.work / "request.der", files.work / "response.der"
        about = digest, "-issuer", files.root, "-cert", subject
        judge("openssl", "ocsp", *about, nonce, "-reqout", request)
        response.write_bytes(prepared.answer(request.read_bytes(), NOW).der)
        done = judge("openssl", "ocsp", *about, "-no_nonce", "-respin", response, "-CAfile", files.root)
        assert b"Response verify OK" in done.stderr, done
        assert f"{subject}: {status}".encode() in done.stdout


@needs_openssl
def test_openssl_does_not_believe_an_answer_that_was_changed(files: Files) -> None:
    request, response = files.work / "request.der", files.work / "response.der"
    about = "-issuer", files.root, "-cert", files.revoked
    judge("openssl", "ocsp", *about, "-no_nonce", "-reqout", request)
    der = answers(responder(authority())).answer(request.read_bytes(), NOW).der
    position = der.index(b"\xa1\x16") + 4  # the time of the revocation
    response.write_bytes(der[:position] + b"1" + der[position + 1 :])
    done = judge("openssl", "ocsp", *about, "-no_nonce", "-respin", response, "-CAfile", files.root)
    assert b"Response Verify Failure" in done.stderr


@needs_pkilint
@needs_openssl
@pytest.mark.parametrize("certificate", ["revoked", "good"])
def test_pkilint_finds_nothing_in_the_answer(files: Files, certificate: str) -> None:
    request = files.work / "request.der"
    about = "-issuer", files.root, "-cert", files.work / f"{certificate}.pem"
    judge("openssl", "ocsp", *about, "-no_nonce", "-reqout", request)
    der = answers(responder(authority())).answer(request.read_bytes(), NOW).der
    assert pkilint("lint_ocsp_response", files.write("response.der", der)) == []


# -- hash data


@needs_openssl
def test_hash_data_is_what_openssl_asks_with(files: Files) -> None:
    done = judge(
        "openssl",
        "ocsp",
        "-sha256",
        "-issuer",
        files.root,
        "-cert",
        files.good,
        "-req_text",
        "-no_nonce",
        "-reqout",
        "-",
    )
    text = done.stdout.decode(errors="replace")
    found = [
        re.search(rf"{name}: ([0-9A-F]+)", text)[1]  # type: ignore[index]
        for name in ("Issuer Name Hash", "Issuer Key Hash", "Serial Number")
    ]
    ours = certificate_hash_data(GOOD.certificate, authority().root)
    assert [x.lower() for x in found[:2]] == [ours.issuer_name_hash, ours.issuer_key_hash]
    assert found[2].lower().lstrip("0") == ours.serial_number
