"""Security events: what happened, as a value. Sinks and durability are the control process's business.

An event never carries a secret: no Authorization header, password, key or payload. `detail` is written by us,
never copied raw from a peer; text that a peer chose (identity, SNI) goes through `printable` first (CWE-117).
"""

from typing import Literal

import msgspec

__all__ = ["Actor", "SecurityEvent", "Severity", "one_line", "printable"]

Severity = Literal["info", "low", "medium", "high", "critical"]

_MAX_TEXT_CHARS = 256
_SPACE, _DELETE, _BACKSLASH = 0x20, 0x7F, 0x5C


def printable(text: str | bytes, max_chars: int = _MAX_TEXT_CHARS) -> str:
    """One line of printable ASCII that shows what a peer sent: everything else escaped, cut at `max_chars`."""
    if isinstance(text, str) and len(text) <= max_chars and text.isascii() and text.isprintable() and "\\" not in text:
        return text
    raw = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    cut = raw[: max_chars + 1]
    shown = "".join(chr(byte) if _SPACE <= byte < _DELETE and byte != _BACKSLASH else f"\\x{byte:02x}" for byte in cut)
    return shown if len(raw) <= max_chars and len(shown) <= max_chars else shown[:max_chars] + "..."


def one_line(text: str, max_chars: int = 2 * _MAX_TEXT_CHARS) -> str:
    """One line of printable ASCII out of words of ours. What `printable` has escaped in them stays as it is."""
    raw = text[: max_chars + 1].encode("utf-8", "backslashreplace")
    shown = "".join(chr(byte) if _SPACE <= byte < _DELETE else f"\\x{byte:02x}" for byte in raw)
    return shown if len(shown) <= max_chars else shown[:max_chars] + "..."


class Actor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who has asked for something: a person, or a program of his. Every text is `printable`, `name` has all of it for people."""

    name: str
    known_by: Literal["socket", "registry", "command", "signal"]
    """``socket``: `user`, `uid`, `pid` and `login` are what the kernel says of the process that has connected. ``registry``: what
    the command that wrote there said of itself; ``command``: the same, of one that writes into the log. ``signal``: it was one,
    and nobody knows whose."""
    user: str = ""
    uid: int = -1
    pid: int = 0
    login: str = ""
    """Whose login session it is, which neither su nor sudo changes; empty where the system does not keep that."""
    sudo: str = ""
    """Claimed: who has called sudo."""
    named: str = ""
    """Claimed: what he calls himself."""


class SecurityEvent(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="security_event"
):
    """One thing a security team wants to know about. Serialises to one flat JSON object."""

    event: str
    """Dotted stable name, e.g. ``auth.missing``, ``tls.downgrade``, ``identity.duplicate``."""
    time: float
    """Seconds since the epoch, UTC, taken by the shell."""
    severity: Severity = "medium"
    stage: str = ""
    """Stage of the data path that raised it (architecture.md, section 2): accept, tls, upgrade, identify, ..."""
    ocpp_event: str = ""
    """OCPP's name for the same security event, e.g. ``InvalidChargingStationCertificate``, where it has one."""
    reason: str = ""
    """Machine-readable refusal reason (a `gateway.identity.refusal.Reason` name) where something was refused."""
    decision: str = ""
    """What was done: tls_alert, http_reject, ws_close, disconnect, rate_limit, drop, sanitize, allow_alert, ..."""
    charge_point_id: str = ""
    verified: bool = False
    """True if `charge_point_id` was proven, False if it is only what the peer claimed."""
    peer: str = ""
    """Source address as the gateway trusts it (socket peer, or PROXY protocol from a trusted source)."""
    peer_port: int = 0
    listener: str = ""
    connection: str = ""
    """Gateway-wide id of the connection, the same in every event of one connection."""
    security_profile: int = 0
    http_status: int = 0
    tls_version: str = ""
    tls_offered: tuple[str, ...] = ()
    """Protocol versions of the ClientHello."""
    server_name: str = ""
    certificate_sha256: str = ""
    count: int = 1
    """How many equal events this one stands for, when repeats were folded."""
    policy_revision: str = ""
    """First digits of the revision that judged a message, in events of live sessions."""
    subject: str = ""
    """What a detection is about: an address, a charge point, a certificate."""
    evidence: tuple[str, ...] = ()
    """Places of the audit records that a detection rests on, ``SHARD/INDEX``."""
    detail: str = ""
    actor: Actor | None = None
    """Who has asked for it, where somebody has."""
