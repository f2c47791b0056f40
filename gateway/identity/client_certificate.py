"""Certificate against identity: our own leaf policy, run after every TLS handshake, resumed ones too.

OpenSSL has verified the chain (in this handshake or in the one that is resumed); what it does not look at is here.
"""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.audit.event import printable
from gateway.identity.evidence import CertificateName, CertificateProof, RenewalOnly
from gateway.identity.record import ChargePointRecord
from gateway.identity.refusal import Reason, Refusal
from gateway.identity.trust import OWN_ROOTS, Chain, IssuerFacts, TrustBundle, may_vouch
from gateway.ocpp.unreadable import UNREADABLE
from gateway.ocpp.vocabulary import ChargePointId

__all__ = ["LeafCertificate", "parse_issuer", "parse_leaf", "verify_leaf"]

_MIN_RSA_BITS: Final = 2048
_MIN_EC_BITS: Final = 224
_HASHES: Final = frozenset({"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})


class LeafCertificate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The facts of a leaf certificate that the policy looks at. Parsed once, cached by its hash."""

    sha256: str
    spki_sha256: str
    issuer: str
    """RFC 4514 text of the issuer's name."""
    serial_number: str
    """Lower-case hex without leading zeroes."""
    common_names: tuple[str, ...]
    organizations: tuple[str, ...]
    not_before: float
    not_after: float
    key_kind: str
    key_bits: int
    signature_hash: str
    """Lower-case name; ``eddsa`` for signatures without a separate hash."""
    version_3: bool
    is_ca: bool
    client_auth: bool | None
    """None when there is no extended key usage, which A00.FR.514 recommends."""
    digital_signature: bool | None
    crl_points: frozenset[str] = frozenset()
    """Where its issuer publishes the revocation list that would name it; mostly addresses."""


def _key(public_key: object) -> tuple[str, int]:
    if isinstance(public_key, rsa.RSAPublicKey):
        return "rsa", public_key.key_size
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return "ec", public_key.curve.key_size
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "ed25519", 256
    if isinstance(public_key, ed448.Ed448PublicKey):
        return "ed448", 448
    return "other", 0


def _extension(certificate: x509.Certificate, kind: type) -> object | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _texts(name: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(attribute.value) for attribute in name.get_attributes_for_oid(oid))


def _crl_points(points: object) -> frozenset[str]:
    if not isinstance(points, x509.CRLDistributionPoints):
        return frozenset()
    return frozenset(_point_name(name) for point in points for name in point.full_name or ())


def _point_name(name: x509.GeneralName) -> str:
    """As `pki.foreign_crl` writes the names of a list's distribution point."""
    return name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else str(name.value)


def parse_leaf(der: bytes) -> LeafCertificate:
    """The facts of a certificate. Raises Refusal CERT_INVALID if it cannot be read without doubt."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        if certificate.serial_number <= 0:
            raise ValueError("a serial number that no revocation can name")
        public_key = certificate.public_key()
        kind, bits = _key(public_key)
        constraints = _extension(certificate, x509.BasicConstraints)
        usages = _extension(certificate, x509.ExtendedKeyUsage)
        usage = _extension(certificate, x509.KeyUsage)
        hash_algorithm = certificate.signature_hash_algorithm
        spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return LeafCertificate(
            sha256=hashlib.sha256(der).hexdigest(),
            spki_sha256=hashlib.sha256(spki).hexdigest(),
            issuer=certificate.issuer.rfc4514_string(),
            serial_number=format(certificate.serial_number, "x"),
            common_names=_texts(certificate.subject, NameOID.COMMON_NAME),
            organizations=_texts(certificate.subject, NameOID.ORGANIZATION_NAME),
            not_before=certificate.not_valid_before_utc.timestamp(),
            not_after=certificate.not_valid_after_utc.timestamp(),
            key_kind=kind,
            key_bits=bits,
            signature_hash=hash_algorithm.name.lower() if hash_algorithm is not None else "eddsa",
            version_3=certificate.version is x509.Version.v3,
            is_ca=isinstance(constraints, x509.BasicConstraints) and constraints.ca,
            client_auth=ExtendedKeyUsageOID.CLIENT_AUTH in usages
            if isinstance(usages, x509.ExtendedKeyUsage)
            else None,
            digital_signature=usage.digital_signature if isinstance(usage, x509.KeyUsage) else None,
            crl_points=_crl_points(_extension(certificate, x509.CRLDistributionPoints)),
        )
    except UNREADABLE as error:
        raise Refusal(Reason.CERT_INVALID, f"certificate cannot be read: {type(error).__name__}") from None


def parse_issuer(der: bytes) -> IssuerFacts:
    """The facts of an issuer that OpenSSL has verified. Raises Refusal CERT_INVALID if it cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        name = CertificateName(
            hashlib.sha256(der).hexdigest(),
            certificate.issuer.rfc4514_string(),
            format(certificate.serial_number, "x"),
        )
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except UNREADABLE as error:
        raise Refusal(Reason.CERT_INVALID, f"issuer cannot be read: {type(error).__name__}") from None
    return IssuerFacts(name, not_before.timestamp(), not_after.timestamp())


def verify_leaf(
    leaf: LeafCertificate,
    record: ChargePointRecord,
    operator_names: tuple[str, ...],
    now: float,
    is_revoked: Callable[[CertificateName], bool],
    key_owner: ChargePointId | None,
    chain: Chain = Chain(),  # noqa: B008  frozen
    bundle: TrustBundle = OWN_ROOTS,
) -> CertificateProof:
    """Prove that this certificate is that of `record`'s charge point, now. Raises Refusal.

    1. Neither it nor an issuer is revoked (A00.FR.702-705), and all are within their validity; both matter most for
       resumed sessions. Only the leaf may have expired, where the registry says so until when (A00.FR.429).
    2. An end-entity certificate for client authentication (A00.FR.512, 514).
    3. Key and signature strong enough (A00.FR.501-506).
    4. O is exactly one of the operator names (A00.FR.404) that these roots may vouch for. None configured: nobody's.
    5. CN is exactly the registered serial number (A00.FR.405). None registered: nobody's.
    6. The key belongs to no other charge point (A00.FR.427).

    `operator_names`: the configured ones, for own roots, used where neither record nor bundle name any. `now`: seconds
    since the epoch. `key_owner`: to whom the registry has bound this key, None if to nobody. `chain`, `bundle`: who vouches.
    """
    # Step 1.
    if is_revoked(CertificateName(leaf.sha256, leaf.issuer, leaf.serial_number)):
        raise Refusal(Reason.CERT_REVOKED, f"serial {leaf.serial_number}")
    _verify_issuers(chain, now, is_revoked)
    renewal_only = _verify_time(leaf, record, chain, now)
    # Step 2.
    if leaf.is_ca or not leaf.version_3 or leaf.client_auth is False or leaf.digital_signature is False:
        raise Refusal(Reason.CERT_NOT_LEAF, f"serial {leaf.serial_number}")
    # Step 3.
    _verify_strength(leaf)
    # Step 4.
    if len(leaf.organizations) != 1 or not may_vouch(bundle, leaf.organizations[0], record, operator_names):
        shown = ", ".join(printable(name, 64) for name in leaf.organizations[:3]) or "none"
        raise Refusal(Reason.CERT_WRONG_OPERATOR, f"O is {shown}")
    # Step 5.
    if len(leaf.common_names) != 1 or not record.serial_number or leaf.common_names[0] != record.serial_number:
        shown = ", ".join(printable(name, 64) for name in leaf.common_names[:3]) or "none"
        expected = printable(record.serial_number, 64) if record.serial_number else "none"
        raise Refusal(Reason.CERT_WRONG_IDENTITY, f"CN is {shown}, the registered serial number is {expected}")
    # Step 6.
    if key_owner is not None and key_owner != record.charge_point_id:
        raise Refusal(Reason.CERT_KEY_SHARED, f"key {leaf.spki_sha256[:16]}")
    return CertificateProof(
        sha256=leaf.sha256,
        spki_sha256=leaf.spki_sha256,
        serial_number=leaf.serial_number,
        common_name=leaf.common_names[0],
        issuer=leaf.issuer,
        not_after=leaf.not_after,
        issuers=chain.below_anchor,
        trust=bundle.name,
        anchor=chain.anchor,
        organization=leaf.organizations[0],
        renewal_only=renewal_only or ("factory" if bundle.use == "manufacturer" else ""),
    )


def _verify_issuers(chain: Chain, now: float, is_revoked: Callable[[CertificateName], bool]) -> None:
    for revocable in chain.below_anchor:
        if is_revoked(revocable):
            raise Refusal(Reason.CERT_REVOKED, f"an issuer, serial {revocable.serial_number}")
    for issuer in chain.issuers:
        if now > issuer.not_after:
            raise Refusal(Reason.CERT_EXPIRED, f"an issuer, serial {issuer.name.serial_number}")
        if now < issuer.not_before:
            raise Refusal(Reason.CERT_NOT_YET_VALID, f"an issuer, serial {issuer.name.serial_number}")


def _verify_time(leaf: LeafCertificate, record: ChargePointRecord, chain: Chain, now: float) -> RenewalOnly:
    """A00.FR.429: an expired certificate opens the door to its own renewal, for this charge point and for a time."""
    if now < leaf.not_before:
        raise Refusal(Reason.CERT_NOT_YET_VALID, f"serial {leaf.serial_number}")
    if now <= leaf.not_after:
        return ""
    # Where TLS does not look at times, only the known chain says that the issuers are still good.
    if now >= record.expired_certificate_until or not chain.issuers:
        raise Refusal(Reason.CERT_EXPIRED, f"serial {leaf.serial_number}")
    return "expired"


def _verify_strength(leaf: LeafCertificate) -> None:
    strong = {
        "rsa": leaf.key_bits >= _MIN_RSA_BITS,
        "ec": leaf.key_bits >= _MIN_EC_BITS,
        "ed25519": True,
        "ed448": True,
    }.get(leaf.key_kind, False)
    if not strong or (leaf.signature_hash != "eddsa" and leaf.signature_hash not in _HASHES):
        raise Refusal(Reason.CERT_WEAK, f"{leaf.key_kind} {leaf.key_bits} bits, {leaf.signature_hash}")
