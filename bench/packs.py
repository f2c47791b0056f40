"""Rule packs for the benchmark: ten rules that concern its own messages, and as many as wanted that concern others.

The benchmark's charge points speak OCPP 1.6, belong to no group, never boot (so that they have no vendor and model) and
send Heartbeat, StatusNotification and MeterValues. Of every three other rules two are about other actions, of all
versions and both directions, and one is about the same actions of other groups, identities, vendors, models, versions
or security profiles. None is a candidate for a message of the benchmark, all are of kinds the shipped packs have.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["CANDIDATES", "OWN_RULES", "write_packs"]

_PER_PACK = 100
_TWO = ["2.0.1", "2.1"]


class _Kind(NamedTuple):
    """What a rule is about, and when it matches; `{n}` is its number, `{g}` the generation of the packs."""

    match: dict[str, Any]
    when: str


def _up(*actions: str, **more: object) -> dict[str, Any]:
    return {"direction": "to_csms", "action": list(actions), **more}


def _down(*actions: str, **more: object) -> dict[str, Any]:
    return {"direction": "to_station", "action": list(actions), **more}


OWN_RULES = (
    _Kind(_up("Heartbeat"), "msg.size > 4{g}"),
    _Kind(_up("StatusNotification"), "facts.control_characters && msg.size > {g}"),
    _Kind(_up("StatusNotification"), 'facts.odd_strings.exists(s, s.contains("${{jndi:{g}"))'),
    _Kind(_up("StatusNotification"), "facts.connectors.exists(c, c < 0 || c > 9{g})"),
    _Kind(_up("StatusNotification"), 'facts.timestamps.exists(t, t - now > duration("9{g}h"))'),
    _Kind(_up("MeterValues"), "tx.known && facts.meter_wh.exists(x, x < tx.meter_start - {g}.0)"),
    _Kind(_up("MeterValues"), "facts.meter_wh.exists(x, x < 0.0 || x > 99999999{g}.0)"),
    _Kind(_up("MeterValues"), "facts.absurd_times > 10{g}"),
    _Kind(_up("MeterValues"), 'facts.odd_strings.exists(s, s.contains("${{jndi:{g}"))'),
    _Kind({"phase": "result", "direction": "to_station", "of": ["Heartbeat"]}, "req.age_ms > 6{g}0000"),
)
"""The same in every pack: what the benchmark's own messages are asked."""
CANDIDATES = {"Heartbeat": 1, "StatusNotification": 4, "MeterValues": 4, "result of Heartbeat": 1}
"""How many rules are candidates for each kind of message the benchmark sends, however many there are in all."""

_OTHER_ACTIONS = (
    _Kind(_down("@charging_profile"), "facts.limits_a.exists(x, x > 1{n}.{g})"),
    _Kind(_down("@firmware"), 'facts.urls.exists(u, u.host == "fw-{n}-{g}.example")'),
    _Kind(_down("@security_config"), 'facts.config_changes.exists(c, c.name == "key{n}.{g}")'),
    _Kind(_down("@logs"), 'facts.urls.exists(u, u.host == "logs-{n}-{g}.example")'),
    _Kind(_up("Authorize"), 'facts.tokens.exists(t, t == "T{n}-{g}")'),
    _Kind(_up("BootNotification", model=["Model-{n}"]), 'facts.strings.exists(s, s.contains("fw {n}.{g}"))'),
    _Kind(_up("DataTransfer"), 'payload.vendorId == "vendor-{n}-{g}"'),
    _Kind(_up("TransactionEvent", version=_TWO), "facts.meter_wh.exists(x, x > 9{n}{g}.0)"),
    _Kind(_down("Reset", group=["site-{n}"]), 'session.age > duration("1{g}s") && !session.in_maintenance'),
    _Kind({"phase": "result", "direction": "to_station", "of": "@authorize"}, 'facts.asked_tokens.exists(t, t == "T{n}-{g}")'),
    _Kind(_up("SecurityEventNotification"), 'facts.strings.exists(s, s.startsWith("event {n}.{g}"))'),
    _Kind(_up("NotifyReport", version=_TWO), "facts.longest_list > 1{n}{g}"),
    _Kind(_down("@trigger", identity=["CP-{n}"]), "msg.size > 1{g}"),
    _Kind(_up("StartTransaction", version="1.6"), 'payload.idTag == "T{n}-{g}"'),
)  # fmt: skip
_OTHER_CHARGE_POINTS = (
    _Kind(_up("MeterValues", group=["site-{n}"]), "facts.meter_wh.exists(x, x > 9{n}{g}.0)"),
    _Kind(_up("StatusNotification", model=["Model-{n}"]), 'facts.strings.exists(s, s.contains("error {n}.{g}"))'),
    _Kind(_up("Heartbeat", identity=["CP-{n}"]), "msg.size > 4{g}"),
    _Kind(_up("StatusNotification", vendor=["Vendor-{n}"]), "facts.connector > 1{n}{g}"),
    _Kind(_up("MeterValues", version=_TWO), "facts.meter_wh.exists(x, x > 9{n}{g}.0)"),
    _Kind(_up("MeterValues", security_profile=[1]), "facts.absurd_times > 1{n}{g}"),
)


def _kind_of(number: int) -> _Kind:
    """What the rule of this number is about."""
    if number < len(OWN_RULES):
        return OWN_RULES[number]
    kinds = _OTHER_CHARGE_POINTS if number % 3 == 0 else _OTHER_ACTIONS
    return kinds[number // 3 % len(kinds)]


def _filled(value: Any, number: int) -> Any:
    if isinstance(value, list):
        return [_filled(item, number) for item in value]
    return value.replace("{n}", str(number)) if isinstance(value, str) else value


def _rule(number: int, generation: int) -> dict[str, Any]:
    kind = _kind_of(number)
    return {
        "id": f"bench/rule-{number}",
        "title": f"Rule {number} of the benchmark",
        "level": 1,
        "severity": "medium",
        "match": {name: _filled(value, number) for name, value in kind.match.items()},
        "when": kind.when.format(n=number, g=generation),
        "action": "alert",
        "event": "policy.bench",
        "message": "{msg.action} matched rule " + str(number),
        "references": [f"benchmark {number}"],
    }


def _pack(name: str, numbers: range, generation: int) -> str:
    """A pack as text: JSON is YAML, one rule a line."""
    metadata = {"name": name, "version": f"1.0.{generation}", "title": "Rules of the benchmark"}
    head = [f"apiVersion: ocpp-gateway/v1\nkind: PolicyPack\nmetadata: {json.dumps(metadata)}\nrules:"]
    return "\n".join(head + [f"  - {json.dumps(_rule(number, generation))}" for number in numbers]) + "\n"


def write_packs(folder: Path, count: int, generation: int = 0) -> list[Path]:
    """Write packs of `count` rules in all; their paths. Another generation has other conditions in every rule."""
    folder.mkdir(exist_ok=True)
    paths = []
    for first in range(0, count, _PER_PACK):
        path = folder / f"bench-{first // _PER_PACK}.yaml"
        path.write_text(_pack(path.stem, range(first, min(first + _PER_PACK, count)), generation))
        paths.append(path)
    return paths
