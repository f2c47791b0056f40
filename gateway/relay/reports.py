"""What the judge reports, and the fixed words of its refusals. Pure."""

from typing import Final

import msgspec

from gateway.ocpp.codec import Payload
from gateway.policy.verdict import RuleMatch
from gateway.relay.effects import Effect, Effects, ReportEvent

__all__ = ["PHRASES", "WRAPPER_DENIED", "of_revision", "report_of", "suspicious", "would"]

WRAPPER_DENIED: Final = ReportEvent("policy.denied", "medium", "deny", "signed or tunnelled message")
_POLLUTING: Final = frozenset({"__proto__", "constructor", "prototype"})
PHRASES: Final = {
    "rpc.unknown_action": "unknown action",
    "rpc.direction": "not for this sender",
    "state.not_accepted": "not accepted yet",
    "schema.violation": "payload does not fit its schema",
    "schema.oversize": "too large for this action",
    "policy.quarantined": "in quarantine",
    "policy.unreadable_wrapper": "unreadable signed or tunnelled message",
}
"""What the sender of a refused call is told, by event: nothing of the input."""


def report_of(match: RuleMatch) -> ReportEvent:
    """A match as a security event; what is not enforced says what it would have done."""
    rule = match.rule
    effect = rule.effect.name.lower()
    detail = rule.id + (f": {match.why}" if match.why else "")
    detail += f" (exception of {match.exception})" if match.exception else ""
    return ReportEvent(rule.event, rule.severity, effect if match.enforced else f"would:{effect}", detail, rule=rule)


def of_revision(effect: Effect, revision: str) -> Effect:
    """The same effect, said of another policy than the one in force."""
    return msgspec.structs.replace(effect, revision=revision) if isinstance(effect, ReportEvent) else effect


def would(event: ReportEvent) -> ReportEvent:
    """The same event where a gate only watches."""
    return msgspec.structs.replace(event, decision=f"would:{event.decision}")


def suspicious(payload: Payload) -> Effects:
    """Keys with which objects of a JavaScript back end are rebuilt (CWE-1321), looked for where the schema knows no such key."""
    if _POLLUTING.isdisjoint(payload):
        return ()
    return (ReportEvent("json.suspicious_key", "high", "allow_alert", "a key that rebuilds objects in JavaScript"),)
