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

from pki.backends.command import run
from pki.backends.interface import (
    BackendMisbehaved,
    BackendUnavailable,
    Denied,
    Enrolled,
    EnrollmentRequest,
    Pending,
    RevocationSource,
    printable_reason,
)
from pki.backends.returned import verified_answer
from pki.chains import chain_from

__all__ = ["CMPBackend", "CMPSettings"]

_POLL_S: Final = 30.0
_CONNECT_S: Final = 10.0
_REJECTED: Final = ("PKIStatus: rejection", "request rejected")
_PLACE: Final = re.compile(r"^.*?(?=CMP (?:error|warning)|error:)")
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
            await asyncio.to_thread(self._prepare, work, request)
            done = await run(self._command(work), b"", self._settings.timeout_s + 10.0)
            if done.code == 0:
                found = await asyncio.to_thread(_read, work)
                return verified_answer(found, request, self._settings.anchors, self._now())
        # What went wrong is on standard output as well as on standard error.
        said = done.errors + "\n" + done.output.decode("utf-8", "replace")
        if any(text in said for text in _REJECTED):
            return Denied(_error_line(said))
        if any(text in said for text in _WAITING):
            return Pending(_POLL_S)
        raise BackendUnavailable(f"exit code {done.code}: {_error_line(said)}")

    def _prepare(self, work: Path, request: EnrollmentRequest) -> None:
        (work / "csr.pem").write_text(request.csr_pem)
        (work / "trusted.pem").write_text(self._settings.trusted_pem)

    def _command(self, work: Path) -> list[str]:
        settings = self._settings
        command = [settings.program, "cmp", "-cmd", "p10cr", "-batch", "-server", settings.server]
        command += ["-csr", str(work / "csr.pem"), "-certout", str(work / "leaf.pem")]
        command += ["-chainout", str(work / "chain.pem"), "-extracertsout", str(work / "extra.pem")]
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

    async def revoke(self, serial_number: int, reason: x509.ReasonFlags) -> None:
        """Not through this client: a CMP revocation request names the certificate itself."""
        del serial_number, reason
        raise BackendUnavailable("revoke at the CA; here the certificate is refused all the same")

    def revocation_source(self) -> RevocationSource:
        """As configured."""
        return self._settings.revocation


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
            except ValueError:
                raise BackendMisbehaved(f"{name} holds no certificates") from None
    return list(chain_from(found[0], found[1:])) if found else []
