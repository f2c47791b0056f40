"""`audit prune`: the records of shards that are old enough are deleted; their last checkpoints stay."""

from typing import Any

import click

from gateway.cli.audit.privacy import asked
from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import json_option, print_json, print_table, shown

__all__ = ["prune"]


@click.command()
@click.option("--yes", is_flag=True, help="Do it; without this it is only said what would be deleted.")
@click.option(
    "--lose-what-sinks-have-not-read",
    "lose",
    is_flag=True,
    help="Delete also what a sink has not delivered yet: its receiver never gets these records.",
)
@click.option("--reason", required=True, help="Why; it is on record.")
@config_option
@json_option
def prune(yes: bool, lose: bool, reason: str, config_path: str | None, as_json: bool) -> int:
    """Delete the records of old shards for good.

    Those that were closed keep_days ago or earlier. Last checkpoint, first and last record of each stay, so that the rest
    of the log is proven as before. Shards with days under a hold stay, and those that a sink has not delivered.

    Exit code 1 if something that may be deleted could not be.
    """
    question = {"dry_run": not yes, "lose_what_sinks_have_not_read": lose, "reason": reason}
    answer = asked("prune", question, config_path, as_json=as_json)
    if as_json:
        print_json(answer)
    elif not answer["shards"]:
        click.echo(f"No shard was closed {answer['keep_days']} days ago or earlier.")
    else:
        rows = [
            [each["shard"], str(each["records"]), each["first_day"], each["last_day"], shown(_fate(each, yes=yes))]
            for each in answer["shards"]
        ]
        print_table("Shards", ["shard", "records", "from", "to", ""], rows)
    return NOT_OK if any(each["failed"] for each in answer["shards"]) else 0


def _fate(row: dict[str, Any], *, yes: bool) -> str:
    if row["failed"]:
        return f"not deleted: {row['failed']}"
    if row["damaged"]:
        return f"kept: {row['damaged']}"
    if row["held"]:
        return f"kept: held by {', '.join(row['held'])}"
    if not row["prune"]:
        return f"kept: not delivered by {', '.join(row['unread_by'])}"
    return "deleted" if yes else "--yes would delete it"
