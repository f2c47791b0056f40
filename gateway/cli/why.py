"""`why`: the last refusals of a charge point or address, in plain words, with the remedy."""

import ipaddress

import click

from gateway.cli.configuration import config_option, open_registry, read_whereabouts
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import json_option, print_json, shown

__all__ = ["why"]


def _as_address(text: str) -> str:
    """An IP address in the spelling of the record, empty for anything else."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


@click.command()
@click.argument("who", metavar="ID|ADDRESS")
@click.option(
    "--limit", default=5, show_default=True, type=click.IntRange(1, 200), help="How many refusals to explain."
)
@config_option
@json_option
def why(who: str, limit: int, config_path: str | None, as_json: bool) -> int:
    """Explain why a charge point, or an address, was refused."""
    from gateway.cli.gateway_client import GatewayUnreachable, get_status
    from gateway.cli.lookup import find_similar
    from gateway.cli.refusals import explained, print_refusals

    config = read_whereabouts(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        record = registry.get(who)
        address = "" if record is not None else _as_address(who)
        found = [
            explained(entry)
            for entry in registry.refusals(
                charge_point_id=None if address else who, address=address or None, limit=limit
            )
        ]
        similar = "" if address or record is not None else find_similar(registry, who)
    connected: bool | None = None
    if not address:
        try:
            connected = get_status(config).is_connected(who)
        except GatewayUnreachable:
            connected = None
    if as_json:
        registered = None if address else record is not None
        enabled = record.enabled if record is not None else None
        state = {"who": who, "registered": registered, "enabled": enabled, "connected": connected}
        print_json({**state, "did_you_mean": similar, "refusals": found})
    else:
        if not address:
            enabled = record is None or record.enabled
            _print_state(who, registered=record is not None, enabled=enabled, connected=connected, similar=similar)
        print_refusals(found)
        if not found:
            _print_nothing_found(known=bool(address) or record is not None)
    return 0 if found or record is not None else NOT_OK


def _print_state(who: str, *, registered: bool, enabled: bool, connected: bool | None, similar: str) -> None:
    words = "is registered" if registered else "is not registered"
    if registered and not enabled:
        words += ", but disabled"
    if connected is not None:
        words += " and connected now" if connected else " and not connected now"
    hint = f" Did you mean '{shown(similar)}'?" if similar else ""
    click.echo(f"{shown(who)} {words}.{hint}")


def _print_nothing_found(*, known: bool) -> None:
    click.echo("No refusal is on record." + ("" if known else " Does it reach this gateway at all?"))
