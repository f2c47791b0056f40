"""Reads what a ClientHello offers, for events and for SNI. Pure and total; judges nothing.

OpenSSL decides about the handshake; this only tells the operator what a refused peer had to offer (RFC 8446, 4.1.2).
"""

from collections.abc import Iterator

import msgspec

__all__ = ["ClientHello", "read_client_hello"]

_VERSION_NAMES = {
    0x0200: "SSLv2",
    0x0300: "SSLv3",
    0x0301: "TLSv1.0",
    0x0302: "TLSv1.1",
    0x0303: "TLSv1.2",
    0x0304: "TLSv1.3",
}
_EXT_SERVER_NAME = 0
_EXT_SUPPORTED_VERSIONS = 43
_CLIENT_HELLO = 1
_MAX_HELLO_BYTES = 16_384


class ClientHello(msgspec.Struct, frozen=True):
    """The parts of a ClientHello that go into an event."""

    versions: tuple[str, ...] = ()
    cipher_suites: tuple[int, ...] = ()
    server_name: str = ""


class _Reader:
    """A cursor that never runs over: reading past the end raises IndexError."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise IndexError
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, length_bytes: int) -> bytes:
        return self.take(self.number(length_bytes))

    def more(self) -> bool:
        return self.at < len(self.data)


def _handshake_bytes(records: bytes) -> bytes:
    """Payloads of the leading handshake records, joined; stops where the bytes end."""
    reader, parts = _Reader(records), []
    try:
        while reader.more() and reader.number(1) == 0x16:  # noqa: PLR2004  handshake record
            reader.take(2)
            parts.append(reader.vector(2))
    except IndexError:
        pass
    return b"".join(parts)


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    reader = _Reader(data)
    while reader.more():
        yield reader.number(2), reader.vector(2)


def _server_name(data: bytes) -> str:
    reader = _Reader(_Reader(data).vector(2))
    kind, name = reader.number(1), reader.vector(2)
    return name.decode("ascii", "backslashreplace").lower()[:255] if kind == 0 else ""


def _supported_versions(data: bytes) -> list[int]:
    reader = _Reader(_Reader(data).vector(1))
    found = []
    while reader.more():
        found.append(reader.number(2))
    return found


def _name(version: int) -> str | None:
    if version & 0x0F0F == 0x0A0A:  # noqa: PLR2004  GREASE (RFC 8701)
        return None
    return _VERSION_NAMES.get(version, f"0x{version:04x}")


def _legacy_versions(legacy: int) -> list[int]:
    return [v for v in (0x0303, 0x0302, 0x0301, 0x0300) if v == legacy]


def read_client_hello(data: bytes) -> ClientHello:
    """What the records in `data` (the peer's first bytes) offer; empty where they are damaged or incomplete."""
    reader = _Reader(_handshake_bytes(data[:_MAX_HELLO_BYTES]))
    versions: list[int] = []
    suites: list[int] = []
    server_name = ""
    try:
        if reader.number(1) != _CLIENT_HELLO:
            return ClientHello()
        reader.take(3)
        versions = _legacy_versions(reader.number(2))
        reader.take(32)
        reader.vector(1)
        offered = _Reader(reader.vector(2))
        while offered.more():
            suites.append(offered.number(2))
        reader.vector(1)
        for kind, body in _extensions(reader.vector(2)) if reader.more() else ():
            if kind == _EXT_SERVER_NAME:
                server_name = _server_name(body)
            elif kind == _EXT_SUPPORTED_VERSIONS:
                versions = _supported_versions(body)
    except IndexError:
        pass
    names = tuple(name for name in (_name(version) for version in versions) if name)
    return ClientHello(versions=names, cipher_suites=tuple(suites), server_name=server_name)
