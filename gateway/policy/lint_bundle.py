"""Static checks that need everything that is loaded: rules that never decide (P051), groups that nobody is in (P050)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from gateway.ocpp.actions import lookup
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.policy.engine import weight
from gateway.policy.findings import DocumentPath
from gateway.policy.lint import pairs_of
from gateway.policy.rules import Effect, Match, Pack, Phase, Rule
from gateway.policy.site import SitePolicy

__all__ = ["Subsumed", "groups_of_pack", "groups_of_site", "subsumed_rules"]

_TO: Final = {Origin.CHARGE_POINT: Origin.CSMS, Origin.CSMS: Origin.CHARGE_POINT}
_REFUSES: Final = frozenset({Effect.ANSWER, Effect.DROP, Effect.DENY, Effect.QUARANTINE, Effect.DISCONNECT})
_DECIDES_ALONE: Final = frozenset({Effect.ALLOW, Effect.ANSWER, Effect.DROP, Effect.DENY, Effect.DISCONNECT})
"""What has no consequence where a stronger effect wins. A quarantine and a throttle begin all the same, an alert is heard."""
_ALL_PERCENT: Final = 100.0
_Place = tuple[OCPPVersion, str, Origin]
"""A kind of message: version, action (of answers: of the call), sender."""
_Asked = tuple[Phase, str, str]
"""Phase and conditions."""


class Subsumed(NamedTuple):
    """A rule that is enforced and never decides, and the one that always does in its place."""

    rule: Rule
    stronger: Rule


def subsumed_rules(packs: Iterable[Pack], site: SitePolicy) -> list[Subsumed]:
    """Rules that a stronger one makes idle: it refuses every message that they speak of, whoever sends it.

    `packs`: with the modes that their rules run in. Only what is certain is found: the stronger rule counts nothing, has the
    same conditions or none, no exception and no rollout, and every group has it enforced.
    """
    packs = list(map(site.staged, packs))
    excepted = {exemption.rule for pack in packs for exemption in pack.exemptions}
    rules = [rule for pack in packs for rule in pack.rules]
    certain: dict[tuple[_Asked, _Place], list[Rule]] = defaultdict(list)
    reaches: dict[str, frozenset[_Place]] = {}
    for rule in rules:
        if _is_certain(rule, site) and rule.id not in excepted:
            reaches[rule.id] = _reach(rule)
            for place in reaches[rule.id]:
                certain[(rule.match.phase, _words(rule.when), _words(rule.unless)), place].append(rule)
    found = []
    for rule in rules:
        goes_on = rule.throttle is not None or "quarantine" in rule.then
        if rule.mode != "enforce" or rule.effect not in _DECIDES_ALONE or goes_on:
            continue
        reach = reaches[rule.id] if rule.id in reaches else _reach(rule)
        stronger = next(
            (each for each in _candidates(rule, reach, certain) if _covers(each, rule, reach, reaches)), None
        )
        if stronger is not None:
            found.append(Subsumed(rule, stronger))
    return found


def _is_certain(rule: Rule, site: SitePolicy) -> bool:
    """True if nothing but its match and its conditions keeps a rule from refusing a message."""
    if rule.effect not in _REFUSES or rule.counter is not None or rule.mode != "enforce":
        return False
    if (rule.when or rule.unless) and not rule.matches_on_error:
        return False
    if rule.rollout.groups or rule.rollout.percent < _ALL_PERCENT:
        return False
    return all(site.mode(group, rule.id, rule.mode, rule.level) == "enforce" for group in ("", *site.groups))


def _reach(rule: Rule) -> frozenset[_Place]:
    """Every kind of message that a rule speaks of."""
    answers = rule.match.phase in {Phase.RESULT, Phase.ERROR}
    found = set()
    for version, action in pairs_of(rule):
        known = lookup(version, action)
        assert known is not None
        for origin in rule.match.origins:
            if (_TO[origin] if answers else origin) in known.senders:
                found.add((version, action, origin))
    return frozenset(found)


def _candidates(
    rule: Rule, reach: frozenset[_Place], certain: Mapping[tuple[_Asked, _Place], list[Rule]]
) -> Iterator[Rule]:
    """Rules that refuse one kind of its messages under its own conditions, or fewer."""
    place = next(iter(reach), None)
    if place is None:
        return
    phase, when, unless = rule.match.phase, _words(rule.when), _words(rule.unless)
    for asked in dict.fromkeys(((phase, "", ""), (phase, when, ""), (phase, "", unless), (phase, when, unless))):
        yield from certain.get((asked, place), ())


def _covers(strong: Rule, rule: Rule, reach: frozenset[_Place], reaches: Mapping[str, frozenset[_Place]]) -> bool:
    if strong.id == rule.id or weight(strong) <= weight(rule):
        return False
    if "*" in rule.match.actions and "*" not in strong.match.actions:  # messages that no version knows
        return False
    if strong.pack != rule.pack and ("params." in (said := strong.when + strong.unless) or "sets." in said):
        return False
    return reach <= reaches[strong.id] and _is_wider(strong.match, rule.match)


def _is_wider(strong: Match, match: Match) -> bool:
    """True if whoever a match is about is somebody whom the stronger one is about."""
    pairs: tuple[tuple[Collection[object], Collection[object]], ...] = (
        (strong.identities, match.identities),
        (strong.groups, match.groups),
        (strong.vendors, match.vendors),
        (strong.models, match.models),
        (strong.security_profiles, match.security_profiles),
        (strong.states, match.states),
    )
    return all(not wide or (bool(narrow) and set(narrow) <= set(wide)) for wide, narrow in pairs)


def _words(text: str) -> str:
    """A condition without regard to how it is laid out."""
    return " ".join(text.split())


# -- groups


def groups_of_pack(pack: Pack) -> Iterator[tuple[DocumentPath, str]]:
    """(place, name) of every group that a pack names."""
    for index, rule in enumerate(pack.rules):
        for number, name in enumerate(rule.match.groups):
            yield ("rules", index, "match", "group", number), name
        for number, name in enumerate(rule.rollout.groups):
            yield ("rules", index, "rollout", "groups", number), name
    for index, exemption in enumerate(pack.exemptions):
        for number, name in enumerate(exemption.groups):
            yield ("exceptions", index, "match", "group", number), name


def groups_of_site(site: SitePolicy) -> Iterator[tuple[DocumentPath, str]]:
    """(place, name) of every group that a site names."""
    for name in site.groups:
        yield ("groups", name), name
    for rule, rollout in site.rollouts.items():
        for number, name in enumerate(rollout.groups):
            yield ("rollouts", rule, "groups", number), name
    for number, name in enumerate(site.maintenance_groups):
        yield ("maintenance_groups", number), name
