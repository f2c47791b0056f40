"""`charge-point revoke-certificate`: the gateway refuses a certificate from now on, whatever its issuer says."""

import contextlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from gateway.cli.charge_points.revoke_in_ca import InCA, revoke_in_ca
from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.files import read_bytes
from gateway.cli.output import fail, json_option, print_json, shown, warn
from gateway.cli.pki.ca import REASONS

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.identity.client_certificate import LeafCertificate
    from gateway.store.registry import Registry

__all__ = ["revoke_certificate"]


_BLANKS: Final = re.compile(r"(?<!\\)\s*([,=])\s*")
"""Around commas and equals signs, as openssl prints names."""


_ROOT: Final = (
    "a root, which nobody can revoke: what it has issued is accepted as before. Take it out of client_trust and out of "
    "the trust bundles."
)
_INTERMEDIATE: Final = "a CA certificate: every charge point certificate that it has issued is refused from now on."


class _Named(NamedTuple):
    """A certificate as the registry is told of it."""

    sha256: str = ""
    issuer: str = ""
    serial: str = ""
    spki_sha256: str = ""
    """Only for a certificate that is at hand."""


@click.command("revoke-certificate")
@click.option("--sha256", metavar="F", help="Its SHA-256 fingerprint, in hex.")
@click.option("--issuer", metavar="DN", help="Its issuer as in RFC 4514, e.g. 'CN=Issuing CA,O=Example'.")
@click.option("--serial", metavar="S", help="Its serial number in hex, with --issuer.")
@click.option("--file", metavar="CERT", help="The certificate itself, PEM or DER.")
@click.option("--reason", metavar="TEXT", required=True, help="Why; kept with the revocation.")
@click.option(
    "--code",
    type=click.Choice(REASONS, case_sensitive=False),
    default="unspecified",
    show_default=True,
    help="Why, as in RFC 5280, for the lists and OCSP answers of the CA that has issued it.",
)
@config_option
@json_option
def revoke_certificate(
    sha256: str | None,
    issuer: str | None,
    serial: str | None,
    file: str | None,
    reason: str,
    code: str,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Refuse a certificate from now on.

    A running gateway follows within a second; there is no way back. Name it by --sha256, by --issuer and --serial, or by --file.
    What the CA in [pki] has issued is revoked in its journal, too, as by `pki revoke`.
    """
    ways = [sha256 is not None, issuer is not None or serial is not None, file is not None]
    if sum(ways) != 1 or (issuer is None) != (serial is None):
        raise click.UsageError("Name the certificate in one way: --sha256, --issuer with --serial, or --file.")
    if not reason.strip():
        raise click.UsageError("--reason cannot be empty.")
    config = read_config(config_path, as_json=as_json)
    warnings: list[str] = []
    if file is not None:
        leaf, is_root = _read_certificate(file, as_json=as_json)
        named = _Named(leaf.sha256, leaf.issuer, leaf.serial_number, leaf.spki_sha256)
        if leaf.is_ca:
            warnings = [f"{shown(file)} is {_ROOT if is_root else _INTERMEDIATE}"]
    elif issuer is not None:
        named = _Named(issuer=_normal_issuer(issuer, as_json=as_json), serial=serial or "")
        warnings = _unknown_issuer(named.issuer, config)
    else:
        named = _Named(sha256=sha256 or "")
    with open_registry(config, as_json=as_json) as registry:
        registry.revoke_certificate(
            sha256=named.sha256, issuer=named.issuer, serial=named.serial, reason=reason, now=time.time()
        )
        owner = registry.bound_keys().get(named.spki_sha256)
        issuer, number = _issuer_and_serial(named, registry)
    in_ca = revoke_in_ca(config, issuer, number, code, reason)
    _tell(named, owner, in_ca, [*warnings, *in_ca.warnings], as_json=as_json)
    return NOT_OK if in_ca.failure else 0


def _issuer_and_serial(named: _Named, registry: "Registry") -> tuple[str, str]:
    """By which a CA knows the certificate; of a fingerprint, if the inventory knows it. Empty otherwise."""
    from gateway.store.certificates import normal_serial, normal_sha256

    if named.serial:
        return named.issuer, normal_serial(named.serial)
    for known, _ in registry.inventory.find(0.0, 0.0, normal_sha256(named.sha256)):
        return known.issuer, known.serial
    return "", ""


def _tell(named: _Named, owner: str | None, in_ca: InCA, warnings: list[str], *, as_json: bool) -> None:
    if in_ca.failure:
        warnings = [*warnings, in_ca.failure]
    if as_json:
        name = {"sha256": named.sha256, "issuer": named.issuer, "serial": named.serial}
        print_json({"revoked": name, "charge_point_id": owner, "in_ca": in_ca.outcome, "warnings": warnings})
        return
    what = f"serial number {named.serial} of {named.issuer}" if named.serial else f"fingerprint {named.sha256}"
    click.echo(f"Revoked: {shown(what)}." + (f" It was used by {shown(owner)}." if owner else ""))
    if in_ca.outcome == "revoked":
        click.echo("It is revoked in the journal of the CA, too.")
    warn(warnings)


def _read_certificate(file: str, *, as_json: bool) -> "tuple[LeafCertificate, bool]":
    """The facts of a certificate, and whether it is a root."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from gateway.identity.client_certificate import parse_leaf
    from gateway.identity.refusal import Refusal
    from pki.unreadable import UNREADABLE

    data = read_bytes(file, as_json=as_json)
    try:
        if b"-----BEGIN" in data:
            data = x509.load_pem_x509_certificates(data)[0].public_bytes(Encoding.DER)
        certificate = x509.load_der_x509_certificate(data)
        return parse_leaf(data), certificate.issuer == certificate.subject
    except (Refusal, *UNREADABLE):
        fail(f"{shown(file)} holds no certificate that can be read (PEM or DER).", NOT_OK, as_json=as_json)


def _normal_issuer(text: str, *, as_json: bool) -> str:
    """The spelling in which issuers are compared; a name in another form would never match anything."""
    from cryptography import x509

    for spelling in (text, _BLANKS.sub(r"\1", text)):
        with contextlib.suppress(ValueError):
            return x509.Name.from_rfc4514_string(spelling).rfc4514_string()
    return fail(
        f"'{shown(text)}' is not a name as in RFC 4514, e.g. 'CN=Issuing CA,O=Example'.", NOT_OK, as_json=as_json
    )


def _unknown_issuer(issuer: str, config: "Config") -> list[str]:
    """A warning if no trusted certificate has this name: a name in the wrong order would revoke nothing."""
    from cryptography import x509

    from pki.unreadable import UNREADABLE

    names: set[str] = set()
    own = [path for listener in config.listeners if listener.tls for path in listener.tls.client_trust]
    for path in (*own, *(path for bundle in config.trust for path in bundle.roots)):
        try:
            found = x509.load_pem_x509_certificates(Path(path).read_bytes())
        except (OSError, *UNREADABLE):
            continue
        names.update(certificate.subject.rfc4514_string() for certificate in found)
    if issuer in names:
        return []
    backwards = ",".join(reversed(issuer.split(",")))
    hint = (
        f"; did you mean '{backwards}'?"
        if backwards in names
        else ", unless it is an intermediate that is not in there"
    )
    return [f"no trusted certificate is named '{shown(issuer)}': the revocation may match nothing{hint}"]
