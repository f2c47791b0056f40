"""Snapshots: a shorter way to what the records say, and never to anything else."""

import hashlib
from pathlib import Path
from typing import Self

import msgspec
import pytest

from pki.chained_file import ChainedFile, Position
from pki.errors import JournalDamaged, Misconfigured, RolledBack
from pki.snapshot import Snapshot, read_snapshot
from tests.pki.test_issuance import COMPROMISED, Site


class Note(msgspec.Struct, frozen=True):
    text: str


class Texts:
    """What notes amount to: all their texts."""

    form = "texts"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.applied: list[int] = []

    def apply(self, note: Note, number: int) -> None:
        self.texts.append(note.text)
        self.applied.append(number)

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(self.texts)

    def restore(self, state: bytes) -> None:
        try:
            self.texts = msgspec.msgpack.decode(state, type=list[str])
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None


class Log:
    """A file of notes, opened."""

    def __init__(self, path: Path, **options: bool) -> None:
        self.folded = Texts()
        self.file: ChainedFile[Note] = ChainedFile(path, Note, self.folded.apply, folded=self.folded, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, *texts: str) -> None:
        for text in texts:
            self.file.append(Note(text))


def write(path: Path, *texts: str) -> None:
    with Log(path) as log:
        log.write(*texts)


def read(path: Path, **options: bool) -> tuple[list[str], list[int], Position]:
    """Texts, the numbers of the records that were applied for them, and the head."""
    with Log(path, read_only=True, **options) as log:
        return log.folded.texts, log.folded.applied, log.file.head


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pki.chained_file._SNAPSHOT_EVERY", 2)
    return tmp_path / "journal"


@pytest.fixture
def kept(path: Path) -> Path:
    """The snapshot of a file of three notes."""
    write(path, "a", "b", "c")
    read(path)
    return path.with_name("journal.snapshot")


def forge(path: Path, **changes: object) -> None:
    """A snapshot that is consistent with itself."""
    found = msgspec.structs.replace(msgspec.msgpack.decode(path.read_bytes()[32:], type=Snapshot), **changes)
    body = msgspec.msgpack.encode(found)
    path.write_bytes(hashlib.sha256(body).digest() + body)


class TestWhatFits:
    def test_only_what_came_since_is_read_and_the_rest_is_there(self, path: Path, kept: Path) -> None:
        write(path, "d")
        texts, applied, head = read(path)
        assert (texts, applied) == (["a", "b", "c", "d"], [4])
        with Log(path) as log:
            assert [log.file.read(number).text for number in (1, 3, 4)] == ["a", "c", "d"]
            assert log.file.digest_at(4) == head.digest
            log.write("e")
        assert read(path, whole=True)[0] == ["a", "b", "c", "d", "e"]
        assert kept.stat().st_mode & 0o777 == 0o600

    def test_there_is_none_of_a_short_file_and_a_new_one_when_there_is_enough_to_read(self, path: Path) -> None:
        kept = path.with_name("journal.snapshot")
        write(path, "a", "b")
        read(path)
        assert not kept.exists()
        write(path, "c")
        read(path)
        first = kept.read_bytes()
        write(path, "d", "e")
        read(path)
        assert kept.read_bytes() == first
        write(path, "f")
        read(path)
        assert read(path)[1] == []
        assert kept.read_bytes() != first

    @pytest.mark.usefixtures("kept")
    def test_a_snapshot_that_is_restored_goes_into_the_next_one(self, path: Path) -> None:
        write(path, "d", "e", "f")
        assert read(path)[1] == [4, 5, 6]
        assert read(path) == (["a", "b", "c", "d", "e", "f"], [], read(path, whole=True)[2])

    def test_without_one_asked_for_there_is_none(self, path: Path) -> None:
        write(path, "a", "b", "c")
        path.with_name("journal.snapshot").unlink(missing_ok=True)
        ChainedFile(path, Note, lambda _note, _number: None, read_only=True).close()
        assert not path.with_name("journal.snapshot").exists()


class TestWhatDoesNotFit:
    @pytest.mark.usefixtures("kept")
    def test_every_byte_of_the_file_is_still_proven(self, path: Path) -> None:
        whole = path.read_bytes()
        for place in range(len(whole) - 80):  # the last line is what a crash may leave
            path.write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
            with pytest.raises(JournalDamaged):
                read(path)
        path.write_bytes(whole)
        assert read(path)[1] == []

    def test_every_byte_of_the_snapshot_is_proven(self, path: Path, kept: Path) -> None:
        whole = kept.read_bytes()
        for place in range(len(whole)):
            kept.write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
            assert read(path)[:2] == (["a", "b", "c"], [1, 2, 3])
        for length in (0, 31, 32, 40, len(whole) - 1):
            kept.write_bytes(whole[:length])
            assert read(path)[:2] == (["a", "b", "c"], [1, 2, 3])

    def test_an_older_file_does_not_learn_from_a_newer_snapshot(self, path: Path, kept: Path) -> None:
        newer = kept.read_bytes()
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:2]))
        assert read(path)[:2] == (["a", "b"], [1, 2])
        path.unlink()
        write(path, "a", "b", "x")
        kept.write_bytes(newer)
        assert read(path)[0] == ["a", "b", "x"]

    @pytest.mark.usefixtures("kept")
    def test_a_torn_last_line_is_cut_off_behind_a_snapshot_too(self, path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"0" * 30)
        with Log(path) as log:
            assert (log.folded.texts, log.folded.applied, log.file.cut_off_bytes) == (["a", "b", "c"], [], 30)

    @pytest.mark.parametrize(
        "changes",
        [{"form": "little texts of another release"}, {"sequence": 2}, {"digest": bytes(32)}, {"size_bytes": 10}],
    )
    def test_one_of_another_release_or_with_another_place_is_as_good_as_none(
        self, path: Path, kept: Path, changes: dict[str, object]
    ) -> None:
        forge(kept, **changes)
        assert read(path)[:2] == (["a", "b", "c"], [1, 2, 3])
        assert read(path)[1] == []  # and a good one has taken its place

    def test_a_state_that_cannot_be_restored_is_as_good_as_none(self, path: Path, kept: Path) -> None:
        forge(kept, state=b"\xc1")
        assert read(path)[:2] == (["a", "b", "c"], [1, 2, 3])
        assert read(path)[1] == []

    def test_one_that_others_can_write_is_refused_and_a_link_is_none(self, path: Path, kept: Path) -> None:
        kept.chmod(0o660)
        with pytest.raises(Misconfigured, match=r"chmod go-w .*journal\.snapshot"):
            read(path)
        kept.chmod(0o640)
        assert read(path)[1] == []
        elsewhere = kept.rename(kept.with_name("elsewhere"))
        kept.symlink_to(elsewhere)
        assert read_snapshot(kept, "texts") is None
        assert read(path)[:2] == (["a", "b", "c"], [1, 2, 3])

    def test_one_that_lies_is_found_when_the_file_is_read_whole(self, path: Path, kept: Path) -> None:
        forge(kept, state=msgspec.msgpack.encode(["a", "c"]))
        with Log(path, read_only=True, whole=True) as log:
            assert (log.folded.texts, log.file.has_wrong_snapshot) == (["a", "b", "c"], True)
        with Log(path, read_only=True, whole=True) as log:
            assert not log.file.has_wrong_snapshot
        assert read(path)[:2] == (["a", "b", "c"], [])


def test_an_old_journal_is_noticed_also_beside_a_newer_snapshot_or_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What un-revokes a certificate does not start, whichever of the two files is put back."""
    monkeypatch.setattr("pki.chained_file._SNAPSHOT_EVERY", 0)
    site = Site(tmp_path)
    serial = site.issue().certificate.serial_number
    site.reopen()
    names = ("journal", "journal.snapshot")
    old = {name: (tmp_path / name).read_bytes() for name in names}
    site.ca.revoke(serial, COMPROMISED, by="alice", note="", now=site.now)
    site.reopen()
    new = {name: (tmp_path / name).read_bytes() for name in names}
    assert old["journal.snapshot"] != new["journal.snapshot"]
    site.close()
    for put_back in (("journal",), names):
        for name in put_back:
            (tmp_path / name).write_bytes(old[name])
        with pytest.raises(RolledBack):
            site.reopen()
        for name in names:
            (tmp_path / name).write_bytes(new[name])
    (tmp_path / "journal.snapshot").write_bytes(old["journal.snapshot"])
    site.reopen()
    assert site.ca.inventory.certificates[serial].revocation is not None
    site.close()
