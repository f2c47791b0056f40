"""The admission desk: one claim in, a grant or a refusal out, with everything durable before the grant."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog

from gateway.audit.event import SecurityEvent
from gateway.config.model import Limits
from gateway.control.authentication import Authenticator, Proven
from gateway.control.boot_states import BootStates
from gateway.control.credentials import Verified
from gateway.control.directory import Directory
from gateway.control.events import event_for_refusal, event_of_claim
from gateway.control.password_slots import drop_refuted
from gateway.control.sessions import EdgePeer, Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.admission import ListenerFacts, admit, floor_to_raise
from gateway.identity.evidence import Admission, CertificateProof, Claim, RenewalOnly
from gateway.identity.guessing import GuessingLimiter
from gateway.identity.record import ChargePointRecord
from gateway.identity.refusal import Reason, Refusal
from gateway.link.messages import AdmitGranted, AdmitRefused, AdmitRequest
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from gateway.store.errors import KeyBoundElsewhere, NotFound, StoreError
from gateway.store.registry import Registry

__all__ = ["AdmissionDesk"]

_SWEEP = 5
"""So many different identities failing from one address are a sweep, not a typing error."""
_COUNTED_FAILURES = frozenset(
    {Reason.IDENTITY_MISMATCH, Reason.IDENTITY_UNKNOWN, Reason.PASSWORD_WRONG, Reason.PROFILE_MISMATCH}
)
"""Where they come with credentials. A request without any guesses nothing: many charge points send theirs only after
a 401, and must not use up a budget by it. Asking for one name after the other is counted apart (`asked`)."""
_ASKED_FOR = frozenset({Reason.AUTH_MISSING, Reason.IDENTITY_UNKNOWN})
_MAX_RECONNECT_ENTRIES = 200_000
_Step = Callable[[Registry], Any]
_Answer = Callable[[AdmitGranted | AdmitRefused], None]
_log = structlog.get_logger("control.admission")


class AdmissionDesk:
    """Decides AdmitRequests. `report` takes security events; `may_admit` says whether what follows can be recorded."""

    def __init__(
        self,
        *,
        directory: Directory,
        store: StoreThread,
        sessions: Sessions,
        authenticator: Authenticator,
        limiter: GuessingLimiter,
        report: Callable[[SecurityEvent], None],
        may_admit: Callable[[], bool] = lambda: True,
    ) -> None:
        self.open = False
        """False until every edge has told its live sessions: before that a duplicate could slip in."""
        self.limits = Limits()
        self.listeners: dict[str, ListenerFacts] = {}
        self.boot_states = BootStates()
        self.keeps_candidate: Callable[[ChargePointId], bool] = lambda _: False
        """True where the use of the old password says nothing about the pending one."""
        self.csms_versions: dict[str, tuple[OCPPVersion, ...]] = {}
        self._directory = directory
        self._store = store
        self._sessions = sessions
        self._authenticator = authenticator
        self._limiter = limiter
        self._report = report
        self._may_admit = may_admit
        self._reconnects: OrderedDict[ChargePointId, float] = OrderedDict()
        """When its bucket will be full again, in monotonic seconds."""

    def ask(self, request: AdmitRequest, edge: EdgePeer, answer: _Answer, tasks: TaskOwner) -> None:
        """Answer one request, at once where that can be; else in a task."""
        try:
            granted = self.grant_at_once(request, edge)
        except Exception:  # noqa: BLE001  here it would end the link, and with it the admissions of all
            _log.exception("grant_at_once_failed")
            granted = None
        if granted is not None:
            answer(granted)
        else:
            tasks.start(self._decide(request, edge, answer), "admit")

    async def _decide(self, request: AdmitRequest, edge: EdgePeer, answer: _Answer) -> None:
        answer(await self.decide(request, edge))

    def grant_at_once(self, request: AdmitRequest, edge: EdgePeer) -> AdmitGranted | None:
        """The grant that `decide` would make, where nothing has to be waited for; None for everything else, refusals too.

        That is a certificate that has been here before, no session or request of this identity, nothing to be made
        durable: how a fleet comes back. A task for each would cost more than the decision.
        """
        claim = request.claim
        record = self._directory.find(claim.charge_point_id) if self.open and self._may_admit() else None
        if record is None or not self._sessions.is_free(record.charge_point_id):
            return None
        try:
            proven = self._authenticator.by_certificate_alone(claim, record)
            if proven is None:
                return None
            record, admission = self._judge(request, proven, of=record)
            if self._durable_steps(record, admission, proven):
                return None
            self._check_flapping(record.charge_point_id)
        except Refusal:
            return None
        self._limiter.proven(claim.transport.peer.address, record.charge_point_id)
        self._sessions.granted(admission, edge, "")
        self._granted(claim, admission)
        return AdmitGranted(request.request_id, admission)

    async def decide(self, request: AdmitRequest, edge: EdgePeer) -> AdmitGranted | AdmitRefused:
        """Answer one request; raises nothing."""
        claim = request.claim
        proven: Proven | None = None
        try:
            if not self.open:
                raise Refusal(Reason.CONTROL_DOWN, "sessions are still being counted", retry_after_s=3)
            if not self._may_admit():
                raise Refusal(Reason.CONTROL_DOWN, "the audit log cannot be written", retry_after_s=30)
            record = self._directory.find(claim.charge_point_id)
            proven = await self._authenticator.authenticate(claim, record)
            identity = proven.evidence.charge_point_id
            self._limiter.proven(claim.transport.peer.address, identity)
            self._check_flapping(identity)
            async with self._sessions.exclusive(identity):
                admission = await self._settle(request, proven)
                hashes = proven.password.hashes if proven.password is not None else ("",)
                self._sessions.granted(admission, edge, hashes[-1])
        except Refusal as refusal:
            return self._refuse(request, refusal, proven=proven is not None)
        except StoreError as error:
            _log.error("store_failed", error=str(error))
            unwritten = Refusal(Reason.CONTROL_DOWN, f"registry: {error}")
            return self._refuse(request, unwritten, proven=proven is not None)
        self._granted(claim, admission)
        return AdmitGranted(request.request_id, admission)

    def _judge(
        self, request: AdmitRequest, proven: Proven, *, of: ChargePointRecord | None = None
    ) -> tuple[ChargePointRecord, Admission]:
        """The verdict by what the registry says at this moment. Raises Refusal.

        `of`: the record that `proven` is about, where nothing was waited for since it was proven.
        """
        claim, identity = request.claim, proven.evidence.charge_point_id
        record = of or self._directory.get(identity)
        if record is None or record.charge_point_id != identity:
            raise Refusal(Reason.IDENTITY_UNKNOWN, "removed from the registry meanwhile")
        if of is None:
            self._authenticator.verify_still(proven, claim, record)
        listener = self.listeners.get(claim.transport.peer.listener)
        if listener is None:
            raise Refusal(Reason.CONTROL_DOWN, "listener is gone")
        csms = record.csms or listener.csms
        if csms not in self.csms_versions:
            raise Refusal(Reason.CSMS_UNREACHABLE, f"no CSMS named {csms!r} is configured")
        admission = admit(
            claim=claim,
            authenticated=proven.evidence,
            record=record,
            listener=listener,
            csms_versions=self.csms_versions[csms],
            generation=self._sessions.next_generation(),
            session=request.session,
            boot_state=self.boot_states.of(identity),
        )
        return record, admission

    async def _settle(self, request: AdmitRequest, proven: Proven) -> Admission:
        """An admission that holds now: no other session lives, nothing is left to be made durable.

        Probing and writing take time, in which the registry may change and sessions may come to light: after every
        wait all is judged again, so that nothing is granted on what was true before.
        """
        identity, kept = proven.evidence.charge_point_id, ""
        while True:
            record, admission = self._judge(request, proven)
            if self._sessions.get(identity) is not None:
                # Only now: nobody is probed for the sake of somebody who may not enter anyway.
                await self._sessions.make_room(identity, self.limits.duplicate_probe_timeout_s)
                continue
            steps = self._durable_steps(record, admission, proven, kept)
            if not steps:
                return admission
            changed = await self._make_durable(identity, steps, proven)
            if changed is not None and changed.pending_password is not None:
                kept = changed.pending_password.phc  # not refuted: it is for after a reboot, as another node has heard

    def _check_flapping(self, identity: ChargePointId) -> None:
        """A token bucket per identity, drawn from only by the charge point itself."""
        per_hour, now = float(self.limits.reconnects_per_hour), time.monotonic()
        token_s = 3600.0 / per_hour
        full_at = max(now, self._reconnects.get(identity, now))
        tokens = per_hour - (full_at - now) / token_s
        if tokens < 1.0:
            wait_s = max(1, round((1.0 - tokens) * token_s))
            raise Refusal(Reason.FLAPPING, f"more than {int(per_hour)} connections in an hour", retry_after_s=wait_s)
        self._reconnects[identity] = full_at + token_s
        self._reconnects.move_to_end(identity)
        if len(self._reconnects) > _MAX_RECONNECT_ENTRIES:
            self._reconnects.popitem(last=False)

    def _durable_steps(
        self, record: ChargePointRecord, admission: Admission, proven: Proven, kept: str = ""
    ) -> list[_Step]:
        """Whatever the grant depends on for ever and is not on disk yet (A05.FR.09, A00.FR.427, A01.FR.03).

        `kept`: the candidate that the registry has been asked to drop and has not.
        """
        identity, leaf = record.charge_point_id, proven.leaf
        steps: list[_Step] = []
        floor = floor_to_raise(record, admission)
        if floor is not None:
            steps.append(lambda registry: registry.raise_floor(identity, floor))
        if leaf is not None and self._directory.owner_of(leaf.spki_sha256) != identity:
            steps.append(lambda registry: registry.bind_key(leaf.spki_sha256, identity, time.time()))
        if proven.password is not None:
            kept = proven.password.refuted_phc or "" if self.keeps_candidate(identity) else kept
            steps += _password_steps(record, proven.password, kept)
        return steps

    async def _make_durable(
        self, identity: ChargePointId, steps: list[_Step], proven: Proven
    ) -> ChargePointRecord | None:
        """On disk, and known to the directory; the record as it is then. Raises Refusal, StoreError."""

        def perform(registry: Registry) -> ChargePointRecord | None:
            for step in steps:
                step(registry)
            return registry.get(identity)

        try:
            changed = await self._store.call(perform)
        except KeyBoundElsewhere as error:
            raise Refusal(Reason.CERT_KEY_SHARED, str(error)) from error
        except NotFound as error:
            raise Refusal(Reason.IDENTITY_UNKNOWN, "removed from the registry meanwhile") from error
        if changed is not None:
            self._directory.put(changed)
        if proven.leaf is not None:
            self._directory.bound(proven.leaf.spki_sha256, identity)
        return changed

    def _granted(self, claim: Claim, admission: Admission) -> None:
        observed: dict[str, Any] = {"last_seen_at": time.time(), "last_address": claim.transport.peer.address}
        reading = getattr(admission.proof, "reading", "")
        if reading:
            observed["password_reading"] = reading
        if isinstance(admission.proof, CertificateProof) and admission.proof.renewal_only:
            self._report(_renewal_event(claim, admission, admission.proof.renewal_only))
        self._store.observe(admission.charge_point_id, **observed)

    def _refuse(self, request: AdmitRequest, refusal: Refusal, *, proven: bool) -> AdmitRefused:
        claim, now = request.claim, time.time()
        self._report(event_for_refusal(claim, request.session, refusal, now, proven=proven))
        address = claim.transport.peer.address
        if refusal.reason in _ASKED_FOR and not proven and not _shows_credentials(claim):
            self._limiter.asked(address, claim.charge_point_id, time.monotonic())
        elif refusal.reason in _COUNTED_FAILURES and not proven and _shows_credentials(claim):
            tried = self._limiter.failed(address, claim.charge_point_id, time.monotonic())
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


def _renewal_event(claim: Claim, admission: Admission, limited: RenewalOnly) -> SecurityEvent:
    return event_of_claim(
        claim,
        admission.session,
        time.time(),
        event="cert.renewal_only",
        severity="high",
        decision="allow_alert",
        verified=True,
        detail="expired certificate" if limited == "expired" else "factory certificate",
        stage="admit",
    )


def _shows_credentials(claim: Claim) -> bool:
    return claim.basic is not None or (claim.transport.tls is not None and bool(claim.transport.tls.leaf_der))


def _password_steps(record: ChargePointRecord, verified: Verified, kept: str) -> list[_Step]:
    """A candidate that was used is the password now; one that was not, while the old one was, is dead (A01).

    Each step names the hash it is about: what an operator has put there since then is left alone.
    """
    identity, current, pending = record.charge_point_id, record.password, record.pending_password
    if pending is not None and pending.phc in verified.hashes:
        return [lambda registry: registry.promote_pending(identity, pending.phc)]
    steps: list[_Step] = []
    if pending is not None and pending.phc == verified.refuted_phc and pending.phc != kept:
        steps.append(lambda registry: drop_refuted(registry, identity, pending.phc))
    better = verified.upgraded_phc
    if better is not None and current is not None and current.phc == verified.phc:
        steps.append(lambda registry: registry.replace_phc(identity, verified.phc, better))
    return steps
