"""Control writes what happens into the audit log, and stops admitting where the failure mode says so."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.audit.event import SecurityEvent
from gateway.config.model import Sink
from gateway.control.audit_trail import AuditTrail
from gateway.control.trail.layout import shards_in
from gateway.control.trail.verify import verify_shard
from gateway.link.messages import AdmitRefused
from tests.control.conftest import PASSWORD, NodeSite, record_of
from tests.support.claims import make_claim
from tests.support.trail import entries_on_disk


def claim(password: str = PASSWORD):
    return make_claim("CP-1", password=password)


def log_of(directory: Path) -> list[dict[str, Any]]:
    (shard,) = shards_in(directory / "audit")
    report = verify_shard(shard)
    assert report.findings == []
    return [json.loads(entry) for entry in entries_on_disk(shard.directory, report.size)]


class TestRecords:
    async def test_refusals_sessions_and_reloads_are_in_the_log(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running() as node, site.edge() as edge:
            await edge.refused(claim(password="s3cr3t-s3cr3t"))
            opened = await edge.enter(claim())
            await edge.until(lambda: any(s["state"] == "open" for s in node.status()["sessions"]))
            edge.end(opened.session)
            await edge.until(lambda: not node.status()["sessions"])
            await node.reload(site.config())
        records = log_of(site.directory)
        kinds = [record["type"] for record in records]
        assert (kinds[0], kinds[-1]) == ("audit.start", "audit.stop")
        failed = next(record for record in records if record["type"] == "auth.failed")
        assert (failed["cp"], failed["proven"], failed["dec"]["act"]) == ("CP-1", False, "http_reject")
        assert {"config.reloaded", "config.reload_failed"} & set(kinds)
        sessions = [record for record in records if record["type"].startswith("session.")]
        assert [record["type"] for record in sessions] == ["session.opened", "session.closed"]
        assert (sessions[0]["cp"], sessions[0]["auth"]["proof"]) == ("CP-1", "PasswordProof")
        assert sessions[0]["sess"] == sessions[1]["sess"]
        assert "s3cr3t" not in json.dumps(records)
        assert [each["event"] for each in site.events()] == [
            kind for kind in kinds if not kind.startswith(("audit.", "session."))
        ]

    async def test_operators_see_how_the_log_is_doing(self, site: NodeSite) -> None:
        async with site.running() as node, site.edge():
            status = node.status()["audit"]
            assert (status["state"], status["failure_mode"]) == ("running", "guard")
            text = node.metrics().decode()
            assert "ocpp_gateway_audit_running 1.0" in text
            assert 'ocpp_gateway_audit_lost_total{class="group"} 0.0' in text

    async def test_a_log_that_was_changed_is_not_continued(self, site: NodeSite) -> None:
        async with site.running(), site.edge():
            pass
        checkpoint = site.directory / "audit/0001/checkpoint"
        checkpoint.write_bytes(checkpoint.read_bytes().replace(b"\n", b"\n9", 1))
        with pytest.raises(OSError, match="new-history 0001"):
            async with site.running():
                pass

    def test_what_cannot_be_a_record_is_said_to_be_so_and_not_more(self, site: NodeSite) -> None:
        trail = AuditTrail(site.config())
        trail.open()
        trail.record(SecurityEvent(event="x", time=1.0, detail="\ud800"))
        trail.record(SecurityEvent(event="x", time=float("inf")))
        trail.record(SecurityEvent(event="y", time=1.0))
        trail.close()
        kinds = [record["type"] for record in log_of(site.directory)]
        assert kinds == ["audit.start", "audit.unrecordable", "x", "y", "audit.stop"]


@pytest.mark.parametrize(("mode", "enters"), [("block", False), ("guard", True), ("open", True)])
async def test_who_is_admitted_while_the_log_cannot_be_written(site: NodeSite, mode: Any, enters: bool) -> None:
    site.registry.add(record_of())
    config = site.config()
    config = msgspec.structs.replace(config, audit=msgspec.structs.replace(config.audit, failure_mode=mode))
    async with site.running(config=config) as node, site.edge() as edge:
        node._trail.writer.state = "full"
        answer = await edge.ask(claim())
        assert isinstance(answer, AdmitRefused) != enters
        node._trail.writer.state = "running"


async def test_a_reload_begins_a_sink_and_ends_it_again(site: NodeSite) -> None:
    out = site.directory / "out.jsonl"
    sink = Sink(name="file", kind="file", target=str(out))
    async with site.running() as node, site.edge() as edge:
        assert await node.reload(site.config(sinks=(sink,))) == ""
        await edge.until(lambda: out.exists() and b"audit.start" in out.read_bytes())
        assert node.metrics().count(b'ocpp_gateway_sink_behind_records{sink="file"}') == 1
        assert await node.reload(site.config()) == ""
        assert b"ocpp_gateway_sink" not in node.metrics()
        assert node.status()["audit"]["sinks"] == []
