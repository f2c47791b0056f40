"""What is fixed about the usual kinds of messages of one cohort of sessions, worked out once: the judge's fast path.

A kind is *plain* if its action exists and its sender may send it, nothing can be hidden in it, the registration state
allows everything, and messages pass unless a rule objects. Everything else is not in here, and judged step by step.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.ocpp.actions import lookup
from gateway.ocpp.schema_gate import Kind, SchemaGate
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.ocpp.wrapped import may_wrap
from gateway.policy.guards import Scan
from gateway.policy.rules import Phase
from gateway.policy.snapshot import CompiledRule, View
from gateway.policy.transactions import Transactions, learns_from

__all__ = ["Plan", "Plans"]

_FREE_STATES: Final = frozenset({"none", "unknown", "accepted"})


class Plan(msgspec.Struct, frozen=True):
    """One plain kind of call, or of result."""

    fits: Callable[[Any], bool] | None
    """Whether a payload fits the schema, None where there is none to hold it against."""
    rules: tuple[CompiledRule, ...]
    is_guarded: bool
    """True if some rule can be ruled out by looking at the bytes."""
    is_learnt_from: bool
    """True if the transaction tracker wants to see it."""
    harmless_bytes: float
    """A message with at most so many is not too large, whatever is in it."""

    def candidates(self, data: bytes, transactions: Transactions) -> tuple[CompiledRule, ...]:
        """The rules that may hold for a message with these bytes."""
        if not self.is_guarded:
            return self.rules
        scan = Scan(data, transactions)
        return tuple([rule for rule in self.rules if rule.guard is None or not rule.guard.rules_out(scan)])


class Plans:
    """Of one cohort in one registration state. Shared by its sessions; filled as messages come."""

    __slots__ = ("_gate", "_is_plain", "_version", "calls_of_charge_point", "calls_of_csms", "results_for_charge_point",
        "results_for_csms")  # fmt: skip

    def __init__(self, view: View, version: OCPPVersion, gate: SchemaGate) -> None:
        self._version = version
        self._gate = gate
        self._is_plain = view.session.boot_state in _FREE_STATES and not view.listed_only
        self.calls_of_charge_point: dict[str, Plan] = {}
        self.calls_of_csms: dict[str, Plan] = {}
        self.results_for_charge_point: dict[str, Plan] = {}
        self.results_for_csms: dict[str, Plan] = {}

    def add_call(self, view: View, action: str, origin: Origin) -> None:
        """Remember a kind of call, if it is plain. `view`: of any session of the cohort."""
        known = lookup(self._version, action)
        if not self._is_plain or known is None or known.is_send or origin not in known.senders:
            return
        if may_wrap(self._version, action):
            return
        rules = view.rules(origin, Phase.CALL, action)
        kinds = self.calls_of_charge_point if origin is Origin.CHARGE_POINT else self.calls_of_csms
        is_guarded = any(rule.guard is not None for rule in rules)
        is_learnt_from = learns_from(action, result=False)
        check, most = self._gate.quick_check(action, "call"), self._harmless_bytes(view, action, "call")
        kinds[action] = Plan(check, rules, is_guarded, is_learnt_from, most)

    def add_result(self, view: View, action: str, asker: Origin) -> None:
        """Remember the results of a kind of call of the session's own version, which was forwarded and so exists."""
        if lookup(self._version, action) is None:
            return
        origin = Origin.CSMS if asker is Origin.CHARGE_POINT else Origin.CHARGE_POINT
        rules = view.rules(origin, Phase.RESULT, action)
        kinds = self.results_for_charge_point if asker is Origin.CHARGE_POINT else self.results_for_csms
        kinds[action] = Plan(
            self._gate.quick_check(action, "result"),
            rules,
            is_guarded=False,
            is_learnt_from=learns_from(action, result=True),
            harmless_bytes=self._harmless_bytes(view, action, "result"),
        )

    def _harmless_bytes(self, view: View, action: str, kind: Kind) -> float:
        by_schema, site = self._gate.size_limit(action, kind), view.snapshot.site
        return site.size_limit(view.session.group, action, by_schema, answer=kind == "result").harmless_bytes
