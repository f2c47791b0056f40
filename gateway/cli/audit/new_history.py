"""`audit new-history`: give up a log that cannot be continued, by name, and say so in the next one."""

import time
from pathlib import Path

import click

from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, json_option, print_json, shown

__all__ = ["new_history"]


@click.command("new-history")
@click.argument("shard")
@click.option("--reason", required=True, help="Why; it is the first record of the new history.")
@config_option
@json_option
def new_history(shard: str, reason: str, config_path: str | None, as_json: bool) -> int:
    """Give up SHARD, the newest one; begin another.

    For a log that the gateway refuses to continue. Nothing of the old shard is changed or removed. The gateway must
    not be running.
    """
    from gateway.control.trail.root import LogRefused, begin_new_history
    from gateway.control.trail.shard_writer import DiskFull

    audit = read_config(config_path, as_json=as_json).audit
    try:
        begun = begin_new_history(
            Path(audit.directory), Path(audit.keys_directory), audit.origin, shard, reason, int(time.time())
        )
    except (LogRefused, DiskFull) as error:
        fail(str(error), NOT_OK, as_json=as_json)
    if as_json:
        print_json({"given_up": shard, "shard": begun.name, "directory": str(begun.directory)})
    else:
        click.echo(f"Shard {shown(shard)} is given up; {begun.name} begins.")
    return 0
