"""Plays of scripts: several actors in turn, in one session, beside it, or at several charge points."""

import contextlib
import re
from urllib.parse import quote

from tests.attacks.case import Case, NotUnderstood
from tests.attacks.link import ClientTLS, Link
from tests.attacks.observed import Observed, secrets_in
from tests.attacks.play import Play, csms_silent_about, forwarded, read_answer
from tests.attacks.roster import identity_of
from tests.attacks.session import HOST, Session, Side, other
from tests.attacks.versions import in_version
from tests.attacks.world import Kind, World, until
from tests.support.peer import basic, upgrade

__all__ = ["plan_steps"]

_STATION = re.compile(r"station:(\S+)")


def plan_steps(case: Case) -> list[Play]:
    """The plays of a case with actors that take turns. Raises NotUnderstood."""
    actors = {step.get("from") for step in case.steps}
    if any(not step.keys() <= {"from", "frame", "http", "at_ms"} for step in case.steps):
        raise NotUnderstood("steps with something unknown")
    if actors <= {"attacker", "csms"} and case.steps[0] == {"from": "attacker", "http": "valid upgrade"}:
        return [_duplicate_play(case, version) for version in case.version]
    if actors <= {"station", "csms"} and all("frame" in step for step in case.steps):
        kinds: tuple[Kind, ...] = ("strict", "ordinary") if case.judged_as == "benign" else ("strict",)
        return [_script_play(case, version, kind) for version in case.version for kind in kinds]
    if all("frame" in step and _STATION.fullmatch(str(step.get("from"))) for step in case.steps):
        return [_stations_play(case, version) for version in case.version]
    raise NotUnderstood(f"steps of {', '.join(sorted(map(str, actors)))}")


def _script_play(case: Case, version: str, kind: Kind) -> Play:
    label = f"{version} by default" if kind == "ordinary" else version

    async def run(world: World, source: str) -> Observed:
        seen = Observed(label=label, source=source, version=version, watched=kind == "ordinary")
        async with Session.open(world, source, version) as session:
            session.read()
            await session.boot()
            with csms_silent_about(world, lambda _: True):
                wanted: dict[Side, list[str]] = {"station": [], "csms": []}
                start = {side: len(session.texts(side)) for side in wanted}
                for step in case.steps:
                    there = other(step["from"])
                    wanted[there].append(step["frame"])
                    await session.send_text(step["from"], step["frame"])
                    await until(lambda there=there: _arrived(session, there, wanted, start) or session.ended(there), 5)
            arrived = [session.texts(side)[start[side] :] == wanted[side] for side in wanted]
            seen.forwarded = "all" if all(arrived) else "some" if any(arrived) else "none"
            seen.closed = session.link.closed
        return seen

    return Play(label=label, run=run, kind=kind)


def _frames_of_stations(case: Case, version: str) -> list[tuple[str, str]]:
    """(charge point, message) in turn. What is given for another version is said by each of them."""
    own = case.frames_by_version.get(version) or (case.frames_by_version.get("2.0.1") if version == "2.1" else None)
    made = []
    for number, step in enumerate(case.steps):
        text = own[number % len(own)] if own else in_version(step["frame"], version)
        if text is None:
            raise NotUnderstood(f"a step that cannot be said in {version}")
        made.append((step["from"], text))
    return made


def _stations_play(case: Case, version: str) -> Play:
    """Charge points in turn. `at_ms` is not waited for: what is too close in minutes is so in seconds."""
    frames = _frames_of_stations(case, version)

    async def run(world: World, source: str) -> Observed:
        seen = Observed(label=version, source=source, version=version)
        async with contextlib.AsyncExitStack() as stack:
            sessions: dict[str, Session] = {}
            for name in dict.fromkeys(name for name, _ in frames):
                sessions[name] = await stack.enter_async_context(Session.open(world, source, version))
                sessions[name].read()
                await sessions[name].boot()
            arrived = []
            for name, text in frames:
                session = sessions[name]
                await session.send_text("station", text)
                alive = await session.marker("station")
                arrived += [each for each in session.texts("csms") if each == text][:1]
                seen.closed = seen.closed or not alive
                seen.replies += ["refused" for told in session.texts("station") if told.startswith("[4,")]
            seen.forwarded = forwarded([text for _, text in frames], arrived)
        return seen

    return Play(label=version, run=run, kind="strict")


def _arrived(session: Session, side: Side, wanted: dict[Side, list[str]], start: dict[Side, int]) -> bool:
    return len(session.texts(side)) - start[side] >= len(wanted[side])


def _duplicate_play(case: Case, version: str) -> Play:
    """Somebody else comes with good credentials while the real charge point is connected and answers."""
    commands = [step["frame"] for step in case.steps if step["from"] == "csms"]

    identity = identity_of(case)

    async def run(world: World, source: str) -> Observed:
        request = upgrade(
            f"/ocpp/{quote(identity, safe='')}",
            host=HOST,
            subprotocols=f"ocpp{version}",
            authorization=basic(identity, world.password(identity)),
        )
        secrets = secrets_in(request) | {match for text in commands for match in re.findall(r"://([^@/\s\"]+)@", text)}
        seen = Observed(label=version, source=source, version=version, request=request, secrets=secrets)
        async with Session.open(world, world.new_source(), version, identity=identity) as real:
            real.read()
            await real.boot()
            before = len(world.csms.requests)
            tls = ClientTLS(server_name=HOST)
            async with await Link.open(world.address("tls"), source=source, tls=tls) as link:
                link.send(request)
                await read_answer(link, seen)
                for command in commands:
                    await real.send_text("csms", command)
                if not (await real.marker("station") and await real.marker("csms")):
                    seen.problems.append("the real charge point was cut off")
            seen.forwarded = "some" if len(world.csms.requests) > before else "none"
        return seen

    return Play(label=version, run=run)
