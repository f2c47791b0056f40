"""What a decision says. A Verdict always names its rule and has no truth value: somebody has to look at the effect."""

from typing import Any, Final, Literal, NoReturn

import msgspec

from gateway.policy.counter_table import CounterKey
from gateway.policy.rules import Effect, Response, Rule

__all__ = ["ALLOWED", "FleetAsk", "RuleMatch", "Verdict"]


class RuleMatch(msgspec.Struct, frozen=True):
    """One rule that matched, enforced or not."""

    rule: Rule
    enforced: bool
    """False in monitor mode, outside its rollout, or under an exception: what would have happened."""
    why: str = ""
    """The rule's message, rendered; printable and capped."""
    exception: str = ""
    """Owner of the exception that took the charge point out of the rule."""
    error: str = ""
    """The failing sub-expression, where the rule could not be evaluated and matched because it restricts."""


class FleetAsk(msgspec.Struct, frozen=True):
    """A budget of the whole node that this message would draw on. Control answers; until then the message waits."""

    match: RuleMatch
    """What counts if the budget is used up."""
    key: CounterKey
    value: str
    amount: float
    kind: Literal["rate", "distinct", "sum"]
    limit: float
    window_s: float
    share_of_online: float = 0.0
    """The limit grows to this fraction of the connected charge points, where that is more."""

    @property
    def rule(self) -> Rule:
        """The rule whose budget it is."""
        return self.match.rule


class Verdict(msgspec.Struct, frozen=True):
    """The outcome for one message under one revision."""

    effect: Effect | None
    """None: no enforced rule has anything against it."""
    rule: str = ""
    response: Response = Response()
    matches: tuple[RuleMatch, ...] = ()
    asks: tuple[FleetAsk, ...] = ()
    """To be answered before a message that would pass may pass."""
    errors: tuple[tuple[str, str], ...] = ()
    """(rule, failing sub-expression) of every rule that could not be evaluated, whatever came of it: ``policy.error``."""

    def __bool__(self) -> NoReturn:
        raise TypeError("a Verdict has no truth value: look at its effect")

    @property
    def passes(self) -> bool:
        """True if the message goes on unchanged."""
        return self.effect is None or not self.effect.restrictive

    @property
    def events(self) -> tuple[RuleMatch, ...]:
        """The matches that are worth a security event, enforced or not; that something is on a list of the allowed is none."""
        return tuple(match for match in self.matches if match.rule.effect is not Effect.ALLOW)

    def to_record(self) -> dict[str, Any]:
        """For the decision record: rules by id, what they wanted, whether it was enforced."""
        return {
            "effect": self.effect.name.lower() if self.effect else "allow",
            "rule": self.rule,
            "matches": [
                {
                    "rule": match.rule.id,
                    "event": match.rule.event,
                    "severity": match.rule.severity,
                    ("effect" if match.enforced else "would"): match.rule.effect.name.lower(),
                    "enforced": match.enforced,
                    **({"why": match.why} if match.why else {}),
                    **({"exception": match.exception} if match.exception else {}),
                    **({"error": match.error} if match.error else {}),
                }
                for match in self.matches
            ],
            **({"errors": [{"rule": rule, "at": text} for rule, text in self.errors]} if self.errors else {}),
        }


ALLOWED: Final = Verdict(None)
"""No rule matched: the usual outcome, one shared value."""
