"""Budgets of a whole node: counters that every edge worker shares. Lives in control; trials and replays have their own."""

from gateway.policy.counter_table import Overflow, add_overflows
from gateway.policy.limits import MAX_LIMIT, Distinct, Rates, Sum
from gateway.policy.verdict import FleetAsk

__all__ = ["FleetBudgets"]


class FleetBudgets:
    """Answers what edge workers ask. Bounded; outlives snapshots, because keys belong to rules and parameters."""

    def __init__(self) -> None:
        self._rates = Rates()
        self._distinct = Distinct()
        self._sums = Sum()

    def take_overflows(self) -> dict[str, Overflow]:
        """By rule, how often its counters had more keys than they have windows since the last time."""
        found: dict[str, Overflow] = {}
        for tables in (self._rates, self._distinct, self._sums):
            add_overflows(found, tables.take_overflows())
        return found

    def keeps(self, ask: FleetAsk, online: int, now: float) -> bool:
        """Draw on the budget; False (and nothing drawn) if it is used up. `online`: connected charge points."""
        limit = max(ask.limit, ask.share_of_online * online)
        least = max(1, int(ask.limit)) if ask.limit > 0 else 0
        count = min(max(least, int(limit)), MAX_LIMIT)
        match ask.kind:
            case "rate":
                return self._rates.take(ask.key, count, ask.window_s, now)
            case "distinct":
                return self._distinct.take(ask.key, ask.value, count, ask.window_s, now)
            case _:
                return self._sums.take(ask.key, ask.amount, limit, ask.window_s, now)

    def answers(self, asks: tuple[FleetAsk, ...], online: int, now: float) -> dict[str, bool]:
        """By rule: whether its budget was kept. In order; behind a refusal by an enforced rule nothing is drawn."""
        found: dict[str, bool] = {}
        refused = False
        for ask in asks:
            found[ask.rule.id] = refused or self.keeps(ask, online, now)
            refused = refused or (not found[ask.rule.id] and ask.match.enforced and ask.rule.effect.restrictive)
        return found
