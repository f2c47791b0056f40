"""Revocation lists that the signer signs, and those it does not: old numbers, other issuers, and above all forgetful ones."""

import dataclasses
import datetime
from pathlib import Path

import pytest
from asn1crypto import core as core_types
from asn1crypto import crl as asn1_crl
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pki.chained_file import Position
from pki.crl import build_crl, next_stamp
from pki.errors import Reason, Refused
from pki.profiles import CHARGE_POINT
from pki.revocation import RevokedCertificate
from pki.signer.client import SignerClient
from pki.signer.core import SigningCore
from pki.signer.settings import load_issuers
from pki.signing import certificate_of, random_serial, unsigned_certificate
from pki.template import Publication
from tests.pki.hierarchy import DAY, NOW, Hierarchy, openssl_verify
from tests.pki.signer.test_core import CA as SHARED
from tests.pki.signer.test_core import body
from tests.pki.signer_directory import make_signer_directory, signer_process

CA: Hierarchy = SHARED
AT = Position(5, b"d" * 32)


def point(*names: str, **limits: bool) -> x509.IssuingDistributionPoint:
    given = {
        "only_contains_user_certs": True,
        "only_contains_ca_certs": False,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    addresses = [x509.UniformResourceIdentifier(name) for name in names]
    return x509.IssuingDistributionPoint(addresses or None, None, only_some_reasons=None, **(given | limits))


def crl(
    number: int,
    *serials: int,
    key=None,
    issuer=None,
    start=NOW,
    end=NOW + 7 * DAY,
    scope: str = "",
    algorithm=None,
    extensions=(),
    entry_extensions=(),
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name((issuer or CA.issuing).subject)
        .last_update(start)
        .next_update(end)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    if scope:
        builder = builder.add_extension(point(scope), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW)
        for extension in entry_extensions:
            entry = entry.add_extension(extension, critical=True)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), algorithm or hashes.SHA256())


def numbered(number: int) -> bytes:
    """A body with a number that cryptography would not write."""
    made = asn1_crl.CertificateList.load(crl(1).public_bytes(Encoding.DER))["tbs_cert_list"]
    for extension in made["crl_extensions"]:
        if extension["extn_id"].native == "crl_number":
            extension["extn_value"] = core_types.ParsableOctetString(core_types.Integer(number).dump())
    return bytes(made.dump(force=True))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_signer_directory(tmp_path, CA)


@pytest.fixture
def core(directory: Path):
    made = SigningCore(load_issuers(directory), directory / "signed", lambda: NOW)
    yield made
    made.close()


def revoked(core: SigningCore, position: int, **changes) -> int:
    """A certificate that is issued and revoked; its serial number."""
    tbs = body(**{"serial": random_serial(), **changes})
    core.sign("issuing", CHARGE_POINT.name, tbs, Position(position, b"x" * 32))
    serial = unsigned_certificate(tbs).serial_number
    core.remember(Position(position + 1, b"y" * 32), f"{serial:x}")
    return serial


def refusal(core: SigningCore, tbs: bytes, issuer: str = "issuing") -> Reason:
    with pytest.raises(Refused) as refused:
        core.sign_revocation_list(issuer, tbs)
    return refused.value.reason


def test_a_list_with_all_that_was_revoked_is_signed(core: SigningCore) -> None:
    first, second = revoked(core, 1), revoked(core, 3)
    body_of = crl(1, first, second, 4711).tbs_certlist_bytes
    signature = core.sign_revocation_list("issuing", body_of)
    CA.keys["issuing"].public_key().verify(signature, body_of, ec.ECDSA(hashes.SHA256()))


def test_one_that_forgets_is_not(core: SigningCore, directory: Path) -> None:
    first, second = revoked(core, 1), revoked(core, 3)
    assert refusal(core, crl(1, first).tbs_certlist_bytes) is Reason.CRL_FORGETS
    core.close()
    again = SigningCore(load_issuers(directory), directory / "signed", lambda: NOW)
    assert refusal(again, crl(1, second).tbs_certlist_bytes) is Reason.CRL_FORGETS
    again.sign_revocation_list("issuing", crl(1, first, second).tbs_certlist_bytes)
    again.close()


def test_what_has_expired_may_be_left_out(directory: Path) -> None:
    now = NOW
    core = SigningCore(load_issuers(directory), directory / "signed", lambda: now)
    short = revoked(core, 1, not_after=NOW + DAY)
    late = NOW + 2 * DAY
    tbs = crl(1, start=late, end=late + 7 * DAY).tbs_certlist_bytes
    assert refusal(core, crl(1).tbs_certlist_bytes) is Reason.CRL_FORGETS
    now = late
    core.sign_revocation_list("issuing", tbs)
    assert short
    core.close()


SECOND = datetime.timedelta(seconds=1)
SHARDS = Publication(crl_url="http://p.example/{shard}.crl", crl_shards=4)


def sharded(directory: Path, shards: int = 4, url: str = "http://p.example/{shard}.crl") -> SigningCore:
    """The core with its lists divided."""
    issuers = load_issuers(directory)
    issuer, key = issuers["issuing"]
    publication = Publication(crl_url=url, crl_shards=shards)
    issuers["issuing"] = (dataclasses.replace(issuer, publication=publication), key)
    return SigningCore(issuers, directory / "signed", lambda: NOW)


def test_numbers_only_rise_in_each_scope(directory: Path) -> None:
    core = sharded(directory)
    core.sign_revocation_list("issuing", crl(5).tbs_certlist_bytes)
    assert refusal(core, crl(5, start=NOW + SECOND).tbs_certlist_bytes) is Reason.CRL_NUMBER
    assert refusal(core, crl(4, start=NOW + SECOND).tbs_certlist_bytes) is Reason.CRL_NUMBER
    core.sign_revocation_list("issuing", crl(1, scope="http://p.example/1.crl").tbs_certlist_bytes)
    core.sign_revocation_list("issuing", crl(6, start=NOW + SECOND).tbs_certlist_bytes)
    core.close()
    again = sharded(directory)
    assert refusal(again, crl(6, start=NOW + 2 * SECOND).tbs_certlist_bytes) is Reason.CRL_NUMBER
    again.close()


def test_a_newer_number_of_an_older_time_is_not_signed(core: SigningCore, directory: Path) -> None:
    """OpenSSL goes on with the list of the later time."""
    core.sign_revocation_list("issuing", crl(1).tbs_certlist_bytes)
    assert refusal(core, crl(2, start=NOW - 10 * DAY).tbs_certlist_bytes) is Reason.CRL_TIME
    core.close()
    again = SigningCore(load_issuers(directory), directory / "signed", lambda: NOW)
    assert refusal(again, crl(2).tbs_certlist_bytes) is Reason.CRL_TIME
    again.sign_revocation_list("issuing", crl(2, start=NOW + SECOND).tbs_certlist_bytes)
    again.close()


def test_a_list_for_a_made_up_address_is_not_signed(core: SigningCore, directory: Path) -> None:
    assert refusal(core, crl(1, scope="http://evil.example/x.crl").tbs_certlist_bytes) is Reason.CRL_SCOPE
    core.close()
    divided = sharded(directory)
    assert refusal(divided, crl(1, scope="http://p.example/4.crl").tbs_certlist_bytes) is Reason.CRL_SCOPE
    divided.sign_revocation_list("issuing", crl(1, scope="http://p.example/3.crl").tbs_certlist_bytes)
    divided.close()


def test_other_shards_than_at_issue_do_not_unrevoke(directory: Path) -> None:
    core = sharded(directory)
    serial = revoked(core, 1, serial=8 << 155 | 1, publication=SHARDS)  # in 1.crl of four and of eight
    other = revoked(
        core, 3, serial=8 << 155 | 5, publication=SHARDS
    )  # in 1.crl of four, and it would be in 5.crl of eight
    core.close()
    again = sharded(directory, 8)
    assert refusal(again, crl(1, serial, scope="http://p.example/1.crl").tbs_certlist_bytes) is Reason.CRL_FORGETS
    again.sign_revocation_list("issuing", crl(1, serial, other, scope="http://p.example/1.crl").tbs_certlist_bytes)
    again.sign_revocation_list("issuing", crl(1, scope="http://p.example/5.crl").tbs_certlist_bytes)
    again.close()


def test_lists_at_an_address_that_only_old_certificates_name_are_still_signed(directory: Path) -> None:
    core = sharded(directory)
    serial = revoked(core, 1, serial=8 << 155 | 1, publication=SHARDS)
    core.close()
    moved = sharded(directory, 2, "http://new.example/{shard}.crl")
    assert refusal(moved, crl(1, scope="http://p.example/1.crl").tbs_certlist_bytes) is Reason.CRL_FORGETS
    moved.sign_revocation_list("issuing", crl(1, serial, scope="http://p.example/1.crl").tbs_certlist_bytes)
    assert refusal(moved, crl(1, scope="http://p.example/2.crl").tbs_certlist_bytes) is Reason.CRL_SCOPE
    moved.close()


AUTHORITY = x509.AuthorityKeyIdentifier.from_issuer_public_key
NAMED = x509.CertificateIssuer([x509.DirectoryName(CA.server_issuing.subject)])


@pytest.mark.parametrize(
    ("made", "is_signed"),
    [
        (crl(1, 4711, entry_extensions=[x509.CRLReason(x509.ReasonFlags.remove_from_crl)]), False),
        (crl(1, 4711, entry_extensions=[x509.CRLReason(x509.ReasonFlags.certificate_hold)]), False),
        (crl(1, 4711, entry_extensions=[NAMED]), False),
        (crl(1, 4711, entry_extensions=[x509.InvalidityDate(NOW)]), False),
        (crl(1, 4711, entry_extensions=[x509.CRLReason(x509.ReasonFlags.key_compromise)]), True),
        (crl(1, extensions=[x509.DeltaCRLIndicator(1)]), False),
        (crl(1, extensions=[x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")]), False),
        (crl(1, extensions=[AUTHORITY(CA.keys["root"].public_key())]), False),
        (crl(1, extensions=[AUTHORITY(CA.keys["issuing"].public_key())]), True),
        (crl(1, extensions=[point("http://p.example/1.crl", "http://p.example/2.crl")]), False),
        (crl(1, extensions=[point("http://p.example/1.crl")]), True),
        (crl(1, extensions=[point("http://p.example/1.crl", only_contains_user_certs=False)]), True),
        (crl(1, extensions=[point(only_contains_user_certs=False, only_contains_ca_certs=True)]), False),
        (crl(1, extensions=[point(only_contains_user_certs=False, only_contains_attribute_certs=True)]), False),
        (crl(1, extensions=[point("http://p.example/1.crl", indirect_crl=True)]), False),
    ],
    ids=[
        "removed", "hold", "of-another", "invalidity", "reason", "delta", "unknown", "other-key", "own-key", "two-addresses",
        "one-address", "all-certificates", "only-cas", "only-attributes", "indirect",
    ],
)  # fmt: skip
def test_nothing_is_in_a_list_that_could_make_it_say_the_opposite(directory: Path, made, is_signed: bool) -> None:
    core = sharded(directory)
    if is_signed:
        core.sign_revocation_list("issuing", made.tbs_certlist_bytes)
    else:
        assert refusal(core, made.tbs_certlist_bytes) is Reason.CRL_BODY
    core.close()


@pytest.mark.parametrize(
    "tbs",
    [
        b"",
        b"\x30\x00",
        crl(1, issuer=CA.server_issuing).tbs_certlist_bytes,
        crl(1, start=NOW - 2 * DAY, end=NOW - DAY).tbs_certlist_bytes,
        crl(1, start=NOW + datetime.timedelta(hours=1)).tbs_certlist_bytes,
        crl(1, end=NOW + 101 * DAY).tbs_certlist_bytes,
        crl(1, algorithm=hashes.SHA384()).tbs_certlist_bytes,
        numbered(1 << 159),
        numbered(10**5000),
        crl(1).tbs_certlist_bytes + b"\0",
        body(),
    ],
    ids=["empty", "nothing", "issuer", "past", "future", "long", "hash", "number", "huge", "more", "certificate"],
)
def test_what_is_no_list_of_this_issuer_in_its_time_is_not_signed(core: SigningCore, tbs: bytes) -> None:
    assert refusal(core, tbs) is Reason.CRL_BODY


def test_a_list_does_not_pass_for_a_certificate(core: SigningCore) -> None:
    with pytest.raises(Refused) as refused:
        core.sign("issuing", CHARGE_POINT.name, crl(1).tbs_certlist_bytes, AT)
    assert refused.value.reason is Reason.LINT
    assert refusal(core, crl(1).tbs_certlist_bytes, issuer="other") is Reason.ISSUER_UNKNOWN


@pytest.mark.integration
def test_the_key_of_a_running_signer_builds_lists_with_any_library(directory: Path) -> None:
    with signer_process(directory):
        client = SignerClient(directory / "socket")
        (issuer,) = [each for each in client.issuers() if each.name == "issuing"]
        key = client.revocation_key(issuer)
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        made = crl(1, 4711, key=key, start=now, end=now + DAY)
        assert made.is_signature_valid(issuer.public_key)
        with pytest.raises(Refused):
            crl(1, key=key, start=now, end=now + DAY)
        with pytest.raises(NotImplementedError):
            key.private_numbers()
        client.close()


@pytest.mark.integration
def test_openssl_believes_a_list_of_a_shard_that_a_running_signer_has_signed(directory: Path, tmp_path: Path) -> None:
    settings = directory / "issuing.toml"
    settings.write_text(
        settings.read_text() + '[publication]\ncrl_url = "http://p.example/{shard}.crl"\ncrl_shards = 4\n'
    )
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    with signer_process(directory):
        client = SignerClient(directory / "socket")
        (issuer,) = [each for each in client.issuers() if each.name == "issuing"]
        tbs = body(publication=issuer.publication)
        signature = client.sign("issuing", CHARGE_POINT.name, tbs, Position(1, b"x" * 32))
        leaf = x509.load_der_x509_certificate(certificate_of(tbs, signature))
        client.remember(Position(2, b"y" * 32), f"{leaf.serial_number:x}")
        url = issuer.publication.crl_url_of(leaf.serial_number)
        entry = RevokedCertificate(leaf.serial_number, now, x509.ReasonFlags.key_compromise)
        key = client.revocation_key(issuer)
        with pytest.raises(Refused) as refused:
            build_crl(issuer.certificate, key, [], next_stamp(None, now, DAY), url=url)
        assert refused.value.reason is Reason.CRL_FORGETS
        # Nothing of another shard is missing there.
        other = issuer.publication.crl_url_of(leaf.serial_number + 1)
        build_crl(issuer.certificate, key, [], next_stamp(None, now, DAY), url=other)
        made = build_crl(issuer.certificate, key, [entry], next_stamp(None, now, DAY), url=url)
        client.close()
    pem = tmp_path / "list.pem"
    pem.write_bytes(x509.load_der_x509_crl(made).public_bytes(Encoding.PEM))
    found = openssl_verify(tmp_path, leaf, [CA.issuing], CA.root, options=("-crl_check", "-CRLfile", str(pem)))
    assert "certificate revoked" in found
