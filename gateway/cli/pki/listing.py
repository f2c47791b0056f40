"""`pki list`: certificates and requests."""

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option
from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.pki.ca import ca_option, certificate_state, journal_read, now, public_certificate, public_request
from gateway.cli.pki.known import DAYS, list_known, registry_option

if TYPE_CHECKING:
    from pki.inventory import CertificateEntry, Inventory

__all__ = ["list_certificates"]

_STATES = ("valid", "expiring", "superseded", "expired", "revoked", "intended")
_OF_JOURNAL = ("valid", "expired", "revoked", "intended")


@click.command("list")
@click.argument("text", required=False, default="")
@click.option("--state", type=click.Choice(_STATES), help="Only certificates in this state.")
@click.option("--expiring", metavar="DAYS", type=DAYS, help="Only valid ones that end within so many days: 30 or 30d.")
@click.option("--requests", is_flag=True, help="Requests that wait for a decision, instead of certificates.")
@registry_option
@ca_option
@config_option
@json_option
def list_certificates(
    text: str,
    state: Any,
    expiring: int | None,
    requests: bool,
    of_registry: bool,
    ca_path: str,
    config_path: str | None,
    as_json: bool,
) -> int:
    """List certificates, those that end first at the top.

    With TEXT those whose names or serial number contain it, in any case. Works while the gateway runs.
    """
    if of_registry and (requests or state == "intended"):
        raise click.UsageError("The registry has certificates only: no requests, and none that is only intended.")
    if of_registry:
        return list_known(config_path, text, state, expiring, as_json=as_json)
    if state is not None and state not in _OF_JOURNAL:
        raise click.UsageError(f"--state {state} needs --registry; a journal knows {', '.join(_OF_JOURNAL)}.")
    with journal_read(ca_path, as_json=as_json) as journal:
        if requests:
            return _list_requests(journal.inventory, text, as_json=as_json)
        found = sorted(
            _matching(journal.inventory, text, state, expiring, now()),
            key=lambda entry: (entry.not_after or datetime.datetime.max.replace(tzinfo=datetime.UTC), entry.serial),
        )
    moment = now()
    if as_json:
        print_json([public_certificate(entry, moment) for entry in found])
        return 0
    rows = [
        (
            entry.request.subject.common_name,
            entry.request.profile,
            certificate_state(entry, moment),
            "" if entry.not_after is None else f"{entry.not_after:%Y-%m-%d}",
            f"{entry.serial:x}",
        )
        for entry in found
    ]
    print_table(f"Certificates ({len(rows)})", ("common name", "profile", "state", "ends", "serial number"), rows)
    return 0


def _matching(
    inventory: "Inventory", text: str, state: str | None, expiring: int | None, moment: datetime.datetime
) -> "Iterator[CertificateEntry]":
    wanted = text.casefold()
    for entry in inventory.certificates.values():
        request = entry.request
        names = (request.subject.common_name, *request.names, f"{entry.serial:x}")
        if not entry.intended or not any(wanted in name.casefold() for name in names):
            continue
        is_state = certificate_state(entry, moment)
        if state is not None and is_state != state:
            continue
        if expiring is not None:
            soon = entry.not_after is not None and entry.not_after <= moment + datetime.timedelta(days=expiring)
            if is_state != "valid" or not soon:
                continue
        yield entry


def _list_requests(inventory: "Inventory", text: str, *, as_json: bool) -> int:
    from pki.inventory import RequestState

    wanted = text.casefold()
    held = [
        request
        for request in inventory.requests.values()
        if request.state is RequestState.HELD and wanted in request.subject.common_name.casefold()
    ]
    if as_json:
        print_json([public_request(request) for request in held])
        return 0
    rows = [
        (
            request.id,
            request.subject.common_name,
            request.profile,
            request.rule,
            request.applicant,
            f"{request.at:%Y-%m-%d %H:%M}",
        )
        for request in held
    ]
    columns = ("request", "common name", "profile", "held because of", "applicant", "since")
    print_table(f"Requests that wait for a decision ({len(rows)})", columns, rows)
    return 0
