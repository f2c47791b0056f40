"""Texts outside the tree: readable with their key, altered by nobody unseen, and gone for good without it."""

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from gateway.control.trail.disk import Disk
from gateway.control.trail.payloads import PayloadGone, PayloadStore
from tests.support.trail import FailingDisk, Fault

DAY = "2026-11-28"


def store(place: Path, *faults: Fault) -> PayloadStore:
    return PayloadStore(place / "payload", place / "keys", FailingDisk(*faults))


def kept(place: Path, *texts: bytes, day: str = DAY) -> list[str]:
    payloads = store(place)
    commits = [payloads.add(day, text) for text in texts]
    payloads.flush()
    return commits


def everything(place: Path) -> bytes:
    return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())


def test_a_text_is_read_with_its_key_and_lies_nowhere_in_clear(tmp_path: Path) -> None:
    one, two = kept(tmp_path, b"first text", b"second text")
    payloads = store(tmp_path).of(DAY)
    assert (payloads.text(one), payloads.text(two)) == (b"first text", b"second text")
    assert b"text" not in everything(tmp_path)
    assert store(tmp_path).days() == [DAY]


def test_equal_texts_have_nothing_in_common(tmp_path: Path) -> None:
    one, two = kept(tmp_path, b"the same", b"the same")
    assert one != two
    assert hashlib.sha256(b"the same").hexdigest() not in {one, two}


def test_what_is_destroyed_is_gone_and_nothing_else_is(tmp_path: Path) -> None:
    one, two = kept(tmp_path, b"a", b"b")
    before = (tmp_path / "payload" / DAY).read_bytes()
    keys = (tmp_path / "keys" / DAY).read_bytes()
    assert store(tmp_path).destroy(DAY, [one, "ff" * 32]) == 1
    with pytest.raises(PayloadGone, match="destroyed") as gone:
        store(tmp_path).of(DAY).text(one)
    assert gone.value.is_destroyed
    assert store(tmp_path).of(DAY).text(two) == b"b"
    assert (tmp_path / "payload" / DAY).read_bytes() == before
    assert keys[16:48] not in everything(tmp_path)
    assert store(tmp_path).destroy(DAY, [one]) == 0


def test_the_old_key_file_is_overwritten_before_it_goes(tmp_path: Path) -> None:
    (one,) = kept(tmp_path, b"a")
    with (tmp_path / "keys" / DAY).open("rb") as held_open:
        store(tmp_path).destroy(DAY, [one])
        assert held_open.read() == bytes(48)


def test_a_day_that_is_destroyed_leaves_no_file(tmp_path: Path) -> None:
    (one,) = kept(tmp_path, b"a")
    (other,) = kept(tmp_path, b"b", day="2026-11-29")
    assert store(tmp_path).destroy_day(DAY) == 1
    assert store(tmp_path).days() == ["2026-11-29"]
    with pytest.raises(PayloadGone):
        store(tmp_path).of(DAY).text(one)
    assert store(tmp_path).of("2026-11-29").text(other) == b"b"
    assert store(tmp_path).destroy_day(DAY) == 0


def test_after_a_destruction_the_same_store_goes_on(tmp_path: Path) -> None:
    payloads = store(tmp_path)
    one = payloads.add(DAY, b"a")
    payloads.flush()
    payloads.destroy(DAY, [one])
    two = payloads.add(DAY, b"b")
    payloads.flush()
    assert payloads.of(DAY).text(two) == b"b"


class BusyDisk(Disk):
    """Meanwhile something else happens, once."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile: Callable[[], object] | None = meanwhile

    @override
    def fdatasync(self, descriptor: int) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        super().fdatasync(descriptor)


def test_texts_that_come_while_keys_are_destroyed_keep_theirs(tmp_path: Path) -> None:
    one, two = kept(tmp_path, b"a", b"b")
    came: list[str] = []

    def meanwhile() -> None:
        came.append(payloads.add(DAY, b"c"))
        payloads.flush()

    payloads = PayloadStore(tmp_path / "payload", tmp_path / "keys", BusyDisk(meanwhile))
    assert payloads.destroy(DAY, [one]) == 1
    assert [payloads.of(DAY).text(each) for each in (two, came[0])] == [b"b", b"c"]
    four = payloads.add(DAY, b"d")
    payloads.flush()
    assert store(tmp_path).of(DAY).text(four) == b"d"


@pytest.mark.parametrize("number", range(3))
def test_a_destruction_that_fails_destroys_nothing_or_all_and_can_be_repeated(tmp_path: Path, number: int) -> None:
    one, two = kept(tmp_path, b"a", b"b")
    with pytest.raises(OSError, match="Input/output"):
        store(tmp_path, Fault("fdatasync", number, errno.EIO)).destroy(DAY, [one])
    assert [path.name for path in (tmp_path / "keys").iterdir()] == [DAY]
    store(tmp_path).destroy(DAY, [one])
    with pytest.raises(PayloadGone, match="destroyed"):
        store(tmp_path).of(DAY).text(one)
    assert store(tmp_path).of(DAY).text(two) == b"b"


def read_bytes() -> int:
    """What this process has read from files, as the kernel counts it."""
    return int(Path("/proc/self/io").read_text().partition("rchar: ")[2].split()[0])


def test_the_first_write_after_a_start_does_not_read_the_whole_day(tmp_path: Path) -> None:
    *_, last = kept(tmp_path, *(bytes(1 << 20) for _ in range(24)))
    with (tmp_path / "payload" / DAY).open("ab") as torn:
        torn.write(b"begun")
    payloads = store(tmp_path)
    one = payloads.add(DAY, b"a")
    before = read_bytes()
    payloads.flush()
    assert read_bytes() - before < 4 << 20
    assert (payloads.of(DAY).text(one), len(payloads.of(DAY).text(last))) == (b"a", 1 << 20)


@pytest.mark.parametrize("destroyed", [[0, 1, 2], [2], [1, 2], [0]])
def test_a_torn_end_is_found_whatever_was_destroyed_before_it(tmp_path: Path, destroyed: list[int]) -> None:
    """Also where the last text that has a key lies far before the end, or none has one."""
    commits = kept(tmp_path, bytes(1_500_000), b"b", bytes(1_500_000))
    whole = (tmp_path / "payload" / DAY).stat().st_size
    store(tmp_path).destroy(DAY, [commits[each] for each in destroyed])
    with (tmp_path / "payload" / DAY).open("ab") as torn:
        torn.write(b"\0" * 19 + b"\x05abc")
    (three,) = kept(tmp_path, b"c")
    assert (tmp_path / "payload" / DAY).read_bytes().find(bytes.fromhex(three)[:16]) == whole
    assert store(tmp_path).of(DAY).text(three) == b"c"
    assert all(store(tmp_path).of(DAY).text(commit) for number, commit in enumerate(commits) if number not in destroyed)


@given(place=st.integers(min_value=20), bit=st.integers(0, 7))
def test_any_bit_that_is_flipped_in_a_text_is_seen(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    where = tmp_path_factory.mktemp("flip")
    (one,) = kept(where, b"a text of some length")
    path = where / "payload" / DAY
    data = bytearray(path.read_bytes())
    data[20 + place % (len(data) - 20)] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(PayloadGone) as gone:
        store(where).of(DAY).text(one)
    assert not gone.value.is_destroyed


def test_the_text_of_another_record_is_not_taken_for_its_own(tmp_path: Path) -> None:
    one, two = kept(tmp_path, b"a", b"b")
    for name, size in (("payload", None), ("keys", 48)):
        path = tmp_path / name / DAY
        data = path.read_bytes()
        half = size or len(data) // 2
        first, second = bytes.fromhex(one)[:16], bytes.fromhex(two)[:16]
        path.write_bytes(second + data[16:half] + first + data[half + 16 :])
    for commit in (one, two):
        with pytest.raises(PayloadGone) as gone:
            store(tmp_path).of(DAY).text(commit)
        assert not gone.value.is_destroyed


@pytest.mark.parametrize("cut", range(1, 60))
def test_what_a_crash_has_left_half_written_is_cut_off_before_more_is_written(tmp_path: Path, cut: int) -> None:
    one, _ = kept(tmp_path, b"a", b"b")
    for name in ("payload", "keys"):
        path = tmp_path / name / DAY
        path.write_bytes(path.read_bytes()[: -min(cut, 47) if name == "keys" else -cut])
    (three,) = kept(tmp_path, b"c")
    assert store(tmp_path).of(DAY).text(one) == b"a"
    assert store(tmp_path).of(DAY).text(three) == b"c"


@pytest.mark.parametrize(("operation", "written"), [("write", 7), ("fdatasync", -1)])
def test_after_an_error_the_store_says_so_and_later_texts_are_whole(
    tmp_path: Path, operation: str, written: int
) -> None:
    payloads = store(tmp_path, Fault(operation, 0, errno.EIO, written=written))
    payloads.add(DAY, b"a")
    with pytest.raises(OSError, match="Input/output"):
        payloads.flush()
    two = payloads.add(DAY, b"b")
    payloads.flush()
    assert payloads.of(DAY).text(two) == b"b"
