"""`pki show`: one certificate or request."""

import datetime
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, json_option, print_json, shown
from gateway.cli.pki.ca import ca_option, journal_read, now, public_certificate, public_request

if TYPE_CHECKING:
    from pki.journal import Journal

__all__ = ["show"]


@click.command()
@click.argument("which", metavar="WHICH")
@ca_option
@json_option
def show(which: str, ca_path: str, as_json: bool) -> int:
    """Show one certificate or request.

    WHICH is a serial number, a common name, or the id of a request.
    """
    with journal_read(ca_path, as_json=as_json) as journal:
        found = _found(journal, which, now())
    if not found:
        fail(f"Nothing is known of {shown(which)}.", NOT_OK, as_json=as_json)
    if as_json:
        print_json(found)
        return 0
    for number, entry in enumerate(found):
        if number:
            click.echo()
        for name, value in entry.items():
            if value not in (None, "", []):
                click.echo(f"{name.replace('_', ' ')}: {_words(value)}")
    return 0


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(each)}" for name, each in value.items())
    text = str(value)
    return "\n" + text.rstrip("\n") if text.startswith("-----BEGIN") else shown(text)


def _found(journal: "Journal", which: str, moment: datetime.datetime) -> list[dict[str, Any]]:
    from cryptography.hazmat.primitives.serialization import Encoding

    inventory = journal.inventory
    found = []
    for request in inventory.requests.values():
        serial = "" if request.serial is None else f"{request.serial:x}"
        if which not in (request.id, request.subject.common_name) and which.replace(":", "").lower() != serial:
            continue
        entry = None if request.serial is None else inventory.certificates[request.serial]
        shows = public_request(request)
        if entry is not None and entry.intended:
            shows |= public_certificate(entry, moment)
        if entry is not None and entry.issued:
            shows["pem"] = journal.certificate(entry.serial).public_bytes(Encoding.PEM).decode()
        found.append(shows)
    return found
