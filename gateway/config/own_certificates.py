"""Certificates that the gateway gets for its own listeners: `[server_certificates]` (docs/server-certificates.md)."""

from typing import Literal

import msgspec

__all__ = ["ACME", "OwnKeyKind", "ServerCertificates"]

OwnKeyKind = Literal["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096"]


class ACME(msgspec.Struct, frozen=True, kw_only=True):
    """An ACME CA (RFC 8555) in place of the embedded one, for `[server_certificates]`; it looks at http-01 challenges."""

    directory: str
    """Its address, e.g. ``https://acme-v02.api.letsencrypt.org/directory``."""
    agree_to_terms: bool = False
    """You have read the CA's terms of service and agree to them: without that there is no account."""
    contact: tuple[str, ...] = ()
    """Where the CA may write to, ``mailto:...``."""
    roots: str = ""
    """PEM file with the roots that may vouch for this server; empty: the system's, for public CAs."""
    http_address: str = "0.0.0.0:80"
    """``host:port`` where challenges are answered while an order runs. The CA comes to port 80 of each name."""
    eab_key_id: str = ""
    """For CAs that want an account of theirs to be named (external account binding)."""
    eab_key_file: str = ""
    """File with its HMAC key in base64url: one line, mode 0600."""


class ServerCertificates(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway has issued to itself, for listeners with `automatic_certificates`; renewed at two thirds of its life."""

    names: tuple[str, ...] = ()
    """Host names that charge points use. The first is the CN, all are subjectAltNames (A00.FR.309)."""
    keys: tuple[OwnKeyKind, ...] = ("ec-p256", "rsa-2048")
    """One certificate each: charge points may know only one of ECDSA and RSA (A00.FR.318/421)."""
    ca: str = ""
    """Directory of the embedded CA that has an issuing CA for servers. Empty: that of `[pki]`."""
    organization: str = ""
    """O of the certificates. Empty: the first of `operator_names`."""
    acme: ACME | None = None
    """An ACME CA instead."""
