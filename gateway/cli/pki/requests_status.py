"""`pki status` where another CA signs: requests, certificates, and what that CA does not know yet."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import print_json, print_table, shown, warn
from gateway.cli.pki.ca import journal_read, now, public_certificate
from gateway.cli.pki.counts import counts_of, held_in, print_counts

if TYPE_CHECKING:
    from pki.journal import Journal

__all__ = ["is_of_another_ca", "status_of_requests"]

_SHOWN: Final = 20


def is_of_another_ca(ca_path: str) -> bool:
    """True if the directory is one of a registration authority."""
    from pki.registration_authority import MARK

    return (Path(ca_path) / MARK).exists()


def status_of_requests(ca_path: str, *, as_json: bool) -> int:
    """At a glance, from the journal alone. Exit code 1 if something needs attention."""
    with journal_read(ca_path, as_json=as_json) as journal:
        facts = _facts(journal, _backend(ca_path), now())
    if as_json:
        print_json(facts)
        return NOT_OK if facts["attention"] else 0
    click.echo(f"Certificates are issued by the CA behind {shown(facts['backend'])}.")
    print_counts(facts)
    rows = [
        (each["serial"], each["common_name"], each["revoked"]["at"][:16].replace("T", " "), _words(each["told_to_ca"]))
        for each in facts["untold"][:_SHOWN]
    ]
    if rows:
        title = f"Revoked here, and the CA does not know yet ({len(facts['untold'])})"
        print_table(title, ("serial number", "common name", "revoked (UTC)", "the CA"), rows)
    warn(shown(each) for each in facts["attention"])
    return NOT_OK if facts["attention"] else 0


def _backend(ca_path: str) -> str:
    from pki.registration_authority import MARK

    return (Path(ca_path) / MARK).read_text("utf-8", "replace").strip()


def _words(told: dict[str, Any]) -> str:
    detail = told.get("detail", "")
    return shown(f"{told['state']}: {detail}" if detail else told["state"])


def _facts(journal: "Journal", backend: str, moment: datetime.datetime) -> dict[str, Any]:
    held, attention = held_in(journal.inventory)
    untold = [
        public_certificate(entry, moment)
        for entry in journal.inventory.certificates.values()
        if entry.is_untold_at(moment)
    ]
    by_hand = sum(each["told_to_ca"]["state"] == "by-hand" for each in untold)
    if by_hand:
        attention.append(
            f"{by_hand} revocations have to be made at the CA by hand; after each: ocpp-gateway pki told SERIAL"
        )
    if len(untold) > by_hand:
        attention.append(f"{len(untold) - by_hand} revocations wait for the CA: the gateway tells it while it runs")
    return {
        "backend": backend,
        **counts_of(journal.inventory, moment),
        "held": held,
        "untold": untold,
        "journal": {"records": journal.head.sequence, "head": journal.head.digest.hex()},
        "attention": attention,
    }
