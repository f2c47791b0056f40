"""What a certificate authority looks like to whoever wants a certificate for a charge point.

    BackendUnavailable   no answer, or none that settles anything, as that our credentials are not taken: ask again
                         later, nothing is decided about the request
    BackendMisbehaved    an answer that must not be used: a certificate that is not what was asked for. An alarm

A CA's "no" is no error: it is `Denied`, and `ByHand` where it is about a revocation.
"""

import datetime
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

__all__ = [
    "Backend",
    "BackendMisbehaved",
    "BackendUnavailable",
    "ByHand",
    "Denied",
    "Enrolled",
    "EnrollmentRequest",
    "Issued",
    "Pending",
    "RevocationAccepted",
    "RevocationAnswer",
    "RevocationSource",
    "printable_reason",
]

_MAX_REASON_CHARS = 200


class BackendUnavailable(Exception):  # noqa: N818  names the state
    """The CA gave no answer that settles anything. The text says why and holds no secret."""


class BackendMisbehaved(Exception):  # noqa: N818  names the state
    """The CA returned something that must not be used. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentRequest:
    """A certificate that is wanted. Names are the registry's; the CSR supplies nothing but the key."""

    csr: x509.CertificateSigningRequest
    """Its signature has been verified."""
    identity: str
    """For the CA's records, where it keeps any."""
    common_name: str
    organization: str
    idempotency_key: str
    """The same for every attempt at the same certificate."""
    min_validity: datetime.timedelta = datetime.timedelta(days=45)
    """A charge point renews a month before the end: with less it would do nothing else."""
    max_validity: datetime.timedelta = datetime.timedelta(days=825)

    @property
    def csr_pem(self) -> str:
        """As most interfaces want it."""
        return self.csr.public_bytes(Encoding.PEM).decode("ascii")


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that has passed every check: leaf first, then its issuers, without the root."""

    chain: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """The CA has not decided yet: ask again with the same request."""

    retry_after_s: float
    reference: str = ""
    """How the CA names the request, where it names it."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The CA refuses. Asking again would change nothing."""

    reason: str


Enrolled = Issued | Pending | Denied


@dataclass(frozen=True, slots=True)
class RevocationAccepted:
    """The CA has the certificate revoked, by this or since before."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """The CA, or the way to it, has no revocation, or refuses this one: somebody has to see to it there. `why`: for people."""

    why: str


RevocationAnswer = RevocationAccepted | ByHand


@dataclass(frozen=True, slots=True)
class RevocationSource:
    """Where the CA says whom it has revoked; empty where it does not."""

    crls: tuple[str, ...] = field(default=())
    ocsp: str = ""


class Backend(Protocol):
    """A CA."""

    async def enroll(self, request: EnrollmentRequest) -> Enrolled:
        """Ask for a certificate. Raises BackendUnavailable, BackendMisbehaved."""

    async def chain(self) -> tuple[x509.Certificate, ...]:
        """The CA's own certificates, in no order that could be relied on. Raises BackendUnavailable."""

    async def verify_access(self) -> bool:
        """True if the CA has taken our credentials; False if only a request for a certificate could tell.

        Raises BackendUnavailable.
        """

    async def revoke(self, certificate: x509.Certificate, reason: x509.ReasonFlags) -> RevocationAnswer:
        """Have one of its certificates revoked; asked again about the same one it answers the same. Raises BackendUnavailable."""

    def revocation_source(self) -> RevocationSource:
        """Where to learn whom it has revoked."""


def printable_reason(text: str) -> str:
    """A CA's own words on one line, without control characters and not too many: they end up in logs and events."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line[:_MAX_REASON_CHARS]
