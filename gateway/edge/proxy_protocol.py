"""PROXY protocol v1 and v2 headers, read strictly. Whether a source may send one is the caller's decision."""

import ipaddress

import msgspec

__all__ = ["ProxyHeaderInvalid", "ProxySource", "read_proxy_header"]

_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_MAX_BYTES = 107
_V2_MAX_BYTES = 16 + 2048
_V2_LOCAL, _V2_PROXY = 0x20, 0x21
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}
_V1_PARTS = 6


class ProxyHeaderInvalid(Exception):  # noqa: N818  an outcome of the peer's bytes
    """Not a PROXY protocol header, or a damaged one."""


class ProxySource(msgspec.Struct, frozen=True):
    """The original source. Both fields are empty for LOCAL and UNKNOWN (health checks): the socket peer counts."""

    address: str = ""
    port: int = 0


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or (len(text) > 1 and text[0] == "0") or int(text) > 65535:  # noqa: PLR2004
        raise ProxyHeaderInvalid("port")
    return int(text)


def _read_v1(data: bytes) -> tuple[ProxySource, int] | None:
    end = data.find(b"\r\n", 0, _V1_MAX_BYTES)
    if end < 0:
        if len(data) >= _V1_MAX_BYTES or not b"PROXY ".startswith(data[:6]):
            raise ProxyHeaderInvalid("no line end")
        return None
    try:
        parts = data[:end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyHeaderInvalid("not ASCII") from None
    if parts[:2] == ["PROXY", "UNKNOWN"]:
        return ProxySource(), end + 2
    if len(parts) != _V1_PARTS or parts[0] != "PROXY" or parts[1] not in {"TCP4", "TCP6"}:
        raise ProxyHeaderInvalid("form")
    try:
        source = ipaddress.ip_address(parts[2])
        ipaddress.ip_address(parts[3])
    except ValueError:
        raise ProxyHeaderInvalid("address") from None
    if source.version != int(parts[1][3]):
        raise ProxyHeaderInvalid("address family")
    _port(parts[5])
    return ProxySource(address=str(source), port=_port(parts[4])), end + 2


def _read_v2(data: bytes) -> tuple[ProxySource, int] | None:
    if len(data) < 16:  # noqa: PLR2004  fixed part
        return None
    size = 16 + int.from_bytes(data[14:16], "big")
    if size > _V2_MAX_BYTES or data[12] not in {_V2_LOCAL, _V2_PROXY}:
        raise ProxyHeaderInvalid("version, command or size")
    if len(data) < size:
        return None
    if data[12] == _V2_LOCAL:
        return ProxySource(), size
    width = _ADDRESS_BYTES.get(data[13])
    if width is None or size < 16 + 2 * width + 4:
        raise ProxyHeaderInvalid("address family")
    address = ipaddress.ip_address(data[16 : 16 + width])
    port_at = 16 + 2 * width
    return ProxySource(address=str(address), port=int.from_bytes(data[port_at : port_at + 2], "big")), size


def read_proxy_header(data: bytes) -> tuple[ProxySource, int] | None:
    """The source and the number of bytes the header takes, or None while `data` is too short.

    Raises ProxyHeaderInvalid as soon as `data` cannot become a header any more.
    """
    if data[:12] == _V2_SIGNATURE[: len(data[:12])]:
        return _read_v2(data)
    return _read_v1(data)
