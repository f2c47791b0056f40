"""What a worker has relayed is added up over thousands of sessions in small steps, and each is counted once."""

import asyncio
from pathlib import Path

from gateway.config.model import WebSocketSettings
from gateway.edge.deadlines import Deadlines
from gateway.edge.worker import Worker
from gateway.link.messages import Counters, Hello
from tests.support.link_control import LinkControl
from tests.support.sessions import make_session

_SESSIONS = 1_000
_RELAYED = 'ocpp_gateway_messages_total{origin="charge-point"}'


async def _counted(control: LinkControl) -> float:
    while True:
        heard = await control.hear()
        if isinstance(heard, Counters):
            return heard.values[_RELAYED]


async def test_sessions_that_end_while_they_are_counted_are_counted_once(tmp_path: Path) -> None:
    control, path = LinkControl(), tmp_path / "control.sock"
    server = await asyncio.start_unix_server(control.serve, str(path))
    worker = Worker(0, str(path), {})
    worker.deadlines = Deadlines(WebSocketSettings())
    running = asyncio.create_task(worker.link.run())
    assert isinstance(await control.hear(), Hello)
    for number in range(_SESSIONS):
        bridge = worker.bridges[f"s-{number}"] = make_session()
        bridge.charge_point.message_count = 1

    counting = asyncio.create_task(worker._send_counters())
    turns = 0
    while not counting.done():
        await asyncio.sleep(0)
        turns += 1
        for name in (f"s-{turns}", f"s-{_SESSIONS - turns}"):  # one that was counted, one that was not
            worker.finished(worker.bridges.pop(name), "over")
    assert turns >= 4
    assert await _counted(control) == _SESSIONS
    await worker._send_counters()
    assert await _counted(control) == _SESSIONS

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.link.close(1.0)
    server.close()
