"""Sockets live for weeks: a session whose admission would not be given any more ends now."""

import time
from collections.abc import Callable

from gateway.audit.event import printable
from gateway.control.authentication import Authenticator
from gateway.control.directory import Directory
from gateway.control.live_session import no_longer
from gateway.control.sessions import Entry, Sessions
from gateway.identity.evidence import CertificateProof
from gateway.link.messages import Disconnect
from gateway.ocpp.vocabulary import ChargePointId

__all__ = ["StandingSessions"]


class StandingSessions:
    """Judges them again. `report(event, severity, decision, detail)` puts each that ends on record."""

    def __init__(
        self,
        sessions: Sessions,
        directory: Directory,
        authenticator: Authenticator,
        report: Callable[[str, str, str, str], None],
    ) -> None:
        self._sessions = sessions
        self._directory = directory
        self._authenticator = authenticator
        self._report = report
        self.keeps_revoked = False
        """`[limits] revoked_sessions = "keep"`: a revocation alone ends no session that lives."""

    def judge_all(self) -> None:
        """Everything may have changed."""
        self.judge_changed(frozenset(entry.charge_point_id for entry in self._sessions), revoked=True)

    def judge_changed(self, changed: frozenset[ChargePointId], *, revoked: bool) -> None:
        """What is registered of some has changed; `revoked`: certificates were revoked, or roots taken out."""
        for entry in self._sessions:
            if entry.charge_point_id in changed or (revoked and isinstance(entry.proof, CertificateProof)):
                self.judge(entry)

    def judge(self, entry: Entry) -> None:
        """End it, unless it would be admitted again, or only its certificate's revocation is against that and may be."""
        record = self._directory.get(entry.charge_point_id)
        verifier = self._authenticator
        no_longer_good = verifier.no_longer_trusted if self.keeps_revoked else verifier.no_longer
        why = no_longer(entry, record, no_longer_good, time.time())
        if not why:
            self._tell_if_kept(entry)
        elif entry.edge is not None:
            entry.edge.tell_disconnect(Disconnect(entry.session, why))
            self._report("session.revoked", "medium", "disconnect", f"{printable(entry.charge_point_id)}: {why}")

    def _tell_if_kept(self, entry: Entry) -> None:
        """Once for a session that goes on although its certificate is revoked."""
        if entry.kept_revoked or not isinstance(entry.proof, CertificateProof):
            return
        entry.kept_revoked = self._authenticator.is_revoked(entry.proof)
        if entry.kept_revoked:
            detail = "certificate revoked; its session goes on until it ends (revoked_sessions), and is the last"
            self._report("session.kept", "high", "allow_alert", f"{printable(entry.charge_point_id)}: {detail}")
