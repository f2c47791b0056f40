"""What charge points report of themselves: a SecurityEventNotification as a record of its own. Pure.

``charger.security_event`` stands beside the ``ocpp.message``: ``ocpp.event`` is the type (part 2, appendix 1), ``occurred`` the
moment that the charge point names. Its own words (``techInfo``) are in no record.
"""

import re
from typing import Any, Final

import msgspec

from gateway.audit.record import Stamp, envelope
from gateway.audit.redaction import is_plain_word
from gateway.ocpp.codec import MalformedFrame, decode_message
from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.ocpp.wrapped import Unreadable, inner_call, unsigned

__all__ = ["ChargerEvent", "charger_event_of", "charger_event_record"]

_ACTION: Final = "SecurityEventNotification"
_MOMENT: Final = re.compile(r"[0-9T:.+Z-]{1,40}", re.ASCII)
_GRAVE: Final = frozenset(
    {
        "AttemptedReplayAttacks", "FailedToAuthenticateAtCentralSystem", "FailedToAuthenticateAtCsms",
        "InvalidCentralSystemCertificate", "InvalidCsmsCertificate", "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate", "InvalidTLSCipherSuite", "InvalidTLSVersion", "MemoryExhaustion",
        "ReconfigurationOfSecurityParameters", "SecurityLogWasCleared", "TamperDetectionActivated",
    }
)  # fmt: skip
"""Types that somebody should look at."""


class ChargerEvent(msgspec.Struct, frozen=True):
    """What a charge point has reported."""

    kind: str
    """``*`` for what cannot be a type."""
    occurred: str
    """As it was sent; empty where that is no moment."""


def charger_event_of(data: bytes, version: OCPPVersion) -> ChargerEvent | None:
    """The event in a frame of a charge point, signed or plain; None for any other frame."""
    try:
        frame, payload = decode_message(data, version)
        if not isinstance(frame, Call) or unsigned(frame.action) != _ACTION:
            return None
        inner = inner_call(version, frame.action, payload)
    except (MalformedFrame, Unreadable):
        return None
    said: dict[str, Any] = inner.payload if inner is not None else payload
    kind, moment = said.get("type"), said.get("timestamp")
    return ChargerEvent(
        kind if isinstance(kind, str) and is_plain_word(kind) else "*",
        moment if isinstance(moment, str) and _MOMENT.fullmatch(moment) else "",
    )


def charger_event_record(
    stamp: Stamp, event: ChargerEvent, *, charge_point_id: str, session: str, version: OCPPVersion, edge: dict[str, Any]
) -> bytes:
    """The canonical envelope. Raises NotCanonical."""
    return envelope(
        "charger.security_event",
        stamp,
        sev="high" if event.kind in _GRAVE else "medium",
        cp=charge_point_id,
        proven=True,
        sess=session,
        ocpp={"version": version.value, "event": event.kind},
        occurred=event.occurred,
        edge=edge,
    )
