"""What the CSMS has told a charge point that it has not accepted: a reconnect, to whichever edge, is no way around it."""

from collections import OrderedDict
from typing import Final

from gateway.ocpp.vocabulary import BootState, ChargePointId

__all__ = ["BootStates"]

_RESTRICTED: Final = frozenset({"pending", "rejected"})


class BootStates:
    """Kept in memory, bounded, and only where it restricts. After a restart nothing is known, and nothing concluded."""

    def __init__(self, max_entries: int = 200_000) -> None:
        self._max_entries = max_entries
        self._states: OrderedDict[ChargePointId, BootState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def note(self, charge_point_id: ChargePointId, state: BootState) -> None:
        """The CSMS has answered a BootNotification; when there is no room, the oldest restriction is forgotten."""
        self._states.pop(charge_point_id, None)
        if state in _RESTRICTED:
            self._states[charge_point_id] = state
            if len(self._states) > self._max_entries:
                self._states.popitem(last=False)

    def of(self, charge_point_id: ChargePointId) -> BootState:
        """For a new session: unknown unless the CSMS was still holding it back."""
        return self._states.get(charge_point_id, "unknown")
