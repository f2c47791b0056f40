"""`pki approve` and `pki deny`: requests that are held."""

import click

from gateway.cli.output import json_option, print_json, shown
from gateway.cli.pki.ca import ca_option, issuance_opened, now, operator_name, public_request

__all__ = ["approve", "deny"]


@click.command()
@click.argument("request")
@click.option("--note", metavar="TEXT", default="", help="Why; kept in the journal.")
@ca_option
@json_option
def approve(request: str, note: str, ca_path: str, as_json: bool) -> int:
    """Approve a request that is held, and issue its certificate.

    Where another CA issues, the gateway asks it then.
    """
    with issuance_opened(ca_path, as_json=as_json) as ca:
        entry = ca.decide(request, approved=True, by=operator_name(), note=note, now=now())
        if ca.issues_itself:
            ca.issue(request, now())
    if as_json:
        print_json(public_request(entry))
    elif ca.issues_itself:
        click.echo(f"Issued {entry.serial:x} to {shown(entry.subject.common_name)}.")
    else:
        click.echo(f"Approved {shown(entry.subject.common_name)}: the gateway asks {shown(entry.issuer)} for it.")
    return 0


@click.command()
@click.argument("request")
@click.option("--note", metavar="TEXT", required=True, help="Why; kept in the journal.")
@ca_option
@json_option
def deny(request: str, note: str, ca_path: str, as_json: bool) -> int:
    """Deny a request that is held.

    The same request will not be answered any more.
    """
    if not note.strip():
        raise click.UsageError("--note cannot be empty.")
    with issuance_opened(ca_path, as_json=as_json) as ca:
        entry = ca.decide(request, approved=False, by=operator_name(), note=note, now=now())
    if as_json:
        print_json(public_request(entry))
    else:
        click.echo(f"Denied the request of {shown(entry.subject.common_name)}.")
    return 0
