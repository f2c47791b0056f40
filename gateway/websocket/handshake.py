"""The WebSocket opening handshake (RFC 6455, 4) as values and bytes, for both of our roles. Decides, never sends."""

import base64
import binascii
import hashlib
import re
from typing import Final, Literal

import msgspec

from gateway.websocket.extensions import Extension, read_extension
from gateway.websocket.head import RequestHead, ResponseHead
from gateway.websocket.violation import HandshakeInvalid, UpgradeViolation

__all__ = [
    "Flaw",
    "HandshakeInvalid",
    "ServerAccept",
    "UpgradeRequest",
    "UpgradeViolation",
    "accept_token",
    "build_accepted",
    "build_client_request",
    "build_refused",
    "read_upgrade",
    "verify_server_response",
]

Flaw = Literal["missing-connection-upgrade", "missing-subprotocol", "empty-subprotocol-element"]
Headers = tuple[tuple[str, str], ...]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MAX_SUBPROTOCOLS = 16
_MAX_LIST_CHARS = 2_048
_KEY_BYTES = 16
_FOREIGN: Final = re.compile(
    r"forwarded|x-forwarded(-.*)?|x-real-ip|via|true-client-ip|cf-connecting-ip|fastly-client-ip|x-azure-clientip"
    r"|x-client-ip|x-cluster-client-ip|x-remote-(addr|ip)|remote-addr|x-envoy-.*|x-scheme|front-end-https"
    r"|client-cert(-.*)?|x-client-(cert|dn|cn|verify|subject)(-.*)?|x-arr-clientcert|x-amzn-mtls-.*|x-mtls-.*"
    r"|x-ssl(-.*)?|ssl-.*|x-tls(-.*)?|tls-client-.*"
    r"|(x-)?remote-user|x-webauth-user|x-auth(enticated)?-(user|userid|request-.*)|x-ocpp-identity"
    r"|x-original-(url|uri|host)|x-rewrite-url|x-host|x-http-method-override"
)


class UpgradeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that asks for a WebSocket, with its flaws named. Nothing in it is authenticated."""

    target: str
    host: str
    """Host part of the Host header, lower-case, without port."""
    key: str
    subprotocols: tuple[str, ...]
    authorization: str | None
    origin: str | None
    extensions: tuple[Extension, ...]
    flaws: tuple[Flaw, ...]
    foreign_headers: tuple[str, ...]
    """Names of headers that back ends trust and a charge point has no business to send."""

    def __repr__(self) -> str:
        return f"UpgradeRequest(target={self.target!r}, <rest hidden>)"


class ServerAccept(msgspec.Struct, frozen=True):
    """What the CSMS agreed to."""

    subprotocol: str | None
    extensions: str | None


def _elements(values: tuple[str, ...]) -> list[str]:
    """Elements of a comma-separated list header, joined over several headers (RFC 9110, 5.3)."""
    joined = ",".join(values)
    if len(joined) > _MAX_LIST_CHARS:
        raise UpgradeViolation("malformed", "list header too long")
    return [element.strip(" \t") for element in joined.split(",")]


def _read_connection(head: RequestHead) -> bool:
    """True if Connection names Upgrade. Nominating other headers as hop-by-hop is refused (RFC 9110, 7.6.1)."""
    values = head.get_all("connection")
    options = {element.lower() for element in _elements(values) if element} if values else set()
    if not options <= {"upgrade", "keep-alive"}:
        raise UpgradeViolation("ambiguous", "Connection names other headers than Upgrade")
    return "upgrade" in options


def _read_key(head: RequestHead) -> str:
    key = head.get("sec-websocket-key") or ""
    try:
        decoded = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != _KEY_BYTES:
        raise UpgradeViolation("malformed", "Sec-WebSocket-Key")
    return key


def _read_subprotocols(head: RequestHead) -> tuple[tuple[str, ...], tuple[Flaw, ...]]:
    values = head.get_all("sec-websocket-protocol")
    elements = _elements(values) if values else []
    tokens = [element for element in elements if element]
    if len(tokens) > _MAX_SUBPROTOCOLS or not all(_TOKEN.fullmatch(token) for token in tokens):
        raise UpgradeViolation("malformed", "Sec-WebSocket-Protocol")
    flaws: tuple[Flaw, ...] = ()
    if not tokens:
        flaws = ("missing-subprotocol",)
    elif len(tokens) != len(elements):
        flaws = ("empty-subprotocol-element",)
    return tuple(dict.fromkeys(tokens)), flaws


def _read_extensions(head: RequestHead) -> tuple[Extension, ...]:
    """Offers in order. Where one of them cannot be read, none is made: nobody needs an extension."""
    values = head.get_all("sec-websocket-extensions")
    offers = [read_extension(element) for element in (_elements(values) if values else ()) if element]
    return () if None in offers else tuple(offer for offer in offers if offer is not None)


def read_upgrade(head: RequestHead) -> UpgradeRequest:
    """The upgrade in a request head. Raises UpgradeViolation.

    Flaws that some charge points have and that a registry may tolerate are named, not refused (field-quirks 34, 35).
    """
    if head.method != "GET":
        raise UpgradeViolation("method", "not a GET")
    if (head.get("upgrade") or "").lower() != "websocket":
        raise UpgradeViolation("not-websocket", "no Upgrade: websocket")
    names_upgrade = _read_connection(head)
    if head.get("sec-websocket-version") != "13":
        raise UpgradeViolation("websocket-version", "Sec-WebSocket-Version is not 13")
    key = _read_key(head)
    subprotocols, flaws = _read_subprotocols(head)
    if not names_upgrade:
        flaws = ("missing-connection-upgrade", *flaws)
    host = (head.get("host") or "").lower()
    return UpgradeRequest(
        target=head.target,
        host=host if host.endswith("]") else host.rpartition(":")[0] or host,
        key=key,
        subprotocols=subprotocols,
        authorization=head.get("authorization"),
        origin=head.get("origin"),
        extensions=_read_extensions(head),
        flaws=flaws,
        foreign_headers=tuple([name for name, _ in head.headers if _FOREIGN.fullmatch(name.replace("_", "-"))]),
    )


def accept_token(key: str) -> str:
    """Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID).digest()).decode("ascii")  # noqa: S324  RFC 6455


def _lines(first: str, headers: list[tuple[str, str]]) -> bytes:
    text = first + "".join(f"\r\n{name}: {value}" for name, value in headers)
    if (
        "\0" in text
        or text.count("\r\n") != len(headers)
        or text.count("\n") != len(headers)
        or text.count("\r") != len(headers)
    ):
        raise ValueError("control character in a header")
    return text.encode("latin-1") + b"\r\n\r\n"


def build_accepted(key: str, subprotocol: str | None, extensions: str | None, headers: Headers = ()) -> bytes:
    """The 101 answer."""
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_token(key))]
    if subprotocol is not None:
        fields.append(("Sec-WebSocket-Protocol", subprotocol))
    if extensions is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    return _lines("HTTP/1.1 101 Switching Protocols", [*fields, *headers])


def build_refused(status: int, phrase: str, headers: Headers = (), body: bytes = b"") -> bytes:
    """A complete answer that refuses and closes."""
    fields = [("Connection", "close"), ("Content-Length", str(len(body))), *headers]
    return _lines(f"HTTP/1.1 {status} {phrase}", fields) + body


def build_client_request(
    host: str,
    target: str,
    key: str,
    subprotocols: tuple[str, ...],
    extensions: str | None,
    headers: list[tuple[str, str]],
) -> bytes:
    """Our upgrade request to a CSMS. Raises ValueError if any part would break the head."""
    fields = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    if subprotocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if extensions is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    if " " in target:
        raise ValueError("space in the request target")
    return _lines(f"GET {target} HTTP/1.1", [*fields, *headers])


def _only(head: ResponseHead, name: str) -> str | None:
    values = head.get_all(name)
    if len(values) > 1:
        raise HandshakeInvalid(f"{name} more than once")
    return values[0] if values else None


def verify_server_response(head: ResponseHead, key: str, offered: tuple[str, ...]) -> ServerAccept:
    """Check the CSMS's answer in full (RFC 6455, 4.1). Raises HandshakeInvalid: a status code alone proves nothing."""
    if head.status != 101:  # noqa: PLR2004  Switching Protocols
        raise HandshakeInvalid(f"HTTP {head.status} instead of 101", head.status)
    if (_only(head, "upgrade") or "").lower() != "websocket":
        raise HandshakeInvalid("no Upgrade: websocket")
    options = {part.strip(" \t").lower() for value in head.get_all("connection") for part in value.split(",")}
    if "upgrade" not in options:
        raise HandshakeInvalid("no Connection: Upgrade")
    if _only(head, "sec-websocket-accept") != accept_token(key):
        raise HandshakeInvalid("Sec-WebSocket-Accept is wrong")
    subprotocol = _only(head, "sec-websocket-protocol")
    if subprotocol is not None and subprotocol not in offered:
        raise HandshakeInvalid("a subprotocol that was not offered")
    extensions = head.get_all("sec-websocket-extensions")
    return ServerAccept(subprotocol, ", ".join(extensions) if extensions else None)
