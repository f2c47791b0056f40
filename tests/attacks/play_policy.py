"""Plays against the policy itself: a file that must not come into force is put there while sessions live."""

import contextlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.attacks.case import Case, NotUnderstood
from tests.attacks.observed import Observed
from tests.attacks.play import Play, forwarded
from tests.attacks.session import Session
from tests.attacks.world import World

__all__ = ["plan_policy"]

_DENIED = '[2,"denied","DataTransfer",{"vendorId":"v","data":"${jndi:ldap://x}"}]'
"""What the policy in force refuses, whatever becomes of the file."""


def plan_policy(case: Case) -> list[Play]:
    """The file is loaded while a charge point of each version talks."""
    return [Play(label=version, run=_push(case, version)) for version in case.version]


def _push(case: Case, version: str):
    name, content = case.generator["file"], case.generator["content"]
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise NotUnderstood(f"file {name!r}")

    async def run(world: World, source: str) -> Observed:
        seen = Observed(label=version, source=source, version=version)
        async with Session.open(world, source, version) as session:
            session.read()
            await session.booted("Accepted")
            with _pushed(world, name, content):
                event = await world.gateway.reload()
                ready, _ = world.gateway.http("/readyz")
                revision = world.gateway.live_status()["policy_revision"]
            seen.events.append(event)
            seen.events += [e for e in world.gateway.events() if e["event"] == case.expected.event]
            seen.problems += (
                [] if event["event"] == "config.reload_failed" else [f"the reload ended as {event['event']}"]
            )
            seen.problems += [] if ready == 200 else [f"readiness says {ready}"]
            await session.send_text("station", _DENIED)
            sent = [f'[2,"innocent-{number}","Heartbeat",{{}}]' for number in range(3)]
            for text in sent:
                await session.send_text("station", text)
            await session.marker("station")
            seen.forwarded = forwarded(sent, session.texts("csms"))
            if _DENIED in session.texts("csms"):
                seen.problems.append("what the policy in force refuses has passed")
        restored = await world.gateway.reload()
        after = world.gateway.live_status()["policy_revision"]
        if (restored["event"], after) != ("config.reloaded", revision):
            seen.problems.append(f"another policy was in force: {revision[:12]}, not {after[:12]}")
        return seen

    return run


@contextlib.contextmanager
def _pushed(world: World, name: str, content: str) -> Iterator[None]:
    """The file as one more pack of the site."""
    path = world.rig.work / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    before = dict(world.rig.config.get("policy", {}))
    world.rig.config["policy"] = {**before, "packs": [*before.get("packs", ["baseline"]), str(path)]}
    try:
        yield
    finally:
        path.unlink()
        world.rig.config["policy"] = before
