"""The policy: `[policy]` (docs/policy.md)."""

import msgspec

__all__ = ["Policy"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Rule packs. Names of shipped packs, or paths of YAML files; what they include comes with them."""

    packs: tuple[str, ...] = ("baseline",)
    """``baseline`` enforces what is safe in front of any fleet; add ``observe`` to watch with every rule there is.
    Empty: the gates alone."""
    site: str = ""
    """YAML file with the site's own values: parameters, modes, gates, groups (docs/policy.md)."""
    max_policy_age_s: float = 0.0
    """How old the policy in force may be, since it was last read and found good. An older one goes on to decide, and is told: an
    event, and `/readyz` says no until a reload. 0: however old."""
