"""When charge points have been told to send their next BootNotification, by identity. Outlives sessions. Pure and bounded.

To a charge point that it does not accept, a CSMS says when to try again (OCPP 2.0.1 B02.FR.04, B03.FR.02; OCPP 1.6, 4.2). One that
does as it was told sends no flood, however short the interval. What is not known here - nothing was told, or it was told at another
edge worker, or there was no room - is no excuse either.
"""

import math
from collections import OrderedDict
from typing import Any, Final

__all__ = ["BootTimes"]

_MAX_IDENTITIES: Final = 16_384
_EARLIEST: Final = 0.9
"""Of the interval: clocks of charge points are no chronometers, and theirs may begin when they ask."""
_ASKED: Final = -math.inf
_NOT_TOLD: Final = math.inf
_TOLD_TO_WAIT: Final = frozenset({"Pending", "Rejected"})


class BootTimes:
    """One per edge worker."""

    __slots__ = ("_due", "_max_identities")

    def __init__(self, max_identities: int = _MAX_IDENTITIES) -> None:
        self._max_identities = max_identities
        self._due: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def sent(self, identity: str) -> None:
        """A BootNotification goes on: what had been told before is done with."""
        self._due.pop(identity, None)

    def answered(self, identity: str, answer: dict[str, Any], asked_at: float) -> None:
        """The CSMS has answered one that came at `asked_at` (seconds)."""
        interval = answer.get("interval")
        self._due.pop(identity, None)
        if (
            answer.get("status") not in _TOLD_TO_WAIT
            or isinstance(interval, bool)
            or not isinstance(interval, int | float)
        ):
            return
        if interval > 0:  # 0: the charge point chooses, and chooses well
            self._tell(identity, asked_at + interval * _EARLIEST)

    def asked(self, identity: str) -> None:
        """The CSMS has sent it what makes it send one: a TriggerMessage, a Reset."""
        self._tell(identity, _ASKED)

    def is_due(self, identity: str, now: float) -> bool:
        """True if it was told to send one, and that moment has come."""
        return self._due.get(identity, _NOT_TOLD) <= now

    def is_early(self, identity: str, now: float) -> bool:
        """True if it was told to wait, and has not."""
        return now < self._due.get(identity, _ASKED)

    def due(self, identity: str) -> float | None:
        """When it was told to send one, None if it was not."""
        return self._due.get(identity)

    def restore(self, identity: str, due: float | None) -> None:
        """What it was told last, at another worker."""
        if due is None:
            self._due.pop(identity, None)
        else:
            self._tell(identity, due)

    def _tell(self, identity: str, due: float) -> None:
        self._due[identity] = due
        self._due.move_to_end(identity)
        if len(self._due) > self._max_identities:
            self._due.popitem(last=False)
