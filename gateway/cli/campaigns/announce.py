"""Who plans, approves or removes a campaign is on record before it is done: by the running gateway, or by the command itself."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, shown, warn

if TYPE_CHECKING:
    from gateway.config.model import Config

__all__ = ["announce"]


def announce(config: "Config", what: str, name: str, by: str = "", *, as_json: bool) -> dict[str, str]:
    """Return once it is on record; ends the command where a running gateway cannot record it.

    Where none runs and the log cannot be written, the command goes on with a warning, which `--json` has as `not_on_record`: a
    campaign does nothing before a gateway starts it, and that record names who has planned and who has approved it.
    """
    from gateway.cli.gateway_client import GatewayFailed, GatewayUnreachable, order
    from gateway.control.announced_changes import announced_path

    try:
        refused = order(config, announced_path(what), {"campaign": name, "by": by})["refused"]
    except GatewayFailed as failed:
        refused = str(failed)
    except GatewayUnreachable:
        why = _by_ourselves(config, what, name, by)
        if why and not as_json:
            warn([f"this is not on record: {shown(why)}"])
        return {"not_on_record": why} if why else {}
    if refused:
        fail(f"Not done: {shown(refused)}.", NOT_OK, as_json=as_json)
    return {}


def _by_ourselves(config: "Config", what: str, name: str, by: str) -> str:
    """Empty, or why not."""
    from gateway.audit.actor import by as by_whom
    from gateway.audit.event import SecurityEvent
    from gateway.cli.actor import claimed
    from gateway.control.accounts import own_actor
    from gateway.control.announced_changes import CampaignAnnounced, announced_path
    from gateway.control.audit_writer import AuditUnavailable
    from gateway.control.offline_record import record_offline
    from gateway.control.trail.layout import shards_in

    actor = own_actor(*claimed())
    subject = CampaignAnnounced(campaign=name, by=by).subject
    event = SecurityEvent(
        event="admin.request",
        time=time.time(),
        severity="info",
        stage="command",
        decision="allow",
        detail=f"{announced_path(what)}: {subject}{by_whom(actor)}",
        actor=actor,
    )
    try:
        if shards_in(Path(config.audit.directory)):  # no gateway has ever run here: there is no record of anything
            record_offline(config.audit, event)
    except (AuditUnavailable, OSError) as error:
        return str(error).removesuffix(".")
    return ""
