"""Whether charge points answer pings, learnt from their sessions, and forgotten where it has ceased to be so.

One that was seen to answer is cut soon when it does not; one that never was is given `silent_session_timeout_s`. New
firmware may stop answering: without forgetting, it would be cut for ever (ADR 101).
"""

from collections import OrderedDict
from typing import Final

from gateway.control.directory import Directory
from gateway.control.store_thread import StoreThread
from gateway.link.messages import SessionClosed
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, Origin

__all__ = ["PingAnswers"]

_CUTS: Final = 2
"""One may be a link that died before its first answer; the next connection of such a link answers."""
_MAX_COUNTED: Final = 65_536
_SILENT: Final = f"silent:{Origin.CHARGE_POINT.value}"


class PingAnswers:
    """Follows the sessions of this node."""

    def __init__(self, directory: Directory, store: StoreThread, tasks: TaskOwner) -> None:
        self._directory = directory
        self._store = store
        self._tasks = tasks
        self._cuts: OrderedDict[ChargePointId, int] = OrderedDict()
        """Sessions in a row that ended silent without a single answer."""

    def closed(self, message: SessionClosed) -> None:
        """A session has ended: it has answered, or was cut without having answered at all, or tells nothing."""
        identity = message.charge_point_id
        if message.answers_pings:
            self._cuts.pop(identity, None)
            self._note(identity, answers=True)
        elif message.reason == _SILENT and self._expected(identity):
            self._cuts[identity] = self._cuts.get(identity, 0) + 1
            self._cuts.move_to_end(identity)
            if self._cuts[identity] >= _CUTS:
                del self._cuts[identity]
                self._note(identity, answers=False)
            elif len(self._cuts) > _MAX_COUNTED:
                self._cuts.popitem(last=False)

    def registered(self, identity: ChargePointId, firmware: str) -> None:
        """What firmware a charge point says it has, before that is noted: another one has to show anew that it answers."""
        record = self._directory.get(identity)
        if record is not None and record.firmware and firmware and record.firmware != firmware:
            self._cuts.pop(identity, None)
            self._note(identity, answers=False)

    def _expected(self, identity: ChargePointId) -> bool:
        record = self._directory.get(identity)
        return record is not None and record.answers_pings

    def _note(self, identity: ChargePointId, *, answers: bool) -> None:
        record = self._directory.get(identity)
        if record is not None and record.answers_pings is not answers:
            self._tasks.start(self._directory.learn_pings(self._store, identity, answers=answers), "learn")
