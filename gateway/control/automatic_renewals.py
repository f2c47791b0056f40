"""Renews the certificates that the gateway has given, before they end: a few at a time, and not while somebody charges."""

import time
from typing import Final

import structlog

from gateway.config.model import Config
from gateway.control.certificate_calls import CertificateCalls
from gateway.control.enrolments import Enrolments
from gateway.control.own_calls import OwnCalls
from gateway.control.part import NodePart
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.evidence import CertificateProof, is_limited
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.renewal import RenewalTiming, Urgency, urgency
from gateway.store.errors import DamagedRow, StoreError
from gateway.store.registry import Registry

__all__ = ["AutomaticRenewals", "rows_for_renewal"]

_LOOKED_AT: Final = 1_000
"""Charge points at each tick; those that end first."""
_ROWS: Final = 24
"""Newest rows of a charge point: six failures, which is as long as waiting doubles, in three shapes each, and some."""
_IN_USE: Final = 3
"""Beside them, however much has failed since."""
_BUSY_S: Final = 600.0
"""After which a charge point that is charging, or cannot be asked, is looked at again."""
_SETTLE_S: Final = 5.0
_log = structlog.get_logger("control.renewals")


class AutomaticRenewals(NodePart):
    """One per node, for the charge points that are connected to it."""

    name = "automatic_renewals"
    tick_every_s = 5.0

    def __init__(self, store: StoreThread, sessions: Sessions, own_calls: OwnCalls, enrolments: Enrolments) -> None:
        self._store = store
        self._sessions = sessions
        self._calls = CertificateCalls(own_calls)
        self._enrolments = enrolments
        self._timing = RenewalTiming()
        self._at_once = 0
        self._given_by: frozenset[str] = frozenset()
        self._under_way: set[ChargePointId] = set()
        self._not_before: dict[ChargePointId, float] = {}

    def use(self, config: Config) -> None:
        """Put a configuration into force."""
        pki = config.pki
        self._timing = RenewalTiming(renew_after=pki.renew_after, retry_s=pki.renew_retry_s)
        self._at_once = pki.renewals_at_once
        self._given_by = frozenset(each.name for each in config.csms if each.certificates == "gateway")

    async def tick(self) -> None:
        """Begin as many renewals as may run at once. Raises StoreError."""
        await self._forget_what_is_over()
        if len(self._under_way) >= self._at_once:
            return
        now, after = time.time(), self._timing.renew_after
        self._not_before = {identity: at for identity, at in self._not_before.items() if at > now}
        due = await self._store.call(lambda registry: registry.enrolments.due_for_renewal(now, after, _LOOKED_AT))
        for identity in due:
            entry = self._reached(identity, now)
            if entry is not None and len(self._under_way) < self._at_once:
                try:
                    await self._look_at(entry, now)
                except Exception as error:  # noqa: BLE001  the others have their turn
                    self._leave(identity, error, now)

    async def _forget_what_is_over(self) -> None:
        for identity in list(self._under_way):
            try:
                newest = await self._enrolments.newest(identity)
            except DamagedRow as error:
                self._under_way.discard(identity)
                self._leave(identity, error, time.time())
                continue
            if newest is None or not newest.state.is_open:
                self._under_way.discard(identity)

    def _leave(self, identity: ChargePointId, error: Exception, now: float) -> None:
        """Something is wrong about this one: the others have their turn. Raises `error` if it is about the database."""
        if isinstance(error, StoreError) and not isinstance(error, DamagedRow):
            raise error
        _log.error("renewal_not_begun", charge_point=identity, why=repr(error), exc_info=error)
        self._not_before[identity] = now + _BUSY_S

    def _reached(self, identity: ChargePointId, now: float) -> Entry | None:
        """Its session, if it is one in which the gateway may ask for a renewal now."""
        entry = self._sessions.get(identity)
        if entry is None or entry.live is None or entry.edge is None or is_limited(entry.proof) or entry.kept_revoked:
            return None
        if identity in self._under_way or identity in self._not_before or entry.live.csms not in self._given_by:
            return None
        return entry if now - entry.live.opened_at >= _SETTLE_S else None

    async def _look_at(self, entry: Entry, now: float) -> None:
        identity = entry.charge_point_id
        rows = await self._store.call(lambda registry: rows_for_renewal(registry, identity))
        connected_with = entry.proof.sha256 if isinstance(entry.proof, CertificateProof) else ""
        found = urgency(rows, now, self._timing, connected_with)
        if found is Urgency.NONE:
            return
        if found is Urgency.DUE and not await self._calls.is_idle(entry):
            self._not_before[identity] = now + _BUSY_S
            return
        try:
            why = await self._enrolments.renew(identity, "its certificate has lived for most of its lifetime")
        except StoreError as error:
            _log.error("renewal_not_begun", why=str(error))
            return
        if why:
            self._not_before[identity] = now + _BUSY_S
        else:
            self._under_way.add(identity)

    def metrics(self) -> dict[str, float]:
        """How many are under way."""
        return {"ocpp_gateway_renewals_under_way": float(len(self._under_way))}


def rows_for_renewal(registry: Registry, identity: ChargePointId) -> list[Enrolment]:
    """The newest first. What is in use is among them, however many have failed after it."""
    newest = registry.enrolments.latest(identity, _ROWS)
    older = (each for each in registry.enrolments.in_use(identity, _IN_USE) if each.number < newest[-1].number)
    return [*newest, *older] if newest else []
