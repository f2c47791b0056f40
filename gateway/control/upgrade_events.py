"""Security events of upgrades: one for each state that an upgrade comes into."""

from collections.abc import Callable
from typing import Final

from gateway.audit.event import printable
from gateway.provisioning.upgrade import Upgrade
from gateway.provisioning.upgrade_states import UpgradeState

__all__ = ["Report", "report_upgrade"]

Report = Callable[[str, str, str, str, str], None]
"""event, severity, decision, detail, charge_point_id"""
_EVENTS: Final[dict[UpgradeState, tuple[str, str, str]]] = {
    UpgradeState.WANTED: ("upgrade.wanted", "info", "allow"),
    UpgradeState.INSTALLING_ROOT: ("upgrade.installing_root", "medium", "allow"),
    UpgradeState.ENROLLING: ("upgrade.enrolling", "info", "allow"),
    UpgradeState.BOTH_ACCEPTED: ("upgrade.both_accepted", "medium", "allow_alert"),
    UpgradeState.TOLD: ("upgrade.told", "info", "allow"),
    UpgradeState.SWITCHING: ("upgrade.switching", "info", "allow"),
    UpgradeState.RETURNING: ("upgrade.returning", "medium", "allow_alert"),
    UpgradeState.LOST: ("upgrade.lost", "high", "allow_alert"),
    UpgradeState.PROVEN: ("profile.upgraded", "info", "allow_alert"),
    UpgradeState.FELL_BACK: ("upgrade.fell_back", "high", "allow_alert"),
    UpgradeState.REFUSED: ("upgrade.refused", "medium", "allow"),
    UpgradeState.ABORTED: ("upgrade.aborted", "medium", "allow"),
}


def report_upgrade(report: Report, upgrade: Upgrade) -> None:
    """The event of the state."""
    event, severity, decision = _EVENTS[upgrade.state]
    in_spite = "in spite of its firmware" if upgrade.unsafe_any_firmware else ""
    way = f"security profile {int(upgrade.from_profile)} to {int(upgrade.to_profile)}"
    serial = f"certificate {upgrade.certificate_serial}" if upgrade.certificate_serial else ""
    parts = [way, in_spite, serial, printable(upgrade.detail, 400)]
    report(event, severity, decision, "; ".join(part for part in parts if part), upgrade.charge_point_id)
