"""A certificate for the charge point: request, waiting, receipt (A02, A03; ExtendedTriggerMessage in 1.6).

1. `begin`: a key pair is made, for each request a new one (A02.FR.02). 2. `key_made`: request sent, and kept with its
key. 3. No certificate: sent again after a while, doubled each time, a few times (A02.FR.17 to 19). 4. `receive`: checked
against its own key and roots; Accepted makes it the first choice, the old one stays until the new one has worked.
"""

from typing import Final

import msgspec

from gateway.simulator.core import certificates, security_events
from gateway.simulator.core.certificates import CertificateUnfit
from gateway.simulator.core.effects import MakeKey
from gateway.simulator.core.events import KeyMade
from gateway.simulator.core.memory import ClientCertificate, PendingRequest
from gateway.simulator.core.station import Payload, Station

__all__ = [
    "begin",
    "forget_key",
    "key_made",
    "receive",
    "renew_if_due",
    "request_answered",
    "request_not_answered",
    "resend",
    "resume",
]

OWN: Final = "ChargingStationCertificate"
_CLIENT_CERTIFICATE: Final = 3


def begin(station: Station, certificate_type: str) -> bool:
    """Start a request. False: it cannot, because nobody has set CpoName / OrganizationName (A02.FR.13)."""
    organization = station.memory.settings.get("OrganizationName", "")
    if not organization:
        return False
    if station.memory.request is not None and "ignores-triggers" in station.quirks:
        station.note("trigger ignored")
        return True
    station.live.wants_key_for = certificate_type
    station.out.append(
        MakeKey(common_name=station.memory.serial_number, organization=organization, kind=station.model.key_kind)
    )
    return True


def key_made(station: Station, event: KeyMade) -> None:
    """The request is kept with its key before it is sent."""
    live, memory = station.live, station.memory
    if not live.wants_key_for:
        return
    memory.request = PendingRequest(
        csr_pem=event.csr_pem,
        key_pem=event.key_pem,
        certificate_type=live.wants_key_for,
        request_id=memory.next_number(),
    )
    live.wants_key_for = ""
    if "drops-csr-key" in station.quirks:
        station.timer("csr-key", 60.0 * station.quirks.number("drops-csr-key"))
    _send(station, memory.request)


def _send(station: Station, request: PendingRequest) -> None:
    station.memory.request = msgspec.structs.replace(request, sent=request.sent + 1)
    payload: Payload = {"csr": request.csr_pem}
    if not station.is_1_6:
        payload["certificateType"] = request.certificate_type
    if station.memory.version == "2.1":
        payload["requestId"] = request.request_id
    station.call("SignCertificate", payload, triggered=True)


def request_answered(station: Station, answer: Payload) -> None:
    """Accepted: now wait. Rejected: no certificate, and no other attempt until triggered (A02.FR.20)."""
    request = station.memory.request
    if request is None:
        return
    if answer.get("status") != "Accepted":
        station.note("request for a certificate rejected")
        station.memory.request = None
        return
    station.memory.request = msgspec.structs.replace(request, is_accepted=True)
    _wait(station, request)


def resume(station: Station) -> None:
    """Connected again: a request whose answer was lost is sent again, one that was accepted has its time."""
    request = station.memory.request
    if request is None or any(call.action == "SignCertificate" for call in station.live.waiting):
        return
    if request.is_accepted:
        _wait(station, request)
    else:
        _send(station, request)


def request_not_answered(station: Station) -> None:
    """Refused with an error, or lost: as if no certificate had come."""
    if station.memory.request is not None:
        _wait(station, station.memory.request)


def _wait(station: Station, request: PendingRequest) -> None:
    """1.6 knows no repetition; whoever does it, doubles the time as 2.x does."""
    if "resends-csr" in station.quirks:
        first = station.quirks.number("resends-csr")
    elif station.is_1_6 or request.sent > station.number("CertSigningRepeatTimes"):
        return
    else:
        first = float(station.number("CertSigningWaitMinimum"))
    station.timer("csr", first * 2.0 ** (request.sent - 1))


def resend(station: Station) -> None:
    """Nobody has sent a certificate: the same request again."""
    request = station.memory.request
    if request is None:
        return
    if station.live.link != "up":
        _wait(station, request)
        return
    station.note("request for a certificate repeated", times=request.sent)
    _send(station, request)


def forget_key(station: Station) -> None:
    """The quirk: whatever comes now is for a key that is not there any more."""
    station.memory.request = None
    station.note("key of the request forgotten")


def receive(station: Station, payload: Payload) -> str:
    """CertificateSigned: Accepted or Rejected; after Accepted a charge point on profile 3 reconnects (A02.FR.08)."""
    chain_pem = payload["certificateChain"]
    request = station.memory.request
    try:
        _check(station, request, payload)
    except CertificateUnfit as unfit:
        station.note("certificate rejected", why=str(unfit))
        if payload.get("certificateType", OWN) == OWN:
            security_events.report(station, "InvalidChargingStationCertificate", str(unfit))
        if request is not None and payload.get("requestId", request.request_id) == request.request_id:
            station.memory.request = None
        station.stop_timer("csr")
        return "Rejected"
    assert request is not None
    station.memory.request = None
    for timer in ("csr", "csr-key"):
        station.stop_timer(timer)
    serial_number = format(certificates.read_chain(chain_pem)[0].serial_number, "x")
    station.note("certificate accepted", serial_number=serial_number, type=request.certificate_type)
    if request.certificate_type == OWN:
        new = ClientCertificate(chain_pem=chain_pem, key_pem=request.key_pem)
        station.memory.certificates = [new, *station.memory.certificates[:1]]
        if station.slot.security_profile == _CLIENT_CERTIFICATE:
            station.reconnect()
    return "Accepted"


def _check(station: Station, request: PendingRequest | None, payload: Payload) -> None:
    chain_pem = payload["certificateChain"]
    if request is None:
        raise CertificateUnfit("no request is open")
    if payload.get("certificateType", request.certificate_type) != request.certificate_type:
        raise CertificateUnfit("of another type than requested")
    if station.memory.version == "2.1" and payload.get("requestId") != request.request_id:
        raise CertificateUnfit("for another request")  # A02.FR.24 to 26
    if len(chain_pem) > station.model.max_chain_chars:
        raise CertificateUnfit("the chain is too long")
    if "rejects-certificate" in station.quirks:
        raise CertificateUnfit("quirk")
    chain = certificates.read_chain(chain_pem)
    if "wants-root-in-chain" in station.quirks and not certificates.is_root(chain[-1]):
        raise CertificateUnfit("the chain has no root")
    if "wants-leaf-only" in station.quirks and len(chain) > 1:
        raise CertificateUnfit("more than one certificate")
    roots = tuple(root.pem for root in station.memory.roots if root.certificate_type == "CSMSRootCertificate")
    if request.certificate_type != OWN:
        roots = tuple(root.pem for root in station.memory.roots if root.certificate_type == "V2GRootCertificate")
    verifiable = () if "wants-leaf-only" in station.quirks else roots
    certificates.verify_issued(chain_pem, request.csr_pem, verifiable, station.clock())


def renew_if_due(station: Station) -> None:
    """A03: it ends within a month, and nobody has asked for another one yet."""
    memory = station.memory
    if memory.request is not None:
        resume(station)
        return
    if station.slot.security_profile != _CLIENT_CERTIFICATE or not memory.certificates:
        return
    if certificates.ends_at(memory.certificates[0].chain_pem) - station.clock() < station.model.renew_before_s:
        begin(station, OWN)
