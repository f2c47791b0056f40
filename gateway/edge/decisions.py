"""The effects of a frame, said in the words of records."""

from typing import Final

from gateway.policy.recording import Decision, Match
from gateway.relay.effects import Answered, AskFleet, AwaitRecord, CloseBoth, Effects, Forward, Reply, ReportEvent

__all__ = ["decision_of", "match_of", "reports_of", "to_be_redacted"]

_RESULT: Final = b"[3,"
"""How answers of the gateway's own making begin that are no errors."""


def decision_of(effects: Effects) -> Decision:
    """What was done with the frame."""
    if effects and isinstance(last := effects[-1], AwaitRecord):
        effects = last.then
    kinds = {type(effect) for effect in effects}
    if Forward in kinds:
        return "forward"
    if CloseBoth in kinds:
        return "close"
    if AskFleet in kinds:
        return "ask"
    if Answered in kinds:
        return "own"
    if len(effects) == 1 and isinstance(effects[0], Reply) and effects[0].text.startswith(_RESULT):
        return "answer"
    refused = any(_is_refusal(each.decision) for each in reports_of(effects))
    return "refuse" if Reply in kinds or refused else "queue"


def reports_of(effects: Effects) -> list[ReportEvent]:
    """What gates and rules had to say."""
    if effects and isinstance(last := effects[-1], AwaitRecord):
        effects = (*effects[:-1], *last.then)
    return [effect for effect in effects if isinstance(effect, ReportEvent)]


def to_be_redacted(reports: list[ReportEvent]) -> set[str]:
    """What rules that matched want to have taken out of a record."""
    return {path for report in reports if report.rule is not None for path in report.rule.redact}


def match_of(report: ReportEvent) -> Match:
    """One gate or rule, enforced or not."""
    watches = report.decision.startswith("would:")
    return Match(
        event=report.event,
        rule=report.rule.id if report.rule is not None else "",
        severity=report.severity,
        effect="" if watches else report.decision,
        would=report.decision.removeprefix("would:") if watches else "",
        # What a rule says about a match may repeat what the message says.
        detail=report.detail if report.rule is None else "",
    )


def _is_refusal(decision: str) -> bool:
    return not decision.startswith("would:") and decision not in {"allow_alert", "allow", "alert"}
