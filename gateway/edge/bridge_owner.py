"""What a live session needs of the worker it lives in."""

from typing import TYPE_CHECKING, Protocol

from gateway.audit.event import Severity
from gateway.relay.effects import Told

if TYPE_CHECKING:
    from gateway.edge.pump import Bridge, Leg

__all__ = ["BridgeOwner"]


class BridgeOwner(Protocol):
    """What a bridge needs of its worker."""

    def watch(self, bridge: "Bridge") -> None:
        """Look at this bridge every second until its deadlines are gone."""

    def report(
        self,
        bridge: "Bridge",
        event: str,
        severity: Severity,
        decision: str,
        detail: str,
        http_status: int = 0,
        *,
        revision: str = "",
    ) -> None:
        """A security event of this session."""

    def told(self, leg: "Leg", effect: Told, wire: bytes) -> None:
        """What the relay says to the worker. `wire`: the frames that wait where control has to be asked."""

    def finished(self, bridge: "Bridge", reason: str) -> None:
        """Both legs are closed."""
