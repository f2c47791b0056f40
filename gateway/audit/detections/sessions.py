"""When, from where and how each charge point has come: remembered once for all detections that ask.

One session is all that most are remembered by; those before it only as long as a window holds them.
"""

from typing import Final

from gateway.audit.detections.model import MICROSECONDS, Session
from gateway.audit.detections.windows import MAX_MARKS, Recent

__all__ = ["Sessions"]

_NONE: Final[tuple[Session, ...]] = ()


class Sessions:
    """By charge point, bounded like everything that detections remember."""

    def __init__(self) -> None:
        self._known: Recent[Session | tuple[Session, ...]] = Recent()
        """The last one, or it and those before it, the oldest first: a tuple for each would be a fifth of all that is kept."""

    def last(self, charge_point_id: str) -> Session | None:
        """Its latest session, however long ago."""
        known = self._all(charge_point_id)
        return known[-1] if known else None

    def near(self, charge_point_id: str, ts_us: int, window_s: float) -> list[Session]:
        """Those of its sessions that are at most `window_s` away from this moment, the oldest first."""
        window_us = window_s * MICROSECONDS
        return [each for each in self._all(charge_point_id) if abs(ts_us - each.ts_us) <= window_us]

    def opened(self, charge_point_id: str, session: Session, window_s: float) -> None:
        """It has come again. Earlier ones are kept if they are at most `window_s` away."""
        known = (*self.near(charge_point_id, session.ts_us, window_s), session)[-MAX_MARKS:]
        self._known.put(charge_point_id, known if len(known) > 1 else session)

    def _all(self, charge_point_id: str) -> tuple[Session, ...]:
        known = self._known.get(charge_point_id)
        if known is None:
            return _NONE
        return known if isinstance(known, tuple) else (known,)
