"""Hand-made ClientHellos and hand-read alerts: what the local OpenSSL would refuse to offer itself."""

import os
import struct

from tests.attacks.case import NotUnderstood

__all__ = ["ALERTS", "VERSIONS", "alerts_in", "build_client_hello", "suite_codes"]

VERSIONS = {"SSL3": 0x0300, "TLS1.0": 0x0301, "TLS1.1": 0x0302, "TLS1.2": 0x0303}
"""Versions a ClientHello can name in its legacy_version field."""

ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    116: "certificate_required",
    120: "no_application_protocol",
}
"""Alert descriptions (RFC 8446, 6 and RFC 5246, 7.2)."""

_SUITES = {
    "TLS_RSA_WITH_NULL_MD5": 0x0001,
    "TLS_RSA_WITH_NULL_SHA": 0x0002,
    "TLS_RSA_EXPORT_WITH_RC4_40_MD5": 0x0003,
    "TLS_RSA_WITH_RC4_128_MD5": 0x0004,
    "TLS_RSA_WITH_RC4_128_SHA": 0x0005,
    "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA": 0x0008,
    "TLS_RSA_WITH_DES_CBC_SHA": 0x0009,
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA": 0x000A,
    "TLS_DH_anon_WITH_AES_128_CBC_SHA": 0x0034,
    "TLS_RSA_WITH_AES_128_CBC_SHA": 0x002F,
    "TLS_RSA_WITH_AES_256_CBC_SHA": 0x0035,
    "TLS_RSA_WITH_NULL_SHA256": 0x003B,
    "TLS_RSA_WITH_AES_128_GCM_SHA256": 0x009C,
    "TLS_RSA_WITH_AES_256_GCM_SHA384": 0x009D,
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": 0xC009,
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": 0xC013,
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": 0xC02B,
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": 0xC02C,
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": 0xC02F,
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": 0xC030,
}
_ORDINARY = (0xC009, 0xC013, 0x002F, 0x0035)
"""What a client of the days of TLS 1.0 offered."""
_FALLBACK_SCSV_NONE = b"\x00"


def suite_codes(names: list[str]) -> tuple[int, ...]:
    """Code points of suites by their IANA names; what an ordinary old client offers if none are named."""
    unknown = [name for name in names if name not in _SUITES]
    if unknown:
        raise NotUnderstood(f"cipher suites {', '.join(unknown)}")
    return tuple(_SUITES[name] for name in names) or _ORDINARY


def _extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, len(body)) + body


def _extensions(version: int, server_name: str) -> bytes:
    name = server_name.encode("ascii")
    found = _extension(0, struct.pack(">HBH", len(name) + 3, 0, len(name)) + name)
    found += _extension(10, b"\x00\x06\x00\x1d\x00\x17\x00\x18")  # x25519, P-256, P-384
    found += _extension(11, b"\x01\x00")  # uncompressed points
    found += _extension(0xFF01, _FALLBACK_SCSV_NONE)  # secure renegotiation, first handshake
    if version >= VERSIONS["TLS1.2"]:
        found += _extension(13, b"\x00\x08\x04\x03\x04\x01\x02\x03\x02\x01")  # ECDSA and RSA, SHA-256 and SHA-1
    return found


def build_client_hello(version: int, suites: tuple[int, ...], server_name: str) -> bytes:
    """One record with a ClientHello whose highest version is `version` (RFC 5246, 7.4.1.2)."""
    extensions = _extensions(version, server_name)
    codes = b"".join(struct.pack(">H", code) for code in suites)
    body = struct.pack(">H", version) + os.urandom(32) + b"\x00"
    body += struct.pack(">H", len(codes)) + codes + b"\x01\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


def alerts_in(wire: bytes) -> list[str]:
    """Descriptions of the alerts in unencrypted records, in order, close_notify left out."""
    found, at = [], 0
    while at + 5 <= len(wire):
        size = int.from_bytes(wire[at + 3 : at + 5], "big")
        body = wire[at + 5 : at + 5 + size]
        if wire[at] == 0x15 and len(body) == 2 and body[1]:
            found.append(ALERTS.get(body[1], str(body[1])))
        at += 5 + size
    return found
