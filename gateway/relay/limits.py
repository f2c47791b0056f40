"""Limits of one session's relay. Data."""

import msgspec

from gateway.relay.lanes import LaneLimits

__all__ = ["RelayLimits"]


class RelayLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one session, shared by all."""

    messages_per_s: float
    messages_burst: int
    flood_grace_s: float
    calls: LaneLimits = LaneLimits()
    """Of each direction."""
    recorded_first: frozenset[str] = frozenset()
    """Actions of the CSMS whose effect, also their refusal, waits until the log has them."""
