"""Updates whose image has to be looked at, from live sessions to control, which fetches it; an edge fetches nothing.

A control process that is just being restarted is waited for, as with certificate requests.
"""

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.edge.control_link import ControlLink
from gateway.link.images import ImageAsked, ImageChecked
from gateway.policy.firmware_image import ImageVerdict
from gateway.relay.effects import CheckImage

if TYPE_CHECKING:
    from gateway.edge.pump import Leg

__all__ = ["ImageChecks"]

_PATIENCE_S: Final = 27.0
"""A CSMS gives up on a call after 30 s; control, which knows more of the matter, answers before."""
_WATCHING_PATIENCE_S: Final = 7_200.0
"""Where nothing is held, and a long fetch is a fact worth knowing."""
_MAX_OPEN: Final = 1_000
"""Each has a chain of certificates with it, and all are sent again to a new control process."""
_MAX_WATCHING: Final = 500
"""Of those, where nothing is held: they are open for long, and must not leave held updates without an answer."""
_MAX_WATCHING_OF_SESSION: Final = 4
_NO_ANSWER: Final = ImageVerdict("unknown", "the control process has not answered in time")
_TOO_MANY: Final = ImageVerdict("unknown", "too many images are being asked about")


class _Open(msgspec.Struct, frozen=True):
    leg: "Leg"
    ticket: int
    session: str
    asked: ImageAsked
    timer: asyncio.TimerHandle
    is_asked: bool
    """False for one too many, until its session has been told."""


class ImageChecks:
    """One per worker. Lives on its event loop."""

    def __init__(self, link: ControlLink) -> None:
        self._link = link
        self._numbers = count(1)
        self._open: dict[int, _Open] = {}

    def ask(self, leg: "Leg", effect: CheckImage) -> None:
        """Ask control; the session hears the answer, or that there is none."""
        admission, claim, number = leg.bridge.admission, effect.claim, next(self._numbers)
        holds = effect.ticket != 0
        asked = ImageAsked(number, admission.charge_point_id, claim.location, claim.certificate, claim.signature, holds)
        loop = asyncio.get_running_loop()
        is_asked = self._has_room(admission.session, holds=holds)
        if is_asked:
            timer = loop.call_later(_PATIENCE_S if holds else _WATCHING_PATIENCE_S, self._done, number, _NO_ANSWER)
            self._link.send(asked)
        else:
            timer = loop.call_later(0.0, self._done, number, _TOO_MANY)
        self._open[number] = _Open(leg, effect.ticket, admission.session, asked, timer, is_asked)

    def _has_room(self, session: str, *, holds: bool) -> bool:
        is_open = [each for each in self._open.values() if each.is_asked]
        if holds:
            return len(is_open) < _MAX_OPEN
        watching = [each.session for each in is_open if not each.asked.holds]
        is_within = len(watching) < _MAX_WATCHING and watching.count(session) < _MAX_WATCHING_OF_SESSION
        return is_within and len(is_open) < _MAX_OPEN

    def told(self, answer: ImageChecked) -> None:
        """Control knows, or knows that it does not."""
        self._done(answer.request_id, answer.verdict)

    def again(self) -> None:
        """Another control process may be there: what is still open it has never heard of."""
        for each in [each for each in self._open.values() if each.is_asked]:
            self._link.send(each.asked)

    def ended(self, session: str) -> None:
        """The session is over: nobody wants to know any more."""
        for number in [key for key, each in self._open.items() if each.session == session]:
            self._open.pop(number).timer.cancel()

    def _done(self, number: int, verdict: ImageVerdict) -> None:
        found = self._open.pop(number, None)
        if found is None:
            return
        found.timer.cancel()
        leg = found.leg
        if not leg.lost and not leg.close_sent:
            bridge = leg.bridge
            bridge.perform(leg, bridge.relay.image_checked(found.ticket, verdict, time.monotonic()), b"")
