"""Answers that the gateway gives instead of the receiver: native results with a status, in the shape of each action."""

from typing import Any, Final

from gateway.ocpp.schema_gate import SchemaGate
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["native_result"]

_ID_TAG_INFO: Final = frozenset({"Authorize", "StartTransaction", "StopTransaction"})
_ID_TOKEN_INFO: Final = frozenset({"Authorize", "TransactionEvent"})


def native_result(version: OCPPVersion, action: str, status: str, gate: SchemaGate) -> dict[str, Any] | None:
    """The payload of a result that says `status`, or None if the action's result cannot say that (P030)."""
    if version is OCPPVersion.V1_6 and action in _ID_TAG_INFO:
        payload: dict[str, Any] = {"idTagInfo": {"status": status}}
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
