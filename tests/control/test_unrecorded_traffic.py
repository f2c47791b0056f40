"""Mode `block`: sessions end when what they say cannot be recorded, not before, and only then."""

from typing import Any

import msgspec
import pytest

from gateway.audit.record import RecordClass
from gateway.control.audit_trail import AuditTrail
from gateway.control.unrecorded_traffic import UnrecordedTraffic
from gateway.link.messages import Disconnect
from tests.control.conftest import Control, NodeSite, record_of
from tests.control.test_admission import claim
from tests.support.edges import TableEdge

WHY = "the audit log cannot be written"


class Place:
    """A part that may relay or not, at a time of the test's choice."""

    def __init__(self, control: Control, site: NodeSite) -> None:
        self.may_relay, self.now = True, 100.0
        self.reports: list[tuple[str, ...]] = []
        self.part = UnrecordedTraffic(
            control.sessions, lambda: self.may_relay, lambda *event: self.reports.append(event), lambda: self.now
        )
        self.part.use(site.config())

    async def after(self, seconds: float) -> None:
        self.now += seconds
        await self.part.tick()


async def test_all_end_once_the_log_was_not_written_for_long_enough(control: Control, site: NodeSite) -> None:
    place, edges = Place(control, site), (TableEdge(), TableEdge())
    await control.add(record_of("CP-1"), record_of("CP-2"), record_of("CP-3"))
    for identity, edge in zip(("CP-1", "CP-2"), edges, strict=True):
        await control.stay(claim(identity), edge)
    place.may_relay = False
    await place.after(0.0)
    await place.after(1.9)
    assert not any(edge.told for edge in edges)
    await place.after(0.2)
    assert [edge.told for edge in edges] == [[Disconnect(f"s-{n}", WHY, "unrecorded")] for n in (1, 2)]
    assert place.reports == [("audit.sessions_ended", "critical", "disconnect", f"2 sessions end: {WHY} (block)")]
    # Told once; one that was admitted in the last moment is told as well.
    await control.stay(claim("CP-3"), edges[0])
    await place.after(1.0)
    assert [len(edge.told) for edge in edges] == [2, 1]


async def test_a_moment_without_a_log_ends_nobody(control: Control, site: NodeSite) -> None:
    place, edge = Place(control, site), TableEdge()
    await control.add(record_of())
    await control.stay(claim(), edge)
    for _ in range(5):
        place.may_relay = False
        await place.after(1.9)
        place.may_relay = True
        await place.after(0.1)
    assert (edge.told, place.reports) == ([], [])


@pytest.mark.parametrize("mode", ["block", "guard", "open"])
@pytest.mark.parametrize("state", ["running", "full", "broken", "stopped"])
def test_only_block_ends_what_lives_and_only_without_a_log(site: NodeSite, mode: Any, state: Any) -> None:
    config = site.config()
    trail = AuditTrail(msgspec.structs.replace(config, audit=msgspec.structs.replace(config.audit, failure_mode=mode)))
    trail.writer.state = state
    assert trail.may_relay() is not (mode == "block" and state in {"full", "broken"})


def test_nor_does_it_go_on_when_records_find_no_room_any_more(site: NodeSite) -> None:
    config = site.config()
    audit = msgspec.structs.replace(config.audit, failure_mode="block", max_queue_bytes=4096)
    trail = AuditTrail(msgspec.structs.replace(config, audit=audit))
    trail.writer.state = "running"
    while trail.may_relay():
        assert trail.writer.append(RecordClass.GROUP, b"x" * 1000)
    assert not trail.may_admit()
