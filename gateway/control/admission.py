"""The admission desk: one claim in, a grant or a refusal out, with everything durable before the grant."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog

from gateway.audit.event import SecurityEvent
from gateway.config.model import Limits
from gateway.control.authentication import Authenticator
from gateway.control.credentials import Verified
from gateway.control.directory import Directory
from gateway.control.events import event_for_refusal, event_of_claim
from gateway.control.sessions import EdgePeer, Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.admission import ListenerFacts, admit, floor_to_raise
from gateway.identity.client_certificate import LeafCertificate
from gateway.identity.evidence import Admission, Claim
from gateway.identity.guessing import GuessingLimiter
from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.identity.refusal import Reason, Refusal
from gateway.link.messages import AdmitGranted, AdmitRefused, AdmitRequest
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from gateway.store.errors import KeyBoundElsewhere, StoreError
from gateway.store.registry import Registry

__all__ = ["AdmissionDesk"]

_SWEEP = 5
"""So many different identities failing from one address are a sweep, not a typing error."""
_COUNTED_FAILURES = frozenset(
    {
        Reason.AUTH_MISSING,
        Reason.IDENTITY_MISMATCH,
        Reason.IDENTITY_UNKNOWN,
        Reason.PASSWORD_WRONG,
        Reason.PROFILE_MISMATCH,
    }
)
_MAX_RECONNECT_ENTRIES = 200_000
_log = structlog.get_logger("control.admission")


class AdmissionDesk:
    """Decides AdmitRequests. `report` takes security events."""

    def __init__(
        self,
        *,
        directory: Directory,
        store: StoreThread,
        sessions: Sessions,
        authenticator: Authenticator,
        limiter: GuessingLimiter,
        report: Callable[[SecurityEvent], None],
    ) -> None:
        self.open = False
        """False until every edge has told its live sessions: before that a duplicate could slip in."""
        self.limits = Limits()
        self.listeners: dict[str, ListenerFacts] = {}
        self.csms_versions: dict[str, tuple[OCPPVersion, ...]] = {}
        self._directory = directory
        self._store = store
        self._sessions = sessions
        self._authenticator = authenticator
        self._limiter = limiter
        self._report = report
        self._reconnects: OrderedDict[ChargePointId, tuple[float, float]] = OrderedDict()

    async def decide(self, request: AdmitRequest, edge: EdgePeer) -> AdmitGranted | AdmitRefused:
        """Answer one request; raises nothing."""
        claim = request.claim
        proven = False
        try:
            if not self.open:
                raise Refusal(Reason.CONTROL_DOWN, "sessions are still being counted", retry_after_s=3)
            record = self._directory.find(claim.charge_point_id)
            evidence, record, verified, leaf = await self._authenticator.authenticate(claim, record)
            proven = True
            self._limiter.proven(claim.transport.peer.address, claim.charge_point_id)
            self._check_flapping(record)
            async with self._sessions.exclusive(record.charge_point_id):
                # What was waited for may have taken long: judge by what the registry says now.
                record = self._directory.get(record.charge_point_id) or record
                listener = self.listeners.get(claim.transport.peer.listener)
                if listener is None:
                    raise Refusal(Reason.CONTROL_DOWN, "listener is gone")
                admission = admit(
                    claim=claim,
                    authenticated=evidence,
                    record=record,
                    listener=listener,
                    csms_versions=self.csms_versions.get(record.csms or listener.csms, ()),
                    generation=self._sessions.next_generation(),
                    session=request.session,
                )
                await self._sessions.make_room(record.charge_point_id, self.limits.duplicate_probe_timeout_s)
                await self._make_durable(record, admission, verified, leaf)
                self._sessions.granted(admission, edge, _matched_hash(record, verified))
        except Refusal as refusal:
            return self._refuse(request, refusal, proven=proven)
        except StoreError as error:
            _log.error("store_failed", error=str(error))
            return self._refuse(request, Refusal(Reason.CONTROL_DOWN, f"registry: {error}"), proven=proven)
        self._granted(claim, admission)
        return AdmitGranted(request.request_id, admission)

    def _check_flapping(self, record: ChargePointRecord) -> None:
        """A token bucket per identity, drawn from only by the charge point itself."""
        per_hour, now = float(self.limits.reconnects_per_hour), time.monotonic()
        tokens, at = self._reconnects.get(record.charge_point_id, (per_hour, now))
        tokens = min(per_hour, tokens + (now - at) * per_hour / 3600.0)
        if tokens < 1.0:
            wait_s = max(1, round((1.0 - tokens) * 3600.0 / per_hour))
            raise Refusal(Reason.FLAPPING, f"more than {int(per_hour)} connections in an hour", retry_after_s=wait_s)
        self._reconnects[record.charge_point_id] = (tokens - 1.0, now)
        self._reconnects.move_to_end(record.charge_point_id)
        if len(self._reconnects) > _MAX_RECONNECT_ENTRIES:
            self._reconnects.popitem(last=False)

    async def _make_durable(
        self, record: ChargePointRecord, admission: Admission, verified: Verified | None, leaf: LeafCertificate | None
    ) -> None:
        """Whatever the grant depends on for ever is on disk before it is given (A05.FR.09, A00.FR.427, A01.FR.03)."""
        identity = record.charge_point_id
        steps: list[Callable[[Registry], Any]] = []
        floor = floor_to_raise(record, admission)
        if floor is not None:
            steps.append(lambda registry: registry.raise_floor(identity, floor))
        if leaf is not None and self._directory.owner_of(leaf.spki_sha256) != identity:
            steps.append(lambda registry: registry.bind_key(leaf.spki_sha256, identity, time.time()))
        if verified is not None:
            steps += self._password_steps(record, verified)
        if not steps:
            return

        def perform(registry: Registry) -> ChargePointRecord | None:
            for step in steps:
                step(registry)
            return registry.get(identity)

        try:
            changed = await self._store.call(perform)
        except KeyBoundElsewhere as error:
            raise Refusal(Reason.CERT_KEY_SHARED, str(error)) from error
        if changed is not None:
            self._directory.put(changed)
        if leaf is not None:
            self._directory.bound(leaf.spki_sha256, identity)

    @staticmethod
    def _password_steps(record: ChargePointRecord, verified: Verified) -> list[Callable[[Registry], Any]]:
        """A candidate that was used is the password now; one that was not, while the old one was, is dead."""
        identity = record.charge_point_id
        steps: list[Callable[[Registry], Any]] = []
        if verified.slot == "pending":
            steps.append(lambda registry: registry.promote_pending(identity))
        elif record.pending_password is not None:
            steps.append(lambda registry: registry.drop_pending(identity))
        new, old = verified.upgraded_phc, record.password
        if new is not None and old is not None and verified.slot == "current":
            steps.append(lambda registry: registry.replace_phc(identity, old.phc, new))
        return steps

    def _granted(self, claim: Claim, admission: Admission) -> None:
        observed: dict[str, Any] = {"last_seen_at": time.time(), "last_address": claim.transport.peer.address}
        reading = getattr(admission.proof, "reading", "")
        if reading:
            observed["password_reading"] = reading
        self._store.observe(admission.charge_point_id, **observed)

    def _refuse(self, request: AdmitRequest, refusal: Refusal, *, proven: bool) -> AdmitRefused:
        claim, now = request.claim, time.time()
        self._report(event_for_refusal(claim, request.session, refusal, now, proven=proven))
        if refusal.reason in _COUNTED_FAILURES and not proven:
            tried = self._limiter.failed(claim.transport.peer.address, claim.charge_point_id, time.monotonic())
            if tried == _SWEEP:
                self._report(
                    event_of_claim(
                        claim,
                        request.session,
                        now,
                        event="auth.enumeration",
                        severity="high",
                        decision="rate_limit",
                        verified=False,
                        detail=f"{tried} different identities from one address",
                        stage="authenticate",
                    )
                )
        return AdmitRefused(request.request_id, refusal.reason.code, refusal.retry_after_s, proven)


def _matched_hash(record: ChargePointRecord, verified: Verified | None) -> str:
    """The stored hash a session rests on, as the registry has it after the grant."""
    if verified is None:
        return ""
    if verified.upgraded_phc is not None:
        return verified.upgraded_phc
    stored: StoredPassword | None = record.pending_password if verified.slot == "pending" else record.password
    return stored.phc if stored is not None else ""
