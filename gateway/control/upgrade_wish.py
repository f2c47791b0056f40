"""What operators and campaigns ask of the upgrades of security profiles."""

import msgspec

from gateway.control.operator_requests import RequestRefused
from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import SecurityProfile

__all__ = ["UpgradeAbort", "UpgradeRefused", "UpgradeWish", "verify_wish"]


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


def verify_wish(wish: UpgradeWish, record: ChargePointRecord, *, is_under_way: bool) -> None:
    """Raises UpgradeRefused where the record has the profile already, or accepts another one besides.

    The same one may be open from an upgrade before, which nothing could be taken back of.
    """
    if wish.to_profile <= record.security_profile:
        raise UpgradeRefused(f"it is on security profile {int(record.security_profile)} already")
    pending = record.pending_security_profile
    if pending is not None and pending is not wish.to_profile and not is_under_way:
        raise UpgradeRefused(
            f"profile {int(pending)} is accepted as well already: charge-point set ID --pending-security-profile ''"
        )
