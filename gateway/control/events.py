"""Refusals and session facts as security events."""

import hashlib

from gateway.audit.event import SecurityEvent, one_line, printable
from gateway.identity.evidence import Claim
from gateway.identity.refusal import Reason, Refusal

__all__ = ["event_for_refusal", "event_of_claim"]


def event_of_claim(  # noqa: PLR0913  the fields of an event
    claim: Claim,
    session: str,
    now: float,
    *,
    event: str,
    severity: str,
    decision: str,
    verified: bool,
    detail: str = "",
    reason: str = "",
    ocpp_event: str = "",
    stage: str = "admit",
) -> SecurityEvent:
    """An event about one connection attempt."""
    peer, tls = claim.transport.peer, claim.transport.tls
    return SecurityEvent(
        event=event,
        time=now,
        severity=severity,  # type: ignore[arg-type]
        stage=stage,
        reason=reason,
        ocpp_event=ocpp_event,
        decision=decision,
        charge_point_id=printable(claim.charge_point_id, 64),
        verified=verified,
        peer=peer.address,
        peer_port=peer.port,
        listener=peer.listener,
        connection=session,
        tls_version=tls.version if tls else "",
        server_name=printable(tls.server_name) if tls else "",
        certificate_sha256=hashlib.sha256(tls.leaf_der).hexdigest() if tls and tls.leaf_der else "",
        detail=one_line(detail),
    )


def event_for_refusal(claim: Claim, session: str, refusal: Refusal, now: float, *, proven: bool) -> SecurityEvent:
    """The event of a refusal by control. What the peer is told is the edge's business."""
    reason: Reason = refusal.reason
    return event_of_claim(
        claim,
        session,
        now,
        event=reason.event,
        severity=reason.severity,
        decision="rate_limit" if reason in {Reason.GUESSING, Reason.FLAPPING} else "http_reject",
        verified=proven,
        detail=refusal.detail,
        reason=reason.code,
        ocpp_event=reason.ocpp_event,
        stage=reason.stage.value,
    )
