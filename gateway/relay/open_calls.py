"""What one side of a session has asked and not been told yet."""

from typing import Any, Final

import msgspec

from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.ocpp.wrapped import InnerCall

__all__ = ["AMBIGUOUS", "OpenCall", "opened"]

AMBIGUOUS: Final = ""
"""Outer action where two open calls have the same id: which of them an answer belongs to cannot be known."""


class OpenCall(msgspec.Struct):
    """A call that was forwarded and has no answer yet."""

    outer: str
    """Action as it stands in the frame, or AMBIGUOUS."""
    action: str
    """What is judged: of a signed or tunnelled call the inner one. So are payload and version."""
    payload: dict[str, Any]
    version: OCPPVersion
    since: float
    """Monotonic seconds."""
    other: "OpenCall | None" = None
    """The call that was open under the same id before, where the answer may be either's."""
    own: bool = False
    """A call of the gateway: its answer is for nobody else."""
    digest: int = 0
    """Of a message that costs or earns money if it is played again; see `gateway.relay.replays`."""


def opened(
    call: Call, payload: dict[str, Any], inner: InnerCall | None, version: OCPPVersion, since: float
) -> OpenCall:
    """The record of a call that goes on now."""
    if inner is None:
        return OpenCall(call.action, call.action, payload, version, since)
    return OpenCall(call.action, inner.action, inner.payload, inner.version, since)
