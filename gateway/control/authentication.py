"""Proves a claim: a certificate against the record, or a password, at equal cost for known and unknown identities."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.control.credentials import PasswordVerifier, Verified
from gateway.control.directory import Directory
from gateway.control.foreign_revocations import ForeignRevocations
from gateway.identity.admission import ListenerFacts, profiles_to_try
from gateway.identity.claim import ignores_case
from gateway.identity.client_certificate import LeafCertificate, parse_issuer, parse_leaf, verify_leaf
from gateway.identity.evidence import (
    Authenticated,
    BasicCredentials,
    CertificateName,
    CertificateProof,
    Claim,
    PasswordProof,
    is_limited,
)
from gateway.identity.guessing import GuessingLimiter
from gateway.identity.record import ChargePointRecord
from gateway.identity.refusal import Reason, Refusal
from gateway.identity.trust import Chain, IssuerFacts, TrustBundle, TrustBundles
from gateway.ocpp.vocabulary import SecurityProfile

__all__ = ["Authenticator", "Proven"]

_MAX_LEAVES = 100_000
_MAX_ISSUERS = 10_000
_MAX_STRANGERS = 128
"""Passwords of peers that never proved themselves from their address, being checked or waiting for it. With two
threads that is some seconds of work: less than an edge waits, so that strangers cannot keep the others from their turn."""
_BUSY_RETRY_S = 5


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence, and what it rests on: exactly one of `password` and `leaf`."""

    evidence: Authenticated
    password: Verified | None = None
    leaf: LeafCertificate | None = None
    chain: Chain = Chain()


class Authenticator:
    """Stateful only in its caches and its guessing limiter."""

    def __init__(
        self,
        directory: Directory,
        verifier: PasswordVerifier,
        limiter: GuessingLimiter,
        wall_clock: Callable[[], float],
    ) -> None:
        self.trust = TrustBundles()
        self.listeners: Mapping[str, ListenerFacts] = {}
        self.tried_out: TrustBundles | None = None
        """What a reload tries out while edges get to know its roots, each at its own time: both must vouch then."""
        self.foreign: ForeignRevocations | None = None
        """None where there are no trust bundles to follow."""
        self._directory = directory
        self._verifier = verifier
        self._limiter = limiter
        self._wall_clock = wall_clock
        self._leaves: OrderedDict[str, LeafCertificate] = OrderedDict()
        self._issuers: OrderedDict[bytes, IssuerFacts] = OrderedDict()
        self._strangers = 0

    async def authenticate(self, claim: Claim, record: ChargePointRecord | None) -> Proven:
        """What the claim proves about this record. Raises Refusal.

        1. A certificate, if that is what counts (`profiles_to_try`): our leaf policy, against this record. One that is
           good for its renewal alone does not count where the charge point can still come in with its password.
        2. Else Basic. What is already known good passes at once.
        3. Guessing limits, before anything else is computed.
        4. User name = identity (A00.FR.204), then the password (A00.FR.207/324).
        """
        used, *others = profiles_to_try(claim, record)
        instead_of = ""
        # Step 1.
        if used is SecurityProfile.TLS_CLIENT_CERTIFICATE:
            found = await self._by_certificate_first(claim, record, has_other=bool(others))
            if isinstance(found, Proven):
                return found
            used, instead_of = others[0], found
        # Step 2.
        credentials = claim.basic
        if record is not None and credentials is not None and _username_fits(credentials, record):
            known = self._verifier.known(record, credentials)
            if known is not None:
                return _by_password(record, known, used)
        # Step 3.
        self._verify_pace(claim)
        # Step 4.
        if credentials is None:
            also = f"certificate: {instead_of}" if instead_of else ""
            raise Refusal(Reason.AUTH_MISSING, also) if record is not None else self._unknown(claim)
        # Whatever the user name: else time would tell who has the tolerance username-differs, and so exists.
        fits = record is not None and _username_fits(credentials, record)
        verified = await self._verify(claim, record if fits else None, credentials)
        if record is None:
            raise self._unknown(claim)
        if not fits:
            raise Refusal(Reason.IDENTITY_MISMATCH, "the user name is not the identity in the URL")
        if verified is None:
            raise _wrong_password(record, used)
        return _by_password(record, verified, used)

    async def _by_certificate_first(
        self, claim: Claim, record: ChargePointRecord | None, *, has_other: bool
    ) -> Proven | str:
        """What the certificate proves, or, where there is another way in, why that is to be tried. Raises Refusal."""
        try:
            proven = self._by_certificate(claim, record)
            await self._require_status(claim, proven)
        except Refusal as refusal:
            if not has_other:
                raise
            return f"{refusal.reason.code}, {refusal.detail}"
        if has_other and is_limited(proven.evidence.proof) and self._takes_password(claim, record):
            return "good for its renewal only"
        return proven

    def by_certificate_alone(self, claim: Claim, record: ChargePointRecord) -> Proven | None:
        """What `authenticate` says where only a certificate counts, without its waiting. None where that is not so.

        Raises Refusal.
        """
        if profiles_to_try(claim, record) != (SecurityProfile.TLS_CLIENT_CERTIFICATE,):
            return None
        proven = self._by_certificate(claim, record)
        leaf, foreign = proven.leaf, self.foreign
        if foreign is not None and leaf is not None and not foreign.has_status(_bundle(self.trust, proven.chain), leaf):
            return None
        return proven

    def _takes_password(self, claim: Claim, record: ChargePointRecord | None) -> bool:
        """True if the charge point could be let in with a password here, which it may send only when asked for it."""
        listener = self.listeners.get(claim.transport.peer.listener)
        on_basic = listener is not None and SecurityProfile.TLS_BASIC in listener.security_profiles
        return on_basic and record is not None and (record.password or record.pending_password) is not None

    async def _require_status(self, claim: Claim, proven: Proven) -> None:
        """Raise Refusal where the trust bundle demands to know that the certificate is not revoked, and nobody says so."""
        tls, leaf = claim.transport.tls, proven.leaf
        if self.foreign is not None and leaf is not None and tls is not None:
            await self.foreign.require_status(_bundle(self.trust, proven.chain), leaf, tls)

    def _verify_pace(self, claim: Claim) -> None:
        """Raise Refusal GUESSING for a source, or for guesses at an identity, that must wait."""
        address, identity, now = claim.transport.peer.address, claim.charge_point_id, time.monotonic()
        wait_s = self._limiter.may_try(address, identity, now)
        if claim.basic is None:
            wait_s = max(wait_s, self._limiter.may_ask(address, identity, now))
        if wait_s:
            raise Refusal(Reason.GUESSING, f"{wait_s} s to wait", retry_after_s=wait_s)

    def verify_still(self, proven: Proven, claim: Claim, record: ChargePointRecord) -> None:
        """Raise Refusal unless what was proven a moment ago still holds for this, newer, state of the record."""
        if proven.leaf is not None:
            self._proof_of(proven.leaf, proven.chain, record, claim)
        elif proven.password is not None:
            stored = {each.phc for each in (record.password, record.pending_password) if each is not None}
            if stored.isdisjoint(proven.password.hashes):
                raise Refusal(Reason.PASSWORD_WRONG, "the password was replaced meanwhile")
            if claim.basic is None or not _username_fits(claim.basic, record):
                raise Refusal(Reason.IDENTITY_MISMATCH, "the tolerance username-differs was taken back meanwhile")

    def _unknown(self, claim: Claim) -> Refusal:
        """No record fits; one that differs in case only is worth a hint to the operator."""
        similar = self._directory.get(claim.charge_point_id)
        detail = "" if similar is None else f"{similar.charge_point_id} is registered, which differs in case"
        return Refusal(Reason.IDENTITY_UNKNOWN, detail)

    async def _verify(
        self, claim: Claim, record: ChargePointRecord | None, credentials: BasicCredentials
    ) -> Verified | None:
        """The costly part; strangers queue for it in limited number. Raises Refusal CONTROL_DOWN when too many do."""
        if self._limiter.has_proven(claim.transport.peer.address, claim.charge_point_id):
            return await self._verifier.verify(record, credentials)
        if self._strangers >= _MAX_STRANGERS:
            raise Refusal(Reason.CONTROL_DOWN, "too many passwords wait to be checked", retry_after_s=_BUSY_RETRY_S)
        self._strangers += 1
        try:
            return await self._verifier.verify(record, credentials)
        finally:
            self._strangers -= 1

    def _by_certificate(self, claim: Claim, record: ChargePointRecord | None) -> Proven:
        tls = claim.transport.tls
        assert tls is not None
        leaf = self._leaf(tls.leaf_der)
        if record is None:
            raise self._unknown(claim)
        chain = Chain(tuple(map(self._issuer, tls.issuers_der)))
        proof = self._proof_of(leaf, chain, record, claim)
        evidence = Authenticated(
            charge_point_id=record.charge_point_id,
            proof=proof,
            used_security_profile=SecurityProfile.TLS_CLIENT_CERTIFICATE,
        )
        return Proven(evidence=evidence, leaf=leaf, chain=chain)

    def _proof_of(
        self, leaf: LeafCertificate, chain: Chain, record: ChargePointRecord, claim: Claim
    ) -> CertificateProof:
        """By what is in force, and by what is being tried out as well. The stricter proof counts."""
        proof = self._proof_by(self.trust, leaf, chain, record, claim)
        if self.tried_out is None:
            return proof
        coming = self._proof_by(self.tried_out, leaf, chain, record, claim)
        return coming if coming.renewal_only else proof

    def _proof_by(
        self, trust: TrustBundles, leaf: LeafCertificate, chain: Chain, record: ChargePointRecord, claim: Claim
    ) -> CertificateProof:
        bundle = _bundle(trust, chain)
        listener = self.listeners.get(claim.transport.peer.listener)
        if listener is None or not listener.takes_expired:
            # TLS has seen to it in a full handshake, not in one that resumes it.
            record = record if not record.expired_certificate_until else replace(record, expired_certificate_until=0.0)
        return verify_leaf(
            leaf,
            record,
            trust.operator_names,
            self._wall_clock(),
            lambda name: self._is_revoked(bundle.name, name),
            self._directory.owner_of(leaf.spki_sha256),
            chain,
            bundle,
        )

    def _is_revoked(self, bundle: str, name: CertificateName) -> bool:
        foreign = self.foreign is not None and self.foreign.is_revoked(bundle, name)
        return foreign or self._directory.is_revoked(name)

    def is_revoked(self, proof: CertificateProof) -> bool:
        """True if a certificate that was good once, or an issuer of it, has been revoked since."""
        own = CertificateName(proof.sha256, proof.issuer, proof.serial_number)
        bundle = self.bundle_name(proof)
        return any(self._is_revoked(bundle, name) for name in (own, *proof.issuers))

    def bundle_name(self, proof: CertificateProof) -> str:
        """The bundle that vouches for the certificate now; empty for a listener's own roots, or if none does."""
        bundle = self.trust.bundle_of(proof.anchor)
        return bundle.name if bundle is not None else ""

    def no_longer(self, proof: CertificateProof, record: ChargePointRecord) -> str:
        """Why a certificate that was good once would not be accepted now, time apart; or an empty string."""
        return "certificate revoked" if self.is_revoked(proof) else self.no_longer_trusted(proof, record)

    def no_longer_trusted(self, proof: CertificateProof, record: ChargePointRecord) -> str:
        """The same, revocations apart."""
        return self.trust.no_longer(proof, record)

    def _issuer(self, der: bytes) -> IssuerFacts:
        """Parsed facts of a CA certificate; a fleet has few."""
        facts = self._issuers.get(der)
        if facts is None:
            facts = self._issuers[der] = parse_issuer(der)
            if len(self._issuers) > _MAX_ISSUERS:
                self._issuers.popitem(last=False)
        return facts

    def _leaf(self, der: bytes) -> LeafCertificate:
        """Parsed facts, remembered by the hash of the bytes: a reconnect storm parses nothing twice."""
        key = hashlib.sha256(der).hexdigest()
        leaf = self._leaves.get(key)
        if leaf is None:
            leaf = _shared(parse_leaf(der))
            self._leaves[leaf.sha256] = leaf
            if len(self._leaves) > _MAX_LEAVES:
                self._leaves.popitem(last=False)
        return leaf


@lru_cache(maxsize=4_096)
def _known(value: Hashable) -> Any:
    """The first of all that are equal."""
    return value


def _shared(leaf: LeafCertificate) -> LeafCertificate:
    """The same without a copy of its own of what the certificates of a fleet have in common."""
    return replace(
        leaf,
        issuer=_known(leaf.issuer),
        organizations=_known(leaf.organizations),
        crl_points=_known(leaf.crl_points),
    )


def _bundle(trust: TrustBundles, chain: Chain) -> TrustBundle:
    """Who vouches for the chain. TLS has verified it, perhaps by what was in force a moment ago. Raises Refusal."""
    bundle = trust.bundle_of(chain.anchor)
    if bundle is None:
        raise Refusal(Reason.CERT_UNTRUSTED, f"nobody vouches for root {chain.anchor[:16] or 'unknown'}")
    return bundle


def _by_password(record: ChargePointRecord, verified: Verified, used: SecurityProfile) -> Proven:
    proof = PasswordProof(slot=verified.slot, reading=verified.reading)
    evidence = Authenticated(charge_point_id=record.charge_point_id, proof=proof, used_security_profile=used)
    return Proven(evidence=evidence, password=verified)


def _wrong_password(record: ChargePointRecord, used: SecurityProfile) -> Refusal:
    """A record without any password is most often one for another profile."""
    if record.password is None and record.pending_password is None and used is not record.security_profile:
        required = int(record.security_profile)
        return Refusal(Reason.PROFILE_MISMATCH, f"profile {int(used)} without any password stored, required {required}")
    return Refusal(Reason.PASSWORD_WRONG)


def _username_fits(credentials: BasicCredentials, record: ChargePointRecord) -> bool:
    """A00.FR.204: the identity in the URL, exactly; in another case where only 2.x is spoken; else by tolerance."""
    if credentials.username_matches or "username-differs" in record.tolerances:
        return True
    return credentials.username_differs_in_case and ignores_case(record)
