"""Whether a charge point can be talked to: connected, registered or given time for it, and not here for its renewal alone."""

import time
from typing import Final

from gateway.control.sessions import Entry, Sessions
from gateway.identity.evidence import is_limited
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.agenda import NEVER

__all__ = ["Reachable"]

_SETTLE_S: Final = 2.0
"""A charge point that has just connected says its own first; after its registration nothing is waited for."""


class Reachable:
    """For one part of the node, which tells it of registrations.

    `for_renewal_too`: also over a session that is open for nothing but the renewal of its certificate.
    """

    def __init__(self, sessions: Sessions, *, for_renewal_too: bool = False) -> None:
        self._sessions = sessions
        self._for_renewal_too = for_renewal_too
        self._registered: dict[ChargePointId, int] = {}
        """Generation of the session in which it has registered."""

    def registered(self, entry: Entry) -> None:
        """The CSMS has accepted it."""
        self._registered[entry.charge_point_id] = entry.generation

    def forget(self, charge_point_id: ChargePointId) -> None:
        """Nothing is to be said to it any more."""
        self._registered.pop(charge_point_id, None)

    def connected(self, charge_point_id: ChargePointId) -> Entry | None:
        """Its session, however new it is: an operator decides for himself when to ask."""
        entry = self._sessions.get(charge_point_id)
        if entry is None or entry.live is None or entry.edge is None:
            return None
        return None if is_limited(entry.proof) and not self._for_renewal_too else entry

    def session(self, charge_point_id: ChargePointId) -> Entry | None:
        """The session over which it can be asked now."""
        return self.connected(charge_point_id) if time.time() >= self.settles_at(charge_point_id) else None

    def settles_at(self, charge_point_id: ChargePointId) -> float:
        """From when on it can be asked, as far as its session says; NEVER if it has none."""
        entry = self.connected(charge_point_id)
        if entry is None or entry.live is None:
            return NEVER
        has_registered = self._registered.get(charge_point_id) == entry.generation
        return 0.0 if has_registered else entry.live.opened_at + _SETTLE_S
