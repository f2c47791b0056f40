"""The gate of firmware images: whether an update of the CSMS waits until its image has been looked at, and what follows. Pure.

The update keeps its place among the calls of the CSMS meanwhile. Everything that the charge point says goes on, and so do
the answers to it.
"""

from typing import Any, Final

from gateway.audit.event import Severity
from gateway.ocpp.build import build_call_error, build_call_result
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.firmware_image import FIRMWARE_UPDATES, ImageOutcome, ImageVerdict, claimed_image
from gateway.policy.responses import REFUSED
from gateway.relay.effects import CheckImage, Effects, Forward, Reply, ReportEvent
from gateway.relay.judge import Judge
from gateway.relay.lanes import Lane, Waiting
from gateway.relay.open_calls import OpenCall

__all__ = ["image_checked", "image_question", "without_forward"]

_EVENTS: Final[dict[ImageOutcome, tuple[str, Severity]]] = {
    "verified": ("firmware.image_verified", "info"),
    "forged": ("firmware.image_forged", "critical"),
    "bad-certificate": ("firmware.image_forged", "critical"),
    "unknown": ("firmware.image_unknown", "high"),
    "let-through": ("firmware.image_unknown", "high"),
}
_ANSWERS: Final[dict[ImageOutcome, tuple[str, str]]] = {
    "bad-certificate": ("InvalidCertificate", "InvalidCertificate"),
    "forged": ("Rejected", "InvalidSignature"),
    "unknown": ("Rejected", "ImageNotChecked"),
}
"""Status, and in 2.x the reason code beside it."""


def image_question(judge: Judge | None, record: OpenCall, ticket: int) -> CheckImage | None:
    """What is to be asked about a call that rules let pass, None if nothing is: then it goes on at once.

    `ticket`: under which it is held; the question has 0 where the gate only watches.
    """
    if record.action not in FIRMWARE_UPDATES or judge is None or (mode := judge.gates.firmware_image) == "off":
        return None
    claim = claimed_image(record.payload)
    if claim is None:
        return None
    return CheckImage(ticket if mode == "enforce" else 0, claim)


def without_forward(effects: Effects) -> Effects:
    """What happens at once with a call that has to wait."""
    return tuple(effect for effect in effects if type(effect) is not Forward)


def image_checked(version: OCPPVersion, csms: Lane, ticket: int, verdict: ImageVerdict) -> Effects:
    """What is said about a question of `image_question`; the call may have its turn now. Nothing where it waits no more.

    `csms`: the lane in which it is held.
    """
    if not ticket:
        return (_report(verdict, "would:answer"),)
    if verdict.passes:
        return (_report(verdict, ""),) if csms.release(ticket) else ()
    held = csms.drop(ticket)
    if held is None:
        return ()
    return (_report(verdict, "answer"), Reply(_refusal(version, held, verdict.outcome)))


def _report(verdict: ImageVerdict, refusal: str) -> ReportEvent:
    event, severity = _EVENTS[verdict.outcome]
    passes = "allow" if verdict.outcome == "verified" else "allow_alert"
    return ReportEvent(event, severity, passes if verdict.passes else refusal, verdict.detail)


def _refusal(version: OCPPVersion, held: Waiting, outcome: ImageOutcome) -> bytes:
    """In the update's own terms; what came as a signed message would have to be answered as one, which nobody here can."""
    if held.record.outer != held.record.action:
        return build_call_error(version, held.call.message_id, ErrorMeaning.SECURITY, REFUSED)
    status, reason = _ANSWERS[outcome]
    said: dict[str, Any] = {"status": status}
    if version.is_2x:
        said["statusInfo"] = {"reasonCode": reason}
    return build_call_result(held.call.message_id, said)
