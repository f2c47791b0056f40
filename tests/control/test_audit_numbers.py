"""Numbers of records are an alarm: what is missing was taken away. So nothing that the gateway does may leave one out."""

from pathlib import Path

import pytest
from typing_extensions import override

from gateway.audit.event import SecurityEvent
from gateway.audit.record import RecordClass, envelope
from gateway.control.audit_queue import AuditQueue, Pending
from gateway.control.audit_trail import AuditTrail
from gateway.control.trail.stamp import Stamper
from tests.control.conftest import NodeSite
from tests.control.test_audit_writer import FullDisk, kinds, log_of, until, writer

SYNC, GROUP = RecordClass.SYNC, RecordClass.GROUP


def test_a_disk_without_room_for_its_last_words_is_no_tampering(tmp_path: Path) -> None:
    """No reserve: neither the words at the end nor those of vain beginnings could be written."""
    disk = FullDisk()
    audit = writer(tmp_path, disk, reserve_bytes=0)
    disk.full = True
    audit.append(GROUP, b'{"n":1}')
    until(lambda: audit.state == "full")
    disk.full = False
    until(lambda: audit.state == "running")
    audit.close()
    assert kinds(tmp_path) == ["audit.start", "audit.start", "audit.stop"]


def test_room_that_is_gone_again_at_once(tmp_path: Path) -> None:
    class Teasing(FullDisk):
        asked = 0

        @override
        def free_bytes(self, path: Path) -> int:
            self.asked += 1
            return 1 << 40

    disk = Teasing()
    audit = writer(tmp_path, disk, reserve_bytes=0)
    disk.full = True
    audit.append(GROUP, b'{"n":1}')
    until(lambda: disk.asked >= 2)
    disk.full = False
    until(lambda: audit.state == "running")
    audit.close()
    assert [record["n"] for record in log_of(tmp_path) if "n" in record] == [1]


def test_a_loss_that_cannot_be_told_at_once_is_told_later() -> None:
    queue = AuditQueue(1 << 20)
    while queue.put(Pending(GROUP, b"x" * 60_000, None), 5):
        pass
    gap = queue.take_gap()
    assert gap is not None
    assert gap.count == 1
    queue.put(Pending(GROUP, b"x", None), 9)
    queue.return_gap(gap)
    again = queue.take_gap()
    assert again is not None
    assert (again.count, again.from_us, again.to_us, again.by_class) == (2, 5, 9, {"group": 2})
    queue.return_gap(again)
    assert queue.take_gap() == again
    assert queue.take_gap() is None


def numbered(stamper: Stamper) -> bytes:
    return envelope("config.changed", stamper.stamp())


def test_the_number_of_what_was_refused_is_announced(tmp_path: Path) -> None:
    disk, stamper, refused = FullDisk(), Stamper("control", "b"), list[int | None]()
    audit = writer(tmp_path, disk)
    audit.append(GROUP, numbered(stamper))
    disk.full = True
    audit.append(SYNC, numbered(stamper), refused.append)
    until(lambda: refused == [None])
    assert not audit.append(SYNC, numbered(stamper), refused.append)
    disk.full = False
    until(lambda: audit.state == "running")
    audit.append(GROUP, numbered(stamper))
    audit.close()
    told = [record["log"]["by_class"] for record in log_of(tmp_path) if record["type"] == "audit.gap"]
    assert told == [{"refused": 2}]
    assert audit.status()["lost"] == {"lossy": 0, "group": 0, "sync": 0}, "what did not happen is no loss"


def test_what_cannot_be_a_record_leaves_one_that_says_so(site: NodeSite, tmp_path: Path) -> None:
    trail = AuditTrail(site.config())
    trail.open()
    try:
        for detail in ("before", "\ud800", "x" * 70_000, "after"):
            trail.record(SecurityEvent(event="auth.failed", time=1.0, detail=detail))
    finally:
        trail.close()
    state = site.directory
    (state / "audit").rename(tmp_path / "audit")
    found = [record for record in log_of(tmp_path) if record["worker"] == "control"]
    assert [record["type"] for record in found] == [
        "auth.failed",
        "audit.unrecordable",
        "audit.unrecordable",
        "auth.failed",
    ]
    assert found[1]["log"] == {"event": "auth.failed"}


@pytest.mark.parametrize("reserve", [0, 4096])
def test_an_untroubled_log_says_nothing_of_gaps(tmp_path: Path, reserve: int) -> None:
    audit = writer(tmp_path, reserve_bytes=reserve)
    audit.close()
    assert kinds(tmp_path) == ["audit.start", "audit.stop"]
