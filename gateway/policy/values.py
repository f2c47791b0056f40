"""The values of the root names of expressions for one message, each made when a rule first needs it."""

from typing import Any

from gateway.policy.cel import EvaluationError, Program
from gateway.policy.cel.times import from_unix
from gateway.policy.facts import Facts
from gateway.policy.session import Message, SessionFacts, SessionView
from gateway.policy.snapshot import CompiledRule
from gateway.policy.transactions import Transactions

__all__ = ["Values"]


class Values:
    """Lazy; one object for all rules that look at a message."""

    __slots__ = ("_made", "_now", "message", "session", "transactions")

    def __init__(self, message: Message, session: SessionFacts, transactions: Transactions, now: float) -> None:
        self.message = message
        self.session = session
        self.transactions = transactions
        self._now = now
        self._made: dict[str, Any] = {}

    def get(self, name: str, rule: CompiledRule) -> Any:
        """The value of one root name as this rule sees it."""
        made = self._made.get(name)
        if made is None:
            if name == "params":
                return rule.params
            if name == "sets":
                return rule.sets
            made = self._made[name] = self._make(name)
        return made

    def _make(self, name: str) -> Any:
        message = self.message
        request = message.request
        match name:
            case "payload":
                return message.payload
            case "facts":
                asked = None if request is None else request.payload
                return Facts(message.action, message.payload, asked, self.transactions.readings_in)
            case "tx":
                payload = message.payload if request is None else request.payload
                return self.transactions.view(message.action, payload, self._now)
            case "now":
                return from_unix(int(self._now))
            case "msg":
                return message
            case "req":
                return request
            case _:
                return SessionView(self.session)

    def run(self, program: Program, rule: CompiledRule) -> Any:
        """The value of an expression. Raises EvaluationError, nothing else."""
        names = program.names
        if len(names) == 1:  # as most have
            return program.test(self.get(names[0], rule))
        return program.test(*[self.get(name, rule) for name in names])

    def of(self, program: Program, rule: CompiledRule) -> dict[str, Any]:
        """The root values that an expression reads, by name."""
        return {name: self.get(name, rule) for name in program.names}

    def holds(self, program: Program | None, rule: CompiledRule, *, default: bool) -> bool:
        """Whether a condition holds; `default` where there is none or it has no value."""
        if program is None:
            return default
        try:
            return bool(self.run(program, rule))
        except EvaluationError:
            return default
