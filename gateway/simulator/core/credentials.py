"""What a charge point shows to the CSMS: its password in one of the readings of the field, or a certificate."""

import re
from typing import Final

from gateway.simulator.core.effects import Connect
from gateway.simulator.core.memory import ClientCertificate
from gateway.simulator.core.station import Station

__all__ = ["certificate_in_use", "change_password", "is_acceptable_password", "password_to_show", "show"]

_HEX_KEY: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}")
_TEXT: Final = re.compile(r"[A-Za-z0-9*\-_=:+|@.]+")
_MIN_CHARS: Final = 16
_CLIENT_CERTIFICATE: Final = 3


def is_acceptable_password(station: Station, value: str) -> bool:
    """AuthorizationKey: 16 to 20 bytes as hex digits. BasicAuthPassword: 16 characters or more of a small alphabet."""
    if station.is_1_6:
        return _HEX_KEY.fullmatch(value) is not None
    return _MIN_CHARS <= len(value) <= station.model.max_password_chars and _TEXT.fullmatch(value) is not None


def change_password(station: Station, value: str) -> None:
    """The new one is valid at once, and used for the next connection, which follows (A01.FR.03)."""
    memory = station.memory
    if "old-password-for" in station.quirks:
        memory.old_password, memory.old_password_uses = memory.password, int(station.quirks.number("old-password-for"))
    memory.password = value
    station.note("password changed")
    if station.slot.security_profile < _CLIENT_CERTIFICATE and "no-reconnect-after-password" not in station.quirks:
        station.reconnect()


def password_to_show(station: Station) -> bytes | None:
    """The bytes behind the colon; None: there is no password."""
    memory = station.memory
    text = station.slot.password or memory.password
    if memory.old_password_uses > 0:
        memory.old_password_uses -= 1
        text = memory.old_password
    if not text:
        return None
    return _reading(station, text)


def _reading(station: Station, text: str) -> bytes:
    """What becomes of a password on the way into the header; 2.x and passwords that are no key: the text itself."""
    is_key = station.is_1_6 and _HEX_KEY.fullmatch(text) is not None
    if "password-hex-upper" in station.quirks:
        return (text if is_key else text.encode().hex()).upper().encode()
    if "password-hex-lower" in station.quirks:
        return (text if is_key else text.encode().hex()).lower().encode()
    if "password-hex-text" in station.quirks or not is_key:
        return text.encode()
    decoded = bytes.fromhex(text)
    if "password-printable" in station.quirks and not all(0x20 <= byte < 0x7F for byte in decoded):  # noqa: PLR2004  ASCII
        return text.encode()
    return decoded


def certificate_in_use(station: Station) -> ClientCertificate | None:
    """The newest, or by turns the one before it, while the newest does not work (A02.FR.28)."""
    certificates = station.memory.certificates
    if not certificates:
        return None
    turn = (
        station.memory.boots + station.live.dials
        if "alternates-certificates" in station.quirks
        else station.live.trust_failures
    )
    return certificates[turn % len(certificates)]


def show(station: Station, url: str, roots: tuple[str, ...], subprotocols: str) -> Connect:
    """The attempt, with the credentials of the slot's security profile."""
    slot = station.slot
    user = slot.identity or station.memory.identity
    common = {
        "url": url,
        "user": user,
        "roots": roots,
        "subprotocols": subprotocols,
        "answers_pings": "no-pong" not in station.quirks,
        "ping_interval_s": station.number("WebSocketPingInterval"),
    }
    if slot.security_profile < _CLIENT_CERTIFICATE:
        return Connect(password=password_to_show(station), **common)  # type: ignore[arg-type]
    certificate = certificate_in_use(station)
    if certificate is None:
        return Connect(**common)  # type: ignore[arg-type]
    return Connect(certificate_pem=certificate.chain_pem, key_pem=certificate.key_pem, **common)  # type: ignore[arg-type]
