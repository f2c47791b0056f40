"""What the gateway itself contributes to the preflight of an upgrade: configuration, files, registry, enrolment."""

import asyncio
import datetime
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec
from cryptography import x509

from gateway.config.model import Config, Listener
from gateway.control.server_chain import Chain, chain_problem, root_match, roots_above
from gateway.control.sessions import Entry
from gateway.control.store_thread import StoreThread
from gateway.control.upgrade_calls import UpgradeCalls, version_of
from gateway.identity.record import ChargePointRecord
from gateway.link.messages import EdgeSettings
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.campaign_preflight import stratum_of
from gateway.provisioning.capability import obstacles, tallied
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.known_firmware import FirmwareRule, firmware_obstacle, has_rule
from gateway.provisioning.preflight import OurSide, Preflight, preflight
from gateway.provisioning.states import State
from gateway.provisioning.station_facts import StationFacts
from gateway.provisioning.upgrade import Upgrade
from gateway.store.registry import Registry

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
        self,
        calls: UpgradeCalls,
        newest_enrolment: Callable[[ChargePointId], Awaitable[Enrolment | None]],
        store: StoreThread,
    ) -> None:
        self._calls = calls
        self._newest_enrolment = newest_enrolment
        self._store = store
        self._config: Config | None = None
        self._chains: dict[str, list[Chain]] = {}
        """What each listener shows, by its name."""

    def use(self, config: Config) -> None:
        """Put a configuration into force."""
        self._config = config

    def follow(self, settings: EdgeSettings) -> None:
        """What the listeners show to charge points."""
        self._chains = {
            each.listener.name: [tuple(x509.load_pem_x509_certificates(pem.chain)) for pem in each.certificates]
            for each in settings.listeners
        }

    async def server_chains(
        self, profile: SecurityProfile, record: ChargePointRecord, entry: Entry | None
    ) -> tuple[list[Chain], list[x509.Certificate]]:
        """What this charge point would see on this profile, and the roots that the configuration names for it."""
        listener = self._listener(profile, record, entry)
        if listener is None or listener.tls is None:
            return [], []
        return self._chains.get(listener.name, []), await asyncio.to_thread(_read_roots, listener.tls.server_roots)

    def url_for(self, profile: SecurityProfile, record: ChargePointRecord, entry: Entry | None) -> str:
        """Where this charge point finds the listener for a profile; empty where nobody can say, or not before it is connected."""
        listener = self._listener(profile, record, entry)
        return listener.url.rstrip("/") if listener is not None else ""

    def placed(self, entry: Entry, record: ChargePointRecord, upgrade: Upgrade) -> Upgrade:
        """With its URL, if that could not be known before it was connected."""
        url = upgrade.url or self.url_for(upgrade.to_profile, record, entry)
        return msgspec.structs.replace(upgrade, url=url)

    async def preflight(
        self, entry: Entry, record: ChargePointRecord, upgrade: Upgrade
    ) -> tuple[Preflight, StationFacts]:
        """Ask the charge point and look at our side. Raises StoreError."""
        station, not_idle = await self._calls.facts(entry)
        listener = self._listener(upgrade.to_profile, record, entry)
        chains, roots = await self.server_chains(upgrade.to_profile, record, entry)
        # The registry knows what it has said of itself; the directory's record does not follow that.
        kind, known = await self._store.call(lambda registry: _known_of(registry, record.charge_point_id))
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
            has_listener_of_others=any(self._serving(upgrade.to_profile)),
            old_listener=self._listener(upgrade.from_profile, record, entry) is not None,
            url=upgrade.url,
            url_problem=_url_problem(version, upgrade),
            url_key=upgrade.url_key,
            chain_problem=chain_problem(chains, host, datetime.datetime.fromtimestamp(now, datetime.UTC)),
            has_serial_number=bool(record.serial_number),
            has_password=(record.password or record.pending_password) is not None,
            certificate=certificate,
            certificate_why=why,
            root=root_match(chains, roots, station.roots),
            install_root=upgrade.install_root,
            no_root="" if roots_above(chains, roots) else "name it in server_roots of [listener.tls]",
            firmware=firmware_obstacle(self._rules, kind),
            has_firmware_rule=has_rule(self._rules, kind),
            is_kind_unknown=bool(self._rules) and not kind.vendor,
            unsafe_any_firmware=upgrade.unsafe_any_firmware,
            learnt=tuple(obstacles("security-profile", known)),
            not_idle=not_idle,
        )
        return preflight(ours, station), station

    @property
    def _rules(self) -> tuple[FirmwareRule, ...]:
        return self._config.known_firmware if self._config is not None else ()

    def _serving(self, profile: SecurityProfile) -> list[Listener]:
        listeners = self._config.listeners if self._config is not None else ()
        return [each for each in listeners if profile in each.security_profiles]

    def _listener(self, profile: SecurityProfile, record: ChargePointRecord, entry: Entry | None) -> Listener | None:
        """The one that says where it is, if one does. Never one by which it would come to another CSMS.

        Where the record names no CSMS, that of the listener counts: of the one by which it is connected (`entry`).
        """
        serving = self._serving(profile)
        same = [each for each in serving if each.csms == record.csms]
        if not record.csms and entry is not None and entry.live is not None:
            serving = [each for each in serving if each.csms == entry.live.csms]
        elif not record.csms and len({each.csms for each in serving}) > 1:
            return None
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


def _known_of(registry: Registry, charge_point_id: ChargePointId) -> tuple[Stratum, Mapping[str, Mapping[str, int]]]:
    """Its kind, and what was learnt about that."""
    record = registry.get(charge_point_id)
    kind = stratum_of(record) if record is not None else Stratum("", "", "")
    return kind, tallied(registry.capabilities.of(kind))


def _url_problem(version: OCPPVersion, upgrade: Upgrade) -> str:
    if not upgrade.url:
        needs = version is not OCPPVersion.V1_6 or upgrade.url_key
        return "where? Name the url of the listener, or give one" if needs else ""
    scheme = "wss" if upgrade.to_profile > SecurityProfile.BASIC else "ws"
    return "" if upgrade.url.startswith(f"{scheme}://") else f"{upgrade.url} is not {scheme}://"


def _read_roots(files: Iterable[str]) -> list[x509.Certificate]:
    """A file that cannot be read is as good as none."""
    return [each for file in files for each in _read(file)]


def _read(file: str) -> Chain:
    try:
        return tuple(x509.load_pem_x509_certificates(Path(file).read_bytes()))
    except (OSError, ValueError):
        return ()
