"""Who has asked for a reload: it comes by a signal, which bears no name, so that the command says so first."""

import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import msgspec
from typing_extensions import override

from gateway.audit.actor import SIGNAL
from gateway.audit.event import Actor
from gateway.control.acting import who_acts
from gateway.control.operator_requests import OperatorRequest
from gateway.control.part import NodePart

__all__ = ["ReloadOrders", "ReloadRequest"]

_GOOD_FOR_S: Final = 60.0
"""The signal follows at once, and is waited for while another reload runs."""


class ReloadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of an operator: he is about to send SIGHUP."""


class ReloadOrders(NodePart):
    """One per node."""

    name: ClassVar[str] = "reload_orders"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._announced: tuple[Actor, float] | None = None

    @override
    def requests(self) -> Sequence[OperatorRequest]:
        """`ocpp-gateway policy reload`."""
        return (OperatorRequest("/reload", ReloadRequest, self._announce),)

    async def _announce(self, _: ReloadRequest) -> dict[str, str]:
        actor = who_acts()
        if actor is not None:
            self._announced = actor, self._clock()
        return {"refused": ""}

    def take(self) -> Actor:
        """For the reload that begins now: whoever has said that he wants one, each once."""
        announced, self._announced = self._announced, None
        if announced is None or self._clock() - announced[1] > _GOOD_FOR_S:
            return SIGNAL
        return announced[0]
