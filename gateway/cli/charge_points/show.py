"""`charge-point list` and `charge-point show`."""

from typing import TYPE_CHECKING, Any

import click
import msgspec

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.lookup import require_charge_point
from gateway.cli.output import console, json_option, print_json, print_table, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.identity.record import ChargePointRecord

__all__ = ["list_charge_points", "show"]

_REFUSALS = 3


@click.command("list")
@click.argument("text", required=False, default="")
@click.option("--group", metavar="G", help="Only this group.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 2**31 - 1), help="At most so many. Default: all.")
@config_option
@json_option
def list_charge_points(text: str, group: str | None, limit: int | None, config_path: str | None, as_json: bool) -> int:
    """List charge points.

    With TEXT those whose identity or serial number contains it, in any case.
    """
    from gateway.cli.charge_points.view import public
    from gateway.cli.refusals import stamp

    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        records = registry.find(text, group=group, limit=limit)
    if as_json:
        print_json([public(record) for record in records])
        return 0
    columns = ("charge point", "security profile", "OCPP", "group", "serial number", "state", "last seen")
    found = [
        (
            record.charge_point_id,
            int(record.security_profile),
            ", ".join(record.ocpp_versions),
            record.group,
            record.serial_number,
            "enabled" if record.enabled else "DISABLED",
            stamp(record.last_seen_at),
        )
        for record in records
    ]
    print_table(f"Charge points ({len(found)})", columns, found)
    return 0


@click.command()
@click.argument("charge_point_id", metavar="ID")
@config_option
@json_option
def show(charge_point_id: str, config_path: str | None, as_json: bool) -> int:
    """Show what is known of a charge point.

    What an operator has set, what was learnt and proven, what stands in its way, and its last refusals. No password.
    """
    from gateway.cli.charge_points.view import public
    from gateway.cli.refusals import explained

    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        record = require_charge_point(registry, charge_point_id, as_json=as_json)
        keys = [key for key, owner in registry.bound_keys().items() if owner == record.charge_point_id]
        lowered = registry.lowered_floors(record.charge_point_id)
        refusals = registry.refusals(charge_point_id=record.charge_point_id, limit=_REFUSALS)
    more = {
        "connected": _is_connected(config, record),
        "obstacles": _obstacles(record, config),
        "bound_keys": sorted(keys),
        "lowered_floors": msgspec.to_builtins(lowered),
        "refusals": [explained(entry) for entry in refusals],
    }
    if as_json:
        print_json({**public(record), **more})
    else:
        _print(record, more)
    return 0


def _is_connected(config: "Config", record: "ChargePointRecord") -> bool | None:
    """From the running gateway; None if none is running."""
    from gateway.cli.gateway_client import GatewayUnreachable, get_status

    try:
        return get_status(config).is_connected(record.charge_point_id)
    except GatewayUnreachable:
        return None


def _obstacles(record: "ChargePointRecord", config: "Config") -> list[str]:
    from gateway.cli.obstacles import find_obstacles

    return [obstacle.message for obstacle in find_obstacles(record, config)]


def _print(record: "ChargePointRecord", more: dict[str, Any]) -> None:
    from gateway.cli.charge_points.view import rows
    from gateway.cli.refusals import print_refusals, stamp

    connected = {True: "yes", False: "no", None: "no gateway is running"}[more["connected"]]
    lines = [("charge point", record.charge_point_id), ("connected", connected), *rows(record)]
    lines.extend(("bound key", f"{key[:16]}...") for key in more["bound_keys"])
    for act in more["lowered_floors"]:
        to_floor = act["to_floor"] or "none"
        lines.append(
            ("floor lowered", f"{stamp(act['lowered_at'])} from {act['from_floor']} to {to_floor}: {act['reason']}")
        )
    lines.extend(("CANNOT CONNECT", message) for message in more["obstacles"])
    out, width = console(), max(len(label) for label, _ in lines)
    for label, value in lines:
        out.print(f"{label:<{width}}  {shown(value)}", soft_wrap=True)
    if more["refusals"]:
        out.print("\nLast refusals (more of them: ocpp-gateway why ID)")
        print_refusals(more["refusals"])
