"""`charge-point remove`."""

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.files import is_interactive
from gateway.cli.lookup import require_charge_point
from gateway.cli.output import fail, json_option, print_json, shown

__all__ = ["remove"]


@click.command()
@click.argument("charge_point_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def remove(charge_point_id: str, yes: bool, config_path: str | None, as_json: bool) -> int:
    """Remove a charge point for good.

    Its password, floor and key bindings go with it; revocations and refusals stay. To lock it out and keep what is
    known of it: charge-point disable.
    """
    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        record = require_charge_point(registry, charge_point_id, as_json=as_json)
        name = shown(record.charge_point_id)
        if not yes:
            if not is_interactive():
                fail(f"Nobody can be asked here whether to remove {name}; say --yes.", USAGE, as_json=as_json)
            if not click.confirm(f"Remove {name} for good?", err=True):
                fail("Nothing was removed.", NOT_OK, as_json=as_json)
        registry.remove(record.charge_point_id)
    if as_json:
        print_json({"removed": record.charge_point_id})
    else:
        click.echo(f"Removed {name}. If it is connected, a running gateway disconnects it within a second.")
    return 0
