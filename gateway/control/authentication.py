"""Proves a claim: a certificate against the record, or a password, at equal cost for known and unknown identities."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.control.credentials import PasswordVerifier, Verified
from gateway.control.directory import Directory
from gateway.identity.admission import used_security_profile
from gateway.identity.client_certificate import LeafCertificate, parse_leaf, verify_leaf
from gateway.identity.evidence import Authenticated, BasicCredentials, Claim, PasswordProof
from gateway.identity.guessing import GuessingLimiter
from gateway.identity.record import ChargePointRecord
from gateway.identity.refusal import Reason, Refusal
from gateway.ocpp.vocabulary import SecurityProfile

__all__ = ["Authenticator"]

_MAX_LEAVES = 100_000


class Authenticator:
    """Stateful only in its caches and its guessing limiter."""

    def __init__(
        self,
        directory: Directory,
        verifier: PasswordVerifier,
        limiter: GuessingLimiter,
        wall_clock: Callable[[], float],
    ) -> None:
        self.operator_names: tuple[str, ...] = ()
        self._directory = directory
        self._verifier = verifier
        self._limiter = limiter
        self._wall_clock = wall_clock
        self._leaves: OrderedDict[str, LeafCertificate] = OrderedDict()

    async def authenticate(
        self, claim: Claim, record: ChargePointRecord | None
    ) -> tuple[Authenticated, ChargePointRecord, Verified | None, LeafCertificate | None]:
        """Evidence, the record it is about, and how it was proven. Raises Refusal.

        1. A certificate, if that is what counts (used_security_profile): our leaf policy, against this record.
        2. Else Basic. What is already known good passes at once.
        3. Guessing limits, before anything else is computed.
        4. User name = identity (A00.FR.204), then the password (A00.FR.207/324).
        """
        used = used_security_profile(claim, record)
        # Step 1.
        if used is SecurityProfile.TLS_CLIENT_CERTIFICATE:
            return self._by_certificate(claim, record)
        # Step 2.
        credentials = claim.basic
        if record is not None and credentials is not None and _username_fits(credentials, record):
            known = self._verifier.known(record, credentials)
            if known is not None:
                return self._by_password(claim, record, known, used)
        # Step 3.
        address, identity = claim.transport.peer.address, claim.charge_point_id
        wait_s = self._limiter.may_try(address, identity, time.monotonic())
        if wait_s:
            raise Refusal(Reason.GUESSING, f"{wait_s} s to wait", retry_after_s=wait_s)
        # Step 4.
        if credentials is None:
            raise Refusal(Reason.AUTH_MISSING)
        if not credentials.username_matches and (record is None or "username-differs" not in record.tolerances):
            raise Refusal(Reason.IDENTITY_MISMATCH, "the user name is not the identity in the URL")
        verified = await self._verifier.verify(record, credentials)
        if record is None:
            raise Refusal(Reason.IDENTITY_UNKNOWN)
        if verified is None:
            if record.password is None and record.pending_password is None and used is not record.security_profile:
                required = int(record.security_profile)
                raise Refusal(
                    Reason.PROFILE_MISMATCH, f"profile {int(used)} without any password stored, required {required}"
                )
            raise Refusal(Reason.PASSWORD_WRONG)
        return self._by_password(claim, record, verified, used)

    def _by_password(
        self, claim: Claim, record: ChargePointRecord, verified: Verified, used: SecurityProfile
    ) -> tuple[Authenticated, ChargePointRecord, Verified, None]:
        del claim
        proof = PasswordProof(slot=verified.slot, reading=verified.reading)
        evidence = Authenticated(charge_point_id=record.charge_point_id, proof=proof, used_security_profile=used)
        return evidence, record, verified, None

    def _by_certificate(
        self, claim: Claim, record: ChargePointRecord | None
    ) -> tuple[Authenticated, ChargePointRecord, None, LeafCertificate]:
        tls = claim.transport.tls
        assert tls is not None
        leaf = self._leaf(tls.leaf_der)
        if record is None:
            raise Refusal(Reason.IDENTITY_UNKNOWN, f"certificate {leaf.sha256[:16]}")
        proof = verify_leaf(
            leaf,
            record,
            self.operator_names,
            self._wall_clock(),
            self._directory.is_revoked,
            self._directory.owner_of(leaf.spki_sha256),
        )
        evidence = Authenticated(
            charge_point_id=record.charge_point_id,
            proof=proof,
            used_security_profile=SecurityProfile.TLS_CLIENT_CERTIFICATE,
        )
        return evidence, record, None, leaf

    def _leaf(self, der: bytes) -> LeafCertificate:
        """Parsed facts, remembered by the hash of the bytes: a reconnect storm parses nothing twice."""
        key = hashlib.sha256(der).hexdigest()
        leaf = self._leaves.get(key)
        if leaf is None:
            leaf = self._leaves[key] = parse_leaf(der)
            if len(self._leaves) > _MAX_LEAVES:
                self._leaves.popitem(last=False)
        return leaf


def _username_fits(credentials: BasicCredentials, record: ChargePointRecord) -> bool:
    return credentials.username_matches or "username-differs" in record.tolerances
