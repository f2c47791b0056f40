"""What operators and campaigns ask of the upgrades of security profiles."""

import msgspec

from gateway.control.operator_requests import RequestRefused
from gateway.ocpp.vocabulary import SecurityProfile

__all__ = ["UpgradeAbort", "UpgradeRefused", "UpgradeWish"]


class UpgradeWish(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted. Empty: as the configuration says."""

    charge_point_id: str
    to_profile: SecurityProfile
    url: str = ""
    """Where it is to connect, without its identity."""
    url_key: str = ""
    """1.6: the vendor's configuration key for the URL."""
    interface: str = "Wired0"
    """2.x: ocppInterface."""
    install_root: bool = False
    """The root of our server certificates first, where it is not there."""
    unsafe_any_firmware: bool = False
    """Although its firmware is not known to be good."""


class UpgradeAbort(msgspec.Struct, frozen=True):
    """Which one is to be stopped."""

    charge_point_id: str


class UpgradeRefused(RequestRefused):
    """It is not begun; says why."""
