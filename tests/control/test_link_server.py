"""Control's end of a link, against real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from gateway.control.link_server import EdgeLink
from gateway.link.framing import control_reader, encode
from gateway.link.messages import Disconnect, EdgeMessage, Hello, Probe, ProbeAnswer, SettingsApplied


class Serving:
    """One accepted link, and what it has heard."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.link = EdgeLink(self._heard, self._lost)
        self.heard: list[EdgeMessage] = []
        self.lost = asyncio.Event()
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    def _heard(self, link: EdgeLink, message: EdgeMessage) -> None:
        assert link is self.link
        self.heard.append(message)

    def _lost(self, link: EdgeLink) -> None:
        assert link is self.link
        self.lost.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Serving"]:
        server = await asyncio.get_running_loop().create_unix_server(lambda: self.link, path=str(self.path))
        self.reader, self.writer = await asyncio.open_unix_connection(str(self.path))
        async with asyncio.timeout(120):
            while self.link._transport is None:
                await asyncio.sleep(0)
        try:
            yield self
        finally:
            self.writer.close()
            await asyncio.wait_for(self.lost.wait(), 10)
            server.close()

    async def until_heard(self, count: int) -> None:
        async with asyncio.timeout(120):
            while len(self.heard) < count:
                await asyncio.sleep(0.005)


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    return Serving(tmp_path / "link.sock")


async def test_hello_tells_who_it_is_and_everything_is_passed_on_in_order(serving: Serving) -> None:
    async with serving.running():
        assert serving.link.slot == -1
        for message in (Hello(3, 77), SettingsApplied(1)):
            serving.writer.write(encode(message))
        await serving.until_heard(2)
        assert (serving.link.slot, serving.link.pid) == (3, 77)
        assert serving.heard == [Hello(3, 77), SettingsApplied(1)]


async def test_a_probe_is_answered_by_number_and_a_late_or_unknown_answer_is_nothing(serving: Serving) -> None:
    async with serving.running():
        for alive in (True, False):
            asking = asyncio.ensure_future(serving.link.probe("s-1", 5.0))
            (probe,) = list(control_reader().feed(await serving.reader.read(1 << 16)))
            assert isinstance(probe, Probe)
            number = probe.request_id
            for answer in (
                ProbeAnswer(99, "s-1", alive=not alive),
                ProbeAnswer(number, "s-2", alive=not alive),
                ProbeAnswer(number, "s-1", alive=alive),
                ProbeAnswer(number, "s-1", alive=not alive),
            ):
                serving.writer.write(encode(answer))
            assert await asking is alive
        assert serving.heard == []


async def test_what_an_earlier_control_has_asked_fits_no_probe_of_another(tmp_path: Path) -> None:
    numbers = set()
    for name in ("a", "b", "c"):
        serving = Serving(tmp_path / name)
        async with serving.running():
            asking = asyncio.ensure_future(serving.link.probe("s-1", 5.0))
            (probe,) = list(control_reader().feed(await serving.reader.read(1 << 16)))
            assert isinstance(probe, Probe)
            numbers.add(probe.request_id)
            serving.writer.write(encode(ProbeAnswer(probe.request_id, "s-1", alive=True)))
            assert await asking is True
    assert len(numbers) == 3


async def test_without_a_connection_nobody_is_alive_and_nothing_is_sent(serving: Serving) -> None:
    assert await serving.link.probe("s-1", 5.0) is False
    serving.link.tell_disconnect(Disconnect("s-1", "x"))


async def test_a_connection_that_ends_during_a_probe_proves_nothing(serving: Serving) -> None:
    async with serving.running():
        asking = asyncio.ensure_future(serving.link.probe("s-1", 5.0))
        await serving.reader.read(1)
        serving.writer.close()
        assert await asking is True


async def test_an_edge_that_reads_nothing_is_cut_off_before_memory_is_full(serving, monkeypatch) -> None:
    monkeypatch.setattr("gateway.control.link_server._MAX_UNSENT_BYTES", 100_000)
    with structlog.testing.capture_logs() as logs:
        async with serving.running():
            serving.reader._transport.pause_reading()
            for _ in range(100):
                serving.link.send(Disconnect("s-1", 20_000 * "x"))
            await asyncio.wait_for(serving.lost.wait(), 10)
            serving.link.send(Disconnect("s-1", "nobody is there"))
    assert {entry["event"] for entry in logs} == {"edge_not_reading"}


async def test_garbage_ends_the_connection(serving: Serving) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving.running():
            serving.writer.write(encode(Hello(3, 77)) + b"\xff\xff\xff\xff")
            await asyncio.wait_for(serving.lost.wait(), 10)
            assert serving.heard == [Hello(3, 77)]
    assert [(entry["event"], entry["slot"]) for entry in logs] == [("link_broken", 3)]
