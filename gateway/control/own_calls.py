"""The gateway's own calls to charge points: checked here, sent in turn by the edge that has the session, answered once."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import msgspec

from gateway.audit.event import printable
from gateway.config.ocpp_schemas import schema_gate
from gateway.control.link_server import EdgeLink
from gateway.control.sessions import Entry
from gateway.link.messages import CallOutcome, GatewayCall, GatewayCallDone
from gateway.ocpp.actions import lookup
from gateway.ocpp.vocabulary import OCPPVersion, Origin

__all__ = ["CallAnswer", "CallRefused", "OwnCalls"]

_MAX_TIMEOUT_S: Final = 300.0
_SLACK_S: Final = 2.0
"""The edge keeps the time; this is for one that is not there any more without the link having noticed."""


class CallRefused(Exception):  # noqa: N818  what becomes of the request
    """A call that is not sent. `is_gone`: because there is no session of this charge point."""

    def __init__(self, why: str, *, is_gone: bool = False) -> None:
        super().__init__(why)
        self.is_gone = is_gone


class CallAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call that was sent."""

    charge_point_id: str
    session: str
    action: str
    outcome: CallOutcome
    payload: Any = None
    """Of the result, or the details of the error."""
    error: str = ""
    description: str = ""
    schema_violation: str = ""
    """Where the result is not what the version's schema says."""


class OwnCalls:
    """One per node. `report(event, severity, decision, detail, charge_point_id)` puts each call on record."""

    def __init__(self, report: Callable[[str, str, str, str, str], None]) -> None:
        self._report = report
        self._numbers = count(1)
        self._waiting: dict[int, tuple[EdgeLink, asyncio.Future[GatewayCallDone]]] = {}

    async def call(self, entry: Entry | None, action: str, payload: Any, timeout_s: float) -> CallAnswer:
        """Ask the charge point of this session. Raises CallRefused."""
        live = entry.live if entry is not None else None
        if entry is None or live is None or not isinstance(entry.edge, EdgeLink):
            raise CallRefused("it is not connected", is_gone=True)
        version = OCPPVersion.from_subprotocol(live.subprotocol)
        assert version is not None, "what an admission was made for"
        _verify_call(version, action, payload)
        if not 0.0 < timeout_s <= _MAX_TIMEOUT_S:
            raise CallRefused(f"the timeout must be between 0 and {_MAX_TIMEOUT_S:g} seconds")
        # On record before it is sent, and again when it is known what became of it.
        self._report("gateway.call", "medium", "allow", f"{action}: asked", entry.charge_point_id)
        done = await self._ask(entry.edge, live.session, action, payload, timeout_s)
        said = f"{action}: {done.outcome} {printable(done.error, 64)}".rstrip()
        self._report("gateway.call", "medium", "allow", said, entry.charge_point_id)
        answered = msgspec.json.decode(done.payload) if done.payload else None
        violation = ""
        if done.outcome == "result" and (found := schema_gate(version).check(action, "result", answered)) is not None:
            violation = f"{found.keyword} at {found.path or 'the top'}"
        return CallAnswer(
            charge_point_id=entry.charge_point_id,
            session=live.session,
            action=action,
            outcome=done.outcome,
            payload=answered,
            error=done.error,
            description=done.description,
            schema_violation=violation,
        )

    async def _ask(self, edge: EdgeLink, session: str, action: str, payload: Any, timeout_s: float) -> GatewayCallDone:
        number = next(self._numbers)
        future: asyncio.Future[GatewayCallDone] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (edge, future)
        edge.send(GatewayCall(number, session, action, msgspec.json.encode(payload), timeout_s))
        try:
            return await asyncio.wait_for(future, timeout_s + _SLACK_S)
        except TimeoutError:
            return GatewayCallDone(number, "timeout", error="the edge worker does not answer")
        finally:
            del self._waiting[number]

    def done(self, message: GatewayCallDone) -> None:
        """An edge has said what became of a call."""
        waiting = self._waiting.get(message.request_id)
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(message)

    def edge_lost(self, edge: EdgeLink) -> None:
        """Whether the charge point was asked is not known; nobody will say."""
        for number, (asked, future) in self._waiting.items():
            if asked is edge and not future.done():
                future.set_result(GatewayCallDone(number, "gone", error="the edge worker is gone"))


def _verify_call(version: OCPPVersion, action: str, payload: Any) -> None:
    """Raise CallRefused for what a charge point of this version need not understand."""
    known = lookup(version, action)
    if known is None:
        raise CallRefused(f"OCPP {version.value} has no action {action}")
    if Origin.CSMS not in known.senders or known.is_send:
        raise CallRefused(f"{action} is not for a charge point")
    if not isinstance(payload, dict):
        raise CallRefused("the payload is no JSON object")
    violation = schema_gate(version).check(action, "call", payload)
    if violation is not None:
        raise CallRefused(f"the payload does not fit {action}: {violation.keyword} at {violation.path or 'the top'}")
