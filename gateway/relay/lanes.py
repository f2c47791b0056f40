"""One sender's calls: one on the way at a time, the next ones wait their turn (OCPP-J part 4, 4.1.1; 2.x: part 2, FR.01).

The standard says so for each direction and connection, and that a call that has timed out makes way. 1.6 only says
"should", and charge points that send their whole queue at once exist: nothing is refused until the lane is full.

Calls of the gateway share the lane of the CSMS. Where both wait, they take turns: neither can keep the other out.
"""

from collections import deque
from enum import Enum
from typing import Final

import msgspec

from gateway.ocpp.frames import Call
from gateway.policy.shared_empty import SharedEmpty
from gateway.relay.open_calls import AMBIGUOUS, OpenCall

__all__ = ["Entry", "Lane", "LaneLimits", "Waiting"]


class LaneLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the calls of one sender."""

    max_open: int = 1
    """Calls on the way at the same time."""
    max_waiting: int = 63
    max_waiting_bytes: int = 524_288
    """Of all that wait together."""
    call_timeout_s: float = 30.0
    """A call without an answer makes way for the next one after this (part 2, 3.2)."""
    pending_expiry_s: float = 600.0
    """How long a late answer still passes."""


class Waiting(msgspec.Struct):
    """A call that waits its turn."""

    call: Call
    record: OpenCall
    text: bytes
    ticket: int = 0
    """Not 0: held, because something about it is still being looked into. Its turn comes when `Lane.release` has been called."""


class Entry(Enum):
    """What became of a call."""

    SENT = "on its way"
    REUSED = "on its way, under the id of another one that is still open"
    WAITS = "waits its turn"
    TAKEN = "refused: its id is that of a call of the gateway"


_MAX_OWN: Final = 4
"""Calls of the gateway to one charge point that may wait."""


_NO_CALLS: Final = SharedEmpty[str, OpenCall]()
"""Of all lanes in which nothing is open; nobody puts anything into it."""


class Lane:
    """What one sender has asked and not been told, in the order of sending."""

    __slots__ = ("answered", "is_full", "malformed", "malformed_since", "own_was_last", "pending", "waiting")

    def __init__(self) -> None:
        self.pending: dict[str, OpenCall] = _NO_CALLS
        """By message id: sent, without an answer."""
        self.waiting: deque[Waiting] | None = None
        """None, not empty, where nothing waits. Calls of the gateway stand behind all others and take no place of theirs."""
        self.own_was_last = False
        """While calls wait: the last one sent was a call of the gateway, so that the next turn is another's."""
        self.is_full = False
        """True from when a call found no room until the turn of another one has come."""
        self.answered: tuple[str, ...] = ()
        """Ids of this sender's calls that have just got a result: each may be followed by one CallResultError (2.1)."""
        self.malformed = 0
        self.malformed_since = 0.0

    def has_room(self, message_id: str, size: int, limits: LaneLimits, now: float) -> bool:
        """True if another call may be sent or may wait; a retry under an open id takes no place of its own."""
        if message_id in self.pending:
            return True
        self._forget(limits, now)
        if not self._must_wait(limits, now):
            return True
        waiting = [each for each in self.waiting or () if not each.record.own]
        size += sum(len(each.text) for each in waiting)
        self.is_full = len(waiting) >= limits.max_waiting or size > limits.max_waiting_bytes
        return not self.is_full

    @property
    def has_room_for_own(self) -> bool:
        """True if another call of the gateway may be sent or may wait."""
        return sum(each.record.own for each in self.waiting or ()) < _MAX_OWN

    def enter(
        self, call: Call, record: OpenCall, text: bytes, limits: LaneLimits, now: float, *, ticket: int = 0
    ) -> Entry:
        """Send a call that was let through, or let it wait. `ticket`: not 0 for one that is held, which always waits."""
        if not self.pending and self.waiting is None and not ticket:  # as nearly always
            self.pending = {call.message_id: record}
            return Entry.SENT
        if self._is_own(call.message_id):
            return Entry.TAKEN
        if ticket or (call.message_id not in self.pending and self._must_wait(limits, now)):
            self._wait(Waiting(call, record, text, ticket))
            return Entry.WAITS
        return self._send(call, record)

    def _wait(self, last: Waiting) -> None:
        if self.waiting is None:
            self.waiting = deque()
            # It waits because something is on the way, or because it is held: then it is its turn as soon as it is not.
            self.own_was_last = not self.pending or next(reversed(self.pending.values())).own
        own = 0 if last.record.own else sum(each.record.own for each in self.waiting)
        self.waiting.insert(len(self.waiting) - own, last)

    def _is_own(self, message_id: str) -> bool:
        """True for the id of a call of the gateway that is open or waits."""
        asked = self.pending.get(message_id)
        if asked is not None and asked.own:
            return True
        return any(each.record.own and each.call.message_id == message_id for each in self.waiting or ())

    def withdraw(self, message_id: str) -> bool:
        """A call of the gateway that waits is not sent any more. False if it does not wait."""
        waiting = self.waiting or ()
        left = deque(each for each in waiting if not (each.record.own and each.call.message_id == message_id))
        if len(left) == len(waiting):
            return False
        self.waiting = left or None
        return True

    def release(self, ticket: int) -> bool:
        """A call that was held goes on when its turn comes. False if it waits no more."""
        for each in self.waiting or ():
            if each.ticket == ticket:
                each.ticket = 0
                return True
        return False

    def drop(self, ticket: int) -> Waiting | None:
        """A call that was held is not sent; None if it waits no more."""
        for index, each in enumerate(waiting := self.waiting or deque()):
            if each.ticket == ticket:
                return self._give_up(waiting, index)
        return None

    def _must_wait(self, limits: LaneLimits, now: float) -> bool:
        if self.waiting is None:
            return self._is_busy(limits, now)
        held = sum(each.ticket != 0 for each in self.waiting)
        return held < len(self.waiting) or self._is_busy(limits, now, held)

    def _is_busy(self, limits: LaneLimits, now: float, held: int = 0) -> bool:
        """True if as many calls as may be are on the way and have not timed out, or are held as if they were."""
        if len(self.pending) + held < limits.max_open:
            return False
        since, own_since = now - limits.call_timeout_s, now - limits.call_timeout_s / 2
        # A command that comes right behind a call of the gateway gets its turn before its sender has given up on it.
        open_calls = sum(each.since > (own_since if each.own else since) for each in self.pending.values())
        return open_calls + held >= limits.max_open

    def _send(self, call: Call, record: OpenCall) -> Entry:
        before = self.pending.pop(call.message_id, None)
        self.pending = self.pending or {}
        self.pending[call.message_id] = record
        if before is None or before.outer == call.action:  # part 4, 4.1.4: a retry may come under the same id
            return Entry.SENT
        # Which of the two calls the answer belongs to cannot be known: it proves nothing about either.
        record.outer, record.digest, record.other = AMBIGUOUS, 0, before
        before.outer, before.other = AMBIGUOUS, None
        return Entry.REUSED

    def _forget(self, limits: LaneLimits, now: float) -> None:
        """Calls whose answer will not come any more."""
        since = now - limits.pending_expiry_s
        for message_id in [key for key, each in self.pending.items() if each.since < since]:
            del self.pending[message_id]

    def take(self, message_id: str, limits: LaneLimits, now: float) -> OpenCall | None:
        """The call that is answered and hereby no longer open; None if there is none, or not any more."""
        asked = self.pending.pop(message_id, None)
        if asked is None:
            return None
        if not self.pending:
            self.pending = _NO_CALLS
        return asked if now - asked.since <= limits.pending_expiry_s else None

    def next(self, limits: LaneLimits, now: float) -> list[tuple[Waiting, Entry]]:
        """The calls whose turn has come; they are on their way now."""
        found: list[tuple[Waiting, Entry]] = []
        while self.waiting is not None and (index := self._whose_turn(self.waiting, limits, now)) >= 0:
            each = self._leave(self.waiting, index)
            each.record.since = now
            self.own_was_last = each.record.own
            found.append((each, self._send(each.call, each.record)))
        return found

    def _whose_turn(self, waiting: deque[Waiting], limits: LaneLimits, now: float) -> int:
        """Index of the call that goes next, -1 if none does: each side's calls in their order, and the two sides by turns.

        One that is held has its turn as if it were not, and then takes the place of one that is on its way.
        """
        others = sum(not each.record.own for each in waiting)
        if 0 < others < len(waiting) and self._is_turn_of_own(limits, now):
            return -1 if self._is_busy(limits, now) else others
        first = next((index for index, each in enumerate(waiting) if not each.ticket), -1)
        return -1 if first >= 0 and self._is_busy(limits, now, first) else first

    def _is_turn_of_own(self, limits: LaneLimits, now: float) -> bool:
        if self.own_was_last:
            return False
        # One that was not answered has cost the CSMS enough: its next turns are its own until that call has timed out.
        since = now - limits.call_timeout_s
        return not any(each.own and each.since > since for each in self.pending.values())

    def overdue(self, limits: LaneLimits, now: float) -> list[Waiting]:
        """The calls that have waited for longer than a sender waits for an answer; they are not sent any more.

        Whoever has asked in the gateway's name says himself how long he waits.
        """
        since = now - limits.call_timeout_s
        found: list[Waiting] = []
        while self.waiting is not None and not (first := self.waiting[0].record).own and first.since <= since:
            found.append(self._give_up(self.waiting, 0))
        return found

    def _give_up(self, waiting: deque[Waiting], index: int) -> Waiting:
        """One of the CSMS that is not sent has had its turn: else updates that are held one after the other would keep us out."""
        self.own_was_last = False
        return self._leave(waiting, index)

    def _leave(self, waiting: deque[Waiting], index: int) -> Waiting:
        leaving = waiting[index]
        del waiting[index]
        if not leaving.record.own:
            self.is_full = False
        if not waiting:
            self.waiting = None
        return leaving
