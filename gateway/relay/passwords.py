"""Passwords that the CSMS gives a charge point: held until control knows them, and what becomes of them. Pure.

A call that sets one goes on only when its hash is on control's disk: else a charge point could connect with a password that
nobody here has ever heard of.
"""

from typing import Final

import msgspec

from gateway.ocpp.build import build_call_error, build_call_result
from gateway.ocpp.codec import Payload
from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.frames import Call
from gateway.ocpp.password_messages import outcome_of, passwords_in, refusal_of
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.relay.effects import Effects, LearnPassword, PasswordAnswered, Reply, ReportEvent
from gateway.relay.open_calls import OpenCall

__all__ = ["HeldCall", "PasswordWatch", "password_answered"]

_MAX_HELD: Final = 4
_MAX_CHARS: Final = 512


class HeldCall(msgspec.Struct, frozen=True):
    """A call that may go on once its password is known."""

    call: Call
    record: OpenCall
    effects: Effects
    """What happens then."""
    data: bytes

    def __repr__(self) -> str:
        return f"HeldCall({self.record.action!r}, <hidden>)"

    def refused(self, version: OCPPVersion) -> Effects:
        """The same as the charge point's own no: the CSMS goes on with the old password (A01.FR.04)."""
        return _refused(version, self.call, self.record, "it could not be remembered")


class PasswordWatch:
    """Of one session that has had such a call."""

    __slots__ = ("_held", "_tickets")

    def __init__(self) -> None:
        self._held: dict[int, HeldCall] = {}
        self._tickets = 0

    def hold(self, version: OCPPVersion, call: Call, record: OpenCall, effects: Effects, data: bytes) -> Effects | None:
        """What happens instead of the call's going on at once; None if it sets no password."""
        found = set(passwords_in(record.action, record.payload))
        if not found:
            return None
        if len(found) > 1 or len(self._held) >= _MAX_HELD or max(map(len, found)) > _MAX_CHARS:
            return _refused(version, call, record, "no single password of a usable length, or too many at once")
        self._tickets += 1
        reports = tuple(effect for effect in effects if type(effect) is ReportEvent)
        rest = tuple(effect for effect in effects if type(effect) is not ReportEvent)
        self._held[self._tickets] = HeldCall(call, record, rest, data)
        return (*reports, LearnPassword(self._tickets, found.pop()))

    def take(self, ticket: int) -> HeldCall | None:
        """The call of a LearnPassword, once."""
        return self._held.pop(ticket, None)


def password_answered(asked: OpenCall, result: Payload) -> Effects:
    """What a result says of a password in the call; nothing where two calls had the same id."""
    if asked.other is not None or not asked.outer or not passwords_in(asked.action, asked.payload):
        return ()
    return (PasswordAnswered(outcome_of(asked.action, asked.payload, result)),)


def _refused(version: OCPPVersion, call: Call, record: OpenCall, why: str) -> Effects:
    report = ReportEvent("password.not_learnt", "high", "answer", f"{call.action} by the CSMS: {why}")
    if record.outer == record.action:
        return (report, Reply(build_call_result(call.message_id, refusal_of(record.action, record.payload))))
    error = build_call_error(version, call.message_id, ErrorMeaning.NOT_SUPPORTED, "not as a signed message")
    return (report, Reply(error))
