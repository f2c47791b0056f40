"""Certificates the configuration names: until when, whose key, which chain, which name.

What makes a configuration unusable is found by `gateway.config`; here is what charge points would stumble over.
"""

import contextlib
import datetime
import ipaddress
import itertools
import re
import ssl
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from gateway.cli.checkup.check import Check, error, ok, warning
from gateway.config.model import CertificateFiles, Config, Listener
from gateway.control.own_certificate_files import own_certificate_path, read_own
from pki.unreadable import UNREADABLE

__all__ = ["check_anchors", "check_certificates"]

_DAY: Final = datetime.timedelta(days=1)
_SOON: Final = 21 * _DAY
_TRUST_SOON: Final = 90 * _DAY
_FQDN: Final = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", re.IGNORECASE
)
_MIN_RSA_BITS: Final = 2048
_DEV: Final = "DEV ONLY"


def check_certificates(config: Config, now: datetime.datetime) -> Iterator[Check]:
    """Of every listener and CSMS."""
    roots = _known_roots(config)
    for listener in config.listeners:
        if listener.tls is not None:
            yield from _listener(listener, roots, now)
    if any(listener.tls is not None and listener.tls.automatic_certificates for listener in config.listeners):
        yield from _own(config, roots, now)
    for csms in config.csms:
        if csms.certificate and csms.key:
            files = CertificateFiles(certificate=csms.certificate, key=csms.key)
            yield from _pair(f"client certificate for CSMS {csms.name}", files, now)
        if csms.ca:
            yield from check_anchors(f"trust for CSMS {csms.name}", csms.ca, now)


def _listener(listener: Listener, roots: Sequence[x509.Certificate], now: datetime.datetime) -> Iterator[Check]:
    assert listener.tls is not None
    kinds: set[str] = set()
    for files in listener.tls.certificates:
        chain = _read(files.certificate)
        if not chain:
            continue
        kinds.add(_kind(chain[0]))
        what = f"{_kind(chain[0]) or 'unusable'} certificate of listener {listener.name}"
        yield from _pair(what, files, now)
        yield from _chain(what, chain, roots)
        yield from _name(what, chain[0])
    for missing in sorted({"RSA", "ECDSA"} - kinds) if kinds else ():
        yield warning(
            "certificate-kinds",
            f"listener {listener.name} has no {missing} certificate: charge points that know only {missing} cannot connect",
            f"Add a [[listener.tls.certificates]] with a {missing} key (A00.FR.318/421).",
        )
    for path in listener.tls.client_trust:
        yield from check_anchors(f"trust of listener {listener.name}", path, now)


def _own(config: Config, roots: Sequence[x509.Certificate], now: datetime.datetime) -> Iterator[Check]:
    """What the gateway has got for itself. A quarter of its life before the end it should have another one."""
    for kind in config.server_certificates.keys:
        path = own_certificate_path(config, kind)
        what, found = f"the gateway's own {kind} certificate", read_own(path)
        if found is None:
            remedy = (
                "Start the gateway; ocpp-gateway status and the event server_certificate.renewal_failed say why not."
            )
            yield warning("server-certificate", f"{what} is not there yet", remedy)
            continue
        leaf = found.chain[0]
        quarter = (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / 4
        check = _validity("server-certificate", what, found.chain, now, quarter)
        remedy = "It should have been renewed: see ocpp-gateway status and the event server_certificate.renewal_failed."
        yield check if check.level == "ok" else msgspec.structs.replace(check, remedy=remedy)
        if path.stat().st_mode & 0o077:
            yield error("server-certificate", f"{path} can be read by others", f"chmod 600 {path}")
        yield from _chain(what, found.chain, roots)
        yield from _name(what, leaf)


def _pair(what: str, files: CertificateFiles, now: datetime.datetime) -> Iterator[Check]:
    """Its time, and whether the key is its own."""
    chain = _read(files.certificate)
    if not chain:
        yield error(
            "certificate", f"{what}: {files.certificate} holds no certificate that can be read", "Put it there, as PEM."
        )
        return
    yield _validity("certificate", what, chain, now, _SOON)
    try:
        key: Any = load_pem_private_key(Path(files.key).read_bytes(), None)
        matches = key.public_key() == _public_key(chain[0])
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        yield error(
            "certificate-key",
            f"{what}: {files.key} holds no key that can be read",
            "Put it there, as PEM, not encrypted.",
        )
        return
    if not matches:
        yield error(
            "certificate-key", f"{what}: {files.key} is the key of another certificate", "Put the right key there."
        )


def _validity(
    check: str, what: str, chain: Sequence[x509.Certificate], now: datetime.datetime, soon: datetime.timedelta
) -> Check:
    """The first of the chain to end decides."""
    ends = min(certificate.not_valid_after_utc for certificate in chain)
    starts = max(certificate.not_valid_before_utc for certificate in chain)
    remedy = "Renew it, replace the file, and reload with SIGHUP."
    if now < starts:
        return error(
            check, f"{what} is not valid before {starts:%Y-%m-%d %H:%M} UTC", "Check the clock, or the certificate."
        )
    if now > ends:
        return error(check, f"{what} expired on {ends:%Y-%m-%d %H:%M} UTC", remedy)
    message = f"{what} is valid until {ends:%Y-%m-%d} ({(ends - now) // _DAY} days)"
    return warning(check, message, remedy) if ends - now < soon else ok(check, message)


def _chain(what: str, chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> Iterator[Check]:
    """Leaf first, each one issued by the next; charge points have the root and nothing else."""
    check = "certificate-chain"
    for lower, upper in itertools.pairwise(chain):
        if not _issued(lower, upper):
            yield error(
                check,
                f"{what}: '{_subject(upper)}' in the file did not issue '{_subject(lower)}' before it",
                "Order the file: the server's certificate, then the CA that issued it, and so on, without the root.",
            )
            return
    last = chain[-1]
    if _issued(last, last):
        if len(chain) > 1:
            yield warning(
                check, f"{what}: the root is in the file", "Leave it out: charge points have it, or do not trust it."
            )
        else:
            yield warning(
                check, f"{what} is self-signed", "Charge points must install this very certificate as their root."
            )
        return
    issuers = [root for root in roots if _issued(last, root)]
    if issuers and not any(_issued(root, root) for root in issuers):
        yield error(check, f"{what}: the intermediate '{_subject(issuers[0])}' is missing", "Append it to the file.")
    elif not issuers and len(chain) == 1 and _names_its_issuer(last):
        yield warning(
            check,
            f"{what} stands alone, and its issuer '{last.issuer.rfc4514_string()}' is no root known here",
            "If that is an intermediate, append it to the file.",
        )
    else:
        yield ok(check, f"{what}: charge points must have the root '{last.issuer.rfc4514_string()}'")


def _name(what: str, leaf: x509.Certificate) -> Iterator[Check]:
    """CN is the one FQDN that charge points use (A00.FR.308/309, 511)."""
    check = "certificate-name"
    remedy = "Have it issued with the host name that charge points use as its one CN, and as a subjectAltName."
    names = [str(attribute.value) for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1:
        yield warning(check, f"{what} has {len(names)} CNs", remedy)
    elif names[0].startswith("*"):
        yield warning(
            check, f"{what}: charge points refuse the wildcard {names[0]} without AllowCSMSTLSWildcards", remedy
        )
    elif not _FQDN.fullmatch(names[0]) and _DEV not in _subject(leaf):
        yield warning(check, f"{what}: its CN '{names[0]}' is not a fully qualified host name", remedy)
    elif not _in_alternative_names(names[0], leaf):
        yield warning(check, f"{what}: its CN '{names[0]}' is not among its subjectAltNames", remedy)
    usages = _extension(leaf, x509.ExtendedKeyUsage)
    if usages is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        yield error(check, f"{what} is not for TLS servers", "Have it issued with the extended key usage serverAuth.")
    key = _public_key(leaf)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        yield error(check, f"{what} has an RSA key of {key.key_size} bits", "Use 2048 bits or more (A00.FR.501-503).")


def check_anchors(what: str, path: str, now: datetime.datetime) -> Iterator[Check]:
    """Until when the certificates of a file of trust anchors are good."""
    for certificate in _read(path):
        yield _validity("trust", f"{what}: '{_subject(certificate)}'", [certificate], now, _TRUST_SOON)


def _known_roots(config: Config) -> list[x509.Certificate]:
    """The system's, and all that the configuration trusts."""
    paths = [csms.ca for csms in config.csms if csms.ca]
    for listener in config.listeners:
        paths.extend(listener.tls.client_trust if listener.tls else ())
    paths.extend(path for bundle in config.trust for path in bundle.roots)
    found = [certificate for path in paths for certificate in _read(path)]
    with warnings.catch_warnings():
        # Some systems trust old roots that bend the rules of X.509; that is not our reader's business.
        warnings.simplefilter("ignore")
        for der in _system_roots():
            with contextlib.suppress(*UNREADABLE):
                found.append(x509.load_der_x509_certificate(der))
    return found


def _system_roots() -> list[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context.get_ca_certs(binary_form=True)


def _read(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except (OSError, *UNREADABLE):
        return []


def _issued(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    if lower.issuer != upper.subject:
        return False
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def _names_its_issuer(certificate: x509.Certificate) -> bool:
    access = _extension(certificate, x509.AuthorityInformationAccess)
    return access is not None and any(
        description.access_method == AuthorityInformationAccessOID.CA_ISSUERS for description in access
    )


def _in_alternative_names(name: str, leaf: x509.Certificate) -> bool:
    names = _extension(leaf, x509.SubjectAlternativeName)
    if names is None:
        return False
    try:
        return ipaddress.ip_address(name) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        return name.lower() in [each.lower() for each in names.get_values_for_type(x509.DNSName)]


def _public_key(certificate: x509.Certificate) -> Any:
    """None if it is of a kind that nobody can use."""
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _kind(certificate: x509.Certificate) -> str:
    key = _public_key(certificate)
    return "RSA" if isinstance(key, rsa.RSAPublicKey) else "ECDSA" if isinstance(key, ec.EllipticCurvePublicKey) else ""


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
