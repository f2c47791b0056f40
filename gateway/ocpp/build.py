"""Frames that the gateway makes itself. Nothing of a peer's input is echoed but a message id that was checked."""

from typing import Any

import msgspec

from gateway.ocpp.error_codes import ErrorMeaning, spell
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["UNREADABLE_ID", "build_call", "build_call_error"]

UNREADABLE_ID = "-1"
"""Message id of a CALLERROR for a frame whose id could not be read (2.x, part 4 4.2.3)."""
_encode = msgspec.json.Encoder().encode


def build_call_error(version: OCPPVersion, message_id: str, meaning: ErrorMeaning, description: str) -> bytes:
    """[4, id, code, description, {}] in the version's spelling."""
    return _encode([4, message_id, spell(meaning, version), description, {}])


def build_call(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """[2, id, action, payload] of the gateway's own."""
    return _encode([2, message_id, action, payload])
