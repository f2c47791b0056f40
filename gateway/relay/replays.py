"""Which calls of a session that carry billing data have been answered: nobody sends one of those again but an attacker.

A retry comes because no answer has come. Within a connection TCP keeps the order, so whoever repeats a call, id and all,
after its answer is replaying. Not remembered across connections: an answer may have been lost with the old one, and then
the charge point is right to repeat the call.
"""

from typing import Final

from gateway.ocpp.frames import Call

__all__ = ["Replays"]

_MAX_ANSWERED: Final = 1_024
_MAX_OPEN: Final = 64


class Replays:
    """Digests, oldest first; bounded."""

    __slots__ = ("_answered", "_open")

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._answered: dict[int, None] = {}

    def opened(self, call: Call) -> None:
        """A call was forwarded."""
        if len(self._open) >= _MAX_OPEN:
            del self._open[next(iter(self._open))]
        self._open[call.message_id] = _digest(call)

    def answered(self, message_id: str) -> None:
        """The call of this id has got its answer."""
        digest = self._open.pop(message_id, None)
        if digest is None:
            return
        if len(self._answered) >= _MAX_ANSWERED:
            del self._answered[next(iter(self._answered))]
        self._answered[digest] = None

    def knows(self, call: Call) -> bool:
        """True if this very call, with this id and content, has been answered."""
        return bool(self._answered) and _digest(call) in self._answered


def _digest(call: Call) -> int:
    """Salted per process (PYTHONHASHSEED), so that nobody can prepare two calls with the same one."""
    return hash((call.message_id, call.action, bytes(call.payload)))
