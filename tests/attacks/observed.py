"""What one play of a case showed."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.peer import Answer

__all__ = ["Forwarded", "Observed", "secrets_in"]

Forwarded = Literal["none", "some", "all"]


@dataclass(kw_only=True)
class Observed:
    """Filled in by the play, judged by `tests.attacks.judge`. Everything in it was read from a socket."""

    label: str
    """Which play of the case: version, side, variant."""
    source: str
    """The attacker's address: events about this play name it as their peer."""
    version: str = ""
    alerts: list[str] = field(default_factory=list)
    """TLS alerts that arrived."""
    received: int = 0
    """Bytes that arrived, TLS records included."""
    answer: Answer | None = None
    """The HTTP answer."""
    behind_answer: bytes = b""
    """What came behind a refusal: must be nothing."""
    request: bytes = b""
    """The HTTP request sent, to look for in the answer."""
    statuses: list[int] = field(default_factory=list)
    """All statuses of a play with many requests."""
    closed: bool = False
    """The gateway has ended the connection."""
    station_close: int | None = None
    csms_close: int | None = None
    sender_is_csms: bool = False
    forwarded: Forwarded = "none"
    replies: list[str] = field(default_factory=list)
    """One entry a message sent: the code of the CALLERROR that came back, or an empty string."""
    natives: list[str] = field(default_factory=list)
    """One entry a message sent: the status of the result that the gateway gave instead of the receiver, or an empty string."""
    watched: bool = False
    """Rules only watch: what they would have done is no verdict."""
    upstream_headers: list[str] | None = None
    """Names of the headers that the CSMS saw."""
    secrets: set[str] = field(default_factory=set)
    """What must stand neither in an event nor in the log."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """Those that are about no peer."""
    problems: list[str] = field(default_factory=list)
    """Differences that the play has found itself."""

    @property
    def sender_close(self) -> int | None:
        """The close code that whoever sent the attack was told."""
        return self.csms_close if self.sender_is_csms else self.station_close

    def shown(self) -> str:
        """In a few words, for people."""
        parts = [f"alert {alert}" for alert in self.alerts]
        if self.statuses:
            parts.append(f"{len(self.statuses)} answers {sorted(set(self.statuses))}")
        elif self.answer is not None:
            parts.append(str(self.answer.status))
        if self.sender_close is not None:
            parts.append(f"close {self.sender_close}")
        elif self.closed and not parts:
            parts.append("closed")
        parts += sorted({reply for reply in self.replies if reply})
        parts += sorted({f"status {status}" for status in self.natives if status})
        if self.forwarded != "none":
            parts.append({"all": "forwarded", "some": "partly forwarded"}[self.forwarded])
        return ", ".join(parts) or "nothing"


def secrets_in(request: bytes) -> set[str]:
    """The Authorization values of a request, whole and without the scheme, cut to what would be recognised."""
    found = set()
    for value in re.findall(rb"\r\nAuthorization:[ \t]*([^\r\n]*)", request, re.IGNORECASE):
        whole = value.decode("latin-1")
        token = whole.partition(" ")[2]
        found |= {text[:200] for text in (whole, token) if len(text) >= 4}
    return found
