"""Plays with many charge points at once: one attack on a fleet of all versions, spread or aimed at all of them.

Bounded to what shows the limit: some dozens of charge points, whatever the case says; minutes between rounds are not waited
for, because what is too much in an hour is too much in a second.
"""

import contextlib
import json
import re

from tests.attacks.case import Case, NotUnderstood
from tests.attacks.expand import numbered
from tests.attacks.observed import Observed
from tests.attacks.play import Play, forwarded
from tests.attacks.preconditions import setting_of
from tests.attacks.session import Session, Side
from tests.attacks.versions import in_version
from tests.attacks.world import World

__all__ = ["plan_fleet"]

_MOST_STATIONS = 54
_MOST_ROUNDS = 6
_TRIES_EACH = 2
_STATIONS = re.compile(r"(?:each of )?(\d+) stations")
_KEYS = {"to", "from", "frame", "frames", "rounds", "period_s", "within_s"}
_LOWERED = re.compile(r"\bby (\d+) A\b")
_LIMIT = re.compile(r'"limit":([0-9.]+)')


def plan_fleet(case: Case) -> list[Play]:
    """One play over charge points of all its versions. Raises NotUnderstood."""
    script = case.generator or case.gen
    stated = _STATIONS.fullmatch(script.get("to") or script.get("from") or "")
    if not script.keys() <= _KEYS or stated is None or not ("frame" in script or "frames" in script):
        raise NotUnderstood(f"fleet of {', '.join(sorted(script))}")
    side: Side = "station" if "from" in script else "csms"
    frames = script.get("frames") or [script["frame"]]
    rounds = min(int(script.get("rounds", _TRIES_EACH if side == "station" else 1)), _MOST_ROUNDS)
    versions = [version for version in case.version if all(in_version(text, version) for text in frames)]
    if not versions:
        raise NotUnderstood("no message in any of its versions")
    count = min(int(stated[1]), _MOST_STATIONS)

    async def run(world: World, source: str) -> Observed:
        seen = Observed(label="", source=source, version=versions[0], sender_is_csms=side == "csms")
        setting = setting_of(case)
        with setting.csms(world):
            async with contextlib.AsyncExitStack() as stack:
                sessions = [
                    await stack.enter_async_context(
                        Session.open(
                            world, source, versions[i % len(versions)], identity=world.charge_point(setting.group)
                        )
                    )
                    for i in range(count)
                ]
                for session in sessions:
                    session.read()
                    await session.booted(setting.boot)
                await _before(case, sessions, frames[0])
                await _attack(sessions, seen, side, frames, rounds)
        return seen

    return [Play(label="", run=run, kind="fleet")]


async def _before(case: Case, sessions: list[Session], frame: str) -> None:
    """Where a title says by how much limits are lowered, they were so much higher before."""
    lowered, limit = _LOWERED.search(case.title), _LIMIT.search(frame)
    if lowered is None or limit is None:
        return
    higher = frame.replace(limit[0], f'"limit":{float(limit[1]) + int(lowered[1])}')
    for session in sessions:
        await _say(session, "csms", higher, "before")


async def _attack(sessions: list[Session], seen: Observed, side: Side, frames: list[str], rounds: int) -> None:
    wanted, arrived = [], []
    for number in range(rounds):
        for i, session in enumerate(sessions):
            text = numbered(frames[(number + i) % len(frames)], number * len(sessions) + i)
            sent, passed, reply = await _say(session, side, text, f"f{number}")
            wanted.append(sent)
            arrived += [sent] if passed else []
            seen.replies.append(reply)
    seen.forwarded = forwarded(wanted, arrived)
    seen.closed = any(session.ended(side) for session in sessions)


async def _say(session: Session, side: Side, text: str, message_id: str) -> tuple[str, bool, str]:
    """(what was sent, whether it arrived, the code of the CALLERROR that came back instead)."""
    made = in_version(text, session.version)
    assert made is not None
    frame = json.loads(made)
    frame[1] = message_id
    sent = json.dumps(frame, separators=(",", ":"))
    await session.send_text(side, sent)
    await session.answered(side, message_id, sent)
    there = session.texts("station" if side == "csms" else "csms")
    refused = [json.loads(told)[2] for told in session.texts(side) if told.startswith(f'[4,"{message_id}"')]
    return sent, sent in there, refused[0] if refused else ""
