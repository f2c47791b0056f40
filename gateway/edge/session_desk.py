"""What live sessions tell their worker, passed on to whom it concerns: control, policy, the gateway's own calls."""

import time
from typing import TYPE_CHECKING, Final

from gateway.audit.event import SecurityEvent, Severity
from gateway.identity.evidence import CertificateProof
from gateway.link.messages import BootStateChanged, Registered
from gateway.relay.effects import (
    Answered,
    AskFleet,
    AwaitRecord,
    CheckImage,
    LearnPassword,
    NoteBootState,
    NoteRegistered,
    PasswordAnswered,
    ProfileTaken,
    TakeRequest,
    Told,
)

if TYPE_CHECKING:
    from gateway.edge.pump import Bridge, Leg
    from gateway.edge.worker import Worker

__all__ = ["SessionDesk"]

_REVISION_DIGITS: Final = 12


class SessionDesk:
    """The owner of a worker's bridges (`BridgeOwner`)."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker

    def watch(self, bridge: "Bridge") -> None:
        self._worker.deadlines.watch(bridge)

    def finished(self, bridge: "Bridge", reason: str) -> None:
        self._worker.finished(bridge, reason)

    def report(
        self,
        bridge: "Bridge",
        event: str,
        severity: Severity,
        decision: str,
        detail: str,
        http_status: int = 0,
        *,
        revision: str = "",
    ) -> None:
        admission, facts = bridge.admission, bridge.transport_facts
        proof = admission.proof
        self._worker.events.add(
            SecurityEvent(
                event=event,
                time=time.time(),
                severity=severity,
                stage="relay",
                policy_revision=(revision or self._worker.policy.revision)[:_REVISION_DIGITS],
                decision=decision,
                charge_point_id=admission.charge_point_id,
                verified=True,
                peer=facts.peer.address,
                peer_port=facts.peer.port,
                listener=facts.peer.listener,
                connection=admission.session,
                security_profile=int(admission.security_profile),
                http_status=http_status,
                tls_version=facts.tls.version if facts.tls else "",
                certificate_sha256=proof.sha256 if isinstance(proof, CertificateProof) else "",
                detail=detail,
            )
        )

    def told(self, leg: "Leg", effect: Told, wire: bytes) -> None:
        match effect:
            case NoteRegistered():
                self._registered(leg.bridge, effect)
            case NoteBootState(state=state):
                admission = leg.bridge.admission
                self._worker.link.send(
                    BootStateChanged(admission.session, admission.charge_point_id, admission.generation, state)
                )
            case AskFleet(ticket=ticket, asks=asks):
                self._worker.policy.ask(leg, ticket, asks, wire)
            case AwaitRecord(ticket=ticket):
                self._worker.frame_log.hold(leg, ticket, wire)
            case Answered():
                self._worker.own_calls.answered(effect)
            case TakeRequest():
                self._worker.questions.certificates.take(leg, effect)
            case LearnPassword():
                self._worker.questions.passwords.learn(leg, effect, wire)
            case CheckImage():
                self._worker.questions.images.ask(leg, effect)
            case PasswordAnswered():
                self._worker.questions.passwords.answered(leg, effect)
            case ProfileTaken(security_profile=profile):
                self._worker.questions.profiles.taken(leg.bridge.admission, profile)

    def _registered(self, bridge: "Bridge", effect: NoteRegistered) -> None:
        admission = bridge.admission
        self._worker.link.send(
            Registered(
                admission.session,
                admission.charge_point_id,
                admission.generation,
                effect.serial_number,
                effect.vendor,
                effect.model,
                effect.firmware,
            )
        )
