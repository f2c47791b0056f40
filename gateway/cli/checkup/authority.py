"""The CA that gives charge points their certificates: is it there, does it take our credentials, is it the one that is pinned?"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509

from gateway.cli.checkup.check import Check, error, ok, warning
from gateway.config.model import PKI, Config
from gateway.control.backends import anchors_of, backend_of
from pki.backends.interface import Backend, BackendUnavailable
from pki.chains import is_issued_by
from pki.errors import Misconfigured
from pki.unreadable import UNREADABLE

__all__ = ["check_authority"]


def check_authority(config: Config) -> Iterator[Check]:
    """Of another CA behind `[pki] backend`. It is asked for its certificates, never for one of ours."""
    pki = config.pki
    if not pki.ca or pki.backend == "embedded":
        return
    try:
        backend, anchors = backend_of(pki), anchors_of(pki)
    except Misconfigured as wrong:
        yield error("ca", str(wrong), f"Mend it, and see docs/backends.md for [pki.{pki.backend}].")
        return
    yield from asyncio.run(_asked(pki, backend, anchors))
    yield from _trusted_by_listeners(config, anchors)


async def _asked(pki: PKI, backend: Backend, anchors: Sequence[x509.Certificate]) -> list[Check]:
    try:
        taken = await backend.verify_access()
        found = [_chain(pki, await backend.chain(), anchors)]
    except BackendUnavailable as why:
        remedy = f"See address, server_roots and credentials in [pki.{pki.backend}]; requests wait meanwhile."
        return [error("ca", f"the CA behind {pki.backend} cannot be used: {why}", remedy)]
    told = "takes our credentials" if taken else "looks at our credentials only when it is asked for a certificate"
    return [*found, ok("ca-credentials", f"the CA behind {pki.backend} {told}")]


def _chain(pki: PKI, chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]) -> Check:
    """What it says of itself must lead to what is pinned, or nothing that it issues will be delivered."""
    pinned = [each for each in chain if each in anchors or any(is_issued_by(each, anchor) for anchor in anchors)]
    if pinned:
        return ok("ca", f"the CA behind {pki.backend} answers, and leads to a root that is pinned")
    names = ", ".join(sorted({each.subject.rfc4514_string() for each in chain})) or "no certificate at all"
    remedy = "Compare fingerprints with whoever runs the CA, and name its root in [pki] roots."
    return error("ca", f"the CA behind {pki.backend} leads to no root in [pki] roots; it shows {names}", remedy)


def _trusted_by_listeners(config: Config, anchors: Sequence[x509.Certificate]) -> Iterator[Check]:
    """A certificate that no listener believes is a charge point that cannot connect."""
    named = {path for each in config.listeners if each.tls is not None for path in each.tls.client_trust}
    named |= {path for bundle in config.trust for path in bundle.roots}
    trusted = {each for path in named for each in _read(path)}
    if trusted.isdisjoint(anchors):
        yield warning(
            "ca-trust",
            "no listener believes the certificates of the CA in [pki]",
            "Name its root in client_trust of the listeners for security profile 3.",
        )


def _read(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except (OSError, *UNREADABLE):
        return []
