"""The store of roots: install, list, delete, and the rule of one root signed by the one before (M03 to M05)."""

from typing import Final

from cryptography import x509

from gateway.simulator.core import certificates, security_events
from gateway.simulator.core.certificates import CertificateUnfit
from gateway.simulator.core.memory import Root
from gateway.simulator.core.station import Payload, Station

__all__ = ["delete", "install", "list_1_6", "list_2_x"]

_CSMS: Final = "CSMSRootCertificate"
_NAMES_1_6: Final = {
    "CentralSystemRootCertificate": _CSMS,
    "ManufacturerRootCertificate": "ManufacturerRootCertificate",
}
_MAX_CHARS: Final = 5_500
_MAX_CHARS_2_1: Final = 10_000
_TLS: Final = 2


def install(station: Station, payload: Payload) -> Payload:
    """InstallCertificate: Accepted, or Rejected with an event where it is about trust in the CSMS."""
    kind: str = payload["certificateType"]
    kind = _NAMES_1_6.get(kind, kind)
    try:
        _add(station, kind, payload["certificate"])
    except CertificateUnfit as unfit:
        station.note("root rejected", type=kind, why=str(unfit))
        if kind == _CSMS:
            security_events.report(station, "InvalidCsmsCertificate", str(unfit))
        return {"status": "Rejected"}
    station.note("root installed", type=kind)
    return {"status": "Accepted"}


def _add(station: Station, kind: str, pem: str) -> None:
    memory = station.memory
    if len(pem) > (_MAX_CHARS_2_1 if memory.version == "2.1" else _MAX_CHARS):
        raise CertificateUnfit("too long")
    certificate = certificates.read(pem)
    moment = station.clock()
    if not certificate.not_valid_before_utc.timestamp() <= moment <= certificate.not_valid_after_utc.timestamp():
        raise CertificateUnfit("not valid now")
    present = [
        root for root in memory.roots if certificates.read(root.pem) == certificate and root.certificate_type == kind
    ]
    if present:
        return  # M05.FR.17: replaced by itself
    old = [root for root in memory.roots if root.certificate_type == _CSMS and not root.is_fallback]
    chains = kind == _CSMS and station.model.additional_root_check and bool(old)
    if chains:
        if not any(certificates.is_signed_by(certificate, certificates.read(root.pem)) for root in old):
            raise CertificateUnfit("not signed by the root before it")  # M05.FR.10
    elif not certificates.is_root(certificate) and "accepts-non-root" not in station.quirks:
        raise CertificateUnfit("not a root")
    if "store-full" in station.quirks or len(memory.roots) >= station.model.max_roots:
        raise CertificateUnfit("no room")
    if chains:
        others = [root for root in memory.roots if root.certificate_type != _CSMS]
        memory.roots = [*others, *(Root(certificate_type=_CSMS, pem=root.pem, is_fallback=True) for root in old)]
    memory.roots.append(Root(certificate_type=kind, pem=pem))


def _hashes(station: Station, root: Root, algorithm: str) -> dict[str, str]:
    """As this charge point would report them."""
    certificate = certificates.read(root.pem)
    known = [certificates.read(each.pem) for each in station.memory.roots]
    issuer = next((each for each in known if certificates.is_signed_by(certificate, each)), certificate)
    found = certificates.hash_data(certificate, issuer, algorithm)
    if "serial-leading-zero" in station.quirks:
        found["serialNumber"] = f"00{found['serialNumber']}"[-40:]
    if "hash-upper-case" in station.quirks:
        for name in ("issuerNameHash", "issuerKeyHash", "serialNumber"):
            found[name] = found[name].upper()
    return found


def list_1_6(station: Station, payload: Payload) -> Payload:
    """GetInstalledCertificateIds of one type."""
    kind = _NAMES_1_6[payload["certificateType"]]
    found = [
        _hashes(station, root, station.model.hash_algorithm)
        for root in station.memory.roots
        if root.certificate_type == kind
    ]
    return {"status": "Accepted", "certificateHashData": found} if found else {"status": "NotFound"}


def list_2_x(station: Station, payload: Payload) -> Payload:
    """GetInstalledCertificateIds of some types, or of all."""
    wanted = payload.get("certificateType")
    found = [
        {
            "certificateType": root.certificate_type,
            "certificateHashData": _hashes(station, root, station.model.hash_algorithm),
        }
        for root in station.memory.roots
        if wanted is None or root.certificate_type in wanted
    ]
    return {"status": "Accepted", "certificateHashDataChain": found} if found else {"status": "NotFound"}


def delete(station: Station, payload: Payload) -> Payload:
    """DeleteCertificate: not its own certificate, not the root that it cannot do without."""
    wanted = payload["certificateHashData"]
    if _is_own(station, wanted):
        return {"status": "Failed"}  # M04.FR.06
    memory = station.memory
    root = next((root for root in memory.roots if _same(_hashes(station, root, wanted["hashAlgorithm"]), wanted)), None)
    if root is None:
        return {"status": "NotFound"}
    trusted = [each for each in memory.roots if each.certificate_type == _CSMS]
    if root in trusted and len(trusted) == 1 and station.slot.security_profile >= _TLS:
        station.note("root kept", why="the last one, and in use")
        return {"status": "Failed"}
    memory.roots.remove(root)
    station.note("root deleted", type=root.certificate_type)
    return {"status": "Accepted"}


def _is_own(station: Station, wanted: dict[str, str]) -> bool:
    serial_numbers = {format(_leaf(each.chain_pem).serial_number, "x") for each in station.memory.certificates}
    return wanted["serialNumber"].lower().lstrip("0") in serial_numbers


def _leaf(chain_pem: str) -> x509.Certificate:
    return certificates.read_chain(chain_pem)[0]


def _same(one: dict[str, str], other: dict[str, str]) -> bool:
    """Case and leading zeroes say nothing."""
    names = ("issuerNameHash", "issuerKeyHash", "serialNumber")
    return all(one[name].lower().lstrip("0") == other[name].lower().lstrip("0") for name in names)
