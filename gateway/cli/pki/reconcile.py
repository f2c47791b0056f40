"""`pki reconcile`: the journal against what the signer says it has signed."""

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.pki.ca import ca_option, issuance_opened, now

__all__ = ["reconcile"]


@click.command()
@ca_option
@json_option
def reconcile(ca_path: str, as_json: bool) -> int:
    """Compare the journal with what the signer has signed.

    Everything that the issuing keys ever signed must be in the journal, and nothing else. Finishes what a crash
    has left half-done first. Exit code 1 if the two do not agree.
    """
    from pki.reconcile import reconcile as compare

    with issuance_opened(ca_path, as_json=as_json) as ca:
        finished = ca.resume(now())
        found = list(compare(ca.inventory, ca.signed_parts, ca.signed_entries()))
        count = ca.inventory.issued_count
    if as_json:
        rows = [{"code": each.code, "serial": f"{each.serial:x}", "text": each.text} for each in found]
        print_json(
            {"ok": not found, "certificates": count, "finished": [each.id for each in finished], "discrepancies": rows}
        )
    elif found:
        print_table(
            f"Discrepancies ({len(found)})",
            ("code", "serial number", "what"),
            [(each.code, f"{each.serial:x}", each.text) for each in found],
        )
    else:
        click.echo(f"All {count} certificates are in the journal and on the signer's list, and nothing else is.")
    return NOT_OK if found else 0
