"""From a case to its plays; says so where a case needs something that the runner cannot do."""

import re

from tests.attacks.case import Case, NotUnderstood
from tests.attacks.play import Play
from tests.attacks.play_audit import plan_audit
from tests.attacks.play_fleet import plan_fleet
from tests.attacks.play_frames import plan_frames
from tests.attacks.play_http import plan_http
from tests.attacks.play_policy import plan_policy
from tests.attacks.play_steps import plan_steps
from tests.attacks.play_tls import plan_tls
from tests.attacks.play_ws import plan_ws
from tests.attacks.preconditions import can_be_brought_about

__all__ = ["plan"]

_CONDITIONS = re.compile(
    r"profile 2/3 listener|profile 3|TLS 1\.2 connection established|two tenants on one listener"
    r"|certificate revoked after first connection|client resumes with a ticket"
    r"|no credentials|none or some ids exist|attacker holds the password"
    r"|upstream CSMS has /internal|hostile or broken upstream|upstream supports 1\.6 and 2\.0\.1"
    r"|listener not behind a trusted proxy|gateway reachable from a browser network"
    r"|upgrade done|no extension negotiated|CSMS keeps sending|TCP peer gone, no FIN"
)
"""Preconditions that the worlds see to; those of sessions are in `preconditions`."""


def plan(case: Case) -> list[Play]:
    """The plays of a case, at least one. Raises NotUnderstood."""
    for condition in case.conditions:
        if not _CONDITIONS.fullmatch(condition) and not can_be_brought_about(condition):
            raise NotUnderstood(f"precondition {condition!r}")
    if case.judged_as == "policy" and "file" in case.generator:
        return plan_policy(case)
    if case.judged_as == "audit" and "seconds" in case.generator:
        return plan_audit(case)
    if case.steps:
        return plan_steps(case)
    if case.http and not (case.layer == "tls" and not case.tls):
        return plan_http(case)
    if case.layer == "tls":
        return plan_tls(case)
    if case.bytes_hex or "deflate_of" in case.gen or case.layer == "ws":
        return plan_ws(case)
    if case.judged_as == "fleet":
        return plan_fleet(case)
    return plan_frames(case)
