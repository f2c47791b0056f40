"""A command of the operator's own as a backend, and the running of commands: bounded in time and output, no shell.

The command gets one JSON object on standard input and says what became of it:

    exit code 0    standard output is the certificate and its chain, PEM, in any order
    exit code 75   not decided yet (EX_TEMPFAIL); a number on the first line of standard output: seconds to wait
    exit code 77   refused (EX_NOPERM); standard error says why. Of a revocation: somebody has to see to it at the CA
    any other      it could not be asked; it will be asked again
"""

import asyncio
import contextlib
import datetime
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

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
from pki.unreadable import UNREADABLE

__all__ = ["CommandBackend", "CommandSettings", "Finished", "run"]

_OK, _TEMPFAIL, _NOPERM = 0, 75, 77
_DEFAULT_RETRY_S: Final = 60.0
_MIN_RETRY_S: Final = 5.0
_MAX_RETRY_S: Final = 86_400.0
_MAX_OUTPUT_BYTES: Final = 262_144
_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
"""What a command sees of ours: nothing that could be a secret of the gateway's."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended."""

    code: int
    output: bytes
    errors: str
    """Standard error as it is, for looking into; `why` is for showing."""

    @property
    def why(self) -> str:
        """What it said on standard error, on one line."""
        return printable_reason(self.errors)


async def run(command: Sequence[str], data: bytes, timeout_s: float) -> Finished:
    """Run a command with `data` on standard input; it and its children are ended at the time limit.

    Raises BackendUnavailable if it cannot be run, takes too long, or says too much.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise BackendUnavailable(f"{command[0]}: {error.strerror}") from None
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await _conversed(process, data)
            code = await process.wait()
    except TimeoutError:
        raise BackendUnavailable(f"{command[0]} took longer than {timeout_s:g} s") from None
    finally:
        await _ended(process)
    return Finished(code, output, errors.decode("utf-8", "replace"))


async def _conversed(process: asyncio.subprocess.Process, data: bytes) -> tuple[bytes, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not listen
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()
    output, errors = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
    return output, errors


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    found = b""
    while piece := await stream.read(65_536):
        found += piece
        if len(found) > _MAX_OUTPUT_BYTES:
            raise BackendUnavailable(f"more than {_MAX_OUTPUT_BYTES} bytes of output")
    return found


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Nothing that the command has started outlives it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """One command."""

    command: tuple[str, ...]
    """Program and arguments; no shell reads them."""
    anchors: tuple[x509.Certificate, ...]
    """The roots that certificates of this CA must chain to."""
    timeout_s: float = 60.0
    revocation: RevocationSource = field(default_factory=RevocationSource)


class CommandBackend:
    """A CA behind a command. `now` gives the time."""

    def __init__(self, settings: CommandSettings, now: Callable[[], datetime.datetime]) -> None:
        self._settings = settings
        self._now = now

    async def enroll(self, request: EnrollmentRequest) -> Enrolled:
        """``{"action": "enroll", "csr": PEM, ...}``."""
        wanted = {
            "action": "enroll",
            "csr": request.csr_pem,
            "identity": request.identity,
            "common_name": request.common_name,
            "organization": request.organization,
            "idempotency_key": request.idempotency_key,
        }
        done = await self._run(wanted)
        match done.code:
            case 0:
                certificates = _certificates(done.output)
                return verified_answer(certificates, request, self._settings.anchors, self._now())
            case 75:
                return Pending(_retry_after_s(done.output))
            case 77:
                return Denied(done.why or "refused without a word")
            case _:
                raise BackendUnavailable(f"exit code {done.code}: {done.why}")

    async def chain(self) -> tuple[x509.Certificate, ...]:
        """``{"action": "chain"}``, answered with PEM."""
        done = await self._run({"action": "chain"})
        if done.code != _OK:
            raise BackendUnavailable(f"exit code {done.code}: {done.why}")
        try:
            return tuple(_certificates(done.output))
        except BackendMisbehaved as error:
            raise BackendUnavailable(str(error)) from None

    async def verify_access(self) -> bool:
        """Only the command knows what it shows to whom."""
        return False

    async def revoke(self, certificate: x509.Certificate, reason: x509.ReasonFlags) -> RevocationAnswer:
        """``{"action": "revoke", "serial_number": hex, "reason": as in RFC 5280, "certificate": PEM}``."""
        wanted = {
            "action": "revoke",
            "serial_number": format(certificate.serial_number, "x"),
            "reason": reason.value,
            "certificate": certificate.public_bytes(Encoding.PEM).decode("ascii"),
        }
        done = await self._run(wanted)
        if done.code == _NOPERM:
            return ByHand(done.why or "refused without a word")
        if done.code != _OK:
            raise BackendUnavailable(f"exit code {done.code}: {done.why}")
        return RevocationAccepted()

    def revocation_source(self) -> RevocationSource:
        """As configured."""
        return self._settings.revocation

    async def _run(self, wanted: dict[str, Any]) -> Finished:
        return await run(self._settings.command, msgspec.json.encode(wanted) + b"\n", self._settings.timeout_s)


def _certificates(output: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(output)
    except UNREADABLE:
        raise BackendMisbehaved("output that holds no certificates") from None


def _retry_after_s(output: bytes) -> float:
    first = output.split(b"\n", 1)[0].strip()
    return min(max(float(first), _MIN_RETRY_S), _MAX_RETRY_S) if first.isdigit() else _DEFAULT_RETRY_S
