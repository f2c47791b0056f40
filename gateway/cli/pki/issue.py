"""`pki issue`: a certificate for a request in a file, by an operator."""

from pathlib import Path

import click

from gateway.cli.files import read_text, write_text
from gateway.cli.output import json_option, print_json, shown, warn
from gateway.cli.pki.ca import ca_option, issuance_opened, now, operator_name

__all__ = ["issue"]

_PUBLIC_MODE = 0o644


@click.command()
@click.argument("csr", metavar="CSR")
@click.option(
    "--common-name", metavar="CN", required=True, help="Serial number of the charge point, or name of the host."
)
@click.option("--organization", metavar="O", required=True, help="The operator's name.")
@click.option(
    "--profile", metavar="P", default="ChargePointCertificate", show_default=True, help="The certificate profile."
)
@click.option("--name", "names", metavar="HOST", multiple=True, help="Alternative name of a server; may be repeated.")
@click.option("--country", metavar="C", default="", help="Of a V2G certificate: two letters, DE.")
@click.option("--out", metavar="FILE", help="Where to write the chain, leaf first. Default: standard output.")
@ca_option
@json_option
def issue(  # noqa: PLR0913, PLR0917  one per option
    csr: str,
    common_name: str,
    organization: str,
    profile: str,
    names: tuple[str, ...],
    country: str,
    out: str | None,
    ca_path: str,
    as_json: bool,
) -> int:
    """Issue a certificate for a request (PEM) in a file.

    The names are those of the options, and the DC that a V2G profile wants; the request gives only its key and is refused if
    it names somebody else. The same request again gets the same certificate.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    from pki.approval import Operator
    from pki.inventory import RequestState
    from pki.issuance import Application
    from pki.names import Subject

    text = read_text(csr, as_json=as_json)
    application = Application(
        profile=profile,
        subject=Subject(common_name, organization, country=country, domain_component=_domain_component(profile)),
        names=names,
        applicant=Operator(operator_name()),
    )
    with issuance_opened(ca_path, as_json=as_json) as ca:
        request = ca.request(text, application, now())
        if request.state is RequestState.HELD:
            # Asked for before, by somebody who may not decide; the operator may.
            request = ca.decide(request.id, approved=True, by=operator_name(), note="pki issue", now=now())
        issued = ca.issue(request.id, now())
    chain = "".join(each.public_bytes(Encoding.PEM).decode() for each in (issued.certificate, *issued.chain))
    if out is not None:
        remedy = "the certificate is issued: the same command with another name writes it"
        write_text(Path(out), chain, mode=_PUBLIC_MODE, overwrite=False, as_json=as_json, remedy=remedy)
    warn(shown(note) for note in request.notes)
    serial = f"{issued.certificate.serial_number:x}"
    if as_json:
        ends = issued.certificate.not_valid_after_utc.isoformat()
        print_json({"request": request.id, "serial": serial, "not_after": ends, "chain": chain, "out": out})
    elif out is None:
        click.echo(chain, nl=False)
    else:
        click.echo(f"Wrote {shown(out)}: serial number {serial}.")
    return 0


def _domain_component(profile: str) -> str:
    from pki.profiles import END_ENTITY_PROFILES

    found = END_ENTITY_PROFILES.get(profile)
    return "" if found is None else found.domain_component
