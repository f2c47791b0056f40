"""`policy show`: what is loaded, and whether the running gateway decides by the same."""

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import USAGE
from gateway.cli.output import console, json_option, print_json, print_table, shown, warn
from gateway.cli.status import policy_troubles

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.policy_packs import Bundle
    from gateway.policy.rules import Pack, Rule

__all__ = ["show"]


@click.command()
@click.option("--rule", "rule_id", metavar="ID", help="Everything about one rule.")
@click.option("--sizes", is_flag=True, help="How large a message of each action may be.")
@click.option("--group", metavar="NAME", default="", help="With --sizes: for this group of charge points.")
@config_option
@json_option
def show(rule_id: str | None, sizes: bool, group: str, config_path: str | None, as_json: bool) -> int:
    """Show what is configured, and what is in force.

    Packs, rules, modes and parameters that the configuration names, and the revision of all of it. The revision is
    the same on every node that has loaded the same. A running gateway keeps its own until it reloads.
    """
    from gateway.cli.policy.sources import problem_text, require_rule, sources_of, usable

    config = read_config(config_path, as_json=as_json)
    bundle = usable(sources_of((), config_path, as_json=as_json), as_json=as_json, code=USAGE)
    if sizes:
        from gateway.cli.policy.sizes import show_sizes

        return show_sizes(bundle.site, group, as_json=as_json)
    if rule_id is not None:
        rule = require_rule(rule_id, bundle.packs, as_json=as_json)
        document = _rule_record(rule, bundle)
        if as_json:
            print_json(document)
        else:
            _print_rule(document)
        return 0
    document = _document(bundle, config)
    if as_json:
        print_json(document)
        return 0
    warn(problem_text(problem) for problem in bundle.problems)
    _print(document)
    return 0


# -- what is loaded, as plain values


def _document(bundle: "Bundle", config: "Config") -> dict[str, Any]:
    import msgspec

    from gateway.cli.policy.sources import problem_record

    return {
        "revision": bundle.revision,
        "running": _running(bundle, config),
        "configured": list(config.policy.packs),
        "site": config.policy.site,
        "packs": [
            {
                "name": pack.name,
                "version": pack.version,
                "title": pack.title,
                "path": pack.shown_path,
                "rules": len(pack.rules),
                "exceptions": len(pack.exemptions),
            }
            for pack in bundle.packs
        ],
        "rules": [
            {
                "rule": rule.id,
                "pack": pack.name,
                "title": rule.title,
                "effect": rule.effect.name.lower(),
                "level": rule.level,
                "severity": rule.severity,
                "event": rule.event,
                **_modes(rule, bundle),
            }
            for pack in bundle.packs
            for rule in sorted(pack.rules, key=lambda each: each.id)
        ],
        "parameters": [each for pack in bundle.packs for each in _parameters(pack, bundle)],
        "groups": msgspec.to_builtins(bundle.site.groups),
        "problems": [problem_record(problem) for problem in bundle.problems],
    }


def _running(bundle: "Bundle", config: "Config") -> dict[str, Any] | None:
    """What the running gateway decides by; None if none is running."""
    from gateway.cli.gateway_client import GatewayUnreachable, get_status

    try:
        raw = get_status(config).raw
    except GatewayUnreachable:
        return None
    revision = str(raw.get("policy_revision", ""))
    health = {"health": raw["policy"]} if "policy" in raw else {}
    return {"revision": revision, "agrees": revision == bundle.revision, **health}


def _modes(rule: "Rule", bundle: "Bundle") -> dict[str, Any]:
    """The mode of a rule for everybody, and for the groups where it is another."""
    site = bundle.site
    mode = site.mode("", rule.id, rule.mode, rule.level)
    groups = {name: site.mode(name, rule.id, rule.mode, rule.level) for name in site.groups}
    return {"mode": mode, "modes_by_group": {name: own for name, own in groups.items() if own != mode}}


def _parameters(pack: "Pack", bundle: "Bundle") -> list[dict[str, Any]]:
    found = []
    for parameter in pack.parameters:
        chosen = bundle.site.everyone.params.get(parameter.name)
        groups = {
            **parameter.by_group,
            **{
                name: group.params[parameter.name]
                for name, group in bundle.site.groups.items()
                if parameter.name in group.params
            },
        }
        found.append(
            {
                "parameter": parameter.name,
                "pack": pack.name,
                "type": parameter.type,
                "value": parameter.default if chosen is None else chosen,
                "set_by_site": chosen is not None,
                "default": parameter.default,
                "by_group": groups,
                "help": parameter.help,
            }
        )
    return found


def _rule_record(rule: "Rule", bundle: "Bundle") -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(rule, enc_hook=str)
    plain["match"]["origins"] = sorted(plain["match"]["origins"])
    plain["rollout"] = msgspec.to_builtins(bundle.site.rollouts.get(rule.id, rule.rollout))
    exceptions = [item for pack in bundle.packs for item in pack.exemptions if item.rule == rule.id]
    own: Any = next(pack for pack in bundle.packs if pack.name == rule.pack)
    text = " ".join((rule.when, rule.unless, repr(rule.counter), rule.message))
    parameters = [each for each in _parameters(own, bundle) if each["parameter"] in text]
    return {
        **plain,
        "effect": rule.effect.name.lower(),
        **_modes(rule, bundle),
        "exceptions": msgspec.to_builtins(exceptions),
        "parameters": parameters,
        "revision": bundle.revision,
    }


# -- for people


def _print(document: dict[str, Any]) -> None:
    running = document["running"]
    click.echo(f"revision of the configuration: {document['revision']}")
    if running is None:
        click.echo("running gateway: none")
    elif running["agrees"]:
        click.echo("running gateway: the same revision is in force")
    else:
        revision = running["revision"] or "none"
        click.echo(f"running gateway: ANOTHER REVISION IS IN FORCE: {shown(revision)}; ocpp-gateway policy reload")
    for line in policy_troubles((running or {}).get("health") or {}):
        click.echo(f"running gateway: {shown(line)}")
    packs = [(p["name"], p["version"], p["rules"], p["exceptions"], p["title"], p["path"]) for p in document["packs"]]
    print_table(f"Packs ({len(packs)})", ("pack", "version", "rules", "exceptions", "title", "file"), packs)
    rules = [
        (r["rule"], r["effect"], r["level"], r["mode"] + _by_group(r["modes_by_group"]), r["event"], r["pack"])
        for r in document["rules"]
    ]
    print_table(f"Rules ({len(rules)})", ("rule", "effect", "level", "mode", "event", "pack"), rules)
    parameters = [
        (p["parameter"], p["type"], _value(p["value"]) + _by_group(p["by_group"]), "site" if p["set_by_site"] else "")
        for p in document["parameters"]
    ]
    print_table(f"Parameters ({len(parameters)})", ("parameter", "type", "value", "set by"), parameters)


def _by_group(values: dict[str, Any]) -> str:
    return "".join(f"; {name}: {_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "(empty)"
    return str(value) if value != "" else "(empty)"


def _print_rule(document: dict[str, Any]) -> None:
    match = document["match"]
    spoken = {
        "title": document["title"],
        "file": document["place"],
        "effect": f"{document['effect']}, level {document['level']}, {document['severity']}",
        "mode": document["mode"] + _by_group(document["modes_by_group"]),
        "event": document["event"],
        "message": document["message"],
        "phase": match["phase"],
        "senders": ", ".join(match["origins"]),
        "actions": ", ".join(match["actions"]),
        "versions": ", ".join(match["versions"]),
        **{
            name: _value(match[name]) for name in ("groups", "identities", "vendors", "models", "states") if match[name]
        },
        "when": " ".join(document["when"].split()),
        "unless": " ".join(document["unless"].split()),
        "references": ", ".join(document["references"]),
    }
    out = console()
    out.print(shown(document["id"]), soft_wrap=True)
    width = max(map(len, spoken))
    for label, value in spoken.items():
        if value:
            out.print(f"  {label:<{width}}  {shown(value)}", soft_wrap=True)
    for each in document["parameters"]:
        value = _value(each["value"]) + _by_group(each["by_group"])
        out.print(shown(f"  parameter {each['parameter']} = {value}: {each['help']}"), soft_wrap=True)
    for each in document["exceptions"]:
        out.print(shown(f"  exception of {each['owner']}: {each['reason']}"), soft_wrap=True)
