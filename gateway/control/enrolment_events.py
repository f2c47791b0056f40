"""Security events of enrolments: one for each state that a certificate comes into."""

from collections.abc import Callable
from typing import Final

from gateway.audit.event import printable
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.states import State

__all__ = ["Report", "report_state"]

Report = Callable[[str, str, str, str, str], None]
"""event, severity, decision, detail, charge_point_id"""
_EVENTS: Final[dict[State, tuple[str, str, str]]] = {
    State.TRIGGER_WANTED: ("certificate.wanted", "info", "allow"),
    State.TRIGGER_SENT: ("certificate.triggered", "info", "allow"),
    State.CSR_RECEIVED: ("certificate.requested", "info", "allow"),
    State.HELD: ("certificate.held", "medium", "hold"),
    State.ISSUED: ("certificate.issued", "info", "allow"),
    State.DELIVERY_SENT: ("certificate.sent", "info", "allow"),
    State.STATION_ACCEPTED: ("certificate.accepted", "info", "allow"),
    State.SEEN_IN_HANDSHAKE: ("certificate.in_use", "info", "allow"),
    State.OLD_RETIRED: ("certificate.old_retired", "info", "allow"),
    State.REJECTED_BY_STATION: ("certificate.rejected_by_station", "high", "allow_alert"),
    State.DISCARDED: ("certificate.discarded", "high", "allow_alert"),
    State.DENIED: ("certificate.denied", "high", "deny"),
    State.EXPIRED: ("certificate.enrolment_expired", "high", "allow_alert"),
    State.SUPERSEDED: ("certificate.superseded", "low", "allow"),
}


def report_state(report: Report, enrolment: Enrolment) -> None:
    """The event of the state, with the serial number where there is one."""
    event, severity, decision = _EVENTS[enrolment.state]
    parts = [f"serial {enrolment.serial}" if enrolment.serial else "", printable(enrolment.detail, 400)]
    if enrolment.state is State.HELD:
        parts.append(f"ocpp-gateway pki approve {enrolment.ca_request}")
    if enrolment.state is State.OLD_RETIRED and enrolment.presented_serial:
        parts.append(f"instead of {enrolment.presented_serial}")
    report(event, severity, decision, "; ".join(part for part in parts if part), enrolment.charge_point_id)
