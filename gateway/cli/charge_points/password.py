"""`charge-point password`: how far a change of a charge point's password has got, and `--rotate`."""

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE
from gateway.cli.lookup import require_charge_point
from gateway.cli.output import console, fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.provisioning.password import PasswordChange
    from gateway.store.registry import Registry

__all__ = ["password"]

_HISTORY = 20
_NEXT = {
    "wanted": "it gets one when it is connected",
    "sent": "it answers, or connects with one of the two; until then both are accepted",
    "staged": "it takes the new one when it reboots: charge-point call ID Reset; until then both are accepted",
    "accepted": "it connects with the new one; the old one is dead",
    "in-use": "nothing",
    "refused": "look at its log; the old one stays",
    "failed": "--rotate; the old one stays",
    "superseded": "--rotate",
}
"""By state; what happens next, or what somebody has to do."""


@click.command()
@click.argument("charge_point_id", metavar="[ID]", required=False)
@click.option("--group", metavar="G", help="All charge points of a group instead of one.")
@click.option("--rotate", is_flag=True, help="Give it another password, which nobody gets to see.")
@config_option
@json_option
def password(
    charge_point_id: str | None, group: str | None, rotate: bool, config_path: str | None, as_json: bool
) -> int:
    """Change passwords over OCPP; show how far that is.

    --rotate needs a running gateway. It makes the password, keeps a hash and gives it to the charge point when that is
    connected; the old one dies when the charge point has agreed.
    """
    if (charge_point_id is None) is (group is None):
        raise click.UsageError("Name one charge point, or a group with --group.")
    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        if charge_point_id is not None:
            identities = [str(require_charge_point(registry, charge_point_id, as_json=as_json).charge_point_id)]
        else:
            identities = [str(record.charge_point_id) for record in registry.find(group=group)]
        if not identities:
            fail(f"No charge point is in group {shown(group)}.", NOT_OK, as_json=as_json)
        refused = {each: _rotate(config, each, as_json=as_json) for each in identities} if rotate else {}
        found = [_public(registry, each, refused.get(each, "")) for each in identities]
    _tell(found, is_one=charge_point_id is not None, as_json=as_json)
    return NOT_OK if any(refused.values()) else 0


def _rotate(config: "Config", charge_point_id: str, *, as_json: bool) -> str:
    from gateway.cli.gateway_client import GatewayUnreachable, rotate_password

    try:
        return rotate_password(config, charge_point_id)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)


def _public(registry: "Registry", charge_point_id: str, refused: str) -> dict[str, Any]:
    """What is shown, as JSON."""
    from gateway.store.password_changes import PasswordChangeTable

    changes = PasswordChangeTable(registry.database).latest(charge_point_id, _HISTORY)
    state = changes[0].state.value if changes else None
    return {
        "charge_point_id": charge_point_id,
        "refused": refused,
        "state": state,
        "next_step": _NEXT[state] if state is not None else "--rotate",
        "history": [_entry(change) for change in reversed(changes)],
    }


def _entry(change: "PasswordChange") -> dict[str, Any]:
    return {
        "by": change.origin,
        "at": change.changed_at,
        "state": change.state.value,
        "attempts": change.attempts,
        "detail": change.detail,
    }


def _tell(found: list[dict[str, Any]], *, is_one: bool, as_json: bool) -> None:
    if as_json:
        print_json(found[0] if is_one else {"charge_points": found})
        return
    out = console()
    for each in found:
        state = each["state"] or "never changed over OCPP"
        out.print(f"{shown(each['charge_point_id'])}  {state}: {shown(each['next_step'])}", soft_wrap=True)
        if each["refused"]:
            out.print(f"  not changed: {shown(each['refused'])}", soft_wrap=True)
        if is_one:
            _print_history(each["history"])


def _print_history(history: list[dict[str, Any]]) -> None:
    from gateway.cli.refusals import stamp

    for entry in history:
        line = f"{stamp(entry['at'])}  {entry['by']:<8}  {entry['state']:<10}  {shown(entry['detail'])}"
        console().print(line.rstrip(), soft_wrap=True)
