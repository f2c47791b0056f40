"""Checks of `[server_certificates]`, and of the listeners that live by it."""

import os
import re
import tomllib
from pathlib import Path as FilePath
from typing import Any, Final

from gateway.config.certificates import check_pem
from gateway.config.findings import Findings
from gateway.config.model import Config, ListenerTLS
from gateway.config.own_certificates import ACME
from gateway.config.peers import check_secret, check_together, check_url, split_address
from gateway.config.positions import Path

__all__ = ["check_own_certificates", "check_source_of_certificates"]

_LABEL: Final = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+(?!\d+$){_LABEL}")
_MAX_CN_CHARACTERS: Final = 64
_PLACE: Final = "server_certificates"
_PROFILE: Final = "CSMSCertificate"


def check_source_of_certificates(tls: ListenerTLS, path: Path, findings: Findings) -> None:
    """A listener's certificates come from files, or are the gateway's own."""
    if tls.automatic_certificates and tls.certificates:
        findings.error((*path, "automatic_certificates"), "either files in certificates, or automatic_certificates")
    if tls.automatic_certificates and tls.next_certificates:
        findings.error(
            (*path, "next_certificates"), "they follow on files in certificates, not on automatic_certificates"
        )
    if not tls.automatic_certificates and not tls.certificates:
        findings.error((*path, "certificates"), "no [[listener.tls.certificates]], and no automatic_certificates")


def check_own_certificates(config: Config, findings: Findings) -> None:
    """Add every error and warning to `findings`."""
    own = config.server_certificates
    users = [each.name for each in config.listeners if each.tls is not None and each.tls.automatic_certificates]
    if not users:
        if own.names:
            findings.warning((_PLACE,), "no listener has automatic_certificates = true: nothing is asked for")
        return
    if not own.names:
        findings.error((_PLACE, "names"), f"missing: which host names do charge points use for {', '.join(users)}?")
    for name in own.names:
        if name.startswith("*"):
            findings.error((_PLACE, "names"), f"{name!r}: charge points refuse wildcards without AllowCSMSTLSWildcards")
        elif not _HOST_NAME.fullmatch(name):
            findings.error((_PLACE, "names"), f"{name!r} is not a fully qualified host name (A00.FR.309, 510)")
    if own.names and len(own.names[0]) > _MAX_CN_CHARACTERS:
        findings.error((_PLACE, "names"), f"the first is the CN, which may have {_MAX_CN_CHARACTERS} characters")
    _check_keys(config, findings)
    if own.acme is not None:
        _check_acme(own.acme, own.ca, config, findings)
    else:
        _check_embedded(config, findings)


def _check_acme(acme: ACME, ca: str, config: Config, findings: Findings) -> None:
    place: Path = (_PLACE, "acme")
    if ca:
        findings.error((_PLACE, "ca"), "either an embedded CA or an ACME one")
    if not acme.agree_to_terms:
        findings.error((*place, "agree_to_terms"), "must be true: read the CA's terms of service first")
    check_url(acme.directory, ("https",), (*place, "directory"), findings)
    if acme.roots:
        check_pem(acme.roots, (*place, "roots"), findings, allow_dev=config.unsafe_dev_certificates)
    check_together(place, findings, eab_key_id=acme.eab_key_id, eab_key_file=acme.eab_key_file)
    check_secret(acme.eab_key_file, (*place, "eab_key_file"), findings)
    for contact in acme.contact:
        if not contact.startswith("mailto:"):
            findings.error((*place, "contact"), f"{contact!r} does not begin with mailto:")
    try:
        split_address(acme.http_address)
    except ValueError:
        findings.error((*place, "http_address"), f"{acme.http_address!r} is not an IP address with a port")


def _check_keys(config: Config, findings: Findings) -> None:
    keys = config.server_certificates.keys
    if len(set(keys)) != len(keys):
        findings.error((_PLACE, "keys"), "one of them is there twice")
    for family, words in (("ec-", "ECDSA"), ("rsa-", "RSA")):
        if keys and not any(key.startswith(family) for key in keys):
            findings.warning((_PLACE, "keys"), f"no {words} key: charge points that support only that cannot connect")
    if not keys:
        findings.error((_PLACE, "keys"), "empty: there would be no certificate")


def _check_embedded(config: Config, findings: Findings) -> None:
    own = config.server_certificates
    directory = own.ca or config.pki.ca
    if not directory:
        findings.error((_PLACE, "ca"), "missing: the directory of a CA with an issuing CA for servers (docs/pki.md)")
    elif not (FilePath(directory) / "signer").is_dir():
        findings.error((_PLACE, "ca"), f"{directory} is not the directory of an embedded CA (docs/pki.md)")
    else:
        _check_issuing(FilePath(directory) / "signer", own.names, findings)
    if not own.organization and not config.operator_names:
        findings.error((_PLACE, "organization"), "missing, and there are no operator_names to take it from")


def _check_issuing(signer: FilePath, names: tuple[str, ...], findings: Findings) -> None:
    """One of its issuing CAs serves the names. The signer may have settings that only it can read, and others to come."""
    if not os.access(signer, os.R_OK | os.X_OK):
        return
    try:
        tables = [tomllib.loads(file.read_text("utf-8")) for file in sorted(signer.glob("*.toml"))]
    except (OSError, ValueError):
        return
    serving = [table for table in tables if _PROFILE in _texts(table, "profiles")]
    if not serving:
        findings.warning(
            (_PLACE, "ca"), f'{signer} has no issuing CA for servers: a ceremony with use = "csms" makes one'
        )
        return
    domains = [domain.lower() for table in serving for domain in _texts(table, "domains")]
    for name in map(str.lower, names):
        if not any(name == domain or name.endswith(f".{domain}") for domain in domains):
            findings.warning((_PLACE, "names"), f"{name} is in none of the CA's domains: {', '.join(domains)}")


def _texts(table: dict[str, Any], key: str) -> list[str]:
    found = table.get(key)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
