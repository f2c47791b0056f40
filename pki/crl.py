"""Certificate revocation lists: sharded by serial number, numbered, each newer than the one before, built fast.

A shard holds the serial numbers with `shard_of(serial, shards)`; its address is in the certificates (CRLDP) and in the
list itself (IDP), so that a list of one shard cannot pass for that of another (RFC 5280, 6.3.3). Entries are encoded
here, because cryptography's builder takes quadratic time; everything else of the list is asn1crypto's.

What OpenSSL does decides the times: it ignores a newer list of the same second, and one from the future.
"""

import datetime
import math
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

from asn1crypto import core, crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509

from pki.der import INTEGER, SEQUENCE, element, utc_or_generalized_time
from pki.encoded import subject_name
from pki.keys import PrivateKey
from pki.revocation import REASON_CODES, RevokedCertificate, octets_of_serial
from pki.signatures import algorithm_der, require_own_key
from pki.signing import sign_tbs

__all__ = [
    "CRLScope",
    "CRLStamp",
    "CRLTooSoon",
    "build_crl",
    "distribution_points",
    "next_stamp",
    "shard_of",
]

CRLScope = Literal["all", "user", "ca"]
"""Which certificates of the issuer a list is about: all, end entities, CAs (RFC 5280, 5.2.5)."""

_MAX_NUMBER_BITS: Final = 159
_SECOND: Final = datetime.timedelta(seconds=1)
_REASON_EXTENSION: Final = bytes.fromhex("300c300a0603551d1504030a0100")
"""Extensions with one reason code, of which the last octet is replaced (RFC 5280, 5.3.1)."""


class CRLStamp(NamedTuple):
    """Number and times of a list. Kept by the caller for each shard, as the ground of the next one."""

    number: int
    this_update: datetime.datetime
    next_update: datetime.datetime


class CRLTooSoon(Exception):  # noqa: N818  names the state
    """No newer list can be made yet. `wait_s`: how long; much of it means that the clock was set back."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"the next revocation list can be made in {wait_s} s")
        self.wait_s = wait_s


def next_stamp(previous: CRLStamp | None, now: datetime.datetime, lifetime: datetime.timedelta) -> CRLStamp:
    """Number and times of the list after `previous`. Raises CRLTooSoon.

    Numbers grow by one; `this_update` is the whole second of `now`, and at least a second after the one before.
    """
    this_update = now.astimezone(datetime.UTC).replace(microsecond=0)
    if lifetime < _SECOND:
        raise ValueError("a revocation list must be valid for a second at least")
    if previous is None:
        return CRLStamp(1, this_update, this_update + lifetime)
    if this_update <= previous.this_update:
        missing = previous.this_update + _SECOND - now
        raise CRLTooSoon(math.ceil(missing.total_seconds()))
    return CRLStamp(previous.number + 1, this_update, this_update + lifetime)


def shard_of(serial_number: int, shards: int) -> int:
    """In which of `shards` lists (0 ..) a certificate is looked up."""
    return serial_number % shards


def distribution_points(url: str) -> x509.CRLDistributionPoints:
    """The extension of a certificate whose list is at `url`: exactly the name that the list itself carries."""
    name = x509.UniformResourceIdentifier(url)
    return x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])


def build_crl(
    issuer: x509.Certificate,
    key: PrivateKey,
    entries: Iterable[RevokedCertificate],
    stamp: CRLStamp,
    *,
    url: str = "",
    scope: CRLScope = "all",
) -> bytes:
    """A signed list in DER.

    `entries`: of this shard alone; of several about one certificate the earliest counts. `url`: where the list is
    published, as in the certificates' CRLDP; needed wherever there is more than one shard. Raises ValueError if the
    key is not the issuer's, the issuer may not sign lists, or a serial number is none.
    """
    require_own_key(issuer, key)
    _require_crl_sign(issuer)
    algorithm = asn1_x509.SignedDigestAlgorithm.load(algorithm_der(key))
    content: dict[str, Any] = {
        "version": "v2",
        "signature": algorithm,
        "issuer": asn1_x509.Name.load(subject_name(issuer)),
        "this_update": _time(stamp.this_update),
        "next_update": _time(stamp.next_update),
        "crl_extensions": _extensions(issuer, stamp.number, url, scope),
    }
    encoded = _entries(entries)
    if encoded:  # RFC 5280, 5.1.2.6: absent where there are none
        content["revoked_certificates"] = crl.RevokedCertificates.load(element(SEQUENCE, encoded))
    tbs = crl.TbsCertList(content).dump()
    signature = core.OctetBitString(sign_tbs(key, tbs)).dump()
    return element(SEQUENCE, tbs + algorithm.dump() + signature)


def _require_crl_sign(issuer: x509.Certificate) -> None:
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.crl_sign:
        raise ValueError("the issuer's key usage does not let it sign revocation lists")


def _time(time: datetime.datetime) -> asn1_x509.Time:
    return asn1_x509.Time.load(utc_or_generalized_time(time))


def _extensions(issuer: x509.Certificate, number: int, url: str, scope: CRLScope) -> list[dict[str, Any]]:
    if number <= 0 or number.bit_length() > _MAX_NUMBER_BITS:
        raise ValueError("a CRL number is positive and has at most 20 octets")
    found: list[dict[str, Any]] = [
        {"extn_id": "authority_key_identifier", "extn_value": {"key_identifier": _key_identifier(issuer)}},
        {"extn_id": "crl_number", "extn_value": number},
    ]
    if url or scope != "all":
        point: dict[str, Any] = {
            "only_contains_user_certs": scope == "user",
            "only_contains_ca_certs": scope == "ca",
        }
        if url:
            uri = asn1_x509.GeneralName("uniform_resource_identifier", url)
            point["distribution_point"] = asn1_x509.DistributionPointName("full_name", [uri])
        found.append({"extn_id": "issuing_distribution_point", "critical": True, "extn_value": point})
    return found


def _key_identifier(issuer: x509.Certificate) -> bytes:
    """As the issuer's certificate has it: by this a verifier tells the keys of one name apart."""
    try:
        return issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest


def _entries(entries: Iterable[RevokedCertificate]) -> bytes:
    """The revokedCertificates, sorted by serial number."""
    earliest: dict[int, RevokedCertificate] = {}
    for entry in entries:
        known = earliest.get(entry.serial_number)
        if known is None or entry.revoked_at < known.revoked_at:
            earliest[entry.serial_number] = entry
    return b"".join([_entry(earliest[serial]) for serial in sorted(earliest)])


def _entry(entry: RevokedCertificate) -> bytes:
    serial = octets_of_serial(entry.serial_number)
    code = REASON_CODES[entry.reason]
    # RFC 5280, 5.3.1: the extension should be absent rather than say unspecified.
    extensions = _REASON_EXTENSION[:-1] + bytes((code,)) if code else b""
    return element(SEQUENCE, element(INTEGER, serial) + utc_or_generalized_time(entry.revoked_at) + extensions)
