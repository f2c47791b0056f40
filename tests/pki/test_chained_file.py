"""Files of chained records: what a crash leaves is mended, what an attacker leaves is not."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Self

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pki.chained_file import START, ChainedFile, chain_digest
from pki.errors import JournalDamaged, JournalInUse, Misconfigured


class Note(msgspec.Struct, frozen=True):
    text: str


class Log:
    """A file of notes, and what was read from it."""

    def __init__(self, path: Path) -> None:
        self.seen: list[tuple[str, int]] = []
        self.file: ChainedFile[Note] = ChainedFile(
            path, Note, lambda note, number: self.seen.append((note.text, number))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def write(path: Path, *texts: str) -> None:
    with Log(path) as log:
        for text in texts:
            log.file.append(Note(text))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_what_was_appended_is_read_again_in_order_and_can_be_looked_up(path: Path) -> None:
    write(path, "a", "b")
    with Log(path) as log:
        log.file.append(Note("c ü \n"))
        assert log.seen == [("a", 1), ("b", 2), ("c ü \n", 3)]
        assert [log.file.read(number).text for number in (3, 1, 2)] == ["c ü \n", "a", "b"]
        assert (log.file.digest_at(0), log.file.digest_at(3), log.file.digest_at(4)) == (
            START.digest,
            log.file.head.digest,
            None,
        )
        second = log.file.digest_at(2)
    with Log(path) as log:
        assert (log.file.head.sequence, log.file.digest_at(2)) == (3, second)


def test_three_lines_of_another_program_can_check_it(path: Path) -> None:
    write(path, "a", "b", "c")
    digest = bytes(32)
    for line in path.read_bytes().splitlines():
        digest = hashlib.sha256(digest + line[65:]).digest()
        assert line[:64].decode() == digest.hex()
    assert digest == chain_digest(
        chain_digest(chain_digest(bytes(32), b'{"text":"a"}'), b'{"text":"b"}'), b'{"text":"c"}'
    )


def test_only_its_owner_can_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        write(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_process_at_a_time(path: Path) -> None:
    program = f"import sys; sys.path.insert(0, '.')\nfrom tests.pki.test_chained_file import *\nwrite(Path({str(path)!r}), 'x')"
    with Log(path):
        with pytest.raises(JournalInUse):
            Log(path)
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "JournalInUse" in other.stderr
    with Log(path) as log:
        assert log.seen == []


class TestReading:
    def read(self, path: Path) -> list[str]:
        seen: list[str] = []
        ChainedFile(path, Note, lambda note, _: seen.append(note.text), read_only=True).close()
        return seen

    def test_while_another_writes_what_is_complete_is_seen_and_nothing_is_changed(self, path: Path) -> None:
        with Log(path) as log:
            log.file.append(Note("a"))
            assert self.read(path) == ["a"]
            log.file.append(Note("b"))
            assert self.read(path) == ["a", "b"]
        torn = path.read_bytes()[:-5]
        path.write_bytes(torn)
        assert self.read(path) == ["a"]
        assert path.read_bytes() == torn
        assert list(path.parent.iterdir()) == [path]

    def test_nothing_is_created_and_nothing_appended(self, path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            self.read(path)
        write(path)
        reading: ChainedFile[Note] = ChainedFile(path, Note, lambda *_: None, read_only=True)
        with pytest.raises(RuntimeError, match="reading only"):
            reading.append(Note("a"))
        reading.close()


class TestCrash:
    @pytest.mark.parametrize("kept", range(1, 78))
    def test_a_last_line_cut_anywhere_is_cut_off_and_kept_aside(self, path: Path, kept: int) -> None:
        write(path, "a", "b")
        data = path.read_bytes()
        first = data.index(b"\n") + 1
        assert len(data) - first == 78
        path.write_bytes(data[: first + kept])
        with Log(path) as log:
            assert log.seen == [("a", 1)]
            assert log.file.cut_off_bytes == kept
            log.file.append(Note("c"))
        assert path.with_name(f"journal.torn-{first}").read_bytes() == data[first : first + kept]
        with Log(path) as log:
            assert log.seen == [("a", 1), ("c", 2)]
            assert log.file.cut_off_bytes == 0

    @pytest.mark.parametrize("tail", [b"\0" * 100, b"\0" * 4096, b"x" * 80 + b"\n", b"\n"])
    def test_a_tail_that_was_never_written_is_cut_off(self, path: Path, tail: bytes) -> None:
        write(path, "a")
        path.write_bytes(path.read_bytes() + tail)
        with Log(path) as log:
            assert log.seen == [("a", 1)]

    def test_a_write_that_fails_leaves_nothing_behind(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.pwrite

        def full(descriptor: int, data: bytes, offset: int) -> int:
            if len(data) > 40:
                return real(descriptor, data[:40], offset)
            raise OSError(errno.ENOSPC, "No space left on device")

        with Log(path) as log:
            log.file.append(Note("a"))
            with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
                patch.setattr(os, "pwrite", full)
                log.file.append(Note("b"))
            log.file.append(Note("c"))
        with Log(path) as log:
            assert log.seen == [("a", 1), ("c", 2)]


class TestDamage:
    @given(st.data())
    @settings(max_examples=60)
    def test_no_changed_byte_before_the_last_line_goes_unnoticed(
        self, tmp_path_factory: pytest.TempPathFactory, data
    ) -> None:
        path = tmp_path_factory.mktemp("damage") / "journal"
        write(path, "a", "b", "c")
        content = bytearray(path.read_bytes())
        last = content.rindex(b"\n", 0, -1)
        content[data.draw(st.integers(0, last - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        with pytest.raises(JournalDamaged):
            Log(path)

    @pytest.mark.parametrize("order", [[0, 2], [1, 2], [0, 2, 1], [0, 0, 1, 2], [2, 1, 0]])
    def test_lines_left_out_repeated_or_in_another_order_are_noticed(self, path: Path, order: list[int]) -> None:
        write(path, "a", "b", "c", "d")
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[number] for number in order) + lines[3])
        with pytest.raises(JournalDamaged):
            Log(path)

    def test_a_record_of_a_later_release_is_not_taken_for_a_torn_one(self, path: Path) -> None:
        body = b'{"something":"new"}'
        path.write_bytes(chain_digest(bytes(32), body).hex().encode() + b" " + body + b"\n")
        with pytest.raises(JournalDamaged, match="record 1"):
            Log(path)


def torn(path: Path) -> Path:
    """A file whose last line is torn; where that is kept."""
    write(path, "a")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"torn")
    return path.with_name(f"journal.torn-{size}")


def test_a_torn_line_is_not_written_through_a_link(path: Path, tmp_path: Path) -> None:
    kept, victim = torn(path), tmp_path / "victim"
    victim.write_text("precious")
    kept.symlink_to(victim)
    with Log(path) as log:
        assert log.file.cut_off_bytes == 4
    assert victim.read_text() == "precious"
    assert (kept.is_symlink(), kept.read_bytes(), stat.S_IMODE(kept.stat().st_mode)) == (False, b"torn", 0o600)


def test_a_torn_line_that_cannot_be_kept_is_cut_off_all_the_same(path: Path) -> None:
    kept = torn(path)
    kept.mkdir()  # nothing can be written there, as on a full disk
    write(path, "b")
    with Log(path) as log:
        assert log.seen == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(("mode", "remedy"), [(0o620, "chmod go-w"), (0o602, "chmod go-w"), (0o644, "")])
def test_a_file_that_others_can_change_is_not_believed(path: Path, mode: int, remedy: str) -> None:
    write(path, "a")
    path.chmod(mode)
    if not remedy:
        write(path, "b")
        return
    with pytest.raises(Misconfigured, match=f"{remedy} {path}"):
        Log(path)
    with pytest.raises(Misconfigured):
        ChainedFile(path, Note, lambda *_: None, read_only=True)


@pytest.mark.parametrize(("mode", "is_believed"), [(0o777, False), (0o770, False), (0o1777, True), (0o755, True)])
def test_nor_one_in_a_directory_where_others_can_replace_it(path: Path, mode: int, is_believed: bool) -> None:
    write(path, "a")
    path.parent.chmod(mode)
    if is_believed:
        write(path, "b")
        return
    with pytest.raises(Misconfigured, match=f"can be replaced by others: chmod go-w {path.parent}"):
        Log(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_what_root_begins_belongs_to_whom_the_directory_belongs(path: Path) -> None:
    os.chown(path.parent, 12345, 12346)
    write(path, "a")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)
    write(path, "b")
    os.chown(path, 12399, -1)
    with pytest.raises(Misconfigured, match="belongs to another user"):
        Log(path)


def test_a_new_file_is_in_its_directory_for_good(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose directory was not synced can be gone after a power cut, with all that was acknowledged in it."""
    synced, directories = os.fsync, []

    def watched(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            directories.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write(path, "a")
    assert directories == [str(path.parent)]
    write(path, "b")
    assert len(directories) == 1
