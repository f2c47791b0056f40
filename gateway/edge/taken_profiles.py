"""Security profiles that charge points have taken from their CSMS, from live sessions to control.

A charge point that takes one may come back on it a second later: control must know of it, also where it is being restarted
just now.
"""

from itertools import count

from gateway.edge.control_link import ControlLink
from gateway.identity.evidence import Admission
from gateway.link.messages import ProfileNoted, ProfileSeen
from gateway.ocpp.vocabulary import SecurityProfile

__all__ = ["TakenProfiles"]

_MAX_OPEN = 10_000


class TakenProfiles:
    """One per worker. Lives on its event loop."""

    def __init__(self, link: ControlLink) -> None:
        self._link = link
        self._numbers = count(1)
        self._open: dict[int, ProfileSeen] = {}
        """Control has not said yet that it has them on its disk; the oldest are given up when there are too many."""

    def taken(self, admission: Admission, profile: SecurityProfile) -> None:
        """Tell control, where it is higher than what the session uses: lower ones are nothing to be followed."""
        if profile <= admission.security_profile:
            return
        number = next(self._numbers)
        seen = ProfileSeen(number, admission.session, admission.charge_point_id, profile)
        self._open[number] = seen
        if len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]
        self._link.send(seen)

    def told(self, answer: ProfileNoted) -> None:
        """Control has it."""
        self._open.pop(answer.request_id, None)

    def again(self) -> None:
        """Another control process may be there."""
        for seen in self._open.values():
            self._link.send(seen)
