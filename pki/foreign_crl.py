"""Revocation lists of other CAs: read, and believed only if everything about them holds (RFC 5280, 6.3).

Whatever is wrong with a list is a CRLRejected, and the list before it stays in use: a list that cannot be believed must
neither un-revoke anybody nor refuse a fleet.
"""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from pki.crl import CRLScope
from pki.unreadable import UNREADABLE

__all__ = ["CRLRejected", "ForeignCRL", "read_crl"]

_CLOCK_SKEW: Final = datetime.timedelta(minutes=5)
_AROUND: Final = re.compile(r"\s*([,=+])\s*")
_PEM: Final = b"-----BEGIN"
_UNDERSTOOD: Final = (x509.IssuingDistributionPoint, x509.AuthorityKeyIdentifier, x509.CRLNumber, x509.FreshestCRL)


def _folded(name: str) -> str:
    """A name as RFC 5280, 7.1 compares it: neither case nor blanks at the ends, nor their number within, count."""
    return " ".join(_AROUND.sub(r"\1", name.casefold().replace("\\ ", " ")).split())


class CRLRejected(Exception):  # noqa: N818  names the outcome
    """The list is not used. The text says why, in words for an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCRL:
    """A list that was believed."""

    issuer: str
    """RFC 4514 text, for people."""
    folded_issuer: str
    signer: tuple[str, str]
    """Issuer (RFC 4514) and serial number (hex) of the CA certificate whose key has signed it."""
    number: int
    this_update: datetime.datetime
    next_update: datetime.datetime
    points: frozenset[str]
    """Of a shard: it is about certificates with one of these distribution points alone. Empty: about all."""
    scope: CRLScope
    revoked: frozenset[int]
    """Serial numbers."""

    def is_about(self, issuer: str, points: frozenset[str]) -> bool:
        """True if it would list an end-entity certificate of this issuer with these distribution points."""
        return (
            _folded(issuer) == self.folded_issuer
            and self.scope != "ca"
            and (not self.points or not self.points.isdisjoint(points))
        )

    def names(self, issuer: str, serial_number: str) -> bool:
        """True if it revokes the certificate with this issuer (RFC 4514 text) and serial number (hex)."""
        return int(serial_number, 16) in self.revoked and _folded(issuer) == self.folded_issuer


def read_crl(
    data: bytes, issuers: Iterable[x509.Certificate], now: datetime.datetime | None, previous: ForeignCRL | None = None
) -> ForeignCRL:
    """The list in `data`, DER or PEM. `previous`: what was believed from this source before. Raises CRLRejected.

    `now`: None for one that was believed before, whatever a clock that was set back says since.

    1. It is one list, complete and for certificates: no delta, no indirect one, none of some reasons only.
    2. One of `issuers` has signed it, and may.
    3. It is not from the future, says when the next one comes, and is no older than `previous`.
    4. It has no critical extension that is not understood, neither the list nor an entry.

    One that has expired is returned as well: what it revokes stays revoked.
    """
    try:
        return _believed(_parsed(data), issuers, now, previous)
    except UNREADABLE:  # cryptography reads the parts of a list when they are asked for
        raise CRLRejected("it cannot be read") from None


def _believed(
    crl: x509.CertificateRevocationList,
    issuers: Iterable[x509.Certificate],
    now: datetime.datetime | None,
    previous: ForeignCRL | None,
) -> ForeignCRL:
    # Step 1.
    point = _verify_kind(crl)
    # Step 2.
    issuer = _signer(crl, issuers)
    # Step 3.
    number = _verify_newer(crl, now, previous)
    next_update = crl.next_update_utc
    if next_update is None:
        raise CRLRejected("it does not say when the next one comes")
    # Step 4.
    revoked = _serials(crl)
    return ForeignCRL(
        issuer=crl.issuer.rfc4514_string(),
        folded_issuer=_folded(crl.issuer.rfc4514_string()),
        signer=(issuer.issuer.rfc4514_string(), format(issuer.serial_number, "x")),
        number=number,
        this_update=crl.last_update_utc,
        next_update=next_update,
        points=_points(point),
        scope=_scope(point),
        revoked=revoked,
    )


def _parsed(data: bytes) -> x509.CertificateRevocationList:
    try:
        if data.lstrip().startswith(_PEM):
            return x509.load_pem_x509_crl(data)
        return x509.load_der_x509_crl(data)
    except (ValueError, UnsupportedAlgorithm):
        raise CRLRejected("it is not a revocation list in DER or PEM") from None


def _verify_kind(crl: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    point = None
    for extension in crl.extensions:
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            raise CRLRejected("it is a delta list, which is of no use by itself")
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            raise CRLRejected(f"it has a critical extension that is not known: {extension.oid.dotted_string}")
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            point = extension.value
    if point is not None:
        if point.indirect_crl or point.only_contains_attribute_certs:
            raise CRLRejected("it is an indirect list, or one of attribute certificates")
        if point.only_some_reasons is not None:
            raise CRLRejected("it is a list of some reasons only")
        if point.relative_name is not None:
            raise CRLRejected("its distribution point is a relative name")
    return point


def _signer(crl: x509.CertificateRevocationList, issuers: Iterable[x509.Certificate]) -> x509.Certificate:
    issuer_name = _folded(crl.issuer.rfc4514_string())
    named = [issuer for issuer in issuers if _folded(issuer.subject.rfc4514_string()) == issuer_name]
    if not named:
        raise CRLRejected(f"its issuer is not among the bundle's certificates: {crl.issuer.rfc4514_string()}")
    for issuer in named:
        try:
            if crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
                break
        except (TypeError, ValueError, UnsupportedAlgorithm):
            continue
    else:
        raise CRLRejected("its signature is not its issuer's")
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return issuer
    if not usage.crl_sign:
        raise CRLRejected("its issuer may not sign revocation lists")
    return issuer


def _verify_newer(
    crl: x509.CertificateRevocationList, now: datetime.datetime | None, previous: ForeignCRL | None
) -> int:
    if now is not None and crl.last_update_utc > now + _CLOCK_SKEW:
        raise CRLRejected(f"it is from the future: {crl.last_update_utc:%Y-%m-%d %H:%M:%S} UTC")
    try:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        number = 0
    if previous is not None and (number < previous.number or crl.last_update_utc < previous.this_update):
        raise CRLRejected(f"it is older than the one in use: number {number}, there was {previous.number} already")
    return number


def _serials(crl: x509.CertificateRevocationList) -> frozenset[int]:
    """Every entry counts, also certificateHold: nobody is to enter while in doubt."""
    serials = []
    for entry in crl:
        if any(extension.critical for extension in entry.extensions):
            raise CRLRejected("an entry has a critical extension")
        serials.append(entry.serial_number)
    return frozenset(serials)


def _scope(point: x509.IssuingDistributionPoint | None) -> CRLScope:
    if point is None:
        return "all"
    return "user" if point.only_contains_user_certs else "ca" if point.only_contains_ca_certs else "all"


def _points(point: x509.IssuingDistributionPoint | None) -> frozenset[str]:
    if point is None or point.full_name is None:
        return frozenset()
    return frozenset(
        name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else str(name.value)
        for name in point.full_name
    )
