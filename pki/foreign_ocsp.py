"""OCSP as a client: the question about a certificate of another CA, and what may be believed of the answer (RFC 6960, 3.2)."""

import datetime
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.chains import is_issued_by
from pki.unreadable import UNREADABLE

__all__ = ["ForeignStatus", "OCSPRejected", "counts_instead", "ocsp_request", "read_ocsp_response"]

_CLOCK_SKEW: Final = datetime.timedelta(minutes=5)
_DEFAULT_LIFETIME: Final = datetime.timedelta(hours=1)
"""For an answer that does not say when there is newer information."""


class OCSPRejected(Exception):  # noqa: N818  names the outcome
    """The answer says nothing that counts. The text says why."""


@dataclass(frozen=True, slots=True)
class ForeignStatus:
    """What the issuer says of a certificate, and how long that holds."""

    revoked: bool
    until: datetime.datetime
    since: datetime.datetime
    """As of when the responder says it."""
    reason: str = ""
    """Why it is revoked, as in RFC 5280, where the responder says that."""

    @property
    def is_on_hold(self) -> bool:
        """Revoked, and that may be taken back (RFC 5280, 5.3.1)."""
        return self.revoked and self.reason == x509.ReasonFlags.certificate_hold.value


def counts_instead(before: ForeignStatus, after: ForeignStatus) -> bool:
    """True if what the issuer says now replaces what it said before.

    Revoked is for good, and only a hold is ever taken back: a responder that says otherwise has an old database. Whoever answers
    with something older than what is known says nothing, as answers can be replayed for as long as they are valid.
    """
    if not before.revoked:
        return True
    if not before.is_on_hold:
        return False
    return after.since > before.since or (after.revoked and not after.is_on_hold)


def ocsp_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The question, in DER. SHA-1, which every responder knows; it only names the issuer here."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303  a name
    return builder.build().public_bytes(Encoding.DER)


def read_ocsp_response(
    data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime.datetime | None
) -> ForeignStatus:
    """What the answer says of `certificate`; without `now`, what it said in its time. Raises OCSPRejected.

    1. It is a successful answer about this certificate of this issuer.
    2. The issuer has signed it, or a responder whom the issuer has delegated.
    3. It is neither from the future nor out of date, and says good or revoked.
    """
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OCSPRejected(f"the responder says {response.response_status.name.lower()}")
        # Step 1.
        _verify_subject(response, certificate, issuer)
        # Step 2.
        _verify_signature(response, _signer(response, issuer, now or response.this_update_utc))
        # Step 3.
        until = _verify_time(response, now or response.this_update_utc)
        status, since = response.certificate_status, response.this_update_utc
        reason = response.revocation_reason if status is ocsp.OCSPCertStatus.REVOKED else None
    except UNREADABLE:
        raise OCSPRejected("the answer cannot be read") from None
    if status is ocsp.OCSPCertStatus.UNKNOWN:
        raise OCSPRejected("the responder does not know the certificate")
    is_revoked = status is ocsp.OCSPCertStatus.REVOKED
    return ForeignStatus(is_revoked, until, since, "" if reason is None else reason.value)


def _verify_subject(response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    algorithm = response.hash_algorithm
    asked = ocsp.load_der_ocsp_request(
        ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm).build().public_bytes(Encoding.DER)
    )
    said = response.issuer_name_hash, response.issuer_key_hash, response.serial_number
    if said != (asked.issuer_name_hash, asked.issuer_key_hash, asked.serial_number):
        raise OCSPRejected("the answer is about another certificate")


def _signer(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime.datetime) -> x509.Certificate:
    """RFC 6960, 4.2.2.2: the issuer itself, or a certificate that it has issued for this purpose."""
    for candidate in (issuer, *response.certificates):
        if not _is_named(response, candidate):
            continue
        if candidate == issuer:
            return issuer
        if not is_issued_by(candidate, issuer):
            raise OCSPRejected("the responder's certificate is not its issuer's")
        if not candidate.not_valid_before_utc <= now <= candidate.not_valid_after_utc:
            raise OCSPRejected("the responder's certificate is not valid now")
        if not _is_delegated(candidate):
            raise OCSPRejected("the responder's certificate is not for OCSP")
        return candidate
    raise OCSPRejected("nobody known has signed the answer")


def _is_named(response: ocsp.OCSPResponse, candidate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return candidate.subject == response.responder_name
    return response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(candidate.public_key()).digest


def _is_delegated(candidate: x509.Certificate) -> bool:
    try:
        usages = candidate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usages


def _verify_signature(response: ocsp.OCSPResponse, signer: x509.Certificate) -> None:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    try:
        if algorithm is None or algorithm.name in {"md5", "sha1"}:
            raise OCSPRejected("the answer's signature is too weak")
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        else:
            raise OCSPRejected("the responder's key is of a kind that is not known")
    except InvalidSignature:
        raise OCSPRejected("the answer's signature is not its signer's") from None


def _verify_time(response: ocsp.OCSPResponse, now: datetime.datetime) -> datetime.datetime:
    start = response.this_update_utc
    until = response.next_update_utc or start + _DEFAULT_LIFETIME
    if start > now + _CLOCK_SKEW:
        raise OCSPRejected("the answer is from the future")
    if until < now:
        raise OCSPRejected("the answer is out of date")
    return until
