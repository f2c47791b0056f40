"""`pki export`: everything that the CA has issued, to take it elsewhere."""

import click

from gateway.cli.configuration import config_option
from gateway.cli.output import json_option, print_json
from gateway.cli.pki.ca import ca_option, journal_read, now, public_certificate
from gateway.cli.pki.known import export_known, registry_option

__all__ = ["export"]


@click.command()
@registry_option
@click.option("--csv", "as_csv", is_flag=True, help="With --registry: CSV with a header.")
@ca_option
@config_option
@json_option
def export(of_registry: bool, as_csv: bool, ca_path: str, config_path: str | None, as_json: bool) -> int:
    """Print every certificate with its state and, in PEM, itself.

    One JSON document a line; with --json one list of them. Works while the gateway runs. The registry has no PEM.
    """
    if as_csv and (as_json or not of_registry):
        raise click.UsageError("--csv goes with --registry, and not with --json.")
    if of_registry:
        return export_known(config_path, as_csv=as_csv, as_json=as_json)
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
