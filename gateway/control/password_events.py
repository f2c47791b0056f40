"""Security events of password changes: one for each state that a change comes into. No password, no hash."""

from typing import Final

from gateway.audit.event import printable
from gateway.control.enrolment_events import Report
from gateway.provisioning.password import PasswordChange
from gateway.provisioning.password_states import PasswordState

__all__ = ["report_password"]

_EVENTS: Final[dict[PasswordState, tuple[str, str, str]]] = {
    PasswordState.WANTED: ("password.wanted", "info", "allow"),
    PasswordState.SENT: ("password.sent", "info", "allow"),
    PasswordState.STAGED: ("password.staged", "low", "allow"),
    PasswordState.ACCEPTED: ("password.changed", "medium", "allow"),
    PasswordState.IN_USE: ("password.in_use", "info", "allow"),
    PasswordState.REFUSED: ("password.refused", "medium", "allow_alert"),
    PasswordState.FAILED: ("password.not_changed", "medium", "allow_alert"),
    PasswordState.SUPERSEDED: ("password.superseded", "low", "allow"),
}


def report_password(report: Report, change: PasswordChange) -> None:
    """The event of the state, and who changes the password."""
    event, severity, decision = _EVENTS[change.state]
    by = "by the gateway" if change.origin == "gateway" else "by the CSMS"
    detail = "; ".join(part for part in (by, printable(change.detail, 200)) if part)
    report(event, severity, decision, detail, change.charge_point_id)
