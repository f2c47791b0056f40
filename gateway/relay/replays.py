"""Which calls of a session that carry billing data have been answered: nobody sends one of those again but an attacker.

A retry comes because no answer has come. Within a connection TCP keeps the order, so whoever repeats a call, id and all,
after its answer is replaying. Not remembered across connections: an answer may have been lost with the old one, and then
the charge point is right to repeat the call.
"""

from typing import Final

from gateway.ocpp.build import build_call_error
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import Effects, Reply, ReportEvent

__all__ = ["Replays", "digest_of", "replayed"]

_MAX_ANSWERED: Final = 1_024


class Replays:
    """Digests of answered calls, oldest first; bounded."""

    __slots__ = ("_answered",)

    def __init__(self) -> None:
        self._answered: dict[int, None] = {}

    def answered(self, digest: int) -> None:
        """A call with this digest has got its answer."""
        if len(self._answered) >= _MAX_ANSWERED:
            del self._answered[next(iter(self._answered))]
        self._answered[digest] = None

    def knows(self, call: Call) -> bool:
        """True if this very call, with this id and content, has been answered."""
        return bool(self._answered) and digest_of(call) in self._answered


def digest_of(call: Call) -> int:
    """Salted per process (PYTHONHASHSEED), so that nobody can prepare two calls with the same one."""
    return hash((call.message_id, call.action, bytes(call.payload)))


def replayed(version: OCPPVersion, call: Call) -> Effects:
    """Instead of a call that was answered before. Nothing is lost: its sender has had an answer to this very message."""
    text = build_call_error(version, call.message_id, ErrorMeaning.SECURITY, "answered before")
    return (ReportEvent("rpc.replay", "high", "callerror", f"{call.action} that has been answered"), Reply(text))
