"""How long the policy takes over the largest legal messages with the costliest conditions the linter accepts, in process.

The target is about the rule's own share: `Judge.call` with the rule less the same without any. The rest of a decision (schema
gate, what the tracker learns) belongs to the message; it is shown as well.

CPU time of one thread, so other work on the machine makes it only a little longer.
"""

import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.rig import RunFailed
from bench.worst_cases import Case, cases
from gateway.config.ocpp_schemas import schema_gate
from gateway.config.policy_packs import DEFAULT_PACKS, load_bundle
from gateway.ocpp.codec import MalformedFrame, decode, decode_message
from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import SecurityProfile
from gateway.policy.session import SessionFacts
from gateway.policy.site import SitePolicy
from gateway.policy.snapshot import Snapshot
from gateway.relay.judge import Judge, PolicyInForce

__all__ = ["Finding", "judged", "worst"]

SHIPPED = "the shipped rules"
_REPEAT = 15
_NOW = 1_795_800_000.0
_FAILS = "int(msg.id) == 1"
"""Has no value: after it the slow evaluator looks whether the rest of the condition has one."""


class Finding(NamedTuple):
    """What one message costs with one rule, in CPU milliseconds."""

    message: str
    fits_schema: bool
    rule: str
    judge_ms: float
    """Gates, schema, facts, conditions."""
    without_rule_ms: float
    decode_ms: float
    """The strict codec, before anything is judged."""

    @property
    def rule_ms(self) -> float:
        """The rule's own share: its facts, its conditions, the walker after an error, the report."""
        return self.judge_ms - self.without_rule_ms


def _cpu_ms(work: Callable[[], object]) -> float:
    """The least of a few times, after one that compiles what has to be compiled: what else runs only adds to it."""
    work()
    times = []
    for _ in range(_REPEAT):
        before = time.thread_time()
        work()
        times.append((time.thread_time() - before) * 1e3)
    return min(times)


def _snapshot(packs: list[str]) -> Snapshot:
    bundle = load_bundle(packs, SitePolicy(), now=_NOW)
    if bundle.errors:
        raise RunFailed(
            "the linter does not accept this: " + "; ".join(f"{each.message} ({each.key})" for each in bundle.errors)
        )
    return bundle.snapshot()


def _judge(case: Case, snapshot: Snapshot) -> Judge:
    session = SessionFacts(
        identity="CP", group="", version=case.version, ip="::1", security_profile=SecurityProfile.TLS_CLIENT_CERTIFICATE
    )
    return Judge(PolicyInForce(snapshot, schema_gate), session)


def _rules_of(case: Case) -> Iterator[tuple[str, dict[str, str]]]:
    """(name, conditions) of the rules a case is judged by: alone, with an error at its end, and twice with that error."""
    for condition in case.conditions:
        failing = f"({condition}) && {_FAILS}"
        yield condition, {"when": condition}
        yield f"when: {failing}", {"when": failing}
        yield f"when: {condition}, unless: {failing}", {"when": condition, "unless": failing}


def _pack(case: Case, conditions: dict[str, str], folder: Path) -> Path:
    rule = {
        "id": "bench/worst",
        "title": "Worst",
        "match": {"version": [case.version.value], "action": [case.action]},
        "action": "alert",
        **conditions,
    }
    pack = {
        "apiVersion": "ocpp-gateway/v1",
        "kind": "PolicyPack",
        "metadata": {"name": "worst", "version": "1.0.0"},
        "rules": [rule],
    }
    path = folder / "worst.yaml"
    path.write_bytes(msgspec.json.encode(pack))
    return path


def judged(case: Case, folder: Path) -> Iterator[Finding]:
    """Findings of one case: by each rule, and by all that is shipped. Raises RunFailed if something is not legal."""
    data = case.frame()
    try:
        frame, payload = decode_message(data, case.version)
    except MalformedFrame as error:
        raise RunFailed(f"{case.name}: {error}") from error
    assert isinstance(frame, Call)
    fits = schema_gate(case.version).check(case.action, "call", payload) is None
    decode_ms = _cpu_ms(lambda: decode(data, case.version))

    def cost(snapshot: Snapshot) -> float:
        judge = _judge(case, snapshot)
        return _cpu_ms(lambda: judge.call(frame, payload, case.origin, data, _NOW))

    without = cost(_snapshot([]))
    yield Finding(case.name, fits, SHIPPED, cost(_snapshot(list(DEFAULT_PACKS))), without, decode_ms)
    for name, conditions in _rules_of(case):
        yield Finding(
            case.name, fits, name, cost(_snapshot([str(_pack(case, conditions, folder))])), without, decode_ms
        )


def _all_findings() -> list[Finding]:
    gc.collect()
    gc.freeze()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return [finding for case in cases() for finding in judged(case, Path(folder))]
    finally:
        gc.unfreeze()


def _worst(findings: Iterable[Finding], by: Callable[[Finding], float]) -> Finding:
    """The costliest; it is shown, because a figure alone does not say what to mend."""
    found = max(findings, key=by)
    print(
        f"  {found.judge_ms:.1f} ms ({found.without_rule_ms:.1f} without the rule, decoding {found.decode_ms:.1f}): "
        f"{found.message}, {'' if found.fits_schema else 'not fitting the schema, '}by {found.rule}",
        flush=True,
    )
    return found


def worst() -> dict[str, float]:
    """CPU milliseconds that the worst rule adds to the decision on the worst message, and whole decisions. Raises RunFailed."""
    findings = _all_findings()
    by_one = [finding for finding in findings if finding.rule != SHIPPED]
    fitting, unfit = ([each for each in by_one if each.fits_schema is fits] for fits in (True, False))
    rule = _worst(fitting, lambda each: each.rule_ms)
    return {
        "worst_rule_ms": rule.rule_ms,
        "worst_unfit_rule_ms": _worst(unfit, lambda each: each.rule_ms).rule_ms,
        "worst_rule_to_decode": rule.rule_ms / max(finding.decode_ms for finding in findings),
        "worst_ms": _worst(fitting, lambda each: each.judge_ms).judge_ms,
        "worst_unfit_ms": _worst(unfit, lambda each: each.judge_ms).judge_ms,
        "worst_shipped_ms": _worst(
            (each for each in findings if each.rule == SHIPPED), lambda each: each.judge_ms
        ).judge_ms,
    }
