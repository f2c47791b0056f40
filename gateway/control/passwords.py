"""Changes passwords of charge points (A01), and learns those that the CSMS changes: durable first, then said.

The two slots of the registry say which passwords are good; the table of changes says how far each change has got. A
candidate in plain text lives in this process only, until its outcome is known.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from gateway.config.model import Config
from gateway.control import password_slots as slots
from gateway.control.campaign_windows import CampaignWindows
from gateway.control.credentials import PasswordVerifier
from gateway.control.directory import Directory
from gateway.control.due_rows import DueRows
from gateway.control.enrolment_events import Report
from gateway.control.link_server import EdgeLink
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.control.own_calls import CallAnswer, CallRefused, OwnCalls
from gateway.control.part import NodePart
from gateway.control.password_events import report_password
from gateway.control.reachable import Reachable
from gateway.control.record_gate import RecordGate
from gateway.control.rows_of_others import news
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.basic_auth import canonical_secret, generate_password
from gateway.identity.evidence import PasswordProof
from gateway.identity.record import ChargePointRecord
from gateway.link.messages import PasswordNoted, PasswordOutcome, PasswordSeen
from gateway.link.tasks import TaskOwner
from gateway.ocpp.password_messages import Outcome, outcome_of, password_call
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.provisioning import password as core
from gateway.provisioning.password import PasswordChange, PasswordStep
from gateway.provisioning.password_states import PasswordState
from gateway.provisioning.window_hold import HELD
from gateway.store.errors import NotFound, Overtaken, StoreError
from gateway.store.password_changes import PasswordChangeTable
from gateway.store.registry import Registry

__all__ = ["Passwords", "RotateRequest"]

_ANSWER_S: Final = 60.0
_RETRY_STORE_S: Final = 1.0
_RANDOM_BYTES: Final = 64
_UNABLE: Final = frozenset({"NotImplemented", "NotSupported"})
_UNSETTLED: Final = frozenset({PasswordState.SENT, PasswordState.STAGED})
_OUTWARD: Final = frozenset({PasswordStep.CHANGE, PasswordStep.REPEAT})
"""Another password becomes good, or is sent: what led to it has to be on record first."""
_log = structlog.get_logger("control.passwords")


class RotateRequest(msgspec.Struct, frozen=True):
    """Of an operator: this charge point shall get another password."""

    charge_point_id: str


class Passwords(NodePart):
    """One per node, on its event loop."""

    name = "passwords"
    tick_every_s = 1.0

    def __init__(
        self,
        store: StoreThread,
        directory: Directory,
        sessions: Sessions,
        own_calls: OwnCalls,
        verifier: PasswordVerifier,
        report: Report,
        tasks: TaskOwner,
        gate: RecordGate,
    ) -> None:
        self._store = store
        self._directory = directory
        self._sessions = sessions
        self._own_calls = own_calls
        self._verifier = verifier
        self._report = report
        self._tasks = tasks
        self._gate = gate
        self._windows = CampaignWindows(store, "password")
        self._passed_through: frozenset[str] = frozenset()
        self._newest: dict[ChargePointId, PasswordChange] = {}
        """Of the charge points whose newest change may still go on."""
        self._candidates: dict[ChargePointId, str] = {}
        """In plain text."""
        self._locks: dict[ChargePointId, asyncio.Lock] = {}
        self._reachable = Reachable(sessions)
        self._due = DueRows("password", self._has_step, self._go_on, self._plan, report, tasks)

    # -- life

    async def load(self) -> None:
        """Read what is under way. Raises StoreError."""
        found = await self._store.call(
            lambda registry: PasswordChangeTable(registry.database).watched(self._due.damaged)
        )
        self._newest = {each.charge_point_id: each for each in found}
        self._due.put_all(self._newest, time.time())

    def use(self, config: Config) -> None:
        """Put a configuration into force."""
        self._passed_through = frozenset(x.name for x in config.csms if x.authentication == "pass-through")

    def keeps_candidate(self, charge_point_id: ChargePointId) -> bool:
        """True if a handshake with the old password says nothing about the candidate: it is, or may be, for after a reboot.

        One that was sent can be told so only by sending it again: once it is lost, the one that is used counts.
        """
        change = self._newest.get(charge_point_id)
        if change is None or not core.may_be_for_later(change):
            return False
        return change.state is PasswordState.STAGED or charge_point_id in self._candidates

    def requests(self) -> Sequence[OperatorRequest]:
        """`ocpp-gateway charge-point password --rotate`."""
        return (OperatorRequest("/rotate-password", RotateRequest, self._answer_rotate),)

    async def _answer_rotate(self, asked: RotateRequest) -> dict[str, str]:
        if why := await self.want(asked.charge_point_id):
            raise RequestRefused(why)
        return {"refused": ""}

    # -- what happens

    def recall(self, entry: Entry) -> None:
        """Before a session is judged: which password it rests on, if it has got another one while it lives."""
        change = self._newest.get(entry.charge_point_id)
        if change is not None and change.state is PasswordState.ACCEPTED and entry.session == change.session:
            entry.password_phc = change.candidate

    def opened(self, entry: Entry) -> None:
        """What its handshake says about the change that is under way."""
        if entry.charge_point_id in self._newest:
            self._tasks.start(self._look(entry), "password-look")  # which ends with what is to be done then

    def registered(self, entry: Entry) -> None:
        """The CSMS has accepted it: it can be talked to."""
        if entry.charge_point_id in self._newest:
            self._reachable.registered(entry)
            self._due.wake(entry.charge_point_id)

    async def tick(self) -> None:
        """Every second: what time alone makes due."""
        self._due.work_off()

    def known(self, charge_point_id: ChargePointId) -> PasswordChange | None:
        """Its newest change if that may still go on; None says nothing about others."""
        return self._newest.get(charge_point_id)

    async def newest(self, charge_point_id: ChargePointId) -> PasswordChange | None:
        """Its newest change. Raises StoreError."""
        return await self._current(charge_point_id)

    async def want(self, charge_point_id: str) -> str:
        """Give a charge point another password when it is connected. Empty, or why that cannot be. Raises StoreError."""
        record = self._directory.get(charge_point_id)
        if record is None or record.charge_point_id != charge_point_id:
            return "no charge point of this identity is registered"
        identity = record.charge_point_id
        if record.security_profile is SecurityProfile.TLS_CLIENT_CERTIFICATE:
            return "on security profile 3 it proves itself with its certificate"
        entry = self._sessions.get(identity)
        csms = entry.live.csms if entry is not None and entry.live is not None else record.csms
        if csms in self._passed_through or (not csms and self._passed_through):
            return "its CSMS wants the charge point's own password (pass-through): let the CSMS change it"
        async with self._lock(identity):
            before, now = await self._current(identity), time.time()
            if before is not None and before.state.is_open:
                return f"a change is under way already: {before.state.value}"
            if slots.phcs(await self._store.call(lambda registry: registry.get(identity)))[1]:
                return "a password is pending: charge-point set ID --drop-pending-password, if it never reached it"
            stale = before is not None and before.state is PasswordState.ACCEPTED
            ended = [core.superseded(before, now, "changed again")] if before is not None and stale else []
            await self._put(*ended, core.wanted(identity, now))
        self._due.wake(identity)
        return ""

    async def rotate(self, charge_point_id: str, timeout_s: float) -> PasswordChange | str:
        """Change a password and wait for what comes of it: the change as it is then, or why there is none.

        The state says it: accepted, in-use, staged, refused, failed; sent where the outcome is unknown; wanted where the
        charge point has not been asked within `timeout_s`. Raises StoreError.
        """
        refused = await self.want(charge_point_id)
        if refused:
            return refused
        identity, until = ChargePointId(charge_point_id), time.monotonic() + timeout_s
        while time.monotonic() < until:
            change = self._newest.get(identity)
            if change is None or (not change.state.is_open and not self._due.is_busy(identity)):
                break
            if change.state in _UNSETTLED and change.detail:
                break
            await asyncio.sleep(0.1)
        found = await self._current(identity)
        return found if found is not None else "it was removed from the registry meanwhile"

    # -- what the CSMS changes

    def password_seen(self, message: PasswordSeen | PasswordOutcome, edge: EdgeLink) -> None:
        """An edge has seen one on the wire, or what the charge point has answered."""
        work = self._seen(message, edge) if isinstance(message, PasswordSeen) else self._told(message)
        self._tasks.start(work, "password-seen")

    async def _seen(self, message: PasswordSeen, edge: EdgeLink) -> None:
        """The CSMS gives it another one: on disk, and only then the call goes on."""
        stored = False
        try:
            async with self._lock(message.charge_point_id):
                stored = await self._learn(message)
        except (StoreError, ValueError) as error:
            _log.error("password_not_learnt", why=str(error))
        edge.send(PasswordNoted(message.request_id, message.session, message.charge_point_id, stored))

    async def _learn(self, message: PasswordSeen) -> bool:
        identity, entry = message.charge_point_id, self._sessions.get(message.charge_point_id)
        if entry is None or entry.generation != message.generation:
            return False
        secret = canonical_secret(message.password)
        pending = slots.phcs(await self._store.call(lambda registry: registry.get(identity)))[1]
        if pending and not await self._verifier.matches(pending, secret):
            return False  # which of three passwords it has could never be told
        candidate = pending or await self._verifier.hashed(secret)
        before, now = await self._current(identity), time.time()
        if before is not None and before.state in _UNSETTLED and pending and before.candidate == pending:
            if before.state is PasswordState.SENT:
                await self._put(core.sent_by_csms_again(before, now, message.session))
            return True
        stale = before is not None and before.state.is_watched
        ended = [core.superseded(before, now, "the CSMS changes it")] if before is not None and stale else []
        fresh = core.learnt(identity, now, candidate, message.session)
        if pending:
            fresh = core.sent_by_csms_again(fresh, now, message.session)
        change = await self._put(*ended, fresh)
        return await self._stage(change)

    async def _told(self, message: PasswordOutcome) -> None:
        """What the charge point has answered to the CSMS; on disk, however often it takes."""
        change = self._newest.get(message.charge_point_id)
        while change is not None and change.origin == "csms" and change.session == message.session:
            outcome = core.believed(message.outcome, sent_before=change.attempts > 1)
            try:
                await self._settle(change, outcome, "")
            except NotFound:
                return
            except StoreError as error:
                _log.error("password_change_not_written", why=str(error))
                await asyncio.sleep(_RETRY_STORE_S)
                change = self._newest.get(message.charge_point_id)
            else:
                return

    # -- one charge point at a time

    def _has_step(self, identity: ChargePointId) -> bool:
        return self._step(identity) is not PasswordStep.WAIT

    def _plan(self, identity: ChargePointId, has_step: bool) -> None:
        """When to look at it the next time. What is over is forgotten; the table knows the rest."""
        change, now = self._newest.get(identity), time.time()
        if change is not None and (change.state.is_watched or self._lock(identity).locked()):
            if change.state.is_watched and not has_step:
                self._due.put_after(identity, core.due_at(change), self._reachable.settles_at(identity), now)
            else:
                self._due.put_again(identity, now)
            return
        for known in (self._newest, self._locks, self._candidates):
            known.pop(identity, None)
        self._reachable.forget(identity)
        self._due.drop(identity)

    def _step(self, identity: ChargePointId) -> PasswordStep:
        change = self._newest.get(identity)
        if change is None or not self._sessions.drives(identity):
            return PasswordStep.WAIT
        step = core.next_step(change, time.time(), reachable=self._reachable.session(identity) is not None)
        lost = step is PasswordStep.REPEAT and identity not in self._candidates
        return PasswordStep.WAIT if lost else step

    async def _go_on(self, identity: ChargePointId) -> None:
        try:
            step, change = self._step(identity), self._newest[identity]
            if step in _OUTWARD and not await self._gate.is_open():
                return  # as it is; a later tick asks again
            if self._newest.get(identity) != change:
                return  # something has happened while the disk was waited for
            # What was sent once is sent again also outside the window: which password it has must become known.
            if step is PasswordStep.CHANGE and (opens := await self._windows.closed_until(identity, change.created_at)):
                await self._put_if_newest(change, core.postponed(change, time.time(), opens, HELD))
                return
            match step:
                case PasswordStep.CHANGE:
                    await self._change(change)
                case PasswordStep.REPEAT:
                    await self._repeat(change)
                case PasswordStep.GIVE_UP:
                    await self._put_if_newest(change, core.failed(change, time.time(), "tried often enough"))
                case PasswordStep.WAIT:
                    pass
        except NotFound:
            self._newest.pop(identity, None)  # its charge point was removed, and the rows with it
        except StoreError as error:
            _log.error("password_change_not_written", why=str(error))  # the next tick tries again

    async def _change(self, change: PasswordChange) -> None:
        """Make a candidate, store it, send it."""
        identity, entry = change.charge_point_id, self._sessions.get(change.charge_point_id)
        if entry is None:
            return
        text = generate_password(secrets.token_bytes(_RANDOM_BYTES))
        candidate = await self._verifier.hashed(canonical_secret(text))
        async with self._lock(identity):
            if self._newest.get(identity) != change:
                return
            sent = await self._put(core.sent(change, time.time(), candidate, entry.session))
            if not await self._stage(sent):
                await self._put(core.put_off(sent, time.time(), "another password is pending"))
                return
            self._candidates[identity] = text
        await self._ask(entry, sent, text, is_first=True)

    async def _repeat(self, change: PasswordChange) -> None:
        identity, entry = change.charge_point_id, self._sessions.get(change.charge_point_id)
        if entry is None:
            return
        sent = await self._put_if_newest(change, core.sent_again(change, time.time(), entry.session))
        if sent is not None:
            await self._ask(entry, sent, self._candidates[identity], is_first=False)

    async def _ask(self, entry: Entry, sent: PasswordChange, text: str, *, is_first: bool) -> None:
        version = OCPPVersion.from_subprotocol(entry.live.subprotocol) if entry.live is not None else None
        action, payload = password_call(version or OCPPVersion.V1_6, text)
        outcome: Outcome = "unknown"
        try:
            answer = await self._own_calls.call(entry.charge_point_id, entry, action, payload, _ANSWER_S)
        except CallRefused as refused:
            was_sent, why = False, str(refused)
        else:
            was_sent, why = answer.outcome != "not_sent", f"{action}: {answer.outcome}"
            outcome = core.believed(_outcome(answer, payload), sent_before=not is_first)
        if was_sent or not is_first:
            await self._settle(sent, outcome, "" if outcome == "accepted" else why)
        else:
            await self._never_sent(sent, why)

    async def _never_sent(self, sent: PasswordChange, why: str) -> None:
        async with self._lock(sent.charge_point_id):
            if self._newest.get(sent.charge_point_id) == sent:
                await self._write(lambda registry: slots.drop(registry, sent))
                await self._put(core.put_off(sent, time.time(), why))

    async def _settle(self, change: PasswordChange, outcome: Outcome, why: str) -> None:
        """The charge point has answered, or nobody knows."""
        identity = change.charge_point_id
        async with self._lock(identity):
            now, newest = time.time(), self._newest.get(identity)
            if newest is None or newest.candidate != change.candidate or newest.state not in _UNSETTLED:
                return  # a handshake has settled it
            if newest.state is PasswordState.STAGED and outcome != "accepted":
                return
            if outcome == "accepted":
                record_phc = slots.phcs(await self._write(lambda registry: slots.promote(registry, newest)))[0]
                if record_phc != newest.candidate:
                    await self._put(core.superseded(newest, now, "an operator has set another one meanwhile"))
                    return
                entry = self._sessions.get(identity)
                if entry is not None and entry.session == newest.session and isinstance(entry.proof, PasswordProof):
                    entry.password_phc = newest.candidate  # it goes on; it connects with the new one next time
            elif outcome == "refused":
                await self._write(lambda registry: slots.drop(registry, newest))
            await self._put(core.answered(newest, now, outcome, why))

    async def _look(self, entry: Entry) -> None:
        """What the slots say after a handshake, and whether it was one with the candidate."""
        identity = entry.charge_point_id
        try:
            async with self._lock(identity):
                change = self._newest.get(identity)
                if change is None:
                    return
                current, pending = slots.phcs(await self._store.call(lambda registry: registry.get(identity)))
                found = core.as_stored(change, time.time(), current, pending)
                by_password = isinstance(entry.proof, PasswordProof) and entry.session != found.session
                if found.state is PasswordState.ACCEPTED and by_password and entry.password_phc == found.candidate:
                    found = core.used(found, time.time())
                elif found.state is PasswordState.SENT and by_password and self.keeps_candidate(identity):
                    found = core.returned(found, time.time())
                if found != change:
                    await self._put(found)
        except StoreError as error:
            _log.error("password_change_not_written", why=str(error))  # its next handshake says it again
        self._due.wake(identity)

    # -- the table

    async def _stage(self, change: PasswordChange) -> bool:
        """Accept its candidate beside the password before; False where another one is pending.

        The row comes first: a candidate in a slot without a row would be pending for ever.
        """
        identity, candidate = change.charge_point_id, change.candidate
        return await self._write(lambda registry: slots.stage(registry, identity, candidate)) is not None

    async def _write(self, change: Callable[[Registry], ChargePointRecord | None]) -> ChargePointRecord | None:
        record = await self._store.call(change)
        if record is not None:
            self._directory.put(record)
        return record

    async def _put_if_newest(self, before: PasswordChange, after: PasswordChange) -> PasswordChange | None:
        async with self._lock(before.charge_point_id):
            if self._newest.get(before.charge_point_id) != before:
                return None
            return await self._put(after)

    async def _put(self, *changed: PasswordChange) -> PasswordChange:
        """The last of them as stored. The lock is held. Raises StoreError."""
        try:
            stored = await self._store.call(lambda registry: PasswordChangeTable(registry.database).put(*changed))
        except Overtaken:
            self._newest.pop(changed[-1].charge_point_id, None)  # it is told what counts now, or reads it
            raise
        for each in stored:
            known = self._newest.get(each.charge_point_id)
            if known is None or (known.number, known.state) != (each.number, each.state):
                report_password(self._report, each)
            self._took(each)
            self._due.put(each.charge_point_id, time.time())
        return stored[-1]

    async def rows_changed(self, charge_point_ids: Sequence[ChargePointId]) -> None:
        """Another node may have written them: one that has come here meanwhile has shown here which password it has."""
        found = await self._store.call_later(
            lambda r: PasswordChangeTable(r.database).newest_of(charge_point_ids, self._due.damaged)
        )
        for each in await news(found, self._newest.get, self._lock, self._took):
            entry = self._sessions.get(each.charge_point_id)
            if entry is not None and entry.live is not None:
                await self._look(entry)
        for each in found:
            self._due.wake(each.charge_point_id)

    def _took(self, change: PasswordChange) -> None:
        self._newest[change.charge_point_id] = change
        if change.state is not PasswordState.SENT:
            self._candidates.pop(change.charge_point_id, None)

    async def _current(self, identity: ChargePointId) -> PasswordChange | None:
        known = self._newest.get(identity)
        if known is not None:
            return known
        found = await self._store.call(lambda registry: PasswordChangeTable(registry.database).latest(identity, 1))
        return found[0] if found else None

    def _lock(self, identity: ChargePointId) -> asyncio.Lock:
        return self._locks.setdefault(identity, asyncio.Lock())


def _outcome(answer: CallAnswer, payload: dict[str, object]) -> Outcome:
    """Of a call that was sent."""
    if answer.outcome == "result":
        return outcome_of(answer.action, payload, answer.payload)
    return "refused" if answer.outcome == "error" and answer.error in _UNABLE else "unknown"
