"""Names in certificates: what a subject may be made of. They come from the registry; a request is only compared with them."""

import ipaddress
import re
import unicodedata
from typing import Final

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from pki.errors import Reason, Refused

__all__ = [
    "Subject",
    "reads_as_host_name",
    "verify_charge_point_name",
    "verify_host_name",
    "verify_organization",
    "verify_text",
]

_MAX_CHARACTERS: Final = 64
"""ub-common-name and ub-organization-name of X.520."""
_CHARGE_POINT_NAME: Final = re.compile(r"[A-Za-z0-9*_=:+|@.-][A-Za-z0-9 *_=:+|@.-]*")
"""identifierString of OCPP 2.0.1, and spaces between: serial numbers are identities with most."""
_PORT: Final = re.compile(r":\d{1,5}")
_LABEL: Final = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+(?!\d+$){_LABEL}")
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What OpenSSL takes for a host name when it applies name constraints to a CN: two labels or more.
_DNS_LIKE_LABEL: Final = "[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_DNS_LIKE: Final = re.compile(rf"(?:{_DNS_LIKE_LABEL}\.)+{_DNS_LIKE_LABEL}")


class Subject(msgspec.Struct, frozen=True, gc=False):
    """A subject: CN and O; OU for development certificates; C and DC where ISO 15118-2 asks for them."""

    common_name: str
    organization: str
    unit: str = ""
    country: str = ""
    domain_component: str = ""

    def name(self) -> x509.Name:
        """As an X.509 name. O comes first where there is no C: name constraints permit by the beginning of a name."""
        parts = (
            (NameOID.COUNTRY_NAME, self.country),
            (NameOID.ORGANIZATION_NAME, self.organization),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, self.unit),
            (NameOID.COMMON_NAME, self.common_name),
            (NameOID.DOMAIN_COMPONENT, self.domain_component),
        )
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])


def verify_text(value: str) -> None:
    """Refuses what could show one name and mean another. Raises Refused."""
    for character in value:
        category = unicodedata.category(character)
        if character in _BIDI:
            raise Refused(Reason.NAME_BIDI_CHARACTER, f"U+{ord(character):04X}")
        if category in {"Cc", "Zl", "Zp"}:
            raise Refused(Reason.NAME_CONTROL_CHARACTER, f"U+{ord(character):04X}")
        if category[0] == "C":
            raise Refused(Reason.NAME_CHARACTER, f"U+{ord(character):04X}")


def _verify_length(value: str) -> None:
    if not value.strip():
        raise Refused(Reason.NAME_EMPTY)
    if len(value) > _MAX_CHARACTERS:
        raise Refused(Reason.NAME_TOO_LONG, f"{len(value)} characters")


def verify_organization(value: str) -> None:
    """O: any text that is what it looks like. Raises Refused."""
    _verify_length(value)
    verify_text(value)
    if value != value.strip():
        raise Refused(Reason.NAME_CHARACTER, "a space at the beginning or the end")


def verify_charge_point_name(value: str) -> None:
    """CN of a charge point: a serial number, not in the form of a URL or an IP address (A00.FR.511). Raises Refused."""
    _verify_length(value)
    verify_text(value)
    if "://" in value or value.lower().startswith("www."):
        raise Refused(Reason.NAME_IS_ADDRESS, value)
    try:
        ipaddress.ip_address(_PORT.sub("", value) if value.count(":") == 1 else value)
    except ValueError:
        pass
    else:
        raise Refused(Reason.NAME_IS_ADDRESS, value)
    # `A+O=B` would read as two parts of a name wherever names are shown as text.
    if not _CHARGE_POINT_NAME.fullmatch(value) or value != value.strip() or {"+", "="} <= set(value):
        raise Refused(Reason.NAME_CHARACTER, value)


def reads_as_host_name(value: str) -> bool:
    """True if OpenSSL, applying DNS name constraints, would take a CN for a host name. A single label is none."""
    return _DNS_LIKE.fullmatch(value) is not None


def verify_host_name(value: str) -> None:
    """CN or alternative name of a server: a fully qualified host name (A00.FR.510); no wildcard. Raises Refused."""
    _verify_length(value)
    verify_text(value)
    if not _HOST_NAME.fullmatch(value):
        raise Refused(Reason.NAME_NOT_A_HOST_NAME, value)
