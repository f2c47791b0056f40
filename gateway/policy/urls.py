"""One strict grammar for URLs that a charge point is told to fetch from or upload to.

Parsers differ about userinfo, backslashes, dots, numeric hosts and control characters, and an allow-list is only as good
as its agreement with the parser in the charge point. So `ok` is True only for what every parser reads alike; a rule
that wants a host on a list asks for `ok` first.
"""

import ipaddress
import re
from typing import Final

import msgspec

__all__ = ["Url", "is_public", "read_url"]

_MAX_CHARS = 2_048
_SHAPE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{1,15})://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_ALLOWED: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_HOST: Final = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?)*"
)
_NUMERIC_LABEL: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_TRICK: Final = re.compile(r"%(?:0[0-9A-Fa-f]|1[0-9A-Fa-f]|2[eEfF]|5[cC]|7[fF])")
_LOCAL_NAMES: Final = ("localhost", ".localhost", ".local", ".internal", ".home.arpa")
_MAX_PORT = 65_535
_NAT64: Final = 0x0064_FF9B << 64
_SIIT: Final = 0xFFFF << 16
"""``::ffff:0:0:0/96`` (RFC 2765), the upper 96 bits."""
_OF_A_NETWORK: Final = (ipaddress.IPv6Network("64:ff9b:1::/48"), ipaddress.IPv6Network("fec0::/10"))
"""What leads to somewhere in this network alone, whatever is inside: local NAT64 (RFC 8215), site-local (RFC 3879)."""
_DEFAULT_PORTS: Final = {"https": 443, "http": 80, "ftp": 21, "ftps": 990, "sftp": 22, "ws": 80, "wss": 443}


class Url(msgspec.Struct, frozen=True):
    """What a text says as a URL. Every field is empty where it cannot be said without doubt."""

    ok: bool = False
    scheme: str = ""
    host: str = ""
    """Lower-case, without a trailing dot; for IP literals the normalised address."""
    port: int = 0
    userinfo: str = ""
    """``user`` or ``user:...``: that there is one, never the password."""
    ip_literal: bool = False
    private: bool = False
    """Loopback, link-local, private, unspecified, multicast, or a name that means this machine or network."""
    local: bool = False
    """Loopback, link-local, unspecified, multicast or ``localhost``: no file server of an operator is ever there."""
    path: str = ""


def read_url(text: str) -> Url:
    """Read a URL. Total: anything doubtful gives `ok` False, with what could be read for the record."""
    shape = _SHAPE.fullmatch(text) if len(text) <= _MAX_CHARS else None
    if shape is None:
        return Url()
    scheme, authority, path = shape[1].lower(), shape[2], shape[3]
    userinfo, at, hostport = authority.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    shown = (user + (":..." if colon else "")) if at else ""
    host, port, host_ok = _host_and_port(hostport, scheme)
    literal, private, local, address_ok = _address(host)
    # To some parsers what is in front of an @ is userinfo, wherever the @ stands.
    hidden = path + (shape[5] or "") + ("" if path else shape[4] or "")
    clean = _ALLOWED.fullmatch(text) is not None and _plain_path(path, scheme) and "@" not in hidden
    return Url(
        ok=bool(clean and host_ok and address_ok and host),
        scheme=scheme,
        host=host,
        port=port,
        userinfo=shown,
        ip_literal=literal,
        private=private,
        local=local,
        path=path,
    )


def _host_and_port(hostport: str, scheme: str) -> tuple[str, int, bool]:
    """(host, port, whether every parser agrees)."""
    host, port_text = hostport, ""
    if hostport.startswith("["):
        host, bracket, rest = hostport[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return hostport.lower(), 0, False
        port_text = rest[1:]
        bracketed = True
    else:
        host, _, port_text = hostport.partition(":")
        bracketed = False
    digits = port_text.isascii() and port_text.isdigit() and len(port_text) <= 5  # noqa: PLR2004
    port = int(port_text) if digits else _DEFAULT_PORTS.get(scheme, 0)
    ok = (not port_text or digits) and port <= _MAX_PORT and not hostport.endswith(":")
    name = host.lower()
    if not bracketed:
        ok = ok and _HOST.fullmatch(name) is not None
    return name.rstrip("."), port, ok and (bracketed or not name.endswith("."))


def _address(host: str) -> tuple[bool, bool, bool, bool]:
    """(an IP address in any notation, private or local, local, unambiguous)."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        numeric = bool(host) and all(_NUMERIC_LABEL.fullmatch(label) for label in host.split("."))
        here = host == "localhost" or host.endswith(".localhost")
        # 2130706433, 0x7f.1 and 127.1 are addresses to some parsers and names to others.
        return numeric, numeric or _is_local_name(host), numeric or here, not numeric
    hidden = _hidden_address(address)
    local, private = _is_local(hidden or address), not is_public(address)
    # An IPv4 address dressed up as IPv6 has no purpose but to slip past a list.
    return True, private, local, hidden is None and "%" not in host


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """True if it is one of a host somewhere in the Internet, also where it hides another one: no loopback, no private network."""
    judged = _hidden_address(address) or address
    return judged.is_global and not _is_local(judged) and not any(judged in each for each in _OF_A_NETWORK)


def _is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast


def _hidden_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside a mapped, translated (SIIT), 6to4, NAT64 or IPv4-compatible IPv6 address."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None or address.sixtofour is not None:
        return address.ipv4_mapped or address.sixtofour
    high, low = int(address) >> 32, int(address) & 0xFFFFFFFF
    return ipaddress.IPv4Address(low) if high in {_NAT64, _SIIT} or (high == 0 and low > 1) else None


def _is_local_name(host: str) -> bool:
    return any(host == name.lstrip(".") or (name.startswith(".") and host.endswith(name)) for name in _LOCAL_NAMES)


def _plain_path(path: str, scheme: str) -> bool:
    """No dot segments, empty segments or encodings that a parser could resolve into another path.

    ``ftp://host//var/log`` is how FTP spells an absolute path.
    """
    if _PERCENT.search(path) or _ENCODED_TRICK.search(path):
        return False
    segments = path.split("/")[1:]
    if segments[:1] == [""] and scheme in {"ftp", "ftps", "sftp"}:
        segments = segments[1:]
    return all(segment not in {".", ".."} for segment in segments) and "" not in segments[:-1]
