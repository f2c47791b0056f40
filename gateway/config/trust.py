"""Checks of trust bundles: whose roots they are, for what, and how revocations are learnt."""

from collections.abc import Callable
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.config.certificates import check_trust
from gateway.config.findings import Findings
from gateway.config.model import Config, ListenerTLS, Trust
from gateway.config.positions import Path
from gateway.config.suggest import did_you_mean
from gateway.ocpp.unreadable import UNREADABLE

__all__ = ["check_trust_bundles", "check_trust_of_listener", "is_url"]


def is_url(text: str) -> bool:
    """True for what is fetched rather than read from a file."""
    return text.startswith(("http://", "https://"))


def check_trust_bundles(config: Config, findings: Findings, positive: Callable[[object, Path, Findings], None]) -> None:
    """Every [[trust]] of the configuration. `positive`: the check of a number."""
    used = {name for listener in config.listeners if listener.tls is not None for name in listener.tls.trust}
    owners: dict[str, str] = _own_anchors(config)
    for index, bundle in enumerate(config.trust):
        path: Path = ("trust", index)
        ours = set(config.operator_names) if bundle.use != "own" else set[str]()
        _check_bundle(bundle, path, findings, ours, allow_dev=config.unsafe_dev_certificates)
        for name in ("refresh_s", "warn_before_s"):
            positive(getattr(bundle, name), (*path, name), findings)
        for anchor in _anchors(bundle.roots):
            owner = owners.setdefault(anchor, f"trust bundle {bundle.name}")
            if owner != f"trust bundle {bundle.name}":
                # Which rules would hold for its certificates?
                findings.error((*path, "roots"), f"a root of it is also in {owner}")
        if bundle.name not in used:
            findings.warning(path, f"trust bundle {bundle.name} is named by no listener")


def _check_bundle(bundle: Trust, path: Path, findings: Findings, ours: set[str], *, allow_dev: bool) -> None:
    if not bundle.roots:
        findings.error((*path, "roots"), "empty: it would vouch for nobody")
    for file in bundle.roots:
        check_trust(file, (*path, "roots"), findings, allow_dev=allow_dev)
    if bundle.use != "own" and not bundle.operator_names:
        findings.error(
            (*path, "operator_names"),
            f'empty: for use "{bundle.use}" say which names (O) these roots may vouch for, or they vouch for nobody',
        )
    for name in sorted(ours & set(bundle.operator_names)):
        findings.error(
            (*path, "operator_names"), f'{name!r} is your own: roots for use "{bundle.use}" must not vouch for it'
        )
    if bundle.revocation == "hard" and not bundle.crl and not bundle.ocsp:
        findings.error((*path, "revocation"), '"hard" without crl and without ocsp would refuse everybody')
    for source in bundle.crl:
        _check_source(source, (*path, "crl"), findings)
    if bundle.ocsp:
        _check_url(bundle.ocsp, (*path, "ocsp"), findings)


def _check_source(source: str, path: Path, findings: Findings) -> None:
    if is_url(source):
        _check_url(source, path, findings)
        return
    try:
        with FilePath(source).open("rb"):
            pass
    except OSError as error:
        # It may be about to be written by somebody else; until then the bundle's policy decides.
        findings.warning(path, f"{source}: {error.strerror}")


def _check_url(url: str, path: Path, findings: Findings) -> None:
    try:
        parts = urlsplit(url)
        usable = is_url(url) and bool(parts.hostname) and parts.username is None and parts.password is None
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        findings.error(path, "must be an http:// or https:// address without user and password")


def _own_anchors(config: Config) -> dict[str, str]:
    """Roots that listeners name themselves, and by which listener."""
    found: dict[str, str] = {}
    for listener in config.listeners:
        if listener.tls is not None:
            found |= dict.fromkeys(_anchors(listener.tls.client_trust), f"client_trust of listener {listener.name}")
    return found


def _anchors(files: tuple[str, ...]) -> set[str]:
    """Fingerprints of the certificates in files; what cannot be read has its finding elsewhere."""
    found: set[str] = set()
    for file in files:
        try:
            certificates = x509.load_pem_x509_certificates(FilePath(file).read_bytes())
        except (OSError, *UNREADABLE):
            continue
        found |= {certificate.fingerprint(hashes.SHA256()).hex() for certificate in certificates}
    return found


def check_trust_of_listener(config: Config, tls: ListenerTLS, path: Path, findings: Findings) -> None:
    """The bundles that a listener names, and whether it trusts anybody at all."""
    names = [bundle.name for bundle in config.trust]
    for name in tls.trust:
        if name not in names:
            findings.error((*path, "trust"), f"there is no [[trust]] named {name!r}", did_you_mean(name, names))
    if tls.client_certificate != "none" and not tls.client_trust and not tls.trust:
        findings.error((*path, "client_trust"), "empty: no client certificate could be trusted")
    if tls.expired_certificates == "by-registry" and tls.client_certificate == "none":
        findings.error((*path, "expired_certificates"), "there are no client certificates on this listener")
