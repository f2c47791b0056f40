"""Performs upgrades of the security profile as `gateway.provisioning.upgrade` decides: durable first, then said.

The table in the registry is the truth, together with the record that it changes in the same transaction; what is kept
here is its open rows. One task per charge point that has work.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from gateway.audit.event import printable
from gateway.config.model import Config
from gateway.control.campaign_windows import CampaignWindows
from gateway.control.certificate_calls import Said
from gateway.control.directory import Directory
from gateway.control.due_rows import DueRows
from gateway.control.enrolments import Enrolments
from gateway.control.operator_requests import OperatorRequest
from gateway.control.own_calls import OwnCalls
from gateway.control.part import NodePart
from gateway.control.reachable import Reachable
from gateway.control.record_gate import RecordGate
from gateway.control.rows_of_others import news
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.control.upgrade_calls import Heard, UpgradeCalls, version_of
from gateway.control.upgrade_checks import UpgradeChecks, certificate_of
from gateway.control.upgrade_events import Report, report_upgrade
from gateway.control.upgrade_requests import upgrade_requests
from gateway.control.upgrade_roots import UpgradeRoots
from gateway.control.upgrade_wish import UpgradeRefused, UpgradeWish, verify_wish
from gateway.identity.evidence import CertificateProof
from gateway.identity.record import ChargePointRecord
from gateway.link.messages import EdgeSettings
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from gateway.provisioning import upgrade as core
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.preflight import Preflight
from gateway.provisioning.upgrade import Step, Upgrade, UpgradeTiming
from gateway.provisioning.upgrade_states import UpgradeState
from gateway.provisioning.window_hold import HELD
from gateway.store.errors import BelowFloor, NotFound, Overtaken, StoreError

__all__ = ["Upgrades"]

_RETRY_STORE_S: Final = 1.0
_DISTURBING: Final = frozenset({Step.CHECK, Step.TELL, Step.RESET})
"""What comes of it may be a restart at any moment. Taking back, and proving, is done at any hour."""
_log = structlog.get_logger("control.upgrades")


class Upgrades(NodePart):
    """One per node, on its event loop."""

    name = "upgrades"
    tick_every_s = 1.0

    def __init__(
        self,
        store: StoreThread,
        directory: Directory,
        sessions: Sessions,
        own_calls: OwnCalls,
        enrolments: Enrolments,
        report: Report,
        tasks: TaskOwner,
        gate: RecordGate,
    ) -> None:
        """`report(event, severity, decision, detail, charge_point_id)` puts each state on record."""
        self._store = store
        self._directory = directory
        self._sessions = sessions
        self._calls = UpgradeCalls(own_calls)
        self._enrolments = enrolments
        self._checks = UpgradeChecks(self._calls, enrolments.newest, store)
        self._roots = UpgradeRoots(own_calls, self._checks.server_chains)
        self._report = report
        self._tasks = tasks
        self._gate = gate
        self._timing = UpgradeTiming()
        self._windows = CampaignWindows(store, "security-profile")
        self._open: dict[ChargePointId, Upgrade] = {}
        """The rows that something is still to come of."""
        self._locks: dict[ChargePointId, asyncio.Lock] = {}
        self._reachable = Reachable(sessions)
        self._due = DueRows("upgrade", self._has_step, self._go_on, self._plan, report, tasks)
        self._came_back: dict[ChargePointId, tuple[float, bool]] = {}
        """Registered on the old profile: when the session began, and whether with a BootNotification."""
        enrolments.on_change.append(self._enrolment_changed)

    # -- life

    async def load(self) -> None:
        """Read what is under way. Raises StoreError."""
        found = await self._store.call(lambda registry: registry.upgrades.open(self._due.damaged))
        self._open = {each.charge_point_id: each for each in found}
        self._due.put_all(self._open, time.time())

    def use(self, config: Config) -> None:
        """Put a configuration into force. The records may have been read anew as well."""
        self._due.put_all(self._open, time.time())
        self._timing = UpgradeTiming(
            look_again_s=config.upgrades.look_again_s,
            restart_s=config.upgrades.restart_s,
            lost_after_s=config.upgrades.lost_after_s,
        )
        self._calls.quiet_s = config.upgrades.quiet_s
        self._checks.use(config)

    def follow(self, settings: EdgeSettings) -> None:
        """Which server certificates charge points see."""
        self._checks.follow(settings)

    async def tick(self) -> None:
        """Every second: what time alone makes due."""
        self._due.work_off()

    def records_changed(self, charge_point_ids: frozenset[ChargePointId]) -> None:
        """An operator may have set the profile by hand."""
        self._due.put_all(charge_point_ids & self._open.keys(), time.time())

    def _enrolment_changed(self, before: Enrolment | None, after: Enrolment) -> None:
        """It may be what an upgrade waits for."""
        del before
        if after.charge_point_id in self._open:
            self._due.wake(after.charge_point_id)

    def requests(self) -> Sequence[OperatorRequest]:
        """`ocpp-gateway charge-point upgrade`."""
        return upgrade_requests(self)

    # -- for operators, and campaigns

    async def start(self, wish: UpgradeWish) -> Upgrade:
        """Begin: from now on it is done as soon as it can be. Raises UpgradeRefused, StoreError."""
        record = self._record(wish.charge_point_id)
        identity = record.charge_point_id
        async with self._lock(identity):
            before = await self.newest(identity)
            if before is not None and before.state.is_open:
                raise UpgradeRefused(f"an upgrade is under way already: {before.state.value}")
            fresh = await self._put(self._wanted(wish, record))
        self._due.wake(identity)
        return fresh

    async def preflight(self, wish: UpgradeWish) -> Preflight:
        """Every reason for and against, and nothing is changed. Raises UpgradeRefused, StoreError."""
        record = self._record(wish.charge_point_id)
        entry = self._sessions.get(record.charge_point_id)
        if entry is None or entry.live is None or entry.edge is None:
            raise UpgradeRefused("it is not connected: only it can say whether it is prepared")
        found, _ = await self._checks.preflight(entry, record, self._wanted(wish, record))
        return found

    async def install_root(self, wish: UpgradeWish) -> Said:
        """For a campaign: the root that the new profile needs. Asking twice is harmless. Raises UpgradeRefused, StoreError."""
        record = self._record(wish.charge_point_id)
        entry = self._sessions.get(record.charge_point_id)
        if entry is None or entry.live is None or entry.edge is None:
            raise UpgradeRefused("it is not connected")
        return await self._roots.install(entry, record, wish.to_profile)

    async def abort(self, charge_point_id: str, why: str = "an operator has stopped it") -> None:
        """Stop it, and take back what can be taken back. Raises UpgradeRefused, StoreError."""
        identity = self._record(charge_point_id).charge_point_id
        async with self._lock(identity):
            before = await self.newest(identity)
            if before is None:
                raise UpgradeRefused("there has been no upgrade of it")
            if refusal := core.why_not_abortable(before):
                raise UpgradeRefused(refusal)
            await self._put(core.aborted(before, time.time(), why))
        self._due.wake(identity)

    async def newest(self, charge_point_id: ChargePointId) -> Upgrade | None:
        """The one that counts. Raises StoreError."""
        known = self._open.get(charge_point_id)
        return known or await self._store.call(lambda registry: registry.upgrades.newest(charge_point_id))

    def _record(self, charge_point_id: str) -> ChargePointRecord:
        record = self._directory.get(charge_point_id)
        if record is None or record.charge_point_id != charge_point_id:
            raise UpgradeRefused("no charge point of this identity is registered", is_gone=True)
        if not record.enabled:
            raise UpgradeRefused("it is disabled")
        return record

    def _wanted(self, wish: UpgradeWish, record: ChargePointRecord) -> Upgrade:
        verify_wish(wish, record, is_under_way=record.charge_point_id in self._open)
        entry = self._sessions.get(record.charge_point_id)
        fresh = core.wanted(
            record.charge_point_id,
            record.security_profile,
            wish.to_profile,
            time.time(),
            url=wish.url.rstrip("/") or self._checks.url_for(wish.to_profile, record, entry),
            url_key=wish.url_key,
            interface=wish.interface,
        )
        return msgspec.structs.replace(
            fresh, install_root=wish.install_root, unsafe_any_firmware=wish.unsafe_any_firmware
        )

    # -- what happens

    def opened(self, entry: Entry) -> None:
        """A session has begun, or has outlived the control process before us."""
        upgrade = self._open.get(entry.charge_point_id)
        if upgrade is not None:
            self._open[entry.charge_point_id] = core.reconnected(upgrade, time.time())
            self._due.put(entry.charge_point_id, time.time())

    def registered(self, entry: Entry) -> None:
        """The CSMS has accepted it, perhaps on the new profile."""
        self._tasks.start(self._registered(entry), "upgrade-registered")

    async def _registered(self, entry: Entry) -> None:
        identity = entry.charge_point_id
        if entry.upgrade_pending:
            await self._prove(entry)
        upgrade = self._open.get(identity)
        if upgrade is None or entry.live is None:
            return
        self._reachable.registered(entry)
        if entry.security_profile is upgrade.from_profile:
            self._came_back[identity] = (entry.live.opened_at, entry.has_booted)
        self._due.wake(identity)

    async def _prove(self, entry: Entry) -> None:
        """From now on nothing lower may be accepted (A05.FR.07, A05.FR.09): on record, then on disk, however often it takes."""
        entry.upgrade_pending = False
        identity, profile = entry.charge_point_id, entry.security_profile
        told = (
            f"{printable(identity)} has registered on security profile {int(profile)}: nothing lower will do any more"
        )
        self._report("profile.proven", "info", "allow_alert", told, identity)
        while not await self._gate.is_open():
            await asyncio.sleep(_RETRY_STORE_S)
        serial = entry.proof.serial_number if isinstance(entry.proof, CertificateProof) else ""
        proven = None
        while proven is None:
            try:
                async with self._lock(identity):
                    proven = await self._store.call(
                        lambda registry: registry.upgrades.prove(identity, profile, time.time(), serial)
                    )
            except (NotFound, BelowFloor) as error:
                _log.warning("upgrade_not_recorded", error=str(error))
                return
            except StoreError as error:
                _log.error("upgrade_not_recorded_yet", error=str(error))
                await asyncio.sleep(_RETRY_STORE_S)
        ended, record = proven
        self._directory.put(record)
        if ended is not None:
            self._took(ended)
        else:
            detail = f"{printable(identity)} is on security profile {int(profile)}"
            self._report("profile.upgraded", "info", "allow_alert", detail, identity)

    # -- one charge point at a time

    def _has_step(self, identity: ChargePointId) -> bool:
        if identity in self._came_back or self._overtaken(identity) is not None:
            return True
        return self._step(identity) is not Step.WAIT

    def _plan(self, identity: ChargePointId, has_step: bool) -> None:
        """When to look at it the next time."""
        upgrade, now = self._open.get(identity), time.time()
        if upgrade is None:
            self._forget(identity)
        elif upgrade.state is UpgradeState.ENROLLING:
            self._due.put(identity, now + self._timing.look_again_s)  # or when its enrolment changes
        elif has_step:
            self._due.put_again(identity, now)
        else:
            at = core.due_at(upgrade, self._timing)
            self._due.put_after(identity, at, self._reachable.settles_at(identity), now)

    def _overtaken(self, identity: ChargePointId) -> Upgrade | None:
        """Its end, where its record is not the one that it began with."""
        upgrade, record = self._open.get(identity), self._directory.get(identity)
        if upgrade is None or record is None:
            return None
        return core.overtaken(upgrade, time.time(), record.security_profile)

    def _step(self, identity: ChargePointId) -> Step:
        upgrade = self._open.get(identity)
        if upgrade is None or not self._sessions.drives(identity):
            return Step.WAIT
        return core.next_step(upgrade, time.time(), self._timing, reachable=self._reached(upgrade) is not None)

    def _reached(self, upgrade: Upgrade) -> Entry | None:
        """Its session on the old profile, if it has settled."""
        entry = self._reachable.session(upgrade.charge_point_id)
        return entry if entry is not None and entry.security_profile is upgrade.from_profile else None

    async def _go_on(self, identity: ChargePointId) -> None:
        try:
            if (ended := self._overtaken(identity)) is not None:
                await self._change(self._open[identity], ended)
            await self._note_return(identity)
            while (step := self._step(identity)) is not Step.WAIT:
                if not await self._postponed(self._open[identity], step):
                    await self._perform(self._open[identity], step)
                if step is Step.LOOK_AT_CERTIFICATE:
                    break  # it is looked at again when its enrolment has changed
        except NotFound:
            self._forget(identity)  # its charge point was removed, and the rows with it
        except StoreError as error:
            _log.error("upgrade_not_written", why=str(error))  # the next tick tries again

    async def _postponed(self, upgrade: Upgrade, step: Step) -> bool:
        """True if it is not to be done now: a campaign has begun it, whose window is closed. Raises StoreError."""
        opens = step in _DISTURBING and await self._windows.closed_until(upgrade.charge_point_id, upgrade.created_at)
        if opens:
            await self._change(upgrade, core.postponed(upgrade, time.time(), opens, HELD))
        return bool(opens) or self._open.get(upgrade.charge_point_id) != upgrade

    async def _note_return(self, identity: ChargePointId) -> None:
        """It has registered on the old profile."""
        heard, upgrade = self._came_back.get(identity), self._open.get(identity)
        if heard is None:
            return
        if upgrade is not None:
            began_at, has_started = heard
            now = time.time()
            after = core.on_old_profile(upgrade, now, self._timing, session_began_at=began_at, has_started=has_started)
            if after is not None:
                await self._change(upgrade, after)
        if self._came_back.get(identity) == heard:
            del self._came_back[identity]

    async def _perform(self, upgrade: Upgrade, step: Step) -> None:
        """One step, which ends in another state or in one that waits. Raises StoreError."""
        now = time.time()
        match step:
            case Step.CHECK:
                await self._check(upgrade)
            case Step.INSTALL_ROOT:
                await self._install_root(upgrade)
            case Step.LOOK_AT_CERTIFICATE:
                await self._look_at_certificate(upgrade)
            case Step.TELL:
                await self._tell(upgrade)
            case Step.RESET:
                await self._reset(upgrade)
            case Step.RESTORE:
                await self._restore(upgrade)
            case Step.GIVE_UP:
                await self._change(upgrade, core.given_up(upgrade, now))
            case Step.LOSE:
                await self._change(upgrade, core.lost(upgrade, now))
            case Step.END:
                await self._change(upgrade, core.ended(upgrade, now))
            case Step.WAIT:
                pass

    async def _check(self, upgrade: Upgrade) -> None:
        entry, record = self._reached(upgrade), self._directory.get(upgrade.charge_point_id)
        if entry is None or record is None:
            return
        placed = self._checks.placed(entry, record, upgrade)
        found, station = await self._checks.preflight(entry, record, placed)
        now = time.time()
        match found.verdict:
            case "ok":
                await self._change(upgrade, core.both_accepted(placed, now, station.priority))
            case "wait":
                await self._change(upgrade, core.put_off(upgrade, now, found.why, self._timing))
            case "install":
                await self._change(upgrade, core.root_wanted(upgrade, now, found.why))
            case "enrol":
                await self._enrol(upgrade, found.why)
            case _:
                await self._change(upgrade, core.refused(upgrade, now, found.why))

    async def _install_root(self, upgrade: Upgrade) -> None:
        entry, record = self._reached(upgrade), self._directory.get(upgrade.charge_point_id)
        if entry is None or record is None:
            return
        said, now = await self._roots.install(entry, record, upgrade.to_profile), time.time()
        if said.accepted:
            await self._change(upgrade, core.root_installed(upgrade, now))
        elif said.known:
            await self._change(upgrade, core.refused(upgrade, now, f"root: {said.why}"))
        else:
            await self._change(upgrade, core.root_not_installed(upgrade, now, said.why, self._timing))

    async def _enrol(self, upgrade: Upgrade, why: str) -> None:
        refusal = await self._enrolments.enrol(upgrade.charge_point_id, "its security profile is to be raised")
        now = time.time()
        after = core.refused(upgrade, now, refusal) if refusal else core.certificate_wanted(upgrade, now, why)
        await self._change(upgrade, after)

    async def _look_at_certificate(self, upgrade: Upgrade) -> None:
        enrolment, now = await self._enrolments.newest(upgrade.charge_point_id), time.time()
        if certificate_of(enrolment, now) == "ready":
            await self._change(
                upgrade, core.put_off(upgrade, now, "", msgspec.structs.replace(self._timing, look_again_s=0.0))
            )
        elif enrolment is None or not enrolment.state.is_open:
            what = "there is none" if enrolment is None else f"{enrolment.state.value} {enrolment.detail}".rstrip()
            await self._change(upgrade, core.refused(upgrade, now, f"certificate: {what}"))

    async def _tell(self, upgrade: Upgrade) -> None:
        entry = self._reached(upgrade)
        if entry is None:
            return
        heard = await self._calls.tell(entry, upgrade)
        now = time.time()
        if heard.yes:
            await self._change(upgrade, core.told(upgrade, now))
        elif heard.no:
            await self._change(upgrade, core.turned_down(upgrade, now, heard.why, self._timing))
        else:
            await self._change(upgrade, core.not_told(upgrade, now, heard.why, self._timing))

    async def _reset(self, upgrade: Upgrade) -> None:
        entry = self._reached(upgrade)
        sent = await self._change(upgrade, core.resetting(upgrade, time.time(), self._timing)) if entry else None
        if sent is None or entry is None:
            return
        heard = await self._calls.reset(entry)
        now = time.time()
        if not heard.sent:
            await self._change(sent, core.reset_put_off(sent, now, heard.why, self._timing))
        elif heard.no:
            await self._change(sent, core.reset_refused(sent, now, heard.why, self._timing))

    async def _restore(self, upgrade: Upgrade) -> None:
        entry = self._reached(upgrade)
        if entry is None or version_of(entry) is OCPPVersion.V1_6:
            return
        heard: Heard = await self._calls.restore(entry, upgrade.priority_before)
        why = "" if heard.yes else heard.why or "no answer"
        await self._change(upgrade, core.restore_tried(upgrade, time.time(), why, self._timing))

    # -- the table

    async def _change(self, before: Upgrade, after: Upgrade) -> Upgrade | None:
        """Store what follows from `before`; None if something else has happened meanwhile. Raises StoreError."""
        async with self._lock(before.charge_point_id):
            if self._open.get(before.charge_point_id) != before:
                return None
            return await self._put(after)

    async def _put(self, changed: Upgrade) -> Upgrade:
        """As stored. The lock is held. Raises StoreError."""
        try:
            stored, record = await self._store.call(lambda registry: registry.upgrades.put(changed))
        except Overtaken:
            self._forget(changed.charge_point_id)  # it is told what counts now, or reads it
            raise
        self._directory.put(record)
        self._took(stored)
        return stored

    async def rows_changed(self, charge_point_ids: Sequence[ChargePointId]) -> None:
        """Another node may have written them: one that has come here meanwhile may be back on the old profile."""
        found = await self._store.call_later(
            lambda registry: registry.upgrades.newest_of(charge_point_ids, self._due.damaged)
        )
        for each in await news(found, self._open.get, self._lock, self._keep):
            entry = self._sessions.get(each.charge_point_id)
            if entry is not None and entry.has_booted:
                await self._registered(entry)
        for each in found:
            self._due.wake(each.charge_point_id)

    def _took(self, stored: Upgrade) -> None:
        """It is on disk."""
        known = self._open.get(stored.charge_point_id)
        if known is None or (known.number, known.state) != (stored.number, stored.state):
            report_upgrade(self._report, stored)
        self._keep(stored)

    def _keep(self, stored: Upgrade) -> None:
        identity = stored.charge_point_id
        if stored.state.is_open:
            self._open[identity] = stored
            self._due.put(identity, time.time())
        else:
            self._forget(identity)

    def _lock(self, identity: ChargePointId) -> asyncio.Lock:
        return self._locks.setdefault(identity, asyncio.Lock())

    def _forget(self, identity: ChargePointId) -> None:
        self._open.pop(identity, None)
        self._came_back.pop(identity, None)
        self._reachable.forget(identity)
        self._due.drop(identity)
