"""Which call an answer belongs to, for records: edges do not say, and it decides nothing."""

from collections import OrderedDict
from typing import Final

from gateway.audit.relayed import Head

__all__ = ["OpenExchanges"]

_MAX_SESSIONS: Final = 50_000
_MAX_OPEN: Final = 32
"""Of one session, in both directions together."""

_Open = OrderedDict[tuple[bool, str], tuple[str, float]]
"""Who asked (True: the CSMS) and message id -> action, and when in seconds since the epoch."""


class OpenExchanges:
    """Calls that were seen without their answer yet, bounded; the oldest ones are forgotten."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Open] = OrderedDict()

    def add(self, session: str, head: Head, time: float, *, from_csms: bool) -> tuple[str, int | None]:
        """The action that a frame is about, empty where that is not known; of an answer how long it took, in ms."""
        if head.kind in {"call", "send"}:
            if head.kind == "call":
                self._opened(session, (from_csms, head.message_id), (head.action, time))
            return head.action, None
        asker = from_csms if head.kind == "result_error" else not from_csms
        action, since = self._sessions.get(session, _Open()).pop((asker, head.message_id), ("", 0.0))
        return action, max(0, round((time - since) * 1000)) if action else None

    def _opened(self, session: str, key: tuple[bool, str], call: tuple[str, float]) -> None:
        calls = self._sessions.setdefault(session, _Open())
        self._sessions.move_to_end(session)
        calls[key] = call
        if len(calls) > _MAX_OPEN:
            calls.popitem(last=False)
        if len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)

    def end(self, session: str) -> None:
        """Nothing more of it comes."""
        self._sessions.pop(session, None)
