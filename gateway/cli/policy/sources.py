"""Which packs and which values of the site a command works with: those named, else those of the configuration."""

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.cli.configuration import find_config, read_config
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.policy_packs import Bundle, PackProblem
    from gateway.policy.rules import Pack, Rule

__all__ = [
    "Sources",
    "configured",
    "load_sources",
    "problem_record",
    "problem_text",
    "require_rule",
    "sources_of",
    "usable",
]

_TESTS = ".test.yaml"


class Sources(NamedTuple):
    """What to load."""

    packs: tuple[str, ...]
    site: str = ""
    foreign_site: bool = False
    """The site is the configuration's, and the packs are not."""
    config_path: str = ""


def configured(config_path: str | None, *, as_json: bool) -> "Config | None":
    """The configuration, None where none is named and none is at the usual places. Raises Failure if it is broken."""
    from gateway.cli.configuration import PLACES

    if config_path or os.environ.get("OCPP_GATEWAY_CONFIG") or any(place.exists() for place in PLACES):
        return read_config(config_path, as_json=as_json)
    return None


def sources_of(
    words: Sequence[str],
    config_path: str | None,
    *,
    as_json: bool,
    default: tuple[str, ...] = (),
    lend_site: bool = True,
) -> Sources:
    """From what was typed: packs, files of packs, and at most one file with the values of a site.

    `default`: the packs where neither words nor a configuration name any. `lend_site`: packs that are named run with the
    site of the configuration.
    """
    from gateway.config.policy_packs import DEFAULT_PACKS
    from gateway.config.policy_site import is_site

    sites = [word for word in words if is_site(word)]
    packs = tuple(dict.fromkeys(word for word in words if word not in sites))
    if len(set(sites)) > 1:
        names = ", ".join(map(shown, sites))
        fail(f"Only one file can hold the values of the site, and these do: {names}", USAGE, as_json=as_json)
    if packs and (sites or not lend_site):
        return Sources(packs, sites[0] if sites else "")
    config = configured(config_path, as_json=as_json)
    if config is None:
        return Sources(packs or default or DEFAULT_PACKS, sites[0] if sites else "")
    own = not packs and not sites
    return Sources(
        packs or config.policy.packs,
        sites[0] if sites else config.policy.site,
        foreign_site=bool(packs),
        config_path=find_config(config_path) if own else "",
    )


def load_sources(sources: Sources, groups: Collection[str] = ()) -> "Bundle":
    """Everything loaded and checked; look at its errors. `groups`: those that charge points are in, where that is to be looked at."""
    import time

    from gateway.config.policy import Policy
    from gateway.config.policy_site import load_policy

    return load_policy(
        Policy(packs=sources.packs, site=sources.site),
        now=time.time(),
        config_path=sources.config_path,
        foreign_site=sources.foreign_site,
        groups=groups,
    )


def usable(sources: Sources, *, as_json: bool, code: int = NOT_OK) -> "Bundle":
    """A bundle without errors. Raises Failure with all of them."""
    bundle = load_sources(sources)
    if bundle.errors:
        lines = "\n".join(problem_text(problem) for problem in bundle.errors)
        fail(
            f"The policy cannot be used:\n{lines}" if not as_json else "The policy cannot be used.",
            code,
            as_json=as_json,
            details=[problem_record(problem) for problem in bundle.errors],
        )
    return bundle


def require_rule(rule_id: str, packs: "Iterable[Pack]", *, as_json: bool) -> "Rule":
    """The loaded rule of this id. Raises Failure with the one that may be meant."""
    from gateway.config.suggest import did_you_mean

    rules = {rule.id: rule for pack in packs for rule in pack.rules}
    if rule_id in rules:
        return rules[rule_id]
    similar = did_you_mean(rule_id, rules)
    hint = f" Did you mean '{similar}'?" if similar else " ocpp-gateway policy show lists what is loaded."
    details = {"did_you_mean": similar} if similar else None
    return fail(f"No loaded pack has a rule '{shown(rule_id)}'.{hint}", NOT_OK, as_json=as_json, details=details)


def _sentence(problem: "PackProblem") -> str:
    return problem.message.removeprefix(f"{problem.code} ")


def problem_text(problem: "PackProblem") -> str:
    """``file:line:column: error P010 unknown action 'Rset' (did you mean 'Reset'?)``."""
    place = f"{problem.path}:{problem.line}:{problem.column}" if problem.line else problem.path
    hint = f" (did you mean {problem.suggestion!r}?)" if problem.suggestion else ""
    return shown(f"{place}: {problem.severity} {problem.code} {_sentence(problem)}{hint}")


def problem_record(problem: "PackProblem") -> dict[str, Any]:
    """The same for ``--json``."""
    import msgspec

    return {**msgspec.to_builtins(problem), "message": _sentence(problem)}
