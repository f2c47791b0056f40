"""The listeners' own certificates: issued, renewed in time, put into force without touching a session.

In time is when their CA advises, or at two thirds of their life. What fails leaves the last good certificate where it is; an
event and a metric say so, and it is tried again.
"""

import asyncio
import datetime
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import structlog
from typing_extensions import override

from gateway.audit.event import printable
from gateway.config.model import Config
from gateway.control.acme_source import ACMESource
from gateway.control.background import in_background
from gateway.control.own_certificate_files import (
    OwnCertificate,
    own_certificate_path,
    read_own,
    write_own,
)
from gateway.control.own_certificate_source import CertificateNotHad, EmbeddedSource, OwnCertificateSource
from gateway.control.part import NodePart
from gateway.control.renewal_advice import RenewalAdvisor
from gateway.link.messages import CertificatePEM, EdgeSettings
from pki.keys import KeyKind

__all__ = ["OwnCertificates"]

_RETRY_S: Final = 30.0
_MAX_RETRY_S: Final = 3_600.0
_START_S: Final = 15.0
"""How long a start waits for a first certificate; afterwards it goes on without: nobody is admitted meanwhile."""
_SAY_AFTER: Final = 3
"""Edges that come and go are no event; edges that go on refusing are."""
_log = structlog.get_logger("control.own_certificates")


class Report(Protocol):
    """Puts an event on record."""

    def __call__(self, event: str, severity: str, decision: str, detail: str, /) -> None: ...


class OwnCertificates(NodePart):
    """One per node. `put_into_force` gives the edges what is on the disk; empty, or why they keep what they have."""

    name: ClassVar[str] = "server_certificates"
    tick_every_s: ClassVar[float] = 3.0

    def __init__(self, config: Config, report: Report, put_into_force: Callable[[], Awaitable[str]]) -> None:
        self._config = config
        self._report = report
        self._put_into_force = put_into_force
        self._source: OwnCertificateSource | None = None
        self._have: dict[str, OwnCertificate] = {}
        self._seen: dict[str, tuple[object, ...]] = {}
        """By kind of key: by what its file is recognised."""
        self._shown: tuple[CertificatePEM, ...] = ()
        self._failed: dict[str, tuple[int, float, str]] = {}
        """By kind of key: how often in a row, when to try again (monotonic), and why."""
        self._refused = 0
        self._asking = asyncio.Lock()
        self._advisor = RenewalAdvisor(secrets.SystemRandom().random)

    @override
    async def load(self) -> None:
        """A first certificate before anybody connects, if it can be had soon. Renewals wait until we run."""
        if self._is_wanted():
            self._source = _source_of(self._config)
            try:
                async with asyncio.timeout(_START_S):
                    await self._see_to_all(missing_only=True)
            except TimeoutError:
                _log.warning("no_certificate_yet", after_s=_START_S)

    @override
    def use(self, config: Config) -> None:
        # A reload may be what mends it: nothing waits any longer.
        self._config, self._source, self._failed = config, _source_of(config), {}
        self._advisor.forget()

    @override
    def follow(self, settings: EdgeSettings) -> None:
        shown = (each.certificates for each in settings.listeners if _is_automatic(each.listener.tls))
        self._shown = next(shown, ())

    @override
    async def tick(self) -> None:
        if not self._is_wanted():
            return
        await self._see_to_all()
        newest = tuple(found.pem for found in map(self._have.get, self._config.server_certificates.keys) if found)
        if not newest or newest == self._shown:
            return
        why = await self._put_into_force()
        self._refused = self._refused + 1 if why else 0
        if self._refused == _SAY_AFTER:
            self._report("server_certificate.not_in_force", "high", "keep_last_good", why)

    def _is_wanted(self) -> bool:
        return any(_is_automatic(each.tls) for each in self._config.listeners)

    # -- one kind of key

    async def _see_to_all(self, *, missing_only: bool = False) -> None:
        async with self._asking:
            config = self._config
            for kind in config.server_certificates.keys:
                found = await self._found(kind, own_certificate_path(config, kind))
                if missing_only and found is not None:
                    continue
                if found is not None and self._source is not None:
                    await self._advisor.ask(kind, found, self._source)
                if self._is_due(kind, found):
                    await self._renew(kind, found)

    async def _found(self, kind: str, path: Path) -> OwnCertificate | None:
        """What is on the disk, read again only if the file is another one."""
        seen = _stamp(path)
        if self._seen.get(kind) != seen:
            found = await in_background(partial(read_own, path))
            self._seen[kind] = seen
            self._have.pop(kind, None)
            if found is not None:
                self._have[kind] = found
        return self._have.get(kind)

    def _is_due(self, kind: str, found: OwnCertificate | None) -> bool:
        _, not_before, _ = self._failed.get(kind, (0, 0.0, ""))
        if time.monotonic() < not_before:
            return False
        return found is None or self._needs_another(kind, found)

    def _needs_another(self, kind: str, found: OwnCertificate) -> bool:
        wanted = {name.lower() for name in self._config.server_certificates.names}
        return {name.lower() for name in found.names} != wanted or _now() >= self._advisor.renewal_at(kind, found)

    async def _renew(self, kind: KeyKind, before: OwnCertificate | None) -> None:
        assert self._source is not None
        config = self._config
        try:
            chain, key = await self._source.issue(kind, None if before is None else before.chain[0])
            await in_background(partial(write_own, own_certificate_path(config, kind), chain, key))
        except (CertificateNotHad, OSError) as error:
            self._note_failure(kind, str(error))
            return
        found = await self._found(kind, own_certificate_path(config, kind))
        if found is None or (self._needs_another(kind, found) and config is self._config):
            # Else it would be asked for again and again, until a public CA has enough of us.
            self._note_failure(kind, "what the CA has issued would have to be renewed at once")
            return
        self._failed.pop(kind, None)
        until = chain[0].not_valid_after_utc
        detail = f"{kind}: serial {chain[0].serial_number:x}, until {until:%Y-%m-%d %H:%M} UTC"
        self._report("server_certificate.issued", "info", "allow", detail)

    def _note_failure(self, kind: str, why: str) -> None:
        times, _, _ = self._failed.get(kind, (0, 0.0, ""))
        wait_s = min(_RETRY_S * 2.0**times, _MAX_RETRY_S)
        self._failed[kind] = (times + 1, time.monotonic() + wait_s, why)
        found = self._have.get(kind)
        left = (
            "there is none"
            if found is None
            else f"the last one ends {found.chain[0].not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )
        detail = f"{kind}: {printable(why, 300)}; {left}; tried again in {wait_s:.0f} s"
        self._report("server_certificate.renewal_failed", "high", "keep_last_good", detail)

    # -- for people

    @override
    def metrics(self) -> dict[str, float]:
        if not self._is_wanted():
            return {}
        left = {
            f'ocpp_gateway_server_certificate_seconds_left{{key="{kind}"}}': (
                found.chain[0].not_valid_after_utc - _now()
            ).total_seconds()
            for kind, found in self._have.items()
        }
        failing = {
            f'ocpp_gateway_server_certificate_renewal_failures{{key="{kind}"}}': float(self._failed.get(kind, (0,))[0])
            for kind in self._config.server_certificates.keys
        }
        return left | failing

    @override
    def status(self) -> Any:
        if not self._is_wanted():
            return None
        return [self._status_of(kind) for kind in self._config.server_certificates.keys]

    def _status_of(self, kind: str) -> dict[str, Any]:
        found, (_, _, why) = self._have.get(kind), self._failed.get(kind, (0, 0.0, ""))
        told: dict[str, Any] = {"key": kind, "failing": why}
        if found is not None:
            leaf = found.chain[0]
            told |= {
                "serial": f"{leaf.serial_number:x}",
                "not_after": leaf.not_valid_after_utc.isoformat(),
                "renewal_at": self._advisor.renewal_at(kind, found).isoformat(),
                "renewal_advised": self._advisor.explanation(kind, found),
                "in_force": found.pem in self._shown,
            }
        return told


def _source_of(config: Config) -> OwnCertificateSource:
    wanted = config.server_certificates
    if wanted.acme is not None:
        return ACMESource(wanted.acme, Path(config.state_dir), wanted.names)
    organization = wanted.organization or (config.operator_names[0] if config.operator_names else "")
    return EmbeddedSource(Path(wanted.ca or config.pki.ca), wanted.names, organization)


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        found = path.stat()
    except OSError:
        return (path,)
    return path, found.st_ino, found.st_mtime_ns, found.st_size


def _is_automatic(tls: Any) -> bool:
    return tls is not None and tls.automatic_certificates


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
