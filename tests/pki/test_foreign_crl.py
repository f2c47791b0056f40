"""Lists of other CAs: what is believed, and why a list is not. openssl makes one as well."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from pki.crl import CRLStamp, build_crl
from pki.foreign_crl import CRLRejected, ForeignCRL, read_crl
from pki.revocation import RevokedCertificate
from tests.support.hierarchy import certificate
from tests.support.judges import judge, needs_openssl
from tests.support.revocation_material import HOUR, authority, moment
from tests.support.tls_material import Authority, Issued

NOW = moment()
CA = authority()
ISSUERS = [Authority("Another CA").root, CA.root]
URL = "http://pki.example.test/0.crl"


def listed(*serials: int, number: int = 7, since: datetime.datetime = NOW, **options: Any) -> bytes:
    entries = [RevokedCertificate(serial, NOW, x509.ReasonFlags.key_compromise) for serial in serials]
    return build_crl(CA.root, CA.key, entries, CRLStamp(number, since, since + HOUR), **options)


def read(data: bytes, previous: ForeignCRL | None = None, now: datetime.datetime = NOW) -> ForeignCRL:
    return read_crl(data, ISSUERS, now, previous)


def rejected(data: bytes, previous: ForeignCRL | None = None, now: datetime.datetime = NOW) -> str:
    with pytest.raises(CRLRejected) as error:
        read(data, previous, now)
    return str(error.value)


def test_what_is_believed() -> None:
    found = read(listed(5, 1 << 150, url=URL, scope="user"))
    assert found.revoked == {5, 1 << 150}
    assert (found.number, found.this_update, found.next_update) == (7, NOW, NOW + HOUR)
    assert (found.issuer, found.points, found.scope) == (CA.root.subject.rfc4514_string(), frozenset({URL}), "user")
    assert found.signer == (CA.root.issuer.rfc4514_string(), format(CA.root.serial_number, "x"))


def test_pem_is_read_as_well() -> None:
    pem = x509.load_der_x509_crl(listed(5)).public_bytes(Encoding.PEM)
    assert read(b"\n" + pem).revoked == {5}


def test_a_list_is_about_the_certificates_of_its_shard_alone() -> None:
    whole, shard = read(listed()), read(listed(url=URL, scope="user"))
    issuer = CA.root.subject.rfc4514_string()
    assert whole.is_about(issuer, frozenset())
    assert shard.is_about(issuer, frozenset({URL, "http://other/"}))
    assert not shard.is_about(issuer, frozenset({"http://other/"}))
    assert not shard.is_about(issuer, frozenset())
    assert not whole.is_about("CN=Another", frozenset())
    assert not read(listed(scope="ca")).is_about(issuer, frozenset())


def test_one_that_has_expired_still_revokes() -> None:
    found = read(listed(5), now=NOW + 2 * HOUR)
    assert (found.revoked, found.next_update) == (frozenset({5}), NOW + HOUR)


def test_it_must_be_signed_by_an_issuer_of_the_bundle() -> None:
    other = Authority("Nobody")
    assert "not among" in rejected(build_crl(other.root, other.key, (), CRLStamp(1, NOW, NOW + HOUR)))
    namesake = Authority("Revoking CA")
    assert "signature" in rejected(build_crl(namesake.root, namesake.key, (), CRLStamp(1, NOW, NOW + HOUR)))


def test_an_issuer_that_may_not_sign_lists_is_not_believed() -> None:
    leaf = certificate("Leaf", issuer=Issued(CA.root, CA.key))
    builder = x509.CertificateRevocationListBuilder().issuer_name(leaf.certificate.subject)
    der = builder.last_update(NOW).next_update(NOW + HOUR).sign(leaf.key, hashes.SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(CRLRejected, match="may not sign"):
        read_crl(der, [leaf.certificate], NOW)


def test_nothing_older_takes_the_place_of_what_is_known() -> None:
    known = read(listed(5))
    assert "older" in rejected(listed(number=6), known)
    assert "older" in rejected(listed(number=8, since=NOW - HOUR), known)
    assert read(listed(number=7), known).number == 7
    assert read(listed(number=8, since=NOW + HOUR), known, NOW + HOUR).number == 8


def test_the_future_is_not_believed_but_a_clock_may_be_off_a_little() -> None:
    assert "future" in rejected(listed(since=NOW + datetime.timedelta(minutes=6)))
    assert read(listed(since=NOW + datetime.timedelta(minutes=4))).number == 7


def handmade(
    *extensions: tuple[x509.ExtensionType, bool], entry: tuple[x509.ExtensionType, bool] | None = None
) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(CA.root.subject).last_update(NOW)
    builder = builder.next_update(NOW + HOUR)
    revoked = x509.RevokedCertificateBuilder().serial_number(5).revocation_date(NOW)
    if entry is not None:
        revoked = revoked.add_extension(*entry)
    for extension in extensions:
        builder = builder.add_extension(*extension)
    return builder.add_revoked_certificate(revoked.build()).sign(CA.key, hashes.SHA256()).public_bytes(Encoding.DER)


def point(**changes: Any) -> x509.IssuingDistributionPoint:
    options: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**options, **changes})


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (handmade((x509.DeltaCRLIndicator(1), True)), "delta"),
        (handmade((point(indirect_crl=True), True)), "indirect"),
        (handmade((point(only_contains_attribute_certs=True), True)), "attribute"),
        (handmade((point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})), True)), "some reasons"),
        (handmade((UNKNOWN, True)), "1.2.3.4"),
        (handmade(entry=(UNKNOWN, True)), "entry"),
        (b"", "DER or PEM"),
        (b"-----BEGIN X509 CRL-----\n", "DER or PEM"),
        (listed(5)[:-1], "DER or PEM"),
        (CA.root.public_bytes(Encoding.DER), "DER or PEM"),
    ],
)
def test_a_list_that_does_not_say_everything_or_cannot_be_understood_is_not_used(data: bytes, why: str) -> None:
    assert why in rejected(data)


@pytest.mark.parametrize(
    "data",
    [
        handmade((UNKNOWN, False)),
        handmade(entry=(UNKNOWN, False)),
        handmade((point(only_contains_user_certs=True), True)),
        handmade(entry=(x509.CRLReason(x509.ReasonFlags.certificate_hold), False)),
        handmade(),
    ],
    ids=["extension", "entry", "scope", "hold", "no-number"],
)
def test_what_it_need_not_understand_does_not_stop_it(data: bytes) -> None:
    assert read(data).revoked == {5}


SIGNED_ONCE = listed(5, url=URL)


@given(st.data())
def test_a_damaged_list_is_rejected_and_nothing_else(data: st.DataObject) -> None:
    der = bytearray(SIGNED_ONCE)
    index = data.draw(st.integers(0, len(der) - 1))
    der[index] ^= data.draw(st.integers(1, 255))
    rejected(bytes(der))


@needs_openssl
def test_a_list_made_by_openssl_is_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(CA.pem)
    (tmp_path / "ca.key").write_bytes(Issued(CA.root, CA.key).key_pem)
    (tmp_path / "index.txt").write_text("R\t400101000000Z\t260101000000Z,keyCompromise\t0ABC\tunknown\t/CN=x\n")
    (tmp_path / "crlnumber").write_text("1001\n")
    (tmp_path / "ca.cnf").write_text(
        f"[ca]\ndefault_ca = d\n[d]\ndatabase = {tmp_path}/index.txt\ncrlnumber = {tmp_path}/crlnumber\n"
        "default_md = sha256\ndefault_crl_days = 1\n"
    )
    keys = "-cert", tmp_path / "ca.pem", "-keyfile", tmp_path / "ca.key"
    done = judge("openssl", "ca", "-config", tmp_path / "ca.cnf", "-gencrl", *keys, "-out", tmp_path / "list.pem")
    assert done.returncode == 0, done.stderr
    found = read((tmp_path / "list.pem").read_bytes(), now=moment() + datetime.timedelta(seconds=2))
    assert (found.number, found.revoked) == (0x1001, frozenset({0xABC}))
