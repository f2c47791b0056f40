"""The file of the recording: rotated, never waited for, and what is missing in it is known."""

import resource
import signal
from pathlib import Path

import msgspec
import pytest

from gateway.config.model import Config, Recording
from gateway.control.recordings import Recordings, recording_settings
from gateway.control.settings import SettingsBuilder
from gateway.link.messages import RecordedLines, RecordingSettings
from gateway.store.certificates import Revocations
from tests.control.conftest import NodeSite
from tests.support.records import make_record

SETTINGS = RecordingSettings(bytes(32), ())


@pytest.fixture
def site(tmp_path: Path) -> NodeSite:
    return NodeSite(tmp_path)


def used(site: NodeSite, **values: object) -> Recordings:
    recordings = Recordings()
    recordings.use(recording_config(site, **values), SETTINGS)
    return recordings


def recording_config(site: NodeSite, **values: object) -> Config:
    return site.config(recording=msgspec.convert({"enabled": True, **values}, Recording))


def lines(text: str, count: int = 1) -> RecordedLines:
    return RecordedLines(text.encode() * count, count)


async def test_lines_are_appended_in_order(site: NodeSite) -> None:
    recordings = used(site)
    for number in range(3):
        recordings.add(lines(f"{number}\n"))
        await recordings.flush()
    assert (site.directory / "recording.jsonl").read_text() == "0\n1\n2\n"
    assert (recordings.count, recordings.lost) == (3, 0)


async def test_a_full_file_is_kept_beside_the_new_one_and_no_third(site: NodeSite) -> None:
    recordings = used(site, max_bytes=10)
    for number in range(6):
        recordings.add(lines(f"{number}234\n"))
        await recordings.flush()
    assert (site.directory / "recording.jsonl").read_text() == "4234\n5234\n"
    assert (site.directory / "recording.jsonl.1").read_text() == "2234\n3234\n"
    assert {path.name for path in site.directory.glob("recording*")} == {"recording.jsonl", "recording.jsonl.1"}


async def test_what_cannot_be_written_is_counted_and_later_lines_are(site: NodeSite) -> None:
    recordings = used(site, path=str(site.directory / "missing" / "r.jsonl"))
    recordings.add(lines("x\n", 5))
    await recordings.flush()
    assert (recordings.count, recordings.lost) == (0, 5)
    assert "No such file" in recordings.status()["error"]
    (site.directory / "missing").mkdir()
    recordings.add(lines("y\n"))
    await recordings.flush()
    assert (recordings.count, recordings.status()["error"]) == (1, "")
    assert (site.directory / "missing" / "r.jsonl").read_text().split() == ["y"]


async def test_that_the_file_cannot_be_opened_is_known_before_the_first_line(site: NodeSite) -> None:
    recordings = used(site, path=str(site.directory / "missing" / "r.jsonl"))
    assert "No such file" in recordings.status()["error"]
    assert used(site).status()["error"] == ""


async def test_a_group_that_nobody_is_in_is_named(site: NodeSite) -> None:
    recordings = used(site, groups=["depot", "public"])
    depot = make_record("CP-1", group="depot")
    assert recordings.status([depot])["error"] == "no charge point is registered in the group public"
    assert recordings.status([depot, make_record("CP-2", group="public")])["error"] == ""


async def test_what_waits_when_it_is_switched_off_or_sent_elsewhere_goes_where_it_was_meant_for(site: NodeSite) -> None:
    recordings = used(site)
    recordings.add(lines("a\n"))
    recordings.use(recording_config(site, path=str(site.directory / "other.jsonl")), SETTINGS)
    recordings.add(lines("b\n"))
    recordings.use(site.config(), None)
    await recordings.flush()
    recordings.use(recording_config(site), SETTINGS)
    await recordings.flush()
    assert (site.directory / "recording.jsonl").read_text() == "a\n"
    assert (site.directory / "other.jsonl").read_text() == "b\n"
    assert (recordings.count, recordings.lost, recordings._waiting_bytes) == (2, 0, 0)


async def test_a_line_torn_by_a_full_disk_does_not_spoil_the_next(site: NodeSite) -> None:
    recordings = used(site)
    torn = site.directory / "recording.jsonl"
    torn.unlink()
    torn.symlink_to("/dev/full")
    recordings.add(lines("x\n"))
    await recordings.flush()
    assert recordings.lost == 1
    torn.unlink()
    recordings.add(lines("y\n"))
    await recordings.flush()
    recordings.add(lines("z\n"))
    await recordings.flush()
    assert torn.read_text() == "\ny\nz\n"


async def test_what_waits_is_bounded(site: NodeSite) -> None:
    recordings = used(site)
    big = RecordedLines(b"x" * (40 * 1024 * 1024), 7)
    recordings.add(big)
    recordings.add(big)
    assert recordings.lost == 7


async def test_off_it_takes_nothing(site: NodeSite) -> None:
    recordings = Recordings()
    recordings.use(site.config(), None)
    recordings.add(lines("x\n"))
    await recordings.flush()
    assert recordings.status() == {}
    assert not list(site.directory.glob("recording*"))


class TestKey:
    def test_it_is_made_once_and_for_nobody_else(self, site: NodeSite) -> None:
        config = site.config(recording=Recording(enabled=True, groups=("depot",)))
        first, second = recording_settings(config), recording_settings(config)
        assert first is not None
        assert first == second
        assert (len(first.key), first.groups) == (32, ("depot",))
        assert (site.directory / "recording.key").stat().st_mode & 0o777 == 0o600
        assert repr(first.key)[2:-1] not in repr(first)

    def test_nothing_else_is_left_beside_it(self, site: NodeSite) -> None:
        recording_settings(site.config(recording=Recording(enabled=True)))
        assert [path.name for path in site.directory.glob("recording*")] == ["recording.key"]

    @pytest.mark.parametrize("content", [b"", b"short"])
    def test_what_is_none_is_no_reason_not_to_start(self, site: NodeSite, content: bytes) -> None:
        (site.directory / "recording.key").write_bytes(content)
        builder, config = SettingsBuilder(1), site.config(recording=Recording(enabled=True))
        settings = builder.build(config, Revocations())
        assert settings.recording is None
        recordings = Recordings()
        recordings.use(config, settings.recording, builder.recording_error)
        assert "recording.key is not a key of 32 bytes; remove it" in recordings.status()["error"]
        (site.directory / "recording.key").unlink()
        assert builder.build(config, Revocations()).recording is not None
        assert builder.recording_error == ""

    def test_none_is_made_where_it_cannot_be_kept(self, site: NodeSite) -> None:
        """A full disk: what is half written must not be taken for a key later."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, limit[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                recording_settings(site.config(recording=Recording(enabled=True)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        assert not list(site.directory.glob("recording*"))

    def test_a_key_that_is_none_is_named(self, site: NodeSite) -> None:
        (site.directory / "recording.key").write_bytes(b"short")
        with pytest.raises(OSError, match=r"recording\.key is not a key of 32 bytes"):
            recording_settings(site.config(recording=Recording(enabled=True)))

    def test_without_recording_there_is_none(self, site: NodeSite) -> None:
        assert recording_settings(site.config()) is None
        assert not (site.directory / "recording.key").exists()
