"""`pki ocsp`: OCSP responses signed now, as files, for whoever publishes them himself."""

import datetime
from typing import TYPE_CHECKING

import click

from gateway.cli.exit_codes import NOT_OK
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

if TYPE_CHECKING:
    from pki.issuance import Issuance
    from pki.issuer import Issuer

__all__ = ["ocsp"]


@click.command()
@click.argument("serials", metavar="[SERIAL]...", nargs=-1)
@click.option("--issuer", "name", metavar="NAME", help="Only certificates of this issuing CA.")
@click.option("--out", metavar="DIR", required=True, help="Where to write them: NAME/SERIAL.sha1.der and .sha256.der.")
@click.option(
    "--valid-days", type=click.FloatRange(0.1, 10), default=4.0, show_default=True, help="For how long they are good."
)
@ca_option
@json_option
def ocsp(serials: tuple[str, ...], name: str | None, out: str, valid_days: float, ca_path: str, as_json: bool) -> int:
    """Sign OCSP responses and write them to files.

    For certificates that have not expired, or for those with these serial numbers. A responder's certificate is issued
    for it, with a key that is used for nothing else and forgotten. A gateway that publishes makes its responses by itself.
    """
    wanted = {parse_serial(each) for each in serials}
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
    from pki.own_ocsp import OwnOCSP, new_signer

    moment = now()
    signer, ends = new_signer(ca, issuer, operator_name(), moment)
    made = OwnOCSP(issuer, signer, ends, lifetime)
    made.plan(ca.inventory, moment, only=wanted)
    made.sign(moment, lambda: True)
    return list(made.whole_responses())
