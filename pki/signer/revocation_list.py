"""Revocation lists before the signer signs them: what they are, and that they are of its issuer and in their time."""

import datetime
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from pki.errors import Reason, Refused
from pki.issuer import Issuer
from pki.signing import unsigned_revocation_list

__all__ = ["RevocationListBody", "read_revocation_list"]

_CLOCK_TOLERANCE: Final = datetime.timedelta(minutes=5)
_LONGEST: Final = datetime.timedelta(days=100)
"""A list that is valid for longer would be an old list in somebody's hands for longer."""


@dataclass(frozen=True, slots=True)
class RevocationListBody:
    """What counts of a list. `scope`: the address in its issuing distribution point, empty without one."""

    number: int
    scope: str
    serials: frozenset[int]


def read_revocation_list(tbs: bytes, issuer: Issuer, now: datetime.datetime) -> RevocationListBody:
    """A body that may be signed by `issuer` as far as the body alone tells. Raises Refused."""
    try:
        found = unsigned_revocation_list(tbs, issuer.public_key)
        if found.issuer != issuer.certificate.subject:
            raise ValueError("it is of another issuer")
        ends = found.next_update_utc
        if ends is None or not now < ends <= now + _LONGEST or found.last_update_utc > now + _CLOCK_TOLERANCE:
            raise ValueError("it is not in its time")
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        return RevocationListBody(number, _scope(found), frozenset(entry.serial_number for entry in found))
    except (ValueError, x509.ExtensionNotFound, x509.InvalidVersion, x509.DuplicateExtension) as error:
        raise Refused(Reason.CRL_BODY, str(error)) from None


def _scope(found: x509.CertificateRevocationList) -> str:
    try:
        point = found.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return ""
    names = [name.value for name in point.full_name or () if isinstance(name, x509.UniformResourceIdentifier)]
    if len(names) != 1 and (names or point.full_name):
        raise ValueError("its distribution point is not one address")
    if (
        point.only_contains_ca_certs
        or point.only_contains_attribute_certs
        or point.only_some_reasons
        or point.indirect_crl
    ):
        raise ValueError("it is not about certificates as this CA issues them")
    return str(names[0]) if names else ""
