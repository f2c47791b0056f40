"""The embedded CA: its signer answers, its books agree, its issuing CAs last, its lists are current; which certificates end soon."""

import contextlib
import datetime
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from gateway.cli.checkup.check import Check, error, ok, warning
from gateway.config.model import Config
from gateway.store.database import parse_url
from gateway.store.errors import StoreError
from gateway.store.registry import Registry
from pki.errors import PKIError, SignerUnavailable
from pki.issuer import Issuer
from pki.journal import Journal
from pki.opened import JOURNAL, signer_in_turn
from pki.own_crls import OwnList, lists_in
from pki.signer.client import SignerClient
from pki.two_books import verify_books_in_use

__all__ = ["check_certificates_in_use", "check_own_authority"]

_DAY_S: Final = 86_400.0
_PATIENCE_S: Final = 2.0
_ISSUER_ENDS_SOON: Final = datetime.timedelta(days=180)
_CERTIFICATES_END_SOON_DAYS: Final = (7, 30)
_IN_USE: Final = "is in use by another process"


def check_own_authority(config: Config, now: datetime.datetime) -> Iterator[Check]:
    """Signer, issuing CAs and lists, where the gateway has the CA."""
    pki = config.pki
    if not pki.ca or pki.backend != "embedded":
        return
    directory = Path(pki.ca)
    try:
        with signer_in_turn(directory, _PATIENCE_S) as signer:
            issuers, books = signer.issuers(), _books(directory, signer)
    except (PKIError, OSError) as problem:
        yield _silent(str(problem), directory)
        return
    yield ok("ca-signer", f"the signer in {directory} has its keys: {', '.join(each.name for each in issuers)}")
    yield books
    for issuer in issuers:
        yield _issuer(issuer.name, issuer.latest_end(), now)
        if config.publication.address:
            yield from _lists(directory, issuer, now)


def _books(directory: Path, signer: SignerClient) -> Check:
    """Raises SignerUnavailable."""
    name, remedy = "ca-books", "Put the newest copy of the one that is old there, and only that one (docs/pki.md)."
    path = directory / JOURNAL
    if not path.exists():
        known = signer.remembered()[0].sequence
        if known:
            return error(name, f"{path} is not there, and the signer remembers {known} records of it", remedy)
        return ok(name, "nothing has been issued yet")
    try:
        with contextlib.closing(Journal(path, read_only=True)) as journal:
            verify_books_in_use(journal, lambda: signer)
            return ok(name, f"journal and signer's list agree, {journal.inventory.issued_count} certificates")
    except SignerUnavailable:
        raise
    except (PKIError, OSError) as problem:
        return error(name, str(problem), remedy)


def _silent(why: str, directory: Path) -> Check:
    if why.endswith(_IN_USE):
        return ok("ca-signer", f"the signer in {directory} is at work for somebody else at this moment")
    return error("ca-signer", f"the signer cannot be asked: {why}", "No certificate is issued until that is mended.")


def _issuer(name: str, end: datetime.datetime, now: datetime.datetime) -> Check:
    until = f"{end:%Y-%m-%d}"
    remedy = "Make its successor by a ceremony (docs/pki.md), and let charge points renew before."
    if end <= now:
        return error("ca-certificate", f"issuing CA {name} ended on {until}: nothing that it issued is valid", remedy)
    if end <= now + _ISSUER_ENDS_SOON:
        return warning("ca-certificate", f"issuing CA {name}, or one above it, ends on {until}", remedy)
    return ok("ca-certificate", f"issuing CA {name} is good until {until}")


def _lists(directory: Path, issuer: Issuer, now: datetime.datetime) -> Iterator[Check]:
    """Of each issuing CA the worst: there may be hundreds of shards."""
    name, remedy = "ca-revocation-list", "The gateway makes it while it runs; or ocpp-gateway pki crl --sign."
    try:
        found = lists_in(directory, issuer)
    except OSError as failure:
        yield error(name, f"lists of {issuer.name} cannot be read: {failure.strerror}", "See CA/published.")
        return
    missing = [shard for shard, each in found.items() if each is None]
    there = [each for each in found.values() if each is not None]
    if missing:
        yield warning(name, f"{len(missing)} of {len(found)} lists of {issuer.name} have never been made", remedy)
    if there:
        yield _freshness(min(there, key=lambda each: each.stamp.next_update), issuer.name, remedy, now)


def _freshness(first: OwnList, issuer: str, remedy: str, now: datetime.datetime) -> Check:
    stamp, name = first.stamp, "ca-revocation-list"
    until = f"{stamp.next_update:%Y-%m-%d %H:%M} UTC"
    if stamp.next_update <= now:
        text = f"a list of {issuer} ended on {until}: who checks it refuses its certificates"
        return error(name, text, remedy)
    if now > stamp.next_update - (stamp.next_update - stamp.this_update) / 4:
        return warning(name, f"a list of {issuer} ends on {until}, and should have been made anew", remedy)
    return ok(name, f"the lists of {issuer} are good until {until}")


def check_certificates_in_use(config: Config) -> Iterator[Check]:
    """Of whichever CA: what the registry knows of their ends. Nothing where there is no registry of this release."""
    name = "certificates-in-use"
    try:
        url = parse_url(config.database_url)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return
        registry = Registry.open(config.database_url, migrate=False)
    except (OSError, StoreError, SQLAlchemyError):
        return  # `registry` says so
    try:
        now, (week, month) = time.time(), _CERTIFICATES_END_SOON_DAYS
        ends_within = {
            days: len(registry.inventory.find(now, month * _DAY_S, ends_before=now + days * _DAY_S))
            for days in _CERTIFICATES_END_SOON_DAYS
        }
    except (StoreError, SQLAlchemyError) as problem:
        yield error(name, f"the inventory cannot be read: {problem}", "Restore a backup.")
        return
    finally:
        registry.close()
    if ends_within[week]:
        text = f"{ends_within[week]} certificates end within a week, and their charge points have not renewed"
        yield warning(name, text, "See which: ocpp-gateway pki list --registry --expiring 7d")
    else:
        yield ok(name, f"none ends within a week, {ends_within[month]} within {month} days")
