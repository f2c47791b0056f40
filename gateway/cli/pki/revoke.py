"""`pki revoke`: a certificate of the embedded CA, or of another one behind the gateway, for good."""

import click

from gateway.cli.exit_codes import UNREACHABLE
from gateway.cli.output import fail, json_option, print_json, shown, warn
from gateway.cli.pki.ca import REASONS, ca_option, issuance_opened, now, operator_name, parse_serial, public_certificate

__all__ = ["revoke"]

_NO_REVOCATION = "est"
"""The one way to another CA on which a revocation cannot be told (RFC 7030)."""


@click.command()
@click.argument("serial", metavar="SERIAL")
@click.option("--reason", type=click.Choice(REASONS, case_sensitive=False), required=True, help="As in RFC 5280.")
@click.option("--note", metavar="TEXT", default="", help="Why, in words; kept in the journal.")
@ca_option
@json_option
def revoke(serial: str, reason: str, note: str, ca_path: str, as_json: bool) -> int:
    """Revoke a certificate by its serial number (hex). There is no way back.

    Its key gets no certificate any more, under any name. Where another CA has issued it, a running gateway tells that one.
    """
    from pki.errors import SignerUnavailable
    from pki.records import RevocationReason

    number = parse_serial(serial)
    with issuance_opened(ca_path, as_json=as_json) as ca:
        try:
            entry = ca.revoke(number, RevocationReason(reason), by=operator_name(), note=note, now=now())
        except SignerUnavailable as error:
            text = f"{number:x} is revoked, but the signer could not be told to remember it: {shown(error)}"
            fail(f"{text}. It will be told at the next start.", UNREACHABLE, as_json=as_json)
    others = ca.inventory.others_valid(entry, now())
    if as_json:
        others_shown = [f"{each.serial:x}" for each in others]
        print_json({**public_certificate(entry, now()), "others_valid": others_shown})
        return 0
    name = shown(entry.request.subject.common_name)
    click.echo(f"Revoked {number:x} of {name}.")
    if entry.is_of_another_ca:
        click.echo(_at_the_ca(entry.request.issuer, f"{number:x}"))
    # Whoever had the key may have renewed with it.
    warn(f"{each.serial:x} of {name} is still valid, until {each.not_after}" for each in others)
    return 0


def _at_the_ca(issuer: str, serial: str) -> str:
    """What becomes of it at the CA that has issued it; a running gateway refuses it in any case."""
    here = "A running gateway refuses it within a second"
    if issuer == _NO_REVOCATION:
        by_hand = f"Revoke it there by hand, then: ocpp-gateway pki told {serial}"
        return f"{here}. Its CA does not know: EST has no revocation. {by_hand}"
    return f"{here}, and tells the CA behind {shown(issuer)}; ocpp-gateway pki show {serial} says how far that is."
