"""`why`: the last refusals of a charge point or address, in plain words, with the remedy."""

import datetime
import ipaddress
from typing import Any

import click
import msgspec

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.gateway_client import GatewayUnreachable, get_status
from gateway.cli.output import console, json_option, print_json
from gateway.identity.refusal import Reason

__all__ = ["why"]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _connected(config_path: str | None, identity: str) -> bool | None:
    """True or False from the running gateway, None if none is running."""
    try:
        status = get_status(read_config(config_path))
    except GatewayUnreachable:
        return None
    return any(session["charge_point_id"] == identity for session in status["sessions"])


@click.command()
@click.argument("who", metavar="ID|ADDRESS")
@click.option(
    "--limit", default=5, show_default=True, type=click.IntRange(1, 200), help="How many refusals to explain."
)
@config_option
@json_option
def why(who: str, limit: int, config_path: str | None, as_json: bool) -> int:
    """Explain why a charge point, or an address, was refused."""
    by_address = _is_address(who)
    with open_registry(config_path, as_json=as_json) as registry:
        record = None if by_address else registry.get(who)
        entries = (
            registry.refusals(address=who, limit=limit)
            if by_address
            else registry.refusals(charge_point_id=who, limit=limit)
        )
    connected = None if by_address else _connected(config_path, who)
    found = [_explained(msgspec.to_builtins(entry)) for entry in entries]
    if as_json:
        print_json(
            {
                "who": who,
                "registered": None if by_address else record is not None,
                "enabled": record.enabled if record else None,
                "connected": connected,
                "refusals": found,
            }
        )
        return 0 if found or record is not None else NOT_OK
    if not by_address:
        _print_state(
            who, registered=record is not None, enabled=record.enabled if record else True, connected=connected
        )
    for entry in found:
        _print_refusal(entry)
    if not found:
        click.echo("No refusal is on record." + ("" if by_address or record else " Does it reach this gateway at all?"))
    return 0 if found or record is not None else NOT_OK


def _explained(entry: dict[str, Any]) -> dict[str, Any]:
    try:
        reason = Reason.from_code(entry["reason"])
    except KeyError:
        return entry
    return {**entry, "stage": reason.stage.value, "meaning": reason.meaning, "remedy": reason.remedy}


def _print_state(who: str, *, registered: bool, enabled: bool, connected: bool | None) -> None:
    words = "is registered" if registered else "is not registered"
    if registered and not enabled:
        words += ", but disabled"
    if connected is not None:
        words += " and connected now" if connected else " and not connected now"
    click.echo(f"{who} {words}.")


def _print_refusal(entry: dict[str, Any]) -> None:
    moment = datetime.datetime.fromtimestamp(entry["time"], datetime.UTC).astimezone()
    times = f", {entry['count']} times" if entry["count"] > 1 else ""
    out = console()
    out.print(
        f"\n[bold]{moment:%Y-%m-%d %H:%M:%S}[/bold] from {entry['address']} on listener {entry['listener'] or '?'}"
        f"{times}: {entry['reason']}"
    )
    out.print(f"  {entry.get('meaning', '')}", markup=False)
    if entry["detail"]:
        out.print(f"  Detail: {entry['detail']}", markup=False)
    out.print(f"  What to do: {entry.get('remedy', '')}", markup=False)
