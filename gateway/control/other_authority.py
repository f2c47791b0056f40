"""Another CA in the place of the embedded one: the same questions, the same journal for requests and approvals.

What is approved is asked for, off the thread of the journal, and again for as long as the CA cannot be reached or has not
decided. What it returns is in the journal before anybody hears of it.
"""

import asyncio
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from gateway.config.model import PKI
from gateway.control.backends import anchors_of, backend_of
from gateway.control.certificate_authority import (
    Approved,
    Asked,
    CertificateAuthority,
    Outcome,
    Turned,
    Unavailable,
    Waiting,
)
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.enrolment import Given
from pki.backends.interface import (
    Backend,
    BackendMisbehaved,
    BackendUnavailable,
    Denied,
    EnrollmentRequest,
    Issued,
    Pending,
)
from pki.blocked_keys import spki_sha256
from pki.chains import is_issued_by
from pki.csr import csr_der
from pki.errors import Misconfigured
from pki.inventory import RequestEntry, RequestState
from pki.issuance import Issuance, IssuedCertificate
from pki.keys import certificate_key
from pki.registration_authority import MARK, RegistrationAuthority

__all__ = ["OtherAuthority", "authority_of"]

_AT_ONCE: Final = 8
"""Requests that the other CA is asked for at the same time."""
_log = structlog.get_logger("control.ca")


def authority_of(pki: PKI, owner_of: Callable[[str], ChargePointId | None]) -> CertificateAuthority | None:
    """The CA of a configuration, embedded or another; None where it has none."""
    if not pki.ca:
        return None
    return CertificateAuthority(Path(pki.ca), owner_of) if pki.backend == "embedded" else OtherAuthority(pki, owner_of)


class OtherAuthority(CertificateAuthority):
    """Whatever `[pki] backend` names."""

    def __init__(self, pki: PKI, owner_of: Callable[[str], ChargePointId | None]) -> None:
        super().__init__(Path(pki.ca), owner_of)
        self._pki = pki
        self._backend: Backend | None = None
        self._asking = asyncio.Semaphore(_AT_ONCE)

    @override
    def use(self, pki: PKI) -> None:
        """Files are read again before the next question."""
        self._pki, self._backend = pki, None

    @override
    async def ask(self, asked: Asked) -> Outcome:
        outcome = await super().ask(asked)
        if not isinstance(outcome, Approved):
            return outcome
        async with self._asking:
            return await self._enrolled(outcome.request, asked)

    async def _enrolled(self, request: str, asked: Asked) -> Outcome:
        try:
            self._backend = self._backend or backend_of(self._pki)
            answer = await self._backend.enroll(self._wanted(request, asked))
        except (BackendUnavailable, Misconfigured) as error:
            _log.warning("ca_unavailable", backend=self._pki.backend, why=str(error))
            return Unavailable(f"{self._pki.backend}: {error}")
        except BackendMisbehaved as error:
            return await self._turned(request, "ca-misbehaved", str(error))
        match answer:
            case Issued(chain=chain):
                return await self._work(lambda: self._received(request, chain))
            case Pending(retry_after_s=retry_after_s):
                return Waiting(request, retry_after_s)
            case Denied(reason=reason):
                return await self._turned(request, "denied-by-ca", reason)

    def _wanted(self, request: str, asked: Asked) -> EnrollmentRequest:
        return EnrollmentRequest(
            csr=x509.load_der_x509_csr(csr_der(asked.csr)),
            identity=asked.charge_point_id,
            common_name=asked.common_name,
            organization=asked.organization,
            idempotency_key=request,
            min_validity=datetime.timedelta(days=self._pki.min_validity_days),
            max_validity=datetime.timedelta(days=self._pki.max_validity_days),
        )

    async def _turned(self, request: str, code: str, why: str) -> Outcome:
        turned = await self._work(lambda: self._turned_down(request, f"{code}: {why}"))
        return turned if isinstance(turned, Unavailable) else Turned(code, why)

    # -- on the thread

    @override
    def _opened(self) -> Issuance:
        if not (self._directory / MARK).exists():
            self._directory.mkdir(mode=0o700, exist_ok=True)
            (self._directory / MARK).write_text(f"{self._pki.backend}\n")
        return super()._opened()

    def _registration(self) -> RegistrationAuthority:
        found = self._opened()
        if not isinstance(found, RegistrationAuthority):
            raise Misconfigured(f"{self._directory} is the directory of an embedded CA")
        return found

    def _received(self, request: str, chain: tuple[x509.Certificate, ...]) -> Outcome:
        return self._given(self._registration().receive(request, chain, _now()))

    def _turned_down(self, request: str, why: str) -> Outcome:
        self._registration().turn_down(request, why, _now())
        return Turned("denied", why)

    @override
    def _issued_for(self, ca: Issuance, entry: RequestEntry) -> Outcome:
        if entry.state is RequestState.APPROVED:
            return Approved(entry.id)
        return self._given(ca.issue(entry.id, _now()))

    def _given(self, issued: IssuedCertificate) -> Given:
        leaf, chain = issued.certificate, (issued.certificate, *issued.chain)
        root = next((each for each in anchors_of(self._pki) if is_issued_by(chain[-1], each)), None)
        chain = (*chain, *([root] if root is not None else []))
        return Given(
            request=issued.request.id,
            serial=f"{leaf.serial_number:x}",
            sha256=leaf.fingerprint(hashes.SHA256()).hex(),
            spki_sha256=spki_sha256(certificate_key(leaf)).hex(),
            not_after=leaf.not_valid_after_utc.timestamp(),
            chain=b"".join(each.public_bytes(Encoding.PEM) for each in chain).decode("ascii"),
        )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
