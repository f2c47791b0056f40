"""Each trouble is told once, and stands in status and metrics; what is no trouble is not."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from gateway.config.model import Config
from gateway.config.policy import Policy
from gateway.control.policy_health import PolicyHealth
from gateway.link.messages import EdgeSettings
from gateway.link.policy_counts import PolicyTallies
from gateway.policy.counter_table import Overflow
from gateway.policy.tallies import RuleTally

REVISION = "a" * 64


class Bench:
    def __init__(self, max_age_s: float = 0.0, read_at: float = 1_000.0) -> None:
        self.now = 1_000.0
        self.events: list[tuple[Any, ...]] = []
        self.fleet: dict[str, Overflow] = {}
        self.health = PolicyHealth(lambda *event: self.events.append(event), self._take, lambda: self.now)
        self.health.use(cast("Config", SimpleNamespace(policy=Policy(max_policy_age_s=max_age_s))))
        self.read(read_at=read_at)

    def _take(self) -> dict[str, Overflow]:
        found, self.fleet = self.fleet, {}
        return found

    def read(self, revision: str = REVISION, read_at: float = 1_000.0) -> None:
        settings = SimpleNamespace(policy=SimpleNamespace(revision=revision, read_at=read_at))
        self.health.follow(cast("EdgeSettings", settings))

    def count(self, *rules: RuleTally, revision: str = REVISION) -> None:
        self.health.heard(PolicyTallies(revision, rules))

    def at(self, now: float) -> list[tuple[Any, ...]]:
        self.now = now
        asyncio.run(self.health.tick())
        return self.events

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event[0] == name]


def test_a_rule_that_errs_too_often_is_told_once_whatever_follows() -> None:
    bench = Bench()
    bench.count(RuleTally("a/b", 100, 2), RuleTally("a/c", 1_000))
    assert bench.events == []
    for _ in range(3):
        bench.count(RuleTally("a/b", 10, 10))
    assert bench.events == [("policy.rule_degraded", "high", "allow_alert", "a/b: no value in 12 of 110 evaluations")]
    shown = bench.health.status()
    assert shown["degraded"] == ["a/b"]
    assert shown["rules"] == {"a/b": {"evaluations": 130, "errors": 32, "degraded": True, "overflows": 0}}
    metrics = bench.health.metrics()
    assert metrics["ocpp_gateway_policy_rules_degraded"] == 1.0
    assert metrics['ocpp_gateway_policy_errors_total{rule="a/b"}'] == 32.0
    assert not any("a/c" in name for name in metrics)


def test_one_of_a_hundred_is_not_too_often_and_two_odd_messages_are_none() -> None:
    bench = Bench()
    bench.count(RuleTally("a/b", 500, 5), RuleTally("a/c", 2, 2))
    assert bench.events == []
    assert bench.health.status()["rules"]["a/c"]["errors"] == 2
    bench.count(RuleTally("a/b", 1, 1))
    assert len(bench.events) == 1


def test_several_workers_are_added_up() -> None:
    bench = Bench()
    bench.count(RuleTally("a/b", 400, 0))
    bench.count(RuleTally("a/b", 4, 4))
    assert bench.events == []
    bench.count(RuleTally("a/b", 1, 1))
    assert len(bench.events) == 1


def test_another_revision_begins_anew_and_what_is_told_of_the_old_one_is_late() -> None:
    bench = Bench()
    bench.count(RuleTally("a/b", 9, 9))
    bench.read("b" * 64)
    assert bench.health.status()["degraded"] == []
    bench.count(RuleTally("a/b", 9, 9))
    assert len(bench.events) == 1
    bench.count(RuleTally("a/b", 9, 9), revision="b" * 64)
    assert len(bench.events) == 2


def test_too_many_keys_are_told_with_whose_they_are_and_again_after_an_hour_of_quiet() -> None:
    bench = Bench()
    for now in (1_000.0, 1_001.0, 4_000.0):
        bench.now = now
        bench.count(RuleTally("a/b", 0, 0, 7, "CP-9"))
    (event,) = bench.events
    assert event[:3] == ("policy.counters_full", "medium", "allow_alert")
    assert event[3].startswith("a/b: ")
    assert event[4] == "CP-9"
    bench.fleet = {"a/b": Overflow(1, "CP-9"), "f/g": Overflow(2, "CP-8")}
    assert [each[4] for each in bench.at(4_100.0)] == ["CP-9", "CP-8"]
    bench.fleet = {"a/b": Overflow(1, "CP-7")}
    assert [each[4] for each in bench.at(9_000.0)] == ["CP-9", "CP-8", "CP-7"]
    assert bench.health.metrics()['ocpp_gateway_policy_overflows_total{rule="a/b"}'] == 23.0


def test_a_policy_that_is_too_old_is_told_once_until_it_is_read_again() -> None:
    bench = Bench(max_age_s=60.0)
    for now, stale, told in ((1_060.0, False, 0), (1_061.0, True, 1), (1_071.0, True, 1)):
        bench.at(now)
        assert (bench.health.is_stale, len(bench.named("policy.stale"))) == (stale, told)
    assert bench.health.metrics()["ocpp_gateway_policy_age_seconds"] == 71.0
    bench.read(read_at=1_072.0)
    for now, stale, told in ((1_100.0, False, 1), (2_000.0, True, 2)):
        bench.at(now)
        assert (bench.health.is_stale, len(bench.named("policy.stale"))) == (stale, told)


def test_without_a_limit_no_policy_is_too_old() -> None:
    bench = Bench()
    assert bench.at(1e9) == []
    assert not bench.health.is_stale
