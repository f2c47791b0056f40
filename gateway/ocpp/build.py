"""Frames that the gateway makes itself. Descriptions are our words, or a peer's after `gateway.relay` has cleaned them."""

from typing import Any

import msgspec

from gateway.ocpp.error_codes import ErrorMeaning, spell
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["UNREADABLE_ID", "build_call", "build_call_error", "build_call_result", "build_call_result_error"]

UNREADABLE_ID = "-1"
"""Message id of a CALLERROR for a frame whose id could not be read (2.x, part 4 4.2.3)."""
_encode = msgspec.json.Encoder().encode


def build_call_error(version: OCPPVersion, message_id: str, meaning: ErrorMeaning, description: str) -> bytes:
    """[4, id, code, description, {}] in the version's spelling."""
    return _encode([4, message_id, spell(meaning, version), description, {}])


def build_call_result_error(version: OCPPVersion, message_id: str, meaning: ErrorMeaning, description: str) -> bytes:
    """[5, id, code, description, {}]: the result of this id cannot be used. Only OCPP 2.1 knows it."""
    return _encode([5, message_id, spell(meaning, version), description, {}])


def build_call_result(message_id: str, payload: dict[str, Any]) -> bytes:
    """[3, id, payload]: an answer of the gateway's own, in the place of the receiver's."""
    return _encode([3, message_id, payload])


def build_call(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """[2, id, action, payload] of the gateway's own."""
    return _encode([2, message_id, action, payload])
