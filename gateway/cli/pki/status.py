"""`pki status`: the embedded CA at a glance, and what will need attention."""

import datetime
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, json_option, print_json, print_table, shown, warn
from gateway.cli.pki.ca import ca_option, has_journal, journal_read, now, signer_asked
from gateway.cli.pki.counts import counts_of, held_in, print_counts
from gateway.cli.pki.known import registry_option, status_of_known
from gateway.cli.pki.ocsp_state import ocsp_of_running, ocsp_problems, print_ocsp
from gateway.cli.pki.requests_status import is_of_another_ca, status_of_requests

if TYPE_CHECKING:
    from pki.chained_file import Position
    from pki.inventory import Inventory
    from pki.issuer import Issuer
    from pki.signer.client import SignerClient

__all__ = ["status"]

_WARN_ISSUER_DAYS = 180


@click.command()
@registry_option
@ca_option
@config_option
@json_option
def status(of_registry: bool, ca_path: str, config_path: str | None, as_json: bool) -> int:
    """Show the CA at a glance, and what ends soon.

    Works while the gateway runs. Exit code 1 if something needs attention.
    """
    if of_registry:
        return status_of_known(config_path, as_json=as_json)
    if is_of_another_ca(ca_path):
        return status_of_requests(ca_path, as_json=as_json)
    moment = now()
    with signer_asked(ca_path, as_json=as_json) as signer:
        facts = _facts(signer, ca_path, moment, as_json=as_json)
    facts["ocsp"] = ocsp_of_running(ca_path, config_path)
    facts["attention"] += ocsp_problems(facts["ocsp"] or ())
    attention = list(facts["attention"])
    if as_json:
        print_json(facts)
        return NOT_OK if attention else 0
    rows = [
        (each["name"], ", ".join(each["profiles"]) or "retired", each["not_after"][:10]) for each in facts["issuers"]
    ]
    print_table("Issuing CAs", ("name", "issues", "ends"), rows)
    print_counts(facts)
    if facts["ocsp"]:
        print_ocsp(facts["ocsp"])
    warn(shown(each) for each in attention)
    return NOT_OK if attention else 0


def _facts(signer: "SignerClient", ca_path: str, moment: datetime.datetime, *, as_json: bool) -> dict[str, Any]:
    issuers = signer.issuers()
    remembered, signed = signer.remembered()
    if not has_journal(ca_path):
        from pki.inventory import Inventory

        if remembered.sequence:
            text = f"{shown(ca_path)} has no journal, and the signer remembers {remembered.sequence} records of it"
            fail(f"{text}: put the newest copy back. Nothing will start without it.", NOT_OK, as_json=as_json)
        return _in_numbers(issuers, Inventory(), remembered, moment) | {"signed": signed}
    with journal_read(ca_path, as_json=as_json) as journal:
        facts = _in_numbers(issuers, journal.inventory, journal.head, moment) | {"signed": signed}
        if journal.digest_at(remembered.sequence) != remembered.digest:
            facts["attention"].append(
                "the journal is an old copy, or another one than the signer knows: nothing will start"
            )
        noted = journal.inventory.noted
        if signer.digest_at(noted.sequence) != noted.digest:
            facts["attention"].append("the signer's list is an old copy: nothing will start")
    return facts


def _in_numbers(
    issuers: "list[Issuer]", inventory: "Inventory", head: "Position", moment: datetime.datetime
) -> dict[str, Any]:
    shown_issuers = [
        {
            "name": issuer.name,
            "profiles": [profile.name for profile in issuer.profiles],
            "organizations": list(issuer.organizations),
            "not_after": issuer.latest_end().isoformat(),
        }
        for issuer in issuers
    ]
    soon = moment + datetime.timedelta(days=_WARN_ISSUER_DAYS)
    attention = [
        f"issuing CA {issuer.name} ends on {issuer.latest_end():%Y-%m-%d}: plan its successor"
        for issuer in issuers
        if issuer.profiles and issuer.latest_end() <= soon
    ]
    attention += [warning for issuer in issuers for profile in issuer.profiles for warning in profile.warnings()]
    held, waiting = held_in(inventory)
    attention += waiting
    return {
        "issuers": shown_issuers,
        **counts_of(inventory, moment),
        "held": held,
        "journal": {"records": head.sequence, "head": head.digest.hex()},
        "attention": attention,
    }
