"""Strict reading of HTTP/1.1 heads (RFC 9112): what two parsers could read differently is refused.

Incremental and bounded: at most `max_head_bytes` are held. Only heads are read here; an upgrade request has no body.
"""

import re
from abc import ABC, abstractmethod
from typing import Final, Generic, TypeVar

import msgspec

from gateway.websocket.violation import HeadViolation

__all__ = ["HeadLimits", "HeadViolation", "RequestHead", "RequestHeadReader", "ResponseHead", "ResponseHeadReader"]

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
"""Over text that was read as Latin-1."""
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_MAX_METHOD_BYTES = 24
_SINGLE: Final = frozenset(
    {"host", "authorization", "sec-websocket-key", "sec-websocket-version", "upgrade", "origin", "content-length"}
)


class HeadLimits(msgspec.Struct, frozen=True):
    """Limits of a head."""

    max_head_bytes: int
    max_headers: int
    max_request_line_bytes: int


class _Headers(msgspec.Struct, frozen=True):
    headers: tuple[tuple[str, str], ...]
    """(lower-case name, value) in order of appearance."""

    def get(self, name: str) -> str | None:
        """Value of the first header with this lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def get_all(self, name: str) -> tuple[str, ...]:
        """Values of all headers with this lower-case name."""
        return tuple([value for key, value in self.headers if key == name])


class RequestHead(_Headers, frozen=True, kw_only=True):
    """A request line and its headers."""

    method: str
    target: str


class ResponseHead(_Headers, frozen=True, kw_only=True):
    """A status line and its headers."""

    status: int


_Head = TypeVar("_Head", RequestHead, ResponseHead)


class _Reader(ABC, Generic[_Head]):
    """Collects bytes until the empty line."""

    __slots__ = ("_buffer", "_limits", "_searched", "rest")

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._buffer = b""
        self._searched = 0
        self.rest = b""

    def feed(self, data: bytes) -> _Head | None:
        """The head once it is complete; what stood behind it is then in `rest`. Raises HeadViolation."""
        buffer = self._buffer = self._buffer + data
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        self._searched = len(buffer)
        if end < 0 or end + 4 > self._limits.max_head_bytes:
            self._check_unfinished(buffer)
            if end >= 0 or len(buffer) > self._limits.max_head_bytes:
                raise self._too_large(buffer)
            return None
        self._buffer = b""
        self.rest = buffer[end + 4 :]
        first, _, lines = buffer[:end].partition(b"\r\n")
        return self._parse(first, self._parse_headers(lines.decode("latin-1").split("\r\n") if lines else []))

    def _too_large(self, buffer: bytes) -> HeadViolation:
        """An over-long credential is a malformed credential: the caller answers it differently."""
        line_at = buffer.rfind(b"\n", 0, self._limits.max_head_bytes) + 1
        if buffer[line_at : line_at + 14].lower() == b"authorization:":
            return HeadViolation("authorization-too-long", "Authorization header over the head limit")
        return HeadViolation("limit", f"head over {self._limits.max_head_bytes} bytes")

    def _parse_headers(self, lines: list[str]) -> tuple[tuple[str, str], ...]:
        if len(lines) > self._limits.max_headers:
            raise HeadViolation("limit", f"more than {self._limits.max_headers} headers")
        headers = tuple([_parse_header(line) for line in lines])
        names = [name for name, _ in headers]
        if len(set(names)) != len(names):
            for name in sorted(_SINGLE.intersection(names)):
                if names.count(name) > 1:
                    raise HeadViolation("ambiguous", f"{name} more than once")
        return headers

    @abstractmethod
    def _check_unfinished(self, buffer: bytes) -> None:
        """Raise HeadViolation for what can never become a legal head."""

    @abstractmethod
    def _parse(self, first: bytes, headers: tuple[tuple[str, str], ...]) -> _Head:
        """The head, from its first line and its headers."""


def _parse_header(line: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(line)
    if match is None:
        name, colon, _ = line.partition(":")
        if not colon or not name.isascii() or not _TOKEN.fullmatch(name.encode()):
            raise HeadViolation("malformed", "header line")
        raise HeadViolation("malformed", "control character in a header value")
    name, value = match.groups()
    return name.lower(), value.strip(" \t")


class RequestHeadReader(_Reader[RequestHead]):
    """Reads the head of a request."""

    __slots__ = ()

    def _check_unfinished(self, buffer: bytes) -> None:
        longest = self._limits.max_request_line_bytes + 2
        if len(buffer) >= longest and buffer.find(b"\r\n", 0, longest) < 0:
            if not _TOKEN.fullmatch(buffer[: _MAX_METHOD_BYTES + 1].split(b" ", 1)[0]):
                raise HeadViolation("malformed", "request line")
            raise HeadViolation("uri-too-long", f"request line over {self._limits.max_request_line_bytes} bytes")
        method = buffer[: _MAX_METHOD_BYTES + 1].split(b" ", 1)[0]
        if (method and not _TOKEN.fullmatch(method)) or len(method) > _MAX_METHOD_BYTES:
            raise HeadViolation("malformed", "does not start like a request")
        _check_line_ends(buffer)

    def _parse(self, first: bytes, headers: tuple[tuple[str, str], ...]) -> RequestHead:
        if len(first) > self._limits.max_request_line_bytes:
            raise HeadViolation("uri-too-long", f"request line over {self._limits.max_request_line_bytes} bytes")
        parts = first.split(b" ")
        if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _TARGET.fullmatch(parts[1]):  # noqa: PLR2004
            raise HeadViolation("malformed", "request line")
        if len(parts[0]) > _MAX_METHOD_BYTES:
            raise HeadViolation("malformed", "method")
        if parts[2] != b"HTTP/1.1":
            raise HeadViolation("malformed", "not HTTP/1.1")
        head = RequestHead(headers=headers, method=parts[0].decode("ascii"), target=parts[1].decode("ascii"))
        host = head.get("host")
        if host is None or not _HOST.fullmatch(host):
            raise HeadViolation("malformed", "Host")
        if head.get("transfer-encoding") is not None or head.get("content-length") not in {None, "0"}:
            raise HeadViolation("ambiguous", "a body announced on an upgrade request")
        return head


class ResponseHeadReader(_Reader[ResponseHead]):
    """Reads the head of a response."""

    __slots__ = ()

    def _check_unfinished(self, buffer: bytes) -> None:
        if not b"HTTP/1.1 ".startswith(buffer[:9]):
            raise HeadViolation("malformed", "does not start like an HTTP/1.1 response")
        _check_line_ends(buffer)

    def _parse(self, first: bytes, headers: tuple[tuple[str, str], ...]) -> ResponseHead:
        match = _STATUS_LINE.fullmatch(first)
        if match is None:
            raise HeadViolation("malformed", "status line")
        return ResponseHead(headers=headers, status=int(match[1]))


def _check_line_ends(buffer: bytes) -> None:
    """A bare LF can never become part of a legal head: say so at once instead of waiting for the deadline."""
    if buffer.count(b"\n") != buffer.count(b"\r\n"):
        raise HeadViolation("malformed", "bare LF")
