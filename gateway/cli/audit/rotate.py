"""`audit rotate`: the log goes on in a new shard, with new keys if that is asked for."""

import click

from gateway.cli.audit.privacy import asked
from gateway.cli.configuration import config_option
from gateway.cli.output import json_option, print_json, shown

__all__ = ["rotate"]


@click.command()
@click.option("--keys", is_flag=True, help="Make new signing keys; the old ones sign nothing after that.")
@click.option("--reason", required=True, help="Why; it is on record.")
@config_option
@json_option
def rotate(keys: bool, reason: str, config_path: str | None, as_json: bool) -> int:
    """Go on in a new shard.

    The last record of the old one names the new one and its keys; the first record of the new one has the last
    checkpoint of the old one. With each month that happens by itself, unless the configuration says otherwise.
    """
    answer = asked("rotate", {"keys": keys, "reason": reason}, config_path, as_json=as_json)
    if as_json:
        print_json(answer)
    else:
        click.echo(f"The log goes on in shard {shown(answer['shard'])}.")
        if keys:
            click.echo(f"Its new keys: {shown(answer['directory'])}/keys. Give them to those who verify the log.")
    return 0
