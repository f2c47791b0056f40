"""`pki`: ceremonies with the root key, and the embedded CA: requests, certificates, revocation, its books."""

from typing import ClassVar

import click

from gateway.cli.lazy import LazyGroup

__all__ = ["pki"]


class _Commands(LazyGroup):
    modules: ClassVar = {
        "ceremony": ("gateway.cli.pki.ceremony", "ceremony"),
        "status": ("gateway.cli.pki.status", "status"),
        "list": ("gateway.cli.pki.listing", "list_certificates"),
        "show": ("gateway.cli.pki.show", "show"),
        "issue": ("gateway.cli.pki.issue", "issue"),
        "approve": ("gateway.cli.pki.decide", "approve"),
        "deny": ("gateway.cli.pki.decide", "deny"),
        "revoke": ("gateway.cli.pki.revoke", "revoke"),
        "told": ("gateway.cli.pki.told", "told"),
        "renew": ("gateway.cli.pki.renew", "renew"),
        "crl": ("gateway.cli.pki.crl", "crl"),
        "ocsp": ("gateway.cli.pki.ocsp", "ocsp"),
        "lint": ("gateway.cli.pki.lint", "lint"),
        "import": ("gateway.cli.pki.importing", "import_certificates"),
        "export": ("gateway.cli.pki.export", "export"),
        "reconcile": ("gateway.cli.pki.reconcile", "reconcile"),
    }


@click.group("pki", cls=_Commands)
def pki() -> None:
    """Run the certificate authority and its ceremonies.

    The CA is a directory: its journal, and the signer's directory below it, as ceremonies write it.
    """
