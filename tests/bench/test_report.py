"""What the benchmark says of given figures. Nothing is measured here."""

import pytest

from bench.report import TARGETS, Results, judge, ratios, report

RESULTS: Results = {
    "message_us": {
        "haproxy": [10.0, 20.0, None],
        "gateway": [30.0, 80.0, 50.0],
        "gateway-no-policy": [15.0, 40.0],
        "gateway-no-records": [30.0, 80.0, 50.0],
    },
    "session_ms": {"haproxy": [2.0], "gateway": [2.2]},
    "idle_kib": {"haproxy": [20.0], "gateway": [33.3]},
    "gc_pause_ms": {"gateway": [1.25]},
    "rules_ratio": {"gateway-1000-rules": [1.05, 1.19]},
    "rules_first_ratio": {"gateway-1000-rules": [1.5]},
    "worst_rule_ms": {"gateway": [12.5]},
    "reload_stall_ms": {"gateway-1000-rules": [19.0]},
    "reload_longest_ms": {"gateway-1000-rules": [31.0]},
    "leak_rss_kib": {"gateway": [12.0]},
    "leak_blocks": {"gateway": [-3.0]},
    "leak_objects": {"gateway": [0.0]},
}
BY_FIGURE = {(target.stack, target.figure): target for target in TARGETS}


def test_a_ratio_is_to_the_same_turn_and_a_turn_without_reference_does_not_count():
    assert ratios(RESULTS["message_us"]["gateway-no-policy"], RESULTS["message_us"]["haproxy"]) == [1.5, 2.0]


@pytest.mark.parametrize(
    ("stack", "figure", "sentence"),
    [
        (
            "gateway-no-policy",
            "message_us",
            "CPU per relayed message, strict decode, no policy: 1.75, target <= 1.8 x HAProxy: met",
        ),
        (
            "gateway-no-records",
            "message_us",
            "CPU per relayed message, default policy: 3.50, target <= 2.2 x HAProxy: MISSED",
        ),
        ("gateway", "session_ms", "CPU per accepted mTLS session: 1.10, target <= 1.2 x HAProxy: met"),
        ("gateway", "idle_kib", "RSS per idle connection, client certificate: 33.30 KiB, target <= 32 KiB: MISSED"),
        ("gateway", "gc_pause_ms", "full garbage collection, all connections open: 1.25 ms, target <= 5 ms: met"),
        (
            "gateway-1000-rules",
            "rules_ratio",
            "CPU per relayed message with 1 000 rules: 1.12, target <= 1.1 x the same with 10: MISSED",
        ),
        (
            "gateway",
            "worst_rule_ms",
            "what the worst legal rule adds to judging a 256 KiB message: 12.50 ms, target <= 5 ms: MISSED",
        ),
        (
            "gateway-1000-rules",
            "reload_stall_ms",
            "round trips longer than without a reload of 1 000 changed rules: 19.00 ms, target <= 20 ms: met",
        ),
    ],
)
def test_verdicts(stack: str, figure: str, sentence: str):
    assert judge(RESULTS, BY_FIGURE[stack, figure]) == sentence


def test_what_was_not_measured_is_said():
    target = BY_FIGURE["gateway-no-records", "message_us"]
    assert "not measured" in judge({}, target)
    assert "not measured" in judge({"message_us": {"gateway-no-records": [1.0]}}, target)


def test_the_table():
    text = report(RESULTS, ["haproxy", "gateway", "websockets"], 5000, ["One machine."])
    assert "| haproxy | 1.00 [1.00-1.00] | 1.00 |" in text
    assert "| gateway | 3.50 [3.00-4.00] | 1.10 |" in text
    assert "| websockets | - | - |" in text
    assert "gateway: +12 KiB RSS, -3 memory blocks, +0 tracked objects" in text
    assert "- CPU per message, a session's first three calls: 1.50 x the same with 10 rules" in text
    assert "- longest round trip during a reload of 1 000 changed rules: 31.0 ms" in text
    assert "One machine." in text
    assert "Idle connections: 5000." in text
