"""Security events as lines in a file: whole, in order, without secrets; and refusals for `why`."""

import hashlib
import json
import os
import resource
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.audit.event import SecurityEvent
from gateway.control.event_log import EventLog
from gateway.control.events import event_for_refusal, event_of_claim
from gateway.identity.refusal import Reason, Refusal
from tests.support.claims import make_claim


def event(name: str = "net.reset", **fields) -> SecurityEvent:
    return SecurityEvent(event=name, time=1_700_000_000.1239, **fields)


def refusal(time: float = 0.0, *, who: str = "CP-1", peer: str = "192.0.2.1", reason: str = "password-wrong", **more):
    return SecurityEvent(event="auth.failed", time=time, charge_point_id=who, peer=peer, reason=reason, **more)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


class TestFile:
    def test_one_object_a_line_with_its_time_for_people_and_machines(self, path: Path) -> None:
        log = EventLog(str(path))
        log.add(event(severity="high", detail="x\ny", tls_offered=("TLSv1.0",)))
        log.add(event("auth.failed"))
        assert path.read_text() == ""
        log.flush()
        first, second = lines(path)
        assert first == {
            "type": "security_event",
            "event": "net.reset",
            "time": "2023-11-14T22:13:20.123Z",
            "severity": "high",
            "detail": "x\ny",
            "tls_offered": ["TLSv1.0"],
        }
        assert second["event"] == "auth.failed"
        assert log.counts == {"net.reset": 1, "auth.failed": 1}

    def test_only_its_owner_can_read_it(self, path: Path) -> None:
        EventLog(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_it_is_appended_to(self, path: Path) -> None:
        for _ in range(2):
            log = EventLog(str(path))
            log.add(event())
            log.flush()
        assert len(lines(path)) == 2

    def test_standard_output_is_written_to_and_not_closed(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        log = EventLog("-")
        log.add(event())
        log.flush()
        log.use(str(path), log.open(str(path)))
        log.add(event("auth.failed"))
        log.flush()
        os.write(1, b"still open\n")
        out = capfd.readouterr().out.splitlines()
        assert (json.loads(out[0])["event"], out[1]) == ("net.reset", "still open")
        assert lines(path)[0]["event"] == "auth.failed"

    def test_after_rotation_the_new_file_is_used(self, path: Path) -> None:
        log = EventLog(str(path))
        log.add(event())
        log.flush()
        path.rename(path.with_suffix(".1"))
        log.add(event())
        log.flush()
        assert not path.exists()
        log.use(str(path), log.open(str(path)))
        log.use(str(path), log.open(str(path)))
        log.add(event())
        log.flush()
        assert (len(lines(path.with_suffix(".1"))), len(lines(path))) == (2, 1)

    def test_a_file_that_is_not_used_after_all_changes_nothing(self, path: Path) -> None:
        log = EventLog(str(path))
        log.abandon(log.open(str(path.with_name("other"))))
        log.add(event())
        log.flush()
        assert (len(lines(path)), (path.with_name("other")).read_text()) == (1, "")

    def test_a_place_that_cannot_be_written_is_known_before_the_old_one_is_given_up(self, path: Path) -> None:
        log = EventLog(str(path))
        with pytest.raises(OSError, match="Not a directory"):
            log.open(str(path / "below"))


class TestLoss:
    def test_an_unusable_file_costs_events_which_are_counted_and_complained_about(self, tmp_path: Path) -> None:
        with structlog.testing.capture_logs() as logs:
            log = EventLog(str(tmp_path / "missing" / "events"))
            log.add(event())
            log.add(event())
            log.flush()
        assert log.lost == 2
        assert [entry["event"] for entry in logs] == ["event_log_unusable", "events_lost"]
        (tmp_path / "missing").mkdir()
        log.add(event())
        log.flush()
        assert (log.lost, len(lines(tmp_path / "missing" / "events"))) == (2, 1)

    def test_beyond_the_buffer_events_are_only_counted(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.control.event_log._MAX_BUFFERED", 3)
        log = EventLog(str(path))
        for _ in range(5):
            log.add(event())
        log.flush()
        assert (log.lost, log.counts, len(lines(path))) == (2, {"net.reset": 5}, 3)

    def test_a_disk_that_fills_up_within_a_line_tears_no_later_line(self, path: Path) -> None:
        """A file size limit is a full disk that a test can have."""
        log = EventLog(str(path))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        log.add(event())
        log.add(event())
        size = len(log._buffer[0])
        try:
            with structlog.testing.capture_logs():
                resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
                log.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert (log.lost, log._torn) == (1, True)
        log.add(event("auth.failed"))
        log.flush()
        first, torn, last = path.read_text().splitlines()
        assert (json.loads(first)["event"], json.loads(last)["event"], len(torn)) == ("net.reset", "auth.failed", 10)
        assert not log._torn

    def test_a_write_that_hangs_holds_up_nothing_but_itself(self, tmp_path: Path) -> None:
        """A pipe that nobody reads: adding, taking and changing to another file go on meanwhile."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        log = EventLog(str(pipe))
        for number in range(3_000):
            log.add(event(detail=200 * "x", peer=f"192.0.{number >> 8}.{number & 255}"))
        stuck = threading.Thread(target=log.write)
        stuck.start()
        while log._buffer:
            threading.Event().wait(0.001)
        try:
            log.add(event("auth.failed"))
            log.use(str(tmp_path / "file"), log.open(str(tmp_path / "file")))
            assert log.write(wait_s=0.0) == 1
            assert stuck.is_alive()
        finally:
            os.set_blocking(reader, True)
            got = 0
            while got < 3_000:
                got += os.read(reader, 1 << 20).count(b"\n")
            stuck.join()
            os.close(reader)
        assert log.write() == 0
        assert lines(tmp_path / "file")[0]["event"] == "auth.failed"


class TestRepeats:
    def test_many_equal_ones_are_a_few_and_a_number(self, path: Path) -> None:
        recorded: list[SecurityEvent] = []
        log = EventLog(str(path), recorded.append)
        for _ in range(500):
            log.add(event("policy.denied", peer="192.0.2.1", count=2, verified=True))
        log.add(event("policy.denied", peer="192.0.2.2"))
        log.flush()
        written = lines(path)
        assert [each["event"] for each in written] == ["policy.denied"] * 13 + ["audit.throttled"]
        assert (written[-1]["count"], written[-1]["peer"]) == (976, "192.0.2.1")
        assert sum(each.count for each in recorded) == 1001
        assert log.counts == {"policy.denied": 1001, "audit.throttled": 1}

    def test_refusals_are_counted_all_the_same(self, path: Path) -> None:
        log = EventLog(str(path))
        for _ in range(50):
            log.add(refusal())
        assert log.take_refusals(0.0)[0].count == 50


class TestRefusals:
    def test_the_first_of_its_kind_goes_to_the_registry_at_once_with_all_that_is_known(self, path: Path) -> None:
        log = EventLog(str(path))
        log.add(refusal(5.0, listener="tls", detail="why", connection="c-1", count=2))
        log.add(event())
        (entry,) = log.take_refusals(5.0)
        assert (entry.charge_point_id, entry.address, entry.reason, entry.count) == (
            "CP-1",
            "192.0.2.1",
            "password-wrong",
            2,
        )
        assert (entry.listener, entry.detail, entry.connection, entry.time) == ("tls", "why", "c-1", 5.0)
        assert log.take_refusals(5.0) == []

    def test_equal_ones_wait_a_quarter_of_a_minute_and_come_as_one(self, path: Path) -> None:
        log = EventLog(str(path))
        log.add(refusal(100.0))
        assert [entry.count for entry in log.take_refusals(100.0)] == [1]
        for second in range(101, 110):
            log.add(refusal(float(second)))
            assert log.take_refusals(float(second)) == []
        assert log.take_refusals(114.9) == []
        (entry,) = log.take_refusals(115.0)
        assert (entry.count, entry.time) == (9, 109.0)

    @pytest.mark.parametrize("other", [{"who": "CP-2"}, {"peer": "192.0.2.2"}, {"reason": "auth-missing"}])
    def test_another_identity_address_or_reason_is_another_kind(self, path: Path, other: dict[str, str]) -> None:
        log = EventLog(str(path))
        log.add(refusal(1.0))
        log.take_refusals(1.0)
        log.add(refusal(2.0, **other))
        assert len(log.take_refusals(2.0)) == 1

    def test_at_the_end_everything_goes(self, path: Path) -> None:
        log = EventLog(str(path))
        log.add(refusal(1.0))
        log.take_refusals(1.0)
        log.add(refusal(2.0))
        assert [entry.time for entry in log.take_refusals(2.0, everything=True)] == [2.0]

    def test_a_clock_that_is_set_back_holds_nothing_up(self, path: Path) -> None:
        log = EventLog(str(path))
        log.add(refusal(1_000.0))
        log.take_refusals(1_000.0)
        log.add(refusal(10.0))
        assert len(log.take_refusals(10.0)) == 1

    def test_what_waits_and_what_is_remembered_is_bounded(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.control.event_log._MAX_REFUSALS", 3)
        log = EventLog(str(path))
        for number in range(10):
            log.add(refusal(1.0, who=f"CP-{number}"))
        log.add(refusal(1.0, who="CP-0"))
        assert [(entry.charge_point_id, entry.count) for entry in log.take_refusals(1.0)] == [
            ("CP-0", 2),
            ("CP-1", 1),
            ("CP-2", 1),
        ]
        for number in range(10, 13):
            log.add(refusal(1.0, who=f"CP-{number}"))
        log.take_refusals(1.0)
        assert len(log._told) == 3


class TestContent:
    def test_no_event_of_a_refusal_holds_a_password_or_a_line_break_of_the_peer(self) -> None:
        claim = make_claim("CP-1", password="s3cr3t-s3cr3t")
        made = event_for_refusal(claim, "s-1", Refusal(Reason.PASSWORD_WRONG, "a\nb"), 1.0, proven=False)
        assert "s3cr3t" not in repr(made)
        assert (made.charge_point_id, made.verified, made.reason, made.detail) == (
            "CP-1",
            False,
            "password-wrong",
            "a\\x0ab",
        )
        assert (made.stage, made.decision, made.connection, made.peer) == (
            "authenticate",
            "http_reject",
            "s-1",
            "192.0.2.1",
        )

    @pytest.mark.requirement("A00.FR.408")
    def test_a_refused_certificate_is_recorded_with_fingerprint_reason_and_ocpps_name(self) -> None:
        refused = Refusal(Reason.CERT_WRONG_IDENTITY, "CN is SN-2")
        made = event_for_refusal(make_claim(leaf=b"der"), "s-1", refused, 1.0, proven=False)
        assert made.certificate_sha256 == hashlib.sha256(b"der").hexdigest()
        assert (made.ocpp_event, made.reason) == (
            "InvalidChargingStationCertificate",
            "certificate-of-another-charge-point",
        )
        assert made.detail == "CN is SN-2"

    @pytest.mark.parametrize("reason", [Reason.GUESSING, Reason.FLAPPING])
    def test_limits_are_told_as_limits(self, reason: Reason) -> None:
        assert event_for_refusal(make_claim(), "s", Refusal(reason), 1.0, proven=True).decision == "rate_limit"

    def test_a_plain_connection_has_no_facts_of_tls(self) -> None:
        made = event_of_claim(
            make_claim(tls=False),
            "s",
            1.0,
            event="auth.enumeration",
            severity="high",
            decision="rate_limit",
            verified=False,
        )
        assert (made.tls_version, made.server_name, made.certificate_sha256, made.ocpp_event) == ("", "", "", "")

    def test_an_event_of_the_gateway_itself_is_cut_where_it_would_fill_the_file(self, path: Path) -> None:
        log = EventLog(str(path))
        log.own_event("config.reload_failed", "high", "keep_last_good", 5_000 * "x")
        log.flush()
        (written,) = lines(path)
        assert (written["stage"], len(written["detail"])) == ("gateway", 2_003)

    def test_and_is_one_line_whatever_it_says(self, path: Path) -> None:
        log = EventLog(str(path))
        log.own_event("config.reload_failed", "high", "keep_last_good", "one\ntwo\x1b[2J")
        log.flush()
        (written,) = lines(path)
        assert written["detail"] == "one; two\\x1b[2J"
