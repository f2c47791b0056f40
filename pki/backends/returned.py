"""What another CA returns is untrusted input: a compromised or misconfigured one must not make our charge points."""

import datetime
from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

from pki.backends.interface import BackendMisbehaved, EnrollmentRequest, Issued
from pki.chains import is_self_signed, ordered_chain, shaped
from pki.revocation import octets_of_serial
from pki.unreadable import UNREADABLE

__all__ = ["verified_answer"]

_CLOCK_SKEW: Final = datetime.timedelta(minutes=5)
_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
_MIN_RSA_BITS: Final = 2048
_MIN_EC_BITS: Final = 224
_MAX_CERTIFICATES: Final = 10


def verified_answer(
    certificates: Iterable[x509.Certificate],
    request: EnrollmentRequest,
    anchors: Iterable[x509.Certificate],
    now: datetime.datetime,
) -> Issued:
    """The certificates of an answer, in any order, as a chain that may be delivered. Raises BackendMisbehaved.

    1. Exactly one of them has the key of the CSR.
    2. It names this charge point and this operator, once each, and no DNS name (A00.FR.404, 405, 511).
    3. It is an end-entity certificate for client authentication, with a sound signature and serial number (A00.FR.50x).
    4. It is valid now, and for neither too short nor too long.
    5. It chains to one of `anchors`, the pinned roots of this backend; the rest of the answer is part of that chain.
    """
    given = list(certificates)
    if len(given) > _MAX_CERTIFICATES:
        raise BackendMisbehaved(f"{len(given)} certificates in one answer")
    try:
        # Step 1.
        leaf = _leaf(given, request)
        # Steps 2 to 4.
        _verify_names(leaf, request)
        _verify_purpose(leaf)
        _verify_validity(leaf, request, now)
        # Step 5.
        return Issued(_verified_chain(leaf, given, list(anchors), now))
    except (*UNREADABLE, crypto.Error) as error:
        raise BackendMisbehaved(f"a certificate that cannot be read: {error}") from None


def _leaf(given: list[x509.Certificate], request: EnrollmentRequest) -> x509.Certificate:
    key = request.csr.public_key()
    strong = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= _MIN_EC_BITS
    )
    if not strong:
        raise BackendMisbehaved("the key of the request is none that a charge point may have")
    found = {each for each in given if each.public_key() == key}
    if len(found) != 1:
        raise BackendMisbehaved(f"{len(found)} certificates with the key of the request, instead of one")
    return found.pop()


def _verify_names(leaf: x509.Certificate, request: EnrollmentRequest) -> None:
    for oid, wanted in (
        (NameOID.COMMON_NAME, request.common_name),
        (NameOID.ORGANIZATION_NAME, request.organization),
    ):
        values = [str(each.value) for each in leaf.subject.get_attributes_for_oid(oid)]
        if values != [wanted]:
            raise BackendMisbehaved(f"{oid._name} is {values}, and {wanted!r} was asked for")  # noqa: SLF001
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    if names.get_values_for_type(x509.DNSName) or names.get_values_for_type(x509.IPAddress):
        raise BackendMisbehaved("it has the name of a host, as a server's certificate would")


def _verify_purpose(leaf: x509.Certificate) -> None:
    octets_of_serial(leaf.serial_number)
    if leaf.version is not x509.Version.v3:
        raise BackendMisbehaved("not an X.509 version 3 certificate")
    algorithm = leaf.signature_hash_algorithm
    if algorithm is None or algorithm.name not in _HASHES:
        raise BackendMisbehaved(f"signed with {algorithm.name if algorithm else 'no hash that is known'}")
    found = {type(each.value): each.value for each in leaf.extensions}
    constraints, usage = found.get(x509.BasicConstraints), found.get(x509.KeyUsage)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        raise BackendMisbehaved("a CA certificate")
    usages = found.get(x509.ExtendedKeyUsage)
    if not isinstance(usages, x509.ExtendedKeyUsage) or set(usages) != {ExtendedKeyUsageOID.CLIENT_AUTH}:
        raise BackendMisbehaved("its extended key usage is not client authentication alone")
    if not isinstance(usage, x509.KeyUsage) or not usage.digital_signature:
        raise BackendMisbehaved("its key usage does not let it sign")


def _verify_validity(leaf: x509.Certificate, request: EnrollmentRequest, now: datetime.datetime) -> None:
    if leaf.not_valid_before_utc > now + _CLOCK_SKEW:
        raise BackendMisbehaved(f"not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC (A02.FR.06)")
    left = leaf.not_valid_after_utc - now
    if left < request.min_validity:
        raise BackendMisbehaved(f"valid for {left.days} days, less than {request.min_validity.days}")
    if left > request.max_validity:
        raise BackendMisbehaved(f"valid for {left.days} days, more than {request.max_validity.days}")


def _verified_chain(
    leaf: x509.Certificate,
    given: list[x509.Certificate],
    anchors: list[x509.Certificate],
    now: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    """In order, without the root; OpenSSL verifies it, name constraints and path lengths included."""
    others = [each for each in given if each not in anchors]
    chain = ordered_chain(leaf, others)
    if is_self_signed(chain[-1]):
        raise BackendMisbehaved("it chains to a root that is not pinned for this backend")
    store = crypto.X509Store()
    for anchor in anchors:
        store.add_cert(crypto.X509.from_cryptography(anchor))
    store.set_flags(crypto.X509StoreFlags.X509_STRICT)
    store.set_time(now.astimezone(datetime.UTC))
    untrusted = [crypto.X509.from_cryptography(each) for each in chain[1:]]
    try:
        crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), untrusted).verify_certificate()
    except crypto.X509StoreContextError as error:
        raise BackendMisbehaved(f"it does not chain to a root that is pinned for this backend: {error}") from None
    return shaped(chain, "leaf+subs")
