"""`status`: what the running gateway is doing."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option, read_whereabouts
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE
from gateway.cli.output import console, fail, json_option, print_json, print_table, shown

if TYPE_CHECKING:
    from gateway.cli.gateway_client import Status
    from gateway.config.model import Config

__all__ = ["policy_troubles", "status"]

_REFRESH_S = 2.0


@click.command()
@config_option
@json_option
@click.option(
    "--watch", is_flag=True, help="Refresh every two seconds until interrupted; with --json one document a line."
)
def status(config_path: str | None, as_json: bool, watch: bool) -> int:
    """Show the running gateway: edges, last reload, sessions."""
    from gateway.cli.gateway_client import GatewayUnreachable, get_status

    config = read_whereabouts(config_path, as_json=as_json)
    if watch:
        return _watch(config, as_json=as_json)
    try:
        found = get_status(config)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
    _show(found, as_json=as_json)
    return 0 if found.ready else NOT_OK


def _watch(config: "Config", *, as_json: bool) -> int:
    """Until interrupted. A gateway that goes away is shown as such, because it may come back."""
    from gateway.cli.gateway_client import GatewayUnreachable, get_status

    out = console()
    while True:
        found: Status | None = None
        why = ""
        try:
            found = get_status(config)
        except GatewayUnreachable as error:
            why = f"The gateway is not running: {error}"
        if not as_json:
            out.clear()
        if found is not None:
            _show(found, as_json=as_json)
        elif as_json:
            print_json({"error": why})
        else:
            out.print(shown(why))
        time.sleep(_REFRESH_S)


def _show(found: "Status", *, as_json: bool) -> None:
    if as_json:
        print_json(found.raw)
        return
    out = console()
    out.print(
        f"ocpp-gateway {shown(found.version)}: {'ready' if found.ready else 'NOT READY'}, up {_age(found.uptime_s)}, "
        f"{found.registered_charge_points} charge points registered"
    )
    if not found.last_reload.ok:
        out.print(f"LAST RELOAD FAILED, the previous configuration is in force: {shown(found.last_reload.why)}")
    edges = ", ".join(f"{edge.slot} (pid {edge.pid})" for edge in found.edges) or "none"
    out.print(f"edges: {edges} of {found.expected_edges}")
    audit = found.raw.get("audit") or {}
    if audit.get("state") not in {"running", None}:
        out.print(f"THE AUDIT LOG IS NOT WRITTEN ({shown(audit['failure_mode'])}): {shown(audit.get('why', ''))}")
    for sink in audit.get("sinks", ()):
        if sink.get("why"):
            out.print(f"sink {shown(sink['name'])} is {sink['behind']} records behind: {shown(sink['why'])}")
    if why := (found.raw.get("recording") or {}).get("error"):
        out.print(f"THE RECORDING IS NOT COMPLETE: {shown(why)}", soft_wrap=True)
    for edge in found.edges:
        if edge.error:
            out.print(f"edge {edge.slot} cannot use its settings: {shown(edge.error)}")
    for line in policy_troubles(found.raw.get("policy") or {}):
        out.print(shown(line), soft_wrap=True)
    _show_lists(found)
    _show_sessions(found)


def policy_troubles(policy: dict[str, Any]) -> Iterator[str]:
    """What `policy` of the status says that somebody has to look at."""
    if policy.get("stale"):
        yield (
            f"THE POLICY IS TOO OLD: read {_age(policy['age_s'])} ago, allowed are {_age(policy['max_age_s'])}; "
            "ocpp-gateway policy reload"
        )
    for rule, counted in (policy.get("rules") or {}).items():
        if counted["degraded"]:
            yield f"rule {rule} IS DEGRADED: no value in {counted['errors']} of {counted['evaluations']} evaluations"
        if counted["overflows"]:
            yield f"rule {rule}: {counted['overflows']} times more keys than it may have; they shared one counter"


def _show_lists(found: "Status") -> None:
    """Those that need somebody's attention: expired, about to, or never had."""
    from gateway.cli.refusals import stamp

    out = console()
    for one in found.revocation_lists:
        if one.state == "current":
            continue
        until = f", until {stamp(one.next_update)}" if one.next_update else ""
        why = f": {shown(one.failure)}" if one.failure else ""
        out.print(
            f"revocation list {shown(one.source)} of trust bundle {shown(one.trust)} ({one.policy}) "
            f"is {one.state.upper()}{until}{why}",
            soft_wrap=True,
        )


def _show_sessions(found: "Status") -> None:
    now = time.time()
    rows = [
        (
            one.charge_point_id,
            one.subprotocol,
            one.security_profile,
            one.peer,
            one.listener,
            one.csms,
            one.state,
            _age(now - one.opened_at) if one.opened_at else "",
        )
        for one in sorted(found.sessions, key=lambda one: one.charge_point_id)
    ]
    columns = ("charge point", "OCPP", "security profile", "from", "listener", "CSMS", "state", "age")
    print_table(f"Sessions ({len(rows)})", columns, rows)


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"
