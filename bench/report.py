"""Figures to Markdown. Pure: what the run measured comes in as values, ratios to the reference go out."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["REFERENCE", "TARGETS", "Results", "Target", "judge", "ratios", "report"]

REFERENCE = "haproxy"
Results = Mapping[str, Mapping[str, Sequence[float | None]]]
"""Figure -> stack -> its value in each turn; None where a turn failed."""


class Target(NamedTuple):
    """What a stack has to reach: a ratio to a reference in the same turn, or a figure of its own."""

    stack: str
    figure: str
    name: str
    limit: float
    unit: str = ""
    """With a ratio `` x ...``: what it is a ratio to."""
    reference: str = ""
    """The stack that the figure is a ratio to; empty: the figure itself."""


_HAPROXY = " x HAProxy"
_MANY = "gateway-1000-rules"
TARGETS = (
    Target(
        "gateway-no-policy", "message_us", "CPU per relayed message, strict decode, no policy", 1.8, _HAPROXY, REFERENCE
    ),
    Target("gateway-no-records", "message_us", "CPU per relayed message, default policy", 2.2, _HAPROXY, REFERENCE),
    Target("gateway", "session_ms", "CPU per accepted mTLS session", 1.2, _HAPROXY, REFERENCE),
    Target("gateway", "idle_kib", "RSS per idle connection, client certificate", 32.0, " KiB"),
    Target("gateway", "idle_password_kib", "RSS per idle connection, password", 32.0, " KiB"),
    Target("gateway", "gc_pause_ms", "full garbage collection, all connections open", 5.0, " ms"),
    Target(_MANY, "rules_ratio", "CPU per relayed message with 1 000 rules", 1.1, " x the same with 10"),
    Target("gateway", "worst_rule_ms", "what the worst legal rule adds to judging a 256 KiB message", 5.0, " ms"),
    Target("gateway", "worst_unfit_rule_ms", "the same, message that does not fit its schema", 5.0, " ms"),
    Target("gateway", "issue_ms", "CPU from a certificate request to the certificate, file key", 5.0, " ms"),
    Target(_MANY, "reload_stall_ms", "round trips longer than without a reload of 1 000 changed rules", 20.0, " ms"),
)
_RATIOS = ("message_us", "session_ms", "first_session_ms")
_OWN = ("idle_kib", "idle_password_kib", "gc_pause_ms")
_HEADS = {
    "message_us": "CPU per relayed message",
    "session_ms": "CPU per mTLS session",
    "first_session_ms": "the same, first contact",
    "idle_kib": "RSS per idle mTLS connection, KiB",
    "idle_password_kib": "the same, password instead of certificate",
    "gc_pause_ms": "full GC pause, ms",
}


def ratios(values: Sequence[float | None], reference: Sequence[float | None]) -> list[float]:
    """Each turn's value over the reference's of the same turn; turns in which either failed are left out."""
    pairs = zip(values, reference, strict=False)
    return [value / base for value, base in pairs if value is not None and base]


def _spread(values: Sequence[float], digits: int) -> str:
    middle = f"{statistics.median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def _cell(results: Results, figure: str, stack: str) -> str:
    values = [value for value in results.get(figure, {}).get(stack, ()) if value is not None]
    if not values:
        return "-"
    if figure in _OWN:
        return _spread(values, 1)
    found = ratios(results[figure][stack], results[figure].get(REFERENCE, ()))
    return _spread(found, 2) if found else "no reference"


def judge(results: Results, target: Target) -> str:
    """One sentence: met or missed, and by what."""
    values = results.get(target.figure, {}).get(target.stack, ())
    if target.reference:
        found = ratios(values, results.get(target.figure, {}).get(target.reference, ()))
    else:
        found = [value for value in values if value is not None]
    limit = f"<= {target.limit:g}{target.unit}"
    if not found:
        return f"{target.name}: not measured (target {limit})"
    middle = statistics.median(found)
    shown = f"{middle:.2f}" + ("" if target.unit.startswith(" x ") else target.unit)
    return f"{target.name}: {shown}, target {limit}: {'met' if middle <= target.limit else 'MISSED'}"


def _leaks(results: Results) -> list[str]:
    stacks = results.get("leak_rss_kib", {})
    lines = []
    for stack in stacks:
        grown = []
        for figure, name in (
            ("leak_rss_kib", "KiB RSS"),
            ("leak_blocks", "memory blocks"),
            ("leak_objects", "tracked objects"),
        ):
            values = [value for value in results.get(figure, {}).get(stack, ()) if value is not None]
            if values:
                grown.append(f"{statistics.median(values):+.0f} {name}")
        lines.append(f"- {stack}: {', '.join(grown)}")
    return lines


_POLICY = (
    (_MANY, "rules_first_ratio", "CPU per message, a session's first three calls: {} x the same with 10 rules", 2),
    ("gateway", "worst_rule_to_decode", "what the worst rule adds: {} x the time to decode the costliest message", 2),
    ("gateway", "worst_ms", "whole decision with one rule, schema gate and tracker included: {} ms at most", 1),
    ("gateway", "worst_unfit_ms", "the same, message that does not fit its schema: {} ms", 1),
    ("gateway", "worst_shipped_ms", "whole decision by all shipped rules: {} ms at most", 1),
    ("gateway", "issue_rsa_ms", "CPU from a request with an RSA-2048 key to the certificate: {} ms", 1),
    (_MANY, "reload_longest_ms", "longest round trip during a reload of 1 000 changed rules: {} ms", 1),
    (_MANY, "quiet_longest_ms", "the same connections for as long without a reload: {} ms", 1),
    (_MANY, "reload_s", "from SIGHUP until the rules were in force: {} s", 1),
)
"""(stack, figure, sentence, digits) of what explains the policy's targets."""


def _policy(results: Results) -> list[str]:
    lines = []
    for stack, figure, sentence, digits in _POLICY:
        found = [value for value in results.get(figure, {}).get(stack, ()) if value is not None]
        if found:
            lines.append("- " + sentence.format(_spread(found, digits)))
    return lines


def report(results: Results, stacks: Sequence[str], idle_connections: int, circumstances: Sequence[str]) -> str:
    """The whole of RESULTS.md."""
    lines = [
        "# Benchmark results",
        "",
        "Made by `make bench`; how to read it: README.md. One run, stacks interleaved; median [min-max] of the turns.",
        "CPU figures are ratios to HAProxy in the same turn, because bare times belong to one machine. Everything runs",
        "with TLS 1.3, and client certificates unless said. `gateway` is the default configuration: strict decoding, gates,",
        "schemas, the baseline rule pack, the audit log; `gateway-no-records` is the same without records of messages, and",
        "`gateway-no-policy` only decodes strictly and correlates. HAProxy and nginx look at",
        "nothing; `websockets` decodes with the gateway's own codec and knows no charge point.",
        "",
        *circumstances,
        "",
        "| stack | " + " | ".join(_HEADS[figure] for figure in (*_RATIOS, *_OWN)) + " |",
        "|---" * (1 + len(_RATIOS) + len(_OWN)) + "|",
    ]
    for stack in stacks:
        cells = [_cell(results, figure, stack) for figure in (*_RATIOS, *_OWN)]
        lines.append(f"| {stack} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Idle connections: {idle_connections}.",
        "",
        "Targets, with the default TLS engine:",
        "",
    ]
    lines += [f"- {judge(results, target)}" for target in TARGETS]
    policy = _policy(results)
    if policy:
        lines += ["", "Policy:", "", *policy]
    leaks = _leaks(results)
    if leaks:
        lines += ["", "Growth per 1 000 reconnects and 10 000 messages, after a warm-up of the same size:", "", *leaks]
    return "\n".join(lines) + "\n"
