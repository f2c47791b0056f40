"""From a case to its plays; says so where a case needs something that the runner cannot do."""

import re

from tests.attacks.case import Case, NotUnderstood
from tests.attacks.play import Play
from tests.attacks.play_frames import plan_frames, plan_steps
from tests.attacks.play_http import plan_http
from tests.attacks.play_tls import plan_tls
from tests.attacks.play_ws import plan_ws

__all__ = ["plan"]

_CONDITIONS = re.compile(
    r"profile 2/3 listener|profile 3|TLS 1\.2 connection established|two tenants on one listener"
    r"|certificate revoked after first connection|client resumes with a ticket"
    r"|station CP-A01 provisioned with password correct-horse-battery on profile 2 listener"
    r"|CP-B02 also provisioned with another password|no credentials|none or some ids exist|attacker holds the password"
    r"|upstream CSMS has /internal|hostile or broken upstream|upstream supports 1\.6 and 2\.0\.1"
    r"|listener not behind a trusted proxy|gateway reachable from a browser network"
    r"|upgrade done|no extension negotiated|CSMS keeps sending|TCP peer gone, no FIN|session up"
    r"|OCPP (?:1\.6|2\.0\.1|2\.1) session of CP-A01 authenticated and (?:BootNotification Accepted|booted)"
    r"|no call pending|(?:CSMS|station) call \S+ pending(?: towards CSMS)?|call \S+ answered an hour ago"
    r"|gateway answered CALLERROR for \S+ and did not forward it|peer guesses the id and answers"
    r"|peer builds its error text from the bad input|subprotocol ocpp\S+ negotiated"
)
"""Preconditions that the worlds and plays bring about."""


def plan(case: Case) -> list[Play]:
    """The plays of a case, at least one. Raises NotUnderstood."""
    for condition in case.conditions:
        if not _CONDITIONS.fullmatch(condition):
            raise NotUnderstood(f"precondition {condition!r}")
    if case.steps:
        return plan_steps(case)
    if case.http and not (case.layer == "tls" and not case.tls):
        return plan_http(case)
    if case.layer == "tls":
        return plan_tls(case)
    if case.bytes_hex or "deflate_of" in case.gen or case.layer == "ws":
        return plan_ws(case)
    return plan_frames(case)
