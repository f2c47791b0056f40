"""Campaigns of kind `certificate`: every charge point gets a new certificate, by `gateway.control.enrolments`."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.control.campaign_windows import opens_at
from gateway.control.directory import Directory
from gateway.control.enrolments import Enrolments
from gateway.control.sessions import Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.evidence import CertificateProof
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import Answer, Member, Observation, Said, Seen
from gateway.provisioning.campaign_plan import Plan
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.states import State
from gateway.store.registry import Registry

__all__ = ["RenewalOperation"]

_IN_USE: Final = frozenset({State.SEEN_IN_HANDSHAKE, State.OLD_RETIRED})


class RenewalOperation:
    """`mark` is the number of the enrolment before: what comes after it is the campaign's."""

    def __init__(self, enrolments: Enrolments, directory: Directory, sessions: Sessions, store: StoreThread) -> None:
        self._enrolments = enrolments
        self._directory = directory
        self._sessions = sessions
        self._store = store

    async def prepare(self, member: Member, plan: Plan) -> Answer:
        """Nothing is done to it; it is only looked whether it can be told. Raises StoreError."""
        del plan
        newest = await self._enrolments.newest(member.charge_point_id)
        if self._directory.get(member.charge_point_id) is None:
            return Answer(Said.REFUSED, "it is not registered any more")
        if newest is not None and newest.state.is_open and newest.state is not State.STATION_ACCEPTED:
            return Answer(Said.NOT_NOW, f"an enrolment is under way already: {newest.state.value}")
        return Answer(Said.DONE, mark=str(newest.number if newest is not None else 0))

    async def switch(self, member: Member, plan: Plan) -> Answer:
        """Let it make a new key and ask. Raises StoreError."""
        del plan
        newest = await self._enrolments.newest(member.charge_point_id)
        if newest is not None and newest.number > int(member.mark or 0):
            return Answer(Said.DONE, "it has asked for a certificate already")
        why = await self._enrolments.renew(member.charge_point_id)
        return Answer(Said.REFUSED, why) if why else Answer(Said.DONE)

    async def observe(self, members: Sequence[Member], plan: Plan) -> Mapping[ChargePointId, Observation]:
        """By the newest enrolment of each, and the certificate that it is connected with. Raises StoreError."""
        known = {each.charge_point_id: self._enrolments.known(each.charge_point_id) for each in members}
        asked = [identity for identity, enrolment in known.items() if enrolment is None]

        def read(registry: Registry) -> dict[ChargePointId, Enrolment | None]:
            return {identity: registry.enrolments.newest(identity) for identity in asked}

        if asked:
            known |= await self._store.call_later(read)
        opens = opens_at(plan, time.time())
        return {each.charge_point_id: self._seen(each, known[each.charge_point_id], opens) for each in members}

    def _seen(self, member: Member, newest: Enrolment | None, opens: float) -> Observation:
        record = self._directory.get(member.charge_point_id)
        if record is None:
            return Observation(Seen.BACK, "it is not registered any more")
        if newest is None or newest.number <= int(member.mark or 0):
            return Observation(Seen.NOTHING)
        if newest.state in _IN_USE:
            return self._in_use(member, newest)
        if newest.state is State.STATION_ACCEPTED:
            # On profile 2 it is never seen in a handshake: that it wants to use it is all there is to be known.
            is_all = int(record.security_profile) < 3  # noqa: PLR2004
            return Observation(Seen.PROVEN if is_all else Seen.UNDER_WAY, f"it has accepted {newest.serial}")
        if newest.state.is_open:
            return Observation(Seen.UNDER_WAY, f"{newest.state.value} {newest.detail}".rstrip(), opens)
        return Observation(Seen.BACK, f"{newest.state.value}: {newest.detail}")

    def _in_use(self, member: Member, newest: Enrolment) -> Observation:
        entry = self._sessions.get(member.charge_point_id)
        proof = entry.proof if entry is not None else None
        if isinstance(proof, CertificateProof) and proof.sha256 != newest.certificate_sha256:
            return Observation(Seen.BACK, f"connected with another certificate than {newest.serial}")
        return Observation(Seen.PROVEN, f"connected with {newest.serial}")
