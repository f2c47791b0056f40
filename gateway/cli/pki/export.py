"""`pki export`: everything that the CA has issued, to take it elsewhere."""

import click

from gateway.cli.output import json_option, print_json
from gateway.cli.pki.ca import ca_option, journal_read, now, public_certificate

__all__ = ["export"]


@click.command()
@ca_option
@json_option
def export(ca_path: str, as_json: bool) -> int:
    """Print every certificate with its state and, in PEM, itself.

    One JSON document a line; with --json one list of them. Works while the gateway runs.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    moment = now()
    with journal_read(ca_path, as_json=as_json) as journal:
        entries = (
            public_certificate(entry, moment)
            | {"pem": journal.certificate(entry.serial).public_bytes(Encoding.PEM).decode()}
            for entry in journal.inventory.issued()
        )
        if as_json:
            print_json(list(entries))
            return 0
        for entry in entries:
            _print_line(entry)
    return 0


def _print_line(entry: dict[str, object]) -> None:
    import json

    click.echo(json.dumps(entry))
