"""Performs what `gateway.provisioning.campaign_run` decides: on the disk first, then said. One loop for all campaigns.

Operators leave their orders in the registry, where the next tick finds them: a campaign can be paused and looked at while
no gateway runs, and a gateway that starts goes on where the one before it was.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfoNotFoundError

import structlog

from gateway.control.campaign_operation import Operation
from gateway.control.campaign_windows import zone_of
from gateway.control.cluster import Cluster
from gateway.control.part import NodePart
from gateway.control.sessions import Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.evidence import is_limited
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import (
    Answer,
    Campaign,
    CampaignEffect,
    CampaignEvent,
    Member,
    Note,
    Observation,
    Order,
    Ordered,
    OrderRefused,
    Prepare,
    PrepareDone,
    Said,
    StoreRows,
    Switch,
    SwitchDone,
    Tick,
    obeyed,
)
from gateway.provisioning.campaign_plan import Plan, Stratum
from gateway.provisioning.campaign_run import CampaignRun
from gateway.provisioning.campaign_states import CampaignState
from gateway.provisioning.campaign_window import is_open
from gateway.provisioning.capability import Fact, campaign_fact
from gateway.store.errors import DamagedRow, StoreError
from gateway.store.registry import Registry

__all__ = ["Campaigns"]

_FAILED_S: Final = 60.0
"""After which a campaign about which something went wrong in the gateway is looked at again."""
_log = structlog.get_logger("control.campaigns")


class _Connected:
    """Who can be talked to at this moment, asked one by one: nobody makes a list of the fleet each second."""

    def __init__(self, sessions: Sessions, is_elsewhere: Callable[[ChargePointId], bool]) -> None:
        self._sessions = sessions
        self._is_elsewhere = is_elsewhere

    def __contains__(self, charge_point_id: object) -> bool:
        identity = ChargePointId(str(charge_point_id))
        if self._is_elsewhere(identity):
            return True
        entry = self._sessions.get(identity)
        return entry is not None and entry.live is not None and entry.edge is not None and not is_limited(entry.proof)


class Campaigns(NodePart):
    """One per node. `operations`: what can be done, by kind. `saw`: hears how it ended for one of a kind."""

    name = "campaigns"
    tick_every_s = 1.0

    def __init__(
        self,
        store: StoreThread,
        sessions: Sessions,
        operations: Mapping[str, Operation],
        report: Callable[[str, str, str, str, str], None],
        saw: Callable[[Stratum, Fact], None],
        tasks: TaskOwner,
        cluster: Cluster,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._sessions = sessions
        self._operations = operations
        self._report = report
        self._saw = saw
        self._tasks = tasks
        self._runs: dict[int, CampaignRun] = {}
        self._busy: set[tuple[int, ChargePointId]] = set()
        """Whom an operation is about at this moment, of whatever campaign object it was asked by."""
        self._answers: dict[int, list[PrepareDone | SwitchDone]] = {}
        self._unusable: set[int] = set()
        self._failed: dict[int, tuple[float, Order | None]] = {}
        """Campaigns about which something went wrong in the gateway: when they are looked at again, unless for a new order."""
        self._unseen: set[tuple[int, ChargePointId]] = set()
        """Members about whom it does."""
        self._damaged: set[str] = set()

    async def tick(self) -> None:
        """Every second: orders, what has been answered, and what time makes due. Raises StoreError.

        Of several nodes one does it. What another one was asking when it died is asked again, and harmless if it was heard.
        """
        if not self._cluster.leads():
            self._runs.clear()
            self._answers.clear()
            return
        damaged: list[StoreError] = []
        active = await self._store.call_later(lambda registry: registry.campaigns.active(damaged.append))
        self._say_damaged({str(error) for error in damaged})
        numbers = {campaign.number for campaign, _ in active}
        self._runs = {number: run for number, run in self._runs.items() if number in numbers}
        self._failed = {number: failed for number, failed in self._failed.items() if number in numbers}
        for campaign, order in active:
            again_at, failed_order = self._failed.get(campaign.number, (0.0, order))
            if time.monotonic() < again_at and order == failed_order:
                continue
            try:
                await self._advance(campaign, order)
                self._failed.pop(campaign.number, None)
            except Exception as error:  # noqa: BLE001  the other campaigns go on
                if _is_passing(error):
                    _log.error(
                        "campaign_not_written", campaign=campaign.name, why=str(error)
                    )  # the next tick tries again
                else:
                    await self._halt(campaign, order, error)

    def status(self) -> list[dict[str, Any]]:
        """What is under way."""
        return [
            {
                "name": run.campaign.name,
                "kind": run.campaign.kind,
                "state": run.campaign.state.value,
                "members": {state.value: n for state, n in run.counts().items()},
                "halted": [str(each.stratum) for each in run.campaign.strata if each.halted],
            }
            for run in self._runs.values()
        ]

    def metrics(self) -> dict[str, float]:
        """How many are where, of all campaigns under way."""
        counts: Counter[str] = Counter()
        for run in self._runs.values():
            counts.update({state.value: n for state, n in run.counts().items()})
        halted = sum(1 for run in self._runs.values() for each in run.campaign.strata if each.halted)
        found = {f'ocpp_gateway_campaign_charge_points{{state="{state}"}}': float(n) for state, n in counts.items()}
        return found | ({"ocpp_gateway_campaign_strata_halted": float(halted)} if self._runs else {})

    # -- one campaign

    async def _advance(self, campaign: Campaign, order: Order | None) -> None:
        operation = self._operations.get(campaign.kind)
        if operation is None:
            self._cannot(campaign, f"this release has no campaigns of kind {campaign.kind}")
            return
        run = self._runs.get(campaign.number)
        if run is None:
            run = await self._loaded(campaign)
        if order is not None:
            await self._obey(run, order)
        number = campaign.number
        events: list[CampaignEvent] = [*self._answers.pop(number, [])]
        # Whom an operation is about right now may be between being told and being on record as told.
        watched = [each for each in run.watched() if (number, each.charge_point_id) not in self._busy]
        try:
            observations = await self._observed(run, watched) if watched else {}
            await self._perform(run, [*events, self._now(run.campaign.plan, observations)])
        except ZoneInfoNotFoundError:
            self._cannot(campaign, f"this machine knows no time zone {campaign.plan.time_zone}")
        except Exception:
            # What the run has decided is not on the disk, so it did not happen: the rows are read again.
            self._runs.pop(campaign.number, None)
            raise

    async def _loaded(self, campaign: Campaign) -> CampaignRun:
        def read(registry: Registry) -> CampaignRun:  # in the thread: it takes a while to sort a fleet
            found, _ = registry.campaigns.get(campaign.name)
            return CampaignRun(found, registry.campaigns.members(campaign.number, damaged.append), time.time())

        damaged: list[DamagedRow] = []
        run = await self._store.call_later(read)
        if damaged and not run.members:
            raise damaged[0]  # it is not finished because nobody can be read
        for error in damaged:
            self._cannot_see(campaign, ChargePointId(error.charge_point_id), error)
        self._runs[campaign.number] = run
        return run

    async def _observed(self, run: CampaignRun, members: Sequence[Member]) -> Mapping[ChargePointId, Observation]:
        """What is seen of them. Of one that nothing can be said of nothing is; the others do not suffer."""
        operation = self._operations[run.campaign.kind]
        try:
            return await operation.observe(members, run.campaign.plan)
        except Exception as failed:
            if _is_passing(failed):
                raise
            found: dict[ChargePointId, Observation] = {}
            for each in members:
                try:
                    found |= await operation.observe([each], run.campaign.plan)
                except Exception as error:
                    if _is_passing(error):
                        raise
                    self._cannot_see(run.campaign, each.charge_point_id, error)
            return found

    def _cannot_see(self, campaign: Campaign, identity: ChargePointId, error: Exception) -> None:
        if (campaign.number, identity) in self._unseen:
            return
        self._unseen.add((campaign.number, identity))
        _log.error("campaign_step_failed", campaign=campaign.name, error=repr(error), exc_info=error)
        why = f"{campaign.name}: {type(error).__name__}, see the log of the gateway"
        self._report("campaign.stuck", "high", "allow_alert", why, identity)

    async def _halt(self, campaign: Campaign, order: Order | None, error: Exception) -> None:
        """A defect of ours, or rows that make no sense: it pauses until somebody has looked, and is on record.

        Those that were told are still watched, as far as that can be done: it is tried again after a while.
        """
        number = campaign.number
        self._runs.pop(number, None)
        _log.error("campaign_failed", campaign=campaign.name, error=repr(error), exc_info=error)
        is_said = number in self._failed
        self._failed[number] = time.monotonic() + _FAILED_S, order
        try:
            if campaign.state is CampaignState.RUNNING:
                paused = obeyed(campaign, Order(what="pause", by="gateway"), time.time())
                await self._store.call_later(lambda registry: registry.campaigns.put(paused, ()))
        except StoreError as unwritten:
            _log.error("campaign_not_written", campaign=campaign.name, why=str(unwritten))
        if not is_said:
            why = f"{campaign.name}: {type(error).__name__}, see the log of the gateway; it is paused"
            self._report("campaign.failed", "high", "allow_alert", why, "")

    def _say_damaged(self, damaged: set[str]) -> None:
        for why in sorted(damaged - self._damaged):
            self._report("campaign.stuck", "high", "allow_alert", why, "")
        self._damaged = damaged

    async def _obey(self, run: CampaignRun, order: Order) -> None:
        number = run.campaign.number
        try:
            if order.what == "start":
                elsewhere = await self._store.call_later(lambda registry: registry.campaigns.members_elsewhere(number))
                if elsewhere:
                    raise OrderRefused(f"{len(elsewhere)} of its charge points are in another campaign by now")
                approved = await self._store.call_later(lambda registry: registry.campaigns.get(run.campaign.name)[0])
                run.campaign = approved
            await self._perform(run, [Ordered(time.time(), order)], order)
        except OrderRefused as refused:
            self._report("campaign.order_refused", "medium", "deny", f"{run.campaign.name}: {refused}", "")
            await self._store.call_later(lambda registry: registry.campaigns.drop_order(number, order))
        except StoreError:
            self._runs.pop(number, None)
            raise

    def _now(self, plan: Plan, observations: Mapping[ChargePointId, Observation]) -> Tick:
        now = time.time()
        connected = _Connected(self._sessions, self._cluster.is_elsewhere)
        return Tick(now, is_open(plan.windows, now, zone_of(plan)), connected, observations)

    async def _perform(self, run: CampaignRun, events: list[CampaignEvent], done: Order | None = None) -> None:
        """What follows from these events, in one transaction. Raises StoreError; then nothing of it is done."""
        effects = [effect for event in events for effect in run.handle(event)]
        members = [each for effect in effects if isinstance(effect, StoreRows) for each in effect.members]
        campaign = run.campaign
        if done is not None or any(isinstance(effect, StoreRows) for effect in effects):
            fence = self._cluster.fence
            await self._store.call_later(lambda registry: registry.campaigns.put(campaign, members, done, fence))
        for each in members:
            fact = campaign_fact(campaign.kind, each.state)
            if fact is not None:
                self._saw(campaign.strata[each.stratum].stratum, fact)
        for effect in effects:
            self._do(campaign, effect)

    def _do(self, campaign: Campaign, effect: CampaignEffect) -> None:
        match effect:
            case Note():
                self._report(effect.event, effect.severity, effect.decision, effect.detail, effect.charge_point_id)
            case Prepare(member=member) | Switch(member=member):
                key = campaign.number, member.charge_point_id
                # If one that was asked before the rows were read again is still at it, its answer is the answer.
                if key not in self._busy:
                    self._busy.add(key)
                    self._tasks.start(self._ask(campaign, effect), "campaign")
            case StoreRows():
                pass

    async def _ask(self, campaign: Campaign, effect: Prepare | Switch) -> None:
        member, operation = effect.member, self._operations[campaign.kind]
        answer = Answer(Said.UNKNOWN, "the gateway was stopped")
        try:
            if isinstance(effect, Prepare):
                answer = await operation.prepare(member, campaign.plan)
            else:
                answer = await operation.switch(member, campaign.plan)
        except Exception as error:  # noqa: BLE001  one charge point does not end a campaign, whatever it has met
            _log.error("campaign_step_failed", campaign=campaign.name, error=repr(error), exc_info=error)
            answer = Answer(Said.UNKNOWN, "it failed in the gateway; see its log")
        finally:
            kind = PrepareDone if isinstance(effect, Prepare) else SwitchDone
            done = kind(time.time(), member.charge_point_id, answer)
            self._answers.setdefault(campaign.number, []).append(done)
            self._busy.discard((campaign.number, member.charge_point_id))

    def _cannot(self, campaign: Campaign, why: str) -> None:
        if campaign.number not in self._unusable:
            self._unusable.add(campaign.number)
            self._report("campaign.stuck", "high", "allow_alert", f"{campaign.name}: {why}", "")


def _is_passing(error: Exception) -> bool:
    """A database that is locked or full: nobody's row is at fault, and the next tick may find it well."""
    return isinstance(error, StoreError) and not isinstance(error, DamagedRow)
