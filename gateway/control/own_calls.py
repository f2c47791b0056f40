"""The gateway's own calls to charge points: checked here, sent in turn by the edge that has the session, answered once."""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NoReturn

import msgspec

from gateway.audit.event import printable
from gateway.audit.redaction import redacted, token_pseudonym
from gateway.config.ocpp_schemas import schema_gate
from gateway.control.link_server import EdgeLink
from gateway.control.operator_requests import RequestRefused
from gateway.control.sessions import Entry
from gateway.link.messages import CallOutcome, GatewayCall, GatewayCallDone
from gateway.ocpp.actions import lookup
from gateway.ocpp.build import build_call
from gateway.ocpp.codec import MalformedFrame, decode_message
from gateway.ocpp.vocabulary import OCPPVersion, Origin

__all__ = ["CallAnswer", "CallRefused", "OwnCalls"]

_MAX_TIMEOUT_S: Final = 300.0
_ID_BYTES: Final = 16
"""32 hexadecimal digits: within the 36 characters of a message id, and nobody can guess one (RFC 4122 has 122 bits)."""
_KEY_BYTES: Final = 32
_elements: Final = msgspec.json.Decoder(tuple[int, str, str, msgspec.Raw]).decode
_MAX_SHOWN_CHARS: Final = 1_400
"""Of a payload in an event."""
_SLACK_S: Final = 2.0
"""The edge keeps the time; this is for one that is not there any more without the link having noticed."""


class CallRefused(RequestRefused):
    """A call that is not sent. `is_gone`: because there is no session of this charge point."""


class CallAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call that was sent."""

    charge_point_id: str
    session: str
    request_id: str
    """As in the events about it; the message id of the call."""
    action: str
    outcome: CallOutcome
    payload: Any = None
    """Of the result, or the details of the error."""
    error: str = ""
    description: str = ""
    schema_violation: str = ""
    """Where the result is not what the version's schema says."""


class _Prepared(msgspec.Struct, frozen=True):
    """A call that may be sent."""

    request: GatewayCall
    edge: EdgeLink
    version: OCPPVersion


class OwnCalls:
    """One per node. `report(event, severity, decision, detail, charge_point_id)` puts each call on record.

    `may_happen`: what was reported is in the log for good, or need not be.
    """

    def __init__(
        self,
        report: Callable[[str, str, str, str, str], None],
        max_message_bytes: int,
        may_happen: Callable[[], Awaitable[bool]],
    ) -> None:
        self.max_message_bytes = max_message_bytes
        self.on_answer: Callable[[str, Any, CallAnswer], None] | None = None
        """Hears charge point, payload and answer of every call that was sent."""
        self._report = report
        self._may_happen = may_happen
        self._pseudonym = partial(token_pseudonym, secrets.token_bytes(_KEY_BYTES))
        self._waiting: dict[str, tuple[GatewayCall, EdgeLink, asyncio.Future[GatewayCallDone]]] = {}

    async def call(
        self,
        charge_point_id: str,
        entry: Entry | None,
        action: str,
        payload: Any,
        timeout_s: float,
        *,
        quiet_s: float = -1.0,
    ) -> CallAnswer:
        """Ask the charge point of this session, None if it has none. Raises CallRefused.

        `quiet_s`, not negative: now, and only while no transaction runs, else the outcome is ``not_sent``; how old a session
        must be for that to be known, if it began without a BootNotification.

        Either way it is on record: before it is sent, with what is asked, and again when it is known what became of it.
        """
        request_id = secrets.token_hex(_ID_BYTES)
        said = f"{printable(action, 64)} {request_id}"
        try:
            prepared = self._prepare(request_id, entry, action, payload, timeout_s, quiet_s)
        except CallRefused as refused:
            why = printable(str(refused), 256)
            self._report(
                "gateway.call",
                "medium",
                "deny",
                f"{said}: not sent: {why}: {self._shown(entry, action, payload)}",
                charge_point_id,
            )
            raise
        self._report(
            "gateway.call", "medium", "allow", f"{said}: asked: {self._shown(entry, action, payload)}", charge_point_id
        )
        became = "unknown"
        try:
            if not await self._may_happen():
                became = "not sent: the audit log cannot be written"
                raise CallRefused("the audit log cannot be written")
            done = await self._ask(prepared)
            became = f"{done.outcome} {printable(done.error, 64)}".rstrip()
        finally:
            self._report("gateway.call", "medium", "allow", f"{said}: {became}", charge_point_id)
        answer = _answer(charge_point_id, prepared, done)
        if self.on_answer is not None:
            self.on_answer(charge_point_id, payload, answer)
        return answer

    def refuse_unknown(self, charge_point_id: str, action: str) -> NoReturn:
        """Nobody is registered under this identity. Raises CallRefused."""
        said = f"{printable(action, 64)}: not sent: no charge point {printable(charge_point_id, 64)} is registered"
        self._report("gateway.call", "medium", "deny", said, "")
        raise CallRefused("no charge point of this identity is registered", is_gone=True)

    def _shown(self, entry: Entry | None, action: str, payload: Any) -> str:
        """A payload as it may be kept, the beginning of a long one."""
        live = entry.live if entry is not None else None
        version = OCPPVersion.from_subprotocol(live.subprotocol) if live is not None else None
        try:
            kept = redacted(build_call("0", action, payload), version or OCPPVersion.V2_1, self._pseudonym)
            text = bytes(_elements(kept)[3])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return "its payload cannot be shown"
        shown = text.decode()
        if len(shown) <= _MAX_SHOWN_CHARS:
            return shown
        digest = hashlib.sha256(text).hexdigest()
        return f"{shown[:_MAX_SHOWN_CHARS]}... ({len(text)} bytes, SHA-256 {digest})"

    def _prepare(
        self, request_id: str, entry: Entry | None, action: str, payload: Any, timeout_s: float, quiet_s: float
    ) -> _Prepared:
        """Raise CallRefused for what is not sent."""
        live = entry.live if entry is not None else None
        if entry is None or live is None or not isinstance(entry.edge, EdgeLink):
            raise CallRefused("it is not connected", is_gone=True)
        version = OCPPVersion.from_subprotocol(live.subprotocol)
        assert version is not None, "what an admission was made for"
        _verify_action(version, action)
        if not isinstance(payload, dict):
            raise CallRefused("the payload is no JSON object")
        size = _verify_message(version, request_id, action, payload)
        if size > self.max_message_bytes:
            raise CallRefused(f"the message has {size} bytes, max_message_bytes is {self.max_message_bytes}")
        violation = schema_gate(version).check(action, "call", payload)
        if violation is not None:
            raise CallRefused(
                f"the payload does not fit {action}: {violation.keyword} at {violation.path or 'the top'}"
            )
        if not 0.0 < timeout_s <= _MAX_TIMEOUT_S:
            raise CallRefused(f"the timeout must be between 0 and {_MAX_TIMEOUT_S:g} seconds")
        request = GatewayCall(request_id, live.session, action, msgspec.json.encode(payload), timeout_s, quiet_s)
        return _Prepared(request, entry.edge, version)

    async def _ask(self, prepared: _Prepared) -> GatewayCallDone:
        request, edge = prepared.request, prepared.edge
        future: asyncio.Future[GatewayCallDone] = asyncio.get_running_loop().create_future()
        self._waiting[request.request_id] = (request, edge, future)
        edge.send(request)
        try:
            return await asyncio.wait_for(future, request.timeout_s + _SLACK_S)
        except TimeoutError:
            error = "the edge worker does not answer"
            return GatewayCallDone(request.request_id, request.session, "timeout", error=error)
        finally:
            del self._waiting[request.request_id]

    def done(self, message: GatewayCallDone) -> None:
        """An edge has said what became of a call; what an earlier control process has asked is none of ours."""
        request, _, future = self._waiting.get(message.request_id, (None, None, None))
        if request is not None and future is not None and request.session == message.session and not future.done():
            future.set_result(message)

    def edge_lost(self, edge: EdgeLink) -> None:
        """Whether the charge point was asked is not known; nobody will say."""
        for request, asked, future in self._waiting.values():
            if asked is edge and not future.done():
                gone = GatewayCallDone(request.request_id, request.session, "gone", error="the edge worker is gone")
                future.set_result(gone)


def _answer(charge_point_id: str, prepared: _Prepared, done: GatewayCallDone) -> CallAnswer:
    action, answered, violation = prepared.request.action, None, ""
    if done.payload:
        answered = msgspec.json.decode(done.payload)
    if done.outcome == "result":
        found = schema_gate(prepared.version).check(action, "result", answered)
        violation = f"{found.keyword} at {found.path or 'the top'}" if found is not None else ""
    return CallAnswer(
        charge_point_id=charge_point_id,
        session=done.session,
        request_id=done.request_id,
        action=action,
        outcome=done.outcome,
        payload=answered,
        error=done.error,
        description=done.description,
        schema_violation=violation,
    )


def _verify_action(version: OCPPVersion, action: str) -> None:
    """Raise CallRefused for what a charge point of this version need not understand."""
    known = lookup(version, action)
    if known is None:
        raise CallRefused(f"OCPP {version.value} has no action {action}")
    if Origin.CSMS not in known.senders or known.is_send:
        raise CallRefused(f"{action} is not for a charge point")


def _verify_message(version: OCPPVersion, request_id: str, action: str, payload: dict[str, Any]) -> int:
    """The size of the message in bytes. Raises CallRefused for one that we would not let through ourselves."""
    try:
        text = build_call(request_id, action, payload)
        decode_message(text, version)
    except RecursionError:
        raise CallRefused("the payload is nested too deeply") from None
    except MalformedFrame as malformed:
        raise CallRefused(f"the payload is no message: {malformed.detail}") from None
    return len(text)
