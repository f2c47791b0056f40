"""Whether a charge point can be talked to: connected, registered or given time for it, and not here for its renewal alone."""

import time
from typing import Final

from gateway.control.sessions import Entry, Sessions
from gateway.identity.evidence import is_limited
from gateway.ocpp.vocabulary import ChargePointId

__all__ = ["Reachable"]

_SETTLE_S: Final = 2.0
"""A charge point that has just connected says its own first; after its registration nothing is waited for."""


class Reachable:
    """For one part of the node, which tells it of registrations."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
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
        if entry is None or entry.live is None or entry.edge is None or is_limited(entry.proof):
            return None
        return entry

    def session(self, charge_point_id: ChargePointId) -> Entry | None:
        """The session over which it can be asked now."""
        entry = self.connected(charge_point_id)
        if entry is None or entry.live is None:
            return None
        has_settled = time.time() - entry.live.opened_at >= _SETTLE_S
        return entry if has_settled or self._registered.get(charge_point_id) == entry.generation else None
