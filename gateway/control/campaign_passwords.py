"""Campaigns of kind `password`: every charge point gets another password, by `gateway.control.passwords`."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.control.campaign_windows import opens_at
from gateway.control.directory import Directory
from gateway.control.passwords import Passwords
from gateway.control.store_thread import StoreThread
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import Answer, Member, Observation, Said, Seen
from gateway.provisioning.campaign_plan import Plan
from gateway.provisioning.campaign_states import MemberState
from gateway.provisioning.password import PasswordChange
from gateway.provisioning.password_states import PasswordState
from gateway.store.password_changes import PasswordChangeTable
from gateway.store.registry import Registry

__all__ = ["PasswordOperation"]

_RECONNECTS_WITHIN_S: Final = 60.0
"""A01: it reconnects by itself. Some do not."""


class PasswordOperation:
    """`mark` is the number of the change before: what comes after it is the campaign's.

    It has proven itself when it has connected with the new password, or when it has taken it and just stays connected: the
    old one is dead by then, and if it cannot come back with the new one it is lost while it soaks.
    """

    def __init__(self, passwords: Passwords, directory: Directory, store: StoreThread) -> None:
        self._passwords = passwords
        self._directory = directory
        self._store = store

    async def prepare(self, member: Member, plan: Plan) -> Answer:
        """Nothing is done to it; it is only looked whether it can be told. Raises StoreError."""
        del plan
        newest = await self._passwords.newest(member.charge_point_id)
        if self._directory.get(member.charge_point_id) is None:
            return Answer(Said.REFUSED, "it is not registered any more")
        if newest is not None and newest.state.is_open:
            return Answer(Said.NOT_NOW, f"a change is under way already: {newest.state.value}")
        return Answer(Said.DONE, mark=str(newest.number if newest is not None else 0))

    async def switch(self, member: Member, plan: Plan) -> Answer:
        """Let it have another one. Raises StoreError."""
        del plan
        newest = await self._passwords.newest(member.charge_point_id)
        if newest is not None and newest.number > int(member.mark or 0):
            return Answer(Said.DONE, "it has got another one already")
        why = await self._passwords.want(member.charge_point_id)
        return Answer(Said.REFUSED, why) if why else Answer(Said.DONE)

    async def observe(self, members: Sequence[Member], plan: Plan) -> Mapping[ChargePointId, Observation]:
        """By the newest change of each. Raises StoreError."""
        # What is in use stays so, for the old one is dead: one that soaks has nothing more to show but itself.
        wanted = [each for each in members if each.state is not MemberState.SOAK]
        known = {each.charge_point_id: self._passwords.known(each.charge_point_id) for each in wanted}
        asked = [identity for identity, change in known.items() if change is None]

        def read(registry: Registry) -> dict[ChargePointId, PasswordChange | None]:
            table = PasswordChangeTable(registry.database)
            return {identity: next(iter(table.latest(identity, 1)), None) for identity in asked}

        if asked:
            known |= await self._store.call_later(read)
        opens = opens_at(plan, time.time())
        return {each.charge_point_id: self._seen(each, known[each.charge_point_id], opens) for each in wanted}

    def _seen(self, member: Member, newest: PasswordChange | None, opens: float) -> Observation:
        if self._directory.get(member.charge_point_id) is None:
            return Observation(Seen.BACK, "it is not registered any more")
        if newest is None or newest.number <= int(member.mark or 0):
            return Observation(Seen.NOTHING)
        match newest.state:
            case PasswordState.IN_USE:
                return Observation(Seen.PROVEN, "connected with the new password")
            case PasswordState.ACCEPTED if time.time() - newest.changed_at > _RECONNECTS_WITHIN_S:
                return Observation(Seen.PROVEN, "it has taken the new password, and stays connected")
            case PasswordState.REFUSED | PasswordState.FAILED | PasswordState.SUPERSEDED:
                return Observation(Seen.BACK, f"{newest.state.value}: {newest.detail}")
            case _:
                waits_until = opens if newest.state is PasswordState.WANTED else 0.0
                return Observation(Seen.UNDER_WAY, f"{newest.state.value} {newest.detail}".rstrip(), waits_until)
