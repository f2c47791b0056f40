"""What a request for a certificate says: as it came from a charge point, as a CA gets to see it, and what the CA says."""

from gateway.control.certificate_authority import Approved, Asked, Held, Turned, Unavailable, Waiting
from gateway.control.sessions import Entry
from gateway.identity.evidence import CertificateProof
from gateway.identity.record import ChargePointRecord
from gateway.link.messages import CertificateRequest
from gateway.provisioning import enrolment as core
from gateway.provisioning.csr_digest import csr_digest
from gateway.provisioning.enrolment import CertificateRequested, Enrolment, Timing

__all__ = ["answered", "asked_of", "operator_of", "request_of"]


def request_of(message: CertificateRequest, entry: Entry) -> CertificateRequested:
    """SignCertificate, with what its session has proven."""
    proof = entry.proof if isinstance(entry.proof, CertificateProof) else None
    return CertificateRequested(
        charge_point_id=entry.charge_point_id,
        csr=message.csr,
        csr_sha256=csr_digest(message.csr),
        certificate_type=message.certificate_type,
        request_id=message.ocpp_request_id,
        presented_sha256=proof.sha256 if proof is not None else "",
        presented_serial=proof.serial_number if proof is not None else "",
        method=f"security profile {int(entry.security_profile)}",
    )


def operator_of(record: ChargePointRecord | None, configured: tuple[str, ...]) -> str:
    """The O of its certificate; empty where neither the registry nor the configuration says."""
    return next(iter((record.operator_names if record else ()) or configured), "")


def asked_of(enrolment: Enrolment, record: ChargePointRecord | None, operator: str, now: float) -> Asked | Turned:
    """The request with the names that the registry has at this moment; Turned where it has none."""
    if record is None or not record.serial_number:
        return Turned(
            "no-serial-number", "the registry has no serial number for it: charge-point set ID --serial-number"
        )
    if not operator:
        return Turned("no-operator-name", "neither the registry nor the configuration names an operator")
    return Asked(
        csr=enrolment.csr,
        charge_point_id=record.charge_point_id,
        common_name=record.serial_number,
        organization=operator,
        presented_serial=enrolment.presented_serial,
        presented_sha256=enrolment.presented_sha256,
        method=enrolment.method,
        released_by=enrolment.released_by if core.is_released(enrolment, now) else "",
    )


def answered(
    enrolment: Enrolment,
    outcome: Held | Approved | Waiting | Turned | Unavailable,
    now: float,
    timing: Timing,
    *,
    is_new: bool,
) -> Enrolment | None:
    """What follows from the CA's answer; None if nothing does, yet. `is_new`: it was asked, not only looked at again."""
    match outcome:
        case Held(request=request, rule=rule):
            return core.held(enrolment, now, request, rule) if is_new else None
        case Approved():
            return core.released(enrolment, now, timing)
        case Waiting(request=request, retry_after_s=retry_after_s):
            return core.waiting(enrolment, now, request, retry_after_s, timing)
        case Turned(code=code, why=why):
            return core.denied(enrolment, now, f"{code}: {why}")
        case Unavailable(why=why):
            # If it was only looked at, an operator has the journal open: there will be news.
            return core.put_off(enrolment, now, why, timing) if is_new else None
