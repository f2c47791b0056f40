"""Who reads a stored text is on record before he sees it: by the running gateway, or by the command itself where none runs."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, shown

if TYPE_CHECKING:
    from gateway.config.model import Config

__all__ = ["record_reading"]

_TIMEOUT_S = 60.0


def record_reading(config: "Config", places: Sequence[str], purpose: str, reason: str, *, as_json: bool) -> None:
    """Return once it is on the disk of the configured log. Ends the command otherwise: then nothing is shown."""
    from gateway.cli.gateway_client import GatewayUnreachable, ask_about_audit

    question = {"records": list(places), "purpose": purpose, "reason": reason}
    try:
        refused = ask_about_audit(config, "text-read", question, _TIMEOUT_S).get("refused")
    except GatewayUnreachable as unreachable:
        refused = _by_ourselves(config, places, purpose, reason)
        if refused:
            refused = f"{refused} ({unreachable})"
    if refused:
        fail(
            f"The text is not shown, as it cannot be recorded who reads it: {shown(refused)}.", NOT_OK, as_json=as_json
        )


def _by_ourselves(config: "Config", places: Sequence[str], purpose: str, reason: str) -> str:
    """Empty, or why not. While a gateway writes the log, nobody else can."""
    from gateway.audit.actor import by
    from gateway.audit.event import SecurityEvent
    from gateway.cli.actor import claimed
    from gateway.control.accounts import own_actor
    from gateway.control.audit_writer import AuditUnavailable
    from gateway.control.offline_record import record_offline
    from gateway.control.privacy import TEXT_READ, reading_in_words

    actor = own_actor(*claimed())
    event = SecurityEvent(
        event=TEXT_READ,
        time=time.time(),
        severity="medium",
        stage="command",
        decision="allow",
        detail=reading_in_words(places, purpose, reason) + by(actor),
        actor=actor,
    )
    try:
        record_offline(config.audit, event)
    except AuditUnavailable as error:
        return str(error).removesuffix(".")
    return ""
