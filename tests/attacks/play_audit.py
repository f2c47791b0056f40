"""Plays against the audit log: a flood that is to fill it, or to bury a record in it."""

import asyncio
import contextlib
import time
from pathlib import Path

from gateway.control.trail.layout import shards_in
from gateway.control.trail.verify import verify_shard
from tests.attacks.case import Case
from tests.attacks.expand import numbered
from tests.attacks.observed import Observed
from tests.attacks.play import Play, forwarded
from tests.attacks.session import NotAdmitted, Session
from tests.attacks.world import World, content_of, until

__all__ = ["plan_audit"]

_MOST_SECONDS = 3
"""Of a flood: the gateway ends each session that floods after a second, so it takes more than one."""
_SUMMARY_S = 90.0
_MOST_BYTES_EACH = 400
"""What a refused message may cost on the disk, on average over a flood."""
_MOST_BYTES_PER_S = 4_000
"""What may come on top for each second that the flood lasts longer than it should: a dozen in ten seconds are no flood."""


def plan_audit(case: Case) -> list[Play]:
    """A flood in each version, by one charge point from one address that comes back whenever it is thrown out."""
    return [Play(label=version, run=_flood(case, version)) for version in case.version]


def _flood(case: Case, version: str):
    frame, per_s = case.generator["frame"], int(case.generator["per_s"])
    count = min(int(case.generator["seconds"]), _MOST_SECONDS) * per_s

    async def run(world: World, source: str) -> Observed:
        seen = Observed(label=version, source=source, version=version)
        mark, before = world.mark(), _size(world)
        identity, sent, arrived = world.charge_point(), list[str](), list[str]()
        started = time.monotonic()
        while len(sent) < count:
            with contextlib.suppress(NotAdmitted):
                async with Session.open(world, source, version, identity=identity) as session:
                    session.read()
                    await session.booted("Accepted")
                    while len(sent) < count and not session.ended("station"):
                        text = numbered(frame, len(sent))
                        sent.append(text)
                        await session.send_text("station", text)
                        await asyncio.sleep(1 / per_s)
                    arrived += session.texts("csms")
        late_s = max(0.0, time.monotonic() - started - count / per_s)
        seen.forwarded = forwarded(sent, arrived)
        summed_up = await until(lambda: _summaries(world, mark, source), _SUMMARY_S)
        seen.problems += [] if summed_up else ["no summary came"]
        seen.problems += _log_problems(world, before, len(sent), late_s)
        return seen

    return run


def _summaries(world: World, mark: tuple[int, int], source: str) -> list[dict[str, object]]:
    return [e for e in world.events(mark) if e["event"] == "audit.throttled" and e.get("peer") == source]


def _root(world: World) -> Path:
    return world.rig.state / "audit"


def _size(world: World) -> int:
    """Bytes of the log. Of a partial tile only the newest copy: the others go when the tile is full."""
    lasting: dict[Path, int] = {}
    for path in _root(world).rglob("*"):
        content = content_of(path) if path.is_file() else None
        if content is not None:
            place = path.parent if path.parent.suffix == ".p" else path
            lasting[place] = max(lasting.get(place, 0), len(content))
    return sum(lasting.values())


def _log_problems(world: World, before: int, sent: int, late_s: float) -> list[str]:
    """The log is whole, and has not grown by what somebody sent."""
    report = verify_shard(shards_in(_root(world))[-1], live=True)
    found = [f"audit log: {each.state} {each.where}: {each.detail}" for each in report.findings]
    grown = _size(world) - before
    most = _MOST_BYTES_EACH * sent + _MOST_BYTES_PER_S * late_s
    late = f", {late_s:.0f} s late" if late_s else ""
    return found + ([f"{grown} bytes of log for {sent} messages{late}"] if grown > most else [])
