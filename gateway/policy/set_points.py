"""What CSMSs have made charge points draw or feed, by identity and connector. Outlives sessions: a reconnect hides no swing.

Pure and bounded. What was forgotten for want of room is unknown, and rules count that as a full swing.
"""

from collections import OrderedDict
from typing import Final

__all__ = ["UNKNOWN", "SetPoint", "SetPoints"]

SetPoint = tuple[float, float]
"""(watt, by how much and in which direction it changed last)."""
UNKNOWN: Final[SetPoint] = (-1.0, 0.0)
_NO_CONNECTOR: Final = -1
_MAX_CONNECTORS: Final = 32


class SetPoints:
    """One per edge worker. Connector (1.6) or EVSE (2.x); 0 is the whole charge point, -1 where a message names none."""

    __slots__ = ("_max_identities", "_of")

    def __init__(self, max_identities: int = 16_384) -> None:
        self._max_identities = max_identities
        self._of: OrderedDict[str, dict[int, SetPoint]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._of)

    def find(self, identity: str, connector: int) -> SetPoint:
        """The last one of a connector; where a message names none, the last one of the charge point."""
        known = self._of.get(identity)
        if not known:
            return UNKNOWN
        if connector == _NO_CONNECTOR:
            return known[next(reversed(known))]
        return known.get(connector, UNKNOWN)

    def accepted(self, identity: str, connector: int, watt: float) -> None:
        """A charge point has accepted this. Which connector it is for is not known where none is named: maybe any."""
        known = self._of.setdefault(identity, {})
        self._of.move_to_end(identity)
        for each in {*known, connector} if connector == _NO_CONNECTOR else (connector,):
            before, change = known.pop(each, UNKNOWN)
            known[each] = (watt, watt - before if before not in (UNKNOWN[0], watt) else change)
        if len(known) > _MAX_CONNECTORS:
            del known[next(iter(known))]
        if len(self._of) > self._max_identities:
            self._of.popitem(last=False)

    def of(self, identity: str) -> dict[int, SetPoint]:
        """All of a charge point, by connector."""
        return dict(self._of.get(identity, {}))

    def restore(self, identity: str, known: dict[int, SetPoint]) -> None:
        """What another worker has seen of it last, in the place of what is known here."""
        if known:
            self._of[identity] = dict(known)
            self._of.move_to_end(identity)
            if len(self._of) > self._max_identities:
                self._of.popitem(last=False)
