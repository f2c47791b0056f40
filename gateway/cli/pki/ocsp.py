"""`pki ocsp`: how the published OCSP responses stand; or responses signed now, as files, for whoever publishes them himself."""

import datetime
from typing import TYPE_CHECKING

import click

from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.finite import FiniteRange
from gateway.cli.output import fail, json_option, print_json, shown
from gateway.cli.pki.ca import (
    ca_option,
    existing_directory,
    issuance_opened,
    now,
    operator_name,
    parse_serial,
    write_public,
)
from gateway.cli.pki.ocsp_state import show_ocsp

if TYPE_CHECKING:
    from pki.issuance import Issuance
    from pki.issuer import Issuer

__all__ = ["ocsp"]


@click.command()
@click.argument("serials", metavar="[SERIAL]...", nargs=-1)
@click.option("--issuer", "name", metavar="NAME", help="Only certificates of this issuing CA.")
@click.option("--out", metavar="DIR", help="Sign some, and write them there: NAME/SERIAL.sha1.der and .sha256.der.")
@click.option(
    "--valid-days",
    type=FiniteRange(0.1, 10),
    default=4.0,
    show_default=True,
    help="With --out: for how long they are good.",
)
@ca_option
@config_option
@json_option
def ocsp(
    serials: tuple[str, ...],
    name: str | None,
    out: str | None,
    valid_days: float,
    ca_path: str,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Show how the OCSP responses stand, or sign some to files.

    Without --out those that a running gateway publishes: how many there are, until when, and when they are signed next; with
    serial numbers, those about these certificates. Exit code 1 if one has run out or is missing. With --out they are signed now by
    a responder of the CA, for all certificates that have not expired, or those with these serial numbers.
    """
    wanted = {parse_serial(each) for each in serials}
    if out is None:
        return show_ocsp(sorted(wanted), name, config_path, as_json=as_json)
    directory = existing_directory(out, as_json=as_json)
    written: list[str] = []
    with issuance_opened(ca_path, as_json=as_json) as ca:
        unknown = wanted - ca.inventory.certificates.keys()
        if unknown:
            fail(f"The journal knows no certificate {min(unknown):x}.", NOT_OK, as_json=as_json)
        for issuer in _responding(ca, name, as_json=as_json):
            lifetime = datetime.timedelta(days=valid_days)
            for serial, kind, der in _signed(ca, issuer, wanted, lifetime):
                target = directory / issuer.name
                target.mkdir(exist_ok=True)
                path = target / f"{serial:x}.{kind}.der"
                write_public(path, der, as_json=as_json)
                written.append(str(path))
    if wanted and not written:
        fail("They have expired, or are of a responder: there is nothing to say of them.", NOT_OK, as_json=as_json)
    if as_json:
        print_json({"written": written})
    else:
        click.echo(f"Wrote {len(written)} responses to {shown(out)}.")
    return 0


def _responding(ca: "Issuance", name: str | None, *, as_json: bool) -> "list[Issuer]":
    from pki.own_ocsp import has_responder

    if name is not None and name not in ca.issuers:
        fail(f"There is no issuing CA {shown(name)} here.", NOT_OK, as_json=as_json)
    found = [
        each
        for each in ca.issuers.values()
        if name in (None, each.name) and has_responder(each) and each.publication.ocsp_url
    ]
    if not found:
        text = (
            "No issuing CA here has OCSP: it needs an ocsp_url and the profile OCSPResponder in the signer's NAME.toml."
        )
        fail(text, NOT_OK, as_json=as_json)
    return found


def _signed(
    ca: "Issuance", issuer: "Issuer", wanted: set[int], lifetime: datetime.timedelta
) -> "list[tuple[int, str, bytes]]":
    from pki.errors import Reason, Refused
    from pki.own_ocsp import OwnOCSP, known_responder, new_responder

    moment, unusable = now(), set[int]()
    made = OwnOCSP(issuer, lifetime)
    made.plan(ca.inventory, moment, only=wanted)
    while True:
        responder = known_responder(ca.inventory, issuer, moment + 2 * lifetime, unusable)
        is_new = responder is None
        if responder is None:
            responder = new_responder(ca, issuer, operator_name(), moment)
        made.use(ca.certificate(responder).certificate)
        try:
            made.sign(ca, moment, lambda: True)
        except Refused as refused:
            if is_new or refused.reason is not Reason.RESPONDER_KEY:
                raise
            unusable.add(responder)  # of a signer that has ended, or its key's file is lost
        else:
            return list(made.whole_responses())
