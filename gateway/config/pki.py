"""Checks of `[pki]`, of the CA behind it, and of who gives charge points their certificates."""

import os
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Final
from urllib.parse import urlsplit

from gateway.config.authorities import CMP, EST, Command, Vault
from gateway.config.certificates import check_client_pair, check_pem, check_trust
from gateway.config.findings import Findings
from gateway.config.model import PKI, Config
from gateway.config.peers import check_secret, check_together, check_url
from gateway.config.positions import Path
from gateway.config.upgrades import check_known_firmware

__all__ = ["check_pki"]

_DAY_S: Final = 86_400
_LATEST_RENEWAL: Final = 0.9
_SHORTEST_S: Final = 60
"""Shorter ones would end before whoever fetches them has got to use them."""
_LONGEST_DAYS: Final = {"crl_lifetime_s": 100, "ocsp_lifetime_s": 10}
"""The signer signs no list for longer; responses end well before their responder's certificate, which has 30 days."""
_Positive = Callable[[object, Path, Findings], None]
_BACKENDS: Final = ("est", "vault", "command", "cmp")
_MARK: Final = "backend"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_pki(config: Config, findings: Findings, check_positive: _Positive) -> None:
    """Add every error and warning to `findings`."""
    pki = config.pki
    if not 0.0 < pki.renew_after < _LATEST_RENEWAL:
        findings.error(("pki", "renew_after"), f"must be more than 0 and less than {_LATEST_RENEWAL}")
    if pki.renewals_at_once < 0:
        findings.error(("pki", "renewals_at_once"), "must not be negative")
    for name in ("key_patience_s", "renew_retry_s", "retire_old_after_s", "min_validity_days", "max_validity_days"):
        check_positive(getattr(pki, name), ("pki", name), findings)
    for name, longest_days in _LONGEST_DAYS.items():
        lifetime_s = getattr(pki, name)
        if not _SHORTEST_S <= lifetime_s <= longest_days * _DAY_S:
            findings.error(("pki", name), f"must be between {_SHORTEST_S} s and {longest_days} days")
    for name in ("look_again_s", "quiet_s", "restart_s", "lost_after_s"):
        check_positive(getattr(config.upgrades, name), ("upgrades", name), findings)
    check_known_firmware(config.known_firmware, findings)
    if pki.backend == "embedded":
        _check_embedded(pki, findings)
    else:
        _check_backend(pki, findings, check_positive, allow_dev=config.unsafe_dev_certificates)
    for name in _BACKENDS:
        if name != pki.backend and getattr(pki, name) is not None:
            findings.error(("pki", name), f'has no meaning without backend = "{name}" in [pki]')
    _check_csms(config, findings)


def _check_embedded(pki: PKI, findings: Findings) -> None:
    if pki.ca and (FilePath(pki.ca) / _MARK).is_file():
        findings.error(("pki", "ca"), f'{pki.ca} belongs to another CA: name it with backend, or remove the key "ca"')
    elif pki.ca and not (FilePath(pki.ca) / "signer").is_dir():
        findings.error(
            ("pki", "ca"), f"{pki.ca} is not the directory of a CA: make one with `ocpp-gateway pki ceremony`"
        )
    if pki.roots:
        findings.error(("pki", "roots"), "the embedded CA has its own: roots are for another backend")


def _check_csms(config: Config, findings: Findings) -> None:
    for index, csms in enumerate(config.csms):
        if csms.certificates == "gateway" and not config.pki.ca:
            findings.error(
                ("csms", index, "certificates"), 'certificates "gateway" needs the directory of a CA: ca in [pki]'
            )
        if not csms.unsafe_enrolment_without_tls:
            continue
        place = ("csms", index, "unsafe_enrolment_without_tls")
        if csms.certificates == "gateway":
            findings.warning(place, "anybody between a charge point and the gateway can ask for its certificate")
        else:
            findings.error(place, 'has no meaning without certificates = "gateway"')


# -- another CA


def _check_backend(pki: PKI, findings: Findings, check_positive: _Positive, *, allow_dev: bool) -> None:
    if not pki.ca:
        findings.error(("pki", "ca"), "missing: requests to another CA and their approvals are kept in a directory")
    elif (FilePath(pki.ca) / "signer").is_dir():
        findings.error(("pki", "ca"), f"{pki.ca} is the directory of an embedded CA: give another CA one of its own")
    elif not FilePath(pki.ca).parent.is_dir():
        findings.error(("pki", "ca"), f"{FilePath(pki.ca).parent} does not exist")
    if not pki.roots:
        findings.error(("pki", "roots"), "missing: which roots must the certificates of this CA chain to?")
    for file in pki.roots:
        check_trust(file, ("pki", "roots"), findings, allow_dev=allow_dev)
    if pki.min_validity_days > pki.max_validity_days:
        findings.error(("pki", "min_validity_days"), "more than max_validity_days: no certificate could be right")
    table = getattr(pki, pki.backend)
    place: Path = ("pki", pki.backend)
    match table:
        case EST():
            _check_est(table, place, findings)
        case Vault():
            _check_vault(table, place, findings)
        case Command():
            _check_command(table, place, findings)
            check_positive(table.timeout_s, (*place, "timeout_s"), findings)
        case CMP():
            _check_cmp(table, place, findings)
            check_positive(table.timeout_s, (*place, "timeout_s"), findings)
        case _:
            findings.error(("pki", "backend"), f"[pki.{pki.backend}] is missing: it says how to reach this CA")


def _check_est(est: EST, place: Path, findings: Findings) -> None:
    check_url(est.url, ("https",), (*place, "url"), findings)
    check_pem(est.server_roots, (*place, "server_roots"), findings, allow_dev=True)
    if est.username and est.token_url:
        findings.error((*place, "token_url"), "a password or a token, not both")
    check_together(place, findings, username=est.username, password_file=est.password_file)
    check_together(
        place,
        findings,
        token_url=est.token_url,
        client_id=est.client_id,
        client_secret_file=est.client_secret_file,
    )
    if est.token_url:
        check_url(est.token_url, ("https",), (*place, "token_url"), findings)
    if ":" in est.username:
        findings.error((*place, "username"), "a user name with a colon cannot be told from its password")
    check_secret(est.password_file, (*place, "password_file"), findings)
    check_secret(est.client_secret_file, (*place, "client_secret_file"), findings)
    if est.certificate or est.key:
        check_client_pair(est.certificate, est.key, place, findings)
    if not (est.username or est.token_url or est.certificate):
        findings.warning(place, "neither password, token nor certificate: a CA that asks for none issues to anybody")


def _check_vault(vault: Vault, place: Path, findings: Findings) -> None:
    check_url(vault.address, ("https", "http"), (*place, "address"), findings)
    if vault.address.startswith("https:"):
        if vault.server_roots:
            check_pem(vault.server_roots, (*place, "server_roots"), findings, allow_dev=True)
        else:
            findings.error((*place, "server_roots"), "missing: which roots may vouch for this server?")
    elif vault.server_roots:
        findings.error((*place, "server_roots"), "has no meaning without https")
    elif urlsplit(vault.address).hostname not in _LOOPBACK:
        findings.error((*place, "address"), "http would show the token on the network: only to an agent on loopback")
    check_secret(vault.token_file, (*place, "token_file"), findings)


def _check_command(command: Command, place: Path, findings: Findings) -> None:
    program = command.command[0] if command.command else ""
    if not FilePath(program).is_absolute():
        findings.error((*place, "command"), "must begin with the absolute path of a program")
    elif not os.access(program, os.X_OK) or FilePath(program).is_dir():
        findings.error((*place, "command"), f"{program} is not a program that can be run")


def _check_cmp(cmp: CMP, place: Path, findings: Findings) -> None:
    check_url(cmp.server, ("http", "https"), (*place, "server"), findings)
    check_together(place, findings, reference=cmp.reference, secret_file=cmp.secret_file)
    check_secret(cmp.secret_file, (*place, "secret_file"), findings)
    if cmp.certificate or cmp.key:
        check_client_pair(cmp.certificate, cmp.key, place, findings)
    if bool(cmp.secret_file) == bool(cmp.certificate):
        findings.error(place, "needs either reference and secret_file, or certificate and key")
    if cmp.server_roots:
        check_pem(cmp.server_roots, (*place, "server_roots"), findings, allow_dev=True)
    elif cmp.certificate:
        findings.error((*place, "server_roots"), "missing: which roots may vouch for the server's signature?")
