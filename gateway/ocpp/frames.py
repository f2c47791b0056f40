"""OCPP-J frames as values (OCPP-J part 4, 4.2). Payloads stay raw bytes: they are forwarded as their sender wrote them."""

import msgspec

__all__ = ["Call", "CallError", "CallResult", "CallResultError", "Frame", "Send"]


class Call(msgspec.Struct, array_like=True, tag=2, gc=False, forbid_unknown_fields=True):
    """[2, id, action, payload]."""

    message_id: str
    action: str
    payload: msgspec.Raw


class CallResult(msgspec.Struct, array_like=True, tag=3, gc=False, forbid_unknown_fields=True):
    """[3, id, payload]."""

    message_id: str
    payload: msgspec.Raw


class CallError(msgspec.Struct, array_like=True, tag=4, gc=False, forbid_unknown_fields=True):
    """[4, id, code, description, details]."""

    message_id: str
    code: str
    description: str
    details: msgspec.Raw


class CallResultError(msgspec.Struct, array_like=True, tag=5, gc=False, forbid_unknown_fields=True):
    """[5, id, code, description, details]: the result with this id could not be processed. OCPP 2.1 only."""

    message_id: str
    code: str
    description: str
    details: msgspec.Raw


class Send(msgspec.Struct, array_like=True, tag=6, gc=False, forbid_unknown_fields=True):
    """[6, id, action, payload]: never answered. OCPP 2.1 only."""

    message_id: str
    action: str
    payload: msgspec.Raw


Frame = Call | CallResult | CallError | CallResultError | Send
