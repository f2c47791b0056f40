"""What rules see of the session and of one message. Values of the inventory, not claims of the charge point."""

import datetime
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile
from gateway.policy.rules import Phase

__all__ = ["Message", "Request", "SessionFacts", "SessionView"]


class SessionFacts(msgspec.Struct, kw_only=True, gc=False):
    """What is known of a session. One object per session; what can change is set by the relay."""

    identity: str
    group: str
    version: OCPPVersion
    ip: str
    security_profile: SecurityProfile
    serial: str = ""
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    boot_state: str = "none"
    """none, pending, rejected or accepted."""
    opened_at: float = 0.0
    now: float = 0.0
    """Seconds since the epoch of the message being judged; set before each decision."""
    maintenance_groups: AbstractSet[str] = frozenset()
    """Groups in a maintenance window. One set for all sessions of a worker, which a reload changes: sockets live for weeks."""

    @property
    def in_maintenance(self) -> bool:
        """Whether the charge point's group is in a maintenance window now."""
        return self.group in self.maintenance_groups

    @property
    def age(self) -> datetime.timedelta:
        """How long the session has been open."""
        return datetime.timedelta(seconds=max(0.0, self.now - self.opened_at))


class SessionView:
    """`session` in rules: the same values as plain numbers and texts, for expressions compare exact types."""

    __slots__ = ("_session",)

    def __init__(self, session: SessionFacts) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    @property
    def version(self) -> str:
        """``1.6``, ``2.0.1`` or ``2.1``."""
        return self._session.version.value

    @property
    def security_profile(self) -> int:
        """1, 2 or 3."""
        return int(self._session.security_profile)


class Request(msgspec.Struct, frozen=True):
    """`req` in rules on results and errors: the call that is being answered."""

    action: str
    payload: dict[str, Any]
    age_ms: int


class Message(msgspec.Struct, kw_only=True):
    """`msg` in rules, and everything else a decision needs of one frame."""

    origin: Origin
    phase: Phase
    action: str
    """The inner action where the call was signed or tunnelled; for results that of the call."""
    payload: dict[str, Any]
    type: int
    id: str
    size: int
    """Bytes of the message as it came."""
    signed: bool = False
    request: Request | None = None
    version: OCPPVersion | None = None
    """Of the payload, where it is not the session's: the ISO 15118 tunnel carries 2.0.1 messages over 1.6."""
