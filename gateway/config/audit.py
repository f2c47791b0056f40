"""Checks of [audit]."""

import math
import re
from typing import Final

from gateway.config.findings import Findings
from gateway.config.model import Audit
from gateway.config.suggest import did_you_mean
from gateway.ocpp.actions import actions
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.classes import CLASSES

__all__ = ["check_audit"]

_ORIGIN: Final = re.compile(r"[^\s+]{0,200}")
_LEAST_QUEUE_BYTES: Final = 1 << 20


def check_audit(audit: Audit, findings: Findings) -> None:
    """Add what is wrong to `findings`."""
    if not _ORIGIN.fullmatch(audit.origin):
        findings.error(("audit", "origin"), "at most 200 characters, without spaces and '+'")
    if audit.max_queue_bytes < _LEAST_QUEUE_BYTES:
        findings.error(("audit", "max_queue_bytes"), "less than 1 MiB")
    if audit.reserve_bytes < 0:
        findings.error(("audit", "reserve_bytes"), "less than 0")
    if audit.text_days < 0:
        findings.error(("audit", "text_days"), "less than 0")
    if audit.keep_days < 0:
        findings.error(("audit", "keep_days"), "less than 0")
    elif audit.keep_days and not 0 < audit.text_days <= audit.keep_days:
        findings.error(("audit", "keep_days"), "texts would outlive their records: text_days must not be 0 or larger")
    for name in ("checkpoint_interval_s", "heartbeat_s", "record_timeout_s"):
        value = getattr(audit, name)
        if not math.isfinite(value) or value <= 0:
            findings.error(("audit", name), "must be a number greater than 0")
    if audit.failure_mode == "open":
        findings.warning(("audit", "failure_mode"), "while the log cannot be written, nothing is stopped for it")
    _check_actions(audit, findings)


def _check_actions(audit: Audit, findings: Findings) -> None:
    known = {action.name for version in OCPPVersion for action in actions(version)} | set(CLASSES)
    for key in ("full", "counted", "recorded_first"):
        for place, name in enumerate(getattr(audit, key)):
            if name not in known:
                findings.error(("audit", key, place), f"no version has an action {name}", did_you_mean(name, known))
