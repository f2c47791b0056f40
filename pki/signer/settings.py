"""The signer's directory: one TOML file for each issuing CA, as a ceremony writes it, with its certificates beside it."""

import datetime
import importlib
import math
import os
from pathlib import Path
from types import ModuleType
from typing import Final

import msgspec
from cryptography import x509

from pki.errors import Misconfigured
from pki.file_modes import verify_only_owner_writes
from pki.issuer import Issuer
from pki.keys import PrivateKey
from pki.profiles import END_ENTITY_PROFILES, CertificateProfile
from pki.secrets_at_rest import credential_path, load_private_key, read_secret
from pki.template import Publication
from pki.unreadable import UNREADABLE

__all__ = [
    "MAX_LIFETIME_DAYS",
    "IssuerSettings",
    "KeySettings",
    "TokenSettings",
    "issuer_certificates",
    "load_issuers",
    "open_key",
    "parse_settings",
    "pkcs11_keys",
    "read_pin",
    "responder_secrets",
]

_MAX_FILE_BYTES: Final = 100_000
MAX_LIFETIME_DAYS: Final = 3660
"""Of any certificate that is issued here."""


class TokenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key in a PKCS#11 token."""

    module: str
    token: str
    label: str
    pin_file: str = ""
    pin_credential: str = ""


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a private key is: a file with its secret, or a token."""

    file: str = ""
    secret_file: str = ""
    secret_credential: str = ""
    pkcs11: TokenSettings | None = None
    unsafe_unencrypted: bool = False


class _PublicationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    crl_url: str = ""
    crl_shards: int = 1
    ocsp_url: str = ""
    issuer_url: str = ""


class IssuerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An issuing CA, as a ceremony writes it."""

    certificate: str
    profiles: tuple[str, ...]
    organizations: tuple[str, ...]
    key: KeySettings
    domains: tuple[str, ...] = ()
    lifetime_days: dict[str, float] = {}
    publication: _PublicationSettings = _PublicationSettings()

    def issuer(self, name: str, certificates: list[x509.Certificate], where: str) -> Issuer:
        """The issuing CA, with its certificate and those above it. Raises Misconfigured."""
        publication = self.publication
        return Issuer(
            name=name,
            certificate=certificates[0],
            chain=tuple(certificates[1:]),
            profiles=tuple(_profile(self, each, where) for each in self.profiles),
            organizations=self.organizations,
            domains=self.domains,
            publication=Publication(
                crl_url=publication.crl_url,
                crl_shards=publication.crl_shards,
                ocsp_url=publication.ocsp_url,
                issuer_url=publication.issuer_url,
            ),
        )


def load_issuers(directory: Path) -> dict[str, tuple[Issuer, PrivateKey]]:
    """All issuing CAs in the directory, each with its key. Raises Misconfigured; empty is a mistake, too."""
    files = sorted(directory.glob("*.toml"))
    if not files:
        raise Misconfigured(f"{directory} has no issuing CA: make one with `ocpp-gateway pki ceremony`")
    return {file.stem: _load(file) for file in files}


def issuer_certificates(directory: Path) -> list[x509.Certificate]:
    """Of all issuing CAs in the directory, without looking at their keys. Raises Misconfigured, OSError."""
    found = []
    for file in sorted(directory.glob("*.toml")):
        settings = parse_settings(_read(file), str(file))
        found.append(_certificates(file.parent / settings.certificate)[0])
    return found


def responder_secrets(directory: Path) -> dict[str, bytes | None]:
    """With what the keys of OCSP responders are encrypted in files, by issuing CA; None where the CA's own key is not either.

    It is the secret of the CA's key. One whose key is in a token is left out: its responders' keys are in memory. Raises
    Misconfigured.
    """
    found = {}
    for file in sorted(directory.glob("*.toml")):
        settings = parse_settings(_read(file), str(file))
        if settings.key.file:
            found[file.stem] = _secret(settings.key, directory)
    return found


def _load(file: Path) -> tuple[Issuer, PrivateKey]:
    try:
        settings = parse_settings(_read(file), str(file))
        issuer = settings.issuer(file.stem, _certificates(file.parent / settings.certificate), str(file))
    except ValueError as error:
        raise Misconfigured(f"{file}: {error}") from None
    except OSError as error:
        raise Misconfigured(f"{error.filename}: {error.strerror}") from None
    return issuer, open_key(settings.key, file.parent, str(file))


def parse_settings(data: bytes, where: str) -> IssuerSettings:
    """An issuing CA's file. Raises Misconfigured."""
    try:
        return msgspec.toml.decode(data[:_MAX_FILE_BYTES], type=IssuerSettings)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Misconfigured(f"{where}: {error}") from None


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except UNREADABLE:
        raise Misconfigured(f"{path} holds no certificates in PEM: put the ceremony's there") from None


def _read(path: Path) -> bytes:
    """Of a file that nobody else can change."""
    with path.open("rb") as file:
        verify_only_owner_writes(path, os.fstat(file.fileno()))
        return file.read()


def _profile(settings: IssuerSettings, name: str, where: str) -> CertificateProfile:
    profile = END_ENTITY_PROFILES.get(name)
    if profile is None:
        raise Misconfigured(f"{where}: no certificate profile {name!r}; there are {', '.join(END_ENTITY_PROFILES)}")
    days = settings.lifetime_days.get(name)
    if days is None:
        return profile
    if not math.isfinite(days) or days > MAX_LIFETIME_DAYS:
        raise Misconfigured(f"{where}: lifetime_days of {name} is more than {MAX_LIFETIME_DAYS}")
    return profile.with_lifetime(datetime.timedelta(days=days))


def open_key(settings: KeySettings, directory: Path, where: str) -> PrivateKey:
    """The private key. Raises Misconfigured."""
    if bool(settings.file) == (settings.pkcs11 is not None):
        raise Misconfigured(f"{where}: key needs either a file or pkcs11")
    if settings.pkcs11 is not None:
        token = settings.pkcs11
        pin = read_pin(token, directory, where)
        key: PrivateKey = pkcs11_keys().open_token_key(Path(token.module), token.token, token.label, pin)
        return key
    secret = _secret(settings, directory)
    if secret is None and not settings.unsafe_unencrypted:
        raise Misconfigured(f"{where}: key needs a secret_file or a secret_credential")
    return load_private_key(directory / settings.file, secret)


def pkcs11_keys() -> ModuleType:
    """`pki.signer.pkcs11`, imported only where a token is configured. Raises Misconfigured without its library."""
    try:
        return importlib.import_module("pki.signer.pkcs11")
    except ImportError:
        raise Misconfigured("keys in PKCS#11 tokens need another package: pip install 'ocpp-gateway[pkcs11]'") from None


def _secret(settings: KeySettings, directory: Path) -> bytes | None:
    if settings.secret_credential:
        return read_secret(credential_path(settings.secret_credential))
    return read_secret(directory / settings.secret_file) if settings.secret_file else None


def read_pin(token: TokenSettings, directory: Path, where: str) -> str:
    """The PIN of a token; it is stretched and counted by the token, so it may be short. Raises Misconfigured."""
    from pki.secrets_at_rest import read_private_file

    if token.pin_credential:
        path = credential_path(token.pin_credential)
    elif token.pin_file:
        path = directory / token.pin_file
    else:
        raise Misconfigured(f"{where}: pkcs11 needs a pin_file or a pin_credential")
    try:
        return read_private_file(path).decode().strip()
    except UnicodeDecodeError:
        raise Misconfigured(f"{path}: not text") from None
