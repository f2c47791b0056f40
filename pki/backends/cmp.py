"""CMP (RFC 4210, 9480) through the `openssl cmp` command: p10cr, the form that carries a charge point's CSR unchanged."""

import asyncio
import datetime
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.backends.command import Finished, run
from pki.backends.interface import (
    BackendMisbehaved,
    BackendUnavailable,
    ByHand,
    Denied,
    Enrolled,
    EnrollmentRequest,
    Pending,
    RevocationAccepted,
    RevocationAnswer,
    RevocationSource,
    printable_reason,
)
from pki.backends.returned import verified_answer
from pki.chains import chain_from
from pki.revocation import REASON_CODES
from pki.unreadable import UNREADABLE

__all__ = ["CMPBackend", "CMPSettings"]

_POLL_S: Final = 30.0
_CONNECT_S: Final = 10.0
_REJECTED: Final = ("PKIStatus: rejection", "request rejected")
_PLACE: Final = re.compile(r"^.*?(?=CMP (?:error|warning)|error:)")
_NO_REASON: Final = -1
"""RFC 5280, 5.3.1: unspecified is left out."""
_REVOKED_BEFORE: Final = "certRevoked"
"""RFC 4210, 5.2.3, PKIFailureInfo: an answer that was lost has revoked it."""
_WAITING: Final = ("total timeout", "received 'waiting'")


@dataclass(frozen=True, slots=True, kw_only=True)
class CMPSettings:
    """One CMP server, and a shared secret or a certificate to prove oneself with."""

    server: str
    """``http://host:port``; messages are protected by themselves."""
    path: str = ""
    recipient: str = ""
    """The CA's name in openssl's form, ``/CN=...``."""
    trusted_pem: str
    """PEM text of the roots that may vouch for the server's signature; empty where it answers with the shared secret."""
    anchors: tuple[x509.Certificate, ...]
    """The roots that certificates of this CA must chain to."""
    reference: str = ""
    secret_file: str = ""
    """File with the shared secret."""
    certificate_file: str = ""
    key_file: str = ""
    timeout_s: float = 60.0
    program: str = "openssl"
    revocation: RevocationSource = field(default_factory=RevocationSource)


class CMPBackend:
    """A CA behind CMP. `now` gives the time."""

    def __init__(self, settings: CMPSettings, now: Callable[[], datetime.datetime]) -> None:
        self._settings = settings
        self._now = now

    async def enroll(self, request: EnrollmentRequest) -> Enrolled:
        """One p10cr exchange, polling included, within the time limit; Pending if the CA still waits then."""
        with tempfile.TemporaryDirectory(prefix="ocpp-cmp-") as directory:
            work = Path(directory)
            await asyncio.to_thread(self._prepare, work, {"csr.pem": request.csr_pem.encode("ascii")})
            wanted = ["p10cr", "-csr", str(work / "csr.pem"), "-certout", str(work / "leaf.pem")]
            wanted += ["-chainout", str(work / "chain.pem"), "-extracertsout", str(work / "extra.pem")]
            done = await self._run(work, wanted)
            if done.code == 0:
                found = await asyncio.to_thread(_read, work)
                return verified_answer(found, request, self._settings.anchors, self._now())
        said = _said(done)
        if any(text in said for text in _REJECTED):
            return Denied(_error_line(said))
        if any(text in said for text in _WAITING):
            return Pending(_POLL_S)
        raise BackendUnavailable(f"exit code {done.code}: {_error_line(said)}")

    def _prepare(self, work: Path, files: dict[str, bytes]) -> None:
        for name, content in {**files, "trusted.pem": self._settings.trusted_pem.encode("ascii")}.items():
            (work / name).write_bytes(content)

    async def _run(self, work: Path, wanted: list[str]) -> Finished:
        return await run(self._command(work, wanted), b"", self._settings.timeout_s + 10.0)

    def _command(self, work: Path, wanted: list[str]) -> list[str]:
        settings = self._settings
        command = [settings.program, "cmp", "-cmd", *wanted, "-batch", "-server", settings.server]
        command += ["-total_timeout", str(int(settings.timeout_s)), "-verbosity", "6"]
        if settings.path:
            command += ["-path", settings.path]
        if settings.recipient:
            command += ["-recipient", settings.recipient]
        if settings.trusted_pem:
            command += ["-trusted", str(work / "trusted.pem")]
        if settings.secret_file:
            command += ["-ref", settings.reference, "-secret", f"file:{settings.secret_file}"]
        if settings.certificate_file:
            command += ["-cert", settings.certificate_file, "-key", settings.key_file]
        return command

    async def chain(self) -> tuple[x509.Certificate, ...]:
        """CMP could ask for them by a general message, which few servers answer: the pinned roots are what is known."""
        return self._settings.anchors

    async def verify_access(self) -> bool:
        """Somebody listens there; secret and certificate are looked at by a request alone."""
        parts = urlsplit(self._settings.server)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, writer = await asyncio.open_connection(parts.hostname, port)
        except (OSError, TimeoutError) as error:
            raise BackendUnavailable(f"{self._settings.server}: {error.strerror or 'no answer'}") from None
        writer.close()
        return False

    async def revoke(self, certificate: x509.Certificate, reason: x509.ReasonFlags) -> RevocationAnswer:
        """One rr exchange (RFC 4210, 5.3.9)."""
        with tempfile.TemporaryDirectory(prefix="ocpp-cmp-") as directory:
            work = Path(directory)
            old = certificate.public_bytes(Encoding.PEM)
            await asyncio.to_thread(self._prepare, work, {"old.pem": old})
            wanted = ["rr", "-oldcert", str(work / "old.pem"), "-revreason", str(REASON_CODES[reason] or _NO_REASON)]
            done = await self._run(work, wanted)
        said = _said(done)
        if done.code == 0 or _REVOKED_BEFORE in said:
            return RevocationAccepted()
        if any(text in said for text in _REJECTED):
            return ByHand(_error_line(said))
        raise BackendUnavailable(f"exit code {done.code}: {_error_line(said)}")

    def revocation_source(self) -> RevocationSource:
        """As configured."""
        return self._settings.revocation


def _said(done: Finished) -> str:
    """What went wrong is on standard output as well as on standard error."""
    return done.errors + "\n" + done.output.decode("utf-8", "replace")


def _error_line(said: str) -> str:
    """The last line about an error, without the place in openssl's source."""
    lines = [line for line in said.splitlines() if "error" in line.lower()]
    return printable_reason(_PLACE.sub("", lines[-1]) if lines else said)


def _read(work: Path) -> list[x509.Certificate]:
    """The certificate and what of the rest leads up from it: servers add certificates of their own."""
    found: list[x509.Certificate] = []
    for name in ("leaf.pem", "chain.pem", "extra.pem"):
        path = work / name
        if path.exists() and path.stat().st_size:
            try:
                found += x509.load_pem_x509_certificates(path.read_bytes())
            except UNREADABLE:
                raise BackendMisbehaved(f"{name} holds no certificates") from None
    return list(chain_from(found[0], found[1:])) if found else []
