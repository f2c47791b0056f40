"""`audit`: what the commands print, how they end, and that a witness on the network does what it should."""

import asyncio
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.event import SecurityEvent
from gateway.audit.record import RecordClass, class_of_event, envelope, envelope_of_event
from gateway.cli.exit_codes import NOT_OK, OK, UNREACHABLE, USAGE
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditWriter
from gateway.control.trail import kit_verifier
from gateway.control.trail.payloads import PayloadStore
from gateway.control.trail.stamp import Stamper
from gateway.demo.ports import free_ports
from tests.cli.conftest import Cli, Place

T0 = 1_800_000_000
VERIFIER = Path(kit_verifier.__file__)


def events() -> Iterator[SecurityEvent]:
    for number in range(400):
        yield SecurityEvent(
            event=("auth.failed", "auth.missing", "policy.denied", "net.reset")[number % 4],
            time=T0 + number,
            severity="high",
            decision="http_reject" if number % 4 < 2 else "callerror",
            reason="password-wrong" if number % 4 == 0 else "",
            charge_point_id=f"CP-{number % 10}",
            peer=f"192.0.2.{number % 7}",
            connection=f"c-{number // 100}",
            stage="relay" if number % 4 == 2 else "",
            detail="firmware/host: 100%_sure" if number % 4 == 2 else "",
        )


def write(root: Path, keys: Path, found: Any) -> None:
    writer = AuditWriter(Audit(directory=str(root), reserve_bytes=0), keys)
    writer.open()
    stamper = Stamper("control", os.urandom(8).hex())
    for event in found:
        writer.append(class_of_event(event), envelope_of_event(event, stamper.stamp(int(event.time * 1_000_000))))
    writer.close()


def rotate(root: Path, keys: Path, *, new_keys: bool) -> None:
    writer = AuditWriter(Audit(directory=str(root), reserve_bytes=0), keys)
    writer.open()
    asyncio.run(writer.rotate("why not", new_keys=new_keys))
    writer.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ``audit`` and ``audit-keys``, as a state directory has them."""
    state = tmp_path_factory.mktemp("state")
    write(state / "audit", state / "audit-keys", events())
    return state


@pytest.fixture
def log(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "state")
    return tmp_path / "state" / "audit"


def found(cli: Cli, log: Path, *words: str) -> list[dict[str, Any]]:
    result = cli("audit", "search", "--dir", log, "--json", "--limit", "1000", *words)
    return [each["record"] for each in result.json()["records"]]


class TestVerify:
    def test_a_whole_log_is_ok_and_says_what_that_does_not_prove(self, log: Path, cli: Cli) -> None:
        result = cli("audit", "verify", log)
        assert result.code == OK
        assert "OK, 402 records" in result.out
        assert "not proven: who signed" in result.out
        document = cli("audit", "verify", log, "--json").json()
        assert (document["ok"], document["shards"][0]["size"], document["shards"][0]["findings"]) == (True, 402, [])

    def test_any_change_is_exit_code_1_and_named(self, log: Path, cli: Cli) -> None:
        bundle = log / "0001/tile/entries/000"
        bundle.write_bytes(bundle.read_bytes().replace(b'"CP-7"', b'"CP-8"', 1))
        result = cli("audit", "verify", log, "--json")
        (finding,) = result.json()["shards"][0]["findings"]
        assert (result.code, finding["state"], finding["where"]) == (NOT_OK, "entry-altered", "record 8")
        assert "entry-altered: record 8" in cli("audit", "verify", log).out

    def test_the_configured_log_is_the_default(self, log: Path, cli: Cli, place: Place) -> None:
        assert cli("audit", "verify", "--json").json()["directory"] == str(place.state / "audit")
        shutil.rmtree(log)
        result = cli("audit", "verify")
        assert (result.code, "no audit log" in result.err) == (NOT_OK, True)

    def test_keys_and_checkpoints_that_were_kept(self, log: Path, cli: Cli, tmp_path: Path) -> None:
        kept = tmp_path / "kept"
        assert cli("audit", "checkpoint", log, "-o", kept).code == OK
        keys = shutil.copy(log / "0001/keys", tmp_path / "kept-keys")
        write(log, log.parent / "audit-keys", [])
        words = ("audit", "verify", log, "--key", keys, "--since-checkpoint", kept)
        assert "who signed" not in cli(*words).out
        assert cli(*words).code == OK
        shutil.rmtree(log.parent)
        write(log, log.parent / "audit-keys", events())
        result = cli(*words)
        assert (result.code, "checkpoint-invalid" in result.out) == (NOT_OK, True)
        assert "no such file" in cli("audit", "verify", log, "--key", "/nowhere").err.lower()
        (tmp_path / "empty").write_text("\n")
        assert cli("audit", "verify", log, "--key", tmp_path / "empty").code == USAGE

    def test_a_shard_alone(self, log: Path, cli: Cli) -> None:
        assert cli("audit", "verify", log / "0001").code == OK


class TestReading:
    def test_the_last_ones(self, log: Path, cli: Cli) -> None:
        lines = cli("audit", "tail", "-n", "3", "--dir", log).out.splitlines()
        assert [line.split("  ")[0] for line in lines] == ["0001/399", "0001/400", "0001/401"]
        assert "audit.stop" in lines[-1]
        many = cli("audit", "tail", "-n", "1000", "--dir", log, "--json").out.splitlines()
        assert [json.loads(line)["index"] for line in many] == list(range(402))

    def test_a_detection_names_what_it_rests_on(self, log: Path, cli: Cli) -> None:
        event = SecurityEvent(
            event="detect.enumeration", time=T0, subject="192.0.2.1", evidence=("0001/3", "0001/5"), detail="a sweep"
        )
        write(log, log.parent / "audit-keys", [event])
        (line,) = [line for line in cli("audit", "tail", "--dir", log).out.splitlines() if "detect." in line]
        assert line.endswith("a sweep  [0001/3, 0001/5]")
        shown = cli("audit", "show", line.split()[0], "--dir", log).out
        assert "ref.records       0001/3, 0001/5" in shown

    def test_following_shows_new_ones(self, log: Path) -> None:
        command = [sys.executable, "-m", "gateway", "audit", "tail", "-n", "1", "--follow", "--json", "--dir", str(log)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["index"] == 401
            write(log, log.parent / "audit-keys", [SecurityEvent(event="new.one", time=T0)])
            shown = [json.loads(process.stdout.readline())["record"]["type"] for _ in range(3)]
            process.send_signal(signal.SIGINT)
        assert shown == ["audit.start", "new.one", "audit.stop"]

    @pytest.mark.parametrize("which", ["1", "0001/1"])
    def test_one_with_everything_in_it(self, log: Path, cli: Cli, which: str) -> None:
        assert cli("audit", "show", which, "--dir", log, "--json").json()["record"]["cp"] == "CP-0"
        text = cli("audit", "show", which, "--dir", log).out
        assert "peer.ip           192.0.2.0" in text
        assert "dec.reason        password-wrong" in text

    @pytest.mark.parametrize(
        ("which", "code"), [("402", NOT_OK), ("0002/1", NOT_OK), ("x", USAGE), ("-1", USAGE), ("9" * 30, USAGE)]
    )
    def test_one_that_is_not_there(self, log: Path, cli: Cli, which: str, code: int) -> None:
        result = cli("audit", "show", "--dir", log, "--", which)
        assert (result.code, result.out) == (code, "")


class TestShards:
    def test_all_commands_go_on_from_shard_to_shard(self, log: Path, cli: Cli, tmp_path: Path) -> None:
        rotate(log, log.parent / "audit-keys", new_keys=False)
        write(log, log.parent / "audit-keys", events())
        places = [line.split("  ")[0] for line in cli("audit", "tail", "-n", "406", "--dir", log).out.splitlines()]
        assert places[:2] == ["0001/402", "0001/403"], places[:3]
        assert (len(places), places[-1]) == (406, "0002/403")
        assert len(found(cli, log, "--identity", "CP-3")) == 80
        assert cli("audit", "export", "--dir", log, "-o", tmp_path / "out", "--json").json()["records"] == 808
        assert cli("audit", "show", "0001/300", "--dir", log).code == OK
        for which in ("0001/300", "0002/300"):
            assert cli("audit", "prove", which, "--dir", log, "-o", tmp_path / "kit.zip").code == OK
            kit = [sys.executable, "-I", "-S", str(VERIFIER), str(tmp_path / "kit.zip"), "--json"]
            told = json.loads(subprocess.run(kit, capture_output=True, check=True).stdout)
            assert (told["origin"][-4:], told["index"]) == (which[:4], 300)
        document = cli("audit", "verify", log, "--json").json()
        assert [(shard["shard"], shard["size"]) for shard in document["shards"]] == [("0001", 404), ("0002", 404)]
        report = cli("report", "nis2", "--dir", log, "--from", "2027-01-01", "--to", "2028-01-01", "--json").json()
        assert [each["verified"] for each in report["logs"]] == [True, True]
        bundle = log / "0001/tile/entries/000"
        bundle.write_bytes(bundle.read_bytes().replace(b'"CP-7"', b'"CP-8"', 1))
        assert cli("audit", "verify", log).code == NOT_OK


class TestSearch:
    def test_each_field(self, log: Path, cli: Cli) -> None:
        every = list(events())
        for words, matches in (
            (("--identity", "CP-3"), lambda e: e.charge_point_id == "CP-3"),
            (("--event", "auth.failed"), lambda e: e.event == "auth.failed"),
            (("--event", "auth."), lambda e: e.event.startswith("auth.")),
            (("--verdict", "callerror"), lambda e: e.decision == "callerror"),
            (("--rule", "firmware/host"), lambda e: e.stage == "relay"),
            (("--session", "c-2"), lambda e: e.connection == "c-2"),
            (("--text", "PASSWORD-wr"), lambda e: e.reason),
            (("--text", "192.0.2.5"), lambda e: e.peer == "192.0.2.5"),
            (("--text", "100%_s"), lambda e: "100%_s" in e.detail),
            (("--identity", "CP-3", "--event", "auth.missing"), lambda e: e.charge_point_id == "CP-3" and e.event == "auth.missing"),
        ):  # fmt: skip
            expected = sorted((event for event in every if matches(event)), key=lambda e: -e.time)
            assert [record["ts"] for record in found(cli, log, *words)] == [int(e.time * 1e6) for e in expected], words

    def test_a_time_window_and_what_is_not_in_it(self, log: Path, cli: Cli) -> None:
        window = ("--since", "2027-01-15T08:00:10Z", "--until", "2027-01-15T09:00:13+01:00")
        assert [record["ts"] for record in found(cli, log, *window)] == [(T0 + 12 - n) * 10**6 for n in range(3)]
        assert cli("audit", "search", "--dir", log, "--since", "2040-01-01").code == NOT_OK
        assert found(cli, log, "--until", "1d", "--event", "auth.") == []

    def test_pages(self, log: Path, cli: Cli) -> None:
        seen: list[int] = []
        after: tuple[str, ...] = ()
        for _ in range(10):
            page = cli("audit", "search", "--dir", log, "--json", "--limit", "7", "--identity", "CP-3", *after).json()
            seen += [each["index"] for each in page["records"]]
            if not page["next"]:
                break
            after = ("--after", page["next"])
        assert seen == [394 - 10 * number for number in range(40)]

    def test_it_follows_the_log(self, log: Path, cli: Cli) -> None:
        assert found(cli, log, "--event", "new.one") == []
        write(log, log.parent / "audit-keys", [SecurityEvent(event="new.one", time=T0)])
        assert len(found(cli, log, "--event", "new.one")) == 1

    @pytest.mark.parametrize("how", ["another log", "rubbish", "gone"])
    def test_an_index_that_is_not_of_this_log_is_made_anew(self, log: Path, cli: Cli, how: str) -> None:
        assert len(found(cli, log, "--identity", "CP-3")) == 40
        index = log / "index.sqlite"
        if how == "another log":
            kept = index.read_bytes()
            shutil.rmtree(log.parent)
            write(log, log.parent / "audit-keys", list(events())[:50])
            index.write_bytes(kept)
        elif how == "rubbish":
            index.write_bytes(b"rubbish" * 1000)
        else:
            index.unlink()
        assert len(found(cli, log, "--identity", "CP-3")) == (5 if how == "another log" else 40)

    def test_it_is_for_its_owner_alone(self, log: Path, cli: Cli, tmp_path: Path) -> None:
        found(cli, log, "--index", str(tmp_path / "elsewhere"))
        assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o600
        assert not (log / "index.sqlite").exists()

    @pytest.mark.parametrize(
        "words",
        [
            ("--since", "soon"),
            ("--after", "x"),
            ("--after", f"{1 << 70}:0001:1"),
            ("--after", f"1:0001:{1 << 63}"),
            ("--since", "1h", "--until", "2h"),
        ],
    )
    def test_what_cannot_be_asked(self, log: Path, cli: Cli, words: tuple[str, ...]) -> None:
        result = cli("audit", "search", "--dir", log, *words)
        assert (result.code, result.out) == (USAGE, "")


class TestExport:
    @pytest.mark.parametrize("form", ["jsonl", "ecs", "cef", "ocsf"])
    def test_every_record_is_a_line(self, log: Path, cli: Cli, form: str, tmp_path: Path) -> None:
        out = tmp_path / "out"
        told = cli("audit", "export", "--dir", log, "--format", form, "-o", out, "--json").json()
        lines = out.read_text().splitlines()
        assert told["records"] == len(lines) == 402
        if form != "cef":
            assert all(json.loads(line) for line in lines)

    def test_a_window_of_time(self, log: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        from gateway.cli import main

        assert (
            main(
                ["audit", "export", "--dir", str(log), "--from", "2027-01-15T08:00:10Z", "--to", "2027-01-15T08:00:12Z"]
            )
            == 0
        )
        assert len(capfdbinary.readouterr().out.splitlines()) == 2


class TestProve:
    def test_a_kit_that_proves(self, log: Path, cli: Cli, tmp_path: Path) -> None:
        kit = tmp_path / "kit.zip"
        assert cli("audit", "prove", "300", "--dir", log, "-o", kit).code == OK
        with zipfile.ZipFile(io.BytesIO(kit.read_bytes())) as archive:
            assert set(archive.namelist()) == {
                "README.txt", "record.json", "record.tlog-proof", "checkpoint", "keys", "verify.py"
            }  # fmt: skip
            archive.extractall(tmp_path / "kit")
        done = subprocess.run(
            [sys.executable, "-I", "-S", "verify.py"], cwd=tmp_path / "kit", capture_output=True, check=False
        )
        assert (done.returncode, b"PROVEN: the record below is number 300 of 402" in done.stdout) == (0, True)

    def test_the_text_of_a_message_until_it_is_shredded(self, cli: Cli, place: Place, tmp_path: Path) -> None:
        root, keys = place.state / "audit", place.state / "audit-keys"
        payloads = PayloadStore(root / "payload", keys / "payload")
        commit = payloads.add("2026-11-28", b'[3,"1",{}]')
        payloads.flush()
        writer = AuditWriter(Audit(directory=str(root), reserve_bytes=0), keys)
        writer.open()
        body = {"commit": commit, "day": "2026-11-28"}
        writer.append(RecordClass.GROUP, envelope("ocpp.message", Stamper("test", "boot").stamp(), body=body))
        writer.close()
        kit = tmp_path / "kit.zip"
        assert cli("audit", "prove", "1", "--text", "-o", kit).code == OK
        with zipfile.ZipFile(io.BytesIO(kit.read_bytes())) as archive:
            assert archive.read("text") == b'[3,"1",{}]'
        kit.unlink()
        # One that has none; one whose key is gone; and the record alone, as ever.
        result = cli("audit", "prove", "0", "--text", "-o", kit)
        assert (result.code, "has no text" in result.err) == (NOT_OK, True)
        payloads.destroy("2026-11-28", [commit])
        result = cli("audit", "prove", "1", "--text", "-o", kit)
        assert (result.code, "shredded" in result.err, kit.exists()) == (NOT_OK, True, False)
        assert cli("audit", "prove", "1", "-o", kit).code == OK

    def test_who_reads_a_text_is_on_record_first_or_nothing_is_shown(
        self, cli: Cli, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root, keys = place.state / "audit", place.state / "audit-keys"
        payloads = PayloadStore(root / "payload", keys / "payload")
        body = {"commit": payloads.add("2026-11-28", b"Marked-Text"), "day": "2026-11-28"}
        payloads.flush()
        writer = AuditWriter(Audit(directory=str(root), reserve_bytes=0), keys)
        writer.open()
        writer.append(RecordClass.GROUP, envelope("ocpp.message", Stamper("test", "boot").stamp(), body=body))
        writer.close()
        monkeypatch.setenv("OCPP_GATEWAY_OPERATOR", "Alice")

        def readings() -> list[dict[str, Any]]:
            records = cli("audit", "tail", "-n", "100", "--json").out.splitlines()
            found = [json.loads(line)["record"] for line in records]
            return [each for each in found if each["type"] == "privacy.text_read"]

        assert cli("audit", "show", "1", "--json").json()["record"]["body"] == body
        assert readings() == [], "a record is no text"
        shown = cli("audit", "show", "0001/1", "--text", "--reason", "case 17", "--json")
        assert (shown.code, shown.json()["text"]) == (OK, "Marked-Text")
        (reading,) = readings()
        assert reading["text"].startswith("1 texts, of 0001/1: shown: case 17; by ")
        actor = reading["actor"]
        assert (actor["known_by"], actor["uid"], actor["pid"], actor["named"]) == (
            "command",
            os.getuid(),
            os.getpid(),
            "Alice",
        )
        copy = shutil.copytree(root, tmp_path / "copy")
        assert cli("audit", "prove", "1", "--dir", copy, "--text", "-o", tmp_path / "kit.zip").code == OK, (
            "in no case there"
        )
        assert f"for a kit, from a copy in {copy}; by " in readings()[1]["text"]
        assert cli("audit", "verify").code == cli("audit", "verify", copy).code == OK

        # Somebody else writes the log, and cannot be asked; it is another one's; it cannot be continued; there is none.
        def refused(*more: str | Path) -> None:
            result = cli("audit", "show", "1", "--text", *more)
            assert (result.code, "cannot be recorded" in result.err, "Marked" in result.out) == (NOT_OK, True, False)

        writer = AuditWriter(Audit(directory=str(root), reserve_bytes=0), keys)
        writer.open()
        refused()
        writer.close()
        with monkeypatch.context() as other:
            other.setattr(os, "geteuid", lambda: os.getuid() + 1)
            refused()
        checkpoint = (root / "0001" / "checkpoint").read_bytes()
        (root / "0001" / "checkpoint").write_bytes(checkpoint.replace(b"\n", b"x\n", 1))
        refused()
        assert len(readings()) == 2
        shutil.rmtree(root)
        refused("--dir", copy)
        assert not root.exists(), "no log is begun"

    def test_a_record_that_is_not_there(self, log: Path, cli: Cli, tmp_path: Path) -> None:
        assert cli("audit", "prove", "402", "--dir", log, "-o", tmp_path / "kit.zip").code == NOT_OK
        assert not (tmp_path / "kit.zip").exists()


class TestNewHistory:
    @pytest.mark.usefixtures("log", "place")
    def test_a_log_is_given_up_by_name(self, cli: Cli) -> None:
        assert cli("audit", "new-history", "0002", "--reason", "x").code == NOT_OK
        told = cli("audit", "new-history", "0001", "--reason", "disk replaced", "--json").json()
        assert told["shard"] == "0002"
        assert cli("audit", "show", "0002/0").out.count("disk replaced") == 2
        document = cli("audit", "verify", "--json").json()
        assert [(shard["shard"], shard["ok"]) for shard in document["shards"]] == [("0001", True), ("0002", True)]


@pytest.fixture
def witness(log: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """URL and key file of a witness that runs as a process of its own."""
    (port,) = free_ports(1)
    command = [
        sys.executable,
        "-m",
        "gateway",
        "audit",
        "witness",
        "--state",
        str(tmp_path / "w"),
        "--name",
        "soc.example/w",
    ]
    command += ["--log-keys", str(log / "0001/keys"), "--listen", f"127.0.0.1:{port}", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            (tmp_path / "w.key").write_text(ready["key"] + "\n")
            yield f"http://{ready['listen']}", tmp_path / "w.key"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(90)
    assert process.returncode == 0


class TestWitness:
    def test_it_signs_what_continues_and_nothing_else(
        self, log: Path, cli: Cli, witness: tuple[str, Path], tmp_path: Path
    ) -> None:
        url, key = witness
        words = ("audit", "checkpoint", log, "--witness", url, "--witness-key", key)
        first = cli(*words, "--json").json()
        assert "soc.example/w" in first["signed_by"]
        shutil.copytree(log.parent, tmp_path / "backup")
        write(log, log.parent / "audit-keys", events())
        assert cli(*words, "-o", tmp_path / "kept").code == OK
        assert cli("audit", "verify", log, "--since-checkpoint", tmp_path / "kept", "--witness-key", key).code == OK
        # Somebody puts an older copy back and goes on from there.
        shutil.rmtree(log.parent)
        shutil.copytree(tmp_path / "backup", log.parent)
        result = cli(*words)
        assert (result.code, "another history or an older state" in result.err) == (NOT_OK, True)
        write(log, log.parent / "audit-keys", [*events(), *events()])
        assert cli(*words).code == NOT_OK
        forged = cli("audit", "verify", log, "--since-checkpoint", tmp_path / "kept", "--witness-key", key)
        assert (forged.code, "split-view" in forged.out) == (NOT_OK, True)

    def test_it_is_led_from_shard_to_shard_also_to_new_keys(
        self, log: Path, cli: Cli, witness: tuple[str, Path], tmp_path: Path
    ) -> None:
        url, key = witness
        words = ("audit", "checkpoint", log, "--witness", url, "--witness-key", key)
        assert cli(*words).code == OK
        old_keys = shutil.copy(log / "0001/keys", tmp_path / "old-keys")
        for new_keys in (False, True):
            rotate(log, log.parent / "audit-keys", new_keys=new_keys)
        found = cli(*words, "-o", tmp_path / "kept", "--json").json()
        assert "soc.example/w" in found["signed_by"]
        assert found["origin"].endswith("/0003")
        known = ("--key", old_keys, "--since-checkpoint", tmp_path / "kept", "--witness-key", key)
        assert cli("audit", "verify", log, *known).code == OK
        shutil.rmtree(log / "0003")
        result = cli("audit", "verify", log, *known)
        assert (result.code, "shard-missing: shard 0003" in result.out) == (NOT_OK, True)

    def test_one_that_is_not_there_and_one_with_another_key(
        self, log: Path, cli: Cli, witness: tuple[str, Path]
    ) -> None:
        url, key = witness
        (port,) = free_ports(1)
        away = cli("audit", "checkpoint", log, "--witness", f"http://127.0.0.1:{port}", "--witness-key", key)
        assert away.code == UNREACHABLE
        assert cli("audit", "checkpoint", log, "--witness", url, "--witness-key", log / "0001/keys").code == NOT_OK
        assert cli("audit", "checkpoint", log, "--witness", "file:///etc/passwd", "--witness-key", key).code == NOT_OK
        assert cli("audit", "checkpoint", log, "--witness", url).code == USAGE

    def test_without_one_the_head_is_printed(self, log: Path, cli: Cli) -> None:
        assert cli("audit", "checkpoint", log).out == (log / "0001/checkpoint").read_text()
        damaged = log / "0001/checkpoint"
        damaged.write_bytes(damaged.read_bytes().replace(b"402", b"403"))
        assert cli("audit", "checkpoint", log).code == NOT_OK

    @pytest.mark.parametrize(("name", "listen"), [("a b", "127.0.0.1:1"), ("w", "nowhere")])
    def test_what_it_cannot_be(self, log: Path, cli: Cli, tmp_path: Path, name: str, listen: str) -> None:
        words = ("--state", tmp_path / "w", "--log-keys", log / "0001/keys", "--name", name, "--listen", listen)
        assert cli("audit", "witness", *words).code == USAGE


def test_times_are_shown_to_the_millisecond_in_utc() -> None:
    from gateway.cli.audit.shown import moment_us, stamp_us

    assert stamp_us(T0 * 10**6 + 123_999) == "2027-01-15T08:00:00.123Z"
    assert stamp_us("x") == stamp_us(10**30) == "?"
    now = time.time_ns() // 1000
    assert moment_us("90min", now) == now - 90 * 60 * 10**6
    assert moment_us("2027-01-15T09:00:00+01:00", 0) == moment_us("2027-01-15 08:00:00", 0) == T0 * 10**6
