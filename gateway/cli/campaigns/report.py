"""`campaign report`: every single charge point explained, who is stuck, and the sheet for whoever drives to the lost."""

import time
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.campaigns.fields import name_argument
from gateway.cli.campaigns.status import found_status, print_status
from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import console, fail, json_option, print_json, print_table, shown

if TYPE_CHECKING:
    from gateway.store.registry import Registry

__all__ = ["report"]


@click.command()
@name_argument
@click.option("--id", "only", metavar="ID", help="Only this one, with everything that has happened.")
@click.option("--stuck", "only_stuck", is_flag=True, help="Only those that do not get on.")
@click.option("--site-visits", "only_visits", is_flag=True, help="Only the sheet of the lost ones.")
@config_option
@json_option
def report(
    name: str, only: str | None, only_stuck: bool, only_visits: bool, config_path: str | None, as_json: bool
) -> int:
    """Explain what has become of each charge point of a campaign."""
    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        found = _found(registry, name, only)
    if only and not found["charge_points"]:
        fail(f"Charge point '{shown(only)}' is not in this campaign.", NOT_OK, as_json=as_json)
    if as_json:
        print_json(found)
        return 0
    if not (only_stuck or only_visits or only):
        print_status(found["status"])
    if not (only_stuck or only_visits):
        _print_members(found, with_history=only is not None)
    if not (only_visits or only):
        rows = [(each["charge_point_id"], each["why"]) for each in found["stuck"]]
        print_table(f"{len(rows)} stuck", ("charge point", "what it waits for"), rows)
    if not (only_stuck or only):
        _print_visits(found["site_visits"])
    return 0


def _found(registry: "Registry", name: str, only: str | None) -> dict[str, Any]:
    import msgspec

    from gateway.provisioning.campaign_report import explained, site_visits, stuck

    campaign, _ = registry.campaigns.get(name)
    members = [each for each in registry.campaigns.members(campaign.number) if only in {None, each.charge_point_id}]
    history: dict[str, list[dict[str, Any]]] = {}
    for step in registry.campaigns.steps(campaign.number, only):
        entry = {"at": step.at, "state": step.state.value, "detail": step.detail}
        history.setdefault(step.charge_point_id, []).append(entry)
    lost = registry.load(each.charge_point_id for each in members if each.state.value == "lost")
    waiting = stuck(campaign, members, time.time())
    return {
        "status": found_status(registry, name),
        "charge_points": [
            {
                "charge_point_id": each.charge_point_id,
                "stratum": str(campaign.strata[each.stratum].stratum),
                "state": each.state.value,
                "since": each.changed_at,
                "wave": each.wave + 1,
                "told_at": each.switched_at,
                "proven_at": each.verified_at,
                "explanation": explained(each),
                "history": history.get(each.charge_point_id, []),
            }
            for each in members
        ],
        "stuck": [{"charge_point_id": identity, "why": why} for identity, why in waiting.items()],
        "site_visits": msgspec.to_builtins(site_visits(campaign, members, lost)),
    }


def _print_members(found: dict[str, Any], *, with_history: bool) -> None:
    from gateway.cli.refusals import stamp

    rows = [(each["charge_point_id"], each["state"], each["explanation"]) for each in found["charge_points"]]
    print_table("Charge points", ("charge point", "state", "what has become of it"), rows)
    if with_history:
        for each in found["charge_points"]:
            steps = [(stamp(step["at"]), step["state"], step["detail"]) for step in each["history"]]
            print_table("History", ("at", "state", "why"), steps)


def _print_visits(visits: list[dict[str, Any]]) -> None:
    from gateway.cli.refusals import stamp

    out = console()
    out.print(f"{len(visits)} to be visited")
    for each in visits:
        kind = " / ".join(each[name] or "unknown" for name in ("vendor", "model", "firmware"))
        lines = [
            (
                each["charge_point_id"],
                f"group {each['group'] or 'unknown'}, serial number {each['serial_number'] or 'unknown'}",
            ),
            ("  kind", kind),
            ("  last seen", f"{stamp(each['last_seen_at'])} from {each['last_address'] or 'an unknown address'}"),
            ("  told", f"{stamp(each['told_at'])}: {each['what']}"),
            ("  why", each["why"]),
            ("  notes", each["notes"]),
        ]
        if each["came_back"]:
            lines.append(("  but", "it was connected after it was given up: look at `status` before you drive"))
        for label, value in lines:
            if value:
                out.print(f"{shown(label):<12}  {shown(value)}", soft_wrap=True)
