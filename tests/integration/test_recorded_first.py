"""Dangerous commands and a disk that is slow, full or broken: nothing off the record, and nobody else waits.

Sessions of an edge, control's records and its writer with real files and threads; only the socket between them is left out.
"""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from typing_extensions import override

from gateway.audit.event import Severity
from gateway.audit.relayed import Levels
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditWriter
from gateway.control.frame_bodies import FrameBodies
from gateway.control.relayed_log import RelayedLog
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import shards_in
from gateway.control.trail.payloads import PayloadStore
from gateway.control.trail.pseudonyms import PseudonymKeys
from gateway.control.trail.reader import ShardReader, decoded
from gateway.edge.control_link import ControlLink
from gateway.edge.events import Counts
from gateway.edge.frame_log import FrameLog
from gateway.edge.pump import Bridge, Leg
from gateway.link.messages import AuditSettings, ControlMessage, EdgeMessage
from gateway.link.relayed import FramesRecorded, RelayedFrames
from gateway.relay.effects import AwaitRecord, Told
from tests.support.sessions import SilentOwner, make_session

RESET = b'[2,"r%d","Reset",{"type":"Hard"}]'
STATUS = b'[2,"s%d","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
WAIT_S = 90.0
Mode = Literal["block", "guard", "open"]


class SickDisk(Disk):
    """As good as the real one until told otherwise."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.ready.set()
        self.error = 0

    @override
    def write(self, descriptor: int, data: bytes) -> int:
        if self.error == errno.ENOSPC:
            raise OSError(self.error, os.strerror(self.error))
        return super().write(descriptor, data)

    @override
    def fdatasync(self, descriptor: int) -> None:
        assert self.ready.wait(WAIT_S)
        if self.error == errno.EIO:
            raise OSError(self.error, os.strerror(self.error))
        super().fdatasync(descriptor)

    @override
    def free_bytes(self, path: Path) -> int:
        return 0 if self.error else super().free_bytes(path)


class Gateway(SilentOwner):
    """An edge worker with sessions, and control, in one process."""

    slot, connected = 0, True

    def __init__(self, place: Path, failure_mode: Mode, timeout_s: float) -> None:
        super().__init__()
        self.disk, self.events = SickDisk(), list[str]()
        self.audit = place / "audit"
        settings = Audit(
            directory=str(self.audit), reserve_bytes=0, failure_mode=failure_mode, checkpoint_interval_s=0.05
        )
        self.writer = AuditWriter(settings, place / "keys", disk=self.disk)
        payloads = PayloadStore(place / "payload", place / "payload-keys")
        bodies = FrameBodies(PseudonymKeys(place / "pseudonyms"), payloads)
        self.control = RelayedLog(self.writer, "c", bodies)
        self.control.levels = Levels(default="meta")
        self.control.goes_on_without = failure_mode == "open"
        self.edge = FrameLog(cast("ControlLink", self), Counts(), lambda: "r", lambda: 1000.0, "e")
        self.edge.use(AuditSettings(("Reset",), timeout_s, goes_on_without=failure_mode == "open"))

    def session(self) -> Bridge:
        bridge = make_session(self, recorded_first=frozenset({"Reset"}))
        for leg in (bridge.charge_point, bridge.csms):
            leg.judge = self.edge.around(leg, leg.judge)
        return bridge

    # -- the link between the two

    def send(self, message: EdgeMessage | ControlMessage) -> bool:
        if isinstance(message, RelayedFrames):
            self.control.take(self, message)  # type: ignore[arg-type]
        else:
            assert isinstance(message, FramesRecorded)
            self.edge.told(message)
        return True

    # -- what sessions tell their worker

    @override
    def told(self, leg: Leg, effect: Told, wire: bytes) -> None:
        if isinstance(effect, AwaitRecord):
            self.edge.hold(leg, effect.ticket, wire)
        else:
            super().told(leg, effect, wire)

    @override
    def report(
        self,
        bridge: Bridge,
        event: str,
        severity: Severity,
        decision: str,
        detail: str,
        http_status: int = 0,
        *,
        revision: str = "",
    ) -> None:
        self.events.append(event)

    def records(self) -> list[dict[str, Any]]:
        found = [decoded(data) for shard in shards_in(self.audit) for _, data in ShardReader(shard).records()]
        return [record for record in found if record.get("type") == "ocpp.message"]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., "asyncio.Future[Gateway]"]]:
    made: list[Gateway] = []

    async def gateway(failure_mode: Mode = "guard", timeout_s: float = WAIT_S) -> Gateway:
        made.append(Gateway(tmp_path, failure_mode, timeout_s))
        await asyncio.to_thread(made[0].writer.open)
        return made[0]

    yield gateway  # type: ignore[misc]
    for each in made:
        each.disk.ready.set()
        each.disk.error = 0
        await asyncio.to_thread(each.control.close)
        await asyncio.to_thread(each.writer.close)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.002)


def command(bridge: Bridge, text: bytes) -> None:
    """The CSMS sends a text frame."""
    bridge.csms.data_received(bytes([0x81, len(text)]) + text)


def status(bridge: Bridge, number: int) -> None:
    """The charge point does, masked with nothing."""
    text = STATUS % number
    bridge.charge_point.data_received(
        bytes([0x81, 0xFE]) + len(text).to_bytes(2) + bytes(4) + text
        if len(text) > 125
        else bytes([0x81, 0x80 | len(text)]) + bytes(4) + text
    )


def written(leg: Leg) -> bytes:
    """All texts that were sent on a leg, without their masks."""
    data, texts = bytes(leg.transport.written), b""  # type: ignore[attr-defined]
    while data:
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4]), 4
        mask = data[at : at + 4] if data[1] & 0x80 else bytes(4)
        at += 4 if data[1] & 0x80 else 0
        texts += bytes(byte ^ mask[place % 4] for place, byte in enumerate(data[at : at + size])) + b"\n"
        data = data[at + size :]
    return texts


async def test_a_command_goes_on_once_it_is_on_the_disk_and_nobody_else_waits_for_that(make: Any) -> None:
    gateway = await make()
    one, two = gateway.session(), gateway.session()
    gateway.disk.ready.clear()
    command(one, RESET % 1)
    await until(lambda: gateway.control._numbers)
    for number in range(20):
        status(one, number)
        status(two, number)
    command(two, b'[2,"g","GetConfiguration",{}]')
    for bridge in (one, two):  # the lane lets one call through until it is answered
        assert written(bridge.csms).count(b"StatusNotification") == 1
    assert b"GetConfiguration" in written(two.charge_point)
    assert b"Reset" not in written(one.charge_point)
    gateway.disk.ready.set()
    await until(lambda: b"Reset" in written(one.charge_point))
    assert any(each["ocpp"]["action"] == "Reset" for each in gateway.records())
    assert gateway.events == []


async def test_a_disk_that_takes_too_long_stops_the_command_and_not_the_record(make: Any) -> None:
    gateway = await make(timeout_s=0.05)
    bridge = gateway.session()
    gateway.disk.ready.clear()
    command(bridge, RESET % 1)
    await until(lambda: b"SecurityError" in written(bridge.csms))
    assert gateway.events == ["audit.command_refused"]
    gateway.disk.ready.set()
    await until(gateway.records)
    assert b"Reset" not in written(bridge.charge_point)


async def test_with_open_it_goes_on_without(make: Any) -> None:
    gateway = await make("open", timeout_s=0.05)
    bridge = gateway.session()
    gateway.disk.ready.clear()
    command(bridge, RESET % 1)
    await until(lambda: b"Reset" in written(bridge.charge_point))
    gateway.disk.ready.set()
    await until(gateway.records)


@pytest.mark.parametrize(("failure_mode", "happens"), [("block", False), ("guard", False), ("open", True)])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
async def test_a_disk_that_fails_or_is_full_is_told_at_once(
    make: Any, error: int, failure_mode: Mode, *, happens: bool
) -> None:
    gateway = await make(failure_mode)
    bridge = gateway.session()
    command(bridge, RESET % 1)
    await until(lambda: b"Reset" in written(bridge.charge_point))
    bridge.charge_point.data_received(b"\x81\xa0\x00\x00\x00\x00" + b'[3,"r1",{"status":"Accepted"}]  ')
    gateway.disk.error = error
    command(bridge, RESET % 2)
    await until(lambda: b'"r2"' in written(bridge.charge_point) or b'"r2"' in written(bridge.csms))
    assert (b'"r2"' in written(bridge.charge_point)) is happens
    assert (b"SecurityError" in written(bridge.csms)) is not happens
    assert gateway.events == ([] if happens else ["audit.command_refused"])
    status(bridge, 1)
    assert b"s1" in written(bridge.csms)  # ordinary traffic goes on
    if error == errno.ENOSPC:
        gateway.disk.error = 0
        await until(lambda: any(each["ocpp"]["id"] == "r2" for each in gateway.records()))


async def test_a_session_that_has_ended_meanwhile_is_sent_nothing(make: Any) -> None:
    gateway = await make()
    bridge = gateway.session()
    gateway.disk.ready.clear()
    command(bridge, RESET % 1)
    await until(lambda: gateway.control._numbers)
    charge_point = bridge.charge_point
    for leg in (bridge.csms, bridge.charge_point):
        leg.connection_lost(None)
    before = written(charge_point)
    gateway.disk.ready.set()
    await until(gateway.records)
    await until(lambda: not gateway.edge._held)
    assert written(charge_point) == before
