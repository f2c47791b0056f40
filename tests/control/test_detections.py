"""A node tells what its records say together: recorded, counted, once, and not again after a restart."""

import json
import time
from pathlib import Path

import msgspec

from gateway.audit.event import SecurityEvent
from gateway.config.model import Audit, Detections
from gateway.control.detections import LogDetections
from gateway.control.node import Node
from tests.control.conftest import NodeSite
from tests.control.test_audit_trail import log_of

SOURCE = "198.51.100.9"


def sweep(node: Node, names: int) -> None:
    for n in range(names):
        node._events.add(
            SecurityEvent(
                event="identity.unknown",
                time=time.time(),
                reason="identity-unknown",
                charge_point_id=f"CP-{n}",
                peer=SOURCE,
                decision="http_reject",
            )
        )


async def told(site: NodeSite, node: Node, names: int, finds: int = 0) -> list[dict[str, object]]:
    """The detections of a run in which somebody goes through so many names. `finds`: so many are to be found in it.

    The node looks by itself as well, and may be at it just now.
    """
    detections = next(part for part in node.parts if isinstance(part, LogDetections))
    async with site.edge() as edge:
        before = node._trail.status()["published_size"]
        sweep(node, names)
        await edge.until(lambda: node._trail.status()["published_size"] >= before + names)
        await detections.tick()
        await edge.until(lambda: sum(detections.status()["told"].values()) >= finds)
        await node._events.write_aside()
    return [event for event in site.events() if event["event"].startswith("detect.")]


async def test_it_is_recorded_with_what_it_rests_on_and_counted(site: NodeSite) -> None:
    async with site.running() as node:
        await told(site, node, 10, finds=1)
        assert b'ocpp_gateway_detections_total{kind="enumeration"} 1.0' in node.metrics()
        assert node.status()["detections"] == {"enabled": True, "why": "", "told": {"enumeration": 1}}
    records = log_of(site.directory)
    (found,) = [record for record in records if record["type"] == "detect.enumeration"]
    assert (found["ref"]["subject"], found["peer"]["ip"], found["sev"]) == (SOURCE, SOURCE, "high")
    places = [int(place.removeprefix("0001/")) for place in found["ref"]["records"]]
    assert [records[place]["cp"] for place in places] == [f"CP-{n}" for n in range(10)]
    (event,) = [event for event in site.events() if event["event"] == "detect.enumeration"]
    assert event["evidence"] == found["ref"]["records"]
    async with site.running() as node:
        assert await told(site, node, 0) == [event], "a restart reads it again and does not tell it again"


async def test_a_name_fewer_is_nothing_and_a_restart_does_not_forget_it(site: NodeSite) -> None:
    async with site.running() as node:
        assert await told(site, node, 9) == []
    async with site.running() as node:
        found = next(part for part in node.parts if isinstance(part, LogDetections))
        found.use(site.config(audit=Audit(reserve_bytes=0, detections=Detections(enumeration_identities=9))))
        assert len(await told(site, node, 0, finds=1)) == 1


async def test_switched_off_it_tells_nothing(site: NodeSite) -> None:
    off = site.config(audit=Audit(reserve_bytes=0, detections=Detections(enabled=False)))
    async with site.running(config=off) as node:
        assert await told(site, node, 20) == []


async def test_a_log_that_cannot_be_read_is_said_once_and_ends_nothing(tmp_path: Path) -> None:
    events: list[SecurityEvent] = []
    part = LogDetections(tmp_path / "audit", Detections(), events.append)
    await part.tick()
    assert part.status()["why"] == "", "there is no log yet"
    (tmp_path / "audit/0001/state").mkdir(parents=True)
    (tmp_path / "audit/0001/state/published").write_bytes(b"rubbish")
    await part.tick()
    await part.tick()
    assert part.status()["why"]
    assert json.dumps(part.status())
    assert msgspec.json.encode(part.metrics()) == b"{}"
    assert events == []
