"""Sinks: in order, at least once, whatever the receiver does; and a receiver that is down delays nobody."""

import contextlib
import hashlib
import hmac
import http.server
import json
import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.audit.event import SecurityEvent
from gateway.audit.record import RecordClass, envelope
from gateway.config.model import Audit, Sink
from gateway.control.audit_trail import AuditTrail
from gateway.control.audit_writer import AuditWriter
from gateway.control.sinks.cursor import LogCursor, Position
from gateway.control.sinks.follower import SinkFollower
from gateway.control.sinks.http_receivers import signature
from gateway.control.trail.disk import Disk
from gateway.control.trail.root import begin_new_history
from gateway.control.trail.stamp import Stamper
from gateway.demo.ports import free_ports
from tests.control.conftest import NodeSite
from tests.support.rig import shared_authority
from tests.support.trail import NOW_S

WAIT_S = 90.0
SECRET = b"a secret of sixteen bytes or more"


def until(condition) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Log:
    """An audit log that grows when told."""

    def __init__(self, place: Path) -> None:
        self.place, self.root = place, place / "audit"
        self._stamper = Stamper("test", "boot")
        self.count = 0

    def write(self, count: int) -> None:
        writer = AuditWriter(Audit(directory=str(self.root), reserve_bytes=0), self.place / "keys")
        writer.open()
        for _ in range(count):
            self.count += 1
            writer.append(RecordClass.GROUP, envelope("test.record", self._stamper.stamp(), n=self.count, sev="high"))
        writer.close()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    made = Log(tmp_path)
    made.write(700)
    return made


@contextlib.contextmanager
def following(log: Log, sink: Sink) -> Iterator[SinkFollower]:
    follower = SinkFollower(sink, log.root, log.place / "sinks")
    (log.place / "sinks").mkdir(exist_ok=True)
    follower.start()
    try:
        yield follower
    finally:
        follower.stop(WAIT_S)


def numbers(lines: list[bytes]) -> list[int]:
    """The numbers of test records, from JSON lines."""
    return [record["n"] for line in lines if (record := json.loads(line)["record"])["type"] == "test.record"]


class TestCursor:
    def test_batches_follow_each_other_over_shards(self, log: Log) -> None:
        begin_new_history(log.root, log.place / "keys", "", "0001", "why not", NOW_S)
        log.write(5)
        cursor = LogCursor(log.root, log.place / "position", Disk())
        assert cursor.behind() == 702 + 8
        seen = []
        while batch := cursor.batch(300)[0]:
            found, after = cursor.batch(300)
            assert [each.index for each in found] == [each.index for each in batch]
            seen += found
            cursor.save(after)
        assert [each.record.get("n") for each in seen if each.kind == "test.record"] == list(range(1, 706))
        assert [each.kind for each in seen[702:704]] == ["audit.new_history", "audit.start"]
        assert cursor.behind() == 0
        assert LogCursor(log.root, log.place / "position", Disk()).position == Position("0002", 8)

    def test_what_is_not_published_is_not_delivered(self, log: Log) -> None:
        cursor = LogCursor(log.root, log.place / "position", Disk())
        published = log.root / "0001/state/published"
        published.write_bytes(published.read_bytes().replace(b'"size":702', b'"size":10'))
        assert len(cursor.batch(300)[0]) == 10

    def test_a_damaged_position_is_the_beginning(self, log: Log) -> None:
        (log.place / "position").write_bytes(b"{")
        assert LogCursor(log.root, log.place / "position", Disk()).behind() == 702


class TestFile:
    def test_every_record_once_and_on_from_there(self, log: Log) -> None:
        out = log.place / "out.jsonl"
        sink = Sink(name="f", kind="file", target=str(out))
        with following(log, sink) as follower:
            until(lambda: follower.delivered == 702)
        log.write(3)
        with following(log, sink) as follower:
            until(lambda: follower.delivered == 5)
        assert numbers(out.read_bytes().splitlines()) == list(range(1, 704))

    def test_a_full_disk_leaves_no_half_line_and_loses_nothing(self, log: Log) -> None:
        with following(log, Sink(name="f", kind="file", target="/dev/full")) as follower:
            until(lambda: follower.why)
            assert follower.status()["behind"] == 702
            assert "No space left" in follower.why

    def test_a_directory_that_comes_later(self, log: Log) -> None:
        out = log.place / "later" / "out.jsonl"
        with (
            structlog.testing.capture_logs() as logs,
            following(log, Sink(name="f", kind="file", target=str(out))) as follower,
        ):
            until(lambda: follower.why)
            out.parent.mkdir()
            until(lambda: follower.delivered == 702 and not follower.why)
        assert [each["event"] for each in logs] == ["sink_does_not_deliver", "sink_delivers_again"]


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what is well signed; answers `server.answers` first, if there are any."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.server.answers.pop(0) if self.server.answers else 204  # type: ignore[attr-defined]
        stated = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", self.headers["Ocpp-Gateway-Signature"])
        assert stated is not None
        made = hmac.new(SECRET, stated[1].encode() + b"." + body, hashlib.sha256).hexdigest()
        if made != stated[2]:
            code = 401
        if code < 300:
            self.server.lines += body.splitlines()  # type: ignore[attr-defined]
        self.send_response(code)
        if code == 307:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def web_server(*answers: int) -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.answers, server.lines = list(answers), []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hook(log: Log, port: int, secret: bytes = SECRET) -> Sink:
    (log.place / "secret").write_bytes(secret + b"\n")
    url = f"http://127.0.0.1:{port}/records"
    return Sink(name="w", kind="webhook", target=url, secret_file=str(log.place / "secret"))


class TestWebhook:
    def test_signed_and_in_order(self, log: Log) -> None:
        with web_server() as server, following(log, hook(log, server.server_port)) as follower:
            until(lambda: follower.delivered == 702)
        assert numbers(server.lines) == list(range(1, 701))

    @pytest.mark.parametrize("code", [500, 503, 404, 307, 429])
    def test_no_receipt_no_progress(self, log: Log, code: int) -> None:
        """A redirect is no receipt either, and is not followed."""
        with web_server(code, code) as server, following(log, hook(log, server.server_port)) as follower:
            until(lambda: follower.delivered == 702)
            assert server.answers == []
        assert numbers(server.lines) == list(range(1, 701))

    def test_a_receiver_with_another_secret_takes_nothing(self, log: Log) -> None:
        sink = hook(log, 1, b"another secret of many bytes")
        with web_server() as server:
            with following(
                log, Sink(**{**as_dict(sink), "target": f"http://127.0.0.1:{server.server_port}/"})
            ) as follower:
                until(lambda: follower.why == "the webhook answers 401")
            assert server.lines == []

    def test_a_receiver_that_comes_back_gets_everything(self, log: Log) -> None:
        (port,) = free_ports(1)
        with following(log, hook(log, port)) as follower:
            until(lambda: "cannot be reached" in follower.why)
            server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", port), Hook)
            server.answers, server.lines = [], []
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            until(lambda: follower.delivered == 702)
            server.shutdown()
            thread.join()
            server.server_close()
        assert numbers(server.lines) == list(range(1, 701))

    def test_the_signature_is_over_time_and_body(self) -> None:
        expected = hmac.new(b"k", b"17.body", hashlib.sha256).hexdigest()
        assert signature(b"k", 17, b"body") == f"t=17,v1={expected}"


def as_dict(sink: Sink) -> dict[str, Any]:
    return {name: getattr(sink, name) for name in sink.__struct_fields__}


RSYSLOG = """
global(workDirectory="{work}" defaultNetstreamDriver="gtls" maxMessageSize="64k"
  defaultNetstreamDriverCAFile="{work}/root.pem" defaultNetstreamDriverCertFile="{work}/server.pem"
  defaultNetstreamDriverKeyFile="{work}/server.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="t" type="string"
  string="%pri%|%timestamp:::date-rfc3339%|%hostname%|%app-name%|%msgid%|%structured-data%|%msg%\\n")
ruleset(name="r") {{ action(type="omfile" file="{work}/received" template="t") }}
input(type="imtcp" port="{port}" ruleset="r")
"""


@contextlib.contextmanager
def rsyslog(work: Path) -> Iterator[int]:
    """A real rsyslogd with TLS, as Debian ships it."""
    program = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
    if program is None or not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
        pytest.skip("JUDGE MISSING: rsyslog and rsyslog-gnutls of Debian are not installed")
    work.mkdir(exist_ok=True)
    server = shared_authority().server(names=("localhost",))
    (work / "root.pem").write_bytes(shared_authority().pem)
    (work / "server.pem").write_bytes(server.pem)
    (work / "server.key").write_bytes(server.key_pem)
    (port,) = free_ports(1)
    (work / "rsyslog.conf").write_text(RSYSLOG.format(work=work, port=port))
    command = [program, "-n", "-f", str(work / "rsyslog.conf"), "-i", str(work / "pid")]
    with (work / "log").open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            until(lambda: can_connect(port) or process.poll() is not None)
            assert process.poll() is None, (work / "log").read_text()
            yield port
        finally:
            process.terminate()
            process.wait(WAIT_S)


def can_connect(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
        return True
    return False


def syslog(log: Log, port: int, **more: str) -> Sink:
    (log.place / "root.pem").write_bytes(shared_authority().pem)
    values: dict[str, Any] = {
        "name": "s",
        "kind": "syslog",
        "target": f"localhost:{port}",
        "ca": str(log.place / "root.pem"),
        **more,
    }
    return Sink(**values)


class TestSyslog:
    def test_a_real_rsyslog_reads_every_record(self, log: Log) -> None:
        work = log.place / "rsyslog"
        with rsyslog(work) as port, following(log, syslog(log, port)) as follower:
            until(lambda: follower.delivered == 702)
            until(lambda: (work / "received").exists() and len((work / "received").read_bytes().splitlines()) == 702)
        rows = [line.split("|", 6) for line in (work / "received").read_text().splitlines()]
        assert {row[0] for row in rows} == {"107", "110"}
        assert {(row[3], row[2]) for row in rows} == {("ocpp-gateway", socket.gethostname())}
        assert [row[4] for row in rows[:2]] == ["audit.start", "test.record"]
        places = [re.fullmatch(r'\[tlog@32473 origin="(.+)" index="(\d+)"\]', row[5]) for row in rows]
        assert [int(place[2]) for place in places if place] == list(range(702))
        assert numbers([row[6].encode() for row in rows]) == list(range(1, 701))

    @pytest.mark.parametrize("form", ["cef", "ecs", "ocsf"])
    def test_in_every_format(self, log: Log, form: str) -> None:
        work = log.place / "rsyslog"
        with rsyslog(work) as port, following(log, syslog(log, port, format=form)) as follower:
            until(lambda: follower.delivered == 702)
            until(lambda: (work / "received").exists() and len((work / "received").read_bytes().splitlines()) == 702)
        last = (work / "received").read_text().splitlines()[-1].split("|", 6)[6].strip()
        assert last.startswith("CEF:0|") if form == "cef" else json.loads(last)

    def test_a_server_that_cannot_prove_itself_gets_nothing(self, log: Log) -> None:
        with rsyslog(log.place / "rsyslog") as port:
            sink = syslog(log, port, target=f"127.0.0.1:{port}")
            with following(log, sink) as follower:
                until(lambda: "certificate verify failed" in follower.why)
                assert follower.delivered == 0

    def test_a_server_that_dies_and_comes_back_misses_nothing(self, log: Log) -> None:
        work = log.place / "rsyslog"
        with rsyslog(work) as port:
            pass
        with following(log, syslog(log, port)) as follower:
            until(lambda: follower.why)
            log.write(10)
            again: dict[int, int] = {}
            with tls_reader(port) as server:
                until(lambda: follower.delivered == 714)
                until(lambda: len(server.indexes) >= 714)
                again = dict.fromkeys(server.indexes, 1)
        assert sorted(again) == list(range(714))

    def test_a_server_that_ends_the_connection_in_the_middle_gets_it_again(self, log: Log) -> None:
        (port,) = free_ports(1)
        with tls_reader(port, end_after=50_000) as server, following(log, syslog(log, port)) as follower:
            until(lambda: follower.delivered == 702)
            until(lambda: set(server.indexes) == set(range(702)))


class _Reader(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        data = b""
        with contextlib.suppress(OSError), server.context.wrap_socket(self.request, server_side=True) as connection:
            while piece := connection.recv(65_536):
                data += piece
                while match := re.match(rb"(\d+) ", data):
                    end = match.end() + int(match[1])
                    if len(data) < end:
                        break
                    place = re.search(rb'index="(\d+)"', data[match.end() : end])
                    assert place is not None
                    server.indexes.append(int(place[1]))
                    data = data[end:]
                server.received += len(piece)
                if server.end_after and server.received > server.end_after:
                    server.end_after = 0
                    return


@contextlib.contextmanager
def tls_reader(port: int, end_after: int = 0) -> Iterator[Any]:
    """A syslog server that can be told to hang up."""
    material = shared_authority().server(names=("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "c").write_bytes(material.pem)
        (Path(directory) / "k").write_bytes(material.key_pem)
        context.load_cert_chain(f"{directory}/c", f"{directory}/k")
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", port), _Reader)
    server.daemon_threads = True
    server.context, server.indexes, server.received, server.end_after = context, [], 0, end_after
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_dead_sink_delays_nobody_and_its_lag_is_shown(site: NodeSite) -> None:
    (port,) = free_ports(1)
    out = site.directory / "out.jsonl"
    (site.directory / "root.pem").write_bytes(shared_authority().pem)
    dead = Sink(name="dead", kind="syslog", target=f"127.0.0.1:{port}", ca=str(site.directory / "root.pem"))
    trail = AuditTrail(site.config(sinks=(dead, Sink(name="file", kind="file", target=str(out)))))
    trail.open()
    for number in range(2000):
        trail.record(SecurityEvent(event="x", time=1.0, count=number + 1))
    until(lambda: out.exists() and out.read_bytes().count(b"\n") == 2001)
    until(lambda: trail.status()["sinks"][0]["why"])
    assert trail.status()["sinks"][0]["behind"] == 2001
    assert trail.metrics()['ocpp_gateway_sink_behind_records{sink="dead"}'] == 2001
    until(lambda: trail.metrics()['ocpp_gateway_sink_delivered_total{sink="file"}'] == 2001)
    assert sum(trail.status()["lost"].values()) == 0
    trail.close()
    assert out.read_bytes().count(b"\n") == 2002, "the last words are delivered, too"
