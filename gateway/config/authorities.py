"""Other CAs behind `[pki] backend`: a table for each kind (docs/backends.md). Secrets are in files that they name."""

from typing import Literal

import msgspec

__all__ = ["CMP", "EST", "BackendName", "Command", "Vault"]

BackendName = Literal["embedded", "est", "vault", "command", "cmp"]


class EST(msgspec.Struct, frozen=True, kw_only=True):
    """A CA behind EST (RFC 7030), for `[pki]` backend "est"."""

    url: str
    """``https://``, up to and without ``/simpleenroll``, e.g. ``https://est.example.com/.well-known/est/label``."""
    server_roots: str
    """PEM file with the roots that may vouch for this server; never the system's."""
    username: str = ""
    """For Basic authentication."""
    password_file: str = ""
    """File with its password: one line, mode 0600."""
    certificate: str = ""
    """Client certificate chain, where the server wants one; alone or beside a password or a token."""
    key: str = ""
    """Its private key, mode 0600."""
    token_url: str = ""
    """``https://`` address of the token endpoint, for OAuth2 (client credentials) in place of a password."""
    client_id: str = ""
    """For OAuth2."""
    client_secret_file: str = ""
    """For OAuth2: file with the client's secret: one line, mode 0600."""
    enroll_path: str = "/simpleenroll"
    """Behind `url`; some servers have a path for each kind of certificate."""


class Vault(msgspec.Struct, frozen=True, kw_only=True):
    """HashiCorp Vault or OpenBao, for `[pki]` backend "vault"."""

    address: str
    """``https://vault.example.com:8200``; ``http://`` to an agent on this machine only."""
    role: str
    """Of the mount; docs/backends.md says how it must be set up."""
    token_file: str
    """File with the token: one line, mode 0600."""
    server_roots: str = ""
    """PEM file with the roots that may vouch for this server; needed for https."""
    mount: str = "pki"
    """Path of the secrets engine."""
    namespace: str = ""
    """Where Vault has namespaces."""
    ttl: str = "90d"
    """Lifetime asked for."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command of your own that asks the CA, for `[pki]` backend "command"."""

    command: tuple[str, ...]
    """Program (an absolute path) and arguments; no shell reads them."""
    timeout_s: float = 60.0
    """After which it is ended, with all that it has started."""


class CMP(msgspec.Struct, frozen=True, kw_only=True):
    """A CA behind CMP (RFC 9480), asked by the openssl command, for `[pki]` backend "cmp"."""

    server: str
    """``http://host:port``; messages are protected by themselves."""
    path: str = ""
    """Of the URL."""
    recipient: str = ""
    """The CA's name as openssl writes it, ``/CN=...``."""
    server_roots: str = ""
    """PEM file with the roots that may vouch for the server's signature; empty where it answers with the shared secret."""
    reference: str = ""
    """Under which the CA knows the shared secret."""
    secret_file: str = ""
    """File with the shared secret: one line, mode 0600."""
    certificate: str = ""
    """Client certificate, where the CA wants a signature instead of the secret."""
    key: str = ""
    """Its private key, not encrypted, mode 0600."""
    timeout_s: float = 60.0
    """Of one exchange; a CA that has not decided by then is asked again."""
