"""Who issues the listeners' own certificates; here, the issuing CA for servers of the embedded CA."""

import datetime
import secrets
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.background import in_background
from pki.acme.renewal_info import RenewalAdvice
from pki.approval import Operator
from pki.errors import PKIError
from pki.issuance import Application, IssuedCertificate
from pki.keys import KeyKind, PrivateKey, generate_key
from pki.names import Subject
from pki.opened import issuance_in_turn
from pki.profiles import CSMS

__all__ = ["CertificateNotHad", "EmbeddedSource", "Made", "OwnCertificateSource", "request_for_names"]

_TURN_S: Final = 15.0
Made = tuple[tuple[x509.Certificate, ...], PrivateKey]


class CertificateNotHad(Exception):  # noqa: N818  names the state
    """No certificate, and why, in words for the operator."""


class OwnCertificateSource(Protocol):
    """A CA for servers."""

    async def issue(self, kind: KeyKind, replaced: x509.Certificate | None = None) -> Made:
        """A certificate with its issuers, leaf first, without the root, and its new key. Raises CertificateNotHad.

        `replaced`: the one before it, if this is a renewal.
        """

    async def renewal_advice(self, certificate: x509.Certificate) -> RenewalAdvice | None:
        """When the CA would like it to be renewed; None if that is left to us. Raises CertificateNotHad."""


class EmbeddedSource:
    """The embedded CA. Its journal has one writer at a time, so a moment of waiting is normal."""

    def __init__(self, directory: Path, names: tuple[str, ...], organization: str) -> None:
        self._directory = directory
        self._names = names
        self._organization = organization

    async def renewal_advice(self, certificate: x509.Certificate) -> RenewalAdvice | None:
        """It is left to us."""
        del certificate
        return None

    async def issue(self, kind: KeyKind, replaced: x509.Certificate | None = None) -> Made:
        """Beside the event loop, as are key generation and the waiting."""
        del replaced
        return await in_background(lambda: self._issued(kind))

    def _issued(self, kind: KeyKind) -> Made:
        key = generate_key(kind)
        try:
            issued = self._asked(request_for_names(key, self._names, self._organization))
        except (PKIError, OSError) as error:
            raise CertificateNotHad(str(error)) from None
        return (issued.certificate, *issued.chain), key

    def _asked(self, csr: str) -> IssuedCertificate:
        wanted = Application(
            profile=CSMS.name,
            subject=Subject(self._names[0], self._organization),
            applicant=Operator("gateway"),
            names=self._names,
        )
        with issuance_in_turn(self._directory, _now, _make_id, _TURN_S) as ca:
            ca.resume(_now())
            return ca.issue(ca.request(csr, wanted, _now()).id, _now())


def request_for_names(key: PrivateKey, names: tuple[str, ...], organization: str = "") -> str:
    """PEM: CN is the first name, all are alternative names."""
    parts = [x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])]
    if organization:
        parts.insert(0, x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(parts))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")


def _make_id() -> str:
    return secrets.token_hex(6)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
