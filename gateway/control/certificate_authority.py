"""The embedded CA for an event loop: issuance on a thread of its own, the signer as a child process while there is work.

The journal has one writer at a time. It is given back when nothing has been asked for a moment, so that an operator's
`pki approve` gets its turn.
"""

import asyncio
import contextlib
import datetime
import secrets
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import structlog
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.model import PKI
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.enrolment import Given
from pki.approval import Applicant, PresentedCertificate, Unproven
from pki.blocked_keys import spki_sha256
from pki.csr import parse_csr
from pki.errors import PKIError, Reason, Refused
from pki.inventory import RequestEntry, RequestState
from pki.issuance import Application, Issuance
from pki.key_policy import DEFAULT_KEY_POLICY
from pki.keys import certificate_key
from pki.names import Subject
from pki.opened import JOURNAL, issuance_in_turn
from pki.profiles import CHARGE_POINT

__all__ = ["Approved", "Asked", "CertificateAuthority", "Held", "Outcome", "Turned", "Unavailable", "Waiting"]

_IDLE_S: Final = 1.0
_AT_A_TIME_S: Final = 10.0
"""Whatever there is to do, others get a turn after this."""
_TURN_OF_OTHERS_S: Final = 0.5
_PATIENCE_S: Final = 3.0
"""For others who have the journal or the signer: the publication's own turns are shorter."""
_UNKNOWN: Final = (-1, -1)
_T = TypeVar("_T")
_log = structlog.get_logger("control.ca")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request with everything that the gateway knows about it by itself."""

    csr: str
    charge_point_id: ChargePointId
    common_name: str
    organization: str
    presented_serial: str = ""
    presented_sha256: str = ""
    method: str = ""
    released_by: str = ""
    """The approval that covers it, where there is one."""


class Held(msgspec.Struct, frozen=True):
    """An operator has to look at it."""

    request: str
    rule: str


class Approved(msgspec.Struct, frozen=True):
    """Nobody has to look at it any more, and another CA has yet to be asked for it."""

    request: str


class Waiting(msgspec.Struct, frozen=True):
    """Another CA has it and has not decided yet."""

    request: str
    retry_after_s: float


class Turned(msgspec.Struct, frozen=True):
    """There will be no certificate. `code` for machines, `why` for people."""

    code: str
    why: str


class Unavailable(msgspec.Struct, frozen=True):
    """The CA cannot be asked now. Nothing is lost: ask again."""

    why: str


Outcome = Given | Held | Approved | Waiting | Turned | Unavailable


class CertificateAuthority:
    """One per node. `owner_of`: to whom the registry has bound a key (A00.FR.427), by the hex SHA-256 of its SPKI."""

    def __init__(self, directory: Path, owner_of: Callable[[str], ChargePointId | None]) -> None:
        self._directory = directory
        self._owner_of = owner_of
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ca")
        self._entered = contextlib.ExitStack()
        self._ca: Issuance | None = None
        self._used_at = self._opened_at = self._closed_until = 0.0
        self._seen: tuple[int, int] = (0, 0)

    def use(self, pki: PKI) -> None:
        """The configuration was read again. The embedded CA has settings of its own."""

    async def ask(self, asked: Asked) -> Outcome:
        """Ask for a certificate, or for what has become of this very request. Raises nothing of the PKI."""
        return await self._work(lambda: self._asked(asked))

    async def look(self, request: str) -> Outcome:
        """What has become of a request that was held."""
        return await self._work(lambda: self._outcome(self._opened(), self._opened().inventory.requests[request]))

    async def decided(self, requests: AbstractSet[str]) -> AbstractSet[str]:
        """Those of these that are held no more. None of them while the journal cannot be read: there will be news."""
        return await self._in_thread(lambda: self._decided(requests))

    async def withdraw(self, request: str, why: str) -> None:
        """A request that is held is of no use any more: nobody has to look at it."""
        await self._work(lambda: self._withdrawn(request, why))

    def has_news(self) -> bool:
        """True if somebody else has written to the journal since we did."""
        return self._ca is None and self._stamp() != self._seen

    async def rest(self) -> None:
        """Let others have the journal if nothing was asked for a moment."""
        now = time.monotonic()
        if self._ca is None or not (now - self._used_at > _IDLE_S or now - self._opened_at > _AT_A_TIME_S):
            return
        await self._in_thread(self._release)
        self._closed_until = time.monotonic() + _TURN_OF_OTHERS_S

    async def close(self) -> None:
        """The signer ends, the journal is free."""
        await self._in_thread(self._release)
        self._thread.shutdown()

    async def _work(self, work: Callable[[], Outcome]) -> Outcome:
        return await self._in_thread(lambda: self._guarded(work))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # -- on the thread

    def _guarded(self, work: Callable[[], Outcome]) -> Outcome:
        try:
            return work()
        except Refused as refused:
            return Turned(refused.reason.code, str(refused))
        except (PKIError, OSError, KeyError) as error:
            self._not_available(error)
            return Unavailable(str(error))
        finally:
            self._used_at = time.monotonic()

    def _not_available(self, error: Exception) -> None:
        """Whatever is half-done is done when the journal is opened the next time."""
        self._release()
        self._seen = _UNKNOWN
        _log.warning("ca_unavailable", why=str(error))

    def _decided(self, requests: AbstractSet[str]) -> AbstractSet[str]:
        try:
            known = self._opened().inventory.requests
        except (PKIError, OSError) as error:
            self._not_available(error)
            return frozenset()
        finally:
            self._used_at = time.monotonic()
        # One that the journal has never heard of is not decided: a journal of another directory was put in its place.
        return {each for each in requests & known.keys() if known[each].state is not RequestState.HELD}

    def _opened(self) -> Issuance:
        if self._ca is None:
            time.sleep(max(0.0, self._closed_until - time.monotonic()))  # a thread of its own, and nobody else on it
            entering = issuance_in_turn(self._directory, _now, lambda: secrets.token_hex(6), _PATIENCE_S)
            self._ca = self._entered.enter_context(entering)
            self._opened_at = time.monotonic()
            self._ca.resume(_now())
        return self._ca

    def _release(self) -> None:
        # Before the next one can write: what comes after this is news.
        self._ca, self._seen = None, self._stamp()
        try:
            self._entered.close()
        except (PKIError, OSError) as error:
            _log.warning("ca_not_closed", why=str(error))

    def _stamp(self) -> tuple[int, int]:
        try:
            found = (self._directory / JOURNAL).stat()
        except OSError:
            return 0, 0
        return found.st_size, found.st_mtime_ns

    def _asked(self, asked: Asked) -> Outcome:
        key = spki_sha256(parse_csr(asked.csr, DEFAULT_KEY_POLICY).public_key).hex()
        if self._owner_of(key) not in {None, asked.charge_point_id}:
            raise Refused(Reason.KEY_OF_ANOTHER_IDENTITY, str(self._owner_of(key)))
        ca = self._opened()
        subject = Subject(asked.common_name, asked.organization)
        wanted = Application(profile=CHARGE_POINT.name, subject=subject, applicant=self._applicant(ca, asked))
        entry = ca.request(asked.csr, wanted, _now())
        if entry.state is RequestState.HELD and asked.released_by:
            entry = ca.decide(entry.id, approved=True, by="gateway", note=asked.released_by, now=_now())
        return self._outcome(ca, entry)

    def _applicant(self, ca: Issuance, asked: Asked) -> Applicant:
        """A certificate counts only if it is the very one that the journal has under this number."""
        if asked.presented_serial:
            serial = int(asked.presented_serial, 16)
            with contextlib.suppress(Refused):
                known = ca.certificate(serial).certificate
                if known.fingerprint(hashes.SHA256()).hex() == asked.presented_sha256:
                    return PresentedCertificate(serial)
            return Unproven("a certificate of another CA")
        return Unproven(asked.method or "a password")

    def _outcome(self, ca: Issuance, entry: RequestEntry) -> Outcome:
        if entry.state is RequestState.HELD:
            return Held(entry.id, entry.rule)
        if entry.state is RequestState.DENIED:
            return Turned("denied", entry.reason or "an operator has denied it")
        return self._issued_for(ca, entry)

    def _issued_for(self, ca: Issuance, entry: RequestEntry) -> Outcome:
        found = ca.issue(entry.id, _now())
        leaf = found.certificate
        above = ca.issuers[entry.issuer]
        chain = (leaf, above.certificate, *above.chain)
        return Given(
            request=entry.id,
            serial=f"{leaf.serial_number:x}",
            sha256=leaf.fingerprint(hashes.SHA256()).hex(),
            spki_sha256=spki_sha256(certificate_key(leaf)).hex(),
            not_after=leaf.not_valid_after_utc.timestamp(),
            chain=b"".join(each.public_bytes(Encoding.PEM) for each in chain).decode("ascii"),
        )

    def _withdrawn(self, request: str, why: str) -> Outcome:
        entry = self._opened().inventory.requests[request]
        if entry.state is RequestState.HELD:
            self._opened().decide(request, approved=False, by="gateway", note=why, now=_now())
        return Turned("withdrawn", why)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
