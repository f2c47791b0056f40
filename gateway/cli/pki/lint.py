"""`pki lint`: in what a certificate is not what its profile says."""

from typing import TYPE_CHECKING

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.files import read_bytes
from gateway.cli.output import fail, json_option, print_json, shown

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["lint"]


@click.command()
@click.argument("file", metavar="CERTIFICATE")
@click.option(
    "--profile", metavar="P", default="ChargePointCertificate", show_default=True, help="What it is meant to be."
)
@click.option("--issuer", metavar="FILE", help="Its issuer's certificate, for what concerns both.")
@json_option
def lint(file: str, profile: str, issuer: str | None, as_json: bool) -> int:
    """Check a certificate (PEM or DER) against a certificate profile.

    Exit code 1 if there is anything to say. Its signature is not looked at. For CSMSCertificate the file may hold the
    whole chain, leaf first, which is looked at with the eyes of charge points.
    """
    from gateway.config.server_lint import server_findings
    from pki.lint import lint as findings_of
    from pki.profiles import CSMS, PROFILES

    if profile not in PROFILES:
        raise click.UsageError(f"No certificate profile {profile!r}; there are {', '.join(PROFILES)}.")
    certificate = _read(file, as_json=as_json)
    above = None if issuer is None else _read(issuer, as_json=as_json)
    findings = [(each.code, each.text) for each in findings_of(certificate, PROFILES[profile], issuer=above)]
    if profile == CSMS.name:
        findings += [("charge-points", text) for text in server_findings(_chain(file, certificate, as_json=as_json))]
    if as_json:
        found = [{"code": code, "text": text} for code, text in findings]
        print_json({"ok": not findings, "profile": profile, "findings": found})
    else:
        for code, text in findings:
            click.echo(f"{code}: {shown(text)}")
        click.echo(f"{len(findings)} findings." if findings else f"{shown(file)} is as {profile} says.")
    return NOT_OK if findings else 0


def _chain(name: str, leaf: "Certificate", *, as_json: bool) -> "list[Certificate]":
    """As it would be sent."""
    from cryptography import x509

    from pki.unreadable import UNREADABLE

    data = read_bytes(name, as_json=as_json)
    try:
        return x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else [leaf]
    except UNREADABLE:
        fail(f"{shown(name)} has a certificate behind the first one that cannot be read.", NOT_OK, as_json=as_json)


def _read(name: str, *, as_json: bool) -> "Certificate":
    from cryptography import x509

    from pki.unreadable import UNREADABLE

    data = read_bytes(name, as_json=as_json)
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except UNREADABLE:
        fail(f"{shown(name)} is not a certificate.", NOT_OK, as_json=as_json)
