"""What the commands of `pki` share: the CA's directory, how it is opened, and its errors as sentences."""

import contextlib
import datetime
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.actor import actor
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE, USAGE
from gateway.cli.output import fail, shown

if TYPE_CHECKING:
    from pki.inventory import CertificateEntry, Inventory, RequestEntry
    from pki.issuance import Issuance
    from pki.issuer import Issuer
    from pki.journal import Journal
    from pki.signer.client import SignerClient

__all__ = [
    "REASONS",
    "ca_option",
    "certificate_state",
    "errors_explained",
    "existing_directory",
    "has_journal",
    "issuance_opened",
    "issuers_named",
    "journal_read",
    "now",
    "operator_name",
    "parse_serial",
    "public_certificate",
    "public_request",
    "revocations_read",
    "signer_asked",
    "write_public",
]

REASONS = (
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
)
"""Why a certificate can be revoked, as in RFC 5280."""
_JOURNAL, _SIGNER = "journal", "signer"
_WAIT_FOR_TURN_S = 15.0

ca_option = click.option(
    "--ca",
    "ca_path",
    metavar="DIR",
    envvar="OCPP_GATEWAY_CA",
    default="ca",
    help="The CA's directory. Default: $OCPP_GATEWAY_CA or ./ca.",
)


def now() -> datetime.datetime:
    """The time of this command."""
    return datetime.datetime.now(datetime.UTC)


def operator_name() -> str:
    """Who runs the command, for the journal: as the kernel knows, and what he says of himself (`gateway.cli.actor`)."""
    return actor()


@contextlib.contextmanager
def errors_explained(*, as_json: bool) -> Iterator[None]:
    """Turns what the PKI raises into sentences and exit codes. Raises Failure."""
    from pki.errors import Misconfigured, PKIError, Refused, SignerUnavailable

    try:
        yield
    except Refused as refused:
        fail(f"Refused: {shown(refused)}.", NOT_OK, as_json=as_json, details={"reason": refused.reason.code})
    except Misconfigured as error:
        fail(shown(error), USAGE, as_json=as_json)
    except SignerUnavailable as error:
        fail(shown(error), UNREACHABLE, as_json=as_json)
    except PKIError as error:
        fail(shown(error), NOT_OK, as_json=as_json)


def _directory(ca_path: str, *, as_json: bool) -> Path:
    directory = Path(ca_path)
    if not (directory / _SIGNER).is_dir() and not (directory / _JOURNAL).exists():
        fail(
            f"{shown(ca_path)} is not the directory of a CA: name it with --ca, or make one with `ocpp-gateway pki ceremony`.",
            USAGE,
            as_json=as_json,
        )
    return directory


@contextlib.contextmanager
def issuance_opened(ca_path: str, *, as_json: bool) -> "Iterator[Issuance]":
    """The issuance procedure, with the signer that runs or one for this command. Raises Failure.

    What a crash has left half-done is finished first.
    """
    from pki.opened import issuance_in_turn

    directory = _directory(ca_path, as_json=as_json)
    with (
        errors_explained(as_json=as_json),
        issuance_in_turn(directory, now, lambda: secrets.token_hex(6), _WAIT_FOR_TURN_S) as ca,
    ):
        ca.resume(now())
        yield ca


@contextlib.contextmanager
def signer_asked(ca_path: str, *, as_json: bool, whole: bool = False) -> "Iterator[SignerClient]":
    """The signer that runs, or one for this command, which reads its `whole` list. Raises Failure."""
    from pki.opened import signer_in_turn

    directory = _directory(ca_path, as_json=as_json)
    with errors_explained(as_json=as_json), signer_in_turn(directory, _WAIT_FOR_TURN_S, whole=whole) as signer:
        yield signer


def has_journal(ca_path: str) -> bool:
    """False before the first certificate, or if it was lost."""
    return (Path(ca_path) / _JOURNAL).exists()


def _why_no_journal(ca_path: str) -> str:
    """Nothing was issued, or it was lost: the signer's list knows, where it may be read."""
    from pki.errors import PKIError
    from pki.signer.list_at_rest import ListAtRest

    with contextlib.suppress(PKIError, OSError), contextlib.closing(ListAtRest(Path(ca_path) / _SIGNER)) as signed:
        remembered, _ = signed.remembered()
        if remembered.sequence:
            text = f"{shown(ca_path)} has no journal, and the signer remembers {remembered.sequence} records of it"
            return f"{text}: put the newest copy back. Nothing will start without it."
    return f"{shown(ca_path)} has no journal yet: nothing has been issued."


@contextlib.contextmanager
def journal_read(ca_path: str, *, as_json: bool, whole: bool = False) -> "Iterator[Journal]":
    """The journal, also while a gateway writes it; `whole`, without its snapshot. Raises Failure."""
    from pki.journal import Journal

    directory = _directory(ca_path, as_json=as_json)
    if not has_journal(ca_path):
        fail(_why_no_journal(ca_path), NOT_OK, as_json=as_json)
    with errors_explained(as_json=as_json):
        journal = Journal(directory / _JOURNAL, read_only=True, whole=whole)
        try:
            yield journal
        finally:
            journal.close()


def issuers_named(signer: "SignerClient", name: str | None, *, as_json: bool) -> "list[Issuer]":
    """All issuing CAs of a signer, or the one of this name. Raises Failure."""
    found = [each for each in signer.issuers() if name in (None, each.name)]
    if not found:
        fail(f"There is no issuing CA {shown(str(name))} here.", NOT_OK, as_json=as_json)
    return found


@contextlib.contextmanager
def revocations_read(
    ca_path: str, signer: "SignerClient", *, as_json: bool
) -> "Iterator[tuple[Inventory, Callable[[int], str]]]":
    """What the journal amounts to, and where each certificate says that its list is. Raises Failure, also for an old copy.

    Where nothing has been issued yet, nothing.
    """
    from pki.inventory import Inventory
    from pki.two_books import verify_books_in_use

    if not has_journal(ca_path) and not signer.remembered()[0].sequence:
        yield Inventory(), lambda _: ""
        return
    with journal_read(ca_path, as_json=as_json) as journal:
        verify_books_in_use(journal, lambda: signer)
        yield journal.inventory, journal.crl_address


def existing_directory(path: str, *, as_json: bool) -> Path:
    """A directory that files go to. Raises Failure."""
    if not Path(path).is_dir():
        fail(f"{shown(path)} is not a directory.", USAGE, as_json=as_json)
    return Path(path)


def write_public(path: Path, data: bytes, *, as_json: bool) -> None:
    """A file that everybody may read, whole or not at all. Raises Failure."""
    from pki.own_crls import write_public_file

    try:
        write_public_file(path, data)
    except OSError as error:
        fail(f"{shown(path)} cannot be written: {error.strerror or error}", NOT_OK, as_json=as_json)


def parse_serial(text: str) -> int:
    """A serial number in hex, with or without colons. Raises UsageError."""
    try:
        return int(text.replace(":", ""), 16)
    except ValueError:
        raise click.UsageError(f"{text!r} is not a serial number in hex.") from None


def certificate_state(entry: "CertificateEntry", moment: datetime.datetime) -> str:
    """In one word."""
    if entry.revocation is not None:
        return "revoked"
    if not entry.issued or entry.not_after is None:
        return entry.request.state.value
    return "valid" if moment <= entry.not_after else "expired"


def public_certificate(entry: "CertificateEntry", moment: datetime.datetime) -> dict[str, Any]:
    """A certificate as JSON."""
    request, revocation = entry.request, entry.revocation
    found: dict[str, Any] = {
        "serial": f"{entry.serial:x}",
        "state": certificate_state(entry, moment),
        "common_name": request.subject.common_name,
        "organization": request.subject.organization,
        "names": list(request.names),
        "profile": request.profile,
        "issuer": request.issuer,
        "not_before": _text(entry.not_before),
        "not_after": _text(entry.not_after),
        "spki_sha256": request.spki_sha256.hex(),
        "request": request.id,
    }
    if revocation is not None:
        found["revoked"] = {"at": _text(revocation.at), "reason": revocation.reason.value, "by": revocation.by}
        if entry.is_of_another_ca:
            found["told_to_ca"] = _public_told(entry, moment)
    return found


def _public_told(entry: "CertificateEntry", moment: datetime.datetime) -> dict[str, Any]:
    """What the CA that has issued a certificate knows of its revocation: ``waiting``, ``failed``, ``by-hand``, ``accepted`` ..."""
    told = entry.told
    is_over = not entry.is_untold_at(moment) and not (told is not None and told.state.is_over)
    state = "expired" if is_over else "waiting" if told is None else told.state.value
    found: dict[str, Any] = {"state": state}
    if told is not None:
        found |= {"at": _text(told.at), **({"detail": told.detail} if told.detail else {}), "by": told.by}
    return found


def public_request(request: "RequestEntry") -> dict[str, Any]:
    """A request as JSON."""
    return {
        "request": request.id,
        "state": request.state.value,
        "at": _text(request.at),
        "common_name": request.subject.common_name,
        "organization": request.subject.organization,
        "names": list(request.names),
        "profile": request.profile,
        "issuer": request.issuer,
        "applicant": request.applicant,
        "rule": request.rule,
        "notes": list(request.notes),
        "reason": request.reason,
        "spki_sha256": request.spki_sha256.hex(),
        "serial": None if request.serial is None else f"{request.serial:x}",
    }


def _text(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
