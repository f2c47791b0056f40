"""What edge workers count of their rules, told to control. Part of the messages in `gateway.link.messages`."""

import msgspec

from gateway.policy.tallies import RuleTally

__all__ = ["PolicyTallies"]


class PolicyTallies(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """What a worker has counted under one policy since it last told."""

    revision: str
    rules: tuple[RuleTally, ...]
