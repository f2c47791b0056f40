"""Puts one frame before the gates and the rules: the work of `policy explain`."""

from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.codec import MalformedFrame, decode_message
from gateway.ocpp.frames import Call, Send
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.policy.conversation import Conversation, NotJudged
from gateway.policy.engine import PolicyState
from gateway.policy.explain import Explanation, explain
from gateway.relay.effects import ReportEvent
from gateway.relay.judge import Judge, PolicyInForce

if TYPE_CHECKING:
    from gateway.policy.session import SessionFacts
    from gateway.policy.snapshot import Snapshot

__all__ = ["Explained", "Gate", "look_at"]

_OTHER = {Origin.CSMS: Origin.CHARGE_POINT, Origin.CHARGE_POINT: Origin.CSMS}


class Gate(NamedTuple):
    """What a gate says."""

    event: str
    detail: str
    refuses: bool = True
    """False: it only watches, and reports what it would have refused."""


class Explained(NamedTuple):
    """Gates and rules about one frame."""

    gates: tuple[Gate, ...]
    explanation: Explanation

    @property
    def passes(self) -> bool:
        return not any(gate.refuses for gate in self.gates) and self.explanation.verdict.passes

    def to_record(self) -> dict[str, Any]:
        """For ``--json``."""
        gates = [gate._asdict() for gate in self.gates]
        return {"passes": self.passes, "gates": gates, **self.explanation.to_record()}


def look_at(
    snapshot: "Snapshot", session: "SessionFacts", origin: Origin, frame: bytes, call: bytes | None, rule: str
) -> Explained | Gate:
    """The explanation; a gate if that refuses a frame which therefore is no message. `call`: what the frame answers."""
    now = session.now
    conversation = Conversation(session)
    try:
        if call is not None:
            conversation.passed(conversation.message(_OTHER[origin], call, now), now)
        message = conversation.message(origin, frame, now)
    except NotJudged as refused:
        detail = refused.detail
        if refused.event == "rpc.unsolicited_result":
            detail += " (--call names the call that it answers)"
        return Gate(refused.event, detail)
    gates = {version: schema_gate(version) for version in OCPPVersion}
    found = explain(snapshot, conversation, message, PolicyState(), now, gates, rule=rule)
    return Explained(_gates(snapshot, session, origin, frame), found)


def _gates(snapshot: "Snapshot", session: "SessionFacts", origin: Origin, data: bytes) -> tuple[Gate, ...]:
    """What the gates of the relay say about a call, from the relay itself."""
    try:
        frame, payload = decode_message(data, session.version)
    except MalformedFrame as malformed:
        return (Gate(malformed.event, malformed.detail),)
    if not isinstance(frame, Call | Send):
        return ()
    judge = Judge(
        PolicyInForce(snapshot, schema_gate), session, boot_state=session.boot_state.replace("none", "unknown")
    )
    ruling = judge.call(frame, payload, origin, data, session.now)
    of_rules = {rule.event for rule in snapshot.rules} | {"policy.denied", "policy.error"}
    reports = [effect for effect in ruling.effects if isinstance(effect, ReportEvent)]
    return tuple(
        Gate(report.event, report.detail, refuses=not report.decision.startswith("would:"))
        for report in reports
        if ruling.verdict is None or report.event not in of_rules
    )
