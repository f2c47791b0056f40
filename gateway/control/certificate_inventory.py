"""Which certificates are in use, by whom and since when: noted when a session opens, written in batches, counted by state."""

import time
from typing import Any, Final

import structlog

from gateway.control.part import NodePart
from gateway.control.sessions import Entry
from gateway.control.store_thread import StoreThread
from gateway.identity.evidence import CertificateProof
from gateway.store.errors import StoreError
from gateway.store.inventory import CertificateCounts, KnownCertificate, Sighting

__all__ = ["EXPIRING_S", "CertificateInventory"]

EXPIRING_S: Final = 30 * 86_400.0
"""What ends within this is expiring: a charge point should have renewed by then (A03.FR.02)."""
_COUNT_EVERY_S: Final = 60.0
_DAY_S: Final = 86_400.0
_log = structlog.get_logger("control.certificates")


class CertificateInventory(NodePart):
    """One per node. An admission costs it one entry of a dict."""

    name = "certificates"
    tick_every_s = 2.0

    def __init__(self, store: StoreThread) -> None:
        self._store = store
        self._seen: dict[str, Sighting] = {}
        """By fingerprint, since the last tick."""
        self._counts: CertificateCounts | None = None
        self._counted_at = 0.0

    def opened(self, entry: Entry) -> None:
        """A session that rests on a certificate."""
        proof = entry.proof
        if isinstance(proof, CertificateProof):
            self._seen[proof.sha256] = Sighting(
                facts=_facts(proof), charge_point_id=entry.charge_point_id, at=time.time()
            )

    async def tick(self) -> None:
        """Write what was seen, and count now and then."""
        await self._flush()
        if time.monotonic() - self._counted_at > _COUNT_EVERY_S or not self._counted_at:
            self._counted_at = time.monotonic()
            now = time.time()
            self._counts = await self._store.call_later(lambda registry: registry.inventory.counts(now, EXPIRING_S))

    async def _flush(self) -> None:
        if not self._seen:
            return
        seen, self._seen = self._seen, {}
        try:
            await self._store.call_later(lambda registry: registry.inventory.saw(list(seen.values())))
        except StoreError as error:
            _log.warning("sightings_lost", count=len(seen), error=str(error))

    async def close(self) -> None:
        """Write what is left."""
        await self._flush()

    def status(self) -> dict[str, Any] | None:
        """How many in each state."""
        counts = self._counts
        return None if counts is None else {"by_state": counts.by_state, "nearest_end": counts.nearest_end}

    def metrics(self) -> dict[str, float]:
        """By state; and how long the first one in force has left."""
        if self._counts is None:
            return {}
        found = {f'ocpp_gateway_certificates{{state="{name}"}}': float(n) for name, n in self._counts.by_state.items()}
        if self._counts.nearest_end:
            left = max(0.0, self._counts.nearest_end - time.time())
            found["ocpp_gateway_certificate_days_to_nearest_end"] = round(left / _DAY_S, 3)
        return found


def _facts(proof: CertificateProof) -> KnownCertificate:
    return KnownCertificate(
        sha256=proof.sha256,
        issuer=proof.issuer,
        serial=proof.serial_number,
        common_name=proof.common_name,
        organization=proof.organization,
        spki_sha256=proof.spki_sha256,
        not_after=proof.not_after,
    )
