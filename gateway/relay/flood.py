"""How a session ends whose charge point goes on above its rate. Pure."""

from gateway.ocpp.build import build_call_error
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.frames import Call, Frame
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.billing import TRANSACTION_ACTIONS
from gateway.relay.effects import FORWARD, CloseBoth, Effects, Reply, ReportEvent
from gateway.relay.lanes import Lane

__all__ = ["flooded"]


def flooded(version: OCPPVersion, frame: Frame, effects: Effects, charge_point: Lane) -> Effects:
    """What happens with the last message, of which `effects` is what would have, and then with the session."""
    end = (ReportEvent("rpc.flood", "high", "ws_close", "went on above the limit"), CloseBoth(1008, "message rate"))
    if effects is FORWARD and type(frame) is Call and frame.action not in TRANSACTION_ACTIONS:
        charge_point.pending.pop(frame.message_id)
        reply = build_call_error(version, frame.message_id, ErrorMeaning.GENERIC, "message rate exceeded")
        return (Reply(reply), *end)
    return (*effects, *end)
