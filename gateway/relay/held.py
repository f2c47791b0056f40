"""What waits in a relay for what control says of a budget."""

import msgspec

from gateway.ocpp.codec import Payload
from gateway.ocpp.frames import Call, CallError, CallResult, Send
from gateway.ocpp.vocabulary import Origin
from gateway.relay.judge import Ruling

__all__ = ["Held"]


class Held(msgspec.Struct, frozen=True):
    """A call that waits for it; or an answer that has gone on, and whose rules want to know."""

    frame: Call | Send | CallResult | CallError
    payload: Payload
    origin: Origin
    ruling: Ruling
    text: bytes = b""
    """Of a call."""
