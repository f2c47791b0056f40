"""The decision to sign, on the side that has the keys. It believes nothing that it is told except the bytes to be signed.

For every order, in this order:

(1) the issuer exists here and issues certificates of the profile
(2) the body is that of exactly one certificate, with the issuer's own signature algorithm
(3) its names are ones that this issuer certifies
(4) it ends neither later than its profile permits, counted from now, nor before now
(5) the linter finds nothing
(6) the serial number is new, or the body is the one that was ordered under it before; the journal is not an older one
(7) the order is written to the signer's own list, and on the disk
(8) signature, written to the list, and on the disk

A second order for the same body gets the signature that is on the list: there is at most one certificate per serial number.
"""

import datetime
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from pki.chained_file import START, ChainedFile, Position
from pki.errors import JournalDamaged, Misconfigured, Reason, Refused
from pki.issuer import Issuer, extension_value
from pki.keys import PrivateKey
from pki.lint import lint
from pki.names import Subject
from pki.profiles import CertificateProfile
from pki.signatures import sign
from pki.signer.protocol import SignedEntry
from pki.signer.revocation_list import read_revocation_list
from pki.signing import unsigned_certificate, verify_algorithm

__all__ = ["SigningCore"]

_LISTED_AT_ONCE: Final = 500
_UNREADABLE: Final = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_CLOCK_TOLERANCE: Final = datetime.timedelta(minutes=5)


class _Ordered(msgspec.Struct, frozen=True, tag="ordered", tag_field="record", forbid_unknown_fields=True):
    at: datetime.datetime
    serial: str
    issuer: str
    profile: str
    tbs: bytes
    journal: Position


class _Signed(msgspec.Struct, frozen=True, tag="signed", tag_field="record", forbid_unknown_fields=True):
    at: datetime.datetime
    serial: str
    signature: bytes


class _ListSigned(msgspec.Struct, frozen=True, tag="crl", tag_field="record", forbid_unknown_fields=True):
    at: datetime.datetime
    issuer: str
    scope: str
    number: int
    tbs_sha256: bytes


class _Remembered(msgspec.Struct, frozen=True, tag="remembered", tag_field="record", forbid_unknown_fields=True):
    at: datetime.datetime
    journal: Position
    revoked: str = ""


_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_MAX_SERIAL_DIGITS: Final = 40
_ListRecord = _Ordered | _Signed | _ListSigned | _Remembered


class SigningCore:
    """The keys, the list, and the decision. One thread at a time."""

    def __init__(
        self,
        issuers: dict[str, tuple[Issuer, PrivateKey]],
        list_path: Path,
        clock: Callable[[], datetime.datetime],
    ) -> None:
        """Raises Misconfigured, JournalDamaged, JournalInUse, OSError."""
        for issuer, key in issuers.values():
            if key.public_key() != issuer.public_key:
                raise Misconfigured(f"issuing CA {issuer.name}: the key does not belong to its certificate")
        self._issuers = issuers
        self._clock = clock
        self._ordered: dict[int, int] = {}
        self._signed: dict[int, int] = {}
        self._revoked: dict[int, tuple[str, datetime.datetime] | None] = {}
        self._crl_numbers: dict[tuple[str, str], int] = {}
        self.remembered = START
        """The furthest place of the journal that this signer has seen."""
        self._list: ChainedFile[_ListRecord] = ChainedFile(list_path, _ListRecord, self._apply)

    @property
    def issuers(self) -> list[Issuer]:
        """All issuing CAs."""
        return [issuer for issuer, _ in self._issuers.values()]

    @property
    def signed_count(self) -> int:
        """How many serial numbers have been signed, ever."""
        return len(self._signed)

    def close(self) -> None:
        """Lets another process have the list."""
        self._list.close()

    def sign(self, issuer_name: str, profile_name: str, tbs: bytes, journal: Position) -> bytes:
        """The signature. Raises Refused, OSError; after an OSError nothing has been signed, or the same order may be repeated."""
        # Step 1.
        if issuer_name not in self._issuers:
            raise Refused(Reason.ISSUER_UNKNOWN, issuer_name)
        issuer, key = self._issuers[issuer_name]
        profile = issuer.profile(profile_name)
        # Steps 2 to 5.
        certificate = self._checked(issuer, profile, tbs)
        # Step 6.
        serial = certificate.serial_number
        if serial in self._ordered and self._order(serial).tbs != tbs:
            raise Refused(Reason.SERIAL_USED, f"{serial:x}")
        if serial in self._signed:
            return self._signature(serial)
        self._verify_forward(journal)
        # Step 7.
        if serial not in self._ordered:
            self._list.append(_Ordered(self._clock(), f"{serial:x}", issuer_name, profile_name, tbs, journal))
        # Step 8.
        signature = sign(key, tbs)
        self._list.append(_Signed(self._clock(), f"{serial:x}", signature))
        return signature

    def sign_revocation_list(self, issuer_name: str, tbs: bytes) -> bytes:
        """The signature over a list's body, if it is newer than the one before and forgets nothing. Raises Refused, OSError."""
        if issuer_name not in self._issuers:
            raise Refused(Reason.ISSUER_UNKNOWN, issuer_name)
        issuer, key = self._issuers[issuer_name]
        now = self._clock()
        found = read_revocation_list(tbs, issuer, now)
        before = self._crl_numbers.get((issuer_name, found.scope), 0)
        if found.number <= before:
            raise Refused(Reason.CRL_NUMBER, f"{found.number} after {before}")
        for serial in self._revoked:
            facts = self._facts(serial)
            if facts is None or facts[0] != issuer_name or facts[1] <= now or serial in found.serials:
                continue
            if not found.scope or issuer.publication.crl_url_of(serial) == found.scope:
                raise Refused(Reason.CRL_FORGETS, f"{serial:x}")
        digest = hashlib.sha256(tbs).digest()
        self._list.append(_ListSigned(now, issuer_name, found.scope, found.number, digest))
        return sign(key, tbs)

    def remember(self, journal: Position, revoked: str = "") -> None:
        """Never to believe a journal that has not got here, nor a list without `revoked`. Raises Refused, OSError."""
        self._verify_forward(journal)
        if not set(revoked) <= _HEX_DIGITS or len(revoked) > _MAX_SERIAL_DIGITS:
            raise Refused(Reason.LINT, "what is to be remembered is no serial number")  # it could never be read again
        if journal != self.remembered:
            self._list.append(_Remembered(self._clock(), journal, revoked))

    def _facts(self, serial: int) -> tuple[str, datetime.datetime] | None:
        """Issuer and end of a certificate that was revoked; None for one that was never signed here."""
        if self._revoked[serial] is None and serial in self._ordered:
            order = self._order(serial)
            self._revoked[serial] = (order.issuer, unsigned_certificate(order.tbs).not_valid_after_utc)
        return self._revoked[serial]

    def listed(self, start: int) -> tuple[list[SignedEntry], int]:
        """Orders from number `start` on, oldest first, and where to go on (0: that was all)."""
        wanted = list(itertools.islice(self._ordered, start, start + _LISTED_AT_ONCE))
        entries = [
            SignedEntry(
                f"{serial:x}",
                self._order(serial).issuer,
                self._order(serial).tbs,
                self._signature(serial) if serial in self._signed else b"",
            )
            for serial in wanted
        ]
        end = start + len(wanted)
        return entries, end if end < len(self._ordered) else 0

    def _order(self, serial: int) -> _Ordered:
        record = self._list.read(self._ordered[serial])
        assert isinstance(record, _Ordered)
        return record

    def _signature(self, serial: int) -> bytes:
        record = self._list.read(self._signed[serial])
        assert isinstance(record, _Signed)
        return record.signature

    def _verify_forward(self, journal: Position) -> None:
        seen = self.remembered
        if journal.sequence < seen.sequence or (journal.sequence == seen.sequence and journal.digest != seen.digest):
            raise Refused(Reason.JOURNAL_STEP_BACK, f"{journal.sequence} after {seen.sequence}")

    def _checked(self, issuer: Issuer, profile: CertificateProfile, tbs: bytes) -> x509.Certificate:
        # Step 2.
        try:
            certificate = unsigned_certificate(tbs)
            verify_algorithm(certificate, issuer.public_key)
            subject, hosts = _subject_of(certificate), _hosts_of(certificate)
        except (ValueError, *_UNREADABLE) as error:
            raise Refused(Reason.LINT, str(error)) from None
        # Step 3.
        issuer.verify_names(profile, subject, hosts)
        # Step 4.
        now = self._clock()
        end = certificate.not_valid_after_utc
        if not now < end <= now + profile.lifetime + _CLOCK_TOLERANCE:
            raise Refused(Reason.LINT, f"ends at {end}")
        # Step 5.
        findings = lint(certificate, profile, issuer=issuer.certificate)
        if findings:
            raise Refused(Reason.LINT, "; ".join(f"{finding.code}: {finding.text}" for finding in findings))
        return certificate

    def _apply(self, record: _ListRecord, sequence: int) -> None:
        match record:
            case _Ordered():
                serial = int(record.serial, 16)
                if serial in self._ordered:
                    raise JournalDamaged(f"the signer's list orders serial number {record.serial} twice")
                self._ordered[serial] = sequence
                self._seen(record.journal)
            case _Signed():
                self._signed[int(record.serial, 16)] = sequence
            case _ListSigned():
                self._crl_numbers[record.issuer, record.scope] = record.number
            case _Remembered():
                self._seen(record.journal)
                if record.revoked:
                    self._revoked[int(record.revoked, 16)] = None

    def _seen(self, journal: Position) -> None:
        if journal.sequence >= self.remembered.sequence:
            self.remembered = journal


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
