"""Kafka, judged by librdkafka: its broker takes what we send, and kcat reads it."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config.findings import Findings
from gateway.config.model import Sink
from gateway.config.sinks import check_sinks
from tests.control.sinks.test_sinks import Log, following, log, numbers, until
from tests.support.kafka import Broker, behind_tls, broker, library
from tests.support.rig import shared_authority
from tests.support.tls_material import Authority
from tests.support.upstreams import server_context

__all__ = ["log"]
NOT_LEADER, TOO_LARGE, NOT_ENOUGH_REPLICAS = 6, 10, 19


def _is_installed() -> bool:
    try:
        library()
    except OSError:
        return False
    return shutil.which("kcat") is not None


needs_kafka = pytest.mark.skipif(
    not _is_installed(), reason="JUDGE MISSING: no librdkafka with kcat (apt-get install kcat)"
)


@pytest.fixture
def kafka() -> Iterator[Broker]:
    with broker() as made:
        yield made


def sink(kafka: Broker, **more: Any) -> Sink:
    return Sink(**{"name": "k", "kind": "kafka", "target": f"kafka://{kafka.address}/ocpp.audit", **more})


@needs_kafka
class TestKafka:
    def test_every_record_in_order_in_one_partition_with_its_place(self, log: Log, kafka: Broker) -> None:
        with following(log, sink(kafka)) as follower:
            until(lambda: follower.delivered == 702)
        found = kafka.messages("ocpp.audit")
        assert numbers([value for *_, value in found]) == list(range(1, 701))
        assert len({partition for partition, *_ in found}) == 1
        (origin,) = {key for _, key, *_ in found}
        assert [headers for _, _, headers, _ in found] == [f"tlog={origin}/{index}" for index in range(702)]

    def test_on_from_there_after_a_restart(self, log: Log, kafka: Broker) -> None:
        with following(log, sink(kafka)) as follower:
            until(lambda: follower.delivered == 702)
        log.write(3)
        with following(log, sink(kafka)) as follower:
            until(lambda: follower.delivered == 5)
        assert numbers([value for *_, value in kafka.messages("ocpp.audit")]) == list(range(1, 704))

    def test_a_broker_that_is_away_costs_nothing_but_time(self, log: Log, kafka: Broker) -> None:
        kafka.sleeps(awake=False)
        with following(log, sink(kafka)) as follower:
            until(lambda: "Kafka" in follower.why)
            assert (follower.delivered, follower.status()["behind"]) == (0, 702)
            kafka.sleeps(awake=True)
            until(lambda: follower.delivered == 702 and not follower.why)
        found = numbers([value for *_, value in kafka.messages("ocpp.audit")])
        assert list(dict.fromkeys(found)) == list(range(1, 701))

    def test_what_a_broker_refuses_for_a_while_is_no_dead_letter(self, log: Log, kafka: Broker) -> None:
        kafka.answers(NOT_LEADER, NOT_ENOUGH_REPLICAS, NOT_LEADER)
        with following(log, sink(kafka)) as follower:
            until(lambda: follower.delivered == 702)
            assert follower.dead_letters == 0
        found = numbers([value for *_, value in kafka.messages("ocpp.audit")])
        assert list(dict.fromkeys(found)) == list(range(1, 701))

    def test_what_is_too_large_is_offered_apart_and_nothing_is_lost(self, log: Log, kafka: Broker) -> None:
        kafka.answers(TOO_LARGE)
        with following(log, sink(kafka)) as follower:
            until(lambda: follower.delivered + follower.dead_letters == 702)
            assert follower.dead_letters == 0
        found = numbers([value for *_, value in kafka.messages("ocpp.audit")])
        assert set(found) == set(range(1, 701))

    def test_a_broker_that_finds_everything_too_large_is_at_fault_itself(self, log: Log, kafka: Broker) -> None:
        kafka.answers(*[TOO_LARGE] * 4000)
        with following(log, sink(kafka)) as follower:
            until(lambda: "whatever it is offered" in follower.why)
            assert (follower.delivered, follower.dead_letters) == (0, 0)


@contextmanager
def over_tls(kafka: Broker, trusted: Authority) -> Iterator[tuple[int, list[Any]]]:
    """The broker behind a port that wants certificates of `trusted`, on a loop of its own."""
    ready, found = threading.Event(), list[Any]()

    async def serve() -> None:
        ended = asyncio.Event()
        async with behind_tls(kafka, server_context(trusted, demand=True)) as (port, came):
            found.extend((port, came, asyncio.get_running_loop(), ended))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    port, came, loop, ended = found
    try:
        yield port, came
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)


@needs_kafka
class TestTLS:
    def files(self, place: Path, root: Authority) -> dict[str, str]:
        client = shared_authority().charge_point("gateway-1")
        material = {"ca": root.pem, "certificate": client.pem, "key": client.key_pem}
        for name, data in material.items():
            (place / f"{name}.pem").write_bytes(data)
        return {name: str(place / f"{name}.pem") for name in material}

    def test_with_certificates_on_both_sides(self, log: Log, kafka: Broker) -> None:
        with over_tls(kafka, shared_authority()) as (port, came):
            target = f"tls://localhost:{port}/audit"
            with following(log, sink(kafka, target=target, **self.files(log.place, shared_authority()))) as follower:
                until(lambda: follower.delivered == 702)
        assert "gateway-1" in str(came[0]["subject"])
        assert len(kafka.messages("audit")) == 702

    def test_a_broker_of_somebody_else_gets_nothing(self, log: Log, kafka: Broker) -> None:
        with over_tls(kafka, shared_authority()) as (port, _):
            target = f"tls://localhost:{port}/audit"
            with following(log, sink(kafka, target=target, **self.files(log.place, Authority("Other")))) as follower:
                until(lambda: "Kafka" in follower.why)
                assert follower.delivered == 0
        assert kafka.messages("audit") == []


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("kafka://kafka.example:9092/audit", "must be tls://"),
        ("kafka://localhost:9092,kafka.example:9092/audit", "must be tls://"),
        ("kafka://localhost:9092,127.0.0.1:9093/ocpp.audit", ""),
        ("tls://a.example:9093,b.example:9093,[2001:db8::1]:9093/ocpp-audit_1", ""),
        ("tls://a.example:9093", "not tls://host:port,host:port/TOPIC"),
        ("tls://a.example:9093/a/b", "not tls://host:port,host:port/TOPIC"),
        ("tls://u:s3cr3t@a.example:9093/audit", "not tls://host:port,host:port/TOPIC"),
        ("tls://a.example,b.example:9093/audit", "not host:port"),
        ("tls://a.example:9093/..", "no topic"),
    ],
)
def test_targets(target: str, wrong: str) -> None:
    findings = Findings("gateway.toml", {})
    check_sinks((Sink(name="x", kind="kafka", target=target),), findings)
    told = [each.message for each in findings.errors]
    assert bool(told) == bool(wrong)
    assert all(wrong in each and "s3cr3t" not in each for each in told)
