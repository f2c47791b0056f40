"""The admission procedure: the only place where an `Admission` is made."""

import msgspec

from gateway.identity.claim import choose_subprotocols, require_tolerances
from gateway.identity.evidence import Admission, Authenticated, CertificateProof, Claim, is_limited
from gateway.identity.record import ChargePointRecord
from gateway.identity.refusal import Reason, Refusal
from gateway.ocpp.vocabulary import BootState, OCPPVersion, SecurityProfile

__all__ = ["ListenerFacts", "admit", "floor_to_raise", "profiles_to_try"]


class ListenerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an admission needs to know of the listener."""

    name: str
    security_profiles: tuple[SecurityProfile, ...]
    csms: str
    takes_expired: bool = False
    """An expired certificate may come in for its renewal, where the record says so too (A00.FR.429)."""


def profiles_to_try(claim: Claim, record: ChargePointRecord | None) -> tuple[SecurityProfile, ...]:
    """The profiles a claim may be an attempt at, in the order in which its proofs are looked at.

    A certificate makes it profile 3 (requirements, appendix B, vector 5), except where the record takes profile 2
    and not 3: many charge points show a factory certificate to a listener that asks for one, and send Basic, perhaps
    only after a 401. While an upgrade between the two is running, the certificate is looked at first, and one that
    is not good (the factory's), or good for its renewal alone, does not keep the charge point from going on with its password.
    """
    tls = claim.transport.tls
    if tls is None:
        return (SecurityProfile.BASIC,)
    if not tls.leaf_der:
        return (SecurityProfile.TLS_BASIC,)
    taken = set() if record is None else {record.security_profile, record.pending_security_profile}
    if SecurityProfile.TLS_BASIC not in taken:
        return (SecurityProfile.TLS_CLIENT_CERTIFICATE,)
    if SecurityProfile.TLS_CLIENT_CERTIFICATE not in taken:
        return (SecurityProfile.TLS_BASIC,)
    return (SecurityProfile.TLS_CLIENT_CERTIFICATE, SecurityProfile.TLS_BASIC)


def admit(
    *,
    claim: Claim,
    authenticated: Authenticated,
    record: ChargePointRecord,
    listener: ListenerFacts,
    csms_versions: tuple[OCPPVersion, ...],
    generation: int,
    session: str,
    boot_state: BootState = "unknown",
) -> Admission:
    """Let a proven charge point in, or raise Refusal.

    1. The evidence is about this record; anything else is a programming error.
    2. The charge point is enabled.
    3. The listener serves the profile that was used (A00.FR.006).
    4. The profile is not below the floor (A05.FR.07/.09), whatever else the record says.
    5. It is the required one (A00.FR.001/002), or the target of a running upgrade.
    6. Every flaw of the request is tolerated for this charge point.
    7. There is an OCPP version that it offers, the registry allows and the CSMS speaks.
    """
    # Step 1.
    if authenticated.charge_point_id != record.charge_point_id:
        raise RuntimeError("evidence of another charge point")
    used = authenticated.used_security_profile
    # Step 2.
    if not record.enabled:
        raise Refusal(Reason.DISABLED)
    # Steps 3 to 5.
    pending = _require_profile(used, record, listener)
    # Step 6.
    require_tolerances(claim.needs, record.tolerances)
    # Step 7.
    subprotocols, assumed = choose_subprotocols(claim.subprotocols, record, csms_versions)
    on_certificate = isinstance(authenticated.proof, CertificateProof)
    return Admission(
        charge_point_id=record.charge_point_id,
        security_profile=used,
        subprotocols=subprotocols,
        assumed_version=assumed,
        csms=record.csms or listener.csms,
        group=record.group,
        generation=generation,
        session=session,
        proof=authenticated.proof,
        expected_serial_number=record.serial_number if on_certificate else "",
        tolerances=record.tolerances,
        upgrade_pending=pending,
        answers_pings=record.answers_pings,
        boot_state="unknown" if is_limited(authenticated.proof) else boot_state,  # no BootNotification reaches the CSMS
        serial_number=record.serial_number,
        vendor=record.vendor,
        model=record.model,
        firmware=record.firmware,
    )


def _require_profile(used: SecurityProfile, record: ChargePointRecord, listener: ListenerFacts) -> bool:
    """Steps 3 to 5 of `admit`. True if it is the target of a running upgrade. Raises Refusal."""
    if used not in listener.security_profiles:
        raise Refusal(Reason.PROFILE_NOT_ON_LISTENER, f"profile {int(used)} on listener {listener.name}")
    if record.floor is not None and used < record.floor:
        raise Refusal(Reason.PROFILE_BELOW_FLOOR, f"profile {int(used)}, floor {int(record.floor)}")
    pending = used is record.pending_security_profile and used is not record.security_profile
    if used is not record.security_profile and not pending:
        raise Refusal(Reason.PROFILE_MISMATCH, f"profile {int(used)}, required {int(record.security_profile)}")
    return pending


def floor_to_raise(record: ChargePointRecord, admission: Admission) -> SecurityProfile | None:
    """What must be stored as floor, durably, before the admission is handed out; None if nothing.

    A running upgrade raises nothing yet: its floor moves when the session has registered. Nor does a session that may
    only renew its certificate: what it has shown is not what it will have to show.
    """
    if admission.upgrade_pending or is_limited(admission.proof):
        return None
    if record.floor is None or admission.security_profile > record.floor:
        return admission.security_profile
    return None
