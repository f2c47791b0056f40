"""Takes what operators ask for: who asks is on record before anything is changed."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.audit.event import Actor, printable
from gateway.control.acting import acting_for
from gateway.control.operator_requests import OperatorRequest, RequestRefused

__all__ = ["OperatorDesk"]

_MAX_WORDS: Final = 256


class OperatorDesk:
    """One per node. `may_happen`: what was reported is in the log for good, or need not be.

    `is_registered`: true for the identity of a charge point as it is spelled in the registry.
    """

    def __init__(
        self,
        report: Callable[..., None],
        may_happen: Callable[[], Awaitable[bool]],
        is_registered: Callable[[str], bool],
    ) -> None:
        self._report = report
        self._may_happen = may_happen
        self._is_registered = is_registered

    async def answer(self, asked: OperatorRequest, question: Any, actor: Actor) -> Any:
        """What it answers. Raises RequestRefused, StoreError, and RequestRefused where it cannot be recorded."""
        is_change = asked.is_change(question)
        with acting_for(actor):
            if is_change:
                await self._record(asked, question)
            try:
                return await asked.answer(question)
            except RequestRefused as refused:
                if is_change:
                    why = printable(str(refused), _MAX_WORDS)
                    self._tell("admin.request_refused", "deny", question, f"{asked.path}: {why}")
                raise

    async def _record(self, asked: OperatorRequest, question: Any) -> None:
        self._tell("admin.request", "allow", question, asked.path)
        if not await self._may_happen() and not asked.is_stop(question):
            raise RequestRefused("the audit log cannot be written, and this has to be recorded first")

    def _tell(self, event: str, decision: str, question: Any, detail: str) -> None:
        identity = str(getattr(question, "charge_point_id", ""))
        if self._is_registered(identity):
            self._report(event, "info", decision, detail, identity)
        else:
            about = printable(identity, 64) or str(getattr(question, "subject", ""))
            self._report(event, "info", decision, detail + (f": {about}" if about else ""))
