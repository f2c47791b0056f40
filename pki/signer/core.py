"""The decision to sign, on the side that has the keys. It believes nothing that it is told except the bytes to be signed.

For every order, in this order:

(1) this very body was signed before: its signature is on the list
(2) the issuer exists here and issues certificates of the profile
(3) the body is that of exactly one certificate, with the issuer's own signature algorithm
(4) its names are ones that this issuer certifies
(5) the linter finds nothing; an OCSP responder's key was made here, and nobody else has it
(6) it ends neither later than its profile permits, counted from now, nor before now
(7) the serial number is new and not revoked, or the body is the one that was ordered under it before; the journal is not an
    older one
(8) the order is written to the signer's own list, and on the disk
(9) signature, checked, written to the list, and on the disk

A second order for the same body gets the signature that is on the list: there is at most one certificate per serial number.
"""

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from pki.blocked_keys import spki_sha256
from pki.chained_file import Position
from pki.errors import KeyFailed, Misconfigured, Reason, Refused
from pki.issuer import Issuer, crl_address, extension_value, names_publication
from pki.keys import PrivateKey, certificate_key, subject_key
from pki.lint import lint
from pki.names import Subject
from pki.ocsp import Presigned
from pki.profiles import CertificateProfile, SubjectKind
from pki.signatures import sign
from pki.signer.book import Listed, Ordered, SignerBook
from pki.signer.protocol import SignResponses
from pki.signer.responders import ResponderKeys, signed_responses
from pki.signer.revocation_list import RevocationListBody, read_revocation_list
from pki.signing import unsigned_certificate, verify_algorithm, verify_signature
from pki.unreadable import UNREADABLE

__all__ = ["SigningCore"]

_CLOCK_TOLERANCE: Final = datetime.timedelta(minutes=5)


class SigningCore:
    """The keys, the list, and the decision. One thread at a time."""

    def __init__(
        self,
        issuers: dict[str, tuple[Issuer, PrivateKey]],
        list_path: Path,
        clock: Callable[[], datetime.datetime],
        responders: ResponderKeys | None = None,
        *,
        whole: bool = True,
    ) -> None:
        """Raises Misconfigured, JournalDamaged, JournalInUse, OSError. `whole`: as `SignerBook` has it."""
        for issuer, key in issuers.values():
            if key.public_key() != issuer.public_key:
                raise Misconfigured(f"issuing CA {issuer.name}: the key does not belong to its certificate")
        self._issuers = issuers
        self._clock = clock
        self._responders = responders or ResponderKeys()
        self._authority_keys = {
            spki_sha256(certificate_key(each))
            for issuer, _ in issuers.values()
            for each in (issuer.certificate, *issuer.chain)
        }
        self._revoked: dict[int, _Facts | None] = {}
        self._scopes: set[tuple[str, str]] = set()
        self.book = SignerBook(list_path, whole=whole)

    @property
    def issuers(self) -> list[Issuer]:
        """All issuing CAs."""
        return [issuer for issuer, _ in self._issuers.values()]

    def close(self) -> None:
        """Lets another process have the list."""
        self.book.close()

    def sign(self, issuer_name: str, profile_name: str, tbs: bytes, journal: Position) -> bytes:
        """The signature.

        Raises Refused; KeyFailed, OSError: after those nothing has been signed, or the same order may be repeated.
        """
        # Step 1. Whatever has changed since, the certificate exists: it is not for us to say that it does not.
        certificate = _read(tbs)
        serial = certificate.serial_number
        ordered = self.book.order(serial)
        if ordered is not None and ordered.tbs != tbs:
            raise Refused(Reason.SERIAL_USED, f"{serial:x}")
        if ordered is not None and (before := self.book.signature(serial)):
            return before
        # Step 2.
        issuer, key = self._issuer(issuer_name)
        profile = issuer.profile(profile_name)
        # Steps 3 to 6.
        self._verify(issuer, profile, certificate)
        # Step 7.
        if self.book.is_revoked(serial):
            raise Refused(Reason.ALREADY_REVOKED, f"{serial:x}")
        self.book.verify_forward(journal)
        # Step 8.
        if ordered is None:
            self.book.add_order(Ordered(self._clock(), f"{serial:x}", issuer_name, profile_name, tbs, journal))
        # Step 9.
        signature = _signed(key, tbs)
        self.book.add_signature(serial, signature, self._clock())
        return signature

    def sign_revocation_list(self, issuer_name: str, tbs: bytes) -> bytes:
        """The signature over a list's body, if it is newer than the one before and forgets nothing.

        Raises Refused, KeyFailed, OSError.
        """
        issuer, key = self._issuer(issuer_name)
        now = self._clock()
        found = read_revocation_list(tbs, issuer, now)
        self._verify_scope(issuer, found.scope)
        self._verify_newer(issuer_name, found)
        for serial in self.book.revoked():
            if serial in found.serials:
                continue
            facts = self._facts(serial)
            if facts is None or facts.issuer != issuer_name or facts.ends <= now:
                continue
            # What the certificate itself says counts, not how lists are divided today.
            if not found.scope or facts.address == found.scope:
                raise Refused(Reason.CRL_FORGETS, f"{serial:x}")
        digest = hashlib.sha256(tbs).digest()
        self.book.add_list(Listed(now, issuer_name, found.scope, found.number, digest, found.this_update))
        return _signed(key, tbs)

    def new_responder(self, issuer_name: str) -> bytes:
        """A request (DER) for the certificate of an OCSP responder, with a key made for it. Raises Refused, OSError."""
        issuer, _ = self._issuer(issuer_name)
        return self._responders.request(issuer)

    def sign_responses(self, order: SignResponses) -> list[tuple[Presigned, ...]]:
        """OCSP responses, made here from what is to be said. Raises Refused."""
        issuer, _ = self._issuer(order.issuer)
        return signed_responses(order, issuer, self.book, self._responders, self._clock())

    def remember(self, journal: Position, revoked: str = "") -> None:
        """Never to believe a journal that has not got here, nor a list without `revoked`. Raises Refused, OSError."""
        self.book.remember(journal, revoked, self._clock())

    def _issuer(self, name: str) -> tuple[Issuer, PrivateKey]:
        if name not in self._issuers:
            raise Refused(Reason.ISSUER_UNKNOWN, name)
        return self._issuers[name]

    def _verify_scope(self, issuer: Issuer, scope: str) -> None:
        """A list is about everything, about a part as certificates are divided today, or as certificates say that exist."""
        if not scope or issuer.publication.has_crl_url(scope) or (issuer.name, scope) in self._scopes:
            return
        address = scope.encode()
        for order in self.book.orders():
            # First the bytes: there may be a hundred thousand.
            is_there = order.issuer == issuer.name and address in order.tbs
            if is_there and crl_address(unsigned_certificate(order.tbs)) == scope:
                self._scopes.add((issuer.name, scope))
                return
        raise Refused(Reason.CRL_SCOPE, scope)

    def _verify_newer(self, issuer_name: str, found: RevocationListBody) -> None:
        before = self.book.last_list(issuer_name, found.scope)
        if before is None:
            return
        if found.number <= before.number:
            raise Refused(Reason.CRL_NUMBER, f"{found.number} after {before.number}")
        if before.this_update is not None and found.this_update <= before.this_update:
            # OpenSSL goes on with the old list then.
            raise Refused(Reason.CRL_TIME, f"{found.this_update} after {before.this_update}")

    def _facts(self, serial: int) -> "_Facts | None":
        """Of a certificate that was revoked; None for one that was never signed here."""
        if self._revoked.get(serial) is None:
            order = self.book.order(serial)
            if order is None:
                return None
            certificate = unsigned_certificate(order.tbs)
            self._revoked[serial] = _Facts(order.issuer, certificate.not_valid_after_utc, crl_address(certificate))
        return self._revoked[serial]

    def _verify(self, issuer: Issuer, profile: CertificateProfile, certificate: x509.Certificate) -> None:
        # Step 3.
        try:
            verify_algorithm(certificate, issuer.public_key)
            subject, hosts = _subject_of(certificate), _hosts_of(certificate)
        except UNREADABLE as error:
            raise Refused(Reason.LINT, str(error)) from None
        # Step 4.
        if certificate.subject != subject.name():
            raise Refused(
                Reason.LINT, f"subject-part: {certificate.subject.rfc4514_string()} has more than one of a kind"
            )
        issuer.verify_names(profile, subject, hosts)
        # Step 5.
        findings = lint(certificate, profile, issuer=issuer.certificate)
        if findings:
            raise Refused(Reason.LINT, "; ".join(f"{finding.code}: {finding.text}" for finding in findings))
        if not names_publication(certificate, issuer.publication):
            raise Refused(Reason.LINT, "publication: it names other addresses than this issuing CA publishes at")
        key = spki_sha256(subject_key(certificate))
        if key in self._authority_keys:
            raise Refused(Reason.KEY_OF_AUTHORITY)
        if profile.subject is SubjectKind.RESPONDER:
            self._responders.key(issuer.name, key)
        # Step 6.
        now, end = self._clock(), certificate.not_valid_after_utc
        if end <= now:
            raise Refused(Reason.LINT, f"ends at {end}")
        if end > now + profile.lifetime + _CLOCK_TOLERANCE:
            raise Refused(
                Reason.CLOCK, f"it is {now:%Y-%m-%d %H:%M:%S} here, and {profile.lifetime} later is before {end}"
            )


@dataclass(frozen=True, slots=True)
class _Facts:
    """What counts of a revoked certificate. `address`: of the revocation list that it names."""

    issuer: str
    ends: datetime.datetime
    address: str


def _read(tbs: bytes) -> x509.Certificate:
    """The certificate that this is the body of. Raises Refused."""
    try:
        return unsigned_certificate(tbs)
    except UNREADABLE as error:
        raise Refused(Reason.LINT, str(error)) from None


def _signed(key: PrivateKey, tbs: bytes) -> bytes:
    """A signature that is one. A faulty one is written nowhere: it would stay, and with RSA it can give the key away."""
    signature = sign(key, tbs)
    try:
        verify_signature(key.public_key(), signature, tbs)
    except ValueError:
        raise KeyFailed("the key, or the hardware that has it, made a signature that is none") from None
    return signature


def _subject_of(certificate: x509.Certificate) -> Subject:
    def first(oid: x509.ObjectIdentifier) -> str:
        values = certificate.subject.get_attributes_for_oid(oid)
        return str(values[0].value) if values else ""

    return Subject(
        first(NameOID.COMMON_NAME),
        first(NameOID.ORGANIZATION_NAME),
        first(NameOID.ORGANIZATIONAL_UNIT_NAME),
        first(NameOID.COUNTRY_NAME),
        first(NameOID.DOMAIN_COMPONENT),
    )


def _hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    names = extension_value(certificate, x509.SubjectAlternativeName)
    return tuple(names.get_values_for_type(x509.DNSName)) if isinstance(names, x509.SubjectAlternativeName) else ()
