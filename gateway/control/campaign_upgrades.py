"""Campaigns of kind `security-profile`: every charge point is moved up, by `gateway.control.upgrades`."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.control.campaign_windows import opens_at
from gateway.control.cluster import Cluster
from gateway.control.enrolments import Enrolments
from gateway.control.sessions import Sessions
from gateway.control.store_thread import StoreThread
from gateway.control.upgrade_wish import UpgradeRefused, UpgradeWish
from gateway.control.upgrades import Upgrades
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.campaign import Answer, Member, Observation, Said, Seen
from gateway.provisioning.campaign_plan import Plan
from gateway.provisioning.campaign_states import MemberState
from gateway.provisioning.upgrade import Upgrade
from gateway.provisioning.upgrade_states import UpgradeState
from gateway.store.registry import Registry

__all__ = ["UpgradeOperation"]

_GIVEN_UP: Final = frozenset({UpgradeState.FELL_BACK, UpgradeState.REFUSED, UpgradeState.ABORTED})
_NOT_SWITCHED: Final = frozenset({UpgradeState.WANTED, UpgradeState.BOTH_ACCEPTED, UpgradeState.TOLD})
_TAKEN_BACK_AT: Final = 0.8
"""Of the time that it has to prove itself: what is not there by then is stopped, so that it is back when it is judged."""


class UpgradeOperation:
    """`mark` is the number of the upgrade before: what comes after it is the campaign's.

    Prepared is who could be switched at this moment, but for a transaction: the certificate that profile 3 needs is
    fetched before. Who is charging when its turn comes is not told. Who is connected to another node can only be asked there,
    by the upgrade itself: what stands in its way is known after it was begun, and counts as fallen back.
    """

    def __init__(
        self, upgrades: Upgrades, enrolments: Enrolments, sessions: Sessions, store: StoreThread, cluster: Cluster
    ) -> None:
        self._upgrades = upgrades
        self._enrolments = enrolments
        self._sessions = sessions
        self._store = store
        self._cluster = cluster

    async def prepare(self, member: Member, plan: Plan) -> Answer:
        """Every check, and the certificate if that is all that is missing. Raises StoreError."""
        newest = await self._upgrades.newest(member.charge_point_id)
        if newest is not None and newest.state.is_open:
            return Answer(Said.NOT_NOW, f"an upgrade is under way already: {newest.state.value}")
        mark = str(newest.number if newest is not None else 0)
        if self._cluster.is_elsewhere(member.charge_point_id):
            return Answer(Said.DONE, "it is connected to another node, which does the checks", mark=mark)
        try:
            found = await self._upgrades.preflight(_wish(member, plan))
            if found.verdict == "install":
                said = await self._upgrades.install_root(_wish(member, plan))
                if not said.accepted:
                    return Answer(Said.REFUSED if said.known else Said.NOT_NOW, f"root: {said.why}")
                found = await self._upgrades.preflight(_wish(member, plan))
        except UpgradeRefused as refused:
            return _unless_away(refused)
        match found.verdict:
            case "no" | "install":
                return Answer(Said.REFUSED, found.why)
            case "wait" if not found.is_heard:
                return Answer(Said.NOT_NOW, found.why)
            case "enrol":
                return await self._certified(member)
            case _:
                return Answer(Said.DONE, found.why, mark=mark)

    async def _certified(self, member: Member) -> Answer:
        """The certificate is on its way, perhaps since an earlier attempt."""
        why = await self._enrolments.enrol(member.charge_point_id, "its security profile is to be raised")
        return Answer(Said.REFUSED, why) if why else Answer(Said.NOT_NOW, "its certificate is on the way")

    async def switch(self, member: Member, plan: Plan) -> Answer:
        """Tell it, if it can be switched right now. Raises StoreError."""
        newest = await self._upgrades.newest(member.charge_point_id)
        if newest is not None and newest.number > int(member.mark or 0):
            return Answer(Said.DONE, "it has been told already")
        try:
            if not self._cluster.is_elsewhere(member.charge_point_id):
                found = await self._upgrades.preflight(_wish(member, plan))
                if found.verdict in {"wait", "enrol", "install"}:
                    return Answer(Said.NOT_NOW, found.why)
                if found.verdict == "no":
                    return Answer(Said.REFUSED, found.why)
            await self._upgrades.start(_wish(member, plan))
        except UpgradeRefused as refused:
            return _unless_away(refused)
        return Answer(Said.DONE)

    async def observe(self, members: Sequence[Member], plan: Plan) -> Mapping[ChargePointId, Observation]:
        """By the newest upgrade of each. What will not be there in time is stopped. Raises StoreError."""
        # What is proven stays so: nothing lower is accepted any more. One that soaks has nothing more to show but itself.
        wanted = [each for each in members if each.state is not MemberState.SOAK]

        def read(registry: Registry) -> dict[ChargePointId, Upgrade | None]:
            return {each.charge_point_id: registry.upgrades.newest(each.charge_point_id) for each in wanted}

        newest = await self._store.call_later(read) if wanted else {}
        for member in wanted:
            await self._stop_if_late(member, newest[member.charge_point_id], plan)
        opens = opens_at(plan, time.time())
        return {each.charge_point_id: _seen(each, newest[each.charge_point_id], opens) for each in wanted}

    async def _stop_if_late(self, member: Member, newest: Upgrade | None, plan: Plan) -> None:
        """While it can be reached on the old profile, its way back ends before it is judged."""
        late_at = member.due_at - (1.0 - _TAKEN_BACK_AT) * plan.proof_within_s
        if member.state is not MemberState.WAITING or time.time() < late_at or newest is None:
            return
        is_there = self._sessions.get(member.charge_point_id) is not None
        if newest.accepts_both and not newest.priority_before:
            return  # 1.6: there is no way back that has to end by then
        if (
            newest.state.is_open
            and not newest.ends_as
            and (is_there or self._cluster.is_elsewhere(member.charge_point_id))
        ):
            try:
                await self._upgrades.abort(member.charge_point_id, _stopped(newest))
            except UpgradeRefused:
                return  # it may be on the new profile any moment, or is on its way back already


def _stopped(newest: Upgrade) -> str:
    """Why, as the report says it: what it has been waiting for until then."""
    return f"stopped by the campaign, as its time was nearly over: {newest.state.value} {newest.detail}".rstrip()


def _wish(member: Member, plan: Plan) -> UpgradeWish:
    return UpgradeWish(
        charge_point_id=member.charge_point_id,
        to_profile=SecurityProfile(plan.to_profile),
        url=plan.url,
        url_key=plan.url_key,
        interface=plan.interface or "Wired0",
        install_root=plan.install_root,
        unsafe_any_firmware=plan.unsafe_any_firmware,
    )


def _unless_away(refused: UpgradeRefused) -> Answer:
    """Who has just left may be back; everything else stays as it is."""
    return Answer(Said.NOT_NOW if "not connected" in str(refused) else Said.REFUSED, str(refused))


def _seen(member: Member, newest: Upgrade | None, opens: float) -> Observation:
    """`opens`: when its window does; 0.0 if one is open."""
    if newest is None or newest.number <= int(member.mark or 0):
        return Observation(Seen.NOTHING)
    if newest.state is UpgradeState.PROVEN:
        return Observation(Seen.PROVEN, f"registered on security profile {int(newest.to_profile)}")
    if newest.state in _GIVEN_UP:
        return Observation(Seen.BACK, f"{newest.state.value}: {newest.detail}")
    waits_until = opens if newest.state in _NOT_SWITCHED else 0.0
    return Observation(Seen.UNDER_WAY, f"{newest.state.value} {newest.detail}".rstrip(), waits_until)
