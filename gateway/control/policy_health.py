"""What is wrong with the policy in force: rules that err, counters with too many keys, and that nobody has looked at it for long.

Each is told once: a rule that errs under one revision, a counter that overflows until it has been quiet for an hour, an age that
is too great until the policy is read again.
"""

import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

from typing_extensions import override

from gateway.config.model import Config
from gateway.control.part import NodePart
from gateway.link.messages import EdgeSettings
from gateway.link.policy_counts import PolicyTallies
from gateway.policy.counter_table import Overflow
from gateway.policy.tallies import is_degraded

__all__ = ["PolicyHealth"]

_QUIET_S: Final = 3_600.0
_MOST_SHOWN: Final = 100


class _Counted:
    """Of one rule under the revision in force, over all edge workers."""

    __slots__ = ("errors", "evaluations", "is_degraded", "overflows")

    def __init__(self) -> None:
        self.evaluations = self.errors = self.overflows = 0
        self.is_degraded = False

    def shown(self) -> dict[str, Any]:
        return {
            "evaluations": self.evaluations,
            "errors": self.errors,
            "degraded": self.is_degraded,
            "overflows": self.overflows,
        }


class PolicyHealth(NodePart):
    """One per node."""

    name: ClassVar[str] = "policy"
    tick_every_s: ClassVar[float] = 10.0

    def __init__(
        self,
        report: Callable[..., None],
        overflows: Callable[[], dict[str, Overflow]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`overflows`: those of the fleet's budgets since the last call. `clock`: seconds since the epoch."""
        self._report = report
        self._overflows = overflows
        self._clock = clock
        self._revision = ""
        self._read_at = 0.0
        self._max_age_s = 0.0
        self._age_is_told = False
        self._rules: dict[str, _Counted] = {}
        self._overflowed_at: dict[str, float] = {}

    @override
    def use(self, config: Config) -> None:
        self._max_age_s = config.policy.max_policy_age_s

    @override
    def follow(self, settings: EdgeSettings) -> None:
        policy = settings.policy
        if policy.revision != self._revision:
            self._revision, self._rules = policy.revision, {}
        if policy.read_at != self._read_at:
            self._read_at, self._age_is_told = policy.read_at, False

    @property
    def age_s(self) -> float:
        """Since the policy in force was read and found good; 0 before there is one."""
        return max(0.0, self._clock() - self._read_at) if self._read_at else 0.0

    @property
    def is_stale(self) -> bool:
        """True if it is older than the configuration allows."""
        return 0.0 < self._max_age_s < self.age_s

    def heard(self, message: PolicyTallies) -> None:
        """A worker tells what it has counted. Of another revision than the one in force: too late to matter."""
        for each in message.rules:
            if each.overflows:
                self._overflowed(each.rule, Overflow(each.overflows, each.overflow_owner))
            if message.revision == self._revision:
                self._asked(each.rule, each.evaluations, each.errors)

    def _asked(self, rule: str, evaluations: int, errors: int) -> None:
        counted = self._rules.setdefault(rule, _Counted())
        counted.evaluations += evaluations
        counted.errors += errors
        if errors and not counted.is_degraded and is_degraded(counted.evaluations, counted.errors):
            counted.is_degraded = True
            detail = f"{rule}: no value in {counted.errors} of {counted.evaluations} evaluations"
            self._report("policy.rule_degraded", "high", "allow_alert", detail)

    def _overflowed(self, rule: str, overflow: Overflow) -> None:
        self._rules.setdefault(rule, _Counted()).overflows += overflow.times
        now, before = self._clock(), self._overflowed_at.get(rule)
        self._overflowed_at[rule] = now
        if before is None or now - before > _QUIET_S:
            detail = f"{rule}: more keys than it may have; the further ones share one counter"
            self._report("policy.counters_full", "medium", "allow_alert", detail, overflow.owner)

    @override
    async def tick(self) -> None:
        for rule, overflow in self._overflows().items():
            self._overflowed(rule, overflow)
        if self.is_stale and not self._age_is_told:
            self._age_is_told = True
            detail = (
                f"revision {self._revision[:12]} was read {self.age_s:.0f} s ago, allowed are {self._max_age_s:.0f} s"
            )
            self._report("policy.stale", "high", "allow_alert", detail)

    @override
    def status(self) -> dict[str, Any]:
        troubled = {name: each for name, each in sorted(self._rules.items()) if each.errors or each.overflows}
        return {
            "age_s": round(self.age_s, 1),
            "max_age_s": self._max_age_s,
            "stale": self.is_stale,
            "degraded": [name for name, each in troubled.items() if each.is_degraded],
            "rules": {name: each.shown() for name, each in list(troubled.items())[:_MOST_SHOWN]},
        }

    @override
    def metrics(self) -> dict[str, float]:
        found = {
            f'ocpp_gateway_policy_info{{revision="{self._revision[:12]}"}}': 1.0,
            "ocpp_gateway_policy_age_seconds": self.age_s,
            "ocpp_gateway_policy_rules_degraded": float(sum(each.is_degraded for each in self._rules.values())),
        }
        for rule, each in self._rules.items():
            # The ids of rules are the operator's own words, and there are only so many with trouble.
            label = '{rule="' + rule.replace('"', "'") + '"}'
            if each.errors:
                found["ocpp_gateway_policy_errors_total" + label] = float(each.errors)
                found["ocpp_gateway_policy_evaluations_total" + label] = float(each.evaluations)
            if each.overflows:
                found["ocpp_gateway_policy_overflows_total" + label] = float(each.overflows)
        return found
