"""Campaigns of kinds `root` and `old-root`: every charge point gets a new root of its CSMS; later, it gives up the old one.

What a charge point lists is what it has (docs/decisions/0060): asked before and after, and again whenever nobody knows. So
all of it may be done twice.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.control.campaign_looks import Looks
from gateway.control.certificate_calls import Said as Told
from gateway.control.chain_switches import ChainSwitches
from gateway.control.own_calls import OwnCalls
from gateway.control.reachable import Reachable
from gateway.control.rollover_material import RolloverMaterial
from gateway.control.root_calls import RootCalls
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.campaign import Answer, Member, Observation, Said, Seen
from gateway.provisioning.campaign_plan import Plan
from gateway.provisioning.rollover import to_send
from gateway.provisioning.roots import CSMS_ROOT, InstalledRoot, RootStore, has, refusal_to_delete
from gateway.store.roots import RootTables

__all__ = ["OldRootOperation", "RootOperation"]

_AWAY: Final = Answer(Said.NOT_NOW, "it is not connected")


class _Lists:
    """What charge points list, which is remembered: coverage rests on it."""

    def __init__(self, store: StoreThread, sessions: Sessions, own_calls: OwnCalls) -> None:
        self.calls = RootCalls(own_calls)
        self._store = store
        self._reachable = Reachable(sessions)

    def entry(self, charge_point_id: ChargePointId) -> Entry | None:
        return self._reachable.connected(charge_point_id)

    async def ask(self, entry: Entry) -> RootStore | Told:
        """Raises StoreError."""
        found = await self.calls.store(entry)
        if isinstance(found, RootStore):
            identity = entry.charge_point_id
            await self._store.call_later(lambda registry: RootTables(registry.database).remember(identity, found))
        return found


class RootOperation:
    """The new root beside the old one, or linked to it where the charge point demands that. The old one stays."""

    def __init__(self, store: StoreThread, sessions: Sessions, own_calls: OwnCalls, tasks: TaskOwner) -> None:
        self._lists = _Lists(store, sessions, own_calls)
        self._looks = Looks(tasks)

    async def prepare(self, member: Member, plan: Plan) -> Answer:
        """Every guard, by what it lists now. Raises StoreError."""
        entry = self._lists.entry(member.charge_point_id)
        if entry is None:
            return _AWAY
        found = await self._lists.ask(entry)
        if isinstance(found, Told):
            return _undecided(found)
        what, why = _needs(found, _material(plan))
        if what == "nothing":
            return Answer(Said.REFUSED, why) if why else Answer(Said.DONE, "it lists the new root already")
        return Answer(Said.DONE)

    async def switch(self, member: Member, plan: Plan) -> Answer:
        """InstallCertificate, unless it lists the root already. Raises StoreError."""
        entry, material = self._lists.entry(member.charge_point_id), _material(plan)
        if entry is None:
            return _AWAY
        found = await self._lists.ask(entry)
        if isinstance(found, Told):
            return Answer(Said.NOT_NOW, found.why)
        what, why = _needs(found, material)
        if why:
            return Answer(Said.REFUSED, why)
        if what != "nothing":
            said = await self._lists.calls.install(entry, CSMS_ROOT, material.link if what == "link" else material.new)
            if not said.accepted:
                return Answer(Said.REFUSED if said.known else Said.UNKNOWN, said.why)
            found = await self._lists.ask(entry)
        if isinstance(found, Told):
            return Answer(Said.UNKNOWN, found.why)
        if not _has_new(found, material):
            return Answer(Said.REFUSED, "it has said Accepted and does not list the root")
        self._looks.saw(member.charge_point_id, Observation(Seen.PROVEN, "it lists the new root"))
        return Answer(Said.DONE)

    async def observe(self, members: Sequence[Member], plan: Plan) -> Mapping[ChargePointId, Observation]:
        """By what each lists; asked beside the others, and not again and again."""
        material = _material(plan)

        async def look(identity: ChargePointId) -> Observation | None:
            entry = self._lists.entry(identity)
            found = await self._lists.ask(entry) if entry is not None else None
            if not isinstance(found, RootStore):
                return None
            return Observation(Seen.PROVEN, "it lists the new root") if _has_new(found, material) else None

        return self._looks.at(members, look)


class OldRootOperation:
    """The old root goes where the charge point lists the new one, and has connected under it since the switch."""

    def __init__(
        self,
        store: StoreThread,
        sessions: Sessions,
        own_calls: OwnCalls,
        switches: ChainSwitches,
        tasks: TaskOwner,
    ) -> None:
        self._lists = _Lists(store, sessions, own_calls)
        self._switches = switches
        self._looks = Looks(tasks)

    async def prepare(self, member: Member, plan: Plan) -> Answer:
        """Every guard, by its session and by what it lists now. Raises StoreError."""
        entry = self._lists.entry(member.charge_point_id)
        if entry is None:
            return _AWAY
        if (answer := self._too_early(entry, plan)) is not None:
            return answer
        found = await self._lists.ask(entry)
        return _undecided(found) if isinstance(found, Told) else _deletable(found, _material(plan))

    def _too_early(self, entry: Entry, plan: Plan) -> Answer | None:
        """Whether this very session has proven that it needs the old root no more."""
        assert entry.live is not None, "a session that is reachable"
        if entry.security_profile is SecurityProfile.BASIC:
            return Answer(Said.REFUSED, "it is on security profile 1, on which it verifies nobody")
        since = self._switches.shown_since(entry.live.listener, _material(plan).new_root)
        if not since:
            return Answer(Said.NOT_NOW, "its listener does not show the new chain alone: campaign switch")
        if entry.live.opened_at <= since:
            return Answer(Said.NOT_NOW, "it has not connected since the switch")
        if time.time() < entry.live.opened_at + plan.quiet_s:
            return Answer(Said.NOT_NOW, "the quiet period after its connection under the new chain is not over")
        return None

    async def switch(self, member: Member, plan: Plan) -> Answer:
        """DeleteCertificate, with the digits that it has reported. Raises StoreError."""
        entry, material = self._lists.entry(member.charge_point_id), _material(plan)
        if entry is None:
            return _AWAY
        if (answer := self._too_early(entry, plan)) is not None:
            return answer
        found = await self._lists.ask(entry)
        if isinstance(found, Told):
            return Answer(Said.NOT_NOW, found.why)
        if (answer := _deletable(found, material)).said is not Said.DONE:
            return answer
        for root in _old(found, material):
            said = await self._lists.calls.delete(entry, root.name)
            if not said.accepted:
                return Answer(Said.REFUSED if said.known else Said.UNKNOWN, said.why)
            found = await self._lists.ask(entry)
            if isinstance(found, Told):
                return Answer(Said.UNKNOWN, found.why)
        if _old(found, material):
            return Answer(Said.REFUSED, "it has said Accepted and still lists the old root")
        self._looks.saw(member.charge_point_id, Observation(Seen.PROVEN, "it lists the new root alone"))
        return Answer(Said.DONE)

    async def observe(self, members: Sequence[Member], plan: Plan) -> Mapping[ChargePointId, Observation]:
        """By what each lists."""
        material = _material(plan)

        async def look(identity: ChargePointId) -> Observation | None:
            entry = self._lists.entry(identity)
            found = await self._lists.ask(entry) if entry is not None else None
            if not isinstance(found, RootStore) or _old(found, material):
                return None
            return Observation(Seen.PROVEN, "it lists the old root no more")

        return self._looks.at(members, look)


def _material(plan: Plan) -> RolloverMaterial:
    return RolloverMaterial(plan.old_root, plan.new_root, plan.link)


def _needs(store: RootStore, material: RolloverMaterial) -> tuple[str, str]:
    return to_send(store, material.names, len(material.new), len(material.link))


def _has_new(store: RootStore, material: RolloverMaterial) -> bool:
    names = material.names
    return has(store, CSMS_ROOT, (*names.new, *names.link))


def _old(store: RootStore, material: RolloverMaterial) -> list[InstalledRoot]:
    names = material.names.old
    return [root for root in store.of(CSMS_ROOT) if any(root.name.is_same(name) for name in names)]


def _deletable(store: RootStore, material: RolloverMaterial) -> Answer:
    """Whether its list lets the old root go: the new one is there beside it."""
    if not _has_new(store, material):
        return Answer(Said.REFUSED, "it does not list the new root")
    reasons = (refusal_to_delete(store, root, ()) for root in _old(store, material))
    why = next((each for each in reasons if each), "")
    return Answer(Said.REFUSED, why) if why else Answer(Said.DONE)


def _undecided(told: Told) -> Answer:
    """It does not say what it has."""
    why = f"it does not say which roots it has: {told.why}"
    return Answer(Said.REFUSED if told.known else Said.NOT_NOW, why)
