"""Upgrades of the security profile: `[upgrades]` and `[[known_firmware]]` (docs/provisioning.md), and what is wrong in them."""

from collections.abc import Sequence

import msgspec

from gateway.config.findings import Findings
from gateway.provisioning.known_firmware import FirmwareRule, is_at_least

__all__ = ["Upgrades", "check_known_firmware"]


class Upgrades(msgspec.Struct, frozen=True, kw_only=True):
    """Upgrades of the security profile over OCPP (docs/provisioning.md)."""

    look_again_s: float = 60.0
    """Between two looks at a charge point that has to be waited for: it is charging, say."""
    quiet_s: float = 900.0
    """A session that began without a BootNotification may have begun in the middle of a transaction: how long it must not
    have spoken of one, before the charge point is sent to restart."""
    restart_s: float = 300.0
    """How long a charge point may take to restart before it is sent to restart again, doubling."""
    lost_after_s: float = 3_600.0
    """Not seen for so long after it was sent to restart, it is reported as lost. Both profiles stay accepted."""


def check_known_firmware(rules: Sequence[FirmwareRule], findings: Findings) -> None:
    """Add what is wrong to `findings`: a rule that says nothing, or of which nobody knows what it means."""
    seen: set[tuple[str, str]] = set()
    for number, rule in enumerate(rules):
        place = ("known_firmware", number)
        if not rule.vendor:
            findings.error((*place, "vendor"), "must not be empty")
        if not (rule.minimum or rule.good):
            findings.error(place, "names no firmware: give minimum, or good")
        if rule.minimum and is_at_least(rule.minimum, rule.minimum) is None:
            findings.error((*place, "minimum"), "is no version: numbers with dots between them, such as 1.4.0")
        kind = rule.vendor.casefold(), rule.model.casefold()
        if kind in seen:
            findings.error(place, f"is the second one for {rule.vendor} {rule.model}".rstrip())
        seen.add(kind)
