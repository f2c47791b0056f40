"""Answers that the gateway gives instead of the receiver: native results with a status, or CALLERRORs. Never an echo."""

from typing import Any, Final

import msgspec

from gateway.ocpp.build import build_call_error
from gateway.ocpp.schema_gate import SchemaGate
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.rules import Effect, Response

__all__ = ["REFUSED", "answer_to", "native_result"]

REFUSED: Final = "Refused by the security policy"
"""Description of every CALLERROR of a rule: fixed words, because errors were attacks before (CVE-2025-59399)."""
_ID_TAG_INFO: Final = frozenset({"Authorize", "StartTransaction", "StopTransaction"})
_ID_TOKEN_INFO: Final = frozenset({"Authorize", "TransactionEvent"})
_ANSWERED: Final = frozenset({Effect.ANSWER, Effect.THROTTLE, Effect.DENY, Effect.QUARANTINE})
_encode: Final = msgspec.json.Encoder().encode


def native_result(version: OCPPVersion, action: str, status: str, gate: SchemaGate) -> dict[str, Any] | None:
    """The payload of a result that says `status` (nothing, if empty), or None if the action's result cannot say that (P030)."""
    if not status:
        payload: dict[str, Any] = {}
    elif version is OCPPVersion.V1_6 and action in _ID_TAG_INFO:
        payload = {"idTagInfo": {"status": status}}
        if action == "StartTransaction":
            # The schema wants a transaction id; a charge point that is told Invalid stops at once.
            payload["transactionId"] = 0
    elif version.is_2x and action in _ID_TOKEN_INFO:
        payload = {"idTokenInfo": {"status": status}}
    else:
        payload = {"status": status}
    if not gate.knows(action, "result") or gate.check(action, "result", payload) is not None:
        return None
    return payload


def answer_to(
    version: OCPPVersion, message_id: str, action: str, effect: Effect, response: Response, gate: SchemaGate
) -> bytes | None:
    """The frame that the sender of a refused Call gets; None where it gets none (drop, disconnect, a message that passes).

    `action` and `version`: the outer ones, for the answer has to fit what was sent.
    """
    if effect not in _ANSWERED:
        return None
    wanted = response.status or effect is Effect.ANSWER
    payload = native_result(version, action, response.status, gate) if wanted else None
    if payload is not None:
        return _encode([3, message_id, payload])
    return build_call_error(version, message_id, response.callerror, REFUSED)
