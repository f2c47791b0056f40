"""The control process as one object: edges, admissions, registry changes, reloads, status."""

import asyncio
import time
from pathlib import Path
from typing import Any

import structlog

from gateway import __version__
from gateway.config.load import ConfigError, load_config
from gateway.config.model import Config
from gateway.control.admission import AdmissionDesk
from gateway.control.authentication import Authenticator
from gateway.control.credentials import PasswordVerifier
from gateway.control.directory import Directory
from gateway.control.event_log import EventLog
from gateway.control.link_server import EdgeLink
from gateway.control.metrics import MetricsPage
from gateway.control.sessions import Entry, Sessions
from gateway.control.settings import SettingsBuilder
from gateway.control.store_thread import StoreThread
from gateway.identity.admission import ListenerFacts
from gateway.identity.guessing import GuessingLimiter
from gateway.identity.record import ChargePointRecord
from gateway.link.messages import (
    AdmitRequest,
    Counters,
    Disconnect,
    EdgeMessage,
    EdgeSettings,
    Hello,
    Registered,
    Report,
    SessionClosed,
    SessionOpened,
    SettingsApplied,
    SettingsUpdate,
)
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId
from gateway.store.errors import StoreError

__all__ = ["Node"]

_COUNT_SESSIONS_S = 3.0
_POLL_REGISTRY_S = 0.5
_FLUSH_S = 0.1
_log = structlog.get_logger("control")


class Node:
    """Everything control knows. One event loop; the registry has a thread of its own."""

    def __init__(self, config: Config, expected_edges: int) -> None:
        self._config = config
        self._expected_edges = expected_edges
        self._started_at = time.time()
        first = int(self._started_at * 1000)
        self._tasks = TaskOwner()
        self._store = StoreThread(config.database_url)
        self._directory = Directory()
        self._sessions = Sessions(first)
        self._events = EventLog(_event_path(config))
        self._builder = SettingsBuilder(first)
        self._limiter = GuessingLimiter(
            config.limits.failed_attempts_per_address_per_minute, config.limits.failed_attempts_per_identity_per_minute
        )
        self._verifier = PasswordVerifier()
        self._authenticator = Authenticator(self._directory, self._verifier, self._limiter, time.time)
        self._desk = AdmissionDesk(
            directory=self._directory,
            store=self._store,
            sessions=self._sessions,
            authenticator=self._authenticator,
            limiter=self._limiter,
            report=self._events.add,
        )
        self._links: dict[int, EdgeLink] = {}
        self._metrics = MetricsPage()
        self._settings: EdgeSettings | None = None
        self._last_reload: dict[str, Any] = {"ok": True, "time": self._started_at, "why": ""}

    # -- life

    async def start(self) -> None:
        """Load the registry and the files; afterwards edges may connect. Raises OSError, StoreError."""
        await self._directory.load(self._store)
        self._settings = self._builder.build(self._config, self._directory.revoked_fingerprints())
        self._use(self._config)
        for record in self._directory.records():
            if record.last_address:
                self._limiter.proven(record.last_address, record.charge_point_id)
        self._tasks.start(self._flush_forever(), "flush")
        self._tasks.start(self._follow_registry(), "registry")
        self._tasks.start(self._open_desk_after_a_while(), "open-desk")

    async def stop(self) -> None:
        """Write what is buffered and close."""
        await self._tasks.close()
        self._events.flush()
        self._verifier.close()
        await self._store.close()

    def _use(self, config: Config) -> None:
        """Put a configuration into force for admissions."""
        self._config = config
        self._desk.limits = config.limits
        self._desk.listeners = {
            x.name: ListenerFacts(name=x.name, security_profiles=x.security_profiles, csms=x.csms)
            for x in config.listeners
        }
        self._desk.csms_versions = {x.name: x.ocpp_versions for x in config.csms}
        self._authenticator.operator_names = config.operator_names
        limits = config.limits
        self._limiter.limit(
            limits.failed_attempts_per_address_per_minute, limits.failed_attempts_per_identity_per_minute
        )

    async def _open_desk_after_a_while(self) -> None:
        await asyncio.sleep(_COUNT_SESSIONS_S)
        self._desk.open = True

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            self._events.flush()
            self._sessions.expire()
            refusals = self._events.take_refusals()
            if refusals:
                try:
                    await self._store.call(lambda registry, refusals=refusals: registry.record_refusals(refusals))  # type: ignore[misc]
                except StoreError as error:
                    _log.warning("refusals_lost", count=len(refusals), error=str(error))
            await self._store.flush()

    # -- edges

    def new_link(self) -> EdgeLink:
        """Protocol factory for the link socket."""
        return EdgeLink(self._received, self._lost)

    def _lost(self, link: EdgeLink) -> None:
        if self._links.get(link.slot) is link:
            del self._links[link.slot]
            self._metrics.keep(link.counters)
        self._sessions.edge_lost(link)

    def _received(self, link: EdgeLink, message: EdgeMessage) -> None:
        match message:
            case AdmitRequest():
                self._tasks.start(self._decide(link, message), "admit")
            case SessionOpened(live=live):
                self._sessions.opened(live, link)
            case SessionClosed():
                self._session_closed(message)
            case Registered():
                self._tasks.start(self._registered(message), "registered")
            case Report(events=events):
                for event in events:
                    self._events.add(event)
            case Counters(values=values):
                link.counters = values
            case Hello():
                self._hello(link, message)
            case SettingsApplied(generation=generation, error=error):
                link.applied_generation, link.settings_error = generation, error
            case _:
                _log.error("unexpected_message", slot=link.slot, kind=type(message).__name__)

    def _hello(self, link: EdgeLink, hello: Hello) -> None:
        self._links[link.slot] = link
        for live in hello.sessions:
            self._sessions.opened(live, link)
            record = self._directory.get(live.charge_point_id)
            if record is None or not record.enabled:
                link.send(Disconnect(live.session, "not in the registry"))
        if self._settings is not None:
            link.send(SettingsUpdate(self._settings))
        if len(self._links) >= self._expected_edges:
            self._desk.open = True

    async def _decide(self, link: EdgeLink, request: AdmitRequest) -> None:
        link.send(await self._desk.decide(request, link))

    def _session_closed(self, message: SessionClosed) -> None:
        self._sessions.closed(message.charge_point_id, message.generation)
        observed: dict[str, Any] = {"last_seen_at": time.time()}
        record = self._directory.get(message.charge_point_id)
        if message.answers_pings and record is not None and not record.answers_pings:
            observed["answers_pings"] = True
        if record is not None:
            self._store.observe(message.charge_point_id, **observed)

    async def _registered(self, message: Registered) -> None:
        """BootNotification was accepted: remember what the charge point is, and whether this proves an upgrade."""
        claims = {"vendor": message.vendor, "model": message.model, "firmware": message.firmware}
        self._store.observe(message.charge_point_id, **{k: v for k, v in claims.items() if v})
        entry = self._sessions.get(message.charge_point_id)
        if entry is None or entry.generation != message.generation or not entry.upgrade_pending:
            return
        identity, profile = entry.charge_point_id, entry.security_profile
        await self._store.call(lambda registry: registry.prove_upgrade(identity, profile))
        entry.upgrade_pending = False
        self._events.own_event(
            "profile.upgraded", "info", "allow_alert", f"{identity} is on security profile {int(profile)}"
        )

    # -- the registry changes

    async def _follow_registry(self) -> None:
        while True:
            await asyncio.sleep(_POLL_REGISTRY_S)
            try:
                changed, revoked = await self._directory.refresh(self._store)
            except StoreError as error:
                _log.warning("registry_not_read", error=str(error))
                continue
            if revoked:
                self._push(self._builder.build(self._config, self._directory.revoked_fingerprints()))
            if changed or revoked:
                self._judge_again(changed, revoked)

    def _judge_again(self, changed: frozenset[ChargePointId], revoked: bool) -> None:
        """Sockets live for weeks: a session whose admission would not be given any more ends now."""
        for entry in self._sessions:
            why = ""
            if entry.charge_point_id in changed:
                why = _no_longer(entry, self._directory.get(entry.charge_point_id))
            if revoked and entry.certificate_sha256 in self._directory.revoked_fingerprints():
                why = "certificate revoked"
            if why and entry.edge is not None:
                entry.edge.tell_disconnect(Disconnect(entry.session, why))
                self._events.own_event("session.revoked", "medium", "disconnect", f"{entry.charge_point_id}: {why}")

    # -- reload

    async def reload(self, path: str) -> str:
        """Load configuration, files and registry anew. Empty if all is in force, else why nothing has changed."""
        try:
            config = await asyncio.to_thread(load_config, path)
            settings = await asyncio.to_thread(self._builder.build, config, self._directory.revoked_fingerprints())
            await self._directory.load(self._store)
        except (ConfigError, OSError, StoreError) as error:
            return self._reload_failed(str(error))
        why = await self._try_settings(settings)
        if why:
            if self._settings is not None:
                self._push(self._settings)
            return self._reload_failed(why)
        self._settings = settings
        self._use(config)
        self._events.reopen(_event_path(config))
        self._judge_again(frozenset(entry.charge_point_id for entry in self._sessions), revoked=True)
        self._last_reload = {"ok": True, "time": time.time(), "why": ""}
        self._events.own_event("config.reloaded", "info", "allow", f"generation {settings.generation}")
        return ""

    def _reload_failed(self, why: str) -> str:
        self._last_reload = {"ok": False, "time": time.time(), "why": why}
        self._events.own_event("config.reload_failed", "high", "keep_last_good", why)
        return why

    async def _try_settings(self, settings: EdgeSettings) -> str:
        """Give settings to every edge; empty if all of them can use them."""
        links = list(self._links.values())
        for link in links:
            link.send(SettingsUpdate(settings))
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline:
            errors = [
                link.settings_error
                for link in links
                if link.applied_generation == settings.generation and link.settings_error
            ]
            if errors:
                return errors[0]
            if all(
                link.applied_generation == settings.generation or self._links.get(link.slot) is not link
                for link in links
            ):
                return ""
            await asyncio.sleep(0.02)
        return "an edge worker does not answer"

    def _push(self, settings: EdgeSettings) -> None:
        self._settings = settings
        for link in self._links.values():
            link.send(SettingsUpdate(settings))

    # -- StatusSource

    def is_ready(self) -> bool:
        """True if every edge is there with the current settings and admissions are open."""
        generation = self._settings.generation if self._settings is not None else -1
        current = [
            link for link in self._links.values() if link.applied_generation == generation and not link.settings_error
        ]
        return self._desk.open and len(current) >= self._expected_edges

    def metrics(self) -> bytes:
        """Prometheus text."""
        own = {
            "ocpp_gateway_edges": float(len(self._links)),
            "ocpp_gateway_registered_charge_points": float(len(self._directory)),
            "ocpp_gateway_reload_ok": 1.0 if self._last_reload["ok"] else 0.0,
            "ocpp_gateway_events_lost_total": float(self._events.lost),
        }
        own |= {
            f'ocpp_gateway_events_recorded_total{{event="{name}"}}': float(n) for name, n in self._events.counts.items()
        }
        return self._metrics.render([link.counters for link in self._links.values()], own)

    def status(self) -> dict[str, Any]:
        """For `ocpp-gateway status` and `why`."""
        return {
            "version": __version__,
            "ready": self.is_ready(),
            "started_at": self._started_at,
            "uptime_s": round(time.time() - self._started_at, 1),
            "config": self._config.path,
            "generation": self._settings.generation if self._settings else 0,
            "last_reload": self._last_reload,
            "registered_charge_points": len(self._directory),
            "expected_edges": self._expected_edges,
            "edges": [
                {
                    "slot": link.slot,
                    "pid": link.pid,
                    "generation": link.applied_generation,
                    "error": link.settings_error,
                }
                for link in sorted(self._links.values(), key=lambda link: link.slot)
            ],
            "listeners": [
                {"name": x.name, "address": x.address, "security_profiles": [int(p) for p in x.security_profiles]}
                for x in self._config.listeners
            ],
            "events": dict(self._events.counts),
            "sessions": [_session_status(entry) for entry in self._sessions],
        }


def _event_path(config: Config) -> str:
    return config.security_events.path or str(Path(config.state_dir) / "security-events.jsonl")


def _no_longer(entry: Entry, record: ChargePointRecord | None) -> str:
    """Why this session would not be admitted any more, or an empty string."""
    if record is None:
        return "removed from the registry"
    if not record.enabled:
        return "disabled"
    if entry.security_profile not in {record.security_profile, record.pending_security_profile}:
        return "security profile changed"
    stored = {x.phc for x in (record.password, record.pending_password) if x is not None}
    if entry.password_phc and entry.password_phc not in stored:
        return "password replaced"
    return ""


def _session_status(entry: Entry) -> dict[str, Any]:
    live = entry.live
    return {
        "charge_point_id": entry.charge_point_id,
        "session": entry.session,
        "generation": entry.generation,
        "security_profile": int(entry.security_profile),
        "subprotocol": live.subprotocol if live else "",
        "peer": live.peer_address if live else "",
        "listener": live.listener if live else "",
        "csms": live.csms if live else "",
        "opened_at": live.opened_at if live else 0,
        "state": "open" if live else "connecting",
        "edge": entry.edge.slot if entry.edge is not None else None,
    }
