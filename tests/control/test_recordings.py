"""The file of the recording: rotated, never waited for, and what is missing in it is known."""

from pathlib import Path

import msgspec
import pytest

from gateway.config.model import Recording
from gateway.control.recordings import Recordings, recording_settings
from gateway.link.messages import RecordedLines
from tests.control.conftest import NodeSite


@pytest.fixture
def site(tmp_path: Path) -> NodeSite:
    return NodeSite(tmp_path)


def used(site: NodeSite, **values: object) -> Recordings:
    recordings = Recordings()
    recordings.use(site.config(recording=msgspec.convert({"enabled": True, **values}, Recording)))
    return recordings


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


async def test_a_line_torn_by_a_full_disk_does_not_spoil_the_next(site: NodeSite) -> None:
    recordings = used(site)
    torn = site.directory / "recording.jsonl"
    torn.symlink_to("/dev/full")
    recordings.add(lines("x\n"))
    await recordings.flush()
    assert recordings.lost == 1
    torn.unlink()
    recordings.add(lines("y\n"))
    await recordings.flush()
    assert torn.read_text().split() == ["y"]


async def test_what_waits_is_bounded(site: NodeSite) -> None:
    recordings = used(site)
    big = RecordedLines(b"x" * (40 * 1024 * 1024), 7)
    recordings.add(big)
    recordings.add(big)
    assert recordings.lost == 7


async def test_off_it_takes_nothing(site: NodeSite) -> None:
    recordings = Recordings()
    recordings.use(site.config())
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

    def test_a_key_that_is_none_is_named(self, site: NodeSite) -> None:
        (site.directory / "recording.key").write_bytes(b"short")
        with pytest.raises(OSError, match=r"recording\.key is not a key of 32 bytes"):
            recording_settings(site.config(recording=Recording(enabled=True)))

    def test_without_recording_there_is_none(self, site: NodeSite) -> None:
        assert recording_settings(site.config()) is None
        assert not (site.directory / "recording.key").exists()
