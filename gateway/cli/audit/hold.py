"""`audit hold`: days whose texts nobody destroys."""

from typing import Any

import click

from gateway.cli.audit.privacy import asked
from gateway.cli.configuration import config_option
from gateway.cli.output import json_option, print_json, print_table

__all__ = ["hold"]

_reason = click.option("--reason", required=True, help="Why; it is on record.")


@click.group()
def hold() -> None:
    """Hold texts of days for a court or an incident."""


@hold.command("add")
@click.argument("name")
@click.option("--since", required=True, metavar="DAY", help="The first day, YYYY-MM-DD in UTC.")
@click.option("--until", default="", metavar="DAY", help="The last day; without it, all days to come.")
@_reason
@config_option
@json_option
def add(name: str, since: str, until: str, reason: str, config_path: str | None, as_json: bool) -> int:
    """Neither time nor `audit shred` destroys a text of these days, until the hold is lifted."""
    question = {"name": name, "since": since, "until": until, "reason": reason}
    return _tell(asked("hold", question, config_path, as_json=as_json), as_json=as_json)


@hold.command("lift")
@click.argument("name")
@_reason
@config_option
@json_option
def lift(name: str, reason: str, config_path: str | None, as_json: bool) -> int:
    """Hold these days no longer. What is old enough goes within an hour."""
    question = {"name": name, "lift": True, "reason": reason}
    return _tell(asked("hold", question, config_path, as_json=as_json), as_json=as_json)


@hold.command("list")
@config_option
@json_option
def list_(config_path: str | None, as_json: bool) -> int:
    """Show what is held."""
    return _tell(asked("hold", {}, config_path, as_json=as_json), as_json=as_json)


def _tell(answer: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(answer)
    elif not answer["holds"]:
        click.echo("Nothing is held.")
    else:
        rows = [[each[key] for key in ("name", "since", "until", "reason")] for each in answer["holds"]]
        print_table("Holds", ["name", "from", "to", "reason"], rows)
    return 0
