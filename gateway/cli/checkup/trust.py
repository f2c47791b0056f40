"""Trust bundles: until when their roots are good, and whether the revocation lists that are at hand can be believed."""

import datetime
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from gateway.cli.checkup.certificates import check_anchors
from gateway.cli.checkup.check import Check, error, ok, warning
from gateway.config.model import Config, Trust
from gateway.config.trust import is_url
from gateway.control.crl_source import CRLSource
from gateway.control.trust import certificates_in
from pki.foreign_crl import CRLRejected, ForeignCRL, read_crl

__all__ = ["check_trust_bundles"]


def check_trust_bundles(config: Config, now: datetime.datetime) -> Iterator[Check]:
    """Of every bundle. Nothing is fetched: what a running gateway has fetched last is looked at."""
    cache = Path(config.state_dir) / "revocation-lists"
    for bundle in config.trust:
        for path in bundle.roots:
            yield from check_anchors(f"trust bundle {bundle.name}", path, now)
        issuers = [certificate for path in bundle.roots for certificate in _read(path)]
        for where in bundle.crl:
            yield _list(bundle, CRLSource(bundle, where, issuers, cache), issuers, now)


def _list(bundle: Trust, source: CRLSource, issuers: list[x509.Certificate], now: datetime.datetime) -> Check:
    what = f"revocation list {source.where} of trust bundle {bundle.name}"
    fetched = is_url(source.where)
    try:
        data = (source.cache if fetched else Path(source.where)).read_bytes()
        found = read_crl(data, issuers, now)
    except OSError as failure:
        why = "has never been fetched" if fetched else f"cannot be read: {failure.strerror}"
        return _lacking(bundle, f"{what} {why}")
    except CRLRejected as rejected:
        return _lacking(bundle, f"{what} is not believed: {rejected}")
    return _aged(bundle, what, found, now)


def _aged(bundle: Trust, what: str, found: ForeignCRL, now: datetime.datetime) -> Check:
    until = f"{found.next_update:%Y-%m-%d %H:%M} UTC"
    if found.next_update < now:
        return _lacking(bundle, f"{what} ended on {until}")
    if found.next_update < now + datetime.timedelta(seconds=bundle.warn_before_s) / 2:
        return warning("revocation-list", f"{what} ends on {until}", "See that its issuer publishes the next one.")
    return ok("revocation-list", f"{what}: number {found.number}, {len(found.revoked)} revoked, until {until}")


def _lacking(bundle: Trust, message: str) -> Check:
    """What it means depends on the bundle."""
    remedy = "See docs/revocation.md, or ask the issuer for a newer one."
    if bundle.revocation == "hard" and not bundle.ocsp:
        return error("revocation-list", f"{message}; the bundle refuses new connections", remedy)
    return warning("revocation-list", f"{message}; revocations of that issuer are not known", remedy)


def _read(path: str) -> list[x509.Certificate]:
    try:
        return certificates_in(Path(path).read_bytes())
    except OSError:
        return []
