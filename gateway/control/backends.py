"""The other CA of a configuration, ready to be asked: `[pki] backend` and its table, with the files that they name."""

import datetime
from pathlib import Path

from cryptography import x509

from gateway.config.authorities import CMP, EST, Command, Vault
from gateway.config.model import PKI
from pki.backends.cmp import CMPBackend, CMPSettings
from pki.backends.command import CommandBackend, CommandSettings
from pki.backends.est import ESTBackend, ESTSettings, OAuth2Client
from pki.backends.http import TLSFiles
from pki.backends.interface import Backend
from pki.backends.vault import VaultBackend, VaultSettings
from pki.errors import Misconfigured
from pki.secrets_at_rest import read_private_file
from pki.unreadable import UNREADABLE

__all__ = ["anchors_of", "backend_of"]

Anchors = tuple[x509.Certificate, ...]


def backend_of(pki: PKI) -> Backend:
    """Raises Misconfigured for files that cannot be used. No word of it shows a secret."""
    anchors = anchors_of(pki)
    match getattr(pki, pki.backend):
        case EST() as est:
            return ESTBackend(_est(est, anchors), _now)
        case Vault() as vault:
            return VaultBackend(_vault(vault, anchors), _now)
        case Command() as command:
            settings = CommandSettings(command=command.command, anchors=anchors, timeout_s=command.timeout_s)
            return CommandBackend(settings, _now)
        case CMP() as cmp:
            return CMPBackend(_cmp(cmp, anchors), _now)
        case _:
            raise Misconfigured(f"[pki.{pki.backend}] is missing")


def anchors_of(pki: PKI) -> Anchors:
    """The roots that certificates of the other CA must chain to. Raises Misconfigured."""
    found: list[x509.Certificate] = []
    for file in pki.roots:
        try:
            found += x509.load_pem_x509_certificates(Path(file).read_bytes())
        except OSError as error:
            raise Misconfigured(f"{file}: {error.strerror}") from None
        except UNREADABLE:
            raise Misconfigured(f"{file} holds no PEM certificates") from None
    return tuple(found)


def _est(est: EST, anchors: Anchors) -> ESTSettings:
    oauth2 = None
    if est.token_url:
        secret = _secret(est.client_secret_file)
        oauth2 = OAuth2Client(token_url=est.token_url, client_id=est.client_id, client_secret=secret)
    tls = TLSFiles(ca_pem=_text(est.server_roots), certificate_file=est.certificate, key_file=est.key)
    return ESTSettings(
        url=est.url,
        tls=tls,
        anchors=anchors,
        username=est.username,
        password=_secret(est.password_file),
        oauth2=oauth2,
        enroll_path=est.enroll_path,
    )


def _vault(vault: Vault, anchors: Anchors) -> VaultSettings:
    return VaultSettings(
        address=vault.address,
        role=vault.role,
        token=_secret(vault.token_file),
        tls=TLSFiles(ca_pem=_text(vault.server_roots)) if vault.server_roots else None,
        anchors=anchors,
        mount=vault.mount,
        namespace=vault.namespace,
        ttl=vault.ttl,
    )


def _cmp(cmp: CMP, anchors: Anchors) -> CMPSettings:
    return CMPSettings(
        server=cmp.server,
        path=cmp.path,
        recipient=cmp.recipient,
        trusted_pem=_text(cmp.server_roots),
        anchors=anchors,
        reference=cmp.reference,
        secret_file=cmp.secret_file,
        certificate_file=cmp.certificate,
        key_file=cmp.key,
        timeout_s=cmp.timeout_s,
    )


def _text(file: str) -> str:
    try:
        return Path(file).read_text("ascii") if file else ""
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Misconfigured(f"{file} holds no PEM certificates") from None


def _secret(file: str) -> str:
    try:
        return read_private_file(Path(file)).decode().rstrip("\r\n") if file else ""
    except UnicodeDecodeError:
        raise Misconfigured(f"{file}: not text") from None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
