"""Certificates that the gateway gets for its own listeners: `[server_certificates]` (docs/server-certificates.md)."""

from typing import Literal

import msgspec

__all__ = ["OwnKeyKind", "ServerCertificates"]

OwnKeyKind = Literal["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096"]


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
