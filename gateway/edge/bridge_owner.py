"""What a live session needs of the worker it lives in."""

from typing import TYPE_CHECKING, Protocol

from gateway.audit.event import Severity
from gateway.ocpp.vocabulary import BootState
from gateway.policy.verdict import FleetAsk
from gateway.relay.effects import NoteRegistered

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

    def registered(self, bridge: "Bridge", effect: NoteRegistered) -> None:
        """The charge point registered."""

    def boot_state_changed(self, bridge: "Bridge", state: BootState) -> None:
        """What the CSMS answered a BootNotification restricts the charge point from now on, or no longer does."""

    def ask_fleet(self, leg: "Leg", ticket: int, asks: tuple[FleetAsk, ...], wire: bytes) -> None:
        """Ask control about budgets; `Bridge.answered` hears what it says, or that it is away."""

    def finished(self, bridge: "Bridge", reason: str) -> None:
        """Both legs are closed."""
