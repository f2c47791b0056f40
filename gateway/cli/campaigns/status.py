"""`campaign status`: all campaigns, or how far one is, by kind of charge point."""

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import console, json_option, print_json, print_table

if TYPE_CHECKING:
    from gateway.provisioning.campaign import Campaign
    from gateway.store.registry import Registry

__all__ = ["found_status", "print_status", "status"]


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@config_option
@json_option
def status(name: str | None, config_path: str | None, as_json: bool) -> int:
    """Show all campaigns, or how far one of them is.

    Exit code 1 if a stratum of it has halted.
    """
    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        if name is None:
            found: Any = [_line(each) for each in registry.campaigns.all()]
        else:
            found = found_status(registry, name)
    if as_json:
        print_json(found)
    elif name is None:
        rows = [(each["name"], each["kind"], each["state"], each["planned_by"], each["halted"]) for each in found]
        print_table("Campaigns", ("name", "kind", "state", "planned by", "halted strata"), rows)
    else:
        print_status(found)
    return NOT_OK if name is not None and any(each["halted"] for each in found["strata"]) else 0


def _line(campaign: "Campaign") -> dict[str, Any]:
    return {
        "name": campaign.name,
        "kind": campaign.kind,
        "state": campaign.state.value,
        "planned_by": campaign.planned_by,
        "approved_by": campaign.approved_by,
        "created_at": campaign.created_at,
        "started_at": campaign.started_at,
        "halted": sum(1 for each in campaign.strata if each.halted),
    }


def found_status(registry: "Registry", name: str) -> dict[str, Any]:
    """How far a campaign is, as JSON. Raises StoreError if there is none."""
    campaign, order = registry.campaigns.get(name)
    counts = registry.campaigns.counts(campaign.number)
    strata = []
    for index, progress in enumerate(campaign.strata):
        of_it = {state.value: n for (stratum, state), n in counts.items() if stratum == index}
        strata.append(
            {
                "number": index,
                "vendor": progress.stratum.vendor,
                "model": progress.stratum.model,
                "firmware": progress.stratum.firmware,
                "wave": progress.wave + 1,
                "halted": progress.halted,
                "charge_points": of_it,
            }
        )
    total: dict[str, int] = {}
    for (_, state), n in counts.items():
        total[state.value] = total.get(state.value, 0) + n
    ordered = order.what if order is not None else ""
    return _line(campaign) | {"ordered": ordered, "charge_points": total, "strata": strata}


def print_status(found: dict[str, Any]) -> None:
    """For people."""
    waits = f"; ordered and not done yet: {found['ordered']}" if found["ordered"] else ""
    rows = [
        (
            each["number"],
            " / ".join(each[name] or "unknown" for name in ("vendor", "model", "firmware")),
            each["wave"],
            "  ".join(f"{state} {n}" for state, n in sorted(each["charge_points"].items())),
            each["halted"],
        )
        for each in found["strata"]
    ]
    print_table(
        f"{found['name']} ({found['kind']}): {found['state']}{waits}",
        ("no", "vendor / model / firmware", "wave", "charge points", "halted because"),
        rows,
    )
    if any(each["halted"] for each in found["strata"]):
        console().print(f"Look at them (campaign report {found['name']}), then: campaign resume {found['name']}")
