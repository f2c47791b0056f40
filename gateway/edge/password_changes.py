"""Passwords that the CSMS gives to charge points, from live sessions to control: the call goes on when control has the hash.

A control process that is just being restarted is waited for, as with certificate requests.
"""

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.edge.control_link import ControlLink
from gateway.link.messages import PasswordNoted, PasswordOutcome, PasswordSeen
from gateway.relay.effects import LearnPassword, PasswordAnswered

if TYPE_CHECKING:
    from gateway.edge.pump import Leg

__all__ = ["PasswordChanges"]

_PATIENCE_S: Final = 20.0
"""A CSMS gives up on a call after 30 s."""
_MAX_OPEN: Final = 1_000


class _Open(msgspec.Struct, frozen=True):
    leg: "Leg"
    ticket: int
    wire: bytes
    seen: PasswordSeen
    timer: asyncio.TimerHandle

    def __repr__(self) -> str:
        return f"_Open({self.seen!r})"


class PasswordChanges:
    """One per worker. Lives on its event loop."""

    def __init__(self, link: ControlLink) -> None:
        self._link = link
        self._numbers = count(1)
        self._open: dict[int, _Open] = {}
        self._given_up: dict[int, None] = {}
        """Whose call was not sent; control may store their passwords all the same."""

    def learn(self, leg: "Leg", effect: LearnPassword, wire: bytes) -> None:
        """Tell control. `wire`: the frames that go on when it has it; the CSMS hears Rejected if that takes too long."""
        admission, number = leg.bridge.admission, next(self._numbers)
        seen = PasswordSeen(number, admission.session, admission.charge_point_id, admission.generation, effect.password)
        loop = asyncio.get_running_loop()
        patience_s = _PATIENCE_S if len(self._open) < _MAX_OPEN else 0.0
        timer = loop.call_later(patience_s, self._give_up, number)
        self._open[number] = _Open(leg, effect.ticket, wire, seen, timer)
        self._link.send(seen)

    def answered(self, leg: "Leg", effect: PasswordAnswered) -> None:
        """What is not told, because control is away, is not known to it: then both passwords stay good."""
        admission = leg.bridge.admission
        self._link.send(PasswordOutcome(admission.session, admission.charge_point_id, effect.outcome))

    def told(self, answer: PasswordNoted) -> None:
        """Control has it, or will not have it; one that it has too late was never sent, as good as refused."""
        if answer.request_id in self._given_up:
            del self._given_up[answer.request_id]
            self._link.send(PasswordOutcome(answer.session, answer.charge_point_id, "refused"))
        self._done(answer.request_id, stored=answer.stored)

    def again(self) -> None:
        """Another control process may be there: what is still open it has never heard of."""
        for each in list(self._open.values()):
            self._link.send(each.seen)

    def ended(self, session: str) -> None:
        """The session is over: the call is not sent any more."""
        for number in [key for key, each in self._open.items() if each.seen.session == session]:
            self._open.pop(number).timer.cancel()
            self._never_sent(number)

    def _give_up(self, number: int) -> None:
        self._never_sent(number)
        self._done(number, stored=False)

    def _never_sent(self, number: int) -> None:
        self._given_up[number] = None
        if len(self._given_up) > _MAX_OPEN:
            del self._given_up[next(iter(self._given_up))]

    def _done(self, number: int, *, stored: bool) -> None:
        found = self._open.pop(number, None)
        if found is None:
            return
        found.timer.cancel()
        leg = found.leg
        if not leg.lost and not leg.close_sent:
            bridge = leg.bridge
            bridge.perform(leg, bridge.relay.password_noted(found.ticket, time.monotonic(), stored=stored), found.wire)
