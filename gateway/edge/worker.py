"""An edge worker: listeners, live sessions, the link to control, and what control tells it to do."""

import asyncio
import os
import time
from functools import partial
from itertools import count

import structlog

from gateway.edge.control_link import ControlLink
from gateway.edge.csms import CSMSDialler, Dialled
from gateway.edge.deadlines import STEPS_PER_S, Deadlines
from gateway.edge.entrance import Entrance
from gateway.edge.events import DROPPED, Counts, EventCollector
from gateway.edge.frame_log import FrameLog
from gateway.edge.listener import ListenerState, build_listeners
from gateway.edge.own_calls import OwnCalls
from gateway.edge.ownership import owned_messages
from gateway.edge.policy_desk import PolicyDesk, wall_offset_s
from gateway.edge.pump import Bridge, Leg
from gateway.edge.questions import Questions
from gateway.edge.recorder import Recorder
from gateway.edge.refusals import CLOSE_CODES
from gateway.edge.session_desk import SessionDesk
from gateway.edge.session_limits import reader_limits, relay_limits
from gateway.edge.shared_values import SharedValues
from gateway.edge.source_limits import SourceLimits
from gateway.edge.tcp import listening_socket, set_user_timeout_of_accepted
from gateway.edge.tls import TLSConnection
from gateway.identity.evidence import Admission, Transport
from gateway.identity.refusal import Reason, Refusal
from gateway.link.collector import freeze_survivors
from gateway.link.images import ImageChecked
from gateway.link.messages import (
    AdmitGranted,
    AdmitRefused,
    BudgetAnswer,
    CertificateRequestTaken,
    ControlMessage,
    Counters,
    Disconnect,
    Drain,
    EdgeSettings,
    GatewayCall,
    Hello,
    LiveSession,
    PasswordNoted,
    Probe,
    ProbeAnswer,
    ProfileNoted,
    QuarantineChanged,
    Report,
    SessionClosed,
    SessionOpened,
    SettingsApplied,
    SettingsUpdate,
)
from gateway.link.policy_counts import CountersKept
from gateway.link.relayed import FramesRecorded
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from gateway.policy.snapshot import Snapshot
from gateway.relay.effects import Effects
from gateway.relay.interception import CertificateDuty
from gateway.relay.relay import Relay, RelayLimits
from gateway.websocket.deflate import DeflateParameters
from gateway.websocket.messages import ReaderLimits

__all__ = ["Worker"]

_FLUSH_S = 0.1
_COUNTERS_EVERY_FLUSHES = 20
_COUNTED_AT_ONCE = 250
"""Sessions whose traffic is added up in one turn of the event loop."""
_FROM_CHARGE_POINT, _FROM_CSMS = (
    (f'ocpp_gateway_messages_total{{origin="{name}"}}', f'ocpp_gateway_message_bytes_total{{origin="{name}"}}')
    for name in ("charge-point", "csms")
)
_PROBE_POLL_S = 0.05
_REVISION_DIGITS = 12
_LAST_WORDS_S = 1.0
_log = structlog.get_logger("edge.worker")


class Worker:
    """State of one edge process. Lives on one event loop, in one thread."""

    def __init__(self, slot: int, control_path: str, listening: dict[str, int]) -> None:
        self.slot = slot
        self.counts = Counts()
        self.events = EventCollector(time.time, self.counts)
        self.tasks = TaskOwner()
        self.bridges: dict[str, Bridge] = {}
        self.listeners: dict[str, ListenerState] = {}
        self.diallers: dict[str, CSMSDialler] = {}
        self.entering: dict[str, Entrance] = {}
        """Connections between their request for admission and their 101: they may still be disconnected or probed."""
        self.draining = False
        self.ready = asyncio.Event()
        self.settings: EdgeSettings
        self.limits = SourceLimits(0, 0, 0)
        self.deadlines: Deadlines
        self._listening = dict(listening)
        self._servers: dict[str, asyncio.Server] = {}
        self._serving = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._reader_limits: ReaderLimits
        self._relay_limits: RelayLimits
        """Made once for all sessions that begin under the same settings."""
        self._numbers = count(1)
        self._shared = SharedValues()
        self._boot = f"{os.getpid():x}{int(time.time()) & 0xFFFFFF:06x}"
        self.link = ControlLink(control_path, hello=self._hello, on_message=self._told, on_lost=self._control_lost)
        self.frame_log = FrameLog(self.link, self.counts, lambda: self.policy.revision, time.time, self._boot)
        self.recorder = Recorder(
            self.link, self.counts, lambda: self.policy.revision, time.time, time.monotonic, self.frame_log.around
        )
        self.policy = PolicyDesk(self.link, self._settled)
        self.own_calls = OwnCalls(self.link, self.bridges)
        self.questions = Questions(self.link)
        self.desk = SessionDesk(self)

    # -- life

    async def run(self) -> None:
        """Serve until cancelled."""
        self.tasks.start(self.link.run(), "control-link")
        self.tasks.start(self._flush_forever(), "flush")
        await self.ready.wait()
        self.tasks.start(self._tick_forever(), "deadlines")
        await asyncio.get_running_loop().create_future()

    async def _tick_forever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number in count(1):
            due = max(due + 1.0 / STEPS_PER_S, loop.time())
            await asyncio.sleep(due - loop.time())
            try:
                self.deadlines.tick()
                if number % STEPS_PER_S == 0:
                    freeze_survivors()
            except Exception:  # noqa: BLE001  the defect of one session must not end the timers of all
                _log.exception("tick_failed")

    async def _flush_forever(self) -> None:
        for number in count():
            await asyncio.sleep(_FLUSH_S)
            if not self.link.connected:
                continue
            try:
                self._send_events()
                self.policy.tell()
                self.frame_log.give_up(time.monotonic())
                for part in (self.frame_log, self.recorder):
                    while part.flush():
                        await asyncio.sleep(0)
                if number % _COUNTERS_EVERY_FLUSHES == 0:
                    await self._send_counters()
            except Exception:  # noqa: BLE001  the defect of one must not end events, recording and counters of all
                _log.exception("flush_failed")

    async def _send_counters(self) -> None:
        self.counts.set("ocpp_gateway_sessions", len(self.bridges))
        self.counts.set("ocpp_gateway_handshakes", self.limits.handshakes)
        values = dict(self.counts.values)
        # Those that end meanwhile are not in `values` yet, and keep their numbers: each is counted once.
        for number, bridge in enumerate(list(self.bridges.values()), 1):
            _add_traffic(values, bridge)
            if number % _COUNTED_AT_ONCE == 0:
                await asyncio.sleep(0)
        self.link.send(Counters(values))

    def _send_events(self) -> None:
        events = self.events.take()
        if events and not self.link.send(Report(events)):
            self.counts.add(DROPPED, sum(event.count for event in events))

    async def stop(self) -> None:
        """Abort what is still open and tell control the rest."""
        for bridge in list(self.bridges.values()):
            bridge.abort("edge-stopped")
        await self.tasks.close()
        await asyncio.sleep(0)  # the aborted transports report now
        if self.link.connected:
            self._send_events()
            self.frame_log.flush_all(time.monotonic())
            self.recorder.flush_all()
            await self._send_counters()
        await self.link.close(_LAST_WORDS_S)

    def _hello(self) -> Hello:
        # A control that does not know of an admission must not find it used: it may give another one meanwhile.
        self._turn_away(Refusal(Reason.CONTROL_DOWN, "control was replaced meanwhile"))
        self.frame_log.again()
        self.policy.tell_again()
        return Hello(self.slot, os.getpid(), tuple(_live(bridge) for bridge in self.bridges.values()))

    def _control_lost(self) -> None:
        self.own_calls.control_lost()

    def _settled(self, leg: Leg, ticket: int, effects: Effects | None) -> None:
        self.frame_log.settled(leg, ticket, effects)
        self.recorder.settled(leg, ticket, effects)

    def _turn_away(self, refusal: Refusal) -> None:
        for entrance in list(self.entering.values()):
            entrance.turn_away(refusal)

    # -- settings and listeners

    async def _change_to(self, settings: EdgeSettings) -> None:
        """Use these settings, after those that came before them."""
        async with self._changing:
            try:
                prepared = await self.policy.prepare(settings.policy)
                self._apply(settings, prepared)
            except Exception as error:  # noqa: BLE001  whatever is wrong with new settings, the old ones stay
                _log.error("settings_refused", generation=settings.generation, error=str(error))
                self.link.send(SettingsApplied(settings.generation, f"{type(error).__name__}: {error}"))

    def _apply(self, settings: EdgeSettings, prepared: Snapshot | None) -> None:
        """In one turn of the event loop: no message sees old and new ones mixed."""
        first = not self.ready.is_set()
        trust_changed = first or settings.trust_generation != self.settings.trust_generation
        listeners = build_listeners(settings, self.listeners, trust_changed)
        diallers = {entry.csms.name: self._dialler(entry.csms.name, entry) for entry in settings.csms}
        self.frame_log.flush_all(time.monotonic())  # by the policy that decided
        self.policy.use(settings.policy, prepared)
        self.recorder.use(settings.recording, self.bridges.values())
        self.settings, self.listeners, self.diallers = settings, listeners, diallers
        self._reader_limits = reader_limits(settings.websocket)
        self._relay_limits = relay_limits(settings.websocket, settings.audit)
        self.frame_log.use(settings.audit)
        limits = settings.limits
        self.limits.max_handshakes = limits.max_handshakes
        self.limits.handshakes_per_address = limits.handshakes_per_address
        self.limits.connects_per_minute = limits.connects_per_address_per_minute
        if first:
            self.deadlines = Deadlines(settings.websocket)
        else:
            self.deadlines.use(settings.websocket)
        self.tasks.start(self._serve(settings.generation), "serve")

    def _dialler(self, name: str, entry: "object") -> CSMSDialler:
        old = self.diallers.get(name)
        if old is not None and old.settings == entry:
            return old
        return CSMSDialler(entry)  # type: ignore[arg-type]

    async def _serve(self, generation: int) -> None:
        """Accept on every listener that has both a socket and settings; stop on those that are gone."""
        error = ""
        async with self._serving:
            for name in [name for name in self._servers if name not in self.listeners or name not in self._listening]:
                self._servers.pop(name).close()
            try:
                for name, descriptor in list(self._listening.items()):
                    set_user_timeout_of_accepted(descriptor, self.settings.websocket.tcp_user_timeout_s)
                    if name in self.listeners and name not in self._servers and not self.draining:
                        await self._listen(name, descriptor)
            except OSError as failed:
                error = f"cannot accept: {failed}"
                _log.error("cannot_accept", error=str(failed))
        if not error:
            self.ready.set()
        self.link.send(SettingsApplied(generation, error))

    async def _listen(self, name: str, descriptor: int) -> None:
        server = await asyncio.get_running_loop().create_server(
            partial(self._accept, name), sock=listening_socket(descriptor), backlog=4096
        )
        if self._listening.get(name) == descriptor:
            self._servers[name] = server
        else:  # taken away meanwhile
            server.close()

    def _accept(self, listener: str) -> Entrance:
        return Entrance(self, self.listeners[listener], f"{self._boot}-{self.slot}-{next(self._numbers)}")

    def add_sockets(self, listening: dict[str, int]) -> None:
        """New listening sockets from the supervisor; used once settings name their listener."""
        self._listening |= listening
        if self.ready.is_set():
            self.tasks.start(self._serve(self.settings.generation), "serve")

    def remove_sockets(self, names: list[str]) -> None:
        """Stop accepting on these listeners; live sessions stay."""
        for name in names:
            server = self._servers.pop(name, None)
            if server is not None:
                server.close()
            # Without this the kernel would go on handing connections to a socket that nobody accepts from.
            if name in self._listening:
                os.close(self._listening.pop(name))

    # -- sessions

    def open_session(  # noqa: PLR0913  all that the stages before have proven
        self,
        *,
        admission: Admission,
        facts: Transport,
        version: OCPPVersion,
        charge_point: asyncio.Transport,
        tls: TLSConnection | None,
        deflate: DeflateParameters | None,
        dialled: Dialled,
        answer: bytes,
        early: bytes,
    ) -> None:
        """The last step of the entrance: build the relay from the admission, answer 101, start pumping."""
        settings = self.settings.websocket
        now = time.time()
        judge = self.policy.judge(admission, version, facts.peer.address, now)
        bridge = Bridge(
            owner=self.desk,
            admission=admission,
            transport_facts=self._shared.without_certificate(facts),
            version=version,
            subprotocol=version.subprotocol,
            relay=Relay(admission, version, self._relay_limits, judge, wall_offset_s(), self._duty(admission)),
            wall_opened_at=now,
        )
        bridge.connect(
            charge_point=charge_point,
            tls=tls,
            charge_point_deflate=deflate,
            csms=dialled.transport,
            csms_deflate=dialled.deflate,
            limits=self._reader_limits,
            tcp_user_timeout_s=settings.tcp_user_timeout_s,
            max_write_buffer_bytes=settings.max_write_buffer_bytes,
        )
        self.recorder.attach(bridge)
        self.bridges[admission.session] = bridge
        self.deadlines.add(bridge)
        self.counts.add(f'ocpp_gateway_sessions_opened_total{{security_profile="{int(admission.security_profile)}"}}')
        self.link.send(SessionOpened(_live(bridge)))
        bridge.charge_point.write(answer)
        bridge.start(early, dialled.early)

    def _duty(self, admission: Admission) -> CertificateDuty | None:
        """What the gateway owns of this charge point."""
        csms = next((each.csms for each in self.settings.csms if each.csms.name == admission.csms), None)
        owned = owned_messages(csms) if csms is not None else frozenset()
        if csms is None or not owned:
            return None
        with_tls = admission.security_profile is not SecurityProfile.BASIC
        return CertificateDuty(may_ask=with_tls or csms.unsafe_enrolment_without_tls, owned=owned)

    def released(self, admission: Admission, reason: str) -> None:
        """An admission that never became a session."""
        self.link.send(SessionClosed(admission.session, admission.charge_point_id, admission.generation, reason))

    # -- how sessions end

    def finished(self, bridge: Bridge, reason: str) -> None:
        admission = bridge.admission
        if self.bridges.get(admission.session) is bridge:
            del self.bridges[admission.session]
            self.own_calls.ended(admission.session)
            self.questions.ended(admission.session)
        self.deadlines.remove(bridge)
        charge_point, csms = bridge.charge_point, bridge.csms
        _add_traffic(self.counts.values, bridge)
        self.policy.hand_over(admission.charge_point_id)
        self.link.send(
            SessionClosed(
                admission.session,
                admission.charge_point_id,
                admission.generation,
                reason,
                charge_point.message_count,
                csms.message_count,
                charge_point.byte_count,
                csms.byte_count,
                charge_point.ponged,
            )
        )

    # -- what control says

    def _told(self, message: ControlMessage) -> None:
        match message:
            case SettingsUpdate(settings=settings):
                self.tasks.start(self._change_to(settings), "settings")
                self.questions.again()
            case Probe():
                self.tasks.start(self._probe(message), "probe")
            case Disconnect():
                self._disconnect(message)
            case BudgetAnswer() | QuarantineChanged() | CountersKept():
                self.policy.told(message)
            case GatewayCall():
                self.own_calls.call(message)
            case CertificateRequestTaken() | PasswordNoted() | ProfileNoted() | ImageChecked():
                self.questions.told(message)
            case FramesRecorded():
                self.frame_log.told(message)
            case Drain(timeout_s=timeout_s):
                self.tasks.start(self.drain(timeout_s), "drain")
            case AdmitGranted() | AdmitRefused():
                raise AssertionError("answered by the link")

    def _disconnect(self, told: Disconnect) -> None:
        entrance = self.entering.get(told.session)
        if entrance is not None:
            entrance.turn_away(Refusal(Reason.CONTROL_DOWN, f"the admission was revoked: {told.reason}"))
        bridge, code = self.bridges.get(told.session), CLOSE_CODES[told.cause]
        if bridge is not None:
            bridge.close(code, "", f"disconnected:{told.reason}", csms_code=CLOSE_CODES["charge-point-lost"])

    async def _probe(self, probe: Probe) -> None:
        """Is the charge point of this session still there? If not, both legs are closed before we answer."""
        bridge = self.bridges.get(probe.session)
        if bridge is None:
            alive = await self._probe_entering(probe.session)
            self.link.send(ProbeAnswer(probe.request_id, probe.session, alive=alive))
            return
        leg = bridge.charge_point
        asked_at = time.monotonic()
        leg.send_ping(asked_at)
        alive = False
        while time.monotonic() - asked_at < probe.timeout_s and not leg.lost:
            await asyncio.sleep(_PROBE_POLL_S)
            if leg.seen_at > asked_at:
                alive = not bridge.close_deadline
                break
        if not alive:
            bridge.abort("replaced:no-answer-to-probe")
            await asyncio.sleep(0)
        self.link.send(ProbeAnswer(probe.request_id, probe.session, alive=alive))

    async def _probe_entering(self, session: str) -> bool:
        """One on its way to the CSMS will get its 101 soon, unless the charge point has given up waiting for it."""
        entrance = self.entering.get(session)
        if entrance is None or not entrance.has_gone():
            return entrance is not None
        entrance.turn_away(Refusal(Reason.PEER_WENT_AWAY))
        while session in self.entering:
            await asyncio.sleep(0)
        return False

    async def drain(self, timeout_s: float) -> None:
        """Accept nothing new and close every session, spread over most of the time there is."""
        self.draining = True
        self.remove_sockets(list(self._listening))
        self._turn_away(Refusal(Reason.DRAINING))
        sessions = list(self.bridges.values())
        pause_s = timeout_s * 0.7 / max(1, len(sessions))
        for bridge in sessions:
            if not bridge.close_deadline:
                bridge.close(CLOSE_CODES["draining"], "", "draining")
            await asyncio.sleep(min(pause_s, 0.05))
        _log.info("drained", sessions=len(sessions))


def _add_traffic(values: dict[str, float], bridge: Bridge) -> None:
    """Add what a session has relayed so far. Sessions live for weeks: waiting for their end would show nothing."""
    for leg, (messages, size) in ((bridge.charge_point, _FROM_CHARGE_POINT), (bridge.csms, _FROM_CSMS)):
        values[messages] = values.get(messages, 0) + leg.message_count
        values[size] = values.get(size, 0) + leg.byte_count


def _live(bridge: Bridge) -> LiveSession:
    admission = bridge.admission
    return LiveSession(
        session=admission.session,
        charge_point_id=admission.charge_point_id,
        generation=admission.generation,
        security_profile=admission.security_profile,
        subprotocol=bridge.subprotocol,
        peer_address=bridge.transport_facts.peer.address,
        listener=bridge.transport_facts.peer.listener,
        csms=admission.csms,
        opened_at=bridge.wall_opened_at,
        proof=admission.proof,
        registered=bridge.relay.registered,
        group=admission.group,
        boot_state=bridge.boot_state,
    )
