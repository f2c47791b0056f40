"""`status`: what the running gateway is doing."""

import time
from typing import Any

import click
from rich.table import Table

from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE
from gateway.cli.gateway_client import GatewayUnreachable, get_status
from gateway.cli.output import console, fail, json_option, print_json

__all__ = ["status"]


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _sessions(sessions: list[dict[str, Any]]) -> Table:
    table = Table(title=f"Sessions ({len(sessions)})", title_justify="left")
    for column in ("charge point", "OCPP", "security profile", "from", "listener", "CSMS", "state", "age"):
        table.add_column(column)
    for one in sorted(sessions, key=lambda one: str(one["charge_point_id"])):
        age = _age(time.time() - one["opened_at"]) if one["opened_at"] else ""
        values = (
            one["charge_point_id"],
            one["subprotocol"],
            one["security_profile"],
            one["peer"],
            one["listener"],
            one["csms"],
            one["state"],
            age,
        )
        table.add_row(*map(str, values))
    return table


@click.command()
@config_option
@json_option
@click.option("--watch", is_flag=True, help="Refresh every two seconds until interrupted.")
def status(config_path: str | None, as_json: bool, watch: bool) -> int:
    """Show the running gateway: edges, last reload, sessions."""
    config = read_config(config_path, as_json=as_json)
    while True:
        try:
            found = get_status(config)
        except GatewayUnreachable as error:
            fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
        if as_json:
            print_json(found)
        else:
            _show(found, clear=watch)
        if not watch:
            return 0 if found["ready"] else NOT_OK
        time.sleep(2.0)


def _show(found: dict[str, Any], *, clear: bool) -> None:
    out = console()
    if clear:
        out.clear()
    state = "ready" if found["ready"] else "NOT READY"
    out.print(
        f"ocpp-gateway {found['version']}: {state}, up {_age(found['uptime_s'])}, "
        f"{found['registered_charge_points']} charge points registered"
    )
    reload = found["last_reload"]
    if not reload["ok"]:
        out.print(f"LAST RELOAD FAILED, the previous configuration is in force: {reload['why']}", markup=False)
    edges = ", ".join(f"{edge['slot']} (pid {edge['pid']})" for edge in found["edges"]) or "none"
    out.print(f"edges: {edges} of {found['expected_edges']}")
    out.print(_sessions(found["sessions"]))
