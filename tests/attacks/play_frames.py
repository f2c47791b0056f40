"""Plays of OCPP messages in a session, one by one, and of scripts with several actors."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from tests.attacks.case import Case, NotUnderstood
from tests.attacks.expand import frames_of, generated_text, list_messages, numbered
from tests.attacks.link import ClientTLS, Link
from tests.attacks.observed import Observed, secrets_in
from tests.attacks.play import Play, csms_silent_about, forwarded, read_answer, senders
from tests.attacks.session import HOST, NotAdmitted, Session, Side, other
from tests.attacks.world import PASSWORDS, World, until
from tests.support.peer import basic, upgrade

__all__ = ["plan_frames", "plan_steps"]

_PENDING = re.compile(r"(?:CSMS|station) call (\S+) pending(?: towards CSMS)?")
_ANSWERED = re.compile(r"call (\S+) answered an hour ago")
_REFUSED = re.compile(r"gateway answered CALLERROR for (\S+) and did not forward it")
_ONLY_VERSION = re.compile(r"subprotocol ocpp(\S+) negotiated")
_ANSWER = re.compile(r'\[[34],"([^"]*)"')

Prepare = Callable[[Session, Side], Awaitable[None]]


def _messages(case: Case, version: str) -> list[str]:
    """Everything that a case sends in one version."""
    if case.gen:
        if case.gen.keys() != {"messages", "items_each"}:
            raise NotUnderstood(f"gen {', '.join(case.gen)}")
        return list_messages(version, case.gen["messages"], case.gen["items_each"])
    only = next((match[1] for part in case.conditions if (match := _ONLY_VERSION.fullmatch(part))), "")
    if only:
        return case.frames if version == only else []
    generator = case.generator
    if not generator:
        return frames_of(case, version)
    if generator.keys() == {"also"}:
        return [*frames_of(case, version), generated_text(generator["also"])]
    if generator.keys() == {"frame", "count"}:
        return [numbered(generator["frame"], number) for number in range(generator["count"])]
    return [generated_text(generator)]


def plan_frames(case: Case) -> list[Play]:
    """A session a version and side; each message is judged before the next is sent. Raises NotUnderstood."""
    prepare = [step for part in case.conditions if (step := _preparation(case, part)) is not None]
    plays = [
        _frames_play(case, version, side, messages, prepare)
        for version in case.version
        if (messages := _messages(case, version))
        for side in senders(case)
    ]
    if not plays:
        raise NotUnderstood("no message in any of its versions")
    return plays


def _frames_play(case: Case, version: str, side: Side, messages: list[str], prepare: list[Prepare]) -> Play:
    label = f"{version} from the CSMS" if side == "csms" else version

    async def run(world: World, source: str) -> Observed:
        seen = Observed(label=label, source=source, version=version, sender_is_csms=side == "csms")
        async with Session.open(world, source, version) as session:
            session.read()
            await session.boot()
            for step in prepare:
                await step(session, side)
            if case.expected.decision == "allow":
                await _make_pending(session, side, messages)
            if case.expected.decision == "sanitize":
                await _send_to_be_sanitized(session, seen, side, messages)
            else:
                await _send_each(session, seen, side, messages)
        return seen

    return Play(label=label, run=run)


async def _send_each(session: Session, seen: Observed, side: Side, messages: list[str]) -> None:
    """Send, then an innocent call behind it: once that has arrived, the message before it has been judged."""
    arrived_before = len(session.texts(other(side)))
    retried = {text for text in messages if messages.count(text) > 1}
    for number, text in enumerate(messages):
        told_before = len(session.texts(side))
        unanswered = retried if text in messages[number + 1 :] else set()
        with csms_silent_about(session.world, unanswered.__contains__):
            await session.send_text(side, text)
            alive = await session.marker(side)
        seen.replies.append(_error_code(session.texts(side)[told_before:]))
        if not alive:
            seen.closed = True
            break
        if side == "csms" and text in session.texts("station"):
            await _accept(session, text)
    if seen.closed:
        await until(lambda: session.ended("station") and session.ended("csms"), 5)
        seen.station_close, seen.csms_close = session.close_code("station"), session.close_code("csms")
    seen.forwarded = forwarded(messages, session.texts(other(side))[arrived_before:])


async def _send_to_be_sanitized(session: Session, seen: Observed, side: Side, messages: list[str]) -> None:
    """CALLERRORs for calls that are open each time; what arrives must be harmless (RPC-09)."""
    there, arrived = other(side), 0
    for text in messages:
        answer = _ANSWER.match(text)
        if answer is None or not text.startswith("[4,"):
            raise NotUnderstood("sanitizing anything but a CALLERROR")
        if answer[1] not in [json.loads(t)[1] for t in session.texts(there) if t.startswith("[2,")]:
            await _pend(session, there, answer[1])
        before = len(session.texts(there))
        await session.send_text(side, text)
        seen.closed = not await session.marker(side) or seen.closed
        found = [json.loads(t) for t in session.texts(there)[before:] if t.startswith("[4,")]
        arrived += bool(found)
        seen.problems += [problem for error in found for problem in _harmful(error)]
    seen.forwarded = "all" if arrived == len(messages) else "some" if arrived else "none"


def _harmful(error: list[Any]) -> list[str]:
    """What a CALLERROR holds that must not reach the other side."""
    _, _, code, description, details = error
    found = [] if code.isalpha() else [f"code {code[:40]!r} was passed on"]
    found += ["a description over 255 characters"] if len(description) > 255 else []
    found += [] if description.isprintable() else ["control characters in the description"]
    return found + (["details over 1 KiB"] if len(json.dumps(details)) > 1024 else [])


def _error_code(texts: list[str]) -> str:
    """The code of the first CALLERROR among what a sender was told."""
    for text in texts:
        if text.startswith("[4,"):
            return str(json.loads(text)[2])
    return ""


async def _accept(session: Session, call: str) -> None:
    """The charge point does as the CSMS says."""
    frame = json.loads(call)
    if frame[0] == 2:
        before, answer = len(session.texts("csms")), json.dumps([3, frame[1], {"status": "Accepted"}])
        await session.send_text("station", answer)
        await until(lambda: answer in session.texts("csms")[before:] or session.ended("csms"), 5)


# -- what must have happened before


def _innocent(session: Session, side: Side, message_id: str) -> str:
    """A call that its receiver leaves unanswered."""
    if side == "csms":
        return f'[2,"{message_id}","TriggerMessage",{{"requestedMessage":"Heartbeat"}}]'
    token = '"idTag":"TAG-A"' if session.version == "1.6" else '"idToken":{"idToken":"TAG-A","type":"ISO14443"}'
    return f'[2,"{message_id}","Authorize",{{{token}}}]'


async def _pend(session: Session, caller: Side, message_id: str) -> None:
    """A call from `caller` that stays open."""
    text = _innocent(session, caller, message_id)
    with csms_silent_about(session.world, lambda sent: sent == text):
        await session.send_text(caller, text)
        if not await until(lambda: text in session.texts(other(caller))):
            raise NotAdmitted(f"an innocent call did not reach the {other(caller)}")


async def _make_pending(session: Session, side: Side, messages: list[str]) -> None:
    """Legitimate answers need the calls that they answer."""
    for text in messages:
        answer = _ANSWER.match(text)
        if answer:
            await _pend(session, other(side), answer[1])


def _preparation(case: Case, condition: str) -> Prepare | None:
    """What to do in the session for one precondition; None where the session is enough."""
    if pending := _PENDING.fullmatch(condition):
        # Where both sides attack, each reflects a call of its own; else it is the other side that has asked.
        own = case.direction == "both"
        return lambda session, side: _pend(session, side if own else other(side), pending[1])
    if _ANSWERED.fullmatch(condition):
        return _send_before(case)
    if refused := _REFUSED.fullmatch(condition):
        return lambda session, side: _be_refused(session, other(side), refused[1])
    return None


def _send_before(case: Case) -> Prepare:
    async def prepare(session: Session, side: Side) -> None:
        for text in frames_of(case, session.version):
            await session.send_text(side, text)
            if not await until(lambda text=text: text in session.texts(other(side))):
                raise NotAdmitted("the call to be replayed did not get through the first time")
        await session.marker(side)
        session.texts(other(side)).clear()

    return prepare


async def _be_refused(session: Session, side: Side, message_id: str) -> None:
    before = len(session.texts(side))
    await session.send_text(side, f'[2,"{message_id}","Heartbeat",{{"a":1,"a":2}}]')
    if not await until(lambda: bool(_error_code(session.texts(side)[before:]))):
        raise NotAdmitted("the gateway refused nothing")


# -- scripts


def plan_steps(case: Case) -> list[Play]:
    """The plays of a case with actors that take turns. Raises NotUnderstood."""
    actors = {step.get("from") for step in case.steps}
    if any(not step.keys() <= {"from", "frame", "http"} for step in case.steps):
        raise NotUnderstood("steps with times")
    if actors <= {"attacker", "csms"} and case.steps[0] == {"from": "attacker", "http": "valid upgrade"}:
        return [_duplicate_play(case, version) for version in case.version]
    if actors <= {"station", "csms"} and all("frame" in step for step in case.steps):
        return [_script_play(case, version) for version in case.version]
    raise NotUnderstood(f"steps of {', '.join(sorted(map(str, actors)))}")


def _script_play(case: Case, version: str) -> Play:
    async def run(world: World, source: str) -> Observed:
        seen = Observed(label=version, source=source, version=version)
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

    return Play(label=version, run=run)


def _arrived(session: Session, side: Side, wanted: dict[Side, list[str]], start: dict[Side, int]) -> bool:
    return len(session.texts(side)) - start[side] >= len(wanted[side])


def _duplicate_play(case: Case, version: str) -> Play:
    """Somebody else comes with good credentials while the real charge point is connected and answers."""
    commands = [step["frame"] for step in case.steps if step["from"] == "csms"]

    async def run(world: World, source: str) -> Observed:
        request = upgrade(
            "/ocpp/CP-A01",
            host=HOST,
            subprotocols=f"ocpp{version}",
            authorization=basic("CP-A01", PASSWORDS["CP-A01"]),
        )
        secrets = secrets_in(request) | {match for text in commands for match in re.findall(r"://([^@/\s\"]+)@", text)}
        seen = Observed(label=version, source=source, version=version, request=request, secrets=secrets)
        async with Session.open(world, world.new_source(), version) as real:
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
