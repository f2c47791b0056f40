"""What the gateway itself contributes to the preflight of an upgrade: configuration, files, registry, enrolment."""

import asyncio
import datetime
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal

from cryptography import x509

from gateway.config.model import Config, Listener
from gateway.control.server_chain import Chain, chain_problem, root_match
from gateway.control.sessions import Entry
from gateway.control.upgrade_calls import UpgradeCalls, version_of
from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.preflight import OurSide, Preflight, preflight
from gateway.provisioning.states import State
from gateway.provisioning.station_facts import StationFacts
from gateway.provisioning.upgrade import Upgrade

__all__ = ["UpgradeChecks", "certificate_of"]

_LEFT_S: Final = 86_400.0
"""A certificate that ends sooner is no good for a change of profile."""
_HAS_IT: Final = frozenset({State.STATION_ACCEPTED, State.SEEN_IN_HANDSHAKE, State.OLD_RETIRED})
Certificate = Literal["ready", "enrol", "none"]


def certificate_of(enrolment: Enrolment | None, now: float) -> Certificate:
    """Whether the charge point has a certificate of the gateway's CA that is good for a while."""
    if enrolment is not None and enrolment.state in _HAS_IT and enrolment.not_after >= now + _LEFT_S:
        return "ready"
    return "enrol"


class UpgradeChecks:
    """One per node. `newest_enrolment`: of a charge point."""

    def __init__(
        self, calls: UpgradeCalls, newest_enrolment: Callable[[ChargePointId], Awaitable[Enrolment | None]]
    ) -> None:
        self._calls = calls
        self._newest_enrolment = newest_enrolment
        self._config: Config | None = None

    def use(self, config: Config) -> None:
        """Put a configuration into force."""
        self._config = config

    def url_for(self, profile: SecurityProfile, record: ChargePointRecord) -> str:
        """Where charge points find the listener for a profile; empty where the configuration does not say."""
        listener = self._listener(profile, record)
        return listener.url.rstrip("/") if listener is not None else ""

    async def preflight(
        self, entry: Entry, record: ChargePointRecord, upgrade: Upgrade
    ) -> tuple[Preflight, StationFacts]:
        """Ask the charge point and look at our side. Raises StoreError."""
        station, not_idle = await self._calls.facts(entry)
        listener = self._listener(upgrade.to_profile, record)
        chains, roots = await asyncio.to_thread(_read_chains, listener)
        now = time.time()
        certificate, why = await self._certificate(entry, record, upgrade, now)
        version = version_of(entry)
        host = urllib.parse.urlsplit(upgrade.url).hostname or ""
        ours = OurSide(
            version=version,
            from_profile=upgrade.from_profile,
            to_profile=upgrade.to_profile,
            now=now,
            listener=listener.name if listener is not None else "",
            old_listener=self._listener(upgrade.from_profile, record) is not None,
            url=upgrade.url,
            url_problem=_url_problem(version, upgrade),
            chain_problem=chain_problem(chains, host, datetime.datetime.fromtimestamp(now, datetime.UTC)),
            has_serial_number=bool(record.serial_number),
            has_password=(record.password or record.pending_password) is not None,
            certificate=certificate,
            certificate_why=why,
            root=root_match(chains, roots, station.roots),
            not_idle=not_idle,
        )
        return preflight(ours, station), station

    def _listener(self, profile: SecurityProfile, record: ChargePointRecord) -> Listener | None:
        """The one that says where it is, if one does."""
        if self._config is None:
            return None
        serving = [each for each in self._config.listeners if profile in each.security_profiles]
        if record.csms:
            same = [each for each in serving if each.csms == record.csms]
            serving = same or serving
        return next((each for each in serving if each.url), serving[0] if serving else None)

    async def _certificate(
        self, entry: Entry, record: ChargePointRecord, upgrade: Upgrade, now: float
    ) -> tuple[Certificate, str]:
        newest = await self._newest_enrolment(record.charge_point_id)
        if certificate_of(newest, now) == "ready":
            assert newest is not None
            return "ready", f"it has {newest.serial}"
        csms = entry.live.csms if entry.live is not None else record.csms
        gives = next((each for each in self._config.csms if each.name == csms), None) if self._config else None
        if gives is None or gives.certificates != "gateway":
            return "none", f'the gateway gives none: certificates = "gateway" of [[csms]] {csms}'
        if upgrade.from_profile is SecurityProfile.BASIC and not gives.unsafe_enrolment_without_tls:
            return "none", f"not over profile 1, unless [[csms]] {csms} has unsafe_enrolment_without_tls = true"
        return "enrol", "it gets one first"


def _url_problem(version: OCPPVersion, upgrade: Upgrade) -> str:
    if not upgrade.url:
        needs = version is not OCPPVersion.V1_6 or upgrade.url_key
        return "where? Name the url of the listener, or give one" if needs else ""
    scheme = "wss" if upgrade.to_profile > SecurityProfile.BASIC else "ws"
    return "" if upgrade.url.startswith(f"{scheme}://") else f"{upgrade.url} is not {scheme}://"


def _read_chains(listener: Listener | None) -> tuple[list[Chain], list[x509.Certificate]]:
    """Server certificates and their roots. A file that cannot be read is as good as none."""
    if listener is None or listener.tls is None:
        return [], []
    chains = [_read(files.certificate) for files in listener.tls.certificates]
    roots = [each for file in listener.tls.server_roots for each in _read(file)]
    return [chain for chain in chains if chain], roots


def _read(file: str) -> Chain:
    try:
        return tuple(x509.load_pem_x509_certificates(Path(file).read_bytes()))
    except (OSError, ValueError):
        return ()
