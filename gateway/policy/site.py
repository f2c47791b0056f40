"""How a site uses the packs: which, in which mode, with which parameters, and how strict the gates are. Per group."""

from typing import Final, Literal

import msgspec

from gateway.ocpp.size_limits import SizeLimit
from gateway.policy.rules import Mode, Pack, ParameterValue, Rollout
from gateway.policy.site_sizes import SizeRule, default_limit, with_rules

__all__ = ["GateMode", "Gates", "GroupPolicy", "ImageGateMode", "SitePolicy", "Stance"]

GateMode = Literal["enforce", "monitor"]
ImageGateMode = Literal["off", "enforce", "monitor"]
Stance = Literal["allow-known", "allow-listed"]
"""What happens to a valid message that no rule speaks about: it passes, or it needs an `allow` rule."""


class Gates(msgspec.Struct, frozen=True, kw_only=True):
    """The structural gates. No rule can switch one off; a site can make it watch only."""

    direction: GateMode = "enforce"
    """Unknown actions, and actions that the sender may not send."""
    sizes: GateMode = "enforce"
    """Bytes and list entries by action. By default what no honest message comes near (`gateway.ocpp.size_limits`)."""
    state: GateMode = "enforce"
    """BootNotification first, and what may be said while Pending or Rejected."""
    schema: GateMode = "monitor"
    """JSON schema of the version: real charge points break it in harmless ways, so it watches first."""
    firmware_image: ImageGateMode = "off"
    """The image of a signed firmware update, which the gateway fetches and holds against the signature before the update
    goes on. It loads what the CSMS names, so nobody has it who has not asked for it."""


_GATES: Final = Gates()


class GroupPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one group of charge points. None: as the site says for all."""

    gates: Gates | None = None
    stance: Stance | None = None
    mode: Mode | None = None
    """Overrides the mode of every rule that is not off: `monitor` makes a group observe only."""
    level: int | None = None
    """Rules above this level only watch."""
    params: dict[str, ParameterValue] = {}
    modes: dict[str, Mode] = {}
    """Mode by rule id."""
    sizes: dict[str, SizeRule] = {}
    """By action or class of actions."""


class SitePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Policy of the whole site."""

    everyone: GroupPolicy = GroupPolicy()
    groups: dict[str, GroupPolicy] = {}
    rollouts: dict[str, Rollout] = {}
    """By rule id: the part of the fleet that has it enforced, in the place of what its pack says."""
    maintenance_groups: tuple[str, ...] = ()
    """Groups that are in a maintenance window now: `session.in_maintenance`."""

    def gates(self, group: str) -> Gates:
        """The gates of a group."""
        return self._of(group).gates or self.everyone.gates or _GATES

    def size_limit(self, group: str, action: str, by_schema: SizeLimit, *, answer: bool) -> SizeLimit:
        """How large a message of this kind, or the answer to it, may be for a group. `by_schema`: what its schema allows."""
        limit = default_limit(action, by_schema)
        for policy in (self.everyone, self._of(group)):
            if policy.sizes:
                limit = with_rules(policy.sizes, action, limit, answer=answer)
        return limit

    def stance(self, group: str) -> Stance:
        """The stance of a group."""
        return self._of(group).stance or self.everyone.stance or "allow-known"

    def mode(self, group: str, rule: str, own: Mode, level: int) -> Mode:
        """In which mode a rule runs for a group. `off` in the pack stays off unless the rule is named."""
        for policy in (self._of(group), self.everyone):
            if rule in policy.modes:
                return policy.modes[rule]
        if own == "off":
            return "off"
        override = self._of(group).mode or self.everyone.mode
        if override is not None:
            return override
        highest = self._of(group).level if self._of(group).level is not None else self.everyone.level
        return "monitor" if highest is not None and level > highest else own

    def parameter(self, group: str, name: str) -> ParameterValue | None:
        """A value that the site sets, None if it leaves the pack's default."""
        own = self._of(group).params.get(name)
        return own if own is not None else self.everyone.params.get(name)

    def staged(self, pack: Pack) -> Pack:
        """A pack with the rollouts that the site gives to rules of it."""
        if self.rollouts.keys().isdisjoint(rule.id for rule in pack.rules):
            return pack
        rules = (msgspec.structs.replace(rule, rollout=self.rollouts.get(rule.id, rule.rollout)) for rule in pack.rules)
        return msgspec.structs.replace(pack, rules=tuple(rules))

    def _of(self, group: str) -> GroupPolicy:
        return self.groups.get(group, _NOTHING)


_NOTHING = GroupPolicy()
