"""What detections are made of: thresholds, a record as they see it, and what they tell."""

import ipaddress
from functools import lru_cache
from sys import intern
from typing import Any

import msgspec

from gateway.audit.event import Severity
from gateway.audit.record import part

__all__ = ["MICROSECONDS", "Detection", "Seen", "Session", "Thresholds", "network_of", "seen"]

MICROSECONDS = 1_000_000


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """From where on something is told. The operator's words for them are in `gateway.config.model.Detections`."""

    enabled: bool
    quiet_s: float
    brute_force_failures: int
    brute_force_window_s: float
    enumeration_identities: int
    enumeration_window_s: float
    travel_changes: int
    travel_window_s: float
    travel_prefix_bits_ipv4: int
    travel_prefix_bits_ipv6: int
    shared_credential_window_s: float
    clock_records: int
    clock_window_s: float
    flapping_sessions: int
    flapping_window_s: float


class Session(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of a charge point that has come in."""

    place: str
    ts_us: int
    address: str
    profile: int
    """0 where the record does not say it."""
    has_certificate: bool
    version: str


class Seen(msgspec.Struct, frozen=True):
    """The parts of a record that detections look at; empty where it has none."""

    place: str
    """``SHARD/INDEX``, as commands name it."""
    ts_us: int
    kind: str
    reason: str
    charge_point_id: str
    proven: bool
    address: str
    count: int
    """How many equal things it stands for."""
    record: dict[str, Any]
    session: Session | None = None
    """That has begun with this record."""


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is told once, until `Thresholds.quiet_s` have passed."""

    kind: str
    subject: str
    """What it is about, an address or a charge point: one detection of a kind for each."""
    severity: Severity
    text: str
    evidence: tuple[str, ...]
    """Places of the records that it rests on, the oldest first."""
    charge_point_id: str = ""
    address: str = ""


def seen(place: str, record: dict[str, Any]) -> Seen:
    """A record, whatever it holds: fields of another type than they should have count as absent."""
    decision, peer = part(record, "dec"), part(record, "peer")
    ts, count = record.get("ts"), record.get("n")
    ts_us, kind, address = ts if type(ts) is int else 0, _text(record.get("type")), _text(peer.get("ip"))
    return Seen(
        place,
        ts_us,
        kind,
        _text(decision.get("reason")),
        _text(record.get("cp")),
        record.get("proven") is True,
        address,
        count if type(count) is int and count > 0 else 1,
        record,
        _session(place, ts_us, address, record) if kind == "session.opened" else None,
    )


def _session(place: str, ts_us: int, address: str, record: dict[str, Any]) -> Session:
    auth, version = part(record, "auth"), _text(part(record, "ocpp").get("version"))
    profile = auth.get("profile")
    has_certificate = auth.get("proof") == "CertificateProof"
    return Session(place, ts_us, address, profile if type(profile) is int else 0, has_certificate, intern(version))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


@lru_cache(maxsize=4096)
def network_of(address: str, bits_ipv4: int, bits_ipv6: int) -> str:
    """The network of an address, for these prefix lengths; what is no address is its own network."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    found = mapped or ip
    bits = bits_ipv4 if isinstance(found, ipaddress.IPv4Address) else bits_ipv6
    return str(ipaddress.ip_network((int(found), bits), strict=False))
