"""What goes wrong before frames flow, as exceptions with a kind; who answers what is decided elsewhere."""

from typing import Literal

__all__ = ["HandshakeInvalid", "HeadKind", "HeadViolation", "UpgradeKind", "UpgradeViolation"]

HeadKind = Literal["malformed", "ambiguous", "limit", "uri-too-long", "authorization-too-long", "method"]
UpgradeKind = Literal["method", "not-websocket", "websocket-version", "ambiguous", "malformed"]


class HeadViolation(Exception):  # noqa: N818  what the peer did
    """An HTTP head breaks RFC 9112 or a limit. `detail` is our wording, free of peer bytes."""

    def __init__(self, kind: HeadKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class UpgradeViolation(Exception):  # noqa: N818  what the peer did
    """A well-formed request that is not an acceptable WebSocket upgrade."""

    def __init__(self, kind: UpgradeKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class HandshakeInvalid(Exception):  # noqa: N818  what the CSMS did
    """The CSMS's answer to our upgrade is not acceptable. `status` is its HTTP status if it was not 101."""

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
