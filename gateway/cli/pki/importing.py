"""`pki import`: certificates of another CA or of an older system into the registry's inventory, to keep an eye on them."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.files import read_bytes
from gateway.cli.output import fail, json_option, print_json, print_table, shown, warn
from gateway.cli.pki.certificate_files import Found, certificates_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography import x509

    from gateway.config.model import Config
    from gateway.store.inventory import KnownCertificate

__all__ = ["import_certificates"]


class _Verdict(NamedTuple):
    where: str
    known: "KnownCertificate | None"
    why: str
    """Why it is refused; empty where it is not."""
    warning: str = ""


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@config_option
@json_option
def import_certificates(files: tuple[str, ...], dry_run: bool, config_path: str | None, as_json: bool) -> int:
    """Put certificates of other CAs into the inventory.

    FILE is PEM with any number of certificates, DER or PKCS#7. They are listed, searched and watched for their end; nobody is
    let in by it who would not be without. Exit code 1 if one is refused; the others are imported.
    """
    config = read_config(config_path, as_json=as_json)
    found = [each for name in files for each in certificates_in(name, read_bytes(name, as_json=as_json))]
    verdicts = _judged(found, config, as_json=as_json)
    good = {each.known.sha256: each.known for each in verdicts if each.known is not None and not each.why}
    added = 0
    if not dry_run:
        with open_registry(config, as_json=as_json) as registry:
            added = registry.inventory.record(list(good.values()))
    return _tell(verdicts, len(good), None if dry_run else added, as_json=as_json)


def _judged(found: "list[Found]", config: "Config", *, as_json: bool) -> list[_Verdict]:
    ours = _our_issuers(config, as_json=as_json)
    journal = _issued_here(config, as_json=as_json) if ours else {}
    vouching = [*_trusted(config), *(each.certificate for each in found if each.certificate is not None)]
    return [_judge(each, ours, journal, vouching) for each in found]


def _judge(
    found: "Found",
    ours: "Iterable[x509.Certificate]",
    journal: dict[int, str],
    vouching: "list[x509.Certificate]",
) -> _Verdict:
    """In this order: it can be read, it is an end entity, it is not a stranger's in the name of our CA."""
    from gateway.control.certificate_facts import known_certificate
    from gateway.identity.client_certificate import parse_leaf
    from gateway.identity.refusal import Refusal
    from pki.unreadable import UNREADABLE

    if found.certificate is None:
        return _Verdict(found.where, None, found.why)
    try:
        known = known_certificate(found.certificate, "imported", time.time())
        is_ca = parse_leaf(_der(found.certificate)).is_ca
    except (Refusal, *UNREADABLE) as error:
        return _Verdict(found.where, None, f"it cannot be read: {error}")
    if is_ca:
        return _Verdict(found.where, known, "a CA certificate: name it in client_trust or in a [[trust]] bundle")
    if not known.common_name:
        return _Verdict(found.where, known, "it has no common name, or several: no charge point can be told by it")
    if any(found.certificate.issuer == each.subject for each in ours):
        if journal.get(found.certificate.serial_number) != known.sha256:
            return _Verdict(found.where, known, "it names an issuing CA of ours, whose journal does not know it")
        return _Verdict(found.where, known, "it was issued here: the gateway takes it over from the journal")
    warning = "" if _is_vouched(found.certificate, vouching) else "no CA certificate in the configuration has issued it"
    return _Verdict(found.where, known, "", warning)


def _der(certificate: "x509.Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _is_vouched(certificate: "x509.Certificate", vouching: "list[x509.Certificate]") -> bool:
    from cryptography.exceptions import InvalidSignature

    from pki.unreadable import UNREADABLE

    for each in vouching:
        if each.subject != certificate.issuer:
            continue
        try:
            certificate.verify_directly_issued_by(each)
        except (InvalidSignature, *UNREADABLE):
            continue
        return True
    return False


def _our_issuers(config: "Config", *, as_json: bool) -> "list[x509.Certificate]":
    """The issuing CAs of the embedded CA; without being able to read them nobody could be told from a stranger."""
    from cryptography import x509

    from pki.unreadable import UNREADABLE

    if not config.pki.ca:
        return []
    try:
        files = sorted((Path(config.pki.ca) / "signer").glob("*.pem"))
        return [x509.load_pem_x509_certificates(file.read_bytes())[0] for file in files]
    except (OSError, *UNREADABLE) as error:
        return fail(f"The embedded CA in {shown(config.pki.ca)} cannot be read: {error}", NOT_OK, as_json=as_json)


def _issued_here(config: "Config", *, as_json: bool) -> dict[int, str]:
    """Fingerprints by serial number, as the journal has them."""
    from cryptography.hazmat.primitives import hashes

    from gateway.cli.pki.ca import journal_read

    if not (Path(config.pki.ca) / "journal").exists():
        return {}
    with journal_read(config.pki.ca, as_json=as_json) as journal:
        return {
            entry.serial: journal.certificate(entry.serial).fingerprint(hashes.SHA256()).hex()
            for entry in journal.inventory.issued()
        }


def _trusted(config: "Config") -> "list[x509.Certificate]":
    from cryptography import x509

    from pki.unreadable import UNREADABLE

    paths = [path for listener in config.listeners if listener.tls for path in listener.tls.client_trust]
    found: list[x509.Certificate] = []
    for path in (*paths, *(path for bundle in config.trust for path in bundle.roots)):
        try:
            found += x509.load_pem_x509_certificates(Path(path).read_bytes())
        except (OSError, *UNREADABLE):
            continue  # check-config and doctor say so
    return found


def _tell(verdicts: list[_Verdict], good: int, added: int | None, *, as_json: bool) -> int:
    refused = [each for each in verdicts if each.why]
    if as_json:
        print_json(
            {
                "imported": good,
                "new": added,
                "refused": [{"where": each.where, **_names(each), "reason": each.why} for each in refused],
                "warnings": [f"{each.where}: {each.warning}" for each in verdicts if each.warning],
            }
        )
        return NOT_OK if refused else 0
    if refused:
        rows = [(each.where, _names(each)["common_name"], each.why) for each in refused]
        print_table(f"Refused ({len(rows)})", ("where", "common name", "why"), rows)
    if added is None:
        click.echo(f"{good} would be imported.")
    else:
        click.echo(f"Imported {good}, {added} of them new.")
    warn(f"{shown(each.where)}: {each.warning}" for each in verdicts if each.warning)
    return NOT_OK if refused else 0


def _names(verdict: _Verdict) -> dict[str, Any]:
    known = verdict.known
    return {"common_name": "" if known is None else known.common_name, "serial": "" if known is None else known.serial}
