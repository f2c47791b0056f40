"""Performs what `gateway.provisioning` decides: durable first, then said. One task per charge point that has work.

The table in the registry is the truth; what is kept here is its newest rows. A state is on disk before anything that
rests on it is said to anybody, so that a process which takes over reads it and goes on.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from gateway.audit.charger_events import ChargerEvent
from gateway.config.model import Config
from gateway.control.campaign_windows import CampaignWindows
from gateway.control.certificate_authority import CertificateAuthority, Held, Turned
from gateway.control.certificate_calls import CertificateCalls
from gateway.control.certificate_delivery import Deliveries
from gateway.control.directory import Directory
from gateway.control.due_rows import DueRows
from gateway.control.enrolment_events import Report, report_state
from gateway.control.enrolment_requests import answered, asked_of, operator_of, request_of
from gateway.control.link_server import EdgeLink
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.control.other_authority import authority_of
from gateway.control.own_calls import OwnCalls
from gateway.control.part import NodePart
from gateway.control.reachable import Reachable
from gateway.control.record_gate import RecordGate
from gateway.control.rows_of_others import news
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.evidence import CertificateProof, is_limited
from gateway.link.messages import CertificateRequest, CertificateRequestTaken, EdgeSettings
from gateway.link.relayed import FrameSource
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import enrolment as core
from gateway.provisioning.enrolment import CertificateRequested, Enrolment, Given, Step, Timing
from gateway.provisioning.states import State
from gateway.provisioning.window_hold import HELD
from gateway.store.errors import KeyBoundElsewhere, NotFound, Overtaken, StoreError

__all__ = ["Enrolments"]

_STORE_PATIENCE_S: Final = 20.0
"""A little less than the edge waits, and the charge point."""
_RETRY_STORE_S: Final = 1.0
_TOLD_TO_ASK: Final = frozenset({State.TRIGGER_WANTED, State.TRIGGER_SENT})
_IN_USE: Final = frozenset({State.STATION_ACCEPTED, State.SEEN_IN_HANDSHAKE})
_DISCARDED: Final = "DiscardedRenewedClientCertificate"
_OUTWARD: Final = frozenset({Step.TRIGGER, Step.SUBMIT, Step.DELIVER})
"""Somebody else hears of it: what led to it has to be on record first."""
_TO_CHARGE_POINT: Final = frozenset({Step.TRIGGER, Step.DELIVER})
_log = structlog.get_logger("control.enrolments")


class RenewRequest(msgspec.Struct, frozen=True):
    """Of an operator: this charge point shall get a new certificate."""

    charge_point_id: str


class Enrolments(NodePart):
    """One per node, on its event loop."""

    name = "enrolments"
    tick_every_s = 1.0

    def __init__(
        self,
        store: StoreThread,
        directory: Directory,
        sessions: Sessions,
        own_calls: OwnCalls,
        report: Report,
        tasks: TaskOwner,
        gate: RecordGate,
    ) -> None:
        self._store = store
        self._directory = directory
        self._sessions = sessions
        self._calls = CertificateCalls(own_calls)
        self._deliveries = Deliveries(store, directory, self._calls)
        self._report = report
        self._tasks = tasks
        self._gate = gate
        self._timing = Timing()
        self._windows = CampaignWindows(store, "certificate")
        self._operator_names: tuple[str, ...] = ()
        self.on_change: list[Callable[[Enrolment | None, Enrolment], None]] = []
        """Hear of every state that an enrolment comes into, and what was the newest of the charge point before."""
        self._newest: dict[ChargePointId, Enrolment] = {}
        """Of the charge points whose newest enrolment may still change."""
        self._locks: dict[ChargePointId, asyncio.Lock] = {}
        self._held: dict[ChargePointId, str] = {}
        """What the CA calls the requests that an operator has to decide."""
        self._decided: set[ChargePointId] = set()
        """Those of them that somebody has decided: what comes of it has yet to be written."""
        self._reachable = Reachable(sessions, for_renewal_too=True)
        self._due = DueRows("enrolment", self._has_step, self._go_on, self._plan, report, tasks)
        self._ca: CertificateAuthority | None = None
        self._ca_place = ("", "embedded")

    # -- life

    async def load(self) -> None:
        """Read what is under way. Raises StoreError."""
        found = await self._store.call(lambda registry: registry.enrolments.watched(self._due.damaged))
        self._newest = {each.charge_point_id: each for each in found}
        self._held = {each.charge_point_id: each.ca_request for each in found if each.state is State.HELD}
        self._due.put_all(self._newest, time.time())

    def use(self, config: Config) -> None:
        """Put a configuration into force."""
        pki = config.pki
        timing = Timing(key_patience_s=pki.key_patience_s, retire_old_after_s=pki.retire_old_after_s)
        if timing != self._timing or (pki.ca, pki.backend) != self._ca_place:
            self._due.put_all(self._newest, time.time())  # what was not due before may be due now
        self._timing = timing
        self._deliveries.shape = pki.chain
        self._operator_names = config.operator_names
        if (pki.ca, pki.backend) == self._ca_place:
            if self._ca is not None:
                self._ca.use(pki)
            return
        if self._ca is not None:
            self._tasks.start(self._ca.close(), "close-ca")
        self._ca = authority_of(pki, self._directory.owner_of)
        self._ca_place = (pki.ca, pki.backend)

    def follow(self, settings: EdgeSettings) -> None:
        """Which CAs the listeners know."""
        self._deliveries.follow(settings)

    async def close(self) -> None:
        """The signer ends, the journal is free."""
        if self._ca is not None:
            await self._ca.close()

    # -- what happens

    def requests(self) -> Sequence[OperatorRequest]:
        """`ocpp-gateway charge-point certificate renew`."""
        return (OperatorRequest("/renew", RenewRequest, self._answer_renew),)

    async def _answer_renew(self, asked: RenewRequest) -> dict[str, str]:
        if why := await self.renew(asked.charge_point_id):
            raise RequestRefused(why)
        return {"refused": ""}

    def asked_for_certificate(self, message: CertificateRequest, edge: EdgeLink) -> None:
        """SignCertificate of a live session."""
        self._tasks.start(self.requested(message, edge), "certificate-request")

    async def requested(self, message: CertificateRequest, edge: EdgeLink) -> None:
        """SignCertificate of a live session: on disk, and only then Accepted."""
        accepted, until = False, time.monotonic() + _STORE_PATIENCE_S
        while not accepted and self._ca is not None:
            entry = self._sessions.get(message.charge_point_id)
            if entry is None or entry.generation != message.generation or self._is_unasked(entry):
                break
            try:
                await self._take(request_of(message, entry))
                accepted = True
                if why := self._deliveries.why_other_root(message.root):
                    self._report("certificate.other_root", "medium", "allow_alert", why, entry.charge_point_id)
            except StoreError as error:
                _log.error("request_not_written", why=str(error))
                if time.monotonic() > until:
                    break
                await asyncio.sleep(_RETRY_STORE_S)
        edge.send(CertificateRequestTaken(message.request_id, accepted))
        self._due.wake(message.charge_point_id)

    def _is_unasked(self, entry: Entry) -> bool:
        """True in a session that is kept although its certificate is revoked, unless the gateway has told it to ask.

        Whoever has a stolen key would have a new certificate for it otherwise.
        """
        newest = self._newest.get(entry.charge_point_id)
        if not entry.kept_revoked or (newest is not None and newest.state in _TOLD_TO_ASK):
            return False
        detail = "its certificate is revoked: only an operator can have it ask for another one in this session"
        self._report("certificate.request_refused", "high", "reject", detail, entry.charge_point_id)
        return True

    async def _take(self, request: CertificateRequested) -> None:
        async with self._lock(request.charge_point_id):
            before = await self._current(request.charge_point_id)
            fresh, ended = core.asked_for(request, time.time(), before)
            await self._put(*([ended] if ended is not None else []), fresh)
        if self._ca is not None and before is not None and ended is not None and before.state is State.HELD:
            await self._ca.withdraw(before.ca_request, "another request of the same charge point has come")

    def opened(self, entry: Entry) -> None:
        """A session has begun, or has outlived the control process before us."""
        enrolment = self._newest.get(entry.charge_point_id)
        if enrolment is None:
            return
        self._newest[entry.charge_point_id] = core.reconnected(enrolment, time.time())
        self._due.put(entry.charge_point_id, time.time())
        if isinstance(entry.proof, CertificateProof):
            self._tasks.start(self._shown(entry.charge_point_id, entry.proof.sha256), "enrolment-shown")

    def registered(self, entry: Entry) -> None:
        """The CSMS has accepted it: it can be talked to."""
        if entry.charge_point_id in self._newest:
            self._reachable.registered(entry)
            self._due.wake(entry.charge_point_id)

    def known(self, charge_point_id: ChargePointId) -> Enrolment | None:
        """Its newest enrolment if it may still change; None says nothing about others."""
        return self._newest.get(charge_point_id)

    async def newest(self, charge_point_id: ChargePointId) -> Enrolment | None:
        """Its newest enrolment. Raises StoreError."""
        return await self._current(charge_point_id)

    async def enrol(self, charge_point_id: ChargePointId, detail: str) -> str:
        """Let it ask for a certificate, unless it does already. Empty, or why that cannot be. Raises StoreError."""
        before = await self._current(charge_point_id)
        is_coming = before is not None and before.state.is_open and before.state is not State.STATION_ACCEPTED
        return "" if is_coming else await self.renew(charge_point_id, detail)

    async def renew(self, charge_point_id: str, detail: str = "an operator asks for it") -> str:
        """It is to get a new certificate. Empty, or why that cannot be. Raises StoreError."""
        record = self._directory.get(charge_point_id)
        if record is None or record.charge_point_id != charge_point_id:
            return "no charge point of this identity is registered"
        identity = record.charge_point_id
        if self._ca is None:
            return "this gateway has no CA: name one in [pki]"
        async with self._lock(identity):
            before, now = await self._current(identity), time.time()
            under_way = before is not None and before.state.is_open
            if before is not None and under_way and before.state is not State.STATION_ACCEPTED:
                return f"an enrolment is under way already: {before.state.value}"
            ended = [core.superseded(before, now, "renewed")] if before is not None and under_way else []
            await self._put(*ended, core.wanted(identity, now, detail))
        self._due.wake(identity)
        return ""

    async def tick(self) -> None:
        """Every second: what time alone makes due, and what operators have decided meanwhile."""
        if self._ca is not None and self._held and self._ca.has_news():
            decided = await self._ca.decided(frozenset(self._held.values()))
            self._decided |= {who for who, request in self._held.items() if request in decided}
            self._due.put_all(self._decided, time.time())
        self._due.work_off()
        if self._ca is not None:
            await self._ca.rest()

    def _connected_with(self, identity: ChargePointId) -> str:
        """Fingerprint of the certificate that its session rests on; empty where there is none."""
        entry = self._sessions.get(identity)
        return entry.proof.sha256 if entry is not None and isinstance(entry.proof, CertificateProof) else ""

    async def _shown(self, identity: ChargePointId, certificate_sha256: str) -> None:
        """A handshake with a certificate, which is an acknowledgement if it is the new one."""
        async with self._lock(identity):
            enrolment = self._newest.get(identity)
            if enrolment is None:
                return
            changed = core.seen(enrolment, time.time(), certificate_sha256)
            try:
                if changed is not None:
                    await self._put(changed)
                elif enrolment.state in _IN_USE and certificate_sha256 != enrolment.certificate_sha256:
                    detail = f"connected with another certificate than {enrolment.serial}"
                    self._report("certificate.fell_back", "medium", "allow_alert", detail, identity)
            except StoreError as error:
                _log.error("enrolment_not_written", why=str(error))
                self._due.put_again(identity, time.time())

    def reported(self, source: FrameSource, event: ChargerEvent) -> None:
        """SecurityEventNotification of a charge point, perhaps that its new certificate was of no use."""
        entry = self._sessions.get(source.charge_point_id)
        if event.kind == _DISCARDED and entry is not None and entry.session == source.session:
            self._tasks.start(self._discarded(entry), "enrolment-discarded")

    async def _discarded(self, entry: Entry) -> None:
        identity = entry.charge_point_id
        if entry.live is None or not isinstance(entry.proof, CertificateProof):
            return
        async with self._lock(identity):
            enrolment = self._newest.get(identity)
            if enrolment is None:
                return
            changed = core.discarded(enrolment, time.time(), entry.proof.sha256, entry.live.opened_at)
            try:
                if changed is not None:
                    await self._put(changed)
            except StoreError as error:
                # After a day without use it counts as discarded all the same.
                _log.error("enrolment_not_written", why=str(error))

    # -- one charge point at a time

    def _has_step(self, identity: ChargePointId) -> bool:
        return self._is_unwritten(identity) or self._step(identity) is not Step.WAIT

    def _is_unwritten(self, identity: ChargePointId) -> bool:
        """True if it is connected with its new certificate: that could not be written when it came."""
        enrolment = self._newest.get(identity)
        if enrolment is None or not enrolment.state.is_open or not enrolment.serial:
            return False
        return self._connected_with(identity) == enrolment.certificate_sha256

    def _plan(self, identity: ChargePointId, has_step: bool) -> None:
        """When to look at it the next time. What is over is forgotten; the table knows the rest."""
        enrolment, now = self._newest.get(identity), time.time()
        if enrolment is not None and (enrolment.state.is_watched or self._lock(identity).locked()):
            if enrolment.state.is_watched and not has_step:
                at = core.due_at(enrolment, self._timing)
                self._due.put_after(identity, at, self._reachable.settles_at(identity), now)
            else:
                self._due.put_again(identity, now)
            return
        for known in (self._newest, self._held, self._locks):
            known.pop(identity, None)
        self._decided.discard(identity)
        self._reachable.forget(identity)
        self._due.drop(identity)

    def _step(self, identity: ChargePointId) -> Step:
        enrolment = self._newest.get(identity)
        if enrolment is None or self._ca is None or not self._sessions.drives(identity):
            return Step.WAIT
        reachable = self._reachable.session(identity) is not None
        step = core.next_step(enrolment, time.time(), self._timing, reachable=reachable)
        return Step.WAIT if step is Step.LOOK and identity not in self._decided else step

    async def _go_on(self, identity: ChargePointId) -> None:
        if self._is_unwritten(identity):
            await self._shown(identity, self._connected_with(identity))
        try:
            while (step := self._step(identity)) is not Step.WAIT:
                enrolment = self._newest[identity]
                if step in _OUTWARD and not await self._gate.is_open():
                    break  # as it is; a later tick asks again
                if self._newest.get(identity) != enrolment:
                    continue  # something has happened while the disk was waited for
                if await self._postponed(enrolment, step):
                    continue
                await self._perform(enrolment, step)
                if step is Step.LOOK:
                    break  # if it could not be read, or written here, the next tick tries again
        except NotFound:
            self._newest.pop(identity, None)  # its charge point was removed, and the rows with it
        except StoreError as error:
            _log.error("enrolment_not_written", why=str(error))  # the next tick tries again

    async def _postponed(self, enrolment: Enrolment, step: Step) -> bool:
        """True if it is not to be done now: a campaign has begun it, whose window is closed. Raises StoreError.

        A charge point that was let in for its renewal only waits for nothing else.
        """
        identity = enrolment.charge_point_id
        entry = self._sessions.get(identity)
        if step not in _TO_CHARGE_POINT or (entry is not None and is_limited(entry.proof)):
            return False
        opens = await self._windows.closed_until(identity, enrolment.created_at)
        if opens:
            await self._change(enrolment, core.postponed(enrolment, time.time(), opens, HELD))
        return bool(opens) or self._newest.get(identity) != enrolment

    async def _perform(self, enrolment: Enrolment, step: Step) -> None:
        """One step, which ends in another state or in one that waits. Raises StoreError."""
        now = time.time()
        match step:
            case Step.TRIGGER:
                await self._trigger(enrolment)
            case Step.SUBMIT | Step.LOOK:
                await self._ask_ca(enrolment, step)
            case Step.DELIVER:
                await self._deliver(enrolment)
            case Step.ASK_AGAIN:
                ended = core.superseded(enrolment, now, "not delivered while its key was sure to be there")
                again = core.wanted(enrolment.charge_point_id, now, "the key of the request before is gone", enrolment)
                await self._change(enrolment, ended, again)
            case Step.EXPIRE:
                await self._change(enrolment, core.expired(enrolment, now, f"nothing came of {enrolment.state.value}"))
            case Step.RETIRE_OLD:
                await self._change(enrolment, core.old_retired(enrolment, now))
            case Step.WAIT:
                pass

    async def _trigger(self, enrolment: Enrolment) -> None:
        sent = await self._change(enrolment, core.trigger_sent(enrolment, time.time(), self._timing))
        if sent is None:
            return
        said = await self._calls.trigger(self._sessions.get(enrolment.charge_point_id), self._operator_of(enrolment))
        now = time.time()
        if not said.accepted and said.known:
            await self._change(sent, core.trigger_refused(sent, now, said.why))
        elif not said.accepted:
            await self._change(sent, core.trigger_lost(sent, now, said.why, self._timing))

    async def _deliver(self, enrolment: Enrolment) -> None:
        sent = await self._change(enrolment, core.delivery_sent(enrolment, time.time(), self._timing))
        if sent is None:
            return
        accepted, after = await self._deliveries.deliver(self._sessions.get(enrolment.charge_point_id), sent)
        if accepted:
            await self._accepted(sent)
        elif after:
            await self._change(sent, *after)

    async def _accepted(self, sent: Enrolment) -> None:
        """It has it, also where the same request once more has crossed it on its way. Raises StoreError."""
        async with self._lock(sent.charge_point_id):
            delivered = core.delivered(self._newest.get(sent.charge_point_id), sent)
            if delivered is not None:
                await self._put(core.station_accepted(delivered, time.time()))

    async def _ask_ca(self, enrolment: Enrolment, step: Step) -> None:
        assert self._ca is not None
        if step is Step.LOOK:
            outcome = await self._ca.look(enrolment.ca_request)
        else:
            record = self._directory.get(enrolment.charge_point_id)
            asked = asked_of(enrolment, record, self._operator_of(enrolment), time.time())
            outcome = asked if isinstance(asked, Turned) else await self._ca.ask(asked)
        if isinstance(outcome, Given):
            await self._given(enrolment, outcome)
            return
        if isinstance(outcome, Held):
            self._decided.discard(enrolment.charge_point_id)
        after = answered(enrolment, outcome, time.time(), self._timing, is_new=step is Step.SUBMIT)
        if after is not None:
            await self._change(enrolment, after)

    def _operator_of(self, enrolment: Enrolment) -> str:
        return operator_of(self._directory.get(enrolment.charge_point_id), self._operator_names)

    async def _given(self, enrolment: Enrolment, given: Given) -> None:
        """The key is the charge point's from now on, before anybody hears of the certificate (A00.FR.427)."""
        identity, now = enrolment.charge_point_id, time.time()
        try:
            await self._store.call(lambda registry: registry.bind_key(given.spki_sha256, identity, now))
        except KeyBoundElsewhere as error:
            await self._change(enrolment, core.denied(enrolment, now, str(error)))
            return
        self._directory.bound(given.spki_sha256, identity)
        was_held = enrolment.state is State.HELD
        after = core.approved(enrolment, now, given, self._timing) if was_held else core.issued(enrolment, now, given)
        await self._change(enrolment, after)

    # -- the table

    async def _change(self, before: Enrolment, *after: Enrolment) -> Enrolment | None:
        """Store what follows from `before`; None if something else has happened meanwhile. Raises StoreError."""
        async with self._lock(before.charge_point_id):
            if self._newest.get(before.charge_point_id) != before:
                return None
            return await self._put(*after)

    async def _put(self, *changed: Enrolment) -> Enrolment:
        """The last of them as stored. The lock is held. Raises StoreError."""
        try:
            stored = await self._store.call(lambda registry: registry.enrolments.put(*changed))
        except Overtaken:
            self._newest.pop(changed[-1].charge_point_id, None)  # it is told what counts now, or reads it
            raise
        for each in stored:
            known = self._newest.get(each.charge_point_id)
            if known is None or (known.number, known.state) != (each.number, each.state):
                report_state(self._report, each)
                for hears in self.on_change:
                    hears(known, each)
            self._keep(each)
            self._due.put(each.charge_point_id, time.time())
        return stored[-1]

    async def rows_changed(self, charge_point_ids: Sequence[ChargePointId]) -> None:
        """Another node may have written them."""
        found = await self._store.call_later(
            lambda registry: registry.enrolments.newest_of(charge_point_ids, self._due.damaged)
        )
        await news(found, self._newest.get, self._lock, self._keep)
        for each in found:
            self._due.wake(each.charge_point_id)

    def _keep(self, enrolment: Enrolment) -> None:
        self._newest[enrolment.charge_point_id] = enrolment
        self._held.pop(enrolment.charge_point_id, None)
        self._decided.discard(enrolment.charge_point_id)
        if enrolment.state is State.HELD:
            self._held[enrolment.charge_point_id] = enrolment.ca_request

    async def _current(self, identity: ChargePointId) -> Enrolment | None:
        known = self._newest.get(identity)
        return known or await self._store.call(lambda registry: registry.enrolments.newest(identity))

    def _lock(self, identity: ChargePointId) -> asyncio.Lock:
        return self._locks.setdefault(identity, asyncio.Lock())
