"""Revocation lists before the signer signs them: what they are, and that they are of its issuer and in their time."""

import datetime
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from pki.errors import Reason, Refused
from pki.issuer import Issuer, extension_value
from pki.records import RevocationReason
from pki.signing import unsigned_revocation_list
from pki.unreadable import UNREADABLE

__all__ = ["RevocationListBody", "read_revocation_list"]

_MAX_NUMBER_BITS: Final = 159
_CLOCK_TOLERANCE: Final = datetime.timedelta(minutes=5)
_LONGEST: Final = datetime.timedelta(days=100)
"""A list that is valid for longer would be an old list in somebody's hands for longer."""


_REASONS: Final = frozenset(each.value for each in RevocationReason)


@dataclass(frozen=True, slots=True)
class RevocationListBody:
    """What counts of a list. `scope`: the address in its issuing distribution point, empty without one."""

    number: int
    scope: str
    serials: frozenset[int]
    this_update: datetime.datetime


def read_revocation_list(tbs: bytes, issuer: Issuer, now: datetime.datetime) -> RevocationListBody:
    """A body that may be signed by `issuer` as far as the body alone tells. Raises Refused.

    Only what is known here may be in it: an extension can make an entry, or a whole list, say the opposite.
    """
    try:
        found = unsigned_revocation_list(tbs, issuer.public_key)
        if found.issuer != issuer.certificate.subject:
            raise ValueError("it is of another issuer")
        ends = found.next_update_utc
        if ends is None or not now < ends <= now + _LONGEST or found.last_update_utc > now + _CLOCK_TOLERANCE:
            raise ValueError("it is not in its time")
        number, scope = _extensions(found, issuer)
        serials = frozenset(_entry(entry) for entry in found)
        return RevocationListBody(number, scope, serials, found.last_update_utc)
    except (x509.ExtensionNotFound, *UNREADABLE) as error:
        raise Refused(Reason.CRL_BODY, str(error)) from None


def _extensions(found: x509.CertificateRevocationList, issuer: Issuer) -> tuple[int, str]:
    """Number and scope, if there is nothing else."""
    scope = ""
    for extension in found.extensions:
        match extension.value:
            case x509.CRLNumber():
                pass
            case x509.AuthorityKeyIdentifier() as authority:
                own = extension_value(issuer.certificate, x509.SubjectKeyIdentifier)
                if not isinstance(own, x509.SubjectKeyIdentifier) or authority.key_identifier != own.digest:
                    raise ValueError("its authority key identifier is not that of its issuer")
            case x509.IssuingDistributionPoint() as point:
                scope = _scope(point)
            case _:
                raise ValueError(f"it has extension {extension.oid.dotted_string}")
    number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    if not 0 <= number < 1 << _MAX_NUMBER_BITS:
        raise ValueError("its number does not fit 20 octets (RFC 5280, 5.2.3)")
    return number, scope


def _scope(point: x509.IssuingDistributionPoint) -> str:
    names = [name.value for name in point.full_name or () if isinstance(name, x509.UniformResourceIdentifier)]
    if point.relative_name is not None or len(names) != len(list(point.full_name or ())) or len(names) > 1:
        raise ValueError("its distribution point is not one address")
    if (
        point.only_contains_ca_certs
        or point.only_contains_attribute_certs
        or point.only_some_reasons
        or point.indirect_crl
    ):
        raise ValueError("it is not about certificates as this CA issues them")
    return str(names[0]) if names else ""


def _entry(entry: x509.RevokedCertificate) -> int:
    """Its serial number. removeFromCRL, a hold, or another CA's name would un-revoke what is on the list."""
    for extension in entry.extensions:
        if not isinstance(extension.value, x509.CRLReason) or extension.value.reason.value not in _REASONS:
            raise ValueError(f"the entry of {entry.serial_number:x} has something besides a reason for good")
    return entry.serial_number
