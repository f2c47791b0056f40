"""OTLP read by OpenTelemetry's own schema, NATS by a real server; what a receiver refuses, and what a reload changes."""

import asyncio
import contextlib
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
import structlog
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from gateway.audit.otlp import to_otlp
from gateway.audit.siem import Located
from gateway.config.findings import Findings
from gateway.config.model import Sink
from gateway.config.sinks import check_sinks
from gateway.control.sinks.sink_set import SinkSet
from gateway.demo.ports import free_ports
from tests.control.sinks.test_sinks import SECRET, Log, following, hook, log, numbers, until, web_server

__all__ = ["log"]
Judge = Callable[[list[int]], tuple[int, bytes]]
needs_nats = pytest.mark.skipif(
    shutil.which("nats-server", path="/usr/sbin:/usr/bin:/bin") is None,
    reason="JUDGE MISSING: no NATS server (apt-get install nats-server)",
)


class _Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = json_format.Parse(body, ExportLogsServiceRequest())
        records = [r for x in request.resource_logs for s in x.scope_logs for r in s.log_records]
        code, answer = server.judge([json.loads(record.body.string_value)["index"] for record in records])
        server.seen.append((self.path, self.headers.get("Authorization"), self.headers["Content-Type"]))
        if code == 200:
            server.records += records
        self.send_response(code)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def collector(judge: Judge = lambda _: (200, b"{}")) -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    server.judge, server.records, server.seen = judge, [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def otlp(server: Any, **more: Any) -> Sink:
    return Sink(name="o", kind="otlp", target=f"http://127.0.0.1:{server.server_port}/v1/logs", **more)


def bodies(server: Any) -> list[int]:
    return numbers([record.body.string_value.encode() for record in server.records])


class TestOTLP:
    def test_every_record_in_order_as_opentelemetry_reads_it(self, log: Log) -> None:
        (log.place / "token").write_bytes(b"t0ken\n")
        with collector() as server, following(log, otlp(server, secret_file=str(log.place / "token"))) as follower:
            until(lambda: follower.delivered == 702)
        assert bodies(server) == list(range(1, 701))
        assert set(server.seen) == {("/v1/logs", "Bearer t0ken", "application/json")}
        record = server.records[1]
        assert (record.severity_number, record.severity_text, record.event_name) == (17, "high", "test.record")
        attributes = {each.key: each.value for each in record.attributes}
        assert attributes["tlog.index"].int_value == 1
        assert record.time_unix_nano > 1_700_000_000_000_000_000

    def test_what_has_no_time_or_odd_fields(self) -> None:
        odd: list[tuple[dict[str, Any], bytes]] = [
            ({"ts": -5, "peer": [], "dec": 7, "ocpp": "x"}, b"{}"),
            ({}, b"{}"),
            ({"ts": 1 << 60}, "{\u2028}".encode()),
        ]
        lines = [(Located("o", n, record), line) for n, (record, line) in enumerate(odd)]
        parsed = json_format.Parse(msgspec.json.encode(to_otlp(lines, "1", 5)), ExportLogsServiceRequest())
        assert [r.time_unix_nano for r in parsed.resource_logs[0].scope_logs[0].log_records] == [0, 0, 0]

    @pytest.mark.parametrize(("said", "lost"), [("3", 3), (2, 2), ("many", 0), (-1, 0), (10**9, 500)])
    def test_what_a_collector_throws_away_is_counted(self, log: Log, said: object, lost: int) -> None:
        answers = [json.dumps({"partialSuccess": {"rejectedLogRecords": said, "errorMessage": "x"}}).encode()]
        with (
            collector(lambda _: (200, answers.pop() if answers else b"")) as server,
            following(log, otlp(server)) as follower,
        ):
            until(lambda: follower.delivered + follower.dead_letters == 702)
            assert follower.dead_letters == lost

    @pytest.mark.parametrize("code", [429, 503, 401, 307])
    def test_no_receipt_no_progress(self, log: Log, code: int) -> None:
        codes = [code, code]
        with (
            collector(lambda _: (codes.pop() if codes else 200, b"")) as server,
            following(log, otlp(server)) as follower,
        ):
            until(lambda: follower.delivered == 702)
            assert (codes, follower.dead_letters) == ([], 0)
        assert bodies(server) == list(range(1, 701))


class TestRefused:
    """A receiver that will not have certain records, whenever they come."""

    def test_only_those_are_given_up(self, log: Log) -> None:
        unwanted = {3, 4, 477, 600}
        with (
            structlog.testing.capture_logs() as logs,
            collector(lambda indexes: (400 if unwanted & set(indexes) else 200, b"")) as server,
            following(log, otlp(server)) as follower,
        ):
            until(lambda: follower.delivered == 702 - len(unwanted))
            assert (follower.dead_letters, follower.status()["behind"]) == (len(unwanted), 0)
        assert set(bodies(server)) == set(range(1, 701)) - unwanted, "index 0 is audit.start"
        assert [each["index"] for each in logs if each["event"] == "sink_dead_letter"] == sorted(unwanted)
        letters = [json.loads(line) for line in (log.place / "sinks/o.dead-letters.jsonl").read_bytes().splitlines()]
        assert [letter["index"] for letter in letters] == sorted(unwanted)
        assert "400" in letters[0]["why"]

    def test_a_receiver_that_refuses_everything_is_at_fault_itself(self, log: Log) -> None:
        with web_server(*[400] * 5_000) as server, following(log, hook(log, server.server_port)) as follower:
            until(lambda: "whatever it is offered" in follower.why)
            assert (follower.delivered, follower.dead_letters, follower.status()["behind"]) == (0, 0, 702)

    def test_what_has_no_words_is_counted_once_however_often_it_is_tried(self, log: Log) -> None:
        from gateway.audit.record import RecordClass
        from gateway.config.model import Audit
        from gateway.control.audit_writer import AuditWriter

        writer = AuditWriter(Audit(directory=str(log.root), reserve_bytes=0), log.place / "keys")
        writer.open()
        writer.append(RecordClass.GROUP, b'{"x":1e400}')
        writer.close()
        codes = [503, 503, 503, 503]
        with (
            collector(lambda _: (codes.pop() if codes else 200, b"")) as server,
            following(log, otlp(server)) as follower,
        ):
            until(lambda: follower.delivered + follower.dead_letters == 705)
            assert follower.dead_letters <= 1


def test_lag_is_the_age_of_what_was_delivered_last(log: Log) -> None:
    with web_server() as server, following(log, hook(log, server.server_port)) as follower:
        until(lambda: follower.delivered == 702)
        assert follower.status()["seconds_behind"] == 0.0
    with following(log, hook(log, 1)) as follower:
        log.write(5)
        until(lambda: follower.status()["behind"] == 7)
        until(lambda: follower.status()["seconds_behind"] > 0.0)


class TestReload:
    @pytest.fixture
    def sinks(self, log: Log) -> Iterator[SinkSet]:
        (log.place / "sinks").mkdir()
        made = SinkSet((self.file(log, "a"),), log.root, log.place / "sinks")
        made.start()
        yield made
        made.close()

    def file(self, log: Log, name: str, **more: Any) -> Sink:
        return Sink(name=name, kind="file", target=str(log.place / f"{more.pop('to', name)}.jsonl"), **more)

    def lines(self, log: Log, name: str) -> list[bytes]:
        path = log.place / f"{name}.jsonl"
        return path.read_bytes().splitlines() if path.exists() else []

    def test_one_comes_one_goes_one_changes_and_nothing_is_said_twice(self, log: Log, sinks: SinkSet) -> None:
        until(lambda: len(self.lines(log, "a")) == 702)
        sinks.use((self.file(log, "a", to="c"), self.file(log, "b")))
        log.write(10)
        until(lambda: len(self.lines(log, "b")) == 714)
        until(lambda: len(self.lines(log, "c")) == 12)
        assert len(self.lines(log, "a")) == 702
        assert numbers(self.lines(log, "c")) == list(range(701, 711))
        sinks.use((self.file(log, "b"),))
        assert [each["name"] for each in sinks.status()] == ["b"]
        assert not any("a" in name for name in sinks.metrics() if 'sink="a"' in name)

    def test_one_that_stays_goes_on(self, log: Log, sinks: SinkSet) -> None:
        until(lambda: sinks.status()[0]["delivered"] == 702)
        sinks.use((self.file(log, "a"),))
        log.write(10)
        until(lambda: sinks.status()[0]["delivered"] == 714)
        assert len(self.lines(log, "a")) == 714

    def test_a_secret_is_read_anew(self, log: Log) -> None:
        (log.place / "sinks").mkdir()
        with web_server() as server:
            sink = hook(log, server.server_port, b"not the right secret at all")
            sinks = SinkSet((sink,), log.root, log.place / "sinks")
            sinks.start()
            until(lambda: "401" in sinks.status()[0]["why"])
            (log.place / "secret").write_bytes(SECRET)
            sinks.use((sink,))
            until(lambda: sinks.status()[0]["delivered"] == 702)
            sinks.close()


@contextlib.contextmanager
def nats_server(place: Path, port: int, *more: str) -> Iterator[None]:
    command = ["/usr/sbin/nats-server", "-js", "-sd", str(place / "js"), "-a", "127.0.0.1", "-p", str(port), *more]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


async def stream_of(port: int, token: str | None = None) -> list[Any]:
    """The messages of the stream AUDIT, which is made if it is not there."""
    client = await nats.connect(
        f"nats://127.0.0.1:{port}", token=token, max_reconnect_attempts=100, reconnect_time_wait=0.05
    )
    stream = client.jetstream()
    await stream.add_stream(name="AUDIT", subjects=["ocpp.>"])
    count = (await stream.stream_info("AUDIT")).state.messages
    found = [await stream.get_msg("AUDIT", n + 1) for n in range(count)]
    await client.close()
    return found


@needs_nats
class TestNATS:
    def test_a_real_server_has_every_record_once_and_in_order(self, log: Log) -> None:
        (port,) = free_ports(1)
        (log.place / "token").write_bytes(b"t0ken\n")
        target = f"nats://127.0.0.1:{port}/ocpp.audit"
        sink = Sink(name="n", kind="nats", target=target, secret_file=str(log.place / "token"))
        with nats_server(log.place, port, "--auth", "t0ken"):
            asyncio.run(stream_of(port, "t0ken"))
            with following(log, sink) as follower:
                until(lambda: follower.delivered == 702)
            (log.place / "sinks/n").unlink()
            with following(log, sink) as follower:
                until(lambda: follower.delivered == 702)
            found = asyncio.run(stream_of(port, "t0ken"))
        assert numbers([message.data for message in found]) == list(range(1, 701)), "a repeat is recognised by its id"
        assert {message.subject for message in found} == {"ocpp.audit"}

    def test_without_a_stream_nothing_counts_as_delivered(self, log: Log) -> None:
        (port,) = free_ports(1)
        sink = Sink(name="n", kind="nats", target=f"nats://127.0.0.1:{port}/ocpp.audit")
        with nats_server(log.place, port), following(log, sink) as follower:
            until(lambda: follower.why)
            assert follower.delivered == 0
            asyncio.run(stream_of(port))
            until(lambda: follower.delivered == 702)


@pytest.mark.parametrize(
    ("kind", "target", "wrong"),
    [
        ("otlp", "http://collector.example/v1/logs", "must be https"),
        ("otlp", "https://collector.example/v1/logs", ""),
        ("otlp", "http://127.0.0.1:4318/v1/logs", ""),
        ("nats", "nats://nats.example:4222/a.b", "must be tls://"),
        ("nats", "tls://nats.example:4222/a.b", ""),
        ("nats", "nats://localhost:4222/audit", ""),
        ("nats", "tls://nats.example:4222", "a subject"),
        ("nats", "tls://nats.example:4222/a.>", "a subject"),
        ("nats", "tls://u:s3cr3t@nats.example:4222/a", "not tls://host:port/SUBJECT"),
        ("nats", "tls://nats.example/a", "not tls://host:port/SUBJECT"),
        ("nats", "tls://nats.example:x/a", "Port"),
    ],
)
def test_targets(kind: Any, target: str, wrong: str) -> None:
    findings = Findings("gateway.toml", {})
    check_sinks((Sink(name="x", kind=kind, target=target),), findings)
    told = [each.message for each in findings.errors]
    assert bool(told) == bool(wrong)
    assert all(wrong in each and "s3cr3t" not in each for each in told)
