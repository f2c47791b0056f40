"""Requests for certificates, from live sessions to control: answered once control has them on its disk.

A control process that is just being restarted is waited for: what it had not answered is told to the next one.
"""

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.edge.control_link import ControlLink
from gateway.link.messages import CertificateRequest, CertificateRequestTaken
from gateway.ocpp.build import build_call_result
from gateway.relay.effects import TakeRequest

if TYPE_CHECKING:
    from gateway.edge.pump import Leg

__all__ = ["CertificateRequests"]

_PATIENCE_S: Final = 25.0
"""Charge points wait 30 s for an answer."""
_MAX_OPEN: Final = 10_000


class _Open(msgspec.Struct, frozen=True):
    leg: "Leg"
    message_id: str
    request: CertificateRequest
    timer: asyncio.TimerHandle


class CertificateRequests:
    """One per worker. Lives on its event loop."""

    def __init__(self, link: ControlLink) -> None:
        self._link = link
        self._numbers = count(1)
        self._open: dict[int, _Open] = {}

    def take(self, leg: "Leg", effect: TakeRequest) -> None:
        """Tell control; the charge point hears Accepted when control has it, Rejected if that takes too long."""
        admission = leg.bridge.admission
        number = next(self._numbers)
        request = CertificateRequest(
            number,
            admission.session,
            admission.charge_point_id,
            admission.generation,
            effect.csr,
            effect.certificate_type,
            effect.request_id,
            effect.root,
        )
        if len(self._open) >= _MAX_OPEN:
            leg.send_text(_answer(effect.message_id, accepted=False))
            return
        timer = asyncio.get_running_loop().call_later(_PATIENCE_S, self._done, number, False)
        self._open[number] = _Open(leg, effect.message_id, request, timer)
        self._link.send(request)

    def told(self, answer: CertificateRequestTaken) -> None:
        """Control has it, or will not have it."""
        self._done(answer.request_id, answer.accepted)

    def again(self) -> None:
        """Another control process may be there: what is still open it has never heard of."""
        for each in list(self._open.values()):
            self._link.send(each.request)

    def ended(self, session: str) -> None:
        """The session is over: there is nobody to answer. Whether control has the request, it knows."""
        for number in [key for key, each in self._open.items() if each.request.session == session]:
            self._open.pop(number).timer.cancel()

    def _done(self, number: int, accepted: bool) -> None:
        found = self._open.pop(number, None)
        if found is not None:
            found.timer.cancel()
            if not found.leg.lost:
                found.leg.send_text(_answer(found.message_id, accepted=accepted))


def _answer(message_id: str, *, accepted: bool) -> bytes:
    """The same in every version."""
    return build_call_result(message_id, {"status": "Accepted" if accepted else "Rejected"})
