"""What a worker hands to control ten times a second: a defect in one part of it does not end the others."""

import asyncio
from pathlib import Path

import structlog

from gateway.audit.event import SecurityEvent
from gateway.edge.worker import Worker
from gateway.link.messages import BudgetAnswer, Counters, Hello, Report
from tests.support.link_control import LinkControl


async def test_events_and_counters_go_on_after_a_defect(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("gateway.edge.worker._COUNTERS_EVERY_FLUSHES", 1)
    control, path = LinkControl(), tmp_path / "control.sock"
    server = await asyncio.start_unix_server(control.serve, str(path))
    worker = Worker(0, str(path), {})
    failures = iter([True])
    monkeypatch.setattr(worker.recorder, "flush", lambda: 1 // 0 if next(failures, False) else False)
    with structlog.testing.capture_logs() as logs:
        running = [asyncio.create_task(each) for each in (worker.link.run(), worker._flush_forever())]
        assert isinstance(await control.hear(), Hello)
        control.say(BudgetAnswer(99, {}))
        assert isinstance(await control.hear(), Counters)
        worker.events.add(SecurityEvent(event="net.reset", time=1.0))
        while not isinstance(await control.hear(), Report):
            pass
    assert [entry["event"] for entry in logs] == ["flush_failed"]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await worker.link.close(1.0)
    server.close()
