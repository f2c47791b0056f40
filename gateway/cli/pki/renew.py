"""`pki renew`: another certificate for the names of one that was issued here, by an operator or by the charge point itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE
from gateway.cli.files import read_text, write_text
from gateway.cli.output import fail, json_option, print_json, shown, warn
from gateway.cli.pki.ca import (
    ca_option,
    certificate_state,
    issuance_opened,
    journal_read,
    now,
    operator_name,
    parse_serial,
)

if TYPE_CHECKING:
    from pki.inventory import CertificateEntry, Inventory
    from pki.issuance import IssuedCertificate

__all__ = ["renew"]

_PUBLIC_MODE = 0o644


@click.command()
@click.argument("serial", metavar="SERIAL")
@click.option(
    "--csr", metavar="FILE", help="A request with the new key. Without it the charge point is told to make one."
)
@click.option(
    "--out", metavar="FILE", help="With --csr: where to write the chain, leaf first. Default: standard output."
)
@ca_option
@config_option
@json_option
def renew(serial: str, csr: str | None, out: str | None, ca_path: str, config_path: str | None, as_json: bool) -> int:
    """Renew a certificate.

    With --csr by hand: the names, the profile and the issuing CA are those of the certificate, and the key is that of the
    request. Without it a running gateway tells the charge point to make a key and to ask. The old one stays valid.
    """
    number = parse_serial(serial)
    if out is not None and csr is None:
        raise click.UsageError("--out goes with --csr.")
    if csr is None:
        return _by_charge_point(number, ca_path, config_path, as_json=as_json)
    text = read_text(csr, as_json=as_json)
    made, notes = _issued(number, text, ca_path, as_json=as_json)
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = "".join(each.public_bytes(Encoding.PEM).decode() for each in (made.certificate, *made.chain))
    if out is not None:
        write_text(Path(out), chain, mode=_PUBLIC_MODE, overwrite=False, as_json=as_json)
    warn(shown(note) for note in notes)
    new = f"{made.certificate.serial_number:x}"
    if as_json:
        ends = made.certificate.not_valid_after_utc.isoformat()
        print_json({"instead_of": f"{number:x}", "serial": new, "not_after": ends, "chain": chain, "out": out})
    elif out is None:
        click.echo(chain, nl=False)
    else:
        click.echo(f"Wrote {shown(out)}: serial number {new}, instead of {number:x}.")
    return 0


def _issued(number: int, csr: str, ca_path: str, *, as_json: bool) -> "tuple[IssuedCertificate, tuple[str, ...]]":
    from pki.approval import Operator
    from pki.inventory import RequestState
    from pki.issuance import Application

    with issuance_opened(ca_path, as_json=as_json) as ca:
        before = _entry(ca.inventory, number, as_json=as_json)
        application = Application(
            profile=before.request.profile,
            subject=before.request.subject,
            names=before.request.names,
            applicant=Operator(operator_name()),
        )
        request = ca.request(csr, application, now())
        if request.serial == number:
            text = "The request is the one that this certificate was issued for: a renewal needs a new key."
            fail(text, NOT_OK, as_json=as_json)
        if request.state is RequestState.HELD:
            request = ca.decide(request.id, approved=True, by=operator_name(), note="pki renew", now=now())
        return ca.issue(request.id, now()), request.notes


def _entry(inventory: "Inventory", number: int, *, as_json: bool) -> "CertificateEntry":
    """The certificate, if it may have a successor. Raises Failure."""
    entry = inventory.certificates.get(number)
    if entry is None or not entry.issued:
        fail(f"The journal knows no certificate {number:x}.", NOT_OK, as_json=as_json)
    if certificate_state(entry, now()) == "revoked":
        fail(
            f"{number:x} is revoked: whoever has its key gets nothing by it. If the charge point shall have a new one all the "
            "same, that is pki issue.",
            NOT_OK,
            as_json=as_json,
        )
    return entry


def _by_charge_point(number: int, ca_path: str, config_path: str | None, *, as_json: bool) -> int:
    from gateway.cli.gateway_client import GatewayUnreachable, renew_certificate

    with journal_read(ca_path, as_json=as_json) as journal:
        name = _entry(journal.inventory, number, as_json=as_json).request.subject.common_name
    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        found = [each for each in registry.find(name) if each.serial_number == name]
    if len(found) != 1:
        many = "several charge points have" if found else "no charge point has"
        fail(f"In the registry {many} the serial number {shown(name)}.", NOT_OK, as_json=as_json)
    identity = found[0].charge_point_id
    try:
        refused = renew_certificate(config, identity)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
    if refused:
        fail(f"Not renewed: {shown(refused)}.", NOT_OK, as_json=as_json)
    if as_json:
        print_json({"charge_point_id": identity, "asked": True})
    else:
        click.echo(
            f"{shown(identity)} is told to ask; ocpp-gateway charge-point certificate {shown(identity)} shows how far it is."
        )
    return 0
