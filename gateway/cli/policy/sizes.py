"""`policy show --sizes`: how large a message of each action may be."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.exit_codes import USAGE
from gateway.cli.output import fail, print_json, print_table, shown

if TYPE_CHECKING:
    from gateway.policy.site import SitePolicy

__all__ = ["show_sizes"]


def show_sizes(site: "SitePolicy", group: str, *, as_json: bool) -> int:
    """Print the limits for a group; the empty one is everybody that the site says nothing of."""
    from gateway.config.suggest import did_you_mean

    if group and group not in site.groups:
        similar = did_you_mean(group, site.groups)
        hint = f" Did you mean {similar!r}?" if similar else ""
        fail(
            f"The site says nothing of a group {shown(group)!r}: it is treated as everyone.{hint}",
            USAGE,
            as_json=as_json,
        )
    rows = list(_rows(site, group))
    mode = site.gates(group).sizes
    if as_json:
        print_json({"group": group, "mode": mode, "sizes": rows})
        return 0
    click.echo(f"gate sizes: {mode}; - is no limit of its own, max_message_bytes holds for all")
    table = [
        (row["version"], row["action"], row["kind"], row["max_bytes"] or "-", row["max_items"] or "-", _set_by(row))
        for row in rows
    ]
    print_table(f"Sizes ({len(rows)})", ("version", "action", "kind", "bytes", "list entries", "set by"), table)
    return 0


def _set_by(row: dict[str, Any]) -> str:
    return "site" if row["set_by_site"] else ""


def _rows(site: "SitePolicy", group: str) -> Iterator[dict[str, Any]]:
    from gateway.config.ocpp_schemas import load_schemas
    from gateway.ocpp.size_limits import limit_by_schema
    from gateway.ocpp.vocabulary import OCPPVersion
    from gateway.policy.site_sizes import default_limit

    for version in OCPPVersion:
        for (action, kind), schema in sorted(load_schemas(version).items()):
            by_schema = limit_by_schema(schema)
            limit = site.size_limit(group, action, by_schema, answer=kind == "result")
            yield {
                "version": version.value,
                "action": action,
                "kind": kind,
                "max_bytes": limit.max_bytes,
                "max_items": limit.max_items,
                "set_by_site": limit != default_limit(action, by_schema),
            }
