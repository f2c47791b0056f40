"""`audit subject` and `audit shred`: what is there of a driver, and its end. The gateway does it, on record."""

import sys
from typing import Any

import click

from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE, USAGE
from gateway.cli.output import fail, json_option, print_json, shown

__all__ = ["asked", "shred", "subject"]

_TIMEOUT_S = 3_600.0
"""A large log takes a while to read."""
_reason = click.option("--reason", required=True, help="Why; it is on record.")


def asked(what: str, question: dict[str, Any], config_path: str | None, *, as_json: bool) -> dict[str, Any]:
    """What the running gateway answers. Ends the command if it refuses, or none runs."""
    from gateway.cli.gateway_client import GatewayUnreachable, ask_about_audit

    config = read_config(config_path, as_json=as_json)
    try:
        answer = ask_about_audit(config, what, question, _TIMEOUT_S)
    except GatewayUnreachable as error:
        fail(f"{error}. It has to run, as this is recorded first.", UNREACHABLE, as_json=as_json)
    if answer.get("refused"):
        fail(f"Not done: {answer['refused']}.", NOT_OK, as_json=as_json)
    return answer


def _read_token(token: str, *, as_json: bool) -> str:
    """Standard input keeps it out of the shell's history and the list of processes."""
    if token != "-":  # noqa: S105  standard input
        return token
    line = sys.stdin.readline().strip()
    if not line:
        fail("Standard input has no token.", USAGE, as_json=as_json)
    return line


@click.command()
@click.argument("token")
@_reason
@config_option
@json_option
def subject(token: str, reason: str, config_path: str | None, as_json: bool) -> int:
    """Show how a driver's TOKEN stands in the log.

    TOKEN is an idTag or eMAID; shown is how much there is of it.

    TOKEN - reads it from standard input. `audit search --text PSEUDONYM` finds the records. That somebody asked is on record.
    """
    question = {"token": _read_token(token, as_json=as_json), "reason": reason}
    answer = asked("subject", question, config_path, as_json=as_json)
    if as_json:
        print_json(answer)
        return 0
    for each in answer["subjects"]:
        click.echo(f"pseudonym: {shown(each)}")
    click.echo(f"{answer['records']} records, {answer['texts']} texts that may be destroyed{_held(answer)}")
    _tell_unseen(answer)
    return 0


@click.command()
@click.option("--token", default="", help="Texts with this driver's token; - reads it from standard input.")
@click.option("--identity", default="", help="Texts of this charge point.")
@click.option("--since", default="", metavar="DAY", help="Texts from this day on, YYYY-MM-DD in UTC.")
@click.option("--until", default="", metavar="DAY", help="Texts up to this day, itself included.")
@click.option("--yes", is_flag=True, help="Do it; without this it is only said what would be destroyed.")
@_reason
@config_option
@json_option
def shred(
    token: str,
    identity: str,
    since: str,
    until: str,
    yes: bool,
    reason: str,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Destroy texts of messages for good.

    Their keys go, and with them the texts in every copy of the log.

    All conditions that are given hold. Records, proofs and pseudonyms stay; `audit verify` goes on saying OK. Days under a
    hold are left out and named. Exit code 1 if there are texts that could not be looked into for the token.
    """
    if not (token or identity or since or until):
        fail("Name what: --token, --identity, --since or --until.", USAGE, as_json=as_json)
    question = {
        "token": _read_token(token, as_json=as_json) if token else "",
        "charge_point_id": identity,
        "since": since,
        "until": until,
        "reason": reason,
    }
    answer = asked("shred", {**question, "dry_run": not yes}, config_path, as_json=as_json)
    if as_json:
        print_json(answer)
    elif not yes:
        click.echo(f"--yes would destroy {answer['texts']} texts of {len(answer['days'])} days{_held(answer)}")
    else:
        click.echo(f"{answer['destroyed']} texts of {len(answer['days'])} days are destroyed{_held(answer)}")
    if not as_json:
        _tell_unseen(answer)
    return NOT_OK if answer["unreadable"] or answer["years_without_key"] else 0


def _held(answer: dict[str, Any]) -> str:
    """Days that are left out."""
    days = answer["held"]
    if not days:
        return "."
    names = sorted({name for each in days.values() for name in each})
    return f"; {len(days)} days are held by {', '.join(map(shown, names))}."


def _tell_unseen(answer: dict[str, Any]) -> None:
    """Texts in which the driver may stand without being found."""
    if places := answer["unreadable"]:
        click.echo(
            f"Not looked into, as their texts cannot be read: {', '.join(map(shown, places))}. What other copies of the log have"
            " of them goes with their days: --since and --until."
        )
    for year in answer["years_without_key"]:
        click.echo(
            f"Not looked into: texts of {shown(year)}, as the key of its pseudonyms is gone. They go with their days: --until."
        )
