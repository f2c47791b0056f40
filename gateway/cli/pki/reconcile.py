"""`pki reconcile`: the journal against what the signer says it has signed."""

from typing import TYPE_CHECKING

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, json_option, print_json, print_table, shown, warn
from gateway.cli.pki.ca import ca_option, journal_read, signer_asked
from gateway.cli.progress import progress

if TYPE_CHECKING:
    from pki.reconcile import Discrepancy

__all__ = ["reconcile"]


@click.command()
@ca_option
@json_option
def reconcile(ca_path: str, as_json: bool) -> int:
    """Compare the journal with what the signer has signed.

    Everything that the issuing keys ever signed must be in the journal, and nothing else. Reads both from their first record on.
    Works while the gateway runs. Exit code 1 if the two do not agree; what is merely not finished yet is shown and does not count.
    """
    found, count, has_wrong_snapshot = _compared(ca_path, as_json=as_json)
    is_wrong = has_wrong_snapshot or any(not each.repairable for each in found)
    if has_wrong_snapshot:
        what = f"{shown(ca_path)}/journal.snapshot did not say what the journal says, and is made anew"
        warn([f"{what}: find out who has written it"])
    if as_json:
        rows = [
            {"code": each.code, "serial": f"{each.serial:x}", "text": each.text, "unfinished": each.repairable}
            for each in found
        ]
        print_json(
            {"ok": not is_wrong, "certificates": count, "discrepancies": rows, "snapshot_was_wrong": has_wrong_snapshot}
        )
        return NOT_OK if is_wrong else 0
    if found:
        rows_shown = [(each.code, f"{each.serial:x}", each.text) for each in found]
        print_table(f"Discrepancies ({len(found)})", ("code", "serial number", "what"), rows_shown)
    if not is_wrong:
        click.echo(f"All {count} certificates are in the journal and on the signer's list, and nothing else is.")
    return NOT_OK if is_wrong else 0


def _compared(ca_path: str, *, as_json: bool) -> "tuple[list[Discrepancy], int, bool]":
    from pki.reconcile import reconcile as compare

    with (
        progress("Reading and comparing", None, as_json=as_json),
        signer_asked(ca_path, as_json=as_json, whole=True) as signer,
    ):
        # The list first: whatever is on it has been journalled before.
        entries = list(signer.signed())
        told = list(signer.revoked())
        remembered, _ = signer.remembered()
        with journal_read(ca_path, as_json=as_json, whole=True) as journal:
            if journal.digest_at(remembered.sequence) != remembered.digest:
                text = f"The journal is not the one whose record {remembered.sequence} the signer remembers: an old copy was put back"
                fail(f"{shown(text)}.", NOT_OK, as_json=as_json)
            noted = journal.inventory.noted
            is_old = signer.digest_at(noted.sequence) != noted.digest
            found = list(compare(journal.inventory, journal.signed_parts, entries, told))
            count, has_wrong_snapshot = journal.inventory.issued_count, journal.has_wrong_snapshot
        if any(each.code == "not-on-list" for each in found):
            # Issued since the list was read?
            later = {int(entry.serial, 16) for entry in signer.signed()}
            found = [each for each in found if each.code != "not-on-list" or each.serial not in later]
    if is_old and not found:
        fail("The signer's list is an old copy: it lacks revocation lists that were signed.", NOT_OK, as_json=as_json)
    return found, count, has_wrong_snapshot
