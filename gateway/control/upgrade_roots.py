"""Gives a charge point the root of our server certificates before its security profile is raised: looked, sent, looked again.

What it lists is what it has (docs/decisions/0060), so all of it may be done again after a crash.
"""

import time
from collections.abc import Awaitable, Callable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.certificate_calls import Said
from gateway.control.own_calls import OwnCalls
from gateway.control.root_calls import RootCalls
from gateway.control.root_names import root_names, unfit
from gateway.control.server_chain import Chain, roots_above
from gateway.control.sessions import Entry
from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import SecurityProfile
from gateway.provisioning.roots import CSMS_ROOT, RootStore, has, refusal_to_install

__all__ = ["UpgradeRoots"]

ServerChains = Callable[
    [SecurityProfile, ChargePointRecord, Entry | None], Awaitable[tuple[list[Chain], list[x509.Certificate]]]
]
"""What the listener for a profile shows, and the roots that are known to be above it."""


class UpgradeRoots:
    """One per node."""

    def __init__(self, own_calls: OwnCalls, server_chains: ServerChains) -> None:
        self._calls = RootCalls(own_calls)
        self._server_chains = server_chains

    async def install(self, entry: Entry, record: ChargePointRecord, profile: SecurityProfile) -> Said:
        """Accepted: it lists every root that it needs on `profile`. Not known: it may have it, ask again."""
        chains, roots = await self._server_chains(profile, record, entry)
        needed = roots_above(chains, roots)
        if needed is None:
            return Said(accepted=False, why="name the root in server_roots of [listener.tls]")
        store = await self._calls.store(entry)
        for root in needed:
            if isinstance(store, Said):
                return store
            if has(store, CSMS_ROOT, root_names(root)):
                continue
            said = await self._send(entry, store, root)
            if not said.accepted:
                return said
            store = await self._calls.store(entry)
            if isinstance(store, RootStore) and not has(store, CSMS_ROOT, root_names(root)):
                return Said(accepted=False, why="it has said Accepted and does not list the root")
        return store if isinstance(store, Said) else Said(accepted=True)

    async def _send(self, entry: Entry, store: RootStore, root: x509.Certificate) -> Said:
        pem = root.public_bytes(Encoding.PEM).decode("ascii")
        why = unfit(root, time.time())
        why = why or refusal_to_install(store, CSMS_ROOT, len(pem), is_root=True, is_linked=False)
        return Said(accepted=False, why=why) if why else await self._calls.install(entry, CSMS_ROOT, pem)
