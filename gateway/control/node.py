"""The control process as one object: edges, admissions, registry changes, reloads, status."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from gateway import __version__
from gateway.audit.event import printable
from gateway.config.model import Config
from gateway.config.problems import ConfigError
from gateway.control.admission import AdmissionDesk
from gateway.control.audit_trail import AuditTrail
from gateway.control.authentication import Authenticator
from gateway.control.credentials import PasswordVerifier
from gateway.control.directory import Directory
from gateway.control.event_log import EventLog, event_path
from gateway.control.fleet_policy import FleetPolicy
from gateway.control.foreign_revocations import ForeignRevocations
from gateway.control.link_server import EdgeLink
from gateway.control.live_session import live_certificates, recall
from gateway.control.metrics import MetricsPage
from gateway.control.operator_requests import OperatorRequest
from gateway.control.own_calls import OwnCalls
from gateway.control.parts import Parts, Surroundings
from gateway.control.ping_answers import PingAnswers
from gateway.control.recordings import Recordings
from gateway.control.registry_changes import Change
from gateway.control.sessions import Sessions
from gateway.control.settings import PolicyInvalid
from gateway.control.settings_in_force import SettingsInForce
from gateway.control.standing_sessions import StandingSessions
from gateway.control.status import edges_status, listeners_status, session_status
from gateway.control.store_thread import StoreThread
from gateway.control.trust import listener_facts, trust_of
from gateway.identity.evidence import CertificateProof, is_limited
from gateway.identity.guessing import GuessingLimiter
from gateway.link.collector import freeze_survivors
from gateway.link.messages import (
    AdmitRequest,
    BootStateChanged,
    BudgetRequest,
    EdgeMessage,
    EdgeSettings,
    GatewayCallDone,
    Hello,
    LiveSession,
    QuarantineChanged,
    RecordedLines,
    Registered,
    Report,
    SessionClosed,
    SessionOpened,
    SettingsApplied,
)
from gateway.link.policy_counts import CountersKept, PolicyTallies
from gateway.link.relayed import RelayedFrames
from gateway.link.tasks import TaskOwner
from gateway.store.errors import StoreError

__all__ = ["Node"]

_COUNT_SESSIONS_S = 3.0
_POLL_REGISTRY_S = 0.5
_FLUSH_S = 0.1
_OBSERVATIONS_S = 2.0
"""Nobody waits for them; a charge point that comes and goes meanwhile is one row, not two."""
_EXPIRE_S = 1.0
_LAST_WORDS_S = 1.0
_log = structlog.get_logger("control")


class Node:
    """Everything control knows. One event loop; the registry has a thread of its own."""

    def __init__(self, config: Config, expected_edges: int, settings: EdgeSettings | None = None) -> None:
        """`settings`: what a control process before this one had put into force with the same configuration."""
        self._config = config
        self._expected_edges = expected_edges
        self._started_at = time.time()
        first = int(self._started_at * 1000)
        self._tasks = TaskOwner()
        self._store = StoreThread(config.database_url)
        self._directory = Directory()
        self._pings = PingAnswers(self._directory, self._store, self._tasks)
        self._sessions = Sessions(first)
        self._trail = AuditTrail(config)
        self._events = EventLog(event_path(config), self._trail.record)
        self._directory.on_change = self._changed_by_others
        self._limiter = GuessingLimiter(
            config.limits.failed_attempts_per_address_per_minute, config.limits.failed_attempts_per_identity_per_minute
        )
        self._verifier = PasswordVerifier()
        self._authenticator = Authenticator(self._directory, self._verifier, self._limiter, time.time)
        self._standing = StandingSessions(self._sessions, self._directory, self._authenticator, self._events.own_event)
        self._foreign = self._authenticator.foreign = self._foreign_revocations(config)
        self._desk = AdmissionDesk(
            directory=self._directory,
            store=self._store,
            sessions=self._sessions,
            authenticator=self._authenticator,
            limiter=self._limiter,
            report=self._events.add,
            may_admit=self._trail.may_admit,
        )
        self._links: dict[int, EdgeLink] = {}
        self._metrics = MetricsPage()
        self._recordings = Recordings()
        self._fleet_policy = FleetPolicy(self._links, lambda: len(self._sessions), self._events.own_event)
        self._in_force = SettingsInForce(settings, first, self._links, self._events.own_event)
        self._own_calls = OwnCalls(self._events.own_event, config.websocket.max_message_bytes, self._trail.may_happen)
        self.parts = self._made_parts()
        self._changing = asyncio.Lock()
        self._trust_is_stale = False  # revocations have changed since the edges got their settings
        self.on_recertified: Callable[[], None] = lambda: None
        """Edges show other certificates now, and what is in force has to outlive us."""
        self.draining = False

    def _made_parts(self) -> Parts:
        parts = Parts(
            Surroundings(
                config=self._config,
                store=self._store,
                directory=self._directory,
                sessions=self._sessions,
                calls=self._own_calls,
                verifier=self._verifier,
                trail=self._trail,
                fleet_policy=self._fleet_policy,
                tasks=self._tasks,
                report=self._events.own_event,
                add_event=self._events.add,
                recertify=self._recertify,
            )
        )
        self._desk.keeps_candidate = parts.passwords.keeps_candidate
        return parts

    def _foreign_revocations(self, config: Config) -> ForeignRevocations:
        cache = Path(config.state_dir) / "revocation-lists"
        live = partial(live_certificates, self._sessions, self._authenticator.bundle_name)
        foreign = ForeignRevocations(cache, self._events.own_event, live)
        foreign.on_change = partial(self._standing.judge_changed, frozenset(), revoked=True)
        return foreign

    # -- life

    async def start(self) -> None:
        """Load the registry and the files; afterwards edges may connect. Raises OSError, StoreError."""
        await self._directory.load(self._store)
        for part in self.parts:
            await part.load()
        await self._directory.refresh(self._store)  # with what they have found meanwhile
        await asyncio.to_thread(self._trail.open)
        self._use(self._config, self._in_force.begin(self._config, self._directory.revocations()))
        await self._foreign.recalled()
        for record in self._directory.records():
            if record.last_address:
                self._limiter.proven(record.last_address, record.charge_point_id)
        self._tasks.start(self._repeat(_FLUSH_S, self._events.write_aside), "flush")
        self._tasks.start(self._repeat(_FLUSH_S, self._flush_refusals), "refusals")
        self._tasks.start(self._repeat(_FLUSH_S, self._recordings.flush), "recordings")
        self._tasks.start(self._repeat(_OBSERVATIONS_S, self._store.flush), "store")
        self._tasks.start(self._repeat(_EXPIRE_S, self._expire), "expire")
        self._tasks.start(self._repeat(_EXPIRE_S, self._trail.relayed.tick), "relayed")
        self._tasks.start(self._repeat(_POLL_REGISTRY_S, self._follow_registry), "registry")
        self._tasks.start(self._open_desk_after_a_while(), "open-desk")
        for part in self.parts:
            if part.tick_every_s:
                self._tasks.start(self._repeat(part.tick_every_s, part.tick, part.name), part.name)

    async def stop(self) -> None:
        """Hear the edges, which end before control does, to their last word; write what is buffered and close."""
        deadline = time.monotonic() + _LAST_WORDS_S
        while self._links and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        await self._tasks.close()
        for part in self.parts:
            await part.close()
        await self._foreign.close()
        self._events.flush()
        await self._recordings.flush()
        await self._flush_refusals(everything=True)
        await asyncio.to_thread(self._trail.close)
        self._verifier.close()
        await self._store.close()

    def _use(self, config: Config, settings: EdgeSettings) -> None:
        """Put a configuration into force for admissions and for all parts."""
        self._config = config
        self._trail.use(config)
        self._desk.limits = config.limits
        self._standing.keeps_revoked = config.limits.revoked_sessions == "keep"
        self._own_calls.max_message_bytes = config.websocket.max_message_bytes
        for part in self.parts:
            part.use(config)
            part.follow(settings)
        self._desk.listeners = self._authenticator.listeners = listener_facts(config)
        self._desk.csms_versions = {x.name: x.ocpp_versions for x in config.csms}
        self._recordings.use(config, settings.recording, self._in_force.recording_error)
        self._authenticator.trust = trust_of(settings, config.operator_names)
        self._foreign.use(settings.trust)
        limits = config.limits
        self._limiter.limit(
            limits.failed_attempts_per_address_per_minute, limits.failed_attempts_per_identity_per_minute
        )

    async def _open_desk_after_a_while(self) -> None:
        await asyncio.sleep(_COUNT_SESSIONS_S)
        self._desk.open = True

    async def _repeat(self, every_s: float, work: Callable[[], Awaitable[None]], name: str = "") -> None:
        """Do `work` again and again, each kind in a task of its own: a locked database holds up no event."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await work()
            except Exception as error:  # noqa: BLE001  a gateway that stops following its registry admits the disabled
                _log.error("work_failed", work=name or work.__name__, error=repr(error), exc_info=error)

    async def _expire(self) -> None:
        self._sessions.expire()
        for entry in self._sessions:
            if isinstance(entry.proof, CertificateProof) and entry.proof.renewal_only == "expired":
                self._standing.judge(entry)
        freeze_survivors()

    async def _flush_refusals(self, *, everything: bool = False) -> None:
        refusals = self._events.take_refusals(time.time(), everything=everything)
        if refusals:
            try:
                await self._store.call_later(lambda registry: registry.record_refusals(refusals))
            except StoreError as error:
                _log.warning("refusals_lost", count=len(refusals), error=str(error))

    # -- edges

    def new_link(self) -> EdgeLink:
        """Protocol factory for the link socket."""
        return EdgeLink(self._received, self._lost)

    def _lost(self, link: EdgeLink) -> None:
        if self._links.get(link.slot) is link:
            del self._links[link.slot]
            self._metrics.edge_lost(link.slot, link.pid, link.counters)
        self._sessions.edge_lost(link)
        self._own_calls.edge_lost(link)

    def _received(self, link: EdgeLink, message: EdgeMessage) -> None:
        match message:
            case AdmitRequest():
                self._desk.ask(message, link, self._fleet_policy.bringing(link), self._tasks)
            case SessionOpened() | SessionClosed() | BootStateChanged() | Registered():
                self._session_changed(link, message)
            case Report(events=events):
                for event in events:
                    self._events.add(event)
            case GatewayCallDone():
                self._own_calls.done(message)
            case RecordedLines():
                self._recordings.add(message)
            case RelayedFrames():
                self._trail.relayed.take(link, message)
            case Hello():
                self._hello(link, message)
            case BudgetRequest() | QuarantineChanged() | PolicyTallies() | CountersKept():
                self._fleet_policy.heard(link, message)
            case SettingsApplied(generation=generation, error=error):
                link.applied_generation, link.settings_error = generation, error
            case _:
                if not self.parts.heard(message, link):
                    _log.error("unexpected_message", slot=link.slot, kind=type(message).__name__)

    def _session_changed(
        self, link: EdgeLink, message: SessionOpened | SessionClosed | BootStateChanged | Registered
    ) -> None:
        match message:
            case Registered():
                self._registered(message)
            case SessionOpened(live=live):
                self._opened(link, live)
            case SessionClosed():
                self._session_closed(message)
            case BootStateChanged(charge_point_id=identity, generation=generation, boot_state=state):
                entry = self._sessions.get(identity)
                if entry is not None and entry.generation == generation:
                    self._desk.boot_states.note(identity, state)

    def _hello(self, link: EdgeLink, hello: Hello) -> None:
        if (before := self._links.get(link.slot)) is not None and before is not link:
            self._lost(before)
        self._metrics.edge_came(link.slot, link.pid)
        self._links[link.slot] = link
        for live in hello.sessions:
            self._opened(link, live)
        self._in_force.greet(link)
        self._fleet_policy.greet(link)
        if len(self._links) >= self._expected_edges:
            self._desk.open = True

    def _opened(self, link: EdgeLink, live: LiveSession) -> None:
        """A relay runs: one we have granted, or one that outlived the control process before us.

        While the CSMS was dialled, or control was away, nobody could end it: it is judged again.
        """
        self._trail.session_opened(live)
        entry = self._sessions.opened(live, link)
        if entry is None:
            return
        if not is_limited(live.proof):
            self._desk.boot_states.note(live.charge_point_id, live.boot_state)
        record = self._directory.get(live.charge_point_id)
        if record is not None:
            recall(entry, record)
            self.parts.passwords.recall(entry)
        self._standing.judge(entry)
        for part in self.parts.of_sessions:
            part.opened(entry)
            if live.registered:
                part.registered(entry)

    def _session_closed(self, message: SessionClosed) -> None:
        self._trail.session_closed(message)
        self._sessions.closed(message.charge_point_id, message.generation)
        self._store.observe(message.charge_point_id, last_seen_at=time.time())
        self._pings.closed(message)

    def _registered(self, message: Registered) -> None:
        """BootNotification was accepted: remember what the charge point is, and whether this proves an upgrade."""
        said = (("vendor", message.vendor), ("model", message.model), ("firmware", message.firmware))
        claims = {name: printable(text, 64) for name, text in said if text}
        self._pings.registered(message.charge_point_id, claims.get("firmware", ""))
        self._store.observe(message.charge_point_id, **claims)
        self._directory.learnt(message.charge_point_id, **claims)
        entry = self._sessions.get(message.charge_point_id)
        if entry is not None and entry.generation == message.generation:
            entry.has_booted |= bool(message.model)  # what a BootNotification must name, and nothing else does
            for part in self.parts.of_sessions:
                part.registered(entry)

    # -- the registry changes

    def _changed_by_others(self, change: Change) -> None:
        event, identity, what, actor = change
        self._events.own_event(event, "medium", "allow", what, identity, actor)

    async def _follow_registry(self) -> None:
        try:
            changed, revoked = await self._directory.refresh(self._store)
        except StoreError as error:
            _log.warning("registry_not_read", error=str(error))
            return
        if revoked:
            what, who = "certificates were revoked, or no more", self._directory.revoked_by
            self._events.own_event("admin.revocations_changed", "medium", "allow", what, actor=who)
        if changed or revoked:
            self._standing.judge_changed(changed, revoked=revoked)
        for part in self.parts if changed else ():
            part.records_changed(changed)
        self._trust_is_stale |= revoked
        # A reload that is running does it with its own settings, or leaves it to the next round here.
        if self._trust_is_stale and not self._changing.locked():
            self._trust_is_stale = False
            self._in_force.renew_trust(self._directory.revocations())

    # -- reload

    async def _recertify(self) -> str:
        """The gateway's own certificates have changed on the disk. Empty, or why they are not in force."""
        async with self._changing:
            why = await self._in_force.recertify(self._config, self._directory.revocations())
            if not why and (settings := self._in_force.current) is not None:
                for part in self.parts:
                    part.follow(settings)
                self.on_recertified()
        return why

    async def reload(self, config: Config) -> str:
        """Put a configuration into force, with files and registry read anew. Empty, or why nothing has changed."""
        async with self._changing:
            try:
                # The registry first: what was revoked meanwhile belongs to the new settings.
                self._trust_is_stale |= await self._directory.load(self._store)
                self._standing.judge_all()
                settings = await self._in_force.build(config, self._directory.revocations())
                events = self._events.open(event_path(config))
            except (OSError, StoreError, ConfigError) as error:
                if isinstance(error, PolicyInvalid):
                    self._events.own_event("policy.reload_failed", "high", "keep_last_good", str(error))
                return self._in_force.failed(str(error))
            change = f"to generation {settings.generation}, policy {settings.policy.revision[:12]}"
            self._events.own_event("config.change", "info", "allow", change)
            if not await self._trail.may_happen():
                self._events.abandon(events)
                return self._in_force.failed("the audit log cannot be written, and a change has to be recorded first")
            # From here on some edges have the new roots and some the old ones.
            self._authenticator.tried_out = trust_of(settings, config.operator_names)
            try:
                why = await self._in_force.come_into_force(settings)
            finally:
                self._authenticator.tried_out = None
            if why:
                self._events.abandon(events)
                return self._in_force.failed(why)
            self._use(config, settings)
            self._events.use(event_path(config), events)
        self._standing.judge_all()
        self._in_force.succeeded()
        return ""

    def reload_failed(self, why: str, *, recorded: bool = False) -> str:
        """Show, and record unless a control before us has, why the last good state stays in force; gives `why` back."""
        return self._in_force.failed(why, recorded=recorded)

    # -- StatusSource

    def requests(self) -> list[OperatorRequest]:
        """What operators may ask of this node."""
        return [request for part in self.parts for request in part.requests()]

    def is_ready(self) -> bool:
        """True if every edge is there with the current settings, which are not too old, and admissions are open and stay so."""
        is_open = self._desk.open and not self.draining and not self._fleet_policy.health.is_stale
        return is_open and self._in_force.are_applied_by(self._expected_edges)

    def settings(self) -> EdgeSettings | None:
        """What is in force; for the next control process."""
        return self._in_force.current

    def settings_refused(self) -> str:
        """Why an edge cannot use the settings, or an empty string."""
        return self._in_force.refused()

    def metrics(self) -> bytes:
        """Prometheus text."""
        own = {
            "ocpp_gateway_edges": float(len(self._links)),
            "ocpp_gateway_registered_charge_points": float(len(self._directory)),
            "ocpp_gateway_reload_ok": 1.0 if self._in_force.last_reload["ok"] else 0.0,
            "ocpp_gateway_events_lost_total": float(self._events.lost),
            "ocpp_gateway_recording_unwritten_total": float(self._recordings.lost),
            **self._trail.metrics(),
        }
        for part in self.parts:
            own |= part.metrics()
        own |= self._foreign.metrics() | {
            f'ocpp_gateway_events_recorded_total{{event="{name}"}}': float(n) for name, n in self._events.counts.items()
        }
        return self._metrics.render([link.counters for link in self._links.values()], own)

    def status(self) -> dict[str, Any]:
        """For `ocpp-gateway status` and `why`."""
        settings = self._in_force.current
        parts = {part.name: shown for part in self.parts if (shown := part.status()) is not None}
        return {
            "version": __version__,
            "ready": self.is_ready(),
            "started_at": self._started_at,
            "uptime_s": round(time.time() - self._started_at, 1),
            "config": self._config.path,
            "generation": settings.generation if settings else 0,
            "last_reload": self._in_force.last_reload,
            "policy_revision": settings.policy.revision if settings else "",
            "registered_charge_points": len(self._directory),
            "expected_edges": self._expected_edges,
            "edges": edges_status(self._links.values()),
            "listeners": listeners_status(self._config),
            "revocation_lists": self._foreign.status(),
            "events": dict(self._events.counts),
            "recording": self._recordings.status(self._directory.records()),
            "audit": self._trail.status(),
            **parts,
            "sessions": [session_status(entry) for entry in self._sessions],
        }
