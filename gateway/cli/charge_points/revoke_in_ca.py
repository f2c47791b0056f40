"""The second half of `revoke-certificate`: what our own CA, or the one behind `[pki]`, has issued is revoked in its journal, too.

So there is one revocation, whichever command makes it: lists and OCSP answers have it, and another CA is told.
"""

import contextlib
import datetime
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from gateway.cli.output import shown
from gateway.cli.pki.ca import operator_name

if TYPE_CHECKING:
    from gateway.config.model import Config
    from pki.journal import Journal

__all__ = ["InCA", "revoke_in_ca"]

_PATIENCE_S: Final = 15.0


class InCA(NamedTuple):
    """What became of it there. `outcome` is empty for a certificate that is not of this CA; `failure`: why it is undone."""

    outcome: Literal["", "revoked", "revoked-before", "failed"] = ""
    failure: str = ""
    warnings: tuple[str, ...] = ()


def revoke_in_ca(config: "Config", issuer: str, serial: str, code: str, note: str) -> InCA:
    """`issuer` as RFC 4514 has it, `serial` in hex, `code` as RFC 5280 has it. Nothing is raised: here it is revoked already."""
    from pki.errors import PKIError

    if not config.pki.ca or not serial:
        return InCA()
    directory = Path(config.pki.ca)
    try:
        number = int(serial, 16)
        if not _is_known(directory, issuer, number):
            return InCA(warnings=_unknown(config, directory, issuer, serial))
        return _revoked(directory, number, code, note)
    except (PKIError, OSError) as error:
        remedy = f"ocpp-gateway pki revoke {serial} --reason {code} --ca {directory}"
        why = f"its CA could not be told: {error}; mend that, then: {remedy}"
        return InCA("failed", shown(why))


def _is_known(directory: Path, issuer: str, number: int) -> bool:
    from pki.journal import Journal
    from pki.opened import JOURNAL

    if not (directory / JOURNAL).exists():
        return False
    with contextlib.closing(Journal(directory / JOURNAL, read_only=True)) as journal:
        return _issuer_of(journal, number) == issuer


def _issuer_of(journal: "Journal", number: int) -> str:
    """Of the certificate with this serial number, or of what was intended to be one; empty if there is none."""
    from pki.signing import unsigned_certificate

    body, _ = journal.signed_parts(number)
    return unsigned_certificate(body).issuer.rfc4514_string() if body else ""


def _revoked(directory: Path, number: int, code: str, note: str) -> InCA:
    from pki.errors import Reason, Refused
    from pki.opened import issuance_in_turn
    from pki.records import RevocationReason

    with issuance_in_turn(directory, _now, lambda: secrets.token_hex(6), _PATIENCE_S) as ca:
        try:
            ca.revoke(number, RevocationReason(code), by=operator_name(), note=note, now=_now())
        except Refused as refused:
            if refused.reason is not Reason.ALREADY_REVOKED:
                raise
            return InCA("revoked-before")
    return InCA("revoked")


def _unknown(config: "Config", directory: Path, issuer: str, serial: str) -> tuple[str, ...]:
    """A warning if the embedded CA issues under this name: a wrong serial number would revoke nothing."""
    from cryptography import x509

    from pki.unreadable import UNREADABLE

    if config.pki.backend != "embedded":
        return ()
    for path in sorted((directory / "signer").glob("*.pem")):
        try:
            name = x509.load_pem_x509_certificates(path.read_bytes())[0].subject.rfc4514_string()
        except (OSError, *UNREADABLE):
            continue
        if name == issuer:
            text = f"the embedded CA issues under this name, and its journal knows no certificate {shown(serial)}"
            return (f"{text}: is the serial number right?",)
    return ()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
