"""What edge workers count for their rules, told to control. Part of the messages in `gateway.link.messages`."""

import msgspec

from gateway.ocpp.vocabulary import ChargePointId
from gateway.policy.tallies import RuleTally

__all__ = ["CountersKept", "PolicyTallies"]


class PolicyTallies(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """What a worker has counted under one policy since it last told."""

    revision: str
    rules: tuple[RuleTally, ...]


class CountersKept(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """What a worker remembers of a charge point whose session has ended; control gives it to the worker of the next one."""

    charge_point_id: ChargePointId
    until: float
    """Seconds since the epoch from which on it is worth nothing."""
    kept: bytes
    """`gateway.policy.handover.Kept` as msgpack: control does not look into it. Empty if nothing is left."""
