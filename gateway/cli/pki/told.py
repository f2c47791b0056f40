"""`pki told`: somebody has revoked a certificate at the CA that has issued it, which the gateway could not."""

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, json_option, print_json, shown
from gateway.cli.pki.ca import ca_option, issuance_opened, now, operator_name, parse_serial, public_certificate

__all__ = ["told"]


@click.command()
@click.argument("serial", metavar="SERIAL")
@click.option("--note", metavar="TEXT", default="", help="How, in words; kept in the journal.")
@ca_option
@json_option
def told(serial: str, note: str, ca_path: str, as_json: bool) -> int:
    """Note that the CA knows that a certificate is revoked.

    For a certificate that was revoked here, and that another CA has issued: you have revoked it there by hand. The gateway
    tells that CA no more. Where the CA takes revocations from the gateway, this is not needed.
    """
    from pki.records import ToldState
    from pki.registration_authority import RegistrationAuthority

    number = parse_serial(serial)
    with issuance_opened(ca_path, as_json=as_json) as ca:
        if not isinstance(ca, RegistrationAuthority):
            fail("The embedded CA issues here: there is nobody else to be told.", NOT_OK, as_json=as_json)
        before = ca.inventory.certificates.get(number)
        is_news = before is None or before.told is None or not before.told.state.is_over
        ca.note_told(number, ToldState.CONFIRMED, note, operator_name(), now())
        entry = ca.inventory.certificates[number]
    if as_json:
        print_json(public_certificate(entry, now()))
    elif is_news:
        click.echo(f"Noted: the CA behind {shown(entry.request.issuer)} knows that {number:x} is revoked.")
    else:
        click.echo(f"The CA behind {shown(entry.request.issuer)} knows already that {number:x} is revoked.")
    return 0
